/*
 * The lists oauth.clients and oauth.scopes of purlin.yaml: read, checked, and described.
 */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/yaml.h"
#include "cmd/config.h"
#include "cmd/config_rights.h"
#include "identity/clients.h"

#define SCOPES_MAX 64u
#define TEXT_MAX 200u
#define LIST_BYTES_MAX ((size_t)16 * 1024)
#define SCOPE_LIST_MAX ((size_t)2048) /* of one scope's permissions */

static bool clients_differ(const struct config *a, const struct config *b)
{
    if (a->oauth_clients_len != b->oauth_clients_len)
        return true;
    for (unsigned i = 0; i < a->oauth_clients_len; i++) {
        const struct identity_client *x = &a->oauth_clients[i], *y = &b->oauth_clients[i];
        if (!slice_eq(x->id, y->id) || !slice_eq(x->name, y->name) ||
            !slice_eq(x->redirects, y->redirects) || !slice_eq(x->scopes, y->scopes) ||
            x->grants != y->grants || x->is_trusted != y->is_trusted ||
            x->is_confidential != y->is_confidential || !identity_digest_eq(&x->secret, &y->secret))
            return true;
    }
    return false;
}

static bool scopes_differ(const struct config *a, const struct config *b)
{
    if (a->oauth_scopes_len != b->oauth_scopes_len)
        return true;
    for (unsigned i = 0; i < a->oauth_scopes_len; i++) {
        const struct identity_scope *x = &a->oauth_scopes[i], *y = &b->oauth_scopes[i];
        if (!slice_eq(x->name, y->name) || !slice_eq(x->text, y->text) ||
            !slice_eq(x->permissions, y->permissions) || !slice_eq(x->roles, y->roles))
            return true;
    }
    return false;
}

void config_oauth_needs_restart(const struct config *in_force, const struct config *next,
                                void (*fn)(void *arg, const struct config_key *key), void *arg)
{
    if (clients_differ(in_force, next))
        fn(arg, &(struct config_key){ .name = "oauth.clients" });
    if (scopes_differ(in_force, next))
        fn(arg, &(struct config_key){ .name = "oauth.scopes" });
}

bool config_is_oauth_list(struct slice name)
{
    return slice_eq(name, SLICE("oauth.clients")) || slice_eq(name, SLICE("oauth.scopes"));
}

static void complain(const struct config_reading *r, const struct yaml_node *at, const char *key,
                     const char *why)
{
    diag_add(r->diag, r->file, at->line, at->column, slice_cstr(key), SLICE_NULL, "%s", why);
}

/* A list, or one text, as texts with spaces between them. */
static bool read_list(const struct config_reading *r, const struct yaml_node *value,
                      struct slice *ret)
{
    struct buf out;
    buf_init(&out, r->arena, 128, LIST_BYTES_MAX);
    if (value->kind == YAML_MAP)
        return false;
    if (value->kind == YAML_SCALAR) {
        *ret = r->expand(r->arg, value);
        return true;
    }
    for (const struct yaml_node *item = value->first; item; item = item->next) {
        struct slice text = item->kind == YAML_SCALAR ? r->expand(r->arg, item) : SLICE_NULL;
        if (!text.len || slice_find(text, ' ') != SIZE_MAX)
            return false;
        if (out.len)
            buf_putc(&out, ' ');
        buf_put_slice(&out, text);
    }
    *ret = buf_slice(&out);
    return buf_status(&out) == STATUS_OK;
}

/* -- scopes
 * -------------------------------------------------------------------------------------------- */

static bool is_scope_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr("-_.:/", c)))
            return false;
    }
    return name.len > 0 && name.len <= 64;
}

static bool has_word(struct slice list, struct slice word)
{
    struct slice one;
    while (list.len && slice_split(&list, ' ', &one))
        if (slice_eq(one, word))
            return true;
    return false;
}

