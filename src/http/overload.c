/*
 * http/overload.c - When there is more work than time, some of it is refused at once, before it has
 * cost anything, so that the rest is done in time: reads first, then writes, then what tries
 * credentials, health checks never. How much follows from how long requests wait for their turn on
 * this loop, and writes for the writer; see http/shed.h.
 *
 * Each loop decides for itself, from what it alone has seen: nothing is shared on the way of a
 * request. The answer is a 503 that says when to come again, not the same to everybody.
 */
#include "http/overload.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/loop.h"

#define REDUCED_CAPACITY                                                                           \
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
#define RETRY_MIN_S 1
#define RETRY_SPREAD_S 4
#define LOG_EVERY_US (10 * CLOCK_SECOND)

/* -- of an app
 * ------------------------------------------------------------------------------------------- */

static const char *const reason_names[] = {
    [HTTP__SHED_DELAY] = "delay",
    [HTTP__SHED_WRITER] = "writer",
    [HTTP__SHED_NUMBER] = "number",
};

static const char *const priority_names[HTTP_PRIORITY_COUNT] = {
    [HTTP_PRIORITY_AUTH] = "auth",
    [HTTP_PRIORITY_WRITE] = "write",
    [HTTP_PRIORITY_READ] = "read",
};

static const double delay_buckets[] = { 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5 };

static double read_level(void *arg)
{
    struct http_overload_stats stats;
    http_overload_read(arg, &stats);
    return stats.level;
}

static double read_limit(void *arg)
{
    struct http_overload_stats stats;
    http_overload_read(arg, &stats);
    return stats.in_flight_limit;
}

static void declare(struct http_app *app)
{
    struct http__overload *o = app->overload;
    struct metrics *m = app->options.metrics;
    unsigned delay = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_overload_queue_delay_seconds",
                                  .help = "How long requests waited for their turn on the loop.",
                                  .kind = METRIC_HISTOGRAM,
                                  .buckets = delay_buckets,
                                  .buckets_len = ARRAY_LEN(delay_buckets) });
    o->delay = metric_series_get(m, delay, NULL);
    unsigned shed = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_overload_shed",
                                  .help = "Requests refused because there was more work than time.",
                                  .kind = METRIC_COUNTER,
                                  .labels = { "priority", "reason" } });
    for (unsigned p = HTTP_PRIORITY_AUTH; p < HTTP_PRIORITY_COUNT; p++) {
        for (unsigned r = 0; r < HTTP__SHED_REASONS; r++) {
            struct slice values[] = { slice_cstr(priority_names[p]), slice_cstr(reason_names[r]) };
            o->shed[p][r] = metric_series_get(m, shed, values);
        }
    }
    unsigned level = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_overload_level",
                                  .help = "What is shed on the worst loop: up to 1 a part of the "
                                          "reads, up to 2 of the writes, up to 3 of the rest.",
                                  .kind = METRIC_GAUGE });
    metric_callback(m, level, NULL, read_level, app);
    unsigned limit = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_overload_in_flight_limit",
                                  .help = "Requests that may be under way on one loop; the least.",
                                  .kind = METRIC_GAUGE });
    metric_callback(m, limit, NULL, read_limit, app);
}

enum status http__overload_new(struct http_app *app, const struct http_overload_options *options)
{
    if (!options->target_us)
        return STATUS_OK;
    struct http__overload *o = aligned_alloc(64, sizeof(*o));
    if (!o)
        return STATUS_EXHAUSTED;
    memset(o, 0, sizeof(*o));
    o->options = *options;
    o->shed_options = (struct http__shed_options){ options->target_us, options->interval_us };
    for (unsigned i = 0; i < HTTP__LANES; i++)
        http__gradient_init(&o->lanes[i].gradient, options->in_flight_max);
    app->overload = o;
    if (app->options.metrics)
        declare(app);
    return STATUS_OK;
}

void http__overload_free(struct http__overload *overload)
{
    free(overload);
}

void http_overload_read(struct http_app *app, struct http_overload_stats *ret)
{
    struct http__overload *o = app->overload;
    *ret = (struct http_overload_stats){ .level = 0 };
    if (!o)
        return;
    ret->in_flight_limit = o->options.in_flight_max;
    for (unsigned i = 0; i < HTTP__LANES; i++) {
        const struct http__lane *lane = &o->lanes[i];
        if (!__atomic_load_n(&lane->published.is_used, __ATOMIC_RELAXED))
            continue;
        double level =
            (double)__atomic_load_n(&lane->published.level_milli, __ATOMIC_RELAXED) / 1e3;
        int64_t delay_us = __atomic_load_n(&lane->published.delay_us, __ATOMIC_RELAXED);
        uint32_t limit = __atomic_load_n(&lane->published.limit, __ATOMIC_RELAXED);
        ret->level = MAX(ret->level, level);
        ret->delay_us = MAX(ret->delay_us, delay_us);
        ret->in_flight += __atomic_load_n(&lane->published.in_flight, __ATOMIC_RELAXED);
        ret->in_flight_limit = MIN(ret->in_flight_limit, limit);
        ret->shed += __atomic_load_n(&lane->published.shed, __ATOMIC_RELAXED);
    }
}

/* -- the step
 * --------------------------------------------------------------------------------------------- */

