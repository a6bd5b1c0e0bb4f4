/*
 * contract/example.h - Example bodies for the documents (private to the room).
 */
#pragma once

#include "base/buf.h"
#include "base/status.h"

struct arena;
struct contract;

/*
 * Append a body that the validator accepts: kind 'c' has every field a client may give, 'p' only
 * the first such one. References are left out unless required (an id that exists cannot be known).
 *
 * Errors   NOT_FOUND when no valid body could be made (a pattern that the generator cannot
 * satisfy); `out` is then untouched.
 */
enum status contract__example(const struct contract *contract, char kind, struct arena *arena,
                              struct buf *out);
