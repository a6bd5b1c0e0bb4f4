/*
 * identity/oauth_pages.h - What people see at /oauth/authorize: the form to sign in, what a program
 * asks for, and what is wrong with a link. Private to the room.
 */
#pragma once

#include "base/slice.h"
#include "base/status.h"
#include "identity/clients.h"

struct buf;
struct http_request;
struct identity;
struct task;

/* What the pages are about. */
struct identity_oauth_view {
    const struct identity_client *client;
    struct slice redirect, scope;
    struct slice request;       /* the authorization request, which the forms carry */
    struct slice other_request; /* the same for another account */
};
/* `wrong`: why it is asked again; empty: it is not. */
enum status identity_page_login(struct task *task, struct http_request *req,
                                const struct identity_oauth_view *view, struct slice email,
                                int status, struct slice wrong);
/* A code of an authenticator app, or a recovery code; `token` names the sign-in's first step. */
enum status identity_page_second(struct task *task, struct http_request *req,
                                 const struct identity_oauth_view *view, struct slice token,
                                 int status, struct slice wrong);
enum status identity_page_consent(struct task *task, const struct identity *identity,
                                  struct http_request *req, const struct identity_oauth_view *view,
                                  struct slice csrf, struct slice email);
/* What scopes let a program do, as people are asked. */
void identity_page_scopes(struct buf *out, const struct identity *identity, struct slice scope);
/* A link that leads nowhere: told here, for nobody knows whom else to trust with it. */
enum status identity_page_wrong(struct task *task, struct http_request *req, int status,
                                struct slice reason);
