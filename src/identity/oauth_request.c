/* identity/oauth_request.c - Authorization requests. */
#include "identity/oauth_request.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/room.h"

#define LOCATION_BYTES_MAX ((size_t)16 * 1024)
#define MAX_AGE_S (10 * 365 * 86400LL)

/* -- back to the client
 * --------------------------------------------------------------------------------- */

static void put_param(struct buf *out, char before, const char *name, struct slice value)
{
    if (!value.len)
        return;
    buf_putc(out, before);
    buf_put_cstr(out, name);
    buf_putc(out, '=');
    buf_put_percent(out, value);
}

/* With "iss", by which a client that asked several servers knows whose answer it is (RFC 9207). */
static enum status go(const struct identity_oauth_request *r, const char *name, struct slice value,
                      const char *description)
{
    struct buf b;
    char before = slice_find(r->redirect, '?') == SIZE_MAX ? '?' : '&';
    buf_init(&b, task_arena(r->task), 512, LOCATION_BYTES_MAX);
    buf_put_slice(&b, r->redirect);
    put_param(&b, before, name, value);
    put_param(&b, '&', "error_description", slice_cstr(description));
    put_param(&b, '&', "state", r->state);
    put_param(&b, '&', "iss", r->identity->issuer);
    if (buf_status(&b) != STATUS_OK)
        return problem_set(r->task, STATUS_EXHAUSTED, "identity/too-large",
                           "The answer needs too much memory.");
    identity_answer_private(r->req);
    http_header_add(r->req, SLICE("Location"), buf_slice(&b));
    http_send_empty(r->req, 303); /* a form that was posted is not posted on */
    return STATUS_OK;
}

enum status identity_oauth_request_grant(const struct identity_oauth_request *r, struct slice code)
{
    return go(r, "code", code, NULL);
}

enum status identity_oauth_request_fail(const struct identity_oauth_request *r,
                                        enum identity_oauth_error error, const char *description)
{
    return go(r, "error", slice_cstr(identity_oauth_error_name(error)), description);
}

/* -- whose request it is
 * -------------------------------------------------------------------------------- */

static unsigned count_of(const struct identity_oauth_params *params, const char *name)
{
    unsigned len = 0;
    for (unsigned i = 0; i < params->len; i++)
        len += slice_eq(params->items[i].name, slice_cstr(name));
    return len;
}

static bool wrong_link(struct identity_oauth_request *r, const char *reason, enum status *ret_st)
{
    *ret_st = identity_page_wrong(r->task, r->req, 400, slice_cstr(reason));
    return false;
}

static bool read_client(struct identity_oauth_request *r, enum status *ret_st)
{
    struct slice id = identity_oauth_param(&r->params, "client_id");
    struct slice redirect = identity_oauth_param(&r->params, "redirect_uri");
    if (count_of(&r->params, "client_id") != 1 || count_of(&r->params, "redirect_uri") != 1)
        return wrong_link(r, "The link must have client_id and redirect_uri, each once.", ret_st);
    enum status st = identity_client_find(r->task, r->identity, id, &r->client);
    if (st == STATUS_NOT_FOUND)
        return wrong_link(r, "The program that sent you here is not known to this site.", ret_st);
    *ret_st = st;
    if (st != STATUS_OK)
        return false;
    if (!(r->client.grants & IDENTITY_GRANT_CODE) ||
        !identity_redirect_is_listed(r->client.redirects, redirect))
        return wrong_link(r,
                          "The address to go back to (redirect_uri) is not registered for the "
                          "program that sent you here.",
                          ret_st);
    r->redirect = redirect;
    r->state = identity_oauth_param(&r->params, "state");
    return true;
}

/* -- what it asks for
 * ----------------------------------------------------------------------------------- */

static bool fail(struct identity_oauth_request *r, enum identity_oauth_error error,
                 const char *description, enum status *ret_st)
{
    *ret_st = identity_oauth_request_fail(r, error, description);
    return false;
}

static bool read_prompt(struct identity_oauth_request *r)
{
    struct slice rest = identity_oauth_param(&r->params, "prompt"), one;
    struct slice max_age = identity_oauth_param(&r->params, "max_age");
    while (identity_scope_next(&rest, &one)) {
        r->none |= slice_eq(one, SLICE("none"));
        r->login |= slice_eq(one, SLICE("login")) || slice_eq(one, SLICE("select_account"));
        r->consent |= slice_eq(one, SLICE("consent"));
    }
    r->max_age_s = -1;
    if (max_age.len &&
        (!slice_to_i64(max_age, &r->max_age_s) || r->max_age_s < 0 || r->max_age_s > MAX_AGE_S))
        return false;
    return !(r->none && (r->login || r->consent));
}

