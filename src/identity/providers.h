/*
 * identity/providers.h - Where people may sign in besides here: what the configuration says of it.
 *
 * Data passes: a provider of purlin.yaml with its preset filled in (identity_provider_settle) and
 * checked -> options of the room -> identity/foreign.h.
 */
#pragma once

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;

#define IDENTITY_PROVIDERS_MAX 16u
#define IDENTITY_PROVIDER_NAME_MAX 32u
#define IDENTITY_PROVIDER_LABEL_MAX 60u
#define IDENTITY_PROVIDER_ROLES_MAX 32u

enum identity_preset {
    IDENTITY_PRESET_OIDC, /* any OpenID Connect provider */
    IDENTITY_PRESET_GOOGLE,
    IDENTITY_PRESET_MICROSOFT,
    IDENTITY_PRESET_APPLE,
    IDENTITY_PRESET_GITHUB, /* OAuth 2 with an API of its own */
    IDENTITY_PRESETS
};
bool identity_preset_find(struct slice name, enum identity_preset *ret);

struct identity_provider {
    struct slice name;  /* of its URLs: lower-case letters, digits and "-" */
    struct slice label; /* "Example": on its button */
    enum identity_preset preset;
    struct slice issuer; /* of OpenID Connect */
    struct slice tenant; /* Microsoft: "common", "organizations", "consumers" or a directory's id */
    struct slice url, api_url; /* GitHub: of a server of one's own */
    struct slice client_id;
    struct slice client_secret;                /* empty: a public client; never so with presets */
    struct slice team_id, key_id, private_key; /* Apple: the key is PEM, and makes the secret */
    struct slice scopes;                       /* with spaces between them */
    const struct slice *roles;                 /* of accounts made by it */
    unsigned roles_len;
    bool no_sign_up;           /* only who has an account already */
    bool links_verified_email; /* its word on an address is as good as a mail there */
    /* Made of those: */
    struct slice expects; /* what its document calls the issuer, when that is not `issuer` */
};

/* What its preset says and nobody has said. EXHAUSTED. Memory   in the arena. */
enum status identity_provider_settle(struct identity_provider *provider, struct arena *arena);
/* What is wrong with it, in words that follow "the provider"; NULL: nothing. After settling. */
const char *identity_provider_check(const struct identity_provider *provider, struct arena *arena);

/*
 * Is `issuer` what an ID token of this provider may have as "iss"? `tenant` is its claim "tid"; of
 * Microsoft's common endpoints the issuer is the one of the directory that the person is of.
 */
bool identity_provider_issued(const struct identity_provider *provider, struct slice issuer,
                              struct slice tenant);
