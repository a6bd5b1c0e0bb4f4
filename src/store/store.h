/*
 * store/store.h - SQL behind one interface, made for two engines (SQLite now, PostgreSQL next).
 * Reads run in the calling task on a read connection of its loop; writes are functions that run
 * whole inside a transaction (on SQLite: on the one writer thread, a savepoint each, many to a
 * commit). The store knows tables and values, never resources. Text of statements uses $1, $2, ...
 * in order of appearance.
 *
 * Data passes: sql + values -> rows whose columns point into the engine's memory until the next
 * step -> the caller copies or formats them at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;
struct loop;
struct metrics;
struct store;
struct store_rows;
struct store_tx;
struct task;

/* -- values and statements --------------------------------------------------------------------- */

enum store_kind { STORE_NULL, STORE_I64, STORE_DOUBLE, STORE_TEXT, STORE_BLOB };

struct store_value {
    enum store_kind kind;
    union {
        int64_t i64;
        double real;
        struct slice bytes; /* TEXT and BLOB; must outlive the call it is passed to */
    } as;
};

static inline struct store_value store_null(void)
{
    return (struct store_value){ .kind = STORE_NULL };
}
static inline struct store_value store_i64(int64_t v)
{
    return (struct store_value){ .kind = STORE_I64, .as.i64 = v };
}
static inline struct store_value store_double(double v)
{
    return (struct store_value){ .kind = STORE_DOUBLE, .as.real = v };
}
static inline struct store_value store_text(struct slice v)
{
    return (struct store_value){ .kind = STORE_TEXT, .as.bytes = v };
}
static inline struct store_value store_blob(struct slice v)
{
    return (struct store_value){ .kind = STORE_BLOB, .as.bytes = v };
}

/*
 * A statement being put together: text in a buf, values beside it. store_sql_value writes "$n" and
 * keeps the value, so outside text can never become SQL. Identifiers come from the catalogue
 * through store_sql_name, which quotes them.
 */
#define STORE_VALUES_MAX 256u
struct store_sql {
    struct buf text;
    struct store_value *values; /* in the arena, grows up to STORE_VALUES_MAX */
    unsigned values_len, values_cap;
    struct arena *arena;
};
void store_sql_init(struct store_sql *sql, struct arena *arena);
static inline void store_sql_put(struct store_sql *sql, struct slice text)
{
    buf_put_slice(&sql->text, text);
}
#define store_sql_lit(sql, literal) buf_put_lit(&(sql)->text, literal)
void store_sql_value(struct store_sql *sql, struct store_value value);
void store_sql_name(struct store_sql *sql, struct slice identifier); /* "quoted" */
enum status store_sql_status(const struct store_sql *sql); /* EXHAUSTED when it grew too large */

/* -- opening ----------------------------------------------------------------------------------- */

struct store_options {
    struct slice url;          /* "sqlite:data/purlin.db", "sqlite::memory:" is refused */
    struct metrics *metrics;   /* may be NULL */
    unsigned readers_per_loop; /* read connections a loop may open; 0: 8 */
    unsigned statements_max;   /* prepared statements kept per connection; 0: 256 */
    unsigned write_queue_max;  /* waiting writes; beyond it store_write is EXHAUSTED. 0: 4096 */
    unsigned batch_max;        /* writes in one commit; 0: 256 */
    int64_t wal_bytes_max;     /* checkpoint beyond; 0: 4 MiB */
    int64_t mmap_bytes;        /* of the file, mapped by readers; 0: 256 MiB, < 0: none */
    bool read_only;
    bool create; /* make the file (and its folder) when missing */
};

/*
 * Open the database, start the writer and checkpoint threads.
 *
 * Errors   INVALID for a URL or file that is no database, UNAVAILABLE when it cannot be opened or
 *          is locked by another program; *problem says which, in words for an operator.
 * Context  start of the process; blocks.
 */
enum status store_open(const struct store_options *options, struct arena *arena,
                       struct problem *problem, struct store **ret_store);
