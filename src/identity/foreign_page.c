/* identity/foreign_page.c - Pages and answers of signing in elsewhere. */
#include "identity/foreign_page.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account_page.h"
#include "identity/answer.h"
#include "identity/form.h"
#include "identity/page.h"
#include "identity/room.h"

#define ANSWER_BYTES_MAX ((size_t)16 * 1024)

bool identity_foreign_wants_json(const struct http_request *req)
{
    const struct net_header *accept = net_header_get(http_net(req), NET_HEADER_ACCEPT);
    if (slice_eq(http_content_type(req), SLICE(HTTP_JSON)))
        return true;
    return accept && slice_find_slice(accept->value, SLICE(HTTP_JSON)) != SIZE_MAX &&
           slice_find_slice(accept->value, SLICE("text/html")) == SIZE_MAX;
}

/* -- where to begin
 * ------------------------------------------------------------------------------------- */

void identity_foreign_put_buttons(const struct identity *identity, const char *return_to,
                                  struct buf *out)
{
    const struct identity_foreign *foreign = identity->foreign;
    if (!foreign)
        return;
    buf_put_lit(out, "<ul class=\"providers\">\n");
    for (unsigned i = 0; i < foreign->len; i++) {
        const struct identity_provider *p = foreign->sources[i].config;
        buf_put_lit(out, "<li><a class=\"button other\" href=\"/auth/providers/");
        identity_page_text(out, p->name);
        buf_put_lit(out, "/start");
        if (return_to)
            buf_printf(out, "?return_to=%s", return_to);
        buf_put_lit(out, "\">Go on with ");
        identity_page_text(out, p->label);
        buf_put_lit(out, "</a></li>\n");
    }
    buf_put_lit(out, "</ul>\n");
}

/* A link, where a form that leads to another origin would be stopped by the page's policy. */
enum status identity_foreign_send_leave(struct task *task, struct http_request *req,
                                        const struct identity_source *source, struct slice url)
{
    struct buf b;
    struct slice title =
        arena_printf(task_arena(task), "Add %.*s", SLICE_ARG(source->config->label));
    identity_page_begin(task, &b, title,
                        SLICE("You are asked there whether you want this, and come back here."));
    buf_put_lit(&b, "<p><a class=\"button\" href=\"");
    identity_page_text(&b, url);
    buf_put_lit(&b, "\" rel=\"noreferrer\">Go on to ");
    identity_page_text(&b, source->config->label);
    buf_put_lit(&b, "</a></p>\n");
    identity_page_link(&b, IDENTITY_ACCOUNT_PAGE, "Your account");
    identity_page_end(&b);
    return identity_page_send(task, req, 200, &b, SLICE_NULL);
}

/* -- what is missing
 * ------------------------------------------------------------------------------------ */

static void put_text(struct json_out *o, const char *key, struct slice text)
{
    json_out_key(o, slice_cstr(key));
    json_out_string(o, text);
}

static enum status ask_json(struct task *task, struct http_request *req,
                            const struct problem *problem, struct slice token)
{
    struct buf b;
    buf_init(&b, task_arena(task), 512, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("profile_required"));
    json_out_bool(&o, true);
    put_text(&o, "token", token);
    json_out_key(&o, SLICE("errors"));
    json_out_array(&o);
    for (size_t i = 0; i < problem->fields_len; i++) {
        json_out_object(&o);
        put_text(&o, "pointer", problem->fields[i].pointer);
        put_text(&o, "code", slice_cstr(problem->fields[i].code));
        put_text(&o, "detail", problem->fields[i].detail);
        json_out_end(&o);
    }
    json_out_end(&o);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

/* The last part of a pointer; empty: it is not about the profile. */
static struct slice field_of(const struct problem_field *field)
{
    struct slice before = SLICE("/profile/"), name = slice_from(field->pointer, 1);
    if (slice_starts(field->pointer, before))
        name = slice_from(field->pointer, before.len);
    /* What is unique is told by the contract, which knows of no profile. */
    return slice_find(name, '/') == SIZE_MAX ? name : SLICE_NULL;
}

static bool is_wrong(const struct problem *problem, struct slice name)
{
    for (size_t i = 0; i < problem->fields_len; i++)
        if (slice_eq(field_of(&problem->fields[i]), name))
            return true;
    return false;
}

/* "display_name" is "Display name". */
static struct slice label_of(struct arena *arena, struct slice name)
{
    char *text = arena_cstr(arena, name);
    if (!text || !name.len)
        return name;
    for (size_t i = 0; i < name.len; i++)
        text[i] = text[i] == '_' ? ' ' : text[i];
    if (text[0] >= 'a' && text[0] <= 'z')
        text[0] = (char)(text[0] - 'a' + 'A');
    return slice_of(text, name.len);
}

static void put_asked(struct task *task, struct buf *b, const struct problem *problem,
                      const json_t *typed)
{
    for (size_t i = 0; i < problem->fields_len; i++) {
        struct slice name = field_of(&problem->fields[i]);
        const json_t *before = json_object_getn(typed, name.data ? name.data : "", name.len);
        struct slice input =
            arena_printf(task_arena(task), IDENTITY_FORM_PROFILE "%.*s", SLICE_ARG(name));
        if (!name.len || !input.data)
            continue;
        identity_page_input(
            b, &(struct identity_page_input){ .name = input.data,
                                              .label = label_of(task_arena(task), name),
                                              .type = "text",
                                              .more = "required",
                                              .value = json_is_string(before) ? json_slice(before)
                                                                              : SLICE_NULL });
    }
}

/* What was good the last time is not asked for again. */
static void put_kept(struct task *task, struct buf *b, const struct problem *problem,
                     const json_t *typed)
{
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)typed, key, value)
    {
        struct slice input = arena_printf(task_arena(task), IDENTITY_FORM_PROFILE "%s", key);
        if (input.data && json_is_string(value) && !is_wrong(problem, slice_cstr(key)))
            identity_page_hidden(b, input.data, json_slice(value));
    }
}

