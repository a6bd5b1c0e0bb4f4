/*
 * net/write.c - Bytes out. Answers are gathered in the server's write buffer and leave in one
 * write; what the kernel does not take is copied to blocks of the connection (or, for a large body
 * in an exchange's arena, referenced by one).
 */
#include "net/conn.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"

void net__date_refresh(struct net_server *s)
{
    int64_t now_us = loop_now_us(s->loop);
    if (LIKELY(now_us < s->date_until_us))
        return;
    int64_t wall_us = clock_wall_us();
    char *p = s->date;
    memcpy(p, "Date: ", 6);
    clock_format_http(wall_us, p + 6);
    memcpy(p + 6 + CLOCK_HTTP_DATE_LEN, "\r\n", 2);
    s->date_len = 6 + CLOCK_HTTP_DATE_LEN + 2;
    s->date_until_us = now_us + CLOCK_SECOND - wall_us % CLOCK_SECOND;
}

/* -- blocks
 * ---------------------------------------------------------------------------------------------- */

static void on_write(uv_write_t *req, int rc);

static size_t block_bytes(const struct net__block *b)
{
    return b->end - b->start + b->rest.len;
}

/* A block's own bytes are sent: seal the next piece of its rest in their place. */
static bool seal_rest(struct net_conn *c, struct net__block *b)
{
    c->out_bytes -= block_bytes(b);
    struct net__tls_sink sink = { .data = b->data, .cap = b->cap };
    bool is_good = net__tls_seal(&c->secure->engine, &b->rest, &sink) != NET__TLS_FAILED;
    b->start = 0;
    b->end = (uint32_t)sink.len;
    c->out_bytes += block_bytes(b);
    return is_good;
}

/* Give the first block to libuv, which waits for the socket to take it. */
static void write_start(struct net_conn *c)
{
    struct net__block *b = c->out_first;
    if (!b || b->in_flight)
        return;
    if (c->secure && b->start == b->end && !seal_rest(c, b)) {
        net__conn_close(c);
        return;
    }
    uv_buf_t bufs[2];
    unsigned n = 0;
    if (b->end > b->start)
        bufs[n++] = uv_buf_init(b->data + b->start, b->end - b->start);
    if (b->rest.len && !c->secure) {
        union {
            const char *constant;
            char *base;
        } data = { .constant = b->rest.data }; /* libuv's buffers are not const; it only reads */
        bufs[n++] = uv_buf_init(data.base, (unsigned)b->rest.len);
    }
    b->in_flight = true;
    if (uv_write(&b->write, (uv_stream_t *)&c->tcp, bufs, n, on_write) != 0) {
        b->in_flight = false;
        net__conn_close(c);
    }
}

static void on_write(uv_write_t *req, int rc)
{
    struct net__block *b = CONTAINER_OF(req, struct net__block, write);
    struct net_conn *c = b->conn;
    struct net_server *s = c->server;
    bool had_body = b->is_body;
    if (c->state == NET__CLOSED) { /* it left the list when the connection closed */
        net__block_give(s, b);
        return;
    }
    assert(c->out_first == b);
    if (c->secure && rc == 0 && b->rest.len > 0) {
        c->out_bytes -= b->end - b->start;
        b->start = b->end;
        b->in_flight = false;
        c->write_us = loop_now_us(s->loop);
        write_start(c);
        return;
    }
    c->out_first = b->next;
    if (!c->out_first)
        c->out_last = NULL;
    c->out_bytes -= block_bytes(b);
    c->write_us = loop_now_us(s->loop);
    net__block_give(s, b);
    if (rc != 0) {
        net__conn_close(c);
        return;
    }
    write_start(c);
    struct net_exchange *x = c->x;
    if (x && had_body)
        x->body_in_queue = false;
    if (x && x->writer && c->out_bytes <= s->limits.send_bytes_max / 2)
        task_wake(x->writer);
    if (x)
        (void)net__exchange_settle(x); /* else it is still being answered */
    else
        net__conn_sent(c);
}

static struct net__block *block_append(struct net_conn *c)
{
    struct net__block *b = net__block_take(c->server);
    b->conn = c;
    if (c->out_last) {
        c->out_last->next = b;
    } else {
        c->out_first = b;
        c->write_us = loop_now_us(c->server->loop);
    }
    c->out_last = b;
    return b;
}

