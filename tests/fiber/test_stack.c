/* tests/fiber/test_stack.c - Stacks: guards below each, reuse of the warmest, and memory that goes
 * back. */
#include "fiber/stack.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"

/* The kernel tells whether a byte can be read without our touching it. */
static bool is_readable(const char *address)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    ssize_t written = write(fds[1], address, 1);
    int error = errno;
    close(fds[0]);
    close(fds[1]);
    if (written != 1)
        assert_int_equal(error, EFAULT);
    return written == 1;
}

static void test_stack_has_a_guard_below(void **state)
{
    (void)state;
    struct stack_pool pool;
    assert_status(stack_pool_init(&pool, 65537, 4), STATUS_OK);
    assert_int_equal(pool.stack_bytes % 4096, 0);
    assert_true(pool.stack_bytes >= 65537);
    struct stack stacks[3];
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++)
        assert_status(stack_take(&pool, &stacks[i]), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++) {
        memset(stacks[i].low, 1, pool.stack_bytes);
        for (size_t below = 1; below <= STACK_GUARD_BYTES; below += 4095)
            assert_false(is_readable(stacks[i].low - below));
        assert_false(is_readable(stacks[i].low - STACK_GUARD_BYTES));
        assert_true(stack_guards(&stacks[i], (uintptr_t)stacks[i].low - 1));
        assert_true(stack_guards(&stacks[i], (uintptr_t)stacks[i].low - STACK_GUARD_BYTES));
        assert_false(stack_guards(&stacks[i], (uintptr_t)stacks[i].low));
        assert_false(stack_guards(&stacks[i], (uintptr_t)stacks[i].low - STACK_GUARD_BYTES - 1));
    }
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++)
        stack_give(&pool, stacks[i]);
    stack_pool_fini(&pool);
}

static void test_stack_pool_is_bounded_and_last_in_first_out(void **state)
{
    (void)state;
    struct stack_pool pool;
    assert_status(stack_pool_init(&pool, 16384, 2), STATUS_OK);
    struct stack stacks[3], again;
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++)
        assert_status(stack_take(&pool, &stacks[i]), STATUS_OK);
    assert_int_equal(pool.mapped, 3);
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++)
        stack_give(&pool, stacks[i]);
    assert_int_equal(pool.mapped, 2);
    assert_int_equal(pool.free_len, 2);
    assert_status(stack_take(&pool, &again), STATUS_OK);
    assert_ptr_equal(again.low, stacks[1].low);
    stack_give(&pool, again);
    stack_pool_fini(&pool);
}

static size_t resident_pages(const struct stack_pool *pool, const struct stack *stack)
{
    unsigned char pages[64];
    size_t resident = 0, count = pool->stack_bytes / 4096;
    assert_true(count <= sizeof(pages));
    assert_int_equal(mincore(stack->low, pool->stack_bytes, pages), 0);
    for (size_t i = 0; i < count; i++)
        resident += pages[i] & 1;
    return resident;
}

static void test_stack_beyond_the_warm_ones_keeps_only_its_top(void **state)
{
    (void)state;
    enum { COUNT = STACK_WARM_MAX + 8 };
    struct stack_pool pool;
    assert_status(stack_pool_init(&pool, 65536, COUNT), STATUS_OK);
    struct stack stacks[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        assert_status(stack_take(&pool, &stacks[i]), STATUS_OK);
        memset(stacks[i].low, 1, pool.stack_bytes);
    }
    for (size_t i = 0; i < COUNT; i++)
        stack_give(&pool, stacks[i]);
    assert_int_equal(resident_pages(&pool, &stacks[0]), 16);
    assert_true(resident_pages(&pool, &stacks[COUNT - 1]) <= 4);
    stack_pool_fini(&pool);
}

static void test_a_trim_unmaps_what_nobody_took(void **state)
{
    (void)state;
    enum { COUNT = STACK_WARM_MAX + 100 };
    struct stack_pool pool;
    assert_status(stack_pool_init(&pool, 16384, COUNT), STATUS_OK);
    struct stack stacks[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        assert_status(stack_take(&pool, &stacks[i]), STATUS_OK);
    assert_int_equal(stack_pool_trim(&pool), 0);
    for (size_t i = 0; i < COUNT; i++)
        stack_give(&pool, stacks[i]);
    assert_int_equal(stack_pool_trim(&pool), 0); /* all were in use just now */
    assert_int_equal(stack_pool_trim(&pool), 50 * 16384);
    assert_int_equal(pool.mapped, COUNT - 50);
    for (int i = 0; i < 10; i++)
        (void)stack_pool_trim(&pool);
    assert_int_equal(pool.mapped, STACK_WARM_MAX);
    assert_int_equal(stack_pool_trim(&pool), 0);
    stack_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stack_has_a_guard_below),
        cmocka_unit_test(test_stack_pool_is_bounded_and_last_in_first_out),
        cmocka_unit_test(test_stack_beyond_the_warm_ones_keeps_only_its_top),
        cmocka_unit_test(test_a_trim_unmaps_what_nobody_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
