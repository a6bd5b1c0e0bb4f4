/*
 * identity/caller.c - The step that finds out who asks.
 *
 * A credential is looked for in this order: Authorization: Bearer, X-API-Key, the session cookie,
 * the client's certificate. A warm one costs a digest and a look into the loop's cache. A wrong one
 * in a header is refused, so that a client knows to refresh it; a cookie that is over makes its
 * bearer anonymous, so that the page to sign in can be shown.
 */
#include "identity/caller.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/metric.h"
#include "base/problem.h"
#include "base/rights.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/access.h"
#include "identity/account.h"
#include "identity/api_keys.h"
#include "identity/authorization.h"
#include "identity/certificates.h"
#include "identity/foreign_tokens.h"
#include "identity/oauth.h"
#include "identity/room.h"
#include "identity/secret.h"
#include "identity/session.h"
#include "identity/token_cache.h"

enum kind { NONE, TOKEN, COOKIE, CERTIFICATE };

#define CERTIFICATE_KEYS (UINT64_C(1) << 63) /* numbers for limits, beside those of API keys */

struct credential {
    enum kind kind;
    struct slice text;
};

/* A certificate that stands for nobody is none; `key` gets what names it. */
static struct credential credential_of(const struct identity *identity, struct http_request *req,
                                       char key[IDENTITY_CERTIFICATE_KEY_LEN])
{
    const struct net_header *header = net_header_get(http_net(req), NET_HEADER_AUTHORIZATION);
    struct slice bearer = header ? identity_bearer_of(header->value) : SLICE_NULL;
    if (bearer.len)
        return (struct credential){ TOKEN, bearer };
    const struct net_header *api_key = net_header_get(http_net(req), NET_HEADER_X_API_KEY);
    if (api_key && api_key->value.len)
        return (struct credential){ TOKEN, api_key->value };
    struct slice cookie = http_cookie(req, SLICE(HTTP_SESSION_COOKIE));
    if (cookie.len)
        return (struct credential){ COOKIE, cookie };
    if (identity->options.certificates_len && identity_certificate_key(req, key))
        return (struct credential){ CERTIFICATE, slice_of(key, IDENTITY_CERTIFICATE_KEY_LEN) };
    return (struct credential){ NONE, SLICE_NULL };
}

/* -- what is cached
 * ------------------------------------------------------------------------------------ */

/* What holds for each request of a key, cached or not: false, it may not be used from here. */
static bool use_key(const struct identity *identity, const struct http_request *req,
                    const struct identity_who *who)
{
    const struct address *address = http_client_address(req);
    if (who->is_certificate)
        return true;
    if (!identity_api_key_allows(who->key_addresses, address))
        return false;
    identity_api_key_used(identity->options.api_keys, &who->session, address, clock_wall_us());
    return true;
}

static unsigned words_of(struct slice list)
{
    struct slice word;
    unsigned n = 0;
    while (list.len && slice_split(&list, ' ', &word))
        n++;
    return n;
}

/* What they are held to: permissions, and behind those the names that an OAuth client was granted,
 * for rules to ask after. Without memory for them: none. */
static void set_scopes(struct arena *arena, const struct identity_who *who,
                       struct task_caller *caller)
{
    struct slice names = who->is_key ? SLICE_NULL : who->scope;
    struct slice rest = who->permissions, word;
    caller->is_scoped = who->is_scoped && !who->is_limited; /* who is nobody may what anybody may */
    caller->scopes_give = who->is_client;
    if (!caller->is_scoped)
        return;
    unsigned max = words_of(rest) + words_of(names);
    struct slice *scopes = arena_array_of(arena, struct slice, max ? max : 1);
    while (scopes && rest.len && slice_split(&rest, ' ', &word))
        scopes[caller->scopes_len++] = word;
    while (scopes && names.len && slice_split(&names, ' ', &word))
        scopes[caller->scopes_len++] = word;
    caller->scopes = scopes;
}

/* Of who acts as another person, whatever that person may: to end them, and to go on from there. */
static const struct slice withheld[] = { SLICE_INIT(IDENTITY_PEOPLE ":delete"),
                                         SLICE_INIT(RIGHTS_IMPERSONATE),
                                         SLICE_INIT(RIGHTS_INVITE) };

