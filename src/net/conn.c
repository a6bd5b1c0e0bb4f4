/*
 * net/conn.c - A connection: what its bytes mean in each state, and how it ends.
 */
#include "net/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "net/h2.h"

#define FREE_CONNS_MAX 256u

/* -- unread bytes
 * ---------------------------------------------------------------------------------------- */

struct slice net__conn_unread(const struct net_conn *c)
{
    return c->in ? slice_of(c->in->data + c->in->start, c->in->end - c->in->start) : c->fresh;
}

static void in_drop(struct net_conn *c)
{
    if (c->in)
        net__block_give(c->server, c->in);
    c->in = NULL;
    c->fresh = SLICE_NULL;
}

void net__conn_consume(struct net_conn *c, size_t n)
{
    if (!c->in) {
        c->fresh = slice_from(c->fresh, n);
        return;
    }
    c->in->start += (uint32_t)n;
    if (c->in->start == c->in->end)
        in_drop(c);
}

void net__conn_read_stop(struct net_conn *c)
{
    if (c->stopped)
        return;
    c->stopped = true;
    (void)uv_read_stop((uv_stream_t *)&c->tcp); /* cannot fail */
}

/* Is there a place for more? Bytes that a task was lent do not move. */
uint32_t net__conn_room(struct net_conn *c)
{
    struct net__block *b = c->in;
    bool is_lent = c->x && c->x->lent > 0;
    if (b->start > 0 && b->cap - b->end < b->cap / 4 && !is_lent) {
        memmove(b->data, b->data + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
    }
    return b->cap - b->end;
}

void net__conn_keep(struct net_conn *c)
{
    if (c->fresh.len == 0)
        return;
    assert(!c->in);
    c->in = net__block_take(c->server);
    memcpy(c->in->data, c->fresh.data, c->fresh.len);
    c->in->end = (uint32_t)c->fresh.len;
    c->fresh = SLICE_NULL;
    if (net__conn_room(c) == 0)
        net__conn_read_stop(c);
}

/* -- the end
 * --------------------------------------------------------------------------------------------- */

void net__conn_try_free(struct net_conn *c)
{
    struct net_server *s = c->server;
    if (!c->handle_closed || c->x || c->h2 || c->resuming)
        return;
    in_drop(c);
    net__secure_free(c);
    if (s->free_conns_len < FREE_CONNS_MAX && !s->closing) {
        c->next = s->free_conns;
        s->free_conns = c;
        s->free_conns_len++;
    } else {
        free(c);
    }
    net__server_forget(s);
}

static void on_close(uv_handle_t *handle)
{
    struct net_conn *c = handle->data;
    c->handle_closed = true;
    net__conn_try_free(c);
}

void net__conn_link(struct net_conn *c)
{
    struct net_server *s = c->server;
    c->prev = NULL;
    c->next = s->conns;
    if (s->conns)
        s->conns->prev = c;
    else
        s->conns_last = c;
    s->conns = c;
    s->conns_len++;
}

void net__conn_unlink(struct net_conn *c)
{
    struct net_server *s = c->server;
    if (c->prev)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        s->conns_last = c->prev;
    s->conns_len--;
}

void net__conn_close(struct net_conn *c)
{
    struct net_server *s = c->server;
    if (c->state == NET__CLOSED)
        return;
    c->state = NET__CLOSED;
    struct net_exchange *x = c->x;
    if (x && (c->out_first || s->writer == c || c->held))
        x->cut = true;
    net__write_drop(c);
    net__secure_end(c);
    net__conn_unlink(c);
    net__gate_leave(s->gate, &c->ticket);
    if (s->options.on_connections)
        s->options.on_connections(-1, s->options.arg);
    uv_close((uv_handle_t *)&c->tcp, on_close);
    if (c->h2)
        net__h2_gone(c);
    if (!x)
        return;
    x->body_in_queue = false; /* libuv reads no data of a closed handle */
    net__exchange_gone(x);
    if (!c->running)
        (void)net__exchange_settle(x); /* over or not: it is the receiver's now */
}

static void shut_down(struct net_conn *c)
{
    uv_os_fd_t fd;
    c->since_us = c->active_us = loop_now_us(c->server->loop);
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) != 0 || shutdown(fd, SHUT_WR) != 0 || c->eof_us)
        net__conn_close(c);
}

