/* identity/foreign.c - Providers, opened; what asking them has in common. */
#include "identity/foreign.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/issuer.h"
#include "identity/room.h"

static const char *const outcome_names[IDENTITY_FOREIGN_OUTCOMES] = {
    [IDENTITY_FOREIGN_OK] = "ok",           [IDENTITY_FOREIGN_NEW] = "new",
    [IDENTITY_FOREIGN_LINKED] = "linked",   [IDENTITY_FOREIGN_DENIED] = "denied",
    [IDENTITY_FOREIGN_REFUSED] = "refused", [IDENTITY_FOREIGN_DOWN] = "down",
};

static void open_metrics(struct identity *identity, struct identity_source *source)
{
    static const struct metric_desc desc = {
        .name = "purlin_foreign_sign_ins",
        .help = "Sign-ins by other providers, by what came of them.",
        .kind = METRIC_COUNTER,
        .labels = { "provider", "outcome" },
    };
    if (!identity->options.metrics)
        return;
    unsigned metric = metric_declare(identity->options.metrics, &desc);
    for (unsigned i = 0; i < IDENTITY_FOREIGN_OUTCOMES; i++) {
        const struct slice labels[] = { source->config->name, slice_cstr(outcome_names[i]) };
        source->outcomes[i] = metric_series_get(identity->options.metrics, metric, labels);
    }
}

static enum status open_source(struct identity *identity, const struct identity_provider *config,
                               struct identity_source *ret)
{
    const struct identity_issuer_options options = { .name = config->label,
                                                     .url = config->issuer,
                                                     .expects = config->expects,
                                                     .metrics = identity->options.metrics };
    *ret = (struct identity_source){ .identity = identity, .config = config };
    open_metrics(identity, ret);
    return config->preset == IDENTITY_PRESET_GITHUB ? STATUS_OK
                                                    : identity_issuer_new(&options, &ret->issuer);
}

enum status identity_foreign_open(struct identity *identity)
{
    const struct identity_options *o = &identity->options;
    if (!o->providers_len || !identity->has_people)
        return STATUS_OK;
    struct identity_foreign *foreign = arena_new_of(identity->arena, struct identity_foreign);
    if (!foreign)
        return STATUS_EXHAUSTED;
    identity->foreign = foreign;
    foreign->sources = arena_array_of(identity->arena, struct identity_source, o->providers_len);
    if (!foreign->sources)
        return STATUS_EXHAUSTED;
    identity_seal_init(&foreign->seal, SLICE("signing in elsewhere"), o->secret,
                       o->secret_previous);
    enum status st = STATUS_OK;
    for (; foreign->len < o->providers_len && st == STATUS_OK; foreign->len++)
        st = open_source(identity, &o->providers[foreign->len], &foreign->sources[foreign->len]);
    return st;
}

void identity_foreign_close(struct identity_foreign *foreign)
{
    for (unsigned i = 0; foreign && i < foreign->len; i++)
        identity_issuer_free(foreign->sources[i].issuer);
}

struct identity_source *identity_source_find(const struct identity *identity, struct slice name)
{
    struct identity_foreign *foreign = identity->foreign;
    for (unsigned i = 0; foreign && i < foreign->len; i++)
        if (slice_eq(foreign->sources[i].config->name, name))
            return &foreign->sources[i];
    return NULL;
}

void identity_source_count(const struct identity_source *source,
                           enum identity_foreign_outcome outcome)
{
    struct metrics *metrics = source->identity->options.metrics;
    if (metrics)
        metric_add(metrics, source->outcomes[outcome], 1);
}

/* -- what they say
 * -------------------------------------------------------------------------------------- */

enum status identity_foreign_distrust(struct task *task, const struct identity_source *source,
                                      const char *why)
{
    problem_clear(task_problem(task));
    return problem_set(task, STATUS_DENIED, "identity/foreign-token",
                       "The answer of %.*s does not hold: it %s. Begin the sign-in again.",
                       SLICE_ARG(source->config->label), why);
}

