/*
 * identity/attempt.h - An attempt at a secret of an account that is known already: a code, or the
 * password once more. Counted by account and by address (identity/throttle.h), apart from those at
 * signing in: who has the password cannot make its owner wait, nor reset the count by signing in.
 * Private to the room.
 */
#pragma once

#include "base/id.h"
#include "base/status.h"
#include "identity/throttle.h"

struct http_request;
struct identity;
struct task;

struct identity_attempt {
    struct identity_throttle *throttle;
    struct identity_throttle_key keys[2];
};

/* Of whoever has to wait: counted and noted, EXHAUSTED with the problem set (429, Retry-After).
 * `user` may be NULL: nobody is known. */
enum status identity_attempt_refuse(struct task *task, struct identity *identity,
                                    struct http_request *req, const struct uuid *user,
                                    int64_t wait_us);
/* EXHAUSTED with the problem set (429, Retry-After): wait; nothing was counted then. */
enum status identity_attempt_begin(struct task *task, struct identity *identity,
                                   struct http_request *req, const struct uuid *user,
                                   struct identity_attempt *ret);
/* UNAUTHENTICATED and CONFLICT are failures, OK forgets earlier ones, all else was no attempt. */
void identity_attempt_end(const struct identity_attempt *attempt, enum status outcome);
