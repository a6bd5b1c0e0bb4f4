/*
 * identity/mail_worker.c - The task that looks for what is due, and one for each mail on its way.
 *
 * Several processes may look at the same table: each claims rows before it sends them, by a name
 * made for the purpose, and a lease that outlasts the longest transfer. A mail is sent twice only
 * when whoever sent it died before it could say so.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/mail_private.h"

#define SETTLE_US (5 * CLOCK_SECOND)
#define LOOK_SOON_US (20 * CLOCK_MS)
#define RETRY_MAX_US CLOCK_HOUR
#define LEASE_TIMEOUTS 6
#define LEASE_MORE_US CLOCK_MINUTE
#define SETTLE_TRIES 5u
#define DELIVERY_BYTES_MAX ((size_t)8 << 20)

struct identity__mail_worker {
    struct identity_mail *mail;
    struct loop *loop;
    struct loop_post start, wake;
    bool is_posted;    /* the wake; atomic */
    struct task *task; /* that looks; NULL: it does not run */
    unsigned in_flight;
    bool stopping;
    bool cut; /* what is on its way is to end now; atomic */
    int64_t until_us;
    void (*ended)(void *arg);
    void *ended_arg;
    enum status last; /* of the store, so that the log has it once */
};

struct delivery {
    struct identity__mail_worker *worker;
    struct identity__mail_row row;
    struct uuid claim;
    char sealed[]; /* its bytes; the row's slice points here */
};

/* -- counting
 * ------------------------------------------------------------------------------------------------
 */

static void count(struct identity_mail *mail, enum identity_mail_kind kind,
                  enum identity__mail_event event)
{
    (void)__atomic_add_fetch(&mail->totals[event], 1, __ATOMIC_RELAXED);
    if (mail->metrics)
        metric_add(mail->metrics, mail->counts[kind][event], 1);
}

/* -- a mail on its way
 * ------------------------------------------------------------------------------------------ */

/* When to try again: later each time, and not all at the same moment. */
static int64_t retry_after(const struct identity_mail *mail, unsigned attempts)
{
    int64_t wait_us = mail->retry_us;
    for (unsigned i = 1; i < attempts && wait_us < RETRY_MAX_US; i++)
        wait_us *= 3;
    wait_us = MIN(wait_us, RETRY_MAX_US);
    return wait_us - wait_us / 4 + (int64_t)(random_fast() % (uint64_t)(wait_us / 2 + 1));
}

/* Say what became of it; a database that cannot be written for a moment must not have it sent
 * twice. */
static void settle(struct task *task, const struct delivery *d, bool again, int64_t next_us)
{
    struct store *store = d->worker->mail->store;
    int64_t changes = 0;
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < SETTLE_TRIES; i++) {
        st = again
                 ? identity__mail_rows_retry(task, store, &d->row.id, &d->claim, next_us, &changes)
                 : identity__mail_rows_remove(task, store, &d->row.id, &d->claim, &changes);
        if (st == STATUS_OK)
            break;
        problem_clear(task_problem(task));
        /* Nobody cancels this task: it waits. */
        (void)task_sleep(task, CLOCK_SECOND << i);
    }
    if (st != STATUS_OK)
        log_warn("mail.unsettled", LOG_CSTR("status", status_name(st)));
    else if (changes == 0)
        log_warn("mail.lease_over", LOG_CSTR("kind", identity_mail_kind_name(d->row.kind)));
}

static void log_outcome(const struct delivery *d, const char *event, struct slice to,
                        const struct identity__mail_outcome *outcome)
{
    char masked[IDENTITY__MAIL_MASK_MAX];
    const struct log_field fields[] = {
        LOG_CSTR("kind", identity_mail_kind_name(d->row.kind)),
        LOG_TEXT("to", identity__mail_mask(to, masked)),
        LOG_U64("attempt", d->row.attempts),
        LOG_I64("code", outcome->code),
        LOG_CSTR("reason", outcome->reason ? outcome->reason : ""),
    };
    bool is_sent = outcome->verdict == IDENTITY__MAIL_SENT;
    if (log_is_on(is_sent ? LOG_LEVEL_INFO : LOG_LEVEL_WARN))
        log_write(is_sent ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, event, fields, ARRAY_LEN(fields));
}

