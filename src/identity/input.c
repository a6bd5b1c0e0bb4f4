/* identity/input.c - Reading what routes are asked with. */
#include "identity/input.h"

#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/account.h"

#define FORM "application/x-www-form-urlencoded"

static enum status read_json(struct task *task, struct slice body, struct identity_input *ret)
{
    struct json_error_at at;
    json_t *value;
    enum status st = json_read(task_arena(task), body,
                               (struct json_limits){ IDENTITY_INPUT_BYTES_MAX, 16 }, &value, &at);
    if (st == STATUS_EXHAUSTED)
        return problem_set(task, st, "identity/too-large", "The body needs too much memory.");
    if (st != STATUS_OK)
        return problem_set(task, STATUS_INVALID, "http/json", "The body is no JSON: %s.",
                           at.reason);
    if (!json_is_object(value))
        return problem_set(task, STATUS_INVALID, "http/json", "The body must be a JSON object.");
    ret->object = value;
    return STATUS_OK;
}

enum status identity_input_read(struct task *task, struct http_request *req,
                                struct identity_input *ret)
{
    struct slice body;
    *ret = (struct identity_input){ .task = task };
    ret->is_form = slice_eq(http_content_type(req), SLICE(FORM));
    enum status st = http_body(task, req, ret->is_form ? FORM : HTTP_JSON, &body);
    if (st != STATUS_OK)
        return st;
    if (!ret->is_form)
        return read_json(task, body, ret);
    st = http_form_parse(task_arena(task), body, &ret->params, &ret->params_len);
    if (st == STATUS_OK)
        return STATUS_OK;
    return problem_set(task, st, "http/form", "The form is malformed or has too many fields.");
}

static void complain(const struct identity_input *in, const char *name, const char *code,
                     const char *detail)
{
    struct arena *arena = task_arena(in->task);
    problem_field_add(task_problem(in->task), arena, arena_printf(arena, "/%s", name), code, "%s",
                      detail);
}

static const struct http_param *find_param(const struct identity_input *in, const char *name)
{
    for (unsigned i = 0; i < in->params_len; i++)
        if (slice_eq(in->params[i].name, slice_cstr(name)))
            return &in->params[i];
    return NULL;
}

struct slice identity_input_text(const struct identity_input *in, const char *name,
                                 size_t bytes_max, bool required)
{
    const json_t *value = in->is_form ? NULL : json_object_get(in->object, name);
    const struct http_param *param = in->is_form ? find_param(in, name) : NULL;
    struct slice text = SLICE_NULL;
    if (value && !json_is_null(value)) {
        if (!json_is_string(value)) {
            complain(in, name, "type", "Must be a text.");
            return SLICE_NULL;
        }
        text = json_slice(value);
    } else if (param) {
        text = param->value;
    }
    if (text.len == 0 && required)
        complain(in, name, "required", "Is required.");
    else if (text.len > bytes_max)
        complain(in, name, "too_long", "Is too long.");
    else if (text.len && memchr(text.data, '\0', text.len))
        complain(in, name, "null_byte", "Must not have a NUL character.");
    else
        return text.len ? text : SLICE_NULL;
    return SLICE_NULL;
}

struct slice identity_input_email(const struct identity_input *in, const char *name,
                                  struct slice *ret_key)
{
    struct slice email = slice_trim(identity_input_text(in, name, IDENTITY_EMAIL_MAX, true));
    *ret_key = SLICE_NULL;
    if (!email.len || identity_email_key(task_arena(in->task), email, ret_key) == STATUS_OK)
        return email;
    complain(in, name, "format", "Must be an e-mail address.");
    return SLICE_NULL;
}

bool identity_input_flag(const struct identity_input *in, const char *name)
{
    if (!in->is_form)
        return json_is_true(json_object_get(in->object, name));
    const struct http_param *param = find_param(in, name);
    return param && (slice_eq(param->value, SLICE("true")) || slice_eq(param->value, SLICE("on")) ||
                     slice_eq(param->value, SLICE("1")));
}

/* Of a form: the texts of its fields "NAME.MEMBER"; those that were left empty are not there. */
static const json_t *object_of_form(const struct identity_input *in, const char *name)
{
    struct arena *arena = task_arena(in->task), *before = json_arena_set(arena);
    size_t len = strlen(name);
    json_t *object = json_object();
    for (unsigned i = 0; object && i < in->params_len; i++) {
        struct slice field = in->params[i].name, value = in->params[i].value;
        if (!slice_starts(field, slice_cstr(name)) || field.len <= len + 1 ||
            field.data[len] != '.' || value.len == 0)
            continue;
        char *member = arena_cstr(arena, slice_from(field, len + 1));
        if (!member ||
            json_object_set_new(object, member, json_stringn(value.data, value.len)) != 0)
            object = NULL;
    }
    (void)json_arena_set(before);
    return object && json_object_size(object) > 0 ? object : NULL;
}

const json_t *identity_input_object(const struct identity_input *in, const char *name)
{
    if (in->is_form)
        return object_of_form(in, name);
    const json_t *value = json_object_get(in->object, name);
    if (!value || json_is_null(value))
        return NULL;
    if (!json_is_object(value)) {
        complain(in, name, "type", "Must be an object.");
        return NULL;
    }
    return value;
}

enum status identity_input_status(const struct identity_input *in)
{
    const struct problem *problem = task_problem(in->task);
    return problem->fields_len || problem->fields_dropped ? STATUS_INVALID : STATUS_OK;
}
