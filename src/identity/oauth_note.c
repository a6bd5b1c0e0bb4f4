/* identity/oauth_note.c - What happens between clients and this server, told and counted. */
#include "identity/oauth_note.h"

#include "base/arena.h"
#include "base/macros.h"
#include "base/metric.h"
#include "http/http.h"
#include "identity/room.h"

/* -- metrics
 * ------------------------------------------------------------------------------------------- */

/* In the order of the series. */
static const struct {
    uint32_t grant;
    const char *name;
} grants[IDENTITY__OAUTH_GRANTS] = {
    { IDENTITY_GRANT_CODE, "authorization_code" },
    { IDENTITY_GRANT_REFRESH, "refresh_token" },
    { IDENTITY_GRANT_CLIENT, "client_credentials" },
    { 0, "other" },
};
/* What POST /oauth/token answers. */
static const unsigned results[IDENTITY__OAUTH_RESULTS] = {
    IDENTITY__TOKENS_OK,
    IDENTITY_OAUTH_INVALID_REQUEST,
    IDENTITY_OAUTH_INVALID_CLIENT,
    IDENTITY_OAUTH_INVALID_GRANT,
    IDENTITY_OAUTH_INVALID_SCOPE,
    IDENTITY_OAUTH_UNAUTHORIZED_CLIENT,
    IDENTITY_OAUTH_UNSUPPORTED_GRANT,
};
static const char *const consent_names[IDENTITY__CONSENT_OUTCOMES] = {
    [IDENTITY__CONSENT_GRANTED] = "granted",
    [IDENTITY__CONSENT_DECLINED] = "declined",
    [IDENTITY__CONSENT_WITHDRAWN] = "withdrawn",
};
_Static_assert(IDENTITY__CONSENT_OUTCOMES == ARRAY_LEN(((struct identity *)NULL)->oauth_consents),
               "a series for each");

static const char *result_name(unsigned result)
{
    return result == IDENTITY__TOKENS_OK
               ? "ok"
               : identity_oauth_error_name((enum identity_oauth_error)result);
}

void identity__oauth_metrics_open(struct identity *identity)
{
    static const struct metric_desc tokens = {
        .name = "purlin_oauth_tokens",
        .help = "Requests of clients for tokens, by grant and by what came of them.",
        .kind = METRIC_COUNTER,
        .labels = { "grant", "result" },
    };
    static const struct metric_desc consents = {
        .name = "purlin_oauth_consents",
        .help = "What people answered to applications that want to act for them.",
        .kind = METRIC_COUNTER,
        .labels = { "result" },
    };
    struct metrics *metrics = identity->options.metrics;
    if (!metrics)
        return;
    unsigned metric = metric_declare(metrics, &tokens);
    for (size_t g = 0; g < ARRAY_LEN(grants); g++) {
        for (size_t r = 0; r < ARRAY_LEN(results); r++) {
            const struct slice labels[] = { slice_cstr(grants[g].name),
                                            slice_cstr(result_name(results[r])) };
            identity->oauth_tokens[g][r] = metric_series_get(metrics, metric, labels);
        }
    }
    metric = metric_declare(metrics, &consents);
    for (size_t i = 0; i < ARRAY_LEN(consent_names); i++) {
        struct slice label = slice_cstr(consent_names[i]);
        identity->oauth_consents[i] = metric_series_get(metrics, metric, &label);
    }
}

void identity__oauth_count_token(const struct identity *identity, uint32_t grant, unsigned result)
{
    size_t g = 0, r = 0;
    while (g + 1 < ARRAY_LEN(grants) && grants[g].grant != grant)
        g++;
    while (r < ARRAY_LEN(results) && results[r] != result)
        r++;
    if (identity->options.metrics && r < ARRAY_LEN(results))
        metric_add(identity->options.metrics, identity->oauth_tokens[g][r], 1);
}

void identity__oauth_count_consent(const struct identity *identity,
                                   enum identity__consent_outcome outcome)
{
    if (identity->options.metrics)
        metric_add(identity->options.metrics, identity->oauth_consents[outcome], 1);
}

/* -- the log
 * ------------------------------------------------------------------------------------------- */

void identity_oauth_note_by_client(struct identity_note *note, struct identity *identity,
                                   struct http_request *req, enum identity_audit_act act,
                                   struct slice client_id, const struct uuid *user)
{
    identity_note_init(note, identity, req, act, user);
    note->event.actor = IDENTITY_AUDIT_CLIENT;
    note->event.actor_id = client_id;
}

void identity_oauth_note_refused(struct identity *identity, struct http_request *req,
                                 struct slice client_id, const char *at)
{
    struct identity_note note;
    identity_note_init(&note, identity, req, IDENTITY_AUDIT_ACCESS_DENIED, NULL);
    note.event.outcome = IDENTITY_AUDIT_REFUSED;
    note.event.subject_kind = SLICE("client");
    note.event.subject_id = client_id;
    note.event.details = arena_printf(http_arena(req), "{\"at\":\"%s\"}", at);
    identity_note_later(&note);
}

void identity_oauth_note_reuse(struct identity *identity, struct http_request *req,
                               struct slice client_id, const struct uuid *user, const char *token)
{
    struct identity_note note;
    identity_oauth_note_by_client(&note, identity, req, IDENTITY_AUDIT_TOKEN_REUSED, client_id,
                                  user);
    note.event.outcome = IDENTITY_AUDIT_REFUSED;
    note.event.details = arena_printf(http_arena(req), "{\"token\":\"%s\"}", token);
    identity_note_later(&note);
}
