/*
 * identity/route_factors.c - GET /auth/mfa and POST /auth/mfa/recovery-codes: which second factors
 * an account has, and new recovery codes.
 */
#include "identity/route_factors.h"

#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/answer.h"
#include "identity/caller.h"
#include "identity/feed.h"
#include "identity/form.h"
#include "identity/note.h"
#include "identity/notice.h"
#include "identity/page_factors.h"
#include "identity/room.h"
#include "identity/routes.h"
#include "identity/session.h"

#define ANSWER_BYTES_MAX ((size_t)4096)

enum status identity__factors(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    struct identity_factors factors;
    enum status st = identity_caller_require_self(task, identity, req, &who);
    if (st == STATUS_OK)
        st = identity_factors_read(task, identity, &who.user, &factors);
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, st, "identity/no-account", "There is no account.");
    if (st != STATUS_OK)
        return st;
    struct buf b;
    buf_init(&b, task_arena(task), 128, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    identity_put_flag(&o, "totp", factors.has_totp);
    json_out_ki(&o, "passkeys", factors.passkeys);
    json_out_ki(&o, "recovery_codes", factors.recovery_codes);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

/* -- shared with the routes that add a factor
 * ---------------------------------------------------------------------------------------- */

enum status identity_factor_owner(struct task *task, struct identity *identity,
                                  struct http_request *req, struct identity_who *ret_who,
                                  struct identity_account *ret_account)
{
    enum status st =
        identity_caller_require_self_fresh(task, identity, req, IDENTITY_FACTOR_FRESH_US, ret_who);
    if (st != STATUS_OK)
        return st;
    st = identity_account_by_user(task, identity, &ret_who->user, ret_account);
    return st == STATUS_NOT_FOUND
               ? problem_set(task, st, "identity/no-account", "There is no account.")
               : st;
}

void identity_put_codes(struct json_out *o, const struct identity_recovery *codes)
{
    json_out_key(o, SLICE("recovery_codes"));
    json_out_array(o);
    for (unsigned i = 0; i < IDENTITY_RECOVERY_CODES; i++)
        json_out_string(o, slice_of(codes->texts[i], sizeof(codes->texts[i])));
    json_out_end(o);
}

void identity_factor_tell(struct task *task, struct identity *identity, struct http_request *req,
                          const struct uuid *user, enum identity_mail_kind kind, const char *factor)
{
    identity_notice_send(task, identity, req,
                         &(struct identity_notice){
                             .kind = kind, .user = user, .path = "recover", .factor = factor });
}

void identity_factor_begin(struct identity *identity, struct http_request *req,
                           const struct identity_who *who, const char *details,
                           struct identity_factor_added *ret)
{
    *ret = (struct identity_factor_added){ .user = who->user,
                                           .session = who->session,
                                           .now_us = clock_wall_us() };
    identity_note_init(&ret->added, identity, req, IDENTITY_AUDIT_FACTOR_ADDED, &who->user);
    ret->added.event.details = slice_cstr(details);
    identity_note_init(&ret->made, identity, req, IDENTITY_AUDIT_RECOVERY_CODES_MADE, &who->user);
    identity_recovery_make(&ret->codes);
}

enum status identity_factor_put(struct store_tx *tx, struct identity_factor_added *added,
                                uint32_t method, bool is_first)
{
    enum status st = identity_session_prove(tx, &added->session, method, added->now_us);
    if (st == STATUS_OK)
        st = identity_note_put(tx, &added->added);
    added->has_codes = is_first;
    if (st != STATUS_OK || !is_first)
        return st;
    st = identity_recovery_put(tx, &added->user, &added->codes);
    if (st == STATUS_OK)
        st = identity_note_put(tx, &added->made);
    return st == STATUS_OK ? identity_sessions_end(tx, &added->user, &added->session, "factor",
                                                   added->now_us, &added->sessions_ended)
                           : st;
}

/* -- POST /auth/mfa/recovery-codes
 * ---------------------------------------------------------------------------------------- */

struct renewal {
    struct uuid user;
    struct identity_recovery codes;
    struct identity_note note;
};

static enum status write_renewal(struct store_tx *tx, void *arg)
{
    struct renewal *r = arg;
    bool has_factor;
    enum status st = identity_factors_any(tx, &r->user, &has_factor);
    if (st == STATUS_OK && !has_factor)
        return store_tx_problem_set(tx, STATUS_CONFLICT, "identity/no-factor",
                                    "This account has no second factor that recovery codes could "
                                    "stand in for.");
    if (st == STATUS_OK)
        st = identity_recovery_put(tx, &r->user, &r->codes);
    return st == STATUS_OK ? identity_note_put(tx, &r->note) : st;
}

static enum status answer_codes(struct task *task, struct http_request *req,
                                const struct identity_recovery *codes)
{
    if (identity_form_is(req))
        return identity_page_codes(task, req, codes, false);
    struct buf b;
    buf_init(&b, task_arena(task), 512, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    identity_put_codes(&o, codes);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

enum status identity__recovery_codes(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    enum status st =
        identity_caller_require_self_fresh(task, identity, req, IDENTITY_FACTOR_FRESH_US, &who);
    if (st != STATUS_OK)
        return st;
    struct renewal r = { .user = who.user };
    identity_recovery_make(&r.codes);
    identity_note_init(&r.note, identity, req, IDENTITY_AUDIT_RECOVERY_CODES_MADE, &who.user);
    st = store_write(task, identity->store, write_renewal, &r);
    if (st == STATUS_OK) {
        identity_factor_tell(task, identity, req, &who.user, IDENTITY_MAIL_RECOVERY_CODES, NULL);
        st = answer_codes(task, req, &r.codes);
    }
    identity_recovery_wipe(&r.codes);
    return st;
}
