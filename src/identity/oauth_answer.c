/* identity/oauth_answer.c - How the endpoints are asked, by whom, and how they refuse. */
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/authorization.h"
#include "identity/oauth.h"
#include "identity/oauth_note.h"
#include "identity/room.h"

#define ANSWER_BYTES_MAX ((size_t)4 * 1024)

static const struct {
    const char *name;
    int status;
} errors[IDENTITY_OAUTH_ERRORS] = {
    [IDENTITY_OAUTH_INVALID_REQUEST] = { "invalid_request", 400 },
    [IDENTITY_OAUTH_INVALID_CLIENT] = { "invalid_client", 401 },
    [IDENTITY_OAUTH_INVALID_GRANT] = { "invalid_grant", 400 },
    [IDENTITY_OAUTH_INVALID_SCOPE] = { "invalid_scope", 400 },
    [IDENTITY_OAUTH_INVALID_TOKEN] = { "invalid_token", 401 },
    [IDENTITY_OAUTH_INSUFFICIENT_SCOPE] = { "insufficient_scope", 403 },
    [IDENTITY_OAUTH_UNAUTHORIZED_CLIENT] = { "unauthorized_client", 400 },
    [IDENTITY_OAUTH_UNSUPPORTED_GRANT] = { "unsupported_grant_type", 400 },
    [IDENTITY_OAUTH_UNSUPPORTED_RESPONSE] = { "unsupported_response_type", 400 },
    [IDENTITY_OAUTH_UNSUPPORTED_TOKEN] = { "unsupported_token_type", 400 },
    [IDENTITY_OAUTH_ACCESS_DENIED] = { "access_denied", 403 },
    [IDENTITY_OAUTH_LOGIN_REQUIRED] = { "login_required", 400 },
    [IDENTITY_OAUTH_CONSENT_REQUIRED] = { "consent_required", 400 },
    [IDENTITY_OAUTH_REQUEST_NOT_SUPPORTED] = { "request_not_supported", 400 },
    [IDENTITY_OAUTH_REQUEST_URI_NOT_SUPPORTED] = { "request_uri_not_supported", 400 },
};

const char *identity_oauth_error_name(enum identity_oauth_error error)
{
    return errors[error].name;
}

enum status identity_oauth_refuse(struct task *task, struct http_request *req,
                                  enum identity_oauth_error error, const char *description)
{
    struct buf b;
    buf_init(&b, task_arena(task), 256, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_kv(&o, "error", errors[error].name);
    json_out_kv(&o, "error_description", description);
    json_out_end(&o);
    if (error == IDENTITY_OAUTH_INVALID_CLIENT) {
        http_caller_failed(req);
        http_header_add(req, SLICE("WWW-Authenticate"), SLICE("Basic realm=\"purlin\""));
    }
    problem_clear(task_problem(task));
    return identity_answer_json(task, req, errors[error].status, &b);
}

bool identity_oauth_form(struct task *task, struct http_request *req,
                         struct identity_oauth_params *ret, enum status *ret_st)
{
    struct slice body;
    const char *reason = "The body must be a form (" IDENTITY_FORM ").";
    enum status st = http_body(task, req, IDENTITY_FORM, &body);
    if (st == STATUS_OK)
        st = http_form_parse(task_arena(task), body, &ret->items, &ret->len);
    if (st == STATUS_OK) {
        reason = identity_oauth_params_check(ret);
        if (!reason)
            return true;
        st = STATUS_INVALID;
    }
    *ret_st = st;
    if (st == STATUS_INVALID || st == STATUS_TOO_LARGE)
        *ret_st = identity_oauth_refuse(task, req, IDENTITY_OAUTH_INVALID_REQUEST, reason);
    return false;
}

/* -- which client
 * -------------------------------------------------------------------------------------- */

struct credentials {
    struct slice id, secret;
    bool is_basic;
};

static const char *read_credentials(struct task *task, struct http_request *req,
                                    const struct identity_oauth_params *params,
                                    struct credentials *ret)
{
    const struct net_header *header = net_header_get(http_net(req), NET_HEADER_AUTHORIZATION);
    struct slice id = identity_oauth_param(params, "client_id");
    *ret =
        (struct credentials){ .id = id, .secret = identity_oauth_param(params, "client_secret") };
    if (!header || !identity_is_basic(header->value))
        return ret->id.len ? NULL : "Say which client asks: client_id, or HTTP Basic.";
    if (ret->secret.len)
        return "A client proves who it is in one way only.";
    ret->is_basic = true;
    if (!identity_basic_read(task_arena(task), header->value, &ret->id, &ret->secret))
        return "The credentials of HTTP Basic are malformed.";
    return id.len && !slice_eq(id, ret->id) ? "client_id names another client than HTTP Basic."
                                            : NULL;
}

static bool is_proved(const struct identity_client *client, const struct credentials *c)
{
    if (!client->is_confidential)
        return c->secret.len == 0;
    struct identity_digest digest = identity_secret_digest(c->secret);
    return c->secret.len > 0 && identity_digest_eq(&digest, &client->secret);
}

bool identity_oauth_client(struct task *task, struct identity *identity, struct http_request *req,
                           const struct identity_oauth_params *params, struct identity_client *ret,
                           enum status *ret_st)
{
    struct credentials c;
    const char *reason = read_credentials(task, req, params, &c);
    if (reason) {
        *ret_st = identity_oauth_refuse(
            task, req, c.is_basic ? IDENTITY_OAUTH_INVALID_CLIENT : IDENTITY_OAUTH_INVALID_REQUEST,
            reason);
        return false;
    }
    enum status st = identity_client_find(task, identity, c.id, ret);
    if (st == STATUS_OK && is_proved(ret, &c))
        return true;
    *ret_st = st;
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return false;
    identity_oauth_note_refused(identity, req, c.id, "credentials");
    *ret_st = identity_oauth_refuse(task, req, IDENTITY_OAUTH_INVALID_CLIENT,
                                    "The client is unknown, or its secret is wrong.");
    return false;
}
