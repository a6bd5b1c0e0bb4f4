/*
 * http/http.h - The edge: finds the route, runs the chain, turns statuses and problems into RFC
 * 9457 answers. One file a standard. Rooms above hand it routes; it knows none of them by name.
 *
 * Data passes: net_exchange -> http_request (a view) -> the chain's steps (http/chain.c lists them:
 * request id, trace context, caller, ...) -> the route's handler, inline on the loop's stack or in
 * a task -> http_send_* -> the steps' `after` halves add their headers -> net_send -> on_done: one
 * access line, metrics.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "net/net.h"

struct arena;
struct http_app;
struct http_request;
struct http_signature_key;
struct loop;
struct metrics;
struct problem;
struct rights;
struct address_set;
struct shared_counts;
struct task;
struct task_caller;

#define HTTP_PARAMS_MAX 8u
#define HTTP_QUERY_MAX 64u /* query parameters; beyond: 400 */

/*
 * Handle a request in a task. Answer through http_send_* or http_stream_* and return OK; or return
 * a status (with the task's problem set) and the edge answers with the problem.
 */
typedef enum status (*http_handler_fn)(struct task *task, struct http_request *req, void *arg);
/* Handle it at once on the loop's stack: must not wait. For answers that are ready: health,
 * documents. */
typedef void (*http_inline_fn)(struct http_request *req, void *arg);

enum http_audience {
    HTTP_PUBLIC,
    HTTP_ADMIN,    /* without the route's `permission` it is 401 or 403 */
    HTTP_SIGNED_IN /* for people: the handler says 401 to others, and whose session it asks for */
};

/* Who goes first when there is more work than time, and what limits hold. */
enum http_priority {
    HTTP_PRIORITY_AUTO,   /* AUTH under /auth/ and /oauth/, READ for GET and HEAD, else WRITE */
    HTTP_PRIORITY_HEALTH, /* never refused and never charged: health, metrics */
    HTTP_PRIORITY_AUTH,   /* credentials are tried here: the strictest limits */
    HTTP_PRIORITY_WRITE,
    HTTP_PRIORITY_READ,
    HTTP_PRIORITY_COUNT
};

struct http_route {
    enum net_method method; /* HEAD is served by GET's route, OPTIONS by the router */
    const char *pattern; /* "/api/v1/posts/{id}"; literal segments win over {params}; "{rest*}" last
                            takes all */
    http_handler_fn handler; /* exactly one of the two */
    http_inline_fn handle_inline;
    void *arg;
    enum http_audience audience;
    const char *permission; /* of HTTP_ADMIN: constant, base/rights.h; NULL: RIGHTS_OPERATE */
    int64_t body_bytes_max; /* 0: the policy's; -1: no body is read by the handler */
    int64_t timeout_us;     /* the task's deadline; 0: the policy's */
    bool signs_in;   /* pays no heed to a session, which may be over, and so to no CSRF token:
                        its handler asks http_is_cross_site itself */
    bool any_origin; /* pages of any origin may ask and read, without cookies: it is public, or asks
                        for a credential that no browser adds by itself */
    bool quiet;      /* successful answers are not access-logged (health, metrics) */
    enum http_priority priority;
    unsigned
        named_params; /* so many of its first params name what is served ("/api/v1/{resource}"),
                         not one row of it: limits by route tell them apart */
    int64_t deprecated_us; /* wall clock: not to be built upon since; 0: it is current */
    int64_t sunset_us;     /* when it goes; 0: not known yet */
    /* For /openapi.json and `purlin routes`: */
    const char *summary; /* a sentence, or NULL to leave it out of the document */
    const char *tag;
    const char *operation_id;
    const char *answer_type;   /* of a 200; NULL: application/json */
    const char *answer_schema; /* of its body, as JSON; NULL: anything */
    const char *parameters;    /* OpenAPI's parameter objects, a JSON array; constant. NULL: none */
    const char *answers;       /* further statuses, "201j 204 422": those with a "j" carry JSON that
                                  is no problem. Constant. NULL: none */
    const char *body_type;     /* what the body is sent as; NULL: no body is read */
};

/* -- rate limits (http/rate_rule.c, http/rate_limit.c; docs/limits.md)
 * ------------------------------------------------------------------- */

#define HTTP_RATE_RULES_MAX 5u /* of one list */
#define HTTP_RATE_NAME_MAX 32u

/* Whose requests are counted together: bits. None: everybody's. */
#define HTTP_RATE_BY_IP 1u    /* the client's address; of IPv6 its /64 */
#define HTTP_RATE_BY_USER 2u  /* who is signed in; else the address */
#define HTTP_RATE_BY_KEY 4u   /* the API key that was accepted; else the address */
#define HTTP_RATE_BY_ROUTE 8u /* the route's pattern */
#define HTTP_RATE_BY_TENANT 16u