static bool read_rest(struct identity_oauth_request *r, enum status *ret_st)
{
    const struct identity_oauth_params *p = &r->params;
    const char *reason = identity_oauth_params_check(p);
    struct slice type = identity_oauth_param(p, "response_type");
    struct slice mode = identity_oauth_param(p, "response_mode");
    r->nonce = identity_oauth_param(p, "nonce");
    r->scope = identity_oauth_param(p, "scope");
    r->challenge = identity_oauth_param(p, "code_challenge");
    r->hint = identity_oauth_param(p, "login_hint");
    if (reason)
        return fail(r, IDENTITY_OAUTH_INVALID_REQUEST, reason, ret_st);
    if (identity_oauth_param(p, "request").len)
        return fail(r, IDENTITY_OAUTH_REQUEST_NOT_SUPPORTED, "Parameters go in the query.", ret_st);
    if (identity_oauth_param(p, "request_uri").len)
        return fail(r, IDENTITY_OAUTH_REQUEST_URI_NOT_SUPPORTED, "Parameters go in the query.",
                    ret_st);
    if (!type.len || (mode.len && !slice_eq(mode, SLICE("query"))))
        return fail(r, IDENTITY_OAUTH_INVALID_REQUEST,
                    "response_type must be code, response_mode query.", ret_st);
    if (!slice_eq(type, SLICE("code")))
        return fail(r, IDENTITY_OAUTH_UNSUPPORTED_RESPONSE, "Only response_type=code.", ret_st);
    if (!identity_challenge_is_good(r->challenge) ||
        !slice_eq(identity_oauth_param(p, "code_challenge_method"), SLICE("S256")))
        return fail(r, IDENTITY_OAUTH_INVALID_REQUEST,
                    "PKCE is required: code_challenge with code_challenge_method=S256.", ret_st);
    if (!read_prompt(r))
        return fail(r, IDENTITY_OAUTH_INVALID_REQUEST, "prompt or max_age make no sense.", ret_st);
    if (!identity_scope_is_list(r->scope) || !identity_scope_is_within(r->scope, r->client.scopes))
        return fail(r, IDENTITY_OAUTH_INVALID_SCOPE,
                    "A scope is malformed, or the client is not registered for it.", ret_st);
    return true;
}

/* -- carried by a form
 * ---------------------------------------------------------------------------------- */

/* What is still to be known when somebody has signed in. */
static bool fill_view(struct identity_oauth_request *r, enum status *ret_st)
{
    struct buf b;
    buf_init(&b, task_arena(r->task), 1024, IDENTITY_OAUTH_REQUEST_BYTES_MAX);
    buf_put_lit(&b, "response_type=code");
    put_param(&b, '&', "client_id", r->client.id);
    put_param(&b, '&', "redirect_uri", r->redirect);
    put_param(&b, '&', "scope", r->scope);
    put_param(&b, '&', "state", r->state);
    put_param(&b, '&', "nonce", r->nonce);
    put_param(&b, '&', "code_challenge", r->challenge);
    buf_put_lit(&b, "&code_challenge_method=S256");
    struct slice base = buf_slice(&b);
    r->view = (struct identity_oauth_view){
        .client = &r->client,
        .redirect = r->redirect,
        .scope = r->scope,
        .request = arena_printf(task_arena(r->task), "%.*s%s", SLICE_ARG(base),
                                r->consent ? "&prompt=consent" : ""),
        .other_request = arena_printf(task_arena(r->task), "%.*s&prompt=login%s", SLICE_ARG(base),
                                      r->consent ? "%20consent" : ""),
    };
    if (buf_status(&b) == STATUS_TOO_LARGE)
        return fail(r, IDENTITY_OAUTH_INVALID_REQUEST, "The request is too long.", ret_st);
    *ret_st = buf_status(&b);
    if (!r->view.request.data || !r->view.other_request.data)
        *ret_st = STATUS_EXHAUSTED;
    return *ret_st == STATUS_OK;
}

bool identity_oauth_request_read(struct identity_oauth_request *r, enum status *ret_st)
{
    return read_client(r, ret_st) && read_rest(r, ret_st) && fill_view(r, ret_st);
}

bool identity_oauth_request_carried(struct identity_oauth_request *r, struct slice text,
                                    enum status *ret_st)
{
    enum status st = http_form_parse(task_arena(r->task), text, &r->params.items, &r->params.len);
    if (st == STATUS_OK)
        return identity_oauth_request_read(r, ret_st);
    *ret_st = st;
    if (st == STATUS_INVALID || st == STATUS_TOO_LARGE)
        return wrong_link(r, "The form is not one of this site's.", ret_st);
    return false;
}
