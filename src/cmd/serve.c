/*
 * purlin serve. One loop a core, each with its own servers (cmd/listen.h); signals arrive on the
 * first loop.
 *
 * Stopping: readiness turns red, after drain_delay every loop stops accepting and finishes what is
 * in flight, at most for grace; then the loops end, the writer commits what it has, and the process
 * exits 0. A second signal exits at once.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/client.h"
#include "cmd/first_admin.h"
#include "cmd/identity.h"
#include "cmd/inherit.h"
#include "cmd/listen.h"
#include "cmd/mail.h"
#include "cmd/notify.h"
#include "cmd/reload.h"
#include "cmd/security.h"
#include "cmd/tls.h"
#include "cmd/trim.h"
#include "cmd/upgrade.h"
#include "contract/contract.h"
#include "contract/sql.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/identity.h"
#include "observe/observe.h"
#include "resource/resource.h"
#include "store/store.h"

#define LOOPS_MAX 256u
#define DRAIN_LOOK_EVERY_US (10 * CLOCK_MS)

struct server;

struct worker {
    struct server *server;
    struct loop *loop;
    pthread_t thread;
    struct loop_post drain;
    struct loop_timer look; /* has everything in flight ended? */
    struct trim trim;
    int64_t give_up_us;
};

struct server {
    struct app *app;
    struct app_common common;
    struct worker *workers;
    struct loop **loops;
    unsigned len;
    struct listen *listen;
    struct tls_watch *tls_watch;
    unsigned serving; /* atomic: loops whose connections have not all ended, the mail worker, and
                         what security_stop waits for */
    bool stopping;
    struct reload reload;
    struct inherit inherit;
    struct upgrade upgrade;
    bool has_successor;     /* it has the listening sockets; atomic */
    uv_signal_t signals[4]; /* SIGTERM, SIGINT, SIGHUP, SIGUSR2; on the first loop */
    struct loop_timer drain_delay;
};

/* -- stopping
 * -------------------------------------------------------------------------------------------- */

static void part_ended(void *arg)
{
    struct server *s = arg;
    if (__atomic_sub_fetch(&s->serving, 1, __ATOMIC_ACQ_REL) == 0)
        loop_stop(s->loops[0]);
}

static void worker_closed(void *arg)
{
    struct worker *w = arg;
    struct server *s = w->server;
    /* The first loop has the signals: it goes on until all others have ended, so that a second
     * signal is heard however long they take. */
    if (w->loop != s->loops[0])
        loop_stop(w->loop);
    part_ended(s);
}

static void worker_look(struct loop_timer *timer)
{
    struct worker *w = CONTAINER_OF(timer, struct worker, look);
    struct listen *listen = w->server->listen;
    unsigned index = loop_index(w->loop), open = listen_connections(listen, index);
    bool late = clock_mono_us() >= w->give_up_us;
    bool busy = !identity_is_idle(w->server->app->identity) ||
                (index == 0 && w->server->app->first_admin_runs);
    if ((busy || !listen_is_drained(listen, index)) && !late) {
        loop_timer_start(w->loop, &w->look, DRAIN_LOOK_EVERY_US, worker_look);
        return;
    }
    if (open)
        log_warn("server.grace_over", LOG_U64("connections_cut", open), LOG_U64("loop", index));
    listen_close(listen, index, worker_closed, w);
}

static void worker_drain(struct loop_post *post)
{
    struct worker *w = CONTAINER_OF(post, struct worker, drain);
    w->give_up_us = clock_mono_us() + __atomic_load_n(&w->server->app->config.grace_us,
                                                      __ATOMIC_RELAXED); /* reloaded */
    trim_stop(&w->trim);
    if (w->loop == w->server->loops[0])
        identity_upkeep_stop(w->server->app->identity);
    if (__atomic_load_n(&w->server->has_successor, __ATOMIC_ACQUIRE))
        listen_lend(w->server->listen, loop_index(w->loop));
    listen_drain(w->server->listen, loop_index(w->loop));
    if (w->loop == w->server->loops[0])
        mail_stop(w->server->app, w->give_up_us, part_ended, w->server);
    if (w->loop == w->server->loops[0])
        security_stop(w->server->app, part_ended, w->server);
    loop_timer_start(w->loop, &w->look, DRAIN_LOOK_EVERY_US, worker_look);
}

static void drain_all(struct loop_timer *timer)
{
    struct server *s = CONTAINER_OF(timer, struct server, drain_delay);
    for (size_t i = 0; i < ARRAY_LEN(s->signals); i++)
        uv_unref((uv_handle_t *)&s->signals[i]);
    for (unsigned i = 0; i < s->len; i++) {
        s->workers[i].drain.fn = worker_drain;
        loop_post(s->workers[i].loop, &s->workers[i].drain);
    }
}

