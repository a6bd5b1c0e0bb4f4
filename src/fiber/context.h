/*
 * fiber/context.h - Private: the two functions taken from Boost.Context (plain assembly, C
 * linkage), and what the sanitizers and Valgrind must be told when stacks change hands. Everything
 * here is empty in a plain build.
 */
#pragma once

#include <stddef.h>

/* Where a suspended flow of control continues: its saved registers, on its own stack. */
typedef void *fcontext_t;

struct transfer {
    fcontext_t fctx; /* the flow that jumped here */
    void *data;      /* what it handed over */
};

struct transfer jump_fcontext(fcontext_t to, void *data);
fcontext_t make_fcontext(void *stack_top, size_t size, void (*fn)(struct transfer));

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define FIBER_ASAN_LEAVE(fake, bottom, size)                                                       \
    __sanitizer_start_switch_fiber((fake), (bottom), (size))
#define FIBER_ASAN_ENTER(fake, bottom, size)                                                       \
    __sanitizer_finish_switch_fiber((fake), (bottom), (size))
#define FIBER_ASAN_UNPOISON(low, size) __asan_unpoison_memory_region((low), (size))
#else
#define FIBER_ASAN_LEAVE(fake, bottom, size) ((void)0)
#define FIBER_ASAN_ENTER(fake, bottom, size) ((void)0)
#define FIBER_ASAN_UNPOISON(low, size) ((void)0)
#endif

#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#if defined(FIBER_ASAN) || defined(FIBER_TSAN)
#define FIBER_SANITIZED 1
#endif

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define FIBER_VALGRIND_REGISTER(low, high) VALGRIND_STACK_REGISTER((low), (high))
#define FIBER_VALGRIND_DEREGISTER(id) VALGRIND_STACK_DEREGISTER(id)
#endif
#endif
#ifndef FIBER_VALGRIND_REGISTER
#define FIBER_VALGRIND_REGISTER(low, high) 0u
#define FIBER_VALGRIND_DEREGISTER(id) ((void)(id))
#endif
