/*
 * tests/fiber/test_wait.c - Every kind of wait, ended in every way: by what it waits for, by a
 * deadline, by cancellation while it waits, and at once when the task was late or cancelled before.
 */
#include "fiber/task.h"

#include <sched.h>
#include <unistd.h>

#include "fixture.h"

/* How a wait is begun. What it waits for never comes unless a row says so. */
enum kind { WAIT, WAIT_UNTIL, SLEEP, YIELD, LATCH, SEM, SEND, RECEIVE, OFFLOAD_QUEUED, KINDS };

static const char *const kind_names[] = { "wait", "wait_until", "sleep",   "yield",         "latch",
                                          "sem",  "send",       "receive", "offload queued" };

struct scene {
    struct fixture *fixture;
    enum kind kind;
    struct task *task;
    int64_t deadline_us;
    bool cancel_first;
    enum status status;
    bool ended;
    int64_t ended_us;
    /* what is waited for */
    struct task_latch latch;
    struct task_sem sem;
    struct task_channel *full, *empty;
    struct offload *offload;
    int busy_pipe[2]; /* the one worker reads from it until the test lets it go */
    bool ran;
};

static void occupy_worker(void *arg)
{
    char byte;
    ssize_t got = read(*(int *)arg, &byte, 1);
    assert_int_equal(got, 1);
}

static void note_that_it_ran(void *arg)
{
    *(bool *)arg = true;
}

static void occupy(struct task *task, void *arg)
{
    struct scene *s = arg;
    assert_status(task_offload(task, occupy_worker, &s->busy_pipe[0]), STATUS_OK);
}

static enum status begin_wait(struct task *task, struct scene *s)
{
    void *item = NULL;
    switch (s->kind) {
    case WAIT:
        return task_wait(task);
    case WAIT_UNTIL:
        return task_wait_until(task, loop_now_us(task_loop(task)) + CLOCK_MINUTE);
    case SLEEP:
        return task_sleep(task, CLOCK_MINUTE);
    case YIELD:
        for (;;) {
            enum status st = task_yield(task);
            if (st != STATUS_OK)
                return st;
        }
    case LATCH:
        return task_latch_lock(task, &s->latch);
    case SEM:
        return task_sem_take(task, &s->sem);
    case SEND:
        return task_channel_send(task, s->full, s);
    case RECEIVE:
        return task_channel_receive(task, s->empty, &item);
    case OFFLOAD_QUEUED:
        return task_offload(task, note_that_it_ran, &s->ran);
    case KINDS:
        break;
    }
    abort();
}

static void scene_release_worker(struct scene *s)
{
    if (s->kind == OFFLOAD_QUEUED)
        assert_int_equal(write(s->busy_pipe[1], "x", 1), 1);
}

static void wait_in_scene(struct task *task, void *arg)
{
    struct scene *s = arg;
    s->task = task;
    if (s->deadline_us)
        task_deadline_set(task, s->deadline_us);
    if (s->cancel_first)
        task_cancel(task);
    s->status = begin_wait(task, s);
    s->ended_us = clock_mono_us();
    s->ended = true;
    /* Only now may the worker go on: sooner, it could take the job before this task could withdraw
     * it. */
    scene_release_worker(s);
    /* Cancelled once is cancelled for good. */
    if (s->status == STATUS_CANCELLED)
        assert_status(task_wait(task), STATUS_CANCELLED);
}

static void scene_open(struct scene *s, struct fixture *f, enum kind kind)
{
    *s = (struct scene){ .fixture = f, .kind = kind };
    s->latch.holder = (struct task *)(void *)s; /* some task that will never unlock it */
    task_sem_init(&s->sem, 0);
    assert_status(task_channel_new(1, &s->full), STATUS_OK);
    assert_status(task_channel_try_send(s->full, s), STATUS_OK);
    assert_status(task_channel_new(1, &s->empty), STATUS_OK);
    if (kind == OFFLOAD_QUEUED) {
        assert_int_equal(pipe(s->busy_pipe), 0);
        assert_status(offload_new(1, 4, &s->offload), STATUS_OK);
        loop_offload_set(f->loop, s->offload);
        spawn(f->loop, occupy, s);
        while (offload_queued(s->offload) > 0)
            sched_yield(); /* until the worker has the first job */
    }
}

