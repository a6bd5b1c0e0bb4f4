#include "check.h"

#include <math.h>
#include <pthread.h>
#include <semaphore.h>

#include "base/buf.h"
#include "base/metric.h"

struct fixture {
    struct metrics *metrics;
    struct buf text;
};

static struct fixture fixture;

static int setup(void **state)
{
    fixture.metrics = metrics_new();
    buf_init(&fixture.text, NULL, 0, (size_t)16 << 20);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    metrics_free(f->metrics);
    buf_fini(&f->text);
    return 0;
}

static struct slice rendered(struct fixture *f, bool open_metrics)
{
    buf_clear(&f->text);
    metrics_render(f->metrics, open_metrics, &f->text);
    assert_int_equal(buf_status(&f->text), STATUS_OK);
    return buf_slice(&f->text);
}

static double half(void *arg)
{
    return *(const double *)arg;
}

static const struct metric_desc requests = {
    .name = "requests",
    .help = "Requests \"seen\",\nby \\ kind.",
    .kind = METRIC_COUNTER,
    .labels = { "method", "route" },
};

static const double sizes[] = { 1, 10, 1000 };

static void test_text(void **state)
{
    struct fixture *f = *state;
    struct metrics *m = f->metrics;
    unsigned counter = metric_declare(m, &requests);
    unsigned gauge = metric_declare(
        m,
        &(struct metric_desc){ .name = "queue_bytes", .help = "Waiting.", .kind = METRIC_GAUGE });
    unsigned plain = metric_declare(m, &(struct metric_desc){ .name = "sizes",
                                                              .help = "Sizes.",
                                                              .kind = METRIC_HISTOGRAM,
                                                              .labels = { "of" },
                                                              .buckets = sizes,
                                                              .buckets_len = 3 });
    unsigned busy = metric_declare(
        m,
        &(struct metric_desc){ .name = "busy_seconds", .help = "Busy.", .kind = METRIC_COUNTER });
    unsigned empty = metric_declare(
        m, &(struct metric_desc){
               .name = "empty", .help = "None.", .kind = METRIC_GAUGE, .labels = { "x" } });
    unsigned asked = metric_declare(
        m, &(struct metric_desc){
               .name = "load_ratio", .help = "Load.", .kind = METRIC_GAUGE, .labels = { "of" } });
    assert_int_equal(empty, 4);

    metric_add(m, metric_series_get(m, counter, (struct slice[]){ SLICE("GET"), SLICE("/a") }), 2);
    metric_add(m,
               metric_series_get(m, counter,
                                 (struct slice[]){ SLICE("a\"b\\c\nd"), SLICE("\xff-\xc3\xa9") }),
               1);
    metric_add(m, metric_series_get(m, gauge, NULL), -5);
    metric_series h = metric_series_get(m, plain, (struct slice[]){ SLICE("x") });
    static const int64_t values[] = { 0, 1, 2, 10, 11, 1000, 1001, 5000 };
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        metric_observe(m, h, values[i]);
    metric_add(m, metric_series_get(m, busy, NULL), 1500000);
    static const double numbers[] = { 0.5, NAN, INFINITY, -INFINITY };
    static const struct slice names[] = { SLICE_INIT("half"), SLICE_INIT("nan"), SLICE_INIT("inf"),
                                          SLICE_INIT("minf") };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        metric_callback(m, asked, &names[i], half, (void *)(uintptr_t)&numbers[i]);

    check_text("OpenMetrics", rendered(f, true),
               SLICE("# HELP requests Requests \\\"seen\\\",\\nby \\\\ kind.\n"
                     "# TYPE requests counter\n"
                     "requests_total{method=\"GET\",route=\"/a\"} 2\n"
                     "requests_total{method=\"a\\\"b\\\\c\\nd\",route=\"?-??\"} 1\n"
                     "# HELP queue_bytes Waiting.\n"
                     "# TYPE queue_bytes gauge\n"
                     "# UNIT queue_bytes bytes\n"
                     "queue_bytes -5\n"
                     "# HELP sizes Sizes.\n"
                     "# TYPE sizes histogram\n"
                     "sizes_bucket{of=\"x\",le=\"1.0\"} 2\n"
                     "sizes_bucket{of=\"x\",le=\"10.0\"} 4\n"
                     "sizes_bucket{of=\"x\",le=\"1000.0\"} 6\n"
                     "sizes_bucket{of=\"x\",le=\"+Inf\"} 8\n"
                     "sizes_sum{of=\"x\"} 7025\n"
                     "sizes_count{of=\"x\"} 8\n"
                     "# HELP busy_seconds Busy.\n"
                     "# TYPE busy_seconds counter\n"
                     "# UNIT busy_seconds seconds\n"
                     "busy_seconds_total 1.5\n"
                     "# HELP empty None.\n"
                     "# TYPE empty gauge\n"
                     "# HELP load_ratio Load.\n"
                     "# TYPE load_ratio gauge\n"
                     "# UNIT load_ratio ratio\n"
                     "load_ratio{of=\"half\"} 0.5\n"
                     "load_ratio{of=\"nan\"} NaN\n"
                     "load_ratio{of=\"inf\"} +Inf\n"
                     "load_ratio{of=\"minf\"} -Inf\n"
                     "# HELP purlin_metric_overflow Requests for a metric series that no longer "
                     "fitted.\n"
                     "# TYPE purlin_metric_overflow counter\n"
                     "purlin_metric_overflow_total 0\n"
                     "# EOF\n"));
    assert_int_equal(metric_value(m, h), 8);

    struct slice classic = rendered(f, false);
    assert_true(
        slice_starts(classic, SLICE("# HELP requests_total Requests \"seen\",\\nby \\\\ kind.\n"
                                    "# TYPE requests_total counter\n"
                                    "requests_total{")));
    assert_true(slice_find_slice(classic, SLICE("# UNIT")) == SIZE_MAX);
    assert_true(slice_find_slice(classic, SLICE("# EOF")) == SIZE_MAX);
}

