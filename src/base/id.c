/*
 * A UUIDv7 here is 48 bits of milliseconds, a counter of 30 bits and 44 random bits (RFC 9562
 * section 6.2, methods 1 and 2 together): the counter is seeded at random below half its range each
 * millisecond and counts up within it, so the ids of one thread grow whatever the clock does, and
 * two threads meet with a probability of 2^-73 for each pair of ids in one millisecond. Randomness
 * is fetched from the kernel a page at a time: no system call per id.
 */
#include "base/id.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/macros.h"

#define POOL_BYTES 1024u
#define COUNTER_BITS 30u
#define COUNTER_LIMIT ((uint32_t)1 << COUNTER_BITS)

struct sequence {
    int64_t ms;
    uint32_t counter;
    bool started;
};

struct id_thread {
    struct sequence now; /* uuid_v7: never goes back */
    struct sequence at;  /* uuid_v7_at: follows the times it is given */
    uint64_t fast;
    unsigned pool_used;
    bool pool_filled, fast_seeded;
    unsigned char pool[POOL_BYTES];
};

static __thread struct id_thread self;

static void ask_kernel(unsigned char *out, size_t len)
{
    while (len) {
        ssize_t n = getrandom(out, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            /* Going on with guessable ids and tokens would be worse than not going on. */
            perror("purlin: getrandom");
            abort();
        }
        out += n;
        len -= (size_t)n;
    }
}

void random_bytes(void *out, size_t len)
{
    struct id_thread *t = &self;
    if (len > POOL_BYTES / 4) {
        ask_kernel(out, len);
        return;
    }
    if (!t->pool_filled || t->pool_used + len > POOL_BYTES) {
        ask_kernel(t->pool, POOL_BYTES);
        t->pool_used = 0;
        t->pool_filled = true;
    }
    memcpy(out, t->pool + t->pool_used, len);
    /* What was handed out may be a key: it must not stay here to be found. */
    memset(t->pool + t->pool_used, 0, len);
    t->pool_used += (unsigned)len;
}

uint64_t random_fast(void)
{
    struct id_thread *t = &self;
    if (UNLIKELY(!t->fast_seeded)) {
        random_bytes(&t->fast, sizeof(t->fast));
        t->fast_seeded = true;
    }
    /* splitmix64 (Steele, Lea, Flood 2014). */
    uint64_t z = t->fast += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The same for a fixed few bytes, which an id takes every time. */
static uint64_t random_u64(void)
{
    uint64_t value;
    random_bytes(&value, sizeof(value));
    return value;
}

static uint32_t counter_of(uint64_t random)
{
    return (uint32_t)random & (COUNTER_LIMIT / 2 - 1);
}

static void put_big_endian(uint8_t *out, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    memcpy(out, &v, sizeof(v));
}

static struct uuid next_id(struct sequence *s, int64_t ms)
{
    if (!s->started || ms != s->ms) {
        s->started = true;
        s->ms = ms;
        s->counter = counter_of(random_u64());
    } else if (++s->counter == COUNTER_LIMIT) {
        /* Half a thousand million ids in a millisecond, or a clock that stands still: borrow from
         * the future. */
        s->ms++;
        s->counter = counter_of(random_u64());
    }

    struct uuid id;
    put_big_endian(id.bytes, (uint64_t)s->ms << 16 | 0x7000 | s->counter >> 18);
    put_big_endian(id.bytes + 8, (uint64_t)2 << 62 | (uint64_t)(s->counter & 0x3ffff) << 44 |
                                     (random_u64() & ((UINT64_C(1) << 44) - 1)));
    return id;
}

struct uuid uuid_v7(void)
{
    struct sequence *s = &self.now;
    int64_t ms = clock_wall_us() / CLOCK_MS;
    return next_id(s, s->started ? MAX(ms, s->ms) : ms);
}

struct uuid uuid_v7_at(int64_t wall_us)
{
    /* Before 1970 there is nothing to say: such ids sort first. */
    int64_t ms = wall_us < 0 ? 0 : wall_us / CLOCK_MS;
    return next_id(&self.at, ms);
}

/* "00" to "ff", one after the other. */
static const char hex_pairs[512] =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
    "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
    "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
    "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
    "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

void uuid_format(const struct uuid *id, char out[UUID_TEXT_LEN])
{
    static const unsigned char at[sizeof(id->bytes)] = { 0,  2,  4,  6,  9,  11, 14, 16,
                                                         19, 21, 24, 26, 28, 30, 32, 34 };
    for (unsigned i = 0; i < sizeof(id->bytes); i++)
        memcpy(out + at[i], hex_pairs + (size_t)id->bytes[i] * 2, 2);
    out[8] = out[13] = out[18] = out[23] = '-';
}

/* A digit's value plus one; 0 for what is none, so that the table needs to name only digits. */
static const uint8_t hex_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

bool uuid_parse(struct slice s, struct uuid *ret)
{
    static const unsigned char at[sizeof(ret->bytes)] = { 0,  2,  4,  6,  9,  11, 14, 16,
                                                          19, 21, 24, 26, 28, 30, 32, 34 };
    const unsigned char *p = (const unsigned char *)s.data;
    if (s.len != UUID_TEXT_LEN || p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-')
        return false;
    struct uuid id;
    for (unsigned i = 0; i < sizeof(id.bytes); i++) {
        unsigned high = hex_values[p[at[i]]];
        unsigned low = hex_values[p[at[i] + 1]];
        if (high == 0 || low == 0)
            return false;
        id.bytes[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    *ret = id;
    return true;
}
