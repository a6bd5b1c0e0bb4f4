/*
 * identity/route_login.c - POST /auth/login: an address and a password.
 *
 * Who has no account costs the same as who has one: the same look-ups, the work of a hash, the same
 * answer. That an account is disabled or not verified is told only to who knows its password.
 */
#include "identity/login.h"
#include "identity/routes.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/attempt.h"
#include "identity/note.h"
#include "identity/password.h"
#include "identity/room.h"
#include "identity/signin.h"
#include "identity/throttle.h"

struct login {
    struct identity *identity;
    struct slice email_key, password;
    struct identity_account account; /* zero: there is none */
    struct identity_device device;
    struct identity_throttle_key keys[2];
    struct slice rehashed; /* the password's new hash, or empty */
    bool as_cookie;
};

/* -- throttling
 * ---------------------------------------------------------------------------------------- */

static void name_keys(struct task *task, struct http_request *req, struct login *l, bool is_known)
{
    struct identity_throttle *throttle = l->identity->throttle;
    struct buf name;
    buf_init(&name, task_arena(task), 320, 1024);
    buf_put_slice(&name, l->email_key);
    if (is_known) {
        buf_putc(&name, '\0');
        buf_put(&name, l->device.digest.bytes, sizeof(l->device.digest.bytes));
    }
    l->keys[0] = (struct identity_throttle_key){
        is_known ? IDENTITY_THROTTLE_DEVICE : IDENTITY_THROTTLE_ACCOUNT,
        identity_throttle_hash(throttle, buf_slice(&name)),
    };
    l->keys[1] = (struct identity_throttle_key){
        IDENTITY_THROTTLE_ADDRESS,
        identity_throttle_hash(throttle, http_client_ip(req)),
    };
}

/* Of an address without an account nothing is known but the attempt. */
static void note_refusal(struct http_request *req, struct login *l)
{
    struct identity_note note;
    bool is_someone = l->account.email.len > 0;
    identity_note_init(&note, l->identity, req, IDENTITY_AUDIT_LOGIN_FAILED,
                       is_someone ? &l->account.user : NULL);
    note.event.outcome = IDENTITY_AUDIT_REFUSED;
    identity_note_later(&note);
}

static enum status begin_attempt(struct task *task, struct http_request *req, struct login *l)
{
    int64_t wait_us = identity_throttle_begin(l->identity->throttle, l->keys, ARRAY_LEN(l->keys),
                                              clock_mono_us());
    if (wait_us == 0)
        return STATUS_OK;
    return identity_attempt_refuse(task, l->identity, req,
                                   l->account.email.len ? &l->account.user : NULL, wait_us);
}

/* -- the password
 * -------------------------------------------------------------------------------------- */

static const char rehash_sql[] = "UPDATE purlin_accounts SET password = $1"
                                 " WHERE user_id = $2 AND password = $3";

static enum status write_rehash(struct store_tx *tx, void *arg)
{
    const struct login *l = arg;
    const struct store_value values[] = { store_text(l->rehashed), identity__id(&l->account.user),
                                          store_text(l->account.password) };
    return store_tx_exec(tx, IDENTITY__SQL(rehash_sql), values, ARRAY_LEN(values), NULL);
}

/* UNAUTHENTICATED: it is wrong. */
static enum status prove(struct task *task, struct login *l)
{
    struct identity *identity = l->identity;
    struct identity_password_verdict verdict;
    enum status st = identity_password_verify(task, identity->passwords, l->password,
                                              l->account.password, &verdict);
    if (st != STATUS_OK)
        return st;
    if (verdict.unreadable)
        identity__log_user(LOG_LEVEL_WARN, "identity.password_unreadable", &l->account.user);
    if (!verdict.matched)
        return STATUS_UNAUTHENTICATED;
    if (!verdict.rehash_due)
        return STATUS_OK;
    st = identity_password_hash(task, identity->passwords, l->password, &l->rehashed);
    if (st == STATUS_EXHAUSTED) { /* the next login does */
        problem_clear(task_problem(task));
        l->rehashed = SLICE_NULL;
        return STATUS_OK;
    }
    return st;
}

