/*
 * http/app.c - An app and the way of a request through it: route, chain, handler, answer.
 */
#include "http/internal.h"

#include <assert.h>
#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"

/* -- the app
 * --------------------------------------------------------------------------------------------- */

enum status http_app_new(const struct http_options *options, struct http_app **ret_app)
{
    struct http_app *app = calloc(1, sizeof(*app));
    if (!app || sodium_init() < 0) {
        free(app);
        return STATUS_EXHAUSTED;
    }
    app->options = *options;
    if (!app->options.problem_base.len)
        app->options.problem_base = SLICE("https://purlin.dev/problems/");
    struct slice key = options->admin_key;
    app->has_admin_key = key.len > 0;
    if (app->has_admin_key)
        (void)crypto_generichash(app->admin_digest, sizeof(app->admin_digest),
                                 (const unsigned char *)key.data, key.len, NULL, 0);
    app->options.admin_key = SLICE_NULL;
    http__csrf_keys_make(app, options->secret, options->secret_previous);
    app->options.secret = app->options.secret_previous = SLICE_NULL;
    app->options.policies = NULL; /* these and others are the settings' */
    http__standards_metrics(app, options->metrics);
    app->router = http__router_new();
    app->metrics = http__metrics_new(options->metrics);
    app->signatures = http__signatures_new(options);
    app->compression = http__compression_new(options);
    bool is_made = app->router && app->metrics && app->signatures && app->compression;
    enum status st = is_made ? http__rate_limits_new(app, &options->rate) : STATUS_EXHAUSTED;
    if (st == STATUS_OK)
        st = http__overload_new(app, &options->overload);
    enum status st_settings = http__settings_init(app, options); /* takes the keys in any case */
    if (st == STATUS_OK)
        st = st_settings;
    if (st != STATUS_OK) {
        http_app_free(app);
        return st;
    }
    *ret_app = app;
    return STATUS_OK;
}

void http_app_free(struct http_app *app)
{
    if (!app)
        return;
    http__settings_fini(app);
    http__router_free(app->router);
    http__metrics_free(app->metrics);
    http__rate_limits_free(app->rate);
    http__compression_free(app->compression);
    http__overload_free(app->overload);
    http__signatures_free(app->signatures);
    http__files_free(app->files);
    sodium_memzero(app->csrf_keys, sizeof(app->csrf_keys));
    free(app);
}

enum status http_route_add(struct http_app *app, const struct http_route *route,
                           const char **ret_reason)
{
    struct http__route *added;
    enum status st = http__router_add(app->router, route, &added, ret_reason);
    if (st == STATUS_OK)
        added->label = http__label_get(app->metrics, slice_cstr(added->route.pattern));
    return st;
}

unsigned http_routes_len(const struct http_app *app)
{
    return http__router_len(app->router);
}

const struct http_route *http_route_at(const struct http_app *app, unsigned i)
{
    const struct http__route *route = http__router_at(app->router, i);
    return route ? &route->route : NULL;
}

void http_app_draining_set(struct http_app *app, bool draining)
{
    __atomic_store_n(&app->draining, draining, __ATOMIC_RELAXED);
}

bool http_app_is_draining(const struct http_app *app)
{
    return __atomic_load_n(&app->draining, __ATOMIC_RELAXED);
}

/* -- the request
 * ----------------------------------------------------------------------------------------- */

static struct http_request *request_new(struct http_app *app, struct net_exchange *x)
{
    struct http_request *req = arena_alloc(net_arena(x), sizeof(*req));
    if (!req)
        return NULL;
    memset(req, 0, offsetof(struct http_request, client_text));
    req->x = x;
    req->app = app;
    http__settings_enter(req);
    req->policy = http__policy_of(req->settings, net_request_of(x)->path);
    net_user_set(x, req);
    return req;
}

struct net_exchange *http_exchange(struct http_request *req)
{
    return req->x;
}

const struct net_request *http_net(const struct http_request *req)
{
    return net_request_of(req->x);
}

struct arena *http_arena(struct http_request *req)
{
    return net_arena(req->x);
}

