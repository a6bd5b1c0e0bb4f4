/*
 * The maps `roles` and `permissions` of purlin.yaml: read, and each role laid out with all that the
 * roles it includes may. Whether a permission is one of the contracts' is asked when those are read
 * (cmd/rights.c).
 */
#include "cmd/config_rights.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/yaml.h"
#include "cmd/config.h"

#define ROLES_MAX 64u
#define ROLE_NAME_MAX 64u
#define PATTERNS_MAX 256u /* of one role, with those that it includes */
#define PERMISSIONS_MAX 256u
#define INCLUDES_DEPTH_MAX 8u
#define NAMED_MAX 4096u
#define TEXT_MAX 200u

/* One role on its way. */
struct draft {
    const struct yaml_node *node;
    const struct yaml_node *includes; /* a list, or NULL */
    struct slice *patterns;           /* its own, then those of others; each once */
    unsigned patterns_len;
    bool is_open, is_done;
};

struct reading {
    const struct config_reading *of;
    struct config *config;
    struct rights_role *roles;
    struct draft *drafts;
    unsigned len;
};

bool config_is_rights_map(struct slice name)
{
    return slice_eq(name, SLICE("roles")) || slice_eq(name, SLICE("permissions"));
}

static void complain(const struct config_reading *r, const struct yaml_node *at, struct slice key,
                     struct slice hint, const char *why)
{
    diag_add(r->diag, r->file, at->line, at->column, key, hint, "%s", why);
}

static struct slice key_of(const struct reading *r, const struct yaml_node *role, const char *part)
{
    return arena_printf(r->of->arena, "roles.%.*s%s", SLICE_ARG(slice_head(role->key->text, 80)),
                        part);
}

/* Of a list its items, of a single text that text itself. NULL: neither. */
static const struct yaml_node *items_of(const struct yaml_node *value)
{
    return value->kind == YAML_LIST ? value->first : value->kind == YAML_SCALAR ? value : NULL;
}

static const struct yaml_node *item_next(const struct yaml_node *list, const struct yaml_node *item)
{
    return list->kind == YAML_LIST ? item->next : NULL;
}

bool config_name_permission(const struct config_reading *r, const struct yaml_node *at,
                            struct slice pattern, struct slice key, struct config *config)
{
    if (at->kind != YAML_SCALAR || !rights_is_pattern(pattern)) {
        complain(r, at, key, SLICE("Write posts:delete, posts:*, *:read or *."),
                 "is no permission");
        return false;
    }
    if (!config->named)
        config->named = arena_array_of(r->arena, struct config_named, NAMED_MAX);
    if (!config->named || config->named_len == NAMED_MAX) {
        complain(r, at, key, SLICE_NULL, "is one permission too many: at most 4096 in the file");
        return false;
    }
    config->named[config->named_len++] =
        (struct config_named){ pattern, key, r->file, at->line, at->column };
    return true;
}

/* -- permissions of the application's own
 * ----------------------------------------------------------------------- */

static const char *wrong_permission(const struct config *config, unsigned len,
                                    const struct yaml_node *value)
{
    struct slice name = value->key->text, area, verb;
    rights_split(name, &area, &verb);
    if (!rights_is_permission(name))
        return "a name is an area and a verb: reports:publish";
    if (slice_eq(area, SLICE(RIGHTS_AREA)))
        return "names of the area purlin are the program's own";
    if (value->kind != YAML_SCALAR || value->text.len > TEXT_MAX)
        return "is described by a sentence of at most 200 bytes";
    for (unsigned i = 0; i < len; i++)
        if (slice_eq(config->rights.permissions[i].name, name))
            return "is declared twice";
    return NULL;
}

static void read_permissions(const struct config_reading *r, const struct yaml_node *map,
                             struct config *config)
{
    static const struct slice key = SLICE_INIT("permissions");
    struct rights_permission *items =
        arena_array_of(r->arena, struct rights_permission, PERMISSIONS_MAX);
    if (map->kind != YAML_MAP || !items) {
        complain(r, map, key, SLICE_NULL, "must have names with what each lets somebody do");
        return;
    }
    config->rights.permissions = items;
    for (const struct yaml_node *value = map->first; value; value = value->next) {
        unsigned len = config->rights.permissions_len;
        const char *wrong =
            len == PERMISSIONS_MAX ? "are more than 256" : wrong_permission(config, len, value);
        if (wrong) {
            complain(r, value->key, key, SLICE_NULL, wrong);
            if (len == PERMISSIONS_MAX)
                return;
            continue;
        }
        items[len] = (struct rights_permission){ value->key->text, r->expand(r->arg, value) };
        config->rights.permissions_len++;
    }
}

/* -- roles
 * --------------------------------------------------------------------------------------------- */

