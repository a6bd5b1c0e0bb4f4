#include "cmd/mail.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/log.h"
#include "cmd/app.h"
#include "identity/mail.h"

enum status mail_open(struct app *app)
{
    const struct config *c = &app->config;
    bool production = config_is_production(c);
    const struct identity_mail_options options = {
        .store = app->store,
        .metrics = app->metrics,
        .secret = c->secret,
        .secret_previous = c->secret_previous,
        .from = c->mail_from.len ? c->mail_from : SLICE("Purlin <purlin@localhost>"),
        .reply_to = c->mail_reply_to,
        .templates = c->mail_templates,
        .smtp_url = c->mail_smtp_url,
        .folder = production ? SLICE("") : c->mail_folder,
        .ca_file = c->client_ca_file,
        .queue_max = (unsigned)c->mail_queue,
        .attempts_max = (unsigned)c->mail_attempts,
        .concurrency = (unsigned)c->mail_concurrency,
        .timeout_us = c->mail_timeout_us,
        .retry_us = c->mail_retry_us,
    };
    unsigned before = app->diag.len;
    enum status st =
        identity_mail_open(&options, app->arena, &app->diag, &app->problem, &app->mail);
    /* Templates were read with the configuration: they have changed since. */
    if (st == STATUS_INVALID && app->diag.len > before)
        st = problem_put(&app->problem, app->arena, __FILE__, __LINE__, st, "cmd/mail",
                         "%.*s: %.*s", SLICE_ARG(app->diag.items[before].file),
                         SLICE_ARG(app->diag.items[before].message));
    if (st == STATUS_OK && app->http)
        st = identity_mail_console_add(app->mail, app->http);
    return st;
}

void mail_close(struct app *app)
{
    identity_mail_close(app->mail);
}

int mail_start(struct app *app, const char *verb, struct loop *loop)
{
    if (!identity_mail_can_send(app->mail))
        log_warn("mail.none",
                 LOG_CSTR("hint", "SMTP_URL is not set: sign-up with a confirmed address, magic "
                                  "links, resets and notices answer 503"));
    if (!config_is_production(&app->config) && !app->config.mail_smtp_url.len)
        log_info("mail.mailbox", LOG_TEXT("folder", app->config.mail_folder),
                 LOG_CSTR("page", "/console/mail"));
    if (identity_mail_start(app->mail, loop) == STATUS_OK)
        return CMD_OK;
    (void)fprintf(stderr, "purlin %s: the mail worker cannot be started\n", verb);
    return CMD_FAILED;
}

void mail_stop(struct app *app, int64_t until_us, void (*ended)(void *arg), void *arg)
{
    identity_mail_stop(app->mail, until_us, ended, arg);
}
