/*
 * identity/refresh.h - Refresh tokens: opaque to whoever has one, computed instead of kept. Private
 * to the room.
 *
 * A token names its session and a generation, and proves both by a keyed hash over them, whose key
 * is made of the installation's secret and the session's own salt. So the database has nothing that
 * could be presented, an old token of a session is known for what it is without a row for each, and
 * the same generation is always the same token: who asks twice gets one answer.
 *
 * It reads "purlin_refresh_" and 70 characters of base64url.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/secret.h"

#define IDENTITY_REFRESH_PREFIX "purlin_refresh_"
#define IDENTITY_REFRESH_LEN (sizeof(IDENTITY_REFRESH_PREFIX) - 1 + 70)
#define IDENTITY_REFRESH_SALT_BYTES 32u

struct identity_refresh {
    struct uuid session;
    uint32_t generation;
    uint8_t salt[IDENTITY_REFRESH_SALT_BYTES]; /* of the session; not part of the token */
    char text[IDENTITY_REFRESH_LEN];
};

/* Fill `text` of the other members. */
void identity_refresh_make(const struct identity_pepper *key, struct identity_refresh *refresh);

/* What somebody presents. */
struct identity_refresh_claim {
    struct uuid session;
    uint32_t generation;
    uint8_t proof[32];
};
/* INVALID: not of the form. Nothing is proved yet. */
enum status identity_refresh_parse(struct slice text, struct identity_refresh_claim *ret);
/* In constant time. */
bool identity_refresh_is_proved(const struct identity_pepper *key,
                                const uint8_t salt[IDENTITY_REFRESH_SALT_BYTES],
                                const struct identity_refresh_claim *claim);