static void test_seconds(void **state)
{
    struct fixture *f = *state;
    unsigned metric = metric_declare(f->metrics, &(struct metric_desc){
                                                     .name = "took_seconds",
                                                     .help = "Took.",
                                                     .kind = METRIC_HISTOGRAM,
                                                     .buckets = metric_buckets_seconds,
                                                     .buckets_len = 14,
                                                 });
    metric_series h = metric_series_get(f->metrics, metric, NULL);
    metric_observe(f->metrics, h, 5000);
    metric_observe(f->metrics, h, 5001);
    metric_observe(f->metrics, h, 10000000);
    metric_observe(f->metrics, h, 10000001);
    struct slice text = rendered(f, true);
    static const char *const lines[] = {
        "took_seconds_bucket{le=\"0.005\"} 1\n",
        "took_seconds_bucket{le=\"0.01\"} 2\n",
        "took_seconds_bucket{le=\"7.5\"} 2\n",
        "took_seconds_bucket{le=\"10.0\"} 3\n",
        "took_seconds_bucket{le=\"+Inf\"} 4\n",
        "took_seconds_sum 20.010002\n",
        "took_seconds_count 4\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (slice_find_slice(text, slice_cstr(lines[i])) == SIZE_MAX)
            fail_msg("no %s in %.*s", lines[i], SLICE_ARG(text));
    }
}

static void test_series_are_found_again(void **state)
{
    struct fixture *f = *state;
    struct metrics *m = f->metrics;
    unsigned a = metric_declare(m, &requests);
    assert_int_equal(metric_declare(m, &requests), a);
    const struct slice one[] = { SLICE("1"), SLICE("2") };
    const struct slice other[] = { SLICE("1\",route=\"2"), SLICE("") };
    metric_series s = metric_series_get(m, a, one);
    assert_true(s != 0);
    assert_int_equal(metric_series_get(m, a, one), s);
    assert_int_not_equal(metric_series_get(m, a, other), s);
    metric_add(m, s, 3);
    assert_int_equal(metric_value(m, s), 3);
}

static void test_handle_zero_drops(void **state)
{
    struct fixture *f = *state;
    metric_add(f->metrics, 0, 5);
    metric_observe(f->metrics, 0, 5);
    assert_int_equal(metric_value(f->metrics, 0), 0);
}

