/*
 * fuzz/fuzz_issuer.c - What another issuer says: its discovery document, the claims of its tokens,
 * and the issuer that a token claims before anybody has verified it.
 *
 * Endpoints that are taken are URLs that the client takes too; roles are those of the map, each
 * once.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "identity/account.h"
#include "identity/foreign_claims.h"
#include "identity/issuer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_url(struct arena *arena, struct slice url, bool allow_http)
{
    bool is_http = false;
    require(!url.len ||
            (identity_issuer_url_is_good(arena, url, &is_http) && (allow_http || !is_http)));
}

static void check_doc(struct arena *arena, struct slice text, bool allow_http)
{
    struct identity_issuer_doc doc;
    const char *reason = NULL;
    if (identity_issuer_doc_read(arena, text, allow_http, &doc, &reason) != STATUS_OK) {
        require(reason != NULL);
        return;
    }
    require(doc.issuer.len > 0 && doc.issuer.len <= IDENTITY_ISSUER_URL_MAX && doc.jwks.len > 0);
    check_url(arena, doc.authorization, allow_http);
    check_url(arena, doc.token, allow_http);
    check_url(arena, doc.userinfo, allow_http);
    check_url(arena, doc.jwks, allow_http);
}

static void check_claims(struct arena *arena, struct slice text)
{
    static const struct identity_token_role map[] = {
        { SLICE_INIT("a"), SLICE_INIT("one") },
        { SLICE_INIT("b"), SLICE_INIT("two") },
        { SLICE_INIT("c"), SLICE_INIT("one") },
    };
    const struct identity_token_issuer issuer = { .roles_claim = SLICE("x.y"),
                                                  .roles = map,
                                                  .roles_len = ARRAY_LEN(map) };
    const struct slice *roles;
    unsigned len;
    json_t *claims;
    if (json_read(arena, text, JSON_LIMITS_DEFAULT, &claims, NULL) != STATUS_OK)
        return;
    if (identity_claim_roles(arena, claims, &issuer, &roles, &len) != STATUS_OK)
        return;
    require(len <= 2 && (len < 2 || !slice_eq(roles[0], roles[1])));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > IDENTITY_ISSUER_DOC_BYTES_MAX)
        return 0;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, (size_t)8 << 20);
    struct slice text = slice_of((const char *)data, size);
    check_doc(arena, text, false);
    check_doc(arena, text, true);
    check_claims(arena, text);
    struct slice claimed = identity_claimed_issuer(arena, text);
    require(claimed.len <= size);
    return 0;
}
