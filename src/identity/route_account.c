/*
 * identity/route_account.c - DELETE /auth/account: the account and the person's row go, after a
 * time in which POST /auth/account/restore (by a link in mail) or a sign-in and the same route call
 * it off.
 */
#include "identity/routes.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/api_keys.h"
#include "identity/caller.h"
#include "identity/claim.h"
#include "identity/feed.h"
#include "identity/letter.h"
#include "identity/note.h"
#include "identity/room.h"
#include "identity/session.h"

#define FRESH_US (10 * CLOCK_MINUTE)

/* -- asking for it
 * -------------------------------------------------------------------------------------- */

struct deleting {
    struct identity *identity;
    struct identity_letter letter;
    bool has_letter;
    struct identity_note note;
    struct uuid user;
    int64_t now_us, delete_us;
};

static const char schedule_sql[] = "UPDATE purlin_accounts SET delete_at = $1 WHERE user_id = $2";

static enum status schedule(struct store_tx *tx, const struct uuid *user, int64_t delete_us)
{
    const struct store_value values[] = { delete_us ? store_i64(delete_us) : store_null(),
                                          identity__id(user) };
    return store_tx_exec(tx, IDENTITY__SQL(schedule_sql), values, ARRAY_LEN(values), NULL);
}

static enum status write_scheduled(struct store_tx *tx, void *arg)
{
    struct deleting *d = arg;
    int64_t ended;
    enum status st = schedule(tx, &d->user, d->delete_us);
    if (st == STATUS_OK)
        st = identity_sessions_end(tx, &d->user, NULL, "deleted", d->now_us, &ended);
    if (st == STATUS_OK && d->has_letter)
        st = identity_letter_put(tx, &d->letter);
    return st == STATUS_OK ? identity_note_put(tx, &d->note) : st;
}

static enum status write_letter(struct task *task, struct deleting *d,
                                const struct identity_account *account)
{
    const struct identity_options *o = &d->identity->options;
    struct identity_mail_letter mail = { .kind = IDENTITY_MAIL_ACCOUNT_DELETION,
                                         .to = account->email };
    d->has_letter = o->mail && identity_mail_can_send(o->mail);
    return d->has_letter
               ? identity_letter_write(task, d->identity, IDENTITY_FOR_RESTORE, &d->user,
                                       SLICE_NULL, o->delete_after_us, "restore", &mail, &d->letter)
               : STATUS_OK;
}

enum status identity__account_delete(struct task *task, struct http_request *req, void *arg)
{
    struct deleting d = { .identity = arg, .now_us = clock_wall_us() };
    struct identity_who who;
    struct identity_account account;
    enum status st = identity_caller_require_fresh(task, d.identity, req, FRESH_US, &who);
    if (st == STATUS_OK)
        st = identity_account_by_user(task, d.identity, &who.user, &account);
    if (st != STATUS_OK)
        return st;
    d.user = who.user;
    d.delete_us = d.now_us + d.identity->options.delete_after_us;
    st = write_letter(task, &d, &account);
    identity_note_init(&d.note, d.identity, req, IDENTITY_AUDIT_ACCOUNT_DELETION_REQUESTED,
                       &d.user);
    if (st == STATUS_OK)
        st = store_write(task, d.identity->store, write_scheduled, &d);
    identity_letter_wipe(&d.letter);
    if (st != STATUS_OK)
        return st;
    identity_feed_user_ended(d.identity, &d.user);
    if (d.has_letter)
        identity_mail_wake(d.identity->options.mail);
    struct buf b;
    buf_init(&b, task_arena(task), 64, 256);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    identity_put_time(&o, "delete_at", d.delete_us);
    json_out_end(&o);
    return identity_answer_json(task, req, 202, &b);
}

/* -- calling it off
 * ------------------------------------------------------------------------------------- */

struct restoring {
    struct identity *identity;
    struct http_request *req;
    struct identity_claim claim;
    struct uuid user; /* who is signed in; else the claim's */
    int64_t now_us;
    bool is_good;
};

