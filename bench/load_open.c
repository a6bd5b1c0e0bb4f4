/*
 * bench/load_open.c - Many clients, each asking seldom: an open loop. Requests fall due at a steady
 * rate, one connection after the other, whether or not earlier ones are answered; latency counts
 * from the moment a request was due, so that a stall of the server (or of this program) is seen by
 * every request that it held up. wrk and its like ask only after the answer, and miss just that.
 *
 *     load_open PORT PATH CONNECTIONS RATE SECONDS     prints one JSON object
 *
 * It spins instead of sleeping, so that requests leave on time: give it a core of its own.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IN_MAX = 2048, EVENTS_MAX = 512, CONNS_MAX = 60000, REQUESTS_MAX = 20000000 };

struct conn {
    int fd;
    uint32_t in_len;
    uint64_t body_left; /* of the answer being read */
    bool is_in_body;
    int64_t due_us[4]; /* the first is on its way, the others wait for it */
    uint32_t due_len;
    char in[IN_MAX];
};

static struct conn *conns;
static unsigned conns_len;
static char request[512];
static size_t request_len;
static uint32_t *latencies;
static uint64_t answered, errors, late;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void conn_open(int epoll, uint16_t port, struct conn *c, uint32_t index)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = { .events = EPOLLIN, .data.u32 = index };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl");
}

static void conn_fail(struct conn *c)
{
    errors += c->due_len ? c->due_len : 1;
    close(c->fd);
    c->fd = -1;
    c->due_len = 0;
}

static void conn_ask(struct conn *c)
{
    if (write(c->fd, request, request_len) != (ssize_t)request_len)
        conn_fail(c);
}

static void conn_answered(struct conn *c, int64_t at_us)
{
    if (answered < REQUESTS_MAX)
        latencies[answered] = (uint32_t)(at_us - c->due_us[0]);
    answered++;
    c->due_len--;
    memmove(c->due_us, c->due_us + 1, c->due_len * sizeof(*c->due_us));
    if (c->due_len > 0)
        conn_ask(c);
}

/* False: not an answer that was asked for. */
static bool conn_read_head(struct conn *c, size_t head_len)
{
    if (c->due_len == 0 || strncmp(c->in, "HTTP/1.1 200 ", 13) != 0)
        return false;
    c->body_left = 0;
    for (char *line = c->in; line < c->in + head_len; line = strchr(line, '\n') + 1)
        if (strncasecmp(line, "Content-Length:", 15) == 0)
            c->body_left = strtoull(line + 15, NULL, 10);
    c->is_in_body = true;
    return true;
}

static void conn_on_readable(struct conn *c)
{
    if (c->fd < 0)
        return;
    ssize_t n = recv(c->fd, c->in + c->in_len, IN_MAX - 1 - c->in_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_fail(c);
        return;
    }
    int64_t at_us = now_us();
    c->in_len += (uint32_t)n;
    while (c->in_len > 0) {
        c->in[c->in_len] = '\0';
        uint32_t used = 0;
        if (!c->is_in_body) {
            const char *end = strstr(c->in, "\r\n\r\n");
            if (!end && c->in_len < IN_MAX - 1)
                return;
            used = end ? (uint32_t)(end - c->in) + 4 : 0;
            if (!end || !conn_read_head(c, used)) {
                conn_fail(c);
                return;
            }
        } else {
            used = c->body_left < c->in_len ? (uint32_t)c->body_left : c->in_len;
            c->body_left -= used;
        }
        c->in_len -= used;
        memmove(c->in, c->in + used, c->in_len);
        if (c->is_in_body && c->body_left == 0) {
            c->is_in_body = false;
            conn_answered(c, at_us);
            if (c->fd < 0)
                return;
        }
    }
}

static void conn_on_due(struct conn *c, int64_t due_us)
{
    if (c->fd < 0 || c->due_len == sizeof(c->due_us) / sizeof(*c->due_us)) {
        errors++; /* closed, or four rounds behind */
        return;
    }
    c->due_us[c->due_len++] = due_us;
    if (c->due_len == 1)
        conn_ask(c);
    else
        late++;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double ms_at(double part)
{
    return answered ? latencies[(size_t)((double)(answered - 1) * part)] / 1e3 : 0;
}

static void poll_once(int epoll)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(epoll, events, EVENTS_MAX, 0);
    for (int i = 0; i < n; i++)
        conn_on_readable(&conns[events[i].data.u32]);
}

static bool is_anything_due(void)
{
    for (unsigned i = 0; i < conns_len; i++)
        if (conns[i].due_len > 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: load_open PORT PATH CONNECTIONS RATE SECONDS\n");
        return 2;
    }
    uint16_t port = (uint16_t)strtoul(argv[1], NULL, 10);
    conns_len = (unsigned)strtoul(argv[3], NULL, 10);
    double rate = strtod(argv[4], NULL), seconds = strtod(argv[5], NULL);
    if (conns_len == 0 || conns_len > CONNS_MAX || rate <= 0 || rate * seconds > REQUESTS_MAX) {
        fprintf(stderr, "load_open: at most %d connections and %d requests\n", CONNS_MAX,
                REQUESTS_MAX);
        return 2;
    }
    struct rlimit files = { conns_len + 100, conns_len + 100 };
    (void)setrlimit(RLIMIT_NOFILE, &files); /* connect says it when there are too few */
    request_len = (size_t)snprintf(request, sizeof(request),
                                   "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", argv[2], port);
    conns = calloc(conns_len, sizeof(*conns));
    latencies = calloc((size_t)(rate * seconds) + conns_len, sizeof(*latencies));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!conns || !latencies || epoll < 0)
        die("start");
    for (unsigned i = 0; i < conns_len; i++)
        conn_open(epoll, port, &conns[i], i);

    uint64_t total = (uint64_t)(rate * seconds);
    int64_t begin_us = now_us();
    for (uint64_t k = 0; k < total;) {
        int64_t due_us = begin_us + (int64_t)((double)k * 1e6 / rate);
        if (now_us() >= due_us)
            conn_on_due(&conns[k++ % conns_len], due_us);
        if (k % 16 == 0 || now_us() < due_us)
            poll_once(epoll);
    }
    int64_t give_up_us = now_us() + 5000000;
    while (is_anything_due() && now_us() < give_up_us)
        poll_once(epoll);
    for (unsigned i = 0; i < conns_len; i++)
        errors += conns[i].due_len; /* never answered */
    qsort(latencies, answered, sizeof(*latencies), by_size);
    printf(
        "{\"requests\": %lu, \"errors\": %lu, \"late\": %lu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
        "\"p999_ms\": %.3f, \"max_ms\": %.3f}\n",
        (unsigned long)answered, (unsigned long)errors, (unsigned long)late, ms_at(0.5),
        ms_at(0.99), ms_at(0.999), ms_at(1.0));
    return 0;
}
