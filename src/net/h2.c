/*
 * net/h2.c - A connection of HTTP/2: its session, its frames in and out, its time and its end.
 */
#include "net/h2.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"

/* A connection gets so much of a turn; then the others are served. */
#define PUMP_MAX ((size_t)512 * 1024)
/* Between the two GOAWAYs of a drain, when the peer does not answer the ping between them; and when
 * it goes on opening streams besides, as one that is slow to read does. */
#define DRAIN_PING_US (1 * CLOCK_SECOND)
#define DRAIN_BUSY_US (5 * CLOCK_SECOND)
/* Without a new stream for so long after the ping's answer, none is on its way. */
#define DRAIN_REST_US (100 * CLOCK_MS)
/* The mark of our ping, so that its answer is known. */
static const uint8_t drain_ping[8] = { 'p', 'u', 'r', 'l', 'i', 'n', '-', 'd' };

/* -- what waits for the end of a turn
 * --------------------------------------------------------------------------------------- */

/* Connections of one loop, of all its servers, with frames to send. One hook serves them all. */
struct turn {
    struct loop *loop;
    struct net__h2 *dirty;
    unsigned servers;
};

static unsigned turn_slot;
static pthread_once_t turn_once = PTHREAD_ONCE_INIT;

static void turn_slot_make(void)
{
    turn_slot = loop_slot_new();
}

static void before_poll(void *arg)
{
    struct turn *turn = arg;
    while (turn->dirty) {
        struct net__h2 *h2 = turn->dirty;
        turn->dirty = h2->dirty_next;
        h2->is_dirty = false;
        net__h2_pump(h2->c);
    }
}

static bool turn_enter(struct loop *loop)
{
    (void)pthread_once(&turn_once, turn_slot_make); /* never fails with a good control */
    struct turn *turn = loop_slot_get(loop, turn_slot);
    if (!turn) {
        turn = calloc(1, sizeof(*turn));
        if (!turn)
            return false;
        turn->loop = loop;
        loop_slot_set(loop, turn_slot, turn);
        loop_hook_before_poll(loop, before_poll, turn);
    }
    turn->servers++;
    return true;
}

static void turn_leave(struct loop *loop)
{
    struct turn *turn = loop_slot_get(loop, turn_slot);
    if (--turn->servers > 0)
        return;
    loop_unhook_before_poll(loop, before_poll, turn);
    loop_slot_set(loop, turn_slot, NULL);
    free(turn);
}

static void turn_forget(struct net__h2 *h2)
{
    struct turn *turn = loop_slot_get(h2->server->server->loop, turn_slot);
    struct net__h2 **at = &turn->dirty;
    while (h2->is_dirty && *at) {
        if (*at == h2) {
            *at = h2->dirty_next;
            h2->is_dirty = false;
        } else {
            at = &(*at)->dirty_next;
        }
    }
}

void net__h2_pump_soon(struct net_conn *c)
{
    struct net__h2 *h2 = c->h2;
    if (h2->is_dirty || c->state != NET__H2)
        return;
    struct turn *turn = loop_slot_get(c->server->loop, turn_slot);
    h2->is_dirty = true;
    h2->dirty_next = turn->dirty;
    turn->dirty = h2;
}

/* -- streams that are over
 * --------------------------------------------------------------------------------------- */

/* The session and its streams may go: the connection is closed and nobody is in here. */
static void try_free(struct net__h2 *h2)
{
    struct net_conn *c = h2->c;
    if (c->state != NET__CLOSED || h2->depth > 0)
        return;
    nghttp2_session_del(h2->session);
    h2->session = NULL;
    if (h2->streams_len > 0)
        return;
    turn_forget(h2);
    free(h2);
    c->h2 = NULL;
    net__conn_try_free(c);
}

/* Our own frame on the stack keeps the session and its memory. */
static void enter(struct net__h2 *h2)
{
    h2->depth++;
}

static void leave(struct net__h2 *h2)
{
    h2->depth--;
    try_free(h2);
}

