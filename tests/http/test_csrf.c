/* CSRF: who is asked, what the browser says of where a request was made, and tokens. */
#include "wire.h"

#include "http/internal.h"

#define SECRET "a-secret-of-these-tests"
#define SESSION "s3ss10n"

enum kind {
    FRESH,
    OLD,     /* past half its life */
    EXPIRED, /* past all of it */
    EARLY,   /* of a clock that is ahead */
    PREVIOUS,
    FOREIGN, /* of another secret */
    STRANGER /* of another session */
};
#define KINDS 7u

static char tokens[KINDS][HTTP_CSRF_TOKEN_LEN + 1];

static struct http_app *app_of(const char *secret, const char *previous)
{
    struct http_app *app;
    const struct http_options options = { .secret = slice_cstr(secret),
                                          .secret_previous = slice_cstr(previous) };
    assert_int_equal(http_app_new(&options, &app), STATUS_OK);
    return app;
}

static void make_token(enum kind kind, const char *secret, const char *session, int64_t wall_us)
{
    struct http_app *app = app_of(secret, "");
    clock_fake_set(wall_us, 1);
    http_csrf_token_make(app, slice_cstr(session), tokens[kind]);
    clock_fake_set(0, 0);
    http_app_free(app);
}

/* Tokens as they would be at the real `now`, before any server runs on this clock. */
static void make_tokens(void)
{
    int64_t now_us = clock_wall_us();
    make_token(FRESH, SECRET, SESSION, now_us);
    make_token(OLD, SECRET, SESSION, now_us - 13 * CLOCK_HOUR);
    make_token(EXPIRED, SECRET, SESSION, now_us - 25 * CLOCK_HOUR);
    make_token(EARLY, SECRET, SESSION, now_us + CLOCK_HOUR);
    make_token(PREVIOUS, "the-secret-before-this-one", SESSION, now_us);
    make_token(FOREIGN, "the-secret-of-somebody-else", SESSION, now_us);
    make_token(STRANGER, SECRET, "another", now_us);
}

/* -- tokens
 * -----------------------------------------------------------------------------------------------
 */

static void test_tokens(void **state)
{
    (void)state;
    struct http_app *app = app_of(SECRET, "the-secret-before-this-one");
    char one[HTTP_CSRF_TOKEN_LEN], two[HTTP_CSRF_TOKEN_LEN];
    http_csrf_token_make(app, SLICE(SESSION), one);
    http_csrf_token_make(app, SLICE(SESSION), two);
    assert_memory_not_equal(one, two, sizeof(one));
    assert_true(http_csrf_token_verify(app, SLICE(SESSION), slice_of(one, sizeof(one))));
    assert_false(http_csrf_token_verify(app, SLICE("other"), slice_of(one, sizeof(one))));
    assert_false(http_csrf_token_verify(app, SLICE(""), slice_of(one, sizeof(one))));
    static const bool good[KINDS] = { [FRESH] = true, [OLD] = true, [PREVIOUS] = true };
    for (unsigned i = 0; i < KINDS; i++) {
        if (http_csrf_token_verify(app, SLICE(SESSION), slice_cstr(tokens[i])) != good[i])
            fail_msg("token %u", i);
    }
    /* Every character counts, and so does every length. */
    for (size_t i = 0; i < sizeof(one); i++) {
        char bent[HTTP_CSRF_TOKEN_LEN + 1];
        memcpy(bent, one, sizeof(one));
        bent[i] = bent[i] == 'A' ? 'B' : 'A';
        if (http_csrf_token_verify(app, SLICE(SESSION), slice_of(bent, sizeof(one))))
            fail_msg("bent at %zu", i);
        if (http_csrf_token_verify(app, SLICE(SESSION), slice_of(one, i)))
            fail_msg("cut at %zu", i);
        bent[i] = '=';
        assert_false(http_csrf_token_verify(app, SLICE(SESSION), slice_of(bent, sizeof(one))));
    }
    http_app_free(app);
    /* Without a secret tokens are of this app alone. */
    struct http_app *a = app_of("", ""), *b = app_of("", "");
    http_csrf_token_make(a, SLICE(SESSION), one);
    assert_true(http_csrf_token_verify(a, SLICE(SESSION), slice_of(one, sizeof(one))));
    assert_false(http_csrf_token_verify(b, SLICE(SESSION), slice_of(one, sizeof(one))));
    http_app_free(a);
    http_app_free(b);
}

/* -- over the wire
 * ---------------------------------------------------------------------------------------- */

