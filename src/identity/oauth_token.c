/*
 * identity/oauth_token.c - POST /oauth/token: a code, a refresh token or a client's own secret for
 * an access token (RFC 6749 sections 4.1.3, 4.4 and 6, OAuth 2.1).
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/rights.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/access.h"
#include "identity/answer.h"
#include "identity/oauth.h"
#include "identity/oauth_code.h"
#include "identity/oauth_note.h"
#include "identity/room.h"
#include "identity/session.h"

#define ANSWER_BYTES_MAX ((size_t)24 * 1024)

struct asking {
    struct task *task;
    struct http_request *req;
    struct identity *identity;
    struct identity_oauth_params params;
    struct identity_client client;
    int64_t now_us;
    unsigned result; /* for the metric */
};

static enum status refuse(struct asking *a, enum identity_oauth_error error, const char *text)
{
    a->result = error;
    return identity_oauth_refuse(a->task, a->req, error, text);
}

static void put_text(struct json_out *o, const char *key, struct slice text)
{
    json_out_key(o, slice_cstr(key));
    json_out_string(o, text);
}

/* `refresh` may be NULL: there is none. An ID token goes to who asked for openid. */
static enum status answer(struct asking *a, struct identity_who *who,
                          const struct identity_refresh *refresh, struct slice nonce)
{
    struct slice token, id_token = SLICE_NULL;
    struct arena *arena = task_arena(a->task);
    int64_t life_us;
    enum status st = identity_access_make(a->identity, arena, who, a->now_us, &token, &life_us);
    if (st == STATUS_OK && who->has_user && identity_scope_has(who->scope, SLICE("openid")))
        st = identity_id_token_make(a->identity, arena, who, token, nonce, a->now_us, &id_token);
    if (st == STATUS_UNAUTHENTICATED)
        return refuse(a, IDENTITY_OAUTH_INVALID_GRANT, "The session is over.");
    if (st != STATUS_OK)
        return problem_set(a->task, st, "identity/token", "The token could not be signed.");
    struct buf b;
    buf_init(&b, arena, 2048, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    put_text(&o, "access_token", token);
    json_out_kv(&o, "token_type", "Bearer");
    json_out_ki(&o, "expires_in", life_us / CLOCK_SECOND);
    if (refresh)
        put_text(&o, "refresh_token", slice_of(refresh->text, sizeof(refresh->text)));
    if (id_token.len)
        put_text(&o, "id_token", id_token);
    put_text(&o, "scope", who->scope);
    json_out_end(&o);
    a->result = IDENTITY__TOKENS_OK;
    return identity_answer_json(a->task, a->req, 200, &b);
}

/* -- authorization_code
 * -------------------------------------------------------------------------------- */

static enum status by_code(struct asking *a)
{
    const struct net_header *agent = net_header_get(http_net(a->req), NET_HEADER_USER_AGENT);
    CLEANUP(identity_code_grant_wipe) struct identity_code_grant grant = { .is_granted = false };
    const struct identity_code_claim claim = {
        .client = &a->client,
        .code = identity_oauth_param(&a->params, "code"),
        .redirect = identity_oauth_param(&a->params, "redirect_uri"),
        .verifier = identity_oauth_param(&a->params, "code_verifier"),
        .address = http_client_ip(a->req),
        .agent = agent ? agent->value : SLICE_NULL,
    };
    if (!claim.code.len || !claim.redirect.len || !claim.verifier.len)
        return refuse(a, IDENTITY_OAUTH_INVALID_REQUEST,
                      "A code is exchanged with code, redirect_uri and code_verifier.");
    enum status st = identity_oauth_code_exchange(a->task, a->identity, &claim, a->now_us, &grant);
    if (st != STATUS_OK)
        return st;
    if (grant.is_replay)
        identity_oauth_note_reuse(a->identity, a->req, a->client.id,
                                  grant.has_replayed_user ? &grant.replayed_user : NULL, "code");
    if (!grant.is_granted)
        return refuse(a, IDENTITY_OAUTH_INVALID_GRANT,
                      "The code is unknown, over or used, or was made for another client, "
                      "redirect_uri or code_challenge.");
    st = identity_oauth_narrow(a->identity, task_arena(a->task), &a->client, &grant.who);
    if (st != STATUS_OK)
        return st;
    bool has_refresh = (a->client.grants & IDENTITY_GRANT_REFRESH) != 0;
    return answer(a, &grant.who, has_refresh ? &grant.session.refresh : NULL, grant.nonce);
}

/* -- refresh_token
 * ------------------------------------------------------------------------------------- */

static enum status by_refresh(struct asking *a)
{
    struct slice token = identity_oauth_param(&a->params, "refresh_token");
    struct slice scope = identity_oauth_param(&a->params, "scope");
    enum identity_refresh_outcome outcome;
    struct identity_who who;
    struct identity_refresh refresh;
    if (!token.len)
        return refuse(a, IDENTITY_OAUTH_INVALID_REQUEST, "refresh_token is missing.");
    /* Asked before the token is used up: a mistake costs no session. */
    enum status st = identity_session_find_refresh(a->task, a->identity, token, a->now_us, &who);
    if (st == STATUS_OK && slice_eq(who.client_id, a->client.id) && scope.len &&
        !identity_scope_is_within(scope, who.scope))
        return refuse(a, IDENTITY_OAUTH_INVALID_SCOPE, "More is asked for than was granted.");
    if (st == STATUS_OK || st == STATUS_UNAUTHENTICATED)
        st = identity_session_refresh(a->task, a->identity, token, a->client.id, a->now_us,
                                      &outcome, &who, &refresh);
    if (st != STATUS_OK)
        return st;
    if (outcome == IDENTITY_REFRESH_REUSED) {
        identity__log_user(LOG_LEVEL_WARN, "identity.refresh_reused", &who.user);
        identity_oauth_note_reuse(a->identity, a->req, a->client.id, &who.user, "refresh_token");
    }
    if (outcome != IDENTITY_REFRESHED)
        return refuse(a, IDENTITY_OAUTH_INVALID_GRANT,
                      "The refresh token is not valid, not any more, or another client's.");
    if (scope.len)
        who.scope = scope;
    st = identity_oauth_narrow(a->identity, task_arena(a->task), &a->client, &who);
    return st == STATUS_OK ? answer(a, &who, &refresh, SLICE_NULL) : st;
}

/* -- client_credentials
 * -------------------------------------------------------------------------------- */

static bool is_about_a_person(const struct identity_options *o, struct slice name)
{
    for (unsigned i = 0; i < o->scopes_len; i++)
        if (slice_eq(o->scopes[i].name, name))
            return false;
    return !rights_is_pattern(name);
}

/* What a client may have by itself: of its scopes those that are not about a person. */
static enum status own_scopes(const struct asking *a, struct slice *ret)
{
    struct buf b;
    struct slice rest = a->client.scopes, name;
    buf_init(&b, task_arena(a->task), 128, IDENTITY_SCOPE_BYTES_MAX);
    while (identity_scope_next(&rest, &name)) {
        if (is_about_a_person(&a->identity->options, name))
            continue;
        if (b.len)
            buf_putc(&b, ' ');
        buf_put_slice(&b, name);
    }
    *ret = buf_slice(&b);
    return buf_status(&b);
}

static enum status by_client(struct asking *a)
{
    struct slice asked = identity_oauth_param(&a->params, "scope"), own;
    struct identity_who who;
    struct uuid id = uuid_v7();
    enum status st = own_scopes(a, &own);
    if (st != STATUS_OK)
        return st;
    if (!identity_scope_is_within(asked, own))
        return refuse(a, IDENTITY_OAUTH_INVALID_SCOPE,
                      "A scope is unknown, about a person, or not this client's.");
    st = identity_oauth_client_who(a->task, a->identity, a->client.id, asked.len ? asked : own, &id,
                                   &who);
    return st == STATUS_OK ? answer(a, &who, NULL, SLICE_NULL) : st;
}

/* -- the endpoint
 * -------------------------------------------------------------------------------------- */

static enum status exchange(struct asking *a, uint32_t grant, struct slice type)
{
    if (!type.len)
        return refuse(a, IDENTITY_OAUTH_INVALID_REQUEST, "grant_type is missing.");
    if (!grant)
        return refuse(a, IDENTITY_OAUTH_UNSUPPORTED_GRANT,
                      "Supported are authorization_code, refresh_token and client_credentials.");
    if (!(a->client.grants & grant))
        return refuse(a, IDENTITY_OAUTH_UNAUTHORIZED_CLIENT,
                      "The client is not registered for this grant.");
    if (!identity_scope_is_list(identity_oauth_param(&a->params, "scope")))
        return refuse(a, IDENTITY_OAUTH_INVALID_SCOPE, "The scope is malformed.");
    if (grant == IDENTITY_GRANT_CODE)
        return by_code(a);
    return grant == IDENTITY_GRANT_REFRESH ? by_refresh(a) : by_client(a);
}

enum status identity__oauth_token(struct task *task, struct http_request *req, void *arg)
{
    struct asking a = { .task = task, .req = req, .identity = arg, .now_us = clock_wall_us() };
    uint32_t grant = 0;
    enum status st = STATUS_OK;
    a.result = IDENTITY_OAUTH_INVALID_REQUEST;
    if (identity_oauth_form(task, req, &a.params, &st)) {
        struct slice type = identity_oauth_param(&a.params, "grant_type");
        grant = identity_grant_of(type);
        a.result = IDENTITY_OAUTH_INVALID_CLIENT;
        if (identity_oauth_client(task, a.identity, req, &a.params, &a.client, &st))
            st = exchange(&a, grant, type);
    }
    /* What failed here, and was no fault of the client's, has its own metrics. */
    if (st == STATUS_OK)
        identity__oauth_count_token(a.identity, grant, a.result);
    return st;
}
