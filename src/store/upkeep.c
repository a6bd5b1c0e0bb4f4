/*
 * store/upkeep.c - Checking and copying the live database, in the offload pool.
 *
 * A backup holds one read transaction from its first page to its last, so it is the database as of
 * one commit, however much is written meanwhile, and never begins anew (as SQLite's backup does
 * when it finds the source changed between two steps). The price is that the WAL cannot be begun
 * anew until it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/files.h"
#include "store/internal.h"

#define BACKUP_STEP_PAGES 512
#define FINDINGS_MAX 100

/* -- work on another thread ---------------------------------------------------------------------
 */

/* What a worker thread is given. It must not touch the task's arena, whose pool belongs to the
 * loop: it has its own. */
struct errand {
    struct store *store;
    struct arena *arena;
    struct problem problem;
    enum status status;
    char *path; /* of a backup */
    store_progress_fn progress;
    void *arg;
    struct buf report; /* on the heap */
};

/* Run fn(errand) in the offload pool, and take over what it has to say. */
static enum status run_errand(struct task *task, struct errand *errand, void (*fn)(void *))
{
    errand->arena = arena_new(/* pool= */ NULL, /* budget_bytes= */ 0);
    enum status st = task_offload(task, fn, errand);
    if (st == STATUS_OK)
        st = errand->status;
    if (errand->problem.status != STATUS_OK) {
        (void)problem_set(task, st, errand->problem.type, "%.*s",
                          SLICE_ARG(errand->problem.detail));
        if (errand->problem.cause.len)
            problem_cause(task_problem(task), task_arena(task), errand->problem.cause);
        task_problem(task)->retry_after_us = errand->problem.retry_after_us;
    }
    arena_free(errand->arena);
    return st;
}

/* -- check ---------------------------------------------------------------------------------------
 */

static void report_line(struct buf *report, const char *what, const char *rest)
{
    buf_put_cstr(report, what);
    buf_put_cstr(report, rest);
    buf_putc(report, '\n');
}

static int report_pages(sqlite3 *db, struct buf *report)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(100)", -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *line = (const char *)sqlite3_column_text(stmt, 0);
        if (line && strcmp(line, "ok") != 0)
            report_line(report, "integrity: ", line);
    }
    (void)sqlite3_finalize(stmt); /* repeats rc */
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int report_references(sqlite3 *db, struct buf *report)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA foreign_key_check", -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return rc;
    for (unsigned i = 0; i < FINDINGS_MAX && (rc = sqlite3_step(stmt)) == SQLITE_ROW; i++)
        buf_printf(report, "reference: row %lld of %s refers to a row of %s that does not exist\n",
                   (long long)sqlite3_column_int64(stmt, 1),
                   (const char *)sqlite3_column_text(stmt, 0),
                   (const char *)sqlite3_column_text(stmt, 2));
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int report_all(sqlite3 *db, struct buf *report)
{
    int rc = report_pages(db, report);
    if (rc == SQLITE_OK)
        rc = report_references(db, report);
    /* A file too damaged to be checked is a finding, not a failure to check. */
    if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB) {
        report_line(report, "integrity: ", sqlite3_errstr(rc));
        rc = SQLITE_OK;
    }
    return rc;
}

static void check_errand(void *arg)
{
    struct errand *e = arg;
    struct store__conn *conn;
    int rc = SQLITE_NOMEM;
    e->status = store__conn_open(e->store, STORE__READER, &rc, &conn);
    if (e->status == STATUS_OK) {
        (void)sqlite3_busy_timeout(conn->db, STORE__BUSY_MS);
        rc = report_all(conn->db, &e->report);
        if (rc != SQLITE_OK)
            e->status = store__fail(&e->problem, e->arena, conn->db, rc);
        store__conn_close(conn);
    } else if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB) {
        report_line(&e->report, "integrity: ", sqlite3_errstr(rc));
        e->status = STATUS_OK;
    } else {
        e->status = store__fail(&e->problem, e->arena, NULL, rc);
    }
}

