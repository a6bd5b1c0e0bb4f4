/*
 * Reading a file of cases. Callers and rows have names; where a field refers to another row its
 * name stands for its id. Whoever a case does not name as allowed is to be denied.
 */
#include "cmd/rules_file.h"

#include "base/arena.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/config_rights.h"
#include "cmd/rules.h"
#include "contract/permission.h"
#include "identity/identity.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

struct reading {
    struct app *app;
    struct rules_file *file;
};

static void complain(const struct reading *r, const struct yaml_node *at, const char *key,
                     struct slice hint, const char *why)
{
    diag_add(&r->app->diag, r->file->path, at->line, at->column, slice_cstr(key), hint, "%s", why);
}

/* -- rows
 * --------------------------------------------------------------------------------------------- */

static const struct rules_row *find_row(const struct rules_file *file,
                                        const struct contract *contract, struct slice name)
{
    for (unsigned i = 0; i < file->rows_len; i++)
        if (file->rows[i].contract == contract && slice_eq(file->rows[i].name, name))
            return &file->rows[i];
    return NULL;
}

static const struct contract *find_contract(const struct reading *r, const struct yaml_node *at,
                                            struct slice name, const char *key)
{
    const struct contract *contract = contract_find(r->app->set, name);
    struct slice names[200];
    unsigned len = 0;
    if (contract)
        return contract;
    for (unsigned i = 0; i < r->app->set->len && len < ARRAY_LEN(names); i++)
        names[len++] = r->app->set->contracts[i]->name;
    complain(r, at, key, diag_suggest(r->app->arena, name, names, len), "is no resource");
    return NULL;
}

static void read_resource_rows(struct reading *r, const struct contract *contract,
                               struct yaml_node *map)
{
    for (struct yaml_node *value = map->first; value; value = value->next) {
        if (value->kind != YAML_MAP) {
            complain(r, value, "rows", SLICE_NULL, "a row has a name, and its fields");
        } else if (r->file->rows_len == RULES_ROWS_MAX) {
            complain(r, value, "rows", SLICE_NULL, "are more than 1000");
            return;
        } else {
            r->file->rows[r->file->rows_len++] =
                (struct rules_row){ contract, value->key->text, uuid_v7(), value };
        }
    }
}

static void read_rows(struct reading *r, struct yaml_node *map)
{
    if (map->kind != YAML_MAP) {
        complain(r, map, "rows", SLICE_NULL, "must have resources with rows by name");
        return;
    }
    for (struct yaml_node *value = map->first; value; value = value->next) {
        const struct contract *contract = find_contract(r, value->key, value->key->text, "rows");
        if (contract && value->kind == YAML_MAP)
            read_resource_rows(r, contract, value);
        else if (contract)
            complain(r, value, "rows", SLICE_NULL, "must have rows by name");
    }
}

/* Put ids where rows are named: in the fields that refer to them. */
static void resolve_names(const struct reading *r, const struct contract *contract,
                          struct yaml_node *fields)
{
    for (struct yaml_node *value = fields->first; value; value = value->next) {
        const struct contract_field *field = contract_field_find(contract, value->key->text);
        if (!field || field->type != CONTRACT_REF || value->kind != YAML_SCALAR ||
            yaml_is_null(value))
            continue;
        const struct rules_row *row = find_row(r->file, field->ref, value->text);
        char *text = arena_alloc(r->app->arena, UUID_TEXT_LEN);
        if (!row || !text) {
            complain(r, value, "rows", SLICE_NULL, "is no row of this file that it could refer to");
            continue;
        }
        uuid_format(&row->id, text);
        value->text = slice_of(text, UUID_TEXT_LEN);
        value->quoted = true;
    }
}

/* -- callers
 * ------------------------------------------------------------------------------------------ */

/* The texts of a list. */
static bool read_list(const struct reading *r, const struct yaml_node *list,
                      const struct slice **ret, unsigned *ret_len)
{
    struct slice *items = arena_array_of(r->app->arena, struct slice, RULES_SCOPES_MAX);
    unsigned len = 0;
    if (list->kind != YAML_LIST || !items)
        return false;
    for (const struct yaml_node *item = list->first; item; item = item->next) {
        if (item->kind != YAML_SCALAR || len == RULES_SCOPES_MAX)
            return false;
        items[len++] = item->text;
    }
    *ret = items;
    *ret_len = len;
    return true;
}

static void check_words(const struct reading *r, const struct yaml_node *list, bool are_roles)
{
    const struct rights *rights = &r->app->config.rights;
    struct arena *arena = r->app->arena;
    for (const struct yaml_node *item = list->first; item; item = item->next) {
        if (are_roles && rights->roles_len && !rights_has_role(rights, item->text))
            complain(r, item, "callers", config_suggest_role(arena, rights, item->text),
                     "is no role");
        if (!are_roles && !contract_permission_exists(r->app->set, rights, item->text))
            complain(r, item, "callers",
                     contract_permission_suggest(r->app->set, rights, item->text, arena),
                     "is no permission");
    }
}

