/*
 * base/id.h - Identifiers: UUIDv7 (RFC 9562), in time order, monotonic within a thread, and random
 * bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct uuid {
    uint8_t bytes[16];
};

#define UUID_TEXT_LEN 36

/* A new UUIDv7: 48 bits of wall milliseconds, then a counter seeded at random each millisecond, so
 * that ids of one thread always grow, then random bits. Any thread; never blocks once seeded. */
struct uuid uuid_v7(void);

/* As uuid_v7, but with the given time: ids of imported rows sort by when the rows were created. */
struct uuid uuid_v7_at(int64_t wall_us);

/* Lower-case text with dashes, exactly 36 bytes, no NUL. */
void uuid_format(const struct uuid *id, char out[UUID_TEXT_LEN]);

/* Accepts the 36-byte form in either case and nothing else. */
bool uuid_parse(struct slice s, struct uuid *ret);

/* Cryptographically secure random bytes; any thread; aborts only if the kernel has none to give. */
void random_bytes(void *out, size_t len);
/* Fast random number, not for secrets (jitter, sampling). */
uint64_t random_fast(void);
