/*
 * store/checkpoint.c - Moves what was written from the WAL into the database, off the writer's
 * path.
 *
 * When the WAL has grown past its limit, this thread first copies all it can while everybody goes
 * on (PASSIVE: the bulk of the work, and the syncs). What remains is little, and for that it holds
 * the write gate for some milliseconds, copies it (FULL) and asks SQLite to begin the WAL anew
 * (RESTART), which needs a moment without a reader inside the WAL. Once everything is copied, new
 * snapshots read the database alone, and old ones end with their loop's turn: so the moment comes,
 * unless a long scan holds its snapshot. Then the writer is not made to wait for nothing, and it is
 * tried again when the WAL has grown by half; scans are cut off after a minute (read.c), so the WAL
 * cannot grow without end.
 *
 * The file keeps its size and is written over: that syncs faster than growing it. One that has
 * become much larger than it should be is cut back.
 */
#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/internal.h"

/* How long the writer may be kept waiting for readers to leave the WAL, in steps of POLL. */
#define PATIENCE_US (10 * CLOCK_MS)
#define PATIENCE_LONG_US (50 * CLOCK_MS)
#define POLL_US 200

/* A WAL with frames in it that nobody has added to for this long is copied too: a start after a
 * crash reads less. */
#define IDLE_SECONDS 30

struct patience {
    int64_t until_us;
};

static int on_busy(void *arg, int tries)
{
    const struct patience *patience = arg;
    (void)tries;
    if (clock_mono_us() >= patience->until_us)
        return 0;
    const struct timespec pause = { .tv_nsec = POLL_US * 1000L };
    (void)nanosleep(&pause, NULL); /* waking early is only another try */
    return 1;
}

/* Under load the newest commit is nearly never the one that all readers see, and it is only up to
 * theirs that is copied: so much of the WAL may be left for the moment when writes wait. More is
 * left where an old snapshot forbids. */
#define LEFT_PART 8

/* *ret_is_whole, if not NULL: all but a little of what stood in the WAL is copied. */
static int checkpoint(struct store *store, int mode, bool *ret_is_whole)
{
    int log_frames = 0, done_frames = 0;
    int rc =
        sqlite3_wal_checkpoint_v2(store->checkpointer->db, NULL, mode, &log_frames, &done_frames);
    if (rc == SQLITE_OK && mode == SQLITE_CHECKPOINT_PASSIVE) {
        STORE__COUNT(store->checkpoints, 1);
        store__observe(store, STORE__METRIC_CHECKPOINTS, 1);
    }
    if (ret_is_whole)
        *ret_is_whole = rc == SQLITE_OK && log_frames - done_frames <= log_frames / LEFT_PART;
    return rc;
}

/* Begin the WAL anew; true when it was. */
static bool begin_anew(struct store *store, int64_t wal_bytes)
{
    bool is_far_over = wal_bytes > 4 * store->wal_bytes_max;
    pthread_mutex_lock(&store->write_gate);
    struct patience patience = { clock_mono_us() + (is_far_over ? PATIENCE_LONG_US : PATIENCE_US) };
    (void)sqlite3_busy_handler(store->checkpointer->db, on_busy, &patience);
    int rc = checkpoint(store, SQLITE_CHECKPOINT_FULL, NULL);
    if (rc == SQLITE_OK) {
        store__committed(store); /* nothing new, but each reader's next statement begins anew */
        rc = checkpoint(store, is_far_over ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART,
                        NULL);
    }
    (void)sqlite3_busy_handler(store->checkpointer->db, NULL, NULL);
    if (rc == SQLITE_OK)
        __atomic_store_n(&store->wal_bytes, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&store->write_gate);
    return rc == SQLITE_OK;
}

/* Wait until asked, or for IDLE_SECONDS. False when the store closes. */
static bool wait_until_asked(struct store *store, bool *ret_is_asked)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for this clock */
    until.tv_sec += IDLE_SECONDS;
    pthread_mutex_lock(&store->checkpoint_lock);
    int waited = 0;
    while (!store->checkpoint_asked && !store->checkpoint_stopping && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&store->checkpoint_wanted, &store->checkpoint_lock, &until);
    *ret_is_asked = store->checkpoint_asked;
    store->checkpoint_asked = false;
    bool go_on = !store->checkpoint_stopping;
    pthread_mutex_unlock(&store->checkpoint_lock);
    return go_on;
}

static void *checkpoint_main(void *arg)
{
    struct store *store = arg;
    int64_t copied_to = 0;
    bool is_asked, is_whole, is_failing = false;
    while (wait_until_asked(store, &is_asked)) {
        int64_t wal_bytes = __atomic_load_n(&store->wal_bytes, __ATOMIC_RELAXED);
        if (!is_asked && wal_bytes == copied_to)
            continue;
        int rc = checkpoint(store, SQLITE_CHECKPOINT_PASSIVE, &is_whole);
        if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY && !is_failing)
            log_error("store.checkpoint_failed", LOG_CSTR("cause", sqlite3_errstr(rc)),
                      LOG_I64("code", rc));
        is_failing = rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY;
        copied_to = wal_bytes;
        if (!is_asked)
            continue;
        int64_t begin_us = clock_mono_us();
        bool is_anew = is_whole && begin_anew(store, wal_bytes);
        int64_t again_from = is_anew ? store->wal_bytes_max : wal_bytes + wal_bytes / 2;
        if (is_anew)
            copied_to = 0;
        __atomic_store_n(&store->checkpoint_from, again_from, __ATOMIC_RELAXED);
        log_debug("store.checkpoint", LOG_I64("wal_bytes", wal_bytes),
                  LOG_BOOL("begun_anew", is_anew), LOG_US("gate_us", clock_mono_us() - begin_us));
    }
    return NULL;
}

void store__checkpoint_note(struct store *store, int64_t wal_bytes)
{
    __atomic_store_n(&store->wal_bytes, wal_bytes, __ATOMIC_RELAXED);
    if (wal_bytes < __atomic_load_n(&store->checkpoint_from, __ATOMIC_RELAXED))
        return;
    /* Asked once; again when this one is over. */
    __atomic_store_n(&store->checkpoint_from, INT64_MAX, __ATOMIC_RELAXED);
    pthread_mutex_lock(&store->checkpoint_lock);
    store->checkpoint_asked = true;
    pthread_mutex_unlock(&store->checkpoint_lock);
    pthread_cond_signal(&store->checkpoint_wanted);
}

enum status store__checkpointer_start(struct store *store)
{
    store->checkpoint_from = store->wal_bytes_max;
    if (store__thread_start(&store->checkpoint_thread, "store-wal", checkpoint_main, store) != 0)
        return STATUS_UNAVAILABLE;
    store->has_checkpointer = true;
    return STATUS_OK;
}

void store__checkpointer_stop(struct store *store)
{
    if (!store->has_checkpointer)
        return;
    pthread_mutex_lock(&store->checkpoint_lock);
    store->checkpoint_stopping = true;
    pthread_mutex_unlock(&store->checkpoint_lock);
    pthread_cond_signal(&store->checkpoint_wanted);
    (void)pthread_join(store->checkpoint_thread, NULL);
    store->has_checkpointer = false;
}
