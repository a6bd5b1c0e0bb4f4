/*
 * The formats of JSON Schema's validation vocabulary, section 7.3, asserted. Each is the grammar of its RFC on text that is known
 * to be valid UTF-8. idn-email, idn-hostname, iri and iri-reference are taken by the grammar of their ASCII forms with non-ASCII
 * letters allowed; IDNA's tables of code points are not consulted.
 */
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/macros.h"
#include "contract/pattern.h"
#include "contract/schema_private.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

/* -- time (RFC 3339, appendix A) ----------------------------------------------------------------------------------- */

static bool two_digits(struct slice s, size_t at, int max, int *ret)
{
    if (at + 2 > s.len || !is_digit(s.data[at]) || !is_digit(s.data[at + 1]))
        return false;
    *ret = (s.data[at] - '0') * 10 + (s.data[at + 1] - '0');
    return *ret <= max;
}

static bool is_date(struct slice s)
{
    int32_t days;
    return clock_parse_date(s, &days);
}

static bool is_time(struct slice s)
{
    int hour, minute, second, offset_hour = 0, offset_minute = 0;
    if (!two_digits(s, 0, 23, &hour) || s.len < 9 || s.data[2] != ':' || !two_digits(s, 3, 59, &minute) ||
        s.data[5] != ':' || !two_digits(s, 6, 60, &second))
        return false;
    size_t at = 8;
    if (s.data[at] == '.') {
        size_t digits = 0;
        while (at + 1 + digits < s.len && is_digit(s.data[at + 1 + digits]))
            digits++;
        if (!digits)
            return false;
        at += 1 + digits;
    }
    int sign = 0;
    if (at + 1 == s.len && (s.data[at] == 'Z' || s.data[at] == 'z')) {
        sign = 0;
    } else if (at + 6 == s.len && (s.data[at] == '+' || s.data[at] == '-') && s.data[at + 3] == ':' &&
               two_digits(s, at + 1, 23, &offset_hour) && two_digits(s, at + 4, 59, &offset_minute)) {
        sign = s.data[at] == '+' ? 1 : -1;
    } else {
        return false;
    }
    if (second < 60)
        return true;
    /* A leap second is 23:59:60 UTC. */
    int utc = ((hour - sign * offset_hour) * 60 + minute - sign * offset_minute + 2880) % 1440;
    return utc == 23 * 60 + 59;
}

static bool is_date_time(struct slice s)
{
    return s.len > 11 && is_date(slice_head(s, 10)) && (s.data[10] == 'T' || s.data[10] == 't') &&
           is_time(slice_from(s, 11));
}

static size_t digits_at(struct slice s, size_t at)
{
    size_t n = 0;
    while (at + n < s.len && is_digit(s.data[at + n]))
        n++;
    return n;
}

/* dur-time and dur-date: units in order, without gaps (P1Y2D is not one: years are followed by months). */
static bool is_duration_part(struct slice s, const char *units)
{
    size_t at = 0;
    const char *last = NULL;
    while (at < s.len) {
        size_t n = digits_at(s, at);
        if (!n || at + n >= s.len)
            return false;
        const char *unit = strchr(units, s.data[at + n]);
        if (!unit || !*unit || (last && unit != last + 1))
            return false;
        last = unit;
        at += n + 1;
    }
    return last != NULL;
}

static bool is_duration(struct slice s)
{
    if (s.len < 3 || s.data[0] != 'P')
        return false;
    struct slice rest = slice_from(s, 1);
    if (rest.data[rest.len - 1] == 'W')
        return digits_at(rest, 0) == rest.len - 1;
    size_t t = slice_find(rest, 'T');
    struct slice date = t == SIZE_MAX ? rest : slice_head(rest, t);
    if (date.len && !is_duration_part(date, "YMD"))
        return false;
    return t == SIZE_MAX ? date.len > 0 : is_duration_part(slice_from(rest, t + 1), "HMS");
}

/* -- hosts ------------------------------------------------------------------------------------------------------------ */

static bool is_label(struct slice label, bool idn)
{
    if (!label.len || label.len > 63 || label.data[0] == '-' || label.data[label.len - 1] == '-')
        return false;
    bool ascii = true;
    for (size_t i = 0; i < label.len; i++) {
        char c = label.data[i];
        ascii &= !(c & 0x80);
        if (!is_alpha(c) && !is_digit(c) && c != '-' && !(idn && (c & 0x80)))
            return false;
    }
    /* "--" in places 3 and 4 is kept for A-labels, which are "xn--" and something. */
    if (label.len >= 4 && label.data[2] == '-' && label.data[3] == '-')
        return ascii && label.len > 4 && (label.data[0] | 32) == 'x' && (label.data[1] | 32) == 'n';
    return true;
}

