/*
 * store/write.c - The one writer. Writes of a loop's turn gather in its lane and are handed over
 * together just before the loop waits: one lock and one wake-up a turn. The writer thread takes
 * what has queued, runs each write so that it can be undone alone, commits and syncs once for all
 * (group commit), and wakes the tasks with one message per loop.
 *
 * While one batch syncs, the next one gathers; that alone makes batches large under load. On a
 * machine with few cores the writer would still wake for the first write of many, so it learns how
 * many lately came together and gives them a moment (GATHER) to come again.
 *
 * A commit costs the same for one write as for fifty, and not only here: every reader begins a new
 * snapshot after it. When several clients write at once, among others who read, the writer
 * therefore paces itself: the next batch begins PACE after the last one began, or as soon as a loop
 * is seen to be idle. A lone client is never made to wait: its batches are of one.
 */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/internal.h"

/* The longest a write waits for others to join its batch: a small part of what a sync takes. */
#define GATHER_US ((int64_t)200)
/* So many writes in a batch are several clients. While every loop is busy, a batch begins only so
 * long after the last one began, and after a rest when that one took long: a commit costs the same
 * for few writes and for many, and makes every reader begin anew. After LOOK it is looked whether a
 * loop has become idle; when none had, after twice as long: each look takes the processor from a
 * loop. Where all looks before the last batch were in vain the first comes later too. */
#define PACE_FROM 4u
#define PACE_US (12 * CLOCK_MS)
#define PACE_REST_US (4 * CLOCK_MS)
#define PACE_LOOK_US CLOCK_MS
#define PACE_LOOK_BUSY_US (4 * CLOCK_MS)
/* A batch is ended after this long, so that one slow write does not hold up many. */
#define BATCH_US (20 * CLOCK_MS)

static const struct slice begin_sql = SLICE_INIT("BEGIN IMMEDIATE");
static const struct slice commit_sql = SLICE_INIT("COMMIT");
static const struct slice rollback_sql = SLICE_INIT("ROLLBACK");
static const struct slice part_keep_sql = SLICE_INIT("RELEASE write");
static const struct slice part_undo_sql = SLICE_INIT("ROLLBACK TO write");

/* -- the queue --------------------------------------------------------------------------------- */

void store__jobs_append(struct store__jobs *to, struct store__jobs *from)
{
    if (!from->first)
        return;
    from->first->prev = to->last;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    to->len += from->len;
    *from = (struct store__jobs){ 0 };
}

void store__lane_flush(struct store__lane *lane)
{
    struct store *store = lane->store;
    for (struct store__job *job = lane->writes.first; job; job = job->next) {
        job->is_local = false;
        job->is_queued = true;
    }
    int64_t now_us = loop_now_us(lane->loop);
    for (struct store__job *job = lane->writes.first; job; job = job->next)
        job->since_us = now_us;
    pthread_mutex_lock(&store->queue_lock);
    if (UNLIKELY(!lane->has_cpu_clock))
        lane->has_cpu_clock = pthread_getcpuclockid(pthread_self(), &lane->cpu_clock) == 0;
    store__jobs_append(&store->queue, &lane->writes);
    bool wake = store->writer_sleeps && store->queue.len >= store->wake_len;
    if (wake)
        store->writer_sleeps = false;
    pthread_mutex_unlock(&store->queue_lock);
    if (wake)
        pthread_cond_signal(&store->queue_filled);
}

/* Take a job back that has not begun. False: it has. */
static bool withdraw(struct store__job *job)
{
    struct store *store = job->lane->store;
    bool is_withdrawn = true;
    if (job->is_local) {
        store__jobs_remove(&job->lane->writes, job);
    } else {
        pthread_mutex_lock(&store->queue_lock);
        is_withdrawn = job->is_queued;
        if (is_withdrawn)
            store__jobs_remove(&store->queue, job);
        pthread_mutex_unlock(&store->queue_lock);
    }
    if (is_withdrawn)
        __atomic_sub_fetch(&store->waiting, 1, __ATOMIC_RELAXED);
    return is_withdrawn;
}

