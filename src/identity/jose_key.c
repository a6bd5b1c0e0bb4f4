/*
 * identity/jose_key.c - JSON Web Keys, and signatures by them.
 *
 * cjose does the signatures (RSA, ECDSA, HMAC); Ed25519, which it does not know, is OpenSSL's. What
 * cjose lets pass is checked before it sees a key or a token: that numbers have the length of their
 * curve, that a key is not too weak and not so large that verifying is an attack, and that it is
 * used with no other algorithm than its own. cjose is handed a JWK written anew with nothing in it
 * but the numbers that were checked.
 */
#include "identity/jose.h"

#include <cjose/cjose.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"

#define NUMBER_BYTES_MAX ((size_t)IDENTITY_JOSE_RSA_BITS_MAX / 8)
#define SECRET_BYTES_MAX 1024u
#define ED25519_BYTES 32u

#define RSA_ALGS                                                                                   \
    (IDENTITY_JOSE_BIT(IDENTITY_JOSE_RS256) | IDENTITY_JOSE_BIT(IDENTITY_JOSE_RS384) |             \
     IDENTITY_JOSE_BIT(IDENTITY_JOSE_RS512) | IDENTITY_JOSE_BIT(IDENTITY_JOSE_PS256) |             \
     IDENTITY_JOSE_BIT(IDENTITY_JOSE_PS384) | IDENTITY_JOSE_BIT(IDENTITY_JOSE_PS512))

struct identity_jose_key {
    cjose_jwk_t *jwk; /* NULL: Ed25519 */
    EVP_PKEY *pkey;
    uint32_t algs;
    unsigned bytes; /* of the modulus, a coordinate or the secret */
    bool can_sign;
    uint8_t kid_len;
    char kid[IDENTITY_JOSE_KID_MAX];
    char thumbprint[IDENTITY_JOSE_THUMBPRINT_LEN];
    size_t public_len;
    char *public_part; /* as the thumbprint has it, without the last brace; NULL: a secret */
};

static const struct slice alg_names[IDENTITY_JOSE_ALG_COUNT] = {
    [IDENTITY_JOSE_ES256] = SLICE_INIT("ES256"), [IDENTITY_JOSE_ES384] = SLICE_INIT("ES384"),
    [IDENTITY_JOSE_ES512] = SLICE_INIT("ES512"), [IDENTITY_JOSE_RS256] = SLICE_INIT("RS256"),
    [IDENTITY_JOSE_RS384] = SLICE_INIT("RS384"), [IDENTITY_JOSE_RS512] = SLICE_INIT("RS512"),
    [IDENTITY_JOSE_PS256] = SLICE_INIT("PS256"), [IDENTITY_JOSE_PS384] = SLICE_INIT("PS384"),
    [IDENTITY_JOSE_PS512] = SLICE_INIT("PS512"), [IDENTITY_JOSE_HS256] = SLICE_INIT("HS256"),
    [IDENTITY_JOSE_HS384] = SLICE_INIT("HS384"), [IDENTITY_JOSE_HS512] = SLICE_INIT("HS512"),
    [IDENTITY_JOSE_EDDSA] = SLICE_INIT("EdDSA"),
};

struct slice identity_jose_alg_name(enum identity_jose_alg alg)
{
    return alg_names[alg];
}

bool identity_jose_alg_find(struct slice name, enum identity_jose_alg *ret_alg)
{
    for (unsigned a = 0; a < IDENTITY_JOSE_ALG_COUNT; a++) {
        if (slice_eq(name, alg_names[a])) {
            *ret_alg = (enum identity_jose_alg)a;
            return true;
        }
    }
    return false;
}

/* -- base64url
 * -------------------------------------------------------------------------------------------- */