void net__conn_finish(struct net_conn *c)
{
    net__flush(c); /* what was gathered leaves before the end does */
    if (c->state == NET__CLOSED || c->state == NET__LINGER)
        return;
    /* Closing a socket with unread bytes resets it, and the reset may overtake our answer. */
    bool is_clean = c->body.done && net__conn_unread(c).len == 0 && !c->unclean;
    c->state = NET__LINGER;
    c->since_us = c->active_us = loop_now_us(c->server->loop);
    c->lingered_bytes = 0;
    c->unclean = !is_clean;
    in_drop(c);
    if (c->h2)
        net__h2_gone(c);
    if (c->secure)
        net__secure_goodbye(c);
    net__conn_sent(c);
    if (c->state == NET__LINGER)
        net__conn_read_resume(c);
}

void net__conn_sent(struct net_conn *c)
{
    if (c->state == NET__LINGER && !c->out_first) {
        if (c->unclean)
            shut_down(c);
        else
            net__conn_close(c);
    } else if (c->state == NET__HEAD && net__conn_unread(c).len > 0) {
        net__conn_resume(c);
    } else if (c->state == NET__H2) {
        net__h2_pump(c);
        net__conn_read_resume(c);
    }
}

/* -- reading
 * --------------------------------------------------------------------------------------------- */

char *net__conn_place(struct net_conn *c, uint32_t *ret_room)
{
    struct net_server *s = c->server;
    bool is_idle = c->state == NET__HEAD && !c->in;
    if (is_idle || c->state == NET__H2 || c->state == NET__DRAIN || c->state == NET__LINGER) {
        *ret_room = (uint32_t)s->read_bytes;
        return s->read_buffer;
    }
    if (!c->in)
        c->in = net__block_take(s);
    *ret_room = net__conn_room(c);
    return c->in->data + c->in->end;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct net_conn *c = handle->data;
    uint32_t room;
    if (c->secure) {
        *buf = uv_buf_init(c->server->secure->cipher_in, (unsigned)net__secure_may_read(c));
        return;
    }
    char *place = net__conn_place(c, &room);
    *buf = uv_buf_init(place, room);
}

/* Throw the rest of a body away, so that the connection can be kept. */
static void drain(struct net_conn *c)
{
    struct slice unread = net__conn_unread(c), piece;
    size_t used;
    enum net__piece what = NET__PIECE_DATA;
    while (what == NET__PIECE_DATA) {
        what = net__body_next(&c->body, unread.data, unread.len, &used, &piece);
        unread = slice_from(unread, used);
        c->lingered_bytes += used;
        net__conn_consume(c, used);
    }
    if (what == NET__PIECE_BAD || c->lingered_bytes > (size_t)NET__DRAIN_MAX) {
        net__conn_finish(c);
    } else if (what == NET__PIECE_END) {
        c->state = NET__HEAD;
        c->since_us = loop_now_us(c->server->loop);
    }
}

void net__conn_end(struct net_conn *c, bool in_order)
{
    bool waits_for_answer = c->state == NET__BUSY && c->body.done && !c->unclean;
    if (in_order && (waits_for_answer || (c->state == NET__HEAD && c->out_first))) {
        c->eof_us = MAX(loop_now_us(c->server->loop), (int64_t)1);
        return;
    }
    net__conn_close(c);
}

static void drop_empty(struct net_conn *c)
{
    if (c->in && c->in->start == c->in->end && !(c->x && c->x->lent))
        in_drop(c);
}

