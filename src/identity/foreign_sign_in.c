/*
 * identity/foreign_sign_in.c - Who comes from a provider, and which account that is.
 *
 * A link is made by who has both sides. That an address is the same proves neither: a provider may
 * not have verified it, and an account here may have been made by somebody who only hoped that its
 * owner would come one day. So an account is linked by its address only when both sides have
 * verified it and the provider speaks with authority for it; else its owner signs in and links.
 */
#include "identity/foreign_sign_in.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/foreign_profile.h"
#include "identity/foreign_rows.h"
#include "identity/foreign_seal.h"
#include "identity/letter.h"
#include "identity/note.h"
#include "identity/notice.h"
#include "identity/people.h"
#include "identity/room.h"
#include "identity/verify.h"

#define RESUME_BYTES_MAX ((size_t)4 * 1024)

struct linking {
    struct identity *identity;
    struct identity_foreign_link link;
    struct uuid user;
    struct identity_note note;
    /* Of a new account: */
    struct identity_person person;
    struct identity_letter verify, exists;
    bool is_exists_due;
};

static struct identity_foreign_link link_of(const struct identity_foreign_person *p)
{
    return (struct identity_foreign_link){ .provider = p->provider,
                                           .subject = p->subject,
                                           .email = p->email.data ? p->email : SLICE(""),
                                           .created_us = clock_wall_us() };
}

static void set_note(struct task *task, const struct identity_arrival *a,
                     enum identity_audit_act act, const struct uuid *user,
                     struct identity_note *ret)
{
    identity_note_init(ret, a->source->identity, a->req, act, user);
    identity_note_by_user(ret, user);
    ret->event.details =
        arena_printf(task_arena(task), "{\"provider\":\"%.*s\"}", SLICE_ARG(a->person.provider));
}

/* -- an account that is linked
 * ------------------------------------------------------------------------- */

static enum status write_used(struct store_tx *tx, void *arg)
{
    struct linking *l = arg;
    return identity_foreign_used(tx, &l->link, l->link.created_us);
}

/* With the cookies of a session, or the token of a second step. */
static enum status begin(struct task *task, const struct identity_arrival *a,
                         const struct identity_account *account, bool is_new,
                         enum status (*also)(struct store_tx *tx, void *arg), struct linking *l,
                         struct identity_arrived_result *ret)
{
    const struct identity_sign_in in = { .account = account,
                                         .methods = IDENTITY_METHOD_FOREIGN,
                                         .as_cookie = true,
                                         .device = a->device,
                                         .is_new = is_new,
                                         .provider = a->person.provider,
                                         .also = also,
                                         .also_arg = l };
    struct identity_who who;
    struct slice cookie;
    enum status st =
        identity_sign_in_cookie(task, a->source->identity, a->req, &in, &who, &cookie, &ret->token);
    ret->has_passkey = account->has_passkey;
    ret->what = ret->token.len ? IDENTITY_ARRIVED_SECOND : IDENTITY_ARRIVED;
    return st;
}

/* -- linking
 * ------------------------------------------------------------------------------------------ */

static enum status write_link(struct store_tx *tx, void *arg)
{
    struct linking *l = arg;
    enum status st = identity_foreign_put(tx, &l->user, &l->link);
    if (st == STATUS_CONFLICT)
        return store_tx_problem_set(tx, st, "identity/foreign-taken",
                                    "It is linked to an account already, or this account has "
                                    "another one of the same provider.");
    return st == STATUS_OK ? identity_note_put(tx, &l->note) : st;
}

static void prepare_link(struct task *task, const struct identity_arrival *a,
                         const struct uuid *user, struct linking *l)
{
    *l = (struct linking){ .identity = a->source->identity,
                           .link = link_of(&a->person),
                           .user = *user };
    set_note(task, a, IDENTITY_AUDIT_PROVIDER_LINKED, &l->user, &l->note);
}

