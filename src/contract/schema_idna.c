/*
 * Labels that are not ASCII: which code points RFC 5892 lets in, alone or in what context, and
 * Punycode (RFC 3492), which an A-label is written in. The letters' categories are PCRE2's. Left
 * out: Bidi (RFC 5893), and that a label be in NFC; of the code points that are unstable under NFKC
 * only whole blocks of compatibility forms are known.
 */
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "contract/pattern.h"
#include "contract/schema_private.h"

#define LABEL_CODES_MAX 63u

struct code_range {
    uint32_t first, last;
};

static bool is_within(uint32_t code, const struct code_range *ranges, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}
#define IS_WITHIN(code, ranges) is_within((code), (ranges), ARRAY_LEN(ranges))

/* -- Punycode
 * --------------------------------------------------------------------------------------------------------
 */

enum { BASE = 36, TMIN = 1, TMAX = 26, SKEW = 38, DAMP = 700, FIRST_BIAS = 72, FIRST_CODE = 128 };

static uint32_t adapt(uint32_t delta, uint32_t points, bool first)
{
    uint32_t k = 0;
    delta = first ? delta / DAMP : delta / 2;
    delta += delta / points;
    for (; delta > ((BASE - TMIN) * TMAX) / 2; k += BASE)
        delta /= BASE - TMIN;
    return k + (BASE - TMIN + 1) * delta / (delta + SKEW);
}

static uint32_t threshold(uint32_t k, uint32_t bias)
{
    return k <= bias ? TMIN : k >= bias + TMAX ? TMAX : k - bias;
}

static uint32_t digit_of(char c)
{
    return schema__is_digit(c)   ? (uint32_t)(c - '0') + 26
           : schema__is_alpha(c) ? (uint32_t)((c | 32) - 'a')
                                 : BASE;
}

/* The delta at *at of `s`; false when it ends too soon or overflows. */
static bool read_delta(struct slice s, size_t *at, uint32_t bias, uint32_t *i)
{
    uint32_t weight = 1;
    for (uint32_t k = BASE;; k += BASE) {
        uint32_t digit = *at < s.len ? digit_of(s.data[(*at)++]) : BASE, add,
                 t = threshold(k, bias);
        if (digit >= BASE || __builtin_mul_overflow(digit, weight, &add) ||
            __builtin_add_overflow(*i, add, i))
            return false;
        if (digit < t)
            return true;
        if (__builtin_mul_overflow(weight, (uint32_t)BASE - t, &weight))
            return false;
    }
}

/* Without its "xn--". */
static bool decode(struct slice s, uint32_t codes[LABEL_CODES_MAX], size_t *ret_len)
{
    uint32_t n = FIRST_CODE, bias = FIRST_BIAS, i = 0;
    size_t len = 0, at = 0;
    for (size_t k = 0; k < s.len; k++)
        if (s.data[k] == '-')
            len = k;
    for (size_t k = 0; k < len; k++)
        codes[k] = (unsigned char)s.data[k];
    at = len ? len + 1 : 0;
    while (at < s.len) {
        uint32_t before = i, points = (uint32_t)len + 1;
        if (!read_delta(s, &at, bias, &i) || points > LABEL_CODES_MAX)
            return false;
        bias = adapt(i - before, points, before == 0);
        if (__builtin_add_overflow(n, i / points, &n) || n > 0x10ffff ||
            (n >= 0xd800 && n <= 0xdfff))
            return false;
        i %= points;
        memmove(codes + i + 1, codes + i, (len - i) * sizeof(*codes));
        codes[i++] = n;
        len++;
    }
    *ret_len = len;
    return true;
}

/* How many digits a delta takes. */
static size_t delta_digits(uint32_t delta, uint32_t bias)
{
    size_t digits = 1;
    for (uint32_t k = BASE, t; delta >= (t = threshold(k, bias)); k += BASE, digits++)
        delta = (delta - t) / (BASE - t);
    return digits;
}