/* Who asks when it is no person. */
static struct http_program program_of(const struct identity *identity, struct arena *arena,
                                      const struct identity_who *who)
{
    if (who->is_certificate) {
        const struct identity_certificate *all = identity->options.certificates;
        return (struct http_program){ HTTP_PROGRAM_CERTIFICATE,
                                      all[who->key_id - CERTIFICATE_KEYS].name };
    }
    if (who->is_client)
        return (struct http_program){ HTTP_PROGRAM_CLIENT, who->client_id };
    char *text = who->is_key ? arena_alloc(arena, UUID_TEXT_LEN) : NULL;
    if (!text)
        return (struct http_program){ HTTP_PROGRAM_NONE, SLICE_NULL };
    uuid_format(&who->session, text);
    return (struct http_program){ HTTP_PROGRAM_KEY, slice_of(text, UUID_TEXT_LEN) };
}

static void tell(const struct identity *identity, struct http_request *req,
                 const struct identity_who *who)
{
    struct task_caller caller = { .has_user = who->has_user && !who->is_limited,
                                  .user = who->user,
                                  .roles = who->roles,
                                  .roles_len = who->roles_len,
                                  .lent_len = who->lent_len };
    if (who->has_impersonator) {
        caller.has_impersonator = true;
        caller.impersonator = who->impersonator;
        caller.withheld = withheld;
        caller.withheld_len = ARRAY_LEN(withheld);
    }
    set_scopes(http_arena(req), who, &caller);
    http_caller_set(req, &caller);
    if (!who->has_user)
        http_program_set(req, program_of(identity, http_arena(req), who));
    if (who->is_key)
        http_caller_key_set(req, who->key_id);
}

/* EXHAUSTED: no memory. NOT_FOUND: it is not cached. */
static enum status find_cached(struct identity *identity, struct http_request *req,
                               const struct identity_token_digest *digest, struct identity_who *ret)
{
    struct slice packed;
    if (!identity_token_cache_find(identity__cache(identity), digest, clock_wall_us(), &packed))
        return STATUS_NOT_FOUND;
    return identity_who_unpack(http_arena(req), packed, ret);
}

static enum status keep(struct identity *identity, struct task *task,
                        const struct identity_token_digest *digest, const struct identity_who *who,
                        int64_t expires_us, uint64_t ticket)
{
    struct identity_token_entry entry = { .digest = *digest, .expires_us = expires_us };
    char key_id[UUID_TEXT_LEN]; /* by which keys are revoked */
    if (who->is_key && !who->is_certificate) {
        uuid_format(&who->session, key_id);
        entry.session_id = slice_of(key_id, sizeof(key_id));
    } else if (who->has_session || who->is_client)
        entry.session_id = slice_of((const char *)who->session.bytes, sizeof(who->session.bytes));
    if (who->has_user)
        entry.user_id = slice_of((const char *)who->user.bytes, sizeof(who->user.bytes));
    enum status st = identity_who_pack(task_arena(task), who, &entry.value);
    if (st == STATUS_TOO_LARGE)
        return STATUS_OK; /* looked up each time */
    if (st != STATUS_OK)
        return st;
    enum identity_token_put put =
        identity_token_cache_put(identity__cache(identity), &entry, ticket, clock_wall_us());
    return put == IDENTITY_TOKEN_REVOKED ? STATUS_UNAUTHENTICATED : STATUS_OK;
}

static struct identity_api_key_asker asker_of(const struct http_request *req)
{
    const struct net_header *agent = net_header_get(http_net(req), NET_HEADER_USER_AGENT);
    return (struct identity_api_key_asker){ .address = http_client_address(req),
                                            .agent = agent ? agent->value : SLICE_NULL,
                                            .request_id = http_request_id(req) };
}

