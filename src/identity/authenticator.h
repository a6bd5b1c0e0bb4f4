/*
 * identity/authenticator.h - What an authenticator says, taken apart: attestation object,
 * authenticator data and the public key in it (WebAuthn level 3, sections 6.1 and 6.5). Nothing is
 * verified here; nothing is allocated. Private to the room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define IDENTITY_FLAG_PRESENT 0x01u         /* UP */
#define IDENTITY_FLAG_VERIFIED 0x04u        /* UV: by a finger, a face or a PIN */
#define IDENTITY_FLAG_BACKUP_ELIGIBLE 0x08u /* BE: it may be on several devices */
#define IDENTITY_FLAG_BACKED_UP 0x10u       /* BS */
#define IDENTITY_FLAG_CREDENTIAL 0x40u      /* AT */
#define IDENTITY_FLAG_EXTENSIONS 0x80u      /* ED */

#define IDENTITY_CREDENTIAL_ID_MAX 1023u
#define IDENTITY_AAGUID_BYTES 16u
#define IDENTITY_RP_HASH_BYTES 32u

/* Algorithms, as COSE numbers them (RFC 9053, RFC 8812). */
#define IDENTITY_COSE_ES256 (-7)
#define IDENTITY_COSE_EDDSA (-8)
#define IDENTITY_COSE_RS256 (-257)

/* ES256: x and y; EdDSA: x of Ed25519; RS256: modulus of 2048 bits and exponent of three bytes. */
#define IDENTITY_PUBLIC_KEY_MAX 259u
struct identity_public_key {
    int alg;
    size_t len;
    uint8_t bytes[IDENTITY_PUBLIC_KEY_MAX];
};
/* What `alg` needs; 0: no such algorithm. */
size_t identity_public_key_len(int alg);

struct identity_authenticator {
    uint8_t rp_hash[IDENTITY_RP_HASH_BYTES];
    uint8_t flags;
    uint32_t sign_count;
    /* If IDENTITY_FLAG_CREDENTIAL: */
    uint8_t aaguid[IDENTITY_AAGUID_BYTES];
    struct slice credential_id; /* within what was read */
    struct identity_public_key key;
};

/*
 * Read authenticator data, to its last byte.
 *
 * Errors   INVALID: cut off, too long, or not of the form; flags that contradict each other; a key
 *          of another algorithm or size than the three.
 */
enum status identity_authenticator_read(struct slice bytes, struct identity_authenticator *ret);

/*
 * Read an attestation object. What attests is not looked at beyond its form, but of the format
 * "none", which has nothing.
 *
 * Errors   INVALID. Memory   *ret_format and *ret_data within `bytes`.
 */
enum status identity_attestation_read(struct slice bytes, struct slice *ret_format,
                                      struct slice *ret_data);
