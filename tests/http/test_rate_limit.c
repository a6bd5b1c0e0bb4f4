/*
 * tests/http/test_rate_limit.c - Rate limits over a store of counts that makes its callers wait, or
 * fails: what Redis will be like. And who is noted as running into them.
 */
#include "wire.h"

#include "http/rate.h"
#include "shared/internal.h"

/* Counts of another machine: a local table behind a wait. */
struct far {
    struct shared_counts counts;
    struct shared_counts *local;
    int64_t delay_us;
    enum status failure;          /* OK: none */
    int asked, waited, cancelled; /* atomic */
};

static enum status far_take(struct task *task, struct shared_counts *counts, int64_t now_us,
                            struct shared_take *takes, unsigned len, bool *ret_allowed)
{
    struct far *far = CONTAINER_OF(counts, struct far, counts);
    assert_non_null(task);
    wire_count(&far->asked);
    enum status st = task_sleep(task, far->delay_us);
    wire_count(st == STATUS_OK ? &far->waited : &far->cancelled);
    if (st != STATUS_OK)
        return st;
    if (far->failure != STATUS_OK)
        return problem_set(task, far->failure, "test/far", "The counts cannot be had.");
    return shared_counts_take(NULL, far->local, now_us, takes, len, ret_allowed);
}

static void far_free(struct shared_counts *counts)
{
    struct far *far = CONTAINER_OF(counts, struct far, counts);
    shared_counts_free(far->local);
    free(far);
}

static const struct shared_counts_kind far_kind = {
    .name = "far",
    .suspends = true,
    .take = far_take,
    .free = far_free,
};

struct fixture {
    struct wire wire;
    struct far *far;
};

static void open_far(struct fixture *f, int64_t delay_us, enum status failure)
{
    static const struct http_rate_rule rules[] = {
        { .name = SLICE_INIT("three"),
          .count = 3,
          .period_us = CLOCK_HOUR,
          .by = HTTP_RATE_BY_IP,
          .id = 1 },
    };
    static const struct http_policy policy = { .rate = { .requests = rules, .requests_len = 1 } };
    f->far = calloc(1, sizeof(*f->far));
    f->far->counts.kind = &far_kind;
    f->far->delay_us = delay_us;
    f->far->failure = failure;
    assert_int_equal(shared_counts_local(NULL, 1024, &f->far->local), STATUS_OK);
    wire_make(&f->wire, (struct http_options){ .policies = &policy,
                                               .policies_len = 1,
                                               .rate = { .counts = &f->far->counts } });
    wire_serve(&f->wire, NULL);
}

static void close_far(struct fixture *f)
{
    wire_close(&f->wire);
    shared_counts_free(&f->far->counts);
}

/* Inline routes, tasks and paths without a route: each waits for its decision, and the handler
 * knows nothing of it. */
static void test_decided_in_a_task(void **state)
{
    static const struct {
        const char *say;
        int status;
    } cases[] = {
        { GET("/hello"), 200 },
        { GET("/sleep/1"), 200 },
        { GET("/nowhere"), 404 },
        { GET("/hello"), 429 },
        { GET("/sleep/1"), 429 },
        { GET("/nowhere"), 429 },
        { "OPTIONS /hello HTTP/1.1\r\nHost: h\r\n\r\n", 204 },
    };
    (void)state;
    struct fixture f;
    open_far(&f, 5 * CLOCK_MS, STATUS_OK);
    struct client *c = client_open(f.wire.port);
    struct answer a = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(client_say(c, cases[i].say));
        assert_true(client_answer(c, cases[i].status == 204, &a));
        assert_int_equal(a.status, cases[i].status);
        if (a.status == 429)
            assert_non_null(strstr(a.body, "\"violated-policies\":[\"three\"]"));
    }
    assert_int_equal(wire_seen(&f.far->asked), 6);
    answer_free(&a);
    client_close(c);
    close_far(&f);
}

/* No quiet way past limits when the counts are down. */
static void test_failing_counts_are_told(void **state)
{
    (void)state;
    struct fixture f;
    open_far(&f, 0, STATUS_UNAVAILABLE);
    struct client *c = client_open(f.wire.port);
    struct answer a = { 0 };
    assert_true(client_say(c, GET("/hello")));
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.body, "The counts cannot be had."));
    answer_free(&a);
    client_close(c);
    close_far(&f);
}

static void test_gone_peer_does_not_wait(void **state)
{
    (void)state;
    struct fixture f;
    open_far(&f, CLOCK_MINUTE, STATUS_OK);
    struct client *c = client_open(f.wire.port);
    assert_true(client_say(c, GET("/hello")));
    wire_wait(&f.far->asked, 1);
    client_reset(c);
    wire_wait(&f.far->cancelled, 1);
    close_far(&f);
}

/* -- offenders
 * -------------------------------------------------------------------------------------------- */

