/*
 * tests/http/wire.h - A server on a loop in a thread of its own, and a client that speaks in raw
 * bytes.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/metric.h"
#include "fiber/task.h"
#include "http/http.h"
#include "net/net.h"

#define WIRE_ADMIN_KEY "a-key-of-the-administrator"

struct wire {
    struct loop *loop;
    struct http_app *app;
    struct net_server *server;
    struct metrics *metrics;
    struct loop_post post;
    pthread_t thread;
    unsigned port;
    /* What handlers saw; atomic. */
    int cancelled, timed_out, parked, body_status;
};

static inline int wire_seen(const int *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static inline void wire_count(int *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELEASE);
}

/* -- handlers
 * -------------------------------------------------------------------------------------------- */

static void wire_hello(struct http_request *req, void *arg)
{
    (void)arg;
    http_send(req, 200, "text/plain", SLICE("hello"));
}

static void wire_empty(struct http_request *req, void *arg)
{
    (void)arg;
    http_send_empty(req, 204);
}

static void wire_big(struct http_request *req, void *arg)
{
    (void)arg;
    size_t len = (size_t)1 << 20;
    char *text = arena_alloc(http_arena(req), len);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + i % 26);
    http_send(req, 200, "text/plain", slice_of(text, len));
}

static void wire_bad_header(struct http_request *req, void *arg)
{
    (void)arg;
    http_header_add(req, SLICE("X-Split"), SLICE("a\r\nSet-Cookie: b"));
    http_send(req, 200, "text/plain", SLICE("hello"));
}

static enum status wire_echo(struct task *task, struct http_request *req, void *arg)
{
    struct wire *w = arg;
    struct slice body;
    enum status st = http_body(task, req, NULL, &body);
    __atomic_store_n(&w->body_status, (int)st, __ATOMIC_RELEASE);
    if (st == STATUS_CANCELLED)
        wire_count(&w->cancelled);
    if (st != STATUS_OK)
        return st;
    http_send(req, 200, "text/plain", body);
    return STATUS_OK;
}

static enum status wire_json(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    struct slice body;
    enum status st = http_body(task, req, HTTP_JSON, &body);
    if (st == STATUS_OK)
        http_send_json(req, 200, body);
    return st;
}

