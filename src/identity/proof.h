/*
 * identity/proof.h - What somebody gives to show once more who they are: a code of an app, a
 * recovery code, a passkey. Private to the room.
 *
 * Data passes: members of a body -> a proof, as far as it can be checked without the database ->
 * used inside the write of what it allows, where it holds once.
 */
#pragma once

#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/input.h"
#include "identity/note.h"
#include "identity/passkey.h"

struct http_request;
struct identity;
struct store_tx;
struct task;

struct identity_proof {
    struct identity *identity;
    struct uuid user;
    uint32_t method; /* IDENTITY_METHOD_TOTP, _RECOVERY or _PASSKEY; 0: none was given */
    struct slice code;
    struct identity_assertion *assertion; /* of a passkey; verified */
    struct identity_note note;            /* of what is told of its use */
    int64_t now_us;
};

/*
 * Take the member "code" or "credential" of a body. `occasion` is what a passkey's challenge was
 * made for: the id of a session, or of a first step.
 *
 * Errors   INVALID with the problem's fields; UNAUTHENTICATED: what the passkey says is not so.
 * Memory   points into the request's arena. Context   suspends.
 */
enum status identity_proof_read(struct task *task, struct identity *identity,
                                struct http_request *req, const struct identity_input *in,
                                const struct uuid *user, const struct uuid *occasion,
                                struct identity_proof *ret);
/* Inside a write. UNAUTHENTICATED: it is wrong; CONFLICT: it was right, and was used. */
enum status identity_proof_use(struct store_tx *tx, const struct identity_proof *proof);
/* The answer to either, counted and told to the audit log. */
enum status identity_proof_refuse(struct task *task, struct http_request *req,
                                  const struct identity_proof *proof, enum status outcome);