static void test_offenders(void **state)
{
    (void)state;
    static struct http__offenders o;
    static struct http__offender all[HTTP__OFFENDERS_MAX];
    http__offenders_init(&o);
    assert_int_equal(http__offenders_read(&o, all), 0);
    /* Ten that come often among ten thousand that come once. */
    for (uint64_t i = 0; i < 10000; i++) {
        http__offenders_add(&o, 1000000 + i, SLICE("ip once"), SLICE("default"));
        if (i % 10 == 0) {
            for (uint64_t heavy = 1; heavy <= 10; heavy++)
                http__offenders_add(&o, heavy, SLICE("ip often"), SLICE("default"));
        }
    }
    unsigned len = http__offenders_read(&o, all);
    assert_int_equal(len, HTTP__OFFENDERS_MAX);
    for (unsigned i = 0; i < 10; i++) {
        assert_in_range(all[i].key, 1, 10);
        /* Counted in full; what may be too much is said. */
        assert_true(all[i].refused >= 1000);
        assert_true(all[i].refused - all[i].unsure <= 1000);
        assert_true(slice_eq(slice_of(all[i].who, all[i].who_len), SLICE("ip often")));
    }
    for (unsigned i = 1; i < len; i++)
        assert_true(all[i - 1].refused >= all[i].refused);
    http__offenders_fini(&o);
}

static void test_long_names_are_cut(void **state)
{
    (void)state;
    static struct http__offenders o;
    static struct http__offender all[HTTP__OFFENDERS_MAX];
    char long_name[500];
    memset(long_name, 'x', sizeof(long_name));
    http__offenders_init(&o);
    http__offenders_add(&o, 1, slice_of(long_name, sizeof(long_name)),
                        slice_of(long_name, sizeof(long_name)));
    assert_int_equal(http__offenders_read(&o, all), 1);
    assert_int_equal(all[0].who_len, HTTP__OFFENDER_NAME_MAX);
    assert_int_equal(all[0].policy_len, HTTP_RATE_NAME_MAX);
    http__offenders_fini(&o);
}

/* -- who is asked for, as a room above knows it
 * --------------------------------------------------------------------- */

/* X-User, X-Key and X-Tenant are what such a room would have found out. */
static enum http_verdict who_asks(struct task *task, struct http_request *req, void *arg)
{
    (void)task;
    (void)arg;
    const struct net_request *r = http_net(req);
    struct slice user = net_header_find(r, SLICE("x-user"));
    struct slice key = net_header_find(r, SLICE("x-key"));
    if (user.len) {
        struct task_caller caller = { .has_user = true };
        memcpy(caller.user.bytes, user.data, MIN(user.len, sizeof(caller.user.bytes)));
        http_caller_set(req, &caller);
    }
    if (key.len)
        http_caller_key_set(req, (uint64_t)key.data[0]);
    http_tenant_set(req, net_header_find(r, SLICE("x-tenant")));
    return HTTP_STEP_NEXT;
}

/* Each of them has two requests of its own; a stranger counts by the address. */
static void check_by(unsigned by, const char *const *others, unsigned others_len)
{
    const struct http_rate_rule rules[] = {
        { .name = SLICE("two"), .count = 2, .period_us = CLOCK_HOUR, .by = by, .id = 1 },
    };
    const struct http_policy policy = { .rate = { .requests = rules, .requests_len = 1 } };
    struct shared_counts *counts;
    struct wire w;
    struct answer a = { 0 };
    assert_int_equal(shared_counts_local(NULL, 1024, &counts), STATUS_OK);
    wire_make(&w, (struct http_options){
                      .policies = &policy, .policies_len = 1, .rate = { .counts = counts } });
    assert_int_equal(http_step_add(w.app, "who", who_asks, NULL), STATUS_OK);
    wire_serve(&w, NULL);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < others_len; i++) {
            char request[200];
            (void)snprintf(request, sizeof(request), "GET /hello HTTP/1.1\r\nHost: h\r\n%s\r\n",
                           others[i]);
            wire_ask(&w, request, &a);
            if (a.status != (round < 2 ? 200 : 429))
                fail_msg("by %u, round %u, \"%s\": %d", by, round, others[i], a.status);
        }
    }
    answer_free(&a);
    wire_close(&w);
    shared_counts_free(counts);
}

static void test_users_keys_and_tenants(void **state)
{
    (void)state;
    static const char *const users[] = { "", "X-User: ann\r\n", "X-User: bob\r\n" };
    static const char *const keys[] = { "", "X-Key: 1\r\n", "X-Key: 2\r\n" };
    static const char *const tenants[] = { "X-Tenant: north\r\n", "X-Tenant: south\r\n" };
    static const char *const both[] = { "X-User: ann\r\nX-Tenant: north\r\n",
                                        "X-User: ann\r\nX-Tenant: south\r\n",
                                        "X-User: bob\r\nX-Tenant: south\r\n" };
    check_by(HTTP_RATE_BY_USER, users, ARRAY_LEN(users));
    check_by(HTTP_RATE_BY_KEY, keys, ARRAY_LEN(keys));
    check_by(HTTP_RATE_BY_TENANT, tenants, ARRAY_LEN(tenants));
    check_by(HTTP_RATE_BY_USER | HTTP_RATE_BY_TENANT, both, ARRAY_LEN(both));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decided_in_a_task),
        cmocka_unit_test(test_failing_counts_are_told),
        cmocka_unit_test(test_gone_peer_does_not_wait),
        cmocka_unit_test(test_offenders),
        cmocka_unit_test(test_long_names_are_cut),
        cmocka_unit_test(test_users_keys_and_tenants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
