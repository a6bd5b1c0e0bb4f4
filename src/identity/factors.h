/*
 * identity/factors.h - Second factors of an account in the store: the secret of an authenticator
 * app, sealed; the digests of recovery codes; passkeys (identity/passkey_rows.h). Private to the
 * room.
 *
 * Data passes: a secret is made and kept as pending -> the first code of it enables it, together
 * with ten recovery codes -> from then on every sign-in asks for a code or a passkey
 * (identity/signin.h), which is used in the very write that makes the session: it holds once.
 *
 * Source   decision 0039.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/otp.h"
#include "identity/recovery.h"
#include "identity/who.h"

struct arena;
struct buf;
struct identity;
struct store_tx;
struct task;

/* A secret that was shown and not confirmed is of no use any more after so long. */
#define IDENTITY_TOTP_PENDING_US (15 * CLOCK_MINUTE)
#define IDENTITY_FACTOR_CODE_MAX 64u /* bytes of a code as typed */
#define IDENTITY_METHODS_SECOND                                                                    \
    (IDENTITY_METHOD_TOTP | IDENTITY_METHOD_RECOVERY | IDENTITY_METHOD_PASSKEY)

struct identity_factors {
    bool has_totp;
    unsigned passkeys;
    unsigned recovery_codes; /* that are left */
};
/* NOT_FOUND: there is no such account. Suspends. */
enum status identity_factors_read(struct task *task, struct identity *identity,
                                  const struct uuid *user, struct identity_factors *ret);

/* Inside a write: has it an app or a passkey? */
enum status identity_factors_any(struct store_tx *tx, const struct uuid *user, bool *ret_any);

/* -- secrets of authenticator apps
 * ------------------------------------------------------------------------------------------- */

/* Sealed for this account: the row of another cannot be put in its place. EXHAUSTED. Memory   in
 * the arena. */
enum status identity_totp_seal(const struct identity *identity, struct arena *arena,
                               const struct uuid *user, const struct identity_otp *otp,
                               int64_t now_us, struct slice *ret);
/* INTERNAL: no secret opens it, or it is another account's. *ret to be wiped; *ret_is_previous: by
 * the secret before. */
enum status identity_totp_open(const struct identity *identity, struct arena *arena,
                               const struct uuid *user, struct slice sealed,
                               struct identity_otp *ret, int64_t *ret_made_us,
                               bool *ret_is_previous);

/* Inside a write. Keep a secret that awaits its first code, in place of an earlier one. */
enum status identity_totp_pend(struct store_tx *tx, const struct uuid *user, struct slice sealed);
/* What is pending, to be shown again. NOT_FOUND: nothing, or not any more. *ret to be wiped.
 * Suspends. */
enum status identity_totp_pending(struct task *task, struct identity *identity,
                                  const struct uuid *user, struct identity_otp *ret);
/* Append the otpauth: URI, in the name of this server. */
void identity_totp_put_uri(struct buf *out, const struct identity *identity,
                           const struct identity_otp *otp, struct slice account);
/* The first code of what is pending: it holds from now on. NOT_FOUND: nothing is pending, or not
 * any more; UNAUTHENTICATED: another code. */
enum status identity_totp_enable(struct store_tx *tx, struct identity *identity,
                                 const struct uuid *user, struct slice code, int64_t now_us);
enum status identity_totp_remove(struct store_tx *tx, const struct uuid *user);

/* -- codes
 * ------------------------------------------------------------------------------------------- */

/* What a code is by its form: IDENTITY_METHOD_TOTP or IDENTITY_METHOD_RECOVERY. */
uint32_t identity_code_method(struct slice code);
/*
 * Use a code of an authenticator app, or a recovery code. Inside the write of what it allows.
 *
 * Errors   UNAUTHENTICATED: it is wrong; CONFLICT: it was right, and was used.
 */
enum status identity_code_use(struct store_tx *tx, struct identity *identity,
                              const struct uuid *user, struct slice code, int64_t now_us);

/* Inside a write: these ten and no others hold from now on. */
enum status identity_recovery_put(struct store_tx *tx, const struct uuid *user,
                                  const struct identity_recovery *codes);
/* Inside a write: an account that has lost its last factor needs no codes either. */
enum status identity_recovery_drop_unneeded(struct store_tx *tx, const struct uuid *user);

/* -- all of them
 * ------------------------------------------------------------------------------------------- */

/* Inside a write: the account has no second factor any more, and no passkey. Also when it is
 * deleted. */
enum status identity_factors_forget(struct store_tx *tx, const struct uuid *user);

/*
 * Seal anew what is sealed with the secret before this one, some accounts at a time: beginning
 * after *cursor, which moves on.
 *
 * Errors   NOT_FOUND: that was all. Context  suspends.
 */
enum status identity_factors_reseal(struct task *task, struct identity *identity,
                                    struct uuid *cursor);
