/*
 * net/listener.c - A listening socket: made, or taken over; accepted from in bounded batches. How
 * it is given up again is in net/retire.c.
 *
 * Accepting is our own (libuv accepts until there is nothing left, so that a flood of connections
 * would starve the open ones): a batch a turn of the loop, the rest waits in the kernel.
 */
#include "net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"

#define ACCEPT_BATCH 64u
#define UNIX_MODE_DEFAULT 0660u
#define HOST_TEXT_MAX 64u
/* Bytes of an answer in the kernel that are not on their way yet. */
#define UNSENT_MAX (128 * 1024)
/* Without descriptors or memory nothing can be accepted: look again so much later. */
#define PAUSE_US (100 * CLOCK_MS)
#define MILLIONTH INT64_C(1000000)
/* Of accept_rate: at most so much of a second's share is saved up. */
#define CREDIT_PART 10

static void on_readable(uv_poll_t *poll, int rc, int events);

/* -- taking connections
 * ----------------------------------------------------------------------------------- */

void net__listener_watch(struct net_server *s)
{
    struct net__listener *l = &s->listener;
    if (l->is_polled || l->state == NET__LISTENER_CLOSED)
        return;
    l->is_polled = uv_poll_start(&l->poll, UV_READABLE, on_readable) == 0;
}

static void on_pause_over(struct loop_timer *timer)
{
    net__listener_watch(CONTAINER_OF(timer, struct net_server, listener.timer));
}

static void pause_for(struct net_server *s, int64_t us)
{
    struct net__listener *l = &s->listener;
    if (l->state != NET__LISTENING)
        return;                   /* its timer has something better to do, and ends soon */
    (void)uv_poll_stop(&l->poll); /* cannot fail */
    l->is_polled = false;
    loop_timer_start(s->loop, &l->timer, us, on_pause_over);
}

static bool sends_header(const struct net_server *s, const struct net__peer *peer)
{
    const struct address_set *proxies = s->options.proxies;
    if (!proxies)
        return false;
    return peer->has_address ? address_set_has(proxies, &peer->address) : proxies->has_unix;
}

static void admit(struct net_server *s, int fd, const struct sockaddr_storage *from)
{
    struct net__peer peer = { 0 };
    struct net__ticket ticket;
    peer.has_address = address_from((const struct sockaddr *)from, &peer.address);
    if (UNLIKELY(net__gate_is_full(s->gate)))
        net__make_room(s);
    enum net_verdict verdict = net__gate_enter(s->gate, &ticket);
    if (verdict == NET_ADMITTED)
        verdict = net__gate_name(s->gate, &ticket, peer.has_address ? &peer.address : NULL);
    if (verdict == NET_REFUSED_SILENTLY) {
        net__gate_leave(s->gate, &ticket);
        (void)close(fd);
        return;
    }
    if (verdict == NET_ADMITTED && sends_header(s, &peer))
        net__greeting_open(s, fd, &peer, &ticket);
    else
        net__conn_open(s, fd, &peer, &ticket, verdict == NET_REFUSED_OVER);
}

