/*
 * identity/client_data.h - What a browser says it let sign: the challenge, the ceremony, the page
 * (WebAuthn level 3, section 5.8.1). Private to the room.
 */
#pragma once

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;

#define IDENTITY_CLIENT_DATA_MAX 4096u
#define IDENTITY_CHALLENGE_MAX 128u

struct identity_client_data {
    bool is_creation;       /* webauthn.create; else webauthn.get */
    struct slice challenge; /* its bytes */
    struct slice origin;
    bool is_cross_origin; /* in a frame of another origin's page */
};

/*
 * Errors   INVALID: no JSON object of this form, or another ceremony; TOO_LARGE: beyond
 *          IDENTITY_CLIENT_DATA_MAX; EXHAUSTED. Memory   in the arena.
 */
enum status identity_client_data_read(struct arena *arena, struct slice json,
                                      struct identity_client_data *ret);