/* How long the label is in ASCII, with its "xn--". */
static size_t encoded_len(const uint32_t *codes, size_t len)
{
    uint32_t n = FIRST_CODE, bias = FIRST_BIAS, delta = 0;
    size_t basic = 0, out;
    for (size_t i = 0; i < len; i++)
        basic += codes[i] < FIRST_CODE;
    out = 4 + basic + (basic > 0);
    for (size_t done = basic; done < len; n++, delta++) {
        uint32_t next = UINT32_MAX;
        for (size_t i = 0; i < len; i++)
            if (codes[i] >= n && codes[i] < next)
                next = codes[i];
        delta += (next - n) * ((uint32_t)done + 1); /* 63 * 0x10ffff fits */
        n = next;
        for (size_t i = 0; i < len; i++) {
            delta += codes[i] < n;
            if (codes[i] != n)
                continue;
            out += delta_digits(delta, bias);
            bias = adapt(delta, (uint32_t)done + 1, done == basic);
            delta = 0;
            done++;
        }
    }
    return out;
}

/* -- what a label may hold
 * ------------------------------------------------------------------------------------------- */

/* PVALID by category, the exceptions of RFC 5892 section 2.6, and what a context may allow; never a
 * mark in front. */
static const char allowed_pattern[] =
    "^(?!\\p{M})[-0-9a-z\\p{Ll}\\p{Lo}\\p{Lm}\\p{Mn}\\p{Mc}\\p{Nd}"
    "\\u00B7\\u00DF\\u0375\\u03C2\\u05F3\\u05F4\\u06FD\\u06FE\\u0F0B\\u200C\\u200D\\u3007\\u30FB]+"
    "$";

/* DISALLOWED although their category is good: RFC 5892 section 2.6, old Hangul, and blocks that
 * NFKC replaces. */
static const struct code_range disallowed[] = {
    { 0x640, 0x640 },   { 0x7fa, 0x7fa },     { 0x302e, 0x302f },   { 0x3031, 0x3035 },
    { 0x303b, 0x303b }, { 0xaa, 0xaa },       { 0xb5, 0xb5 },       { 0xba, 0xba },
    { 0x1100, 0x11ff }, { 0x1d2c, 0x1d6a },   { 0x2071, 0x209c },   { 0x2100, 0x214f },
    { 0x309f, 0x309f }, { 0x30ff, 0x30ff },   { 0x3131, 0x318e },   { 0xa960, 0xa97c },
    { 0xd7b0, 0xd7fb }, { 0xf900, 0xfaff },   { 0xfb00, 0xfdff },   { 0xfe70, 0xfefc },
    { 0xff00, 0xffef }, { 0x1d400, 0x1d7ff }, { 0x1ee00, 0x1eeff }, { 0x2f800, 0x2fa1f },
};

static const struct code_range viramas[] = {
    { 0x94d, 0x94d },     { 0x9cd, 0x9cd },     { 0xa4d, 0xa4d },     { 0xacd, 0xacd },
    { 0xb4d, 0xb4d },     { 0xbcd, 0xbcd },     { 0xc4d, 0xc4d },     { 0xccd, 0xccd },
    { 0xd3b, 0xd3c },     { 0xd4d, 0xd4d },     { 0xdca, 0xdca },     { 0xe3a, 0xe3a },
    { 0xeba, 0xeba },     { 0xf84, 0xf84 },     { 0x1039, 0x103a },   { 0x1714, 0x1715 },
    { 0x1734, 0x1734 },   { 0x17d2, 0x17d2 },   { 0x1a60, 0x1a60 },   { 0x1b44, 0x1b44 },
    { 0x1baa, 0x1bab },   { 0x1bf2, 0x1bf3 },   { 0x2d7f, 0x2d7f },   { 0xa806, 0xa806 },
    { 0xa82c, 0xa82c },   { 0xa8c4, 0xa8c4 },   { 0xa953, 0xa953 },   { 0xa9c0, 0xa9c0 },
    { 0xaaf6, 0xaaf6 },   { 0xabed, 0xabed },   { 0x10a3f, 0x10a3f }, { 0x11046, 0x11046 },
    { 0x1107f, 0x1107f }, { 0x110b9, 0x110b9 }, { 0x11133, 0x11134 },
};

/* Scripts whose letters join, as far as ZERO WIDTH NON-JOINER is used in them: Arabic, Syriac,
 * N'Ko, Mongolian. */
