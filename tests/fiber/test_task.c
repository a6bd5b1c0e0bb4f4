/* tests/fiber/test_task.c - Starting, switching and ending of tasks, and what a task carries. */
#include "fiber/task.h"

#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "fixture.h"

struct probe {
    struct task *task;
    enum status status;
    bool started, ended;
};

static void wait_once(struct task *task, void *arg)
{
    struct probe *p = arg;
    p->task = task;
    p->started = true;
    p->status = task_wait(task);
    p->ended = true;
}

static void do_nothing(struct task *task, void *arg)
{
    (void)task;
    (void)arg;
}

static void test_task_runs_at_once_until_its_first_wait(void **state)
{
    struct fixture *f = *state;
    struct probe p = { 0 };
    spawn(f->loop, wait_once, &p);
    assert_true(p.started);
    assert_false(p.ended);
    task_wake(p.task);
    assert_false(p.ended);
    run_to_end(f);
    assert_true(p.ended);
    assert_status(p.status, STATUS_OK);
}

struct nest {
    struct fixture *fixture;
    unsigned depth;
    char order[64];
};

static void spawn_deeper(struct task *task, void *arg)
{
    struct nest *n = arg;
    unsigned depth = n->depth++;
    n->order[strlen(n->order)] = (char)('a' + depth);
    if (depth < 5)
        spawn(task_loop(task), spawn_deeper, n);
    assert_status(task_yield(task), STATUS_OK);
    n->order[strlen(n->order)] = (char)('A' + depth);
}

static void test_task_spawned_by_a_task_returns_to_it(void **state)
{
    struct fixture *f = *state;
    struct nest n = { .fixture = f };
    spawn(f->loop, spawn_deeper, &n);
    /* Each parks, and the one that spawned it goes on; they yielded from the innermost out. */
    assert_string_equal(n.order, "abcdef");
    run_to_end(f);
    assert_string_equal(n.order, "abcdefFEDCBA");
}

/* -- a million switches ------------------------------------------------------------------------ */

#define SWITCHES 1000000u

static void yield_many(struct task *task, void *arg)
{
    unsigned *left = arg;
    while (*left > 0) {
        --*left;
        assert_status(task_yield(task), STATUS_OK);
    }
}

static void test_task_switches_a_million_times(void **state)
{
    struct fixture *f = *state;
    unsigned left = SWITCHES;
    for (unsigned i = 0; i < 4; i++)
        spawn(f->loop, yield_many, &left);
    run_to_end(f);
    assert_int_equal(left, 0);
    struct loop_stats stats;
    loop_stats_read(f->loop, &stats);
    assert_true(stats.switches >= SWITCHES);
}

struct flag_timer {
    struct loop_timer timer;
    bool *fired;
};

static void set_flag(struct loop_timer *timer)
{
    *CONTAINER_OF(timer, struct flag_timer, timer)->fired = true;
}

/* Two tasks that wake each other for ever are always ready: timers and I/O must come through. */
struct spin {
    struct task *tasks[2];
    bool stop;
    uint64_t turns;
};

static void spin_in_pairs(struct task *task, void *arg)
{
    struct spin *s = arg;
    unsigned me = s->tasks[0] ? 1 : 0;
    s->tasks[me] = task;
    while (!s->stop) {
        s->turns++;
        if (s->tasks[!me])
            task_wake(s->tasks[!me]);
        assert_status(task_wait(task), STATUS_OK);
    }
    if (s->tasks[!me])
        task_wake(s->tasks[!me]);
    s->tasks[me] = NULL;
}

static void spin_yielding(struct task *task, void *arg)
{
    struct spin *s = arg;
    while (!s->stop) {
        s->turns++;
        assert_status(task_yield(task), STATUS_OK);
    }
}

static void test_task_that_never_parks_does_not_stop_the_loop(void **state)
{
    struct fixture *f = *state;
    const task_fn spinners[] = { spin_in_pairs, spin_yielding };
    for (size_t i = 0; i < ARRAY_LEN(spinners); i++) {
        struct spin s = { 0 };
        spawn(f->loop, spinners[i], &s);
        spawn(f->loop, spinners[i], &s);
        struct flag_timer timer = { .fired = &s.stop };
        loop_timer_start(f->loop, &timer.timer, 30 * CLOCK_MS, set_flag);
        run_to_end(f);
        assert_true(s.stop);
        assert_true(s.turns > 100);
    }
}

/* -- ten thousand parked ----------------------------------------------------------------------- */

static void test_task_ten_thousand_parked_are_woken(void **state)
{
    struct fixture *f = *state;
    struct probe *p = calloc(MANY_TASKS, sizeof(*p));
    assert_non_null(p);
    for (unsigned i = 0; i < MANY_TASKS; i++)
        spawn(f->loop, wait_once, &p[i]);
    struct loop_stats stats;
    loop_stats_read(f->loop, &stats);
    assert_int_equal(stats.tasks_live, MANY_TASKS);
    assert_int_equal(stats.tasks_parked, MANY_TASKS);
    assert_int_equal(stats.stacks_mapped, MANY_TASKS);
    for (unsigned i = 0; i < MANY_TASKS; i++)
        task_wake(p[i].task);
    run_to_end(f);
    for (unsigned i = 0; i < MANY_TASKS; i++) {
        assert_true(p[i].ended);
        assert_status(p[i].status, STATUS_OK);
    }
    loop_stats_read(f->loop, &stats);
    assert_int_equal(stats.tasks_parked, 0);
    assert_true(stats.stacks_mapped <= 256); /* the rest went back to the system */
    free(p);
}

