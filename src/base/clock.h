/*
 * base/clock.h - Time: int64 microseconds, always. Wall time is since 1970 UTC; monotonic time is
 * since some start and never jumps. Tests may freeze both (clock_fake_set).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define CLOCK_MS ((int64_t)1000)
#define CLOCK_SECOND ((int64_t)1000000)
#define CLOCK_MINUTE (60 * CLOCK_SECOND)
#define CLOCK_HOUR (60 * CLOCK_MINUTE)
#define CLOCK_DAY (24 * CLOCK_HOUR)

int64_t clock_wall_us(void);
int64_t clock_mono_us(void);

/* For tests: from now on both clocks answer these values (0, 0 returns to the real ones).
 * Process-wide. */
void clock_fake_set(int64_t wall_us, int64_t mono_us);

/* RFC 3339 UTC with milliseconds, "2026-01-02T03:04:05.678Z": 24 bytes, no NUL. Years 0000..9999.
 */
#define CLOCK_RFC3339_LEN 24
void clock_format_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_LEN]);

/* Parse RFC 3339 (any offset, 0-9 fraction digits kept to the microsecond, 'T' or 't', leap second
 * 60 taken as 59.999999). False when malformed, not a date of the calendar, or beyond the years
 * 0000..9999 in UTC. */
bool clock_parse_rfc3339(struct slice s, int64_t *ret_us);

/* "2026-01-02" <-> days since 1970-01-01 (may be negative). Exactly 10 bytes, years 0000..9999. */
#define CLOCK_DATE_LEN 10
void clock_format_date(int32_t days, char out[CLOCK_DATE_LEN]);
bool clock_parse_date(struct slice s, int32_t *ret_days);

/* RFC 9110 IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT": 29 bytes, no NUL; and back. */
#define CLOCK_HTTP_DATE_LEN 29
void clock_format_http(int64_t wall_us, char out[CLOCK_HTTP_DATE_LEN]);
bool clock_parse_http(struct slice s, int64_t *ret_us);

/* "250ms", "30s", "5m" or "5min", "2h", "7d", or a bare number of seconds. False when malformed,
 * negative or past 10 years. */
bool clock_parse_duration(struct slice s, int64_t *ret_us);
