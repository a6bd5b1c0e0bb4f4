/*
 * resource/resource_private.h - What the engine's files share. A request is a resource_call: it
 * holds the catalog (the contracts with what was prepared from them) until it ends. Reads: query
 * parameters -> resource_plan -> statement -> rows -> answer. Writes: resource_op, prepared in the
 * task, executed in the store's transaction, answered in the task.
 */
#pragma once

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/metric.h"
#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"
#include "contract/contract.h"
#include "contract/expr.h"
#include "contract/sql.h"
#include "fiber/task.h"
#include "http/http.h"
#include "resource/resource.h"
#include "store/store.h"

#define RESOURCE_ANSWER_MAX                                                                        \
    ((size_t)32 << 20)                        /* of one answer; the arena's budget is met first    \
                                               */
#define RESOURCE_PAGE_BYTES ((size_t)2 << 20) /* a page with more ends early */
#define RESOURCE_SORT_MAX 5u
#define RESOURCE_SORT_ROWS_MAX 10000 /* a sort that no index serves is refused beyond */
#define RESOURCE_COUNT_MAX 10000     /* count=estimated counts this far */
#define RESOURCE_OFFSET_MAX 10000
/* What a cursor may carry of its row. As text it fits, four bytes for three, into a request line of
 * 8 KiB. */
#define RESOURCE_CURSOR_KEYS_MAX ((size_t)5632)
#define RESOURCE_EQUALS_MAX 32u
#define RESOURCE_EXPAND_MAX 16u   /* nodes */
#define RESOURCE_CHILDREN_MAX 20u /* rows of a child list */
#define RESOURCE_EXPAND_ROWS_MAX 5000u
#define RESOURCE_CASCADE_MAX 10000 /* rows that one delete may take along */
#define RESOURCE_PATCH_OPS_MAX 100u

/* -- the catalog: contracts and what was prepared from them (info.c)
 * ----------------------------------- */

/* Which fields are selected, and how they are written. */
struct resource_shape {
    const struct contract_field **fields;
    struct slice *keys; /* `{"id":`, `,"title":`, ... */
    uint16_t *columns;  /* of the statement, where each field begins */
    unsigned len;
    struct slice select; /* t."id", t."title", ... */
    unsigned select_len; /* columns of the statement so far; what comes after is the caller's */
    int16_t *column_of;  /* [contract->fields_len]: of the statement, or -1 */
    unsigned id_column, version_column;
};

/* What contracts can limit. */
enum resource_limited {
    RESOURCE_LIMITED_LIST,
    RESOURCE_LIMITED_READ,
    RESOURCE_LIMITED_CREATE,
    RESOURCE_LIMITED_UPDATE,
    RESOURCE_LIMITED_DELETE,
    RESOURCE_LIMITED
};

struct resource_info {
    const struct contract *contract;
    struct resource_catalog *catalog;
    struct slice table; /* quoted */
    struct slice path;  /* /api/v1/posts */
    struct slice item_label, restore_label, export_label;
    struct resource_shape shown;  /* every field but the writeonly ones */
    struct resource_shape stored; /* every field: for comparing and patching inside a write */
    struct slice select_by_id;    /* up to and including WHERE t."id" = $1 (and not deleted) */
    struct slice insert;
    uint16_t *insert_columns; /* of contract->columns */
    unsigned insert_len;
    const struct contract_field *id, *created_at, *updated_at, *version,
        *deleted_at;                                  /* the last: or NULL */
    struct slice *field_names;                        /* shown ones, for "did you mean" */
    const struct http_rate *limits[RESOURCE_LIMITED]; /* NULL: none */
    atomic_uint item_bytes, list_bytes; /* of the last answer: how much to reserve for the next */
};

struct resource_catalog {
    struct contract_set *set;
    struct slice prefix;            /* /api/v1/ */
    struct resource_catalog *older; /* of the version before; or NULL. Held with this one */
    struct resource_info *infos;    /* [set->len], in the order of the set */
    struct arena *arena;
    bool has_limits;               /* some of the infos do */
    unsigned refs;                 /* under the engine's lock */
    struct resource_catalog *next; /* of those replaced but still held */
};

