/*
 * Names become fields and every node gets a type, before anything is made of the expression.
 * Literals take the type of what they are compared with, so that a wrong id, time or enum value is
 * an error here and not an empty answer later.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "contract/expr_private.h"

/* Beyond it a double does not hold every integer. */
#define DOUBLE_EXACT_MAX ((int64_t)1 << 53)

const char *expr__type_name(const struct expr_node *n)
{
    static const char *const names[] = {
        [EXPR_TYPE_NULL] = "null",           [EXPR_TYPE_BOOL] = "a condition",
        [EXPR_TYPE_INT] = "an integer",      [EXPR_TYPE_DOUBLE] = "a number",
        [EXPR_TYPE_STRING] = "text",         [EXPR_TYPE_TIME] = "a time",
        [EXPR_TYPE_DURATION] = "a duration", [EXPR_TYPE_DATE] = "a date",
        [EXPR_TYPE_UUID] = "an id",          [EXPR_TYPE_LIST] = "a list",
        [EXPR_TYPE_OPAQUE] = "an object",
    };
    return names[n->type];
}

bool expr__is_literal(const struct expr_node *n)
{
    return n->kind <= EXPR_NODE_UUID;
}

static bool is_field(const struct expr_node *n)
{
    return n->kind == EXPR_NODE_FIELD || n->kind == EXPR_NODE_PATH;
}

const struct contract_field *expr__enum_field(const struct expr_node *n)
{
    if (!is_field(n))
        return NULL;
    const struct contract_field *f = n->field;
    if (n->type == EXPR_TYPE_LIST)
        f = f->of;
    bool has_values = f->type == CONTRACT_ENUM || (f->type == CONTRACT_MONEY && n->sub == 1);
    return has_values && f->values_len > 0 ? f : NULL;
}

static bool is_number(const struct expr_node *n)
{
    return n->type == EXPR_TYPE_INT || n->type == EXPR_TYPE_DOUBLE;
}

static bool enum_check(struct expr_compiler *c, const struct contract_field *field,
                       const struct expr_node *literal)
{
    struct expr_suggestion suggestion = { .wrong = literal->text };
    for (unsigned i = 0; i < field->values_len; i++) {
        if (slice_eq(field->values[i], literal->text))
            return true;
        expr__suggest_try(&suggestion, field->values[i]);
    }
    (void)expr__fail(c, STATUS_INVALID, literal->offset, "`%.*s` is never \"%.*s\"",
                     SLICE_ARG(field->name), (int)MIN(literal->text.len, 60), literal->text.data);
    if (suggestion.best.len == 0 && field->values_len <= 6) {
        char list[100];
        size_t len = 0;
        for (unsigned i = 0; i < field->values_len && len < sizeof(list); i++)
            len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%.*s", i ? ", " : "",
                                    SLICE_ARG(field->values[i]));
        expr__hint(c, "One of: %s.", list);
    } else {
        expr__suggest_done(c, &suggestion);
    }
    return false;
}

static bool text_to_time(struct expr_compiler *c, struct expr_node *n)
{
    int64_t us;
    if (!clock_parse_rfc3339(n->text, &us)) {
        (void)expr__fail(c, STATUS_INVALID, n->offset, "\"%.*s\" is not a time",
                         (int)MIN(n->text.len, 60), n->text.data);
        expr__hint(c, "Write it as in RFC 3339: 2026-01-31T12:00:00Z.");
        return false;
    }
    n->kind = EXPR_NODE_TIME;
    n->type = EXPR_TYPE_TIME;
    n->as.i64 = us;
    return true;
}

static bool text_to_date(struct expr_compiler *c, struct expr_node *n)
{
    int32_t days;
    if (!clock_parse_date(n->text, &days)) {
        (void)expr__fail(c, STATUS_INVALID, n->offset, "\"%.*s\" is not a date",
                         (int)MIN(n->text.len, 60), n->text.data);
        expr__hint(c, "Write it as year-month-day: 2026-01-31.");
        return false;
    }
    n->kind = EXPR_NODE_DATE;
    n->type = EXPR_TYPE_DATE;
    return true;
}

static bool text_to_uuid(struct expr_compiler *c, struct expr_node *n)
{
    struct uuid id;
    if (!uuid_parse(n->text, &id)) {
        (void)expr__fail(c, STATUS_INVALID, n->offset, "\"%.*s\" is not an id",
                         (int)MIN(n->text.len, 60), n->text.data);
        expr__hint(c, "Ids look like 01890a5d-ac96-774b-bcce-b302099a8057.");
        return false;
    }
    n->kind = EXPR_NODE_UUID;
    n->type = EXPR_TYPE_UUID;
    n->as.uuid = id;
    return true;
}

