/*
 * contract/openapi_parts.c - What of the OpenAPI document is the same for all resources: it stands
 * once under components and is referred to.
 */
#include "contract/openapi_private.h"

#include "base/json.h"
#include "base/macros.h"

void contract__put_ref(struct json_out *o, const char *section, struct slice name)
{
    json_out_object(o);
    json_out_key(o, SLICE("$ref"));
    /* Names are identifiers of ours: nothing to escape. */
    json_out_raw(o, SLICE_NULL);
    buf_printf(o->buf, "\"#/components/%s/%.*s\"", section, SLICE_ARG(name));
    json_out_end(o);
}

void contract__put_ref_member(struct json_out *o, const char *key, const char *section,
                              struct slice name)
{
    json_out_key(o, slice_cstr(key));
    contract__put_ref(o, section, name);
}

/* -- components that all resources share
 * -------------------------------------------------------------------- */

static const struct {
    const char *name; /* of the component */
    int status;
    const char *description;
} errors[] = {
    { "BadRequest", 400, "The request is malformed: its query, headers or JSON." },
    { "Unauthenticated", 401, "Credentials are needed." },
    { "Denied", 403, "The caller may not do this." },
    { "NotFound", 404, "There is no such row, or the caller may not see it." },
    { "Conflict", 409,
      "A unique value is taken, a row is referred to, or the same Idempotency-Key is in flight." },
    { "Gone", 410, "This version of the API has ended; Link says where to go on." },
    { "PreconditionFailed", 412, "If-Match does not name the current version." },
    { "TooLarge", 413, "The body is larger than allowed." },
    { "UnsupportedMedia", 415, "The body has another type than the route takes." },
    { "Invalid", 422, "Fields are wrong; `errors` names each one." },
    { "PreconditionRequired", 428, "The server asks for If-Match here." },
    { "TooManyRequests", 429,
      "A rate limit is exhausted; `violated-policies` names it, Retry-After says when to come "
      "again." },
    { "Failed", 500, "A mistake of ours; `request_id` finds it in the log." },
    { "Unavailable", 503, "Overloaded or shutting down; Retry-After says when to come again." },
};

const char *contract__error_name(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i].status == status)
            return errors[i].name;
    return "Failed";
}

static void put_error_components(struct json_out *o, const struct contract__used *used)
{
    json_out_key(o, SLICE("responses"));
    json_out_object(o);
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        if (errors[i].status == 410 && !used->ages)
            continue;
        json_out_key(o, slice_cstr(errors[i].name));
        json_out_object(o);
        json_out_kv(o, "description", errors[i].description);
        if (errors[i].status == 503 || errors[i].status == 429) {
            json_out_key(o, SLICE("headers"));
            json_out_object(o);
            contract__put_ref_member(o, "Retry-After", "headers", SLICE("RetryAfter"));
            if (errors[i].status == 429) {
                contract__put_ref_member(o, "RateLimit", "headers", SLICE("RateLimit"));
                contract__put_ref_member(o, "RateLimit-Policy", "headers",
                                         SLICE("RateLimitPolicy"));
            }
            json_out_end(o);
        }
        json_out_key(o, SLICE("content"));
        json_out_object(o);
        json_out_key(o, SLICE("application/problem+json"));
        json_out_object(o);
        contract__put_ref_member(o, "schema", "schemas", SLICE("Problem"));
        json_out_end(o);
        json_out_end(o);
        json_out_end(o);
    }
    json_out_end(o);
}

static const char problem_schema[] =
    "{\"type\":\"object\",\"description\":\"RFC 9457 problem details.\","
    "\"required\":[\"type\",\"title\",\"status\",\"request_id\"],\"properties\":{"
    "\"type\":{\"type\":\"string\",\"format\":\"uri-reference\",\"description\":\"Names the kind "
    "of problem; for programs.\"},"
    "\"title\":{\"type\":\"string\"},"
    "\"status\":{\"type\":\"integer\",\"minimum\":400,\"maximum\":599},"
    "\"detail\":{\"type\":\"string\",\"description\":\"A sentence for people.\"},"
    "\"instance\":{\"type\":\"string\",\"format\":\"uri-reference\"},"
    "\"code\":{\"type\":\"string\"},"
    "\"request_id\":{\"type\":\"string\",\"description\":\"Finds the request in the log.\"},"
    "\"trace_id\":{\"type\":\"string\"},"
    "\"errors\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"pointer\","
    "\"code\",\"detail\"],"
    "\"properties\":{\"pointer\":{\"type\":\"string\",\"description\":\"JSON Pointer into the "
    "body, or ?name of a query "
    "parameter.\"},\"code\":{\"type\":\"string\"},\"detail\":{\"type\":\"string\"},\"message\":{"
    "\"type\":\"string\"}}}}},"
    "\"examples\":[{\"type\":\"https://purlin.dev/problems/validation\",\"title\":\"Unprocessable "
    "Content\",\"status\":422,"
    "\"detail\":\"Fields are "
    "wrong.\",\"request_id\":\"0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f\",\"errors\":[{\"pointer\":"
    "\"/title\",\"code\":\"too_long\",\"detail\":\"must have at most 300 characters\"}]}]}";