struct http_rate_rule {
    struct slice name; /* "default": shown to clients, label of metrics */
    uint32_t count;    /* per period */
    int64_t period_us;
    uint32_t burst; /* at once; 0: count */
    uint32_t cost;  /* of a request; 0: 1 */
    unsigned by;    /* HTTP_RATE_BY_ */
    bool report;    /* is counted and told of, and refuses nobody */
    uint64_t id;    /* rules with the same id share their counts */
};

/*
 * Read "[NAME=]COUNT/PERIOD[/BY[+BY...]][;burst=N][;cost=N][;report]": "300/10s/ip",
 * "30/minute/user", "login=5/5min/ip+route;burst=2". PERIOD is a duration or second, minute, hour,
 * day; BY is ip, user, key, route, tenant or all.
 *
 * Errors   INVALID with a sentence in *ret_reason (constant text).
 * Memory   the name is a part of `text`; empty when none was given.
 */
enum status http_rate_parse(struct slice text, struct http_rate_rule *ret_rule,
                            const char **ret_reason);

enum http_rate_mode { HTTP_RATE_ENFORCE, HTTP_RATE_REPORT, HTTP_RATE_OFF };

/* The limits of some paths. */
struct http_rate_policy {
    const struct http_rate_rule *requests; /* of every request */
    const struct http_rate_rule *writes;   /* further ones, of those that are no GET or HEAD */
    const struct http_rate_rule *auth; /* further ones, where credentials are tried, and of wrong
                                          API keys everywhere */
    unsigned requests_len, writes_len, auth_len;
    uint32_t cost; /* multiplies that of each rule; 0: 1 */
    enum http_rate_mode mode;
};

enum http_rate_headers {
    HTTP_RATE_HEADERS_STANDARD,
    HTTP_RATE_HEADERS_BOTH,
    HTTP_RATE_HEADERS_OFF
};

struct http_rate_options {
    struct shared_counts *counts; /* outlives the app; NULL: no limits */
    enum http_rate_headers headers;
    struct slice exempt_roles; /* comma-separated */
    const struct address_set
        *exempt;                /* clients that are not limited; outlives the app; may be NULL */
    struct slice tenant_header; /* lower case; empty: the host is the tenant */
};

/* Which answers are compressed (http/compress.c), and what compressed bodies may become. */
struct http_compression {
    bool off;
    bool with_cookies;  /* also answers to requests that carry cookies: no secret is in them */
    int64_t bytes_min;  /* smaller answers go out as they are; 0: 1 KiB */
    struct slice types; /* comma-separated, a star for any part; empty: the default list */
    int64_t request_ratio_max; /* of a request's body, decoded to sent; beyond: 413. 0: 200 */
};

/* Of the process: how hard it compresses. 0: the default. */
struct http_coders {
    int zstd_level, br_level, gzip_level; /* 3, 4, 5 */
    int64_t bytes_per_second;             /* of answers, by one loop; beyond: plain. 32 MiB */
};

/* -- the protective standards; zero is the default of each, and safe
 * ------------------------------------- */

/* A page may load from its own origin only, and run no inline script; data: is for the icons in
 * style sheets. */
#define HTTP_CSP_PAGE                                                                              \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors "   \
    "'none'"
#define HTTP_PERMISSIONS                                                                           \
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "              \
    "magnetometer=(), microphone=(), payment=(), usb=()"

enum http_profile {
    HTTP_PROFILE_AUTO, /* pages html, attachments download, the rest api */
    HTTP_PROFILE_OFF,  /* a proxy in front writes them */
    HTTP_PROFILE_API,
    HTTP_PROFILE_HTML,
    HTTP_PROFILE_DOWNLOAD /* bytes of others: an attachment, and a sandbox if it is shown */
};

/* http/security_headers.c. Headers that a handler sets itself win over these. */
struct http_headers_policy {
    enum http_profile profile;
    bool compat;              /* X-XSS-Protection: 1; mode=block, for old audits */
    bool hsts_host_only;      /* not for subdomains */
    bool hsts_preload;        /* cannot be taken back for months: only when asked for */
    int64_t hsts_us;          /* 0: two years; negative: not sent. Over TLS only */
    struct slice csp;         /* of pages; empty: HTTP_CSP_PAGE */
    struct slice referrer;    /* empty: no-referrer */
    struct slice permissions; /* empty: HTTP_PERMISSIONS */
    struct slice resource;    /* Cross-Origin-Resource-Policy; empty: same-origin */
};

