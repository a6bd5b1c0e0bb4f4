/*
 * Names: which row's field is meant, and what stands behind a point. In a condition inside exists
 * the innermost row that has such a field wins; `resource.field` reaches the rows around it.
 */
#include "base/arena.h"
#include "contract/expr_private.h"

#define PATH_LEVELS_MAX 2u

static bool is_field(const struct expr_node *n)
{
    return n->kind == EXPR_NODE_FIELD || n->kind == EXPR_NODE_PATH;
}

struct contract_field *expr__field_find(const struct contract *contract, struct slice name,
                                        enum expr_use use)
{
    for (unsigned i = 0; i < contract->fields_len; i++) {
        struct contract_field *f = contract->fields[i];
        if (!f->hidden && slice_eq(f->name, name))
            return use == EXPR_FILTER && f->writeonly ? NULL : f;
    }
    return NULL;
}

const struct contract *expr__contract_find(const struct contract_set *set, struct slice name)
{
    for (unsigned i = 0; set && i < set->len; i++)
        if (slice_eq(set->contracts[i]->name, name))
            return set->contracts[i]->absent ? NULL : set->contracts[i];
    return NULL;
}

static void suggest_fields(struct expr_compiler *c, struct expr_suggestion *s,
                           const struct contract *contract)
{
    for (unsigned i = 0; i < contract->fields_len; i++)
        if (c->use != EXPR_FILTER || !contract->fields[i]->writeonly)
            expr__suggest_try(s, contract->fields[i]->name);
}

static bool unknown_name(struct expr_compiler *c, const struct expr_node *n)
{
    static const struct slice context[] = { SLICE_INIT("user"), SLICE_INIT("roles"),
                                            SLICE_INIT("now") };
    if (c->scopes_len == 0)
        return expr__fail(c, STATUS_INVALID, n->offset,
                          "`%.*s` is unknown: there is no row here, only @user, @roles and @now",
                          (int)MIN(n->text.len, 60), n->text.data);
    (void)expr__fail(c, STATUS_INVALID, n->offset, "`%.*s` is no field of %.*s",
                     (int)MIN(n->text.len, 60), n->text.data,
                     SLICE_ARG(c->scopes[c->scopes_len - 1]->name));
    for (size_t i = 0; i < ARRAY_LEN(context); i++)
        if (slice_eq(n->text, context[i])) {
            expr__hint(c, "Did you mean `@%.*s`?", SLICE_ARG(context[i]));
            return false;
        }
    struct expr_suggestion suggestion = { .wrong = n->text };
    for (unsigned i = c->scopes_len; i-- > 0;)
        suggest_fields(c, &suggestion, c->scopes[i]);
    expr__suggest_done(c, &suggestion);
    return false;
}

static enum expr_type type_of_field(const struct contract_field *field)
{
    switch (field->type) {
    case CONTRACT_INTEGER:
    case CONTRACT_COUNT:
        return EXPR_TYPE_INT;
    case CONTRACT_NUMBER:
        return EXPR_TYPE_DOUBLE;
    case CONTRACT_BOOLEAN:
        return EXPR_TYPE_BOOL;
    case CONTRACT_TIME:
        return EXPR_TYPE_TIME;
    case CONTRACT_DATE:
        return EXPR_TYPE_DATE;
    case CONTRACT_UUID:
    case CONTRACT_REF:
        return EXPR_TYPE_UUID;
    case CONTRACT_LIST:
        return EXPR_TYPE_LIST;
    case CONTRACT_JSON:
    case CONTRACT_MEDIA:
    case CONTRACT_MONEY:
        return EXPR_TYPE_OPAQUE;
    default:
        return EXPR_TYPE_STRING;
    }
}

static void column_set(struct expr_node *n)
{
    const struct contract_column *column = &n->owner->columns[n->field->column + n->sub];
    n->column = column->name;
    n->not_null = column->not_null;
}

void expr__type_field(struct expr_node *n, const struct contract *contract,
                      const struct contract_field *field)
{
    n->field = field;
    n->owner = contract;
    column_set(n);
    n->type = (uint8_t)type_of_field(field);
    n->contract = field->type == CONTRACT_REF    ? field->ref
                  : field == contract->fields[0] ? contract
                                                 : NULL;
    if (field->type == CONTRACT_LIST) {
        n->item = (uint8_t)type_of_field(field->of);
        n->contract = field->of->type == CONTRACT_REF ? field->of->ref : NULL;
    }
}

static void field_set(struct expr_node *n, const struct contract *contract,
                      const struct contract_field *field, unsigned scope)
{
    n->kind = EXPR_NODE_FIELD;
    n->first = NULL;
    n->depth = 1;
    n->scope = (uint8_t)scope;
    n->needs = scope == 0 ? EXPR_NEEDS_ROW : EXPR_NEEDS_DATABASE;
    expr__type_field(n, contract, field);
}