static bool is_host(struct slice s, bool idn)
{
    struct slice label;
    if (!s.len || s.len > 253)
        return false;
    while (slice_split(&s, '.', &label))
        if (!is_label(label, idn))
            return false;
    return true;
}

static bool is_hostname(struct slice s)
{
    return is_host(s, false);
}

static bool is_idn_hostname(struct slice s)
{
    return is_host(s, true);
}

static bool is_ipv4(struct slice s)
{
    struct slice part;
    unsigned parts = 0;
    if (!s.len)
        return false;
    while (slice_split(&s, '.', &part)) {
        int64_t n;
        if (!part.len || part.len > 3 || digits_at(part, 0) != part.len || !slice_to_i64(part, &n) ||
            n > 255 || (part.len > 1 && part.data[0] == '0'))
            return false;
        parts++;
    }
    return parts == 4;
}

/* RFC 4291 section 2.2, without zone. */
static bool is_ipv6(struct slice s)
{
    unsigned groups = 0;
    bool compressed = false;
    size_t at = 0;
    if (s.len < 2 || (s.data[0] == ':' && s.data[1] != ':'))
        return false;
    while (at < s.len) {
        if (s.data[at] == ':' && at + 1 < s.len && s.data[at + 1] == ':') {
            if (compressed)
                return false;
            compressed = true;
            at += 2;
            continue;
        }
        if (s.data[at] == ':') {
            if (!groups || at + 1 >= s.len)
                return false;
            at++;
        }
        size_t n = 0;
        while (at + n < s.len && is_hex(s.data[at + n]))
            n++;
        if (at + n < s.len && s.data[at + n] == '.') {
            groups += 2;
            return is_ipv4(slice_from(s, at)) && (compressed ? groups < 8 : groups == 8);
        }
        if (!n || n > 4)
            return false;
        groups++;
        at += n;
        if (at < s.len && s.data[at] != ':')
            return false;
    }
    return compressed ? groups < 8 : groups == 8;
}

/* -- mail (RFC 5321 section 4.1.2) ----------------------------------------------------------------------------------------- */

static bool is_atom_char(char c, bool idn)
{
    return is_alpha(c) || is_digit(c) || is_one_of(c, "!#$%&'*+/=?^_`{|}~-") || (idn && (c & 0x80));
}

static bool is_local_part(struct slice s, bool idn)
{
    struct slice atom;
    if (!s.len || s.len > 64)
        return false;
    if (s.data[0] == '"') {
        if (s.len < 2 || s.data[s.len - 1] != '"')
            return false;
        for (size_t i = 1; i + 1 < s.len; i++) {
            if (s.data[i] == '\\' && i + 2 < s.len)
                i++;
            else if (s.data[i] == '"' || s.data[i] == '\\' || (unsigned char)s.data[i] < 32)
                return false;
        }
        return true;
    }
    while (slice_split(&s, '.', &atom)) {
        if (!atom.len)
            return false;
        for (size_t i = 0; i < atom.len; i++)
            if (!is_atom_char(atom.data[i], idn))
                return false;
    }
    return true;
}

static bool is_mailbox(struct slice s, bool idn)
{
    size_t at = SIZE_MAX;
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] == '@')
            at = i;
    if (at == SIZE_MAX || !is_local_part(slice_head(s, at), idn))
        return false;
    struct slice domain = slice_from(s, at + 1);
    if (domain.len > 2 && domain.data[0] == '[' && domain.data[domain.len - 1] == ']') {
        struct slice address = slice_of(domain.data + 1, domain.len - 2);
        return slice_starts(address, SLICE("IPv6:")) ? is_ipv6(slice_from(address, 5)) : is_ipv4(address);
    }
    return is_host(domain, idn);
}

static bool is_email(struct slice s)
{
    return is_mailbox(s, false);
}

static bool is_idn_email(struct slice s)
{
    return is_mailbox(s, true);
}

/* -- URIs (RFC 3986, RFC 3987) ------------------------------------------------------------------------------------------------ */

static bool are_uri_chars(struct slice s, const char *extra, bool iri)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == '%') {
            if (i + 2 >= s.len || !is_hex(s.data[i + 1]) || !is_hex(s.data[i + 2]))
                return false;
            i += 2;
        } else if (!is_alpha(c) && !is_digit(c) && !is_one_of(c, "-._~!$&'()*+,;=") && !is_one_of(c, extra) &&
                   !(iri && (c & 0x80))) {
            return false;
        }
    }
    return true;
}

