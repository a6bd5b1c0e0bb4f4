/*
 * net/client_conn.c - One connection of the client: made, read, written, closed.
 *
 * Connecting tries a name's addresses in turn, the two families mixed, and does not wait for a
 * silent one longer than 250 ms before it tries the next beside it ("Happy Eyeballs", RFC 8305,
 * without its address sorting, which getaddrinfo has done).
 */
#include "net/client_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"

#define FREE_LINKS_MAX 64u
#define NEXT_ADDRESS_US (250 * CLOCK_MS)
#define PARTS_MAX 4u

/* -- events
 * ---------------------------------------------------------------------------------------------------
 */

static void on_poll(uv_poll_t *poll, int rc, int events);

/* Have libuv watch exactly these. */
static void arm(struct net__link *link, int events)
{
    if (link->armed == events || link->closing)
        return;
    link->armed = events;
    int rc = events ? uv_poll_start(&link->poll, events, on_poll) : uv_poll_stop(&link->poll);
    if (rc != 0)
        link->ready = UV_READABLE | UV_WRITABLE; /* the next call on the socket tells why */
}

static void on_poll(uv_poll_t *poll, int rc, int events)
{
    struct net__link *link = poll->data;
    if (rc < 0) { /* an error of the socket; libuv has stopped watching */
        link->armed = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    link->ready |= events;
    if (link->is_idle) {
        net__pool_idle_event(link);
        return;
    }
    if (link->task && link->ready & link->wants)
        task_wake(link->task);
    /* The kernel would tell again and again what nobody waits for. */
    if (events & ~link->wants)
        arm(link, link->armed & link->wants);
}

enum status net__link_wait(struct task *task, struct net__link *link, int events, int64_t until_us)
{
    link->ready &= ~events;
    arm(link, link->armed | events);
    link->task = task;
    link->wants = events;
    enum status st = STATUS_OK;
    while (!(link->ready & events) && st == STATUS_OK)
        st = task_wait_until(task, until_us);
    link->task = NULL;
    link->wants = 0;
    return st;
}

/* -- opening and closing
 * -------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct net__link *link = handle->data;
    struct net_client *client = link->client;
    if (client->free_links_len < FREE_LINKS_MAX && !client->closed) {
        link->idle_older = client->free_links;
        client->free_links = link;
        client->free_links_len++;
    } else {
        free(link);
    }
    net__client_forget(client);
}

void net__link_close(struct net__link *link)
{
    if (!link || link->closing)
        return;
    link->closing = true;
    if (link->ssl)
        net__link_tls_close(link);
    (void)uv_poll_stop(&link->poll); /* cannot fail */
    uv_close((uv_handle_t *)&link->poll, on_closed);
    (void)close(link->fd); /* nothing of it is waited for; an error has no consequence */
    link->fd = -1;
    if (link->counted)
        net__pool_lost(link);
}

