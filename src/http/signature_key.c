/*
 * http/signature_key.c - Keys and the algorithms of RFC 9421 section 3.3. A key has one algorithm,
 * fixed where the key is configured: what a message says of it can only disagree.
 */
#include "http/signature.h"

#include <openssl/bn.h>
#include <openssl/decoder.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#define SECRET_BYTES_MIN 16u
#define MATERIAL_BYTES_MAX ((size_t)16 * 1024)
#define RSA_BITS_MIN 2048

struct http_signature_key {
    enum http__signature_alg alg;
    bool can_sign;
    uint8_t id_len;
    char id[HTTP__KEY_ID_MAX];
    EVP_PKEY *pkey; /* NULL: a shared secret */
    size_t secret_len;
    uint8_t *secret;
};

static const struct {
    struct slice name;
    const char *type, *curve; /* of OpenSSL */
    unsigned half_bytes;      /* of ECDSA: of each of the two numbers */
} algs[HTTP__ALG_COUNT] = {
    [HTTP__ALG_HMAC_SHA256] = { .name = SLICE_INIT("hmac-sha256") },
    [HTTP__ALG_ED25519] = { .name = SLICE_INIT("ed25519"), .type = "ED25519" },
    [HTTP__ALG_ECDSA_P256_SHA256] = { .name = SLICE_INIT("ecdsa-p256-sha256"),
                                      .type = "EC",
                                      .curve = "prime256v1",
                                      .half_bytes = 32 },
    [HTTP__ALG_ECDSA_P384_SHA384] = { .name = SLICE_INIT("ecdsa-p384-sha384"),
                                      .type = "EC",
                                      .curve = "secp384r1",
                                      .half_bytes = 48 },
    [HTTP__ALG_RSA_PSS_SHA512] = { .name = SLICE_INIT("rsa-pss-sha512"), .type = "RSA" },
    [HTTP__ALG_RSA_V1_5_SHA256] = { .name = SLICE_INIT("rsa-v1_5-sha256"), .type = "RSA" },
};

enum http__signature_alg http__key_alg(const struct http_signature_key *key)
{
    return key->alg;
}

struct slice http__key_alg_name(const struct http_signature_key *key)
{
    return algs[key->alg].name;
}

struct slice http__key_id(const struct http_signature_key *key)
{
    return slice_of(key->id, key->id_len);
}

struct slice http_signature_key_id(const struct http_signature_key *key)
{
    return http__key_id(key);
}

/* -- made from text
 * -------------------------------------------------------------------------------------- */

/* Stands in headers, configuration and logs as it is. */
static bool id_is_valid(struct slice id)
{
    if (id.len == 0 || id.len > HTTP__KEY_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || c == '.' || c == '/' || c == '@';
        if (!good)
            return false;
    }
    return true;
}

/* Encrypted keys have nobody to ask for their password. */
static int no_password(char *text, size_t size, size_t *ret_len, const OSSL_PARAM params[],
                       void *arg)
{
    (void)text;
    (void)size;
    (void)ret_len;
    (void)params;
    (void)arg;
    return 0;
}

static EVP_PKEY *read_pem(struct slice text)
{
    EVP_PKEY *pkey = NULL;
    OSSL_DECODER_CTX *ctx =
        OSSL_DECODER_CTX_new_for_pkey(&pkey, "PEM", NULL, NULL, /* selection= */ 0, NULL, NULL);
    const unsigned char *data = (const unsigned char *)text.data;
    size_t len = text.len;
    if (ctx) {
        (void)OSSL_DECODER_CTX_set_passphrase_cb(ctx, no_password, NULL);
        if (!OSSL_DECODER_from_data(ctx, &data, &len)) {
            EVP_PKEY_free(pkey);
            pkey = NULL;
        }
    }
    OSSL_DECODER_CTX_free(ctx);
    ERR_clear_error();
    return pkey;
}

