/* contract/schema_uri.c - URIs and IRIs (RFC 3986, 3987), their templates (RFC 6570), and the
 * resolving of references. */
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "contract/schema_private.h"

/* -- characters
 * ------------------------------------------------------------------------------------------------------
 */

/* RFC 3987's ucschar; iprivate besides in a query. */
static bool is_iri_code(uint32_t code, bool query)
{
    if (code < 0xa0 || (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe)
        return false;
    if ((code >= 0xe000 && code <= 0xf8ff) || code >= 0xf0000)
        return query;
    return !(code >= 0xfff0 && code <= 0xffff) && !(code >= 0xe0000 && code <= 0xe0fff);
}

/* Unreserved, sub-delims, percent-encoded, what `extra` adds, and in an IRI letters of all the
 * world. */
static bool are_uri_chars(struct slice s, const char *extra, bool iri)
{
    bool query = strchr(extra, '?') != NULL;
    for (size_t i = 0; i < s.len;) {
        char c = s.data[i];
        if (c == '%') {
            if (i + 2 >= s.len || !schema__is_hex(s.data[i + 1]) || !schema__is_hex(s.data[i + 2]))
                return false;
            i += 3;
        } else if (c & 0x80) {
            if (!iri || !is_iri_code(schema__code_point(s, &i), query))
                return false;
        } else {
            if (!schema__is_alpha(c) && !schema__is_digit(c) &&
                !schema__is_one_of(c, "-._~!$&'()*+,;=") && !schema__is_one_of(c, extra))
                return false;
            i++;
        }
    }
    return true;
}

/* -- parts
 * -----------------------------------------------------------------------------------------------------------
 */

struct uri_parts {
    struct slice scheme, authority, path, query,
        fragment; /* with their delimiters: "x:", "//y", "?z", "#f" */
};

static size_t scheme_len(struct slice s)
{
    size_t colon = slice_find(s, ':');
    if (colon == SIZE_MAX || !colon || !schema__is_alpha(s.data[0]))
        return 0;
    for (size_t i = 0; i < colon; i++)
        if (!schema__is_alpha(s.data[i]) && !schema__is_digit(s.data[i]) &&
            !schema__is_one_of(s.data[i], "+-."))
            return 0;
    return colon;
}

static struct uri_parts split_uri(struct slice s)
{
    struct uri_parts parts = { 0 };
    size_t scheme = scheme_len(s);
    if (scheme) {
        parts.scheme = slice_head(s, scheme + 1);
        s = slice_from(s, scheme + 1);
    }
    size_t hash = slice_find(s, '#');
    if (hash != SIZE_MAX) {
        parts.fragment = slice_from(s, hash);
        s = slice_head(s, hash);
    }
    size_t mark = slice_find(s, '?');
    if (mark != SIZE_MAX) {
        parts.query = slice_from(s, mark);
        s = slice_head(s, mark);
    }
    if (slice_starts(s, SLICE("//"))) {
        size_t slash = slice_find(slice_from(s, 2), '/');
        parts.authority = slash == SIZE_MAX ? s : slice_head(s, slash + 2);
        s = slice_from(s, parts.authority.len);
    }
    parts.path = s;
    return parts;
}

/* "v1.x" in brackets, for addresses to come. */
static bool is_future_address(struct slice s)
{
    size_t at = 1;
    if (s.len < 4 || (s.data[0] | 32) != 'v')
        return false;
    while (at < s.len && schema__is_hex(s.data[at]))
        at++;
    return at > 1 && at + 1 < s.len && s.data[at] == '.' && slice_find(s, '%') == SIZE_MAX &&
           are_uri_chars(slice_from(s, at + 1), ":", false);
}

static bool is_authority(struct slice s, bool iri)
{
    size_t at = slice_find(s, '@'), host_len;
    if (at != SIZE_MAX) {
        if (!are_uri_chars(slice_head(s, at), ":", iri))
            return false;
        s = slice_from(s, at + 1);
    }
    if (s.len && s.data[0] == '[') {
        size_t close = slice_find(s, ']');
        if (close == SIZE_MAX)
            return false;
        struct slice literal = slice_of(s.data + 1, close - 1);
        if (!is_future_address(literal) && !schema__is_ipv6(literal))
            return false;
        host_len = close + 1;
    } else {
        host_len = MIN(slice_find(s, ':'), s.len);
        if (!are_uri_chars(slice_head(s, host_len), "", iri))
            return false;
    }
    struct slice port = slice_from(s, host_len);
    return !port.len || (port.data[0] == ':' && schema__digits_at(port, 1) == port.len - 1);
}

static bool is_resource(struct slice s, bool absolute, bool iri)
{
    struct uri_parts parts = split_uri(s);
    if (absolute && !parts.scheme.len)
        return false;
    /* The first segment of a relative path has no colon: it would be a scheme. */
    if (!parts.scheme.len && !parts.authority.len &&
        slice_find(slice_head(parts.path, slice_find(parts.path, '/')), ':') != SIZE_MAX)
        return false;
    return is_authority(slice_from(parts.authority, 2), iri) &&
           are_uri_chars(parts.path, ":@/", iri) &&
           are_uri_chars(slice_from(parts.query, 1), ":@/?", iri) &&
           are_uri_chars(slice_from(parts.fragment, 1), ":@/?", iri);
}

bool schema__is_uri(struct slice s)
{
    return is_resource(s, true, false);
}

bool schema__is_uri_reference(struct slice s)
{
    return is_resource(s, false, false);
}

bool schema__is_iri(struct slice s)
{
    return is_resource(s, true, true);
}

bool schema__is_iri_reference(struct slice s)
{
    return is_resource(s, false, true);
}

/* -- templates
 * -------------------------------------------------------------------------------------------------------
 */

static bool is_encoded(struct slice s, size_t at)
{
    return at + 2 < s.len && s.data[at] == '%' && schema__is_hex(s.data[at + 1]) &&
           schema__is_hex(s.data[at + 2]);
}

/* Letters, digits, _ and percent-encoded, with single dots between. */
static bool is_variable_name(struct slice s)
{
    struct slice part;
    while (slice_split(&s, '.', &part)) {
        if (!part.len)
            return false;
        for (size_t i = 0; i < part.len; i++) {
            if (is_encoded(part, i))
                i += 2;
            else if (!schema__is_alpha(part.data[i]) && !schema__is_digit(part.data[i]) &&
                     part.data[i] != '_')
                return false;
        }
    }
    return true;
}

static bool is_expression(struct slice s)
{
    struct slice name;
    if (s.data && s.len && schema__is_one_of(s.data[0], "+#./;?&=,!@|"))
        s = slice_from(s, 1);
    if (!s.len)
        return false;
    while (slice_split(&s, ',', &name)) {
        size_t colon = slice_find(name, ':');
        if (colon != SIZE_MAX) {
            struct slice length = slice_from(name, colon + 1);
            if (!length.len || length.len > 4 || schema__digits_at(length, 0) != length.len ||
                length.data[0] == '0')
                return false;
            name = slice_head(name, colon);
        } else if (name.len && name.data[name.len - 1] == '*') {
            name.len--;
        }
        if (!name.len || !is_variable_name(name))
            return false;
    }
    return true;
}

static bool is_literal(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c <= 32 || c == 127 || schema__is_one_of((char)c, "\"'<>\\^`|}") ||
            (c == '%' && !is_encoded(s, i)))
            return false;
    }
    return true;
}

