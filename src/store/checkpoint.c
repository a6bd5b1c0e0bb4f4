/*
 * store/checkpoint.c - Moves what was written from the WAL into the database, off the writer's
 * path.
 *
 * When the WAL has grown past its limit, this thread copies all it can while everybody goes on
 * (PASSIVE: the bulk of the work, and the syncs). What was committed meanwhile is little, and
 * copying it takes less time than passes between two batches: so it tries right after one. Once
 * everything is copied, new snapshots read the database alone, old ones end with their loop's turn,
 * and SQLite begins the WAL anew with the next write, which nobody has waited for.
 *
 * Writes may leave no such moment, and a long scan keeps its snapshot. Then it is tried again when
 * the WAL has grown by half; readers meanwhile search only the part that is not copied. Far over
 * its limit the writes are held up, by the write gate, until all is copied and no reader is left
 * inside the WAL; scans are cut off after a minute (read.c), so it cannot grow without end.
 *
 * The file keeps its size and is written over: that syncs faster than growing it. One that has
 * become much larger than it should be is cut back.
 */
#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/internal.h"

/* So many times right after a batch, before it is left for later. */
#define TRIES 4u

/* So many times its limit: writes wait for the WAL; the file is cut back. */
#define HOLD_FROM 4
#define CUT_FROM 16

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

struct left {
    int frames, of;
};

static int checkpoint(struct store *store, int mode, struct left *ret_left)
{
    int log_frames = 0, done_frames = 0;
    int rc =
        sqlite3_wal_checkpoint_v2(store->checkpointer->db, NULL, mode, &log_frames, &done_frames);
    if (rc == SQLITE_OK && ret_left)
        *ret_left = (struct left){ log_frames - done_frames, log_frames };
    return rc;
}

/* Copy, between two batches, what came while the rest was copied; true when nothing is left, and
 * the next write begins anew. A pass knows of what stood in the WAL when it began, no more. */
static bool copy_rest(struct store *store)
{
    bool is_copied = false;
    for (unsigned i = 0; !is_copied && i < TRIES; i++) {
        pthread_mutex_lock(&store->write_gate); /* a batch that runs has ended then */
        int64_t wal_bytes = __atomic_load_n(&store->wal_bytes, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&store->write_gate);
        struct left left = { .frames = 1 };
        if (checkpoint(store, SQLITE_CHECKPOINT_PASSIVE, &left) != SQLITE_OK)
            return false;
        if (left.frames > 0 || pthread_mutex_trylock(&store->write_gate) != 0)
            continue;
        is_copied = wal_bytes == __atomic_load_n(&store->wal_bytes, __ATOMIC_RELAXED);
        if (is_copied)
            store__committed(store); /* nothing new, but each reader's next statement begins anew */
        pthread_mutex_unlock(&store->write_gate);
    }
    return is_copied;
}

/* Hold up the writes and begin the WAL anew; true when it was. */
static bool begin_anew(struct store *store, int64_t wal_bytes)
{
    bool is_cut = wal_bytes > CUT_FROM * store->wal_bytes_max;
    pthread_mutex_lock(&store->write_gate);
    struct patience patience = { clock_mono_us() + (is_cut ? PATIENCE_LONG_US : PATIENCE_US) };
    (void)sqlite3_busy_handler(store->checkpointer->db, on_busy, &patience);
    int rc = checkpoint(store, SQLITE_CHECKPOINT_FULL, NULL);
    if (rc == SQLITE_OK) {
        store__committed(store); /* nothing new, but each reader's next statement begins anew */
        rc = checkpoint(store, is_cut ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART,
                        NULL);
    }
    (void)sqlite3_busy_handler(store->checkpointer->db, NULL, NULL);
    if (rc == SQLITE_OK)
        __atomic_store_n(&store->wal_bytes, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&store->write_gate);
    return rc == SQLITE_OK;
}

/* Have the WAL begun anew, soon or now, if it can be. */
static void renew(struct store *store, int64_t wal_bytes, struct left left)
{
    int64_t begin_us = clock_mono_us();
    bool is_little = left.frames <= left.of / LEFT_PART;
    bool is_copied = is_little && copy_rest(store);
    bool is_held = is_little && !is_copied && wal_bytes > HOLD_FROM * store->wal_bytes_max;
    if (is_held)
        is_copied = begin_anew(store, wal_bytes);
    /* Begun anew already, or not yet, or perhaps never: then store__checkpoint_note sees it. */
    bool is_anew = __atomic_load_n(&store->wal_bytes, __ATOMIC_RELAXED) < wal_bytes;
    int64_t again_from = is_anew ? store->wal_bytes_max : wal_bytes + wal_bytes / 2;
    __atomic_store_n(&store->checkpoint_from, again_from, __ATOMIC_RELAXED);
    log_debug("store.checkpoint", LOG_I64("wal_bytes", wal_bytes), LOG_BOOL("copied", is_copied),
              LOG_BOOL("held", is_held), LOG_US("took_us", clock_mono_us() - begin_us));
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
    bool is_asked, is_failing = false;
    while (wait_until_asked(store, &is_asked)) {
        int64_t wal_bytes = __atomic_load_n(&store->wal_bytes, __ATOMIC_RELAXED);
        if (!is_asked && wal_bytes == copied_to)
            continue;
        struct left left = { .frames = 1 }; /* of nothing: too much */
        int rc = checkpoint(store, SQLITE_CHECKPOINT_PASSIVE, &left);
        if (rc == SQLITE_OK) {
            STORE__COUNT(store->checkpoints, 1);
            store__observe(store, STORE__METRIC_CHECKPOINTS, 1);
        }
        if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY && !is_failing)
            log_error("store.checkpoint_failed", LOG_CSTR("cause", sqlite3_errstr(rc)),
                      LOG_I64("code", rc));
        is_failing = rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY;
        copied_to = wal_bytes;
        if (is_asked)
            renew(store, wal_bytes, left);
    }
    return NULL;
}

void store__checkpoint_note(struct store *store, int64_t wal_bytes)
{
    int64_t before = __atomic_exchange_n(&store->wal_bytes, wal_bytes, __ATOMIC_RELAXED);
    int64_t from = __atomic_load_n(&store->checkpoint_from, __ATOMIC_RELAXED);
    if (wal_bytes < before && from != INT64_MAX) {
        from = store->wal_bytes_max; /* begun anew */
        __atomic_store_n(&store->checkpoint_from, from, __ATOMIC_RELAXED);
    }
    if (wal_bytes < from)
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
