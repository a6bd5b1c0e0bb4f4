/*
 * identity/route_invite.c - Invitations: POST /auth/invitations, by an administrator, sends one;
 * POST /auth/invitations/accept makes the account that it promises.
 */
#include "identity/routes.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "base/rights.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/claim.h"
#include "identity/letter.h"
#include "identity/note.h"
#include "identity/password.h"
#include "identity/people.h"
#include "identity/room.h"
#include "identity/signin.h"

#define LIFE_US (7 * 24 * CLOCK_HOUR)
#define DATA_BYTES_MAX ((size_t)8 * 1024)

/* -- inviting
 * ------------------------------------------------------------------------------------------ */

struct inviting {
    struct identity_letter letter;
    struct identity_note note;
};

static enum status write_invited(struct store_tx *tx, void *arg)
{
    struct inviting *i = arg;
    enum status st = identity_letter_put(tx, &i->letter);
    return st == STATUS_OK ? identity_note_put(tx, &i->note) : st;
}

/* Nobody gives what they have not: a role of their own, or any if they administer; and whom scopes
 * hold back, none, for what a role may is not told by its permissions alone. */
static bool may_give(const struct task_caller *caller, struct slice role)
{
    for (unsigned i = 0; !caller->is_scoped && i < caller->roles_len; i++)
        if (slice_eq(caller->roles[i], role) || slice_eq(caller->roles[i], SLICE(RIGHTS_ADMIN)))
            return true;
    return false;
}

static bool check_roles(const struct identity_input *in, const struct identity *identity,
                        const struct task_caller *caller, const struct slice *roles, unsigned len)
{
    const struct rights *rights = identity->options.rights;
    struct problem *problem = task_problem(in->task);
    struct arena *arena = task_arena(in->task);
    bool is_good = true;
    for (unsigned i = 0; i < len; i++) {
        struct slice pointer = arena_printf(arena, "/roles/%u", i);
        bool exists = !rights || !rights->roles_len || rights_has_role(rights, roles[i]);
        if (!exists)
            problem_field_add(problem, arena, pointer, "enum", "There is no such role.");
        else if (!may_give(caller, roles[i]))
            problem_field_add(problem, arena, pointer, "denied",
                              "You can only give roles that you have.");
        is_good &= exists && may_give(caller, roles[i]);
    }
    return is_good;
}

/* The roles of a JSON body's "roles"; false: something is wrong with them, and was said. */
static bool read_roles(const struct identity_input *in, const struct identity *identity,
                       const struct task_caller *caller, struct slice *ret_json)
{
    const json_t *array = in->is_form ? NULL : json_object_get(in->object, "roles");
    struct arena *arena = task_arena(in->task);
    struct buf b;
    const struct slice *roles;
    unsigned len;
    *ret_json = SLICE("[]");
    if (!array)
        return true;
    buf_init(&b, arena, 64, DATA_BYTES_MAX);
    json_put_value(&b, array);
    *ret_json = buf_slice(&b);
    if (buf_status(&b) == STATUS_OK &&
        identity_roles_read(arena, *ret_json, &roles, &len) == STATUS_OK)
        return check_roles(in, identity, caller, roles, len);
    problem_field_add(task_problem(in->task), arena, SLICE("/roles"), "format",
                      "Must be an array of at most 32 names of roles.");
    return false;
}

static struct slice write_data(struct arena *arena, struct slice email, struct slice roles)
{
    struct buf b;
    buf_init(&b, arena, 256, DATA_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("email"));
    json_out_string(&o, email);
    json_out_key(&o, SLICE("roles"));
    json_out_raw(&o, roles);
    json_out_end(&o);
    return buf_status(&b) == STATUS_OK ? buf_slice(&b) : SLICE_NULL;
}

enum status identity__invite(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct inviting invite = { 0 };
    struct identity_input in;
    struct slice key, roles;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    struct slice email = identity_input_email(&in, "email", &key);
    struct slice inviter = identity_input_text(&in, "inviter", 100, false);
    (void)read_roles(&in, identity, http_caller(req), &roles);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    struct uuid id = uuid_v7();
    struct identity_mail_letter mail = { .kind = IDENTITY_MAIL_INVITATION,
                                         .to = email,
                                         .inviter =
                                             inviter.len ? inviter : SLICE("An administrator") };
    st = identity_letter_write(task, identity, IDENTITY_FOR_INVITE, &id,
                               write_data(task_arena(task), email, roles), LIFE_US, "invitation",
                               &mail, &invite.letter);
    identity_note_init(&invite.note, identity, req, IDENTITY_AUDIT_ACCOUNT_INVITED, NULL);
    if (st == STATUS_OK)
        st = store_write(task, identity->store, write_invited, &invite);
    identity_letter_wipe(&invite.letter);
    if (st != STATUS_OK)
        return st;
    identity_mail_wake(identity->options.mail);
    return identity_answer_accepted(task, req);
}

