/*
 * The language without a database, exactly as SQLite would answer: integers that overflow become
 * doubles, division by zero is null, numbers of both kinds compare exactly, text compares by bytes.
 * tests/contract/test_expr_random.c holds the two against each other.
 */
#include <math.h>

#include "contract/expr_private.h"
#include "fiber/task.h"

static const struct expr_value unknown = { .kind = EXPR_VALUE_UNKNOWN };
static const struct expr_value null_value = { .kind = EXPR_VALUE_NULL };

static struct expr_value i64_value(int64_t v)
{
    return (struct expr_value){ .kind = EXPR_VALUE_I64, .as.i64 = v };
}

static struct expr_value text_value(struct slice s)
{
    return (struct expr_value){ .kind = EXPR_VALUE_TEXT, .as.bytes = s };
}

static struct expr_value blob_value(const struct uuid *id)
{
    return (struct expr_value){ .kind = EXPR_VALUE_BLOB,
                                .as.bytes = slice_of((const char *)id->bytes, sizeof(id->bytes)) };
}

static bool is_known(struct expr_value v)
{
    return v.kind != EXPR_VALUE_UNKNOWN;
}

/* SQLite turns a NaN into null. */
static struct expr_value double_value(double v)
{
    return isnan(v) ? null_value : (struct expr_value){ .kind = EXPR_VALUE_DOUBLE, .as.real = v };
}

/* -- numbers
 * --------------------------------------------------------------------------------------------- */

static double as_double(struct expr_value v)
{
    return v.kind == EXPR_VALUE_DOUBLE ? v.as.real : (double)v.as.i64;
}

/* As SQLite's doubleToInt64: out of range stops at the ends. */
static int64_t as_integer(struct expr_value v)
{
    if (v.kind == EXPR_VALUE_I64)
        return v.as.i64;
    if (v.as.real <= -9223372036854775808.0)
        return INT64_MIN;
    if (v.as.real >= 9223372036854775808.0)
        return INT64_MAX;
    return (int64_t)v.as.real;
}

static struct expr_value arith_modulo(struct expr_value a, struct expr_value b)
{
    int64_t x = as_integer(a), y = as_integer(b);
    if (y == 0)
        return null_value;
    int64_t rest = y == -1 ? 0 : x % y;
    bool integers = a.kind == EXPR_VALUE_I64 && b.kind == EXPR_VALUE_I64;
    return integers ? i64_value(rest) : double_value((double)rest);
}

static struct expr_value arith_double(enum expr_op op, double a, double b)
{
    switch (op) {
    case EXPR_OP_ADD:
        return double_value(a + b);
    case EXPR_OP_SUB:
        return double_value(a - b);
    case EXPR_OP_MUL:
        return double_value(a * b);
    default:
        return b < 0 || b > 0 ? double_value(a / b) : null_value;
    }
}

struct expr_value expr__arith(enum expr_op op, struct expr_value a, struct expr_value b)
{
    if (a.kind == EXPR_VALUE_NULL || b.kind == EXPR_VALUE_NULL)
        return null_value;
    if (!is_known(a) || !is_known(b))
        return unknown;
    if (op == EXPR_OP_MOD)
        return arith_modulo(a, b);
    if (a.kind == EXPR_VALUE_I64 && b.kind == EXPR_VALUE_I64) {
        int64_t x = a.as.i64, y = b.as.i64, out;
        if (op == EXPR_OP_ADD && !__builtin_add_overflow(x, y, &out))
            return i64_value(out);
        if (op == EXPR_OP_SUB && !__builtin_sub_overflow(x, y, &out))
            return i64_value(out);
        if (op == EXPR_OP_MUL && !__builtin_mul_overflow(x, y, &out))
            return i64_value(out);
        if (op == EXPR_OP_DIV && y == 0)
            return null_value;
        if (op == EXPR_OP_DIV && !(x == INT64_MIN && y == -1))
            return i64_value(x / y);
    }
    return arith_double(op, as_double(a), as_double(b));
}

