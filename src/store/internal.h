/*
 * store/internal.h - Private to store/: the SQLite engine's own structures. A connection
 * (`store__conn`) keeps prepared statements; a lane (`store__lane`) is what one loop has: read
 * connections and the writes it has not yet handed to the writer; the store itself has the writer's
 * queue and the checkpoint thread.
 *
 * What belongs to whom: a lane and its connections to the loop's thread; `conn` of the writer and
 * of the checkpoint thread to them; what is shared stands under `queue_lock`, or is an atomic, and
 * says so.
 */
#pragma once

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/metric.h"
#include "fiber/task.h"
#include "store/store.h"

#define STORE__READERS_DEFAULT 8u
#define STORE__READERS_MAX 32u
#define STORE__STATEMENTS_DEFAULT 256u
#define STORE__WRITE_QUEUE_DEFAULT 4096u
#define STORE__BATCH_DEFAULT 256u
#define STORE__MMAP_BYTES_DEFAULT ((int64_t)256 << 20)
#define STORE__WAL_BYTES_DEFAULT ((int64_t)4 << 20)

#define STORE__ROWS_MAX 8u       /* statements one task may have open on a connection */
#define STORE__SAVEPOINTS_MAX 8u /* within one write */

/* Virtual machine steps between two calls of the progress handler: 1000 take 20 to 60 us. */
#define STORE__PROGRESS_STEPS 1000
/* Work after which a scan gives way to the loop's other tasks. */
#define STORE__SLICE_US ((int64_t)50)
/* A snapshot older than this ends its scan: while it lives the WAL cannot be begun anew. */
#define STORE__SNAPSHOT_MAX_US (60 * CLOCK_SECOND)
/* A wait for a read connection that is not bounded by an earlier deadline. */
#define STORE__READER_WAIT_US (5 * CLOCK_SECOND)
/* How long a write transaction of another process (an import, a migration) is waited for. */
#define STORE__BUSY_MS 5000

/* -- connections and their statements ---------------------------------------------------------- */

struct store__statement {
    sqlite3_stmt *stmt;
    const char *text; /* SQLite's copy */
    size_t len;
    uint64_t hash;
    struct store__statement *hash_next;
    struct store__statement *newer, *older; /* by use */
    unsigned values;                        /* the highest $n */
    unsigned params;                        /* SQLite's count */
    bool in_order;                          /* SQLite's parameter i is $i */
    bool is_cached;
    bool is_used; /* rows are open on it */
};

#define STORE__HASH_SLOTS 256u
#define STORE__HINTS 64u

struct store__statements {
    struct store__statement *slots[STORE__HASH_SLOTS];
    /* By the address of the text, which for constant SQL never changes: saves hashing it. Only a
     * hint: the text is always compared, as an arena puts different text at the same address. */
    struct store__statement *hints[STORE__HINTS];
    struct store__statement *newest, *oldest;
    unsigned len, max;
    uint64_t *prepared; /* relaxed counter, may be NULL */
};

struct store_rows {
    sqlite3_stmt *stmt;
    struct store__statement *statement;
    struct store__conn *conn;
    struct task *task;   /* of a read; NULL in a write or a blocking read */
    struct store_tx *tx; /* of a write; NULL otherwise */
    struct arena *arena; /* for problems; NULL: the task's */
    struct problem *problem;
    int64_t begin_us;
    bool is_open, has_row, is_done;
};

struct store__conn {
    sqlite3 *db;
    struct store *store;
    struct store__lane *lane; /* NULL: not a loop's */
    struct store__statements statements;

    /* The lease: one task at a time, which may have several statements open, none of them inside a
     * step while another one steps. */
    struct task *holder;
    unsigned rows_open;
    struct store_rows rows[STORE__ROWS_MAX];

    /* The read transaction that the statements of a turn share. */
    sqlite3_stmt *begin, *end;
    bool has_snapshot;
    uint64_t snapshot_commit; /* the store's commit count when it was begun */
    int64_t snapshot_us;

    /* For the progress handler: the task inside a step, or NULL. */
    struct task *stepping;
    int64_t slice_us; /* when the task last got the loop */
    enum status interrupted;
};

enum store__role { STORE__READER, STORE__WRITER, STORE__CHECKPOINTER, STORE__TOOL };

/* Open a connection and set it up for its role. *ret_rc, if not NULL, gets SQLite's extended code
 * on failure. */
enum status store__conn_open(struct store *store, enum store__role role, int *ret_rc,
                             struct store__conn **ret_conn);
void store__conn_close(struct store__conn *conn);

/* Run constant SQL without values; SQLite's extended code. */
int store__exec(sqlite3 *db, const char *sql);

/* The prepared statement for `sql`, ready to be bound; marked as used until put back. SQLite's
 * code. */
int store__statement_get(struct store__conn *conn, struct slice sql, struct store__statement **ret);
void store__statement_put(struct store__conn *conn, struct store__statement *s);
/* SQLITE_MISUSE when the number of values is not what the text asks for. */
int store__statement_bind(struct store__statement *s, const struct store_value *values,
                          unsigned values_len);
