/*
 * identity/session.h - Sessions: that somebody signed in on a device, until they sign out, it
 * expires, or it is revoked. Private to the room.
 *
 * Data passes: a login prepares a session (random secrets, outside of the transaction) and puts it
 * in its write -> the browser gets a cookie, another client a pair of tokens -> each request that
 * is not cached looks the session up, with the account's roles as they are now -> ending one writes
 * a row of purlin_revocations, which every process reads within a second (identity/feed.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/refresh.h"
#include "identity/secret.h"
#include "identity/who.h"

struct identity;
struct store_tx;
struct task;

#define IDENTITY_AGENT_BYTES_MAX 256u
#define IDENTITY_COOKIE_PREFIX "purlin_session"

enum identity_session_kind { IDENTITY_SESSION_COOKIE, IDENTITY_SESSION_TOKENS };

struct identity_session_new {
    struct uuid user;
    enum identity_session_kind kind;
    struct slice client_id, scope; /* of OAuth; empty: our own pages and clients */
    uint32_t methods;              /* IDENTITY_METHOD_ bits: how they signed in */
    struct slice address, agent;   /* for the list of devices; the agent is cut off */
    struct identity_digest device; /* of the device's cookie */
    bool has_device;
    struct uuid impersonator; /* an administrator who acts as this user */
    bool has_impersonator;
    int64_t now_us;
    int64_t auth_us; /* when they proved it; 0: now */
    int64_t life_us; /* 0: the configured one */
};

/* What was made; the secrets are wiped by identity_session_wipe. */
struct identity_session {
    struct uuid id;
    int64_t expires_us;
    struct identity_secret cookie;   /* of IDENTITY_SESSION_COOKIE */
    struct identity_refresh refresh; /* of IDENTITY_SESSION_TOKENS */
};
void identity_session_wipe(struct identity_session *session);
static inline void identity_session_wipep(struct identity_session *session)
{
    identity_session_wipe(session);
}

/*
 * Make a session: its secrets before the transaction, its row in it.
 *
 * Context  _prepare any thread; _put inside a write.
 */
enum status identity_session_prepare(struct identity *identity,
                                     const struct identity_session_new *wanted,
                                     struct identity_session *ret);
enum status identity_session_put(struct store_tx *tx, const struct identity_session_new *wanted,
                                 const struct identity_session *session);

/*
 * Who a session speaks for, as things are now. For a token, `generation` is the one it was issued
 * with: seeing it in use confirms that the answer with its refresh token arrived. < 0: none.
 *
 * Errors   UNAUTHENTICATED: there is none, it is over, or its account is disabled or gone.
 * Memory   in the task's arena. Context  suspends.
 */
enum status identity_session_find(struct task *task, struct identity *identity,
                                  const struct uuid *id, int64_t generation, int64_t now_us,
                                  struct identity_who *ret);
enum status identity_session_find_cookie(struct task *task, struct identity *identity,
                                         const struct identity_digest *cookie, int64_t now_us,
                                         struct identity_who *ret);

/* Inside a write: they have proved again, now, who they are, by `methods`. What caches know of the
 * session is looked up again: as with ending one, by identity_feed_session_ended when it is
 * durable. NOT_FOUND: it is over. */
enum status identity_session_prove(struct store_tx *tx, const struct uuid *id, uint32_t methods,
                                   int64_t now_us);

/* -- refreshing
 * ---------------------------------------------------------------------------------------- */

enum identity_refresh_outcome {
    IDENTITY_REFRESHED,       /* by the current token, or by the one before while that is allowed */
    IDENTITY_REFRESH_UNKNOWN, /* not ours, or of a session that is over */
    IDENTITY_REFRESH_REUSED   /* an old one: somebody has a copy, so the session has been ended */
};
/*
 * Exchange a refresh token. The same token may come again: of parallel tabs, or because the answer
 * was lost. It gets the same successor within `refresh_grace_us`, and for as long as nothing that
 * came with that successor was seen in use; an older one ends the session (RFC 9700 section 4.14).
 *
 * Errors   what the store reports; else the outcome says.
 * Memory   in the task's arena. Context  suspends.
 */
enum status identity_session_refresh(struct task *task, struct identity *identity,
                                     struct slice token, struct slice client_id, int64_t now_us,
                                     enum identity_refresh_outcome *ret_outcome,
                                     struct identity_who *ret_who,
                                     struct identity_refresh *ret_refresh);

/*
 * Who a refresh token that could be exchanged now speaks for; it is left as it is. `client_id` of
 * the session is for the caller to compare.
 *
 * Errors   UNAUTHENTICATED. Memory   in the task's arena. Context  suspends.
 */
enum status identity_session_find_refresh(struct task *task, struct identity *identity,
                                          struct slice token, int64_t now_us,
                                          struct identity_who *ret);

/* -- ending
 * -------------------------------------------------------------------------------------------- */

/* Inside a write; the caller calls identity_revoke_... of token_cache.h when it is durable, for
 * this process. `reason` is constant: "logout", "revoked", "password", "reuse", "deleted". */
enum status identity_session_end(struct store_tx *tx, const struct uuid *id, const char *reason,
                                 int64_t now_us, bool *ret_ended);
/* Those in which a user acts as others; part of the next one. */
enum status identity_sessions_end_acting(struct store_tx *tx, const struct uuid *user,
                                         const char *reason, int64_t now_us);
/* All of a user but for `kept` (may be NULL). */
enum status identity_sessions_end(struct store_tx *tx, const struct uuid *user,
                                  const struct uuid *kept, const char *reason, int64_t now_us,
                                  int64_t *ret_ended);
