/*
 * identity/route_impersonate.c - POST /auth/impersonate: somebody who may acts as another person
 * for a short while, to see what they see; POST /auth/impersonate/end ends it.
 *
 * It is a session of that person's, marked with who holds it: tokens carry "act" (RFC 8693 section
 * 4.1), pages a banner, the log both, and the person finds it among their sessions and can end it.
 * It ends with the rights of who holds it: with their account, and with a new password of theirs.
 */
#include "identity/routes.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "base/rights.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/account_page.h"
#include "identity/answer.h"
#include "identity/caller.h"
#include "identity/feed.h"
#include "identity/form.h"
#include "identity/input.h"
#include "identity/note.h"
#include "identity/notice.h"
#include "identity/room.h"
#include "identity/session.h"
#include "identity/signin.h"

#define FRESH_US (15 * CLOCK_MINUTE)
#define REASON_MIN 10u
#define REASON_MAX 500u
#define ANSWER_BYTES_MAX ((size_t)8192)

/* -- who may act as whom
 * ------------------------------------------------------------------------------- */

static bool is_same(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool has_role(const struct slice *roles, unsigned len, struct slice role)
{
    for (unsigned i = 0; i < len; i++)
        if (slice_eq(roles[i], role))
            return true;
    return false;
}

static bool is_powerful(const struct identity *identity, const struct identity_account *account)
{
    for (unsigned i = 0; i < account->roles_len; i++)
        if (rights_role_gives(identity->options.rights, account->roles[i],
                              SLICE(RIGHTS_IMPERSONATE)))
            return true;
    return false;
}

/* Nobody gets by this what they have not: each role of that person has to be theirs too, unless
 * they administer. */
static bool has_more(const struct identity_who *who, const struct identity_account *account)
{
    if (has_role(who->roles, who->roles_len, SLICE(RIGHTS_ADMIN)))
        return false;
    for (unsigned i = 0; i < account->roles_len; i++)
        if (!has_role(who->roles, who->roles_len, account->roles[i]))
            return true;
    return false;
}

static enum status check_target(struct task *task, const struct identity *identity,
                                const struct identity_who *who,
                                const struct identity_account *account)
{
    if (is_same(&who->user, &account->user))
        return problem_set(task, STATUS_CONFLICT, "identity/yourself", "That is you already.");
    if (!identity_account_is_in_use(account))
        return problem_set(task, STATUS_CONFLICT, "identity/disabled",
                           "This account is not in use: nobody can act as that person.");
    if (is_powerful(identity, account) && !identity->options.impersonate_admins)
        return problem_set(task, STATUS_DENIED, "identity/administrator",
                           "Nobody acts as somebody who may do so themselves.");
    if (has_more(who, account))
        return problem_set(task, STATUS_DENIED, "identity/more-rights",
                           "This person has roles that you have not.");
    return STATUS_OK;
}

/* -- POST /auth/impersonate
 * ---------------------------------------------------------------------------- */

struct acting {
    struct identity *identity;
    struct identity_who who;         /* who acts */
    struct identity_account account; /* as whom */
    struct slice reason;
    struct identity_session_new wanted;
    const struct identity_session *session;
    struct identity_note note;
};

static enum status find_target(struct task *task, struct identity *identity, struct slice user,
                               struct identity_account *ret)
{
    struct uuid id;
    struct slice key;
    enum status st = STATUS_NOT_FOUND;
    if (uuid_parse(user, &id))
        st = identity_account_by_user(task, identity, &id, ret);
    else if (identity_email_key(task_arena(task), user, &key) == STATUS_OK)
        st = identity_account_by_email(task, identity, key, ret);
    return st == STATUS_NOT_FOUND ? problem_set(task, st, "identity/no-account",
                                                "There is no account of that id or address.")
                                  : st;
}

static enum status read_acting(struct task *task, struct http_request *req, struct acting *a)
{
    struct identity_input in;
    enum status st = identity_caller_require_self_fresh(task, a->identity, req, FRESH_US, &a->who);
    if (st == STATUS_OK)
        st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    struct slice user = identity_input_text(&in, "user", IDENTITY_EMAIL_MAX, true);
    struct slice reason = identity_input_text(&in, "reason", REASON_MAX, true);
    a->reason = slice_trim(reason);
    if (reason.len > 0 && a->reason.len < REASON_MIN)
        problem_field_add(task_problem(task), task_arena(task), SLICE("/reason"), "too_short",
                          "Must have at least %u characters: it stands in the log.", REASON_MIN);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    st = find_target(task, a->identity, user, &a->account);
    return st == STATUS_OK ? check_target(task, a->identity, &a->who, &a->account) : st;
}

static struct slice details_of(struct arena *arena, const struct acting *a)
{
    struct buf b;
    buf_init(&b, arena, 256, IDENTITY_AUDIT_DETAILS_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("reason"));
    json_out_string(&o, a->reason);
    identity_put_id(&o, "session", &a->session->id);
    json_out_end(&o);
    return buf_slice(&b);
}

static enum status write_acting(struct store_tx *tx, void *arg)
{
    struct acting *a = arg;
    enum status st = identity_session_put(tx, &a->wanted, a->session);
    return st == STATUS_OK ? identity_note_put(tx, &a->note) : st;
}

/* The browser keeps both sessions: that person's in the place of its own, which comes back. */
static enum status answer_cookie(struct task *task, struct http_request *req,
                                 const struct acting *a)
{
    struct slice cookie, own = http_cookie(req, SLICE(HTTP_SESSION_COOKIE)), csrf;
    int64_t life_us = a->session->expires_us - a->wanted.now_us;
    struct buf b;
    enum status st =
        arena_copy(task_arena(task), identity_secret_text(&a->session->cookie), &cookie);
    if (st == STATUS_OK)
        st = identity_cookie_set(req, IDENTITY_OWN_COOKIE, own,
                                 a->who.expires_us - a->wanted.now_us);
    if (st == STATUS_OK)
        st = identity_cookie_set(req, HTTP_SESSION_COOKIE, cookie, life_us);
    if (st == STATUS_OK)
        st = http_csrf_token_issue(req, cookie, &csrf);
    if (st != STATUS_OK)
        return problem_set(task, st, "identity/cookie", "The cookie could not be set.");
    buf_init(&b, task_arena(task), 256, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    identity_put_id(&o, "session_id", &a->session->id);
    identity_put_id(&o, "user_id", &a->account.user);
    identity_put_id(&o, "impersonated_by", &a->who.user);
    json_out_ki(&o, "expires_in", life_us / CLOCK_SECOND);
    json_out_key(&o, SLICE("csrf_token"));
    json_out_string(&o, csrf);
    json_out_end(&o);
    return identity_answer_json(task, req, 201, &b);
}

static enum status answer(struct task *task, struct http_request *req, const struct acting *a)
{
    const struct identity_who who = {
        .has_user = true,
        .user = a->account.user,
        .has_session = true,
        .session = a->session->id,
        .auth_us = a->wanted.now_us,
        .expires_us = a->session->expires_us,
        .has_impersonator = true,
        .impersonator = a->who.user,
        .roles = a->account.roles,
        .roles_len = a->account.roles_len,
    };
    if (a->who.is_cookie)
        return answer_cookie(task, req, a);
    return identity_answer_tokens(task, a->identity, req, &who, &a->session->refresh, SLICE_NULL,
                                  201);
}

enum status identity__impersonate(struct task *task, struct http_request *req, void *arg)
{
    CLEANUP(identity_session_wipe) struct identity_session session = { .expires_us = 0 };
    const struct net_header *agent = net_header_get(http_net(req), NET_HEADER_USER_AGENT);
    struct acting a = { .identity = arg, .session = &session };
    enum status st = read_acting(task, req, &a);
    if (st != STATUS_OK)
        return st;
    a.wanted = (struct identity_session_new){
        .user = a.account.user,
        .kind = a.who.is_cookie ? IDENTITY_SESSION_COOKIE : IDENTITY_SESSION_TOKENS,
        .address = http_client_ip(req),
        .agent = agent ? agent->value : SLICE_NULL,
        .impersonator = a.who.user,
        .has_impersonator = true,
        .now_us = clock_wall_us(),
        .life_us = a.identity->options.impersonate_us,
    };
    st = identity_session_prepare(a.identity, &a.wanted, &session);
    identity_note_init(&a.note, a.identity, req, IDENTITY_AUDIT_IMPERSONATION_BEGAN,
                       &a.account.user);
    a.note.event.details = details_of(task_arena(task), &a);
    if (st == STATUS_OK)
        st = store_write(task, a.identity->store, write_acting, &a);
    if (st != STATUS_OK)
        return st;
    if (a.identity->options.impersonate_mail)
        identity_notice_send(task, a.identity, NULL,
                             &(struct identity_notice){ .kind = IDENTITY_MAIL_ACTED_AS,
                                                        .user = &a.account.user,
                                                        .to = a.account.email,
                                                        .path = "sessions" });
    return answer(task, req, &a);
}

/* -- POST /auth/impersonate/end
 * ------------------------------------------------------------------------ */

struct ending {
    struct uuid session;
    int64_t now_us;
    struct identity_note note;
};

static enum status write_end(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    bool ended;
    enum status st =
        identity_session_end(tx, &e->session, "impersonation ended", e->now_us, &ended);
    return st == STATUS_OK && ended ? identity_note_put(tx, &e->note) : st;
}

/* Their own session, if it still is one of theirs; else nobody is signed in here. */
static enum status give_back(struct task *task, struct identity *identity, struct http_request *req,
                             const struct identity_who *who)
{
    struct slice own = http_cookie(req, SLICE(IDENTITY_OWN_COOKIE)), csrf;
    struct identity_digest digest;
    struct identity_who before;
    int64_t now_us = clock_wall_us();
    enum status st = identity_secret_read(own, SLICE(IDENTITY_COOKIE_PREFIX), &digest);
    if (st == STATUS_OK)
        st = identity_session_find_cookie(task, identity, &digest, now_us, &before);
    bool is_theirs = st == STATUS_OK && is_same(&before.user, &who->impersonator);
    if (st != STATUS_OK && st != STATUS_UNAUTHENTICATED && st != STATUS_INVALID)
        return st;
    st = identity_cookie_set(req, IDENTITY_OWN_COOKIE, SLICE(""), 0);
    if (st == STATUS_OK)
        st = identity_cookie_set(req, HTTP_SESSION_COOKIE, is_theirs ? own : SLICE(""),
                                 is_theirs ? before.expires_us - now_us : 0);
    return st == STATUS_OK && is_theirs ? http_csrf_token_issue(req, own, &csrf) : st;
}

enum status identity__impersonate_end(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    enum status st = identity_caller_require(task, identity, req, &who);
    if (st != STATUS_OK)
        return st;
    if (!who.has_impersonator)
        return problem_set(task, STATUS_CONFLICT, "identity/not-impersonating",
                           "This session is your own: to end it, sign out.");
    struct ending e = { .session = who.session, .now_us = clock_wall_us() };
    identity_note_init(&e.note, identity, req, IDENTITY_AUDIT_IMPERSONATION_ENDED, &who.user);
    st = store_write(task, identity->store, write_end, &e);
    if (st != STATUS_OK)
        return st;
    identity_feed_session_ended(identity, &e.session);
    if (who.is_cookie)
        st = give_back(task, identity, req, &who);
    return st == STATUS_OK ? identity_answer_empty(task, req) : st;
}
