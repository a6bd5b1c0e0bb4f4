/*
 * bench/floor_http.c - The least a request can cost: one thread, epoll, fixed bytes. No routes, no
 * limits, no timeouts, no log; it looks for the end of the head and skips a body of the length
 * declared. What Purlin takes beyond this, plus floor_sqlite for the rows, is what it adds.
 *
 *     floor_http PORT FILE      answer every request with the bytes of FILE, head included
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNS_MAX = 4096, IN_MAX = 16384, EVENTS_MAX = 256, REPLY_MAX = 1 << 20 };

struct conn {
    size_t len;  /* bytes in `in` */
    size_t skip; /* of a body, still to come */
    char in[IN_MAX];
};

static struct conn *conns[CONNS_MAX]; /* by descriptor */
static char *reply;
static size_t reply_len;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void load_reply(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        die(path);
    reply = malloc(REPLY_MAX);
    if (reply == NULL)
        die("malloc");
    reply_len = fread(reply, 1, REPLY_MAX, file);
    fclose(file);
}

static size_t declared_length(const char *head, size_t len)
{
    static const char name[] = "\r\nContent-Length:";
    /* Only requests with a body pay for the search. */
    if (head[0] == 'G')
        return 0;
    for (size_t i = 0; i + sizeof(name) < len; i++)
        if (strncasecmp(head + i, name, sizeof(name) - 1) == 0)
            return strtoul(head + i + sizeof(name) - 1, NULL, 10);
    return 0;
}

static void conn_drop(int epoll, int fd)
{
    (void)epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
    free(conns[fd]);
    conns[fd] = NULL;
    close(fd);
}

/* Take the bytes that `n` more made available. Answers, or false when the peer is to be dropped. */
static bool conn_feed(struct conn *c, int fd, size_t n)
{
    c->len += n;
    for (;;) {
        size_t skipped = c->skip < c->len ? c->skip : c->len;
        c->skip -= skipped;
        c->len -= skipped;
        memmove(c->in, c->in + skipped, c->len);
        if (skipped > 0 && c->skip == 0 && write(fd, reply, reply_len) != (ssize_t)reply_len)
            return false;

        const char *end = memmem(c->in, c->len, "\r\n\r\n", 4);
        if (end == NULL)
            return c->len < IN_MAX;
        size_t head = (size_t)(end - c->in) + 4;
        c->skip = declared_length(c->in, head);
        c->len -= head;
        memmove(c->in, c->in + head, c->len);
        if (c->skip == 0 && write(fd, reply, reply_len) != (ssize_t)reply_len)
            return false;
        if (c->len == 0)
            return true;
    }
}

static void accept_all(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (fd >= CONNS_MAX || (conns[fd] = calloc(1, sizeof(struct conn))) == NULL) {
            close(fd);
            continue;
        }
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            die("epoll_ctl");
    }
}

static int listen_on(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1024) != 0)
        die("listen");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: floor_http PORT FILE\n");
        return 2;
    }
    load_reply(argv[2]);
    int listener = listen_on((uint16_t)strtoul(argv[1], NULL, 10));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event listening = { .events = EPOLLIN, .data.fd = listener };
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &listening) != 0)
        die("epoll");

    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(epoll, events, EVENTS_MAX, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                accept_all(epoll, listener);
                continue;
            }
            struct conn *c = conns[fd];
            ssize_t got = read(fd, c->in + c->len, IN_MAX - c->len);
            if (got < 0 && errno == EAGAIN)
                continue;
            if (got <= 0 || !conn_feed(c, fd, (size_t)got))
                conn_drop(epoll, fd);
        }
    }
}
