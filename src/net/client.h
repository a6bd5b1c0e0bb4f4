/*
 * net/client.h - The HTTP/1.1 client: requests to other servers from a task, over connections that
 * each loop keeps, in clear or over TLS. The second public header of the room.
 *
 * Data passes: a net_client_request -> its URL is taken apart (strictly) -> names become addresses
 * (net_dns: threads of its own and a cache of each loop) -> the guard looks at every address when
 * the URL came from a user -> a kept connection of the same peer, or a new one to exactly such an
 * address, TLS on it -> head and body out -> the answer's head into the task's arena
 * (net_client_send returns) -> its body in pieces (net_client_read) -> net_client_finish gives the
 * connection back, or closes it. Calls with richer needs (HTTP/2, proxies, mail) go through
 * net/curl.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/macros.h"
#include "base/slice.h"
#include "base/status.h"
#include "net/net.h"

struct loop;
struct metrics;
struct net_client;
struct net_client_exchange;
struct net_client_tls;
struct net_dns;
struct task;

/* -- addresses
 * ---------------------------------------------------------------------------------------------- */

/*
 * Why a stranger may not send us to this address: "loopback", "private", "link-local", ... (a
 * constant), or NULL for an address of the public internet. An IPv4 address within an IPv6 one
 * (mapped, compatible, NAT64, 6to4, Teredo) counts as what it is.
 *
 * Source   IANA's registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890).
 */
const char *net_address_special(const struct address *address);

/* -- URLs
 * ------------------------------------------------------------------------------------------------
 */

struct net_url {
    bool is_tls;
    bool is_literal; /* the host is an address: */
    struct address address;
    struct slice host;      /* lower case, without brackets and final dot */
    struct slice authority; /* what Host says: with brackets, and the port when not the scheme's */
    unsigned port;
    struct slice target; /* path and query, "/" at least; a fragment is dropped */
};

/*
 * Take an absolute http or https URL apart. What programs read in different ways is refused instead
 * of repaired: user info, hosts in decimal, octal or hex, backslashes, anything outside printable
 * ASCII (names must come in their "xn--" form).
 *
 * Errors   INVALID, *ret_reason then says why (a sentence, constant); EXHAUSTED.
 * Memory   slices point into the text or the arena.
 */
enum status net_url_parse(struct arena *arena, struct slice text, struct net_url *ret_url,
                          const char **ret_reason);

/* -- names to addresses
 * ---------------------------------------------------------------------------------- */

#define NET_DNS_ADDRESSES_MAX 8u

/*
 * Look a name up, blocking, on a thread that may wait: OK with 1 to NET_DNS_ADDRESSES_MAX
 * addresses, NOT_FOUND when the name has none, UNAVAILABLE when nobody could say.
 */
typedef enum status (*net_dns_lookup_fn)(const char *host, struct address *ret_addresses,
                                         unsigned *ret_len, void *arg);

struct net_dns_options {
    unsigned threads_max;     /* 0: 8. Started when needed */
    net_dns_lookup_fn lookup; /* NULL: getaddrinfo. For tests */
    void *lookup_arg;
};

/*
 * One for a process, shared by the clients of its loops. Names from users get at most half of the
 * threads: names whose servers never answer cannot keep everybody else from looking up.
 */
enum status net_dns_new(const struct net_dns_options *options, struct net_dns **ret_dns);
/* When the last client is closed. Does not wait for a lookup that hangs. */
void net_dns_free(struct net_dns *dns);

/* -- TLS
 * -------------------------------------------------------------------------------------------------
 */

struct net_client_tls_options {
    struct slice ca_file;   /* PEM; empty: the system's */
    struct slice cert_file; /* PEM chain to show when asked; empty: none */
    struct slice key_file;
};

