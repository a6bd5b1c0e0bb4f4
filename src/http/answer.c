/*
 * http/answer.c - Answers: headers, whole bodies and streams.
 */
#include "http/internal.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"

#define FILE_DEADLINE_US CLOCK_HOUR

/* -- headers
 * --------------------------------------------------------------------------------------------- */

static void header_put(struct http_request *req, struct slice name, struct slice value)
{
    req->headers[req->headers_len++] = (struct net_header){ .name = name, .value = value };
}

void http__step_header(struct http_request *req, struct slice name, struct slice value)
{
    if (req->headers_len < ARRAY_LEN(req->headers))
        header_put(req, name, value);
}

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* Of eight characters at once: is any below 0x20, or 0x7f? */
static bool may_have_control(const char *at)
{
    const uint64_t ones = UINT64_MAX / 0xff, high = ones << 7;
    uint64_t x;
    memcpy(&x, at, sizeof(x));
    uint64_t deleted = x ^ ones * 0x7f;
    return (((x - ones * 0x20) & ~x) | ((deleted - ones) & ~deleted)) & high;
}

/* No control characters: a line break in a value would be a header of its own. */
static bool is_field_text(struct slice s)
{
    size_t i = 0;
    while (i + 8 <= s.len && !may_have_control(s.data + i))
        i += 8;
    bool bad = false;
    for (; i < s.len; i++)
        bad |= is_control((unsigned char)s.data[i]);
    return !bad;
}

void http_header_add(struct http_request *req, struct slice name, struct slice value)
{
    if (req->headers_len >= HTTP__HEADERS_MAX || name.len == 0 || !is_field_text(name) ||
        !is_field_text(value))
        req->header_bad = true;
    else if (!http_header_is_disclosing(name)) {
        req->own |= http__own_header(name);
        header_put(req, name, value);
    }
}

struct slice http__allow(struct http_request *req, unsigned allow)
{
    if (allow & 1u << NET_METHOD_GET)
        allow |= 1u << NET_METHOD_HEAD;
    allow |= 1u << NET_METHOD_OPTIONS;
    struct buf b;
    buf_init(&b, http_arena(req), 64, 128);
    for (unsigned m = 0; m < NET_METHOD_OTHER; m++) {
        if (!(allow & 1u << m))
            continue;
        if (b.len)
            buf_put_lit(&b, ", ");
        buf_put_slice(&b, net_method_text((enum net_method)m));
    }
    return buf_slice(&b);
}

const char *http_reason(int status)
{
    return net_reason(status);
}

/* -- whole
 * -----------------------------------------------------------------------------------------------
 */

/* False: a header was bad, and the answer is a problem instead. */
static bool head_begin(struct http_request *req, const char *content_type)
{
    assert(!req->answered);
    req->answered = true;
    if (req->header_bad) {
        /* Our mistake, found in time: drop what the handler set. */
        req->answered = req->header_bad = false;
        req->headers_len = req->own = 0;
        http__send_simple(req, STATUS_INTERNAL, 0, NULL, NULL);
        return false;
    }
    if (content_type)
        header_put(req, SLICE("Content-Type"), slice_cstr(content_type));
    return true;
}

/* The head as net/ wants it. */
static void head_finish(struct http_request *req, int status, const char *content_type,
                        struct net_head *ret_head)
{
    http__chain_after(req, status);
    *ret_head = (struct net_head){
        .status = status,
        .fixed = http__fixed_headers(req, status, content_type ? content_type : req->represents),
        .headers = req->headers,
        .headers_len = req->headers_len,
    };
}

/* Compressed before the steps of the chain run: they see the headers as they will be. */
static void send_whole(struct task *task, struct http_request *req, int status,
                       const char *content_type, struct slice body)
{
    body = http__compress(task, req, status, content_type, body);
    struct net_head head;
    head_finish(req, status, content_type, &head);
    net_send(req->x, &head, body);
}

void http_send(struct http_request *req, int status, const char *content_type, struct slice body)
{
    if (!head_begin(req, content_type))
        return;
    /* Only a task may give way, and this function has none: what takes long waits for run_task. */
    if (req->task && content_type && http__compress_is_long(body))
        req->later = (struct http__later){
            .waits = true, .status = status, .content_type = content_type, .body = body
        };
    else
        send_whole(NULL, req, status, content_type, body);
}

void http__send_later(struct task *task, struct http_request *req)
{
    req->later.waits = false;
    send_whole(task, req, req->later.status, req->later.content_type, req->later.body);
}

void http_send_empty(struct http_request *req, int status)
{
    http_send(req, status, NULL, SLICE(""));
}

void http__send_options(struct http_request *req, unsigned allow)
{
    http_header_add(req, SLICE("Allow"), http__allow(req, allow));
    http_send_empty(req, 204);
}

bool http_is_answered(const struct http_request *req)
{
    return req->answered;
}

/* -- in pieces
 * ------------------------------------------------------------------------------------------- */

enum status http_stream_begin(struct http_request *req, int status, const char *content_type)
{
    if (!head_begin(req, content_type))
        return STATUS_INTERNAL;
    http__compress_stream(req, status, content_type);
    struct net_head head;
    head_finish(req, status, content_type, &head);
    req->streaming = true;
    return net_stream_begin(req->x, &head, -1);
}

/* A client may take its time with a file as long as it takes some: net/ has the timers for that. */
static void extend_deadline(struct task *task)
{
    int64_t until_us = loop_now_us(task_loop(task)) + FILE_DEADLINE_US;
    if (task_deadline(task) != 0 && task_deadline(task) < until_us)
        task_deadline_set(task, until_us);
}

enum status http__stream_begin_sized(struct task *task, struct http_request *req, int status,
                                     const char *content_type, int64_t length)
{
    struct net_head head;
    if (!head_begin(req, content_type))
        return STATUS_INTERNAL;
    head_finish(req, status, content_type, &head);
    extend_deadline(task);
    req->streaming = true;
    return net_stream_begin(req->x, &head, length);
}

enum status http__send_file(struct task *task, struct http_request *req, int status,
                            const char *content_type, struct net_file *file, int64_t offset,
                            int64_t length)
{
    struct net_head head;
    if (!head_begin(req, content_type))
        return STATUS_INTERNAL;
    head_finish(req, status, content_type, &head);
    extend_deadline(task);
    return net_send_file(task, req->x, &head, file, offset, length);
}

enum status http_stream_write(struct task *task, struct http_request *req, struct slice piece)
{
    if (req->encoder)
        return http__compress_write(task, req, piece, HTTP__FLUSH);
    return net_stream_write(task, req->x, piece);
}

void http_stream_end(struct http_request *req)
{
    if (!req->streaming)
        return;
    req->streaming = false;
    /* Everything was flushed, so these are a few bytes; streams are written by tasks. */
    if (req->encoder && http__compress_write(req->task, req, SLICE(""), HTTP__END) != STATUS_OK)
        net_abort(req->x);
    else
        net_stream_end(req->x);
}
