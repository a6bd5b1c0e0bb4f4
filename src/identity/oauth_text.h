/*
 * identity/oauth_text.h - The small languages of OAuth: parameters, scopes, redirect URIs, PKCE.
 * Pure; private to the room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "http/http.h"

struct buf;

#define IDENTITY_SCOPE_BYTES_MAX 1024u /* of a list */
#define IDENTITY_SCOPES_MAX 32u
#define IDENTITY_SCOPE_NAME_MAX 64u
#define IDENTITY_REDIRECT_BYTES_MAX 512u
#define IDENTITY_OAUTH_VALUE_BYTES_MAX 2048u
#define IDENTITY_CHALLENGE_LEN 43u /* base64url of a SHA-256 */

/* -- parameters
 * ---------------------------------------------------------------------------------------- */

struct identity_oauth_params {
    const struct http_param *items;
    unsigned len;
};
/*
 * What is wrong with them, as a sentence: one is there twice, too long, or has control characters.
 * NULL: nothing. "resource" may come again (RFC 8707).
 *
 * Source   RFC 6749 sections 3.1 and 3.2.
 */
const char *identity_oauth_params_check(const struct identity_oauth_params *params);
/* An empty one is one that is not there (RFC 6749 section 3.1): SLICE_NULL. */
struct slice identity_oauth_param(const struct identity_oauth_params *params, const char *name);

/* -- scopes: names with spaces between them
 * ------------------------------------------------------------ */

/* The next name of a list. False: there is none. */
bool identity_scope_next(struct slice *rest, struct slice *ret_name);
bool identity_scope_is_name(struct slice name);
/* At most IDENTITY_SCOPES_MAX names of the characters that RFC 6749 section 3.3 allows; may be
 * empty. */
bool identity_scope_is_list(struct slice list);
bool identity_scope_has(struct slice list, struct slice name);
/* Is each name of `part` in `list`? */
bool identity_scope_is_within(struct slice part, struct slice list);
/* Append the names of `list`, each once, that are also in `allowed`. */
void identity_scope_put_common(struct buf *out, struct slice list, struct slice allowed);

/* -- redirect URIs
 * ------------------------------------------------------------------------------------- */

/*
 * Why a client cannot be registered with this URI; NULL: it can. https, http of this machine
 * itself, or a private-use scheme with a dot in it; no fragment, no user, no wildcards.
 *
 * Source   RFC 9700 section 4.1.3, RFC 8252 section 7.
 */
const char *identity_redirect_check(struct slice uri);
/* Byte for byte the registered one; of http to a loopback address the port may be another
 * (RFC 8252 section 7.3). */
bool identity_redirect_matches(struct slice registered, struct slice asked);
/* Is it on a list with spaces between them? */
bool identity_redirect_is_listed(struct slice list, struct slice asked);
/* Of a URI that matched: what a page's form-action needs to let the browser go there. */
struct slice identity_redirect_origin(struct slice uri);

/* -- PKCE
 * -----------------------------------------------------------------------------------------------
 */

/* 43 characters of base64url. */
bool identity_challenge_is_good(struct slice challenge);
/* Is the challenge the S256 of this verifier? In constant time of the two. */
bool identity_challenge_is_met(struct slice challenge, struct slice verifier);