static bool is_role_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool is_letter = c >= 'a' && c <= 'z';
        if (!is_letter &&
            (i == 0 || !((c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == ':')))
            return false;
    }
    return name.len > 0 && name.len <= ROLE_NAME_MAX;
}

static bool has_pattern(const struct draft *draft, struct slice pattern)
{
    for (unsigned i = 0; i < draft->patterns_len; i++)
        if (slice_eq(draft->patterns[i], pattern))
            return true;
    return false;
}

/* False: too many. */
static bool put_pattern(struct draft *draft, struct slice pattern)
{
    if (has_pattern(draft, pattern))
        return true;
    if (draft->patterns_len == PATTERNS_MAX)
        return false;
    draft->patterns[draft->patterns_len++] = pattern;
    return true;
}

static void read_patterns(struct reading *r, struct draft *draft, const struct yaml_node *list)
{
    struct slice key = key_of(r, draft->node, ".permissions");
    if (list->kind == YAML_MAP)
        complain(r->of, list, key, SLICE_NULL, "must be a list of permissions");
    for (const struct yaml_node *item = items_of(list); item; item = item_next(list, item)) {
        struct slice pattern = item->kind == YAML_SCALAR ? item->text : SLICE_NULL;
        if (!config_name_permission(r->of, item, pattern, key, r->config))
            continue;
        if (!put_pattern(draft, pattern)) {
            complain(r->of, item, key, SLICE_NULL, "are more than 256");
            return;
        }
    }
}

static void read_role(struct reading *r, struct draft *draft, struct rights_role *role)
{
    static const struct slice members[] = { SLICE_INIT("description"), SLICE_INIT("permissions"),
                                            SLICE_INIT("includes") };
    const struct yaml_node *value = draft->node;
    if (value->kind == YAML_SCALAR) {
        role->text = r->of->expand(r->of->arg, value);
    } else if (value->kind != YAML_MAP) {
        complain(r->of, value, key_of(r, value, ""), SLICE_NULL,
                 "a role has `description`, `permissions` and `includes`");
        return;
    }
    for (const struct yaml_node *one = value->first; one; one = one->next) {
        if (slice_eq(one->key->text, members[0]) && one->kind == YAML_SCALAR)
            role->text = r->of->expand(r->of->arg, one);
        else if (slice_eq(one->key->text, members[1]))
            read_patterns(r, draft, one);
        else if (slice_eq(one->key->text, members[2]) && items_of(one))
            draft->includes = one;
        else
            complain(r->of, one->key, key_of(r, value, ""),
                     diag_suggest(r->of->arena, one->key->text, members, ARRAY_LEN(members)),
                     "a role has `description`, `permissions` and `includes`");
    }
    if (role->text.len > TEXT_MAX || !utf8_is_valid(role->text))
        complain(r->of, value, key_of(r, value, ".description"), SLICE_NULL,
                 "is longer than 200 bytes, or no UTF-8");
}

struct slice config_suggest_role(struct arena *arena, const struct rights *rights,
                                 struct slice wrong)
{
    struct slice names[ROLES_MAX + 1] = { SLICE(RIGHTS_ADMIN) };
    for (unsigned i = 0; i < rights->roles_len; i++)
        names[i + 1] = rights->roles[i].name;
    return diag_suggest(arena, wrong, names, rights->roles_len + 1);
}

static unsigned find_role(const struct reading *r, struct slice name)
{
    unsigned i = 0;
    while (i < r->len && !slice_eq(r->roles[i].name, name))
        i++;
    return i;
}

/* Lay out what a role includes, depth first; one that is still open includes itself. */
static void lay_out(struct reading *r, unsigned at, unsigned depth)
{
    struct draft *draft = &r->drafts[at];
    const struct yaml_node *list = draft->includes;
    draft->is_open = true;
    for (const struct yaml_node *item = list ? items_of(list) : NULL; item;
         item = item_next(list, item)) {
        struct slice key = key_of(r, draft->node, ".includes");
        unsigned other = find_role(r, item->kind == YAML_SCALAR ? item->text : SLICE_NULL);
        if (other == r->len) {
            complain(r->of, item, key,
                     config_suggest_role(r->of->arena, &r->config->rights, item->text),
                     "is no role of this file");
            continue;
        }
        if (r->drafts[other].is_open) {
            complain(r->of, item, key, SLICE_NULL, "leads back to the role itself");
            continue;
        }
        if (depth == INCLUDES_DEPTH_MAX) {
            complain(r->of, item, key, SLICE_NULL, "nests more than 8 deep");
            continue;
        }
        if (!r->drafts[other].is_done)
            lay_out(r, other, depth + 1);
        for (unsigned i = 0; i < r->drafts[other].patterns_len; i++)
            if (!put_pattern(draft, r->drafts[other].patterns[i])) {
                complain(r->of, item, key, SLICE_NULL,
                         "brings the permissions of the role to more than 256");
                break;
            }
    }
    draft->is_open = false;
    draft->is_done = true;
}

