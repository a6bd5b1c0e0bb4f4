/* tests/fiber/test_wheel.c - The timer wheel under a clock that the test moves: against a plain
 * model, and at the seams. */
#include "fiber/wheel.h"

#include "fixture.h"

struct entry {
    struct loop_timer timer;
    struct model *model;
    bool armed;
};

struct model {
    struct wheel wheel;
    struct entry entries[400];
    int64_t now_us;
    unsigned fired;
};

static void on_entry(struct loop_timer *timer)
{
    struct entry *e = CONTAINER_OF(timer, struct entry, timer);
    struct model *m = e->model;
    assert_true(e->armed);
    assert_true(timer->due_us <= m->now_us);
    e->armed = false;
    m->fired++;
}

static struct model *model_new(int64_t now_us)
{
    struct model *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    m->now_us = now_us;
    wheel_init(&m->wheel, now_us);
    for (size_t i = 0; i < ARRAY_LEN(m->entries); i++)
        m->entries[i].model = m;
    return m;
}

static void arm(struct model *m, unsigned i, int64_t after_us)
{
    struct entry *e = &m->entries[i];
    e->timer.due_us = m->now_us + after_us;
    e->timer.fn = on_entry;
    e->armed = true;
    wheel_catch_up(&m->wheel, m->now_us);
    int64_t by_us = wheel_add(&m->wheel, &e->timer);
    assert_true(by_us >= wheel_next_us(&m->wheel));
    assert_true(by_us < e->timer.due_us + 2 * WHEEL_TICK_US);
}

static void disarm(struct model *m, unsigned i)
{
    m->entries[i].armed = false;
    wheel_remove(&m->wheel, &m->entries[i].timer);
}

static void move_to(struct model *m, int64_t now_us)
{
    int64_t late_us = 0;
    m->now_us = now_us;
    (void)wheel_run(&m->wheel, now_us, &late_us); /* fired is counted by the entries */
    int64_t next_us = wheel_next_us(&m->wheel);
    assert_true(next_us > now_us);
    for (size_t i = 0; i < ARRAY_LEN(m->entries); i++) {
        struct entry *e = &m->entries[i];
        assert_int_equal(e->armed, loop_timer_is_armed(&e->timer));
        if (e->armed) { /* not overdue by more than a tick, and the wheel will wake for it in time
                         */
            assert_true(e->timer.due_us > now_us - WHEEL_TICK_US);
            assert_true(next_us < e->timer.due_us + WHEEL_TICK_US);
        }
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    return *seed;
}

static void test_wheel_agrees_with_a_model(void **state)
{
    (void)state;
    static const int64_t ranges_us[] = {
        1,          CLOCK_MS,  WHEEL_TICK_US,  CLOCK_SECOND, CLOCK_MINUTE,
        CLOCK_HOUR, CLOCK_DAY, 400 * CLOCK_DAY
    };
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed * 0x9e3779b97f4a7c15u;
        struct model *m = model_new((int64_t)(next_random(&random) % 1000000000));
        for (unsigned step = 0; step < 2000; step++) {
            unsigned i = (unsigned)(next_random(&random) % ARRAY_LEN(m->entries));
            int64_t range_us = ranges_us[next_random(&random) % ARRAY_LEN(ranges_us)];
            if (!m->entries[i].armed)
                arm(m, i, (int64_t)(next_random(&random) % (uint64_t)range_us));
            else if (next_random(&random) % 4 == 0)
                disarm(m, i);
            if (step % 8 == 0) {
                range_us = ranges_us[next_random(&random) % ARRAY_LEN(ranges_us)];
                move_to(m, m->now_us + (int64_t)(next_random(&random) % (uint64_t)range_us));
            }
        }
        move_to(m, m->now_us + 500 * CLOCK_DAY);
        for (size_t i = 0; i < ARRAY_LEN(m->entries); i++)
            assert_false(m->entries[i].armed);
        assert_int_equal(wheel_next_us(&m->wheel), INT64_MAX);
        free(m);
    }
}

/* Each distance at which the level changes, and its neighbours. */
static void test_wheel_fires_at_the_seams(void **state)
{
    (void)state;
    for (int level = 0; level <= WHEEL_LEVELS; level++) {
        for (int64_t offset = -2; offset <= 2; offset++) {
            int64_t ticks = ((int64_t)1 << (WHEEL_SLOT_BITS * level)) + offset;
            if (ticks < 1)
                continue;
            for (int64_t start = 0; start < 130; start += 3) {
                struct model *m = model_new(start * WHEEL_TICK_US);
                arm(m, 0, ticks * WHEEL_TICK_US);
                move_to(m, m->now_us + ticks * WHEEL_TICK_US - 1);
                assert_true(m->entries[0].armed);
                move_to(m, m->now_us + 1);
                assert_false(m->entries[0].armed);
                free(m);
            }
        }
    }
}

struct ordered {
    struct loop_timer timer;
    int64_t *last_us;
};

static void check_order(struct loop_timer *timer)
{
    struct ordered *o = CONTAINER_OF(timer, struct ordered, timer);
    assert_true(timer->due_us >= *o->last_us);
    *o->last_us = timer->due_us;
}

static void test_wheel_fires_in_order_even_within_a_tick(void **state)
{
    (void)state;
    struct wheel *wheel = calloc(1, sizeof(*wheel));
    struct ordered *o = calloc(1000, sizeof(*o));
    assert_true(wheel && o);
    wheel_init(wheel, 0);
    uint64_t random = 7;
    int64_t last_us = 0, late_us = 0;
    for (unsigned i = 0; i < 1000; i++) {
        o[i].last_us = &last_us;
        o[i].timer.due_us = (int64_t)(next_random(&random) % 100000);
        o[i].timer.fn = check_order;
        (void)wheel_add(wheel, &o[i].timer);
    }
    assert_int_equal(wheel_run(wheel, 100000, &late_us), 1000);
    assert_int_equal(late_us, 100000 - last_us);
    free(o);
    free(wheel);
}

struct stopper {
    struct loop_timer timer;
    struct wheel *wheel;
    struct stopper *other;
    unsigned fired;
};

static void stop_other(struct loop_timer *timer)
{
    struct stopper *s = CONTAINER_OF(timer, struct stopper, timer);
    s->fired++;
    if (loop_timer_is_armed(&s->other->timer))
        wheel_remove(s->wheel, &s->other->timer);
}

static void test_wheel_timer_may_stop_one_of_the_same_tick(void **state)
{
    (void)state;
    struct wheel *wheel = calloc(1, sizeof(*wheel));
    assert_non_null(wheel);
    wheel_init(wheel, 0);
    struct stopper a = { .wheel = wheel }, b = { .wheel = wheel, .other = &a };
    a.other = &b;
    a.timer = (struct loop_timer){ .due_us = 500, .fn = stop_other };
    b.timer = (struct loop_timer){ .due_us = 400, .fn = stop_other };
    (void)wheel_add(wheel, &a.timer);
    (void)wheel_add(wheel, &b.timer);
    int64_t late_us = 0;
    assert_int_equal(wheel_run(wheel, CLOCK_SECOND, &late_us), 1);
    assert_int_equal(b.fired, 1);
    assert_int_equal(a.fired, 0);
    assert_int_equal(wheel_next_us(wheel), INT64_MAX);
    free(wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wheel_agrees_with_a_model),
        cmocka_unit_test(test_wheel_fires_at_the_seams),
        cmocka_unit_test(test_wheel_fires_in_order_even_within_a_tick),
        cmocka_unit_test(test_wheel_timer_may_stop_one_of_the_same_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
