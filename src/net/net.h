/*
 * net/net.h - Bytes to messages and back: listeners, connections, and the codecs of HTTP/1.1
 * (llhttp) and HTTP/2 (nghttp2). Knows nothing of routes or problems.
 *
 * Data passes: a connection's bytes -> llhttp -> a net_request in an exchange's arena ->
 * net_server_options.on_request on the loop's own stack, as soon as the head is complete (the body
 * may still be on its way) -> the receiver answers at once with net_send, or spawns a task that
 * reads the body (net_body_read, suspends), then sends whole (net_send) or in pieces (net_stream_*,
 * suspends on back-pressure). HTTP/1.1: one exchange is open on a connection at a time; pipelined
 * requests wait in a bounded buffer. HTTP/2 (nghttp2): an exchange for each stream, the same to
 * whoever receives it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;
struct loop;
struct metrics;
struct net_exchange;
struct net_gate;
struct net_server;
struct net_tls;
struct task;

enum net_method {
    NET_METHOD_GET,
    NET_METHOD_HEAD,
    NET_METHOD_POST,
    NET_METHOD_PUT,
    NET_METHOD_PATCH,
    NET_METHOD_DELETE,
    NET_METHOD_OPTIONS,
    NET_METHOD_OTHER, /* known to HTTP, served by nobody here: TRACE, CONNECT, PROPFIND, ... -> 501
                         or 405 */
    NET_METHOD_COUNT
};
struct slice net_method_text(enum net_method method);

/* Headers that handlers and steps ask for often get a number when parsed. */
enum net_header_id {
    NET_HEADER_OTHER,
    NET_HEADER_HOST,
    NET_HEADER_CONTENT_TYPE,
    NET_HEADER_CONTENT_LENGTH,
    NET_HEADER_CONTENT_ENCODING,
    NET_HEADER_TRANSFER_ENCODING,
    NET_HEADER_CONNECTION,
    NET_HEADER_EXPECT,
    NET_HEADER_ACCEPT,
    NET_HEADER_ACCEPT_ENCODING,
    NET_HEADER_AUTHORIZATION,
    NET_HEADER_COOKIE,
    NET_HEADER_ORIGIN,
    NET_HEADER_REFERER,
    NET_HEADER_USER_AGENT,
    NET_HEADER_IF_MATCH,
    NET_HEADER_IF_NONE_MATCH,
    NET_HEADER_IF_MODIFIED_SINCE,
    NET_HEADER_IF_UNMODIFIED_SINCE,
    NET_HEADER_IF_RANGE,
    NET_HEADER_RANGE,
    NET_HEADER_PREFER,
    NET_HEADER_IDEMPOTENCY_KEY,
    NET_HEADER_X_REQUEST_ID,
    NET_HEADER_TRACEPARENT,
    NET_HEADER_TRACESTATE,
    NET_HEADER_X_API_KEY,
    NET_HEADER_X_FORWARDED_FOR,
    NET_HEADER_X_FORWARDED_PROTO,
    NET_HEADER_X_FORWARDED_HOST,
    NET_HEADER_FORWARDED,
    NET_HEADER_UPGRADE,
    NET_HEADER_ID_COUNT
};

struct net_header {
    struct slice name;  /* lower case */
    struct slice value; /* trimmed; no CR, LF or NUL (the codec refused them) */
    enum net_header_id id;
};

struct net_request {
    enum net_method method;
    struct slice method_text;
    struct slice target; /* as sent */
    struct slice path;   /* normalised once: percent-decoded where unreserved, no dot segments, no
                            "//"; what   cannot be normalised safely (encoded slash, NUL, bad UTF-8,
                            ";"   tricks) was refused with 400 */
    struct slice query;  /* raw, without "?"; data NULL when there is none */
    struct slice host;   /* from Host or absolute form */
    unsigned version_minor; /* HTTP/1.x; 1 under HTTP/2, which has all that 1.1 has */
    struct net_header *headers;
    unsigned headers_len;
    int16_t by_id[NET_HEADER_ID_COUNT]; /* index of the first of each, or -1 */
    int64_t content_length;             /* -1: unknown (chunked); 0: no body */
    bool has_body;
    bool keep_alive;
    bool expects_continue;
    bool has_split_lists; /* the codec's: some list came on several lines */
};

