/* Protective headers: each profile's, what a handler says itself, what may be kept, and the names
 * that never leave. */
#include "wire.h"

#include "http/internal.h"

#define API_CSP "default-src 'none'; frame-ancestors 'none'"
#define DOWNLOAD_CSP API_CSP "; sandbox"

static void page(struct http_request *req, void *arg)
{
    (void)arg;
    http_send(req, 200, "text/html; charset=utf-8", SLICE("<p>hello"));
}

static void own_page(struct http_request *req, void *arg)
{
    (void)arg;
    http_header_add(req, SLICE("content-security-policy"), SLICE("default-src 'self'"));
    http_header_add(req, SLICE("Referrer-Policy"), SLICE("same-origin"));
    http_header_add(req, SLICE("Strict-Transport-Security"), SLICE("max-age=1"));
    http_send(req, 200, "text/html", SLICE("<p>hello"));
}

static void attachment(struct http_request *req, void *arg)
{
    (void)arg;
    http_header_add(req, SLICE("Content-Disposition"), SLICE("attachment; filename=\"a.csv\""));
    http_send(req, 200, "text/csv", SLICE("a,b\r\n"));
}

static void shown(struct http_request *req, void *arg)
{
    (void)arg;
    http_header_add(req, SLICE("Content-Disposition"), SLICE("inline"));
    http_send(req, 200, "image/png", SLICE("png"));
}

static void row(struct http_request *req, void *arg)
{
    (void)arg;
    http_header_add(req, SLICE("ETag"), SLICE("\"1\""));
    if (net_header_get(http_net(req), NET_HEADER_IF_NONE_MATCH))
        http_send_empty(req, 304);
    else
        http_send_json(req, 200, SLICE("{}"));
}

static void cached(struct http_request *req, void *arg)
{
    (void)arg;
    http_header_add(req, SLICE("cache-control"), SLICE("public, max-age=60"));
    http_header_add(req, SLICE("ETag"), SLICE("\"1\""));
    http_send_json(req, 200, SLICE("{}"));
}

static void telling(struct http_request *req, void *arg)
{
    (void)arg;
    http_header_add(req, SLICE("Server"), SLICE("purlin/1.2.3"));
    http_header_add(req, SLICE("x-powered-by"), SLICE("C"));
    http_header_add(req, SLICE("X-AspNet-Version"), SLICE("4"));
    http_header_add(req, SLICE("X-Kept"), SLICE("yes"));
    http_send_json(req, 200, SLICE("{}"));
}

static const struct http_policy policies[] = {
    { .timeout_us = 0 },
    { .match = SLICE_INIT("/off"), .headers = { .profile = HTTP_PROFILE_OFF } },
    { .match = SLICE_INIT("/files"), .headers = { .profile = HTTP_PROFILE_DOWNLOAD } },
    { .match = SLICE_INIT("/plain"), .headers = { .profile = HTTP_PROFILE_API } },
    { .match = SLICE_INIT("/site"), .headers = { .profile = HTTP_PROFILE_HTML } },
    { .match = SLICE_INIT("/other"),
      .headers = { .compat = true,
                   .csp = SLICE_INIT("default-src 'self'"),
                   .referrer = SLICE_INIT("origin"),
                   .permissions = SLICE_INIT("usb=()"),
                   .resource = SLICE_INIT("cross-origin") } },
};

static int set_up(void **state)
{
    static struct wire w;
    wire_make(&w,
              (struct http_options){ .policies = policies, .policies_len = ARRAY_LEN(policies) });
    *state = &w;
    return 0;
}

