/*
 * store/stats.c - The store's figures, and the metrics made of them.
 */
#include <sys/stat.h>

#include "base/clock.h"
#include "store/internal.h"

#define LOAD(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)

static void add_lanes(struct store *store, struct store_stats *s)
{
    pthread_mutex_lock(&store->lanes_lock);
    s->reads += store->left_reads;
    s->snapshots += store->left_snapshots;
    s->yields += store->left_yields;
    s->statements_prepared += store->left_prepared;
    for (struct store__lane *lane = store->lanes; lane; lane = lane->next_of_store) {
        s->reads += LOAD(lane->reads);
        s->snapshots += LOAD(lane->snapshots_begun);
        s->yields += LOAD(lane->yields);
        s->statements_prepared += LOAD(lane->prepared);
        s->read_connections += LOAD(lane->conns_len);
    }
    pthread_mutex_unlock(&store->lanes_lock);
}

void store_stats_read(struct store *store, struct store_stats *ret)
{
    struct store_stats s = {
        .writes = LOAD(store->writes),
        .commits = LOAD(store->commits),
        .rollbacks = LOAD(store->rollbacks),
        .statements_prepared = LOAD(store->other_prepared),
        .wal_bytes = LOAD(store->wal_bytes),
        .write_queue = LOAD(store->waiting),
        .writes_failing = LOAD(store->writes_failing),
    };
    struct stat info;
    if (stat(store->path, &info) == 0)
        s.database_bytes = info.st_size;
    add_lanes(store, &s);
    *ret = s;
}

/* -- metrics ----------------------------------------------------------------------------------- */

static const double seconds[] = { 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                  0.025,   0.05,   0.1,     0.25,   0.5,   1,      2.5,   5 };
static const double batch_sizes[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256 };

static const struct metric_desc durations = {
    .name = "db_client_operation_duration_seconds",
    .help = "Time from asking the database to the end of the answer; of writes, to being on disk.",
    .kind = METRIC_HISTOGRAM,
    .labels = { "operation" },
    .buckets = seconds,
    .buckets_len = ARRAY_LEN(seconds),
};
static const struct metric_desc batches = {
    .name = "purlin_store_batch_writes",
    .help = "Writes that one commit made durable.",
    .kind = METRIC_HISTOGRAM,
    .buckets = batch_sizes,
    .buckets_len = ARRAY_LEN(batch_sizes),
};
static const struct metric_desc commits = {
    .name = "purlin_store_commits",
    .help = "Commits, each of one batch of writes.",
    .kind = METRIC_COUNTER,
};
static const struct metric_desc checkpoints = {
    .name = "purlin_store_checkpoints",
    .help = "Times the write-ahead log was copied into the database.",
    .kind = METRIC_COUNTER,
};

static double read_queue(void *arg)
{
    return LOAD(((struct store *)arg)->waiting);
}

static double read_wal_bytes(void *arg)
{
    return (double)LOAD(((struct store *)arg)->wal_bytes);
}

static double read_database_bytes(void *arg)
{
    struct stat info;
    return stat(((struct store *)arg)->path, &info) == 0 ? (double)info.st_size : 0;
}

static double read_failing(void *arg)
{
    return LOAD(((struct store *)arg)->writes_failing);
}

static double read_connections(void *arg)
{
    struct store_stats s = { 0 };
    add_lanes(arg, &s);
    return s.read_connections;
}

static const struct {
    const char *name, *help;
    metric_read_fn read;
} gauges[] = {
    { "purlin_store_write_queue", "Writes waiting for the writer.", read_queue },
    { "purlin_store_wal_bytes", "Length of the write-ahead log since it was begun anew.",
      read_wal_bytes },
    { "purlin_store_database_bytes", "Size of the database file.", read_database_bytes },
    { "purlin_store_writes_failing", "1 while commits fail (disk full or broken).", read_failing },
    { "purlin_store_read_connections", "Open read connections of all loops.", read_connections },
};

void store__metrics_declare(struct store *store)
{
    struct metrics *m = store->metrics;
    unsigned metric = metric_declare(m, &durations);
    store->series[STORE__METRIC_READ] =
        metric_series_get(m, metric, (struct slice[]){ SLICE("read") });
    store->series[STORE__METRIC_WRITE] =
        metric_series_get(m, metric, (struct slice[]){ SLICE("write") });
    metric = metric_declare(m, &batches);
    store->series[STORE__METRIC_BATCH] = metric_series_get(m, metric, NULL);
    metric = metric_declare(m, &commits);
    store->series[STORE__METRIC_COMMITS] = metric_series_get(m, metric, NULL);
    metric = metric_declare(m, &checkpoints);
    store->series[STORE__METRIC_CHECKPOINTS] = metric_series_get(m, metric, NULL);
    for (size_t i = 0; i < ARRAY_LEN(gauges); i++) {
        const struct metric_desc desc = { .name = gauges[i].name,
                                          .help = gauges[i].help,
                                          .kind = METRIC_GAUGE };
        metric = metric_declare(m, &desc);
        metric_callback(m, metric, NULL, gauges[i].read, store);
    }
}

void store__observe(struct store *store, enum store__metric metric, int64_t value)
{
    if (!store->metrics)
        return;
    if (metric == STORE__METRIC_COMMITS || metric == STORE__METRIC_CHECKPOINTS)
        metric_add(store->metrics, store->series[metric], value);
    else
        metric_observe(store->metrics, store->series[metric], value);
}
