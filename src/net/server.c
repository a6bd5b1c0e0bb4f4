/*
 * net/server.c - Opening, draining and closing: what concerns all connections of a server together.
 */
#include "net/net.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "net/h2.h"

#define FREE_BLOCKS_MAX 32u
/* Silent for so long, a kept connection may be closed while draining: at least a round trip, on
 * this machine or in the world, and a few times as long as it was before its last request. */
#define REST_NEAR_US (50 * CLOCK_MS)
#define REST_FAR_US (1 * CLOCK_SECOND)
#define REST_MAX_US (2 * CLOCK_SECOND)
#define REST_GAPS 4
#define REST_LOOK_US (25 * CLOCK_MS)
#define REST_FAR_US (1 * CLOCK_SECOND)
#define SWEEP_US (1 * CLOCK_SECOND)
#define SWEEP_MIN_US (10 * CLOCK_MS)

/* -- blocks
 * ---------------------------------------------------------------------------------------------- */

struct net__block *net__block_take(struct net_server *s)
{
    struct net__block *b = s->free_blocks;
    if (b) {
        s->free_blocks = b->next;
        s->free_blocks_len--;
    } else {
        b = malloc(sizeof(*b) + s->block_bytes);
        if (!b)
            abort(); /* the machine is out of memory: nothing sensible is left to do (style: fatal)
                      */
        b->cap = s->block_bytes;
    }
    b->next = NULL;
    b->rest = SLICE_NULL;
    b->start = b->end = 0;
    b->in_flight = false;
    b->is_body = false;
    return b;
}

void net__block_give(struct net_server *s, struct net__block *b)
{
    if (s->free_blocks_len >= FREE_BLOCKS_MAX) {
        free(b);
        return;
    }
    b->next = s->free_blocks;
    s->free_blocks = b;
    s->free_blocks_len++;
}

/* -- the sweep
 * ------------------------------------------------------------------------------------------- */

static void on_sweep(struct loop_timer *timer)
{
    struct net_server *s = CONTAINER_OF(timer, struct net_server, sweep);
    int64_t now_us = loop_now_us(s->loop);
    for (struct net_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        net__conn_sweep(c, now_us);
    }
    net__greetings_sweep(s, now_us);
    if (s->conns || s->greetings)
        loop_timer_start(s->loop, timer, s->sweep_every_us, on_sweep);
}

void net__sweep_start(struct net_server *s)
{
    if (!loop_timer_is_armed(&s->sweep))
        loop_timer_start(s->loop, &s->sweep, s->sweep_every_us, on_sweep);
}

/* Often enough that the shortest limit is kept within a quarter of itself. */
static int64_t sweep_interval(const struct net_limits *l)
{
    int64_t shortest = MIN(MIN(l->head_timeout_us, l->body_idle_timeout_us),
                           MIN(l->idle_timeout_us, l->write_timeout_us));
    shortest = MIN(shortest, l->handshake_timeout_us);
    return MAX(MIN(shortest / 4, SWEEP_US), SWEEP_MIN_US);
}

/* -- opening
 * --------------------------------------------------------------------------------------------- */

static struct net_limits limits_of(const struct net_limits *given)
{
    struct net_limits l = *given;
#define DEFAULT(field, value)                                                                      \
    if (l.field == 0)                                                                              \
    l.field = (value)
    DEFAULT(line_bytes_max, 8 * 1024);
    DEFAULT(headers_bytes_max, 16 * 1024);
    DEFAULT(headers_max, 100);
    DEFAULT(body_bytes_max, 1 << 20);
    DEFAULT(connections_max, NET_CONNECTIONS_DEFAULT);
    DEFAULT(pipeline_bytes_max, 64 * 1024);
    DEFAULT(head_timeout_us, 10 * CLOCK_SECOND);
    DEFAULT(body_idle_timeout_us, 10 * CLOCK_SECOND);
    DEFAULT(idle_timeout_us, 75 * CLOCK_SECOND);
    DEFAULT(write_timeout_us, 30 * CLOCK_SECOND);
    DEFAULT(body_rate_min, 500);
    DEFAULT(body_grace_us, 5 * CLOCK_SECOND);
    DEFAULT(arena_budget, (size_t)8 << 20);
    DEFAULT(send_bytes_max, 256 * 1024);
    DEFAULT(handshake_timeout_us, 10 * CLOCK_SECOND);
    DEFAULT(handshakes_max, 1000);
#undef DEFAULT
    l.headers_max = MIN(l.headers_max, 1000u); /* by_id is 16 bits wide */
    l.line_bytes_max = MIN(l.line_bytes_max, 1u << 20);
    l.headers_bytes_max = MIN(l.headers_bytes_max, 1u << 20);
    l.pipeline_bytes_max = MIN(l.pipeline_bytes_max, 16u << 20);
    return l;
}

static struct net_http2 http2_of(const struct net_http2 *given)
{
    struct net_http2 h = *given;
#define DEFAULT(field, value)                                                                      \
    if (h.field == 0)                                                                              \
    h.field = (value)
    DEFAULT(streams_max, 100);
    DEFAULT(stream_window, 65535);
    DEFAULT(connection_window, 256 * 1024);
    DEFAULT(resets_max, 200);
    DEFAULT(settings_max, 50);
    DEFAULT(pings_max, 100);
    DEFAULT(priorities_max, 500);
    DEFAULT(window_updates_max, 1000);
    DEFAULT(empty_frames_max, 100);
#undef DEFAULT
    h.stream_window = MIN(h.stream_window, 16u << 20);
    h.connection_window = MIN(MAX(h.connection_window, 65535u), 64u << 20);
    return h;
}

