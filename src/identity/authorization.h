/*
 * identity/authorization.h - What a header Authorization says: a bearer token, or the name and
 * secret of an OAuth client. Private to the room.
 */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

struct arena;

/* The token after "Bearer ", without spaces around it. SLICE_NULL: it is of another scheme, or
 * empty. Source: RFC 6750 section 2.1. */
struct slice identity_bearer_of(struct slice header);

bool identity_is_basic(struct slice header);
/*
 * Name and secret after "Basic ", each decoded as in a form. False: they are malformed, too long,
 * or there is no memory. Both live in `arena`.
 *
 * Source   RFC 7617 section 2, RFC 6749 section 2.3.1.
 */
bool identity_basic_read(struct arena *arena, struct slice header, struct slice *ret_name,
                         struct slice *ret_secret);