static const struct http_policy policies[] = {
    { .timeout_us = 0 },
    { .match = SLICE_INIT("/small"), .csrf = { .off = true } },
    { .match = SLICE_INIT("/json"),
      .csrf = { .token_is_fallback = true,
                .same_site = true,
                .sessions = SLICE_INIT("sid, other"),
                .cookie = SLICE_INIT("tok"),
                .origins = SLICE_INIT("https://*.partner.example") } },
    { .match = SLICE_INIT("/mirror"),
      .cors = { .origins = SLICE_INIT("https://app.example.org"), .credentials = true },
      .csrf = { .token_is_fallback = true } },
    { .match = SLICE_INIT("/ignore"),
      .cors = { .origins = SLICE_INIT("https://app.example.org") },
      .csrf = { .token_is_fallback = true } },
};

static void issue(struct http_request *req, void *arg)
{
    (void)arg;
    struct slice token;
    struct slice session = http_cookie(req, SLICE(HTTP_SESSION_COOKIE));
    if (http_csrf_token_issue(req, session, &token) != STATUS_OK)
        http_send(req, 400, "text/plain", SLICE("no session"));
    else
        http_send(req, 200, "text/plain", token);
}

static int set_up(void **state)
{
    static struct wire w;
    make_tokens();
    wire_make(&w,
              (struct http_options){ .policies = policies,
                                     .policies_len = ARRAY_LEN(policies),
                                     .secret = SLICE_INIT(SECRET),
                                     .secret_previous = SLICE_INIT("the-secret-before-this-one") });
    const char *reason;
    const struct http_route route = { .method = NET_METHOD_GET,
                                      .pattern = "/token",
                                      .handle_inline = issue };
    assert_int_equal(http_route_add(w.app, &route, &reason), STATUS_OK);
    wire_serve(&w, NULL);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    wire_close(*state);
    return 0;
}

/* "@N" in the headers is the token of kind N. */
static void ask(struct wire *w, const char *method, const char *path, const char *headers,
                struct answer *a)
{
    char text[4096];
    size_t len = (size_t)snprintf(text, sizeof(text),
                                  "%s %s HTTP/1.1\r\nHost: api.example.org\r\nContent-Length: 2\r\n"
                                  "Content-Type: application/json\r\n",
                                  method, path);
    for (const char *at = headers; *at; at++) {
        if (*at == '@' && at[1] >= '0' && at[1] < '0' + (int)KINDS) {
            memcpy(text + len, tokens[*++at - '0'], HTTP_CSRF_TOKEN_LEN);
            len += HTTP_CSRF_TOKEN_LEN;
        } else {
            text[len++] = *at;
        }
        assert_true(len + 200 < sizeof(text));
    }
    memcpy(text + len, "\r\n{}", 5);
    wire_ask(w, text, a);
}

#define COOKIE "Cookie: theme=dark; " HTTP_SESSION_COOKIE "=" SESSION
#define OURS "Sec-Fetch-Site: same-origin\r\n"
#define GOOD COOKIE "; " HTTP_CSRF_COOKIE "=@0\r\nX-CSRF-Token: @0\r\n"