static enum status wait_for(struct task *task, struct store__job *job)
{
    while (!job->is_done) {
        enum status st = task_wait(task);
        if (LIKELY(st == STATUS_OK) || job->is_done)
            continue;
        if (withdraw(job)) {
            if (st == STATUS_TIMEOUT)
                return problem_set(task, st, "store/timeout", "The write did not begin in time.");
            return st;
        }
        while (!job->is_done)
            task_wait_always(task);
    }
    return STATUS_OK;
}

static enum status fail_read_only(struct task *task)
{
    return problem_set(task, STATUS_UNAVAILABLE, "store/read-only",
                       "The database is open for reading only.");
}

static enum status fail_queue(struct task *task)
{
    enum status st = problem_set(task, STATUS_EXHAUSTED, "store/queue-full",
                                 "Too many writes are waiting already.");
    task_problem(task)->retry_after_us = CLOCK_SECOND;
    return st;
}

enum status store_write(struct task *task, struct store *store, store_write_fn fn, void *arg)
{
    struct store__lane *lane = store__lane_find(store, task_loop(task));
    if (!lane)
        return problem_set(task, STATUS_INTERNAL, "store/detached",
                           "The database is not open on this thread.");
    if (store->read_only)
        return fail_read_only(task);
    if (task_is_cancelled(task))
        return STATUS_CANCELLED;
    if (__atomic_add_fetch(&store->waiting, 1, __ATOMIC_RELAXED) > store->write_queue_max) {
        __atomic_sub_fetch(&store->waiting, 1, __ATOMIC_RELAXED);
        return fail_queue(task);
    }
    struct store__job job = {
        .lane = lane,
        .task = task,
        .fn = fn,
        .arg = arg,
        .arena = task_arena(
            task), /* made here if need be: the writer must not take from the loop's pool */
        .problem = task_problem(task),
        .is_local = true,
    };
    int64_t begin_us = store->metrics ? clock_mono_us() : 0;
    store__jobs_push(&lane->writes, &job);
    if (lane->writes.len >= store->batch_max)
        store__lane_flush(lane);
    enum status st = wait_for(task, &job);
    if (st != STATUS_OK)
        return st;
    if (store->metrics)
        store__observe(store, STORE__METRIC_WRITE, clock_mono_us() - begin_us);
    if (job.failed_rc != SQLITE_OK)
        return store__fail(job.problem, job.arena, /* db= */ NULL, job.failed_rc);
    return job.result;
}

int64_t store_write_delay_us(const struct store *store)
{
    /* What the last batch had waited says nothing once nobody waits. */
    if (__atomic_load_n(&store->waiting, __ATOMIC_RELAXED) == 0)
        return 0;
    return __atomic_load_n(&store->write_delay_us, __ATOMIC_RELAXED);
}

/* -- a batch ----------------------------------------------------------------------------------- */

/* A deferred reference that leads nowhere would fail the commit, and with it everybody's writes:
 * find it while it is still known whose it is. */
static bool has_dangling(sqlite3 *db)
{
    int dangling = 0, highest;
    (void)sqlite3_db_status(db, SQLITE_DBSTATUS_DEFERRED_FKS, &dangling, &highest, /* reset= */ 0);
    return dangling != 0;
}

static enum status run_fn(struct store *store, struct store__job *job, struct store_tx *tx)
{
    struct arena_pool *pool = arena_pool_swap(job->arena, store->writer_arenas);
    enum status st = job->fn(tx, job->arg);
    store__tx_end(tx);
    if (st == STATUS_OK && has_dangling(store->writer->db))
        st = store_tx_problem_set(tx, STATUS_CONFLICT, "store/reference",
                                  "The change refers to something that does not exist.");
    (void)arena_pool_swap(job->arena, pool);
    return st;
}

/* SQLite's code when the transaction as a whole is lost; what becomes of the job alone is in its
 * result. */
