/*
 * base/digits.h - Private to base: two digits at a time, the quickest way to write small numbers.
 */
#pragma once

#include <string.h>

/* "00" to "99", one after the other. */
extern const char digits__pairs[200];

static inline void digits__put2(char *p, unsigned v)
{
    memcpy(p, digits__pairs + (size_t)v * 2, 2);
}
