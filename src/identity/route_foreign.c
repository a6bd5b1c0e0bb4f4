/*
 * identity/route_foreign.c - /auth/providers: signing in elsewhere, begun, come back from, and
 * completed.
 */
#include "identity/routes.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account_page.h"
#include "identity/answer.h"
#include "identity/foreign_page.h"
#include "identity/foreign_sign_in.h"
#include "identity/input.h"
#include "identity/page.h"
#include "identity/room.h"

#define LIST_BYTES_MAX ((size_t)16 * 1024)
#define TOKEN_TEXT_MAX ((size_t)8 * 1024)

enum status identity__providers(struct task *task, struct http_request *req, void *arg)
{
    const struct identity *identity = arg;
    const struct identity_foreign *foreign = identity->foreign;
    struct buf b;
    buf_init(&b, task_arena(task), 512, LIST_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("data"));
    json_out_array(&o);
    for (unsigned i = 0; foreign && i < foreign->len; i++) {
        const struct identity_provider *p = foreign->sources[i].config;
        json_out_object(&o);
        identity_put_text(&o, "name", p->name);
        identity_put_text(&o, "label", p->label);
        identity_put_text(
            &o, "start",
            arena_printf(task_arena(task), "/auth/providers/%.*s/start", SLICE_ARG(p->name)));
        json_out_end(&o);
    }
    json_out_end(&o);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

static enum status find_source(struct task *task, struct http_request *req,
                               struct identity *identity, struct identity_source **ret)
{
    *ret = identity_source_find(identity, http_path_param(req, SLICE("provider")));
    return *ret ? STATUS_OK
                : problem_set(task, STATUS_NOT_FOUND, "identity/no-provider",
                              "There is no such provider to sign in with.");
}

/* -- beginning
 * ---------------------------------------------------------------------------------------- */

static enum status read_return(struct task *task, struct http_request *req,
                               const struct identity *identity, struct slice *ret)
{
    const struct http_param *params;
    unsigned len;
    enum status st = http_query(task, req, &params, &len);
    for (unsigned i = 0; i < len && st == STATUS_OK; i++)
        if (slice_eq(params[i].name, SLICE("return_to")))
            *ret = params[i].value;
    if (st != STATUS_OK || !ret->len || identity_return_is_good(identity, *ret))
        return st;
    return problem_set(task, STATUS_INVALID, "identity/foreign-return",
                       "return_to must be a path of this server, or a URL of an origin that "
                       "auth.return_origins lists.");
}

static enum status start(struct task *task, struct http_request *req, struct identity *identity)
{
    struct identity_source *source;
    struct identity_flow flow = { .has_user = false };
    struct slice url;
    enum status st = find_source(task, req, identity, &source);
    if (st == STATUS_OK)
        st = read_return(task, req, identity, &flow.return_to);
    if (st == STATUS_OK)
        st = identity_flow_begin(task, req, source, &flow);
    if (st == STATUS_OK)
        st = identity_source_url(task, source, &flow, &url);
    if (st == STATUS_UNAVAILABLE)
        identity_source_count(source, IDENTITY_FOREIGN_DOWN);
    if (st != STATUS_OK)
        return st;
    identity_answer_private(req);
    return identity_page_go(req, url);
}

enum status identity__provider_start(struct task *task, struct http_request *req, void *arg)
{
    enum status st = start(task, req, arg);
    return st == STATUS_OK ? st : identity_foreign_fail(task, req, st);
}

/* -- coming back
 * -------------------------------------------------------------------------------------- */

static void take(struct slice name, struct slice value, struct identity_callback *ret)
{
    const struct {
        const char *name;
        struct slice *value;
    } members[] = { { "code", &ret->code },
                    { "state", &ret->state },
                    { "iss", &ret->iss },
                    { "error", &ret->error },
                    { "user", &ret->user } };
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (slice_eq(name, slice_cstr(members[i].name)) && value.len <= IDENTITY_FOREIGN_CODE_MAX)
            *members[i].value = value;
}

static enum status read_callback(struct task *task, struct http_request *req,
                                 struct identity_callback *ret)
{
    const struct http_param *params;
    struct identity_input in = { .task = task };
    unsigned len;
    enum status st = STATUS_OK;
    *ret = (struct identity_callback){ .code = SLICE_NULL };
    if (http_method(req) == NET_METHOD_POST) {
        st = identity_input_read(task, req, &in);
        params = in.params;
        len = in.params_len;
    } else {
        st = http_query(task, req, &params, &len);
    }
    for (unsigned i = 0; i < len && st == STATUS_OK; i++)
        take(params[i].name, params[i].value, ret);
    return st;
}

/* What a provider writes there is a word; anything else is not repeated. */
static bool is_word(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || c == '_'))
            return false;
    }
    return text.len && text.len <= 64;
}

