/* tests/net/test_retire.c - Listening sockets given up while somebody connects every millisecond:
 * nobody is reset and nobody has to ask twice, whoever else listens on the port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "fiber/loop.h"
#include "net/net.h"

#define SOCKETS_MAX 4u
#define CLIENTS_MAX 8000u
#define CLIENTS_A_TICK 8u

struct process {
    struct net_server *servers[SOCKETS_MAX];
    struct net_group group;
    unsigned len;
};

struct fixture {
    struct loop *loop;
    struct process leaving, staying;
    struct loop_timer timer;
    unsigned port, closed;
    int clients[CLIENTS_MAX];
    unsigned clients_len, late, reset;
};

static void on_request(struct net_exchange *x, void *arg)
{
    (void)arg;
    net_abort(x);
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

static void on_closed(void *arg)
{
    struct fixture *f = arg;
    f->closed++;
}

static void open_process(struct fixture *f, struct process *p, unsigned len)
{
    for (; p->len < len; p->len++) {
        const struct net_server_options options = {
            .host = SLICE("127.0.0.1"),
            .port = f->port,
            .reuse_port = true,
            .group = &p->group,
            .on_request = on_request,
            .on_refusal = on_refusal,
            .on_done = on_done,
        };
        const char *reason = "";
        if (net_server_open(f->loop, &options, &p->servers[p->len], &reason) != STATUS_OK)
            fail_msg("%s", reason);
        f->port = net_server_port(p->servers[p->len]);
    }
}

static void close_process(struct fixture *f, struct process *p)
{
    for (unsigned i = 0; i < p->len; i++)
        net_server_close(p->servers[i], on_closed, f);
}

/* On loopback a connection is made nearly at once, or its first packet was dropped and the next
 * comes after a second. */
static void connect_one(struct fixture *f)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)f->port),
                                    .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    f->clients[f->clients_len++] = fd;
    struct pollfd is_made = { .fd = fd, .events = POLLOUT };
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)
        f->reset++;
    else if (poll(&is_made, 1, 500) != 1)
        f->late++;
}

static bool is_listening(const struct process *p)
{
    for (unsigned i = 0; i < p->len; i++) {
        if (net_server_fd(p->servers[i]) >= 0)
            return true;
    }
    return false;
}

static void on_tick(struct loop_timer *timer)
{
    struct fixture *f = CONTAINER_OF(timer, struct fixture, timer);
    if (!is_listening(&f->leaving)) {
        loop_stop(f->loop);
        return;
    }
    for (unsigned i = 0; i < CLIENTS_A_TICK && f->clients_len < CLIENTS_MAX; i++)
        connect_one(f);
    loop_timer_start(f->loop, timer, CLOCK_MS, on_tick);
}

/* Whoever connected was not reset: not by the end of the socket that had it. */
static void count_resets(struct fixture *f)
{
    for (unsigned i = 0; i < f->clients_len; i++) {
        char byte;
        if (recv(f->clients[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET)
            f->reset++;
        (void)close(f->clients[i]);
    }
}

static void run(unsigned leaving, unsigned staying, bool is_rollback, bool is_free_of_delay)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(loop_new(NULL, &f->loop), STATUS_OK);
    if (is_rollback)
        open_process(f, &f->staying, staying);
    open_process(f, &f->leaving, leaving);
    open_process(f, &f->staying, staying);
    for (unsigned i = 0; i < leaving; i++)
        net_server_drain(f->leaving.servers[i]);
    loop_timer_start(f->loop, &f->timer, CLOCK_MS, on_tick);
    loop_run(f->loop);
    assert_false(is_listening(&f->leaving));
    assert_true(f->clients_len > 20);
    if (is_free_of_delay)
        assert_int_equal(f->late, 0);
    count_resets(f);
    assert_int_equal(f->reset, 0);
    /* Those who stay get connections as if nobody had ever been there. */
    for (unsigned i = 0; i < 64 && staying; i++) {
        f->clients_len = f->late = 0;
        connect_one(f);
        assert_int_equal(f->late, 0);
        (void)close(f->clients[0]);
    }
    if (staying)
        assert_false(f->leaving.group.open);
    close_process(f, &f->leaving);
    close_process(f, &f->staying);
    loop_stop(f->loop);
    loop_run(f->loop);
    assert_int_equal(f->closed, leaving + staying);
    loop_free(f->loop);
    free(f);
}

static void test_retire_to_as_many(void **state)
{
    (void)state;
    run(2, 2, false, true);
    run(1, 1, false, true);
    run(2, 4, false, true);
}

/* When the first of ours closes, one of the few others gets its number: until all of ours are
 * closed who connects may have to ask again, but nobody who was taken is lost. */
static void test_retire_to_fewer(void **state)
{
    (void)state;
    run(3, 1, false, false);
    run(4, 2, false, false);
}

static void test_retire_the_newer(void **state)
{
    (void)state;
    run(2, 2, true, true);
    run(1, 3, true, true);
}

static void test_retire_alone(void **state)
{
    (void)state;
    run(2, 0, false, false); /* nobody is there to take what comes; nothing taken is lost */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retire_to_as_many),
        cmocka_unit_test(test_retire_to_fewer),
        cmocka_unit_test(test_retire_the_newer),
        cmocka_unit_test(test_retire_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
