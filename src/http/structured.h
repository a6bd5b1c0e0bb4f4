/*
 * http/structured.h - Structured fields (RFC 9651): items, lists and dictionaries of header fields,
 * read and written strictly. Private to the room.
 *
 * What parses is written back in the one canonical form, which is what signatures are made over.
 * Several lines of a field are one text, joined with ", ", before it is parsed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;

/* What RFC 9651 asks implementations to take at least; more is refused. */
#define HTTP__SF_MEMBERS_MAX 1024u
#define HTTP__SF_INNER_MAX 256u
#define HTTP__SF_PARAMS_MAX 256u

enum http__sf_type {
    HTTP__SF_INTEGER,
    HTTP__SF_DECIMAL,
    HTTP__SF_STRING,
    HTTP__SF_TOKEN,
    HTTP__SF_BYTES,
    HTTP__SF_BOOLEAN,
    HTTP__SF_DATE,
    HTTP__SF_DISPLAY, /* a display string: any Unicode */
    HTTP__SF_INNER    /* an inner list; only of members */
};

struct http__sf_value {
    enum http__sf_type type;
    bool boolean;
    int64_t number;    /* of integers; seconds since 1970 of dates; thousandths of decimals */
    struct slice text; /* of strings, tokens, display strings (UTF-8); decoded bytes */
};

struct http__sf_param {
    struct slice key;
    struct http__sf_value value;
};

struct http__sf_params {
    struct http__sf_param *items;
    unsigned len;
};

struct http__sf_item {
    struct http__sf_value value;
    struct http__sf_params params;
};

/* Of a list or dictionary; an item is a member too. */
struct http__sf_member {
    struct slice key; /* in dictionaries */
    struct http__sf_value value;
    struct http__sf_item *inner; /* of HTTP__SF_INNER */
    unsigned inner_len;
    struct http__sf_params params;
};

struct http__sf_list {
    struct http__sf_member *members;
    unsigned len;
};

enum http__sf_kind { HTTP__SF_KIND_ITEM, HTTP__SF_KIND_LIST, HTTP__SF_KIND_DICTIONARY };

/*
 * Parse the whole of a field's text. An item is a list of one member.
 *
 * Errors   INVALID: it is not one, by the grammar; TOO_LARGE: more than members_max members, or
 *          more inside of one than the bounds above; EXHAUSTED.
 * Memory   texts point into `text`, or into the arena when they had escapes.
 * Source   RFC 9651 section 4.2. Of base64 the strict form is asked: padded, no stray bits.
 */
enum status http__sf_parse(struct arena *arena, struct slice text, enum http__sf_kind kind,
                           unsigned members_max, struct http__sf_list *ret);

/* The member of that key, or NULL. */
const struct http__sf_member *http__sf_get(const struct http__sf_list *list, struct slice key);
/* The value of the parameter of that key, or NULL. */
const struct http__sf_value *http__sf_param(const struct http__sf_params *params, struct slice key);

/*
 * Append in canonical form. INVALID: it cannot be written (a number out of range, a string that is
 * not ASCII, a malformed key or token); `out` then has part of it. Source   RFC 9651 section 4.1.
 */
enum status http__sf_put_value(struct buf *out, const struct http__sf_value *value);
enum status http__sf_put_params(struct buf *out, const struct http__sf_params *params);
enum status http__sf_put_item(struct buf *out, const struct http__sf_item *item);
/* Without its key. */
enum status http__sf_put_member(struct buf *out, const struct http__sf_member *member);
enum status http__sf_put(struct buf *out, enum http__sf_kind kind,
                         const struct http__sf_list *list);
/* "key" or "*key-2.b_c": the names of dictionaries and parameters. */
bool http__sf_key_is_valid(struct slice key);
/* base64 between colons. */
void http__sf_put_bytes(struct buf *out, struct slice bytes);