static void on_stop(uv_signal_t *handle, int number)
{
    struct server *s = handle->data;
    if (s->stopping) {
        log_warn("server.killed", LOG_I64("signal", number));
        log_stop();
        _exit(CMD_FAILED);
    }
    s->stopping = true;
    upgrade_cancel(&s->upgrade);
    notify_send("STOPPING=1");
    tls_watch_stop(s->tls_watch);
    log_info("server.stopping", LOG_I64("signal", number));
    http_app_draining_set(s->app->http, true);
    int64_t delay_us = __atomic_load_n(&s->app->config.drain_delay_us, __ATOMIC_RELAXED);
    loop_timer_start(s->loops[0], &s->drain_delay, delay_us, drain_all);
}

/* -- handing over
 * ----------------------------------------------------------------------------------------- */

/* Readiness stays as it is: who asks over a kept connection asks for the service, which goes on. */
static void on_successor_ready(void *arg)
{
    struct server *s = arg;
    s->stopping = true;
    tls_watch_stop(s->tls_watch);
    __atomic_store_n(&s->has_successor, true, __ATOMIC_RELEASE);
    loop_timer_start(s->loops[0], &s->drain_delay, 0, drain_all);
}

static void on_upgrade(uv_signal_t *handle, int number)
{
    struct server *s = handle->data;
    (void)number;
    if (!s->stopping)
        upgrade_start(&s->upgrade);
}

static void on_reload(uv_signal_t *handle, int number)
{
    struct server *s = handle->data;
    (void)number;
    if (!s->stopping)
        reload_start(&s->reload);
}

/* -- starting
 * --------------------------------------------------------------------------------------------- */

static unsigned cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

/* Every connection is a descriptor: take what the system allows. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            log_warn("server.descriptors", LOG_I64("errno", errno));
    }
}

static void start_log(const struct config *c)
{
    enum log_level level = LOG_LEVEL_INFO;
    (void)log_level_parse(c->log_level, &level);
    bool pretty = slice_eq(c->log_format, SLICE("pretty")) ||
                  (slice_eq(c->log_format, SLICE("auto")) && isatty(STDOUT_FILENO));
    if (log_start(&(struct log_options){ .fd = STDOUT_FILENO,
                                         .level = level,
                                         .format = pretty ? LOG_FORMAT_PRETTY
                                                          : LOG_FORMAT_JSON }) != STATUS_OK)
        (void)fprintf(stderr, "purlin serve: no log writer; lines go to standard error\n");
}

static int make_loops(struct server *s)
{
    const struct config *c = &s->app->config;
    s->len = c->threads ? (unsigned)c->threads : cores();
    s->len = MIN(s->len, LOOPS_MAX);
    s->workers = arena_array_of(s->app->arena, struct worker, s->len);
    s->loops = arena_array_of(s->app->arena, struct loop *, s->len);
    for (unsigned i = 0; i < s->len; i++) {
        struct worker *w = &s->workers[i];
        w->server = s;
        if (loop_new(&(struct loop_options){ .index = i }, &w->loop) != STATUS_OK ||
            store_attach(s->app->store, w->loop) != STATUS_OK) {
            (void)fprintf(stderr, "purlin serve: an event loop could not be made\n");
            return CMD_FAILED;
        }
        loop_offload_set(w->loop, s->app->offload);
        trim_start(&w->trim, &s->workers[0].trim, w->loop);
        s->loops[i] = w->loop;
    }
    return CMD_OK;
}

static void watch_signals(struct server *s)
{
    static const struct {
        int number;
        uv_signal_cb fn;
    } watched[] = {
        { SIGTERM, on_stop }, { SIGINT, on_stop }, { SIGHUP, on_reload }, { SIGUSR2, on_upgrade }
    };
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
        (void)uv_signal_init(loop_uv(s->loops[0]), &s->signals[i]);
        s->signals[i].data = s;
        (void)uv_signal_start(&s->signals[i], watched[i].fn, watched[i].number);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    loop_run(w->loop);
    return NULL;
}

static int run_all(struct server *s)
{
    unsigned started = 1;
    s->serving = s->len + 2; /* the mail worker, security_stop */
    for (; started < s->len; started++) {
        if (pthread_create(&s->workers[started].thread, NULL, worker_main, &s->workers[started]) !=
            0)
            break;
    }
    if (started < s->len) {
        (void)fprintf(stderr, "purlin serve: a thread could not be made\n");
        log_stop();
        _exit(CMD_FAILED);
    }
    loop_run(s->loops[0]);
    for (unsigned i = 1; i < s->len; i++)
        (void)pthread_join(s->workers[i].thread, NULL);
    return CMD_OK;
}

static void close_signals(struct server *s)
{
    for (size_t i = 0; i < ARRAY_LEN(s->signals); i++)
        uv_close((uv_handle_t *)&s->signals[i], NULL);
    (void)uv_run(loop_uv(s->loops[0]), UV_RUN_NOWAIT);
}

