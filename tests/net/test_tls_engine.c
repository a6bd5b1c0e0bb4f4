/*
 * The engine without sockets: a server and a client whose bytes are carried by hand, whole, in
 * single bytes, cut and damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "certificates.h"
#include "net/tls_engine.h"

#define WIRE_BYTES ((size_t)256 * 1024)

/* One direction of the wire. */
struct way {
    char bytes[WIRE_BYTES];
    struct net__tls_sink sink;
    size_t at; /* carried so far */
};

struct pair {
    struct made ca, leaf;
    SSL_CTX *server_ctx, *client_ctx;
    struct net__tls_engine server, client;
    struct way up, down; /* of the client, of the server */
    char ca_file[64];
};

static int alpn_http(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void way_clear(struct way *w)
{
    w->sink = (struct net__tls_sink){ .data = w->bytes, .cap = WIRE_BYTES };
    w->at = 0;
}

static struct pair *pair_new(void)
{
    struct pair *p = calloc(1, sizeof(*p));
    p->ca = make_certificate("Test CA", NULL, "ec", 30, NULL);
    p->leaf = make_certificate("a.example", "DNS:a.example,DNS:*.b.example,IP:127.0.0.1", "ec", 30,
                               &p->ca);
    memcpy(p->ca_file, "/tmp/purlin-test-ca-XXXXXX", 27);
    int fd = mkstemp(p->ca_file);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    write_certificate(p->ca_file, &p->ca, NULL);
    p->server_ctx = SSL_CTX_new(TLS_server_method());
    assert_true(net__tls_ctx_defaults(p->server_ctx));
    assert_int_equal(SSL_CTX_use_certificate(p->server_ctx, p->leaf.cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(p->server_ctx, p->leaf.key), 1);
    SSL_CTX_set_alpn_select_cb(p->server_ctx, alpn_http, NULL);
    const char *reason = NULL;
    assert_int_equal(net__tls_client_ctx_new(
                         &(struct net__tls_client_options){ .ca_file = p->ca_file, .h2 = true },
                         &p->client_ctx, &reason),
                     STATUS_OK);
    way_clear(&p->up);
    way_clear(&p->down);
    return p;
}

static void pair_begin(struct pair *p, const char *host)
{
    assert_int_equal(net__tls_init_server(&p->server, p->server_ctx), STATUS_OK);
    assert_int_equal(net__tls_init_client(&p->client, p->client_ctx, slice_cstr(host)), STATUS_OK);
}

static void pair_free(struct pair *p)
{
    net__tls_fini(&p->server);
    net__tls_fini(&p->client);
    SSL_CTX_free(p->server_ctx);
    SSL_CTX_free(p->client_ctx);
    made_free(&p->ca);
    made_free(&p->leaf);
    (void)unlink(p->ca_file);
    free(p);
}

/* What stands on the wire and was not carried yet, at most `step` bytes of it. */
static struct slice carry(struct way *w, size_t step)
{
    struct slice s = slice_of(w->bytes + w->at, MIN(step, w->sink.len - w->at));
    w->at += s.len;
    return s;
}

static enum net__tls_result shake(struct net__tls_engine *e, struct way *in, struct way *out,
                                  size_t step)
{
    struct slice cipher = carry(in, step);
    enum net__tls_result result = net__tls_handshake(e, &cipher, &out->sink);
    in->at -= cipher.len; /* not taken: it belongs to net__tls_open */
    return result;
}

/* Carry bytes both ways until both have shaken hands, or one gave up. */
static bool shake_hands(struct pair *p, size_t step)
{
    enum net__tls_result client = NET__TLS_MORE, server = NET__TLS_MORE;
    for (unsigned i = 0; i < 100000; i++) {
        if (client == NET__TLS_MORE)
            client = shake(&p->client, &p->down, &p->up, step);
        if (server == NET__TLS_MORE)
            server = shake(&p->server, &p->up, &p->down, step);
        if (client == NET__TLS_FAILED || server == NET__TLS_FAILED)
            return false;
        if (client == NET__TLS_DONE && server == NET__TLS_DONE)
            return true;
    }
    fail_msg("the handshake does not end");
    return false;
}

/* Seal all of it, in as many calls as it takes. */
static void say(struct net__tls_engine *e, struct way *w, struct slice text)
{
    enum net__tls_result result = NET__TLS_FULL;
    while (result == NET__TLS_FULL)
        result = net__tls_seal(e, &text, &w->sink);
    assert_int_equal(result, NET__TLS_DONE);
}

/* Open what is on the wire in steps, into pieces of `cap` bytes. */
static size_t hear(struct net__tls_engine *e, struct way *in, struct way *out, char *plain,
                   size_t plain_max, size_t cap, size_t step, enum net__tls_result *ret_result)
{
    size_t len = 0;
    do {
        struct slice cipher = carry(in, step);
        do {
            size_t n;
            *ret_result =
                net__tls_open(e, &cipher, plain + len, MIN(cap, plain_max - len), &n, &out->sink);
            len += n;
        } while (*ret_result == NET__TLS_FULL);
    } while (*ret_result == NET__TLS_MORE && in->at < in->sink.len);
    return len;
}

static void test_tls_engine_shakes_hands(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        size_t step;
        bool works;
    } cases[] = {
        { "a.example", WIRE_BYTES, true },  { "a.example", 1, true },
        { "x.b.example", 7, true },         { "127.0.0.1", WIRE_BYTES, true },
        { "b.example", WIRE_BYTES, false }, { "x.y.b.example", WIRE_BYTES, false },
        { "127.0.0.2", WIRE_BYTES, false }, { "a.example.org", WIRE_BYTES, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pair *p = pair_new();
        pair_begin(p, cases[i].host);
        assert_int_equal(shake_hands(p, cases[i].step), cases[i].works);
        if (cases[i].works) {
            struct slice alpn = net__tls_alpn(&p->server);
            assert_true(slice_eq(alpn, SLICE("http/1.1")));
            assert_true(slice_eq(net__tls_alpn(&p->client), SLICE("http/1.1")));
            bool is_name = cases[i].host[0] != '1';
            assert_true(slice_eq(net__tls_sni(&p->server),
                                 is_name ? slice_cstr(cases[i].host) : SLICE_NULL));
        } else {
            assert_non_null(p->client.failure);
            assert_false(p->client.is_open);
        }
        pair_free(p);
    }
}

static void test_tls_engine_carries_bytes(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 100, 16384, 16385, 100000 };
    static const size_t steps[] = { 1, 5, 1000, 65536 };
    static const size_t caps[] = { 1, 4096, 65536 };
    struct pair *p = pair_new();
    pair_begin(p, "a.example");
    assert_true(shake_hands(p, WIRE_BYTES));
    char *text = malloc(100000), *heard = malloc(100000);
    for (size_t i = 0; i < 100000; i++)
        text[i] = (char)(i * 31 + i / 251);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (size_t j = 0; j < ARRAY_LEN(steps) * ARRAY_LEN(caps); j++) {
            size_t step = steps[j % ARRAY_LEN(steps)], cap = caps[j / ARRAY_LEN(steps)];
            enum net__tls_result result;
            way_clear(&p->up);
            say(&p->client, &p->up, slice_of(text, sizes[i]));
            size_t n = hear(&p->server, &p->up, &p->down, heard, 100000, cap, step, &result);
            assert_int_equal(n, sizes[i]);
            assert_memory_equal(heard, text, n);
            assert_int_equal(result, NET__TLS_MORE);
            assert_false(net__tls_has_pending(&p->server));
        }
    }
    free(text);
    free(heard);
    pair_free(p);
}

