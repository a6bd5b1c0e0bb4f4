#include "http/shed.h"

#include <math.h>

#include "base/clock.h"
#include "base/macros.h"

/* Found by simulation, and held by tests/http/test_shed.c: at 1.2 to 10 times the capacity the wait
 * settles around the target without the queue ever running empty. */
#define PROPORTION 0.05 /* of level, an interval, for each target that the wait is above it */
#define TREND 0.15      /* for each target that it has grown */
#define ERROR_MAX 4.0   /* targets */
#define STEP_MAX 0.3
#define LEVEL_MAX 3.0

#define WINDOW_US (200 * CLOCK_MS)
#define WINDOW_SAMPLES_MIN 10u
#define TOLERANCE 1.5 /* so much longer than the work itself is no reason */
#define SMOOTHING 0.2
#define LIMIT_MIN 8.0
#define LIMIT_START 32.0
#define LOOK_EVERY 50u /* windows */

/* -- by waiting time
 * -------------------------------------------------------------------------------------- */

static double clamp(double value, double least, double most)
{
    return MIN(MAX(value, least), most);
}

static void end_interval(struct http__shed *shed, const struct http__shed_options *options)
{
    double target = (double)options->target_us;
    int64_t wait_us = MAX(shed->least_us, (int64_t)0);
    bool is_long = wait_us > options->target_us;
    if (shed->level > 0 || (is_long && shed->was_long)) {
        double error = clamp(((double)wait_us - target) / target, -1.0, ERROR_MAX);
        double trend = clamp((double)(wait_us - shed->last_us) / target, -ERROR_MAX, ERROR_MAX);
        double step = clamp(PROPORTION * error + TREND * trend, -STEP_MAX / 2, STEP_MAX);
        shed->level = clamp(shed->level + step, 0.0, LEVEL_MAX);
    }
    shed->last_us = wait_us;
    shed->was_long = is_long;
    shed->least_us = -1;
}

void http__shed_observe(struct http__shed *shed, const struct http__shed_options *options,
                        int64_t now_us, int64_t waited_us)
{
    if (UNLIKELY(shed->begun_us == 0)) {
        shed->begun_us = now_us;
        shed->least_us = -1;
    }
    int64_t passed = (now_us - shed->begun_us) / options->interval_us;
    if (UNLIKELY(passed > 0)) {
        end_interval(shed, options);
        /* Intervals in which nobody came were idle ones. */
        if (passed > 1) {
            shed->level = MAX(shed->level - PROPORTION * (double)(passed - 1), 0.0);
            shed->was_long = false;
            shed->last_us = 0;
        }
        shed->begun_us += passed * options->interval_us;
    }
    if (shed->least_us < 0 || waited_us < shed->least_us)
        shed->least_us = waited_us;
}

double http__shed_part(const struct http__shed *shed, enum http_priority priority)
{
    static const double begins[HTTP_PRIORITY_COUNT] = {
        [HTTP_PRIORITY_READ] = 0,
        [HTTP_PRIORITY_WRITE] = 1,
        [HTTP_PRIORITY_AUTH] = 2,
        [HTTP_PRIORITY_HEALTH] = LEVEL_MAX,
    };
    return clamp(shed->level - begins[priority], 0.0, 1.0);
}

/* -- by number
 * -------------------------------------------------------------------------------------------- */

void http__gradient_init(struct http__gradient *g, unsigned limit_max)
{
    *g = (struct http__gradient){
        .limit = clamp(LIMIT_START, LIMIT_MIN, (double)limit_max), .windows = LOOK_EVERY, /* soon */
    };
}

static void end_window(struct http__gradient *g, unsigned limit_max)
{
    double mean_us = MAX((double)g->sum_us / g->samples, 1.0);
    if (g->is_looking) {
        g->least_us = mean_us;
        g->is_looking = false;
        g->windows = 0;
        return;
    }
    g->least_us = g->least_us == 0 ? mean_us : MIN(g->least_us, mean_us);
    double gradient = clamp(TOLERANCE * g->least_us / mean_us, 0.5, 1.0);
    double wanted = g->limit * gradient + sqrt(g->limit);
    bool is_used = g->peak >= g->limit / 2;
    /* What is not used up says nothing of what more would do. */
    if (wanted < g->limit || is_used)
        g->limit += SMOOTHING * (wanted - g->limit);
    g->limit = clamp(g->limit, LIMIT_MIN, MAX((double)limit_max, LIMIT_MIN));
    g->is_looking = ++g->windows >= LOOK_EVERY && is_used;
}

void http__gradient_observe(struct http__gradient *g, unsigned limit_max, int64_t now_us,
                            int64_t took_us, unsigned in_flight)
{
    if (g->samples == 0)
        g->begun_us = now_us;
    g->samples++;
    g->sum_us += MAX(took_us, (int64_t)0);
    g->peak = MAX(g->peak, in_flight);
    if (now_us - g->begun_us < WINDOW_US || g->samples < WINDOW_SAMPLES_MIN)
        return;
    end_window(g, limit_max);
    g->samples = g->peak = 0;
    g->sum_us = 0;
}

bool http__has_place(double limit, unsigned in_flight, enum http_priority priority)
{
    static const double shares[HTTP_PRIORITY_COUNT] = {
        [HTTP_PRIORITY_READ] = 0.8,
        [HTTP_PRIORITY_WRITE] = 0.9,
        [HTTP_PRIORITY_AUTH] = 1.0,
    };
    return priority == HTTP_PRIORITY_HEALTH || (double)in_flight < limit * shares[priority];
}
