/*
 * Conditions as SQL. The language knows two answers and SQL three, so negation is pushed down to
 * the comparisons: a positive one may be NULL, which WHERE takes for false, and stays as an index
 * can use it (t."col" = $1); a negative one asks IS NOT TRUE. What the caller alone decides is gone
 * before anything is written.
 */
#include "base/arena.h"
#include "base/macros.h"
#include "contract/expr_private.h"
#include "contract/sql.h"
#include "fiber/task.h"

/* Inline, so that the length of a literal is known. */
static inline void put(struct expr_emitter *e, const char *text)
{
    buf_put(e->out, text, strlen(text));
}

/* Open and close a leaf that is not TRUE rather than false. */
static void not_true_open(struct expr_emitter *e, bool negated)
{
    if (negated)
        buf_putc(e->out, '(');
}

static void not_true_close(struct expr_emitter *e, bool negated)
{
    if (negated)
        put(e, ") IS NOT TRUE");
}

static void emit_undecided(struct expr_emitter *e, const struct expr_node *n, bool negated);

static void emit_chain(struct expr_emitter *e, const struct expr_node *n, bool negated,
                       bool grouped)
{
    const char *joint = (n->kind == EXPR_NODE_AND) != negated ? " AND " : " OR ";
    enum expr_answer decisive = n->kind == EXPR_NODE_AND ? EXPR_NO : EXPR_YES;
    uint64_t asks[EXPR_NODES_MAX / 64] = { 0 };
    unsigned written = 0, left = 0, i = 0;
    for (const struct expr_node *child = n->first; child; child = child->next, i++) {
        enum expr_answer answer = expr__decide(child, &e->context);
        if (answer == decisive) { /* a null that was computed: nobody looked before */
            put(e, (answer == EXPR_YES) != negated ? "1" : "0");
            return;
        }
        if (answer != EXPR_ASK)
            continue;
        asks[i / 64] |= (uint64_t)1 << i % 64;
        left++;
    }
    if (left == 0)
        put(e, (decisive == EXPR_NO) != negated ? "1" : "0");
    bool parentheses = left > 1 && !grouped;
    if (parentheses)
        buf_putc(e->out, '(');
    i = 0;
    for (const struct expr_node *child = n->first; child; child = child->next, i++) {
        if (!(asks[i / 64] >> i % 64 & 1))
            continue;
        if (written++)
            put(e, joint);
        e->grouped = grouped && left == 1;
        emit_undecided(e, child, negated);
    }
    if (parentheses)
        buf_putc(e->out, ')');
}

static bool value_may_be_null(const struct expr_emitter *e, const struct expr_node *n)
{
    struct expr_value v = expr__eval(n, &e->context);
    return v.kind == EXPR_VALUE_UNKNOWN ? expr__may_be_null(n) : v.kind == EXPR_VALUE_NULL;
}

static void emit_compare(struct expr_emitter *e, const struct expr_node *n, bool negated)
{
    static const char *const operators[] = { " = ", " <> ", " < ", " <= ", " > ", " >= " };
    static const enum expr_op opposites[] = { EXPR_OP_NE, EXPR_OP_EQ, EXPR_OP_GE,
                                              EXPR_OP_GT, EXPR_OP_LE, EXPR_OP_LT };
    enum expr_op op = (enum expr_op)n->op;
    if (op == EXPR_OP_NE) {
        op = EXPR_OP_EQ;
        negated = !negated;
    }
    const struct expr_node *a = n->first, *b = a->next;
    bool may_be_null = value_may_be_null(e, a) || value_may_be_null(e, b);
    if (negated && !may_be_null) {
        op = opposites[op];
        negated = false;
    }
    not_true_open(e, negated);
    expr__emit_value(e, a);
    put(e, operators[op]);
    expr__emit_value(e, b);
    not_true_close(e, negated);
}

static void emit_in_values(struct expr_emitter *e, const struct expr_node *n, bool negated)
{
    const struct expr_node *list = n->first->next;
    not_true_open(e, negated);
    expr__emit_value(e, n->first);
    put(e, " IN (");
    unsigned written = 0;
    if (list->kind == EXPR_NODE_ROLES) {
        for (unsigned i = 0; i < e->context.caller->roles_len; i++) {
            put(e, written++ ? ", " : "");
            expr__emit_known(e, (struct expr_value){ .kind = EXPR_VALUE_TEXT,
                                                     .as.bytes = e->context.caller->roles[i] });
        }
    } else {
        for (const struct expr_node *item = list->first; item; item = item->next) {
            if (expr__eval(item, &e->context).kind == EXPR_VALUE_NULL)
                continue;
            put(e, written++ ? ", " : "");
            expr__emit_value(e, item);
        }
    }
    put(e, ")");
    not_true_close(e, negated);
}