static int accept_one(const struct net__listener *l, struct sockaddr_storage *from)
{
    socklen_t len = sizeof(*from);
    from->ss_family = AF_UNSPEC; /* a peer without a name leaves it as it is */
    return accept4(l->fd, (struct sockaddr *)from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* The spare descriptor, opened anew where another thread took it while it was given up; when there
 * is none to be had, a silent connection gives its own. */
static bool has_spare(struct net_server *s)
{
    struct net__listener *l = &s->listener;
    for (unsigned i = 0; i < 2 && l->spare_fd < 0; i++) {
        if (i > 0)
            net__make_room(s);
        l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    return l->spare_fd >= 0;
}

enum shedding { SHED_ONE, SHED_NONE_WAITS, SHED_CANNOT };

/* Descriptors have run out. A connection that nobody takes wakes the loop each turn and keeps its
 * client waiting; with the spare descriptor it can be taken and closed. */
static enum shedding shed_one(struct net_server *s)
{
    struct net__listener *l = &s->listener;
    struct sockaddr_storage from;
    if (!has_spare(s))
        return SHED_CANNOT;
    (void)close(l->spare_fd);
    int fd = accept_one(l, &from), error = errno;
    if (fd >= 0) {
        (void)close(fd);
        net__gate_refused(s->gate, NET_GATE_DESCRIPTORS);
    }
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return SHED_ONE;
    return error == EAGAIN ? SHED_NONE_WAITS : SHED_CANNOT;
}

/* How many connections accept_rate lets in now; at 0 it pauses. */
static unsigned allowance(struct net_server *s)
{
    struct net__listener *l = &s->listener;
    int64_t rate = s->options.accept_rate, now_us = loop_now_us(s->loop);
    if (rate == 0 || l->state != NET__LISTENING)
        return ACCEPT_BATCH;
    int64_t credit_max = MAX(rate * MILLIONTH / CREDIT_PART, MILLIONTH);
    int64_t passed_us = MIN(now_us - l->credit_us, CLOCK_SECOND);
    l->credit = MIN(l->credit + passed_us * rate, credit_max);
    l->credit_us = now_us;
    if (l->credit < MILLIONTH)
        pause_for(s, (MILLIONTH - l->credit) / rate + 1);
    return (unsigned)MIN(l->credit / MILLIONTH, (int64_t)ACCEPT_BATCH);
}

/* Take at most `most`. False when there is nothing left to take for now. */
static bool accept_some(struct net_server *s, unsigned most)
{
    struct net__listener *l = &s->listener;
    for (unsigned i = 0; i < most; i++) {
        struct sockaddr_storage from;
        int fd = accept_one(l, &from);
        if (fd >= 0) {
            l->credit -= MIN(l->credit, MILLIONTH);
            l->taken++;
            admit(s, fd, &from);
            continue;
        }
        switch (errno) {
        case EAGAIN:
            return false;
        case EMFILE:
        case ENFILE:
            switch (shed_one(s)) {
            case SHED_ONE:
                continue;
            case SHED_CANNOT:
                pause_for(s, PAUSE_US);
                return false;
            case SHED_NONE_WAITS:
                return false;
            }
            continue;
        case ENOBUFS:
        case ENOMEM:
            pause_for(s, PAUSE_US);
            return false;
        default:
            /* One connection's own trouble (accept(2) lists a dozen kinds): on to the next. */
            continue;
        }
    }
    return true;
}

void net__listener_take_all(struct net_server *s)
{
    /* More than the queue can hold has been taken when this ends without an end: somebody connects
     * through what no filter sees (a unix socket's old file). Then so be it. */
    for (unsigned i = 0; i <= NET__BACKLOG / ACCEPT_BATCH; i++) {
        if (!accept_some(s, ACCEPT_BATCH))
            break;
    }
}

static void on_readable(uv_poll_t *poll, int rc, int events)
{
    struct net_server *s = poll->data;
    (void)events;
    if (rc == 0)
        (void)accept_some(s, allowance(s)); /* the rest at the next turn */
    else
        pause_for(s, PAUSE_US);
}

/* -- making the socket
 * ------------------------------------------------------------------------------------ */

static bool sockaddr_of(struct slice host, unsigned port, struct sockaddr_storage *ret,
                        socklen_t *ret_len)
{
    char text[HOST_TEXT_MAX];
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
    if (host.len >= sizeof(text) || port > UINT16_MAX)
        return false;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof(v4));
        *ret_len = sizeof(v4);
        return true;
    }
    /* libuv's knows zones: fe80::1%eth0. */
    if (uv_ip6_addr(text, (int)port, &v6) != 0)
        return false;
    memcpy(ret, &v6, sizeof(v6));
    *ret_len = sizeof(v6);
    return true;
}

static const char *bind_reason(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "the address is in use";
    case EADDRNOTAVAIL:
        return "the address is not one of this machine's";
    case EACCES:
    case EPERM:
        return "this port needs more rights (below 1024: root, or CAP_NET_BIND_SERVICE)";
    case EAFNOSUPPORT:
        return "this machine has no such kind of address";
    default:
        return "the address is not available";
    }
}

static const char *make_tcp(struct net_server *s, enum status *ret_status)
{
    struct sockaddr_storage address;
    socklen_t len;
    int on = 1;
    if (!sockaddr_of(s->options.host, s->options.port, &address, &len)) {
        *ret_status = STATUS_INVALID;
        return "the host is not an IP address";
    }
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->listener.fd = fd;
    if (fd < 0)
        return errno == EAFNOSUPPORT ? bind_reason(errno) : "no socket can be had";
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (s->options.reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0))
        return "the socket cannot be set up";
    if (bind(fd, (const struct sockaddr *)&address, len) != 0 || listen(fd, NET__BACKLOG) != 0)
        return bind_reason(errno);
    return NULL;
}

/* Whether a socket may be put at `path`. NULL, or why not. */
static const char *look_at(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? NULL : "the folder of the path cannot be reached";
    if (!S_ISSOCK(st.st_mode))
        return "something that is not a socket is at the path";
    return st.st_uid == geteuid() ? NULL : "the socket at the path is another user's";
}

static const char *unix_reason(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return "the folder of the path does not exist";
    case EACCES:
    case EPERM:
    case EROFS:
        return "the folder of the path cannot be written to";
    default:
        return "no socket can be made at the path";
    }
}

/* Bind and listen beside the path, with the right mode, then move it there: at no moment is there
 * no socket, one that refuses, or one with too open a mode. */
