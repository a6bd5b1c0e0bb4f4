/*
 * identity/audit_notes.c - Events that have no transaction of their own: noted in memory, written
 * together. A flood of refused logins costs a lock and a copy each, and one small write a second;
 * what is beyond the bound is counted, and the log says so.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/audit_private.h"

#define FLUSH_EVERY_US CLOCK_SECOND
#define UPKEEP_EVERY_US CLOCK_MINUTE

void identity__audit_notes_init(struct identity__audit_notes *notes)
{
    (void)pthread_mutex_init(&notes->lock, NULL);
    notes->end = &notes->first;
}

static void free_all(struct identity__audit_note *first)
{
    while (first) {
        struct identity__audit_note *next = first->next;
        free(first);
        first = next;
    }
}

void identity__audit_notes_fini(struct identity__audit_notes *notes)
{
    free_all(notes->first);
    (void)pthread_mutex_destroy(&notes->lock);
}

/* -- noting
 * -----------------------------------------------------------------------------------------------
 */

struct text {
    struct slice *text;
    size_t max;
};

/* More than will be kept of it is not needed; details are kept whole or not at all. */
static struct identity__audit_note *copy_event(const struct identity_audit_event *event)
{
    struct identity_audit_event copy = *event;
    const struct text texts[] = {
        { &copy.actor_id, IDENTITY_AUDIT_ID_MAX },
        { &copy.as_id, IDENTITY_AUDIT_ID_MAX },
        { &copy.subject_kind, IDENTITY_AUDIT_KIND_MAX },
        { &copy.subject_id, IDENTITY_AUDIT_ID_MAX },
        { &copy.address, IDENTITY_AUDIT_ADDRESS_MAX },
        { &copy.agent, IDENTITY_AUDIT_AGENT_MAX },
        { &copy.request_id, IDENTITY_AUDIT_REQUEST_MAX },
        { &copy.details, IDENTITY_AUDIT_DETAILS_MAX + 1 },
    };
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        *texts[i].text = slice_head(*texts[i].text, texts[i].max);
        len += texts[i].text->len;
    }
    struct identity__audit_note *note = malloc(sizeof(*note) + len);
    if (!note)
        return NULL;
    char *at = note->texts;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct slice text = *texts[i].text;
        if (text.len > 0)
            memcpy(at, text.data, text.len);
        *texts[i].text = slice_of(at, text.len);
        at += text.len;
    }
    if (copy.at_us == 0)
        copy.at_us = clock_wall_us();
    note->next = NULL;
    note->event = copy;
    return note;
}

static void push(struct identity__audit_notes *notes, struct identity__audit_note *note,
                 enum identity_audit_act act)
{
    if (!note || notes->len >= IDENTITY_AUDIT_NOTES_MAX) {
        notes->dropped[act]++;
        free(note);
        return;
    }
    *notes->end = note;
    notes->end = &note->next;
    notes->len++;
}

void identity_audit_note(struct identity_audit *audit, const struct identity_audit_event *event)
{
    struct identity__audit_notes *notes = &audit->notes;
    struct identity__audit_note *note = NULL;
    if (identity_audit_noted(audit) < IDENTITY_AUDIT_NOTES_MAX)
        note = copy_event(event);
    (void)pthread_mutex_lock(&notes->lock);
    push(notes, note, event->act);
    (void)pthread_mutex_unlock(&notes->lock);
}

unsigned identity_audit_noted(struct identity_audit *audit)
{
    return __atomic_load_n(&audit->notes.len, __ATOMIC_RELAXED);
}

/* -- writing
 * ---------------------------------------------------------------------------------------------- */

/* What one write takes: some notes, and all that was dropped before. */
struct batch {
    struct identity_audit *audit;
    struct identity__audit_note *first;
    unsigned len;
    uint64_t dropped[IDENTITY_AUDIT_ACTS], dropped_all;
};

/* False: there is nothing to write, or somebody writes already. */
static bool take_batch(struct identity_audit *audit, struct batch *batch)
{
    struct identity__audit_notes *notes = &audit->notes;
    *batch = (struct batch){ .audit = audit };
    (void)pthread_mutex_lock(&notes->lock);
    if (!notes->is_flushing) {
        struct identity__audit_note **last = &batch->first;
        batch->first = notes->first;
        while (*last && batch->len < IDENTITY_AUDIT_FLUSH_MAX) {
            last = &(*last)->next;
            batch->len++;
        }
        notes->first = *last;
        if (!notes->first)
            notes->end = &notes->first;
        *last = NULL;
        notes->len -= batch->len;
        for (unsigned i = 0; i < IDENTITY_AUDIT_ACTS; i++)
            batch->dropped_all += notes->dropped[i];
        memcpy(batch->dropped, notes->dropped, sizeof(batch->dropped));
        memset(notes->dropped, 0, sizeof(notes->dropped));
        notes->is_flushing = batch->len > 0 || batch->dropped_all > 0;
    }
    (void)pthread_mutex_unlock(&notes->lock);
    return batch->len > 0 || batch->dropped_all > 0;
}

/* What was not written goes back to where it was: before what was noted meanwhile. */
static void give_back(struct batch *batch)
{
    struct identity__audit_notes *notes = &batch->audit->notes;
    struct identity__audit_note *last = batch->first;
    while (last && last->next)
        last = last->next;
    if (last) {
        last->next = notes->first;
        if (!notes->first)
            notes->end = &last->next;
        notes->first = batch->first;
        notes->len += batch->len;
        batch->first = NULL;
    }
    for (unsigned i = 0; i < IDENTITY_AUDIT_ACTS; i++)
        notes->dropped[i] += batch->dropped[i];
}