static void read_user(const struct reading *r, const struct yaml_node *value,
                      struct task_caller *ret)
{
    const struct contract *people = contract_find(r->app->set, SLICE(IDENTITY_PEOPLE));
    const struct rules_row *row = people ? find_row(r->file, people, value->text) : NULL;
    if (!row) {
        complain(r, value, "callers", SLICE_NULL, "is no row of users in this file");
        return;
    }
    ret->has_user = true;
    ret->user = row->id;
}

static void read_caller(const struct reading *r, const struct yaml_node *map,
                        struct task_caller *ret)
{
    static const struct slice members[] = { SLICE_INIT("user"), SLICE_INIT("roles"),
                                            SLICE_INIT("scopes") };
    ret->rights = &r->app->config.rights;
    for (const struct yaml_node *value = map->first; value; value = value->next) {
        struct slice key = value->key->text;
        if (slice_eq(key, members[0]) && value->kind == YAML_SCALAR) {
            read_user(r, value, ret);
        } else if (slice_eq(key, members[1]) && read_list(r, value, &ret->roles, &ret->roles_len)) {
            check_words(r, value, true);
        } else if (slice_eq(key, members[2]) &&
                   read_list(r, value, &ret->scopes, &ret->scopes_len)) {
            ret->is_scoped = true;
            check_words(r, value, false);
        } else {
            complain(r, value->key, "callers",
                     diag_suggest(r->app->arena, key, members, ARRAY_LEN(members)),
                     "a caller has `user` and lists `roles` and `scopes`");
        }
    }
}

static void read_callers(struct reading *r, const struct yaml_node *map)
{
    if (map->kind != YAML_MAP) {
        complain(r, map, "callers", SLICE_NULL, "must have callers by name");
        return;
    }
    for (const struct yaml_node *value = map->first; value; value = value->next) {
        if (r->file->callers_len == RULES_CALLERS_MAX) {
            complain(r, value, "callers", SLICE_NULL, "are more than 64");
            return;
        }
        struct rules_caller *caller = &r->file->callers[r->file->callers_len++];
        caller->name = value->key->text;
        if (value->kind == YAML_MAP)
            read_caller(r, value, &caller->caller);
        else
            complain(r, value, "callers", SLICE_NULL,
                     "a caller has `user` and lists `roles` and `scopes`");
    }
}

/* -- cases
 * -------------------------------------------------------------------------------------------- */

static bool put_allowed(const struct reading *r, const struct yaml_node *item, uint64_t *ret)
{
    struct slice names[RULES_CALLERS_MAX];
    for (unsigned i = 0; i < r->file->callers_len; i++) {
        names[i] = r->file->callers[i].name;
        if (item->kind == YAML_SCALAR && slice_eq(names[i], item->text)) {
            *ret |= UINT64_C(1) << i;
            return true;
        }
    }
    complain(r, item, "cases", diag_suggest(r->app->arena, item->text, names, r->file->callers_len),
             "is no caller of this file");
    return false;
}

/* "all", "none", or a list of callers. */
static uint64_t read_allowed(const struct reading *r, const struct yaml_node *value)
{
    uint64_t allowed = 0;
    unsigned n = r->file->callers_len;
    if (value->kind == YAML_SCALAR && slice_eq(value->text, SLICE("none")))
        return 0;
    if (value->kind == YAML_SCALAR && slice_eq(value->text, SLICE("all")))
        return n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
    if (value->kind != YAML_LIST) {
        complain(r, value, "cases", SLICE_NULL, "must be all, none, or a list of callers");
        return 0;
    }
    for (const struct yaml_node *item = value->first; item; item = item->next)
        (void)put_allowed(r, item, &allowed);
    return allowed;
}

static void add_case(struct reading *r, const struct yaml_node *at, struct rules_case one)
{
    if (r->file->cases_len == RULES_CASES_MAX) {
        complain(r, at, "cases", SLICE_NULL, "are more than 2000");
        return;
    }
    one.line = at->line;
    one.column = at->column;
    one.allowed = read_allowed(r, at);
    r->file->cases[r->file->cases_len++] = one;
}

static struct yaml_node *member_of(struct yaml_node *map, const char *name)
{
    for (struct yaml_node *value = map->first; value; value = value->next)
        if (slice_eq(value->key->text, slice_cstr(name)))
            return value;
    return NULL;
}

static bool read_with(const struct reading *r, struct yaml_node *item,
                      const struct contract *contract, struct yaml_node **ret)
{
    *ret = member_of(item, "with");
    if (*ret && (*ret)->kind != YAML_MAP) {
        complain(r, *ret, "cases", SLICE_NULL, "must have fields");
        return false;
    }
    if (*ret)
        resolve_names(r, contract, *ret);
    return true;
}

