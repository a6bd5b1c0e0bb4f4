/*
 * The canonical text of an expression (it compiles to the same again), and a picture of what it
 * means to the database.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/expr_private.h"
#include "fiber/task.h"

/* As the parser has them. */
enum power {
    POWER_TERNARY = 1,
    POWER_OR,
    POWER_AND,
    POWER_COMPARE,
    POWER_ADD,
    POWER_MULTIPLY,
    POWER_PREFIX,
    POWER_ATOM
};

static const char *const operators[] = { " == ", " != ", " < ", " <= ", " > ", " >= ",
                                         " + ",  " - ",  " * ", " / ",  " % " };

static bool is_not_null(const struct expr_node *n)
{
    return n->kind == EXPR_NODE_NOT && n->first->kind == EXPR_NODE_IS_NULL;
}

/* Others are written as the difference of two times. */
static bool has_duration_text(int64_t us)
{
    return us >= 0 && us <= 3650 * CLOCK_DAY && us % CLOCK_MS == 0;
}

static enum power power_of(const struct expr_node *n)
{
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_TERNARY:
        return POWER_TERNARY;
    case EXPR_NODE_OR:
        return POWER_OR;
    case EXPR_NODE_AND:
        return POWER_AND;
    case EXPR_NODE_COMPARE:
    case EXPR_NODE_IN:
    case EXPR_NODE_IS_NULL:
        return POWER_COMPARE;
    case EXPR_NODE_ARITH:
        return n->op == EXPR_OP_ADD || n->op == EXPR_OP_SUB ? POWER_ADD : POWER_MULTIPLY;
    case EXPR_NODE_NOT:
        return is_not_null(n) ? POWER_COMPARE : POWER_PREFIX;
    case EXPR_NODE_NEGATE:
        return POWER_PREFIX;
    case EXPR_NODE_DURATION:
        return has_duration_text(n->as.i64) ? POWER_ATOM : POWER_ADD;
    default:
        return POWER_ATOM;
    }
}

static void print(const struct expr_node *n, struct buf *out);

static void print_at(const struct expr_node *n, enum power least, struct buf *out)
{
    bool parentheses = power_of(n) < least;
    if (parentheses)
        buf_putc(out, '(');
    print(n, out);
    if (parentheses)
        buf_putc(out, ')');
}

static void print_time(int64_t us, struct buf *out)
{
    char text[CLOCK_RFC3339_LEN];
    clock_format_rfc3339(us, text);
    int64_t rest = ((us % CLOCK_MS) + CLOCK_MS) % CLOCK_MS;
    buf_put_lit(out, "timestamp(\"");
    buf_put(out, text, sizeof(text) - 1);
    if (rest != 0)
        buf_printf(out, "%03d", (int)rest);
    buf_put_lit(out, "Z\")");
}

/* In the largest unit that divides it. */
static void print_duration(int64_t us, struct buf *out)
{
    static const struct {
        int64_t us;
        const char *unit;
    } units[] = { { CLOCK_DAY, "d" },
                  { CLOCK_HOUR, "h" },
                  { CLOCK_MINUTE, "m" },
                  { CLOCK_SECOND, "s" },
                  { CLOCK_MS, "ms" } };
    if (!has_duration_text(us)) {
        print_time(MAX(us, 0), out);
        buf_put_lit(out, " - ");
        print_time(us < 0 ? -us : 0, out);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (us % units[i].us == 0) {
            buf_put_lit(out, "duration(\"");
            buf_put_i64(out, us / units[i].us);
            buf_printf(out, "%s\")", units[i].unit);
            return;
        }
}

static void print_double(double value, struct buf *out)
{
    size_t start = out->len;
    buf_put_double(out, value);
    for (size_t i = start; i < out->len; i++)
        if (strchr(".eE", out->data[i]))
            return;
    buf_put_lit(out, ".0");
}

static void print_constant(const struct expr_node *n, struct buf *out)
{
    char id[UUID_TEXT_LEN];
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_NULL:
        buf_put_lit(out, "null");
        return;
    case EXPR_NODE_BOOL:
        buf_put_cstr(out, n->as.i64 ? "true" : "false");
        return;
    case EXPR_NODE_INT:
        buf_put_i64(out, n->as.i64);
        return;
    case EXPR_NODE_DOUBLE:
        print_double(n->as.real, out);
        return;
    case EXPR_NODE_TIME:
        print_time(n->as.i64, out);
        return;
    case EXPR_NODE_DURATION:
        print_duration(n->as.i64, out);
        return;
    case EXPR_NODE_UUID:
        uuid_format(&n->as.uuid, id);
        buf_printf(out, "\"%.*s\"", UUID_TEXT_LEN, id);
        return;
    default: /* text, date: JSON's escapes are among ours */
        json_put_string(out, n->text);
    }
}