enum status store_check(struct task *task, struct store *store, struct buf *report)
{
    struct errand errand = { .store = store };
    buf_init(&errand.report, NULL, 0, (size_t)1 << 20);
    enum status st = run_errand(task, &errand, check_errand);
    if (st == STATUS_OK) {
        buf_put_slice(report, buf_slice(&errand.report));
        st = errand.report.len ? buf_status(report) : STATUS_NOT_FOUND;
    }
    buf_fini(&errand.report);
    return st;
}

/* -- backup ---------------------------------------------------------------------------------------
 */

static int copy_pages(struct errand *e, sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *copy = sqlite3_backup_init(to, "main", from, "main");
    if (!copy)
        return sqlite3_extended_errcode(to);
    int rc;
    do {
        rc = sqlite3_backup_step(copy, BACKUP_STEP_PAGES);
        int total = sqlite3_backup_pagecount(copy);
        if (e->progress)
            e->progress(e->arg, total - sqlite3_backup_remaining(copy), total);
    } while (rc == SQLITE_OK);
    int end_rc = sqlite3_backup_finish(copy);
    return rc == SQLITE_DONE ? end_rc : rc;
}

/* The source's read transaction is held over all steps: see the top of this file. */
static int copy_snapshot(struct errand *e, sqlite3 *from, sqlite3 *to)
{
    int rc = store__exec(from, "BEGIN; SELECT count(*) FROM sqlite_schema");
    if (rc == SQLITE_OK)
        rc = copy_pages(e, from, to);
    (void)store__exec(from, "COMMIT"); /* it only read */
    return rc;
}

static enum status copy_to(struct errand *e, const char *path)
{
    struct store__conn *conn;
    int rc = SQLITE_NOMEM;
    enum status st = store__conn_open(e->store, STORE__READER, &rc, &conn);
    if (st != STATUS_OK)
        return store__fail_file(&e->problem, e->arena, NULL, rc, "Reading", e->store->path);
    (void)sqlite3_busy_timeout(conn->db, STORE__BUSY_MS);
    sqlite3 *to = NULL;
    rc = sqlite3_open_v2(path, &to,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    /* A half copy is thrown away, and the whole one is synced once at the end. */
    if (rc == SQLITE_OK)
        rc = store__exec(to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF");
    if (rc == SQLITE_OK)
        rc = copy_snapshot(e, conn->db, to);
    if (rc != SQLITE_OK)
        st = store__fail_file(&e->problem, e->arena, to, rc, "Writing the backup", path);
    (void)sqlite3_close_v2(to); /* nothing is left to write: each step wrote its pages */
    store__conn_close(conn);
    return st;
}

static void backup_errand(void *arg)
{
    struct errand *e = arg;
    if (store__same_file(e->path, e->store->path)) {
        e->status = store__problem_set(&e->problem, e->arena, STATUS_INVALID, "store/backup",
                                       "%s is the database itself.", e->path);
        return;
    }
    char *part = NULL;
    e->status = store__part_make(e->path, e->arena, &e->problem, &part);
    if (e->status != STATUS_OK)
        return;
    e->status = copy_to(e, part);
    if (e->status == STATUS_OK)
        e->status = store__file_verify(part, e->arena, &e->problem);
    if (e->status == STATUS_OK)
        e->status = store__part_place(part, e->path, e->arena, &e->problem);
    if (e->status != STATUS_OK)
        (void)unlink(
            part); /* what cannot be removed is in the way of nothing: it has a name of its own */
}

enum status store_backup(struct task *task, struct store *store, struct slice path,
                         store_progress_fn progress, void *arg)
{
    struct errand errand = {
        .store = store,
        .path = arena_cstr(task_arena(task), path),
        .progress = progress,
        .arg = arg,
    };
    if (!errand.path || path.len == 0)
        return problem_set(task, STATUS_INVALID, "store/backup",
                           "The backup needs the name of a file.");
    return run_errand(task, &errand, backup_errand);
}
