/* tests/fiber/test_loop.c - Posts from many threads, timers, hooks, slots, stopping, and that an
 * idle loop sleeps. */
#include "fiber/loop.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "fiber/task.h"
#include "fixture.h"

/* -- posts ------------------------------------------------------------------------------------- */

#define SENDERS 8u
#define POSTS_EACH 100000u

struct numbered {
    struct loop_post post;
    struct sender *sender;
    uint32_t number;
};

struct sender {
    pthread_t thread;
    struct fixture *fixture;
    struct numbered *posts;
    uint32_t next; /* loop's thread: the number that should arrive */
    unsigned *senders_left;
};

static void on_numbered(struct loop_post *post)
{
    struct numbered *n = CONTAINER_OF(post, struct numbered, post);
    struct sender *s = n->sender;
    assert_ptr_equal(loop_self(), s->fixture->loop);
    assert_int_equal(n->number, s->next);
    if (++s->next == POSTS_EACH && --*s->senders_left == 0)
        loop_stop(s->fixture->loop);
}

static void *send_posts(void *arg)
{
    struct sender *s = arg;
    for (uint32_t i = 0; i < POSTS_EACH; i++) {
        s->posts[i] = (struct numbered){ .post.fn = on_numbered, .sender = s, .number = i };
        loop_post(s->fixture->loop, &s->posts[i].post);
    }
    return NULL;
}

static void test_loop_posts_of_many_threads_arrive_in_order(void **state)
{
    struct fixture *f = *state;
    struct sender senders[SENDERS];
    unsigned left = SENDERS;
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ .fixture = f, .senders_left = &left };
        senders[i].posts = calloc(POSTS_EACH, sizeof(struct numbered));
        assert_non_null(senders[i].posts);
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_posts, &senders[i]), 0);
    }
    loop_run(f->loop);
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(senders[i].thread, NULL);
        assert_int_equal(senders[i].next, POSTS_EACH);
        free(senders[i].posts);
    }
    struct loop_stats stats;
    loop_stats_read(f->loop, &stats);
    assert_int_equal(stats.posts, SENDERS * POSTS_EACH);
}

struct counted_post {
    struct loop_post post;
    unsigned *count;
};

static void count_post(struct loop_post *post)
{
    ++*CONTAINER_OF(post, struct counted_post, post)->count;
}

static void test_loop_runs_what_was_posted_before_and_after_its_run(void **state)
{
    struct fixture *f = *state;
    unsigned count = 0;
    struct counted_post before = { { .fn = count_post }, &count };
    struct counted_post after = { { .fn = count_post }, &count };
    loop_post(f->loop, &before.post);
    loop_stop(f->loop);
    loop_run(f->loop); /* stopped before it began: still takes what was posted before */
    assert_int_equal(count, 1);
    loop_post(f->loop, &after.post);
    loop_free(f->loop);
    assert_int_equal(count, 2);
    f->loop = NULL;
}

/* A wake that another thread sends. */
struct remote_wait {
    struct task_remote remote;
    pthread_t thread;
    unsigned value;
};

static void *wake_remotely(void *arg)
{
    struct remote_wait *r = arg;
    r->value = 42;
    task_remote_wake(&r->remote);
    return NULL;
}

static void wait_for_remote(struct task *task, void *arg)
{
    struct remote_wait *r = arg;
    task_remote_init(&r->remote, task);
    assert_int_equal(pthread_create(&r->thread, NULL, wake_remotely, r), 0);
    while (!r->remote.done)
        task_wait_always(task);
    assert_int_equal(r->value, 42);
    pthread_join(r->thread, NULL);
}

static void test_loop_remote_wakes_reach_their_tasks(void **state)
{
    struct fixture *f = *state;
    struct remote_wait waits[50];
    memset(waits, 0, sizeof(waits));
    for (size_t i = 0; i < ARRAY_LEN(waits); i++)
        spawn(f->loop, wait_for_remote, &waits[i]);
    run_to_end(f);
}

/* -- timers ------------------------------------------------------------------------------------ */

#define TIMERS 300u

struct timed {
    struct loop_timer timer;
    struct timing *timing;
    int64_t due_us;
};

struct timing {
    struct fixture *fixture;
    struct timed timers[TIMERS];
    unsigned fired, expected;
    int64_t last_due_us, late_max_us;
    bool early, unordered;
};

