#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"

/* A file in memory that the log is written to. */
struct sink {
    int fd;
    struct arena *arena;
};

static int setup(void **state)
{
    struct sink *s = calloc(1, sizeof(*s));
    s->fd = memfd_create("log", MFD_CLOEXEC);
    s->arena = arena_new(NULL, 0);
    *state = s;
    return s->fd < 0;
}

static int teardown(void **state)
{
    struct sink *s = *state;
    log_stop();
    log_level_set(LOG_LEVEL_INFO);
    (void)close(s->fd);
    arena_free(s->arena);
    free(s);
    return 0;
}

static void start(const struct sink *s, enum log_level level, enum log_format format)
{
    const struct log_options options = { .fd = s->fd, .level = level, .format = format };
    assert_int_equal(log_start(&options), STATUS_OK);
}

/* All that was written, from the start. */
static struct slice contents(const struct sink *s)
{
    struct stat st;
    assert_int_equal(fstat(s->fd, &st), 0);
    size_t len = (size_t)st.st_size;
    char *text = arena_alloc(s->arena, len + 1);
    assert_int_equal(pread(s->fd, text, len, 0), len);
    return slice_of(text, len);
}

static json_t *parse(const struct sink *s, struct slice line)
{
    json_t *value;
    struct json_error_at at;
    enum status st = json_read(s->arena, line, JSON_LIMITS_DEFAULT, &value, &at);
    if (st != STATUS_OK)
        fail_msg("%s at %zu in %.*s", at.reason, at.offset, SLICE_ARG(line));
    return value;
}

/* The only line there is. */
static json_t *only_line(const struct sink *s)
{
    struct slice text = contents(s);
    assert_int_equal(slice_find(text, '\n'), text.len - 1);
    return parse(s, slice_head(text, text.len - 1));
}

