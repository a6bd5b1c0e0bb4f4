/*
 * identity/audit_verify.c - Walking the chain from its oldest row to its head.
 *
 * The head is read before the walk: rows that come meanwhile are verified too, and the row that the
 * head named must be met on the way. It is read again at the end, as it may not be older than the
 * newest row. Pruning may take the oldest rows away between the look at the tail and the first
 * row; then both are looked at again.
 */
#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/audit_private.h"

#define ROWS_AT_ONCE 1000
#define TRIES_MAX 8u

static const char anchor_sql[] = "SELECT seq, generation, hash, mac"
                                 "  FROM purlin_audit_anchors"
                                 " WHERE name = $1";
static const char rows_sql[] = "SELECT " IDENTITY__AUDIT_COLUMNS "  FROM purlin_audit"
                               " WHERE seq > $1"
                               " ORDER BY seq"
                               " LIMIT 1000";
_Static_assert(ROWS_AT_ONCE == 1000, "as rows_sql has it");
static const char before_sql[] = "SELECT hash FROM purlin_audit WHERE seq = $1";

#define SQL(text) slice_of((text), sizeof(text) - 1)

struct walk {
    struct task *task;
    struct identity_audit *audit;
    const struct identity_audit_verify_options *options;
    struct identity_audit_report *report;
    struct identity__audit_anchor head, tail;
    bool has_head, has_tail;
    int64_t seq; /* of the row before */
    uint8_t hash[IDENTITY_AUDIT_HASH_BYTES];
    struct identity__audit_key key; /* of the last row */
    unsigned tries;
};

