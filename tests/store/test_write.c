/*
 * Writes: what is kept, what is undone, what constraints say, and what happens when the disk does
 * not play along.
 */
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <time.h>

#include "fixture.h"
#include "store/internal.h"

static const char schema[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, nick TEXT UNIQUE, email TEXT, a INTEGER NOT NULL "
    "DEFAULT 0, b INTEGER,"
    "  n INTEGER CONSTRAINT n_is_small CHECK (n < 100), UNIQUE (a, b)) STRICT;"
    "CREATE UNIQUE INDEX t_lower ON t(lower(email));"
    "CREATE TABLE child(id INTEGER PRIMARY KEY, t INTEGER NOT NULL REFERENCES t) STRICT;"
    "CREATE TABLE later(id INTEGER PRIMARY KEY,"
    "  t INTEGER NOT NULL REFERENCES t DEFERRABLE INITIALLY DEFERRED) STRICT;"
    "CREATE TRIGGER t_no_13 BEFORE INSERT ON t WHEN new.n = 13 BEGIN"
    "  SELECT RAISE(ABORT, 'thirteen is not taken');"
    "END;"
    "CREATE TRIGGER t_no_14 BEFORE INSERT ON t WHEN new.n = 14 BEGIN"
    "  SELECT RAISE(ROLLBACK, 'fourteen ends it all');"
    "END;";

static int setup_schema(void **state)
{
    int rc = setup(state);
    script(*state, schema);
    return rc;
}

/* -- keeping and undoing ------------------------------------------------------------------------
 */

struct job {
    struct fixture *f;
    int id;
    enum status want, got;
    int after;
};

static enum status insert_one(struct store_tx *tx, int id)
{
    const struct store_value values[] = { store_i64(id), store_i64(id) };
    int64_t changes = 0;
    enum status st =
        store_tx_exec(tx, SLICE("INSERT INTO t(id, b) VALUES ($1, $2)"), values, 2, &changes);
    if (st == STATUS_OK)
        assert_int_equal(changes, 1);
    return st;
}

/* Two rows, and then perhaps a change of mind; rows are left open on purpose. */
static enum status insert_two(struct store_tx *tx, void *arg)
{
    struct job *job = arg;
    enum status st = insert_one(tx, job->id);
    if (st == STATUS_OK)
        st = insert_one(tx, job->id + 1);
    struct store_rows *rows;
    if (st == STATUS_OK)
        st = store_tx_one(tx, SLICE("SELECT id FROM t ORDER BY id"), NULL, 0, &rows);
    return st == STATUS_OK ? job->want : st;
}

static void write_job(struct task *task, void *arg)
{
    struct job *job = arg;
    job->got = store_write(task, job->f->store, insert_two, job);
}

static void test_one_bad_write_is_undone_alone(void **state)
{
    struct fixture *f = *state;
    struct job jobs[64];
    for (int i = 0; i < 64; i++) {
        jobs[i] = (struct job){ .f = f, .id = 2 * i, .want = i % 3 ? STATUS_OK : STATUS_DENIED };
        spawn(f, write_job, &jobs[i]);
    }
    run_to_end(f);
    int64_t kept = 0;
    for (int i = 0; i < 64; i++) {
        assert_status(jobs[i].got, jobs[i].want);
        kept += jobs[i].want == STATUS_OK ? 2 : 0;
    }
    assert_int_equal(read_i64(f, "SELECT count(*) FROM t"), kept);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM t WHERE id / 2 % 3 = 0"), 0);
    struct store_stats stats;
    store_stats_read(f->store, &stats);
    assert_int_equal(stats.commits, 1); /* one turn's writes are one batch */
    assert_int_equal(stats.writes, 64);
    assert_int_equal(stats.rollbacks, 22);
    assert_int_equal(stats.write_queue, 0);
    assert_true(stats.wal_bytes > 0 && stats.database_bytes > 0);
}

static enum status see_own(struct store_tx *tx, void *arg)
{
    struct job *job = arg;
    assert_ptr_equal(store_tx_store(tx), job->f->store);
    struct store_rows *rows;
    const struct store_value id = store_i64(7);
    assert_status(
        store_tx_one(tx, SLICE("INSERT INTO t(id) VALUES ($1) RETURNING id, a"), &id, 1, &rows),
        STATUS_OK);
    assert_int_equal(store_rows_i64(rows, 0), 7);
    assert_status(store_rows_next(rows), STATUS_NOT_FOUND);
    store_rows_close(rows);
    assert_status(store_tx_one(tx, SLICE("SELECT 1 FROM t WHERE id = 8"), NULL, 0, &rows),
                  STATUS_NOT_FOUND);
    int64_t changes = -1;
    assert_status(store_tx_exec(tx, SLICE("UPDATE t SET a = 5 WHERE id = 8"), NULL, 0, &changes),
                  STATUS_OK);
    assert_int_equal(changes, 0);
    assert_status(store_tx_exec(tx, SLICE("UPDATE t SET a = 5 WHERE id = 7"), NULL, 0, &changes),
                  STATUS_OK);
    assert_int_equal(changes, 1);
    assert_status(store_tx_exec(tx, SLICE("CREATE TABLE made_inside(x)"), NULL, 0, &changes),
                  STATUS_OK);
    assert_int_equal(changes, 0);
    struct store_sql sql;
    store_sql_init(&sql, store_tx_arena(tx));
    store_sql_lit(&sql, "DELETE FROM t WHERE id = ");
    store_sql_value(&sql, store_i64(7));
    assert_status(store_tx_exec_sql(tx, &sql, &changes), STATUS_OK);
    assert_int_equal(changes, 1);
    assert_status(store_tx_query_sql(tx, &sql, &rows), STATUS_OK);
    return STATUS_OK;
}

static void write_see_own(struct task *task, void *arg)
{
    struct job job = { .f = arg };
    task_ok(task, store_write(task, job.f->store, see_own, &job));
}

static void test_a_write_sees_what_it_does(void **state)
{
    run_task(*state, write_see_own, *state);
}

/* -- savepoints
 * --------------------------------------------------------------------------------------- */

static enum status nest(struct store_tx *tx, void *arg)
{
    (void)arg;
    assert_status(store_tx_release(tx), STATUS_INTERNAL);
    assert_status(store_tx_rollback(tx), STATUS_INTERNAL);
    problem_clear(store_tx_problem(tx));
    for (int i = 1; i <= 8; i++) {
        assert_status(store_tx_savepoint(tx), STATUS_OK);
        assert_status(insert_one(tx, i), STATUS_OK);
    }
    assert_status(store_tx_savepoint(tx), STATUS_INTERNAL);
    problem_clear(store_tx_problem(tx));
    assert_status(store_tx_rollback(tx), STATUS_OK); /* 8 */
    assert_status(store_tx_release(tx), STATUS_OK);  /* 7 is part of 6's */
    assert_status(store_tx_rollback(tx), STATUS_OK); /* 6 and 7 */
    return STATUS_OK; /* 1 to 5 are kept without having been released */
}

static enum status nest_and_fail(struct store_tx *tx, void *arg)
{
    (void)arg;
    assert_status(store_tx_savepoint(tx), STATUS_OK);
    assert_status(insert_one(tx, 100), STATUS_OK);
    assert_status(store_tx_release(tx), STATUS_OK);
    assert_status(store_tx_savepoint(tx), STATUS_OK);
    assert_status(insert_one(tx, 101), STATUS_OK);
    return store_tx_problem_set(tx, STATUS_INVALID, "test/no", "No %s.", "thanks");
}

static void write_nested(struct task *task, void *arg)
{
    struct fixture *f = arg;
    assert_status(store_write(task, f->store, nest, NULL), STATUS_OK);
    assert_status(store_write(task, f->store, nest_and_fail, NULL), STATUS_INVALID);
    assert_string_equal(task_problem(task)->type, "test/no");
    assert_true(slice_eq(task_problem(task)->detail, SLICE("No thanks.")));
}

static void test_savepoints_nest(void **state)
{
    run_task(*state, write_nested, *state);
    assert_int_equal(read_i64(*state, "SELECT sum(id) FROM t"), 15);
}

/* -- constraints
 * ------------------------------------------------------------------------------------ */

static const struct {
    const char *sql;
    enum store_conflict_kind kind;
    const char *table, *columns, *constraint;
} conflicts[] = {
    { "INSERT INTO t(id) VALUES (1)", STORE_CONFLICT_UNIQUE, "t", "id", "" },
    { "INSERT INTO t(nick) VALUES ('x')", STORE_CONFLICT_UNIQUE, "t", "nick", "" },
    { "INSERT INTO t(email) VALUES ('X@Y')", STORE_CONFLICT_UNIQUE, "", "", "t_lower" },
    { "INSERT INTO t(a, b) VALUES (1, 1)", STORE_CONFLICT_UNIQUE, "t", "a,b", "" },
    { "INSERT INTO t(a) VALUES (NULL)", STORE_CONFLICT_NOT_NULL, "t", "a", "" },
    { "INSERT INTO t(n) VALUES (100)", STORE_CONFLICT_CHECK, "", "", "n_is_small" },
    { "INSERT INTO t(n) VALUES (13)", STORE_CONFLICT_TRIGGER, "", "", "thirteen is not taken" },
    { "INSERT INTO child(t) VALUES (99)", STORE_CONFLICT_FOREIGN, "", "", "" },
    { "DELETE FROM t WHERE id = 1", STORE_CONFLICT_FOREIGN, "", "", "" },
};

static enum status break_rules(struct store_tx *tx, void *arg)
{
    (void)arg;
    assert_int_equal(store_tx_conflict(tx)->kind, STORE_CONFLICT_NONE);
    for (size_t i = 0; i < ARRAY_LEN(conflicts); i++) {
        assert_status(store_tx_exec(tx, slice_cstr(conflicts[i].sql), NULL, 0, NULL),
                      STATUS_CONFLICT);
        const struct store_conflict *c = store_tx_conflict(tx);
        assert_int_equal(c->kind, conflicts[i].kind);
        assert_true(slice_eq(c->table, slice_cstr(conflicts[i].table)));
        assert_true(slice_eq(c->columns, slice_cstr(conflicts[i].columns)));
        assert_true(slice_eq(c->constraint, slice_cstr(conflicts[i].constraint)));
        assert_status(store_tx_problem(tx)->status, STATUS_OK);
    }
    /* What came before a failed statement stands. */
    assert_status(insert_one(tx, 50), STATUS_OK);
    assert_int_equal(store_tx_conflict(tx)->kind, STORE_CONFLICT_NONE);
    return STATUS_OK;
}

static enum status store_a_text(struct store_tx *tx, void *arg)
{
    (void)arg;
    /* STRICT: our mistake, which validation should have caught. */
    return store_tx_exec(tx, SLICE("INSERT INTO t(n) VALUES ('many')"), NULL, 0, NULL);
}

static enum status leave_dangling(struct store_tx *tx, void *arg)
{
    (void)arg;
    assert_status(insert_one(tx, 60), STATUS_OK);
    return store_tx_exec(tx, SLICE("INSERT INTO later(t) VALUES (61)"), NULL, 0, NULL);
}

static enum status refer_ahead(struct store_tx *tx, void *arg)
{
    (void)arg;
    enum status st = store_tx_exec(tx, SLICE("INSERT INTO later(t) VALUES (70)"), NULL, 0, NULL);
    return st == STATUS_OK ? insert_one(tx, 70) : st;
}

static void write_conflicts(struct task *task, void *arg)
{
    struct fixture *f = arg;
    assert_status(store_write(task, f->store, break_rules, NULL), STATUS_OK);
    assert_status(store_write(task, f->store, store_a_text, NULL), STATUS_CONFLICT);
    assert_string_equal(task_problem(task)->type, "store/constraint");
    problem_clear(task_problem(task));
    assert_status(store_write(task, f->store, leave_dangling, NULL), STATUS_CONFLICT);
    assert_string_equal(task_problem(task)->type, "store/reference");
    problem_clear(task_problem(task));
    assert_status(store_write(task, f->store, refer_ahead, NULL), STATUS_OK);
}

static void test_constraints_say_what_they_mind(void **state)
{
    struct fixture *f = *state;
    script(f, "INSERT INTO t(id, nick, email, a, b) VALUES (1, 'x', 'x@y', 1, 1); INSERT INTO "
              "child(t) VALUES (1)");
    run_task(f, write_conflicts, f);
    assert_int_equal(read_i64(f, "SELECT sum(id) FROM t"), 121);
}

/* -- losing a whole batch
 * ---------------------------------------------------------------------------- */

static enum status end_it_all(struct store_tx *tx, void *arg)
{
    struct job *job = arg;
    if (job->id != 3)
        return insert_one(tx, job->id);
    return store_tx_exec(tx, SLICE("INSERT INTO t(n) VALUES (14)"), NULL, 0, NULL);
}

static void write_to_the_end(struct task *task, void *arg)
{
    struct job *job = arg;
    job->got = store_write(task, job->f->store, end_it_all, job);
}

static void test_a_lost_transaction_is_unavailable_to_all_in_it(void **state)
{
    struct fixture *f = *state;
    struct job jobs[6];
    for (int i = 0; i < 6; i++) {
        jobs[i] = (struct job){ .f = f, .id = i };
        spawn(f, write_to_the_end, &jobs[i]);
    }
    run_to_end(f);
    for (int i = 0; i < 6; i++)
        assert_status(jobs[i].got, STATUS_UNAVAILABLE);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM t"), 0);
    struct store_stats stats;
    store_stats_read(f->store, &stats);
    assert_true(stats.writes_failing);
    struct job again = { .f = f, .id = 10 };
    run_task(f, write_job, &again);
    assert_status(again.got, STATUS_OK);
    store_stats_read(f->store, &stats);
    assert_false(stats.writes_failing);
}

/* -- disks
 * --------------------------------------------------------------------------------------------- */

static const char fill_sql[] = "INSERT INTO t(email) VALUES (hex(randomblob(20000)))";

struct filling {
    struct fixture *f;
    int written;
    enum status st;
    const char *type;
    int64_t retry_after_us;
};

static void fill(struct task *task, void *arg)
{
    struct filling *fl = arg;
    for (int i = 0; i < 1000; i++) {
        fl->st = write_sql(task, fl->f, fill_sql);
        if (fl->st != STATUS_OK)
            break;
        fl->written++;
    }
    fl->type = task_problem(task)->type;
    fl->retry_after_us = task_problem(task)->retry_after_us;
    struct store_rows *rows;
    task_ok(task, store_one(task, fl->f->store, SLICE("SELECT count(*) FROM t"), NULL, 0, &rows));
    assert_int_equal(store_rows_i64(rows, 0), fl->written);
    store_rows_close(rows);
}

static void limit_pages(struct task *task, void *arg)
{
    task_ok(task, write_sql(task, arg, "PRAGMA max_page_count = 60"));
}

static void unlimit_pages(struct task *task, void *arg)
{
    task_ok(task, write_sql(task, arg, "PRAGMA max_page_count = 1000000"));
}

static void test_a_database_at_its_size_refuses_writes_and_serves_reads(void **state)
{
    struct fixture *f = *state;
    run_task(f, limit_pages, f);
    struct filling fl = { .f = f };
    run_task(f, fill, &fl);
    assert_status(fl.st, STATUS_UNAVAILABLE);
    assert_string_equal(fl.type, "store/disk-full");
    assert_true(fl.retry_after_us > 0);
    assert_true(fl.written > 1);
    run_task(f, unlimit_pages, f);
    struct job again = { .f = f, .id = 1000 };
    run_task(f, write_job, &again);
    assert_status(again.got, STATUS_OK);
}

/* A file size limit makes the commit itself fail, as a broken disk does. */
static void test_a_failing_disk_loses_no_committed_row(void **state)
{
    struct fixture *f = *state;
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = { .rlim_cur = 400000, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct filling fl = { .f = f };
    run_task(f, fill, &fl);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_status(fl.st, STATUS_UNAVAILABLE);
    assert_string_equal(fl.type, "store/io");
    struct store_stats stats;
    store_stats_read(f->store, &stats);
    assert_true(stats.writes_failing);
    struct job again = { .f = f, .id = 1000 };
    run_task(f, write_job, &again);
    assert_status(again.got, STATUS_OK);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM t"), fl.written + 2);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM pragma_integrity_check"
                                 " WHERE integrity_check = 'ok'"),
                     1);
}