void store__statements_clear(struct store__conn *conn);

/* -- failures ---------------------------------------------------------------------------------- */

struct store__failure {
    enum status status;
    const char *type;
    const char *detail;
    int64_t retry_after_us;
};
/* What an SQLite code (extended or not) means to the caller. */
const struct store__failure *store__failure_of(int rc);
/* Set the problem for `rc`, with SQLite's own words from `db` (may be NULL) as cause; returns the
 * status. */
enum status store__fail(struct problem *problem, struct arena *arena, sqlite3 *db, int rc);
/* As store__fail, for an operator at start or at a tool: says what was being done to which file. */
enum status store__fail_file(struct problem *problem, struct arena *arena, sqlite3 *db, int rc,
                             const char *doing, const char *path);
/* Read SQLite's message about a constraint. False when `rc` is not one that the header's kinds can
 * tell. */
bool store__conflict_read(int rc, const char *message, struct arena *arena,
                          struct store_conflict *ret);

/* -- rows -------------------------------------------------------------------------------------- */

/* Take a free place for open rows of `conn`, prepare and bind. The place is released on failure. */
enum status store__rows_open(struct store__conn *conn, struct task *task, struct arena *arena,
                             struct problem *problem, struct slice sql,
                             const struct store_value *values, unsigned values_len,
                             struct store_rows **ret_rows);
/* Give statement and place back, not the lease. */
void store__rows_release(struct store_rows *rows);
/* Step rows that are not a task's read: it never gives way. */
enum status store__rows_step(struct store_rows *rows);
/* Set the problem where those of these rows go. */
enum status store__rows_fail(struct store_rows *rows, int rc);

/* -- a write ----------------------------------------------------------------------------------- */

struct store_tx {
    struct store *store;
    struct store__conn *conn;
    struct arena *arena;
    struct problem *problem;
    struct store_conflict conflict;
    unsigned depth;     /* savepoints of the caller's that are open */
    bool has_savepoint; /* of ours, around all that the write does; made before its first change */
    bool is_over;       /* store_tx_exec_last has made its change, without a savepoint */
};
/* Close what the write left open. */
void store__tx_end(struct store_tx *tx);
/* Run constant SQL on the writer's connection through its kept statements; SQLite's code. */
int store__conn_run(struct store__conn *conn, struct slice sql);

/* -- a loop's lane ----------------------------------------------------------------------------- */

struct store__job {
    struct store__job *prev, *next; /* in the lane's list or the store's queue */
    struct store__job *woken_next;  /* of the same loop and batch */
    struct store__lane *lane;
    struct task *task;
    store_write_fn fn;
    void *arg;
    struct arena *arena;
    struct problem *problem;
    struct loop_post post;
    enum status result;
    int failed_rc;    /* SQLITE_OK, or why the batch as a whole was lost */
    bool is_local;    /* in the lane's list: its own thread's */
    bool is_queued;   /* in the store's queue: under queue_lock */
    bool is_done;     /* set on the task's thread */
    int64_t since_us; /* it stands in the queue */
};

struct store__jobs {
    struct store__job *first, *last;
    unsigned len;
};
static inline void store__jobs_push(struct store__jobs *jobs, struct store__job *job)
{
    job->prev = jobs->last;
    job->next = NULL;
    if (jobs->last)
        jobs->last->next = job;
    else
        jobs->first = job;
    jobs->last = job;
    jobs->len++;
}
static inline void store__jobs_remove(struct store__jobs *jobs, struct store__job *job)
{
    if (job->prev)
        job->prev->next = job->next;
    else
        jobs->first = job->next;
    if (job->next)
        job->next->prev = job->prev;
    else
        jobs->last = job->prev;
    jobs->len--;
}
/* Put all of `from` behind `to` (or before it). */
void store__jobs_append(struct store__jobs *to, struct store__jobs *from);

struct store__lane {
    struct store *store;
    struct loop *loop;
    struct store__lane *next_of_loop;  /* in the loop's slot: one per store */
    struct store__lane *next_of_store; /* under lanes_lock */

    struct store__conn *conns[STORE__READERS_MAX];
    unsigned conns_len;
    unsigned snapshots; /* connections that have one */
    struct task_sem places;
    unsigned places_withheld; /* while no further connection can be opened */
    int64_t withheld_until_us;

    struct store__jobs writes; /* of this turn, not handed over yet */
    clockid_t cpu_clock;       /* of the loop's thread, from its first write on: under queue_lock */
    bool has_cpu_clock;
    int64_t cpu_us; /* the writer's: by that clock, when it last looked */

    struct store__job *woken_first, *woken_last; /* the writer's: jobs of the batch just done */
    struct store__lane *next_woken;

    uint64_t reads, snapshots_begun, yields, prepared; /* relaxed: own thread writes, any reads */
};

/* Add to a figure that one thread writes and others read. */
#define STORE__COUNT(counter, n)                                                                   \
    __atomic_store_n(&(counter), __atomic_load_n(&(counter), __ATOMIC_RELAXED) + (n),              \
                     __ATOMIC_RELAXED)

