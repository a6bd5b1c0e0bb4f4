/* identity/signin.c - From a proved account to a session. */
#include "identity/signin.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "base/rights.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/access.h"
#include "identity/agent.h"
#include "identity/answer.h"
#include "identity/factors.h"
#include "identity/form.h"
#include "identity/letter.h"
#include "identity/note.h"
#include "identity/one_time.h"
#include "identity/room.h"

#define ANSWER_BYTES_MAX ((size_t)16 * 1024)
#define DEVICE_LIFE_US (365 * 24 * CLOCK_HOUR)
#define MFA_LIFE_US (10 * CLOCK_MINUTE)

/* -- the device
 * ---------------------------------------------------------------------------------------- */

struct identity_device identity_device_of(const struct http_request *req,
                                          const struct identity_input *in)
{
    struct identity_device device = { .is_named = false };
    struct slice name = http_cookie(req, SLICE(IDENTITY_DEVICE_COOKIE));
    if (!name.len)
        name = identity_input_text(in, "device", IDENTITY_SECRET_TEXT_MAX, false);
    if (name.len)
        device.is_named =
            identity_secret_read(name, SLICE(IDENTITY_DEVICE_PREFIX), &device.digest) == STATUS_OK;
    return device;
}

static const char known_sql[] = "SELECT 1 FROM purlin_sessions"
                                " WHERE user_id = $1 AND device = $2 LIMIT 1";