static enum status ask_page(struct task *task, struct http_request *req,
                            const struct identity_arrival *a, const struct problem *problem,
                            struct slice token)
{
    struct buf b;
    identity_page_begin(task, &b, SLICE("Almost there"),
                        SLICE("Something is asked of everybody here."));
    if (a->profile)
        identity_page_problem(&b, problem);
    identity_page_form(&b, "/auth/providers/complete");
    identity_page_hidden(&b, "token", token);
    put_asked(task, &b, problem, a->profile);
    if (a->profile)
        put_kept(task, &b, problem, a->profile);
    identity_page_button(&b, "Make the account", "");
    buf_put_lit(&b, "</form>\n");
    identity_page_end(&b);
    return identity_page_send(task, req, a->profile ? 422 : 200, &b, SLICE_NULL);
}

static enum status ask(struct task *task, struct http_request *req,
                       const struct identity_arrival *a, struct slice token)
{
    struct problem problem = *task_problem(task);
    *task_problem(task) = (struct problem){ .status = STATUS_OK };
    return identity_foreign_wants_json(req) ? ask_json(task, req, &problem, token)
                                            : ask_page(task, req, a, &problem, token);
}

/* -- the second step
 * ------------------------------------------------------------------------------------ */

static enum status second(struct task *task, struct http_request *req,
                          const struct identity_arrived_result *result, struct slice return_to)
{
    struct buf b;
    if (identity_foreign_wants_json(req)) {
        buf_init(&b, task_arena(task), 256, ANSWER_BYTES_MAX);
        struct json_out o = json_out(&b);
        json_out_object(&o);
        json_out_key(&o, SLICE("mfa_required"));
        json_out_bool(&o, true);
        put_text(&o, "mfa_token", result->token);
        json_out_end(&o);
        return identity_answer_json(task, req, 200, &b);
    }
    return identity_form_second_to(task, req, result->token, result->has_passkey, return_to);
}

/* -- the end
 * ------------------------------------------------------------------------------------------- */

static enum status say(struct task *task, struct http_request *req, int status, const char *json,
                       const char *title, const char *text)
{
    struct buf b;
    if (identity_foreign_wants_json(req)) {
        buf_init(&b, task_arena(task), 64, 256);
        buf_put_cstr(&b, json);
        return identity_answer_json(task, req, status, &b);
    }
    identity_page_begin(task, &b, slice_cstr(title), slice_cstr(text));
    identity_page_link(&b, "/auth/login", "Sign in");
    identity_page_end(&b);
    return identity_page_send(task, req, status, &b, SLICE_NULL);
}

enum status identity_foreign_finish(struct task *task, struct http_request *req,
                                    const struct identity_arrival *a,
                                    const struct identity_arrived_result *result)
{
    if (result->what == IDENTITY_ARRIVED_ASK)
        return ask(task, req, a, result->token);
    if (result->what == IDENTITY_ARRIVED_SECOND)
        return second(task, req, result, a->return_to);
    if (result->what == IDENTITY_ARRIVED_MAIL)
        return say(task, req, 202, "{\"verify\":\"email\"}", "Look into your mail",
                   "Open the link in it to confirm your address: then you can sign in.");
    if (identity_foreign_wants_json(req))
        return say(task, req, 200, "{\"signed_in\":true}", "", "");
    identity_answer_private(req);
    return identity_page_go(req, a->return_to.len ? a->return_to : SLICE(IDENTITY_ACCOUNT_PAGE));
}

enum status identity_foreign_fail(struct task *task, struct http_request *req, enum status st)
{
    if (st == STATUS_CANCELLED || http_is_answered(req) || identity_foreign_wants_json(req))
        return st;
    struct problem problem = *task_problem(task);
    int status = problem.http_status ? problem.http_status : http_status_of(st);
    struct buf b;
    *task_problem(task) = (struct problem){ .status = STATUS_OK };
    identity_page_retry_after(req, &problem);
    identity_page_begin(task, &b, SLICE("This did not work"), SLICE_NULL);
    identity_page_problem(&b, &problem);
    identity_page_link(&b, "/auth/login", "Sign in");
    identity_page_end(&b);
    return identity_page_send(task, req, status, &b, SLICE_NULL);
}