enum status store__lane_conn_add(struct store__lane *lane);
struct store__lane *store__lane_find(struct store *store, struct loop *loop);
/* Hand this turn's writes to the writer. */
void store__lane_flush(struct store__lane *lane);

/* -- the store --------------------------------------------------------------------------------- */

enum store__metric {
    STORE__METRIC_READ,
    STORE__METRIC_WRITE,
    STORE__METRIC_BATCH,
    STORE__METRIC_COMMITS,
    STORE__METRIC_CHECKPOINTS,
    STORE__METRIC_COUNT
};

struct store {
    char *path;
    bool read_only;
    unsigned readers_per_loop, statements_max, write_queue_max, batch_max;
    int64_t wal_bytes_max, mmap_bytes;
    uint32_t page_bytes;
    struct metrics *metrics;
    metric_series series[STORE__METRIC_COUNT];

    pthread_mutex_t lanes_lock;
    struct store__lane *lanes;

    /* The writer's queue. */
    pthread_mutex_t queue_lock;
    pthread_cond_t queue_filled;
    struct store__jobs queue; /* under queue_lock */
    bool writer_sleeps;       /* under queue_lock */
    bool stopping;            /* under queue_lock */
    uint32_t waiting;         /* atomic: writes not yet begun, lanes' lists included */
    int64_t write_delay_us;   /* atomic: what the first of the last batch had waited */
    pthread_t writer_thread;
    bool has_writer;
    struct store__conn *writer; /* the writer thread's from its start on */
    struct arena_pool *writer_arenas;
    unsigned gather_len;                  /* the writer's: how many writes lately came together */
    int64_t batch_begin_us, batch_end_us; /* the writer's: of the last batch */
    bool was_busy;                        /* the writer's: each look before it was in vain */
    unsigned wake_len; /* under queue_lock: writes that are worth waking the writer for */

    /* Held by whoever writes in this process: the writer for a batch, a script, the end of a
     * checkpoint. */
    pthread_mutex_t write_gate;

    uint64_t commit; /* atomic: counts commits; raised before anybody is told of one */
    uint64_t writes, commits, rollbacks;                             /* relaxed */
    uint64_t other_prepared;                                         /* relaxed: by the writer */
    uint64_t left_reads, left_snapshots, left_yields, left_prepared; /* of lanes gone; lanes_lock */
    bool writes_failing;                                             /* atomic */

    pthread_mutex_t checkpoint_lock;
    pthread_cond_t checkpoint_wanted;
    bool checkpoint_asked, checkpoint_stopping; /* under checkpoint_lock */
    pthread_t checkpoint_thread;
    bool has_checkpointer;
    struct store__conn *checkpointer;
    int64_t wal_bytes;       /* atomic: of the WAL since it was last begun anew */
    int64_t checkpoint_from; /* atomic: the length at which to ask for the next one */
    uint64_t checkpoints;    /* relaxed */
};

/* A commit has happened: whoever asks from now on must see it. */
static inline void store__committed(struct store *store)
{
    __atomic_add_fetch(&store->commit, 1, __ATOMIC_RELEASE);
}

void store__observe(struct store *store, enum store__metric metric, int64_t value);
void store__metrics_declare(struct store *store);

/* A thread that takes no signals; pthread_create's code. */
int store__thread_start(pthread_t *thread, const char *name, void *(*fn)(void *), void *arg);

enum status store__writer_start(struct store *store);
void store__writer_stop(struct store *store); /* after everything queued is done */

enum status store__checkpointer_start(struct store *store);
void store__checkpointer_stop(struct store *store);
/* The writer says how long the WAL has become. */
void store__checkpoint_note(struct store *store, int64_t wal_bytes);

/* Install the allocator (store/memory.c), once, before SQLite's first use. */
void store__memory_install(void);

/* -- vfs.c -- */

#define STORE__READER_VFS "purlin-reader"
#define STORE__WRITER_VFS "purlin-writer" /* only at synchronous=FULL */
/* Once a process, before a connection opens. SQLite's code. */
int store__vfs_register(void);

/* The path in a "sqlite:" URL. INVALID, with a problem. */
enum status store__url_path(struct slice url, struct arena *arena, struct problem *problem,
                            char **ret_path);

/* Run every statement of `sql` on `db` (transactions and attaching are refused). `file` is named in
 * the problem, with the line; it may be empty. */
enum status store__statements_run(sqlite3 *db, struct slice file, struct slice sql,
                                  struct arena *arena, struct problem *problem);
/* INVALID naming table and parent when a reference leads nowhere. */
enum status store__references_check(sqlite3 *db, struct arena *arena, struct problem *problem);

/* A connection of its own for the calling thread, foreign keys off, which holds the write gate
 * until it is closed. */
enum status store__tool_open(struct store *store, struct arena *arena, struct problem *problem,
                             struct store__conn **ret_conn);
void store__tool_close(struct store__conn *conn);

#define store__problem_set(problem, arena, st, type, ...)                                          \
    problem_put((problem), (arena), __FILE__, __LINE__, (st), (type), __VA_ARGS__)
