/*
 * Why an expression says what it says. Every condition is looked at, with the values that it had;
 * what only other rows can tell is asked of the database, part by part, by the same SQL that a rule
 * becomes.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "contract/expr_private.h"
#include "contract/sql.h"
#include "fiber/task.h"

#define TEXT_MAX 400u /* of one part, for people */
#define VALUE_MAX 60u /* bytes of one text */
#define VALUES_MAX 400u

struct tracing {
    const struct expr_context *context;
    struct arena *arena;
    expr_ask_fn ask;
    void *arg;
    struct expr_step *steps;
    unsigned len;
    enum status status; /* the first failure */
};

/* -- values
 * -------------------------------------------------------------------------------------------- */

static void put_text(struct slice text, struct buf *out)
{
    size_t len = 0, bytes;
    while (len < text.len && (bytes = utf8_sequence(slice_from(text, len))) > 0 &&
           len + bytes <= VALUE_MAX)
        len += bytes;
    buf_printf(out, "\"%.*s%s\"", SLICE_ARG(slice_head(text, len)), len < text.len ? "..." : "");
}

static void put_time(int64_t us, struct buf *out)
{
    char text[CLOCK_RFC3339_LEN];
    clock_format_rfc3339(us, text);
    buf_put(out, text, sizeof(text));
}

static void put_roles(const struct task_caller *caller, struct buf *out)
{
    buf_putc(out, '[');
    for (unsigned i = 0; caller && i < caller->roles_len; i++)
        buf_printf(out, "%s\"%.*s\"", i ? ", " : "", SLICE_ARG(caller->roles[i]));
    buf_putc(out, ']');
}

static void put_value(const struct tracing *t, const struct expr_node *n, struct buf *out)
{
    struct expr_value v = expr__eval(n, t->context);
    switch (v.kind) {
    case EXPR_VALUE_NULL:
        buf_put_lit(out, "null");
        return;
    case EXPR_VALUE_I64:
        if (n->type == EXPR_TYPE_TIME)
            put_time(v.as.i64, out);
        else if (n->type == EXPR_TYPE_BOOL)
            buf_put_cstr(out, v.as.i64 ? "true" : "false");
        else
            buf_printf(out, "%lld", (long long)v.as.i64);
        return;
    case EXPR_VALUE_DOUBLE:
        buf_printf(out, "%.17g", v.as.real);
        return;
    case EXPR_VALUE_TEXT:
    case EXPR_VALUE_JSON:
        put_text(v.as.bytes, out);
        return;
    case EXPR_VALUE_BLOB:
        if (v.as.bytes.len == sizeof(struct uuid)) {
            char text[UUID_TEXT_LEN];
            struct uuid id;
            memcpy(id.bytes, v.as.bytes.data, sizeof(id.bytes));
            uuid_format(&id, text);
            buf_put(out, text, sizeof(text));
            return;
        }
        break;
    case EXPR_VALUE_ROLES:
        put_roles(t->context->caller, out);
        return;
    case EXPR_VALUE_SCOPES:
        buf_printf(out, "%lld of them", (long long)expr__scopes_len(t->context->caller));
        return;
    default:
        break;
    }
    buf_put_lit(out, "?");
}

/* What is looked at, wherever it stands in the part: fields, the caller, the time. */
static void put_operands(const struct tracing *t, const struct expr_node *n, struct buf *out)
{
    bool is_value = n->kind == EXPR_NODE_FIELD || n->kind == EXPR_NODE_PATH ||
                    n->kind == EXPR_NODE_USER || n->kind == EXPR_NODE_ROLES ||
                    n->kind == EXPR_NODE_SCOPES || n->kind == EXPR_NODE_NOW;
    if (is_value) {
        if (out->len)
            buf_put_lit(out, ", ");
        expr__print(n, out);
        buf_put_lit(out, " = ");
        put_value(t, n, out);
        return;
    }
    for (const struct expr_node *child = n->first; child; child = child->next)
        put_operands(t, child, out);
}

static struct slice values_of(const struct tracing *t, const struct expr_node *n)
{
    struct buf out;
    buf_init(&out, t->arena, 128, VALUES_MAX);
    if (n->kind != EXPR_NODE_EXISTS && n->kind != EXPR_NODE_CAN)
        put_operands(t, n, &out);
    return buf_status(&out) == STATUS_OK ? buf_slice(&out) : SLICE("...");
}