static void end_batch(struct batch *batch, bool is_written)
{
    struct identity__audit_notes *notes = &batch->audit->notes;
    (void)pthread_mutex_lock(&notes->lock);
    if (!is_written)
        give_back(batch);
    notes->is_flushing = false;
    (void)pthread_mutex_unlock(&notes->lock);
    free_all(batch->first);
}

static struct slice describe_dropped(struct arena *arena, const struct batch *batch)
{
    struct buf text;
    buf_init(&text, arena, 128, IDENTITY_AUDIT_DETAILS_MAX);
    struct json_out o = json_out(&text);
    json_out_object(&o);
    json_out_ki(&o, "count", (int64_t)batch->dropped_all);
    json_out_key(&o, SLICE("acts"));
    json_out_object(&o);
    for (unsigned i = 0; i < IDENTITY_AUDIT_ACTS; i++)
        if (batch->dropped[i])
            json_out_ki(&o, identity_audit_act_name((enum identity_audit_act)i),
                        (int64_t)batch->dropped[i]);
    json_out_end(&o);
    json_out_end(&o);
    return buf_slice(&text);
}

static enum status write_batch(struct store_tx *tx, void *arg)
{
    const struct batch *batch = arg;
    const struct identity_audit_event *events[IDENTITY_AUDIT_FLUSH_MAX + 1];
    unsigned len = 0;
    for (const struct identity__audit_note *note = batch->first; note; note = note->next)
        events[len++] = &note->event;
    const struct identity_audit_event dropped = {
        .act = IDENTITY_AUDIT_DROPPED,
        .actor = IDENTITY_AUDIT_SYSTEM,
        .details = batch->dropped_all ? describe_dropped(store_tx_arena(tx), batch) : SLICE_NULL,
    };
    if (batch->dropped_all)
        events[len++] = &dropped;
    return identity__audit_put_all(tx, batch->audit, events, len);
}

enum status identity_audit_flush(struct task *task, struct identity_audit *audit)
{
    struct batch batch;
    if (!take_batch(audit, &batch))
        return STATUS_OK;
    enum status st = store_write(task, audit->store, write_batch, &batch);
    end_batch(&batch, st == STATUS_OK);
    return st;
}

enum status identity_audit_flush_all(struct task *task, struct identity_audit *audit)
{
    enum status st = STATUS_OK;
    while (st == STATUS_OK && identity_audit_noted(audit) > 0)
        st = identity_audit_flush(task, audit);
    return st == STATUS_OK ? identity_audit_flush(task, audit) : st; /* what was dropped */
}

/* -- now and then
 * ------------------------------------------------------------------------------------------ */

enum status identity_audit_upkeep(struct task *task, struct identity_audit *audit, int64_t now_us)
{
    enum status st = identity__audit_keys_upkeep(task, audit, now_us);
    if (st == STATUS_OK)
        st = identity__audit_prune(task, audit, now_us);
    return st == STATUS_OK ? identity__audit_tell_head(task, audit) : st;
}

static void end_work(struct identity_audit *audit)
{
    void (*ended)(void *arg) = audit->ended;
    audit->is_working = false;
    audit->ended = NULL;
    if (ended)
        ended(audit->ended_arg);
}

static void work_task(struct task *task, void *arg)
{
    struct identity_audit *audit = arg;
    enum status st = identity_audit_flush(task, audit);
    if (st == STATUS_OK && clock_mono_us() >= audit->upkeep_us + UPKEEP_EVERY_US) {
        audit->upkeep_us = clock_mono_us();
        st = identity_audit_upkeep(task, audit, clock_wall_us());
    }
    if (st != STATUS_OK && st != STATUS_CANCELLED) {
        const struct log_field fields[] = { LOG_CSTR("status", status_name(st)),
                                            LOG_U64("noted", identity_audit_noted(audit)) };
        task_log(task, LOG_LEVEL_WARN, "identity.audit_not_written", fields, ARRAY_LEN(fields));
    }
    end_work(audit);
}

static void on_time(struct loop_timer *timer)
{
    struct identity_audit *audit = CONTAINER_OF(timer, struct identity_audit, timer);
    loop_timer_start(audit->loop, &audit->timer, FLUSH_EVERY_US, on_time);
    if (audit->is_working)
        return;
    audit->is_working = true;
    /* No place for a task: the next time. */
    if (task_spawn(audit->loop, work_task, audit, &(struct task_options){ .name = "audit" }) !=
        STATUS_OK)
        audit->is_working = false;
}

void identity_audit_start(struct identity_audit *audit, struct loop *loop)
{
    audit->loop = loop;
    audit->upkeep_us = clock_mono_us();
    loop_timer_start(loop, &audit->timer, FLUSH_EVERY_US, on_time);
}

void identity_audit_stop(struct identity_audit *audit, void (*ended)(void *arg), void *arg)
{
    if (audit->loop)
        loop_timer_stop(audit->loop, &audit->timer);
    if (!audit->is_working) {
        ended(arg);
        return;
    }
    audit->ended = ended;
    audit->ended_arg = arg;
}
