/*
 * identity/oauth.h - What the endpoints under /oauth/ have in common. Private to the room.
 *
 * Data passes: a browser at /oauth/authorize -> client and redirect URI are known good -> somebody
 * signs in, and agrees once -> a code (oauth_code.h) back to the client -> /oauth/token: who the
 * client is, the code and its proof -> a session of that client -> tokens. What an access token may
 * do is settled by oauth_rights.c each time that it is looked up.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/clients.h"
#include "identity/oauth_text.h"
#include "identity/who.h"

struct arena;
struct http_request;
struct identity;
struct store_tx;
struct task;

#define IDENTITY_FORM "application/x-www-form-urlencoded"

extern const struct slice identity__oauth_schema;

/* Add the routes. */
enum status identity__oauth_open(struct identity *identity);

/* -- requests and answers: oauth_answer.c
 * ------------------------------------------------------------------ */

enum identity_oauth_error {
    IDENTITY_OAUTH_INVALID_REQUEST,
    IDENTITY_OAUTH_INVALID_CLIENT,
    IDENTITY_OAUTH_INVALID_GRANT,
    IDENTITY_OAUTH_INVALID_SCOPE,
    IDENTITY_OAUTH_INVALID_TOKEN,
    IDENTITY_OAUTH_INSUFFICIENT_SCOPE,
    IDENTITY_OAUTH_UNAUTHORIZED_CLIENT,
    IDENTITY_OAUTH_UNSUPPORTED_GRANT,
    IDENTITY_OAUTH_UNSUPPORTED_RESPONSE,
    IDENTITY_OAUTH_UNSUPPORTED_TOKEN,
    IDENTITY_OAUTH_ACCESS_DENIED,
    IDENTITY_OAUTH_LOGIN_REQUIRED,
    IDENTITY_OAUTH_CONSENT_REQUIRED,
    IDENTITY_OAUTH_REQUEST_NOT_SUPPORTED,
    IDENTITY_OAUTH_REQUEST_URI_NOT_SUPPORTED,
    IDENTITY_OAUTH_ERRORS
};
const char *identity_oauth_error_name(enum identity_oauth_error error);

/* Answer with an error as RFC 6749 section 5.2 has it; OK, or EXHAUSTED. */
enum status identity_oauth_refuse(struct task *task, struct http_request *req,
                                  enum identity_oauth_error error, const char *description);
/*
 * Read the form of an endpoint. False: it was answered, or *ret_st is to be returned. Suspends.
 */
bool identity_oauth_form(struct task *task, struct http_request *req,
                         struct identity_oauth_params *ret, enum status *ret_st);
/*
 * Which client asks, by HTTP Basic, client_secret or, of a public one, its id alone. False as
 * identity_oauth_form. Suspends.
 *
 * Source   RFC 6749 section 2.3.1.
 */
bool identity_oauth_client(struct task *task, struct identity *identity, struct http_request *req,
                           const struct identity_oauth_params *params, struct identity_client *ret,
                           enum status *ret_st);

/* -- what tokens of clients may do: oauth_rights.c
 * --------------------------------------------------------- */

/*
 * Narrow who a session of `client` speaks for to what its scope lets through: the permissions that
 * its scopes name, and of the person's roles those that they name. Without a scope of the
 * application's it is nobody's for the API, and opens userinfo only. A trusted client's is the
 * person whole.
 *
 * Errors   EXHAUSTED. Memory   in the arena.
 */
enum status identity_oauth_narrow(const struct identity *identity, struct arena *arena,
                                  const struct identity_client *client, struct identity_who *who);
/* The same by who->client_id; UNAUTHENTICATED: there is no such client any more. Suspends. */
enum status identity_oauth_narrow_by_id(struct task *task, struct identity *identity,
                                        struct identity_who *who);
/*
 * Who a token of a client itself speaks for: `token` is its id, by which it is revoked.
 *
 * Errors   UNAUTHENTICATED: the client is gone, may not do this any more, or the token was revoked.
 *          Suspends.
 */
enum status identity_oauth_client_who(struct task *task, struct identity *identity,
                                      struct slice client_id, struct slice scope,
                                      const struct uuid *token, struct identity_who *ret);
/* Revoke a token of a client itself. Suspends. */
enum status identity_oauth_token_revoke(struct task *task, struct identity *identity,
                                        const struct uuid *token, int64_t expires_us);
/* Forget what has expired: codes, revoked tokens. Inside a write. */
enum status identity_oauth_purge(struct store_tx *tx, int64_t now_us);

/* -- consent: oauth_consent.c
 * ------------------------------------------------------------------------------ */

/* Did this person agree to all of `scope` for this client? Suspends. */
enum status identity_consent_is_given(struct task *task, struct identity *identity,
                                      const struct uuid *user, struct slice client_id,
                                      struct slice scope, bool *ret_given);
/* Remember it, beside what was agreed to before. Inside a write. */
enum status identity_consent_put(struct store_tx *tx, const struct uuid *user,
                                 struct slice client_id, struct slice scope, int64_t now_us);

/* -- ID tokens: id_token.c
 * ------------------------------------------------------------------------------ */

/*
 * Sign an ID token for `who`, with "at_hash" of the access token and the request's nonce (empty:
 * none).
 *
 * Errors   EXHAUSTED, INTERNAL. Memory   in the arena. Context  never suspends.
 * Source   OpenID Connect Core section 2.
 */
enum status identity_id_token_make(struct identity *identity, struct arena *arena,
                                   const struct identity_who *who, struct slice access_token,
                                   struct slice nonce, int64_t now_us, struct slice *ret_token);

/* -- handlers
 * -------------------------------------------------------------------------------------- */

enum status identity__oauth_authorize(struct task *task, struct http_request *req, void *arg);
enum status identity__oauth_login(struct task *task, struct http_request *req, void *arg);
enum status identity__oauth_second(struct task *task, struct http_request *req, void *arg);
enum status identity__oauth_consent(struct task *task, struct http_request *req, void *arg);
enum status identity__oauth_token(struct task *task, struct http_request *req, void *arg);
enum status identity__oauth_revoke(struct task *task, struct http_request *req, void *arg);
enum status identity__oauth_introspect(struct task *task, struct http_request *req, void *arg);
enum status identity__oauth_userinfo(struct task *task, struct http_request *req, void *arg);
void identity__oauth_metadata(struct http_request *req, void *arg);