static void test_fields_as_json(void **state)
{
    struct sink *s = *state;
    start(s, LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
    assert_false(log_is_pretty());
    log_debug("room.event", LOG_CSTR("text", "v\n\"x\""), LOG_I64("i64", INT64_MIN),
              LOG_U64("u64", UINT64_MAX), LOG_BOOL("yes", true), LOG_BOOL("no", false),
              LOG_DOUBLE("real", 0.5), LOG_US("took_us", 12), LOG_TEXT("none", SLICE_NULL));
    log_stop();
    struct slice text = contents(s);
    assert_true(slice_starts(text, SLICE("{\"ts\":\"2")));
    struct slice want =
        SLICE("Z\",\"level\":\"debug\",\"msg\":\"room.event\",\"text\":\"v\\n\\\"x\\\"\","
              "\"i64\":-9223372036854775808,\"u64\":18446744073709551615,\"yes\":true,\"no\":false,"
              "\"real\":0.5,\"took_us\":12,\"none\":\"\"}\n");
    check_text("line", slice_from(text, text.len - want.len), want);
}

static void test_no_fields(void **state)
{
    struct sink *s = *state;
    start(s, LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_write(LOG_LEVEL_ERROR, "bare", NULL, 0);
    log_stop();
    assert_int_equal(json_object_size(only_line(s)), 3);
}

static void test_levels(void **state)
{
    struct sink *s = *state;
    start(s, LOG_LEVEL_WARN, LOG_FORMAT_JSON);
    log_debug("no", LOG_I64("n", 0));
    log_info("no", LOG_I64("n", 1));
    log_warn("yes", LOG_I64("n", 2));
    log_level_set(LOG_LEVEL_OFF);
    log_error("no", LOG_I64("n", 3));
    log_level_set(LOG_LEVEL_DEBUG);
    log_debug("yes", LOG_I64("n", 4));
    log_stop();
    struct slice rest = contents(s), line;
    int n = 0;
    while (slice_split(&rest, '\n', &line) && line.len) {
        n++;
        assert_string_equal(json_string_value(json_object_get(parse(s, line), "msg")), "yes");
    }
    assert_int_equal(n, 2);

    static const struct {
        const char *name;
        bool ok;
        enum log_level want;
    } names[] = {
        { "debug", true, LOG_LEVEL_DEBUG },  { "Info", true, LOG_LEVEL_INFO },
        { "WARN", true, LOG_LEVEL_WARN },    { "warning", true, LOG_LEVEL_WARN },
        { "error", true, LOG_LEVEL_ERROR },  { "off", true, LOG_LEVEL_OFF },
        { "fatal", false, LOG_LEVEL_DEBUG }, { "", false, LOG_LEVEL_DEBUG },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum log_level level = LOG_LEVEL_DEBUG;
        check_int(names[i].name, log_level_parse(slice_cstr(names[i].name), &level), names[i].ok);
        check_int(names[i].name, level, names[i].want);
    }
}

/* Whatever text contains, a line stays one line, valid JSON, and moves no cursor. */
static void test_text_cannot_forge_lines_or_sequences(void **state)
{
    struct sink *s = *state;
    static const struct {
        struct slice in, want;
    } cases[] = {
        { SLICE_INIT("a\n{\"forged\":1}"), SLICE_INIT("\"a\\n{\\\"forged\\\":1}\"") },
        { SLICE_INIT("\x1b[31m"), SLICE_INIT("\"\\u001b[31m\"") },
        { SLICE_INIT("del \x7f"), SLICE_INIT("\"del \\u007f\"") },
        { SLICE_INIT("c1 \xc2\x9b"
                     "31m"),
          SLICE_INIT("\"c1 \\u009b31m\"") },
        { SLICE_INIT("ls \xe2\x80\xa8 ps \xe2\x80\xa9"), SLICE_INIT("\"ls \\u2028 ps \\u2029\"") },
        { SLICE_INIT("bad \xff\xc3 \"\\ \x01"),
          SLICE_INIT("\"bad \\ufffd\\ufffd \\\"\\\\ \\u0001\"") },
        { SLICE_INIT("good \xc3\xa9 \xc2\xa0 \xe2\x82\xac \xf0\x9f\x98\x80"),
          SLICE_INIT("\"good \xc3\xa9 \xc2\xa0 \xe2\x82\xac \xf0\x9f\x98\x80\"") },
    };
    for (size_t pass = 0; pass < 2; pass++) {
        assert_int_equal(ftruncate(s->fd, 0), 0);
        assert_int_equal(lseek(s->fd, 0, SEEK_SET), 0);
        start(s, LOG_LEVEL_INFO, pass ? LOG_FORMAT_PRETTY : LOG_FORMAT_JSON);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++)
            log_info("event", LOG_TEXT("t", cases[i].in));
        log_stop();
        struct slice rest = contents(s), line;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            assert_true(slice_split(&rest, '\n', &line));
            assert_true(utf8_is_valid(line));
            if (!pass)
                (void)parse(s, line);
            assert_true(slice_find_slice(line, cases[i].want) != SIZE_MAX);
        }
        assert_int_equal(rest.len, 0);
    }
}

static void test_pretty(void **state)
{
    struct sink *s = *state;
    start(s, LOG_LEVEL_INFO, LOG_FORMAT_PRETTY);
    assert_true(log_is_pretty());
    log_warn("gateway.upstream_slow", LOG_CSTR("host", "a.example"), LOG_CSTR("say", "two words"),
             LOG_CSTR("empty", ""), LOG_CSTR("eq", "a=b"), LOG_I64("n", 5));
    log_stop();
    struct slice text = contents(s);
    assert_int_equal(text.data[2], ':');
    check_text(
        "line", slice_from(text, 12),
        SLICE(" WARN  gateway.upstream_slow        host=a.example say=\"two words\" empty=\"\" "
              "eq=\"a=b\" n=5\n"));
}

static void test_pretty_on_a_terminal_has_colours(void **state)
{
    (void)state;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0)
        skip();
    int other = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(other >= 0);
    (void)unsetenv("NO_COLOR");
    const struct log_options options = { .fd = other, .format = LOG_FORMAT_PRETTY };
    assert_int_equal(log_start(&options), STATUS_OK);
    log_error("event", LOG_I64("n", 1));
    log_stop();
    char text[500];
    ssize_t n = read(terminal, text, sizeof(text));
    assert_true(n > 0);
    struct slice line = slice_of(text, (size_t)n);
    assert_true(slice_find_slice(line, SLICE("\x1b[31mERROR\x1b[0m")) != SIZE_MAX);
    assert_true(slice_find_slice(line, SLICE("\x1b[2mn=\x1b[0m1")) != SIZE_MAX);
    (void)close(other);
    (void)close(terminal);
}

