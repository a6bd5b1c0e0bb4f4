/*
 * The list `auth.certificates` of purlin.yaml: whom a client certificate stands for.
 */
#include "cmd/config.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/yaml.h"
#include "cmd/config_rights.h"
#include "identity/certificates.h"

#define KEY "auth.certificates"
#define VALUE_MAX 2048u
#define ROLES_MAX 64u
#define SCOPES_BYTES_MAX ((size_t)4096)

static const char *const by_names[IDENTITY_CERTIFICATE_BYS] = {
    [IDENTITY_CERTIFICATE_DNS] = "dns",       [IDENTITY_CERTIFICATE_URI] = "uri",
    [IDENTITY_CERTIFICATE_EMAIL] = "email",   [IDENTITY_CERTIFICATE_SUBJECT] = "subject",
    [IDENTITY_CERTIFICATE_SHA256] = "sha256",
};

struct reading {
    const struct config_reading *of;
    struct config *config;
    struct identity_certificate *item;
    struct slice *roles; /* the item's */
    struct buf scopes;
    unsigned names; /* that it is known by */
};

static void complain(const struct reading *r, const struct yaml_node *at, struct slice hint,
                     const char *why)
{
    diag_add(r->of->diag, r->of->file, at->line, at->column, SLICE(KEY), hint, "%s", why);
}

static struct slice text_of(const struct reading *r, const struct yaml_node *value)
{
    return value->kind == YAML_SCALAR ? r->of->expand(r->of->arg, value) : SLICE_NULL;
}

/* "AB:CD:..." as openssl prints it, or the digits alone; in small letters. False: it is neither. */
static bool read_fingerprint(const struct reading *r, struct slice text, struct slice *ret)
{
    struct buf hex;
    buf_init(&hex, r->of->arena, 64, 64);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (c == ':')
            continue;
        if (!is_digit)
            return false;
        buf_putc(&hex, c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c);
    }
    *ret = buf_slice(&hex);
    return buf_status(&hex) == STATUS_OK && hex.len == 64;
}

static const char *read_by(struct reading *r, const struct yaml_node *value,
                           enum identity_certificate_by by)
{
    struct slice text = text_of(r, value);
    r->names++;
    r->item->by = by;
    r->item->value = text;
    if (text.len == 0 || text.len > VALUE_MAX)
        return "is known by a text of at most 2048 bytes";
    if (by == IDENTITY_CERTIFICATE_SHA256 && !read_fingerprint(r, text, &r->item->value))
        return "sha256 is 64 hexadecimal digits, as `openssl x509 -fingerprint -sha256` prints "
               "them";
    if (by == IDENTITY_CERTIFICATE_DNS && slice_find(text, '*') != SIZE_MAX)
        return "names are compared whole: no wildcards";
    return NULL;
}

static void read_role(struct reading *r, const struct yaml_node *value)
{
    struct identity_certificate *item = r->item;
    struct slice role = text_of(r, value);
    const struct rights *rights = &r->config->rights;
    if (role.len == 0 || item->roles_len == ROLES_MAX) {
        complain(r, value, SLICE_NULL, "roles are at most 64 names");
    } else if (rights->roles_len && !rights_has_role(rights, role)) {
        complain(r, value, config_suggest_role(r->of->arena, rights, role),
                 "there is no such role");
    } else {
        r->roles[item->roles_len++] = role;
    }
}

static void read_scope(struct reading *r, const struct yaml_node *value)
{
    struct slice scope = text_of(r, value);
    if (!config_name_permission(r->of, value, scope, SLICE(KEY ".scopes"), r->config))
        return;
    if (r->scopes.len)
        buf_putc(&r->scopes, ' ');
    buf_put_slice(&r->scopes, scope);
}

static const char *read_each(struct reading *r, const struct yaml_node *value,
                             void (*fn)(struct reading *, const struct yaml_node *))
{
    if (value->kind == YAML_SCALAR)
        fn(r, value);
    for (const struct yaml_node *one = value->first; value->kind == YAML_LIST && one;
         one = one->next)
        fn(r, one);
    return value->kind == YAML_MAP ? "roles and scopes are lists of names" : NULL;
}

/* NULL: it was read, or complained of. */
static const char *read_member(struct reading *r, const struct yaml_node *value)
{
    struct slice name = value->key->text;
    struct identity_certificate *item = r->item;
    for (unsigned i = 0; i < IDENTITY_CERTIFICATE_BYS; i++)
        if (slice_eq(name, slice_cstr(by_names[i])))
            return read_by(r, value, (enum identity_certificate_by)i);
    if (slice_eq(name, SLICE("name"))) {
        item->name = text_of(r, value);
        return item->name.len && item->name.len <= IDENTITY_CERTIFICATE_NAME_MAX
                   ? NULL
                   : "name is a text of at most 64 bytes";
    }
    if (slice_eq(name, SLICE("user"))) {
        item->has_user = uuid_parse(text_of(r, value), &item->user);
        return item->has_user ? NULL : "user is the id of a person";
    }
    if (slice_eq(name, SLICE("roles")))
        return read_each(r, value, read_role);
    if (slice_eq(name, SLICE("scopes")))
        return read_each(r, value, read_scope);
    return "an item has name, one of dns, uri, email, subject and sha256, user or roles, and "
           "scopes";
}

