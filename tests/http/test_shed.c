/*
 * tests/http/test_shed.c - How much is refused: a queue is played through on a clock of its own, at
 * loads below and far above what it gets done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/clock.h"
#include "base/macros.h"
#include "http/shed.h"

static const struct http__shed_options options = { .target_us = 50 * CLOCK_MS,
                                                   .interval_us = 100 * CLOCK_MS };

/* One request takes a millisecond of work; a fifth of them writes. */
struct play {
    struct http__shed shed;
    int64_t now_us;
    double wait_ms, arriving;
    double read_debt, write_debt; /* what is refused is spread evenly: no chance in a test */
    unsigned n;
    unsigned reads, writes, reads_shed, writes_shed, auth_shed, idle_ms, ms;
    double wait_max_ms, step_max;
};

static void arrive(struct play *p)
{
    bool is_write = p->n++ % 5 == 0;
    http__shed_observe(&p->shed, &options, p->now_us, (int64_t)(p->wait_ms * CLOCK_MS));
    double *debt = is_write ? &p->write_debt : &p->read_debt;
    *debt += http__shed_part(&p->shed, is_write ? HTTP_PRIORITY_WRITE : HTTP_PRIORITY_READ);
    bool is_shed = *debt >= 1;
    if (is_shed)
        *debt -= 1;
    else
        p->wait_ms += 1;
    p->reads += !is_write;
    p->writes += is_write;
    p->reads_shed += !is_write && is_shed;
    p->writes_shed += is_write && is_shed;
    p->auth_shed += http__shed_part(&p->shed, HTTP_PRIORITY_AUTH) > 0;
    assert_true(http__shed_part(&p->shed, HTTP_PRIORITY_HEALTH) == 0);
}

/* `load` requests a millisecond for so long; figures are those of this part alone. */
static void play(struct play *p, double load, unsigned seconds)
{
    p->reads = p->writes = p->reads_shed = p->writes_shed = p->auth_shed = 0;
    p->idle_ms = p->ms = 0;
    p->wait_max_ms = p->step_max = 0;
    for (unsigned i = 0; i < seconds * 1000; i++) {
        double before = p->shed.level;
        p->arriving += load;
        while (p->arriving >= 1) {
            arrive(p);
            p->arriving -= 1;
        }
        p->step_max = MAX(p->step_max, MAX(p->shed.level - before, before - p->shed.level));
        p->idle_ms += p->wait_ms < 1;
        p->wait_ms = MAX(p->wait_ms - 1, 0.0);
        p->wait_max_ms = MAX(p->wait_max_ms, p->wait_ms);
        p->now_us += CLOCK_MS;
        p->ms++;
    }
}

static void test_nothing_is_refused_below_capacity(void **state)
{
    (void)state;
    struct play p = { .now_us = CLOCK_SECOND };
    play(&p, 0.9, 30);
    assert_int_equal(p.reads_shed + p.writes_shed, 0);
    assert_true(p.shed.level == 0);
}

/* A long queue that is gone by the next interval. */
static void test_bursts_pass(void **state)
{
    (void)state;
    struct play p = { .now_us = CLOCK_SECOND };
    for (int i = 0; i < 10; i++) {
        p.wait_ms += 140;
        play(&p, 0.2, 1);
        assert_int_equal(p.reads_shed + p.writes_shed, 0);
    }
}

