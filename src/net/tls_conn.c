/*
 * net/tls_conn.c - TLS between a connection's socket and its codec.
 *
 * Reads of all connections go to one buffer of the server and are opened straight into the place
 * where a connection in clear would have had them read; answers are gathered as they are in clear
 * and sealed in one go on their way out (net/write.c). So an idle connection owns what OpenSSL
 * remembers of its session and nothing else.
 *
 * A handshake costs a thousand times what a request does. Two bounds keep a flood of them from the
 * requests of others: in one turn of the loop only so many handshakes go on, the others wait in
 * line, unread; and of more than handshakes_max the oldest is closed, which is never one that
 * answers as fast as an honest client does.
 */
#include "net/h2.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "net/tls.h"

#define TURN_MAX 8u /* handshakes that go on in one turn of the loop: a few milliseconds */
#define FREE_MAX 256u
/* What a client may say before it has shaken hands: a hello with large keys; its certificates. */
#define HELLO_BYTES_MAX ((uint64_t)32 * 1024)
#define CERTIFICATES_BYTES_MAX ((uint64_t)128 * 1024)

/* -- the server
 * --------------------------------------------------------------------------------------- */

static void on_turn(struct loop_post *post);

bool net__secure_server_init(struct net_server *s)
{
    struct net__secure_server *t = calloc(1, sizeof(*t));
    if (!t)
        return false;
    s->secure = t;
    t->server = s;
    t->turn.fn = on_turn;
    t->cipher_in = malloc(s->read_bytes);
    t->cipher_out = malloc(NET__SEALED_BYTES);
    return t->cipher_in && t->cipher_out;
}

void net__secure_server_fini(struct net_server *s)
{
    struct net__secure_server *t = s->secure;
    if (!t)
        return;
    for (struct net__secure *z = t->free, *next; z; z = next) {
        next = z->waits_next;
        free(z);
    }
    free(t->cipher_in);
    free(t->cipher_out);
    free(t);
    s->secure = NULL;
}

/* -- handshakes under way
 * ----------------------------------------------------------------------------- */

static void list_add(struct net__secure_server *t, struct net__secure *z)
{
    z->is_listed = true;
    z->older = t->newest;
    if (t->newest)
        t->newest->newer = z;
    else
        t->oldest = z;
    t->newest = z;
    t->handshakes_len++;
}

static void list_remove(struct net__secure_server *t, struct net__secure *z)
{
    if (!z->is_listed)
        return;
    z->is_listed = false;
    if (z->older)
        z->older->newer = z->newer;
    else
        t->oldest = z->newer;
    if (z->newer)
        z->newer->older = z->older;
    else
        t->newest = z->older;
    z->older = z->newer = NULL;
    t->handshakes_len--;
}

static void line_remove(struct net__secure_server *t, struct net__secure *z)
{
    if (!z->waits)
        return;
    struct net__secure **at = &t->waits_first, *before = NULL;
    while (*at != z) {
        before = *at;
        at = &(*at)->waits_next;
    }
    *at = z->waits_next;
    if (t->waits_last == z)
        t->waits_last = before;
    z->waits = false;
    z->waits_next = NULL;
}

static void post_turn(struct net_server *s)
{
    struct net__secure_server *t = s->secure;
    if (t->turn_is_posted)
        return;
    t->turn_is_posted = true;
    s->handles_len++; /* the server must not go while the loop holds its post */
    loop_post(s->loop, &t->turn);
}

static void on_turn(struct loop_post *post)
{
    struct net__secure_server *t = CONTAINER_OF(post, struct net__secure_server, turn);
    struct net_server *s = t->server;
    t->turn_is_posted = false;
    for (unsigned i = 0; i < TURN_MAX && t->waits_first; i++) {
        struct net__secure *z = t->waits_first;
        line_remove(t, z);
        z->has_turn = true;
        net__conn_read_resume(z->conn);
    }
    if (t->waits_first)
        post_turn(s);
    net__server_forget(s);
}

/* May this handshake go on in this turn of the loop? Else it waits in line. */
static bool take_turn(struct net_conn *c)
{
    struct net_server *s = c->server;
    struct net__secure_server *t = s->secure;
    struct net__secure *z = c->secure;
    int64_t now_us = loop_now_us(s->loop);
    if (t->turn_us != now_us) {
        t->turn_us = now_us;
        t->turn_used = 0;
    }
    if (z->has_turn || (!t->waits_first && t->turn_used < TURN_MAX)) {
        z->has_turn = false;
        t->turn_used++;
        return true;
    }
    if (!z->waits) {
        z->waits = true;
        if (t->waits_last)
            t->waits_last->waits_next = z;
        else
            t->waits_first = z;
        t->waits_last = z;
    }
    post_turn(s);
    return false;
}

