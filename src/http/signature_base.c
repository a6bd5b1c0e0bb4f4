/*
 * http/signature_base.c - The signature base of RFC 9421 section 2: one line for each component
 * that a signature covers, in the order it names them.
 *
 * A component is taken from the message and never from what anybody says of it; whatever cannot be
 * had without guessing (a component named twice, a field that is not there, a parameter that does
 * not apply, a query parameter that stands there twice) makes the base impossible.
 */
#include "http/signature.h"

#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "http/internal.h"

/* -- parameters of a component
 * ----------------------------------------------------------------------------- */

struct component {
    struct slice name;
    struct slice key;             /* ;key="..." */
    struct slice query_name;      /* ;name="..." */
    bool has_key, has_query_name; /* both may be empty texts */
    bool structured, bytes;       /* ;sf ;bs */
};

static bool take_flag(const struct http__sf_value *value, bool *ret)
{
    *ret = true;
    return value->type == HTTP__SF_BOOLEAN && value->boolean;
}

static bool take_text(const struct http__sf_value *value, struct slice *ret, bool *ret_has)
{
    *ret = value->text;
    *ret_has = true;
    return value->type == HTTP__SF_STRING;
}

/* `req` and `tr` are not among them: a request is not bound to another message, and trailers are
 * dropped. */
static bool read_component(const struct http__sf_item *item, struct component *ret)
{
    *ret = (struct component){ .name = item->value.text };
    if (item->value.type != HTTP__SF_STRING || item->value.text.len == 0)
        return false;
    for (unsigned i = 0; i < item->params.len; i++) {
        const struct http__sf_param *param = &item->params.items[i];
        bool good = false;
        if (slice_eq(param->key, SLICE("sf")))
            good = take_flag(&param->value, &ret->structured);
        else if (slice_eq(param->key, SLICE("bs")))
            good = take_flag(&param->value, &ret->bytes);
        else if (slice_eq(param->key, SLICE("key")))
            good = take_text(&param->value, &ret->key, &ret->has_key);
        else if (slice_eq(param->key, SLICE("name")))
            good = take_text(&param->value, &ret->query_name, &ret->has_query_name);
        if (!good)
            return false;
    }
    return !(ret->bytes && (ret->structured || ret->has_key));
}

static bool is_field_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                    (c && memchr("!#$%&'*+-.^_`|~", c, 15));
        if (!good)
            return false;
    }
    return name.len > 0;
}

/* -- derived components
 * -------------------------------------------------------------------------------- */

/* In lower case, without the port that the scheme implies. */
static void put_authority(const struct http__signed *m, struct buf *out)
{
    struct slice host = m->authority;
    struct slice port = slice_eq(m->scheme, SLICE("https")) ? SLICE(":443") : SLICE(":80");
    if (slice_ends(host, port))
        host.len -= port.len;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        buf_putc(out, (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c));
    }
}

static void put_path(const struct http__signed *m, struct buf *out)
{
    buf_put_slice(out, m->path.len ? m->path : SLICE("/"));
}

static void put_query(const struct http__signed *m, struct buf *out)
{
    buf_putc(out, '?');
    buf_put_slice(out, m->query);
}

static void put_method(const struct http__signed *m, struct buf *out)
{
    buf_put_slice(out, m->method);
}

static void put_scheme(const struct http__signed *m, struct buf *out)
{
    buf_put_slice(out, m->scheme);
}

static void put_request_target(const struct http__signed *m, struct buf *out)
{
    buf_put_slice(out, m->target);
}

static void put_target_uri(const struct http__signed *m, struct buf *out)
{
    buf_put_slice(out, m->scheme);
    buf_put_lit(out, "://");
    put_authority(m, out);
    put_path(m, out);
    if (m->query.data)
        put_query(m, out);
}

static void put_status(const struct http__signed *m, struct buf *out)
{
    buf_put_i64(out, m->status);
}

/* The query parameter's own function needs its name; it is looked for first. */
static const struct {
    struct slice name;
    void (*put)(const struct http__signed *m, struct buf *out);
    bool of_answers;
} derived[] = {
    { SLICE_INIT("@method"), put_method, false },
    { SLICE_INIT("@authority"), put_authority, false },
    { SLICE_INIT("@path"), put_path, false },
    { SLICE_INIT("@query"), put_query, false },
    { SLICE_INIT("@target-uri"), put_target_uri, false },
    { SLICE_INIT("@request-target"), put_request_target, false },
    { SLICE_INIT("@scheme"), put_scheme, false },
    { SLICE_INIT("@status"), put_status, true },
};

