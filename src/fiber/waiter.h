/*
 * fiber/waiter.h - Private: the queue of tasks at a latch, semaphore or channel. A waiter lies in
 * the frame of the task that waits; who grants it what it waits for takes it off the queue first,
 * so a task that is cancelled or late can tell whether it still stands there. What was granted is
 * kept even then: the wait after it reports the cancellation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fiber/task.h"

struct task_waiter {
    struct task_waiter *prev, *next;
    struct task *task;
    void *item; /* of a channel: what is sent, or was received */
    bool granted;
    bool closed; /* the channel was closed instead */
};

static inline void waiter_append(struct task_waiter **first, struct task_waiter **last,
                                 struct task_waiter *waiter)
{
    waiter->next = NULL;
    waiter->prev = *last;
    if (*last)
        (*last)->next = waiter;
    else
        *first = waiter;
    *last = waiter;
}

static inline void waiter_remove(struct task_waiter **first, struct task_waiter **last,
                                 struct task_waiter *waiter)
{
    if (waiter->prev)
        waiter->prev->next = waiter->next;
    else
        *first = waiter->next;
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    else
        *last = waiter->prev;
}

/* Take the first waiter off a queue that has one and wake it. It may be read until its task runs.
 */
static inline struct task_waiter *waiter_grant(struct task_waiter **first,
                                               struct task_waiter **last)
{
    struct task_waiter *waiter = *first;
    waiter_remove(first, last, waiter);
    waiter->granted = true;
    task_wake(waiter->task);
    return waiter;
}

/* Stand in the queue until granted (OK), or until the task is late or cancelled (off the queue
 * again). */
static inline enum status waiter_wait(struct task *task, struct task_waiter **first,
                                      struct task_waiter **last, struct task_waiter *waiter)
{
    waiter->task = task;
    waiter_append(first, last, waiter);
    enum status st = STATUS_OK;
    while (!waiter->granted && st == STATUS_OK)
        st = task_wait(task);
    if (waiter->granted)
        return STATUS_OK;
    waiter_remove(first, last, waiter);
    return st;
}
