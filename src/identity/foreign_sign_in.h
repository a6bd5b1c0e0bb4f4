/*
 * identity/foreign_sign_in.h - From who somebody is elsewhere to an account here. Private to the
 * room.
 *
 * Data passes: a person of a provider -> the account that is linked to them; or, on their first
 * time, an account with their address that may be linked by that alone (decision 0042), or a new
 * one -> a session, a second factor to be proved first, or what is missing of a profile.
 */
#pragma once

#include <jansson.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/foreign.h"
#include "identity/signin.h"

struct identity_arrival {
    const struct identity_source *source;
    struct http_request *req;
    struct identity_foreign_person person;
    struct slice return_to;
    const json_t *profile; /* that was asked for; NULL: nothing was */
    struct identity_device device;
};

enum identity_arrived {
    IDENTITY_ARRIVED,        /* signed in: the cookies are set on the answer */
    IDENTITY_ARRIVED_SECOND, /* a second factor is to be proved with `token` */
    IDENTITY_ARRIVED_MAIL,   /* the address is to be verified first */
    IDENTITY_ARRIVED_ASK     /* the profile lacks something: `token` stands for all else, and the
                                task's problem says what */
};
struct identity_arrived_result {
    enum identity_arrived what;
    enum identity_foreign_outcome outcome;
    struct slice token;
    bool has_passkey; /* of IDENTITY_ARRIVED_SECOND: it may be that */
};

/*
 * Sign in, or make an account.
 *
 * Errors   CONFLICT with the problem "identity/foreign-account-exists": it has to be linked by who
 *          is signed in to it; DENIED "identity/foreign-no-account": accounts are made in other
 *          ways here; INVALID "identity/foreign-no-email"; what identity_sign_in reports.
 * Memory   in the task's arena. Context  suspends.
 */
enum status identity_arrive(struct task *task, const struct identity_arrival *arrival,
                            struct identity_arrived_result *ret);
/* Once more, by the token of IDENTITY_ARRIVED_ASK. DENIED "identity/foreign-state": it is none, or
 * too old. The source, the person and where to return are filled in. */
enum status identity_arrival_resume(struct task *task, struct identity *identity,
                                    struct slice token, struct identity_arrival *ret);

/* Link it to the account of who began the flow, if their session still holds. CONFLICT with the
 * problem "identity/foreign-taken". Suspends. */
enum status identity_arrival_link(struct task *task, const struct identity_arrival *arrival,
                                  const struct identity_flow *flow);
