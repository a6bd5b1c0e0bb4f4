/*
 * net/client_open.c - A loop's client: opening, closing, its buffers and its figures.
 */
#include "net/client_private.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"

#define FREE_INS_MAX 32u
#define STATUSES 600u

/* -- buffers
 * -----------------------------------------------------------------------------------------------------
 */

struct net__in *net__in_take(struct net_client *client)
{
    struct net__in *in = client->free_ins;
    if (!in) {
        in = malloc(sizeof(*in));
        if (!in)
            return NULL;
    } else {
        client->free_ins = in->next;
        client->free_ins_len--;
    }
    in->next = NULL;
    in->start = in->end = 0;
    return in;
}

void net__in_give(struct net_client *client, struct net__in *in)
{
    if (client->free_ins_len >= FREE_INS_MAX) {
        free(in);
        return;
    }
    in->next = client->free_ins;
    client->free_ins = in;
    client->free_ins_len++;
}

/* -- figures
 * -----------------------------------------------------------------------------------------------------
 */

struct net__client_metrics {
    struct metrics *metrics;
    unsigned duration;
    metric_series idle, active;
    metric_series counters[NET__COUNTERS];
    /* Of answers: method and status; looked up once each. */
    metric_series done[NET_METHOD_COUNT][STATUSES];
};

static metric_series counter(struct metrics *m, const char *name, const char *help,
                             const char *label, struct slice value)
{
    unsigned metric = metric_declare(
        m, &(struct metric_desc){
               .name = name, .help = help, .kind = METRIC_COUNTER, .labels = { label } });
    return metric_series_get(m, metric, &value);
}

static struct net__client_metrics *metrics_open(struct metrics *m)
{
    struct net__client_metrics *cm = calloc(1, sizeof(*cm));
    if (!cm)
        return NULL;
    cm->metrics = m;
    cm->duration = metric_declare(
        m, &(struct metric_desc){
               .name = "http_client_request_duration_seconds",
               .help = "Time from asking for a request to the end of its answer.",
               .kind = METRIC_HISTOGRAM,
               .labels = { "http_request_method", "http_response_status_code", "error_type" },
               .buckets = metric_buckets_seconds,
               .buckets_len = 14 });
    unsigned open = metric_declare(
        m, &(struct metric_desc){ .name = "http_client_open_connections",
                                  .help = "Connections to other servers, in use and kept.",
                                  .kind = METRIC_GAUGE,
                                  .labels = { "http_connection_state" } });
    cm->idle = metric_series_get(m, open, (struct slice[]){ SLICE("idle") });
    cm->active = metric_series_get(m, open, (struct slice[]){ SLICE("active") });
    cm->counters[NET__COUNT_RETRY] =
        counter(m, "purlin_client_retries",
                "Requests sent again because a kept connection had died.", NULL, SLICE_NULL);
    cm->counters[NET__COUNT_REFUSED_ADDRESS] =
        counter(m, "purlin_client_refused_addresses",
                "URLs from users that led where they may not.", NULL, SLICE_NULL);
    static const char name[] = "purlin_client_name_lookups";
    static const char help[] = "Host names looked up.";
    cm->counters[NET__COUNT_NAME_FOUND] = counter(m, name, help, "outcome", SLICE("found"));
    cm->counters[NET__COUNT_NAME_MISSING] = counter(m, name, help, "outcome", SLICE("missing"));
    cm->counters[NET__COUNT_NAME_FAILED] = counter(m, name, help, "outcome", SLICE("failed"));
    return cm;
}

void net__count(struct net_client *client, enum net__counter what)
{
    struct net__client_metrics *cm = client->metrics;
    if (cm)
        metric_add(cm->metrics, cm->counters[what], 1);
}

void net__count_connections(struct net_client *client, int idle_change, int active_change)
{
    struct net__client_metrics *cm = client->metrics;
    if (!cm)
        return;
    metric_add(cm->metrics, cm->idle, idle_change);
    metric_add(cm->metrics, cm->active, active_change);
}

static metric_series series_of(struct net__client_metrics *cm, enum net_method method, int status,
                               const char *error)
{
    char digits[4] = "";
    if (status >= 100 && status < 1000) {
        digits[0] = (char)('0' + status / 100);
        digits[1] = (char)('0' + status / 10 % 10);
        digits[2] = (char)('0' + status % 10);
    }
    const struct slice values[] = { net_method_text(method), slice_cstr(digits),
                                    slice_cstr(error) };
    return metric_series_get(cm->metrics, cm->duration, values);
}

