/*
 * identity/foreign_tokens.h - Bearer tokens of other issuers. Private to the room.
 *
 * Data passes: a token's "iss" names one of the configured issuers -> verified by that one's keys,
 * algorithms, audience and type, and by nothing else -> its roles by the issuer's map, or the user
 * who has linked that subject. It says nothing that the configuration does not let it say.
 *
 * Source   decision 0043.
 */
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/jose.h"
#include "identity/who.h"

struct identity;
struct identity_foreign_tokens;
struct task;

/* From the options of the room; NULL when there are no issuers. */
enum status identity_foreign_tokens_open(struct identity *identity);
void identity_foreign_tokens_close(struct identity_foreign_tokens *tokens);

/*
 * Who a token of another issuer speaks for.
 *
 * Errors   NOT_FOUND: it is of none of them; UNAUTHENTICATED: *ret_refusal says why; UNAVAILABLE
 *          with the problem set: its issuer's keys are not known and cannot be had now.
 * Memory   in the task's arena. Context  suspends.
 */
enum status identity_foreign_token_who(struct task *task, struct identity *identity,
                                       struct slice token, int64_t now_us, struct identity_who *ret,
                                       int64_t *ret_expires_us,
                                       enum identity_jose_refusal *ret_refusal);
