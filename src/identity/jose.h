/*
 * identity/jose.h - Signed tokens (JWS, JWT) and the keys that sign and verify them (JWK), in
 * compact form. Private to the room.
 *
 * Data passes: JWK text -> a key, which knows what it may be used for (jose_key.c); claims and a
 * key -> a token, and a token and a set of keys -> its payload (jose.c); a payload and what the
 * caller expects -> claims (jose_claims.c). A token chooses nothing: its header can only agree or
 * disagree with what the caller has said of algorithms, keys and types. Nothing is ever fetched.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;

/* -- algorithms
 * ------------------------------------------------------------------------------------------- */

enum identity_jose_alg {
    IDENTITY_JOSE_ES256, /* the default */
    IDENTITY_JOSE_ES384,
    IDENTITY_JOSE_ES512,
    IDENTITY_JOSE_RS256,
    IDENTITY_JOSE_RS384,
    IDENTITY_JOSE_RS512,
    IDENTITY_JOSE_PS256,
    IDENTITY_JOSE_PS384,
    IDENTITY_JOSE_PS512,
    IDENTITY_JOSE_HS256,
    IDENTITY_JOSE_HS384,
    IDENTITY_JOSE_HS512,
    IDENTITY_JOSE_EDDSA, /* Ed25519; verified, never signed with */
    IDENTITY_JOSE_ALG_COUNT
};

/* Sets of algorithms are bits. */
#define IDENTITY_JOSE_BIT(alg) (1u << (alg))
/* What an issuer's published keys may be used with: no shared secrets. */
#define IDENTITY_JOSE_PUBLIC                                                                       \
    (IDENTITY_JOSE_BIT(IDENTITY_JOSE_RS256) | IDENTITY_JOSE_BIT(IDENTITY_JOSE_RS384) |             \
     IDENTITY_JOSE_BIT(IDENTITY_JOSE_RS512) | IDENTITY_JOSE_BIT(IDENTITY_JOSE_PS256) |             \
     IDENTITY_JOSE_BIT(IDENTITY_JOSE_PS384) | IDENTITY_JOSE_BIT(IDENTITY_JOSE_PS512) |             \
     IDENTITY_JOSE_BIT(IDENTITY_JOSE_ES256) | IDENTITY_JOSE_BIT(IDENTITY_JOSE_ES384) |             \
     IDENTITY_JOSE_BIT(IDENTITY_JOSE_ES512) | IDENTITY_JOSE_BIT(IDENTITY_JOSE_EDDSA))

/* "ES256" as RFC 7518 registers it, and back. False: unknown, "none" among them. */
struct slice identity_jose_alg_name(enum identity_jose_alg alg);
bool identity_jose_alg_find(struct slice name, enum identity_jose_alg *ret_alg);

/* -- keys: jose_key.c
 * ------------------------------------------------------------------------------------- */

#define IDENTITY_JOSE_KEY_BYTES_MAX ((size_t)16 * 1024)  /* of a JWK's text */
#define IDENTITY_JOSE_SET_BYTES_MAX ((size_t)256 * 1024) /* of a JWKS document's */
#define IDENTITY_JOSE_SET_MAX 64u                        /* keys of a set */
#define IDENTITY_JOSE_KID_MAX 128u
#define IDENTITY_JOSE_THUMBPRINT_LEN 43u
#define IDENTITY_JOSE_RSA_BITS_MIN 2048u
#define IDENTITY_JOSE_RSA_BITS_MAX 8192u

struct identity_jose_key;

/*
 * Make a key of a JWK: RSA, EC (P-256, P-384, P-521), OKP (Ed25519) or oct, public or private.
 * Certificates, URLs and unknown members are passed over.
 *
 * Errors   INVALID: it is malformed, too weak, or for another use than signatures; *ret_reason says
 *          which. TOO_LARGE: beyond IDENTITY_JOSE_KEY_BYTES_MAX. EXHAUSTED.
 * Memory   the caller frees the key. Working copies of private numbers that are ours are wiped.
 * Context  any thread; never suspends. A key is never changed: any number of threads may use it.
 * Source   RFC 7517, RFC 7518 section 6, RFC 8037 section 2.
 */
