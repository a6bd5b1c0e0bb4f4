/*
 * identity/jose.c - Compact tokens, made and checked.
 *
 * The order of checks is fixed: size, form, header, key, signature; nothing of the payload is
 * looked at before its signature holds. Header members that name keys or where to get them (jwk,
 * jku, x5c, x5u, x5t) are never looked at, whatever they say; "kid" is compared with the ids of the
 * given keys and means nothing else.
 */
#include "identity/jose.h"

#include <string.h>

#include "base/arena.h"
#include "base/json.h"

/* ES512 has the largest of fixed length, RSA of 8192 bits the largest of all. */
#define SIGNATURE_BYTES_MAX ((size_t)IDENTITY_JOSE_RSA_BITS_MAX / 8)

static const struct {
    const char *name, *text;
} refusals[IDENTITY_JOSE_REFUSAL_COUNT] = {
    [IDENTITY_JOSE_ACCEPTED] = { "accepted", "The token is good." },
    [IDENTITY_JOSE_TOO_LARGE] = { "too_large", "The token has more than 8192 bytes." },
    [IDENTITY_JOSE_MALFORMED] = { "malformed",
                                  "The token is not three parts of base64url with a signature." },
    [IDENTITY_JOSE_HEADER] = { "header",
                               "The token's header is no JSON object with an algorithm." },
    [IDENTITY_JOSE_ALGORITHM] = { "algorithm",
                                  "The token's algorithm is not one that its issuer may use." },
    [IDENTITY_JOSE_CRITICAL] = { "critical",
                                 "The token asks for an extension (crit) that is not known." },
    [IDENTITY_JOSE_TYPE] = { "type", "The token is of another type (typ) than is asked for here." },
    [IDENTITY_JOSE_NO_KEY] = { "no_key", "None, or not just one, of the issuer's keys fits the "
                                         "token's key id and algorithm." },
    [IDENTITY_JOSE_SIGNATURE] = { "signature", "The token's signature does not hold." },
    [IDENTITY_JOSE_CLAIMS] = { "claims", "The token's claims are malformed." },
    [IDENTITY_JOSE_ISSUER] = { "issuer", "The token is of another issuer (iss)." },
    [IDENTITY_JOSE_AUDIENCE] = { "audience", "The token is for another audience (aud)." },
    [IDENTITY_JOSE_NO_EXPIRY] = { "no_expiry", "The token has no expiry (exp)." },
    [IDENTITY_JOSE_EXPIRED] = { "expired", "The token has expired (exp)." },
    [IDENTITY_JOSE_NOT_YET] = { "not_yet", "The token holds only later (nbf, iat)." },
};

const char *identity_jose_refusal_name(enum identity_jose_refusal refusal)
{
    return refusals[refusal].name;
}

const char *identity_jose_refusal_text(enum identity_jose_refusal refusal)
{
    return refusals[refusal].text;
}

/* -- making
 * -------------------------------------------------------------------------------------------- */

enum status identity_jose_sign_named(const struct identity_jose_key *key,
                                     enum identity_jose_alg alg, struct slice kid, struct slice typ,
                                     struct slice payload, struct buf *out)
{
    if (!identity_jose_key_can_sign(key) ||
        !(identity_jose_key_algs(key) & IDENTITY_JOSE_BIT(alg)) || alg == IDENTITY_JOSE_EDDSA)
        return STATUS_INVALID;
    if (payload.len > IDENTITY_JOSE_TOKEN_BYTES_MAX)
        return STATUS_TOO_LARGE;
    char *token = identity__key_sign(key, alg, kid, typ, payload);
    if (!token)
        return STATUS_INTERNAL;
    struct slice text = slice_cstr(token);
    enum status st = STATUS_TOO_LARGE;
    if (text.len <= IDENTITY_JOSE_TOKEN_BYTES_MAX) {
        buf_put_slice(out, text);
        st = buf_status(out);
    }
    identity__token_free(token);
    return st;
}

