/*
 * Values as SQL: columns, bound parameters, arithmetic, and paths through references as scalar
 * subqueries (by unique id: one look). Each form can stand anywhere: it brings its own parentheses.
 */
#include "base/arena.h"
#include "base/macros.h"
#include "contract/expr_private.h"
#include "contract/sql.h"

/* Names come from contracts, whose grammar knows no quotes. */
void expr__emit_name(struct expr_emitter *e, struct slice name)
{
    char *p = buf_reserve(e->out, name.len + 2);
    if (p == NULL)
        return;
    p[0] = '"';
    memcpy(p + 1, name.data, name.len);
    p[name.len + 1] = '"';
    e->out->len += name.len + 2;
}

void expr__emit_number(struct expr_emitter *e, unsigned number)
{
    buf_putc(e->out, '_');
    buf_put_u64(e->out, number);
}

void expr__emit_column(struct expr_emitter *e, const struct expr_scope *scope, struct slice column)
{
    if (e->sql == NULL) {
        buf_put_slice(e->out, e->prefix);
    } else {
        if (scope->quoted)
            expr__emit_name(e, scope->alias);
        else if (scope->alias.len)
            buf_put_slice(e->out, scope->alias);
        else
            expr__emit_number(e, scope->number);
        buf_putc(e->out, '.');
    }
    expr__emit_name(e, column);
}

/* On one line, whatever the text: schemas are compared line by line, and triggers hold statements
 * in comments. */
static void put_text_literal(struct buf *out, struct slice text, bool lower)
{
    bool has_breaks = slice_find(text, '\n') != SIZE_MAX || slice_find(text, '\r') != SIZE_MAX;
    buf_put_cstr(out, has_breaks ? "('" : "'");
    for (size_t i = 0; i < text.len; i++) {
        char ch = text.data[i];
        if (lower && ch >= 'A' && ch <= 'Z')
            ch = (char)(ch | 32);
        if (ch == '\'')
            buf_put_lit(out, "''");
        else if (ch == '\n' || ch == '\r')
            buf_printf(out, "' || char(%d) || '", ch);
        else
            buf_putc(out, ch);
    }
    buf_put_cstr(out, has_breaks ? "')" : "'");
}

void expr__emit_literal(struct buf *out, struct expr_value value)
{
    size_t start = out->len;
    switch (value.kind) {
    case EXPR_VALUE_I64:
        buf_put_i64(out, value.as.i64);
        return;
    case EXPR_VALUE_DOUBLE:
        buf_put_double(out, value.as.real);
        for (size_t i = start; i < out->len; i++)
            if (strchr(".eE", out->data[i]))
                return;
        buf_put_lit(out, ".0"); /* else 1/2 would be an integer's division */
        return;
    case EXPR_VALUE_TEXT:
        put_text_literal(out, value.as.bytes, value.lower);
        return;
    case EXPR_VALUE_BLOB:
        buf_put_lit(out, "x'");
        buf_put_hex(out, value.as.bytes.data, value.as.bytes.len);
        buf_putc(out, '\'');
        return;
    default:
        buf_put_lit(out, "NULL");
    }
}

/* Lower case happens here for texts that only the evaluator has seen. */
static struct slice text_of(struct expr_emitter *e, struct expr_value value)
{
    if (!value.lower)
        return value.as.bytes;
    char *lower = arena_alloc(e->sql->arena, value.as.bytes.len + 1);
    if (lower == NULL) {
        e->out->status = STATUS_EXHAUSTED;
        return SLICE_NULL;
    }
    for (size_t i = 0; i < value.as.bytes.len; i++) {
        char ch = value.as.bytes.data[i];
        lower[i] = (char)(ch >= 'A' && ch <= 'Z' ? ch | 32 : ch);
    }
    return slice_of(lower, value.as.bytes.len);
}

void expr__emit_known(struct expr_emitter *e, struct expr_value value)
{
    if (e->sql == NULL) {
        expr__emit_literal(e->out, value);
        return;
    }
    switch (value.kind) {
    case EXPR_VALUE_I64:
        store_sql_value(e->sql, store_i64(value.as.i64));
        return;
    case EXPR_VALUE_DOUBLE:
        store_sql_value(e->sql, store_double(value.as.real));
        return;
    case EXPR_VALUE_TEXT:
    case EXPR_VALUE_JSON:
        store_sql_value(e->sql, store_text(text_of(e, value)));
        return;
    case EXPR_VALUE_BLOB:
        store_sql_value(e->sql, store_blob(value.as.bytes));
        return;
    default:
        buf_put_lit(e->out, "NULL");
    }
}