/* Add to the end of a list with spaces, once. False: it grew too long. */
static bool put_word(struct buf *list, struct slice word)
{
    if (has_word(buf_slice(list), word))
        return true;
    if (list->len)
        buf_putc(list, ' ');
    buf_put_slice(list, word);
    return buf_status(list) == STATUS_OK;
}

struct scope_reading {
    const struct config_reading *of;
    struct config *config;
    struct buf roles, permissions;
};

static void read_scope_permission(struct scope_reading *s, const struct yaml_node *item)
{
    static const struct slice key = SLICE_INIT("oauth.scopes");
    if (config_name_permission(s->of, item, item->text, key, s->config) &&
        !put_word(&s->permissions, item->text))
        complain(s->of, item, "oauth.scopes", "are more permissions than a token can carry");
}

/* What the role may is what the scope lets through, so the role has to say it. */
static void read_scope_role(struct scope_reading *s, const struct yaml_node *item)
{
    const struct rights *rights = &s->config->rights;
    struct slice role = item->kind == YAML_SCALAR ? item->text : SLICE_NULL;
    unsigned len;
    const struct slice *patterns = rights_patterns_of(rights, role, &len);
    if (!rights_has_role(rights, role)) {
        diag_add(s->of->diag, s->of->file, item->line, item->column, SLICE("oauth.scopes"),
                 config_suggest_role(s->of->arena, rights, role),
                 "the role %.*s is not declared: say under `roles` what it may",
                 SLICE_ARG(slice_head(role, 80)));
        return;
    }
    bool fits = put_word(&s->roles, role);
    for (unsigned i = 0; i < len; i++)
        fits &= put_word(&s->permissions, patterns[i]);
    if (!fits)
        complain(s->of, item, "oauth.scopes", "has more permissions than a token can carry");
}

static bool read_each(struct scope_reading *s, const struct yaml_node *value,
                      void (*fn)(struct scope_reading *s, const struct yaml_node *item))
{
    if (value->kind == YAML_MAP)
        return false;
    if (value->kind == YAML_SCALAR)
        fn(s, value);
    else
        for (const struct yaml_node *item = value->first; item; item = item->next)
            fn(s, item);
    return true;
}

static bool read_scope_member(struct scope_reading *s, const struct yaml_node *one,
                              struct identity_scope *ret)
{
    struct slice name = one->key->text;
    if (slice_eq(name, SLICE("description")) && one->kind == YAML_SCALAR) {
        ret->text = s->of->expand(s->of->arg, one);
        return true;
    }
    if (slice_eq(name, SLICE("roles")))
        return read_each(s, one, read_scope_role);
    return slice_eq(name, SLICE("permissions")) && read_each(s, one, read_scope_permission);
}

/* A scope that is the name of a permission stands for it. */
static void settle_scope(struct scope_reading *s, const struct yaml_node *value,
                         struct identity_scope *ret)
{
    unsigned before = s->of->diag->len;
    if (!s->permissions.len && !s->roles.len && rights_is_pattern(ret->name))
        read_scope_permission(s, value->key);
    ret->roles = buf_slice(&s->roles);
    ret->permissions = buf_slice(&s->permissions);
    if (!ret->permissions.len && s->of->diag->len == before)
        diag_add(s->of->diag, s->of->file, value->key->line, value->key->column,
                 SLICE("oauth.scopes"), SLICE_NULL,
                 "names no permissions, so nothing could be done with it: say `permissions: "
                 "[posts:read]`, or [\"*\"] for all that the person may");
}

