/*
 * http/internal.h - What an app, its routes and its requests are made of, and the steps of the
 * chain. Private to the room.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/metric.h"
#include "base/slice.h"
#include "fiber/task.h"
#include "http/coder.h"
#include "http/http.h"

#define HTTP__HEADERS_MAX                                                                          \
    32u /* of a handler; steps and the content type have places of their own */
#define HTTP__STEP_HEADERS_MAX 24u
#define HTTP__DIGEST_BYTES 32u
#define HTTP__LOOPS_MAX 256u

/* What requests of one name (a route's pattern, or a label that a handler set) are counted under.
 */
struct http__label;

struct http__route {
    struct http_route route; /* strings copied */
    struct http__label *label;
    struct slice params[HTTP_PARAMS_MAX]; /* names, in the order of the pattern */
    unsigned params_len;
};

struct http__router;

struct http__match {
    const struct http__route *route;      /* NULL: none for this method */
    struct slice values[HTTP_PARAMS_MAX]; /* raw */
    unsigned values_len;
    unsigned allow; /* bits of enum net_method that the path has routes for; 0: unknown path */
};

struct http__digest;      /* http/signature.h */
struct http__signatures;  /* http/signature.c */
struct http__file;        /* http/file_cache.h */
struct http__metrics;     /* http/request_metrics.c */
struct http__rate_limits; /* http/rate.h */
struct http__overload;    /* http/overload.h */
struct http__lane;

/* What the answer tells of rate limits: the rule with the least left. */
struct http__rate_note {
    const struct http_rate *rate; /* NULL: none applied */
    int64_t left;                 /* requests like this one */
    int64_t reset_us;
    bool refused;
};
struct http__compression; /* http/compress.c */

/* -- what the standards prepare for a policy
 * ------------------------------------------------------------- */

#define HTTP__ORIGINS_MAX 64u
#define HTTP__PROFILES 3u /* api, html, download */
#define HTTP__CSRF_KEY_BYTES 32u

struct http__origin {
    struct slice text;           /* exact; or a pattern: */
    struct slice scheme, suffix; /* "https://", ".example.org:8443" */
};
struct http__origins {
    struct http__origin *items;
    unsigned len;
    bool any, null;
};
struct http__cors {
    bool is_on;
    struct slice headers, expose, max_age;
};
struct http__standards {
    struct slice blocks[HTTP__PROFILES][2]; /* clear, over TLS; http/security_headers.c */
    struct http__origins origins;           /* of CORS */
    struct http__cors cors;
    struct http__origins csrf_origins;
};

enum http__standards_metric {
    HTTP__PREFLIGHT_ALLOWED,
    HTTP__PREFLIGHT_DENIED,
    HTTP__CSRF_CROSS,
    HTTP__CSRF_MISSING,
    HTTP__CSRF_BAD,
    HTTP__STANDARDS_METRICS
};

/* -- what may be replaced while requests run: http/settings.c
 * ------------------------------------------------ */

struct http__rate_set;      /* http/rate.h */
struct http__signature_set; /* http/signature.c */

/* Nothing of it changes once a request can see it. */
struct http_settings {
    struct http_app *app;
    struct arena *arena;
    struct http_policy *policies;
    struct http__standards *standards; /* of each policy */
    unsigned policies_len;             /* at least 1 */
    struct http__rate_set *rate;       /* NULL: no limits */
    struct http__signature_set *signatures;
    const struct address_set *proxies;
    const struct slice *hosts;
    unsigned hosts_len;
    enum http_forwarded forwarded;
    bool access_log;
    unsigned slot;
    unsigned loops_left; /* atomic: those that have not let go of it */
    struct http__switch *switches;
    http_switch_fn on_switch;
    void *on_switch_arg;
    void (*release)(void *arg); /* may be NULL */
    void *release_arg;
};

/* What one loop goes by; its own thread's alone. */
struct http__reader {
    struct http_settings *current;
    unsigned uses[HTTP_SETTINGS_MAX]; /* requests under way, by the slot of their settings */
    char apart[64 - sizeof(void *) - HTTP_SETTINGS_MAX * sizeof(unsigned)];
};

