/*
 * tests/http/test_step.c - Steps of rooms above: they pass, answer or wait; a wait gets a task,
 * ends with its peer and with its deadline, and no step is asked twice that had its say.
 */
#include "wire.h"

/* What the steps did; atomic. Two of them stand in the chain, one after the other. */
struct seen {
    int first, second, waited, cancelled, timed_out, with_task;
};

struct fixture {
    struct wire wire;
    struct seen seen;
};

static enum http_verdict step_first(struct task *task, struct http_request *req, void *arg)
{
    struct seen *seen = arg;
    (void)task;
    (void)req;
    wire_count(&seen->first);
    return HTTP_STEP_NEXT;
}

static enum http_verdict fail_with(struct task *task, struct http_request *req, enum status st)
{
    http_send_problem(req, st, task_problem(task));
    return HTTP_STEP_ANSWERED;
}

/* X-Step: a number of milliseconds to wait, "refuse", "refuse-later", "forever" or "admin". */
static enum http_verdict step_second(struct task *task, struct http_request *req, void *arg)
{
    static const struct slice roles[] = { SLICE_INIT("admin") };
    struct seen *seen = arg;
    struct slice what = net_header_find(http_net(req), SLICE("x-step"));
    wire_count(&seen->second);
    if (task)
        wire_count(&seen->with_task);
    if (what.len == 0)
        return HTTP_STEP_NEXT;
    if (slice_eq(what, SLICE("refuse"))) {
        http_send(req, 403, "text/plain", SLICE("no"));
        return HTTP_STEP_ANSWERED;
    }
    if (!task)
        return HTTP_STEP_WAIT;
    wire_count(&seen->waited);
    int64_t ms = 0;
    enum status st = STATUS_OK;
    if (slice_to_i64(what, &ms))
        st = task_sleep(task, ms * CLOCK_MS);
    while (st == STATUS_OK && slice_eq(what, SLICE("forever")))
        st = task_wait(task);
    if (st == STATUS_CANCELLED)
        wire_count(&seen->cancelled);
    if (st == STATUS_TIMEOUT)
        wire_count(&seen->timed_out);
    if (st != STATUS_OK)
        return fail_with(task, req, st);
    if (slice_eq(what, SLICE("refuse-later")))
        return fail_with(task, req,
                         problem_set(task, STATUS_DENIED, "test/denied", "Later, but no."));
    if (slice_eq(what, SLICE("admin")))
        http_caller_set(req, &(struct task_caller){ .roles = roles, .roles_len = 1 });
    return HTTP_STEP_NEXT;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    wire_make(&f->wire, (struct http_options){ .access_log = true });
    assert_int_equal(http_step_add(f->wire.app, "first", step_first, &f->seen), STATUS_OK);
    assert_int_equal(http_step_add(f->wire.app, "second", step_second, &f->seen), STATUS_OK);
    wire_serve(&f->wire, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    wire_close(&f->wire);
    free(f);
    return 0;
}

#define ASK(path, step) "GET " path " HTTP/1.1\r\nHost: h\r\nX-Step: " step "\r\n\r\n"

static void test_verdicts(void **state)
{
    static const struct {
        const char *name, *say;
        int status;
        const char *body;
        int waited; /* tasks that the step asked for */
    } cases[] = {
        { "inline passes", GET("/hello"), 200, "hello", 0 },
        { "task passes", GET("/sleep/1"), 200, "1", 0 },
        { "inline refused", ASK("/hello", "refuse"), 403, "no", 0 },
        { "task refused", ASK("/sleep/1", "refuse"), 403, "no", 0 },
        { "inline after a wait", ASK("/hello", "5"), 200, "hello", 1 },
        { "task after a wait", ASK("/sleep/3", "5"), 200, "3", 1 },
        { "refused after a wait", ASK("/hello", "refuse-later"), 403, "Later, but no.", 1 },
        { "no route after a wait", ASK("/nowhere", "5"), 404, "Nothing is at this path.", 1 },
        { "no method after a wait", "DELETE /hello HTTP/1.1\r\nHost: h\r\nX-Step: 5\r\n\r\n", 405,
          "Allow names", 1 },
        { "options after a wait", "OPTIONS /hello HTTP/1.1\r\nHost: h\r\nX-Step: 5\r\n\r\n", 204,
          "", 1 },
        { "body after a wait",
          "POST /echo HTTP/1.1\r\nHost: h\r\nX-Step: 5\r\nContent-Length: 2\r\n\r\nab", 200, "ab",
          1 },
        { "later steps judge what it set", ASK("/admin", "admin"), 200, "hello", 1 },
        { "later steps judge what it did not set", ASK("/admin", "1"), 401, "administrator", 1 },
    };
    struct fixture *f = *state;
    struct client *c = client_open(f->wire.port);
    struct answer a = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int first = wire_seen(&f->seen.first), second = wire_seen(&f->seen.second);
        int waited = wire_seen(&f->seen.waited), with_task = wire_seen(&f->seen.with_task);
        assert_true(client_say(c, cases[i].say));
        assert_true(client_answer(c, false, &a));
        if (a.status != cases[i].status || !strstr(a.body, cases[i].body))
            fail_msg("%s: %d %s", cases[i].name, a.status, a.body);
        assert_int_equal(wire_seen(&f->seen.first) - first, 1);
        assert_int_equal(wire_seen(&f->seen.second) - second, 1 + cases[i].waited);
        assert_int_equal(wire_seen(&f->seen.waited) - waited, cases[i].waited);
        assert_int_equal(wire_seen(&f->seen.with_task) - with_task, cases[i].waited);
    }
    answer_free(&a);
    client_close(c);
}