static int setup_three_tasks(void **state)
{
    return setup_options(state, &(struct loop_options){ .tasks_max = 3 });
}

static void test_task_beyond_the_maximum_is_refused(void **state)
{
    struct fixture *f = *state;
    struct probe p[3] = { 0 };
    for (unsigned i = 0; i < 3; i++)
        spawn(f->loop, wait_once, &p[i]);
    assert_status(task_spawn(f->loop, do_nothing, NULL, NULL), STATUS_EXHAUSTED);
    for (unsigned i = 0; i < 3; i++)
        task_cancel(p[i].task);
    run_to_end(f);
    spawn(f->loop, do_nothing, NULL);
}

/* -- what a task carries ----------------------------------------------------------------------- */

static void use_everything(struct task *task, void *arg)
{
    struct fixture *f = arg;
    assert_ptr_equal(task_loop(task), f->loop);
    assert_int_equal(task_deadline(task), 12345678);
    assert_false(task_caller(task)->has_user);
    task_caller_set(task, &(struct task_caller){ .has_user = true });
    assert_true(task_caller(task)->has_user);
    assert_int_equal(task_request_id(task).len, 0);
    task_ids_set(task, SLICE("r1"), SLICE("t1"));
    assert_true(slice_eq(task_request_id(task), SLICE("r1")));
    assert_true(slice_eq(task_trace_id(task), SLICE("t1")));
    assert_int_equal(arena_budget(task_arena(task)), 65536);
    assert_status(problem_set(task, STATUS_CONFLICT, "test/conflict", "Number %d.", 7),
                  STATUS_CONFLICT);
    assert_status(task_problem(task)->status, STATUS_CONFLICT);
    assert_true(slice_eq(task_problem(task)->detail, SLICE("Number 7.")));
}

static void test_task_carries_its_things(void **state)
{
    struct fixture *f = *state;
    const struct task_options options = { .arena_budget = 65536, .deadline_us = 12345678 };
    assert_status(task_spawn(f->loop, use_everything, f, &options), STATUS_OK);
    /* A second one finds nothing of the first on the stack they share. */
    assert_status(task_spawn(f->loop, use_everything, f, &options), STATUS_OK);
}

static void keep_arena(struct task *task, void *arg)
{
    *(struct arena **)arg = task_arena(task);
    assert_non_null(arena_alloc(task_arena(task), 100));
}

static void test_task_leaves_an_arena_that_was_given(void **state)
{
    struct fixture *f = *state;
    struct arena *arena = arena_new(loop_arena_pool(f->loop), 0), *seen = NULL;
    const struct task_options options = { .arena = arena };
    assert_status(task_spawn(f->loop, keep_arena, &seen, &options), STATUS_OK);
    assert_ptr_equal(seen, arena);
    assert_true(arena_used(arena) >= 100);
    arena_free(arena);
}

static void log_with_and_without_ids(struct task *task, void *arg)
{
    (void)arg;
    const struct log_field fields[] = { LOG_I64("n", 7) };
    task_log(task, LOG_LEVEL_DEBUG, "test.below_the_level", fields, 1);
    task_log(task, LOG_LEVEL_INFO, "test.without", fields, 1);
    task_ids_set(task, SLICE("r-1"), SLICE("t-1"));
    task_log(task, LOG_LEVEL_INFO, "test.with", fields, 1);
}

static void test_task_log_says_whose_request_it_was(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    const struct log_options options = { .fd = fds[1],
                                         .level = LOG_LEVEL_INFO,
                                         .format = LOG_FORMAT_JSON };
    assert_status(log_start(&options), STATUS_OK);
    spawn(f->loop, log_with_and_without_ids, NULL);
    log_stop();
    char text[1024] = { 0 };
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    close(fds[0]);
    close(fds[1]);
    char *with = strchr(text, '\n');
    assert_non_null(with);
    *with++ = '\0';
    assert_null(strstr(text, "below_the_level"));
    assert_non_null(strstr(text, "\"n\":7"));
    assert_null(strstr(text, "request_id"));
    assert_non_null(strstr(with, "\"request_id\":\"r-1\""));
    assert_non_null(strstr(with, "\"trace_id\":\"t-1\""));
    assert_non_null(strstr(with, "\"n\":7"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_task_runs_at_once_until_its_first_wait, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_task_spawned_by_a_task_returns_to_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_task_switches_a_million_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_task_that_never_parks_does_not_stop_the_loop, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_task_ten_thousand_parked_are_woken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_task_beyond_the_maximum_is_refused, setup_three_tasks,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_task_carries_its_things, setup, teardown),
        cmocka_unit_test_setup_teardown(test_task_leaves_an_arena_that_was_given, setup, teardown),
        cmocka_unit_test_setup_teardown(test_task_log_says_whose_request_it_was, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