static void test_requests(void **state)
{
    static const struct {
        const char *name, *method, *path, *headers;
        int status;
    } cases[] = {
        /* Who is not asked */
        { "no cookie", "POST", "/echo", "", 200 },
        { "another cookie", "POST", "/echo", "Cookie: a=b\r\nSec-Fetch-Site: cross-site\r\n", 200 },
        { "an empty session", "POST", "/echo", "Cookie: " HTTP_SESSION_COOKIE "=\r\n", 200 },
        { "a name that ends like it", "POST", "/echo",
          "Cookie: x" HTTP_SESSION_COOKIE "=" SESSION "\r\n", 200 },
        { "a safe method", "GET", "/echo", COOKIE "\r\nSec-Fetch-Site: cross-site\r\n", 200 },
        { "bearer", "POST", "/echo",
          COOKIE "\r\nAuthorization: Bearer abc\r\nSec-Fetch-Site: cross-site\r\n", 200 },
        { "API key", "POST", "/echo", COOKIE "\r\nX-API-Key: abc\r\n", 200 },
        { "turned off", "POST", "/small", COOKIE "\r\nSec-Fetch-Site: cross-site\r\n", 200 },
        /* Who is */
        { "basic, which browsers add", "POST", "/echo",
          COOKIE "\r\nAuthorization: Basic YTpi\r\nSec-Fetch-Site: cross-site\r\n", 403 },
        { "an empty authorization", "POST", "/echo", COOKIE "\r\nAuthorization: \r\n", 403 },
        { "put", "PUT", "/echo", COOKIE "\r\n", 403 },
        { "delete, which is not even served", "DELETE", "/echo", COOKIE "\r\n", 403 },
        { "a path that is not there", "POST", "/nothing", COOKIE "\r\n", 403 },
        /* The browser */
        { "same origin", "POST", "/echo", GOOD OURS, 200 },
        { "by hand", "POST", "/echo", GOOD "Sec-Fetch-Site: none\r\n", 200 },
        { "another site", "POST", "/echo", GOOD "Sec-Fetch-Site: cross-site\r\n", 403 },
        { "a sibling", "POST", "/echo", GOOD "Sec-Fetch-Site: same-site\r\n", 403 },
        { "a sibling of another origin", "POST", "/echo",
          GOOD "Sec-Fetch-Site: same-site\r\nOrigin: https://evil.example.org\r\n", 403 },
        { "something new", "POST", "/echo", GOOD "Sec-Fetch-Site: moon\r\n", 403 },
        { "our origin", "POST", "/echo", GOOD "Origin: https://api.example.org\r\n", 200 },
        { "our origin in clear", "POST", "/echo", GOOD "Origin: http://api.example.org\r\n", 200 },
        { "our origin with its port", "POST", "/echo",
          GOOD "Origin: https://api.example.org:443\r\n", 200 },
        { "another port", "POST", "/echo", GOOD "Origin: https://api.example.org:8443\r\n", 403 },
        { "another scheme", "POST", "/echo", GOOD "Origin: ftp://api.example.org\r\n", 403 },
        { "another origin", "POST", "/echo", GOOD "Origin: https://evil.example\r\n", 403 },
        { "a suffix", "POST", "/echo", GOOD "Origin: https://api.example.org.evil\r\n", 403 },
        { "a prefix", "POST", "/echo", GOOD "Origin: https://evil-api.example.org\r\n", 403 },
        { "null", "POST", "/echo", GOOD "Origin: null\r\n", 403 },
        { "no origin at all", "POST", "/echo", GOOD "Origin: \r\n", 403 },
        { "origin before referer", "POST", "/echo",
          GOOD "Origin: https://evil.example\r\nReferer: https://api.example.org/\r\n", 403 },
        { "our referer", "POST", "/echo", GOOD "Referer: https://api.example.org/a?b\r\n", 200 },
        { "our referer without path", "POST", "/echo", GOOD "Referer: https://api.example.org\r\n",
          200 },
        { "another referer", "POST", "/echo",
          GOOD "Referer: https://evil.example/api.example.org\r\n", 403 },
        { "another referer that names us", "POST", "/echo",
          GOOD "Referer: https://api.example.org@evil.example/\r\n", 403 },
        { "a referer that is none", "POST", "/echo", GOOD "Referer: api.example.org\r\n", 403 },
        { "a client that says nothing", "POST", "/echo", GOOD, 200 },
        /* Tokens */
        { "no token", "POST", "/echo", COOKIE "\r\n" OURS, 403 },
        { "no header", "POST", "/echo", COOKIE "; " HTTP_CSRF_COOKIE "=@0\r\n" OURS, 403 },
        { "no cookie for it", "POST", "/echo", COOKIE "\r\nX-CSRF-Token: @0\r\n" OURS, 403 },
        { "old", "POST", "/echo", COOKIE "; " HTTP_CSRF_COOKIE "=@1\r\nX-CSRF-Token: @1\r\n" OURS,
          200 },
        { "expired", "POST", "/echo",
          COOKIE "; " HTTP_CSRF_COOKIE "=@2\r\nX-CSRF-Token: @2\r\n" OURS, 403 },
        { "too early", "POST", "/echo",
          COOKIE "; " HTTP_CSRF_COOKIE "=@3\r\nX-CSRF-Token: @3\r\n" OURS, 403 },
        { "of the secret before", "POST", "/echo",
          COOKIE "; " HTTP_CSRF_COOKIE "=@4\r\nX-CSRF-Token: @4\r\n" OURS, 200 },
        { "of another secret", "POST", "/echo",
          COOKIE "; " HTTP_CSRF_COOKIE "=@5\r\nX-CSRF-Token: @5\r\n" OURS, 403 },
        { "of another session", "POST", "/echo",
          COOKIE "; " HTTP_CSRF_COOKIE "=@6\r\nX-CSRF-Token: @6\r\n" OURS, 403 },
        { "a planted cookie", "POST", "/echo",
          COOKIE "; " HTTP_CSRF_COOKIE "=@6\r\nX-CSRF-Token: @0\r\n" OURS, 403 },
        { "the page still has the one before", "POST", "/echo",
          COOKIE "; " HTTP_CSRF_COOKIE "=@0\r\nX-CSRF-Token: @1\r\n" OURS, 200 },
        { "the same nonsense twice", "POST", "/echo",
          COOKIE "; " HTTP_CSRF_COOKIE "=abc\r\nX-CSRF-Token: abc\r\n" OURS, 403 },
        { "in cookies of their own", "POST", "/echo",
          COOKIE "\r\nCookie: " HTTP_CSRF_COOKIE "=@0\r\nX-CSRF-Token: @0\r\n" OURS, 200 },
        { "in the wrong order", "POST", "/echo",
          "Cookie: " HTTP_CSRF_COOKIE "=@0\r\nCookie: " HTTP_SESSION_COOKIE "=" SESSION
          "\r\nX-CSRF-Token: @0\r\n" OURS,
          200 },
        /* What a route group says */
        { "fallback", "POST", "/json", "Cookie: sid=1\r\n" OURS, 200 },
        { "the second name", "POST", "/json", "Cookie: other=1\r\nSec-Fetch-Site: cross-site\r\n",
          403 },
        { "fallback, but nobody says", "POST", "/json", "Cookie: sid=1\r\n", 403 },
        { "fallback with a token", "POST", "/json",
          "Cookie: sid=" SESSION "; tok=@0\r\nX-CSRF-Token: @0\r\n", 200 },
        { "a sibling may", "POST", "/json", "Cookie: sid=1\r\nSec-Fetch-Site: same-site\r\n", 200 },
        { "a partner", "POST", "/json",
          "Cookie: sid=1\r\nSec-Fetch-Site: cross-site\r\nOrigin: https://a.partner.example\r\n",
          200 },
        { "CORS with credentials", "POST", "/mirror",
          COOKIE "\r\nSec-Fetch-Site: cross-site\r\nOrigin: https://app.example.org\r\n", 200 },
        { "CORS with credentials, another", "POST", "/mirror",
          COOKIE "\r\nSec-Fetch-Site: cross-site\r\nOrigin: https://app2.example.org\r\n", 403 },
        { "CORS without", "POST", "/ignore",
          COOKIE "\r\nSec-Fetch-Site: cross-site\r\nOrigin: https://app.example.org\r\n", 403 },
    };
    struct answer a = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ask(*state, cases[i].method, cases[i].path, cases[i].headers, &a);
        if (a.status != cases[i].status)
            fail_msg("%s: %d, not %d\n%s", cases[i].name, a.status, cases[i].status, a.body);
        if (a.status == 403 && !strstr(a.body, "\"code\":\"csrf\""))
            fail_msg("%s: %s", cases[i].name, a.body);
    }
    answer_free(&a);
}

