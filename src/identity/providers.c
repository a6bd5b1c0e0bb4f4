/* identity/providers.c - Presets, and what has to fit together. */
#include "identity/providers.h"

#include "base/arena.h"
#include "base/macros.h"
#include "identity/account.h"
#include "identity/apple.h"
#include "identity/issuer.h"

#define MICROSOFT "https://login.microsoftonline.com/"
#define TENANT_LEN 36u
_Static_assert(IDENTITY_PROVIDER_ROLES_MAX == IDENTITY_ROLES_MAX, "as accounts have them");

static const struct {
    const char *name, *label, *issuer, *scopes;
} presets[IDENTITY_PRESETS] = {
    [IDENTITY_PRESET_OIDC] = { "oidc", NULL, NULL, "openid email profile" },
    [IDENTITY_PRESET_GOOGLE] = { "google", "Google", "https://accounts.google.com",
                                 "openid email profile" },
    [IDENTITY_PRESET_MICROSOFT] = { "microsoft", "Microsoft", NULL, "openid email profile" },
    [IDENTITY_PRESET_APPLE] = { "apple", "Apple", "https://appleid.apple.com", "name email" },
    [IDENTITY_PRESET_GITHUB] = { "github", "GitHub", NULL, "read:user user:email" },
};

bool identity_preset_find(struct slice name, enum identity_preset *ret)
{
    for (unsigned i = 0; i < IDENTITY_PRESETS; i++) {
        if (!slice_eq(name, slice_cstr(presets[i].name)))
            continue;
        *ret = (enum identity_preset)i;
        return true;
    }
    return false;
}

static void fill(struct slice *text, const char *by_default)
{
    if (!text->len && by_default)
        *text = slice_cstr(by_default);
}

static bool is_shared(struct slice tenant)
{
    return slice_eq(tenant, SLICE("common")) || slice_eq(tenant, SLICE("organizations"));
}

/* Consumers are of one directory, whose id Microsoft documents. */
static enum status settle_microsoft(struct identity_provider *p, struct arena *arena)
{
    fill(&p->tenant, "common");
    p->issuer = arena_printf(arena, MICROSOFT "%.*s/v2.0", SLICE_ARG(p->tenant));
    if (is_shared(p->tenant))
        p->expects = SLICE(MICROSOFT "{tenantid}/v2.0");
    else if (slice_eq(p->tenant, SLICE("consumers")))
        p->expects = SLICE(MICROSOFT "9188040d-6c67-4c5b-b112-36a304b66dad/v2.0");
    return p->issuer.data ? STATUS_OK : STATUS_EXHAUSTED;
}

enum status identity_provider_settle(struct identity_provider *p, struct arena *arena)
{
    fill(&p->issuer, presets[p->preset].issuer);
    fill(&p->scopes, presets[p->preset].scopes);
    fill(&p->label, presets[p->preset].label);
    if (!p->label.len)
        p->label = p->name;
    if (p->preset == IDENTITY_PRESET_MICROSOFT)
        return settle_microsoft(p, arena);
    if (p->preset == IDENTITY_PRESET_GITHUB) {
        bool is_theirs = !p->url.len;
        fill(&p->url, "https://github.com");
        if (!p->api_url.len) /* of a server of one's own, it is under its URL */
            p->api_url = is_theirs ? SLICE("https://api.github.com")
                                   : arena_printf(arena, "%.*s/api/v3", SLICE_ARG(p->url));
        return p->api_url.data ? STATUS_OK : STATUS_EXHAUSTED;
    }
    return STATUS_OK;
}

/* -- checking
 * ------------------------------------------------------------------------------------------ */

