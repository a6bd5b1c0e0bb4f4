/*
 * identity/oauth_metadata.c - What clients need to know: one document for OpenID Connect Discovery
 * and RFC 8414.
 */
#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "http/http.h"
#include "identity/keys.h"
#include "identity/oauth.h"
#include "identity/room.h"

#define DOCUMENT_BYTES_MAX ((size_t)32 * 1024)

static void put_url(struct json_out *o, const struct identity *identity, struct arena *arena,
                    const char *key, const char *path)
{
    json_out_key(o, slice_cstr(key));
    json_out_string(o, arena_printf(arena, "%.*s%s", SLICE_ARG(identity->issuer), path));
}

static void put_list(struct json_out *o, const char *key, const char *const *names, size_t len)
{
    json_out_key(o, slice_cstr(key));
    json_out_array(o);
    for (size_t i = 0; i < len; i++)
        json_out_cstr(o, names[i]);
    json_out_end(o);
}
#define PUT_LIST(o, key, ...)                                                                      \
    put_list((o), (key), (const char *const[]){ __VA_ARGS__ },                                     \
             ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))

static void put_scopes(struct json_out *o, const struct identity_options *options)
{
    json_out_key(o, SLICE("scopes_supported"));
    json_out_array(o);
    json_out_cstr(o, "openid");
    json_out_cstr(o, "profile");
    json_out_cstr(o, "email");
    json_out_cstr(o, "offline_access");
    for (unsigned i = 0; i < options->scopes_len; i++)
        json_out_string(o, options->scopes[i].name);
    json_out_end(o);
}

static void put_endpoints(struct json_out *o, const struct identity *identity, struct arena *arena)
{
    json_out_key(o, SLICE("issuer"));
    json_out_string(o, identity->issuer);
    put_url(o, identity, arena, "authorization_endpoint", "/oauth/authorize");
    put_url(o, identity, arena, "token_endpoint", "/oauth/token");
    put_url(o, identity, arena, "userinfo_endpoint", "/oauth/userinfo");
    put_url(o, identity, arena, "revocation_endpoint", "/oauth/revoke");
    put_url(o, identity, arena, "introspection_endpoint", "/oauth/introspect");
    put_url(o, identity, arena, "jwks_uri", "/.well-known/jwks.json");
}

static void put_abilities(struct json_out *o, struct slice alg)
{
    static const char *const of_clients[] = { "client_secret_basic", "client_secret_post", "none" };
    PUT_LIST(o, "response_types_supported", "code");
    PUT_LIST(o, "response_modes_supported", "query");
    PUT_LIST(o, "grant_types_supported", "authorization_code", "refresh_token",
             "client_credentials");
    PUT_LIST(o, "code_challenge_methods_supported", "S256");
    PUT_LIST(o, "prompt_values_supported", "none", "login", "consent");
    PUT_LIST(o, "subject_types_supported", "public");
    json_out_key(o, SLICE("id_token_signing_alg_values_supported"));
    json_out_array(o);
    json_out_string(o, alg);
    json_out_end(o);
    put_list(o, "token_endpoint_auth_methods_supported", of_clients, 3);
    put_list(o, "revocation_endpoint_auth_methods_supported", of_clients, 3);
    put_list(o, "introspection_endpoint_auth_methods_supported", of_clients, 2);
    PUT_LIST(o, "claims_supported", "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr",
             "amr", "at_hash", "sid", "email", "email_verified", "name", "given_name",
             "family_name", "nickname", "preferred_username", "picture", "website", "locale",
             "zoneinfo");
    PUT_LIST(o, "acr_values_supported", "aal1", "aal2");
    json_out_key(o, SLICE("authorization_response_iss_parameter_supported"));
    json_out_bool(o, true);
    json_out_key(o, SLICE("request_parameter_supported"));
    json_out_bool(o, false);
    json_out_key(o, SLICE("request_uri_parameter_supported"));
    json_out_bool(o, false);
    json_out_key(o, SLICE("claims_parameter_supported"));
    json_out_bool(o, false);
}

void identity__oauth_metadata(struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct arena *arena = http_arena(req);
    struct buf b;
    buf_init(&b, arena, 4096, DOCUMENT_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    put_endpoints(&o, identity, arena);
    put_scopes(&o, &identity->options);
    put_abilities(&o, identity_jose_alg_name(identity_keys_current(identity->keys)->alg));
    json_out_end(&o);
    if (buf_status(&b) != STATUS_OK) {
        http_send_empty(req, 503);
        return;
    }
    http_header_add(req, SLICE("Cache-Control"), SLICE("public, max-age=300"));
    http_send_json(req, 200, buf_slice(&b));
}
