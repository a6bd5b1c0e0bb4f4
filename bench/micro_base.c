/*
 * bench/micro_base.c - What the tools of base cost on the way of a request.
 *
 *     micro_base                 all of them, nanoseconds each
 *     micro_base CASE COUNT      one case that many times, nothing printed: for counting
 * instructions (valgrind --tool=callgrind at two counts, and the difference)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/metric.h"
#include "base/slice.h"

static struct {
    struct arena_pool *pool;
    struct buf out;
    struct metrics *metrics;
    metric_series counter, histogram;
    struct uuid id;
    char text[4096];
} bench;

/* Make the compiler believe that what `p` points at is used. */
static inline void use(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

static const struct slice body = SLICE_INIT(
    "{\"title\":\"How do I season a cast iron skillet?\",\"body\":\"I bought one at a flea market "
    "and it has rust on it. I have tried steel wool and oil, but it still looks dull. What should "
    "I do next, and which oil is best?\",\"tags\":[\"cast-iron\",\"cookware\",\"seasoning\"],"
    "\"visibility\":\"public\",\"author\":\"0190a5b2-0000-7abc-8def-0123456789ab\",\"score\":17}");

static void run_arena(uint64_t count)
{
    while (count--) {
        struct arena *a = arena_new(bench.pool, 1 << 20);
        for (int i = 0; i < 4; i++)
            use(arena_alloc(a, 200));
        arena_free(a);
    }
}

static void run_arena_large(uint64_t count)
{
    while (count--) {
        struct arena *a = arena_new(bench.pool, 1 << 20);
        struct buf b;
        buf_init(&b, a, 4096, 1 << 20);
        for (int i = 0; i < 30; i++)
            use(buf_reserve(&b, 1000)), b.len += 1000;
        arena_free(a);
    }
}

static void run_json_read(uint64_t count)
{
    while (count--) {
        struct arena *a = arena_new(bench.pool, 1 << 20);
        json_t *value;
        if (json_read(a, body, JSON_LIMITS_DEFAULT, &value, NULL) != STATUS_OK)
            abort();
        use(value);
        arena_free(a);
    }
}

static void put_string(uint64_t count, size_t len)
{
    while (count--) {
        buf_clear(&bench.out);
        json_put_string(&bench.out, slice_of(bench.text, len));
        use(bench.out.data);
    }
}

static void run_put_string_10(uint64_t count)
{
    put_string(count, 10);
}

static void run_put_string_36(uint64_t count)
{
    put_string(count, 36);
}

static void run_put_string_1000(uint64_t count)
{
    put_string(count, 1000);
}

static void run_put_string_html(uint64_t count)
{
    static const struct slice html =
        SLICE_INIT("<p>I have a \"cast iron\" pan.</p>\n\n<p>See <a href=\"https://example.org/a\" "
                   "rel=\"nofollow\">this</a> for what I tried:</p>\n\n<ul>\n<li>steel wool</li>\n"
                   "<li>oil</li>\n</ul>\n\n<p>It still looks dull.</p>\n");
    while (count--) {
        buf_clear(&bench.out);
        json_put_string(&bench.out, html);
        use(bench.out.data);
    }
}

static void run_put_i64(uint64_t count)
{
    while (count--) {
        buf_clear(&bench.out);
        buf_put_i64(&bench.out, 1234567);
        use(bench.out.data);
    }
}

static void run_put_double(uint64_t count)
{
    while (count--) {
        buf_clear(&bench.out);
        buf_put_double(&bench.out, 19.99);
        use(bench.out.data);
    }
}

static void run_put_double_hard(uint64_t count)
{
    while (count--) {
        buf_clear(&bench.out);
        buf_put_double(&bench.out, 1.0 / 3);
        use(bench.out.data);
    }
}

static void run_clock_wall(uint64_t count)
{
    while (count--) {
        int64_t now = clock_wall_us();
        use(&now);
    }
}

static void run_format_rfc3339(uint64_t count)
{
    while (count--) {
        clock_format_rfc3339(1767323045678901 + (int64_t)count, bench.text);
        use(bench.text);
    }
}

static void run_parse_rfc3339(uint64_t count)
{
    struct slice s = SLICE("2026-01-02T03:04:05.678Z");
    while (count--) {
        int64_t us;
        if (!clock_parse_rfc3339(s, &us))
            abort();
        use(&us);
    }
}

static void run_format_http(uint64_t count)
{
    while (count--) {
        clock_format_http(1767323045678901 + (int64_t)count, bench.text);
        use(bench.text);
    }
}

static void run_uuid_v7(uint64_t count)
{
    while (count--) {
        bench.id = uuid_v7();
        use(&bench.id);
    }
}

static void run_uuid_format(uint64_t count)
{
    while (count--) {
        uuid_format(&bench.id, bench.text);
        use(bench.text);
    }
}

static void run_uuid_parse(uint64_t count)
{
    while (count--) {
        if (!uuid_parse(SLICE("0190a5b2-0000-7abc-8def-0123456789ab"), &bench.id))
            abort();
        use(&bench.id);
    }
}

static void run_utf8_1000(uint64_t count)
{
    while (count--) {
        if (!utf8_is_valid(slice_of(bench.text, 1000)))
            abort();
        use(bench.text);
    }
}

static void run_hash_100(uint64_t count)
{
    while (count--) {
        uint64_t h = hash64(slice_of(bench.text, 100), count);
        use(&h);
    }
}

static void run_log(uint64_t count)
{
    while (count--)
        log_info("http.access", LOG_CSTR("method", "GET"), LOG_CSTR("route", "/api/v1/posts/{id}"),
                 LOG_I64("status", 200), LOG_US("duration_us", 123), LOG_I64("bytes", 1789),
                 LOG_CSTR("request_id", "0190a5b2-0000-7abc-8def-0123456789ab"));
}

static void run_log_raw(uint64_t count)
{
    while (count--)
        log_raw(slice_head(body, 250));
}

static void run_metric_add(uint64_t count)
{
    while (count--)
        metric_add(bench.metrics, bench.counter, 1);
}

static void run_metric_observe(uint64_t count)
{
    while (count--)
        metric_observe(bench.metrics, bench.histogram, 30000);
}

static const struct {
    const char *name;
    void (*run)(uint64_t count);
    const char *what;
} cases[] = {
    { "arena", run_arena, "a warm arena: made, four allocations, freed" },
    { "arena_large", run_arena_large, "a warm arena with a buffer grown to 30 kB" },
    { "json_read", run_json_read, "a body of 380 bytes read" },
    { "put_string_10", run_put_string_10, "10 clean bytes as a JSON string" },
    { "put_string_36", run_put_string_36, "36" },
    { "put_string_1000", run_put_string_1000, "1000" },
    { "put_string_html", run_put_string_html, "250 bytes of HTML, 17 of them to escape" },
    { "put_i64", run_put_i64, "1234567" },
    { "put_double", run_put_double, "19.99" },
    { "put_double_hard", run_put_double_hard, "a third" },
    { "clock_wall", run_clock_wall, "what time is it" },
    { "format_rfc3339", run_format_rfc3339, "RFC 3339 written" },
    { "parse_rfc3339", run_parse_rfc3339, "RFC 3339 read" },
    { "format_http", run_format_http, "an HTTP date written" },
    { "uuid_v7", run_uuid_v7, "an id made" },
    { "uuid_format", run_uuid_format, "an id written" },
    { "uuid_parse", run_uuid_parse, "an id read" },
    { "utf8_1000", run_utf8_1000, "1000 bytes of ASCII checked" },
    { "hash_100", run_hash_100, "100 bytes hashed" },
    { "log", run_log, "a line with six fields" },
    { "log_raw", run_log_raw, "a line of 250 bytes that is ready" },
    { "metric_add", run_metric_add, "a counter" },
    { "metric_observe", run_metric_observe, "a histogram's fourth bucket" },
};

static void set_up(void)
{
    bench.pool = arena_pool_new(64);
    buf_init(&bench.out, NULL, 8192, 1 << 20);
    memset(bench.text, 'x', sizeof(bench.text));
    bench.metrics = metrics_new();
    unsigned counter = metric_declare(
        bench.metrics, &(struct metric_desc){ .name = "c", .help = "C", .kind = METRIC_COUNTER });
    unsigned histogram =
        metric_declare(bench.metrics, &(struct metric_desc){ .name = "h_seconds",
                                                             .help = "H",
                                                             .kind = METRIC_HISTOGRAM,
                                                             .buckets = metric_buckets_seconds,
                                                             .buckets_len = 14 });
    bench.counter = metric_series_get(bench.metrics, counter, NULL);
    bench.histogram = metric_series_get(bench.metrics, histogram, NULL);
    const struct log_options options = {
        .fd = open("/dev/null", O_WRONLY | O_CLOEXEC),
        .level = LOG_LEVEL_INFO,
    };
    if (options.fd < 0 || log_start(&options) != STATUS_OK)
        abort();
}

static double nanoseconds(void (*run)(uint64_t count))
{
    double best = 1e18;
    for (int round = 0; round < 5; round++) {
        const uint64_t count = 50000;
        int64_t start_us = clock_mono_us();
        run(count);
        double ns = (double)(clock_mono_us() - start_us) * 1e3 / (double)count;
        best = MIN(best, ns);
    }
    return best;
}

int main(int argc, char **argv)
{
    set_up();
    int64_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (argc == 1)
            printf("%-16s %8.1f ns  %s\n", cases[i].name, nanoseconds(cases[i].run), cases[i].what);
        else if (argc == 3 && strcmp(argv[1], cases[i].name) == 0 &&
                 slice_to_i64(slice_cstr(argv[2]), &count))
            cases[i].run((uint64_t)count);
    }
    log_stop();
    metrics_free(bench.metrics);
    buf_fini(&bench.out);
    arena_pool_free(bench.pool);
    return argc == 1 || count > 0 ? 0 : 2;
}
