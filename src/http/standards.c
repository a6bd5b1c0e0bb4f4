/*
 * http/standards.c - What the protective standards prepare once for each policy, and count.
 */
#include "http/internal.h"

#include "base/arena.h"
#include "base/macros.h"

enum status http__standards_init(struct http_settings *settings)
{
    struct arena *arena = settings->arena;
    settings->standards = arena_array_of(arena, struct http__standards, settings->policies_len);
    if (!settings->standards)
        return STATUS_EXHAUSTED;
    for (unsigned i = 0; i < settings->policies_len; i++) {
        const struct http_policy *policy = &settings->policies[i];
        struct http__standards *s = &settings->standards[i];
        enum status st = http__cors_make(arena, &policy->cors, s);
        if (st == STATUS_OK && http__origins_parse(arena, policy->csrf.origins, &s->csrf_origins))
            st = STATUS_INVALID;
        if (st == STATUS_OK)
            st = http__blocks_make(arena, policy, s);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

/* -- counted
 * ---------------------------------------------------------------------------------------------- */

void http__standards_metrics(struct http_app *app, struct metrics *m)
{
    static const char *const values[HTTP__STANDARDS_METRICS] = {
        [HTTP__PREFLIGHT_ALLOWED] = "allowed", [HTTP__PREFLIGHT_DENIED] = "denied",
        [HTTP__CSRF_CROSS] = "cross_site",     [HTTP__CSRF_MISSING] = "token_missing",
        [HTTP__CSRF_BAD] = "token_bad",
    };
    if (!m)
        return;
    unsigned preflights =
        metric_declare(m, &(struct metric_desc){ .name = "purlin_cors_preflights",
                                                 .help = "Preflights of other origins' pages.",
                                                 .kind = METRIC_COUNTER,
                                                 .labels = { "outcome" } });
    unsigned refusals = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_csrf_refusals",
                                  .help = "Changes with a session cookie that were refused.",
                                  .kind = METRIC_COUNTER,
                                  .labels = { "reason" } });
    for (unsigned i = 0; i < HTTP__STANDARDS_METRICS; i++) {
        struct slice value = slice_cstr(values[i]);
        unsigned metric = i <= HTTP__PREFLIGHT_DENIED ? preflights : refusals;
        app->standards_series[i] = metric_series_get(m, metric, &value);
    }
}

void http__standards_count(struct http_request *req, enum http__standards_metric what)
{
    if (req->app->options.metrics)
        metric_add(req->app->options.metrics, req->app->standards_series[what], 1);
}
