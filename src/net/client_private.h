/*
 * net/client_private.h - What a client, its connections and its names are made of. Private to the
 * room.
 *
 * A connection is a socket that we poll, not a libuv stream: one task at a time reads and writes it
 * itself and parks when the kernel has nothing or takes nothing. So no buffer is ever lent to the
 * loop, a cancelled task just closes, and an idle connection owns nothing but its struct.
 *
 *   file            knows
 *   special.c       ranges of addresses
 *   url.c           how a URL is read
 *   dns.c           threads that look names up
 *   client_name.c   the loop's cache of names
 *   client_conn.c   one connection: connecting, reading, writing, closing
 *   client_tls.c    TLS on it
 *   client_pool.c   who gets which connection
 *   client_head.c   heads of requests and answers
 *   client_send.c   one try: the request out, the head of its answer in
 *   client.c        a request from its first to its last step
 *   client_open.c   opening and closing; figures
 *   curl.c          libcurl on the loop
 */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <uv.h>

#include "base/buf.h"
#include "base/metric.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "net/client.h"
#include "net/codec.h"

#define NET__HEAD_BYTES_MAX ((size_t)32 * 1024)
#define NET__HEADERS_MAX 200u
#define NET__BLOCK_BYTES NET__HEAD_BYTES_MAX
#define NET__HOST_BUCKETS 256u
#define NET__NAME_BUCKETS 256u

/* -- dns.c
 * ------------------------------------------------------------------------------------------------
 */

struct net__addresses {
    struct address list[NET_DNS_ADDRESSES_MAX];
    unsigned len;
};

/* One lookup. Lives until it was reported to its loop, or abandoned and answered. */
struct net__lookup {
    struct net__lookup *next;
    struct net_dns *dns;
    struct loop *loop; /* NULL: abandoned; under the dns's lock */
    struct loop_post post;
    void (*fn)(struct net__lookup *lookup, void *arg); /* on the loop; then it is freed */
    void *arg;
    bool from_user;
    enum status status;
    struct net__addresses found;
    char host[256];
};
/* EXHAUSTED when too many wait, or without memory. */
enum status net__dns_start(struct net_dns *dns, struct loop *loop, struct slice host,
                           bool from_user, void (*fn)(struct net__lookup *lookup, void *arg),
                           void *arg, struct net__lookup **ret_lookup);
/* fn will not be called any more. Own thread of its loop. */
void net__dns_abandon(struct net__lookup *lookup);

/* -- client_name.c
 * ---------------------------------------------------------------------------------------- */

struct net__name_waiter {
    struct net__name_waiter *prev, *next;
    struct task *task;
};

struct net__name {
    struct net__name *next;          /* in its bucket */
    struct net__name *older, *newer; /* by last use */
    struct net_client *client;
    struct net__lookup *lookup; /* under way, or NULL */
    struct net__name_waiter *waiters;
    uint64_t hash;
    int64_t expires_us;
    enum status status; /* of the last lookup */
    struct net__addresses found;
    bool from_user;
    uint8_t host_len;
    char host[256];
};

/*
 * The addresses of a host: at once for literals, localhost and what the cache knows, else when they
 * were looked up. Guarded: all of them may be reached by a user's URL.
 *
 * Errors   UNAVAILABLE client/dns, TIMEOUT (no problem: the caller's), DENIED
 *          client/refused-address, EXHAUSTED client/busy, CANCELLED.
 */
enum status net__resolve(struct task *task, struct net_client *client, const struct net_url *url,
                         bool guarded, int64_t until_us, struct net__addresses *ret_found);
/* DENIED with a problem when a user's URL may not reach it. */
enum status net__guard(struct task *task, struct net_client *client, const struct address *address);
bool net__is_allowed(const struct net_client *client, const struct address *address);
void net__names_close(struct net_client *client);

/* -- client_conn.c
 * ---------------------------------------------------------------------------------------- */

struct net__peer { /* whom a connection is to: what must be the same to use it again */
    struct slice host;
    unsigned port;
    bool is_tls;
    bool guarded;
    struct net_client_tls *tls;
};

struct net__link {
    uv_poll_t poll;
    struct net_client *client;
    struct net__host *host;
    struct net__link *next, *prev;             /* idle ones of the host, the last used first */
    struct net__link *idle_older, *idle_newer; /* idle ones of the client; `next` of free ones */
    SSL *ssl;
    struct task *task; /* parked for it */
    int fd;
    int armed; /* events that libuv watches */
    int wants; /* events that the task waits for */
    int ready; /* events that came */
    unsigned served;
    bool is_idle;
    bool counted; /* among the host's connections */
    bool closing;
    int64_t opened_us;
    int64_t idle_until_us;
    int64_t idle_max_us; /* what the peer said it keeps an idle one for; 0: nothing */
    struct address peer;
};

