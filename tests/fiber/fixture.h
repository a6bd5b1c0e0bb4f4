/*
 * tests/fiber/fixture.h - A loop of its own for each test, and a way to run it until the test's
 * tasks have ended.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "fiber/loop.h"
#include "fiber/task.h"

/* TSan knows at most some thousand fibers at a time, and everything is slower under it. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef UNDER_TSAN
#define MANY_TASKS 2000u
#else
#define MANY_TASKS 10000u
#endif

#define assert_status(got, want) assert_string_equal(status_name(got), status_name(want))

struct fixture {
    struct loop *loop;
    bool hooked;
};

static inline int setup_options(void **state, const struct loop_options *options)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_status(loop_new(options, &f->loop), STATUS_OK);
    *state = f;
    return 0;
}

static inline int setup(void **state)
{
    return setup_options(state, NULL);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    loop_free(f->loop);
    free(f);
    return 0;
}

static inline uint32_t tasks_live(struct loop *loop)
{
    struct loop_stats stats;
    loop_stats_read(loop, &stats);
    return stats.tasks_live;
}

static inline void stop_when_done(void *arg)
{
    struct loop *loop = arg;
    if (tasks_live(loop) == 0)
        loop_stop(loop);
}

/* Run the loop until no task is left. */
static inline void run_to_end(struct fixture *f)
{
    if (!f->hooked)
        loop_hook_before_poll(f->loop, stop_when_done, f->loop);
    f->hooked = true;
    loop_run(f->loop);
    assert_int_equal(tasks_live(f->loop), 0);
}

static inline void spawn(struct loop *loop, task_fn fn, void *arg)
{
    assert_status(task_spawn(loop, fn, arg, NULL), STATUS_OK);
}
