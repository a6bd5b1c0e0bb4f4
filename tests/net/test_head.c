/* tests/net/test_head.c - Heads: where they end, what they say, and which are refused with what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/macros.h"
#include "net/codec.h"

static const struct net_limits limits = {
    .line_bytes_max = 64,
    .headers_bytes_max = 256,
    .headers_max = 8,
};

struct head {
    struct arena *arena;
    struct net_request request;
    struct net__framing framing;
    int refused; /* HTTP status; 0: whole; -1: more is wanted */
    size_t used;
};

/* Scan in steps, then parse. */
static struct head read_head(struct slice in, size_t step)
{
    struct head h = { .arena = arena_new(NULL, 0), .refused = -1 };
    struct net__scan scan = { 0 };
    enum net__scan_result found = NET__SCAN_MORE;
    const struct net_refusal *refusal = NULL;
    for (size_t seen = 0; seen < in.len && found == NET__SCAN_MORE;) {
        seen = MIN(in.len, seen + step);
        found = net__scan_head(&scan, in.data, seen, &limits, &refusal);
    }
    if (found == NET__SCAN_WHOLE) {
        size_t len = scan.at - scan.head_start;
        unsigned headers_max = scan.lines - 1u;
        char *data = arena_alloc(h.arena, len);
        h.request.headers = arena_array_of(h.arena, struct net_header, MAX(headers_max, 1u));
        memcpy(data, in.data + scan.head_start, len);
        refusal = net__parse_head(h.arena, data, len, headers_max, &h.request, &h.framing);
        h.used = scan.at;
        h.refused = 0;
    }
    if (refusal)
        h.refused = refusal->http_status;
    return h;
}

#define HOST "Host: h\r\n"

