/*
 * fiber/offload.c - Blocking work on worker threads. A job lies in the frame of the task that waits
 * for it: the lock decides whether it is still queued (and may be withdrawn) or has been taken (and
 * must be waited for, whatever happens).
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "fiber/internal.h"
#include "fiber/task.h"

#define OFFLOAD_THREADS_MAX 1024u
#define OFFLOAD_STACK_BYTES ((size_t)1 << 20)

struct offload_job {
    struct offload_job *prev, *next; /* while queued */
    bool taken;                      /* by a worker; under the lock */
    void (*fn)(void *arg);
    void *arg;
    struct task_remote remote;
};

struct offload {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct offload_job *first, *last;
    uint32_t queued; /* also read without the lock, for metrics */
    unsigned queue_max;
    unsigned idle;
    bool stopping;
    unsigned threads_len;
    pthread_t threads[];
};

static void unlink_job(struct offload *offload, struct offload_job *job)
{
    if (job->prev)
        job->prev->next = job->next;
    else
        offload->first = job->next;
    if (job->next)
        job->next->prev = job->prev;
    else
        offload->last = job->prev;
    COUNT_ADD(offload->queued, -1u);
}

static void *work(void *arg)
{
    struct offload *offload = arg;
    pthread_mutex_lock(&offload->lock);
    for (;;) {
        while (!offload->first && !offload->stopping) {
            offload->idle++;
            pthread_cond_wait(&offload->filled, &offload->lock);
            offload->idle--;
        }
        struct offload_job *job = offload->first;
        if (!job)
            break;
        unlink_job(offload, job);
        job->taken = true;
        pthread_mutex_unlock(&offload->lock);
        job->fn(job->arg);
        task_remote_wake(&job->remote); /* the job's frame may be gone from here on */
        pthread_mutex_lock(&offload->lock);
    }
    pthread_mutex_unlock(&offload->lock);
    return NULL;
}

/* Signals are the main thread's business: workers are born with all of them blocked. */
static enum status start_threads(struct offload *offload, unsigned threads)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return STATUS_EXHAUSTED;
    (void)pthread_attr_setstacksize(&attr, OFFLOAD_STACK_BYTES); /* the default would do as well */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (offload->threads_len < threads &&
           pthread_create(&offload->threads[offload->threads_len], &attr, work, offload) == 0)
        offload->threads_len++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return offload->threads_len == threads ? STATUS_OK : STATUS_EXHAUSTED;
}

enum status offload_new(unsigned threads, unsigned queue_max, struct offload **ret)
{
    if (threads == 0 || threads > OFFLOAD_THREADS_MAX || queue_max == 0)
        return STATUS_INVALID;
    struct offload *offload = calloc(1, sizeof(*offload) + threads * sizeof(offload->threads[0]));
    if (!offload)
        return STATUS_EXHAUSTED;
    offload->queue_max = queue_max;
    pthread_mutex_init(&offload->lock, NULL);
    pthread_cond_init(&offload->filled, NULL);
    if (start_threads(offload, threads) != STATUS_OK) {
        offload_free(offload);
        return STATUS_EXHAUSTED;
    }
    *ret = offload;
    return STATUS_OK;
}

void offload_free(struct offload *offload)
{
    if (!offload)
        return;
    pthread_mutex_lock(&offload->lock);
    offload->stopping = true;
    pthread_cond_broadcast(&offload->filled);
    pthread_mutex_unlock(&offload->lock);
    for (unsigned i = 0; i < offload->threads_len; i++)
        pthread_join(offload->threads[i], NULL);
    pthread_cond_destroy(&offload->filled);
    pthread_mutex_destroy(&offload->lock);
    free(offload);
}

void loop_offload_set(struct loop *loop, struct offload *offload)
{
    loop->offload = offload;
}

uint32_t offload_queued(const struct offload *offload)
{
    return __atomic_load_n(&offload->queued, __ATOMIC_RELAXED);
}

static enum status submit(struct offload *offload, struct offload_job *job)
{
    pthread_mutex_lock(&offload->lock);
    if (offload->queued >= offload->queue_max || offload->stopping) {
        pthread_mutex_unlock(&offload->lock);
        return STATUS_EXHAUSTED;
    }
    job->prev = offload->last;
    if (offload->last)
        offload->last->next = job;
    else
        offload->first = job;
    offload->last = job;
    COUNT_ADD(offload->queued, 1);
    if (offload->idle > 0)
        pthread_cond_signal(&offload->filled);
    pthread_mutex_unlock(&offload->lock);
    return STATUS_OK;
}

/* False when a worker has the job already. */
static bool withdraw(struct offload *offload, struct offload_job *job)
{
    pthread_mutex_lock(&offload->lock);
    bool queued = !job->taken;
    if (queued)
        unlink_job(offload, job);
    pthread_mutex_unlock(&offload->lock);
    return queued;
}

enum status task_offload(struct task *task, void (*fn)(void *arg), void *arg)
{
    struct offload *offload = task_loop(task)->offload;
    return offload ? task_offload_on(task, offload, fn, arg) : STATUS_UNAVAILABLE;
}

enum status task_offload_on(struct task *task, struct offload *offload, void (*fn)(void *arg),
                            void *arg)
{
    if (task_is_cancelled(task))
        return STATUS_CANCELLED;
    struct offload_job job = { .fn = fn, .arg = arg };
    task_remote_init(&job.remote, task);
    enum status st = submit(offload, &job);
    if (st != STATUS_OK)
        return st;
    while (!job.remote.done && st == STATUS_OK)
        st = task_wait(task);
    if (job.remote.done)
        return STATUS_OK;
    if (withdraw(offload, &job))
        return st;
    while (!job.remote.done)
        task_wait_always(task);
    return STATUS_OK;
}
