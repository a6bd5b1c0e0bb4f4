/*
 * identity/route_magic.c - Signing in by mail: POST /auth/magic asks for a link and a code, POST
 * /auth/magic/confirm signs in by one of them.
 */
#include "identity/routes.h"

#include "base/clock.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/claim.h"
#include "identity/room.h"
#include "identity/signin.h"
#include "identity/verify.h"

#define LIFE_US (15 * CLOCK_MINUTE)

static enum status send_link(struct task *task, const struct identity_job *job)
{
    static const struct identity_asked_link link = { IDENTITY_FOR_MAGIC, IDENTITY_MAIL_MAGIC_LINK,
                                                     "magic", LIFE_US };
    return identity_send_asked_link(task, job, &link);
}

enum status identity__magic(struct task *task, struct http_request *req, void *arg)
{
    return identity_ask_for_mail(task, req, arg, "magic", send_link);
}

/* -- signing in by it
 * ----------------------------------------------------------------------------------- */

struct using
{
    struct identity *identity;
    struct identity_claim claim;
    struct identity_account account;
    int64_t now_us;
    bool is_good;
};

static enum status write_used(struct store_tx *tx, void *arg)
{
    struct using *u = arg;
    struct identity_one_time once;
    bool changed;
    enum status st = identity_claim_take(tx, u->identity, IDENTITY_FOR_MAGIC, &u->claim, u->now_us,
                                         &once, &u->account);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    u->is_good = true;
    return identity_verified_put(tx, &u->account.user, u->now_us, &changed);
}

enum status identity__magic_confirm(struct task *task, struct http_request *req, void *arg)
{
    struct using u = { .identity = arg, .now_us = clock_wall_us() };
    struct identity_input in;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    identity_claim_read(&in, &u.claim);
    struct identity_sign_in sign_in = {
        .account = &u.account,
        .methods = IDENTITY_METHOD_MAIL,
        .as_cookie = in.is_form || identity_input_flag(&in, "cookie"),
        .device = identity_device_of(req, &in),
    };
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    if (sign_in.as_cookie && http_is_cross_site(req))
        return problem_set(task, STATUS_DENIED, "http/csrf",
                           "A page of another site may not sign in here.");
    st = store_write(task, u.identity->store, write_used, &u);
    if (st != STATUS_OK)
        return st;
    if (!u.is_good)
        return identity_claim_refuse(task);
    u.account.verified_us = u.account.verified_us ? u.account.verified_us : u.now_us;
    return identity_sign_in(task, u.identity, req, &sign_in);
}
