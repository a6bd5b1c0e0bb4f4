/*
 * http/structured.c - The parser and the writer of structured fields: one function for each
 * production of RFC 9651, in its order. Nothing recurses: an inner list holds items only.
 */
#include "http/structured.h"

#include <limits.h>
#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"

#define INTEGER_DIGITS_MAX 15u
#define DECIMAL_DIGITS_MAX 12u /* before the point */
#define FRACTION_DIGITS_MAX 3u
#define INTEGER_MAX INT64_C(999999999999999)

struct parser {
    struct arena *arena;
    struct slice rest;
};

/* -- characters
 * ------------------------------------------------------------------------------------------ */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alpha(char c)
{
    return is_lower((char)(c | 0x20));
}

static bool is_token_char(char c)
{
    return is_alpha(c) || is_digit(c) || (c && memchr("!#$%&'*+-.^_`|~:/", c, 17));
}

static bool is_key_char(char c)
{
    return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '*';
}

static bool is_printable(char c)
{
    return c >= 0x20 && c < 0x7f;
}

/* The next character; 0 at the end (a zero byte is nowhere allowed either). */
static char peek(const struct parser *p)
{
    return p->rest.len ? p->rest.data[0] : 0;
}

static bool take(struct parser *p, char c)
{
    if (p->rest.len == 0 || p->rest.data[0] != c)
        return false;
    p->rest = slice_from(p->rest, 1);
    return true;
}

static void skip_spaces(struct parser *p)
{
    while (take(p, ' '))
        ;
}

static void skip_whitespace(struct parser *p)
{
    while (take(p, ' ') || take(p, '\t'))
        ;
}

/* -- bare items
 * ------------------------------------------------------------------------------------------ */

static enum status parse_number(struct parser *p, struct http__sf_value *ret)
{
    bool negative = take(p, '-');
    int64_t number = 0;
    unsigned digits = 0, fraction = 0;
    while (is_digit(peek(p))) {
        if (++digits > INTEGER_DIGITS_MAX)
            return STATUS_INVALID;
        number = number * 10 + (p->rest.data[0] - '0');
        p->rest = slice_from(p->rest, 1);
    }
    if (digits == 0)
        return STATUS_INVALID;
    bool decimal = take(p, '.');
    if (decimal) {
        if (digits > DECIMAL_DIGITS_MAX)
            return STATUS_INVALID;
        while (is_digit(peek(p))) {
            if (++fraction > FRACTION_DIGITS_MAX)
                return STATUS_INVALID;
            number = number * 10 + (p->rest.data[0] - '0');
            p->rest = slice_from(p->rest, 1);
        }
        if (fraction == 0)
            return STATUS_INVALID;
        for (; fraction < FRACTION_DIGITS_MAX; fraction++)
            number *= 10;
    }
    *ret = (struct http__sf_value){ .type = decimal ? HTTP__SF_DECIMAL : HTTP__SF_INTEGER,
                                    .number = negative ? -number : number };
    return STATUS_OK;
}

static enum status parse_string(struct parser *p, struct http__sf_value *ret)
{
    struct slice all = slice_from(p->rest, 1);
    size_t end = 0, escapes = 0;
    while (end < all.len && all.data[end] != '"') {
        if (!is_printable(all.data[end]))
            return STATUS_INVALID;
        if (all.data[end] == '\\') {
            end++;
            escapes++;
            if (end == all.len || (all.data[end] != '"' && all.data[end] != '\\'))
                return STATUS_INVALID;
        }
        end++;
    }
    if (end >= all.len)
        return STATUS_INVALID;
    p->rest = slice_from(all, end + 1);
    *ret = (struct http__sf_value){ .type = HTTP__SF_STRING, .text = slice_head(all, end) };
    if (escapes == 0)
        return STATUS_OK;
    char *text = arena_alloc(p->arena, end - escapes);
    if (!text)
        return STATUS_EXHAUSTED;
    size_t len = 0;
    for (size_t i = 0; i < end; i++) {
        if (all.data[i] == '\\')
            i++;
        text[len++] = all.data[i];
    }
    ret->text = slice_of(text, len);
    return STATUS_OK;
}

