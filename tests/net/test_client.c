/*
 * tests/net/test_client.c - The client on one loop with a server of ours: the pool and its queues,
 * names and the guard, deadlines, cancellation at every stage, and memory that runs out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/metric.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "net/client.h"
#include "net/net.h"

#define assert_status(got, want) assert_string_equal(status_name(got), status_name(want))

struct names { /* what the fake resolver says; under the lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *answers[4]; /* of "name.test" */
    unsigned lookups;
    unsigned held; /* lookups of "held*.test" that wait */
    bool released;
};

struct fixture {
    struct loop *loop;
    struct net_server *server;
    struct net_client *client;
    struct net_dns *dns;
    struct metrics *metrics;
    struct names names;
    unsigned port;
};

/* -- a server
 * ------------------------------------------------------------------------------------------------
 */

static void on_gone(struct net_exchange *x, void *arg)
{
    (void)x;
    task_cancel(arg);
}

/* Say half of an answer, or nothing, until the peer goes away. */
static void never_task(struct task *task, void *arg)
{
    struct net_exchange *x = arg;
    static const struct net_head ok = { .status = 200, .fixed = SLICE_INIT("A: b\r\n") };
    net_hold(x);
    if (slice_eq(net_request_of(x)->path, SLICE("/half")))
        (void)net_stream_begin(x, &ok, 10);
    if (slice_eq(net_request_of(x)->path, SLICE("/half")))
        (void)net_stream_write(task, x, SLICE("half"));
    net_on_gone(x, on_gone, task);
    while (task_wait(task) == STATUS_OK)
        continue;
    net_abort(x);
    net_release(x);
}