/* Exact: 2^53 + 1 is more than 2^53, although a double cannot tell. */
static int compare_mixed(int64_t i, double d)
{
    if (d >= 9223372036854775808.0)
        return -1;
    if (d < -9223372036854775808.0)
        return 1;
    int64_t whole = (int64_t)d;
    if (i != whole)
        return i < whole ? -1 : 1;
    double rest = d - (double)whole;
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

static int compare_numbers(struct expr_value a, struct expr_value b)
{
    if (a.kind == EXPR_VALUE_I64 && b.kind == EXPR_VALUE_I64)
        return a.as.i64 < b.as.i64 ? -1 : a.as.i64 > b.as.i64;
    if (a.kind == EXPR_VALUE_I64)
        return compare_mixed(a.as.i64, b.as.real);
    if (b.kind == EXPR_VALUE_I64)
        return -compare_mixed(b.as.i64, a.as.real);
    return a.as.real < b.as.real ? -1 : a.as.real > b.as.real;
}

/* -- text
 * ------------------------------------------------------------------------------------------------
 */

static unsigned char byte_at(struct expr_value v, size_t i)
{
    char ch = v.as.bytes.data[i];
    return (unsigned char)(v.lower && ch >= 'A' && ch <= 'Z' ? ch | 32 : ch);
}

/* `count` bytes of `a` from `from` on, with the first of `b`. */
static int compare_at(struct expr_value a, size_t from, struct expr_value b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char x = byte_at(a, from + i), y = byte_at(b, i);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

static int compare_bytes(struct expr_value a, struct expr_value b)
{
    size_t x = a.as.bytes.len, y = b.as.bytes.len;
    int order = compare_at(a, 0, b, MIN(x, y));
    return order ? order : x < y ? -1 : x > y;
}

int expr__compare(struct expr_value a, struct expr_value b)
{
    bool is_number = a.kind == EXPR_VALUE_I64 || a.kind == EXPR_VALUE_DOUBLE;
    return is_number ? compare_numbers(a, b) : compare_bytes(a, b);
}

static bool text_contains(struct expr_value text, struct expr_value part)
{
    size_t len = text.as.bytes.len, part_len = part.as.bytes.len;
    for (size_t i = 0; i + part_len <= len; i++)
        if (compare_at(text, i, part, part_len) == 0)
            return true;
    return false;
}

static bool text_test(enum expr_kind kind, struct expr_value text, struct expr_value part)
{
    size_t len = text.as.bytes.len, part_len = part.as.bytes.len;
    if (kind == EXPR_NODE_CONTAINS)
        return text_contains(text, part);
    if (part_len > len)
        return false;
    return compare_at(text, kind == EXPR_NODE_ENDS ? len - part_len : 0, part, part_len) == 0;
}

/* -- values
 * ---------------------------------------------------------------------------------------------- */

static struct expr_value eval_field(const struct expr_node *n, const struct expr_context *context)
{
    if (n->scope != 0 || context->row == NULL)
        return unknown;
    const struct store_value *v = &context->row->values[n->field->column + n->sub];
    switch (v->kind) {
    case STORE_I64:
        if (n->type == EXPR_TYPE_DOUBLE) /* the column would make it one */
            return double_value((double)v->as.i64);
        return i64_value(v->as.i64);
    case STORE_DOUBLE:
        return double_value(v->as.real);
    case STORE_TEXT:
        if (n->type == EXPR_TYPE_LIST)
            return (struct expr_value){ .kind = EXPR_VALUE_JSON, .as.bytes = v->as.bytes };
        return text_value(v->as.bytes);
    case STORE_BLOB:
        return (struct expr_value){ .kind = EXPR_VALUE_BLOB, .as.bytes = v->as.bytes };
    default:
        break;
    }
    /* A count begins at zero; the column's default says so too. */
    return n->field->type == CONTRACT_COUNT ? i64_value(0) : null_value;
}

static struct expr_value eval_size(struct expr_value v)
{
    int64_t count = 0;
    switch (v.kind) {
    case EXPR_VALUE_TEXT:
        return i64_value((int64_t)utf8_count(v.as.bytes));
    case EXPR_VALUE_JSON:
        return i64_value(expr__json_len(v.as.bytes));
    case EXPR_VALUE_LIST:
        for (const struct expr_node *item = v.as.list->first; item; item = item->next)
            count++;
        return i64_value(count);
    default:
        return v;
    }
}

static struct expr_value eval_ternary(const struct expr_node *n, const struct expr_context *context)
{
    const struct expr_node *yes = n->first->next;
    switch (expr__decide(n->first, context)) {
    case EXPR_YES:
        return expr__eval(yes, context);
    case EXPR_NO:
        return expr__eval(yes->next, context);
    default:
        return unknown;
    }
}

static struct expr_value eval_context(const struct expr_node *n, const struct expr_context *context)
{
    if (n->kind == EXPR_NODE_NOW)
        return i64_value(context->now_us);
    if (n->kind == EXPR_NODE_ROLES)
        return (struct expr_value){ .kind = EXPR_VALUE_ROLES };
    if (n->kind == EXPR_NODE_SCOPES)
        return (struct expr_value){ .kind = EXPR_VALUE_SCOPES };
    return context->caller && context->caller->has_user ? blob_value(&context->caller->user)
                                                        : null_value;
}

/* Does the read rule hide every row of the resource from this caller? */
static bool hides_all(const struct expr_node *n, const struct expr_context *context)
{
    if (!n->guarded)
        return false;
    const struct contract *other = n->kind == EXPR_NODE_PATH ? n->first->field->ref : n->contract;
    const struct expr *rule = other->rules[CONTRACT_READ];
    struct expr_context stored = *context;
    stored.row = NULL;
    return rule == NULL || expr_decide(rule, &stored) == EXPR_NO;
}

/* A path leads nowhere when there is no reference, or nobody may read what is there. */
static struct expr_value eval_path(const struct expr_node *n, const struct expr_context *context)
{
    if (expr__eval(n->first, context).kind == EXPR_VALUE_NULL || hides_all(n, context))
        return null_value;
    return unknown;
}

static struct expr_value eval_operator(const struct expr_node *n,
                                       const struct expr_context *context)
{
    struct expr_value v;
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_TERNARY:
        return eval_ternary(n, context);
    case EXPR_NODE_NEGATE:
        return expr__arith(EXPR_OP_SUB, i64_value(0), expr__eval(n->first, context));
    case EXPR_NODE_ARITH:
        v = expr__eval(n->first, context);
        return expr__arith((enum expr_op)n->op, v, expr__eval(n->first->next, context));
    case EXPR_NODE_SIZE:
        if (n->first->kind == EXPR_NODE_ROLES)
            return i64_value(context->caller ? context->caller->roles_len : 0);
        if (n->first->kind == EXPR_NODE_SCOPES)
            return i64_value(expr__scopes_len(context->caller));
        return eval_size(expr__eval(n->first, context));
    default: /* EXPR_NODE_LOWER */
        v = expr__eval(n->first, context);
        v.lower = true;
        return v;
    }
}

struct expr_value expr__eval(const struct expr_node *n, const struct expr_context *context)
{
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_NULL:
        return null_value;
    case EXPR_NODE_BOOL:
    case EXPR_NODE_INT:
    case EXPR_NODE_TIME:
    case EXPR_NODE_DURATION:
        return i64_value(n->as.i64);
    case EXPR_NODE_DOUBLE:
        return double_value(n->as.real);
    case EXPR_NODE_STRING:
    case EXPR_NODE_DATE:
        return text_value(n->text);
    case EXPR_NODE_UUID:
        return blob_value(&n->as.uuid);
    case EXPR_NODE_USER:
    case EXPR_NODE_ROLES:
    case EXPR_NODE_SCOPES:
    case EXPR_NODE_NOW:
        return eval_context(n, context);
    case EXPR_NODE_FIELD:
        return eval_field(n, context);
    case EXPR_NODE_PATH:
        return eval_path(n, context);
    case EXPR_NODE_LIST:
        return (struct expr_value){ .kind = EXPR_VALUE_LIST, .as.list = n };
    default:
        break;
    }
    if (!expr__is_condition(n))
        return eval_operator(n, context);
    enum expr_answer answer = expr__decide(n, context);
    return answer == EXPR_ASK ? unknown : i64_value(answer == EXPR_YES);
}

