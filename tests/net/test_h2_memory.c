/* tests/net/test_h2_memory.c - nghttp2's allocations: what they hold stays theirs, over every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/h2.h"

#define BLOCKS 400u

static void fill(char *block, size_t size, unsigned mark)
{
    memset(block, (int)(mark & 0xff), size);
}

static void check(const char *block, size_t size, unsigned mark)
{
    for (size_t i = 0; i < size; i++)
        assert_int_equal((unsigned char)block[i], mark & 0xff);
}

/* From nothing to past the largest class, with every edge of a class on both sides. */
static size_t size_of(unsigned i)
{
    static const size_t edges[] = { 1, 24, 25, 63, 264, 265, 328, 329, 1032, 1033, 4104, 4105 };
    return edges[i % (sizeof(edges) / sizeof(edges[0]))];
}

static void test_h2_memory_blocks_do_not_overlap(void **state)
{
    (void)state;
    static char *blocks[BLOCKS];
    struct net__h2_memory *memory = net__h2_memory_new();
    assert_non_null(memory);
    const nghttp2_mem *mem = net__h2_memory_mem(memory);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            blocks[i] = mem->malloc(size_of(i + round), mem->mem_user_data);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
            fill(blocks[i], size_of(i + round), i);
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            check(blocks[i], size_of(i + round), i);
            mem->free(blocks[i], mem->mem_user_data);
        }
    }
    mem->free(NULL, mem->mem_user_data);
    net__h2_memory_free(memory);
    net__h2_memory_free(NULL);
}

static void test_h2_memory_grows_and_keeps(void **state)
{
    (void)state;
    struct net__h2_memory *memory = net__h2_memory_new();
    const nghttp2_mem *mem = net__h2_memory_mem(memory);
    char *block = mem->realloc(NULL, 10, mem->mem_user_data);
    size_t size = 10;
    fill(block, size, 7);
    while (size < 100000) {
        block = mem->realloc(block, size * 2, mem->mem_user_data);
        assert_non_null(block);
        check(block, size, 7);
        size *= 2;
        fill(block, size, 7);
    }
    mem->free(block, mem->mem_user_data);
    net__h2_memory_free(memory);
}

static void test_h2_memory_zeroes_and_refuses_overflow(void **state)
{
    (void)state;
    struct net__h2_memory *memory = net__h2_memory_new();
    const nghttp2_mem *mem = net__h2_memory_mem(memory);
    char *block = mem->malloc(300, mem->mem_user_data);
    fill(block, 300, 9);
    mem->free(block, mem->mem_user_data);
    block = mem->calloc(30, 10, mem->mem_user_data);
    assert_non_null(block);
    check(block, 300, 0);
    mem->free(block, mem->mem_user_data);
    assert_null(mem->calloc(SIZE_MAX / 2, 3, mem->mem_user_data));
    net__h2_memory_free(memory);
}

#define FRAME_BYTES ((size_t)16394) /* as nghttp2 1.52 makes its buffer */

/* The sessions of one server are made one after the other, and each is given the same buffer once;
 * what else is as long is nobody else's. */
static void test_h2_memory_sessions_share_the_frame(void **state)
{
    (void)state;
    struct net__h2_memory *memory = net__h2_memory_new();
    const nghttp2_mem *mem = net__h2_memory_mem(memory);
    char *other = mem->malloc(FRAME_BYTES, mem->mem_user_data);
    net__h2_memory_opening(memory, true);
    char *first = mem->malloc(FRAME_BYTES, mem->mem_user_data);
    char *continued = mem->malloc(FRAME_BYTES, mem->mem_user_data);
    net__h2_memory_opening(memory, false);
    net__h2_memory_opening(memory, true);
    char *second = mem->malloc(FRAME_BYTES, mem->mem_user_data);
    net__h2_memory_opening(memory, false);
    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, continued);
    assert_ptr_not_equal(first, other);

    net__h2_memory_enter(memory);
    fill(first, FRAME_BYTES, 3);
    fill(continued, FRAME_BYTES, 4);
    check(first, FRAME_BYTES, 3);
    char *grown = mem->realloc(first, FRAME_BYTES * 2, mem->mem_user_data);
    assert_ptr_not_equal(grown, first); /* the others have it still */
    check(grown, FRAME_BYTES, 3);
    net__h2_memory_leave(memory);

    mem->free(first, mem->mem_user_data);
    mem->free(second, mem->mem_user_data); /* it is the server's */
    net__h2_memory_enter(memory);
    fill(second, FRAME_BYTES, 5);
    net__h2_memory_leave(memory);
    mem->free(grown, mem->mem_user_data);
    mem->free(continued, mem->mem_user_data);
    mem->free(other, mem->mem_user_data);
    net__h2_memory_free(memory);
}

/* The buffer is shared only if nghttp2 asks for one as long as we think: else every connection
 * costs 16 KiB more, and nobody would notice. */
static void test_h2_memory_knows_the_frame_of_nghttp2(void **state)
{
    (void)state;
    struct net__h2_memory *memory = net__h2_memory_new();
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    net__h2_memory_opening(memory, true);
    assert_int_equal(
        nghttp2_session_server_new3(&session, callbacks, NULL, NULL, net__h2_memory_mem(memory)),
        0);
    assert_true(net__h2_memory_is_lent(memory));
    net__h2_memory_opening(memory, false);
    nghttp2_session_del(session);
    nghttp2_session_callbacks_del(callbacks);
    net__h2_memory_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_h2_memory_blocks_do_not_overlap),
        cmocka_unit_test(test_h2_memory_grows_and_keeps),
        cmocka_unit_test(test_h2_memory_zeroes_and_refuses_overflow),
        cmocka_unit_test(test_h2_memory_sessions_share_the_frame),
        cmocka_unit_test(test_h2_memory_knows_the_frame_of_nghttp2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
