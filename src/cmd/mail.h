/*
 * cmd/mail.h - The mail of the identity room, opened as the configuration says.
 */
#pragma once

#include <stdint.h>

#include "base/status.h"

struct app;
struct loop;

/* Needs the store, settles on the secret before. The problem of the app is set. */
enum status mail_open(struct app *app);
void mail_close(struct app *app);

/* Start the worker, and say what cannot be sent. An exit status. */
int mail_start(struct app *app, const char *verb, struct loop *loop);
/* As identity_mail_stop; on the worker's loop. */
void mail_stop(struct app *app, int64_t until_us, void (*ended)(void *arg), void *arg);
