/*
 * net/exchange.c - One request and its answer, as the rooms above see them.
 */
#include "net/net.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "net/h2.h"

/* -- life
 * ------------------------------------------------------------------------------------------------
 */

struct net_exchange *net__exchange_new(struct net_conn *c, int64_t started_us)
{
    struct net_server *s = c->server;
    struct arena *arena = arena_new(loop_arena_pool(s->loop), s->limits.arena_budget);
    struct net_exchange *x = arena_new_of(arena, struct net_exchange);
    assert(x); /* the first allocation of an arena: budgets are larger */
    memset(x->request.by_id, 0xff, sizeof(x->request.by_id));
    x->conn = c;
    x->arena = arena;
    x->started_us = started_us;
    x->body_max = s->limits.body_bytes_max;
    x->stream_left = -1;
    x->request.method = NET_METHOD_OTHER; /* until it is read */
    return x;
}

struct net_exchange *net__exchange_open(struct net_conn *c, int64_t started_us)
{
    struct net_exchange *x = net__exchange_new(c, started_us);
    c->x = x;
    c->state = NET__BUSY;
    c->close_after = false;
    return x;
}

void net__exchange_refuse(struct net_exchange *x, const struct net_refusal *refusal)
{
    const struct net_server_options *o = &x->conn->server->options;
    x->refused = true;
    o->on_refusal(x, refusal, o->arg);
}

bool net__exchange_settle(struct net_exchange *x)
{
    struct net_conn *c = x->conn;
    if (x->answer != NET__ANSWER_DONE || x->holds > 0 || x->body_in_queue || c->held)
        return false;
    const struct net_server_options *o = &c->server->options;
    o->on_done(x, o->arg);
    bool is_cut = x->cut;
    c->x = NULL;
    arena_free(x->arena);
    if (is_cut)
        net__conn_close(c);
    net__conn_next(c);
    return true;
}

void net__exchange_gone(struct net_exchange *x)
{
    if (x->gone)
        return;
    x->gone = true;
    if (x->answer != NET__ANSWER_DONE)
        x->cut = true;
    if (x->reader)
        task_wake(x->reader);
    if (x->writer)
        task_wake(x->writer);
    if (x->answer != NET__ANSWER_DONE && x->on_gone)
        x->on_gone(x, x->on_gone_arg);
}

/* The answer is complete as far as the receiver goes. */
static void answered(struct net_exchange *x)
{
    struct net_conn *c = x->conn;
    x->answer = NET__ANSWER_DONE;
    if (c->running)
        return; /* net__conn_run flushes and settles */
    x->holds++; /* a failing flush closes the connection, and that would settle it under us */
    if (!net__hold(c))
        net__flush(c);
    x->holds--;
    (void)net__exchange_settle(x); /* else the last hold or the last byte does it */
}

void net_hold(struct net_exchange *x)
{
    x->holds++;
}

void net_release(struct net_exchange *x)
{
    assert(x->holds > 0);
    x->holds--;
    if (x->stream)
        (void)net__h2_settle(x); /* it may not be answered yet */
    else if (!x->conn->running)
        (void)net__exchange_settle(x); /* likewise */
}

/* -- facts
 * -----------------------------------------------------------------------------------------------
 */

const struct net_request *net_request_of(struct net_exchange *x)
{
    return &x->request;
}

struct arena *net_arena(struct net_exchange *x)
{
    return x->arena;
}

struct loop *net_loop(struct net_exchange *x)
{
    return x->conn->server->loop;
}

struct slice net_peer(struct net_exchange *x)
{
    return slice_of(x->conn->peer_text, x->conn->peer_len);
}

const struct address *net_peer_address(struct net_exchange *x)
{
    return x->conn->peer.has_address ? &x->conn->peer.address : NULL;
}

bool net_was_secure(const struct net_exchange *x)
{
    return x->conn->peer.is_secure;
}

struct slice net_http_version(const struct net_exchange *x)
{
    if (x->stream)
        return SLICE("2");
    return x->request.version_minor > 0 ? SLICE("1.1") : SLICE("1.0");
}

int64_t net_started_us(const struct net_exchange *x)
{
    return x->started_us;
}

int64_t net_ready_us(struct net_exchange *x)
{
    /* A codec that did not write it down: whoever asks first does so at the start. */
    if (UNLIKELY(!x->ready_us))
        x->ready_us = clock_mono_us();
    return x->ready_us;
}

void net_user_set(struct net_exchange *x, void *user)
{
    x->user = user;
}

void *net_user(struct net_exchange *x)
{
    return x->user;
}

void net_on_gone(struct net_exchange *x, void (*fn)(struct net_exchange *x, void *arg), void *arg)
{
    x->on_gone = fn;
    x->on_gone_arg = arg;
    if (fn && x->gone && x->answer != NET__ANSWER_DONE)
        fn(x, arg);
}