static void print_list(const struct expr_node *first, struct buf *out)
{
    for (const struct expr_node *item = first; item; item = item->next) {
        if (item != first)
            buf_put_lit(out, ", ");
        print(item, out);
    }
}

static void print_between(const struct expr_node *n, const char *operator, enum power power,
                          struct buf *out)
{
    for (const struct expr_node *child = n->first; child; child = child->next) {
        if (child != n->first)
            buf_put_cstr(out, operator);
        print_at(child, child == n->first && power != POWER_COMPARE ? power : power + 1, out);
    }
}

static void print_method(const struct expr_node *n, const char *name, struct buf *out)
{
    print_at(n->first, POWER_ATOM, out);
    buf_printf(out, ".%s(", name);
    print_list(n->first->next, out);
    buf_putc(out, ')');
}

static void print_field(const struct expr_node *n, struct buf *out)
{
    if (n->kind == EXPR_NODE_PATH) {
        print(n->first, out);
        buf_putc(out, '.');
    } else if (n->qualified) {
        buf_put_slice(out, n->owner->name);
        buf_putc(out, '.');
    }
    buf_put_slice(out, n->field->name);
    if (n->field->type == CONTRACT_MONEY && n->type != EXPR_TYPE_OPAQUE)
        buf_put_cstr(out, n->sub ? ".currency" : ".amount_minor");
}

static void print_operator(const struct expr_node *n, struct buf *out)
{
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_NOT:
        if (is_not_null(n)) {
            print_at(n->first->first, POWER_ADD, out);
            buf_put_lit(out, " != null");
            return;
        }
        buf_putc(out, '!');
        print_at(n->first, POWER_PREFIX, out);
        return;
    case EXPR_NODE_NEGATE:
        buf_putc(out, '-');
        print_at(n->first, POWER_PREFIX, out);
        return;
    case EXPR_NODE_IS_NULL:
        print_at(n->first, POWER_ADD, out);
        buf_put_lit(out, " == null");
        return;
    case EXPR_NODE_TERNARY:
        print_at(n->first, POWER_OR, out);
        buf_put_lit(out, " ? ");
        print(n->first->next, out);
        buf_put_lit(out, " : ");
        print(n->first->next->next, out);
        return;
    default: /* EXPR_NODE_EXISTS */
        buf_put_lit(out, "exists(");
        buf_put_slice(out, n->contract->name);
        buf_put_lit(out, ", ");
        print(n->first, out);
        buf_putc(out, ')');
    }
}

