#include "cmd/trim.h"

#include <malloc.h>

#include "base/clock.h"
#include "base/macros.h"

#define TRIM_EVERY_US (5 * CLOCK_SECOND)

static void on_time(struct loop_timer *timer)
{
    struct trim *trim = CONTAINER_OF(timer, struct trim, timer);
    size_t given = loop_trim(trim->loop);
    if (given > 0)
        __atomic_add_fetch(&trim->first->given, given, __ATOMIC_RELAXED);
    /* It holds the heap's locks for a moment, some milliseconds for tens of megabytes: only when a
     * peak is over, and there is something to return. */
    if (trim == trim->first && __atomic_exchange_n(&trim->given, 0, __ATOMIC_RELAXED) > 0)
        (void)malloc_trim(0);
    loop_timer_start(trim->loop, &trim->timer, TRIM_EVERY_US, on_time);
}

void trim_start(struct trim *trim, struct trim *first, struct loop *loop)
{
    trim->loop = loop;
    trim->first = first;
    loop_timer_start(loop, &trim->timer, TRIM_EVERY_US, on_time);
}

void trim_stop(struct trim *trim)
{
    loop_timer_stop(trim->loop, &trim->timer);
}
