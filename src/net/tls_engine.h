/*
 * net/tls_engine.h - One TLS session on OpenSSL, without sockets: ciphertext in from a slice,
 * plaintext out into a buffer of the caller, and the other way round. Used by the server's
 * connections (net/tls_conn.c) and by the client. Private to the room.
 *
 * Data passes: bytes of the peer -> net__tls_open -> plaintext; plaintext -> net__tls_seal -> bytes
 * for the peer. What OpenSSL wants to say by itself (handshake, alerts, new keys) goes to the sink
 * that every call is given. The engine copies nothing and keeps nothing between calls but what
 * OpenSSL does: the unfinished record, or the flight of a handshake, in buffers that it releases
 * when they are empty.
 *
 * Never suspends; one thread at a time.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "base/status.h"

/* The most that a record grows by being sealed, for any cipher of TLS 1.2 and 1.3. */
#define NET__TLS_RECORD_BYTES ((size_t)16384)
#define NET__TLS_OVERHEAD ((size_t)320)

enum net__tls_result {
    NET__TLS_DONE,   /* handshake: complete; seal: all of it */
    NET__TLS_MORE,   /* every byte was taken and more are needed */
    NET__TLS_FULL,   /* the sink or the caller's buffer is: empty it and call again */
    NET__TLS_CLOSED, /* the peer said that it sends no more (close_notify) */
    NET__TLS_FAILED  /* broken for good; an alert may stand in the sink */
};

/* Where ciphertext is appended. */
struct net__tls_sink {
    char *data;
    size_t len, cap;
};

struct net__tls_engine {
    SSL *ssl;
    /* During a call: what OpenSSL may read, and where it writes. */
    struct slice in;
    struct net__tls_sink *out;
    const char *failure; /* of a FAILED: constant text, for logs; never NULL then */
    bool is_open;        /* the handshake is complete */
    bool is_closed;      /* close_notify came */
    bool said_close;
};

/*
 * Begin a session of `ctx` in zeroed or finished storage, as a server or (net__tls_init_client) as
 * a client of `host`, whose name or address the peer's certificate must bear; it is sent as SNI
 * unless it is an address.
 *
 * Errors   EXHAUSTED; INVALID: `host` is longer than a name may be.
 * Memory   about 10 KiB of OpenSSL's, until net__tls_fini; the engine must not move until then.
 */
enum status net__tls_init_server(struct net__tls_engine *e, SSL_CTX *ctx);
enum status net__tls_init_client(struct net__tls_engine *e, SSL_CTX *ctx, struct slice host);
void net__tls_fini(struct net__tls_engine *e); /* storage that is zeroed or finished is fine */

/*
 * Go on with the handshake. Takes what it needs off *cipher; what is left belongs to
 * net__tls_open. A client calls it first with nothing.
 */
enum net__tls_result net__tls_handshake(struct net__tls_engine *e, struct slice *cipher,
                                        struct net__tls_sink *out);
/*
 * Take ciphertext off *cipher and write its plaintext to plain[0..cap): MORE, when all of it was
 * taken; FULL, when more plaintext may be waiting (call again, with an empty *cipher too); CLOSED;
 * FAILED. *ret_len is set in any case: plaintext before a failure is good. `cap` > 0.
 */
enum net__tls_result net__tls_open(struct net__tls_engine *e, struct slice *cipher, char *plain,
                                   size_t cap, size_t *ret_len, struct net__tls_sink *out);
/* Is plaintext waiting that net__tls_open had no room for? */
bool net__tls_has_pending(const struct net__tls_engine *e);
/*
 * Seal plaintext off *plain as far as the sink certainly has room: DONE when all of it was taken,
 * FULL, FAILED. A sink of NET__TLS_RECORD_BYTES + NET__TLS_OVERHEAD takes a whole record.
 */
enum net__tls_result net__tls_seal(struct net__tls_engine *e, struct slice *plain,
                                   struct net__tls_sink *out);
/* Say close_notify, once; nothing before the handshake is complete or after a failure. */
void net__tls_close_notify(struct net__tls_engine *e, struct net__tls_sink *out);

/* What ALPN chose ("h2", "http/1.1"), or SLICE_NULL. Lives as long as the engine. */
struct slice net__tls_alpn(const struct net__tls_engine *e);
/* The name that the client asked for, or SLICE_NULL. */
struct slice net__tls_sni(const struct net__tls_engine *e);

/* -- clients
 * -------------------------------------------------------------------------------------------- */

struct net__tls_client_options {
    const char *ca_file; /* PEM, trusted instead of the system's; NULL: the system's */
    bool no_verify;      /* take any certificate: tests only */
    bool h2;             /* offer h2 before http/1.1 */
};

/*
 * What the sessions of a client have in common: TLS 1.2 at least, the peer's certificate verified.
 * Errors   INVALID: *ret_reason (constant) says what is wrong with the CA file; EXHAUSTED.
 * Memory   SSL_CTX_free releases it; sessions hold their own reference.
 */
enum status net__tls_client_ctx_new(const struct net__tls_client_options *options,
                                    SSL_CTX **ret_ctx, const char **ret_reason);

/* Options, ciphers of TLS 1.2 and 1.3 and curves that both sides begin with. */
bool net__tls_ctx_defaults(SSL_CTX *ctx);
#define NET__TLS_CIPHERS                                                                           \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define NET__TLS_SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define NET__TLS_GROUPS "X25519:P-256:P-384"
