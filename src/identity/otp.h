/*
 * identity/otp.h - Codes of authenticator apps: TOTP (RFC 6238). Private to the room.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#define IDENTITY_OTP_SECRET_BYTES 20u /* of a new one: RFC 4226 section 4, R6 */
#define IDENTITY_OTP_SECRET_BYTES_MIN                                                              \
    10u /* of one that was imported: 80 bits, as apps once made                                    \
         */
#define IDENTITY_OTP_SECRET_BYTES_MAX 64u
#define IDENTITY_OTP_DIGITS_MAX 8u
#define IDENTITY_OTP_STEP_NONE INT64_MIN /* no code was accepted yet */

enum identity_otp_alg { IDENTITY_OTP_SHA1, IDENTITY_OTP_SHA256, IDENTITY_OTP_SHA512 };

/* A second factor of somebody. Zeroed but for the secret it is what every app understands. */
struct identity_otp {
    enum identity_otp_alg alg;
    unsigned digits;   /* 6 to 8; 0: 6 */
    unsigned period_s; /* 15 to 300; 0: 30 */
    size_t secret_len;
    uint8_t secret[IDENTITY_OTP_SECRET_BYTES_MAX];
};

/* A new one, of a random secret. Wipe it (sodium_memzero) when it was shown and kept. */
void identity_otp_make(struct identity_otp *ret);

/*
 * One with a secret written in base32, from another system.
 *
 * Errors   INVALID: not base32, or shorter than IDENTITY_OTP_SECRET_BYTES_MIN; TOO_LARGE.
 */
enum status identity_otp_read(struct slice base32, struct identity_otp *ret);

/* The code of a step (time divided by the period), as many digits as it has. */
void identity_otp_code(const struct identity_otp *otp, int64_t step,
                       char ret_code[IDENTITY_OTP_DIGITS_MAX]);

/*
 * Is this its code now, or a step earlier or later? A code holds once: give what the last accepted
 * one returned, and keep what this one does, in the same transaction.
 *
 * Errors   UNAUTHENTICATED: it is not; CONFLICT: it is, and was used, or is older than the last one
 *          used: wait for the next. *ret_step is untouched.
 * Context  any thread; never suspends. The time it takes does not depend on the code.
 * Units    `now_us` since 1970 UTC. The code as typed: spaces and dashes do not count.
 * Source   RFC 6238 sections 5.2 and 6.
 */
enum status identity_otp_check(const struct identity_otp *otp, struct slice code, int64_t now_us,
                               int64_t last_step, int64_t *ret_step);

/*
 * Append the otpauth: URI that is shown as a QR code. A colon in one of the names would end the
 * issuer early, so it is written as a space.
 *
 * Errors   in the buffer.
 */
void identity_otp_put_uri(struct buf *out, const struct identity_otp *otp, struct slice issuer,
                          struct slice account);