/* The innermost row that has such a field. */
static bool name_resolve(struct expr_compiler *c, struct expr_node *n)
{
    for (unsigned i = c->scopes_len; i-- > 0;) {
        const struct contract_field *f = expr__field_find(c->scopes[i], n->text, c->use);
        if (f == NULL)
            continue;
        field_set(n, c->scopes[i], f, i);
        return true;
    }
    return false;
}

/* resource.field: the nearest row of that resource around the innermost one, else the innermost
 * itself. */
static bool qualified_resolve(struct expr_compiler *c, struct expr_node *n)
{
    struct slice resource = n->first->text;
    unsigned innermost = c->scopes_len - 1;
    for (unsigned step = 0; step < c->scopes_len; step++) {
        unsigned scope = step < innermost ? innermost - 1 - step : innermost;
        if (!slice_eq(c->scopes[scope]->name, resource))
            continue;
        const struct contract_field *f = expr__field_find(c->scopes[scope], n->text, c->use);
        if (f) {
            field_set(n, c->scopes[scope], f, scope);
            n->qualified = true;
            return true;
        }
        (void)expr__fail(c, STATUS_INVALID, n->offset, "`%.*s` is no field of %.*s",
                         (int)MIN(n->text.len, 60), n->text.data, SLICE_ARG(resource));
        struct expr_suggestion suggestion = { .wrong = n->text };
        suggest_fields(c, &suggestion, c->scopes[scope]);
        expr__suggest_done(c, &suggestion);
        return false;
    }
    return false;
}

static bool money_member(struct expr_compiler *c, struct expr_node *n)
{
    bool is_amount = slice_eq(n->text, SLICE("amount_minor"));
    if (!is_amount && !slice_eq(n->text, SLICE("currency"))) {
        (void)expr__fail(c, STATUS_INVALID, n->offset, "money has no part `%.*s`",
                         (int)MIN(n->text.len, 60), n->text.data);
        expr__hint(c, "Its parts are amount_minor and currency.");
        return false;
    }
    struct expr_node member = *n;
    *n = *n->first;
    n->offset = member.offset;
    n->next = member.next;
    n->sub = is_amount ? 0 : 1;
    column_set(n);
    n->type = is_amount ? EXPR_TYPE_INT : EXPR_TYPE_STRING;
    return true;
}

/* ref.field */
static bool path_member(struct expr_compiler *c, struct expr_node *n)
{
    const struct expr_node *base = n->first;
    const struct contract *target = base->field->ref;
    if (c->use == EXPR_INDEX)
        return expr__fail(c, STATUS_INVALID, n->offset,
                          "an index or count looks at one row only, not at `%.*s.%.*s`",
                          SLICE_ARG(base->field->name), (int)MIN(n->text.len, 60), n->text.data);
    unsigned levels = 1;
    for (const struct expr_node *b = base; b->kind == EXPR_NODE_PATH; b = b->first)
        levels++;
    if (levels > PATH_LEVELS_MAX)
        return expr__fail(c, STATUS_INVALID, n->offset, "a path follows at most %u references",
                          PATH_LEVELS_MAX);
    const struct contract_field *f = expr__field_find(target, n->text, c->use);
    if (f == NULL) {
        (void)expr__fail(c, STATUS_INVALID, n->offset, "`%.*s` is no field of %.*s",
                         (int)MIN(n->text.len, 60), n->text.data, SLICE_ARG(target->name));
        struct expr_suggestion suggestion = { .wrong = n->text };
        suggest_fields(c, &suggestion, target);
        expr__suggest_done(c, &suggestion);
        return false;
    }
    n->kind = EXPR_NODE_PATH;
    n->guarded = c->use == EXPR_FILTER;
    n->needs = base->needs | EXPR_NEEDS_DATABASE | (n->guarded ? EXPR_NEEDS_CALLER : 0);
    expr__type_field(n, target, f);
    return true;
}

bool expr__check_member(struct expr_compiler *c, struct expr_node *n)
{
    struct expr_node *base = n->first;
    if (base->kind == EXPR_NODE_NAME) {
        bool found = name_resolve(c, base);
        bool has_parts =
            found && (base->field->type == CONTRACT_REF || base->field->type == CONTRACT_MONEY);
        if (!has_parts && c->scopes_len > 0) {
            if (qualified_resolve(c, n))
                return true;
            if (c->status != STATUS_OK)
                return false;
        }
        if (!found)
            return unknown_name(c, base);
    } else if (!expr__check(c, base)) {
        return false;
    }
    if (is_field(base) && base->field->type == CONTRACT_MONEY && base->type == EXPR_TYPE_OPAQUE)
        return money_member(c, n);
    if (is_field(base) && base->field->type == CONTRACT_REF)
        return path_member(c, n);
    (void)expr__fail(c, STATUS_INVALID, n->offset, "%s has no part `%.*s`", expr__type_name(base),
                     (int)MIN(n->text.len, 60), n->text.data);
    expr__hint(c, "Only references and money have parts.");
    return false;
}

bool expr__check_name(struct expr_compiler *c, struct expr_node *n)
{
    return name_resolve(c, n) || unknown_name(c, n);
}
