/*
 * identity/route_sessions.c - What becomes of a session: refreshed, listed, ended.
 */
#include "identity/routes.h"

#include "base/clock.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/caller.h"
#include "identity/feed.h"
#include "identity/note.h"
#include "identity/room.h"
#include "identity/session_list.h"
#include "identity/signin.h"

#define LIST_BYTES_MAX ((size_t)256 * 1024)

/* -- POST /auth/refresh
 * -------------------------------------------------------------------------------- */

static void tell_reuse(struct identity *identity, struct http_request *req, const struct uuid *user)
{
    struct identity_note note;
    identity__log_user(LOG_LEVEL_WARN, "identity.refresh_reused", user);
    identity_note_init(&note, identity, req, IDENTITY_AUDIT_TOKEN_REUSED, user);
    note.event.outcome = IDENTITY_AUDIT_REFUSED;
    identity_note_later(&note);
}

enum status identity__refresh(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_input in;
    enum identity_refresh_outcome outcome;
    struct identity_who who;
    struct identity_refresh refresh;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    struct slice token = identity_input_text(&in, "refresh_token", IDENTITY_REFRESH_LEN, true);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    st = identity_session_refresh(task, identity, token, SLICE_NULL, clock_wall_us(), &outcome,
                                  &who, &refresh);
    if (st != STATUS_OK)
        return st;
    if (outcome == IDENTITY_REFRESH_REUSED)
        tell_reuse(identity, req, &who.user);
    if (outcome != IDENTITY_REFRESHED)
        return problem_set(task, STATUS_UNAUTHENTICATED, "identity/invalid-grant",
                           "The refresh token is not valid, or not any more: sign in again.");
    return identity_answer_tokens(task, identity, req, &who, &refresh, SLICE_NULL, 200);
}

/* -- POST /auth/logout
 * --------------------------------------------------------------------------------- */

struct ending {
    struct identity_note note;
    struct uuid id, user;
    const char *reason;
    int64_t now_us;
    bool ended;
    int64_t ended_len;
};

static enum status write_end(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    enum status st = identity_session_end(tx, &e->id, e->reason, e->now_us, &e->ended);
    return st == STATUS_OK && e->ended ? identity_note_put(tx, &e->note) : st;
}

static enum status end_one(struct task *task, struct identity *identity, struct ending *e)
{
    e->now_us = clock_wall_us();
    enum status st = store_write(task, identity->store, write_end, e);
    if (st == STATUS_OK)
        identity_feed_session_ended(identity, &e->id);
    return st;
}

static enum status forget_cookies(struct http_request *req)
{
    enum status st = identity_cookie_set(req, HTTP_SESSION_COOKIE, SLICE(""), 0);
    if (st == STATUS_OK && http_cookie(req, SLICE(IDENTITY_OWN_COOKIE)).len)
        st = identity_cookie_set(req, IDENTITY_OWN_COOKIE, SLICE(""), 0);
    http_header_add(req, SLICE("Set-Cookie"),
                    SLICE(HTTP_CSRF_COOKIE "=; Path=/; Secure; SameSite=Strict; Max-Age=0"));
    return st;
}

enum status identity__logout(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    enum status st = identity_caller_require(task, identity, req, &who);
    if (st == STATUS_OK && (!who.has_session || who.is_key))
        st = problem_set(task, STATUS_INVALID, "identity/no-session",
                         "An API key has no session to leave: revoke the key.");
    struct ending e = { .reason = "logout" };
    if (st == STATUS_OK) {
        e.id = who.session;
        identity_note_init(&e.note, identity, req, IDENTITY_AUDIT_LOGOUT, &who.user);
        st = end_one(task, identity, &e);
    }
    if (st == STATUS_OK && who.is_cookie)
        st = forget_cookies(req);
    if (st != STATUS_OK)
        return st;
    return identity_answer_empty(task, req);
}

/* -- GET /auth/sessions
 * -------------------------------------------------------------------------------- */