/* Items are stored as JSON, where an id is its text. */
static void emit_item(struct expr_emitter *e, const struct expr_node *needle)
{
    struct expr_value v = expr__eval(needle, &e->context);
    if (v.kind != EXPR_VALUE_BLOB) {
        expr__emit_value(e, needle);
        return;
    }
    char *text = arena_alloc(e->sql->arena, UUID_TEXT_LEN);
    if (text == NULL) {
        e->out->status = STATUS_EXHAUSTED;
        return;
    }
    struct uuid id;
    memcpy(id.bytes, v.as.bytes.data, sizeof(id.bytes));
    uuid_format(&id, text);
    store_sql_value(e->sql, store_text(slice_of(text, UUID_TEXT_LEN)));
}

/* With a `contains` index: t."_row" IN (SELECT "row" FROM side WHERE value = $1), which is never
 * null. */
static void emit_in_side(struct expr_emitter *e, const struct expr_node *n, struct slice side,
                         bool negated)
{
    const struct expr_node *list = n->first->next;
    unsigned number = ++*e->numbers;
    const struct expr_scope scope = { .number = number };
    expr__emit_column(e, &e->scopes[list->scope], SLICE(CONTRACT_SQL_ROW));
    put(e, negated ? " NOT IN (SELECT " : " IN (SELECT ");
    expr__emit_column(e, &scope, SLICE("row"));
    put(e, " FROM ");
    expr__emit_name(e, side);
    put(e, " AS ");
    expr__emit_number(e, number);
    put(e, " WHERE ");
    expr__emit_column(e, &scope, SLICE("value"));
    put(e, " = ");
    emit_item(e, n->first);
    put(e, ")");
}

static void emit_in_field(struct expr_emitter *e, const struct expr_node *n, bool negated)
{
    const struct expr_node *list = n->first->next;
    bool is_column =
        list->kind == EXPR_NODE_FIELD && expr__eval(list, &e->context).kind == EXPR_VALUE_UNKNOWN;
    if (is_column) {
        struct slice side = contract_sql_list_table(list->owner, list->field, e->sql->arena);
        if (side.len) {
            emit_in_side(e, n, side, negated);
            return;
        }
    }
    unsigned number = ++*e->numbers;
    const struct expr_scope scope = { .number = number };
    put(e, negated ? "NOT EXISTS (SELECT 1 FROM json_each(" : "EXISTS (SELECT 1 FROM json_each(");
    expr__emit_value(e, list);
    put(e, ") AS ");
    expr__emit_number(e, number);
    put(e, " WHERE ");
    expr__emit_column(e, &scope, SLICE("value"));
    put(e, " = ");
    emit_item(e, n->first);
    put(e, ")");
}

/* The least text that is greater than every text with this prefix; empty when there is none. */
static struct slice prefix_end(struct expr_emitter *e, struct slice prefix)
{
    size_t len = prefix.len;
    for (; len > 0; len--) {
        unsigned char last = (unsigned char)prefix.data[len - 1];
        /* Only ASCII is counted up, so that the text stays UTF-8; ~ becomes DEL. */
        if (last < 0x7F)
            break;
        if (last >= 0x80)
            return SLICE_NULL;
    }
    if (len == 0)
        return SLICE_NULL;
    char *end = arena_alloc(e->sql->arena, len);
    if (end == NULL) {
        e->out->status = STATUS_EXHAUSTED;
        return SLICE_NULL;
    }
    memcpy(end, prefix.data, len);
    end[len - 1]++;
    return slice_of(end, len);
}

/* A prefix that is known is a range, which an index can walk. */
static bool emit_range(struct expr_emitter *e, const struct expr_node *text, struct expr_value part)
{
    if (e->sql == NULL || text->kind != EXPR_NODE_FIELD || part.kind != EXPR_VALUE_TEXT ||
        part.lower)
        return false;
    struct slice end = prefix_end(e, part.as.bytes);
    if (end.len == 0)
        return false;
    put(e, "(");
    expr__emit_value(e, text);
    put(e, " >= ");
    expr__emit_known(e, part);
    put(e, " AND ");
    expr__emit_value(e, text);
    put(e, " < ");
    expr__emit_known(e, (struct expr_value){ .kind = EXPR_VALUE_TEXT, .as.bytes = end });
    put(e, ")");
    return true;
}

static void emit_starts(struct expr_emitter *e, const struct expr_node *text,
                        const struct expr_node *part)
{
    if (emit_range(e, text, expr__eval(part, &e->context)))
        return;
    put(e, "substr(");
    expr__emit_value(e, text);
    put(e, ", 1, length(");
    expr__emit_value(e, part);
    put(e, ")) = ");
    expr__emit_value(e, part);
}

/* substr(text, -n, n) is the last n characters, all of a shorter text, and nothing for n = 0 as
 * long as -n is not 0. */
static void emit_ends(struct expr_emitter *e, const struct expr_node *text,
                      const struct expr_node *part)
{
    put(e, "substr(");
    expr__emit_value(e, text);
    put(e, ", 0 - max(1, length(");
    expr__emit_value(e, part);
    put(e, ")), length(");
    expr__emit_value(e, part);
    put(e, ")) = ");
    expr__emit_value(e, part);
}