static void print(const struct expr_node *n, struct buf *out)
{
    if (expr__is_literal(n)) {
        print_constant(n, out);
        return;
    }
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_USER:
        buf_put_lit(out, "@user");
        return;
    case EXPR_NODE_ROLES:
        buf_put_lit(out, "@roles");
        return;
    case EXPR_NODE_SCOPES:
        buf_put_lit(out, "@scopes");
        return;
    case EXPR_NODE_CAN:
        buf_printf(out, "can(\"%.*s\")", SLICE_ARG(n->text));
        return;
    case EXPR_NODE_NOW:
        buf_put_lit(out, "@now");
        return;
    case EXPR_NODE_FIELD:
    case EXPR_NODE_PATH:
        print_field(n, out);
        return;
    case EXPR_NODE_LIST:
        buf_putc(out, '[');
        print_list(n->first, out);
        buf_putc(out, ']');
        return;
    case EXPR_NODE_AND:
        print_between(n, " && ", POWER_AND, out);
        return;
    case EXPR_NODE_OR:
        print_between(n, " || ", POWER_OR, out);
        return;
    case EXPR_NODE_COMPARE:
    case EXPR_NODE_ARITH:
        print_between(n, operators[n->op], power_of(n), out);
        return;
    case EXPR_NODE_IN:
        print_between(n, " in ", POWER_COMPARE, out);
        return;
    case EXPR_NODE_STARTS:
        print_method(n, "startsWith", out);
        return;
    case EXPR_NODE_ENDS:
        print_method(n, "endsWith", out);
        return;
    case EXPR_NODE_CONTAINS:
        print_method(n, "contains", out);
        return;
    case EXPR_NODE_LOWER:
        print_method(n, "lowerAscii", out);
        return;
    case EXPR_NODE_SIZE:
        buf_put_lit(out, "size(");
        print(n->first, out);
        buf_putc(out, ')');
        return;
    default:
        print_operator(n, out);
    }
}

void expr__print(const struct expr_node *n, struct buf *out)
{
    print(n, out);
}

void expr_print(const struct expr *expr, struct buf *out)
{
    print(expr->root, out);
}

/* -- explaining
 * ------------------------------------------------------------------------------------------ */

static void explain_case(const struct expr *expr, const char *who,
                         const struct expr_context *context, struct buf *out)
{
    struct arena *arena = arena_new(NULL, 0);
    struct store_sql sql;
    store_sql_init(&sql, arena);
    expr_emit(expr, context, SLICE("t"), &sql);
    buf_printf(out, "  %-22s", who);
    switch (expr_decide(expr, context)) {
    case EXPR_YES:
        buf_put_lit(out, "always");
        break;
    case EXPR_NO:
        buf_put_lit(out, "never");
        break;
    default:
        buf_put_slice(out, buf_slice(&sql.text));
    }
    buf_putc(out, '\n');
    arena_free(arena);
}

static void explain_needs(const struct expr *expr, struct buf *out)
{
    static const struct {
        unsigned bit;
        const char *name;
    } needs[] = { { EXPR_NEEDS_CALLER, "the caller" },
                  { EXPR_NEEDS_ROW, "the row" },
                  { EXPR_NEEDS_DATABASE, "other rows" } };
    buf_put_lit(out, "  looks at              ");
    const char *joint = "";
    for (size_t i = 0; i < ARRAY_LEN(needs); i++)
        if (expr->root->needs & needs[i].bit) {
            buf_printf(out, "%s%s", joint, needs[i].name);
            joint = ", ";
        }
    buf_put_cstr(out, *joint ? "\n" : "nothing\n");
}

void expr_explain(const struct expr *expr, struct buf *out)
{
    static const struct slice role = SLICE_INIT("moderator");
    const struct task_caller user = { .has_user = true },
                             moderator = { .has_user = true, .roles = &role, .roles_len = 1 };
    buf_put_lit(out, "  means                 ");
    expr_print(expr, out);
    buf_printf(out, "\n  costs                 %u\n", expr->cost);
    explain_needs(expr, out);
    if (expr->contract == NULL)
        return;
    if (!(expr->root->needs & EXPR_NEEDS_CALLER)) {
        explain_case(expr, "as SQL", &(struct expr_context){ .row = NULL }, out);
        return;
    }
    explain_case(expr, "anonymous", &(struct expr_context){ .row = NULL }, out);
    explain_case(expr, "signed in", &(struct expr_context){ .caller = &user }, out);
    explain_case(expr, "signed in, moderator", &(struct expr_context){ .caller = &moderator }, out);
}
