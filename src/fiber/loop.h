/*
 * fiber/loop.h - One event loop a thread, on libuv. A loop owns its connections, tasks, stacks,
 * arena chunks and timers; threads share nothing writable and speak by loop_post. Data passes: uv
 * callbacks run on the loop's own stack and either finish at once or wake or spawn a task
 * (fiber/task.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/status.h"

struct arena_pool;
struct loop;

struct loop_options {
    unsigned index;             /* of this loop among its siblings, from 0 */
    unsigned tasks_max;         /* live tasks; beyond it task_spawn is EXHAUSTED. 0: 16384 */
    unsigned stack_bytes;       /* usable stack of a task; 0: 128 KiB (256 KiB under sanitizers) */
    unsigned stacks_pooled_max; /* free stacks kept; 0: 256. Beyond it they are unmapped */
    unsigned arena_chunks_max;  /* free arena chunks kept; 0: 512 (8 MiB) */
};

enum status loop_new(const struct loop_options *options, struct loop **ret_loop);
/* Release; the loop must not be running and have no live task. */
void loop_free(struct loop *loop);

/* Run on the calling thread until loop_stop; then let every closing handle finish. */
void loop_run(struct loop *loop);
/* Ask the loop to end its run. Any thread. */
void loop_stop(struct loop *loop);

/* The loop that this thread runs, or NULL. */
struct loop *loop_self(void);
uv_loop_t *loop_uv(struct loop *loop);
unsigned loop_index(const struct loop *loop);
struct arena_pool *loop_arena_pool(struct loop *loop);
/* After a peak: give back half of the stacks and arena chunks that nobody needed since the last
 * call; bytes. Every few seconds, on the own thread. */
size_t loop_trim(struct loop *loop);
/* Monotonic time cached once an iteration. Own thread. */
int64_t loop_now_us(const struct loop *loop);
/*
 * How long what is taken up at `now_us` has waited for its turn, as far as can be told from inside:
 * since the poll returned; and if work was there already when it began, half of the turn before,
 * during which the work came. 0 where the loop was idle. Own thread, in a callback of the poll.
 */
int64_t loop_waited_us(const struct loop *loop, int64_t now_us);

/* Log a clear line and die by the default action when a fault hits a task's guard page. Once a
 * process. */
void loop_install_overflow_handler(void);

/*
 * Have fn(post) run on the loop's thread, in order of posting. Any thread; never blocks; one
 * wake-up (eventfd write) for many posts. The node is the caller's memory and must live until fn
 * runs.
 */
struct loop_post {
    struct loop_post *next;
    void (*fn)(struct loop_post *post);
};
void loop_post(struct loop *loop, struct loop_post *post);

/*
 * Have fn(post) run once, still in this turn: when the callbacks of the poll have returned, before
 * any task that they made ready; asked for by a task or a timer, when all ready tasks have run. For
 * what is cheaper done for many at once. The node is the caller's until fn runs; asking again
 * meanwhile is not allowed. Own thread.
 */
void loop_later(struct loop *loop, struct loop_post *post);
void loop_later_stop(struct loop *loop, struct loop_post *post); /* harmless when not asked for */

/*
 * Hooks of one loop: `before_poll` runs when the loop has done all ready work and is about to wait
 * (end read snapshots, flush), and each turn too while some task does nothing but yield. Register
 * before loop_run or on the own thread; at most 8.
 */
void loop_hook_before_poll(struct loop *loop, void (*fn)(void *arg), void *arg);
/* Take a hook away again (the same fn and arg). Own thread or after the run, not from inside a
 * hook. */
void loop_unhook_before_poll(struct loop *loop, void (*fn)(void *arg), void *arg);

/*
 * Per-loop service slots: a room keeps its per-loop state (read connections, date cache, ...) in a
 * slot it allocates once for the process. Get and set on the own thread or before it runs. At most
 * 16 slots.
 */
unsigned loop_slot_new(void);
void *loop_slot_get(struct loop *loop, unsigned slot);
void loop_slot_set(struct loop *loop, unsigned slot, void *value);

/*
 * A timeout that needs no heap and no kernel timer of its own: entries of one loop in a hashed
 * wheel with about 10 ms resolution, armed and disarmed in O(1). Zero-initialise the node; own
 * thread only.
 */
struct loop_timer {
    struct loop_timer *prev, *next;
    int64_t due_us;
    void (*fn)(struct loop_timer *timer);
};
void loop_timer_start(struct loop *loop, struct loop_timer *timer, int64_t after_us,
                      void (*fn)(struct loop_timer *timer));
void loop_timer_stop(struct loop *loop, struct loop_timer *timer); /* harmless when not armed */
static inline bool loop_timer_is_armed(const struct loop_timer *timer)
{
    return timer->next != NULL;
}

/* Figures for metrics. Any thread (relaxed reads). */
struct loop_stats {
    uint64_t iterations, posts, tasks_spawned, switches;
    uint32_t tasks_live, tasks_parked, stacks_pooled, stacks_mapped;
    int64_t lag_us; /* how late the last timer was */
};
void loop_stats_read(const struct loop *loop, struct loop_stats *ret);
