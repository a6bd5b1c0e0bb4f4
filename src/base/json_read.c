/*
 * The tree is jansson's, the reading is not: jansson takes a text a byte at a time through calls
 * across a library, some 53,000 instructions for a body of 380 bytes, which was a tenth of what
 * creating a row costs; this takes an eighth of that, bounds its own recursion (fibers have small
 * stacks), and says what is wrong in words for the person who sent the text. jansson's own reader
 * serves as the judge in the tests: fuzz/fuzz_json.c lets both read everything.
 *
 * jansson's allocator is replaced once for the process by one that takes from the arena of the
 * json_read running on this thread, and from the heap outside of one: a tree that was read needs
 * no freeing and no reference counting, and others who use jansson notice nothing.
 */
#include "base/json.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json_scan.h"
#include "base/macros.h"

/* Where jansson allocates on this thread; NULL: the heap. Reading never suspends, so fibers cannot
 * mix theirs up. */
static __thread struct arena *current_arena;

static void *take_memory(size_t size)
{
    return current_arena ? arena_alloc(current_arena, size) : malloc(size);
}

static void give_memory(void *ptr)
{
    /* All that jansson frees while it reads, it took while it reads: the arena frees that whole. */
    if (!current_arena)
        free(ptr);
}

static void set_up_jansson(void)
{
    json_set_alloc_funcs(take_memory, give_memory);
    json_object_seed(0); /* at random: keys are chosen by whoever sends the text */
}

struct arena *json_arena_set(struct arena *arena)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, set_up_jansson);
    struct arena *before = current_arena;
    current_arena = arena;
    return before;
}

struct reader {
    const char *p;
    const char *end;
    struct arena *arena;
    unsigned depth, depth_max;
    /* The first failure. */
    enum status status;
    const char *at;
    const char *reason;
};

static json_t *fail(struct reader *r, enum status st, const char *at, const char *reason)
{
    if (r->status == STATUS_OK) {
        r->status = st;
        r->at = at;
        r->reason = reason;
    }
    return NULL;
}

static json_t *fail_here(struct reader *r, const char *reason)
{
    if (r->p == r->end)
        reason = "the text ends before the value is complete";
    return fail(r, STATUS_INVALID, r->p, reason);
}

/* What was just made, or the failure to make it. */
static json_t *made(struct reader *r, json_t *value)
{
    if (LIKELY(value != NULL))
        return value;
    return fail(r, STATUS_EXHAUSTED, r->p, "the text takes too much memory");
}

static inline void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

static inline bool take(struct reader *r, char c)
{
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

/* Four hexadecimal digits, or UINT32_MAX. */
static uint32_t hex4(const char *p, const char *end)
{
    uint32_t v = 0;
    if (end - p < 4)
        return UINT32_MAX;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        char letter = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint32_t)(c - '0');
        else if (letter >= 'a' && letter <= 'f')
            v = v << 4 | (uint32_t)(letter - 'a' + 10);
        else
            return UINT32_MAX;
    }
    return v;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = (char)(0xe0 | c >> 12);
        } else {
            *out++ = (char)(0xf0 | c >> 18);
            *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (c & 0x3f));
    return out;
}

/* "\uXXXX" (p stands at the u), with its other half when it is one of a pair. NULL: failed. */
static char *read_unicode(struct reader *r, char *out)
{
    const char *start = r->p - 1;
    uint32_t c = hex4(r->p + 1, r->end);
    if (c == UINT32_MAX) {
        (void)fail(r, STATUS_INVALID, start, "\\u takes four hexadecimal digits");
        return NULL;
    }
    r->p += 5;
    if (c >= 0xd800 && c <= 0xdbff && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u') {
        uint32_t low = hex4(r->p + 2, r->end);
        if (low >= 0xdc00 && low <= 0xdfff) {
            r->p += 6;
            return put_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
        }
    }
    if (c >= 0xd800 && c <= 0xdfff) {
        (void)fail(r, STATUS_INVALID, start, "an escaped surrogate without its other half");
        return NULL;
    }
    return put_utf8(out, c);
}

/* What follows a backslash, with p on it. NULL: failed. */
static char *read_escape(struct reader *r, char *out)
{
    if (r->p == r->end) {
        (void)fail_here(r, NULL);
        return NULL;
    }
    switch (*r->p) {
    case '"':
    case '\\':
    case '/':
        *out++ = *r->p++;
        return out;
    case 'b':
        *out++ = '\b';
        break;
    case 'f':
        *out++ = '\f';
        break;
    case 'n':
        *out++ = '\n';
        break;
    case 'r':
        *out++ = '\r';
        break;
    case 't':
        *out++ = '\t';
        break;
    case 'u':
        return read_unicode(r, out);
    default:
        (void)fail(r, STATUS_INVALID, r->p - 1, "an escape that JSON does not have");
        return NULL;
    }
    r->p++;
    return out;
}

