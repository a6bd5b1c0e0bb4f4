/*
 * base/memory.h - Private to base: what happens when the machine itself has no memory left, and the
 * marks AddressSanitizer needs on memory that we hand out ourselves.
 */
#pragma once

#include <stddef.h>

#include "base/macros.h"

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_ASAN 1
#endif
#endif
#ifndef MEMORY_ASAN
#define MEMORY_ASAN 0
#endif

#if MEMORY_ASAN
#include <sanitizer/asan_interface.h>
#define MEMORY_POISON(p, n) __asan_poison_memory_region((p), (n))
#define MEMORY_UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define MEMORY_POISON(p, n) ((void)(p), (void)(n))
#define MEMORY_UNPOISON(p, n) ((void)(p), (void)(n))
#endif

/* Says so on stderr and aborts: a half-done request is worse than a restart. */
_Noreturn void memory__exhausted(size_t size);

/* malloc, calloc and realloc that do not return without memory. */
void *memory__alloc(size_t size);
void *memory__calloc(size_t count, size_t size);
void *memory__realloc(void *ptr, size_t size);
