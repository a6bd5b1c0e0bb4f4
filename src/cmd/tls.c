#include "cmd/tls.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "net/net.h"

#define EXPIRES_SOON_US (14 * 86400 * CLOCK_SECOND)

struct tls_watch {
    struct app *app;
    struct loop *loop;
    struct loop_timer timer;
    bool is_looking, is_stopped;
};

/* -- options
 * ------------------------------------------------------------------------------------------- */

/* The next part of a comma-separated list; empty past its end. */
static struct slice next_part(struct slice *rest)
{
    struct slice part = SLICE_NULL;
    if (rest->len == 0 || !slice_split(rest, ',', &part))
        return SLICE_NULL;
    return slice_trim(part);
}

enum status tls_options_of(const struct config *c, struct arena *arena, struct net_tls_options *ret)
{
    struct net_tls_certificate *certificates =
        arena_array_of(arena, struct net_tls_certificate, NET_TLS_CERTIFICATES_MAX);
    if (!certificates)
        return STATUS_EXHAUSTED;
    struct slice certs = c->tls_cert, keys = c->tls_key, staples = c->tls_ocsp;
    unsigned len = 0;
    while (certs.len > 0 && len < NET_TLS_CERTIFICATES_MAX) {
        certificates[len++] = (struct net_tls_certificate){
            .cert_file = next_part(&certs),
            .key_file = next_part(&keys),
            .ocsp_file = next_part(&staples),
        };
    }
    enum net_tls_client_auth auth = NET_TLS_CLIENT_OFF;
    if (slice_eq(c->tls_client_auth, SLICE("optional")))
        auth = NET_TLS_CLIENT_OPTIONAL;
    else if (slice_eq(c->tls_client_auth, SLICE("required")))
        auth = NET_TLS_CLIENT_REQUIRED;
    *ret = (struct net_tls_options){
        .certificates = certificates,
        .certificates_len = len,
        .h2 = c->http2_enabled,
        .client_ca_file = c->tls_client_ca,
        .client_auth = auth,
        .only_1_3 = slice_eq(c->tls_min_version, SLICE("1.3")),
        .ciphers = c->tls_ciphers,
        .ticket_period_us = c->tls_ticket_period_us,
    };
    return STATUS_OK;
}

/* -- what is served
 * ------------------------------------------------------------------------------------- */

static void log_certificates(struct net_tls *tls)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct net_tls_fact fact;
    int64_t now_us = clock_wall_us();
    for (unsigned i = 0; net_tls_fact(tls, i, arena, &fact); i++) {
        char expires[CLOCK_RFC3339_LEN];
        clock_format_rfc3339(fact.expires_us, expires);
        log_info("tls.certificate", LOG_TEXT("file", fact.cert_file), LOG_TEXT("names", fact.names),
                 LOG_TEXT("expires", slice_of(expires, sizeof(expires))),
                 LOG_CSTR("ocsp", fact.staple));
        if (fact.expires_us - now_us < EXPIRES_SOON_US)
            log_warn("tls.certificate_ends", LOG_TEXT("file", fact.cert_file),
                     LOG_I64("seconds_left", (fact.expires_us - now_us) / CLOCK_SECOND));
    }
}

int tls_open(struct app *app, const char *verb)
{
    if (!config_has_tls(&app->config))
        return CMD_OK;
    struct net_tls_options options;
    struct net_tls_error error = { .text = "there is no memory for it" };
    enum status st = tls_options_of(&app->config, app->arena, &options);
    if (st == STATUS_OK)
        st = net_tls_new(&options, app->metrics, &app->tls, &error);
    if (st == STATUS_OK) {
        log_certificates(app->tls);
        return CMD_OK;
    }
    (void)fprintf(stderr, "purlin %s: TLS: %s\n", verb, error.text);
    return CMD_USAGE;
}

/* -- replacing it
 * --------------------------------------------------------------------------------------- */

static void log_refusal(const struct net_tls_error *error)
{
    log_error("tls.refused", LOG_CSTR("problem", error->text),
              LOG_CSTR("kept", "the certificates in force"));
}

enum status tls_try(struct app *app, const struct config *next)
{
    if (!app->tls || !config_has_tls(next))
        return STATUS_OK;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct net_tls_options options;
    struct net_tls_error error = { .text = "there is no memory for it" };
    struct net_tls *tried = NULL;
    enum status st = tls_options_of(next, arena, &options);
    if (st == STATUS_OK)
        st = net_tls_new(&options, /* metrics= */ NULL, &tried, &error);
    if (st != STATUS_OK)
        log_refusal(&error);
    net_tls_free(tried);
    return st;
}

enum status tls_reload(struct app *app, const struct config *next)
{
    if (!app->tls || !config_has_tls(next))
        return STATUS_OK;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct net_tls_options options;
    struct net_tls_error error = { .text = "there is no memory for it" };
    enum status st = tls_options_of(next, arena, &options);
    if (st == STATUS_OK)
        st = net_tls_reload(app->tls, &options, &error);
    if (st == STATUS_OK)
        log_certificates(app->tls);
    else
        log_refusal(&error);
    return st;
}

static void look_work(void *arg)
{
    struct tls_watch *w = arg;
    struct net_tls_error error;
    switch (net_tls_refresh(w->app->tls, &error)) {
    case STATUS_OK:
        log_certificates(w->app->tls);
        break;
    case STATUS_NOT_FOUND: /* nothing changed */
        break;
    default: /* a pair of which one file is there yet: the next change is looked at again */
        log_refusal(&error);
        break;
    }
}

static void on_timer(struct loop_timer *timer);

static void look_task(struct task *task, void *arg)
{
    struct tls_watch *w = arg;
    (void)task_offload(task, look_work, w); /* a full pool: the next look does it */
    w->is_looking = false;
}

static void on_timer(struct loop_timer *timer)
{
    struct tls_watch *w = CONTAINER_OF(timer, struct tls_watch, timer);
    if (w->is_stopped)
        return;
    loop_timer_start(w->loop, timer, w->app->config.tls_watch_us, on_timer);
    if (w->is_looking)
        return;
    w->is_looking = true;
    if (task_spawn(w->loop, look_task, w, &(struct task_options){ .name = "tls.watch" }) !=
        STATUS_OK)
        w->is_looking = false;
}

void tls_watch_start(struct app *app, struct loop *loop, struct tls_watch **ret_watch)
{
    if (!app->tls || !app->config.tls_watch_us)
        return;
    struct tls_watch *w = arena_new_of(app->arena, struct tls_watch);
    *w = (struct tls_watch){ .app = app, .loop = loop };
    loop_timer_start(loop, &w->timer, app->config.tls_watch_us, on_timer);
    *ret_watch = w;
}

void tls_watch_stop(struct tls_watch *w)
{
    if (!w)
        return;
    w->is_stopped = true;
    loop_timer_stop(w->loop, &w->timer);
}
