/* identity/relying_party.c - The relying party, from the issuer's URL. */
#include "identity/relying_party.h"

#include <string.h>

#include "base/arena.h"

static bool is_digits_and_dots(struct slice host)
{
    for (size_t i = 0; i < host.len; i++)
        if (!((host.data[i] >= '0' && host.data[i] <= '9') || host.data[i] == '.'))
            return false;
    return true;
}

static struct slice lower(struct arena *arena, struct slice text)
{
    char *out = arena_alloc(arena, text.len);
    for (size_t i = 0; out && i < text.len; i++) {
        char c = text.data[i];
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    return slice_of(out, out ? text.len : 0);
}

/* "https://host:port/path" -> scheme, host, ":port". */
static enum status take_apart(struct slice url, struct slice *ret_scheme, struct slice *ret_host,
                              struct slice *ret_port)
{
    size_t at = slice_find_slice(url, SLICE("://"));
    if (at == SIZE_MAX)
        return STATUS_INVALID;
    *ret_scheme = slice_head(url, at);
    struct slice rest = slice_from(url, at + 3);
    size_t end = slice_find(rest, '/');
    rest = slice_head(rest, end == SIZE_MAX ? rest.len : end);
    size_t host_end = rest.len && rest.data[0] == '[' ? slice_find(rest, ']') : 0;
    if (host_end == SIZE_MAX)
        return STATUS_INVALID;
    size_t colon = slice_find(slice_from(rest, host_end), ':');
    size_t host_len = colon == SIZE_MAX ? rest.len : host_end + colon;
    *ret_host = slice_head(rest, host_len);
    *ret_port = slice_from(rest, host_len);
    return ret_host->len ? STATUS_OK : STATUS_INVALID;
}

/* Browsers leave the port away that the scheme has anyway. */
static bool is_default_port(struct slice scheme, struct slice port)
{
    return (slice_eq(scheme, SLICE("https")) && slice_eq(port, SLICE(":443"))) ||
           (slice_eq(scheme, SLICE("http")) && slice_eq(port, SLICE(":80")));
}

enum status identity_relying_party_of(struct arena *arena, struct slice issuer,
                                      struct identity_relying_party *ret)
{
    struct slice scheme, host, port, url = lower(arena, issuer);
    if (issuer.len && !url.len)
        return STATUS_EXHAUSTED;
    enum status st = take_apart(url, &scheme, &host, &port);
    if (st != STATUS_OK)
        return st;
    bool is_loopback = (is_digits_and_dots(host) && slice_starts(host, SLICE("127."))) ||
                       slice_eq(host, SLICE("[::1]"));
    if (is_loopback)
        host = SLICE("localhost");
    else if (host.data[0] == '[' || is_digits_and_dots(host))
        return STATUS_INVALID;
    if (is_default_port(scheme, port))
        port = SLICE("");
    ret->origin =
        arena_printf(arena, "%.*s://%.*s%.*s", SLICE_ARG(scheme), SLICE_ARG(host), SLICE_ARG(port));
    ret->id = host;
    ret->related = SLICE_NULL;
    ret->id_cstr = arena_cstr(arena, host);
    return ret->origin.data && ret->id_cstr ? STATUS_OK : STATUS_EXHAUSTED;
}
