/*
 * http/forwarded.c - What proxies say of the hops a request took: the grammars of Forwarded (RFC
 * 7239) and of the X-Forwarded-* family. Only reading; whom to believe is client_address.c's.
 */
#include "http/internal.h"

#include <string.h>

#include "base/macros.h"

/* Older ones make room: who is believed is found from the end. */
static struct http__hop *hop_add(struct http__hops *hops)
{
    if (hops->len == HTTP__HOPS_MAX) {
        memmove(hops->items, hops->items + 1, (HTTP__HOPS_MAX - 1) * sizeof(hops->items[0]));
        hops->len--;
    }
    struct http__hop *hop = &hops->items[hops->len++];
    *hop = (struct http__hop){ 0 };
    return hop;
}

/* -- X-Forwarded-*
 * ---------------------------------------------------------------------------------------- */

void http__x_forwarded_parse(struct slice value, struct http__hops *hops)
{
    struct slice rest = value, part;
    while (rest.data && slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (part.len)
            hop_add(hops)->node = part;
    }
}

/* -- Forwarded
 * -------------------------------------------------------------------------------------------- */

static bool is_token_char(char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c && memchr(others, c, sizeof(others) - 1));
}

static void skip_space(struct slice *rest)
{
    while (rest->len && (rest->data[0] == ' ' || rest->data[0] == '\t'))
        *rest = slice_from(*rest, 1);
}

static bool take_token(struct slice *rest, struct slice *ret)
{
    size_t n = 0;
    while (n < rest->len && is_token_char(rest->data[n]))
        n++;
    *ret = slice_head(*rest, n);
    *rest = slice_from(*rest, n);
    return n > 0;
}

/* A value with escapes means nothing to us: no address, scheme or host has any. It is empty then.
 */
static bool take_quoted(struct slice *rest, struct slice *ret)
{
    bool has_escapes = false;
    for (size_t i = 1; i < rest->len; i++) {
        if (rest->data[i] == '\\') {
            has_escapes = true;
            i++;
        } else if (rest->data[i] == '"') {
            *ret = has_escapes ? SLICE("") : slice_of(rest->data + 1, i - 1);
            *rest = slice_from(*rest, i + 1);
            return true;
        }
    }
    return false;
}

static bool take_value(struct slice *rest, struct slice *ret)
{
    if (rest->len && rest->data[0] == '"')
        return take_quoted(rest, ret);
    return take_token(rest, ret);
}

/* for=192.0.2.1 into the hop; False when it is named twice. */
static bool put_pair(struct http__hop *hop, struct slice name, struct slice value)
{
    struct slice *at = NULL;
    if (slice_eq_nocase(name, SLICE("for")))
        at = &hop->node;
    else if (slice_eq_nocase(name, SLICE("proto")))
        at = &hop->proto;
    else if (slice_eq_nocase(name, SLICE("host")))
        at = &hop->host;
    if (!at)
        return true; /* by, and what others add */
    if (at->data)
        return false;
    *at = value;
    return true;
}

/* One element up to a comma or the end. */
static bool take_element(struct slice *rest, struct http__hops *hops)
{
    struct http__hop *hop = NULL;
    for (;;) {
        struct slice name, value;
        skip_space(rest);
        if (rest->len && rest->data[0] != ',' && rest->data[0] != ';') {
            if (!take_token(rest, &name) || !rest->len || rest->data[0] != '=')
                return false;
            *rest = slice_from(*rest, 1);
            if (!take_value(rest, &value))
                return false;
            hop = hop ? hop : hop_add(hops);
            if (!put_pair(hop, name, value))
                return false;
            skip_space(rest);
        }
        if (rest->len == 0 || rest->data[0] == ',')
            return true;
        if (rest->data[0] != ';')
            return false;
        *rest = slice_from(*rest, 1);
    }
}

bool http__forwarded_parse(struct slice value, struct http__hops *hops)
{
    struct slice rest = value;
    while (rest.len) {
        if (!take_element(&rest, hops))
            return false;
        rest = slice_from(rest, 1); /* the comma */
    }
    return true;
}