static void list_remove(struct net__stream **list, struct net__stream *st)
{
    if (st->prev)
        st->prev->next = st->next;
    else
        *list = st->next;
    if (st->next)
        st->next->prev = st->prev;
}

static void list_add(struct net__stream **list, struct net__stream *st)
{
    st->prev = NULL;
    st->next = *list;
    if (*list)
        (*list)->prev = st;
    *list = st;
}

/* nghttp2 has forgotten it: what is left of it is the exchange. */
static void stream_closed(struct net__stream *st)
{
    struct net__h2 *h2 = st->h2;
    if (st->closed)
        return;
    st->closed = true;
    h2->has_closed = true;
    list_remove(&h2->open, st);
    list_add(&h2->closed, st);
    st->out = SLICE_NULL;
    if (st->out_ended)
        return;
    st->x->cut = true;
    net__exchange_gone(st->x);
}

bool net__h2_settle(struct net_exchange *x)
{
    struct net__stream *st = x->stream;
    struct net__h2 *h2 = st->h2;
    bool is_over = !st->handed || (x->answer == NET__ANSWER_DONE && x->holds == 0);
    if (!st->closed || st->is_ready || !is_over)
        return false;
    enter(h2);
    const struct net_server_options *o = &x->conn->server->options;
    if (st->handed)
        o->on_done(x, o->arg);
    net__h2_body_drop(st);
    list_remove(&h2->closed, st);
    arena_free(x->arena);
    if (--h2->streams_len == 0) {
        h2->c->since_us = loop_now_us(h2->c->server->loop);
        if (h2->draining)
            net__h2_pump_soon(h2->c); /* which finds that this was the last one */
    }
    leave(h2);
    return true;
}

static void reap(struct net__h2 *h2)
{
    while (h2->has_closed) {
        h2->has_closed = false;
        for (struct net__stream *st = h2->closed, *next; st; st = next) {
            next = st->next;
            (void)net__h2_settle(st->x); /* else its handler goes on */
        }
    }
}

void net__h2_gone(struct net_conn *c)
{
    struct net__h2 *h2 = c->h2;
    enter(h2);
    while (h2->open)
        stream_closed(h2->open);
    if (!h2->in_nghttp2)
        reap(h2);
    leave(h2);
}

/* -- what nghttp2 tells
 * ------------------------------------------------------------------------------------------ */

static struct net__stream *stream_of(struct net__h2 *h2, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h2->session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct net__h2 *h2 = arg;
    h2->head_since_us = h2->now_us;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    h2->heads_opened++;
    h2->opened_us = h2->now_us;
    /* Streams that were reset while their handlers run: nghttp2 counts them no more, so we do. */
    if (h2->streams_len >= 2 * h2->c->server->options.http2.streams_max) {
        net__h2_tell(h2, NET__H2_ZOMBIES);
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_REFUSED_STREAM) == 0
                   ? 0
                   : NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    struct net__stream *st = net__h2_stream_open(h2, frame->hd.stream_id);
    h2->streams_len++;
    list_add(&h2->open, st);
    (void)nghttp2_session_set_stream_user_data(session, st->id, st); /* the stream is there */
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
    (void)flags;
    (void)session;
    struct net__h2 *h2 = arg;
    struct net__stream *st = stream_of(h2, frame->hd.stream_id);
    if (!st || net__h2_field(st, name, value))
        return 0;
    net__h2_abuse(h2, NET__H2_HEADER_BOMB);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* A field that no field may be: the whole request is malformed (RFC 9113 8.2.1), not only the
 * field. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value,
                             size_t value_len, uint8_t flags, void *arg)
{
    (void)session;
    (void)frame;
    (void)name;
    (void)name_len;
    (void)value;
    (void)value_len;
    (void)flags;
    (void)arg;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *arg)
{
    (void)flags;
    (void)session;
    struct net__h2 *h2 = arg;
    struct net__stream *st = stream_of(h2, id);
    if (st)
        net__h2_body_add(st, data, len);
    else
        (void)nghttp2_session_consume_connection(h2->session, len); /* len is not too much */
    return 0;
}

