/*
 * contract/expr.h - The one small language of rules, filters and partial indexes: a subset of CEL.
 * One grammar, one AST. Type-checked against the contract when compiled; becomes SQL with bound
 * parameters only. docs/filters.md is the reference for those who write it.
 *
 *     visibility == "public" || author == @user
 *         || (visibility == "followers"
 *             && exists(follows, follower == @user && followee == author))
 *
 * Truth is two-valued: a comparison with null is false, except `x == null` and `x != null`, which
 * ask for null; `!=` is the exact opposite of `==`. So an anonymous caller (whose @user is null)
 * never equals a missing author. In exists(resource, condition) a name means the inner resource's
 * field if it has one, else the outer row's; `resource.field` names the row of that resource around
 * the innermost one. Rows that are softly deleted are not there for exists and for paths.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;
struct contract;
struct contract_row;
struct contract_set;
struct expr;
struct store_sql;
struct task_caller;

enum expr_use {
    EXPR_RULE,   /* trusted: written by the team; all of the language */
    EXPR_FILTER, /* from a client: cost limit, writeonly fields hidden, exists() obeys the inner
                    read rule */
    EXPR_INDEX   /* partial index, count where: no @, no exists, no now */
};

#define EXPR_BYTES_MAX 4096u
#define EXPR_DEPTH_MAX 32u
#define EXPR_NODES_MAX 256u
#define EXPR_COST_MAX 100u /* filters: documented in docs/filters.md */
#define EXPR_EXISTS_DEPTH_MAX 3u

struct expr_error {
    size_t offset;    /* into the text */
    char reason[240]; /* a sentence */
    char hint[120];   /* "Did you mean `author`?", or empty */
};

/*
 * Parse, resolve names, check types, fold constants. INVALID (ret_error), TOO_LARGE (bytes, depth,
 * nodes or cost; ret_error says which), EXHAUSTED. The result is immutable and lives in `arena`; it
 * may refer to the text. `contract` may be NULL for expressions over the caller alone (admin
 * routes).
 */
enum status expr_compile(const struct contract_set *set, const struct contract *contract,
                         struct slice text, enum expr_use use, struct arena *arena,
                         struct expr **ret_expr, struct expr_error *ret_error);

struct expr_context {
    const struct task_caller *caller; /* NULL: anonymous */
    int64_t now_us;
    const struct contract_row *row; /* candidate row for create and update, or NULL */
};

/*
 * What a rule lets somebody do, as scopes name it (base/rights.h): a caller who is scoped is
 * refused by it unless one of their scopes covers "posts:read". The texts outlive the expression.
 */
void expr_permission_set(struct expr *expr, struct slice resource, struct slice action);

enum expr_answer { EXPR_NO, EXPR_YES, EXPR_ASK };
/* Decide without the database: from the caller alone (row NULL) or with the candidate row. ASK: it
 * depends on stored rows. */
enum expr_answer expr_decide(const struct expr *expr, const struct expr_context *context);

/* Append the condition as SQL over table alias `alias` (a bare word that does not begin with an
 * underscore; empty: the table's name), in parentheses; parts that the caller alone
 * decides are folded away first (an anonymous caller's `author == @user` leaves nothing behind),
 * values are bound. A decided expression appends 1 or 0. */
void expr_emit(const struct expr *expr, const struct expr_context *context, struct slice alias,
               struct store_sql *sql);
/* The same with the fields of context->row bound as values instead of columns: `SELECT <this>`
 * answers create rules with exists. */
void expr_emit_row(const struct expr *expr, const struct expr_context *context,
                   struct store_sql *sql);
/* As SQL text with literals inlined and bare column names: for CREATE INDEX ... WHERE and triggers;
 * `prefix` is "" or "NEW." or "OLD.". Only for EXPR_INDEX. */
void expr_emit_ddl(const struct expr *expr, struct slice prefix, struct buf *out);

/* The names of others that an expression asks for, each where it stands in the text: roles by
 * "x" in @roles, scopes and permissions by "a:b" in @scopes and can("a:b"). */
enum expr_name { EXPR_NAME_ROLE, EXPR_NAME_SCOPE, EXPR_NAME_PERMISSION };
typedef void (*expr_name_fn)(void *arg, enum expr_name kind, struct slice name, size_t offset);
void expr_names(const struct expr *expr, expr_name_fn fn, void *arg);

/* One part of an expression, with what came of it for a row and a caller. */
struct expr_step {
    unsigned depth; /* 0: the whole */
    size_t offset;  /* into the text */
    struct slice text;
    struct slice values;     /* "author = null, @user = 0189...": what was compared; may be empty */
    enum expr_answer answer; /* ASK: not known without the row */
};
/* Ask the database a question of one row and column. */
typedef enum status (*expr_ask_fn)(void *arg, const struct store_sql *sql, bool *ret_yes);
/*
 * Why an expression says what it says: each condition in it, the whole first, all of them, also
 * those that did not matter any more. The scopes of the caller are no part of it
 * (task_caller_is_in_scope).
 *
 * Errors   EXHAUSTED, or what `ask` returns.
 * Memory   in the arena. Context  suspends as `ask` does.
 */
enum status expr_trace(const struct expr *expr, const struct expr_context *context,
                       struct arena *arena, expr_ask_fn ask, void *arg,
                       struct expr_step **ret_steps, unsigned *ret_len);

unsigned expr_cost(const struct expr *expr);
/* The canonical text (for cursors and `purlin check --explain`), and a picture of what it compiles
 * to. */
void expr_print(const struct expr *expr, struct buf *out);
void expr_explain(const struct expr *expr, struct buf *out);