/* As application/x-www-form-urlencoded escapes, with %20 for a space. */
static void put_form_escaped(struct buf *out, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '*' || c == '-' || c == '.' || c == '_';
        if (plain) {
            buf_putc(out, (char)c);
            continue;
        }
        buf_putc(out, '%');
        buf_putc(out, digits[c >> 4]);
        buf_putc(out, digits[c & 15]);
    }
}

/* Decode and escape again, so that every spelling of a name or value is one. */
static bool form_normal(struct arena *arena, struct slice text, struct slice *ret)
{
    size_t len;
    char *decoded = arena_alloc(arena, text.len + 1);
    if (!decoded || !http__decode(text, /* plus_is_space= */ true, decoded, &len))
        return false;
    struct buf out;
    buf_init(&out, arena, text.len + 16, 3 * text.len + 16);
    put_form_escaped(&out, slice_of(decoded, len));
    *ret = buf_slice(&out);
    return buf_status(&out) == STATUS_OK;
}

static enum status put_query_param(struct arena *arena, const struct http__signed *m,
                                   const struct component *c, struct buf *out)
{
    if (!c->has_query_name || c->has_key || c->structured || c->bytes || m->status)
        return STATUS_INVALID;
    struct slice rest = m->query, part;
    bool found = false;
    while (rest.data && slice_split(&rest, '&', &part)) {
        if (part.len == 0)
            continue;
        size_t equals = slice_find(part, '=');
        struct slice name, value = SLICE("");
        if (!form_normal(arena, slice_head(part, equals), &name))
            return STATUS_INVALID;
        if (!slice_eq(name, c->query_name))
            continue;
        if (found ||
            (equals != SIZE_MAX && !form_normal(arena, slice_from(part, equals + 1), &value)))
            return STATUS_INVALID;
        found = true;
        buf_put_slice(out, value);
    }
    return found ? STATUS_OK : STATUS_INVALID;
}

static enum status put_derived(struct arena *arena, const struct http__signed *m,
                               const struct component *c, struct buf *out)
{
    if (slice_eq(c->name, SLICE("@query-param")))
        return put_query_param(arena, m, c, out);
    if (c->has_key || c->has_query_name || c->structured || c->bytes)
        return STATUS_INVALID;
    for (size_t i = 0; i < ARRAY_LEN(derived); i++) {
        if (!slice_eq(c->name, derived[i].name))
            continue;
        if (derived[i].of_answers != (m->status != 0))
            return STATUS_INVALID;
        derived[i].put(m, out);
        return STATUS_OK;
    }
    return STATUS_INVALID;
}

/* -- fields
 * ---------------------------------------------------------------------------------------------- */

/* What kind of structured field a field is; only these can be covered with ;sf. */
static const struct {
    struct slice name;
    enum http__sf_kind kind;
} known_fields[] = {
    { SLICE_INIT("accept-signature"), HTTP__SF_KIND_DICTIONARY },
    { SLICE_INIT("cache-status"), HTTP__SF_KIND_LIST },
    { SLICE_INIT("cdn-cache-control"), HTTP__SF_KIND_DICTIONARY },
    { SLICE_INIT("client-cert"), HTTP__SF_KIND_ITEM },
    { SLICE_INIT("client-cert-chain"), HTTP__SF_KIND_LIST },
    { SLICE_INIT("content-digest"), HTTP__SF_KIND_DICTIONARY },
    { SLICE_INIT("idempotency-key"), HTTP__SF_KIND_ITEM },
    { SLICE_INIT("priority"), HTTP__SF_KIND_DICTIONARY },
    { SLICE_INIT("proxy-status"), HTTP__SF_KIND_LIST },
    { SLICE_INIT("ratelimit"), HTTP__SF_KIND_LIST },
    { SLICE_INIT("ratelimit-policy"), HTTP__SF_KIND_LIST },
    { SLICE_INIT("repr-digest"), HTTP__SF_KIND_DICTIONARY },
    { SLICE_INIT("signature"), HTTP__SF_KIND_DICTIONARY },
    { SLICE_INIT("signature-input"), HTTP__SF_KIND_DICTIONARY },
    { SLICE_INIT("want-content-digest"), HTTP__SF_KIND_DICTIONARY },
    { SLICE_INIT("want-repr-digest"), HTTP__SF_KIND_DICTIONARY },
};

