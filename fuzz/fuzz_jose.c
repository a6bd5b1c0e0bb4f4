/*
 * fuzz/fuzz_jose.c - What strangers call a token or a key. The first line of an input is a JWK or a
 * JWKS document, the rest a compact token; each is tried by itself as well.
 *
 * A token holds only by a key that was given; nobody has the private part of the key that is always
 * there, but for the tokens of the corpus. So what holds by it must be one of those.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "identity/jose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_US (1700000000 * CLOCK_SECOND)
#define ALL_ALGS ((1u << IDENTITY_JOSE_ALG_COUNT) - 1)

/* RFC 7515 appendix A.3. */
#define OURS                                                                                       \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","     \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
#define JOE                                                                                        \
    "eyJhbGciOiJFUzI1NiJ9."                                                                        \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"                             \
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ."

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A key that was taken is written, read again, and is the same. */
static void check_key(struct arena *arena, const struct identity_jose_key *key)
{
    struct buf out;
    uint32_t algs = identity_jose_key_algs(key);
    require(algs != 0 && identity_jose_key_id(key).len <= IDENTITY_JOSE_KID_MAX);
    for (unsigned a = 0; a < IDENTITY_JOSE_ALG_COUNT; a++) {
        enum identity_jose_alg alg = (enum identity_jose_alg)a;
        if (!(algs & IDENTITY_JOSE_BIT(alg)))
            continue;
        buf_init(&out, arena, 0, 8192);
        if (identity_jose_key_put_public(key, alg, &out) != STATUS_OK)
            continue; /* a secret */
        struct identity_jose_key *again = NULL;
        const char *reason;
        require(identity_jose_key_parse(buf_slice(&out), &again, &reason) == STATUS_OK);
        require(!identity_jose_key_can_sign(again));
        require(identity_jose_key_algs(again) == IDENTITY_JOSE_BIT(alg));
        require(slice_eq(identity_jose_key_thumbprint(again), identity_jose_key_thumbprint(key)));
        identity_jose_key_free(again);
    }
}

static void check_token(struct arena *arena, const struct identity_jose_set *set,
                        struct slice token)
{
    const struct identity_jose_policy policy = { .keys = set, .algs = ALL_ALGS };
    struct identity_jose_token got;
    enum identity_jose_refusal refusal = IDENTITY_JOSE_REFUSAL_COUNT;
    enum status st = identity_jose_open(arena, token, &policy, &got, &refusal);
    require(st == STATUS_OK || st == STATUS_UNAUTHENTICATED || st == STATUS_EXHAUSTED);
    if (st == STATUS_OK)
        require(identity_jose_key_algs(got.key) & IDENTITY_JOSE_BIT(got.alg));
    if (st == STATUS_OK && got.key == set->keys[0])
        require(slice_starts(token, SLICE(JOE)));
    enum status st_all = identity_jose_verify(arena, token, &policy, NOW_US, &got, &refusal);
    require(st == STATUS_OK || st_all == st);
    if (st_all == STATUS_OK)
        require(got.expires_us > NOW_US - CLOCK_MINUTE && json_is_object(got.claims));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, (size_t)4 << 20);
    struct slice rest;
    if (arena_copy(arena, slice_of((const char *)data, size), &rest) != STATUS_OK)
        return 0;
    struct slice whole = rest, first;
    (void)slice_split(&rest, '\n', &first);

    struct identity_jose_set set, theirs;
    struct identity_jose_key *ours = NULL, *one = NULL;
    const char *reason;
    require(identity_jose_key_parse(SLICE(OURS), &ours, &reason) == STATUS_OK);
    set = (struct identity_jose_set){ .keys = { ours }, .len = 1 };
    check_token(arena, &set, whole);
    if (identity_jose_key_parse(first, &one, &reason) == STATUS_OK) {
        check_key(arena, one);
        set.keys[set.len++] = one;
    }
    if (identity_jose_set_parse(first, &theirs) == STATUS_OK) {
        for (unsigned i = 0; i < theirs.len; i++)
            check_key(arena, theirs.keys[i]);
        if (theirs.len < IDENTITY_JOSE_SET_MAX && set.len + theirs.len <= IDENTITY_JOSE_SET_MAX) {
            memcpy(set.keys + set.len, theirs.keys, theirs.len * sizeof(theirs.keys[0]));
            set.len += theirs.len;
        } else {
            identity_jose_set_clear(&theirs);
        }
    }
    check_token(arena, &set, rest);
    identity_jose_set_clear(&set);
    return 0;
}