static const char page_schema[] =
    "{\"type\":\"object\",\"required\":[\"limit\",\"next\",\"prev\",\"has_more\"],\"properties\":{"
    "\"limit\":{\"type\":\"integer\"},"
    "\"next\":{\"type\":[\"string\",\"null\"],\"description\":\"Cursor of the page after this "
    "one.\"},"
    "\"prev\":{\"type\":[\"string\",\"null\"],\"description\":\"Cursor of the page before this "
    "one.\"},"
    "\"has_more\":{\"type\":\"boolean\"},"
    "\"total\":{\"type\":\"integer\",\"description\":\"Only when asked for with count=.\"},"
    "\"total_is\":{\"type\":\"string\",\"enum\":[\"exact\",\"at_least\"]}}}";

struct parameter {
    const char *component, *name, *schema, *description;
};

static const struct parameter list_parameters[] = {
    { "Limit", "limit", "{\"type\":\"integer\",\"minimum\":1,\"default\":20}", "How many rows." },
    { "Cursor", "cursor", "{\"type\":\"string\"}",
      "Where to go on: page.next or page.prev of an answer." },
    { "Offset", "offset", "{\"type\":\"integer\",\"minimum\":0}",
      "Rows to skip; not together with cursor." },
    { "Sort", "sort", "{\"type\":\"string\"}",
      "Fields with commas, - for descending: -created_at,id." },
    { "Filter", "filter", "{\"type\":\"string\",\"maxLength\":4096}",
      "A condition in the filter language: score > 10 && \"c\" in tags." },
    { "Fields", "fields", "{\"type\":\"string\"}", "Only these fields, with commas." },
    { "Expand", "expand", "{\"type\":\"string\"}",
      "Related rows to embed, with commas, dots to go deeper." },
    { "Count", "count", "{\"type\":\"string\",\"enum\":[\"exact\",\"estimated\"]}",
      "Adds page.total." },
};

static void put_parameter(struct json_out *o, const char *in, const struct parameter *p)
{
    json_out_key(o, slice_cstr(p->component));
    json_out_object(o);
    json_out_kv(o, "name", p->name);
    json_out_kv(o, "in", in);
    json_out_kv(o, "description", p->description);
    json_out_key(o, SLICE("schema"));
    json_out_raw(o, slice_cstr(p->schema));
    json_out_end(o);
}