/* Whoever has the account learns of every new way in. */
static void tell_owner(struct task *task, const struct identity_arrival *a, const struct uuid *user)
{
    const struct slice label = a->source->config->label;
    struct slice words = arena_printf(task_arena(task), "Signing in with %.*s", SLICE_ARG(label));
    char *factor = words.data ? arena_cstr(task_arena(task), words) : NULL;
    identity_notice_send(task, a->source->identity, a->req,
                         &(struct identity_notice){ .kind = IDENTITY_MAIL_FACTOR_ADDED,
                                                    .user = user,
                                                    .path = "recover",
                                                    .factor = factor });
}

enum status identity_arrival_link(struct task *task, const struct identity_arrival *a,
                                  const struct identity_flow *flow)
{
    struct identity *identity = a->source->identity;
    struct identity_who who;
    struct linking l;
    enum status st =
        identity_session_find(task, identity, &flow->session, -1, clock_wall_us(), &who);
    if (st == STATUS_UNAUTHENTICATED ||
        (st == STATUS_OK && !slice_eq(slice_of((const char *)who.user.bytes, 16),
                                      slice_of((const char *)flow->user.bytes, 16))))
        return problem_set(task, STATUS_DENIED, "identity/foreign-state",
                           "You have signed out meanwhile. Sign in, and begin again.");
    if (st != STATUS_OK)
        return st;
    prepare_link(task, a, &flow->user, &l);
    st = store_write(task, identity->store, write_link, &l);
    if (st == STATUS_OK)
        tell_owner(task, a, &flow->user);
    return st;
}

static enum status link_and_begin(struct task *task, const struct identity_arrival *a,
                                  const struct identity_account *account,
                                  struct identity_arrived_result *ret)
{
    struct linking l;
    prepare_link(task, a, &account->user, &l);
    ret->outcome = IDENTITY_FOREIGN_LINKED;
    enum status st = begin(task, a, account, false, write_link, &l, ret);
    if (st == STATUS_OK)
        tell_owner(task, a, &account->user);
    return st;
}

/* -- a new account
 * ------------------------------------------------------------------------------------ */

static enum status put_new(struct store_tx *tx, struct linking *l)
{
    enum status st = identity_person_put(tx, &l->person);
    if (st != STATUS_OK)
        return st;
    st = identity_foreign_put(tx, &l->person.account.user, &l->link);
    if (st == STATUS_CONFLICT) /* in two tabs at once */
        return store_tx_problem_set(tx, st, "identity/foreign-taken",
                                    "This sign-in made an account already. Begin it again.");
    return st == STATUS_OK ? identity_note_put(tx, &l->note) : st;
}

static enum status write_new(struct store_tx *tx, void *arg)
{
    struct linking *l = arg;
    enum status st = put_new(tx, l);
    if (st == STATUS_CONFLICT && identity_person_is_taken(tx))
        return store_tx_problem_set(tx, st, "identity/foreign-account-exists",
                                    "There is an account with this address already.");
    return st;
}

/* As POST /auth/signup: either way one letter goes out, and the answer is the same. */
static enum status write_unverified(struct store_tx *tx, void *arg)
{
    struct linking *l = arg;
    enum status st = store_tx_savepoint(tx);
    if (st == STATUS_OK)
        st = put_new(tx, l);
    if (st == STATUS_CONFLICT && identity_person_is_taken(tx)) {
        st = store_tx_rollback(tx);
        return st == STATUS_OK && l->is_exists_due ? identity_letter_put(tx, &l->exists) : st;
    }
    if (st == STATUS_OK)
        st = store_tx_release(tx);
    return st == STATUS_OK ? identity_letter_put(tx, &l->verify) : st;
}

