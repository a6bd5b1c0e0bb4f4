/*
 * identity/claim.h - What somebody brings back from a mail: the secret of its link, or their
 * address and its code. Private to the room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/account.h"
#include "identity/input.h"
#include "identity/one_time.h"

struct identity_claim {
    struct slice token;
    struct slice email_key, code;
};

/* The member "token", or "email" and "code"; what is missing becomes a field of the problem. */
void identity_claim_read(const struct identity_input *in, struct identity_claim *ret);

/*
 * Use it, inside a write, and find the account that it is for (not of an invitation).
 *
 * Errors   NOT_FOUND: it is wrong, was used, has expired, or the account is gone. The write is to
 *          return OK all the same, so that a wrong code counts.
 */
enum status identity_claim_take(struct store_tx *tx, struct identity *identity,
                                enum identity_purpose purpose, const struct identity_claim *claim,
                                int64_t now_us, struct identity_one_time *ret_once,
                                struct identity_account *ret_account);
/* The problem of a claim that is not good: 422, one text for all reasons. */
enum status identity_claim_refuse(struct task *task);
