/*
 * bench/micro_fiber.c - What the fiber room costs: a switch, a warm spawn, a wake, a timer, a post,
 * a parked task.
 *
 *     micro_fiber                 all of them, nanoseconds each
 *     micro_fiber CASE COUNT      one case that many times, nothing printed: for counting
 * instructions (valgrind --tool=callgrind at two counts, and the difference)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/slice.h"
#include "fiber/task.h"

#define PARKED 10000u

static struct loop *loop;

static void die(const char *what)
{
    fprintf(stderr, "micro_fiber: %s\n", what);
    exit(1);
}

static void spawn(task_fn fn, void *arg)
{
    if (task_spawn(loop, fn, arg, NULL) != STATUS_OK)
        die("task_spawn failed");
}

static void stop_when_done(void *arg)
{
    (void)arg;
    struct loop_stats stats;
    loop_stats_read(loop, &stats);
    if (stats.tasks_live == 0)
        loop_stop(loop);
}

/* -- cases ------------------------------------------------------------------------------------- */

/* Two tasks wake each other: per count one wake, one wait, one switch in and one out. */
struct pair {
    struct task *tasks[2];
    uint64_t left;
};

static void hand_over(struct task *task, void *arg)
{
    struct pair *p = arg;
    unsigned me = p->tasks[0] ? 1 : 0;
    p->tasks[me] = task;
    while (p->left > 0) {
        p->left--;
        if (p->tasks[!me])
            task_wake(p->tasks[!me]);
        if (task_wait(task) != STATUS_OK)
            die("task_wait failed");
    }
    p->tasks[me] = NULL;
    if (p->tasks[!me])
        task_wake(p->tasks[!me]);
}

static void run_switch(uint64_t count)
{
    struct pair p = { .left = count };
    spawn(hand_over, &p);
    spawn(hand_over, &p);
    loop_run(loop);
}

/* One task alone gives way to the loop each time, which looks for I/O between: a poll a turn. */
static void yield_often(struct task *task, void *arg)
{
    for (uint64_t left = *(uint64_t *)arg; left > 0; left--) {
        if (task_yield(task) != STATUS_OK)
            die("task_yield failed");
    }
}

static void run_yield(uint64_t count)
{
    spawn(yield_often, &count);
    loop_run(loop);
}

static void do_nothing(struct task *task, void *arg)
{
    (void)task;
    (void)arg;
}

static void run_spawn(uint64_t count)
{
    while (count-- > 0)
        spawn(do_nothing, NULL);
}

static void use_arena(struct task *task, void *arg)
{
    *(void **)arg = arena_alloc(task_arena(task), 64);
}

static void run_spawn_arena(uint64_t count)
{
    void *sink;
    while (count-- > 0)
        spawn(use_arena, &sink);
}

static void never(struct loop_timer *timer)
{
    (void)timer;
    die("a timer fired that should not");
}

static void run_timer(uint64_t count)
{
    struct loop_timer timer = { 0 };
    while (count-- > 0) {
        loop_timer_start(loop, &timer, 30000000, never);
        loop_timer_stop(loop, &timer);
    }
}

static void on_post(struct loop_post *post)
{
    (void)post;
}

static void run_post(uint64_t count)
{
    struct loop_post posts[64];
    for (uint64_t done = 0; done < count; done += ARRAY_LEN(posts)) {
        for (size_t i = 0; i < ARRAY_LEN(posts); i++) {
            posts[i].fn = on_post;
            loop_post(loop, &posts[i]);
        }
        loop_stop(loop);
        loop_run(loop);
    }
}

static const struct {
    const char *name, *what;
    void (*run)(uint64_t count);
    uint64_t count;
} cases[] = {
    { "switch", "wake another task and wait (one round trip through the loop's queue)", run_switch,
      10000000 },
    { "yield", "yield alone (with the loop's poll between)", run_yield, 1000000 },
    { "spawn", "spawn and finish, warm", run_spawn, 10000000 },
    { "spawn-arena", "spawn and finish, warm, using its arena", run_spawn_arena, 10000000 },
    { "timer", "start and stop a timer", run_timer, 10000000 },
    { "post", "post in batches of 64 (with the loop's run around each)", run_post, 1000000 },
};

/* -- memory ------------------------------------------------------------------------------------ */

static size_t resident_bytes(void)
{
    char line[128] = { 0 };
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || !fgets(line, sizeof(line), file))
        die("no /proc/self/statm");
    fclose(file);
    char *end = NULL;
    (void)strtoull(line, &end, 10); /* the first figure is the size of the address space */
    return strtoull(end, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static struct task *parked[PARKED];

static void park(struct task *task, void *arg)
{
    *(struct task **)arg = task;
    if (task_wait(task) != STATUS_OK)
        die("task_wait failed");
}

static void print_memory(void)
{
    size_t before = resident_bytes();
    for (unsigned i = 0; i < PARKED; i++)
        spawn(park, &parked[i]);
    size_t peak = resident_bytes();
    for (unsigned i = 0; i < PARKED; i++)
        task_wake(parked[i]);
    loop_run(loop);
    size_t after = resident_bytes();
    printf("%-12s %8.2f KiB  resident for a parked task (of %u); %.1f MiB stay after all ended\n",
           "parked", (double)(peak - before) / 1024 / PARKED, PARKED,
           (double)(after - before) / 1048576);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (loop_new(NULL, &loop) != STATUS_OK)
        die("loop_new failed");
    loop_hook_before_poll(loop, stop_when_done, NULL);
    int64_t count = 0;
    if (argc == 3 && slice_to_i64(slice_cstr(argv[2]), &count) && count > 0) {
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            if (strcmp(cases[i].name, argv[1]) == 0)
                cases[i].run((uint64_t)count);
        }
        loop_free(loop);
        return 0;
    }
    if (argc != 1) {
        fprintf(stderr, "usage: micro_fiber [CASE COUNT]\n");
        return 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cases[i].run(cases[i].count / 100); /* warm */
        double best = 1e18;
        for (unsigned round = 0; round < 3; round++) {
            double began = now_ns();
            cases[i].run(cases[i].count);
            double each = (now_ns() - began) / (double)cases[i].count;
            best = MIN(best, each);
        }
        printf("%-12s %8.1f ns   %s\n", cases[i].name, best, cases[i].what);
    }
    print_memory();
    loop_free(loop);
    return 0;
}
