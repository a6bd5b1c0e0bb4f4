/*
 * http/audience.c - Routes that need a permission answer nobody without it, and none answers a
 * credential that is wrong.
 */
#include "http/internal.h"

#include "base/arena.h"
#include "base/rights.h"

const char *http_route_permission(const struct http_route *route)
{
    if (route->audience != HTTP_ADMIN)
        return NULL;
    return route->permission ? route->permission : RIGHTS_OPERATE;
}

static const char *denial(struct http_request *req, const char *permission)
{
    struct arena *arena = http_arena(req);
    const char *text =
        arena_cstr(arena, arena_printf(arena, "This needs the permission %s.", permission));
    return text ? text : "This needs a permission.";
}

static bool before(struct http_request *req)
{
    if (req->caller_refusal[0]) {
        http_header_add(req, SLICE("WWW-Authenticate"),
                        SLICE("Bearer realm=\"purlin\", error=\"invalid_token\""));
        http__send_simple(req, STATUS_UNAUTHENTICATED, 0, req->caller_refusal[0],
                          req->caller_refusal[1]);
        return false;
    }
    const char *permission = req->route ? http_route_permission(&req->route->route) : NULL;
    if (!permission || task_caller_has(&req->caller, slice_cstr(permission)))
        return true;
    bool is_anonymous = !req->caller.has_user && req->caller.roles_len == 0;
    if (is_anonymous && !req->caller.is_scoped)
        http__send_simple(req, STATUS_UNAUTHENTICATED, 0, "http/unauthenticated",
                          "This needs the key of an administrator.");
    else
        http__send_simple(req, STATUS_DENIED, 0, "http/denied", denial(req, permission));
    return false;
}

const struct http__step http__step_audience = {
    .name = "audience",
    .before = before,
};
