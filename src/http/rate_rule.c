/*
 * http/rate_rule.c - Rules of rate limits: read from text, and made ready to be applied.
 */
#include "http/rate.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"

#define PERIOD_MIN_US CLOCK_MS
#define BURST_FACTOR_MAX 10

/* -- reading
 * --------------------------------------------------------------------------------------------- */

static bool parse_number(struct slice text, int64_t max, uint32_t *ret)
{
    int64_t n;
    if (!slice_to_i64(text, &n) || n < 1 || n > max)
        return false;
    *ret = (uint32_t)n;
    return true;
}

static bool parse_period(struct slice text, int64_t *ret_us)
{
    static const struct {
        struct slice name;
        int64_t us;
    } names[] = {
        { SLICE_INIT("second"), CLOCK_SECOND },
        { SLICE_INIT("minute"), CLOCK_MINUTE },
        { SLICE_INIT("hour"), CLOCK_HOUR },
        { SLICE_INIT("day"), CLOCK_DAY },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(text, names[i].name)) {
            *ret_us = names[i].us;
            return true;
        }
    }
    int64_t us;
    if (!clock_parse_duration(text, &us) || us < PERIOD_MIN_US || us > SHARED_PERIOD_MAX_US)
        return false;
    *ret_us = us;
    return true;
}

static bool parse_by(struct slice text, unsigned *ret_by)
{
    static const struct {
        struct slice name;
        unsigned bit;
    } names[] = {
        { SLICE_INIT("ip"), HTTP_RATE_BY_IP },         { SLICE_INIT("user"), HTTP_RATE_BY_USER },
        { SLICE_INIT("key"), HTTP_RATE_BY_KEY },       { SLICE_INIT("route"), HTTP_RATE_BY_ROUTE },
        { SLICE_INIT("tenant"), HTTP_RATE_BY_TENANT }, { SLICE_INIT("all"), 0 },
    };
    struct slice part;
    unsigned by = 0;
    while (slice_split(&text, '+', &part)) {
        size_t i = 0;
        while (i < ARRAY_LEN(names) && !slice_eq(part, names[i].name))
            i++;
        if (i == ARRAY_LEN(names))
            return false;
        by |= names[i].bit;
    }
    *ret_by = by;
    return true;
}

static bool is_name(struct slice text)
{
    bool is_good = text.len > 0 && text.len <= HTTP_RATE_NAME_MAX;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        is_good &=
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    }
    return is_good;
}

/* What stands behind a semicolon. */
static const char *parse_option(struct slice text, struct http_rate_rule *rule)
{
    if (slice_eq(text, SLICE("report"))) {
        rule->report = true;
        return NULL;
    }
    bool is_burst = slice_starts(text, SLICE("burst="));
    if (!is_burst && !slice_starts(text, SLICE("cost=")))
        return "knows the options burst=N, cost=N and report";
    if (is_burst && !parse_number(slice_from(text, 6), SHARED_COUNT_MAX, &rule->burst))
        return "has a burst that is no whole number from 1 on";
    if (!is_burst && !parse_number(slice_from(text, 5), 1000000, &rule->cost))
        return "has a cost that is no whole number from 1 to 1000000";
    return NULL;
}

static const char *parse_rate(struct slice text, struct http_rate_rule *rule)
{
    struct slice count, period, by = SLICE_NULL, extra;
    if (!slice_split(&text, '/', &count) || !text.data || !slice_split(&text, '/', &period))
        return "must be COUNT/PERIOD/BY, as in 300/10s/ip";
    bool has_by = text.data && slice_split(&text, '/', &by);
    if (text.data && slice_split(&text, '/', &extra))
        return "must be COUNT/PERIOD/BY, as in 300/10s/ip";
    if (!parse_number(slice_trim(count), SHARED_COUNT_MAX, &rule->count))
        return "must begin with a whole number from 1 to 1000000000";
    if (!parse_period(slice_trim(period), &rule->period_us))
        return "needs a period from 1ms to 1 day: 10s, 5m, second, minute, hour or day";
    if (has_by && !parse_by(slice_trim(by), &rule->by))
        return "counts by ip, user, key, route, tenant or all, or several joined by +";
    return NULL;
}