/* http/cors.c */
#define HTTP_CORS_HEADERS                                                                          \
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-Modified-Since, If-None-Match, "   \
    "If-Range, If-Unmodified-Since, Last-Event-ID, Prefer, Range, X-API-Key, X-CSRF-Token, "       \
    "X-Request-Id, traceparent, tracestate"
/* All that this program answers with and Fetch does not show by itself. */
#define HTTP_CORS_EXPOSE                                                                           \
    "Accept-Patch, Allow, Content-Disposition, Content-Range, Deprecation, ETag, "                 \
    "Idempotency-Replayed, Link, Location, Preference-Applied, RateLimit, RateLimit-Policy, "      \
    "Retry-After, Sunset, WWW-Authenticate, X-RateLimit-Limit, X-RateLimit-Remaining, "            \
    "X-RateLimit-Reset, X-Request-Id, traceparent"

struct http_cors_policy {
    struct slice
        origins;      /* comma-separated: "https://app.example.org", "https://<star>.example.org"
                         with a star, "null"; or "*" alone. Empty: none but our own */
    bool credentials; /* cookies; never with "*" or null */
    bool private_network; /* pages of the internet may reach this server in a private network */
    struct slice headers; /* that requests may have; empty: HTTP_CORS_HEADERS */
    struct slice expose;  /* that pages may read; empty: HTTP_CORS_EXPOSE */
    int64_t max_age_us;   /* of a preflight's answer; 0: 2 h */
};
/* What is wrong with it, in words that follow "cors.origins"; NULL: nothing. */
const char *http_cors_check(const struct http_cors_policy *policy);

/* http/csrf.c */
#define HTTP_SESSION_COOKIE "__Host-purlin_session"
#define HTTP_CSRF_COOKIE "__Host-purlin_csrf"

struct http_csrf_policy {
    bool off;
    bool same_site;         /* pages of sibling hosts (other.example.org) pass too */
    bool token_is_fallback; /* asked only when the browser says nothing of where it comes from */
    struct slice sessions;  /* names of session cookies, comma-separated; empty: the one above */
    struct slice cookie;    /* that holds the token; empty: the one above */
    struct slice origins;   /* further origins whose pages may use the session; as cors.origins */
    int64_t ttl_us;         /* of a token; 0: 24 h */
};

/* http/deprecation.c */
struct http_deprecation_policy {
    int64_t deprecated_us; /* wall clock; 0: not */
    int64_t sunset_us;     /* 0: not known yet */
    bool gone_after_sunset;
    struct slice link; /* where it is written about; empty: nowhere */
};

/* -- overload (http/overload.c; docs/limits.md)
 * ----------------------------------------------------------------------------------------- */

struct http_overload_options {
    int64_t target_us;      /* waiting for longer than this, again and again, is overload; 0: off */
    int64_t interval_us;    /* how often it is looked at */
    unsigned in_flight_max; /* requests under way on one loop */
    bool adaptive;          /* fewer, by how long answers take */
    /* How long a write would wait for the writer now; any thread. May be NULL. */
    int64_t (*write_delay_us)(void *arg);
    void *arg;
};

/* Whether requests must be signed, how, and by whom; docs/signatures.md. */
enum http_signature_mode { HTTP_SIGNATURE_OFF, HTTP_SIGNATURE_OPTIONAL, HTTP_SIGNATURE_REQUIRED };
struct http_signature_policy {
    enum http_signature_mode mode; /* optional: who signs must sign well */
    enum http_signature_mode nonce;
    bool takes_messages;   /* HTTP Message Signatures, RFC 9421 */
    bool takes_plain;      /* the plain HMAC profile, X-Signature */
    int64_t max_age_us;    /* of a signature since it was created */
    int64_t clock_skew_us; /* how far a signer's clock may run ahead */
    struct slice
        components;    /* "@method,@path,...": what a signature must cover where it is there */
    struct slice keys; /* ids of the keys that are accepted, comma-separated; empty: all */
    struct slice tag;  /* that a signature must have; empty: any or none */
};

/*
 * What holds for the requests of some paths; each standard has its part here. The first policy of
 * an app is for all, each further one for the paths at and under its `match`; the longest holds.
 */
struct http_policy {
    struct slice match;     /* "/api/v1/uploads"; of the first: empty */
    int64_t body_bytes_max; /* of a request whose route names none; 0: the server's */
    int64_t timeout_us;     /* of a request whose route names none; 0: 30 s */
    unsigned query_max; /* query parameters; beyond: 400. 0: HTTP_QUERY_MAX, which is the most */
    unsigned json_depth_max; /* of arrays and objects within each other; 0: 32, which is the most */
    struct http_rate_policy rate;
    struct http_compression compression;
    struct http_headers_policy headers;
    struct http_cors_policy cors;
    struct http_csrf_policy csrf;
    struct http_deprecation_policy deprecation;
    struct http_signature_policy signature;
};