static void queue_copy(struct net_conn *c, const char *data, size_t len)
{
    c->out_bytes += len;
    while (len > 0) {
        struct net__block *b = c->out_last;
        if (!b || b->in_flight || b->rest.len || b->end == b->cap)
            b = block_append(c);
        size_t n = MIN(len, (size_t)(b->cap - b->end));
        memcpy(b->data + b->end, data, n);
        b->end += (uint32_t)n;
        data += n;
        len -= n;
    }
}

/* Nobody's answer is being gathered any more; what it was stays in the buffer. */
static void gathered_take(struct net_server *s, struct slice *ret_bytes, struct slice *ret_body)
{
    *ret_bytes = slice_of(s->write_buffer, s->write_len);
    *ret_body = s->write_body;
    s->writer = NULL;
    s->write_len = 0;
    s->write_body = SLICE_NULL;
}

void net__write_drop(struct net_conn *c)
{
    struct net_server *s = c->server;
    struct slice bytes, body;
    if (s->writer == c)
        gathered_take(s, &bytes, &body);
    for (unsigned i = 0; c->held && i < s->held.len; i++) {
        if (s->held.answers[i].conn == c)
            s->held.answers[i].conn = NULL;
    }
    c->held = false;
    for (struct net__block *b = c->out_first, *next; b; b = next) {
        next = b->next;
        if (!b->in_flight) /* else libuv's, until it calls back */
            net__block_give(s, b);
    }
    c->out_first = c->out_last = NULL;
    c->out_bytes = 0;
}

/* -- gathering
 * ------------------------------------------------------------------------------------------- */

/* Bytes that the kernel took; 0 when there is a queue before them; -1 when the connection is lost.
 */
static ssize_t try_write(struct net_conn *c, uv_buf_t *bufs, unsigned n)
{
    if (c->out_first)
        return 0;
    int rc = uv_try_write((uv_stream_t *)&c->tcp, bufs, n);
    if (rc == UV_EAGAIN)
        return 0;
    return rc;
}

/* Bytes of an answer are lost, and with them the connection. */
static void lose(struct net_conn *c)
{
    if (c->x)
        c->x->cut = true;
    net__conn_close(c);
}

/* Leave the rest of a body to the queue, which is not empty. */
static void queue_body(struct net_conn *c, struct slice rest)
{
    struct net__block *b = c->out_last;
    if (!b || b->in_flight || b->rest.len)
        b = block_append(c);
    b->rest = rest;
    b->is_body = true;
    c->out_bytes += rest.len;
    c->x->body_in_queue = true;
    write_start(c);
}

/* What the kernel does not take is queued, of the body without a copy. */
static void send_clear(struct net_conn *c, struct slice bytes, struct slice body)
{
    union {
        const char *constant;
        char *base;
    } head = { .constant = bytes.data }, rest = { .constant = body.data }; /* as in write_start */
    uv_buf_t bufs[2] = { uv_buf_init(head.base, (unsigned)bytes.len),
                         uv_buf_init(rest.base, (unsigned)body.len) };
    ssize_t n = c->state == NET__CLOSED ? -1 : try_write(c, bufs, body.len > 0 ? 2 : 1);
    if (n < 0) {
        lose(c);
        return;
    }
    size_t sent = (size_t)n;
    if (sent == bytes.len + body.len)
        return;
    if (sent < bytes.len)
        queue_copy(c, bytes.data + sent, bytes.len - sent);
    if (body.len > 0)
        queue_body(c, slice_from(body, sent > bytes.len ? sent - bytes.len : 0));
    else
        write_start(c);
}

void net__write_raw(struct net_conn *c, const char *data, size_t len)
{
    send_clear(c, slice_of(data, len), SLICE_NULL);
}

/* Seal some bytes and a body behind them, and send it: as much of it as the kernel takes, and no
 * more than one buffer beyond that. */
