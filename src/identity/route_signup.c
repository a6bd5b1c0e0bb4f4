/*
 * identity/route_signup.c - POST /auth/signup: a person and their account.
 *
 * Where addresses are verified the answer is always the same: whoever owns the address learns from
 * a mail whether there was an account already, and nobody else does. Where they are not, the answer
 * signs the new account in, and a taken address is a conflict.
 */
#include "identity/routes.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/letter.h"
#include "identity/note.h"
#include "identity/password.h"
#include "identity/people.h"
#include "identity/room.h"
#include "identity/signin.h"
#include "identity/verify.h"

struct sign_up {
    struct identity *identity;
    struct http_request *req;
    struct slice email, password;
    const json_t *profile;
    struct identity_device device;
    bool as_cookie;
    struct identity_person person;
    struct identity_account account; /* as it will be */
    struct identity_letter verify, exists;
    bool is_exists_due;
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

static enum status note_created(struct store_tx *tx, struct sign_up *s)
{
    struct identity_note note;
    identity_note_init(&note, s->identity, s->req, IDENTITY_AUDIT_ACCOUNT_CREATED,
                       &s->person.account.user);
    identity_note_by_user(&note, &s->person.account.user);
    return identity_note_put(tx, &note);
}

static enum status write_person(struct store_tx *tx, void *arg)
{
    struct sign_up *s = arg;
    enum status st = identity_person_put(tx, &s->person);
    if (st == STATUS_OK)
        return note_created(tx, s);
    if (st == STATUS_CONFLICT && identity_person_is_taken(tx)) {
        (void)store_tx_problem_set(tx, st, "identity/taken",
                                   "There is an account with this address already.");
        problem_field_add(store_tx_problem(tx), store_tx_arena(tx), SLICE("/email"), "taken",
                          "Has an account already: sign in instead.");
    }
    return st;
}

static enum status sign_up_at_once(struct task *task, struct http_request *req, struct sign_up *s)
{
    s->account = (struct identity_account){ .user = s->person.account.user,
                                            .email = s->email,
                                            .has_person = true };
    return identity_sign_in(task, s->identity, req,
                            &(struct identity_sign_in){ .account = &s->account,
                                                        .methods = IDENTITY_METHOD_PASSWORD,
                                                        .as_cookie = s->as_cookie,
                                                        .device = s->device,
                                                        .also = write_person,
                                                        .also_arg = s,
                                                        .is_new = true });
}

/* -- where addresses are verified
 * -------------------------------------------------------------------------------- */

/* Making a person writes more than sending a letter. Whoever waits for the answer is not to see how
 * long either took: it comes so long after the writing began. */
#define SETTLE_US (40 * CLOCK_MS)

static enum status settle(struct task *task, int64_t since_us)
{
    int64_t rest_us = since_us + SETTLE_US - clock_mono_us();
    return rest_us > 0 ? task_sleep(task, rest_us) : STATUS_OK;
}

/* Either way a person is made, and one letter is put; what the contract says is unique is told
 * alike. Where there was an account, all but the letter is undone. */
static enum status write_unverified(struct store_tx *tx, void *arg)
{
    struct sign_up *s = arg;
    enum status st = store_tx_savepoint(tx);
    if (st == STATUS_OK)
        st = identity_person_put(tx, &s->person);
    if (st == STATUS_CONFLICT && identity_person_is_taken(tx)) {
        st = store_tx_rollback(tx);
        /* Not more than a few an hour: whose address it is has asked for none of them. */
        return st == STATUS_OK && s->is_exists_due ? identity_letter_put(tx, &s->exists) : st;
    }
    if (st == STATUS_OK)
        st = store_tx_release(tx);
    if (st == STATUS_OK)
        st = note_created(tx, s);
    return st == STATUS_OK ? identity_letter_put(tx, &s->verify) : st;
}

static enum status sign_up_by_mail(struct task *task, struct http_request *req, struct sign_up *s)
{
    struct identity *identity = s->identity;
    struct identity_mail_letter mail = { .kind = IDENTITY_MAIL_ACCOUNT_EXISTS, .to = s->email };
    enum status st =
        identity_verify_letter(task, identity, &s->person.account.user, s->email, &s->verify);
    if (st == STATUS_OK)
        st = identity_letter_notice(task, identity, "login", &mail, &s->exists);
    s->is_exists_due =
        identity_letter_is_due(identity, IDENTITY_FOR_VERIFY, s->person.account.email_key);
    int64_t since_us = clock_mono_us();
    if (st == STATUS_OK)
        st = store_write(task, identity->store, write_unverified, s);
    identity_letter_wipe(&s->verify);
    if (st == STATUS_OK)
        st = settle(task, since_us);
    if (st != STATUS_OK)
        return st;
    identity_mail_wake(identity->options.mail);
    struct buf b;
    buf_init(&b, task_arena(task), 32, 32);
    buf_put_lit(&b, "{\"verify\":\"email\"}");
    return identity_answer_json(task, req, 202, &b);
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
    return identity->verifies ? sign_up_by_mail(task, req, s) : sign_up_at_once(task, req, s);
}

enum status identity__sign_up(struct task *task, struct http_request *req, void *arg)
{
    struct sign_up s = { .identity = arg, .req = req };
    enum status st = read_sign_up(task, req, &s);
    if (st != STATUS_OK)
        return st;
    s.person.identity = arg;
    st = sign_up(task, req, &s);
    identity_person_release(&s.person);
    return st;
}