static void test_tls_engine_stops_at_full_buffers(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    pair_begin(p, "a.example");
    assert_true(shake_hands(p, WIRE_BYTES));
    char text[20000], small[200], plain[100];
    memset(text, 'x', sizeof(text));
    /* A sink with room for nothing, for some of it, for all of it. */
    struct slice rest = slice_of(text, sizeof(text));
    struct net__tls_sink sink = { .data = small, .cap = sizeof(small) };
    assert_int_equal(net__tls_seal(&p->client, &rest, &sink), NET__TLS_FULL);
    assert_int_equal(rest.len, sizeof(text));
    assert_int_equal(sink.len, 0);
    way_clear(&p->up);
    p->up.sink.cap = 1320;
    assert_int_equal(net__tls_seal(&p->client, &rest, &p->up.sink), NET__TLS_FULL);
    assert_int_equal(rest.len, sizeof(text) - 1000);
    assert_true(p->up.sink.len <= 1320);
    p->up.sink.cap = WIRE_BYTES;
    assert_int_equal(net__tls_seal(&p->client, &rest, &p->up.sink), NET__TLS_DONE);
    /* A small place for plaintext: what waits is kept and told. */
    struct slice cipher = carry(&p->up, WIRE_BYTES);
    size_t n, heard = 0;
    assert_int_equal(net__tls_open(&p->server, &cipher, plain, sizeof(plain), &n, &p->down.sink),
                     NET__TLS_FULL);
    assert_int_equal(n, sizeof(plain));
    assert_true(net__tls_has_pending(&p->server));
    enum net__tls_result result = NET__TLS_FULL;
    for (heard = n; result == NET__TLS_FULL; heard += n)
        result = net__tls_open(&p->server, &cipher, plain, sizeof(plain), &n, &p->down.sink);
    assert_int_equal(result, NET__TLS_MORE);
    assert_int_equal(heard, sizeof(text));
    pair_free(p);
}