static void on_request(struct net_exchange *x, void *arg)
{
    struct fixture *f = arg;
    static const struct net_head ok = { .status = 200, .fixed = SLICE_INIT("A: b\r\n") };
    struct slice path = net_request_of(x)->path;
    if (slice_eq(path, SLICE("/never")) || slice_eq(path, SLICE("/half")))
        assert_status(task_spawn(f->loop, never_task, x, NULL), STATUS_OK);
    else if (slice_eq(path, SLICE("/close")))
        net_abort(x);
    else
        net_send(x, &ok, SLICE("hello"));
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

/* -- a resolver
 * ---------------------------------------------------------------------------------------------- */

static enum status look_up(const char *host, struct address *ret_addresses, unsigned *ret_len,
                           void *arg)
{
    struct names *n = arg;
    unsigned len = 0;
    (void)pthread_mutex_lock(&n->lock);
    n->lookups++;
    if (strncmp(host, "held", 4) == 0) {
        n->held++;
        (void)pthread_cond_broadcast(&n->changed);
        while (!n->released)
            (void)pthread_cond_wait(&n->changed, &n->lock);
        n->held--;
        (void)pthread_cond_broadcast(&n->changed);
    }
    for (unsigned i = 0; i < ARRAY_LEN(n->answers) && n->answers[i]; i++) {
        if (address_parse(slice_cstr(n->answers[i]), &ret_addresses[len]))
            len++;
    }
    (void)pthread_mutex_unlock(&n->lock);
    *ret_len = len;
    return len ? STATUS_OK : STATUS_NOT_FOUND;
}

static void release_names(struct names *n)
{
    (void)pthread_mutex_lock(&n->lock);
    n->released = true;
    (void)pthread_cond_broadcast(&n->changed);
    while (n->held > 0)
        (void)pthread_cond_wait(&n->changed, &n->lock);
    (void)pthread_mutex_unlock(&n->lock);
}

/* -- a fixture
 * -----------------------------------------------------------------------------------------------
 */

static void stop_when_done(void *arg)
{
    struct fixture *f = arg;
    struct loop_stats stats;
    loop_stats_read(f->loop, &stats);
    if (stats.tasks_live == 0)
        loop_stop(f->loop);
}

static void open_client(struct fixture *f, struct net_client_options options)
{
    options.dns = f->dns;
    options.metrics = f->metrics;
    assert_status(net_client_open(f->loop, &options, &f->client), STATUS_OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const char *reason = "";
    assert_non_null(f);
    (void)pthread_mutex_init(&f->names.lock, NULL);
    (void)pthread_cond_init(&f->names.changed, NULL);
    f->metrics = metrics_new();
    assert_status(loop_new(NULL, &f->loop), STATUS_OK);
    assert_status(net_dns_new(&(struct net_dns_options){ .threads_max = 4,
                                                         .lookup = look_up,
                                                         .lookup_arg = &f->names },
                              &f->dns),
                  STATUS_OK);
    const struct net_server_options options = { .host = SLICE_INIT("127.0.0.1"),
                                                .on_request = on_request,
                                                .on_refusal = on_refusal,
                                                .on_done = on_done,
                                                .arg = f };
    assert_status(net_server_open(f->loop, &options, &f->server, &reason), STATUS_OK);
    f->port = net_server_port(f->server);
    loop_hook_before_poll(f->loop, stop_when_done, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    release_names(&f->names);
    net_client_close(f->client);
    net_server_close(f->server, NULL, NULL);
    loop_stop(f->loop);
    loop_run(f->loop);
    loop_free(f->loop);
    net_dns_free(f->dns);
    metrics_free(f->metrics);
    /* Its threads may be on their way out of look_up still: what they touch there stays. */
    usleep(1000);
    free(f);
    return 0;
}

static void run(struct fixture *f)
{
    loop_run(f->loop);
}

static void pause_task(struct task *task, void *arg)
{
    const int64_t *for_us = arg;
    (void)task_sleep(task, *for_us);
}

/* Let time pass on the loop: its clock has steps of a millisecond. */
static void pause_for(struct fixture *f, int64_t for_us)
{
    assert_status(task_spawn(f->loop, pause_task, &for_us, NULL), STATUS_OK);
    run(f);
}

static struct net_client_stats stats_of(struct fixture *f)
{
    struct net_client_stats stats;
    net_client_stats_read(f->client, &stats);
    return stats;
}

/* One request of a task of its own, and what came of it. */
struct call {
    struct fixture *f;
    struct net_client_request request;
    struct net_client_report report;
    char url[128];
    struct task *task;
    enum status status;
    const char *type;
    int http_status;
    char body[16];
    size_t arena_budget;
    int64_t deadline_us;
    int64_t took_us;
    bool ended;
};

static void call_task(struct task *task, void *arg)
{
    struct call *c = arg;
    struct net_client_response response;
    struct slice body;
    int64_t started_us = clock_mono_us();
    c->task = task;
    c->request.url = slice_cstr(c->url);
    c->request.report = &c->report;
    c->status = net_client_fetch(task, &c->request, &response, &body);
    c->took_us = clock_mono_us() - started_us;
    c->type = task_problem(task)->type;
    c->http_status = c->status == STATUS_OK ? response.status : task_problem(task)->http_status;
    if (c->status == STATUS_OK)
        memcpy(c->body, body.data, MIN(body.len, sizeof(c->body) - 1));
    c->ended = true;
    c->task = NULL;
}

static void call_start(struct call *c)
{
    const struct task_options options = { .arena_budget = c->arena_budget,
                                          .deadline_us = c->deadline_us };
    assert_status(task_spawn(c->f->loop, call_task, c, &options), STATUS_OK);
}

static struct call call_to(struct fixture *f, const char *host, const char *path)
{
    struct call c = { .f = f };
    (void)snprintf(c.url, sizeof(c.url), "http://%s:%u%s", host, f->port, path);
    return c;
}

#define assert_call(c, want_status, want_type)                                                     \
    do {                                                                                           \
        assert_true((c)->ended);                                                                   \
        assert_status((c)->status, (want_status));                                                 \
        assert_string_equal((c)->type ? (c)->type : "", (want_type));                              \
    } while (0)

/* -- the pool
 * ------------------------------------------------------------------------------------------------
 */

static void test_client_keeps_a_connection(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct net_client_options){ 0 });
    for (unsigned i = 0; i < 5; i++) {
        struct call c = call_to(f, "127.0.0.1", "/");
        call_start(&c);
        run(f);
        assert_call(&c, STATUS_OK, "");
        assert_string_equal(c.body, "hello");
        assert_int_equal(c.report.reused, i > 0);
        assert_string_equal(c.report.peer, "127.0.0.1");
    }
    assert_int_equal(stats_of(f).opened, 1);
    assert_int_equal(stats_of(f).reused, 4);
}

static void test_client_shares_few_connections(void **state)
{
    struct fixture *f = *state;
    struct call calls[20];
    open_client(f, (struct net_client_options){ .host_connections_max = 3 });
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        calls[i] = call_to(f, "127.0.0.1", "/");
        call_start(&calls[i]);
    }
    assert_int_equal(stats_of(f).connections, 3);
    assert_int_equal(stats_of(f).waiting, 17);
    run(f);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        assert_call(&calls[i], STATUS_OK, "");
    assert_int_equal(stats_of(f).opened, 3);
    assert_int_equal(stats_of(f).idle, 3);
    assert_int_equal(stats_of(f).waiting, 0);
}

