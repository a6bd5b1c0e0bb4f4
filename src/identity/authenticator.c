/* identity/authenticator.c - Attestation objects, authenticator data, COSE keys. */
#include "identity/authenticator.h"

#include <string.h>

#include "base/macros.h"
#include "identity/cbor.h"

/* -- public keys
 * ---------------------------------------------------------------------------------------- */

/* Labels and values of RFC 9052 section 7 and RFC 9053 section 7. */
#define COSE_KTY 1
#define COSE_ALG 3
#define COSE_CURVE (-1) /* of an RSA key: the modulus */
#define COSE_X (-2)     /* of an RSA key: the exponent */
#define COSE_Y (-3)
#define KTY_OKP 1
#define KTY_EC2 2
#define KTY_RSA 3
#define CURVE_P256 1
#define CURVE_ED25519 6

#define COORDINATE_BYTES 32u
#define MODULUS_BYTES 256u
#define EXPONENT_BYTES 3u

size_t identity_public_key_len(int alg)
{
    switch (alg) {
    case IDENTITY_COSE_ES256:
        return (size_t)2 * COORDINATE_BYTES;
    case IDENTITY_COSE_EDDSA:
        return COORDINATE_BYTES;
    case IDENTITY_COSE_RS256:
        return (size_t)MODULUS_BYTES + EXPONENT_BYTES;
    default:
        return 0;
    }
}

/* The members of a key; bit n of `seen` for each. */
struct cose {
    unsigned seen;
    int64_t kty, alg, curve;
    struct slice first, second, third; /* the byte strings at -1, -2, -3 */
};

static enum status take_member(struct cose *cose, int64_t label,
                               const struct identity_cbor_item *value)
{
    static const int64_t labels[] = { COSE_KTY, COSE_ALG, COSE_CURVE, COSE_X, COSE_Y };
    bool is_bytes = value->kind == IDENTITY_CBOR_BYTES;
    int64_t number = 0;
    unsigned at = 0;
    while (at < ARRAY_LEN(labels) && labels[at] != label)
        at++;
    if (at == ARRAY_LEN(labels) || cose->seen & 1u << at)
        return STATUS_INVALID; /* unknown, or twice */
    cose->seen |= 1u << at;
    if (!is_bytes && (label < COSE_CURVE || !identity_cbor_small(value, &number)))
        return STATUS_INVALID;
    if (is_bytes && label > 0)
        return STATUS_INVALID;
    switch (label) {
    case COSE_KTY:
        cose->kty = number;
        break;
    case COSE_ALG:
        cose->alg = number;
        break;
    case COSE_CURVE:
        cose->curve = number;
        cose->first = value->bytes;
        break;
    case COSE_X:
        cose->second = value->bytes;
        break;
    default:
        cose->third = value->bytes;
    }
    return STATUS_OK;
}

static enum status join(struct identity_public_key *key, int alg, struct slice a, size_t a_len,
                        struct slice b, size_t b_len)
{
    if (a.len != a_len || b.len != b_len)
        return STATUS_INVALID;
    *key = (struct identity_public_key){ .alg = alg, .len = a_len + b_len };
    memcpy(key->bytes, a.data, a_len);
    if (b_len)
        memcpy(key->bytes + a_len, b.data, b_len);
    return STATUS_OK;
}

static enum status to_key(const struct cose *c, struct identity_public_key *ret)
{
    enum { ALL = 31, NO_Y = 15 };
    if (c->seen == ALL && c->kty == KTY_EC2 && c->alg == IDENTITY_COSE_ES256 &&
        c->curve == CURVE_P256)
        return join(ret, IDENTITY_COSE_ES256, c->second, COORDINATE_BYTES, c->third,
                    COORDINATE_BYTES);
    if (c->seen == NO_Y && c->kty == KTY_OKP && c->alg == IDENTITY_COSE_EDDSA &&
        c->curve == CURVE_ED25519)
        return join(ret, IDENTITY_COSE_EDDSA, c->second, COORDINATE_BYTES, SLICE_NULL, 0);
    if (c->seen == NO_Y && c->kty == KTY_RSA && c->alg == IDENTITY_COSE_RS256)
        return join(ret, IDENTITY_COSE_RS256, c->first, MODULUS_BYTES, c->second, EXPONENT_BYTES);
    return STATUS_INVALID;
}

static enum status read_key(struct slice *rest, struct identity_public_key *ret)
{
    struct cose cose = { .seen = 0 };
    struct identity_cbor_item map, label, value;
    int64_t number;
    if (identity_cbor_next(rest, &map) != STATUS_OK || map.kind != IDENTITY_CBOR_MAP)
        return STATUS_INVALID;
    for (uint64_t i = 0; i < map.number; i++) {
        if (identity_cbor_next(rest, &label) != STATUS_OK ||
            !identity_cbor_small(&label, &number) ||
            identity_cbor_next(rest, &value) != STATUS_OK ||
            take_member(&cose, number, &value) != STATUS_OK)
            return STATUS_INVALID;
    }
    return to_key(&cose, ret);
}

