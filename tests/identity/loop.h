/*
 * tests/identity/loop.h - A loop and its tasks, for what suspends.
 */
#pragma once

#include "base/clock.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "fixture.h"

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

static inline struct loop *loop_of_test(void)
{
    struct loop *loop = NULL;
    assert_status(loop_new(NULL, &loop), STATUS_OK);
    loop_hook_before_poll(loop, stop_when_done, loop);
    return loop;
}

static inline void spawn(struct loop *loop, task_fn fn, void *arg)
{
    assert_status(task_spawn(loop, fn, arg, NULL), STATUS_OK);
}

/* Run until no task is left. */
static inline void run_to_end(struct loop *loop)
{
    loop_run(loop);
    assert_int_equal(tasks_live(loop), 0);
}