/*
 * How peers are verified: at least TLS 1.2, a chain to a known authority, the URL's host in the
 * certificate. There is no way to turn that off.
 *
 * Errors   INVALID when a file cannot be used; *ret_reason says which (constant).
 * Memory   shared by any number of loops; freed when the last client and request are done with it.
 */
enum status net_client_tls_new(const struct net_client_tls_options *options,
                               struct net_client_tls **ret_tls, const char **ret_reason);
void net_client_tls_free(struct net_client_tls *tls);

/* -- a client
 * -------------------------------------------------------------------------------------------- */

struct net_client_options {
    struct net_dns *dns;             /* must outlive the client */
    struct net_client_tls *tls;      /* for requests that name none; NULL: https is refused */
    struct metrics *metrics;         /* may be NULL */
    const struct address_set *allow; /* that users' URLs may reach although special; copied; may be
                                        NULL */
    unsigned connections_max;        /* of this loop. 0: 512 */
    unsigned host_connections_max;   /* to one scheme, host, port. 0: 64 */
    unsigned waiting_max;        /* requests waiting for a connection; beyond: EXHAUSTED. 0: 1024 */
    unsigned names_max;          /* kept in the cache of names. 0: 256 */
    int64_t idle_timeout_us;     /* of a kept connection. 0: 60 s */
    int64_t lifetime_us;         /* of a connection; then it is not used again. 0: 5 min */
    int64_t name_ttl_us;         /* of a name's addresses. 0: 30 s */
    int64_t name_missing_ttl_us; /* of knowing that there are none. 0: 5 s */
};

/* One for a loop; net_client_of finds it. Own thread or before the loop runs. */
enum status net_client_open(struct loop *loop, const struct net_client_options *options,
                            struct net_client **ret_client);
/* Close what is idle, forget the rest; requests in flight must have ended. Own thread or after the
 * run; handles close in the loop's next turns. */
void net_client_close(struct net_client *client);
/* The loop's client, or NULL. */
struct net_client *net_client_of(struct loop *loop);

struct net_client_stats {
    unsigned connections, idle, waiting, names;
    uint64_t opened, reused, retried, lookups;
};
void net_client_stats_read(const struct net_client *client, struct net_client_stats *ret_stats);

/* -- a request
 * ------------------------------------------------------------------------------------------- */

enum net_client_stage {
    NET_CLIENT_QUEUE,      /* waiting for a connection to come free */
    NET_CLIENT_RESOLVE,    /* for the name's addresses */
    NET_CLIENT_CONNECT,    /* for one of them to answer */
    NET_CLIENT_TLS,        /* the handshake */
    NET_CLIENT_WRITE,      /* for the peer to take the request */
    NET_CLIENT_FIRST_BYTE, /* for its answer to begin */
    NET_CLIENT_READ,       /* between pieces of the answer */
    NET_CLIENT_DONE
};
/* "connect", "first-byte", ... */
const char *net_client_stage_name(enum net_client_stage stage);

/* Each ends earlier when the task's deadline does. 0: the default. */
struct net_client_timeouts {
    int64_t queue_us;      /* 5 s */
    int64_t resolve_us;    /* 5 s */
    int64_t connect_us;    /* 5 s, all addresses together */
    int64_t tls_us;        /* 5 s */
    int64_t write_us;      /* 10 s without the peer taking a byte */
    int64_t first_byte_us; /* 30 s, to the whole head of the answer */
    int64_t read_us;       /* 30 s without a byte of the body */
    int64_t total_us; /* 60 s from the call to the last byte of the body; -1: no end of its own */
};

/* What happened, whatever came of it: for metrics, balancing and tests. */
struct net_client_report {
    enum net_client_stage stage; /* the last one entered */
    unsigned attempts;           /* 2: a kept connection had died, and a new one was made */
    bool reused;                 /* the last attempt's connection had served before */
    bool is_tls;
    char peer[ADDRESS_TEXT_MAX]; /* the address connected to; empty: none */
    int64_t connect_us;          /* time it took to have a connection */
    int64_t first_byte_us;       /* from there to the head of the answer */
};