/* The handshake is over, in one way or another. */
static void end_handshake(struct net_conn *c, enum net__tls_outcome outcome)
{
    struct net_server *s = c->server;
    struct net__secure *z = c->secure;
    list_remove(s->secure, z);
    line_remove(s->secure, z);
    if (z->is_done)
        return;
    z->is_done = true;
    net__tls_count(s->options.tls, outcome, z->engine.ssl ? SSL_version(z->engine.ssl) : 0);
}

/* -- life
 * --------------------------------------------------------------------------------------------- */

bool net__secure_open(struct net_conn *c)
{
    struct net_server *s = c->server;
    struct net__secure_server *t = s->secure;
    struct net__secure *z = t->free;
    if (z) {
        t->free = z->waits_next;
        t->free_len--;
    } else {
        z = malloc(sizeof(*z));
        if (!z)
            return false;
    }
    memset(z, 0, sizeof(*z));
    z->conn = c;
    c->secure = z;
    c->state = NET__HANDSHAKE;
    list_add(t, z);
    if (t->handshakes_len > s->limits.handshakes_max) {
        struct net_conn *oldest = t->oldest->conn;
        end_handshake(oldest, NET__TLS_OUTCOME_SHED);
        net__conn_close(oldest);
    }
    return true;
}

void net__secure_end(struct net_conn *c)
{
    if (c->secure)
        end_handshake(c, NET__TLS_OUTCOME_GONE);
}

void net__secure_free(struct net_conn *c)
{
    struct net__secure *z = c->secure;
    if (!z)
        return;
    struct net__secure_server *t = c->server->secure;
    net__secure_end(c);
    c->secure = NULL;
    net__tls_fini(&z->engine);
    net__tls_set_unref(z->set);
    if (z->raw)
        net__block_give(c->server, z->raw);
    if (t->free_len >= FREE_MAX) {
        free(z);
        return;
    }
    z->waits_next = t->free;
    t->free = z;
    t->free_len++;
}

/* -- reading
 * --------------------------------------------------------------------------------------------- */

struct net__tls_sink net__secure_sink(struct net_server *s)
{
    return (struct net__tls_sink){ .data = s->secure->cipher_out, .cap = NET__SEALED_BYTES };
}

size_t net__secure_may_read(struct net_conn *c)
{
    if (c->state == NET__HANDSHAKE)
        return take_turn(c) ? c->server->read_bytes : 0;
    /* What OpenSSL says by itself while it reads would be sealed before the rest of a body that is
     * sealed as it leaves, and would leave after it. */
    if (c->x && c->x->body_in_queue)
        return 0;
    return c->in ? MIN(c->server->read_bytes, MAX(net__conn_room(c), 1024u))
                 : c->server->read_bytes;
}

static enum net__tls_result handshake(struct net_conn *c, struct slice *cipher)
{
    struct net__secure *z = c->secure;
    enum net__tls_result result = NET__TLS_FULL;
    while (result == NET__TLS_FULL && c->state == NET__HANDSHAKE) {
        struct net__tls_sink sink = net__secure_sink(c->server);
        result = net__tls_handshake(&z->engine, cipher, &sink);
        if (sink.len > 0)
            net__write_raw(c, sink.data, sink.len);
    }
    return result;
}

/* The first byte decides: a record of TLS, or by mistake a request in clear (methods are upper
 * case), which gets an answer that its sender can read. */
static bool begin(struct net_conn *c, struct slice cipher)
{
    struct net__secure *z = c->secure;
    if (cipher.data[0] >= 'A' && cipher.data[0] <= 'Z') {
        end_handshake(c, NET__TLS_OUTCOME_CLEAR);
        net__secure_free(c);
        net__conn_refuse(c, &net__in_clear);
        return false;
    }
    z->set = net__tls_set_get(c->server->options.tls);
    if (net__tls_init_server(&z->engine, z->set->contexts[0]) == STATUS_OK)
        return true;
    end_handshake(c, NET__TLS_OUTCOME_SHED);
    net__conn_close(c);
    return false;
}

static bool says_too_much(struct net__secure *z, size_t len)
{
    z->handshake_bytes += len;
    return z->handshake_bytes > (z->set->options.client_auth == NET_TLS_CLIENT_OFF
                                     ? HELLO_BYTES_MAX
                                     : CERTIFICATES_BYTES_MAX);
}

