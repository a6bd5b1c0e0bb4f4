/*
 * identity/letter.h - The mails of an account's life: a one-time secret and the letter that carries
 * it, ready to be put in one write. Private to the room.
 */
#pragma once

#include "base/slice.h"
#include "base/status.h"
#include "identity/account.h"
#include "identity/mail.h"
#include "identity/one_time.h"

struct identity_job;

struct identity_letter {
    struct identity *identity;
    struct identity_one_time once;
    bool has_once;
    struct identity_mail_message message;
    int64_t now_us;
};

/*
 * Make the secret of a purpose for an account (NULL: a notice without one) and write the letter.
 * `letter` has the kind and what is not said here: to, link, code and time are filled in. `path` is
 * the page that the link leads to, such as "verify"; the secret is its query.
 *
 * Errors   UNAVAILABLE with the problem set: no mail can be sent here; EXHAUSTED.
 * Memory   in the task's arena; wipe it afterwards.
 */
enum status identity_letter_write(struct task *task, struct identity *identity,
                                  enum identity_purpose purpose, const struct uuid *owner,
                                  struct slice data, int64_t life_us, const char *path,
                                  struct identity_mail_letter *letter, struct identity_letter *ret);
/* A letter without a secret. `path` may be NULL. */
enum status identity_letter_notice(struct task *task, struct identity *identity, const char *path,
                                   struct identity_mail_letter *letter,
                                   struct identity_letter *ret);
/* Inside a write. */
enum status identity_letter_put(struct store_tx *tx, const struct identity_letter *letter);
/* A write of nothing else; then it is sent. Suspends. */
enum status identity_letter_send(struct task *task, struct identity_letter *letter);
void identity_letter_wipe(struct identity_letter *letter);
static inline void identity_letter_wipep(struct identity_letter *letter)
{
    identity_letter_wipe(letter);
}

/*
 * May this address be sent one more letter of this kind now? A few an hour, so that nobody fills
 * somebody else's mailbox. Never told to who asks.
 */
bool identity_letter_is_due(struct identity *identity, enum identity_purpose purpose,
                            struct slice email_key);