static const struct code_range joining[] = {
    { 0x620, 0x63f }, { 0x641, 0x64a }, { 0x66e, 0x6d3 }, { 0x6ee, 0x6ff },   { 0x710, 0x74f },
    { 0x750, 0x77f }, { 0x7ca, 0x7ea }, { 0x8a0, 0x8c9 }, { 0x1820, 0x18aa },
};
static const struct code_range greek[] = { { 0x370, 0x3ff }, { 0x1f00, 0x1fff } };
static const struct code_range hebrew[] = { { 0x591, 0x5f4 } };
static const struct code_range kana_and_han[] = {
    { 0x3005, 0x3005 }, { 0x3007, 0x3007 }, { 0x3041, 0x309f },   { 0x30a1, 0x30fa },
    { 0x30fc, 0x30ff }, { 0x31f0, 0x31ff }, { 0x3400, 0x4dbf },   { 0x4e00, 0x9fff },
    { 0xf900, 0xfaff }, { 0xff66, 0xff9d }, { 0x1b000, 0x1b16f }, { 0x20000, 0x323af },
};
static const struct code_range arabic_digits[] = { { 0x660, 0x669 } };
static const struct code_range extended_arabic_digits[] = { { 0x6f0, 0x6f9 } };

static bool has_any(const uint32_t *codes, size_t len, const struct code_range *ranges,
                    size_t ranges_len)
{
    for (size_t i = 0; i < len; i++)
        if (is_within(codes[i], ranges, ranges_len))
            return true;
    return false;
}

/* RFC 5892, appendix A. */
static bool context_allows(const uint32_t *codes, size_t len, size_t i)
{
    uint32_t before = i ? codes[i - 1] : 0, after = i + 1 < len ? codes[i + 1] : 0;
    switch (codes[i]) {
    case 0x200c: /* ZERO WIDTH NON-JOINER */
        return IS_WITHIN(before, viramas) ||
               (IS_WITHIN(before, joining) && IS_WITHIN(after, joining));
    case 0x200d: /* ZERO WIDTH JOINER */
        return IS_WITHIN(before, viramas);
    case 0xb7: /* MIDDLE DOT, of Catalan */
        return before == 'l' && after == 'l';
    case 0x375: /* GREEK LOWER NUMERAL SIGN */
        return IS_WITHIN(after, greek);
    case 0x5f3: /* HEBREW PUNCTUATION GERESH, GERSHAYIM */
    case 0x5f4:
        return IS_WITHIN(before, hebrew);
    case 0x30fb: /* KATAKANA MIDDLE DOT */
        return has_any(codes, len, kana_and_han, ARRAY_LEN(kana_and_han));
    default:
        return !IS_WITHIN(codes[i], arabic_digits) ||
               !has_any(codes, len, extended_arabic_digits, ARRAY_LEN(extended_arabic_digits));
    }
}

static bool has_allowed_letters(struct slice label)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, (size_t)1 << 18);
    struct contract_pattern *pattern = NULL;
    struct contract_pattern_error error;
    if (contract_pattern_compile(SLICE(allowed_pattern), arena, &pattern, &error) != STATUS_OK)
        return false;
    bool ok = contract_pattern_match(pattern, label);
    contract_pattern_free(pattern);
    return ok;
}

static bool is_label(struct slice text, const uint32_t *codes, size_t len)
{
    if (!len || codes[0] == '-' || codes[len - 1] == '-' ||
        (len >= 4 && codes[2] == '-' && codes[3] == '-'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (IS_WITHIN(codes[i], disallowed) || !context_allows(codes, len, i))
            return false;
    return has_allowed_letters(text);
}

bool schema__is_u_label(struct slice label, size_t *ret_len)
{
    uint32_t codes[LABEL_CODES_MAX];
    size_t len = 0;
    for (size_t at = 0; at < label.len; len++) {
        if (len == LABEL_CODES_MAX)
            return false;
        codes[len] = schema__code_point(label, &at);
    }
    *ret_len = encoded_len(codes, len);
    return *ret_len <= LABEL_CODES_MAX && is_label(label, codes, len);
}

static size_t put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00 >> len & 0xff) | code);
    return len;
}

bool schema__is_a_label(struct slice label)
{
    uint32_t codes[LABEL_CODES_MAX];
    char text[LABEL_CODES_MAX * 4];
    size_t len, bytes = 0;
    bool is_ascii = true;
    if (!slice_eq_nocase(slice_head(label, 4), SLICE("xn--")) ||
        !decode(slice_from(label, 4), codes, &len))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (codes[i] >= 'A' && codes[i] <= 'Z')
            codes[i] |= 32;
        is_ascii &= codes[i] < 0x80;
        bytes += put_utf8(text + bytes, codes[i]);
    }
    return !is_ascii && encoded_len(codes, len) == label.len &&
           is_label(slice_of(text, bytes), codes, len);
}