/* -- conditions
 * ------------------------------------------------------------------------------------------ */

static enum expr_answer answer_of(bool yes)
{
    return yes ? EXPR_YES : EXPR_NO;
}

static enum expr_answer decide_chain(const struct expr_node *n, const struct expr_context *context)
{
    enum expr_answer decisive = n->kind == EXPR_NODE_AND ? EXPR_NO : EXPR_YES;
    bool ask = false;
    for (const struct expr_node *child = n->first; child; child = child->next) {
        enum expr_answer answer = expr__decide(child, context);
        if (answer == decisive)
            return decisive;
        ask |= answer == EXPR_ASK;
    }
    return ask ? EXPR_ASK : decisive == EXPR_NO ? EXPR_YES : EXPR_NO;
}

static enum expr_answer decide_compare(const struct expr_node *n,
                                       const struct expr_context *context)
{
    struct expr_value a = expr__eval(n->first, context), b = expr__eval(n->first->next, context);
    if (a.kind == EXPR_VALUE_NULL || b.kind == EXPR_VALUE_NULL)
        return answer_of(n->op == EXPR_OP_NE);
    if (!is_known(a) || !is_known(b))
        return EXPR_ASK;
    int order = expr__compare(a, b);
    switch ((enum expr_op)n->op) {
    case EXPR_OP_EQ:
        return answer_of(order == 0);
    case EXPR_OP_NE:
        return answer_of(order != 0);
    case EXPR_OP_LT:
        return answer_of(order < 0);
    case EXPR_OP_LE:
        return answer_of(order <= 0);
    case EXPR_OP_GT:
        return answer_of(order > 0);
    default:
        return answer_of(order >= 0);
    }
}

