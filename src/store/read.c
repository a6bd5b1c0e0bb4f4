/*
 * store/read.c - Reads: a loop's connections, their leases and their snapshots.
 *
 * A read transaction in WAL mode costs locks on the WAL's index each time it begins. So a
 * connection keeps its read transaction open over all statements of a loop's turn, and gives it up
 * just before the loop waits. That must never show a caller something older than what it was told
 * is stored: the writer counts each commit before it tells anybody of it (store__committed), a
 * connection remembers the count at which its snapshot was begun, and a statement that finds the
 * count changed begins the snapshot anew. Commits of other processes are seen from the next turn
 * on.
 *
 * A connection is leased to one task at a time. That task may have several statements open on it
 * (rows, and for each a look-up), which then share the snapshot: so nobody waits for a second
 * connection while holding a first, and there is nothing to deadlock on. One exception: a task that
 * has rows open, writes, and reads again must see its write, hence gets a second connection, and
 * waits for that no longer than READER_WAIT.
 *
 * Within a step the progress handler runs every few dozen microseconds of work: it gives way to the
 * loop's other tasks by switching the fiber in the middle of sqlite3_step. Nobody else can enter
 * the connection meanwhile: it is leased.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "store/internal.h"

/* -- the progress handler -------------------------------------------------------------------------
 */

static enum status give_way(struct store__conn *conn, int64_t now_us)
{
    struct task *task = conn->stepping;
    int64_t deadline_us = task_deadline(task);
    if (task_is_cancelled(task))
        return STATUS_CANCELLED;
    if (deadline_us != 0 && now_us >= deadline_us)
        return STATUS_TIMEOUT;
    if (now_us - conn->snapshot_us > STORE__SNAPSHOT_MAX_US)
        return STATUS_TIMEOUT;
    if (conn->slice_us == 0) /* the statement's first call: its slice is counted from here */
        conn->slice_us = now_us;
    if (now_us - conn->slice_us < STORE__SLICE_US)
        return STATUS_OK;
    STORE__COUNT(conn->lane->yields, 1);
    enum status st = task_yield(task);
    conn->slice_us = clock_mono_us();
    return st;
}

static int on_progress(void *arg)
{
    struct store__conn *conn = arg;
    if (!conn->stepping)
        return 0;
    conn->interrupted = give_way(conn, clock_mono_us());
    return conn->interrupted != STATUS_OK;
}

/* -- snapshots --------------------------------------------------------------------------------- */

static void snapshot_end(struct store__conn *conn)
{
    if (!conn->has_snapshot)
        return;
    /* Nothing was written: there is nothing to fail. What a failed read may have rolled back is
     * checked. */
    if (!sqlite3_get_autocommit(conn->db)) {
        (void)sqlite3_step(conn->end);
        (void)sqlite3_reset(conn->end);
    }
    conn->has_snapshot = false;
    conn->lane->snapshots--;
}

static bool snapshot_is_stale(const struct store__conn *conn)
{
    return conn->snapshot_commit != __atomic_load_n(&conn->store->commit, __ATOMIC_ACQUIRE);
}

/* Begin the read transaction of this turn, or keep the one there is. It takes its view at the first
 * step. */
static int snapshot_begin(struct store__conn *conn)
{
    if (conn->has_snapshot) {
        if (conn->rows_open > 0 || (!snapshot_is_stale(conn) && !sqlite3_get_autocommit(conn->db)))
            return SQLITE_OK;
        snapshot_end(conn);
    }
    conn->snapshot_commit = __atomic_load_n(&conn->store->commit, __ATOMIC_ACQUIRE);
    conn->snapshot_us = loop_now_us(conn->lane->loop);
    int rc = sqlite3_step(conn->begin);
    (void)sqlite3_reset(conn->begin); /* repeats rc */
    if (rc != SQLITE_DONE)
        return rc;
    conn->has_snapshot = true;
    conn->lane->snapshots++;
    STORE__COUNT(conn->lane->snapshots_begun, 1);
    return SQLITE_OK;
}

/* -- leases ------------------------------------------------------------------------------------ */

enum status store__lane_conn_add(struct store__lane *lane)
{
    struct store__conn *conn;
    enum status st = store__conn_open(lane->store, STORE__READER, NULL, &conn);
    if (st != STATUS_OK)
        return st;
    conn->lane = lane;
    conn->statements.prepared = &lane->prepared;
    sqlite3_progress_handler(conn->db, STORE__PROGRESS_STEPS, on_progress, conn);
    lane->conns[lane->conns_len] = conn;
    __atomic_store_n(&lane->conns_len, lane->conns_len + 1, __ATOMIC_RELAXED);
    return STATUS_OK;
}

/* The connection `task` has already, unless what it sees is too old by now. */
static struct store__conn *conn_of(struct store__lane *lane, const struct task *task)
{
    for (unsigned i = 0; i < lane->conns_len; i++) {
        struct store__conn *conn = lane->conns[i];
        if (conn->holder == task && !snapshot_is_stale(conn))
            return conn;
    }
    return NULL;
}

