/* tests/fiber/test_task.c - Starting, switching, waiting, waking and ending of tasks. */
#include "fiber/task.h"

#include <string.h>

#include "base/arena.h"
#include "fixture.h"

/* -- starting and ending --------------------------------------------------------------------------- */

struct probe {
    struct task *task;
    enum status status;
    int64_t ended_us;
    unsigned turns;
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

static void wake_arg(struct task *task, void *arg)
{
    (void)task;
    task_wake(((struct probe *)arg)->task);
}

static void test_task_runs_at_once_until_its_first_wait(void **state)
{
    struct fixture *f = *state;
    struct probe p = { 0 };
    spawn(f->loop, wait_once, &p);
    assert_true(p.started);
    assert_false(p.ended);
    spawn(f->loop, wake_arg, &p);
    assert_false(p.ended);
    run_to_end(f);
    assert_true(p.ended);
    assert_status(p.status, STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_task_runs_at_once_until_its_first_wait, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
