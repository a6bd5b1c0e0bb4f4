/*
 * net/h2_memory.c - nghttp2's allocations, out of free lists of one server, so that a warm request
 * touches no heap and an idle connection holds little.
 *
 * nghttp2 makes and frees a dozen small things for each stream: the stream, its frames, the fields
 * it decoded; and it keeps as many for each line of its two tables. Sizes are rounded up to what
 * the heap's blocks have anyway, each with a list of its own; nothing stands before a block: the
 * heap knows how long it is. What is larger, or more than a list keeps, is the heap's. Under
 * AddressSanitizer nothing is kept, so that it sees every use.
 *
 * A session's largest thing is the buffer that it makes a frame in, of 16 KiB. Nothing is in it but
 * while nghttp2_session_mem_send is asked for frames, as every frame is put into the connection's
 * own buffer at once (take_frames in h2.c); so all sessions of a server, which one thread serves,
 * are given the same. Whatever would rely on it longer meets a poisoned buffer in our tests.
 */
#include "net/h2.h"

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

/* Blocks of 24, 40, ... 264 bytes; then each 64 more; from 1,032 on 256 more. */
#define FINE_BYTES_MAX ((size_t)264)
#define MIDDLE_BYTES_MAX ((size_t)1032)
#define BYTES_MAX ((size_t)4104)
#define FINE 16u
#define MIDDLE 12u
#define COARSE 12u
#define CLASSES (FINE + MIDDLE + COARSE)
#define CLASS_NONE CLASSES
/* So many bytes of each class are kept at most: 5 MiB in all, after a burst of everything. */
#define KEPT_BYTES_MAX ((size_t)128 * 1024)
/* nghttp2's NGHTTP2_FRAMEBUF_CHUNKLEN: padding, head and payload of a frame. If a version makes
 * them of another size, every session has its own. */
#define FRAME_BYTES ((size_t)(1 + 9 + 16384))

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
#if !POOLS
#include <sanitizer/asan_interface.h>
#endif

struct spare {
    struct spare *next;
};

struct net__h2_memory {
    nghttp2_mem mem;
    struct spare *spare[CLASSES];
    unsigned spare_len[CLASSES];
    void *frame;   /* of all sessions */
    bool is_lent;  /* to the session that is being made */
    bool may_lend; /* a session is being made */
};

/* The smallest class whose blocks have `size` bytes. */
static unsigned class_of(size_t size)
{
    if (!POOLS || size > BYTES_MAX)
        return CLASS_NONE;
    if (size <= 24)
        return 0;
    if (size <= FINE_BYTES_MAX)
        return (unsigned)((size - 24 + 15) / 16);
    if (size <= MIDDLE_BYTES_MAX)
        return FINE + (unsigned)((size - FINE_BYTES_MAX - 1) / 64);
    return FINE + MIDDLE + (unsigned)((size - MIDDLE_BYTES_MAX - 1) / 256);
}

static size_t class_bytes(unsigned class)
{
    if (class < FINE)
        return 24 + (size_t) class * 16;
    if (class < FINE + MIDDLE)
        return FINE_BYTES_MAX + (size_t)(class - FINE + 1) * 64;
    return MIDDLE_BYTES_MAX + (size_t)(class - FINE - MIDDLE + 1) * 256;
}

/* The class that a block of the heap is good for. */
static unsigned class_of_block(void *block)
{
    size_t bytes = malloc_usable_size(block);
    unsigned class = class_of(bytes);
    if (class == CLASS_NONE)
        return CLASS_NONE;
    if (class_bytes(class) > bytes)
        return class > 0 ? class - 1 : CLASS_NONE;
    return class;
}

static void *take(size_t size, void *arg)
{
    struct net__h2_memory *memory = arg;
    unsigned class = class_of(size);
    struct spare *spare = class < CLASSES ? memory->spare[class] : NULL;
    if (spare) {
        memory->spare[class] = spare->next;
        memory->spare_len[class]--;
        return spare;
    }
    if (size == FRAME_BYTES && memory->may_lend && !memory->is_lent) {
        memory->is_lent = true;
        return memory->frame;
    }
    return malloc(class < CLASSES ? class_bytes(class) : size);
}

static void give(void *ptr, void *arg)
{
    struct net__h2_memory *memory = arg;
    if (!ptr || ptr == memory->frame)
        return;
    unsigned class = POOLS ? class_of_block(ptr) : CLASS_NONE;
    if (class == CLASS_NONE || memory->spare_len[class] >= KEPT_BYTES_MAX / class_bytes(class)) {
        free(ptr);
        return;
    }
    struct spare *spare = ptr;
    spare->next = memory->spare[class];
    memory->spare[class] = spare;
    memory->spare_len[class]++;
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
    struct net__h2_memory *memory = arg;
    if (!ptr)
        return take(size, arg);
    size_t bytes = ptr == memory->frame ? FRAME_BYTES : malloc_usable_size(ptr);
    if (ptr != memory->frame && (!POOLS || bytes > BYTES_MAX))
        return realloc(ptr, size);
    if (POOLS && size <= bytes)
        return ptr;
    void *grown = take(size, arg);
    if (!grown)
        return NULL;
    memcpy(grown, ptr, MIN(bytes, size));
    give(ptr, arg);
    return grown;
}

/* -- the buffer for a frame
 * --------------------------------------------------------------------------------- */

void net__h2_memory_enter(struct net__h2_memory *memory)
{
#if !POOLS
    __asan_unpoison_memory_region(memory->frame, FRAME_BYTES);
#else
    (void)memory;
#endif
}

void net__h2_memory_leave(struct net__h2_memory *memory)
{
#if !POOLS
    __asan_poison_memory_region(memory->frame, FRAME_BYTES);
#elif !defined(NDEBUG)
    memset(memory->frame, 0xdd, FRAME_BYTES);
#else
    (void)memory;
#endif
}

void net__h2_memory_opening(struct net__h2_memory *memory, bool is_opening)
{
    memory->may_lend = is_opening;
    memory->is_lent = false;
}

bool net__h2_memory_is_lent(const struct net__h2_memory *memory)
{
    return memory->is_lent;
}

/* -- the whole
 * ---------------------------------------------------------------------------------------------- */

struct net__h2_memory *net__h2_memory_new(void)
{
    struct net__h2_memory *memory = calloc(1, sizeof(*memory));
    void *frame = malloc(FRAME_BYTES);
    if (!memory || !frame) {
        free(frame);
        free(memory);
        return NULL;
    }
    memory->frame = frame;
    net__h2_memory_leave(memory);
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
        for (struct spare *spare = memory->spare[i], *next; spare; spare = next) {
            next = spare->next;
            free(spare);
        }
    }
    net__h2_memory_enter(memory); /* it may be used for something else */
    free(memory->frame);
    free(memory);
}

nghttp2_mem *net__h2_memory_mem(struct net__h2_memory *memory)
{
    return &memory->mem;
}
