/*
 * identity/route_factors.h - What the routes that add and remove second factors share. Private to
 * the room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/status.h"
#include "identity/factors.h"
#include "identity/mail.h"
#include "identity/note.h"

struct http_request;
struct identity;
struct identity_account;
struct identity_who;
struct store_tx;
struct task;

/* Who changes factors has proved within this time who they are. */
#define IDENTITY_FACTOR_FRESH_US (10 * CLOCK_MINUTE)

/*
 * Who changes factors: the person themselves, who proved it a moment ago, and their account.
 *
 * Errors   as identity_caller_require_self_fresh; NOT_FOUND: there is no account. The problem is
 *          set. Memory   in the task's arena. Context  suspends.
 */
enum status identity_factor_owner(struct task *task, struct identity *identity,
                                  struct http_request *req, struct identity_who *ret_who,
                                  struct identity_account *ret_account);

/* A factor on its way to an account. */
struct identity_factor_added {
    struct uuid user, session;
    int64_t now_us;
    struct identity_recovery codes; /* to be wiped */
    bool has_codes;                 /* they were kept: show them */
    int64_t sessions_ended;
    struct identity_note added, made;
};
/* `details` of the audit log: constant JSON. */
void identity_factor_begin(struct identity *identity, struct http_request *req,
                           const struct identity_who *who, const char *details,
                           struct identity_factor_added *ret);
/*
 * Inside the write that adds it: the session has proved `method` now. With the first factor
 * (`is_first`) come ten recovery codes, and the account's other sessions end: they were begun
 * without one. After it, identity_feed_user_ended.
 */
enum status identity_factor_put(struct store_tx *tx, struct identity_factor_added *added,
                                uint32_t method, bool is_first);
/* Tell the owner what was done to the account's factors. Suspends. */
void identity_factor_tell(struct task *task, struct identity *identity, struct http_request *req,
                          const struct uuid *user, enum identity_mail_kind kind,
                          const char *factor);
/* The member "recovery_codes". */
void identity_put_codes(struct json_out *o, const struct identity_recovery *codes);