static void send_sealed(struct net_conn *c, struct slice bytes, struct slice body)
{
    struct net_server *s = c->server;
    struct slice parts[2] = { bytes, body };
    do {
        struct net__tls_sink sink = net__secure_sink(s);
        enum net__tls_result result = NET__TLS_DONE;
        for (unsigned i = 0; i < 2 && result == NET__TLS_DONE; i++)
            result = net__tls_seal(&c->secure->engine, &parts[i], &sink);
        if (result == NET__TLS_FAILED) {
            lose(c);
            return;
        }
        net__write_raw(c, sink.data, sink.len);
        if (c->state == NET__CLOSED)
            return;
    } while (parts[0].len > 0 || (parts[1].len > 0 && !c->out_first));
    if (parts[1].len > 0)
        queue_body(c, parts[1]);
}

static void send_answer(struct net_conn *c, struct slice bytes, struct slice body)
{
    if (c->secure)
        send_sealed(c, bytes, body);
    else
        send_clear(c, bytes, body);
}

void net__flush(struct net_conn *c)
{
    struct net_server *s = c->server;
    if (c->held)
        net__held_send(s);
    if (s->writer != c)
        return;
    struct slice bytes, body;
    gathered_take(s, &bytes, &body);
    if (bytes.len + body.len > 0)
        send_answer(c, bytes, body);
}

char *net__reserve(struct net_conn *c, size_t len)
{
    struct net_server *s = c->server;
    assert(len <= NET__BUFFER_BYTES);
    if (s->writer != c || NET__BUFFER_BYTES - s->write_len < len || s->write_body.len > 0) {
        if (s->writer)
            net__flush(s->writer);
        if (c->state == NET__CLOSED)
            return NULL;
        s->writer = c;
    }
    return s->write_buffer + s->write_len;
}

void net__put(struct net_conn *c, const char *data, size_t len)
{
    while (len > 0) {
        size_t n = MIN(len, NET__COPY_MAX);
        char *to = c->state == NET__CLOSED ? NULL : net__reserve(c, n);
        if (!to)
            return;
        memcpy(to, data, n);
        c->server->write_len += n;
        data += n;
        len -= n;
    }
}

void net__put_body(struct net_conn *c, struct slice body)
{
    if (c->state != NET__CLOSED && net__reserve(c, 0))
        c->server->write_body = body;
}

/* -- held answers
 * ---------------------------------------------------------------------------------------- */

static void on_later(struct loop_post *post)
{
    net__held_send(CONTAINER_OF(post, struct net_server, held.later));
}

bool net__hold(struct net_conn *c)
{
    struct net_server *s = c->server;
    struct net__held *h = &s->held;
    uint32_t at = h->len > 0 ? h->answers[h->len - 1].end : 0;
    /* What goes on while they are sent would wait behind the last of them. */
    if (s->writer != c || c->out_first || h->is_sending || s->write_len > NET__HELD_BYTES - at ||
        s->write_body.len > NET__HELD_BODY_MAX)
        return false;
    if (h->len == 0) {
        h->since_us = clock_mono_us();
        h->later.fn = on_later;
        loop_later(s->loop, &h->later);
    }
    struct slice bytes, body;
    gathered_take(s, &bytes, &body);
    memcpy(h->bytes + at, bytes.data, bytes.len);
    h->answers[h->len].conn = c;
    h->answers[h->len].body = body;
    h->answers[h->len++].end = at + (uint32_t)bytes.len;
    c->held = true;
    if (h->len == NET__HELD_MAX)
        net__held_send(s);
    return true;
}

void net__held_send(struct net_server *s)
{
    struct net__held *h = &s->held;
    if (h->is_sending || h->len == 0)
        return;
    h->is_sending = true;
    loop_later_stop(s->loop, &h->later);
    uint32_t start = 0;
    for (unsigned i = 0; i < h->len; i++) {
        struct net_conn *c = h->answers[i].conn;
        uint32_t end = h->answers[i].end;
        if (c) {
            h->answers[i].conn = NULL;
            c->held = false;
            send_answer(c, slice_of(h->bytes + start, end - start), h->answers[i].body);
            if (c->state != NET__CLOSED && c->x && !c->running)
                (void)net__exchange_settle(c->x); /* else the last hold or the last byte does it */
        }
        start = end;
    }
    h->len = 0;
    h->is_sending = false;
}
