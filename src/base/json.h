/*
 * base/json.h - JSON in and out. In: strict, depth-limited, into jansson's tree, which lives in the
 * request's arena and is never freed piecewise (do not json_decref it, do not modify it). Out:
 * written straight into a buf, without a tree.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;

#define JSON_DEPTH_MAX 64u /* of any tree that is read or written */

struct json_limits {
    size_t bytes_max;   /* of the text */
    unsigned depth_max; /* of arrays and objects within each other; at most JSON_DEPTH_MAX */
};
#define JSON_LIMITS_DEFAULT ((struct json_limits){ .bytes_max = (size_t)1 << 20, .depth_max = 32 })

/* Where and why reading failed. */
struct json_error_at {
    size_t offset;    /* bytes */
    int line, column; /* from 1 */
    char reason[120];
};

/*
 * Read one JSON text (RFC 8259): any top-level value, UTF-8 only, no duplicate keys, no trailing
 * bytes, no NaN; \u0000 is accepted in strings (validators refuse it). Integers beyond int64 are
 * refused, never rounded.
 *
 * Errors   INVALID (ret_error says where and why), TOO_LARGE (bytes or depth), EXHAUSTED (arena
 * budget). Memory   *ret_value lives in `arena`; ret_error may be NULL. Context  any thread; never
 * suspends.
 */
enum status json_read(struct arena *arena, struct slice text, struct json_limits limits,
                      json_t **ret_value, struct json_error_at *ret_error);

/*
 * For code that builds or changes trees by jansson's own functions: from now on they allocate from
 * `arena` on this thread and free nothing, until this is called with what it returned (NULL: the
 * heap).
 *
 * Context  the caller may not suspend in between; jansson answers NULL when the budget is spent.
 */
struct arena *json_arena_set(struct arena *arena);

static inline struct slice json_slice(const json_t *value)
{
    return (struct slice){ .data = json_string_value(value), .len = json_string_length(value) };
}

/* Append `s` as a JSON string with its quotes. `s` must be valid UTF-8 (from the store or checked
 * before); fast for text that needs no escape. `<` and U+2028/9 are left as they are (answers are
 * nosniff JSON). */
void json_put_string(struct buf *b, struct slice s);

/* Append a whole jansson value, compact. */
void json_put_value(struct buf *b, const json_t *value);

/*
 * A writer for handlers that build small documents: it puts the commas.
 *
 *     struct json_out out = json_out(&buf);
 *     json_out_object(&out);
 *     json_out_key(&out, SLICE("status")); json_out_string(&out, SLICE("pass"));
 *     json_out_end(&out);
 */
struct json_out {
    struct buf *buf;
    uint64_t has_items; /* a bit per depth */
    uint64_t is_object;
    unsigned depth;
    bool after_key;
};
static inline struct json_out json_out(struct buf *b)
{
    return (struct json_out){ .buf = b };
}
void json_out_object(struct json_out *o);
void json_out_array(struct json_out *o);
void json_out_end(struct json_out *o); /* closes the innermost object or array */
void json_out_key(struct json_out *o, struct slice key);
void json_out_string(struct json_out *o, struct slice value);
void json_out_cstr(struct json_out *o, const char *value);
void json_out_i64(struct json_out *o, int64_t value);
void json_out_double(struct json_out *o, double value);
void json_out_bool(struct json_out *o, bool value);
void json_out_null(struct json_out *o);
void json_out_time(struct json_out *o, int64_t wall_us);
void json_out_value(struct json_out *o, const json_t *value);
void json_out_raw(struct json_out *o, struct slice json); /* already JSON */
/* key and value in one */
void json_out_kv(struct json_out *o, const char *key, const char *value);
void json_out_ki(struct json_out *o, const char *key, int64_t value);
