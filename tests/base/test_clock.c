#include "check.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/id.h"

static void test_real_clocks(void **state)
{
    (void)state;
    int64_t mono = clock_mono_us();
    assert_true(clock_mono_us() >= mono);
    assert_true(llabs(clock_wall_us() - (int64_t)time(NULL) * CLOCK_SECOND) < 5 * CLOCK_SECOND);
}

static void test_fake_clocks(void **state)
{
    (void)state;
    clock_fake_set(12345, 67);
    assert_int_equal(clock_wall_us(), 12345);
    assert_int_equal(clock_mono_us(), 67);
    clock_fake_set(0, 0);
    assert_true(clock_wall_us() > 1000000000 * CLOCK_SECOND);
    assert_true(clock_mono_us() != 67);
}

static void test_format_rfc3339(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *want;
    } cases[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { -1, "1969-12-31T23:59:59.999Z" },
        { 1767323045678901, "2026-01-02T03:04:05.678Z" },
        { 951782400000000, "2000-02-29T00:00:00.000Z" },
        { INT64_MIN, "0000-01-01T00:00:00.000Z" },
        { INT64_MAX, "9999-12-31T23:59:59.999Z" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[CLOCK_RFC3339_LEN];
        clock_format_rfc3339(cases[i].us, text);
        check_text(cases[i].want, slice_of(text, sizeof(text)), slice_cstr(cases[i].want));
    }
}

static void test_parse_rfc3339(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *want; /* NULL: refused; else to the millisecond */
        int64_t us;       /* what of the millisecond is left */
    } cases[] = {
        { "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z", 0 },
        { "2026-01-02t03:04:05z", "2026-01-02T03:04:05.000Z", 0 },
        { "2026-01-02T03:04:05.6Z", "2026-01-02T03:04:05.600Z", 0 },
        { "2026-01-02T03:04:05.678901Z", "2026-01-02T03:04:05.678Z", 901 },
        { "2026-01-02T03:04:05.678901234Z", "2026-01-02T03:04:05.678Z", 901 },
        { "2026-01-02T03:04:05+02:30", "2026-01-02T00:34:05.000Z", 0 },
        { "2026-01-02T03:04:05-23:59", "2026-01-03T03:03:05.000Z", 0 },
        { "2026-01-02T03:04:05-00:00", "2026-01-02T03:04:05.000Z", 0 },
        { "2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z", 0 },
        { "0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z", 0 },
        { "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999Z", 999 },
        { "9999-12-31T23:59:59-00:01", NULL, 0 },
        { "0000-01-01T00:00:00+00:01", NULL, 0 },
        { "1998-12-31T23:59:60Z", "1998-12-31T23:59:59.999Z", 999 },
        { "1998-12-31T15:59:60.123-08:00", "1998-12-31T23:59:59.999Z", 999 },
        { "1990-12-31T18:44:60-05:15", "1990-12-31T23:59:59.999Z", 999 },
        { "1998-12-31T22:59:60Z", NULL, 0 },
        { "1998-12-31T23:58:60Z", NULL, 0 },
        { "1998-12-31T23:59:61Z", NULL, 0 },
        { "1998-12-31T23:59:60+01:00", NULL, 0 },
        { "2026-02-29T00:00:00Z", NULL, 0 },
        { "1900-02-29T00:00:00Z", NULL, 0 },
        { "2026-04-31T00:00:00Z", NULL, 0 },
        { "2026-00-01T00:00:00Z", NULL, 0 },
        { "2026-13-01T00:00:00Z", NULL, 0 },
        { "2026-01-00T00:00:00Z", NULL, 0 },
        { "2026-01-02T24:00:00Z", NULL, 0 },
        { "2026-01-02T03:60:00Z", NULL, 0 },
        { "2026-01-02 03:04:05Z", NULL, 0 },
        { "2026-01-02T03:04:05", NULL, 0 },
        { "2026-01-02T03:04:05.Z", NULL, 0 },
        { "2026-01-02T03:04:05.1234567890Z", NULL, 0 },
        { "2026-01-02T03:04:05.123", NULL, 0 },
        { "2026-01-02T03:04:05+24:00", NULL, 0 },
        { "2026-01-02T03:04:05+01:60", NULL, 0 },
        { "2026-01-02T03:04:05+0100", NULL, 0 },
        { "2026-01-02T03:04:05+01", NULL, 0 },
        { "2026-01-02T03:04:05*01:00", NULL, 0 },
        { "2026-01-02T03:04:05Zx", NULL, 0 },
        { "2026-1-02T03:04:05ZZ", NULL, 0 },
        { "+026-01-02T03:04:05Z", NULL, 0 },
        { "2026-01-0xT03:04:05Z", NULL, 0 },
        { "2026-01-02T0x:04:05Z", NULL, 0 },
        { "2026-01-02T03-04:05Z", NULL, 0 },
        { "2026-01-02", NULL, 0 },
        { "", NULL, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t us = 77;
        bool ok = clock_parse_rfc3339(slice_cstr(cases[i].in), &us);
        check_int(cases[i].in, ok, cases[i].want != NULL);
        if (!ok) {
            assert_int_equal(us, 77);
            continue;
        }
        char text[CLOCK_RFC3339_LEN];
        clock_format_rfc3339(us, text);
        check_text(cases[i].in, slice_of(text, sizeof(text)), slice_cstr(cases[i].want));
        check_int(cases[i].in, ((us % 1000) + 1000) % 1000, cases[i].us);
    }
}

