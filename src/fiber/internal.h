/*
 * fiber/internal.h - Private: the loop and the task as the files of this room see them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/problem.h"
#include "fiber/context.h"
#include "fiber/loop.h"
#include "fiber/stack.h"
#include "fiber/task.h"
#include "fiber/wheel.h"

#define LOOP_HOOKS_MAX 8u
#define LOOP_SLOTS_MAX 16u

/* A chain of tasks through `ready_next`, first in, first out. */
struct task_queue {
    struct task *first, *last;
};

/* Written by the loop's thread, read by anyone. */
struct loop_counts {
    uint64_t iterations, posts, tasks_spawned, switches;
    uint32_t tasks_live, tasks_parked, stacks_pooled, stacks_mapped;
    int64_t lag_us;
};

/* What loop_now_us refreshes although its loop is const to callers. */
struct loop_clock {
    uint64_t uv_ms; /* libuv's time when now_us was read */
    int64_t now_us;
};

struct loop {
    /* The hot part: what a switch touches. */
    struct task *current; /* the task that runs, NULL on the loop's own stack */
    struct task_queue ready;
    struct task_queue yielded; /* ready too, but not before the next turn */
    struct loop_counts counts;
    struct loop_clock clock;
    struct loop_clock *clock_ref; /* &clock */
    unsigned tasks_max;
    struct stack_pool stacks;
    struct arena_pool *arenas;
    struct offload *offload;

    unsigned index;
    unsigned hooks_len;
    struct {
        void (*fn)(void *arg);
        void *arg;
    } hooks[LOOP_HOOKS_MAX];
    void *slots[LOOP_SLOTS_MAX];

    struct loop_post *posted; /* atomic; newest first */
    bool stopping;            /* atomic */
    struct loop_post *later;  /* of loop_later, the last one asked for first */

    uv_loop_t uv;
    uv_async_t async;     /* something was posted, or stop */
    uv_prepare_t prepare; /* before each poll */
    uv_check_t check;     /* after each poll */
    uv_idle_t idle;       /* active while tasks are ready: the poll does not wait */
    bool idle_active;
    uv_timer_t timer;   /* for the wheel */
    int64_t timer_us;   /* what it is set for; INT64_MAX: not set */
    int64_t polled_us;  /* the last poll returned */
    int64_t polling_us; /* the last poll began */
    int64_t turn_us;    /* the work between the two before that */
    struct wheel wheel;
};

enum task_state {
    TASK_RUNNING, /* on the processor, or below a task that it spawned */
    TASK_READY,   /* in one of the loop's queues */
    TASK_PARKED,
};

/* Lies at the top of its own stack. */
struct task {
    fcontext_t context; /* while it does not run: where it continues */
    fcontext_t resumer; /* while it runs: whom it returns to */
    struct loop *loop;
    struct task *ready_next;
    uint8_t state; /* enum task_state */
    bool token;    /* a wake that no wait has taken yet */
    bool cancelled;
    bool sampled;
    bool waits_always;       /* parked so that only a wake ends it */
    int64_t deadline_us;     /* 0: none */
    int64_t park_until_us;   /* of the present wait, the task's deadline included; 0: none */
    struct loop_timer timer; /* left armed between waits that have the same end */
    task_fn fn;
    void *arg;
    struct arena *arena;
    bool owns_arena;
    size_t arena_budget;
    const char *name;
    struct stack stack;
    struct slice request_id, trace_id;
    struct task_caller caller;
    struct problem problem;
#ifdef FIBER_ASAN
    void *asan_fake;         /* of the task while it does not run */
    const void *asan_bottom; /* the resumer's stack */
    size_t asan_size;
#endif
#ifdef FIBER_TSAN
    void *tsan_fiber, *tsan_resumer;
#endif
};

static inline void task_queue_push(struct task_queue *queue, struct task *task)
{
    task->ready_next = NULL;
    if (queue->last)
        queue->last->ready_next = task;
    else
        queue->first = task;
    queue->last = task;
}

static inline struct task *task_queue_pop(struct task_queue *queue)
{
    struct task *task = queue->first;
    queue->first = task->ready_next;
    if (!queue->first)
        queue->last = NULL;
    return task;
}

/* Only the loop's thread writes a count, so adding needs no atomic instruction, just a store that
 * is not torn. */
#define COUNT_SET(counter, value) __atomic_store_n(&(counter), (value), __ATOMIC_RELAXED)
#define COUNT_ADD(counter, delta) COUNT_SET(counter, (counter) + (delta))

/* Run what is ready (task.c): everything that was ready when called, then what became ready
 * meanwhile, for a bounded number of rounds. Tasks that yield wait for the next call. */
void task__run_ready(struct loop *loop);

static inline bool task__has_ready(const struct loop *loop)
{
    return loop->ready.first || loop->yielded.first;
}

/* Make `loop` the thread's own; returns what was before. */
struct loop *loop__self_set(struct loop *loop);

/* The task that runs on this thread, or NULL (overflow.c, in a signal handler). */
struct task *loop__current_task(void);

/* Give the calling thread the alternate stack that the overflow handler needs, unless it has one
 * (overflow.c). */
void loop__signal_stack_open(void);
void loop__signal_stack_close(void);
