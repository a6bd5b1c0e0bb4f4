/*
 * identity/who.h - Who asks: what a verified credential stands for, and how it is packed into the
 * token cache. Private to the room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;

/* How somebody proved who they are; "amr" of RFC 8176. */
#define IDENTITY_METHOD_PASSWORD 1u
#define IDENTITY_METHOD_TOTP 2u
#define IDENTITY_METHOD_RECOVERY 4u
#define IDENTITY_METHOD_PASSKEY 8u
#define IDENTITY_METHOD_MAIL 16u    /* a link or code that was sent there */
#define IDENTITY_METHOD_FOREIGN 32u /* another issuer says so */

struct identity_who {
    bool has_user;
    struct uuid user;
    bool has_session;
    struct uuid session;
    bool is_cookie;
    bool is_client;  /* no person: a client by itself; `session` is the id of its token */
    bool is_limited; /* of a client that was granted nothing of the API: nobody there */
    uint32_t methods;
    int64_t auth_us;    /* when they last proved it */
    int64_t expires_us; /* of the session */
    int64_t generation; /* of its refresh token; < 0: has none */
    struct slice client_id, scope;
    bool has_impersonator;
    struct uuid impersonator;
    bool is_key;         /* an API key: `session` is its id, and nothing else is a session's */
    bool is_certificate; /* of a client, configured: a key without a row; `session` is nothing */
    uint64_t key_id;     /* its number, for limits */
    struct slice key_addresses;
    const struct slice *roles;
    unsigned roles_len;
    unsigned lent_len; /* roles behind those: the person's, lent only as far as scopes go */
    bool is_scoped;    /* may do only what `permissions` name; patterns with spaces between them */
    struct slice permissions;
};

#define IDENTITY_WHO_BYTES_MAX ((size_t)8 * 1024)

/* Into one string and back. TOO_LARGE beyond IDENTITY_WHO_BYTES_MAX; EXHAUSTED. Memory   in the
 * arena; unpacked texts are copies there too. */
enum status identity_who_pack(struct arena *arena, const struct identity_who *who,
                              struct slice *ret);
enum status identity_who_unpack(struct arena *arena, struct slice packed, struct identity_who *ret);