/* Make the literal what `other` is, where there is one way to read it. */
static bool adapt(struct expr_compiler *c, struct expr_node *literal, const struct expr_node *other,
                  enum expr_type type)
{
    if (literal->kind == EXPR_NODE_STRING) {
        const struct contract_field *f = expr__enum_field(other);
        if (f)
            return enum_check(c, f, literal);
        if (type == EXPR_TYPE_TIME)
            return text_to_time(c, literal);
        if (type == EXPR_TYPE_DATE)
            return text_to_date(c, literal);
        if (type == EXPR_TYPE_UUID)
            return text_to_uuid(c, literal);
    }
    if (literal->kind == EXPR_NODE_INT && type == EXPR_TYPE_DOUBLE) {
        if (literal->as.i64 > DOUBLE_EXACT_MAX || literal->as.i64 < -DOUBLE_EXACT_MAX)
            return expr__fail(c, STATUS_INVALID, literal->offset,
                              "the integer is too large to compare with a number");
        literal->kind = EXPR_NODE_DOUBLE;
        literal->type = EXPR_TYPE_DOUBLE;
        literal->as.real = (double)literal->as.i64;
    }
    return true;
}

static bool unify_types(struct expr_compiler *c, const struct expr_node *a,
                        const struct expr_node *b, enum expr_type type_a, enum expr_type type_b)
{
    bool numbers = (type_a == EXPR_TYPE_INT || type_a == EXPR_TYPE_DOUBLE) &&
                   (type_b == EXPR_TYPE_INT || type_b == EXPR_TYPE_DOUBLE);
    if (type_a != type_b && !numbers) {
        struct expr_node x = { .type = (uint8_t)type_a }, y = { .type = (uint8_t)type_b };
        (void)expr__fail(c, STATUS_INVALID, b->offset, "%s cannot be compared with %s",
                         expr__type_name(&x), expr__type_name(&y));
        if (type_a == EXPR_TYPE_DURATION || type_b == EXPR_TYPE_DURATION)
            expr__hint(c, "Write durations as duration(\"24h\").");
        else if (type_a == EXPR_TYPE_DATE || type_b == EXPR_TYPE_DATE)
            expr__hint(c, "Dates are compared with dates: \"2026-01-31\".");
        return false;
    }
    if (type_a == EXPR_TYPE_UUID && a->contract && b->contract && a->contract != b->contract) {
        (void)expr__fail(c, STATUS_INVALID, b->offset,
                         "an id of %.*s is compared with an id of %.*s",
                         SLICE_ARG(a->contract->name), SLICE_ARG(b->contract->name));
        for (unsigned i = 0; i + 1 < c->scopes_len; i++)
            if (c->scopes[i] == a->contract || c->scopes[i] == b->contract)
                expr__hint(c, "Did you mean `%.*s.id`, the outer row's?",
                           SLICE_ARG(c->scopes[i]->name));
        return false;
    }
    return true;
}

bool expr__unify(struct expr_compiler *c, struct expr_node *a, struct expr_node *b)
{
    if (!adapt(c, b, a, a->type) || !adapt(c, a, b, b->type))
        return false;
    return unify_types(c, a, b, a->type, b->type);
}

