/*
 * tests/identity/test_audit.c - Writing the log: with the act or not at all, in whatever number of
 * processes, through a flood, a crash and changes of the secret; and letting old rows go.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "audit_log.h"
#include "base/buf.h"
#include "base/metric.h"
#include "identity/audit_private.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef UNDER_TSAN
/* SQLite is not instrumented: that it is in order cannot be seen. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libsqlite3.so\nrace:libsqlite3.so\nmutex:libsqlite3.so\n";
}
#endif

/* -- with the act
 * --------------------------------------------------------------------------------------------- */

struct act {
    struct chain_fixture *f;
    enum status end;
};

static enum status write_act(struct store_tx *tx, void *arg)
{
    const struct act *act = arg;
    const struct identity_audit_event event = { .act = IDENTITY_AUDIT_ROLE_GRANTED };
    enum status st = identity_audit_put(tx, act->f->audit, &event);
    return st == STATUS_OK ? act->end : st;
}

static void act_task(struct task *task, void *arg)
{
    struct act *act = arg;
    assert_status(store_write(task, act->f->d.store, write_act, act), act->end);
}

static void test_a_row_is_there_only_with_its_act(void **state)
{
    struct chain_fixture *f = *state;
    struct act undone = { .f = f, .end = STATUS_CONFLICT }, done = { .f = f, .end = STATUS_OK };
    database_run(&f->d, act_task, &undone);
    chain_assert_whole(f, 0);
    database_run(&f->d, act_task, &done);
    database_run(&f->d, act_task, &undone);
    database_run(&f->d, act_task, &done);
    chain_assert_whole(f, 3);
}

static void test_the_database_refuses_changes(void **state)
{
    struct chain_fixture *f = *state;
    static const char *const refused[] = {
        "UPDATE purlin_audit SET actor_id = 'eve' WHERE seq = 2",
        "DELETE FROM purlin_audit WHERE seq = 2",
        "DELETE FROM purlin_audit",
        "DELETE FROM purlin_audit_anchors",
        ("INSERT OR REPLACE INTO purlin_audit SELECT seq, at, generation, act, outcome, actor,"
         " 'eve', subject_kind, subject_id, address, agent, request_id, details, hash"
         " FROM purlin_audit WHERE seq = 2"),
    };
    chain_write(f, 3);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        problem_clear(&f->d.problem);
        assert_status(store_script(f->d.store, slice_cstr(refused[i]), f->d.arena, &f->d.problem),
                      STATUS_CONFLICT);
    }
    chain_assert_whole(f, 4);
}

/* -- what is kept of a text
 * ------------------------------------------------------------------------------------ */