/* In all as many as two hosts want each: those of the one give way to the other's. */
static void test_client_shares_places_between_hosts(void **state)
{
    struct fixture *f = *state;
    struct call calls[24];
    open_client(f, (struct net_client_options){ .host_connections_max = 3, .connections_max = 4 });
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
            static const char *const hosts[] = { "127.0.0.1", "localhost", "a.localhost" };
            calls[i] = call_to(f, hosts[(i + round) % 3], "/");
            call_start(&calls[i]);
            assert_true(stats_of(f).connections <= 4);
        }
        run(f);
        for (size_t i = 0; i < ARRAY_LEN(calls); i++)
            assert_call(&calls[i], STATUS_OK, "");
        assert_true(stats_of(f).connections <= 4);
        assert_int_equal(stats_of(f).connections, stats_of(f).idle);
        assert_int_equal(stats_of(f).waiting, 0);
    }
}

static void test_client_queue_is_bounded_and_timed(void **state)
{
    struct fixture *f = *state;
    struct call stuck = call_to(f, "127.0.0.1", "/never"), late, over, after;
    open_client(f, (struct net_client_options){ .host_connections_max = 1, .waiting_max = 1 });
    stuck.request.timeouts.first_byte_us = 400 * CLOCK_MS;
    call_start(&stuck);
    late = call_to(f, "127.0.0.1", "/");
    late.request.timeouts.queue_us = 50 * CLOCK_MS;
    call_start(&late);
    over = call_to(f, "127.0.0.1", "/");
    call_start(&over);
    assert_call(&over, STATUS_EXHAUSTED, "client/busy");
    run(f);
    assert_call(&late, STATUS_TIMEOUT, "client/timeout");
    assert_int_equal(late.report.stage, NET_CLIENT_QUEUE);
    assert_call(&stuck, STATUS_TIMEOUT, "client/timeout");
    assert_int_equal(stuck.http_status, 504);
    assert_int_equal(stuck.report.stage, NET_CLIENT_FIRST_BYTE);
    after = call_to(f, "127.0.0.1", "/");
    call_start(&after);
    run(f);
    assert_call(&after, STATUS_OK, "");
}

static void cancel_task(struct task *task, void *arg)
{
    struct call *c = arg;
    (void)task_sleep(task, 30 * CLOCK_MS);
    if (c->task)
        task_cancel(c->task);
}

/* Who stands behind a cancelled one gets its turn, whether it was granted already or not. */
static void test_client_cancelled_turn_passes_on(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct net_client_options){ .host_connections_max = 1 });
    struct call first = call_to(f, "127.0.0.1", "/never"), second, third;
    call_start(&first);
    second = call_to(f, "127.0.0.1", "/");
    call_start(&second);
    third = call_to(f, "127.0.0.1", "/");
    call_start(&third);
    /* In one go: the place comes free for the second, who is cancelled before it runs. */
    task_cancel(first.task);
    assert_status(task_spawn(f->loop, cancel_task, &second, NULL), STATUS_OK);
    task_cancel(second.task);
    run(f);
    assert_call(&first, STATUS_CANCELLED, "");
    assert_call(&second, STATUS_CANCELLED, "");
    assert_call(&third, STATUS_OK, "");
    assert_int_equal(stats_of(f).connections, 1);
    assert_int_equal(stats_of(f).waiting, 0);
}

static void one_call(struct fixture *f)
{
    struct call c = call_to(f, "127.0.0.1", "/");
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_OK, "");
}

static void test_client_old_connections_are_not_used(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct net_client_options){ .lifetime_us = 30 * CLOCK_MS });
    one_call(f);
    pause_for(f, 60 * CLOCK_MS);
    one_call(f);
    assert_int_equal(stats_of(f).opened, 2);
    assert_int_equal(stats_of(f).reused, 0);
}

