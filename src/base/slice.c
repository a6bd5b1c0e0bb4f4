#include "base/slice.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "base/macros.h"
#include "base/memory.h"

static inline unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

char *slice_dup(struct slice s)
{
    char *copy = malloc(s.len + 1);
    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return copy;
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (a.data[i] != b.data[i] &&
            lower((unsigned char)a.data[i]) != lower((unsigned char)b.data[i]))
            return false;
    }
    return true;
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t len = MIN(a.len, b.len);
    int order = len ? memcmp(a.data, b.data, len) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

size_t slice_find(struct slice s, char c)
{
    const char *at = s.len ? memchr(s.data, c, s.len) : NULL;
    return at ? (size_t)(at - s.data) : SIZE_MAX;
}

size_t slice_find_slice(struct slice s, struct slice needle)
{
    if (needle.len == 0)
        return 0;
    const char *at = s.len ? memmem(s.data, s.len, needle.data, needle.len) : NULL;
    return at ? (size_t)(at - s.data) : SIZE_MAX;
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len && is_ows(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len && is_ows(s.data[s.len - 1]))
        s.len--;
    return s;
}

bool slice_split(struct slice *rest, char sep, struct slice *ret_part)
{
    if (!rest->data)
        return false;
    size_t at = slice_find(*rest, sep);
    if (at == SIZE_MAX) {
        *ret_part = *rest;
        *rest = SLICE_NULL;
        return true;
    }
    *ret_part = slice_head(*rest, at);
    *rest = slice_of(rest->data + at + 1, rest->len - at - 1);
    return true;
}

bool slice_to_i64(struct slice s, int64_t *ret)
{
    bool negative = s.len && s.data[0] == '-';
    size_t i = negative;
    if (i == s.len)
        return false;
    /* Gathered below zero, where the range is one wider. */
    int64_t value = 0;
    for (; i < s.len; i++) {
        unsigned digit = (unsigned char)s.data[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_sub_overflow(value, (int64_t)digit, &value))
            return false;
    }
    if (!negative && value == INT64_MIN)
        return false;
    *ret = negative ? value : -value;
    return true;
}

/* The parts of a number in JSON's grammar. */
struct decimal {
    uint64_t digits; /* the first 19 significant ones */
    unsigned digits_len;
    int32_t exponent10; /* the value is digits * 10^exponent10, when not cut */
    bool negative;
    bool cut; /* there were more digits than fit */
};

static void decimal_push(struct decimal *d, char c, bool fraction)
{
    if (d->digits_len < 19) {
        d->digits = d->digits * 10 + (uint64_t)(c - '0');
        d->digits_len += d->digits != 0;
        d->exponent10 -= fraction;
    } else {
        d->cut |= c != '0';
        d->exponent10 += !fraction;
    }
}

static bool is_digit(struct slice s, size_t i)
{
    return i < s.len && s.data[i] >= '0' && s.data[i] <= '9';
}

/* number = [ "-" ] int [ frac ] [ exp ] (RFC 8259 section 6) */
static bool decimal_scan(struct slice s, struct decimal *d)
{
    size_t i = 0;
    d->negative = s.len && s.data[0] == '-';
    i += d->negative;
    if (!is_digit(s, i))
        return false;
    if (s.data[i] == '0' && is_digit(s, i + 1))
        return false;
    for (; is_digit(s, i); i++)
        decimal_push(d, s.data[i], false);
    if (i < s.len && s.data[i] == '.') {
        if (!is_digit(s, ++i))
            return false;
        for (; is_digit(s, i); i++)
            decimal_push(d, s.data[i], true);
    }
    if (i < s.len && (s.data[i] == 'e' || s.data[i] == 'E')) {
        i++;
        bool minus = i < s.len && s.data[i] == '-';
        i += i < s.len && (s.data[i] == '-' || s.data[i] == '+');
        if (!is_digit(s, i))
            return false;
        int32_t e = 0;
        for (; is_digit(s, i); i++)
            e = MIN(e * 10 + (s.data[i] - '0'), 100000);
        d->exponent10 += minus ? -e : e;
    }
    return i == s.len;
}

/* The C library's own, told to use '.' whatever the process's locale says. Rare, so it stays out of
 * its callers. */
__attribute__((noinline)) static double parse_exactly(struct slice s)
{
    char local[128];
    char *text = s.len < sizeof(local) ? local : memory__alloc(s.len + 1);
    memcpy(text, s.data, s.len);
    text[s.len] = '\0';
    /* glibc answers its constant C locale here: nothing is allocated, nothing to free. */
    double value = strtod_l(text, NULL, newlocale(LC_ALL_MASK, "C", (locale_t)0));
    if (text != local)
        free(text);
    return value;
}

