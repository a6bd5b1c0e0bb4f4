/* tests/fiber/test_offload.c - Blocking work: results, bounds, withdrawal, and waiting for what
 * already runs. */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "fiber/task.h"
#include "fixture.h"

struct job {
    struct task *task;
    enum status status;
    unsigned value;
    bool ended;
    pthread_t ran_on;
    int gate[2];  /* a job that blocks reads a byte from it */
    bool started; /* atomic */
};

static void double_it(void *arg)
{
    struct job *j = arg;
    j->value *= 2;
    j->ran_on = pthread_self();
}

static void offload_double(struct task *task, void *arg)
{
    struct job *j = arg;
    j->task = task;
    j->status = task_offload(task, double_it, j);
    j->ended = true;
}

static void block(void *arg)
{
    struct job *j = arg;
    __atomic_store_n(&j->started, true, __ATOMIC_RELEASE);
    char byte;
    if (read(j->gate[0], &byte, 1) == 1)
        j->value++;
}

static void offload_block(struct task *task, void *arg)
{
    struct job *j = arg;
    j->task = task;
    j->status = task_offload(task, block, j);
    j->ended = true;
}

static void gate_open(struct job *j)
{
    assert_int_equal(write(j->gate[1], "x", 1), 1);
}

static void spawn_blocking(struct fixture *f, struct job *j)
{
    assert_int_equal(pipe(j->gate), 0);
    spawn(f->loop, offload_block, j);
    while (!__atomic_load_n(&j->started, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void job_close(struct job *j)
{
    close(j->gate[0]);
    close(j->gate[1]);
}

static void test_offload_runs_elsewhere_and_returns(void **state)
{
    struct fixture *f = *state;
    struct offload *offload = NULL;
    enum { JOBS = 500 };
    struct job *jobs = calloc(JOBS, sizeof(*jobs));
    assert_non_null(jobs);
    assert_status(offload_new(4, JOBS, &offload), STATUS_OK);
    loop_offload_set(f->loop, offload);
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i].value = i;
        spawn(f->loop, offload_double, &jobs[i]);
    }
    run_to_end(f);
    for (unsigned i = 0; i < JOBS; i++) {
        assert_status(jobs[i].status, STATUS_OK);
        assert_int_equal(jobs[i].value, 2 * i);
        assert_false(pthread_equal(jobs[i].ran_on, pthread_self()));
    }
    assert_int_equal(offload_queued(offload), 0);
    offload_free(offload);
    free(jobs);
}

static void test_offload_refuses_when_the_queue_is_full(void **state)
{
    struct fixture *f = *state;
    struct offload *offload = NULL;
    assert_status(offload_new(0, 1, &offload), STATUS_INVALID);
    assert_status(offload_new(1, 0, &offload), STATUS_INVALID);
    assert_status(offload_new(1, 2, &offload), STATUS_OK);
    loop_offload_set(f->loop, offload);
    struct job running = { 0 }, queued[2] = { { .value = 1 }, { .value = 2 } }, refused = { 0 };
    spawn_blocking(f, &running);
    spawn(f->loop, offload_double, &queued[0]);
    spawn(f->loop, offload_double, &queued[1]);
    assert_int_equal(offload_queued(offload), 2);
    spawn(f->loop, offload_double, &refused);
    assert_true(refused.ended); /* at once, without a wait */
    assert_status(refused.status, STATUS_EXHAUSTED);
    gate_open(&running);
    run_to_end(f);
    assert_status(running.status, STATUS_OK);
    assert_int_equal(queued[0].value, 2);
    assert_int_equal(queued[1].value, 4);
    job_close(&running);
    offload_free(offload);
}

struct other_pool {
    struct offload *other;
    struct job job;
};

static void offload_on_other(struct task *task, void *arg)
{
    struct other_pool *o = arg;
    o->job.status = task_offload_on(task, o->other, double_it, &o->job);
    o->job.ended = true;
}

static void test_offload_on_another_pool_passes_by_the_loops(void **state)
{
    struct fixture *f = *state;
    struct offload *offload = NULL;
    struct other_pool o = { .job = { .value = 21 } };
    struct job without = { .value = 21 }, running = { 0 };
    assert_status(offload_new(1, 1, &o.other), STATUS_OK);
    spawn(f->loop, offload_double, &without); /* the loop has none yet */
    assert_status(without.status, STATUS_UNAVAILABLE);
    assert_status(offload_new(1, 1, &offload), STATUS_OK);
    loop_offload_set(f->loop, offload);
    spawn_blocking(f, &running);
    spawn(f->loop, offload_on_other, &o);
    while (!o.job.ended)
        assert_int_equal(uv_run(loop_uv(f->loop), UV_RUN_NOWAIT) != 0, 1);
    assert_false(running.ended);
    assert_status(o.job.status, STATUS_OK);
    assert_int_equal(o.job.value, 42);
    gate_open(&running);
    run_to_end(f);
    job_close(&running);
    offload_free(o.other);
    offload_free(offload);
}

static void test_offload_withdraws_what_is_queued(void **state)
{
    struct fixture *f = *state;
    struct offload *offload = NULL;
    assert_status(offload_new(1, 8, &offload), STATUS_OK);
    loop_offload_set(f->loop, offload);
    struct job running = { 0 }, queued[3] = { { .value = 1 }, { .value = 1 }, { .value = 1 } };
    spawn_blocking(f, &running);
    for (unsigned i = 0; i < 3; i++)
        spawn(f->loop, offload_double, &queued[i]);
    task_cancel(queued[1].task);
    task_deadline_set(queued[0].task, 1);
    /* The withdrawn ones end while the worker is still busy; the gate opens once they have. */
    while (!queued[0].ended || !queued[1].ended)
        assert_int_equal(uv_run(loop_uv(f->loop), UV_RUN_NOWAIT) != 0, 1);
    assert_status(queued[0].status, STATUS_TIMEOUT);
    assert_status(queued[1].status, STATUS_CANCELLED);
    assert_int_equal(offload_queued(offload), 1);
    assert_false(running.ended);
    gate_open(&running);
    run_to_end(f);
    assert_status(queued[2].status, STATUS_OK);
    assert_int_equal(queued[0].value, 1);
    assert_int_equal(queued[1].value, 1);
    assert_int_equal(queued[2].value, 2);
    job_close(&running);
    offload_free(offload);
}

struct opener {
    struct loop_timer timer;
    struct job *job;
};

static void open_gate_later(struct loop_timer *timer)
{
    struct job *j = CONTAINER_OF(timer, struct opener, timer)->job;
    assert_false(j->ended); /* cancelled or late long ago, and still waiting for the worker */
    gate_open(j);
}

static void test_offload_waits_for_what_runs(void **state)
{
    struct fixture *f = *state;
    struct offload *offload = NULL;
    assert_status(offload_new(1, 8, &offload), STATUS_OK);
    loop_offload_set(f->loop, offload);
    for (unsigned late = 0; late < 2; late++) {
        struct job running = { 0 };
        spawn_blocking(f, &running);
        if (late)
            task_deadline_set(running.task, 1);
        else
            task_cancel(running.task);
        struct opener opener = { .job = &running };
        loop_timer_start(f->loop, &opener.timer, 40 * CLOCK_MS, open_gate_later);
        run_to_end(f);
        assert_status(running.status, STATUS_OK);
        assert_int_equal(running.value, 1);
        job_close(&running);
    }
    offload_free(offload);
}

/* Workers and cancellations at full speed: whatever happens, a job runs whole or not at all. */
static void count_run(void *arg)
{
    __atomic_fetch_add((unsigned *)arg, 1, __ATOMIC_RELAXED);
}

struct storm {
    struct task *tasks[64];
    unsigned slots_used;
    unsigned ran; /* by workers */
    unsigned ok, cancelled, refused;
};

static void offload_in_storm(struct task *task, void *arg)
{
    struct storm *s = arg;
    unsigned slot = s->slots_used++;
    s->tasks[slot] = task;
    enum status st = task_offload(task, count_run, &s->ran);
    s->ok += st == STATUS_OK;
    s->cancelled += st == STATUS_CANCELLED;
    s->refused += st == STATUS_EXHAUSTED;
    s->tasks[slot] = NULL;
}

static void test_offload_runs_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    struct offload *offload = NULL;
    assert_status(offload_new(2, 32, &offload), STATUS_OK);
    loop_offload_set(f->loop, offload);
    struct storm s = { 0 };
    enum { ROUNDS = 100 };
    for (unsigned round = 0; round < ROUNDS; round++) {
        s.slots_used = 0;
        for (unsigned i = 0; i < ARRAY_LEN(s.tasks); i++)
            spawn(f->loop, offload_in_storm, &s);
        for (unsigned i = round % 3; i < ARRAY_LEN(s.tasks); i += 3) {
            if (s.tasks[i])
                task_cancel(s.tasks[i]);
        }
        run_to_end(f);
    }
    assert_int_equal(s.ok + s.cancelled + s.refused, ROUNDS * ARRAY_LEN(s.tasks));
    assert_int_equal(s.ok, s.ran);
    assert_true(s.ok > 0);
    offload_free(offload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_offload_runs_elsewhere_and_returns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_offload_refuses_when_the_queue_is_full, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_offload_on_another_pool_passes_by_the_loops, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_offload_withdraws_what_is_queued, setup, teardown),
        cmocka_unit_test_setup_teardown(test_offload_waits_for_what_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_offload_runs_whole_or_not_at_all, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
