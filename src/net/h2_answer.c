/*
 * net/h2_answer.c - Answers over HTTP/2: the same net_head as for HTTP/1.1, as header fields, and
 * bodies as DATA frames straight from where they lie into the write buffer.
 *
 * A body of net_send lies still until the exchange is over, and a writer of a stream waits until
 * its piece was taken, so nothing of an answer is copied before its turn comes, and the windows of
 * the peer are what bounds memory: a slow reader costs what the receiver made, once.
 */
#include "net/h2.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"

/* Lines that every answer has share the peer's table (4 KiB) with a few that vary; those that do
 * not fit go as they are each time, or all of them would push each other out. */
#define TABLE_FOR_FIXED_BYTES 2560u
#define FIELD_OVERHEAD 32u
#define DATE_PREFIX_LEN 6u /* "Date: " */

/* -- fields
 * ------------------------------------------------------------------------------------------------
 */

static nghttp2_nv field(struct slice name, struct slice value, uint8_t flags)
{
    union {
        const char *text;
        uint8_t *bytes;
    } n = { .text = name.data }, v = { .text = value.data }; /* nghttp2 only reads them */
    return (nghttp2_nv){ .name = n.bytes,
                         .value = v.bytes,
                         .namelen = name.len,
                         .valuelen = value.len,
                         .flags = (uint8_t)(flags | NGHTTP2_NV_FLAG_NO_COPY_NAME |
                                            NGHTTP2_NV_FLAG_NO_COPY_VALUE) };
}

static char lower(char c)
{
    return (char)(c | (c >= 'A' && c <= 'Z' ? 0x20 : 0));
}

/* RFC 9113 8.2.2: what concerns a connection of HTTP/1. */
static bool is_of_connection(struct slice name)
{
    static const struct slice names[] = {
        SLICE_INIT("connection"), SLICE_INIT("keep-alive"),        SLICE_INIT("proxy-connection"),
        SLICE_INIT("upgrade"),    SLICE_INIT("transfer-encoding"),
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(name, names[i]))
            return true;
    }
    return false;
}

/* Values that come again: worth a place in the peer's table. All others differ by request. */
static bool is_worth_indexing(struct slice name)
{
    static const struct slice names[] = {
        SLICE_INIT("content-type"),     SLICE_INIT("cache-control"), SLICE_INIT("vary"),
        SLICE_INIT("content-encoding"), SLICE_INIT("accept-ranges"), SLICE_INIT("ratelimit-policy"),
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(name, names[i]))
            return true;
    }
    return false;
}

/* -- fixed lines
 * ------------------------------------------------------------------------------------------- */

/* Cut "Name: value\r\n" lines; `names` is `text` in lower case. False: more than there are places.
 */
static bool cut_lines(struct slice text, struct slice names, nghttp2_nv *lines, unsigned *ret_len)
{
    unsigned len = 0, table_bytes = 0;
    size_t at = 0;
    while (at < text.len) {
        const char *start = text.data + at;
        const char *end = memchr(start, '\r', text.len - at);
        const char *colon = memchr(start, ':', text.len - at);
        if (!end || !colon || colon > end)
            return false;
        struct slice name = slice_of(names.data + at, (size_t)(colon - start));
        struct slice value = slice_trim(slice_of(colon + 1, (size_t)(end - colon - 1)));
        at += (size_t)(end - start) + 2;
        if (is_of_connection(name))
            continue;
        if (len == NET__H2_FIXED_LINES_MAX)
            return false;
        unsigned size = (unsigned)(name.len + value.len + FIELD_OVERHEAD);
        bool fits = table_bytes + size <= TABLE_FOR_FIXED_BYTES;
        table_bytes += fits ? size : 0;
        lines[len++] = field(name, value, fits ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX);
    }
    *ret_len = len;
    return true;
}