enum slice_number slice_read_double(struct slice s, double *ret)
{
    static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    struct decimal d = { 0 };
    if (!decimal_scan(s, &d))
        return SLICE_NUMBER_MALFORMED;
    double value;
    int32_t e = d.exponent10;
    if (!d.cut && d.digits <= (uint64_t)1 << 53 && e >= -22 && e <= 22) {
        /* Both factors are exact, so one rounding gives the nearest double (Clinger 1990). */
        value = e < 0 ? (double)d.digits / powers[-e] : (double)d.digits * powers[e];
        value = d.negative ? -value : value;
    } else {
        value = parse_exactly(s);
    }
    if (!isfinite(value))
        return SLICE_NUMBER_RANGE;
    *ret = value;
    return SLICE_NUMBER_OK;
}

bool slice_to_double(struct slice s, double *ret)
{
    return slice_read_double(s, ret) == SLICE_NUMBER_OK;
}

static inline uint64_t load64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Bytes of the sequence that starts at p (a lead byte >= 0x80), or 0 when it is malformed (RFC
 * 3629). */
static inline size_t sequence_len(const unsigned char *p, size_t left)
{
    unsigned char c = p[0];
    if (c >= 0xc2 && c <= 0xdf)
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if ((c & 0xf0) == 0xe0) {
        if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
            return 0;
        /* Overlong forms below U+0800, and the surrogates. */
        return (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ? 0 : 3;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        if (left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
            return 0;
        /* Overlong forms below U+10000, and what is past U+10FFFF. */
        return (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f) ? 0 : 4;
    }
    return 0;
}

bool utf8_is_valid(struct slice s)
{
    if (s.len == 0)
        return true;
    const char *p = s.data;
    const char *end = s.data + s.len;
    while (p != end) {
        while (end - p >= 16 && ((load64(p) | load64(p + 8)) & HIGH_BITS) == 0)
            p += 16;
        if (p == end)
            break;
        if ((unsigned char)*p < 0x80) {
            p++;
            continue;
        }
        size_t n = sequence_len((const unsigned char *)p, (size_t)(end - p));
        if (n == 0)
            return false;
        p += n;
    }
    return true;
}

size_t utf8_sequence(struct slice s)
{
    if (s.len == 0)
        return 0;
    return (unsigned char)s.data[0] < 0x80 ? 1 : sequence_len((const unsigned char *)s.data, s.len);
}

size_t utf8_count(struct slice s)
{
    /* Every byte that does not continue a sequence starts one. */
    size_t continuing = 0;
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t v = load64(s.data + i);
        uint64_t high_not_next = v & ~(v << 1) & HIGH_BITS;
        continuing += (size_t)__builtin_popcountll(high_not_next);
    }
    for (; i < s.len; i++)
        continuing += ((unsigned char)s.data[i] & 0xc0) == 0x80;
    return s.len - continuing;
}

#define DISTANCE_MAX ((size_t)63)

unsigned slice_distance(struct slice a, struct slice b)
{
    if (a.len > DISTANCE_MAX || b.len > DISTANCE_MAX)
        return 1000;
    /* Three rows of the table: swapping two neighbours, the commonest slip, looks back two. */
    unsigned char rows[3][DISTANCE_MAX + 1];
    unsigned char *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        last[j] = (unsigned char)j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned best = last[j - 1] + (a.data[i - 1] != b.data[j - 1]);
            best = MIN(best, last[j] + 1u);
            best = MIN(best, row[j - 1] + 1u);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                best = MIN(best, before[j - 2] + 1u);
            row[j] = (unsigned char)best;
        }
        unsigned char *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[b.len];
}

/* Little-endian on every machine, so that the value is. */
static inline uint64_t load_le(const char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#define HASH_K0 UINT64_C(0x9e3779b97f4a7c15)
#define HASH_K1 UINT64_C(0xc2b2ae3d27d4eb4f)
#define HASH_K2 UINT64_C(0xa0761d6478bd642f)

/* Multiply and fold 16 bytes a step, the construction of wyhash: one multiplication per 16 bytes.
 */
uint64_t hash64(struct slice s, uint64_t seed)
{
    uint64_t h = seed ^ fold(seed ^ HASH_K0, (uint64_t)s.len ^ HASH_K1);
    const char *p = s.data;
    size_t left = s.len;
    for (; left > 16; p += 16, left -= 16)
        h = fold(load_le(p, 8) ^ HASH_K1, load_le(p + 8, 8) ^ h);
    uint64_t a = 0, b = 0;
    if (left >= 8) {
        a = load_le(p, 8);
        b = load_le(p + left - 8, 8);
    } else if (left >= 4) {
        a = load_le(p, 4);
        b = load_le(p + left - 4, 4);
    } else if (left) {
        a = ((uint64_t)(unsigned char)p[0] << 16) | ((uint64_t)(unsigned char)p[left / 2] << 8) |
            (unsigned char)p[left - 1];
    }
    h = fold(a ^ HASH_K2, b ^ h);
    return fold(h ^ HASH_K0, HASH_K2 ^ (uint64_t)s.len);
}