static void test_a_full_disk(void **state)
{
    struct fixture *f = *state;
    if (mount("tmpfs", f->folder, "tmpfs", 0, "size=1m") != 0) {
        print_message("skipped: mounting a small file system is not permitted here\n");
        skip();
    }
    assert_status(loop_new(NULL, &f->loop), STATUS_OK);
    fixture_open(f, (struct store_options){ 0 });
    script(f, schema);
    struct filling fl = { .f = f };
    run_task(f, fill, &fl);
    fixture_close(f);
    fixture_open(f, (struct store_options){ 0 });
    int64_t rows = read_i64(f, "SELECT count(*) FROM t");
    fixture_close(f);
    assert_int_equal(umount(f->folder), 0);
    assert_status(fl.st, STATUS_UNAVAILABLE);
    assert_string_equal(fl.type, "store/disk-full");
    assert_int_equal(rows, fl.written);
}

/* More than the writer's WAL gathers, by itself and with others, and than SQLite writes at once. */
static enum status insert_large(struct store_tx *tx, void *arg)
{
    const struct job *job = arg;
    const struct store_value values[] = { store_i64(job->id), store_i64(job->after) };
    return store_tx_exec(
        tx, SLICE("INSERT INTO t(id, email) VALUES ($1, ($1 + 1000) || hex(zeroblob($2)))"), values,
        2, NULL);
}