static void read_scope(const struct config_reading *r, const struct yaml_node *value,
                       struct config *config, struct identity_scope *ret)
{
    static const char key[] = "oauth.scopes";
    static const char shape[] =
        "an item is a description, or has `description` and lists `permissions` and `roles`";
    struct scope_reading s = { .of = r, .config = config };
    unsigned before = r->diag->len;
    buf_init(&s.roles, r->arena, 64, SCOPE_LIST_MAX);
    buf_init(&s.permissions, r->arena, 128, SCOPE_LIST_MAX);
    ret->name = value->key->text;
    if (!is_scope_name(ret->name))
        complain(r, value->key, key, "a name has at most 64 letters, digits and - _ . : /");
    if (value->kind == YAML_SCALAR)
        ret->text = r->expand(r->arg, value);
    else if (value->kind != YAML_MAP)
        complain(r, value, key, shape);
    for (const struct yaml_node *one = value->first; value->kind == YAML_MAP && one;
         one = one->next)
        if (!read_scope_member(&s, one, ret))
            complain(r, one->key, key, shape);
    if (ret->text.len > TEXT_MAX || !utf8_is_valid(ret->text))
        complain(r, value, key, "the description is longer than 200 bytes");
    if (r->diag->len == before)
        settle_scope(&s, value, ret);
}

static void read_scopes(const struct config_reading *r, const struct yaml_node *map,
                        struct config *config)
{
    static const char key[] = "oauth.scopes";
    struct identity_scope *scopes = arena_array_of(r->arena, struct identity_scope, SCOPES_MAX);
    if (map->kind != YAML_MAP || !scopes) {
        complain(r, map, key, "must have names of scopes with what they let do");
        return;
    }
    for (const struct yaml_node *value = map->first; value; value = value->next) {
        if (config->oauth_scopes_len == SCOPES_MAX) {
            complain(r, value, key, "has more than 64 items");
            return;
        }
        read_scope(r, value, config, &scopes[config->oauth_scopes_len++]);
    }
    config->oauth_scopes = scopes;
}

/* -- clients
 * ------------------------------------------------------------------------------------------- */

static bool read_grants(struct slice list, uint32_t *ret)
{
    struct slice name;
    *ret = 0;
    while (list.len && slice_split(&list, ' ', &name)) {
        uint32_t grant = identity_grant_of(name);
        if (!grant)
            return false;
        *ret |= grant;
    }
    return true;
}

static bool read_secret(const struct config_reading *r, const struct yaml_node *value,
                        struct identity_client *client)
{
    struct slice secret = value->kind == YAML_SCALAR ? r->expand(r->arg, value) : SLICE_NULL;
    if (secret.len < IDENTITY_CLIENT_SECRET_MIN || secret.len > IDENTITY_CLIENT_SECRET_MAX)
        return false;
    client->is_confidential = true;
    client->secret = identity_secret_digest(secret);
    return true;
}

/* NULL: it was read. */
static const char *read_member(const struct config_reading *r, const struct yaml_node *value,
                               struct identity_client *client)
{
    struct slice name = value->key->text, list;
    if (slice_eq(name, SLICE("id")) || slice_eq(name, SLICE("name"))) {
        if (value->kind != YAML_SCALAR)
            return "must be a text";
        *(name.len == 2 ? &client->id : &client->name) = r->expand(r->arg, value);
        return NULL;
    }
    if (slice_eq(name, SLICE("secret")))
        return read_secret(r, value, client) ? NULL : "a secret has 16 to 256 bytes";
    if (slice_eq(name, SLICE("redirect_uris")))
        return read_list(r, value, &client->redirects) ? NULL : "redirect_uris is a list of URIs";
    if (slice_eq(name, SLICE("scopes")))
        return read_list(r, value, &client->scopes) ? NULL : "scopes is a list of names";
    if (slice_eq(name, SLICE("grants")))
        return read_list(r, value, &list) && read_grants(list, &client->grants)
                   ? NULL
                   : "grants are authorization_code, refresh_token and client_credentials";
    if (slice_eq(name, SLICE("trusted")))
        return yaml_to_bool(value, &client->is_trusted) ? NULL : "trusted is true or false";
    return "a client has id, name, secret, redirect_uris, grants, scopes and trusted";
}