int net_sent_status(const struct net_exchange *x)
{
    return x->sent_status;
}

int64_t net_sent_bytes(const struct net_exchange *x)
{
    return x->sent_bytes;
}

bool net_sent_whole(const struct net_exchange *x)
{
    return x->answer == NET__ANSWER_DONE && !x->cut;
}

/* -- the head of the answer
 * ------------------------------------------------------------------------------ */

static char *append(char *p, const char *data, size_t len)
{
    memcpy(p, data, len);
    return p + len;
}
#define APPEND(p, literal) append((p), (literal), sizeof(literal) - 1)

static char *append_u64(char *p, uint64_t value)
{
    char digits[20];
    unsigned n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n)
        *p++ = digits[--n];
    return p;
}

static char *append_status_line(char *p, int status)
{
    if (LIKELY(status == 200))
        return APPEND(p, "HTTP/1.1 200 OK\r\n");
    const char *reason = net_reason(status);
    p = APPEND(p, "HTTP/1.1 ");
    p = append_u64(p, (uint64_t)status);
    *p++ = ' ';
    p = append(p, reason, strlen(reason));
    return APPEND(p, "\r\n");
}

#define HEAD_SLACK 256u /* status line, Date, framing and Connection */

/* Write the head; `length` < 0: unknown, then chunked when possible. False when it cannot be: the
 * exchange is cut. */
static bool put_head(struct net_exchange *x, const struct net_head *head, int64_t length)
{
    struct net_conn *c = x->conn;
    struct net_server *s = c->server;
    size_t bound = HEAD_SLACK + head->fixed.len;
    for (unsigned i = 0; i < head->headers_len; i++)
        bound += head->headers[i].name.len + head->headers[i].value.len + 4;
    if (bound > NET__BUFFER_BYTES) {
        net__conn_close(c);
        return false;
    }
    char *const start = net__reserve(c, bound), *p = start;
    if (!start)
        return false;
    net__date_refresh(s);
    p = append_status_line(p, head->status);
    p = append(p, s->date, s->date_len);
    if (head->fixed.len)
        p = append(p, head->fixed.data, head->fixed.len);
    for (unsigned i = 0; i < head->headers_len; i++) {
        const struct net_header *h = &head->headers[i];
        p = append(p, h->name.data, h->name.len);
        p = APPEND(p, ": ");
        p = append(p, h->value.data, h->value.len);
        p = APPEND(p, "\r\n");
    }
    bool has_no_length = head->status == 204 || head->status == 304 || head->status < 200;
    if (x->chunked_out) {
        p = APPEND(p, "Transfer-Encoding: chunked\r\n");
    } else if (length >= 0 && !has_no_length) {
        p = APPEND(p, "Content-Length: ");
        p = append_u64(p, (uint64_t)length);
        p = APPEND(p, "\r\n");
    }
    if (c->close_after)
        p = APPEND(p, "Connection: close\r\n");
    else if (x->request.version_minor == 0)
        p = APPEND(p, "Connection: keep-alive\r\n");
    p = APPEND(p, "\r\n");
    s->write_len += (size_t)(p - start);
    return true;
}

static void answer_begin(struct net_exchange *x, const struct net_head *head)
{
    struct net_conn *c = x->conn;
    assert(x->answer == NET__ANSWER_NONE);
    x->sent_status = head->status;
    x->bodyless =
        x->request.method == NET_METHOD_HEAD || head->status == 204 || head->status == 304;
    c->close_after |= x->refused || !x->request.keep_alive || c->server->draining;
}

/* Nobody will read the rest of the request's body: can the connection go on after it? */
static void skip_body(struct net_exchange *x)
{
    struct net_conn *c = x->conn;
    struct net__body *body = &c->body;
    struct slice unread = net__conn_unread(c), piece;
    enum net__piece what = NET__PIECE_DATA;
    x->lent = 0;
    while (what == NET__PIECE_DATA && !body->done) {
        size_t used;
        what = net__body_next(body, unread.data, unread.len, &used, &piece);
        unread = slice_from(unread, used);
        net__conn_consume(c, used);
    }
    if (body->done)
        return;
    bool may_come = !x->request.expects_continue || x->continue_sent;
    /* Of chunks nobody knows how many are to come: those get the same bound as they arrive (conn.c,
     * drain). */
    bool is_long = !body->chunked && body->left > NET__DRAIN_MAX;
    bool is_announced = x->body_status == STATUS_TOO_LARGE && !body->chunked;
    bool has_failed = x->body_status != STATUS_OK && !is_announced;
    if (body->bad || is_long || !may_come || has_failed)
        c->close_after = true;
}

