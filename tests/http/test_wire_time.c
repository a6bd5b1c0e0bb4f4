/*
 * tests/http/test_wire_time.c - Peers that are slow, silent, gone or too many, and a server that is
 * asked to stop.
 */
#include "wire.h"

static const struct net_limits impatient = {
    .head_timeout_us = 150 * CLOCK_MS,
    .body_idle_timeout_us = 150 * CLOCK_MS,
    .idle_timeout_us = 400 * CLOCK_MS,
    .write_timeout_us = 300 * CLOCK_MS,
    .body_grace_us = 300 * CLOCK_MS,
    .body_rate_min = 10000,
};

static void test_slow_head_is_408(void **state)
{
    struct wire *w = *state;
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    assert_true(client_say(c, "GET /hello HTTP/1.1\r\n"));
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.status, 408);
    assert_true(a.closes);
    (void)shutdown(c->fd, SHUT_WR);
    assert_true(client_is_closed(c));
    answer_free(&a);
    client_close(c);
}

/* A byte now and then does not help: the head has one time in all. */
static void test_trickled_head_is_408(void **state)
{
    struct wire *w = *state;
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    static const char head[] = "GET /hello HTTP/1.1\r\nHost: h\r\nA: bcdefghijklmnopqrstuvwxyz";
    struct pollfd poll_fd = { .fd = c->fd, .events = POLLIN };
    size_t sent = 0;
    while (sent < sizeof(head) - 1 && poll(&poll_fd, 1, 20) == 0)
        assert_true(client_send(c, slice_of(head + sent++, 1)));
    assert_true(sent < sizeof(head) - 1);
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.status, 408);
    answer_free(&a);
    client_close(c);
}