static struct slice text_of(const struct tracing *t, const struct expr_node *n)
{
    struct buf out;
    buf_init(&out, t->arena, 128, EXPR_BYTES_MAX * 2);
    expr__print(n, &out);
    struct slice text = buf_slice(&out);
    return text.len <= TEXT_MAX
               ? text
               : arena_printf(t->arena, "%.*s...", SLICE_ARG(slice_head(text, TEXT_MAX)));
}

/* -- answers
 * ------------------------------------------------------------------------------------------- */

static void fail(struct tracing *t, enum status st)
{
    if (t->status == STATUS_OK)
        t->status = st;
}

/* The outermost row's fields are values by now: SELECT the part alone. */
static enum expr_answer ask(struct tracing *t, const struct expr_node *n)
{
    unsigned numbers = 0;
    struct store_sql sql;
    bool yes = false;
    if ((n->needs & EXPR_NEEDS_ROW) && !t->context->row)
        return EXPR_ASK;
    store_sql_init(&sql, t->arena);
    store_sql_lit(&sql, "SELECT ");
    struct expr_emitter e = {
        .sql = &sql, .out = &sql.text, .context = *t->context, .numbers = &numbers
    };
    buf_putc(e.out, '(');
    expr__emit_condition(&e, n, /* negated= */ false);
    buf_putc(e.out, ')');
    enum status st = store_sql_status(&sql);
    if (st == STATUS_OK)
        st = t->ask(t->arg, &sql, &yes);
    if (st != STATUS_OK)
        fail(t, st);
    return yes ? EXPR_YES : EXPR_NO;
}

static enum expr_answer trace(struct tracing *t, const struct expr_node *n, unsigned depth);

static enum expr_answer trace_chain(struct tracing *t, const struct expr_node *n, unsigned depth)
{
    enum expr_answer decisive = n->kind == EXPR_NODE_AND ? EXPR_NO : EXPR_YES;
    enum expr_answer all = n->kind == EXPR_NODE_AND ? EXPR_YES : EXPR_NO;
    for (const struct expr_node *child = n->first; child; child = child->next) {
        enum expr_answer answer = trace(t, child, depth + 1);
        if (answer == decisive)
            all = decisive;
        else if (answer == EXPR_ASK && all != decisive)
            all = EXPR_ASK;
    }
    return all;
}

static enum expr_answer trace_condition(struct tracing *t, const struct expr_node *n,
                                        unsigned depth)
{
    if (n->kind == EXPR_NODE_AND || n->kind == EXPR_NODE_OR)
        return trace_chain(t, n, depth);
    if (n->kind == EXPR_NODE_NOT) {
        enum expr_answer answer = trace(t, n->first, depth + 1);
        return answer == EXPR_ASK ? EXPR_ASK : answer == EXPR_NO ? EXPR_YES : EXPR_NO;
    }
    enum expr_answer answer = expr__decide(n, t->context);
    return answer == EXPR_ASK ? ask(t, n) : answer;
}

static enum expr_answer trace(struct tracing *t, const struct expr_node *n, unsigned depth)
{
    struct expr_step *step = &t->steps[t->len++]; /* as many as nodes */
    bool is_leaf = n->kind != EXPR_NODE_AND && n->kind != EXPR_NODE_OR && n->kind != EXPR_NODE_NOT;
    *step = (struct expr_step){ .depth = depth,
                                .offset = n->offset,
                                .text = text_of(t, n),
                                .values = is_leaf ? values_of(t, n) : SLICE_NULL };
    step->answer = trace_condition(t, n, depth);
    return step->answer;
}

enum status expr_trace(const struct expr *expr, const struct expr_context *context,
                       struct arena *arena, expr_ask_fn ask_fn, void *arg,
                       struct expr_step **ret_steps, unsigned *ret_len)
{
    struct tracing t = { .context = context, .arena = arena, .ask = ask_fn, .arg = arg };
    t.steps = arena_array_of(arena, struct expr_step, EXPR_NODES_MAX);
    if (!t.steps)
        return STATUS_EXHAUSTED;
    (void)trace(&t, expr->root, 0);
    *ret_steps = t.steps;
    *ret_len = t.len;
    return t.status;
}