static void on_timed(struct loop_timer *timer)
{
    struct timed *t = CONTAINER_OF(timer, struct timed, timer);
    struct timing *g = t->timing;
    int64_t late_us = clock_mono_us() - t->due_us;
    assert_false(loop_timer_is_armed(timer));
    g->early |= late_us < 0;
    g->late_max_us = MAX(g->late_max_us, late_us);
    g->unordered |= timer->due_us < g->last_due_us;
    g->last_due_us = timer->due_us;
    if (++g->fired == g->expected)
        loop_stop(g->fixture->loop);
}

static void test_loop_timers_fire_in_order_and_in_time(void **state)
{
    struct fixture *f = *state;
    struct timing *g = calloc(1, sizeof(*g));
    assert_non_null(g);
    g->fixture = f;
    uint64_t seed = 88172645463325252u;
    for (unsigned i = 0; i < TIMERS; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        int64_t after_us = (int64_t)(seed % 1200000);
        g->timers[i].timing = g;
        g->timers[i].due_us = loop_now_us(f->loop) + after_us;
        loop_timer_start(f->loop, &g->timers[i].timer, after_us, on_timed);
        if (i % 3 == 0)
            loop_timer_stop(f->loop, &g->timers[i].timer);
        else
            g->expected++;
        loop_timer_stop(f->loop, &(struct loop_timer){ 0 }); /* not armed: harmless */
    }
    loop_run(f->loop);
    assert_int_equal(g->fired, g->expected);
    assert_false(g->early);
    assert_false(g->unordered);
    /* A tick, and a millisecond of the kernel timer; the rest is for a busy machine. */
    print_message("latest timer: %lld us\n", (long long)g->late_max_us);
    assert_true(g->late_max_us < CLOCK_SECOND);
    free(g);
}

struct again {
    struct loop_timer timer;
    struct fixture *fixture;
    unsigned times;
};

static void start_again(struct loop_timer *timer)
{
    struct again *a = CONTAINER_OF(timer, struct again, timer);
    if (++a->times == 5)
        loop_stop(a->fixture->loop);
    else
        loop_timer_start(a->fixture->loop, timer, 0, start_again);
}

static void test_loop_timer_starts_itself_again(void **state)
{
    struct fixture *f = *state;
    struct again a = { .fixture = f };
    loop_timer_start(f->loop, &a.timer, CLOCK_HOUR, start_again);
    loop_timer_start(f->loop, &a.timer, CLOCK_MS, start_again); /* moves it */
    int64_t began_us = clock_mono_us();
    loop_run(f->loop);
    assert_int_equal(a.times, 5);
    assert_true(clock_mono_us() - began_us < 2 * CLOCK_SECOND);
}

static void *stop_after_a_while(void *arg)
{
    struct fixture *f = arg;
    nanosleep(&(struct timespec){ .tv_nsec = 150000000 }, NULL);
    loop_stop(f->loop);
    return NULL;
}

static uint64_t iterations_in_a_while(struct fixture *f)
{
    struct loop_stats before, after;
    loop_stats_read(f->loop, &before);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_after_a_while, f), 0);
    loop_run(f->loop);
    pthread_join(thread, NULL);
    loop_stats_read(f->loop, &after);
    return after.iterations - before.iterations;
}

static void ignore(struct loop_timer *timer)
{
    (void)timer;
}

static void test_loop_sleeps_when_nothing_is_near(void **state)
{
    struct fixture *f = *state;
    assert_true(iterations_in_a_while(f) <= 3);
    /* Armed far away: no ticking meanwhile. */
    struct loop_timer timer = { 0 };
    loop_timer_start(f->loop, &timer, CLOCK_HOUR, ignore);
    assert_true(iterations_in_a_while(f) <= 3);
    /* Armed near and stopped: one wake-up too many at most. */
    for (unsigned i = 0; i < 100; i++) {
        loop_timer_start(f->loop, &timer, 50 * CLOCK_MS, ignore);
        loop_timer_stop(f->loop, &timer);
    }
    assert_true(iterations_in_a_while(f) <= 5);
}

/* -- the rest ---------------------------------------------------------------------------------- */

struct hooked {
    struct fixture *fixture;
    unsigned calls;
    bool task_ran;
};

static void set_true(struct task *task, void *arg)
{
    (void)task_yield(task); /* OK: nobody cancels it */
    *(bool *)arg = true;
}

static void on_hook(void *arg)
{
    struct hooked *h = arg;
    if (++h->calls == 1)
        spawn(h->fixture->loop, set_true, &h->task_ran);
    else if (h->task_ran)
        loop_stop(h->fixture->loop);
}

static void test_loop_hook_runs_before_the_poll(void **state)
{
    struct fixture *f = *state;
    struct hooked h = { .fixture = f };
    loop_hook_before_poll(f->loop, on_hook, &h);
    loop_run(f->loop); /* a task that became ready in a hook keeps the poll from waiting */
    assert_true(h.calls >= 2);
    assert_true(h.task_ran);
}

