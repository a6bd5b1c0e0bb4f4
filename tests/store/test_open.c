/*
 * Opening: addresses, files that are none of ours, files that others have; statements put together;
 * figures.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/metric.h"
#include "fixture.h"

static enum status try_open(struct fixture *f, const char *url, bool create)
{
    const struct store_options options = { .url = slice_cstr(url), .create = create };
    problem_clear(&f->problem);
    enum status st = store_open(&options, f->arena, &f->problem, &f->store);
    if (st != STATUS_OK) {
        assert_null(f->store);
        assert_true(f->problem.detail.len > 0);
    }
    return st;
}

static void write_text_file(const char *path)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (int i = 0; i < 500; i++)
        assert_true(fputs("This is a letter.", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_addresses_that_name_no_file(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "",
        "data/purlin.db",
        "postgresql://localhost/x",
        "sqlite:",
        "sqlite::memory:",
        "sqlite:///tmp/x.db?mode=memory",
        "sqlite:/tmp",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_status(try_open(f, bad[i], true), STATUS_INVALID);
    const struct store_options zero = { .url = slice_of("sqlite:a\0b", 10), .create = true };
    problem_clear(&f->problem);
    assert_status(store_open(&zero, f->arena, &f->problem, &f->store), STATUS_INVALID);
}

static void test_file_and_folders_are_made(void **state)
{
    struct fixture *f = *state;
    char url[200];
    (void)snprintf(url, sizeof(url), "sqlite:%s/a/b/c.db", f->folder);
    assert_status(try_open(f, url, false), STATUS_UNAVAILABLE);
    fixture_ok(f, try_open(f, url, true));
    fixture_close(f);
    fixture_ok(f, try_open(f, url, false));
    struct stat info;
    assert_int_equal(stat(url + 7, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    fixture_close(f);
    /* With an authority, as URLs have it. */
    (void)snprintf(url, sizeof(url), "sqlite://%s/a/b/c.db", f->folder);
    fixture_ok(f, try_open(f, url, false));
    fixture_close(f);
    /* A file stands where a folder should. */
    (void)snprintf(url, sizeof(url), "sqlite:%s/a/b/c.db/d.db", f->folder);
    assert_status(try_open(f, url, true), STATUS_UNAVAILABLE);
}

static void test_a_file_that_is_no_database(void **state)
{
    struct fixture *f = *state;
    write_text_file(f->path);
    assert_status(try_open(f, f->url, true), STATUS_INVALID);
    assert_string_equal(f->problem.type, "store/corrupt");
    assert_true(slice_find_slice(f->problem.detail, slice_cstr(f->path)) != SIZE_MAX);
}

static void test_a_database_locked_by_another_program(void **state)
{
    struct fixture *f = *state;
    sqlite3 *other;
    assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(other, "PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE t(x)", NULL, NULL, NULL),
        SQLITE_OK);
    assert_status(try_open(f, f->url, false), STATUS_UNAVAILABLE);
    assert_string_equal(f->problem.type, "store/busy");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    fixture_ok(f, try_open(f, f->url, false));
}

static void test_read_only_needs_the_file(void **state)
{
    struct fixture *f = *state;
    const struct store_options options = { .url = slice_cstr(f->url),
                                           .read_only = true,
                                           .create = true };
    assert_status(store_open(&options, f->arena, &f->problem, &f->store), STATUS_UNAVAILABLE);
    problem_clear(&f->problem);
    write_text_file(f->path);
    assert_status(store_open(&options, f->arena, &f->problem, &f->store), STATUS_INVALID);
}

static int64_t mapped_with(struct fixture *f, int64_t mmap_bytes)
{
    fixture_open(f, (struct store_options){ .mmap_bytes = mmap_bytes });
    int64_t bytes = read_i64(f, "PRAGMA mmap_size");
    fixture_close(f);
    return bytes;
}

static void test_how_much_of_the_file_is_mapped(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mapped_with(f, 0), 256 << 20);
    assert_int_equal(mapped_with(f, 1 << 20), 1 << 20);
    assert_int_equal(mapped_with(f, -1), 0);
}

struct setting {
    const char *sql;
    int64_t want;
};

