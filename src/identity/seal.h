/*
 * identity/seal.h - What has to be read again and must not be read by whoever has the database:
 * private keys, secrets of authenticator apps. Sealed with XSalsa20-Poly1305 by a key that comes
 * from the installation's secret, another for each purpose. Private to the room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/secret.h"

struct arena;

#define IDENTITY_SEAL_OVERHEAD ((size_t)41) /* version, nonce and tag */

struct identity_seal {
    struct identity_pepper key, previous;
    bool has_previous;
};

/* `previous`: the secret before this one, or empty. */
void identity_seal_init(struct identity_seal *seal, struct slice purpose, struct slice secret,
                        struct slice previous);

/* false: `out` is smaller than the text and IDENTITY_SEAL_OVERHEAD. Any thread. */
bool identity_seal_close(const struct identity_seal *seal, struct slice text, uint8_t *out,
                         size_t out_max, size_t *ret_len);

/*
 * Open what was sealed.
 *
 * Errors   UNAUTHENTICATED: it is nothing that was sealed with either secret; EXHAUSTED.
 * Memory   *ret_text lives in the arena: wipe it.
 */
enum status identity_seal_open(const struct identity_seal *seal, struct slice sealed,
                               struct arena *arena, char **ret_text, size_t *ret_len,
                               bool *ret_is_previous);
