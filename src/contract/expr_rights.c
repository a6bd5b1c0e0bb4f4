/*
 * What a caller may by name, as expressions see it: @scopes; and which names of roles, scopes and
 * permissions an expression asks for, so that they can be held against what there is.
 */
#include "base/rights.h"
#include "contract/expr_private.h"
#include "fiber/task.h"

bool expr__scopes_have(const struct task_caller *caller, struct slice name)
{
    if (!caller)
        return false;
    for (unsigned i = 0; i < caller->scopes_len; i++)
        if (slice_eq(caller->scopes[i], name))
            return true;
    for (unsigned i = 0; !caller->is_scoped && i < caller->roles_len; i++) {
        unsigned len;
        const struct slice *patterns = rights_patterns_of(caller->rights, caller->roles[i], &len);
        for (unsigned k = 0; k < len; k++)
            if (slice_eq(patterns[k], name))
                return true;
    }
    return false;
}

int64_t expr__scopes_len(const struct task_caller *caller)
{
    if (!caller)
        return 0;
    int64_t total = caller->scopes_len;
    for (unsigned i = 0; !caller->is_scoped && i < caller->roles_len; i++) {
        unsigned len;
        (void)rights_patterns_of(caller->rights, caller->roles[i], &len);
        total += len;
    }
    return total;
}

static void name_literal(const struct expr_node *n, enum expr_name kind, expr_name_fn fn, void *arg)
{
    if (n->kind == EXPR_NODE_STRING)
        fn(arg, kind, n->text, n->offset);
}

/* As deep as expressions may be: EXPR_DEPTH_MAX. */
static void walk(const struct expr_node *n, expr_name_fn fn, void *arg)
{
    if (n->kind == EXPR_NODE_CAN)
        fn(arg, EXPR_NAME_PERMISSION, n->text, n->offset);
    if (n->kind == EXPR_NODE_IN && n->first->next->kind == EXPR_NODE_ROLES)
        name_literal(n->first, EXPR_NAME_ROLE, fn, arg);
    if (n->kind == EXPR_NODE_IN && n->first->next->kind == EXPR_NODE_SCOPES)
        name_literal(n->first, EXPR_NAME_SCOPE, fn, arg);
    for (const struct expr_node *child = n->first; child; child = child->next)
        walk(child, fn, arg);
}

void expr_names(const struct expr *expr, expr_name_fn fn, void *arg)
{
    walk(expr->root, fn, arg);
}
