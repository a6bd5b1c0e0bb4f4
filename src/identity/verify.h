/*
 * identity/verify.h - Mail that proves an address, and asking for mail in general. Private to the
 * room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/job.h"
#include "identity/mail.h"
#include "identity/one_time.h"

struct identity_letter;
struct store_tx;

/* The letter with link and code for a new account; as identity_letter_write. */
enum status identity_verify_letter(struct task *task, struct identity *identity,
                                   const struct uuid *user, struct slice email,
                                   struct identity_letter *ret);
/* Whoever used something that was sent to the address has proved it. Inside a write. */
enum status identity_verified_put(struct store_tx *tx, const struct uuid *user, int64_t now_us,
                                  bool *ret_changed);
/* What goes to who has asked for it. All constant. */
struct identity_asked_link {
    enum identity_purpose purpose;
    enum identity_mail_kind kind;
    const char *path; /* the page that it leads to */
    int64_t life_us;
};
/* Behind such an answer: the link, if there is an account in order, and not too often. */
enum status identity_send_asked_link(struct task *task, const struct identity_job *job,
                                     const struct identity_asked_link *link);

/*
 * A handler that reads "email", answers 202 whoever it is, and has `fn` find out behind the answer.
 */
enum status identity_ask_for_mail(struct task *task, struct http_request *req,
                                  struct identity *identity, const char *name, identity_job_fn fn);