static enum status refuse(struct task *task, struct http_request *req, struct login *l)
{
    identity__count_login(l->identity, IDENTITY__OUTCOME_WRONG);
    note_refusal(req, l);
    return problem_set(task, STATUS_UNAUTHENTICATED, "identity/wrong-credentials",
                       "The address or the password is wrong.");
}

static enum status find_account(struct task *task, struct http_request *req, struct login *l)
{
    bool is_known = false;
    enum status st = identity_account_by_email(task, l->identity, l->email_key, &l->account);
    if (st == STATUS_NOT_FOUND) {
        l->account = (struct identity_account){ .user = uuid_v7() };
        st = STATUS_OK;
    }
    if (st == STATUS_OK)
        st = identity_device_is_known(task, l->identity, &l->device, &l->account.user, &is_known);
    if (st == STATUS_OK)
        name_keys(task, req, l, is_known);
    return st;
}

static enum status take_login(struct task *task, struct http_request *req,
                              const struct identity_input *in, struct login *l)
{
    (void)identity_input_email(in, "email", &l->email_key);
    l->password = identity_input_text(in, "password", IDENTITY_INPUT_BYTES_MAX, true);
    l->device = identity_device_of(req, in);
    l->as_cookie = in->is_form || identity_input_flag(in, "cookie");
    if (identity_input_status(in) != STATUS_OK)
        return STATUS_INVALID;
    if (l->as_cookie && http_is_cross_site(req))
        return problem_set(task, STATUS_DENIED, "http/csrf",
                           "A page of another site may not sign in here.");
    return STATUS_OK;
}

static enum status read_login(struct task *task, struct http_request *req, struct login *l)
{
    struct identity_input in;
    enum status st = identity_input_read(task, req, &in);
    return st == STATUS_OK ? take_login(task, req, &in, l) : st;
}

/* Account, throttle, password. */
static enum status attempt(struct task *task, struct http_request *req, struct login *l)
{
    enum status st = find_account(task, req, l);
    if (st == STATUS_OK)
        st = begin_attempt(task, req, l);
    if (st != STATUS_OK)
        return st;
    st = prove(task, l);
    if (st == STATUS_UNAUTHENTICATED)
        return refuse(task, req, l);
    if (st == STATUS_OK)
        identity_throttle_succeeded(l->identity->throttle, l->keys, ARRAY_LEN(l->keys),
                                    clock_mono_us());
    else
        identity_throttle_undo(l->identity->throttle, l->keys, ARRAY_LEN(l->keys), clock_mono_us());
    return st;
}

static struct identity_sign_in sign_in_of(struct login *l)
{
    return (struct identity_sign_in){
        .account = &l->account,
        .methods = IDENTITY_METHOD_PASSWORD,
        .as_cookie = l->as_cookie,
        .device = l->device,
        .also = l->rehashed.len ? write_rehash : NULL,
        .also_arg = l,
    };
}

static void count(const struct login *l, enum status st)
{
    identity__count_login(l->identity,
                          st == STATUS_DENIED ? IDENTITY__OUTCOME_REFUSED : IDENTITY__OUTCOME_OK);
}

enum status identity__login(struct task *task, struct http_request *req, void *arg)
{
    struct login l = { .identity = arg };
    enum status st = read_login(task, req, &l);
    if (st == STATUS_OK)
        st = attempt(task, req, &l);
    if (st != STATUS_OK)
        return st;
    const struct identity_sign_in in = sign_in_of(&l);
    st = identity_sign_in(task, l.identity, req, &in);
    count(&l, st);
    return st;
}

enum status identity_login_form(struct task *task, struct identity *identity,
                                struct http_request *req, const struct identity_input *form,
                                struct identity_who *ret_who, struct slice *ret_cookie,
                                struct slice *ret_second)
{
    struct login l = { .identity = identity };
    enum status st = take_login(task, req, form, &l);
    if (st == STATUS_OK)
        st = attempt(task, req, &l);
    if (st != STATUS_OK)
        return st;
    const struct identity_sign_in in = sign_in_of(&l);
    st = identity_sign_in_cookie(task, identity, req, &in, ret_who, ret_cookie, ret_second);
    count(&l, st);
    return st;
}