/* -- authenticator data
 * ---------------------------------------------------------------------------------------- */

#define HEAD_BYTES (IDENTITY_RP_HASH_BYTES + 1u + 4u)
#define CREDENTIAL_HEAD_BYTES (IDENTITY_AAGUID_BYTES + 2u)

static enum status read_credential(struct slice *rest, struct identity_authenticator *ret)
{
    if (rest->len < CREDENTIAL_HEAD_BYTES)
        return STATUS_INVALID;
    const uint8_t *p = (const uint8_t *)rest->data;
    size_t id_len = (size_t)p[IDENTITY_AAGUID_BYTES] << 8 | p[IDENTITY_AAGUID_BYTES + 1];
    memcpy(ret->aaguid, p, sizeof(ret->aaguid));
    *rest = slice_from(*rest, CREDENTIAL_HEAD_BYTES);
    if (id_len == 0 || id_len > IDENTITY_CREDENTIAL_ID_MAX || id_len > rest->len)
        return STATUS_INVALID;
    ret->credential_id = slice_head(*rest, id_len);
    *rest = slice_from(*rest, id_len);
    return read_key(rest, &ret->key);
}

static enum status skip_extensions(struct slice *rest)
{
    struct slice at = *rest;
    struct identity_cbor_item map;
    if (identity_cbor_next(&at, &map) != STATUS_OK || map.kind != IDENTITY_CBOR_MAP)
        return STATUS_INVALID;
    return identity_cbor_skip(rest);
}

enum status identity_authenticator_read(struct slice bytes, struct identity_authenticator *ret)
{
    if (bytes.len < HEAD_BYTES)
        return STATUS_INVALID;
    const uint8_t *p = (const uint8_t *)bytes.data;
    *ret = (struct identity_authenticator){
        .flags = p[IDENTITY_RP_HASH_BYTES],
        .sign_count = (uint32_t)p[33] << 24 | (uint32_t)p[34] << 16 | (uint32_t)p[35] << 8 | p[36],
    };
    memcpy(ret->rp_hash, p, sizeof(ret->rp_hash));
    if ((ret->flags & IDENTITY_FLAG_BACKED_UP) && !(ret->flags & IDENTITY_FLAG_BACKUP_ELIGIBLE))
        return STATUS_INVALID;
    struct slice rest = slice_from(bytes, HEAD_BYTES);
    enum status st = STATUS_OK;
    if (ret->flags & IDENTITY_FLAG_CREDENTIAL)
        st = read_credential(&rest, ret);
    if (st == STATUS_OK && (ret->flags & IDENTITY_FLAG_EXTENSIONS))
        st = skip_extensions(&rest);
    return st == STATUS_OK && rest.len > 0 ? STATUS_INVALID : st;
}

/* -- attestation objects
 * ---------------------------------------------------------------------------------------- */

enum status identity_attestation_read(struct slice bytes, struct slice *ret_format,
                                      struct slice *ret_data)
{
    struct slice rest = bytes, format = SLICE_NULL, data = SLICE_NULL, statement = SLICE_NULL;
    struct identity_cbor_item map, key, value;
    if (identity_cbor_next(&rest, &map) != STATUS_OK || map.kind != IDENTITY_CBOR_MAP ||
        map.number != 3)
        return STATUS_INVALID;
    for (unsigned i = 0; i < 3; i++) {
        if (identity_cbor_next(&rest, &key) != STATUS_OK || key.kind != IDENTITY_CBOR_TEXT)
            return STATUS_INVALID;
        struct slice from = rest;
        if (identity_cbor_next(&rest, &value) != STATUS_OK)
            return STATUS_INVALID;
        if (slice_eq(key.bytes, SLICE("fmt")) && value.kind == IDENTITY_CBOR_TEXT)
            format = value.bytes;
        else if (slice_eq(key.bytes, SLICE("authData")) && value.kind == IDENTITY_CBOR_BYTES)
            data = value.bytes;
        else if (slice_eq(key.bytes, SLICE("attStmt")) && value.kind == IDENTITY_CBOR_MAP) {
            rest = from;
            if (identity_cbor_skip(&rest) != STATUS_OK)
                return STATUS_INVALID;
            statement = slice_head(from, from.len - rest.len);
        } else {
            return STATUS_INVALID;
        }
    }
    bool is_none = slice_eq(format, SLICE("none"));
    if (rest.len || !format.len || !data.len || !statement.len || (is_none && statement.len != 1))
        return STATUS_INVALID;
    *ret_format = format;
    *ret_data = data;
    return STATUS_OK;
}
