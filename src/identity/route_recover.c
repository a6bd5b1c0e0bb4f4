/*
 * identity/route_recover.c - A forgotten password: POST /auth/recover asks for a link, POST
 * /auth/recover/confirm sets a new one by it and ends every session.
 */
#include "identity/routes.h"

#include "base/clock.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/claim.h"
#include "identity/feed.h"
#include "identity/foreign_rows.h"
#include "identity/note.h"
#include "identity/password.h"
#include "identity/password_change.h"
#include "identity/room.h"
#include "identity/verify.h"

#define LIFE_US CLOCK_HOUR

static enum status send_link(struct task *task, const struct identity_job *job)
{
    static const struct identity_asked_link link = { IDENTITY_FOR_RECOVER,
                                                     IDENTITY_MAIL_RESET_PASSWORD, "recover",
                                                     LIFE_US };
    return identity_send_asked_link(task, job, &link);
}

enum status identity__recover(struct task *task, struct http_request *req, void *arg)
{
    return identity_ask_for_mail(task, req, arg, "recover", send_link);
}

/* -- a new password
 * ------------------------------------------------------------------------------------- */

struct recovering {
    struct identity *identity;
    struct http_request *req;
    struct slice token;
    struct identity_password_change change;
    struct identity_account account;
    bool is_good;
};

static enum status write_recovered(struct store_tx *tx, void *arg)
{
    struct recovering *r = arg;
    struct identity_one_time once;
    const struct identity_claim claim = { .token = r->token };
    bool changed;
    enum status st = identity_claim_take(tx, r->identity, IDENTITY_FOR_RECOVER, &claim,
                                         r->change.now_us, &once, &r->account);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    r->is_good = true;
    r->change.user = r->account.user;
    /* The link came to the address, so it is theirs. */
    st = identity_verified_put(tx, &r->account.user, r->change.now_us, &changed);
    /* Until now it may have been somebody else's account, who linked a way in of their own. */
    if (st == STATUS_OK && changed)
        st = identity_foreign_forget(tx, &r->account.user);
    identity_note_init(&r->change.note, r->identity, r->req, IDENTITY_AUDIT_PASSWORD_RESET,
                       &r->account.user);
    identity_note_by_user(&r->change.note, &r->account.user);
    return st == STATUS_OK ? identity_password_change_put(tx, &r->change) : st;
}

enum status identity__recover_confirm(struct task *task, struct http_request *req, void *arg)
{
    struct recovering r = { .identity = arg, .req = req };
    struct identity_input in;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    r.token = identity_input_text(&in, "token", IDENTITY_SECRET_TEXT_MAX, true);
    struct slice password = identity_input_text(&in, "password", IDENTITY_INPUT_BYTES_MAX, true);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    st = identity_password_change_prepare(task, arg, SLICE("/password"), password, SLICE_NULL,
                                          &r.change);
    if (st == STATUS_OK)
        st = store_write(task, r.identity->store, write_recovered, &r);
    if (st != STATUS_OK)
        return st;
    if (!r.is_good)
        return identity_claim_refuse(task);
    identity_password_changed(task, r.identity, req, &r.account);
    return identity_answer_empty(task, req);
}
