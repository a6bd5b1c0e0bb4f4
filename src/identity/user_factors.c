/* identity/user_factors.c - Second factors, taken away by an operator: the phone is lost, and the
 * codes are. */
#include "base/clock.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/account.h"
#include "identity/factors.h"
#include "identity/feed.h"
#include "identity/note.h"
#include "identity/notice.h"
#include "identity/room.h"
#include "identity/session.h"

struct reset {
    struct identity *identity;
    struct slice email_key;
    struct uuid user;
    struct identity_note note;
    int64_t now_us;
};

static enum status write_reset(struct store_tx *tx, void *arg)
{
    struct reset *r = arg;
    struct identity_account account;
    int64_t ended;
    enum status st = identity_account_by_email_in(tx, r->identity, r->email_key, &account);
    if (st == STATUS_NOT_FOUND)
        return store_tx_problem_set(tx, st, "identity/no-account",
                                    "There is no account with the address %.*s.",
                                    SLICE_ARG(r->email_key));
    if (st != STATUS_OK)
        return st;
    r->user = account.user;
    identity_note_operator(&r->note, r->identity, IDENTITY_AUDIT_FACTOR_REMOVED, &r->user);
    r->note.event.details = SLICE("{\"factor\":\"all\"}");
    st = identity_factors_forget(tx, &r->user);
    if (st == STATUS_OK)
        st = identity_sessions_end(tx, &r->user, NULL, "factor", r->now_us, &ended);
    return st == STATUS_OK ? identity_note_put(tx, &r->note) : st;
}

enum status identity_user_factors_reset(struct task *task, struct identity *identity,
                                        struct slice email)
{
    struct reset r = { .identity = identity, .now_us = clock_wall_us() };
    if (identity_email_key(task_arena(task), email, &r.email_key) == STATUS_INVALID)
        return problem_set(task, STATUS_INVALID, "identity/email", "%.*s is no e-mail address.",
                           SLICE_ARG(email));
    enum status st = store_write(task, identity->store, write_reset, &r);
    if (st != STATUS_OK)
        return st;
    identity_feed_user_ended(identity, &r.user);
    identity_notice_send(task, identity, /* req= */ NULL,
                         &(struct identity_notice){ .kind = IDENTITY_MAIL_FACTOR_REMOVED,
                                                    .user = &r.user,
                                                    .path = "recover",
                                                    .factor = "Each second factor" });
    return STATUS_OK;
}
