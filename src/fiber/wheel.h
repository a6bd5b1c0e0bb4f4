/*
 * fiber/wheel.h - Private: the timer wheel of one loop. It knows time only as it is told; the loop
 * reads the clock and decides when to call. Own thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fiber/loop.h"

#define WHEEL_TICK_US ((int64_t)10000)
#define WHEEL_SLOT_BITS 6
#define WHEEL_SLOTS (1 << WHEEL_SLOT_BITS)
#define WHEEL_LEVELS                                                                               \
    5 /* 64^5 ticks: 124 days; later timers wait in the last slot and are put in again */

struct wheel {
    int64_t tick; /* all ticks up to this one have been run */
    uint64_t occupied[WHEEL_LEVELS];
    struct loop_timer slots[WHEEL_LEVELS]
                           [WHEEL_SLOTS]; /* heads of circular lists; only the links are used */
};

void wheel_init(struct wheel *wheel, int64_t now_us);

/*
 * Put in a timer that is not armed; `timer->due_us` and `fn` are set. A time gone by fires at the
 * next tick. Returns by when wheel_run must be called for its sake (see wheel_next_us).
 */
int64_t wheel_add(struct wheel *wheel, struct loop_timer *timer);
void wheel_remove(struct wheel *wheel, struct loop_timer *timer);

/* Bring a wheel that was not run for a while to the present, unless something is due. Distances are
 * measured from there: a stale wheel works, but puts timers into coarser slots than it need. */
void wheel_catch_up(struct wheel *wheel, int64_t now_us);

/* When wheel_run has something to do next, in monotonic microseconds; INT64_MAX when nothing is
 * armed. May be earlier than any due time: timers move closer in steps. */
int64_t wheel_next_us(const struct wheel *wheel);

/*
 * Fire all timers due at `now_us`, in order of their due times, disarmed before their fn runs
 * (which may arm and stop any timer). Returns how many fired; *ret_late_us is how late the last one
 * was.
 */
unsigned wheel_run(struct wheel *wheel, int64_t now_us, int64_t *ret_late_us);