/* `app` may be NULL: without limits. */
enum status resource__catalog_new(struct contract_set *set, struct http_app *app,
                                  struct resource_catalog **ret_catalog);
void resource__catalog_free(struct resource_catalog *catalog);
/* Without the contracts. */
void resource__catalogs_drop(struct resource_catalog *catalog);
/* Names, table and INSERT alone, which is all that an import needs. `contract` is set. */
enum status resource__info_begin(struct resource_info *info, struct arena *arena);
/* NULL when there is none. */
const struct resource_info *resource__info_find(const struct resource_catalog *catalog,
                                                struct slice name);
static inline const struct resource_info *resource__info_of(const struct resource_catalog *catalog,
                                                            const struct contract *contract)
{
    return &catalog->infos[contract->index];
}

struct resource_shape_options {
    const bool *fields;                   /* [contract->fields_len]: shown ones; NULL: all */
    bool writeonly;                       /* these too */
    const struct contract_field **hidden; /* selected, not shown */
    unsigned hidden_len;
};
/* Always selects id and version. EXHAUSTED. */
enum status resource__shape_init(const struct contract *contract,
                                 const struct resource_shape_options *options, struct arena *arena,
                                 struct resource_shape *ret_shape);
void resource__put_name(struct buf *out, struct slice identifier); /* "quoted" */

/* -- the engine and a request (engine.c)
 * ------------------------------------------------------------------ */

struct resource_mount { /* a version's paths: what its routes are called with */
    struct resource_engine *engine;
    unsigned version;
};

struct resource_held { /* a catalog as one loop holds it: counted without atomics */
    struct resource_catalog *catalog;
    unsigned requests;
    bool retired;
};

struct resource_lane { /* of one loop */
    struct resource_lane *next;
    uint64_t generation;
    struct resource_held *held;
    struct task_latch reading; /* large bodies are read one at a time */
};

#define RESOURCE_FLIGHTS 256u
struct resource_flight { /* an idempotent request under way; lives in its arena */
    struct resource_flight *next;
    uint64_t hash;
    struct slice principal, key;
};

enum resource_idempotency_outcome {
    RESOURCE_IDEMPOTENCY_KEPT,
    RESOURCE_IDEMPOTENCY_REPLAYED,
    RESOURCE_IDEMPOTENCY_IN_FLIGHT,
    RESOURCE_IDEMPOTENCY_MISMATCH,
    RESOURCE_IDEMPOTENCY_OUTCOMES
};

struct resource_engine {
    struct store *store;
    struct http_app *app;
    unsigned limit_default, limit_max, batch_max, expand_depth_max;
    int64_t idempotency_ttl_us;
    bool require_if_match;
    void (*on_export)(void *arg, struct http_request *req, struct slice resource);
    void *on_export_arg;
    enum status (*on_delete)(void *arg, struct store_tx *tx, const struct contract *contract,
                             const struct uuid *id);
    void *on_delete_arg;
    uint8_t cursor_key[32];
    unsigned slot;
    atomic_uint_fast64_t generation;
    struct resource_mount *mounts; /* newest first */
    unsigned mounts_len;
    pthread_mutex_t lock; /* of catalog, its refs, lanes and flights; never held across a wait */
    struct resource_catalog *catalog;
    struct resource_catalog *retired; /* replaced, still held by somebody */
    struct resource_lane *lanes;
    struct resource_flight *flights[RESOURCE_FLIGHTS];
    atomic_uint idempotent_writes; /* every so often one of them purges */
    struct metrics *metrics;       /* may be NULL */
    metric_series idempotency[RESOURCE_IDEMPOTENCY_OUTCOMES];
};

struct resource_call {
    struct resource_engine *engine;
    struct task *task;
    struct http_request *req;
    struct arena *arena;
    struct problem *problem;
    struct resource_held *held;
    struct task_latch *reading; /* of the lane */
    const struct resource_catalog *catalog;
    const struct resource_info *info; /* NULL for a batch */
    struct expr_context context;
};