static void put_parameter_components(struct json_out *o, const struct contract__used *used)
{
    json_out_key(o, SLICE("parameters"));
    json_out_object(o);
    for (size_t i = 0; i < ARRAY_LEN(list_parameters); i++)
        put_parameter(o, "query", &list_parameters[i]);
    static const struct parameter headers[] = {
        { "IfMatch", "If-Match", "{\"type\":\"string\"}", "The ETag that the change is based on." },
        { "IfNoneMatch", "If-None-Match", "{\"type\":\"string\"}",
          "The ETag that the client has; 304 when it is current." },
        { "IdempotencyKey", "Idempotency-Key", "{\"type\":\"string\",\"maxLength\":255}",
          "Makes a repeated POST safe: the same key with the same body gets the same answer." },
        { "Prefer", "Prefer", "{\"type\":\"string\"}", "return=minimal or return=representation." },
        { "CsrfToken", "X-CSRF-Token", "{\"type\":\"string\"}",
          "Only with a session cookie: the value of the CSRF cookie. Not asked of a bearer token "
          "or "
          "an API key." },
    };
    static const struct parameter signature_headers[] = {
        { "SignatureInput", "Signature-Input", "{\"type\":\"string\"}",
          "With Signature: what it covers, when it was made, by which key, and a nonce (RFC "
          "9421)." },
        { "ContentDigest", "Content-Digest", "{\"type\":\"string\"}",
          "sha-256 or sha-512 of the body (RFC 9530); covered by the signature." },
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        put_parameter(o, "header", &headers[i]);
    for (size_t i = 0; i < ARRAY_LEN(signature_headers) && used->signs_messages; i++)
        put_parameter(o, "header", &signature_headers[i]);
    json_out_key(o, SLICE("Id"));
    json_out_raw(
        o,
        SLICE(
            "{\"name\":\"id\",\"in\":\"path\",\"required\":true,\"description\":\"The row's id.\","
            "\"schema\":{\"type\":\"string\",\"format\":\"uuid\"}}"));
    json_out_end(o);
    json_out_key(o, SLICE("headers"));
    json_out_object(o);
    static const struct {
        const char *name, *schema;
        bool ages;
    } answers[] = {
        { "ETag",
          "{\"description\":\"Version of the row as shown.\",\"schema\":{\"type\":\"string\"}}",
          false },
        { "Location", "{\"description\":\"Path of the new row.\",\"schema\":{\"type\":\"string\"}}",
          false },
        { "Link",
          "{\"description\":\"rel=next and rel=prev (RFC "
          "8288).\",\"schema\":{\"type\":\"string\"}}",
          false },
        { "Deprecation",
          "{\"description\":\"Since when not to be built upon (RFC "
          "9745).\",\"schema\":{\"type\":\"string\"}}",
          true },
        { "Sunset",
          "{\"description\":\"When it may go (RFC 8594).\",\"schema\":{\"type\":\"string\"}}",
          true },
        { "RateLimit",
          "{\"description\":\"What is left of the tightest limit: `r` requests, for the next `t` "
          "seconds (draft-ietf-httpapi-ratelimit-headers).\",\"schema\":{\"type\":\"string\"}}",
          false },
        { "RateLimitPolicy",
          "{\"description\":\"That limit: `q` requests in `w` "
          "seconds.\",\"schema\":{\"type\":\"string\"}}",
          false },
        { "RetryAfter", "{\"description\":\"Seconds to wait.\",\"schema\":{\"type\":\"integer\"}}",
          false },
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        if (answers[i].ages && !used->ages)
            continue;
        json_out_key(o, slice_cstr(answers[i].name));
        json_out_raw(o, slice_cstr(answers[i].schema));
    }
    json_out_end(o);
}

/* -- who may call
 * ----------------------------------------------------------------------------------------- */

static const char message_signature[] =
    "{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"Signature\","
    "\"description\":\"HTTP Message Signatures (RFC 9421), together with Signature-Input. The "
    "Accept-Signature of a 401 says what a signature has to cover.\"}";

static const char plain_signature[] =
    "{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-Signature\","
    "\"description\":\"k=ID,t=UNIX,n=NONCE,b=SHA256,v1=HMAC: the hex HMAC-SHA256, by the shared "
    "secret named ID, of `t.n.METHOD.target.b`; b is the hex SHA-256 of the body.\"}";

static void put_security_components(struct json_out *o, const struct contract__used *used)
{
    json_out_key(o, SLICE("securitySchemes"));
    json_out_object(o);
    json_out_key(o, SLICE("apiKey"));
    json_out_raw(
        o,
        SLICE("{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-API-Key\","
              "\"description\":\"The bootstrap key (PURLIN_ADMIN_KEY) carries the role admin.\"}"));
    json_out_key(o, SLICE("bearer"));
    json_out_raw(o, SLICE("{\"type\":\"http\",\"scheme\":\"bearer\",\"description\":\"An access "
                          "token, or a key. Held to scopes it needs one that covers what "
                          "x-permissions names.\"}"));
    json_out_key(o, SLICE("session"));
    json_out_raw(o, SLICE("{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":"
                          "\"__Host-purlin_session\",\"description\":\"A browser's session; what "
                          "changes something also needs X-CSRF-Token.\"}"));
    if (used->signs_messages) {
        json_out_key(o, SLICE("messageSignature"));
        json_out_raw(o, SLICE(message_signature));
    }
    if (used->signs_plain) {
        json_out_key(o, SLICE("plainSignature"));
        json_out_raw(o, SLICE(plain_signature));
    }
    json_out_end(o);
}

/* Each way to be known, together with a scheme of signatures; NULL: without one. */
static void put_alternatives(struct json_out *o, enum contract__callers callers, const char *scheme)
{
    static const char *const ways[] = { NULL, "apiKey", "bearer", "session" };
    unsigned from = callers == CONTRACT__KEY, to = callers == CONTRACT__ANYBODY ? 1 : 4;
    for (unsigned i = from; i < to; i++) {
        json_out_object(o);
        if (ways[i]) {
            json_out_key(o, slice_cstr(ways[i]));
            json_out_raw(o, SLICE("[]"));
        }
        if (scheme) {
            json_out_key(o, slice_cstr(scheme));
            json_out_raw(o, SLICE("[]"));
        }
        json_out_end(o);
    }
}

void contract__put_callers(struct json_out *o, enum contract__callers callers,
                           struct slice permission, const struct openapi_policy *policy)
{
    json_out_key(o, SLICE("x-permissions"));
    json_out_array(o);
    if (permission.len)
        json_out_string(o, permission);
    json_out_end(o);
    json_out_key(o, SLICE("security"));
    json_out_array(o);
    if (!policy->signs_always)
        put_alternatives(o, callers, NULL);
    if (policy->signs_messages)
        put_alternatives(o, callers, "messageSignature");
    if (policy->signs_plain)
        put_alternatives(o, callers, "plainSignature");
    json_out_end(o);
}

/* -- the sections
 * ----------------------------------------------------------------------------------------- */

void contract__put_shared_schemas(struct json_out *o)
{
    json_out_key(o, SLICE("Problem"));
    json_out_raw(o, SLICE(problem_schema));
    json_out_key(o, SLICE("Page"));
    json_out_raw(o, SLICE(page_schema));
}

void contract__put_shared_components(struct json_out *o, const struct contract__used *used)
{
    put_error_components(o, used);
    put_parameter_components(o, used);
    put_security_components(o, used);
}