static double limit_of(const struct http__overload *o, const struct http__lane *lane)
{
    return o->options.adaptive ? http__gradient_limit(&lane->gradient) : o->options.in_flight_max;
}

/* For http_overload_read, on other threads. */
static void publish(struct http__overload *o, struct http__lane *lane)
{
    double level = MAX(lane->delay.level, MIN(lane->writer.level, 1.0));
    double limit = limit_of(o, lane);
    __atomic_store_n(&lane->published.is_used, true, __ATOMIC_RELAXED);
    __atomic_store_n(&lane->published.level_milli, (uint32_t)(level * 1000), __ATOMIC_RELAXED);
    __atomic_store_n(&lane->published.delay_us, lane->delay.last_us, __ATOMIC_RELAXED);
    __atomic_store_n(&lane->published.in_flight, lane->in_flight, __ATOMIC_RELAXED);
    __atomic_store_n(&lane->published.limit, (uint32_t)limit, __ATOMIC_RELAXED);
    __atomic_store_n(&lane->published.shed, lane->shed, __ATOMIC_RELAXED);
}

static bool is_drawn(double part)
{
    return part > 0 && (double)(random_fast() >> 11) * 0x1p-53 < part;
}

/* Should it be refused, and why? */
static bool decide(struct http__overload *o, struct http__lane *lane, enum http_priority priority,
                   enum http__shed_reason *ret_reason)
{
    double limit = limit_of(o, lane);
    if (priority == HTTP_PRIORITY_HEALTH)
        return false;
    *ret_reason = HTTP__SHED_DELAY;
    if (is_drawn(http__shed_part(&lane->delay, priority)))
        return true;
    *ret_reason = HTTP__SHED_WRITER;
    if (priority == HTTP_PRIORITY_WRITE && is_drawn(MIN(lane->writer.level, 1.0)))
        return true;
    *ret_reason = HTTP__SHED_NUMBER;
    return !http__has_place(limit, lane->in_flight, priority);
}

static void log_shedding(struct http__lane *lane, int64_t now_us)
{
    if (lane->logged_us && now_us - lane->logged_us < LOG_EVERY_US)
        return;
    lane->logged_us = now_us;
    log_warn("http.overloaded", LOG_DOUBLE("level", lane->delay.level),
             LOG_DOUBLE("writer_level", lane->writer.level),
             LOG_US("delay_us", lane->delay.last_us), LOG_U64("in_flight", lane->in_flight));
}

static void refuse(struct http_request *req, struct http__lane *lane, enum http_priority priority,
                   enum http__shed_reason reason)
{
    struct http__overload *o = req->app->overload;
    int64_t seconds = RETRY_MIN_S + (int64_t)(random_fast() % RETRY_SPREAD_S);
    const struct problem problem = {
        .status = STATUS_EXHAUSTED,
        .type = REDUCED_CAPACITY,
        .detail = SLICE("The server has more to do than it has time for. Come again shortly."),
        .retry_after_us = seconds * CLOCK_SECOND,
    };
    lane->shed++;
    if (req->app->options.metrics)
        metric_add(req->app->options.metrics, o->shed[priority][reason], 1);
    log_shedding(lane, net_ready_us(req->x));
    http_send_problem(req, STATUS_EXHAUSTED, &problem);
}

static bool before(struct http_request *req)
{
    struct http__overload *o = req->app->overload;
    if (!o || req->refused)
        return true;
    struct loop *loop = net_loop(req->x);
    struct http__lane *lane = &o->lanes[loop_index(loop) % HTTP__LANES];
    int64_t now_us = net_ready_us(req->x), begun_us = lane->delay.begun_us;
    int64_t waited_us = loop_waited_us(loop, now_us);
    http__shed_observe(&lane->delay, &o->shed_options, now_us, waited_us);
    if (req->app->options.metrics)
        metric_observe(req->app->options.metrics, o->delay, waited_us);
    enum http_priority priority = http__priority_of(req);
    if (priority == HTTP_PRIORITY_WRITE && o->options.write_delay_us)
        http__shed_observe(&lane->writer, &o->shed_options, now_us,
                           o->options.write_delay_us(o->options.arg));
    if (lane->delay.begun_us != begun_us)
        publish(o, lane);
    enum http__shed_reason reason;
    bool is_shed = decide(o, lane, priority, &reason);
    /* What is refused is over at once and takes no place. */
    if (is_shed) {
        refuse(req, lane, priority, reason);
        return false;
    }
    lane->in_flight++;
    req->lane = lane;
    return true;
}

static void after(struct http_request *req, int status)
{
    struct http__lane *lane = req->lane;
    /* What was answered at once, or failed, says nothing of how long work takes. */
    if (!lane || !req->app->overload->options.adaptive || !req->task || status >= 500)
        return;
    int64_t now_us = clock_mono_us();
    http__gradient_observe(&lane->gradient, req->app->overload->options.in_flight_max, now_us,
                           now_us - net_ready_us(req->x), lane->in_flight);
}

static void done(struct http_request *req)
{
    if (req->lane)
        req->lane->in_flight--;
}

const struct http__step http__step_overload = {
    .name = "overload",
    .before = before,
    .after = after,
    .done = done,
};
