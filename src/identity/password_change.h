/*
 * identity/password_change.h - A new password, however it was allowed: its hash, the end of the
 * sessions that the old one began, the line in the log, the notice by mail. Private to the room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/account.h"
#include "identity/note.h"

struct http_request;
struct identity;
struct store_tx;
struct task;

struct identity_password_change {
    struct uuid user;
    bool has_kept; /* a session that goes on */
    struct uuid kept;
    struct slice hash;
    struct identity_note note;
    int64_t now_us;
};

/* Judge and hash; `pointer` is the field, `own` the account's address or empty. Suspends. */
enum status identity_password_change_prepare(struct task *task, struct identity *identity,
                                             struct slice pointer, struct slice password,
                                             struct slice own,
                                             struct identity_password_change *ret);
/* Inside a write; user, kept and note are set. Pending links to reset it go too. */
enum status identity_password_change_put(struct store_tx *tx,
                                         const struct identity_password_change *change);
/* After it: caches are told, and the owner, as far as mail can be sent. */
void identity_password_changed(struct task *task, struct identity *identity,
                               struct http_request *req, const struct identity_account *account);
