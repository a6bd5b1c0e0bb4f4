/* identity/foreign_tokens.c - Tokens of other issuers, verified and mapped. */
#include "identity/foreign_tokens.h"

#include <sodium.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/account.h"
#include "identity/caller.h"
#include "identity/foreign_claims.h"
#include "identity/foreign_rows.h"
#include "identity/issuer.h"
#include "identity/room.h"

/* What was verified is looked at again after this: the issuer may have dropped the key. */
#define CACHED_MAX_US (5 * CLOCK_MINUTE)
#define SUBJECT_MAX 255u /* bytes; OpenID Connect Core, section 2 */

struct source {
    const struct identity_token_issuer *config;
    struct identity_issuer *issuer; /* NULL: of a shared secret, */
    struct identity_jose_set keys;  /* which is this one */
};

struct identity_foreign_tokens {
    struct source *sources;
    unsigned len;
};

/* -- opening
 * ----------------------------------------------------------------------------------------- */

bool identity_token_alg_add(struct slice name, uint32_t *algs)
{
    const uint32_t allowed = IDENTITY_JOSE_PUBLIC | IDENTITY_JOSE_BIT(IDENTITY_JOSE_HS256);
    enum identity_jose_alg alg;
    if (!identity_jose_alg_find(name, &alg) || !(allowed & IDENTITY_JOSE_BIT(alg)))
        return false;
    *algs |= IDENTITY_JOSE_BIT(alg);
    return true;
}

const char *identity_token_issuer_check(const struct identity_token_issuer *issuer,
                                        struct arena *arena)
{
    bool is_http;
    bool is_hs = issuer->algs == IDENTITY_JOSE_BIT(IDENTITY_JOSE_HS256);
    if (!issuer->issuer.len || issuer->issuer.len > IDENTITY_ISSUER_URL_MAX)
        return "needs `issuer`, what its tokens have as iss";
    if (!issuer->audience.len)
        return "needs `audience`: a token for somebody else would be good here too";
    if (issuer->algs & IDENTITY_JOSE_BIT(IDENTITY_JOSE_HS256) && !is_hs)
        return "has HS256 beside algorithms of published keys";
    if (is_hs != (issuer->secret.len > 0))
        return "has `secret` with HS256, and only with it";
    if (is_hs && issuer->secret.len < IDENTITY_TOKEN_SECRET_MIN)
        return "has a `secret` of fewer than 32 bytes";
    if (issuer->jwks_url.len && !identity_issuer_url_is_good(arena, issuer->jwks_url, &is_http))
        return "has a `jwks_url` that is no https URL";
    if (!is_hs && !issuer->jwks_url.len &&
        !identity_issuer_url_is_good(arena, issuer->issuer, &is_http))
        return "is no https URL to find its keys by: set `jwks_url`";
    if (issuer->roles_len && !issuer->roles_claim.len)
        return "has `roles` and no `roles_claim` that gives them";
    if (issuer->roles_claim.len > IDENTITY_CLAIM_PATH_MAX)
        return "has a `roles_claim` of more than 128 bytes";
    if (issuer->users_of.len && issuer->roles_len)
        return "has `roles` beside `users_of`: users have their own";
    for (unsigned i = 0; i < issuer->roles_len; i++)
        if (!identity_role_is_name(issuer->roles[i].ours))
            return "maps to a role that is no name of lower-case letters, digits and - _ . :";
    return NULL;
}

