/*
 * fiber/task.h - A task: straight code on a fiber with its own stack, arena, deadline, caller and
 * problem. Only a function whose first parameter is `struct task *` may suspend. A task never
 * changes thread. Cancellation is asked, never forced: the next wait returns CANCELLED and the task
 * leaves through its own frames.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/log.h"
#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"
#include "fiber/loop.h"

struct arena;
struct rights;
struct task;

/* Who is asking. Filled by the edge's identity step; anonymous when has_user is false and roles is
 * empty. */
struct task_caller {
    bool has_user;
    struct uuid user;
    const struct slice *roles; /* at most 32 */
    unsigned roles_len;
    unsigned lent_len; /* roles behind those: not theirs to show, but what they let do counts */
    const struct rights *rights; /* what roles let do (base/rights.h); NULL: admin all, none else */
    bool is_scoped;   /* may do only what `scopes` name, of what else they may: "posts:read" */
    bool scopes_give; /* nobody's roles stand behind the scopes: what they name may be done */
    const struct slice *scopes;
    unsigned scopes_len;
    const struct slice *withheld; /* permissions that this caller has not, whatever gives them */
    unsigned withheld_len;
    bool has_impersonator; /* somebody else acts as the user */
    struct uuid impersonator;
};

/* Do their scopes let them do this at all? Who has none is not held back. */
bool task_caller_is_in_scope(const struct task_caller *caller, struct slice area,
                             struct slice verb);
/* Have they this permission, by a role or a scope that gives it, and within their scopes? `caller`
 * may be NULL: anonymous. */
bool task_caller_has(const struct task_caller *caller, struct slice permission);

typedef void (*task_fn)(struct task *task, void *arg);

struct task_options {
    struct arena *arena; /* NULL: the task makes and frees its own */
    size_t arena_budget; /* for its own arena; 0: 8 MiB */
    int64_t deadline_us; /* monotonic; 0: none */
    const char *name;    /* constant, for logs */
};

/*
 * Start a task on the loop of this thread; it runs at once, until its first wait, before task_spawn
 * returns.
 *
 * Errors   EXHAUSTED when tasks_max live tasks exist or no stack can be had.
 * Memory   the task is freed when fn returns; do not keep the pointer past that.
 * Context  the loop's own thread, from a uv callback or from another task.
 */
enum status task_spawn(struct loop *loop, task_fn fn, void *arg,
                       const struct task_options *options);

struct arena *task_arena(struct task *task);
struct loop *task_loop(struct task *task);
struct problem *task_problem(struct task *task);
const struct task_caller *task_caller(const struct task *task);
void task_caller_set(struct task *task, const struct task_caller *caller); /* copies the struct */
int64_t task_deadline(const struct task *task);                            /* monotonic; 0: none */
void task_deadline_set(struct task *task, int64_t deadline_us);
struct slice task_request_id(const struct task *task); /* may be empty */
struct slice task_trace_id(const struct task *task);
void task_ids_set(struct task *task, struct slice request_id,
                  struct slice trace_id); /* outlive it */
/* Whether somebody records the trace (the flag of a traceparent). */
bool task_is_sampled(const struct task *task);
void task_sampled_set(struct task *task, bool sampled);

/* Set the problem of the task and return `st`; printf-like. */
#define problem_set(task, st, type, ...)                                                           \
    problem_put(task_problem(task), task_arena(task), __FILE__, __LINE__, (st), (type), __VA_ARGS__)

/* Log with request_id and trace_id added. */
void task_log(struct task *task, enum log_level level, const char *event,
              const struct log_field *fields, unsigned fields_len);

/* -- waiting ----------------------------------------------------------------------------------- */

/*
 * Park until task_wake. A wake that came first is not lost: the wait returns at once. Spurious
 * returns are possible, so callers loop over their condition.
 *
 * Errors   TIMEOUT when the task's deadline passes, CANCELLED when it was asked to stop (and at
 *          once on every later wait).
 */