static void test_texts_are_bounded_and_printable(void **state)
{
    struct chain_fixture *f = *state;
    char agent[2000], details[IDENTITY_AUDIT_DETAILS_MAX + 3];
    memset(agent, 'a', sizeof(agent));
    memcpy(agent, "x\n\x1b[31m\xff\xc3\xa9\x7f", 11);
    agent[254] = '\xc3'; /* of two bytes, the second past the bound */
    agent[255] = '\xa9';
    memset(details, ' ', sizeof(details));
    details[0] = '{';
    details[IDENTITY_AUDIT_DETAILS_MAX - 1] = '}';
    chain_put(f, &(struct identity_audit_event){
                     .act = IDENTITY_AUDIT_LOGIN_FAILED,
                     .outcome = IDENTITY_AUDIT_REFUSED,
                     .agent = slice_of(agent, sizeof(agent)),
                     .details = slice_of(details, IDENTITY_AUDIT_DETAILS_MAX) });
    chain_put(f, &(struct identity_audit_event){
                     .act = IDENTITY_AUDIT_LOGIN_FAILED,
                     .actor_id = slice_of(agent + 300, IDENTITY_AUDIT_ID_MAX + 1),
                     .details = slice_of(details, IDENTITY_AUDIT_DETAILS_MAX + 1) });
    chain_assert_whole(f, 3);
    static const struct {
        const char *name, *sql;
        int64_t want;
    } cases[] = {
        { "begins",
          "SELECT agent LIKE 'x??[31m?_?aaa%' AND unicode(substr(agent, 9)) = 233"
          "  FROM purlin_audit WHERE seq = 2",
          1 },
        { "is cut between characters",
          "SELECT length(CAST(agent AS BLOB)) FROM purlin_audit WHERE seq = 2", 256 },
        { "details just so long", "SELECT length(details) FROM purlin_audit WHERE seq = 2",
          IDENTITY_AUDIT_DETAILS_MAX },
        { "details too long",
          "SELECT details = '{\"too_long\":true}' FROM purlin_audit WHERE seq = 3", 1 },
        { "id", "SELECT length(actor_id) FROM purlin_audit WHERE seq = 3", IDENTITY_AUDIT_ID_MAX },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (database_number(&f->d, cases[i].sql) != cases[i].want)
            fail_msg("%s", cases[i].name);
}

static void test_names_are_found_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < IDENTITY_AUDIT_ACTS; i++) {
        enum identity_audit_act act = IDENTITY_AUDIT_ACTS;
        const char *name = identity_audit_act_name((enum identity_audit_act)i);
        assert_non_null(name);
        assert_true(identity_audit_act_find(slice_cstr(name), &act));
        assert_int_equal(act, i);
    }
    enum identity_audit_act act = IDENTITY_AUDIT_ACTS;
    assert_false(identity_audit_act_find(SLICE("login"), &act));
    assert_false(identity_audit_act_find(SLICE_NULL, &act));
    for (unsigned i = 0; i < IDENTITY_AUDIT_OUTCOMES; i++)
        assert_non_null(identity_audit_outcome_name((enum identity_audit_outcome)i));
    for (unsigned i = 0; i < IDENTITY_AUDIT_ACTORS; i++)
        assert_non_null(identity_audit_actor_name((enum identity_audit_actor)i));
    for (unsigned i = 0; i < IDENTITY_AUDIT_FAULTS; i++)
        assert_non_null(identity_audit_fault_name((enum identity_audit_fault)i));
}

