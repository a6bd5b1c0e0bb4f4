/*
 * http/host.c - The names that are answered to (server.hosts). A request for another name was sent
 * here by somebody's DNS, not by a link of ours: links and redirects made from it would be theirs.
 *
 * Balancers ask for the health of an address, not of a name: quiet routes (health, metrics) answer
 * to every address literal too.
 */
#include "http/internal.h"

#include "base/address.h"
#include "base/macros.h"

/* Without port, and without the dot that a fully qualified name may end with. */
static struct slice name_of(struct slice host)
{
    if (host.len && host.data[0] == '[') {
        size_t end = slice_find(host, ']');
        return end == SIZE_MAX ? host : slice_of(host.data + 1, end - 1);
    }
    struct slice name = slice_head(host, MIN(slice_find(host, ':'), host.len));
    if (name.len > 1 && name.data[name.len - 1] == '.')
        name.len--;
    return name;
}

bool http__host_matches(struct slice pattern, struct slice name)
{
    if (slice_eq(pattern, SLICE("*")))
        return true;
    if (!slice_starts(pattern, SLICE("*.")))
        return slice_eq_nocase(pattern, name);
    /* "*.example.org": one label or more before it, as in certificates and then some; not the name
     * alone. */
    struct slice tail = slice_from(pattern, 1);
    return name.len > tail.len && slice_eq_nocase(slice_from(name, name.len - tail.len), tail);
}

static bool is_allowed(const struct http_request *req, struct slice name)
{
    const struct http_settings *o = req->settings;
    for (unsigned i = 0; i < o->hosts_len; i++) {
        if (http__host_matches(o->hosts[i], name))
            return true;
    }
    struct address unused;
    bool is_quiet = req->route && req->route->route.quiet;
    return is_quiet && address_parse(name, &unused);
}

/* An https URL asked for in clear: only a gateway, which had it over TLS, may do that (RFC
 * 9110 7.4). */
static bool is_misdirected(const struct http_request *req)
{
    struct slice target = http_net(req)->target;
    if (LIKELY(slice_starts(target, SLICE("/"))) ||
        !slice_eq_nocase(slice_head(target, 6), SLICE("https:")))
        return false;
    return !slice_eq(http_client_scheme(req), SLICE("https")) && !http__peer_is_trusted(req);
}

static bool before(struct http_request *req)
{
    if (UNLIKELY(!req->refused && is_misdirected(req))) {
        http__send_simple(req, STATUS_INVALID, 421, "http/misdirected",
                          "An https URL is not served over a connection in clear.");
        return false;
    }
    if (req->settings->hosts_len == 0 || req->refused ||
        is_allowed(req, name_of(http_client_host(req))))
        return true;
    http__send_simple(req, STATUS_INVALID, 421, "http/unknown-host",
                      "Nothing is served under this name. Is it missing in server.hosts?");
    return false;
}

const struct http__step http__step_host = {
    .name = "host",
    .before = before,
};
