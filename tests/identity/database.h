/*
 * tests/identity/database.h - A database of its own for a test, and tasks that use it.
 */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "fixture.h"
#include "store/store.h"

struct database {
    char folder[64], path[96], url[112];
    struct arena *arena;
    struct problem problem;
    struct store *store;
    struct offload *offload;
    struct loop *loop;
};

static inline void database_connect(struct database *d)
{
    const struct store_options options = { .url = slice_cstr(d->url), .create = true };
    assert_status(store_open(&options, d->arena, &d->problem, &d->store), STATUS_OK);
    assert_status(loop_new(NULL, &d->loop), STATUS_OK);
    loop_offload_set(d->loop, d->offload);
    assert_status(store_attach(d->store, d->loop), STATUS_OK);
}

static inline void database_disconnect(struct database *d)
{
    store_detach(d->store, d->loop);
    store_close(d->store);
    loop_free(d->loop);
}

static inline void database_init(struct database *d)
{
    (void)snprintf(d->folder, sizeof(d->folder), "/tmp/purlin-identity-XXXXXX");
    assert_non_null(mkdtemp(d->folder));
    (void)snprintf(d->path, sizeof(d->path), "%s/test.db", d->folder);
    (void)snprintf(d->url, sizeof(d->url), "sqlite:%s", d->path);
    d->arena = arena_new(NULL, 0);
    assert_status(offload_new(2, 16, &d->offload), STATUS_OK);
    database_connect(d);
}

static inline int database_remove_one(const char *path, const struct stat *info, int kind,
                                      struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void database_fini(struct database *d)
{
    database_disconnect(d);
    offload_free(d->offload);
    arena_free(d->arena);
    assert_int_equal(nftw(d->folder, database_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Run fn as a task of the database's loop, to its end. */
struct database_work {
    struct loop *loop;
    void (*fn)(struct task *task, void *arg);
    void *arg;
    struct loop_post post;
};

static inline void database_work_task(struct task *task, void *arg)
{
    struct database_work *work = arg;
    work->fn(task, work->arg);
    loop_stop(work->loop);
}

static inline void database_work_post(struct loop_post *post)
{
    struct database_work *work = CONTAINER_OF(post, struct database_work, post);
    assert_status(task_spawn(work->loop, database_work_task, work, NULL), STATUS_OK);
}

static inline void database_run(struct database *d, void (*fn)(struct task *task, void *arg),
                                void *arg)
{
    struct database_work work = {
        .loop = d->loop, .fn = fn, .arg = arg, .post.fn = database_work_post
    };
    loop_post(d->loop, &work.post);
    loop_run(d->loop);
}

/* What somebody does who can write the file: another program's connection. */
static inline void database_sqlite(const struct database *d, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 10000);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message ? message : "?");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline int64_t database_number(const struct database *d, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 10000);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return number;
}
