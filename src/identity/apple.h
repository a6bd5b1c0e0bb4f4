/*
 * identity/apple.h - Apple's client secret: a short-lived JWT that is signed with a key from their
 * developer pages. Private to the room.
 *
 * Source
 * https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;
struct identity_provider;

/* Is it a private key of P-256, in PEM? *ret_reason says what else, in words that follow "the
 * provider" (constant). */
bool identity_apple_key_check(struct slice pem, struct arena *arena, const char **ret_reason);
/*
 * A secret for five minutes.
 *
 * Errors   INTERNAL: the key cannot sign; EXHAUSTED. Memory   in the arena. Context  any thread.
 */
enum status identity_apple_secret_make(const struct identity_provider *provider,
                                       struct arena *arena, int64_t now_us, struct slice *ret);
