/*
 * The functions of the language. Each call becomes a node of its own kind, or a constant.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/rights.h"
#include "contract/expr_private.h"

/* What a call is made of; args does not count the receiver. */
struct call {
    struct expr_compiler *c;
    struct expr_node *n;
    unsigned args;
};

static bool becomes(struct expr_node *n, enum expr_kind kind, enum expr_type type)
{
    n->kind = (uint8_t)kind;
    n->type = (uint8_t)type;
    return true;
}

static bool check_arguments(struct call *call)
{
    call->n->needs = 0;
    for (struct expr_node *a = call->n->first; a; a = a->next) {
        if (!expr__check(call->c, a))
            return false;
        call->n->needs |= a->needs;
    }
    return true;
}

static bool check_size(struct call *call)
{
    struct expr_node *n = call->n;
    if (!check_arguments(call))
        return false;
    if (n->first->type != EXPR_TYPE_STRING && n->first->type != EXPR_TYPE_LIST)
        return expr__fail(call->c, STATUS_INVALID, n->first->offset, "%s has no size",
                          expr__type_name(n->first));
    if (n->first->type == EXPR_TYPE_LIST && n->first->kind != EXPR_NODE_LIST &&
        n->first->kind != EXPR_NODE_ROLES && n->first->kind != EXPR_NODE_SCOPES &&
        call->c->use == EXPR_INDEX)
        return expr__fail(call->c, STATUS_INVALID, n->offset,
                          "an index or count cannot look into a list");
    return becomes(n, EXPR_NODE_SIZE, EXPR_TYPE_INT);
}

static bool check_lower(struct call *call)
{
    if (!check_arguments(call))
        return false;
    if (call->n->first->type != EXPR_TYPE_STRING)
        return expr__fail(call->c, STATUS_INVALID, call->n->first->offset,
                          "lowerAscii is for text, not for %s", expr__type_name(call->n->first));
    return becomes(call->n, EXPR_NODE_LOWER, EXPR_TYPE_STRING);
}

static bool check_text_pair(struct call *call, enum expr_kind kind)
{
    struct expr_node *text = call->n->first, *part = text->next;
    for (const struct expr_node *a = text; a; a = a->next)
        if (a->type != EXPR_TYPE_STRING)
            return expr__fail(call->c, STATUS_INVALID, a->offset, "%.*s is for text, not for %s",
                              SLICE_ARG(call->n->text), expr__type_name(a));
    /* So that SQL may say it more than once without growing out of hand. */
    if (!expr__is_literal(part) && part->kind != EXPR_NODE_FIELD && part->kind != EXPR_NODE_PATH) {
        (void)expr__fail(call->c, STATUS_INVALID, part->offset,
                         "%.*s is given a literal or a field", SLICE_ARG(call->n->text));
        return false;
    }
    return becomes(call->n, kind, EXPR_TYPE_BOOL);
}

static bool check_starts(struct call *call)
{
    return check_arguments(call) && check_text_pair(call, EXPR_NODE_STARTS);
}

static bool check_ends(struct call *call)
{
    return check_arguments(call) && check_text_pair(call, EXPR_NODE_ENDS);
}

/* list.contains(x) is x in list. */
static bool check_contains(struct call *call)
{
    struct expr_node *n = call->n, *list = n->first, *needle = list->next;
    struct expr_compiler *c = call->c;
    if (!check_arguments(call))
        return false;
    if (list->type != EXPR_TYPE_LIST)
        return check_text_pair(call, EXPR_NODE_CONTAINS);
    n->first = needle;
    needle->next = list;
    list->next = NULL;
    return becomes(n, EXPR_NODE_IN, EXPR_TYPE_BOOL) && expr__check_in(c, n);
}

