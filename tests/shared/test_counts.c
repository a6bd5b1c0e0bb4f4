/*
 * tests/shared/test_counts.c - Counting by GCRA: what passes and when, several policies at once,
 * and a table that stays within its bound and forgets the right keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/metric.h"
#include "shared/shared.h"

static int setup(void **state)
{
    struct shared_counts *counts;
    assert_int_equal(shared_counts_local(NULL, 1024, &counts), STATUS_OK);
    *state = counts;
    return 0;
}

static int teardown(void **state)
{
    shared_counts_free(*state);
    return 0;
}

static uint64_t key_of(struct shared_counts *counts, uint64_t n)
{
    return shared_counts_key(counts, 1, slice_of((const char *)&n, sizeof(n)));
}

/* Take `cost` of one key; the result. */
static struct shared_take take_of(struct shared_counts *counts, int64_t now_us, uint64_t key,
                                  struct shared_rate rate, uint32_t cost)
{
    struct shared_take take = { .key = key, .rate = rate, .cost = cost };
    bool allowed = false;
    assert_int_equal(shared_counts_take(NULL, counts, now_us, &take, 1, &allowed), STATUS_OK);
    assert_int_equal(allowed, take.allowed);
    return take;
}

/* How many of `tries` pass at one moment. */
static unsigned passing(struct shared_counts *counts, int64_t now_us, uint64_t key,
                        struct shared_rate rate, unsigned tries)
{
    unsigned passed = 0;
    for (unsigned i = 0; i < tries; i++)
        passed += take_of(counts, now_us, key, rate, 1).allowed;
    return passed;
}

static const int64_t start_us = 1000 * CLOCK_SECOND;