/* -- accepting
 * ------------------------------------------------------------------------------------------ */

struct accepting {
    struct identity *identity;
    struct http_request *req;
    struct slice token, password;
    const json_t *profile;
    struct identity_one_time once;
    struct identity_person person;
    struct identity_account account;
};

static enum status write_see(struct store_tx *tx, void *arg)
{
    struct accepting *a = arg;
    return identity_one_time_see_link(tx, IDENTITY_FOR_INVITE, a->token, clock_wall_us(), &a->once);
}

/* Everything once more inside of the write: only one of two that accept at once gets through. */
static enum status write_accepted(struct store_tx *tx, void *arg)
{
    struct accepting *a = arg;
    struct identity_note note;
    enum status st =
        identity_one_time_take_link(tx, IDENTITY_FOR_INVITE, a->token, clock_wall_us(), &a->once);
    if (st == STATUS_OK)
        st = identity_person_put(tx, &a->person);
    if (st == STATUS_CONFLICT && identity_person_is_taken(tx))
        return store_tx_problem_set(tx, st, "identity/taken",
                                    "There is an account with this address already.");
    identity_note_init(&note, a->identity, a->req, IDENTITY_AUDIT_ACCOUNT_CREATED,
                       &a->account.user);
    identity_note_by_user(&note, &a->account.user);
    return st == STATUS_OK ? identity_note_put(tx, &note) : st;
}

static enum status take_promise(struct task *task, struct accepting *a)
{
    struct identity_account_new *account = &a->person.account;
    json_t *data;
    enum status st = json_read(task_arena(task), a->once.data, JSON_LIMITS_DEFAULT, &data, NULL);
    if (st != STATUS_OK)
        return STATUS_INTERNAL;
    struct buf roles;
    buf_init(&roles, task_arena(task), 64, DATA_BYTES_MAX);
    json_put_value(&roles, json_object_get(data, "roles"));
    struct slice email = json_slice(json_object_get(data, "email"));
    st = identity_person_prepare(task, a->identity, a->profile, SLICE("/profile"), email,
                                 &a->person);
    if (st == STATUS_OK || st == STATUS_INVALID) {
        enum status judged =
            identity_password_check(task, SLICE("/password"), a->password, &email, 1);
        st = st == STATUS_OK ? judged : st;
    }
    account->email = email;
    account->verified_us = account->now_us; /* the invitation came there */
    account->roles = buf_slice(&roles);
    if (st == STATUS_OK)
        st = identity_email_key(task_arena(task), email, &account->email_key);
    return st;
}

static enum status accept_it(struct task *task, struct http_request *req, struct accepting *a,
                             struct identity_sign_in *in)
{
    struct identity *identity = a->identity;
    enum status st = store_write(task, identity->store, write_see, a);
    if (st == STATUS_OK)
        st = take_promise(task, a);
    if (st == STATUS_OK)
        st = identity_password_hash(task, identity->passwords, a->password,
                                    &a->person.account.password);
    if (st != STATUS_OK)
        return st;
    a->account = (struct identity_account){ .user = a->person.account.user,
                                            .email = a->person.account.email,
                                            .verified_us = a->person.account.verified_us,
                                            .has_person = true };
    st = identity_roles_read(task_arena(task), a->person.account.roles, &a->account.roles,
                             &a->account.roles_len);
    in->account = &a->account;
    in->methods = IDENTITY_METHOD_PASSWORD;
    in->also = write_accepted;
    in->also_arg = a;
    in->is_new = true;
    return st == STATUS_OK ? identity_sign_in(task, identity, req, in) : st;
}

enum status identity__invite_accept(struct task *task, struct http_request *req, void *arg)
{
    struct accepting a = { .identity = arg, .req = req, .person = { .identity = arg } };
    struct identity_input in;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    a.token = identity_input_text(&in, "token", IDENTITY_SECRET_TEXT_MAX, true);
    a.password = identity_input_text(&in, "password", IDENTITY_INPUT_BYTES_MAX, true);
    a.profile = identity_input_object(&in, "profile");
    struct identity_sign_in sign_in = { .as_cookie =
                                            in.is_form || identity_input_flag(&in, "cookie"),
                                        .device = identity_device_of(req, &in) };
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    st = accept_it(task, req, &a, &sign_in);
    identity_person_release(&a.person);
    return st == STATUS_NOT_FOUND ? identity_claim_refuse(task) : st;
}
