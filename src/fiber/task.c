/*
 * fiber/task.c - Tasks: starting, switching, waiting, ending.
 *
 * A switch is one jump in user space: the registers that a call preserves go onto the stack that is
 * left, and come off the one that is entered. The loop (or a task that spawns another) resumes a
 * task; a task gives way to whoever resumed it. The task struct lies at the top of its stack, in
 * the page that its first frames touch anyway, so a warm spawn takes nothing but a stack from the
 * pool.
 *
 * A parked task becomes ready by task_wake, by the end of its wait or by cancellation, and is
 * queued once: all it learns is that something happened, and it looks again (token, cancelled,
 * time) when it runs.
 */
#include "fiber/task.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/internal.h"

#define ARENA_BUDGET_DEFAULT ((size_t)8 << 20)

/* Tasks that wake each other get this many rounds in one go before the loop looks for I/O. */
#define READY_ROUNDS_MAX 8u

/* -- switching --------------------------------------------------------------------------------- */

/* From whoever resumes into the task, until it gives way or ends. True when it ended. */
static bool switch_in(struct task *task)
{
#ifdef FIBER_ASAN
    void *fake = NULL;
    FIBER_ASAN_LEAVE(&fake, task->stack.low, task->loop->stacks.stack_bytes);
#endif
#ifdef FIBER_TSAN
    task->tsan_resumer = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(task->tsan_fiber, 0);
#endif
    struct transfer from = jump_fcontext(task->context, task);
#ifdef FIBER_ASAN
    FIBER_ASAN_ENTER(fake, NULL, NULL);
#endif
    task->context = from.fctx;
    return from.data != NULL;
}

/* From the task back to whoever resumed it; returns when it is resumed again. */
static void switch_out(struct task *task)
{
#ifdef FIBER_ASAN
    FIBER_ASAN_LEAVE(&task->asan_fake, task->asan_bottom, task->asan_size);
#endif
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(task->tsan_resumer, 0);
#endif
    struct transfer from = jump_fcontext(task->resumer, NULL);
    task->resumer = from.fctx;
#ifdef FIBER_ASAN
    FIBER_ASAN_ENTER(task->asan_fake, &task->asan_bottom, &task->asan_size);
#endif
}

/* The first frame of every task. Left by a jump, never returned from. */
static void task_main(struct transfer from)
{
    struct task *task = from.data;
    task->resumer = from.fctx;
#ifdef FIBER_ASAN
    FIBER_ASAN_ENTER(NULL, &task->asan_bottom, &task->asan_size);
#endif
    task->fn(task, task->arg);
#ifdef FIBER_ASAN
    FIBER_ASAN_LEAVE(NULL, task->asan_bottom, task->asan_size);
#endif
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(task->tsan_resumer, 0);
#endif
    (void)jump_fcontext(task->resumer, task);
    __builtin_unreachable();
}

/* -- life cycle -------------------------------------------------------------------------------- */

static void count_stacks(struct loop *loop)
{
    COUNT_SET(loop->counts.stacks_pooled, loop->stacks.free_len);
    COUNT_SET(loop->counts.stacks_mapped, loop->stacks.mapped);
}

static void task_end(struct task *task)
{
    struct loop *loop = task->loop;
    loop_timer_stop(loop, &task->timer);
    if (task->owns_arena)
        arena_free(task->arena);
#ifdef FIBER_TSAN
    __tsan_destroy_fiber(task->tsan_fiber);
#endif
    COUNT_ADD(loop->counts.tasks_live, -1u);
    stack_give(&loop->stacks, (struct stack){ task->stack.low, task->stack.valgrind });
    count_stacks(loop);
}

static void resume(struct task *task)
{
    struct loop *loop = task->loop;
    struct task *outer = loop->current;
    loop->current = task;
    task->state = TASK_RUNNING;
    COUNT_ADD(loop->counts.switches, 1);
    bool ended = switch_in(task);
    loop->current = outer;
    if (ended)
        task_end(task);
}

static struct task *task_place(struct loop *loop, struct stack stack)
{
    uintptr_t top = (uintptr_t)stack.low + loop->stacks.stack_bytes;
    uintptr_t at = (top - sizeof(struct task)) & ~(uintptr_t)63;
    struct task *task = (struct task *)at;
    memset(task, 0, sizeof(*task));
    task->loop = loop;
    task->stack = stack;
    task->context = make_fcontext(task, (size_t)((char *)task - stack.low), task_main);
    return task;
}

