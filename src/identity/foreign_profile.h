/*
 * identity/foreign_profile.h - A person's profile, as far as a provider told it. Private to the
 * room.
 */
#pragma once

#include <jansson.h>

#include "base/slice.h"

struct arena;
struct identity;
struct identity_foreign_person;
struct task;

/*
 * What the person's contract has a place for, with `given` on top of it (NULL: nothing). NULL: no
 * memory. Memory   in the task's arena.
 */
const json_t *identity_foreign_profile(struct task *task, const struct identity *identity,
                                       const struct identity_foreign_person *person,
                                       const json_t *given);
/* A name of lower-case letters, digits and "_", made of what they call themselves, of their name or
 * of the address, with four digits after it. SLICE_NULL: no memory. In the arena. */
struct slice identity_foreign_handle(struct arena *arena,
                                     const struct identity_foreign_person *person, unsigned number);
