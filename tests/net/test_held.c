/*
 * tests/net/test_held.c - Answers that are held for the end of the turn: when they leave, in what
 * bounds, and what becomes of them when their connection or server ends before that. The clients
 * are sockets of the same thread: what they have been sent can be asked at any moment.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../fiber/fixture.h"
#include "net/conn.h"
#include "net/net.h"

#define CLIENTS_MAX 60u
#define NOW_US ((int64_t)1800000000 * CLOCK_SECOND)
#define BODY_MAX ((size_t)100 * 1000)

struct world {
    struct loop *loop;
    struct net_server *server;
    int clients[CLIENTS_MAX];
    unsigned clients_len;
    unsigned requests; /* that have come */
    unsigned done, whole;
    size_t body_len;
    bool is_closed;
    void (*before_answer)(struct world *w); /* at each request */
    uv_timer_t end; /* libuv's: the loop's own go by the clock, which stands still here */
    unsigned had[CLIENTS_MAX + 1]; /* answers that clients had when so many requests had come */
};

static unsigned answered(const struct world *w)
{
    unsigned n = 0;
    char byte;
    for (unsigned i = 0; i < w->clients_len; i++)
        n += w->clients[i] >= 0 && recv(w->clients[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
    return n;
}

static void on_request(struct net_exchange *x, void *arg)
{
    struct world *w = arg;
    static char body[BODY_MAX];
    memset(body, 'b', sizeof(body));
    w->had[w->requests++] = answered(w);
    if (w->before_answer)
        w->before_answer(w);
    struct net_head head = { .status = 200 };
    net_send(x, &head, slice_of(body, w->body_len));
}

static void on_refusal(struct net_exchange *x, const struct net_refusal *refusal, void *arg)
{
    (void)refusal;
    (void)arg;
    net_abort(x);
}

static void on_done(struct net_exchange *x, void *arg)
{
    struct world *w = arg;
    w->done++;
    w->whole += net_sent_whole(x);
}

static void on_closed(void *arg)
{
    struct world *w = arg;
    w->is_closed = true;
}

static void on_end(uv_timer_t *timer)
{
    loop_stop(timer->data);
    uv_close((uv_handle_t *)timer, NULL);
}

static void connect_all(struct world *w, unsigned clients, const char *request)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)net_server_port(w->server)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    w->clients_len = clients;
    for (unsigned i = 0; i < clients; i++) {
        w->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(w->clients[i] >= 0);
        assert_int_equal(connect(w->clients[i], (struct sockaddr *)&to, sizeof(to)), 0);
        ssize_t len = (ssize_t)strlen(request);
        assert_int_equal(send(w->clients[i], request, (size_t)len, MSG_NOSIGNAL), len);
    }
}

/* Let the clients ask, all at once, and run for a moment. */
static void ask(struct world *w, unsigned clients, const char *request)
{
    struct net_server_options options = {
        .host = SLICE("127.0.0.1"),
        .on_request = on_request,
        .on_refusal = on_refusal,
        .on_done = on_done,
        .arg = w,
    };
    const char *reason = NULL;
    assert_status(net_server_open(w->loop, &options, &w->server, &reason), STATUS_OK);
    connect_all(w, clients, request);
    assert_int_equal(uv_timer_init(loop_uv(w->loop), &w->end), 0);
    w->end.data = w->loop;
    clock_fake_set(NOW_US, NOW_US);
    assert_int_equal(uv_timer_start(&w->end, on_end, 200, 0), 0);
    loop_run(w->loop);
    clock_fake_set(0, 0);
}

static void finish(struct world *w)
{
    for (unsigned i = 0; i < w->clients_len; i++)
        if (w->clients[i] >= 0)
            close(w->clients[i]);
    if (!w->is_closed) {
        net_server_close(w->server, on_closed, w);
        loop_stop(w->loop);
        loop_run(w->loop);
    }
    assert_true(w->is_closed);
    assert_int_equal(w->done, w->requests);
}

static size_t received(struct world *w, unsigned client)
{
    static char bytes[BODY_MAX * 4];
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len<sizeof(bytes); len += n> 0 ? (size_t)n : 0)
        n = recv(w->clients[client], bytes + len, sizeof(bytes) - len, MSG_DONTWAIT);
    return len;
}

