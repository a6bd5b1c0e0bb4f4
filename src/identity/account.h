/*
 * identity/account.h - What is kept of a person beside the row of the application's contract: the
 * address they sign in with, the hash of their password, their roles. Private to the room.
 *
 * Data passes: an address -> its key, under which one account is found -> an account, whose texts
 * live in the arena of who asked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;
struct identity;
struct problem;
struct store_rows;
struct store_tx;
struct task;

#define IDENTITY_EMAIL_MAX 254u /* bytes; RFC 5321 section 4.5.3.1.3 without the brackets */
#define IDENTITY_ROLES_MAX 32u
#define IDENTITY_ROLE_BYTES_MAX 64u

struct identity_account {
    struct uuid user;
    struct slice email;
    int64_t verified_us;   /* 0: the address was not verified */
    struct slice password; /* its hash; empty: has none */
    int64_t password_us;   /* when it was chosen */
    const struct slice *roles;
    unsigned roles_len;
    int64_t disabled_us; /* 0: is not */
    int64_t delete_us;   /* when it will be deleted; 0: it will not */
    struct slice totp;   /* sealed; empty: has none */
    int64_t totp_step;
    bool has_passkey;
    bool has_person; /* the row of the contract is there */
};

/* May somebody act as this account: it is not disabled, is not about to go, and has its person? */
static inline bool identity_account_is_in_use(const struct identity_account *account)
{
    return !account->disabled_us && !account->delete_us && account->has_person;
}

/*
 * The form under which one address is one account: without spaces around it, lower case. RFC 5321
 * lets the part before the @ tell case apart; nobody's mail server does, and people type both.
 *
 * Errors   INVALID: no address; EXHAUSTED.
 * Memory   *ret_key lives in the arena.
 */
enum status identity_email_key(struct arena *arena, struct slice email, struct slice *ret_key);

/*
 * NOT_FOUND: there is none. Memory   in the task's arena. Context  suspends.
 */
enum status identity_account_by_email(struct task *task, struct identity *identity,
                                      struct slice email_key, struct identity_account *ret);
enum status identity_account_by_user(struct task *task, struct identity *identity,
                                     const struct uuid *user, struct identity_account *ret);

/* The same inside a write. */
enum status identity_account_by_email_in(struct store_tx *tx, struct identity *identity,
                                         struct slice email_key, struct identity_account *ret);
enum status identity_account_by_user_in(struct store_tx *tx, struct identity *identity,
                                        const struct uuid *user, struct identity_account *ret);

struct identity_account_new {
    struct uuid user;
    struct slice email, email_key;
    struct slice password; /* its hash; empty: none */
    struct slice roles;    /* a JSON array; empty: none */
    int64_t verified_us;
    int64_t now_us;
};
/* CONFLICT: the address, or the person, has an account. */
enum status identity_account_put(struct store_tx *tx, const struct identity_account_new *account);

/*
 * Roles from their JSON array and back. INVALID: no array of at most IDENTITY_ROLES_MAX names.
 * Memory   in the arena.
 */
enum status identity_roles_read(struct arena *arena, struct slice json, const struct slice **ret,
                                unsigned *ret_len);
enum status identity_roles_write(struct arena *arena, const struct slice *roles, unsigned len,
                                 struct slice *ret_json);
/* Lower-case letters, digits, "-", "_", ".", ":"; begins with a letter. */
bool identity_role_is_name(struct slice role);