void net_send(struct net_exchange *x, const struct net_head *head, struct slice body)
{
    struct net_conn *c = x->conn;
    if (x->stream) {
        net__h2_send(x, head, body);
        return;
    }
    answer_begin(x, head);
    if (!x->gone && !c->body.done)
        skip_body(x);
    if (x->gone || !put_head(x, head, (int64_t)body.len)) {
        x->cut = true;
        answered(x);
        return;
    }
    if (!x->bodyless && body.len > 0) {
        x->sent_bytes = (int64_t)body.len;
        if (body.len <= NET__COPY_MAX)
            net__put(c, body.data, body.len);
        else
            net__put_body(c, body);
    }
    answered(x);
}

void net_abort(struct net_exchange *x)
{
    if (x->stream) {
        net__h2_abort(x);
        return;
    }
    if (x->answer == NET__ANSWER_DONE)
        return;
    struct net_conn *c = x->conn;
    x->cut = true;
    x->answer = NET__ANSWER_DONE;
    if (c->state != NET__CLOSED)
        net__conn_close(c); /* settles */
    else if (!c->running)
        (void)net__exchange_settle(x); /* else the last hold does */
}

/* -- in pieces
 * ------------------------------------------------------------------------------------------- */

enum status net_stream_begin(struct net_exchange *x, const struct net_head *head, int64_t length)
{
    struct net_conn *c = x->conn;
    if (x->stream)
        return net__h2_stream_begin(x, head, length);
    answer_begin(x, head);
    x->answer = NET__ANSWER_STREAM;
    if (x->gone)
        return STATUS_CANCELLED;
    x->stream_left = length;
    if (!c->body.done && x->request.expects_continue && !x->continue_sent)
        c->close_after = true; /* the body may or may not come now */
    if (length < 0 && !x->bodyless) {
        x->chunked_out = x->request.version_minor > 0;
        c->close_after |= !x->chunked_out; /* the end of the connection ends the body */
    }
    if (!put_head(x, head, length))
        return STATUS_CANCELLED;
    if (!c->running)
        net__flush(c);
    return x->gone ? STATUS_CANCELLED : STATUS_OK;
}

/* Wait until the peer took enough of what is queued. */
static enum status wait_writable(struct task *task, struct net_exchange *x)
{
    struct net_conn *c = x->conn;
    while (!x->gone && c->out_bytes > c->server->limits.send_bytes_max) {
        x->writer = task;
        enum status st = task_wait(task);
        x->writer = NULL;
        if (st != STATUS_OK)
            return st;
    }
    return x->gone ? STATUS_CANCELLED : STATUS_OK;
}

static void put_chunk(struct net_conn *c, struct slice piece)
{
    char line[20];
    static const char hex[] = "0123456789abcdef";
    char *p = line + sizeof(line);
    *--p = '\n';
    *--p = '\r';
    for (size_t n = piece.len; n > 0; n >>= 4)
        *--p = hex[n & 15];
    net__put(c, p, (size_t)(line + sizeof(line) - p));
    net__put(c, piece.data, piece.len);
    net__put(c, "\r\n", 2);
}

enum status net_stream_write(struct task *task, struct net_exchange *x, struct slice piece)
{
    struct net_conn *c = x->conn;
    if (x->stream)
        return net__h2_stream_write(task, x, piece);
    assert(x->answer == NET__ANSWER_STREAM);
    if (x->gone)
        return STATUS_CANCELLED;
    if (x->bodyless)
        return STATUS_OK;
    if (x->stream_left >= 0) {
        if ((uint64_t)x->stream_left < piece.len)
            return STATUS_TOO_LARGE;
        x->stream_left -= (int64_t)piece.len;
    }
    x->sent_bytes += (int64_t)piece.len;
    while (piece.len > 0) {
        struct slice part = slice_head(piece, NET__BUFFER_BYTES - 32);
        if (x->chunked_out)
            put_chunk(c, part);
        else
            net__put(c, part.data, part.len);
        net__flush(c);
        enum status st = wait_writable(task, x);
        if (st != STATUS_OK)
            return st;
        piece = slice_from(piece, part.len);
    }
    return STATUS_OK;
}

void net_stream_end(struct net_exchange *x)
{
    struct net_conn *c = x->conn;
    if (x->stream) {
        net__h2_stream_end(x);
        return;
    }
    if (x->answer != NET__ANSWER_STREAM)
        return;
    if (!x->gone && !x->bodyless && x->stream_left > 0) {
        net_abort(x); /* less than was promised: only a cut connection says so */
        return;
    }
    if (!x->gone && x->chunked_out)
        net__put(c, "0\r\n\r\n", 5);
    answered(x);
}
