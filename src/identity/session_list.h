/*
 * identity/session_list.h - Where an account is signed in. Private to the room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

struct identity;
struct identity_who;
struct task;

#define IDENTITY_SESSION_LIST_MAX 200u

struct identity_session_row {
    struct uuid id;
    struct slice kind;      /* "cookie", "tokens" */
    struct slice client_id; /* of the application that holds it; empty: the person's own */
    int64_t created_us, seen_us, expires_us;
    struct slice address, agent; /* where it was begun; may be empty */
    bool has_impersonator;
    struct uuid impersonator;
    bool is_current; /* of who asks */
};

/* Those of who->user that are not over, the newest first. Memory   in the task's arena. Suspends.
 */
enum status identity_session_list(struct task *task, struct identity *identity,
                                  const struct identity_who *who, struct identity_session_row **ret,
                                  unsigned *ret_len);