static bool check_has(struct call *call)
{
    struct expr_node *n = call->n;
    if (!check_arguments(call))
        return false;
    if (n->first->kind != EXPR_NODE_FIELD && n->first->kind != EXPR_NODE_PATH)
        return expr__fail(call->c, STATUS_INVALID, n->first->offset, "has is asked of a field");
    struct expr_node *inner = expr__node(call->c, EXPR_NODE_IS_NULL, n->offset);
    if (inner == NULL)
        return false;
    inner->first = n->first;
    inner->type = EXPR_TYPE_BOOL;
    inner->needs = n->needs;
    inner->depth = n->depth;
    n->first = inner;
    n->depth++;
    return becomes(n, EXPR_NODE_NOT, EXPR_TYPE_BOOL);
}

/* timestamp("...") and duration("...") */
static bool check_moment(struct call *call)
{
    struct expr_node *n = call->n, *arg = n->first;
    bool is_time = slice_eq(n->text, SLICE("timestamp"));
    if (arg->kind != EXPR_NODE_STRING)
        return expr__fail(call->c, STATUS_INVALID, arg->offset, "%.*s is given a text literal",
                          SLICE_ARG(n->text));
    int64_t us;
    if (is_time ? !clock_parse_rfc3339(arg->text, &us) : !clock_parse_duration(arg->text, &us)) {
        (void)expr__fail(call->c, STATUS_INVALID, arg->offset, "\"%.*s\" is not a %s",
                         (int)MIN(arg->text.len, 60), arg->text.data,
                         is_time ? "time" : "duration");
        expr__hint(call->c, is_time ? "Write it as in RFC 3339: 2026-01-31T12:00:00Z."
                                    : "Write it as 250ms, 30s, 5m, 24h or 7d, at most ten years.");
        return false;
    }
    n->first = NULL;
    n->depth = 1;
    n->as.i64 = us;
    return is_time ? becomes(n, EXPR_NODE_TIME, EXPR_TYPE_TIME)
                   : becomes(n, EXPR_NODE_DURATION, EXPR_TYPE_DURATION);
}

/* can("posts:delete") */
static bool check_can(struct call *call)
{
    struct expr_node *n = call->n, *arg = n->first;
    if (call->c->use == EXPR_INDEX)
        return expr__fail(call->c, STATUS_INVALID, n->offset,
                          "an index or count looks at the row alone, not at who may what");
    if (arg->kind != EXPR_NODE_STRING || !rights_is_permission(arg->text)) {
        (void)expr__fail(call->c, STATUS_INVALID, arg->offset,
                         "can is given the name of a permission");
        expr__hint(call->c, "Write can(\"posts:delete\").");
        return false;
    }
    n->text = arg->text;
    n->offset = arg->offset;
    n->first = NULL;
    n->depth = 1;
    n->needs = EXPR_NEEDS_CALLER;
    return becomes(n, EXPR_NODE_CAN, EXPR_TYPE_BOOL);
}

static bool unknown_resource(struct expr_compiler *c, const struct expr_node *name)
{
    (void)expr__fail(c, STATUS_INVALID, name->offset, "there is no resource `%.*s`",
                     (int)MIN(name->text.len, 60), name->text.data);
    struct expr_suggestion suggestion = { .wrong = name->text };
    for (unsigned i = 0; c->set && i < c->set->len; i++)
        expr__suggest_try(&suggestion, c->set->contracts[i]->name);
    expr__suggest_done(c, &suggestion);
    return false;
}