static enum expr_answer decide_in_list(struct expr_value needle, const struct expr_node *list,
                                       const struct expr_context *context)
{
    bool ask = false;
    for (const struct expr_node *item = list->first; item; item = item->next) {
        struct expr_value v = expr__eval(item, context);
        if (v.kind == EXPR_VALUE_NULL)
            continue;
        if (!is_known(v) || !is_known(needle))
            ask = true;
        else if (expr__compare(needle, v) == 0)
            return EXPR_YES;
    }
    return ask ? EXPR_ASK : EXPR_NO;
}

static enum expr_answer decide_in_roles(struct expr_value needle,
                                        const struct expr_context *context)
{
    unsigned roles = context->caller ? context->caller->roles_len : 0;
    if (roles == 0)
        return EXPR_NO;
    if (!is_known(needle))
        return EXPR_ASK;
    for (unsigned i = 0; i < roles; i++)
        if (expr__compare(needle, text_value(context->caller->roles[i])) == 0)
            return EXPR_YES;
    return EXPR_NO;
}

static enum expr_answer decide_in(const struct expr_node *n, const struct expr_context *context)
{
    struct expr_value needle = expr__eval(n->first, context);
    if (needle.kind == EXPR_VALUE_NULL)
        return EXPR_NO;
    struct expr_value list = expr__eval(n->first->next, context);
    switch (list.kind) {
    case EXPR_VALUE_LIST:
        return decide_in_list(needle, list.as.list, context);
    case EXPR_VALUE_ROLES:
        return decide_in_roles(needle, context);
    case EXPR_VALUE_SCOPES:
        return answer_of(expr__scopes_have(context->caller, needle.as.bytes));
    case EXPR_VALUE_JSON:
        return is_known(needle) ? answer_of(expr__json_has(list.as.bytes, needle)) : EXPR_ASK;
    case EXPR_VALUE_UNKNOWN:
        return EXPR_ASK;
    default:
        return EXPR_NO;
    }
}

static enum expr_answer decide_text(const struct expr_node *n, const struct expr_context *context)
{
    struct expr_value text = expr__eval(n->first, context);
    struct expr_value part = expr__eval(n->first->next, context);
    if (text.kind == EXPR_VALUE_NULL || part.kind == EXPR_VALUE_NULL)
        return EXPR_NO;
    if (!is_known(text) || !is_known(part))
        return EXPR_ASK;
    return answer_of(text_test((enum expr_kind)n->kind, text, part));
}

/* No row can be there when the condition fails whatever the row. */
static enum expr_answer decide_exists(const struct expr_node *n, const struct expr_context *context)
{
    return expr__decide(n->first, context) == EXPR_NO || hides_all(n, context) ? EXPR_NO : EXPR_ASK;
}

enum expr_answer expr__decide(const struct expr_node *n, const struct expr_context *context)
{
    /* Neither caller nor candidate row has a say in it. */
    if (n->needs != 0 && !(n->needs & EXPR_NEEDS_CALLER) && context->row == NULL)
        return EXPR_ASK;
    enum expr_answer answer;
    struct expr_value v;
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_AND:
    case EXPR_NODE_OR:
        return decide_chain(n, context);
    case EXPR_NODE_NOT:
        answer = expr__decide(n->first, context);
        return answer == EXPR_ASK ? EXPR_ASK : answer_of(answer == EXPR_NO);
    case EXPR_NODE_COMPARE:
        return decide_compare(n, context);
    case EXPR_NODE_IN:
        return decide_in(n, context);
    case EXPR_NODE_STARTS:
    case EXPR_NODE_ENDS:
    case EXPR_NODE_CONTAINS:
        return decide_text(n, context);
    case EXPR_NODE_CAN:
        return answer_of(task_caller_has(context->caller, n->text));
    case EXPR_NODE_EXISTS:
        return decide_exists(n, context);
    case EXPR_NODE_IS_NULL:
        v = expr__eval(n->first, context);
        return is_known(v) ? answer_of(v.kind == EXPR_VALUE_NULL) : EXPR_ASK;
    default: /* a value that is true or false or null */
        v = expr__eval(n, context);
        if (v.kind == EXPR_VALUE_UNKNOWN)
            return EXPR_ASK;
        return answer_of(v.kind == EXPR_VALUE_I64 && v.as.i64 != 0);
    }
}
