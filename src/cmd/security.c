/*
 * cmd/security.c - The audit log and the API keys come before every room that writes to them, and
 * go after: what the last request noted is written when all loops have ended.
 */
#include "cmd/security.h"

#include <stdio.h>

#include "base/log.h"
#include "cmd/app.h"
#include "cmd/operator.h"
#include "fiber/task.h"
#include "identity/api_keys.h"
#include "identity/audit.h"
#include "identity/token_cache.h"
#include "store/store.h"

/* -- opening
 * -----------------------------------------------------------------------------------------------
 */

/* The database's own secret is no previous one by itself: whoever can write the file could put one
 * there, and a key of the log that is sealed with it. */
static enum status open_log(struct app *app, bool read_only)
{
    const struct config *c = &app->config;
    struct identity_audit_options options = {
        .store = app->store,
        .metrics = app->metrics,
        .secret = c->secret,
        .secret_previous = c->secret_previous,
        .keep_us = c->audit_keep_us,
        .read_only = read_only,
        .replace_lost = slice_eq(c->audit_lost_keys, SLICE("replace")),
    };
    return identity_audit_open(&options, app->arena, &app->problem, &app->audit);
}

static enum status open_keys(struct app *app)
{
    const struct identity_api_keys_options options = {
        .store = app->store,
        .audit = app->audit,
        .metrics = app->metrics,
        .revocations = app->revocations,
    };
    return identity_api_keys_open(&options, app->arena, &app->problem, &app->api_keys);
}

enum status security_open(struct app *app)
{
    app->revocations = identity_revocations_new();
    enum status st = app->revocations ? open_log(app, false) : STATUS_EXHAUSTED;
    return st == STATUS_OK ? open_keys(app) : st;
}

void security_close(struct app *app)
{
    identity_api_keys_close(app->api_keys);
    identity_audit_close(app->audit);
    identity_revocations_free(app->revocations);
}

/* -- while the program serves
 * ------------------------------------------------------------------------------ */

void security_start(struct app *app, struct loop *loop)
{
    identity_audit_start(app->audit, loop);
    identity_api_keys_start(app->api_keys, loop);
}

static void keys_ended(void *arg)
{
    struct app *app = arg;
    identity_audit_stop(app->audit, app->security_ended, app->security_ended_arg);
}

void security_stop(struct app *app, void (*ended)(void *arg), void *arg)
{
    app->security_ended = ended;
    app->security_ended_arg = arg;
    identity_api_keys_stop(app->api_keys, keys_ended, app);
}

static int finish_task(struct task *task, struct app *app, void *arg)
{
    (void)arg;
    enum status st = identity_audit_flush_all(task, app->audit);
    if (st == STATUS_OK)
        st = identity_api_keys_upkeep(task, app->api_keys);
    if (st != STATUS_OK)
        log_error("identity.audit_not_written", LOG_CSTR("status", status_name(st)),
                  LOG_U64("lost", identity_audit_noted(app->audit)));
    return CMD_OK;
}

void security_finish(struct app *app)
{
    (void)app_run_task(app, finish_task, NULL);
}

void security_note_export(void *arg, struct http_request *req, struct slice resource)
{
    struct app *app = arg;
    struct identity_audit_event event = { .act = IDENTITY_AUDIT_DATA_EXPORTED,
                                          .subject_kind = SLICE("resource"),
                                          .subject_id = resource };
    identity_audit_from_request(req, &event);
    identity_audit_note(app->audit, &event);
}

/* -- tools
 * -------------------------------------------------------------------------------------------------
 */

static enum status open_tool(struct app *app, bool read_only)
{
    enum status st = read_only ? STATUS_OK : app_settle_secret(app);
    if (st == STATUS_OK && !app->config.secret.len)
        st = app_database_secret(app, &app->config.secret);
    if (st == STATUS_OK && !app->config.secret.len)
        return problem_put(&app->problem, app->arena, __FILE__, __LINE__, STATUS_NOT_FOUND,
                           "cmd/secret",
                           "There is no secret, neither configured nor in the database, so there "
                           "is no audit log yet.");
    if (st == STATUS_OK)
        st = open_log(app, read_only);
    return st == STATUS_OK && !read_only ? open_keys(app) : st;
}

int security_open_tool(struct app *app, const char *verb, bool read_only)
{
    int code = app_open_store(app, verb, !read_only, read_only);
    if (code != CMD_OK)
        return code;
    enum status st = open_tool(app, read_only);
    if (st == STATUS_OK)
        return CMD_OK;
    (void)problem_put(&app->problem, app->arena, __FILE__, __LINE__, st, "cmd/audit",
                      "The audit log could not be opened: %s.", status_name(st));
    return cmd_print_problem(verb, &app->problem);
}

static int record_task(struct task *task, struct app *app, void *arg)
{
    struct identity_audit_event *event = arg;
    operator_event(task_arena(task), event);
    if (identity_audit_write(task, app->audit, event) == STATUS_OK)
        return CMD_OK;
    return cmd_print_problem("audit", task_problem(task));
}

void security_record(const struct app_common *common, const char *verb,
                     struct identity_audit_event *event)
{
    struct app app = { 0 };
    int code = app_open_config(&app, common);
    if (code == CMD_OK)
        code = security_open_tool(&app, verb, false);
    if (code == CMD_OK)
        code = app_run_task(&app, record_task, event);
    app_close(&app);
    if (code != CMD_OK)
        (void)fprintf(stderr, "purlin %s: done, but not written to the audit log\n", verb);
}
