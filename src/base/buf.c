#include "base/buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/digits.h"
#include "base/macros.h"
#include "base/memory.h"

#define FIRST_BYTES ((size_t)128)

/* What an empty buffer points at: there, adding nothing to a pointer is not undefined. Never
 * written. */
static char nothing[1];

static char *resize(struct buf *b, size_t cap)
{
    char *old = b->cap ? b->data : NULL;
    char *data = b->arena ? arena_realloc(b->arena, old, b->cap, cap) : memory__realloc(old, cap);
    if (data) {
        b->data = data;
        b->cap = cap;
    }
    return data;
}

void buf_init(struct buf *b, struct arena *arena, size_t reserve, size_t max)
{
    *b = (struct buf){ .data = nothing, .arena = arena, .max = max, .status = STATUS_OK };
    reserve = MIN(reserve, max);
    if (reserve && !resize(b, reserve))
        b->status = STATUS_EXHAUSTED;
}

void buf_fini(struct buf *b)
{
    if (!b->arena && b->cap)
        free(b->data);
    b->data = nothing;
    b->len = b->cap = 0;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->status = STATUS_OK;
}

char *buf_reserve_slow(struct buf *b, size_t n)
{
    if (b->status != STATUS_OK)
        return NULL;
    if (n > b->max - b->len) {
        b->status = STATUS_TOO_LARGE;
        return NULL;
    }
    size_t exact = b->len + n;
    size_t roomy = b->cap > b->max / 2 ? b->max : b->cap * 2;
    roomy = MIN(MAX(MAX(roomy, exact), FIRST_BYTES), b->max);
    /* Near the end of a budget what is needed may fit where doubling does not. */
    if (!resize(b, roomy) && !resize(b, exact)) {
        b->status = STATUS_EXHAUSTED;
        return NULL;
    }
    return b->data + b->len;
}

void buf_put_cstr(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

const char digits__pairs[200] = "00010203040506070809"
                                "10111213141516171819"
                                "20212223242526272829"
                                "30313233343536373839"
                                "40414243444546474849"
                                "50515253545556575859"
                                "60616263646566676869"
                                "70717273747576777879"
                                "80818283848586878889"
                                "90919293949596979899";

static unsigned count_digits(uint64_t v)
{
    static const uint64_t powers[] = {
        UINT64_C(0),
        UINT64_C(10),
        UINT64_C(100),
        UINT64_C(1000),
        UINT64_C(10000),
        UINT64_C(100000),
        UINT64_C(1000000),
        UINT64_C(10000000),
        UINT64_C(100000000),
        UINT64_C(1000000000),
        UINT64_C(10000000000),
        UINT64_C(100000000000),
        UINT64_C(1000000000000),
        UINT64_C(10000000000000),
        UINT64_C(100000000000000),
        UINT64_C(1000000000000000),
        UINT64_C(10000000000000000),
        UINT64_C(100000000000000000),
        UINT64_C(1000000000000000000),
        UINT64_C(10000000000000000000),
    };
    /* 1233 / 4096 is the logarithm of 2 to the base of 10, near enough for 64 bits; one too few
     * where the power is reached. */
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
    unsigned n = bits * 1233 >> 12;
    return n + (v >= powers[n]);
}

static void write_digits(char *end, uint64_t v)
{
    while (v >= 100) {
        end -= 2;
        digits__put2(end, (unsigned)(v % 100));
        v /= 100;
    }
    if (v >= 10)
        digits__put2(end - 2, (unsigned)v);
    else
        end[-1] = (char)('0' + v);
}

void buf_put_u64(struct buf *b, uint64_t value)
{
    unsigned n = count_digits(value);
    char *p = buf_reserve(b, n);
    if (!p)
        return;
    write_digits(p + n, value);
    b->len += n;
}

void buf_put_i64(struct buf *b, int64_t value)
{
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    unsigned n = count_digits(magnitude);
    unsigned sign = value < 0;
    char *p = buf_reserve(b, n + sign);
    if (!p)
        return;
    *p = '-';
    write_digits(p + sign + n, magnitude);
    b->len += n + sign;
}

/*
 * Numbers people write (prices, ratings, coordinates) have few decimals: find the fewest that give
 * the number back. m / 10^k is correctly rounded since both are exact, hence it is what any reader
 * will get from the text.
 */
static bool put_few_decimals(struct buf *b, double value)
{
    static const double powers[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8 };
    double magnitude = fabs(value);
    if (magnitude >= 1e7 || magnitude < 1e-3)
        return false;
    for (unsigned k = 1; k < ARRAY_LEN(powers); k++) {
        double m = (double)(int64_t)(magnitude * powers[k] + 0.5);
        if (m / powers[k] != magnitude)
            continue;
        char text[24];
        uint64_t scaled = (uint64_t)m;
        uint64_t unit = (uint64_t)powers[k];
        char *end = text + sizeof(text);
        char *p = end - k;
        /* The fraction with its leading zeros: a one in front, overwritten by the point. */
        write_digits(end, unit + scaled % unit);
        *--p = '.';
        unsigned n = count_digits(scaled / unit);
        write_digits(p, scaled / unit);
        p -= n;
        if (value < 0)
            *--p = '-';
        buf_put(b, p, (size_t)(end - p));
        return true;
    }
    return false;
}

/* Whatever the locale uses for a decimal point (some are several bytes) becomes one '.'. */
static size_t normalise_point(char *text, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == 'e')
            text[out++] = c;
        else if (out == 0 || text[out - 1] != '.')
            text[out++] = '.';
    }
    return out;
}

