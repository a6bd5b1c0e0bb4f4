/*
 * tests/identity/test_mail_worker.c - The worker, with a sender that does what a script says: what
 * is sent, tried again, given up; how many at once; how it stops.
 */
#include "mail_fixture.h"

#include "base/buf.h"
#include "identity/mail_rows.h"

#define CALLS_MAX 32u

/* What the sender does, call by call; the last one again and again. */
static struct {
    struct fixture *f;
    const enum identity__mail_verdict *verdicts;
    unsigned verdicts_len;
    unsigned stop_after; /* calls; 0: never */
    bool waits_for_cut;  /* each call lasts until it is cut off */
    bool yields;         /* each call lets others go on, a few times */
    unsigned calls, inside, inside_max;
    struct uuid ids[CALLS_MAX];
    bool ended;
} script;

static void on_ended(void *arg)
{
    (void)arg;
    assert_false(script.ended);
    script.ended = true;
}

static enum status send_script(struct task *task, const struct identity_mail *mail,
                               const struct identity__mail_parcel *parcel,
                               struct identity__mail_outcome *ret_outcome)
{
    unsigned call = script.calls++;
    (void)mail;
    assert_true(call < CALLS_MAX);
    script.ids[call] = parcel->id;
    assert_slice(parcel->to, SLICE("bob@example.net"));
    assert_true(slice_starts(parcel->mime, SLICE("Date: ")));
    script.inside++;
    script.inside_max = MAX(script.inside_max, script.inside);
    if (script.stop_after && script.calls == script.stop_after)
        identity_mail_stop(script.f->mail,
                           clock_mono_us() + (script.waits_for_cut ? 0 : 60 * CLOCK_SECOND),
                           on_ended, NULL);
    for (unsigned i = 0; script.yields && i < 20; i++)
        assert_status(task_yield(task), STATUS_OK);
    while (script.waits_for_cut && !__atomic_load_n(parcel->cut, __ATOMIC_RELAXED))
        assert_status(task_yield(task), STATUS_OK);
    script.inside--;
    if (script.waits_for_cut)
        return STATUS_CANCELLED;
    *ret_outcome = (struct identity__mail_outcome){
        .verdict = script.verdicts[MIN(call, script.verdicts_len - 1)], .code = 250, .reason = "x"
    };
    return STATUS_OK;
}

static const struct identity__mail_sender scripted = { .name = "script", .send = send_script };

static void begin(struct fixture *f, const enum identity__mail_verdict *verdicts, unsigned len)
{
    memset(&script, 0, sizeof(script));
    script.f = f;
    script.verdicts = verdicts;
    script.verdicts_len = len;
    f->mail->sender = &scripted;
}

static void put_some(struct fixture *f, unsigned n)
{
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    for (unsigned i = 0; i < n; i++)
        assert_status(put_one(f, f->mail, &letter), STATUS_OK);
}

/* The loop of the tests ends when no task is left: the worker's begins in its first turn. */
static void keeper_task(struct task *task, void *arg)
{
    (void)arg;
    while (!script.ended)
        assert_status(task_sleep(task, CLOCK_MS), STATUS_OK);
}

/* Until the script or a watcher has stopped it. */
static void run_worker(struct fixture *f)
{
    spawn(f->loop, keeper_task, NULL);
    assert_status(identity_mail_start(f->mail, f->loop), STATUS_OK);
    run_to_end(f->loop);
    assert_true(script.ended);
    assert_int_equal(script.inside, 0);
}

static enum status count_row(void *arg, struct store_rows *rows)
{
    (void)rows;
    ++*(unsigned *)arg;
    return STATUS_OK;
}

static unsigned rows_left(struct fixture *f)
{
    unsigned n = 0;
    struct slice sql = SLICE("SELECT id FROM purlin_mail LIMIT 100");
    struct problem problem = { 0 };
    assert_status(store_read_blocking(f->store, sql, NULL, 0, f->arena, &problem, count_row, &n),
                  STATUS_OK);
    return n;
}

/* Stop when so many have come to an end, of whatever kind. */
struct watch {
    struct fixture *f;
    uint64_t ended;
};