static void test_tls_engine_handshake_waits_for_room(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    pair_begin(p, "a.example");
    assert_int_equal(shake(&p->client, &p->down, &p->up, WIRE_BYTES), NET__TLS_MORE);
    struct slice hello = carry(&p->up, WIRE_BYTES);
    /* The server's flight through a sink of 50 bytes. */
    char small[50];
    enum net__tls_result result = NET__TLS_FULL;
    while (result == NET__TLS_FULL) {
        struct net__tls_sink sink = { .data = small, .cap = sizeof(small) };
        result = net__tls_handshake(&p->server, &hello, &sink);
        memcpy(p->down.bytes + p->down.sink.len, small, sink.len);
        p->down.sink.len += sink.len;
    }
    assert_int_equal(result, NET__TLS_MORE);
    assert_true(shake_hands(p, WIRE_BYTES));
    pair_free(p);
}

static void test_tls_engine_says_goodbye(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    char heard[64];
    enum net__tls_result result;
    pair_begin(p, "a.example");
    net__tls_close_notify(&p->client, &p->up.sink); /* too early: nothing is said */
    assert_int_equal(p->up.sink.len, 0);
    assert_true(shake_hands(p, WIRE_BYTES));
    say(&p->client, &p->up, SLICE("last words"));
    net__tls_close_notify(&p->client, &p->up.sink);
    size_t len = p->up.sink.len;
    net__tls_close_notify(&p->client, &p->up.sink);
    assert_int_equal(p->up.sink.len, len);
    size_t n = hear(&p->server, &p->up, &p->down, heard, sizeof(heard), 64, WIRE_BYTES, &result);
    assert_int_equal(n, 10);
    assert_int_equal(result, NET__TLS_CLOSED);
    struct slice none = SLICE_NULL, more = SLICE("more");
    assert_int_equal(net__tls_open(&p->server, &none, heard, 64, &n, &p->down.sink),
                     NET__TLS_CLOSED);
    assert_int_equal(net__tls_seal(&p->client, &more, &p->up.sink), NET__TLS_FAILED);
    /* The other way stays open: a half-closed connection. */
    say(&p->server, &p->down, SLICE("so long"));
    n = hear(&p->client, &p->down, &p->up, heard, sizeof(heard), 64, WIRE_BYTES, &result);
    assert_int_equal(n, 7);
    pair_free(p);
}

static void test_tls_engine_refuses_what_is_no_tls(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "\x16\x03\x01\xff\xff",                     /* a record that is too long */
        "\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff", /* a hello that is too long */
        "\x17\x03\x03\x00\x05hello",                /* data before the handshake */
        "\x15\x03\x03\x00\x02\x02\x28",             /* an alert */
        "\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10\x01\x00\x80\x03\x00\x80\x07\x00\xc0", /* SSL 2
                                                                                             */
    };
    static const size_t lens[] = { 37, 5, 10, 10, 7, 20 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pair *p = pair_new();
        pair_begin(p, "a.example");
        enum net__tls_result result = NET__TLS_MORE;
        struct slice cipher = slice_of(cases[i], lens[i]);
        for (unsigned j = 0; j < 3 && result == NET__TLS_MORE; j++)
            result = net__tls_handshake(&p->server, &cipher, &p->down.sink);
        if (i != 5)
            assert_int_equal(result, NET__TLS_FAILED);
        if (result == NET__TLS_FAILED) {
            assert_non_null(p->server.failure);
            assert_int_equal(net__tls_handshake(&p->server, &cipher, &p->down.sink),
                             NET__TLS_FAILED);
        }
        pair_free(p);
    }
}

