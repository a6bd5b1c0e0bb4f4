/* CORS: which origins are in a list, what a preflight and every other answer say to them. */
#include "wire.h"

#include "http/internal.h"

/* -- lists of origins
 * ------------------------------------------------------------------------------------- */

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        const char *wrong; /* how the complaint begins; NULL: good */
    } cases[] = {
        { "", NULL },
        { "*", NULL },
        { " * ", NULL },
        { "null", NULL },
        { "https://app.example.org", NULL },
        { "HTTPS://App.Example.ORG", NULL },
        { "https://app.example.org, http://localhost:3000", NULL },
        { "https://*.example.org", NULL },
        { "https://*.example.org:8443", NULL },
        { "http://[::1]:8080", NULL },
        { "capacitor://localhost", NULL },
        { "chrome-extension://abcdefghijklmnop", NULL },
        { "*, https://app.example.org", "are either" },
        { "*, null", "are either" },
        { "app.example.org", "must be origins" },
        { "https://", "must be origins" },
        { "https://app.example.org/", "must be origins" },
        { "https://app.example.org/path", "must be origins" },
        { "https://app.example.org:", "must be origins" },
        { "https://app.example.org:0", "must be origins" },
        { "https://app.example.org:65536", "must be origins" },
        { "https://app.example.org:-1", "must be origins" },
        { "https://me@app.example.org", "must be origins" },
        { "https://app..example.org", "must be origins" },
        { "https://app.example.org.", "must be origins" },
        { "https://app example.org", "must be origins" },
        { "https://app.example.org,", "must be origins" },
        { "://app.example.org", "must be origins" },
        { "1a://app.example.org", "must be origins" },
        { "http://[::g]", "must be origins" },
        { "https://*.org", "may have a star" },
        { "https://*", "may have a star" },
        { "https://*example.org", "may have a star" },
        { "https://app.*.example.org", "must be origins" },
        { "https://*.*.example.org", "may have a star" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct http_cors_policy policy = { .origins = slice_cstr(cases[i].list) };
        const char *wrong = http_cors_check(&policy);
        if (!wrong != !cases[i].wrong ||
            (wrong && strncmp(wrong, cases[i].wrong, strlen(cases[i].wrong)) != 0))
            fail_msg("%s: %s", cases[i].list, wrong ? wrong : "good");
    }
}

static void test_credentials_need_a_list(void **state)
{
    (void)state;
    struct http_cors_policy policy = { .credentials = true, .origins = SLICE_INIT("*") };
    assert_non_null(http_cors_check(&policy));
    policy.origins = SLICE("https://a.example.org, null");
    assert_non_null(http_cors_check(&policy));
    policy.origins = SLICE("https://a.example.org");
    assert_null(http_cors_check(&policy));
    policy.origins = SLICE("");
    assert_null(http_cors_check(&policy));

    policy.origins = SLICE("*");
    const struct http_policy policies[] = { { .cors = policy } };
    struct http_app *app;
    assert_int_equal(
        http_app_new(&(struct http_options){ .policies = policies, .policies_len = 1 }, &app),
        STATUS_INVALID);
}

static void test_lists_are_bounded(void **state)
{
    (void)state;
    char list[4096] = "";
    size_t len = 0;
    for (unsigned i = 0; i < HTTP__ORIGINS_MAX; i++)
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%shttps://h%u.example.org",
                                i ? "," : "", i);
    struct http_cors_policy policy = { .origins = slice_of(list, len) };
    assert_null(http_cors_check(&policy));
    len += (size_t)snprintf(list + len, sizeof(list) - len, ",https://one.too.many");
    policy.origins = slice_of(list, len);
    assert_string_equal(http_cors_check(&policy), "are too many: at most 64");
}