struct http_app {
    struct http_options options;
    struct http__router *router;
    struct http__metrics *metrics;
    struct http__compression *compression;
    struct http__signatures *signatures;
    struct http_files *files;                             /* a list */
    struct http_settings *latest;                         /* of who publishes */
    struct http_settings *generations[HTTP_SETTINGS_MAX]; /* atomic; NULL: free */
    struct http__reader *readers;                         /* HTTP__LOOPS_MAX, by loop */
    int64_t csrf_ttl_us;                                  /* atomic; of the first policy */
    metric_series standards_series[HTTP__STANDARDS_METRICS];
    uint8_t csrf_keys[2][HTTP__CSRF_KEY_BYTES]; /* of the secret, and of the one before */
    struct http__rate_limits *rate;             /* NULL: no limits */
    struct http__overload *overload;            /* NULL: nothing is shed */
    bool has_admin_key;
    uint8_t admin_digest[HTTP__DIGEST_BYTES];
    bool draining;       /* atomic */
    unsigned https_port; /* atomic; 0: requests in clear are answered in clear */

    bool told_unlisted, told_conflict; /* atomic; http/client_address.c */
    unsigned steps_len;
    struct {
        const char *name;
        http_step_fn fn;
        void *arg;
    } steps[HTTP_STEPS_MAX]; /* of rooms above */
};

enum http__compress { HTTP__COMPRESS_DEFAULT, HTTP__COMPRESS_NEVER, HTTP__COMPRESS_SAFE };

/* A whole answer that waits for its handler to return, to be compressed in pieces. */
struct http__later {
    bool waits;
    int status;
    const char *content_type;
    struct slice body;
};

/* A body in a content coding, being read (http/decompress.c). */
struct http__coded_body {
    struct slice unread;   /* of the last piece that came */
    int64_t in_bytes;      /* decoded so far */
    int64_t out_bytes;     /* what they became */
    int64_t yielded_bytes; /* of those when the task last gave way */
    bool checked;          /* the coding was looked at */
    bool over;             /* the last piece came */
    bool between;          /* at the end of a member, or before the first byte */
    bool ended;            /* nothing may follow */
};

struct http_request {
    struct net_exchange *x;
    struct http_app *app;
    struct http_settings *settings; /* what it began under holds to its end */
    const struct http__route *route;
    const struct http_policy *policy; /* never NULL */
    /* The type of what a 304 is about, or NULL: browsers replace the headers that they keep by its.
     */
    const char *represents;
    struct http__label *label; /* NULL: the route's, or the one of unmatched paths */
    struct task *task;
    struct task_caller caller;
    struct slice client_ip, client_scheme, client_host;
    struct address client_address;
    struct slice request_id;
    struct slice trace_id;
    const struct http_signature_key *signature_key; /* NULL: not signed */
    const struct http__digest *signed_digest;       /* of the body; NULL: not signed */
    struct http__hashing *hashing; /* of the body, while it is read; http/digest.c */
    struct slice body;             /* once it was read whole */
    struct http_param *query;
    unsigned query_len;
    unsigned values_len;
    unsigned headers_len;
    unsigned allow;
    unsigned step;       /* of the chain: whose turn it is */
    unsigned added_step; /* of the app's own */
    unsigned own;        /* which of our lines the handler wrote itself: HTTP__OWN_* and others */
    int64_t duration_us; /* when the exchange is over */
    struct http__lane *lane; /* where it is counted as under way; NULL: it is not */
    struct http__rate_note rate;
    struct slice tenant;
    uint64_t key_id;
    bool has_key; /* an API key was accepted; key_id names it */
    struct http_program program;
    bool key_presented;
    bool key_failed;
    const char *caller_refusal[2]; /* type and words of the problem; NULL: is not refused */
    bool has_client_address;
    bool has_body;
    bool query_parsed;
    bool trace_is_ours; /* made here: nobody sent one */
    bool sampled;
    bool refused; /* before it was whole */
    bool answered;
    bool streaming;
    bool header_bad;
    enum http__compress compress;
    struct http__encoder *encoder; /* of the stream being sent */
    struct http__decoder *decoder; /* of the body being read */
    struct http__coded_body coded;
    struct http__later later;
    bool signature_refused;
    struct http__file *file; /* held until the answer is sent */
    char request_id_text[32];
    char trace_text[56]; /* version-trace-span-flags, as sent back */
    /* From here on nothing is cleared when a request begins. */
    char client_text[ADDRESS_TEXT_MAX];
    struct slice values[HTTP_PARAMS_MAX];
    struct net_header headers[1 + HTTP__HEADERS_MAX + HTTP__STEP_HEADERS_MAX];
};