static void write_large(struct task *task, void *arg)
{
    struct job *job = arg;
    job->got = store_write(task, job->f->store, insert_large, job);
}

static void test_commits_of_any_size(void **state)
{
    struct fixture *f = *state;
    static const int sizes[] = { 1000, 20000, 31000, 63000, 64000, 65000, 100000, 130000, 500000 };
    struct job jobs[ARRAY_LEN(sizes)];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            jobs[i] = (struct job){ .f = f, .id = round * 100 + (int)i, .after = sizes[i] };
            spawn(f, write_large, &jobs[i]);
            if (round == 0)
                run_to_end(f); /* each a commit of its own; then all in one */
        }
        run_to_end(f);
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
            assert_status(jobs[i].got, STATUS_OK);
    }
    int64_t sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        sum += 2 * (4 + 2 * sizes[i]);
    assert_int_equal(read_i64(f, "SELECT sum(length(email)) FROM t"), sum);
}

/* -- the queue
 * ------------------------------------------------------------------------------------------- */

static int setup_short_queue(void **state)
{
    int rc = setup_with(state, (struct store_options){ .write_queue_max = 4, .batch_max = 2 });
    script(*state, schema);
    return rc;
}

/* A write that takes until it is told, and others behind it. */
struct gate {
    struct fixture *f;
    bool running, open; /* atomic */
    struct task *behind;
    bool behind_waits, first_is_back, second_is_back, third_is_back;
    enum status first, second, third;
    const char *third_type;
};

