/*
 * http/request_metrics.c - Requests counted and timed, by method, route and status.
 *
 * The handle of a series is looked up once for each combination and kept beside the route's name,
 * so a warm request adds to memory of its own thread and takes no lock. Names that handlers set
 * (one pattern serving many resources) live in a table that only grows, up to a bound; past it, and
 * for paths without a route, there is one name for all.
 */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#define LABELS_MAX 1024u
#define TABLE_SLOTS (2 * LABELS_MAX)
#define SERIES_UNKNOWN UINT32_MAX

/* Statuses that have a place of their own; the others are looked up each time. */
static const uint8_t status_places[600] = {
    [200] = 1,  [201] = 2,  [202] = 3,  [204] = 4,  [206] = 5,  [207] = 6,  [301] = 7,  [302] = 8,
    [303] = 9,  [304] = 10, [307] = 11, [308] = 12, [400] = 13, [401] = 14, [403] = 15, [404] = 16,
    [405] = 17, [406] = 18, [408] = 19, [409] = 20, [410] = 21, [412] = 22, [413] = 23, [414] = 24,
    [415] = 25, [416] = 26, [417] = 27, [422] = 28, [428] = 29, [429] = 30, [431] = 31, [500] = 32,
    [501] = 33, [502] = 34, [503] = 35, [504] = 36, [505] = 37,
};
#define PLACES 38u
/* HTTP/1.1 and HTTP/2 have places; 1.0 is looked up each time. */
#define PROTOCOLS 2u

struct http__label {
    struct slice name;
    uint64_t hash;
    metric_series series[PROTOCOLS][NET_METHOD_COUNT][PLACES]; /* atomic */
};

struct http__metrics {
    struct metrics *metrics; /* NULL: nothing is counted, names are still kept */
    unsigned duration;
    unsigned refusals;
    unsigned abuse;
    metric_series active;
    metric_series connections;
    metric_series stalled;
    struct http__label *unmatched;
    pthread_mutex_t lock; /* of adding names */
    unsigned labels_len;
    struct http__label *table[TABLE_SLOTS]; /* atomic; open addressing */
};

static void declare(struct http__metrics *hm)
{
    struct metrics *m = hm->metrics;
    hm->duration = metric_declare(
        m, &(struct metric_desc){
               .name = "http_server_request_duration_seconds",
               .help = "Time from the first byte of a request to the end of its answer.",
               .kind = METRIC_HISTOGRAM,
               .labels = { "http_request_method", "http_route", "http_response_status_code",
                           "network_protocol_version" },
               .buckets = metric_buckets_seconds,
               .buckets_len = 14 });
    unsigned active =
        metric_declare(m, &(struct metric_desc){ .name = "http_server_active_requests",
                                                 .help = "Requests being answered now.",
                                                 .kind = METRIC_GAUGE });
    unsigned connections = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_http_connections",
                                  .help = "Connections open now, idle ones among them.",
                                  .kind = METRIC_GAUGE });
    hm->refusals = metric_declare(
        m, &(struct metric_desc){
               .name = "purlin_http_refusals",
               .help = "Requests refused before they were whole: malformed, too large, too slow.",
               .kind = METRIC_COUNTER,
               .labels = { "http_response_status_code" } });
    hm->abuse = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_http2_abuse",
                                  .help = "Peers of HTTP/2 that went past a bound, by kind.",
                                  .kind = METRIC_COUNTER,
                                  .labels = { "kind" } });
    unsigned stalled = metric_declare(
        m, &(struct metric_desc){
               .name = "purlin_http_stalled",
               .help = "Connections closed because the client took too little of an answer.",
               .kind = METRIC_COUNTER });
    hm->stalled = metric_series_get(m, stalled, NULL);
    hm->active = metric_series_get(m, active, NULL);
    hm->connections = metric_series_get(m, connections, NULL);
}

struct http__metrics *http__metrics_new(struct metrics *metrics)
{
    struct http__metrics *hm = calloc(1, sizeof(*hm));
    if (!hm)
        return NULL;
    hm->metrics = metrics;
    (void)pthread_mutex_init(&hm->lock, NULL); /* never fails with these attributes */
    if (metrics)
        declare(hm);
    hm->unmatched = http__label_get(hm, SLICE("unmatched"));
    if (!hm->unmatched) {
        http__metrics_free(hm);
        return NULL;
    }
    return hm;
}

void http__metrics_free(struct http__metrics *hm)
{
    if (!hm)
        return;
    for (unsigned i = 0; i < TABLE_SLOTS; i++)
        free(hm->table[i]);
    (void)pthread_mutex_destroy(&hm->lock);
    free(hm);
}

