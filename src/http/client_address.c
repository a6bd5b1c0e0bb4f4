/*
 * http/client_address.c - Whose request it is, resolved once for everything that asks: limits,
 * logs, links.
 *
 * A proxy that is trusted (server.trusted_proxies) adds to Forwarded or X-Forwarded-For whom it had
 * the request from. So the list is read from its end: as long as the address that added an entry is
 * trusted, the entry is believed; the first address that is not trusted is the client. What stands
 * before it, the client may have written itself.
 *
 * A proxy that writes one family of headers lets the other through as the client sent it. Where
 * nothing says which family the proxies write (server.forwarded: auto) and a request has both, they
 * have to agree; else neither is believed.
 */
#include "http/internal.h"

#include "base/log.h"
#include "base/macros.h"

struct view {
    struct address address;
    bool has_address;
    struct slice scheme, host; /* data NULL: not said */
};

static bool is_trusted(const struct http_settings *settings, const struct address *a)
{
    const struct address_set *proxies = settings->proxies;
    if (!proxies)
        return false;
    return a ? address_set_has(proxies, a) : proxies->has_unix;
}

static struct slice scheme_of(struct slice proto)
{
    if (slice_eq_nocase(proto, SLICE("https")) || slice_eq_nocase(proto, SLICE("wss")))
        return SLICE("https");
    if (slice_eq_nocase(proto, SLICE("http")) || slice_eq_nocase(proto, SLICE("ws")))
        return SLICE("http");
    return SLICE_NULL;
}

/* Take over what a believed hop says. */
static void put_facts(struct view *view, const struct http__hop *hop)
{
    struct slice scheme = scheme_of(hop->proto);
    if (scheme.len)
        view->scheme = scheme;
    if (hop->host.len && net_authority_is_valid(hop->host))
        view->host = hop->host;
}

static void walk(const struct http_settings *settings, const struct http__hops *hops,
                 struct view *view)
{
    for (unsigned i = hops->len; i > 0; i--) {
        const struct http__hop *hop = &hops->items[i - 1];
        put_facts(view, hop);
        /* "unknown", "_hidden" and nonsense: behind the last proxy nobody is known. */
        if (!address_parse_node(hop->node, &view->address))
            return;
        view->has_address = true;
        if (!is_trusted(settings, &view->address))
            return;
    }
}

/* -- the two families
 * ------------------------------------------------------------------------------------- */

static bool view_forwarded(const struct http_settings *settings, const struct net_request *r,
                           struct view *view)
{
    struct http__hops hops;
    hops.len = 0;
    for (unsigned i = 0; i < r->headers_len; i++) {
        if (r->headers[i].id == NET_HEADER_FORWARDED &&
            !http__forwarded_parse(r->headers[i].value, &hops))
            return false; /* a quote left open may hide what the proxy added: believe none of it */
    }
    walk(settings, &hops, view);
    return true;
}

/* Proto and Host have an entry a hop as For has, or one for all; of those the last is the nearest
 * proxy's. */
static void align(struct http__hops *hops, const struct http__hops *values, bool is_proto,
                  struct view *view)
{
    if (values->len == 0)
        return;
    struct slice last = values->items[values->len - 1].node;
    const struct http__hop for_all = { .proto = is_proto ? last : SLICE_NULL,
                                       .host = is_proto ? SLICE_NULL : last };
    put_facts(view, &for_all);
    if (values->len != hops->len)
        return;
    for (unsigned i = 0; i < hops->len; i++) {
        if (is_proto)
            hops->items[i].proto = values->items[i].node;
        else
            hops->items[i].host = values->items[i].node;
    }
}

static void collect(const struct net_request *r, enum net_header_id id, struct http__hops *hops)
{
    hops->len = 0;
    for (unsigned i = 0; i < r->headers_len; i++) {
        if (r->headers[i].id == id)
            http__x_forwarded_parse(r->headers[i].value, hops);
    }
}

static void view_x(const struct http_settings *settings, const struct net_request *r,
                   struct view *view)
{
    struct http__hops hops, values;
    collect(r, NET_HEADER_X_FORWARDED_FOR, &hops);
    collect(r, NET_HEADER_X_FORWARDED_PROTO, &values);
    align(&hops, &values, true, view);
    collect(r, NET_HEADER_X_FORWARDED_HOST, &values);
    align(&hops, &values, false, view);
    walk(settings, &hops, view);
}