static void conclude(struct task *task, const struct delivery *d, struct slice to,
                     const struct identity__mail_outcome *outcome)
{
    struct identity_mail *mail = d->worker->mail;
    int64_t next_us = clock_wall_us() + retry_after(mail, d->row.attempts);
    bool again = outcome->verdict == IDENTITY__MAIL_LATER && d->row.attempts < mail->attempts_max &&
                 next_us < d->row.expires_us;
    const char *event = "mail.sent";
    enum identity__mail_event counted = IDENTITY__MAIL_COUNT_SENT;
    if (again) {
        event = "mail.retried";
        counted = IDENTITY__MAIL_COUNT_RETRIED;
    } else if (outcome->verdict == IDENTITY__MAIL_LATER) {
        event = "mail.given_up";
        counted = IDENTITY__MAIL_COUNT_EXPIRED;
    } else if (outcome->verdict == IDENTITY__MAIL_REFUSED) {
        event = "mail.refused";
        counted = IDENTITY__MAIL_COUNT_REFUSED;
    }
    settle(task, d, again, next_us);
    count(mail, d->row.kind, counted);
    log_outcome(d, event, to, outcome);
}

static void deliver(struct task *task, const struct delivery *d)
{
    struct identity_mail *mail = d->worker->mail;
    struct identity__mail_parcel parcel = { .id = d->row.id,
                                            .to = SLICE(""),
                                            .cut = &d->worker->cut };
    struct identity__mail_outcome outcome = { .verdict = IDENTITY__MAIL_LATER };
    if (d->row.expires_us <= clock_wall_us()) {
        outcome.reason = "its time is over";
        conclude(task, d, parcel.to, &outcome);
        return;
    }
    enum status st = identity__mail_seal_open(&mail->seal, &d->row.id, d->row.sealed,
                                              task_arena(task), &parcel.to, &parcel.mime);
    if (st == STATUS_OK)
        st = mail->sender->send(task, mail, &parcel, &outcome);
    else if (st == STATUS_UNAUTHENTICATED)
        outcome.reason = "it is sealed with another secret";
    if (st == STATUS_OK || st == STATUS_UNAUTHENTICATED) {
        conclude(task, d, parcel.to, &outcome);
        return;
    }
    /* Cut off, or no place for it now: somebody else, or we in a moment. */
    settle(task, d, /* again= */ true, clock_wall_us() + CLOCK_SECOND);
}

static void delivery_task(struct task *task, void *arg)
{
    struct delivery *d = arg;
    struct identity__mail_worker *w = d->worker;
    deliver(task, d);
    free(d);
    w->in_flight--;
    if (w->task)
        task_wake(w->task);
}

static void start_delivery(struct task *task, struct identity__mail_worker *w,
                           const struct identity__mail_row *row, const struct uuid *claim)
{
    struct delivery *d = malloc(sizeof(*d) + row->sealed.len);
    if (d) {
        *d = (struct delivery){ .worker = w, .row = *row, .claim = *claim };
        memcpy(d->sealed, row->sealed.data, row->sealed.len);
        d->row.sealed = slice_of(d->sealed, row->sealed.len);
        w->in_flight++;
        const struct task_options options = { .name = "mail", .arena_budget = DELIVERY_BYTES_MAX };
        if (task_spawn(w->loop, delivery_task, d, &options) == STATUS_OK)
            return;
        w->in_flight--;
        free(d);
    }
    /* No task to be had: it is due again when the lease is over, or soon if that can be said. */
    int64_t changes;
    (void)identity__mail_rows_retry(task, w->mail->store, &row->id, claim,
                                    clock_wall_us() + SETTLE_US, &changes);
}

/* -- looking
 * -------------------------------------------------------------------------------------------------
 */

static enum status take_due(struct task *task, struct identity__mail_worker *w)
{
    struct identity_mail *mail = w->mail;
    unsigned places = mail->concurrency - MIN(w->in_flight, mail->concurrency), len = 0;
    struct identity__mail_row rows[IDENTITY__MAIL_CLAIM_MAX];
    struct uuid claim = uuid_v7();
    int64_t now_us = clock_wall_us();
    int64_t lease_us = now_us + LEASE_TIMEOUTS * mail->timeout_us + LEASE_MORE_US;
    if (places == 0)
        return STATUS_OK;
    enum status st =
        identity__mail_rows_claim(task, mail->store, &claim, now_us, lease_us, places, rows, &len);
    for (unsigned i = 0; i < len && st == STATUS_OK; i++)
        if (rows[i].is_ours)
            start_delivery(task, w, &rows[i], &claim);
    return st;
}