bool identity__base64url_decode(struct slice text, uint8_t *out, size_t bytes_min, size_t bytes_max,
                                size_t *ret_len)
{
    size_t len;
    const char *end;
    /* A text has one form: no padding, no stray bits at its end, nothing passed over. */
    if (text.len == 0)
        len = 0;
    else if (sodium_base642bin(out, bytes_max, text.data, text.len, NULL, &len, &end,
                               sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
             end != text.data + text.len)
        return false;
    if (len < bytes_min)
        return false;
    *ret_len = len;
    return true;
}

void identity__base64url_put(struct buf *out, const void *data, size_t len)
{
    size_t room = sodium_base64_encoded_len(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *at = buf_reserve(out, room);
    if (!at)
        return;
    (void)sodium_bin2base64(at, room, data, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    out->len += room - 1; /* it ends with NUL */
}

/* -- what a JWK says
 * ------------------------------------------------------------------------------------------ */

enum key_type { KEY_RSA, KEY_EC, KEY_OKP, KEY_OCT, KEY_TYPES };

/* The numbers of each type of key: in the order of the thumbprint first what is public, then what
 * is private. */
static const struct {
    const char *name; /* "kty" */
    const char *public_names[3];
    const char *private_names[6];
} types[KEY_TYPES] = {
    [KEY_RSA] = { "RSA", { "e", "n" }, { "d", "p", "q", "dp", "dq", "qi" } },
    [KEY_EC] = { "EC", { "x", "y" }, { "d" } },
    [KEY_OKP] = { "OKP", { "x" }, { "d" } },
    [KEY_OCT] = { "oct", { "k" }, { NULL } },
};

static const struct {
    const char *name;
    unsigned bytes;
    enum identity_jose_alg alg;
} curves[] = {
    { "P-256", 32, IDENTITY_JOSE_ES256 },
    { "P-384", 48, IDENTITY_JOSE_ES384 },
    { "P-521", 66, IDENTITY_JOSE_ES512 },
};

/* A JWK being read. */
struct reading {
    const json_t *json;
    struct identity_jose_key *key;
    enum key_type type;
    const char *curve; /* NULL: has none */
    const char *reason;
    bool is_private;
};

static bool refuse(struct reading *r, const char *reason)
{
    r->reason = reason;
    return false;
}

static struct slice text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? json_slice(value) : SLICE_NULL;
}

static bool read_type(struct reading *r)
{
    struct slice kty = text_of(r->json, "kty");
    unsigned type = 0;
    while (type < KEY_TYPES && !slice_eq(kty, slice_cstr(types[type].name)))
        type++;
    if (type == KEY_TYPES)
        return refuse(r, "its type (kty) is not RSA, EC, OKP or oct");
    r->type = (enum key_type)type;
    return true;
}

/* The bytes of a number; false when it is missing or malformed. */
static bool read_number(const struct reading *r, const char *name, size_t bytes_min,
                        size_t bytes_max, uint8_t *out, size_t *ret_len)
{
    const json_t *value = json_object_get(r->json, name);
    return json_is_string(value) &&
           identity__base64url_decode(json_slice(value), out, bytes_min, bytes_max, ret_len);
}

static bool read_rsa(struct reading *r)
{
    uint8_t number[NUMBER_BYTES_MAX];
    size_t len;
    if (!read_number(r, "e", 1, 4, number, &len) || number[0] == 0 || !(number[len - 1] & 1) ||
        (len == 1 && number[0] == 1))
        return refuse(r, "its exponent (e) is not odd, from 3 up to 32 bits");
    if (!read_number(r, "n", 1, sizeof(number), number, &len) || number[0] == 0 ||
        !(number[len - 1] & 1))
        return refuse(r, "its modulus (n) is malformed or beyond 8192 bits");
    size_t bits = len * 8;
    for (unsigned top = 0x80; !(number[0] & top); top >>= 1)
        bits--;
    if (bits < IDENTITY_JOSE_RSA_BITS_MIN)
        return refuse(r, "an RSA key must have at least 2048 bits");
    r->key->bytes = (unsigned)len;
    r->key->algs = RSA_ALGS;
    return true;
}

static bool read_ec(struct reading *r)
{
    struct slice crv = text_of(r->json, "crv");
    unsigned c = 0;
    while (c < ARRAY_LEN(curves) && !slice_eq(crv, slice_cstr(curves[c].name)))
        c++;
    if (c == ARRAY_LEN(curves))
        return refuse(r, "its curve (crv) is not P-256, P-384 or P-521");
    uint8_t number[66];
    size_t len, bytes = curves[c].bytes;
    if (!read_number(r, "x", bytes, bytes, number, &len) ||
        !read_number(r, "y", bytes, bytes, number, &len))
        return refuse(r, "its point (x, y) does not have the length of the curve");
    r->curve = curves[c].name;
    r->key->bytes = curves[c].bytes;
    r->key->algs = IDENTITY_JOSE_BIT(curves[c].alg);
    return true;
}

static bool read_okp(struct reading *r)
{
    uint8_t point[ED25519_BYTES];
    size_t len;
    if (!slice_eq(text_of(r->json, "crv"), SLICE("Ed25519")))
        return refuse(r, "its curve (crv) is not Ed25519");
    if (!read_number(r, "x", sizeof(point), sizeof(point), point, &len))
        return refuse(r, "its point (x) does not have 32 bytes");
    r->curve = "Ed25519";
    r->key->bytes = ED25519_BYTES;
    r->key->algs = IDENTITY_JOSE_BIT(IDENTITY_JOSE_EDDSA);
    r->key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, sizeof(point));
    ERR_clear_error();
    return r->key->pkey || refuse(r, "its point (x) is none of the curve");
}

/* A secret must be as long as the digest (RFC 7518 section 3.2). */
static bool read_oct(struct reading *r)
{
    uint8_t secret[SECRET_BYTES_MAX];
    size_t len;
    bool good = read_number(r, "k", 32, sizeof(secret), secret, &len);
    sodium_memzero(secret, sizeof(secret));
    if (!good)
        return refuse(r, "its secret (k) does not have 32 to 1024 bytes");
    r->key->bytes = (unsigned)len;
    r->key->algs = IDENTITY_JOSE_BIT(IDENTITY_JOSE_HS256);
    if (len >= 48)
        r->key->algs |= IDENTITY_JOSE_BIT(IDENTITY_JOSE_HS384);
    if (len >= 64)
        r->key->algs |= IDENTITY_JOSE_BIT(IDENTITY_JOSE_HS512);
    return true;
}

static bool read_private(struct reading *r)
{
    const json_t *d = json_object_get(r->json, "d");
    const char *const *names = types[r->type].private_names;
    r->is_private = d && r->type != KEY_OKP;
    r->key->can_sign = r->is_private || r->type == KEY_OCT;
    uint8_t number[NUMBER_BYTES_MAX];
    bool good = true;
    for (unsigned i = 0; r->is_private && i < ARRAY_LEN(types[0].private_names) && names[i]; i++) {
        size_t len;
        good = good && read_number(r, names[i], 1, r->key->bytes, number, &len);
    }
    sodium_memzero(number, sizeof(number));
    return good || refuse(r, "its private part is incomplete or malformed");
}

/* "key_ops" of a key that verifies must say so, if it says anything. */
static bool allows_signatures(const json_t *ops)
{
    size_t i;
    const json_t *op;
    json_array_foreach(ops, i, op)
    {
        struct slice text = json_is_string(op) ? json_slice(op) : SLICE_NULL;
        if (slice_eq(text, SLICE("verify")) || slice_eq(text, SLICE("sign")))
            return true;
    }
    return false;
}

static bool read_use(struct reading *r)
{
    const json_t *use = json_object_get(r->json, "use");
    const json_t *ops = json_object_get(r->json, "key_ops");
    const json_t *alg = json_object_get(r->json, "alg");
    if ((use && !slice_eq(text_of(r->json, "use"), SLICE("sig"))) ||
        (ops && !allows_signatures(ops)))
        return refuse(r, "it is not for signatures (use, key_ops)");
    if (!alg)
        return true;
    enum identity_jose_alg named;
    if (!identity_jose_alg_find(text_of(r->json, "alg"), &named) ||
        !(r->key->algs & IDENTITY_JOSE_BIT(named)))
        return refuse(r, "its algorithm (alg) does not suit it");
    r->key->algs = IDENTITY_JOSE_BIT(named);
    return true;
}

static bool read_kid(struct reading *r)
{
    const json_t *kid = json_object_get(r->json, "kid");
    if (!kid)
        return true;
    struct slice text = text_of(r->json, "kid");
    if (!json_is_string(kid) || text.len > IDENTITY_JOSE_KID_MAX)
        return refuse(r, "its id (kid) is no text of up to 128 bytes");
    r->key->kid_len = (uint8_t)text.len;
    if (text.len)
        memcpy(r->key->kid, text.data, text.len);
    return true;
}

static bool read_all(struct reading *r)
{
    if (!json_is_object(r->json))
        return refuse(r, "it is no JSON object");
    if (!read_type(r))
        return false;
    static bool (*const readers[KEY_TYPES])(struct reading *) = {
        [KEY_RSA] = read_rsa,
        [KEY_EC] = read_ec,
        [KEY_OKP] = read_okp,
        [KEY_OCT] = read_oct,
    };
    return readers[r->type](r) && read_private(r) && read_use(r) && read_kid(r);
}

/* -- the key
 * ------------------------------------------------------------------------------------------ */

/* Members in the order that RFC 7638 section 3.3 wants ("crv" first, then by name), without the
 * last brace. All values are base64url. */
static void put_public_part(const struct reading *r, struct buf *out)
{
    const char *const *names = types[r->type].public_names;
    buf_putc(out, '{');
    if (r->curve)
        buf_printf(out, "\"crv\":\"%s\",", r->curve);
    bool has_kty = false;
    for (unsigned i = 0; i < ARRAY_LEN(types[0].public_names) && names[i]; i++) {
        if (!has_kty && strcmp(names[i], "kty") > 0) {
            buf_printf(out, "\"kty\":\"%s\",", types[r->type].name);
            has_kty = true;
        }
        buf_printf(out, "\"%s\":\"%.*s\",", names[i], SLICE_ARG(text_of(r->json, names[i])));
    }
    if (!has_kty)
        buf_printf(out, "\"kty\":\"%s\",", types[r->type].name);
    if (buf_status(out) == STATUS_OK)
        out->len--; /* the last comma */
}

static bool keep_public_part(struct reading *r, struct buf *text)
{
    struct identity_jose_key *key = r->key;
    uint8_t digest[crypto_hash_sha256_BYTES];
    put_public_part(r, text);
    key->public_len = text->len;
    key->public_part = r->type == KEY_OCT ? NULL : slice_dup(buf_slice(text));
    buf_putc(text, '}');
    if (buf_status(text) != STATUS_OK || (r->type != KEY_OCT && !key->public_part))
        return false;
    (void)crypto_hash_sha256(digest, (const unsigned char *)text->data, text->len);
    char thumbprint[IDENTITY_JOSE_THUMBPRINT_LEN + 1];
    (void)sodium_bin2base64(thumbprint, sizeof(thumbprint), digest, sizeof(digest),
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    memcpy(key->thumbprint, thumbprint, sizeof(key->thumbprint));
    text->len--;
    return true;
}

/* The same numbers again for cjose, with the private ones. */
static bool import(struct reading *r, struct buf *text)
{
    const char *const *names = types[r->type].private_names;
    for (unsigned i = 0; r->is_private && i < ARRAY_LEN(types[0].private_names) && names[i]; i++)
        buf_printf(text, ",\"%s\":\"%.*s\"", names[i], SLICE_ARG(text_of(r->json, names[i])));
    buf_putc(text, '}');
    if (buf_status(text) != STATUS_OK)
        return refuse(r, "out of memory");
    cjose_err err;
    r->key->jwk = cjose_jwk_import(text->data, text->len, &err);
    ERR_clear_error();
    return r->key->jwk || refuse(r, r->type == KEY_EC ? "its point is not on the curve"
                                                      : "its numbers are refused");
}

static enum status make(struct reading *r)
{
    struct buf text;
    /* All of it at once: growing would leave copies. */
    buf_init(&text, NULL, IDENTITY_JOSE_KEY_BYTES_MAX, IDENTITY_JOSE_KEY_BYTES_MAX);
    enum status st = STATUS_OK;
    if (!keep_public_part(r, &text))
        st = STATUS_EXHAUSTED;
    else if (!r->key->pkey && !import(r, &text))
        st = STATUS_INVALID;
    if (text.data)
        sodium_memzero(text.data, text.cap);
    buf_fini(&text);
    return st;
}

/* The tree's own copies of private numbers; nobody reads it any more. */
static void wipe(json_t *json)
{
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value)
    {
        if (json_is_string(value))
            sodium_memzero((void *)(uintptr_t)json_string_value(value), json_string_length(value));
    }
}

static enum status make_of(json_t *json, struct identity_jose_key **ret_key,
                           const char **ret_reason)
{
    struct reading r = { .json = json, .key = calloc(1, sizeof(*r.key)) };
    if (!r.key)
        return STATUS_EXHAUSTED;
    enum status st = read_all(&r) ? make(&r) : STATUS_INVALID;
    if (json_is_object(json))
        wipe(json);
    if (st == STATUS_OK) {
        *ret_key = r.key;
        return STATUS_OK;
    }
    identity_jose_key_free(r.key);
    if (st == STATUS_INVALID)
        *ret_reason = r.reason;
    return st;
}

enum status identity_jose_key_parse(struct slice jwk, struct identity_jose_key **ret_key,
                                    const char **ret_reason)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    const struct json_limits limits = { .bytes_max = IDENTITY_JOSE_KEY_BYTES_MAX,
                                        .depth_max = IDENTITY_JOSE_DEPTH_MAX };
    json_t *json;
    enum status st = json_read(arena, jwk, limits, &json, NULL);
    if (st == STATUS_INVALID)
        *ret_reason = "it is no JSON";
    if (st != STATUS_OK)
        return st;
    return make_of(json, ret_key, ret_reason);
}

