/*
 * fuzz/fuzz_provider.c - What providers to sign in with say of a person: claims of ID tokens and
 * userinfo, GitHub's user and addresses; and what a browser says of where to return.
 *
 * An address is verified only when there is one, and its owner's only when it is verified; texts
 * are bounded and have no control characters; a place to return to is a path or a listed origin.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "identity/account.h"
#include "identity/foreign.h"
#include "identity/foreign_profile.h"
#include "identity/room.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_text(struct slice text, size_t max)
{
    require(text.len <= max);
    for (size_t i = 0; i < text.len; i++)
        require((unsigned char)text.data[i] >= ' ' && text.data[i] != 0x7f);
}

static void check_person(struct arena *arena, const struct identity_foreign_person *p)
{
    check_text(p->email, IDENTITY_EMAIL_MAX);
    check_text(p->name, IDENTITY_FOREIGN_NAME_MAX);
    require(!p->is_verified || p->email.len > 0);
    require(!p->is_owner || p->is_verified);
    struct slice handle = identity_foreign_handle(arena, p, 7);
    require(handle.len >= 5 && handle.len <= 24 && handle.data[0] >= 'a' && handle.data[0] <= 'z');
}

static void check_claims(struct arena *arena, struct slice text)
{
    json_t *claims;
    if (json_read(arena, text, JSON_LIMITS_DEFAULT, &claims, NULL) != STATUS_OK)
        return;
    for (unsigned preset = 0; preset < IDENTITY_PRESETS; preset++) {
        const struct identity_provider provider = { .preset = (enum identity_preset)preset };
        struct identity_foreign_person person = { .subject = SLICE("s") };
        identity_oidc_claims_read(&provider, claims, &person);
        check_person(arena, &person);
    }
}

static void check_return(struct slice text)
{
    const struct identity identity = {
        .issuer = SLICE("https://api.example.org"),
        .options = { .return_origins = SLICE("https://app.example.org") },
    };
    if (!identity_return_is_good(&identity, text))
        return;
    require(text.len > 0 && text.len <= IDENTITY_RETURN_MAX);
    if (text.data[0] == '/') {
        require(text.len == 1 || (text.data[1] != '/' && text.data[1] != '\\'));
        return;
    }
    struct slice api = SLICE("https://api.example.org"), app = SLICE("https://app.example.org");
    struct slice rest = slice_from(text, api.len);
    require((slice_starts(text, api) || slice_starts(text, app)) &&
            (!rest.len || rest.data[0] == '/' || rest.data[0] == '?'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536)
        return 0;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, (size_t)8 << 20);
    struct slice text = slice_of((const char *)data, size);
    struct identity_foreign_person person = { .subject = SLICE_NULL };
    check_claims(arena, text);
    if (identity_github_user_read(arena, text, &person) == STATUS_OK)
        require(person.subject.len > 0 && person.subject.data[0] != '0');
    if (identity_github_emails_read(arena, text, &person) == STATUS_OK)
        check_person(arena, &person);
    check_return(text);
    return 0;
}