static struct store__conn *conn_free(struct store__lane *lane)
{
    for (unsigned i = 0; i < lane->conns_len; i++) {
        if (!lane->conns[i]->holder)
            return lane->conns[i];
    }
    return NULL;
}

/* Wait for a place; within the task's deadline, and never longer than READER_WAIT. */
static enum status place_take(struct task *task, struct store__lane *lane)
{
    if (LIKELY(lane->places.places > 0))
        return task_sem_take(task, &lane->places);
    int64_t deadline_us = task_deadline(task);
    int64_t own_us = clock_mono_us() + STORE__READER_WAIT_US;
    bool is_own = deadline_us == 0 || own_us < deadline_us;
    if (is_own)
        task_deadline_set(task, own_us);
    enum status st = task_sem_take(task, &lane->places);
    if (is_own)
        task_deadline_set(task, deadline_us);
    return st == STATUS_TIMEOUT && is_own ? STATUS_EXHAUSTED : st;
}

static enum status fail_place(struct task *task, enum status st)
{
    switch (st) {
    case STATUS_EXHAUSTED:
        st = problem_set(task, st, "store/readers-busy",
                         "Every connection to the database is in use.");
        task_problem(task)->retry_after_us = CLOCK_SECOND;
        return st;
    case STATUS_TIMEOUT:
        return problem_set(task, st, "store/timeout", "The query did not end in time.");
    default:
        return st;
    }
}

/* A free connection for `task`. When no further one can be opened (too many files), the others are
 * waited for, and opening is tried again a second later. */
static enum status lease(struct task *task, struct store__lane *lane, struct store__conn **ret_conn)
{
    for (;;) {
        enum status st = place_take(task, lane);
        if (UNLIKELY(st != STATUS_OK))
            return fail_place(task, st);
        struct store__conn *conn = conn_free(lane);
        if (UNLIKELY(!conn)) {
            st = store__lane_conn_add(lane);
            if (st != STATUS_OK && lane->conns_len == 0) {
                task_sem_give(&lane->places);
                return problem_set(task, STATUS_UNAVAILABLE, "store/cannot-open",
                                   "The database cannot be opened.");
            }
            if (st != STATUS_OK) {
                lane->places_withheld++;
                lane->withheld_until_us = clock_mono_us() + CLOCK_SECOND;
                continue;
            }
            conn = lane->conns[lane->conns_len - 1];
        }
        conn->holder = task;
        *ret_conn = conn;
        return STATUS_OK;
    }
}

static void unlease(struct store__conn *conn)
{
    if (conn->rows_open > 0)
        return;
    conn->holder = NULL;
    task_sem_give(&conn->lane->places);
}

/* -- the lane ---------------------------------------------------------------------------------- */

static void before_poll(void *arg)
{
    struct store__lane *lane = arg;
    if (lane->writes.len > 0)
        store__lane_flush(lane);
    for (unsigned i = 0; lane->snapshots > 0 && i < lane->conns_len; i++) {
        if (!lane->conns[i]->holder)
            snapshot_end(lane->conns[i]);
    }
    if (UNLIKELY(lane->places_withheld > 0) && clock_mono_us() >= lane->withheld_until_us) {
        lane->places_withheld--;
        task_sem_give(&lane->places);
    }
}

/* Loops have few slots and a process may have several stores (tests do): one slot holds a list of
 * lanes. */
static pthread_once_t slot_once = PTHREAD_ONCE_INIT;
static unsigned slot;

static void slot_make(void)
{
    slot = loop_slot_new();
}

struct store__lane *store__lane_find(struct store *store, struct loop *loop)
{
    struct store__lane *lane = loop_slot_get(loop, slot);
    while (lane && lane->store != store)
        lane = lane->next_of_loop;
    return lane;
}

enum status store_attach(struct store *store, struct loop *loop)
{
    (void)pthread_once(&slot_once, slot_make);
    struct store__lane *lane = calloc(1, sizeof(*lane));
    if (!lane)
        return STATUS_EXHAUSTED;
    lane->store = store;
    lane->loop = loop;
    task_sem_init(&lane->places, store->readers_per_loop);
    /* One connection at once: the first request then need not wait for it, and there is always one.
     */
    enum status st = store__lane_conn_add(lane);
    if (st != STATUS_OK) {
        free(lane);
        return st;
    }
    lane->next_of_loop = loop_slot_get(loop, slot);
    loop_slot_set(loop, slot, lane);
    loop_hook_before_poll(loop, before_poll, lane);
    pthread_mutex_lock(&store->lanes_lock);
    lane->next_of_store = store->lanes;
    store->lanes = lane;
    pthread_mutex_unlock(&store->lanes_lock);
    return STATUS_OK;
}

static void unlink_of_loop(struct store__lane *lane)
{
    struct store__lane *first = loop_slot_get(lane->loop, slot);
    if (first == lane) {
        loop_slot_set(lane->loop, slot, lane->next_of_loop);
        return;
    }
    while (first->next_of_loop != lane)
        first = first->next_of_loop;
    first->next_of_loop = lane->next_of_loop;
}

