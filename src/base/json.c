#include "base/json.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "base/macros.h"

/* Copy up to the first byte that needs an escape; how many. `to` has room for all of it. */
static size_t copy_clean(char *to, const char *from, size_t len)
{
    size_t i = 0;
#if JSON_SCAN_SSE2
    for (; len - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(from + i));
        unsigned bits = json__special_bits(v);
        /* Storing all sixteen is within the room, whatever part of them counts. */
        _mm_storeu_si128((__m128i *)(void *)(to + i), v);
        if (bits)
            return i + (size_t)__builtin_ctz(bits);
    }
    if (i && i < len) {
        /* What is left, with some before it that is known to be clean. */
        size_t last = len - 16;
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(from + last));
        unsigned bits = json__special_bits(v);
        _mm_storeu_si128((__m128i *)(void *)(to + last), v);
        return bits ? last + (size_t)__builtin_ctz(bits) : len;
    }
#endif
    if (len - i >= 8) {
        /* The rest is shorter than two words: they may overlap. */
        size_t last = len - 8;
        uint64_t v, w;
        memcpy(&v, from + i, sizeof(v));
        memcpy(&w, from + last, sizeof(w));
        if (len - i <= 16 && !json__any_special(v) && !json__any_special(w)) {
            memcpy(to + i, &v, sizeof(v));
            memcpy(to + last, &w, sizeof(w));
            return len;
        }
    }
    for (; i < len && !json__is_special(from[i]); i++)
        to[i] = from[i];
    return i;
}

/* The escape of c at p, where there is room for six; its length. */
static inline size_t write_escape(char *p, char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorthand[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };
    unsigned char u = (unsigned char)c;
    p[0] = '\\';
    p[1] = u >= 0x20 ? c : shorthand[u];
    if (p[1])
        return 2;
    memcpy(p + 1, "u00", 3);
    p[4] = hex[u >> 4];
    p[5] = hex[u & 15];
    return 6;
}

static __attribute__((noinline)) void put_rest_escaped(struct buf *b, struct slice s)
{
    size_t i = 0;
    while (i < s.len) {
        char escape[6];
        size_t n = write_escape(escape, s.data[i++]);
        char *p = buf_reserve(b, n + s.len - i + 1);
        if (!p)
            return;
        memcpy(p, escape, n);
        size_t clean = copy_clean(p + n, s.data + i, s.len - i);
        b->len += n + clean;
        i += clean;
    }
    buf_putc(b, '"');
}

void json_put_string(struct buf *b, struct slice s)
{
    char *p = buf_reserve(b, s.len + 2);
    if (!p)
        return;
    *p++ = '"';
    size_t clean = copy_clean(p, s.data, s.len);
    if (LIKELY(clean == s.len)) {
        p[clean] = '"';
        b->len += clean + 2;
        return;
    }
    b->len += clean + 1;
    put_rest_escaped(b, slice_from(s, clean));
}

/* A real stays one when read back: it gets a fraction if its digits have neither that nor an
 * exponent. */
static void put_real(struct buf *b, double value)
{
    size_t before = b->len;
    buf_put_double(b, value);
    if (b->status != STATUS_OK)
        return;
    struct slice text = slice_from(buf_slice(b), before);
    if (slice_find(text, '.') == SIZE_MAX && slice_find(text, 'e') == SIZE_MAX &&
        !slice_eq(text, SLICE("null")))
        buf_put_lit(b, ".0");
}

static void put_value(struct buf *b, const json_t *value, unsigned depth);

static void put_array(struct buf *b, const json_t *array, unsigned depth)
{
    buf_putc(b, '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i)
            buf_putc(b, ',');
        put_value(b, json_array_get(array, i), depth + 1);
    }
    buf_putc(b, ']');
}

static void put_object(struct buf *b, const json_t *object, unsigned depth)
{
    /* jansson iterates without changing anything, but declares it so. */
    json_t *o = (json_t *)(uintptr_t)object;
    buf_putc(b, '{');
    bool first = true;
    for (void *at = json_object_iter(o); at; at = json_object_iter_next(o, at)) {
        if (!first)
            buf_putc(b, ',');
        first = false;
        json_put_string(b, slice_of(json_object_iter_key(at), json_object_iter_key_len(at)));
        buf_putc(b, ':');
        put_value(b, json_object_iter_value(at), depth + 1);
    }
    buf_putc(b, '}');
}