static bool is_authority(struct slice s, bool iri)
{
    size_t at = slice_find(s, '@');
    if (at != SIZE_MAX) {
        if (!are_uri_chars(slice_head(s, at), ":", iri))
            return false;
        s = slice_from(s, at + 1);
    }
    size_t colon = SIZE_MAX;
    if (s.len && s.data[0] == '[') {
        size_t close = slice_find(s, ']');
        if (close == SIZE_MAX)
            return false;
        struct slice literal = slice_of(s.data + 1, close - 1);
        bool future = literal.len > 2 && (literal.data[0] | 32) == 'v' && is_hex(literal.data[1]);
        if (!future && !is_ipv6(literal))
            return false;
        s = slice_from(s, close + 1);
        if (s.len && s.data[0] != ':')
            return false;
        colon = s.len ? 0 : SIZE_MAX;
    } else {
        colon = slice_find(s, ':');
        if (!are_uri_chars(colon == SIZE_MAX ? s : slice_head(s, colon), "", iri))
            return false;
    }
    if (colon == SIZE_MAX)
        return true;
    struct slice port = slice_from(s, colon + 1);
    return digits_at(port, 0) == port.len;
}

static size_t scheme_len(struct slice s)
{
    size_t colon = slice_find(s, ':');
    if (colon == SIZE_MAX || !colon || !is_alpha(s.data[0]))
        return 0;
    for (size_t i = 0; i < colon; i++)
        if (!is_alpha(s.data[i]) && !is_digit(s.data[i]) && !is_one_of(s.data[i], "+-."))
            return 0;
    return colon;
}

static bool is_resource(struct slice s, bool absolute, bool iri)
{
    size_t scheme = scheme_len(s);
    if (absolute && !scheme)
        return false;
    if (scheme)
        s = slice_from(s, scheme + 1);
    size_t hash = slice_find(s, '#');
    if (hash != SIZE_MAX) {
        if (!are_uri_chars(slice_from(s, hash + 1), ":@/?", iri))
            return false;
        s = slice_head(s, hash);
    }
    size_t mark = slice_find(s, '?');
    if (mark != SIZE_MAX) {
        if (!are_uri_chars(slice_from(s, mark + 1), ":@/?", iri))
            return false;
        s = slice_head(s, mark);
    }
    if (slice_starts(s, SLICE("//"))) {
        s = slice_from(s, 2);
        size_t slash = slice_find(s, '/');
        if (!is_authority(slash == SIZE_MAX ? s : slice_head(s, slash), iri))
            return false;
        s = slash == SIZE_MAX ? SLICE_NULL : slice_from(s, slash);
    } else if (!scheme) {
        /* The first segment of a relative path has no colon (path-noscheme). */
        size_t slash = slice_find(s, '/');
        if (slice_find(slash == SIZE_MAX ? s : slice_head(s, slash), ':') != SIZE_MAX)
            return false;
    }
    return are_uri_chars(s, ":@/", iri);
}

static bool is_uri(struct slice s)
{
    return is_resource(s, true, false);
}

static bool is_uri_reference(struct slice s)
{
    return is_resource(s, false, false);
}

static bool is_iri(struct slice s)
{
    return is_resource(s, true, true);
}

static bool is_iri_reference(struct slice s)
{
    return is_resource(s, false, true);
}

/* RFC 6570: literals, and expressions of names with modifiers. */
static bool is_expression(struct slice s)
{
    struct slice name;
    if (s.len && is_one_of(s.data[0], "+#./;?&=,!@|"))
        s = slice_from(s, 1);
    if (!s.len)
        return false;
    while (slice_split(&s, ',', &name)) {
        if (name.len && name.data[name.len - 1] == '*')
            name.len--;
        size_t colon = slice_find(name, ':');
        if (colon != SIZE_MAX) {
            struct slice length = slice_from(name, colon + 1);
            if (!length.len || length.len > 4 || digits_at(length, 0) != length.len || length.data[0] == '0')
                return false;
            name = slice_head(name, colon);
        }
        if (!name.len || !are_uri_chars(name, "", false) || slice_find(name, '-') != SIZE_MAX)
            return false;
    }
    return true;
}