/* The body back in the pieces it came in. */
static enum status wire_mirror(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    enum status st = http_stream_begin(req, 200, "text/plain");
    while (st == STATUS_OK) {
        struct slice piece;
        st = net_body_read(task, http_exchange(req), &piece);
        if (st == STATUS_OK)
            st = http_stream_write(task, req, piece);
    }
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* /stream/{pieces}/{bytes} */
static enum status wire_stream(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    int64_t pieces = 0, bytes = 0;
    if (!slice_to_i64(http_path_param(req, SLICE("pieces")), &pieces) ||
        !slice_to_i64(http_path_param(req, SLICE("bytes")), &bytes))
        return STATUS_INVALID;
    char *text = arena_alloc(http_arena(req), (size_t)bytes + 1);
    for (int64_t i = 0; i < bytes; i++)
        text[i] = (char)('a' + i % 26);
    enum status st = http_stream_begin(req, 200, "text/plain");
    for (int64_t i = 0; i < pieces && st == STATUS_OK; i++)
        st = http_stream_write(task, req, slice_of(text, (size_t)bytes));
    return st;
}

static enum status wire_stream_cut(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    enum status st = http_stream_begin(req, 200, "text/plain");
    if (st == STATUS_OK)
        st = http_stream_write(task, req, SLICE("half of"));
    return st == STATUS_OK ? STATUS_UNAVAILABLE : st;
}

/* Parks until the peer is gone or the deadline passes. */
static enum status wire_park(struct task *task, struct http_request *req, void *arg)
{
    (void)req;
    struct wire *w = arg;
    wire_count(&w->parked);
    enum status st = STATUS_OK;
    while (st == STATUS_OK)
        st = task_wait(task);
    wire_count(st == STATUS_CANCELLED ? &w->cancelled : &w->timed_out);
    return st;
}

/* /sleep/{ms}: answers with the number. */
static enum status wire_sleep(struct task *task, struct http_request *req, void *arg)
{
    struct wire *w = arg;
    struct slice text = http_path_param(req, SLICE("ms"));
    int64_t ms;
    if (!slice_to_i64(text, &ms))
        return problem_set(task, STATUS_INVALID, "test/not-a-number", "Give milliseconds.");
    wire_count(&w->parked);
    enum status st = task_sleep(task, ms * CLOCK_MS);
    if (st == STATUS_OK)
        http_send(req, 200, "text/plain", text);
    return st;
}

/* Answers without looking at the body. */
static enum status wire_ignore(struct task *task, struct http_request *req, void *arg)
{
    (void)task;
    (void)arg;
    http_send(req, 200, "text/plain", SLICE("ignored"));
    return STATUS_OK;
}

static enum status wire_no_answer(struct task *task, struct http_request *req, void *arg)
{
    (void)task;
    (void)req;
    (void)arg;
    return STATUS_OK;
}

static enum status wire_validate(struct task *task, struct http_request *req, void *arg)
{
    (void)req;
    (void)arg;
    struct problem *p = task_problem(task);
    problem_field_add(p, task_arena(task), SLICE("/title"), "required", "Give a title.");
    problem_field_add(p, task_arena(task), SLICE("/a\"b"), "too_long", "At most %d.", 5);
    return STATUS_INVALID;
}

static enum status wire_query(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    const struct http_param *params;
    unsigned len;
    enum status st = http_query(task, req, &params, &len);
    if (st != STATUS_OK)
        return st;
    struct buf b;
    buf_init(&b, http_arena(req), 64, 1 << 20);
    for (unsigned i = 0; i < len; i++)
        buf_printf(&b, "%.*s=%.*s;", SLICE_ARG(params[i].name), SLICE_ARG(params[i].value));
    http_send(req, 200, "text/plain", buf_slice(&b));
    return STATUS_OK;
}

static void wire_routes(struct wire *w)
{
    const struct http_route routes[] = {
        { .method = NET_METHOD_GET,
          .pattern = "/hello",
          .handle_inline = wire_hello,
          .quiet = true },
        { .method = NET_METHOD_GET, .pattern = "/", .handle_inline = wire_hello },
        { .method = NET_METHOD_GET, .pattern = "/empty", .handle_inline = wire_empty },
        { .method = NET_METHOD_GET, .pattern = "/big", .handle_inline = wire_big },
        { .method = NET_METHOD_GET, .pattern = "/bad-header", .handle_inline = wire_bad_header },
        { .method = NET_METHOD_GET, .pattern = "/echo", .handler = wire_echo },
        { .method = NET_METHOD_POST, .pattern = "/echo", .handler = wire_echo },
        { .method = NET_METHOD_PUT, .pattern = "/echo", .handler = wire_echo },
        { .method = NET_METHOD_POST,
          .pattern = "/small",
          .handler = wire_echo,
          .body_bytes_max = 10 },
        { .method = NET_METHOD_POST, .pattern = "/json", .handler = wire_json },
        { .method = NET_METHOD_POST, .pattern = "/mirror", .handler = wire_mirror },
        { .method = NET_METHOD_POST, .pattern = "/ignore", .handler = wire_ignore },
        { .method = NET_METHOD_GET, .pattern = "/stream/{pieces}/{bytes}", .handler = wire_stream },
        { .method = NET_METHOD_GET, .pattern = "/stream-cut", .handler = wire_stream_cut },
        { .method = NET_METHOD_GET, .pattern = "/park", .handler = wire_park },
        { .method = NET_METHOD_GET,
          .pattern = "/park-briefly",
          .handler = wire_park,
          .timeout_us = 50 * CLOCK_MS },
        { .method = NET_METHOD_GET, .pattern = "/sleep/{ms}", .handler = wire_sleep },
        { .method = NET_METHOD_GET, .pattern = "/no-answer", .handler = wire_no_answer },
        { .method = NET_METHOD_POST, .pattern = "/validate", .handler = wire_validate },
        { .method = NET_METHOD_GET, .pattern = "/query", .handler = wire_query },
        { .method = NET_METHOD_GET,
          .pattern = "/admin",
          .handle_inline = wire_hello,
          .audience = HTTP_ADMIN },
    };
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        struct http_route route = routes[i];
        const char *reason = "";
        route.arg = w;
        if (http_route_add(w->app, &route, &reason) != STATUS_OK)
            fail_msg("%s: %s", route.pattern, reason);
    }
}

/* -- the server
 * ------------------------------------------------------------------------------------------ */

static void *wire_thread(void *arg)
{
    loop_run(arg);
    return NULL;
}