static int run_job(struct store *store, struct store__job *job)
{
    struct store__conn *conn = store->writer;
    struct store_tx tx = {
        .store = store,
        .conn = conn,
        .arena = job->arena,
        .problem = job->problem,
    };
    job->result = run_fn(store, job, &tx);
    bool is_kept = job->result == STATUS_OK;
    if (!is_kept)
        STORE__COUNT(store->rollbacks, 1);
    if (UNLIKELY(sqlite3_get_autocommit(conn->db))) {
        /* A full disk or a failed write can make SQLite roll everything back at once. */
        int rc = sqlite3_extended_errcode(conn->db);
        return (rc & 0xff) == SQLITE_FULL || (rc & 0xff) == SQLITE_NOMEM ? rc : SQLITE_IOERR;
    }
    /* It broke its word that it would not fail any more: only everything can be undone. */
    if (UNLIKELY(!is_kept && tx.is_over && !tx.has_savepoint))
        return SQLITE_ABORT;
    if (!tx.has_savepoint)
        return SQLITE_OK;
    int rc = is_kept ? SQLITE_OK : store__conn_run(conn, part_undo_sql);
    return rc == SQLITE_OK ? store__conn_run(conn, part_keep_sql) : rc;
}

static void put_back(struct store *store, struct store__jobs *rest)
{
    pthread_mutex_lock(&store->queue_lock);
    for (struct store__job *job = rest->first; job; job = job->next)
        job->is_queued = true;
    __atomic_add_fetch(&store->waiting, rest->len, __ATOMIC_RELAXED);
    store__jobs_append(rest, &store->queue);
    store->queue = *rest;
    pthread_mutex_unlock(&store->queue_lock);
}

/* Run jobs off the front of `jobs` into *ret_ran. */
static int run_jobs(struct store *store, struct store__jobs *jobs, struct store__jobs *ret_ran)
{
    int64_t end_us = clock_mono_us() + BATCH_US;
    unsigned since_look = 0;
    while (jobs->first) {
        struct store__job *job = jobs->first;
        store__jobs_remove(jobs, job);
        store__jobs_push(ret_ran, job);
        int rc = run_job(store, job);
        if (rc != SQLITE_OK)
            return rc;
        if (++since_look == 8) {
            since_look = 0;
            if (clock_mono_us() >= end_us)
                break;
        }
    }
    return SQLITE_OK;
}

static int run_transaction(struct store *store, struct store__jobs *jobs,
                           struct store__jobs *ret_ran)
{
    struct store__conn *conn = store->writer;
    int rc = store__conn_run(conn, begin_sql);
    if (rc == SQLITE_OK)
        rc = run_jobs(store, jobs, ret_ran);
    if (rc == SQLITE_OK)
        rc = store__conn_run(conn, commit_sql);
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(conn->db))
        (void)store__conn_run(conn, rollback_sql); /* there is nothing left to lose */
    return rc;
}

static void note_outcome(struct store *store, int rc, unsigned writes)
{
    bool was_failing = __atomic_load_n(&store->writes_failing, __ATOMIC_RELAXED);
    if (rc == SQLITE_OK) {
        store__committed(store);
        STORE__COUNT(store->commits, 1);
        STORE__COUNT(store->writes, writes);
        store__observe(store, STORE__METRIC_COMMITS, 1);
    } else {
        STORE__COUNT(store->rollbacks, 1);
    }
    if (was_failing == (rc != SQLITE_OK))
        return;
    __atomic_store_n(&store->writes_failing, rc != SQLITE_OK, __ATOMIC_RELAXED);
    if (rc != SQLITE_OK)
        log_error("store.writes_failing", LOG_CSTR("reason", store__failure_of(rc)->type),
                  LOG_CSTR("cause", sqlite3_errstr(rc)), LOG_I64("code", rc));
    else
        log_info("store.writes_recovered", LOG_U64("writes", writes));
}

/* -- telling ----------------------------------------------------------------------------------- */

static void on_batch_done(struct loop_post *post)
{
    struct store__job *job = CONTAINER_OF(post, struct store__job, post);
    while (job) {
        struct store__job *next = job->woken_next; /* the job is its task's, which may end */
        job->is_done = true;
        task_wake(job->task);
        job = next;
    }
}