void net__conn_take(struct net_conn *c, char *place, size_t len)
{
    struct net_server *s = c->server;
    if (len == 0) {
        drop_empty(c);
        return;
    }
    if (place == s->read_buffer)
        c->fresh = slice_of(place, len);
    else
        c->in->end += (uint32_t)len;
    switch (c->state) {
    case NET__HEAD:
        if (c->scan.at == 0) {
            c->gap_us = c->active_us - c->since_us;
            c->since_us = c->active_us;
        }
        net__conn_run(c);
        break;
    case NET__BUSY:
        if (c->x && c->x->reader)
            task_wake(c->x->reader);
        break;
    case NET__DRAIN:
        drain(c);
        net__conn_run(c);
        break;
    case NET__H2:
        net__h2_read(c);
        break;
    case NET__LINGER:
        c->fresh = SLICE_NULL;
        c->lingered_bytes += len;
        if (c->lingered_bytes > NET__LINGER_MAX)
            net__conn_close(c);
        break;
    case NET__HANDSHAKE: /* has no plaintext */
    case NET__CLOSED:
        break;
    }
    if (c->in && c->state != NET__CLOSED && net__conn_room(c) == 0)
        net__conn_read_stop(c);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct net_conn *c = stream->data;
    if (nread <= 0) {
        drop_empty(c);
        if (nread == UV_ENOBUFS)
            net__conn_read_stop(c);
        else if (nread < 0)
            net__conn_end(c, nread == UV_EOF);
        return;
    }
    c->active_us = loop_now_us(c->server->loop);
    if (!c->secure)
        net__conn_take(c, buf->base, (size_t)nread);
    else if (c->state != NET__LINGER)
        net__secure_input(c, slice_of(buf->base, (size_t)nread));
    else
        net__conn_take(c, c->server->read_buffer, (size_t)nread); /* thrown away, still sealed */
}

void net__conn_read_resume(struct net_conn *c)
{
    if (!c->stopped || c->state == NET__CLOSED || c->eof_us)
        return;
    if (c->in && net__conn_room(c) < (c->state == NET__BUSY ? c->in->cap / 4 : 1))
        return;
    if (c->secure && net__secure_has_more(c)) {
        net__conn_resume(c);
        return;
    }
    c->stopped = false;
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        net__conn_close(c);
}

/* -- requests
 * -------------------------------------------------------------------------------------------- */

/* A whole body that lies behind the head in the unread bytes moves to the arena with it. */
static bool take_whole_body(struct net_exchange *x, struct slice after_head)
{
    struct net_request *r = &x->request;
    if (r->content_length <= 0 || (uint64_t)r->content_length > after_head.len)
        return false;
    struct slice body = slice_head(after_head, (size_t)r->content_length);
    if (arena_copy(x->arena, body, &x->body_whole) != STATUS_OK)
        return false; /* too much for the arena: it will be read in pieces, or refused */
    x->has_body_whole = true;
    return true;
}

/* A whole head stands at the front of `unread`. NULL, or why it is refused. */
static const struct net_refusal *take_head(struct net_conn *c, struct net_exchange *x,
                                           struct slice unread)
{
    size_t skip = c->scan.head_start, len = c->scan.at - skip;
    unsigned headers_max = c->scan.lines - 1u;
    c->scan = (struct net__scan){ 0 };
    char *head = arena_alloc(x->arena, len);
    x->request.headers = arena_alloc(x->arena, headers_max * sizeof(struct net_header));
    if (!head || !x->request.headers)
        return &net__headers_too_large;
    memcpy(head, unread.data + skip, len);
    struct net__framing framing;
    const struct net_refusal *refusal =
        net__parse_head(x->arena, head, len, headers_max, &x->request, &framing);
    if (refusal)
        return refusal;
    net__body_init(&c->body, &framing);
    size_t used = skip + len;
    if (take_whole_body(x, slice_from(unread, used))) {
        used += x->body_whole.len;
        c->body.done = true;
    }
    net__conn_consume(c, used);
    if (!c->body.done)
        net__conn_keep(c); /* its reader may park, and the read buffer is everybody's */
    return NULL;
}

static void refuse(struct net_conn *c, struct net_exchange *x, const struct net_refusal *refusal)
{
    c->body.done = true; /* what may follow has no meaning any more */
    c->unclean = true;
    c->close_after = true;
    in_drop(c);
    net__exchange_refuse(x, refusal);
}

void net__conn_refuse(struct net_conn *c, const struct net_refusal *refusal)
{
    refuse(c, net__exchange_open(c, c->since_us), refusal);
}

/* The first bytes of a connection may begin HTTP/2. True: they do, or more must come to tell. */
static bool takes_to_h2(struct net_conn *c, struct slice unread)
{
    if (LIKELY(unread.data[0] != 'P'))
        return false;
    enum net__preface preface = net__h2_preface(c, unread);
    if (preface == NET__PREFACE_YES && net__h2_open(c))
        net__h2_read(c);
    return preface != NET__PREFACE_NO;
}

