/*
 * net/server.c - Listening, counting, draining and closing: what concerns all connections of a loop
 * together.
 */
#include "net/net.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "net/conn.h"

#define BACKLOG 1024
#define FREE_BLOCKS_MAX 32u
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
    if (s->conns)
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
    DEFAULT(connections_max, 10000);
    DEFAULT(pipeline_bytes_max, 64 * 1024);
    DEFAULT(head_timeout_us, 10 * CLOCK_SECOND);
    DEFAULT(body_idle_timeout_us, 10 * CLOCK_SECOND);
    DEFAULT(idle_timeout_us, 75 * CLOCK_SECOND);
    DEFAULT(write_timeout_us, 30 * CLOCK_SECOND);
    DEFAULT(body_rate_min, 500);
    DEFAULT(body_grace_us, 5 * CLOCK_SECOND);
    DEFAULT(arena_budget, (size_t)8 << 20);
    DEFAULT(send_bytes_max, 256 * 1024);
#undef DEFAULT
    l.headers_max = MIN(l.headers_max, 1000u); /* by_id is 16 bits wide */
    l.line_bytes_max = MIN(l.line_bytes_max, 1u << 20);
    l.headers_bytes_max = MIN(l.headers_bytes_max, 1u << 20);
    l.pipeline_bytes_max = MIN(l.pipeline_bytes_max, 16u << 20);
    return l;
}

static bool address_of(struct slice host, unsigned port, struct sockaddr_storage *out)
{
    char text[64];
    if (host.len >= sizeof(text) || port > 65535)
        return false;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    return uv_ip4_addr(text, (int)port, (struct sockaddr_in *)out) == 0 ||
           uv_ip6_addr(text, (int)port, (struct sockaddr_in6 *)out) == 0;
}

static const char *listen_on(struct net_server *s, const struct sockaddr_storage *address,
                             uv_connection_cb on_connection)
{
    /* The socket is made by hand since libuv 1.44 has no SO_REUSEPORT. */
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return "no socket can be had";
    int on = 1;
    bool failed = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0;
    if (s->options.reuse_port)
        failed |= setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0;
    if (failed || uv_tcp_open(&s->listener, fd) != 0) {
        close(fd);
        return "the socket cannot be set up";
    }
    if (uv_tcp_bind(&s->listener, (const struct sockaddr *)address, 0) != 0)
        return "the address is in use or not of this machine";
    int rc = uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection);
    if (rc == UV_EADDRINUSE)
        return "the address is in use";
    if (rc == UV_EACCES)
        return "this port needs more rights";
    return rc == 0 ? NULL : "the address is not available";
}

static void on_connection(uv_stream_t *listener, int rc)
{
    /* An error is one connection's, or EMFILE: libuv then sheds load by itself. */
    if (rc == 0)
        net__conn_open(listener->data);
}

static void read_port(struct net_server *s)
{
    struct sockaddr_storage bound;
    int len = sizeof(bound);
    if (uv_tcp_getsockname(&s->listener, (struct sockaddr *)&bound, &len) == 0)
        s->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                    : ((struct sockaddr_in *)&bound)->sin_port);
}

static void server_free(struct net_server *s)
{
    for (struct net_conn *c = s->free_conns, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    for (struct net__block *b = s->free_blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(s->read_buffer);
    free(s->write_buffer);
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

static void on_listener_closed(uv_handle_t *handle)
{
    net__server_forget(handle->data);
}

static void listener_close(struct net_server *s)
{
    if (s->listener_closed)
        return;
    s->listener_closed = true;
    uv_close((uv_handle_t *)&s->listener, on_listener_closed);
}

enum status net_server_open(struct loop *loop, const struct net_server_options *options,
                            struct net_server **ret_server, const char **ret_reason)
{
    struct sockaddr_storage address;
    memset(&address, 0, sizeof(address));
    if (!address_of(options->host, options->port, &address)) {
        *ret_reason = "the host is not an IP address";
        return STATUS_INVALID;
    }
    /* A peer that goes away is told by EPIPE, not by a signal to the process. */
    (void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this signal */
    struct net_server *s = calloc(1, sizeof(*s));
    if (!s)
        return STATUS_EXHAUSTED;
    s->loop = loop;
    s->options = *options;
    s->limits = limits_of(&options->limits);
    s->sweep_every_us = sweep_interval(&s->limits);
    /* A block must take a whole head, or everything that one read brought. */
    uint32_t head_bytes = s->limits.line_bytes_max + s->limits.headers_bytes_max + 64;
    s->block_bytes = MAX(s->limits.pipeline_bytes_max, head_bytes);
    s->read_bytes = MIN(NET__BUFFER_BYTES, s->block_bytes);
    s->read_buffer = malloc(s->read_bytes);
    s->write_buffer = malloc(NET__BUFFER_BYTES);
    if (!s->read_buffer || !s->write_buffer || uv_tcp_init(loop_uv(loop), &s->listener) != 0) {
        server_free(s);
        return STATUS_EXHAUSTED;
    }
    s->listener.data = s;
    s->handles_len = 1;
    const char *reason = listen_on(s, &address, on_connection);
    if (reason) {
        *ret_reason = reason;
        s->closing = true;
        listener_close(s);
        return STATUS_UNAVAILABLE;
    }
    read_port(s);
    *ret_server = s;
    return STATUS_OK;
}

unsigned net_server_port(const struct net_server *server)
{
    return server->port;
}

unsigned net_server_connections(const struct net_server *server)
{
    return server->conns_len;
}

/* -- draining and closing
 * -------------------------------------------------------------------------------- */

/* Connections that the kernel completed for us already would be reset by closing the listener: take
 * them first. */
static void accept_backlog(struct net_server *s)
{
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&s->listener, &fd) != 0)
        return;
    for (int i = 0; i < BACKLOG; i++) {
        int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer < 0)
            return;
        net__conn_adopt(s, peer);
    }
}

void net_server_drain(struct net_server *s)
{
    if (s->draining)
        return;
    s->draining = true;
    if (!s->listener_closed)
        accept_backlog(s);
    listener_close(s);
    for (struct net_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        /* A connection without a single byte of a request; fresh ones get their first answer. */
        if (c->state == NET__HEAD && c->served && net__conn_unread(c).len == 0)
            net__conn_finish(c);
    }
}

void net_server_close(struct net_server *s, void (*done)(void *arg), void *arg)
{
    s->draining = true;
    s->closing = true;
    s->on_closed = done;
    s->on_closed_arg = arg;
    s->handles_len++; /* ours, while the others go */
    listener_close(s);
    for (struct net_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        net__conn_close(c);
    }
    net__server_forget(s);
}