static void test_rows_are_counted(void **state)
{
    struct chain_fixture *f = *state;
    struct metrics *metrics = metrics_new();
    struct buf text;
    chain_close(f);
    assert_status(
        chain_open_as(f, (struct identity_audit_options){ .secret = SECRET, .metrics = metrics }),
        STATUS_OK);
    chain_write(f, 3);
    chain_put(f, &(struct identity_audit_event){ .act = IDENTITY_AUDIT_LOGIN_FAILED,
                                                 .outcome = IDENTITY_AUDIT_REFUSED });
    buf_init(&text, NULL, 4096, (size_t)1 << 20);
    metrics_render(metrics, true, &text);
    static const struct slice lines[] = {
        SLICE_INIT("\npurlin_audit_events_total{act=\"audit.began\",outcome=\"ok\"} 1\n"),
        SLICE_INIT("\npurlin_audit_events_total{act=\"login.succeeded\",outcome=\"ok\"} 3\n"),
        SLICE_INIT("\npurlin_audit_events_total{act=\"login.failed\",outcome=\"refused\"} 1\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_int_not_equal(slice_find_slice(buf_slice(&text), lines[i]), SIZE_MAX);
    buf_fini(&text);
    chain_close(f);
    metrics_free(metrics);
}

/* -- notes
 * ---------------------------------------------------------------------------------------------------
 */

static void note(struct chain_fixture *f, unsigned len, enum identity_audit_act act)
{
    for (unsigned i = 0; i < len; i++) {
        char agent[32];
        int n = snprintf(agent, sizeof(agent), "agent %u", i);
        identity_audit_note(f->audit,
                            &(struct identity_audit_event){ .act = act,
                                                            .outcome = IDENTITY_AUDIT_REFUSED,
                                                            .agent = slice_of(agent, (size_t)n) });
    }
}

struct flushing {
    struct chain_fixture *f;
    enum status (*flush)(struct task *task, struct identity_audit *audit);
    enum status st;
};

static void flush_task(struct task *task, void *arg)
{
    struct flushing *flushing = arg;
    flushing->st = flushing->flush(task, flushing->f->audit);
}

static enum status flush_with(struct chain_fixture *f,
                              enum status (*flush)(struct task *task, struct identity_audit *audit))
{
    struct flushing flushing = { .f = f, .flush = flush };
    database_run(&f->d, flush_task, &flushing);
    return flushing.st;
}

static void test_notes_are_written_in_order(void **state)
{
    struct chain_fixture *f = *state;
    assert_status(flush_with(f, identity_audit_flush), STATUS_OK);
    chain_assert_whole(f, 0); /* nothing was noted: nothing is written */
    note(f, IDENTITY_AUDIT_FLUSH_MAX + 10, IDENTITY_AUDIT_LOGIN_FAILED);
    assert_int_equal(identity_audit_noted(f->audit), IDENTITY_AUDIT_FLUSH_MAX + 10);
    assert_status(flush_with(f, identity_audit_flush), STATUS_OK);
    assert_int_equal(identity_audit_noted(f->audit), 10);
    chain_assert_whole(f, 1 + IDENTITY_AUDIT_FLUSH_MAX);
    assert_status(flush_with(f, identity_audit_flush), STATUS_OK);
    chain_assert_whole(f, 1 + IDENTITY_AUDIT_FLUSH_MAX + 10);
    assert_int_equal(database_number(&f->d, "SELECT COUNT(*) FROM purlin_audit"
                                            " WHERE act = 'login.failed' AND outcome = 'refused'"
                                            "   AND agent = 'agent ' || (seq - 2)"),
                     IDENTITY_AUDIT_FLUSH_MAX + 10);
}

static void test_a_flood_is_bounded_and_counted(void **state)
{
    struct chain_fixture *f = *state;
    note(f, IDENTITY_AUDIT_NOTES_MAX, IDENTITY_AUDIT_LOGIN_FAILED);
    note(f, 70, IDENTITY_AUDIT_LOGIN_FAILED);
    note(f, 7, IDENTITY_AUDIT_KEY_REFUSED);
    assert_int_equal(identity_audit_noted(f->audit), IDENTITY_AUDIT_NOTES_MAX);
    assert_status(flush_with(f, identity_audit_flush_all), STATUS_OK);
    assert_int_equal(identity_audit_noted(f->audit), 0);
    chain_assert_whole(f, 1 + IDENTITY_AUDIT_NOTES_MAX + 1);
    assert_int_equal(
        database_number(&f->d, "SELECT details = '{\"count\":77,\"acts\":{\"login.failed\":70,"
                               "\"key.refused\":7}}'"
                               "  FROM purlin_audit WHERE act = 'audit.dropped'"),
        1);
    /* It was said once. */
    assert_status(flush_with(f, identity_audit_flush_all), STATUS_OK);
    chain_assert_whole(f, 1 + IDENTITY_AUDIT_NOTES_MAX + 1);
}

static void test_notes_survive_a_database_that_fails(void **state)
{
    struct chain_fixture *f = *state;
    note(f, IDENTITY_AUDIT_NOTES_MAX + 1, IDENTITY_AUDIT_LOGIN_FAILED);
    database_sqlite(&f->d, "ALTER TABLE purlin_audit RENAME TO elsewhere");
    assert_status(flush_with(f, identity_audit_flush_all), STATUS_INTERNAL);
    assert_int_equal(identity_audit_noted(f->audit), IDENTITY_AUDIT_NOTES_MAX);
    note(f, 1, IDENTITY_AUDIT_LOGIN_FAILED);
    database_sqlite(&f->d, "ALTER TABLE elsewhere RENAME TO purlin_audit");
    assert_status(flush_with(f, identity_audit_flush_all), STATUS_OK);
    chain_assert_whole(f, 1 + IDENTITY_AUDIT_NOTES_MAX + 1);
    assert_int_equal(database_number(&f->d, "SELECT COUNT(*) FROM purlin_audit"
                                            " WHERE act = 'login.failed'"
                                            "   AND (agent = 'agent ' || (seq - 2) OR seq > 65)"),
                     IDENTITY_AUDIT_NOTES_MAX);
    assert_int_equal(database_number(&f->d, "SELECT details LIKE '{\"count\":2,%'"
                                            "  FROM purlin_audit WHERE act = 'audit.dropped'"),
                     1);
}

static void test_notes_that_were_not_written_are_freed(void **state)
{
    struct chain_fixture *f = *state;
    note(f, 20, IDENTITY_AUDIT_LOGIN_FAILED); /* the teardown closes the log; no leak */
    assert_int_equal(identity_audit_noted(f->audit), 20);
}

/* -- retention
 * ------------------------------------------------------------------------------------------------
 */

#define DAY_ONE (1700000000 * CLOCK_SECOND)

static void reopen_keeping(struct chain_fixture *f, int64_t keep_us)
{
    chain_close(f);
    assert_status(
        chain_open_as(f, (struct identity_audit_options){ .secret = SECRET, .keep_us = keep_us }),
        STATUS_OK);
}

static void put_at(struct chain_fixture *f, unsigned len, int64_t at_us)
{
    struct chain_writes w = { .f = f,
                              .len = len,
                              .event = { .act = IDENTITY_AUDIT_LOGOUT, .at_us = at_us } };
    database_run(&f->d, chain_write_task, &w);
}

struct upkeep {
    struct chain_fixture *f;
    int64_t now_us;
};

static void upkeep_task(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    assert_status(identity_audit_upkeep(task, u->f->audit, u->now_us), STATUS_OK);
}

static void upkeep(struct chain_fixture *f, int64_t now_us)
{
    struct upkeep u = { .f = f, .now_us = now_us };
    database_run(&f->d, upkeep_task, &u);
}

/* The first row says that the log began, now. It is of the clock's time: made old for this. */
static void fake_clock_setup(void)
{
    clock_fake_set(DAY_ONE, 1);
}

static void test_old_rows_go_and_the_rest_is_verified(void **state)
{
    struct chain_fixture *f = *state;
    fake_clock_setup();
    reopen_keeping(f, 30 * CLOCK_DAY);
    put_at(f, 1200, DAY_ONE); /* and the row that the log began */
    put_at(f, 5, DAY_ONE + 10 * CLOCK_DAY);
    struct identity_audit_head before = chain_verify(f, NULL).last;

    upkeep(f, DAY_ONE + 31 * CLOCK_DAY); /* not a day over yet */
    chain_assert_whole(f, 1206);
    clock_fake_set(DAY_ONE + 32 * CLOCK_DAY, 2);
    upkeep(f, DAY_ONE + 32 * CLOCK_DAY);
    struct identity_audit_report report = chain_verify(f, NULL);
    assert_int_equal(report.fault, IDENTITY_AUDIT_WHOLE);
    assert_int_equal(report.pruned_seq, 1201);
    assert_int_equal(report.first_seq, 1202);
    assert_int_equal(report.rows, 5 + 3); /* 500, 500 and 201 rows went, each with a row */
    /* A head that was noted before is in the rest. */
    const struct identity_audit_verify_options noted = { .witness = &before };
    assert_int_equal(chain_verify(f, &noted).fault, IDENTITY_AUDIT_WHOLE);

    upkeep(f, DAY_ONE + 32 * CLOCK_DAY);
    assert_int_equal(chain_verify(f, NULL).rows, 5 + 3);
    clock_fake_set(0, 0);
}

static void test_the_newest_row_stays(void **state)
{
    struct chain_fixture *f = *state;
    fake_clock_setup();
    reopen_keeping(f, CLOCK_DAY);
    put_at(f, 3, DAY_ONE);
    upkeep(f, DAY_ONE + 10 * CLOCK_DAY);
    /* The clock stands: the row that says so is as old. */
    chain_assert_whole(f, 2);
    clock_fake_set(0, 0);
}

static void test_without_a_limit_nothing_goes(void **state)
{
    struct chain_fixture *f = *state;
    put_at(f, 3, 1);
    upkeep(f, DAY_ONE + 10000 * CLOCK_DAY);
    chain_assert_whole(f, 4);
}

/* What was pruned is named by a record: it cannot be made to cover more. */
static void test_pruning_cannot_be_made_up(void **state)
{
    struct chain_fixture *f = *state;
    fake_clock_setup();
    reopen_keeping(f, CLOCK_DAY);
    put_at(f, 3, DAY_ONE);
    put_at(f, 3, DAY_ONE + 5 * CLOCK_DAY);
    clock_fake_set(DAY_ONE + 5 * CLOCK_DAY, 1);
    upkeep(f, DAY_ONE + 5 * CLOCK_DAY);
    chain_assert_whole(f, 4);
    database_sqlite(&f->d, NO_TRIGGERS "DELETE FROM purlin_audit WHERE seq = 5");
    chain_assert_fault(f, IDENTITY_AUDIT_FAULT_GAP, 6);
    database_sqlite(&f->d, "UPDATE purlin_audit_anchors SET seq = 5 WHERE name = 'tail'");
    chain_assert_fault(f, IDENTITY_AUDIT_FAULT_TAIL, 5);
    clock_fake_set(0, 0);
}

static void told(struct chain_fixture *f, int64_t mono_us, int64_t want_seq)
{
    clock_fake_set(DAY_ONE, mono_us);
    upkeep(f, DAY_ONE);
    assert_int_equal(f->audit->told_seq, want_seq);
    clock_fake_set(0, 0);
}

static void test_the_head_is_told_once_an_hour(void **state)
{
    struct chain_fixture *f = *state;
    told(f, CLOCK_SECOND, 0); /* there is none yet */
    chain_write(f, 2);
    told(f, CLOCK_MINUTE, 3);
    chain_write(f, 1);
    told(f, CLOCK_HOUR, 3);
    told(f, CLOCK_HOUR + CLOCK_MINUTE, 4);
    assert_int_equal(chain_verify(f, NULL).last.seq, 4);
}

/* -- secrets that change
 * --------------------------------------------------------------------------------------- */

static void test_the_chain_survives_every_secret(void **state)
{
    struct chain_fixture *f = *state;
    chain_write(f, 2);
    chain_close(f);
    chain_open(f, SECRET_2, SECRET);
    chain_write(f, 2);
    chain_assert_whole(f, 5);
    chain_close(f);
    chain_open(f, SECRET_3, SECRET_2);
    chain_write(f, 2);
    chain_close(f);
    chain_open(f, SECRET_3, SLICE_NULL);
    chain_assert_whole(f, 7);
    assert_int_equal(database_number(&f->d, "SELECT COUNT(DISTINCT generation) FROM purlin_audit"),
                     1);
    chain_close(f);
    /* The first one opens nothing any more. */
    assert_status(chain_open_as(f, (struct identity_audit_options){ .secret = SECRET }),
                  STATUS_UNAUTHENTICATED);
    assert_true(f->d.problem.detail.len > 0);
    chain_open(f, SECRET_3, SLICE_NULL);
}

static void test_an_hour_after_a_change_a_new_key_begins(void **state)
{
    struct chain_fixture *f = *state;
    int64_t now_us = clock_wall_us();
    chain_write(f, 2);
    upkeep(f, now_us + 10 * CLOCK_DAY); /* nothing has changed */
    chain_close(f);
    chain_open(f, SECRET_2, SECRET);
    /* Another process, that was started with the secret of before: the keys it has are good. */
    struct chain_fixture old = { .d = f->d };
    assert_status(chain_open_as(&old, (struct identity_audit_options){ .secret = SECRET_2 }),
                  STATUS_OK);
    upkeep(f, now_us + CLOCK_MINUTE);
    assert_int_equal(database_number(&f->d, "SELECT MAX(generation) FROM purlin_audit_keys"), 1);
    upkeep(f, clock_wall_us() + CLOCK_HOUR + CLOCK_SECOND);
    assert_int_equal(database_number(&f->d, "SELECT MAX(generation) FROM purlin_audit_keys"), 2);
    upkeep(f, clock_wall_us() + 10 * CLOCK_DAY);
    chain_write(f, 2);
    /* It learns of the key by the head that is made with it. */
    chain_write(&old, 1);
    chain_assert_whole(f, 7);
    chain_assert_whole(&old, 7);
    assert_int_equal(database_number(&f->d, "SELECT generation FROM purlin_audit"
                                            " WHERE act = 'audit.key_began'"),
                     2);
    assert_int_equal(database_number(&f->d, "SELECT generation FROM purlin_audit"
                                            " ORDER BY seq DESC LIMIT 1"),
                     2);
    chain_close(&old);
}

static void test_a_lost_secret_leaves_rows_that_nobody_can_verify(void **state)
{
    struct chain_fixture *f = *state;
    chain_write(f, 2);
    chain_close(f);
    assert_status(chain_open_as(f, (struct identity_audit_options){ .secret = SECRET_2,
                                                                    .replace_lost = true }),
                  STATUS_OK);
    chain_write(f, 2);
    chain_assert_fault(f, IDENTITY_AUDIT_FAULT_KEY, 1);
    const struct identity_audit_verify_options from = { .from_seq = 4 };
    assert_int_equal(chain_verify(f, &from).fault, IDENTITY_AUDIT_WHOLE);
    assert_int_equal(chain_verify(f, &from).rows, 3);
    /* Should the secret be found again, they can. */
    chain_close(f);
    chain_open(f, SECRET_2, SECRET);
    chain_assert_fault(f, IDENTITY_AUDIT_FAULT_RESTARTED, 4);
}

static void test_opening_says_what_is_wrong(void **state)
{
    struct chain_fixture *f = *state;
    chain_close(f);
    assert_status(chain_open_as(f, (struct identity_audit_options){ .secret = SLICE_NULL }),
                  STATUS_INVALID);
    assert_status(
        chain_open_as(f, (struct identity_audit_options){ .secret = SECRET, .keep_us = -1 }),
        STATUS_INVALID);
    database_sqlite(&f->d, NO_TRIGGERS "DROP TABLE purlin_audit");
    assert_status(
        chain_open_as(f, (struct identity_audit_options){ .secret = SECRET, .read_only = true }),
        STATUS_NOT_FOUND);
    chain_open(f, SECRET, SLICE_NULL);
    chain_write(f, 1);
}

/* -- many at once
 * ---------------------------------------------------------------------------------------------- */

enum { WRITERS = 3, ROWS_EACH = 40 };

struct writer {
    struct chain_fixture *f;
    struct loop *loop;
    pthread_t thread;
    unsigned left;
};

static void writer_task(struct task *task, void *arg)
{
    struct writer *w = arg;
    const struct identity_audit_event event = { .act = IDENTITY_AUDIT_LOGOUT };
    for (unsigned i = 0; i < ROWS_EACH; i++)
        assert_status(identity_audit_write(task, w->f->audit, &event), STATUS_OK);
    if (--w->left == 0)
        loop_stop(w->loop);
}

struct starting {
    struct loop_post post;
    struct writer *w;
};

static void on_start(struct loop_post *post)
{
    struct writer *w = CONTAINER_OF(post, struct starting, post)->w;
    w->left = 2;
    for (unsigned i = 0; i < 2; i++)
        assert_status(task_spawn(w->loop, writer_task, w, NULL), STATUS_OK);
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    struct starting starting = { .post.fn = on_start, .w = w };
    loop_post(w->loop, &starting.post);
    loop_run(w->loop);
    return NULL;
}

static void test_loops_write_one_chain(void **state)
{
    struct chain_fixture *f = *state;
    struct writer writers[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){ .f = f };
        assert_status(loop_new(&(struct loop_options){ .index = i + 1 }, &writers[i].loop),
                      STATUS_OK);
        assert_status(store_attach(f->d.store, writers[i].loop), STATUS_OK);
        assert_int_equal(pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
        store_detach(f->d.store, writers[i].loop);
        loop_free(writers[i].loop);
    }
    chain_assert_whole(f, 1 + WRITERS * 2 * ROWS_EACH);
}

/* A process of its own: writes for ever, and says each row that is on disk. */
static void write_until_killed(struct task *task, void *arg)
{
    struct chain_fixture *f = arg;
    const struct identity_audit_event event = { .act = IDENTITY_AUDIT_LOGOUT };
    while (identity_audit_write(task, f->audit, &event) == STATUS_OK)
        if (write(STDOUT_FILENO, ".", 1) != 1)
            return;
}

static pid_t start_process(const struct database *parent, int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        (void)close(fds[1]);
        *ret_fd = fds[0];
        return pid;
    }
    (void)dup2(fds[1], STDOUT_FILENO);
    struct chain_fixture f = { 0 };
    memcpy(f.d.url, parent->url, sizeof(f.d.url));
    f.d.arena = arena_new(NULL, 0);
    if (offload_new(2, 16, &f.d.offload) != STATUS_OK)
        _exit(1);
    database_connect(&f.d);
    chain_open(&f, SECRET, SLICE_NULL);
    database_run(&f.d, write_until_killed, &f);
    _exit(1);
}

/* Two processes write the same log, and both are killed in the middle of it. */
static void test_killed_processes_leave_a_whole_chain(void **state)
{
    (void)state;
#ifdef UNDER_TSAN
    skip(); /* which does not follow a fork */
#endif
    struct chain_fixture f = { 0 };
    int fds[2];
    pid_t pids[2];
    unsigned said = 0;
    database_init(&f.d);
    chain_open(&f, SECRET, SLICE_NULL);
    chain_close(&f);
    database_disconnect(&f.d); /* no threads are left for the children to miss */
    offload_free(f.d.offload);
    for (unsigned i = 0; i < 2; i++)
        pids[i] = start_process(&f.d, &fds[i]);
    char byte;
    for (unsigned round = 0; round < 25; round++)
        for (unsigned i = 0; i < 2; i++)
            if (read(fds[i], &byte, 1) == 1)
                said++;
    assert_int_equal(said, 50);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(kill(pids[i], SIGKILL), 0);
    for (unsigned i = 0; i < 2; i++) {
        int how;
        assert_int_equal(waitpid(pids[i], &how, 0), pids[i]);
        assert_true(WIFSIGNALED(how));
        while (read(fds[i], &byte, 1) == 1)
            said++;
        (void)close(fds[i]);
    }
    assert_status(offload_new(2, 16, &f.d.offload), STATUS_OK);
    database_connect(&f.d);
    chain_open(&f, SECRET, SLICE_NULL);
    struct identity_audit_report report = chain_verify(&f, NULL);
    assert_string_equal(identity_audit_fault_name(report.fault), "none");
    assert_true(report.rows >= 1 + (int64_t)said); /* none that was said to be on disk is missing */
    chain_write(&f, 1);
    chain_assert_whole(&f, report.rows + 1);
    chain_close(&f);
    database_fini(&f.d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, chain_setup, chain_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_processes_leave_a_whole_chain),
        TEST(test_a_row_is_there_only_with_its_act),
        TEST(test_the_database_refuses_changes),
        TEST(test_texts_are_bounded_and_printable),
        cmocka_unit_test(test_names_are_found_again),
        TEST(test_rows_are_counted),
        TEST(test_notes_are_written_in_order),
        TEST(test_a_flood_is_bounded_and_counted),
        TEST(test_notes_survive_a_database_that_fails),
        TEST(test_notes_that_were_not_written_are_freed),
        TEST(test_old_rows_go_and_the_rest_is_verified),
        TEST(test_the_newest_row_stays),
        TEST(test_without_a_limit_nothing_goes),
        TEST(test_pruning_cannot_be_made_up),
        TEST(test_the_head_is_told_once_an_hour),
        TEST(test_the_chain_survives_every_secret),
        TEST(test_an_hour_after_a_change_a_new_key_begins),
        TEST(test_a_lost_secret_leaves_rows_that_nobody_can_verify),
        TEST(test_opening_says_what_is_wrong),
        TEST(test_loops_write_one_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
