/* identity/oauth_routes.c - The routes of OAuth and OpenID Connect. */
#include "base/macros.h"
#include "http/http.h"
#include "identity/oauth.h"
#include "identity/room.h"

struct route {
    enum net_method method;
    const char *pattern;
    http_handler_fn handler;
    http_inline_fn handle_inline;
    const char *operation_id, *summary;
    bool any_origin; /* programs in browsers ask it, without cookies */
};

static const struct route routes[] = {
    { NET_METHOD_GET, "/.well-known/openid-configuration", NULL, identity__oauth_metadata,
      "openidConfiguration", "What OpenID Connect clients need to know.", true },
    { NET_METHOD_GET, "/.well-known/oauth-authorization-server", NULL, identity__oauth_metadata,
      "oauthMetadata", "The same, where RFC 8414 looks for it.", true },
    { NET_METHOD_GET, "/oauth/authorize", identity__oauth_authorize, NULL, NULL, NULL, false },
    { NET_METHOD_POST, "/oauth/authorize", identity__oauth_authorize, NULL, NULL, NULL, false },
    { NET_METHOD_POST, "/oauth/login", identity__oauth_login, NULL, NULL, NULL, false },
    { NET_METHOD_POST, "/oauth/second", identity__oauth_second, NULL, NULL, NULL, false },
    { NET_METHOD_POST, "/oauth/consent", identity__oauth_consent, NULL, NULL, NULL, false },
    { NET_METHOD_POST, "/oauth/token", identity__oauth_token, NULL, "oauthToken",
      "Exchange a code, a refresh token or a client's secret for an access token.", true },
    { NET_METHOD_POST, "/oauth/revoke", identity__oauth_revoke, NULL, "oauthRevoke",
      "Revoke a token.", true },
    { NET_METHOD_POST, "/oauth/introspect", identity__oauth_introspect, NULL, "oauthIntrospect",
      "What a token is good for.", false },
    { NET_METHOD_GET, "/oauth/userinfo", identity__oauth_userinfo, NULL, "userinfo",
      "Who an access token speaks for.", true },
    { NET_METHOD_POST, "/oauth/userinfo", identity__oauth_userinfo, NULL, NULL, NULL, true },
};

static enum status add(struct identity *identity, const struct route *route)
{
    const char *reason;
    bool is_document = route->handle_inline != NULL;
    bool has_body = route->method == NET_METHOD_POST;
    return http_route_add(identity->app,
                          &(struct http_route){
                              .method = route->method,
                              .pattern = route->pattern,
                              .handler = route->handler,
                              .handle_inline = route->handle_inline,
                              .arg = identity,
                              .priority = is_document ? HTTP_PRIORITY_READ : HTTP_PRIORITY_AUTH,
                              .body_bytes_max = has_body ? 65536 : -1,
                              .signs_in = has_body,
                              .any_origin = route->any_origin,
                              .summary = route->summary,
                              .tag = "oauth",
                              .operation_id = route->operation_id,
                              /* Errors are RFC 6749's, not problems. */
                              .answers = is_document ? NULL : "400j 401j 403j 413 415",
                              .body_type = has_body ? "application/x-www-form-urlencoded" : NULL,
                          },
                          &reason);
}

enum status identity__oauth_open(struct identity *identity)
{
    enum status st = STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(routes) && st == STATUS_OK; i++)
        st = add(identity, &routes[i]);
    return st;
}
