/*
 * identity/input.h - What the routes under /auth/ are asked with: the members of a small JSON
 * object, or of a form. Private to the room.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "base/status.h"
#include "http/http.h"

struct task;

#define IDENTITY_INPUT_BYTES_MAX 65536

struct identity_input {
    struct task *task;
    bool is_form;
    const json_t *object;            /* of JSON */
    const struct http_param *params; /* of a form */
    unsigned params_len;
};

/*
 * Read the body, as JSON or as a form (application/x-www-form-urlencoded), by its type.
 *
 * Errors   INVALID, TOO_LARGE with the problem set (415: another type). Suspends.
 * Memory   in the request's arena.
 */
enum status identity_input_read(struct task *task, struct http_request *req,
                                struct identity_input *ret);

/* A member's text; SLICE_NULL when there is none. One that is no text, too long or, if `required`,
 * missing becomes a field of the task's problem: see identity_input_status. */
struct slice identity_input_text(const struct identity_input *in, const char *name,
                                 size_t bytes_max, bool required);
/*
 * A member that is an e-mail address, as it was typed but for spaces around it, and its key
 * (identity_email_key); what is none becomes a field of the problem. Both SLICE_NULL when something
 * is wrong.
 */
struct slice identity_input_email(const struct identity_input *in, const char *name,
                                  struct slice *ret_key);
/* true, "true", "on" or "1"; false when there is none. */
bool identity_input_flag(const struct identity_input *in, const char *name);
/* A member that is an object; NULL when there is none. Of a form the texts "name.member". */
const json_t *identity_input_object(const struct identity_input *in, const char *name);
/* INVALID (422) when something was wrong with what was read so far. */
enum status identity_input_status(const struct identity_input *in);