/* Copies of `text` at `to`: as it is, and behind it in lower case. */
static void copy_twice(struct slice text, char *to, struct net__h2_fixed *fixed)
{
    if (text.len > 0)
        memcpy(to, text.data, text.len);
    for (size_t i = 0; i < text.len; i++)
        to[text.len + i] = lower(text.data[i]);
    fixed->text = slice_of(to, text.len);
    fixed->names = slice_of(to + text.len, text.len);
}

/* The lines of net_head.fixed: there are few different ones in a server, kept for its life. Past
 * that they are the exchange's. NULL: they cannot be sent. */
static const struct net__h2_fixed *fixed_of(struct net_exchange *x, struct slice text)
{
    struct net__h2_server *hs = x->stream->h2->server;
    for (unsigned i = 0; i < hs->fixed_len; i++) {
        if (slice_eq(hs->fixed[i]->text, text))
            return hs->fixed[i];
    }
    bool is_kept = hs->fixed_len < NET__H2_FIXED_MAX;
    size_t bytes = sizeof(struct net__h2_fixed) + 2 * text.len;
    struct net__h2_fixed *fixed = is_kept ? malloc(bytes) : arena_alloc(x->arena, bytes);
    if (!fixed)
        return NULL;
    copy_twice(text, (char *)(fixed + 1), fixed);
    if (!cut_lines(fixed->text, fixed->names, fixed->lines, &fixed->len)) {
        if (is_kept)
            free(fixed);
        return NULL;
    }
    if (is_kept)
        hs->fixed[hs->fixed_len++] = fixed;
    return fixed;
}

/* -- the head
 * ------------------------------------------------------------------------------------------------
 */

static struct slice number_text(struct arena *arena, uint64_t value, unsigned digits_min)
{
    char digits[20], *p = digits + sizeof(digits);
    do {
        *--p = (char)('0' + value % 10);
        value /= 10;
    } while (value || (size_t)(digits + sizeof(digits) - p) < digits_min);
    struct slice text = SLICE_NULL;
    (void)arena_copy(arena, slice_of(p, (size_t)(digits + sizeof(digits) - p)),
                     &text); /* NULL then, and the head is not sent */
    return text;
}

static struct slice status_text(struct arena *arena, int status)
{
    return status == 200 ? SLICE("200") : number_text(arena, (uint64_t)status, 3);
}

/* The names of all fields in lower case, in one place. */
static char *lower_names(struct arena *arena, const struct net_head *head)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < head->headers_len; i++)
        bytes += head->headers[i].name.len;
    char *const names = arena_alloc(arena, bytes + 1), *p = names;
    for (unsigned i = 0; names && i < head->headers_len; i++) {
        struct slice name = head->headers[i].name;
        for (size_t k = 0; k < name.len; k++)
            *p++ = lower(name.data[k]);
    }
    return names;
}

/* Everything about the answer but its body. NULL: there is no room for it. */
static nghttp2_nv *make_fields(struct net_exchange *x, const struct net_head *head, int64_t length,
                               size_t *ret_len)
{
    struct net_server *s = x->conn->server;
    const struct net__h2_fixed *fixed = fixed_of(x, head->fixed);
    if (!fixed)
        return NULL;
    nghttp2_nv *fields =
        arena_alloc(x->arena, (3u + fixed->len + head->headers_len) * sizeof(*fields));
    const char *name_at = lower_names(x->arena, head);
    struct slice status = status_text(x->arena, head->status);
    bool has_length =
        length >= 0 && head->status != 204 && head->status != 304 && head->status >= 200;
    struct slice length_text = has_length ? number_text(x->arena, (uint64_t)length, 1) : SLICE("");
    if (!fields || !name_at || !status.data || !length_text.data)
        return NULL;
    size_t n = 0;
    fields[n++] = field(SLICE(":status"), status, NGHTTP2_NV_FLAG_NONE);
    net__date_refresh(s);
    struct slice date = slice_of(s->date + DATE_PREFIX_LEN, s->date_len - DATE_PREFIX_LEN - 2u);
    fields[n] = field(SLICE("date"), date, NGHTTP2_NV_FLAG_NONE);
    fields[n++].flags &= (uint8_t)~NGHTTP2_NV_FLAG_NO_COPY_VALUE; /* it goes on while this waits */
    memcpy(fields + n, fixed->lines, fixed->len * sizeof(*fields));
    n += fixed->len;
    for (unsigned i = 0; i < head->headers_len; i++) {
        struct slice name = slice_of(name_at, head->headers[i].name.len);
        name_at += name.len;
        if (!is_of_connection(name))
            fields[n++] =
                field(name, head->headers[i].value,
                      is_worth_indexing(name) ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX);
    }
    if (has_length)
        fields[n++] = field(SLICE("content-length"), length_text, NGHTTP2_NV_FLAG_NONE);
    *ret_len = n;
    return fields;
}