static void scene_close(struct scene *s)
{
    assert_null(s->latch.first);
    assert_int_equal(s->sem.waiting, 0);
    task_channel_free(s->full);
    task_channel_free(s->empty);
    if (s->kind == OFFLOAD_QUEUED) {
        assert_false(s->ran); /* what was withdrawn must not run */
        loop_offload_set(s->fixture->loop, NULL);
        offload_free(s->offload);
        close(s->busy_pipe[0]);
        close(s->busy_pipe[1]);
    }
}

struct later {
    struct loop_timer timer;
    struct scene *scene;
};

static void cancel_later(struct loop_timer *timer)
{
    struct scene *s = CONTAINER_OF(timer, struct later, timer)->scene;
    assert_false(s->ended);
    task_cancel(s->task);
    task_cancel(s->task); /* twice is once */
}

static void test_wait_of_every_kind_is_cancelled(void **state)
{
    struct fixture *f = *state;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct scene s;
        scene_open(&s, f, kind);
        spawn(f->loop, wait_in_scene, &s);
        struct later later = { .scene = &s };
        loop_timer_start(f->loop, &later.timer, 1, cancel_later);
        run_to_end(f);
        if (s.status != STATUS_CANCELLED)
            print_error("kind: %s\n", kind_names[kind]);
        assert_status(s.status, STATUS_CANCELLED);
        scene_close(&s);
    }
}

static void test_wait_of_every_kind_is_cancelled_at_once(void **state)
{
    struct fixture *f = *state;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct scene s;
        scene_open(&s, f, kind);
        s.cancel_first = true;
        spawn(f->loop, wait_in_scene, &s);
        if (!s.ended)
            print_error("kind: %s\n", kind_names[kind]);
        assert_true(s.ended);
        assert_status(s.status, STATUS_CANCELLED);
        run_to_end(f);
        scene_close(&s);
    }
}

static void test_wait_of_every_kind_ends_at_the_deadline(void **state)
{
    struct fixture *f = *state;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct scene s;
        scene_open(&s, f, kind);
        s.deadline_us = clock_mono_us() + 25 * CLOCK_MS;
        spawn(f->loop, wait_in_scene, &s);
        assert_false(s.ended);
        run_to_end(f);
        if (s.status != STATUS_TIMEOUT)
            print_error("kind: %s\n", kind_names[kind]);
        assert_status(s.status, STATUS_TIMEOUT);
        assert_true(s.ended_us >= s.deadline_us);
        assert_true(s.ended_us - s.deadline_us < 5 * CLOCK_SECOND);
        scene_close(&s);
    }
}

static void test_wait_of_every_kind_knows_a_past_deadline(void **state)
{
    struct fixture *f = *state;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct scene s;
        scene_open(&s, f, kind);
        s.deadline_us = 1;
        spawn(f->loop, wait_in_scene, &s);
        assert_true(s.ended);
        assert_status(s.status, STATUS_TIMEOUT);
        run_to_end(f);
        scene_close(&s);
    }
}

/* -- wakes ------------------------------------------------------------------------------------- */

static void take_wakes(struct task *task, void *arg)
{
    (void)arg;
    task_wake(task); /* running: kept */
    task_wake(task); /* two are one */
    assert_status(task_wait(task), STATUS_OK);
    int64_t soon_us = loop_now_us(task_loop(task)) + CLOCK_MS;
    assert_status(task_wait_until(task, soon_us), STATUS_TIMEOUT);
    /* Neither a yield nor a sleep takes the wake that is meant for a wait. */
    task_wake(task);
    assert_status(task_yield(task), STATUS_OK);
    int64_t before_us = clock_mono_us();
    assert_status(task_sleep(task, 15 * CLOCK_MS), STATUS_OK);
    assert_true(clock_mono_us() - before_us >= 14 * CLOCK_MS);
    assert_status(task_wait(task), STATUS_OK);
}

static void test_wait_finds_the_wake_that_came_first(void **state)
{
    struct fixture *f = *state;
    spawn(f->loop, take_wakes, NULL);
    run_to_end(f);
}

