/*
 * cmd/security.h - The audit log and the API keys, opened as the configuration says.
 */
#pragma once

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

struct app;
struct app_common;
struct http_request;
struct identity_audit_event;
struct loop;
struct task;

/* Needs the store and the secret; the problem of the app is set. app_close closes them. */
enum status security_open(struct app *app);
void security_close(struct app *app);

/* The writing of what is noted and used, on this loop; `ended` is called there once nothing of it
 * runs. */
void security_start(struct app *app, struct loop *loop);
void security_stop(struct app *app, void (*ended)(void *arg), void *arg);
/* When no loop runs any more: what was noted up to the last request. */
void security_finish(struct app *app);

/* Rows of a resource leave by the API: `arg` is the app. Any loop's thread; never suspends. */
void security_note_export(void *arg, struct http_request *req, struct slice resource);

/* For tools: the database that the configuration names, its secret, the log, and the keys unless it
 * is read only. An exit status, having said what is wrong. */
int security_open_tool(struct app *app, const char *verb, bool read_only);
/* What a verb has done that opened no log: written now, by the system's user. It is done already,
 * so what keeps it from the log is only told on standard error. */
void security_record(const struct app_common *common, const char *verb,
                     struct identity_audit_event *event);