static int set_up_routes(void **state)
{
    static const struct {
        const char *pattern;
        http_inline_fn fn;
    } routes[] = {
        { "/page", page },       { "/own-page", own_page }, { "/attachment", attachment },
        { "/shown", shown },     { "/row", row },           { "/cached", cached },
        { "/telling", telling }, { "/off/page", page },     { "/off/cached", cached },
        { "/files/page", page }, { "/files/shown", shown }, { "/files/row", row },
        { "/plain/page", page }, { "/plain/row", row },     { "/site/row", row },
        { "/other/page", page }, { "/other/row", row },
    };
    if (set_up(state) != 0)
        return -1;
    struct wire *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        const char *reason = "";
        const struct http_route route = { .method = NET_METHOD_GET,
                                          .pattern = routes[i].pattern,
                                          .handle_inline = routes[i].fn };
        if (http_route_add(w->app, &route, &reason) != STATUS_OK)
            fail_msg("%s: %s", route.pattern, reason);
    }
    wire_serve(w, NULL);
    return 0;
}

static int tear_down(void **state)
{
    wire_close(*state);
    return 0;
}

static const char *const always[][2] = {
    { "X-Content-Type-Options", "nosniff" },
    { "X-Frame-Options", "DENY" },
    { "Cross-Origin-Opener-Policy", "same-origin" },
    { "Cross-Origin-Embedder-Policy", "require-corp" },
    { "X-Permitted-Cross-Domain-Policies", "none" },
};

static void test_profiles(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *csp, *cache, *disposition, *prefetch;
    } cases[] = {
        { GET("/hello"), 200, API_CSP, "no-store", NULL, NULL },
        { GET("/page"), 200, HTTP_CSP_PAGE, "no-store", NULL, "off" },
        { GET("/attachment"), 200, DOWNLOAD_CSP, "no-store", "attachment; filename=\"a.csv\"",
          NULL },
        { GET("/shown"), 200, API_CSP, "no-store", "inline", NULL },
        { GET("/row"), 200, API_CSP, "private, no-cache", NULL, NULL },
        { "GET /row HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"1\"\r\n\r\n", 304, API_CSP,
          "private, no-cache", NULL, NULL },
        { GET("/cached"), 200, API_CSP, NULL, NULL, NULL },
        { "HEAD /page HTTP/1.1\r\nHost: h\r\n\r\n", 200, HTTP_CSP_PAGE, "no-store", NULL, "off" },
        { GET("/nothing-here"), 404, API_CSP, "no-store", NULL, NULL },
        { "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 405, API_CSP, "no-store",
          NULL, NULL },
        { "OPTIONS /hello HTTP/1.1\r\nHost: h\r\n\r\n", 204, API_CSP, "no-store", NULL, NULL },
        { "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world", 413, API_CSP,
          "no-store", NULL, NULL },
        { GET("/no-answer"), 500, API_CSP, "no-store", NULL, NULL },
        { GET("/bad-header"), 500, API_CSP, "no-store", NULL, NULL },
        { GET("/admin"), 401, API_CSP, "no-store", NULL, NULL },
        { "BAD\r\n\r\n", 400, API_CSP, "no-store", NULL, NULL },
        { GET("/stream/1/1"), 200, API_CSP, "no-store", NULL, NULL },
        /* What a route group asks for */
        { GET("/files/shown"), 200, DOWNLOAD_CSP, "no-store", "inline", NULL },
        { GET("/files/row"), 200, DOWNLOAD_CSP, "private, no-cache", "attachment", NULL },
        { GET("/files/page"), 200, DOWNLOAD_CSP, "no-store", "attachment", NULL },
        { GET("/files/none"), 404, API_CSP, "no-store", NULL, NULL },
        { GET("/plain/row"), 200, API_CSP, "private, no-cache", NULL, NULL },
        { GET("/plain/page"), 200, HTTP_CSP_PAGE, "no-store", NULL, "off" },
        { GET("/site/row"), 200, HTTP_CSP_PAGE, "private, no-cache", NULL, "off" },
        { GET("/other/page"), 200, "default-src 'self'", "no-store", NULL, "off" },
        { GET("/other/row"), 200, API_CSP, "private, no-cache", NULL, NULL },
    };
    struct answer a = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *where = cases[i].request;
        wire_ask(*state, where, &a);
        if (a.status != cases[i].status)
            fail_msg("%s: %d, not %d", where, a.status, cases[i].status);
        for (size_t k = 0; k < ARRAY_LEN(always); k++)
            check_header(where, &a, always[k][0], always[k][1]);
        check_header(where, &a, "Content-Security-Policy", cases[i].csp);
        check_header(where, &a, "Cache-Control", cases[i].cache);
        check_header(where, &a, "Content-Disposition", cases[i].disposition);
        check_header(where, &a, "X-DNS-Prefetch-Control", cases[i].prefetch);
        check_header(where, &a, "Strict-Transport-Security", NULL); /* never in clear */
        bool is_other = strstr(where, "/other") != NULL;
        check_header(where, &a, "X-XSS-Protection", is_other ? "1; mode=block" : "0");
        check_header(where, &a, "Referrer-Policy", is_other ? "origin" : "no-referrer");
        check_header(where, &a, "Permissions-Policy", is_other ? "usb=()" : HTTP_PERMISSIONS);
        check_header(where, &a, "Cross-Origin-Resource-Policy",
                     is_other ? "cross-origin" : "same-origin");
    }
    answer_free(&a);
}

