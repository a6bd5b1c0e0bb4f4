/*
 * tests/shared/test_counts_threads.c - Counts under threads that all want the same: exactly the
 * quota passes, with one policy and with several whose places they lock crosswise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/clock.h"
#include "base/macros.h"
#include "shared/shared.h"

#define THREADS 4u
#define TRIES 5000u

struct crowd {
    struct shared_counts *counts;
    pthread_barrier_t begin;
    unsigned policies;
    unsigned passed; /* atomic */
};

static void *member(void *arg)
{
    struct crowd *crowd = arg;
    unsigned passed = 0;
    (void)pthread_barrier_wait(&crowd->begin);
    for (unsigned i = 0; i < TRIES; i++) {
        struct shared_take takes[4];
        bool allowed;
        for (unsigned k = 0; k < crowd->policies; k++) {
            /* Each time from another end: locks are taken in their own order all the same. */
            uint64_t key = (k + i) % crowd->policies;
            takes[k] = (struct shared_take){
                .key = 1000 + key * 77,
                .rate =
                    shared_rate_of(100 + 50 * (uint32_t)key, CLOCK_DAY, 100 + 50 * (uint32_t)key),
                .cost = 1,
            };
        }
        enum status st =
            shared_counts_take(NULL, crowd->counts, CLOCK_SECOND, takes, crowd->policies, &allowed);
        passed += st == STATUS_OK && allowed;
    }
    __atomic_fetch_add(&crowd->passed, passed, __ATOMIC_RELAXED);
    return NULL;
}

static void test_exactly_the_quota(void **state)
{
    (void)state;
    for (unsigned policies = 1; policies <= 4; policies++) {
        struct crowd crowd = { .policies = policies };
        pthread_t threads[THREADS];
        assert_int_equal(shared_counts_local(NULL, 1024, &crowd.counts), STATUS_OK);
        assert_int_equal(pthread_barrier_init(&crowd.begin, NULL, THREADS), 0);
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, member, &crowd), 0);
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        /* The narrowest decides, and the others were charged just as much. */
        assert_int_equal(crowd.passed, 100);
        for (unsigned k = 0; k < policies; k++) {
            bool allowed;
            struct shared_take look = { .key = 1000 + (uint64_t)k * 77,
                                        .rate =
                                            shared_rate_of(100 + 50 * k, CLOCK_DAY, 100 + 50 * k) };
            assert_int_equal(
                shared_counts_take(NULL, crowd.counts, CLOCK_SECOND, &look, 1, &allowed),
                STATUS_OK);
            assert_int_equal(look.left, 50 * k);
        }
        (void)pthread_barrier_destroy(&crowd.begin);
        shared_counts_free(crowd.counts);
    }
}

struct flood {
    struct shared_counts *counts;
    unsigned index;
};

static void *flooder(void *arg)
{
    struct flood *flood = arg;
    struct shared_rate rate = shared_rate_of(10, CLOCK_MINUTE, 10);
    for (uint64_t n = 0; n < 50000; n++) {
        uint64_t id = n * THREADS + flood->index;
        bool allowed;
        struct shared_take takes[2] = {
            { .key = shared_counts_key(flood->counts, 1, slice_of((char *)&id, sizeof(id))),
              .rate = rate,
              .cost = 1 },
            { .key = shared_counts_key(flood->counts, 2, slice_of((char *)&id, sizeof(id))),
              .rate = rate,
              .cost = 1 },
        };
        (void)shared_counts_take(NULL, flood->counts, CLOCK_SECOND, takes, 2, &allowed);
    }
    return NULL;
}

/* New keys from all sides, and somebody who reads the figures meanwhile. */
static void test_flood_of_keys(void **state)
{
    struct shared_counts *counts;
    struct flood floods[THREADS];
    pthread_t threads[THREADS];
    struct shared_counts_stats stats;
    (void)state;
    assert_int_equal(shared_counts_local(NULL, 1024, &counts), STATUS_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        floods[i] = (struct flood){ .counts = counts, .index = i };
        assert_int_equal(pthread_create(&threads[i], NULL, flooder, &floods[i]), 0);
    }
    for (unsigned i = 0; i < 100; i++)
        shared_counts_stats_read(counts, &stats);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    shared_counts_stats_read(counts, &stats);
    assert_int_equal(stats.takes, 2ull * THREADS * 50000);
    assert_int_equal(stats.entries_max, 1024);
    shared_counts_free(counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exactly_the_quota),
        cmocka_unit_test(test_flood_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
