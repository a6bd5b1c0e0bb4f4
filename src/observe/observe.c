#include "observe/observe.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/metric.h"
#include "base/rights.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "http/http.h"
#include "observe/process.h"
#include "store/store.h"

/* The media type of the "Health Check Response Format for HTTP APIs" draft. */
#define HEALTH_TYPE "application/health+json"
#define METRICS_BYTES_MAX ((size_t)4 << 20)
#define LIMITS_BYTES_MAX ((size_t)1 << 20)

struct observe {
    struct observe_options options;
    struct http_app *app;
    int64_t started_us; /* wall clock */
    atomic_bool started;
};

static const struct slice body_pass = SLICE_INIT("{\"status\":\"pass\"}");
static const struct slice body_fail = SLICE_INIT("{\"status\":\"fail\"}");
static const struct slice body_draining =
    SLICE_INIT("{\"status\":\"fail\",\"output\":\"shutting down\"}");
static const struct slice body_warn =
    SLICE_INIT("{\"status\":\"warn\",\"output\":\"writes are failing, reads go on\"}");

static void send_health(struct http_request *req, int status, struct slice body)
{
    http_header_add(req, SLICE("Cache-Control"), SLICE("no-store"));
    http_send(req, status, HEALTH_TYPE, body);
}

/* Liveness asks nothing of anybody else: a broken database must not get the process killed (OP2).
 */
static void health_live(struct http_request *req, void *arg)
{
    (void)arg;
    send_health(req, 200, body_pass);
}

static void health_ready(struct http_request *req, void *arg)
{
    struct observe *o = arg;
    struct store_stats stats;
    if (http_app_is_draining(o->app)) {
        send_health(req, 503, body_draining);
    } else if (!atomic_load_explicit(&o->started, memory_order_relaxed)) {
        send_health(req, 503, body_fail);
    } else {
        store_stats_read(o->options.store, &stats);
        send_health(req, 200, stats.writes_failing ? body_warn : body_pass);
    }
}

static void health_startup(struct http_request *req, void *arg)
{
    struct observe *o = arg;
    bool started = atomic_load_explicit(&o->started, memory_order_relaxed);
    send_health(req, started ? 200 : 503, started ? body_pass : body_fail);
}

/* One check of the detailed answer: "component:measurement": [{...}]. */
static void put_check(struct json_out *o, const char *name, const char *status, const char *unit,
                      double value)
{
    json_out_key(o, slice_cstr(name));
    json_out_array(o);
    json_out_object(o);
    json_out_kv(o, "status", status);
    json_out_key(o, SLICE("observedValue"));
    json_out_double(o, value);
    json_out_kv(o, "observedUnit", unit);
    json_out_end(o);
    json_out_end(o);
}

static enum status read_one(struct task *task, struct store *store)
{
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    return store_one(task, store, SLICE("SELECT 1"), NULL, 0, &rows);
}

static enum status health_detailed(struct task *task, struct http_request *req, void *arg)
{
    struct observe *o = arg;
    struct store_stats stats;
    int64_t before = clock_mono_us();
    bool readable = read_one(task, o->options.store) == STATUS_OK;
    double read_ms = (double)(clock_mono_us() - before) / 1e3;
    problem_clear(task_problem(task));
    store_stats_read(o->options.store, &stats);
    bool draining = http_app_is_draining(o->app);
    struct http_overload_stats load;
    http_overload_read(o->app, &load);
    bool warns = stats.writes_failing || load.level > 0;
    const char *status = !readable || draining ? "fail" : warns ? "warn" : "pass";

    struct buf body;
    buf_init(&body, task_arena(task), 2048, 65536);
    struct json_out out = json_out(&body);
    json_out_object(&out);
    json_out_kv(&out, "status", status);
    json_out_kv(&out, "version", PURLIN_VERSION);
    json_out_kv(&out, "serviceId", "purlin");
    json_out_key(&out, SLICE("checks"));
    json_out_object(&out);
    put_check(&out, "database:responseTime", readable ? "pass" : "fail", "ms", read_ms);
    put_check(&out, "database:writes", stats.writes_failing ? "warn" : "pass", "queued",
              stats.write_queue);
    put_check(&out, "database:size", "pass", "bytes", (double)stats.database_bytes);
    put_check(&out, "database:log", "pass", "bytes", (double)stats.wal_bytes);
    put_check(&out, "overload:level", load.level > 0 ? "warn" : "pass", "shed", load.level);
    put_check(&out, "overload:queueDelay", "pass", "ms", (double)load.delay_us / 1e3);
    put_check(&out, "overload:inFlight", "pass", "requests", load.in_flight);
    put_check(&out, "process:memory", "pass", "bytes", observe__resident_bytes(NULL));
    put_check(&out, "process:uptime", "pass", "s", (double)(clock_wall_us() - o->started_us) / 1e6);
    put_check(&out, "process:draining", draining ? "fail" : "pass", "boolean", draining);
    json_out_end(&out);
    json_out_end(&out);
    if (buf_status(&body) != STATUS_OK)
        return problem_set(task, buf_status(&body), "observe/too-large",
                           "The answer grew too large.");
    send_health(req, *status == 'f' ? 503 : 200, buf_slice(&body));
    return STATUS_OK;
}

