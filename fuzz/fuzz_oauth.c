/*
 * fuzz/fuzz_oauth.c - What a browser brings to /oauth/authorize: parameters, scopes, redirect URIs.
 * The first line is a URI that is registered, the second one that is asked for, the rest a query.
 *
 * A URI that matches is the registered one but for a port, and what is put into a page's policy of
 * it can end neither the source nor the policy.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "identity/oauth_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_redirects(struct slice registered, struct slice asked)
{
    if (identity_redirect_check(registered) != NULL)
        return;
    require(identity_redirect_matches(registered, registered));
    struct slice origin = identity_redirect_origin(registered);
    require(origin.len > 0 && slice_starts(registered, origin));
    for (size_t i = 0; i < origin.len; i++)
        require((unsigned char)origin.data[i] > ' ' && !strchr(";,'\"*#@", origin.data[i]));
    if (!identity_redirect_matches(registered, asked) || slice_eq(registered, asked))
        return;
    require(slice_starts(asked, SLICE("http://127.0.0.1")) ||
            slice_starts(asked, SLICE("http://[::1]")));
    require(identity_redirect_check(asked) == NULL || asked.len > IDENTITY_REDIRECT_BYTES_MAX);
}

static void check_scopes(struct arena *arena, struct slice list, struct slice allowed)
{
    struct buf b;
    buf_init(&b, arena, 0, 4096);
    if (!identity_scope_is_list(list) || !identity_scope_is_list(allowed))
        return;
    identity_scope_put_common(&b, list, allowed);
    require(buf_status(&b) == STATUS_OK && identity_scope_is_list(buf_slice(&b)));
    require(identity_scope_is_within(buf_slice(&b), list));
    require(identity_scope_is_within(buf_slice(&b), allowed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, (size_t)4 << 20);
    struct slice rest = slice_of((const char *)data, size), registered = SLICE_NULL, asked;
    struct identity_oauth_params params;
    (void)slice_split(&rest, '\n', &registered);
    asked = SLICE_NULL;
    (void)slice_split(&rest, '\n', &asked);
    check_redirects(registered, asked);
    if (http_form_parse(arena, rest, &params.items, &params.len) != STATUS_OK)
        return 0;
    const char *wrong = identity_oauth_params_check(&params);
    struct slice scope = identity_oauth_param(&params, "scope");
    struct slice verifier = identity_oauth_param(&params, "code_verifier");
    struct slice challenge = identity_oauth_param(&params, "code_challenge");
    require(wrong || scope.len <= IDENTITY_OAUTH_VALUE_BYTES_MAX);
    check_scopes(arena, scope, SLICE("openid profile notes.read"));
    if (identity_challenge_is_met(challenge, verifier))
        require(identity_challenge_is_good(challenge) && verifier.len >= 43);
    return 0;
}