struct http_app *http_app_of(struct http_request *req)
{
    return req->app;
}

enum net_method http_method(const struct http_request *req)
{
    return http_net(req)->method;
}

struct slice http_path(const struct http_request *req)
{
    return http_net(req)->path;
}

const struct http_policy *http_policy(const struct http_request *req)
{
    return req->policy;
}

const struct http_route *http_route_of(const struct http_request *req)
{
    return req->route ? &req->route->route : NULL;
}

void http_route_label_set(struct http_request *req, struct slice label)
{
    req->label = http__label_get(req->app->metrics, label);
}

const struct task_caller *http_caller(const struct http_request *req)
{
    return &req->caller;
}

struct slice http_request_id(const struct http_request *req)
{
    return req->request_id;
}

struct slice http_path_param(const struct http_request *req, struct slice name)
{
    if (!req->route)
        return SLICE_NULL;
    for (unsigned i = 0; i < req->values_len; i++) {
        struct slice raw = req->values[i];
        if (!slice_eq(req->route->params[i], name))
            continue;
        if (!memchr(raw.data, '%', raw.len))
            return raw;
        size_t len;
        char *text = arena_alloc(net_arena(req->x), raw.len);
        /* The path was checked when it was normalised: what is left of escapes is well-formed. */
        if (!text || !http__decode(raw, false, text, &len))
            return SLICE_NULL;
        return slice_of(text, len);
    }
    return SLICE_NULL;
}

/* -- tasks
 * -----------------------------------------------------------------------------------------------
 */

static void on_gone(struct net_exchange *x, void *arg)
{
    (void)x;
    struct http_request *req = arg;
    if (req->task)
        task_cancel(req->task);
}

/* A 500 says nothing; this line says what there is to know. */
static void log_failure(struct task *task, struct http_request *req)
{
    const struct problem *p = task_problem(task);
    const struct log_field fields[] = {
        LOG_TEXT("method", http_net(req)->method_text),
        LOG_TEXT("route", http__label_name(req)),
        LOG_CSTR("type", p->type ? p->type : ""),
        LOG_TEXT("detail", p->detail),
        LOG_TEXT("cause", p->cause),
        LOG_CSTR("file", p->file ? p->file : ""),
        LOG_I64("line", p->line),
    };
    task_log(task, LOG_LEVEL_ERROR, "http.failed", fields, ARRAY_LEN(fields));
}

/* The handler has returned: whatever it left undone is done now. */
static void finish(struct task *task, struct http_request *req, enum status st)
{
    if (st == STATUS_OK && !req->answered)
        st = problem_set(task, STATUS_INTERNAL, "http/no-answer", "A handler gave no answer.");
    if (st == STATUS_INTERNAL)
        log_failure(task, req);
    if (!req->answered)
        http_send_problem(req, st, task_problem(task));
    else if (req->later.waits)
        ; /* below: a problem may be long too */
    else if (req->streaming && st == STATUS_OK)
        http_stream_end(req);
    else if (req->streaming)
        net_abort(req->x); /* the status line is long gone: only a cut answer tells */
    if (req->later.waits)
        http__send_later(task, req);
}

static void on_unmatched(struct http_request *req);

/* All steps let it pass: whoever serves the route, now. */
static enum status handle(struct task *task, struct http_request *req)
{
    const struct http_route *route = req->route ? &req->route->route : NULL;
    if (route && route->handler)
        return route->handler(task, req, route->arg);
    if (route)
        route->handle_inline(req, route->arg);
    else
        on_unmatched(req);
    return STATUS_OK;
}

static void run_task(struct task *task, void *arg)
{
    struct http_request *req = arg;
    struct net_exchange *x = req->x;
    req->task = task;
    task_ids_set(task, req->request_id, req->trace_id);
    task_sampled_set(task, req->sampled);
    net_on_gone(x, on_gone, req);
    enum status st = STATUS_OK;
    /* Past the end already, unless a step asked for the task. */
    if (http__chain_before(task, req) == HTTP_STEP_NEXT) {
        task_caller_set(task, &req->caller);
        st = handle(task, req);
    }
    finish(task, req, st);
    net_on_gone(x, NULL, NULL);
    req->task = NULL;
    net_release(x); /* the request may be gone now */
}