static inline const struct net_header *net_header_get(const struct net_request *r,
                                                      enum net_header_id id)
{
    return r->by_id[id] < 0 ? NULL : &r->headers[r->by_id[id]];
}
/* A host as in Host: a name or [IPv6] of harmless characters, perhaps with a port. */
bool net_authority_is_valid(struct slice authority);
/* The first header of that (lower-case) name, or SLICE_NULL. */
struct slice net_header_find(const struct net_request *r, struct slice name);

struct net_limits {
    unsigned line_bytes_max;    /* request line; beyond: 414. 0: 8 KiB */
    unsigned headers_bytes_max; /* all of them; beyond: 431. 0: 16 KiB */
    unsigned headers_max;       /* how many; beyond: 431. 0: 100 */
    int64_t body_bytes_max;     /* default for routes; beyond: 413. 0: 1 MiB */
    unsigned connections_max;   /* of a server without a gate; beyond: answered 503 and closed. 0:
                                   10000 */
    unsigned
        pipeline_bytes_max;  /* unread bytes kept while a request is being answered. 0: 64 KiB */
    int64_t head_timeout_us; /* from the first byte of a head to its end; 408. 0: 10 s */
    int64_t body_idle_timeout_us; /* without a byte of an expected body; 408. 0: 10 s */
    int64_t idle_timeout_us;      /* keep-alive without a request; closed silently. 0: 75 s */
    int64_t write_timeout_us;     /* without the peer taking a byte. 0: 30 s */
    unsigned body_rate_min;       /* bytes a second after the grace; 408. Of answers too, over a
                                     write_timeout_us. 0: 500 */
    int64_t body_grace_us;        /* of waiting for a body in all. 0: 5 s */
    size_t arena_budget;          /* of one exchange. 0: 8 MiB */
    unsigned send_bytes_max; /* unsent bytes queued before net_stream_write waits. 0: 256 KiB */
    int64_t handshake_timeout_us; /* of TLS, from the connection on; closed. 0: 10 s */
    unsigned handshakes_max;      /* under way at once; beyond: the oldest is closed. 0: 1000 */
};

/* HTTP/2. Zero: on, with the values said here. A budget is what a peer may send at once without
 * paying for it; a tenth of it comes back each second; beyond it the connection ends with GOAWAY
 * ENHANCE_YOUR_CALM. */
struct net_http2 {
    bool off;                    /* not at all */
    bool clear_off;              /* not by prior knowledge: over TLS only */
    unsigned streams_max;        /* open at once on a connection. 0: 100 */
    unsigned stream_window;      /* bytes of a body that wait unread. 0: 65,535 */
    unsigned connection_window;  /* of all bodies of a connection. 0: 256 KiB */
    unsigned resets_max;         /* budget: streams reset by it, or because of it. 0: 200 */
    unsigned settings_max;       /* budget: SETTINGS frames. 0: 50 */
    unsigned pings_max;          /* budget: PING frames. 0: 100 */
    unsigned priorities_max;     /* budget: PRIORITY and PRIORITY_UPDATE frames. 0: 500 */
    unsigned window_updates_max; /* budget: WINDOW_UPDATE frames beyond four for each DATA frame
                                    that it got. 0: 1,000 */
    unsigned empty_frames_max;   /* budget: DATA frames with nothing in them, and frames of unknown
                                    types. 0: 100 */
};

/* What the codec refused before a request existed; the receiver formats the body of the answer. */
struct net_refusal {
    int http_status;    /* 400 408 413 414 431 501 503 505 */
    const char *type;   /* problem type tail, constant: "http/malformed" */
    const char *detail; /* a sentence, constant */
};