enum status identity_jose_key_generate(enum identity_jose_alg alg, struct buf *private,
                                       struct identity_jose_key **ret_key)
{
    cjose_err err;
    cjose_jwk_t *jwk = NULL;
    if (alg == IDENTITY_JOSE_ES256)
        jwk = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, &err);
    else if (alg == IDENTITY_JOSE_RS256)
        jwk = cjose_jwk_create_RSA_random(IDENTITY_JOSE_RSA_BITS_MIN, NULL, 0, &err);
    else
        return STATUS_INVALID;
    char *json = jwk ? cjose_jwk_to_json(jwk, /* priv= */ true, &err) : NULL;
    (void)cjose_jwk_release(jwk);
    ERR_clear_error();
    if (!json)
        return STATUS_INTERNAL;
    struct slice text = slice_cstr(json);
    buf_put_slice(private, text);
    enum status st = buf_status(private);
    const char *reason;
    if (st == STATUS_OK)
        st = identity_jose_key_parse(text, ret_key, &reason);
    if (st == STATUS_OK)
        identity_jose_key_name(*ret_key);
    sodium_memzero(json, text.len);
    cjose_get_dealloc()(json);
    return st == STATUS_INVALID ? STATUS_INTERNAL : st;
}

void identity_jose_key_free(struct identity_jose_key *key)
{
    if (!key)
        return;
    if (key->jwk)
        (void)cjose_jwk_release(key->jwk);
    EVP_PKEY_free(key->pkey);
    free(key->public_part);
    free(key);
}

