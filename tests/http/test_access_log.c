/* tests/http/test_access_log.c - One line a request, with what operators look for and nothing they
 * must not keep. */
#include "wire.h"

#include <fcntl.h>

#include "base/json.h"
#include "base/log.h"

static int log_fd;

static void ask(struct wire *w, const char *in)
{
    struct client *c = client_open(w->port);
    struct answer a = { 0 };
    assert_true(client_say(c, in));
    assert_true(client_answer(c, false, &a));
    answer_free(&a);
    client_close(c);
}

static const char *text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "";
}

struct expected {
    const char *method, *route, *path;
    int status;
};

static void check_line(struct slice text, const struct expected *e)
{
    struct arena *arena = arena_new(NULL, 0);
    json_t *line;
    struct json_error_at at;
    if (json_read(arena, text, JSON_LIMITS_DEFAULT, &line, &at) != STATUS_OK)
        fail_msg("%s: %.*s", at.reason, SLICE_ARG(text));
    assert_string_equal(text_of(line, "msg"), "http.request");
    assert_string_equal(text_of(line, "method"), e->method);
    assert_string_equal(text_of(line, "route"), e->route);
    assert_string_equal(text_of(line, "path"), e->path);
    assert_string_equal(text_of(line, "client_ip"), "127.0.0.1");
    assert_int_equal(strlen(text_of(line, "ts")), 24);
    assert_int_equal(strlen(text_of(line, "trace_id")), 32);
    assert_int_equal(strlen(text_of(line, "span_id")), 16);
    assert_true(strlen(text_of(line, "request_id")) > 0);
    assert_int_equal(json_integer_value(json_object_get(line, "status")), e->status);
    assert_true(json_is_real(json_object_get(line, "duration_ms")));
    assert_true(json_is_integer(json_object_get(line, "bytes")));
    arena_free(arena);
}

static void test_access_log(void **state)
{
    (void)state;
    static struct wire w;
    char path[] = "/tmp/purlin-access-XXXXXX";
    log_fd = mkstemp(path);
    assert_true(log_fd >= 0);
    assert_int_equal(unlink(path), 0);
    const struct log_options options = { .fd = log_fd,
                                         .level = LOG_LEVEL_INFO,
                                         .format = LOG_FORMAT_JSON };
    assert_int_equal(log_start(&options), STATUS_OK);
    wire_open(&w, NULL);
    ask(&w, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"); /* quiet */
    ask(&w, "GET /sleep/0?token=secret HTTP/1.1\r\nHost: h\r\nX-Request-Id: mine\r\n\r\n");
    ask(&w, "GET /a%22b%20c HTTP/1.1\r\nHost: h\r\n\r\n");
    ask(&w, "FROB\"/ x\r\n\r\n");
    ask(&w, "DELETE /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    ask(&w, "GET /park-briefly HTTP/1.1\r\nHost: h\r\n\r\n");
    wire_close(&w);
    log_stop();

    static const struct expected want[] = {
        { "GET", "/sleep/{ms}", "/sleep/0", 200 },
        { "GET", "unmatched", "/a%22b%20c", 404 },
        { "", "unmatched", "", 400 },
        { "DELETE", "unmatched", "/hello", 405 },
        { "GET", "/park-briefly", "/park-briefly", 503 },
    };
    static char text[65536];
    ssize_t n = pread(log_fd, text, sizeof(text), 0);
    assert_true(n > 0);
    struct slice rest = slice_of(text, (size_t)n), line;
    assert_int_equal(slice_find_slice(rest, SLICE("secret")), SIZE_MAX);
    assert_int_not_equal(slice_find_slice(rest, SLICE("\"request_id\":\"mine\"")), SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(slice_split(&rest, '\n', &line));
        check_line(line, &want[i]);
    }
    (void)close(log_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_access_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