static socklen_t sockaddr_of(const struct address *address, unsigned port,
                             struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (address->is_v4) {
        struct sockaddr_in *in = (void *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        memcpy(&in->sin_addr, address->bytes + 12, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (void *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    memcpy(&in6->sin6_addr, address->bytes, 16);
    return sizeof(*in6);
}

static struct net__link *link_take(struct net_client *client)
{
    struct net__link *link = client->free_links;
    if (!link)
        return calloc(1, sizeof(*link));
    client->free_links = link->idle_older;
    client->free_links_len--;
    memset(link, 0, sizeof(*link));
    return link;
}

struct net__link *net__link_open(struct net_client *client, const struct address *address,
                                 unsigned port, int *ret_errno)
{
    struct sockaddr_storage to;
    socklen_t to_len = sockaddr_of(address, port, &to);
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *ret_errno = errno;
    if (fd < 0)
        return NULL;
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
                     sizeof(on)); /* slower without, no less right */
    int rc = connect(fd, (const struct sockaddr *)&to, to_len);
    *ret_errno = rc == 0 ? 0 : errno;
    if (rc != 0 && *ret_errno != EINPROGRESS) {
        (void)close(fd);
        return NULL;
    }
    struct net__link *link = link_take(client);
    if (!link || uv_poll_init(loop_uv(client->loop), &link->poll, fd) != 0) {
        (void)close(fd);
        free(link);
        *ret_errno = ENOMEM;
        return NULL;
    }
    link->poll.data = link;
    link->client = client;
    link->fd = fd;
    link->peer = *address;
    link->opened_us = loop_now_us(client->loop);
    client->handles++;
    return link;
}

/* -- connecting
 * -----------------------------------------------------------------------------------------------
 */

struct race {
    struct task *task;
    struct net_client *client;
    struct net__addresses order;
    struct net__link *running[NET_DNS_ADDRESSES_MAX];
    unsigned port, started, live;
    int64_t next_us; /* when the next address is tried */
    int error;       /* of the last that failed */
};

/* The first unused one of that family, else the first unused one. */
static unsigned pick(const struct net__addresses *found, const bool *used, bool is_v4)
{
    unsigned any = found->len;
    for (unsigned i = 0; i < found->len; i++) {
        if (!used[i] && found->list[i].is_v4 == is_v4)
            return i;
        if (!used[i] && any == found->len)
            any = i;
    }
    return any;
}

/* One family after the other, beginning with the resolver's first choice. */
static void mix_families(const struct net__addresses *found, struct net__addresses *out)
{
    bool used[NET_DNS_ADDRESSES_MAX] = { false };
    bool wants_v4 = found->list[0].is_v4;
    for (out->len = 0; out->len < found->len; out->len++) {
        unsigned i = pick(found, used, wants_v4);
        used[i] = true;
        out->list[out->len] = found->list[i];
        wants_v4 = !found->list[i].is_v4;
    }
}

static void race_start_next(struct race *r)
{
    unsigned i = r->started++;
    int error = 0;
    struct net__link *link = net__link_open(r->client, &r->order.list[i], r->port, &error);
    r->running[i] = link;
    r->next_us = loop_now_us(r->client->loop) + NEXT_ADDRESS_US;
    if (!link) {
        r->error = error;
        return;
    }
    r->live++;
    link->task = r->task;
    link->wants = UV_WRITABLE;
    arm(link, UV_WRITABLE);
    if (error == 0)
        link->ready = UV_WRITABLE;
}

/* The one that is connected, if any; those that failed are closed. */
static struct net__link *race_look(struct race *r)
{
    for (unsigned i = 0; i < r->started; i++) {
        struct net__link *link = r->running[i];
        if (!link || !(link->ready & UV_WRITABLE))
            continue;
        int error = 0;
        socklen_t len = sizeof(error);
        if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
            error = errno;
        r->running[i] = NULL;
        r->live--;
        link->task = NULL;
        link->wants = 0;
        if (error == 0)
            return link;
        r->error = error;
        net__link_close(link);
    }
    return NULL;
}

static bool is_late(struct task *task, int64_t until_us)
{
    int64_t now_us = loop_now_us(task_loop(task));
    return (until_us && now_us >= until_us) ||
           (task_deadline(task) && now_us >= task_deadline(task));
}

static enum status race_run(struct race *r, int64_t until_us, struct net__link **ret_link)
{
    for (;;) {
        struct net__link *link = race_look(r);
        if (link) {
            *ret_link = link;
            return STATUS_OK;
        }
        bool has_next = r->started < r->order.len;
        int64_t now_us = loop_now_us(r->client->loop);
        if (has_next && (r->live == 0 || now_us >= r->next_us)) {
            race_start_next(r);
            continue;
        }
        if (r->live == 0)
            return STATUS_UNAVAILABLE;
        bool next_is_first = has_next && (until_us == 0 || r->next_us < until_us);
        enum status st = task_wait_until(r->task, next_is_first ? r->next_us : until_us);
        if (st == STATUS_TIMEOUT && next_is_first && !is_late(r->task, until_us))
            st = STATUS_OK; /* it is only the next one's turn */
        if (st != STATUS_OK)
            return st;
    }
}

enum status net__link_connect(struct task *task, struct net_client *client,
                              const struct net__addresses *addresses, unsigned port,
                              int64_t until_us, struct net__link **ret_link, int *ret_errno)
{
    struct race r = { .task = task, .client = client, .port = port };
    mix_families(addresses, &r.order);
    enum status st = race_run(&r, until_us, ret_link);
    for (unsigned i = 0; i < r.started; i++)
        net__link_close(r.running[i]);
    *ret_errno = r.error;
    return st;
}

/* -- bytes
 * ----------------------------------------------------------------------------------------------------
 */

ssize_t net__link_read(struct net__link *link, char *data, size_t len, int *ret_wants)
{
    if (link->ssl)
        return net__link_tls_read(link, data, len, ret_wants);
    for (;;) {
        ssize_t n = read(link->fd, data, len);
        if (n >= 0)
            return n;
        if (errno == EINTR)
            continue;
        *ret_wants = errno == EAGAIN ? UV_READABLE : 0;
        return -1;
    }
}

static ssize_t write_parts(struct net__link *link, const struct slice *parts, unsigned parts_len,
                           int *ret_wants)
{
    struct iovec iov[PARTS_MAX];
    for (unsigned i = 0; i < parts_len; i++) {
        union {
            const char *constant;
            char *base;
        } data = { .constant = parts[i].data }; /* the kernel only reads */
        iov[i] = (struct iovec){ .iov_base = data.base, .iov_len = parts[i].len };
    }
    for (;;) {
        ssize_t n = writev(link->fd, iov, (int)parts_len);
        if (n >= 0)
            return n;
        if (errno == EINTR)
            continue;
        *ret_wants = errno == EAGAIN ? UV_WRITABLE : 0;
        return -1;
    }
}

ssize_t net__link_write(struct net__link *link, const struct slice *parts, unsigned parts_len,
                        int *ret_wants)
{
    if (!link->ssl)
        return write_parts(link, parts, MIN(parts_len, PARTS_MAX), ret_wants);
    while (parts_len > 0 && parts->len == 0) {
        parts++;
        parts_len--;
    }
    return parts_len ? net__link_tls_write(link, parts->data, parts->len, ret_wants) : 0;
}

bool net__link_is_stale(struct net__link *link)
{
    char byte;
    if (link->ssl)
        return net__link_tls_is_stale(link);
    ssize_t n = recv(link->fd, &byte, 1, MSG_PEEK);
    return n >= 0 || errno != EAGAIN;
}