/* Look once; when to look again, on the monotonic clock. */
static int64_t look(struct task *task, struct identity__mail_worker *w)
{
    struct identity_mail *mail = w->mail;
    struct identity__mail_waiting waiting = { .len = 0 };
    enum status st = take_due(task, w);
    if (st == STATUS_OK)
        st = identity__mail_rows_look(task, mail->store, &waiting);
    if (st != w->last && st != STATUS_OK && st != STATUS_CANCELLED)
        log_warn("mail.store", LOG_CSTR("status", status_name(st)),
                 LOG_TEXT("detail", task_problem(task)->detail));
    w->last = st;
    int64_t wait_us = MAX(MIN(mail->look_us, mail->retry_us), LOOK_SOON_US);
    if (st == STATUS_OK) {
        __atomic_store_n(&mail->waiting, waiting.len, __ATOMIC_RELAXED);
        __atomic_store_n(&mail->oldest_us, waiting.oldest_us, __ATOMIC_RELAXED);
        /* Without a place it is looked at when one comes free. */
        if (waiting.len > 0 && w->in_flight < mail->concurrency)
            wait_us = MIN(wait_us, MAX(waiting.next_us - clock_wall_us(), LOOK_SOON_US));
    }
    return clock_mono_us() + wait_us;
}

static void wait_for_the_last(struct task *task, struct identity__mail_worker *w)
{
    while (w->in_flight > 0) {
        if (clock_mono_us() < w->until_us) {
            (void)task_wait_until(task, w->until_us);
        } else {
            __atomic_store_n(&w->cut, true, __ATOMIC_RELAXED);
            (void)task_wait(task);
        }
    }
}

static void worker_task(struct task *task, void *arg)
{
    struct identity__mail_worker *w = arg;
    struct arena_mark mark = arena_mark(task_arena(task));
    w->task = task;
    while (!w->stopping) {
        int64_t until_us = look(task, w);
        problem_clear(task_problem(task));
        arena_rewind(task_arena(task), mark);
        if (!w->stopping)
            (void)task_wait_until(task, until_us); /* woken, or late: look */
    }
    wait_for_the_last(task, w);
    w->task = NULL;
    w->ended(w->ended_arg);
}

/* -- from outside
 * -------------------------------------------------------------------------------------------- */

static void on_start(struct loop_post *post)
{
    struct identity__mail_worker *w = CONTAINER_OF(post, struct identity__mail_worker, start);
    const struct task_options options = { .name = "mail", .arena_budget = 2 * DELIVERY_BYTES_MAX };
    if (w->stopping)
        return;
    enum status st = task_spawn(w->loop, worker_task, w, &options);
    if (st != STATUS_OK)
        log_error("mail.not_started", LOG_CSTR("status", status_name(st)));
}

static void on_wake(struct loop_post *post)
{
    struct identity__mail_worker *w = CONTAINER_OF(post, struct identity__mail_worker, wake);
    __atomic_store_n(&w->is_posted, false, __ATOMIC_RELEASE);
    if (w->task)
        task_wake(w->task);
}

enum status identity_mail_start(struct identity_mail *mail, struct loop *loop)
{
    if (!mail->sender)
        return STATUS_OK;
    struct identity__mail_worker *w = calloc(1, sizeof(*w));
    if (!w)
        return STATUS_EXHAUSTED;
    w->mail = mail;
    w->loop = loop;
    w->start.fn = on_start;
    w->wake.fn = on_wake;
    __atomic_store_n(&mail->worker, w, __ATOMIC_RELEASE);
    loop_post(loop, &w->start);
    return STATUS_OK;
}

void identity_mail_wake(struct identity_mail *mail)
{
    struct identity__mail_worker *w = __atomic_load_n(&mail->worker, __ATOMIC_ACQUIRE);
    if (w && !__atomic_exchange_n(&w->is_posted, true, __ATOMIC_ACQ_REL))
        loop_post(w->loop, &w->wake);
}

void identity_mail_stop(struct identity_mail *mail, int64_t until_us, void (*ended)(void *arg),
                        void *arg)
{
    struct identity__mail_worker *w = mail->worker;
    if (w)
        w->stopping = true;
    if (!w || !w->task) {
        ended(arg);
        return;
    }
    w->until_us = until_us;
    w->ended = ended;
    w->ended_arg = arg;
    task_wake(w->task);
}

void identity__mail_worker_free(struct identity__mail_worker *worker)
{
    free(worker);
}
