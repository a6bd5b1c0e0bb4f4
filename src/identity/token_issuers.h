/*
 * identity/token_issuers.h - Issuers whose tokens are taken beside our own: what the configuration
 * says of them. The room's only other header that src/cmd includes for it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct arena;

#define IDENTITY_TOKEN_ISSUERS_MAX 16u
#define IDENTITY_TOKEN_ROLES_MAX 64u /* of the map of one issuer */
#define IDENTITY_TOKEN_SECRET_MIN 32u
#define IDENTITY_TOKEN_ALGS_MAX 13u

struct identity_token_role {
    struct slice theirs, ours;
};

struct identity_token_issuer {
    struct slice issuer;      /* "iss", exactly */
    struct slice jwks_url;    /* empty: by discovery */
    struct slice audience;    /* "aud" */
    struct slice typ;         /* that tokens must have, such as "at+jwt"; empty: any */
    struct slice secret;      /* of HS256, and of nothing else */
    uint32_t algs;            /* IDENTITY_JOSE_BIT; 0: ES256 and RS256 */
    struct slice roles_claim; /* its path: "realm_access.roles" */
    const struct identity_token_role *roles;
    unsigned roles_len;
    struct slice users_of; /* a provider: its subjects are the users who linked it. Empty: nobody
                              of ours, but somebody with roles */
};

/* "ES256" and others of published keys, or "HS256", as one more bit. False: it may not be used. */
bool identity_token_alg_add(struct slice name, uint32_t *algs);
/* What is wrong with it, in words that follow "the issuer"; NULL: nothing. */
const char *identity_token_issuer_check(const struct identity_token_issuer *issuer,
                                        struct arena *arena);
