/*
 * tests/http/test_wire.c - Requests as bytes and the answers they get: what is well-formed, what is
 * not, and what the connection does afterwards.
 */
#include "wire.h"

#define HOST "Host: h\r\n"

/* What is sent, which statuses come back, and whether the connection is closed then. */
static const struct exchange {
    const char *name;
    const char *in;
    int want[4];
    bool closes;
} exchanges[] = {
    { "get", GET("/hello"), { 200 }, false },
    { "get by a task", GET("/echo"), { 200 }, false },
    { "no content", GET("/empty"), { 204 }, false },
    { "root", GET("/"), { 200 }, false },
    { "unknown path", GET("/nope"), { 404 }, false },
    { "trailing slash", GET("/hello/"), { 404 }, false },
    { "dot segments", GET("/x/../hello"), { 200 }, false },
    { "escaped letters", GET("/%68ello"), { 200 }, false },
    { "wrong method", "DELETE /hello HTTP/1.1\r\n" HOST "\r\n", { 405 }, false },
    { "options", "OPTIONS /hello HTTP/1.1\r\n" HOST "\r\n", { 204 }, false },
    { "options of nothing", "OPTIONS /nope HTTP/1.1\r\n" HOST "\r\n", { 404 }, false },
    { "options *", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", { 204 }, false },
    { "absolute form", "GET http://h/hello HTTP/1.1\r\n" HOST "\r\n", { 200 }, false },
    { "pipelined", GET("/hello") GET("/nope") GET("/echo"), { 200, 404, 200 }, false },
    { "empty lines between", GET("/hello") "\r\n" GET("/hello"), { 200, 200 }, false },
    { "asked to close", "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", { 200 }, true },
    { "nothing after close",
      "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n" GET("/hello"),
      { 200 },
      true },
    { "1.0", "GET /hello HTTP/1.0\r\n\r\n", { 200 }, true },
    { "1.0 kept", "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", { 200 }, false },
    { "1.0 stream", "GET /stream/3/5 HTTP/1.0\r\n\r\n", { 200 }, true },
    { "body", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", { 200 }, false },
    { "body, then another",
      "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" GET("/hello"),
      { 200, 200 },
      false },
    { "chunks, then another",
      "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nTrailer: dropped\r\n\r\n" GET("/hello"),
      { 200, 200 },
      false },
    { "trailers are no headers",
      "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
      "0\r\nContent-Length: 50\r\nHost: evil\r\n\r\n" GET("/hello"),
      { 200, 200 },
      false },
    { "body nobody reads",
      "POST /ignore HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" GET("/hello"),
      { 200, 200 },
      false },
    { "chunks nobody reads",
      "POST /ignore HTTP/1.1\r\n" HOST
      "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" GET("/hello"),
      { 200, 200 },
      false },
    { "body at no route",
      "POST /nope HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" GET("/hello"),
      { 404, 200 },
      false },
    { "get with a body",
      "GET /hello HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" GET("/hello"),
      { 200, 200 },
      false },
    { "too large, small enough to skip",
      "POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\nhello world" GET("/hello"),
      { 413, 200 },
      false },
    { "too large by far",
      "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000000\r\n\r\n",
      { 413 },
      true },
    { "too large in chunks",
      "POST /small HTTP/1.1\r\n" HOST
      "Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
      { 413 },
      true },
    { "expectation that nobody meets",
      "POST /echo HTTP/1.1\r\n" HOST "Expect: pony\r\nContent-Length: 5\r\n\r\n",
      { 417 },
      true },
    { "too large, expecting 100",
      "POST /small HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n",
      { 413 },
      true },
    { "bad chunk size",
      "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
      { 400 },
      true },
    { "bad chunk extension",
      "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;=\r\n",
      { 400 },
      true },
    { "bad chunk end",
      "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nabc",
      { 400 },
      true },
    { "bare LF in chunks",
      "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
      { 400 },
      true },
    { "bad chunk that nobody reads",
      "POST /ignore HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
      { 200 },
      true },
    { "malformed after a good one", GET("/hello") "BAD\r\n\r\n", { 200, 400 }, true },
    { "length and coding",
      "POST /echo HTTP/1.1\r\n" HOST
      "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      { 400 },
      true },
    { "two lengths",
      "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
      { 400 },
      true },
    { "two unequal lengths",
      "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
      { 400 },
      true },
    { "bare LF", "GET /hello HTTP/1.1\nHost: h\n\n", { 400 }, true },
    { "folded header", "GET /hello HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", { 400 }, true },
    { "space before colon", "GET /hello HTTP/1.1\r\nHost : h\r\n\r\n", { 400 }, true },
    { "no host", "GET /hello HTTP/1.1\r\n\r\n", { 400 }, true },
    { "two hosts", "GET /hello HTTP/1.1\r\n" HOST HOST "\r\n", { 400 }, true },
    { "bad host", "GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n", { 400 }, true },
    { "encoded dot", GET("/%2e%2e/hello"), { 400 }, true },
    { "double slash", GET("//hello"), { 400 }, true },
    { "semicolon", GET("/hello;a=b"), { 400 }, true },
    { "zero byte", GET("/hello%00"), { 400 }, true },
    { "overlong UTF-8", GET("/%c0%afhello"), { 400 }, true },
    { "unknown method", "FROB /hello HTTP/1.1\r\n" HOST "\r\n", { 501 }, true },
    { "trace", "TRACE /hello HTTP/1.1\r\n" HOST "\r\n", { 501 }, true },
    { "connect", "CONNECT h:443 HTTP/1.1\r\n" HOST "\r\n", { 501 }, true },
    { "unknown coding",
      "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n",
      { 501 },
      true },
    { "almost the preface of HTTP/2", "PRI * HTTP/2.0\r\nHost: h\r\n\r\n", { 505 }, true },
    { "TLS hello", "\x16\x03\x01\x02", { 400 }, true },
    { "header that splits", GET("/bad-header"), { 500 }, false },
    { "no answer", GET("/no-answer"), { 500 }, false },
    { "deadline", GET("/park-briefly"), { 503 }, false },
    { "admin, nobody", GET("/admin"), { 401 }, false },
    { "admin, wrong key",
      "GET /admin HTTP/1.1\r\n" HOST "X-API-Key: guess\r\n\r\n",
      { 401 },
      false },
    { "admin, key",
      "GET /admin HTTP/1.1\r\n" HOST "X-API-Key: " WIRE_ADMIN_KEY "\r\n\r\n",
      { 200 },
      false },
    { "admin, bearer",
      "GET /admin HTTP/1.1\r\n" HOST "Authorization: bearer " WIRE_ADMIN_KEY "\r\n\r\n",
      { 200 },
      false },
    { "json without a type",
      "POST /json HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}" GET("/hello"),
      { 415, 200 },
      false },
    { "json by another name",
      "POST /json HTTP/1.1\r\n" HOST
      "Content-Type: Application/merge-patch+JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
      { 200 },
      false },
    { "coded body",
      "POST /json HTTP/1.1\r\n" HOST
      "Content-Type: application/json\r\nContent-Encoding: compress\r\n"
      "Content-Length: 2\r\n\r\n{}",
      { 415 },
      false },
    { "many fields wrong",
      "POST /validate HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
      { 422 },
      false },
    { "bad query", GET("/query?a=%zz"), { 400 }, false },
    { "query not UTF-8", GET("/query?a=%ff"), { 400 }, false },
};

static void check_common(const char *name, struct answer *a)
{
    if (a->status < 200)
        return;
    const char *needed[] = { "Date", "X-Request-Id", "traceparent", "X-Content-Type-Options" };
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        if (!answer_header(a, needed[i]))
            fail_msg("%s: %d has no %s", name, a->status, needed[i]);
    }
    assert_null(answer_header(a, "Server"));
    if (a->status >= 400) {
        const char *type = answer_header(a, "Content-Type");
        if (!type || strcmp(type, "application/problem+json") != 0)
            fail_msg("%s: %d is no problem document", name, a->status);
        char status[32];
        (void)snprintf(status, sizeof(status), "\"status\":%d,", a->status);
        if (!strstr(a->body, status) || !strstr(a->body, "\"request_id\":") ||
            !strstr(a->body, "\"trace_id\":") || !strstr(a->body, "\"code\":"))
            fail_msg("%s: %s", name, a->body);
    }
    if (a->status == 401)
        assert_non_null(answer_header(a, "WWW-Authenticate"));
    if (a->status == 405)
        assert_non_null(answer_header(a, "Allow"));
    if (a->status == 503)
        assert_non_null(answer_header(a, "Retry-After"));
}

static void run_exchange(struct wire *w, const struct exchange *e, size_t step)
{
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    struct slice in = slice_cstr(e->in);
    for (size_t at = 0; at < in.len; at += step) {
        if (!client_send(c, slice_head(slice_from(in, at), step)))
            break; /* refused already */
        if (step < in.len)
            (void)usleep(50);
    }
    for (size_t i = 0; i < ARRAY_LEN(e->want) && e->want[i]; i++) {
        if (!client_answer(c, false, &a))
            fail_msg("%s (step %zu): answer %zu is missing", e->name, step, i);
        if (a.status != e->want[i])
            fail_msg("%s (step %zu): answer %zu is %d", e->name, step, i, a.status);
        check_common(e->name, &a);
    }
    bool came_whole = step > in.len;
    if (came_whole && a.closes != e->closes && strncmp(e->name, "1.0", 3) != 0)
        fail_msg("%s: it %s", e->name, a.closes ? "closes" : "does not close");
    if (e->closes) {
        (void)shutdown(c->fd, SHUT_WR); /* so that a lingering server is done at once */
        if (!client_is_closed(c))
            fail_msg("%s: it goes on", e->name);
    } else {
        assert_true(client_say(c, GET("/hello")));
        if (!client_answer(c, false, &a) || a.status != 200)
            fail_msg("%s: it does not go on", e->name);
    }
    answer_free(&a);
    client_close(c);
}

static void test_wire_exchanges(void **state)
{
    struct wire *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(exchanges); i++)
        run_exchange(w, &exchanges[i], strlen(exchanges[i].in) + 1);
}