/* Which headers of trusted proxies are believed. */
enum http_forwarded {
    HTTP_FORWARDED_AUTO,    /* the family that is there; both only when they agree */
    HTTP_FORWARDED_RFC7239, /* Forwarded */
    HTTP_FORWARDED_X,       /* X-Forwarded-For, -Proto, -Host */
    HTTP_FORWARDED_OFF
};

struct http_options {
    struct metrics *metrics;           /* may be NULL */
    const struct address_set *proxies; /* whose word is taken on whom they speak for; outlives the
                                          app; may be NULL */
    enum http_forwarded forwarded;
    const struct slice *hosts; /* "example.org", "*.example.org", "*"; others get 421; outlive the
                                  app */
    unsigned hosts_len;        /* 0: any */
    struct slice admin_key;    /* PURLIN_ADMIN_KEY; empty: none. X-API-Key or Authorization: Bearer
                                  equal to it -> role admin */
    const struct rights *rights; /* what roles let do; outlives the app; NULL: admin all */
    bool development;            /* Server-Timing, causes in 500 answers stay out even so */
    bool access_log;
    struct slice
        problem_base;    /* prefix of problem type URIs; default "https://purlin.dev/problems/" */
    struct slice secret; /* signs CSRF tokens; empty: one of this process */
    struct slice secret_previous;       /* tokens signed with it still pass */
    const struct http_policy *policies; /* copied; their texts must outlive the settings */
    unsigned policies_len;              /* 0: one with the defaults */
    struct http_rate_options rate;
    struct http_coders coders;
    struct http_overload_options overload;
    struct http_signature_key *const *signature_keys; /* not ours from now on, also on failure */
    unsigned signature_keys_len;                      /* at most HTTP_SIGNATURE_KEYS_MAX */
    unsigned signature_nonces_max; /* remembered at once; 0: HTTP_SIGNATURE_NONCES_DEFAULT */
};

/* One per process; routes are added before the first server opens, then it is read-only and shared
 * by the loops. INVALID: a policy's origins are none (http_cors_check says why). */
enum status http_app_new(const struct http_options *options, struct http_app **ret_app);
void http_app_free(struct http_app *app);
/*
 * Replace, while requests run, what of the options may change: policies, rate (but for counts),
 * proxies, forwarded, hosts, access_log and signature_keys. Made first, so that a mistake changes
 * nothing; then published, which cannot fail: each loop goes over to them between two of its
 * events, and a request ends under those that it began under. What is counted and remembered
 * (limits by the rules' ids, nonces) goes on.
 *
 * Errors   INVALID as http_app_new; EXHAUSTED: requests still run under so many earlier ones that
 *          there is no place for another: HTTP_SETTINGS_MAX in all.
 * Memory   texts of the options must live until `release` has run, on whatever thread, when the
 * last request that used them is over, or with the app. Context  one thread at a time; while loops
 * run none of theirs. Never suspends. Source   decision 0032.
 */
struct http_settings;
#define HTTP_SETTINGS_MAX 8u
enum status http_settings_new(struct http_app *app, const struct http_options *options,
                              struct http_settings **ret_settings);
void http_settings_release_set(struct http_settings *settings, void (*release)(void *arg),
                               void *arg);
/* Runs on each loop as it goes over, before anything of the earlier settings is freed by it. */
typedef void (*http_switch_fn)(struct loop *loop, void *arg);
/* To all loops that serve the app, always the same ones. `on_switch` may be NULL. */
void http_settings_publish(struct http_settings *settings, struct loop *const *loops,
                           unsigned loops_len, http_switch_fn on_switch, void *arg);
/* Which were not published; harmless for NULL. */
void http_settings_free(struct http_settings *settings);
/* How many some request or loop still goes by; any thread. */
unsigned http_settings_living(const struct http_app *app);

/* INVALID: the pattern is malformed or taken; *ret_reason says which (constant). `route` is copied.
 */
enum status http_route_add(struct http_app *app, const struct http_route *route,
                           const char **ret_reason);
/* The permission that a route needs; NULL: none. */
const char *http_route_permission(const struct http_route *route);
/* Walk the routes in the order added. */
unsigned http_routes_len(const struct http_app *app);
const struct http_route *http_route_at(const struct http_app *app, unsigned i);

