/* tests/net/test_server.c - Opening and closing of listeners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fiber/loop.h"
#include "net/net.h"

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
    unsigned *closed = arg;
    *closed += 1;
}

static struct net_server_options options_of(struct slice host, unsigned port, bool reuse)
{
    return (struct net_server_options){
        .host = host,
        .port = port,
        .reuse_port = reuse,
        .on_request = on_request,
        .on_refusal = on_refusal,
        .on_done = on_done,
    };
}

static void finish(struct loop *loop)
{
    loop_stop(loop);
    loop_run(loop);
    loop_free(loop);
}

static void test_server_port_is_told_and_taken(void **state)
{
    (void)state;
    struct loop *loop;
    struct net_server *one, *two = NULL;
    const char *reason = NULL;
    unsigned closed = 0;
    assert_int_equal(loop_new(NULL, &loop), STATUS_OK);
    struct net_server_options options = options_of(SLICE("127.0.0.1"), 0, false);
    assert_int_equal(net_server_open(loop, &options, &one, &reason), STATUS_OK);
    assert_true(net_server_port(one) > 0);
    assert_int_equal(net_server_connections(one), 0);
    options.port = net_server_port(one);
    assert_int_equal(net_server_open(loop, &options, &two, &reason), STATUS_UNAVAILABLE);
    assert_non_null(reason);
    assert_null(two);
    net_server_close(one, on_closed, &closed);
    finish(loop);
    assert_int_equal(closed, 1);
}

static void test_server_port_can_be_shared(void **state)
{
    (void)state;
    struct loop *loop;
    struct net_server *one, *two;
    const char *reason = NULL;
    unsigned closed = 0;
    assert_int_equal(loop_new(NULL, &loop), STATUS_OK);
    struct net_server_options options = options_of(SLICE("127.0.0.1"), 0, true);
    assert_int_equal(net_server_open(loop, &options, &one, &reason), STATUS_OK);
    options.port = net_server_port(one);
    assert_int_equal(net_server_open(loop, &options, &two, &reason), STATUS_OK);
    net_server_drain(one);
    net_server_drain(one);
    net_server_close(one, on_closed, &closed);
    net_server_close(two, on_closed, &closed);
    finish(loop);
    assert_int_equal(closed, 2);
}

static void test_server_hosts(void **state)
{
    (void)state;
    struct loop *loop;
    struct net_server *server;
    const char *reason = NULL;
    assert_int_equal(loop_new(NULL, &loop), STATUS_OK);
    static const char *const bad[] = {
        "localhost", "", "256.0.0.1", "::g",
        "a-very-long-name-that-no-address-can-ever-have-in-this-world.example"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct net_server_options options = options_of(slice_cstr(bad[i]), 0, false);
        assert_int_equal(net_server_open(loop, &options, &server, &reason), STATUS_INVALID);
        assert_non_null(reason);
    }
    /* Not of this machine: TEST-NET-1. */
    struct net_server_options options = options_of(SLICE("192.0.2.1"), 0, false);
    assert_int_equal(net_server_open(loop, &options, &server, &reason), STATUS_UNAVAILABLE);
    options = options_of(SLICE("127.0.0.1"), 70000, false);
    assert_int_equal(net_server_open(loop, &options, &server, &reason), STATUS_INVALID);
    finish(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_port_is_told_and_taken),
        cmocka_unit_test(test_server_port_can_be_shared),
        cmocka_unit_test(test_server_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