/* Fail with words; `http` overrides the status's own code (0: not). The first failure's words win.
 */
#define resource__fail(problem_, arena_, st_, http_, ...)                                          \
    resource__fail_as((problem_),                                                                  \
                      problem_put((problem_), (arena_), __FILE__, __LINE__, (st_), __VA_ARGS__),   \
                      (http_))
static inline enum status resource__fail_as(struct problem *problem, enum status st, int http)
{
    if (http && !problem->http_status && problem->status == st)
        problem->http_status = http;
    return st;
}
static inline bool resource__is_anonymous(const struct resource_call *call)
{
    const struct task_caller *caller = call->context.caller;
    return !caller || (!caller->has_user && caller->roles_len == 0 && !caller->is_scoped);
}
/* 401 for who has not said who they are, 403 for the others. */
enum status resource__refuse(const struct resource_call *call, struct problem *problem,
                             struct arena *arena, const struct contract *contract,
                             enum contract_action action);
enum status resource__not_found(struct problem *problem, struct arena *arena);

/* -- query parameters to a plan (plan.c)
 * ----------------------------------------------------------------- */

enum resource_count { RESOURCE_COUNT_NONE, RESOURCE_COUNT_EXACT, RESOURCE_COUNT_ESTIMATED };
enum resource_format { RESOURCE_FORMAT_JSON, RESOURCE_FORMAT_CSV, RESOURCE_FORMAT_NDJSON };

struct resource_sort {
    const struct contract_field *field; /* NULL: the rank of a full text search */
    bool descending;
    bool nullable;
};

struct resource_equal {
    const struct contract_field *field;
    struct store_value value; /* STORE_NULL: IS NULL */
    bool used;                /* taken into the set of an earlier one of the same field */
};

struct resource_expand {
    struct resource_expand *next, *children;  /* siblings; what is expanded inside */
    const struct contract_field *field;       /* this ref is followed ... */
    const struct contract_referrer *referrer; /* ... or these rows refer here */
    const struct resource_info *target;
    struct slice name;
};

#define RESOURCE_PLAN_ITEM 1u /* fields, expand, deleted */
#define RESOURCE_PLAN_LIST 2u /* everything */
#define RESOURCE_PLAN_EXPORT                                                                       \
    4u /* format; limit without a maximum; no paging, counting, expanding */

struct resource_plan {
    const struct resource_info *info;
    unsigned uses;
    int64_t limit; /* of an export: 0 means all */
    int64_t offset;
    bool has_offset, has_cursor, deleted, sort_is_given;
    struct slice cursor;
    struct resource_sort sort[RESOURCE_SORT_MAX + 1]; /* ends with id */
    unsigned sort_len;
    struct resource_equal equals[RESOURCE_EQUALS_MAX];
    unsigned equals_len;
    struct expr *filter;
    struct expr *lists[4]; /* ?tags=x: contains */
    unsigned lists_len;
    struct slice q;     /* as sent; data NULL: none */
    struct slice match; /* in FTS5's words */
    bool *fields;       /* [contract->fields_len], or NULL: all */
    struct resource_expand *expand;
    enum resource_count count;
    enum resource_format format;
    bool format_is_given;
};

struct resource_plan_input {
    const struct resource_catalog *catalog;
    const struct resource_info *info;
    unsigned uses;
    unsigned limit_default, limit_max, expand_depth_max;
    struct arena *arena;
    struct problem *problem;
};

/* Every bad parameter is reported: INVALID (400) with fields "?name". Never suspends. */
enum status resource__plan_parse(const struct resource_plan_input *input,
                                 const struct http_param *params, unsigned params_len,
                                 struct resource_plan *ret_plan);
/* The same from the request's query. */
enum status resource__plan_read(struct resource_call *call, unsigned uses,
                                struct resource_plan *ret_plan);
