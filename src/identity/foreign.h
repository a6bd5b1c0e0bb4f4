/*
 * identity/foreign.h - Signing in elsewhere: this room as a client of other providers. Private to
 * the room.
 *
 * Data passes: GET /auth/providers/NAME/start -> a flow (foreign_flow.c): state, nonce and PKCE
 * verifier, sealed into a cookie of this browser -> the provider's page -> its callback, whose
 * state has to be the cookie's and is used up -> the code is exchanged (foreign_oidc.c,
 * foreign_github.c) -> who it is there -> an account here (foreign_sign_in.c): linked to it
 * already, made by it, or asked to sign in first.
 *
 * Source   RFC 6749, RFC 7636, RFC 9207, RFC 9700; OpenID Connect Core 1.0 section 3.1; decision
 *          0042.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/metric.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/challenge.h"
#include "identity/providers.h"
#include "identity/seal.h"

struct http_request;
struct identity;
struct identity_issuer;
struct task;

#define IDENTITY_FLOW_COOKIE "__Host-purlin_foreign"
#define IDENTITY_RETURN_MAX 512u /* bytes of a return_to */
#define IDENTITY_FOREIGN_CODE_MAX 4096u
#define IDENTITY_FOREIGN_NAME_MAX 200u

enum identity_foreign_outcome {
    IDENTITY_FOREIGN_OK,      /* somebody who was here before */
    IDENTITY_FOREIGN_NEW,     /* an account was made */
    IDENTITY_FOREIGN_LINKED,  /* to an account that was there */
    IDENTITY_FOREIGN_DENIED,  /* the person, or the provider, said no */
    IDENTITY_FOREIGN_REFUSED, /* here: no account, a wrong state, a token that does not hold */
    IDENTITY_FOREIGN_DOWN,    /* the provider does not answer as it must */
    IDENTITY_FOREIGN_OUTCOMES
};

/* A provider at work. */
struct identity_source {
    struct identity *identity;
    const struct identity_provider *config;
    struct identity_issuer *issuer; /* NULL: GitHub, which has none */
    metric_series outcomes[IDENTITY_FOREIGN_OUTCOMES];
};

struct identity_foreign {
    struct identity_source *sources;
    unsigned len;
    struct identity_seal seal;
};

/* From the options of the room; nothing when there are no providers. */
enum status identity_foreign_open(struct identity *identity);
void identity_foreign_close(struct identity_foreign *foreign);
/* NULL: there is none of this name. */
struct identity_source *identity_source_find(const struct identity *identity, struct slice name);
void identity_source_count(const struct identity_source *source,
                           enum identity_foreign_outcome outcome);

/* -- a flow: foreign_flow.c
 * --------------------------------------------------------------------------------------- */

#define IDENTITY_FLOW_SECRET_LEN 43u /* 32 random bytes in base64url */

struct identity_flow {
    struct slice return_to; /* where it ends; empty: our page */
    struct slice nonce, verifier, state;
    bool has_user; /* to link it to: */
    struct uuid user, session;
};

/* May a sign-in end there? A path of ours, or a URL of an origin that is configured. Everything
 * that browsers read in different ways is refused. */
bool identity_return_is_good(const struct identity *identity, struct slice return_to);
/* Is it such a path? Also where there are no providers. */
bool identity_return_is_path(struct slice return_to);
/*
 * Begin: fill in state, nonce and verifier, and give the browser the cookie that they are sealed
 * into.
 *
 * Errors   EXHAUSTED. Memory   in the task's arena. Context  never suspends.
 */
enum status identity_flow_begin(struct task *task, struct http_request *req,
                                const struct identity_source *source, struct identity_flow *flow);
/*
 * Take the flow of this browser that a callback of this provider belongs to: once, within ten
 * minutes.
 *
 * Errors   DENIED with the problem "identity/foreign-state". Memory   in the task's arena.
 * Context  suspends for a write.
 */
enum status identity_flow_take(struct task *task, struct http_request *req,
                               const struct identity_source *source, struct slice state,
                               struct identity_flow *ret);

/* -- who it is there
 * ------------------------------------------------------------------------------------ */

struct identity_foreign_person {
    struct slice provider, subject;
    struct slice email;        /* empty: not told */
    bool is_verified;          /* the provider says that it verified the address */
    bool is_owner;             /* the provider is who gives such addresses out */
    struct slice name, handle; /* what they are called, and call themselves; may be empty */
};

/* What came back with the browser. */
struct identity_callback {
    struct slice code, state, iss, error;
    struct slice user; /* Apple: JSON with the name, the first time */
};

/*
 * Where to send the browser. UNAVAILABLE with the problem "identity/issuer-down". In the task's
 * arena; suspends.
 */
enum status identity_source_url(struct task *task, const struct identity_source *source,
                                const struct identity_flow *flow, struct slice *ret_url);
/*
 * Exchange the code, and verify what comes of it.
 *
 * Errors   DENIED with the problem "identity/foreign-token": something of the answer does not hold;
 *          UNAVAILABLE with "identity/issuer-down".
 * Memory   in the task's arena. Context  suspends.
 */
enum status identity_source_ask(struct task *task, const struct identity_source *source,
                                const struct identity_flow *flow,
                                const struct identity_callback *callback,
                                struct identity_foreign_person *ret);
/* Our own endpoint of a provider. In the arena. */
struct slice identity_source_callback_url(struct arena *arena,
                                          const struct identity_source *source);

/* foreign_oidc.c, foreign_github.c: one each. */
enum status identity__oidc_ask(struct task *task, const struct identity_source *source,
                               const struct identity_flow *flow,
                               const struct identity_callback *callback,
                               struct identity_foreign_person *ret);
enum status identity__github_ask(struct task *task, const struct identity_source *source,
                                 const struct identity_flow *flow,
                                 const struct identity_callback *callback,
                                 struct identity_foreign_person *ret);
/* Parts of them that read what a provider said, for tests. INVALID: it is not what it must be. */
enum status identity_github_user_read(struct arena *arena, struct slice text,
                                      struct identity_foreign_person *ret);
enum status identity_github_emails_read(struct arena *arena, struct slice text,
                                        struct identity_foreign_person *ret);
void identity_oidc_claims_read(const struct identity_provider *provider, const json_t *claims,
                               struct identity_foreign_person *ret);

/* DENIED: what the provider said does not hold. `why` follows "NAME's answer". */
enum status identity_foreign_distrust(struct task *task, const struct identity_source *source,
                                      const char *why);
/* UNAVAILABLE, and the cause for the log. */
enum status identity_foreign_down(struct task *task, const struct identity_source *source,
                                  const char *why);
/* A text of a JSON object, if it is one of at most `bytes_max` printable bytes; else empty. */
struct slice identity_foreign_text(const json_t *object, const char *name, size_t bytes_max);