static enum status health_limits(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    struct buf body;
    buf_init(&body, task_arena(task), 4096, LIMITS_BYTES_MAX);
    http_limits_write(req, &body);
    if (buf_status(&body) != STATUS_OK)
        return problem_set(task, buf_status(&body), "observe/too-large",
                           "The answer grew too large.");
    http_header_add(req, SLICE("Cache-Control"), SLICE("no-store"));
    http_send_json(req, 200, buf_slice(&body));
    return STATUS_OK;
}

static enum status metrics_text(struct task *task, struct http_request *req, void *arg)
{
    struct observe *o = arg;
    const struct net_header *accept = net_header_get(http_net(req), NET_HEADER_ACCEPT);
    bool open_metrics =
        accept &&
        slice_find_slice(accept->value, SLICE("application/openmetrics-text")) != SIZE_MAX;
    struct buf body;
    buf_init(&body, task_arena(task), 65536, METRICS_BYTES_MAX);
    metrics_render(o->options.metrics, open_metrics, &body);
    if (buf_status(&body) != STATUS_OK)
        return problem_set(task, buf_status(&body), "observe/too-large",
                           "The answer grew too large.");
    http_header_add(req, SLICE("Cache-Control"), SLICE("no-store"));
    http_send(req, 200,
              open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                           : "text/plain; version=0.0.4; charset=utf-8",
              buf_slice(&body));
    return STATUS_OK;
}

/* -- figures of the loops
 * ----------------------------------------------------------------------------- */

static double sum_tasks(void *arg)
{
    const struct observe *o = arg;
    double sum = 0;
    for (unsigned i = 0; i < o->options.loops_len; i++) {
        struct loop_stats stats;
        loop_stats_read(o->options.loops[i], &stats);
        sum += stats.tasks_live;
    }
    return sum;
}

static double worst_lag(void *arg)
{
    const struct observe *o = arg;
    int64_t worst = 0;
    for (unsigned i = 0; i < o->options.loops_len; i++) {
        struct loop_stats stats;
        loop_stats_read(o->options.loops[i], &stats);
        worst = MAX(worst, stats.lag_us);
    }
    return (double)worst / 1e6;
}

static void loop_metrics(struct observe *o)
{
    static const struct metric_desc tasks = { .name = "purlin_tasks",
                                              .kind = METRIC_GAUGE,
                                              .help = "Tasks alive on all loops." };
    static const struct metric_desc lag = {
        .name = "purlin_loop_lag_seconds",
        .kind = METRIC_GAUGE,
        .help = "How late the last timer of the slowest loop was."
    };
    metric_callback(o->options.metrics, metric_declare(o->options.metrics, &tasks), NULL, sum_tasks,
                    o);
    metric_callback(o->options.metrics, metric_declare(o->options.metrics, &lag), NULL, worst_lag,
                    o);
}

static const char health_schema[] =
    "{\"type\":\"object\",\"required\":[\"status\"],\"properties\":{\"status\":{\"type\":"
    "\"string\",\"enum\":[\"pass\",\"warn\",\"fail\"]},"
    "\"output\":{\"type\":\"string\"}}}";