static struct slice say(struct walk *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static struct slice say(struct walk *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice text = arena_vprintf(task_arena(w->task), format, args);
    va_end(args);
    return text;
}

static void find_fault(struct walk *w, enum identity_audit_fault fault, int64_t seq,
                       struct slice detail)
{
    w->report->fault = fault;
    w->report->fault_seq = seq;
    w->report->detail = detail;
}

static bool is_over(const struct walk *w)
{
    return w->report->fault != IDENTITY_AUDIT_WHOLE;
}

/* -- anchors
 * -----------------------------------------------------------------------------------------------
 */

static enum status read_anchor(struct walk *w, struct slice name,
                               struct identity__audit_anchor *anchor, bool *has)
{
    const struct store_value value = store_text(name);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(w->task, w->audit->store, SQL(anchor_sql), &value, 1, &rows);
    *has = st == STATUS_OK && identity__audit_anchor_take(rows, 0, anchor);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status find_key(struct walk *w, int64_t generation, int64_t seq)
{
    if (w->key.generation == generation)
        return STATUS_OK;
    enum status st = identity__audit_key_find_task(w->task, w->audit, generation, &w->key);
    if (st != STATUS_NOT_FOUND)
        return st;
    find_fault(w, IDENTITY_AUDIT_FAULT_KEY, seq,
               say(w,
                   "Row %lld is chained by key %lld, which no secret opens. Set the secret of that "
                   "time as the previous one.",
                   (long long)seq, (long long)generation));
    return STATUS_OK;
}

static enum status check_anchor(struct walk *w, struct slice name,
                                const struct identity__audit_anchor *anchor,
                                enum identity_audit_fault fault, struct slice detail)
{
    enum status st = find_key(w, anchor->generation, anchor->seq);
    if (st == STATUS_OK && !is_over(w) && !identity__audit_anchor_is_ours(&w->key, name, anchor))
        find_fault(w, fault, anchor->seq, detail);
    return st;
}

static enum status read_anchors(struct walk *w)
{
    enum status st = read_anchor(w, IDENTITY__AUDIT_HEAD, &w->head, &w->has_head);
    if (st == STATUS_OK)
        st = read_anchor(w, IDENTITY__AUDIT_TAIL, &w->tail, &w->has_tail);
    if (st == STATUS_OK && w->has_head)
        st = check_anchor(w, IDENTITY__AUDIT_HEAD, &w->head, IDENTITY_AUDIT_FAULT_HEAD,
                          SLICE("The record of the newest row was not made by this "
                                "installation."));
    if (st == STATUS_OK && !is_over(w) && w->has_tail)
        st = check_anchor(w, IDENTITY__AUDIT_TAIL, &w->tail, IDENTITY_AUDIT_FAULT_TAIL,
                          SLICE("The record of what was pruned was not made by this "
                                "installation."));
    return st;
}

/* -- rows
 * --------------------------------------------------------------------------------------------------
 */

static void check_gap(struct walk *w, int64_t seq)
{
    long long first = w->seq + 1, last = seq - 1;
    if (seq == first)
        return;
    find_fault(w, IDENTITY_AUDIT_FAULT_GAP, seq,
               first == last ? say(w, "Row %lld is missing.", last)
                             : say(w, "Rows %lld to %lld are missing.", first, last));
}

static void check_restart(struct walk *w, const struct identity_audit_row *row)
{
    if (!slice_eq(row->act, slice_cstr(identity_audit_act_name(IDENTITY_AUDIT_RESTARTED))) ||
        row->seq <= w->options->from_seq)
        return;
    find_fault(w, IDENTITY_AUDIT_FAULT_RESTARTED, row->seq,
               say(w,
                   "The record of the newest row was missing or not ours when row %lld was "
                   "written: what stands before it may not be all there was. Verify what "
                   "follows with --from %lld.",
                   (long long)row->seq, (long long)row->seq));
}

static void check_marks(struct walk *w, const struct identity_audit_row *row)
{
    const struct identity_audit_head *witness = w->options->witness;
    if (witness && row->seq == witness->seq &&
        sodium_memcmp(witness->hash, row->hash, sizeof(row->hash)) != 0)
        find_fault(
            w, IDENTITY_AUDIT_FAULT_WITNESS, row->seq,
            say(w, "Row %lld is another one than the head that was noted.", (long long)row->seq));
    else if (w->has_head && row->seq == w->head.seq &&
             sodium_memcmp(w->head.hash, row->hash, sizeof(row->hash)) != 0)
        find_fault(w, IDENTITY_AUDIT_FAULT_HEAD, row->seq,
                   say(w, "Row %lld is another one than the record of the newest row says.",
                       (long long)row->seq));
}

static enum status check_row(struct walk *w, const struct identity_audit_row *row, bool has_hash)
{
    static const uint8_t none[IDENTITY_AUDIT_HASH_BYTES] = { 0 };
    uint8_t hash[IDENTITY_AUDIT_HASH_BYTES];
    check_gap(w, row->seq);
    enum status st = is_over(w) ? STATUS_OK : find_key(w, row->generation, row->seq);
    if (st != STATUS_OK || is_over(w))
        return st;
    bool follows_none =
        slice_eq(row->act, slice_cstr(identity_audit_act_name(IDENTITY_AUDIT_RESTARTED)));
    identity__audit_row_hash(&w->key, follows_none ? none : w->hash, row, hash);
    if (!has_hash || sodium_memcmp(hash, row->hash, sizeof(hash)) != 0)
        find_fault(w, IDENTITY_AUDIT_FAULT_ROW, row->seq,
                   say(w,
                       "Row %lld is not as it was written, or was not written by this "
                       "installation.",
                       (long long)row->seq));
    if (!is_over(w))
        check_restart(w, row);
    if (!is_over(w))
        check_marks(w, row);
    if (is_over(w))
        return STATUS_OK;
    struct identity_audit_report *report = w->report;
    report->first_seq = report->first_seq ? report->first_seq : row->seq;
    report->rows++;
    report->last.seq = w->seq = row->seq;
    memcpy(report->last.hash, row->hash, sizeof(row->hash));
    memcpy(w->hash, row->hash, sizeof(w->hash));
    return STATUS_OK;
}

/* NOT_FOUND: there are no more. CONFLICT: the oldest rows went while we looked. */
static enum status walk_some(struct walk *w)
{
    const struct store_value after = store_i64(w->seq);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_query(w->task, w->audit->store, SQL(rows_sql), &after, 1, &rows);
    unsigned n = 0;
    while (st == STATUS_OK && !is_over(w) && (st = store_rows_next(rows)) == STATUS_OK) {
        struct identity_audit_row row;
        bool has_hash = identity__audit_row_take(rows, &row);
        if (w->report->rows == 0 && row.seq > w->seq + 1 && w->tries < TRIES_MAX)
            return STATUS_CONFLICT;
        struct arena_mark mark = arena_mark(task_arena(w->task));
        st = check_row(w, &row, has_hash);
        if (!is_over(w))
            arena_rewind(task_arena(w->task), mark);
        n++;
    }
    if (st == STATUS_NOT_FOUND && n == ROWS_AT_ONCE)
        return STATUS_OK;
    return st;
}

/* -- the whole
 * -------------------------------------------------------------------------------------------------
 */

/* Where to begin: after what was pruned, or before the row that is asked for. */
static enum status begin(struct walk *w)
{
    w->report->pruned_seq = w->has_tail ? w->tail.seq : 0;
    w->seq = w->report->pruned_seq;
    if (w->has_tail)
        memcpy(w->hash, w->tail.hash, sizeof(w->hash));
    else
        memset(w->hash, 0, sizeof(w->hash));
    int64_t before_seq = w->options->from_seq - 1;
    if (before_seq <= w->seq)
        return STATUS_OK;
    const struct store_value value = store_i64(before_seq);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(w->task, w->audit->store, SQL(before_sql), &value, 1, &rows);
    if (st == STATUS_NOT_FOUND)
        return problem_set(w->task, STATUS_INVALID, "identity/audit-from",
                           "There is no row %lld to go on from.", (long long)before_seq);
    if (st != STATUS_OK)
        return st;
    struct slice hash = store_rows_bytes(rows, 0);
    if (hash.len == sizeof(w->hash))
        memcpy(w->hash, hash.data, sizeof(w->hash));
    w->seq = before_seq;
    return STATUS_OK;
}

static void check_end(struct walk *w)
{
    const struct identity_audit_head *witness = w->options->witness;
    long long first = w->seq + 1;
    long long needed = MAX(w->has_head ? w->head.seq : 0, witness ? witness->seq : 0);
    if (!w->has_head && w->seq > 0)
        find_fault(w, IDENTITY_AUDIT_FAULT_HEAD, w->seq,
                   say(w,
                       "The record of the newest row is missing: whether row %lld is the newest "
                       "cannot be told.",
                       (long long)w->seq));
    else if (needed == first)
        find_fault(w, IDENTITY_AUDIT_FAULT_CUT, w->seq,
                   say(w, "Row %lld, the newest, is missing.", needed));
    else if (needed > first)
        find_fault(w, IDENTITY_AUDIT_FAULT_CUT, w->seq,
                   say(w, "Rows %lld to %lld, the newest, are missing.", first, needed));
}

/* What was written during the walk moved the head; it cannot be behind. */
static enum status check_head_again(struct walk *w)
{
    enum status st = read_anchor(w, IDENTITY__AUDIT_HEAD, &w->head, &w->has_head);
    if (st == STATUS_OK && w->has_head && w->head.seq < w->seq)
        find_fault(w, IDENTITY_AUDIT_FAULT_HEAD, w->seq,
                   say(w,
                       "The record of the newest row names row %lld, an older one than row %lld.",
                       (long long)w->head.seq, (long long)w->seq));
    return st;
}

static enum status walk_all(struct walk *w)
{
    enum status st = read_anchors(w);
    if (st == STATUS_OK && !is_over(w))
        st = begin(w);
    while (st == STATUS_OK && !is_over(w)) {
        st = walk_some(w);
        if (w->options->progress)
            w->options->progress(w->options->arg, w->seq, w->has_head ? w->head.seq : 0);
    }
    if (st != STATUS_NOT_FOUND)
        return st;
    check_end(w);
    return is_over(w) ? STATUS_OK : check_head_again(w);
}

enum status identity_audit_verify(struct task *task, struct identity_audit *audit,
                                  const struct identity_audit_verify_options *options,
                                  struct identity_audit_report *ret_report)
{
    struct walk w = { .task = task, .audit = audit, .options = options, .report = ret_report };
    enum status st;
    do {
        *ret_report = (struct identity_audit_report){ 0 };
        st = walk_all(&w);
    } while (st == STATUS_CONFLICT && ++w.tries <= TRIES_MAX);
    sodium_memzero(&w.key, sizeof(w.key));
    return st;
}

/* -- heads
 * -------------------------------------------------------------------------------------------------
 */

enum status identity__audit_tell_head(struct task *task, struct identity_audit *audit)
{
    const struct store_value name = store_text(IDENTITY__AUDIT_HEAD);
    struct identity__audit_anchor head;
    int64_t now_us = clock_mono_us();
    if (audit->told_us && now_us < audit->told_us + CLOCK_HOUR)
        return STATUS_OK;
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(task, audit->store, SQL(anchor_sql), &name, 1, &rows);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    audit->told_us = now_us;
    if (!identity__audit_anchor_take(rows, 0, &head) || head.seq == audit->told_seq)
        return STATUS_OK;
    audit->told_seq = head.seq;
    struct buf text;
    buf_init(&text, task_arena(task), 96, 128);
    buf_put_i64(&text, head.seq);
    buf_putc(&text, ':');
    buf_put_hex(&text, head.hash, sizeof(head.hash));
    const struct log_field field = LOG_TEXT("head", buf_slice(&text));
    task_log(task, LOG_LEVEL_INFO, "identity.audit_head", &field, 1);
    return STATUS_OK;
}

bool identity_audit_head_parse(struct slice text, struct identity_audit_head *ret)
{
    struct identity_audit_head head;
    struct slice seq;
    size_t len = 0;
    if (!slice_split(&text, ':', &seq) || !slice_to_i64(seq, &head.seq) || head.seq < 1 ||
        text.len != (size_t)2 * IDENTITY_AUDIT_HASH_BYTES ||
        sodium_hex2bin(head.hash, sizeof(head.hash), text.data, text.len, NULL, &len, NULL) != 0 ||
        len != sizeof(head.hash))
        return false;
    *ret = head;
    return true;
}