static void body_ended(struct net__stream *st)
{
    st->in_ended = true;
    if (st->x->reader)
        task_wake(st->x->reader);
}

static void head_ended(struct net__h2 *h2, struct net__stream *st)
{
    st->is_ready = true;
    if (h2->ready_last)
        h2->ready_last->ready_next = st;
    else
        h2->ready_first = st;
    h2->ready_last = st;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct net__h2 *h2 = arg;
    const nghttp2_frame_hd *hd = &frame->hd;
    struct net__stream *st = NULL;
    bool is_end = (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (hd->type) {
    case NGHTTP2_HEADERS:
        h2->head_since_us = 0;
        st = stream_of(h2, hd->stream_id);
        if (!st)
            return 0;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            head_ended(h2, st);
        if (is_end)
            body_ended(st);
        return 0;
    case NGHTTP2_DATA:
        st = stream_of(h2, hd->stream_id);
        if (st && is_end)
            body_ended(st);
        if (hd->length <= frame->data.padlen && !is_end && !net__h2_spend(h2, NET__H2_EMPTY))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        return 0;
    case NGHTTP2_SETTINGS:
        h2->head_since_us = 0; /* the first ones end the peer's preface */
        return 0;
    case NGHTTP2_PING:
        if (h2->draining && (hd->flags & NGHTTP2_FLAG_ACK) &&
            memcmp(frame->ping.opaque_data, drain_ping, sizeof(drain_ping)) == 0) {
            h2->drain_acked_us = h2->now_us;
        }
        return 0;
    default:
        return 0;
    }
}

/* Resets are not free for us: those that a peer brings about are counted like its own. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct net__h2 *h2 = arg;
    const nghttp2_frame_hd *hd = &frame->hd;
    struct net__stream *st = NULL;
    switch (hd->type) {
    case NGHTTP2_DATA:
        net__h2_earn(h2, NET__H2_WINDOW_UPDATES, 4);
        break;
    case NGHTTP2_HEADERS:
        break;
    case NGHTTP2_RST_STREAM:
        st = stream_of(h2, hd->stream_id);
        h2->has_reset |= !st || !st->in_ended;
        if ((!st || !st->reset_sent) && frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
            (void)net__h2_spend(h2, NET__H2_FAULTS); /* a spent budget has ended the session */
        return 0;
    default:
        return 0;
    }
    if (!(hd->flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    st = stream_of(h2, hd->stream_id);
    if (!st)
        return 0;
    st->out_ended = true;
    /* Nobody reads the rest of the body: ask the peer to stop (RFC 9113 8.1). */
    if (!st->in_ended)
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    (void)session;
    (void)code;
    struct net__h2 *h2 = arg;
    struct net__stream *st = stream_of(h2, id);
    h2->head_since_us = 0; /* a head that was refused half-way has no end of its own */
    if (st)
        stream_closed(st);
    return 0;
}

/* -- what a server's connections share
 * --------------------------------------------------------------------------------------- */

static void callbacks_set(nghttp2_session_callbacks *cbs)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(cbs, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(cbs, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(cbs, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(cbs, net__h2_put_data);
}

static void option_set(nghttp2_option *option)
{
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, NET__H2_ACKS_MAX);
    nghttp2_option_set_max_continuations(option, NET__H2_CONTINUATIONS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX); /* ours is told */
    nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
    nghttp2_option_set_max_send_header_block_length(option, NET__BUFFER_BYTES);
    nghttp2_option_set_max_deflate_dynamic_table_size(option, NET__H2_HPACK_TABLE_BYTES);
}

void net__h2_server_free(struct net__h2_server *hs)
{
    if (!hs)
        return;
    for (struct net__h2_chunk *chunk = hs->free_chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    for (unsigned i = 0; i < hs->fixed_len; i++)
        free(hs->fixed[i]);
    nghttp2_session_callbacks_del(hs->callbacks);
    nghttp2_option_del(hs->option);
    net__h2_memory_free(hs->memory);
    if (hs->server)
        turn_leave(hs->server->loop);
    free(hs);
}

static struct net__h2_server *server_of(struct net_server *s)
{
    if (s->h2)
        return s->h2;
    struct net__h2_server *hs = calloc(1, sizeof(*hs));
    if (!hs)
        return NULL;
    hs->memory = net__h2_memory_new();
    if (!hs->memory || nghttp2_session_callbacks_new(&hs->callbacks) != 0 ||
        nghttp2_option_new(&hs->option) != 0 || !turn_enter(s->loop)) {
        net__h2_server_free(hs);
        return NULL;
    }
    hs->server = s;
    callbacks_set(hs->callbacks);
    option_set(hs->option);
    s->h2 = hs;
    return hs;
}

/* -- opening
 * -------------------------------------------------------------------------------------------- */

enum net__preface net__h2_preface(const struct net_conn *c, struct slice unread)
{
    const struct net_http2 *o = &c->server->options.http2;
    if (c->served || c->secure || c->scan.at > 0 || o->off || o->clear_off)
        return NET__PREFACE_NO;
    size_t n = MIN(unread.len, (size_t)NGHTTP2_CLIENT_MAGIC_LEN);
    if (memcmp(unread.data, NGHTTP2_CLIENT_MAGIC, n) != 0)
        return NET__PREFACE_NO;
    return n == NGHTTP2_CLIENT_MAGIC_LEN ? NET__PREFACE_YES : NET__PREFACE_MORE;
}

static bool submit_settings(struct net__h2 *h2)
{
    const struct net_http2 *o = &h2->c->server->options.http2;
    const struct net_limits *l = &h2->c->server->limits;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, o->streams_max },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, o->stream_window },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, l->line_bytes_max + l->headers_bytes_max },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };
    return nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) ==
               0 &&
           nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)o->connection_window) == 0;
}