/* What a step says of a request. */
enum http_verdict {
    HTTP_STEP_NEXT,     /* go on with the next one */
    HTTP_STEP_ANSWERED, /* it has answered */
    HTTP_STEP_WAIT      /* it has to wait: call it again in a task */
};

/*
 * A step of the chain that a room above brings (who asks, for example). It runs before every
 * handler, in the order added, behind the chain's own look at the caller and before limits and
 * audiences are judged. `task` is NULL at first: a step that can decide without waiting does so.
 * One that cannot returns HTTP_STEP_WAIT, and is called again in the request's task, which then
 * runs the rest of the chain and the handler, an inline one too. Where nobody waits there is no
 * task.
 *
 * A wait of the task that fails (CANCELLED: the peer is gone; TIMEOUT: the route's deadline) ends
 * the request: answer with http_send_problem and return HTTP_STEP_ANSWERED. Requests that were
 * refused before they were whole do not come here.
 */
typedef enum http_verdict (*http_step_fn)(struct task *task, struct http_request *req, void *arg);
#define HTTP_STEPS_MAX 8u
/* Start of the process. `name` is constant. EXHAUSTED beyond HTTP_STEPS_MAX. */
enum status http_step_add(struct http_app *app, const char *name, http_step_fn fn, void *arg);
/* For such a step: who asks. Copied; its roles live in the request's arena or longer. */
void http_caller_set(struct http_request *req, const struct task_caller *caller);
/* By which API key, as a number that names it and is no secret: limits by key count under it. */
void http_caller_key_set(struct http_request *req, uint64_t key_id);
/* What asks by itself, no person: for the audit log. */
enum http_program_kind {
    HTTP_PROGRAM_NONE, /* a person, nobody, or whoever has the bootstrap key */
    HTTP_PROGRAM_KEY,
    HTTP_PROGRAM_CLIENT,
    HTTP_PROGRAM_CERTIFICATE,
};
struct http_program {
    enum http_program_kind kind;
    struct slice id; /* lives as long as the request */
};
void http_program_set(struct http_request *req, struct http_program program);
struct http_program http_program(const struct http_request *req);
/* Credentials were presented and are wrong: charged to the policies for that. */
void http_caller_failed(struct http_request *req);
/* The same, and the request is refused with 401 once it has been charged: who guesses too often
 * gets 429 instead. `type` and `detail` are constant. */
void http_caller_refuse(struct http_request *req, const char *type, const char *detail);
/* Whose data is asked for, where one server has many tenants. Lives as long as the request. */
void http_tenant_set(struct http_request *req, struct slice tenant);

/* Fill on_request, on_refusal, on_done and arg of the options, so that a net_server serves this
 * app. */
void http_app_serve(struct http_app *app, struct net_server_options *options);
/* A request ready to be answered exists: draining flag for health (set by shutdown). */
void http_app_draining_set(struct http_app *app, bool draining);
bool http_app_is_draining(const struct http_app *app);
/* Send requests in clear to https on this port (443 is not named) with 308; 0: do not. Any thread.
 */
void http_app_https_set(struct http_app *app, unsigned port);

/* -- the request
 * ----------------------------------------------------------------------------------------- */

struct http_param {
    struct slice name;
    struct slice value; /* decoded */
};

struct net_exchange *http_exchange(struct http_request *req);
const struct net_request *http_net(const struct http_request *req);
struct arena *http_arena(struct http_request *req);
struct http_app *http_app_of(struct http_request *req);
enum net_method http_method(const struct http_request *req);
struct slice http_path(const struct http_request *req);
/* The route's {name}; SLICE_NULL when it has none. */
struct slice http_path_param(const struct http_request *req, struct slice name);
/* Query parameters, decoded ('+' is a space) and checked for UTF-8, in the order sent. INVALID
 * (problem) when malformed or too many. Parsed at the first call. */
enum status http_query(struct task *task, struct http_request *req,
                       const struct http_param **ret_params, unsigned *ret_len);
const struct http_route *
http_route_of(const struct http_request *req); /* NULL before routing or unmatched */
/* What metrics, traces and the access log call this request's route instead of its pattern:
 * "/api/v1/posts/{id}" for a handler that serves many resources by one pattern. Takes few values;
 * outlives the request (or lives in its arena). */
void http_route_label_set(struct http_request *req, struct slice label);
/*
 * Whose request it is: the peer, or whom a trusted proxy names (http/client_address.c). The text is
 * canonical: "192.0.2.1", "2001:db8::1"; "unix" for a peer without an address, whose value is NULL.
 */