/* Take one request off the unread bytes and hand it up. False when there is no whole one. */
static bool take_request(struct net_conn *c, struct slice unread, int64_t now_us)
{
    struct net_server *s = c->server;
    const struct net_refusal *refusal = NULL;
    bool was_begun = c->scan.at > 0;
    enum net__scan_result found =
        net__scan_head(&c->scan, unread.data, unread.len, &s->limits, &refusal);
    if (found == NET__SCAN_MORE)
        return false;
    struct net_exchange *x = net__exchange_open(c, was_begun ? c->since_us : now_us);
    x->ready_us = now_us;
    if (found == NET__SCAN_WHOLE)
        refusal = take_head(c, x, unread);
    if (refusal)
        refuse(c, x, refusal);
    else
        s->options.on_request(x, s->options.arg);
    return true;
}

void net__conn_run(struct net_conn *c)
{
    assert(!c->running);
    struct net_server *s = c->server;
    if (c->state == NET__HEAD) {
        c->running = true;
        int64_t now_us = clock_mono_us();
        if (s->held.len > 0 && now_us - s->held.since_us > NET__HELD_US)
            net__held_send(s);
        /* A peer that does not take its answers gets no more of them for now. */
        while (c->state == NET__HEAD && c->out_bytes <= s->limits.send_bytes_max) {
            struct slice unread = net__conn_unread(c);
            if (unread.len == 0 || takes_to_h2(c, unread) || !take_request(c, unread, now_us))
                break;
            /* Several answers leave in one write; the last one leaves before its log line is
             * written. */
            bool is_last = net__conn_unread(c).len == 0;
            bool is_whole = c->x->answer == NET__ANSWER_DONE;
            bool is_held = is_last && is_whole && net__hold(c);
            if (!is_held && (is_last || s->write_body.len > 0))
                net__flush(c);
            if (!net__exchange_settle(c->x))
                break;
        }
        c->running = false;
        if (!c->held)
            net__flush(c);
        if (c->state == NET__H2)
            net__conn_resume(c); /* what it asked for while this was on the stack */
    }
    net__conn_keep(c);
    if (c->x)
        (void)net__exchange_settle(c->x); /* the flush may have ended it */
    else if (c->state == NET__HEAD && c->eof_us && !c->out_first)
        net__conn_close(c);
}

static void on_resume(struct loop_post *post)
{
    struct net_conn *c = CONTAINER_OF(post, struct net_conn, resume);
    c->resuming = false;
    if (c->state == NET__CLOSED) {
        net__conn_try_free(c);
        return;
    }
    if (c->state == NET__H2)
        net__h2_pump(c);
    else if (c->state == NET__HEAD)
        net__conn_run(c);
    if (c->secure && net__secure_has_more(c))
        net__secure_more(c);
    net__conn_read_resume(c);
}

void net__conn_resume(struct net_conn *c)
{
    if (c->resuming || c->running || c->state == NET__CLOSED)
        return;
    c->resuming = true;
    c->resume.fn = on_resume;
    loop_post(c->server->loop, &c->resume);
}

void net__conn_next(struct net_conn *c)
{
    if (c->state == NET__CLOSED) {
        net__conn_try_free(c);
        return;
    }
    c->served = true;
    if (c->close_after || c->body.bad) {
        net__conn_finish(c);
        return;
    }
    c->state = NET__HEAD;
    c->since_us = loop_now_us(c->server->loop);
    if (!c->body.done) {
        c->state = NET__DRAIN;
        c->active_us = c->since_us;
        c->lingered_bytes = 0;
        drain(c);
    }
    if (c->running || c->state == NET__LINGER || c->state == NET__CLOSED)
        return;
    if (c->state == NET__HEAD && net__conn_unread(c).len > 0)
        net__conn_resume(c);
    else if (c->eof_us && !c->out_first)
        net__conn_close(c);
    else
        net__conn_read_resume(c);
}

/* -- time
 * ------------------------------------------------------------------------------------------------
 */

static bool body_is_slow(struct net_conn *c, int64_t now_us)
{
    struct net_exchange *x = c->x;
    const struct net_limits *l = &c->server->limits;
    if (!x || !x->reader)
        return false; /* nobody waits for it, so it is not the peer's fault */
    int64_t waited_us = x->body_wait_us + (now_us - x->wait_since_us);
    if (now_us - MAX(x->wait_since_us, c->active_us) > l->body_idle_timeout_us)
        return true;
    /* Bytes count over all of the waiting, the grace too: a slow start may be made up for. */
    return waited_us > l->body_grace_us &&
           x->body_bytes < (int64_t)l->body_rate_min * waited_us / CLOCK_SECOND;
}

