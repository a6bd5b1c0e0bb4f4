/*
 * identity/access.h - Access tokens: JWTs that say for some minutes whose session it is, readable
 * by other services through /.well-known/jwks.json. Private to the room.
 */
#pragma once

#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/jose.h"
#include "identity/who.h"

struct arena;
struct identity;
struct json_out;

/* What a verified token says; the rest is looked up by its session. */
struct identity_access {
    struct uuid session;
    int64_t generation; /* < 0: not said */
    int64_t expires_us;
    struct slice client_id; /* of a token without a session: of a client itself */
    struct slice scope;     /* what it was narrowed to, of all that the session has */
    struct uuid id;         /* "jti": of a client's, by which it is revoked */
    bool has_session;
};

/*
 * Sign a token for who has a session, at most to the session's end; or for a client by itself,
 * whose who->session is the id that the token gets.
 *
 * Errors   EXHAUSTED, INTERNAL. Memory   in the arena. Context  any loop; never suspends.
 * Source   RFC 9068 section 2.
 */
enum status identity_access_make(struct identity *identity, struct arena *arena,
                                 const struct identity_who *who, int64_t now_us,
                                 struct slice *ret_token, int64_t *ret_life_us);

/* "amr" (RFC 8176). */
void identity__put_methods(struct json_out *o, uint32_t methods);

/*
 * Verify one of our own. UNAUTHENTICATED: *ret_refusal says why; EXHAUSTED.
 * Context  any loop; never suspends.
 */
enum status identity_access_verify(struct identity *identity, struct arena *arena,
                                   struct slice token, int64_t now_us, struct identity_access *ret,
                                   enum identity_jose_refusal *ret_refusal);
