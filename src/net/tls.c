/*
 * net/tls.c - The set of certificates in force, how it is replaced, and what is counted.
 */
#include "net/tls.h"

#include <math.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"

#define FACT_NAMES_BYTES 200u

/* A figure of a certificate file; it stays when the file is no longer served, and says nothing. */
struct expiry {
    char *file;         /* NULL: free */
    int64_t expires_us; /* atomic; 0: not served */
};

struct net_tls {
    pthread_mutex_t lock; /* of `set`, for as long as a reference takes; `expiries`, `tried` */
    struct net__tls_set *set;
    struct net__tls_tickets *tickets;
    struct metrics *metrics; /* or NULL */
    unsigned expiry_metric;
    struct expiry expiries[NET_TLS_CERTIFICATES_MAX];
    metric_series handshakes[NET__TLS_OUTCOME_COUNT][3]; /* by version: 1.2, 1.3, none */
    metric_series reloads[2];
    /* Of the last attempt to load, so that a bad file is refused once and not at every look. */
    struct net__tls_stamp tried[NET__TLS_FILES_MAX];
    size_t tried_len;
};

/* -- figures
 * ----------------------------------------------------------------------------------------- */

static double seconds_left(void *arg)
{
    const struct expiry *e = arg;
    int64_t expires_us = __atomic_load_n(&e->expires_us, __ATOMIC_RELAXED);
    return expires_us ? (double)(expires_us - clock_wall_us()) / 1e6 : (double)NAN;
}

/* The place of a file's figure; NULL when there were too many files. */
static struct expiry *expiry_of(struct net_tls *tls, struct slice file)
{
    for (unsigned i = 0; i < ARRAY_LEN(tls->expiries); i++) {
        struct expiry *e = &tls->expiries[i];
        if (!e->file) {
            e->file = slice_dup(file);
            if (e->file)
                metric_callback(tls->metrics, tls->expiry_metric, &file, seconds_left, e);
            return e->file ? e : NULL;
        }
        if (slice_eq(slice_cstr(e->file), file))
            return e;
    }
    return NULL;
}

static void tell_expiries(struct net_tls *tls, const struct net__tls_set *set)
{
    if (!tls->metrics)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(tls->expiries); i++)
        __atomic_store_n(&tls->expiries[i].expires_us, 0, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < set->options.certificates_len; i++) {
        struct expiry *e = expiry_of(tls, set->options.certificates[i].cert_file);
        if (e)
            __atomic_store_n(&e->expires_us, set->certs[i].expires_us, __ATOMIC_RELAXED);
    }
}

static void declare_metrics(struct net_tls *tls, struct metrics *m)
{
    static const char *const outcomes[NET__TLS_OUTCOME_COUNT] = {
        [NET__TLS_OUTCOME_FULL] = "full",       [NET__TLS_OUTCOME_RESUMED] = "resumed",
        [NET__TLS_OUTCOME_FAILED] = "failed",   [NET__TLS_OUTCOME_GONE] = "gone",
        [NET__TLS_OUTCOME_TIMEOUT] = "timeout", [NET__TLS_OUTCOME_SHED] = "shed",
        [NET__TLS_OUTCOME_CLEAR] = "clear",
    };
    static const char *const versions[3] = { "1.2", "1.3", "" };
    tls->expiry_metric = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_tls_certificate_expiry_seconds",
                                  .kind = METRIC_GAUGE,
                                  .labels = { "certificate" },
                                  .help = "Time until a served certificate ends; negative: it "
                                          "has." });
    unsigned handshakes =
        metric_declare(m, &(struct metric_desc){ .name = "purlin_tls_handshakes",
                                                 .kind = METRIC_COUNTER,
                                                 .labels = { "outcome", "version" },
                                                 .help = "TLS handshakes by how they ended." });
    for (unsigned i = 0; i < NET__TLS_OUTCOME_COUNT; i++) {
        /* Only of a complete handshake is there a version. */
        bool is_complete = i <= NET__TLS_OUTCOME_RESUMED;
        for (unsigned j = is_complete ? 0 : 2; j < (is_complete ? 2u : 3u); j++) {
            const struct slice values[] = { slice_cstr(outcomes[i]), slice_cstr(versions[j]) };
            tls->handshakes[i][j] = metric_series_get(m, handshakes, values);
        }
    }
    unsigned reloads =
        metric_declare(m, &(struct metric_desc){ .name = "purlin_tls_reloads",
                                                 .kind = METRIC_COUNTER,
                                                 .labels = { "outcome" },
                                                 .help = "Times that changed certificates were "
                                                         "taken over, or refused." });
    tls->reloads[0] = metric_series_get(m, reloads, &SLICE("ok"));
    tls->reloads[1] = metric_series_get(m, reloads, &SLICE("refused"));
}

void net__tls_count(struct net_tls *tls, enum net__tls_outcome outcome, int version)
{
    if (!tls->metrics)
        return;
    bool is_complete = outcome <= NET__TLS_OUTCOME_RESUMED;
    unsigned column = !is_complete ? 2 : version == TLS1_3_VERSION ? 1 : 0;
    metric_add(tls->metrics, tls->handshakes[outcome][column], 1);
}