static void server_free(struct net_server *s)
{
    loop_later_stop(s->loop, &s->held.later);
    for (struct net_conn *c = s->free_conns, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    for (struct net__block *b = s->free_blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    net__greetings_free(s);
    if (s->owns_gate)
        net_gate_free(s->gate);
    net__secure_server_fini(s);
    net__h2_server_free(s->h2);
    free(s->read_buffer);
    free(s->write_buffer);
    free(s->held.bytes);
    free(s);
}

void net__server_forget(struct net_server *s)
{
    if (--s->handles_len > 0 || !s->closing)
        return;
    loop_timer_stop(s->loop, &s->sweep);
    void (*done)(void *) = s->on_closed;
    void *arg = s->on_closed_arg;
    server_free(s);
    if (done)
        done(arg);
}

static struct net_server *server_new(struct loop *loop, const struct net_server_options *options)
{
    struct net_server *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->loop = loop;
    s->options = *options;
    s->limits = limits_of(&options->limits);
    s->options.http2 = http2_of(&options->http2);
    s->sweep_every_us = sweep_interval(&s->limits);
    /* A block must take a whole head, or everything that one read brought. */
    uint32_t head_bytes = s->limits.line_bytes_max + s->limits.headers_bytes_max + 64;
    s->block_bytes = MAX(s->limits.pipeline_bytes_max, head_bytes);
    s->read_bytes = MIN(NET__BUFFER_BYTES, s->block_bytes);
    s->read_buffer = malloc(s->read_bytes);
    s->write_buffer = malloc(NET__BUFFER_BYTES);
    s->held.bytes = malloc(NET__HELD_BYTES);
    s->gate = options->gate;
    const struct net_gate_options own = { .connections_max = s->limits.connections_max };
    if (!s->gate)
        s->owns_gate = net_gate_new(&own, &s->gate) == STATUS_OK;
    bool has_tls = !options->tls || net__secure_server_init(s);
    if (!s->read_buffer || !s->write_buffer || !s->held.bytes || !s->gate || !has_tls) {
        server_free(s);
        return NULL;
    }
    return s;
}

enum status net_server_open(struct loop *loop, const struct net_server_options *options,
                            struct net_server **ret_server, const char **ret_reason)
{
    /* A peer that goes away is told by EPIPE, not by a signal to the process. */
    (void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this signal */
    struct net_server *s = server_new(loop, options);
    if (!s) {
        if (options->fd > 0)
            (void)close(options->fd);
        *ret_reason = "the machine is out of memory";
        return STATUS_EXHAUSTED;
    }
    enum status st = STATUS_OK;
    const char *reason = net__listener_open(s, &st);
    if (reason) {
        *ret_reason = reason;
        server_free(s);
        return st;
    }
    *ret_server = s;
    return STATUS_OK;
}

unsigned net_server_port(const struct net_server *server)
{
    return server->listener.port;
}

int net_server_fd(const struct net_server *server)
{
    return server->listener.fd;
}

unsigned net_server_connections(const struct net_server *server)
{
    return server->conns_len + server->greetings_len;
}

/* -- draining and closing
 * -------------------------------------------------------------------------------- */

/* A peer that asks without a pause sends its next request about one round trip after the answer: to
 * close before that is to lose it. */
static bool is_resting(const struct net_conn *c, int64_t now_us)
{
    if (c->state != NET__HEAD || net__conn_unread(c).len > 0)
        return false;
    /* One that has not asked anything yet was made in order to ask. */
    bool is_near = !c->peer.has_address || address_is_loopback(&c->peer.address);
    int64_t least_us = is_near && c->served ? REST_NEAR_US : REST_FAR_US;
    if (now_us - c->since_us < MIN(MAX(least_us, REST_GAPS * c->gap_us), REST_MAX_US))
        return false;
    /* Its next request may lie in the socket already: a loop that was held up runs its timers
     * before it reads. */
    uv_os_fd_t fd;
    char byte;
    return uv_fileno((const uv_handle_t *)&c->tcp, &fd) != 0 ||
           recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

static void on_rest(struct loop_timer *timer)
{
    struct net_server *s = CONTAINER_OF(timer, struct net_server, rest);
    int64_t now_us = loop_now_us(s->loop);
    for (struct net_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        /* Busy ones get the answer they wait for. */
        if (c->state == NET__H2)
            net__h2_drain(c);
        else if (is_resting(c, now_us))
            net__conn_finish(c);
    }
    if (s->conns)
        loop_timer_start(s->loop, timer, REST_LOOK_US, on_rest);
}

void net_server_drain(struct net_server *s)
{
    if (s->draining)
        return;
    s->draining = true;
    net__listener_retire(s);
    on_rest(&s->rest);
}

void net_server_proxies_set(struct net_server *s, const struct address_set *proxies)
{
    if (s->options.proxies)
        s->options.proxies = proxies;
}

void net_server_lend(struct net_server *s)
{
    s->listener.is_lent = true;
}

bool net_server_is_drained(const struct net_server *s)
{
    return s->draining && s->listener.state == NET__LISTENER_CLOSED && s->conns_len == 0 &&
           s->greetings_len == 0;
}

void net_server_close(struct net_server *s, void (*done)(void *arg), void *arg)
{
    s->draining = true;
    s->closing = true;
    s->on_closed = done;
    s->on_closed_arg = arg;
    s->handles_len++; /* ours, while the others go */
    net__listener_close(s);
    loop_timer_stop(s->loop, &s->rest);
    net__greetings_close(s);
    for (struct net_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        net__conn_close(c);
    }
    net__server_forget(s);
}