/* Finish queued writes, checkpoint, close. No task may be using it; loops that are still attached
 * must still exist, and not be running. */
void store_close(struct store *store);

/* Prepare a loop for reads (registers the snapshot hook; connections open lazily). Before loop_run
 * or on its thread. */
enum status store_attach(struct store *store, struct loop *loop);
void store_detach(struct store *store, struct loop *loop); /* closes the loop's connections */

/* -- reads ------------------------------------------------------------------------------------- */

/*
 * Run a read statement. Many statements of one loop turn share a snapshot that is never older than
 * the last write acknowledged before the call (any loop's). A task may read while it has rows open
 * (at most 8 statements at once).
 *
 * Errors   TIMEOUT when the task's deadline passes (also in the middle of a long scan) or the scan
 *          has held its snapshot for a minute, CANCELLED, EXHAUSTED when no read connection comes
 *          free in time (5 s at most), UNAVAILABLE, INTERNAL for SQL that does not compile, that
 *          writes, or whose values do not fit (cause kept in the problem). The problem of the task
 *          is set, except for CANCELLED.
 * Memory   *ret_rows holds a connection: close it soon, on every path (CLEANUP(store_rows_close)).
 * Context  suspends: long scans give way to other tasks every ~50 us of work.
 */
enum status store_query(struct task *task, struct store *store, struct slice sql,
                        const struct store_value *values, unsigned values_len,
                        struct store_rows **ret_rows);
static inline enum status store_query_sql(struct task *task, struct store *store,
                                          const struct store_sql *sql, struct store_rows **ret_rows)
{
    return store_query(task, store, buf_slice(&sql->text), sql->values, sql->values_len, ret_rows);
}

/* Step to the next row: OK, NOT_FOUND after the last one, or as store_query. */
enum status store_rows_next(struct store_rows *rows);
/* Accepts NULL. Gives the connection back. */
void store_rows_close(struct store_rows *rows);
static inline void store_rows_closep(struct store_rows **p)
{
    store_rows_close(*p);
}

/* store_query and the first store_rows_next together: NOT_FOUND (rows closed) when there is none.
 */
enum status store_one(struct task *task, struct store *store, struct slice sql,
                      const struct store_value *values, unsigned values_len,
                      struct store_rows **ret_rows);

/* Columns of the current row, from 0. Bytes live until the next step or close. Kinds are converted
 * as SQL does; NULL gives 0, 0.0 or an empty slice with data NULL. */
unsigned store_rows_columns(const struct store_rows *rows);
struct slice store_rows_name(const struct store_rows *rows, unsigned column);
enum store_kind store_rows_kind(const struct store_rows *rows, unsigned column);
bool store_rows_is_null(const struct store_rows *rows, unsigned column);
int64_t store_rows_i64(const struct store_rows *rows, unsigned column);
double store_rows_double(const struct store_rows *rows, unsigned column);
struct slice store_rows_bytes(const struct store_rows *rows, unsigned column); /* TEXT or BLOB */
/* Kind and value at once, as stored: cheaper than asking for the one, then the other. */
struct store_value store_rows_value(const struct store_rows *rows, unsigned column);

/* -- writes ------------------------------------------------------------------------------------ */

/*
 * A write: fn runs once (on PostgreSQL perhaps again after a serialization failure), as a part of a
 * transaction; what it returns decides between keeping and undoing what it did. It may only use
 * store_tx_ functions, the task's arena and problem, and `arg`; it must not wait for anything else.
 * On SQLite it runs on the writer thread, before which all other writes wait: prepare outside.
 */
typedef enum status (*store_write_fn)(struct store_tx *tx, void *arg);

/*
 * Run a write and wait until it is durable (committed and synced with its batch).
 *
 * Errors   what fn returned; EXHAUSTED when the queue is full; UNAVAILABLE when the disk is full or
 *          fails, another program holds the lock, or the batch could not be committed (nothing of
 *          it was kept); CONFLICT when a deferred reference leads nowhere; TIMEOUT and CANCELLED
 *          only while still queued: once it runs, the outcome is waited for.
 * Context  suspends.
 */