/* nghttp2 asks for the next frame of a body; net__h2_put_data gives its bytes. */
static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t len,
                        uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)id;
    (void)buffer;
    (void)arg;
    struct net__stream *st = source->ptr;
    if (st->out.len == 0 && !st->out_last) {
        st->out_waits = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = MIN(len, st->out.len);
    *flags = NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == st->out.len && st->out_last)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

int net__h2_put_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd,
                     size_t len, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)frame;
    struct net__h2 *h2 = arg;
    struct net__stream *st = source->ptr;
    struct net_server *s = h2->c->server;
    char *to = h2->c->state == NET__H2 ? net__reserve(h2->c, NET__H2_HEAD_BYTES + len) : NULL;
    if (!to)
        return NGHTTP2_ERR_CALLBACK_FAILURE; /* the connection is closed */
    memcpy(to, framehd, NET__H2_HEAD_BYTES);
    if (len > 0)
        memcpy(to + NET__H2_HEAD_BYTES, st->out.data, len);
    s->write_len += NET__H2_HEAD_BYTES + len;
    st->out = slice_from(st->out, len);
    st->out_moved += len;
    if (st->out.len == 0) {
        st->out_since_us = 0;
        if (st->x->writer)
            task_wake(st->x->writer);
    }
    return 0;
}

/* Give the head to nghttp2. False when it cannot be sent: the stream is reset. */
static bool submit(struct net_exchange *x, const struct net_head *head, int64_t length,
                   bool has_data)
{
    struct net__stream *st = x->stream;
    size_t len;
    x->sent_status = head->status;
    if (x->gone)
        return false;
    nghttp2_nv *fields = make_fields(x, head, length, &len);
    const nghttp2_data_provider provider = { .source = { .ptr = st }, .read_callback = read_out };
    if (!fields || nghttp2_submit_response(st->h2->session, st->id, fields, len,
                                           has_data ? &provider : NULL) != 0) {
        net__h2_reset(st, NGHTTP2_INTERNAL_ERROR);
        return false;
    }
    st->submitted = true;
    net__h2_pump_soon(x->conn);
    return true;
}

/* -- as net.h says
 * ------------------------------------------------------------------------------------------- */

static void answer_begin(struct net_exchange *x, const struct net_head *head)
{
    assert(x->answer == NET__ANSWER_NONE);
    x->bodyless =
        x->request.method == NET_METHOD_HEAD || head->status == 204 || head->status == 304;
}

void net__h2_send(struct net_exchange *x, const struct net_head *head, struct slice body)
{
    struct net__stream *st = x->stream;
    answer_begin(x, head);
    bool has_data = !x->bodyless && body.len > 0;
    st->out_last = true;
    if (has_data)
        st->out = body;
    if (!submit(x, head, (int64_t)body.len, has_data))
        x->cut = true;
    else if (has_data)
        x->sent_bytes = (int64_t)body.len;
    x->answer = NET__ANSWER_DONE;
    (void)net__h2_settle(x); /* else the pump does, or the last hold */
}

