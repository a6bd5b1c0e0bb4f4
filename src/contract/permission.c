/*
 * The permissions that there are, and what is asked for and is none.
 */
#include "contract/permission.h"

#include "base/arena.h"
#include "base/diag.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "contract/expr.h"

#define SUGGESTED_MAX 1600u /* 200 contracts, and as many names besides */

/* -- which there are
 * ----------------------------------------------------------------------------------- */

static bool is_of_list(const struct rights_permission *items, unsigned len, struct slice pattern)
{
    for (unsigned i = 0; i < len; i++)
        if (rights_matches(pattern, items[i].name))
            return true;
    return false;
}

static bool is_of_contract(const struct contract *contract, struct slice pattern)
{
    for (unsigned a = 0; a < CONTRACT_ACTIONS; a++)
        if (rights_covers(pattern, contract->name, contract_action_name((enum contract_action)a)))
            return true;
    return false;
}

bool contract_permission_exists(const struct contract_set *set, const struct rights *rights,
                                struct slice pattern)
{
    if (!rights_is_pattern(pattern))
        return false;
    for (unsigned i = 0; set && i < set->len; i++)
        if (is_of_contract(set->contracts[i], pattern))
            return true;
    return (rights && is_of_list(rights->permissions, rights->permissions_len, pattern)) ||
           is_of_list(rights_own, rights_own_len, pattern);
}

/* -- what was meant
 * ------------------------------------------------------------------------------------ */

struct names {
    struct slice *items;
    unsigned len;
};

static void put_name(struct names *names, struct slice name)
{
    if (names->len < SUGGESTED_MAX)
        names->items[names->len++] = name;
}

static void put_list(struct names *names, const struct rights_permission *items, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        put_name(names, items[i].name);
}

struct slice contract_permission_suggest(const struct contract_set *set,
                                         const struct rights *rights, struct slice wrong,
                                         struct arena *arena)
{
    struct names names = { .items = arena_array_of(arena, struct slice, SUGGESTED_MAX) };
    if (!names.items)
        return SLICE_NULL;
    for (unsigned i = 0; set && i < set->len; i++)
        for (unsigned a = 0; a < CONTRACT_ACTIONS; a++)
            put_name(&names,
                     arena_printf(arena, "%.*s:%.*s", SLICE_ARG(set->contracts[i]->name),
                                  SLICE_ARG(contract_action_name((enum contract_action)a))));
    if (rights)
        put_list(&names, rights->permissions, rights->permissions_len);
    put_list(&names, rights_own, rights_own_len);
    struct slice nearest = diag_suggest(arena, wrong, names.items, names.len);
    struct slice area, verb;
    rights_split(wrong, &area, &verb);
    bool has_area = set && contract_find(set, area);
    return nearest.len || !has_area
               ? nearest
               : SLICE("A resource has read, create, update and delete; others are declared under "
                       "`permissions`.");
}

/* -- what rules ask for
 * -------------------------------------------------------------------------------- */

struct checking {
    const struct contract_set *set;
    const struct rights *rights;
    struct slice scopes;
    struct diag *diag;
    const struct contract *contract;
    enum contract_action action;
};

static void complain(const struct checking *c, size_t offset, struct slice hint, const char *what,
                     struct slice name)
{
    const struct contract_place *at = &c->contract->rules_at[c->action];
    struct slice before = slice_head(c->contract->rules_text[c->action], offset);
    int column = at->column + (at->is_plain ? (int)utf8_count(before) : 0);
    diag_add(c->diag, c->contract->file, at->line, column,
             arena_printf(c->diag->arena, "rules.%.*s", SLICE_ARG(contract_action_name(c->action))),
             hint, "%s `%.*s`", what, SLICE_ARG(slice_head(name, RIGHTS_NAME_MAX)));
}

static struct slice suggest_role(const struct checking *c, struct slice wrong)
{
    struct slice *names = arena_array_of(c->diag->arena, struct slice, c->rights->roles_len + 1);
    if (!names)
        return SLICE_NULL;
    names[0] = SLICE(RIGHTS_ADMIN);
    for (unsigned i = 0; i < c->rights->roles_len; i++)
        names[i + 1] = c->rights->roles[i].name;
    return diag_suggest(c->diag->arena, wrong, names, c->rights->roles_len + 1);
}

static bool is_scope(const struct checking *c, struct slice name)
{
    static const char *const openid[] = { "openid", "profile", "email", "offline_access" };
    struct slice rest = c->scopes, one;
    for (size_t i = 0; i < ARRAY_LEN(openid); i++)
        if (slice_eq(name, slice_cstr(openid[i])))
            return true;
    while (rest.len && slice_split(&rest, ' ', &one))
        if (slice_eq(name, one))
            return true;
    return contract_permission_exists(c->set, c->rights, name);
}

static void check_name(void *arg, enum expr_name kind, struct slice name, size_t offset)
{
    const struct checking *c = arg;
    if (kind == EXPR_NAME_ROLE) {
        bool declares = c->rights && c->rights->roles_len > 0;
        if (declares && !rights_has_role(c->rights, name))
            complain(c, offset, suggest_role(c, name), "there is no role", name);
        return;
    }
    bool is_known = kind == EXPR_NAME_SCOPE ? is_scope(c, name)
                                            : contract_permission_exists(c->set, c->rights, name);
    if (!is_known)
        complain(c, offset, contract_permission_suggest(c->set, c->rights, name, c->diag->arena),
                 kind == EXPR_NAME_SCOPE ? "there is no scope or permission"
                                         : "there is no permission",
                 name);
}

void contract_permissions_check(const struct contract_set *set, const struct rights *rights,
                                struct slice scopes, struct diag *diag)
{
    for (unsigned i = 0; i < set->len; i++)
        for (unsigned a = 0; a < CONTRACT_ACTIONS; a++) {
            struct checking c = {
                set, rights, scopes, diag, set->contracts[i], (enum contract_action)a
            };
            if (set->contracts[i]->rules[a])
                expr_names(set->contracts[i]->rules[a], check_name, &c);
        }
    if (set->older)
        contract_permissions_check(set->older, rights, scopes, diag);
}