static void test_client_idle_connections_are_swept(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct net_client_options){ .idle_timeout_us = 30 * CLOCK_MS });
    one_call(f);
    assert_int_equal(stats_of(f).idle, 1);
    pause_for(f, 1300 * CLOCK_MS);
    assert_int_equal(stats_of(f).connections, 0);
}

/* -- stages
 * --------------------------------------------------------------------------------------------------
 */

static void test_client_cancelled_at_every_stage(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *host, *path;
        enum net_client_stage stage;
    } cases[] = {
        { "held.test", "/", NET_CLIENT_RESOLVE },
        { "127.0.0.1", "/never", NET_CLIENT_FIRST_BYTE },
        { "127.0.0.1", "/half", NET_CLIENT_READ },
    };
    open_client(f, (struct net_client_options){ 0 });
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct call c = call_to(f, cases[i].host, cases[i].path);
        call_start(&c);
        assert_status(task_spawn(f->loop, cancel_task, &c, NULL), STATUS_OK);
        run(f);
        assert_call(&c, STATUS_CANCELLED, "");
        assert_int_equal(c.report.stage, cases[i].stage);
        assert_int_equal(stats_of(f).connections, 0);
    }
}

/* A listener that accepts nothing: the kernel takes connections for it, and some of their bytes. */
static int mute_open(unsigned *ret_port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    *ret_port = ntohs(in.sin_port);
    return fd;
}

/* The handshake and the sending of a large body, late and cancelled. */
static void test_client_ends_handshakes_and_writes(void **state)
{
    struct fixture *f = *state;
    const char *reason = "";
    struct net_client_tls *tls = NULL;
    unsigned port;
    size_t big_bytes = (size_t)32 << 20;
    char *big = calloc(1, big_bytes);
    int mute = mute_open(&port);
    assert_status(net_client_tls_new(NULL, &tls, &reason), STATUS_OK);
    open_client(f, (struct net_client_options){ .tls = tls });
    for (unsigned i = 0; i < 4; i++) {
        bool is_write = i & 1, is_cancelled = i & 2;
        struct call c = call_to(f, "127.0.0.1", "/");
        (void)snprintf(c.url, sizeof(c.url), "http%s://127.0.0.1:%u/", is_write ? "" : "s", port);
        if (is_write) {
            c.request.method = NET_METHOD_POST;
            c.request.body = slice_of(big, big_bytes);
        }
        if (!is_cancelled)
            c.request.timeouts.tls_us = c.request.timeouts.write_us = 80 * CLOCK_MS;
        call_start(&c);
        if (is_cancelled)
            assert_status(task_spawn(f->loop, cancel_task, &c, NULL), STATUS_OK);
        run(f);
        assert_call(&c, is_cancelled ? STATUS_CANCELLED : STATUS_TIMEOUT,
                    is_cancelled ? "" : "client/timeout");
        assert_int_equal(c.report.stage, is_write ? NET_CLIENT_WRITE : NET_CLIENT_TLS);
        assert_int_equal(stats_of(f).connections, 0);
    }
    net_client_tls_free(tls);
    (void)close(mute);
    free(big);
}

static void test_client_takes_the_tasks_deadline(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = { "/never", "/half" };
    open_client(f, (struct net_client_options){ 0 });
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct call c = call_to(f, "127.0.0.1", paths[i]);
        c.deadline_us = clock_mono_us() + 80 * CLOCK_MS;
        call_start(&c);
        run(f);
        assert_call(&c, STATUS_TIMEOUT, "client/timeout");
        assert_true(c.took_us < 10 * CLOCK_SECOND);
        assert_int_equal(stats_of(f).connections, 0);
    }
    struct call c = call_to(f, "held.test", "/");
    c.deadline_us = clock_mono_us() + 80 * CLOCK_MS;
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_TIMEOUT, "client/timeout");
    assert_int_equal(c.report.stage, NET_CLIENT_RESOLVE);
}

static void test_client_server_that_closes(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct net_client_options){ 0 });
    struct call c = call_to(f, "127.0.0.1", "/");
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_OK, "");
    c = call_to(f, "127.0.0.1", "/close"); /* on the kept one: tried again, on a fresh one */
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_UNAVAILABLE, "client/closed");
    assert_int_equal(c.report.attempts, 2);
    assert_int_equal(stats_of(f).retried, 1);
    c = call_to(f, "127.0.0.1", "/close");
    c.request.method = NET_METHOD_POST;
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_UNAVAILABLE, "client/closed");
    assert_int_equal(c.report.attempts, 1);
}

