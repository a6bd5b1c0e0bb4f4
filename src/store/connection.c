/*
 * store/connection.c - Connections and the statements they keep prepared. Nothing is locked here: a
 * connection is used by one thread at a time, and SQLite is told so (SQLITE_OPEN_NOMUTEX).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/internal.h"

/*
 * Settings of every connection. `secure_delete` is Debian's default, which rewrites freed pages
 * with zeros: files that must not keep what was deleted belong on an encrypted disk.
 * `trusted_schema` off: a database file brought from elsewhere cannot have views that call
 * functions with side effects. It is on for whoever writes, because this SQLite does not let
 * triggers keep an FTS5 index otherwise. `cell_size_check` stays off: it looks at every cell of
 * every page that is read, which made a list of twenty rows cost four times as much; store_check
 * and backups look for damage instead.
 */
static const char common_sql[] = "PRAGMA temp_store = MEMORY;"
                                 "PRAGMA secure_delete = OFF;"
                                 "PRAGMA recursive_triggers = OFF;";

/*
 * Readers map the file: each commit of the writer makes a reader's page cache worthless, and a
 * mapped page costs no call and no copy to get again. The mapping is the kernel's page cache, not
 * memory of ours, and bounded here.
 */
static const char reader_sql[] = "PRAGMA query_only = ON;"
                                 "PRAGMA trusted_schema = OFF;"
                                 "PRAGMA cache_size = -2000;";

static const char writer_sql[] = "PRAGMA synchronous = FULL;"
                                 "PRAGMA foreign_keys = ON;"
                                 "PRAGMA wal_autocheckpoint = 0;"
                                 "PRAGMA cache_size = -8000;";

static const char checkpointer_sql[] = "PRAGMA synchronous = FULL;"
                                       "PRAGMA wal_autocheckpoint = 0;";

static const char tool_sql[] = "PRAGMA synchronous = FULL;"
                               "PRAGMA foreign_keys = OFF;"
                               "PRAGMA wal_autocheckpoint = 0;"
                               "PRAGMA cache_size = -8000;";

int store__exec(sqlite3 *db, const char *sql)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? rc : sqlite3_extended_errcode(db);
}

/* -- prepared statements ----------------------------------------------------------------------- */

/* The $n of a parameter, or 0 when it is named otherwise. */
static unsigned parameter_number(sqlite3_stmt *stmt, int index)
{
    const char *name = sqlite3_bind_parameter_name(stmt, index);
    int64_t n;
    if (!name || name[0] != '$' || !slice_to_i64(slice_cstr(name + 1), &n) || n < 1 ||
        n > (int64_t)STORE_VALUES_MAX)
        return 0;
    return (unsigned)n;
}

static bool read_parameters(struct store__statement *s)
{
    s->params = (unsigned)sqlite3_bind_parameter_count(s->stmt);
    s->in_order = true;
    for (unsigned i = 1; i <= s->params; i++) {
        unsigned n = parameter_number(s->stmt, (int)i);
        if (n == 0)
            return false;
        s->in_order = s->in_order && n == i;
        s->values = MAX(s->values, n);
    }
    return true;
}

static int prepare(struct store__conn *conn, struct slice sql, struct store__statement **ret)
{
    struct store__statement *s = calloc(1, sizeof(*s));
    if (!s)
        return SQLITE_NOMEM;
    const char *tail = NULL;
    int rc = sql.len > INT32_MAX ? SQLITE_TOOBIG
                                 : sqlite3_prepare_v3(conn->db, sql.data, (int)sql.len,
                                                      SQLITE_PREPARE_PERSISTENT, &s->stmt, &tail);
    /* More than one statement is a mistake of ours, as is none. */
    if (rc == SQLITE_OK && (!s->stmt || tail != sql.data + sql.len || !read_parameters(s)))
        rc = SQLITE_MISUSE;
    if (rc == SQLITE_OK && conn->lane && !sqlite3_stmt_readonly(s->stmt))
        rc = SQLITE_MISUSE; /* a write belongs to the writer */
    if (rc != SQLITE_OK) {
        sqlite3_finalize(s->stmt);
        free(s);
        return rc;
    }
    s->text = sqlite3_sql(s->stmt);
    s->len = sql.len;
    if (conn->statements.prepared)
        STORE__COUNT(*conn->statements.prepared, 1);
    *ret = s;
    return SQLITE_OK;
}

static struct store__statement **hint_of(struct store__statements *all, struct slice sql)
{
    return &all->hints[((uintptr_t)sql.data >> 4 ^ sql.len) % STORE__HINTS];
}