static enum status make_by_mail(struct task *task, const struct identity_arrival *a,
                                struct linking *l, struct identity_arrived_result *ret)
{
    struct identity *identity = l->identity;
    const struct identity_account_new *account = &l->person.account;
    struct identity_mail_letter mail = { .kind = IDENTITY_MAIL_ACCOUNT_EXISTS,
                                         .to = account->email };
    enum status st =
        identity_verify_letter(task, identity, &account->user, account->email, &l->verify);
    if (st == STATUS_OK)
        st = identity_letter_notice(task, identity, "login", &mail, &l->exists);
    l->is_exists_due = identity_letter_is_due(identity, IDENTITY_FOR_VERIFY, account->email_key);
    if (st == STATUS_OK)
        st = store_write(task, identity->store, write_unverified, l);
    identity_letter_wipe(&l->verify);
    if (st == STATUS_OK)
        identity_mail_wake(identity->options.mail);
    ret->what = IDENTITY_ARRIVED_MAIL;
    ret->outcome = IDENTITY_FOREIGN_NEW;
    (void)a;
    return st;
}

static enum status make_at_once(struct task *task, const struct identity_arrival *a,
                                struct linking *l, struct identity_arrived_result *ret)
{
    const struct identity_account_new *made = &l->person.account;
    const struct identity_account account = { .user = made->user,
                                              .email = made->email,
                                              .verified_us = made->verified_us,
                                              .roles = a->source->config->roles,
                                              .roles_len = a->source->config->roles_len,
                                              .has_person = true };
    ret->outcome = IDENTITY_FOREIGN_NEW;
    return begin(task, a, &account, true, write_new, l, ret);
}

/* All that is known, for the page that asks for the rest. */
static enum status ask_for_profile(struct task *task, const struct identity_arrival *a,
                                   struct identity_arrived_result *ret)
{
    const struct identity_foreign_person *p = &a->person;
    struct buf text;
    buf_init(&text, task_arena(task), 512, RESUME_BYTES_MAX);
    struct json_out o = json_out(&text);
    json_out_object(&o);
    const struct {
        const char *name;
        struct slice value;
    } members[] = { { "provider", p->provider }, { "subject", p->subject },
                    { "email", p->email },       { "name", p->name },
                    { "handle", p->handle },     { "return", a->return_to } };
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        json_out_key(&o, slice_cstr(members[i].name));
        json_out_string(&o, members[i].value);
    }
    json_out_key(&o, SLICE("verified"));
    json_out_bool(&o, p->is_verified);
    json_out_ki(&o, "until", clock_wall_us() + IDENTITY_CHALLENGE_FOREIGN_LIFE_US);
    json_out_end(&o);
    if (buf_status(&text) != STATUS_OK)
        return STATUS_EXHAUSTED;
    ret->what = IDENTITY_ARRIVED_ASK;
    return identity_foreign_seal(a->source->identity, task_arena(task), buf_slice(&text),
                                 &ret->token);
}

static enum status prepare_account(struct task *task, const struct identity_arrival *a,
                                   struct slice email_key, struct linking *l)
{
    const struct identity_provider *p = a->source->config;
    struct identity_account_new *account = &l->person.account;
    account->email = a->person.email;
    account->email_key = email_key;
    account->verified_us = a->person.is_verified ? account->now_us : 0;
    l->link = link_of(&a->person);
    set_note(task, a, IDENTITY_AUDIT_ACCOUNT_CREATED, &account->user, &l->note);
    return p->roles_len
               ? identity_roles_write(task_arena(task), p->roles, p->roles_len, &account->roles)
               : STATUS_OK;
}

static enum status make(struct task *task, const struct identity_arrival *a, struct slice email_key,
                        struct identity_arrived_result *ret)
{
    struct identity *identity = a->source->identity;
    struct linking l = { .identity = identity };
    const json_t *profile = identity_foreign_profile(task, identity, &a->person, a->profile);
    if (!profile)
        return STATUS_EXHAUSTED;
    enum status st = identity_person_prepare(task, identity, profile, SLICE("/profile"),
                                             a->person.email, &l.person);
    l.person.identity = identity;
    if (st == STATUS_INVALID) {
        identity_person_release(&l.person);
        return ask_for_profile(task, a, ret);
    }
    if (st == STATUS_OK)
        st = prepare_account(task, a, email_key, &l);
    if (st == STATUS_OK)
        st = identity->verifies && !a->person.is_verified ? make_by_mail(task, a, &l, ret)
                                                          : make_at_once(task, a, &l, ret);
    identity_person_release(&l.person);
    /* What the contract says is unique is somebody else's: another one is asked for. */
    if (st == STATUS_CONFLICT && task_problem(task)->fields_len)
        return ask_for_profile(task, a, ret);
    return st;
}

