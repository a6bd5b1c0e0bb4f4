/*
 * resource/resource.h - The engine: list, read, create, replace, patch, delete, restore, batch and
 * export, over any contract.
 *
 * Data passes: http_request -> the contract by name (the current set, held for the request) ->
 * query parameters to a plan -> SQL with the caller's read rule inside -> rows written straight
 * into the answer's buffer; bodies through contract_validate into a store_write that checks rules,
 * versions and constraints in the transaction.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "contract/contract.h"
#include "contract/expr.h"

struct http_app;
struct http_request;
struct metrics;
struct resource_engine;
struct store;
struct store_tx;
struct task;

struct resource_options {
    struct store *store;
    struct metrics *metrics;    /* may be NULL */
    struct slice secret;        /* at least 16 bytes: signs cursors; the same on every node */
    unsigned limit_default;     /* 0: 20 */
    unsigned limit_max;         /* 0: 100 */
    unsigned batch_max;         /* operations; 0: 100 */
    unsigned expand_depth_max;  /* 0: 3 */
    int64_t idempotency_ttl_us; /* 0: 24 h */
    bool require_if_match;      /* PUT, PATCH, DELETE without If-Match: 428 */
    /* Told when an export of rows begins to be sent; does not suspend. May be NULL. */
    void (*on_export)(void *arg, struct http_request *req, struct slice resource);
    void *on_export_arg;
    /* A row was deleted for its readers (also where it can be restored): what hangs on it beside
     * the contracts goes in the same write. What it returns is the write's. May be NULL. */
    enum status (*on_delete)(void *arg, struct store_tx *tx, const struct contract *contract,
                             const struct uuid *id);
    void *on_delete_arg;
};

/* Make the engine's own tables if missing (purlin_idempotency, ...), add its routes
 * (/api/v1/{resource}, .../{id}, /api/v1/batch, ...). */
enum status resource_open(struct http_app *app, struct contract_set *set,
                          const struct resource_options *options, struct arena *arena,
                          struct problem *problem, struct resource_engine **ret);
void resource_close(struct resource_engine *engine);

/* Replace the contracts (SIGHUP) without dropping a request: running ones keep the old set until
 * they end. Takes the set. Any thread. */
void resource_reload(struct resource_engine *engine, struct contract_set *set);
/* The current set, held until released: for documents. Any thread. */
struct contract_set *resource_set_hold(struct resource_engine *engine);
void resource_set_release(struct resource_engine *engine, struct contract_set *set);

/* -- why
 * ---------------------------------------------------------------------------------------------- */

struct resource_question {
    const struct contract *contract; /* linked: of a set that is held, or a tool's */
    enum contract_action action;
    const struct task_caller *caller;
    int64_t now_us;
    const struct uuid *row; /* that is stored; NULL: of create, or without one in mind */
    const json_t *body;     /* create: the row to be; update: what would change. May be NULL */
};

struct resource_rule_answer {
    bool is_in_scope; /* the caller's scopes let them do this at all */
    enum expr_answer answer;
    struct expr_step *steps;
    unsigned steps_len;
};

struct resource_decision {
    bool is_there;    /* the row */
    bool is_readable; /* what may not be read is not there for them */
    enum expr_answer allowed;
    bool has_changed; /* update with a body: `changed` was asked too */
    struct resource_rule_answer read, action, changed;
    const char *reason; /* constant: a sentence of what decided */
};

/*
 * What the engine would say, and why: the same rules in the same order, without doing anything. A
 * body is validated as the engine does it. ASK: it depends on the row, and none was named.
 *
 * Errors   INVALID with the task's problem: the body is not valid; else what the store reports.
 * Memory   in the task's arena. Context  suspends.
 */
enum status resource_decide(struct task *task, struct store *store,
                            const struct resource_question *question,
                            struct resource_decision *ret);

/*
 * Insert a validated row inside a write, for imports and demo data: no rules; id as given or new;
 * constraint failures become problem fields of the tx and CONFLICT. ret_id may be NULL.
 */
enum status resource_tx_insert(struct store_tx *tx, const struct contract_row *row,
                               const struct uuid *id, struct uuid *ret_id);