enum status identity_jose_sign(const struct identity_jose_key *key, enum identity_jose_alg alg,
                               struct slice typ, struct slice payload, struct buf *out)
{
    return identity_jose_sign_named(key, alg, identity_jose_key_thumbprint(key), typ, payload, out);
}

/* -- checking
 * ------------------------------------------------------------------------------------------ */

struct parts {
    struct slice header, payload, signature; /* in base64url */
    struct slice signed_part;
};

static bool split(struct slice token, struct parts *ret)
{
    size_t first = slice_find(token, '.');
    if (first == SIZE_MAX)
        return false;
    struct slice rest = slice_from(token, first + 1);
    size_t second = slice_find(rest, '.');
    if (second == SIZE_MAX)
        return false;
    *ret = (struct parts){
        .header = slice_head(token, first),
        .payload = slice_head(rest, second),
        .signature = slice_from(rest, second + 1),
        .signed_part = slice_head(token, first + 1 + second),
    };
    /* A third dot is no letter of base64url, and so found later. */
    return ret->header.len && ret->signature.len;
}

/* Decode into the arena; data NULL and EXHAUSTED: no room there. */
static enum status decode(struct arena *arena, struct slice text, struct slice *ret)
{
    size_t room = text.len / 4 * 3 + 3, len;
    uint8_t *bytes = arena_alloc(arena, room);
    if (!bytes)
        return STATUS_EXHAUSTED;
    if (!identity__base64url_decode(text, bytes, 0, room, &len))
        return STATUS_INVALID;
    *ret = slice_of((const char *)bytes, len);
    return STATUS_OK;
}

/* As decode, and the text is a JSON object. */
static enum status read_object(struct arena *arena, struct slice text, json_t **ret)
{
    const struct json_limits limits = { .bytes_max = IDENTITY_JOSE_TOKEN_BYTES_MAX,
                                        .depth_max = IDENTITY_JOSE_DEPTH_MAX };
    json_t *json;
    enum status st = json_read(arena, text, limits, &json, NULL);
    if (st == STATUS_EXHAUSTED)
        return st;
    if (st != STATUS_OK || !json_is_object(json))
        return STATUS_INVALID;
    *ret = json;
    return STATUS_OK;
}

/* RFC 7515 section 4.1.9: a media type, its "application/" best left away; letters of any case. */
static bool is_type(const json_t *typ, struct slice want)
{
    if (!json_is_string(typ))
        return false;
    struct slice text = json_slice(typ), before = SLICE("application/");
    if (slice_eq_nocase(slice_head(text, before.len), before))
        text = slice_from(text, before.len);
    return slice_eq_nocase(text, want);
}

static enum identity_jose_refusal check_header(const struct identity_jose_policy *policy,
                                               struct identity_jose_token *token)
{
    const json_t *alg = json_object_get(token->header, "alg");
    if (!json_is_string(alg))
        return IDENTITY_JOSE_HEADER;
    if (!identity_jose_alg_find(json_slice(alg), &token->alg) ||
        !(policy->algs & IDENTITY_JOSE_BIT(token->alg)))
        return IDENTITY_JOSE_ALGORITHM;
    if (json_object_get(token->header, "crit"))
        return IDENTITY_JOSE_CRITICAL;
    if (policy->typ.len && !is_type(json_object_get(token->header, "typ"), policy->typ))
        return IDENTITY_JOSE_TYPE;
    return IDENTITY_JOSE_ACCEPTED;
}

/*
 * The one key that fits: of the token's id if it has one; one without an id may be anybody's. None
 * when several do: a token is not tried against each.
 */
