/*
 * identity/foreign_seal.h - JSON that a browser carries for us and cannot read or change. Private
 * to the room. (identity/foreign_flow.c)
 */
#pragma once

#include <jansson.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;
struct identity;

/* In base64url. EXHAUSTED; in the arena. */
enum status identity_foreign_seal(const struct identity *identity, struct arena *arena,
                                  struct slice json, struct slice *ret);
/* NULL: it is none of ours. */
const json_t *identity_foreign_unseal(const struct identity *identity, struct arena *arena,
                                      struct slice sealed);