enum status identity_foreign_down(struct task *task, const struct identity_source *source,
                                  const char *why)
{
    struct slice cause = task_problem(task)->detail;
    const struct log_field fields[] = { LOG_TEXT("provider", source->config->name),
                                        LOG_CSTR("reason", why), LOG_TEXT("cause", cause) };
    task_log(task, LOG_LEVEL_WARN, "identity.provider_down", fields, ARRAY_LEN(fields));
    problem_clear(task_problem(task));
    return problem_set(task, STATUS_UNAVAILABLE, "identity/issuer-down",
                       "%.*s cannot be used now: %s. Try again in a while.",
                       SLICE_ARG(source->config->label), why);
}

struct slice identity_foreign_text(const json_t *object, const char *name, size_t bytes_max)
{
    const json_t *value = json_object_get(object, name);
    struct slice text = json_is_string(value) ? json_slice(value) : SLICE_NULL;
    if (text.len > bytes_max)
        return SLICE_NULL;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return SLICE_NULL;
    return text;
}

/* -- URLs
 * --------------------------------------------------------------------------------------------- */

struct slice identity_source_callback_url(struct arena *arena, const struct identity_source *source)
{
    struct slice base = source->identity->issuer;
    if (slice_ends(base, SLICE("/")))
        base.len--;
    return arena_printf(arena, "%.*s/auth/providers/%.*s/callback", SLICE_ARG(base),
                        SLICE_ARG(source->config->name));
}

static void put_param(struct buf *out, const char *name, struct slice value)
{
    buf_put_cstr(out, name);
    buf_put_percent(out, value);
}

static enum status endpoint(struct task *task, const struct identity_source *source,
                            struct slice *ret)
{
    CLEANUP(identity_issuer_facts_unref) struct identity_issuer_facts *facts = NULL;
    struct arena *arena = task_arena(task);
    if (!source->issuer) {
        *ret = arena_printf(arena, "%.*s/login/oauth/authorize", SLICE_ARG(source->config->url));
        return ret->data ? STATUS_OK : STATUS_EXHAUSTED;
    }
    enum status st = identity_issuer_get(task, source->issuer, &facts);
    if (st != STATUS_OK)
        return st;
    if (!facts->doc.authorization.len || !facts->doc.token.len)
        return identity_foreign_down(task, source, "its document names no endpoints to sign in");
    return arena_copy(arena, facts->doc.authorization, ret);
}

enum status identity_source_url(struct task *task, const struct identity_source *source,
                                const struct identity_flow *flow, struct slice *ret_url)
{
    const struct identity_provider *p = source->config;
    struct arena *arena = task_arena(task);
    struct slice where;
    struct buf challenge, url;
    enum status st = endpoint(task, source, &where);
    if (st != STATUS_OK)
        return st;
    const struct identity_digest digest = identity_secret_digest(flow->verifier);
    buf_init(&challenge, arena, 64, 64);
    buf_put_base64url(&challenge, digest.bytes, sizeof(digest.bytes));
    buf_init(&url, arena, 1024, (size_t)8 * 1024);
    buf_put_slice(&url, where);
    buf_putc(&url, slice_find(where, '?') == SIZE_MAX ? '?' : '&');
    put_param(&url, "response_type=code&client_id=", p->client_id);
    put_param(&url, "&redirect_uri=", identity_source_callback_url(arena, source));
    put_param(&url, "&scope=", p->scopes);
    put_param(&url, "&state=", flow->state);
    if (source->issuer)
        put_param(&url, "&nonce=", flow->nonce);
    put_param(&url, "&code_challenge_method=S256&code_challenge=", buf_slice(&challenge));
    if (p->preset == IDENTITY_PRESET_APPLE) /* they insist, where a name or address is asked for */
        buf_put_lit(&url, "&response_mode=form_post");
    *ret_url = buf_slice(&url);
    return buf_status(&url);
}

enum status identity_source_ask(struct task *task, const struct identity_source *source,
                                const struct identity_flow *flow,
                                const struct identity_callback *callback,
                                struct identity_foreign_person *ret)
{
    *ret = (struct identity_foreign_person){ .provider = source->config->name };
    return source->issuer ? identity__oidc_ask(task, source, flow, callback, ret)
                          : identity__github_ask(task, source, flow, callback, ret);
}