static enum status wait_at_gate(struct store_tx *tx, void *arg)
{
    struct gate *g = arg;
    enum status st = insert_one(tx, 1);
    __atomic_store_n(&g->running, true, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&g->open, __ATOMIC_ACQUIRE))
        (void)usleep(1000);
    return st;
}

static void wait_until(struct task *task, const bool *flag)
{
    while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
        assert_status(task_sleep(task, CLOCK_MS), STATUS_OK);
}

static void write_gate(struct task *task, void *arg)
{
    struct gate *g = arg;
    g->behind = task;
    g->first = store_write(task, g->f->store, wait_at_gate, g);
    g->first_is_back = true;
}

static void write_behind(struct task *task, void *arg)
{
    struct gate *g = arg;
    wait_until(task, &g->running);
    g->behind = task;
    g->behind_waits = true;
    g->second = write_sql(task, g->f, "INSERT INTO t(id) VALUES (2)");
    g->second_is_back = true;
}

static void write_late(struct task *task, void *arg)
{
    struct gate *g = arg;
    wait_until(task, &g->running);
    task_deadline_set(task, clock_mono_us() + 30 * CLOCK_MS);
    g->third = write_sql(task, g->f, "INSERT INTO t(id) VALUES (3)");
    g->third_type = task_problem(task)->type;
    g->third_is_back = true;
}

