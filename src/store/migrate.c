/*
 * store/migrate.c - Running migrations.
 *
 * Each migration is one transaction with its line in `purlin_migrations`: there is no state in
 * between, and nothing to repair after a crash. The transaction begins IMMEDIATE and only then
 * reads what is applied; so of several nodes that start at once, one applies a migration while the
 * others wait, then see it applied and go on: SQLite's write lock is the lock for all nodes.
 *
 * Foreign keys are off (a table is rebuilt by dropping the old one) and every reference is checked
 * before the commit.
 *
 * An applied up file must not change, or databases would differ that claim to be the same. A down
 * file may be corrected; the database keeps its text as of the last `up`, so that an older program
 * can undo what a newer one did.
 */
#include "store/migrate.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/internal.h"

/* How long another node may take for one of its migrations. */
#define OTHER_NODE_MS 60000

static const char table_sql[] = "CREATE TABLE IF NOT EXISTS purlin_migrations ("
                                "  number INTEGER PRIMARY KEY,"
                                "  name TEXT NOT NULL,"
                                "  checksum TEXT NOT NULL,"
                                "  down_checksum TEXT NOT NULL,"
                                "  applied_at INTEGER NOT NULL,"
                                "  down TEXT NOT NULL"
                                ") STRICT";
static const struct slice has_table_sql =
    SLICE_INIT("SELECT count(*)"
               "  FROM sqlite_schema"
               " WHERE type = 'table' AND name = 'purlin_migrations'");
static const struct slice applied_sql = SLICE_INIT("SELECT number, name, checksum, applied_at, down"
                                                   "  FROM purlin_migrations"
                                                   " ORDER BY number"
                                                   " LIMIT 100000");
static const struct slice add_sql =
    SLICE_INIT("INSERT INTO purlin_migrations"
               " (number, name, checksum, down_checksum, applied_at, down)"
               " VALUES ($1, $2, $3, $4, $5, $6)");
static const struct slice refresh_sql = SLICE_INIT("UPDATE purlin_migrations"
                                                   "   SET down_checksum = $1, down = $2"
                                                   " WHERE number = $3 AND down_checksum <> $1");
static const struct slice remove_sql = SLICE_INIT("DELETE FROM purlin_migrations"
                                                  " WHERE number = $1");
static const struct slice objects_sql =
    SLICE_INIT("SELECT coalesce(group_concat(type || ' ' || name, ', '), '')"
               "  FROM (SELECT type, name FROM sqlite_schema"
               "         WHERE name <> 'purlin_migrations'"
               "         ORDER BY type, name LIMIT 100000)");

struct applied {
    unsigned number;
    struct slice name, checksum, down;
    int64_t applied_us;
};

struct applied_list {
    struct applied *items;
    unsigned len;
};

/* Everything a run needs. */
struct run {
    struct store *store;
    struct store__conn *conn;
    const struct store_migrate_options *options;
    struct arena *arena;
    struct problem *problem;
    struct store__migration_files files;
    struct applied_list applied;
    unsigned done, total;
};

/* -- statements on a connection -----------------------------------------------------------------
 */

typedef enum status (*row_fn)(struct run *run, struct store_rows *rows, void *arg);

