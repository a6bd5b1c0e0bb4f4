/*
 * tests/identity/test_jose.c - Keys and tokens: the examples of RFC 7515, 7520, 7638 and 8037, and
 * a table of attacks, each of which would pass if the check against it were not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "identity/jose.h"
#include "pair.h"

#define NOW_S INT64_C(1700000000)
#define NOW_US (NOW_S * CLOCK_SECOND)
#define ALL_ALGS ((1u << IDENTITY_JOSE_ALG_COUNT) - 1)

#define assert_status(got, want) assert_string_equal(status_name(got), status_name(want))
#define assert_refusal(got, want)                                                                  \
    assert_string_equal(identity_jose_refusal_name(got), identity_jose_refusal_name(want))

/* RFC 7515 appendix A.3. */
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC_D "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
#define EC_PUBLIC "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"
#define JOE                                                                                        \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"                             \
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
/* RFC 7520 section 3 and 4. */
#define HOBBIT_N                                                                                   \
    "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT"                                       \
    "-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqV"                                     \
    "wGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-"                                     \
    "oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde"                                     \
    "3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuC"                                     \
    "LqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5g"                                     \
    "HdrNP5zw"
#define HOBBIT_RSA                                                                                 \
    "{\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\",\"n\":"           \
    "\"" HOBBIT_N "\",\"e\":\"AQAB\"}"
#define HOBBIT_EC_X                                                                                \
    "AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt"
#define HOBBIT_EC                                                                                  \
    "{\"kty\":\"EC\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\","                  \
    "\"crv\":\"P-521\",\"x\":\"" HOBBIT_EC_X "\","                                                 \
    "\"y\":\"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-"   \
    "HqHZR1\"}"
#define DOOR                                                                                       \
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IH"                               \
    "lvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBk"                               \
    "b24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcm"                               \
    "UgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4"
#define ED_PUBLIC                                                                                  \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"

static const struct {
    const char *name, *jwk, *token;
    enum identity_jose_alg alg;
} vectors[] = {
    { "RFC 7515 A.1",
      "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
      "1qS0gZH75aKtMN3Yj0iPS4h"
      "cgUuTwjAzZr1Z9CAow\"}",
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." JOE
      ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
      IDENTITY_JOSE_HS256 },
    { "RFC 7515 A.3", EC_PUBLIC,
      "eyJhbGciOiJFUzI1NiJ9." JOE
      ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
      IDENTITY_JOSE_ES256 },
    { "RFC 7520 4.1", HOBBIT_RSA,
      "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." DOOR
      ".MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmK"
      "ZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4J"
      "IwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8w"
      "W1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluP"
      "xUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_f"
      "cIe8u9ipH84ogoree7vjbU5y18kDquDg",
      IDENTITY_JOSE_RS256 },
    { "RFC 7520 4.2", HOBBIT_RSA,
      "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." DOOR
      ".cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2I"
      "pN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXU"
      "vdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRX"
      "e8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT"
      "0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a"
      "6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
      IDENTITY_JOSE_PS384 },
    { "RFC 7520 4.3", HOBBIT_EC,
      "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." DOOR
      ".AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvb"
      "u9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kv"
      "AD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2",
      IDENTITY_JOSE_ES512 },
    { "RFC 7520 4.4",
      "{\"kty\":\"oct\",\"kid\":\"018c0ae5-4d9b-471b-bfd6-eef314bc7037\",\"use\":\"sig\","
      "\"alg\":\"HS256\",\"k\":\"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg\"}",
      "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9." DOOR
      ".s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
      IDENTITY_JOSE_HS256 },
    { "RFC 8037 A.4", ED_PUBLIC,
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
      IDENTITY_JOSE_EDDSA },
};

static struct identity_jose_key *key_of(const char *jwk)
{
    struct identity_jose_key *key = NULL;
    const char *reason = "";
    enum status st = identity_jose_key_parse(slice_cstr(jwk), &key, &reason);
    if (st != STATUS_OK)
        fail_msg("%s: %s: %s", jwk, status_name(st), reason);
    return key;
}

static enum identity_jose_refusal open_with(struct arena *arena, struct identity_jose_key *key,
                                            uint32_t algs, struct slice token,
                                            struct identity_jose_token *ret)
{
    const struct identity_jose_set set = { .keys = { key }, .len = 1 };
    const struct identity_jose_policy policy = { .keys = &set, .algs = algs };
    enum identity_jose_refusal refusal = IDENTITY_JOSE_REFUSAL_COUNT;
    enum status st = identity_jose_open(arena, token, &policy, ret, &refusal);
    assert_status(st, refusal == IDENTITY_JOSE_ACCEPTED ? STATUS_OK : STATUS_UNAUTHENTICATED);
    return refusal;
}

/* -- the examples of the standards
 * --------------------------------------------------------------------- */

static void test_vectors_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        CLEANUP(identity_jose_key_free) struct identity_jose_key *key = key_of(vectors[i].jwk);
        struct identity_jose_token token;
        struct slice text = slice_cstr(vectors[i].token);
        enum identity_jose_refusal refusal = open_with(arena, key, ALL_ALGS, text, &token);
        if (refusal != IDENTITY_JOSE_ACCEPTED)
            fail_msg("%s: %s", vectors[i].name, identity_jose_refusal_name(refusal));
        assert_int_equal(token.alg, vectors[i].alg);
        assert_ptr_equal(token.key, key);
        /* Not when its algorithm is not allowed, though the key would do. */
        assert_refusal(
            open_with(arena, key, ALL_ALGS & ~IDENTITY_JOSE_BIT(token.alg), text, &token),
            IDENTITY_JOSE_ALGORITHM);
    }
}

/* A key that says what it is for is for nothing else, though its type would do. */
static void test_key_with_one_algorithm(void **state)
{
    (void)state;
    const struct {
        const char *alg, *token;
        enum identity_jose_refusal want;
    } cases[] = {
        { "RS256", vectors[2].token, IDENTITY_JOSE_ACCEPTED },
        { "RS256", vectors[3].token, IDENTITY_JOSE_NO_KEY },
        { "PS384", vectors[2].token, IDENTITY_JOSE_NO_KEY },
        { "PS384", vectors[3].token, IDENTITY_JOSE_ACCEPTED },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        struct slice jwk = arena_printf(
            arena, "{\"kty\":\"RSA\",\"n\":\"" HOBBIT_N "\",\"e\":\"AQAB\",\"alg\":\"%s\"}",
            cases[i].alg);
        CLEANUP(identity_jose_key_free)
        struct identity_jose_key *key = key_of(arena_cstr(arena, jwk));
        struct identity_jose_token token;
        assert_refusal(open_with(arena, key, ALL_ALGS, slice_cstr(cases[i].token), &token),
                       cases[i].want);
    }
}