static bool check_compare(struct expr_compiler *c, struct expr_node *n)
{
    struct expr_node *a = n->first, *b = a->next;
    bool is_equality = n->op == EXPR_OP_EQ || n->op == EXPR_OP_NE;
    if (a->kind == EXPR_NODE_NULL || b->kind == EXPR_NODE_NULL) {
        if (!is_equality)
            return expr__fail(c, STATUS_INVALID, n->offset, "null has no order");
        bool opposite = n->op == EXPR_OP_NE;
        struct expr_node *operand = a->kind == EXPR_NODE_NULL ? b : a;
        operand->next = NULL;
        n->kind = EXPR_NODE_IS_NULL;
        n->first = operand;
        if (!opposite)
            return true;
        struct expr_node *inner = expr__node(c, EXPR_NODE_IS_NULL, n->offset);
        if (inner == NULL)
            return false;
        *inner = *n;
        inner->next = NULL;
        n->kind = EXPR_NODE_NOT;
        n->first = inner;
        n->depth++;
        return true;
    }
    if (a->type == EXPR_TYPE_LIST || b->type == EXPR_TYPE_LIST || a->type == EXPR_TYPE_OPAQUE ||
        b->type == EXPR_TYPE_OPAQUE) {
        const struct expr_node *wrong =
            a->type == EXPR_TYPE_LIST || a->type == EXPR_TYPE_OPAQUE ? a : b;
        (void)expr__fail(c, STATUS_INVALID, wrong->offset, "%s can only be compared with null",
                         expr__type_name(wrong));
        if (wrong->type == EXPR_TYPE_LIST)
            expr__hint(c, "Ask whether a value is in the list: \"x\" in tags.");
        else if (is_field(wrong) && wrong->field->type == CONTRACT_MONEY)
            expr__hint(c, "Compare its parts: amount_minor and currency.");
        return false;
    }
    if (!expr__unify(c, a, b))
        return false;
    if (!is_equality && (a->type == EXPR_TYPE_BOOL || expr__enum_field(a) || expr__enum_field(b)))
        return expr__fail(c, STATUS_INVALID, n->offset, "%s has no order",
                          a->type == EXPR_TYPE_BOOL ? "a condition" : "an enum");
    return true;
}

/* The items of a list field are stored as JSON, so an id or time must be known to be looked up. */
static bool check_in_field(struct expr_compiler *c, struct expr_node *needle,
                           const struct expr_node *list)
{
    struct expr_node item = *list;
    item.type = list->item;
    if (!adapt(c, needle, list, list->item) ||
        !unify_types(c, &item, needle, list->item, needle->type))
        return false;
    bool is_known = (needle->needs & ~EXPR_NEEDS_CALLER) == 0;
    if ((list->item == EXPR_TYPE_UUID || list->item == EXPR_TYPE_TIME) && !is_known)
        return expr__fail(c, STATUS_INVALID, needle->offset,
                          "what is looked up in a list of %s must be a literal%s",
                          list->item == EXPR_TYPE_UUID ? "ids" : "times",
                          list->item == EXPR_TYPE_UUID ? " or @user" : "");
    if (list->item == EXPR_TYPE_TIME) {
        if (needle->kind != EXPR_NODE_TIME)
            return expr__fail(c, STATUS_INVALID, needle->offset,
                              "what is looked up in a list of times must be a literal");
        char *text = arena_alloc(c->arena, CLOCK_RFC3339_LEN);
        if (text == NULL)
            return expr__fail(c, STATUS_EXHAUSTED, needle->offset, "no memory");
        clock_format_rfc3339(needle->as.i64, text);
        needle->kind = EXPR_NODE_STRING;
        needle->type = EXPR_TYPE_STRING;
        needle->text = slice_of(text, CLOCK_RFC3339_LEN);
    }
    return true;
}

static bool check_in_literal(struct expr_compiler *c, struct expr_node *needle,
                             struct expr_node *list)
{
    for (struct expr_node *item = list->first; item; item = item->next) {
        if (item->kind == EXPR_NODE_NULL) {
            (void)expr__fail(c, STATUS_INVALID, item->offset, "null is in no list");
            expr__hint(c, "Write x == null || x in [...].");
            return false;
        }
        if (item->type == EXPR_TYPE_LIST || item->type == EXPR_TYPE_OPAQUE)
            return expr__fail(c, STATUS_INVALID, item->offset, "%s cannot be an item",
                              expr__type_name(item));
        if (!expr__unify(c, needle, item))
            return false;
        if (needle->type != item->type && !expr__is_literal(item))
            return expr__fail(c, STATUS_INVALID, item->offset, "%s is looked up among %s",
                              expr__type_name(needle), expr__type_name(item));
    }
    return true;
}

/* By name only: a caller may have thousands, which are no values for a statement. */
static bool check_in_scopes(struct expr_compiler *c, const struct expr_node *needle)
{
    if (needle->kind == EXPR_NODE_STRING)
        return true;
    (void)expr__fail(c, STATUS_INVALID, needle->offset, "scopes are asked for by name");
    expr__hint(c, "Write \"posts:read\" in @scopes.");
    return false;
}