static enum status denied(struct task *task, const struct identity_source *source,
                          struct slice error)
{
    struct slice label = source->config->label;
    identity_source_count(source, IDENTITY_FOREIGN_DENIED);
    if (slice_eq(error, SLICE("access_denied")) ||
        slice_eq(error, SLICE("user_cancelled_authorize")))
        return problem_set(task, STATUS_DENIED, "identity/foreign-denied",
                           "%.*s was not let tell who you are. Begin again, or sign in otherwise.",
                           SLICE_ARG(label));
    return problem_set(task, STATUS_DENIED, "identity/foreign-denied",
                       "%.*s refused the sign-in (%.*s).", SLICE_ARG(label),
                       SLICE_ARG(is_word(error) ? error : SLICE("no reason")));
}

static void count_failure(const struct identity_source *source, enum status st)
{
    if (st != STATUS_OK && st != STATUS_CANCELLED)
        identity_source_count(source, st == STATUS_UNAVAILABLE ? IDENTITY_FOREIGN_DOWN
                                                               : IDENTITY_FOREIGN_REFUSED);
}

static enum status link_account(struct task *task, struct identity_arrival *a,
                                const struct identity_flow *flow)
{
    enum status st = identity_arrival_link(task, a, flow);
    count_failure(a->source, st);
    if (st != STATUS_OK)
        return st;
    identity_source_count(a->source, IDENTITY_FOREIGN_LINKED);
    identity_answer_private(a->req);
    return identity_page_go(a->req, flow->return_to.len
                                        ? flow->return_to
                                        : SLICE(IDENTITY_PROVIDERS_PAGE "?done=provider"));
}

static enum status arrive(struct task *task, const struct identity_arrival *a)
{
    struct identity_arrived_result result;
    enum status st = identity_arrive(task, a, &result);
    count_failure(a->source, st);
    if (st != STATUS_OK)
        return st;
    if (result.what != IDENTITY_ARRIVED_ASK) /* else it is not over */
        identity_source_count(a->source, result.outcome);
    return identity_foreign_finish(task, a->req, a, &result);
}

static enum status come_back(struct task *task, struct http_request *req, struct identity *identity)
{
    const struct identity_input nothing = { .task = task, .is_form = true };
    struct identity_source *source;
    struct identity_callback callback;
    struct identity_flow flow;
    struct identity_arrival a = { .req = req };
    enum status st = find_source(task, req, identity, &source);
    if (st == STATUS_OK)
        st = read_callback(task, req, &callback);
    if (st != STATUS_OK)
        return st;
    st = identity_flow_take(task, req, source, callback.state, &flow);
    if (st == STATUS_OK && callback.error.len)
        return denied(task, source, callback.error);
    if (st == STATUS_OK && !callback.code.len)
        st = identity_foreign_distrust(task, source, "has no code");
    if (st == STATUS_OK)
        st = identity_source_ask(task, source, &flow, &callback, &a.person);
    if (st != STATUS_OK) {
        count_failure(source, st);
        return st;
    }
    a.source = source;
    a.return_to = flow.return_to;
    a.device = identity_device_of(req, &nothing);
    return flow.has_user ? link_account(task, &a, &flow) : arrive(task, &a);
}

enum status identity__provider_callback(struct task *task, struct http_request *req, void *arg)
{
    enum status st = come_back(task, req, arg);
    return st == STATUS_OK ? st : identity_foreign_fail(task, req, st);
}

/* -- completing
 * --------------------------------------------------------------------------------------- */

enum status identity__provider_complete(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_arrival a = { .req = req };
    struct identity_input in;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    struct slice token = identity_input_text(&in, "token", TOKEN_TEXT_MAX, true);
    a.profile = identity_input_object(&in, "profile");
    a.device = identity_device_of(req, &in);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    if (http_is_cross_site(req))
        return problem_set(task, STATUS_DENIED, "http/csrf",
                           "A page of another site may not sign up here.");
    if (!identity->foreign)
        return problem_set(task, STATUS_NOT_FOUND, "identity/no-provider",
                           "There is no provider to sign in with.");
    st = identity_arrival_resume(task, identity, token, &a);
    return st == STATUS_OK ? arrive(task, &a) : st;
}