static void test_matches(void **state)
{
    (void)state;
    static const char list[] = "https://app.example.org, https://*.example.net, "
                               "https://*.example.com:8443, http://localhost:3000, "
                               "https://port.example.org:443, http://[::1]:8080";
    static const struct {
        const char *origin;
        bool is_in;
    } cases[] = {
        { "https://app.example.org", true },
        { "http://localhost:3000", true },
        { "http://[::1]:8080", true },
        { "https://port.example.org", true }, /* browsers leave the default port off */
        { "https://port.example.org:443", false },
        { "https://a.example.net", true },
        { "https://a.b.example.net", true },
        { "https://a.example.com:8443", true },
        /* Nothing that only looks like one */
        { "http://app.example.org", false },
        { "https://app.example.org:8443", false },
        { "https://app.example.org:443", false },
        { "https://app.example.org.", false },
        { "https://app.example.org.evil", false },
        { "https://evil-app.example.org", false },
        { "https://evil.org", false },
        { "https://APP.example.org", false },
        { "HTTPS://app.example.org", false },
        { "https://app.example.org/", false },
        { "https://app.example.org ", false },
        { "app.example.org", false },
        { "https://example.net", false }, /* the star is at least one label */
        { "https://.example.net", false },
        { "https://evilexample.net", false },
        { "https://evil-example.net", false },
        { "https://a.example.net.evil.org", false },
        { "https://a.example.net:8443", false },
        { "http://a.example.net", false },
        { "https://evil.org/.example.net", false },
        { "https://evil.org?.example.net", false },
        { "https://evil.org#.example.net", false },
        { "https://evil.org:80.example.net", false },
        { "https://evil@a.example.net", false },
        { "https://a..example.net", false },
        { "https://A.example.net", false },
        { "https://a.example.com", false },
        { "https://a.example.com:443", false },
        { "http://localhost", false },
        { "http://localhost:30000", false },
        { "null", false },
        { "*", false },
        { "", false },
    };
    struct arena *arena = arena_new(NULL, 0);
    struct http__origins origins;
    assert_null(http__origins_parse(arena, SLICE(list), &origins));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (http__origins_have(&origins, slice_cstr(cases[i].origin)) != cases[i].is_in)
            fail_msg("%s", cases[i].origin);
    }
    arena_free(arena);
}

/* -- over the wire
 * ---------------------------------------------------------------------------------------- */

static const struct http_policy policies[] = {
    { .timeout_us = 0 },
    { .match = SLICE_INIT("/echo"),
      .cors = { .origins = SLICE_INIT("https://app.example.org, https://*.example.net"),
                .credentials = true,
                .max_age_us = 600 * CLOCK_SECOND } },
    { .match = SLICE_INIT("/small"),
      .cors = { .origins = SLICE_INIT("https://app.example.org"),
                .headers = SLICE_INIT("X-One"),
                .expose = SLICE_INIT("X-Two"),
                .private_network = true } },
    { .match = SLICE_INIT("/hello"), .cors = { .origins = SLICE_INIT("*") } },
    { .match = SLICE_INIT("/admin"), .cors = { .origins = SLICE_INIT("https://app.example.org") } },
    { .match = SLICE_INIT("/json"), .cors = { .origins = SLICE_INIT("null") } },
};

static int set_up(void **state)
{
    static struct wire w;
    wire_make(&w,
              (struct http_options){ .policies = policies, .policies_len = ARRAY_LEN(policies) });
    wire_serve(&w, NULL);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    wire_close(*state);
    return 0;
}

#define PREFLIGHT(path, origin, method)                                                            \
    "OPTIONS " path " HTTP/1.1\r\nHost: h\r\nOrigin: " origin                                      \
    "\r\nAccess-Control-Request-Method: " method "\r\n"

