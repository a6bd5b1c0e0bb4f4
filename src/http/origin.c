/*
 * http/origin.c - Lists of web origins, as CORS and CSRF trust them.
 *
 * An origin is compared as browsers write it: lower case, no default port, no path. What is not
 * written so is another origin: there is no normalising on the way in, so nothing that looks
 * alike (a dot at the end, an upper-case host, a port of its own) gets in with it. A pattern
 * "https://<star>.example.org" is for hosts under example.org, at any depth, not for itself.
 */
#include "http/internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/macros.h"

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels joined by dots, at least `labels_min` of them. */
static bool is_host(struct slice host, unsigned labels_min)
{
    unsigned labels = 0;
    struct slice rest = host, label;
    if (host.len == 0 || host.len > 253)
        return false;
    while (slice_split(&rest, '.', &label)) {
        if (label.len == 0 || label.len > 63)
            return false;
        for (size_t i = 0; i < label.len; i++) {
            if (!is_host_char(label.data[i]))
                return false;
        }
        labels++;
    }
    return labels >= labels_min;
}

static bool is_ipv6(struct slice host)
{
    if (host.len < 4 || host.data[0] != '[' || host.data[host.len - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < host.len; i++) {
        char c = host.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && c != ':' && c != '.')
            return false;
    }
    return true;
}

static bool is_scheme(struct slice scheme)
{
    if (scheme.len == 0 || scheme.data[0] < 'a' || scheme.data[0] > 'z')
        return false;
    for (size_t i = 0; i < scheme.len; i++) {
        char c = scheme.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '-' && c != '.')
            return false;
    }
    return true;
}

/* Take a port off the end of a host; false when it is none. */
static bool split_port(struct slice *host, int64_t *ret_port)
{
    size_t bracket = slice_find(*host, ']');
    size_t from = bracket == SIZE_MAX ? 0 : bracket;
    size_t colon = slice_find(slice_from(*host, from), ':');
    *ret_port = 0;
    if (colon == SIZE_MAX)
        return true;
    struct slice digits = slice_from(*host, from + colon + 1);
    *host = slice_head(*host, from + colon);
    return digits.len && digits.data[0] != '-' && slice_to_i64(digits, ret_port) &&
           *ret_port >= 1 && *ret_port <= 65535;
}

static const char not_an_origin[] =
    "must be origins such as https://app.example.org: a scheme, a host and at most a port";

/* `text` is in lower case and ours to keep. */
static const char *origin_parse(struct slice text, struct http__origin *ret)
{
    size_t colon = slice_find_slice(text, SLICE("://"));
    if (colon == SIZE_MAX || !is_scheme(slice_head(text, colon)))
        return not_an_origin;
    struct slice scheme = slice_head(text, colon), host = slice_from(text, colon + 3);
    struct slice authority = host;
    int64_t port;
    if (!split_port(&host, &port))
        return not_an_origin;
    bool is_default = (port == 443 && slice_eq(scheme, SLICE("https"))) ||
                      (port == 80 && slice_eq(scheme, SLICE("http")));
    if (is_default)
        authority = host;
    *ret = (struct http__origin){ .text = slice_head(text, colon + 3 + authority.len) };
    if (!slice_starts(host, SLICE("*")))
        return is_host(host, 1) || is_ipv6(host) ? NULL : not_an_origin;
    if (!slice_starts(host, SLICE("*.")) || !is_host(slice_from(host, 2), 2))
        return "may have a star for the first label only, before at least two others: "
               "https://*.example.org";
    ret->scheme = slice_head(text, colon + 3);
    ret->suffix = slice_from(authority, 1);
    return NULL;
}

const char *http__origins_parse(struct arena *arena, struct slice list, struct http__origins *ret)
{
    *ret = (struct http__origins){ .len = 0 };
    if (list.len == 0) /* most policies: no room is taken for what is not there */
        return NULL;
    char *text = arena_alloc(arena, list.len);
    struct http__origin *items = arena_array_of(arena, struct http__origin, HTTP__ORIGINS_MAX);
    if (!text || !items)
        return "do not fit into memory";
    for (size_t i = 0; i < list.len; i++)
        text[i] = (char)(list.data[i] | (list.data[i] >= 'A' && list.data[i] <= 'Z' ? 0x20 : 0));
    struct slice rest = slice_of(text, list.len), part;
    ret->items = items;
    while (slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (slice_eq(part, SLICE("*"))) {
            ret->any = true;
        } else if (slice_eq(part, SLICE("null"))) {
            ret->null = true;
        } else {
            if (ret->len == HTTP__ORIGINS_MAX)
                return "are too many: at most 64";
            const char *wrong = origin_parse(part, &items[ret->len]);
            if (wrong)
                return wrong;
            ret->len++;
        }
    }
    if (ret->any && (ret->len || ret->null))
        return "are either `*` or a list";
    return NULL;
}

static bool matches(const struct http__origin *o, struct slice origin)
{
    if (!o->suffix.len)
        return slice_eq(o->text, origin);
    if (origin.len <= o->scheme.len + o->suffix.len || !slice_starts(origin, o->scheme) ||
        !slice_ends(origin, o->suffix))
        return false;
    size_t labels = origin.len - o->scheme.len - o->suffix.len;
    return is_host(slice_of(origin.data + o->scheme.len, labels), 1);
}

bool http__origins_have(const struct http__origins *origins, struct slice origin)
{
    if (slice_eq(origin, SLICE("null")))
        return origins->null;
    for (unsigned i = 0; i < origins->len; i++) {
        if (matches(&origins->items[i], origin))
            return true;
    }
    return false;
}
