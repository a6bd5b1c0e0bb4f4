/*
 * identity/issuer_fetch.c - Requests to other issuers. Where they lead was said by configuration
 * or by the issuer, and what the latter says may be wrong: the guard of users' URLs holds for all.
 */
#include "identity/issuer.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "net/client.h"

#define CALL_US (10 * CLOCK_SECOND)
#define FACTS_BYTES_MAX ((size_t)512 * 1024)

enum status identity_issuer_call(struct task *task, const struct identity_issuer_call *call,
                                 int *ret_http, struct slice *ret_body)
{
    struct net_url url;
    struct net_client_response response;
    const char *reason;
    bool is_http;
    if (!identity_issuer_url_is_good(task_arena(task), call->url, &is_http) ||
        net_url_parse(task_arena(task), call->url, &url, &reason) != STATUS_OK)
        return problem_set(task, STATUS_UNAVAILABLE, "identity/issuer-down",
                           "An endpoint of the provider is no https URL.");
    const uint16_t port = (uint16_t)url.port;
    struct net_header headers[4] = { { .name = SLICE("accept"),
                                       .value = SLICE("application/json") },
                                     { .name = SLICE("user-agent"), .value = SLICE("Purlin") } };
    unsigned len = 2;
    if (call->form.len)
        headers[len++] = (struct net_header){ .name = SLICE("content-type"),
                                              .value = SLICE("application/x-www-form-urlencoded") };
    if (call->authorization.len)
        headers[len++] =
            (struct net_header){ .name = SLICE("authorization"), .value = call->authorization };
    const struct net_client_request request = {
        .method = call->form.len ? NET_METHOD_POST : NET_METHOD_GET,
        .url = call->url,
        .headers = headers,
        .headers_len = len,
        .body = call->form,
        .from_user = true,
        .ports = &port,
        .ports_len = 1,
        .answer_bytes_max = (int64_t)call->bytes_max,
        .timeouts = { .first_byte_us = CALL_US, .read_us = CALL_US, .total_us = CALL_US },
    };
    enum status st = net_client_fetch(task, &request, &response, ret_body);
    *ret_http = st == STATUS_OK ? response.status : 0;
    return st;
}

/* -- facts
 * ------------------------------------------------------------------------------------------- */

void identity_issuer_facts_unref(struct identity_issuer_facts *facts)
{
    if (!facts || atomic_fetch_sub(&facts->refs, 1) > 1)
        return;
    identity_jose_set_clear(&facts->keys);
    if (facts->arena)
        arena_free(facts->arena);
    free(facts);
}

static enum status down(struct task *task, const struct identity_issuer_options *options,
                        const char *why)
{
    problem_clear(task_problem(task));
    return problem_set(task, STATUS_UNAVAILABLE, "identity/issuer-down",
                       "%.*s cannot be used now: %s.", SLICE_ARG(options->name), why);
}

/* What the client said is for the log. */
static enum status get(struct task *task, const struct identity_issuer_options *options,
                       struct slice url, size_t bytes_max, struct slice *ret)
{
    const struct identity_issuer_call call = { .url = url, .bytes_max = bytes_max };
    int http = 0;
    enum status st = identity_issuer_call(task, &call, &http, ret);
    if (st == STATUS_CANCELLED || (st == STATUS_OK && http == 200))
        return st;
    struct slice cause = task_problem(task)->detail;
    st = down(task, options, st == STATUS_OK ? "it answers with an error" : "it does not answer");
    if (cause.len)
        problem_cause(task_problem(task), task_arena(task), cause);
    return st;
}

static enum status fetch_doc(struct task *task, const struct identity_issuer_options *options,
                             struct identity_issuer_facts *facts)
{
    struct arena *arena = task_arena(task);
    struct slice base = options->url, text;
    bool is_http = false;
    const char *reason;
    if (slice_ends(base, SLICE("/")))
        base.len--;
    struct slice url =
        arena_printf(arena, "%.*s/.well-known/openid-configuration", SLICE_ARG(base));
    if (!url.data || !identity_issuer_url_is_good(arena, options->url, &is_http))
        return down(task, options, "its URL is not good");
    enum status st = get(task, options, url, IDENTITY_ISSUER_DOC_BYTES_MAX, &text);
    if (st != STATUS_OK)
        return st;
    st = identity_issuer_doc_read(facts->arena, text, is_http, &facts->doc, &reason);
    if (st != STATUS_OK)
        return down(task, options, st == STATUS_INVALID ? reason : "its document is too large");
    /* Whoever answers here could otherwise speak for another issuer (Discovery, section 4.3). */
    struct slice want = options->expects.len ? options->expects : options->url;
    if (!slice_eq(facts->doc.issuer, want))
        return down(task, options, "its document is of another issuer");
    return STATUS_OK;
}

static enum status fetch_keys(struct task *task, const struct identity_issuer_options *options,
                              struct slice url, struct identity_issuer_facts *facts)
{
    struct slice text;
    enum status st = get(task, options, url, IDENTITY_JOSE_SET_BYTES_MAX, &text);
    if (st != STATUS_OK)
        return st;
    if (identity_jose_set_parse(text, &facts->keys) != STATUS_OK)
        return down(task, options, "its keys are no JWKS");
    return facts->keys.len ? STATUS_OK : down(task, options, "it publishes no usable key");
}

enum status identity__issuer_fetch(struct task *task, const struct identity_issuer_options *options,
                                   struct identity_issuer_facts **ret)
{
    CLEANUP(identity_issuer_facts_unref)
    struct identity_issuer_facts *facts = calloc(1, sizeof(*facts));
    enum status st = STATUS_OK;
    if (!facts)
        return down(task, options, "there is no memory for it");
    atomic_init(&facts->refs, 1);
    facts->arena = arena_new(NULL, FACTS_BYTES_MAX);
    if (!facts->arena)
        return down(task, options, "there is no memory for it");
    if (!options->jwks.len)
        st = fetch_doc(task, options, facts);
    if (st == STATUS_OK)
        st = fetch_keys(task, options, options->jwks.len ? options->jwks : facts->doc.jwks, facts);
    if (st != STATUS_OK)
        return st;
    facts->fetched_us = clock_mono_us();
    *ret = facts;
    facts = NULL;
    return STATUS_OK;
}