/* One message per loop: the first job's node carries the chain of all. */
static void tell(struct store__jobs *ran, int rc)
{
    struct store__lane *lanes = NULL;
    struct store__job *next;
    for (struct store__job *job = ran->first; job; job = next) {
        next = job->next;
        struct store__lane *lane = job->lane;
        job->failed_rc = rc;
        job->woken_next = NULL;
        if (lane->woken_first) {
            lane->woken_last->woken_next = job;
        } else {
            lane->woken_first = job;
            lane->next_woken = lanes;
            lanes = lane;
        }
        lane->woken_last = job;
    }
    while (lanes) {
        struct store__lane *lane = lanes;
        struct store__job *first = lane->woken_first;
        lanes = lane->next_woken;
        lane->woken_first = lane->woken_last = NULL;
        first->post.fn = on_batch_done;
        loop_post(lane->loop, &first->post); /* job and, from now on, lane are the loop's again */
    }
}

static void run_batch(struct store *store, struct store__jobs *jobs)
{
    struct store__jobs ran = { 0 };
    store->batch_begin_us = clock_mono_us();
    pthread_mutex_lock(&store->write_gate);
    int rc = run_transaction(store, jobs, &ran);
    pthread_mutex_unlock(&store->write_gate);
    if (rc != SQLITE_OK)
        store__jobs_append(&ran, jobs); /* whoever had not begun fails with the batch */
    else if (jobs->len > 0)
        put_back(store, jobs);
    unsigned len = ran.len;
    note_outcome(store, rc, len);
    tell(&ran, rc);
    store__observe(store, STORE__METRIC_BATCH, len);
    store->gather_len =
        len >= store->gather_len ? len : store->gather_len - (store->gather_len - len + 7) / 8;
    store->batch_end_us = clock_mono_us();
}

/* -- the thread -------------------------------------------------------------------------------- */

/* How long the next batch may go on gathering. */
static int64_t gather_us(const struct store *store)
{
    if (store->gather_len < PACE_FROM)
        return GATHER_US;
    int64_t begin_us =
        MAX(store->batch_begin_us + PACE_US, store->batch_end_us + PACE_REST_US) - clock_mono_us();
    return MIN(MAX(begin_us, GATHER_US), PACE_US);
}

/* By the processor's clock of the loop's thread, 0 when there is none to read. */
static int64_t lane_cpu_us(const struct store__lane *lane)
{
    struct timespec used = { 0 };
    if (!lane->has_cpu_clock || clock_gettime(lane->cpu_clock, &used) != 0)
        return 0;
    return (int64_t)used.tv_sec * CLOCK_SECOND + used.tv_nsec / 1000;
}

/* Has a loop that writes let half of the time since the last look, `since_us`, go by unused? Then
 * nothing is won by waiting: there is a processor for the commit. */
static bool has_idle_loop(struct store *store, int64_t since_us)
{
    bool is_idle = false;
    pthread_mutex_lock(&store->lanes_lock);
    for (struct store__lane *lane = store->lanes; lane; lane = lane->next_of_store) {
        int64_t cpu_us = lane_cpu_us(lane);
        is_idle |= lane->has_cpu_clock && 2 * (cpu_us - lane->cpu_us) < since_us;
        lane->cpu_us = cpu_us;
    }
    pthread_mutex_unlock(&store->lanes_lock);
    return is_idle;
}

static int64_t system_us(struct timespec *ret_time)
{
    (void)clock_gettime(CLOCK_MONOTONIC, ret_time); /* cannot fail for this clock */
    return (int64_t)ret_time->tv_sec * CLOCK_SECOND + ret_time->tv_nsec / 1000;
}

