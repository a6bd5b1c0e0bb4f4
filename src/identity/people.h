/*
 * identity/people.h - A person's row in the application's contract, made with their account.
 * Private to the room.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/account.h"

struct identity;
struct store_tx;
struct task;

struct identity_person {
    struct identity *identity;
    struct contract_set *set; /* held */
    struct contract_row *row;
    struct identity_account_new account;
};

/*
 * Check what is to become a person: `profile` (NULL: {}) by the contract, with `email` in its field
 * of that name if it has one. What is wrong is reported under `pointer`.
 *
 * Errors   INVALID with the problem's fields; UNAVAILABLE: there is no contract of people.
 * Memory   in the task's arena; identity_person_release on every path. Context   never suspends.
 */
enum status identity_person_prepare(struct task *task, struct identity *identity,
                                    const json_t *profile, struct slice pointer, struct slice email,
                                    struct identity_person *ret);
void identity_person_release(struct identity_person *person);
static inline void identity_person_releasep(struct identity_person *person)
{
    identity_person_release(person);
}
/* Write both rows. CONFLICT: the address has an account, or (with problem fields) what the contract
 * says is unique. Inside a write. */
enum status identity_person_put(struct store_tx *tx, struct identity_person *person);
/* Was the last CONFLICT of the write about the address? */
bool identity_person_is_taken(const struct store_tx *tx);