/* Separated by spaces, as OAuth writes them. */
static enum status scopes_of(struct arena *arena, const struct identity_api_key_found *found,
                             struct slice *ret)
{
    struct buf b;
    buf_init(&b, arena, 128, IDENTITY_WHO_BYTES_MAX);
    for (unsigned i = 0; i < found->scopes_len; i++) {
        if (i)
            buf_putc(&b, ' ');
        buf_put_slice(&b, found->scopes[i]);
    }
    *ret = buf_slice(&b);
    return buf_status(&b);
}

/* -- looking up
 * ---------------------------------------------------------------------------------------- */

static enum status look_up_token(struct task *task, struct identity *identity, struct slice text,
                                 int64_t now_us, struct identity_who *ret, int64_t *ret_expires_us)
{
    struct identity_access access;
    enum identity_jose_refusal refusal;
    enum status st =
        identity_foreign_token_who(task, identity, text, now_us, ret, ret_expires_us, &refusal);
    if (st == STATUS_UNAUTHENTICATED)
        identity__count_refusal(identity, refusal);
    if (st != STATUS_NOT_FOUND)
        return st;
    st = identity_access_verify(identity, task_arena(task), text, now_us, &access, &refusal);
    if (st == STATUS_UNAUTHENTICATED)
        identity__count_refusal(identity, refusal);
    if (st != STATUS_OK)
        return st;
    *ret_expires_us = access.expires_us;
    if (!access.has_session)
        return identity_oauth_client_who(task, identity, access.client_id, access.scope, &access.id,
                                         ret);
    st = identity_session_find(task, identity, &access.session, access.generation, now_us, ret);
    if (st != STATUS_OK || !ret->client_id.len)
        return st;
    ret->scope = access.scope;
    return identity_oauth_narrow_by_id(task, identity, ret);
}

enum status identity_caller_take_owner(struct task *task, struct identity *identity,
                                       struct identity_who *who)
{
    struct identity_account account;
    enum status st = identity_account_by_user(task, identity, &who->user, &account);
    if (st == STATUS_NOT_FOUND || (st == STATUS_OK && !identity_account_is_in_use(&account)))
        return STATUS_UNAUTHENTICATED;
    if (st != STATUS_OK)
        return st;
    who->roles = account.roles;
    who->roles_len = account.roles_len;
    return STATUS_OK;
}

/* NOT_FOUND: whom the certificate stands for is not configured. */
static enum status look_up_certificate(struct task *task, struct http_request *req,
                                       struct identity *identity, int64_t now_us,
                                       struct identity_who *ret, int64_t *ret_expires_us)
{
    const struct identity_options *options = &identity->options;
    const struct identity_certificate *found =
        identity_certificate_find(req, options->certificates, options->certificates_len);
    if (!found)
        return STATUS_NOT_FOUND;
    *ret_expires_us = net_tls_client_until_us(http_exchange(req));
    if (*ret_expires_us <= now_us) /* it ended while the connection stood */
        return STATUS_UNAUTHENTICATED;
    *ret = (struct identity_who){
        .has_session = true, /* of a kind: as a key has */
        .is_key = true,
        .is_certificate = true,
        .key_id = CERTIFICATE_KEYS + (uint64_t)(found - options->certificates),
        .has_user = found->has_user,
        .user = found->user,
        .generation = -1,
        .roles = found->roles,
        .roles_len = found->roles_len,
        .scope = found->scopes,
        .permissions = found->scopes,
        .is_scoped = found->scopes.len > 0,
    };
    return found->has_user ? identity_caller_take_owner(task, identity, ret) : STATUS_OK;
}

static enum status look_up_key(struct task *task, struct http_request *req,
                               struct identity *identity, struct slice text, int64_t now_us,
                               struct identity_who *ret, int64_t *ret_expires_us)
{
    struct identity_api_key_asker asker = asker_of(req);
    struct identity_api_key_found found;
    enum status st =
        identity_api_key_find(task, identity->options.api_keys, text, &asker, now_us, &found, NULL);
    if (st != STATUS_OK)
        return st;
    *ret = (struct identity_who){ .has_session = true, /* by whose id it is revoked */
                                  .session = found.id,
                                  .is_key = true,
                                  .key_id = found.number,
                                  .key_addresses = found.addresses,
                                  .has_user = found.has_user,
                                  .user = found.user,
                                  .generation = -1,
                                  .roles = found.roles,
                                  .roles_len = found.roles_len };
    *ret_expires_us = found.expires_us ? found.expires_us : INT64_MAX;
    st = scopes_of(task_arena(task), &found, &ret->scope);
    ret->permissions = ret->scope; /* the same words */
    ret->is_scoped = ret->scope.len > 0;
    return st == STATUS_OK && found.has_user ? identity_caller_take_owner(task, identity, ret) : st;
}