/* -- the chain: http/chain.c has the list
 * ---------------------------------------------------------------- */

struct http__step {
    const char *name;
    /* The head has come; the route is known (or NULL). False: the step has answered. May be NULL.
     */
    bool (*before)(struct http_request *req);
    /* Instead of `before`, for a step that may have to wait; see http_step_fn. Not asked about
     * refused requests. */
    enum http_verdict (*before_waiting)(struct task *task, struct http_request *req);
    /* The answer is about to be written: add headers with http__step_header. May be NULL. */
    void (*after)(struct http_request *req, int status);
    /* The exchange is over. May be NULL. */
    void (*done)(struct http_request *req);
};

extern const struct http__step http__step_metrics;
extern const struct http__step http__step_client;
extern const struct http__step http__step_trace;
extern const struct http__step http__step_request_id;
extern const struct http__step http__step_host;
extern const struct http__step http__step_https;
extern const struct http__step http__step_cors;
extern const struct http__step http__step_deprecation;
extern const struct http__step http__step_caller;
extern const struct http__step http__step_csrf;
extern const struct http__step http__step_added;
extern const struct http__step http__step_overload;
extern const struct http__step http__step_rate_limit;
extern const struct http__step http__step_audience;
extern const struct http__step http__step_signature;
extern const struct http__step http__step_body_limit;
extern const struct http__step http__step_server_timing;
extern const struct http__step http__step_access_log;
extern const struct http__step http__step_compress;
extern const struct http__step http__step_files;

/* From the step whose turn it is; `task` NULL on the loop's stack, where a step may ask for one. */
enum http_verdict http__chain_before(struct task *task, struct http_request *req);
void http__chain_after(struct http_request *req, int status);
void http__chain_done(struct http_request *req);
/* Lines of an answer that never change; http/security_headers.c. */
struct slice http__fixed_headers(struct http_request *req, int status, const char *content_type);

/* -- parts
 * -----------------------------------------------------------------------------------------------
 */

struct http__router *http__router_new(void);
void http__router_free(struct http__router *router);
enum status http__router_add(struct http__router *router, const struct http_route *route,
                             struct http__route **ret_route, const char **ret_reason);
void http__router_find(const struct http__router *router, enum net_method method, struct slice path,
                       struct http__match *ret_match);
unsigned http__router_len(const struct http__router *router);
const struct http__route *http__router_at(const struct http__router *router, unsigned i);

/* http/settings.c */
enum status http__settings_init(struct http_app *app, const struct http_options *options);
void http__settings_fini(struct http_app *app);
/* A request begins, on its loop's thread; it goes by the settings that hold there now. */
void http__settings_enter(struct http_request *req);
/* It is over. */
void http__settings_leave(struct http_request *req);

/* http/policy.c */
enum status http__policies_init(struct http_settings *settings, const struct http_options *options);
const struct http_policy *http__policy_of(const struct http_settings *settings, struct slice path);

/* http/standards.c: INVALID when origins are none. */
enum status http__standards_init(struct http_settings *settings);
void http__standards_metrics(struct http_app *app, struct metrics *m);
void http__standards_count(struct http_request *req, enum http__standards_metric what);
static inline const struct http__standards *http__standards_of(const struct http_request *req)
{
    return &req->settings->standards[req->policy - req->settings->policies];
}
/* Whether the client speaks TLS. */
static inline bool http__is_secure(const struct http_request *req)
{
    return slice_eq(http_client_scheme(req), SLICE("https"));
}
/* The host that the client asked for. */
static inline struct slice http__host(const struct http_request *req)
{
    return http_client_host(req);
}

