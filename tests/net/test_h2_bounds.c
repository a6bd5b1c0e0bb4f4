/*
 * tests/net/test_h2_bounds.c - What one connection of HTTP/2 may hold or queue, at its limits, over
 * a socket pair: a client whose every byte and silence are in this file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "net/conn.h"
#include "net/h2.h"

#define STREAMS_MAX 4u
#define HELD_MAX 16u
#define TURNS_MAX 1000u

enum { DATA = 0, HEADERS = 1, RESET = 3, SETTINGS = 4, PING = 6, GOAWAY = 7 };
enum { ACK = 1, END_STREAM = 1, END_HEADERS = 4 };

struct fixture {
    struct loop *loop;
    struct net_server *server;
    int peer;
    struct net_exchange *held[HELD_MAX];
    unsigned held_len, done, gone;
    const char *abuse; /* the last kind that was told of */
    unsigned abuses;
    uint8_t in[1 << 16]; /* what the server said and was not looked at */
    size_t in_len;
};

/* -- the server's side
 * ------------------------------------------------------------------------------------------ */

/* "/held" waits until the test answers; others are answered at once. */
static void on_request(struct net_exchange *x, void *arg)
{
    struct fixture *f = arg;
    const struct net_head head = { .status = 200 };
    if (!slice_eq(net_request_of(x)->path, SLICE("/held"))) {
        net_send(x, &head, SLICE("hello"));
        return;
    }
    assert_true(f->held_len < HELD_MAX);
    net_hold(x);
    f->held[f->held_len++] = x;
}

static void on_refusal(struct net_exchange *x, const struct net_refusal *refusal, void *arg)
{
    (void)arg;
    const struct net_head head = { .status = refusal->http_status };
    net_send(x, &head, SLICE(""));
}

static void on_done(struct net_exchange *x, void *arg)
{
    struct fixture *f = arg;
    (void)x;
    f->done++;
}

static void on_abuse(const char *kind, void *arg)
{
    struct fixture *f = arg;
    f->abuse = kind;
    f->abuses++;
}

static void answer_held(struct fixture *f)
{
    const struct net_head head = { .status = 200 };
    for (unsigned i = 0; i < f->held_len; i++) {
        net_send(f->held[i], &head, SLICE("late"));
        net_release(f->held[i]);
    }
    f->held_len = 0;
}

/* -- the client's side
 * ------------------------------------------------------------------------------------------ */

static void turn(struct fixture *f)
{
    (void)uv_run(loop_uv(f->loop), UV_RUN_NOWAIT);
}

static void say(struct fixture *f, const void *data, size_t len)
{
    assert_int_equal(send(f->peer, data, len, MSG_NOSIGNAL), len);
    turn(f);
    turn(f);
}

/* Put a frame into out; returns its length. */
static size_t frame(uint8_t *out, unsigned type, unsigned flags, uint32_t stream,
                    const void *payload, size_t len)
{
    const uint8_t head[NET__H2_HEAD_BYTES] = {
        0, (uint8_t)(len >> 8),    (uint8_t)len,    (uint8_t)type, (uint8_t)flags, 0,
        0, (uint8_t)(stream >> 8), (uint8_t)stream,
    };
    memcpy(out, head, sizeof(head));
    if (len)
        memcpy(out + sizeof(head), payload, len);
    return sizeof(head) + len;
}

static size_t put_field(uint8_t *out, const char *name, const char *value)
{
    size_t n = strlen(name), v = strlen(value);
    out[0] = 0; /* a literal that is not indexed, without Huffman code */
    out[1] = (uint8_t)n;
    memcpy(out + 2, name, n);
    out[2 + n] = (uint8_t)v;
    memcpy(out + 3 + n, value, v);
    return 3 + n + v;
}

static void ask(struct fixture *f, uint32_t stream, const char *path)
{
    uint8_t block[256], out[300];
    size_t len = put_field(block, ":method", "GET");
    len += put_field(block + len, ":scheme", "http");
    len += put_field(block + len, ":path", path);
    len += put_field(block + len, ":authority", "h");
    say(f, out, frame(out, HEADERS, END_STREAM | END_HEADERS, stream, block, len));
}

static void reset(struct fixture *f, uint32_t stream)
{
    static const uint8_t cancel[4] = { 0, 0, 0, NGHTTP2_CANCEL };
    uint8_t out[32];
    say(f, out, frame(out, RESET, 0, stream, cancel, sizeof(cancel)));
}

static void hear(struct fixture *f)
{
    turn(f);
    ssize_t n = recv(f->peer, f->in + f->in_len, sizeof(f->in) - f->in_len, MSG_DONTWAIT);
    if (n > 0)
        f->in_len += (size_t)n;
}

/* The first frame of that kind since the last call of forget(); its error code, if it has one, or
 * flags. -1: there is none. */
