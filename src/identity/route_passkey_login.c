/*
 * identity/route_passkey_login.c - /auth/passkeys/login: signing in with a passkey alone, without a
 * name; and the options for a passkey as a second factor.
 *
 * A passkey whose authenticator has verified its user is two factors in one: something one has, and
 * a finger, a face or a PIN.
 */
#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/caller.h"
#include "identity/input.h"
#include "identity/note.h"
#include "identity/one_time.h"
#include "identity/passkey.h"
#include "identity/passkey_options.h"
#include "identity/room.h"
#include "identity/routes.h"
#include "identity/signin.h"

static struct slice id_text(const struct uuid *id)
{
    return slice_of((const char *)id->bytes, sizeof(id->bytes));
}

/* -- options
 * ---------------------------------------------------------------------------------------- */

enum status identity__passkey_login_options(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_input in;
    struct identity_one_time first;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    struct slice token = identity_input_text(&in, "mfa_token", IDENTITY_SECRET_TEXT_MAX, false);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    if (!token.len)
        return identity_passkey_answer_request(task, identity, req, IDENTITY_CEREMONY_LOGIN,
                                               SLICE_NULL, NULL);
    st = identity_one_time_find_link(task, identity, IDENTITY_FOR_MFA, token, clock_wall_us(),
                                     &first);
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, STATUS_UNAUTHENTICATED, "identity/invalid-mfa-token",
                           "The first step of this sign-in is too long ago, or was used: begin "
                           "again.");
    if (st != STATUS_OK)
        return st;
    return identity_passkey_answer_request(task, identity, req, IDENTITY_CEREMONY_PROVE,
                                           id_text(&first.id), &first.owner);
}

enum status identity__step_up_options(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    enum status st = identity_caller_require_self(task, identity, req, &who);
    if (st != STATUS_OK)
        return st;
    return identity_passkey_answer_request(task, identity, req, IDENTITY_CEREMONY_PROVE,
                                           id_text(&who.session), &who.user);
}

/* -- signing in
 * ---------------------------------------------------------------------------------------- */

struct login {
    struct identity *identity;
    struct identity_assertion assertion;
    struct identity_account account;
    struct identity_device device;
    bool as_cookie;
    int64_t now_us;
};

static enum status use_assertion(struct store_tx *tx, void *arg)
{
    const struct login *l = arg;
    return identity_assertion_use(tx, &l->assertion, l->now_us);
}

static enum status read_login(struct task *task, struct http_request *req, struct login *l)
{
    struct identity_input in;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    const json_t *credential = identity_input_object(&in, "credential");
    l->device = identity_device_of(req, &in);
    l->as_cookie = identity_input_flag(&in, "cookie");
    if (!credential && identity_input_status(&in) == STATUS_OK)
        problem_field_add(task_problem(task), task_arena(task), SLICE("/credential"), "required",
                          "Is required.");
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    if (l->as_cookie && http_is_cross_site(req))
        return problem_set(task, STATUS_DENIED, "http/csrf",
                           "A page of another site may not sign in here.");
    st = identity_assertion_read(task, l->identity, credential, IDENTITY_CEREMONY_LOGIN, SLICE_NULL,
                                 &l->assertion);
    if (st == STATUS_OK)
        st = identity_account_by_user(task, l->identity, &l->assertion.passkey.user, &l->account);
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, STATUS_UNAUTHENTICATED, "identity/passkey-refused",
                           "The passkey was refused: its account is gone.");
    return st;
}

static enum status refuse(struct http_request *req, struct login *l, enum status st)
{
    struct identity_note note;
    bool is_someone = l->account.email.len > 0;
    identity__count_login(l->identity, IDENTITY__OUTCOME_WRONG);
    identity_note_init(&note, l->identity, req, IDENTITY_AUDIT_LOGIN_FAILED,
                       is_someone ? &l->account.user : NULL);
    note.event.outcome = IDENTITY_AUDIT_REFUSED;
    note.event.details = SLICE("{\"by\":\"passkey\"}");
    identity_note_later(&note);
    return st;
}

enum status identity__passkey_login(struct task *task, struct http_request *req, void *arg)
{
    struct login l = { .identity = arg };
    enum status st = read_login(task, req, &l);
    if (st == STATUS_UNAUTHENTICATED)
        return refuse(req, &l, st);
    if (st != STATUS_OK)
        return st;
    l.now_us = clock_wall_us();
    st = identity_sign_in(task, l.identity, req,
                          &(struct identity_sign_in){ .account = &l.account,
                                                      .methods = IDENTITY_METHOD_PASSKEY,
                                                      .as_cookie = l.as_cookie,
                                                      .device = l.device,
                                                      .also = use_assertion,
                                                      .also_arg = &l });
    if (st == STATUS_UNAUTHENTICATED)
        return refuse(req, &l, st);
    if (st == STATUS_OK || st == STATUS_DENIED)
        identity__count_login(l.identity, st == STATUS_DENIED ? IDENTITY__OUTCOME_REFUSED
                                                              : IDENTITY__OUTCOME_OK);
    return st;
}
