/*
 * identity/route_totp.c - /auth/mfa/totp: an authenticator app is set up, confirmed by its first
 * code, and removed.
 */
#include <sodium.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/answer.h"
#include "identity/attempt.h"
#include "identity/base32.h"
#include "identity/caller.h"
#include "identity/feed.h"
#include "identity/form.h"
#include "identity/page_factors.h"
#include "identity/proof.h"
#include "identity/room.h"
#include "identity/route_factors.h"
#include "identity/routes.h"

#define ANSWER_BYTES_MAX ((size_t)4096)
#define TOTP_NAME "An authenticator app" /* as mails begin a sentence */

/* -- POST /auth/mfa/totp
 * ---------------------------------------------------------------------------------------- */

struct pending {
    struct uuid user;
    struct slice sealed;
};

static enum status write_pending(struct store_tx *tx, void *arg)
{
    const struct pending *p = arg;
    return identity_totp_pend(tx, &p->user, p->sealed);
}

static enum status answer_secret(struct task *task, struct http_request *req,
                                 const struct identity *identity,
                                 const struct identity_account *account,
                                 const struct identity_otp *otp)
{
    struct buf b, text, uri;
    buf_init(&text, task_arena(task), 128, ANSWER_BYTES_MAX);
    buf_init(&uri, task_arena(task), 512, ANSWER_BYTES_MAX);
    buf_init(&b, task_arena(task), 1024, ANSWER_BYTES_MAX);
    identity_base32_put(&text, otp->secret, otp->secret_len);
    identity_totp_put_uri(&uri, identity, otp, account->email);
    if (buf_status(&text) != STATUS_OK || buf_status(&uri) != STATUS_OK)
        return STATUS_EXHAUSTED;
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("secret"));
    json_out_string(&o, buf_slice(&text));
    json_out_key(&o, SLICE("uri"));
    json_out_string(&o, buf_slice(&uri));
    json_out_ki(&o, "expires_in", IDENTITY_TOTP_PENDING_US / CLOCK_SECOND);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

enum status identity__totp(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    struct identity_account account;
    struct identity_otp otp;
    enum status st = identity_factor_owner(task, identity, req, &who, &account);
    if (st != STATUS_OK)
        return st;
    struct pending p = { .user = who.user };
    identity_otp_make(&otp);
    st =
        identity_totp_seal(identity, task_arena(task), &who.user, &otp, clock_wall_us(), &p.sealed);
    if (st == STATUS_OK)
        st = store_write(task, identity->store, write_pending, &p);
    if (st == STATUS_OK)
        st = answer_secret(task, req, identity, &account, &otp);
    sodium_memzero(&otp, sizeof(otp));
    return st;
}

/* -- POST /auth/mfa/totp/confirm
 * ---------------------------------------------------------------------------------------- */

struct confirmation {
    struct identity *identity;
    struct slice code;
    struct identity_factor_added added;
};

/* Recovery codes are made anew with an app: those of before may lie where it was lost. */
static enum status write_confirmation(struct store_tx *tx, void *arg)
{
    struct confirmation *c = arg;
    enum status st =
        identity_totp_enable(tx, c->identity, &c->added.user, c->code, c->added.now_us);
    return st == STATUS_OK ? identity_factor_put(tx, &c->added, IDENTITY_METHOD_TOTP, true) : st;
}

