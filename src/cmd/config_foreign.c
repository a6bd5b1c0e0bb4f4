/*
 * The map auth.providers and the list auth.token_issuers of purlin.yaml: read, checked, and
 * described.
 */
#include "cmd/config_foreign.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/rights.h"
#include "base/yaml.h"
#include "cmd/config.h"
#include "identity/providers.h"
#include "identity/token_issuers.h"

static const char providers_key[] = "auth.providers", issuers_key[] = "auth.token_issuers";

bool config_is_foreign_list(struct slice name)
{
    return slice_eq(name, slice_cstr(providers_key)) || slice_eq(name, slice_cstr(issuers_key));
}

static void complain(const struct config_reading *r, const struct yaml_node *at, const char *key,
                     const char *why)
{
    diag_add(r->diag, r->file, at->line, at->column, slice_cstr(key), SLICE_NULL, "%s", why);
}

/* A list of texts without spaces, or one such text. NULL: it was read. */
static const char *read_words(const struct config_reading *r, const struct yaml_node *value,
                              unsigned max, const struct slice **ret, unsigned *ret_len)
{
    struct slice *words = arena_array_of(r->arena, struct slice, max);
    const struct yaml_node *item = value->kind == YAML_LIST ? value->first : value;
    unsigned len = 0;
    if (value->kind == YAML_MAP || !words)
        return "must be a list of texts";
    for (; item; item = value->kind == YAML_LIST ? item->next : NULL) {
        struct slice word = item->kind == YAML_SCALAR ? r->expand(r->arg, item) : SLICE_NULL;
        if (!word.len || slice_find(word, ' ') != SIZE_MAX)
            return "must be a list of texts without spaces";
        if (len == max)
            return "has too many items";
        words[len++] = word;
    }
    *ret = words;
    *ret_len = len;
    return NULL;
}

/* Members that are texts, by name. */
struct text_member {
    const char *name;
    struct slice *value;
};

/* false: there is none of that name. */
static bool take_text(const struct config_reading *r, const struct yaml_node *value,
                      const struct text_member *members, size_t len, const char **ret_wrong)
{
    for (size_t i = 0; i < len; i++) {
        if (!slice_eq(value->key->text, slice_cstr(members[i].name)))
            continue;
        *ret_wrong = value->kind == YAML_SCALAR ? NULL : "must be a text";
        if (!*ret_wrong)
            *members[i].value = r->expand(r->arg, value);
        return true;
    }
    return false;
}

/* A role that the file declares, where it declares any. */
static void check_role(const struct config_reading *r, const struct yaml_node *at, const char *key,
                       const struct rights *rights, struct slice role)
{
    if (rights->roles_len && !rights_has_role(rights, role))
        diag_add(r->diag, r->file, at->line, at->column, slice_cstr(key), SLICE_NULL,
                 "the role %.*s is not declared: say under `roles` what it may", SLICE_ARG(role));
}

/* -- providers
 * ----------------------------------------------------------------------------------------- */

static const char *join(struct arena *arena, const struct slice *words, unsigned len,
                        struct slice *ret)
{
    struct slice all = SLICE_NULL;
    for (unsigned i = 0; i < len; i++) {
        all = arena_printf(arena, "%.*s%s%.*s", SLICE_ARG(all), i ? " " : "", SLICE_ARG(words[i]));
        if (!all.data)
            return "is too long";
    }
    *ret = all;
    return NULL;
}

/* NULL: it was read. */
static const char *read_provider_member(const struct config_reading *r,
                                        const struct yaml_node *value, const struct config *config,
                                        struct identity_provider *p)
{
    const struct text_member members[] = {
        { "label", &p->label },
        { "issuer", &p->issuer },
        { "tenant", &p->tenant },
        { "url", &p->url },
        { "api_url", &p->api_url },
        { "client_id", &p->client_id },
        { "client_secret", &p->client_secret },
        { "team_id", &p->team_id },
        { "key_id", &p->key_id },
        { "private_key", &p->private_key },
    };
    struct slice name = value->key->text;
    const struct slice *words;
    const char *wrong;
    unsigned len;
    bool sign_up;
    if (take_text(r, value, members, ARRAY_LEN(members), &wrong))
        return wrong;
    if (slice_eq(name, SLICE("preset")))
        return value->kind == YAML_SCALAR && identity_preset_find(value->text, &p->preset)
                   ? NULL
                   : "preset is oidc, google, microsoft, apple or github";
    if (slice_eq(name, SLICE("scopes"))) {
        wrong = read_words(r, value, 32, &words, &len);
        return wrong ? wrong : join(r->arena, words, len, &p->scopes);
    }
    if (slice_eq(name, SLICE("roles"))) {
        wrong = read_words(r, value, IDENTITY_PROVIDER_ROLES_MAX, &p->roles, &p->roles_len);
        for (unsigned i = 0; !wrong && i < p->roles_len; i++)
            check_role(r, value, providers_key, &config->rights, p->roles[i]);
        return wrong;
    }
    if (slice_eq(name, SLICE("sign_up"))) {
        if (!yaml_to_bool(value, &sign_up))
            return "sign_up is true or false";
        p->no_sign_up = !sign_up;
        return NULL;
    }
    if (slice_eq(name, SLICE("links_verified_email")))
        return yaml_to_bool(value, &p->links_verified_email)
                   ? NULL
                   : "links_verified_email is true or false";
    return "a provider has preset, label, issuer, tenant, url, api_url, client_id, client_secret, "
           "team_id, key_id, private_key, scopes, roles, sign_up and links_verified_email";
}