enum status identity_device_is_known(struct task *task, struct identity *identity,
                                     const struct identity_device *device, const struct uuid *user,
                                     bool *ret_known)
{
    *ret_known = false;
    if (!device->is_named)
        return STATUS_OK;
    const struct store_value values[] = {
        identity__id(user),
        store_blob(slice_of((const char *)device->digest.bytes, sizeof(device->digest.bytes))),
    };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(task, identity->store, IDENTITY__SQL(known_sql), values,
                               ARRAY_LEN(values), &rows);
    *ret_known = st == STATUS_OK;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* -- answering
 * ----------------------------------------------------------------------------------------- */

enum status identity_cookie_set(struct http_request *req, const char *name, struct slice value,
                                int64_t life_us)
{
    struct slice cookie = arena_printf(
        http_arena(req), "%s=%.*s; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=%lld", name,
        SLICE_ARG(value), (long long)(life_us / CLOCK_SECOND));
    if (!cookie.data)
        return STATUS_EXHAUSTED;
    http_header_add(req, SLICE("Set-Cookie"), cookie);
    return STATUS_OK;
}

enum status identity_answer_tokens(struct task *task, struct identity *identity,
                                   struct http_request *req, const struct identity_who *who,
                                   const struct identity_refresh *refresh, struct slice device,
                                   int status)
{
    struct slice token;
    int64_t life_us;
    enum status st =
        identity_access_make(identity, task_arena(task), who, clock_wall_us(), &token, &life_us);
    if (st != STATUS_OK)
        return problem_set(task, st, "identity/token", "The token could not be signed.");
    struct buf b;
    buf_init(&b, task_arena(task), 2048, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("access_token"));
    json_out_string(&o, token);
    json_out_kv(&o, "token_type", "Bearer");
    json_out_ki(&o, "expires_in", life_us / CLOCK_SECOND);
    json_out_key(&o, SLICE("refresh_token"));
    json_out_string(&o, slice_of(refresh->text, sizeof(refresh->text)));
    identity_put_id(&o, "session_id", &who->session);
    identity_put_id(&o, "user_id", &who->user);
    if (device.len) {
        json_out_key(&o, SLICE("device"));
        json_out_string(&o, device);
    }
    json_out_end(&o);
    return identity_answer_json(task, req, status, &b);
}

static enum status set_cookies(struct task *task, struct http_request *req,
                               const struct identity_session *session, struct slice device,
                               int64_t now_us, struct slice *ret_cookie, struct slice *ret_csrf)
{
    enum status st =
        arena_copy(task_arena(task), identity_secret_text(&session->cookie), ret_cookie);
    if (st == STATUS_OK)
        st = identity_cookie_set(req, HTTP_SESSION_COOKIE, *ret_cookie,
                                 session->expires_us - now_us);
    if (st == STATUS_OK && device.len)
        st = identity_cookie_set(req, IDENTITY_DEVICE_COOKIE, device, DEVICE_LIFE_US);
    if (st == STATUS_OK)
        st = http_csrf_token_issue(req, *ret_cookie, ret_csrf);
    if (st != STATUS_OK)
        return problem_set(task, st, "identity/cookie", "The cookie could not be set.");
    return STATUS_OK;
}

static enum status answer_cookie(struct task *task, struct http_request *req,
                                 const struct identity_session *session,
                                 const struct identity_account *account, struct slice device,
                                 int64_t now_us, int status)
{
    struct slice cookie, csrf;
    enum status st = set_cookies(task, req, session, device, now_us, &cookie, &csrf);
    if (st != STATUS_OK)
        return st;
    struct buf b;
    buf_init(&b, task_arena(task), 256, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    identity_put_id(&o, "session_id", &session->id);
    identity_put_id(&o, "user_id", &account->user);
    json_out_ki(&o, "expires_in", (session->expires_us - now_us) / CLOCK_SECOND);
    json_out_key(&o, SLICE("csrf_token"));
    json_out_string(&o, csrf);
    json_out_end(&o);
    return identity_answer_json(task, req, status, &b);
}

/* -- the second step
 * ------------------------------------------------------------------------------------ */

struct second_step {
    struct identity *identity;
    struct identity_one_time once;
    const struct identity_sign_in *in;
    int64_t now_us;
};

static enum status write_second_step(struct store_tx *tx, void *arg)
{
    struct second_step *s = arg;
    enum status st = s->in->also ? s->in->also(tx, s->in->also_arg) : STATUS_OK;
    return st == STATUS_OK ? identity_one_time_put(tx, s->identity, &s->once, s->now_us) : st;
}

/* The token of the second step, in the task's arena. */
static enum status begin_second(struct task *task, struct identity *identity,
                                const struct identity_sign_in *in, struct slice *ret_token)
{
    struct second_step s = { .identity = identity, .in = in, .now_us = clock_wall_us() };
    enum status st = identity_one_time_prepare(IDENTITY_FOR_MFA, &in->account->user, false,
                                               s.now_us + MFA_LIFE_US, &s.once);
    s.once.data = arena_printf(task_arena(task), "{\"methods\":%u,\"cookie\":%s}", in->methods,
                               in->as_cookie ? "true" : "false");
    if (st == STATUS_OK && !s.once.data.data)
        st = STATUS_EXHAUSTED;
    if (st == STATUS_OK)
        st = store_write(task, identity->store, write_second_step, &s);
    if (st == STATUS_OK)
        st = arena_copy(task_arena(task), identity_secret_text(&s.once.link), ret_token);
    identity_one_time_wipe(&s.once);
    return st;
}

static enum status ask_for_second(struct task *task, struct identity *identity,
                                  struct http_request *req, const struct identity_sign_in *in)
{
    struct slice token;
    enum status st = begin_second(task, identity, in, &token);
    if (st != STATUS_OK)
        return st;
    if (identity_form_is(req))
        return identity_form_second(task, req, token, in->account->has_passkey);
    struct buf b;
    buf_init(&b, task_arena(task), 256, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("mfa_required"));
    json_out_bool(&o, true);
    json_out_key(&o, SLICE("mfa_token"));
    json_out_string(&o, token);
    json_out_key(&o, SLICE("methods"));
    json_out_array(&o);
    if (in->account->totp.len)
        json_out_cstr(&o, "totp");
    if (in->account->has_passkey)
        json_out_cstr(&o, "passkey");
    json_out_cstr(&o, "recovery_code");
    json_out_end(&o);
    json_out_ki(&o, "expires_in", MFA_LIFE_US / CLOCK_SECOND);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

/* -- the session
 * --------------------------------------------------------------------------------------- */

struct beginning {
    const struct identity_sign_in *in;
    const struct identity_session_new *wanted;
    const struct identity_session *session;
    struct identity_letter letter; /* "a new device", if has_letter */
    bool has_letter;
    bool has_factor; /* by now, and none was proved: there is no session */
    struct identity_note note;
};

/* While the first step was being proved, a factor may have been added. */
static enum status refuse_late(struct store_tx *tx, struct beginning *b)
{
    if (b->in->is_new || (b->in->methods & IDENTITY_METHODS_SECOND))
        return STATUS_OK;
    enum status st = identity_factors_any(tx, &b->wanted->user, &b->has_factor);
    return st == STATUS_OK && b->has_factor ? STATUS_DENIED : st;
}

static enum status write_session(struct store_tx *tx, void *arg)
{
    struct beginning *b = arg;
    enum status st = refuse_late(tx, b);
    if (st == STATUS_OK && b->in->also)
        st = b->in->also(tx, b->in->also_arg);
    if (st == STATUS_OK)
        st = identity_session_put(tx, b->wanted, b->session);
    if (st == STATUS_OK && b->has_letter)
        st = identity_letter_put(tx, &b->letter);
    return st == STATUS_OK ? identity_note_put(tx, &b->note) : st;
}

static const char any_sql[] = "SELECT 1 FROM purlin_sessions WHERE user_id = $1 LIMIT 1";

/* A mail to who has signed in before, but never from here. */
static enum status write_letter(struct task *task, struct identity *identity, struct beginning *b)
{
    struct identity_mail *mail = identity->options.mail;
    const struct store_value user = identity__id(&b->wanted->user);
    struct store_rows *rows = NULL;
    bool is_known = false;
    if (b->in->is_new || !mail || !identity_mail_can_send(mail))
        return STATUS_OK;
    enum status st =
        identity_device_is_known(task, identity, &b->in->device, &b->wanted->user, &is_known);
    if (st != STATUS_OK || is_known)
        return st;
    st = store_one(task, identity->store, IDENTITY__SQL(any_sql), &user, 1, &rows);
    store_rows_close(rows);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    struct identity_mail_letter letter = { .kind = IDENTITY_MAIL_NEW_DEVICE,
                                           .to = b->in->account->email,
                                           .device = identity_agent_words(task_arena(task),
                                                                          b->wanted->agent),
                                           .ip = b->wanted->address };
    st = identity_letter_notice(task, identity, "sessions", &letter, &b->letter);
    b->has_letter = st == STATUS_OK;
    if (st == STATUS_OK || st == STATUS_EXHAUSTED)
        return st;
    problem_clear(task_problem(task)); /* no mail can go there: that is no reason to stay outside */
    return STATUS_OK;
}

static enum status ask_late(struct task *task, struct identity *identity, struct http_request *req,
                            const struct identity_sign_in *in)
{
    struct identity_account account;
    struct identity_sign_in late = *in;
    enum status st = identity_account_by_user(task, identity, &in->account->user, &account);
    late.account = &account;
    return st == STATUS_OK ? ask_for_second(task, identity, req, &late) : st;
}

/* `device` gets the name of a device that had none. *ret_is_late: nothing was made, for the account
 * has got a second factor meanwhile. */
static enum status make_session(struct task *task, struct identity *identity,
                                struct http_request *req, const struct identity_sign_in *in,
                                struct identity_session_new *wanted,
                                struct identity_session *session, struct slice *device,
                                bool *ret_is_late)
{
    const struct net_header *agent = net_header_get(http_net(req), NET_HEADER_USER_AGENT);
    CLEANUP(identity_secret_wipe) struct identity_secret fresh = { .len = 0 };
    *wanted = (struct identity_session_new){
        .user = in->account->user,
        .kind = in->as_cookie ? IDENTITY_SESSION_COOKIE : IDENTITY_SESSION_TOKENS,
        .methods = in->methods,
        .address = http_client_ip(req),
        .agent = agent ? agent->value : SLICE_NULL,
        .device = in->device.digest,
        .has_device = true,
        .now_us = clock_wall_us(),
    };
    *device = SLICE_NULL;
    *ret_is_late = false;
    enum status st = identity_session_prepare(identity, wanted, session);
    if (st == STATUS_OK && !in->device.is_named) {
        st = identity_secret_make(SLICE(IDENTITY_DEVICE_PREFIX), &fresh);
        wanted->device = identity_secret_digest(identity_secret_text(&fresh));
        if (st == STATUS_OK)
            st = arena_copy(task_arena(task), identity_secret_text(&fresh), device);
    }
    struct beginning b = { .in = in, .wanted = wanted, .session = session };
    identity_note_init(&b.note, identity, req, IDENTITY_AUDIT_LOGIN_SUCCEEDED, &wanted->user);
    identity_note_by_user(&b.note, &wanted->user);
    if (in->provider.len)
        b.note.event.details =
            arena_printf(task_arena(task), "{\"provider\":\"%.*s\"}", SLICE_ARG(in->provider));
    if (st == STATUS_OK)
        st = write_letter(task, identity, &b);
    if (st == STATUS_OK)
        st = store_write(task, identity->store, write_session, &b);
    *ret_is_late = b.has_factor;
    if (st == STATUS_OK && b.has_letter)
        identity_mail_wake(identity->options.mail);
    return st;
}

static struct identity_who who_of(const struct identity_sign_in *in,
                                  const struct identity_session *session, int64_t now_us)
{
    return (struct identity_who){
        .has_user = true,
        .user = in->account->user,
        .has_session = true,
        .session = session->id,
        .is_cookie = in->as_cookie,
        .methods = in->methods,
        .auth_us = now_us,
        .expires_us = session->expires_us,
        .generation = in->as_cookie ? -1 : 0,
        .roles = in->account->roles,
        .roles_len = in->account->roles_len,
    };
}

/* A role that nothing declares any more is no right, and somebody once meant it to be one. */
static void note_undeclared(const struct identity *identity, const struct identity_account *account)
{
    const struct rights *rights = identity->options.rights;
    for (unsigned i = 0; rights && rights->roles_len && i < account->roles_len; i++) {
        if (rights_has_role(rights, account->roles[i]))
            continue;
        char user[UUID_TEXT_LEN];
        uuid_format(&account->user, user);
        log_warn("identity.role_undeclared", LOG_TEXT("user", slice_of(user, sizeof(user))),
                 LOG_TEXT("role", account->roles[i]));
    }
}

static enum status begin(struct task *task, struct identity *identity, struct http_request *req,
                         const struct identity_sign_in *in)
{
    CLEANUP(identity_session_wipe) struct identity_session session = { .expires_us = 0 };
    struct identity_session_new wanted;
    struct slice device;
    int http = in->is_new ? 201 : 200;
    bool is_late;
    enum status st = make_session(task, identity, req, in, &wanted, &session, &device, &is_late);
    if (is_late)
        return ask_late(task, identity, req, in);
    if (st != STATUS_OK)
        return st;
    note_undeclared(identity, in->account);
    if (in->as_cookie)
        return answer_cookie(task, req, &session, in->account, device, wanted.now_us, http);
    const struct identity_who who = who_of(in, &session, wanted.now_us);
    return identity_answer_tokens(task, identity, req, &who, &session.refresh, device, http);
}

static bool needs_second(const struct identity_sign_in *in)
{
    bool has_second = (in->methods & IDENTITY_METHODS_SECOND) != 0;
    return (in->account->totp.len || in->account->has_passkey) && !has_second;
}

static enum status check_account(struct task *task, const struct identity *identity,
                                 const struct identity_account *account)
{
    if (account->disabled_us || !account->has_person)
        return problem_set(task, STATUS_DENIED, "identity/disabled",
                           "This account may not sign in.");
    if (identity->verifies && !account->verified_us)
        return problem_set(task, STATUS_DENIED, "identity/unverified",
                           "The address of this account has not been verified.");
    return STATUS_OK;
}

enum status identity_sign_in(struct task *task, struct identity *identity, struct http_request *req,
                             const struct identity_sign_in *in)
{
    enum status st = check_account(task, identity, in->account);
    if (st != STATUS_OK)
        return st;
    return needs_second(in) ? ask_for_second(task, identity, req, in)
                            : begin(task, identity, req, in);
}

enum status identity_sign_in_cookie(struct task *task, struct identity *identity,
                                    struct http_request *req, const struct identity_sign_in *in,
                                    struct identity_who *ret_who, struct slice *ret_cookie,
                                    struct slice *ret_second)
{
    CLEANUP(identity_session_wipe) struct identity_session session = { .expires_us = 0 };
    struct identity_session_new wanted;
    struct slice device, csrf;
    bool is_late;
    enum status st = check_account(task, identity, in->account);
    *ret_second = SLICE_NULL;
    if (st == STATUS_OK && needs_second(in))
        return begin_second(task, identity, in, ret_second);
    if (st != STATUS_OK)
        return st;
    st = make_session(task, identity, req, in, &wanted, &session, &device, &is_late);
    if (is_late)
        return begin_second(task, identity, in, ret_second);
    if (st == STATUS_OK)
        st = set_cookies(task, req, &session, device, wanted.now_us, ret_cookie, &csrf);
    if (st == STATUS_OK)
        *ret_who = who_of(in, &session, wanted.now_us);
    return st;
}
