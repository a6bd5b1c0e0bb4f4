#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

void memory__exhausted(size_t size)
{
    (void)fprintf(stderr, "purlin: out of memory (%zu bytes asked for)\n", size);
    abort();
}

void *memory__alloc(size_t size)
{
    void *p = malloc(size);
    if (UNLIKELY(!p))
        memory__exhausted(size);
    return p;
}

void *memory__calloc(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (UNLIKELY(!p))
        memory__exhausted(size);
    return p;
}

void *memory__realloc(void *ptr, size_t size)
{
    void *p = realloc(ptr, size);
    if (UNLIKELY(!p))
        memory__exhausted(size);
    return p;
}