/* The secret as a JWK of one algorithm. */
static enum status make_secret(struct slice secret, struct identity_jose_set *ret)
{
    struct buf jwk;
    const char *reason;
    buf_init(&jwk, NULL, 256, IDENTITY_JOSE_KEY_BYTES_MAX);
    buf_put_lit(&jwk, "{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"");
    buf_put_base64url(&jwk, secret.data, secret.len);
    buf_put_lit(&jwk, "\"}");
    enum status st = buf_status(&jwk);
    if (st == STATUS_OK)
        st = identity_jose_key_parse(buf_slice(&jwk), &ret->keys[0], &reason);
    ret->len = st == STATUS_OK;
    if (jwk.data)
        sodium_memzero(jwk.data, jwk.cap);
    buf_fini(&jwk);
    return st;
}

static enum status open_source(const struct identity *identity,
                               const struct identity_token_issuer *config, struct source *ret)
{
    const struct identity_issuer_options options = { .name = config->issuer,
                                                     .url = config->issuer,
                                                     .jwks = config->jwks_url,
                                                     .metrics = identity->options.metrics };
    ret->config = config;
    return config->secret.len ? make_secret(config->secret, &ret->keys)
                              : identity_issuer_new(&options, &ret->issuer);
}

enum status identity_foreign_tokens_open(struct identity *identity)
{
    const struct identity_options *o = &identity->options;
    if (!o->token_issuers_len)
        return STATUS_OK;
    struct identity_foreign_tokens *tokens =
        arena_new_of(identity->arena, struct identity_foreign_tokens);
    if (!tokens)
        return STATUS_EXHAUSTED;
    identity->foreign_tokens = tokens;
    tokens->sources = arena_array_of(identity->arena, struct source, o->token_issuers_len);
    if (!tokens->sources)
        return STATUS_EXHAUSTED;
    enum status st = STATUS_OK;
    for (; tokens->len < o->token_issuers_len && st == STATUS_OK; tokens->len++)
        st = open_source(identity, &o->token_issuers[tokens->len], &tokens->sources[tokens->len]);
    return st;
}

void identity_foreign_tokens_close(struct identity_foreign_tokens *tokens)
{
    for (unsigned i = 0; tokens && i < tokens->len; i++) {
        identity_issuer_free(tokens->sources[i].issuer);
        identity_jose_set_clear(&tokens->sources[i].keys);
    }
}

/* -- verifying
 * ---------------------------------------------------------------------------------------- */

static struct source *find_source(const struct identity *identity, struct arena *arena,
                                  struct slice token)
{
    struct identity_foreign_tokens *tokens = identity->foreign_tokens;
    struct slice iss = tokens ? identity_claimed_issuer(arena, token) : SLICE_NULL;
    /* Ours are ours, whatever was configured. */
    if (!iss.len || slice_eq(iss, identity->issuer))
        return NULL;
    for (unsigned i = 0; i < tokens->len; i++)
        if (slice_eq(tokens->sources[i].config->issuer, iss))
            return &tokens->sources[i];
    return NULL;
}

static enum status verify(struct task *task, const struct source *source, struct slice token,
                          int64_t now_us, struct identity_jose_token *ret,
                          enum identity_jose_refusal *ret_refusal)
{
    const struct identity_token_issuer *config = source->config;
    const uint32_t usual =
        IDENTITY_JOSE_BIT(IDENTITY_JOSE_ES256) | IDENTITY_JOSE_BIT(IDENTITY_JOSE_RS256);
    const struct identity_jose_policy policy = { .keys = &source->keys,
                                                 .algs = config->algs ? config->algs : usual,
                                                 .typ = config->typ,
                                                 .issuer = config->issuer,
                                                 .audience = config->audience };
    if (!source->issuer)
        return identity_jose_verify(task_arena(task), token, &policy, now_us, ret, ret_refusal);
    return identity_issuer_verify(task, source->issuer, token, policy, now_us, ret, ret_refusal);
}

/* A user of ours, with the rights that they have here. */
static enum status as_user(struct task *task, struct identity *identity, struct slice provider,
                           struct slice subject, struct identity_who *who)
{
    enum status st = identity_foreign_find(task, identity, provider, subject, &who->user);
    if (st == STATUS_NOT_FOUND)
        return STATUS_UNAUTHENTICATED;
    if (st != STATUS_OK)
        return st;
    who->has_user = true;
    return identity_caller_take_owner(task, identity, who);
}

static enum status read_who(struct task *task, struct identity *identity,
                            const struct identity_token_issuer *config, const json_t *claims,
                            struct identity_who *who)
{
    const json_t *sub = json_object_get(claims, "sub");
    if (!json_is_string(sub) || !json_string_length(sub) || json_string_length(sub) > SUBJECT_MAX)
        return STATUS_UNAUTHENTICATED;
    /* Whoever has it may act here; the account is not theirs to change. */
    *who = (struct identity_who){ .generation = -1, .client_id = config->issuer };
    if (config->users_of.len)
        return as_user(task, identity, config->users_of, json_slice(sub), who);
    return identity_claim_roles(task_arena(task), claims, config, &who->roles, &who->roles_len);
}

enum status identity_foreign_token_who(struct task *task, struct identity *identity,
                                       struct slice token, int64_t now_us, struct identity_who *ret,
                                       int64_t *ret_expires_us,
                                       enum identity_jose_refusal *ret_refusal)
{
    const struct source *source = find_source(identity, task_arena(task), token);
    struct identity_jose_token read;
    if (!source)
        return STATUS_NOT_FOUND;
    enum status st = verify(task, source, token, now_us, &read, ret_refusal);
    if (st != STATUS_OK)
        return st;
    *ret_refusal = IDENTITY_JOSE_CLAIMS;
    *ret_expires_us = MIN(read.expires_us, now_us + CACHED_MAX_US);
    return read_who(task, identity, source->config, read.claims, ret);
}
