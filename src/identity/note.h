/*
 * identity/note.h - This room's lines of the audit log. Private to the room. Where there is no log
 * (a tool without one) nothing is written.
 */
#pragma once

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/audit.h"

struct arena;
struct http_request;
struct identity;
struct identity_job;
struct store_tx;

/* An act about a user, by whoever made the request; what the transaction needs of it, copied. */
struct identity_note {
    struct identity *identity;
    struct identity_audit_event event;
    char subject[UUID_TEXT_LEN], actor[UUID_TEXT_LEN];
};

/* Filled from a request. `user` is the subject; NULL: none is known. */
void identity_note_init(struct identity_note *note, struct identity *identity,
                        struct http_request *req, enum identity_audit_act act,
                        const struct uuid *user);
/* By whoever has the machine: options.operator_name. */
void identity_note_operator(struct identity_note *note, struct identity *identity,
                            enum identity_audit_act act, const struct uuid *user);
/* The user did it themselves, though the request came without a session: signing in, a link. */
void identity_note_by_user(struct identity_note *note, const struct uuid *user);
/*
 * Details: which client (RFC 6749) it was about, and of what scope (empty: none is told).
 *
 * Errors   EXHAUSTED. Memory   in the arena.
 */
enum status identity_note_client(struct identity_note *note, struct arena *arena,
                                 struct slice client_id, struct slice scope);
/* Inside the write that does it. */
enum status identity_note_put(struct store_tx *tx, const struct identity_note *note);
/* What has no write: a refusal. */
void identity_note_later(const struct identity_note *note);