static enum status look_up(struct task *task, struct http_request *req, struct identity *identity,
                           const struct credential *credential, struct identity_who *ret,
                           int64_t *ret_expires_us)
{
    int64_t now_us = clock_wall_us();
    if (credential->kind == TOKEN && identity->options.api_keys &&
        identity_api_key_is_ours(credential->text))
        return look_up_key(task, req, identity, credential->text, now_us, ret, ret_expires_us);
    if (credential->kind == TOKEN)
        return look_up_token(task, identity, credential->text, now_us, ret, ret_expires_us);
    if (credential->kind == CERTIFICATE)
        return look_up_certificate(task, req, identity, now_us, ret, ret_expires_us);
    struct identity_digest digest;
    if (identity_secret_read(credential->text, SLICE(IDENTITY_COOKIE_PREFIX), &digest) != STATUS_OK)
        return STATUS_UNAUTHENTICATED;
    enum status st = identity_session_find_cookie(task, identity, &digest, now_us, ret);
    if (st == STATUS_OK)
        *ret_expires_us = ret->expires_us;
    return st;
}

enum status identity_caller_find(struct task *task, struct identity *identity,
                                 struct http_request *req, struct identity_who *ret)
{
    char key[IDENTITY_CERTIFICATE_KEY_LEN];
    struct credential credential = credential_of(identity, req, key);
    struct identity_token_digest digest;
    if (credential.kind == NONE)
        return STATUS_NOT_FOUND;
    identity_token_digest_make(identity__cache(identity), credential.text, &digest);
    enum status st = find_cached(identity, req, &digest, ret);
    if (st != STATUS_NOT_FOUND)
        return st;
    uint64_t ticket = identity_token_cache_ticket(identity__cache(identity));
    int64_t expires_us = 0;
    st = look_up(task, req, identity, &credential, ret, &expires_us);
    return st == STATUS_OK ? keep(identity, task, &digest, ret, expires_us, ticket) : st;
}

/* -- the step
 * ------------------------------------------------------------------------------------------ */

/* A wrong credential is refused by the chain, after it was charged: it is guessing. */
static enum http_verdict refuse(struct http_request *req, enum status st, struct problem *problem)
{
    if (st != STATUS_UNAUTHENTICATED) {
        http_send_problem(req, st, problem);
        return HTTP_STEP_ANSWERED;
    }
    problem_clear(problem);
    http_caller_refuse(req, "identity/invalid-token",
                       "The credential is not valid, or not any more.");
    return HTTP_STEP_NEXT;
}

/* What everybody may ask, whoever they say they are, and whatever else is broken. */
static bool is_health(const struct http_request *req)
{
    const struct http_route *route = http_route_of(req);
    return route && route->priority == HTTP_PRIORITY_HEALTH && route->audience == HTTP_PUBLIC;
}

/* A cookie that is over, or a certificate that stands for nobody. */
static bool is_nobody(enum status st, enum kind kind)
{
    return (st == STATUS_UNAUTHENTICATED && kind == COOKIE) ||
           (st == STATUS_NOT_FOUND && kind == CERTIFICATE);
}

