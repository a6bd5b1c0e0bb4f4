/*
 * identity/relying_party.h - Whose passkeys they are: the host of this server as clients know it,
 * and the origin of its pages. Private to the room.
 */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct arena;
struct identity;

struct identity_relying_party {
    struct slice id;     /* "example.org" */
    struct slice origin; /* "https://example.org", as browsers write it */
    const char *id_cstr;
    struct slice related; /* further origins, as identity_origin_is_related takes them; set by
                             identity_passkey_party */
};

/*
 * From the issuer's URL. A loopback address becomes "localhost": passkeys belong to names, and so
 * they work while one develops, at http://localhost:PORT.
 *
 * Errors   INVALID: another address, or no URL. Memory   in the arena.
 */
enum status identity_relying_party_of(struct arena *arena, struct slice issuer,
                                      struct identity_relying_party *ret);