struct slice identity_jose_key_id(const struct identity_jose_key *key)
{
    return slice_of(key->kid, key->kid_len);
}

uint32_t identity_jose_key_algs(const struct identity_jose_key *key)
{
    return key->algs;
}

bool identity_jose_key_can_sign(const struct identity_jose_key *key)
{
    return key->can_sign;
}

void identity_jose_key_name(struct identity_jose_key *key)
{
    key->kid_len = sizeof(key->thumbprint);
    memcpy(key->kid, key->thumbprint, sizeof(key->thumbprint));
}

struct slice identity_jose_key_thumbprint(const struct identity_jose_key *key)
{
    return slice_of(key->thumbprint, sizeof(key->thumbprint));
}

enum status identity_jose_key_put_public(const struct identity_jose_key *key,
                                         enum identity_jose_alg alg, struct buf *out)
{
    if (!key->public_part || !(key->algs & IDENTITY_JOSE_BIT(alg)))
        return STATUS_INVALID;
    buf_put(out, key->public_part, key->public_len);
    buf_printf(out, ",\"alg\":\"%.*s\",\"kid\":\"%.*s\",\"use\":\"sig\"}",
               SLICE_ARG(alg_names[alg]), SLICE_ARG(identity_jose_key_thumbprint(key)));
    return buf_status(out);
}