/* A write takes no parameters but those named (NULL-terminated). */
enum status resource__params_refuse(struct resource_call *call, const char *const *allowed,
                                    const struct http_param **ret_params, unsigned *ret_len);
/* What a cursor is bound to besides its own bytes. */
struct slice resource__plan_context(const struct resource_plan *plan,
                                    const struct task_caller *caller, struct arena *arena);
/* Is the order of this plan one that an index gives? */
bool resource__sort_is_indexed(const struct resource_plan *plan);
/* INVALID (400) when more rows match than may be sorted without an index. Suspends. */
enum status resource__check_order(struct resource_call *call, const struct resource_plan *plan);

/* Words of people to a query of FTS5: words are joined by AND, "quoted words" are phrases, the last
 * word (and each that ends with
 * `*`) matches beginnings. INVALID when no word is left. */
enum status resource__search_match(struct slice q, struct arena *arena, struct slice *ret_match);
/* A snippet as FTS5 marked it (\2 and \3 around hits), HTML-escaped, with <mark>, as a JSON string.
 */
void resource__search_highlight(struct slice snippet, struct buf *out);

/* -- cursors (cursor.c)
 * ------------------------------------------------------------------------------------ */

struct resource_cursor {
    bool backward;
    unsigned len;
    struct store_value keys[RESOURCE_SORT_MAX + 1];
};

/* Append the cursor's text: base64url of direction, keys and a keyed BLAKE2b over them and
 * `context`. */
void resource__cursor_write(const uint8_t key[32], struct slice context,
                            const struct resource_cursor *cursor, struct buf *out);
/* INVALID when it is malformed, signed by somebody else or for another context. Bytes of keys live
 * in `arena`. */
enum status resource__cursor_read(const uint8_t key[32], struct slice context, struct slice text,
                                  struct arena *arena, struct resource_cursor *ret_cursor);

/* -- statements (where.c)
 * ---------------------------------------------------------------------------------- */

/* " AND ..." of the caller's read rule over `alias`, unless it is plainly true. False: it is
 * plainly false, nothing can be read. */
bool resource__put_rule(struct store_sql *sql, const struct resource_call *call,
                        const struct contract *contract, enum contract_action action,
                        struct slice alias);
/* FROM ... WHERE ... of a plan, without paging. False: nothing can match. */
bool resource__put_from(struct store_sql *sql, const struct resource_call *call,
                        const struct resource_plan *plan);
void resource__put_keyset(struct store_sql *sql, const struct resource_plan *plan,
                          const struct resource_cursor *cursor);
void resource__put_order(struct store_sql *sql, const struct resource_plan *plan, bool backward);

/* -- rows to JSON (row.c)
 * --------------------------------------------------------------------------------- */

void resource__row_write(const struct resource_shape *shape, const struct store_rows *rows,
                         struct buf *out);
/* The same from values in the order of contract->columns. */
void resource__row_write_values(const struct resource_shape *shape,
                                const struct store_value *values, struct buf *out);
/* `"12-89abcdef01234567"` */
struct slice resource__etag(int64_t version, struct slice representation, struct arena *arena);
/* Where a row is found: `/api/v1/posts/01890a5d-...`; empty when the arena is full. */
struct slice resource__location(const struct resource_info *info, const struct uuid *id,
                                struct arena *arena);
/* Does If-Match (RFC 9110 13.1.1) allow a row of this version? Only the part before the dash is
 * compared. */
bool resource__if_match_allows(struct slice header, int64_t version);
/* The value of a column, its bytes in `arena`. EXHAUSTED. */
enum status resource__rows_copy(const struct store_rows *rows, unsigned column, struct arena *arena,
                                struct store_value *ret_value);
bool resource__value_eq(const struct store_value *a, const struct store_value *b);
/* Send a representation with its ETag; 304 when the caller has it. */
void resource__send_item(struct resource_call *call, int status, int64_t version, struct slice body,
                         struct slice location);

/* -- expanding (expand.c)
 * ---------------------------------------------------------------------------------- */

