/*
 * identity/passkey.h - The two ceremonies of passkeys: what a browser answers is read, checked and
 * verified (WebAuthn level 3, sections 7.1 and 7.2). Private to the room.
 *
 * Data passes: options with a challenge (identity/passkey_options.h) -> the browser and the
 * authenticator -> RegistrationResponseJSON or AuthenticationResponseJSON -> a passkey to be put,
 * or an assertion to be used inside the write of what it allows.
 *
 * Source   decision 0039.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/challenge.h"
#include "identity/passkey_rows.h"

struct identity;
struct identity_relying_party;
struct store_tx;
struct task;

/*
 * The relying party of this server. UNAVAILABLE with the problem set: it is known by an address
 * only.
 */
enum status identity_passkey_party(struct task *task, const struct identity *identity,
                                   struct identity_relying_party *ret);

/*
 * Read the answer of `navigator.credentials.create`. What attests is parsed, and not trusted.
 *
 * Errors   INVALID: not of the form; UNAUTHENTICATED: another challenge, origin or relying party,
 *          or nobody was verified. The problem says which.
 * Memory   in the task's arena; user, name and times of *ret are the caller's to fill.
 */
enum status identity_passkey_register(struct task *task, const struct identity *identity,
                                      const json_t *credential, struct slice occasion,
                                      struct identity_passkey *ret,
                                      struct identity_challenge *ret_challenge);

struct identity_assertion {
    struct identity_passkey passkey; /* as it is kept */
    struct identity_challenge challenge;
    uint32_t sign_count;
    bool backed_up;
};
/*
 * Read and verify the answer of `navigator.credentials.get`. For IDENTITY_CEREMONY_LOGIN the
 * authenticator must have verified its user, and names whose passkey it is.
 *
 * Errors   as above; and UNAUTHENTICATED: an unknown passkey, or a wrong signature.
 * Memory   in the task's arena. Suspends.
 */
enum status identity_assertion_read(struct task *task, struct identity *identity,
                                    const json_t *credential, enum identity_ceremony ceremony,
                                    struct slice occasion, struct identity_assertion *ret);
/* Inside a write. UNAUTHENTICATED with the problem set: the challenge was used, the passkey was
 * removed, or there is a copy of it. */
enum status identity_assertion_use(struct store_tx *tx, const struct identity_assertion *assertion,
                                   int64_t now_us);