static void watch_task(struct task *task, void *arg)
{
    const struct watch *w = arg;
    struct identity_mail_stats stats;
    do {
        assert_status(task_sleep(task, CLOCK_MS), STATUS_OK);
        identity_mail_stats_read(w->f->mail, &stats);
    } while (stats.sent + stats.refused + stats.expired < w->ended);
    identity_mail_stop(w->f->mail, clock_mono_us() + 60 * CLOCK_SECOND, on_ended, NULL);
}

static struct identity_mail_stats stats_of(const struct fixture *f)
{
    struct identity_mail_stats stats;
    identity_mail_stats_read(f->mail, &stats);
    return stats;
}

static void test_sends_once(void **state)
{
    static const enum identity__mail_verdict verdicts[] = { IDENTITY__MAIL_SENT };
    struct fixture *f = *state;
    begin(f, verdicts, 1);
    identity_mail_wake(f->mail); /* nobody is there yet */
    put_some(f, 3);
    script.stop_after = 3;
    run_worker(f);
    assert_int_equal(script.calls, 3);
    assert_int_equal(stats_of(f).sent, 3);
    assert_int_equal(rows_left(f), 0);
    identity_mail_wake(f->mail); /* nobody is there any more */
    run_to_end(f->loop);
}

static void test_tries_again_with_the_same_id(void **state)
{
    static const enum identity__mail_verdict verdicts[] = { IDENTITY__MAIL_LATER,
                                                            IDENTITY__MAIL_LATER,
                                                            IDENTITY__MAIL_SENT };
    struct fixture *f = *state;
    begin(f, verdicts, 3);
    put_some(f, 1);
    script.stop_after = 3;
    run_worker(f);
    assert_memory_equal(&script.ids[0], &script.ids[2], sizeof(script.ids[0]));
    assert_int_equal(stats_of(f).retried, 2);
    assert_int_equal(stats_of(f).sent, 1);
    assert_int_equal(rows_left(f), 0);
}

static void test_a_refusal_ends_it(void **state)
{
    static const enum identity__mail_verdict verdicts[] = { IDENTITY__MAIL_REFUSED };
    struct fixture *f = *state;
    struct buf text;
    begin(f, verdicts, 1);
    put_some(f, 1);
    script.stop_after = 1;
    run_worker(f);
    assert_int_equal(stats_of(f).refused, 1);
    assert_int_equal(rows_left(f), 0);
    buf_init(&text, f->arena, 0, (size_t)1 << 20);
    metrics_render(f->metrics, true, &text);
    assert_true(slice_find_slice(buf_slice(&text),
                                 SLICE("purlin_mail_total{kind=\"magic_link\",outcome=\"refused\"} "
                                       "1")) != SIZE_MAX);
}

static void test_attempts_end(void **state)
{
    static const enum identity__mail_verdict verdicts[] = { IDENTITY__MAIL_LATER };
    struct fixture *f = *state;
    begin(f, verdicts, 1);
    f->mail->attempts_max = 3;
    put_some(f, 1);
    script.stop_after = 3;
    run_worker(f);
    assert_int_equal(script.calls, 3);
    assert_int_equal(stats_of(f).retried, 2);
    assert_int_equal(stats_of(f).expired, 1);
    assert_int_equal(rows_left(f), 0);
}

/* A link that is void is not worth a mail, nor is an attempt after its end. */
static void test_time_ends(void **state)
{
    static const enum identity__mail_verdict verdicts[] = { IDENTITY__MAIL_LATER };
    struct fixture *f = *state;
    struct watch watch = { .f = f, .ended = 2 };
    begin(f, verdicts, 1);
    struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    letter.expires_us = clock_wall_us() - 1;
    assert_status(put_one(f, f->mail, &letter), STATUS_OK);
    f->mail->retry_us = 4 * CLOCK_HOUR; /* an hour at most, 45 minutes at least */
    letter.expires_us = clock_wall_us() + 30 * CLOCK_MINUTE;
    assert_status(put_one(f, f->mail, &letter), STATUS_OK);
    spawn(f->loop, watch_task, &watch);
    run_worker(f);
    assert_int_equal(script.calls, 1);
    assert_int_equal(stats_of(f).expired, 2);
    assert_int_equal(stats_of(f).retried, 0);
    assert_int_equal(rows_left(f), 0);
}