static void announce(struct server *s, int64_t begun_us)
{
    const struct config *c = &s->app->config;
    struct slice urls[LISTEN_PLACES_MAX];
    unsigned len = listen_urls(s->listen, urls);
    struct buf all;
    buf_init(&all, s->app->arena, 128, 4096);
    for (unsigned i = 0; i < len; i++)
        buf_printf(&all, "%s%.*s", i ? " " : "", SLICE_ARG(urls[i]));
    observe_started(s->app->observe);
    log_info("server.ready", LOG_TEXT("url", urls[0]), LOG_TEXT("urls", buf_slice(&all)),
             LOG_U64("port", listen_port(s->listen)), LOG_U64("loops", s->len),
             LOG_I64("pid", getpid()), LOG_TEXT("env", c->env),
             LOG_DOUBLE("start_ms", (double)(clock_mono_us() - begun_us) / 1e3));
    inherit_ready(&s->inherit);
    notify_send("READY=1\nMAINPID=%d", (int)getpid());
    bool has_people = identity_has_people(s->app->identity);
    if (!c->admin_key.len && has_people && !config_is_production(c))
        first_admin_start(s->app, s->loops[0]);
    else if (!c->admin_key.len)
        log_info("server.no_admin",
                 LOG_CSTR("hint", has_people ? "purlin user create EMAIL --role admin makes an "
                                               "administrator, unless there is one"
                                             : "set PURLIN_ADMIN_KEY to have an administrator"));
}

static int serve_with(struct server *s, int64_t begun_us)
{
    int code = app_open_contracts(s->app);
    if (code == CMD_OK)
        code = app_open_store(s->app, "serve", true, false);
    if (code == CMD_OK)
        code = app_migrate(s->app, "serve");
    if (code == CMD_OK)
        code = tls_open(s->app, "serve");
    if (code == CMD_OK)
        code = make_loops(s);
    if (code == CMD_OK)
        code = app_open_http(s->app, "serve", s->loops, s->len);
    if (code == CMD_OK)
        code = clients_open(s->app, "serve", s->loops, s->len);
    if (code == CMD_OK)
        code = mail_start(s->app, "serve", s->loops[0]);
    if (code == CMD_OK)
        code = listen_open(s->app, &s->inherit, s->loops, s->len, &s->listen);
    if (code != CMD_OK)
        return code;
    code = identity_ready(s->app, listen_port(s->listen));
    if (code != CMD_OK)
        return code;
    reload_ready(&s->reload, s->listen, s->loops, s->len);
    s->upgrade.loop = s->loops[0];
    s->upgrade.listen = s->listen;
    s->upgrade.on_ready = on_successor_ready;
    s->upgrade.arg = s;
    watch_signals(s);
    tls_watch_start(s->app, s->loops[0], &s->tls_watch);
    security_start(s->app, s->loops[0]);
    announce(s, begun_us);
    code = run_all(s);
    security_finish(s->app);
    close_signals(s);
    log_info("server.stopped", LOG_I64("exit", code));
    return code;
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    int64_t begun_us = clock_mono_us();
    struct app app = { 0 };
    struct server server = { .app = &app };
    const struct cmd_option options[] = { APP_COMMON_OPTIONS(server.common) };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len)
        return cmd_usage_error(verb, "unexpected argument %.*s", SLICE_ARG(args.words[0]));
    code = app_open_config(&app, &server.common);
    if (code != CMD_OK) {
        app_close(&app);
        return code;
    }
    reload_init(&server.reload, &app, &server.common);
    (void)signal(SIGUSR2, SIG_IGN); /* until it means something */
    struct slice reason;
    if (!inherit_read(app.arena, &server.inherit, &reason)) {
        (void)fprintf(stderr, "purlin serve: %.*s\n", SLICE_ARG(reason));
        app_close(&app);
        return CMD_FAILED;
    }
    upgrade_init(&server.upgrade, app.arena, argc, argv);
    start_log(&app.config);
    loop_install_overflow_handler();
    raise_descriptors();
    code = serve_with(&server, begun_us);
    /* A start that failed with loops and sockets half made leaves them to the kernel: nothing was
     * promised to anybody yet. */
    if (code == CMD_OK || server.len == 0) {
        clients_close(&app);
        /* Its password threads post to loops: they end before those go. */
        identity_close(app.identity);
        app.identity = NULL;
        for (unsigned i = 0; i < server.len; i++) {
            store_detach(app.store, server.loops[i]);
            loop_free(server.loops[i]);
        }
        listen_free(server.listen);
        app_close(&app);
    } else if (app.store) {
        store_close(app.store);
    }
    log_stop();
    return code;
}

const struct cmd_verb cmd_serve = {
    .name = "serve",
    .summary = "Serve the contracts over HTTP.",
    .synopsis = "[--config FILE] [--env-file FILE]",
    .details = "Listens on http://127.0.0.1:8000 unless told otherwise (HOST, PORT). SIGTERM or "
               "SIGINT stops it after\n"
               "what is in flight; a second one at once. SIGHUP reloads the contracts, "
               "certificates and what can "
               "be reloaded of the\n"
               "configuration; a bad file is refused and the good one stays in force.",
    .run = run,
};