/* The app with its routes, not yet served: tests change `options` or add steps first. */
static inline void wire_make(struct wire *w, struct http_options options)
{
    *w = (struct wire){ .port = 0 };
    assert_int_equal(loop_new(NULL, &w->loop), STATUS_OK);
    w->metrics = metrics_new();
    options.metrics = w->metrics;
    options.admin_key = SLICE(WIRE_ADMIN_KEY);
    options.access_log = true;
    assert_int_equal(http_app_new(&options, &w->app), STATUS_OK);
    wire_routes(w);
}

static inline void wire_serve(struct wire *w, const struct net_limits *limits)
{
    struct net_server_options server = { .host = SLICE_INIT("127.0.0.1") };
    if (limits)
        server.limits = *limits;
    http_app_serve(w->app, &server);
    const char *reason = "";
    if (net_server_open(w->loop, &server, &w->server, &reason) != STATUS_OK)
        fail_msg("%s", reason);
    w->port = net_server_port(w->server);
    assert_int_equal(pthread_create(&w->thread, NULL, wire_thread, w->loop), 0);
}

static inline void wire_open(struct wire *w, const struct net_limits *limits)
{
    wire_make(w, (struct http_options){ .access_log = true });
    wire_serve(w, limits);
}

static void wire_closed(void *arg)
{
    struct wire *w = arg;
    loop_stop(w->loop);
}

static void wire_on_close_post(struct loop_post *post)
{
    struct wire *w = CONTAINER_OF(post, struct wire, post);
    net_server_close(w->server, wire_closed, w);
}

static inline void wire_close(struct wire *w)
{
    w->post.fn = wire_on_close_post;
    loop_post(w->loop, &w->post);
    assert_int_equal(pthread_join(w->thread, NULL), 0);
    http_app_free(w->app);
    loop_free(w->loop);
    metrics_free(w->metrics);
}

static void wire_on_drain_post(struct loop_post *post)
{
    struct wire *w = CONTAINER_OF(post, struct wire, post);
    net_server_drain(w->server);
}

static inline void wire_drain(struct wire *w)
{
    w->post.fn = wire_on_drain_post;
    loop_post(w->loop, &w->post);
}

/* Wait (at most 10 s) until a counter of a handler reaches `want`. */
static inline void wire_wait(const int *counter, int want)
{
    for (int i = 0; i < 10000 && wire_seen(counter) < want; i++)
        (void)usleep(1000);
    assert_true(wire_seen(counter) >= want);
}

/* -- the client
 * ------------------------------------------------------------------------------------------ */

struct client {
    int fd;
    size_t start, end; /* of unread bytes in data */
    char data[65536];
};

struct answer {
    int status;
    bool is_chunked, closes;
    size_t head_len, body_len;
    char *head, *body; /* heap; freed by the next read */
};

static inline int wire_connect_small(unsigned port, int receive_bytes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_bytes)
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(int)), 0);
    struct timeval patience = { .tv_sec = 10 };
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline struct client *client_open(unsigned port)
{
    struct client *c = calloc(1, sizeof(*c));
    c->fd = wire_connect_small(port, 0);
    assert_true(c->fd >= 0);
    return c;
}

static inline void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

/* Close with a reset. */
static inline void client_reset(struct client *c)
{
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    client_close(c);
}

/* False when the peer closed before all was taken. */
static inline bool client_send(struct client *c, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = send(c->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes = slice_from(bytes, (size_t)n);
    }
    return true;
}

static inline bool client_say(struct client *c, const char *text)
{
    return client_send(c, slice_cstr(text));
}