static void test_another_secret(void **state)
{
    static const enum identity__mail_verdict verdicts[] = { IDENTITY__MAIL_SENT };
    struct fixture *f = *state;
    struct identity_mail *before = f->mail;
    struct identity_mail_options options = options_of(f);
    begin(f, verdicts, 1);
    put_some(f, 2);
    /* Without the secret of before it waits, and is in the log; with it, it goes. */
    options.metrics = NULL;
    options.secret = OTHER_SECRET;
    options.attempts_max = 1;
    assert_status(open_as(f, &options, &f->mail), STATUS_OK);
    struct watch watch = { .f = f, .ended = 2 };
    begin(f, verdicts, 1);
    spawn(f->loop, watch_task, &watch);
    run_worker(f);
    assert_int_equal(script.calls, 0);
    assert_int_equal(stats_of(f).expired, 2);
    identity_mail_close(f->mail);

    f->mail = before;
    put_some(f, 2);
    options.secret_previous = SECRET;
    assert_status(open_as(f, &options, &f->mail), STATUS_OK);
    begin(f, verdicts, 1);
    script.stop_after = 2;
    run_worker(f);
    assert_int_equal(stats_of(f).sent, 2);
    identity_mail_close(f->mail);
    f->mail = before;
}

static void test_no_more_at_once(void **state)
{
    static const enum identity__mail_verdict verdicts[] = { IDENTITY__MAIL_SENT };
    struct fixture *f = *state;
    begin(f, verdicts, 1);
    script.yields = true;
    f->mail->concurrency = 3;
    put_some(f, 10);
    script.stop_after = 10;
    run_worker(f);
    assert_int_equal(script.calls, 10);
    assert_int_equal(script.inside_max, 3);
    assert_int_equal(rows_left(f), 0);
}

static void test_stops_with_what_is_on_its_way(void **state)
{
    static const enum identity__mail_verdict verdicts[] = { IDENTITY__MAIL_SENT };
    struct fixture *f = *state;
    begin(f, verdicts, 1);
    script.yields = true;
    f->mail->concurrency = 1;
    put_some(f, 4);
    script.stop_after = 1;
    run_worker(f);
    assert_int_equal(script.calls, 1);
    assert_int_equal(stats_of(f).sent, 1);
    assert_int_equal(rows_left(f), 3);
}

/* What is cut off is there for whoever comes next. */
static void test_cuts_off_in_the_end(void **state)
{
    static const enum identity__mail_verdict verdicts[] = { IDENTITY__MAIL_SENT };
    struct fixture *f = *state;
    begin(f, verdicts, 1);
    script.waits_for_cut = true;
    put_some(f, 2);
    script.stop_after = 2;
    run_worker(f);
    assert_int_equal(script.calls, 2);
    assert_int_equal(stats_of(f).sent + stats_of(f).retried + stats_of(f).expired, 0);
    assert_int_equal(rows_left(f), 2);
}

static void test_stop_of_one_that_never_ran(void **state)
{
    struct fixture *f = *state;
    memset(&script, 0, sizeof(script));
    identity_mail_stop(f->mail, 0, on_ended, NULL);
    assert_true(script.ended);
}

static void wake_task(struct task *task, void *arg)
{
    struct fixture *f = arg;
    /* The worker has looked, and would wait for an hour; it is asked before. */
    for (unsigned i = 0; i < 50; i++)
        assert_status(task_sleep(task, CLOCK_MS), STATUS_OK);
    struct identity_mail_message message;
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    assert_status(identity_mail_render(f->mail, &letter, f->arena, &f->problem, &message),
                  STATUS_OK);
    struct putting putting = { .f = f, .message = &message };
    put_task(task, &putting);
    assert_status(putting.st, STATUS_OK);
    identity_mail_wake(f->mail);
    identity_mail_wake(f->mail);
}

