/*
 * base/slice.h - Text and bytes as pointer and length. A slice owns nothing; zero bytes may occur.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data; /* may be NULL only when len is 0 */
    size_t len;
};

#define SLICE(literal) ((struct slice){ .data = (literal), .len = sizeof(literal) - 1 })
#define SLICE_INIT(literal)                                                                        \
    {                                                                                              \
        .data = (literal), .len = sizeof(literal) - 1                                              \
    }
#define SLICE_NULL ((struct slice){ .data = NULL, .len = 0 })
/* For printf: "%.*s" with SLICE_ARG(s). */
#define SLICE_ARG(s) ((int)(s).len), ((s).data ? (s).data : "")

static inline struct slice slice_of(const char *data, size_t len)
{
    return (struct slice){ .data = data, .len = len };
}

static inline struct slice slice_cstr(const char *text)
{
    return (struct slice){ .data = text, .len = text ? strlen(text) : 0 };
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

static inline bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.data + s.len - suffix.len, suffix.data, suffix.len) == 0);
}

/* The rest of `s` from `from` on; empty when `from` is past the end. */
static inline struct slice slice_from(struct slice s, size_t from)
{
    return from >= s.len ? (struct slice){ .data = s.data ? s.data + s.len : NULL, .len = 0 }
                         : (struct slice){ .data = s.data + from, .len = s.len - from };
}

/* At most the first `len` bytes. */
static inline struct slice slice_head(struct slice s, size_t len)
{
    return (struct slice){ .data = s.data, .len = len < s.len ? len : s.len };
}

/* ASCII case-insensitive equality: header names, schemes. */
bool slice_eq_nocase(struct slice a, struct slice b);

/* <0, 0, >0 by bytes, the shorter first. */
int slice_cmp(struct slice a, struct slice b);

/* Index of the first `c`, or SIZE_MAX. */
size_t slice_find(struct slice s, char c);

/* Index of the first occurrence of `needle`, or SIZE_MAX. */
size_t slice_find_slice(struct slice s, struct slice needle);

/* Without leading and trailing space and tab (RFC 9110 OWS). */
struct slice slice_trim(struct slice s);

/*
 * Take what stands before the next `sep` off the front of *rest; *rest becomes what follows it.
 * Returns false when *rest is exhausted (rest->data is NULL). "a,,b" gives "a", "", "b"; "" gives
 * one "".
 */
bool slice_split(struct slice *rest, char sep, struct slice *ret_part);

/*
 * Parse the whole of `s` as a decimal integer; an optional '-', no '+', no spaces, no empty text.
 * False when it is not one or does not fit; *ret is then untouched.
 */
bool slice_to_i64(struct slice s, int64_t *ret);

/* Parse the whole of `s` as a finite decimal number in JSON's grammar. Locale-independent. */
bool slice_to_double(struct slice s, double *ret);

/* The same, telling a number too large for a double from what is no number. */
enum slice_number { SLICE_NUMBER_OK, SLICE_NUMBER_MALFORMED, SLICE_NUMBER_RANGE };
enum slice_number slice_read_double(struct slice s, double *ret);

/* True when `s` is well-formed UTF-8 (RFC 3629: no overlongs, no surrogates). Zero bytes are
 * allowed. */
bool utf8_is_valid(struct slice s);

/* Bytes (1 to 4) of the well-formed UTF-8 sequence `s` starts with; 0 when it is malformed or `s`
 * is empty. */
size_t utf8_sequence(struct slice s);

/* Number of code points in valid UTF-8. */
size_t utf8_count(struct slice s);

/* A NUL-terminated copy on the heap, for what lives as long as the process; NULL without memory. */
char *slice_dup(struct slice s);

/*
 * Edit distance of two short names, for "did you mean"; names longer than 63 bytes give a large
 * number.
 */
unsigned slice_distance(struct slice a, struct slice b);

/* FNV-free, fast, stable 64-bit hash (same value on every machine and run): ETags, caches, tables
 * of trusted keys. Not for keys an attacker chooses unless `seed` is secret. */
uint64_t hash64(struct slice s, uint64_t seed);