struct resource_branch;
struct resource_rowset { /* rows kept for a moment, as expanding needs them all at once */
    const struct resource_info *info;
    const struct resource_shape *shape;
    struct store_value **rows; /* each [width] */
    unsigned len, cap, width;
    struct resource_branch *branches;
    unsigned branches_len;
};
/* Copy the current row. */
enum status resource__rowset_add(struct resource_rowset *set, const struct store_rows *rows,
                                 unsigned width, struct arena *arena);
/* Fetch what `nodes` ask for: one statement for each node and 64 parents. More than fits is INVALID
 * (400). Suspends. */
enum status resource__rowset_expand(struct resource_call *call, struct resource_rowset *set,
                                    const struct resource_expand *nodes);
/* The statement for the child lists of these parents. False: none may be read. */
bool resource__put_children(struct store_sql *sql, const struct resource_call *call,
                            const struct resource_info *parent, const struct resource_expand *node,
                            const struct slice *ids, unsigned len);
void resource__rowset_write(const struct resource_rowset *set, unsigned row, struct buf *out);

/* -- bodies (body.c, patch.c)
 * --------------------------------------------------------------------------------- */

#define RESOURCE_JSON_DEPTH_MAX 32u
/* Read a JSON text, with the words for whoever sent it (400, or 413). */
enum status resource__json_read(struct slice text, struct arena *arena, struct problem *problem,
                                json_t **ret_value);
/* The same, as deep as the request's policy lets it. Suspends for the turn of a large one. */
enum status resource__body_read(const struct resource_call *call, struct slice text,
                                json_t **ret_value);
/* RFC 7396: what becomes of `target` (may be NULL) when `patch` is merged in. NULL when the arena
 * is spent. */
json_t *resource__merge(json_t *target, const json_t *patch, struct arena *arena);
/*
 * RFC 6902: apply `patch` (an array of operations) to a copy of `document`.
 *
 * Errors   INVALID: 422 with a pointer to the operation; CONFLICT: 409 when a `test` fails;
 * EXHAUSTED.
 */
enum status resource__patch(const json_t *document, const json_t *patch, struct slice pointer,
                            struct arena *arena, struct problem *problem, json_t **ret_document);

/* -- writes (write.c, children.c, conflict.c)
 * --------------------------------------------------------------- */

enum resource_verb {
    RESOURCE_CREATE,
    RESOURCE_REPLACE,
    RESOURCE_MERGE,
    RESOURCE_PATCH,
    RESOURCE_DELETE,
    RESOURCE_RESTORE
};

struct resource_child_row {
    struct resource_child_row *next;
    const struct resource_info *info;
    struct uuid id;
    struct contract_row row;
    struct slice pointer;
};

/* One write. Prepared where it is cheap (in the task), executed where the transaction is. */
struct resource_op {
    enum resource_verb verb;
    const struct resource_call *call; /* engine, catalog, caller; not its arena or problem */
    const struct resource_info *info;
    struct arena *arena; /* the task's, as lent to the transaction */
    struct problem *problem;
    struct uuid id;
    json_t *body;
    struct slice pointer;  /* prefix of pointers in problems */
    struct slice if_match; /* data NULL: none */
    bool minimal;          /* no representation is wanted */
    bool is_alone;         /* the transaction's only operation, and nothing is written after it */
    /* prepared */
    bool is_prepared;
    struct contract_row row;
    enum expr_answer create;
    struct resource_child_row *children;
    /* the answer */
    int status;
    int64_t version;
    struct slice answer; /* the representation, or empty */
};

/* Validate what can be validated without the database. */
enum status resource__op_prepare(struct resource_op *op);
enum status resource__op_execute(struct resource_op *op, struct store_tx *tx);
/* Give the row its id, times and version. *id outlives the row. */
void resource__row_stamp(const struct resource_info *info, struct contract_row *row,
                         const struct uuid *id, int64_t now_us);
enum status resource__insert(struct store_tx *tx, const struct resource_info *info,
                             const struct contract_row *row, struct slice pointer);
