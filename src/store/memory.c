/*
 * store/memory.c - The allocator that SQLite is given. A step of a prepared statement allocates and
 * frees a handful of small blocks (this SQLite is built without lookaside), and pages come and go
 * with the cache; here they go through free lists of the calling thread, so a warm statement
 * touches neither the heap nor its locks.
 *
 * Each block has a header that says its class. A block freed by another thread than the one that
 * allocated it (a connection closed by somebody else) joins the list of the thread that frees it.
 * Lists are bounded; what is too large for a class or finds its list full is the heap's.
 *
 * This is the room's one piece of writable thread state beside the loops': SQLite's allocator has
 * no handle to hang it on. It goes with its thread.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"

#if defined(__SANITIZE_ADDRESS__)
#define STORE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STORE_ASAN 1
#endif
#endif
#ifdef STORE_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

/* Classes are powers of two and the middles between them: 64, 96, 128, 192 ... 65536. Payloads,
 * without the header; a page of SQLite's cache (4096 and its own header) falls into 6144. */
#define CLASSES 21u
#define CLASS_LARGEST ((size_t)65536)
#define CLASS_NONE CLASSES
#define LIST_BYTES_MAX ((size_t)65536)

struct block {
    uint32_t size; /* what the caller may use */
    uint32_t class;
};
_Static_assert(sizeof(struct block) == 8, "SQLite wants blocks aligned to 8");

struct list {
    struct block *first; /* the link stands in the payload */
    size_t bytes;
};

struct lists {
    struct list of[CLASSES];
    bool has_exit;
};

static __thread struct lists lists;
static pthread_key_t exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static size_t class_bytes(unsigned class)
{
    size_t power = (size_t)64 << (class / 2);
    return class % 2 ? power + power / 2 : power;
}

static unsigned class_of(size_t size)
{
    if (size <= 64)
        return 0;
    if (size > CLASS_LARGEST)
        return CLASS_NONE;
    unsigned log =
        63u - (unsigned)__builtin_clzll((unsigned long long)(size - 1)); /* 2^log < size */
    unsigned class = (log - 6) * 2;
    return size <= class_bytes(class + 1) ? class + 1 : class + 2;
}

static struct block **link_of(struct block *b)
{
    return (struct block **)(void *)(b + 1);
}

/* The link stays readable: LeakSanitizer follows no pointers through poisoned memory. */
static void poison(struct block *b)
{
    POISON(link_of(b) + 1, b->size - sizeof(struct block *));
}

static void thread_exit(void *arg)
{
    struct lists *l = arg;
    for (unsigned i = 0; i < CLASSES; i++) {
        while (l->of[i].first) {
            struct block *b = l->of[i].first;
            UNPOISON(b + 1, b->size);
            l->of[i].first = *link_of(b);
            free(b);
        }
        l->of[i].bytes = 0;
    }
    l->has_exit = false;
}

static void *block_alloc(int size)
{
    if (size <= 0)
        return NULL;
    unsigned class = class_of((size_t)size);
    if (LIKELY(class != CLASS_NONE)) {
        struct list *list = &lists.of[class];
        struct block *b = list->first;
        if (LIKELY(b != NULL)) {
            UNPOISON(b + 1, b->size);
            list->first = *link_of(b);
            list->bytes -= b->size;
            return b + 1;
        }
    }
    size_t bytes = class == CLASS_NONE ? ((size_t)size + 7) & ~(size_t)7 : class_bytes(class);
    struct block *b = malloc(sizeof(*b) + bytes);
    if (!b)
        return NULL;
    b->size = (uint32_t)bytes;
    b->class = class;
    return b + 1;
}

static void block_free(void *p)
{
    if (!p)
        return;
    struct block *b = (struct block *)p - 1;
    if (b->class != CLASS_NONE) {
        struct list *list = &lists.of[b->class];
        if (list->bytes + b->size <= LIST_BYTES_MAX) {
            if (UNLIKELY(!lists.has_exit)) {
                /* Without the key the lists are the heap's again only when the process ends. */
                lists.has_exit = pthread_setspecific(exit_key, &lists) == 0;
            }
            *link_of(b) = list->first;
            list->first = b;
            list->bytes += b->size;
            poison(b);
            return;
        }
    }
    free(b);
}

static int block_size(void *p)
{
    return p ? (int)((struct block *)p - 1)->size : 0;
}

static void *block_realloc(void *p, int size)
{
    if (!p)
        return block_alloc(size);
    struct block *b = (struct block *)p - 1;
    if (size > 0 && (size_t)size <= b->size)
        return p;
    if (size > 0 && b->class == CLASS_NONE) {
        size_t bytes = ((size_t)size + 7) & ~(size_t)7;
        struct block *moved = realloc(b, sizeof(*b) + bytes);
        if (!moved)
            return NULL;
        moved->size = (uint32_t)bytes;
        return moved + 1;
    }
    void *copy = block_alloc(size);
    if (copy) {
        memcpy(copy, p, b->size);
        block_free(p);
    }
    return copy;
}

static int block_roundup(int size)
{
    unsigned class = class_of((size_t)size);
    return class == CLASS_NONE ? (size + 7) & ~7 : (int)class_bytes(class);
}

static int memory_init(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void memory_shutdown(void *arg)
{
    (void)arg;
}

static void install(void)
{
    static const sqlite3_mem_methods methods = {
        .xMalloc = block_alloc,
        .xFree = block_free,
        .xRealloc = block_realloc,
        .xSize = block_size,
        .xRoundup = block_roundup,
        .xInit = memory_init,
        .xShutdown = memory_shutdown,
    };
    if (pthread_key_create(&exit_key, thread_exit) != 0)
        return;
    /* Refused once SQLite is in use, by another library of the process: then its own allocator
     * stays, which is slower and not wrong. The figures of memory use cost a lock with every
     * allocation. */
    (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_initialize();
    (void)store__vfs_register(); /* without it connections do not open, and say so */
}

void store__memory_install(void)
{
    (void)pthread_once(&once, install);
}
