/*
 * net/url.c - URLs of requests that we make. One reading only: where two programs could disagree on
 * whom a URL names, a guard could be led past, so such a URL is refused (RFC 3986, and the traps of
 * the WHATWG's parser).
 */
#include "net/client.h"

#include <string.h>

#include "base/arena.h"

#define URL_BYTES_MAX 8192u
#define HOST_BYTES_MAX 253u
#define LABEL_BYTES_MAX 63u

struct url_parts {
    struct slice authority, host, port, target;
};

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= 0x20 || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>' || c == '`' ||
            c == '{' || c == '}' || c == '|' || c == '^')
            return false;
    }
    return true;
}

/* "scheme://authority" apart from the rest. NULL, or what is wrong. */
static const char *split(struct slice text, struct net_url *url, struct url_parts *parts)
{
    size_t skip = 0;
    if (text.len >= 8 && slice_eq_nocase(slice_head(text, 8), SLICE("https://"))) {
        url->is_tls = true;
        skip = 8;
    } else if (text.len >= 7 && slice_eq_nocase(slice_head(text, 7), SLICE("http://"))) {
        skip = 7;
    } else {
        return "The URL must begin with http:// or https://.";
    }
    struct slice rest = slice_from(text, skip);
    size_t end = 0;
    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?' &&
           rest.data[end] != '#')
        end++;
    parts->authority = slice_head(rest, end);
    rest = slice_from(rest, end);
    size_t fragment = slice_find(rest, '#');
    parts->target = slice_head(rest, fragment);
    if (slice_find(parts->authority, '@') != SIZE_MAX)
        return "The URL may not contain a user name or password.";
    return NULL;
}

static const char *split_port(struct url_parts *parts, struct net_url *url)
{
    struct slice a = parts->authority;
    size_t colon;
    if (a.len && a.data[0] == '[') {
        size_t close = slice_find(a, ']');
        if (close == SIZE_MAX)
            return "The URL's host has a bracket that does not close.";
        parts->host = slice_head(a, close + 1);
        if (close + 1 < a.len && a.data[close + 1] != ':')
            return "The URL's host is malformed.";
        colon = close + 1 < a.len ? close + 1 : SIZE_MAX;
    } else {
        colon = slice_find(a, ':');
        parts->host = slice_head(a, colon);
    }
    url->port = url->is_tls ? 443 : 80;
    if (colon == SIZE_MAX)
        return NULL;
    parts->port = slice_from(a, colon + 1);
    int64_t port;
    if (parts->port.len == 0)
        return NULL; /* "http://host:/" is the scheme's port: RFC 3986 3.2.3 */
    if (parts->port.data[0] < '0' || parts->port.data[0] > '9' ||
        !slice_to_i64(parts->port, &port) || port < 1 || port > 65535)
        return "The URL's port must be a number from 1 to 65535.";
    url->port = (unsigned)port;
    return NULL;
}

/* Letters, digits, "-" and "_" in labels; no empty label. */
static bool is_name(struct slice host)
{
    size_t label = 0;
    if (host.len == 0 || host.len > HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        bool is_part = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!is_part || ++label > LABEL_BYTES_MAX) {
            return false;
        }
    }
    return label > 0;
}

/* Would some program take this name for an address? "127.1", "0x7f000001", "017700000001". */
static bool ends_in_number(struct slice host)
{
    size_t at = host.len;
    while (at > 0 && host.data[at - 1] != '.')
        at--;
    struct slice last = slice_from(host, at);
    if (last.len >= 2 && last.data[0] == '0' && last.data[1] == 'x')
        return true;
    for (size_t i = 0; i < last.len; i++) {
        if (last.data[i] < '0' || last.data[i] > '9')
            return false;
    }
    return true;
}

/* The host in its one spelling, into url->host. NULL, or what is wrong. */
static const char *settle_host(char *text, size_t len, struct net_url *url)
{
    if (len && text[0] == '[') {
        url->host = slice_of(text + 1, len - 2);
        url->is_literal =
            slice_find(url->host, ':') != SIZE_MAX && address_parse(url->host, &url->address);
        return url->is_literal ? NULL : "The URL's host is no IPv6 address.";
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] | 0x20);
        if (text[i] == '%')
            return "The URL's host may not be percent-encoded.";
    }
    if (len > 1 && text[len - 1] == '.')
        len--;
    url->host = slice_of(text, len);
    if (!is_name(url->host))
        return "The URL's host is not a host name.";
    if (!ends_in_number(url->host))
        return NULL;
    url->is_literal = address_parse(url->host, &url->address);
    return url->is_literal ? NULL
                           : "The URL's host looks like an address, but is not one in dotted "
                             "decimal form.";
}

/* Host as it is sent, and the target, which starts with a slash. */
static enum status settle_rest(struct arena *arena, const struct url_parts *parts,
                               struct net_url *url)
{
    bool is_v6 = slice_find(url->host, ':') != SIZE_MAX;
    if (url->port == (url->is_tls ? 443u : 80u))
        url->authority = arena_printf(arena, is_v6 ? "[%.*s]" : "%.*s", SLICE_ARG(url->host));
    else
        url->authority =
            arena_printf(arena, is_v6 ? "[%.*s]:%u" : "%.*s:%u", SLICE_ARG(url->host), url->port);
    url->target = parts->target;
    if (parts->target.len == 0)
        url->target = SLICE("/");
    else if (parts->target.data[0] == '?')
        url->target = arena_printf(arena, "/%.*s", SLICE_ARG(parts->target));
    return url->authority.data && url->target.data ? STATUS_OK : STATUS_EXHAUSTED;
}

enum status net_url_parse(struct arena *arena, struct slice text, struct net_url *ret_url,
                          const char **ret_reason)
{
    struct net_url url = { .is_tls = false };
    struct url_parts parts = { .port = SLICE_NULL };
    if (text.len > URL_BYTES_MAX)
        *ret_reason = "The URL is longer than 8192 bytes.";
    else if (!is_printable(text))
        *ret_reason = "The URL has characters that must be percent-encoded (or, in the host, "
                      "written in their \"xn--\" form).";
    else
        *ret_reason = split(text, &url, &parts);
    if (!*ret_reason)
        *ret_reason = split_port(&parts, &url);
    if (*ret_reason)
        return STATUS_INVALID;
    if (parts.host.len == 0) {
        *ret_reason = "The URL has no host.";
        return STATUS_INVALID;
    }
    char *host = arena_alloc(arena, parts.host.len);
    if (!host)
        return STATUS_EXHAUSTED;
    memcpy(host, parts.host.data, parts.host.len);
    *ret_reason = settle_host(host, parts.host.len, &url);
    if (*ret_reason)
        return STATUS_INVALID;
    enum status st = settle_rest(arena, &parts, &url);
    if (st == STATUS_OK)
        *ret_url = url;
    return st;
}