static enum status parse_token(struct parser *p, struct http__sf_value *ret)
{
    size_t len = 1;
    while (len < p->rest.len && is_token_char(p->rest.data[len]))
        len++;
    *ret = (struct http__sf_value){ .type = HTTP__SF_TOKEN, .text = slice_head(p->rest, len) };
    p->rest = slice_from(p->rest, len);
    return STATUS_OK;
}

static enum status parse_bytes(struct parser *p, struct http__sf_value *ret)
{
    struct slice all = slice_from(p->rest, 1);
    size_t end = slice_find(all, ':');
    if (end == SIZE_MAX)
        return STATUS_INVALID;
    size_t max = end / 4 * 3, len = 0;
    unsigned char *bytes = arena_alloc(p->arena, max + 1);
    if (!bytes)
        return STATUS_EXHAUSTED;
    if (sodium_base642bin(bytes, max, all.data, end, NULL, &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return STATUS_INVALID;
    *ret = (struct http__sf_value){ .type = HTTP__SF_BYTES,
                                    .text = slice_of((const char *)bytes, len) };
    p->rest = slice_from(all, end + 1);
    return STATUS_OK;
}

static enum status parse_boolean(struct parser *p, struct http__sf_value *ret)
{
    p->rest = slice_from(p->rest, 1);
    char c = peek(p);
    if (c != '0' && c != '1')
        return STATUS_INVALID;
    p->rest = slice_from(p->rest, 1);
    *ret = (struct http__sf_value){ .type = HTTP__SF_BOOLEAN, .boolean = c == '1' };
    return STATUS_OK;
}

static enum status parse_date(struct parser *p, struct http__sf_value *ret)
{
    p->rest = slice_from(p->rest, 1);
    enum status st = parse_number(p, ret);
    if (st != STATUS_OK)
        return st;
    if (ret->type != HTTP__SF_INTEGER)
        return STATUS_INVALID;
    ret->type = HTTP__SF_DATE;
    return STATUS_OK;
}

static int lower_hex(char c)
{
    if (is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum status parse_display(struct parser *p, struct http__sf_value *ret)
{
    if (p->rest.len < 2 || p->rest.data[1] != '"')
        return STATUS_INVALID;
    struct slice all = slice_from(p->rest, 2);
    size_t end = slice_find(all, '"'), len = 0;
    if (end == SIZE_MAX)
        return STATUS_INVALID;
    char *text = arena_alloc(p->arena, end + 1);
    if (!text)
        return STATUS_EXHAUSTED;
    for (size_t i = 0; i < end; i++) {
        char c = all.data[i];
        if (!is_printable(c))
            return STATUS_INVALID;
        if (c == '%') {
            int high = end - i > 2 ? lower_hex(all.data[i + 1]) : -1;
            int low = end - i > 2 ? lower_hex(all.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return STATUS_INVALID;
            c = (char)(high << 4 | low);
            i += 2;
        }
        text[len++] = c;
    }
    if (!utf8_is_valid(slice_of(text, len)))
        return STATUS_INVALID;
    *ret = (struct http__sf_value){ .type = HTTP__SF_DISPLAY, .text = slice_of(text, len) };
    p->rest = slice_from(all, end + 1);
    return STATUS_OK;
}

static enum status parse_value(struct parser *p, struct http__sf_value *ret)
{
    char c = peek(p);
    if (c == '-' || is_digit(c))
        return parse_number(p, ret);
    if (c == '*' || is_alpha(c))
        return parse_token(p, ret);
    switch (c) {
    case '"':
        return parse_string(p, ret);
    case ':':
        return parse_bytes(p, ret);
    case '?':
        return parse_boolean(p, ret);
    case '@':
        return parse_date(p, ret);
    case '%':
        return parse_display(p, ret);
    default:
        return STATUS_INVALID;
    }
}

/* -- keys, parameters, inner lists
 * ----------------------------------------------------------------------- */

static enum status parse_key(struct parser *p, struct slice *ret)
{
    size_t len = 0;
    if (!is_lower(peek(p)) && peek(p) != '*')
        return STATUS_INVALID;
    while (len < p->rest.len && is_key_char(p->rest.data[len]))
        len++;
    *ret = slice_head(p->rest, len);
    p->rest = slice_from(p->rest, len);
    return STATUS_OK;
}

/* Room for one more element in an array of the arena, whose capacity is the next power of two. */
static enum status grow(struct parser *p, void **items, unsigned len, size_t size)
{
    if (len > 0 && (len & (len - 1)) != 0)
        return STATUS_OK;
    size_t cap = len ? (size_t)len * 2 : 1;
    void *grown = arena_realloc(p->arena, *items, len * size, cap * size);
    if (!grown)
        return STATUS_EXHAUSTED;
    *items = grown;
    return STATUS_OK;
}

static struct http__sf_param *find_param(const struct http__sf_params *params, struct slice key)
{
    for (unsigned i = 0; i < params->len; i++) {
        if (slice_eq(params->items[i].key, key))
            return &params->items[i];
    }
    return NULL;
}

static enum status parse_params(struct parser *p, struct http__sf_params *ret)
{
    *ret = (struct http__sf_params){ .len = 0 };
    while (take(p, ';')) {
        struct http__sf_param param = { .value = { .type = HTTP__SF_BOOLEAN, .boolean = true } };
        skip_spaces(p);
        enum status st = parse_key(p, &param.key);
        if (st == STATUS_OK && take(p, '='))
            st = parse_value(p, &param.value);
        if (st != STATUS_OK)
            return st;
        struct http__sf_param *same = find_param(ret, param.key);
        if (same) { /* the last one holds, in the place of the first */
            *same = param;
            continue;
        }
        if (ret->len == HTTP__SF_PARAMS_MAX)
            return STATUS_TOO_LARGE;
        void *items = ret->items;
        st = grow(p, &items, ret->len, sizeof(*ret->items));
        if (st != STATUS_OK)
            return st;
        ret->items = items;
        ret->items[ret->len++] = param;
    }
    return STATUS_OK;
}

static enum status parse_inner(struct parser *p, struct http__sf_member *ret)
{
    p->rest = slice_from(p->rest, 1);
    ret->value = (struct http__sf_value){ .type = HTTP__SF_INNER };
    for (;;) {
        skip_spaces(p);
        if (take(p, ')'))
            return parse_params(p, &ret->params);
        if (ret->inner_len == HTTP__SF_INNER_MAX)
            return STATUS_TOO_LARGE;
        struct http__sf_item item;
        enum status st = parse_value(p, &item.value);
        if (st == STATUS_OK)
            st = parse_params(p, &item.params);
        if (st == STATUS_OK && peek(p) != ' ' && peek(p) != ')')
            st = STATUS_INVALID;
        void *inner = ret->inner;
        if (st == STATUS_OK)
            st = grow(p, &inner, ret->inner_len, sizeof(item));
        if (st != STATUS_OK)
            return st;
        ret->inner = inner;
        ret->inner[ret->inner_len++] = item;
    }
}

static enum status parse_member(struct parser *p, struct http__sf_member *ret)
{
    if (peek(p) == '(')
        return parse_inner(p, ret);
    enum status st = parse_value(p, &ret->value);
    return st == STATUS_OK ? parse_params(p, &ret->params) : st;
}

static enum status parse_entry(struct parser *p, struct http__sf_member *ret)
{
    enum status st = parse_key(p, &ret->key);
    if (st != STATUS_OK)
        return st;
    if (take(p, '='))
        return parse_member(p, ret);
    ret->value = (struct http__sf_value){ .type = HTTP__SF_BOOLEAN, .boolean = true };
    return parse_params(p, &ret->params);
}

/* -- whole fields
 * ---------------------------------------------------------------------------------------- */

static enum status add_member(struct parser *p, const struct http__sf_member *member,
                              unsigned members_max, struct http__sf_list *list)
{
    if (member->key.len) {
        for (unsigned i = 0; i < list->len; i++) {
            if (!slice_eq(list->members[i].key, member->key))
                continue;
            list->members[i] = *member; /* the last one holds */
            return STATUS_OK;
        }
    }
    if (list->len >= members_max)
        return STATUS_TOO_LARGE;
    void *members = list->members;
    enum status st = grow(p, &members, list->len, sizeof(*member));
    if (st != STATUS_OK)
        return st;
    list->members = members;
    list->members[list->len++] = *member;
    return STATUS_OK;
}

static enum status parse_members(struct parser *p, enum http__sf_kind kind, unsigned members_max,
                                 struct http__sf_list *list)
{
    while (p->rest.len > 0) {
        struct http__sf_member member = { .inner_len = 0 };
        enum status st =
            kind == HTTP__SF_KIND_DICTIONARY ? parse_entry(p, &member) : parse_member(p, &member);
        if (st == STATUS_OK)
            st = add_member(p, &member, members_max, list);
        if (st != STATUS_OK)
            return st;
        skip_whitespace(p);
        if (p->rest.len == 0)
            return STATUS_OK;
        if (!take(p, ','))
            return STATUS_INVALID;
        skip_whitespace(p);
        if (p->rest.len == 0)
            return STATUS_INVALID; /* a comma at the end */
    }
    return STATUS_OK;
}

enum status http__sf_parse(struct arena *arena, struct slice text, enum http__sf_kind kind,
                           unsigned members_max, struct http__sf_list *ret)
{
    struct parser p = { .arena = arena, .rest = text };
    struct http__sf_list list = { .len = 0 };
    members_max = MIN(members_max, HTTP__SF_MEMBERS_MAX);
    skip_spaces(&p);
    while (p.rest.len > 0 && p.rest.data[p.rest.len - 1] == ' ')
        p.rest.len--;
    enum status st;
    if (kind == HTTP__SF_KIND_ITEM) {
        struct http__sf_member member = { .inner_len = 0 };
        st = parse_value(&p, &member.value);
        if (st == STATUS_OK)
            st = parse_params(&p, &member.params);
        if (st == STATUS_OK)
            st = p.rest.len ? STATUS_INVALID : add_member(&p, &member, 1, &list);
    } else {
        st = parse_members(&p, kind, members_max, &list);
    }
    if (st == STATUS_OK)
        *ret = list;
    return st;
}

const struct http__sf_member *http__sf_get(const struct http__sf_list *list, struct slice key)
{
    for (unsigned i = 0; i < list->len; i++) {
        if (slice_eq(list->members[i].key, key))
            return &list->members[i];
    }
    return NULL;
}

const struct http__sf_value *http__sf_param(const struct http__sf_params *params, struct slice key)
{
    const struct http__sf_param *param = find_param(params, key);
    return param ? &param->value : NULL;
}

/* -- writing
 * --------------------------------------------------------------------------------------------- */

bool http__sf_key_is_valid(struct slice key)
{
    if (key.len == 0 || (!is_lower(key.data[0]) && key.data[0] != '*'))
        return false;
    for (size_t i = 1; i < key.len; i++) {
        if (!is_key_char(key.data[i]))
            return false;
    }
    return true;
}

void http__sf_put_bytes(struct buf *out, struct slice bytes)
{
    if (bytes.len > INT_MAX / 2) {
        out->status = STATUS_TOO_LARGE;
        return;
    }
    size_t len = sodium_base64_ENCODED_LEN(bytes.len, sodium_base64_VARIANT_ORIGINAL);
    buf_putc(out, ':');
    char *at = buf_reserve(out, len);
    if (at) {
        (void)sodium_bin2base64(at, len, (const unsigned char *)bytes.data, bytes.len,
                                sodium_base64_VARIANT_ORIGINAL);
        out->len += len - 1; /* without its NUL */
    }
    buf_putc(out, ':');
}

static enum status put_decimal(struct buf *out, int64_t thousandths)
{
    if (thousandths > INTEGER_MAX || thousandths < -INTEGER_MAX)
        return STATUS_INVALID;
    uint64_t value = (uint64_t)(thousandths < 0 ? -thousandths : thousandths);
    unsigned fraction = (unsigned)(value % 1000), digits = 3;
    if (thousandths < 0)
        buf_putc(out, '-');
    buf_put_u64(out, value / 1000);
    buf_putc(out, '.');
    char text[3] = { (char)('0' + fraction / 100), (char)('0' + fraction / 10 % 10),
                     (char)('0' + fraction % 10) };
    while (digits > 1 && text[digits - 1] == '0')
        digits--;
    buf_put(out, text, digits);
    return STATUS_OK;
}

static enum status put_string(struct buf *out, struct slice text)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!is_printable(c))
            return STATUS_INVALID;
        if (c == '"' || c == '\\')
            buf_putc(out, '\\');
        buf_putc(out, c);
    }
    buf_putc(out, '"');
    return STATUS_OK;
}

static enum status put_token(struct buf *out, struct slice text)
{
    if (text.len == 0 || (!is_alpha(text.data[0]) && text.data[0] != '*'))
        return STATUS_INVALID;
    for (size_t i = 1; i < text.len; i++) {
        if (!is_token_char(text.data[i]))
            return STATUS_INVALID;
    }
    buf_put_slice(out, text);
    return STATUS_OK;
}

static enum status put_display(struct buf *out, struct slice text)
{
    static const char digits[] = "0123456789abcdef";
    if (!utf8_is_valid(text))
        return STATUS_INVALID;
    buf_put_lit(out, "%\"");
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c != '%' && c != '"' && is_printable((char)c)) {
            buf_putc(out, (char)c);
            continue;
        }
        buf_putc(out, '%');
        buf_putc(out, digits[c >> 4]);
        buf_putc(out, digits[c & 15]);
    }
    buf_putc(out, '"');
    return STATUS_OK;
}