/* Who administers could give themselves what is missing; so nothing is. */
static void check_admin(struct reading *r, unsigned at)
{
    const struct draft *draft = &r->drafts[at];
    if (!slice_eq(r->roles[at].name, SLICE(RIGHTS_ADMIN)))
        return;
    bool is_all = draft->patterns_len == 0 || has_pattern(draft, SLICE("*"));
    if (!is_all)
        complain(r->of, draft->node->key, SLICE("roles.admin.permissions"), SLICE_NULL,
                 "the role admin has every permission: leave them out, or make another role");
}

static bool begin_role(struct reading *r, const struct yaml_node *value)
{
    static const struct slice key = SLICE_INIT("roles");
    struct slice name = value->key->text;
    if (r->len == ROLES_MAX) {
        complain(r->of, value->key, key, SLICE_NULL, "are more than 64");
        return false;
    }
    if (!is_role_name(name)) {
        complain(r->of, value->key, key, SLICE_NULL,
                 "a name begins with a lower-case letter and has at most 64 lower-case letters, "
                 "digits and - _ . :");
        return true;
    }
    struct draft *draft = &r->drafts[r->len];
    draft->node = value;
    draft->patterns = arena_array_of(r->of->arena, struct slice, PATTERNS_MAX);
    if (!draft->patterns)
        return false;
    r->roles[r->len++].name = name;
    return true;
}

static void read_roles(const struct config_reading *of, const struct yaml_node *map,
                       struct config *config)
{
    struct reading r = { .of = of, .config = config };
    r.roles = arena_array_of(of->arena, struct rights_role, ROLES_MAX);
    r.drafts = arena_array_of(of->arena, struct draft, ROLES_MAX);
    if (map->kind != YAML_MAP || !r.roles || !r.drafts) {
        complain(of, map, SLICE("roles"), SLICE_NULL,
                 "must have names of roles with what they may");
        return;
    }
    for (const struct yaml_node *value = map->first; value; value = value->next)
        if (!begin_role(&r, value))
            break;
    config->rights.roles = r.roles;
    config->rights.roles_len = r.len;
    for (unsigned i = 0; i < r.len; i++)
        read_role(&r, &r.drafts[i], &r.roles[i]);
    for (unsigned i = 0; i < r.len; i++) {
        if (!r.drafts[i].is_done)
            lay_out(&r, i, 1);
        check_admin(&r, i);
        r.roles[i].patterns = r.drafts[i].patterns;
        r.roles[i].patterns_len = r.drafts[i].patterns_len;
    }
}

void config_read_rights(const struct config_reading *reading, const struct yaml_node *root,
                        struct config *config)
{
    const struct yaml_node *permissions = yaml_get(root, SLICE("permissions"));
    const struct yaml_node *roles = yaml_get(root, SLICE("roles"));
    if (permissions)
        read_permissions(reading, permissions, config);
    if (roles)
        read_roles(reading, roles, config);
}

/* -- the JSON Schema of both
 * ------------------------------------------------------------------------------------ */

void config_rights_schema(struct json_out *o)
{
    static const char permissions[] =
        "{\"description\":\"Permissions of the application's own: names, and what each lets "
        "somebody do.\",\"type\":\"object\",\"maxProperties\":256,\"propertyNames\":{\"pattern\":"
        "\"^[a-z0-9._-]+:[a-z0-9._-]+$\"},\"additionalProperties\":{\"type\":\"string\","
        "\"maxLength\":200}}";
    static const char roles[] =
        "{\"description\":\"Roles, and the permissions that each has.\",\"type\":\"object\","
        "\"maxProperties\":64,\"propertyNames\":{\"pattern\":\"^[a-z][a-z0-9._:-]{0,63}$\"},"
        "\"additionalProperties\":{\"anyOf\":[{\"type\":\"string\",\"maxLength\":200},{\"type\":"
        "\"object\",\"additionalProperties\":false,\"properties\":{\"description\":{\"type\":"
        "\"string\",\"maxLength\":200},\"permissions\":{\"type\":\"array\",\"maxItems\":256,"
        "\"items\":{\"type\":\"string\"}},\"includes\":{\"type\":\"array\",\"items\":{\"type\":"
        "\"string\"}}}}]}}";
    json_out_key(o, SLICE("permissions"));
    json_out_raw(o, SLICE(permissions));
    json_out_key(o, SLICE("roles"));
    json_out_raw(o, SLICE(roles));
}
