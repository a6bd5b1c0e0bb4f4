/*
 * Allocation is a pointer that moves through a chunk. Two kinds of chunks hang on an arena: small
 * ones, all of one size, filled one after the other; and large ones, each holding a single
 * allocation that does not fit into a small one. Both come from the thread's pool when it has one
 * and go back there, so a warm request touches the heap for neither. The budget costs nothing on
 * the fast path: the end of the current chunk is clipped to it, and only whoever hits the end finds
 * out why.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/memory.h"

#define ALIGN_BYTES ((size_t)16)
#define ALIGN_UP(n) (((n) + (ALIGN_BYTES - 1)) & ~(ALIGN_BYTES - 1))

/* Large chunks come in powers of two, so that one size serves another request; past these, exact
 * sizes. */
#define LARGE_CLASSES 6u
/* What a trim leaves in any case. */
#define WARM_BYTES (16 * ARENA_CHUNK_BYTES)
#define LARGE_CLASS_BYTES(i) (ARENA_CHUNK_BYTES << (i))
#define LARGE_CLASS_NONE LARGE_CLASSES

struct chunk {
    struct chunk *older;
};

struct large {
    struct large *older;
    uint64_t serial; /* grows with each allocation: tells what is younger than a mark */
    size_t size;     /* asked for, rounded up to the alignment */
    size_t capacity;
    unsigned class;
};

#define CHUNK_HEADER ALIGN_UP(sizeof(struct chunk))
#define LARGE_HEADER ALIGN_UP(sizeof(struct large))
#define CHUNK_PAYLOAD (ARENA_CHUNK_BYTES - CHUNK_HEADER)

struct arena_pool {
    struct chunk *free;
    struct large *free_large[LARGE_CLASSES];
    size_t bytes;       /* of all that is free */
    size_t bytes_least; /* since the last trim */
    size_t bytes_max;
};

struct arena {
    char *next;
    char *end;  /* of the current chunk, or of the budget when that comes first */
    char *base; /* where the current chunk's allocations begin */
    struct chunk *chunk;
    struct large *large;
    size_t closed_bytes; /* handed out from small chunks that are no longer current */
    size_t large_bytes;
    size_t budget; /* SIZE_MAX: none */
    uint64_t serial;
    struct arena_pool *pool;
};

#define ARENA_SELF ALIGN_UP(sizeof(struct arena))

struct arena_pool *arena_pool_new(unsigned chunks_max)
{
    struct arena_pool *pool = memory__calloc(1, sizeof(*pool));
    pool->bytes_max = chunks_max * ARENA_CHUNK_BYTES;
    return pool;
}

void arena_pool_free(struct arena_pool *pool)
{
    if (!pool)
        return;
    for (struct chunk *c = pool->free, *older; c; c = older) {
        older = c->older;
        MEMORY_UNPOISON(c, ARENA_CHUNK_BYTES);
        free(c);
    }
    for (unsigned i = 0; i < LARGE_CLASSES; i++) {
        for (struct large *l = pool->free_large[i], *older; l; l = older) {
            older = l->older;
            MEMORY_UNPOISON(l, LARGE_HEADER + l->capacity);
            free(l);
        }
    }
    free(pool);
}

static void note_taken(struct arena_pool *pool, size_t bytes)
{
    pool->bytes -= bytes;
    pool->bytes_least = MIN(pool->bytes_least, pool->bytes);
}

static struct chunk *chunk_take(struct arena_pool *pool)
{
    if (LIKELY(pool && pool->free)) {
        struct chunk *c = pool->free;
        pool->free = c->older;
        note_taken(pool, ARENA_CHUNK_BYTES);
        return c;
    }
    struct chunk *c = memory__alloc(ARENA_CHUNK_BYTES);
    MEMORY_POISON((char *)c + CHUNK_HEADER, CHUNK_PAYLOAD);
    return c;
}

static void chunk_give(struct arena_pool *pool, struct chunk *c)
{
    if (LIKELY(pool && pool->bytes + ARENA_CHUNK_BYTES <= pool->bytes_max)) {
        MEMORY_POISON((char *)c + CHUNK_HEADER, CHUNK_PAYLOAD);
        c->older = pool->free;
        pool->free = c;
        pool->bytes += ARENA_CHUNK_BYTES;
        return;
    }
    MEMORY_UNPOISON(c, ARENA_CHUNK_BYTES);
    free(c);
}

static void large_give(struct arena_pool *pool, struct large *l)
{
    if (pool && l->class != LARGE_CLASS_NONE && pool->bytes + l->capacity <= pool->bytes_max) {
        MEMORY_POISON((char *)l + LARGE_HEADER, l->capacity);
        l->older = pool->free_large[l->class];
        pool->free_large[l->class] = l;
        pool->bytes += l->capacity;
        return;
    }
    MEMORY_UNPOISON(l, LARGE_HEADER + l->capacity);
    free(l);
}

