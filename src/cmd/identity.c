#include "cmd/identity.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/log.h"
#include "cmd/app.h"
#include "cmd/config.h"
#include "cmd/operator.h"
#include "cmd/security.h"
#include "contract/contract.h"
#include "fiber/loop.h"
#include "identity/identity.h"
#include "resource/resource.h"
#include "store/store.h"

#define KIB 1024

/* A tool has contracts of its own and no engine that serves them. */
static struct contract_set *hold(void *arg)
{
    struct app *app = arg;
    return app->engine ? resource_set_hold(app->engine) : app->set;
}

static void release(void *arg, struct contract_set *set)
{
    struct app *app = arg;
    if (app->engine)
        resource_set_release(app->engine, set);
}

/* For good, also where the contract only marks rows: who asks to be erased is. */
static enum status erase(struct store_tx *tx, const struct uuid *id, void *arg)
{
    const struct store_value value =
        store_blob(slice_of((const char *)id->bytes, sizeof(id->bytes)));
    (void)arg;
    return store_tx_exec(tx, SLICE("DELETE FROM " IDENTITY_PEOPLE " WHERE id = $1"), &value, 1,
                         NULL);
}

static enum identity_verify verify_of(struct slice text)
{
    if (slice_eq(text, SLICE("on")))
        return IDENTITY_VERIFY_ON;
    return slice_eq(text, SLICE("off")) ? IDENTITY_VERIFY_OFF : IDENTITY_VERIFY_AUTO;
}

enum status identity_compose(struct app *app, struct http_app *http, struct loop *const *loops,
                             unsigned loops_len)
{
    const struct config *c = &app->config;
    struct identity_audit_event operator= { 0 };
    operator_event(app->arena, &operator);
    const struct identity_options options = {
        .operator_name = operator.actor_id,
        .store = app->store,
        .metrics = app->metrics,
        .people = { hold, release, resource_tx_insert, erase, app },
        .audit = app->audit,
        .mail = app->mail,
        .api_keys = app->api_keys,
        .revocations = app->revocations,
        .loops = loops,
        .loops_len = loops_len,
        .secret = c->secret,
        .secret_previous = c->secret_previous,
        .issuer = c->auth_issuer,
        .audience = c->auth_audience,
        .rs256 = slice_eq(c->auth_algorithm, SLICE("RS256")),
        .replace_lost = slice_eq(c->auth_lost_keys, SLICE("replace")),
        .pages = c->auth_pages,
        .passkey_origins = c->auth_passkey_origins,
        .sign_up = c->auth_sign_up,
        .verify_email = verify_of(c->auth_verify_email),
        .development = !config_is_production(c),
        .access_us = c->auth_access_us,
        .session_us = c->auth_session_us,
        .refresh_grace_us = c->auth_refresh_grace_us,
        .delete_after_us = c->auth_delete_after_us,
        .impersonate_us = c->auth_impersonate_us,
        .impersonate_mail = c->auth_impersonate_mail,
        .impersonate_admins = c->auth_impersonate_admins,
        .password_memory_kib = (uint32_t)(c->auth_password_bytes / KIB),
        .password_passes = (uint32_t)c->auth_password_passes,
        .password_threads = (unsigned)c->auth_password_threads,
        .password_queue = (unsigned)c->auth_password_queue,
        .clients = c->oauth_clients,
        .clients_len = c->oauth_clients_len,
        .scopes = c->oauth_scopes,
        .scopes_len = c->oauth_scopes_len,
        .oauth = c->oauth_enabled,
        .providers = c->auth_providers,
        .providers_len = c->auth_providers_len,
        .return_origins = c->auth_return_origins,
        .token_issuers = c->auth_token_issuers,
        .token_issuers_len = c->auth_token_issuers_len,
        .rights = &c->rights,
        .certificates = c->certificates,
        .certificates_len = c->certificates_len,
    };
    return identity_open(http, &options, app->arena, &app->problem, &app->identity);
}

static int open_store(struct app *app, const struct app_common *common, const char *verb,
                      bool is_writer)
{
    int code = app_open_config(app, common);
    if (code == CMD_OK)
        code = app_open_contracts(app);
    if (code == CMD_OK)
        code = app_open_store(app, verb, is_writer, false);
    return code == CMD_OK && is_writer ? app_migrate(app, verb) : code;
}

int identity_tool_run(struct app *app, const struct app_common *common, const char *verb,
                      bool is_writer, int (*fn)(struct task *task, struct app *app, void *arg),
                      void *arg)
{
    int code = open_store(app, common, verb, is_writer);
    if (code != CMD_OK)
        return code;
    enum status st = app_settle_secret(app);
    if (st == STATUS_OK)
        st = security_open(app);
    if (st == STATUS_OK)
        st = identity_compose(app, NULL, NULL, 0);
    if (st != STATUS_OK)
        return cmd_print_problem(verb, &app->problem);
    if (is_writer && !identity_has_people(app->identity)) {
        (void)fprintf(stderr,
                      "purlin %s: accounts need a contract \"" IDENTITY_PEOPLE
                      "\" for the people they belong to.\n",
                      verb);
        return CMD_FAILED;
    }
    return app_run_task(app, fn, arg);
}

/* The first name that the server answers to and that is one name. */
static struct slice first_host(struct slice hosts)
{
    struct slice rest = hosts, host;
    while (hosts.len && slice_split(&rest, ',', &host)) {
        host = slice_trim(host);
        if (host.len && slice_find(host, '*') == SIZE_MAX)
            return host;
    }
    return SLICE_NULL;
}

/* What clients most likely know this server as. */
static struct slice guess_issuer(struct app *app, unsigned port)
{
    const struct config *c = &app->config;
    struct slice host = first_host(c->hosts);
    if (config_is_production(c) && host.len)
        return arena_printf(app->arena, "https://%.*s", SLICE_ARG(host));
    bool is_any = slice_eq(c->host, SLICE("0.0.0.0")) || slice_eq(c->host, SLICE("::"));
    host = is_any ? SLICE("127.0.0.1") : c->host;
    bool is_v6 = slice_find(host, ':') != SIZE_MAX;
    return arena_printf(app->arena, is_v6 ? "http://[%.*s]:%u" : "http://%.*s:%u", SLICE_ARG(host),
                        port);
}

int identity_ready(struct app *app, unsigned port)
{
    if (!app->config.auth_issuer.len) {
        struct slice issuer = guess_issuer(app, port);
        if (!issuer.data)
            return CMD_FAILED;
        identity_issuer_set(app->identity, issuer);
        if (config_is_production(&app->config))
            log_warn("identity.issuer_guessed", LOG_TEXT("issuer", issuer),
                     LOG_CSTR("hint", "set auth.issuer to the URL that clients know"));
    }
    if (!identity_has_people(app->identity))
        log_info("identity.off",
                 LOG_CSTR("hint", "accounts need a contract \"" IDENTITY_PEOPLE "\""));
    identity_upkeep_start(app->identity);
    return CMD_OK;
}

enum status identity_row_deleted(void *arg, struct store_tx *tx, const struct contract *contract,
                                 const struct uuid *id)
{
    struct app *app = arg;
    bool is_person = slice_eq(contract->name, SLICE(IDENTITY_PEOPLE));
    return is_person && app->identity ? identity_person_removed(tx, id) : STATUS_OK;
}