static const char *check_pkey(const struct http_signature_key *key)
{
    const char *type = algs[key->alg].type, *curve = algs[key->alg].curve;
    bool is_pss = key->alg == HTTP__ALG_RSA_PSS_SHA512 && EVP_PKEY_is_a(key->pkey, "RSA-PSS");
    if (!is_pss && !EVP_PKEY_is_a(key->pkey, type))
        return "the key in the file is not of the algorithm's type";
    if (curve) {
        char name[32];
        size_t len;
        if (EVP_PKEY_get_group_name(key->pkey, name, sizeof(name), &len) != 1 ||
            strcmp(name, curve) != 0)
            return "the key in the file is on another curve";
    }
    if (strcmp(type, "RSA") == 0 && EVP_PKEY_get_bits(key->pkey) < RSA_BITS_MIN)
        return "an RSA key must have at least 2048 bits";
    if (EVP_PKEY_get_size(key->pkey) > (int)HTTP__SIGNATURE_BYTES_MAX)
        return "the key is too large";
    return NULL;
}

static const char *take_material(struct http_signature_key *key, struct slice material)
{
    if (material.len > MATERIAL_BYTES_MAX)
        return "the key is too large";
    if (key->alg == HTTP__ALG_HMAC_SHA256) {
        if (material.len < SECRET_BYTES_MIN)
            return "a shared secret must have at least 16 bytes";
        key->secret = malloc(material.len);
        if (!key->secret)
            return "out of memory";
        memcpy(key->secret, material.data, material.len);
        key->secret_len = material.len;
        key->can_sign = true;
        return NULL;
    }
    key->pkey = read_pem(material);
    if (!key->pkey)
        return "must be a PEM file with a public or an unencrypted private key";
    key->can_sign = slice_find_slice(material, SLICE("PRIVATE KEY")) != SIZE_MAX;
    return check_pkey(key);
}

bool http_signature_alg_is_known(struct slice alg)
{
    for (unsigned a = 0; a < HTTP__ALG_COUNT; a++) {
        if (slice_eq(alg, algs[a].name))
            return true;
    }
    return false;
}

enum status http_signature_key_new(struct slice id, struct slice alg, struct slice material,
                                   struct http_signature_key **ret_key, const char **ret_reason)
{
    unsigned a = 0;
    while (a < HTTP__ALG_COUNT && !slice_eq(alg, algs[a].name))
        a++;
    if (a == HTTP__ALG_COUNT || !id_is_valid(id)) {
        *ret_reason = a == HTTP__ALG_COUNT
                          ? "the algorithm must be hmac-sha256, ed25519, ecdsa-p256-sha256, "
                            "ecdsa-p384-sha384, rsa-pss-sha512 or rsa-v1_5-sha256"
                          : "a key's id has 1 to 64 letters, digits and - _ . / @";
        return STATUS_INVALID;
    }
    struct http_signature_key *key = calloc(1, sizeof(*key));
    if (!key) {
        *ret_reason = "out of memory";
        return STATUS_EXHAUSTED;
    }
    key->alg = (enum http__signature_alg)a;
    key->id_len = (uint8_t)id.len;
    memcpy(key->id, id.data, id.len);
    const char *reason = take_material(key, material);
    if (reason) {
        http_signature_key_free(key);
        *ret_reason = reason;
        return STATUS_INVALID;
    }
    *ret_key = key;
    return STATUS_OK;
}

void http_signature_key_free(struct http_signature_key *key)
{
    if (!key)
        return;
    if (key->secret)
        sodium_memzero(key->secret, key->secret_len);
    free(key->secret);
    EVP_PKEY_free(key->pkey);
    free(key);
}

/* -- shared secrets
 * ---------------------------------------------------------------------------------------- */

static void hmac(const struct http_signature_key *key, struct slice base,
                 uint8_t out[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_state state;
    (void)crypto_auth_hmacsha256_init(&state, key->secret, key->secret_len); /* cannot fail */
    (void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)base.data, base.len);
    (void)crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof(state));
}

/* -- pairs of keys
 * ------------------------------------------------------------------------------------------ */

