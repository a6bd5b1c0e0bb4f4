/*
 * identity/passkey_rows.h - Passkeys in the store. Private to the room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/authenticator.h"

struct identity;
struct store_tx;
struct task;

#define IDENTITY_PASSKEYS_MAX 20u /* of an account */
#define IDENTITY_PASSKEY_NAME_MAX 100u

struct identity_passkey {
    struct uuid id, user;
    struct slice credential_id;
    struct identity_public_key key;
    uint32_t sign_count;
    struct slice transports;               /* a JSON array: how browsers reach it */
    uint8_t aaguid[IDENTITY_AAGUID_BYTES]; /* the make of the authenticator, as it says itself */
    struct slice name;
    bool backup_eligible, backed_up;
    int64_t created_us, used_us; /* 0: was not used */
};

extern const struct slice identity__passkey_schema;

/* NOT_FOUND. Memory   in the task's arena. Suspends. */
enum status identity_passkey_find(struct task *task, struct identity *identity,
                                  struct slice credential_id, struct identity_passkey *ret);
/* Those of an account, oldest first. Memory   in the task's arena. Suspends. */
enum status identity_passkeys_read(struct task *task, struct identity *identity,
                                   const struct uuid *user, struct identity_passkey **ret,
                                   unsigned *ret_len);

/* Inside a write. CONFLICT: this credential is known; TOO_LARGE: the account has
 * IDENTITY_PASSKEYS_MAX. */
enum status identity_passkey_put(struct store_tx *tx, const struct identity_passkey *passkey);
/*
 * Inside a write: it has signed, with this count.
 *
 * Errors   NOT_FOUND: it was removed; UNAUTHENTICATED: it counts, and had come as far before: there
 *          is a copy of it (WebAuthn level 3, section 6.1.1).
 */
enum status identity_passkey_used(struct store_tx *tx, const struct uuid *id, uint32_t sign_count,
                                  bool backed_up, int64_t now_us);
/* Inside a write. NOT_FOUND: this account has no such passkey. */
enum status identity_passkey_rename(struct store_tx *tx, const struct uuid *user,
                                    const struct uuid *id, struct slice name);
enum status identity_passkey_remove(struct store_tx *tx, const struct uuid *user,
                                    const struct uuid *id);
