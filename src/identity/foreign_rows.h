/*
 * identity/foreign_rows.h - Who somebody is elsewhere: (provider, subject) -> a user of ours.
 * Private to the room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

struct identity;
struct store_tx;
struct task;

#define IDENTITY_FOREIGN_LINKS_MAX 32u /* of one user */
#define IDENTITY_SUBJECT_MAX 255u      /* bytes; OpenID Connect Core, section 2 */

extern const struct slice identity__foreign_schema;

struct identity_foreign_link {
    struct slice provider, subject;
    struct slice email; /* as the provider told it; for people to tell links apart. May be empty */
    int64_t created_us, used_us;
};

/* NOT_FOUND: nobody of ours is that. Suspends. */
enum status identity_foreign_find(struct task *task, struct identity *identity,
                                  struct slice provider, struct slice subject,
                                  struct uuid *ret_user);
/* At most IDENTITY_FOREIGN_LINKS_MAX, the oldest first; in the task's arena. Suspends. */
enum status identity_foreign_list(struct task *task, struct identity *identity,
                                  const struct uuid *user, struct identity_foreign_link **ret,
                                  unsigned *ret_len);

/* Inside a write. CONFLICT: it is somebody's already, this user's perhaps, or they have another one
 * of the same provider. */
enum status identity_foreign_put(struct store_tx *tx, const struct uuid *user,
                                 const struct identity_foreign_link *link);
/* Inside a write: it was used to sign in. */
enum status identity_foreign_used(struct store_tx *tx, const struct identity_foreign_link *link,
                                  int64_t now_us);
/* Inside a write. NOT_FOUND: there is no such link; CONFLICT: nothing else lets them in. */
enum status identity_foreign_remove(struct store_tx *tx, struct identity *identity,
                                    const struct uuid *user, struct slice provider);
/* Inside a write: all of a user, who is deleted. */
enum status identity_foreign_forget(struct store_tx *tx, const struct uuid *user);
