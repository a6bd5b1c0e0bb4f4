/*
 * Everything is made before anything is taken over: configuration, contracts, the settings of the
 * edge, certificates; then the database is brought to the contracts, which may still refuse. What
 * follows cannot fail. Keys that only a start takes over are named when they changed.
 */
#include "cmd/reload.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/edge.h"
#include "cmd/listen.h"
#include "cmd/notify.h"
#include "cmd/rate.h"
#include "cmd/rights.h"
#include "cmd/tls.h"
#include "contract/contract.h"
#include "contract/sql.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "http/http.h"
#include "resource/resource.h"
#include "store/store.h"

/* What the settings of one configuration need while anybody goes by them. */
struct kept {
    struct arena *arena; /* holds this as well */
    struct config config;
    struct listen *listen;
};

static void log_diag(const struct diag *diag)
{
    for (unsigned i = 0; i < diag->len; i++)
        log_error("reload.problem", LOG_TEXT("file", diag->items[i].file),
                  LOG_I64("line", diag->items[i].line), LOG_TEXT("key", diag->items[i].key),
                  LOG_TEXT("problem", diag->items[i].message));
}

static void log_needs_restart(void *arg, const struct config_key *key)
{
    (void)arg;
    log_warn("reload.needs_restart", LOG_CSTR("key", key->name),
             LOG_CSTR("kept", "the value that the process was started with"));
}

/* Paths are added before the first request: a reload cannot bring an API version or end one. */
static enum status check_versions(const struct app *app, const struct contract_set *next)
{
    struct contract_set *set = resource_set_hold(app->engine);
    bool is_same = contract_set_same_versions(set, next);
    resource_set_release(app->engine, set);
    if (!is_same)
        log_error("server.versions_changed", LOG_CSTR("advice", "other versions need a restart"));
    return is_same ? STATUS_OK : STATUS_INVALID;
}

/* -- the settings of the edge
 * ------------------------------------------------------------------------------ */

static void release_kept(void *arg)
{
    struct kept *kept = arg;
    arena_free(kept->arena);
}

static enum status make_options(struct kept *kept, struct diag *diag, struct http_options *options)
{
    const struct config *c = &kept->config;
    options->access_log = c->access_log;
    enum status st = edge_policies(c, kept->arena, options);
    if (st == STATUS_OK)
        st = edge_clients(c, kept->arena, options);
    if (st == STATUS_OK)
        st = rate_options_read(c, kept->arena, &options->rate);
    if (st == STATUS_OK)
        st = edge_signature_keys(c, kept->arena, diag, options);
    return st;
}

static enum status make_settings(struct reload *r, struct app *next, struct kept **ret_kept,
                                 struct http_settings **ret_settings)
{
    struct http_options options = { 0 };
    struct kept *kept = arena_new_of(next->arena, struct kept);
    if (!kept)
        return STATUS_EXHAUSTED;
    kept->arena = next->arena;
    kept->config = next->config;
    kept->listen = r->listen;
    enum status st = make_options(kept, &next->diag, &options);
    if (st == STATUS_OK)
        st = http_settings_new(r->app->http, &options, ret_settings);
    if (st == STATUS_EXHAUSTED && http_settings_living(r->app->http) >= HTTP_SETTINGS_MAX)
        log_error("reload.problem",
                  LOG_CSTR("problem", "requests still run under the seven configurations before "
                                      "this one; try again when they have ended"));
    *ret_kept = kept;
    return st;
}

static void on_switch(struct loop *loop, void *arg)
{
    struct kept *kept = arg;
    listen_proxies_set(kept->listen, loop_index(loop), &kept->config.proxies);
}

static void publish(struct reload *r, struct kept *kept, struct http_settings *settings)
{
    listen_exempt_set(r->listen, &kept->config.proxies);
    http_settings_release_set(settings, release_kept, kept);
    http_settings_publish(settings, r->loops, r->loops_len, on_switch, kept);
}

/* -- all of it
 * ------------------------------------------------------------------------------------------- */

