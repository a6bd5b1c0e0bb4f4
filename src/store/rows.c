/*
 * store/rows.c - Open statements and their columns, the same for reads and for writes.
 */
#include "base/clock.h"
#include "store/internal.h"

static struct store_rows *place_find(struct store__conn *conn)
{
    for (unsigned i = 0; i < STORE__ROWS_MAX; i++) {
        if (!conn->rows[i].is_open)
            return &conn->rows[i];
    }
    return NULL;
}

/* A task's arena is made when it is first asked for, so it is asked for only when there is
 * something to say. */
static struct arena *arena_of(const struct store_rows *rows)
{
    return rows->arena ? rows->arena : task_arena(rows->task);
}

enum status store__rows_fail(struct store_rows *rows, int rc)
{
    return store__fail(rows->problem, arena_of(rows), rows->conn->db, rc);
}

static enum status fail_misuse(struct store_rows *rows, struct slice sql)
{
    enum status st = store__problem_set(rows->problem, arena_of(rows), STATUS_INTERNAL,
                                        "store/statement", "A database statement failed.");
    struct slice cause = arena_printf(arena_of(rows), "the values do not fit the statement: %.*s",
                                      SLICE_ARG(slice_head(sql, 200)));
    problem_cause(rows->problem, arena_of(rows), cause);
    return st;
}

enum status store__rows_open(struct store__conn *conn, struct task *task, struct arena *arena,
                             struct problem *problem, struct slice sql,
                             const struct store_value *values, unsigned values_len,
                             struct store_rows **ret_rows)
{
    struct store_rows voice = { .conn = conn, .task = task, .arena = arena, .problem = problem };
    struct store_rows *rows = place_find(conn);
    if (UNLIKELY(!rows))
        return store__problem_set(problem, arena_of(&voice), STATUS_INTERNAL, "store/rows",
                                  "Too many statements are open at once.");
    int rc = store__statement_get(conn, sql, &voice.statement);
    if (UNLIKELY(rc != SQLITE_OK))
        return rc == SQLITE_MISUSE ? fail_misuse(&voice, sql) : store__rows_fail(&voice, rc);
    rc = store__statement_bind(voice.statement, values, values_len);
    if (UNLIKELY(rc != SQLITE_OK)) {
        enum status st =
            rc == SQLITE_MISUSE ? fail_misuse(&voice, sql) : store__rows_fail(&voice, rc);
        store__statement_put(conn, voice.statement);
        return st;
    }
    voice.stmt = voice.statement->stmt;
    voice.is_open = true;
    *rows = voice;
    conn->rows_open++;
    *ret_rows = rows;
    return STATUS_OK;
}

void store__rows_release(struct store_rows *rows)
{
    store__statement_put(rows->conn, rows->statement);
    rows->is_open = false;
    rows->has_row = false;
    rows->conn->rows_open--;
}

/* -- columns of the current row ---------------------------------------------------------------- */

unsigned store_rows_columns(const struct store_rows *rows)
{
    return (unsigned)sqlite3_column_count(rows->stmt);
}

struct slice store_rows_name(const struct store_rows *rows, unsigned column)
{
    return slice_cstr(sqlite3_column_name(rows->stmt, (int)column));
}

enum store_kind store_rows_kind(const struct store_rows *rows, unsigned column)
{
    switch (sqlite3_column_type(rows->stmt, (int)column)) {
    case SQLITE_INTEGER:
        return STORE_I64;
    case SQLITE_FLOAT:
        return STORE_DOUBLE;
    case SQLITE_TEXT:
        return STORE_TEXT;
    case SQLITE_BLOB:
        return STORE_BLOB;
    default:
        return STORE_NULL;
    }
}

bool store_rows_is_null(const struct store_rows *rows, unsigned column)
{
    return sqlite3_column_type(rows->stmt, (int)column) == SQLITE_NULL;
}

int64_t store_rows_i64(const struct store_rows *rows, unsigned column)
{
    return sqlite3_column_int64(rows->stmt, (int)column);
}

double store_rows_double(const struct store_rows *rows, unsigned column)
{
    return sqlite3_column_double(rows->stmt, (int)column);
}

struct slice store_rows_bytes(const struct store_rows *rows, unsigned column)
{
    int type = sqlite3_column_type(rows->stmt, (int)column);
    if (type == SQLITE_NULL)
        return SLICE_NULL;
    /* column_text of a BLOB would append a zero byte, which can move it; column_blob gives it as it
     * lies. */
    const char *data = type == SQLITE_BLOB
                           ? sqlite3_column_blob(rows->stmt, (int)column)
                           : (const char *)sqlite3_column_text(rows->stmt, (int)column);
    int len = sqlite3_column_bytes(rows->stmt, (int)column);
    return data ? slice_of(data, (size_t)len) : SLICE("");
}