/* -- the gate
 * -------------------------------------------------------------------------------------------- */

#define NET_CONNECTIONS_DEFAULT 10000u

/* Why a connection was not served. */
enum net_gate_reason {
    NET_GATE_TOTAL,        /* connections_max are open */
    NET_GATE_ADDRESS,      /* per_address_max of this address are */
    NET_GATE_SILENT,       /* it had asked for nothing, and made room for another */
    NET_GATE_DESCRIPTORS,  /* the system gives no more descriptors */
    NET_GATE_PROXY_HEADER, /* a trusted proxy sent none, a bad one, or too slowly */
    NET_GATE_REASONS
};

struct net_gate_options {
    unsigned connections_max; /* open over all servers; 0: 10000 */
    unsigned per_address_max; /* of one address (IPv6: of one /64); 0: as many as there may be */
    const struct address_set *exempt; /* from the latter: proxies, which speak for many; outlives
                                         the gate; may be NULL */
};

/* Counts the connections of all servers that were given it; on any thread. Both bounds answer 503 a
 * little beyond them, then close without a word. */
enum status net_gate_new(const struct net_gate_options *options, struct net_gate **ret_gate);
void net_gate_free(struct net_gate *gate); /* after its servers */
/* Replace the set of exempt peers. Any thread; a server may look at the one before until its loop
 * has come to its next event. */
void net_gate_exempt_set(struct net_gate *gate, const struct address_set *exempt);

struct net_gate_stats {
    unsigned open, open_max;
    unsigned addresses;      /* with an open connection */
    unsigned addresses_held; /* places that were ever needed; bounded by open_max */
    uint64_t accepted;
    uint64_t refused[NET_GATE_REASONS];
};
void net_gate_stats_read(struct net_gate *gate, struct net_gate_stats *ret);

/* -- a server
 * -------------------------------------------------------------------------------------------- */

/* The servers of one address and port, one a loop, which share the port by SO_REUSEPORT: known to
 * each other so that all are given up as one. Zero at first; outlives them. */
struct net_group {
    unsigned sockets; /* that ever listened; before the first is drained */
    unsigned open;    /* of them; atomic */
    bool is_steered;  /* the kernel has been asked to pass them over; atomic */
};

struct net_server_options {
    struct slice host;       /* "127.0.0.1", "::", a name is not resolved */
    unsigned port;           /* 0: any; net_server_port tells */
    bool reuse_port;         /* SO_REUSEPORT: one listener a loop */
    struct net_group *group; /* of them; NULL: none, or it is alone */
    struct slice path; /* of a unix socket, instead of host and port; a socket of the same user that
                          is there already is replaced, in one step */
    unsigned mode;     /* of that socket's file. 0: 0660 */
    int fd;            /* > 0: a listening socket to take over, instead of making one */
    bool is_lent;      /* that socket outlives this process (systemd holds it): it is only closed */
    /* Peers that begin each connection with a PROXY header, in which they tell whose it is; that of
     * others is theirs. NULL: nobody does. Outlives the server. */
    const struct address_set *proxies;
    unsigned accept_rate;  /* connections a second; more wait in the kernel. 0: as they come */
    struct net_gate *gate; /* NULL: one of its own, by limits.connections_max */
    struct net_tls *tls;   /* speak TLS; NULL: in clear. Must outlive the server */
    struct net_limits limits;
    struct net_http2 http2;
    /* A peer of HTTP/2 went past a bound; `kind` is a constant: "rapid_reset", "ping", ... May be
     * NULL. */
    void (*on_http2_abuse)(const char *kind, void *arg);
    /* A connection was closed because its peer took too little of an answer; may be NULL. */
    void (*on_stalled)(void *arg);
    /* A connection opened (+1) or closed (-1); may be NULL. */
    void (*on_connections)(int change, void *arg);
    /* A head is complete. Must lead to exactly one answer (net_send, net_stream_end or net_abort),
     * now or later. */
    void (*on_request)(struct net_exchange *x, void *arg);
    /* Something was refused before a request existed: answer with net_send; the connection closes
     * after it. The request of `x` has whatever was parsed. */
    void (*on_refusal)(struct net_exchange *x, const struct net_refusal *refusal, void *arg);
    /* The exchange is over: sent whole, or the peer is gone. For access log and metrics; last use
     * of `x`. */
    void (*on_done)(struct net_exchange *x, void *arg);
    void *arg;
};

