/* identity/refresh.c - Refresh tokens, made and taken apart. */
#include "identity/refresh.h"

#include <sodium.h>
#include <string.h>

#define PROOF_BYTES 32u
#define BODY_BYTES (16u + 4u + PROOF_BYTES)
#define PREFIX_LEN (sizeof(IDENTITY_REFRESH_PREFIX) - 1)

_Static_assert(IDENTITY_REFRESH_LEN - PREFIX_LEN == (BODY_BYTES * 4 + 2) / 3,
               "base64url without padding");

static void prove(const struct identity_pepper *key,
                  const uint8_t salt[IDENTITY_REFRESH_SALT_BYTES], const uint8_t head[20],
                  uint8_t proof[PROOF_BYTES])
{
    static const char purpose[] = "purlin refresh 1";
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, key->bytes, sizeof(key->bytes), PROOF_BYTES);
    (void)crypto_generichash_update(&state, (const uint8_t *)purpose, sizeof(purpose));
    (void)crypto_generichash_update(&state, salt, IDENTITY_REFRESH_SALT_BYTES);
    (void)crypto_generichash_update(&state, head, 20);
    (void)crypto_generichash_final(&state, proof, PROOF_BYTES);
}

static void put_head(const struct uuid *session, uint32_t generation, uint8_t head[20])
{
    memcpy(head, session->bytes, 16);
    for (unsigned i = 0; i < 4; i++)
        head[16 + i] = (uint8_t)(generation >> (24 - 8 * i));
}

void identity_refresh_make(const struct identity_pepper *key, struct identity_refresh *refresh)
{
    uint8_t body[BODY_BYTES];
    char text[IDENTITY_REFRESH_LEN - PREFIX_LEN + 1]; /* sodium ends it with a zero */
    put_head(&refresh->session, refresh->generation, body);
    prove(key, refresh->salt, body, body + 20);
    memcpy(refresh->text, IDENTITY_REFRESH_PREFIX, PREFIX_LEN);
    (void)sodium_bin2base64(text, sizeof(text), body, sizeof(body),
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    memcpy(refresh->text + PREFIX_LEN, text, sizeof(text) - 1);
    sodium_memzero(body, sizeof(body));
    sodium_memzero(text, sizeof(text));
}

enum status identity_refresh_parse(struct slice text, struct identity_refresh_claim *ret)
{
    uint8_t body[BODY_BYTES];
    size_t len;
    if (text.len != IDENTITY_REFRESH_LEN || !slice_starts(text, SLICE(IDENTITY_REFRESH_PREFIX)) ||
        sodium_base642bin(body, sizeof(body), text.data + PREFIX_LEN, text.len - PREFIX_LEN, NULL,
                          &len, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        len != sizeof(body))
        return STATUS_INVALID;
    memcpy(ret->session.bytes, body, 16);
    ret->generation = 0;
    for (unsigned i = 0; i < 4; i++)
        ret->generation = ret->generation << 8 | body[16 + i];
    memcpy(ret->proof, body + 20, PROOF_BYTES);
    sodium_memzero(body, sizeof(body));
    return STATUS_OK;
}

bool identity_refresh_is_proved(const struct identity_pepper *key,
                                const uint8_t salt[IDENTITY_REFRESH_SALT_BYTES],
                                const struct identity_refresh_claim *claim)
{
    uint8_t head[20], proof[PROOF_BYTES];
    put_head(&claim->session, claim->generation, head);
    prove(key, salt, head, proof);
    bool is_proved = sodium_memcmp(proof, claim->proof, sizeof(proof)) == 0;
    sodium_memzero(proof, sizeof(proof));
    return is_proved;
}