/* A control character is found wherever it stands in a header, and nothing else is taken for one.
 */
static void test_control_characters_are_bad(void **state)
{
    (void)state;
    struct http_request *req = calloc(1, sizeof(*req));
    assert_non_null(req);
    for (unsigned c = 0; c < 256; c++) {
        bool is_bad = (c < 0x20 && c != '\t') || c == 0x7f;
        for (size_t len = 1; len <= 18; len++) {
            for (size_t at = 0; at < len; at++) {
                char value[18];
                memset(value, at % 2 ? 'a' : '\xff', sizeof(value));
                value[at] = (char)c;
                req->header_bad = false;
                req->headers_len = 0;
                http_header_add(req, SLICE("X-Name"), slice_of(value, len));
                if (req->header_bad != is_bad)
                    fail_msg("%#x at %zu of %zu", c, at, len);
            }
        }
    }
    free(req);
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *at = text; (at = strcasestr(at, part)); at++)
        n++;
    return n;
}

static void test_handlers_win(void **state)
{
    struct answer a = { 0 };
    wire_ask(*state, GET("/own-page"), &a);
    check_header("own", &a, "content-security-policy", "default-src 'self'");
    check_header("own", &a, "Referrer-Policy", "same-origin");
    check_header("own", &a, "Strict-Transport-Security", "max-age=1");
    check_header("own", &a, "X-Frame-Options", "DENY");
    check_header("own", &a, "Cache-Control", "no-store");
    assert_int_equal(count_of(a.head, "\ncontent-security-policy:"), 1);
    assert_int_equal(count_of(a.head, "\nreferrer-policy:"), 1);
    wire_ask(*state, GET("/cached"), &a);
    assert_int_equal(count_of(a.head, "\ncache-control:"), 1);
    answer_free(&a);
}

static void test_off_is_off(void **state)
{
    struct answer a = { 0 };
    wire_ask(*state, GET("/off/page"), &a);
    for (size_t k = 0; k < ARRAY_LEN(always); k++)
        check_header("off", &a, always[k][0], NULL);
    check_header("off", &a, "Content-Security-Policy", NULL);
    check_header("off", &a, "Cache-Control", NULL);
    wire_ask(*state, GET("/off/cached"), &a);
    check_header("off", &a, "cache-control", "public, max-age=60");
    answer_free(&a);
}

static void test_nothing_is_disclosed(void **state)
{
    struct answer a = { 0 };
    wire_ask(*state, GET("/telling"), &a);
    assert_int_equal(a.status, 200);
    check_header("telling", &a, "X-Kept", "yes");
    assert_int_equal(count_of(a.head, "\nserver:"), 0);
    assert_int_equal(count_of(a.head, "\nx-powered-by:"), 0);
    assert_int_equal(count_of(a.head, "\nx-aspnet-version:"), 0);
    answer_free(&a);
}

