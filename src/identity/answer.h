/*
 * identity/answer.h - What the answers of this room have in common. Private to the room.
 */
#pragma once

#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/slice.h"
#include "base/status.h"

struct http_request;
struct task;

/* Secrets and what is personal: never kept by anything in between, and never compressed. */
void identity_answer_private(struct http_request *req);
/* Private JSON; to a form of ours a page that it is done (identity/form.h). EXHAUSTED with the
 * problem set when the buffer could not hold it. */
enum status identity_answer_json(struct task *task, struct http_request *req, int status,
                                 const struct buf *body);
/* 204 and 202 without a body; or that page. */
enum status identity_answer_empty(struct task *task, struct http_request *req);
enum status identity_answer_accepted(struct task *task, struct http_request *req);

/* Members of a JSON object. */
void identity_put_id(struct json_out *o, const char *key, const struct uuid *id);
void identity_put_text(struct json_out *o, const char *key, struct slice text); /* empty: null */
void identity_put_time(struct json_out *o, const char *key, int64_t wall_us);   /* 0: null */
void identity_put_flag(struct json_out *o, const char *key, bool flag);