enum status http_rate_parse(struct slice text, struct http_rate_rule *ret_rule,
                            const char **ret_reason)
{
    struct http_rate_rule rule = { .by = HTTP_RATE_BY_IP };
    struct slice rest = slice_trim(text), rate = SLICE_NULL, option;
    const char *reason = NULL;
    (void)slice_split(&rest, ';', &rate); /* the first part, empty as it may be */
    size_t equals = slice_find(rate, '=');
    if (equals != SIZE_MAX) {
        rule.name = slice_trim(slice_head(rate, equals));
        rate = slice_from(rate, equals + 1);
        if (!is_name(rule.name))
            reason =
                "has a name of other characters than a-z, 0-9, '-', '_' and '.', or a long one";
    }
    if (!reason)
        reason = parse_rate(slice_trim(rate), &rule);
    while (!reason && rest.data && slice_split(&rest, ';', &option))
        reason = parse_option(slice_trim(option), &rule);
    if (!reason && (uint64_t)rule.burst > (uint64_t)rule.count * BURST_FACTOR_MAX)
        reason = "has a burst of more than ten times its count";
    if (reason) {
        *ret_reason = reason;
        return STATUS_INVALID;
    }
    *ret_rule = rule;
    return STATUS_OK;
}

/* -- making ready
 * ---------------------------------------------------------------------------------------- */

static const char *const outcome_names[] = {
    [HTTP__RATE_ALLOWED] = "allowed",
    [HTTP__RATE_REFUSED] = "refused",
    [HTTP__RATE_REPORTED] = "reported",
    [HTTP__RATE_EXEMPT] = "exempt",
};

static enum status get_series(struct http_app *app, struct http_rate *rate)
{
    struct metrics *metrics = app->options.metrics;
    for (unsigned i = 0; metrics && i < HTTP__RATE_OUTCOMES; i++) {
        struct slice values[] = { rate->rule.name, slice_cstr(outcome_names[i]) };
        rate->series[i] = metric_series_get(metrics, app->rate->decisions, values);
    }
    return STATUS_OK;
}

enum status http__rate_init(struct http_app *app, struct arena *arena,
                            const struct http_rate_rule *rule, struct http_rate *ret)
{
    struct http_rate rate = { .rule = *rule };
    if (!rate.rule.burst)
        rate.rule.burst = rule->count;
    if (!rate.rule.cost)
        rate.rule.cost = 1;
    rate.shared = shared_rate_of(rule->count, rule->period_us, rate.rule.burst);
    enum status st = arena_copy(arena, rule->name, &rate.rule.name);
    if (st != STATUS_OK)
        return st;
    /* "w" is in whole seconds; a shorter period is said to be one. */
    int64_t seconds = MAX(rule->period_us / CLOCK_SECOND, (int64_t)1);
    struct buf field;
    buf_init(&field, arena, 0, 256);
    buf_putc(&field, '"');
    buf_put_slice(&field, rate.rule.name);
    buf_put_lit(&field, "\";q=");
    buf_put_u64(&field, rule->count);
    buf_put_lit(&field, ";w=");
    buf_put_i64(&field, seconds);
    rate.field = buf_slice(&field);
    st = buf_status(&field);
    if (st == STATUS_OK)
        st = get_series(app, &rate);
    if (st == STATUS_OK)
        *ret = rate;
    return st;
}

enum status http_rate_new(struct http_app *app, struct arena *arena,
                          const struct http_rate_rule *rule, const struct http_rate **ret_rate)
{
    if (!app->rate) {
        *ret_rate = NULL; /* limits are off */
        return STATUS_OK;
    }
    struct http_rate *rate = arena_new_of(arena, struct http_rate);
    if (!rate)
        return STATUS_EXHAUSTED;
    enum status st = http__rate_init(app, arena, rule, rate);
    if (st == STATUS_OK)
        *ret_rate = rate;
    return st;
}