static void sweep_head(struct net_conn *c, int64_t now_us)
{
    const struct net_limits *l = &c->server->limits;
    int64_t waited_us = now_us - c->since_us;
    if (net__conn_unread(c).len == 0) {
        if (waited_us > l->idle_timeout_us)
            net__conn_finish(c);
        return;
    }
    if (c->out_first || waited_us <= l->head_timeout_us)
        return;
    net__conn_refuse(c, &net__too_slow);
}

void net__conn_sweep(struct net_conn *c, int64_t now_us)
{
    const struct net_server_options *o = &c->server->options;
    if (net__answer_is_stuck(c, now_us)) {
        if (o->on_stalled)
            o->on_stalled(o->arg);
        net__conn_reset(c);
        return;
    }
    if (c->eof_us && now_us - c->eof_us > NET__HALF_CLOSED_US && !c->out_first) {
        net__conn_close(c);
        return;
    }
    switch (c->state) {
    case NET__HANDSHAKE:
        net__secure_sweep(c, now_us);
        break;
    case NET__HEAD:
        sweep_head(c, now_us);
        break;
    case NET__BUSY:
        if (body_is_slow(c, now_us)) {
            c->x->body_status = STATUS_TIMEOUT;
            task_wake(c->x->reader);
        }
        break;
    case NET__DRAIN:
        if (now_us - c->active_us > c->server->limits.body_idle_timeout_us ||
            now_us - c->since_us > NET__LINGER_US)
            net__conn_close(c);
        break;
    case NET__H2:
        net__h2_sweep(c, now_us);
        break;
    case NET__LINGER:
        if (!c->out_first &&
            (now_us - c->active_us > NET__LINGER_IDLE_US || now_us - c->since_us > NET__LINGER_US))
            net__conn_close(c);
        break;
    case NET__CLOSED:
        break;
    }
}

/* -- the beginning
 * --------------------------------------------------------------------------------------- */

static struct net_conn *conn_new(struct net_server *s)
{
    struct net_conn *c = s->free_conns;
    if (c) {
        s->free_conns = c->next;
        s->free_conns_len--;
    } else {
        c = malloc(sizeof(*c));
        if (!c)
            return NULL;
    }
    memset(c, 0, sizeof(*c));
    c->server = s;
    c->body.done = true;
    (void)uv_tcp_init(loop_uv(s->loop), &c->tcp); /* makes no socket: cannot fail */
    c->tcp.data = c;
    s->handles_len++;
    return c;
}

/* It has its socket now. */
static void conn_start(struct net_conn *c, bool is_over)
{
    struct net_server *s = c->server;
    c->since_us = c->active_us = loop_now_us(s->loop);
    net__conn_link(c);
    if (s->options.on_connections)
        s->options.on_connections(1, s->options.arg);
    net__sweep_start(s);
    /* A TLS client could not read why; shaking hands to tell would be what there is too much of. */
    bool is_mute = is_over && s->secure;
    if (is_mute || (s->secure && !net__secure_open(c)) ||
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        net__conn_close(c);
    else if (is_over)
        net__conn_refuse(c, &net__too_many);
}

static void on_failed_close(uv_handle_t *handle)
{
    struct net_conn *c = handle->data;
    struct net_server *s = c->server;
    free(c);
    net__server_forget(s);
}

static void name_peer(struct net_conn *c, const struct net__peer *peer)
{
    c->peer = *peer;
    struct slice text = SLICE("unix");
    if (peer->has_address)
        text = address_format(&peer->address, c->peer_text);
    else
        memcpy(c->peer_text, text.data, text.len);
    c->peer_len = (uint8_t)text.len;
}

void net__conn_open(struct net_server *s, int fd, const struct net__peer *peer,
                    const struct net__ticket *ticket, bool is_over)
{
    struct net_conn *c = conn_new(s);
    if (c && uv_tcp_open(&c->tcp, fd) == 0) {
        c->ticket = *ticket;
        name_peer(c, peer);
        conn_start(c, is_over);
        return;
    }
    struct net__ticket unused = *ticket;
    net__gate_leave(s->gate, &unused);
    (void)close(fd);
    if (c)
        uv_close((uv_handle_t *)&c->tcp, on_failed_close);
}
