/*
 * identity/issuer.h - Another issuer: where its endpoints are (discovery) and which keys it signs
 * with, fetched when they are first needed and kept. Private to the room.
 *
 * Data passes: an issuer's URL -> its document (issuer_doc.c), which must name that very issuer ->
 * its JWKS -> facts, shared by all loops and never changed -> whoever verifies holds them while it
 * does. They are fetched by one task at a time; the others wait for it, or go by older facts while
 * there are some. An issuer that is down is asked again ever less often, and its keys stay good
 * for a day. A key id that is not among them has them fetched anew, a few times and then rarely.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/jose.h"

struct arena;
struct identity_issuer;
struct metrics;
struct task;

#define IDENTITY_ISSUER_DOC_BYTES_MAX ((size_t)64 * 1024)
#define IDENTITY_ISSUER_URL_MAX 1024u

#define IDENTITY_ISSUER_FRESH_US (10 * CLOCK_MINUTE) /* then facts are fetched again */
#define IDENTITY_ISSUER_KEPT_US (24 * CLOCK_HOUR)    /* while it is down */
#define IDENTITY_ISSUER_RETRY_US CLOCK_SECOND        /* after a failure; doubles, */
#define IDENTITY_ISSUER_RETRY_MAX_US (5 * CLOCK_MINUTE)
#define IDENTITY_ISSUER_UNKNOWN_MAX 3u /* fetches for unknown key ids at once, */
#define IDENTITY_ISSUER_UNKNOWN_EVERY_US (30 * CLOCK_SECOND) /* and one more each */

/* -- its document: issuer_doc.c
 * -------------------------------------------------------------------------------------- */

struct identity_issuer_doc {
    struct slice issuer; /* as it says; of Microsoft's common ones with "{tenantid}" in it */
    struct slice authorization, token, userinfo, jwks; /* endpoints; userinfo may be empty */
    bool takes_post_only; /* client secrets in the body, not as Basic */
    bool sends_iss;       /* answers name the issuer (RFC 9207): one that does not is refused */
};
/*
 * Read a discovery document. Endpoints must be https, or http where `allow_http`.
 *
 * Errors   INVALID: *ret_reason says why (constant); TOO_LARGE, EXHAUSTED.
 * Memory   in the arena. Context  any thread.
 * Source   OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2.
 */
enum status identity_issuer_doc_read(struct arena *arena, struct slice text, bool allow_http,
                                     struct identity_issuer_doc *ret, const char **ret_reason);

/* Is it a URL that an issuer or endpoint may have? http only of this machine ("localhost",
 * 127.0.0.0/8, ::1), for development. */
bool identity_issuer_url_is_good(struct arena *arena, struct slice url, bool *ret_is_http);

/* -- facts
 * ------------------------------------------------------------------------------------------- */

struct identity_issuer_facts {
    atomic_uint refs;
    struct arena *arena; /* of the document's texts */
    struct identity_issuer_doc doc;
    struct identity_jose_set keys;
    int64_t fetched_us; /* monotonic */
};
void identity_issuer_facts_unref(struct identity_issuer_facts *facts);
DEFINE_CLEANUP(struct identity_issuer_facts *, identity_issuer_facts_unref)

struct identity_issuer_options {
    struct slice name;       /* in logs */
    struct slice url;        /* the issuer; its document is under it */
    struct slice expects;    /* what the document must call the issuer; empty: the URL */
    struct slice jwks;       /* fetched instead of a document; empty: by discovery */
    struct metrics *metrics; /* may be NULL */
};
/* Texts must outlive it. EXHAUSTED. Nothing is fetched. */
enum status identity_issuer_new(const struct identity_issuer_options *options,
                                struct identity_issuer **ret);
/* When no task uses it any more. NULL is fine. */
void identity_issuer_free(struct identity_issuer *issuer);

/*
 * What is known of it; fetched if nothing is, or if that is old.
 *
 * Errors   UNAVAILABLE with the problem "identity/issuer-down": it does not answer, or not as it
 *          must; CANCELLED, TIMEOUT of the task.
 * Memory   the caller unrefs.
 * Context  any loop; suspends.
 */
enum status identity_issuer_get(struct task *task, struct identity_issuer *issuer,
                                struct identity_issuer_facts **ret);
/*
 * A key is not among `seen`: what is known by now, if that is something else.
 *
 * Errors   as above; NOT_FOUND: it is the same, or asking again has to wait.
 */
enum status identity_issuer_get_newer(struct task *task, struct identity_issuer *issuer,
                                      const struct identity_issuer_facts *seen,
                                      struct identity_issuer_facts **ret);

/*
 * Verify a token by the issuer's keys, fetched anew if its key is not known. `policy` says all but
 * the keys; *ret_token refers to none of them.
 *
 * Errors   UNAUTHENTICATED: *ret_refusal says why; else as identity_issuer_get.
 */
enum status identity_issuer_verify(struct task *task, struct identity_issuer *issuer,
                                   struct slice token, struct identity_jose_policy policy,
                                   int64_t now_us, struct identity_jose_token *ret_token,
                                   enum identity_jose_refusal *ret_refusal);

/* -- requests to it: issuer_fetch.c
 * ---------------------------------------------------------------------------------- */

struct identity_issuer_call {
    struct slice url;
    struct slice form;          /* posted, if there is any */
    struct slice authorization; /* of the header; empty: none */
    size_t bytes_max;
};
/*
 * Ask an endpoint for JSON. Only public addresses are reached, and what client.allow opens; http
 * only on this machine.
 *
 * Errors   UNAVAILABLE, TIMEOUT, ... with the client's problem.
 * Memory   *ret_body in the task's arena. Context  suspends for at most some seconds.
 */
enum status identity_issuer_call(struct task *task, const struct identity_issuer_call *call,
                                 int *ret_http, struct slice *ret_body);
/* Fetch document and keys. The problem of the task is set. */
enum status identity__issuer_fetch(struct task *task, const struct identity_issuer_options *options,
                                   struct identity_issuer_facts **ret);
