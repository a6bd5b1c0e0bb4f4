/*
 * identity/caller.h - The step of the chain that finds out who asks, and the same for handlers of
 * this room that need to know more. Private to the room.
 */
#pragma once

#include "base/status.h"
#include "identity/who.h"

struct http_request;
struct identity;
struct task;

/* Add the step. Start of the process. */
enum status identity__caller_open(struct identity *identity);

/*
 * Who asks, with their session. NOT_FOUND: nobody says who they are; UNAUTHENTICATED: it is not
 * true, or not any more. Memory   in the request's arena. Context  suspends.
 */
enum status identity_caller_find(struct task *task, struct identity *identity,
                                 struct http_request *req, struct identity_who *ret);
/* Give `who` the roles of the account `who->user`. UNAUTHENTICATED: it is not in use. Memory   in
 * the task's arena. Context  suspends. */
enum status identity_caller_take_owner(struct task *task, struct identity *identity,
                                       struct identity_who *who);
/* As identity_caller_find where somebody has to be: UNAUTHENTICATED with the problem set. */
enum status identity_caller_require(struct task *task, struct identity *identity,
                                    struct http_request *req, struct identity_who *ret);
/* ... and to have proved it within `fresh_us`: DENIED with the problem "identity/step-up", which
 * tells a client to ask for the password, a code or a passkey again (RFC 9470). */
enum status identity_caller_require_fresh(struct task *task, struct identity *identity,
                                          struct http_request *req, int64_t fresh_us,
                                          struct identity_who *ret);
/* DENIED with the problem "identity/not-yourself" for who acts as another person. */
enum status identity_caller_refuse_acting(struct task *task, const struct identity_who *who);
/* ... and to be the person themselves: no application that acts for them, nobody who acts as them.
 * DENIED with the problem "identity/not-yourself". */
enum status identity_caller_require_self(struct task *task, struct identity *identity,
                                         struct http_request *req, struct identity_who *ret);
enum status identity_caller_require_self_fresh(struct task *task, struct identity *identity,
                                               struct http_request *req, int64_t fresh_us,
                                               struct identity_who *ret);