static bool is_same(const struct store__statement *s, struct slice sql)
{
    return s->len == sql.len && memcmp(s->text, sql.data, sql.len) == 0;
}

static void use_list_remove(struct store__statements *all, struct store__statement *s)
{
    if (s->newer)
        s->newer->older = s->older;
    else
        all->newest = s->older;
    if (s->older)
        s->older->newer = s->newer;
    else
        all->oldest = s->newer;
}

static void use_list_add(struct store__statements *all, struct store__statement *s)
{
    s->newer = NULL;
    s->older = all->newest;
    if (all->newest)
        all->newest->newer = s;
    else
        all->oldest = s;
    all->newest = s;
}

static void forget(struct store__statements *all, struct store__statement *s)
{
    struct store__statement **at = &all->slots[s->hash % STORE__HASH_SLOTS];
    while (*at != s)
        at = &(*at)->hash_next;
    *at = s->hash_next;
    for (unsigned i = 0; i < STORE__HINTS; i++) {
        if (all->hints[i] == s)
            all->hints[i] = NULL;
    }
    use_list_remove(all, s);
    all->len--;
    sqlite3_finalize(s->stmt);
    free(s);
}

/* Keep `s`, at the cost of the statement unused for longest. When all are in use it is not kept. */
static void keep(struct store__statements *all, struct store__statement *s)
{
    struct store__statement *victim = NULL;
    if (all->len >= all->max) {
        victim = all->oldest;
        while (victim && victim->is_used)
            victim = victim->newer;
        if (!victim)
            return;
        forget(all, victim);
    }
    s->hash_next = all->slots[s->hash % STORE__HASH_SLOTS];
    all->slots[s->hash % STORE__HASH_SLOTS] = s;
    use_list_add(all, s);
    all->len++;
    s->is_cached = true;
}

static struct store__statement *find(struct store__statements *all, struct slice sql, uint64_t hash)
{
    struct store__statement *s = all->slots[hash % STORE__HASH_SLOTS];
    while (s && (s->hash != hash || !is_same(s, sql)))
        s = s->hash_next;
    return s;
}

int store__statement_get(struct store__conn *conn, struct slice sql, struct store__statement **ret)
{
    while (sql.len && strchr("; \n", sql.data[sql.len - 1]))
        sql.len--;
    struct store__statements *all = &conn->statements;
    struct store__statement **hint = hint_of(all, sql);
    struct store__statement *s = *hint;
    uint64_t hash = 0;
    if (UNLIKELY(!s || !is_same(s, sql))) {
        hash = hash64(sql, 0);
        s = find(all, sql, hash);
    }
    if (UNLIKELY(!s || s->is_used)) {
        bool is_twin = s != NULL; /* the same text, open twice: the second is not kept */
        int rc = prepare(conn, sql, &s);
        if (rc != SQLITE_OK)
            return rc;
        s->hash = hash;
        if (!is_twin)
            keep(all, s);
    } else if (s != all->newest) {
        use_list_remove(all, s);
        use_list_add(all, s);
    }
    if (s->is_cached)
        *hint = s;
    s->is_used = true;
    *ret = s;
    return SQLITE_OK;
}

void store__statement_put(struct store__conn *conn, struct store__statement *s)
{
    (void)conn;
    /* Says again what the last step said, which was seen there. */
    (void)sqlite3_reset(s->stmt);
    s->is_used = false;
    if (!s->is_cached) {
        sqlite3_finalize(s->stmt);
        free(s);
    }
}

void store__statements_clear(struct store__conn *conn)
{
    while (conn->statements.newest)
        forget(&conn->statements, conn->statements.newest);
}

