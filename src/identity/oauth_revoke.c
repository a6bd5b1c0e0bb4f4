/*
 * identity/oauth_revoke.c - POST /oauth/revoke (RFC 7009) and POST /oauth/introspect (RFC 7662).
 *
 * A client revokes what was issued to it. With either token of a session the session ends. A
 * resource server, which is a client with a secret, may ask about any access token, and about
 * refresh tokens of its own.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/access.h"
#include "identity/account.h"
#include "identity/answer.h"
#include "identity/feed.h"
#include "identity/oauth.h"
#include "identity/oauth_note.h"
#include "identity/room.h"
#include "identity/session.h"

#define ANSWER_BYTES_MAX ((size_t)16 * 1024)

struct token {
    struct identity_who who;
    bool is_refresh;
    int64_t expires_us;
};

/* NOT_FOUND: it is nothing, or not any more. */
static enum status look_up(struct task *task, struct identity *identity, struct slice text,
                           struct token *ret)
{
    struct identity_access access;
    enum identity_jose_refusal refusal;
    int64_t now_us = clock_wall_us();
    *ret = (struct token){ .is_refresh = slice_starts(text, SLICE(IDENTITY_REFRESH_PREFIX)) };
    enum status st;
    if (ret->is_refresh) {
        st = identity_session_find_refresh(task, identity, text, now_us, &ret->who);
        ret->expires_us = ret->who.expires_us;
        return st == STATUS_UNAUTHENTICATED ? STATUS_NOT_FOUND : st;
    }
    st = identity_access_verify(identity, task_arena(task), text, now_us, &access, &refusal);
    ret->expires_us = access.expires_us;
    if (st == STATUS_OK && !access.has_session)
        st = identity_oauth_client_who(task, identity, access.client_id, access.scope, &access.id,
                                       &ret->who);
    else if (st == STATUS_OK)
        st = identity_session_find(task, identity, &access.session, -1, now_us, &ret->who);
    if (st == STATUS_OK && access.has_session && ret->who.client_id.len) {
        ret->who.scope = access.scope;
        st = identity_oauth_narrow_by_id(task, identity, &ret->who);
    }
    return st == STATUS_UNAUTHENTICATED ? STATUS_NOT_FOUND : st;
}

/* -- what both are asked
 * ------------------------------------------------------------------------------- */

struct asking {
    struct task *task;
    struct http_request *req;
    struct identity *identity;
    struct identity_client client;
    struct slice text; /* the token, as presented */
};

/* Which client asks, about what. False: it was answered, or *ret_st is to be returned. */
static bool read_asking(struct asking *a, bool only_confidential, enum status *ret_st)
{
    struct identity_oauth_params params;
    if (!identity_oauth_form(a->task, a->req, &params, ret_st) ||
        !identity_oauth_client(a->task, a->identity, a->req, &params, &a->client, ret_st))
        return false;
    if (only_confidential && !a->client.is_confidential) {
        identity_oauth_note_refused(a->identity, a->req, a->client.id, "introspect");
        *ret_st = identity_oauth_refuse(a->task, a->req, IDENTITY_OAUTH_INVALID_CLIENT,
                                        "Only a client with a secret may ask about tokens.");
        return false;
    }
    a->text = identity_oauth_param(&params, "token");
    if (a->text.len)
        return true;
    *ret_st =
        identity_oauth_refuse(a->task, a->req, IDENTITY_OAUTH_INVALID_REQUEST, "token is missing.");
    return false;
}

/* -- revoking
 * ------------------------------------------------------------------------------------------ */

struct ending {
    struct identity_note note;
    struct uuid id;
    int64_t now_us;
};

static enum status write_end(struct store_tx *tx, void *arg)
{
    const struct ending *e = arg;
    bool ended = false;
    enum status st = identity_session_end(tx, &e->id, "revoked", e->now_us, &ended);
    return st == STATUS_OK && ended ? identity_note_put(tx, &e->note) : st;
}

static enum status end_token(const struct asking *a, const struct token *token)
{
    struct ending e = { .id = token->who.session, .now_us = clock_wall_us() };
    if (token->who.is_client)
        return identity_oauth_token_revoke(a->task, a->identity, &e.id, token->expires_us);
    identity_oauth_note_by_client(&e.note, a->identity, a->req, IDENTITY_AUDIT_SESSION_REVOKED,
                                  a->client.id, &token->who.user);
    enum status st = store_write(a->task, a->identity->store, write_end, &e);
    if (st == STATUS_OK)
        identity_feed_session_ended(a->identity, &e.id);
    return st;
}

enum status identity__oauth_revoke(struct task *task, struct http_request *req, void *arg)
{
    struct asking a = { .task = task, .req = req, .identity = arg };
    struct token token;
    enum status st = STATUS_OK;
    if (!read_asking(&a, false, &st))
        return st;
    st = look_up(task, a.identity, a.text, &token);
    if (st == STATUS_OK && slice_eq(token.who.client_id, a.client.id))
        st = end_token(&a, &token);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    /* One that is not there is as good as revoked; of another's nothing is told. */
    identity_answer_private(req);
    http_send_empty(req, 200);
    return STATUS_OK;
}

/* -- introspecting
 * ------------------------------------------------------------------------------------- */

static void put_text(struct json_out *o, const char *key, struct slice text)
{
    json_out_key(o, slice_cstr(key));
    json_out_string(o, text);
}

static void put_token(struct json_out *o, const struct identity *identity,
                      const struct token *token)
{
    const struct identity_who *who = &token->who;
    identity_put_flag(o, "active", true);
    put_text(o, "scope", who->scope);
    put_text(o, "client_id", who->client_id.len ? who->client_id : SLICE("purlin"));
    json_out_kv(o, "token_type", token->is_refresh ? "refresh_token" : "Bearer");
    put_text(o, "iss", identity->issuer);
    if (who->has_user)
        identity_put_id(o, "sub", &who->user);
    else
        put_text(o, "sub", who->client_id);
    json_out_ki(o, "exp", token->expires_us / CLOCK_SECOND);
    if (token->is_refresh)
        return;
    put_text(o, "aud",
             identity->options.audience.len ? identity->options.audience : identity->issuer);
    json_out_key(o, SLICE("roles"));
    json_out_array(o);
    for (unsigned i = 0; i < who->roles_len; i++)
        json_out_string(o, who->roles[i]);
    json_out_end(o);
}

enum status identity__oauth_introspect(struct task *task, struct http_request *req, void *arg)
{
    struct asking a = { .task = task, .req = req, .identity = arg };
    struct token token;
    enum status st = STATUS_OK;
    if (!read_asking(&a, true, &st))
        return st;
    st = look_up(task, a.identity, a.text, &token);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    bool is_active =
        st == STATUS_OK && (!token.is_refresh || slice_eq(token.who.client_id, a.client.id));
    struct buf b;
    buf_init(&b, task_arena(task), 512, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    if (is_active)
        put_token(&o, a.identity, &token);
    else
        identity_put_flag(&o, "active", false);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}