/* Budgets of 64, 128, ... bytes until it succeeds: nothing is left open on the way. */
static void test_client_without_memory(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct net_client_options){ 0 });
    const struct net_header header = { .name = SLICE_INIT("x-a"), .value = SLICE_INIT("b") };
    enum status st = STATUS_EXHAUSTED;
    unsigned failed = 0;
    for (size_t budget = 64; st != STATUS_OK; budget += 64) {
        struct call c = call_to(f, "localhost", "/");
        c.arena_budget = budget;
        c.request.headers = &header;
        c.request.headers_len = 1;
        call_start(&c);
        run(f);
        st = c.status;
        assert_true(st == STATUS_OK || st == STATUS_EXHAUSTED);
        assert_int_equal(stats_of(f).connections, stats_of(f).idle);
        assert_true(budget < 100000);
        failed += st != STATUS_OK;
    }
    assert_true(failed > 5);
}

/* -- names
 * ---------------------------------------------------------------------------------------------------
 */

static void test_client_looks_up_once(void **state)
{
    struct fixture *f = *state;
    struct call calls[10];
    open_client(f, (struct net_client_options){ 0 });
    f->names.answers[0] = "127.0.0.1";
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        calls[i] = call_to(f, "name.test", "/");
        call_start(&calls[i]);
    }
    run(f);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        assert_call(&calls[i], STATUS_OK, "");
    assert_int_equal(f->names.lookups, 1);
    struct call c = call_to(f, "name.test", "/");
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_OK, "");
    assert_int_equal(stats_of(f).lookups, 1);
}

/* What a name says at its second look counts then, and the connection goes nowhere else. */
static void test_client_guard_withstands_rebinding(void **state)
{
    struct fixture *f = *state;
    struct address_set near = { .len = 0 };
    const char *reason;
    assert_true(address_set_add(&near, SLICE("127.0.0.1"), &reason));
    open_client(f, (struct net_client_options){
                       .allow = &near, .name_ttl_us = 1, .host_connections_max = 1 });
    uint16_t port = (uint16_t)f->port;
    static const struct {
        const char *answers[3];
        enum status status;
    } turns[] = {
        { { "127.0.0.1" }, STATUS_OK },
        { { "127.0.0.2" }, STATUS_DENIED },
        { { "127.0.0.1" }, STATUS_OK },
        { { "127.0.0.1", "10.0.0.1" }, STATUS_DENIED }, /* one bad one spoils it */
        { { "169.254.169.254" }, STATUS_DENIED },
        { { "::ffff:127.0.0.2" }, STATUS_DENIED },
    };
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        for (size_t k = 0; k < 3; k++)
            f->names.answers[k] = turns[i].answers[k];
        pause_for(f, 5 * CLOCK_MS); /* the last answer has had its time */
        struct call c = call_to(f, "name.test", "/close");
        (void)snprintf(c.url, sizeof(c.url), "http://name.test:%u/%s", f->port,
                       i % 2 ? "" : "close");
        c.request.from_user = true;
        c.request.ports = &port;
        c.request.ports_len = 1;
        call_start(&c);
        run(f);
        if (turns[i].status == STATUS_OK)
            assert_call(&c, STATUS_UNAVAILABLE, "client/closed"); /* it got there */
        else
            assert_call(&c, STATUS_DENIED, "client/refused-address");
    }
    assert_int_equal(f->names.lookups, ARRAY_LEN(turns));
}

/* A connection that was made without the guard is not what a user's URL gets. */
static void test_client_guard_shares_no_connection(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct net_client_options){ 0 });
    struct call c = call_to(f, "127.0.0.1", "/");
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_OK, "");
    assert_int_equal(stats_of(f).idle, 1);
    uint16_t port = (uint16_t)f->port;
    c = call_to(f, "127.0.0.1", "/");
    c.request.from_user = true;
    c.request.ports = &port;
    c.request.ports_len = 1;
    call_start(&c);
    assert_call(&c, STATUS_DENIED, "client/refused-address");
    assert_int_equal(c.http_status, 422);
    c = call_to(f, "127.0.0.1", "/");
    c.request.from_user = true; /* and the port is not one of the web's */
    call_start(&c);
    assert_call(&c, STATUS_DENIED, "client/refused-address");
}

