/*
 * identity/issuer.c - Facts, kept: who fetches, who waits, and when it is tried again.
 *
 * One lock guards what is kept; nobody suspends under it. A task that waits has a place in a list
 * of its issuer, from which the one that fetches takes all when it is done.
 */
#include "identity/issuer.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/problem.h"
#include "fiber/task.h"

struct waiting {
    struct task_remote remote;
    struct waiting *next;
    bool is_listed;
};

enum outcome { FETCHED, FAILED, OUTCOMES };

struct identity_issuer {
    struct identity_issuer_options options;
    pthread_mutex_t lock;
    struct identity_issuer_facts *facts; /* NULL: none yet, or too old */
    struct waiting *waiting;
    bool is_fetching;
    int64_t retry_us; /* not before; monotonic */
    unsigned failures;
    unsigned unknown;   /* fetches left for unknown key ids, */
    int64_t unknown_us; /* as of then */
    metric_series fetches[OUTCOMES];
};

enum status identity_issuer_new(const struct identity_issuer_options *options,
                                struct identity_issuer **ret)
{
    static const struct metric_desc desc = {
        .name = "purlin_issuer_fetches",
        .help = "Fetches of the keys of other issuers, by what came of them.",
        .kind = METRIC_COUNTER,
        .labels = { "outcome" },
    };
    struct identity_issuer *issuer = calloc(1, sizeof(*issuer));
    if (!issuer)
        return STATUS_EXHAUSTED;
    issuer->options = *options;
    (void)pthread_mutex_init(&issuer->lock, NULL); /* cannot fail with default attributes */
    issuer->unknown = IDENTITY_ISSUER_UNKNOWN_MAX;
    if (options->metrics) {
        const struct slice names[OUTCOMES] = { SLICE("ok"), SLICE("failed") };
        unsigned metric = metric_declare(options->metrics, &desc);
        for (unsigned i = 0; i < OUTCOMES; i++)
            issuer->fetches[i] = metric_series_get(options->metrics, metric, &names[i]);
    }
    *ret = issuer;
    return STATUS_OK;
}

void identity_issuer_free(struct identity_issuer *issuer)
{
    if (!issuer)
        return;
    identity_issuer_facts_unref(issuer->facts);
    (void)pthread_mutex_destroy(&issuer->lock);
    free(issuer);
}

static struct identity_issuer_facts *ref(struct identity_issuer_facts *facts)
{
    atomic_fetch_add(&facts->refs, 1);
    return facts;
}

/* -- under the lock
 * ----------------------------------------------------------------------------------- */

/* For each while a fetch is allowed because of an unknown key id. */
static bool take_unknown(struct identity_issuer *issuer, int64_t now_us)
{
    int64_t gained = (now_us - issuer->unknown_us) / IDENTITY_ISSUER_UNKNOWN_EVERY_US;
    if (issuer->unknown == IDENTITY_ISSUER_UNKNOWN_MAX) {
        issuer->unknown_us = now_us;
    } else if (gained > 0) {
        int64_t sum = issuer->unknown + gained;
        issuer->unknown = (unsigned)MIN(sum, (int64_t)IDENTITY_ISSUER_UNKNOWN_MAX);
        issuer->unknown_us += gained * IDENTITY_ISSUER_UNKNOWN_EVERY_US;
    }
    if (!issuer->unknown)
        return false;
    issuer->unknown--;
    return true;
}

enum next { USE, FETCH, WAIT, GIVE_UP };

/* `seen`: other facts than these are wanted; NULL: any that are fresh, or kept. */
static enum next look(struct identity_issuer *issuer, const struct identity_issuer_facts *seen,
                      int64_t now_us)
{
    struct identity_issuer_facts *facts = issuer->facts;
    if (facts && now_us - facts->fetched_us > IDENTITY_ISSUER_KEPT_US) {
        identity_issuer_facts_unref(facts);
        issuer->facts = facts = NULL;
    }
    bool is_other = facts && facts != seen;
    bool is_fresh = is_other && now_us - facts->fetched_us < IDENTITY_ISSUER_FRESH_US;
    if (is_fresh || (is_other && issuer->is_fetching))
        return USE;
    if (issuer->is_fetching)
        return WAIT;
    if (now_us < issuer->retry_us)
        return is_other ? USE : GIVE_UP;
    return seen && facts && !is_other && !take_unknown(issuer, now_us) ? GIVE_UP : FETCH;
}

static void settle(struct identity_issuer *issuer, enum status st,
                   struct identity_issuer_facts *fetched)
{
    issuer->is_fetching = false;
    if (st == STATUS_OK) {
        identity_issuer_facts_unref(issuer->facts);
        issuer->facts = ref(fetched);
        issuer->failures = 0;
        issuer->retry_us = 0;
    } else if (st != STATUS_CANCELLED) { /* whoever asked has left: the next one tries */
        int64_t wait_us = IDENTITY_ISSUER_RETRY_US << MIN(issuer->failures, 16u);
        issuer->retry_us = clock_mono_us() + MIN(wait_us, IDENTITY_ISSUER_RETRY_MAX_US);
        issuer->failures++;
    }
    while (issuer->waiting) {
        struct waiting *first = issuer->waiting;
        issuer->waiting = first->next;
        first->is_listed = false;
        task_remote_wake(&first->remote);
    }
}

/* -- fetching and waiting
 * ----------------------------------------------------------------------------- */