/* What the metric calls a failure: the tail of a problem type of ours, or the status. */
static const char *error_of(enum status st, const char *type)
{
    static const struct slice ours = SLICE_INIT("client/");
    struct slice text = slice_cstr(type);
    return type && slice_starts(text, ours) ? type + ours.len : status_name(st);
}

void net__observe(struct net_client *client, enum net_method method, int status, enum status st,
                  const char *type, int64_t started_us)
{
    struct net__client_metrics *cm = client->metrics;
    metric_series series;
    if (!cm)
        return;
    if (st == STATUS_OK && status >= 0 && status < (int)STATUSES) {
        metric_series *kept = &cm->done[method][status];
        if (*kept == 0)
            *kept = series_of(cm, method, status, "");
        series = *kept;
    } else {
        series = series_of(cm, method, st == STATUS_OK ? status : 0,
                           st == STATUS_OK ? "" : error_of(st, type));
    }
    metric_observe(cm->metrics, series, loop_now_us(client->loop) - started_us);
}

void net__count_done(struct net_client_exchange *x, enum status st, const char *type)
{
    if (x->counted)
        return;
    x->counted = true;
    net__observe(x->client, x->method, x->head.response.status, st, type, x->started_us);
}

void net_client_stats_read(const struct net_client *client, struct net_client_stats *ret_stats)
{
    *ret_stats = client->stats;
    ret_stats->waiting = client->waiting;
}

/* -- opening and closing
 * ----------------------------------------------------------------------------------------- */

static pthread_once_t slot_once = PTHREAD_ONCE_INIT;
static unsigned slot;

static void slot_make(void)
{
    slot = loop_slot_new();
}

struct net_client *net_client_of(struct loop *loop)
{
    (void)pthread_once(&slot_once, slot_make);
    return loop_slot_get(loop, slot);
}

static void set_defaults(struct net_client_options *o)
{
#define DEFAULT(field, value)                                                                      \
    if (o->field == 0)                                                                             \
    o->field = (value)
    DEFAULT(connections_max, 512);
    DEFAULT(host_connections_max, 64);
    DEFAULT(waiting_max, 1024);
    DEFAULT(names_max, 256);
    DEFAULT(idle_timeout_us, 60 * CLOCK_SECOND);
    DEFAULT(lifetime_us, 5 * CLOCK_MINUTE);
    DEFAULT(name_ttl_us, 30 * CLOCK_SECOND);
    DEFAULT(name_missing_ttl_us, 5 * CLOCK_SECOND);
#undef DEFAULT
}

enum status net_client_open(struct loop *loop, const struct net_client_options *options,
                            struct net_client **ret_client)
{
    (void)pthread_once(&slot_once, slot_make);
    /* A peer that goes away is told by EPIPE, not by a signal to the process. */
    (void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this signal */
    struct net_client *client = calloc(1, sizeof(*client));
    if (!client)
        return STATUS_EXHAUSTED;
    client->loop = loop;
    client->options = *options;
    set_defaults(&client->options);
    if (options->allow)
        client->allow = *options->allow;
    client->options.allow = &client->allow;
    if (options->metrics) {
        client->metrics = metrics_open(options->metrics);
        if (!client->metrics) {
            free(client);
            return STATUS_EXHAUSTED;
        }
    }
    (void)net__client_tls_ref(client->options.tls);
    client->handles = 1; /* ours */
    loop_slot_set(loop, slot, client);
    *ret_client = client;
    return STATUS_OK;
}

void net__client_forget(struct net_client *client)
{
    if (--client->handles > 0)
        return;
    for (struct net__link *link = client->free_links, *next; link; link = next) {
        next = link->idle_older;
        free(link);
    }
    for (struct net__in *in = client->free_ins, *next; in; in = next) {
        next = in->next;
        free(in);
    }
    net_client_tls_free(client->options.tls);
    free(client->metrics);
    free(client);
}

void net_client_close(struct net_client *client)
{
    if (!client)
        return;
    client->closed = true;
    loop_slot_set(client->loop, slot, NULL);
    net__curl_close(client);
    net__names_close(client);
    net__pool_close(client);
    net__client_forget(client);
}