bool net__h2_open(struct net_conn *c)
{
    struct net__h2_server *hs = server_of(c->server);
    struct net__h2 *h2 = hs ? calloc(1, sizeof(*h2)) : NULL;
    if (!h2) {
        net__conn_close(c);
        return false;
    }
    h2->c = c;
    h2->server = hs;
    h2->abuse = NET__H2_KINDS;
    net__h2_budgets_init(h2);
    c->h2 = h2;
    c->state = NET__H2;
    h2->last_id = -1;
    h2->frame_left = NGHTTP2_CLIENT_MAGIC_LEN; /* no frame, and nghttp2 looks at it */
    c->since_us = h2->head_since_us = loop_now_us(c->server->loop);
    net__h2_memory_opening(hs->memory, true);
    bool is_good = nghttp2_session_server_new3(&h2->session, hs->callbacks, h2, hs->option,
                                               net__h2_memory_mem(hs->memory)) == 0;
    net__h2_memory_opening(hs->memory, false);
    is_good = is_good && submit_settings(h2);
    if (!is_good) {
        net__conn_close(c);
        return false;
    }
    if (c->server->draining)
        net__h2_drain(c);
    return true;
}

/* -- in
 * -------------------------------------------------------------------------------------------------
 */

/* Take frames while the kernel takes bytes. Returns what nghttp2 said last. */
static ssize_t take_frames(struct net__h2 *h2)
{
    struct net_conn *c = h2->c;
    size_t taken = 0;
    ssize_t n = 0;
    h2->in_nghttp2 = true;
    net__h2_memory_enter(h2->server->memory);
    while (c->state == NET__H2 && !c->out_first) {
        const uint8_t *frame;
        n = nghttp2_session_mem_send(h2->session, &frame);
        if (n <= 0)
            break;
        net__put(c, (const char *)frame, (size_t)n);
        taken += (size_t)n;
        if (taken > PUMP_MAX) {
            net__conn_resume(c);
            break;
        }
    }
    net__h2_memory_leave(h2->server->memory);
    h2->in_nghttp2 = false;
    return n;
}

