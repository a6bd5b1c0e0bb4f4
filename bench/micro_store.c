/*
 * bench/micro_store.c - What the store costs over bare SQLite: a row by id, a list of twenty,
 * durable creates. Each beside the same statement in a bare C loop on the same file, in turns,
 * medians of three.
 *
 *     micro_store FOLDER [ROWS]        makes FOLDER/micro.db (100000 posts) and measures
 *     micro_store FOLDER CASE COUNT    one case that many times, nothing printed: for counting
 *                                      instructions, system calls and allocations
 *
 * Cases: row, list, create, bare_row, bare_list, bare_create.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "store/store.h"

#define WRITERS 64u
#define IDS_MAX 200000u
#define BODY_BYTES 600

static const char schema[] =
    "CREATE TABLE posts ("
    "  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),"
    "  author BLOB NOT NULL,"
    "  title TEXT NOT NULL CHECK (length(title) <= 300),"
    "  body TEXT NOT NULL CHECK (length(body) <= 40000),"
    "  visibility TEXT NOT NULL DEFAULT 'public' CHECK (visibility IN ('public', 'private')),"
    "  score INTEGER NOT NULL DEFAULT 0,"
    "  created_at INTEGER NOT NULL,"
    "  updated_at INTEGER NOT NULL,"
    "  version INTEGER NOT NULL DEFAULT 1"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX posts_author ON posts (author, created_at DESC, id DESC)";

static const char insert_sql[] =
    "INSERT INTO posts (id, author, title, body, created_at, updated_at)"
    " VALUES ($1, $2, $3, $4, $5, $6)";
static const char row_sql[] =
    "SELECT id, author, title, body, visibility, score, created_at, updated_at, version"
    "  FROM posts"
    " WHERE id = $1 AND (visibility = 'public' OR author = $2)";
static const char list_sql[] =
    "SELECT id, author, title, body, visibility, score, created_at, updated_at, version"
    "  FROM posts"
    " WHERE author = $1 AND (visibility = 'public' OR author = $2)"
    " ORDER BY created_at DESC, id DESC"
    " LIMIT 21";

static struct {
    char path[4096];
    struct arena *arena;
    struct problem problem;
    struct store *store;
    struct loop *loop;
    struct uuid ids[IDS_MAX], authors[1000];
    unsigned ids_len;
    char body[BODY_BYTES];
    uint64_t sink;
} bench;

static void die(const char *what)
{
    fprintf(stderr, "micro_store: %s: %.*s\n", what, SLICE_ARG(bench.problem.detail));
    exit(1);
}

static struct slice uuid_slice(const struct uuid *id)
{
    return slice_of((const char *)id->bytes, sizeof(id->bytes));
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* -- the bare loops ------------------------------------------------------------------------------
 */

