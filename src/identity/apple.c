/* identity/apple.c - A key from PEM, and the secret that it signs. */
#include "identity/apple.h"

#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "identity/jose.h"
#include "identity/providers.h"

#define P256_BYTES 32
#define PEM_BYTES_MAX ((size_t)16 * 1024)
#define LIFE_S 300

static EVP_PKEY *read_pem(struct slice pem)
{
    if (!pem.len || pem.len > PEM_BYTES_MAX)
        return NULL;
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    /* A key with a password has no place in a configuration: "" opens none. */
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "") : NULL;
    (void)BIO_free(bio);
    return key;
}

static bool is_p256(const EVP_PKEY *key)
{
    char group[32] = "";
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
           slice_eq(slice_cstr(group), SLICE("prime256v1"));
}

static void put_number(struct buf *out, const EVP_PKEY *key, const char *parameter)
{
    unsigned char bytes[P256_BYTES];
    BIGNUM *number = NULL;
    if (EVP_PKEY_get_bn_param(key, parameter, &number) == 1 &&
        BN_bn2binpad(number, bytes, sizeof(bytes)) == (int)sizeof(bytes))
        buf_put_base64url(out, bytes, sizeof(bytes));
    BN_clear_free(number);
    sodium_memzero(bytes, sizeof(bytes));
}

/* NULL: it is none. */
static struct identity_jose_key *key_of(struct slice pem, struct arena *arena)
{
    struct identity_jose_key *ret = NULL;
    const char *reason;
    EVP_PKEY *key = read_pem(pem);
    struct buf jwk;
    buf_init(&jwk, arena, 512, IDENTITY_JOSE_KEY_BYTES_MAX);
    if (key && is_p256(key)) {
        buf_put_lit(&jwk, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"");
        put_number(&jwk, key, OSSL_PKEY_PARAM_EC_PUB_X);
        buf_put_lit(&jwk, "\",\"y\":\"");
        put_number(&jwk, key, OSSL_PKEY_PARAM_EC_PUB_Y);
        buf_put_lit(&jwk, "\",\"d\":\"");
        put_number(&jwk, key, OSSL_PKEY_PARAM_PRIV_KEY);
        buf_put_lit(&jwk, "\"}");
    }
    if (!jwk.len || buf_status(&jwk) != STATUS_OK ||
        identity_jose_key_parse(buf_slice(&jwk), &ret, &reason) != STATUS_OK)
        ret = NULL;
    if (jwk.data)
        sodium_memzero(jwk.data, jwk.cap);
    EVP_PKEY_free(key);
    return ret;
}

bool identity_apple_key_check(struct slice pem, struct arena *arena, const char **ret_reason)
{
    struct identity_jose_key *key = key_of(pem, arena);
    *ret_reason = "has a `private_key` that is no private key of P-256 in PEM (AuthKey_....p8)";
    bool is_good = key != NULL;
    if (key)
        identity_jose_key_free(key);
    return is_good;
}

/* Apple finds its public half by "kid", which is the id they gave the key. */
static enum status sign(const struct identity_jose_key *key, struct slice claims,
                        struct identity_provider const *provider, struct slice *ret,
                        struct arena *arena)
{
    struct buf out;
    buf_init(&out, arena, 1024, IDENTITY_JOSE_TOKEN_BYTES_MAX);
    enum status st = identity_jose_sign_named(key, IDENTITY_JOSE_ES256, provider->key_id,
                                              SLICE_NULL, claims, &out);
    *ret = buf_slice(&out);
    return st;
}

enum status identity_apple_secret_make(const struct identity_provider *provider,
                                       struct arena *arena, int64_t now_us, struct slice *ret)
{
    struct identity_jose_key *key = key_of(provider->private_key, arena);
    struct buf claims;
    if (!key)
        return STATUS_INTERNAL;
    buf_init(&claims, arena, 256, 2048);
    struct json_out o = json_out(&claims);
    json_out_object(&o);
    json_out_key(&o, SLICE("iss"));
    json_out_string(&o, provider->team_id);
    json_out_ki(&o, "iat", now_us / CLOCK_SECOND);
    json_out_ki(&o, "exp", now_us / CLOCK_SECOND + LIFE_S);
    json_out_key(&o, SLICE("aud"));
    json_out_string(&o, provider->issuer);
    json_out_key(&o, SLICE("sub"));
    json_out_string(&o, provider->client_id);
    json_out_end(&o);
    enum status st = buf_status(&claims);
    if (st == STATUS_OK)
        st = sign(key, buf_slice(&claims), provider, ret, arena);
    identity_jose_key_free(key);
    return st;
}