enum status identity_jose_key_parse(struct slice jwk, struct identity_jose_key **ret_key,
                                    const char **ret_reason);
/*
 * A new pair of keys for ES256 or RS256 (2048 bits). `private` gets the JWK with its private part:
 * wipe it.
 *
 * Errors   INVALID: another algorithm; EXHAUSTED, INTERNAL.
 * Context  RSA takes tenths of a second: on the offload pool.
 */
enum status identity_jose_key_generate(enum identity_jose_alg alg, struct buf *private,
                                       struct identity_jose_key **ret_key);
void identity_jose_key_free(struct identity_jose_key *key);
DEFINE_CLEANUP(struct identity_jose_key *, identity_jose_key_free)

/* The "kid" of the JWK; empty when it has none. A generated key has its thumbprint. */
struct slice identity_jose_key_id(const struct identity_jose_key *key);
/* Which algorithms it may be used with: those of its type, or the one its "alg" names. */
uint32_t identity_jose_key_algs(const struct identity_jose_key *key);
bool identity_jose_key_can_sign(const struct identity_jose_key *key);
/* Let its thumbprint be its id: for one's own keys, before others see it. */
void identity_jose_key_name(struct identity_jose_key *key);
/* RFC 7638, SHA-256, in base64url. */
struct slice identity_jose_key_thumbprint(const struct identity_jose_key *key);
/*
 * Append the public JWK for publication: the numbers, "alg", "kid" (the thumbprint) and "use".
 * INVALID: a shared secret, which has no public part.
 */
enum status identity_jose_key_put_public(const struct identity_jose_key *key,
                                         enum identity_jose_alg alg, struct buf *out);

/* The keys of one issuer. */
struct identity_jose_set {
    struct identity_jose_key *keys[IDENTITY_JOSE_SET_MAX];
    unsigned len;
    unsigned skipped; /* of the document: of unknown type or use, too weak, or malformed */
};

/*
 * Read a JWKS document. Keys that cannot be used are left out (RFC 7517 section 5), the others are
 * the set's: identity_jose_set_clear frees them.
 *
 * Errors   INVALID: it is no JWKS; TOO_LARGE: its bytes, or more than IDENTITY_JOSE_SET_MAX usable
 *          keys; EXHAUSTED. *ret is then empty.
 */
enum status identity_jose_set_parse(struct slice jwks, struct identity_jose_set *ret);
void identity_jose_set_clear(struct identity_jose_set *set);

/* -- tokens: jose.c
 * --------------------------------------------------------------------------------------- */

#define IDENTITY_JOSE_TOKEN_BYTES_MAX ((size_t)8 * 1024)
#define IDENTITY_JOSE_DEPTH_MAX 8u /* of JSON in header and claims */
#define IDENTITY_JOSE_LEEWAY_S 30  /* between two clocks */

/* Why a token was refused: for logs and counts. A client learns "invalid_token" (RFC 6750). */
enum identity_jose_refusal {
    IDENTITY_JOSE_ACCEPTED,
    IDENTITY_JOSE_TOO_LARGE,
    IDENTITY_JOSE_MALFORMED,
    IDENTITY_JOSE_HEADER,
    IDENTITY_JOSE_ALGORITHM,
    IDENTITY_JOSE_CRITICAL,
    IDENTITY_JOSE_TYPE,
    IDENTITY_JOSE_NO_KEY,
    IDENTITY_JOSE_SIGNATURE,
    IDENTITY_JOSE_CLAIMS,
    IDENTITY_JOSE_ISSUER,
    IDENTITY_JOSE_AUDIENCE,
    IDENTITY_JOSE_NO_EXPIRY,
    IDENTITY_JOSE_EXPIRED,
    IDENTITY_JOSE_NOT_YET,
    IDENTITY_JOSE_REFUSAL_COUNT
};
/* A short name ("expired") that suits a label, and a sentence. Never NULL. */
const char *identity_jose_refusal_name(enum identity_jose_refusal refusal);
const char *identity_jose_refusal_text(enum identity_jose_refusal refusal);