void net__h2_reset(struct net__stream *st, uint32_t code)
{
    st->out = SLICE_NULL;
    if (st->closed || st->reset_sent)
        return;
    st->reset_sent = true;
    st->x->cut = true;
    /* Without memory for it the stream stays open until the connection ends. */
    (void)nghttp2_submit_rst_stream(st->h2->session, NGHTTP2_FLAG_NONE, st->id, code);
    net__h2_pump_soon(st->h2->c);
}

void net__h2_abort(struct net_exchange *x)
{
    if (x->answer == NET__ANSWER_DONE)
        return;
    x->cut = true;
    x->answer = NET__ANSWER_DONE;
    net__h2_reset(x->stream, NGHTTP2_INTERNAL_ERROR);
    (void)net__h2_settle(x);
}

void net__h2_continue(struct net_exchange *x)
{
    const nghttp2_nv status = field(SLICE(":status"), SLICE("100"), NGHTTP2_NV_FLAG_NONE);
    /* If it cannot be sent the peer waits its time and sends the body anyway (RFC 9110 10.1.1). */
    (void)nghttp2_submit_headers(x->stream->h2->session, NGHTTP2_FLAG_NONE, x->stream->id, NULL,
                                 &status, 1, NULL);
    net__h2_pump(x->conn);
}

enum status net__h2_stream_begin(struct net_exchange *x, const struct net_head *head,
                                 int64_t length)
{
    answer_begin(x, head);
    x->answer = NET__ANSWER_STREAM;
    x->stream_left = length;
    x->stream->out_last = x->bodyless;
    if (!submit(x, head, length, !x->bodyless))
        return STATUS_CANCELLED;
    return STATUS_OK;
}

/* nghttp2 was told that there is nothing: now there is. */
static void resume(struct net__stream *st)
{
    if (!st->out_waits || st->closed)
        return;
    st->out_waits = false;
    (void)nghttp2_session_resume_data(st->h2->session, st->id); /* it is deferred, so it can be */
}

/* Wait until the piece was taken; what is not taken then is not ours to give any more. */
static enum status wait_taken(struct task *task, struct net_exchange *x)
{
    struct net__stream *st = x->stream;
    enum status st_wait = STATUS_OK;
    while (st->out.len > 0 && st_wait == STATUS_OK) {
        x->writer = task;
        st_wait = task_wait(task);
        x->writer = NULL;
    }
    if (st->stalled)
        return STATUS_TIMEOUT;
    if (x->gone || st->reset_sent)
        return STATUS_CANCELLED;
    if (st_wait != STATUS_OK && st->out.len > 0)
        net__h2_reset(st, NGHTTP2_INTERNAL_ERROR); /* half a piece went */
    return st_wait;
}

enum status net__h2_stream_write(struct task *task, struct net_exchange *x, struct slice piece)
{
    struct net__stream *st = x->stream;
    assert(x->answer == NET__ANSWER_STREAM);
    if (x->gone || st->reset_sent)
        return st->stalled ? STATUS_TIMEOUT : STATUS_CANCELLED;
    if (x->bodyless || piece.len == 0)
        return STATUS_OK;
    if (x->stream_left >= 0) {
        if ((uint64_t)x->stream_left < piece.len)
            return STATUS_TOO_LARGE;
        x->stream_left -= (int64_t)piece.len;
    }
    x->sent_bytes += (int64_t)piece.len;
    st->out = piece;
    resume(st);
    net__h2_pump(x->conn);
    return wait_taken(task, x);
}

void net__h2_stream_end(struct net_exchange *x)
{
    struct net__stream *st = x->stream;
    if (x->answer != NET__ANSWER_STREAM)
        return;
    if (!x->gone && !x->bodyless && x->stream_left > 0) {
        net__h2_abort(x); /* less than was promised: only a reset says so */
        return;
    }
    st->out_last = true;
    if (!st->closed) {
        resume(st);
        net__h2_pump_soon(x->conn);
    }
    x->answer = NET__ANSWER_DONE;
    (void)net__h2_settle(x);
}