static const struct {
    const char *in;
    int refused;
} cases[] = {
    { "GET / HTTP/1.1\r\n" HOST "\r\n", 0 },
    { "\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 0 },
    { "GET / HTTP/1.0\r\n\r\n", 0 },
    { "GET / HTTP/1.2\r\n" HOST "\r\n", 0 },
    { "GET / HTTP/1.9\r\n" HOST "\r\n", 0 },
    { "GET http://h/ HTTP/1.1\r\nHost: other\r\n\r\n", 0 },
    { "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0 },
    { "GET / HTTP/1.1\r\n" HOST "A:\r\nB: \r\nC:\tc \t\r\n\r\n", 0 },
    { "GET / HTTP/1.1\r\n" HOST "A: caf\xc3\xa9\r\n\r\n", 0 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n", 0 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 0 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", 0 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n", 0 },
    { "GET / HTTP/1.0\r\nExpect: anything\r\n\r\n", 0 },
    /* more is wanted */
    { "GET / HTTP/1.1\r\n" HOST, -1 },
    { "GET", -1 },
    { "\r\n", -1 },
    /* lines */
    { "GET / HTTP/1.1\n" HOST "\r\n", 400 },
    { "GET / HTTP/1.1\r\nHost: h\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "\n", 400 },
    { "\nGET / HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "A: b\r c\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "A: b\rB: c\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "A: b\r\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\r\n" HOST "\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "A: b\r\n\tc\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "A\t: b\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "Abc\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "A b: c\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "A(b): c\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "A: b\x7f\r\n\r\n", 400 },
    /* request line */
    { "GET  / HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "GET /  HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "GET / HTTP/1.1 \r\n" HOST "\r\n", 400 },
    { " GET / HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "GET /\r\n\r\n", 400 },
    { "GET\r\n\r\n", 400 },
    { "GET / http/1.1\r\n" HOST "\r\n", 400 },
    { "GET / HTTP/1\r\n" HOST "\r\n", 400 },
    { "GET / HTTP/1.10\r\n" HOST "\r\n", 400 },
    { "GET / HTTP/11\r\n" HOST "\r\n", 400 },
    { "G@T / HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "\x16\x03\x01", 400 },
    { "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "GET a HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "GET * HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "GET //a HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "GET /%2e%2e/ HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "GET /\x80 HTTP/1.1\r\n" HOST "\r\n", 400 },
    { "GET / HTTP/2.0\r\n" HOST "\r\n", 505 },
    { "GET / HTTP/0.9\r\n\r\n", 505 },
    { "PRI * HTTP/2.0\r\n\r\n", 505 },
    { "get / HTTP/1.1\r\n" HOST "\r\n", 501 },
    { "FROB / HTTP/1.1\r\n" HOST "\r\n", 501 },
    { "TRACE / HTTP/1.1\r\n" HOST "\r\n", 501 },
    { "CONNECT h:80 HTTP/1.1\r\n" HOST "\r\n", 501 },
    /* Host */
    { "GET / HTTP/1.1\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400 },
    { "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400 },
    { "GET http://h/ HTTP/1.1\r\n\r\n", 400 },
    /* framing */
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 5 5\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      400 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip , \tchunked\r\n\r\n", 501 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip chunked\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: : chunked\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b"
      "chunked\r\n\r\n",
      400 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Transfer_Encoding: chunked\r\n\r\n", 0 },
    { "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: a-pony\r\n\r\n", 417 },
    { "POST / HTTP/1.1\r\n" HOST "Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "Authorization: a\r\nAuthorization: b\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "Origin: a\r\nOrigin: b\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "Referer: a\r\nReferer: b\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "Range: a\r\nRange: b\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "If-Range: a\r\nIf-Range: b\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "If-Modified-Since: a\r\nIf-Modified-Since: b\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "If-Unmodified-Since: a\r\nIf-Unmodified-Since: a\r\n\r\n", 400 },
    { "GET / HTTP/1.1\r\n" HOST "Accept: a\r\nAccept: b\r\nCookie: a\r\nCookie: b\r\n\r\n", 0 },
    /* limits: 64 bytes of line, 256 of headers, 8 of them */
    { "GET /3456789012345678901234567890123456789012345678901234 HTTP/1.1\r\n" HOST "\r\n", 414 },
    { "GET /34567890123456789012345678901234567890123456789012345678901234567890", 414 },
    { "GET / HTTP/1.1\r\n" HOST "A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\nA: 6\r\nA: 7\r\n\r\n", 0 },
    { "GET / HTTP/1.1\r\n" HOST
      "A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\nA: 6\r\nA: 7\r\nA: 8\r\n\r\n",
      431 },
};

static void test_head_cases_in_any_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice in = slice_cstr(cases[i].in);
        for (size_t step = 1; step <= in.len; step++) {
            struct head h = read_head(in, step);
            if (h.refused != cases[i].refused)
                fail_msg("case %zu in steps of %zu: %d for %s", i, step, h.refused, cases[i].in);
            arena_free(h.arena);
        }
    }
}

static void test_head_refuses_zero_bytes_everywhere(void **state)
{
    (void)state;
    static const char whole[] = "GET /a?b HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    for (size_t at = 0; at < sizeof(whole) - 1; at++) {
        char in[sizeof(whole)];
        memcpy(in, whole, sizeof(whole));
        in[at] = '\0';
        struct head h = read_head(slice_of(in, sizeof(whole) - 1), sizeof(whole));
        /* In the last empty line the head just has no end yet, or a bad one. */
        if (h.refused == 0)
            fail_msg("zero byte at %zu is accepted", at);
        arena_free(h.arena);
    }
}

static void test_head_bounds_header_bytes(void **state)
{
    (void)state;
    char in[1024];
    int n = snprintf(in, sizeof(in), "GET / HTTP/1.1\r\n" HOST "A: %0400d", 7);
    struct head h = read_head(slice_of(in, (size_t)n), 1);
    assert_int_equal(h.refused, 431);
    arena_free(h.arena);
}

static void test_head_says_what_it_says(void **state)
{
    (void)state;
    struct slice in =
        SLICE("POST /a/./b?c=d HTTP/1.1\r\nHOST: Example.com:80\r\nX-Custom:  v 1 \r\n"
              "Content-Type: application/json\r\nContent-Length: 12\r\n"
              "Connection: foo, close\r\nX-custom: v2\r\n\r\nrest");
    struct head h = read_head(in, in.len);
    const struct net_request *r = &h.request;
    assert_int_equal(h.refused, 0);
    assert_int_equal(h.used, in.len - 4);
    assert_int_equal(r->method, NET_METHOD_POST);
    assert_true(slice_eq(r->method_text, SLICE("POST")));
    assert_true(slice_eq(r->target, SLICE("/a/./b?c=d")));
    assert_true(slice_eq(r->path, SLICE("/a/b")));
    assert_true(slice_eq(r->query, SLICE("c=d")));
    assert_true(slice_eq(r->host, SLICE("Example.com:80")));
    assert_int_equal(r->headers_len, 6);
    assert_int_equal(r->content_length, 12);
    assert_true(r->has_body);
    assert_false(r->keep_alive);
    assert_int_equal(r->version_minor, 1);
    assert_true(
        slice_eq(net_header_get(r, NET_HEADER_CONTENT_TYPE)->value, SLICE("application/json")));
    assert_null(net_header_get(r, NET_HEADER_EXPECT));
    assert_true(slice_eq(net_header_find(r, SLICE("x-custom")), SLICE("v 1")));
    assert_null(net_header_find(r, SLICE("x-none")).data);
    arena_free(h.arena);
}

static void test_head_of_a_bad_line_has_its_fields(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int refused;
    } rows[] = {
        { "GET //a HTTP/1.1", 400 },         { "GET /a#b HTTP/1.1", 400 },
        { "GET http://u@h/ HTTP/1.1", 400 }, { "BREW / HTTP/1.1", 501 },
        { "GET / HTTP/2.0", 505 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char in[256];
        int n = snprintf(in, sizeof(in), "%s\r\n" HOST "ORIGIN:  https://a.example \r\n\r\n",
                         rows[i].line);
        struct head h = read_head(slice_of(in, (size_t)n), sizeof(in));
        const struct net_header *origin = net_header_get(&h.request, NET_HEADER_ORIGIN);
        if (h.refused != rows[i].refused || !origin || h.request.host.data ||
            !slice_eq(origin->value, SLICE("https://a.example")))
            fail_msg("%s: %d", rows[i].line, h.refused);
        arena_free(h.arena);
    }
    /* So has one whose fields are wrong, also behind those that are. */
    struct head twice = read_head(SLICE("GET / HTTP/1.1\r\n" HOST HOST "Origin: a\r\n\r\n"), 1000);
    assert_int_equal(twice.refused, 400);
    assert_non_null(net_header_get(&twice.request, NET_HEADER_ORIGIN));
    arena_free(twice.arena);
    /* What is wrong with the line is what is told. */
    struct head h = read_head(SLICE("BREW / HTTP/1.1\r\n" HOST HOST "\r\n"), 1000);
    assert_int_equal(h.refused, 501);
    arena_free(h.arena);
    h = read_head(SLICE("BREW / HTTP/1.1\r\n" HOST "A b: c\r\n\r\n"), 1000);
    assert_int_equal(h.refused, 501);
    arena_free(h.arena);
}

static void test_head_joins_lists(void **state)
{
    (void)state;
    struct slice in =
        SLICE("GET / HTTP/1.1\r\nPREFER: a\r\n" HOST "accept-encoding: br;q=0\r\n"
              "X: y\r\nPrefer:b\r\nAccept-Encoding:\r\nUpgrade: z\r\nprefer: c, d\r\n\r\n");
    struct head h = read_head(in, in.len);
    const struct net_request *r = &h.request;
    assert_int_equal(h.refused, 0);
    assert_int_equal(r->headers_len, 5);
    assert_true(slice_eq(net_header_get(r, NET_HEADER_PREFER)->value, SLICE("a, b, c, d")));
    assert_true(slice_eq(net_header_get(r, NET_HEADER_ACCEPT_ENCODING)->value, SLICE("br;q=0, ")));
    assert_true(slice_eq(net_header_get(r, NET_HEADER_HOST)->value, SLICE("h")));
    assert_true(slice_eq(net_header_get(r, NET_HEADER_UPGRADE)->value, SLICE("z")));
    assert_true(slice_eq(net_header_find(r, SLICE("x")), SLICE("y")));
    assert_null(net_header_get(r, NET_HEADER_ACCEPT));
    assert_int_equal(r->by_id[NET_HEADER_OTHER], -1);
    arena_free(h.arena);
}

static void test_head_keep_alive(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool want;
    } rows[] = {
        { "GET / HTTP/1.1\r\n" HOST "\r\n", true },
        { "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false },
        { "GET / HTTP/1.1\r\n" HOST "Connection: Close\r\n\r\n", false },
        { "GET / HTTP/1.1\r\n" HOST "Connection: x\r\nConnection: close\r\n\r\n", false },
        { "GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n", true },
        { "GET / HTTP/1.0\r\n\r\n", false },
        { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true },
        { "GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n", false },
        { "GET / HTTP/1.1\r\n" HOST "Proxy-Connection: close\r\n\r\n", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct head h = read_head(slice_cstr(rows[i].in), 1000);
        assert_int_equal(h.refused, 0);
        if (h.request.keep_alive != rows[i].want)
            fail_msg("%s", rows[i].in);
        arena_free(h.arena);
    }
}

static void test_header_ids_are_all_found(void **state)
{
    (void)state;
    static const char *const names[] = {
        "host",
        "content-type",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "expect",
        "accept",
        "accept-encoding",
        "authorization",
        "cookie",
        "origin",
        "referer",
        "user-agent",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "range",
        "prefer",
        "idempotency-key",
        "x-request-id",
        "traceparent",
        "tracestate",
        "x-api-key",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "forwarded",
        "upgrade",
    };
    bool seen[NET_HEADER_ID_COUNT] = { false };
    assert_int_equal(ARRAY_LEN(names), NET_HEADER_ID_COUNT - 1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum net_header_id id = net__header_id(names[i], strlen(names[i]));
        if (id == NET_HEADER_OTHER || seen[id])
            fail_msg("%s", names[i]);
        seen[id] = true;
    }
    assert_int_equal(net__header_id("x-none", 6), NET_HEADER_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_cases_in_any_split),
        cmocka_unit_test(test_head_refuses_zero_bytes_everywhere),
        cmocka_unit_test(test_head_bounds_header_bytes),
        cmocka_unit_test(test_head_says_what_it_says),
        cmocka_unit_test(test_head_of_a_bad_line_has_its_fields),
        cmocka_unit_test(test_head_joins_lists),
        cmocka_unit_test(test_head_keep_alive),
        cmocka_unit_test(test_header_ids_are_all_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