/* Failing is told once by whoever fetched: those who waited may say it to their clients. */
static void report(struct identity_issuer *issuer, struct task *task, enum status st)
{
    if (issuer->options.metrics && st != STATUS_CANCELLED)
        metric_add(issuer->options.metrics, issuer->fetches[st == STATUS_OK ? FETCHED : FAILED], 1);
    if (st == STATUS_OK || st == STATUS_CANCELLED)
        return;
    const struct log_field fields[] = {
        LOG_TEXT("issuer", issuer->options.url.len ? issuer->options.url : issuer->options.jwks),
        LOG_TEXT("reason", task_problem(task)->detail),
        LOG_TEXT("cause", task_problem(task)->cause),
    };
    task_log(task, LOG_LEVEL_WARN, "identity.issuer_down", fields, ARRAY_LEN(fields));
}

static enum status fetch(struct task *task, struct identity_issuer *issuer,
                         struct identity_issuer_facts **ret)
{
    struct identity_issuer_facts *fetched = NULL;
    enum status st = identity__issuer_fetch(task, &issuer->options, &fetched);
    report(issuer, task, st);
    pthread_mutex_lock(&issuer->lock);
    settle(issuer, st, fetched);
    pthread_mutex_unlock(&issuer->lock);
    if (st == STATUS_OK)
        *ret = fetched;
    return st;
}

/* Enlisted already, under the lock. */
static enum status wait(struct task *task, struct identity_issuer *issuer, struct waiting *self)
{
    enum status st = STATUS_OK;
    while (st == STATUS_OK && !self->remote.done)
        st = task_wait(task);
    if (self->remote.done)
        return STATUS_OK;
    pthread_mutex_lock(&issuer->lock);
    bool was_listed = self->is_listed;
    for (struct waiting **at = &issuer->waiting; was_listed && *at; at = &(*at)->next) {
        if (*at != self)
            continue;
        *at = self->next;
        break;
    }
    pthread_mutex_unlock(&issuer->lock);
    while (!was_listed && !self->remote.done)
        task_wait_always(task); /* the wake is under way, and writes into this frame */
    return st;
}

static enum status refuse(struct task *task, const struct identity_issuer *issuer,
                          const struct identity_issuer_facts *seen)
{
    if (seen)
        return STATUS_NOT_FOUND;
    return problem_set(task, STATUS_UNAVAILABLE, "identity/issuer-down",
                       "%.*s cannot be used now: it did not answer. Try again in a while.",
                       SLICE_ARG(issuer->options.name));
}

static enum status get(struct task *task, struct identity_issuer *issuer,
                       const struct identity_issuer_facts *seen, struct identity_issuer_facts **ret)
{
    for (;;) {
        struct waiting self = { .is_listed = true };
        task_remote_init(&self.remote, task);
        pthread_mutex_lock(&issuer->lock);
        enum next next = look(issuer, seen, clock_mono_us());
        struct identity_issuer_facts *known = issuer->facts;
        if (next == USE || (next == FETCH && known && known != seen))
            known = ref(known);
        else
            known = NULL;
        issuer->is_fetching |= next == FETCH;
        if (next == WAIT) {
            self.next = issuer->waiting;
            issuer->waiting = &self;
        }
        pthread_mutex_unlock(&issuer->lock);

        enum status st = STATUS_OK;
        if (next == GIVE_UP)
            return refuse(task, issuer, seen);
        if (next == FETCH)
            st = fetch(task, issuer, ret);
        if (next == FETCH && st == STATUS_UNAVAILABLE && known) {
            problem_clear(task_problem(task)); /* what is known holds on */
            st = STATUS_OK;
            next = USE;
        } else if (next == FETCH && known) {
            identity_issuer_facts_unref(known);
        }
        if (next == USE)
            *ret = known;
        if (next == WAIT)
            st = wait(task, issuer, &self);
        if (next != WAIT || st != STATUS_OK)
            return st;
    }
}

enum status identity_issuer_get(struct task *task, struct identity_issuer *issuer,
                                struct identity_issuer_facts **ret)
{
    return get(task, issuer, NULL, ret);
}

enum status identity_issuer_get_newer(struct task *task, struct identity_issuer *issuer,
                                      const struct identity_issuer_facts *seen,
                                      struct identity_issuer_facts **ret)
{
    enum status st = get(task, issuer, seen, ret);
    if (st != STATUS_UNAVAILABLE)
        return st;
    problem_clear(task_problem(task)); /* it is down, and its keys as they were */
    return STATUS_NOT_FOUND;
}

/* -- verifying
 * ---------------------------------------------------------------------------------------- */

enum status identity_issuer_verify(struct task *task, struct identity_issuer *issuer,
                                   struct slice token, struct identity_jose_policy policy,
                                   int64_t now_us, struct identity_jose_token *ret_token,
                                   enum identity_jose_refusal *ret_refusal)
{
    CLEANUP(identity_issuer_facts_unref) struct identity_issuer_facts *facts = NULL;
    CLEANUP(identity_issuer_facts_unref) struct identity_issuer_facts *newer = NULL;
    enum status st = identity_issuer_get(task, issuer, &facts);
    if (st != STATUS_OK)
        return st;
    policy.keys = &facts->keys;
    st = identity_jose_verify(task_arena(task), token, &policy, now_us, ret_token, ret_refusal);
    ret_token->key = NULL;
    if (st != STATUS_UNAUTHENTICATED || *ret_refusal != IDENTITY_JOSE_NO_KEY)
        return st;
    st = identity_issuer_get_newer(task, issuer, facts, &newer);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_UNAUTHENTICATED : st;
    policy.keys = &newer->keys;
    st = identity_jose_verify(task_arena(task), token, &policy, now_us, ret_token, ret_refusal);
    ret_token->key = NULL;
    return st;
}