static void read_client(const struct config_reading *r, const struct yaml_node *item,
                        struct config *config, struct identity_client *client)
{
    static const char key[] = "oauth.clients";
    if (item->kind != YAML_MAP) {
        complain(r, item, key, "an item has id, name and more");
        return;
    }
    client->grants = IDENTITY_GRANT_CODE | IDENTITY_GRANT_REFRESH;
    for (const struct yaml_node *value = item->first; value; value = value->next) {
        const char *wrong = read_member(r, value, client);
        if (wrong)
            complain(r, value->key, key, wrong);
    }
    if (!client->name.len)
        client->name = client->id;
    const char *wrong =
        identity_client_check(client, config->oauth_scopes, config->oauth_scopes_len);
    for (unsigned i = 0; i < config->oauth_clients_len; i++)
        if (slice_eq(config->oauth_clients[i].id, client->id))
            wrong = "has the id of another one";
    if (wrong)
        diag_add(r->diag, r->file, item->line, item->column, slice_cstr(key), SLICE_NULL,
                 "the client %s", wrong);
}

static void read_clients(const struct config_reading *r, const struct yaml_node *list,
                         struct config *config)
{
    static const char key[] = "oauth.clients";
    struct identity_client *clients =
        arena_array_of(r->arena, struct identity_client, IDENTITY_CLIENTS_MAX);
    if (list->kind != YAML_LIST || !clients) {
        complain(r, list, key, "must be a list of clients");
        return;
    }
    config->oauth_clients = clients;
    for (const struct yaml_node *item = list->first; item; item = item->next) {
        if (config->oauth_clients_len == IDENTITY_CLIENTS_MAX) {
            complain(r, item, key, "has more than 256 items");
            return;
        }
        read_client(r, item, config, &clients[config->oauth_clients_len]);
        config->oauth_clients_len++;
    }
}

void config_read_oauth(const struct config_reading *reading, const struct yaml_node *oauth,
                       struct config *config)
{
    if (!oauth || oauth->kind != YAML_MAP)
        return; /* the table complains */
    const struct yaml_node *scopes = yaml_get(oauth, SLICE("scopes"));
    const struct yaml_node *clients = yaml_get(oauth, SLICE("clients"));
    if (scopes)
        read_scopes(reading, scopes, config);
    if (clients)
        read_clients(reading, clients, config);
}

/* -- the JSON Schema of both
 * ------------------------------------------------------------------------------------ */

void config_oauth_schema(struct json_out *o)
{
    static const char scopes[] =
        "{\"description\":\"What clients may ask for: names, and what each lets do.\","
        "\"type\":\"object\",\"maxProperties\":64,\"additionalProperties\":{\"anyOf\":["
        "{\"type\":\"string\"},{\"type\":\"object\",\"additionalProperties\":false,\"properties\":"
        "{\"description\":{\"type\":\"string\",\"maxLength\":200},\"permissions\":{\"type\":"
        "\"array\","
        "\"items\":{\"type\":\"string\"}},\"roles\":{\"type\":\"array\",\"items\":{\"type\":"
        "\"string\"}}}}]}}";
    static const char clients[] =
        "{\"description\":\"Programs that act for people, or by themselves.\",\"type\":\"array\","
        "\"maxItems\":256,\"items\":{\"type\":\"object\",\"additionalProperties\":false,"
        "\"required\":[\"id\"],\"properties\":{\"id\":{\"type\":\"string\",\"maxLength\":64},"
        "\"name\":{\"type\":\"string\",\"maxLength\":100},\"secret\":{\"type\":\"string\","
        "\"minLength\":16},\"redirect_uris\":{\"type\":\"array\",\"maxItems\":16,\"items\":"
        "{\"type\":\"string\"}},\"grants\":{\"type\":\"array\",\"items\":{\"enum\":["
        "\"authorization_code\",\"refresh_token\",\"client_credentials\"]}},\"scopes\":{\"type\":"
        "\"array\",\"maxItems\":32,\"items\":{\"type\":\"string\"}},\"trusted\":{\"type\":"
        "\"boolean\"}}}}";
    json_out_key(o, SLICE("scopes"));
    json_out_raw(o, SLICE(scopes));
    json_out_key(o, SLICE("clients"));
    json_out_raw(o, SLICE(clients));
}
