/*
 * tests/store/fixture.h - A store in a folder of its own and a loop for each test. A test's tasks
 * run until none is left.
 */
#pragma once

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "store/store.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef UNDER_TSAN
/* SQLite is not instrumented: what it does between its own threads cannot be seen to be in order.
 */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libsqlite3.so\nrace:libsqlite3.so\nmutex:libsqlite3.so\n";
}
#endif

#define assert_status(got, want) assert_string_equal(status_name(got), status_name(want))

struct fixture {
    char folder[64];
    char path[96];
    char url[128];
    struct arena *arena;
    struct problem problem;
    struct store *store;
    struct loop *loop;
    bool hooked;
};

static inline void fixture_folder(struct fixture *f)
{
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/purlin-store-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof(f->path), "%s/test.db", f->folder);
    (void)snprintf(f->url, sizeof(f->url), "sqlite:%s", f->path);
    f->arena = arena_new(NULL, 0);
}

/* A failed status with its problem's words, for the reader of a failed test. */
static inline void fixture_ok(struct fixture *f, enum status st)
{
    if (st != STATUS_OK)
        print_message("%s: %s: %.*s\n", status_name(st), f->problem.type ? f->problem.type : "",
                      SLICE_ARG(f->problem.detail));
    assert_status(st, STATUS_OK);
}

static inline void task_ok(struct task *task, enum status st)
{
    if (st != STATUS_OK)
        print_message("%s: %s: %.*s\n", status_name(st), task_problem(task)->type,
                      SLICE_ARG(task_problem(task)->cause));
    assert_status(st, STATUS_OK);
}

static inline void fixture_open(struct fixture *f, struct store_options options)
{
    options.url = slice_cstr(f->url);
    options.create = !options.read_only;
    fixture_ok(f, store_open(&options, f->arena, &f->problem, &f->store));
    if (f->loop)
        assert_status(store_attach(f->store, f->loop), STATUS_OK);
}

static inline int setup_with(void **state, struct store_options options)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    fixture_folder(f);
    assert_status(loop_new(NULL, &f->loop), STATUS_OK);
    fixture_open(f, options);
    *state = f;
    return 0;
}

static inline int setup(void **state)
{
    return setup_with(state, (struct store_options){ 0 });
}

/* Only a folder and an arena. */
static inline int setup_closed(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    fixture_folder(f);
    *state = f;
    return 0;
}

static inline void fixture_close(struct fixture *f)
{
    if (f->store && f->loop)
        store_detach(f->store, f->loop);
    store_close(f->store);
    f->store = NULL;
}

static inline int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    if (f->loop)
        loop_free(f->loop);
    arena_free(f->arena);
    assert_int_equal(nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
    return 0;
}

static inline void script(struct fixture *f, const char *sql)
{
    problem_clear(&f->problem);
    fixture_ok(f, store_script(f->store, slice_cstr(sql), f->arena, &f->problem));
}

static inline void stop_when_done(void *arg)
{
    struct loop_stats stats;
    loop_stats_read(arg, &stats);
    if (stats.tasks_live == 0)
        loop_stop(arg);
}

static inline void run_to_end(struct fixture *f)
{
    if (!f->hooked)
        loop_hook_before_poll(f->loop, stop_when_done, f->loop);
    f->hooked = true;
    loop_run(f->loop);
}

static inline void spawn(struct fixture *f, task_fn fn, void *arg)
{
    assert_status(task_spawn(f->loop, fn, arg, NULL), STATUS_OK);
}

/* Run one task to its end. */
static inline void run_task(struct fixture *f, task_fn fn, void *arg)
{
    spawn(f, fn, arg);
    run_to_end(f);
}

/* The integer that a blocking read gives. */
static inline enum status read_one_i64(void *arg, struct store_rows *rows)
{
    *(int64_t *)arg = store_rows_i64(rows, 0);
    return STATUS_OK;
}

static inline int64_t read_i64(struct fixture *f, const char *sql)
{
    int64_t value = INT64_MIN;
    problem_clear(&f->problem);
    fixture_ok(f, store_read_blocking(f->store, slice_cstr(sql), NULL, 0, f->arena, &f->problem,
                                      read_one_i64, &value));
    return value;
}

/* A write that is one statement. */
struct statement {
    const char *sql;
    const struct store_value *values;
    unsigned values_len;
    int64_t changes;
};

static inline enum status write_statement(struct store_tx *tx, void *arg)
{
    struct statement *s = arg;
    return store_tx_exec(tx, slice_cstr(s->sql), s->values, s->values_len, &s->changes);
}

static inline enum status write_sql(struct task *task, struct fixture *f, const char *sql)
{
    return store_write(task, f->store, write_statement, &(struct statement){ .sql = sql });
}