static void read_provider(const struct config_reading *r, const struct yaml_node *map,
                          const struct config *config, struct identity_provider *p)
{
    *p = (struct identity_provider){ .name = map->key->text };
    /* "google: { ... }" needs no preset. */
    (void)identity_preset_find(p->name, &p->preset);
    if (map->kind != YAML_MAP) {
        complain(r, map, providers_key, "a provider has client_id, client_secret and more");
        return;
    }
    for (const struct yaml_node *value = map->first; value; value = value->next) {
        const char *wrong = read_provider_member(r, value, config, p);
        if (wrong)
            complain(r, value->key, providers_key, wrong);
    }
    const char *wrong = identity_provider_settle(p, r->arena) == STATUS_OK
                            ? identity_provider_check(p, r->arena)
                            : "is too long";
    if (wrong)
        diag_add(r->diag, r->file, map->key->line, map->key->column, slice_cstr(providers_key),
                 SLICE_NULL, "the provider %.*s %s", SLICE_ARG(p->name), wrong);
}

static void read_providers(const struct config_reading *r, const struct yaml_node *map,
                           struct config *config)
{
    struct identity_provider *list =
        arena_array_of(r->arena, struct identity_provider, IDENTITY_PROVIDERS_MAX);
    if (map->kind != YAML_MAP || !list) {
        complain(r, map, providers_key, "must have names of providers with what they need");
        return;
    }
    config->auth_providers = list;
    for (const struct yaml_node *value = map->first; value; value = value->next) {
        if (config->auth_providers_len == IDENTITY_PROVIDERS_MAX) {
            complain(r, value->key, providers_key, "has more than 16 items");
            return;
        }
        read_provider(r, value, config, &list[config->auth_providers_len++]);
    }
}

/* -- issuers of tokens
 * -------------------------------------------------------------------------------- */

static const char *read_algorithms(const struct config_reading *r, const struct yaml_node *value,
                                   uint32_t *ret)
{
    static const char why[] = "algorithms are ES256, RS256, EdDSA and their kin, or HS256 alone";
    const struct slice *words;
    unsigned len;
    if (read_words(r, value, IDENTITY_TOKEN_ALGS_MAX, &words, &len))
        return why;
    for (unsigned i = 0; i < len; i++) {
        if (!identity_token_alg_add(words[i], ret))
            return why;
    }
    return len ? NULL : why;
}

/* "theirs: ours". */
static const char *read_role_map(const struct config_reading *r, const struct yaml_node *map,
                                 const struct config *config, struct identity_token_issuer *issuer)
{
    struct identity_token_role *roles =
        arena_array_of(r->arena, struct identity_token_role, IDENTITY_TOKEN_ROLES_MAX);
    if (map->kind != YAML_MAP || !roles)
        return "roles has what the claim says, and the role that it gives here";
    for (const struct yaml_node *value = map->first; value; value = value->next) {
        if (value->kind != YAML_SCALAR)
            return "roles has what the claim says, and the role that it gives here";
        if (issuer->roles_len == IDENTITY_TOKEN_ROLES_MAX)
            return "roles has more than 64 items";
        struct slice ours = r->expand(r->arg, value);
        check_role(r, value, issuers_key, &config->rights, ours);
        roles[issuer->roles_len++] =
            (struct identity_token_role){ .theirs = value->key->text, .ours = ours };
    }
    issuer->roles = roles;
    return NULL;
}

static const char *read_issuer_member(const struct config_reading *r, const struct yaml_node *value,
                                      const struct config *config,
                                      struct identity_token_issuer *issuer)
{
    const struct text_member members[] = {
        { "issuer", &issuer->issuer },     { "jwks_url", &issuer->jwks_url },
        { "audience", &issuer->audience }, { "type", &issuer->typ },
        { "secret", &issuer->secret },     { "roles_claim", &issuer->roles_claim },
        { "users_of", &issuer->users_of },
    };
    const char *wrong;
    if (take_text(r, value, members, ARRAY_LEN(members), &wrong))
        return wrong;
    if (slice_eq(value->key->text, SLICE("algorithms")))
        return read_algorithms(r, value, &issuer->algs);
    if (slice_eq(value->key->text, SLICE("roles")))
        return read_role_map(r, value, config, issuer);
    return "an issuer has issuer, jwks_url, audience, type, algorithms, secret, roles_claim, roles "
           "and users_of";
}

static bool has_provider(const struct config *config, struct slice name)
{
    for (unsigned i = 0; i < config->auth_providers_len; i++)
        if (slice_eq(config->auth_providers[i].name, name))
            return true;
    return false;
}