static enum http_verdict step(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    char key[IDENTITY_CERTIFICATE_KEY_LEN];
    struct credential credential = credential_of(identity, req, key);
    struct identity_who who;
    if (credential.kind == NONE || http_caller(req)->roles_len > 0 || is_health(req))
        return HTTP_STEP_NEXT; /* nobody, or the bootstrap key */
    if (!task) {
        struct identity_token_digest digest;
        identity_token_digest_make(identity__cache(identity), credential.text, &digest);
        if (find_cached(identity, req, &digest, &who) != STATUS_OK ||
            (who.is_key && !use_key(identity, req, &who)))
            return HTTP_STEP_WAIT;
        tell(identity, req, &who);
        return HTTP_STEP_NEXT;
    }
    enum status st = identity_caller_find(task, identity, req, &who);
    if (st == STATUS_OK && who.is_key && !use_key(identity, req, &who)) {
        struct identity_api_key_asker asker = asker_of(req);
        st = identity_api_key_refuse(task, identity->options.api_keys, &who.session, &asker,
                                     IDENTITY_API_KEY_ADDRESS);
    }
    if (st == STATUS_OK)
        tell(identity, req, &who);
    else if (!is_nobody(st, credential.kind))
        return refuse(req, st, task_problem(task));
    return HTTP_STEP_NEXT;
}

enum status identity__caller_open(struct identity *identity)
{
    return http_step_add(identity->app, "identity", step, identity);
}

/* -- for handlers
 * -------------------------------------------------------------------------------------- */

enum status identity_caller_require(struct task *task, struct identity *identity,
                                    struct http_request *req, struct identity_who *ret)
{
    enum status st = identity_caller_find(task, identity, req, ret);
    bool is_nobody = st == STATUS_NOT_FOUND || st == STATUS_UNAUTHENTICATED ||
                     (st == STATUS_OK && !ret->has_user);
    if (st == STATUS_OK && ret->is_key && ret->scope.len)
        return problem_set(
            task, STATUS_DENIED, "identity/scope",
            "The scopes of this key or certificate do not reach its owner's account.");
    if (is_nobody)
        return problem_set(task, STATUS_UNAUTHENTICATED, "identity/sign-in", "Sign in first.");
    /* Lending a program some rights is not lending it the account. */
    if (st == STATUS_OK && ret->client_id.len)
        return problem_set(task, STATUS_DENIED, "identity/client-token",
                           "A program that acts for somebody may not change their account.");
    return st;
}

enum status identity_caller_refuse_acting(struct task *task, const struct identity_who *who)
{
    if (!who->has_impersonator)
        return STATUS_OK;
    return problem_set(task, STATUS_DENIED, "identity/not-yourself",
                       "Only the person themselves may do this, and nobody who acts as them.");
}

enum status identity_caller_require_fresh(struct task *task, struct identity *identity,
                                          struct http_request *req, int64_t fresh_us,
                                          struct identity_who *ret)
{
    enum status st = identity_caller_require(task, identity, req, ret);
    if (st == STATUS_OK)
        st = identity_caller_refuse_acting(task, ret);
    if (st != STATUS_OK)
        return st;
    if (ret->has_session && !ret->is_key && clock_wall_us() - ret->auth_us <= fresh_us)
        return STATUS_OK;
    http_header_add(req, SLICE("WWW-Authenticate"),
                    SLICE("Bearer realm=\"purlin\", error=\"insufficient_user_authentication\""));
    return problem_set(task, STATUS_DENIED, "identity/step-up",
                       "Prove again that it is you, by password or a second factor.");
}

static enum status require_self(struct task *task, const struct identity_who *who)
{
    if (who->has_session && !who->is_key && !who->has_impersonator && !who->client_id.len)
        return STATUS_OK;
    return problem_set(task, STATUS_DENIED, "identity/not-yourself",
                       "Only the person themselves may do this, signed in here: no key, no "
                       "application, and nobody who acts as them.");
}

enum status identity_caller_require_self(struct task *task, struct identity *identity,
                                         struct http_request *req, struct identity_who *ret)
{
    enum status st = identity_caller_require(task, identity, req, ret);
    return st == STATUS_OK ? require_self(task, ret) : st;
}

enum status identity_caller_require_self_fresh(struct task *task, struct identity *identity,
                                               struct http_request *req, int64_t fresh_us,
                                               struct identity_who *ret)
{
    enum status st = identity_caller_require_self(task, identity, req, ret);
    return st == STATUS_OK ? identity_caller_require_fresh(task, identity, req, fresh_us, ret) : st;
}
