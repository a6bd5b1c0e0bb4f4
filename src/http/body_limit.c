/*
 * http/body_limit.c - How much body a route takes. What announces more is refused before a byte of
 * it is read; what turns out to be more, when it does (net_body_read).
 */
#include "http/internal.h"

static bool before(struct http_request *req)
{
    if (!req->route)
        return true;
    int64_t limit = req->route->route.body_bytes_max;
    if (limit == 0)
        limit = req->policy->body_bytes_max;
    if (limit > 0)
        net_body_limit_set(req->x, limit);
    if (limit < 0 || http_net(req)->content_length <= net_body_limit(req->x))
        return true;
    http__send_simple(req, STATUS_TOO_LARGE, 413, "http/body-too-large",
                      "The body is larger than this route takes.");
    return false;
}

const struct http__step http__step_body_limit = {
    .name = "body_limit",
    .before = before,
};