/* -- sets
 * --------------------------------------------------------------------------------------------- */

enum status identity_jose_set_parse(struct slice jwks, struct identity_jose_set *ret)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    const struct json_limits limits = { .bytes_max = IDENTITY_JOSE_SET_BYTES_MAX,
                                        .depth_max = IDENTITY_JOSE_DEPTH_MAX };
    *ret = (struct identity_jose_set){ 0 };
    json_t *json, *one;
    enum status st = json_read(arena, jwks, limits, &json, NULL);
    if (st != STATUS_OK)
        return st;
    const json_t *list = json_object_get(json, "keys");
    if (!json_is_array(list))
        return STATUS_INVALID;
    size_t i;
    json_array_foreach(list, i, one)
    {
        struct identity_jose_key *key;
        const char *reason;
        st = make_of(one, &key, &reason);
        if (st == STATUS_INVALID) {
            ret->skipped++;
            continue;
        }
        if (st == STATUS_OK && ret->len == IDENTITY_JOSE_SET_MAX) {
            identity_jose_key_free(key);
            st = STATUS_TOO_LARGE;
        }
        if (st != STATUS_OK) {
            identity_jose_set_clear(ret);
            return st;
        }
        ret->keys[ret->len++] = key;
    }
    return STATUS_OK;
}

