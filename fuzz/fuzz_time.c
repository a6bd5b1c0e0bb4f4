/*
 * fuzz/fuzz_time.c - The short texts of base: times, dates, durations, numbers, ids. What parses is
 * written in the one right form, and that parses as the same.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_rfc3339(struct slice s)
{
    int64_t us, again;
    if (!clock_parse_rfc3339(s, &us))
        return;
    char text[CLOCK_RFC3339_LEN];
    clock_format_rfc3339(us, text);
    require(clock_parse_rfc3339(slice_of(text, sizeof(text)), &again));
    /* An offset can lead out of the years that can be written. */
    bool writable = us >= -62167219200 * CLOCK_SECOND && us < 253402300800 * CLOCK_SECOND;
    require(!writable || (us >= again && us - again < CLOCK_MS));
}

static void check_date(struct slice s)
{
    int32_t days;
    if (!clock_parse_date(s, &days))
        return;
    char text[CLOCK_DATE_LEN];
    clock_format_date(days, text);
    require(slice_eq(slice_of(text, sizeof(text)), s));
}

static void check_http(struct slice s)
{
    int64_t us, again;
    if (!clock_parse_http(s, &us))
        return;
    char text[CLOCK_HTTP_DATE_LEN];
    clock_format_http(us, text);
    require(clock_parse_http(slice_of(text, sizeof(text)), &again));
    /* A second 60 on the last day of the year 9999 is past what can be written. */
    require(again == us || us >= 253402300800 * CLOCK_SECOND);
}

static void check_numbers(struct slice s)
{
    int64_t i, i_again;
    double d, d_again;
    struct buf b;
    buf_init(&b, NULL, 0, 100);
    if (slice_to_i64(s, &i)) {
        buf_put_i64(&b, i);
        require(slice_to_i64(buf_slice(&b), &i_again) && i == i_again);
    }
    buf_clear(&b);
    if (slice_to_double(s, &d)) {
        require(isfinite(d));
        buf_put_double(&b, d);
        require(slice_to_double(buf_slice(&b), &d_again) && d == d_again);
    }
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice s = slice_of((const char *)data, size);
    check_rfc3339(s);
    check_date(s);
    check_http(s);
    check_numbers(s);

    int64_t us;
    if (clock_parse_duration(s, &us))
        require(us >= 0 && us <= 3653 * CLOCK_DAY);

    struct uuid id;
    if (uuid_parse(s, &id)) {
        char text[UUID_TEXT_LEN];
        uuid_format(&id, text);
        require(slice_eq_nocase(slice_of(text, sizeof(text)), s));
    }
    return 0;
}
