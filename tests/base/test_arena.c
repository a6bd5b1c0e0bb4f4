#include "check.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/memory.h"

static void test_allocations_are_aligned_and_apart(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    assert_int_equal(arena_budget(a), 0);
    static unsigned char *blocks[400];
    static size_t sizes[400];
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        sizes[i] = i % 50 == 49 ? 20000 + i : random_fast() % 700;
        blocks[i] = arena_alloc(a, sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)i, sizes[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(blocks[i][k], (unsigned char)i);
    }
}

static void test_zeroed(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    memset(arena_alloc(a, 1000), 0xff, 1000);
    struct arena_mark mark = arena_mark(a);
    memset(arena_alloc(a, 1000), 0xff, 1000);
    arena_rewind(a, mark);
    const unsigned char *p = arena_array_of(a, unsigned char, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(p[i], 0);
    assert_null(arena_calloc(a, SIZE_MAX / 2, 3));
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 8));
    assert_int_equal(*arena_new_of(a, int), 0);
}

static void test_budget(void **state)
{
    (void)state;
    for (size_t budget = 16; budget < 100000; budget = budget * 3 / 2) {
        struct arena *a = arena_new(NULL, budget);
        assert_int_equal(arena_budget(a), budget);
        size_t taken = 0;
        while (arena_alloc(a, 48))
            taken += 48;
        assert_true(taken <= budget && taken + 48 > budget - budget % 16);
        assert_int_equal(arena_used(a), taken);
        assert_null(arena_alloc(a, 48));
        assert_null(arena_alloc(a, 1000000));
        assert_null(arena_alloc(a, ARENA_CHUNK_BYTES));
        arena_free(a);
    }
}

static void test_budget_counts_large_blocks(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 100000);
    struct arena_mark mark = arena_mark(a);
    assert_non_null(arena_alloc(a, 60000));
    assert_null(arena_alloc(a, 60000));
    assert_non_null(arena_alloc(a, 30000));
    assert_non_null(arena_alloc(a, 9000));
    assert_null(arena_alloc(a, 9000));
    arena_rewind(a, mark);
    assert_int_equal(arena_used(a), 0);
    assert_non_null(arena_alloc(a, 60000));
}

static void test_realloc_in_place(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    char *p = arena_realloc(a, NULL, 0, 10);
    memcpy(p, "012345678", 10);
    assert_ptr_equal(arena_realloc(a, p, 10, 5000), p);
    assert_string_equal(p, "012345678");
    assert_ptr_equal(arena_realloc(a, p, 5000, 20), p);
    assert_int_equal(arena_used(a), 32);
    char *other = arena_alloc(a, 16);
    char *moved = arena_realloc(a, p, 20, 40);
    assert_ptr_not_equal(moved, p);
    assert_string_equal(moved, "012345678");
    assert_ptr_equal(arena_realloc(a, other, 16, 8), other);
    assert_null(arena_realloc(a, moved, 40, SIZE_MAX - 4));
    assert_string_equal(moved, "012345678");
}

static void test_realloc_through_all_sizes(void **state)
{
    (void)state;
    struct arena_pool *pool = arena_pool_new(256);
    for (int round = 0; round < 2; round++) {
        struct arena *a = arena_new(pool, 0);
        unsigned char *p = NULL;
        size_t size = 0;
        while (size < (size_t)3 << 20) {
            size_t grown = size * 3 / 2 + 100;
            p = arena_realloc(a, p, size, grown);
            memset(p + size, (int)(size % 251), grown - size);
            size = grown;
        }
        for (size_t at = 0, s = 0; s < size; at = s) {
            s = s * 3 / 2 + 100;
            assert_int_equal(p[at], at % 251);
            assert_int_equal(p[s - 1], at % 251);
        }
        arena_free(a);
    }
    arena_pool_free(pool);
}