static void put_session(struct json_out *o, const struct identity_session_row *row)
{
    json_out_object(o);
    identity_put_id(o, "id", &row->id);
    identity_put_text(o, "kind", row->kind);
    identity_put_text(o, "client_id", row->client_id);
    identity_put_time(o, "created_at", row->created_us);
    identity_put_time(o, "seen_at", row->seen_us);
    identity_put_time(o, "expires_at", row->expires_us);
    identity_put_text(o, "address", row->address);
    identity_put_text(o, "agent", row->agent);
    if (row->has_impersonator)
        identity_put_id(o, "impersonator", &row->impersonator);
    identity_put_flag(o, "current", row->is_current);
    json_out_end(o);
}

enum status identity__sessions_list(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    struct identity_session_row *rows;
    unsigned len;
    enum status st = identity_caller_require(task, identity, req, &who);
    if (st == STATUS_OK)
        st = identity_session_list(task, identity, &who, &rows, &len);
    if (st != STATUS_OK)
        return st;
    struct buf b;
    buf_init(&b, task_arena(task), 2048, LIST_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("data"));
    json_out_array(&o);
    for (unsigned i = 0; i < len; i++)
        put_session(&o, &rows[i]);
    json_out_end(&o);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

/* -- DELETE /auth/sessions[/{id}]
 * ---------------------------------------------------------------------- */

static const char owned_sql[] = "SELECT 1 FROM purlin_sessions"
                                " WHERE id = $1 AND user_id = $2 AND ended_at IS NULL";

/* Somebody else's does not exist. */
static enum status write_end_own(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    const struct store_value values[] = { identity__id(&e->id), identity__id(&e->user) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, IDENTITY__SQL(owned_sql), values, ARRAY_LEN(values), &rows);
    if (st != STATUS_OK)
        return st;
    store_rows_close(rows);
    rows = NULL;
    return write_end(tx, arg);
}

enum status identity__sessions_revoke_one(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    struct ending e = { .reason = "revoked" };
    enum status st = identity_caller_require(task, identity, req, &who);
    if (st == STATUS_OK)
        st = identity_caller_refuse_acting(task, &who);
    if (st == STATUS_OK && !uuid_parse(http_path_param(req, SLICE("id")), &e.id))
        st = STATUS_NOT_FOUND;
    if (st == STATUS_OK) {
        e.user = who.user;
        e.now_us = clock_wall_us();
        identity_note_init(&e.note, identity, req, IDENTITY_AUDIT_SESSION_REVOKED, &who.user);
        st = store_write(task, identity->store, write_end_own, &e);
    }
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, st, "identity/no-such-session", "There is no such session.");
    if (st != STATUS_OK)
        return st;
    identity_feed_session_ended(identity, &e.id);
    return identity_answer_empty(task, req);
}

static enum status write_end_others(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    enum status st =
        identity_sessions_end(tx, &e->user, &e->id, e->reason, e->now_us, &e->ended_len);
    return st == STATUS_OK && e->ended_len ? identity_note_put(tx, &e->note) : st;
}

enum status identity__sessions_revoke_others(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    enum status st = identity_caller_require(task, identity, req, &who);
    if (st == STATUS_OK)
        st = identity_caller_refuse_acting(task, &who);
    if (st != STATUS_OK)
        return st;
    struct ending e = { .reason = "revoked", .user = who.user, .now_us = clock_wall_us() };
    if (who.has_session && !who.is_key)
        e.id = who.session;
    identity_note_init(&e.note, identity, req, IDENTITY_AUDIT_SESSIONS_REVOKED, &who.user);
    st = store_write(task, identity->store, write_end_others, &e);
    if (st != STATUS_OK)
        return st;
    identity_feed_user_ended(identity, &e.user);
    struct buf b;
    buf_init(&b, task_arena(task), 64, 64);
    buf_printf(&b, "{\"ended\":%lld}", (long long)e.ended_len);
    return identity_answer_json(task, req, 200, &b);
}