static void test_tls_engine_notices_damage(void **state)
{
    (void)state;
    char heard[256];
    enum net__tls_result result;
    /* Each byte of a record damaged in turn: refused, and nothing of it comes out. */
    for (size_t at = 0; at < 40; at += 3) {
        struct pair *p = pair_new();
        pair_begin(p, "a.example");
        assert_true(shake_hands(p, WIRE_BYTES));
        way_clear(&p->up);
        say(&p->client, &p->up, SLICE("an honest message"));
        if (at < p->up.sink.len)
            p->up.bytes[at] ^= 0x40;
        size_t n = hear(&p->server, &p->up, &p->down, heard, 256, 256, WIRE_BYTES, &result);
        assert_true(at >= p->up.sink.len || n == 0);
        if (result == NET__TLS_FAILED) {
            struct slice text = SLICE("x"), none = SLICE_NULL;
            assert_non_null(p->server.failure);
            assert_int_equal(net__tls_seal(&p->server, &text, &p->down.sink), NET__TLS_FAILED);
            assert_int_equal(net__tls_open(&p->server, &none, heard, 1, &n, &p->down.sink),
                             NET__TLS_FAILED);
        }
        pair_free(p);
    }
    /* Cut short: more is waited for, nothing comes out. */
    struct pair *p = pair_new();
    pair_begin(p, "a.example");
    assert_true(shake_hands(p, WIRE_BYTES));
    way_clear(&p->up);
    say(&p->client, &p->up, SLICE("cut"));
    p->up.sink.len--;
    assert_int_equal(hear(&p->server, &p->up, &p->down, heard, 256, 256, WIRE_BYTES, &result), 0);
    assert_int_equal(result, NET__TLS_MORE);
    pair_free(p);
}

static void test_tls_engine_clients_verify(void **state)
{
    (void)state;
    /* An authority that the client does not know. */
    struct pair *p = pair_new(), *other = pair_new();
    assert_int_equal(net__tls_init_server(&p->server, other->server_ctx), STATUS_OK);
    assert_int_equal(net__tls_init_client(&p->client, p->client_ctx, SLICE("a.example")),
                     STATUS_OK);
    assert_false(shake_hands(p, WIRE_BYTES));
    assert_non_null(p->client.failure);
    pair_free(p);
    pair_free(other);
    /* Hosts that are none, files that hold nothing. */
    p = pair_new();
    char long_name[300];
    memset(long_name, 'a', sizeof(long_name));
    struct net__tls_engine e = { 0 };
    assert_int_equal(net__tls_init_client(&e, p->client_ctx, SLICE_NULL), STATUS_INVALID);
    assert_int_equal(net__tls_init_client(&e, p->client_ctx, slice_of(long_name, 300)),
                     STATUS_INVALID);
    assert_int_equal(net__tls_init_client(&e, p->client_ctx, SLICE("a\0b")), STATUS_INVALID);
    const char *reason = NULL;
    SSL_CTX *ctx = NULL;
    assert_int_equal(
        net__tls_client_ctx_new(&(struct net__tls_client_options){ .ca_file = "/dev/null" }, &ctx,
                                &reason),
        STATUS_INVALID);
    assert_non_null(reason);
    assert_int_equal(net__tls_client_ctx_new(&(struct net__tls_client_options){ 0 }, &ctx, &reason),
                     STATUS_OK);
    SSL_CTX_free(ctx);
    pair_free(p);
}

static void test_tls_engine_is_small_when_idle(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    char heard[64];
    enum net__tls_result result;
    pair_begin(p, "a.example");
    assert_true(shake_hands(p, WIRE_BYTES));
    say(&p->client, &p->up, SLICE("hello"));
    assert_int_equal(hear(&p->server, &p->up, &p->down, heard, 64, 64, WIRE_BYTES, &result), 5);
    say(&p->server, &p->down, SLICE("hello"));
    assert_false(net__tls_has_pending(&p->server));
    assert_int_equal(SSL_has_pending(p->server.ssl), 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_engine_shakes_hands),
        cmocka_unit_test(test_tls_engine_carries_bytes),
        cmocka_unit_test(test_tls_engine_stops_at_full_buffers),
        cmocka_unit_test(test_tls_engine_handshake_waits_for_room),
        cmocka_unit_test(test_tls_engine_says_goodbye),
        cmocka_unit_test(test_tls_engine_refuses_what_is_no_tls),
        cmocka_unit_test(test_tls_engine_notices_damage),
        cmocka_unit_test(test_tls_engine_clients_verify),
        cmocka_unit_test(test_tls_engine_is_small_when_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
