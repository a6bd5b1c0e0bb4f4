#include "fixture.h"

static void read_basic(struct task *task, void *arg)
{
    struct fixture *f = arg;
    struct store_rows *rows;
    const struct store_value values[] = { store_i64(2), store_text(SLICE("b")) };
    assert_status(
        store_query(task, f->store,
                    SLICE("SELECT id, name, x'0102', 1.5, NULL FROM t WHERE id >= $1 OR name = $2"
                          " ORDER BY id"),
                    values, 2, &rows),
        STATUS_OK);
    assert_status(store_rows_next(rows), STATUS_OK);
    assert_int_equal(store_rows_columns(rows), 5);
    assert_string_equal(store_rows_name(rows, 1).data, "name");
    assert_int_equal(store_rows_i64(rows, 0), 2);
    assert_true(slice_eq(store_rows_bytes(rows, 1), SLICE("b")));
    assert_int_equal(store_rows_kind(rows, 0), STORE_I64);
    assert_int_equal(store_rows_kind(rows, 1), STORE_TEXT);
    assert_int_equal(store_rows_kind(rows, 2), STORE_BLOB);
    assert_int_equal(store_rows_kind(rows, 3), STORE_DOUBLE);
    assert_int_equal(store_rows_kind(rows, 4), STORE_NULL);
    assert_true(slice_eq(store_rows_bytes(rows, 2), SLICE("\1\2")));
    assert_true(store_rows_double(rows, 3) == 1.5);
    assert_true(store_rows_is_null(rows, 4));
    assert_null(store_rows_bytes(rows, 4).data);
    assert_status(store_rows_next(rows), STATUS_OK);
    assert_int_equal(store_rows_i64(rows, 0), 3);
    assert_status(store_rows_next(rows), STATUS_NOT_FOUND);
    assert_status(store_rows_next(rows), STATUS_NOT_FOUND);
    store_rows_close(rows);
    store_rows_close(NULL);
}

static void test_query_gives_rows(void **state)
{
    struct fixture *f = *state;
    script(f, "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT) STRICT;"
              "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');");
    run_task(f, read_basic, f);
}

static void write_then_read(struct task *task, void *arg)
{
    struct fixture *f = arg;
    for (int i = 1; i <= 20; i++) {
        assert_status(write_sql(task, f, "INSERT INTO t(name) VALUES ('x')"), STATUS_OK);
        struct store_rows *rows;
        assert_status(store_one(task, f->store, SLICE("SELECT count(*) FROM t"), NULL, 0, &rows),
                      STATUS_OK);
        assert_int_equal(store_rows_i64(rows, 0), i);
        store_rows_close(rows);
    }
}

static void test_read_sees_own_write(void **state)
{
    struct fixture *f = *state;
    script(f, "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT) STRICT");
    run_task(f, write_then_read, f);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM t"), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_query_gives_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_sees_own_write, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
