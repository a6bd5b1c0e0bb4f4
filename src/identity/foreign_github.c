/*
 * identity/foreign_github.c - GitHub: OAuth 2 with an API of its own in place of ID tokens. It
 * answers a refused code with 200, and an address counts only when it is the primary one.
 *
 * Source   https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
 */
#include "identity/foreign.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "fiber/task.h"
#include "identity/account.h"
#include "identity/issuer.h"

#define ANSWER_BYTES_MAX ((size_t)128 * 1024)
#define HANDLE_MAX 100u

static enum status read_json(struct arena *arena, struct slice text, json_t **ret)
{
    const struct json_limits limits = { ANSWER_BYTES_MAX, 8 };
    return json_read(arena, text, limits, ret, NULL) == STATUS_OK ? STATUS_OK : STATUS_INVALID;
}

enum status identity_github_user_read(struct arena *arena, struct slice text,
                                      struct identity_foreign_person *ret)
{
    json_t *user;
    if (read_json(arena, text, &user) != STATUS_OK)
        return STATUS_INVALID;
    const json_t *id = json_object_get(user, "id");
    /* Names change hands there; the number stays. */
    if (!json_is_integer(id) || json_integer_value(id) <= 0)
        return STATUS_INVALID;
    ret->subject = arena_printf(arena, "%lld", (long long)json_integer_value(id));
    ret->handle = identity_foreign_text(user, "login", HANDLE_MAX);
    ret->name = identity_foreign_text(user, "name", IDENTITY_FOREIGN_NAME_MAX);
    return ret->subject.data ? STATUS_OK : STATUS_EXHAUSTED;
}

enum status identity_github_emails_read(struct arena *arena, struct slice text,
                                        struct identity_foreign_person *ret)
{
    json_t *list;
    const json_t *one;
    size_t i;
    if (read_json(arena, text, &list) != STATUS_OK || !json_is_array(list))
        return STATUS_INVALID;
    json_array_foreach(list, i, one)
    {
        if (!json_is_true(json_object_get(one, "primary")))
            continue;
        ret->email = identity_foreign_text(one, "email", IDENTITY_EMAIL_MAX);
        ret->is_verified = ret->email.len && json_is_true(json_object_get(one, "verified"));
        break;
    }
    return STATUS_OK;
}

/* -- asking
 * ------------------------------------------------------------------------------------------- */

static void put_param(struct buf *out, const char *name, struct slice value)
{
    buf_put_cstr(out, name);
    buf_put_percent(out, value);
}

static enum status exchange(struct task *task, const struct identity_source *source,
                            const struct identity_flow *flow, struct slice code,
                            struct slice *ret_authorization)
{
    const struct identity_provider *p = source->config;
    struct arena *arena = task_arena(task);
    struct buf form;
    struct slice body;
    json_t *json;
    int http = 0;
    buf_init(&form, arena, 1024, (size_t)32 * 1024);
    put_param(&form, "grant_type=authorization_code&client_id=", p->client_id);
    put_param(&form, "&client_secret=", p->client_secret);
    put_param(&form, "&code=", code);
    put_param(&form, "&redirect_uri=", identity_source_callback_url(arena, source));
    put_param(&form, "&code_verifier=", flow->verifier);
    const struct identity_issuer_call call = {
        .url = arena_printf(arena, "%.*s/login/oauth/access_token", SLICE_ARG(p->url)),
        .form = buf_slice(&form),
        .bytes_max = ANSWER_BYTES_MAX,
    };
    if (buf_status(&form) != STATUS_OK || !call.url.data)
        return STATUS_EXHAUSTED;
    enum status st = identity_issuer_call(task, &call, &http, &body);
    if (st == STATUS_CANCELLED)
        return st;
    if (st != STATUS_OK || http >= 500)
        return identity_foreign_down(task, source, "it does not answer");
    if (read_json(arena, body, &json) != STATUS_OK)
        return identity_foreign_down(task, source, "its answer is no JSON");
    struct slice token = identity_foreign_text(json, "access_token", 1024);
    if (http != 200 || json_object_get(json, "error") || !token.len)
        return identity_foreign_distrust(task, source, "does not take the code");
    *ret_authorization = arena_printf(arena, "Bearer %.*s", SLICE_ARG(token));
    return ret_authorization->data ? STATUS_OK : STATUS_EXHAUSTED;
}

static enum status get(struct task *task, const struct identity_source *source, const char *path,
                       struct slice authorization, struct slice *ret)
{
    const struct identity_issuer_call call = {
        .url = arena_printf(task_arena(task), "%.*s%s", SLICE_ARG(source->config->api_url), path),
        .authorization = authorization,
        .bytes_max = ANSWER_BYTES_MAX,
    };
    int http = 0;
    enum status st =
        call.url.data ? identity_issuer_call(task, &call, &http, ret) : STATUS_EXHAUSTED;
    if (st == STATUS_CANCELLED || st == STATUS_EXHAUSTED || (st == STATUS_OK && http == 200))
        return st;
    return identity_foreign_down(task, source, "it does not say who you are");
}

enum status identity__github_ask(struct task *task, const struct identity_source *source,
                                 const struct identity_flow *flow,
                                 const struct identity_callback *callback,
                                 struct identity_foreign_person *ret)
{
    struct slice authorization, text;
    enum status st = exchange(task, source, flow, callback->code, &authorization);
    if (st == STATUS_OK)
        st = get(task, source, "/user", authorization, &text);
    if (st == STATUS_OK)
        st = identity_github_user_read(task_arena(task), text, ret);
    if (st == STATUS_OK)
        st = get(task, source, "/user/emails?per_page=100", authorization, &text);
    if (st == STATUS_OK)
        st = identity_github_emails_read(task_arena(task), text, ret);
    return st == STATUS_INVALID ? identity_foreign_down(task, source, "its answer is malformed")
                                : st;
}
