/*
 * identity/consents.h - The applications that may act for somebody: what they agreed to, and the
 * sessions that came of it. Private to the room.
 *
 * An application that people are not asked about (a trusted one), or asked each time, has sessions
 * and no consent; one that holds no token at the moment has a consent and no session. Both are
 * listed, and withdrawing ends both.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

struct identity;
struct identity_audit_event;
struct store_tx;
struct task;

#define IDENTITY_CONSENT_LIST_MAX 200u

struct identity_consent {
    struct slice client_id,
        name;           /* the name as people are shown it; the id if it has none any more */
    struct slice scope; /* agreed to; names with spaces between them; may be empty */
    int64_t granted_us; /* 0: nobody was asked */
    int64_t seen_us;    /* when one of its sessions was last used; 0: it has none */
    unsigned sessions;
};

/* Those of a user, by name. Memory   in the task's arena. Suspends. */
enum status identity_consents_list(struct task *task, struct identity *identity,
                                   const struct uuid *user, struct identity_consent **ret,
                                   unsigned *ret_len);

/*
 * Withdraw: the consent goes, codes on their way are void, and the sessions of that application for
 * that user end, with their tokens. Inside a write; afterwards identity_feed_user_ended.
 *
 * Errors   NOT_FOUND: it may do nothing for them.
 */
enum status identity_consent_withdraw(struct store_tx *tx, const struct uuid *user,
                                      struct slice client_id, int64_t now_us, int64_t *ret_ended);