/* The rest of a string that has escapes, of which `clean` bytes from `start` on are read. */
static bool read_escaped(struct reader *r, const char *start, size_t clean, struct slice *ret)
{
    /* Escaped text is never shorter than what it stands for. The end is where a quote is that no
     * backslash stands before; it may be missing. */
    const char *quote = start + clean;
    while (quote < r->end && *quote != '"')
        quote += *quote == '\\' && r->end - quote > 1 ? 2 : 1;
    char *text = arena_alloc(r->arena, (size_t)(quote - start));
    if (!text) {
        (void)made(r, NULL);
        return false;
    }
    memcpy(text, start, clean);
    char *out = text + clean;
    r->p = start + clean;
    for (;;) {
        if (take(r, '"')) {
            *ret = slice_of(text, (size_t)(out - text));
            return true;
        }
        if (take(r, '\\')) {
            out = read_escape(r, out);
            if (!out)
                return false;
        } else if (r->p == r->end || (unsigned char)*r->p < 0x20) {
            (void)fail_here(r, "control characters in strings must be escaped");
            return false;
        }
        size_t more = json__clean_len(r->p, (size_t)(r->end - r->p));
        memcpy(out, r->p, more);
        out += more;
        r->p += more;
    }
}

/* A string, with p after its opening quote; the text is that of the input where nothing is escaped.
 */
static inline bool read_text(struct reader *r, struct slice *ret)
{
    const char *start = r->p;
    size_t clean = json__clean_len(start, (size_t)(r->end - start));
    r->p += clean;
    if (LIKELY(take(r, '"'))) {
        *ret = slice_of(start, clean);
        return true;
    }
    return read_escaped(r, start, clean, ret);
}

static inline bool is_digit(const struct reader *r, const char *p)
{
    return p < r->end && *p >= '0' && *p <= '9';
}

/* Letters and what numbers consist of: none of it may follow a number or a word directly. */
static bool is_word(const struct reader *r, const char *p)
{
    return is_digit(r, p) || (p < r->end && ((*p | 0x20) >= 'a') && ((*p | 0x20) <= 'z')) ||
           (p < r->end && (*p == '.' || *p == '+' || *p == '-' || *p == '_'));
}

static json_t *read_number(struct reader *r)
{
    const char *start = r->p;
    const char *p = start;
    while (is_word(r, p))
        p++;
    struct slice text = slice_of(start, (size_t)(p - start));
    size_t sign = text.data[0] == '-';
    bool is_integer = text.len > sign;
    for (size_t i = sign; i < text.len; i++)
        is_integer &= text.data[i] >= '0' && text.data[i] <= '9';
    json_t *value = NULL;
    enum slice_number kind = SLICE_NUMBER_MALFORMED;
    if (is_integer && (text.data[sign] != '0' || text.len == sign + 1)) {
        int64_t integer;
        kind = slice_to_i64(text, &integer) ? SLICE_NUMBER_OK : SLICE_NUMBER_RANGE;
        value = kind == SLICE_NUMBER_OK ? made(r, json_integer(integer)) : NULL;
    } else if (!is_integer) {
        double real;
        kind = slice_read_double(text, &real);
        value = kind == SLICE_NUMBER_OK ? made(r, json_real(real)) : NULL;
    }
    if (kind == SLICE_NUMBER_MALFORMED)
        return fail(r, STATUS_INVALID, start, "not a number as JSON writes them");
    if (kind == SLICE_NUMBER_RANGE)
        return fail(r, STATUS_INVALID, start, "a number is out of range");
    r->p = p;
    return value;
}

static json_t *read_word(struct reader *r, struct slice word, json_t *value)
{
    struct slice rest = slice_of(r->p, (size_t)(r->end - r->p));
    if (!slice_starts(rest, word) || is_word(r, r->p + word.len))
        return fail_here(r, "a value is expected here");
    r->p += word.len;
    return value;
}

static json_t *read_value(struct reader *r);

static bool enter(struct reader *r)
{
    if (r->depth == r->depth_max) {
        (void)fail(r, STATUS_TOO_LARGE, r->p, "nested too deeply");
        return false;
    }
    r->depth++;
    r->p++;
    skip_space(r);
    return true;
}

static json_t *read_array(struct reader *r)
{
    if (!enter(r))
        return NULL;
    json_t *array = made(r, json_array());
    if (!array)
        return NULL;
    if (!take(r, ']')) {
        do {
            skip_space(r);
            json_t *item = read_value(r);
            if (!item)
                return NULL;
            if (json_array_append_new(array, item) != 0)
                return made(r, NULL);
            skip_space(r);
        } while (take(r, ','));
        if (!take(r, ']'))
            return fail_here(r, "a comma or the end of the array is expected here");
    }
    r->depth--;
    return array;
}

