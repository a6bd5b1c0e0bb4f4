/* Which policy holds for a path, and what of a policy a request feels. */
#include "wire.h"

#include "http/internal.h"

static const struct http_policy policies[] = {
    { .body_bytes_max = 100 },
    { .match = SLICE_INIT("/echo"), .body_bytes_max = 5, .timeout_us = 7 },
    { .match = SLICE_INIT("/echo/deep/down"), .body_bytes_max = 50 },
    { .match = SLICE_INIT("/echo/deep"), .body_bytes_max = 20 },
    { .match = SLICE_INIT("/park"), .timeout_us = 50 * CLOCK_MS },
    { .match = SLICE_INIT("/small"), .body_bytes_max = 1000 },
    { .match = SLICE_INIT("/query"), .query_max = 2 },
};

static void test_the_longest_holds(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        unsigned policy;
    } cases[] = {
        { "/", 0 },
        { "", 0 },
        { "/other", 0 },
        { "/echo", 1 },
        { "/echo/", 1 },
        { "/echo/x", 1 },
        { "/echoes", 0 }, /* whole segments */
        { "/echo-x", 0 },
        { "/Echo", 0 },
        { "/echo/deep", 3 },
        { "/echo/deeper", 1 },
        { "/echo/deep/x", 3 },
        { "/echo/deep/down", 2 },
        { "/echo/deep/down/x/y", 2 },
        { "/x/echo", 0 },
    };
    struct http_app *app;
    const struct http_options options = { .policies = policies,
                                          .policies_len = ARRAY_LEN(policies) };
    assert_int_equal(http_app_new(&options, &app), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct http_policy *p = http_policy_of(app, slice_cstr(cases[i].path));
        if (p != &app->latest->policies[cases[i].policy])
            fail_msg("%s: policy %td", cases[i].path, p - app->latest->policies);
    }
    assert_ptr_equal(http_policy_of(app, SLICE_NULL), &app->latest->policies[0]);
    /* What is 0 has the default. */
    assert_int_equal(app->latest->policies[0].timeout_us, 30 * CLOCK_SECOND);
    assert_int_equal(app->latest->policies[1].timeout_us, 7);
    http_app_free(app);
}

static void test_no_policy_is_the_default(void **state)
{
    (void)state;
    struct http_app *app;
    assert_int_equal(http_app_new(&(struct http_options){ .access_log = false }, &app), STATUS_OK);
    assert_int_equal(app->latest->policies_len, 1);
    assert_ptr_equal(http_policy_of(app, SLICE("/x")), &app->latest->policies[0]);
    http_app_free(app);
}

#define POST(path, n) "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: " #n "\r\n\r\n"

static void test_requests_feel_it(void **state)
{
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        { POST("/echo", 5) "hello", 200 },
        { POST("/echo", 6) "hello!", 413 },
        /* A route's own limit is the route's. */
        { POST("/small", 11) "hello world", 413 },
        { POST("/small", 10) "hello worl", 200 },
        { GET("/park"), 503 },
        { GET("/query?a=1&b=2"), 200 },
        { GET("/query?a=1&&b=2&"), 200 },
        { GET("/query?a=1&b=2&c=3"), 400 },
    };
    struct wire w;
    wire_make(&w,
              (struct http_options){ .policies = policies, .policies_len = ARRAY_LEN(policies) });
    wire_serve(&w, NULL);
    (void)state;
    struct answer a = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (i == 0) /* the deadline of 7 us would strike first */
            w.app->latest->policies[1].timeout_us = 30 * CLOCK_SECOND;
        wire_ask(&w, cases[i].request, &a);
        if (a.status != cases[i].status)
            fail_msg("%s: %d", cases[i].request, a.status);
    }
    answer_free(&a);
    wire_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_longest_holds),
        cmocka_unit_test(test_no_policy_is_the_default),
        cmocka_unit_test(test_requests_feel_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