static void spawn(struct http_request *req)
{
    const struct http_route *route = req->route ? &req->route->route : NULL;
    int64_t timeout_us = route && route->timeout_us ? route->timeout_us : req->policy->timeout_us;
    struct net_exchange *x = req->x;
    const struct task_options options = {
        .arena = net_arena(x),
        .deadline_us = net_started_us(x) + timeout_us,
        .name = route ? route->pattern : "unmatched",
    };
    net_hold(x);
    enum status st = task_spawn(net_loop(x), run_task, req, &options);
    if (st == STATUS_OK)
        return;
    http__send_simple(req, STATUS_EXHAUSTED, 0, "http/overloaded",
                      "The server has all the work it can take.");
    net_release(x);
}

/* -- from the connection
 * --------------------------------------------------------------------------------- */

static void on_unmatched(struct http_request *req)
{
    bool is_options = http_method(req) == NET_METHOD_OPTIONS;
    if (is_options && slice_eq(http_path(req), SLICE("*")))
        http__send_options(req, (1u << NET_METHOD_OTHER) - 1);
    else if (req->allow == 0)
        http__send_simple(req, STATUS_NOT_FOUND, 0, "http/no-route", "Nothing is at this path.");
    else if (is_options)
        http__send_options(req, req->allow);
    else
        http__send_simple(req, STATUS_INVALID, 405, "http/method-not-allowed",
                          "This path does not take the method; Allow names those it does.");
}

static void on_request(struct net_exchange *x, void *arg)
{
    struct http_app *app = arg;
    struct http_request *req = request_new(app, x);
    if (!req) {
        net_abort(x);
        return;
    }
    const struct net_request *r = net_request_of(x);
    struct http__match match;
    http__router_find(app->router, r->method, r->path, &match);
    req->route = match.route;
    req->allow = match.allow;
    if (match.route) {
        req->values_len = match.values_len;
        memcpy(req->values, match.values, match.values_len * sizeof(match.values[0]));
    }
    enum http_verdict verdict = http__chain_before(NULL, req);
    if (verdict == HTTP_STEP_ANSWERED)
        return;
    bool needs_task = req->route && req->route->route.handler;
    if (verdict == HTTP_STEP_WAIT || needs_task)
        spawn(req);
    else
        (void)handle(NULL, req); /* what is answered at once cannot fail */
}

static void on_refusal(struct net_exchange *x, const struct net_refusal *refusal, void *arg)
{
    struct http_app *app = arg;
    struct http_request *req = request_new(app, x);
    if (!req) {
        net_abort(x);
        return;
    }
    http__metrics_refusal(app->metrics, refusal->http_status);
    req->refused = true;
    /* No route: nothing refuses it a second time. */
    if (http__chain_before(NULL, req) == HTTP_STEP_NEXT)
        http__send_simple(req, STATUS_INVALID, refusal->http_status, refusal->type,
                          refusal->detail);
}

static void on_done(struct net_exchange *x, void *arg)
{
    (void)arg;
    struct http_request *req = net_user(x);
    if (!req)
        return;
    req->duration_us = clock_mono_us() - net_started_us(x);
    http__chain_done(req);
    http__settings_leave(req);
}

static void on_connections(int change, void *arg)
{
    struct http_app *app = arg;
    http__metrics_connections(app->metrics, change);
}

static void on_http2_abuse(const char *kind, void *arg)
{
    struct http_app *app = arg;
    http__metrics_http2_abuse(app->metrics, kind);
    log_warn("http2.abuse", LOG_CSTR("kind", kind));
}

static void on_stalled(void *arg)
{
    struct http_app *app = arg;
    http__metrics_stalled(app->metrics);
}

void http_app_serve(struct http_app *app, struct net_server_options *options)
{
    options->on_request = on_request;
    options->on_refusal = on_refusal;
    options->on_done = on_done;
    options->on_connections = on_connections;
    options->on_http2_abuse = on_http2_abuse;
    options->on_stalled = on_stalled;
    options->arg = app;
}