/* In the offload pool. What was taken from `next` is gone from it. */
static enum status take_over(struct reload *r, struct app *next)
{
    struct kept *kept;
    struct http_settings *settings = NULL;
    if (app_open_config(next, r->common) != CMD_OK || app_open_contracts(next) != CMD_OK)
        return STATUS_INVALID;
    enum status st = check_versions(r->app, next->set);
    if (st == STATUS_OK)
        st = make_settings(r, next, &kept, &settings);
    if (st == STATUS_OK)
        st = tls_try(r->app, &next->config);
    if (st == STATUS_OK) {
        next->store = r->app->store; /* borrowed */
        st = app_migrate(next, "serve") == CMD_OK ? STATUS_OK : STATUS_INVALID;
        next->store = NULL;
    }
    /* The files may have changed since they were tried. */
    if (st == STATUS_OK)
        st = tls_reload(r->app, &next->config);
    if (st != STATUS_OK) {
        http_settings_free(settings);
        return st;
    }
    enum log_level level;
    if (log_level_parse(next->config.log_level, &level))
        log_level_set(level);
    config_needs_restart(&r->started, &next->config, log_needs_restart, NULL);
    config_oauth_needs_restart(&r->started, &next->config, log_needs_restart, NULL);
    if (rights_differ(&r->started.rights, &next->config.rights))
        log_needs_restart(NULL, &(struct config_key){ .name = "roles" });
    if (config_certificates_differ(&r->started, &next->config))
        log_needs_restart(NULL, &(struct config_key){ .name = "auth.certificates" });
    resource_reload(r->app->engine, next->set);
    next->set = NULL;
    __atomic_store_n(&r->app->config.grace_us, next->config.grace_us, __ATOMIC_RELAXED);
    __atomic_store_n(&r->app->config.drain_delay_us, next->config.drain_delay_us, __ATOMIC_RELAXED);
    next->arena = NULL; /* with all texts in it: the settings' now */
    publish(r, kept, settings);
    return STATUS_OK;
}

static void reload_work(void *arg)
{
    struct reload *r = arg;
    struct app next;
    notify_send("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
    enum status st = take_over(r, &next);
    if (st == STATUS_OK) {
        __atomic_store_n(&r->succeeded_us, clock_wall_us(), __ATOMIC_RELAXED);
        log_info("server.reloaded", LOG_BOOL("ok", true));
    } else {
        log_diag(&next.diag);
        log_error("server.reload_refused",
                  LOG_CSTR("kept", "the configuration and contracts in force"));
    }
    metric_add(r->app->metrics, r->results[st == STATUS_OK ? RELOAD_OK : RELOAD_REFUSED], 1);
    app_close(&next);
    notify_send("READY=1");
}

static void reload_task(struct task *task, void *arg)
{
    struct reload *r = arg;
    do {
        r->is_asked_again = false;
        if (task_offload(task, reload_work, r) != STATUS_OK) {
            metric_add(r->app->metrics, r->results[RELOAD_REFUSED], 1);
            log_error("server.reload_refused",
                      LOG_CSTR("kept", "the offload pool is full, try again"));
        }
    } while (r->is_asked_again && !task_is_cancelled(task));
    r->is_running = false;
}

void reload_start(struct reload *r)
{
    r->is_asked_again = r->is_running;
    if (r->is_running)
        return;
    r->is_running = true;
    if (task_spawn(r->loops[0], reload_task, r, &(struct task_options){ .name = "reload" }) !=
        STATUS_OK)
        r->is_running = false;
}

/* -- at start
 * -------------------------------------------------------------------------------------------- */

static double read_succeeded(void *arg)
{
    const struct reload *r = arg;
    return (double)__atomic_load_n(&r->succeeded_us, __ATOMIC_RELAXED) / 1e6;
}

static double read_living(void *arg)
{
    const struct reload *r = arg;
    return http_settings_living(r->app->http);
}

static void declare(struct reload *r)
{
    struct metrics *m = r->app->metrics;
    unsigned reloads = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_config_reloads",
                                  .help = "Times that the configuration was read anew.",
                                  .kind = METRIC_COUNTER,
                                  .labels = { "result" } });
    r->results[RELOAD_OK] = metric_series_get(m, reloads, &SLICE("ok"));
    r->results[RELOAD_REFUSED] = metric_series_get(m, reloads, &SLICE("refused"));
    unsigned last = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_config_last_success_timestamp_seconds",
                                  .help = "When the configuration in force was taken over.",
                                  .kind = METRIC_GAUGE });
    metric_callback(m, last, NULL, read_succeeded, r);
    unsigned living = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_config_generations",
                                  .help = "Configurations that some request still goes by.",
                                  .kind = METRIC_GAUGE });
    metric_callback(m, living, NULL, read_living, r);
}

void reload_init(struct reload *r, struct app *app, const struct app_common *common)
{
    r->app = app;
    r->common = common;
    r->started = app->config;
    r->succeeded_us = clock_wall_us();
}

void reload_ready(struct reload *r, struct listen *listen, struct loop *const *loops,
                  unsigned loops_len)
{
    r->listen = listen;
    r->loops = loops;
    r->loops_len = loops_len;
    declare(r);
}
