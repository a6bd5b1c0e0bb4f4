/*
 * store/script.c - What start-up and tools do on the calling thread, blocking: lists of statements,
 * and reads without a task.
 */
#include <string.h>

#include "store/internal.h"

/* -- a connection of one's own ----------------------------------------------------------------- */

enum status store__tool_open(struct store *store, struct arena *arena, struct problem *problem,
                             struct store__conn **ret_conn)
{
    if (store->read_only)
        return store__problem_set(problem, arena, STATUS_UNAVAILABLE, "store/read-only",
                                  "The database is open for reading only.");
    int rc = SQLITE_NOMEM;
    struct store__conn *conn;
    enum status st = store__conn_open(store, STORE__TOOL, &rc, &conn);
    if (st != STATUS_OK)
        return store__fail_file(problem, arena, NULL, rc, "Opening", store->path);
    pthread_mutex_lock(&store->write_gate);
    *ret_conn = conn;
    return STATUS_OK;
}

void store__tool_close(struct store__conn *conn)
{
    struct store *store = conn->store;
    store__conn_close(conn);
    pthread_mutex_unlock(&store->write_gate);
}

/* -- lists of statements ----------------------------------------------------------------------- */

/* The transaction is the runner's: a list that ended it would be half kept when it fails later. */
static int refuse_transactions(void *arg, int action, const char *a, const char *b, const char *c,
                               const char *d)
{
    (void)arg;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
        return SQLITE_DENY;
    default:
        return SQLITE_OK;
    }
}

static unsigned line_of(struct slice sql, const char *at)
{
    unsigned line = 1;
    for (const char *p = sql.data; p < at; p++)
        line += *p == '\n';
    return line;
}

/* Past blanks and comments, so that a failure names the line where the statement begins. */
static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end) {
        if (strchr(" \t\r\n", *p)) {
            p++;
        } else if (end - p >= 2 && p[0] == '-' && p[1] == '-') {
            while (p < end && *p != '\n')
                p++;
        } else if (end - p >= 2 && p[0] == '/' && p[1] == '*') {
            const char *close = memmem(p + 2, (size_t)(end - p - 2), "*/", 2);
            p = close ? close + 2 : end;
        } else {
            break;
        }
    }
    return p;
}

struct place {
    struct slice file; /* empty: no file */
    unsigned line;
};

static enum status fail_statement(sqlite3 *db, int rc, struct place at, struct arena *arena,
                                  struct problem *problem)
{
    const char *words =
        (rc & 0xff) == SQLITE_AUTH
            ? "a list of statements runs in one transaction, which it may not begin, end or leave"
            : sqlite3_errmsg(db);
    enum status st = store__failure_of(rc)->status;
    const char *type = store__failure_of(rc)->type;
    if (st == STATUS_INTERNAL) {
        st = STATUS_INVALID;
        type = "store/script";
    }
    return store__problem_set(problem, arena, st, type, "%.*s%sline %u: %s.", SLICE_ARG(at.file),
                              at.file.len ? ", " : "", at.line, words);
}

static int run_statement(sqlite3 *db, const char *text, size_t len, const char **ret_tail)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, text, (int)MIN(len, (size_t)INT32_MAX), &stmt, ret_tail);
    if (rc != SQLITE_OK || !stmt)
        return rc;
    do
        rc = sqlite3_step(stmt);
    while (rc == SQLITE_ROW);
    int end_rc = sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : end_rc;
}

enum status store__statements_run(sqlite3 *db, struct slice file, struct slice sql,
                                  struct arena *arena, struct problem *problem)
{
    const char *end = sql.data + sql.len;
    const char *at = skip_blanks(sql.data, end);
    enum status st = STATUS_OK;
    (void)sqlite3_set_authorizer(db, refuse_transactions, NULL);
    while (st == STATUS_OK && at < end) {
        const char *tail = end;
        int rc = run_statement(db, at, (size_t)(end - at), &tail);
        if (rc != SQLITE_OK)
            st = fail_statement(db, rc, (struct place){ file, line_of(sql, at) }, arena, problem);
        at = skip_blanks(tail, end);
    }
    (void)sqlite3_set_authorizer(db, NULL, NULL);
    return st;
}

enum status store__references_check(sqlite3 *db, struct arena *arena, struct problem *problem)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA foreign_key_check", -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return store__fail(problem, arena, db, rc);
    rc = sqlite3_step(stmt);
    enum status st = STATUS_OK;
    if (rc == SQLITE_ROW)
        st = store__problem_set(problem, arena, STATUS_CONFLICT, "store/reference",
                                "Row %lld of %s refers to a row of %s that does not exist.",
                                (long long)sqlite3_column_int64(stmt, 1),
                                (const char *)sqlite3_column_text(stmt, 0),
                                (const char *)sqlite3_column_text(stmt, 2));
    else if (rc != SQLITE_DONE)
        st = store__fail(problem, arena, db, rc);
    (void)sqlite3_finalize(stmt); /* repeats what the step said */
    return st;
}

enum status store_script(struct store *store, struct slice sql, struct arena *arena,
                         struct problem *problem)
{
    struct store__conn *conn;
    enum status st = store__tool_open(store, arena, problem, &conn);
    if (st != STATUS_OK)
        return st;
    sqlite3 *db = conn->db;
    int rc = store__exec(db, "BEGIN IMMEDIATE");
    if (rc != SQLITE_OK) {
        st = store__fail(problem, arena, db, rc);
        store__tool_close(conn);
        return st;
    }
    st = store__statements_run(db, SLICE(""), sql, arena, problem);
    if (st == STATUS_OK)
        st = store__references_check(db, arena, problem);
    if (st == STATUS_OK) {
        rc = store__exec(db, "COMMIT");
        if (rc != SQLITE_OK)
            st = store__fail(problem, arena, db, rc);
        else
            store__committed(store);
    }
    if (!sqlite3_get_autocommit(db))
        (void)store__exec(db, "ROLLBACK"); /* closing would do the same */
    store__tool_close(conn);
    return st;
}

/* -- reads without a task ---------------------------------------------------------------------- */

enum status store_read_blocking(struct store *store, struct slice sql,
                                const struct store_value *values, unsigned values_len,
                                struct arena *arena, struct problem *problem,
                                enum status (*row)(void *arg, struct store_rows *rows), void *arg)
{
    int rc = SQLITE_NOMEM;
    struct store__conn *conn;
    enum status st = store__conn_open(store, STORE__READER, &rc, &conn);
    if (st != STATUS_OK)
        return store__fail_file(problem, arena, NULL, rc, "Opening", store->path);
    /* A tool may wait where a loop may not. */
    (void)sqlite3_busy_timeout(conn->db, STORE__BUSY_MS);
    struct store_rows *rows;
    st = store__rows_open(conn, /* task= */ NULL, arena, problem, sql, values, values_len, &rows);
    if (st == STATUS_OK) {
        while ((st = store_rows_next(rows)) == STATUS_OK) {
            st = row(arg, rows);
            if (st != STATUS_OK)
                break;
        }
        /* The end of the rows is no failure; NOT_FOUND from the caller's own function is passed on.
         */
        if (st == STATUS_NOT_FOUND && rows->is_done)
            st = STATUS_OK;
        store_rows_close(rows);
    }
    store__conn_close(conn);
    return st;
}