/* http/security_headers.c */
#define HTTP__OWN_CACHE (1u << 0)
#define HTTP__OWN_ETAG (1u << 1)
#define HTTP__OWN_DISPOSITION (1u << 2)
/* The bit of a header that a handler may set instead of us; 0: none of ours. */
unsigned http__own_header(struct slice name);
enum status http__blocks_make(struct arena *arena, const struct http_policy *policy,
                              struct http__standards *s);

/* http/origin.c: comma-separated, in any case. Returns what is wrong with it (words that follow
 * the key's name), or NULL. */
const char *http__origins_parse(struct arena *arena, struct slice list, struct http__origins *ret);
/* Whether an origin, as a browser sent it, is in the list; `any` is not looked at. */
bool http__origins_have(const struct http__origins *origins, struct slice origin);

enum status http__cors_make(struct arena *arena, const struct http_cors_policy *policy,
                            struct http__standards *s);
void http__cors_put_fixed(const struct http__standards *s, struct buf *out);
void http__deprecation_put_fixed(const struct http_policy *policy, struct buf *out);
struct slice http__cookie_of(const struct net_request *r, struct slice name);
int64_t http__csrf_ttl_of(const struct http_csrf_policy *policy);
void http__csrf_keys_make(struct http_app *app, struct slice secret, struct slice previous);

/* http/priority.c; never HTTP_PRIORITY_AUTO */
enum http_priority http__priority_of(const struct http_request *req);

/* http/overload.c */
enum status http__overload_new(struct http_app *app, const struct http_overload_options *options);
void http__overload_free(struct http__overload *overload);

/* http/rate_limit.c */
enum status http__rate_limits_new(struct http_app *app, const struct http_rate_options *options);
void http__rate_limits_free(struct http__rate_limits *limits);
enum status http__rate_set_init(struct http_settings *settings,
                                const struct http_rate_options *options);

/* http/compress.c */
struct http__compression *http__compression_new(const struct http_options *options);
void http__compression_free(struct http__compression *c);
/* Of this request's loop; NULL when there are none. */
struct http__coders *http__coders_of(struct http_request *req);
struct slice http__accept_encoding(const struct http_request *req); /* data NULL: none */
bool http__is_compressible(const struct http_policy *policy, const char *content_type);
/* The coding for an answer with these headers; `length` -1: unknown. Adds Vary when it depends on
 * Accept-Encoding. */
enum http__coding http__compress_choose(struct http_request *req, int status,
                                        const char *content_type, int64_t length);
/* Content-Encoding, and the entity tag as that coding has it. */
void http__compress_mark(struct http_request *req, enum http__coding coding);
void http__compress_not_modified(struct http_request *req);
/* So long that it is done in pieces, by a task. */
bool http__compress_is_long(struct slice body);
/* `body`, or what is sent for it, with the headers for that. Suspends where it has a task (NULL:
 * at once, or not at all). */
struct slice http__compress(struct task *task, struct http_request *req, int status,
                            const char *content_type, struct slice body);
/* Sets req->encoder when the stream is to be compressed. */
void http__compress_stream(struct http_request *req, int status, const char *content_type);
enum status http__compress_write(struct task *task, struct http_request *req, struct slice piece,
                                 enum http__flow flow);
/* As problem_set, with an HTTP status of its own; returns `st`. */
#define http__refuse(task, st, status_code, ...)                                                   \
    http__refuse_as((task), problem_set((task), (st), __VA_ARGS__), (status_code))
enum status http__refuse_as(struct task *task, enum status st, int http_status);
enum status http__body_problem(struct task *task, enum status st);
/* The coding of the body; refuses what is unknown or more than one with 415. */
enum status http__body_coding(struct task *task, struct http_request *req,
                              enum http__coding *ret_coding);
/* http/answer.c: send what http_send put off. Suspends. */
void http__send_later(struct task *task, struct http_request *req);
/* The tag of the list that is `etag` in some coding; SLICE_NULL. http/etag.c */
struct slice http__etag_variant(struct slice list, struct slice etag);
/* Name a header in Vary, joined with what is there. */
void http__vary_add(struct http_request *req, struct slice name);