/* More bytes; false at the end of the connection. */
static inline bool client_fill(struct client *c)
{
    if (c->start > 0) {
        memmove(c->data, c->data + c->start, c->end - c->start);
        c->end -= c->start;
        c->start = 0;
    }
    assert_true(c->end < sizeof(c->data));
    ssize_t n = recv(c->fd, c->data + c->end, sizeof(c->data) - c->end, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        fail_msg("the server says nothing");
    if (n <= 0)
        return false;
    c->end += (size_t)n;
    return true;
}

/* Is the connection closed with nothing more said? */
static inline bool client_is_closed(struct client *c)
{
    return c->start == c->end && !client_fill(c);
}

static inline void text_add(char **text, size_t *text_len, const char *data, size_t len)
{
    *text = realloc(*text, MAX(*text_len + len + 1, (size_t)1));
    assert_non_null(*text);
    memcpy(*text + *text_len, data, len);
    *text_len += len;
    (*text)[*text_len] = '\0';
}

static inline void answer_add(struct answer *a, const char *data, size_t len)
{
    text_add(&a->body, &a->body_len, data, len);
}

static inline bool answer_take(struct client *c, struct answer *a, size_t len)
{
    while (len) {
        if (c->start == c->end && !client_fill(c))
            return false;
        size_t n = MIN(len, c->end - c->start);
        answer_add(a, c->data + c->start, n);
        c->start += n;
        len -= n;
    }
    return true;
}

/* A line without its CR LF into out; false at the end of the connection. */
static inline bool answer_line(struct client *c, char *out, size_t out_size)
{
    for (;;) {
        char *lf = memchr(c->data + c->start, '\n', c->end - c->start);
        if (lf) {
            size_t len = (size_t)(lf - (c->data + c->start));
            assert_true(len >= 1 && lf[-1] == '\r' && len < out_size);
            memcpy(out, c->data + c->start, len - 1);
            out[len - 1] = '\0';
            c->start += len + 1;
            return true;
        }
        if (!client_fill(c))
            return false;
    }
}

/* The value of a header in the answer's head, or NULL. Names as they are sent. */
static inline const char *answer_header(struct answer *a, const char *name)
{
    static char value[512];
    char key[80];
    (void)snprintf(key, sizeof(key), "\n%s: ", name);
    const char *at = strstr(a->head, key);
    if (!at)
        return NULL;
    at += strlen(key);
    size_t len = strcspn(at, "\n");
    assert_true(len < sizeof(value));
    memcpy(value, at, len);
    value[len] = '\0';
    return value;
}

static inline bool answer_chunks(struct client *c, struct answer *a)
{
    char line[64], *end;
    for (;;) {
        if (!answer_line(c, line, sizeof(line)))
            return false;
        size_t len = strtoul(line, &end, 16);
        assert_true(end != line && *end == '\0');
        if (len && !answer_take(c, a, len))
            return false;
        if (!answer_line(c, line, sizeof(line)))
            return false;
        assert_int_equal(line[0], '\0');
        if (len == 0)
            return true;
    }
}

static inline void answer_free(struct answer *a)
{
    free(a->head);
    free(a->body);
    *a = (struct answer){ .status = 0 };
}

/* Read one answer; false when the connection ends before it is whole. */
static inline bool client_answer(struct client *c, bool has_no_body, struct answer *a)
{
    char line[1024];
    answer_free(a);
    answer_add(a, "", 0);
    if (!answer_line(c, line, sizeof(line)))
        return false;
    assert_int_equal(strncmp(line, "HTTP/1.1 ", 9), 0);
    a->status = (int)strtol(line + 9, NULL, 10);
    do {
        text_add(&a->head, &a->head_len, line, strlen(line));
        text_add(&a->head, &a->head_len, "\n", 1);
        if (!answer_line(c, line, sizeof(line)))
            return false;
    } while (line[0]);
    const char *connection = answer_header(a, "Connection");
    a->closes = connection && strcmp(connection, "close") == 0;
    a->is_chunked = answer_header(a, "Transfer-Encoding") != NULL;
    const char *length = answer_header(a, "Content-Length");
    if (has_no_body || a->status < 200 || a->status == 204 || a->status == 304)
        return true;
    if (a->is_chunked)
        return answer_chunks(c, a);
    if (length)
        return answer_take(c, a, strtoul(length, NULL, 10));
    while (c->start < c->end || client_fill(c)) {
        answer_add(a, c->data + c->start, c->end - c->start);
        c->start = c->end;
    }
    return true;
}

/* The same on a connection of its own. */
static inline void wire_ask(const struct wire *w, const char *request, struct answer *a)
{
    struct client *c = client_open(w->port);
    assert_true(client_say(c, request));
    bool has_no_body = strncmp(request, "HEAD", 4) == 0;
    if (!client_answer(c, has_no_body, a))
        fail_msg("no answer to %s", request);
    client_close(c);
}

/* Is the header this, or missing when `want` is NULL? */
static inline void check_header(const char *where, struct answer *a, const char *name,
                                const char *want)
{
    const char *got = answer_header(a, name);
    if (!got != !want || (got && want && strcmp(got, want) != 0))
        fail_msg("%s: %s is %s, not %s\n%s", where, name, got ? got : "missing",
                 want ? want : "missing", a->head);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
