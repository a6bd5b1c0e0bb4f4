/*
 * identity/route_verify.c - POST /auth/verify and /auth/verify/resend: the address is theirs.
 */
#include "identity/routes.h"

#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/claim.h"
#include "identity/job.h"
#include "identity/letter.h"
#include "identity/note.h"
#include "identity/room.h"
#include "identity/verify.h"

#define LIFE_US (24 * CLOCK_HOUR)

/* -- using a link or code
 * ------------------------------------------------------------------------------ */

struct verifying {
    struct identity *identity;
    struct http_request *req;
    struct identity_claim claim;
    int64_t now_us;
    bool is_good;
};

static const char verify_sql[] = "UPDATE purlin_accounts SET verified_at = $1"
                                 " WHERE user_id = $2 AND verified_at IS NULL";

enum status identity_verified_put(struct store_tx *tx, const struct uuid *user, int64_t now_us,
                                  bool *ret_changed)
{
    const struct store_value values[] = { store_i64(now_us), identity__id(user) };
    int64_t changes = 0;
    enum status st =
        store_tx_exec(tx, IDENTITY__SQL(verify_sql), values, ARRAY_LEN(values), &changes);
    *ret_changed = changes > 0;
    return st;
}

static enum status write_verified(struct store_tx *tx, void *arg)
{
    struct verifying *v = arg;
    struct identity_one_time once;
    struct identity_account account;
    struct identity_note note;
    bool changed = false;
    enum status st = identity_claim_take(tx, v->identity, IDENTITY_FOR_VERIFY, &v->claim, v->now_us,
                                         &once, &account);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    v->is_good = true;
    st = identity_verified_put(tx, &account.user, v->now_us, &changed);
    identity_note_init(&note, v->identity, v->req, IDENTITY_AUDIT_ACCOUNT_VERIFIED, &account.user);
    identity_note_by_user(&note, &account.user);
    return st == STATUS_OK && changed ? identity_note_put(tx, &note) : st;
}

enum status identity__verify(struct task *task, struct http_request *req, void *arg)
{
    struct verifying v = { .identity = arg, .req = req, .now_us = clock_wall_us() };
    struct identity_input in;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    identity_claim_read(&in, &v.claim);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    st = store_write(task, v.identity->store, write_verified, &v);
    if (st != STATUS_OK)
        return st;
    return v.is_good ? identity_answer_empty(task, req) : identity_claim_refuse(task);
}

/* -- asking for a new one
 * ------------------------------------------------------------------------------ */

enum status identity_verify_letter(struct task *task, struct identity *identity,
                                   const struct uuid *user, struct slice email,
                                   struct identity_letter *ret)
{
    struct identity_mail_letter letter = { .kind = IDENTITY_MAIL_VERIFY_EMAIL, .to = email };
    return identity_letter_write(task, identity, IDENTITY_FOR_VERIFY, user, SLICE_NULL, LIFE_US,
                                 "verify", &letter, ret);
}

static enum status resend(struct task *task, const struct identity_job *job)
{
    struct identity_account account;
    CLEANUP(identity_letter_wipe) struct identity_letter letter = { 0 };
    enum status st = identity_account_by_email(task, job->identity, job->email_key, &account);
    if (st != STATUS_OK || account.verified_us || account.disabled_us || !account.has_person)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    if (!identity_letter_is_due(job->identity, IDENTITY_FOR_VERIFY, job->email_key))
        return STATUS_OK;
    st = identity_verify_letter(task, job->identity, &account.user, account.email, &letter);
    return st == STATUS_OK ? identity_letter_send(task, &letter) : st;
}

enum status identity__verify_resend(struct task *task, struct http_request *req, void *arg)
{
    return identity_ask_for_mail(task, req, arg, "verify", resend);
}

enum status identity_send_asked_link(struct task *task, const struct identity_job *job,
                                     const struct identity_asked_link *link)
{
    struct identity_account account;
    CLEANUP(identity_letter_wipe) struct identity_letter letter = { 0 };
    enum status st = identity_account_by_email(task, job->identity, job->email_key, &account);
    if (st != STATUS_OK || account.disabled_us || !account.has_person)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    if (!identity_letter_is_due(job->identity, link->purpose, job->email_key))
        return STATUS_OK;
    struct identity_mail_letter mail = {
        .kind = link->kind, .to = account.email, .device = job->agent, .ip = job->address
    };
    st = identity_letter_write(task, job->identity, link->purpose, &account.user, SLICE_NULL,
                               link->life_us, link->path, &mail, &letter);
    return st == STATUS_OK ? identity_letter_send(task, &letter) : st;
}

enum status identity_ask_for_mail(struct task *task, struct http_request *req,
                                  struct identity *identity, const char *name, identity_job_fn fn)
{
    struct identity_input in;
    struct slice key;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    (void)identity_input_email(&in, "email", &key);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    if (!identity->options.mail || !identity_mail_can_send(identity->options.mail))
        return problem_set(task, STATUS_UNAVAILABLE, "identity/no-mail",
                           "This server cannot send mail.");
    st = identity_job_start(task, identity, req, key, name, fn);
    if (st != STATUS_OK)
        return st;
    return identity_answer_accepted(task, req);
}
