/*
 * base/macros.h - The few macros every room uses: scope cleanup, array length, branch hints.
 */
#pragma once

#include <stddef.h>
#include <sys/param.h> /* MIN, MAX: libuv includes it too, and two definitions would clash */

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

/*
 * CLEANUP(thing_close) calls thing_closep(&variable) when the variable leaves its scope. Define the
 * twin with DEFINE_CLEANUP(struct thing *, thing_close), whose release function must accept NULL.
 */
#define CLEANUP(release) __attribute__((cleanup(release##p)))
#define DEFINE_CLEANUP(type, release)                                                              \
    static inline void release##p(type *p)                                                         \
    {                                                                                              \
        if (*p)                                                                                    \
            release(*p);                                                                           \
    }

/* The struct of `type` whose `member` sits at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