static void open_gate(struct task *task, void *arg)
{
    struct gate *g = arg;
    wait_until(task, &g->third_is_back);
    wait_until(task, &g->behind_waits);
    task_cancel(g->behind);
    wait_until(task, &g->second_is_back);
    assert_false(g->first_is_back);
    __atomic_store_n(&g->open, true, __ATOMIC_RELEASE);
}

static void test_only_what_has_not_begun_can_be_withdrawn(void **state)
{
    struct fixture *f = *state;
    struct gate g = { .f = f };
    spawn(f, write_gate, &g);
    spawn(f, write_behind, &g);
    spawn(f, write_late, &g);
    run_task(f, open_gate, &g);
    assert_status(g.first, STATUS_OK);
    assert_status(g.second, STATUS_CANCELLED);
    assert_status(g.third, STATUS_TIMEOUT);
    assert_string_equal(g.third_type, "store/timeout");
    assert_int_equal(read_i64(f, "SELECT sum(id) FROM t"), 1);
    struct store_stats stats;
    store_stats_read(f->store, &stats);
    assert_int_equal(stats.write_queue, 0);
}

/* With the writer held at the gate, the queue takes just what it may; all others are told at once.
 */
struct crowd {
    struct gate gate;
    struct job jobs[100];
    unsigned next, refused;
    bool all_asked;
};

