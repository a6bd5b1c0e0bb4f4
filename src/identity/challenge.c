/* identity/challenge.c - Challenges: 16 random bytes, the end in microseconds, the hash. */
#include "identity/challenge.h"

#include <string.h>

#include "base/id.h"
#include "base/macros.h"
#include "identity/room.h"
#include "store/store.h"

#define NONCE_BYTES 16u
#define END_BYTES 8u
#define SIGNED_BYTES (NONCE_BYTES + END_BYTES)
_Static_assert(SIGNED_BYTES + IDENTITY_DIGEST_BYTES == IDENTITY_CHALLENGE_BYTES, "its three parts");

static const char *const ceremony_names[IDENTITY_CEREMONIES] = {
    [IDENTITY_CEREMONY_ADD] = "passkey add",
    [IDENTITY_CEREMONY_LOGIN] = "passkey login",
    [IDENTITY_CEREMONY_PROVE] = "passkey prove",
    [IDENTITY_CEREMONY_FOREIGN] = "sign in elsewhere",
};

static struct identity_digest hash(const struct identity_pepper *key,
                                   enum identity_ceremony ceremony, struct slice occasion,
                                   const struct identity_challenge *challenge)
{
    return identity_digest_keyed(key, slice_cstr(ceremony_names[ceremony]), occasion,
                                 slice_of((const char *)challenge->bytes, SIGNED_BYTES));
}

static int64_t end_of(const struct identity_challenge *challenge)
{
    uint64_t end = 0;
    for (size_t i = 0; i < END_BYTES; i++)
        end = end << 8 | challenge->bytes[NONCE_BYTES + i];
    return (int64_t)end;
}

struct identity_challenge identity_challenge_make(const struct identity *identity,
                                                  enum identity_ceremony ceremony,
                                                  struct slice occasion, int64_t now_us)
{
    struct identity_challenge challenge;
    int64_t life_us = ceremony == IDENTITY_CEREMONY_FOREIGN ? IDENTITY_CHALLENGE_FOREIGN_LIFE_US
                                                            : IDENTITY_CHALLENGE_LIFE_US;
    uint64_t end = (uint64_t)(now_us + life_us);
    random_bytes(challenge.bytes, NONCE_BYTES);
    for (size_t i = 0; i < END_BYTES; i++)
        challenge.bytes[NONCE_BYTES + i] = (uint8_t)(end >> (56 - 8 * i));
    struct identity_digest digest = hash(&identity->code_keys[0], ceremony, occasion, &challenge);
    memcpy(challenge.bytes + SIGNED_BYTES, digest.bytes, sizeof(digest.bytes));
    return challenge;
}

enum status identity_challenge_check(const struct identity *identity,
                                     enum identity_ceremony ceremony, struct slice occasion,
                                     struct slice bytes, int64_t now_us,
                                     struct identity_challenge *ret)
{
    struct identity_challenge challenge;
    struct identity_digest given;
    bool is_ours = false;
    if (bytes.len != sizeof(challenge.bytes))
        return STATUS_UNAUTHENTICATED;
    memcpy(challenge.bytes, bytes.data, sizeof(challenge.bytes));
    memcpy(given.bytes, challenge.bytes + SIGNED_BYTES, sizeof(given.bytes));
    for (unsigned i = 0; i < identity->secrets_len; i++) {
        struct identity_digest digest =
            hash(&identity->code_keys[i], ceremony, occasion, &challenge);
        is_ours |= identity_digest_eq(&digest, &given);
    }
    if (!is_ours || end_of(&challenge) <= now_us)
        return STATUS_UNAUTHENTICATED;
    *ret = challenge;
    return STATUS_OK;
}

static const char use_sql[] =
    "INSERT INTO purlin_passkey_challenges (digest, expires_at) VALUES ($1, $2)";
static const char purge_sql[] = "DELETE FROM purlin_passkey_challenges WHERE expires_at < $1";

enum status identity_challenge_use(struct store_tx *tx, const struct identity_challenge *challenge)
{
    const struct store_value values[] = {
        store_blob(slice_of((const char *)challenge->bytes + SIGNED_BYTES, IDENTITY_DIGEST_BYTES)),
        store_i64(end_of(challenge)),
    };
    return store_tx_exec(tx, IDENTITY__SQL(use_sql), values, ARRAY_LEN(values), NULL);
}

enum status identity_challenges_purge(struct store_tx *tx, int64_t now_us)
{
    const struct store_value now = store_i64(now_us);
    return store_tx_exec(tx, IDENTITY__SQL(purge_sql), &now, 1, NULL);
}
