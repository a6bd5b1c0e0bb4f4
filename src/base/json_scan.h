/*
 * base/json_scan.h - Private to base: finding, several bytes at a time, what is special inside a
 * JSON string: the quote, the backslash and the controls below U+0020. Reader and writer share it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#define JSON_SCAN_SSE2 1
#else
#define JSON_SCAN_SSE2 0
#endif

static inline bool json__is_special(char c)
{
    return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

#define JSON_SCAN_ALL(c) (UINT64_C(0x0101010101010101) * (c))

/* Whether any of eight bytes is special. A borrow can only come from a byte that itself is. */
static inline bool json__any_special(uint64_t v)
{
    uint64_t quote = v ^ JSON_SCAN_ALL('"');
    uint64_t backslash = v ^ JSON_SCAN_ALL('\\');
    return (((v - JSON_SCAN_ALL(0x20)) & ~v) | ((quote - JSON_SCAN_ALL(1)) & ~quote) |
            ((backslash - JSON_SCAN_ALL(1)) & ~backslash)) &
           JSON_SCAN_ALL(0x80);
}

#if JSON_SCAN_SSE2
/* A bit for each special one of sixteen bytes. */
static inline unsigned json__special_bits(__m128i v)
{
    const __m128i control = _mm_set1_epi8(0x1f);
    __m128i hit =
        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
    return (unsigned)_mm_movemask_epi8(hit);
}
#endif

/* How many bytes from p on are not special. */
static inline size_t json__clean_len(const char *p, size_t len)
{
    size_t i = 0;
#if JSON_SCAN_SSE2
    for (; len - i >= 16; i += 16) {
        unsigned bits = json__special_bits(_mm_loadu_si128((const __m128i *)(const void *)(p + i)));
        if (bits)
            return i + (size_t)__builtin_ctz(bits);
    }
#endif
    for (; len - i >= 8; i += 8) {
        uint64_t v;
        memcpy(&v, p + i, sizeof(v));
        if (json__any_special(v))
            break;
    }
    while (i < len && !json__is_special(p[i]))
        i++;
    return i;
}