/* Listen on this loop. UNAVAILABLE when the address is taken, INVALID when it is none; *ret_reason
 * then says so (constant text). A given fd is the server's, also when this fails. */
enum status net_server_open(struct loop *loop, const struct net_server_options *options,
                            struct net_server **ret_server, const char **ret_reason);
unsigned net_server_port(const struct net_server *server); /* 0: a unix socket */
int net_server_fd(const struct net_server *server); /* of the listening socket; -1: closed. It stays
                                                       the server's */
/*
 * Stop accepting; idle connections close, busy ones answer what they have with "Connection: close".
 *
 * The listening socket is given up over some milliseconds: connections that the kernel has
 * completed or is completing are still served, new ones go to whoever else listens on the address,
 * as a rule without a delay if the servers of the address were given a group
 * (docs/decisions/0016). A lent socket is closed at once: what waits in it is another's to serve.
 * Context  own thread.
 */
void net_server_drain(struct net_server *server);
/* From now on somebody else has the listening socket too: treat it as lent. Own thread. */
void net_server_lend(struct net_server *server);
/* Replace options.proxies, if there were any. Own thread. */
void net_server_proxies_set(struct net_server *server, const struct address_set *proxies);
/* Drained, and nothing is left open. */
bool net_server_is_drained(const struct net_server *server);
unsigned net_server_connections(const struct net_server *server); /* open now */
/* Close everything now; `done` runs when the last handle closed and the server was freed. Own
 * thread. */
void net_server_close(struct net_server *server, void (*done)(void *arg), void *arg);

/* -- TLS
 * -----------------------------------------------------------------------------------------------
 */

#define NET_TLS_CERTIFICATES_MAX 64u

enum net_tls_client_auth { NET_TLS_CLIENT_OFF, NET_TLS_CLIENT_OPTIONAL, NET_TLS_CLIENT_REQUIRED };

/* Files in PEM, the OCSP answer in DER. */
struct net_tls_certificate {
    struct slice cert_file; /* the certificate, then those that lead to its authority */
    struct slice key_file;  /* without a passphrase */
    struct slice ocsp_file; /* stapled while it is valid; empty: none */
};

struct net_tls_options {
    const struct net_tls_certificate *certificates; /* the first one is also for unknown names */
    unsigned certificates_len;
    struct slice client_ca_file; /* whose certificates clients may show */
    enum net_tls_client_auth client_auth;
    bool only_1_3;            /* else 1.2 too */
    struct slice ciphers;     /* of TLS 1.2, in OpenSSL's words; empty: ECDHE with AEAD */
    bool h2;                  /* ALPN may choose h2 */
    int64_t ticket_period_us; /* a key for session tickets encrypts so long, and decrypts as long
                                 again. 0: 8 h */
};

/* What is served, for people: one for each certificate. */
struct net_tls_fact {
    struct slice cert_file;
    struct slice names; /* "a.example, *.b.example"; of a long list the first ones */
    int64_t expires_us; /* wall clock */
    const char *staple; /* constant: "none", "served", or why it is not */
};

struct net_tls_error {
    char text[512]; /* a sentence that names the file */
};

/*
 * Certificates and settings that TLS servers of all loops share. They are replaced as a whole:
 * new connections take the new ones, open ones keep theirs.
 *
 * Errors   INVALID: a file cannot be read or does not fit the others; *ret_error says which and
 *          why. Of a reload: what was in force stays.
 * Context  any thread, not a loop's: reads files. net_tls_free when every server is closed.
 */