static enum status write_restored(struct store_tx *tx, void *arg)
{
    struct restoring *r = arg;
    struct identity_note note;
    enum status st = STATUS_OK;
    if (r->claim.token.len) {
        struct identity_one_time once;
        struct identity_account account;
        st = identity_claim_take(tx, r->identity, IDENTITY_FOR_RESTORE, &r->claim, r->now_us, &once,
                                 &account);
        r->user = account.user;
    }
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    r->is_good = true;
    st = schedule(tx, &r->user, 0);
    identity_note_init(&note, r->identity, r->req, IDENTITY_AUDIT_ACCOUNT_DELETION_WITHDRAWN,
                       &r->user);
    identity_note_by_user(&note, &r->user);
    return st == STATUS_OK ? identity_note_put(tx, &note) : st;
}

enum status identity__account_restore(struct task *task, struct http_request *req, void *arg)
{
    struct restoring r = { .identity = arg, .req = req, .now_us = clock_wall_us() };
    struct identity_input in;
    struct identity_who who;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    r.claim.token = identity_input_text(&in, "token", IDENTITY_SECRET_TEXT_MAX, false);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    if (!r.claim.token.len && http_is_cross_site(req))
        return problem_set(task, STATUS_DENIED, "http/csrf",
                           "A page of another site may not do this here.");
    if (!r.claim.token.len) {
        st = identity_caller_require(task, r.identity, req, &who);
        r.user = who.user;
        if (st == STATUS_OK)
            st = identity_caller_refuse_acting(task, &who);
    }
    if (st == STATUS_OK)
        st = store_write(task, r.identity->store, write_restored, &r);
    if (st != STATUS_OK)
        return st;
    return r.is_good ? identity_answer_empty(task, req) : identity_claim_refuse(task);
}

/* -- doing it
 * ------------------------------------------------------------------------------------------ */

static const char due_sql[] = "SELECT user_id FROM purlin_accounts"
                              " WHERE delete_at <= $1 ORDER BY delete_at LIMIT 20";

struct erasing {
    struct identity *identity;
    struct uuid user;
};

static enum status write_erased(struct store_tx *tx, void *arg)
{
    static const char *const statements[] = {
        "DELETE FROM purlin_recovery_codes WHERE user_id = $1",
        "DELETE FROM purlin_passkeys WHERE user_id = $1",
        "DELETE FROM purlin_foreign_identities WHERE user_id = $1",
        "DELETE FROM purlin_one_time WHERE owner = $1",
        "DELETE FROM purlin_sessions WHERE user_id = $1",
        "DELETE FROM purlin_accounts WHERE user_id = $1",
    };
    const struct erasing *e = arg;
    const struct identity_people *people = &e->identity->options.people;
    const struct store_value user = identity__id(&e->user);
    struct identity_note note;
    enum status st = people->remove(tx, &e->user, people->arg);
    for (size_t i = 0; i < ARRAY_LEN(statements) && st == STATUS_OK; i++)
        st = store_tx_exec(tx, slice_cstr(statements[i]), &user, 1, NULL);
    if (st != STATUS_OK)
        return st;
    identity_note_operator(&note, e->identity, IDENTITY_AUDIT_ACCOUNT_DELETED, &e->user);
    note.event.actor = IDENTITY_AUDIT_SYSTEM;
    note.event.actor_id = SLICE_NULL;
    int64_t revoked;
    if (e->identity->options.api_keys)
        st = identity_api_keys_revoke_user_put(tx, e->identity->options.api_keys, &e->user,
                                               &note.event, clock_wall_us(), &revoked);
    if (st != STATUS_OK)
        return st;
    return identity_note_put(tx, &note);
}

enum status identity_accounts_erase(struct task *task, struct identity *identity, int64_t now_us)
{
    struct uuid due[20];
    unsigned len = 0;
    const struct store_value now = store_i64(now_us);
    struct store_rows *rows = NULL;
    enum status st = store_query(task, identity->store, IDENTITY__SQL(due_sql), &now, 1, &rows);
    while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK && len < ARRAY_LEN(due)) {
        struct slice id = store_rows_bytes(rows, 0);
        if (id.len == sizeof(due[len].bytes))
            memcpy(due[len++].bytes, id.data, id.len);
    }
    store_rows_close(rows);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    for (unsigned i = 0; i < len; i++) {
        struct erasing e = { .identity = identity, .user = due[i] };
        st = store_write(task, identity->store, write_erased, &e);
        if (st == STATUS_CONFLICT) { /* something that may not lose its author refers to them */
            identity__log_user(LOG_LEVEL_ERROR, "identity.account_not_erased", &due[i]);
            problem_clear(task_problem(task));
        } else if (st != STATUS_OK) {
            return st;
        }
    }
    return STATUS_OK;
}