enum status store_write(struct task *task, struct store *store, store_write_fn fn, void *arg);

struct arena *store_tx_arena(struct store_tx *tx);
struct problem *store_tx_problem(struct store_tx *tx);
struct store *store_tx_store(struct store_tx *tx);
#define store_tx_problem_set(tx, st, type, ...)                                                    \
    problem_put(store_tx_problem(tx), store_tx_arena(tx), __FILE__, __LINE__, (st), (type),        \
                __VA_ARGS__)

/* What a constraint said, when store_tx_exec returns CONFLICT. */
enum store_conflict_kind {
    STORE_CONFLICT_NONE,
    STORE_CONFLICT_UNIQUE,   /* columns names the columns, comma-separated: "email" or "a,b" */
    STORE_CONFLICT_FOREIGN,  /* SQLite does not say which: columns is empty; the caller finds out */
    STORE_CONFLICT_CHECK,    /* constraint names the CHECK */
    STORE_CONFLICT_NOT_NULL, /* columns names the column */
    STORE_CONFLICT_TRIGGER   /* RAISE(ABORT, text): constraint is the text */
};
struct store_conflict {
    enum store_conflict_kind kind;
    struct slice table, columns, constraint; /* in the tx's arena */
};

/*
 * Run a statement that returns no rows. ret_changes may be NULL. On a constraint failure the
 * statement alone is undone, CONFLICT returned, *store_tx_conflict filled and no problem set (the
 * caller knows the fields).
 */
enum status store_tx_exec(struct store_tx *tx, struct slice sql, const struct store_value *values,
                          unsigned values_len, int64_t *ret_changes);
static inline enum status store_tx_exec_sql(struct store_tx *tx, const struct store_sql *sql,
                                            int64_t *ret_changes)
{
    return store_tx_exec(tx, buf_slice(&sql->text), sql->values, sql->values_len, ret_changes);
}
const struct store_conflict *store_tx_conflict(const struct store_tx *tx);

/*
 * store_tx_exec for the last change of a write, after which fn only reads, and returns OK. When it
 * is the only change too, nothing need be made ready for undoing it: a fifth of what a plain insert
 * costs. A refused statement is undone as ever, and fn may go on or fail.
 *
 * Errors   as store_tx_exec. Whoever breaks the promise, by another change (INTERNAL), by failing,
 *          or by a deferred reference that leads nowhere, fails the batch with all its writes.
 */
enum status store_tx_exec_last(struct store_tx *tx, struct slice sql,
                               const struct store_value *values, unsigned values_len,
                               int64_t *ret_changes);

/* Read inside the transaction (RETURNING included); rows as above, store_rows_next on them never
 * suspends on SQLite. CONFLICT as store_tx_exec. Close before the next write on the same table. */
enum status store_tx_query(struct store_tx *tx, struct slice sql, const struct store_value *values,
                           unsigned values_len, struct store_rows **ret_rows);
static inline enum status store_tx_query_sql(struct store_tx *tx, const struct store_sql *sql,
                                             struct store_rows **ret_rows)
{
    return store_tx_query(tx, buf_slice(&sql->text), sql->values, sql->values_len, ret_rows);
}
enum status store_tx_one(struct store_tx *tx, struct slice sql, const struct store_value *values,
                         unsigned values_len, struct store_rows **ret_rows);

/* A part that may fail alone (a row of an import, an operation of a batch). Nest at most 8 deep. */
enum status store_tx_savepoint(struct store_tx *tx);
enum status store_tx_release(struct store_tx *tx);  /* keep it */
enum status store_tx_rollback(struct store_tx *tx); /* undo back to, and forget, the savepoint */

/* -- upkeep ------------------------------------------------------------------------------------ */

/* SQLite's integrity_check and foreign_key_check. OK: each finding is one line in *report.
 * NOT_FOUND: there is none. Runs in the offload pool. */
enum status store_check(struct task *task, struct store *store, struct buf *report);

