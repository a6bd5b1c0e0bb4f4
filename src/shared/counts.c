/*
 * shared/counts.c - What all kinds of counts have in common: rates, keys, and the way to the kind.
 */
#include "shared/internal.h"

#include <assert.h>
#include <string.h>

#include "base/macros.h"

#define PART_BYTES 56u

struct shared_rate shared_rate_of(uint32_t count, int64_t period_us, uint32_t burst)
{
    assert(count > 0 && burst > 0 && period_us > 0);
    int64_t unit_ns = period_us * 1000 / count;
    unit_ns = MAX(unit_ns, (int64_t)1);
    return (struct shared_rate){ .unit_ns = unit_ns, .burst_ns = unit_ns * burst };
}

uint64_t shared_counts_key(const struct shared_counts *counts, uint64_t salt, struct slice part)
{
    uint8_t text[sizeof(salt) + PART_BYTES], digest[crypto_shorthash_BYTES];
    uint64_t key;
    if (part.len > PART_BYTES) {
        (void)crypto_shorthash(digest, (const uint8_t *)part.data, part.len, counts->hash_key);
        part = slice_of((const char *)digest, sizeof(digest));
    }
    memcpy(text, &salt, sizeof(salt));
    if (part.len)
        memcpy(text + sizeof(salt), part.data, part.len);
    (void)crypto_shorthash((uint8_t *)&key, text, sizeof(salt) + part.len, counts->hash_key);
    return key;
}

bool shared_counts_suspends(const struct shared_counts *counts)
{
    return counts->kind->suspends;
}

enum status shared_counts_take(struct task *task, struct shared_counts *counts, int64_t now_us,
                               struct shared_take *takes, unsigned len, bool *ret_allowed)
{
    assert(len <= SHARED_TAKES_MAX);
    assert(task || !counts->kind->suspends);
    return counts->kind->take(task, counts, now_us, takes, len, ret_allowed);
}

void shared_counts_free(struct shared_counts *counts)
{
    if (counts)
        counts->kind->free(counts);
}
