/*
 * bench/malloc_count.c - Preloaded (LD_PRELOAD), counts heap allocations into the file that
 * MALLOC_COUNT_FILE names, as one 64-bit number that the harness reads while the program runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, under the names that need no dlsym (which allocates). */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t align, size_t size);

static _Atomic uint64_t unread; /* until the file is mapped */
static _Atomic uint64_t *count = &unread;

__attribute__((constructor)) static void map_count(void)
{
    const char *path = getenv("MALLOC_COUNT_FILE");
    if (path == NULL)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) != 0)
        return;
    void *at = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        count = at;
}

static void counted(void)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

void *malloc(size_t size)
{
    counted();
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    counted();
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    counted();
    return __libc_realloc(old, size);
}

void *memalign(size_t align, size_t size)
{
    counted();
    return __libc_memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    counted();
    return __libc_memalign(align, size);
}

int posix_memalign(void **ret, size_t align, size_t size)
{
    counted();
    void *at = __libc_memalign(align, size);
    if (at == NULL)
        return ENOMEM;
    *ret = at;
    return 0;
}
