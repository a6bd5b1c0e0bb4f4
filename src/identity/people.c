/* identity/people.c - A person's row, by the application's contract. */
#include "identity/people.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/problem.h"
#include "contract/contract.h"
#include "fiber/task.h"
#include "identity/feed.h"
#include "identity/foreign_rows.h"
#include "identity/room.h"
#include "identity/session.h"

/* The profile with the address in it, if the contract has a place for one and it is not given. */
static const json_t *with_email(struct arena *arena, const struct contract *contract,
                                const json_t *profile, struct slice email)
{
    const struct contract_field *field = contract_field_find(contract, SLICE("email"));
    struct slice key; /* of what is no address the caller complains, once */
    bool is_wanted = field && field->type == CONTRACT_EMAIL &&
                     identity_email_key(arena, email, &key) == STATUS_OK &&
                     !(profile && json_object_get(profile, "email"));
    if (profile && !is_wanted)
        return profile;
    struct arena *before = json_arena_set(arena);
    json_t *copy = profile ? json_copy((json_t *)(uintptr_t)profile) : json_object();
    if (copy && is_wanted &&
        json_object_set_new(copy, "email", json_stringn(email.data, email.len)) != 0)
        copy = NULL;
    (void)json_arena_set(before);
    return copy;
}

enum status identity_person_prepare(struct task *task, struct identity *identity,
                                    const json_t *profile, struct slice pointer, struct slice email,
                                    struct identity_person *ret)
{
    const struct identity_people *people = &identity->options.people;
    struct arena *arena = task_arena(task);
    *ret = (struct identity_person){ .identity = identity };
    ret->set = people->hold(people->arg);
    const struct contract *contract = contract_find(ret->set, SLICE(IDENTITY_PEOPLE));
    if (!contract)
        return problem_set(task, STATUS_UNAVAILABLE, "identity/no-people",
                           "There is no contract \"" IDENTITY_PEOPLE
                           "\": accounts need one for the people they belong to.");
    ret->row = arena_new_of(arena, struct contract_row);
    const json_t *object = with_email(arena, contract, profile, email);
    if (!ret->row || !object)
        return STATUS_EXHAUSTED;
    ret->account.user = uuid_v7();
    ret->account.now_us = clock_wall_us();
    /* Their own id is who they are: `default: "@user"` means themselves. */
    const struct task_caller caller = { .has_user = true, .user = ret->account.user };
    const struct contract_input input = { .mode = CONTRACT_MODE_CREATE,
                                          .caller = &caller,
                                          .now_us = ret->account.now_us,
                                          .pointer = pointer };
    return contract_validate(contract, object, &input, arena, task_problem(task), ret->row, NULL);
}

void identity_person_release(struct identity_person *person)
{
    const struct identity_people *people = &person->identity->options.people;
    if (person->set)
        people->release(people->arg, person->set);
    person->set = NULL;
}

/* The person first: what the contract says is unique is told whether or not the address is taken.
 */
enum status identity_person_put(struct store_tx *tx, struct identity_person *person)
{
    struct identity *identity = person->identity;
    struct uuid id;
    enum status st = identity->options.people.insert(tx, person->row, &person->account.user, &id);
    return st == STATUS_OK ? identity_account_put(tx, &person->account) : st;
}

bool identity_person_is_taken(const struct store_tx *tx)
{
    return slice_eq(store_tx_conflict(tx)->table, SLICE("purlin_accounts"));
}

enum status identity_person_removed(struct store_tx *tx, const struct uuid *user)
{
    int64_t now_us = clock_wall_us(), ended;
    enum status st = identity_foreign_forget(tx, user);
    if (st == STATUS_OK)
        st = identity_sessions_end(tx, user, NULL, "deleted", now_us, &ended);
    /* Keys have no session that ends. */
    return st == STATUS_OK && ended == 0 ? identity_feed_put(tx, IDENTITY_FEED_USER, user, now_us)
                                         : st;
}