static void write_in_crowd(struct task *task, void *arg)
{
    struct crowd *c = arg;
    wait_until(task, &c->gate.running);
    struct job *job = &c->jobs[c->next++];
    job->got = store_write(task, job->f->store, insert_two, job);
    if (job->got != STATUS_EXHAUSTED)
        return;
    assert_int_equal(task_problem(task)->retry_after_us, CLOCK_SECOND);
    c->all_asked = ++c->refused == ARRAY_LEN(c->jobs) - 4;
}

static void open_for_crowd(struct task *task, void *arg)
{
    struct crowd *c = arg;
    wait_until(task, &c->all_asked);
    __atomic_store_n(&c->gate.open, true, __ATOMIC_RELEASE);
}

static void test_a_full_queue_is_exhausted(void **state)
{
    struct fixture *f = *state;
    struct crowd c = { .gate = { .f = f } };
    spawn(f, write_gate, &c.gate);
    for (size_t i = 0; i < ARRAY_LEN(c.jobs); i++) {
        c.jobs[i] = (struct job){ .f = f, .id = 10 + 2 * (int)i, .want = STATUS_OK };
        spawn(f, write_in_crowd, &c);
    }
    run_task(f, open_for_crowd, &c);
    run_to_end(f);
    unsigned ok = 0;
    for (size_t i = 0; i < ARRAY_LEN(c.jobs); i++)
        ok += c.jobs[i].got == STATUS_OK;
    assert_int_equal(ok, 4);
    assert_int_equal(c.refused, 96);
    assert_status(c.gate.first, STATUS_OK);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM t"), 2 * 4 + 1);
}

/* Running when its task is cancelled: the outcome is waited for. */
static void cancel_running(struct task *task, void *arg)
{
    struct gate *g = arg;
    wait_until(task, &g->running);
    task_cancel(g->behind);
    assert_status(task_sleep(task, 20 * CLOCK_MS), STATUS_OK);
    assert_false(g->first_is_back);
    __atomic_store_n(&g->open, true, __ATOMIC_RELEASE);
    while (!g->first_is_back)
        assert_status(task_sleep(task, CLOCK_MS), STATUS_OK);
}

static void write_running(struct task *task, void *arg)
{
    write_gate(task, arg);
    struct gate *g = arg;
    g->second = write_sql(task, g->f, "INSERT INTO t(id) VALUES (2)");
}

static void test_what_runs_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct gate g = { .f = f };
    spawn(f, write_running, &g);
    run_task(f, cancel_running, &g);
    assert_status(g.first, STATUS_OK);
    assert_status(g.second, STATUS_CANCELLED);
    assert_int_equal(read_i64(f, "SELECT sum(id) FROM t"), 1);
}

static enum status take_long(struct store_tx *tx, void *arg)
{
    struct job *job = arg;
    (void)usleep(5000);
    return insert_one(tx, job->id);
}

static void write_long(struct task *task, void *arg)
{
    struct job *job = arg;
    job->got = store_write(task, job->f->store, take_long, job);
}

