/*
 * fiber/stack.h - Private: the stacks of one loop. Each is a mapping of its own with an unreadable
 * guard below it; freed ones are kept last in, first out, so that the next task starts on memory
 * that is still in the cache.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Wider than a page: a frame of up to this size cannot step over it. Costs addresses, not memory.
 */
#define STACK_GUARD_BYTES ((size_t)65536)

/* This many free stacks keep every page they touched; further ones keep only the top. */
#define STACK_WARM_MAX 64u
#define STACK_TOP_KEPT_BYTES ((size_t)16384)

struct stack {
    char *low;         /* lowest usable byte; the guard is the STACK_GUARD_BYTES below */
    unsigned valgrind; /* Valgrind's name for it */
};

struct stack_pool {
    size_t stack_bytes; /* usable, whole pages */
    struct stack *free;
    unsigned free_len;
    unsigned free_least; /* since the last trim */
    unsigned free_max;
    unsigned mapped; /* in use or free */
};

/* EXHAUSTED when there is no memory for the list. */
enum status stack_pool_init(struct stack_pool *pool, size_t stack_bytes, unsigned free_max);
/* Unmap what is free; none may be in use. */
void stack_pool_fini(struct stack_pool *pool);

/* EXHAUSTED when the kernel gives no mapping (memory, or vm.max_map_count: a stack takes two). */
enum status stack_take(struct stack_pool *pool, struct stack *ret_stack);
void stack_give(struct stack_pool *pool, struct stack stack);
/* Unmap half of the free stacks that nobody took since the last call, but for the warm ones; bytes
 * of addresses given back. */
size_t stack_pool_trim(struct stack_pool *pool);

/* True when `address` lies in the guard below `stack`. Safe in a signal handler. */
static inline bool stack_guards(const struct stack *stack, uintptr_t address)
{
    return address < (uintptr_t)stack->low && address >= (uintptr_t)stack->low - STACK_GUARD_BYTES;
}
