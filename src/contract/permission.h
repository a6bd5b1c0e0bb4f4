/*
 * contract/permission.h - Which permissions there are: each contract's, the application's own and
 * the program's (base/rights.h); so that a name which is none is found where it is written.
 */
#pragma once

#include <stdbool.h>

#include "base/rights.h"
#include "base/slice.h"

struct arena;
struct contract_set;
struct diag;

/* Does the pattern stand for at least one? `rights` may be NULL. */
bool contract_permission_exists(const struct contract_set *set, const struct rights *rights,
                                struct slice pattern);
/* "Did you mean `posts:delete`?" or which there are of its area; may be empty. Memory: arena. */
struct slice contract_permission_suggest(const struct contract_set *set,
                                         const struct rights *rights, struct slice wrong,
                                         struct arena *arena);
/*
 * Hold the names that rules ask for against what there is: permissions of can and @scopes always
 * (a scope of OAuth may be one of `scopes`, names with spaces between them), roles where the
 * application declares any. Each wrong one goes to `diag` with file, line and key.
 */
void contract_permissions_check(const struct contract_set *set, const struct rights *rights,
                                struct slice scopes, struct diag *diag);
