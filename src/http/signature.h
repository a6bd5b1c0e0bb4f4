/*
 * http/signature.h - Signed requests: HTTP Message Signatures (RFC 9421) with Content-Digest (RFC
 * 9530), and a plain HMAC profile for clients without a library. Private to the room; what others
 * call is in http.h.
 *
 * Data passes: a request -> its base, the text that is signed (signature_base.c) -> a key
 * (signature_key.c) -> clock window and nonce (signature_nonce.c) -> the key's id, kept in the
 * request. All of it happens in the chain (signature.c), before the handler runs; only the body is
 * compared with the digest that was signed when it is read (digest.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "http/http.h"
#include "http/structured.h"

struct arena;

/* -- keys: signature_key.c
 * ------------------------------------------------------------------------------------ */

#define HTTP__SIGNATURE_BYTES_MAX 1024u /* RSA of 8192 bits */
#define HTTP__KEY_ID_MAX 64u

enum http__signature_alg {
    HTTP__ALG_HMAC_SHA256,
    HTTP__ALG_ED25519,
    HTTP__ALG_ECDSA_P256_SHA256,
    HTTP__ALG_ECDSA_P384_SHA384,
    HTTP__ALG_RSA_PSS_SHA512,
    HTTP__ALG_RSA_V1_5_SHA256,
    HTTP__ALG_COUNT
};

enum http__signature_alg http__key_alg(const struct http_signature_key *key);
/* As RFC 9421 registers it: "ed25519". */
struct slice http__key_alg_name(const struct http_signature_key *key);
struct slice http__key_id(const struct http_signature_key *key);
/* Does the signature match? What has to be compared is compared in constant time. */
bool http__key_verify(const struct http_signature_key *key, struct slice base,
                      struct slice signature);
/* INVALID: this key can only verify. */
enum status http__key_sign(const struct http_signature_key *key, struct slice base,
                           uint8_t out[HTTP__SIGNATURE_BYTES_MAX], size_t *ret_len);

/* -- the text that is signed: signature_base.c
 * ---------------------------------------------------------------- */

#define HTTP__COMPONENTS_MAX 64u
#define HTTP__BASE_BYTES_MAX ((size_t)64 * 1024)

/* A message as it is signed. Header names in any case. */
struct http__signed {
    struct slice method;
    struct slice scheme;    /* "https" */
    struct slice authority; /* as sent; the base has it in lower case, without a default port */
    struct slice path;      /* as sent, escapes and all; empty is "/" */
    struct slice query;     /* without "?"; data NULL: there is none */
    struct slice target;    /* the whole request target as sent */
    int status;             /* of an answer; 0: this is a request */
    const struct net_header *headers;
    unsigned headers_len;
};

/*
 * Append the signature base of the components that `input` (a member of Signature-Input) names.
 *
 * Errors   INVALID: a component is unknown, named twice, not in the message, or has parameters that
 *          do not apply; TOO_LARGE: more than 64 components; EXHAUSTED. `out` then has part of it.
 * Source   RFC 9421 section 2.5.
 */
enum status http__signature_base(struct arena *arena, const struct http__signed *message,
                                 const struct http__sf_member *input, struct buf *out);

/* -- nonces: signature_nonce.c
 * ------------------------------------------------------------------------------- */

/* The nonces that were used while they may still be tried again; one table for all loops. */
struct http__nonces;
struct http__nonces *http__nonces_new(unsigned nonces_max);
void http__nonces_free(struct http__nonces *nonces);
/*
 * Use a nonce of a key, once, and remember it until `until_us` (which does not come before that of
 * an earlier call by more than a clock's correction).
 *
 * Errors   CONFLICT: it was used; EXHAUSTED: the table is full, and forgets nothing for it.
 * Context  any thread; never suspends.
 */
enum status http__nonce_use(struct http__nonces *nonces, struct slice key_id, struct slice nonce,
                            int64_t now_us, int64_t until_us);
unsigned http__nonces_len(struct http__nonces *nonces);

/* -- digests of bodies: digest.c
 * ----------------------------------------------------------------------------- */

#define HTTP__SHA256_BYTES 32u
#define HTTP__SHA512_BYTES 64u

/* What a body must be, as far as it was said. */
struct http__digest {
    bool has_sha256, has_sha512;
    uint8_t sha256[HTTP__SHA256_BYTES];
    uint8_t sha512[HTTP__SHA512_BYTES];
};

bool http__sha256(struct slice body, uint8_t out[HTTP__SHA256_BYTES]);
/* Read Content-Digest; algorithms that are not known are passed over. INVALID: it is malformed. */
enum status http__digest_parse(struct arena *arena, struct slice text, struct http__digest *ret);
bool http__digest_matches(const struct http__digest *digest, struct slice body);
/* All lines of a field, joined with ", "; SLICE_NULL when there is none. EXHAUSTED. */
enum status http__field_joined(struct arena *arena, const struct net_request *r, struct slice name,
                               struct slice *ret);
/*
 * The body of the request, as it was sent (before any content coding is undone): is it the one that
 * Content-Digest and the signature speak of? Begun before its first piece, updated by each, ended
 * after the last. INVALID, with the problem set; EXHAUSTED.
 */
enum status http__digest_begin(struct task *task, struct http_request *req);
void http__digest_update(struct http_request *req, struct slice piece);
enum status http__digest_end(struct task *task, struct http_request *req);
void http__digest_drop(struct http_request *req); /* it was not read to its end */
/* The same of a whole one. */
enum status http__digest_check(struct task *task, struct http_request *req, struct slice body);

/* -- the plain profile: signature_plain.c
 * ------------------------------------------------------------------------ */

/* "k=ID,t=UNIX,n=NONCE,b=SHA256,v1=HMAC" taken apart. */
struct http__plain {
    struct slice key_id; /* empty: not said */
    struct slice time_text, nonce;
    struct slice body_hex; /* empty: no body */
    int64_t created_s;
    uint8_t body_sha256[HTTP__SHA256_BYTES]; /* of the empty body when none is said */
    uint8_t mac[32];
};
bool http__plain_parse(struct slice text, struct http__plain *ret);
/* The text that is signed. */
void http__plain_base(const struct http__plain *plain, struct slice method, struct slice target,
                      struct buf *out);