static void hand_up(struct net__h2 *h2, struct net__stream *st)
{
    struct net_exchange *x = st->x;
    const struct net_server_options *o = &h2->c->server->options;
    const struct net_refusal *refusal = net__h2_request_make(st);
    st->handed = true;
    x->holds++; /* whoever answers at once goes on a little after the answer */
    if (refusal) {
        net__exchange_refuse(x, refusal);
    } else {
        net__h2_body_whole(st);
        o->on_request(x, o->arg);
    }
    net_release(x);
}

/* Requests whose heads are complete and which nobody took back; none of a connection that ends. */
static void hand_up_ready(struct net__h2 *h2, bool has_failed)
{
    while (h2->ready_first) {
        struct net__stream *st = h2->ready_first;
        h2->ready_first = st->ready_next;
        if (!h2->ready_first)
            h2->ready_last = NULL;
        st->is_ready = false;
        if (st->closed)
            h2->has_closed = true;
        else if (!has_failed)
            hand_up(h2, st);
    }
}

/* nghttp2 goes on no further; GOAWAY says why, when something can be said. */
static void fail(struct net__h2 *h2, ssize_t rc)
{
    uint32_t code = NGHTTP2_INTERNAL_ERROR;
    if (h2->abuse != NET__H2_KINDS)
        return; /* said already */
    switch (rc) {
    case NGHTTP2_ERR_FLOODED:
        net__h2_abuse(h2, NET__H2_UNREAD);
        return;
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        net__h2_abuse(h2, NET__H2_CONTINUATION);
        return;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        code = NGHTTP2_PROTOCOL_ERROR;
        break;
    default:
        break;
    }
    (void)nghttp2_session_terminate_session(h2->session, code); /* else it closes without a word */
}

void net__h2_read(struct net_conn *c)
{
    struct net__h2 *h2 = c->h2;
    struct slice bytes = net__conn_unread(c);
    enter(h2);
    h2->now_us = clock_mono_us();
    ssize_t rc = net__h2_input(h2, bytes);
    bool has_failed = rc < 0;
    if (has_failed) {
        c->unclean = true;
        fail(h2, rc);
    }
    net__conn_consume(c, bytes.len);
    /* Resets that these bytes brought about end their streams here, before anybody works for them;
     * what fails now fails again in the pump. */
    (void)take_frames(h2);
    hand_up_ready(h2, has_failed);
    net__h2_pump(c);
    if (c->state == NET__H2 && has_failed)
        net__conn_finish(c);
    /* It says much and does not listen: what it asks for waits in the kernel. */
    if (c->state == NET__H2 && c->out_first &&
        nghttp2_session_get_outbound_queue_size(h2->session) > NET__H2_QUEUE_MAX)
        net__conn_read_stop(c);
    leave(h2);
}

/* -- out
 * ------------------------------------------------------------------------------------------------
 */

void net__h2_pump(struct net_conn *c)
{
    struct net__h2 *h2 = c->h2;
    if (!h2 || h2->in_nghttp2 || c->state != NET__H2)
        return;
    enter(h2);
    ssize_t rc = take_frames(h2);
    net__flush(c);
    reap(h2);
    if (c->state == NET__H2) {
        bool is_over = rc < 0 || (!nghttp2_session_want_read(h2->session) &&
                                  !nghttp2_session_want_write(h2->session));
        if (is_over || h2->abuse != NET__H2_KINDS) {
            c->unclean = true; /* frames of the peer may be on their way */
            net__conn_finish(c);
        }
    }
    leave(h2);
}

/* -- the end
 * ------------------------------------------------------------------------------------------------
 */

/* The second GOAWAY: what the peer opened before it saw the first one has come. Its ping's answer
 * may overtake requests that it had begun, so it is also to rest a moment. */
static void drain_end(struct net__h2 *h2)
{
    int64_t now_us = clock_mono_us(), since_us = MAX(h2->drain_acked_us, h2->opened_us);
    bool rests = h2->drain_acked_us && now_us - since_us >= DRAIN_REST_US;
    int64_t most_us = h2->opened_us > h2->drain_since_us ? DRAIN_BUSY_US : DRAIN_PING_US;
    if (h2->drained || (!rests && now_us - h2->drain_since_us <= most_us))
        return;
    h2->drained = true;
    (void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(h2->session),
                                NGHTTP2_NO_ERROR, NULL, 0); /* else the end of grace ends it */
    net__h2_pump_soon(h2->c);
}

