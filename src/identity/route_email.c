/*
 * identity/route_email.c - Another address: POST /auth/email sends a link to the new one and a
 * notice to the old one, POST /auth/email/confirm makes the change.
 *
 * Whether the new address has an account is not told to who asks: the link is just not sent there,
 * and its owner is.
 */
#include "identity/routes.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/caller.h"
#include "identity/claim.h"
#include "identity/letter.h"
#include "identity/note.h"
#include "identity/notice.h"
#include "identity/room.h"

#define FRESH_US (10 * CLOCK_MINUTE)
#define LIFE_US CLOCK_HOUR
#define DATA_BYTES_MAX ((size_t)1024)

/* -- asking
 * -------------------------------------------------------------------------------------------- */

struct asking {
    struct identity *identity;
    struct identity_letter to_new, to_old;
    struct identity_note note;
};

static enum status write_asked(struct store_tx *tx, void *arg)
{
    struct asking *a = arg;
    enum status st = identity_letter_put(tx, &a->to_new);
    if (st == STATUS_OK)
        st = identity_letter_put(tx, &a->to_old);
    return st == STATUS_OK ? identity_note_put(tx, &a->note) : st;
}

static enum status write_letters(struct task *task, struct asking *a,
                                 const struct identity_account *account, struct slice email,
                                 bool is_taken)
{
    struct buf data;
    buf_init(&data, task_arena(task), 300, DATA_BYTES_MAX);
    struct json_out o = json_out(&data);
    json_out_object(&o);
    json_out_key(&o, SLICE("email"));
    json_out_string(&o, email);
    json_out_end(&o);
    struct identity_mail_letter change = { .kind = IDENTITY_MAIL_EMAIL_CHANGE, .to = email };
    struct identity_mail_letter exists = { .kind = IDENTITY_MAIL_ACCOUNT_EXISTS, .to = email };
    struct identity_mail_letter notice = { .kind = IDENTITY_MAIL_EMAIL_CHANGE_NOTICE,
                                           .to = account->email,
                                           .new_address = email };
    enum status st = buf_status(&data);
    if (st == STATUS_OK)
        st = is_taken
                 ? identity_letter_notice(task, a->identity, "login", &exists, &a->to_new)
                 : identity_letter_write(task, a->identity, IDENTITY_FOR_EMAIL, &account->user,
                                         buf_slice(&data), LIFE_US, "email", &change, &a->to_new);
    return st == STATUS_OK
               ? identity_letter_notice(task, a->identity, "sessions", &notice, &a->to_old)
               : st;
}

enum status identity__email(struct task *task, struct http_request *req, void *arg)
{
    struct asking a = { .identity = arg };
    struct identity_input in;
    struct identity_who who;
    struct identity_account account, other;
    struct slice key;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    struct slice email = identity_input_email(&in, "email", &key);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    st = identity_caller_require_fresh(task, a.identity, req, FRESH_US, &who);
    if (st == STATUS_OK)
        st = identity_account_by_user(task, a.identity, &who.user, &account);
    if (st != STATUS_OK)
        return st;
    st = identity_account_by_email(task, a.identity, key, &other);
    bool is_taken = st == STATUS_OK;
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    st = write_letters(task, &a, &account, email, is_taken);
    identity_note_init(&a.note, a.identity, req, IDENTITY_AUDIT_EMAIL_CHANGE_REQUESTED, &who.user);
    if (st == STATUS_OK && identity_letter_is_due(a.identity, IDENTITY_FOR_EMAIL, key))
        st = store_write(task, a.identity->store, write_asked, &a);
    identity_letter_wipe(&a.to_new);
    if (st != STATUS_OK)
        return st;
    identity_mail_wake(a.identity->options.mail);
    return identity_answer_accepted(task, req);
}

/* -- confirming
 * ----------------------------------------------------------------------------------------- */

struct confirming {
    struct identity *identity;
    struct http_request *req;
    struct identity_claim claim;
    int64_t now_us;
    bool is_good;
    struct uuid user;
    struct slice from, to; /* addresses, in the request's arena */
};

static const char change_sql[] = "UPDATE purlin_accounts"
                                 "   SET email = $1, email_key = $2, verified_at = $3"
                                 " WHERE user_id = $4";
/* What was sent to the old address is void. */
static const char forget_sql[] = "DELETE FROM purlin_one_time WHERE owner = $1";

static enum status change_email(struct store_tx *tx, struct confirming *c,
                                const struct identity_account *account, struct slice data)
{
    json_t *object;
    struct slice email, key;
    struct arena *arena = store_tx_arena(tx);
    enum status st = json_read(arena, data, JSON_LIMITS_DEFAULT, &object, NULL);
    if (st != STATUS_OK)
        return STATUS_INTERNAL;
    email = json_slice(json_object_get(object, "email"));
    if (identity_email_key(arena, email, &key) != STATUS_OK)
        return STATUS_INTERNAL;
    const struct store_value values[] = { store_text(email), store_text(key), store_i64(c->now_us),
                                          identity__id(&account->user) };
    const struct store_value user = identity__id(&account->user);
    struct identity_note note;
    st = store_tx_exec(tx, IDENTITY__SQL(change_sql), values, ARRAY_LEN(values), NULL);
    if (st == STATUS_CONFLICT)
        return store_tx_problem_set(tx, st, "identity/taken",
                                    "There is an account with this address by now.");
    if (st == STATUS_OK)
        st = store_tx_exec(tx, IDENTITY__SQL(forget_sql), &user, 1, NULL);
    identity_note_init(&note, c->identity, c->req, IDENTITY_AUDIT_EMAIL_CHANGED, &account->user);
    identity_note_by_user(&note, &account->user);
    if (st == STATUS_OK)
        st = arena_copy(store_tx_arena(tx), email, &c->to);
    if (st == STATUS_OK)
        st = arena_copy(store_tx_arena(tx), account->email, &c->from);
    c->user = account->user;
    return st == STATUS_OK ? identity_note_put(tx, &note) : st;
}

static enum status write_confirmed(struct store_tx *tx, void *arg)
{
    struct confirming *c = arg;
    struct identity_one_time once;
    struct identity_account account;
    enum status st = identity_claim_take(tx, c->identity, IDENTITY_FOR_EMAIL, &c->claim, c->now_us,
                                         &once, &account);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    c->is_good = true;
    return change_email(tx, c, &account, once.data);
}

enum status identity__email_confirm(struct task *task, struct http_request *req, void *arg)
{
    struct confirming c = { .identity = arg, .req = req, .now_us = clock_wall_us() };
    struct identity_input in;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    c.claim.token = identity_input_text(&in, "token", IDENTITY_SECRET_TEXT_MAX, true);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    st = store_write(task, c.identity->store, write_confirmed, &c);
    if (st != STATUS_OK)
        return st;
    if (!c.is_good)
        return identity_claim_refuse(task);
    identity_notice_send(task, c.identity, req,
                         &(struct identity_notice){ .kind = IDENTITY_MAIL_EMAIL_CHANGED,
                                                    .user = &c.user,
                                                    .to = c.from,
                                                    .new_address = c.to });
    return identity_answer_empty(task, req);
}
