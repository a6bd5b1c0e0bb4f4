/* identity/metrics.c - What is counted of sign-ins and tokens. */
#include "base/metric.h"
#include "identity/oauth_note.h"
#include "identity/room.h"

void identity__metrics_open(struct identity *identity)
{
    static const char *const outcomes[IDENTITY__OUTCOMES] = {
        [IDENTITY__OUTCOME_OK] = "ok",
        [IDENTITY__OUTCOME_WRONG] = "wrong",
        [IDENTITY__OUTCOME_THROTTLED] = "throttled",
        [IDENTITY__OUTCOME_REFUSED] = "refused",
    };
    static const struct metric_desc logins = {
        .name = "purlin_auth_logins",
        .help = "Attempts to sign in with a password, by what came of them.",
        .kind = METRIC_COUNTER,
        .labels = { "outcome" },
    };
    static const struct metric_desc refusals = {
        .name = "purlin_auth_failures",
        .help = "Tokens that were refused, by why.",
        .kind = METRIC_COUNTER,
        .labels = { "reason" },
    };
    struct metrics *metrics = identity->options.metrics;
    if (!metrics)
        return;
    unsigned metric = metric_declare(metrics, &logins);
    for (unsigned i = 0; i < IDENTITY__OUTCOMES; i++) {
        struct slice label = slice_cstr(outcomes[i]);
        identity->logins[i] = metric_series_get(metrics, metric, &label);
    }
    if (identity->options.oauth)
        identity__oauth_metrics_open(identity);
    metric = metric_declare(metrics, &refusals);
    for (unsigned i = 1; i < IDENTITY_JOSE_REFUSAL_COUNT; i++) {
        struct slice label = slice_cstr(identity_jose_refusal_name((enum identity_jose_refusal)i));
        identity->refused_tokens[i] = metric_series_get(metrics, metric, &label);
    }
}

void identity__count_login(const struct identity *identity, enum identity__metric_outcome outcome)
{
    if (identity->options.metrics)
        metric_add(identity->options.metrics, identity->logins[outcome], 1);
}

void identity__count_refusal(const struct identity *identity, enum identity_jose_refusal refusal)
{
    if (identity->options.metrics && refusal != IDENTITY_JOSE_ACCEPTED)
        metric_add(identity->options.metrics, identity->refused_tokens[refusal], 1);
}

void identity__log_user(enum log_level level, const char *event, const struct uuid *user)
{
    char text[UUID_TEXT_LEN];
    uuid_format(user, text);
    const struct log_field field = LOG_TEXT("user", slice_of(text, sizeof(text)));
    log_write(level, event, &field, 1);
}
