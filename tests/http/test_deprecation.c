/* Paths that age: the lines that say so, and the end. */
#include "wire.h"

#define IN_2026 (INT64_C(1767225600) * CLOCK_SECOND)
#define IN_2120 (INT64_C(4733510400) * CLOCK_SECOND)
#define PAGE "https://example.org/changes"

static const struct http_policy policies[] = {
    { .timeout_us = 0 },
    { .match = SLICE_INIT("/hello"),
      .deprecation = { .deprecated_us = IN_2026,
                       .sunset_us = IN_2120,
                       .gone_after_sunset = true,
                       .link = SLICE_INIT(PAGE) } },
    { .match = SLICE_INIT("/query"),
      .deprecation = { .deprecated_us = IN_2026, .link = SLICE_INIT(PAGE) } },
    { .match = SLICE_INIT("/echo"),
      .deprecation = { .deprecated_us = CLOCK_SECOND,
                       .sunset_us = 2 * CLOCK_SECOND,
                       .gone_after_sunset = true,
                       .link = SLICE_INIT(PAGE) } },
    { .match = SLICE_INIT("/json"),
      .deprecation = { .deprecated_us = CLOCK_SECOND, .sunset_us = 2 * CLOCK_SECOND } },
    { .match = SLICE_INIT("/off"),
      .headers = { .profile = HTTP_PROFILE_OFF },
      .deprecation = { .deprecated_us = IN_2026 } },
};

static int set_up(void **state)
{
    static struct wire w;
    wire_make(&w,
              (struct http_options){ .policies = policies, .policies_len = ARRAY_LEN(policies) });
    const char *reason;
    const struct http_route routes[] = {
        { .method = NET_METHOD_GET,
          .pattern = "/aging",
          .handle_inline = wire_hello,
          .deprecated_us = IN_2026,
          .sunset_us = IN_2120 },
        { .method = NET_METHOD_GET,
          .pattern = "/aging-slowly",
          .handle_inline = wire_hello,
          .deprecated_us = IN_2026 },
        { .method = NET_METHOD_GET, .pattern = "/off/hello", .handle_inline = wire_hello },
    };
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        assert_int_equal(http_route_add(w.app, &routes[i], &reason), STATUS_OK);
    wire_serve(&w, NULL);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    wire_close(*state);
    return 0;
}

static void test_lines(void **state)
{
    static const char both[] = "<" PAGE ">; rel=\"deprecation\"; type=\"text/html\"";
    static const struct {
        const char *request;
        int status;
        const char *deprecation, *sunset, *link;
    } cases[] = {
        { GET("/hello"), 200, "@1767225600", "Mon, 01 Jan 2120 00:00:00 GMT", both },
        { GET("/hello/nothing"), 404, "@1767225600", "Mon, 01 Jan 2120 00:00:00 GMT", both },
        { GET("/query"), 200, "@1767225600", NULL, both },
        { GET("/echo"), 410, "@1", "Thu, 01 Jan 1970 00:00:02 GMT", both },
        { "POST /json HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
          "Content-Length: 2\r\n\r\n{}",
          200, "@1", "Thu, 01 Jan 1970 00:00:02 GMT", NULL },
        { GET("/aging"), 200, "@1767225600", "Mon, 01 Jan 2120 00:00:00 GMT", NULL },
        { GET("/aging-slowly"), 200, "@1767225600", NULL, NULL },
        { GET("/off/hello"), 200, "@1767225600", NULL, NULL },
        { GET("/empty"), 204, NULL, NULL, NULL },
    };
    struct answer a = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        wire_ask(*state, cases[i].request, &a);
        if (a.status != cases[i].status)
            fail_msg("%s: %d", cases[i].request, a.status);
        check_header(cases[i].request, &a, "Deprecation", cases[i].deprecation);
        check_header(cases[i].request, &a, "Sunset", cases[i].sunset);
        check_header(cases[i].request, &a, "Link", cases[i].link);
    }
    answer_free(&a);
}

/* The link is named once for each relation that holds. */
static void test_relations(void **state)
{
    struct answer a = { 0 };
    wire_ask(*state, GET("/hello"), &a);
    assert_non_null(strstr(a.head, "Link: <" PAGE ">; rel=\"sunset\"; type=\"text/html\"\n"));
    wire_ask(*state, GET("/query"), &a);
    assert_null(strstr(a.head, "rel=\"sunset\""));
    wire_ask(*state, GET("/echo"), &a);
    assert_non_null(strstr(a.body, "\"code\":\"gone\""));
    answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_relations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
