/*
 * identity/audit.c - Putting events at the end of the chain.
 *
 * What a row follows is read from the head, never from the newest row there is: if rows were cut
 * off, the next one must not close the gap. When the head is missing, was not made by us, or is
 * older than the newest row, the log goes on from nothing with a row that says so. It does not stop
 * what it is a log of: a damaged log must not lock everybody out; but it can never be made to look
 * whole again.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "fiber/task.h"
#include "identity/audit_private.h"

static const char head_sql[] =
    "SELECT (SELECT COALESCE(MAX(seq), 0) FROM purlin_audit),"
    "       COALESCE((SELECT seq FROM purlin_audit_anchors WHERE name = 'tail'), 0),"
    "       h.seq, h.generation, h.hash, h.mac"
    "  FROM (SELECT 1) AS one"
    "  LEFT JOIN purlin_audit_anchors AS h ON h.name = 'head'";

static const char insert_sql[] = "INSERT INTO purlin_audit (" IDENTITY__AUDIT_COLUMNS ")"
                                 "  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
                                 "          $13, $14)";

/* Where the name of the table in question stands in the schema of either engine. */
static const char has_log_sql[] = "SELECT 1 FROM sqlite_schema"
                                  " WHERE type = 'table' AND name = 'purlin_audit'";

#define SQL(text) slice_of((text), sizeof(text) - 1)

/* -- texts
 * -------------------------------------------------------------------------------------------------
 */

struct slice identity__audit_text(struct arena *arena, struct slice text, size_t max)
{
    char *out = arena_alloc(arena, MIN(text.len, max) + 1);
    size_t len = 0;
    while (out && text.len > 0) {
        size_t n = utf8_sequence(text);
        bool is_printable = n > 1 || (n == 1 && (uint8_t)*text.data >= 0x20 && *text.data != 0x7f);
        n = n ? n : 1;
        if (len + (is_printable ? n : 1) > max)
            break;
        if (is_printable)
            memcpy(out + len, text.data, n);
        else
            out[len] = '?';
        len += is_printable ? n : 1;
        text = slice_from(text, n);
    }
    return slice_of(out ? out : "", len);
}

static struct slice details_of(struct slice details)
{
    return details.len <= IDENTITY_AUDIT_DETAILS_MAX && utf8_is_valid(details)
               ? slice_of(details.len ? details.data : "", details.len)
               : SLICE("{\"too_long\":true}");
}

/* {"acting_as": "...", and what there is. The id is a uuid's text. */
static struct slice acting_details(struct arena *arena, struct slice as_id, struct slice details)
{
    bool has_more = details.len > 2 && details.data[0] == '{';
    struct slice both =
        arena_printf(arena, "{\"acting_as\":\"%.*s\"%s%.*s", SLICE_ARG(as_id), has_more ? "," : "}",
                     SLICE_ARG(has_more ? slice_from(details, 1) : SLICE("")));
    return both.data ? both : details;
}

/* -- putting
 * -----------------------------------------------------------------------------------------------
 */

void identity__audit_count(struct identity_audit *audit, enum identity_audit_act act,
                           enum identity_audit_outcome outcome)
{
    if (!audit->metrics)
        return;
    uint32_t *place = &audit->series[act][outcome];
    metric_series series = __atomic_load_n(place, __ATOMIC_RELAXED);
    if (!series) {
        const struct slice values[] = { slice_cstr(identity_audit_act_name(act)),
                                        slice_cstr(identity_audit_outcome_name(outcome)) };
        series = metric_series_get(audit->metrics, audit->metric, values);
        __atomic_store_n(place, series, __ATOMIC_RELAXED);
    }
    metric_add(audit->metrics, series, 1);
}

/* What the next row follows. */
struct place {
    int64_t seq;
    uint8_t hash[IDENTITY_AUDIT_HASH_BYTES];
    enum identity_audit_act first; /* a row that has to come before it, or IDENTITY_AUDIT_ACTS */
};