static void test_slow_writes_do_not_make_one_endless_batch(void **state)
{
    struct fixture *f = *state;
    struct job jobs[32];
    for (int i = 0; i < 32; i++) {
        jobs[i] = (struct job){ .f = f, .id = i };
        spawn(f, write_long, &jobs[i]);
    }
    run_to_end(f);
    for (int i = 0; i < 32; i++)
        assert_status(jobs[i].got, STATUS_OK);
    assert_int_equal(read_i64(f, "SELECT count(*) FROM t"), 32);
    struct store_stats stats;
    store_stats_read(f->store, &stats);
    assert_true(stats.commits >= 3);
    assert_int_equal(stats.write_queue, 0);
}

/* Under ThreadSanitizer nothing takes the time it should: there only races are looked for. */
#ifdef __SANITIZE_THREAD__
#define PACED_ROUNDS 10
#else
#define PACED_ROUNDS 300
#endif

/* Many writes at once, and then one and, some milliseconds later, another. */
struct pacing {
    struct fixture *f;
    int next_id;
};

static enum status take_next(struct store_tx *tx, void *arg)
{
    struct pacing *p = arg;
    return insert_one(tx, p->next_id++);
}

static void write_now(struct task *task, void *arg)
{
    struct pacing *p = arg;
    assert_status(store_write(task, p->f->store, take_next, p), STATUS_OK);
}

static void write_later(struct task *task, void *arg)
{
    assert_status(task_sleep(task, 3 * CLOCK_MS), STATUS_OK);
    write_now(task, arg);
}

static int commits_of_two_writes(struct pacing *p, clockid_t clock)
{
    struct store_stats before, after;
    for (unsigned i = 0; i < 16; i++)
        spawn(p->f, write_now, p);
    run_to_end(p->f);
    /* How busy the loop is must not depend on what else this machine does. */
    struct store__lane *lane = store__lane_find(p->f->store, p->f->loop);
    pthread_mutex_lock(&p->f->store->queue_lock);
    lane->cpu_clock = clock;
    pthread_mutex_unlock(&p->f->store->queue_lock);
    store_stats_read(p->f->store, &before);
    spawn(p->f, write_now, p);
    spawn(p->f, write_later, p);
    run_to_end(p->f);
    store_stats_read(p->f->store, &after);
    return (int)(after.commits - before.commits);
}

static void *sleep_on(void *arg)
{
    char byte;
    return read(*(const int *)arg, &byte, 1) == 0 ? NULL : arg;
}

/* After a crowd, and while the loop has other work, a commit waits for company; beside an idle loop
 * it does not. By a clock that goes on as time does a loop is busy, by one that stands still idle.
 * A machine that is late hides the difference now and then. */
static void test_commits_are_paced_while_loops_are_busy(void **state)
{
    struct pacing p = { .f = *state, .next_id = 1 };
    int ends[2], more = 0;
    pthread_t sleeper;
    clockid_t still;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pthread_create(&sleeper, NULL, sleep_on, &ends[0]), 0);
    assert_int_equal(pthread_getcpuclockid(sleeper, &still), 0);
    for (int i = 0; i < PACED_ROUNDS && more < 10; i++) {
        more -= commits_of_two_writes(&p, CLOCK_MONOTONIC);
        more += commits_of_two_writes(&p, still);
    }
    (void)close(ends[1]);
    (void)pthread_join(sleeper, NULL);
    (void)close(ends[0]);
    if (PACED_ROUNDS > 10)
        assert_true(more >= 10);
}

/* -- others with the same file
 * --------------------------------------------------------------------------- */

static void write_while_locked(struct task *task, void *arg)
{
    struct filling *fl = arg;
    fl->st = write_sql(task, fl->f, "INSERT INTO t(id) VALUES (1)");
    fl->type = task_problem(task)->type;
    fl->retry_after_us = task_problem(task)->retry_after_us;
    struct store_rows *rows;
    task_ok(task, store_one(task, fl->f->store, SLICE("SELECT count(*) FROM t"), NULL, 0, &rows));
    store_rows_close(rows);
}