typedef void (*store_progress_fn)(void *arg, int64_t done, int64_t total);
/*
 * Copy the live database to `path` while writes go on: one snapshot, integrity check of the copy,
 * fsync, rename into place. Progress is called on a thread of the offload pool, in pages.
 *
 * Restore replaces the database of `url` by the backup's very bytes; no process may have it open.
 *
 * Errors   INVALID for a damaged database or backup, or a `path` that is the database itself;
 *          UNAVAILABLE for what the disk says, or (restore) when the database is open somewhere.
 * Context  backup suspends, restore blocks.
 */
enum status store_backup(struct task *task, struct store *store, struct slice path,
                         store_progress_fn progress, void *arg);
enum status store_restore(struct slice url, struct slice backup_path, struct arena *arena,
                          struct problem *problem, store_progress_fn progress, void *arg);

struct store_stats {
    uint64_t reads, writes, commits, rollbacks, statements_prepared, snapshots, yields;
    int64_t wal_bytes, database_bytes;
    uint32_t write_queue, read_connections;
    bool writes_failing; /* the disk is full or broken: the last batch could not be committed */
};
void store_stats_read(struct store *store, struct store_stats *ret);
/* How long writes wait for the writer now: what the first one of the last batch had waited when it
 * was taken, 0 while none wait. Any thread. */
int64_t store_write_delay_us(const struct store *store);

/* -- migrations (store/migrate.c) -------------------------------------------------------------- */

/*
 * Files `NNNN_name.up.sql` and `NNNN_name.down.sql` in a folder. Applied ones stand in table
 * `purlin_migrations` (number, name, checksum of both files, applied_at, down text). One lock for
 * all nodes; each file in its own transaction with foreign keys checked at the end (PRAGMA
 * foreign_key_check), so that table rebuilds work. A statement list runs through sqlite3's own
 * splitter; comments are kept; statements that begin or end transactions are refused.
 *
 * `down` runs the file on disk or, when there is none, the text kept at the last `up`: an older
 * program can undo what a newer one did. A down file may be corrected, an applied up file not.
 */
struct store_migration {
    unsigned number;
    struct slice name;
    bool applied, on_disk, changed; /* changed: the file differs from what was applied */
    bool destructive;               /* the up file has a line "-- purlin: destructive" */
    int64_t applied_us;
};
struct store_migrations {
    struct store_migration *items; /* by number */
    unsigned len;
};
enum status store_migrations_read(struct store *store, struct slice folder, struct arena *arena,
                                  struct problem *problem, struct store_migrations *ret);

struct store_migrate_options {
    struct slice folder;
    unsigned steps;         /* 0: all (up), one (down) */
    bool allow_destructive; /* else a destructive step is DENIED */
    bool dry_run;           /* do it all, after up also the way down again, and keep nothing */
    store_progress_fn progress;
    void *arg;
};
/* Apply what is pending, oldest first. CONFLICT: an applied file changed, is missing, or the
 * database is newer than the folder (DB6). ret_applied counts. Blocks; start of the process or a
 * tool. */
enum status store_migrate_up(struct store *store, const struct store_migrate_options *options,
                             struct arena *arena, struct problem *problem, unsigned *ret_applied);
enum status store_migrate_down(struct store *store, const struct store_migrate_options *options,
                               struct arena *arena, struct problem *problem, unsigned *ret_undone);

/* Run a list of statements in one transaction, blocking, with foreign keys as migrations have them
 * (generated schema of a development database; demo data; tests). */
enum status store_script(struct store *store, struct slice sql, struct arena *arena,
                         struct problem *problem);

/* A blocking read for start-up and tools, on the calling thread: calls row(arg, rows) for each row;
 * a status other than OK from it ends the walk and is returned. */
enum status store_read_blocking(struct store *store, struct slice sql,
                                const struct store_value *values, unsigned values_len,
                                struct arena *arena, struct problem *problem,
                                enum status (*row)(void *arg, struct store_rows *rows), void *arg);