/* exists(resource, condition): a name means the inner resource's field if it has one. */
static bool check_exists(struct call *call)
{
    struct expr_compiler *c = call->c;
    struct expr_node *n = call->n, *name = n->first, *condition = name->next;
    if (c->use == EXPR_INDEX)
        return expr__fail(c, STATUS_INVALID, n->offset,
                          "an index or count looks at one row only: no exists");
    if (name->kind != EXPR_NODE_NAME)
        return expr__fail(c, STATUS_INVALID, name->offset,
                          "exists is given a resource's name and a condition");
    const struct contract *inner = expr__contract_find(c->set, name->text);
    if (inner == NULL)
        return unknown_resource(c, name);
    unsigned scope = c->scopes_len;
    if (scope == 0)
        return expr__fail(c, STATUS_INVALID, n->offset,
                          "there is no row here, so there are no others: no exists");
    if (scope > EXPR_EXISTS_DEPTH_MAX)
        return expr__fail(c, STATUS_TOO_LARGE, n->offset, "exists nests more than %u deep",
                          EXPR_EXISTS_DEPTH_MAX);
    c->scopes[c->scopes_len++] = inner;
    bool checked = expr__check(c, condition);
    c->scopes_len--;
    if (!checked)
        return false;
    if (condition->type != EXPR_TYPE_BOOL)
        return expr__fail(c, STATUS_INVALID, condition->offset,
                          "exists is given a condition, not %s", expr__type_name(condition));
    n->first = condition;
    n->contract = inner;
    n->scope = (uint8_t)scope;
    n->guarded = c->use == EXPR_FILTER;
    n->needs = condition->needs | EXPR_NEEDS_DATABASE | (n->guarded ? EXPR_NEEDS_CALLER : 0);
    return becomes(n, EXPR_NODE_EXISTS, EXPR_TYPE_BOOL);
}

static bool check_matches(struct call *call)
{
    (void)expr__fail(call->c, STATUS_INVALID, call->n->offset,
                     "matches is not offered: a pattern's cost on every row has no bound");
    expr__hint(call->c, "Use startsWith, endsWith or contains.");
    return false;
}

#define AS_FUNCTION 1u
#define AS_METHOD 2u

static const struct function {
    struct slice name;
    unsigned forms;
    unsigned args; /* the receiver among them */
    bool (*check)(struct call *call);
    const char *usage;
} functions[] = {
    { SLICE_INIT("can"), AS_FUNCTION, 1, check_can, "can(\"posts:delete\")" },
    { SLICE_INIT("contains"), AS_METHOD, 2, check_contains, "text.contains(\"part\")" },
    { SLICE_INIT("duration"), AS_FUNCTION, 1, check_moment, "duration(\"24h\")" },
    { SLICE_INIT("endsWith"), AS_METHOD, 2, check_ends, "text.endsWith(\"end\")" },
    { SLICE_INIT("exists"), AS_FUNCTION, 2, check_exists, "exists(resource, condition)" },
    { SLICE_INIT("has"), AS_FUNCTION, 1, check_has, "has(field)" },
    { SLICE_INIT("lowerAscii"), AS_METHOD, 1, check_lower, "text.lowerAscii()" },
    { SLICE_INIT("matches"), AS_FUNCTION | AS_METHOD, 2, check_matches, "text.contains(\"part\")" },
    { SLICE_INIT("size"), AS_FUNCTION | AS_METHOD, 1, check_size, "size(list)" },
    { SLICE_INIT("startsWith"), AS_METHOD, 2, check_starts, "text.startsWith(\"start\")" },
    { SLICE_INIT("timestamp"), AS_FUNCTION, 1, check_moment,
      "timestamp(\"2026-01-31T12:00:00Z\")" },
};

bool expr__check_call(struct expr_compiler *c, struct expr_node *n)
{
    struct call call = { .c = c, .n = n };
    for (const struct expr_node *a = n->first; a; a = a->next)
        call.args++;
    struct expr_suggestion suggestion = { .wrong = n->text };
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        const struct function *f = &functions[i];
        expr__suggest_try(&suggestion, f->name);
        if (!slice_eq(n->text, f->name))
            continue;
        if (!(f->forms & (n->receiver ? AS_METHOD : AS_FUNCTION)) || call.args != f->args) {
            (void)expr__fail(c, STATUS_INVALID, n->offset, "`%.*s` is used otherwise",
                             SLICE_ARG(f->name));
            expr__hint(c, "Write %s.", f->usage);
            return false;
        }
        return f->check(&call);
    }
    (void)expr__fail(c, STATUS_INVALID, n->offset, "there is no function `%.*s`",
                     (int)MIN(n->text.len, 60), n->text.data);
    expr__suggest_done(c, &suggestion);
    return false;
}