static bool is_name(struct slice name)
{
    if (!name.len || name.len > IDENTITY_PROVIDER_NAME_MAX || name.data[0] < 'a' ||
        name.data[0] > 'z')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

static bool has_word(struct slice list, struct slice want)
{
    struct slice word;
    while (list.len && slice_split(&list, ' ', &word))
        if (slice_eq(word, want))
            return true;
    return false;
}

static bool is_directory(struct slice tenant)
{
    if (tenant.len != TENANT_LEN)
        return false;
    for (size_t i = 0; i < tenant.len; i++) {
        char c = tenant.data[i];
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (is_dash ? c != '-' : !is_hex)
            return false;
    }
    return true;
}

static const char *check_preset(const struct identity_provider *p, struct arena *arena)
{
    bool is_apple = p->preset == IDENTITY_PRESET_APPLE;
    const char *reason = NULL;
    if (is_apple != (p->team_id.len && p->key_id.len && p->private_key.len))
        return is_apple ? "needs `team_id`, `key_id` and `private_key`: Apple's secret is "
                          "signed with that key"
                        : "has `team_id`, `key_id` or `private_key`, which are of the preset "
                          "apple";
    if (is_apple && p->client_secret.len)
        return "has a `client_secret`: Apple's is made of `private_key`";
    if (is_apple && !identity_apple_key_check(p->private_key, arena, &reason))
        return reason;
    if (p->tenant.len && p->preset != IDENTITY_PRESET_MICROSOFT)
        return "has a `tenant`, which is of the preset microsoft";
    if (p->preset == IDENTITY_PRESET_MICROSOFT && !is_shared(p->tenant) &&
        !slice_eq(p->tenant, SLICE("consumers")) && !is_directory(p->tenant))
        return "has a `tenant` that is neither common, organizations, consumers nor a directory's "
               "id";
    if ((p->url.len || p->api_url.len) && p->preset != IDENTITY_PRESET_GITHUB)
        return "has `url` or `api_url`, which are of the preset github";
    if (!is_apple && p->preset != IDENTITY_PRESET_OIDC && !p->client_secret.len)
        return "needs its `client_secret`";
    return NULL;
}

const char *identity_provider_check(const struct identity_provider *p, struct arena *arena)
{
    bool is_http, is_github = p->preset == IDENTITY_PRESET_GITHUB;
    if (!is_name(p->name))
        return "has a name that is not up to 32 lower-case letters, digits and -";
    if (p->label.len > IDENTITY_PROVIDER_LABEL_MAX)
        return "has a `label` of more than 60 bytes";
    if (!p->client_id.len)
        return "needs its `client_id`";
    const char *wrong = check_preset(p, arena);
    if (wrong)
        return wrong;
    if (is_github && (!identity_issuer_url_is_good(arena, p->url, &is_http) ||
                      !identity_issuer_url_is_good(arena, p->api_url, &is_http)))
        return "has a `url` or `api_url` that is no https URL";
    if (!is_github && !identity_issuer_url_is_good(arena, p->issuer, &is_http))
        return "needs its `issuer`, an https URL";
    if (p->preset != IDENTITY_PRESET_GITHUB && p->preset != IDENTITY_PRESET_APPLE &&
        !has_word(p->scopes, SLICE("openid")))
        return "has `scopes` without openid: there would be no ID token";
    if (p->roles_len > IDENTITY_ROLES_MAX)
        return "has more than 32 `roles`";
    for (unsigned i = 0; i < p->roles_len; i++)
        if (!identity_role_is_name(p->roles[i]))
            return "has a role that is no name of lower-case letters, digits and - _ . :";
    return NULL;
}

bool identity_provider_issued(const struct identity_provider *p, struct slice issuer,
                              struct slice tenant)
{
    struct slice before = SLICE(MICROSOFT), after = SLICE("/v2.0");
    struct slice want = p->expects.len ? p->expects : p->issuer;
    /* Of old, and still allowed by their documentation. */
    if (p->preset == IDENTITY_PRESET_GOOGLE && slice_eq(issuer, SLICE("accounts.google.com")))
        return true;
    if (p->preset != IDENTITY_PRESET_MICROSOFT || !is_shared(p->tenant))
        return slice_eq(issuer, want);
    /* "{tenantid}" stands for the claim, which has to be the id of a directory and no path. */
    return is_directory(tenant) && issuer.len == before.len + TENANT_LEN + after.len &&
           slice_starts(issuer, before) && slice_ends(issuer, after) &&
           slice_eq(slice_head(slice_from(issuer, before.len), TENANT_LEN), tenant);
}
