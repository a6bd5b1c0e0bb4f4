/*
 * identity/challenge.h - What an authenticator is given to sign, and a provider to send back.
 * Private to the room.
 *
 * A challenge is made of random bytes, its end, and a keyed hash over both, the ceremony and whose
 * it is. So asking for one writes nothing, and anybody may ask; the one that was answered is kept
 * until its end, and holds no second time.
 */
#pragma once

#include <stdint.h>

#include "base/clock.h"
#include "base/slice.h"
#include "base/status.h"

struct identity;
struct store_tx;

#define IDENTITY_CHALLENGE_BYTES 56u
#define IDENTITY_CHALLENGE_LIFE_US (5 * CLOCK_MINUTE)
#define IDENTITY_CHALLENGE_FOREIGN_LIFE_US (10 * CLOCK_MINUTE) /* they may sign up there first */

enum identity_ceremony {
    IDENTITY_CEREMONY_ADD,     /* a passkey; of a session */
    IDENTITY_CEREMONY_LOGIN,   /* of nobody yet */
    IDENTITY_CEREMONY_PROVE,   /* a second factor; of a session, or of a first step */
    IDENTITY_CEREMONY_FOREIGN, /* a sign-in with a provider, which is the occasion */
    IDENTITY_CEREMONIES
};

struct identity_challenge {
    uint8_t bytes[IDENTITY_CHALLENGE_BYTES];
};

/* `occasion`: an id, or empty. */
struct identity_challenge identity_challenge_make(const struct identity *identity,
                                                  enum identity_ceremony ceremony,
                                                  struct slice occasion, int64_t now_us);
/* UNAUTHENTICATED: not ours, of another ceremony or occasion, or over. */
enum status identity_challenge_check(const struct identity *identity,
                                     enum identity_ceremony ceremony, struct slice occasion,
                                     struct slice bytes, int64_t now_us,
                                     struct identity_challenge *ret);
/* Inside the write that it allows. CONFLICT: it was used. */
enum status identity_challenge_use(struct store_tx *tx, const struct identity_challenge *challenge);
/* Remove those that are over. */
enum status identity_challenges_purge(struct store_tx *tx, int64_t now_us);