void store_detach(struct store *store, struct loop *loop)
{
    struct store__lane *lane = store__lane_find(store, loop);
    if (!lane)
        return;
    loop_unhook_before_poll(loop, before_poll, lane);
    unlink_of_loop(lane);
    pthread_mutex_lock(&store->lanes_lock);
    struct store__lane **at = &store->lanes;
    while (*at != lane)
        at = &(*at)->next_of_store;
    *at = lane->next_of_store;
    store->left_reads += lane->reads;
    store->left_snapshots += lane->snapshots_begun;
    store->left_yields += lane->yields;
    store->left_prepared += lane->prepared;
    pthread_mutex_unlock(&store->lanes_lock);
    for (unsigned i = 0; i < lane->conns_len; i++) {
        snapshot_end(lane->conns[i]);
        store__conn_close(lane->conns[i]);
    }
    free(lane);
}

/* -- queries ----------------------------------------------------------------------------------- */

static enum status check_task(struct task *task)
{
    if (UNLIKELY(task_is_cancelled(task)))
        return STATUS_CANCELLED;
    int64_t deadline_us = task_deadline(task);
    if (UNLIKELY(deadline_us != 0 && deadline_us <= loop_now_us(task_loop(task))))
        return fail_place(task, STATUS_TIMEOUT);
    return STATUS_OK;
}

enum status store_query(struct task *task, struct store *store, struct slice sql,
                        const struct store_value *values, unsigned values_len,
                        struct store_rows **ret_rows)
{
    enum status st = check_task(task);
    if (UNLIKELY(st != STATUS_OK))
        return st;
    struct store__lane *lane = store__lane_find(store, task_loop(task));
    if (UNLIKELY(!lane))
        return problem_set(task, STATUS_INTERNAL, "store/detached",
                           "The database is not open on this thread.");
    struct store__conn *conn = conn_of(lane, task);
    if (LIKELY(!conn)) {
        st = lease(task, lane, &conn);
        if (UNLIKELY(st != STATUS_OK))
            return st;
    }
    struct store_rows *rows;
    st = store__rows_open(conn, task, /* arena= */ NULL, task_problem(task), sql, values,
                          values_len, &rows);
    if (UNLIKELY(st != STATUS_OK)) {
        unlease(conn);
        return st;
    }
    conn->rows_open--; /* a snapshot is begun anew only when no other rows are open */
    int rc = snapshot_begin(conn);
    conn->rows_open++;
    if (UNLIKELY(rc != SQLITE_OK)) {
        st = store__rows_fail(rows, rc);
        store_rows_close(rows);
        return st;
    }
    if (store->metrics)
        rows->begin_us = clock_mono_us();
    STORE__COUNT(lane->reads, 1);
    *ret_rows = rows;
    return STATUS_OK;
}

static enum status fail_interrupted(struct store_rows *rows)
{
    switch (rows->conn->interrupted) {
    case STATUS_TIMEOUT:
        return problem_set(rows->task, STATUS_TIMEOUT, "store/timeout",
                           "The query did not end in time.");
    default:
        return STATUS_CANCELLED;
    }
}

static enum status read_next(struct store_rows *rows)
{
    struct store__conn *conn = rows->conn;
    conn->stepping = rows->task;
    conn->interrupted = STATUS_OK;
    if (!rows->has_row)
        conn->slice_us = 0;
    int rc = sqlite3_step(rows->stmt);
    conn->stepping = NULL;
    if (LIKELY(rc == SQLITE_ROW)) {
        rows->has_row = true;
        return STATUS_OK;
    }
    rows->has_row = false;
    rows->is_done = true;
    if (LIKELY(rc == SQLITE_DONE))
        return STATUS_NOT_FOUND;
    if ((rc & 0xff) == SQLITE_INTERRUPT && conn->interrupted != STATUS_OK)
        return fail_interrupted(rows);
    return store__rows_fail(rows, rc);
}

enum status store_rows_next(struct store_rows *rows)
{
    /* SQLite would begin the statement again. */
    if (UNLIKELY(rows->is_done))
        return STATUS_NOT_FOUND;
    return LIKELY(rows->task != NULL) ? read_next(rows) : store__rows_step(rows);
}

void store_rows_close(struct store_rows *rows)
{
    if (!rows || !rows->is_open)
        return;
    struct store__conn *conn = rows->conn;
    bool is_read = rows->task != NULL;
    if (is_read && conn->store->metrics)
        store__observe(conn->store, STORE__METRIC_READ, clock_mono_us() - rows->begin_us);
    store__rows_release(rows);
    if (is_read)
        unlease(conn);
}

enum status store_one(struct task *task, struct store *store, struct slice sql,
                      const struct store_value *values, unsigned values_len,
                      struct store_rows **ret_rows)
{
    struct store_rows *rows;
    enum status st = store_query(task, store, sql, values, values_len, &rows);
    if (UNLIKELY(st != STATUS_OK))
        return st;
    st = store_rows_next(rows);
    if (st != STATUS_OK) {
        store_rows_close(rows);
        return st;
    }
    *ret_rows = rows;
    return STATUS_OK;
}