static void test_realloc_budget_keeps_the_old(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 70000);
    char *p = arena_alloc(a, 40000);
    memset(p, 'x', 40000);
    assert_null(arena_realloc(a, p, 40000, 90000));
    assert_int_equal(p[39999], 'x');
    /* Within its own chunk it may use what the budget has left. */
    assert_ptr_equal(arena_realloc(a, p, 40000, 60000), p);
    assert_int_equal(arena_used(a), 60000);
    assert_null(arena_alloc(a, 10016));
    assert_non_null(arena_alloc(a, 9000));
}

static void test_mark_and_rewind(void **state)
{
    (void)state;
    struct arena_pool *pool = arena_pool_new(64);
    CLEANUP(arena_free) struct arena *a = arena_new(pool, 0);
    char *kept = arena_alloc(a, 100);
    memset(kept, 'k', 100);
    for (int round = 0; round < 50; round++) {
        struct arena_mark mark = arena_mark(a);
        size_t used = arena_used(a);
        for (int i = 0; i < 40; i++)
            memset(arena_alloc(a, (size_t)i * 37), 'x', (size_t)i * 37);
        struct arena_mark inner = arena_mark(a);
        size_t inner_used = arena_used(a);
        memset(arena_alloc(a, 50000), 'y', 50000);
        memset(arena_alloc(a, 16000), 'z', 16000);
        arena_rewind(a, inner);
        assert_int_equal(arena_used(a), inner_used);
        arena_rewind(a, mark);
        assert_int_equal(arena_used(a), used);
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(kept[i], 'k');
    arena_free(a);
    a = NULL;
    arena_pool_free(pool);
}

/* A large block that was grown after the mark is older than it, and outlives the rewind. */
static void test_rewind_after_growing_an_older_block(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    char *p = arena_alloc(a, 600000);
    memset(p, 'p', 600000);
    struct arena_mark mark = arena_mark(a);
    p = arena_realloc(a, p, 600000, 2000000);
    arena_rewind(a, mark);
    assert_int_equal(p[599999], 'p');
    assert_int_equal(arena_used(a), 2000000);
}

static void test_pool_is_bounded_and_reused(void **state)
{
    (void)state;
    struct arena_pool *pool = arena_pool_new(4);
    struct arena *a = arena_new(pool, 0);
    void *first = arena_alloc(a, 8);
    for (int i = 0; i < 20; i++)
        (void)arena_alloc(a, 16000);
    (void)arena_alloc(a, 30000);
    arena_free(a);
    /* The chunk freed last is warm in the cache: it comes first. */
    a = arena_new(pool, 0);
    void *again = arena_alloc(a, 8);
    arena_free(a);
    struct arena *b = arena_new(pool, 0);
    assert_ptr_equal(arena_alloc(b, 8), again);
    assert_non_null(first);
    arena_free(b);
    arena_pool_free(pool);
    arena_pool_free(NULL);
    arena_free(NULL);

    struct arena_pool *none = arena_pool_new(0);
    arena_free(arena_new(none, 0));
    arena_pool_free(none);
}

static void test_a_trim_gives_back_what_nobody_took(void **state)
{
    (void)state;
    struct arena_pool *pool = arena_pool_new(100);
    struct arena *a = arena_new(pool, 0);
    for (int i = 0; i < 63; i++)
        (void)arena_alloc(a, 16000);
    (void)arena_alloc(a, 200000);
    assert_int_equal(arena_pool_trim(pool), 0); /* all of it is in use */
    arena_free(a);
    assert_int_equal(arena_pool_trim(pool), 0); /* it was just now */
    size_t first = arena_pool_trim(pool);
    assert_true(first >= 30 * ARENA_CHUNK_BYTES && first <= 45 * ARENA_CHUNK_BYTES);
    size_t second = arena_pool_trim(pool);
    assert_true(second > 0 && second < first);

    /* What is taken now and then stays. */
    a = arena_new(pool, 0);
    while (arena_used(a) < 20 * ARENA_CHUNK_BYTES)
        (void)arena_alloc(a, 16000);
    arena_free(a);
    size_t third = arena_pool_trim(pool);
    assert_true(third < second);

    /* And some chunks stay in any case. */
    for (int i = 0; i < 20; i++)
        (void)arena_pool_trim(pool);
    assert_int_equal(arena_pool_trim(pool), 0);
    arena_pool_free(pool);
}

static void test_text(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 2048);
    struct slice copy;
    assert_int_equal(arena_copy(a, SLICE("hello"), &copy), STATUS_OK);
    check_text("copy", copy, SLICE("hello"));
    assert_int_equal(arena_copy(a, SLICE_NULL, &copy), STATUS_OK);
    assert_non_null(copy.data);
    assert_string_equal(arena_cstr(a, SLICE("text")), "text");
    assert_string_equal(arena_cstr(a, SLICE_NULL), "");
    assert_null(arena_cstr(a, SLICE("a\0b")));
    check_text("printf", arena_printf(a, "%s-%d", "n", 5), SLICE("n-5"));
    struct slice wide = arena_printf(a, "%*d", 700, 3);
    assert_int_equal(wide.len, 700);
    assert_int_equal(wide.data[699], '3');

    static char big[4000];
    memset(big, 'b', sizeof(big) - 1);
    assert_int_equal(arena_copy(a, slice_of(big, sizeof(big)), &copy), STATUS_EXHAUSTED);
    assert_null(arena_cstr(a, slice_cstr(big)));
    assert_null(arena_printf(a, "%s", big).data);
}