static void emit_text(struct expr_emitter *e, const struct expr_node *n, bool negated)
{
    const struct expr_node *text = n->first, *part = text->next;
    not_true_open(e, negated);
    if (n->kind == EXPR_NODE_STARTS) {
        emit_starts(e, text, part);
    } else if (n->kind == EXPR_NODE_ENDS) {
        emit_ends(e, text, part);
    } else {
        put(e, "instr(");
        expr__emit_value(e, text);
        put(e, ", ");
        expr__emit_value(e, part);
        put(e, ") > 0");
    }
    not_true_close(e, negated);
}

static void emit_exists(struct expr_emitter *e, const struct expr_node *n, bool negated)
{
    unsigned number = ++*e->numbers;
    struct expr_emitter inner = *e;
    inner.scopes[n->scope] = (struct expr_scope){ .number = number };
    put(e, negated ? "NOT EXISTS (SELECT 1 FROM " : "EXISTS (SELECT 1 FROM ");
    expr__emit_name(e, n->contract->name);
    put(e, " AS ");
    expr__emit_number(e, number);
    put(e, " WHERE ");
    expr__emit_condition(&inner, n->first, /* negated= */ false);
    expr__emit_guard(e, n->contract, n->guarded, number);
    put(e, ")");
}

static void emit_ternary(struct expr_emitter *e, const struct expr_node *n, bool negated)
{
    const struct expr_node *yes = n->first->next;
    put(e, "CASE WHEN ");
    expr__emit_condition(e, n->first, /* negated= */ false);
    put(e, " THEN ");
    expr__emit_condition(e, yes, negated);
    put(e, " ELSE ");
    expr__emit_condition(e, yes->next, negated);
    put(e, " END");
}

/* A value that is true or false or null. */
static void emit_flag(struct expr_emitter *e, const struct expr_node *n, bool negated)
{
    expr__emit_value(e, n);
    if (!negated)
        put(e, " = 1");
    else
        put(e, expr__may_be_null(n) ? " IS NOT 1" : " = 0");
}

static void emit_undecided(struct expr_emitter *e, const struct expr_node *n, bool negated)
{
    bool grouped = e->grouped;
    e->grouped = false;
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_AND:
    case EXPR_NODE_OR:
        emit_chain(e, n, negated, grouped);
        return;
    case EXPR_NODE_NOT:
        e->grouped = grouped;
        emit_undecided(e, n->first, !negated);
        return;
    case EXPR_NODE_COMPARE:
        emit_compare(e, n, negated);
        return;
    case EXPR_NODE_IN:
        if (n->first->next->kind == EXPR_NODE_FIELD || n->first->next->kind == EXPR_NODE_PATH)
            emit_in_field(e, n, negated);
        else
            emit_in_values(e, n, negated);
        return;
    case EXPR_NODE_STARTS:
    case EXPR_NODE_ENDS:
    case EXPR_NODE_CONTAINS:
        emit_text(e, n, negated);
        return;
    case EXPR_NODE_EXISTS:
        emit_exists(e, n, negated);
        return;
    case EXPR_NODE_IS_NULL:
        expr__emit_value(e, n->first);
        put(e, negated ? " IS NOT NULL" : " IS NULL");
        return;
    case EXPR_NODE_TERNARY:
        emit_ternary(e, n, negated);
        return;
    default:
        emit_flag(e, n, negated);
    }
}

void expr__emit_condition(struct expr_emitter *e, const struct expr_node *n, bool negated)
{
    enum expr_answer answer = expr__decide(n, &e->context);
    if (answer == EXPR_ASK) {
        emit_undecided(e, n, negated);
        return;
    }
    e->grouped = false;
    put(e, (answer == EXPR_YES) != negated ? "1" : "0");
}

static void emit_whole(struct expr_emitter *e, const struct expr *expr)
{
    enum expr_answer answer = expr_decide(expr, &e->context);
    if (answer != EXPR_ASK) {
        put(e, answer == EXPR_YES ? "1" : "0");
        return;
    }
    e->grouped = true;
    buf_putc(e->out, '(');
    emit_undecided(e, expr->root, /* negated= */ false);
    buf_putc(e->out, ')');
}

void expr_emit(const struct expr *expr, const struct expr_context *context, struct slice alias,
               struct store_sql *sql)
{
    unsigned numbers = 0;
    struct expr_emitter e = { .sql = sql,
                              .out = &sql->text,
                              .context = *context,
                              .scopes = { { .alias = alias } },
                              .numbers = &numbers };
    e.context.row = NULL;
    if (alias.len == 0 && expr->contract)
        e.scopes[0] = (struct expr_scope){ .alias = expr->contract->name, .quoted = true };
    emit_whole(&e, expr);
}

void expr_emit_row(const struct expr *expr, const struct expr_context *context,
                   struct store_sql *sql)
{
    unsigned numbers = 0;
    struct expr_emitter e = {
        .sql = sql, .out = &sql->text, .context = *context, .numbers = &numbers
    };
    emit_whole(&e, expr);
}

void expr_emit_ddl(const struct expr *expr, struct slice prefix, struct buf *out)
{
    unsigned numbers = 0;
    struct expr_emitter e = { .out = out, .prefix = prefix, .numbers = &numbers };
    emit_whole(&e, expr);
}