/* http/files.c */
void http__files_free(struct http_files *files);
const char *http__file_type(struct slice name);
/* "app.3f9a0c11.js" */
bool http__file_name_is_hashed(struct slice name);
bool http__file_name_is_served(struct slice name);
/* http/answer.c: bytes of a file, and a stream of known length, neither compressed. */
enum status http__send_file(struct task *task, struct http_request *req, int status,
                            const char *content_type, struct net_file *file, int64_t offset,
                            int64_t length);
enum status http__stream_begin_sized(struct task *task, struct http_request *req, int status,
                                     const char *content_type, int64_t length);

/* Does If-Range let Range hold? http/conditional.c */
bool http__range_holds(const struct net_request *r, const struct http_validators *v);

/* http/signature.c; takes the keys */
struct http__signatures *http__signatures_new(const struct http_options *options);
/* Policies first. INVALID or NOT_FOUND: one of them names what there is not. */
void http__signatures_free(struct http__signatures *signatures);
/* The keys are the settings' from now on, also on failure. */
enum status http__signature_set_init(struct http_settings *settings,
                                     const struct http_options *options);
void http__signature_set_free(struct http__signature_set *set);
/* Add the challenge of a 401 that the signature was the reason of; false: it was not. */
bool http__signature_challenge(struct http_request *req);

struct http__metrics *http__metrics_new(struct metrics *metrics);
void http__metrics_free(struct http__metrics *hm);
struct http__label *http__label_get(struct http__metrics *hm, struct slice name);
struct slice http__label_name(const struct http_request *req);
void http__metrics_connections(struct http__metrics *hm, int change);
void http__metrics_refusal(struct http__metrics *hm, int status);
void http__metrics_http2_abuse(struct http__metrics *hm, const char *kind);
void http__metrics_stalled(struct http__metrics *hm);

/* A header from a step: known to be well-formed. */
void http__step_header(struct http_request *req, struct slice name, struct slice value);
void http__send_simple(struct http_request *req, enum status st, int http_status, const char *type,
                       const char *detail);
void http__send_options(struct http_request *req, unsigned allow);
/* "GET, HEAD, OPTIONS" in the request's arena. */
struct slice http__allow(struct http_request *req, unsigned allow);

/* Of a name without port. `pattern`: "example.org", "*.example.org" or "*". */
bool http__host_matches(struct slice pattern, struct slice name);

/* Is the peer a proxy of ours (server.trusted_proxies)? */
bool http__peer_is_trusted(const struct http_request *req);

/* What proxies say of one hop, the last of HTTP__HOPS_MAX in the order of the header. */
struct http__hop {
    struct slice node, proto, host; /* data NULL: not said */
};
#define HTTP__HOPS_MAX 24u
struct http__hops {
    struct http__hop items[HTTP__HOPS_MAX];
    unsigned len;
};
/* Add the hops of one header. RFC 7239; false: malformed. */
bool http__forwarded_parse(struct slice value, struct http__hops *hops);
/* Each entry as a node. */
void http__x_forwarded_parse(struct slice value, struct http__hops *hops);

/* W3C trace context: version 00, or the known part of a higher version. */
struct http__trace {
    struct slice trace_id; /* 32 digits of `text` */
    uint8_t flags;
};
bool http__traceparent_parse(struct slice text, struct http__trace *ret);
/* "1.234": milliseconds with microseconds behind the point. */
void http__put_milliseconds(struct buf *b, int64_t us);
/* 16 lower-case hex digits. */
void http__hex64(uint64_t value, char out[16]);

/* Decode %XX (and '+' when asked) into out, which has room for text.len. False: malformed, a zero
 * byte or no UTF-8. */
bool http__decode(struct slice text, bool plus_is_space, char *out, size_t *ret_len);
enum status http__query_parse(struct arena *arena, struct slice query,
                              struct http_param **ret_params, unsigned *ret_len);

static inline bool http__has_role(const struct task_caller *caller, struct slice role)
{
    for (unsigned i = 0; i < caller->roles_len; i++) {
        if (slice_eq(caller->roles[i], role))
            return true;
    }
    return false;
}
