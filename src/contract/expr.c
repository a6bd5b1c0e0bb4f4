/*
 * Compiling, and the words for what is wrong with an expression.
 */
#include "contract/expr.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/macros.h"
#include "contract/expr_private.h"
#include "fiber/task.h"

bool expr__fail(struct expr_compiler *c, enum status st, size_t offset, const char *format, ...)
{
    if (c->status != STATUS_OK)
        return false;
    c->status = st;
    c->error->offset = offset;
    c->error->hint[0] = '\0';
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->error->reason, sizeof(c->error->reason), format, args);
    va_end(args);
    return false;
}

void expr__hint(struct expr_compiler *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->error->hint, sizeof(c->error->hint), format, args);
    va_end(args);
}

void expr__suggest_try(struct expr_suggestion *s, struct slice candidate)
{
    unsigned distance = slice_distance(s->wrong, candidate);
    if (distance > 1 + s->wrong.len / 4 || (s->best.len && distance >= s->distance))
        return;
    s->best = candidate;
    s->distance = distance;
}

void expr__suggest_done(struct expr_compiler *c, const struct expr_suggestion *s)
{
    if (s->best.len)
        expr__hint(c, "Did you mean `%.*s`?", SLICE_ARG(s->best));
}

/* What holds for the whole text, before the parser looks at it. */
static bool check_text(struct expr_compiler *c)
{
    if (c->text.len > EXPR_BYTES_MAX)
        return expr__fail(c, STATUS_TOO_LARGE, EXPR_BYTES_MAX,
                          "the expression is longer than %u bytes", EXPR_BYTES_MAX);
    size_t zero = slice_find(c->text, '\0');
    if (zero != SIZE_MAX)
        return expr__fail(c, STATUS_INVALID, zero, "the expression holds a zero byte");
    if (!utf8_is_valid(c->text))
        return expr__fail(c, STATUS_INVALID, 0, "the expression is not UTF-8");
    return true;
}

/* What holds for the whole expression, once every node has its type. */
static bool check_whole(struct expr_compiler *c, const struct expr_node *root, unsigned cost)
{
    if (root->type != EXPR_TYPE_BOOL) {
        (void)expr__fail(c, STATUS_INVALID, root->offset, "the whole must be a condition, not %s",
                         expr__type_name(root));
        expr__hint(c, "Compare it with something: == != < <= > >= in.");
        return false;
    }
    if (c->use == EXPR_FILTER && cost > EXPR_COST_MAX)
        return expr__fail(c, STATUS_TOO_LARGE, 0, "the filter costs %u, and at most %u are allowed",
                          cost, EXPR_COST_MAX);
    return true;
}

enum status expr_compile(const struct contract_set *set, const struct contract *contract,
                         struct slice text, enum expr_use use, struct arena *arena,
                         struct expr **ret_expr, struct expr_error *ret_error)
{
    struct expr_compiler c = {
        .set = set, .use = use, .arena = arena, .text = text, .error = ret_error
    };
    *ret_error = (struct expr_error){ .offset = 0 };
    if (contract)
        c.scopes[c.scopes_len++] = contract;
    struct expr_node *root = check_text(&c) ? expr__parse(&c) : NULL;
    if (root == NULL || !expr__check(&c, root))
        return c.status;
    unsigned cost = expr__cost(root);
    if (!check_whole(&c, root, cost))
        return c.status;
    struct expr *expr = arena_new_of(arena, struct expr);
    if (expr == NULL) {
        (void)expr__fail(&c, STATUS_EXHAUSTED, 0, "no memory");
        return c.status;
    }
    *expr = (struct expr){ .root = root, .contract = contract, .use = use, .cost = cost };
    *ret_expr = expr;
    return STATUS_OK;
}

void expr_permission_set(struct expr *expr, struct slice resource, struct slice action)
{
    expr->resource = resource;
    expr->action = action;
}

bool expr__is_in_scope(const struct expr *expr, const struct expr_context *context)
{
    const struct task_caller *caller = context->caller;
    return !caller || !expr->action.len ||
           task_caller_is_in_scope(caller, expr->resource, expr->action);
}

enum expr_answer expr_decide(const struct expr *expr, const struct expr_context *context)
{
    if (UNLIKELY(!expr__is_in_scope(expr, context)))
        return EXPR_NO;
    return expr__decide(expr->root, context);
}

unsigned expr_cost(const struct expr *expr)
{
    return expr->cost;
}