enum status net_tls_new(const struct net_tls_options *options, struct metrics *metrics,
                        struct net_tls **ret_tls, struct net_tls_error *ret_error);
/*
 * What the files and settings are not good for: each problem is told, a certificate's with its
 * file. Serves nothing. `now_us`: wall clock, for certificates that have ended or not begun. Reads
 * files.
 */
typedef void (*net_tls_problem_fn)(void *arg, const char *text);
void net_tls_check(const struct net_tls_options *options, int64_t now_us, net_tls_problem_fn tell,
                   void *arg);
enum status net_tls_reload(struct net_tls *tls, const struct net_tls_options *options,
                           struct net_tls_error *ret_error);
/* Reload with the options in force if a file changed since; NOT_FOUND: none did. */
enum status net_tls_refresh(struct net_tls *tls, struct net_tls_error *ret_error);
void net_tls_free(struct net_tls *tls);
/* Facts of what is in force; false past the last one. Texts are in `arena`. */
bool net_tls_fact(struct net_tls *tls, unsigned i, struct arena *arena, struct net_tls_fact *ret);

/* -- an exchange
 * -------------------------------------------------------------------------------------- */

const struct net_request *net_request_of(struct net_exchange *x);
struct slice net_http_version(const struct net_exchange *x); /* "1.0", "1.1" or "2" */
struct arena *net_arena(struct net_exchange *x);             /* lives until on_done returned */
struct slice net_peer(struct net_exchange *x); /* "192.0.2.1", "2001:db8::1" or "unix" */
/* The same as a value; NULL: it has none (a unix socket). */
const struct address *net_peer_address(struct net_exchange *x);
bool net_is_secure(const struct net_exchange *x); /* came over TLS that we speak ourselves */
struct net_tls_info {
    struct slice version; /* "TLSv1.3" */
    struct slice cipher;  /* "TLS_AES_128_GCM_SHA256" */
    struct slice sni;     /* the name asked for, or SLICE_NULL */
    bool resumed;
    /* The certificate that the client showed, verified; SLICE_NULL: none. */
    struct slice client_subject;     /* "CN=device 7,O=Example" (RFC 2253) */
    struct slice client_names;       /* "DNS:a.example, URI:spiffe://example/a" */
    struct slice client_fingerprint; /* SHA-256, 64 hexadecimal digits */
};
/* False when the exchange is not secure. Texts are in its arena. */
bool net_tls_info(struct net_exchange *x, struct net_tls_info *ret);

/* The certificate that the client showed, verified. Own thread; some microseconds. */
#define NET_TLS_FINGERPRINT_BYTES 32u
enum net_tls_name { NET_TLS_NAME_DNS, NET_TLS_NAME_URI, NET_TLS_NAME_EMAIL, NET_TLS_NAME_SUBJECT };
/* SHA-256 of the whole. False: none was shown. */
bool net_tls_client_fingerprint(const struct net_exchange *x,
                                uint8_t ret[NET_TLS_FINGERPRINT_BYTES]);
/* When it ends, wall clock; a connection may outlast it. 0: none was shown. */
int64_t net_tls_client_until_us(const struct net_exchange *x);
/*
 * Is `value` one of its names (subjectAltName), or its subject as net_tls_info shows it? The whole
 * of a name, byte for byte, but DNS names in any case; wildcards mean nothing.
 */
bool net_tls_client_is(struct net_exchange *x, enum net_tls_name kind, struct slice value);
/* A PROXY header says that the proxy had it over TLS. */
bool net_was_secure(const struct net_exchange *x);
struct loop *net_loop(struct net_exchange *x);
int64_t net_started_us(const struct net_exchange *x); /* monotonic, first byte of the head */
/* Monotonic, when the whole head was taken up. Free of charge: for whoever needs "now" at the start
 * of a request. */
