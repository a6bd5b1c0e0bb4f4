/*
 * identity/audit_private.h - Private to the audit log: its rows, anchors and keys.
 */
#pragma once

#include <pthread.h>

#include "fiber/loop.h"
#include "identity/audit.h"
#include "identity/secret.h"
#include "store/store.h"

/* -- keys (audit_keys.c)
 * -----------------------------------------------------------------------------------------------
 */

/* Each change of the secret begins one. */
#define IDENTITY__AUDIT_KEYS_MAX 32u

struct identity__audit_key {
    int64_t generation;
    int64_t created_us, sealed_us;
    bool is_lost; /* no secret opens it */
    bool is_sealed_with_previous;
    uint8_t bytes[32];
};
struct identity__audit_keys {
    struct identity__audit_key items[IDENTITY__AUDIT_KEYS_MAX]; /* by generation */
    unsigned len;
};

/* Make or read the keys of the log. As identity_audit_open. */
enum status identity__audit_keys_open(struct identity_audit *audit, bool replace_lost,
                                      struct arena *arena, struct problem *problem);
/* The key of a generation; when it is not known, the table is looked at again. NOT_FOUND: it is
 * lost, or there is none. */
enum status identity__audit_key_find(struct store_tx *tx, struct identity_audit *audit,
                                     int64_t generation, struct identity__audit_key *ret_key);
enum status identity__audit_key_find_task(struct task *task, struct identity_audit *audit,
                                          int64_t generation, struct identity__audit_key *ret_key);
/* The newest one: new rows are chained by it. */
struct identity__audit_key identity__audit_key_current(struct identity_audit *audit);
/* Begin a new one, if the secret was changed long enough ago. */
enum status identity__audit_keys_upkeep(struct task *task, struct identity_audit *audit,
                                        int64_t now_us);

/* -- the chain (audit_chain.c)
 * ----------------------------------------------------------------------------------------- */

extern const struct slice identity__audit_schema;

/* The hash of a row that follows one with `previous`; all zeros: it follows none. */
void identity__audit_row_hash(const struct identity__audit_key *key,
                              const uint8_t previous[IDENTITY_AUDIT_HASH_BYTES],
                              const struct identity_audit_row *row,
                              uint8_t ret_hash[IDENTITY_AUDIT_HASH_BYTES]);

/* A row that is known to be the newest (`head`), or the last one that was pruned (`tail`). */
struct identity__audit_anchor {
    int64_t seq, generation;
    uint8_t hash[IDENTITY_AUDIT_HASH_BYTES];
    uint8_t mac[IDENTITY_AUDIT_HASH_BYTES];
};
void identity__audit_anchor_mac(const struct identity__audit_key *key, struct slice name,
                                const struct identity__audit_anchor *anchor,
                                uint8_t ret_mac[IDENTITY_AUDIT_HASH_BYTES]);
bool identity__audit_anchor_is_ours(const struct identity__audit_key *key, struct slice name,
                                    const struct identity__audit_anchor *anchor);
/* Of the columns seq, generation, hash, mac from `column` on; false: they are none. */
bool identity__audit_anchor_take(const struct store_rows *rows, unsigned column,
                                 struct identity__audit_anchor *ret_anchor);
enum status identity__audit_anchor_write(struct store_tx *tx, struct identity_audit *audit,
                                         struct slice name, int64_t seq,
                                         const uint8_t hash[IDENTITY_AUDIT_HASH_BYTES]);
#define IDENTITY__AUDIT_HEAD SLICE("head")
#define IDENTITY__AUDIT_TAIL SLICE("tail")

/* As identity_audit_put: several rows, with one look at the head. */
enum status identity__audit_put_all(struct store_tx *tx, struct identity_audit *audit,
                                    const struct identity_audit_event *const *events,
                                    unsigned events_len);

/* At most `max` bytes of it, control characters and what is no UTF-8 as '?'. Empty without memory.
 */
struct slice identity__audit_text(struct arena *arena, struct slice text, size_t max);

/* The columns of a row, in the order that identity__audit_row_take reads them. */
#define IDENTITY__AUDIT_COLUMNS                                                                    \
    "seq, at, generation, act, outcome, actor, actor_id, subject_kind, subject_id, address,"       \
    " agent, request_id, details, hash"
/* Texts point into the rows. False: the hash is none. */
bool identity__audit_row_take(const struct store_rows *rows, struct identity_audit_row *ret_row);

/* -- notes (audit_notes.c)
 * --------------------------------------------------------------------------------------------- */

struct identity__audit_note {
    struct identity__audit_note *next;
    struct identity_audit_event event;
    char texts[];
};
struct identity__audit_notes {
    pthread_mutex_t lock;
    struct identity__audit_note *first, **end;
    unsigned len;
    uint64_t dropped[IDENTITY_AUDIT_ACTS]; /* since the log last said so */
    bool is_flushing;
};
void identity__audit_notes_init(struct identity__audit_notes *notes);
void identity__audit_notes_fini(struct identity__audit_notes *notes);

/* -- the whole
 * -------------------------------------------------------------------------------------------------
 */

struct identity_audit {
    struct store *store;
    struct metrics *metrics;
    unsigned metric;
    uint32_t series[IDENTITY_AUDIT_ACTS][IDENTITY_AUDIT_OUTCOMES]; /* atomic; 0: not yet made */
    int64_t keep_us;
    bool is_read_only;
    struct identity_pepper seal, seal_previous;
    bool has_previous;

    pthread_mutex_t lock; /* of keys; held for a few instructions */
    struct identity__audit_keys keys;

    struct identity__audit_notes notes;

    struct loop *loop; /* that flushes */
    struct loop_timer timer;
    int64_t upkeep_us; /* when it was last done; monotonic */
    int64_t told_us;   /* when the head was last looked at to be told; monotonic */
    int64_t told_seq;  /* the head that the program's log was last told */
    bool is_working;   /* a task of the timer's */
    void (*ended)(void *arg);
    void *ended_arg;
};

void identity__audit_count(struct identity_audit *audit, enum identity_audit_act act,
                           enum identity_audit_outcome outcome);
/* Tell the program's log the head, once an hour if it has moved: what is collected elsewhere is a
 * witness that `purlin audit verify --head` takes. */
enum status identity__audit_tell_head(struct task *task, struct identity_audit *audit);

/* Delete what is older than keep_us, once the oldest row is so by an eighth, at most a day. */
enum status identity__audit_prune(struct task *task, struct identity_audit *audit, int64_t now_us);