void expr__emit_guard(struct expr_emitter *e, const struct contract *other, bool guarded,
                      unsigned number)
{
    if (other->soft_delete) {
        buf_put_lit(e->out, " AND ");
        expr__emit_number(e, number);
        buf_put_lit(e->out, ".\"deleted_at\" IS NULL");
    }
    const struct expr *rule = other->rules[CONTRACT_READ];
    if (!guarded || rule == NULL)
        return;
    if (!expr__is_in_scope(rule, &e->context)) {
        buf_put_lit(e->out, " AND 0");
        return;
    }
    struct expr_emitter inner = *e;
    inner.context.row = NULL;
    inner.grouped = true;
    inner.scopes[0] = (struct expr_scope){ .number = number };
    if (expr__decide(rule->root, &inner.context) == EXPR_YES)
        return;
    buf_put_lit(e->out, " AND (");
    expr__emit_condition(&inner, rule->root, /* negated= */ false);
    buf_putc(e->out, ')');
}

static void emit_path(struct expr_emitter *e, const struct expr_node *n)
{
    const struct contract *other = n->first->field->ref;
    unsigned number = ++*e->numbers;
    const struct expr_scope scope = { .number = number };
    buf_put_lit(e->out, "(SELECT ");
    expr__emit_column(e, &scope, n->column);
    buf_put_lit(e->out, " FROM ");
    expr__emit_name(e, other->name);
    buf_put_lit(e->out, " AS ");
    expr__emit_number(e, number);
    buf_put_lit(e->out, " WHERE ");
    expr__emit_column(e, &scope, SLICE("id"));
    buf_put_lit(e->out, " = ");
    expr__emit_value(e, n->first);
    expr__emit_guard(e, other, n->guarded, number);
    buf_putc(e->out, ')');
}

static void emit_pair(struct expr_emitter *e, const struct expr_node *a, const char *op,
                      const struct expr_node *b)
{
    buf_putc(e->out, '(');
    expr__emit_value(e, a);
    buf_put_cstr(e->out, op);
    expr__emit_value(e, b);
    buf_putc(e->out, ')');
}

static void emit_call(struct expr_emitter *e, const char *function,
                      const struct expr_node *argument)
{
    buf_put_cstr(e->out, function);
    buf_putc(e->out, '(');
    expr__emit_value(e, argument);
    buf_putc(e->out, ')');
}

static void emit_ternary(struct expr_emitter *e, const struct expr_node *n)
{
    const struct expr_node *yes = n->first->next;
    buf_put_lit(e->out, "(CASE WHEN ");
    expr__emit_condition(e, n->first, /* negated= */ false);
    buf_put_lit(e->out, " THEN ");
    expr__emit_value(e, yes);
    buf_put_lit(e->out, " ELSE ");
    expr__emit_value(e, yes->next);
    buf_put_lit(e->out, " END)");
}

void expr__emit_value(struct expr_emitter *e, const struct expr_node *n)
{
    static const char *const operators[] = { " + ", " - ", " * ", " / ", " % " };
    struct expr_value known = expr__eval(n, &e->context);
    if (known.kind != EXPR_VALUE_UNKNOWN) {
        expr__emit_known(e, known);
        return;
    }
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_FIELD:
        expr__emit_column(e, &e->scopes[n->scope], n->column);
        return;
    case EXPR_NODE_PATH:
        emit_path(e, n);
        return;
    case EXPR_NODE_ARITH:
        emit_pair(e, n->first, operators[n->op - EXPR_OP_ADD], n->first->next);
        return;
    case EXPR_NODE_NEGATE:
        buf_put_lit(e->out, "(0 - ");
        expr__emit_value(e, n->first);
        buf_putc(e->out, ')');
        return;
    case EXPR_NODE_SIZE:
        emit_call(e, n->first->type == EXPR_TYPE_LIST ? "json_array_length" : "length", n->first);
        return;
    case EXPR_NODE_LOWER:
        emit_call(e, "lower", n->first);
        return;
    case EXPR_NODE_TERNARY:
        if (expr__decide(n->first, &e->context) == EXPR_ASK)
            emit_ternary(e, n);
        else
            expr__emit_value(e, expr__decide(n->first, &e->context) == EXPR_YES
                                    ? n->first->next
                                    : n->first->next->next);
        return;
    default: /* a condition as a value */
        buf_put_lit(e->out, "((");
        expr__emit_condition(e, n, /* negated= */ false);
        buf_put_lit(e->out, ") IS TRUE)");
    }
}

bool expr__may_be_null(const struct expr_node *n)
{
    if (n->kind == EXPR_NODE_FIELD)
        return !n->not_null;
    if (n->kind == EXPR_NODE_LOWER || n->kind == EXPR_NODE_SIZE)
        return expr__may_be_null(n->first);
    return !(expr__is_literal(n) || n->kind == EXPR_NODE_NOW || expr__is_condition(n));
}
