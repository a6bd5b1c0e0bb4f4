/*
 * identity/base32.h - Base32 (RFC 4648 section 6): how secrets of authenticator apps are written.
 * Private to the room.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

/* Append in capitals and without padding, as authenticator apps want it. */
void identity_base32_put(struct buf *out, const uint8_t *bytes, size_t len);

/*
 * Read base32 as people and programs write it: either case, in groups with spaces or dashes
 * between, with its padding or without.
 *
 * Errors   INVALID: another character, padding in the wrong place or amount, a length that no bytes
 *          have, bits behind the last byte that are not zero; TOO_LARGE: more than `out_max` bytes.
 *          `out` may have part of it then, *ret_len is untouched.
 */
enum status identity_base32_read(struct slice text, uint8_t *out, size_t out_max, size_t *ret_len);