static void test_exactly_the_burst_passes(void **state)
{
    static const struct {
        const char *name;
        uint32_t count;
        int64_t period_us;
        uint32_t burst, want;
    } cases[] = {
        { "one a day", 1, CLOCK_DAY, 1, 1 },
        { "hundred a minute", 100, CLOCK_MINUTE, 100, 100 },
        { "a period that does not divide", 300, 10 * CLOCK_SECOND, 300, 300 },
        { "seven in three seconds", 7, 3 * CLOCK_SECOND, 7, 7 },
        { "no burst", 100, CLOCK_MINUTE, 1, 1 },
        { "more at once than a period has", 10, CLOCK_SECOND, 100, 100 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct shared_rate rate =
            shared_rate_of(cases[i].count, cases[i].period_us, cases[i].burst);
        unsigned passed = passing(*state, start_us, key_of(*state, i), rate, cases[i].want + 50);
        if (passed != cases[i].want)
            fail_msg("%s: %u", cases[i].name, passed);
    }
}

/* Over any long time exactly the rate passes, whatever the tries. */
static void test_rate_over_time(void **state)
{
    struct shared_rate rate = shared_rate_of(30, CLOCK_MINUTE, 30);
    unsigned passed = 0;
    for (int64_t at_us = 0; at_us < 10 * CLOCK_MINUTE; at_us += 100 * CLOCK_MS)
        passed += take_of(*state, start_us + at_us, 7, rate, 1).allowed;
    assert_in_range(passed, 30 + 10 * 30 - 1, 30 + 10 * 30);
}

/* Who waits just what was said passes, and a microsecond earlier it does not. */
static void test_wait_is_honest(void **state)
{
    static const struct {
        uint32_t count;
        int64_t period_us;
        uint32_t burst, cost;
    } cases[] = {
        { 100, CLOCK_MINUTE, 100, 1 }, { 300, 10 * CLOCK_SECOND, 300, 1 },
        { 7, CLOCK_SECOND, 3, 1 },     { 1, CLOCK_DAY, 1, 1 },
        { 10, CLOCK_SECOND, 10, 7 },   { 1000000000, CLOCK_SECOND, 5, 2 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct shared_rate rate =
            shared_rate_of(cases[i].count, cases[i].period_us, cases[i].burst);
        uint64_t key = key_of(*state, 1000 + i);
        (void)passing(*state, start_us, key, rate, cases[i].burst);
        struct shared_take refused = take_of(*state, start_us, key, rate, cases[i].cost);
        assert_false(refused.allowed);
        assert_true(refused.wait_us > 0);
        assert_false(
            take_of(*state, start_us + refused.wait_us - 1, key, rate, cases[i].cost).allowed);
        assert_true(take_of(*state, start_us + refused.wait_us, key, rate, cases[i].cost).allowed);
    }
}

static void test_figures(void **state)
{
    struct shared_rate rate = shared_rate_of(10, 10 * CLOCK_SECOND, 10);
    struct shared_take take = take_of(*state, start_us, 5, rate, 3);
    assert_int_equal(take.left, 7);
    assert_int_equal(take.full_us, 3 * CLOCK_SECOND);
    assert_int_equal(take.wait_us, 0);
    take = take_of(*state, start_us + CLOCK_SECOND, 5, rate, 1);
    assert_int_equal(take.left, 7);
    take = take_of(*state, start_us + CLOCK_SECOND, 5, rate, 8);
    assert_false(take.allowed);
    assert_int_equal(take.left, 7); /* a refusal costs nothing */
    assert_int_equal(take.wait_us, CLOCK_SECOND);
    /* A look charges nothing, and says whether one unit would pass. */
    for (int i = 0; i < 20; i++)
        assert_true(take_of(*state, start_us + CLOCK_SECOND, 5, rate, 0).allowed);
    assert_int_equal(passing(*state, start_us + CLOCK_SECOND, 5, rate, 20), 7);
    assert_false(take_of(*state, start_us + CLOCK_SECOND, 5, rate, 0).allowed);
}

/* More than can ever be had at once is had when all is there. */
static void test_cost_beyond_the_burst(void **state)
{
    struct shared_rate rate = shared_rate_of(10, CLOCK_SECOND, 10);
    assert_true(take_of(*state, start_us, 3, rate, UINT32_MAX).allowed);
    struct shared_take refused = take_of(*state, start_us, 3, rate, UINT32_MAX);
    assert_false(refused.allowed);
    assert_int_equal(refused.wait_us, CLOCK_SECOND);
}

static void test_time_that_jumps(void **state)
{
    struct shared_rate rate = shared_rate_of(10, CLOCK_SECOND, 10);
    assert_int_equal(passing(*state, start_us, 9, rate, 20), 10);
    /* Back, far: nobody waits longer than a whole burst. */
    struct shared_take refused = take_of(*state, start_us - CLOCK_HOUR, 9, rate, 1);
    assert_false(refused.allowed);
    assert_true(refused.wait_us <= CLOCK_SECOND);
    /* Forward, far: one burst, not what would have come together. */
    assert_int_equal(passing(*state, start_us + 365 * CLOCK_DAY, 9, rate, 100), 10);
}

/* A limit that became smaller is in force at once, and nobody owes what the old one allowed. */
static void test_changed_rate(void **state)
{
    struct shared_rate before = shared_rate_of(1000, CLOCK_DAY, 1000);
    struct shared_rate after = shared_rate_of(10, CLOCK_SECOND, 10);
    (void)passing(*state, start_us, 11, before, 1000);
    struct shared_take refused = take_of(*state, start_us, 11, after, 1);
    assert_false(refused.allowed);
    assert_true(refused.wait_us <= CLOCK_SECOND);
}

static void test_all_or_none(void **state)
{
    struct shared_rate wide = shared_rate_of(100, CLOCK_MINUTE, 100);
    struct shared_rate narrow = shared_rate_of(2, CLOCK_MINUTE, 2);
    bool allowed;
    unsigned passed = 0;
    struct shared_take takes[2];
    for (int i = 0; i < 10; i++) {
        takes[0] = (struct shared_take){ .key = 21, .rate = wide, .cost = 1 };
        takes[1] = (struct shared_take){ .key = 22, .rate = narrow, .cost = 1 };
        assert_int_equal(shared_counts_take(NULL, *state, start_us, takes, 2, &allowed), STATUS_OK);
        passed += allowed;
    }
    assert_int_equal(passed, 2);
    assert_true(takes[0].allowed);
    assert_false(takes[1].allowed);
    assert_int_equal(take_of(*state, start_us, 21, wide, 0).left, 98);
}

/* A policy that only reports refuses nobody and is itself charged no more than it has. */
static void test_advisory(void **state)
{
    struct shared_rate wide = shared_rate_of(100, CLOCK_MINUTE, 100);
    struct shared_rate narrow = shared_rate_of(2, CLOCK_MINUTE, 2);
    unsigned reported = 0;
    for (int i = 0; i < 10; i++) {
        bool allowed;
        struct shared_take takes[] = {
            { .key = 31, .rate = wide, .cost = 1 },
            { .key = 32, .rate = narrow, .cost = 1, .advisory = true },
        };
        assert_int_equal(shared_counts_take(NULL, *state, start_us, takes, 2, &allowed), STATUS_OK);
        assert_true(allowed);
        reported += !takes[1].allowed;
    }
    assert_int_equal(reported, 8);
    assert_int_equal(take_of(*state, start_us, 31, wide, 0).left, 90);
}

static void test_keys_differ(void **state)
{
    char a[200], b[200];
    memset(a, 'x', sizeof(a));
    memcpy(b, a, sizeof(a));
    b[199] = 'y';
    struct slice short_part = SLICE("192.0.2.1");
    assert_true(shared_counts_key(*state, 1, short_part) ==
                shared_counts_key(*state, 1, short_part));
    assert_true(shared_counts_key(*state, 1, short_part) !=
                shared_counts_key(*state, 2, short_part));
    assert_true(shared_counts_key(*state, 1, slice_of(a, 200)) !=
                shared_counts_key(*state, 1, slice_of(b, 200)));
    assert_true(shared_counts_key(*state, 1, SLICE_NULL) !=
                shared_counts_key(*state, 2, SLICE_NULL));
    /* Another process has other keys for the same: nobody can work them out. */
    struct shared_counts *other;
    assert_int_equal(shared_counts_local(NULL, 1024, &other), STATUS_OK);
    assert_true(shared_counts_key(*state, 1, short_part) !=
                shared_counts_key(other, 1, short_part));
    shared_counts_free(other);
}

/* A million keys that come once: the table is as large as it was, and who is at its limit still
 * is. */
static void test_random_keys_do_not_free_the_limited(void **state)
{
    struct shared_rate rate = shared_rate_of(100, CLOCK_MINUTE, 100);
    struct shared_counts_stats stats;
    uint64_t limited[16];
    for (unsigned i = 0; i < ARRAY_LEN(limited); i++) {
        limited[i] = key_of(*state, UINT64_MAX - i);
        assert_int_equal(passing(*state, start_us, limited[i], rate, 101), 100);
    }
    for (uint64_t n = 0; n < 1000000; n++)
        (void)take_of(*state, start_us + (int64_t)n, key_of(*state, n), rate, 1);
    for (unsigned i = 0; i < ARRAY_LEN(limited); i++) {
        /* A second has passed: one unit and a half came back. */
        unsigned passed = passing(*state, start_us + CLOCK_SECOND, limited[i], rate, 10);
        assert_in_range(passed, 1, 2);
    }
    shared_counts_stats_read(*state, &stats);
    assert_int_equal(stats.entries_max, 1024);
    assert_true(stats.evicted_active > 900000);
}

/* The same with keys of a policy whose period is a thousand times as long. */
static void test_long_periods_do_not_push_out_short_ones(void **state)
{
    struct shared_rate fast = shared_rate_of(20, CLOCK_SECOND, 20);
    struct shared_rate slow = shared_rate_of(1000, CLOCK_DAY, 1000);
    uint64_t key = key_of(*state, UINT64_MAX);
    assert_int_equal(passing(*state, start_us, key, fast, 30), 20);
    for (uint64_t n = 0; n < 100000; n++)
        (void)take_of(*state, start_us, key_of(*state, n), slow, 1);
    assert_int_equal(passing(*state, start_us, key, fast, 30), 0);
}

/* Places whose quota is whole again are taken first, and cost nobody anything. */
static void test_expired_places_go_first(void **state)
{
    struct shared_rate rate = shared_rate_of(10, CLOCK_SECOND, 10);
    struct shared_counts_stats stats;
    for (uint64_t n = 0; n < 100000; n++)
        (void)take_of(*state, start_us + (int64_t)n * 10 * CLOCK_MS, key_of(*state, n), rate, 1);
    shared_counts_stats_read(*state, &stats);
    assert_int_equal(stats.evicted_active, 0);
    assert_true(stats.evicted_expired > 90000);
    assert_int_equal(stats.takes, 100000);
}

/* As many policies as may be, over and over, in any order of sets. */
static void test_many_policies(void **state)
{
    for (unsigned round = 0; round < 500; round++) {
        struct shared_take takes[SHARED_TAKES_MAX];
        bool allowed;
        for (unsigned i = 0; i < SHARED_TAKES_MAX; i++)
            takes[i] = (struct shared_take){ .key = key_of(*state, round * 16 + i),
                                             .rate = shared_rate_of(5, CLOCK_MINUTE, 5),
                                             .cost = 5 };
        assert_int_equal(
            shared_counts_take(NULL, *state, start_us, takes, SHARED_TAKES_MAX, &allowed),
            STATUS_OK);
        assert_true(allowed);
    }
}

static void test_sizes(void **state)
{
    static const struct {
        unsigned entries;
        uint64_t want;
    } cases[] = { { 0, 1024 }, { 1024, 1024 }, { 1025, 2048 }, { 100000, 131072 } };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct shared_counts *counts;
        struct shared_counts_stats stats;
        assert_int_equal(shared_counts_local(NULL, cases[i].entries, &counts), STATUS_OK);
        assert_false(shared_counts_suspends(counts));
        shared_counts_stats_read(counts, &stats);
        assert_int_equal(stats.entries_max, cases[i].want);
        shared_counts_free(counts);
    }
    shared_counts_free(NULL);
}

static void test_metrics(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct shared_counts *counts;
    assert_int_equal(shared_counts_local(metrics, 1024, &counts), STATUS_OK);
    struct shared_rate rate = shared_rate_of(10, CLOCK_MINUTE, 10);
    for (uint64_t n = 0; n < 5000; n++)
        (void)take_of(counts, start_us, key_of(counts, n), rate, 1);
    struct buf text;
    buf_init(&text, NULL, 0, 1 << 20);
    metrics_render(metrics, true, &text);
    assert_true(slice_find_slice(buf_slice(&text),
                                 SLICE("purlin_ratelimit_evictions_total{state=\"active\"} 39")) !=
                SIZE_MAX);
    buf_fini(&text);
    shared_counts_free(counts);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exactly_the_burst_passes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rate_over_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wait_is_honest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_figures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cost_beyond_the_burst, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_that_jumps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_or_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_advisory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_keys_do_not_free_the_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_periods_do_not_push_out_short_ones, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_expired_places_go_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_policies, setup, teardown),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
