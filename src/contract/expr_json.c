/*
 * Looking into a list field without building a tree: the text was written by us, a JSON array of
 * scalars. What is not such a text holds nothing.
 */
#include "contract/expr_private.h"

struct reader {
    struct slice text;
    size_t at;
};

static char peek(const struct reader *r)
{
    return r->at < r->text.len ? r->text.data[r->at] : '\0';
}

static void skip_space(struct reader *r)
{
    while (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\n' || peek(r) == '\r')
        r->at++;
}

/* The next item as it is written (a string with its quotes); false at the end. */
static bool next_item(struct reader *r, struct slice *ret)
{
    skip_space(r);
    if (peek(r) != '[' && peek(r) != ',')
        return false;
    r->at++;
    skip_space(r);
    size_t start = r->at;
    if (peek(r) == '"') {
        r->at++;
        while (r->at < r->text.len && peek(r) != '"')
            r->at += peek(r) == '\\' ? 2 : 1;
        r->at++;
    } else {
        while (r->at < r->text.len && !strchr(",] \t\r\n", peek(r)))
            r->at++;
    }
    if (r->at > r->text.len || r->at == start)
        return false;
    *ret = slice_of(r->text.data + start, r->at - start);
    return true;
}

static unsigned hex4(struct slice s)
{
    unsigned value = 0;
    for (size_t i = 0; i < 4 && i < s.len; i++) {
        char ch = s.data[i];
        value = value * 16 + (unsigned)(ch <= '9' ? ch - '0' : (ch | 32) - 'a' + 10);
    }
    return value;
}

/* One character of a JSON string in UTF-8; returns its length and moves past it. */
static size_t decode(struct slice *s, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (s->data[0] != '\\' || s->len < 2) {
        out[0] = s->data[0];
        *s = slice_from(*s, 1);
        return 1;
    }
    const char *simple = strchr(from, s->data[1]);
    if (s->data[1] != 'u' || simple) {
        out[0] = simple && *simple ? to[simple - from] : s->data[1];
        *s = slice_from(*s, 2);
        return 1;
    }
    uint32_t cp = hex4(slice_from(*s, 2));
    *s = slice_from(*s, 6);
    if (cp >= 0xD800 && cp < 0xDC00 && slice_starts(*s, SLICE("\\u"))) {
        cp = 0x10000 + ((cp - 0xD800) << 10) + (hex4(slice_from(*s, 2)) - 0xDC00);
        *s = slice_from(*s, 6);
    }
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    size_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3F));
    static const unsigned char leads[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    out[0] = (char)(leads[len] | cp);
    return len;
}

static bool string_equals(struct slice written, struct expr_value text)
{
    struct slice rest = slice_of(written.data + 1, written.len - 2);
    size_t at = 0;
    while (rest.len > 0) {
        char piece[4];
        size_t len = decode(&rest, piece);
        for (size_t i = 0; i < len; i++, at++) {
            if (at >= text.as.bytes.len)
                return false;
            char ch = text.as.bytes.data[at];
            if (text.lower && ch >= 'A' && ch <= 'Z')
                ch = (char)(ch | 32);
            if (ch != piece[i])
                return false;
        }
    }
    return at == text.as.bytes.len;
}

static bool item_equals(struct slice item, struct expr_value needle)
{
    if (item.data[0] == '"')
        return needle.kind == EXPR_VALUE_TEXT && item.len >= 2 && string_equals(item, needle);
    if (needle.kind != EXPR_VALUE_I64 && needle.kind != EXPR_VALUE_DOUBLE)
        return false;
    struct expr_value v = { .kind = EXPR_VALUE_I64 };
    if (slice_eq(item, SLICE("true")))
        v.as.i64 = 1;
    else if (slice_eq(item, SLICE("false")))
        v.as.i64 = 0;
    else if (!slice_to_i64(item, &v.as.i64)) {
        v.kind = EXPR_VALUE_DOUBLE;
        if (!slice_to_double(item, &v.as.real))
            return false;
    }
    return expr__compare(v, needle) == 0;
}

bool expr__json_has(struct slice json, struct expr_value needle)
{
    char id[UUID_TEXT_LEN];
    if (needle.kind == EXPR_VALUE_BLOB) {
        struct uuid uuid;
        memcpy(uuid.bytes, needle.as.bytes.data, MIN(needle.as.bytes.len, sizeof(uuid.bytes)));
        uuid_format(&uuid, id);
        needle.kind = EXPR_VALUE_TEXT;
        needle.as.bytes = slice_of(id, sizeof(id));
    }
    struct reader r = { .text = json };
    struct slice item;
    while (next_item(&r, &item))
        if (item_equals(item, needle))
            return true;
    return false;
}

int64_t expr__json_len(struct slice json)
{
    struct reader r = { .text = json };
    struct slice item;
    int64_t count = 0;
    while (next_item(&r, &item))
        count++;
    return count;
}
