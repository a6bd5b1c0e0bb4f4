/*
 * http/https.c - The clear port sends clients to https (RFC 9110 section 15.4.9: 308 keeps the
 * method). Answered in clear all the same: health and metrics, which probes ask for by address, and
 * the challenges of RFC 8555 section 8.3, whose answers the authority fetches there. A unix socket
 * is no clear port: whoever may open it is on this machine.
 */
#include "http/internal.h"

#include "base/arena.h"

static bool is_exempt(const struct http_request *req)
{
    return req->refused || (req->route && req->route->route.quiet) ||
           slice_starts(http_path(req), SLICE("/.well-known/acme-challenge/"));
}

/* "a.example:8000" -> "a.example", "[::1]:8000" -> "[::1]". */
static struct slice without_port(struct slice host)
{
    size_t end = host.len > 0 && host.data[0] == '[' ? slice_find(host, ']') : 0;
    size_t colon = end == SIZE_MAX ? SIZE_MAX : slice_find(slice_from(host, end), ':');
    return colon == SIZE_MAX ? host : slice_head(host, end + colon);
}

static struct slice location_of(struct http_request *req, unsigned port)
{
    const struct net_request *r = http_net(req);
    struct slice host = without_port(http_client_host(req));
    struct buf out;
    buf_init(&out, http_arena(req), host.len + r->target.len + 24, 128 * 1024);
    buf_printf(&out, "https://%.*s", SLICE_ARG(host));
    if (port != 443)
        buf_printf(&out, ":%u", port);
    if (slice_starts(r->target, SLICE("/"))) {
        buf_put_slice(&out, r->target);
    } else { /* absolute form, or "*" */
        buf_put_slice(&out, slice_starts(r->path, SLICE("/")) ? r->path : SLICE("/"));
        if (r->query.data)
            buf_printf(&out, "?%.*s", SLICE_ARG(r->query));
    }
    return buf_status(&out) == STATUS_OK ? buf_slice(&out) : SLICE_NULL;
}

static bool before(struct http_request *req)
{
    unsigned port = __atomic_load_n(&req->app->https_port, __ATOMIC_RELAXED);
    if (!port || slice_eq(http_client_scheme(req), SLICE("https")) ||
        slice_eq(net_peer(req->x), SLICE("unix")) || is_exempt(req))
        return true;
    struct slice location = http_client_host(req).len ? location_of(req, port) : SLICE_NULL;
    if (!location.len) { /* HTTP/1.0 without a Host: there is no name to send it to */
        http__send_simple(req, STATUS_INVALID, 400, "http/https-required",
                          "This is served by https only.");
        return false;
    }
    http__step_header(req, SLICE("Location"), location);
    http_send_empty(req, 308);
    return false;
}

void http_app_https_set(struct http_app *app, unsigned port)
{
    __atomic_store_n(&app->https_port, port, __ATOMIC_RELAXED);
}

const struct http__step http__step_https = {
    .name = "https",
    .before = before,
};