/* True when hands are shaken and what is left of *cipher is data. */
static bool shake_hands(struct net_conn *c, struct slice *cipher)
{
    struct net__secure *z = c->secure;
    if (!z->set && !begin(c, *cipher))
        return false;
    size_t len = cipher->len;
    enum net__tls_result result = handshake(c, cipher);
    if (c->state != NET__HANDSHAKE)
        return false;
    if (result == NET__TLS_MORE && !says_too_much(z, len))
        return false;
    if (result != NET__TLS_DONE) {
        end_handshake(c, NET__TLS_OUTCOME_FAILED);
        net__conn_finish(c); /* an alert may be on its way */
        return false;
    }
    bool is_resumed = SSL_session_reused(z->engine.ssl) == 1;
    end_handshake(c, is_resumed ? NET__TLS_OUTCOME_RESUMED : NET__TLS_OUTCOME_FULL);
    c->state = NET__HEAD;
    c->since_us = loop_now_us(c->server->loop);
    return !slice_eq(net__tls_alpn(&z->engine), SLICE("h2")) || net__h2_open(c);
}

/* Ciphertext that has to wait until there is room for what is in it. */
static void keep_raw(struct net_conn *c, struct slice cipher)
{
    struct net__secure *z = c->secure;
    net__conn_read_stop(c);
    if (z->raw) { /* it lies there already */
        z->raw->start = z->raw->end - (uint32_t)cipher.len;
        return;
    }
    if (cipher.len == 0)
        return;
    z->raw = net__block_take(c->server);
    assert(cipher.len <= z->raw->cap);
    memcpy(z->raw->data, cipher.data, cipher.len);
    z->raw->end = (uint32_t)cipher.len;
}

static void drop_raw(struct net_conn *c)
{
    struct net__secure *z = c->secure;
    if (z->raw)
        net__block_give(c->server, z->raw);
    z->raw = NULL;
}

static bool may_open(const struct net_conn *c)
{
    bool reads = c->state == NET__HEAD || c->state == NET__BUSY || c->state == NET__DRAIN ||
                 c->state == NET__H2;
    return reads && !(c->x && c->x->body_in_queue);
}

static void open_all(struct net_conn *c, struct slice cipher)
{
    struct net__secure *z = c->secure;
    enum net__tls_result result = NET__TLS_FULL;
    while (result == NET__TLS_FULL && may_open(c)) {
        uint32_t cap;
        size_t n;
        char *place = net__conn_place(c, &cap);
        if (cap == 0)
            break;
        struct net__tls_sink sink = net__secure_sink(c->server);
        result = net__tls_open(&z->engine, &cipher, place, cap, &n, &sink);
        if (sink.len > 0)
            net__write_raw(c, sink.data, sink.len);
        if (c->state != NET__CLOSED)
            net__conn_take(c, place, n);
    }
    if (c->state == NET__CLOSED)
        return;
    if (result == NET__TLS_FULL && c->state != NET__LINGER) {
        keep_raw(c, cipher);
        return;
    }
    drop_raw(c);
    if (result == NET__TLS_CLOSED)
        net__conn_end(c, true);
    else if (result == NET__TLS_FAILED)
        net__conn_close(c);
}

void net__secure_input(struct net_conn *c, struct slice cipher)
{
    if (c->state == NET__HANDSHAKE && !shake_hands(c, &cipher))
        return;
    open_all(c, cipher);
}

bool net__secure_has_more(const struct net_conn *c)
{
    const struct net__secure *z = c->secure;
    return may_open(c) && (z->raw || net__tls_has_pending(&z->engine));
}

void net__secure_more(struct net_conn *c)
{
    struct net__secure *z = c->secure;
    struct slice cipher = SLICE_NULL;
    if (z->raw)
        cipher = slice_of(z->raw->data + z->raw->start, z->raw->end - z->raw->start);
    open_all(c, cipher);
}

void net__secure_goodbye(struct net_conn *c)
{
    struct net__tls_sink sink = net__secure_sink(c->server);
    net__tls_close_notify(&c->secure->engine, &sink);
    if (sink.len > 0)
        net__write_raw(c, sink.data, sink.len);
}

void net__secure_sweep(struct net_conn *c, int64_t now_us)
{
    int64_t waited_us = now_us - c->since_us;
    bool is_silent = !c->secure->set;
    if (waited_us <= c->server->limits.handshake_timeout_us &&
        !(c->server->draining && is_silent && waited_us > CLOCK_SECOND))
        return;
    end_handshake(c, NET__TLS_OUTCOME_TIMEOUT);
    net__conn_close(c);
}

/* -- facts
 * -------------------------------------------------------------------------------------------- */

bool net_is_secure(const struct net_exchange *x)
{
    return x->conn->secure != NULL;
}
