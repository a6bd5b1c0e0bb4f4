/* tests/http/test_rate_rule.c - Rules of rate limits as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "http/http.h"

static void test_rules(void **state)
{
    static const struct {
        const char *text, *name;
        uint32_t count;
        int64_t period_us;
        unsigned by;
        uint32_t burst, cost;
        bool report;
    } cases[] = {
        { "300/10s/ip", "", 300, 10 * CLOCK_SECOND, HTTP_RATE_BY_IP, 0, 0, false },
        { "30/minute/user", "", 30, CLOCK_MINUTE, HTTP_RATE_BY_USER, 0, 0, false },
        { "1000/hour/key", "", 1000, CLOCK_HOUR, HTTP_RATE_BY_KEY, 0, 0, false },
        { "1/day/tenant", "", 1, CLOCK_DAY, HTTP_RATE_BY_TENANT, 0, 0, false },
        { "5/second", "", 5, CLOCK_SECOND, HTTP_RATE_BY_IP, 0, 0, false },
        { "5/second/all", "", 5, CLOCK_SECOND, 0, 0, 0, false },
        { "5/5min/ip+route", "", 5, 5 * CLOCK_MINUTE, HTTP_RATE_BY_IP | HTTP_RATE_BY_ROUTE, 0, 0,
          false },
        { "log-in.2=5/500ms/user+key;burst=2;cost=3;report", "log-in.2", 5, 500 * CLOCK_MS,
          HTTP_RATE_BY_USER | HTTP_RATE_BY_KEY, 2, 3, true },
        { "  a = 7 / 60 / ip ; burst=70 ", "a", 7, CLOCK_MINUTE, HTTP_RATE_BY_IP, 70, 0, false },
        { "1000000000/1s/ip", "", 1000000000, CLOCK_SECOND, HTTP_RATE_BY_IP, 0, 0, false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_rate_rule rule;
        const char *reason = "";
        if (http_rate_parse(slice_cstr(cases[i].text), &rule, &reason) != STATUS_OK)
            fail_msg("%s: %s", cases[i].text, reason);
        assert_true(slice_eq(rule.name, slice_cstr(cases[i].name)));
        assert_int_equal(rule.count, cases[i].count);
        assert_int_equal(rule.period_us, cases[i].period_us);
        assert_int_equal(rule.by, cases[i].by);
        assert_int_equal(rule.burst, cases[i].burst);
        assert_int_equal(rule.cost, cases[i].cost);
        assert_int_equal(rule.report, cases[i].report);
    }
}

static void test_refused_rules(void **state)
{
    static const struct {
        const char *text, *reason; /* a part of it */
    } cases[] = {
        { "", "COUNT/PERIOD/BY" },
        { "300", "COUNT/PERIOD/BY" },
        { "300/10s/ip/user", "COUNT/PERIOD/BY" },
        { "0/10s/ip", "whole number" },
        { "-1/10s/ip", "whole number" },
        { "1000000001/10s/ip", "whole number" },
        { "many/10s/ip", "whole number" },
        { "3/0s/ip", "period" },
        { "3/25h/ip", "period" },
        { "3/fortnight/ip", "period" },
        { "3//ip", "period" },
        { "3/10s/", "counts by" },
        { "3/10s/session", "counts by" },
        { "3/10s/ip+", "counts by" },
        { "3/10s/ip;burst=0", "burst" },
        { "3/10s/ip;burst=31", "ten times" },
        { "3/10s/ip;cost=0", "cost" },
        { "3/10s/ip;soft", "options" },
        { "3/10s/ip;", "options" },
        { "=3/10s/ip", "name" },
        { "A=3/10s/ip", "name" },
        { "a\"b=3/10s/ip", "name" },
        { "a-name-that-is-far-too-long-to-be-one=3/10s/ip", "name" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_rate_rule rule = { .count = 77 };
        const char *reason = "";
        if (http_rate_parse(slice_cstr(cases[i].text), &rule, &reason) != STATUS_INVALID ||
            !strstr(reason, cases[i].reason))
            fail_msg("\"%s\": %s", cases[i].text, reason);
        assert_int_equal(rule.count, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_refused_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