/* The lines of a field, trimmed, joined with ", ". INVALID: there is none. */
static enum status put_lines(const struct http__signed *m, struct slice name, bool as_bytes,
                             struct buf *out)
{
    bool found = false;
    for (unsigned i = 0; i < m->headers_len; i++) {
        if (!slice_eq_nocase(m->headers[i].name, name))
            continue;
        if (found)
            buf_put_lit(out, ", ");
        found = true;
        struct slice value = slice_trim(m->headers[i].value);
        if (as_bytes)
            http__sf_put_bytes(out, value);
        else
            buf_put_slice(out, value);
    }
    return found ? STATUS_OK : STATUS_INVALID;
}

static enum status parse_field(struct arena *arena, const struct http__signed *m, struct slice name,
                               enum http__sf_kind kind, struct http__sf_list *ret)
{
    struct buf text;
    buf_init(&text, arena, 256, HTTP__BASE_BYTES_MAX);
    enum status st = put_lines(m, name, /* as_bytes= */ false, &text);
    if (st == STATUS_OK)
        st = buf_status(&text);
    if (st != STATUS_OK)
        return st;
    return http__sf_parse(arena, buf_slice(&text), kind, HTTP__SF_MEMBERS_MAX, ret);
}

static enum status put_structured(struct arena *arena, const struct http__signed *m,
                                  struct slice name, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(known_fields); i++) {
        if (!slice_eq(name, known_fields[i].name))
            continue;
        struct http__sf_list list;
        enum status st = parse_field(arena, m, name, known_fields[i].kind, &list);
        return st == STATUS_OK ? http__sf_put(out, known_fields[i].kind, &list) : st;
    }
    return STATUS_INVALID;
}

static enum status put_dictionary_member(struct arena *arena, const struct http__signed *m,
                                         const struct component *c, struct buf *out)
{
    struct http__sf_list list;
    enum status st = parse_field(arena, m, c->name, HTTP__SF_KIND_DICTIONARY, &list);
    if (st != STATUS_OK)
        return st;
    const struct http__sf_member *member = http__sf_get(&list, c->key);
    return member ? http__sf_put_member(out, member) : STATUS_INVALID;
}

static enum status put_field(struct arena *arena, const struct http__signed *m,
                             const struct component *c, struct buf *out)
{
    if (!is_field_name(c->name) || c->has_query_name)
        return STATUS_INVALID;
    if (c->has_key)
        return put_dictionary_member(arena, m, c, out);
    if (c->structured)
        return put_structured(arena, m, c->name, out);
    return put_lines(m, c->name, c->bytes, out);
}

/* -- the base
 * -------------------------------------------------------------------------------------------- */

static bool same_params(const struct http__sf_params *a, const struct http__sf_params *b)
{
    if (a->len != b->len)
        return false;
    for (unsigned i = 0; i < a->len; i++) {
        const struct http__sf_value *other = http__sf_param(b, a->items[i].key);
        if (!other || other->type != a->items[i].value.type ||
            !slice_eq(other->text, a->items[i].value.text))
            return false;
    }
    return true;
}

/* In whatever order their parameters stand. */
static bool is_repeated(const struct http__sf_member *input, unsigned at)
{
    const struct http__sf_item *item = &input->inner[at];
    for (unsigned i = 0; i < at; i++) {
        if (slice_eq(input->inner[i].value.text, item->value.text) &&
            same_params(&input->inner[i].params, &item->params))
            return true;
    }
    return false;
}

static enum status put_line(struct arena *arena, const struct http__signed *m,
                            const struct http__sf_item *item, struct buf *out)
{
    struct component c;
    if (!read_component(item, &c))
        return STATUS_INVALID;
    enum status st = http__sf_put_item(out, item);
    if (st != STATUS_OK)
        return st;
    buf_put_lit(out, ": ");
    st = c.name.data[0] == '@' ? put_derived(arena, m, &c, out) : put_field(arena, m, &c, out);
    buf_putc(out, '\n');
    return st;
}

enum status http__signature_base(struct arena *arena, const struct http__signed *message,
                                 const struct http__sf_member *input, struct buf *out)
{
    if (input->value.type != HTTP__SF_INNER)
        return STATUS_INVALID;
    if (input->inner_len > HTTP__COMPONENTS_MAX)
        return STATUS_TOO_LARGE;
    for (unsigned i = 0; i < input->inner_len; i++) {
        if (is_repeated(input, i))
            return STATUS_INVALID;
        enum status st = put_line(arena, message, &input->inner[i], out);
        if (st != STATUS_OK)
            return st;
    }
    buf_put_lit(out, "\"@signature-params\": ");
    enum status st = http__sf_put_member(out, input);
    return st == STATUS_OK ? buf_status(out) : st;
}

bool http_signature_component(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(derived); i++) {
        if (slice_eq(name, derived[i].name))
            return !derived[i].of_answers;
    }
    return is_field_name(name);
}
