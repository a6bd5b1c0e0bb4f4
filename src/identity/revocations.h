/*
 * identity/revocations.h - Private to the token cache: how a loop reads what was revoked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct identity_revocations;

#define IDENTITY__REVOKED_ALL UINT64_C(0)

/* What a session or user is known by; never 0 unless the id is empty. */
uint64_t identity__revocation_session(const struct identity_revocations *revocations,
                                      struct slice session_id);
uint64_t identity__revocation_user(const struct identity_revocations *revocations,
                                   struct slice user_id);
/* How many there have been. One load. */
uint64_t identity__revocations_len(const struct identity_revocations *revocations);
/* The `n`th, from 1. False: it is no longer kept. */
bool identity__revocation_get(const struct identity_revocations *revocations, uint64_t n,
                              uint64_t *ret_what);
int64_t identity__revocations_confirmed_us(const struct identity_revocations *revocations);
