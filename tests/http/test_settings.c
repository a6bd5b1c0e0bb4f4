/*
 * tests/http/test_settings.c - Settings that are replaced while requests run: what began under the
 * old ones ends under them, each is freed once and only then, and there are never more than
 * HTTP_SETTINGS_MAX.
 */
#include "wire.h"

#include "http/internal.h"

struct fixture {
    struct wire wire;
    int released[64]; /* atomic; how often each was */
};

struct counted {
    struct fixture *f;
    unsigned number;
};

static void release(void *arg)
{
    struct counted *counted = arg;
    wire_count(&counted->f->released[counted->number]);
    free(counted);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    wire_open(&f->wire, NULL);
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

/* Settings whose CORS allows "https://siteN.example" alone. */
static enum status replace(struct fixture *f, unsigned number)
{
    static char origins[64][40];
    (void)snprintf(origins[number], sizeof(origins[number]), "https://site%u.example", number);
    const struct http_policy policy = { .cors.origins = slice_cstr(origins[number]) };
    const struct http_options options = { .policies = &policy, .policies_len = 1 };
    struct http_settings *settings;
    enum status st = http_settings_new(f->wire.app, &options, &settings);
    if (st != STATUS_OK)
        return st;
    struct counted *counted = malloc(sizeof(*counted));
    *counted = (struct counted){ .f = f, .number = number };
    http_settings_release_set(settings, release, counted);
    http_settings_publish(settings, &f->wire.loop, 1, NULL, NULL);
    return STATUS_OK;
}

static void wait_living(const struct fixture *f, unsigned want)
{
    for (int i = 0; i < 10000 && http_settings_living(f->wire.app) != want; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    assert_int_equal(http_settings_living(f->wire.app), want);
}

/* A request whose handler waits for its body. */
static struct client *begin(struct fixture *f, unsigned number)
{
    char head[300];
    struct client *c = client_open(f->wire.port);
    (void)snprintf(head, sizeof(head),
                   "POST /echo HTTP/1.1\r\nHost: h\r\nOrigin: https://site%u.example\r\n"
                   "Content-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
                   number);
    assert_true(client_say(c, head));
    const struct slice want = SLICE("HTTP/1.1 100 Continue\r\n\r\n");
    while (c->end - c->start < want.len)
        assert_true(client_fill(c));
    assert_memory_equal(c->data + c->start, want.data, want.len);
    c->start += want.len;
    return c;
}

static void end(struct client *c, unsigned number)
{
    char origin[64];
    struct answer a = { 0 };
    (void)snprintf(origin, sizeof(origin), "https://site%u.example", number);
    assert_true(client_say(c, "hello"));
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.status, 200);
    check_header("a request of before", &a, "Access-Control-Allow-Origin", origin);
    answer_free(&a);
    client_close(c);
}

static void test_settings_hold_until_the_request_ends(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(replace(f, 1), STATUS_OK);
    wait_living(f, 1); /* the first ones are gone */
    struct client *c = begin(f, 1);
    assert_int_equal(replace(f, 2), STATUS_OK);
    struct answer a = { 0 };
    wire_ask(&f->wire, "GET /hello HTTP/1.1\r\nHost: h\r\nOrigin: https://site2.example\r\n\r\n",
             &a);
    check_header("a new request", &a, "Access-Control-Allow-Origin", "https://site2.example");
    assert_int_equal(wire_seen(&f->released[1]), 0);
    assert_int_equal(http_settings_living(f->wire.app), 2);
    end(c, 1);
    wait_living(f, 1);
    assert_int_equal(wire_seen(&f->released[1]), 1);
    assert_int_equal(wire_seen(&f->released[2]), 0);
    answer_free(&a);
}

static void test_settings_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct client *c[HTTP_SETTINGS_MAX];
    for (unsigned i = 1; i < HTTP_SETTINGS_MAX; i++) {
        assert_int_equal(replace(f, i), STATUS_OK);
        c[i] = begin(f, i);
    }
    wait_living(f, HTTP_SETTINGS_MAX - 1);
    assert_int_equal(replace(f, HTTP_SETTINGS_MAX), STATUS_OK); /* the last place */
    assert_int_equal(replace(f, 20), STATUS_EXHAUSTED);
    assert_int_equal(http_settings_living(f->wire.app), HTTP_SETTINGS_MAX);
    end(c[3], 3);
    wait_living(f, HTTP_SETTINGS_MAX - 1);
    assert_int_equal(wire_seen(&f->released[3]), 1);
    assert_int_equal(replace(f, 21), STATUS_OK);
    for (unsigned i = 1; i < HTTP_SETTINGS_MAX; i++) {
        if (i != 3)
            end(c[i], i);
    }
    wait_living(f, 1);
    for (unsigned i = 1; i <= HTTP_SETTINGS_MAX; i++)
        assert_int_equal(wire_seen(&f->released[i]), 1);
    assert_int_equal(wire_seen(&f->released[21]), 0);
}

/* Requests all the while: none goes by what is gone (AddressSanitizer, ThreadSanitizer). */
static void *ask_on(void *arg)
{
    struct fixture *f = arg;
    struct client *c = client_open(f->wire.port);
    struct answer a = { 0 };
    while (!__atomic_load_n(&f->released[63], __ATOMIC_ACQUIRE)) {
        assert_true(client_say(c, GET("/hello")));
        assert_true(client_answer(c, false, &a));
        assert_int_equal(a.status, 200);
    }
    answer_free(&a);
    client_close(c);
    return NULL;
}

static void test_settings_are_replaced_under_requests(void **state)
{
    struct fixture *f = *state;
    pthread_t thread; /* one: the client of wire.h reads headers into a place of its own */
    assert_int_equal(pthread_create(&thread, NULL, ask_on, f), 0);
    for (unsigned i = 1; i <= 50; i++) {
        while (replace(f, i) == STATUS_EXHAUSTED) /* posts wait in the queue */
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    wait_living(f, 1);
    wire_count(&f->released[63]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (unsigned i = 1; i < 50; i++)
        assert_int_equal(wire_seen(&f->released[i]), 1);
}

/* What is wrong changes nothing, and takes no place. */
static void test_settings_with_mistakes(void **state)
{
    struct fixture *f = *state;
    const struct http_policy policy = { .cors.origins = SLICE("not an origin") };
    const struct http_options options = { .policies = &policy, .policies_len = 1 };
    struct http_settings *settings = NULL;
    for (unsigned i = 0; i < 2 * HTTP_SETTINGS_MAX; i++)
        assert_int_equal(http_settings_new(f->wire.app, &options, &settings), STATUS_INVALID);
    assert_null(settings);
    assert_int_equal(http_settings_living(f->wire.app), 1);
    http_settings_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_settings_hold_until_the_request_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings_are_replaced_under_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings_with_mistakes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
