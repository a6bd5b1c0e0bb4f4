/*
 * net/tls.h - What TLS servers are made of: certificates read from files, sets of them that are
 * replaced as a whole, keys of session tickets, and the secure side of a connection. Private to the
 * room.
 *
 * A set (net/tls_set.c) never changes. struct net_tls points at the one in force; a connection
 * takes a reference when its handshake begins and so keeps its set until it closes, whatever is
 * loaded meanwhile. The ticket keys belong to struct net_tls: a reload ends no session.
 */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/metric.h"
#include "fiber/loop.h"
#include "net/net.h"
#include "net/tls_engine.h"

#define NET__TLS_FILES_MAX (3 * NET_TLS_CERTIFICATES_MAX + 1)
#define NET__TLS_FILE_BYTES_MAX ((size_t)1 << 20)

/* -- tls_cert.c -- */

/* A certificate with its key, chain and staple, as its files say. */
struct net__tls_cert {
    X509 *x509;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    struct slice *names; /* lower case, from subjectAltName; in the arena */
    unsigned names_len;
    unsigned char *staple; /* DER, in the arena */
    size_t staple_len;
    int64_t staple_until_us; /* wall clock */
    const char *staple_state;
    int64_t begins_us, expires_us; /* wall clock */
};
enum status net__tls_cert_load(const struct net_tls_certificate *files, struct arena *arena,
                               struct net__tls_cert *ret, struct net_tls_error *ret_error);
void net__tls_cert_fini(struct net__tls_cert *cert);
/* "FILE: WHY". Returns INVALID. */
enum status net__tls_refuse(struct net_tls_error *error, struct slice file, const char *why);

/* -- tls_set.c -- */

/* What is compared to see that a file was replaced. */
struct net__tls_stamp {
    int64_t changed_ns, size;
    uint64_t inode;
};

struct net__tls_name {
    struct slice name; /* "a.example", "*.b.example" */
    unsigned context;
};

struct net__tls_set {
    unsigned refs; /* atomic */
    struct arena *arena;
    struct net_tls_options options; /* our own copy */
    struct net__tls_cert *certs;    /* one for each of the options */
    SSL_CTX **contexts; /* certificates of the same names and other kinds of keys share one */
    unsigned contexts_len;
    struct net__tls_name *names; /* sorted */
    unsigned names_len;
    size_t stamps_len;
    struct net__tls_stamp stamps[NET__TLS_FILES_MAX];
};

struct net__tls_tickets;
enum status net__tls_set_new(const struct net_tls_options *options,
                             struct net__tls_tickets *tickets, struct net__tls_set **ret_set,
                             struct net_tls_error *ret_error);
void net__tls_set_unref(struct net__tls_set *set);
/* Of the options all but the certificates. INVALID. */
enum status net__tls_settings_check(const struct net_tls_options *options,
                                    struct net_tls_error *ret_error);
/* What the files of the options look like now, into NET__TLS_FILES_MAX places; how many it took. */
size_t net__tls_stamps_take(struct arena *arena, const struct net_tls_options *options,
                            struct net__tls_stamp *stamps);
/* The context for a name (in lower case); the first one when there is none of its own. */
SSL_CTX *net__tls_set_find(const struct net__tls_set *set, struct slice name, bool *ret_known);

/* -- tls_ticket.c -- */
struct net__tls_tickets *net__tls_tickets_new(int64_t period_us);
void net__tls_tickets_free(struct net__tls_tickets *tickets);
void net__tls_tickets_use(struct net__tls_tickets *tickets, SSL_CTX *ctx);
/* The next key comes now, as if its time had. */
void net__tls_tickets_rotate(struct net__tls_tickets *tickets);

/* -- tls.c -- */

enum net__tls_outcome {
    NET__TLS_OUTCOME_FULL,
    NET__TLS_OUTCOME_RESUMED,
    NET__TLS_OUTCOME_FAILED,
    NET__TLS_OUTCOME_GONE,
    NET__TLS_OUTCOME_TIMEOUT,
    NET__TLS_OUTCOME_SHED,
    NET__TLS_OUTCOME_CLEAR,
    NET__TLS_OUTCOME_COUNT
};

/* The set in force, referenced. */
struct net__tls_set *net__tls_set_get(struct net_tls *tls);
/* Count a handshake's end; `version` as of SSL_version, 0 when there is none. */
void net__tls_count(struct net_tls *tls, enum net__tls_outcome outcome, int version);
struct net__tls_tickets *net__tls_tickets_of(struct net_tls *tls); /* for tests */

/* -- tls_conn.c: the secure side of a connection -- */

struct net_conn;
struct net__block;

/* One for each connection of a TLS server, until it turns out to speak in clear. */
struct net__secure {
    struct net__tls_engine engine;
    struct net__tls_set *set; /* NULL until the first byte: silence costs us nothing */
    struct net_conn *conn;
    struct net__secure *older, *newer; /* handshakes under way, by age */
    struct net__secure *waits_next;
    struct net__block *raw; /* ciphertext whose plaintext there was no room for */
    uint64_t handshake_bytes;
    bool is_listed; /* among the handshakes under way */
    bool waits;     /* in the queue for a turn of the loop */
    bool has_turn;  /* was promised one */
    bool is_done;   /* counted as a handshake, good or bad */
};

/* What a TLS server has besides. */
struct net__secure_server {
    struct net_server *server;
    char *cipher_in;  /* every read goes here */
    char *cipher_out; /* what is sealed goes out from here */
    struct net__secure *oldest, *newest;
    unsigned handshakes_len;
    struct net__secure *waits_first, *waits_last;
    struct loop_post turn; /* the queue goes on */
    bool turn_is_posted;
    int64_t turn_us; /* the loop's time that turn_used is of */
    unsigned turn_used;
    struct net__secure *free;
    unsigned free_len;
};

/* Everything sealed of a full write buffer. */
#define NET__SEALED_BYTES ((size_t)64 * 1024 + 5 * NET__TLS_OVERHEAD)

bool net__secure_server_init(struct net_server *s);
void net__secure_server_fini(struct net_server *s);
/* A connection of a TLS server begins with a handshake; false: no memory. May close another one. */
bool net__secure_open(struct net_conn *c);
/* It closes: whatever was under way is over. */
void net__secure_end(struct net_conn *c);
void net__secure_free(struct net_conn *c);
/* How much may be read now; 0: nothing, somebody resumes reading later. */
size_t net__secure_may_read(struct net_conn *c);
/* Ciphertext came. */
void net__secure_input(struct net_conn *c, struct slice cipher);
/* Is there more to open, and a place for it? Then do. */
bool net__secure_has_more(const struct net_conn *c);
void net__secure_more(struct net_conn *c);
void net__secure_goodbye(struct net_conn *c);
void net__secure_sweep(struct net_conn *c, int64_t now_us);
/* The place that sealed bytes go to on their way to the kernel; empty. */
struct net__tls_sink net__secure_sink(struct net_server *s);