static const struct identity_jose_key *find_key(const struct identity_jose_policy *policy,
                                                const struct identity_jose_token *token)
{
    const json_t *kid = json_object_get(token->header, "kid");
    struct slice id = kid ? json_slice(kid) : SLICE_NULL;
    if (kid && (!json_is_string(kid) || id.len > IDENTITY_JOSE_KID_MAX))
        return NULL;
    const struct identity_jose_key *found = NULL, *nameless = NULL;
    unsigned found_len = 0, nameless_len = 0;
    for (unsigned i = 0; i < policy->keys->len; i++) {
        const struct identity_jose_key *key = policy->keys->keys[i];
        struct slice own = identity_jose_key_id(key);
        if (!(identity_jose_key_algs(key) & IDENTITY_JOSE_BIT(token->alg)))
            continue;
        if (!kid || (own.len && slice_eq(own, id))) {
            found = key;
            found_len++;
        } else if (!own.len) {
            nameless = key;
            nameless_len++;
        }
    }
    if (found_len)
        return found_len == 1 ? found : NULL;
    return nameless_len == 1 ? nameless : NULL;
}

static bool signature_holds(const struct identity_jose_token *token, struct slice text,
                            const struct parts *parts)
{
    uint8_t signature[SIGNATURE_BYTES_MAX];
    size_t want = identity__signature_bytes(token->key, token->alg), len;
    return identity__base64url_decode(parts->signature, signature, want, want, &len) &&
           identity__key_verify(token->key, text, parts->signed_part,
                                slice_of((const char *)signature, len));
}

static enum status refuse(enum identity_jose_refusal refusal,
                          enum identity_jose_refusal *ret_refusal)
{
    *ret_refusal = refusal;
    return STATUS_UNAUTHENTICATED;
}

enum status identity_jose_open(struct arena *arena, struct slice text,
                               const struct identity_jose_policy *policy,
                               struct identity_jose_token *ret_token,
                               enum identity_jose_refusal *ret_refusal)
{
    struct parts parts;
    if (text.len > IDENTITY_JOSE_TOKEN_BYTES_MAX)
        return refuse(IDENTITY_JOSE_TOO_LARGE, ret_refusal);
    if (!split(text, &parts))
        return refuse(IDENTITY_JOSE_MALFORMED, ret_refusal);

    struct identity_jose_token token = { 0 };
    struct slice header;
    enum status st = decode(arena, parts.header, &header);
    if (st == STATUS_OK)
        st = decode(arena, parts.payload, &token.payload);
    if (st != STATUS_OK)
        return st == STATUS_EXHAUSTED ? st : refuse(IDENTITY_JOSE_MALFORMED, ret_refusal);
    st = read_object(arena, header, &token.header);
    if (st != STATUS_OK)
        return st == STATUS_EXHAUSTED ? st : refuse(IDENTITY_JOSE_HEADER, ret_refusal);
    enum identity_jose_refusal refusal = check_header(policy, &token);
    if (refusal != IDENTITY_JOSE_ACCEPTED)
        return refuse(refusal, ret_refusal);
    token.key = find_key(policy, &token);
    if (!token.key)
        return refuse(IDENTITY_JOSE_NO_KEY, ret_refusal);
    if (!signature_holds(&token, text, &parts))
        return refuse(IDENTITY_JOSE_SIGNATURE, ret_refusal);
    *ret_token = token;
    *ret_refusal = IDENTITY_JOSE_ACCEPTED;
    return STATUS_OK;
}

enum status identity_jose_verify(struct arena *arena, struct slice text,
                                 const struct identity_jose_policy *policy, int64_t now_us,
                                 struct identity_jose_token *ret_token,
                                 enum identity_jose_refusal *ret_refusal)
{
    struct identity_jose_token token;
    enum status st = identity_jose_open(arena, text, policy, &token, ret_refusal);
    if (st != STATUS_OK)
        return st;
    st = read_object(arena, token.payload, &token.claims);
    if (st != STATUS_OK)
        return st == STATUS_EXHAUSTED ? st : refuse(IDENTITY_JOSE_CLAIMS, ret_refusal);
    enum identity_jose_refusal refusal =
        identity__claims_check(policy, token.claims, now_us, &token.expires_us);
    if (refusal != IDENTITY_JOSE_ACCEPTED)
        return refuse(refusal, ret_refusal);
    *ret_token = token;
    return STATUS_OK;
}
