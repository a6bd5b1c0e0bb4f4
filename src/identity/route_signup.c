/*
 * identity/route_signup.c - POST /auth/signup: a person and their account.
 *
 * Where addresses are verified the answer is always the same: whoever owns the address learns from
 * a mail whether there was an account already, and nobody else does. Where they are not, the answer
 * signs the new account in, and a taken address is a conflict.
 */
#include "identity/routes.h"

#include "base/arena.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/password.h"
#include "identity/people.h"
#include "identity/room.h"
#include "identity/signin.h"

struct sign_up {
    struct identity *identity;
    struct slice email, password;
    const json_t *profile;
    struct identity_device device;
    bool as_cookie;
    struct identity_person person;
    struct identity_account account; /* as it will be */
};

static enum status read_sign_up(struct task *task, struct http_request *req, struct sign_up *s)
{
    struct identity_input in;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    s->email = slice_trim(identity_input_text(&in, "email", IDENTITY_EMAIL_MAX, true));
    s->password = identity_input_text(&in, "password", IDENTITY_INPUT_BYTES_MAX, true);
    s->profile = identity_input_object(&in, "profile");
    s->device = identity_device_of(req, &in);
    s->as_cookie = in.is_form || identity_input_flag(&in, "cookie");
    if (s->as_cookie && http_is_cross_site(req))
        return problem_set(task, STATUS_DENIED, "http/csrf",
                           "A page of another site may not sign up here.");
    return STATUS_OK;
}

/* All that is wrong, at once: address, password and profile. */
static enum status check(struct task *task, struct sign_up *s)
{
    struct identity_account_new *account = &s->person.account;
    struct slice key = SLICE_NULL;
    enum status st = identity_person_prepare(task, s->identity, s->profile, SLICE("/profile"),
                                             s->email, &s->person);
    if (st != STATUS_OK && st != STATUS_INVALID)
        return st;
    if (s->email.len && identity_email_key(task_arena(task), s->email, &key) == STATUS_INVALID)
        problem_field_add(task_problem(task), task_arena(task), SLICE("/email"), "format",
                          "Must be an e-mail address.");
    account->email = s->email;
    account->email_key = key;
    if (s->password.len && identity_password_check(task, SLICE("/password"), s->password, &s->email,
                                                   1) == STATUS_EXHAUSTED)
        return STATUS_EXHAUSTED;
    return task_problem(task)->fields_len ? STATUS_INVALID : st;
}

static enum status write_person(struct store_tx *tx, void *arg)
{
    struct sign_up *s = arg;
    enum status st = identity_person_put(tx, &s->person);
    const struct store_conflict *conflict = store_tx_conflict(tx);
    if (st == STATUS_CONFLICT && slice_eq(conflict->table, SLICE("purlin_accounts"))) {
        struct problem *problem = store_tx_problem(tx);
        (void)store_tx_problem_set(tx, STATUS_CONFLICT, "identity/taken",
                                   "There is an account with this address already.");
        problem_field_add(problem, store_tx_arena(tx), SLICE("/email"), "taken",
                          "Has an account already: sign in instead.");
    }
    return st;
}

static enum status sign_up(struct task *task, struct http_request *req, struct sign_up *s)
{
    struct identity *identity = s->identity;
    enum status st = check(task, s);
    if (st == STATUS_OK)
        st = identity_password_hash(task, identity->passwords, s->password,
                                    &s->person.account.password);
    if (st != STATUS_OK)
        return st;
    s->account = (struct identity_account){ .user = s->person.account.user,
                                            .email = s->email,
                                            .has_person = true };
    return identity_sign_in(task, identity, req,
                            &(struct identity_sign_in){ .account = &s->account,
                                                        .methods = IDENTITY_METHOD_PASSWORD,
                                                        .as_cookie = s->as_cookie,
                                                        .device = s->device,
                                                        .also = write_person,
                                                        .also_arg = s,
                                                        .is_new = true });
}

enum status identity__sign_up(struct task *task, struct http_request *req, void *arg)
{
    struct sign_up s = { .identity = arg };
    enum status st = read_sign_up(task, req, &s);
    if (st != STATUS_OK)
        return st;
    s.person.identity = arg;
    st = sign_up(task, req, &s);
    identity_person_release(&s.person);
    return st;
}
