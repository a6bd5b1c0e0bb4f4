/* tests/http/test_range.c - Range headers: what they ask for, joined and bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "http/http.h"

static void test_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int64_t size;
        const char *want; /* "first+length ..."; "none", "refused" */
    } cases[] = {
        { "bytes=0-0", 1000, "0+1" },
        { "bytes=0-99", 1000, "0+100" },
        { "bytes=990-", 1000, "990+10" },
        { "bytes=990-2000", 1000, "990+10" },
        { "bytes=-10", 1000, "990+10" },
        { "bytes=-2000", 1000, "0+1000" },
        { "bytes=0-", 1000, "0+1000" },
        { "bytes=999-", 1000, "999+1" },
        { "Bytes=1-2", 1000, "1+2" },
        { "bytes = 1-2", 1000, "1+2" },
        { "bytes=1000-", 1000, "refused" },
        { "bytes=5000-6000", 1000, "refused" },
        { "bytes=-0", 1000, "refused" },
        { "bytes=0-", 0, "refused" },
        { "bytes=-1", 0, "refused" },
        { "bytes=99999999999999999999999-", 1000, "refused" },
        { "bytes=0-99999999999999999999999", 1000, "0+1000" },
        { "bytes=-99999999999999999999999", 1000, "0+1000" },
        { "bytes=0-0, 500-599", 1000, "0+1 500+100" },
        { "bytes=500-599,0-0", 1000, "500+100 0+1" },
        { "bytes=0-0, -1", 1000, "0+1 999+1" },
        { "bytes=0-9,2000-", 1000, "0+10" },
        { "bytes=,0-9,,", 1000, "0+10" },
        { "bytes=0-99,50-149", 1000, "0+150" },
        { "bytes=0-99,100-199", 1000, "0+200" },
        { "bytes=0-99,180-199", 1000, "0+200" },
        { "bytes=0-99,181-199", 1000, "0+100 181+19" },
        { "bytes=0-9,500-509,0-600", 1000, "0+601" },
        { "bytes=0-9,300-309,600-609,200-400", 1000, "0+10 600+10 200+201" },
        { "bytes=0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0", 1000, "0+1" },
        { "bytes=0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0", 1000,
          "refused" },
        { "bytes=9-5", 1000, "none" },
        { "bytes=0-9,9-5", 1000, "none" },
        { "bytes=a-b", 1000, "none" },
        { "bytes=0x1-2", 1000, "none" },
        { "bytes=1 - 2", 1000, "none" },
        { "bytes=--1", 1000, "none" },
        { "bytes=+1-2", 1000, "none" },
        { "bytes=-", 1000, "none" },
        { "bytes=1", 1000, "none" },
        { "bytes=", 1000, "none" },
        { "bytes", 1000, "none" },
        { "", 1000, "none" },
        { "items=0-9", 1000, "none" },
        { "bytes 0-9", 1000, "none" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_range ranges[HTTP_RANGES_MAX];
        unsigned len = 0;
        char got[256] = "";
        switch (http_ranges_parse(slice_cstr(cases[i].in), cases[i].size, ranges, &len)) {
        case HTTP_RANGES_NONE:
            (void)snprintf(got, sizeof(got), "none");
            break;
        case HTTP_RANGES_REFUSED:
            (void)snprintf(got, sizeof(got), "refused");
            break;
        case HTTP_RANGES_SOME:
            for (unsigned j = 0; j < len; j++) {
                size_t at = strlen(got);
                (void)snprintf(got + at, sizeof(got) - at, "%s%lld+%lld", j ? " " : "",
                               (long long)ranges[j].first, (long long)ranges[j].length);
            }
            break;
        }
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s: %s", cases[i].in, got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_ranges) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