struct slice http_client_ip(const struct http_request *req);
const struct address *http_client_address(const struct http_request *req);
/* "https" or "http", as the client wrote it; the host (with a port, if it wrote one) likewise. */
struct slice http_client_scheme(const struct http_request *req);
struct slice http_client_host(const struct http_request *req);
/* The policy that holds for a path, before loops run; for a path while a request is looked at; and
 * for a request. Never NULL. */
const struct http_policy *http_policy_of(const struct http_app *app, struct slice path);
const struct http_policy *http_policy_at(const struct http_request *req, struct slice path);
const struct http_policy *http_policy(const struct http_request *req);
/* The value of the first cookie of that name; SLICE_NULL when there is none. */
struct slice http_cookie(const struct http_request *req, struct slice name);
/* Who asks, as far as the chain knows (bootstrap key for now). */
const struct task_caller *http_caller(const struct http_request *req);
struct slice http_request_id(const struct http_request *req);

/* The whole body, decoded when it came as gzip, deflate, br or zstd (RFC 9110 8.4); refuses other
 * types than `type` ("application/json" also allows +json) and other codings with 415. `type` may
 * be NULL. It may be asked for again. */
enum status http_body(struct task *task, struct http_request *req, const char *type,
                      struct slice *ret_body);
/*
 * The next piece of the body, decoded. NOT_FOUND at its end; else as net_body_read, with the
 * problem set. The limit on the body holds for what was sent and for what that becomes. INVALID
 * after the last piece when Content-Digest or the signature speaks of another body: nothing that
 * cannot be undone may be done before NOT_FOUND.
 * Memory   *ret_piece is valid until the next call. Context  suspends.
 */
enum status http_body_read(struct task *task, struct http_request *req, struct slice *ret_piece);
/* The fields of a form (application/x-www-form-urlencoded), as query parameters. INVALID:
 * malformed; TOO_LARGE: more than HTTP_QUERY_MAX; EXHAUSTED. Memory   in `arena`. */
enum status http_form_parse(struct arena *arena, struct slice body,
                            const struct http_param **ret_params, unsigned *ret_len);
/* The type of the body without parameters, lower case; empty when absent. */
struct slice http_content_type(const struct http_request *req);

/* -- the answer
 * ------------------------------------------------------------------------------------------ */

/* Add a header (name in its canonical spelling). The slices must live in the request's arena or be
 * constant. At most 32; control characters make it INTERNAL when sent. One that tells what runs
 * here (http_header_is_disclosing) is left out. */
void http_header_add(struct http_request *req, struct slice name, struct slice value);
/* Server, X-Powered-By and their kind: names that never leave, also not with what an upstream
 * answered. Any case. */
bool http_header_is_disclosing(struct slice name);
#define HTTP_JSON "application/json"
/*
 * Answers are compressed by what the client accepts, except where a secret could be told by their
 * length (http/compress.c has the rule). A handler that knows better says so before it sends:
 * never, or that no answer of it holds both a secret and what somebody else may have chosen.
 */
void http_compress_never(struct http_request *req);
void http_compress_safe(struct http_request *req);
/* Send whole. `body` in the request's arena or constant. A long body that is to be compressed
 * leaves when the handler has returned. */
void http_send(struct http_request *req, int status, const char *content_type, struct slice body);
static inline void http_send_json(struct http_request *req, int status, struct slice body)
{
    http_send(req, status, HTTP_JSON, body);
}
void http_send_empty(struct http_request *req, int status); /* 204, 304, 202 without a body */
void http_send_problem(struct http_request *req, enum status st, const struct problem *problem);
/* Stream. After _begin an error can only cut the connection (return a status other than OK). */
enum status http_stream_begin(struct http_request *req, int status, const char *content_type);
/* What was written has left the compressor too when this returns: streams do not wait for more. */
enum status http_stream_write(struct task *task, struct http_request *req, struct slice piece);
/* Suspends for the last bytes of a compressed stream. */
void http_stream_end(struct http_request *req);
bool http_is_answered(const struct http_request *req);

/* The table that is used for every answer: enum status -> HTTP status. */
int http_status_of(enum status st);
const char *http_reason(int status);

/* Append the problem document for (st, problem) to `out`; used for parts of a batch too. */
void http_problem_write(struct http_request *req, enum status st, const struct problem *problem,
                        struct buf *out, int *ret_status);

/* Does the ETag list of If-Match / If-None-Match name `etag` (quoted, strong; weak_ok for
 * If-None-Match)? "*" does, and so does the tag of the same thing in a content coding
 * ("3-abc-br"). */
bool http_etag_matches(struct slice list, struct slice etag, bool weak_ok);

