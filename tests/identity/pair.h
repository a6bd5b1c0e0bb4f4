/*
 * tests/identity/pair.h - A pair of keys that signs any header, as an attacker would: by OpenSSL,
 * without the code under test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/slice.h"
#include "identity/jose.h"

struct pair {
    EVP_PKEY *pkey;
};

static inline void pair_init(struct pair *pair)
{
    pair->pkey = EVP_EC_gen("P-256");
    assert_non_null(pair->pkey);
}

static inline void pair_fini(struct pair *pair)
{
    EVP_PKEY_free(pair->pkey);
}

static inline void pair_number(const struct pair *pair, const char *name, char out[44])
{
    uint8_t bytes[32];
    BIGNUM *number = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(pair->pkey, name, &number), 1);
    assert_int_equal(BN_bn2binpad(number, bytes, sizeof(bytes)), sizeof(bytes));
    BN_free(number);
    assert_non_null(
        sodium_bin2base64(out, 44, bytes, sizeof(bytes), sodium_base64_VARIANT_URLSAFE_NO_PADDING));
}

/* The public key; `kid` may be NULL. */
static inline struct identity_jose_key *pair_key(const struct pair *pair, struct arena *arena,
                                                 const char *kid)
{
    char x[44], y[44];
    pair_number(pair, OSSL_PKEY_PARAM_EC_PUB_X, x);
    pair_number(pair, OSSL_PKEY_PARAM_EC_PUB_Y, y);
    struct slice jwk =
        arena_printf(arena, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"%s%s%s}", x,
                     y, kid ? ",\"kid\":\"" : "", kid ? kid : "", kid ? "\"" : "");
    struct identity_jose_key *key = NULL;
    const char *reason;
    assert_int_equal(identity_jose_key_parse(jwk, &key, &reason), STATUS_OK);
    return key;
}

/* ES256 as JWS has it: two numbers of 32 bytes. */
static inline size_t pair_sign(const struct pair *pair, struct slice text, uint8_t out[64])
{
    uint8_t der[128];
    size_t len = sizeof(der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pair->pkey), 1);
    assert_int_equal(EVP_DigestSign(ctx, der, &len, (const unsigned char *)text.data, text.len), 1);
    EVP_MD_CTX_free(ctx);
    const unsigned char *at = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    assert_non_null(sig);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32), 32);
    ECDSA_SIG_free(sig);
    return 64;
}

static inline size_t hmac_sign(struct slice secret, struct slice text, uint8_t out[64])
{
    crypto_auth_hmacsha256_state state;
    (void)crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret.data, secret.len);
    (void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.data, text.len);
    (void)crypto_auth_hmacsha256_final(&state, out);
    return 32;
}