enum status task_spawn(struct loop *loop, task_fn fn, void *arg, const struct task_options *options)
{
    static const struct task_options defaults = { 0 };
    const struct task_options *o = options ? options : &defaults;
    if (loop->counts.tasks_live >= loop->tasks_max)
        return STATUS_EXHAUSTED;
    struct stack stack;
    enum status st = stack_take(&loop->stacks, &stack);
    if (st != STATUS_OK)
        return st;
    count_stacks(loop);
    struct task *task = task_place(loop, stack);
    task->fn = fn;
    task->arg = arg;
    task->arena = o->arena;
    task->arena_budget = o->arena_budget ? o->arena_budget : ARENA_BUDGET_DEFAULT;
    task->deadline_us = o->deadline_us;
    task->name = o->name;
#ifdef FIBER_TSAN
    task->tsan_fiber = __tsan_create_fiber(0);
#endif
    COUNT_ADD(loop->counts.tasks_live, 1);
    COUNT_ADD(loop->counts.tasks_spawned, 1);
    /* A task may be started before its loop runs; to the task that makes no difference. */
    bool is_running = loop_self() != NULL;
    if (!is_running)
        (void)loop__self_set(loop); /* was NULL */
    assert(loop_self() == loop);
    resume(task);
    if (!is_running)
        (void)loop__self_set(NULL); /* was ours */
    return STATUS_OK;
}

/* -- what a task carries ----------------------------------------------------------------------- */

struct arena *task_arena(struct task *task)
{
    /* Made when first asked for: most parked tasks of a server that only waits never do. */
    if (UNLIKELY(!task->arena)) {
        task->arena = arena_new(task->loop->arenas, task->arena_budget);
        task->owns_arena = true;
    }
    return task->arena;
}

struct loop *task_loop(struct task *task)
{
    return task->loop;
}

struct problem *task_problem(struct task *task)
{
    return &task->problem;
}

const struct task_caller *task_caller(const struct task *task)
{
    return &task->caller;
}

void task_caller_set(struct task *task, const struct task_caller *caller)
{
    task->caller = *caller;
}

int64_t task_deadline(const struct task *task)
{
    return task->deadline_us;
}

struct slice task_request_id(const struct task *task)
{
    return task->request_id;
}

struct slice task_trace_id(const struct task *task)
{
    return task->trace_id;
}

void task_ids_set(struct task *task, struct slice request_id, struct slice trace_id)
{
    task->request_id = request_id;
    task->trace_id = trace_id;
}

bool task_is_sampled(const struct task *task)
{
    return task->sampled;
}

void task_sampled_set(struct task *task, bool sampled)
{
    task->sampled = sampled;
}

/* -- becoming ready ---------------------------------------------------------------------------- */

static void make_ready(struct task *task)
{
    task->state = TASK_READY;
    COUNT_ADD(task->loop->counts.tasks_parked, -1u);
    task_queue_push(&task->loop->ready, task);
}

void task_wake(struct task *task)
{
    task->token = true;
    if (task->state == TASK_PARKED)
        make_ready(task);
}

void task_cancel(struct task *task)
{
    task->cancelled = true;
    if (task->state == TASK_PARKED && !task->waits_always)
        make_ready(task);
}

bool task_is_cancelled(const struct task *task)
{
    return task->cancelled;
}

void task__run_ready(struct loop *loop)
{
    /* Who yielded before this call has its turn in it; who yields during it waits for the next one.
     */
    if (loop->yielded.first) {
        if (loop->ready.last)
            loop->ready.last->ready_next = loop->yielded.first;
        else
            loop->ready.first = loop->yielded.first;
        loop->ready.last = loop->yielded.last;
        loop->yielded = (struct task_queue){ NULL, NULL };
    }
    for (unsigned round = 0; round < READY_ROUNDS_MAX && loop->ready.first; round++) {
        /* One round is the queue as it stands: `last` is run, and what came after it is the next
         * round. */
        struct task *last = loop->ready.last, *task;
        do {
            task = task_queue_pop(&loop->ready);
            resume(task);
        } while (task != last);
    }
}

/* -- waiting ----------------------------------------------------------------------------------- */

static int64_t earlier(int64_t a_us, int64_t b_us)
{
    if (a_us == 0)
        return b_us;
    return b_us == 0 || a_us < b_us ? a_us : b_us;
}

