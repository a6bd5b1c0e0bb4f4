/*
 * What a read may see: one snapshot for the statements of a turn, and never less than what was
 * acknowledged to anybody before the read began.
 */
#include <pthread.h>
#include <sqlite3.h>

#include "fixture.h"

static int64_t read_counter(struct task *task, struct fixture *f)
{
    struct store_rows *rows;
    task_ok(task, store_one(task, f->store, SLICE("SELECT v FROM counter"), NULL, 0, &rows));
    int64_t v = store_rows_i64(rows, 0);
    store_rows_close(rows);
    return v;
}

/* The test's first turn began before the loop ran: one yield may not leave it yet. */
static void next_turn(struct task *task)
{
    for (int i = 0; i < 3; i++)
        assert_status(task_yield(task), STATUS_OK);
}

static const char counter_sql[] =
    "CREATE TABLE counter(v INTEGER NOT NULL) STRICT; INSERT INTO counter VALUES (0)";

static int setup_counter(void **state)
{
    int rc = setup(state);
    script(*state, counter_sql);
    return rc;
}

static uint64_t snapshots(struct fixture *f)
{
    struct store_stats stats;
    store_stats_read(f->store, &stats);
    return stats.snapshots;
}

/* -- sharing -------------------------------------------------------------------------------------
 */

static void read_many(struct task *task, void *arg)
{
    struct fixture *f = arg;
    uint64_t before = snapshots(f);
    for (int i = 0; i < 100; i++)
        assert_int_equal(read_counter(task, f), 0);
    assert_int_equal(snapshots(f) - before, 1);
    next_turn(task);
    assert_int_equal(read_counter(task, f), 0);
    assert_int_equal(snapshots(f) - before, 2);
}

static void test_reads_of_a_turn_share_a_snapshot(void **state)
{
    run_task(*state, read_many, *state);
}

static void read_and_write(struct task *task, void *arg)
{
    struct fixture *f = arg;
    /* Rows that stay open over a write keep what they see; a new read sees the write. */
    struct store_rows *rows;
    task_ok(task, store_one(task, f->store, SLICE("SELECT v FROM counter"), NULL, 0, &rows));
    for (int64_t i = 1; i <= 5; i++) {
        task_ok(task, write_sql(task, f, "UPDATE counter SET v = v + 1"));
        assert_int_equal(read_counter(task, f), i);
        assert_int_equal(store_rows_i64(rows, 0), 0);
    }
    struct store_stats stats;
    store_stats_read(f->store, &stats);
    assert_int_equal(stats.read_connections, 2);
    assert_status(store_rows_next(rows), STATUS_NOT_FOUND);
    store_rows_close(rows);
    assert_int_equal(read_counter(task, f), 5);
}

static void test_a_task_with_open_rows_sees_its_write(void **state)
{
    run_task(*state, read_and_write, *state);
}

static void read_beside_another_program(struct task *task, void *arg)
{
    struct fixture *f = arg;
    sqlite3 *other;
    assert_int_equal(read_counter(task, f), 0);
    assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "UPDATE counter SET v = 7", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    next_turn(task);
    assert_int_equal(read_counter(task, f), 7);
}

static void test_other_programs_writes_show_in_the_next_turn(void **state)
{
    run_task(*state, read_beside_another_program, *state);
}

/* Where the database is mapped, by /proc/self/maps: "7f...-7f..."; empty when it is not. */
static void mapping_of(struct fixture *f, char *ret, size_t size)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    ret[0] = '\0';
    while (fgets(line, sizeof(line), maps)) {
        size_t len = strcspn(line, "\n");
        struct slice text = slice_of(line, len);
        if (slice_ends(text, slice_cstr(f->path)))
            (void)snprintf(ret, size, "%.*s", (int)strcspn(line, " "), line);
    }
    assert_int_equal(fclose(maps), 0);
}

