/*
 * identity/route_step_up.c - POST /auth/step-up: who is signed in proves once more that it is them,
 * before an act that asks for it (identity_caller_require_fresh).
 *
 * An account with a second factor steps up by that: whoever has found its open session and its
 * password must not be able to remove the factor.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/access.h"
#include "identity/account.h"
#include "identity/answer.h"
#include "identity/attempt.h"
#include "identity/caller.h"
#include "identity/feed.h"
#include "identity/password.h"
#include "identity/proof.h"
#include "identity/room.h"
#include "identity/routes.h"
#include "identity/session.h"

#define ANSWER_BYTES_MAX ((size_t)8192)

struct step_up {
    struct identity *identity;
    struct identity_who who;
    struct identity_account account;
    struct slice password;
    struct identity_proof proof;
    uint32_t method;
    int64_t now_us;
    enum status outcome; /* of password or proof */
};

static enum status read_step_up(struct task *task, struct http_request *req, struct step_up *s)
{
    struct identity_input in;
    enum status st = identity_caller_require_self(task, s->identity, req, &s->who);
    if (st == STATUS_OK)
        st = identity_account_by_user(task, s->identity, &s->who.user, &s->account);
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, st, "identity/no-account", "There is no account.");
    if (st == STATUS_OK)
        st = identity_input_read(task, req, &in);
    if (st == STATUS_OK)
        st = identity_proof_read(task, s->identity, req, &in, &s->who.user, &s->who.session,
                                 &s->proof);
    if (st != STATUS_OK)
        return st;
    bool has_factor = s->account.totp.len > 0 || s->account.has_passkey;
    s->password = identity_input_text(&in, "password", IDENTITY_INPUT_BYTES_MAX,
                                      !s->proof.method && !has_factor);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    if (has_factor && !s->proof.method)
        return problem_set(task, STATUS_DENIED, "identity/second-factor",
                           "This account has a second factor: give its code, a recovery code or a "
                           "passkey.");
    s->method = s->proof.method ? s->proof.method : IDENTITY_METHOD_PASSWORD;
    return STATUS_OK;
}

static enum status prove_password(struct task *task, struct step_up *s)
{
    struct identity_password_verdict verdict;
    enum status st = identity_password_verify(task, s->identity->passwords, s->password,
                                              s->account.password, &verdict);
    if (st == STATUS_OK && !verdict.matched)
        st = s->outcome = STATUS_UNAUTHENTICATED;
    return st;
}

static enum status write_step_up(struct store_tx *tx, void *arg)
{
    struct step_up *s = arg;
    enum status st = STATUS_OK;
    s->now_us = clock_wall_us();
    if (s->proof.method)
        st = s->outcome = identity_proof_use(tx, &s->proof);
    if (st == STATUS_OK)
        st = identity_session_prove(tx, &s->who.session, s->method, s->now_us);
    return st;
}

static enum status refuse(struct task *task, struct http_request *req, struct step_up *s)
{
    if (s->proof.method)
        return identity_proof_refuse(task, req, &s->proof, s->outcome);
    struct identity_note note;
    identity__count_login(s->identity, IDENTITY__OUTCOME_WRONG);
    identity_note_init(&note, s->identity, req, IDENTITY_AUDIT_LOGIN_FAILED, &s->who.user);
    note.event.outcome = IDENTITY_AUDIT_REFUSED;
    note.event.details = SLICE("{\"at\":\"step-up\"}");
    identity_note_later(&note);
    return problem_set(task, STATUS_UNAUTHENTICATED, "identity/wrong-credentials",
                       "The password is wrong.");
}

/* Sessions of tokens get an access token that says when: other services look at auth_time. */
static enum status answer(struct task *task, struct http_request *req, struct step_up *s)
{
    struct slice token = SLICE_NULL;
    int64_t life_us = 0;
    s->who.auth_us = s->now_us;
    s->who.methods |= s->method;
    if (!s->who.is_cookie && identity_access_make(s->identity, task_arena(task), &s->who, s->now_us,
                                                  &token, &life_us) != STATUS_OK)
        return problem_set(task, STATUS_INTERNAL, "identity/token",
                           "The token could not be signed.");
    struct buf b;
    buf_init(&b, task_arena(task), 2048, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    if (token.len) {
        json_out_key(&o, SLICE("access_token"));
        json_out_string(&o, token);
        json_out_kv(&o, "token_type", "Bearer");
        json_out_ki(&o, "expires_in", life_us / CLOCK_SECOND);
    }
    identity_put_time(&o, "authenticated_at", s->now_us);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

enum status identity__step_up(struct task *task, struct http_request *req, void *arg)
{
    struct step_up s = { .identity = arg };
    struct identity_attempt attempt;
    enum status st = read_step_up(task, req, &s);
    if (st == STATUS_OK)
        st = identity_attempt_begin(task, s.identity, req, &s.who.user, &attempt);
    if (st != STATUS_OK)
        return st;
    if (!s.proof.method)
        st = prove_password(task, &s);
    if (st == STATUS_OK)
        st = store_write(task, s.identity->store, write_step_up, &s);
    identity_attempt_end(&attempt, s.outcome == STATUS_OK ? st : s.outcome);
    if (s.outcome == STATUS_UNAUTHENTICATED || s.outcome == STATUS_CONFLICT)
        return refuse(task, req, &s);
    if (st == STATUS_NOT_FOUND) /* it ended meanwhile */
        return problem_set(task, STATUS_UNAUTHENTICATED, "identity/sign-in", "Sign in first.");
    if (st != STATUS_OK)
        return st;
    identity_feed_session_ended(s.identity, &s.who.session);
    return answer(task, req, &s);
}
