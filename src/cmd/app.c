#include "cmd/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/metric.h"
#include "cmd/edge.h"
#include "cmd/identity.h"
#include "cmd/mail.h"
#include "cmd/rate.h"
#include "cmd/rights.h"
#include "cmd/security.h"
#include "contract/contract.h"
#include "contract/sql.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/audit.h"
#include "identity/identity.h"
#include "observe/observe.h"
#include "resource/resource.h"
#include "shared/shared.h"
#include "site/site.h"
#include "store/store.h"

extern char **environ;

int app_open_config(struct app *app, const struct app_common *common)
{
    *app = (struct app){ .arena = arena_new(NULL, 0) };
    diag_init(&app->diag, app->arena);
    struct config_source source = { .file = common->config,
                                    .env_file = common->env_file,
                                    .environ = environ };
    if (config_load(&source, app->arena, &app->diag, &app->config) != STATUS_OK)
        return cmd_print_diag(&app->diag);
    return CMD_OK;
}

int app_open_contracts(struct app *app)
{
    if (contract_set_load(app->config.contracts, &app->diag, &app->set) != STATUS_OK)
        return cmd_print_diag(&app->diag);
    rights_check(app);
    return app->diag.len ? cmd_print_diag(&app->diag) : CMD_OK;
}

int app_open_store(struct app *app, const char *verb, bool create, bool read_only)
{
    const struct config *c = &app->config;
    app->metrics = metrics_new();
    struct store_options options = {
        .url = c->database_url,
        .metrics = app->metrics,
        .readers_per_loop = (unsigned)c->readers,
        .write_queue_max = (unsigned)c->write_queue,
        .batch_max = (unsigned)c->write_batch,
        .wal_bytes_max = c->wal_bytes,
        .mmap_bytes = c->mmap_bytes ? c->mmap_bytes : -1,
        .create = create,
        .read_only = read_only,
    };
    enum status st = store_open(&options, app->arena, &app->problem, &app->store);
    if (st == STATUS_OK)
        st = offload_new((unsigned)c->offload_threads, (unsigned)c->offload_queue, &app->offload);
    if (st != STATUS_OK)
        return cmd_print_problem(verb, &app->problem);
    return CMD_OK;
}

/* -- bringing the database to the contracts
 * ---------------------------------------------------------------- */

static int refuse_difference(const char *verb, const struct contract_diff *diff, const char *advice)
{
    (void)fprintf(stderr, "purlin %s: the database differs from the contracts:\n", verb);
    for (unsigned i = 0; i < diff->changes_len; i++)
        (void)fprintf(stderr, "  %.*s%s\n", SLICE_ARG(diff->changes[i].what),
                      diff->changes[i].destructive ? "  (loses data)" : "");
    (void)fprintf(stderr, "%s\n", advice);
    return CMD_FAILED;
}

int app_migrate(struct app *app, const char *verb)
{
    bool production = config_is_production(&app->config);
    bool automatic = slice_eq(app->config.auto_migrate, SLICE("on")) ||
                     (slice_eq(app->config.auto_migrate, SLICE("auto")) && !production);
    if (automatic) {
        struct store_migrate_options options = { .folder = app->config.migrations };
        unsigned applied = 0;
        enum status st =
            store_migrate_up(app->store, &options, app->arena, &app->problem, &applied);
        /* A folder that does not exist has no migrations: contracts alone then say what the schema
         * is. */
        if (st != STATUS_OK && st != STATUS_NOT_FOUND)
            return cmd_print_problem(verb, &app->problem);
        problem_clear(&app->problem);
    }
    struct contract_diff diff;
    if (contract_sql_diff(app->set, app->store, NULL, 0, app->arena, &app->problem, &diff) !=
        STATUS_OK)
        return cmd_print_problem(verb, &app->problem);
    if (!diff.changes_len)
        return CMD_OK;
    if (!automatic)
        return refuse_difference(verb, &diff,
                                 "Run: purlin migrate diff, review the files, purlin migrate up.");
    if (diff.destructive)
        return refuse_difference(
            verb, &diff,
            "This would lose data and is never done by itself. Run: purlin migrate diff, "
            "review the files, purlin migrate up --allow-destructive.");
    if (store_script(app->store, buf_slice(&diff.up), app->arena, &app->problem) != STATUS_OK)
        return cmd_print_problem(verb, &app->problem);
    log_info("store.schema_updated", LOG_U64("changes", diff.changes_len));
    return CMD_OK;
}

/* -- the secret of the installation
 * ---------------------------------------------------------------------------- */

static enum status take_count(void *arg, struct store_rows *rows)
{
    int64_t *count = arg;
    *count = store_rows_i64(rows, 0);
    return STATUS_OK;
}

struct secret_read {
    struct app *app;
    struct slice secret;
};

