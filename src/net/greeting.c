/*
 * net/greeting.c - Connections of trusted proxies until their PROXY header has come. Of the socket
 * only the header is read (it is looked at first, then taken), so what follows, TLS or HTTP, finds
 * its first byte where it expects it.
 */
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "net/proxy_protocol.h"

#define FREE_GREETINGS_MAX 32u
/* A server that drains does not wait longer for a header. */
#define DRAINING_US (1 * CLOCK_SECOND)

struct net__greeting {
    uv_poll_t poll;
    struct net_server *server;
    struct net__greeting *prev, *next;
    struct net__peer peer; /* the proxy */
    struct net__ticket ticket;
    int64_t since_us;
    int fd;
    uint16_t len;
    uint8_t data[NET__PROXY_MAX];
};

enum outcome { WAITS, READ, FAILED };

static struct net__greeting *greeting_new(struct net_server *s)
{
    struct net__greeting *g = s->free_greetings;
    if (!g)
        return malloc(sizeof(*g));
    s->free_greetings = g->next;
    s->free_greetings_len--;
    return g;
}

static void greeting_free(struct net_server *s, struct net__greeting *g)
{
    if (s->free_greetings_len >= FREE_GREETINGS_MAX) {
        free(g);
        return;
    }
    g->next = s->free_greetings;
    s->free_greetings = g;
    s->free_greetings_len++;
}

void net__greetings_free(struct net_server *s)
{
    for (struct net__greeting *g = s->free_greetings, *next; g; g = next) {
        next = g->next;
        free(g);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct net__greeting *g = handle->data;
    struct net_server *s = g->server;
    greeting_free(s, g);
    net__server_forget(s);
}

/* Its place in the list and the loop; the descriptor is somebody else's from here on. */
static void leave(struct net__greeting *g)
{
    struct net_server *s = g->server;
    if (g->prev)
        g->prev->next = g->next;
    else
        s->greetings = g->next;
    if (g->next)
        g->next->prev = g->prev;
    s->greetings_len--;
    uv_close((uv_handle_t *)&g->poll, on_closed);
}

static void refuse(struct net__greeting *g)
{
    struct net_server *s = g->server;
    net__gate_refused(s->gate, NET_GATE_PROXY_HEADER);
    net__gate_leave(s->gate, &g->ticket);
    (void)close(g->fd);
}

/* Look at what is there, and take as much of it as is the header's. */
static enum outcome read_header(struct net__greeting *g, struct net__proxy *ret)
{
    for (;;) {
        ssize_t n = recv(g->fd, g->data + g->len, sizeof(g->data) - g->len, MSG_PEEK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return WAITS;
        if (n <= 0)
            return FAILED;
        size_t header_len = 0, seen = g->len + (size_t)n;
        enum net__proxy_found found = net__proxy_parse(g->data, seen, &header_len, ret);
        size_t take = found == NET__PROXY_WHOLE ? header_len - g->len : (size_t)n;
        if (found == NET__PROXY_BAD || recv(g->fd, g->data + g->len, take, 0) != (ssize_t)take)
            return FAILED;
        if (found == NET__PROXY_WHOLE)
            return READ;
        g->len = (uint16_t)(g->len + take);
        if (g->len == sizeof(g->data))
            return FAILED; /* cannot be: no header is longer */
    }
}

/* The connection begins as that of whom the proxy named. */
static void hand_on(struct net__greeting *g, const struct net__proxy *header)
{
    struct net_server *s = g->server;
    struct net__peer peer = g->peer;
    if (!header->is_local) {
        peer = (struct net__peer){ .has_address = header->has_source,
                                   .address = header->source,
                                   .is_secure = header->is_secure };
    }
    enum net_verdict verdict =
        net__gate_name(s->gate, &g->ticket, peer.has_address ? &peer.address : NULL);
    if (verdict == NET_REFUSED_SILENTLY) {
        net__gate_leave(s->gate, &g->ticket);
        (void)close(g->fd);
        return;
    }
    net__conn_open(s, g->fd, &peer, &g->ticket, verdict == NET_REFUSED_OVER);
}

static void on_readable(uv_poll_t *poll, int rc, int events)
{
    struct net__greeting *g = poll->data;
    struct net__proxy header;
    (void)events;
    enum outcome outcome = rc == 0 ? read_header(g, &header) : FAILED;
    if (outcome == WAITS)
        return;
    leave(g); /* frees it at the end of this turn of the loop */
    if (outcome == READ)
        hand_on(g, &header);
    else
        refuse(g);
}

void net__greeting_open(struct net_server *s, int fd, const struct net__peer *peer,
                        const struct net__ticket *ticket)
{
    struct net__greeting *g = greeting_new(s);
    struct net__proxy header;
    if (!g) {
        struct net__ticket unused = *ticket;
        net__gate_leave(s->gate, &unused);
        (void)close(fd);
        return;
    }
    g->server = s;
    g->fd = fd;
    g->peer = *peer;
    g->ticket = *ticket;
    g->len = 0;
    g->prev = NULL;
    g->since_us = loop_now_us(s->loop);
    /* Most proxies send it in one piece with the connection: no need to wait then. */
    enum outcome outcome = read_header(g, &header);
    if (outcome == WAITS && uv_poll_init(loop_uv(s->loop), &g->poll, fd) == 0) {
        g->poll.data = g;
        s->handles_len++;
        g->next = s->greetings;
        if (g->next)
            g->next->prev = g;
        s->greetings = g;
        s->greetings_len++;
        if (uv_poll_start(&g->poll, UV_READABLE, on_readable) == 0) {
            net__sweep_start(s);
            return;
        }
        leave(g);
        refuse(g);
        return;
    }
    if (outcome == READ)
        hand_on(g, &header);
    else
        refuse(g);
    greeting_free(s, g);
}

static void give_up(struct net__greeting *g)
{
    leave(g);
    refuse(g);
}

void net__greetings_sweep(struct net_server *s, int64_t now_us)
{
    int64_t most_us = s->draining ? DRAINING_US : s->limits.head_timeout_us;
    for (struct net__greeting *g = s->greetings, *next; g; g = next) {
        next = g->next;
        if (now_us - g->since_us > most_us)
            give_up(g);
    }
}

void net__greetings_close(struct net_server *s)
{
    for (struct net__greeting *g = s->greetings, *next; g; g = next) {
        next = g->next;
        give_up(g);
    }
}
