/*
 * net/h2_memory.c - nghttp2's allocations, out of free lists of one server, so that a warm request
 * touches no heap.
 *
 * nghttp2 makes and frees a dozen small things for each stream: the stream, its frames, the fields
 * it decoded. Sizes are rounded up to a power of two from 64 to 4,096 bytes, each with a list of
 * its own; what is larger, or more than a list keeps, is the heap's. Under AddressSanitizer nothing
 * is kept, so that it sees every use.
 */
#include "net/h2.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#define CLASSES 7u
#define CLASS_BYTES_MIN ((size_t)64)
#define CLASS_NONE CLASSES
/* So many bytes of each class are kept at most: 1.75 MiB in all, after a burst. */
#define KEPT_BYTES_MAX ((size_t)256 * 1024)

#if defined(__SANITIZE_ADDRESS__)
#define POOLS false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOLS false
#endif
#endif
#ifndef POOLS
#define POOLS true
#endif

/* Before each allocation: which list it returns to. */
union head {
    struct {
        union head *next; /* while it is free */
        unsigned class;
    } is;
    max_align_t aligned;
};

struct net__h2_memory {
    nghttp2_mem mem;
    union head *free[CLASSES];
    unsigned free_len[CLASSES];
};

static unsigned class_of(size_t size)
{
    if (!POOLS)
        return CLASS_NONE;
    if (size <= CLASS_BYTES_MIN)
        return 0;
    unsigned bits = 64u - (unsigned)__builtin_clzll((unsigned long long)(size - 1));
    return MIN(bits - 6u, CLASS_NONE);
}

static size_t class_bytes(unsigned class)
{
    return CLASS_BYTES_MIN << class;
}

static void *take(size_t size, void *arg)
{
    struct net__h2_memory *memory = arg;
    unsigned class = class_of(size);
    union head *head = class < CLASSES ? memory->free[class] : NULL;
    if (head) {
        memory->free[class] = head->is.next;
        memory->free_len[class]--;
        return head + 1;
    }
    if (size > SIZE_MAX - sizeof(*head))
        return NULL;
    head = malloc(sizeof(*head) + (class < CLASSES ? class_bytes(class) : size));
    if (!head)
        return NULL;
    head->is.class = class;
    return head + 1;
}

static void give(void *ptr, void *arg)
{
    struct net__h2_memory *memory = arg;
    if (!ptr)
        return;
    union head *head = (union head *)ptr - 1;
    unsigned class = head->is.class;
    if (class == CLASS_NONE || memory->free_len[class] >= KEPT_BYTES_MAX / class_bytes(class)) {
        free(head);
        return;
    }
    head->is.next = memory->free[class];
    memory->free[class] = head;
    memory->free_len[class]++;
}

static void *take_zeroed(size_t count, size_t size, void *arg)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *ptr = take(bytes, arg);
    return ptr ? memset(ptr, 0, bytes) : NULL;
}

static void *grow(void *ptr, size_t size, void *arg)
{
    if (!ptr)
        return take(size, arg);
    union head *head = (union head *)ptr - 1;
    unsigned class = head->is.class;
    if (class < CLASSES && size <= class_bytes(class))
        return ptr;
    if (class == CLASS_NONE) {
        if (size > SIZE_MAX - sizeof(*head))
            return NULL;
        head = realloc(head, sizeof(*head) + size);
        return head ? head + 1 : NULL;
    }
    void *grown = take(size, arg);
    if (!grown)
        return NULL;
    memcpy(grown, ptr, class_bytes(class)); /* `size` is more than that */
    give(ptr, arg);
    return grown;
}

struct net__h2_memory *net__h2_memory_new(void)
{
    struct net__h2_memory *memory = calloc(1, sizeof(*memory));
    if (!memory)
        return NULL;
    memory->mem = (nghttp2_mem){
        .mem_user_data = memory,
        .malloc = take,
        .free = give,
        .calloc = take_zeroed,
        .realloc = grow,
    };
    return memory;
}

void net__h2_memory_free(struct net__h2_memory *memory)
{
    if (!memory)
        return;
    for (unsigned i = 0; i < CLASSES; i++) {
        for (union head *head = memory->free[i], *next; head; head = next) {
            next = head->is.next;
            free(head);
        }
    }
    free(memory);
}

nghttp2_mem *net__h2_memory_mem(struct net__h2_memory *memory)
{
    return &memory->mem;
}
