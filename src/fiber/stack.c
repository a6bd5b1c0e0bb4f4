/* fiber/stack.c - Mapping, pooling and trimming of task stacks. */
#include "fiber/stack.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"
#include "fiber/context.h"

enum status stack_pool_init(struct stack_pool *pool, size_t stack_bytes, unsigned free_max)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct stack *list = calloc(free_max ? free_max : 1, sizeof(*list));
    if (!list)
        return STATUS_EXHAUSTED;
    *pool = (struct stack_pool){
        .stack_bytes = (stack_bytes + page - 1) / page * page,
        .free = list,
        .free_max = free_max,
    };
    return STATUS_OK;
}

static enum status map_stack(size_t bytes, struct stack *ret_stack)
{
    char *base = mmap(NULL, bytes + STACK_GUARD_BYTES, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED)
        return STATUS_EXHAUSTED;
    char *low = base + STACK_GUARD_BYTES;
    if (mprotect(low, bytes, PROT_READ | PROT_WRITE) != 0) {
        (void)munmap(base, bytes + STACK_GUARD_BYTES); /* undoing; nothing to do if it fails too */
        return STATUS_EXHAUSTED;
    }
    *ret_stack = (struct stack){
        .low = low,
        .valgrind = (unsigned)FIBER_VALGRIND_REGISTER(low, low + bytes),
    };
    return STATUS_OK;
}

static void unmap_stack(struct stack_pool *pool, struct stack stack)
{
    FIBER_VALGRIND_DEREGISTER(stack.valgrind);
    /* Can only fail when the kernel cannot split a mapping, and this one is whole. */
    (void)munmap(stack.low - STACK_GUARD_BYTES, pool->stack_bytes + STACK_GUARD_BYTES);
    pool->mapped--;
}

void stack_pool_fini(struct stack_pool *pool)
{
    while (pool->free_len > 0)
        unmap_stack(pool, pool->free[--pool->free_len]);
    assert(pool->mapped == 0);
    free(pool->free);
    pool->free = NULL;
}

enum status stack_take(struct stack_pool *pool, struct stack *ret_stack)
{
    if (pool->free_len > 0) {
        *ret_stack = pool->free[--pool->free_len];
        pool->free_least = MIN(pool->free_least, pool->free_len);
        return STATUS_OK;
    }
    enum status st = map_stack(pool->stack_bytes, ret_stack);
    if (st == STATUS_OK)
        pool->mapped++;
    return st;
}

void stack_give(struct stack_pool *pool, struct stack stack)
{
    /* The last frames of a task are left, not returned from: their red zones would stay. */
    FIBER_ASAN_UNPOISON(stack.low, pool->stack_bytes);
    if (pool->free_len >= pool->free_max) {
        unmap_stack(pool, stack);
        return;
    }
    /* A peak must not pin the deepest pages each of its tasks ever touched. Only tasks beyond the
     * warm ones pay the call. Advice that is refused changes nothing. */
    if (pool->free_len >= STACK_WARM_MAX && pool->stack_bytes > STACK_TOP_KEPT_BYTES)
        (void)madvise(stack.low, pool->stack_bytes - STACK_TOP_KEPT_BYTES, MADV_DONTNEED);
    pool->free[pool->free_len++] = stack;
}

size_t stack_pool_trim(struct stack_pool *pool)
{
    unsigned spare = MIN(pool->free_least, pool->free_len);
    unsigned len = spare > STACK_WARM_MAX ? (spare - STACK_WARM_MAX + 1) / 2 : 0;
    for (unsigned i = 0; i < len; i++)
        unmap_stack(pool, pool->free[--pool->free_len]);
    pool->free_least = pool->free_len;
    return len * pool->stack_bytes;
}