static bool is_past(const struct task *task, int64_t deadline_us)
{
    return deadline_us != 0 && deadline_us <= loop_now_us(task->loop);
}

static void arm_park_timer(struct task *task);

static void on_park_timer(struct loop_timer *timer)
{
    struct task *task = CONTAINER_OF(timer, struct task, timer);
    if (task->state != TASK_PARKED || task->waits_always || task->park_until_us == 0)
        return;
    if (is_past(task, task->park_until_us))
        make_ready(task);
    else
        arm_park_timer(task); /* it was still armed for an earlier wait */
}

/* The timer stays armed when a wait ends before its time: the next wait mostly has the same end
 * (the task's deadline), and then there is nothing to do. */
static void arm_park_timer(struct task *task)
{
    if (loop_timer_is_armed(&task->timer) && task->timer.due_us <= task->park_until_us)
        return;
    loop_timer_start(task->loop, &task->timer, task->park_until_us - loop_now_us(task->loop),
                     on_park_timer);
}

static void park(struct task *task)
{
    task->state = TASK_PARKED;
    COUNT_ADD(task->loop->counts.tasks_parked, 1);
    switch_out(task);
}

static bool take_token(struct task *task)
{
    bool had = task->token;
    task->token = false;
    return had;
}

enum status task_wait_until(struct task *task, int64_t deadline_us)
{
    assert(task->loop->current == task);
    if (task->cancelled)
        return STATUS_CANCELLED;
    if (take_token(task))
        return STATUS_OK;
    int64_t until_us = earlier(task->deadline_us, deadline_us);
    if (is_past(task, until_us))
        return STATUS_TIMEOUT;
    task->park_until_us = until_us;
    if (until_us != 0)
        arm_park_timer(task);
    park(task);
    if (task->cancelled)
        return STATUS_CANCELLED;
    if (take_token(task))
        return STATUS_OK;
    /* task_deadline_set may have moved the end meanwhile; if so this is one of the spurious
     * returns. */
    return is_past(task, earlier(task->deadline_us, deadline_us)) ? STATUS_TIMEOUT : STATUS_OK;
}

enum status task_wait(struct task *task)
{
    return task_wait_until(task, 0);
}

void task_wait_always(struct task *task)
{
    assert(task->loop->current == task);
    task->waits_always = true;
    while (!take_token(task))
        park(task);
    task->waits_always = false;
}

void task_deadline_set(struct task *task, int64_t deadline_us)
{
    task->deadline_us = deadline_us;
    /* Its wait was set up under the old deadline: let it look again. */
    if (task->state == TASK_PARKED && !task->waits_always)
        make_ready(task);
}

enum status task_yield(struct task *task)
{
    assert(task->loop->current == task);
    if (task->cancelled)
        return STATUS_CANCELLED;
    if (is_past(task, task->deadline_us))
        return STATUS_TIMEOUT;
    task->state = TASK_READY;
    task_queue_push(&task->loop->yielded, task);
    switch_out(task);
    if (task->cancelled)
        return STATUS_CANCELLED;
    return is_past(task, task->deadline_us) ? STATUS_TIMEOUT : STATUS_OK;
}

enum status task_sleep(struct task *task, int64_t for_us)
{
    if (for_us <= 0)
        return task_yield(task);
    int64_t now_us = loop_now_us(task->loop);
    int64_t until_us = for_us > INT64_MAX - now_us ? INT64_MAX : now_us + for_us;
    /* A wake is not what ends a sleep, but it is kept for the wait it was meant for. */
    bool token = take_token(task);
    enum status st = STATUS_OK;
    while (st == STATUS_OK && !is_past(task, until_us)) {
        st = task_wait_until(task, until_us);
        token |= take_token(task) || st == STATUS_OK;
    }
    task->token = token;
    if (st == STATUS_TIMEOUT && !is_past(task, task->deadline_us))
        st = STATUS_OK;
    return st;
}

/* -- wakes from other threads ------------------------------------------------------------------ */

static void on_remote(struct loop_post *post)
{
    struct task_remote *remote = CONTAINER_OF(post, struct task_remote, post);
    remote->done = true;
    task_wake(remote->task);
}

void task_remote_init(struct task_remote *remote, struct task *task)
{
    *remote = (struct task_remote){
        .post = { .fn = on_remote },
        .task = task,
        .loop = task->loop,
    };
}

void task_remote_wake(struct task_remote *remote)
{
    loop_post(remote->loop, &remote->post);
}
