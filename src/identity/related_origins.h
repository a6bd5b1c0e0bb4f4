/*
 * identity/related_origins.h - Pages of other origins, and apps, that may use this server's
 * passkeys. Private to the room.
 *
 * Data passes: auth.passkey_origins, checked at the start -> the document that browsers ask for
 * before they let a page of another origin use a passkey of this host -> the origin that a browser
 * says it was.
 *
 * Source   WebAuthn level 3, section 5.11.
 */
#pragma once

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

struct identity;

/* Is it one of the list? Byte for byte, as browsers write origins. */
bool identity_origin_is_related(struct slice list, struct slice origin);
/* Add GET /.well-known/webauthn, if there are any. Start of the process. */
enum status identity__related_origins_open(struct identity *identity);
