/*
 * cmd/app.h - The application put together: configuration, contracts, database, edge, engine,
 * documents. Rooms open in the order of app_open_* and close in reverse. Verbs open as much as they
 * need.
 */
#pragma once

#include <stdbool.h>

#include "base/diag.h"
#include "base/problem.h"
#include "base/slice.h"
#include "cmd/cmd.h"
#include "cmd/config.h"

struct arena;
struct clients;
struct contract_set;
struct http_app;
struct identity;
struct identity_api_keys;
struct identity_audit;
struct identity_mail;
struct identity_revocations;
struct loop;
struct metrics;
struct net_tls;
struct observe;
struct offload;
struct resource_engine;
struct shared_counts;
struct site;
struct store;
struct task;

/* The options that every verb takes. */
struct app_common {
    struct slice config, env_file;
};
#define APP_COMMON_OPTIONS(common)                                                                 \
    { .name = "--config",                                                                          \
      .value = "FILE",                                                                             \
      .help = "Configuration file (default: purlin.yaml).",                                        \
      .text = &(common).config },                                                                  \
    {                                                                                              \
        .name = "--env-file", .value = "FILE", .help = "KEY=VALUE lines below the environment.",   \
        .text = &(common).env_file                                                                 \
    }

struct app {
    struct arena *arena;
    struct diag diag;
    struct problem problem;
    struct config config;
    struct contract_set *set; /* owned until the engine took it */
    struct metrics *metrics;
    struct store *store;
    struct offload *offload;
    struct shared_counts *counts;             /* of rate limits; NULL: they are off */
    struct net_tls *tls;                      /* NULL: not configured */
    struct identity_revocations *revocations; /* of sessions and keys; told to all caches */
    struct identity_audit *audit;
    struct identity_api_keys *api_keys;
    void (*security_ended)(void *arg); /* cmd/security.h */
    void *security_ended_arg;
    struct identity_mail *mail;
    struct http_app *http;
    struct resource_engine *engine;
    struct identity *identity; /* NULL: not opened */
    bool first_admin_runs;     /* cmd/first_admin.h; of the first loop */
    struct observe *observe;
    struct site *site;
    struct clients *clients; /* cmd/client.h */
};

/* Each returns an exit status, having said what is wrong. app_close takes whatever was opened. */
int app_open_config(struct app *app, const struct app_common *common);
int app_open_contracts(struct app *app);
int app_open_store(struct app *app, const char *verb, bool create, bool read_only);
/* Settle what the contracts ask for against what the database has, by `database.auto_migrate`. */
int app_migrate(struct app *app, const char *verb);
/* Without a configured secret, one is made once and kept with the data, so that what it signs
 * survives a restart. */
enum status app_settle_secret(struct app *app);
/* The database's own secret; empty when it has made none. Writes nothing. */
enum status app_database_secret(struct app *app, struct slice *ret_secret);
/* The edge with every route; `loops` for their figures. */
int app_open_http(struct app *app, const char *verb, struct loop *const *loops, unsigned loops_len);
void app_close(struct app *app);

/*
 * For tools: run fn as the one task of a loop of its own on this thread, the store attached if it
 * is open.
 * Returns what fn returned; *problem of the app gets the task's.
 */
int app_run_task(struct app *app, int (*fn)(struct task *task, struct app *app, void *arg),
                 void *arg);