static int bind_one(sqlite3_stmt *stmt, int index, const struct store_value *v)
{
    const char *data = v->as.bytes.data ? v->as.bytes.data : "";
    switch (v->kind) {
    case STORE_NULL:
        return sqlite3_bind_null(stmt, index);
    case STORE_I64:
        return sqlite3_bind_int64(stmt, index, v->as.i64);
    case STORE_DOUBLE:
        return sqlite3_bind_double(stmt, index, v->as.real);
    case STORE_TEXT:
        return sqlite3_bind_text64(stmt, index, data, v->as.bytes.len, SQLITE_STATIC, SQLITE_UTF8);
    case STORE_BLOB:
        return sqlite3_bind_blob64(stmt, index, data, v->as.bytes.len, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

int store__statement_bind(struct store__statement *s, const struct store_value *values,
                          unsigned values_len)
{
    if (values_len != s->values)
        return SQLITE_MISUSE;
    for (unsigned i = 1; i <= s->params; i++) {
        unsigned n = LIKELY(s->in_order) ? i : parameter_number(s->stmt, (int)i);
        int rc = bind_one(s->stmt, (int)i, &values[n - 1]);
        if (UNLIKELY(rc != SQLITE_OK))
            return rc;
    }
    return SQLITE_OK;
}

/* -- connections ------------------------------------------------------------------------------- */

/*
 * What a statement may take. Tasks have small stacks, and SQLite recurses on expressions and on
 * patterns: its own limits (1000 deep, 50000 bytes) are for main stacks.
 */
static void set_limits(sqlite3 *db)
{
    (void)sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 200);
    (void)sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000);
    (void)sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, 1 << 20);
    (void)sqlite3_limit(db, SQLITE_LIMIT_COMPOUND_SELECT, 64);
    (void)sqlite3_limit(db, SQLITE_LIMIT_TRIGGER_DEPTH, 64);
}

/* A pragma takes no bound values; this one is a number of our own. */
static int set_mmap(sqlite3 *db, int64_t bytes)
{
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "PRAGMA mmap_size = %lld", (long long)bytes);
    return store__exec(db, sql);
}

static int set_up(struct store__conn *conn, enum store__role role)
{
    sqlite3 *db = conn->db;
    (void)sqlite3_extended_result_codes(db, 1);
    (void)sqlite3_busy_timeout(db, role == STORE__READER ? 0 : STORE__BUSY_MS);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    /* A tool runs schemas, which may be larger and are no outside input. */
    if (role != STORE__TOOL) {
        set_limits(db);
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    }
    int rc = store__exec(db, common_sql);
    if (rc != SQLITE_OK)
        return rc;
    switch (role) {
    case STORE__READER:
        rc = set_mmap(db, conn->store->mmap_bytes);
        return rc == SQLITE_OK ? store__exec(db, reader_sql) : rc;
    case STORE__WRITER:
        return store__exec(db, writer_sql);
    case STORE__CHECKPOINTER:
        return store__exec(db, checkpointer_sql);
    case STORE__TOOL:
        return store__exec(db, tool_sql);
    }
    return SQLITE_MISUSE;
}

static int prepare_snapshot(struct store__conn *conn)
{
    int rc =
        sqlite3_prepare_v3(conn->db, "BEGIN", -1, SQLITE_PREPARE_PERSISTENT, &conn->begin, NULL);
    if (rc == SQLITE_OK)
        rc =
            sqlite3_prepare_v3(conn->db, "COMMIT", -1, SQLITE_PREPARE_PERSISTENT, &conn->end, NULL);
    return rc;
}

enum status store__conn_open(struct store *store, enum store__role role, int *ret_rc,
                             struct store__conn **ret_conn)
{
    struct store__conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return STATUS_EXHAUSTED;
    conn->store = store;
    conn->statements.max = MAX(store->statements_max, 1u);
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    flags |=
        role == STORE__READER || store->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    static const char *const vfs[] = {
        [STORE__READER] = STORE__READER_VFS,
        [STORE__WRITER] = STORE__WRITER_VFS,
        [STORE__CHECKPOINTER] = NULL,
        [STORE__TOOL] = NULL,
    };
    int rc = sqlite3_open_v2(store->path, &conn->db, flags, vfs[role]);
    if (rc == SQLITE_OK)
        rc = set_up(conn, role);
    if (rc == SQLITE_OK)
        rc = prepare_snapshot(conn);
    /* SQLite opens files at first use: do it now, so that what is wrong is known now. */
    if (rc == SQLITE_OK)
        rc = store__exec(conn->db, "SELECT count(*) FROM sqlite_schema");
    if (rc != SQLITE_OK) {
        store__conn_close(conn);
        if (ret_rc)
            *ret_rc = rc;
        return store__failure_of(rc)->status;
    }
    *ret_conn = conn;
    return STATUS_OK;
}

void store__conn_close(struct store__conn *conn)
{
    if (!conn)
        return;
    for (unsigned i = 0; i < STORE__ROWS_MAX; i++) {
        if (conn->rows[i].is_open)
            store__rows_release(&conn->rows[i]);
    }
    store__statements_clear(conn);
    sqlite3_finalize(conn->begin);
    sqlite3_finalize(conn->end);
    (void)sqlite3_close_v2(conn->db); /* with every statement finalised it has no reason to fail */
    free(conn);
}