static void read_create(struct reading *r, struct yaml_node *item, const struct yaml_node *create)
{
    const struct yaml_node *allow = yaml_get(item, SLICE("allow"));
    struct rules_case one = { .action = CONTRACT_CREATE };
    one.contract = find_contract(r, create, create->text, "cases");
    if (!one.contract || !read_with(r, item, one.contract, &one.body))
        return;
    if (!allow || !one.body || item->len != 3) {
        complain(r, item, "cases", SLICE_NULL,
                 "a create has `create` with a resource, `with` its fields, and `allow`");
        return;
    }
    add_case(r, allow, one);
}

static void read_stored(struct reading *r, struct yaml_node *item, const struct yaml_node *row)
{
    size_t slash = slice_find(row->text, '/');
    const struct contract *contract = find_contract(r, row, slice_head(row->text, slash), "cases");
    struct rules_case one = { .contract = contract };
    if (!contract)
        return;
    one.row =
        slash == SIZE_MAX ? NULL : find_row(r->file, contract, slice_from(row->text, slash + 1));
    if (!one.row) {
        complain(r, row, "cases", SLICE_NULL, "is no row of this file: write posts/NAME");
        return;
    }
    struct yaml_node *with;
    if (!read_with(r, item, contract, &with))
        return;
    for (const struct yaml_node *value = item->first; value; value = value->next) {
        if (value == row || value == with)
            continue;
        if (!rules_action(value->key->text, &one.action) || one.action == CONTRACT_CREATE) {
            complain(r, value->key, "cases", SLICE_NULL,
                     "a row is asked about `read`, `update` (`with` changes) and `delete`");
            continue;
        }
        one.body = one.action == CONTRACT_UPDATE ? with : NULL;
        add_case(r, value, one);
    }
}

static void read_cases(struct reading *r, struct yaml_node *list)
{
    if (list->kind != YAML_LIST) {
        complain(r, list, "cases", SLICE_NULL, "must be a list");
        return;
    }
    for (struct yaml_node *item = list->first; item; item = item->next) {
        const struct yaml_node *row = item->kind == YAML_MAP ? yaml_get(item, SLICE("row")) : NULL;
        const struct yaml_node *create =
            item->kind == YAML_MAP ? yaml_get(item, SLICE("create")) : NULL;
        if (row && !create && row->kind == YAML_SCALAR)
            read_stored(r, item, row);
        else if (create && !row && create->kind == YAML_SCALAR)
            read_create(r, item, create);
        else
            complain(r, item, "cases", SLICE_NULL, "a case has `row`, or `create`");
    }
}

/* -- the file
 * ------------------------------------------------------------------------------------------ */

static void read_root(struct reading *r, struct yaml_node *root)
{
    static const struct slice members[] = { SLICE_INIT("rows"), SLICE_INIT("callers"),
                                            SLICE_INIT("cases") };
    struct yaml_node *parts[ARRAY_LEN(members)] = { NULL };
    for (struct yaml_node *value = root->first; value; value = value->next) {
        size_t i = 0;
        while (i < ARRAY_LEN(members) && !slice_eq(value->key->text, members[i]))
            i++;
        if (i < ARRAY_LEN(members))
            parts[i] = value;
        else
            complain(r, value->key, "",
                     diag_suggest(r->app->arena, value->key->text, members, ARRAY_LEN(members)),
                     "the file has `rows`, `callers` and `cases`");
    }
    if (parts[0])
        read_rows(r, parts[0]);
    for (unsigned i = 0; i < r->file->rows_len; i++)
        resolve_names(r, r->file->rows[i].contract, r->file->rows[i].node);
    if (parts[1])
        read_callers(r, parts[1]);
    if (parts[2])
        read_cases(r, parts[2]);
    if (!parts[1] || !parts[2] || !r->file->cases_len)
        complain(r, root, "", SLICE_NULL, "the file asks nothing: it needs `callers` and `cases`");
}

bool rules_file_read(struct app *app, struct slice path, struct rules_file *ret)
{
    struct reading r = { .app = app, .file = ret };
    struct slice text;
    struct yaml_node *root = NULL;
    *ret = (struct rules_file){ .path = path };
    ret->rows = arena_array_of(app->arena, struct rules_row, RULES_ROWS_MAX);
    ret->callers = arena_array_of(app->arena, struct rules_caller, RULES_CALLERS_MAX);
    ret->cases = arena_array_of(app->arena, struct rules_case, RULES_CASES_MAX);
    if (!ret->rows || !ret->callers || !ret->cases)
        return false;
    enum status st = file_read(app->arena, path, FILE_BYTES_MAX, &text);
    if (st != STATUS_OK) {
        diag_add(&app->diag, path, 0, 0, SLICE_NULL, SLICE_NULL, "the file cannot be read: %s",
                 status_name(st));
        return false;
    }
    if (yaml_read(text, path, (struct yaml_limits){ 0 }, app->arena, &app->diag, &root) !=
        STATUS_OK)
        return false;
    if (!root || root->kind != YAML_MAP)
        diag_add(&app->diag, path, 1, 1, SLICE_NULL, SLICE_NULL,
                 "the file has `rows`, `callers` and `cases`");
    else
        read_root(&r, root);
    return app->diag.len == 0;
}