/* -- limits that a room above declares (a contract's, for example)
 * ---------------------------------------------------------------------------- */

struct http_rate; /* a rule made ready */

/* Make a rule ready; *ret_rate is NULL where limits are off. EXHAUSTED. Memory: in `arena`; the
 * rule's name is copied. Any thread. */
enum status http_rate_new(struct http_app *app, struct arena *arena,
                          const struct http_rate_rule *rule, const struct http_rate **ret_rate);

/*
 * Charge `costs[i]` units to each of the rules, or none of them; the request's own limits were
 * charged before its handler began. The tightest is advertised in the answer.
 *
 * Errors   EXHAUSTED with the problem of a 429 when one of them refuses; CANCELLED, TIMEOUT.
 * Context  suspends where the counts are on another machine.
 * Bounds   decided together in groups of 16; those of cost 0, and NULL ones, are left out.
 */
enum status http_rate_take(struct task *task, struct http_request *req,
                           const struct http_rate *const *rates, const uint32_t *costs,
                           unsigned len);

/* What is in force and who runs into it, as a JSON object: for administrators. `out` is an arena's.
 * Any thread. */
void http_limits_write(const struct http_request *req, struct buf *out);

/* -- static files
 * --------------------------------------------------------------------------------------------- */

struct http_files;

struct http_files_options {
    struct slice folder;
    const char *path; /* "/static": its files are under it; "/"; NULL: no route of its own */
    struct slice
        fallback;      /* a file that answers who asks for a page that is not there; empty: none */
    int64_t max_age_s; /* how long names without a hash may be kept; 0: ask each time */
};
/*
 * Serve a folder: GET and HEAD of what is in it, "index.html" for folders, hidden names do not
 * exist, links that lead out do not either. Conditions, ranges, codings, "immutable" for names with
 * a hash.
 *
 * Errors   INVALID when the folder cannot be opened or the path is taken; *ret_reason says which.
 * Memory   freed with the app; texts of the options must outlive it. `ret_files` may be NULL.
 * Context  start of the process.
 */
enum status http_files_add(struct http_app *app, const struct http_files_options *options,
                           struct http_files **ret_files, const char **ret_reason);
/* Answer with a file of the folder, by its name in it; NOT_FOUND (problem) when there is none. For
 * handlers that find the name otherwise. Suspends. */
enum status http_files_send(struct task *task, struct http_request *req, struct http_files *files,
                            struct slice name);

/* -- conditions and ranges
 * ------------------------------------------------------------------------------------ */

struct http_validators {
    struct slice etag;   /* with quotes; of the coding that will be sent */
    int64_t modified_us; /* -1: not known */
};

enum http_condition {
    HTTP_PROCEED,
    HTTP_NOT_MODIFIED,       /* 304 */
    HTTP_PRECONDITION_FAILED /* 412 */
};

/* What the request's If-* headers ask for, in the order of RFC 9110 section 13.2.2. */
enum http_condition http_conditions(const struct http_request *req,
                                    const struct http_validators *validators);

#define HTTP_RANGES_MAX 16u

struct http_range {
    int64_t first, length; /* bytes; at least one, inside of the whole */
};

enum http_ranges {
    HTTP_RANGES_NONE,   /* another unit, or malformed: as if it were not there */
    HTTP_RANGES_SOME,   /* *ret_len of them, apart from each other */
    HTTP_RANGES_REFUSED /* all past the end, or too many: 416 */
};

/*
 * The ranges of a Range header over `size` bytes; those that overlap or nearly touch are joined,
 * the others are in the order asked for.
 * Source   RFC 9110 section 14.
 */
enum http_ranges http_ranges_parse(struct slice header, int64_t size,
                                   struct http_range ranges[HTTP_RANGES_MAX], unsigned *ret_len);

/* Does the browser say that a page of another site made this request? For what has no session yet
 * that the chain could guard: signing in. */
bool http_is_cross_site(const struct http_request *req);

/* -- CSRF tokens
 * ------------------------------------------------------------------------------------------ */

/* Of a session, which is named by the value of its cookie: base64url, no NUL. */
#define HTTP_CSRF_TOKEN_LEN 76u
void http_csrf_token_make(const struct http_app *app, struct slice session,
                          char out[HTTP_CSRF_TOKEN_LEN]);
/* In constant time; by the lifetime of the first policy. */
bool http_csrf_token_verify(const struct http_app *app, struct slice session, struct slice token);
/*
 * Make a token and set its cookie on the answer, as identity does at sign-in and where a page asks
 * for one. INVALID: no session. Memory   *ret_token lives in the request's arena.
 */
enum status http_csrf_token_issue(struct http_request *req, struct slice session,
                                  struct slice *ret_token);