static bool is_uri_template(struct slice s)
{
    while (s.len) {
        size_t open = slice_find(s, '{');
        struct slice literal = open == SIZE_MAX ? s : slice_head(s, open);
        for (size_t i = 0; i < literal.len; i++)
            if ((unsigned char)literal.data[i] <= 32 || is_one_of(literal.data[i], "\"'<>\\^`|}"))
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

/* -- the rest -------------------------------------------------------------------------------------------------------------------- */

static bool is_uuid(struct slice s)
{
    struct uuid unused;
    return uuid_parse(s, &unused);
}

static bool is_json_pointer(struct slice s)
{
    if (s.len && s.data[0] != '/')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] == '~' && (i + 1 >= s.len || (s.data[i + 1] != '0' && s.data[i + 1] != '1')))
            return false;
    return true;
}

static bool is_relative_json_pointer(struct slice s)
{
    size_t n = digits_at(s, 0);
    if (!n || (n > 1 && s.data[0] == '0'))
        return false;
    struct slice rest = slice_from(s, n);
    return slice_eq(rest, SLICE("#")) || is_json_pointer(rest);
}

/* What PCRE2 takes and ECMA-262 does not. */
static bool has_foreign_escape(struct slice s)
{
    for (size_t i = 0; i + 1 < s.len; i++) {
        if (s.data[i] != '\\')
            continue;
        if (is_one_of(s.data[i + 1], "aAeEGhHKNQRVXyYzZ"))
            return true;
        i++;
    }
    return false;
}

static bool is_regex(struct slice s)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, (size_t)1 << 20);
    struct contract_pattern *pattern = NULL;
    struct contract_pattern_error error;
    if (has_foreign_escape(s) || contract_pattern_compile(s, arena, &pattern, &error) != STATUS_OK)
        return false;
    contract_pattern_free(pattern);
    return true;
}

schema_format_fn schema__format_find(struct slice name)
{
    static const struct {
        const char *name;
        schema_format_fn fn;
    } formats[] = {
        { "date-time", is_date_time },
        { "date", is_date },
        { "time", is_time },
        { "duration", is_duration },
        { "email", is_email },
        { "idn-email", is_idn_email },
        { "hostname", is_hostname },
        { "idn-hostname", is_idn_hostname },
        { "ipv4", is_ipv4 },
        { "ipv6", is_ipv6 },
        { "uri", is_uri },
        { "uri-reference", is_uri_reference },
        { "iri", is_iri },
        { "iri-reference", is_iri_reference },
        { "uri-template", is_uri_template },
        { "uuid", is_uuid },
        { "json-pointer", is_json_pointer },
        { "relative-json-pointer", is_relative_json_pointer },
        { "regex", is_regex },
    };
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (slice_eq(name, slice_cstr(formats[i].name)))
            return formats[i].fn;
    return NULL;
}

/* -- resolving references (RFC 3986 section 5.2) -------------------------------------------------------------------------------------- */

struct uri_parts {
    struct slice scheme, authority, path, query, fragment; /* with their delimiters */
};

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

/* Section 5.2.4, into `out` of at least path.len bytes; returns the new length. */
static size_t remove_dots(struct slice path, char *out)
{
    size_t n = 0;
    while (path.len) {
        if (slice_starts(path, SLICE("../"))) {
            path = slice_from(path, 3);
        } else if (slice_starts(path, SLICE("./"))) {
            path = slice_from(path, 2);
        } else if (slice_starts(path, SLICE("/./"))) {
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
static struct slice merged_path(struct arena *arena, const struct uri_parts *base, struct slice path)
{
    size_t keep = 0;
    for (size_t i = 0; i < base->path.len; i++)
        if (base->path.data[i] == '/')
            keep = i + 1;
    if (!keep && base->authority.len)
        return arena_printf(arena, "/%.*s", SLICE_ARG(path));
    return arena_printf(arena, "%.*s%.*s", (int)keep, keep ? base->path.data : "", SLICE_ARG(path));
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
            } else if (r.path.data[0] != '/') {
                t.path = merged_path(arena, &b, r.path);
            }
        }
    }
    /* urn: and the like have paths that are no hierarchy. */
    if (dots && (t.authority.len || (t.path.len && t.path.data[0] == '/'))) {
        char *out = arena_alloc(arena, t.path.len + 1);
        t.path = slice_of(out, out ? remove_dots(t.path, out) : 0);
    }
    return arena_printf(arena, "%.*s%.*s%.*s%.*s%.*s", SLICE_ARG(t.scheme), SLICE_ARG(t.authority),
                        SLICE_ARG(t.path), SLICE_ARG(t.query), SLICE_ARG(t.fragment));
}
