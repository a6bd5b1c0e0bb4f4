/*
 * identity/audit_prune.c - Retention. The oldest rows go in order, never one from the middle: a
 * prefix of the chain, up to the first row that is young enough. The tail names the last one that
 * went, so that the rest is verified from there; the triggers let exactly those go.
 */
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/audit_private.h"

/* Of one write, before which all others wait. */
#define ROWS_AT_ONCE 500u

/* The oldest rows, and the first one among them that is to stay. */
static const char oldest_sql[] = "SELECT seq, at, hash"
                                 "  FROM purlin_audit"
                                 " ORDER BY seq"
                                 " LIMIT 501";
_Static_assert(ROWS_AT_ONCE == 500, "as oldest_sql has it, and one more");

static const char delete_sql[] = "DELETE FROM purlin_audit WHERE seq <= $1";

static const char first_sql[] = "SELECT at FROM purlin_audit ORDER BY seq LIMIT 1";

#define SQL(text) slice_of((text), sizeof(text) - 1)

struct pruning {
    struct identity_audit *audit;
    int64_t before_us;
    bool has_more;
};

/* The last row that goes; 0: none does. The newest row stays, whatever its age: the chain goes
 * on from it. */
static enum status find_last(struct store_tx *tx, struct pruning *p, int64_t *ret_seq,
                             uint8_t hash[IDENTITY_AUDIT_HASH_BYTES])
{
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_query(tx, SQL(oldest_sql), NULL, 0, &rows);
    int64_t last = 0, seq = 0;
    uint8_t its_hash[IDENTITY_AUDIT_HASH_BYTES] = { 0 };
    unsigned n = 0;
    bool is_old = true;
    while (st == STATUS_OK && is_old && (st = store_rows_next(rows)) == STATUS_OK) {
        /* That a row follows tells that the one before is not the newest. */
        if (seq > 0) {
            last = seq;
            memcpy(hash, its_hash, sizeof(its_hash));
            n++;
        }
        struct slice bytes = store_rows_bytes(rows, 2);
        is_old = store_rows_i64(rows, 1) < p->before_us && bytes.len == sizeof(its_hash);
        seq = store_rows_i64(rows, 0);
        if (is_old)
            memcpy(its_hash, bytes.data, sizeof(its_hash));
    }
    p->has_more = n == ROWS_AT_ONCE;
    *ret_seq = last;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status write_pruning(struct store_tx *tx, void *arg)
{
    struct pruning *p = arg;
    int64_t seq;
    uint8_t hash[IDENTITY_AUDIT_HASH_BYTES];
    enum status st = find_last(tx, p, &seq, hash);
    if (st != STATUS_OK || seq == 0)
        return st;
    st = identity__audit_anchor_write(tx, p->audit, IDENTITY__AUDIT_TAIL, seq, hash);
    const struct store_value through = store_i64(seq);
    if (st == STATUS_OK)
        st = store_tx_exec(tx, SQL(delete_sql), &through, 1, NULL);
    if (st != STATUS_OK)
        return st;
    const struct identity_audit_event event = {
        .act = IDENTITY_AUDIT_PRUNED,
        .actor = IDENTITY_AUDIT_SYSTEM,
        .details = arena_printf(store_tx_arena(tx), "{\"through\":%lld}", (long long)seq),
    };
    return identity_audit_put(tx, p->audit, &event);
}

static enum status is_due(struct task *task, struct identity_audit *audit, int64_t before_us,
                          bool *ret_due)
{
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(task, audit->store, SQL(first_sql), NULL, 0, &rows);
    *ret_due = st == STATUS_OK && store_rows_i64(rows, 0) < before_us;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

enum status identity__audit_prune(struct task *task, struct identity_audit *audit, int64_t now_us)
{
    struct pruning p = { .audit = audit, .before_us = now_us - audit->keep_us };
    if (audit->keep_us == 0)
        return STATUS_OK;
    /* Each pruning is a row too: not one a minute for ever. */
    int64_t slack_us = MIN(audit->keep_us / 8, CLOCK_DAY);
    enum status st = is_due(task, audit, p.before_us - slack_us, &p.has_more);
    while (st == STATUS_OK && p.has_more)
        st = store_write(task, audit->store, write_pruning, &p);
    return st;
}
