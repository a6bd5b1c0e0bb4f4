/* identity/route_me.c - GET /auth/me, and the public keys. */
#include "identity/routes.h"

#include "base/arena.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/answer.h"
#include "identity/caller.h"
#include "identity/keys.h"
#include "identity/room.h"

#define ANSWER_BYTES_MAX ((size_t)16 * 1024)

enum status identity__me(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    struct identity_account account;
    enum status st = identity_caller_require(task, identity, req, &who);
    if (st == STATUS_OK)
        st = identity_account_by_user(task, identity, &who.user, &account);
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, STATUS_NOT_FOUND, "identity/no-account", "There is no account.");
    if (st != STATUS_OK)
        return st;
    struct buf b;
    buf_init(&b, task_arena(task), 512, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    identity_put_id(&o, "id", &account.user);
    identity_put_text(&o, "email", account.email);
    identity_put_flag(&o, "email_verified", account.verified_us != 0);
    json_out_key(&o, SLICE("roles"));
    json_out_array(&o);
    for (unsigned i = 0; i < account.roles_len; i++)
        json_out_string(&o, account.roles[i]);
    json_out_end(&o);
    identity_put_flag(&o, "has_password", account.password.len > 0);
    identity_put_flag(&o, "has_totp", account.totp.len > 0);
    if (who.has_session && !who.is_key)
        identity_put_id(&o, "session_id", &who.session);
    if (who.has_impersonator)
        identity_put_id(&o, "impersonated_by", &who.impersonator);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

/* May be cached for as long as a key is published before it signs (identity/keys.h). */
void identity__jwks(struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct slice jwks;
    if (arena_copy(http_arena(req), identity_keys_jwks(identity->keys), &jwks) != STATUS_OK) {
        http_send_empty(req, 503);
        return;
    }
    http_header_add(req, SLICE("Cache-Control"), SLICE("public, max-age=300"));
    http_header_add(req, SLICE("Access-Control-Allow-Origin"), SLICE("*"));
    http_send(req, 200, "application/jwk-set+json", jwks);
}