static void test_wire_exchanges_byte_by_byte(void **state)
{
    struct wire *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(exchanges); i++)
        run_exchange(w, &exchanges[i], 1);
}

static void test_wire_exchanges_in_threes(void **state)
{
    struct wire *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(exchanges); i++)
        run_exchange(w, &exchanges[i], 3);
}

/* One request, its answer and the end. */
static void ask(struct wire *w, const char *in, bool has_no_body, struct answer *a)
{
    struct client *c = client_open(w->port);
    assert_true(client_say(c, in));
    assert_true(client_answer(c, has_no_body, a));
    client_close(c);
}

/* Everything malformed gets the same answer, whatever was wrong. */
static void test_wire_malformed_is_uniform(void **state)
{
    struct wire *w = *state;
    struct answer first = { 0 }, a = { 0 };
    ask(w, "GET /hello HTTP/1.1\nHost: h\n\n", false, &first);
    static const char *const others[] = {
        "GET /hello HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET /hello HTTP/1.1\r\n\r\n",
        "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
    };
    const char *detail = strstr(first.body, "\"detail\":\"");
    assert_non_null(detail);
    size_t len = strcspn(detail + 10, "\"") + 10;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        ask(w, others[i], false, &a);
        assert_int_equal(a.status, 400);
        const char *other = strstr(a.body, "\"detail\":\"");
        assert_non_null(other);
        assert_int_equal(strncmp(detail, other, len), 0);
    }
    answer_free(&first);
    answer_free(&a);
}