static sqlite3 *bare_open(int flags)
{
    sqlite3 *db;
    if (sqlite3_open_v2(bench.path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        die("bare open");
    sqlite3_exec(db, "PRAGMA mmap_size = 1073741824", NULL, NULL, NULL);
    return db;
}

static sqlite3_stmt *bare_prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
        die(sqlite3_errmsg(db));
    return stmt;
}

static void bare_columns(sqlite3_stmt *stmt)
{
    for (int i = 0; i < 9; i++) {
        if (sqlite3_column_type(stmt, i) == SQLITE_INTEGER)
            bench.sink += (uint64_t)sqlite3_column_int64(stmt, i);
        else
            bench.sink += *(const unsigned char *)sqlite3_column_blob(stmt, i) +
                          (unsigned)sqlite3_column_bytes(stmt, i);
    }
}

static void bare_read(const char *sql, const struct uuid *keys, unsigned keys_len, uint64_t count)
{
    sqlite3 *db = bare_open(SQLITE_OPEN_READONLY);
    sqlite3_stmt *stmt = bare_prepare(db, sql);
    for (uint64_t n = 0; n < count; n++) {
        const struct uuid *key = &keys[random_fast() % keys_len];
        sqlite3_bind_blob(stmt, 1, key->bytes, 16, SQLITE_STATIC);
        sqlite3_bind_blob(stmt, 2, key->bytes, 16, SQLITE_STATIC);
        while (sqlite3_step(stmt) == SQLITE_ROW)
            bare_columns(stmt);
        sqlite3_reset(stmt);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static void bare_bind(sqlite3_stmt *stmt, const struct uuid *id)
{
    sqlite3_bind_blob(stmt, 1, id->bytes, 16, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 2, bench.authors[random_fast() % 1000].bytes, 16, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 3, "A post of the bench, as durable as any", -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 4, bench.body, BODY_BYTES, SQLITE_STATIC);
    int64_t now_us = clock_wall_us();
    sqlite3_bind_int64(stmt, 5, now_us);
    sqlite3_bind_int64(stmt, 6, now_us);
}

static int bare_on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    *(int *)arg = pages;
    return SQLITE_OK;
}

static void bare_create(uint64_t count)
{
    sqlite3 *db = bare_open(SQLITE_OPEN_READWRITE);
    int pages = 0;
    sqlite3_exec(db, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0", NULL, NULL, NULL);
    sqlite3_wal_hook(db, bare_on_wal, &pages);
    sqlite3_stmt *stmt = bare_prepare(db, insert_sql);
    for (uint64_t n = 0; n < count;) {
        sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        for (unsigned i = 0; i < 64 && n < count; i++, n++) {
            struct uuid id = uuid_v7();
            bare_bind(stmt, &id);
            if (sqlite3_step(stmt) != SQLITE_DONE)
                die(sqlite3_errmsg(db));
            sqlite3_reset(stmt);
        }
        if (sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
            die(sqlite3_errmsg(db));
        if (pages >= (64 << 20) / 4096) {
            sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
            pages = 0;
        }
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

/* -- through the store ----------------------------------------------------------------------------
 */

struct reads {
    struct slice sql;
    const struct uuid *keys;
    unsigned keys_len;
    uint64_t left;
};

static void columns(struct store_rows *rows)
{
    for (unsigned i = 0; i < 9; i++) {
        if (store_rows_kind(rows, i) == STORE_I64) {
            bench.sink += (uint64_t)store_rows_i64(rows, i);
        } else {
            struct slice s = store_rows_bytes(rows, i);
            bench.sink += (unsigned char)s.data[0] + s.len;
        }
    }
}

/* A turn of the loop is 32 reads, as when 32 clients have asked. */
static void read_task(struct task *task, void *arg)
{
    struct reads *r = arg;
    for (; r->left > 0; r->left--) {
        const struct uuid *key = &r->keys[random_fast() % r->keys_len];
        const struct store_value values[] = { store_blob(uuid_slice(key)),
                                              store_blob(uuid_slice(key)) };
        struct store_rows *rows;
        if (store_query(task, bench.store, r->sql, values, 2, &rows) != STATUS_OK)
            die("store_query");
        while (store_rows_next(rows) == STATUS_OK)
            columns(rows);
        store_rows_close(rows);
        if (r->left % 32 == 0)
            (void)task_yield(task);
    }
    loop_stop(bench.loop);
}

static void store_read(struct slice sql, const struct uuid *keys, unsigned keys_len, uint64_t count)
{
    struct reads r = { sql, keys, keys_len, count };
    if (task_spawn(bench.loop, read_task, &r, NULL) != STATUS_OK)
        die("task_spawn");
    loop_run(bench.loop);
}

struct writes {
    uint64_t left;
    unsigned running;
};

static enum status create(struct store_tx *tx, void *arg)
{
    (void)arg;
    struct uuid id = uuid_v7();
    int64_t now_us = clock_wall_us();
    const struct store_value values[] = {
        store_blob(uuid_slice(&id)),
        store_blob(uuid_slice(&bench.authors[random_fast() % 1000])),
        store_text(SLICE("A post of the bench, as durable as any")),
        store_text(slice_of(bench.body, BODY_BYTES)),
        store_i64(now_us),
        store_i64(now_us),
    };
    return store_tx_exec(tx, SLICE(insert_sql), values, ARRAY_LEN(values), NULL);
}

static void write_task(struct task *task, void *arg)
{
    struct writes *w = arg;
    while (w->left > 0) {
        w->left--;
        if (store_write(task, bench.store, create, NULL) != STATUS_OK)
            die("store_write");
    }
    if (--w->running == 0)
        loop_stop(bench.loop);
}

static void store_create(uint64_t count)
{
    struct writes w = { count, WRITERS };
    for (unsigned i = 0; i < WRITERS; i++) {
        if (task_spawn(bench.loop, write_task, &w, NULL) != STATUS_OK)
            die("task_spawn");
    }
    loop_run(bench.loop);
}

/* -- the cases
 * ---------------------------------------------------------------------------------------- */

static void run_case(const char *name, uint64_t count)
{
    if (strcmp(name, "row") == 0)
        store_read(SLICE(row_sql), bench.ids, bench.ids_len, count);
    else if (strcmp(name, "bare_row") == 0)
        bare_read(row_sql, bench.ids, bench.ids_len, count);
    else if (strcmp(name, "list") == 0)
        store_read(SLICE(list_sql), bench.authors, 1000, count);
    else if (strcmp(name, "bare_list") == 0)
        bare_read(list_sql, bench.authors, 1000, count);
    else if (strcmp(name, "create") == 0)
        store_create(count);
    else if (strcmp(name, "bare_create") == 0)
        bare_create(count);
    else
        die("no such case");
}

static const struct {
    const char *name;
    uint64_t count;
} cases[] = { { "bare_row", 300000 }, { "row", 300000 },         { "bare_list", 40000 },
              { "list", 40000 },      { "bare_create", 100000 }, { "create", 100000 } };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(void)
{
    double wall[ARRAY_LEN(cases)][3], cpu[ARRAY_LEN(cases)][3];
    uint64_t commits[3] = { 0 };
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            struct store_stats before, after;
            store_stats_read(bench.store, &before);
            int64_t begin_us = clock_mono_us();
            double begin_cpu = cpu_seconds();
            run_case(cases[i].name, cases[i].count);
            cpu[i][round] = (cpu_seconds() - begin_cpu) * 1e6 / (double)cases[i].count;
            wall[i][round] = (double)(clock_mono_us() - begin_us) / (double)cases[i].count;
            store_stats_read(bench.store, &after);
            if (after.commits > before.commits)
                commits[round] = after.commits - before.commits;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        qsort(wall[i], 3, sizeof(double), by_value);
        qsort(cpu[i], 3, sizeof(double), by_value);
        printf("%-12s %9.3f us  %9.3f us cpu  %8.0f a second", cases[i].name, wall[i][1], cpu[i][1],
               1e6 / wall[i][1]);
        if (i % 2)
            printf("  %.2f x the bare loop", wall[i][1] / wall[i - 1][1]);
        printf("\n");
    }
    printf("writes in a batch: %.1f\n", 100000.0 / (double)MAX(commits[1], 1));
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("peak resident: %ld KiB (mapped file pages included)\n", usage.ru_maxrss);
}

static void fill(unsigned rows)
{
    sqlite3 *db = bare_open(SQLITE_OPEN_READWRITE);
    sqlite3_stmt *stmt = bare_prepare(db, insert_sql);
    sqlite3_exec(db, "BEGIN; DELETE FROM posts", NULL, NULL, NULL);
    for (unsigned i = 0; i < 1000; i++)
        bench.authors[i] = uuid_v7();
    for (unsigned i = 0; i < rows; i++) {
        bench.ids[i] = uuid_v7();
        bare_bind(stmt, &bench.ids[i]);
        if (sqlite3_step(stmt) != SQLITE_DONE)
            die(sqlite3_errmsg(db));
        sqlite3_reset(stmt);
    }
    bench.ids_len = rows;
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: micro_store FOLDER [ROWS | CASE COUNT]\n");
        return 2;
    }
    bool is_case = argc == 4;
    unsigned rows = argc == 3 ? (unsigned)MIN(strtoul(argv[2], NULL, 10), IDS_MAX) : 100000;
    memset(bench.body, 'x', sizeof(bench.body));
    (void)snprintf(bench.path, sizeof(bench.path), "%s/micro.db", argv[1]);
    (void)unlink(bench.path);
    bench.arena = arena_new(NULL, 0);
    struct store_options options = {
        .url = arena_printf(bench.arena, "sqlite:%s", bench.path),
        .create = true,
    };
    if (loop_new(NULL, &bench.loop) != STATUS_OK ||
        store_open(&options, bench.arena, &bench.problem, &bench.store) != STATUS_OK ||
        store_script(bench.store, SLICE(schema), bench.arena, &bench.problem) != STATUS_OK)
        die("open");
    fill(rows);
    if (store_attach(bench.store, bench.loop) != STATUS_OK)
        die("attach");
    if (is_case)
        run_case(argv[2], strtoull(argv[3], NULL, 10));
    else
        measure();
    store_detach(bench.store, bench.loop);
    store_close(bench.store);
    loop_free(bench.loop);
    arena_free(bench.arena);
    return bench.sink == 1;
}
