/*
 * store/tx.c - Inside a write: statements, savepoints and what constraints say. Runs on the writer
 * thread.
 */
#include "store/internal.h"

struct arena *store_tx_arena(struct store_tx *tx)
{
    return tx->arena;
}

struct problem *store_tx_problem(struct store_tx *tx)
{
    return tx->problem;
}

struct store *store_tx_store(struct store_tx *tx)
{
    return tx->store;
}

const struct store_conflict *store_tx_conflict(const struct store_tx *tx)
{
    return &tx->conflict;
}

int store__conn_run(struct store__conn *conn, struct slice sql)
{
    struct store__statement *s;
    int rc = store__statement_get(conn, sql, &s);
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(s->stmt);
    store__statement_put(conn, s);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

enum status store__rows_step(struct store_rows *rows)
{
    int rc = sqlite3_step(rows->stmt);
    if (LIKELY(rc == SQLITE_ROW)) {
        rows->has_row = true;
        return STATUS_OK;
    }
    rows->has_row = false;
    rows->is_done = true;
    if (LIKELY(rc == SQLITE_DONE))
        return STATUS_NOT_FOUND;
    if ((rc & 0xff) == SQLITE_CONSTRAINT && rows->tx &&
        store__conflict_read(rc, sqlite3_errmsg(rows->conn->db), rows->arena, &rows->tx->conflict))
        return STATUS_CONFLICT;
    return store__rows_fail(rows, rc);
}

static const struct slice write_begin_sql = SLICE_INIT("SAVEPOINT write");

static enum status run(struct store_tx *tx, struct slice sql)
{
    int rc = store__conn_run(tx->conn, sql);
    return rc == SQLITE_OK ? STATUS_OK : store__fail(tx->problem, tx->arena, tx->conn->db, rc);
}

/* What follows can be undone together, should the write fail. A savepoint is not free: SQLite
 * copies each page that is changed after it. So it is made only before a change, and not before the
 * last. */
static enum status savepoint_need(struct store_tx *tx)
{
    if (tx->has_savepoint)
        return STATUS_OK;
    if (tx->is_over)
        return store_tx_problem_set(tx, STATUS_INTERNAL, "store/last",
                                    "A write changed more after its last change.");
    enum status st = run(tx, write_begin_sql);
    tx->has_savepoint = st == STATUS_OK;
    return st;
}

static enum status query(struct store_tx *tx, struct slice sql, const struct store_value *values,
                         unsigned values_len, bool is_last, struct store_rows **ret_rows)
{
    struct store_rows *rows;
    enum status st = store__rows_open(tx->conn, /* task= */ NULL, tx->arena, tx->problem, sql,
                                      values, values_len, &rows);
    if (st != STATUS_OK)
        return st;
    bool is_change = !sqlite3_stmt_readonly(rows->stmt);
    if (is_change && (!is_last || tx->is_over))
        st = savepoint_need(tx);
    if (st != STATUS_OK) {
        store_rows_close(rows);
        return st;
    }
    rows->tx = tx;
    tx->conflict.kind = STORE_CONFLICT_NONE;
    *ret_rows = rows;
    return STATUS_OK;
}

enum status store_tx_query(struct store_tx *tx, struct slice sql, const struct store_value *values,
                           unsigned values_len, struct store_rows **ret_rows)
{
    return query(tx, sql, values, values_len, /* is_last= */ false, ret_rows);
}

enum status store_tx_one(struct store_tx *tx, struct slice sql, const struct store_value *values,
                         unsigned values_len, struct store_rows **ret_rows)
{
    struct store_rows *rows;
    enum status st = store_tx_query(tx, sql, values, values_len, &rows);
    if (st != STATUS_OK)
        return st;
    st = store_rows_next(rows);
    if (st != STATUS_OK) {
        store_rows_close(rows);
        return st;
    }
    *ret_rows = rows;
    return STATUS_OK;
}

static enum status exec(struct store_tx *tx, struct slice sql, const struct store_value *values,
                        unsigned values_len, bool is_last, int64_t *ret_changes)
{
    struct store_rows *rows;
    enum status st = query(tx, sql, values, values_len, is_last, &rows);
    if (st != STATUS_OK)
        return st;
    int64_t before = sqlite3_total_changes64(tx->conn->db);
    do
        st = store_rows_next(rows);
    while (st == STATUS_OK);
    /* sqlite3_changes goes on saying what the last INSERT, UPDATE or DELETE did: a statement that
     * changed nothing at all says nothing of its own. */
    int64_t changes = sqlite3_changes64(tx->conn->db);
    if (sqlite3_total_changes64(tx->conn->db) == before)
        changes = 0;
    store_rows_close(rows);
    if (st != STATUS_NOT_FOUND)
        return st;
    if (is_last && !tx->has_savepoint)
        tx->is_over = true;
    if (ret_changes)
        *ret_changes = changes;
    return STATUS_OK;
}

enum status store_tx_exec(struct store_tx *tx, struct slice sql, const struct store_value *values,
                          unsigned values_len, int64_t *ret_changes)
{
    return exec(tx, sql, values, values_len, /* is_last= */ false, ret_changes);
}

enum status store_tx_exec_last(struct store_tx *tx, struct slice sql,
                               const struct store_value *values, unsigned values_len,
                               int64_t *ret_changes)
{
    return exec(tx, sql, values, values_len, /* is_last= */ true, ret_changes);
}

/* -- savepoints -------------------------------------------------------------------------------- */

static const struct {
    struct slice begin, release, rollback;
} savepoints[STORE__SAVEPOINTS_MAX] = {
#define SAVEPOINT(name)                                                                            \
    {                                                                                              \
        SLICE_INIT("SAVEPOINT " name), SLICE_INIT("RELEASE " name),                                \
            SLICE_INIT("ROLLBACK TO " name)                                                        \
    }
    SAVEPOINT("part_1"), SAVEPOINT("part_2"), SAVEPOINT("part_3"), SAVEPOINT("part_4"),
    SAVEPOINT("part_5"), SAVEPOINT("part_6"), SAVEPOINT("part_7"), SAVEPOINT("part_8"),
#undef SAVEPOINT
};

static enum status fail_unbalanced(struct store_tx *tx)
{
    return store_tx_problem_set(tx, STATUS_INTERNAL, "store/savepoint",
                                "The parts of a write are nested wrongly.");
}

enum status store_tx_savepoint(struct store_tx *tx)
{
    if (tx->depth == STORE__SAVEPOINTS_MAX)
        return fail_unbalanced(tx);
    enum status st = savepoint_need(tx);
    if (st == STATUS_OK)
        st = run(tx, savepoints[tx->depth].begin);
    if (st == STATUS_OK)
        tx->depth++;
    return st;
}

enum status store_tx_release(struct store_tx *tx)
{
    if (tx->depth == 0)
        return fail_unbalanced(tx);
    tx->depth--;
    return run(tx, savepoints[tx->depth].release);
}

enum status store_tx_rollback(struct store_tx *tx)
{
    if (tx->depth == 0)
        return fail_unbalanced(tx);
    tx->depth--;
    enum status st = run(tx, savepoints[tx->depth].rollback);
    return st == STATUS_OK ? run(tx, savepoints[tx->depth].release) : st;
}

void store__tx_end(struct store_tx *tx)
{
    for (unsigned i = 0; i < STORE__ROWS_MAX; i++)
        store_rows_close(&tx->conn->rows[i]);
}
