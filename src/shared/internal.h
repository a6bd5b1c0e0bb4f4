/*
 * shared/internal.h - What every kind of counts begins with. Private to the room.
 */
#pragma once

#include <sodium.h>

#include "shared/shared.h"

struct shared_counts {
    const struct shared_counts_kind *kind;
    uint8_t hash_key[crypto_shorthash_KEYBYTES]; /* random: nobody outside can aim at a place */
};
