/*
 * http/caller.c - Who asks. One key, known from the start (PURLIN_ADMIN_KEY), carries the role
 * admin; everybody else is anonymous. Only its digest is kept, and digests are compared in constant
 * time, so neither the key nor its length can be measured out.
 */
#include "http/internal.h"

#include <sodium.h>
#include <string.h>

static const struct slice admin_roles[] = { SLICE_INIT("admin") };

/* The key that was presented, or SLICE_NULL. */
static struct slice presented_key(const struct net_request *r)
{
    const struct net_header *key = net_header_get(r, NET_HEADER_X_API_KEY);
    if (key)
        return key->value;
    const struct net_header *authorization = net_header_get(r, NET_HEADER_AUTHORIZATION);
    if (!authorization || authorization->value.len < 7 ||
        !slice_eq_nocase(slice_head(authorization->value, 7), SLICE("Bearer ")))
        return SLICE_NULL;
    return slice_trim(slice_from(authorization->value, 7));
}

static bool before(struct http_request *req)
{
    if (!req->app->has_admin_key)
        return true;
    struct slice key = presented_key(http_net(req));
    if (key.len == 0)
        return true;
    req->key_presented = true;
    uint8_t digest[HTTP__DIGEST_BYTES];
    (void)crypto_generichash(digest, sizeof(digest), (const unsigned char *)key.data, key.len, NULL,
                             0); /* fails only for wrong lengths */
    if (sodium_memcmp(digest, req->app->admin_digest, sizeof(digest)) == 0) {
        req->caller.roles = admin_roles;
        req->caller.roles_len = 1;
        req->caller.rights = req->app->options.rights;
        uint64_t id;
        memcpy(&id, digest, sizeof(id));
        http_caller_key_set(req, id);
    } else {
        http_caller_failed(req);
    }
    return true;
}

void http_caller_set(struct http_request *req, const struct task_caller *caller)
{
    req->caller = *caller;
    req->caller.rights = req->app->options.rights;
    req->key_failed = false; /* it is not the bootstrap key, and need not be */
}

void http_caller_key_set(struct http_request *req, uint64_t key_id)
{
    req->key_presented = req->has_key = true;
    req->key_failed = false;
    req->key_id = key_id;
}

void http_program_set(struct http_request *req, struct http_program program)
{
    req->program = program;
}

struct http_program http_program(const struct http_request *req)
{
    return req->program;
}

void http_caller_failed(struct http_request *req)
{
    req->key_presented = req->key_failed = true;
    req->has_key = false;
}

void http_caller_refuse(struct http_request *req, const char *type, const char *detail)
{
    http_caller_failed(req);
    req->caller_refusal[0] = type;
    req->caller_refusal[1] = detail;
}

void http_tenant_set(struct http_request *req, struct slice tenant)
{
    req->tenant = tenant;
}

const struct http__step http__step_caller = {
    .name = "caller",
    .before = before,
};
