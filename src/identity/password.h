/*
 * identity/password.h - Passwords: whether one may be chosen, its hash, and whether it is the right
 * one. Private to the room.
 *
 * Hashing takes tens of milliseconds and some 19 MiB by design, so it has threads of its own with a
 * bounded queue: a flood of logins fills that and nothing else, loops go on, and memory is what the
 * threads take, however many wait.
 *
 * A password is hashed in Unicode's form NFKC: the same letters typed on another system, where they
 * are encoded otherwise, are the same password (NIST SP 800-63B section 5.1.1.2; decision 0033).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/slice.h"
#include "base/status.h"

struct task;

#define IDENTITY_PASSWORD_POINTS_MIN 8u /* code points */
#define IDENTITY_PASSWORD_POINTS_MAX 1024u
#define IDENTITY_PASSWORD_HASH_MAX 255u /* bytes of a stored hash */

/* -- may it be chosen?
 * ------------------------------------------------------------------------------------ */

enum identity_password_fault {
    IDENTITY_PASSWORD_GOOD,
    IDENTITY_PASSWORD_NOT_TEXT,   /* no UTF-8, or characters that no form lets through */
    IDENTITY_PASSWORD_TOO_SHORT,  /* fewer than 8 code points */
    IDENTITY_PASSWORD_TOO_LONG,   /* more than 1024 */
    IDENTITY_PASSWORD_TOO_SIMPLE, /* one character, a sequence, a row of keys, over and over */
    IDENTITY_PASSWORD_TOO_COMMON, /* on the list of the most common, or little more than that */
    IDENTITY_PASSWORD_PERSONAL,   /* little more than a name or address of its own account */
    IDENTITY_PASSWORD_FAULT_COUNT
};

/* "too_short", and the sentence to show beside the form's field; of a fault, not of GOOD. */
const char *identity_password_fault_code(enum identity_password_fault fault);
const char *identity_password_fault_text(enum identity_password_fault fault);

/*
 * The first thing that is wrong with a password. No composition rules: what matters is that it is
 * not among the first that somebody would guess.
 *
 * Errors   EXHAUSTED: no memory.
 * Context  any thread; never suspends. Some microseconds.
 * Units    `own` are names and addresses of the account and of the site; the first 320 bytes of
 *          each are looked at.
 */
enum status identity_password_judge(struct slice password, const struct slice *own, size_t own_len,
                                    enum identity_password_fault *ret_fault);

/*
 * The same for a form or body: what is wrong becomes the field `pointer` of the task's problem.
 *
 * Errors   INVALID with the problem set; EXHAUSTED.
 */
enum status identity_password_check(struct task *task, struct slice pointer, struct slice password,
                                    const struct slice *own, size_t own_len);

/* -- stored hashes
 * ---------------------------------------------------------------------------------------- */

enum identity_password_scheme { IDENTITY_PASSWORD_ARGON2ID, IDENTITY_PASSWORD_BCRYPT };

/* What a stored hash says of itself. */
struct identity_password_info {
    enum identity_password_scheme scheme;
    uint32_t memory_kib, passes, lanes; /* of Argon2id */
    uint32_t salt_bytes, hash_bytes;
    uint32_t cost; /* of bcrypt: the logarithm of its rounds */
};

/*
 * Read a stored hash, one of ours or of an import: "$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH" or
 * bcrypt's "$2b$12$..." ($2a, $2b, $2y).
 *
 * Errors   INVALID: neither of these; TOO_LARGE: verifying it would take more than 256 MiB, or some
 *          seconds (memory times passes above 1 GiB, more than 16 lanes, a bcrypt cost above 15).
 */
enum status identity_password_read(struct slice stored, struct identity_password_info *ret);

/* -- hashing
 * ---------------------------------------------------------------------------------------------- */

struct identity_passwords;

struct identity_password_options {
    uint32_t memory_kib; /* of Argon2id: 8192 to 262144; 0: 19456, which OWASP asks for at least */
    uint32_t passes;     /* 1 to 10; 0: 2 */
    unsigned threads;    /* 0: one for each two cores */
    unsigned queue_max;  /* hashings that wait for a thread; 0: 64 */
};

/*
 * Start the threads. INVALID: an option is out of bounds; EXHAUSTED. One a process; free it when no
 * loop runs any more.
 */
enum status identity_passwords_new(const struct identity_password_options *options,
                                   struct identity_passwords **ret);
void identity_passwords_free(struct identity_passwords *passwords);
DEFINE_CLEANUP(struct identity_passwords *, identity_passwords_free)

/*
 * Hash a password with Argon2id.
 *
 * Errors   INVALID: identity_password_judge finds it NOT_TEXT or TOO_LONG; EXHAUSTED at once, with
 *          the problem set and a time to come back, when the queue is full, or without memory;
 *          TIMEOUT, CANCELLED while it waits for a thread.
 * Memory   *ret_stored points into the task's arena. Copies made of the password are wiped.
 * Context  suspends; `password` must stay where it is.
 */
enum status identity_password_hash(struct task *task, struct identity_passwords *passwords,
                                   struct slice password, struct slice *ret_stored);

struct identity_password_verdict {
    bool matched;
    bool rehash_due; /* it matched; hash it anew while it is known: it is bcrypt, weaker than what
                        is asked for now, or not of the normal form */
    bool unreadable; /* `stored` is no hash that can be verified; a matter for the log */
};

/*
 * Is it the password of this hash? With an empty `stored`, for an account that is not there, or one
 * that cannot be read, it does the work of one of the parameters asked for now, and does not match.
 * A bcrypt hash takes the time of bcrypt until the first login has replaced it.
 *
 * Errors   EXHAUSTED, TIMEOUT, CANCELLED as above; a wrong password is none.
 * Context  suspends; `password` and `stored` must stay where they are. A password that is too long
 *          to be one does not match, at once, whoever the account is.
 */
enum status identity_password_verify(struct task *task, struct identity_passwords *passwords,
                                     struct slice password, struct slice stored,
                                     struct identity_password_verdict *ret);