void net__h2_drain(struct net_conn *c)
{
    struct net__h2 *h2 = c->h2;
    if (h2->draining) {
        drain_end(h2);
        return;
    }
    h2->draining = true;
    h2->drain_since_us = clock_mono_us();
    /* Twice: the peer stops opening streams at the first, and those that were on their way by then
     * are still served; a ping tells when they have come (RFC 9113 6.8). */
    if (nghttp2_submit_shutdown_notice(h2->session) != 0 ||
        nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, drain_ping) != 0) {
        net__conn_close(c);
        return;
    }
    net__h2_pump_soon(c);
}

/* Say so and end, whatever is in flight. */
static void terminate(struct net__h2 *h2, uint32_t code)
{
    struct net_conn *c = h2->c;
    if (nghttp2_session_terminate_session(h2->session, code) != 0) {
        net__conn_close(c);
        return;
    }
    net__h2_pump(c);
    if (c->state == NET__H2) {
        c->unclean = true;
        net__conn_finish(c);
    }
}

/* -- time
 * ------------------------------------------------------------------------------------------------
 */

static bool body_is_slow(const struct net__stream *st, int64_t now_us)
{
    const struct net_exchange *x = st->x;
    const struct net_limits *l = &x->conn->server->limits;
    if (!x->reader)
        return false; /* nobody waits for it, so it is not the peer's fault */
    int64_t waited_us = x->body_wait_us + (now_us - x->wait_since_us);
    if (now_us - MAX(x->wait_since_us, st->in_us) > l->body_idle_timeout_us)
        return true;
    return waited_us > l->body_grace_us &&
           x->body_bytes < (int64_t)l->body_rate_min * waited_us / CLOCK_SECOND;
}

/* Has an answer waited too long for the peer to open its windows? Opening them by a byte now and
 * then does not count as opening. */
static bool answer_is_stalled(struct net__stream *st, int64_t now_us)
{
    const struct net_limits *l = &st->x->conn->server->limits;
    if (st->out.len == 0)
        return false;
    bool is_open = nghttp2_session_get_stream_remote_window_size(st->h2->session, st->id) > 0 &&
                   nghttp2_session_get_remote_window_size(st->h2->session) > 0;
    if (is_open || st->out_since_us == 0) { /* others go first, or the kernel is slow */
        st->out_since_us = now_us;
        st->out_moved = 0;
        return false;
    }
    int64_t waited_us = now_us - st->out_since_us;
    return waited_us > l->write_timeout_us &&
           (int64_t)st->out_moved < (int64_t)l->body_rate_min * waited_us / CLOCK_SECOND;
}

static void sweep_streams(struct net__h2 *h2, int64_t now_us)
{
    for (struct net__stream *st = h2->open, *next; st; st = next) {
        next = st->next;
        if (body_is_slow(st, now_us)) {
            st->x->body_status = STATUS_TIMEOUT;
            task_wake(st->x->reader);
        }
        if (!st->reset_sent && answer_is_stalled(st, now_us)) {
            net__h2_tell(h2, NET__H2_STALLED);
            st->stalled = true;
            net__h2_reset(st, NGHTTP2_CANCEL);
        }
    }
}

void net__h2_sweep(struct net_conn *c, int64_t now_us)
{
    struct net__h2 *h2 = c->h2;
    const struct net_limits *l = &c->server->limits;
    enter(h2);
    sweep_streams(h2, now_us);
    bool is_slow_head = h2->head_since_us && now_us - h2->head_since_us > l->head_timeout_us;
    bool is_idle = h2->streams_len == 0 && now_us - c->since_us > l->idle_timeout_us;
    if (h2->draining)
        drain_end(h2);
    if (is_slow_head || is_idle)
        terminate(h2, is_slow_head ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_NO_ERROR);
    else
        net__h2_pump(c);
    leave(h2);
}
