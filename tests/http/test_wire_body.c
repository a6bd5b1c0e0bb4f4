/*
 * tests/http/test_wire_body.c - Bodies both ways: announced, chunked, expected, streamed, slow to
 * be taken, pipelined.
 */
#include "wire.h"

static char *letters(size_t len)
{
    char *text = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + i % 26);
    text[len] = '\0';
    return text;
}

static void test_body_expecting_100(void **state)
{
    struct wire *w = *state;
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    for (int i = 0; i < 3; i++) {
        assert_true(client_say(c, "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                                  "Content-Length: 5\r\n\r\n"));
        assert_true(client_answer(c, false, &a));
        assert_int_equal(a.status, 100);
        assert_true(client_say(c, "hello"));
        assert_true(client_answer(c, false, &a));
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, "hello");
    }
    /* A body that comes unasked needs no 100. */
    assert_true(client_say(c, "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                              "Content-Length: 5\r\n\r\nhello"));
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.status, 200);
    /* Nobody reads it: no 100, and nobody knows whether the body comes. */
    assert_true(client_say(c, "POST /ignore HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                              "Content-Length: 5\r\n\r\n"));
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.status, 200);
    assert_true(a.closes);
    answer_free(&a);
    client_close(c);
}

static void test_body_sizes_both_framings(void **state)
{
    struct wire *w = *state;
    static const size_t sizes[] = { 1, 100, 16000, 65535, 65536, 65537, 200000, 1 << 20 };
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    char *text = letters(1 << 20), line[256];
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct slice body = slice_of(text, sizes[i]);
        (void)snprintf(line, sizeof(line),
                       "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", body.len);
        assert_true(client_say(c, line) && client_send(c, body));
        assert_true(client_answer(c, false, &a));
        assert_int_equal(a.status, 200);
        assert_int_equal(a.body_len, body.len);
        assert_memory_equal(a.body, body.data, body.len);
        /* The same in chunks of odd sizes. */
        assert_true(
            client_say(c, "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
        for (size_t at = 0, step = 1; at < body.len; at += step, step = step * 3 + 1) {
            step = MIN(step, body.len - at);
            (void)snprintf(line, sizeof(line), "%zx\r\n", step);
            assert_true(client_say(c, line) && client_send(c, slice_of(text + at, step)) &&
                        client_say(c, "\r\n"));
        }
        assert_true(client_say(c, "0\r\n\r\n"));
        assert_true(client_answer(c, false, &a));
        assert_int_equal(a.status, 200);
        assert_int_equal(a.body_len, body.len);
        assert_memory_equal(a.body, body.data, body.len);
    }
    free(text);
    answer_free(&a);
    client_close(c);
}

/* The answer is read although the peer is in the middle of sending far too much. */
static void test_body_early_413_reaches_the_client(void **state)
{
    struct wire *w = *state;
    struct answer a = { 0 };
    char *text = letters(1 << 20);
    for (int chunked = 0; chunked < 2; chunked++) {
        struct client *c = client_open(w->port);
        assert_true(client_say(c, chunked ? "POST /small HTTP/1.1\r\nHost: h\r\n"
                                            "Transfer-Encoding: chunked\r\n\r\n500000\r\n"
                                          : "POST /small HTTP/1.1\r\nHost: h\r\n"
                                            "Content-Length: 5242880\r\n\r\n"));
        for (int i = 0; i < 5; i++)
            assert_true(client_send(c, slice_of(text, 1 << 20)));
        assert_true(client_answer(c, false, &a));
        assert_int_equal(a.status, 413);
        assert_true(a.closes);
        assert_true(client_is_closed(c));
        client_close(c);
    }
    free(text);
    answer_free(&a);
}

static void test_stream_arrives_whole(void **state)
{
    struct wire *w = *state;
    static const struct {
        unsigned pieces, bytes;
    } cases[] = { { 0, 10 }, { 1, 1 }, { 3, 0 }, { 1000, 10 }, { 20, 70000 }, { 3, 1000000 } };
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char line[128], *text = letters(cases[i].bytes);
        (void)snprintf(line, sizeof(line), "GET /stream/%u/%u HTTP/1.1\r\nHost: h\r\n\r\n",
                       cases[i].pieces, cases[i].bytes);
        assert_true(client_say(c, line));
        assert_true(client_answer(c, false, &a));
        assert_int_equal(a.status, 200);
        assert_true(a.is_chunked);
        assert_int_equal(a.body_len, cases[i].pieces * (size_t)cases[i].bytes);
        for (unsigned k = 0; k < cases[i].pieces; k++)
            assert_memory_equal(a.body + (size_t)k * cases[i].bytes, text, cases[i].bytes);
        free(text);
    }
    answer_free(&a);
    client_close(c);
}

static void test_stream_that_fails_is_cut(void **state)
{
    struct wire *w = *state;
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    assert_true(client_say(c, GET("/stream-cut")));
    assert_false(client_answer(c, false, &a));
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "half of");
    answer_free(&a);
    client_close(c);
}

/* A body goes through the server while it comes, much larger than any buffer on the way. */
static void test_mirror_streams_both_ways(void **state)
{
    struct wire *w = *state;
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    char *text = letters(1 << 20);
    assert_true(
        client_say(c, "POST /mirror HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n"));
    for (size_t at = 0; at < 1 << 20; at += 32768)
        assert_true(client_send(c, slice_of(text + at, 32768)));
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.body_len, 1 << 20);
    assert_memory_equal(a.body, text, 1 << 20);
    assert_true(client_say(c, GET("/hello")));
    assert_true(client_answer(c, false, &a));
    free(text);
    answer_free(&a);
    client_close(c);
}

/* Answers that the peer takes slowly, through a small window: whole, and in order. */
static void test_slow_reader_gets_all(void **state)
{
    struct wire *w = *state;
    struct client *c = calloc(1, sizeof(*c));
    c->fd = wire_connect_small(w->port, 4096);
    struct answer a = { 0 };
    char *text = letters(1 << 20);
    assert_true(client_say(c, GET("/big") GET("/hello") GET("/big") GET("/stream/50/40000")));
    (void)usleep(100000);
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.body_len, 1 << 20);
    assert_memory_equal(a.body, text, 1 << 20);
    assert_true(client_answer(c, false, &a));
    assert_string_equal(a.body, "hello");
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.body_len, 1 << 20);
    assert_true(client_answer(c, false, &a));
    assert_int_equal(a.body_len, 50 * 40000);
    free(text);
    answer_free(&a);
    client_close(c);
}