static void test_a_lock_held_by_another_program_is_unavailable(void **state)
{
    struct fixture *f = *state;
    sqlite3 *other;
    assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct filling fl = { .f = f };
    run_task(f, write_while_locked, &fl);
    assert_status(fl.st, STATUS_UNAVAILABLE);
    assert_string_equal(fl.type, "store/busy");
    assert_int_equal(fl.retry_after_us, CLOCK_SECOND);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    run_task(f, write_while_locked, &fl);
    assert_status(fl.st, STATUS_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* -- memory
 * ---------------------------------------------------------------------------------------------- */

struct hungry {
    struct fixture *f;
    int id;
    bool ok;
};

static enum status insert_hungry(struct store_tx *tx, void *arg)
{
    struct hungry *h = arg;
    enum status st = insert_one(tx, h->id);
    for (int i = 0; st == STATUS_OK && i < 40; i++) {
        if (!arena_alloc(store_tx_arena(tx), 1000))
            st = STATUS_EXHAUSTED;
    }
    /* A conflict is told even when there is no room for its words. */
    if (store_tx_exec(tx, SLICE("INSERT INTO t(n) VALUES (13)"), NULL, 0, NULL) != STATUS_CONFLICT)
        return STATUS_INTERNAL;
    assert_int_equal(store_tx_conflict(tx)->kind, STORE_CONFLICT_TRIGGER);
    return st;
}

static void write_hungry(struct task *task, void *arg)
{
    struct hungry *h = arg;
    enum status st = store_write(task, h->f->store, insert_hungry, h);
    h->ok = st == STATUS_OK;
    if (!h->ok)
        assert_status(st, STATUS_EXHAUSTED);
}

static void test_a_write_out_of_memory_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct hungry h = { .f = f };
    for (size_t budget = 1; !h.ok; budget += 997, h.id++) {
        const struct task_options options = { .arena_budget = budget };
        assert_status(task_spawn(f->loop, write_hungry, &h, &options), STATUS_OK);
        run_to_end(f);
        assert_int_equal(read_i64(f, "SELECT count(*) FROM t"), h.ok);
    }
    assert_true(h.id > 10);
}

static void write_forbidden(struct task *task, void *arg)
{
    struct fixture *f = arg;
    assert_status(write_sql(task, f, "INSERT INTO t(id) VALUES (1)"), STATUS_UNAVAILABLE);
    assert_string_equal(task_problem(task)->type, "store/read-only");
    struct store_rows *rows;
    task_ok(task, store_one(task, f->store, SLICE("SELECT count(*) FROM t"), NULL, 0, &rows));
    store_rows_close(rows);
}

static void test_a_read_only_store_only_reads(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    fixture_open(f, (struct store_options){ .read_only = true });
    run_task(f, write_forbidden, f);
    assert_status(store_script(f->store, SLICE("SELECT 1"), f->arena, &f->problem),
                  STATUS_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_bad_write_is_undone_alone, setup_schema, teardown),
        cmocka_unit_test_setup_teardown(test_a_write_sees_what_it_does, setup_schema, teardown),
        cmocka_unit_test_setup_teardown(test_savepoints_nest, setup_schema, teardown),
        cmocka_unit_test_setup_teardown(test_constraints_say_what_they_mind, setup_schema,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_lost_transaction_is_unavailable_to_all_in_it,
                                        setup_schema, teardown),
        cmocka_unit_test_setup_teardown(test_a_database_at_its_size_refuses_writes_and_serves_reads,
                                        setup_schema, teardown),
        cmocka_unit_test_setup_teardown(test_a_failing_disk_loses_no_committed_row, setup_schema,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_full_disk, setup_closed, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_queue_is_exhausted, setup_short_queue,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_only_what_has_not_begun_can_be_withdrawn, setup_schema,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_runs_is_waited_for, setup_schema, teardown),
        cmocka_unit_test_setup_teardown(test_slow_writes_do_not_make_one_endless_batch,
                                        setup_schema, teardown),
        cmocka_unit_test_setup_teardown(test_commits_of_any_size, setup_schema, teardown),
        cmocka_unit_test_setup_teardown(test_commits_are_paced_while_loops_are_busy, setup_schema,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_lock_held_by_another_program_is_unavailable,
                                        setup_schema, teardown),
        cmocka_unit_test_setup_teardown(test_a_write_out_of_memory_leaves_nothing, setup_schema,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_read_only_store_only_reads, setup_schema, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