static void wait_held(struct names *n, unsigned many)
{
    (void)pthread_mutex_lock(&n->lock);
    while (n->held < many)
        (void)pthread_cond_wait(&n->changed, &n->lock);
    (void)pthread_mutex_unlock(&n->lock);
}

static void free_task(struct task *task, void *arg)
{
    struct fixture *f = arg;
    wait_held(&f->names, 2); /* half of the four threads */
    struct call ours = call_to(f, "name.test", "/");
    call_start(&ours);
    while (!ours.ended)
        (void)task_sleep(task, CLOCK_MS);
    assert_call(&ours, STATUS_OK, "");
    (void)pthread_mutex_lock(&f->names.lock);
    assert_int_equal(f->names.held, 2);
    (void)pthread_mutex_unlock(&f->names.lock);
    release_names(&f->names);
}

/* Six names of users hang; they hold two threads, and our own name is found meanwhile. */
static void test_client_silent_names_leave_threads(void **state)
{
    struct fixture *f = *state;
    struct call calls[6];
    open_client(f, (struct net_client_options){ 0 });
    f->names.answers[0] = "127.0.0.1";
    for (unsigned i = 0; i < ARRAY_LEN(calls); i++) {
        char host[32];
        (void)snprintf(host, sizeof(host), "held%u.test", i);
        calls[i] = call_to(f, host, "/");
        calls[i].request.from_user = true;
        calls[i].request.ports = (const uint16_t[]){ (uint16_t)f->port };
        calls[i].request.ports_len = 1;
        call_start(&calls[i]);
    }
    assert_status(task_spawn(f->loop, free_task, f, NULL), STATUS_OK);
    run(f);
    for (unsigned i = 0; i < ARRAY_LEN(calls); i++)
        assert_call(&calls[i], STATUS_DENIED, "client/refused-address");
}

static void test_client_names_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct call calls[6];
    open_client(f, (struct net_client_options){ .names_max = 4 });
    f->names.answers[0] = "127.0.0.1";
    for (unsigned i = 0; i < 12; i++) {
        char host[32];
        (void)snprintf(host, sizeof(host), "n%u.test", i);
        struct call c = call_to(f, host, "/");
        call_start(&c);
        run(f);
        assert_call(&c, STATUS_OK, "");
        assert_true(stats_of(f).names <= 4);
    }
    /* Those that are waited for cannot give way. */
    for (unsigned i = 0; i < ARRAY_LEN(calls); i++) {
        char host[32];
        (void)snprintf(host, sizeof(host), "held%u.test", i);
        calls[i] = call_to(f, host, "/");
        calls[i].request.timeouts.resolve_us = 50 * CLOCK_MS;
        call_start(&calls[i]);
    }
    assert_call(&calls[4], STATUS_EXHAUSTED, "client/busy");
    assert_call(&calls[5], STATUS_EXHAUSTED, "client/busy");
    run(f);
    assert_call(&calls[0], STATUS_TIMEOUT, "client/timeout");
}

/* -- addresses that are silent
 * ------------------------------------------------------------------------------- */

/* A listener whose queue is full lets further connections wait for ever. */
struct hole {
    int listener, fillers[8];
};