#if MEMORY_ASAN
static void test_poisoned_after_rewind(void **state)
{
    (void)state;
    struct arena_pool *pool = arena_pool_new(8);
    struct arena *a = arena_new(pool, 0);
    struct arena_mark mark = arena_mark(a);
    char *p = arena_alloc(a, 20);
    char *large = arena_alloc(a, 20000);
    assert_false(__asan_address_is_poisoned(p + 19));
    assert_true(__asan_address_is_poisoned(p + 20));
    assert_true(__asan_address_is_poisoned(large + 20000));
    arena_rewind(a, mark);
    assert_true(__asan_address_is_poisoned(p));
    assert_true(__asan_address_is_poisoned(large));
    p = arena_alloc(a, 64);
    assert_ptr_equal(arena_realloc(a, p, 64, 24), p);
    assert_true(__asan_address_is_poisoned(p + 24));
    arena_free(a);
    assert_true(__asan_address_is_poisoned(p));
    arena_pool_free(pool);
}
#endif

/* What cannot be allowed for is fatal, and says so. */
static void test_machine_out_of_memory_is_fatal(void **state)
{
    (void)state;
    static const unsigned kinds = 3;
    for (unsigned kind = 0; kind < kinds; kind++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
            (void)close(STDERR_FILENO);
            size_t absurd = SIZE_MAX / 4;
            if (kind == 0)
                (void)memory__alloc(absurd);
            else if (kind == 1)
                (void)memory__calloc(absurd, 1);
            else
                (void)memory__realloc(NULL, absurd);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_aligned_and_apart),
        cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_budget_counts_large_blocks),
        cmocka_unit_test(test_realloc_in_place),
        cmocka_unit_test(test_realloc_through_all_sizes),
        cmocka_unit_test(test_realloc_budget_keeps_the_old),
        cmocka_unit_test(test_mark_and_rewind),
        cmocka_unit_test(test_rewind_after_growing_an_older_block),
        cmocka_unit_test(test_pool_is_bounded_and_reused),
        cmocka_unit_test(test_a_trim_gives_back_what_nobody_took),
        cmocka_unit_test(test_text),
#if MEMORY_ASAN
        cmocka_unit_test(test_poisoned_after_rewind),
#endif
        cmocka_unit_test(test_machine_out_of_memory_is_fatal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
