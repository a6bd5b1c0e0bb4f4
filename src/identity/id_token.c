/* identity/id_token.c - ID tokens: who signed in, when and how, for the client that asked. */
#include <sodium.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "identity/access.h"
#include "identity/answer.h"
#include "identity/keys.h"
#include "identity/oauth.h"
#include "identity/room.h"

#define CLAIMS_BYTES_MAX ((size_t)8 * 1024)

/* The left half of the digest, which is SHA-256 for all that we sign with. */
static void put_at_hash(struct json_out *o, struct arena *arena, struct slice access_token)
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    struct buf text;
    (void)crypto_hash_sha256(digest, (const unsigned char *)access_token.data, access_token.len);
    buf_init(&text, arena, 32, 64);
    buf_put_base64url(&text, digest, sizeof(digest) / 2);
    json_out_key(o, SLICE("at_hash"));
    json_out_string(o, buf_slice(&text));
}

enum status identity_id_token_make(struct identity *identity, struct arena *arena,
                                   const struct identity_who *who, struct slice access_token,
                                   struct slice nonce, int64_t now_us, struct slice *ret_token)
{
    struct buf claims, token;
    buf_init(&claims, arena, 512, CLAIMS_BYTES_MAX);
    buf_init(&token, arena, 1024, IDENTITY_JOSE_TOKEN_BYTES_MAX);
    struct json_out o = json_out(&claims);
    json_out_object(&o);
    json_out_key(&o, SLICE("iss"));
    json_out_string(&o, identity->issuer);
    identity_put_id(&o, "sub", &who->user);
    json_out_key(&o, SLICE("aud"));
    json_out_string(&o, who->client_id);
    json_out_ki(&o, "iat", now_us / CLOCK_SECOND);
    json_out_ki(&o, "exp", (now_us + identity->options.access_us) / CLOCK_SECOND);
    json_out_ki(&o, "auth_time", who->auth_us / CLOCK_SECOND);
    identity_put_id(&o, "sid", &who->session);
    identity__put_methods(&o, who->methods);
    /* More than one way that was proved is NIST's AAL2. */
    json_out_kv(&o, "acr", who->methods & (who->methods - 1) ? "aal2" : "aal1");
    if (nonce.len) {
        json_out_key(&o, SLICE("nonce"));
        json_out_string(&o, nonce);
    }
    put_at_hash(&o, arena, access_token);
    json_out_end(&o);
    if (buf_status(&claims) != STATUS_OK)
        return STATUS_EXHAUSTED;
    const struct identity_keys_snapshot *keys = identity_keys_current(identity->keys);
    enum status st =
        identity_jose_sign(keys->active, keys->alg, SLICE("JWT"), buf_slice(&claims), &token);
    *ret_token = buf_slice(&token);
    return st;
}