/* Another process puts it: nobody wakes this one. */
static void quiet_task(struct task *task, void *arg)
{
    struct fixture *f = arg;
    for (unsigned i = 0; i < 50; i++)
        assert_status(task_sleep(task, CLOCK_MS), STATUS_OK);
    struct identity_mail_message message;
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    assert_status(identity_mail_render(f->mail, &letter, f->arena, &f->problem, &message),
                  STATUS_OK);
    struct putting putting = { .f = f, .message = &message };
    put_task(task, &putting);
    assert_status(putting.st, STATUS_OK);
}

static void test_what_another_process_put_is_found(void **state)
{
    static const enum identity__mail_verdict verdicts[] = { IDENTITY__MAIL_SENT };
    struct fixture *f = *state;
    begin(f, verdicts, 1);
    assert_int_equal(f->mail->look_us, CLOCK_SECOND);
    f->mail->retry_us = CLOCK_HOUR;
    f->mail->look_us = 100 * CLOCK_MS;
    script.stop_after = 1;
    spawn(f->loop, quiet_task, f);
    run_worker(f);
    assert_int_equal(stats_of(f).sent, 1);
}

static void test_a_wake_is_not_waited_for(void **state)
{
    static const enum identity__mail_verdict verdicts[] = { IDENTITY__MAIL_SENT };
    struct fixture *f = *state;
    begin(f, verdicts, 1);
    f->mail->retry_us = f->mail->look_us = CLOCK_HOUR;
    script.stop_after = 1;
    int64_t begun_us = clock_mono_us();
    spawn(f->loop, wake_task, f);
    run_worker(f);
    assert_int_equal(stats_of(f).sent, 1);
    assert_true(clock_mono_us() - begun_us < 5 * CLOCK_SECOND);
}

/* -- the mailbox of development
 * -------------------------------------------------------------------------------- */

static unsigned files_in(const char *folder)
{
    static struct uuid ids[IDENTITY__MAIL_FILES_MAX];
    unsigned len = identity__mail_folder_list(folder, ids);
    for (unsigned i = 1; i < len; i++)
        assert_true(memcmp(&ids[i - 1], &ids[i], sizeof(ids[i])) > 0);
    return len;
}

static void folder_task(struct task *task, void *arg)
{
    struct fixture *f = arg;
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_NEW_DEVICE);
    for (unsigned i = 0; i < IDENTITY__MAIL_FILES_MAX + 5; i++) {
        struct arena_mark mark = arena_mark(task_arena(task));
        assert_status(identity_mail_send(task, f->mail, &letter, NULL), STATUS_OK);
        arena_rewind(task_arena(task), mark);
    }
}

static void test_folder_keeps_the_newest(void **state)
{
    struct fixture *f = *state;
    char path[128];
    const char *folder = f->mail->folder;
    assert_int_equal(files_in(folder), 0);
    spawn(f->loop, folder_task, f);
    run_to_end(f->loop);
    assert_int_equal(files_in(folder), IDENTITY__MAIL_FILES_MAX);
    /* Files that are not ours stay, and are not shown. */
    (void)snprintf(path, sizeof(path), "%s/notes.eml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    spawn(f->loop, folder_task, f);
    run_to_end(f->loop);
    assert_int_equal(files_in(folder), IDENTITY__MAIL_FILES_MAX);
    assert_int_equal(access(path, F_OK), 0);
}

static void unwritable_task(struct task *task, void *arg)
{
    struct fixture *f = arg;
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_NEW_DEVICE);
    assert_status(identity_mail_send(task, f->mail, &letter, NULL), STATUS_UNAVAILABLE);
    assert_string_equal(task_problem(task)->type, "identity/mail-refused");
}

static void test_folder_that_cannot_be_written(void **state)
{
    struct fixture *f = *state;
    f->mail->folder = "/dev/null/mail";
    spawn(f->loop, unwritable_task, f);
    run_to_end(f->loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sends_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tries_again_with_the_same_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_refusal_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_attempts_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_secret, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_more_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stops_with_what_is_on_its_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cuts_off_in_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_of_one_that_never_ran, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_wake_is_not_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_another_process_put_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_keeps_the_newest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_that_cannot_be_written, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
