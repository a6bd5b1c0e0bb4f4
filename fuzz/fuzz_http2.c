/*
 * fuzz/fuzz_http2.c - HTTP/2 behind a connection: what follows the preface, in pieces whose size
 * the first byte chooses, over one end of a socket pair. Whatever comes, every request that was
 * handed up is over exactly once, no task is left, and the connection goes when its peer does.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "net/conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define PIECES_MAX 32u
#define TURNS_MAX 1000u

struct fixture {
    struct loop *loop;
    struct net_server *server;
    unsigned handed, done, tasks;
    int peer;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void read_and_answer(struct task *task, void *arg)
{
    struct net_exchange *x = arg;
    struct fixture *f = net_user(x);
    struct slice body = SLICE_NULL;
    const struct net_head head = { .status = 200, .fixed = SLICE_INIT("X-Fuzz: 1\r\n") };
    enum status st = net_body_read_all(task, x, &body);
    bool in_pieces = net_request_of(x)->query.len > 0;
    if (in_pieces && net_stream_begin(x, &head, -1) == STATUS_OK) {
        (void)net_stream_write(task, x, body); /* the end is the same either way */
        (void)net_stream_write(task, x, SLICE("and more"));
        net_stream_end(x);
    } else if (in_pieces || st == STATUS_CANCELLED) {
        net_abort(x);
    } else {
        net_send(x, &head, body);
    }
    f->tasks--;
    net_release(x);
}

static void on_request(struct net_exchange *x, void *arg)
{
    struct fixture *f = arg;
    const struct net_request *r = net_request_of(x);
    f->handed++;
    net_user_set(x, f);
    require(r->path.len > 0 && r->host.len > 0 && r->method < NET_METHOD_OTHER);
    require(net_header_get(r, NET_HEADER_HOST) != NULL);
    require(net_header_get(r, NET_HEADER_CONNECTION) == NULL);
    if (r->method == NET_METHOD_GET) {
        const struct net_head head = { .status = 200 };
        net_send(x, &head, SLICE("hello"));
        return;
    }
    net_hold(x);
    f->tasks++;
    if (task_spawn(f->loop, read_and_answer, x, &(struct task_options){ .arena = net_arena(x) }) ==
        STATUS_OK)
        return;
    f->tasks--;
    net_abort(x);
    net_release(x);
}

static void on_refusal(struct net_exchange *x, const struct net_refusal *refusal, void *arg)
{
    struct fixture *f = arg;
    f->handed++;
    const struct net_head head = { .status = refusal->http_status };
    net_send(x, &head, slice_cstr(refusal->detail));
}

static void on_done(struct net_exchange *x, void *arg)
{
    struct fixture *f = arg;
    (void)x;
    f->done++;
}

/* Read away what the server says, so that it is never the kernel that it waits for. */
static void turn(struct fixture *f)
{
    static char sink[65536];
    (void)uv_run(loop_uv(f->loop), UV_RUN_NOWAIT);
    while (f->peer >= 0 && recv(f->peer, sink, sizeof(sink), MSG_DONTWAIT) > 0)
        continue;
}

static void say(struct fixture *f, const void *data, size_t len)
{
    (void)send(f->peer, data, len, MSG_NOSIGNAL | MSG_DONTWAIT); /* it may have closed already */
    turn(f);
    turn(f);
}

static struct fixture *fixture_get(void)
{
    static struct fixture f;
    if (f.loop)
        return &f;
    const char *reason;
    const struct net_server_options options = {
        .host = SLICE_INIT("127.0.0.1"),
        .limits = { .line_bytes_max = 256, .headers_bytes_max = 1024, .body_bytes_max = 65536 },
        .on_request = on_request,
        .on_refusal = on_refusal,
        .on_done = on_done,
        .arg = &f,
    };
    require(loop_new(NULL, &f.loop) == STATUS_OK);
    require(net_server_open(f.loop, &options, &f.server, &reason) == STATUS_OK);
    return &f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *f = fixture_get();
    int fds[2];
    struct net__ticket ticket;
    const struct net__peer nobody = { .has_address = false };
    if (size < 2)
        return 0;
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    require(net__gate_enter(f->server->gate, &ticket) == NET_ADMITTED);
    f->peer = fds[0];
    f->handed = f->done = 0;
    net__conn_open(f->server, fds[1], &nobody, &ticket, /* is_over= */ false);
    say(f, PREFACE, sizeof(PREFACE) - 1);
    size_t step = MAX((size_t)data[0] + 1, size / PIECES_MAX + 1);
    for (size_t at = 1; at < size; at += step)
        say(f, data + at, MIN(step, size - at));
    (void)close(f->peer);
    f->peer = -1;
    for (unsigned i = 0; i < TURNS_MAX && net_server_connections(f->server) > 0; i++)
        turn(f);
    turn(f);
    turn(f);
    require(net_server_connections(f->server) == 0);
    require(f->tasks == 0 && f->handed == f->done);
    return 0;
}