/*
 * Sign `payload` as a compact token, with "alg", "kid" (the key's thumbprint) and "typ" (left out
 * when empty) in its header, and append it to `out`.
 *
 * Errors   INVALID: the key cannot sign, or not with `alg`; TOO_LARGE: the token would be beyond
 *          IDENTITY_JOSE_TOKEN_BYTES_MAX; EXHAUSTED, INTERNAL.
 * Context  any thread; never suspends. RSA takes about a millisecond.
 */
enum status identity_jose_sign(const struct identity_jose_key *key, enum identity_jose_alg alg,
                               struct slice typ, struct slice payload, struct buf *out);
/* The same with another "kid": for who knows the key by a name that they gave it. */
enum status identity_jose_sign_named(const struct identity_jose_key *key,
                                     enum identity_jose_alg alg, struct slice kid, struct slice typ,
                                     struct slice payload, struct buf *out);

/* Whom a token is believed, and what it must be. */
struct identity_jose_policy {
    const struct identity_jose_set *keys; /* of the one issuer */
    uint32_t algs;                        /* allowed ones, as bits */
    struct slice typ;      /* "at+jwt"; "application/" may stand before it. Empty: any */
    struct slice issuer;   /* "iss", exactly. Empty: any */
    struct slice audience; /* must be (one of) "aud", exactly. Empty: any */
};

struct identity_jose_token {
    enum identity_jose_alg alg;
    const struct identity_jose_key *key;
    json_t *header;
    struct slice payload;
    json_t *claims;     /* of identity_jose_verify only */
    int64_t expires_us; /* "exp", without leeway; of identity_jose_verify only */
};

/*
 * Check form, header and signature: what is signed may be anything.
 *
 * Errors   UNAUTHENTICATED: *ret_refusal says why; EXHAUSTED (arena).
 * Memory   *ret_token lives in `arena` and refers to the policy's keys.
 * Context  any thread; never suspends.
 * Source   RFC 7515 section 5.2, RFC 8725 section 3.
 */
enum status identity_jose_open(struct arena *arena, struct slice token,
                               const struct identity_jose_policy *policy,
                               struct identity_jose_token *ret_token,
                               enum identity_jose_refusal *ret_refusal);
/*
 * Check all of a JWT: as identity_jose_open, then issuer, audience and times at `now_us` (wall
 * clock), with IDENTITY_JOSE_LEEWAY_S. A token without "exp" is refused.
 *
 * Source   RFC 7519 section 7.2, RFC 9068 section 4.
 */
enum status identity_jose_verify(struct arena *arena, struct slice token,
                                 const struct identity_jose_policy *policy, int64_t now_us,
                                 struct identity_jose_token *ret_token,
                                 enum identity_jose_refusal *ret_refusal);

/* -- between the files ------------------------------------------------------------------------ */

/* Is `text` the unpadded base64url of `bytes_min` to `bytes_max` bytes? Decoded into `out`. */
bool identity__base64url_decode(struct slice text, uint8_t *out, size_t bytes_min, size_t bytes_max,
                                size_t *ret_len);
void identity__base64url_put(struct buf *out, const void *data, size_t len);
/* Bytes a signature of `alg` by `key` must have. */
size_t identity__signature_bytes(const struct identity_jose_key *key, enum identity_jose_alg alg);
/* Is `signature` the key's for the token's first two parts? `token` is all of it. */
bool identity__key_verify(const struct identity_jose_key *key, struct slice token,
                          struct slice signed_part, struct slice signature);
/* The compact token, freed by identity__token_free. NULL: it did not work. */
char *identity__key_sign(const struct identity_jose_key *key, enum identity_jose_alg alg,
                         struct slice kid, struct slice typ, struct slice payload);
void identity__token_free(char *token);
enum identity_jose_refusal identity__claims_check(const struct identity_jose_policy *policy,
                                                  json_t *claims, int64_t now_us,
                                                  int64_t *ret_expires_us);
