/*
 * observe/observe.h - How the program is doing: health checks, metrics, process figures. Adds its
 * routes to the edge: /health/live, /health/ready, /health/startup, /health/detailed (admin),
 * /metrics, and their aliases.
 *
 * Data passes: counters of all rooms -> base/metric -> /metrics; the store's and the edge's state
 * -> /health.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct http_app;
struct loop;
struct metrics;
struct observe;
struct store;

enum observe_audience { OBSERVE_PUBLIC, OBSERVE_ADMIN, OBSERVE_OFF };

struct observe_options {
    struct metrics *metrics;
    struct store *store;
    struct loop *const *loops; /* for their figures; the array must outlive observe */
    unsigned loops_len;
    enum observe_audience metrics_audience;
    bool aliases;
};

/* Declare the process figures and add the routes. Errors: those of http_route_add, EXHAUSTED. Start
 * of the process. */
enum status observe_open(struct http_app *app, const struct observe_options *options,
                         struct observe **ret);
/* No route may be running any more. */
void observe_close(struct observe *observe);

/* From now on /health/startup says pass. Any thread. */
void observe_started(struct observe *observe);