/* Whatever letter of the token is another, it no longer holds. */
static void test_every_letter_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        CLEANUP(identity_jose_key_free) struct identity_jose_key *key = key_of(vectors[i].jwk);
        char text[1024];
        size_t len = strlen(vectors[i].token);
        assert_true(len < sizeof(text));
        for (size_t at = 0; at < len; at += at + 90 < len ? 7 : 1) {
            CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
            struct identity_jose_token token;
            memcpy(text, vectors[i].token, len);
            text[at] = text[at] == 'A' ? 'B' : 'A';
            enum identity_jose_refusal refusal =
                open_with(arena, key, ALL_ALGS, slice_of(text, len), &token);
            if (refusal == IDENTITY_JOSE_ACCEPTED)
                fail_msg("%s: letter %zu", vectors[i].name, at);
        }
    }
}

static void test_payload_is_what_was_signed(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    CLEANUP(identity_jose_key_free) struct identity_jose_key *key = key_of(ED_PUBLIC);
    struct identity_jose_token token;
    assert_refusal(open_with(arena, key, ALL_ALGS, slice_cstr(vectors[6].token), &token),
                   IDENTITY_JOSE_ACCEPTED);
    assert_true(slice_eq(token.payload, SLICE("Example of Ed25519 signing")));
}

