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

/* TEXT and BLOB as they lie: asking for text would have a zero byte put behind it, and the value
 * moved to make room. */
static struct slice bytes_of(sqlite3_value *value)
{
    const char *data = sqlite3_value_blob(value);
    return data ? slice_of(data, (size_t)sqlite3_value_bytes(value)) : SLICE("");
}

struct slice store_rows_bytes(const struct store_rows *rows, unsigned column)
{
    struct store_value value = store_rows_value(rows, column);
    if (value.kind == STORE_TEXT || value.kind == STORE_BLOB)
        return value.as.bytes;
    if (value.kind == STORE_NULL)
        return SLICE_NULL;
    const char *text = (const char *)sqlite3_column_text(rows->stmt, (int)column);
    return text ? slice_of(text, (size_t)sqlite3_column_bytes(rows->stmt, (int)column)) : SLICE("");
}

struct store_value store_rows_value(const struct store_rows *rows, unsigned column)
{
    /* The value is "unprotected": only the thread of its connection may look, and it does. Each
     * sqlite3_column_ call would enter and leave the connection anew. */
    sqlite3_value *value = sqlite3_column_value(rows->stmt, (int)column);
    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        return store_i64(sqlite3_value_int64(value));
    case SQLITE_FLOAT:
        return store_double(sqlite3_value_double(value));
    case SQLITE_TEXT:
        return store_text(bytes_of(value));
    case SQLITE_BLOB:
        return store_blob(bytes_of(value));
    default:
        return store_null();
    }
}
