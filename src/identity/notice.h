/*
 * identity/notice.h - Mails that tell the owner of an account what was done to it, from where and
 * when, in case it was not them. Private to the room.
 */
#pragma once

#include "base/id.h"
#include "base/slice.h"
#include "identity/mail.h"

struct http_request;
struct identity;
struct task;

struct identity_notice {
    enum identity_mail_kind kind;
    const struct uuid *user;
    struct slice to;    /* an address that was theirs; empty: the account's */
    const char *path;   /* the page that its link leads to: "recover" */
    const char *factor; /* what it is about, as a sentence begins; may be NULL */
    struct slice new_address;
};

/*
 * Send it after the act, which stands whether or not mail can be sent: a failure is logged, and the
 * task's problem is as before. `req` is whose request did it; NULL: an operator. Suspends.
 */
void identity_notice_send(struct task *task, struct identity *identity, struct http_request *req,
                          const struct identity_notice *notice);
