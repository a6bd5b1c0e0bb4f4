/*
 * identity/foreign_oidc.c - OpenID Connect: a code for an ID token, which has to hold in every
 * part. What the ID token does not say of address and name is asked at userinfo.
 */
#include "identity/foreign.h"

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/account.h"
#include "identity/apple.h"
#include "identity/foreign_rows.h"
#include "identity/issuer.h"
#include "identity/room.h"

#define ANSWER_BYTES_MAX ((size_t)64 * 1024)
#define ACCESS_TOKEN_MAX ((size_t)16 * 1024)
#define HANDLE_MAX 100u
#define NAME_BYTES_MAX ((size_t)2048)

/* -- claims
 * ------------------------------------------------------------------------------------------- */

/* Apple writes "true". */
static bool is_true(const json_t *value)
{
    return json_is_true(value) ||
           (json_is_string(value) && slice_eq(json_slice(value), SLICE("true")));
}

/* Whose mailbox it is, only who gives it out can say for good: Google of gmail.com and of the
 * domains that it hosts ("hd"), as their documentation has it. */
static bool is_owner(const struct identity_provider *provider, const json_t *claims,
                     struct slice email)
{
    if (provider->preset != IDENTITY_PRESET_GOOGLE)
        return false;
    return slice_ends(email, SLICE("@gmail.com")) || json_is_string(json_object_get(claims, "hd"));
}

void identity_oidc_claims_read(const struct identity_provider *provider, const json_t *claims,
                               struct identity_foreign_person *ret)
{
    /* Microsoft's own word for it: the domain's owner was verified. */
    const char *verified =
        provider->preset == IDENTITY_PRESET_MICROSOFT ? "xms_edov" : "email_verified";
    if (!ret->email.len) {
        ret->email = identity_foreign_text(claims, "email", IDENTITY_EMAIL_MAX);
        ret->is_verified = ret->email.len && is_true(json_object_get(claims, verified));
        ret->is_owner = ret->is_verified && is_owner(provider, claims, ret->email);
    }
    if (!ret->name.len)
        ret->name = identity_foreign_text(claims, "name", IDENTITY_FOREIGN_NAME_MAX);
    if (!ret->handle.len)
        ret->handle = identity_foreign_text(claims, "preferred_username", HANDLE_MAX);
}

/* Apple tells the name once, beside the token: nobody has signed it, and it is only a name. */
static void read_apple_name(struct arena *arena, struct slice user,
                            struct identity_foreign_person *ret)
{
    const struct json_limits limits = { NAME_BYTES_MAX, 4 };
    json_t *json;
    if (!user.len || json_read(arena, user, limits, &json, NULL) != STATUS_OK)
        return;
    const json_t *name = json_object_get(json, "name");
    struct slice first = identity_foreign_text(name, "firstName", 90);
    struct slice last = identity_foreign_text(name, "lastName", 90);
    bool both = first.len && last.len;
    ret->name =
        arena_printf(arena, "%.*s%s%.*s", SLICE_ARG(first), both ? " " : "", SLICE_ARG(last));
}

/* -- the ID token
 * ------------------------------------------------------------------------------------- */

/* The left half of the digest that goes with the algorithm (Core, section 3.1.3.6). */
static bool at_hash_holds(struct arena *arena, const json_t *want, enum identity_jose_alg alg,
                          struct slice access_token)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct slice name = identity_jose_alg_name(alg), bits = slice_from(name, name.len - 3);
    const EVP_MD *md = slice_eq(bits, SLICE("384"))                                 ? EVP_sha384()
                       : slice_eq(bits, SLICE("512")) || alg == IDENTITY_JOSE_EDDSA ? EVP_sha512()
                                                                                    : EVP_sha256();
    struct buf text;
    buf_init(&text, arena, 64, 128);
    if (EVP_Digest(access_token.data, access_token.len, digest, &len, md, NULL) != 1)
        return false;
    buf_put_base64url(&text, digest, len / 2);
    return json_is_string(want) && slice_eq(json_slice(want), buf_slice(&text));
}

