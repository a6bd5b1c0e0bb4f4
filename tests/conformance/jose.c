/*
 * tests/conformance/jose.c - /verify and /sign: tokens in and out of identity's JOSE.
 */
#include "jose.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/jose.h"

#define BODY_BYTES_MAX ((int64_t)1 << 20)
#define TEXT_BYTES_MAX ((size_t)512 * 1024)

static enum status read_json(struct task *task, struct http_request *req, json_t **ret_value)
{
    struct slice body;
    enum status st = http_body(task, req, HTTP_JSON, &body);
    if (st != STATUS_OK)
        return st;
    struct json_error_at error;
    const struct json_limits limits = { .bytes_max = (size_t)BODY_BYTES_MAX, .depth_max = 32 };
    st = json_read(http_arena(req), body, limits, ret_value, &error);
    if (st == STATUS_OK)
        return st;
    return problem_set(task, st, "http/invalid-json", "Line %d, column %d: %s.", error.line,
                       error.column, error.reason);
}

static enum status refuse_missing(struct task *task, const char *pointer)
{
    problem_field_add(task_problem(task), task_arena(task), slice_cstr(pointer), "required",
                      "is required");
    return STATUS_INVALID;
}

static struct slice text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? json_slice(value) : SLICE_NULL;
}

static struct slice print(struct http_request *req, const json_t *value)
{
    struct buf out;
    buf_init(&out, http_arena(req), 1024, TEXT_BYTES_MAX);
    json_put_value(&out, value);
    return buf_status(&out) == STATUS_OK ? buf_slice(&out) : SLICE_NULL;
}

/* -- /verify
 * ---------------------------------------------------------------------------------------- */

static enum status verify_by_key(struct http_request *req, const json_t *jwk, struct slice jws)
{
    CLEANUP(identity_jose_key_free) struct identity_jose_key *key = NULL;
    const char *reason;
    bool valid = false;
    enum status st = identity_jose_key_parse(print(req, jwk), &key, &reason);
    if (st == STATUS_OK) {
        const struct identity_jose_set set = { .keys = { key }, .len = 1 };
        const struct identity_jose_policy policy = { .keys = &set,
                                                     .algs = identity_jose_key_algs(key) };
        struct identity_jose_token token;
        enum identity_jose_refusal refusal;
        st = identity_jose_open(http_arena(req), jws, &policy, &token, &refusal);
        valid = st == STATUS_OK;
    }
    if (st == STATUS_EXHAUSTED)
        return st;
    http_send_json(req, 200, valid ? SLICE("{\"valid\":true}") : SLICE("{\"valid\":false}"));
    return STATUS_OK;
}

static enum status verify_by_set(struct task *task, struct http_request *req, const json_t *json,
                                 struct slice jws)
{
    struct identity_jose_set set;
    enum status st = identity_jose_set_parse(print(req, json_object_get(json, "jwks")), &set);
    if (st != STATUS_OK)
        return problem_set(task, st, "conformance/jwks", "This is no JWKS.");
    const struct identity_jose_policy policy = {
        .keys = &set,
        .algs = IDENTITY_JOSE_PUBLIC,
        .typ = text_of(json, "typ"),
        .issuer = text_of(json, "issuer"),
        .audience = text_of(json, "audience"),
    };
    struct identity_jose_token token;
    enum identity_jose_refusal refusal;
    st = identity_jose_verify(http_arena(req), jws, &policy, clock_wall_us(), &token, &refusal);
    identity_jose_set_clear(&set);
    if (st == STATUS_EXHAUSTED)
        return st;
    http_send_json(req, 200,
                   arena_printf(http_arena(req), "{\"valid\":%s,\"refusal\":\"%s\"}",
                                st == STATUS_OK ? "true" : "false",
                                identity_jose_refusal_name(refusal)));
    return STATUS_OK;
}

static enum status verify(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    json_t *json;
    enum status st = read_json(task, req, &json);
    if (st != STATUS_OK)
        return st;
    if (!json_object_get(json, "jws"))
        return refuse_missing(task, "/jws");
    /* What is no text is no compact token either. */
    struct slice jws = text_of(json, "jws");
    if (json_object_get(json, "jwks"))
        return verify_by_set(task, req, json, jws);
    const json_t *jwk = json_object_get(json, "jwk");
    return jwk ? verify_by_key(req, jwk, jws) : refuse_missing(task, "/jwk");
}

/* -- /sign
 * ------------------------------------------------------------------------------------------ */

static enum status sign_with(struct http_request *req, enum identity_jose_alg alg,
                             const json_t *json, struct buf *out)
{
    CLEANUP(identity_jose_key_free) struct identity_jose_key *key = NULL;
    struct buf private;
    buf_init(&private, http_arena(req), 4096, 4096);
    enum status st = identity_jose_key_generate(alg, &private, &key);
    if (st != STATUS_OK)
        return st;
    buf_put_lit(out, "{\"jwks\":{\"keys\":[");
    st = identity_jose_key_put_public(key, alg, out);
    buf_put_lit(out, "]},\"jws\":\"");
    if (st == STATUS_OK)
        st = identity_jose_sign(key, alg, text_of(json, "typ"),
                                print(req, json_object_get(json, "claims")), out);
    buf_put_lit(out, "\"}");
    return st == STATUS_OK ? buf_status(out) : st;
}

static enum status sign(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    json_t *json;
    enum status st = read_json(task, req, &json);
    if (st != STATUS_OK)
        return st;
    if (!json_object_get(json, "claims"))
        return refuse_missing(task, "/claims");
    enum identity_jose_alg alg;
    if (!identity_jose_alg_find(text_of(json, "alg"), &alg))
        return refuse_missing(task, "/alg");
    struct buf out;
    buf_init(&out, http_arena(req), 4096, 65536);
    st = sign_with(req, alg, json, &out);
    if (st != STATUS_OK)
        return problem_set(task, st, "conformance/sign", "This cannot be signed: %s.",
                           status_name(st));
    http_send_json(req, 200, buf_slice(&out));
    return STATUS_OK;
}

bool jose_routes_add(struct http_app *app)
{
    static const struct http_route routes[] = {
        { .method = NET_METHOD_POST,
          .pattern = "/verify",
          .handler = verify,
          .body_bytes_max = BODY_BYTES_MAX },
        { .method = NET_METHOD_POST, .pattern = "/sign", .handler = sign },
    };
    const char *reason;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (http_route_add(app, &routes[i], &reason) != STATUS_OK)
            return false;
    }
    return true;
}