static void test_silent_body_is_408(void **state)
{
    struct wire *w = *state;
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    assert_true(client_say(c, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nhello"));
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.status, 408);
    assert_true(a.closes);
    answer_free(&a);
    client_close(c);
}

static void test_trickled_body_is_408(void **state)
{
    struct wire *w = *state;
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    assert_true(client_say(c, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n"));
    struct pollfd poll_fd = { .fd = c->fd, .events = POLLIN };
    int sent = 0;
    while (sent < 200 && poll(&poll_fd, 1, 20) == 0) {
        assert_true(client_say(c, "x"));
        sent++;
    }
    assert_true(sent < 200 && sent > 2);
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.status, 408);
    answer_free(&a);
    client_close(c);
}

static void test_idle_is_closed_silently(void **state)
{
    struct wire *w = *state;
    struct client *fresh = client_open(w->port), *used = client_open(w->port);
    struct answer a = { 0 };
    assert_true(client_say(used, GET("/hello")));
    assert_true(client_answer(used, false, &a));
    assert_true(client_is_closed(fresh));
    assert_true(client_is_closed(used));
    answer_free(&a);
    client_close(fresh);
    client_close(used);
}

static void test_peer_that_takes_nothing_is_dropped(void **state)
{
    struct wire *w = *state;
    struct client *c = calloc(1, sizeof(*c));
    c->fd = wire_connect_small(w->port, 4096);
    /* More than the kernel buffers on both sides. */
    assert_true(client_say(c, GET("/stream/100/1000000")));
    int64_t deadline_us = clock_mono_us() + 10 * CLOCK_SECOND;
    (void)usleep(1000000);
    /* What was on its way can still be read, but then it ends short. */
    struct answer a = { 0 };
    assert_false(client_answer(c, false, &a));
    assert_true(clock_mono_us() < deadline_us);
    assert_true(a.body_len < 100 * (size_t)1000000);
    answer_free(&a);
    client_close(c);
}

/* A byte now and then does not help: there is a least rate, and the peer's own pace counts, not how
 * the kernel's buffer empties. */
static void test_peer_that_takes_little_is_dropped(void **state)
{
    struct wire *w = *state;
    struct client *c = calloc(1, sizeof(*c));
    c->fd = wire_connect_small(w->port, 4096);
    assert_true(client_say(c, GET("/stream/100/1000000")));
    char bytes[128];
    int64_t begun_us = clock_mono_us();
    ssize_t n = 1;
    while (n > 0 && clock_mono_us() - begun_us < 10 * CLOCK_SECOND) {
        n = recv(c->fd, bytes, sizeof(bytes), 0);
        (void)usleep(20000); /* 6.4 KB a second, where 10 are asked for */
    }
    assert_true(n <= 0);
    assert_true(clock_mono_us() - begun_us > impatient.write_timeout_us);
    client_close(c);
}

/* Slow, but fast enough: longer than any timer allows for silence. */
static void test_peer_that_takes_enough_is_served(void **state)
{
    struct wire *w = *state;
    struct client *c = calloc(1, sizeof(*c));
    c->fd = wire_connect_small(w->port, 4096);
    assert_true(client_say(c, GET("/stream/100/1000000")));
    char bytes[2048];
    int64_t begun_us = clock_mono_us();
    ssize_t n = 1;
    while (n > 0 && clock_mono_us() - begun_us < 5 * impatient.write_timeout_us) {
        n = recv(c->fd, bytes, sizeof(bytes), 0);
        (void)usleep(10000);
    }
    assert_true(n > 0);
    client_close(c);
}

static void test_reset_cancels_the_task(void **state)
{
    struct wire *w = *state;
    int before = wire_seen(&w->cancelled), parked = wire_seen(&w->parked);
    struct client *c = client_open(w->port);
    assert_true(client_say(c, GET("/park")));
    wire_wait(&w->parked, parked + 1);
    client_reset(c);
    wire_wait(&w->cancelled, before + 1);
}

static void test_close_cancels_the_task(void **state)
{
    struct wire *w = *state;
    int before = wire_seen(&w->cancelled), parked = wire_seen(&w->parked);
    struct client *c = client_open(w->port);
    assert_true(client_say(c, GET("/park")));
    wire_wait(&w->parked, parked + 1);
    client_close(c);
    wire_wait(&w->cancelled, before + 1);
}

static void test_close_in_a_body_cancels_the_task(void **state)
{
    struct wire *w = *state;
    int before = wire_seen(&w->cancelled);
    struct client *c = client_open(w->port);
    assert_true(client_say(c, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nhello"));
    (void)usleep(20000);
    client_close(c);
    wire_wait(&w->cancelled, before + 1);
}

/* Who only shuts down its sending side waits for the answers. */
static void test_half_closed_peer_gets_its_answers(void **state)
{
    struct wire *w = *state;
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    assert_true(client_say(c, GET("/hello") GET("/sleep/20") GET("/hello")));
    (void)shutdown(c->fd, SHUT_WR);
    assert_true(client_answer(c, false, &a));
    assert_string_equal(a.body, "hello");
    assert_true(client_answer(c, false, &a));
    assert_string_equal(a.body, "20");
    assert_true(client_answer(c, false, &a));
    assert_string_equal(a.body, "hello");
    assert_true(client_is_closed(c));
    answer_free(&a);
    client_close(c);
}

static void test_connections_max(void **state)
{
    (void)state;
    static struct wire w;
    wire_open(&w, &(struct net_limits){ .connections_max = 3 });
    struct client *clients[3];
    struct answer a = { 0 };
    for (size_t i = 0; i < 3; i++) {
        clients[i] = client_open(w.port);
        assert_true(client_say(clients[i], GET("/hello")));
        assert_true(client_answer(clients[i], false, &a));
        assert_int_equal(a.status, 200);
    }
    struct client *over = client_open(w.port);
    assert_true(client_answer(over, false, &a));
    assert_int_equal(a.status, 503);
    assert_non_null(answer_header(&a, "Retry-After"));
    assert_true(a.closes);
    (void)shutdown(over->fd, SHUT_WR);
    assert_true(client_is_closed(over));
    client_close(over);
    /* A place that becomes free is given again. */
    client_close(clients[0]);
    int status = 0;
    for (int tries = 0; tries < 200 && status != 200; tries++) {
        clients[0] = client_open(w.port);
        assert_true(client_say(clients[0], GET("/hello")));
        assert_true(client_answer(clients[0], false, &a));
        status = a.status;
        if (status != 200)
            client_close(clients[0]);
        (void)usleep(5000);
    }
    assert_int_equal(status, 200);
    for (size_t i = 0; i < 3; i++)
        client_close(clients[i]);
    answer_free(&a);
    wire_close(&w);
}

/* A flood of connections that ask for nothing does not keep out who asks. */
static void test_the_silent_make_room(void **state)
{
    (void)state;
    static struct wire w;
    wire_open(&w, &(struct net_limits){ .connections_max = 4 });
    struct client *silent[3], *kept = client_open(w.port);
    struct answer a = { 0 };
    assert_true(client_say(kept, GET("/hello")));
    assert_true(client_answer(kept, false, &a));
    for (size_t i = 0; i < ARRAY_LEN(silent); i++)
        silent[i] = client_open(w.port);
    assert_true(client_say(silent[1], "GET /he"));
    (void)usleep(800000);
    for (size_t i = 0; i < 6; i++) {
        struct client *late = client_open(w.port);
        assert_true(client_say(late, GET("/hello")));
        assert_true(client_answer(late, false, &a));
        assert_int_equal(a.status, i < ARRAY_LEN(silent) ? 200 : 503);
        if (i < ARRAY_LEN(silent)) {
            assert_true(client_is_closed(silent[i]));
            client_close(silent[i]);
            silent[i] = late;
        } else {
            client_close(late);
        }
    }
    assert_true(client_say(kept, GET("/hello")));
    assert_true(client_answer(kept, false, &a));
    assert_int_equal(a.status, 200);
    for (size_t i = 0; i < ARRAY_LEN(silent); i++)
        client_close(silent[i]);
    client_close(kept);
    answer_free(&a);
    wire_close(&w);
}

static void test_drain_finishes_what_is_in_flight(void **state)
{
    (void)state;
    static struct wire w;
    wire_open(&w, NULL);
    struct client *idle = client_open(w.port), *busy = client_open(w.port),
                  *late = client_open(w.port);
    struct answer a = { 0 };
    assert_true(client_say(idle, GET("/hello")));
    assert_true(client_answer(idle, false, &a));
    assert_false(a.closes);
    assert_true(client_say(busy, GET("/sleep/150")));
    wire_wait(&w.parked, 1);
    wire_drain(&w);
    assert_true(client_is_closed(idle));
    /* Connected before, but never served: it gets one answer. */
    assert_true(client_say(late, GET("/hello")));
    assert_true(client_answer(late, false, &a));
    assert_int_equal(a.status, 200);
    assert_true(a.closes);
    assert_true(client_is_closed(late));
    assert_true(client_answer(busy, false, &a));
    assert_int_equal(a.status, 200);
    assert_true(a.closes);
    assert_true(client_is_closed(busy));
    assert_int_equal(wire_connect_small(w.port, 0), -1);
    client_close(idle);
    client_close(busy);
    client_close(late);
    answer_free(&a);
    wire_close(&w);
}

/* Closing with requests in every state leaks nothing (the sanitizers look). */
static void test_close_in_the_middle_of_everything(void **state)
{
    (void)state;
    static struct wire w;
    wire_open(&w, NULL);
    static const char *const states[] = {
        "",
        "GET /hel",
        GET("/park"),
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nhello",
        "POST /mirror HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        GET("/stream/1000/1000000"),
        GET("/big") GET("/big") GET("/big") GET("/big") GET("/big") GET("/big"),
        GET("/park") GET("/hello"),
        "BAD\r\n\r\n",
    };
    struct client *clients[ARRAY_LEN(states)];
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        clients[i] = client_open(w.port);
        assert_true(client_say(clients[i], states[i]));
    }
    wire_wait(&w.parked, 2);
    (void)usleep(50000);
    wire_close(&w);
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        client_close(clients[i]);
}

static int set_up(void **state)
{
    static struct wire w;
    wire_open(&w, &impatient);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    wire_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_head_is_408),
        cmocka_unit_test(test_trickled_head_is_408),
        cmocka_unit_test(test_silent_body_is_408),
        cmocka_unit_test(test_trickled_body_is_408),
        cmocka_unit_test(test_idle_is_closed_silently),
        cmocka_unit_test(test_peer_that_takes_nothing_is_dropped),
        cmocka_unit_test(test_peer_that_takes_little_is_dropped),
        cmocka_unit_test(test_peer_that_takes_enough_is_served),
        cmocka_unit_test(test_reset_cancels_the_task),
        cmocka_unit_test(test_close_cancels_the_task),
        cmocka_unit_test(test_close_in_a_body_cancels_the_task),
        cmocka_unit_test(test_half_closed_peer_gets_its_answers),
        cmocka_unit_test(test_connections_max),
        cmocka_unit_test(test_the_silent_make_room),
        cmocka_unit_test(test_drain_finishes_what_is_in_flight),
        cmocka_unit_test(test_close_in_the_middle_of_everything),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