static const char *check_issuer(const struct config_reading *r, const struct config *config,
                                const struct identity_token_issuer *issuer)
{
    for (const struct identity_token_issuer *other = config->auth_token_issuers; other != issuer;
         other++)
        if (slice_eq(other->issuer, issuer->issuer))
            return "has the issuer of another one";
    if (issuer->users_of.len && !has_provider(config, issuer->users_of))
        return "has `users_of` that is none of auth.providers";
    return identity_token_issuer_check(issuer, r->arena);
}

static void read_issuers(const struct config_reading *r, const struct yaml_node *list,
                         struct config *config)
{
    struct identity_token_issuer *issuers =
        arena_array_of(r->arena, struct identity_token_issuer, IDENTITY_TOKEN_ISSUERS_MAX);
    if (list->kind != YAML_LIST || !issuers) {
        complain(r, list, issuers_key, "must be a list of issuers");
        return;
    }
    config->auth_token_issuers = issuers;
    for (const struct yaml_node *item = list->first; item; item = item->next) {
        if (config->auth_token_issuers_len == IDENTITY_TOKEN_ISSUERS_MAX ||
            item->kind != YAML_MAP) {
            complain(r, item, issuers_key,
                     item->kind == YAML_MAP ? "has more than 16 items"
                                            : "an item has issuer, audience and more");
            return;
        }
        struct identity_token_issuer *issuer = &issuers[config->auth_token_issuers_len++];
        for (const struct yaml_node *value = item->first; value; value = value->next) {
            const char *wrong = read_issuer_member(r, value, config, issuer);
            if (wrong)
                complain(r, value->key, issuers_key, wrong);
        }
        const char *wrong = check_issuer(r, config, issuer);
        if (wrong)
            diag_add(r->diag, r->file, item->line, item->column, slice_cstr(issuers_key),
                     SLICE_NULL, "the issuer %s", wrong);
    }
}

void config_read_foreign(const struct config_reading *reading, const struct yaml_node *auth,
                         struct config *config)
{
    if (!auth || auth->kind != YAML_MAP)
        return; /* the table complains */
    const struct yaml_node *providers = yaml_get(auth, SLICE("providers"));
    const struct yaml_node *issuers = yaml_get(auth, SLICE("token_issuers"));
    if (providers)
        read_providers(reading, providers, config);
    if (issuers)
        read_issuers(reading, issuers, config);
}

/* -- the JSON Schema of both
 * ------------------------------------------------------------------------------------ */

void config_foreign_schema(struct json_out *o)
{
    static const char providers[] =
        "{\"description\":\"Where people may sign in besides here: names, which stand in URLs, and "
        "what each provider needs.\",\"type\":\"object\",\"maxProperties\":16,"
        "\"additionalProperties\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":"
        "[\"client_id\"],\"properties\":{\"preset\":{\"enum\":[\"oidc\",\"google\",\"microsoft\","
        "\"apple\",\"github\"]},\"label\":{\"type\":\"string\",\"maxLength\":60},\"issuer\":"
        "{\"type\":\"string\"},\"tenant\":{\"type\":\"string\"},\"url\":{\"type\":\"string\"},"
        "\"api_url\":{\"type\":\"string\"},\"client_id\":{\"type\":\"string\"},\"client_secret\":"
        "{\"type\":\"string\"},\"team_id\":{\"type\":\"string\"},\"key_id\":{\"type\":\"string\"},"
        "\"private_key\":{\"type\":\"string\"},\"scopes\":{\"type\":\"array\",\"maxItems\":32,"
        "\"items\":{\"type\":\"string\"}},\"roles\":{\"type\":\"array\",\"maxItems\":32,\"items\":"
        "{\"type\":\"string\"}},\"sign_up\":{\"type\":\"boolean\"},\"links_verified_email\":"
        "{\"type\":\"boolean\"}}}}";
    static const char issuers[] =
        "{\"description\":\"Issuers whose bearer tokens are taken beside ours.\",\"type\":"
        "\"array\",\"maxItems\":16,\"items\":{\"type\":\"object\",\"additionalProperties\":false,"
        "\"required\":[\"issuer\",\"audience\"],\"properties\":{\"issuer\":{\"type\":\"string\"},"
        "\"jwks_url\":{\"type\":\"string\"},\"audience\":{\"type\":\"string\"},\"type\":{\"type\":"
        "\"string\"},\"algorithms\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
        "\"secret\":{\"type\":\"string\",\"minLength\":32},\"roles_claim\":{\"type\":\"string\","
        "\"maxLength\":128},\"roles\":{\"type\":\"object\",\"maxProperties\":64,"
        "\"additionalProperties\":{\"type\":\"string\"}},\"users_of\":{\"type\":\"string\"}}}}";
    json_out_key(o, SLICE("providers"));
    json_out_raw(o, SLICE(providers));
    json_out_key(o, SLICE("token_issuers"));
    json_out_raw(o, SLICE(issuers));
}