static void test_preflights(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *origin, *credentials, *methods, *headers, *max_age, *vary;
    } cases[] = {
        { PREFLIGHT("/echo", "https://app.example.org", "PUT") "\r\n", 204,
          "https://app.example.org", "true", "GET, HEAD, POST, PUT, OPTIONS", HTTP_CORS_HEADERS,
          "600", "Origin" },
        { PREFLIGHT("/echo", "https://a.b.example.net", "PUT") "\r\n", 204,
          "https://a.b.example.net", "true", "GET, HEAD, POST, PUT, OPTIONS", HTTP_CORS_HEADERS,
          "600", "Origin" },
        { PREFLIGHT("/small", "https://app.example.org", "POST") "\r\n", 204,
          "https://app.example.org", NULL, "POST, OPTIONS", "X-One", "7200", "Origin" },
        { PREFLIGHT("/hello", "https://anybody.example", "GET") "\r\n", 204, "*", NULL,
          "GET, HEAD, OPTIONS", HTTP_CORS_HEADERS, "7200", NULL },
        /* Before anybody is asked who they are */
        { PREFLIGHT("/admin", "https://app.example.org", "GET") "\r\n", 204,
          "https://app.example.org", NULL, "GET, HEAD, OPTIONS", HTTP_CORS_HEADERS, "7200",
          "Origin" },
        /* What comes after it may read the 404. */
        { PREFLIGHT("/echo/nothing", "https://app.example.org", "PUT") "\r\n", 204,
          "https://app.example.org", "true", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
          HTTP_CORS_HEADERS, "600", "Origin" },
        { PREFLIGHT("/json", "null", "POST") "\r\n", 204, "null", NULL, "POST, OPTIONS",
          HTTP_CORS_HEADERS, "7200", "Origin" },
        { PREFLIGHT("/echo", "https://app.example.org.evil", "PUT") "\r\n", 403, NULL, NULL, NULL,
          NULL, NULL, "Origin" },
        { PREFLIGHT("/echo", "null", "PUT") "\r\n", 403, NULL, NULL, NULL, NULL, NULL, "Origin" },
        { PREFLIGHT("/echo", "", "PUT") "\r\n", 403, NULL, NULL, NULL, NULL, NULL, "Origin" },
        /* Nothing is configured: OPTIONS as ever */
        { PREFLIGHT("/query", "https://app.example.org", "GET") "\r\n", 204, NULL, NULL, NULL, NULL,
          NULL, NULL },
        /* No preflight */
        { "OPTIONS /echo HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example.org\r\n\r\n", 204,
          "https://app.example.org", "true", NULL, NULL, NULL, "Origin" },
        { "OPTIONS /echo HTTP/1.1\r\nHost: h\r\n\r\n", 204, NULL, NULL, NULL, NULL, NULL,
          "Origin" },
    };
    struct answer a = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *where = cases[i].request;
        wire_ask(*state, where, &a);
        if (a.status != cases[i].status)
            fail_msg("%s: %d", where, a.status);
        check_header(where, &a, "Access-Control-Allow-Origin", cases[i].origin);
        check_header(where, &a, "Access-Control-Allow-Credentials", cases[i].credentials);
        check_header(where, &a, "Access-Control-Allow-Methods", cases[i].methods);
        check_header(where, &a, "Access-Control-Allow-Headers", cases[i].headers);
        check_header(where, &a, "Access-Control-Max-Age", cases[i].max_age);
        check_header(where, &a, "Vary", cases[i].vary);
        check_header(where, &a, "Access-Control-Allow-Private-Network", NULL);
    }
    answer_free(&a);
}

static void test_private_network(void **state)
{
    static const struct {
        const char *request, *want;
    } cases[] = {
        { PREFLIGHT("/small", "https://app.example.org",
                    "POST") "Access-Control-Request-Private-Network: true\r\n\r\n",
          "true" },
        { PREFLIGHT("/small", "https://app.example.org", "POST") "\r\n", NULL },
        { PREFLIGHT("/echo", "https://app.example.org",
                    "PUT") "Access-Control-Request-Private-Network: true\r\n\r\n",
          NULL },
        { PREFLIGHT("/small", "https://evil.example",
                    "POST") "Access-Control-Request-Private-Network: true\r\n\r\n",
          NULL },
    };
    struct answer a = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        wire_ask(*state, cases[i].request, &a);
        check_header(cases[i].request, &a, "Access-Control-Allow-Private-Network", cases[i].want);
    }
    answer_free(&a);
}