static const char one[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

static void test_held_answers_leave_together(void **state)
{
    struct world w = { .loop = ((struct fixture *)*state)->loop, .body_len = 100 };
    ask(&w, NET__HELD_MAX, one);
    assert_int_equal(w.requests, NET__HELD_MAX);
    for (unsigned i = 0; i < NET__HELD_MAX; i++)
        assert_int_equal(w.had[i], 0); /* none before the last request of the turn */
    assert_int_equal(answered(&w), NET__HELD_MAX);
    assert_int_equal(w.whole, NET__HELD_MAX);
    finish(&w);
}

static void test_held_answers_are_bounded_in_number(void **state)
{
    struct world w = { .loop = ((struct fixture *)*state)->loop, .body_len = 100 };
    ask(&w, 3 * NET__HELD_MAX + 1, one);
    for (unsigned i = 0; i < w.requests; i++)
        assert_int_equal(w.had[i], i / NET__HELD_MAX * NET__HELD_MAX);
    assert_int_equal(answered(&w), 3 * NET__HELD_MAX + 1);
    assert_int_equal(w.whole, 3 * NET__HELD_MAX + 1);
    finish(&w);
}

static void test_held_answers_are_bounded_in_bytes(void **state)
{
    struct world w = { .loop = ((struct fixture *)*state)->loop, .body_len = 15000 };
    ask(&w, 5, one);
    assert_int_equal(w.whole, 5);
    assert_int_equal(w.had[2], 0); /* two fit, the third leaves at once */
    assert_int_equal(w.had[3], 1);
    for (unsigned i = 0; i < 5; i++)
        assert_true(received(&w, i) > 15000);
    finish(&w);
}

/* A large body is not copied: what is bounded is its own length. */
static void test_held_answers_take_large_bodies_along(void **state)
{
    struct world w = { .loop = ((struct fixture *)*state)->loop, .body_len = NET__HELD_BODY_MAX };
    ask(&w, 4, one);
    assert_int_equal(w.whole, 4);
    assert_int_equal(w.had[3], 0);
    for (unsigned i = 0; i < 4; i++)
        assert_true(received(&w, i) > NET__HELD_BODY_MAX);
    finish(&w);
}

static void test_held_answers_leave_out_larger_bodies(void **state)
{
    struct world w = { .loop = ((struct fixture *)*state)->loop,
                       .body_len = NET__HELD_BODY_MAX + 1 };
    ask(&w, 4, one);
    assert_int_equal(w.whole, 4);
    assert_int_equal(w.had[3], 3);
    for (unsigned i = 0; i < 4; i++)
        assert_true(received(&w, i) > NET__HELD_BODY_MAX + 1);
    finish(&w);
}

static void work_long(struct world *w)
{
    if (w->requests == 2)
        clock_fake_set(NOW_US, NOW_US + NET__HELD_US + 1);
}

static void test_held_answers_do_not_wait_for_long_work(void **state)
{
    struct world w = { .loop = ((struct fixture *)*state)->loop,
                       .body_len = 100,
                       .before_answer = work_long };
    ask(&w, 4, one);
    assert_int_equal(w.had[1], 0);
    assert_int_equal(w.had[2], 2); /* before the request that came after the long one is begun */
    assert_int_equal(w.whole, 4);
    finish(&w);
}

static void test_held_answers_of_a_pipeline_keep_their_order(void **state)
{
    struct world w = { .loop = ((struct fixture *)*state)->loop, .body_len = 7000 };
    ask(&w, 3,
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_int_equal(w.whole, 9);
    for (unsigned i = 0; i < 3; i++)
        assert_true(received(&w, i) > 21000);
    finish(&w);
}

static void reset_first(struct world *w)
{
    if (w->requests != 3)
        return;
    struct linger now = { .l_onoff = 1 };
    assert_int_equal(setsockopt(w->clients[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    close(w->clients[0]);
    w->clients[0] = -1;
}

static void test_held_answers_of_a_pipeline_with_large_bodies(void **state)
{
    struct world w = { .loop = ((struct fixture *)*state)->loop, .body_len = 30000 };
    ask(&w, 3,
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(w.whole, 9);
    for (unsigned i = 0; i < 3; i++)
        assert_true(received(&w, i) > 90000);
    finish(&w);
}

static void test_held_answer_of_a_peer_that_is_gone_is_cut(void **state)
{
    struct world w = { .loop = ((struct fixture *)*state)->loop,
                       .body_len = 100,
                       .before_answer = reset_first };
    ask(&w, 5, one);
    assert_int_equal(w.done, 5);
    assert_int_equal(w.whole, 4);
    assert_int_equal(answered(&w), 4);
    finish(&w);
}

static void close_server(struct world *w)
{
    if (w->requests == 4)
        net_server_close(w->server, on_closed, w);
}

static void test_held_answers_of_a_closed_server_are_cut(void **state)
{
    struct world w = { .loop = ((struct fixture *)*state)->loop,
                       .body_len = 100,
                       .before_answer = close_server };
    ask(&w, 6, one);
    assert_int_equal(w.requests, 4);
    assert_int_equal(w.whole, 0);
    assert_int_equal(answered(&w), 0);
    finish(&w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_held_answers_leave_together),
        TEST(test_held_answers_are_bounded_in_number),
        TEST(test_held_answers_are_bounded_in_bytes),
        TEST(test_held_answers_take_large_bodies_along),
        TEST(test_held_answers_leave_out_larger_bodies),
        TEST(test_held_answers_do_not_wait_for_long_work),
        TEST(test_held_answers_of_a_pipeline_keep_their_order),
        TEST(test_held_answers_of_a_pipeline_with_large_bodies),
        TEST(test_held_answer_of_a_peer_that_is_gone_is_cut),
        TEST(test_held_answers_of_a_closed_server_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
