/* tests/http/test_parse.c - The small grammars of headers and queries: traceparent, entity tags,
 * parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/macros.h"
#include "http/internal.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static void test_traceparent(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int flags; /* -1: malformed */
    } cases[] = {
        { "00-" TRACE "-" SPAN "-00", 0 },
        { "00-" TRACE "-" SPAN "-01", 1 },
        { "00-" TRACE "-" SPAN "-ff", 255 },
        { "01-" TRACE "-" SPAN "-01", 1 },
        { "cc-" TRACE "-" SPAN "-01-what-is-this", 1 },
        { "cc-" TRACE "-" SPAN "-01.what", -1 },
        { "00-" TRACE "-" SPAN "-01-more", -1 },
        { "ff-" TRACE "-" SPAN "-01", -1 },
        { "00-" TRACE "-" SPAN "-0", -1 },
        { "00-" TRACE "-" SPAN "-0g", -1 },
        { "00_" TRACE "-" SPAN "-01", -1 },
        { "00-" TRACE "_" SPAN "-01", -1 },
        { "00-" TRACE "-" SPAN "_01", -1 },
        { "0-" TRACE "-" SPAN "-001", -1 },
        { "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", -1 },
        { "00-00000000000000000000000000000000-" SPAN "-01", -1 },
        { "00-" TRACE "-0000000000000000-01", -1 },
        { "", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http__trace trace = { .flags = 0 };
        bool ok = http__traceparent_parse(slice_cstr(cases[i].in), &trace);
        if (ok != (cases[i].flags >= 0) || (ok && trace.flags != cases[i].flags))
            fail_msg("%s", cases[i].in);
        if (ok)
            assert_true(slice_eq(trace.trace_id, SLICE(TRACE)));
    }
}

static void test_hex64(void **state)
{
    (void)state;
    static const struct {
        uint64_t in;
        const char *want;
    } cases[] = {
        { 0, "0000000000000000" },
        { UINT64_MAX, "ffffffffffffffff" },
        { UINT64_C(0x0123456789abcdef), "0123456789abcdef" },
        { UINT64_C(0x9a09a90f), "000000009a09a90f" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[16];
        http__hex64(cases[i].in, out);
        assert_memory_equal(out, cases[i].want, 16);
    }
}

static void test_etag_lists(void **state)
{
    (void)state;
    static const struct {
        const char *list, *etag;
        bool strong, weak;
    } cases[] = {
        { "\"a\"", "\"a\"", true, true },       { "\"b\", \"a\"", "\"a\"", true, true },
        { "\"b\",\"a\"", "\"a\"", true, true }, { " \"b\" ,\t\"a\" ", "\"a\"", true, true },
        { ",, \"a\"", "\"a\"", true, true },    { "W/\"a\"", "\"a\"", false, true },
        { "\"a\"", "W/\"a\"", false, true },    { "W/\"a\"", "W/\"a\"", false, true },
        { "*", "\"a\"", true, true },           { " * ", "\"a\"", true, true },
        { "\"a,b\"", "\"a,b\"", true, true },   { "\"*\"", "\"a\"", false, false },
        { "\"aa\"", "\"a\"", false, false },    { "a", "\"a\"", false, false },
        { "\"a", "\"a\"", false, false },       { "\"a\"x", "\"a\"", false, false },
        { "w/\"a\"", "\"a\"", false, false },   { "", "\"a\"", false, false },
        { "\"\"", "\"\"", true, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice list = slice_cstr(cases[i].list), etag = slice_cstr(cases[i].etag);
        if (http_etag_matches(list, etag, false) != cases[i].strong ||
            http_etag_matches(list, etag, true) != cases[i].weak)
            fail_msg("%s in %s", cases[i].etag, cases[i].list);
    }
}

static void test_query(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int len;                  /* -1: INVALID */
        const char *name, *value; /* of the last one */
    } cases[] = {
        { "", 0, NULL, NULL },
        { "a", 1, "a", "" },
        { "a=", 1, "a", "" },
        { "=a", 1, "", "a" },
        { "a=b", 1, "a", "b" },
        { "a=b=c", 1, "a", "b=c" },
        { "a=1&a=2", 2, "a", "2" },
        { "&&a=1&&", 1, "a", "1" },
        { "a+b=c+d%20e%2B", 1, "a b", "c d e+" },
        { "%61=%C3%A9", 1, "a", "\xc3\xa9" },
        { "a=%", -1, NULL, NULL },
        { "a=%1", -1, NULL, NULL },
        { "a=%1g", -1, NULL, NULL },
        { "%zz=a", -1, NULL, NULL },
        { "a=%00", -1, NULL, NULL },
        { "a=%ff", -1, NULL, NULL },
        { "a=%c0%80", -1, NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new(NULL, 0);
        struct http_param *params = NULL;
        unsigned len = 0;
        enum status st = http__query_parse(arena, slice_cstr(cases[i].in), &params, &len);
        bool is_right =
            cases[i].len < 0 ? st == STATUS_INVALID : st == STATUS_OK && (int)len == cases[i].len;
        if (is_right && cases[i].name)
            is_right = slice_eq(params[len - 1].name, slice_cstr(cases[i].name)) &&
                       slice_eq(params[len - 1].value, slice_cstr(cases[i].value));
        if (!is_right)
            fail_msg("%s: %s, %u", cases[i].in, status_name(st), len);
        arena_free(arena);
    }
}

/* Whatever the budget, it works or says EXHAUSTED. */
static void test_query_keeps_to_the_budget(void **state)
{
    (void)state;
    enum status st = STATUS_EXHAUSTED;
    for (size_t budget = 1; st != STATUS_OK; budget += 16) {
        struct arena *arena = arena_new(NULL, budget);
        struct http_param *params;
        unsigned len;
        st = http__query_parse(arena, SLICE("a=b&c=d%20e&f=g"), &params, &len);
        assert_true(st == STATUS_OK || st == STATUS_EXHAUSTED);
        arena_free(arena);
        assert_true(budget < 65536);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traceparent),
        cmocka_unit_test(test_hex64),
        cmocka_unit_test(test_etag_lists),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_keeps_to_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
