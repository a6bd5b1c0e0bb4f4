/*
 * fiber/latch.c - Latches and semaphores. Both hand over directly: who leaves gives its place to
 * the first in the queue, so nobody who comes by later can take it first.
 */
#include <assert.h>

#include "fiber/task.h"
#include "fiber/waiter.h"

enum status task_latch_lock(struct task *task, struct task_latch *latch)
{
    assert(latch->holder != task);
    if (!latch->holder) {
        latch->holder = task;
        return STATUS_OK;
    }
    struct task_waiter waiter = { 0 };
    return waiter_wait(task, &latch->first, &latch->last, &waiter);
}

void task_latch_unlock(struct task *task, struct task_latch *latch)
{
    assert(latch->holder == task);
    (void)task; /* named for the assert, and for the reader at the call */
    latch->holder = NULL;
    if (latch->first)
        latch->holder = waiter_grant(&latch->first, &latch->last)->task;
}

void task_sem_init(struct task_sem *sem, unsigned places)
{
    *sem = (struct task_sem){ .places = places };
}

enum status task_sem_take(struct task *task, struct task_sem *sem)
{
    if (sem->places > 0) { /* then nobody waits */
        sem->places--;
        return STATUS_OK;
    }
    struct task_waiter waiter = { 0 };
    sem->waiting++;
    enum status st = waiter_wait(task, &sem->first, &sem->last, &waiter);
    sem->waiting--;
    return st;
}

void task_sem_give(struct task_sem *sem)
{
    if (sem->first)
        (void)waiter_grant(&sem->first, &sem->last); /* the waiter itself is of no use here */
    else
        sem->places++;
}
