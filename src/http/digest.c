/*
 * http/digest.c - Content-Digest (RFC 9530): what a client says its body hashes to is compared with
 * the body that came, for every request that says so, signed or not.
 */
#include "http/internal.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/problem.h"
#include "http/signature.h"

#define DIGESTS_MAX 16u /* algorithms in one field */

bool http__sha256(struct slice body, uint8_t out[HTTP__SHA256_BYTES])
{
    return EVP_Digest(body.data, body.len, out, NULL, EVP_sha256(), NULL) == 1;
}

static bool take_digest(const struct http__sf_member *member, size_t size, uint8_t *out)
{
    if (member->value.type != HTTP__SF_BYTES || member->value.text.len != size)
        return false;
    memcpy(out, member->value.text.data, size);
    return true;
}

enum status http__digest_parse(struct arena *arena, struct slice text, struct http__digest *ret)
{
    struct http__sf_list list;
    enum status st = http__sf_parse(arena, text, HTTP__SF_KIND_DICTIONARY, DIGESTS_MAX, &list);
    if (st != STATUS_OK)
        return st;
    struct http__digest digest = { .has_sha256 = false };
    const struct http__sf_member *sha256 = http__sf_get(&list, SLICE("sha-256"));
    const struct http__sf_member *sha512 = http__sf_get(&list, SLICE("sha-512"));
    digest.has_sha256 = sha256 != NULL;
    digest.has_sha512 = sha512 != NULL;
    if ((sha256 && !take_digest(sha256, sizeof(digest.sha256), digest.sha256)) ||
        (sha512 && !take_digest(sha512, sizeof(digest.sha512), digest.sha512)))
        return STATUS_INVALID;
    *ret = digest;
    return STATUS_OK;
}

bool http__digest_matches(const struct http__digest *digest, struct slice body)
{
    uint8_t got[HTTP__SHA512_BYTES];
    bool good = true;
    if (digest->has_sha256)
        good = http__sha256(body, got) &&
               sodium_memcmp(got, digest->sha256, sizeof(digest->sha256)) == 0;
    if (digest->has_sha512)
        good &= EVP_Digest(body.data, body.len, got, NULL, EVP_sha512(), NULL) == 1 &&
                sodium_memcmp(got, digest->sha512, sizeof(digest->sha512)) == 0;
    return good;
}

enum status http__field_joined(struct arena *arena, const struct net_request *r, struct slice name,
                               struct slice *ret)
{
    struct slice first = SLICE_NULL;
    struct buf joined;
    unsigned n = 0;
    for (unsigned i = 0; i < r->headers_len; i++) {
        if (!slice_eq(r->headers[i].name, name))
            continue;
        struct slice value = r->headers[i].value;
        if (n++ == 0) { /* nearly always the only one: no copy */
            first = value;
            continue;
        }
        if (n == 2) {
            buf_init(&joined, arena, first.len + value.len + 2, HTTP__BASE_BYTES_MAX);
            buf_put_slice(&joined, first);
        }
        buf_put_lit(&joined, ", ");
        buf_put_slice(&joined, value);
    }
    *ret = n > 1 ? buf_slice(&joined) : first;
    return n > 1 ? buf_status(&joined) : STATUS_OK;
}

/* -- while a body comes
 * ------------------------------------------------------------------------------------ */

/* What the body of a request has to be, and what has come of it. */
struct http__hashing {
    struct http__digest said; /* by Content-Digest */
    const struct http__digest *wants[2];
    unsigned wants_len;
    EVP_MD_CTX *sha256, *sha512; /* NULL: nobody asks */
};

static enum status refuse(struct task *task, const char *detail)
{
    return problem_set(task, STATUS_INVALID, "http/digest-mismatch", "%s", detail);
}

static bool hash_begin(bool wanted, const EVP_MD *algorithm, EVP_MD_CTX **ctx)
{
    if (!wanted)
        return true;
    *ctx = EVP_MD_CTX_new();
    return *ctx && EVP_DigestInit_ex(*ctx, algorithm, NULL) == 1;
}

static enum status hashing_begin(struct http_request *req, struct http__hashing *h)
{
    bool sha256 = false, sha512 = false;
    for (unsigned i = 0; i < h->wants_len; i++) {
        sha256 |= h->wants[i]->has_sha256;
        sha512 |= h->wants[i]->has_sha512;
    }
    req->hashing = h;
    return hash_begin(sha256, EVP_sha256(), &h->sha256) &&
                   hash_begin(sha512, EVP_sha512(), &h->sha512)
               ? STATUS_OK
               : STATUS_EXHAUSTED;
}

enum status http__digest_begin(struct task *task, struct http_request *req)
{
    struct arena *arena = http_arena(req);
    struct slice text;
    enum status st = http__field_joined(arena, http_net(req), SLICE("content-digest"), &text);
    if (st != STATUS_OK || (!text.data && !req->signed_digest))
        return st;
    struct http__hashing *h = arena_new_of(arena, struct http__hashing);
    if (!h)
        return STATUS_EXHAUSTED;
    if (text.data) {
        if (http__digest_parse(arena, text, &h->said) != STATUS_OK)
            return refuse(task, "Content-Digest is not well-formed.");
        h->wants[h->wants_len++] = &h->said;
    }
    if (req->signed_digest)
        h->wants[h->wants_len++] = req->signed_digest;
    return hashing_begin(req, h);
}

void http__digest_update(struct http_request *req, struct slice piece)
{
    struct http__hashing *h = req->hashing;
    if (!h)
        return;
    if (h->sha256)
        (void)EVP_DigestUpdate(h->sha256, piece.data, piece.len); /* fails only in hardware */
    if (h->sha512)
        (void)EVP_DigestUpdate(h->sha512, piece.data, piece.len);
}

void http__digest_drop(struct http_request *req)
{
    struct http__hashing *h = req->hashing;
    if (!h)
        return;
    EVP_MD_CTX_free(h->sha256);
    EVP_MD_CTX_free(h->sha512);
    req->hashing = NULL;
}

enum status http__digest_end(struct task *task, struct http_request *req)
{
    struct http__hashing *h = req->hashing;
    uint8_t sha256[HTTP__SHA256_BYTES], sha512[HTTP__SHA512_BYTES];
    if (!h)
        return STATUS_OK;
    bool good = (!h->sha256 || EVP_DigestFinal_ex(h->sha256, sha256, NULL) == 1) &&
                (!h->sha512 || EVP_DigestFinal_ex(h->sha512, sha512, NULL) == 1);
    for (unsigned i = 0; i < h->wants_len && good; i++) {
        const struct http__digest *want = h->wants[i];
        good = (!want->has_sha256 || sodium_memcmp(sha256, want->sha256, sizeof(sha256)) == 0) &&
               (!want->has_sha512 || sodium_memcmp(sha512, want->sha512, sizeof(sha512)) == 0);
    }
    http__digest_drop(req);
    return good ? STATUS_OK
                : refuse(task, "The body is not the one that Content-Digest, or the signature, "
                               "speaks of.");
}

enum status http__digest_check(struct task *task, struct http_request *req, struct slice body)
{
    enum status st = http__digest_begin(task, req);
    if (st != STATUS_OK)
        return st;
    http__digest_update(req, body);
    return http__digest_end(task, req);
}
