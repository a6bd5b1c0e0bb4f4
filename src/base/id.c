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

static uint32_t counter_seed(void)
{
    uint32_t seed;
    random_bytes(&seed, sizeof(seed));
    return seed & (COUNTER_LIMIT / 2 - 1);
}

static struct uuid next_id(struct sequence *s, int64_t ms)
{
    if (!s->started || ms != s->ms) {
        s->started = true;
        s->ms = ms;
        s->counter = counter_seed();
    } else if (++s->counter == COUNTER_LIMIT) {
        /* Half a thousand million ids in a millisecond, or a clock that stands still: borrow from
         * the future. */
        s->ms++;
        s->counter = counter_seed();
    }

    uint64_t random = 0;
    random_bytes(&random, 6);
    uint64_t high = (uint64_t)s->ms << 16 | 0x7000 | s->counter >> 18;
    uint64_t low = (uint64_t)2 << 62 | (uint64_t)(s->counter & 0x3ffff) << 44 |
                   (random & ((UINT64_C(1) << 44) - 1));
    struct uuid id;
    for (unsigned i = 0; i < 8; i++) {
        id.bytes[i] = (uint8_t)(high >> (56 - 8 * i));
        id.bytes[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
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

void uuid_format(const struct uuid *id, char out[UUID_TEXT_LEN])
{
    static const char hex[] = "0123456789abcdef";
    char *p = out;
    for (unsigned i = 0; i < sizeof(id->bytes); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = hex[id->bytes[i] >> 4];
        *p++ = hex[id->bytes[i] & 15];
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool uuid_parse(struct slice s, struct uuid *ret)
{
    struct uuid id;
    if (s.len != UUID_TEXT_LEN)
        return false;
    const char *p = s.data;
    for (unsigned i = 0; i < sizeof(id.bytes); i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
            return false;
        int high = hex_value(p[0]);
        int low = hex_value(p[1]);
        if ((high | low) < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    *ret = id;
    return true;
}
