/* tests/fiber/test_latch.c - Latches and semaphores: exclusion, order, and what a cancelled waiter
 * leaves behind. */
#include <string.h>

#include "fiber/task.h"
#include "fixture.h"

struct shared {
    struct task_latch latch;
    struct task_sem sem;
    struct task *tasks[8];
    enum status status[8];
    unsigned started;
    unsigned inside, inside_max;
    char order[32];
};

static void enter(struct shared *s, unsigned me)
{
    s->order[strlen(s->order)] = (char)('0' + me);
    s->inside++;
    s->inside_max = MAX(s->inside_max, s->inside);
}

static void hold_latch(struct task *task, void *arg)
{
    struct shared *s = arg;
    unsigned me = s->started++;
    s->tasks[me] = task;
    s->status[me] = task_latch_lock(task, &s->latch);
    if (s->status[me] != STATUS_OK)
        return;
    assert_ptr_equal(s->latch.holder, task);
    enter(s, me);
    (void)task_yield(task); /* CANCELLED is one of the cases; it leaves as any other */
    (void)task_yield(task);
    s->inside--;
    task_latch_unlock(task, &s->latch);
}

static void test_latch_admits_one_at_a_time_in_order(void **state)
{
    struct fixture *f = *state;
    struct shared s = { 0 };
    for (unsigned i = 0; i < 5; i++)
        spawn(f->loop, hold_latch, &s);
    run_to_end(f);
    assert_string_equal(s.order, "01234");
    assert_int_equal(s.inside_max, 1);
    assert_null(s.latch.holder);
}

static void test_latch_passes_over_the_cancelled(void **state)
{
    struct fixture *f = *state;
    struct shared s = { 0 };
    for (unsigned i = 0; i < 5; i++)
        spawn(f->loop, hold_latch, &s);
    task_cancel(s.tasks[1]); /* the first in the queue */
    task_cancel(s.tasks[4]); /* the last */
    task_cancel(s.tasks[2]); /* and one between */
    run_to_end(f);
    assert_string_equal(s.order, "03");
    assert_status(s.status[1], STATUS_CANCELLED);
    assert_status(s.status[2], STATUS_CANCELLED);
    assert_status(s.status[4], STATUS_CANCELLED);
    assert_null(s.latch.holder);
    assert_null(s.latch.first);
    assert_null(s.latch.last);
}

struct race {
    struct task_latch latch;
    struct task *second;
    enum status status;
};

static void grant_and_cancel(struct task *task, void *arg)
{
    struct race *r = arg;
    assert_status(task_latch_lock(task, &r->latch), STATUS_OK);
    assert_status(task_yield(task), STATUS_OK);
    task_latch_unlock(task, &r->latch);
    task_cancel(r->second); /* before it could run */
}

static void be_granted_and_cancelled(struct task *task, void *arg)
{
    struct race *r = arg;
    r->second = task;
    r->status = task_latch_lock(task, &r->latch);
    if (r->status == STATUS_OK)
        task_latch_unlock(task, &r->latch);
    assert_status(task_wait(task), STATUS_CANCELLED);
}

static void test_latch_granted_and_cancelled_is_not_lost(void **state)
{
    struct fixture *f = *state;
    struct race r = { 0 };
    spawn(f->loop, grant_and_cancel, &r);
    spawn(f->loop, be_granted_and_cancelled, &r);
    run_to_end(f);
    assert_status(r.status, STATUS_OK);
    assert_null(r.latch.holder);
}

static void hold_place(struct task *task, void *arg)
{
    struct shared *s = arg;
    unsigned me = s->started++;
    s->tasks[me] = task;
    s->status[me] = task_sem_take(task, &s->sem);
    if (s->status[me] != STATUS_OK)
        return;
    enter(s, me);
    (void)task_yield(task); /* see hold_latch */
    s->inside--;
    task_sem_give(&s->sem);
}

static void test_sem_admits_as_many_as_places(void **state)
{
    struct fixture *f = *state;
    struct shared s = { 0 };
    task_sem_init(&s.sem, 3);
    for (unsigned i = 0; i < 8; i++)
        spawn(f->loop, hold_place, &s);
    assert_int_equal(s.sem.waiting, 5);
    run_to_end(f);
    assert_string_equal(s.order, "01234567");
    assert_int_equal(s.inside_max, 3);
    assert_int_equal(s.sem.places, 3);
    assert_int_equal(s.sem.waiting, 0);
}

static void test_sem_passes_over_the_cancelled(void **state)
{
    struct fixture *f = *state;
    struct shared s = { 0 };
    task_sem_init(&s.sem, 1);
    for (unsigned i = 0; i < 5; i++)
        spawn(f->loop, hold_place, &s);
    task_cancel(s.tasks[1]);
    task_cancel(s.tasks[3]);
    task_cancel(s.tasks[0]); /* the holder: it gives its place back on the way out */
    run_to_end(f);
    assert_string_equal(s.order, "024");
    assert_int_equal(s.sem.places, 1);
    assert_int_equal(s.sem.waiting, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_latch_admits_one_at_a_time_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_latch_passes_over_the_cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_latch_granted_and_cancelled_is_not_lost, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_sem_admits_as_many_as_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sem_passes_over_the_cancelled, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