/* A context for one signature, made or checked; NULL when OpenSSL will not. */
static EVP_MD_CTX *context_of(const struct http_signature_key *key, bool signs)
{
    const EVP_MD *digest = NULL;
    if (key->alg == HTTP__ALG_ECDSA_P256_SHA256 || key->alg == HTTP__ALG_RSA_V1_5_SHA256)
        digest = EVP_sha256();
    else if (key->alg == HTTP__ALG_ECDSA_P384_SHA384)
        digest = EVP_sha384();
    else if (key->alg == HTTP__ALG_RSA_PSS_SHA512)
        digest = EVP_sha512();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    bool good = ctx && (signs ? EVP_DigestSignInit(ctx, &options, digest, NULL, key->pkey)
                              : EVP_DigestVerifyInit(ctx, &options, digest, NULL, key->pkey)) == 1;
    if (good && key->alg == HTTP__ALG_RSA_PSS_SHA512)
        /* Signers are asked for a salt of 64 bytes; libraries are about that take the longest there
         * is, which is as safe. */
        good = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(options, signs ? RSA_PSS_SALTLEN_DIGEST
                                                               : RSA_PSS_SALTLEN_AUTO) == 1;
    if (good)
        return ctx;
    EVP_MD_CTX_free(ctx);
    return NULL;
}

/* Two numbers of fixed length, one after the other, to the DER that OpenSSL wants. */
static unsigned char *der_of(struct slice pair, unsigned half, int *ret_len)
{
    if (pair.len != (size_t)half * 2)
        return NULL;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn((const unsigned char *)pair.data, (int)half, NULL);
    BIGNUM *s = BN_bin2bn((const unsigned char *)pair.data + half, (int)half, NULL);
    unsigned char *der = NULL;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1)
        *ret_len = i2d_ECDSA_SIG(sig, &der);
    else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(sig);
    return der;
}

/* And back. 0: it does not fit. */
static size_t pair_of(const unsigned char *der, size_t der_len, unsigned half, uint8_t *out)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)der_len);
    bool good = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, (int)half) == (int)half &&
                BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + half, (int)half) == (int)half;
    ECDSA_SIG_free(sig);
    return good ? (size_t)half * 2 : 0;
}

static bool pkey_verify(const struct http_signature_key *key, struct slice base,
                        struct slice signature)
{
    unsigned half = algs[key->alg].half_bytes;
    const unsigned char *data = (const unsigned char *)signature.data;
    int len = (int)signature.len;
    unsigned char *der = NULL;
    if (half) {
        der = der_of(signature, half, &len);
        if (!der)
            return false;
        data = der;
    }
    EVP_MD_CTX *ctx = context_of(key, /* signs= */ false);
    bool good =
        ctx && len > 0 &&
        EVP_DigestVerify(ctx, data, (size_t)len, (const unsigned char *)base.data, base.len) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    ERR_clear_error();
    return good;
}

bool http__key_verify(const struct http_signature_key *key, struct slice base,
                      struct slice signature)
{
    if (signature.len > HTTP__SIGNATURE_BYTES_MAX)
        return false;
    if (key->alg != HTTP__ALG_HMAC_SHA256)
        return pkey_verify(key, base, signature);
    uint8_t want[crypto_auth_hmacsha256_BYTES];
    if (signature.len != sizeof(want))
        return false;
    hmac(key, base, want);
    return sodium_memcmp(want, signature.data, sizeof(want)) == 0;
}

enum status http__key_sign(const struct http_signature_key *key, struct slice base,
                           uint8_t out[HTTP__SIGNATURE_BYTES_MAX], size_t *ret_len)
{
    if (!key->can_sign)
        return STATUS_INVALID;
    if (key->alg == HTTP__ALG_HMAC_SHA256) {
        hmac(key, base, out);
        *ret_len = crypto_auth_hmacsha256_BYTES;
        return STATUS_OK;
    }
    uint8_t made[HTTP__SIGNATURE_BYTES_MAX];
    size_t len = sizeof(made);
    EVP_MD_CTX *ctx = context_of(key, /* signs= */ true);
    bool good =
        ctx && EVP_DigestSign(ctx, made, &len, (const unsigned char *)base.data, base.len) == 1;
    EVP_MD_CTX_free(ctx);
    unsigned half = algs[key->alg].half_bytes;
    if (good && half)
        len = pair_of(made, len, half, out);
    else if (good)
        memcpy(out, made, len);
    ERR_clear_error();
    if (!good || len == 0)
        return STATUS_INTERNAL;
    *ret_len = len;
    return STATUS_OK;
}
