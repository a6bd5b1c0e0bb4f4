/*
 * identity/login.h - Signing in on a page: an address and a password, then a second factor where
 * there is one, with the throttling and the care of POST /auth/login and /auth/mfa. Private to the
 * room.
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
 * answer, which the caller writes. *ret_second: empty; else the password is right, no session was
 * made, and a second factor has to be proved at identity_mfa_form with this token.
 *
 * Errors   INVALID, UNAUTHENTICATED, DENIED, EXHAUSTED (429 and when to come back) with the problem
 *          in words for the person.
 * Memory   in the task's arena. Context  suspends.
 */
enum status identity_login_form(struct task *task, struct identity *identity,
                                struct http_request *req, const struct identity_input *form,
                                struct identity_who *ret_who, struct slice *ret_cookie,
                                struct slice *ret_second);
/* The second step: "mfa_token", and "code" of an authenticator app or a recovery code. Errors as
 * above; NOT_FOUND, or UNAUTHENTICATED with the problem "identity/invalid-mfa-token": the sign-in
 * has to begin anew. */
enum status identity_mfa_form(struct task *task, struct identity *identity,
                              struct http_request *req, const struct identity_input *form,
                              struct identity_who *ret_who, struct slice *ret_cookie);