void buf_put_double(struct buf *b, double value)
{
    if (!isfinite(value)) {
        buf_put_lit(b, "null");
        return;
    }
    if (fabs(value) < 9007199254740992.0 && value == (double)(int64_t)value) {
        if (value == 0 && signbit(value))
            buf_putc(b, '-');
        buf_put_i64(b, (int64_t)value);
        return;
    }
    if (put_few_decimals(b, value))
        return;
    char text[40];
    size_t len = 0;
    for (int precision = 15; precision <= 17; precision++) {
        len = (size_t)snprintf(text, sizeof(text), "%.*g", precision, value);
        len = normalise_point(text, len);
        double back;
        if (slice_to_double(slice_of(text, len), &back) && back == value)
            break;
    }
    buf_put(b, text, len);
}

static const char hex_digits[] = "0123456789abcdef";

void buf_put_hex(struct buf *b, const void *data, size_t len)
{
    if (len > SIZE_MAX / 2) {
        b->status = b->status == STATUS_OK ? STATUS_TOO_LARGE : b->status;
        return;
    }
    char *p = buf_reserve(b, len * 2);
    if (!p)
        return;
    const unsigned char *in = data;
    for (size_t i = 0; i < len; i++) {
        *p++ = hex_digits[in[i] >> 4];
        *p++ = hex_digits[in[i] & 15];
    }
    b->len += len * 2;
}

void buf_put_base64url(struct buf *b, const void *data, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if (len > SIZE_MAX / 2) {
        b->status = b->status == STATUS_OK ? STATUS_TOO_LARGE : b->status;
        return;
    }
    size_t text_len = len / 3 * 4 + (len % 3 * 4 + 2) / 3;
    char *p = buf_reserve(b, text_len);
    if (!p)
        return;
    const unsigned char *in = data;
    size_t i = 0;
    for (; len - i >= 3; i += 3) {
        uint32_t bits = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        *p++ = alphabet[bits >> 18];
        *p++ = alphabet[bits >> 12 & 63];
        *p++ = alphabet[bits >> 6 & 63];
        *p++ = alphabet[bits & 63];
    }
    if (i < len) {
        bool is_pair = len - i == 2;
        uint32_t bits = (uint32_t)in[i] << 16 | (is_pair ? (uint32_t)in[i + 1] << 8 : 0);
        *p++ = alphabet[bits >> 18];
        *p++ = alphabet[bits >> 12 & 63];
        if (is_pair)
            *p = alphabet[bits >> 6 & 63];
    }
    b->len += text_len;
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    char local[256];
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(local, sizeof(local), format, args);
    if (n >= 0 && (size_t)n < sizeof(local)) {
        buf_put(b, local, (size_t)n);
    } else if (n >= 0) {
        /* One byte more than the text: vsnprintf ends it with a zero. */
        char *p = buf_reserve(b, (size_t)n + 1);
        if (p) {
            (void)vsnprintf(p, (size_t)n + 1, format, again);
            b->len += (size_t)n;
        }
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void buf_put_percent(struct buf *b, struct slice s)
{
    static const char upper_hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (is_unreserved(c)) {
            buf_putc(b, (char)c);
        } else {
            const char escaped[3] = { '%', upper_hex[c >> 4], upper_hex[c & 15] };
            buf_put(b, escaped, sizeof(escaped));
        }
    }
}