static void put_value(struct buf *b, const json_t *value, unsigned depth)
{
    if (depth > JSON_DEPTH_MAX) {
        /* Nothing json_read gives is this deep, and what is built by hand has no reason to be. */
        b->status = b->status == STATUS_OK ? STATUS_INVALID : b->status;
        return;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_object(b, value, depth);
        break;
    case JSON_ARRAY:
        put_array(b, value, depth);
        break;
    case JSON_STRING:
        json_put_string(b, json_slice(value));
        break;
    case JSON_INTEGER:
        buf_put_i64(b, json_integer_value(value));
        break;
    case JSON_REAL:
        put_real(b, json_real_value(value));
        break;
    case JSON_TRUE:
        buf_put_lit(b, "true");
        break;
    case JSON_FALSE:
        buf_put_lit(b, "false");
        break;
    case JSON_NULL:
    default:
        buf_put_lit(b, "null");
        break;
    }
}

void json_put_value(struct buf *b, const json_t *value)
{
    put_value(b, value, 0);
}

/* The comma before an item when it is not the first of its array or object; none between key and
 * value. */
static void begin_item(struct json_out *o)
{
    if (o->after_key) {
        o->after_key = false;
        return;
    }
    uint64_t bit = (uint64_t)1 << o->depth;
    if (o->has_items & bit)
        buf_putc(o->buf, ',');
    o->has_items |= bit;
}

static void open_level(struct json_out *o, bool is_object)
{
    begin_item(o);
    assert(o->depth < 63);
    o->depth++;
    uint64_t bit = (uint64_t)1 << o->depth;
    o->has_items &= ~bit;
    o->is_object = is_object ? o->is_object | bit : o->is_object & ~bit;
    buf_putc(o->buf, is_object ? '{' : '[');
}

void json_out_object(struct json_out *o)
{
    open_level(o, true);
}

void json_out_array(struct json_out *o)
{
    open_level(o, false);
}

void json_out_end(struct json_out *o)
{
    assert(o->depth > 0 && !o->after_key);
    bool is_object = o->is_object >> o->depth & 1;
    buf_putc(o->buf, is_object ? '}' : ']');
    o->depth--;
}

void json_out_key(struct json_out *o, struct slice key)
{
    begin_item(o);
    json_put_string(o->buf, key);
    buf_putc(o->buf, ':');
    o->after_key = true;
}

void json_out_string(struct json_out *o, struct slice value)
{
    begin_item(o);
    json_put_string(o->buf, value);
}

void json_out_cstr(struct json_out *o, const char *value)
{
    if (value)
        json_out_string(o, slice_cstr(value));
    else
        json_out_null(o);
}

void json_out_i64(struct json_out *o, int64_t value)
{
    begin_item(o);
    buf_put_i64(o->buf, value);
}

void json_out_double(struct json_out *o, double value)
{
    begin_item(o);
    buf_put_double(o->buf, value);
}

void json_out_bool(struct json_out *o, bool value)
{
    json_out_raw(o, value ? SLICE("true") : SLICE("false"));
}

void json_out_null(struct json_out *o)
{
    json_out_raw(o, SLICE("null"));
}

void json_out_time(struct json_out *o, int64_t wall_us)
{
    begin_item(o);
    char *p = buf_reserve(o->buf, CLOCK_RFC3339_LEN + 2);
    if (!p)
        return;
    p[0] = '"';
    clock_format_rfc3339(wall_us, p + 1);
    p[CLOCK_RFC3339_LEN + 1] = '"';
    o->buf->len += CLOCK_RFC3339_LEN + 2;
}

void json_out_value(struct json_out *o, const json_t *value)
{
    begin_item(o);
    json_put_value(o->buf, value);
}

void json_out_raw(struct json_out *o, struct slice json)
{
    begin_item(o);
    buf_put_slice(o->buf, json);
}

void json_out_kv(struct json_out *o, const char *key, const char *value)
{
    json_out_key(o, slice_cstr(key));
    json_out_cstr(o, value);
}

void json_out_ki(struct json_out *o, const char *key, int64_t value)
{
    json_out_key(o, slice_cstr(key));
    json_out_i64(o, value);
}