static void test_wire_head_is_get_without_body(void **state)
{
    struct wire *w = *state;
    struct client *c = client_open(w->port);
    struct answer get = { 0 }, head = { 0 };
    static const char *const paths[] = { "/hello", "/big", "/nope", "/empty" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char in[128];
        (void)snprintf(in, sizeof(in), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", paths[i]);
        assert_true(client_say(c, in));
        assert_true(client_answer(c, false, &get));
        (void)snprintf(in, sizeof(in), "HEAD %s HTTP/1.1\r\nHost: h\r\n\r\n", paths[i]);
        assert_true(client_say(c, in));
        assert_true(client_answer(c, true, &head));
        assert_int_equal(get.status, head.status);
        const char *other = answer_header(&head, "Content-Length");
        size_t length = other ? strtoul(other, NULL, 10) : 0;
        assert_int_equal(length, get.body_len);
    }
    assert_true(client_say(c, "HEAD /stream/3/5 HTTP/1.1\r\nHost: h\r\n\r\n" GET("/hello")));
    assert_true(client_answer(c, true, &head));
    assert_true(client_answer(c, false, &get));
    assert_string_equal(get.body, "hello");
    answer_free(&get);
    answer_free(&head);
    client_close(c);
}

static void test_wire_allow(void **state)
{
    struct wire *w = *state;
    struct answer a = { 0 };
    ask(w, "OPTIONS /echo HTTP/1.1\r\nHost: h\r\n\r\n", false, &a);
    assert_string_equal(answer_header(&a, "Allow"), "GET, HEAD, POST, PUT, OPTIONS");
    assert_null(answer_header(&a, "Content-Length"));
    ask(w, "PATCH /small HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false, &a);
    assert_int_equal(a.status, 405);
    assert_string_equal(answer_header(&a, "Allow"), "POST, OPTIONS");
    answer_free(&a);
}

static void test_wire_request_ids(void **state)
{
    struct wire *w = *state;
    struct answer a = { 0 };
    ask(w, "GET /hello HTTP/1.1\r\nHost: h\r\nX-Request-Id: abc-123_x.y\r\n\r\n", false, &a);
    assert_string_equal(answer_header(&a, "X-Request-Id"), "abc-123_x.y");
    ask(w, "GET /hello HTTP/1.1\r\nHost: h\r\nX-Request-Id: a\"b\r\n\r\n", false, &a);
    assert_int_equal(strlen(answer_header(&a, "X-Request-Id")), 32);
    char in[512];
    (void)snprintf(in, sizeof(in), "GET /hello HTTP/1.1\r\nHost: h\r\nX-Request-Id: %0129d\r\n\r\n",
                   1);
    ask(w, in, false, &a);
    assert_int_equal(strlen(answer_header(&a, "X-Request-Id")), 32);
    (void)snprintf(in, sizeof(in), "GET /nope HTTP/1.1\r\nHost: h\r\nX-Request-Id: %0128d\r\n\r\n",
                   1);
    ask(w, in, false, &a);
    assert_int_equal(strlen(answer_header(&a, "X-Request-Id")), 128);
    answer_free(&a);
}

static void test_wire_trace_context(void **state)
{
    struct wire *w = *state;
    struct answer a = { 0 };
    ask(w,
        "GET /nope HTTP/1.1\r\nHost: h\r\n"
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
        false, &a);
    const char *sent = answer_header(&a, "traceparent");
    assert_int_equal(strncmp(sent, "00-0af7651916cd43dd8448eb211c80319c-", 36), 0);
    assert_int_not_equal(strncmp(sent + 36, "b7ad6b7169203331", 16), 0);
    assert_string_equal(sent + 52, "-01");
    assert_non_null(strstr(a.body, "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\""));
    /* A malformed one is as good as none. */
    ask(w,
        "GET /hello HTTP/1.1\r\nHost: h\r\n"
        "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n\r\n",
        false, &a);
    sent = answer_header(&a, "traceparent");
    assert_int_equal(strlen(sent), 55);
    assert_int_not_equal(strncmp(sent, "00-00000000000000000000000000000000-", 36), 0);
    answer_free(&a);
}

static void test_wire_problem_names_every_field(void **state)
{
    struct wire *w = *state;
    struct answer a = { 0 };
    ask(w, "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false, &a);
    assert_int_equal(a.status, 422);
    assert_non_null(strstr(a.body, "\"errors\":[{\"pointer\":\"/title\",\"code\":\"required\","
                                   "\"detail\":\"Give a title.\",\"message\":\"Give a title.\"},"
                                   "{\"pointer\":\"/a\\\"b\",\"code\":\"too_long\","));
    assert_non_null(strstr(a.body, "\"instance\":\"/validate\""));
    /* A 500 says nothing of the inside. */
    ask(w, GET("/no-answer"), false, &a);
    assert_null(strstr(a.body, "handler"));
    answer_free(&a);
}

static void test_wire_query(void **state)
{
    struct wire *w = *state;
    struct answer a = { 0 };
    ask(w, GET("/query?a=1&b=x+y%2Bz&&c&d=%C3%A9=&=e"), false, &a);
    assert_string_equal(a.body, "a=1;b=x y+z;c=;d=\xc3\xa9=;=e;");
    char in[1024] = "GET /query?a";
    for (int i = 0; i < 64; i++)
        (void)snprintf(in + strlen(in), sizeof(in) - strlen(in), "&a");
    (void)snprintf(in + strlen(in), sizeof(in) - strlen(in), " HTTP/1.1\r\nHost: h\r\n\r\n");
    ask(w, in, false, &a);
    assert_int_equal(a.status, 400);
    answer_free(&a);
}

static void test_wire_limits(void **state)
{
    struct wire *w = *state;
    struct answer a = { 0 };
    char *in = malloc(40000);
    (void)snprintf(in, 40000, "GET /%09000d HTTP/1.1\r\nHost: h\r\n\r\n", 1);
    ask(w, in, false, &a);
    assert_int_equal(a.status, 414);
    (void)snprintf(in, 40000, "GET /hello HTTP/1.1\r\nHost: h\r\nA: %020000d\r\n\r\n", 1);
    ask(w, in, false, &a);
    assert_int_equal(a.status, 431);
    int n = snprintf(in, 40000, "GET /hello HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 100; i++)
        n += snprintf(in + n, 40000 - (size_t)n, "A%d: b\r\n", i);
    (void)snprintf(in + n, 40000 - (size_t)n, "\r\n");
    ask(w, in, false, &a);
    assert_int_equal(a.status, 431);
    /* Just inside. */
    (void)snprintf(in, 40000, "GET /%08000d HTTP/1.1\r\nHost: h\r\nA: %015000d\r\n\r\n", 1, 1);
    ask(w, in, false, &a);
    assert_int_equal(a.status, 404);
    free(in);
    answer_free(&a);
}

static void test_wire_metrics(void **state)
{
    struct wire *w = *state;
    struct answer a = { 0 };
    ask(w, GET("/hello"), false, &a);
    ask(w, GET("/nope"), false, &a);
    ask(w, GET("/sleep/1"), false, &a);
    ask(w, "BAD\r\n\r\n", false, &a);
    answer_free(&a);
    struct buf out;
    buf_init(&out, NULL, 0, 1 << 20);
    static const char *const wanted[] = {
        "http_server_request_duration_seconds_count{http_request_method=\"GET\",",
        "http_route=\"/"
        "hello\",http_response_status_code=\"200\",network_protocol_version=\"1.1\"} ",
        "http_route=\"/sleep/"
        "{ms}\",http_response_status_code=\"200\",network_protocol_version=\"1.1\"} ",
        "http_route=\"unmatched\",http_response_status_code=\"404\",network_protocol_version=\"1."
        "1\"} ",
        "http_server_active_requests 0",
        "purlin_http_connections ",
        "purlin_http_refusals_total{http_response_status_code=\"400\"} ",
    };
    /* The counts are written after the answers have left. */
    unsigned missing = 1;
    for (int tries = 0; tries < 1000 && missing; tries++) {
        buf_clear(&out);
        metrics_render(w->metrics, true, &out);
        buf_putc(&out, '\0');
        missing = 0;
        for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
            missing |= strstr(out.data, wanted[i]) ? 0 : 1u << i;
        (void)usleep(1000);
    }
    if (missing)
        fail_msg("missing %x: %s", missing, out.data);
    buf_fini(&out);
}

static int set_up(void **state)
{
    static struct wire w;
    wire_open(&w, NULL);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    wire_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire_exchanges),
        cmocka_unit_test(test_wire_exchanges_byte_by_byte),
        cmocka_unit_test(test_wire_exchanges_in_threes),
        cmocka_unit_test(test_wire_malformed_is_uniform),
        cmocka_unit_test(test_wire_head_is_get_without_body),
        cmocka_unit_test(test_wire_allow),
        cmocka_unit_test(test_wire_request_ids),
        cmocka_unit_test(test_wire_trace_context),
        cmocka_unit_test(test_wire_problem_names_every_field),
        cmocka_unit_test(test_wire_query),
        cmocka_unit_test(test_wire_limits),
        cmocka_unit_test(test_wire_metrics),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
