/*
 * tests/base/check.h - What every test program of base starts with: cmocka, and checks that print
 * both sides.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/slice.h"
#include "base/status.h"

/* `what` names the row of a table. */
static inline void check_text(const char *what, struct slice got, struct slice want)
{
    if (slice_eq(got, want))
        return;
    fail_msg("%s: got \"%.*s\", want \"%.*s\"", what, SLICE_ARG(got), SLICE_ARG(want));
}

static inline void check_int(const char *what, int64_t got, int64_t want)
{
    if (got != want)
        fail_msg("%s: got %lld, want %lld", what, (long long)got, (long long)want);
}

static inline void check_status(const char *what, enum status got, enum status want)
{
    if (got != want)
        fail_msg("%s: got %s, want %s", what, status_name(got), status_name(want));
}