/* How loaded the loops are: the worst of them, or their sum. Any thread; zeros when shedding is
 * off. */
struct http_overload_stats {
    double level;     /* 0: nothing is shed; up to 1: a part of the reads; 2: of the writes; 3: of
                         what tries credentials */
    int64_t delay_us; /* the shortest wait for a turn in the last interval */
    unsigned in_flight, in_flight_limit;
    uint64_t shed;
};
void http_overload_read(struct http_app *app, struct http_overload_stats *ret);

/* -- signatures (docs/signatures.md)
 * ------------------------------------------------------------------------------- */

#define HTTP_SIGNATURE_KEYS_MAX 64u
#define HTTP_SIGNATURE_NONCES_DEFAULT 100000u
#define HTTP_SIGNATURE_COMPONENTS_MAX 32u /* that a policy may ask for */

/* The id of the key that signed the request, or SLICE_NULL: nothing was signed. What was signed is
 * verified before a handler runs, but for the body: http_body fails when it is another one. */
struct slice http_signature_key(const struct http_request *req);

/*
 * A key: its id, its algorithm (a name of RFC 9421: "hmac-sha256", "ed25519", ...) and what it is
 * made of: the secret, or a public or private key in PEM.
 *
 * Errors   INVALID, *ret_reason (constant) says why; EXHAUSTED.
 * Memory   everything is copied, and wiped by http_signature_key_free.
 */
enum status http_signature_key_new(struct slice id, struct slice alg, struct slice material,
                                   struct http_signature_key **ret_key, const char **ret_reason);
void http_signature_key_free(struct http_signature_key *key); /* takes NULL */
struct slice http_signature_key_id(const struct http_signature_key *key);
bool http_signature_alg_is_known(struct slice alg);
/* A component that a policy may ask for: "@method", or a lower-case header name. */
bool http_signature_component(struct slice name);

/* A request that is going to be sent. */
struct http_signature_request {
    const struct http_signature_key *key;
    struct slice method, scheme, authority; /* "POST", "https", "api.example.com" */
    struct slice path;                      /* as it will be sent */
    struct slice query;                     /* without "?"; data NULL: there is none */
    const struct net_header *headers;
    unsigned headers_len;
    struct slice body;              /* empty: none */
    const struct slice *components; /* NULL: method, authority, path, query and the body's digest */
    unsigned components_len;
    struct slice label;  /* empty: "sig1" */
    struct slice nonce;  /* empty: one is made */
    struct slice tag;    /* empty: none */
    int64_t created_us;  /* 0: now */
    int64_t lifetime_us; /* 0: says nothing of when it expires */
};
#define HTTP_SIGNATURE_HEADERS_MAX 3u

/*
 * Sign a request: the headers to send with it (Content-Digest when it has a body, Signature-Input,
 * Signature).
 *
 * Errors   INVALID: the key can only verify, or a component is not in the request; EXHAUSTED.
 * Memory   the headers live in the arena or are constant.
 * Context  any thread; never suspends. RSA takes about a millisecond.
 * Source   RFC 9421 section 3.1.
 */
enum status http_signature_sign(struct arena *arena, const struct http_signature_request *request,
                                struct net_header ret_headers[HTTP_SIGNATURE_HEADERS_MAX],
                                unsigned *ret_len);
/* The same by the plain profile: one header, X-Signature. INVALID: the key is no shared secret. */
enum status http_signature_sign_plain(struct arena *arena,
                                      const struct http_signature_request *request,
                                      struct net_header *ret_header);

/* A webhook as it came. */
struct http_webhook {
    struct slice id, timestamp, signature; /* Webhook-Id, -Timestamp, -Signature */
    struct slice body;
};
#define HTTP_WEBHOOK_HEADERS 3u

/*
 * Sign a webhook as standard-webhooks does: v1 by a shared secret, v1a by an Ed25519 key. INVALID:
 * the key is neither, can only verify, or the id has a dot or is no printable text.
 */
enum status http_webhook_sign(struct arena *arena, const struct http_signature_key *key,
                              struct slice id, int64_t sent_us, struct slice body,
                              struct net_header ret_headers[HTTP_WEBHOOK_HEADERS]);
/*
 * Is it signed by this key? Whoever acts on it remembers its id: it may come again.
 *
 * Errors   INVALID: malformed; TIMEOUT: sent longer than tolerance_us ago, or ahead; else
 *          UNAUTHENTICATED.
 */
enum status http_webhook_verify(struct arena *arena, const struct http_signature_key *key,
                                const struct http_webhook *hook, int64_t tolerance_us);
