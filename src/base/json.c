/*
 * Reading is jansson's; three things are put around it. Its allocator is replaced once for the
 * process by one that takes from the arena of the json_read running on this thread, and from the
 * heap outside of one: a parsed tree needs no freeing and no reference counting, and others who use
 * jansson notice nothing. Its recursion is bounded before it starts by a scan for the deepest
 * nesting, as fibers have small stacks. And its complaints are put into words that mean something
 * to the person who sent the text.
 */
#include "base/json.h"

#include <assert.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"

#define DEPTH_MAX 64u

/* Where jansson allocates on this thread; NULL: the heap. Reading never suspends, so fibers cannot
 * mix theirs up. */
static __thread struct {
    struct arena *arena;
    jmp_buf *on_exhausted; /* where json_read goes on when the budget is spent */
} reading;

static void *take_memory(size_t size)
{
    if (!reading.arena)
        return malloc(size);
    void *p = arena_alloc(reading.arena, size);
    /* jansson 2.14 does not survive every allocation that fails. Nothing is lost by leaving it at
     * once: all it took is the arena's. */
    if (!p && reading.on_exhausted)
        _longjmp(*reading.on_exhausted, 1);
    return p;
}

static void give_memory(void *ptr)
{
    /* All that jansson frees while it reads, it took while it reads: the arena frees that whole. */
    if (!reading.arena)
        free(ptr);
}

static void set_up_jansson(void)
{
    json_set_alloc_funcs(take_memory, give_memory);
    json_object_seed(0); /* at random: keys are chosen by whoever sends the text */
}

static void set_up_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, set_up_jansson);
}

struct arena *json_arena_set(struct arena *arena)
{
    set_up_once();
    struct arena *before = reading.arena;
    reading.arena = arena;
    return before;
}

/* The index of the next quote or backslash from i on, or len: skips what a string mostly consists
 * of. */