static enum status find_place(struct store_tx *tx, struct identity_audit *audit,
                              struct place *ret_place)
{
    struct identity__audit_anchor head;
    struct identity__audit_key key;
    int64_t newest, pruned;
    bool has_head;
    {
        CLEANUP(store_rows_close) struct store_rows *rows = NULL;
        enum status st = store_tx_one(tx, SQL(head_sql), NULL, 0, &rows);
        if (st != STATUS_OK)
            return st;
        newest = store_rows_i64(rows, 0);
        pruned = store_rows_i64(rows, 1);
        has_head = identity__audit_anchor_take(rows, 2, &head);
    }
    struct place place = { .first = IDENTITY_AUDIT_ACTS };
    if (has_head) {
        enum status st = identity__audit_key_find(tx, audit, head.generation, &key);
        if (st != STATUS_OK && st != STATUS_NOT_FOUND)
            return st;
        has_head = st == STATUS_OK &&
                   identity__audit_anchor_is_ours(&key, IDENTITY__AUDIT_HEAD, &head) &&
                   head.seq >= newest;
        sodium_memzero(&key, sizeof(key));
        if (has_head) {
            place.seq = head.seq;
            memcpy(place.hash, head.hash, sizeof(place.hash));
        }
    }
    if (!has_head) {
        place.seq = MAX(newest, pruned);
        place.first = place.seq ? IDENTITY_AUDIT_RESTARTED : IDENTITY_AUDIT_BEGAN;
    }
    *ret_place = place;
    return STATUS_OK;
}

static void fill_row(struct arena *arena, const struct identity_audit_event *event,
                     struct identity_audit_row *row)
{
    row->at_us = event->at_us ? event->at_us : clock_wall_us();
    row->act = slice_cstr(identity_audit_act_name(event->act));
    row->outcome = slice_cstr(identity_audit_outcome_name(event->outcome));
    row->actor = slice_cstr(identity_audit_actor_name(event->actor));
    row->actor_id = identity__audit_text(arena, event->actor_id, IDENTITY_AUDIT_ID_MAX);
    row->subject_kind = identity__audit_text(arena, event->subject_kind, IDENTITY_AUDIT_KIND_MAX);
    row->subject_id = identity__audit_text(arena, event->subject_id, IDENTITY_AUDIT_ID_MAX);
    row->address = identity__audit_text(arena, event->address, IDENTITY_AUDIT_ADDRESS_MAX);
    row->agent = identity__audit_text(arena, event->agent, IDENTITY_AUDIT_AGENT_MAX);
    row->request_id = identity__audit_text(arena, event->request_id, IDENTITY_AUDIT_REQUEST_MAX);
    row->details = details_of(event->details);
    if (event->as_id.len)
        row->details = acting_details(arena, event->as_id, row->details);
}

static enum status append(struct store_tx *tx, struct identity_audit *audit, struct place *place,
                          const struct identity_audit_event *event)
{
    struct identity__audit_key key = identity__audit_key_current(audit);
    struct identity_audit_row row = { .seq = place->seq + 1, .generation = key.generation };
    fill_row(store_tx_arena(tx), event, &row);
    identity__audit_row_hash(&key, place->hash, &row, row.hash);
    sodium_memzero(&key, sizeof(key));
    const struct store_value values[] = {
        store_i64(row.seq),         store_i64(row.at_us),
        store_i64(row.generation),  store_text(row.act),
        store_text(row.outcome),    store_text(row.actor),
        store_text(row.actor_id),   store_text(row.subject_kind),
        store_text(row.subject_id), store_text(row.address),
        store_text(row.agent),      store_text(row.request_id),
        store_text(row.details),    store_blob(slice_of((const char *)row.hash, sizeof(row.hash))),
    };
    enum status st = store_tx_exec(tx, SQL(insert_sql), values, ARRAY_LEN(values), NULL);
    if (st != STATUS_OK)
        return st;
    identity__audit_count(audit, event->act, event->outcome);
    place->seq = row.seq;
    memcpy(place->hash, row.hash, sizeof(place->hash));
    return STATUS_OK;
}