static void test_settings(void **state)
{
    struct fixture *f = *state;
    static const struct setting settings[] = {
        { "PRAGMA trusted_schema", 0 },     { "PRAGMA cell_size_check", 0 },
        { "PRAGMA temp_store", 2 },         { "PRAGMA query_only", 1 },
        { "PRAGMA recursive_triggers", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        assert_int_equal(read_i64(f, settings[i].sql), settings[i].want);
}

static enum status read_setting(struct store_tx *tx, void *arg)
{
    const struct setting *setting = arg;
    struct store_rows *rows;
    enum status st = store_tx_one(tx, slice_cstr(setting->sql), NULL, 0, &rows);
    if (st != STATUS_OK)
        return st;
    int64_t got = store_rows_i64(rows, 0);
    store_rows_close(rows);
    return got == setting->want ? STATUS_OK : STATUS_DENIED;
}

static void check_writer(struct task *task, void *arg)
{
    struct fixture *f = arg;
    struct setting settings[] = {
        { "PRAGMA synchronous", 2 },
        { "PRAGMA foreign_keys", 1 },
        { "PRAGMA wal_autocheckpoint", 0 },
        { "PRAGMA secure_delete", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        task_ok(task, store_write(task, f->store, read_setting, &settings[i]));
}

static void test_settings_of_the_writer(void **state)
{
    run_task(*state, check_writer, *state);
}

/* -- statements put together
 * ------------------------------------------------------------------------ */

static void test_sql_is_text_and_values(void **state)
{
    struct fixture *f = *state;
    struct store_sql sql;
    store_sql_init(&sql, f->arena);
    store_sql_lit(&sql, "SELECT ");
    store_sql_name(&sql, SLICE("a \"b\" c"));
    store_sql_put(&sql, SLICE(", "));
    store_sql_name(&sql, SLICE("\""));
    store_sql_lit(&sql, ", ");
    store_sql_name(&sql, SLICE(""));
    store_sql_lit(&sql, " WHERE x IN (");
    for (int i = 0; i < 20; i++) {
        if (i > 0)
            store_sql_lit(&sql, ",");
        store_sql_value(&sql, store_i64(i));
    }
    store_sql_lit(&sql, ")");
    assert_status(store_sql_status(&sql), STATUS_OK);
    assert_true(slice_eq(
        buf_slice(&sql.text),
        SLICE("SELECT \"a \"\"b\"\" c\", \"\"\"\", \"\" WHERE x IN ($1,$2,$3,$4,$5,$6,$7,$8,"
              "$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20)")));
    assert_int_equal(sql.values_len, 20);
    assert_int_equal(sql.values[19].as.i64, 19);
    for (int i = 20; i < 256; i++)
        store_sql_value(&sql, store_null());
    assert_status(store_sql_status(&sql), STATUS_OK);
    store_sql_value(&sql, store_null());
    assert_status(store_sql_status(&sql), STATUS_EXHAUSTED);
}

static void test_sql_out_of_memory(void **state)
{
    (void)state;
    for (size_t budget = 1; budget < 8000; budget += 131) {
        struct arena *arena = arena_new(NULL, budget);
        struct store_sql sql;
        store_sql_init(&sql, arena);
        for (int i = 0; i < 64; i++) {
            store_sql_lit(&sql, "some text of a statement, ");
            store_sql_value(&sql, store_i64(i));
        }
        enum status st = store_sql_status(&sql);
        assert_true(st == STATUS_OK || st == STATUS_EXHAUSTED);
        arena_free(arena);
    }
}

/* -- scripts
 * ------------------------------------------------------------------------------------------ */

static void test_a_script_is_kept_whole_or_not(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *sql;
        enum status want;
        const char *words;
    } cases[] = {
        { "syntax", "CREATE TABLE b(x);\n-- a comment; with a semicolon\n\nCREATE TABL c(x);",
          STATUS_INVALID, "line 4: near \"TABL\"" },
        { "constraint", "INSERT INTO a VALUES (5);\n/* more */ INSERT INTO a VALUES (5)",
          STATUS_CONFLICT, "line 2" },
        { "commits", "CREATE TABLE b(x); COMMIT; CREATE TABLE c(x)", STATUS_INVALID,
          "one transaction" },
        { "begins", "BEGIN", STATUS_INVALID, "one transaction" },
        { "savepoint", "SAVEPOINT x", STATUS_INVALID, "one transaction" },
        { "attaches", "ATTACH '/tmp/other.db' AS other", STATUS_INVALID, "one transaction" },
        { "dangling", "CREATE TABLE b(a REFERENCES a); INSERT INTO b VALUES (77)", STATUS_CONFLICT,
          "Row 1 of b refers to a row of a that does not exist" },
        { "no end of a comment", "CREATE TABLE b(x); /* to the end", STATUS_OK, "" },
        { "only comments", "-- nothing\n/* at all */ ;\n;", STATUS_OK, "" },
        { "nothing", "", STATUS_OK, "" },
        { "a trigger's semicolons",
          "CREATE TABLE c(x);"
          "CREATE TRIGGER t AFTER INSERT ON c BEGIN INSERT INTO a VALUES (new.x); SELECT 1; END;"
          "INSERT INTO c VALUES (40)",
          STATUS_OK, "" },
    };
    script(f, "CREATE TABLE a(id INTEGER PRIMARY KEY) STRICT");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        problem_clear(&f->problem);
        enum status st = store_script(f->store, slice_cstr(cases[i].sql), f->arena, &f->problem);
        if (st != cases[i].want)
            print_message("case: %s: %.*s\n", cases[i].name, SLICE_ARG(f->problem.detail));
        assert_status(st, cases[i].want);
        if (st != STATUS_OK &&
            slice_find_slice(f->problem.detail, slice_cstr(cases[i].words)) == SIZE_MAX)
            fail_msg("case %s says: %.*s", cases[i].name, SLICE_ARG(f->problem.detail));
    }
    assert_int_equal(read_i64(f, "SELECT count(*) FROM a"), 1);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'b'"), 1);
}

static enum status stop_at_three(void *arg, struct store_rows *rows)
{
    int64_t *sum = arg;
    *sum += store_rows_i64(rows, 0);
    return store_rows_i64(rows, 0) == 3 ? STATUS_NOT_FOUND : STATUS_OK;
}

static void test_a_blocking_read_can_be_ended(void **state)
{
    struct fixture *f = *state;
    int64_t sum = 0;
    const struct store_value values[] = { store_i64(3), store_i64(4) };
    assert_status(store_read_blocking(f->store, SLICE("VALUES (1), (2), ($1), ($2)"), values, 2,
                                      f->arena, &f->problem, stop_at_three, &sum),
                  STATUS_NOT_FOUND);
    assert_int_equal(sum, 6);
    assert_status(store_read_blocking(f->store, SLICE("SELECT * FROM nowhere"), NULL, 0, f->arena,
                                      &f->problem, stop_at_three, &sum),
                  STATUS_INTERNAL);
}

/* -- figures
 * ------------------------------------------------------------------------------------------- */

static void some_work(struct task *task, void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 3; i++)
        task_ok(task, write_sql(task, f, "INSERT INTO t VALUES (1)"));
    for (int i = 0; i < 5; i++) {
        struct store_rows *rows;
        task_ok(task, store_one(task, f->store, SLICE("SELECT count(*) FROM t"), NULL, 0, &rows));
        store_rows_close(rows);
    }
}

static void assert_has(const struct buf *text, const char *line)
{
    if (slice_find_slice(buf_slice(text), slice_cstr(line)) == SIZE_MAX)
        fail_msg("%s is not in:\n%.*s", line, SLICE_ARG(buf_slice(text)));
}

static void test_metrics(void **state)
{
    struct fixture *f = *state;
    struct metrics *metrics = metrics_new();
    assert_status(loop_new(NULL, &f->loop), STATUS_OK);
    fixture_open(f, (struct store_options){ .metrics = metrics });
    script(f, "CREATE TABLE t(x)");
    run_task(f, some_work, f);
    struct buf text;
    buf_init(&text, f->arena, 0, 1 << 20);
    metrics_render(metrics, true, &text);
    assert_has(&text, "db_client_operation_duration_seconds_count{operation=\"read\"} 5");
    assert_has(&text, "db_client_operation_duration_seconds_count{operation=\"write\"} 3");
    assert_has(&text, "purlin_store_commits_total 3");
    assert_has(&text, "purlin_store_batch_writes_count 3");
    assert_has(&text, "purlin_store_write_queue 0");
    assert_has(&text, "purlin_store_writes_failing 0");
    assert_has(&text, "purlin_store_read_connections 1");
    assert_has(&text, "purlin_store_wal_bytes ");
    assert_has(&text, "purlin_store_database_bytes ");
    fixture_close(f);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_addresses_that_name_no_file, setup_closed, teardown),
        cmocka_unit_test_setup_teardown(test_file_and_folders_are_made, setup_closed, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_is_no_database, setup_closed, teardown),
        cmocka_unit_test_setup_teardown(test_a_database_locked_by_another_program, setup_closed,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_read_only_needs_the_file, setup_closed, teardown),
        cmocka_unit_test_setup_teardown(test_how_much_of_the_file_is_mapped, setup_closed,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings_of_the_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sql_is_text_and_values, setup_closed, teardown),
        cmocka_unit_test(test_sql_out_of_memory),
        cmocka_unit_test_setup_teardown(test_a_script_is_kept_whole_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_blocking_read_can_be_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metrics, setup_closed, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
