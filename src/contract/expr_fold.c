/*
 * What needs neither caller nor row is computed once, when the expression is compiled. Here
 * overflow is an error; over rows it is what SQLite makes of it (expr_eval.c). And what an
 * expression costs, for filters of strangers.
 */
#include <math.h>

#include "base/arena.h"
#include "base/clock.h"
#include "contract/expr_private.h"

/* The years that have a text: 0000-01-01 to 9999-12-31. */
#define TIME_MIN (-62167219200 * CLOCK_SECOND)
#define TIME_MAX (253402300800 * CLOCK_SECOND - 1)

/* In place, keeping the siblings. */
static void node_become(struct expr_node *n, const struct expr_node *other)
{
    struct expr_node *next = n->next;
    *n = *other;
    n->next = next;
}

/* true && x is x; false && x is false; likewise for ||. */
static void fold_chain(struct expr_node *n)
{
    int64_t decisive = n->kind == EXPR_NODE_OR;
    struct expr_node **place = &n->first;
    while (*place) {
        const struct expr_node *child = *place;
        if (child->kind != EXPR_NODE_BOOL) {
            place = &(*place)->next;
        } else if (child->as.i64 == decisive) {
            node_become(n, child);
            return;
        } else {
            *place = child->next;
        }
    }
    if (n->first && n->first->next)
        return;
    if (n->first) {
        node_become(n, n->first);
        return;
    }
    n->kind = EXPR_NODE_BOOL;
    n->as.i64 = !decisive;
}

static bool lower_in_arena(struct expr_compiler *c, struct expr_node *n, struct slice text)
{
    char *lower = arena_alloc(c->arena, text.len ? text.len : 1);
    if (lower == NULL)
        return expr__fail(c, STATUS_EXHAUSTED, n->offset, "no memory");
    for (size_t i = 0; i < text.len; i++)
        lower[i] =
            (char)(text.data[i] >= 'A' && text.data[i] <= 'Z' ? text.data[i] | 32 : text.data[i]);
    n->text = slice_of(lower, text.len);
    n->kind = EXPR_NODE_STRING;
    return true;
}

static bool constant_set(struct expr_compiler *c, struct expr_node *n, struct expr_value v)
{
    static const uint8_t kinds[] = {
        [EXPR_TYPE_BOOL] = EXPR_NODE_BOOL,     [EXPR_TYPE_INT] = EXPR_NODE_INT,
        [EXPR_TYPE_DOUBLE] = EXPR_NODE_DOUBLE, [EXPR_TYPE_STRING] = EXPR_NODE_STRING,
        [EXPR_TYPE_TIME] = EXPR_NODE_TIME,     [EXPR_TYPE_DURATION] = EXPR_NODE_DURATION,
        [EXPR_TYPE_DATE] = EXPR_NODE_DATE,     [EXPR_TYPE_UUID] = EXPR_NODE_UUID,
    };
    if (v.kind == EXPR_VALUE_NULL)
        return true; /* a null that was computed is not the word null: x == it is false */
    if (n->type == EXPR_TYPE_TIME && (v.as.i64 < TIME_MIN || v.as.i64 > TIME_MAX))
        return expr__fail(c, STATUS_INVALID, n->offset, "the time is outside the years 0 to 9999");
    if (v.kind == EXPR_VALUE_I64) {
        n->kind = kinds[n->type];
        n->as.i64 = v.as.i64;
        if (n->type == EXPR_TYPE_DOUBLE)
            n->as.real = (double)v.as.i64;
    } else if (v.kind == EXPR_VALUE_DOUBLE) {
        if (n->type != EXPR_TYPE_DOUBLE || !isfinite(v.as.real))
            return expr__fail(c, STATUS_INVALID, n->offset, "the result is too large");
        n->kind = EXPR_NODE_DOUBLE;
        n->as.real = v.as.real;
    } else if (v.kind == EXPR_VALUE_TEXT && v.lower) {
        if (!lower_in_arena(c, n, v.as.bytes))
            return false;
    } else if (v.kind == EXPR_VALUE_TEXT) {
        n->kind = kinds[n->type];
        n->text = v.as.bytes;
    } else if (v.kind == EXPR_VALUE_BLOB) {
        n->kind = EXPR_NODE_UUID;
        memcpy(n->as.uuid.bytes, v.as.bytes.data, sizeof(n->as.uuid.bytes));
    }
    n->first = NULL;
    n->depth = 1;
    return true;
}

bool expr__fold(struct expr_compiler *c, struct expr_node *n)
{
    if (n->kind == EXPR_NODE_AND || n->kind == EXPR_NODE_OR) {
        fold_chain(n);
        return true;
    }
    if (n->kind == EXPR_NODE_IN && n->first->next->kind == EXPR_NODE_LIST &&
        n->first->next->first == NULL) {
        *n = (struct expr_node){ .kind = EXPR_NODE_BOOL,
                                 .type = EXPR_TYPE_BOOL,
                                 .depth = 1,
                                 .offset = n->offset,
                                 .next = n->next };
        return true;
    }
    if (n->needs != 0 || n->kind == EXPR_NODE_LIST || expr__is_literal(n))
        return true;
    const struct expr_context nothing = { .row = NULL };
    return constant_set(c, n, expr__eval(n, &nothing));
}

static unsigned cost_of(const struct expr_node *n)
{
    switch ((enum expr_kind)n->kind) {
    case EXPR_NODE_COMPARE:
    case EXPR_NODE_IS_NULL:
    case EXPR_NODE_TERNARY:
    case EXPR_NODE_ARITH:
    case EXPR_NODE_NEGATE:
        return 1;
    case EXPR_NODE_STARTS:
        return 2;
    case EXPR_NODE_SIZE:
    case EXPR_NODE_LOWER:
        return 3;
    case EXPR_NODE_CONTAINS:
    case EXPR_NODE_ENDS:
        return 5;
    case EXPR_NODE_PATH:
    case EXPR_NODE_EXISTS:
        return 20;
    case EXPR_NODE_IN:
        return n->first->next->kind == EXPR_NODE_FIELD || n->first->next->kind == EXPR_NODE_PATH
                   ? 2
                   : 1;
    case EXPR_NODE_FIELD:
        return n->type == EXPR_TYPE_BOOL ? 1 : 0;
    default:
        return 0;
    }
}

unsigned expr__cost(const struct expr_node *n)
{
    unsigned cost = cost_of(n), items = 0;
    for (const struct expr_node *child = n->first; child; child = child->next) {
        cost += expr__cost(child);
        items++;
    }
    return n->kind == EXPR_NODE_LIST ? cost + items / 8 : cost;
}
