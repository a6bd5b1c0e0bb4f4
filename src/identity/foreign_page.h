/*
 * identity/foreign_page.h - How a sign-in elsewhere ends in a browser, or for a program that asked
 * for JSON. Private to the room.
 */
#pragma once

#include "base/slice.h"
#include "base/status.h"
#include "identity/foreign_sign_in.h"

struct buf;
struct http_request;
struct identity;
struct task;

/* Does it want JSON rather than a page? */
bool identity_foreign_wants_json(const struct http_request *req);
/* What came of it: on to where it was to end, the second step, or the page that asks for what is
 * missing. */
enum status identity_foreign_finish(struct task *task, struct http_request *req,
                                    const struct identity_arrival *arrival,
                                    const struct identity_arrived_result *result);
/* The page of a failure, with the problem of the task; to a program the status as it is. */
enum status identity_foreign_fail(struct task *task, struct http_request *req, enum status st);
/* Links to begin with each provider, and to come back to a path (constant; NULL: the account).
 * Nothing when there are none. */
void identity_foreign_put_buttons(const struct identity *identity, const char *return_to,
                                  struct buf *out);
/* The page that leads on to a provider, for who links it to their account. */
enum status identity_foreign_send_leave(struct task *task, struct http_request *req,
                                        const struct identity_source *source, struct slice url);
