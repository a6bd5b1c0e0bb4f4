/*
 * identity/secret.c - Made of random characters, told apart by prefix and checksum, kept as
 * digests.
 */
#include "identity/secret.h"

#include <sodium.h>
#include <string.h>
#include <zlib.h>

#include "base/macros.h"

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

_Static_assert(IDENTITY_DIGEST_BYTES == crypto_hash_sha256_BYTES, "digests are SHA-256");
_Static_assert(sizeof(((struct identity_pepper *)NULL)->bytes) == crypto_generichash_KEYBYTES,
               "the key of BLAKE2b");

static bool prefix_is_valid(struct slice prefix)
{
    if (prefix.len == 0 || prefix.len > IDENTITY_SECRET_PREFIX_MAX || prefix.data[0] == '_' ||
        prefix.data[prefix.len - 1] == '_')
        return false;
    for (size_t i = 0; i < prefix.len; i++) {
        char c = prefix.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

static bool is_base62(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
            return false;
    }
    return true;
}

/* CRC-32 of all that stands before, in base62, the highest digit first: what anybody can compute
 * who scans for leaks. 62^6 is more than 2^32. */
static void put_check(struct slice before, char out[IDENTITY_SECRET_CHECK_LEN])
{
    uint32_t crc = (uint32_t)crc32(0, (const Bytef *)before.data, (uInt)before.len);
    for (unsigned i = IDENTITY_SECRET_CHECK_LEN; i-- > 0;) {
        out[i] = base62[crc % 62];
        crc /= 62;
    }
}

enum status identity_secret_make(struct slice prefix, struct identity_secret *ret)
{
    if (!prefix_is_valid(prefix))
        return STATUS_INVALID;
    memcpy(ret->text, prefix.data, prefix.len);
    char *p = ret->text + prefix.len;
    *p++ = '_';
    /* 43 of 62 characters, each drawn evenly: 256.03 bits. */
    for (unsigned i = 0; i < IDENTITY_SECRET_BODY_LEN; i++)
        *p++ = base62[randombytes_uniform(62)];
    struct slice before = slice_of(ret->text, (size_t)(p - ret->text));
    *p++ = '_';
    put_check(before, p);
    ret->len = before.len + 1 + IDENTITY_SECRET_CHECK_LEN;
    return STATUS_OK;
}

void identity_secret_wipe(struct identity_secret *secret)
{
    sodium_memzero(secret, sizeof(*secret));
}

enum status identity_secret_parse(struct slice text, struct slice *ret_prefix)
{
    const size_t tail = 1 + IDENTITY_SECRET_BODY_LEN + 1 + IDENTITY_SECRET_CHECK_LEN;
    if (text.len <= tail || text.len > IDENTITY_SECRET_TEXT_MAX)
        return STATUS_INVALID;
    struct slice prefix = slice_head(text, text.len - tail);
    struct slice body =
        slice_head(slice_from(text, prefix.len + 1), (size_t)IDENTITY_SECRET_BODY_LEN);
    struct slice before = slice_head(text, text.len - 1 - IDENTITY_SECRET_CHECK_LEN);
    if (text.data[prefix.len] != '_' || text.data[before.len] != '_' || !prefix_is_valid(prefix) ||
        !is_base62(body))
        return STATUS_INVALID;
    char check[IDENTITY_SECRET_CHECK_LEN];
    put_check(before, check);
    if (!slice_eq(slice_from(text, before.len + 1), slice_of(check, sizeof(check))))
        return STATUS_INVALID;
    *ret_prefix = prefix;
    return STATUS_OK;
}

struct identity_digest identity_secret_digest(struct slice text)
{
    struct identity_digest digest;
    (void)crypto_hash_sha256(digest.bytes, (const uint8_t *)text.data, text.len);
    return digest;
}

enum status identity_secret_read(struct slice text, struct slice prefix,
                                 struct identity_digest *ret)
{
    struct slice its_prefix;
    enum status st = identity_secret_parse(text, &its_prefix);
    if (st != STATUS_OK)
        return st;
    if (!slice_eq(its_prefix, prefix))
        return STATUS_INVALID;
    *ret = identity_secret_digest(text);
    return STATUS_OK;
}

bool identity_digest_eq(const struct identity_digest *a, const struct identity_digest *b)
{
    return sodium_memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* -- short codes
 * ------------------------------------------------------------------------------------------ */

/* With its length before it, so that no two lists of parts hash alike. */
static void hash_part(crypto_generichash_state *state, struct slice part)
{
    uint8_t len[8];
    for (unsigned i = 0; i < sizeof(len); i++)
        len[i] = (uint8_t)((uint64_t)part.len >> (8 * i));
    (void)crypto_generichash_update(state, len, sizeof(len));
    (void)crypto_generichash_update(state, (const uint8_t *)part.data, part.len);
}

struct identity_pepper identity_pepper_of(struct slice installation_secret, struct slice purpose)
{
    struct identity_pepper pepper;
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, NULL, 0, sizeof(pepper.bytes));
    hash_part(&state, SLICE("purlin pepper 1"));
    hash_part(&state, purpose);
    hash_part(&state, installation_secret);
    (void)crypto_generichash_final(&state, pepper.bytes, sizeof(pepper.bytes));
    sodium_memzero(&state, sizeof(state));
    return pepper;
}

struct identity_digest identity_digest_keyed(const struct identity_pepper *pepper,
                                             struct slice purpose, struct slice owner,
                                             struct slice text)
{
    struct identity_digest digest;
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, pepper->bytes, sizeof(pepper->bytes),
                                  sizeof(digest.bytes));
    hash_part(&state, purpose);
    hash_part(&state, owner);
    hash_part(&state, text);
    (void)crypto_generichash_final(&state, digest.bytes, sizeof(digest.bytes));
    sodium_memzero(&state, sizeof(state));
    return digest;
}

void identity_code_make(char ret_code[IDENTITY_CODE_LEN])
{
    for (unsigned i = 0; i < IDENTITY_CODE_LEN; i++)
        ret_code[i] = (char)('0' + randombytes_uniform(10));
}

enum status identity_code_read(struct slice text, char ret_code[IDENTITY_CODE_LEN])
{
    char code[IDENTITY_CODE_LEN];
    unsigned len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == ' ' || c == '-')
            continue;
        if (c < '0' || c > '9' || len == IDENTITY_CODE_LEN)
            return STATUS_INVALID;
        code[len++] = c;
    }
    if (len != IDENTITY_CODE_LEN)
        return STATUS_INVALID;
    memcpy(ret_code, code, sizeof(code));
    return STATUS_OK;
}