/* Each day of ten thousand years, against counting. */
static void test_every_day(void **state)
{
    (void)state;
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int32_t days = -719528;
    for (int year = 0; year < 10000; year++) {
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (int month = 1; month <= 12; month++) {
            int length = lengths[month - 1] + (leap && month == 2);
            for (int day = 1; day <= length; day++, days++) {
                const char want[CLOCK_DATE_LEN] = {
                    (char)('0' + year / 1000),
                    (char)('0' + year / 100 % 10),
                    (char)('0' + year / 10 % 10),
                    (char)('0' + year % 10),
                    '-',
                    (char)('0' + month / 10),
                    (char)('0' + month % 10),
                    '-',
                    (char)('0' + day / 10),
                    (char)('0' + day % 10),
                };
                char text[CLOCK_DATE_LEN];
                clock_format_date(days, text);
                if (memcmp(text, want, sizeof(want)) != 0)
                    fail_msg("day %d: got %.10s, want %.10s", days, text, want);
                int32_t back;
                assert_true(clock_parse_date(slice_of(text, sizeof(text)), &back));
                assert_int_equal(back, days);
            }
        }
    }
    char text[CLOCK_DATE_LEN];
    clock_format_date(INT32_MIN, text);
    check_text("first", slice_of(text, 10), SLICE("0000-01-01"));
    clock_format_date(INT32_MAX, text);
    check_text("last", slice_of(text, 10), SLICE("9999-12-31"));
    int32_t unused;
    static const char *const bad[] = { "",           "2026-1-01",  "2026-01-011", "2026/01/01",
                                       "2026-02-30", "20x6-01-01", "2026-01/01" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_int(bad[i], clock_parse_date(slice_cstr(bad[i]), &unused), false);
}

static void test_http_dates(void **state)
{
    (void)state;
    clock_fake_set(1767323045678901, 1); /* 2026: two-digit years are seen from here */
    static const struct {
        const char *in;
        const char *want; /* NULL: refused */
    } cases[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT" },
        { "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT" },
        { "Wed, 31 Dec 1969 23:59:59 GMT", "Wed, 31 Dec 1969 23:59:59 GMT" },
        { "Sat, 01 Jan 0000 00:00:00 GMT", "Sat, 01 Jan 0000 00:00:00 GMT" },
        { "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT" },
        { "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT" },
        { "Friday, 06-Nov-76 08:49:37 GMT", "Fri, 06 Nov 2076 08:49:37 GMT" },
        { "Saturday, 06-Nov-77 08:49:37 GMT", "Sun, 06 Nov 1977 08:49:37 GMT" },
        { "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 GMT" },
        { "Wed Nov 16 08:49:37 1994", "Wed, 16 Nov 1994 08:49:37 GMT" },
        { "", NULL },
        { "Sun, 06 Nov 1994 08:49:37 UTC", NULL },
        { "Sun, 06 Nov 1994 08:49:37", NULL },
        { "Sun, 31 Feb 1994 08:49:37 GMT", NULL },
        { "Sun, 06 Nov 1994 24:49:37 GMT", NULL },
        { "Sun, 06 nov 1994 08:49:37 GMT", NULL },
        { "Xxx, 06 Nov 1994 08:49:37 GMT", NULL },
        { "Sun, 06 Nov x994 08:49:37 GMT", NULL },
        { "Sun, 6 Nov 1994 08:49:37 GMT", NULL },
        { "Sunday, 06-Nov-9x 08:49:37 GMT", NULL },
        { "Sunday, 06-Nov-1994 08:49:37 GMT", NULL },
        { "Sunday 06-Nov-94 08:49:37 GMT ..", NULL },
        { "Sun Nov  6 08:49:37 19x4", NULL },
        { "Sun Nov  6 08:49:37 1994 ", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t us;
        bool ok = clock_parse_http(slice_cstr(cases[i].in), &us);
        check_int(cases[i].in, ok, cases[i].want != NULL);
        if (!ok)
            continue;
        char text[CLOCK_HTTP_DATE_LEN];
        clock_format_http(us, text);
        check_text(cases[i].in, slice_of(text, sizeof(text)), slice_cstr(cases[i].want));
    }
    clock_fake_set(0, 0);
}

static void test_formats_agree_with_the_library(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        int64_t us = (int64_t)(random_fast() % (uint64_t)(253402300800 * CLOCK_SECOND));
        time_t seconds = (time_t)(us / CLOCK_SECOND);
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        char want[64], text[CLOCK_HTTP_DATE_LEN];
        size_t n = strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        clock_format_http(us, text);
        check_text("http", slice_of(text, CLOCK_HTTP_DATE_LEN), slice_of(want, n));
        n = strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", &tm);
        clock_format_rfc3339(us, text);
        check_text("rfc3339", slice_of(text, 19), slice_of(want, n));
        int64_t back;
        assert_true(clock_parse_rfc3339(slice_of(text, CLOCK_RFC3339_LEN), &back));
        assert_int_equal(back, us - us % CLOCK_MS);
    }
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int64_t want; /* -1: refused */
    } cases[] = {
        { "250ms", 250 * CLOCK_MS },
        { "30s", 30 * CLOCK_SECOND },
        { "30", 30 * CLOCK_SECOND },
        { "0", 0 },
        { "5m", 5 * CLOCK_MINUTE },
        { "5min", 5 * CLOCK_MINUTE },
        { "2h", 2 * CLOCK_HOUR },
        { "7d", 7 * CLOCK_DAY },
        { "3650d", 3650 * CLOCK_DAY },
        { "", -1 },
        { "s", -1 },
        { "-1s", -1 },
        { "1.5s", -1 },
        { "1 s", -1 },
        { "1S", -1 },
        { "1w", -1 },
        { "3654d", -1 },
        { "99999999999999999999s", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t us = -1;
        bool ok = clock_parse_duration(slice_cstr(cases[i].in), &us);
        check_int(cases[i].in, ok, cases[i].want >= 0);
        check_int(cases[i].in, us, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_clocks),
        cmocka_unit_test(test_fake_clocks),
        cmocka_unit_test(test_format_rfc3339),
        cmocka_unit_test(test_parse_rfc3339),
        cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_http_dates),
        cmocka_unit_test(test_formats_agree_with_the_library),
        cmocka_unit_test(test_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