#define FROM(path, origin) "GET " path " HTTP/1.1\r\nHost: h\r\nOrigin: " origin "\r\n\r\n"

static void test_answers(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *origin, *credentials, *expose, *vary;
    } cases[] = {
        { FROM("/echo", "https://app.example.org"), 200, "https://app.example.org", "true",
          HTTP_CORS_EXPOSE, "Origin" },
        { FROM("/echo", "https://evil.example"), 200, NULL, NULL, NULL, "Origin" },
        { FROM("/echo", "null"), 200, NULL, NULL, NULL, "Origin" },
        { GET("/echo"), 200, NULL, NULL, NULL, "Origin" },
        { FROM("/hello", "https://evil.example"), 200, "*", NULL, HTTP_CORS_EXPOSE, NULL },
        { FROM("/hello", "null"), 200, "*", NULL, HTTP_CORS_EXPOSE, NULL },
        { GET("/hello"), 200, "*", NULL, HTTP_CORS_EXPOSE, NULL },
        { FROM("/query", "https://app.example.org"), 200, NULL, NULL, NULL, NULL },
        /* Problems too, whoever found them */
        { FROM("/echo/nothing", "https://app.example.org"), 404, "https://app.example.org", "true",
          HTTP_CORS_EXPOSE, "Origin" },
        { FROM("/admin", "https://app.example.org"), 401, "https://app.example.org", NULL,
          HTTP_CORS_EXPOSE, "Origin" },
        { "DELETE /echo HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example.org\r\n\r\n", 405,
          "https://app.example.org", "true", HTTP_CORS_EXPOSE, "Origin" },
        { "POST /small HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example.org\r\n"
          "Content-Length: 11\r\n\r\nhello world",
          413, "https://app.example.org", NULL, "X-Two", "Origin" },
        { "POST /small HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example.org\r\n"
          "Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
          413, "https://app.example.org", NULL, "X-Two", "Origin" },
        { "GET /echo HTTP/1.1\r\nHost: a/b\r\nOrigin: https://app.example.org\r\n\r\n", 400,
          "https://app.example.org", "true", HTTP_CORS_EXPOSE, "Origin" },
        /* Refused before it is looked at as a preflight */
        { "OPTIONS /echo HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example.org\r\n"
          "Access-Control-Request-Method: PUT\r\nExpect: pony\r\n\r\n",
          417, "https://app.example.org", "true", NULL, "Origin" },
    };
    struct answer a = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *where = cases[i].request;
        wire_ask(*state, where, &a);
        if (a.status != cases[i].status)
            fail_msg("%s: %d", where, a.status);
        check_header(where, &a, "Access-Control-Allow-Origin", cases[i].origin);
        check_header(where, &a, "Access-Control-Allow-Credentials", cases[i].credentials);
        check_header(where, &a, "Access-Control-Expose-Headers", cases[i].expose);
        check_header(where, &a, "Vary", cases[i].vary);
    }
    answer_free(&a);
}

static void test_counted(void **state)
{
    struct wire *w = *state;
    struct answer a = { 0 };
    metric_series denied = w->app->standards_series[HTTP__PREFLIGHT_DENIED];
    metric_series allowed = w->app->standards_series[HTTP__PREFLIGHT_ALLOWED];
    int64_t denied_before = metric_value(w->metrics, denied);
    int64_t allowed_before = metric_value(w->metrics, allowed);
    wire_ask(w, PREFLIGHT("/echo", "https://evil.example", "PUT") "\r\n", &a);
    wire_ask(w, PREFLIGHT("/echo", "https://app.example.org", "PUT") "\r\n", &a);
    assert_int_equal(metric_value(w->metrics, denied), denied_before + 1);
    assert_int_equal(metric_value(w->metrics, allowed), allowed_before + 1);
    answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_credentials_need_a_list),
        cmocka_unit_test(test_lists_are_bounded),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_preflights),
        cmocka_unit_test(test_private_network),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_counted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
