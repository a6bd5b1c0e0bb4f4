/*
 * http/cors.c - Cross-Origin Resource Sharing, as Fetch has it: which pages of other origins may
 * read our answers.
 *
 * A preflight is answered here, before anybody asks who the caller is (browsers send it without
 * credentials). One of an origin that is not listed is a 403 that says so: for the browser any
 * answer without Access-Control-Allow-Origin is the same no, and a person looking for the reason
 * finds it. Where nothing is configured OPTIONS stays what it is.
 *
 * `*` needs nothing of the request, so its lines are among the fixed ones. A list answers with
 * the origin that asked, and then every answer varies by it, also one to a request without: a
 * cache in between must not hand what it got for one origin to another.
 */
#include "http/internal.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"

#define MAX_AGE_DEFAULT_US (2 * CLOCK_HOUR) /* what Chrome keeps at most */

static const char with_any[] = "go with credentials only as a list: `*` would let every site act "
                               "for the people who are signed in";
static const char with_null[] = "may not have `null` with credentials: every sandboxed frame is "
                                "that origin";

static const char *check(const struct http_cors_policy *policy, const struct http__origins *origins)
{
    if (policy->credentials && origins->any)
        return with_any;
    if (policy->credentials && origins->null)
        return with_null;
    return NULL;
}

const char *http_cors_check(const struct http_cors_policy *policy)
{
    struct http__origins origins;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    const char *wrong = http__origins_parse(arena, policy->origins, &origins);
    return wrong ? wrong : check(policy, &origins);
}

enum status http__cors_make(struct arena *arena, const struct http_cors_policy *policy,
                            struct http__standards *s)
{
    if (http__origins_parse(arena, policy->origins, &s->origins) || check(policy, &s->origins))
        return STATUS_INVALID;
    struct http__cors *c = &s->cors;
    c->is_on = s->origins.any || s->origins.null || s->origins.len;
    c->headers = policy->headers.len ? policy->headers : SLICE(HTTP_CORS_HEADERS);
    c->expose = policy->expose.len ? policy->expose : SLICE(HTTP_CORS_EXPOSE);
    int64_t max_age_us = policy->max_age_us ? policy->max_age_us : MAX_AGE_DEFAULT_US;
    c->max_age = arena_printf(arena, "%lld", (long long)(max_age_us / CLOCK_SECOND));
    return c->max_age.len ? STATUS_OK : STATUS_EXHAUSTED;
}

void http__cors_put_fixed(const struct http__standards *s, struct buf *out)
{
    if (!s->cors.is_on)
        return;
    if (!s->origins.any) {
        buf_put_lit(out, "Vary: Origin\r\n");
        return;
    }
    buf_put_lit(out, "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: ");
    buf_put_slice(out, s->cors.expose);
    buf_put_lit(out, "\r\n");
}

/* -- preflight
 * -------------------------------------------------------------------------------------------- */

static void answer_preflight(struct http_request *req, const struct http__standards *s)
{
    struct slice methods = http__allow(req, req->allow ? req->allow : (1u << NET_METHOD_OTHER) - 1);
    http__step_header(req, SLICE("Access-Control-Allow-Methods"), methods);
    http__step_header(req, SLICE("Access-Control-Allow-Headers"), s->cors.headers);
    http__step_header(req, SLICE("Access-Control-Max-Age"), s->cors.max_age);
    struct slice network =
        net_header_find(http_net(req), SLICE("access-control-request-private-network"));
    if (req->policy->cors.private_network && slice_eq(network, SLICE("true")))
        http__step_header(req, SLICE("Access-Control-Allow-Private-Network"), SLICE("true"));
    http_send_empty(req, 204);
}

/* Whether the route says so; a preflight has none of its own. */
static bool is_open(const struct http_request *req)
{
    static const enum net_method asked[] = { NET_METHOD_GET, NET_METHOD_POST };
    if (req->route || http_method(req) != NET_METHOD_OPTIONS)
        return req->route && req->route->route.any_origin;
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        struct http__match match;
        http__router_find(req->app->router, asked[i], http_path(req), &match);
        if (match.route && match.route->route.any_origin)
            return true;
    }
    return false;
}

static bool before(struct http_request *req)
{
    const struct http__standards *s = http__standards_of(req);
    if (http_method(req) != NET_METHOD_OPTIONS || req->refused || !(s->cors.is_on || is_open(req)))
        return true;
    const struct net_header *origin = net_header_get(http_net(req), NET_HEADER_ORIGIN);
    if (!origin || !net_header_find(http_net(req), SLICE("access-control-request-method")).data)
        return true;
    bool is_allowed =
        s->origins.any || is_open(req) || http__origins_have(&s->origins, origin->value);
    http__standards_count(req, is_allowed ? HTTP__PREFLIGHT_ALLOWED : HTTP__PREFLIGHT_DENIED);
    if (is_allowed)
        answer_preflight(req, s);
    else
        http__send_simple(req, STATUS_DENIED, 0, "http/cors-denied",
                          "Pages of this origin may not use this server; cors.origins lists those "
                          "that may.");
    return false;
}

/* -- every answer
 * ----------------------------------------------------------------------------------------- */

static void after(struct http_request *req, int status)
{
    const struct http__standards *s = http__standards_of(req);
    (void)status; /* a page is to read our problems too */
    if (is_open(req) && !s->origins.any) {
        http__step_header(req, SLICE("Access-Control-Allow-Origin"), SLICE("*"));
        http__step_header(req, SLICE("Access-Control-Expose-Headers"), s->cors.expose);
        return;
    }
    if (!s->cors.is_on || s->origins.any)
        return;
    const struct net_header *origin = net_header_get(http_net(req), NET_HEADER_ORIGIN);
    if (!origin || !http__origins_have(&s->origins, origin->value))
        return;
    http__step_header(req, SLICE("Access-Control-Allow-Origin"), origin->value);
    if (req->policy->cors.credentials)
        http__step_header(req, SLICE("Access-Control-Allow-Credentials"), SLICE("true"));
    if (http_method(req) != NET_METHOD_OPTIONS)
        http__step_header(req, SLICE("Access-Control-Expose-Headers"), s->cors.expose);
}

const struct http__step http__step_cors = {
    .name = "cors",
    .before = before,
    .after = after,
};