bool schema__is_uri_template(struct slice s)
{
    while (s.len) {
        size_t open = slice_find(s, '{');
        if (!is_literal(slice_head(s, open)))
            return false;
        if (open == SIZE_MAX)
            return true;
        size_t close = slice_find(slice_from(s, open), '}');
        if (close == SIZE_MAX || !is_expression(slice_of(s.data + open + 1, close - 1)))
            return false;
        s = slice_from(s, open + close + 1);
    }
    return true;
}

/* -- resolving references (RFC 3986 section 5.2)
 * ----------------------------------------------------------------------- */

/* Section 5.2.4, into `out` of at least path.len bytes; returns the new length. */
static size_t remove_dots(struct slice path, char *out)
{
    size_t n = 0;
    while (path.len) {
        if (slice_starts(path, SLICE("../"))) {
            path = slice_from(path, 3);
        } else if (slice_starts(path, SLICE("./")) || slice_starts(path, SLICE("/./"))) {
            path = slice_from(path, 2);
        } else if (slice_eq(path, SLICE("/."))) {
            path = SLICE("/");
        } else if (slice_starts(path, SLICE("/../")) || slice_eq(path, SLICE("/.."))) {
            path = path.len == 3 ? SLICE("/") : slice_from(path, 3);
            while (n && out[--n] != '/')
                continue;
        } else if (slice_eq(path, SLICE(".")) || slice_eq(path, SLICE(".."))) {
            break;
        } else {
            size_t end = slice_find(slice_from(path, 1), '/');
            size_t len = end == SIZE_MAX ? path.len : end + 1;
            memcpy(out + n, path.data, len);
            n += len;
            path = slice_from(path, len);
        }
    }
    return n;
}

/* The reference's path after the base's last slash. */
static struct slice merged_path(struct arena *arena, const struct uri_parts *base,
                                struct slice path)
{
    size_t keep = 0;
    for (size_t i = 0; base->path.data && i < base->path.len; i++)
        if (base->path.data[i] == '/')
            keep = i + 1;
    if (!keep && base->authority.len)
        return arena_printf(arena, "/%.*s", SLICE_ARG(path));
    return arena_printf(arena, "%.*s%.*s", SLICE_ARG(slice_head(base->path, keep)),
                        SLICE_ARG(path));
}

struct slice schema__uri_resolve(struct arena *arena, struct slice base, struct slice reference)
{
    struct uri_parts b = split_uri(base), r = split_uri(reference), t = r;
    bool dots = true;
    if (!r.scheme.len) {
        t.scheme = b.scheme;
        if (!r.authority.len) {
            t.authority = b.authority;
            if (!r.path.len) {
                t.path = b.path;
                t.query = r.query.len ? r.query : b.query;
                dots = false;
            } else if (!slice_starts(r.path, SLICE("/"))) {
                t.path = merged_path(arena, &b, r.path);
                if (!t.path.data)
                    return SLICE_NULL;
            }
        }
    }
    /* urn: and the like have paths that are no hierarchy. */
    if (dots && (t.authority.len || (t.path.len && t.path.data[0] == '/'))) {
        char *out = arena_alloc(arena, t.path.len + 1);
        if (!out)
            return SLICE_NULL;
        t.path = slice_of(out, remove_dots(t.path, out));
    }
    return arena_printf(arena, "%.*s%.*s%.*s%.*s%.*s", SLICE_ARG(t.scheme), SLICE_ARG(t.authority),
                        SLICE_ARG(t.path), SLICE_ARG(t.query), SLICE_ARG(t.fragment));
}