bool expr__check_in(struct expr_compiler *c, struct expr_node *n)
{
    struct expr_node *needle = n->first, *list = needle->next;
    if (list->type != EXPR_TYPE_LIST)
        return expr__fail(c, STATUS_INVALID, list->offset, "after `in` stands a list, not %s",
                          expr__type_name(list));
    if (needle->kind == EXPR_NODE_NULL || needle->type == EXPR_TYPE_LIST ||
        needle->type == EXPR_TYPE_OPAQUE)
        return expr__fail(c, STATUS_INVALID, needle->offset, "%s is in no list",
                          expr__type_name(needle));
    if (list->kind == EXPR_NODE_LIST)
        return check_in_literal(c, needle, list);
    if (list->kind == EXPR_NODE_ROLES)
        return needle->type == EXPR_TYPE_STRING ||
               expr__fail(c, STATUS_INVALID, needle->offset, "roles are text, not %s",
                          expr__type_name(needle));
    if (list->kind == EXPR_NODE_SCOPES)
        return check_in_scopes(c, needle);
    if (c->use == EXPR_INDEX)
        return expr__fail(c, STATUS_INVALID, n->offset,
                          "an index or count cannot look into a list");
    return check_in_field(c, needle, list);
}

static bool check_arith(struct expr_compiler *c, struct expr_node *n)
{
    struct expr_node *a = n->first, *b = a->next;
    bool additive = n->op == EXPR_OP_ADD || n->op == EXPR_OP_SUB;
    if (is_number(a) && is_number(b)) {
        n->type =
            a->type == EXPR_TYPE_INT && b->type == EXPR_TYPE_INT ? EXPR_TYPE_INT : EXPR_TYPE_DOUBLE;
        if (n->op == EXPR_OP_MOD && n->type != EXPR_TYPE_INT)
            return expr__fail(c, STATUS_INVALID, n->offset, "%% is for integers");
        bool by_zero = (b->kind == EXPR_NODE_INT && b->as.i64 == 0) ||
                       (b->kind == EXPR_NODE_DOUBLE && !(b->as.real < 0 || b->as.real > 0));
        if (!additive && n->op != EXPR_OP_MUL && by_zero)
            return expr__fail(c, STATUS_INVALID, b->offset, "division by zero");
        return true;
    }
    if (a->kind == EXPR_NODE_STRING && b->type == EXPR_TYPE_TIME && !text_to_time(c, a))
        return false;
    if (b->kind == EXPR_NODE_STRING && a->type == EXPR_TYPE_TIME && !text_to_time(c, b))
        return false;
    bool a_is_time = a->type == EXPR_TYPE_TIME, b_is_time = b->type == EXPR_TYPE_TIME;
    bool a_is_span = a->type == EXPR_TYPE_DURATION, b_is_span = b->type == EXPR_TYPE_DURATION;
    if (additive && a_is_time && b_is_span)
        n->type = EXPR_TYPE_TIME;
    else if (n->op == EXPR_OP_ADD && a_is_span && b_is_time)
        n->type = EXPR_TYPE_TIME;
    else if ((n->op == EXPR_OP_SUB && a_is_time && b_is_time) ||
             (additive && a_is_span && b_is_span))
        n->type = EXPR_TYPE_DURATION;
    else {
        (void)expr__fail(c, STATUS_INVALID, n->offset, "%s `%c` %s makes no sense",
                         expr__type_name(a), "+-*/%"[n->op - EXPR_OP_ADD], expr__type_name(b));
        if (a_is_time || b_is_time)
            expr__hint(c, "Times move by durations: @now - duration(\"7d\").");
        return false;
    }
    return true;
}

static bool check_ternary(struct expr_compiler *c, struct expr_node *n)
{
    struct expr_node *condition = n->first, *yes = condition->next, *no = yes->next;
    if (condition->type != EXPR_TYPE_BOOL)
        return expr__fail(c, STATUS_INVALID, condition->offset,
                          "before `?` stands a condition, not %s", expr__type_name(condition));
    if (yes->type == EXPR_TYPE_LIST || yes->type == EXPR_TYPE_OPAQUE ||
        (yes->kind == EXPR_NODE_NULL && no->kind == EXPR_NODE_NULL))
        return expr__fail(c, STATUS_INVALID, yes->offset, "%s cannot be chosen",
                          expr__type_name(yes));
    if (yes->kind == EXPR_NODE_NULL || no->kind == EXPR_NODE_NULL) {
        const struct expr_node *typed = yes->kind == EXPR_NODE_NULL ? no : yes;
        n->type = typed->type;
        n->contract = typed->contract;
        return typed->type != EXPR_TYPE_LIST && typed->type != EXPR_TYPE_OPAQUE
                   ? true
                   : expr__fail(c, STATUS_INVALID, typed->offset, "%s cannot be chosen",
                                expr__type_name(typed));
    }
    if (!expr__unify(c, yes, no))
        return false;
    n->type = yes->type == EXPR_TYPE_INT ? no->type : yes->type;
    n->contract = yes->contract ? yes->contract : no->contract;
    return true;
}