enum status resource__children_prepare(struct resource_op *op,
                                       const struct contract_children *children);
enum status resource__children_insert(struct resource_op *op, struct store_tx *tx);
/* Words for the constraint that just failed. `row` is what was written (NULL for a delete). */
enum status resource__conflict(struct store_tx *tx, const struct contract *contract,
                               const struct contract_row *row, const struct uuid *id,
                               struct slice pointer);
/* Does the rule answer yes for this candidate row, asking the database where it must? */
enum status resource__rule_ask(struct store_tx *tx, const struct resource_op *op,
                               const struct contract *contract, enum contract_action action,
                               const struct contract_row *row, bool *ret_allowed);

/* -- idempotency (idempotency.c)
 * ------------------------------------------------------------------------------ */

struct resource_idempotency {
    struct resource_engine *engine;
    struct resource_flight flight;
    bool is_on, is_flying;
    uint8_t fingerprint[16];
    int64_t now_us;
};
/*
 * Look at Idempotency-Key. OK with *ret_replayed true: the stored answer was sent again. CONFLICT:
 * one with this key is under way. INVALID: 400 for a malformed key, 422 for a key used with another
 * body. Suspends.
 */
enum status resource__idempotency_begin(struct resource_call *call, struct slice body,
                                        struct resource_idempotency *ret, bool *ret_replayed);
/* Keep the answer, in the transaction that did the work. */
enum status resource__idempotency_keep(struct resource_idempotency *idempotency,
                                       struct store_tx *tx, int status, struct slice location,
                                       struct slice etag, struct slice body);
/* Before the answer is sent: whoever has it may ask again at once. Again does nothing. */
void resource__idempotency_end(struct resource_idempotency *idempotency);
extern const struct slice resource__idempotency_schema;
void resource__idempotency_metrics(struct resource_engine *engine);

/* -- CSV (csv.c)
 * ------------------------------------------------------------------------------------------------
 */

void resource__csv_header(const struct resource_shape *shape, struct buf *out);
void resource__csv_row(const struct resource_shape *shape, const struct store_rows *rows,
                       struct buf *out);
/* One cell: quoted where RFC 4180 asks for it; text that a spreadsheet would run as a formula gets
 * a leading apostrophe. */
void resource__csv_text(struct slice text, struct buf *out);

/* -- handlers
 * --------------------------------------------------------------------------------------------------
 */

enum status resource__list(struct resource_call *call);
enum status resource__read(struct resource_call *call);
enum status resource__create(struct resource_call *call);
enum status resource__replace(struct resource_call *call);
enum status resource__update(struct resource_call *call);
enum status resource__delete(struct resource_call *call);
enum status resource__restore(struct resource_call *call);
enum status resource__export(struct resource_call *call);
enum status resource__export_plan(struct resource_call *call, struct resource_plan *plan);
enum status resource__batch(struct resource_call *call);
/* The row's id from the path; a malformed one is NOT_FOUND. */
enum status resource__path_id(struct resource_call *call, struct uuid *ret_id);
bool resource__prefers_minimal(const struct resource_call *call);

/* -- limits (limits.c)
 * ----------------------------------------------------------------------------------- */

enum status resource__limits_init(struct resource_info *info, struct http_app *app,
                                  struct arena *arena);
/* Charge one of what call->info limits. EXHAUSTED with the problem of a 429. */
enum status resource__limits_take(struct resource_call *call, enum resource_limited action);

#define RESOURCE_TALLY_MAX 16u

/* What a write comes to. */
struct resource_tally {
    const struct http_rate *rates[RESOURCE_TALLY_MAX];
    uint32_t costs[RESOURCE_TALLY_MAX];
    unsigned len;
    bool overflow;
};
void resource__tally_add(struct resource_tally *tally, const struct http_rate *rate);
/* An operation that is prepared: its row and those inside it. */
void resource__tally_op(struct resource_tally *tally, const struct resource_op *op);
enum status resource__tally_take(struct resource_call *call, const struct resource_tally *tally);
