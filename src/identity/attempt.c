/* identity/attempt.c - Attempts at secrets of known accounts. */
#include "identity/attempt.h"

#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/note.h"
#include "identity/room.h"

#define NAME "factor"

enum status identity_attempt_refuse(struct task *task, struct identity *identity,
                                    struct http_request *req, const struct uuid *user,
                                    int64_t wait_us)
{
    struct identity_note note;
    identity__count_login(identity, IDENTITY__OUTCOME_THROTTLED);
    identity_note_init(&note, identity, req, IDENTITY_AUDIT_LOGIN_THROTTLED, user);
    note.event.outcome = IDENTITY_AUDIT_REFUSED;
    identity_note_later(&note);
    enum status st = problem_set(task, STATUS_EXHAUSTED, "identity/throttled",
                                 "Too many attempts have failed. Wait before the next one.");
    task_problem(task)->http_status = 429;
    task_problem(task)->retry_after_us = wait_us;
    return st;
}

enum status identity_attempt_begin(struct task *task, struct identity *identity,
                                   struct http_request *req, const struct uuid *user,
                                   struct identity_attempt *ret)
{
    char name[sizeof(NAME) + sizeof(user->bytes)] = NAME;
    memcpy(name + sizeof(NAME), user->bytes, sizeof(user->bytes));
    *ret = (struct identity_attempt){
        .throttle = identity->throttle,
        .keys = { { IDENTITY_THROTTLE_ACCOUNT,
                    identity_throttle_hash(identity->throttle, slice_of(name, sizeof(name))) },
                  { IDENTITY_THROTTLE_ADDRESS,
                    identity_throttle_hash(identity->throttle, http_client_ip(req)) } },
    };
    int64_t wait_us =
        identity_throttle_begin(ret->throttle, ret->keys, ARRAY_LEN(ret->keys), clock_mono_us());
    return wait_us ? identity_attempt_refuse(task, identity, req, user, wait_us) : STATUS_OK;
}

void identity_attempt_end(const struct identity_attempt *attempt, enum status outcome)
{
    int64_t now_us = clock_mono_us();
    if (outcome == STATUS_OK)
        identity_throttle_succeeded(attempt->throttle, attempt->keys, ARRAY_LEN(attempt->keys),
                                    now_us);
    else if (outcome != STATUS_UNAUTHENTICATED && outcome != STATUS_CONFLICT)
        identity_throttle_undo(attempt->throttle, attempt->keys, ARRAY_LEN(attempt->keys), now_us);
}
