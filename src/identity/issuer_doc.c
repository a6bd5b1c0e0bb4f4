/* identity/issuer_doc.c - What an issuer says of itself: its discovery document. */
#include "identity/issuer.h"

#include "base/arena.h"
#include "base/json.h"
#include "net/client.h"

#define DEPTH_MAX 8u

static bool is_this_machine(const struct net_url *url)
{
    if (!url->is_literal)
        return slice_eq(url->host, SLICE("localhost"));
    const char *special = net_address_special(&url->address);
    return special && slice_eq(slice_cstr(special), SLICE("loopback"));
}

bool identity_issuer_url_is_good(struct arena *arena, struct slice text, bool *ret_is_http)
{
    struct net_url url;
    const char *reason;
    if (text.len > IDENTITY_ISSUER_URL_MAX || slice_find(text, '#') != SIZE_MAX ||
        net_url_parse(arena, text, &url, &reason) != STATUS_OK)
        return false;
    *ret_is_http = !url.is_tls;
    return url.is_tls || is_this_machine(&url);
}

/* NULL: it is there and good, or need not be there. */
static const char *take_url(struct arena *arena, const json_t *doc, const char *name,
                            bool allow_http, struct slice *ret)
{
    const json_t *value = json_object_get(doc, name);
    bool is_http;
    if (!value)
        return NULL;
    if (!json_is_string(value) || !identity_issuer_url_is_good(arena, json_slice(value), &is_http))
        return "an endpoint in its document is no https URL";
    if (is_http && !allow_http)
        return "an endpoint in its document is in clear";
    *ret = json_slice(value);
    return NULL;
}

/* Absent: what is the default then. */
static bool lists(const json_t *doc, const char *name, const char *want, bool if_absent)
{
    const json_t *list = json_object_get(doc, name), *one;
    size_t i;
    if (!list)
        return if_absent;
    json_array_foreach(list, i, one)
    {
        if (json_is_string(one) && slice_eq(json_slice(one), slice_cstr(want)))
            return true;
    }
    return false;
}

static const char *read_doc(struct arena *arena, const json_t *doc, bool allow_http,
                            struct identity_issuer_doc *ret)
{
    const json_t *issuer = json_object_get(doc, "issuer");
    if (!json_is_string(issuer) || !json_string_length(issuer) ||
        json_string_length(issuer) > IDENTITY_ISSUER_URL_MAX)
        return "its document names no issuer";
    ret->issuer = json_slice(issuer);
    ret->sends_iss =
        json_is_true(json_object_get(doc, "authorization_response_iss_parameter_supported"));
    ret->takes_post_only =
        !lists(doc, "token_endpoint_auth_methods_supported", "client_secret_basic", true);
    if (!lists(doc, "response_types_supported", "code", true))
        return "it does not support the code flow";
    const char *wrong =
        take_url(arena, doc, "authorization_endpoint", allow_http, &ret->authorization);
    if (!wrong)
        wrong = take_url(arena, doc, "token_endpoint", allow_http, &ret->token);
    if (!wrong)
        wrong = take_url(arena, doc, "userinfo_endpoint", allow_http, &ret->userinfo);
    if (!wrong)
        wrong = take_url(arena, doc, "jwks_uri", allow_http, &ret->jwks);
    if (!wrong && !ret->jwks.len)
        wrong = "its document names no keys (jwks_uri)";
    return wrong;
}

enum status identity_issuer_doc_read(struct arena *arena, struct slice text, bool allow_http,
                                     struct identity_issuer_doc *ret, const char **ret_reason)
{
    const struct json_limits limits = { IDENTITY_ISSUER_DOC_BYTES_MAX, DEPTH_MAX };
    struct identity_issuer_doc doc = { .sends_iss = false };
    json_t *json;
    *ret_reason = "its document is no JSON object";
    enum status st = json_read(arena, text, limits, &json, NULL);
    if (st != STATUS_OK)
        return st;
    if (!json_is_object(json))
        return STATUS_INVALID;
    const char *wrong = read_doc(arena, json, allow_http, &doc);
    if (wrong) {
        *ret_reason = wrong;
        return STATUS_INVALID;
    }
    *ret = doc;
    return STATUS_OK;
}