static enum status take_secret(void *arg, struct store_rows *rows)
{
    struct secret_read *read = arg;
    return arena_copy(read->app->arena, store_rows_bytes(rows, 0), &read->secret);
}

enum status app_database_secret(struct app *app, struct slice *ret_secret)
{
    int64_t tables = 0;
    struct secret_read read = { .app = app };
    enum status st =
        store_read_blocking(app->store,
                            SLICE("SELECT COUNT(*) FROM sqlite_schema"
                                  " WHERE type = 'table' AND name = 'purlin_settings'"),
                            NULL, 0, app->arena, &app->problem, take_count, &tables);
    if (st == STATUS_OK && tables > 0)
        st = store_read_blocking(app->store,
                                 SLICE("SELECT value FROM purlin_settings WHERE name = 'secret'"),
                                 NULL, 0, app->arena, &app->problem, take_secret, &read);
    if (st == STATUS_OK)
        *ret_secret = read.secret;
    return st;
}

enum status app_settle_secret(struct app *app)
{
    if (app->config.secret.len)
        return STATUS_OK;
    uint8_t fresh[32];
    random_bytes(fresh, sizeof(fresh));
    struct buf sql;
    buf_init(&sql, app->arena, 512, 4096);
    buf_put_lit(&sql, "CREATE TABLE IF NOT EXISTS purlin_settings"
                      " (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;\n"
                      "INSERT OR IGNORE INTO purlin_settings (name, value) VALUES ('secret', '");
    buf_put_hex(&sql, fresh, sizeof(fresh));
    buf_put_lit(&sql, "');");
    enum status st = store_script(app->store, buf_slice(&sql), app->arena, &app->problem);
    return st == STATUS_OK ? app_database_secret(app, &app->config.secret) : st;
}

/* -- the edge
 * ----------------------------------------------------------------------------------------------------
 */

static enum observe_audience metrics_audience(const struct config *c)
{
    if (slice_eq(c->metrics, SLICE("off")))
        return OBSERVE_OFF;
    bool is_public = slice_eq(c->metrics, SLICE("public")) ||
                     (slice_eq(c->metrics, SLICE("auto")) && !config_is_production(c));
    return is_public ? OBSERVE_PUBLIC : OBSERVE_ADMIN;
}

static bool docs_enabled(const struct config *c)
{
    return slice_eq(c->docs, SLICE("on")) ||
           (slice_eq(c->docs, SLICE("auto")) && !config_is_production(c));
}

static enum status open_engine(struct app *app)
{
    const struct config *c = &app->config;
    struct resource_options options = {
        .store = app->store,
        .metrics = app->metrics,
        .secret = c->secret,
        .limit_default = (unsigned)c->limit_default,
        .limit_max = (unsigned)c->limit_max,
        .batch_max = (unsigned)c->batch_max,
        .expand_depth_max = (unsigned)c->expand_depth,
        .idempotency_ttl_us = c->idempotency_ttl_us,
        .require_if_match = c->require_if_match,
        .on_export = security_note_export,
        .on_export_arg = app,
        .on_delete = identity_row_deleted,
        .on_delete_arg = app,
    };
    enum status st =
        resource_open(app->http, app->set, &options, app->arena, &app->problem, &app->engine);
    if (st == STATUS_OK)
        app->set = NULL; /* the engine's now */
    return st;
}

static enum status open_limits(struct app *app, struct http_rate_options *ret)
{
    const struct config *c = &app->config;
    enum status st = rate_options_read(c, app->arena, ret);
    if (st == STATUS_OK && c->limits_enabled)
        st = shared_counts_local(app->metrics, (unsigned)c->rate_keys, &app->counts);
    ret->counts = app->counts;
    return st;
}

static int64_t write_delay(void *arg)
{
    return store_write_delay_us(arg);
}

/* The folder that the configuration names. */
static enum status open_static(struct app *app)
{
    const struct config *c = &app->config;
    if (!c->static_folder.len)
        return STATUS_OK;
    const struct http_files_options options = {
        .folder = c->static_folder,
        .path = arena_cstr(app->arena, c->static_path),
        .fallback = c->static_fallback,
        .max_age_s = c->static_max_age_us / CLOCK_SECOND,
    };
    const char *reason = "";
    enum status st =
        options.path ? http_files_add(app->http, &options, NULL, &reason) : STATUS_EXHAUSTED;
    if (st == STATUS_OK)
        return st;
    return problem_put(&app->problem, app->arena, __FILE__, __LINE__, st, "cmd/static",
                       "static.path %s cannot be served: %s.", options.path ? options.path : "",
                       reason);
}