static struct large *large_take(struct arena_pool *pool, size_t size)
{
    unsigned class = 0;
    while (class < LARGE_CLASSES && LARGE_CLASS_BYTES(class) < size)
        class ++;
    if (pool && class != LARGE_CLASS_NONE && pool->free_large[class]) {
        struct large *l = pool->free_large[class];
        pool->free_large[class] = l->older;
        note_taken(pool, l->capacity);
        return l;
    }
    size_t capacity = class == LARGE_CLASS_NONE ? size : LARGE_CLASS_BYTES(class);
    struct large *l = memory__alloc(LARGE_HEADER + capacity);
    l->capacity = capacity;
    l->class = class;
    MEMORY_POISON((char *)l + LARGE_HEADER, capacity);
    return l;
}

/* Large ones first: fewer requests want them. False when there is nothing. */
static bool give_back_one(struct arena_pool *pool)
{
    for (unsigned i = LARGE_CLASSES; i-- > 0;) {
        struct large *l = pool->free_large[i];
        if (!l)
            continue;
        pool->free_large[i] = l->older;
        pool->bytes -= l->capacity;
        MEMORY_UNPOISON(l, LARGE_HEADER + l->capacity);
        free(l);
        return true;
    }
    struct chunk *c = pool->free;
    if (!c)
        return false;
    pool->free = c->older;
    pool->bytes -= ARENA_CHUNK_BYTES;
    MEMORY_UNPOISON(c, ARENA_CHUNK_BYTES);
    free(c);
    return true;
}

size_t arena_pool_trim(struct arena_pool *pool)
{
    size_t before = pool->bytes, spare = MIN(pool->bytes_least, before);
    size_t goal = spare > WARM_BYTES ? before - (spare - WARM_BYTES + 1) / 2 : before;
    while (pool->bytes > goal && give_back_one(pool))
        continue;
    pool->bytes_least = pool->bytes;
    return before - pool->bytes;
}

/* What the budget still allows; a multiple of the alignment. */
static size_t budget_left(const struct arena *a)
{
    size_t used = arena_used(a);
    return used >= a->budget ? 0 : (a->budget - used) & ~(ALIGN_BYTES - 1);
}

/* Set the end of the current chunk, whose allocations go on from a->next. */
static void clip_end(struct arena *a)
{
    size_t room = (size_t)((char *)a->chunk + ARENA_CHUNK_BYTES - a->next);
    size_t left = budget_left(a);
    a->end = a->next + (left < room ? left : room);
}

struct arena *arena_new(struct arena_pool *pool, size_t budget_bytes)
{
    struct chunk *c = chunk_take(pool);
    c->older = NULL;
    struct arena *a = (struct arena *)(void *)((char *)c + CHUNK_HEADER);
    MEMORY_UNPOISON(a, sizeof(*a));
    char *base = (char *)a + ARENA_SELF;
    size_t room = CHUNK_PAYLOAD - ARENA_SELF;
    size_t budget = budget_bytes ? budget_bytes : SIZE_MAX;
    size_t clipped = budget & ~(ALIGN_BYTES - 1);
    *a = (struct arena){
        .next = base,
        .base = base,
        .end = base + (clipped < room ? clipped : room),
        .chunk = c,
        .budget = budget,
        .pool = pool,
    };
    return a;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    /* The arena itself goes with its first chunk, so read what is needed before giving that away.
     */
    struct arena_pool *pool = a->pool;
    for (struct large *l = a->large, *older; l; l = older) {
        older = l->older;
        large_give(pool, l);
    }
    for (struct chunk *c = a->chunk, *older; c; c = older) {
        older = c->older;
        chunk_give(pool, c);
    }
}

static void *alloc_large(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t rounded = ALIGN_UP(size);
    if (rounded > budget_left(a))
        return NULL;
    struct large *l = large_take(a->pool, rounded);
    l->older = a->large;
    l->serial = ++a->serial;
    l->size = rounded;
    a->large = l;
    a->large_bytes += rounded;
    clip_end(a);
    char *p = (char *)l + LARGE_HEADER;
    MEMORY_UNPOISON(p, size);
    return p;
}

static __attribute__((noinline)) void *alloc_slow(struct arena *a, size_t size)
{
    if (size > CHUNK_PAYLOAD)
        return alloc_large(a, size);
    size_t rounded = ALIGN_UP(size);
    if (rounded > budget_left(a))
        return NULL;
    struct chunk *c = chunk_take(a->pool);
    a->closed_bytes += (size_t)(a->next - a->base);
    c->older = a->chunk;
    a->chunk = c;
    a->base = a->next = (char *)c + CHUNK_HEADER;
    clip_end(a);
    char *p = a->next;
    a->next += rounded;
    MEMORY_UNPOISON(p, size);
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    char *p = a->next;
    /* Room is always a multiple of the alignment: what fits, fits rounded up. */
    if (UNLIKELY(size > (size_t)(a->end - p)))
        return alloc_slow(a, size);
    a->next = p + ALIGN_UP(size);
    MEMORY_UNPOISON(p, size);
    return p;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *p = arena_alloc(a, bytes);
    if (LIKELY(p != NULL))
        memset(p, 0, bytes);
    return p;
}