static bool read_member(struct reader *r, json_t *object)
{
    const char *start = r->p;
    struct slice key;
    if (!take(r, '"')) {
        (void)fail_here(r, "a key in double quotes is expected here");
        return false;
    }
    if (!read_text(r, &key))
        return false;
    /* Only an escape can have made one. */
    if (UNLIKELY(key.data != start + 1 && memchr(key.data, 0, key.len) != NULL)) {
        (void)fail(r, STATUS_INVALID, start, "a key contains a zero character");
        return false;
    }
    skip_space(r);
    if (!take(r, ':')) {
        (void)fail_here(r, "a colon is expected here");
        return false;
    }
    if (json_object_getn(object, key.data, key.len)) {
        (void)fail(r, STATUS_INVALID, start, "an object has the same key twice");
        return false;
    }
    skip_space(r);
    json_t *value = read_value(r);
    if (!value)
        return false;
    if (json_object_setn_new_nocheck(object, key.data, key.len, value) == 0)
        return true;
    (void)made(r, NULL);
    return false;
}

static json_t *read_object(struct reader *r)
{
    if (!enter(r))
        return NULL;
    json_t *object = made(r, json_object());
    if (!object)
        return NULL;
    if (!take(r, '}')) {
        do {
            skip_space(r);
            if (!read_member(r, object))
                return NULL;
            skip_space(r);
        } while (take(r, ','));
        if (!take(r, '}'))
            return fail_here(r, "a comma or the end of the object is expected here");
    }
    r->depth--;
    return object;
}

/* One value, with p on its first byte. Recursion ends at depth_max. */
static json_t *read_value(struct reader *r)
{
    struct slice text;
    switch (r->p < r->end ? *r->p : '\0') {
    case '{':
        return read_object(r);
    case '[':
        return read_array(r);
    case '"':
        r->p++;
        return read_text(r, &text) ? made(r, json_stringn_nocheck(text.data, text.len)) : NULL;
    case 't':
        return read_word(r, SLICE("true"), json_true());
    case 'f':
        return read_word(r, SLICE("false"), json_false());
    case 'n':
        return read_word(r, SLICE("null"), json_null());
    case '-':
    case '0' ... '9':
        return read_number(r);
    default:
        return fail_here(r, "a value is expected here");
    }
}

static json_t *read_document(struct reader *r)
{
    skip_space(r);
    json_t *value = read_value(r);
    if (!value)
        return NULL;
    skip_space(r);
    if (r->p != r->end)
        return fail(r, STATUS_INVALID, r->p, "something follows the end of the value");
    return value;
}

static enum status complain(struct json_error_at *ret_error, enum status st, struct slice text,
                            const char *at, const char *reason)
{
    if (!ret_error)
        return st;
    struct json_error_at error = { .offset = (size_t)(at - text.data), .line = 1, .column = 1 };
    for (size_t i = 0; i < error.offset; i++) {
        bool starts_character = ((unsigned char)text.data[i] & 0xc0) != 0x80;
        error.column += starts_character;
        if (text.data[i] == '\n') {
            error.line++;
            error.column = 1;
        }
    }
    (void)snprintf(error.reason, sizeof(error.reason), "%s", reason);
    *ret_error = error;
    return st;
}

static const char *first_malformed(struct slice text)
{
    for (size_t n; (n = utf8_sequence(text)) > 0;)
        text = slice_from(text, n);
    return text.data;
}

enum status json_read(struct arena *arena, struct slice text, struct json_limits limits,
                      json_t **ret_value, struct json_error_at *ret_error)
{
    if (text.len > limits.bytes_max)
        return complain(ret_error, STATUS_TOO_LARGE, text, text.data, "the text is too long");
    if (text.len == 0)
        return complain(ret_error, STATUS_INVALID, text, text.data, "the text is empty");
    if (!utf8_is_valid(text))
        return complain(ret_error, STATUS_INVALID, text, first_malformed(text),
                        "the text is not valid UTF-8");

    struct arena_mark before = arena_mark(arena);
    struct reader r = {
        .p = text.data,
        .end = text.data + text.len,
        .arena = arena,
        .depth_max = MIN(limits.depth_max, JSON_DEPTH_MAX),
        .status = STATUS_OK,
    };
    struct arena *outer = json_arena_set(arena);
    json_t *value = read_document(&r);
    (void)json_arena_set(outer);
    if (!value) {
        arena_rewind(arena, before);
        return complain(ret_error, r.status, text, r.at, r.reason);
    }
    *ret_value = value;
    return STATUS_OK;
}