int64_t net_ready_us(struct net_exchange *x);
/* A pointer for the receiver, NULL at first. */
void net_user_set(struct net_exchange *x, void *user);
void *net_user(struct net_exchange *x);
/* Whoever answers from a task holds the exchange while the task runs: on_done waits for the
 * release. */
void net_hold(struct net_exchange *x);
void net_release(struct net_exchange *x);
/* Told (once; at once when it has happened) when the peer goes away before the answer is complete:
 * cancel the task there. The answer is still owed then, and goes nowhere. */
void net_on_gone(struct net_exchange *x, void (*fn)(struct net_exchange *x, void *arg), void *arg);

/* The most this request's body may be; set by the route before the first read. Beyond: TOO_LARGE
 * mid-stream. */
void net_body_limit_set(struct net_exchange *x, int64_t bytes_max);
int64_t net_body_limit(const struct net_exchange *x);
/*
 * The next piece of the body, as it came. NOT_FOUND at its end. TOO_LARGE, TIMEOUT (too slow),
 * INVALID (bad chunking), CANCELLED (peer gone). Sends "100 Continue" at the first call when the
 * client waits for it. Memory   *ret_piece is valid until the next call. Context  suspends.
 */
enum status net_body_read(struct task *task, struct net_exchange *x, struct slice *ret_piece);
/* The whole body in the exchange's arena (no copy when it came whole with the head). */
enum status net_body_read_all(struct task *task, struct net_exchange *x, struct slice *ret_body);

struct net_head {
    int status;
    struct slice fixed; /* ready-made header lines for HTTP/1 ("Name: value\r\n" each), built once
                           at start; may be empty */
    const struct net_header *headers; /* further ones; id is not looked at */
    unsigned headers_len;
};
/*
 * Answer whole: writes status line, Date, the headers, Content-Length (also for HEAD, whose body is
 * then left out; none for 204 and 304) and Connection as needed, in one write. Unread request body
 * is drained up to a bound, else the connection closes after the answer (HTTP/2: the stream is
 * reset with NO_ERROR). `body` must stay valid until on_done (arena or constant). Context  own
 * thread; never suspends.
 */
void net_send(struct net_exchange *x, const struct net_head *head, struct slice body);
/* Answer in pieces: chunked (HTTP/1.1) or until close (1.0), or with a known length >= 0. */
enum status net_stream_begin(struct net_exchange *x, const struct net_head *head, int64_t length);
/* Waits while more than send_bytes_max is unsent. CANCELLED when the peer is gone, TIMEOUT when it
 * does not read. */
enum status net_stream_write(struct task *task, struct net_exchange *x, struct slice piece);
void net_stream_end(struct net_exchange *x);
/* An open file that is sent from; zero but for fd at first. One loop's. */
struct net_file {
    int fd;
    bool blind;         /* the system does not say what of it is in memory */
    int64_t touched_us; /* last read by a worker, when it is blind */
};
/*
 * Answer with `length` bytes of a file from `offset` on: from the kernel's cache to the socket
 * where nothing stands between, and without making the loop wait for the disk (net/send_file.c).
 *
 * Errors   as net_stream_write; UNAVAILABLE when the file ends before: the answer was cut then.
 * Context  suspends; the file stays open until it returns.
 */
enum status net_send_file(struct task *task, struct net_exchange *x, const struct net_head *head,
                          struct net_file *file, int64_t offset, int64_t length);
/* The same as the next bytes of a stream. */
enum status net_stream_file(struct task *task, struct net_exchange *x, struct net_file *file,
                            int64_t offset, int64_t length);
/* Give up: close the connection (HTTP/2: reset the stream) without (the rest of) an answer. */
void net_abort(struct net_exchange *x);
/* For on_done. */
int net_sent_status(const struct net_exchange *x);
int64_t net_sent_bytes(const struct net_exchange *x); /* body bytes */
bool net_sent_whole(const struct net_exchange *x);

/* "Not Found"; "Unknown" for what has no phrase. */
const char *net_reason(int status);