static enum status each_row(struct run *run, struct slice sql, const struct store_value *values,
                            unsigned values_len, row_fn fn, void *arg)
{
    struct store_rows *rows;
    enum status st = store__rows_open(run->conn, /* task= */ NULL, run->arena, run->problem, sql,
                                      values, values_len, &rows);
    if (st != STATUS_OK)
        return st;
    while ((st = store_rows_next(rows)) == STATUS_OK) {
        st = fn ? fn(run, rows, arg) : STATUS_OK;
        if (st != STATUS_OK)
            break;
    }
    store_rows_close(rows);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status run_sql(struct run *run, struct slice sql, const struct store_value *values,
                           unsigned values_len)
{
    return each_row(run, sql, values, values_len, NULL, NULL);
}

static enum status exec(struct run *run, const char *sql)
{
    int rc = store__exec(run->conn->db, sql);
    return rc == SQLITE_OK ? STATUS_OK : store__fail(run->problem, run->arena, run->conn->db, rc);
}

static enum status keep_i64(struct run *run, struct store_rows *rows, void *arg)
{
    (void)run;
    *(int64_t *)arg = store_rows_i64(rows, 0);
    return STATUS_OK;
}

static enum status keep_text(struct run *run, struct store_rows *rows, void *arg)
{
    return arena_copy(run->arena, store_rows_bytes(rows, 0), arg);
}

/* -- what is applied ------------------------------------------------------------------------------
 */

static enum status keep_applied(struct run *run, struct store_rows *rows, void *arg)
{
    (void)arg;
    struct applied_list *list = &run->applied;
    struct applied *items = arena_realloc(run->arena, list->items, list->len * sizeof(*items),
                                          (list->len + 1) * sizeof(*items));
    if (!items)
        return STATUS_EXHAUSTED;
    list->items = items;
    struct applied *a = &items[list->len];
    *a = (struct applied){
        .number = (unsigned)store_rows_i64(rows, 0),
        .applied_us = store_rows_i64(rows, 3),
    };
    if (arena_copy(run->arena, store_rows_bytes(rows, 1), &a->name) != STATUS_OK ||
        arena_copy(run->arena, store_rows_bytes(rows, 2), &a->checksum) != STATUS_OK ||
        arena_copy(run->arena, store_rows_bytes(rows, 4), &a->down) != STATUS_OK)
        return STATUS_EXHAUSTED;
    list->len++;
    return STATUS_OK;
}

static enum status read_applied(struct run *run)
{
    run->applied = (struct applied_list){ 0 };
    int64_t tables = 0;
    enum status st = each_row(run, has_table_sql, NULL, 0, keep_i64, &tables);
    if (st != STATUS_OK || tables == 0)
        return st;
    return each_row(run, applied_sql, NULL, 0, keep_applied, NULL);
}

static const struct applied *find_applied(const struct applied_list *list, unsigned number)
{
    for (unsigned i = 0; i < list->len; i++) {
        if (list->items[i].number == number)
            return &list->items[i];
    }
    return NULL;
}

static const struct store__migration_file *find_file(const struct store__migration_files *files,
                                                     unsigned number)
{
    for (unsigned i = 0; i < files->len; i++) {
        if (files->items[i].number == number)
            return &files->items[i];
    }
    return NULL;
}

static bool is_changed(const struct applied *a, const struct store__migration_file *file)
{
    return !slice_eq(a->checksum, slice_cstr(file->up.checksum));
}

static enum status check_one(struct run *run, const struct applied *a)
{
    const struct store__migration_file *file = find_file(&run->files, a->number);
    if (file && is_changed(a, file))
        return store__problem_set(
            run->problem, run->arena, STATUS_CONFLICT, "store/migration-changed",
            "%.*s has changed since it was applied. Undo the change, and write a new "
            "migration.",
            SLICE_ARG(file->up.file));
    if (file)
        return STATUS_OK;
    unsigned newest = run->files.len ? run->files.items[run->files.len - 1].number : 0;
    if (a->number > newest)
        return store__problem_set(
            run->problem, run->arena, STATUS_CONFLICT, "store/newer-database",
            "The database is newer than this program: it has migration %u (%.*s), the "
            "program knows up to %u.",
            a->number, SLICE_ARG(a->name), newest);
    return store__problem_set(run->problem, run->arena, STATUS_CONFLICT, "store/migration-missing",
                              "Migration %u (%.*s) is applied, but its file is missing.", a->number,
                              SLICE_ARG(a->name));
}

static enum status check_applied(struct run *run)
{
    for (unsigned i = 0; i < run->applied.len; i++) {
        enum status st = check_one(run, &run->applied.items[i]);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

/* -- the state, for people ------------------------------------------------------------------------
 */

static void describe(const struct run *run, struct store_migrations *all)
{
    const struct applied_list *applied = &run->applied;
    for (unsigned i = 0, j = 0; i < run->files.len || j < applied->len;) {
        const struct store__migration_file *file = i < run->files.len ? &run->files.items[i] : NULL;
        const struct applied *a = j < applied->len ? &applied->items[j] : NULL;
        if (file && a && a->number != file->number) {
            if (a->number < file->number)
                file = NULL;
            else
                a = NULL;
        }
        all->items[all->len++] = (struct store_migration){
            .number = file ? file->number : a->number,
            .name = file ? file->name : a->name,
            .applied = a != NULL,
            .on_disk = file != NULL,
            .changed = file && a && is_changed(a, file),
            .destructive = file && store__migration_is_destructive(file->up.text),
            .applied_us = a ? a->applied_us : 0,
        };
        i += file != NULL;
        j += a != NULL;
    }
}

enum status store_migrations_read(struct store *store, struct slice folder, struct arena *arena,
                                  struct problem *problem, struct store_migrations *ret)
{
    struct run run = { .store = store, .arena = arena, .problem = problem };
    enum status st = store__migration_files_read(folder, arena, problem, &run.files);
    if (st != STATUS_OK)
        return st;
    int rc = SQLITE_NOMEM;
    st = store__conn_open(store, STORE__READER, &rc, &run.conn);
    if (st != STATUS_OK)
        return store__fail_file(problem, arena, NULL, rc, "Opening", store->path);
    (void)sqlite3_busy_timeout(run.conn->db, STORE__BUSY_MS);
    st = read_applied(&run);
    store__conn_close(run.conn);
    if (st != STATUS_OK)
        return st;
    struct store_migrations all = { 0 };
    all.items = arena_array_of(arena, struct store_migration, run.files.len + run.applied.len);
    if (!all.items)
        return STATUS_EXHAUSTED;
    describe(&run, &all);
    *ret = all;
    return STATUS_OK;
}

/* -- one step ---------------------------------------------------------------------------------- */

static enum status run_text(struct run *run, struct slice file, struct slice text)
{
    enum status st = store__statements_run(run->conn->db, file, text, run->arena, run->problem);
    return st == STATUS_OK ? store__references_check(run->conn->db, run->arena, run->problem) : st;
}

static enum status apply(struct run *run, const struct store__migration_file *file)
{
    enum status st = run_text(run, file->up.file, file->up.text);
    if (st != STATUS_OK)
        return st;
    const struct store_value values[] = {
        store_i64(file->number),
        store_text(file->name),
        store_text(slice_cstr(file->up.checksum)),
        store_text(slice_cstr(file->down.checksum)),
        store_i64(clock_wall_us()),
        store_text(file->down.text),
    };
    return run_sql(run, add_sql, values, ARRAY_LEN(values));
}

/* The text that undoes an applied migration, and what to call it. */
static struct slice undo_text(const struct run *run, const struct applied *a,
                              struct slice *ret_file)
{
    const struct store__migration_file *file = find_file(&run->files, a->number);
    *ret_file = file ? file->down.file : a->name;
    return file ? file->down.text : a->down;
}

static enum status undo(struct run *run, const struct applied *a)
{
    struct slice file;
    struct slice text = undo_text(run, a, &file);
    enum status st = run_text(run, file, text);
    const struct store_value number = store_i64(a->number);
    return st == STATUS_OK ? run_sql(run, remove_sql, &number, 1) : st;
}

static enum status refresh_downs(struct run *run)
{
    for (unsigned i = 0; i < run->applied.len; i++) {
        const struct store__migration_file *file =
            find_file(&run->files, run->applied.items[i].number);
        const struct store_value values[] = {
            store_text(slice_cstr(file->down.checksum)),
            store_text(file->down.text),
            store_i64(file->number),
        };
        enum status st = run_sql(run, refresh_sql, values, ARRAY_LEN(values));
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

static void rollback(struct run *run)
{
    if (!sqlite3_get_autocommit(run->conn->db))
        (void)store__exec(run->conn->db, "ROLLBACK"); /* closing would do the same */
}

static enum status commit(struct run *run)
{
    enum status st = exec(run, "COMMIT");
    if (st == STATUS_OK)
        store__committed(run->store);
    return st;
}

static void report(struct run *run)
{
    run->done++;
    if (run->options->progress)
        run->options->progress(run->options->arg, run->done, run->total);
}

static enum status fail_destructive(struct run *run, struct slice file)
{
    return store__problem_set(
        run->problem, run->arena, STATUS_DENIED, "store/destructive",
        "%.*s destroys data. Run it with --allow-destructive when that is meant.", SLICE_ARG(file));
}

/* -- up
 * ------------------------------------------------------------------------------------------------
 */

/* The next file to apply, or NULL. */
static const struct store__migration_file *next_up(const struct run *run)
{
    for (unsigned i = 0; i < run->files.len; i++) {
        if (!find_applied(&run->applied, run->files.items[i].number))
            return &run->files.items[i];
    }
    return NULL;
}

/* Count what will be applied; refuse before the first step what would be refused at the third. */
static enum status plan_up(struct run *run)
{
    unsigned pending = 0, steps = run->options->steps ? run->options->steps : UINT32_MAX;
    for (unsigned i = 0; i < run->files.len && pending < steps; i++) {
        const struct store__migration_file *file = &run->files.items[i];
        if (find_applied(&run->applied, file->number))
            continue;
        if (!run->options->allow_destructive && store__migration_is_destructive(file->up.text))
            return fail_destructive(run, file->up.file);
        pending++;
    }
    run->total = pending;
    return STATUS_OK;
}

/* In the transaction: see what is applied, and that it fits the files. */
static enum status look(struct run *run)
{
    enum status st = exec(run, table_sql);
    if (st == STATUS_OK)
        st = read_applied(run);
    return st == STATUS_OK ? check_applied(run) : st;
}

/* One transaction: one migration. NOT_FOUND when there is nothing left to apply. */
static enum status step_up(struct run *run)
{
    enum status st = look(run);
    bool is_first = run->done == 0;
    if (st == STATUS_OK && is_first)
        st = plan_up(run);
    if (st == STATUS_OK && is_first)
        st = refresh_downs(run);
    if (st != STATUS_OK)
        return st;
    const struct store__migration_file *file = next_up(run);
    if (!file || run->done == run->total) {
        st = commit(run); /* of corrected down files, and of the table */
        return st == STATUS_OK ? STATUS_NOT_FOUND : st;
    }
    st = apply(run, file);
    if (st == STATUS_OK)
        st = commit(run);
    if (st == STATUS_OK)
        report(run);
    return st;
}

static enum status up_for_real(struct run *run)
{
    enum status st;
    do {
        st = exec(run, "BEGIN IMMEDIATE");
        if (st == STATUS_OK)
            st = step_up(run);
        rollback(run);
    } while (st == STATUS_OK);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* All pending files up, then down again, must leave the same tables, indexes and triggers. */
static enum status try_downs(struct run *run, unsigned count, struct slice before)
{
    enum status st = read_applied(run);
    for (unsigned i = 0; st == STATUS_OK && i < count; i++)
        st = undo(run, &run->applied.items[run->applied.len - 1 - i]);
    struct slice after = SLICE_NULL;
    if (st == STATUS_OK)
        st = each_row(run, objects_sql, NULL, 0, keep_text, &after);
    if (st == STATUS_OK && !slice_eq(before, after))
        st = store__problem_set(
            run->problem, run->arena, STATUS_CONFLICT, "store/migration-down",
            "The down files do not undo the up files. Before: %.*s. After: %.*s.",
            SLICE_ARG(before), SLICE_ARG(after));
    return st;
}

static enum status up_dry(struct run *run)
{
    struct slice before = SLICE_NULL;
    enum status st = exec(run, "BEGIN IMMEDIATE");
    if (st == STATUS_OK)
        st = look(run);
    if (st == STATUS_OK)
        st = plan_up(run);
    if (st == STATUS_OK)
        st = each_row(run, objects_sql, NULL, 0, keep_text, &before);
    while (st == STATUS_OK && run->done < run->total) {
        st = apply(run, next_up(run));
        if (st == STATUS_OK)
            st = read_applied(run);
        if (st == STATUS_OK)
            report(run);
    }
    if (st == STATUS_OK)
        st = try_downs(run, run->done, before);
    rollback(run);
    return st;
}

/* -- down -------------------------------------------------------------------------------------- */

static enum status plan_down(struct run *run)
{
    unsigned steps = run->options->steps ? run->options->steps : 1;
    run->total = MIN(steps, run->applied.len);
    for (unsigned i = 0; i < run->total; i++) {
        struct slice file;
        struct slice text = undo_text(run, &run->applied.items[run->applied.len - 1 - i], &file);
        if (!run->options->allow_destructive && store__migration_is_destructive(text))
            return fail_destructive(run, file);
    }
    return STATUS_OK;
}

static enum status step_down(struct run *run)
{
    enum status st = read_applied(run);
    if (st == STATUS_OK && run->done == 0)
        st = plan_down(run);
    if (st != STATUS_OK)
        return st;
    if (run->done == run->total || run->applied.len == 0)
        return STATUS_NOT_FOUND;
    st = undo(run, &run->applied.items[run->applied.len - 1]);
    if (st == STATUS_OK && !run->options->dry_run)
        st = commit(run);
    if (st == STATUS_OK)
        report(run);
    return st;
}

/* A dry run does all its steps in one transaction, which is undone. */
static enum status down(struct run *run)
{
    enum status st;
    do {
        st = sqlite3_get_autocommit(run->conn->db) ? exec(run, "BEGIN IMMEDIATE") : STATUS_OK;
        if (st == STATUS_OK)
            st = step_down(run);
    } while (st == STATUS_OK);
    rollback(run);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* -- both -------------------------------------------------------------------------------------- */

static enum status migrate(struct store *store, const struct store_migrate_options *options,
                           struct arena *arena, struct problem *problem,
                           enum status (*fn)(struct run *), unsigned *ret_done)
{
    struct run run = { .store = store, .options = options, .arena = arena, .problem = problem };
    enum status st = store__migration_files_read(options->folder, arena, problem, &run.files);
    if (st == STATUS_OK)
        st = store__tool_open(store, arena, problem, &run.conn);
    if (st != STATUS_OK)
        return st;
    (void)sqlite3_busy_timeout(run.conn->db, OTHER_NODE_MS);
    st = fn(&run);
    store__tool_close(run.conn);
    /* What was applied before a failure stays applied, and is said. */
    if (ret_done)
        *ret_done = run.done;
    return st;
}

enum status store_migrate_up(struct store *store, const struct store_migrate_options *options,
                             struct arena *arena, struct problem *problem, unsigned *ret_applied)
{
    return migrate(store, options, arena, problem, options->dry_run ? up_dry : up_for_real,
                   ret_applied);
}

enum status store_migrate_down(struct store *store, const struct store_migrate_options *options,
                               struct arena *arena, struct problem *problem, unsigned *ret_undone)
{
    return migrate(store, options, arena, problem, down, ret_undone);
}
