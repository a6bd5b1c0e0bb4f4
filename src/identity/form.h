/*
 * identity/form.h - A form of ours is answered with a page where a program gets JSON. Private to
 * the room.
 *
 * Data passes: a route's handler as it is -> identity_answer_... find out that a form was posted
 * and send a page -> a failure of the handler becomes a page as well (identity_form_run).
 */
#pragma once

#include "base/slice.h"
#include "base/status.h"
#include "http/http.h"

struct identity;
struct problem;
struct task;

/* What the fields of a profile are called in a form: "profile.display_name". */
#define IDENTITY_FORM_PROFILE "profile."

/* Was it posted by a form of ours? */
bool identity_form_is(const struct http_request *req);
/* The page that says that it is done, by the route. `status` is a 2xx. */
enum status identity_form_done(struct task *task, struct http_request *req, int status);
/* The page that asks for the second factor of a sign-in. */
enum status identity_form_second(struct task *task, struct http_request *req,
                                 struct slice mfa_token, bool has_passkey);
/* The same for a request that is no form of ours; afterwards it goes on to `return_to` if that is a
 * path of this server. */
enum status identity_form_second_to(struct task *task, struct http_request *req,
                                    struct slice mfa_token, bool has_passkey,
                                    struct slice return_to);
/* What cannot be asked for again, and why. */
enum status identity_form_wrong(struct task *task, struct http_request *req, int status,
                                struct slice reason);
/* The page of a handler's failure, with the problem of the task: where it can be mended, the page
 * that the form was on, with what was typed. */
enum status identity_form_failed(struct task *task, struct identity *identity,
                                 struct http_request *req, enum status st);

/* identity/route_pages.c: the page whose form is posted to this route, again. False: none is, or
 * another try is of no use. */
bool identity_form_again(struct task *task, const struct identity *identity,
                         struct http_request *req, const struct problem *problem, int status,
                         enum status *ret_st);
