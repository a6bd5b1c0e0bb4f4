/*
 * cmd/identity.h - The identity room, put together from the configuration.
 */
#pragma once

#include "base/status.h"

struct app;
struct contract;
struct http_app;
struct loop;
struct store_tx;
struct uuid;

/* Open it into app->identity. `http` may be NULL, and then there are no loops: a tool. The problem
 * of the app is set. Blocks. */
enum status identity_compose(struct app *app, struct http_app *http, struct loop *const *loops,
                             unsigned loops_len);
/* The server listens: settle the issuer, begin the upkeep, and in development see to it that there
 * is an administrator. Returns an exit status. */
int identity_ready(struct app *app, unsigned port);
/* For the engine: a row of people is one that signs in. `arg` is the app. */
enum status identity_row_deleted(void *arg, struct store_tx *tx, const struct contract *contract,
                                 const struct uuid *id);
