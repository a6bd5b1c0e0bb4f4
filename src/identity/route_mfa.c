/*
 * identity/route_mfa.c - POST /auth/mfa: the second step of a sign-in.
 *
 * The first step left a secret that is used once and says what was proved. The code is used in the
 * write that makes the session, so neither is there without the other, and two who race with one
 * code have one session.
 */
#include "identity/routes.h"

#include <jansson.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/attempt.h"
#include "identity/login.h"
#include "identity/one_time.h"
#include "identity/proof.h"
#include "identity/room.h"
#include "identity/signin.h"

struct second {
    struct identity *identity;
    struct slice token;
    struct identity_one_time first; /* the first step */
    uint32_t methods;               /* it proved */
    bool as_cookie;
    struct identity_account account;
    struct identity_device device;
    struct identity_attempt attempt;
    struct identity_proof proof;
    enum status outcome; /* of the proof */
};

static enum status no_first(struct task *task)
{
    return problem_set(task, STATUS_UNAUTHENTICATED, "identity/invalid-mfa-token",
                       "The first step of this sign-in is too long ago, or was used: begin again.");
}

/* What signin.c wrote. */
static enum status read_data(struct task *task, struct second *s)
{
    json_t *data;
    enum status st = json_read(task_arena(task), s->first.data, JSON_LIMITS_DEFAULT, &data, NULL);
    if (st != STATUS_OK)
        return st == STATUS_EXHAUSTED ? st : STATUS_INTERNAL;
    s->methods = (uint32_t)json_integer_value(json_object_get(data, "methods"));
    s->as_cookie = json_is_true(json_object_get(data, "cookie"));
    return STATUS_OK;
}

static enum status find_first(struct task *task, struct second *s)
{
    enum status st = identity_one_time_find_link(task, s->identity, IDENTITY_FOR_MFA, s->token,
                                                 clock_wall_us(), &s->first);
    if (st == STATUS_OK)
        st = read_data(task, s);
    if (st == STATUS_OK)
        st = identity_account_by_user(task, s->identity, &s->first.owner, &s->account);
    return st == STATUS_NOT_FOUND ? no_first(task) : st;
}

static enum status take_second(struct task *task, struct http_request *req,
                               const struct identity_input *in, struct second *s)
{
    s->token = identity_input_text(in, "mfa_token", IDENTITY_SECRET_TEXT_MAX, true);
    s->device = identity_device_of(req, in);
    if (identity_input_status(in) != STATUS_OK)
        return STATUS_INVALID;
    enum status st = find_first(task, s);
    if (st != STATUS_OK)
        return st;
    if (s->as_cookie && http_is_cross_site(req))
        return problem_set(task, STATUS_DENIED, "http/csrf",
                           "A page of another site may not sign in here.");
    st = identity_proof_read(task, s->identity, req, in, &s->first.owner, &s->first.id, &s->proof);
    if (st == STATUS_OK && !s->proof.method) {
        problem_field_add(task_problem(task), task_arena(task), SLICE("/code"), "required",
                          "Is required.");
        return STATUS_INVALID;
    }
    return st;
}

static enum status use_both(struct store_tx *tx, void *arg)
{
    struct second *s = arg;
    struct identity_one_time first;
    enum status st =
        identity_one_time_take_link(tx, IDENTITY_FOR_MFA, s->token, s->proof.now_us, &first);
    if (st == STATUS_OK)
        st = s->outcome = identity_proof_use(tx, &s->proof);
    return st;
}

static enum status count_failure(struct store_tx *tx, void *arg)
{
    const struct second *s = arg;
    return identity_one_time_failed(tx, &s->first.id);
}

static bool is_wrong(enum status outcome)
{
    return outcome == STATUS_UNAUTHENTICATED || outcome == STATUS_CONFLICT;
}

static enum status refuse(struct task *task, struct http_request *req, struct second *s)
{
    enum status st = store_write(task, s->identity->store, count_failure, s);
    return st == STATUS_OK ? identity_proof_refuse(task, req, &s->proof, s->outcome) : st;
}

/* What is the same whoever answers. */
static struct identity_sign_in sign_in_of(struct second *s)
{
    return (struct identity_sign_in){ .account = &s->account,
                                      .methods = s->methods | s->proof.method,
                                      .as_cookie = s->as_cookie,
                                      .device = s->device,
                                      .also = use_both,
                                      .also_arg = s };
}

static enum status settle(struct task *task, struct http_request *req, struct second *s,
                          enum status st)
{
    identity_attempt_end(&s->attempt, is_wrong(s->outcome) ? s->outcome : st);
    if (is_wrong(s->outcome))
        return refuse(task, req, s);
    if (st == STATUS_NOT_FOUND)
        return no_first(task); /* somebody was faster */
    if (st == STATUS_OK || st == STATUS_DENIED)
        identity__count_login(s->identity, st == STATUS_DENIED ? IDENTITY__OUTCOME_REFUSED
                                                               : IDENTITY__OUTCOME_OK);
    return st;
}

enum status identity__mfa(struct task *task, struct http_request *req, void *arg)
{
    struct second s = { .identity = arg };
    struct identity_input in;
    enum status st = identity_input_read(task, req, &in);
    if (st == STATUS_OK)
        st = take_second(task, req, &in, &s);
    if (st == STATUS_OK)
        st = identity_attempt_begin(task, s.identity, req, &s.first.owner, &s.attempt);
    if (st != STATUS_OK)
        return st;
    const struct identity_sign_in wanted = sign_in_of(&s);
    return settle(task, req, &s, identity_sign_in(task, s.identity, req, &wanted));
}

enum status identity_mfa_form(struct task *task, struct identity *identity,
                              struct http_request *req, const struct identity_input *form,
                              struct identity_who *ret_who, struct slice *ret_cookie)
{
    struct second s = { .identity = identity };
    struct slice further;
    enum status st = take_second(task, req, form, &s);
    if (st == STATUS_OK && !s.as_cookie)
        return no_first(task); /* of a program that wanted tokens */
    if (st == STATUS_OK)
        st = identity_attempt_begin(task, identity, req, &s.first.owner, &s.attempt);
    if (st != STATUS_OK)
        return st;
    const struct identity_sign_in wanted = sign_in_of(&s);
    st = identity_sign_in_cookie(task, identity, req, &wanted, ret_who, ret_cookie, &further);
    return settle(task, req, &s, st);
}
