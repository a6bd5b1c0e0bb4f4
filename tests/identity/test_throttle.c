/* tests/identity/test_throttle.c - Who fails has to wait, and nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "identity/throttle.h"

#define START_US (INT64_C(1000) * CLOCK_SECOND)

static struct identity_throttle_key key_of(const struct identity_throttle *throttle,
                                           enum identity_throttle_kind kind, const char *name)
{
    return (struct identity_throttle_key){ kind,
                                           identity_throttle_hash(throttle, slice_cstr(name)) };
}

static int64_t fail_once(struct identity_throttle *throttle, struct identity_throttle_key key,
                         int64_t now_us)
{
    return identity_throttle_begin(throttle, &key, 1, now_us);
}

static void test_the_first_failures_are_free_then_the_wait_doubles(void **state)
{
    static const struct {
        enum identity_throttle_kind kind;
        unsigned free;
        int64_t first_us;
    } rows[] = {
        { IDENTITY_THROTTLE_ACCOUNT, 5, CLOCK_SECOND },
        { IDENTITY_THROTTLE_DEVICE, 10, CLOCK_SECOND },
        { IDENTITY_THROTTLE_ADDRESS, 50, CLOCK_SECOND },
        { IDENTITY_THROTTLE_MAIL, 3, CLOCK_MINUTE },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(identity_throttle_free) struct identity_throttle *throttle = NULL;
        assert_int_equal(identity_throttle_new(&throttle), STATUS_OK);
        struct identity_throttle_key key = key_of(throttle, rows[i].kind, "ada");
        int64_t now_us = START_US, wait_us = rows[i].first_us;
        for (unsigned n = 0; n < rows[i].free; n++)
            assert_int_equal(fail_once(throttle, key, now_us), 0);
        for (unsigned n = 0; n < 12; n++) {
            assert_int_equal(fail_once(throttle, key, now_us), wait_us);
            /* Asking too early costs nothing. */
            assert_int_equal(fail_once(throttle, key, now_us + wait_us - 1), 1);
            now_us += wait_us;
            assert_int_equal(fail_once(throttle, key, now_us), 0);
            wait_us = MIN(2 * wait_us, IDENTITY_THROTTLE_WAIT_MAX_US);
        }
        assert_int_equal(wait_us, IDENTITY_THROTTLE_WAIT_MAX_US);
        now_us += IDENTITY_THROTTLE_FORGET_US + 1;
        for (unsigned n = 0; n < rows[i].free; n++)
            assert_int_equal(fail_once(throttle, key, now_us), 0);
    }
}

static void test_a_success_is_forgiven_and_an_address_gets_one_back(void **state)
{
    (void)state;
    CLEANUP(identity_throttle_free) struct identity_throttle *throttle = NULL;
    assert_int_equal(identity_throttle_new(&throttle), STATUS_OK);
    const struct identity_throttle_key keys[] = {
        key_of(throttle, IDENTITY_THROTTLE_ACCOUNT, "ada"),
        key_of(throttle, IDENTITY_THROTTLE_ADDRESS, "192.0.2.1"),
    };
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(identity_throttle_begin(throttle, keys, 2, START_US), 0);
    identity_throttle_succeeded(throttle, keys, 2, START_US);
    /* Of the account all is forgotten, of the address three are left. */
    for (unsigned n = 0; n < 5; n++)
        assert_int_equal(fail_once(throttle, keys[0], START_US), 0);
    assert_true(fail_once(throttle, keys[0], START_US) > 0);
    for (unsigned n = 0; n < 47; n++)
        assert_int_equal(fail_once(throttle, keys[1], START_US), 0);
    assert_true(fail_once(throttle, keys[1], START_US) > 0);
    identity_throttle_undo(throttle, &keys[1], 1, START_US);
    assert_int_equal(fail_once(throttle, keys[1], START_US), 0);
}

static void test_when_one_key_has_to_wait_none_is_counted(void **state)
{
    (void)state;
    CLEANUP(identity_throttle_free) struct identity_throttle *throttle = NULL;
    assert_int_equal(identity_throttle_new(&throttle), STATUS_OK);
    const struct identity_throttle_key keys[] = {
        key_of(throttle, IDENTITY_THROTTLE_ACCOUNT, "ada"),
        key_of(throttle, IDENTITY_THROTTLE_ADDRESS, "192.0.2.1"),
    };
    for (unsigned n = 0; n < 5; n++)
        assert_int_equal(fail_once(throttle, keys[0], START_US), 0);
    for (unsigned n = 0; n < 100; n++)
        assert_true(identity_throttle_begin(throttle, keys, 2, START_US) > 0);
    for (unsigned n = 0; n < 50; n++)
        assert_int_equal(fail_once(throttle, keys[1], START_US), 0);
    /* The same name of another kind is somebody else. */
    assert_int_equal(
        fail_once(throttle, key_of(throttle, IDENTITY_THROTTLE_DEVICE, "ada"), START_US), 0);
}

/* A flood of names makes no table grow: what is remembered longest goes, of the flood first. */
static void test_a_flood_of_names_is_bounded(void **state)
{
    (void)state;
    CLEANUP(identity_throttle_free) struct identity_throttle *throttle = NULL;
    assert_int_equal(identity_throttle_new(&throttle), STATUS_OK);
    char name[32];
    for (unsigned n = 0; n < 4 * IDENTITY_THROTTLE_ENTRIES; n++) {
        (void)snprintf(name, sizeof(name), "flood %u", n);
        assert_int_equal(
            fail_once(throttle, key_of(throttle, IDENTITY_THROTTLE_ACCOUNT, name), START_US), 0);
    }
    struct identity_throttle_key ada = key_of(throttle, IDENTITY_THROTTLE_ACCOUNT, "ada");
    for (unsigned n = 0; n < 5; n++)
        assert_int_equal(fail_once(throttle, ada, START_US + 1), 0);
    assert_true(fail_once(throttle, ada, START_US + 1) > 0);
}

#define THREADS 4u
#define EACH 500u

static void *guess(void *arg)
{
    struct identity_throttle *throttle = arg;
    uintptr_t passed = 0;
    for (unsigned n = 0; n < EACH; n++)
        passed +=
            fail_once(throttle, key_of(throttle, IDENTITY_THROTTLE_ACCOUNT, "ada"), START_US) == 0;
    return (void *)passed; // NOLINT(performance-no-int-to-ptr)
}

static void test_so_many_at_once_are_so_many(void **state)
{
    (void)state;
    CLEANUP(identity_throttle_free) struct identity_throttle *throttle = NULL;
    assert_int_equal(identity_throttle_new(&throttle), STATUS_OK);
    pthread_t threads[THREADS];
    uintptr_t passed = 0;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, guess, throttle), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *one;
        assert_int_equal(pthread_join(threads[i], &one), 0);
        passed += (uintptr_t)one;
    }
    assert_int_equal(passed, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_failures_are_free_then_the_wait_doubles),
        cmocka_unit_test(test_a_success_is_forgiven_and_an_address_gets_one_back),
        cmocka_unit_test(test_when_one_key_has_to_wait_none_is_counted),
        cmocka_unit_test(test_a_flood_of_names_is_bounded),
        cmocka_unit_test(test_so_many_at_once_are_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
