/*
 * identity/route_password.c - POST /auth/password: another password for who is signed in. With the
 * current one, or by a session that was proved a moment ago; every other session ends.
 */
#include "identity/routes.h"

#include "base/clock.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/attempt.h"
#include "identity/caller.h"
#include "identity/input.h"
#include "identity/password.h"
#include "identity/password_change.h"
#include "identity/room.h"

#define FRESH_US (10 * CLOCK_MINUTE)

static enum status write_change(struct store_tx *tx, void *arg)
{
    return identity_password_change_put(tx, arg);
}

static void note_refusal(struct identity *identity, struct http_request *req,
                         const struct uuid *user)
{
    struct identity_note note;
    identity__count_login(identity, IDENTITY__OUTCOME_WRONG);
    identity_note_init(&note, identity, req, IDENTITY_AUDIT_LOGIN_FAILED, user);
    note.event.outcome = IDENTITY_AUDIT_REFUSED;
    note.event.details = SLICE("{\"at\":\"password\"}");
    identity_note_later(&note);
}

/* Trying passwords here is guessing as at the door. */
static enum status prove_current(struct task *task, struct identity *identity,
                                 struct http_request *req, const struct identity_account *account,
                                 struct slice current)
{
    struct identity_password_verdict verdict;
    struct identity_attempt attempt;
    enum status st = identity_attempt_begin(task, identity, req, &account->user, &attempt);
    if (st != STATUS_OK)
        return st;
    st = identity_password_verify(task, identity->passwords, current, account->password, &verdict);
    bool is_wrong = st == STATUS_OK && !verdict.matched;
    identity_attempt_end(&attempt, is_wrong ? STATUS_UNAUTHENTICATED : st);
    if (!is_wrong)
        return st;
    note_refusal(identity, req, &account->user);
    problem_field_add(task_problem(task), task_arena(task), SLICE("/current"), "wrong",
                      "Is not the current password.");
    return STATUS_INVALID;
}

static enum status allow(struct task *task, struct identity *identity, struct http_request *req,
                         struct slice current, struct identity_who *who,
                         struct identity_account *account)
{
    enum status st = current.len
                         ? identity_caller_require(task, identity, req, who)
                         : identity_caller_require_fresh(task, identity, req, FRESH_US, who);
    if (st == STATUS_OK)
        st = identity_caller_refuse_acting(task, who);
    if (st == STATUS_OK && (!who->has_session || who->is_key))
        st = problem_set(task, STATUS_DENIED, "identity/step-up",
                         "A key cannot change a password: sign in.");
    if (st == STATUS_OK)
        st = identity_account_by_user(task, identity, &who->user, account);
    if (st == STATUS_OK && current.len)
        st = prove_current(task, identity, req, account, current);
    return st;
}

enum status identity__password(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_input in;
    struct identity_who who;
    struct identity_account account;
    struct identity_password_change change = { 0 };
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    struct slice current = identity_input_text(&in, "current", IDENTITY_INPUT_BYTES_MAX, false);
    struct slice password = identity_input_text(&in, "password", IDENTITY_INPUT_BYTES_MAX, true);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    st = allow(task, identity, req, current, &who, &account);
    if (st == STATUS_OK)
        st = identity_password_change_prepare(task, identity, SLICE("/password"), password,
                                              account.email, &change);
    if (st != STATUS_OK)
        return st;
    change.user = who.user;
    change.has_kept = true;
    change.kept = who.session;
    identity_note_init(&change.note, identity, req, IDENTITY_AUDIT_PASSWORD_CHANGED, &who.user);
    st = store_write(task, identity->store, write_change, &change);
    if (st != STATUS_OK)
        return st;
    identity_password_changed(task, identity, req, &account);
    return identity_answer_empty(task, req);
}
