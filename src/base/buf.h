/*
 * base/buf.h - Growing text with a maximum. A builder: it remembers its first failure, so ten
 * appends need one check at the end (buf_status). Lives in an arena (or on the heap when made with
 * arena NULL).
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;

struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;          /* len never exceeds it; beyond it the status becomes TOO_LARGE */
    struct arena *arena; /* NULL: heap, released by buf_fini */
    enum status status;  /* the first failure; later appends do nothing */
};

/* Start an empty buffer. `reserve` bytes are allocated at once (0: at the first append). */
void buf_init(struct buf *b, struct arena *arena, size_t reserve, size_t max);
/* Release a heap buffer (nothing to do for an arena one, but allowed). */
void buf_fini(struct buf *b);
static inline void buf_finip(struct buf *b)
{
    buf_fini(b);
}
/* Empty it, keep the memory, forget the failure. */
void buf_clear(struct buf *b);

/* Make room for `n` more bytes and return where they go, or NULL (and remember why). */
char *buf_reserve_slow(struct buf *b, size_t n);
static inline char *buf_reserve(struct buf *b, size_t n)
{
    if (__builtin_expect(b->status == STATUS_OK && b->cap - b->len >= n, 1))
        return b->data + b->len;
    return buf_reserve_slow(b, n);
}

static inline void buf_put(struct buf *b, const void *data, size_t len)
{
    char *p = buf_reserve(b, len);
    if (p && len) {
        memcpy(p, data, len);
        b->len += len;
    }
}
static inline void buf_putc(struct buf *b, char c)
{
    char *p = buf_reserve(b, 1);
    if (p) {
        *p = c;
        b->len++;
    }
}
static inline void buf_put_slice(struct buf *b, struct slice s)
{
    buf_put(b, s.data, s.len);
}
#define buf_put_lit(b, literal) buf_put((b), (literal), sizeof(literal) - 1)
void buf_put_cstr(struct buf *b, const char *text);
void buf_put_i64(struct buf *b, int64_t value);
void buf_put_u64(struct buf *b, uint64_t value);
/* Shortest form that reads back the same; "null" for what JSON cannot hold. Locale-independent. */
void buf_put_double(struct buf *b, double value);
void buf_put_hex(struct buf *b, const void *data, size_t len);
/* RFC 4648 section 5, without padding. By table, so not for secrets whose bytes the time of a cache
 * miss must not tell: libsodium has that. */
void buf_put_base64url(struct buf *b, const void *data, size_t len);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* Percent-encode everything outside RFC 3986 unreserved. */
void buf_put_percent(struct buf *b, struct slice s);

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){ .data = b->data, .len = b->len };
}
static inline enum status buf_status(const struct buf *b)
{
    return b->status;
}
