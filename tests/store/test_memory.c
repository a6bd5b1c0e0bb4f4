/*
 * The allocator that SQLite is given, through SQLite's own entry points.
 */
#include <pthread.h>
#include <sqlite3.h>

#include "fixture.h"

static void test_blocks_are_large_enough_aligned_and_kept_apart(void **state)
{
    (void)state;
    enum { BLOCKS = 200 };
    unsigned char *blocks[BLOCKS];
    int sizes[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        sizes[i] = i < 100 ? 1 + i * 6 : 1 + (i - 100) * 801; /* beyond the largest class as well */
        blocks[i] = sqlite3_malloc(sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 8, 0);
        assert_true(sqlite3_msize(blocks[i]) >= (sqlite3_uint64)sizes[i]);
        memset(blocks[i], i & 0xff, (size_t)sizes[i]);
    }
    for (int i = 0; i < BLOCKS; i++) {
        for (int j = 0; j < sizes[i]; j++)
            assert_int_equal(blocks[i][j], i & 0xff);
        sqlite3_free(blocks[i]);
    }
    sqlite3_free(NULL);
    assert_null(sqlite3_malloc(0));
}

static void test_growing_keeps_the_bytes(void **state)
{
    (void)state;
    unsigned char *p = sqlite3_realloc(NULL, 1);
    p[0] = 1;
    int filled = 1;
    for (int size = 2; size < 300000; size = size * 3 / 2 + 1) {
        p = sqlite3_realloc(p, size);
        assert_non_null(p);
        for (int i = 0; i < filled; i++)
            assert_int_equal(p[i], (unsigned char)(i + 1));
        for (; filled < size; filled++)
            p[filled] = (unsigned char)(filled + 1);
    }
    unsigned char *same = sqlite3_realloc(p, filled / 2);
    assert_ptr_equal(same, p);
    sqlite3_free(same);
}

static void test_a_freed_block_is_used_again(void **state)
{
    (void)state;
    void *p = sqlite3_malloc(1000);
    sqlite3_free(p);
    void *q = sqlite3_malloc(900); /* of the same class */
    assert_ptr_equal(p, q);
    sqlite3_free(q);
}

static void *free_all(void *arg)
{
    void **blocks = arg;
    for (int i = 0; i < 200; i++)
        sqlite3_free(blocks[i]);
    return NULL;
}

static void test_blocks_may_be_freed_by_another_thread(void **state)
{
    (void)state;
    void *blocks[200];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++)
            blocks[i] = sqlite3_malloc(500 + i * 60);
        pthread_t thread; /* which ends and takes its lists along */
        assert_int_equal(pthread_create(&thread, NULL, free_all, blocks), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_blocks_are_large_enough_aligned_and_kept_apart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_growing_keeps_the_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_freed_block_is_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blocks_may_be_freed_by_another_thread, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
