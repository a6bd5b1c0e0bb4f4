/*
 * http/priority.c - Whether a request is a health check, tries credentials, writes or reads: for
 * whoever has to choose among requests.
 */
#include "http/internal.h"

static bool tries_credentials(struct slice path)
{
    return slice_starts(path, SLICE("/auth/")) || slice_starts(path, SLICE("/oauth/"));
}

enum http_priority http__priority_of(const struct http_request *req)
{
    if (req->route && req->route->route.priority != HTTP_PRIORITY_AUTO)
        return req->route->route.priority;
    const struct net_request *r = http_net(req);
    if (tries_credentials(r->path))
        return HTTP_PRIORITY_AUTH;
    bool reads = r->method == NET_METHOD_GET || r->method == NET_METHOD_HEAD ||
                 r->method == NET_METHOD_OPTIONS;
    return reads ? HTTP_PRIORITY_READ : HTTP_PRIORITY_WRITE;
}