enum status http__sf_put_value(struct buf *out, const struct http__sf_value *value)
{
    switch (value->type) {
    case HTTP__SF_DATE:
        buf_putc(out, '@');
        [[fallthrough]];
    case HTTP__SF_INTEGER:
        if (value->number > INTEGER_MAX || value->number < -INTEGER_MAX)
            return STATUS_INVALID;
        buf_put_i64(out, value->number);
        return STATUS_OK;
    case HTTP__SF_DECIMAL:
        return put_decimal(out, value->number);
    case HTTP__SF_STRING:
        return put_string(out, value->text);
    case HTTP__SF_TOKEN:
        return put_token(out, value->text);
    case HTTP__SF_BYTES:
        http__sf_put_bytes(out, value->text);
        return STATUS_OK;
    case HTTP__SF_BOOLEAN:
        buf_put(out, value->boolean ? "?1" : "?0", 2);
        return STATUS_OK;
    case HTTP__SF_DISPLAY:
        return put_display(out, value->text);
    case HTTP__SF_INNER:
        break;
    }
    return STATUS_INVALID;
}

enum status http__sf_put_params(struct buf *out, const struct http__sf_params *params)
{
    for (unsigned i = 0; i < params->len; i++) {
        const struct http__sf_param *param = &params->items[i];
        if (!http__sf_key_is_valid(param->key))
            return STATUS_INVALID;
        buf_putc(out, ';');
        buf_put_slice(out, param->key);
        if (param->value.type == HTTP__SF_BOOLEAN && param->value.boolean)
            continue;
        buf_putc(out, '=');
        enum status st = http__sf_put_value(out, &param->value);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

enum status http__sf_put_item(struct buf *out, const struct http__sf_item *item)
{
    enum status st = http__sf_put_value(out, &item->value);
    return st == STATUS_OK ? http__sf_put_params(out, &item->params) : st;
}

enum status http__sf_put_member(struct buf *out, const struct http__sf_member *member)
{
    enum status st = STATUS_OK;
    if (member->value.type != HTTP__SF_INNER) {
        st = http__sf_put_value(out, &member->value);
        return st == STATUS_OK ? http__sf_put_params(out, &member->params) : st;
    }
    buf_putc(out, '(');
    for (unsigned i = 0; i < member->inner_len && st == STATUS_OK; i++) {
        if (i > 0)
            buf_putc(out, ' ');
        st = http__sf_put_item(out, &member->inner[i]);
    }
    buf_putc(out, ')');
    return st == STATUS_OK ? http__sf_put_params(out, &member->params) : st;
}

static enum status put_entry(struct buf *out, const struct http__sf_member *member)
{
    if (!http__sf_key_is_valid(member->key))
        return STATUS_INVALID;
    buf_put_slice(out, member->key);
    if (member->value.type == HTTP__SF_BOOLEAN && member->value.boolean)
        return http__sf_put_params(out, &member->params);
    buf_putc(out, '=');
    return http__sf_put_member(out, member);
}

enum status http__sf_put(struct buf *out, enum http__sf_kind kind, const struct http__sf_list *list)
{
    if (kind == HTTP__SF_KIND_ITEM &&
        (list->len != 1 || list->members[0].value.type == HTTP__SF_INNER))
        return STATUS_INVALID;
    for (unsigned i = 0; i < list->len; i++) {
        if (i > 0)
            buf_put_lit(out, ", ");
        enum status st = kind == HTTP__SF_KIND_DICTIONARY
                             ? put_entry(out, &list->members[i])
                             : http__sf_put_member(out, &list->members[i]);
        if (st != STATUS_OK)
            return st;
    }
    return buf_status(out);
}