/* A socket connecting to the address, or NULL (*ret_errno). */
struct net__link *net__link_open(struct net_client *client, const struct address *address,
                                 unsigned port, int *ret_errno);
/* Of those addresses the first that answers; the next is tried after 250 ms, or when one failed.
 * UNAVAILABLE with errno, TIMEOUT, CANCELLED: without a problem. */
enum status net__link_connect(struct task *task, struct net_client *client,
                              const struct net__addresses *addresses, unsigned port,
                              int64_t until_us, struct net__link **ret_link, int *ret_errno);
/* Park until one of the events came. */
enum status net__link_wait(struct task *task, struct net__link *link, int events, int64_t until_us);
/*
 * Bytes read or written; 0 of reading: the end. -1: *ret_wants says what to wait for (UV_READABLE,
 * UV_WRITABLE), or is 0: the connection is lost.
 */
ssize_t net__link_read(struct net__link *link, char *data, size_t len, int *ret_wants);
ssize_t net__link_write(struct net__link *link, const struct slice *parts, unsigned parts_len,
                        int *ret_wants);
/* Has the peer closed it, or said something nobody asked for? */
bool net__link_is_stale(struct net__link *link);
void net__link_close(struct net__link *link);

/* -- client_tls.c
 * ----------------------------------------------------------------------------------------- */

struct net_client_tls {
    SSL_CTX *ctx;
    unsigned refs;        /* atomic */
    bool has_authorities; /* atomic; the system's are read at the first handshake */
    pthread_mutex_t lock; /* by one thread */
};
struct net_client_tls *net__client_tls_ref(struct net_client_tls *tls);
/* TLS on a connected link; UNAVAILABLE client/tls, TIMEOUT (the caller's), CANCELLED. */
enum status net__link_tls_handshake(struct task *task, struct net__link *link,
                                    const struct net__peer *peer, bool is_literal,
                                    int64_t until_us);
ssize_t net__link_tls_read(struct net__link *link, char *data, size_t len, int *ret_wants);
ssize_t net__link_tls_write(struct net__link *link, const char *data, size_t len, int *ret_wants);
bool net__link_tls_is_stale(struct net__link *link);
void net__link_tls_close(struct net__link *link);

/* -- client_pool.c
 * ---------------------------------------------------------------------------------------- */

struct net__turn { /* a task waiting for a connection; in its frame */
    struct net__turn *prev, *next;
    struct task *task;
    struct net__host *host;
    struct net__link *link; /* granted: this one, or the right to open one */
    bool granted;
    bool waits_for_all; /* in the client's queue, not the host's */
};
struct net__turns {
    struct net__turn *first, *last;
};

struct net__host {
    struct net__host *next;          /* in its bucket */
    struct net__host *older, *newer; /* by last use */
    struct net_client_tls *tls;
    SSL_SESSION *session; /* to resume */
    struct net__link *idle;
    struct net__turns turns;
    uint64_t hash;
    unsigned connections; /* idle, in use and being opened */
    unsigned users;       /* requests that hold it */
    unsigned port;
    bool is_tls, guarded;
    uint8_t host_len;
    char host[256];
};

/*
 * A connection to the peer: a kept one (*ret_link) unless `fresh`, or the right to open one
 * (*ret_link NULL), which net__pool_adopt or net__pool_give_up ends. *ret_host is held until
 * net__pool_leave.
 *
 * Errors   EXHAUSTED client/busy, TIMEOUT (the caller's), CANCELLED.
 */
enum status net__pool_take(struct task *task, struct net_client *client,
                           const struct net__peer *peer, bool fresh, int64_t until_us,
                           struct net__host **ret_host, struct net__link **ret_link);
void net__pool_adopt(struct net__host *host, struct net__link *link);
void net__pool_give_up(struct net_client *client, struct net__host *host);
/* Back for the next request. */
void net__pool_keep(struct net__link *link);
/* An idle one became readable. */
void net__pool_idle_event(struct net__link *link);
void net__pool_leave(struct net__host *host);
/* A counted connection closes. */
void net__pool_lost(struct net__link *link);
void net__pool_close(struct net_client *client);

/* -- client_head.c
 * ---------------------------------------------------------------------------------------- */

struct net__answer_scan {
    uint32_t at, line_start;
    uint16_t lines;
};
enum net__until { NET__UNTIL_NONE, NET__UNTIL_LENGTH, NET__UNTIL_CHUNKED, NET__UNTIL_CLOSE };

struct net__answer_head {
    struct net_client_response response;
    enum net__until until; /* where its body ends */
    bool keep_alive;
    int64_t keep_us; /* what Keep-Alive: timeout says; 0: nothing */
};

