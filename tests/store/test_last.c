/*
 * Writes whose one change is their last: kept or undone alone though no savepoint is made for them,
 * and what becomes of those that break the promise.
 */
#include "fixture.h"

static const char schema[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER UNIQUE) STRICT;"
    "CREATE TABLE seen(id INTEGER PRIMARY KEY) STRICT;"
    "CREATE TABLE later(id INTEGER PRIMARY KEY,"
    "  t INTEGER NOT NULL REFERENCES t DEFERRABLE INITIALLY DEFERRED) STRICT;"
    /* Changes another table before it refuses. */
    "CREATE TRIGGER t_seen AFTER INSERT ON t BEGIN"
    "  INSERT INTO seen VALUES (new.id);"
    "  SELECT RAISE(ABORT, 'a multiple of ten') WHERE new.n % 10 = 0;"
    "END;";

static int setup_schema(void **state)
{
    int rc = setup(state);
    script(*state, schema);
    return rc;
}

/* What a write does, in this order. */
struct job {
    struct fixture *f;
    int64_t first; /* != 0: this row by store_tx_exec */
    int64_t last;  /* != 0: this row by store_tx_exec_last */
    int64_t more;  /* != 0: then this row by store_tx_exec */
    int64_t
        later; /* != 0: then by store_tx_exec_last a reference to this row, looked at at the end */
    enum status want, got;
};

typedef typeof(store_tx_exec) exec_fn;

static enum status insert(exec_fn *exec, struct store_tx *tx, int64_t id, const char *sql)
{
    const struct store_value values[] = { store_i64(id) };
    int64_t changes = 0;
    enum status st = exec(tx, slice_cstr(sql), values, 1, &changes);
    if (st == STATUS_OK)
        assert_int_equal(changes, 1);
    return st;
}

static enum status count_rows(struct store_tx *tx)
{
    struct store_rows *rows;
    enum status st = store_tx_one(tx, SLICE("SELECT count(*) FROM t"), NULL, 0, &rows);
    if (st == STATUS_OK)
        store_rows_close(rows);
    return st;
}

static enum status write_rows(struct store_tx *tx, void *arg)
{
    static const char insert_sql[] = "INSERT INTO t(id, n) VALUES ($1, $1 % 1000)";
    const struct job *job = arg;
    enum status st = count_rows(tx);
    if (st == STATUS_OK && job->first)
        st = insert(store_tx_exec, tx, job->first, insert_sql);
    if (st == STATUS_OK && job->last)
        st = insert(store_tx_exec_last, tx, job->last, insert_sql);
    if (st == STATUS_OK)
        st = count_rows(tx); /* reading goes on */
    if (st == STATUS_OK && job->more)
        st = insert(store_tx_exec, tx, job->more, insert_sql);
    if (st == STATUS_OK && job->later)
        st = insert(store_tx_exec_last, tx, job->later, "INSERT INTO later(t) VALUES ($1)");
    return st == STATUS_OK ? job->want : st;
}

static void write_job(struct task *task, void *arg)
{
    struct job *job = arg;
    job->got = store_write(task, job->f->store, write_rows, job);
    if (job->got != STATUS_UNAVAILABLE)
        return;
    /* Of words the first win. */
    const char *type = job->more ? "store/last" : job->later ? "store/reference" : "store/undone";
    assert_string_equal(task_problem(task)->type, type);
}

static struct store_stats run_jobs(struct fixture *f, struct job *jobs, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        jobs[i].f = f;
        spawn(f, write_job, &jobs[i]);
    }
    run_to_end(f);
    struct store_stats stats;
    store_stats_read(f->store, &stats);
    return stats;
}

static void test_what_is_refused_is_undone_alone(void **state)
{
    struct fixture *f = *state;
    struct job jobs[60] = { 0 };
    /* 1 to 30: those that the trigger refuses; 1001 to 1030: each n is there already. */
    for (int i = 0; i < 60; i++)
        jobs[i].last = i < 30 ? i + 1 : i + 971;
    struct store_stats stats = run_jobs(f, jobs, ARRAY_LEN(jobs));
    for (int i = 0; i < 60; i++)
        assert_status(jobs[i].got, i < 30 && (i + 1) % 10 ? STATUS_OK : STATUS_CONFLICT);
    assert_int_equal(stats.commits, 1);
    assert_int_equal(stats.rollbacks, 33);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM t"), 27);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM seen"), 27);
    assert_int_equal(read_i64(f, "SELECT max(id) FROM seen"), 29);
}

/* After another change it is a change like any other. */
static void test_a_last_change_after_others_can_be_undone(void **state)
{
    struct fixture *f = *state;
    struct job jobs[] = {
        { .first = 1, .last = 2 },
        { .first = 3, .last = 4, .want = STATUS_DENIED },
        { .first = 5, .last = 1002, .want = STATUS_OK }, /* refused: n is 2 again */
        { .first = 6, .last = 7, .more = 8 },
        { .first = 9, .later = 999 }, /* there is no such row */
        { .first = 11, .later = 11 },
    };
    struct store_stats stats = run_jobs(f, jobs, ARRAY_LEN(jobs));
    static const enum status want[] = { STATUS_OK, STATUS_DENIED,   STATUS_CONFLICT,
                                        STATUS_OK, STATUS_CONFLICT, STATUS_OK };
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        assert_status(jobs[i].got, want[i]);
    assert_int_equal(stats.commits, 1);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM t"), 6);
    assert_int_equal(read_i64(f, "SELECT sum(id) FROM t"), 1 + 2 + 6 + 7 + 8 + 11);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM later"), 1);
}

/* -- broken promises --------------------------------------------------------------------------- */

static void write_broken(struct fixture *f, struct job broken)
{
    struct job jobs[] = { { .last = 1 }, broken, { .last = 2 }, { .first = 3 } };
    struct store_stats stats = run_jobs(f, jobs, ARRAY_LEN(jobs));
    /* Nobody is told that something is stored which is not. */
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        assert_status(jobs[i].got, STATUS_UNAVAILABLE);
    assert_int_equal(stats.commits, 0);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM t"), 0);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM later"), 0);
    /* The store goes on. */
    struct job next[] = { { .last = 4 }, { .first = 5 } };
    stats = run_jobs(f, next, ARRAY_LEN(next));
    assert_status(next[0].got, STATUS_OK);
    assert_status(next[1].got, STATUS_OK);
    assert_int_equal(stats.commits, 1);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM t"), 2);
}

static void test_who_fails_after_the_last_change_fails_all(void **state)
{
    write_broken(*state, (struct job){ .last = 7, .want = STATUS_DENIED });
}

static void test_who_changes_more_after_the_last_change_fails_all(void **state)
{
    write_broken(*state, (struct job){ .last = 7, .more = 8 });
}

static void test_a_last_reference_that_leads_nowhere_fails_all(void **state)
{
    write_broken(*state, (struct job){ .later = 999 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_refused_is_undone_alone, setup_schema,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_last_change_after_others_can_be_undone, setup_schema,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_who_fails_after_the_last_change_fails_all,
                                        setup_schema, teardown),
        cmocka_unit_test_setup_teardown(test_who_changes_more_after_the_last_change_fails_all,
                                        setup_schema, teardown),
        cmocka_unit_test_setup_teardown(test_a_last_reference_that_leads_nowhere_fails_all,
                                        setup_schema, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