static const char *wrong_whole(const struct reading *r)
{
    const struct identity_certificate *item = r->item;
    if (!item->name.len)
        return "an item has a name, for the logs";
    if (r->names != 1)
        return "a certificate is known by one of dns, uri, email, subject and sha256";
    if (item->has_user == (item->roles_len > 0))
        return "a certificate stands for a user, who has roles, or for a service with roles";
    for (unsigned i = 0; i < r->config->certificates_len; i++) {
        const struct identity_certificate *other = &r->config->certificates[i];
        if (slice_eq(other->name, item->name))
            return "has the name of another one";
        if (other->by == item->by && slice_eq(other->value, item->value))
            return "is known by what another one is known by";
    }
    return NULL;
}

static void read_item(struct reading *r, const struct yaml_node *node)
{
    unsigned before = r->of->diag->len;
    r->roles = arena_array_of(r->of->arena, struct slice, ROLES_MAX);
    buf_init(&r->scopes, r->of->arena, 128, SCOPES_BYTES_MAX);
    r->item->roles = r->roles;
    r->names = 0;
    if (node->kind != YAML_MAP || !r->roles) {
        complain(r, node, SLICE_NULL, "an item has name, uri, roles and more");
        return;
    }
    for (const struct yaml_node *value = node->first; value; value = value->next) {
        const char *wrong = read_member(r, value);
        if (wrong)
            complain(r, value->key, SLICE_NULL, wrong);
    }
    r->item->scopes = buf_slice(&r->scopes);
    const char *wrong = buf_status(&r->scopes) != STATUS_OK ? "has more than 4096 bytes of scopes"
                        : r->of->diag->len == before        ? wrong_whole(r)
                                                            : NULL;
    if (wrong)
        complain(r, node, SLICE_NULL, wrong);
}

void config_read_certificates(const struct config_reading *reading, const struct yaml_node *auth,
                              struct config *config)
{
    const struct yaml_node *list =
        auth && auth->kind == YAML_MAP ? yaml_get(auth, SLICE("certificates")) : NULL;
    struct reading r = { .of = reading, .config = config };
    if (!list)
        return;
    struct identity_certificate *items =
        arena_array_of(reading->arena, struct identity_certificate, IDENTITY_CERTIFICATES_MAX);
    if (list->kind != YAML_LIST || !items) {
        complain(&r, list, SLICE_NULL, "must be a list of certificates");
        return;
    }
    config->certificates = items;
    for (const struct yaml_node *node = list->first; node; node = node->next) {
        if (config->certificates_len == IDENTITY_CERTIFICATES_MAX) {
            complain(&r, node, SLICE_NULL, "has more than 256 items");
            return;
        }
        r.item = &items[config->certificates_len];
        *r.item = (struct identity_certificate){ 0 };
        read_item(&r, node);
        config->certificates_len++;
    }
}

bool config_certificates_differ(const struct config *a, const struct config *b)
{
    if (a->certificates_len != b->certificates_len)
        return true;
    for (unsigned i = 0; i < a->certificates_len; i++) {
        const struct identity_certificate *x = &a->certificates[i], *y = &b->certificates[i];
        if (x->by != y->by || !slice_eq(x->value, y->value) || !slice_eq(x->name, y->name) ||
            x->has_user != y->has_user || memcmp(&x->user, &y->user, sizeof(x->user)) != 0 ||
            !slice_eq(x->scopes, y->scopes) || x->roles_len != y->roles_len)
            return true;
        for (unsigned k = 0; k < x->roles_len; k++)
            if (!slice_eq(x->roles[k], y->roles[k]))
                return true;
    }
    return false;
}

void config_certificates_schema(struct json_out *o)
{
    static const char text[] =
        "{\"description\":\"Whom client certificates stand for: docs/mutual-tls.md.\",\"type\":"
        "\"array\",\"maxItems\":256,\"items\":{\"type\":\"object\",\"additionalProperties\":false,"
        "\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":64},"
        "\"dns\":{\"type\":\"string\"},\"uri\":{\"type\":\"string\"},\"email\":{\"type\":"
        "\"string\"},\"subject\":{\"type\":\"string\"},\"sha256\":{\"type\":\"string\"},\"user\":{"
        "\"type\":\"string\",\"format\":\"uuid\"},\"roles\":{\"type\":\"array\",\"items\":{"
        "\"type\":\"string\"}},\"scopes\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}}";
    json_out_key(o, SLICE("certificates"));
    json_out_raw(o, SLICE(text));
}