/* Resize the youngest large chunk where it is, or let the heap move it; NULL: not possible. */
static void *realloc_large(struct arena *a, size_t new_size)
{
    struct large *l = a->large;
    size_t rounded = ALIGN_UP(new_size);
    if (rounded > l->size && rounded - l->size > budget_left(a))
        return NULL;
    if (rounded > l->capacity) {
        /* Only chunks too large for the pool are worth the heap's own moving of pages. */
        if (l->class != LARGE_CLASS_NONE)
            return NULL;
        MEMORY_UNPOISON(l, LARGE_HEADER + l->capacity);
        l = memory__realloc(l, LARGE_HEADER + rounded);
        l->capacity = rounded;
        a->large = l;
    }
    a->large_bytes += rounded - l->size;
    l->size = rounded;
    clip_end(a);
    char *p = (char *)l + LARGE_HEADER;
    MEMORY_POISON(p, l->capacity);
    MEMORY_UNPOISON(p, new_size);
    return p;
}

void *arena_realloc(struct arena *a, void *ptr, size_t old_size, size_t new_size)
{
    if (!ptr)
        return arena_alloc(a, new_size);
    if (new_size > SIZE_MAX / 2)
        return NULL;
    char *p = ptr;
    if (a->next == p + ALIGN_UP(old_size) && p >= a->base) {
        if (new_size <= (size_t)(a->end - p)) {
            a->next = p + ALIGN_UP(new_size);
            MEMORY_POISON(p, (size_t)((char *)a->chunk + ARENA_CHUNK_BYTES - p));
            MEMORY_UNPOISON(p, new_size);
            return p;
        }
    } else if (a->large && p == (char *)a->large + LARGE_HEADER) {
        void *moved = realloc_large(a, new_size);
        if (moved)
            return moved;
    }
    if (new_size <= old_size)
        return ptr;
    void *copy = arena_alloc(a, new_size);
    if (copy)
        memcpy(copy, ptr, old_size);
    return copy;
}

enum status arena_copy(struct arena *a, struct slice s, struct slice *ret)
{
    if (s.len == 0) {
        *ret = SLICE("");
        return STATUS_OK;
    }
    char *p = arena_alloc(a, s.len);
    if (!p)
        return STATUS_EXHAUSTED;
    memcpy(p, s.data, s.len);
    *ret = slice_of(p, s.len);
    return STATUS_OK;
}

char *arena_cstr(struct arena *a, struct slice s)
{
    if (s.len && memchr(s.data, 0, s.len))
        return NULL;
    char *p = arena_alloc(a, s.len + 1);
    if (!p)
        return NULL;
    if (s.len)
        memcpy(p, s.data, s.len);
    p[s.len] = '\0';
    return p;
}

struct slice arena_vprintf(struct arena *a, const char *format, va_list args)
{
    char local[512];
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(local, sizeof(local), format, args);
    struct slice result = SLICE_NULL;
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p) {
        if ((size_t)n < sizeof(local))
            memcpy(p, local, (size_t)n + 1);
        else
            (void)vsnprintf(p, (size_t)n + 1, format, again);
        result = slice_of(p, (size_t)n);
    }
    va_end(again);
    return result;
}

struct slice arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice s = arena_vprintf(a, format, args);
    va_end(args);
    return s;
}

struct arena_mark arena_mark(struct arena *a)
{
    return (struct arena_mark){
        .chunk = a->chunk,
        .used = (size_t)(a->next - (char *)a->chunk),
        .total = a->closed_bytes,
        .serial = a->serial,
    };
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
    while (a->large && a->large->serial > mark.serial) {
        struct large *l = a->large;
        a->large = l->older;
        a->large_bytes -= l->size;
        large_give(a->pool, l);
    }
    while (a->chunk != mark.chunk) {
        struct chunk *c = a->chunk;
        a->chunk = c->older;
        chunk_give(a->pool, c);
    }
    char *start = (char *)a->chunk + CHUNK_HEADER;
    /* The arena itself sits at the start of the oldest chunk. */
    a->base = a->chunk->older ? start : start + ARENA_SELF;
    a->next = (char *)a->chunk + mark.used;
    a->closed_bytes = mark.total;
    MEMORY_POISON(a->next, (size_t)((char *)a->chunk + ARENA_CHUNK_BYTES - a->next));
    clip_end(a);
}

struct arena_pool *arena_pool_swap(struct arena *a, struct arena_pool *pool)
{
    struct arena_pool *before = a->pool;
    a->pool = pool;
    return before;
}

size_t arena_used(const struct arena *a)
{
    return a->closed_bytes + (size_t)(a->next - a->base) + a->large_bytes;
}

size_t arena_budget(const struct arena *a)
{
    return a->budget == SIZE_MAX ? 0 : a->budget;
}