static const char *make_unix(struct net_server *s, enum status *ret_status)
{
    struct net__listener *l = &s->listener;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct slice path = s->options.path;
    unsigned mode = s->options.mode ? s->options.mode : UNIX_MODE_DEFAULT;
    struct stat st;
    int n = snprintf(address.sun_path, sizeof(address.sun_path), "%.*s.%d", SLICE_ARG(path),
                     (int)getpid());
    if (n < 0 || (size_t)n >= sizeof(address.sun_path) || memchr(path.data, '\0', path.len)) {
        *ret_status = STATUS_INVALID;
        return "the path is too long for a unix socket (about 100 bytes)";
    }
    l->path = slice_dup(path);
    if (!l->path)
        return "the machine is out of memory";
    const char *reason = look_at(l->path);
    if (reason)
        return reason;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return "no socket can be had";
    (void)unlink(address.sun_path); /* left over by a process that had our number */
    if (bind(l->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return unix_reason(errno);
    if (chmod(address.sun_path, mode) != 0 || listen(l->fd, NET__BACKLOG) != 0 ||
        lstat(address.sun_path, &st) != 0 || rename(address.sun_path, l->path) != 0) {
        reason = unix_reason(errno);
        (void)unlink(address.sun_path);
        return reason;
    }
    l->path_device = st.st_dev;
    l->path_inode = st.st_ino;
    return NULL;
}

static const char *take_over(struct net_server *s, enum status *ret_status)
{
    int fd = s->options.fd, is_listening = 0, type = 0;
    socklen_t len = sizeof(is_listening), type_len = sizeof(type);
    s->listener.fd = fd;
    s->listener.is_lent = s->options.is_lent;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) != 0 || type != SOCK_STREAM ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) != 0 || !is_listening) {
        *ret_status = STATUS_INVALID;
        return "the descriptor that was handed over is no listening stream socket";
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return "the socket that was handed over cannot be set up";
    return NULL;
}

/*
 * Accepted sockets have what their listener has: set once, it saves a call for each of them.
 * Without it answers are slower, or hold more of the machine's memory, and are not wrong; a unix
 * socket does not know it.
 *
 * The kernel would queue megabytes for a peer that asks for much and takes little, outside of all
 * our bounds, and the time to put them there is taken from the others. What has not been sent yet
 * is no use to anybody: what is on its way is not counted, so a fast peer waits for nothing.
 */
static void set_socket_options(int fd)
{
    int on = 1, unsent_max = UNSENT_MAX;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_max, sizeof(unsent_max));
}

static void read_port(struct net__listener *l)
{
    struct sockaddr_storage bound = { 0 };
    socklen_t len = sizeof(bound);
    if (getsockname(l->fd, (struct sockaddr *)&bound, &len) != 0)
        return;
    if (bound.ss_family == AF_INET6)
        l->port = ntohs(((struct sockaddr_in6 *)&bound)->sin6_port);
    else if (bound.ss_family == AF_INET)
        l->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
}

/* The file is ours only as long as nobody has put another in its place. */
void net__listener_unlink(struct net__listener *l)
{
    struct stat st;
    if (l->path && l->path_inode && !l->is_lent && lstat(l->path, &st) == 0 &&
        st.st_dev == l->path_device && st.st_ino == l->path_inode)
        (void)unlink(l->path); /* a stale one does no harm: the next start replaces it */
    free(l->path);
    l->path = NULL;
}

/* A unix socket that was handed over: its file is ours to remove from now on. */
static void adopt_path(struct net__listener *l, struct slice path)
{
    struct stat st;
    l->path = slice_dup(path);
    if (l->path && lstat(l->path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        l->path_device = st.st_dev;
        l->path_inode = st.st_ino;
    }
}

static void close_descriptors(struct net__listener *l)
{
    net__listener_unlink(l);
    net__group_leave(l);
    if (l->fd >= 0)
        (void)close(l->fd);
    if (l->spare_fd >= 0)
        (void)close(l->spare_fd);
    l->fd = l->spare_fd = -1;
    l->state = NET__LISTENER_CLOSED;
}

const char *net__listener_open(struct net_server *s, enum status *ret_status)
{
    struct net__listener *l = &s->listener;
    l->fd = l->spare_fd = -1;
    *ret_status = STATUS_UNAVAILABLE;
    const char *reason = s->options.fd > 0     ? take_over(s, ret_status)
                         : s->options.path.len ? make_unix(s, ret_status)
                                               : make_tcp(s, ret_status);
    if (!reason && uv_poll_init(loop_uv(s->loop), &l->poll, l->fd) != 0)
        reason = "the loop cannot watch the socket";
    if (reason) {
        close_descriptors(l);
        return reason;
    }
    set_socket_options(l->fd);
    read_port(l);
    net__group_join(s);
    if (s->options.fd > 0 && s->options.path.len && !l->is_lent)
        adopt_path(l, s->options.path);
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* without it: pauses instead */
    l->poll.data = s;
    s->handles_len++;
    net__listener_watch(s);
    *ret_status = STATUS_OK;
    return NULL;
}

/* -- closing it
 * ----------------------------------------------------------------------------------------- */

static void on_poll_closed(uv_handle_t *handle)
{
    net__server_forget(handle->data);
}

void net__listener_close(struct net_server *s)
{
    struct net__listener *l = &s->listener;
    if (l->state == NET__LISTENER_CLOSED)
        return;
    loop_timer_stop(s->loop, &l->timer);
    uv_close((uv_handle_t *)&l->poll, on_poll_closed); /* libuv lets go of the descriptor here */
    close_descriptors(l);
}
