/*
 * identity/passkey_rows.h - Passkeys in the store. Private to the room.
 */
#pragma once

#include "base/slice.h"

extern const struct slice identity__passkey_schema;