/* NULL: it holds. */
static const char *check_claims(struct arena *arena, const struct identity_source *source,
                                const struct identity_flow *flow,
                                const struct identity_jose_token *token, struct slice access_token)
{
    const struct identity_provider *p = source->config;
    const json_t *claims = token->claims, *azp = json_object_get(claims, "azp");
    const json_t *at_hash = json_object_get(claims, "at_hash");
    struct slice nonce = identity_foreign_text(claims, "nonce", 128);
    if (!identity_provider_issued(p, identity_foreign_text(claims, "iss", IDENTITY_ISSUER_URL_MAX),
                                  identity_foreign_text(claims, "tid", 64)))
        return "is of another issuer";
    if (!slice_eq(nonce, flow->nonce))
        return "is for another sign-in (nonce)";
    if (azp && !(json_is_string(azp) && slice_eq(json_slice(azp), p->client_id)))
        return "is for another program (azp)";
    if (!azp && json_array_size(json_object_get(claims, "aud")) > 1)
        return "is for several programs, and does not say which asked (azp)";
    if (!json_is_number(json_object_get(claims, "iat")))
        return "does not say when it was made (iat)";
    if (at_hash && !at_hash_holds(arena, at_hash, token->alg, access_token))
        return "goes with another access token (at_hash)";
    if (!identity_foreign_text(claims, "sub", IDENTITY_SUBJECT_MAX).len)
        return "does not say who you are (sub)";
    return NULL;
}

static enum status verify(struct task *task, const struct identity_source *source,
                          const struct identity_flow *flow, struct slice id_token,
                          struct slice access_token, struct identity_jose_token *ret)
{
    const struct identity_jose_policy policy = { .algs = IDENTITY_JOSE_PUBLIC,
                                                 .audience = source->config->client_id };
    enum identity_jose_refusal refusal = IDENTITY_JOSE_ACCEPTED;
    enum status st = identity_issuer_verify(task, source->issuer, id_token, policy, clock_wall_us(),
                                            ret, &refusal);
    if (st == STATUS_UNAUTHENTICATED)
        return identity_foreign_distrust(task, source, identity_jose_refusal_text(refusal));
    if (st != STATUS_OK)
        return st;
    const char *wrong = check_claims(task_arena(task), source, flow, ret, access_token);
    return wrong ? identity_foreign_distrust(task, source, wrong) : STATUS_OK;
}

/* -- the exchange
 * -------------------------------------------------------------------------------------- */

static void put_param(struct buf *out, const char *name, struct slice value)
{
    buf_put_cstr(out, name);
    buf_put_percent(out, value);
}

static enum status secret_of(struct task *task, const struct identity_provider *p,
                             struct slice *ret)
{
    *ret = p->client_secret;
    return p->preset == IDENTITY_PRESET_APPLE
               ? identity_apple_secret_make(p, task_arena(task), clock_wall_us(), ret)
               : STATUS_OK;
}

/* "Basic ", both written as in a form first (RFC 6749 section 2.3.1). */
static struct slice basic(struct arena *arena, struct slice id, struct slice secret)
{
    struct buf pair;
    buf_init(&pair, arena, 256, 8192);
    buf_put_percent(&pair, id);
    buf_putc(&pair, ':');
    buf_put_percent(&pair, secret);
    unsigned char *text = arena_alloc(arena, pair.len * 4 / 3 + 8);
    if (buf_status(&pair) != STATUS_OK || !text)
        return SLICE_NULL;
    int len = EVP_EncodeBlock(text, (const unsigned char *)pair.data, (int)pair.len);
    return arena_printf(arena, "Basic %.*s", len, (const char *)text);
}

static enum status post(struct task *task, const struct identity_source *source,
                        const struct identity_issuer_doc *doc, const struct identity_flow *flow,
                        struct slice code, struct slice *ret)
{
    const struct identity_provider *p = source->config;
    struct arena *arena = task_arena(task);
    struct identity_issuer_call call = { .url = doc->token, .bytes_max = ANSWER_BYTES_MAX };
    struct slice secret;
    struct buf form;
    int http = 0;
    enum status st = secret_of(task, p, &secret);
    if (st != STATUS_OK)
        return st;
    buf_init(&form, arena, 1024, (size_t)32 * 1024);
    put_param(&form, "grant_type=authorization_code&code=", code);
    put_param(&form, "&redirect_uri=", identity_source_callback_url(arena, source));
    put_param(&form, "&code_verifier=", flow->verifier);
    if (secret.len && !doc->takes_post_only) {
        call.authorization = basic(arena, p->client_id, secret);
    } else {
        put_param(&form, "&client_id=", p->client_id);
        if (secret.len)
            put_param(&form, "&client_secret=", secret);
    }
    call.form = buf_slice(&form);
    if (buf_status(&form) != STATUS_OK)
        return STATUS_EXHAUSTED;
    st = identity_issuer_call(task, &call, &http, ret);
    if (st == STATUS_CANCELLED || (st == STATUS_OK && http == 200))
        return st;
    if (st == STATUS_OK && http >= 400 && http < 500)
        return identity_foreign_distrust(task, source, "does not take the code");
    return identity_foreign_down(task, source, "it does not answer");
}