/* What waits in a step does not hold up others, and pipelined answers keep their order. */
static void test_waiting_is_nobody_elses(void **state)
{
    struct fixture *f = *state;
    struct client *slow = client_open(f->wire.port), *fast = client_open(f->wire.port);
    struct answer a = { 0 };
    assert_true(client_say(slow, ASK("/hello", "forever")));
    wire_wait(&f->seen.waited, 1);
    assert_true(client_say(fast, ASK("/sleep/1", "20") GET("/hello")));
    assert_true(client_answer(fast, false, &a));
    assert_string_equal(a.body, "1");
    assert_true(client_answer(fast, false, &a));
    assert_string_equal(a.body, "hello");
    answer_free(&a);
    client_close(fast);
    client_reset(slow);
    wire_wait(&f->seen.cancelled, 1);
}

static void test_gone_peer_cancels_the_wait(void **state)
{
    struct fixture *f = *state;
    struct client *c = client_open(f->wire.port);
    assert_true(client_say(c, ASK("/hello", "forever")));
    wire_wait(&f->seen.waited, 1);
    client_reset(c);
    wire_wait(&f->seen.cancelled, 1);
}

static void test_wait_has_the_routes_deadline(void **state)
{
    struct fixture *f = *state;
    struct client *c = client_open(f->wire.port);
    struct answer a = { 0 };
    assert_true(client_say(c, ASK("/park-briefly", "forever")));
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.status, 503);
    assert_int_equal(wire_seen(&f->seen.timed_out), 1);
    answer_free(&a);
    client_close(c);
}

static void test_refused_requests_pass_by(void **state)
{
    struct fixture *f = *state;
    struct client *c = client_open(f->wire.port);
    struct answer a = { 0 };
    assert_true(client_say(c, "GET /hello HTTP/1.1\r\n\r\n")); /* no Host */
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.status, 400);
    assert_int_equal(wire_seen(&f->seen.first), 0);
    answer_free(&a);
    client_close(c);
}

static void test_steps_are_bounded(void **state)
{
    struct http_app *app;
    (void)state;
    assert_int_equal(http_app_new(&(struct http_options){ .access_log = false }, &app), STATUS_OK);
    for (unsigned i = 0; i < HTTP_STEPS_MAX; i++)
        assert_int_equal(http_step_add(app, "one", step_first, NULL), STATUS_OK);
    assert_int_equal(http_step_add(app, "too many", step_first, NULL), STATUS_EXHAUSTED);
    http_app_free(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_verdicts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_is_nobody_elses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_peer_cancels_the_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wait_has_the_routes_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_requests_pass_by, setup, teardown),
        cmocka_unit_test(test_steps_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
