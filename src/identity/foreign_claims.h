/*
 * identity/foreign_claims.h - From what another issuer says to our roles. Private to the room.
 */
#pragma once

#include <jansson.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/token_issuers.h"

struct arena;

#define IDENTITY_CLAIM_PATH_MAX 128u /* bytes */
#define IDENTITY_CLAIM_VALUES_MAX 256u

/* The claim at a path of names with dots between them; a name with dots in it ("https://x.org/r")
 * is found as it is first. NULL: there is none. */
const json_t *identity_claim_at(const json_t *claims, struct slice path);

/*
 * The roles that a token's claim gives: those of the map whose left side is (one of) the claim's
 * value, a list of texts or one with spaces between them. Others give nothing.
 *
 * Errors   EXHAUSTED. Memory   in the arena. Bounds   IDENTITY_CLAIM_VALUES_MAX values are looked
 *          at, IDENTITY_ROLES_MAX roles given.
 */
enum status identity_claim_roles(struct arena *arena, const json_t *claims,
                                 const struct identity_token_issuer *issuer,
                                 const struct slice **ret, unsigned *ret_len);

/* "iss" of a token that nobody has verified: to find out by whom it has to be. SLICE_NULL: it says
 * none. In the arena. */
struct slice identity_claimed_issuer(struct arena *arena, struct slice token);
