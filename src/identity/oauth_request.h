/*
 * identity/oauth_request.h - An authorization request: read, checked, and answered by sending the
 * browser back. Private to the room.
 *
 * Data passes: parameters -> client and redirect URI, without which nobody is sent anywhere -> the
 * rest, whose faults the client is told by redirect.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/clients.h"
#include "identity/oauth.h"
#include "identity/oauth_pages.h"
#include "identity/oauth_text.h"

struct http_request;
struct identity;
struct task;

#define IDENTITY_OAUTH_REQUEST_BYTES_MAX 8192u

struct identity_oauth_request {
    struct task *task;
    struct http_request *req;
    struct identity *identity;
    struct identity_oauth_params params;
    struct identity_client client;
    struct slice redirect, state, nonce, scope, challenge, hint;
    bool none, login, consent; /* "prompt" */
    int64_t max_age_s;         /* < 0: any */
    struct identity_oauth_view view;
};

/* Check r->params and fill the rest. False: it was answered, or *ret_st is to be returned.
 * Suspends. */
bool identity_oauth_request_read(struct identity_oauth_request *r, enum status *ret_st);
/* The same of a request that a form carried. */
bool identity_oauth_request_carried(struct identity_oauth_request *r, struct slice text,
                                    enum status *ret_st);

/* Send the browser back to the client, with a code or an error. */
enum status identity_oauth_request_grant(const struct identity_oauth_request *r, struct slice code);
enum status identity_oauth_request_fail(const struct identity_oauth_request *r,
                                        enum identity_oauth_error error, const char *description);
