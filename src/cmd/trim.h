/*
 * cmd/trim.h - After a peak, memory goes back to the system: every few seconds each loop gives up
 * half of what it kept and did not need, and the first of them has the heap return free pages.
 */
#pragma once

#include "fiber/loop.h"

struct trim {
    struct loop *loop;
    struct trim *first; /* of all loops: it returns the heap's pages */
    size_t given;       /* the first's; atomic: bytes since it last did */
    struct loop_timer timer;
};

/* Before the loop runs. */
void trim_start(struct trim *trim, struct trim *first, struct loop *loop);
/* The loop's own thread. */
void trim_stop(struct trim *trim);