struct later {
    struct fixture *fixture;
    struct loop_post post, first, second, dropped;
    unsigned order[3], len;
};

static void on_later_first(struct loop_post *post)
{
    struct later *l = CONTAINER_OF(post, struct later, first);
    l->order[l->len++] = 1;
    loop_later(l->fixture->loop, &l->second); /* from inside: it still runs in this turn */
}

static void on_later_second(struct loop_post *post)
{
    struct later *l = CONTAINER_OF(post, struct later, second);
    l->order[l->len++] = 2;
}

static void on_later_dropped(struct loop_post *post)
{
    (void)post;
    fail_msg("it was taken back");
}

static void note_task(struct task *task, void *arg)
{
    struct later *l = arg;
    (void)task_yield(task);
    l->order[l->len++] = 3;
    loop_stop(l->fixture->loop);
}

/* A callback of the poll: what it leaves for later runs before the task that it made ready. */
static void leave_for_later(struct loop_post *post)
{
    struct later *l = CONTAINER_OF(post, struct later, post);
    struct loop *loop = l->fixture->loop;
    spawn(loop, note_task, l);
    loop_later(loop, &l->first);
    loop_later(loop, &l->dropped);
    loop_later_stop(loop, &l->dropped);
    loop_later_stop(loop, &l->dropped);
}

static void test_loop_later_runs_between_callbacks_and_tasks(void **state)
{
    struct fixture *f = *state;
    struct later l = { .fixture = f,
                       .post.fn = leave_for_later,
                       .first.fn = on_later_first,
                       .second.fn = on_later_second,
                       .dropped.fn = on_later_dropped };
    loop_post(f->loop, &l.post);
    loop_run(f->loop);
    assert_int_equal(l.len, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(l.order[i], i + 1);
}

static void leave_from_task(struct task *task, void *arg)
{
    (void)task;
    struct later *l = arg;
    loop_later(l->fixture->loop, &l->second);
}

static void test_loop_later_of_a_task_runs_before_the_poll(void **state)
{
    struct fixture *f = *state;
    struct later l = { .fixture = f, .second.fn = on_later_second };
    spawn(f->loop, leave_from_task, &l);
    run_to_end(f);
    assert_int_equal(l.len, 1);
}

static void test_loop_slots_are_per_loop(void **state)
{
    struct fixture *f = *state;
    struct loop *other = NULL;
    assert_status(loop_new(&(struct loop_options){ .index = 3 }, &other), STATUS_OK);
    unsigned a = loop_slot_new(), b = loop_slot_new();
    assert_int_not_equal(a, b);
    assert_null(loop_slot_get(f->loop, a));
    loop_slot_set(f->loop, a, f);
    loop_slot_set(other, a, other);
    assert_ptr_equal(loop_slot_get(f->loop, a), f);
    assert_ptr_equal(loop_slot_get(other, a), other);
    assert_null(loop_slot_get(f->loop, b));
    assert_int_equal(loop_index(other), 3);
    assert_null(loop_self());
    assert_non_null(loop_arena_pool(other));
    loop_free(other);
    loop_free(NULL);
}

static void on_close(uv_handle_t *handle)
{
    *(bool *)handle->data = true;
}

struct closing {
    struct loop_post post;
    uv_timer_t timer;
    bool closed;
    struct fixture *fixture;
};

static void close_and_stop(struct loop_post *post)
{
    struct closing *c = CONTAINER_OF(post, struct closing, post);
    loop_stop(c->fixture->loop);
    uv_close((uv_handle_t *)&c->timer, on_close);
}

static void test_loop_run_lets_closing_handles_finish(void **state)
{
    struct fixture *f = *state;
    struct closing c = { .post.fn = close_and_stop, .fixture = f };
    assert_int_equal(uv_timer_init(loop_uv(f->loop), &c.timer), 0);
    c.timer.data = &c.closed;
    loop_post(f->loop, &c.post);
    loop_run(f->loop);
    assert_true(c.closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_loop_posts_of_many_threads_arrive_in_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_loop_runs_what_was_posted_before_and_after_its_run,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_remote_wakes_reach_their_tasks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_timers_fire_in_order_and_in_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_loop_timer_starts_itself_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_sleeps_when_nothing_is_near, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_hook_runs_before_the_poll, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_later_runs_between_callbacks_and_tasks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_loop_later_of_a_task_runs_before_the_poll, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_loop_slots_are_per_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_run_lets_closing_handles_finish, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