static bool hole_open(struct hole *h, const char *address, unsigned port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int on = 1;
    (void)inet_pton(AF_INET, address, &in.sin_addr);
    h->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(h->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool is_open =
        bind(h->listener, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(h->listener, 0) == 0;
    for (size_t i = 0; i < ARRAY_LEN(h->fillers); i++) {
        h->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(h->fillers[i], (struct sockaddr *)&in, sizeof(in)); /* some will hang */
    }
    return is_open;
}

static void hole_close(struct hole *h)
{
    for (size_t i = 0; i < ARRAY_LEN(h->fillers); i++)
        (void)close(h->fillers[i]);
    (void)close(h->listener);
}

static void test_client_tries_the_next_address(void **state)
{
    struct fixture *f = *state;
    struct hole hole;
    open_client(f, (struct net_client_options){ 0 });
    assert_true(hole_open(&hole, "127.0.0.2", f->port));
    f->names.answers[0] = "127.0.0.2";
    f->names.answers[1] = "127.0.0.1";
    struct call c = call_to(f, "name.test", "/");
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_OK, "");
    assert_string_equal(c.report.peer, "127.0.0.1");
    assert_true(c.took_us >= 200 * CLOCK_MS && c.took_us < 4 * CLOCK_SECOND);
    assert_int_equal(stats_of(f).connections, 1);

    /* One that refuses costs no time. */
    f->names.answers[0] = "127.0.0.3";
    c = call_to(f, "other.test", "/");
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_OK, "");

    /* None that answers: the time for connecting is for all of them, and it can be cancelled. */
    f->names.answers[0] = f->names.answers[1] = "127.0.0.2";
    c = call_to(f, "silent.test", "/");
    c.request.timeouts.connect_us = 400 * CLOCK_MS;
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_TIMEOUT, "client/timeout");
    assert_int_equal(c.report.stage, NET_CLIENT_CONNECT);
    c = call_to(f, "silent.test", "/");
    call_start(&c);
    assert_status(task_spawn(f->loop, cancel_task, &c, NULL), STATUS_OK);
    run(f);
    assert_call(&c, STATUS_CANCELLED, "");
    hole_close(&hole);

    f->names.answers[0] = f->names.answers[1] = "127.0.0.3";
    c = call_to(f, "refusing.test", "/");
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_UNAVAILABLE, "client/connect");
    assert_int_equal(c.http_status, 502);
}

/* -- figures, and no client
 * ---------------------------------------------------------------------------------- */

static void test_client_counts(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct net_client_options){ 0 });
    struct call c = call_to(f, "127.0.0.1", "/");
    call_start(&c);
    run(f);
    c = call_to(f, "missing.test", "/");
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_UNAVAILABLE, "client/dns");
    struct buf out;
    buf_init(&out, NULL, 0, 1 << 20);
    metrics_render(f->metrics, true, &out);
    buf_putc(&out, '\0');
    static const char *const lines[] = {
        "http_client_request_duration_seconds_count{http_request_method=\"GET\","
        "http_response_status_code=\"200\",error_type=\"\"} 1\n",
        "http_client_request_duration_seconds_count{http_request_method=\"GET\","
        "http_response_status_code=\"\",error_type=\"dns\"} 1\n",
        "http_client_open_connections{http_connection_state=\"idle\"} 1\n",
        "http_client_open_connections{http_connection_state=\"active\"} 0\n",
        "purlin_client_name_lookups_total{outcome=\"missing\"} 1\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (!strstr(out.data, lines[i]))
            fail_msg("no line %s in\n%s", lines[i], out.data);
    }
    buf_fini(&out);
}

static void test_client_needs_to_be_open(void **state)
{
    struct fixture *f = *state;
    struct call c = call_to(f, "127.0.0.1", "/");
    call_start(&c);
    assert_call(&c, STATUS_UNAVAILABLE, "client/closed");
}

/* Closing while a lookup is under way: its answer finds nobody, and that is fine. */
static void test_client_closes_during_a_lookup(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct net_client_options){ 0 });
    struct call c = call_to(f, "held.test", "/");
    c.request.timeouts.resolve_us = 30 * CLOCK_MS;
    call_start(&c);
    run(f);
    assert_call(&c, STATUS_TIMEOUT, "client/timeout");
    net_client_close(f->client);
    f->client = NULL;
    release_names(&f->names);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_client_keeps_a_connection),
        TEST(test_client_shares_few_connections),
        TEST(test_client_shares_places_between_hosts),
        TEST(test_client_queue_is_bounded_and_timed),
        TEST(test_client_cancelled_turn_passes_on),
        TEST(test_client_old_connections_are_not_used),
        TEST(test_client_idle_connections_are_swept),
        TEST(test_client_cancelled_at_every_stage),
        TEST(test_client_ends_handshakes_and_writes),
        TEST(test_client_takes_the_tasks_deadline),
        TEST(test_client_server_that_closes),
        TEST(test_client_without_memory),
        TEST(test_client_looks_up_once),
        TEST(test_client_guard_withstands_rebinding),
        TEST(test_client_guard_shares_no_connection),
        TEST(test_client_silent_names_leave_threads),
        TEST(test_client_names_are_bounded),
        TEST(test_client_tries_the_next_address),
        TEST(test_client_counts),
        TEST(test_client_needs_to_be_open),
        TEST(test_client_closes_during_a_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