struct always {
    struct task *task;
    bool released, ended;
    struct loop_timer timer;
};

static void wait_always(struct task *task, void *arg)
{
    struct always *a = arg;
    a->task = task;
    task_deadline_set(task, loop_now_us(task_loop(task)) + CLOCK_MS);
    while (!a->released)
        task_wait_always(task);
    assert_true(task_is_cancelled(task));
    assert_status(task_wait(task), STATUS_CANCELLED);
    a->ended = true;
}

static void release_always(struct loop_timer *timer)
{
    struct always *a = CONTAINER_OF(timer, struct always, timer);
    assert_false(a->ended);
    a->released = true;
    task_wake(a->task);
}

static void test_wait_always_takes_nothing_but_a_wake(void **state)
{
    struct fixture *f = *state;
    struct always a = { 0 };
    spawn(f->loop, wait_always, &a);
    task_cancel(a.task);
    loop_timer_start(f->loop, &a.timer, 40 * CLOCK_MS, release_always);
    run_to_end(f);
    assert_true(a.ended);
}

struct moved {
    struct task *task;
    int64_t from_us, ended_us;
    int64_t to_us;
    struct loop_timer timer;
};

static void wait_for_moved(struct task *task, void *arg)
{
    struct moved *m = arg;
    m->task = task;
    task_deadline_set(task, m->from_us);
    enum status st = STATUS_OK;
    while (st == STATUS_OK)
        st = task_wait(task);
    assert_status(st, STATUS_TIMEOUT);
    m->ended_us = clock_mono_us();
}

static void move_deadline(struct loop_timer *timer)
{
    struct moved *m = CONTAINER_OF(timer, struct moved, timer);
    task_deadline_set(m->task, m->to_us);
}

static void test_wait_follows_a_deadline_that_moves(void **state)
{
    struct fixture *f = *state;
    const struct {
        int64_t from_ms, to_ms;
    } rows[] = { { 20, 60 }, { 60000, 40 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t now_us = clock_mono_us();
        struct moved m = { .from_us = now_us + rows[i].from_ms * CLOCK_MS,
                           .to_us = now_us + rows[i].to_ms * CLOCK_MS };
        spawn(f->loop, wait_for_moved, &m);
        loop_timer_start(f->loop, &m.timer, 1, move_deadline);
        run_to_end(f);
        assert_true(m.ended_us >= m.to_us);
        assert_true(m.ended_us - m.to_us < 5 * CLOCK_SECOND);
    }
}

/* Every short wait has its own end although the timer behind them is one, and left armed. */
static void wait_longer_and_shorter(struct task *task, void *arg)
{
    static const int64_t waits_ms[] = { 50, 10, 1, 30, 0, 20 };
    (void)arg;
    task_deadline_set(task, clock_mono_us() + CLOCK_MINUTE);
    for (size_t i = 0; i < ARRAY_LEN(waits_ms); i++) {
        int64_t until_us = loop_now_us(task_loop(task)) + waits_ms[i] * CLOCK_MS;
        enum status st = STATUS_OK;
        while (st == STATUS_OK)
            st = task_wait_until(task, until_us);
        assert_status(st, STATUS_TIMEOUT);
        int64_t late_us = clock_mono_us() - until_us;
        assert_true(late_us >= 0 && late_us < 5 * CLOCK_SECOND);
    }
    assert_status(task_sleep(task, CLOCK_MS), STATUS_OK);
    /* A sleep that the deadline cuts short says so. */
    task_deadline_set(task, loop_now_us(task_loop(task)) + 5 * CLOCK_MS);
    assert_status(task_sleep(task, CLOCK_MINUTE), STATUS_TIMEOUT);
}

static void test_wait_until_ends_when_said(void **state)
{
    struct fixture *f = *state;
    spawn(f->loop, wait_longer_and_shorter, NULL);
    run_to_end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wait_of_every_kind_is_cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wait_of_every_kind_is_cancelled_at_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_wait_of_every_kind_ends_at_the_deadline, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_wait_of_every_kind_knows_a_past_deadline, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_wait_finds_the_wake_that_came_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wait_always_takes_nothing_but_a_wake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wait_follows_a_deadline_that_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wait_until_ends_when_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