/* What is refused first, and that as much is done as can be. */
static void test_overload(void **state)
{
    static const struct {
        double load;
        double reads_least, reads_most, writes_most; /* parts refused, once it has settled */
    } cases[] = {
        { 1.2, 0.15, 0.30, 0.01 },
        { 2.0, 0.55, 0.70, 0.01 },
        { 4.0, 0.80, 1.00, 0.25 },
        { 8.0, 0.90, 1.00, 0.70 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct play p = { .now_us = CLOCK_SECOND };
        play(&p, cases[i].load, 10); /* settles */
        assert_true(p.wait_max_ms < 500 * cases[i].load);
        play(&p, cases[i].load, 20);
        double reads = (double)p.reads_shed / p.reads, writes = (double)p.writes_shed / p.writes;
        if (reads < cases[i].reads_least || reads > cases[i].reads_most ||
            writes > cases[i].writes_most)
            fail_msg("load %g: reads %g, writes %g", cases[i].load, reads, writes);
        assert_int_equal(p.auth_shed, 0);
        if (p.wait_max_ms > 300 || p.idle_ms > p.ms / 20)
            fail_msg("load %g: waits %g ms, idle %u ms", cases[i].load, p.wait_max_ms, p.idle_ms);
    }
}

/* The load goes: so does the refusing, step by step and to the end. */
static void test_recovery_has_no_cliff(void **state)
{
    (void)state;
    struct play p = { .now_us = CLOCK_SECOND };
    play(&p, 3.0, 10);
    assert_true(p.shed.level > 0.5);
    play(&p, 0.5, 3);
    assert_true(p.step_max <= 0.16);
    assert_true(p.reads_shed > 0); /* not all at once either */
    play(&p, 0.5, 3);
    assert_int_equal(p.reads_shed + p.writes_shed, 0);
    assert_true(p.shed.level == 0);
    /* And load that comes back is met as if it had never been there. */
    play(&p, 0.9, 5);
    assert_int_equal(p.reads_shed + p.writes_shed, 0);
}

static void test_silence_forgives(void **state)
{
    (void)state;
    struct play p = { .now_us = CLOCK_SECOND };
    play(&p, 3.0, 5);
    assert_true(p.shed.level > 0.5);
    p.now_us += 10 * CLOCK_SECOND;
    http__shed_observe(&p.shed, &options, p.now_us, 0);
    assert_true(p.shed.level == 0);
    /* One slow request after a silence is no queue. */
    p.now_us += 10 * CLOCK_SECOND;
    http__shed_observe(&p.shed, &options, p.now_us, CLOCK_SECOND);
    p.now_us += CLOCK_SECOND;
    http__shed_observe(&p.shed, &options, p.now_us, CLOCK_SECOND);
    assert_true(p.shed.level == 0);
}

static void test_priorities(void **state)
{
    static const struct {
        double level, read, write, auth;
    } cases[] = { { 0, 0, 0, 0 },
                  { 0.25, 0.25, 0, 0 },
                  { 1.5, 1, 0.5, 0 },
                  { 2.75, 1, 1, 0.75 },
                  { 3, 1, 1, 1 } };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http__shed shed = { .level = cases[i].level };
        assert_true(http__shed_part(&shed, HTTP_PRIORITY_READ) == cases[i].read);
        assert_true(http__shed_part(&shed, HTTP_PRIORITY_WRITE) == cases[i].write);
        assert_true(http__shed_part(&shed, HTTP_PRIORITY_AUTH) == cases[i].auth);
        assert_true(http__shed_part(&shed, HTTP_PRIORITY_HEALTH) == 0);
    }
}

static void test_places(void **state)
{
    (void)state;
    static const struct {
        enum http_priority priority;
        unsigned places;
    } cases[] = { { HTTP_PRIORITY_READ, 80 },
                  { HTTP_PRIORITY_WRITE, 90 },
                  { HTTP_PRIORITY_AUTH, 100 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(http__has_place(100, cases[i].places - 1, cases[i].priority));
        assert_false(http__has_place(100, cases[i].places, cases[i].priority));
    }
    assert_true(http__has_place(100, 100000, HTTP_PRIORITY_HEALTH));
}

/* Something that does ten things at once in 10 ms each, and slows down beyond: the limit finds
 * about what it can do, whatever is offered, and does not fall while it is not reached. */
static void test_gradient(void **state)
{
    static const unsigned offered[] = { 5, 50, 500 };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(offered); i++) {
        struct http__gradient g;
        int64_t now_us = CLOCK_SECOND;
        http__gradient_init(&g, 400);
        for (int n = 0; n < 200000; n++) {
            unsigned in_flight = MIN(offered[i], (unsigned)http__gradient_limit(&g));
            int64_t took_us = in_flight <= 10 ? 10 * CLOCK_MS : in_flight * CLOCK_MS;
            http__gradient_observe(&g, 400, now_us, took_us, in_flight);
            now_us += took_us / in_flight;
        }
        if (g.limit > 40 || g.limit < (offered[i] == 5 ? 30 : 12))
            fail_msg("offered %u: limit %g", offered[i], g.limit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_refused_below_capacity),
        cmocka_unit_test(test_bursts_pass),
        cmocka_unit_test(test_overload),
        cmocka_unit_test(test_recovery_has_no_cliff),
        cmocka_unit_test(test_silence_forgives),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
