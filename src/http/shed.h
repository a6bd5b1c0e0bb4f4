/*
 * http/shed.h - How much of the work is to be refused: by how long requests wait for their turn,
 * and by how many may be under way at once. Arithmetic alone: no clock, no loop. Private to the
 * room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "http/http.h"

/* -- by waiting time
 *
 * A queue that is long for a moment is a burst, and passes. One whose shortest wait stays above the
 * target for a whole interval, and the next, does not: work comes faster than it is done (CoDel:
 * Nichols, Jacobson 2012). From then on a part of it is refused, and the part is moved, interval by
 * interval, by how far the wait is from the target and by where it is heading (PIE: RFC 8033),
 * until as much is let in as is done. It moves a little at a time, up and down: there is no moment
 * at which all is refused, nor one at which all comes back at once. */

struct http__shed_options {
    int64_t target_us, interval_us;
};

struct http__shed {
    double level; /* 0: nothing is refused; 1: all reads; 2: all writes too; 3: credentials too */
    int64_t begun_us; /* of this interval; 0: none yet */
    int64_t least_us; /* the shortest wait in it; -1: nobody came */
    int64_t last_us;  /* that of the interval before */
    bool was_long;    /* so was the one before */
};

/* Somebody's turn has come, after `waited_us`. */
void http__shed_observe(struct http__shed *shed, const struct http__shed_options *options,
                        int64_t now_us, int64_t waited_us);
/* The part (0 to 1) of the requests of this priority that is to be refused. */
double http__shed_part(const struct http__shed *shed, enum http_priority priority);

/* -- by number
 *
 * The shortest answers tell how long the work itself takes; where the present ones take much
 * longer, they wait for each other, and fewer should be under way (after TCP Vegas, and Netflix's
 * concurrency limits). What the shortest are can only be seen when few are under way: while the
 * limit is what holds work back it is quartered every ten seconds, for a fifth of one, to look. */

struct http__gradient {
    double limit;    /* under way at once */
    double least_us; /* how long the work itself takes; 0: not measured yet */
    int64_t begun_us, sum_us;
    unsigned samples, peak; /* of this window: answers, and most under way */
    unsigned windows;       /* since it last looked */
    bool is_looking;
};

void http__gradient_init(struct http__gradient *g, unsigned limit_max);
/* An answer took `took_us` while `in_flight` were under way. */
void http__gradient_observe(struct http__gradient *g, unsigned limit_max, int64_t now_us,
                            int64_t took_us, unsigned in_flight);
static inline double http__gradient_limit(const struct http__gradient *g)
{
    return g->is_looking ? g->limit / 4 : g->limit;
}

/* May one more of this priority be under way? The last tenths are for who goes first. */
bool http__has_place(double limit, unsigned in_flight, enum http_priority priority);
