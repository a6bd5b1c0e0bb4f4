/*
 * bench/micro_jose.c - What the first request with a token costs beyond the later ones, which find
 * it in the cache: checking a signature and the claims. Beside OpenSSL's own check of the same
 * algorithm, in turns, medians of seven.
 *
 *     micro_jose        one line an algorithm
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/macros.h"
#include "identity/jose.h"

#define TOKENS 256u
#define ROUNDS 7u

struct case_of {
    enum identity_jose_alg alg;
    struct identity_jose_set keys;
    struct slice tokens[TOKENS];
    EVP_PKEY *bare;
    uint8_t digest[32], signature[512];
    size_t signature_len;
};

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "micro_jose: %s\n", what);
    exit(1);
}

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* As `session.c` and `access.c` make them: some 400 bytes of claims. */
static void sign_tokens(struct arena *arena, struct case_of *c)
{
    int64_t now_s = clock_wall_us() / CLOCK_SECOND;
    for (unsigned i = 0; i < TOKENS; i++) {
        char session[UUID_TEXT_LEN + 1] = "", user[UUID_TEXT_LEN + 1] = "";
        struct uuid session_id = uuid_v7(), user_id = uuid_v7();
        uuid_format(&session_id, session);
        uuid_format(&user_id, user);
        struct slice claims = arena_printf(
            arena,
            "{\"iss\":\"https://api.example.org\",\"sub\":\"%.*s\",\"aud\":\"https://api."
            "example.org\",\"exp\":%lld,\"iat\":%lld,\"sid\":\"%.*s\",\"roles\":[\"member\","
            "\"moderator\"],\"amr\":[\"pwd\"],\"auth_time\":%lld}",
            (int)UUID_TEXT_LEN, user, (long long)now_s + 900, (long long)now_s, (int)UUID_TEXT_LEN,
            session, (long long)now_s);
        struct buf out;
        buf_init(&out, arena, 1024, 8192);
        if (identity_jose_sign(c->keys.keys[0], c->alg, SLICE("at+jwt"), claims, &out) != STATUS_OK)
            die("sign");
        c->tokens[i] = buf_slice(&out);
    }
}

static void sign_bare(struct case_of *c)
{
    c->bare = c->alg == IDENTITY_JOSE_ES256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
    memset(c->digest, 7, sizeof(c->digest));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(c->bare, NULL);
    c->signature_len = sizeof(c->signature);
    if (!ctx || EVP_PKEY_sign_init(ctx) <= 0 ||
        EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) <= 0 ||
        EVP_PKEY_sign(ctx, c->signature, &c->signature_len, c->digest, sizeof(c->digest)) <= 0)
        die("OpenSSL");
    EVP_PKEY_CTX_free(ctx);
}

static double time_bare(const struct case_of *c)
{
    double start = cpu_us();
    for (unsigned i = 0; i < TOKENS; i++) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(c->bare, NULL);
        if (!ctx || EVP_PKEY_verify_init(ctx) <= 0 ||
            EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) <= 0 ||
            EVP_PKEY_verify(ctx, c->signature, c->signature_len, c->digest, sizeof(c->digest)) != 1)
            die("OpenSSL's check");
        EVP_PKEY_CTX_free(ctx);
    }
    return (cpu_us() - start) / TOKENS;
}

static double time_ours(const struct case_of *c)
{
    const struct identity_jose_policy policy = {
        .keys = &c->keys,
        .algs = IDENTITY_JOSE_BIT(c->alg),
        .typ = SLICE("at+jwt"),
        .issuer = SLICE("https://api.example.org"),
        .audience = SLICE("https://api.example.org"),
    };
    struct arena *arena = arena_new(NULL, 0);
    int64_t now_us = clock_wall_us();
    double start = cpu_us();
    for (unsigned i = 0; i < TOKENS; i++) {
        struct identity_jose_token token;
        enum identity_jose_refusal refusal;
        if (identity_jose_verify(arena, c->tokens[i], &policy, now_us, &token, &refusal) !=
            STATUS_OK)
            die("a token is refused");
    }
    double us = (cpu_us() - start) / TOKENS;
    arena_free(arena);
    return us;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct arena *arena, enum identity_jose_alg alg)
{
    static struct case_of c;
    c = (struct case_of){ .alg = alg };
    struct buf private;
    buf_init(&private, arena, 4096, 16384);
    if (identity_jose_key_generate(alg, &private, &c.keys.keys[0]) != STATUS_OK)
        die("a key");
    c.keys.len = 1;
    sign_tokens(arena, &c);
    sign_bare(&c);
    double ours[ROUNDS], bare[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        ours[i] = time_ours(&c);
        bare[i] = time_bare(&c);
    }
    qsort(ours, ROUNDS, sizeof(ours[0]), by_size);
    qsort(bare, ROUNDS, sizeof(bare[0]), by_size);
    double mine = ours[ROUNDS / 2], theirs = bare[ROUNDS / 2];
    struct slice name = identity_jose_alg_name(alg);
    printf("  first request with a token, %.*s: %.1f us to verify, OpenSSL's check of a signature "
           "alone "
           "%.1f us: %.2f x\n",
           (int)name.len, name.data, mine, theirs, mine / theirs);
    EVP_PKEY_free(c.bare);
    identity_jose_set_clear(&c.keys);
}

int main(void)
{
    struct arena *arena = arena_new(NULL, 0);
    measure(arena, IDENTITY_JOSE_ES256);
    measure(arena, IDENTITY_JOSE_RS256);
    arena_free(arena);
    return 0;
}