enum status task_wait(struct task *task);
/* As task_wait, with a deadline of its own (monotonic) if earlier than the task's. */
enum status task_wait_until(struct task *task, int64_t deadline_us);
/* Park until woken, whatever happens: for work on another thread that holds the task's memory. */
void task_wait_always(struct task *task);

/* Make the task run again in this turn of the loop, or the next. Own thread. */
void task_wake(struct task *task);

/* A wake that another thread can send: lives in the task's frame or arena until it was received. */
struct task_remote {
    struct loop_post post;
    struct task *task;
    struct loop *loop;
    bool done; /* set, on the task's own thread, when the wake arrived */
};
void task_remote_init(struct task_remote *remote, struct task *task);
void task_remote_wake(struct task_remote *remote); /* any thread, once */

/* Let other ready work of the loop run. CANCELLED or TIMEOUT as task_wait. */
enum status task_yield(struct task *task);
enum status task_sleep(struct task *task, int64_t for_us);

/* Ask the task to stop. Own thread. */
void task_cancel(struct task *task);
bool task_is_cancelled(const struct task *task);

/* -- blocking work ----------------------------------------------------------------------------- */

struct offload; /* a bounded pool of worker threads; one per process, and others for a purpose */
enum status offload_new(unsigned threads, unsigned queue_max, struct offload **ret);
void offload_free(struct offload *offload); /* waits for what runs */
void loop_offload_set(struct loop *loop, struct offload *offload);

/*
 * Run fn(arg) on a worker thread; the task waits, the loop does not. What fn touches belongs to it
 * until this returns: a task cancelled or late while fn runs still waits for it; one that is only
 * queued is withdrawn.
 *
 * Errors   EXHAUSTED at once when the queue is full (answer 503 with Retry-After); CANCELLED,
 *          TIMEOUT when withdrawn from the queue before it ran; UNAVAILABLE when the loop has no
 *          pool; otherwise OK, and fn has run.
 */
enum status task_offload(struct task *task, void (*fn)(void *arg), void *arg);
/* The same on another pool than the loop's: for work that must not delay the rest, nor wait for it.
 */
enum status task_offload_on(struct task *task, struct offload *offload, void (*fn)(void *arg),
                            void *arg);
uint32_t offload_queued(const struct offload *offload);

/* -- between tasks of one loop ----------------------------------------------------------------- */

/*
 * What can be had without waiting is had even by a task that is cancelled or late, so that cleanup
 * works; a task that has to wait gets CANCELLED or TIMEOUT as in task_wait. What was handed over
 * before the cancellation was seen is kept (OK), and the wait after it reports the cancellation.
 */

/* A latch: one holder at a time, first come first served. Zero-initialise. */
struct task_waiter;
struct task_latch {
    struct task *holder;
    struct task_waiter *first, *last;
};
enum status task_latch_lock(struct task *task, struct task_latch *latch);
void task_latch_unlock(struct task *task, struct task_latch *latch);

/* A counting place limit: at most `places` holders (read connections, upstream slots); fair. */
struct task_sem {
    unsigned places;
    unsigned waiting;
    struct task_waiter *first, *last;
};
void task_sem_init(struct task_sem *sem, unsigned places);
enum status task_sem_take(struct task *task, struct task_sem *sem);
void task_sem_give(struct task_sem *sem);

/* A bounded channel of pointers between tasks of one loop. */
struct task_channel;
enum status task_channel_new(unsigned items_max, struct task_channel **ret);
void task_channel_free(struct task_channel *ch);
enum status task_channel_send(struct task *task, struct task_channel *ch,
                              void *item);                              /* waits when full */
enum status task_channel_try_send(struct task_channel *ch, void *item); /* EXHAUSTED when full */
enum status task_channel_receive(struct task *task, struct task_channel *ch, void **ret_item);
void task_channel_close(
    struct task_channel *ch); /* receivers drain, then NOT_FOUND; senders NOT_FOUND */