/* What the ID token left out; of the same person (Core, section 5.3.4). */
static enum status ask_userinfo(struct task *task, const struct identity_source *source,
                                const struct identity_issuer_doc *doc, struct slice access_token,
                                struct identity_foreign_person *ret)
{
    const struct json_limits limits = { ANSWER_BYTES_MAX, 8 };
    const struct identity_issuer_call call = {
        .url = doc->userinfo,
        .authorization = arena_printf(task_arena(task), "Bearer %.*s", SLICE_ARG(access_token)),
        .bytes_max = ANSWER_BYTES_MAX,
    };
    struct slice text;
    json_t *json;
    int http = 0;
    enum status st = identity_issuer_call(task, &call, &http, &text);
    if (st == STATUS_CANCELLED)
        return st;
    if (st != STATUS_OK || http != 200 ||
        json_read(task_arena(task), text, limits, &json, NULL) != STATUS_OK)
        return identity_foreign_down(task, source, "it does not say who you are");
    if (!slice_eq(identity_foreign_text(json, "sub", IDENTITY_SUBJECT_MAX), ret->subject))
        return identity_foreign_distrust(task, source, "is about somebody else (sub)");
    identity_oidc_claims_read(source->config, json, ret);
    return STATUS_OK;
}

/* The answer names its issuer where that was announced, and never another one (RFC 9207). */
static bool is_of(const struct identity_source *source, const struct identity_issuer_doc *doc,
                  struct slice iss)
{
    if (!iss.len)
        return !doc->sends_iss;
    return slice_eq(iss, doc->issuer) || slice_eq(iss, source->config->issuer);
}

enum status identity__oidc_ask(struct task *task, const struct identity_source *source,
                               const struct identity_flow *flow,
                               const struct identity_callback *callback,
                               struct identity_foreign_person *ret)
{
    const struct json_limits limits = { ANSWER_BYTES_MAX, 4 };
    CLEANUP(identity_issuer_facts_unref) struct identity_issuer_facts *facts = NULL;
    struct identity_jose_token token = { .key = NULL };
    struct slice text;
    json_t *json;
    enum status st = identity_issuer_get(task, source->issuer, &facts);
    if (st != STATUS_OK)
        return st;
    if (!is_of(source, &facts->doc, callback->iss))
        return identity_foreign_distrust(task, source, "is of another issuer (iss)");
    st = post(task, source, &facts->doc, flow, callback->code, &text);
    if (st != STATUS_OK)
        return st;
    if (json_read(task_arena(task), text, limits, &json, NULL) != STATUS_OK)
        return identity_foreign_down(task, source, "its answer is no JSON");
    struct slice access_token = identity_foreign_text(json, "access_token", ACCESS_TOKEN_MAX);
    struct slice id_token = identity_foreign_text(json, "id_token", IDENTITY_JOSE_TOKEN_BYTES_MAX);
    if (!id_token.len)
        return identity_foreign_distrust(task, source, "has no ID token");
    st = verify(task, source, flow, id_token, access_token, &token);
    if (st != STATUS_OK)
        return st;
    ret->subject = identity_foreign_text(token.claims, "sub", IDENTITY_SUBJECT_MAX);
    identity_oidc_claims_read(source->config, token.claims, ret);
    if (source->config->preset == IDENTITY_PRESET_APPLE)
        read_apple_name(task_arena(task), callback->user, ret);
    if (!ret->email.len && facts->doc.userinfo.len && access_token.len)
        st = ask_userinfo(task, source, &facts->doc, access_token, ret);
    return st;
}
