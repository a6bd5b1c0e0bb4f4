/*
 * cmd/identity.h - The identity room, put together from the configuration.
 */
#pragma once

#include <stdbool.h>

#include "base/status.h"

struct app;
struct app_common;
struct contract;
struct http_app;
struct loop;
struct store_tx;
struct task;
struct uuid;

/* Open it into app->identity. `http` may be NULL, and then there are no loops: a tool. The problem
 * of the app is set. Blocks. */
enum status identity_compose(struct app *app, struct http_app *http, struct loop *const *loops,
                             unsigned loops_len);
/*
 * For a verb: configuration, contracts, database, log, keys and the room, then `fn` as a task.
 * `is_writer`: the database is brought to the contracts first, and there have to be people.
 * Returns an exit status, having said what is wrong. app_close afterwards in any case.
 */
int identity_tool_run(struct app *app, const struct app_common *common, const char *verb,
                      bool is_writer, int (*fn)(struct task *task, struct app *app, void *arg),
                      void *arg);
/* The server listens: settle the issuer, begin the upkeep, and in development see to it that there
 * is an administrator. Returns an exit status. */
int identity_ready(struct app *app, unsigned port);
/* For the engine: a row of people is one that signs in. `arg` is the app. */
enum status identity_row_deleted(void *arg, struct store_tx *tx, const struct contract *contract,
                                 const struct uuid *id);