static void test_long_lines_are_cut_and_stay_valid(void **state)
{
    struct sink *s = *state;
    static char big[20000];
    static const struct {
        const char *name;
        char fill;
    } cases[] = { { "plain", 'x' }, { "controls", '\x01' }, { "quotes", '"' }, { "bad", '\xff' } };
    start(s, LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memset(big, cases[i].fill, sizeof(big));
        log_info(cases[i].name, LOG_I64("before", 1), LOG_TEXT("big", slice_of(big, sizeof(big))),
                 LOG_I64("after", 2));
    }
    for (size_t i = 0; i + 1 < sizeof(big); i += 2)
        memcpy(big + i, "\xc3\xa9", 2);
    log_info("letters", LOG_TEXT("big", slice_of(big, sizeof(big))), LOG_TEXT("x", SLICE("y")));
    /* And where the cut falls on something that is not text, or hardly any room is left. */
    memset(big, 'x', sizeof(big));
    for (size_t len = 8000; len < 8192; len++) {
        if (len % 16 == 0) {
            /* No more at once than the ring holds. */
            log_stop();
            start(s, LOG_LEVEL_INFO, LOG_FORMAT_JSON);
        }
        log_info("edge", LOG_TEXT("a", slice_of(big, len)), LOG_I64("n", 123456789),
                 LOG_TEXT("b", slice_of(big, 40)));
    }
    memset(big, 'e', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    log_info(big, LOG_I64("n", 1));
    log_stop();

    struct slice rest = contents(s), line;
    unsigned lines = 0, cut = 0;
    while (slice_split(&rest, '\n', &line) && line.len) {
        assert_true(line.len < 8192);
        json_t *value = parse(s, line);
        lines++;
        cut += json_is_true(json_object_get(value, "cut"));
        if (lines <= ARRAY_LEN(cases)) {
            assert_int_equal(json_integer_value(json_object_get(value, "before")), 1);
            assert_null(json_object_get(value, "after"));
            assert_true(json_string_length(json_object_get(value, "big")) > 500);
        }
    }
    assert_int_equal(lines, ARRAY_LEN(cases) + 2 + 192);
    assert_true(cut > ARRAY_LEN(cases) + 100 && cut < lines);
}

static void test_raw_lines(void **state)
{
    struct sink *s = *state;
    uint64_t dropped = log_dropped();
    start(s, LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_raw(SLICE("{\"access\":1}"));
    log_raw(SLICE_NULL);
    static char big[40000];
    memset(big, ' ', sizeof(big));
    log_raw(slice_of(big, 32768));
    log_raw(slice_of(big, 32769));
    log_stop();
    struct slice text = contents(s);
    assert_true(slice_find_slice(text, SLICE("{\"access\":1}\n   ")) != SIZE_MAX);
    assert_int_equal(log_dropped() - dropped, 1);
    /* The log itself says that something is missing. */
    assert_true(slice_find_slice(text, SLICE("\"log.lines_dropped\",\"lines\":1}")) != SIZE_MAX);
}

#define THREADS 6
#define LINES 5000

static void *log_many(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_info("many", LOG_I64("thread", (intptr_t)arg), LOG_I64("i", i));
    return NULL;
}

/* Each thread's lines arrive whole and in order, and what does not arrive was counted. */
static void test_threads_that_end(void **state)
{
    struct sink *s = *state;
    uint64_t dropped = log_dropped();
    start(s, LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    log_stop();
    dropped = log_dropped() - dropped;

    json_int_t last[THREADS];
    memset(last, 0xff, sizeof(last));
    uint64_t lines = 0, told = 0;
    struct slice rest = contents(s), line;
    while (slice_split(&rest, '\n', &line) && line.len) {
        json_t *value = parse(s, line);
        if (json_object_get(value, "lines")) {
            told += (uint64_t)json_integer_value(json_object_get(value, "lines"));
            continue;
        }
        json_int_t thread = json_integer_value(json_object_get(value, "thread"));
        json_int_t i = json_integer_value(json_object_get(value, "i"));
        assert_true(thread >= 0 && thread < THREADS && i > last[thread]);
        last[thread] = i;
        lines++;
    }
    assert_int_equal(lines + dropped, THREADS * LINES);
    assert_int_equal(told, dropped);
}

static void *log_one(void *arg)
{
    (void)arg;
    log_info("one", LOG_I64("n", 1));
    return NULL;
}

static void wait_for_bytes(const struct sink *s, off_t bytes)
{
    struct stat st = { 0 };
    for (int i = 0; i < 1000 && st.st_size < bytes; i++) {
        (void)usleep(10000);
        assert_int_equal(fstat(s->fd, &st), 0);
    }
    assert_true(st.st_size >= bytes);
}

/* Lines appear by themselves, without anybody filling a ring or stopping the log. */
static void test_written_soon(void **state)
{
    struct sink *s = *state;
    start(s, LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, log_one, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    wait_for_bytes(s, 1);
    /* And after a time in which there was nothing to write. */
    (void)usleep(400000);
    log_info("two", LOG_I64("n", 2));
    wait_for_bytes(s, 100);
}

/* A reader that does not read costs lines, never time; and stopping gives up on it. */
static void test_stuck_reader(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    uint64_t dropped = log_dropped();
    const struct log_options options = { .fd = ends[1], .level = LOG_LEVEL_INFO };
    assert_int_equal(log_start(&options), STATUS_OK);
    for (int i = 0; i < 20000; i++)
        log_info("flood", LOG_I64("i", i));
    assert_true(log_dropped() > dropped);
    log_stop();
    dropped = log_dropped() - dropped;
    static char text[1 << 20];
    ssize_t n = read(ends[0], text, sizeof(text));
    assert_true(n > 0);
    uint64_t lines = 0;
    for (ssize_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    /* Each line was read or counted; besides, the log said a few times that some were lost. */
    if (lines + dropped < 20000 || lines + dropped > 20050)
        fail_msg("%llu read, %llu dropped", (unsigned long long)lines, (unsigned long long)dropped);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* The reader is gone: lines are lost and counted, the program goes on. */
static void test_closed_reader(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    (void)close(ends[0]);
    uint64_t dropped = log_dropped();
    const struct log_options options = { .fd = ends[1], .level = LOG_LEVEL_INFO };
    assert_int_equal(log_start(&options), STATUS_OK);
    for (int i = 0; i < 5; i++)
        log_info("lost", LOG_I64("i", i));
    log_stop();
    assert_true(log_dropped() - dropped >= 5);
    (void)close(ends[1]);
}

/* Before and after the writer's time lines go to stderr at once. */
static void test_without_a_writer(void **state)
{
    struct sink *s = *state;
    int before = dup(STDERR_FILENO);
    assert_int_equal(dup2(s->fd, STDERR_FILENO), STDERR_FILENO);
    log_info("direct", LOG_I64("n", 1));
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, log_one, NULL);
    if (!failed)
        failed = pthread_join(thread, NULL);
    log_stop();
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    (void)close(before);
    assert_int_equal(failed, 0);
    struct slice text = contents(s);
    assert_true(slice_find_slice(text, SLICE("\"direct\",\"n\":1}\n")) != SIZE_MAX);
    assert_true(slice_find_slice(text, SLICE("\"one\",\"n\":1}\n")) != SIZE_MAX);
}

#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_without_a_writer),
        LOG_TEST(test_fields_as_json),
        LOG_TEST(test_no_fields),
        LOG_TEST(test_levels),
        LOG_TEST(test_text_cannot_forge_lines_or_sequences),
        LOG_TEST(test_pretty),
        LOG_TEST(test_pretty_on_a_terminal_has_colours),
        LOG_TEST(test_long_lines_are_cut_and_stay_valid),
        LOG_TEST(test_raw_lines),
        LOG_TEST(test_threads_that_end),
        LOG_TEST(test_written_soon),
        LOG_TEST(test_stuck_reader),
        LOG_TEST(test_closed_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