/* -- the step
 * --------------------------------------------------------------------------------------------- */

static bool has_x(const struct net_request *r)
{
    return r->by_id[NET_HEADER_X_FORWARDED_FOR] >= 0 ||
           r->by_id[NET_HEADER_X_FORWARDED_PROTO] >= 0 ||
           r->by_id[NET_HEADER_X_FORWARDED_HOST] >= 0;
}

/* A second time says nothing new, and anybody can send such a header. */
static bool is_first(bool *told)
{
    return !__atomic_load_n(told, __ATOMIC_RELAXED) &&
           !__atomic_exchange_n(told, true, __ATOMIC_RELAXED);
}

static void warn_unlisted(struct http_request *req)
{
    if (req->settings->forwarded != HTTP_FORWARDED_OFF && is_first(&req->app->told_unlisted))
        log_warn("http.unlisted_proxy", LOG_TEXT("peer", net_peer(req->x)),
                 LOG_CSTR("hint", "its forwarding headers are ignored; if it is a proxy of yours, "
                                  "list it in server.trusted_proxies"));
}

static void warn_conflict(struct http_request *req)
{
    if (is_first(&req->app->told_conflict))
        log_warn("http.forwarded_conflict", LOG_TEXT("peer", net_peer(req->x)),
                 LOG_CSTR("hint", "Forwarded and X-Forwarded-For disagree and both are ignored; "
                                  "say in server.forwarded which of them the proxy writes"));
}

static bool agree(const struct view *a, const struct view *b)
{
    return a->has_address == b->has_address &&
           (!a->has_address || address_eq(&a->address, &b->address));
}

/* Of a trusted peer's headers, what is believed. */
static void resolve(struct http_request *req, const struct net_request *r, struct view *view)
{
    enum http_forwarded mode = req->settings->forwarded;
    bool reads_rfc = r->by_id[NET_HEADER_FORWARDED] >= 0 &&
                     (mode == HTTP_FORWARDED_AUTO || mode == HTTP_FORWARDED_RFC7239);
    bool reads_x = has_x(r) && (mode == HTTP_FORWARDED_AUTO || mode == HTTP_FORWARDED_X);
    struct view rfc = *view, x = *view;
    if (reads_rfc && !view_forwarded(req->settings, r, &rfc)) {
        rfc = *view; /* malformed: nobody is known behind the peer */
    }
    if (reads_x)
        view_x(req->settings, r, &x);
    if (reads_rfc && reads_x && !agree(&rfc, &x)) {
        warn_conflict(req);
    } else if (reads_rfc) {
        *view = rfc;
        view->scheme = rfc.scheme.len ? rfc.scheme : x.scheme;
        view->host = rfc.host.len ? rfc.host : x.host;
    } else if (reads_x) {
        *view = x;
    }
}

bool http__peer_is_trusted(const struct http_request *req)
{
    return is_trusted(req->settings, net_peer_address(req->x));
}

static bool before(struct http_request *req)
{
    const struct net_request *r = http_net(req);
    const struct address *peer = net_peer_address(req->x);
    req->client_ip = net_peer(req->x);
    req->client_host = r->host;
    req->client_scheme =
        net_is_secure(req->x) || net_was_secure(req->x) ? SLICE("https") : SLICE("http");
    req->has_client_address = peer != NULL;
    if (peer)
        req->client_address = *peer;
    if (LIKELY(r->by_id[NET_HEADER_FORWARDED] < 0 && !has_x(r)))
        return true;
    if (!is_trusted(req->settings, peer)) {
        warn_unlisted(req);
        return true;
    }
    struct view view = { .has_address = req->has_client_address, .address = req->client_address };
    resolve(req, r, &view);
    if (view.has_address) {
        req->client_address = view.address;
        req->client_ip = address_format(&view.address, req->client_text);
    }
    req->has_client_address = view.has_address;
    if (view.scheme.len)
        req->client_scheme = view.scheme;
    if (view.host.len)
        req->client_host = view.host;
    return true;
}

const struct http__step http__step_client = {
    .name = "client",
    .before = before,
};

struct slice http_client_ip(const struct http_request *req)
{
    return req->client_ip;
}

const struct address *http_client_address(const struct http_request *req)
{
    return req->has_client_address ? &req->client_address : NULL;
}

struct slice http_client_scheme(const struct http_request *req)
{
    return req->client_scheme;
}

struct slice http_client_host(const struct http_request *req)
{
    return req->client_host;
}
