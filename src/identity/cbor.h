/*
 * identity/cbor.h - Reading CBOR (RFC 8949) as authenticators write it: the canonical form of
 * CTAP2, which has definite lengths and the shortest numbers, and no tags and floating numbers.
 * Anything else is refused. Nothing is allocated. Private to the room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define IDENTITY_CBOR_DEPTH_MAX 8u

enum identity_cbor_kind {
    IDENTITY_CBOR_UNSIGNED,
    IDENTITY_CBOR_NEGATIVE, /* -1 - number */
    IDENTITY_CBOR_BYTES,
    IDENTITY_CBOR_TEXT,
    IDENTITY_CBOR_ARRAY, /* `number` items follow */
    IDENTITY_CBOR_MAP,   /* `number` pairs follow */
    IDENTITY_CBOR_SIMPLE = 7
};

struct identity_cbor_item {
    enum identity_cbor_kind kind;
    uint64_t number;
    struct slice bytes; /* of BYTES and TEXT; within what is read */
};

/*
 * Take the next item, or the head of an array or map, off the front of `rest`.
 *
 * Errors   INVALID: it is cut off, or of a form that is not read. *rest is where it was then.
 */
enum status identity_cbor_next(struct slice *rest, struct identity_cbor_item *ret);
/* Take a whole item with all that is in it. INVALID: as above, or deeper than
 * IDENTITY_CBOR_DEPTH_MAX. */
enum status identity_cbor_skip(struct slice *rest);

/* A key of a map that is a small number, as COSE has them; false: another. */
bool identity_cbor_small(const struct identity_cbor_item *item, int64_t *ret);