static size_t skip_in_string(const char *p, size_t i, size_t len)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    for (; len - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
        int mask = _mm_movemask_epi8(hit);
        if (mask)
            return i + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    while (i < len && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

/* Where nesting first exceeds depth_max, or SIZE_MAX. Needs no valid JSON: it only counts what
 * jansson could. */
static size_t find_too_deep(struct slice text, unsigned depth_max)
{
    const char *p = text.data;
    unsigned depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        switch (p[i]) {
        case '[':
        case '{':
            if (++depth > depth_max)
                return i;
            break;
        case ']':
        case '}':
            depth -= depth > 0;
            break;
        case '"':
            for (i = skip_in_string(p, i + 1, text.len); i < text.len && p[i] == '\\';)
                i = skip_in_string(p, MIN(i + 2, text.len), text.len);
            break;
        default:
            break;
        }
    }
    return SIZE_MAX;
}

static enum status complain(struct json_error_at *ret_error, enum status st, struct slice text,
                            size_t offset, const char *reason)
{
    if (!ret_error)
        return st;
    struct json_error_at at = { .offset = MIN(offset, text.len), .line = 1, .column = 1 };
    for (size_t i = 0; i < at.offset; i++) {
        bool starts_character = ((unsigned char)text.data[i] & 0xc0) != 0x80;
        at.column += starts_character;
        if (text.data[i] == '\n') {
            at.line++;
            at.column = 1;
        }
    }
    (void)snprintf(at.reason, sizeof(at.reason), "%s", reason);
    *ret_error = at;
    return st;
}

/* jansson's words where they are plain, without the quotation of what was sent; else our own. */
static void explain(const json_error_t *error, char *reason, size_t size)
{
    switch (json_error_code(error)) {
    case json_error_premature_end_of_input:
        (void)snprintf(reason, size, "the text ends before the value is complete");
        return;
    case json_error_end_of_input_expected:
        (void)snprintf(reason, size, "something follows the end of the value");
        return;
    case json_error_invalid_utf8:
        (void)snprintf(reason, size, "the text is not valid UTF-8");
        return;
    case json_error_duplicate_key:
        (void)snprintf(reason, size, "an object has the same key twice");
        return;
    case json_error_numeric_overflow:
        (void)snprintf(reason, size, "a number is out of range");
        return;
    case json_error_null_byte_in_key:
        (void)snprintf(reason, size, "a key contains a zero character");
        return;
    default:
        break;
    }
    const char *near = strstr(error->text, " near ");
    size_t len = near ? (size_t)(near - error->text) : strlen(error->text);
    (void)snprintf(reason, size, "%.*s", (int)len, error->text);
}

/* False when the arena's budget is spent; else *ret_value is the tree, or NULL and the error says
 * why. */
static bool load(struct arena *arena, struct slice text, json_t **ret_value, json_error_t *error)
{
    jmp_buf exhausted;
    struct arena *outer = json_arena_set(arena);
    reading.on_exhausted = &exhausted;
    bool fitted = _setjmp(exhausted) == 0;
    if (fitted)
        *ret_value = json_loadb(text.data, text.len,
                                JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, error);
    reading.on_exhausted = NULL;
    (void)json_arena_set(outer);
    return fitted;
}

enum status json_read(struct arena *arena, struct slice text, struct json_limits limits,
                      json_t **ret_value, struct json_error_at *ret_error)
{
    if (text.len > limits.bytes_max)
        return complain(ret_error, STATUS_TOO_LARGE, text, 0, "the text is too long");
    if (text.len == 0)
        return complain(ret_error, STATUS_INVALID, text, 0, "the text is empty");
    size_t deep = find_too_deep(text, MIN(limits.depth_max, DEPTH_MAX));
    if (deep != SIZE_MAX)
        return complain(ret_error, STATUS_TOO_LARGE, text, deep, "nested too deeply");

    struct arena_mark before = arena_mark(arena);
    json_error_t error;
    json_t *value;
    if (!load(arena, text, &value, &error)) {
        arena_rewind(arena, before);
        return complain(ret_error, STATUS_EXHAUSTED, text, 0, "the text takes too much memory");
    }
    if (value) {
        *ret_value = value;
        return STATUS_OK;
    }
    arena_rewind(arena, before);
    char reason[sizeof(ret_error->reason)];
    explain(&error, reason, sizeof(reason));
    return complain(ret_error, STATUS_INVALID, text, (size_t)MAX(error.position, 0), reason);
}

static inline bool needs_escape(char c)
{
    return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

#define BYTES(c) (UINT64_C(0x0101010101010101) * (c))

/* Whether any of the eight bytes needs an escape. A borrow can only come from a byte that itself
 * does. */
static inline bool any_needs_escape(uint64_t v)
{
    uint64_t quote = v ^ BYTES('"');
    uint64_t backslash = v ^ BYTES('\\');
    return (((v - BYTES(0x20)) & ~v) | ((quote - BYTES(1)) & ~quote) |
            ((backslash - BYTES(1)) & ~backslash)) &
           BYTES(0x80);
}

/* Copy up to the first byte that needs an escape; how many. `to` has room for all of it. */
static size_t copy_clean(char *to, const char *from, size_t len)
{
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1f);
    for (; len - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(from + i));
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
        int mask = _mm_movemask_epi8(hit);
        /* Storing all sixteen is within the room, whatever part of them counts. */
        _mm_storeu_si128((__m128i *)(void *)(to + i), v);
        if (mask)
            return i + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    for (; len - i >= 8; i += 8) {
        uint64_t v;
        memcpy(&v, from + i, sizeof(v));
        if (any_needs_escape(v))
            break;
        memcpy(to + i, &v, sizeof(v));
    }
    for (; i < len && !needs_escape(from[i]); i++)
        to[i] = from[i];
    return i;
}

static void put_escape(struct buf *b, char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorthand[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };
    unsigned char u = (unsigned char)c;
    if (u >= 0x20 || shorthand[u]) {
        const char pair[2] = { '\\', u >= 0x20 ? c : shorthand[u] };
        buf_put(b, pair, sizeof(pair));
    } else {
        const char six[6] = { '\\', 'u', '0', '0', hex[u >> 4], hex[u & 15] };
        buf_put(b, six, sizeof(six));
    }
}

static __attribute__((noinline)) void put_rest_escaped(struct buf *b, struct slice s)
{
    size_t i = 0;
    while (i < s.len) {
        put_escape(b, s.data[i++]);
        char *p = buf_reserve(b, s.len - i);
        if (!p)
            return;
        size_t clean = copy_clean(p, s.data + i, s.len - i);
        b->len += clean;
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
    if (depth > DEPTH_MAX) {
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
