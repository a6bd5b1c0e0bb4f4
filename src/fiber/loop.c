/*
 * fiber/loop.c - The turn of a loop. libuv runs, each iteration: due timers (the wheel), `prepare`
 * (ready tasks, the hooks, then the decision whether the poll may wait), the poll with its I/O
 * callbacks and posts, `check` (the tasks those made ready). A loop with nothing armed and nothing
 * ready sleeps in the poll without end.
 */
#include "fiber/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "fiber/internal.h"

#define TASKS_MAX_DEFAULT 16384u
#ifdef FIBER_SANITIZED
#define STACK_BYTES_DEFAULT 262144u
#else
#define STACK_BYTES_DEFAULT 131072u
#endif
#define STACK_BYTES_MIN 16384u
#define STACKS_POOLED_DEFAULT 256u
#define ARENA_CHUNKS_DEFAULT 512u

static __thread struct loop *self_loop;

struct loop *loop_self(void)
{
    return self_loop;
}

struct loop *loop__self_set(struct loop *loop)
{
    struct loop *before = self_loop;
    self_loop = loop;
    return before;
}

struct task *loop__current_task(void)
{
    return self_loop ? self_loop->current : NULL;
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

unsigned loop_index(const struct loop *loop)
{
    return loop->index;
}

struct arena_pool *loop_arena_pool(struct loop *loop)
{
    return loop->arenas;
}

int64_t loop_now_us(const struct loop *loop)
{
    /* libuv reads its millisecond clock once after each poll, before the callbacks: when that has
     * moved, ours is stale. Comparing costs less than reading the clock each iteration. */
    struct loop_clock *clock = loop->clock_ref;
    uint64_t uv_ms = uv_now(&loop->uv);
    if (UNLIKELY(uv_ms != clock->uv_ms)) {
        clock->uv_ms = uv_ms;
        clock->now_us = clock_mono_us();
    }
    return clock->now_us;
}

/* A poll that took less than this found work that was there already. */
#define POLL_AT_ONCE_US (2 * CLOCK_MS)

int64_t loop_waited_us(const struct loop *loop, int64_t now_us)
{
    int64_t returned_us = loop_now_us(loop);
    int64_t waited_us = MAX(now_us - returned_us, (int64_t)0);
    bool was_there = returned_us - loop->polling_us < POLL_AT_ONCE_US;
    return was_there ? waited_us + loop->turn_us / 2 : waited_us;
}

/* -- timers ------------------------------------------------------------------------------------ */

static void on_uv_timer(uv_timer_t *handle);

/* See that the kernel wakes us by `by_us`. The uv timer is never moved later: stopping a timer
 * (what nearly every deadline comes to) then costs nothing here, and a wake-up too many comes once
 * at most. */
static void arm_uv_timer(struct loop *loop, int64_t by_us)
{
    if (LIKELY(by_us >= loop->timer_us))
        return;
    int64_t wait_us = MAX(by_us - loop_now_us(loop), (int64_t)0);
    /* uv's present is cut to the millisecond: one more, or the timer may come a moment early. */
    uint64_t wait_ms = (uint64_t)(wait_us / CLOCK_MS) + 1;
    int rc = uv_timer_start(&loop->timer, on_uv_timer, wait_ms, 0);
    assert(rc == 0);
    (void)rc; /* fails only on a closing handle */
    loop->timer_us = by_us;
}

static void run_wheel(struct loop *loop)
{
    int64_t late_us = 0;
    if (wheel_run(&loop->wheel, loop_now_us(loop), &late_us) > 0)
        COUNT_SET(loop->counts.lag_us, late_us);
}

static void on_uv_timer(uv_timer_t *handle)
{
    struct loop *loop = handle->data;
    loop->timer_us = INT64_MAX;
    run_wheel(loop);
    arm_uv_timer(loop, wheel_next_us(&loop->wheel));
}

void loop_timer_start(struct loop *loop, struct loop_timer *timer, int64_t after_us,
                      void (*fn)(struct loop_timer *timer))
{
    if (loop_timer_is_armed(timer))
        wheel_remove(&loop->wheel, timer);
    int64_t now_us = loop_now_us(loop);
    after_us = MAX(after_us, (int64_t)0);
    timer->due_us = after_us > INT64_MAX - now_us ? INT64_MAX : now_us + after_us;
    timer->fn = fn;
    wheel_catch_up(&loop->wheel, now_us);
    arm_uv_timer(loop, wheel_add(&loop->wheel, timer));
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    if (loop_timer_is_armed(timer))
        wheel_remove(&loop->wheel, timer);
}

/* -- posts ------------------------------------------------------------------------------------- */

void loop_post(struct loop *loop, struct loop_post *post)
{
    struct loop_post *head = __atomic_load_n(&loop->posted, __ATOMIC_RELAXED);
    do {
        post->next = head;
    } while (!__atomic_compare_exchange_n(&loop->posted, &head, post, /* weak= */ true,
                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    /* `post` may be gone from here on. Who finds the list empty wakes the loop; the others ride
     * along. */
    if (!head)
        (void)uv_async_send(&loop->async); /* fails only on a handle that was never initialised */
}

static void run_posts(struct loop *loop)
{
    struct loop_post *post = __atomic_exchange_n(&loop->posted, NULL, __ATOMIC_ACQUIRE);
    struct loop_post *in_order = NULL;
    while (post) {
        struct loop_post *next = post->next;
        post->next = in_order;
        in_order = post;
        post = next;
    }
    uint64_t count = 0;
    while (in_order) {
        struct loop_post *next = in_order->next; /* fn may free the node */
        in_order->fn(in_order);
        in_order = next;
        count++;
    }
    COUNT_ADD(loop->counts.posts, count);
}

static void on_async(uv_async_t *handle)
{
    struct loop *loop = handle->data;
    run_posts(loop);
    if (__atomic_load_n(&loop->stopping, __ATOMIC_ACQUIRE))
        uv_stop(&loop->uv);
}

void loop_later(struct loop *loop, struct loop_post *post)
{
    post->next = loop->later;
    loop->later = post;
}

void loop_later_stop(struct loop *loop, struct loop_post *post)
{
    for (struct loop_post **at = &loop->later; *at; at = &(*at)->next) {
        if (*at == post) {
            *at = post->next;
            return;
        }
    }
}

/* What is asked for meanwhile runs too. */
static void run_later(struct loop *loop)
{
    while (loop->later) {
        struct loop_post *post = loop->later;
        loop->later = post->next;
        post->fn(post);
    }
}

/* -- the turn ---------------------------------------------------------------------------------- */

static void on_idle(uv_idle_t *handle)
{
    (void)handle; /* its being active is all that matters */
}

static void on_prepare(uv_prepare_t *handle)
{
    struct loop *loop = handle->data;
    COUNT_ADD(loop->counts.iterations, 1);
    task__run_ready(loop);
    run_later(loop);
    for (unsigned i = 0; i < loop->hooks_len; i++)
        loop->hooks[i].fn(loop->hooks[i].arg);
    /* Still ready: tasks that yielded, or that a hook woke. Look for I/O without waiting, then go
     * on. */
    bool has_ready = task__has_ready(loop);
    if (has_ready != loop->idle_active) {
        int rc = has_ready ? uv_idle_start(&loop->idle, on_idle) : uv_idle_stop(&loop->idle);
        assert(rc == 0);
        (void)rc; /* fails only without a callback */
        loop->idle_active = has_ready;
    }
    loop->polling_us = clock_mono_us();
    loop->turn_us = MAX(loop->polling_us - loop->polled_us, (int64_t)0);
}

static void on_check(uv_check_t *handle)
{
    struct loop *loop = handle->data;
    loop->polled_us = loop_now_us(loop);
    run_later(loop);
    task__run_ready(loop);
}

/* -- life cycle -------------------------------------------------------------------------------- */

static enum status open_handles(struct loop *loop)
{
    if (uv_loop_init(&loop->uv) != 0)
        return STATUS_EXHAUSTED;
    if (uv_async_init(&loop->uv, &loop->async, on_async) != 0) {
        (void)uv_loop_close(&loop->uv); /* nothing is open in it */
        return STATUS_EXHAUSTED;
    }
    int rc = uv_prepare_init(&loop->uv, &loop->prepare);
    rc |= uv_check_init(&loop->uv, &loop->check);
    rc |= uv_idle_init(&loop->uv, &loop->idle);
    rc |= uv_timer_init(&loop->uv, &loop->timer);
    rc |= uv_prepare_start(&loop->prepare, on_prepare);
    rc |= uv_check_start(&loop->check, on_check);
    assert(rc == 0);
    (void)rc; /* these only fill in memory */
    /* Only `async` keeps a run going, so that it ends by loop_stop alone. */
    uv_unref((uv_handle_t *)&loop->prepare);
    uv_unref((uv_handle_t *)&loop->check);
    uv_unref((uv_handle_t *)&loop->idle);
    uv_unref((uv_handle_t *)&loop->timer);
    loop->async.data = loop->prepare.data = loop->check.data = loop->timer.data = loop;
    return STATUS_OK;
}

enum status loop_new(const struct loop_options *options, struct loop **ret_loop)
{
    static const struct loop_options defaults = { 0 };
    const struct loop_options *o = options ? options : &defaults;
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return STATUS_EXHAUSTED;
    unsigned stack_bytes = o->stack_bytes ? o->stack_bytes : STACK_BYTES_DEFAULT;
    enum status st =
        stack_pool_init(&loop->stacks, MAX(stack_bytes, STACK_BYTES_MIN),
                        o->stacks_pooled_max ? o->stacks_pooled_max : STACKS_POOLED_DEFAULT);
    if (st == STATUS_OK)
        st = open_handles(loop);
    if (st != STATUS_OK) {
        free(loop->stacks.free);
        free(loop);
        return st;
    }
    loop->arenas = arena_pool_new(o->arena_chunks_max ? o->arena_chunks_max : ARENA_CHUNKS_DEFAULT);
    loop->index = o->index;
    loop->tasks_max = o->tasks_max ? o->tasks_max : TASKS_MAX_DEFAULT;
    loop->clock_ref = &loop->clock;
    loop->clock = (struct loop_clock){ .uv_ms = uv_now(&loop->uv), .now_us = clock_mono_us() };
    loop->timer_us = INT64_MAX;
    loop->polled_us = loop->polling_us = loop->clock.now_us;
    wheel_init(&loop->wheel, loop->clock.now_us);
    *ret_loop = loop;
    return STATUS_OK;
}

static void close_if_open(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    assert(self_loop != loop);
    assert(loop->counts.tasks_live == 0);
    run_posts(loop); /* their senders were promised that fn runs */
    /* Handles of other rooms should be closed by now; one left open must not keep the memory of
     * all. */
    uv_walk(&loop->uv, close_if_open, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* until the last close callback has run */
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0);
    (void)rc;
    stack_pool_fini(&loop->stacks);
    arena_pool_free(loop->arenas);
    free(loop);
}

static void count_closing(uv_handle_t *handle, void *arg)
{
    unsigned *closing = arg;
    *closing += uv_is_closing(handle) != 0;
}

static bool has_closing(struct loop *loop)
{
    unsigned closing = 0;
    uv_walk(&loop->uv, count_closing, &closing);
    return closing > 0;
}

void loop_run(struct loop *loop)
{
    assert(!self_loop);
    self_loop = loop;
    loop__signal_stack_open();
    /* The loop may have been made long ago, or time faked since. */
    uv_update_time(&loop->uv);
    while (!__atomic_load_n(&loop->stopping, __ATOMIC_ACQUIRE))
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    do
        (void)uv_run(&loop->uv,
                     UV_RUN_NOWAIT); /* at least once: takes what was posted before the stop */
    while (task__has_ready(loop) || has_closing(loop));
    __atomic_store_n(&loop->stopping, false, __ATOMIC_RELEASE);
    loop__signal_stack_close();
    self_loop = NULL;
}

void loop_stop(struct loop *loop)
{
    __atomic_store_n(&loop->stopping, true, __ATOMIC_RELEASE);
    (void)uv_async_send(&loop->async); /* fails only on a handle that was never initialised */
}

/* -- hooks, slots, figures --------------------------------------------------------------------- */

void loop_hook_before_poll(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    assert(loop->hooks_len < LOOP_HOOKS_MAX);
    if (loop->hooks_len >= LOOP_HOOKS_MAX)
        abort(); /* our mistake, found at start: never run without a hook that was asked for */
    loop->hooks[loop->hooks_len].fn = fn;
    loop->hooks[loop->hooks_len].arg = arg;
    loop->hooks_len++;
}

void loop_unhook_before_poll(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < loop->hooks_len; i++) {
        if (loop->hooks[i].fn != fn || loop->hooks[i].arg != arg)
            loop->hooks[kept++] = loop->hooks[i];
    }
    loop->hooks_len = kept;
}

unsigned loop_slot_new(void)
{
    static unsigned slots;
    unsigned slot = __atomic_fetch_add(&slots, 1, __ATOMIC_RELAXED);
    if (slot >= LOOP_SLOTS_MAX)
        abort(); /* our mistake, found at start */
    return slot;
}

void *loop_slot_get(struct loop *loop, unsigned slot)
{
    assert(slot < LOOP_SLOTS_MAX);
    return loop->slots[slot];
}

void loop_slot_set(struct loop *loop, unsigned slot, void *value)
{
    assert(slot < LOOP_SLOTS_MAX);
    loop->slots[slot] = value;
}

size_t loop_trim(struct loop *loop)
{
    size_t bytes = stack_pool_trim(&loop->stacks) + arena_pool_trim(loop->arenas);
    COUNT_SET(loop->counts.stacks_pooled, loop->stacks.free_len);
    COUNT_SET(loop->counts.stacks_mapped, loop->stacks.mapped);
    return bytes;
}

void loop_stats_read(const struct loop *loop, struct loop_stats *ret)
{
    const struct loop_counts *c = &loop->counts;
    *ret = (struct loop_stats){
        .iterations = __atomic_load_n(&c->iterations, __ATOMIC_RELAXED),
        .posts = __atomic_load_n(&c->posts, __ATOMIC_RELAXED),
        .tasks_spawned = __atomic_load_n(&c->tasks_spawned, __ATOMIC_RELAXED),
        .switches = __atomic_load_n(&c->switches, __ATOMIC_RELAXED),
        .tasks_live = __atomic_load_n(&c->tasks_live, __ATOMIC_RELAXED),
        .tasks_parked = __atomic_load_n(&c->tasks_parked, __ATOMIC_RELAXED),
        .stacks_pooled = __atomic_load_n(&c->stacks_pooled, __ATOMIC_RELAXED),
        .stacks_mapped = __atomic_load_n(&c->stacks_mapped, __ATOMIC_RELAXED),
        .lag_us = __atomic_load_n(&c->lag_us, __ATOMIC_RELAXED),
    };
}