/* -- deciding
 * ----------------------------------------------------------------------------------------- */

static bool may_link(const struct identity_arrival *a, const struct identity_account *account)
{
    bool is_believed = a->person.is_owner || a->source->config->links_verified_email;
    return a->person.is_verified && account->verified_us && is_believed;
}

static enum status first_time(struct task *task, const struct identity_arrival *a,
                              struct identity_arrived_result *ret)
{
    struct identity *identity = a->source->identity;
    const struct identity_provider *p = a->source->config;
    struct identity_account account;
    struct slice key;
    if (!a->person.email.len ||
        identity_email_key(task_arena(task), a->person.email, &key) != STATUS_OK)
        return problem_set(task, STATUS_INVALID, "identity/foreign-no-email",
                           "%.*s has not told your e-mail address, and an account needs one. Let "
                           "it tell the address, or sign up here and add it to your account.",
                           SLICE_ARG(p->label));
    enum status st = identity_account_by_email(task, identity, key, &account);
    bool is_there = st == STATUS_OK;
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    if (is_there && may_link(a, &account))
        return link_and_begin(task, a, &account, ret);
    if (!identity->options.sign_up || p->no_sign_up)
        return problem_set(task, STATUS_DENIED, "identity/foreign-no-account",
                           "No account here is linked to this one of %.*s, and none is made by "
                           "it. Sign in otherwise, and add it to your account.",
                           SLICE_ARG(p->label));
    /* Who has not proved the address learns nothing of it. */
    if (is_there && (a->person.is_verified || !identity->verifies))
        return problem_set(task, STATUS_CONFLICT, "identity/foreign-account-exists",
                           "There is an account with the address %.*s already. Sign in to it, and "
                           "add %.*s there.",
                           SLICE_ARG(a->person.email), SLICE_ARG(p->label));
    return make(task, a, key, ret);
}

enum status identity_arrive(struct task *task, const struct identity_arrival *a,
                            struct identity_arrived_result *ret)
{
    struct identity *identity = a->source->identity;
    struct identity_account account;
    struct uuid user;
    *ret = (struct identity_arrived_result){ .outcome = IDENTITY_FOREIGN_OK };
    enum status st =
        identity_foreign_find(task, identity, a->person.provider, a->person.subject, &user);
    if (st == STATUS_OK)
        st = identity_account_by_user(task, identity, &user, &account);
    if (st == STATUS_NOT_FOUND)
        return first_time(task, a, ret);
    struct linking l = { .identity = identity, .link = link_of(&a->person) };
    return st == STATUS_OK ? begin(task, a, &account, false, write_used, &l, ret) : st;
}

enum status identity_arrival_resume(struct task *task, struct identity *identity,
                                    struct slice token, struct identity_arrival *ret)
{
    const json_t *json = identity_foreign_unseal(identity, task_arena(task), token);
    const json_t *until = json_object_get(json, "until");
    struct identity_foreign_person *p = &ret->person;
    p->provider = json_slice(json_object_get(json, "provider"));
    p->subject = json_slice(json_object_get(json, "subject"));
    p->email = json_slice(json_object_get(json, "email"));
    p->name = json_slice(json_object_get(json, "name"));
    p->handle = json_slice(json_object_get(json, "handle"));
    p->is_verified = json_is_true(json_object_get(json, "verified"));
    ret->return_to = json_slice(json_object_get(json, "return"));
    ret->source = identity_source_find(identity, p->provider);
    if (ret->source && p->subject.len && json_is_integer(until) &&
        json_integer_value(until) > clock_wall_us())
        return STATUS_OK;
    return problem_set(task, STATUS_DENIED, "identity/foreign-state",
                       "This took longer than ten minutes. Begin the sign-in again.");
}