static void test_overflow_is_counted(void **state)
{
    struct fixture *f = *state;
    struct metrics *m = f->metrics;
    unsigned metric = metric_declare(
        m, &(struct metric_desc){
               .name = "many", .help = "Many.", .kind = METRIC_COUNTER, .labels = { "n" } });
    char name[16];
    unsigned refused = 0;
    for (unsigned i = 0; i < METRIC_SERIES_MAX + 100; i++) {
        int n = snprintf(name, sizeof(name), "%u", i);
        struct slice value = slice_of(name, (size_t)n);
        metric_series s = metric_series_get(m, metric, &value);
        refused += s == 0;
        metric_add(m, s, 1);
    }
    assert_int_equal(refused, 101); /* handle 0 is one of the numbers */
    struct slice first = SLICE("0");
    assert_int_equal(metric_value(m, metric_series_get(m, metric, &first)), 1);
    static char long_name[5000];
    memset(long_name, 'x', sizeof(long_name));
    struct slice value = slice_of(long_name, sizeof(long_name));
    assert_int_equal(metric_series_get(m, metric, &value), 0);
    metric_callback(m, metric, &value, half, NULL);
    assert_true(slice_find_slice(rendered(f, true), SLICE("purlin_metric_overflow_total 103\n")) !=
                SIZE_MAX);
}

struct job {
    struct metrics *metrics;
    metric_series counter, histogram, gauge;
    sem_t counted, leave;
};

#define ROUNDS 20000

static void *count(void *arg)
{
    struct job *job = arg;
    for (int i = 0; i < ROUNDS; i++) {
        metric_add(job->metrics, job->counter, 1);
        metric_add(job->metrics, job->gauge, i % 2 ? -1 : 1);
        metric_observe(job->metrics, job->histogram, i);
    }
    (void)sem_post(&job->counted);
    (void)sem_wait(&job->leave);
    return NULL;
}

static void test_threads_alive_and_ended(void **state)
{
    struct fixture *f = *state;
    struct metrics *m = f->metrics;
    struct job job = { .metrics = m };
    job.counter = metric_series_get(
        m, metric_declare(m, &(struct metric_desc){ .name = "c", .help = "C." }), NULL);
    job.gauge = metric_series_get(
        m,
        metric_declare(m, &(struct metric_desc){ .name = "g", .help = "G.", .kind = METRIC_GAUGE }),
        NULL);
    job.histogram =
        metric_series_get(m,
                          metric_declare(m, &(struct metric_desc){ .name = "h",
                                                                   .help = "H.",
                                                                   .kind = METRIC_HISTOGRAM,
                                                                   .buckets = sizes,
                                                                   .buckets_len = 3 }),
                          NULL);
    (void)sem_init(&job.counted, 0, 0);
    (void)sem_init(&job.leave, 0, 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, &job), 0);
    /* Reading meanwhile never sees more than there is, nor less than before. */
    int64_t last = 0;
    for (int i = 0; i < 200; i++) {
        int64_t now = metric_value(m, job.counter);
        assert_true(now >= last && now <= 4 * (int64_t)ROUNDS);
        last = now;
        (void)rendered(f, true);
    }
    for (int i = 0; i < 4; i++)
        (void)sem_wait(&job.counted);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(metric_value(m, job.counter), 4 * ROUNDS);
        assert_int_equal(metric_value(m, job.gauge), 0);
        assert_int_equal(metric_value(m, job.histogram), 4 * ROUNDS);
        for (int i = 0; i < 4 && pass == 0; i++)
            (void)sem_post(&job.leave);
        for (int i = 0; i < 4 && pass == 0; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    metric_add(m, job.counter, 1);
    assert_int_equal(metric_value(m, job.counter), 4 * ROUNDS + 1);
}

/* Two registries in turn on one thread: each counts its own. */
static void test_two_registries(void **state)
{
    struct fixture *f = *state;
    struct metrics *m[2] = { f->metrics, metrics_new() };
    metric_series s[2];
    for (int i = 0; i < 2; i++)
        s[i] = metric_series_get(
            m[i], metric_declare(m[i], &(struct metric_desc){ .name = "c", .help = "C." }), NULL);
    for (int i = 0; i < 30; i++)
        metric_add(m[i % 2], s[i % 2], 1 + i % 2);
    assert_int_equal(metric_value(m[0], s[0]), 15);
    assert_int_equal(metric_value(m[1], s[1]), 30);
    metrics_free(m[1]);
    metrics_free(NULL);
    metric_add(m[0], s[0], 1);
    assert_int_equal(metric_value(m[0], s[0]), 16);
}

#define METRIC_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        METRIC_TEST(test_text),
        METRIC_TEST(test_seconds),
        METRIC_TEST(test_series_are_found_again),
        METRIC_TEST(test_handle_zero_drops),
        METRIC_TEST(test_overflow_is_counted),
        METRIC_TEST(test_threads_alive_and_ended),
        METRIC_TEST(test_two_registries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
