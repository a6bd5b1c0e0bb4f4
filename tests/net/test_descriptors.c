/*
 * tests/net/test_descriptors.c - What a listener does when the process has no descriptor left, and
 * when another thread has taken the one that it keeps for that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "net/conn.h"

#define CLIENTS_MAX 8u
#define FILLERS_MAX 256u

struct fixture {
    struct loop *loop;
    struct net_server *server;
    int clients[CLIENTS_MAX]; /* made while there are descriptors; connected when a test says so */
    int fillers[FILLERS_MAX];
    unsigned fillers_len;
    struct rlimit before;
};

static void on_request(struct net_exchange *x, void *arg)
{
    const struct net_head head = { .status = 200 };
    (void)arg;
    net_send(x, &head, SLICE("hello"));
}

static void on_refusal(struct net_exchange *x, const struct net_refusal *refusal, void *arg)
{
    (void)refusal;
    (void)arg;
    net_abort(x);
}

static void on_done(struct net_exchange *x, void *arg)
{
    (void)x;
    (void)arg;
}

static void turn(struct fixture *f)
{
    (void)uv_run(loop_uv(f->loop), UV_RUN_NOWAIT);
}

static void turns_for(struct fixture *f, int64_t us)
{
    for (int64_t until_us = clock_mono_us() + us; clock_mono_us() < until_us;)
        turn(f);
}

/* Leave the process without a descriptor. */
static void fill(struct fixture *f)
{
    for (;;) {
        int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            assert_int_equal(errno, EMFILE);
            return;
        }
        assert_true(f->fillers_len < FILLERS_MAX);
        f->fillers[f->fillers_len++] = fd;
    }
}

static void join(struct fixture *f, unsigned i)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_addr = { htonl(INADDR_LOOPBACK) },
                              .sin_port = htons((uint16_t)net_server_port(f->server)) };
    assert_int_equal(connect(f->clients[i], (const struct sockaddr *)&to, sizeof(to)), 0);
    turn(f);
}

/* Has the server closed it? */
static bool is_closed(struct fixture *f, unsigned i)
{
    char byte;
    ssize_t n = recv(f->clients[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static bool is_served(struct fixture *f, unsigned i)
{
    static const char ask[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    char answer[1024];
    if (send(f->clients[i], ask, sizeof(ask) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(ask) - 1)
        return false;
    turn(f);
    turn(f);
    ssize_t n = recv(f->clients[i], answer, sizeof(answer), MSG_DONTWAIT);
    return n > 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0;
}

static int set_up(void **state)
{
    static struct fixture f;
    const char *reason;
    const struct net_server_options options = {
        .host = SLICE_INIT("127.0.0.1"),
        .on_request = on_request,
        .on_refusal = on_refusal,
        .on_done = on_done,
    };
    memset(&f, 0, sizeof(f));
    assert_int_equal(loop_new(NULL, &f.loop), STATUS_OK);
    assert_int_equal(net_server_open(f.loop, &options, &f.server, &reason), STATUS_OK);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        f.clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(f.clients[i] >= 0);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &f.before), 0);
    struct rlimit low = f.before;
    low.rlim_cur = MIN(f.before.rlim_max, (rlim_t)(FILLERS_MAX / 2));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &f->before), 0);
    for (unsigned i = 0; i < f->fillers_len; i++)
        (void)close(f->fillers[i]);
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        (void)close(f->clients[i]);
    turns_for(f, 50 * CLOCK_MS);
    assert_int_equal(net_server_connections(f->server), 0);
    net_server_close(f->server, NULL, NULL);
    loop_stop(f->loop);
    loop_run(f->loop);
    loop_free(f->loop);
    return 0;
}

static void test_new_connections_are_closed_and_open_ones_go_on(void **state)
{
    struct fixture *f = *state;
    join(f, 0);
    join(f, 1);
    assert_true(is_served(f, 0));
    turns_for(f, 150 * CLOCK_MS); /* the second one has been silent for long */
    fill(f);
    for (unsigned i = 2; i < CLIENTS_MAX; i++) {
        join(f, i);
        turns_for(f, 5 * CLOCK_MS);
        assert_true(is_closed(f, i));
    }
    assert_false(is_closed(f, 1));
    assert_true(is_served(f, 0));
    assert_true(is_served(f, 1));
}

/* Between giving the spare descriptor up and accepting, another thread may open something. */
static void test_a_lost_spare_is_made_good_by_a_silent_connection(void **state)
{
    struct fixture *f = *state;
    join(f, 0);
    join(f, 1);
    assert_true(is_served(f, 0));
    turns_for(f, 150 * CLOCK_MS);
    assert_true(f->server->listener.spare_fd >= 0);
    (void)close(f->server->listener.spare_fd);
    f->server->listener.spare_fd = -1;
    fill(f);
    for (unsigned i = 2; i < CLIENTS_MAX; i++) {
        join(f, i);
        turns_for(f, 5 * CLOCK_MS);
        assert_true(is_closed(f, i));
    }
    assert_true(is_closed(f, 1));
    assert_true(f->server->listener.spare_fd >= 0);
    assert_true(is_served(f, 0));
}

/* Nobody is silent: who comes waits until a descriptor is free, and is served then. */
static void test_without_a_spare_the_newcomer_waits(void **state)
{
    struct fixture *f = *state;
    join(f, 0);
    assert_true(is_served(f, 0));
    (void)close(f->server->listener.spare_fd);
    f->server->listener.spare_fd = -1;
    fill(f);
    join(f, 1);
    turns_for(f, 150 * CLOCK_MS);
    assert_false(is_closed(f, 1));
    assert_true(is_served(f, 0));
    for (unsigned i = 0; i < 3; i++)
        (void)close(f->fillers[--f->fillers_len]);
    turns_for(f, 250 * CLOCK_MS);
    assert_true(is_served(f, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_new_connections_are_closed_and_open_ones_go_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_lost_spare_is_made_good_by_a_silent_connection,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_a_spare_the_newcomer_waits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
