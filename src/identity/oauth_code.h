/*
 * identity/oauth_code.h - Authorization codes: for a minute, once, for the client, redirect URI and
 * verifier that they were asked for with, and for as long as the browser's session lives. Private
 * to the room.
 *
 * A used code is remembered for a day with what was issued for it: when it comes again, somebody
 * has a copy, and those tokens end (RFC 6749 section 4.1.2). One that is presented wrongly is
 * spent.
 */
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/account.h"
#include "identity/clients.h"
#include "identity/secret.h"
#include "identity/session.h"

struct identity;
struct store_tx;
struct task;

#define IDENTITY_CODE_PREFIX "purlin_code"
#define IDENTITY_CODE_LIFE_US (60 * CLOCK_SECOND)

struct identity_oauth_code {
    struct slice client_id, redirect, challenge, scope, nonce;
    struct uuid session; /* of the browser */
};

/* Inside a write. */
enum status identity_oauth_code_put(struct store_tx *tx, const struct identity_oauth_code *code,
                                    const struct identity_secret *secret, int64_t now_us);

/* What a client presents. */
struct identity_code_claim {
    const struct identity_client *client;
    struct slice code, redirect, verifier;
    struct slice address, agent; /* of the client, for the list of devices */
};
/* What it gets. */
struct identity_code_grant {
    bool is_granted;
    bool is_replay; /* it was used before: the session that came of it has been ended */
    bool has_replayed_user;
    struct uuid replayed_user;
    struct identity_who who; /* with all of the person's roles */
    struct identity_session session;
    struct slice nonce;
};
static inline void identity_code_grant_wipep(struct identity_code_grant *grant)
{
    identity_session_wipe(&grant->session);
}
/*
 * Exchange a code for a session of the client. A code that is unknown, over, spent or presented
 * wrongly grants nothing.
 *
 * Errors   what the store reports. Memory   in the task's arena; wipe *ret. Suspends.
 */
enum status identity_oauth_code_exchange(struct task *task, struct identity *identity,
                                         const struct identity_code_claim *claim, int64_t now_us,
                                         struct identity_code_grant *ret);