int app_open_http(struct app *app, const char *verb, struct loop *const *loops, unsigned loops_len)
{
    const struct config *c = &app->config;
    struct http_options http = {
        .metrics = app->metrics,
        .admin_key = c->admin_key,
        .rights = &c->rights,
        .development = !config_is_production(c),
        .access_log = c->access_log,
    };
    enum status st = app_settle_secret(app);
    http.secret = c->secret;
    http.secret_previous = c->secret_previous;
    if (st == STATUS_OK)
        st = edge_policies(c, app->arena, &http);
    if (st == STATUS_OK)
        st = edge_clients(c, app->arena, &http);
    if (st == STATUS_OK)
        st = open_limits(app, &http.rate);
    if (c->limits_enabled)
        http.overload = (struct http_overload_options){
            .target_us = c->overload_target_us,
            .interval_us = c->overload_interval_us,
            .in_flight_max = (unsigned)c->overload_in_flight,
            .adaptive = c->overload_adaptive,
            .write_delay_us = write_delay,
            .arg = app->store,
        };
    if (st == STATUS_OK)
        st = edge_signature_keys(c, app->arena, &app->diag, &http);
    if (st == STATUS_OK)
        st = http_app_new(&http, &app->http);
    /* Health first: its routes stand even when a resource has a clashing name. */
    if (st == STATUS_OK)
        st = observe_open(app->http,
                          &(struct observe_options){ .metrics = app->metrics,
                                                     .store = app->store,
                                                     .loops = loops,
                                                     .loops_len = loops_len,
                                                     .metrics_audience = metrics_audience(c),
                                                     .aliases = c->health_aliases },
                          &app->observe);
    if (st == STATUS_OK)
        st = security_open(app);
    if (st == STATUS_OK)
        st = identity_audit_routes(app->audit, app->http);
    if (st == STATUS_OK)
        st = mail_open(app);
    if (st == STATUS_OK)
        st = open_engine(app);
    if (st == STATUS_OK)
        st = identity_compose(app, app->http, loops, loops_len);
    if (st == STATUS_OK)
        st = site_open(app->http,
                       &(struct site_options){ .web = c->web,
                                               .swagger = c->swagger,
                                               .docs = docs_enabled(c),
                                               .no_root = c->static_folder.len &&
                                                          slice_eq(c->static_path, SLICE("/")),
                                               .engine = app->engine },
                       &app->site);
    if (st == STATUS_OK)
        st = open_static(app);
    if (st == STATUS_OK)
        return CMD_OK;
    (void)problem_put(&app->problem, app->arena, __FILE__, __LINE__, st, "cmd/start",
                      "The server could not be put together: %s.", status_name(st));
    return cmd_print_problem(verb, &app->problem);
}

void app_close(struct app *app)
{
    site_close(app->site);
    identity_close(app->identity);
    if (app->observe)
        observe_close(app->observe);
    if (app->engine)
        resource_close(app->engine);
    if (app->http)
        http_app_free(app->http);
    mail_close(app);
    security_close(app);
    shared_counts_free(app->counts);
    if (app->offload)
        offload_free(app->offload);
    net_tls_free(app->tls);
    if (app->store)
        store_close(app->store);
    if (app->metrics)
        metrics_free(app->metrics);
    if (app->set)
        contract_set_free(app->set);
    if (app->arena)
        arena_free(app->arena);
    *app = (struct app){ 0 };
}

/* -- tools
 * -----------------------------------------------------------------------------------------------------------
 */

struct tool {
    struct app *app;
    struct loop *loop;
    int (*fn)(struct task *task, struct app *app, void *arg);
    void *arg;
    int exit;
    struct loop_post start;
};

static void tool_task(struct task *task, void *arg)
{
    struct tool *tool = arg;
    tool->exit = tool->fn(task, tool->app, tool->arg);
    /* The task's problem dies with it; what the verb wants to say, it has said. */
    loop_stop(tool->loop);
}

static void tool_start(struct loop_post *post)
{
    struct tool *tool = CONTAINER_OF(post, struct tool, start);
    if (task_spawn(tool->loop, tool_task, tool, &(struct task_options){ .name = "tool" }) !=
        STATUS_OK) {
        tool->exit = CMD_FAILED;
        loop_stop(tool->loop);
    }
}

int app_run_task(struct app *app, int (*fn)(struct task *task, struct app *app, void *arg),
                 void *arg)
{
    struct tool tool = {
        .app = app, .fn = fn, .arg = arg, .exit = CMD_FAILED, .start = { .fn = tool_start }
    };
    if (loop_new(&(struct loop_options){ 0 }, &tool.loop) != STATUS_OK) {
        (void)fprintf(stderr, "purlin: an event loop could not be made\n");
        return CMD_FAILED;
    }
    loop_offload_set(tool.loop, app->offload);
    if (!app->store || store_attach(app->store, tool.loop) == STATUS_OK) {
        loop_post(tool.loop, &tool.start);
        loop_run(tool.loop);
        if (app->store)
            store_detach(app->store, tool.loop);
    }
    loop_free(tool.loop);
    return tool.exit;
}
