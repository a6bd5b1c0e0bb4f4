/*
 * Names of permissions stand in purlin.yaml, in contracts and in what commands are given; which
 * there are is known when both files are read. One that is none would be a right that nobody has,
 * or a restriction that nothing passes: it is refused where it is written.
 */
#include "cmd/rights.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/problem.h"
#include "cmd/app.h"
#include "cmd/config_rights.h"
#include "contract/contract.h"
#include "contract/permission.h"
#include "fiber/task.h"
#include "identity/clients.h"

#define SCOPES_BYTES_MAX ((size_t)16 * 1024)

static void check_named(struct app *app, const struct config_named *named)
{
    const struct rights *rights = &app->config.rights;
    if (contract_permission_exists(app->set, rights, named->pattern))
        return;
    diag_add(&app->diag, named->file, named->line, named->column, named->key,
             contract_permission_suggest(app->set, rights, named->pattern, app->arena),
             "there is no permission `%.*s`", SLICE_ARG(named->pattern));
}

/* A scope that is called as a permission is that permission: it may not say that it is others. */
static void check_scope(struct app *app, const struct identity_scope *scope)
{
    if (!contract_permission_exists(app->set, &app->config.rights, scope->name) ||
        slice_eq(scope->permissions, scope->name))
        return;
    diag_add(&app->diag, SLICE("configuration"), 0, 0, SLICE("oauth.scopes"), SLICE_NULL,
             "`%.*s` is a permission and stands for itself; call what names others otherwise",
             SLICE_ARG(scope->name));
}

/* Of a client: what is neither OpenID's nor declared has to be a permission. */
static void check_client(struct app *app, const struct identity_client *client)
{
    struct slice rest = client->scopes, name;
    while (rest.len && slice_split(&rest, ' ', &name)) {
        bool is_declared = !rights_is_pattern(name);
        for (unsigned i = 0; i < app->config.oauth_scopes_len; i++)
            is_declared |= slice_eq(app->config.oauth_scopes[i].name, name);
        if (is_declared || contract_permission_exists(app->set, &app->config.rights, name))
            continue;
        diag_add(&app->diag, SLICE("configuration"), 0, 0, SLICE("oauth.clients"),
                 contract_permission_suggest(app->set, &app->config.rights, name, app->arena),
                 "the client %.*s has a scope `%.*s`, which is neither declared nor a permission",
                 SLICE_ARG(client->id), SLICE_ARG(name));
    }
}

void rights_check(struct app *app)
{
    const struct config *c = &app->config;
    struct buf scopes;
    buf_init(&scopes, app->arena, 256, SCOPES_BYTES_MAX);
    for (unsigned i = 0; i < c->named_len; i++)
        check_named(app, &c->named[i]);
    for (unsigned i = 0; i < c->oauth_scopes_len; i++) {
        check_scope(app, &c->oauth_scopes[i]);
        buf_printf(&scopes, "%s%.*s", i ? " " : "", SLICE_ARG(c->oauth_scopes[i].name));
    }
    for (unsigned i = 0; i < c->oauth_clients_len; i++)
        check_client(app, &c->oauth_clients[i]);
    contract_permissions_check(app->set, &c->rights, buf_slice(&scopes), &app->diag);
}

static bool role_differs(const struct rights_role *a, const struct rights_role *b)
{
    if (!slice_eq(a->name, b->name) || a->patterns_len != b->patterns_len)
        return true;
    for (unsigned i = 0; i < a->patterns_len; i++)
        if (!slice_eq(a->patterns[i], b->patterns[i]))
            return true;
    return false;
}

bool rights_differ(const struct rights *a, const struct rights *b)
{
    if (a->roles_len != b->roles_len)
        return true;
    for (unsigned i = 0; i < a->roles_len; i++)
        if (role_differs(&a->roles[i], &b->roles[i]))
            return true;
    return false;
}

/* -- of commands
 * --------------------------------------------------------------------------------------- */

enum status rights_check_scopes(struct task *task, const struct app *app,
                                const struct slice *scopes, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        if (contract_permission_exists(app->set, &app->config.rights, scopes[i]))
            continue;
        struct slice hint =
            contract_permission_suggest(app->set, &app->config.rights, scopes[i], task_arena(task));
        return problem_set(task, STATUS_INVALID, "cmd/rights", "There is no permission %.*s. %.*s",
                           SLICE_ARG(scopes[i]), SLICE_ARG(hint));
    }
    return STATUS_OK;
}

enum status rights_check_roles(struct task *task, const struct app *app, const struct slice *roles,
                               unsigned len)
{
    const struct rights *rights = &app->config.rights;
    for (unsigned i = 0; rights->roles_len && i < len; i++) {
        if (rights_has_role(rights, roles[i]))
            continue;
        struct slice hint = config_suggest_role(task_arena(task), rights, roles[i]);
        return problem_set(task, STATUS_INVALID, "cmd/rights",
                           "purlin.yaml declares no role %.*s. %.*s", SLICE_ARG(roles[i]),
                           SLICE_ARG(hint));
    }
    return STATUS_OK;
}
