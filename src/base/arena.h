/*
 * base/arena.h - Memory that is freed whole. A request has one arena; what outlives the request is
 * copied out. Chunks come from an arena_pool (one per loop thread) so that a warm request never
 * calls malloc.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;
struct arena_pool;

/* Chunks of this size are pooled. A larger single allocation gets a chunk of its own, of the next
 * power of two; those up to 512 KiB are pooled as well. */
#define ARENA_CHUNK_BYTES ((size_t)16384)

/*
 * A free list of chunks, kept by one thread.
 *
 * Units    chunks_max bounds how many free bytes are kept, in chunks (0: none); beyond it they
 * return to the heap.
 */
struct arena_pool *arena_pool_new(unsigned chunks_max);
void arena_pool_free(struct arena_pool *pool);
/*
 * After a peak: return half of what nobody took from the pool since the last call to the heap, but
 * for some chunks that the next requests will want. Bytes given back. Called every few seconds, it
 * lets a pool shrink to what is in use.
 */
size_t arena_pool_trim(struct arena_pool *pool);

/*
 * A new arena. The arena itself lives in its first chunk.
 *
 * Memory   freed with arena_free by the caller. `pool` may be NULL (plain heap; tests and tools).
 * Units    budget_bytes is the most it may hold in all; past it allocations return NULL. 0:
 * unlimited. Context  one thread at a time; `pool` must belong to the thread that creates and frees
 * the arena.
 */
struct arena *arena_new(struct arena_pool *pool, size_t budget_bytes);
void arena_free(struct arena *arena);
static inline void arena_freep(struct arena **p)
{
    if (*p)
        arena_free(*p);
}

/*
 * `size` bytes, aligned for any type, not zeroed; NULL when the budget is spent (the caller answers
 * STATUS_EXHAUSTED). The machine running out of memory is fatal and does not return.
 */
void *arena_alloc(struct arena *arena, size_t size);

/* As arena_alloc, zeroed; `count * size` is checked for overflow (NULL). */
void *arena_calloc(struct arena *arena, size_t count, size_t size);

#define arena_new_of(arena, type) ((type *)arena_calloc((arena), 1, sizeof(type)))
#define arena_array_of(arena, type, n) ((type *)arena_calloc((arena), (n), sizeof(type)))

/*
 * Grow the most recent allocation in place when possible, else copy. `ptr` may be NULL.
 * NULL when the budget is spent; the old block stays valid then.
 */
void *arena_realloc(struct arena *arena, void *ptr, size_t old_size, size_t new_size);

/* Copy text into the arena. EXHAUSTED when the budget is spent. */
enum status arena_copy(struct arena *arena, struct slice s, struct slice *ret);

/* NUL-terminated copy for a C library call; NULL when the budget is spent or `s` holds a zero byte.
 */
char *arena_cstr(struct arena *arena, struct slice s);

/* printf into the arena; SLICE_NULL when the budget is spent. */
struct slice arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct slice arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/*
 * A place to go back to: everything allocated after the mark is released by the rewind. A block
 * that was grown after the mark (arena_realloc, a buf) counts as allocated after it.
 */
struct arena_mark {
    void *chunk;
    size_t used;
    size_t total;
    uint64_t serial;
};
struct arena_mark arena_mark(struct arena *arena);
void arena_rewind(struct arena *arena, struct arena_mark mark);

/*
 * Take chunks from `pool` from now on (NULL: the heap) and return the pool used so far. For an
 * arena lent to another thread, which must not touch its owner's pool: swap in one's own, work,
 * swap back. Chunks may change pools so.
 */
struct arena_pool *arena_pool_swap(struct arena *arena, struct arena_pool *pool);

/* Bytes handed out so far, rounded up to alignment; what the budget is compared with. */
size_t arena_used(const struct arena *arena);
/* 0: unlimited. */
size_t arena_budget(const struct arena *arena);
