/*
 * http/audience.c - Routes for administrators answer nobody else, and none answers a credential
 * that is wrong.
 */
#include "http/internal.h"

static bool before(struct http_request *req)
{
    if (req->caller_refusal[0]) {
        http_header_add(req, SLICE("WWW-Authenticate"),
                        SLICE("Bearer realm=\"purlin\", error=\"invalid_token\""));
        http__send_simple(req, STATUS_UNAUTHENTICATED, 0, req->caller_refusal[0],
                          req->caller_refusal[1]);
        return false;
    }
    if (!req->route || req->route->route.audience == HTTP_PUBLIC ||
        http__has_role(&req->caller, SLICE("admin")))
        return true;
    bool is_anonymous = !req->caller.has_user && req->caller.roles_len == 0;
    if (is_anonymous)
        http__send_simple(req, STATUS_UNAUTHENTICATED, 0, "http/unauthenticated",
                          "This needs the key of an administrator.");
    else
        http__send_simple(req, STATUS_DENIED, 0, "http/denied", "This needs the role admin.");
    return false;
}

const struct http__step http__step_audience = {
    .name = "audience",
    .before = before,
};