/* Remember what the files look like; false when that is what they looked like the last time. */
static bool try_files(struct net_tls *tls, const struct net_tls_options *options)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct net__tls_stamp *now = arena_array_of(arena, struct net__tls_stamp, NET__TLS_FILES_MAX);
    size_t len = net__tls_stamps_take(arena, options, now);
    (void)pthread_mutex_lock(&tls->lock);
    bool is_new = len != tls->tried_len;
    for (size_t i = 0; i < len && !is_new; i++) {
        const struct net__tls_stamp *a = &now[i], *b = &tls->tried[i];
        is_new = a->changed_ns != b->changed_ns || a->size != b->size || a->inode != b->inode;
    }
    memcpy(tls->tried, now, len * sizeof(*now));
    tls->tried_len = len;
    (void)pthread_mutex_unlock(&tls->lock);
    return is_new;
}

/* -- life
 * --------------------------------------------------------------------------------------------- */

enum status net_tls_new(const struct net_tls_options *options, struct metrics *metrics,
                        struct net_tls **ret_tls, struct net_tls_error *ret_error)
{
    struct net_tls *tls = calloc(1, sizeof(*tls));
    if (!tls || pthread_mutex_init(&tls->lock, NULL) != 0) {
        free(tls);
        return net__tls_refuse(ret_error, SLICE("tls"), "there is no memory for it");
    }
    enum status st = STATUS_OK;
    tls->tickets = net__tls_tickets_new(options->ticket_period_us);
    if (!tls->tickets)
        st = net__tls_refuse(ret_error, SLICE("tls"), "the system gives no random bytes");
    if (st == STATUS_OK)
        st = net__tls_set_new(options, tls->tickets, &tls->set, ret_error);
    if (st != STATUS_OK) {
        net_tls_free(tls);
        return st;
    }
    memcpy(tls->tried, tls->set->stamps, sizeof(tls->tried));
    tls->tried_len = tls->set->stamps_len;
    tls->metrics = metrics;
    if (metrics) {
        declare_metrics(tls, metrics);
        tell_expiries(tls, tls->set);
    }
    *ret_tls = tls;
    return STATUS_OK;
}

void net_tls_free(struct net_tls *tls)
{
    if (!tls)
        return;
    net__tls_set_unref(tls->set);
    net__tls_tickets_free(tls->tickets);
    for (unsigned i = 0; i < ARRAY_LEN(tls->expiries); i++)
        free(tls->expiries[i].file);
    (void)pthread_mutex_destroy(&tls->lock);
    free(tls);
}

struct net__tls_set *net__tls_set_get(struct net_tls *tls)
{
    (void)pthread_mutex_lock(&tls->lock);
    struct net__tls_set *set = tls->set;
    __atomic_add_fetch(&set->refs, 1, __ATOMIC_RELAXED);
    (void)pthread_mutex_unlock(&tls->lock);
    return set;
}

struct net__tls_tickets *net__tls_tickets_of(struct net_tls *tls)
{
    return tls->tickets;
}

static enum status reload(struct net_tls *tls, const struct net_tls_options *options,
                          struct net_tls_error *ret_error)
{
    struct net__tls_set *set = NULL, *old = NULL;
    enum status st = net__tls_set_new(options, tls->tickets, &set, ret_error);
    if (st == STATUS_OK) {
        (void)pthread_mutex_lock(&tls->lock);
        old = tls->set;
        tls->set = set;
        tell_expiries(tls, set);
        (void)pthread_mutex_unlock(&tls->lock);
        net__tls_set_unref(old);
    }
    if (tls->metrics)
        metric_add(tls->metrics, tls->reloads[st != STATUS_OK], 1);
    return st;
}

enum status net_tls_reload(struct net_tls *tls, const struct net_tls_options *options,
                           struct net_tls_error *ret_error)
{
    (void)try_files(tls, options); /* asked for: whether they changed or not */
    return reload(tls, options, ret_error);
}

enum status net_tls_refresh(struct net_tls *tls, struct net_tls_error *ret_error)
{
    struct net__tls_set *set = net__tls_set_get(tls);
    enum status st = STATUS_NOT_FOUND;
    if (try_files(tls, &set->options))
        st = reload(tls, &set->options, ret_error);
    net__tls_set_unref(set);
    return st;
}

/* -- facts
 * ------------------------------------------------------------------------------------------- */

static struct slice names_of(const struct net__tls_cert *cert, struct arena *arena)
{
    struct buf out;
    buf_init(&out, arena, 64, FACT_NAMES_BYTES + 512);
    for (unsigned i = 0; i < cert->names_len; i++) {
        if (out.len > FACT_NAMES_BYTES) {
            buf_printf(&out, " and %u more", cert->names_len - i);
            break;
        }
        if (i > 0)
            buf_put_lit(&out, ", ");
        buf_put_slice(&out, cert->names[i]);
    }
    return buf_slice(&out);
}

bool net_tls_fact(struct net_tls *tls, unsigned i, struct arena *arena, struct net_tls_fact *ret)
{
    struct net__tls_set *set = net__tls_set_get(tls);
    bool exists = i < set->options.certificates_len;
    if (exists) {
        const struct net__tls_cert *cert = &set->certs[i];
        struct slice file = SLICE_NULL;
        exists = arena_copy(arena, set->options.certificates[i].cert_file, &file) == STATUS_OK;
        *ret = (struct net_tls_fact){
            .cert_file = file,
            .names = names_of(cert, arena),
            .expires_us = cert->expires_us,
            .staple = cert->staple_state,
        };
    }
    net__tls_set_unref(set);
    return exists;
}
