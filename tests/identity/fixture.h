/*
 * tests/identity/fixture.h - What the tests of the room share.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/slice.h"
#include "base/status.h"

#define assert_status(got, want) assert_string_equal(status_name(got), status_name(want))

#define assert_slice(got, want)                                                                    \
    do {                                                                                           \
        struct slice got_ = (got), want_ = (want);                                                 \
        assert_int_equal(got_.len, want_.len);                                                     \
        if (want_.len > 0)                                                                         \
            assert_memory_equal(got_.data, want_.data, want_.len);                                 \
    } while (0)