/* Holds the queue_lock. By the system's clock, also when a test has set ours. */
static void gather(struct store *store)
{
    bool is_crowd = store->gather_len >= PACE_FROM;
    unsigned want = is_crowd ? store->batch_max : MIN(store->gather_len / 2, store->batch_max);
    if (store->queue.len >= want || store->stopping)
        return;
    struct timespec time;
    int64_t now_us = system_us(&time), looked_us = now_us, end_us = now_us + gather_us(store);
    int64_t look_us = store->was_busy ? PACE_LOOK_BUSY_US : PACE_LOOK_US;
    if (is_crowd)
        (void)has_idle_loop(store, 0); /* from here on */
    bool is_idle = false;
    store->wake_len = want;
    while (store->queue.len < want && !store->stopping && now_us < end_us && !is_idle) {
        int64_t until_us = is_crowd ? MIN(looked_us + look_us, end_us) : end_us;
        time = (struct timespec){ .tv_sec = until_us / CLOCK_SECOND,
                                  .tv_nsec = until_us % CLOCK_SECOND * 1000 };
        store->writer_sleeps = true;
        (void)pthread_cond_timedwait(&store->queue_filled, &store->queue_lock, &time);
        now_us = system_us(&time);
        if (is_crowd && now_us >= looked_us + look_us) {
            is_idle = has_idle_loop(store, now_us - looked_us);
            looked_us = now_us;
            look_us *= 2;
        }
    }
    store->was_busy = is_crowd && !is_idle;
    store->writer_sleeps = false;
    store->wake_len = 1;
}

/* False when there is nothing left and the store is closing. */
static bool take(struct store *store, struct store__jobs *ret_jobs)
{
    pthread_mutex_lock(&store->queue_lock);
    while (store->queue.len == 0 && !store->stopping) {
        store->writer_sleeps = true;
        pthread_cond_wait(&store->queue_filled, &store->queue_lock);
    }
    store->writer_sleeps = false;
    if (store->queue.len > 0)
        gather(store);
    struct store__jobs jobs = { 0 };
    if (store->queue.first)
        __atomic_store_n(&store->write_delay_us, clock_mono_us() - store->queue.first->since_us,
                         __ATOMIC_RELAXED);
    while (store->queue.first && jobs.len < store->batch_max) {
        struct store__job *job = store->queue.first;
        store__jobs_remove(&store->queue, job);
        job->is_queued = false;
        store__jobs_push(&jobs, job);
    }
    pthread_mutex_unlock(&store->queue_lock);
    __atomic_sub_fetch(&store->waiting, jobs.len, __ATOMIC_RELAXED);
    *ret_jobs = jobs;
    return jobs.len > 0;
}

static void *writer_main(void *arg)
{
    struct store *store = arg;
    struct store__jobs jobs;
    for (;;) {
        if (take(store, &jobs)) {
            run_batch(store, &jobs);
            continue;
        }
        pthread_mutex_lock(&store->queue_lock);
        bool is_over = store->stopping && store->queue.len == 0;
        pthread_mutex_unlock(&store->queue_lock);
        if (is_over)
            return NULL;
    }
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct store *store = arg;
    (void)db;
    (void)name;
    store__checkpoint_note(store, (int64_t)frames * (store->page_bytes + 24));
    return SQLITE_OK;
}

int store__thread_start(pthread_t *thread, const char *name, void *(*fn)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    /* Signals are the main thread's. */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(thread, NULL, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        (void)pthread_setname_np(*thread, name); /* only for whoever looks */
    return rc;
}

enum status store__writer_start(struct store *store)
{
    sqlite3_wal_hook(store->writer->db, on_wal, store);
    store->writer->statements.prepared = &store->other_prepared;
    store->writer_arenas = arena_pool_new(64);
    store->wake_len = 1;
    if (store__thread_start(&store->writer_thread, "store-writer", writer_main, store) != 0)
        return STATUS_UNAVAILABLE;
    store->has_writer = true;
    return STATUS_OK;
}

void store__writer_stop(struct store *store)
{
    if (!store->has_writer)
        return;
    pthread_mutex_lock(&store->queue_lock);
    store->stopping = true;
    pthread_mutex_unlock(&store->queue_lock);
    pthread_cond_signal(&store->queue_filled);
    (void)pthread_join(store->writer_thread, NULL);
    store->has_writer = false;
}