void identity_jose_set_clear(struct identity_jose_set *set)
{
    for (unsigned i = 0; i < set->len; i++)
        identity_jose_key_free(set->keys[i]);
    *set = (struct identity_jose_set){ 0 };
}

/* -- signatures
 * ------------------------------------------------------------------------------------------ */

size_t identity__signature_bytes(const struct identity_jose_key *key, enum identity_jose_alg alg)
{
    switch (alg) {
    case IDENTITY_JOSE_ES256:
    case IDENTITY_JOSE_ES384:
    case IDENTITY_JOSE_ES512:
    case IDENTITY_JOSE_EDDSA:
        return (size_t)key->bytes * 2;
    case IDENTITY_JOSE_HS256:
        return 32;
    case IDENTITY_JOSE_HS384:
        return 48;
    case IDENTITY_JOSE_HS512:
        return 64;
    default:
        return key->bytes;
    }
}

bool identity__key_verify(const struct identity_jose_key *key, struct slice token,
                          struct slice signed_part, struct slice signature)
{
    if (key->pkey) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
                    EVP_DigestVerify(ctx, (const unsigned char *)signature.data, signature.len,
                                     (const unsigned char *)signed_part.data, signed_part.len) == 1;
        EVP_MD_CTX_free(ctx);
        ERR_clear_error();
        return good;
    }
    cjose_err err;
    cjose_jws_t *jws = cjose_jws_import(token.data, token.len, &err);
    bool good = jws && cjose_jws_verify(jws, key->jwk, &err);
    cjose_jws_release(jws);
    ERR_clear_error();
    return good;
}

static bool put_header(cjose_header_t *header, const char *name, struct slice value)
{
    char text[64];
    cjose_err err;
    if (value.len >= sizeof(text))
        return false;
    if (value.len)
        memcpy(text, value.data, value.len);
    text[value.len] = 0;
    return cjose_header_set(header, name, text, &err);
}

char *identity__key_sign(const struct identity_jose_key *key, enum identity_jose_alg alg,
                         struct slice kid, struct slice typ, struct slice payload)
{
    cjose_err err;
    cjose_header_t *header = cjose_header_new(&err);
    bool good = header && put_header(header, CJOSE_HDR_ALG, alg_names[alg]) &&
                (!typ.len || put_header(header, "typ", typ)) &&
                put_header(header, CJOSE_HDR_KID, kid);
    cjose_jws_t *jws =
        good ? cjose_jws_sign(key->jwk, header, (const uint8_t *)payload.data, payload.len, &err)
             : NULL;
    const char *text;
    char *token = NULL;
    if (jws && cjose_jws_export(jws, &text, &err))
        token = slice_dup(slice_cstr(text));
    cjose_jws_release(jws);
    cjose_header_release(header);
    ERR_clear_error();
    return token;
}

void identity__token_free(char *token)
{
    free(token);
}