enum status identity__audit_put_all(struct store_tx *tx, struct identity_audit *audit,
                                    const struct identity_audit_event *const *events,
                                    unsigned events_len)
{
    struct place place;
    enum status st = find_place(tx, audit, &place);
    if (st == STATUS_OK && place.first != IDENTITY_AUDIT_ACTS) {
        if (place.first == IDENTITY_AUDIT_RESTARTED)
            log_error("identity.audit_restarted", LOG_I64("after_seq", place.seq));
        st = append(
            tx, audit, &place,
            &(struct identity_audit_event){ .act = place.first, .actor = IDENTITY_AUDIT_SYSTEM });
    }
    for (unsigned i = 0; i < events_len && st == STATUS_OK; i++)
        st = append(tx, audit, &place, events[i]);
    if (st == STATUS_OK)
        st = identity__audit_anchor_write(tx, audit, IDENTITY__AUDIT_HEAD, place.seq, place.hash);
    return st;
}

enum status identity_audit_put(struct store_tx *tx, struct identity_audit *audit,
                               const struct identity_audit_event *event)
{
    return identity__audit_put_all(tx, audit, &event, 1);
}

struct single {
    struct identity_audit *audit;
    const struct identity_audit_event *event;
};

static enum status write_single(struct store_tx *tx, void *arg)
{
    const struct single *single = arg;
    return identity_audit_put(tx, single->audit, single->event);
}

enum status identity_audit_write(struct task *task, struct identity_audit *audit,
                                 const struct identity_audit_event *event)
{
    struct single single = { .audit = audit, .event = event };
    return store_write(task, audit->store, write_single, &single);
}

/* -- opening and closing
 * ----------------------------------------------------------------------------------- */

static enum status see_row(void *arg, struct store_rows *rows)
{
    bool *has_row = arg;
    *has_row = store_rows_i64(rows, 0) == 1;
    return STATUS_OK;
}

static enum status open_tables(struct identity_audit *audit, bool read_only, struct arena *arena,
                               struct problem *problem)
{
    if (!read_only)
        return store_script(audit->store, identity__audit_schema, arena, problem);
    bool has_log = false;
    enum status st = store_read_blocking(audit->store, SQL(has_log_sql), NULL, 0, arena, problem,
                                         see_row, &has_log);
    if (st == STATUS_OK && !has_log)
        st = problem_put(problem, arena, __FILE__, __LINE__, STATUS_NOT_FOUND,
                         "identity/audit-none", "There is no audit log in this database.");
    return st;
}

static void declare(struct identity_audit *audit)
{
    static const struct metric_desc desc = {
        .name = "purlin_audit_events",
        .help = "Rows of the audit log that were written, by act and outcome.",
        .kind = METRIC_COUNTER,
        .labels = { "act", "outcome" },
    };
    if (audit->metrics)
        audit->metric = metric_declare(audit->metrics, &desc);
}

enum status identity_audit_open(const struct identity_audit_options *options, struct arena *arena,
                                struct problem *problem, struct identity_audit **ret_audit)
{
    const struct slice purpose = SLICE("audit log");
    if (options->secret.len == 0 || options->keep_us < 0)
        return problem_put(problem, arena, __FILE__, __LINE__, STATUS_INVALID, "identity/audit",
                           "The audit log needs a secret, and a time to keep rows that is not "
                           "negative.");
    CLEANUP(identity_audit_close) struct identity_audit *audit = calloc(1, sizeof(*audit));
    if (!audit)
        return STATUS_EXHAUSTED;
    audit->store = options->store;
    audit->metrics = options->metrics;
    audit->keep_us = options->keep_us;
    audit->is_read_only = options->read_only;
    audit->seal = identity_pepper_of(options->secret, purpose);
    audit->has_previous = options->secret_previous.len > 0;
    if (audit->has_previous)
        audit->seal_previous = identity_pepper_of(options->secret_previous, purpose);
    (void)pthread_mutex_init(&audit->lock, NULL);
    identity__audit_notes_init(&audit->notes);
    declare(audit);
    enum status st = open_tables(audit, options->read_only, arena, problem);
    if (st == STATUS_OK)
        st = identity__audit_keys_open(audit, options->replace_lost, arena, problem);
    if (st != STATUS_OK)
        return st;
    *ret_audit = audit;
    audit = NULL;
    return STATUS_OK;
}

void identity_audit_close(struct identity_audit *audit)
{
    if (!audit)
        return;
    identity__audit_notes_fini(&audit->notes);
    (void)pthread_mutex_destroy(&audit->lock);
    sodium_memzero(audit, sizeof(*audit));
    free(audit);
}