static int64_t heard(struct fixture *f, unsigned type, uint32_t stream)
{
    hear(f);
    for (size_t at = 0; at + NET__H2_HEAD_BYTES <= f->in_len;) {
        const uint8_t *p = f->in + at;
        size_t len = (size_t)p[1] << 8 | p[2];
        uint32_t of = (uint32_t)p[7] << 8 | p[8];
        if (at + NET__H2_HEAD_BYTES + len > f->in_len)
            break;
        if (p[3] == type && of == stream)
            return type == RESET ? p[12] : type == GOAWAY ? p[16] : p[4];
        at += NET__H2_HEAD_BYTES + len;
    }
    return -1;
}

static void forget(struct fixture *f)
{
    hear(f);
    f->in_len = 0;
}

/* -- life
 * -----------------------------------------------------------------------------------------------
 */

static void set_up(struct fixture *f)
{
    static const uint8_t greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    memset(f, 0, sizeof(*f));
    int fds[2];
    struct net__ticket ticket;
    const struct net__peer nobody = { .has_address = false };
    const char *reason;
    const struct net_server_options options = {
        .host = SLICE_INIT("127.0.0.1"),
        .http2 = { .streams_max = STREAMS_MAX },
        .on_request = on_request,
        .on_refusal = on_refusal,
        .on_done = on_done,
        .on_http2_abuse = on_abuse,
        .arg = f,
    };
    assert_int_equal(loop_new(NULL, &f->loop), STATUS_OK);
    assert_int_equal(net_server_open(f->loop, &options, &f->server, &reason), STATUS_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(net__gate_enter(f->server->gate, &ticket), NET_ADMITTED);
    f->peer = fds[0];
    net__conn_open(f->server, fds[1], &nobody, &ticket, /* is_over= */ false);
    say(f, greeting, sizeof(greeting)); /* with the NUL that ends it: SETTINGS without entries */
}

static void tear_down(struct fixture *f)
{
    answer_held(f);
    (void)close(f->peer);
    for (unsigned i = 0; i < TURNS_MAX && net_server_connections(f->server) > 0; i++)
        turn(f);
    assert_int_equal(net_server_connections(f->server), 0);
    net_server_close(f->server, NULL, NULL);
    loop_stop(f->loop);
    loop_run(f->loop);
    loop_free(f->loop);
}

/* -- tests
 * -----------------------------------------------------------------------------------------------
 */

static void test_streams_that_were_reset_count_while_their_handlers_run(void **state)
{
    (void)state;
    static struct fixture f; /* some 64 KiB */
    set_up(&f);
    uint32_t id = 1;
    for (unsigned i = 0; i < 2 * STREAMS_MAX; i++, id += 2) {
        ask(&f, id, "/held");
        reset(&f, id);
    }
    assert_int_equal(f.held_len, 2 * STREAMS_MAX);
    assert_int_equal(f.abuses, 0);
    forget(&f);

    /* One more is refused, which tells the client that it may ask again, and the connection stays.
     */
    ask(&f, id, "/held");
    assert_int_equal(heard(&f, RESET, id), NGHTTP2_REFUSED_STREAM);
    assert_int_equal(f.held_len, 2 * STREAMS_MAX);
    assert_int_equal(f.abuses, 1);
    assert_string_equal(f.abuse, "zombie_streams");
    assert_int_equal(heard(&f, GOAWAY, 0), -1);
    assert_int_equal(f.done, 0);

    /* When the handlers are done there is room again. */
    answer_held(&f);
    turn(&f);
    assert_int_equal(f.done, 2 * STREAMS_MAX);
    forget(&f);
    ask(&f, id + 2, "/");
    assert_int_equal(heard(&f, HEADERS, id + 2), END_HEADERS);
    assert_int_equal(f.abuses, 1);
    tear_down(&f);
}

/* Each within its budget, pings and settings ask for `pings` + `settings` acknowledgements in one
 * breath. */
static void ask_for_acks(struct fixture *f, unsigned pings, unsigned settings)
{
    static const uint8_t nothing[8] = { 0 };
    uint8_t out[4096];
    size_t len = 0;
    for (unsigned i = 0; i < pings; i++)
        len += frame(out + len, PING, 0, 0, nothing, sizeof(nothing));
    for (unsigned i = 0; i < settings; i++)
        len += frame(out + len, SETTINGS, 0, 0, NULL, 0);
    say(f, out, len);
}

static void test_acknowledgements_are_not_queued_without_end(void **state)
{
    (void)state;
    static struct fixture f; /* some 64 KiB */
    set_up(&f);
    forget(&f);
    ask_for_acks(&f, 90, 30);
    assert_int_equal(heard(&f, PING, 0), ACK);
    assert_int_equal(heard(&f, GOAWAY, 0), -1);
    assert_int_equal(f.abuses, 0);
    tear_down(&f);

    set_up(&f);
    forget(&f);
    ask_for_acks(&f, 95, NET__H2_ACKS_MAX - 95 + 2);
    assert_int_equal(heard(&f, GOAWAY, 0), NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(f.abuses, 1);
    assert_string_equal(f.abuse, "unread_acks");
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_that_were_reset_count_while_their_handlers_run),
        cmocka_unit_test(test_acknowledgements_are_not_queued_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
