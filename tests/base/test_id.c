#include "check.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/id.h"

static int64_t time_of(const struct uuid *id)
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->bytes[i];
    return ms;
}

static void check_form(const struct uuid *id)
{
    assert_int_equal(id->bytes[6] >> 4, 7);
    assert_int_equal(id->bytes[8] >> 6, 2);
}

static void test_ids_grow(void **state)
{
    (void)state;
    struct uuid last = uuid_v7();
    assert_true(llabs(time_of(&last) - clock_wall_us() / CLOCK_MS) < 2000);
    for (int i = 0; i < 200000; i++) {
        struct uuid id = uuid_v7();
        check_form(&id);
        if (memcmp(id.bytes, last.bytes, sizeof(id.bytes)) <= 0)
            fail_msg("id %d is not greater than the one before", i);
        last = id;
    }
}

static void test_ids_grow_when_the_clock_goes_back(void **state)
{
    (void)state;
    int64_t now = clock_wall_us() + CLOCK_HOUR;
    clock_fake_set(now, 1);
    struct uuid before = uuid_v7();
    clock_fake_set(now - CLOCK_MINUTE, 1);
    struct uuid after = uuid_v7();
    assert_true(memcmp(after.bytes, before.bytes, sizeof(after.bytes)) > 0);
    assert_int_equal(time_of(&after), now / CLOCK_MS);
    clock_fake_set(0, 0);
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

#define EACH 50000

static void *make_ids(void *arg)
{
    struct uuid *ids = arg;
    for (int i = 0; i < EACH; i++)
        ids[i] = uuid_v7_at(1000000000 * CLOCK_SECOND);
    return NULL;
}

static void test_ids_of_one_time_are_unique_across_threads(void **state)
{
    (void)state;
    struct uuid *ids = calloc((size_t)4 * EACH, sizeof(*ids));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_ids, ids + (ptrdiff_t)i * EACH), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    qsort(ids, (size_t)4 * EACH, sizeof(*ids), compare_ids);
    for (int i = 0; i < 4 * EACH; i++) {
        check_form(&ids[i]);
        assert_int_equal(time_of(&ids[i]), 1000000000000);
        assert_true(i == 0 || compare_ids(&ids[i - 1], &ids[i]) != 0);
    }
    free(ids);
}

static void test_ids_at_a_time(void **state)
{
    (void)state;
    struct uuid early = uuid_v7_at(1000 * CLOCK_SECOND + 999);
    struct uuid later = uuid_v7_at(1001 * CLOCK_SECOND);
    struct uuid early_again = uuid_v7_at(1000 * CLOCK_SECOND);
    assert_int_equal(time_of(&early), 1000000);
    assert_true(compare_ids(&early, &later) < 0);
    assert_true(compare_ids(&early_again, &later) < 0);
    struct uuid before_1970 = uuid_v7_at(-5);
    assert_int_equal(time_of(&before_1970), 0);
}

static void test_text(void **state)
{
    (void)state;
    struct uuid id, back;
    char text[UUID_TEXT_LEN];
    assert_true(uuid_parse(SLICE("0190A5B2-0000-7abc-8DEF-0123456789aB"), &id));
    uuid_format(&id, text);
    check_text("format", slice_of(text, sizeof(text)),
               SLICE("0190a5b2-0000-7abc-8def-0123456789ab"));
    for (int i = 0; i < 1000; i++) {
        random_bytes(&id, sizeof(id));
        uuid_format(&id, text);
        assert_true(uuid_parse(slice_of(text, sizeof(text)), &back));
        assert_memory_equal(&id, &back, sizeof(id));
    }
    static const char *const bad[] = {
        "",
        "0190a5b2-0000-7abc-8def-0123456789a",
        "0190a5b2-0000-7abc-8def-0123456789ab0",
        "0190a5b2x0000-7abc-8def-0123456789ab",
        "0190a5b2-0000-7abc-8def-0123456789ag",
        "0190a5b2-0000-7abc-8def-0123456789a-",
        "0190a5b200007abc8def0123456789ab0000",
        "{190a5b2-0000-7abc-8def-0123456789a}",
        "0190a5b2-0000-7abc-8def-0123456789`a",
        "0190a5b2-0000-7abc-8def-0123456789a\x10",
        "0190a5b2-0000-7abc-8def-0123456789a@",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_int(bad[i], uuid_parse(slice_cstr(bad[i]), &back), false);
}

static void test_random_bytes(void **state)
{
    (void)state;
    unsigned char bytes[1000];
    unsigned ones = 0, bits = 0;
    for (size_t len = 0; len < sizeof(bytes); len += 7) {
        memset(bytes, 0, sizeof(bytes));
        random_bytes(bytes, len);
        for (size_t i = 0; i < len; i++)
            ones += (unsigned)__builtin_popcount(bytes[i]);
        bits += (unsigned)len * 8;
        for (size_t i = len; i < sizeof(bytes); i++)
            assert_int_equal(bytes[i], 0);
    }
    assert_true(ones > bits / 2 - bits / 50 && ones < bits / 2 + bits / 50);
}

static void test_random_fast(void **state)
{
    (void)state;
    unsigned ones = 0;
    uint64_t last = random_fast();
    for (int i = 0; i < 10000; i++) {
        uint64_t next = random_fast();
        assert_true(next != last);
        ones += (unsigned)__builtin_popcountll(next);
        last = next;
    }
    assert_true(ones > 10000u * 31 && ones < 10000u * 33);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_grow),
        cmocka_unit_test(test_ids_grow_when_the_clock_goes_back),
        cmocka_unit_test(test_ids_of_one_time_are_unique_across_threads),
        cmocka_unit_test(test_ids_at_a_time),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_random_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