static bool check_context(struct expr_compiler *c, struct expr_node *n)
{
    if (c->use == EXPR_INDEX)
        return expr__fail(c, STATUS_INVALID, n->offset,
                          "an index or count looks at the row alone: no @user, @roles, @scopes or "
                          "@now");
    n->needs = EXPR_NEEDS_CALLER;
    n->type = n->kind == EXPR_NODE_USER  ? EXPR_TYPE_UUID
              : n->kind == EXPR_NODE_NOW ? EXPR_TYPE_TIME
                                         : EXPR_TYPE_LIST;
    n->item = EXPR_TYPE_STRING;
    return true;
}

static bool need_condition(struct expr_compiler *c, const struct expr_node *n, const char *where)
{
    if (n->type == EXPR_TYPE_BOOL)
        return true;
    (void)expr__fail(c, STATUS_INVALID, n->offset, "%s stands a condition, not %s", where,
                     expr__type_name(n));
    if (n->kind == EXPR_NODE_ARITH || is_field(n))
        expr__hint(c, "Compare it with something: == != < <= > >= in.");
    return false;
}

/* Children first; then the node itself knows what it has. */
static bool check_children(struct expr_compiler *c, struct expr_node *n)
{
    n->needs = 0;
    for (struct expr_node *child = n->first; child; child = child->next) {
        if (!expr__check(c, child))
            return false;
        n->needs |= child->needs;
    }
    return true;
}

static bool check_operator(struct expr_compiler *c, struct expr_node *n)
{
    n->type = EXPR_TYPE_BOOL;
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_AND:
    case EXPR_NODE_OR:
        for (const struct expr_node *child = n->first; child; child = child->next)
            if (!need_condition(c, child, n->kind == EXPR_NODE_AND ? "beside `&&`" : "beside `||`"))
                return false;
        return true;
    case EXPR_NODE_NOT:
        return need_condition(c, n->first, "after `!`");
    case EXPR_NODE_COMPARE:
        return check_compare(c, n);
    case EXPR_NODE_IN:
        return expr__check_in(c, n);
    case EXPR_NODE_TERNARY:
        return check_ternary(c, n);
    case EXPR_NODE_ARITH:
        return check_arith(c, n);
    case EXPR_NODE_NEGATE:
        n->type = n->first->type;
        return is_number(n->first) || n->type == EXPR_TYPE_DURATION ||
               expr__fail(c, STATUS_INVALID, n->offset, "%s has no negative",
                          expr__type_name(n->first));
    default: /* EXPR_NODE_LIST */
        n->type = EXPR_TYPE_LIST;
        n->item = n->first ? n->first->type : EXPR_TYPE_NULL;
        return true;
    }
}

bool expr__check(struct expr_compiler *c, struct expr_node *n)
{
    static const uint8_t literals[] = {
        [EXPR_NODE_NULL] = EXPR_TYPE_NULL,         [EXPR_NODE_BOOL] = EXPR_TYPE_BOOL,
        [EXPR_NODE_INT] = EXPR_TYPE_INT,           [EXPR_NODE_DOUBLE] = EXPR_TYPE_DOUBLE,
        [EXPR_NODE_STRING] = EXPR_TYPE_STRING,     [EXPR_NODE_TIME] = EXPR_TYPE_TIME,
        [EXPR_NODE_DURATION] = EXPR_TYPE_DURATION, [EXPR_NODE_DATE] = EXPR_TYPE_DATE,
        [EXPR_NODE_UUID] = EXPR_TYPE_UUID,
    };
    if (expr__is_literal(n)) {
        n->type = literals[n->kind];
        return true;
    }
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_NAME:
        return expr__check_name(c, n);
    case EXPR_NODE_MEMBER:
        return expr__check_member(c, n);
    case EXPR_NODE_CALL:
        return expr__check_call(c, n) && expr__fold(c, n);
    case EXPR_NODE_USER:
    case EXPR_NODE_ROLES:
    case EXPR_NODE_SCOPES:
    case EXPR_NODE_NOW:
        return check_context(c, n);
    default:
        return check_children(c, n) && check_operator(c, n) && expr__fold(c, n);
    }
}