/* Hundreds of requests at once, answered by tasks and inline, come back in order. */
static void test_pipeline_keeps_order(void **state)
{
    struct wire *w = *state;
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    enum { REQUESTS = 400 };
    char *in = malloc(REQUESTS * 96), *at = in;
    for (int i = 0; i < REQUESTS; i++) {
        static const char *const paths[] = { "/hello", "/sleep/%d", "/query?n=%d" };
        char path[64];
        (void)snprintf(path, sizeof(path),
                       i % 3 == 0   ? "%s"
                       : i % 3 == 1 ? "/sleep/%s"
                                    : "/query?%s",
                       i % 3 == 0   ? paths[0]
                       : i % 3 == 1 ? (i % 60 == 1 ? "2" : "0")
                                    : "n");
        at += snprintf(at, 96, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
    }
    assert_true(client_send(c, slice_of(in, (size_t)(at - in))));
    for (int i = 0; i < REQUESTS; i++) {
        assert_true(client_answer(c, false, &a));
        assert_int_equal(a.status, 200);
        const char *want = i % 3 == 0 ? "hello" : i % 3 == 1 ? (i % 60 == 1 ? "2" : "0") : "n=;";
        assert_string_equal(a.body, want);
    }
    free(in);
    answer_free(&a);
    client_close(c);
}

/* Far more unread requests than may wait: reading stops and goes on again. */
static void *pipeline_writer(void *arg)
{
    struct client *c = arg;
    static const char one[] =
        "GET /sleep/0 HTTP/1.1\r\nHost: h\r\nX-Filler: "
        "0123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\n";
    for (int i = 0; i < 3000; i++) {
        if (!client_say(c, one))
            return NULL;
    }
    return c;
}

static void test_pipeline_is_bounded(void **state)
{
    struct wire *w = *state;
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, pipeline_writer, c), 0);
    for (int i = 0; i < 3000; i++) {
        assert_true(client_answer(c, false, &a));
        assert_int_equal(a.status, 200);
    }
    void *all_sent;
    assert_int_equal(pthread_join(writer, &all_sent), 0);
    assert_non_null(all_sent);
    answer_free(&a);
    client_close(c);
}

/* Nobody reads the answers to a flood of requests: the server stops taking more, and lives. */
static void test_answers_nobody_reads_are_bounded(void **state)
{
    struct wire *w = *state;
    struct client *c = calloc(1, sizeof(*c));
    c->fd = wire_connect_small(w->port, 4096);
    struct timeval little = { .tv_usec = 300000 };
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &little, sizeof(little)), 0);
    bool all_taken = true;
    for (int i = 0; i < 200000 && all_taken; i++)
        all_taken = client_say(c, GET("/big"));
    assert_false(all_taken);
    struct client *other = client_open(w->port);
    struct answer a = { 0 };
    assert_true(client_say(other, GET("/hello")));
    assert_true(client_answer(other, false, &a));
    answer_free(&a);
    client_close(other);
    client_reset(c);
}

static void test_many_connections_at_once(void **state)
{
    struct wire *w = *state;
    enum { CLIENTS = 200 };
    static struct client *clients[CLIENTS];
    struct answer a = { 0 };
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = client_open(w->port);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CLIENTS; i++)
            assert_true(client_say(clients[i], i % 2 ? GET("/sleep/1") : GET("/hello")));
        for (int i = 0; i < CLIENTS; i++) {
            assert_true(client_answer(clients[i], false, &a));
            assert_string_equal(a.body, i % 2 ? "1" : "hello");
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        client_close(clients[i]);
    answer_free(&a);
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
        cmocka_unit_test(test_body_expecting_100),
        cmocka_unit_test(test_body_sizes_both_framings),
        cmocka_unit_test(test_body_early_413_reaches_the_client),
        cmocka_unit_test(test_stream_arrives_whole),
        cmocka_unit_test(test_stream_that_fails_is_cut),
        cmocka_unit_test(test_mirror_streams_both_ways),
        cmocka_unit_test(test_slow_reader_gets_all),
        cmocka_unit_test(test_pipeline_keeps_order),
        cmocka_unit_test(test_pipeline_is_bounded),
        cmocka_unit_test(test_answers_nobody_reads_are_bounded),
        cmocka_unit_test(test_many_connections_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