static enum status answer_codes(struct task *task, struct http_request *req,
                                const struct identity_factor_added *added)
{
    if (identity_form_is(req))
        return identity_page_codes(task, req, &added->codes, true);
    struct buf b;
    buf_init(&b, task_arena(task), 512, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    identity_put_codes(&o, &added->codes);
    json_out_ki(&o, "sessions_ended", added->sessions_ended);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

static enum status confirm(struct task *task, struct http_request *req, struct confirmation *c)
{
    struct identity_attempt attempt;
    enum status st = identity_attempt_begin(task, c->identity, req, &c->added.user, &attempt);
    if (st != STATUS_OK)
        return st;
    st = store_write(task, c->identity->store, write_confirmation, c);
    identity_attempt_end(&attempt, st);
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, STATUS_CONFLICT, "identity/nothing-pending",
                           "No authenticator app is being set up, or not any more: begin again.");
    if (st == STATUS_UNAUTHENTICATED || st == STATUS_CONFLICT)
        return problem_set(task, STATUS_INVALID, "identity/wrong-code",
                           "The code is not the one that the app should show: check that it has "
                           "this secret, and the clocks.");
    if (st != STATUS_OK)
        return st;
    identity_feed_user_ended(c->identity, &c->added.user);
    identity_factor_tell(task, c->identity, req, &c->added.user, IDENTITY_MAIL_FACTOR_ADDED,
                         TOTP_NAME);
    return answer_codes(task, req, &c->added);
}

enum status identity__totp_confirm(struct task *task, struct http_request *req, void *arg)
{
    struct confirmation c = { .identity = arg };
    struct identity_who who;
    struct identity_input in;
    enum status st =
        identity_caller_require_self_fresh(task, arg, req, IDENTITY_FACTOR_FRESH_US, &who);
    if (st == STATUS_OK)
        st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    c.code = identity_input_text(&in, "code", IDENTITY_FACTOR_CODE_MAX, true);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    identity_factor_begin(arg, req, &who, "{\"factor\":\"totp\"}", &c.added);
    st = confirm(task, req, &c);
    identity_recovery_wipe(&c.added.codes);
    return st;
}

/* -- DELETE /auth/mfa/totp
 * ---------------------------------------------------------------------------------------- */

struct removal {
    struct identity_proof proof;
    struct identity_note note;
    enum status outcome;
};

static enum status write_removal(struct store_tx *tx, void *arg)
{
    struct removal *r = arg;
    enum status st = r->outcome = identity_proof_use(tx, &r->proof);
    if (st == STATUS_OK)
        st = identity_totp_remove(tx, &r->proof.user);
    if (st == STATUS_OK)
        st = identity_recovery_drop_unneeded(tx, &r->proof.user);
    return st == STATUS_OK ? identity_note_put(tx, &r->note) : st;
}

static enum status read_removal(struct task *task, struct identity *identity,
                                struct http_request *req, struct removal *r)
{
    struct identity_who who;
    struct identity_account account;
    struct identity_input in;
    enum status st = identity_factor_owner(task, identity, req, &who, &account);
    if (st == STATUS_OK && !account.totp.len)
        return problem_set(task, STATUS_NOT_FOUND, "identity/no-factor",
                           "This account has no authenticator app.");
    if (st == STATUS_OK)
        st = identity_input_read(task, req, &in);
    if (st == STATUS_OK)
        st = identity_proof_read(task, identity, req, &in, &who.user, &who.session, &r->proof);
    if (st != STATUS_OK || r->proof.method)
        return st;
    problem_field_add(task_problem(task), task_arena(task), SLICE("/code"), "required",
                      "Is required.");
    return STATUS_INVALID;
}

enum status identity__totp_remove(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct removal r = { .outcome = STATUS_OK };
    struct identity_attempt attempt;
    enum status st = read_removal(task, identity, req, &r);
    if (st == STATUS_OK)
        st = identity_attempt_begin(task, identity, req, &r.proof.user, &attempt);
    if (st != STATUS_OK)
        return st;
    identity_note_init(&r.note, identity, req, IDENTITY_AUDIT_FACTOR_REMOVED, &r.proof.user);
    r.note.event.details = SLICE("{\"factor\":\"totp\"}");
    st = store_write(task, identity->store, write_removal, &r);
    identity_attempt_end(&attempt, st);
    if (r.outcome == STATUS_UNAUTHENTICATED || r.outcome == STATUS_CONFLICT)
        return identity_proof_refuse(task, req, &r.proof, r.outcome);
    if (st != STATUS_OK)
        return st;
    identity_factor_tell(task, identity, req, &r.proof.user, IDENTITY_MAIL_FACTOR_REMOVED,
                         TOTP_NAME);
    return identity_answer_empty(task, req);
}
