/*
 * identity/secret.h - Things that open an account to whoever has them: long opaque secrets
 * (sessions, refresh tokens, API keys, links in mail) and short codes. Only their digests are kept.
 * Private to the room.
 *
 * A long secret reads PREFIX_BODY_CHECK: "purlin_key_" and 43 characters of base62, which are 256
 * random bits, and a checksum of six. The prefix lets scanners of leaked secrets recognise it
 * ([a-z0-9_]+_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}, and the checksum leaves no false alarms), the
 * checksum refuses a mistyped or made-up one before the database is asked.
 *
 * Its digest is a plain SHA-256. Nobody guesses 256 bits, so neither a salt, nor a slow hash, nor a
 * key would add to it; and a digest without a key survives the change of PURLIN_SECRET, and lets an
 * operator who found a leaked key find its row with sha256sum. A code of six digits is guessed in
 * no time: its digest has a key that is not in the database, and names its purpose and owner.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define IDENTITY_SECRET_PREFIX_MAX 32u
#define IDENTITY_SECRET_BODY_LEN 43u
#define IDENTITY_SECRET_CHECK_LEN 6u
#define IDENTITY_SECRET_TEXT_MAX                                                                   \
    (IDENTITY_SECRET_PREFIX_MAX + 1u + IDENTITY_SECRET_BODY_LEN + 1u + IDENTITY_SECRET_CHECK_LEN)
#define IDENTITY_DIGEST_BYTES 32u
#define IDENTITY_CODE_LEN 6u

/* A secret in clear: shown or sent once, then wiped. */
struct identity_secret {
    char text[IDENTITY_SECRET_TEXT_MAX];
    size_t len;
};

/* What is kept of a secret. */
struct identity_digest {
    uint8_t bytes[IDENTITY_DIGEST_BYTES];
};

/* The key of the digests of short codes. */
struct identity_pepper {
    uint8_t bytes[32];
};

/*
 * A new secret.
 *
 * Errors   INVALID: the prefix is empty, longer than 32 bytes, has other characters than a-z, 0-9
 *          and "_", or begins or ends with "_".
 * Context  any thread; never suspends.
 */
enum status identity_secret_make(struct slice prefix, struct identity_secret *ret);
void identity_secret_wipe(struct identity_secret *secret);
/* For CLEANUP. */
static inline void identity_secret_wipep(struct identity_secret *secret)
{
    identity_secret_wipe(secret);
}
static inline struct slice identity_secret_text(const struct identity_secret *secret)
{
    return slice_of(secret->text, secret->len);
}

/*
 * Take apart what somebody presents.
 *
 * Errors   INVALID: not of the form above, or its checksum is wrong.
 * Memory   *ret_prefix points into `text`.
 * Units    any length; past IDENTITY_SECRET_TEXT_MAX it is refused unread.
 */
enum status identity_secret_parse(struct slice text, struct slice *ret_prefix);

/* The digest of what somebody presents; INVALID unless it parses and has this very prefix. */
enum status identity_secret_read(struct slice text, struct slice prefix,
                                 struct identity_digest *ret);
struct identity_digest identity_secret_digest(struct slice text);

/* In constant time. */
bool identity_digest_eq(const struct identity_digest *a, const struct identity_digest *b);

/* -- short codes
 * ------------------------------------------------------------------------------------------ */

/* A key of its own for each purpose, made of the installation's secret. */
struct identity_pepper identity_pepper_of(struct slice installation_secret, struct slice purpose);

/* The digest of a short text that belongs to `owner` (an id) and holds for one purpose: the same
 * text has another one elsewhere. */
struct identity_digest identity_digest_keyed(const struct identity_pepper *pepper,
                                             struct slice purpose, struct slice owner,
                                             struct slice text);

/* A code for mail: six digits, each sequence as likely as the others. The caller counts attempts:
 * five of them leave one chance in 200,000. */
void identity_code_make(char ret_code[IDENTITY_CODE_LEN]);
/* A code as it is typed: six digits, and spaces or dashes among them. INVALID: anything else. */
enum status identity_code_read(struct slice text, char ret_code[IDENTITY_CODE_LEN]);