/* The next piece of a body: OK, NOT_FOUND at its end, or a status that ends the request. */
typedef enum status (*net_client_body_fn)(struct task *task, void *arg, struct slice *ret_piece);

struct net_client_request {
    enum net_method method;   /* NET_METHOD_OTHER: method_text says */
    struct slice method_text; /* a token; not CONNECT */
    struct slice url;
    /* Names in any spelling. Host may be among them; what frames the message (Content-Length,
     * Transfer-Encoding, Connection, Expect, Upgrade, TE, Trailer, Keep-Alive) is not the caller's.
     */
    const struct net_header *headers;
    unsigned headers_len;
    struct slice body;       /* whole; or */
    net_client_body_fn next; /* in pieces, each asked for when the last one is gone */
    void *next_arg;
    int64_t body_bytes;    /* of all pieces together; -1: unknown, sent in chunks */
    bool expect_continue;  /* wait (up to a second) for the peer's leave before sending the body */
    bool from_user;        /* the URL came from outside: only public addresses, checked after
                              resolution */
    const uint16_t *ports; /* with from_user: the ports allowed. NULL: 80 and 443 */
    unsigned ports_len;
    struct net_client_tls *tls; /* NULL: the client's */
    int64_t answer_bytes_max;   /* of the answer's body; beyond: TOO_LARGE. 0: 8 MiB; -1: any */
    bool no_trace;              /* do not send traceparent; from_user requests never do */
    struct net_client_timeouts timeouts;
    struct net_client_report *report; /* may be NULL */
};

struct net_client_response {
    int status;
    unsigned version_minor;
    const struct net_header *headers; /* in order; as in net_request */
    unsigned headers_len;
    int64_t content_length; /* -1: not announced */
    bool has_body;
};
/* The first header of that (lower-case) name, or SLICE_NULL. */
struct slice net_client_header(const struct net_client_response *response, struct slice name);

/*
 * Send the request and read the head of the answer. Redirects are not followed: 3xx is an answer
 * like any other. A request without a side effect (GET, HEAD, OPTIONS, PUT, DELETE) whose kept
 * connection turns out dead before a byte of the answer came is sent once more.
 *
 * Errors   all with a problem: INVALID client/request (URL, header, method), DENIED
 *          client/refused-address, UNAVAILABLE client/dns, client/connect, client/tls (502), or
 *          client/protocol (502), TIMEOUT client/timeout (504; the sentence names the stage),
 *          EXHAUSTED client/busy, TOO_LARGE client/too-large (502), CANCELLED; what `next`
 * returned. Memory   the request is read until this returns; the answer lives in the task's arena.
 * Context  suspends at every stage; cancellation closes the connection.
 */
enum status net_client_send(struct task *task, const struct net_client_request *request,
                            struct net_client_exchange **ret_x);
const struct net_client_response *net_client_response_of(const struct net_client_exchange *x);
/*
 * The next piece of the answer's body, chunks undone. NOT_FOUND at its end; errors as above, the
 * first one for good.
 * Memory   *ret_piece is valid until the next call. Context  suspends.
 */
enum status net_client_read(struct task *task, struct net_client_exchange *x,
                            struct slice *ret_piece);
/* What is left of the body, in the task's arena. */
enum status net_client_read_all(struct task *task, struct net_client_exchange *x,
                                struct slice *ret_body);
/* Done with it, at any point: a connection whose answer was read to its end is kept for the next
 * request, another one closes. NULL is fine. */
void net_client_finish(struct net_client_exchange *x);
DEFINE_CLEANUP(struct net_client_exchange *, net_client_finish)

/* All in one: *ret_response and *ret_body live in the task's arena. */
enum status net_client_fetch(struct task *task, const struct net_client_request *request,
                             struct net_client_response *ret_response, struct slice *ret_body);