static void run_elsewhere(struct fixture *f, const char *sql)
{
    sqlite3 *other;
    assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(other, 5000), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static int64_t sum_of_all(struct task *task, struct fixture *f)
{
    struct store_rows *rows;
    task_ok(task, store_one(task, f->store,
                            SLICE("SELECT (SELECT coalesce(sum(length(b)), 0) FROM fat)"
                                  " + (SELECT v FROM counter)"),
                            NULL, 0, &rows));
    int64_t sum = store_rows_i64(rows, 0);
    store_rows_close(rows);
    return sum;
}

static void read_while_the_file_changes_its_size(struct task *task, void *arg)
{
    struct fixture *f = arg;
    char first[64], now[64];
    run_elsewhere(f, "CREATE TABLE fat(b BLOB) STRICT; PRAGMA wal_checkpoint(TRUNCATE)");
    next_turn(task);
    assert_int_equal(sum_of_all(task, f), 0);
    task_ok(task, write_sql(task, f, "UPDATE counter SET v = 1"));
    assert_int_equal(sum_of_all(task, f), 1);
    mapping_of(f, first, sizeof(first));
    assert_string_not_equal(first, "");
    /* Commits change nothing of the file: the mapping stays. */
    for (int64_t i = 2; i < 50; i++) {
        task_ok(task, write_sql(task, f, "UPDATE counter SET v = v + 1"));
        assert_int_equal(sum_of_all(task, f), i);
        mapping_of(f, now, sizeof(now));
        assert_string_equal(now, first);
    }
    /* Nor does it go when the file grows far beyond what it was, or is cut short again. */
    next_turn(task);
    run_elsewhere(f, "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 100)"
                     " INSERT INTO fat SELECT zeroblob(10000) FROM n;"
                     "PRAGMA wal_checkpoint(TRUNCATE)");
    next_turn(task);
    assert_int_equal(sum_of_all(task, f), 49 + 100 * 10000);
    mapping_of(f, now, sizeof(now));
    assert_string_equal(now, first);
    next_turn(task);
    run_elsewhere(f, "DELETE FROM fat WHERE rowid > 3; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    next_turn(task);
    assert_int_equal(sum_of_all(task, f), 49 + 3 * 10000);
    mapping_of(f, now, sizeof(now));
    assert_string_equal(now, first);
}

static void test_a_mapping_outlives_every_size_of_the_file(void **state)
{
    run_task(*state, read_while_the_file_changes_its_size, *state);
}

#define MAPPED_BYTES 65536

static int setup_small_mapping(void **state)
{
    int rc = setup_with(state, (struct store_options){ .mmap_bytes = MAPPED_BYTES });
    script(*state, counter_sql);
    return rc;
}

static void read_beyond_the_mapping(struct task *task, void *arg)
{
    struct fixture *f = arg;
    char mapping[64], *rest;
    run_elsewhere(f, "CREATE TABLE fat(b BLOB) STRICT; PRAGMA wal_checkpoint(TRUNCATE)");
    for (int64_t i = 1; i <= 30; i++) {
        next_turn(task);
        run_elsewhere(f, "INSERT INTO fat VALUES (zeroblob(10000)); PRAGMA wal_checkpoint");
        next_turn(task);
        assert_int_equal(sum_of_all(task, f), 10000 * i);
    }
    mapping_of(f, mapping, sizeof(mapping));
    unsigned long begin = strtoul(mapping, &rest, 16);
    assert_int_equal(*rest, '-');
    assert_int_equal(strtoul(rest + 1, NULL, 16) - begin, MAPPED_BYTES);
}

static void test_what_lies_beyond_the_mapping_is_read(void **state)
{
    run_task(*state, read_beyond_the_mapping, *state);
}

static void read_around_script(struct task *task, void *arg)
{
    struct fixture *f = arg;
    assert_int_equal(read_counter(task, f), 0);
    script(f, "UPDATE counter SET v = 9; ALTER TABLE counter ADD COLUMN w INTEGER");
    assert_int_equal(read_counter(task, f), 9);
}

static void test_a_script_shows_at_once(void **state)
{
    run_task(*state, read_around_script, *state);
}

/* -- two loops
 * ------------------------------------------------------------------------------------- */

struct two {
    struct fixture *f;
    struct loop *loop;    /* the second one */
    int64_t acknowledged; /* atomic: the last value whose write was answered */
    bool is_over;         /* atomic */
    int64_t reads, stale;
};

enum { WRITES = 2000 };

static void write_counter(struct task *task, void *arg)
{
    struct two *two = arg;
    for (int64_t i = 1; i <= WRITES; i++) {
        task_ok(task, write_sql(task, two->f, "UPDATE counter SET v = v + 1"));
        __atomic_store_n(&two->acknowledged, i, __ATOMIC_RELEASE);
        if (i % 3 == 0) /* the writer's own loop as well */
            assert_true(read_counter(task, two->f) >= i);
    }
    __atomic_store_n(&two->is_over, true, __ATOMIC_RELEASE);
}

static void watch_counter(struct task *task, void *arg)
{
    struct two *two = arg;
    while (!__atomic_load_n(&two->is_over, __ATOMIC_ACQUIRE)) {
        /* Many in a turn, on a snapshot that a moment ago was new. */
        for (int i = 0; i < 50; i++) {
            int64_t known = __atomic_load_n(&two->acknowledged, __ATOMIC_ACQUIRE);
            two->stale += read_counter(task, two->f) < known;
            two->reads++;
        }
        assert_status(task_yield(task), STATUS_OK);
    }
    loop_stop(two->loop);
}

static void *run_second(void *arg)
{
    struct two *two = arg;
    assert_status(store_attach(two->f->store, two->loop), STATUS_OK);
    assert_status(task_spawn(two->loop, watch_counter, two, NULL), STATUS_OK);
    loop_run(two->loop);
    store_detach(two->f->store, two->loop);
    return NULL;
}

static void test_what_one_loop_was_told_another_reads_at_once(void **state)
{
    struct two two = { .f = *state };
    assert_status(loop_new(NULL, &two.loop), STATUS_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_second, &two), 0);
    run_task(two.f, write_counter, &two);
    assert_int_equal(pthread_join(thread, NULL), 0);
    loop_free(two.loop);
    print_message("%lld reads beside %d writes\n", (long long)two.reads, WRITES);
    assert_int_equal(two.stale, 0);
    assert_true(two.reads > 0);
    struct store_stats stats;
    store_stats_read(two.f->store, &stats);
    assert_true(stats.reads >= (uint64_t)two.reads);
}

/* -- many of everything
 * ---------------------------------------------------------------------------- */

struct crowd {
    struct fixture *f;
    struct loop *loop;
    unsigned left;
};

/* Money goes from hand to hand: however reads and writes fall together, the sum is the same. */
static enum status move(struct store_tx *tx, void *arg)
{
    const int64_t *pair = arg;
    const struct store_value from = store_i64(pair[0]), to = store_i64(pair[1]);
    enum status st =
        store_tx_exec(tx, SLICE("UPDATE account SET v = v - 1 WHERE id = $1"), &from, 1, NULL);
    if (st == STATUS_OK)
        st = store_tx_exec(tx, SLICE("UPDATE account SET v = v + 1 WHERE id = $1"), &to, 1, NULL);
    /* Every fifth thinks better of it. */
    return st == STATUS_OK && pair[0] % 5 == 0 ? STATUS_DENIED : st;
}

static void trade(struct task *task, void *arg)
{
    struct crowd *c = arg;
    for (int64_t i = 0; i < 60; i++) {
        int64_t pair[2] = { (i * 7) % 20, (i * 11 + 3) % 20 };
        enum status st = store_write(task, c->f->store, move, pair);
        assert_status(st, pair[0] % 5 == 0 ? STATUS_DENIED : STATUS_OK);
        struct store_rows *rows;
        task_ok(task,
                store_one(task, c->f->store, SLICE("SELECT sum(v) FROM account"), NULL, 0, &rows));
        assert_int_equal(store_rows_i64(rows, 0), 2000);
        store_rows_close(rows);
    }
    if (--c->left == 0)
        loop_stop(c->loop);
}

static void *run_crowd(void *arg)
{
    struct crowd *c = arg;
    assert_status(store_attach(c->f->store, c->loop), STATUS_OK);
    c->left = 10;
    for (int i = 0; i < 10; i++)
        assert_status(task_spawn(c->loop, trade, c, NULL), STATUS_OK);
    loop_run(c->loop);
    store_detach(c->f->store, c->loop);
    return NULL;
}

static void test_readers_and_writers_of_three_loops(void **state)
{
    struct fixture *f = *state;
    script(f, "CREATE TABLE account(id INTEGER PRIMARY KEY, v INTEGER NOT NULL) STRICT;"
              "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 19)"
              " INSERT INTO account SELECT i, 100 FROM n");
    struct crowd crowds[3];
    pthread_t threads[3];
    for (size_t i = 0; i < ARRAY_LEN(crowds); i++) {
        crowds[i] = (struct crowd){ .f = f };
        assert_status(loop_new(NULL, &crowds[i].loop), STATUS_OK);
        assert_int_equal(pthread_create(&threads[i], NULL, run_crowd, &crowds[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(crowds); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        loop_free(crowds[i].loop);
    }
    assert_int_equal(read_i64(f, "SELECT sum(v) FROM account"), 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads_of_a_turn_share_a_snapshot, setup_counter,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_task_with_open_rows_sees_its_write, setup_counter,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_other_programs_writes_show_in_the_next_turn,
                                        setup_counter, teardown),
        cmocka_unit_test_setup_teardown(test_a_mapping_outlives_every_size_of_the_file,
                                        setup_counter, teardown),
        cmocka_unit_test_setup_teardown(test_what_lies_beyond_the_mapping_is_read,
                                        setup_small_mapping, teardown),
        cmocka_unit_test_setup_teardown(test_a_script_shows_at_once, setup_counter, teardown),
        cmocka_unit_test_setup_teardown(test_what_one_loop_was_told_another_reads_at_once,
                                        setup_counter, teardown),
        cmocka_unit_test_setup_teardown(test_readers_and_writers_of_three_loops, setup_counter,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