static struct http__label *label_new(struct slice name, uint64_t hash)
{
    struct http__label *label = malloc(sizeof(*label) + name.len);
    if (!label)
        return NULL;
    char *text = (char *)(label + 1);
    memcpy(text, name.data, name.len);
    label->name = slice_of(text, name.len);
    label->hash = hash;
    memset(label->series, 0xff, sizeof(label->series)); /* SERIES_UNKNOWN */
    return label;
}

/* The place of a name in the table: its own, or the free one it would get. */
static struct http__label **place_of(struct http__metrics *hm, struct slice name, uint64_t hash)
{
    for (size_t i = hash % TABLE_SLOTS;; i = (i + 1) % TABLE_SLOTS) {
        struct http__label *label = __atomic_load_n(&hm->table[i], __ATOMIC_ACQUIRE);
        if (!label || (label->hash == hash && slice_eq(label->name, name)))
            return &hm->table[i];
    }
}

struct http__label *http__label_get(struct http__metrics *hm, struct slice name)
{
    uint64_t hash = hash64(name, 0);
    struct http__label *label = __atomic_load_n(place_of(hm, name, hash), __ATOMIC_ACQUIRE);
    if (LIKELY(label != NULL))
        return label;
    (void)pthread_mutex_lock(&hm->lock);
    struct http__label **place = place_of(hm, name, hash);
    label = *place;
    if (!label && hm->labels_len < LABELS_MAX)
        label = label_new(name, hash);
    if (label && !*place) {
        hm->labels_len++;
        __atomic_store_n(place, label, __ATOMIC_RELEASE);
    }
    (void)pthread_mutex_unlock(&hm->lock);
    return label ? label : hm->unmatched;
}

static struct http__label *label_of(const struct http_request *req)
{
    if (req->label)
        return req->label;
    return req->route ? req->route->label : req->app->metrics->unmatched;
}

struct slice http__label_name(const struct http_request *req)
{
    return label_of(req)->name;
}

static metric_series series_get(struct http__metrics *hm, struct http__label *label,
                                const struct http_request *req, int status)
{
    enum net_method method = http_method(req);
    struct slice version = net_http_version(req->x);
    unsigned place = status >= 0 && status < 600 ? status_places[status] : 0;
    if (slice_eq(version, SLICE("1.0")))
        place = 0;
    metric_series *cached = &label->series[version.data[0] == '2'][method][place];
    /* What the handle names was made by the loop that stored it. */
    metric_series series = place ? __atomic_load_n(cached, __ATOMIC_ACQUIRE) : SERIES_UNKNOWN;
    if (LIKELY(series != SERIES_UNKNOWN))
        return series;
    char code[3] = { (char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                     (char)('0' + status % 10) };
    struct slice values[] = { net_method_text(method), label->name, slice_of(code, 3), version };
    series = metric_series_get(hm->metrics, hm->duration, values);
    if (place)
        __atomic_store_n(cached, series, __ATOMIC_RELEASE);
    return series;
}

void http__metrics_connections(struct http__metrics *hm, int change)
{
    if (hm->metrics)
        metric_add(hm->metrics, hm->connections, change);
}

void http__metrics_refusal(struct http__metrics *hm, int status)
{
    if (!hm->metrics)
        return;
    char code[3] = { (char)('0' + status / 100), (char)('0' + status / 10 % 10),
                     (char)('0' + status % 10) };
    struct slice value = slice_of(code, 3);
    metric_add(hm->metrics, metric_series_get(hm->metrics, hm->refusals, &value), 1);
}

void http__metrics_http2_abuse(struct http__metrics *hm, const char *kind)
{
    if (!hm->metrics)
        return;
    struct slice value = slice_cstr(kind);
    metric_add(hm->metrics, metric_series_get(hm->metrics, hm->abuse, &value), 1);
}

void http__metrics_stalled(struct http__metrics *hm)
{
    if (hm->metrics)
        metric_add(hm->metrics, hm->stalled, 1);
}

static bool before(struct http_request *req)
{
    struct http__metrics *hm = req->app->metrics;
    if (hm->metrics)
        metric_add(hm->metrics, hm->active, 1);
    return true;
}

static void done(struct http_request *req)
{
    struct http__metrics *hm = req->app->metrics;
    if (!hm->metrics)
        return;
    metric_add(hm->metrics, hm->active, -1);
    int status = net_sent_status(req->x);
    if (status == 0)
        status = 499; /* the peer left before there was an answer: nginx's name for it */
    metric_observe(hm->metrics, series_get(hm, label_of(req), req, status), req->duration_us);
}

const struct http__step http__step_metrics = {
    .name = "metrics",
    .before = before,
    .done = done,
};