/* Look for the end of an answer's head. REFUSED: it is no HTTP/1, or past a bound (*ret_too_large).
 */
enum net__scan_result net__answer_scan(struct net__answer_scan *scan, const char *data, size_t len,
                                       bool *ret_too_large);
/* The status of a head whose status line is whole; 0 when it is not, or is none. */
int net__answer_status(const char *data, size_t len);
/* Parse a whole head, which is written to. NULL, or what is wrong (a constant). */
const char *net__answer_parse(char *data, size_t len, struct net_header *headers,
                              unsigned headers_max, bool is_head_request,
                              struct net__answer_head *ret_head);
/* The request's head. INVALID client/request, EXHAUSTED. */
enum status net__request_write(struct task *task, const struct net_client_request *request,
                               const struct net_url *url, struct buf *out);

/* -- an exchange
 * ------------------------------------------------------------------------------------------ */

struct net__in {          /* bytes of the answer that nobody took yet */
    struct net__in *next; /* free ones */
    uint32_t start, end;
    char data[NET__BLOCK_BYTES];
};

struct net_client_exchange {
    struct net_client *client;
    const struct net_client_request *request; /* until net_client_send returns */
    struct net_client_timeouts timeouts;
    struct net_url url;
    struct net__host *host;
    struct net__link *link;
    struct net__in *in;
    struct net__answer_head head;
    struct net__body body;
    struct net_client_report own_report;
    struct net_client_report *report;
    enum status status; /* the first failure of reading */
    enum net_method method;
    int64_t started_us;
    int64_t total_until_us; /* 0: none */
    int64_t answer_bytes_max;
    int64_t bytes;   /* of the body, handed out */
    uint32_t lent;   /* raw bytes at the front of `in` that the last piece lies in */
    bool body_begun; /* a piece of a streamed body was asked for */
    bool cut;        /* the request did not go out whole */
    bool got_bytes;  /* of an answer, in this attempt */
    bool lost;       /* the connection died under this attempt */
    bool counted;    /* in the metrics */
};

/* client_send.c: one attempt on x->link. */
enum status net__attempt(struct task *task, struct net_client_exchange *x, struct slice head);
/* More bytes into x->in. NOT_FOUND at the end; UNAVAILABLE when the connection is lost. */
enum status net__fill(struct task *task, struct net_client_exchange *x, enum net_client_stage stage,
                      int64_t until_us);
int64_t net__until(const struct net_client_exchange *x, int64_t for_us);
/* A problem for a wait that ended with `st`; TIMEOUT gets its words. */
enum status net__waited(struct task *task, struct net_client_exchange *x, enum status st);
/* The HTTP status of the problem that was just set. */
enum status net__said(struct task *task, enum status st, int http_status);

struct net__in *net__in_take(struct net_client *client);
void net__in_give(struct net_client *client, struct net__in *in);

/* -- figures
 * -----------------------------------------------------------------------------------------------
 */

struct net__client_metrics;
/* A request is over: OK with its status, or why there is none. */
void net__observe(struct net_client *client, enum net_method method, int status, enum status st,
                  const char *type, int64_t started_us);
void net__count_done(struct net_client_exchange *x, enum status st, const char *type);
void net__count_connections(struct net_client *client, int idle_change, int active_change);

enum net__counter {
    NET__COUNT_RETRY,
    NET__COUNT_REFUSED_ADDRESS,
    NET__COUNT_NAME_FOUND,
    NET__COUNT_NAME_MISSING,
    NET__COUNT_NAME_FAILED,
    NET__COUNTERS
};
void net__count(struct net_client *client, enum net__counter what);

struct net__curl;
void net__curl_close(struct net_client *client);

struct net_client {
    struct loop *loop;
    struct net_client_options options;
    struct address_set allow;
    struct net__host *hosts[NET__HOST_BUCKETS];
    struct net__host *host_oldest, *host_newest;
    unsigned hosts_len;
    struct net__name *names[NET__NAME_BUCKETS];
    struct net__name *name_oldest, *name_newest;
    struct net__link *idle_oldest, *idle_newest;
    struct net__link *free_links;
    struct net__in *free_ins;
    struct net__turns turns; /* waiting for any connection to end */
    struct loop_timer sweep; /* of idle connections */
    unsigned free_links_len, free_ins_len;
    unsigned waiting;
    unsigned handles; /* links that libuv has not closed yet */
    struct net_client_stats stats;
    struct net__client_metrics *metrics;
    struct net__curl *curl;
    bool closed; /* freed with its last handle */
};
void net__client_forget(struct net_client *client); /* a handle is gone */
