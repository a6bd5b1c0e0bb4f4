/* identity/access.c - Access tokens, signed and verified. */
#include "identity/access.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "identity/keys.h"
#include "identity/room.h"

#define CLAIMS_BYTES_MAX ((size_t)4 * 1024)
#define TYPE "at+jwt"

static void put_id(struct json_out *o, const char *key, const struct uuid *id)
{
    char text[UUID_TEXT_LEN];
    uuid_format(id, text);
    json_out_key(o, slice_cstr(key));
    json_out_string(o, slice_of(text, sizeof(text)));
}

void identity__put_methods(struct json_out *o, uint32_t methods)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = { { IDENTITY_METHOD_PASSWORD, "pwd" }, { IDENTITY_METHOD_TOTP, "otp" },
                  { IDENTITY_METHOD_RECOVERY, "kba" }, { IDENTITY_METHOD_PASSKEY, "hwk" },
                  { IDENTITY_METHOD_MAIL, "email" },   { IDENTITY_METHOD_FOREIGN, "fed" } };
    json_out_key(o, SLICE("amr"));
    json_out_array(o);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (methods & names[i].bit)
            json_out_cstr(o, names[i].name);
    /* A passkey alone signs in only after its authenticator has verified who uses it. */
    if (methods & (methods - 1) || methods == IDENTITY_METHOD_PASSKEY)
        json_out_cstr(o, "mfa");
    json_out_end(o);
}

static void put_claims(struct buf *b, const struct identity *identity,
                       const struct identity_who *who, int64_t now_us, int64_t expires_us)
{
    struct json_out o = json_out(b);
    struct uuid id = who->is_client ? who->session : uuid_v7();
    json_out_object(&o);
    json_out_key(&o, SLICE("iss"));
    json_out_string(&o, identity->issuer);
    if (who->has_user) {
        put_id(&o, "sub", &who->user);
    } else {
        json_out_key(&o, SLICE("sub"));
        json_out_string(&o, who->client_id);
    }
    json_out_key(&o, SLICE("aud"));
    json_out_string(&o,
                    identity->options.audience.len ? identity->options.audience : identity->issuer);
    json_out_key(&o, SLICE("client_id"));
    json_out_string(&o, who->client_id.len ? who->client_id : SLICE("purlin"));
    json_out_ki(&o, "iat", now_us / CLOCK_SECOND);
    json_out_ki(&o, "exp", expires_us / CLOCK_SECOND);
    put_id(&o, "jti", &id);
    if (who->has_session) {
        put_id(&o, "sid", &who->session);
        json_out_ki(&o, "gen", who->generation);
        json_out_ki(&o, "auth_time", who->auth_us / CLOCK_SECOND);
        identity__put_methods(&o, who->methods);
    }
    json_out_key(&o, SLICE("roles"));
    json_out_array(&o);
    for (unsigned i = 0; i < who->roles_len; i++)
        json_out_string(&o, who->roles[i]);
    json_out_end(&o);
    if (who->scope.len) {
        json_out_key(&o, SLICE("scope"));
        json_out_string(&o, who->scope);
    }
    if (who->has_impersonator) { /* RFC 8693 section 4.1 */
        json_out_key(&o, SLICE("act"));
        json_out_object(&o);
        put_id(&o, "sub", &who->impersonator);
        json_out_end(&o);
    }
    json_out_end(&o);
}

enum status identity_access_make(struct identity *identity, struct arena *arena,
                                 const struct identity_who *who, int64_t now_us,
                                 struct slice *ret_token, int64_t *ret_life_us)
{
    struct buf claims, token;
    int64_t life_us = identity->options.access_us;
    if (!who->is_client)
        life_us = MIN(life_us, who->expires_us - now_us);
    if (life_us < CLOCK_SECOND)
        return STATUS_UNAUTHENTICATED;
    buf_init(&claims, arena, 512, CLAIMS_BYTES_MAX);
    buf_init(&token, arena, 1024, IDENTITY_JOSE_TOKEN_BYTES_MAX);
    put_claims(&claims, identity, who, now_us, now_us + life_us);
    if (buf_status(&claims) != STATUS_OK)
        return buf_status(&claims);
    const struct identity_keys_snapshot *keys = identity_keys_current(identity->keys);
    enum status st =
        identity_jose_sign(keys->active, keys->alg, SLICE(TYPE), buf_slice(&claims), &token);
    *ret_token = buf_slice(&token);
    *ret_life_us = life_us;
    return st;
}

static bool read_claims(const json_t *claims, struct identity_access *ret)
{
    const json_t *sid = json_object_get(claims, "sid"), *gen = json_object_get(claims, "gen");
    const json_t *client = json_object_get(claims, "client_id");
    const json_t *scope = json_object_get(claims, "scope"), *jti = json_object_get(claims, "jti");
    ret->has_session = sid != NULL;
    ret->scope = json_is_string(scope) ? json_slice(scope) : SLICE_NULL;
    ret->generation = json_is_integer(gen) ? json_integer_value(gen) : -1;
    ret->client_id = json_is_string(client) ? json_slice(client) : SLICE_NULL;
    if (!json_is_string(jti) || !uuid_parse(json_slice(jti), &ret->id))
        return false;
    if (!sid)
        return ret->client_id.len > 0;
    return json_is_string(sid) && uuid_parse(json_slice(sid), &ret->session);
}

enum status identity_access_verify(struct identity *identity, struct arena *arena,
                                   struct slice token, int64_t now_us, struct identity_access *ret,
                                   enum identity_jose_refusal *ret_refusal)
{
    const struct identity_keys_snapshot *keys = identity_keys_current(identity->keys);
    const struct identity_jose_policy policy = {
        .keys = &keys->keys,
        .algs = IDENTITY_JOSE_BIT(IDENTITY_JOSE_ES256) | IDENTITY_JOSE_BIT(IDENTITY_JOSE_RS256),
        .typ = SLICE(TYPE),
        .issuer = identity->issuer,
        .audience = identity->options.audience.len ? identity->options.audience : identity->issuer,
    };
    struct identity_jose_token read;
    enum status st = identity_jose_verify(arena, token, &policy, now_us, &read, ret_refusal);
    if (st != STATUS_OK)
        return st;
    ret->expires_us = read.expires_us;
    if (read_claims(read.claims, ret))
        return STATUS_OK;
    *ret_refusal = IDENTITY_JOSE_CLAIMS;
    return STATUS_UNAUTHENTICATED;
}
