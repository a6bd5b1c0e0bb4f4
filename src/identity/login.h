/*
 * identity/login.h - Signing in with an address and a password on a page, with the throttling and
 * the care of POST /auth/login. Private to the room.
 */
#pragma once

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/input.h"
#include "identity/who.h"

struct http_request;
struct identity;
struct task;

/*
 * Take "email" and "password" of a form and begin a browser session: its cookies are set on the
 * answer, which the caller writes. *ret_needs_second: the password is right, nothing was made, a
 * second factor has to be proved.
 *
 * Errors   INVALID, UNAUTHENTICATED, DENIED, EXHAUSTED (429 and when to come back) with the problem
 *          in words for the person.
 * Memory   in the task's arena. Context  suspends.
 */
enum status identity_login_form(struct task *task, struct identity *identity,
                                struct http_request *req, const struct identity_input *form,
                                struct identity_who *ret_who, struct slice *ret_cookie,
                                bool *ret_needs_second);