static const char detailed_schema[] =
    "{\"type\":\"object\",\"required\":[\"status\",\"version\",\"checks\"],\"properties\":{"
    "\"status\":{\"type\":\"string\",\"enum\":[\"pass\","
    "\"warn\",\"fail\"]},\"version\":{\"type\":\"string\"},\"serviceId\":{\"type\":\"string\"},"
    "\"checks\":{\"type\":\"object\","
    "\"additionalProperties\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":["
    "\"status\"],\"properties\":{\"status\":"
    "{\"type\":\"string\"},\"observedValue\":{\"type\":\"number\"},\"observedUnit\":{\"type\":"
    "\"string\"}}}}}}}";

/* -- routes
 * ------------------------------------------------------------------------------------------- */

static enum status add_inline(struct observe *o, const char *pattern, http_inline_fn fn,
                              const char *summary, const char *operation_id)
{
    const char *reason;
    return http_route_add(o->app,
                          &(struct http_route){ .method = NET_METHOD_GET,
                                                .pattern = pattern,
                                                .handle_inline = fn,
                                                .arg = o,
                                                .quiet = true,
                                                .priority = HTTP_PRIORITY_HEALTH,
                                                .body_bytes_max = -1,
                                                .summary = summary,
                                                .tag = "health",
                                                .operation_id = operation_id,
                                                .answer_type = HEALTH_TYPE,
                                                .answer_schema = health_schema },
                          &reason);
}

static enum status add_handler(struct observe *o, const char *pattern, http_handler_fn fn,
                               enum http_audience audience, const char *summary,
                               const char *operation_id, const char *type, const char *schema)
{
    const char *reason;
    return http_route_add(
        o->app,
        &(struct http_route){ .method = NET_METHOD_GET,
                              .pattern = pattern,
                              .handler = fn,
                              .arg = o,
                              .quiet = true,
                              .priority = HTTP_PRIORITY_HEALTH,
                              .audience = audience,
                              .permission = fn == metrics_text ? RIGHTS_METRICS : RIGHTS_HEALTH,
                              .body_bytes_max = -1,
                              .summary = summary,
                              .tag = "health",
                              .operation_id = operation_id,
                              .answer_type = type,
                              .answer_schema = schema },
        &reason);
}

static enum status add_metrics(struct observe *o, const char *pattern, const char *summary,
                               const char *operation_id)
{
    if (o->options.metrics_audience == OBSERVE_OFF)
        return STATUS_OK;
    return add_handler(o, pattern, metrics_text,
                       o->options.metrics_audience == OBSERVE_ADMIN ? HTTP_ADMIN : HTTP_PUBLIC,
                       summary, operation_id, "text/plain", "{\"type\":\"string\"}");
}

static enum status add_routes(struct observe *o)
{
    static const struct {
        const char *pattern;
        http_inline_fn fn;
        const char *summary, *operation_id; /* NULL for an alias: left out of the documents */
    } routes[] = {
        { "/health/live", health_live, "Is the process alive?", "healthLive" },
        { "/health/ready", health_ready, "May it be sent requests?", "healthReady" },
        { "/health/startup", health_startup, "Has it started?", "healthStartup" },
        { "/health", health_ready, NULL, NULL },
        { "/livez", health_live, NULL, NULL },
        { "/readyz", health_ready, NULL, NULL },
        { "/healthz", health_live, NULL, NULL },
        { "/api/health", health_ready, NULL, NULL },
        { "/api/ready", health_ready, NULL, NULL },
    };
    enum status st = STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(routes) && st == STATUS_OK; i++)
        if (routes[i].summary || o->options.aliases)
            st = add_inline(o, routes[i].pattern, routes[i].fn, routes[i].summary,
                            routes[i].operation_id);
    if (st == STATUS_OK)
        st = add_handler(o, "/health/detailed", health_detailed, HTTP_ADMIN,
                         "Every check with its figures.", "healthDetailed", HEALTH_TYPE,
                         detailed_schema);
    if (st == STATUS_OK)
        st = add_handler(o, "/health/limits", health_limits, HTTP_ADMIN,
                         "The limits in force, who runs into them, and the load that is shed.",
                         "healthLimits", "application/json", "{\"type\":\"object\"}");
    if (st == STATUS_OK)
        st = add_metrics(o, "/metrics", "Metrics in the OpenMetrics or Prometheus text format.",
                         "metrics");
    if (st == STATUS_OK && o->options.aliases)
        st = add_metrics(o, "/api/metrics", NULL, NULL);
    return st;
}

enum status observe_open(struct http_app *app, const struct observe_options *options,
                         struct observe **ret)
{
    struct observe *o = calloc(1, sizeof(*o));
    if (!o)
        return STATUS_EXHAUSTED;
    o->options = *options;
    o->app = app;
    o->started_us = clock_wall_us();
    observe__process_metrics(options->metrics, &o->started_us);
    loop_metrics(o);
    enum status st = add_routes(o);
    if (st != STATUS_OK) {
        free(o);
        return st;
    }
    *ret = o;
    return STATUS_OK;
}

void observe_close(struct observe *observe)
{
    free(observe);
}

void observe_started(struct observe *observe)
{
    atomic_store_explicit(&observe->started, true, memory_order_relaxed);
}