static void test_renewal(void **state)
{
    struct answer a = { 0 };
    ask(*state, "POST", "/echo", GOOD OURS, &a);
    check_header("fresh", &a, "Set-Cookie", NULL);
    ask(*state, "POST", "/echo", COOKIE "; " HTTP_CSRF_COOKIE "=@1\r\nX-CSRF-Token: @1\r\n" OURS,
        &a);
    const char *cookie = answer_header(&a, "Set-Cookie");
    assert_non_null(cookie);
    static const char begin[] = HTTP_CSRF_COOKIE "=";
    assert_int_equal(strncmp(cookie, begin, sizeof(begin) - 1), 0);
    struct wire *w = *state;
    assert_true(http_csrf_token_verify(w->app, SLICE(SESSION),
                                       slice_of(cookie + sizeof(begin) - 1, HTTP_CSRF_TOKEN_LEN)));
    assert_string_equal(cookie + sizeof(begin) - 1 + HTTP_CSRF_TOKEN_LEN,
                        "; Path=/; Secure; SameSite=Strict");
    answer_free(&a);
}

static void test_issue(void **state)
{
    struct wire *w = *state;
    struct answer a = { 0 };
    ask(w, "GET", "/token", COOKIE "\r\n", &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body_len, HTTP_CSRF_TOKEN_LEN);
    assert_true(http_csrf_token_verify(w->app, SLICE(SESSION), slice_of(a.body, a.body_len)));
    const char *cookie = answer_header(&a, "Set-Cookie");
    assert_non_null(cookie);
    assert_non_null(strstr(cookie, a.body));
    ask(w, "GET", "/token", "", &a);
    assert_int_equal(a.status, 400);
    answer_free(&a);
}

static void test_counted(void **state)
{
    struct wire *w = *state;
    static const struct {
        enum http__standards_metric metric;
        const char *headers;
    } cases[] = {
        { HTTP__CSRF_CROSS, COOKIE "\r\nSec-Fetch-Site: cross-site\r\n" },
        { HTTP__CSRF_MISSING, COOKIE "\r\n" OURS },
        { HTTP__CSRF_BAD, COOKIE "; " HTTP_CSRF_COOKIE "=a\r\nX-CSRF-Token: a\r\n" OURS },
    };
    struct answer a = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        metric_series series = w->app->standards_series[cases[i].metric];
        int64_t before = metric_value(w->metrics, series);
        ask(w, "POST", "/echo", cases[i].headers, &a);
        assert_int_equal(a.status, 403);
        assert_int_equal(metric_value(w->metrics, series), before + 1);
    }
    answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),  cmocka_unit_test(test_requests),
        cmocka_unit_test(test_renewal), cmocka_unit_test(test_issue),
        cmocka_unit_test(test_counted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
