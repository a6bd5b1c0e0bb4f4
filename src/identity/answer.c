/* identity/answer.c - What the answers of this room have in common. */
#include "identity/answer.h"

#include "fiber/task.h"
#include "http/http.h"
#include "identity/form.h"

void identity_answer_private(struct http_request *req)
{
    http_header_add(req, SLICE("Cache-Control"), SLICE("no-store"));
    http_compress_never(req);
}

enum status identity_answer_json(struct task *task, struct http_request *req, int status,
                                 const struct buf *body)
{
    if (buf_status(body) != STATUS_OK)
        return problem_set(task, STATUS_EXHAUSTED, "identity/too-large",
                           "The answer needs too much memory.");
    if (identity_form_is(req))
        return identity_form_done(task, req, status);
    identity_answer_private(req);
    http_send_json(req, status, buf_slice(body));
    return STATUS_OK;
}

static enum status answer_without_body(struct task *task, struct http_request *req, int status)
{
    if (identity_form_is(req))
        return identity_form_done(task, req, status);
    identity_answer_private(req);
    http_send_empty(req, status);
    return STATUS_OK;
}

enum status identity_answer_empty(struct task *task, struct http_request *req)
{
    return answer_without_body(task, req, 204);
}

enum status identity_answer_accepted(struct task *task, struct http_request *req)
{
    return answer_without_body(task, req, 202);
}

void identity_put_id(struct json_out *o, const char *key, const struct uuid *id)
{
    char text[UUID_TEXT_LEN];
    uuid_format(id, text);
    json_out_key(o, slice_cstr(key));
    json_out_string(o, slice_of(text, sizeof(text)));
}

void identity_put_text(struct json_out *o, const char *key, struct slice text)
{
    json_out_key(o, slice_cstr(key));
    if (text.len)
        json_out_string(o, text);
    else
        json_out_null(o);
}

void identity_put_time(struct json_out *o, const char *key, int64_t wall_us)
{
    json_out_key(o, slice_cstr(key));
    if (wall_us)
        json_out_time(o, wall_us);
    else
        json_out_null(o);
}

void identity_put_flag(struct json_out *o, const char *key, bool flag)
{
    json_out_key(o, slice_cstr(key));
    json_out_bool(o, flag);
}