static void test_disclosing_names(void **state)
{
    (void)state;
    static const char *const telling_names[] = {
        "Server",
        "SERVER",
        "server",
        "X-Powered-By",
        "x-aspnet-version",
        "X-AspNetMvc-Version",
        "$wsep",
        "Host-Header",
        "K-Proxy-Request",
        "Liferay-Portal",
        "Product",
        "SourceMap",
        "X-Kubernetes-PF-PriorityLevel-UID",
        "X-ruxit-JS-Agent",
        "X-Varnish",
        "X-Version",
        "MicrosoftSharePointTeamServices",
        "OracleCommerceCloud-Version",
        "Pega-Host",
    };
    static const char *const plain_names[] = {
        "",
        "X",
        "Serve",
        "Servers",
        "Server-Timing",
        "Set-Cookie",
        "X-Request-Id",
        "X-Content-Type-Options",
        "X-Frame-Options",
        "Location",
        "Link",
        "ETag",
        "Last-Modified",
        "Retry-After",
        "Host",
        "Keep-Alive",
        "Permissions-Policy",
        "Pragma",
        "X-Versions",
        "X-Kubernetes-PF-PriorityLevel-UIDs-and-more",
    };
    for (size_t i = 0; i < ARRAY_LEN(telling_names); i++) {
        if (!http_header_is_disclosing(slice_cstr(telling_names[i])))
            fail_msg("%s passes", telling_names[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(plain_names); i++) {
        if (http_header_is_disclosing(slice_cstr(plain_names[i])))
            fail_msg("%s does not pass", plain_names[i]);
    }
    assert_false(http_header_is_disclosing(SLICE("server\0")));
    assert_false(http_header_is_disclosing(SLICE("\0erver")));
}

/* HSTS is ready for when the connection is TLS. */
static void test_hsts_lines(void **state)
{
    (void)state;
    static const struct {
        struct http_headers_policy headers;
        const char *want; /* NULL: none */
    } cases[] = {
        { { .compat = false }, "max-age=63072000; includeSubDomains\r\n" },
        { { .hsts_preload = true }, "max-age=63072000; includeSubDomains; preload\r\n" },
        { { .hsts_host_only = true, .hsts_us = 60 * CLOCK_SECOND }, "max-age=60\r\n" },
        { { .hsts_us = -1 }, NULL },
        { { .profile = HTTP_PROFILE_OFF }, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct http_policy policy = { .headers = cases[i].headers };
        struct http_app *app;
        assert_int_equal(
            http_app_new(&(struct http_options){ .policies = &policy, .policies_len = 1 }, &app),
            STATUS_OK);
        for (unsigned p = 0; p < HTTP__PROFILES; p++) {
            struct slice clear = app->latest->standards[0].blocks[p][0];
            struct slice secure = app->latest->standards[0].blocks[p][1];
            size_t at = slice_find_slice(secure, SLICE("Strict-Transport-Security: "));
            assert_true(slice_find_slice(clear, SLICE("Strict-Transport")) == SIZE_MAX);
            if ((at == SIZE_MAX) != !cases[i].want ||
                (cases[i].want &&
                 !slice_starts(slice_from(secure, at + 27), slice_cstr(cases[i].want))))
                fail_msg("%zu: %.*s", i, SLICE_ARG(secure));
        }
        http_app_free(app);
    }
}

/* Text that is too long for a block is an error at start, not a cut header. */
static void test_blocks_are_bounded(void **state)
{
    (void)state;
    struct arena *arena = arena_new(NULL, 0);
    char *text = arena_alloc(arena, 20000);
    memset(text, 'a', 20000);
    const struct http_policy policy = { .headers = { .csp = slice_of(text, 20000) } };
    struct http_app *app;
    assert_int_equal(
        http_app_new(&(struct http_options){ .policies = &policy, .policies_len = 1 }, &app),
        STATUS_TOO_LARGE);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_handlers_win),
        cmocka_unit_test(test_off_is_off),
        cmocka_unit_test(test_nothing_is_disclosed),
        cmocka_unit_test(test_disclosing_names),
        cmocka_unit_test(test_hsts_lines),
        cmocka_unit_test(test_blocks_are_bounded),
        cmocka_unit_test(test_control_characters_are_bad),
    };
    return cmocka_run_group_tests(tests, set_up_routes, tear_down);
}