static void test_thumbprints(void **state)
{
    static const struct {
        const char *jwk, *thumbprint;
    } cases[] = {
        /* RFC 7638 section 3.1 */
        { "{\"kty\":\"RSA\",\"n\":"
          "\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zw"
          "u1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_"
          "RN5w"
          "6Cf0h4QyQ5v-65YGjQR0_"
          "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI"
          "SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
          "kEgU8awa"
          "pJzKnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}",
          "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" },
        /* RFC 8037 appendix A.3 */
        { ED_PUBLIC, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(identity_jose_key_free) struct identity_jose_key *key = key_of(cases[i].jwk);
        assert_true(slice_eq(identity_jose_key_thumbprint(key), slice_cstr(cases[i].thumbprint)));
    }
}

/* -- keys
 * ------------------------------------------------------------------------------------------- */

/* RSA with a modulus of `bits` and the exponent. */
static const char *rsa_of(char out[2048], unsigned bits, const char *e)
{
    uint8_t n[1100];
    char text[1500];
    size_t bytes = (bits + 7) / 8;
    memset(n, 0xa5, sizeof(n));
    n[0] = (uint8_t)(bits % 8 ? 1u << (bits % 8 - 1) : 0x80);
    n[bytes - 1] |= 1;
    (void)sodium_bin2base64(text, sizeof(text), n, bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    (void)snprintf(out, 2048, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", text, e);
    return out;
}

static void check_key(const char *name, const char *jwk, const char *reason)
{
    struct identity_jose_key *key = NULL;
    const char *got = NULL;
    enum status st = identity_jose_key_parse(slice_cstr(jwk), &key, &got);
    identity_jose_key_free(key);
    if (!reason && st != STATUS_OK)
        fail_msg("%s: %s: %s", name, status_name(st), got ? got : "");
    if (reason && (st != STATUS_INVALID || !strstr(got, reason)))
        fail_msg("%s: %s: \"%s\", want \"%s\"", name, status_name(st), got ? got : "", reason);
}

#define SECRET_31 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define SECRET_32 SECRET_31 "A"

static void test_keys_refused(void **state)
{
    static const struct {
        const char *name, *jwk, *reason;
    } cases[] = {
        { "no JSON", "{", "no JSON" },
        { "no object", "[]", "no JSON object" },
        { "twice the same", "{\"kty\":\"oct\",\"k\":\"" SECRET_32 "\",\"k\":\"" SECRET_32 "\"}",
          "no JSON" },
        { "no type", "{}", "kty" },
        { "unknown type", "{\"kty\":\"AKP\"}", "kty" },
        { "type in other letters", "{\"kty\":\"ec\"}", "kty" },
        { "short secret", "{\"kty\":\"oct\",\"k\":\"" SECRET_31 "\"}", "32 to 1024" },
        { "secret that is a number", "{\"kty\":\"oct\",\"k\":5}", "32 to 1024" },
        { "padded", "{\"kty\":\"oct\",\"k\":\"" SECRET_32 "=\"}", "32 to 1024" },
        { "stray bits", "{\"kty\":\"oct\",\"k\":\"" SECRET_31 "B\"}", "32 to 1024" },
        { "other alphabet", "{\"kty\":\"oct\",\"k\":\"+/" SECRET_31 "\"}", "32 to 1024" },
        { "other curve",
          "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", "curve" },
        { "short point", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"" EC_Y "\"}",
          "length" },
        { "half a point", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}", "length" },
        { "curve and length apart",
          "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", "length" },
        { "not on the curve",
          "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X "\"}",
          "not on the curve" },
        { "private part malformed",
          "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"d\":\"*\"}",
          "private part" },
        { "RSA without the rest of its private part",
          "{\"kty\":\"RSA\",\"n\":\"" HOBBIT_N "\",\"e\":\"AQAB\",\"d\":\"AQAB\"}",
          "private part" },
        { "X25519", "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" EC_X "\"}", "curve" },
        { "short Ed25519", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", "32 bytes" },
        { "for encryption",
          "{\"kty\":\"EC\",\"use\":\"enc\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
          "\"}",
          "not for signatures" },
        { "to wrap keys", "{\"kty\":\"oct\",\"key_ops\":[\"wrapKey\"],\"k\":\"" SECRET_32 "\"}",
          "not for signatures" },
        { "operations that are none",
          "{\"kty\":\"oct\",\"key_ops\":\"verify\",\"k\":\"" SECRET_32 "\"}",
          "not for signatures" },
        { "algorithm of another curve",
          "{\"kty\":\"EC\",\"alg\":\"ES384\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
          "\"}",
          "alg" },
        { "algorithm that asks for more",
          "{\"kty\":\"oct\",\"alg\":\"HS512\",\"k\":\"" SECRET_32 "\"}", "alg" },
        { "algorithm none", "{\"kty\":\"oct\",\"alg\":\"none\",\"k\":\"" SECRET_32 "\"}", "alg" },
        { "id that is a number", "{\"kty\":\"oct\",\"kid\":1,\"k\":\"" SECRET_32 "\"}", "kid" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_key(cases[i].name, cases[i].jwk, cases[i].reason);
}

static void test_key_limits(void **state)
{
    char text[2048];
    (void)state;
    check_key("RSA of 2047 bits", rsa_of(text, 2047, "AQAB"), "2048");
    check_key("RSA of 2048 bits", rsa_of(text, 2048, "AQAB"), NULL);
    check_key("RSA of 8192 bits", rsa_of(text, 8192, "AQAB"), NULL);
    check_key("RSA of 8200 bits", rsa_of(text, 8200, "AQAB"), "8192");
    check_key("exponent 1", rsa_of(text, 2048, "AQ"), "exponent");
    check_key("exponent 2", rsa_of(text, 2048, "Ag"), "exponent");
    check_key("exponent 3", rsa_of(text, 2048, "Aw"), NULL);
    check_key("exponent of 33 bits", rsa_of(text, 2048, "AQAAAAE"), "exponent");
    check_key("secret of 32 bytes", "{\"kty\":\"oct\",\"k\":\"" SECRET_32 "\"}", NULL);

    char kid[IDENTITY_JOSE_KID_MAX + 2];
    memset(kid, 'k', sizeof(kid));
    kid[IDENTITY_JOSE_KID_MAX + 1] = 0;
    (void)snprintf(text, sizeof(text), "{\"kty\":\"oct\",\"kid\":\"%s\",\"k\":\"" SECRET_32 "\"}",
                   kid);
    check_key("id of 129 bytes", text, "kid");
    (void)snprintf(text, sizeof(text), "{\"kty\":\"oct\",\"kid\":\"%s\",\"k\":\"" SECRET_32 "\"}",
                   kid + 1);
    check_key("id of 128 bytes", text, NULL);

    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct slice long_text = arena_printf(arena, "{\"kty\":\"oct\",\"k\":\"" SECRET_32 "\"%*s}",
                                          (int)IDENTITY_JOSE_KEY_BYTES_MAX, "");
    struct identity_jose_key *key;
    const char *reason;
    assert_status(identity_jose_key_parse(long_text, &key, &reason), STATUS_TOO_LARGE);
}

static void test_public_part(void **state)
{
    (void)state;
    CLEANUP(identity_jose_key_free)
    struct identity_jose_key *key = key_of("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X
                                           "\",\"y\":\"" EC_Y "\",\"d\":\"" EC_D "\"}");
    struct buf out;
    buf_init(&out, NULL, 0, 4096);
    assert_true(identity_jose_key_can_sign(key));
    assert_status(identity_jose_key_put_public(key, IDENTITY_JOSE_ES256, &out), STATUS_OK);
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct slice want =
        arena_printf(arena,
                     "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
                     "\",\"alg\":\"ES256\",\"kid\":\"%.*s\",\"use\":\"sig\"}",
                     SLICE_ARG(identity_jose_key_thumbprint(key)));
    assert_true(slice_eq(buf_slice(&out), want));
    assert_status(identity_jose_key_put_public(key, IDENTITY_JOSE_RS256, &out), STATUS_INVALID);
    buf_fini(&out);
    CLEANUP(identity_jose_key_free)
    struct identity_jose_key *secret = key_of("{\"kty\":\"oct\",\"k\":\"" SECRET_32 "\"}");
    buf_init(&out, NULL, 0, 4096);
    assert_status(identity_jose_key_put_public(secret, IDENTITY_JOSE_HS256, &out), STATUS_INVALID);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

/* What was made here is verified here, after it went through text. */
static void test_generated_keys(void **state)
{
    static const enum identity_jose_alg algs[] = { IDENTITY_JOSE_ES256, IDENTITY_JOSE_RS256 };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        CLEANUP(identity_jose_key_free) struct identity_jose_key *key = NULL;
        struct buf private, public, token;
        buf_init(&private, arena, 0, 4096);
        buf_init(&public, arena, 0, 4096);
        buf_init(&token, arena, 0, IDENTITY_JOSE_TOKEN_BYTES_MAX);
        assert_status(identity_jose_key_generate(algs[i], &private, &key), STATUS_OK);
        assert_true(slice_eq(identity_jose_key_id(key), identity_jose_key_thumbprint(key)));
        assert_status(identity_jose_key_put_public(key, algs[i], &public), STATUS_OK);
        assert_int_equal(slice_find_slice(buf_slice(&public), SLICE("\"d\"")), SIZE_MAX);
        assert_status(identity_jose_sign(key, algs[i], SLICE("at+jwt"), SLICE("{}"), &token),
                      STATUS_OK);
        CLEANUP(identity_jose_key_free)
        struct identity_jose_key *other = key_of(arena_cstr(arena, buf_slice(&public)));
        assert_false(identity_jose_key_can_sign(other));
        struct identity_jose_token got;
        assert_refusal(open_with(arena, other, IDENTITY_JOSE_BIT(algs[i]), buf_slice(&token), &got),
                       IDENTITY_JOSE_ACCEPTED);
        assert_true(slice_eq(got.payload, SLICE("{}")));
        assert_string_equal(json_string_value(json_object_get(got.header, "typ")), "at+jwt");
        /* Neither a public key nor another algorithm signs. */
        assert_status(identity_jose_sign(other, algs[i], SLICE_NULL, SLICE("{}"), &token),
                      STATUS_INVALID);
        assert_status(identity_jose_sign(key, IDENTITY_JOSE_HS256, SLICE_NULL, SLICE("{}"), &token),
                      STATUS_INVALID);
    }
    struct buf none;
    struct identity_jose_key *key;
    buf_init(&none, NULL, 0, 4096);
    assert_status(identity_jose_key_generate(IDENTITY_JOSE_EDDSA, &none, &key), STATUS_INVALID);
    buf_fini(&none);
}

/* -- sets
 * --------------------------------------------------------------------------------------------- */

static void test_sets(void **state)
{
    (void)state;
    struct identity_jose_set set;
    assert_status(identity_jose_set_parse(SLICE("{\"keys\":[" EC_PUBLIC ",{\"kty\":\"AKP\"},7,"
                                                "{\"kty\":\"oct\",\"k\":\"AA\"}," HOBBIT_RSA "]}"),
                                          &set),
                  STATUS_OK);
    assert_int_equal(set.len, 2);
    assert_int_equal(set.skipped, 3);
    identity_jose_set_clear(&set);
    assert_status(identity_jose_set_parse(SLICE("{\"keys\":[]}"), &set), STATUS_OK);
    assert_int_equal(set.len, 0);
    assert_status(identity_jose_set_parse(SLICE("{\"keys\":{}}"), &set), STATUS_INVALID);
    assert_status(identity_jose_set_parse(SLICE("[]"), &set), STATUS_INVALID);
    assert_status(identity_jose_set_parse(SLICE("{\"keys\":[],\"keys\":[]}"), &set),
                  STATUS_INVALID);
}

static void test_set_limit(void **state)
{
    (void)state;
    for (unsigned n = IDENTITY_JOSE_SET_MAX; n <= IDENTITY_JOSE_SET_MAX + 1; n++) {
        struct buf text;
        buf_init(&text, NULL, 0, IDENTITY_JOSE_SET_BYTES_MAX);
        buf_put_lit(&text, "{\"keys\":[" EC_PUBLIC);
        for (unsigned i = 1; i < n; i++)
            buf_put_lit(&text, "," EC_PUBLIC);
        buf_put_lit(&text, "]}");
        struct identity_jose_set set;
        enum status st = identity_jose_set_parse(buf_slice(&text), &set);
        assert_status(st, n <= IDENTITY_JOSE_SET_MAX ? STATUS_OK : STATUS_TOO_LARGE);
        assert_int_equal(set.len, st == STATUS_OK ? n : 0);
        identity_jose_set_clear(&set);
        buf_fini(&text);
    }
}

/* -- attacks
 * ------------------------------------------------------------------------------------------ */

#define ISSUER "https://api.example"
#define AUDIENCE "https://api.example/v1"
#define GOOD_HEADER "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"ours\"}"
#define HEADER(more) "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"ours\"," more "}"
#define ALG(alg, kid) "{\"alg\":" alg ",\"typ\":\"at+jwt\",\"kid\":" kid "}"
#define TYP(typ) "{\"alg\":\"ES256\",\"typ\":" typ ",\"kid\":\"ours\"}"
#define GOOD_CLAIMS                                                                                \
    "{\"iss\":\"" ISSUER "\",\"aud\":\"" AUDIENCE "\",\"exp\":1700000900,\"iat\":1700000000}"
#define TIMES(times) "{\"iss\":\"" ISSUER "\",\"aud\":\"" AUDIENCE "\"," times "}"
#define WITH_ISS(iss) "{" iss "\"aud\":\"" AUDIENCE "\",\"exp\":1700000900}"
#define WITH_AUD(aud) "{\"iss\":\"" ISSUER "\"," aud "\"exp\":1700000900}"

enum signer { BY_OURS, BY_THEIRS, BY_SECRET, BY_OUR_PUBLIC_KEY, BY_NOBODY };

struct fixture {
    struct arena *arena;
    struct pair ours, theirs;
    struct identity_jose_set set;
};

static const uint8_t secret_bytes[32];

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->arena = arena_new(NULL, 0);
    pair_init(&f->ours);
    pair_init(&f->theirs);
    f->set.keys[f->set.len++] = pair_key(&f->ours, f->arena, "ours");
    f->set.keys[f->set.len++] =
        key_of("{\"kty\":\"RSA\",\"kid\":\"rsa\",\"n\":\"" HOBBIT_N "\",\"e\":\"AQAB\"}");
    f->set.keys[f->set.len++] =
        key_of("{\"kty\":\"oct\",\"kid\":\"secret\",\"k\":\"" SECRET_32 "\"}");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    identity_jose_set_clear(&f->set);
    pair_fini(&f->ours);
    pair_fini(&f->theirs);
    arena_free(f->arena);
    free(f);
    return 0;
}

/* A token with any header, signed as it is. */
static struct slice forge(struct fixture *f, enum signer signer, struct slice header,
                          struct slice claims)
{
    uint8_t signature[64];
    size_t len = 0;
    struct buf out;
    buf_init(&out, f->arena, 0, (size_t)64 * 1024);
    identity__base64url_put(&out, header.data, header.len);
    buf_putc(&out, '.');
    identity__base64url_put(&out, claims.data, claims.len);
    if (signer == BY_OURS || signer == BY_THEIRS)
        len = pair_sign(signer == BY_OURS ? &f->ours : &f->theirs, buf_slice(&out), signature);
    else if (signer == BY_SECRET)
        len = hmac_sign(slice_of((const char *)secret_bytes, sizeof(secret_bytes)), buf_slice(&out),
                        signature);
    else if (signer == BY_OUR_PUBLIC_KEY)
        len = hmac_sign(SLICE(HOBBIT_N), buf_slice(&out), signature);
    buf_putc(&out, '.');
    identity__base64url_put(&out, signature, len);
    assert_status(buf_status(&out), STATUS_OK);
    return buf_slice(&out);
}

static struct identity_jose_policy policy_of(const struct fixture *f, uint32_t algs)
{
    return (struct identity_jose_policy){
        .keys = &f->set,
        .algs = algs,
        .typ = SLICE("at+jwt"),
        .issuer = SLICE(ISSUER),
        .audience = SLICE(AUDIENCE),
    };
}

static enum identity_jose_refusal verify(struct fixture *f, struct slice text, uint32_t algs,
                                         struct identity_jose_token *ret)
{
    const struct identity_jose_policy policy = policy_of(f, algs);
    enum identity_jose_refusal refusal = IDENTITY_JOSE_REFUSAL_COUNT;
    enum status st = identity_jose_verify(f->arena, text, &policy, NOW_US, ret, &refusal);
    assert_status(st, refusal == IDENTITY_JOSE_ACCEPTED ? STATUS_OK : STATUS_UNAUTHENTICATED);
    return refusal;
}

#define OUR_ALGS (IDENTITY_JOSE_BIT(IDENTITY_JOSE_ES256) | IDENTITY_JOSE_BIT(IDENTITY_JOSE_RS256))

/* The accepted ones stand between the others: each attack is one step away from one of them. */
static const struct {
    const char *name, *header, *claims;
    enum identity_jose_refusal want;
    enum signer signer;
    uint32_t algs; /* 0: OUR_ALGS */
} attacks[] = {
    { "good", GOOD_HEADER, GOOD_CLAIMS, IDENTITY_JOSE_ACCEPTED },
    { "another's signature", GOOD_HEADER, GOOD_CLAIMS, IDENTITY_JOSE_SIGNATURE, BY_THEIRS },
    { "no signature", GOOD_HEADER, GOOD_CLAIMS, IDENTITY_JOSE_MALFORMED, BY_NOBODY },

    /* alg */
    { "none", ALG("\"none\"", "\"ours\""), GOOD_CLAIMS, IDENTITY_JOSE_ALGORITHM },
    { "none, everything allowed", ALG("\"none\"", "\"ours\""), GOOD_CLAIMS, IDENTITY_JOSE_ALGORITHM,
      BY_OURS, ALL_ALGS },
    { "none without a signature", ALG("\"none\"", "\"ours\""), GOOD_CLAIMS, IDENTITY_JOSE_MALFORMED,
      BY_NOBODY, ALL_ALGS },
    { "None", ALG("\"None\"", "\"ours\""), GOOD_CLAIMS, IDENTITY_JOSE_ALGORITHM, BY_OURS,
      ALL_ALGS },
    { "empty alg", ALG("\"\"", "\"ours\""), GOOD_CLAIMS, IDENTITY_JOSE_ALGORITHM },
    { "no alg", "{\"typ\":\"at+jwt\",\"kid\":\"ours\"}", GOOD_CLAIMS, IDENTITY_JOSE_HEADER },
    { "alg is a list", ALG("[\"ES256\"]", "\"ours\""), GOOD_CLAIMS, IDENTITY_JOSE_HEADER },
    { "alg is null", ALG("null", "\"ours\""), GOOD_CLAIMS, IDENTITY_JOSE_HEADER },
    { "alg with a zero byte", ALG("\"ES256\\u0000\"", "\"ours\""), GOOD_CLAIMS,
      IDENTITY_JOSE_ALGORITHM },
    { "alg in small letters", ALG("\"es256\"", "\"ours\""), GOOD_CLAIMS, IDENTITY_JOSE_ALGORITHM },
    { "alg of another curve", ALG("\"ES384\"", "\"ours\""), GOOD_CLAIMS, IDENTITY_JOSE_NO_KEY,
      BY_OURS, ALL_ALGS },
    { "EdDSA with an EC key", ALG("\"EdDSA\"", "\"ours\""), GOOD_CLAIMS, IDENTITY_JOSE_NO_KEY,
      BY_OURS, ALL_ALGS },
    { "HS256 that is not allowed", ALG("\"HS256\"", "\"secret\""), GOOD_CLAIMS,
      IDENTITY_JOSE_ALGORITHM, BY_SECRET },
    { "good HS256", ALG("\"HS256\"", "\"secret\""), GOOD_CLAIMS, IDENTITY_JOSE_ACCEPTED, BY_SECRET,
      ALL_ALGS },
    { "HS256 with the public key of RSA as its secret", ALG("\"HS256\"", "\"rsa\""), GOOD_CLAIMS,
      IDENTITY_JOSE_NO_KEY, BY_OUR_PUBLIC_KEY, ALL_ALGS },
    { "HS256 with the public key of EC as its secret", ALG("\"HS256\"", "\"ours\""), GOOD_CLAIMS,
      IDENTITY_JOSE_NO_KEY, BY_OUR_PUBLIC_KEY, ALL_ALGS },
    { "RS256 signed as ES256", ALG("\"RS256\"", "\"rsa\""), GOOD_CLAIMS, IDENTITY_JOSE_SIGNATURE },

    /* keys by the token's own word */
    { "jwk of theirs",
      HEADER("\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"),
      GOOD_CLAIMS, IDENTITY_JOSE_SIGNATURE, BY_THEIRS },
    { "jwk is passed over",
      HEADER("\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"),
      GOOD_CLAIMS, IDENTITY_JOSE_ACCEPTED },
    { "jku", HEADER("\"jku\":\"http://127.0.0.1:1/keys\""), GOOD_CLAIMS, IDENTITY_JOSE_SIGNATURE,
      BY_THEIRS },
    { "x5u", HEADER("\"x5u\":\"http://127.0.0.1:1/cert\""), GOOD_CLAIMS, IDENTITY_JOSE_SIGNATURE,
      BY_THEIRS },
    { "x5c", HEADER("\"x5c\":[\"MIIB\"]"), GOOD_CLAIMS, IDENTITY_JOSE_SIGNATURE, BY_THEIRS },
    { "x5c is passed over", HEADER("\"x5c\":[\"MIIB\"]"), GOOD_CLAIMS, IDENTITY_JOSE_ACCEPTED },

    /* kid */
    { "no kid, one key of the algorithm", "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", GOOD_CLAIMS,
      IDENTITY_JOSE_ACCEPTED },
    { "unknown kid", ALG("\"ES256\"", "\"other\""), GOOD_CLAIMS, IDENTITY_JOSE_NO_KEY },
    { "kid of another key", ALG("\"ES256\"", "\"rsa\""), GOOD_CLAIMS, IDENTITY_JOSE_NO_KEY },
    { "kid is a path", ALG("\"ES256\"", "\"../../../../dev/null\""), GOOD_CLAIMS,
      IDENTITY_JOSE_NO_KEY },
    { "kid is SQL", ALG("\"ES256\"", "\"x' UNION SELECT 'AA'--\""), GOOD_CLAIMS,
      IDENTITY_JOSE_NO_KEY },
    { "kid is empty", ALG("\"ES256\"", "\"\""), GOOD_CLAIMS, IDENTITY_JOSE_NO_KEY },
    { "kid begins as ours", ALG("\"ES256\"", "\"our\""), GOOD_CLAIMS, IDENTITY_JOSE_NO_KEY },
    { "kid with a zero byte", ALG("\"ES256\"", "\"ours\\u0000\""), GOOD_CLAIMS,
      IDENTITY_JOSE_NO_KEY },
    { "kid is a number", ALG("\"ES256\"", "1"), GOOD_CLAIMS, IDENTITY_JOSE_NO_KEY },
    { "kid is null", ALG("\"ES256\"", "null"), GOOD_CLAIMS, IDENTITY_JOSE_NO_KEY },

    /* header */
    { "header is a list", "[\"ES256\"]", GOOD_CLAIMS, IDENTITY_JOSE_HEADER },
    { "header is text", "ES256", GOOD_CLAIMS, IDENTITY_JOSE_HEADER },
    { "alg twice", "{\"alg\":\"none\",\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"ours\"}",
      GOOD_CLAIMS, IDENTITY_JOSE_HEADER },
    { "more after the header", GOOD_HEADER "{}", GOOD_CLAIMS, IDENTITY_JOSE_HEADER },
    { "header of depth 9", HEADER("\"a\":[[[[[[[[]]]]]]]]"), GOOD_CLAIMS, IDENTITY_JOSE_HEADER },
    { "header of depth 8", HEADER("\"a\":[[[[[[[]]]]]]]"), GOOD_CLAIMS, IDENTITY_JOSE_ACCEPTED },
    { "unknown member", HEADER("\"a\":1"), GOOD_CLAIMS, IDENTITY_JOSE_ACCEPTED },
    { "crit", HEADER("\"crit\":[\"exp\"],\"exp\":1"), GOOD_CLAIMS, IDENTITY_JOSE_CRITICAL },
    { "crit of b64", HEADER("\"crit\":[\"b64\"],\"b64\":true"), GOOD_CLAIMS,
      IDENTITY_JOSE_CRITICAL },
    { "crit is empty", HEADER("\"crit\":[]"), GOOD_CLAIMS, IDENTITY_JOSE_CRITICAL },
    { "crit is null", HEADER("\"crit\":null"), GOOD_CLAIMS, IDENTITY_JOSE_CRITICAL },

    /* typ */
    { "an ID token", TYP("\"JWT\""), GOOD_CLAIMS, IDENTITY_JOSE_TYPE },
    { "no typ", "{\"alg\":\"ES256\",\"kid\":\"ours\"}", GOOD_CLAIMS, IDENTITY_JOSE_TYPE },
    { "typ is a list", TYP("[\"at+jwt\"]"), GOOD_CLAIMS, IDENTITY_JOSE_TYPE },
    { "typ begins as ours", TYP("\"at+jwt2\""), GOOD_CLAIMS, IDENTITY_JOSE_TYPE },
    { "typ in full", TYP("\"application/at+jwt\""), GOOD_CLAIMS, IDENTITY_JOSE_ACCEPTED },
    { "typ in large letters", TYP("\"Application/AT+JWT\""), GOOD_CLAIMS, IDENTITY_JOSE_ACCEPTED },
    { "typ of another tree", TYP("\"text/at+jwt\""), GOOD_CLAIMS, IDENTITY_JOSE_TYPE },

    /* claims */
    { "claims are a list", GOOD_HEADER, "[]", IDENTITY_JOSE_CLAIMS },
    { "claims are empty", GOOD_HEADER, "", IDENTITY_JOSE_CLAIMS },
    { "claims are no UTF-8", GOOD_HEADER, "{\"exp\":\"\xff\"}", IDENTITY_JOSE_CLAIMS },
    { "claims are cut off", GOOD_HEADER, "{\"exp\":1700000900", IDENTITY_JOSE_CLAIMS },
    { "exp twice", GOOD_HEADER, TIMES("\"exp\":1,\"exp\":1700000900"), IDENTITY_JOSE_CLAIMS },
    { "claims of depth 9", GOOD_HEADER, TIMES("\"exp\":1700000900,\"a\":[[[[[[[[]]]]]]]]"),
      IDENTITY_JOSE_CLAIMS },
    { "claims of depth 8", GOOD_HEADER, TIMES("\"exp\":1700000900,\"a\":[[[[[[[]]]]]]]"),
      IDENTITY_JOSE_ACCEPTED },
    { "issuer of another", GOOD_HEADER, WITH_ISS("\"iss\":\"https://evil.example\","),
      IDENTITY_JOSE_ISSUER },
    { "issuer with a slash more", GOOD_HEADER, WITH_ISS("\"iss\":\"" ISSUER "/\","),
      IDENTITY_JOSE_ISSUER },
    { "issuer in a list", GOOD_HEADER, WITH_ISS("\"iss\":[\"" ISSUER "\"],"),
      IDENTITY_JOSE_ISSUER },
    { "no issuer", GOOD_HEADER, WITH_ISS(""), IDENTITY_JOSE_ISSUER },
    { "audience of another", GOOD_HEADER, WITH_AUD("\"aud\":\"https://evil.example\","),
      IDENTITY_JOSE_AUDIENCE },
    { "audience that begins as ours", GOOD_HEADER, WITH_AUD("\"aud\":\"" AUDIENCE "0\","),
      IDENTITY_JOSE_AUDIENCE },
    { "no audience", GOOD_HEADER, WITH_AUD(""), IDENTITY_JOSE_AUDIENCE },
    { "one of two audiences", GOOD_HEADER,
      WITH_AUD("\"aud\":[\"https://other.example\",\"" AUDIENCE "\"],"), IDENTITY_JOSE_ACCEPTED },
    { "none of two audiences", GOOD_HEADER, WITH_AUD("\"aud\":[\"https://other.example\",\"\"],"),
      IDENTITY_JOSE_AUDIENCE },
    { "audience in a list with no text", GOOD_HEADER, WITH_AUD("\"aud\":[\"" AUDIENCE "\",1],"),
      IDENTITY_JOSE_AUDIENCE },
    { "no audiences", GOOD_HEADER, WITH_AUD("\"aud\":[],"), IDENTITY_JOSE_AUDIENCE },
    { "audience in an object", GOOD_HEADER, WITH_AUD("\"aud\":{\"" AUDIENCE "\":1},"),
      IDENTITY_JOSE_AUDIENCE },

    /* times: it is 1700000000 */
    { "no exp", GOOD_HEADER, TIMES("\"iat\":1700000000"), IDENTITY_JOSE_NO_EXPIRY },
    { "exp is null", GOOD_HEADER, TIMES("\"exp\":null"), IDENTITY_JOSE_CLAIMS },
    { "exp is text", GOOD_HEADER, TIMES("\"exp\":\"1700000900\""), IDENTITY_JOSE_CLAIMS },
    { "expired, beyond the leeway", GOOD_HEADER, TIMES("\"exp\":1699999970"),
      IDENTITY_JOSE_EXPIRED },
    { "expired, within the leeway", GOOD_HEADER, TIMES("\"exp\":1699999971"),
      IDENTITY_JOSE_ACCEPTED },
    { "expired by a fraction", GOOD_HEADER, TIMES("\"exp\":1699999969.999"),
      IDENTITY_JOSE_EXPIRED },
    { "exp 0", GOOD_HEADER, TIMES("\"exp\":0"), IDENTITY_JOSE_EXPIRED },
    { "exp far below 0", GOOD_HEADER, TIMES("\"exp\":-1e300"), IDENTITY_JOSE_EXPIRED },
    { "exp far in the future", GOOD_HEADER, TIMES("\"exp\":1e300"), IDENTITY_JOSE_ACCEPTED },
    { "exp is the largest integer", GOOD_HEADER, TIMES("\"exp\":9223372036854775807"),
      IDENTITY_JOSE_ACCEPTED },
    { "exp is beyond integers", GOOD_HEADER, TIMES("\"exp\":9223372036854775808"),
      IDENTITY_JOSE_CLAIMS },
    { "nbf within the leeway", GOOD_HEADER, TIMES("\"exp\":1700000900,\"nbf\":1700000030"),
      IDENTITY_JOSE_ACCEPTED },
    { "nbf beyond the leeway", GOOD_HEADER, TIMES("\"exp\":1700000900,\"nbf\":1700000031"),
      IDENTITY_JOSE_NOT_YET },
    { "nbf is text", GOOD_HEADER, TIMES("\"exp\":1700000900,\"nbf\":\"0\""), IDENTITY_JOSE_CLAIMS },
    { "iat beyond the leeway", GOOD_HEADER, TIMES("\"exp\":1700000900,\"iat\":1700000031"),
      IDENTITY_JOSE_NOT_YET },
    { "iat is null", GOOD_HEADER, TIMES("\"exp\":1700000900,\"iat\":null"), IDENTITY_JOSE_CLAIMS },
};

static void test_attacks(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
        struct identity_jose_token token;
        struct slice text = forge(f, attacks[i].signer, slice_cstr(attacks[i].header),
                                  slice_cstr(attacks[i].claims));
        uint32_t algs = attacks[i].algs ? attacks[i].algs : OUR_ALGS;
        enum identity_jose_refusal got = verify(f, text, algs, &token);
        if (got != attacks[i].want)
            fail_msg("%s: %s, want %s", attacks[i].name, identity_jose_refusal_name(got),
                     identity_jose_refusal_name(attacks[i].want));
    }
}

static void test_good_token_tells(void **state)
{
    struct fixture *f = *state;
    struct identity_jose_token token;
    struct slice text = forge(f, BY_OURS, SLICE(GOOD_HEADER), SLICE(GOOD_CLAIMS));
    assert_refusal(verify(f, text, OUR_ALGS, &token), IDENTITY_JOSE_ACCEPTED);
    assert_int_equal(token.alg, IDENTITY_JOSE_ES256);
    assert_ptr_equal(token.key, f->set.keys[0]);
    assert_int_equal(token.expires_us, 1700000900 * CLOCK_SECOND);
    assert_string_equal(json_string_value(json_object_get(token.claims, "iss")), ISSUER);
}

/* A policy that asks for nothing takes any type, issuer and audience, but never an eternal one. */
static void test_open_policy(void **state)
{
    struct fixture *f = *state;
    const struct identity_jose_policy policy = { .keys = &f->set, .algs = OUR_ALGS };
    struct identity_jose_token token;
    enum identity_jose_refusal refusal;
    struct slice text =
        forge(f, BY_OURS, SLICE("{\"alg\":\"ES256\"}"), SLICE("{\"exp\":1700000900}"));
    assert_status(identity_jose_verify(f->arena, text, &policy, NOW_US, &token, &refusal),
                  STATUS_OK);
    text = forge(f, BY_OURS, SLICE("{\"alg\":\"ES256\"}"), SLICE("{}"));
    assert_status(identity_jose_verify(f->arena, text, &policy, NOW_US, &token, &refusal),
                  STATUS_UNAUTHENTICATED);
    assert_refusal(refusal, IDENTITY_JOSE_NO_EXPIRY);
}

/* Two keys that fit are none: a token is not tried against each. */
static void test_ambiguous_keys(void **state)
{
    struct fixture *f = *state;
    struct identity_jose_token token;
    struct slice named = forge(f, BY_OURS, SLICE(GOOD_HEADER), SLICE(GOOD_CLAIMS));
    struct slice nameless =
        forge(f, BY_OURS, SLICE("{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}"), SLICE(GOOD_CLAIMS));
    f->set.keys[f->set.len++] = pair_key(&f->theirs, f->arena, "theirs");
    assert_refusal(verify(f, named, OUR_ALGS, &token), IDENTITY_JOSE_ACCEPTED);
    assert_refusal(verify(f, nameless, OUR_ALGS, &token), IDENTITY_JOSE_NO_KEY);
    f->set.keys[f->set.len++] = pair_key(&f->theirs, f->arena, "ours");
    assert_refusal(verify(f, named, OUR_ALGS, &token), IDENTITY_JOSE_NO_KEY);
}

/* A key without an id is anybody's, unless one has the id. */
static void test_nameless_key(void **state)
{
    struct fixture *f = *state;
    struct identity_jose_token token;
    struct slice by_theirs =
        forge(f, BY_THEIRS, SLICE(ALG("\"ES256\"", "\"new\"")), SLICE(GOOD_CLAIMS));
    assert_refusal(verify(f, by_theirs, OUR_ALGS, &token), IDENTITY_JOSE_NO_KEY);
    f->set.keys[f->set.len++] = pair_key(&f->theirs, f->arena, NULL);
    assert_refusal(verify(f, by_theirs, OUR_ALGS, &token), IDENTITY_JOSE_ACCEPTED);
    by_theirs = forge(f, BY_THEIRS, SLICE(GOOD_HEADER), SLICE(GOOD_CLAIMS));
    assert_refusal(verify(f, by_theirs, OUR_ALGS, &token), IDENTITY_JOSE_SIGNATURE);
    f->set.keys[f->set.len++] = pair_key(&f->theirs, f->arena, NULL);
    by_theirs = forge(f, BY_THEIRS, SLICE(ALG("\"ES256\"", "\"new\"")), SLICE(GOOD_CLAIMS));
    assert_refusal(verify(f, by_theirs, OUR_ALGS, &token), IDENTITY_JOSE_NO_KEY);
}

static void test_truncated_and_more(void **state)
{
    struct fixture *f = *state;
    struct identity_jose_token token;
    struct slice good = forge(f, BY_OURS, SLICE(GOOD_HEADER), SLICE(GOOD_CLAIMS));
    for (size_t len = 0; len < good.len; len++) {
        if (verify(f, slice_head(good, len), OUR_ALGS, &token) == IDENTITY_JOSE_ACCEPTED)
            fail_msg("cut to %zu of %zu", len, good.len);
        if (verify(f, slice_from(good, len + 1), OUR_ALGS, &token) == IDENTITY_JOSE_ACCEPTED)
            fail_msg("without the first %zu", len + 1);
    }
    static const char *const tails[] = { ".", "A", "=", ".A", " ", "\n", "AAAA" };
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        struct slice more = arena_printf(f->arena, "%.*s%s", SLICE_ARG(good), tails[i]);
        if (verify(f, more, OUR_ALGS, &token) == IDENTITY_JOSE_ACCEPTED)
            fail_msg("\"%s\" at the end", tails[i]);
        more = arena_printf(f->arena, "%s%.*s", tails[i], SLICE_ARG(good));
        if (verify(f, more, OUR_ALGS, &token) == IDENTITY_JOSE_ACCEPTED)
            fail_msg("\"%s\" at the beginning", tails[i]);
    }
    /* With zero bytes as well. */
    char zero[1024];
    assert_true(good.len < sizeof(zero));
    memcpy(zero, good.data, good.len);
    zero[good.len] = 0;
    assert_refusal(verify(f, slice_of(zero, good.len + 1), OUR_ALGS, &token),
                   IDENTITY_JOSE_SIGNATURE);
    /* Forms that are none. */
    static const char *const forms[] = { "",     ".",   "..",
                                         "...",  "a.b", "a.b.",
                                         ".b.c", "{}",  "{\"payload\":\"\",\"signatures\":[]}" };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        assert_refusal(verify(f, slice_cstr(forms[i]), OUR_ALGS, &token), IDENTITY_JOSE_MALFORMED);
}

/* The s of a signature may be n - s as well; a letter more or less of either number may not be. */
static void test_signature_length(void **state)
{
    struct fixture *f = *state;
    struct identity_jose_token token;
    struct slice good = forge(f, BY_OURS, SLICE(GOOD_HEADER), SLICE(GOOD_CLAIMS));
    struct slice before = slice_head(good, good.len - 86);
    uint8_t signature[64], longer[66] = { 0 };
    size_t len;
    assert_true(
        identity__base64url_decode(slice_from(good, good.len - 86), signature, 64, 64, &len));
    memcpy(longer + 1, signature, 32); /* the same numbers, with zeros before */
    memcpy(longer + 34, signature + 32, 32);
    struct buf out;
    buf_init(&out, f->arena, 0, 4096);
    buf_put_slice(&out, before);
    identity__base64url_put(&out, longer, sizeof(longer));
    assert_refusal(verify(f, buf_slice(&out), OUR_ALGS, &token), IDENTITY_JOSE_SIGNATURE);
    buf_clear(&out);
    buf_put_slice(&out, before);
    memset(signature, 0, sizeof(signature)); /* r = s = 0: the "psychic signature" */
    identity__base64url_put(&out, signature, sizeof(signature));
    assert_refusal(verify(f, buf_slice(&out), OUR_ALGS, &token), IDENTITY_JOSE_SIGNATURE);
}

/* One letter beyond the largest token is too many, and the largest is taken. */
static void test_token_limit(void **state)
{
    struct fixture *f = *state;
    size_t largest = 0, smallest_refused = SIZE_MAX;
    for (int pad = 0; pad < 600; pad++) {
        struct identity_jose_token token;
        arena_free(f->arena);
        f->arena = arena_new(NULL, 0);
        struct slice header = arena_printf(f->arena, "%s%*s", GOOD_HEADER, pad % 3, "");
        struct slice claims = arena_printf(f->arena, "%s%*s", GOOD_CLAIMS, 5830 + pad / 3, "");
        struct slice text = forge(f, BY_OURS, header, claims);
        enum identity_jose_refusal got = verify(f, text, OUR_ALGS, &token);
        if (got == IDENTITY_JOSE_ACCEPTED)
            largest = MAX(largest, text.len);
        else {
            assert_refusal(got, IDENTITY_JOSE_TOO_LARGE);
            smallest_refused = MIN(smallest_refused, text.len);
        }
    }
    assert_int_equal(largest, 8192);
    assert_int_equal(smallest_refused, 8193);
}

static void test_sign_limit(void **state)
{
    struct fixture *f = *state;
    CLEANUP(identity_jose_key_free) struct identity_jose_key *key = NULL;
    struct buf private, out;
    buf_init(&private, f->arena, 0, 4096);
    buf_init(&out, f->arena, 0, (size_t)64 * 1024);
    assert_status(identity_jose_key_generate(IDENTITY_JOSE_ES256, &private, &key), STATUS_OK);
    struct slice large = arena_printf(f->arena, "%*s", (int)IDENTITY_JOSE_TOKEN_BYTES_MAX + 1, "");
    for (size_t len = 5900; len <= large.len; len += len < 6080 ? 1 : 99) {
        buf_clear(&out);
        enum status st = identity_jose_sign(key, IDENTITY_JOSE_ES256, SLICE("at+jwt"),
                                            slice_head(large, len), &out);
        if (st == STATUS_OK)
            assert_true(out.len <= IDENTITY_JOSE_TOKEN_BYTES_MAX && len < 6080);
        else {
            assert_status(st, STATUS_TOO_LARGE);
            assert_true(out.len == 0 && len > 5950);
        }
    }
}

/* With any budget of memory a token is refused for want of it, or verified; never half. */
static void test_budgets(void **state)
{
    struct fixture *f = *state;
    struct slice good = forge(f, BY_OURS, SLICE(GOOD_HEADER), SLICE(GOOD_CLAIMS));
    const struct identity_jose_policy policy = policy_of(f, OUR_ALGS);
    bool done = false;
    unsigned failures = 0;
    for (size_t budget = 1; !done; budget += 16) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, budget);
        struct identity_jose_token token = { 0 };
        enum identity_jose_refusal refusal;
        enum status st = identity_jose_verify(arena, good, &policy, NOW_US, &token, &refusal);
        done = st == STATUS_OK;
        if (!done) {
            assert_status(st, STATUS_EXHAUSTED);
            assert_null(token.claims);
            failures++;
        }
        assert_true(budget < (size_t)1 << 20);
    }
    assert_true(failures > 5);
}

static void test_refusals_have_words(void **state)
{
    (void)state;
    for (unsigned i = 0; i < IDENTITY_JOSE_REFUSAL_COUNT; i++) {
        assert_true(strlen(identity_jose_refusal_name((enum identity_jose_refusal)i)) > 3);
        assert_true(strlen(identity_jose_refusal_text((enum identity_jose_refusal)i)) > 10);
    }
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_hold),
        cmocka_unit_test(test_key_with_one_algorithm),
        cmocka_unit_test(test_every_letter_counts),
        cmocka_unit_test(test_payload_is_what_was_signed),
        cmocka_unit_test(test_thumbprints),
        cmocka_unit_test(test_keys_refused),
        cmocka_unit_test(test_key_limits),
        cmocka_unit_test(test_public_part),
        cmocka_unit_test(test_generated_keys),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_set_limit),
        cmocka_unit_test(test_refusals_have_words),
        cmocka_unit_test_setup_teardown(test_attacks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_good_token_tells, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ambiguous_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nameless_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncated_and_more, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signature_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_token_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sign_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budgets, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
