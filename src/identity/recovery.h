/*
 * identity/recovery.h - Recovery codes: for the day the phone is lost. Ten, each good once, printed
 * or written down; only their digests are kept. Private to the room.
 *
 * A code is 16 characters of Crockford's base32 (80 bits; no I, L, O and U in it), in groups of
 * four: "7KQ2-M9XA-04TN-ZVHB".
 */
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/secret.h"

#define IDENTITY_RECOVERY_CODES 10u
#define IDENTITY_RECOVERY_CHARS 16u
#define IDENTITY_RECOVERY_TEXT_LEN 19u /* with the dashes; no NUL */

/* What somebody gets to see once. */
struct identity_recovery {
    char texts[IDENTITY_RECOVERY_CODES][IDENTITY_RECOVERY_TEXT_LEN];
};
/* No two are equal. */
void identity_recovery_make(struct identity_recovery *ret);
void identity_recovery_wipe(struct identity_recovery *codes);
static inline void identity_recovery_wipep(struct identity_recovery *codes)
{
    identity_recovery_wipe(codes);
}

/*
 * The digest of a code as somebody types it: either case, with its dashes, with spaces or with
 * neither; O read as 0, I and L as 1. `owner` is the id of its account: codes hold for nobody else.
 *
 * Errors   INVALID: no such code can be; it need not be looked for.
 */
enum status identity_recovery_read(const struct identity_pepper *pepper, struct slice owner,
                                   struct slice typed, struct identity_digest *ret);

/* Where `digest` is among `digests`, or `len`; in a time that depends on `len` alone. */
size_t identity_recovery_find(const struct identity_digest *digests, size_t len,
                              const struct identity_digest *digest);
