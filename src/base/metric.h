/*
 * base/metric.h - Counters, gauges and histograms, kept per thread and merged when read. A metric
 * is declared once at start (name, unit, sentence, label names); a series (one set of label values)
 * is a small integer handle; adding to a series is one plain add on memory of the own thread: no
 * atomics shared between cores. Rendering walks all threads' cells (relaxed loads) and writes the
 * OpenMetrics text.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

struct metrics; /* the registry: one per process, passed to rooms when they open */

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

typedef uint32_t metric_series; /* 0 is a valid handle that drops everything */

#define METRIC_SERIES_MAX                                                                          \
    8192u /* in all; beyond it new series become handle 0, counted in purlin_metric_overflow */
#define METRIC_LABELS_MAX 6u

struct metric_desc {
    const char *name; /* without _total; unit last: "http_server_request_duration_seconds" */
    const char *help;
    enum metric_kind kind;
    const char *labels[METRIC_LABELS_MAX]; /* NULL-terminated when fewer */
    const double
        *buckets; /* histogram: upper bounds, ascending, +Inf implied; in the unit of the name */
    unsigned buckets_len; /* at most 20 */
};

/* The OpenTelemetry buckets for request durations, in seconds: 0.005 ... 10 (14 of them). */
extern const double metric_buckets_seconds[14];

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* Declare a metric; returns its index (that of the earlier one when the name is known). Start of
 * the process only (one thread). `desc` and its buckets are copied, its strings must outlive the
 * registry. */
unsigned metric_declare(struct metrics *m, const struct metric_desc *desc);

/* The series of `metric` with these label values (as many as the metric has labels); creates it at
 * first use. Takes a lock: keep the handle. Any thread. Values are copied. */
metric_series metric_series_get(struct metrics *m, unsigned metric, const struct slice *values);

/* Counters and gauges: add (gauges may be negative), microseconds for *_seconds. Any thread; its
 * own cell. */
void metric_add(struct metrics *m, metric_series series, int64_t delta);
/* Histogram: one observation, microseconds for *_seconds metrics (scaled when rendered), else plain
 * units. */
void metric_observe(struct metrics *m, metric_series series, int64_t value);

/* A counter or gauge whose value is asked for when rendered (queue lengths, process figures), under
 * the registry's lock: `read` may not call back into it. */
typedef double (*metric_read_fn)(void *arg);
void metric_callback(struct metrics *m, unsigned metric, const struct slice *values,
                     metric_read_fn read, void *arg);

/* Sum over all threads; of a histogram the number of observations. 0 for a callback. */
int64_t metric_value(struct metrics *m, metric_series series);

/* OpenMetrics 1.0 text with "# EOF", or Prometheus text 0.0.4 when open_metrics is false. */
void metrics_render(struct metrics *m, bool open_metrics, struct buf *out);
