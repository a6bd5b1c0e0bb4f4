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

struct identity_letter;
struct store_tx;

/* The letter with link and code for a new account; as identity_letter_write. */
enum status identity_verify_letter(struct task *task, struct identity *identity,
                                   const struct uuid *user, struct slice email,
                                   struct identity_letter *ret);
/* Whoever used something that was sent to the address has proved it. Inside a write. */
enum status identity_verified_put(struct store_tx *tx, const struct uuid *user, int64_t now_us,
                                  bool *ret_changed);
/*
 * A handler that reads "email", answers 202 whoever it is, and has `fn` find out behind the answer.
 */
enum status identity_ask_for_mail(struct task *task, struct http_request *req,
                                  struct identity *identity, const char *name, identity_job_fn fn);
