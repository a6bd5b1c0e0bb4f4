/* tests/http/test_structured.c - Structured fields: what parses, what it is written back as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/macros.h"
#include "http/structured.h"

#define ITEM HTTP__SF_KIND_ITEM
#define LIST HTTP__SF_KIND_LIST
#define DICT HTTP__SF_KIND_DICTIONARY

/* What is read, and how it is written; NULL: it is refused. */
static const struct {
    enum http__sf_kind kind;
    const char *in, *want;
} cases[] = {
    /* integers */
    { ITEM, "42", "42" },
    { ITEM, "0", "0" },
    { ITEM, "-0", "0" },
    { ITEM, "00", "0" },
    { ITEM, "042", "42" },
    { ITEM, "-042", "-42" },
    { ITEM, "--0", NULL },
    { ITEM, "-", NULL },
    { ITEM, "- 42", NULL },
    { ITEM, "4 2", NULL },
    { ITEM, "+1", NULL },
    { ITEM, "4f", NULL },
    { ITEM, "1,000", NULL },
    { ITEM, "999999999999999", "999999999999999" },
    { ITEM, "-999999999999999", "-999999999999999" },
    { ITEM, "1000000000000000", NULL },
    { ITEM, "-1000000000000000", NULL },
    { ITEM, "  1  ", "1" },
    { ITEM, "\t1", NULL },
    { ITEM, "", NULL },
    { ITEM, "   ", NULL },
    /* decimals */
    { ITEM, "1.5", "1.5" },
    { ITEM, "-1.5", "-1.5" },
    { ITEM, "1.500", "1.5" },
    { ITEM, "1.0", "1.0" },
    { ITEM, "0.001", "0.001" },
    { ITEM, "-0.010", "-0.01" },
    { ITEM, "123456789012.1", "123456789012.1" },
    { ITEM, "999999999999.999", "999999999999.999" },
    { ITEM, "1234567890123.0", NULL },
    { ITEM, "1.2345", NULL },
    { ITEM, "1.", NULL },
    { ITEM, ".5", NULL },
    { ITEM, "-.5", NULL },
    { ITEM, "1.5.4", NULL },
    { ITEM, "1..4", NULL },
    { ITEM, "1e3", NULL },
    /* strings */
    { ITEM, "\"foo bar\"", "\"foo bar\"" },
    { ITEM, "\"\"", "\"\"" },
    { ITEM, "\"b\\\"a\\\\\"", "\"b\\\"a\\\\\"" },
    { ITEM, "\"a\\b\"", NULL },
    { ITEM, "\"a", NULL },
    { ITEM, "\"a\\", NULL },
    { ITEM, "\"a\\\"", NULL },
    { ITEM, "\"a\tb\"", NULL },
    { ITEM, "\"f\xc3\xbc\"", NULL },
    { ITEM, "\"\x7f\"", NULL },
    { ITEM, "'foo'", NULL },
    { ITEM, "\"a\" \"b\"", NULL },
    /* tokens */
    { ITEM, "a_b-c.d3:f%00/*", "a_b-c.d3:f%00/*" },
    { ITEM, "fooBar", "fooBar" },
    { ITEM, "*", "*" },
    { ITEM, "*/a!#$&'+^`|~", "*/a!#$&'+^`|~" },
    { ITEM, "a(b", NULL },
    { ITEM, "a{b", NULL },
    { ITEM, "~a", NULL },
    { ITEM, "/a", NULL },
    /* byte sequences */
    { ITEM, ":aGVsbG8=:", ":aGVsbG8=:" },
    { ITEM, "::", "::" },
    { ITEM, ":/+Ah:", ":/+Ah:" },
    { ITEM, ":aGVsbG8:", NULL },
    { ITEM, ":iZ==:", NULL },
    { ITEM, ":aGVsbG8==:", NULL },
    { ITEM, ":aGVsb G8=:", NULL },
    { ITEM, ":_-Ah:", NULL },
    { ITEM, ":aGVsbG8=", NULL },
    { ITEM, ":====:", NULL },
    { ITEM, ":\n:", NULL },
    /* booleans */
    { ITEM, "?1", "?1" },
    { ITEM, "?0", "?0" },
    { ITEM, "?2", NULL },
    { ITEM, "?", NULL },
    { ITEM, "?1.0", NULL },
    { ITEM, "?t", NULL },
    { ITEM, "? 1", NULL },
    /* dates */
    { ITEM, "@1659578233", "@1659578233" },
    { ITEM, "@-1659578233", "@-1659578233" },
    { ITEM, "@0", "@0" },
    { ITEM, "@1659578233.12", NULL },
    { ITEM, "@", NULL },
    { ITEM, "@ 1", NULL },
    { ITEM, "@1000000000000000", NULL },
    /* display strings */
    { ITEM, "%\"f%c3%bc%c3%bc\"", "%\"f%c3%bc%c3%bc\"" },
    { ITEM, "%\"\"", "%\"\"" },
    { ITEM, "%\"a %22b%22 %25\"", "%\"a %22b%22 %25\"" },
    { ITEM, "%\"%61\"", "%\"a\"" },
    { ITEM, "%\"%00\"", "%\"%00\"" },
    { ITEM, "%\"f%C3%BC\"", NULL },
    { ITEM, "%\"%a0\"", NULL },
    { ITEM, "%\"%c3%28\"", NULL },
    { ITEM, "%\"%e2%28%a1\"", NULL },
    { ITEM, "%\"%ed%a0%80\"", NULL },
    { ITEM, "%\"%c\"", NULL },
    { ITEM, "%\"%", NULL },
    { ITEM, "%\"%c3", NULL },
    { ITEM, "% \"a\"", NULL },
    { ITEM, "%a\"", NULL },
    { ITEM, "%", NULL },
    { ITEM, "%\"a\tb\"", NULL },
    { ITEM, "%\"f\xc3\xbc\"", NULL },
    /* parameters */
    { ITEM, "a;b", "a;b" },
    { ITEM, "a;b=?1", "a;b" },
    { ITEM, "a;b=?0", "a;b=?0" },
    { ITEM, "1; a=2;b=\"c\"", "1;a=2;b=\"c\"" },
    { ITEM, "1;a=1;b=2;a=3", "1;a=3;b=2" },
    { ITEM, "1;*a-_.*9=1", "1;*a-_.*9=1" },
    { ITEM, "1;A=1", NULL },
    { ITEM, "1 ;a", NULL },
    { ITEM, "1;a =1", NULL },
    { ITEM, "1;a= 1", NULL },
    { ITEM, "1;", NULL },
    { ITEM, "1;;a", NULL },
    { ITEM, "1;\ta", NULL },
    { ITEM, "1;a=(1)", NULL },
    { ITEM, "(1)", NULL },
    /* lists */
    { LIST, "", "" },
    { LIST, "1", "1" },
    { LIST, "1, 42", "1, 42" },
    { LIST, "1,42", "1, 42" },
    { LIST, "1 \t,\t 42", "1, 42" },
    { LIST, "1 42", NULL },
    { LIST, "1,,42", NULL },
    { LIST, "1,", NULL },
    { LIST, "1, ", NULL },
    { LIST, ",1", NULL },
    { LIST, "sugar;a, \"tea\";b=1", "sugar;a, \"tea\";b=1" },
    { LIST, "(1 42)", "(1 42)" },
    { LIST, "()", "()" },
    { LIST, "(   )", "()" },
    { LIST, "(  1  42  )", "(1 42)" },
    { LIST, "(a;b=1 c);d=2, e", "(a;b=1 c);d=2, e" },
    { LIST, "(1", NULL },
    { LIST, "(1 ", NULL },
    { LIST, "(1,2)", NULL },
    { LIST, "(1)(2)", NULL },
    { LIST, "((1))", NULL },
    { LIST, "(\"a\"\"b\")", NULL },
    { LIST, "(a\tb)", NULL },
    { LIST, "(1;a)2", NULL },
    /* dictionaries */
    { DICT, "", "" },
    { DICT, "a=1", "a=1" },
    { DICT, "a", "a" },
    { DICT, "a=?1", "a" },
    { DICT, "a=?0", "a=?0" },
    { DICT, "a=1,b=2", "a=1, b=2" },
    { DICT, "a=1 ,\tb=2", "a=1, b=2" },
    { DICT, "a=1, b, c=(1 2);x", "a=1, b, c=(1 2);x" },
    { DICT, "a;x=1, b;y", "a;x=1, b;y" },
    { DICT, "a=1,b=2,a=3", "a=3, b=2" },
    { DICT, "*=1", "*=1" },
    { DICT, "a =1", NULL },
    { DICT, "a= 1", NULL },
    { DICT, "a=", NULL },
    { DICT, "=1", NULL },
    { DICT, "A=1", NULL },
    { DICT, "9=1", NULL },
    { DICT, "a=1,", NULL },
    { DICT, "a=1 b=2", NULL },
    { DICT, "a=1;b=2, c", "a=1;b=2, c" },
    { DICT, "a=\"1\"b=2", NULL },
};

static void test_reads_and_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        struct http__sf_list list;
        enum status st = http__sf_parse(arena, slice_cstr(cases[i].in), cases[i].kind,
                                        HTTP__SF_MEMBERS_MAX, &list);
        if (!cases[i].want) {
            if (st != STATUS_INVALID)
                fail_msg("%s: %s", cases[i].in, status_name(st));
            continue;
        }
        if (st != STATUS_OK)
            fail_msg("%s: %s", cases[i].in, status_name(st));
        struct buf out;
        buf_init(&out, arena, 64, 4096);
        assert_int_equal(http__sf_put(&out, cases[i].kind, &list), STATUS_OK);
        if (!slice_eq(buf_slice(&out), slice_cstr(cases[i].want)))
            fail_msg("%s: %.*s", cases[i].in, SLICE_ARG(buf_slice(&out)));
    }
}

static void test_zero_bytes_are_no_text(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct http__sf_list list;
    static const struct slice texts[] = { SLICE_INIT("\0"), SLICE_INIT("a\0b"),
                                          SLICE_INIT("\"\0\""), SLICE_INIT("1\0") };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(http__sf_parse(arena, texts[i], ITEM, 1, &list), STATUS_INVALID);
}

/* A number n times, each between two texts, and all of them between two others. */
static struct slice repeat(struct arena *arena, const char *before, const char *left,
                           const char *right, unsigned n, const char *after)
{
    struct buf out;
    buf_init(&out, arena, 0, (size_t)1 << 20);
    buf_put_cstr(&out, before);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&out, "%s%u%s", left, i, right);
    buf_put_cstr(&out, after);
    return buf_slice(&out);
}

static void test_holds_its_bounds(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    static const struct {
        enum http__sf_kind kind;
        const char *before, *left, *right, *after;
        unsigned max;
    } bounds[] = {
        { LIST, "", "", ", ", "z", HTTP__SF_MEMBERS_MAX - 1 },
        { DICT, "", "k", ", ", "z", HTTP__SF_MEMBERS_MAX - 1 },
        { LIST, "(", "", " ", ")", HTTP__SF_INNER_MAX },
        { ITEM, "1", ";k", "", "", HTTP__SF_PARAMS_MAX },
    };
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        struct http__sf_list list;
        for (unsigned more = 0; more < 2; more++) {
            struct slice text = repeat(arena, bounds[i].before, bounds[i].left, bounds[i].right,
                                       bounds[i].max + more, bounds[i].after);
            assert_int_equal(
                http__sf_parse(arena, text, bounds[i].kind, HTTP__SF_MEMBERS_MAX, &list),
                more ? STATUS_TOO_LARGE : STATUS_OK);
        }
    }
    struct http__sf_list list;
    assert_int_equal(http__sf_parse(arena, SLICE("1, 2, 3"), LIST, 2, &list), STATUS_TOO_LARGE);
    /* One that comes again is no further one. */
    assert_int_equal(http__sf_parse(arena, SLICE("a=1, b=2, a=3"), DICT, 2, &list), STATUS_OK);
    assert_int_equal(http__sf_get(&list, SLICE("a"))->value.number, 3);
    assert_null(http__sf_get(&list, SLICE("c")));
}

static void test_a_small_budget_is_an_answer(void **state)
{
    (void)state;
    struct slice text = SLICE("a=(\"b\\\"\" :aGVsbG8=:);c=%\"%c3%bc\", d=1, e=2, f=3");
    for (size_t budget = 1024; budget < 4096; budget += 16) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, budget);
        struct http__sf_list list;
        enum status st = http__sf_parse(arena, text, DICT, 8, &list);
        assert_true(st == STATUS_OK || st == STATUS_EXHAUSTED);
        if (st == STATUS_OK)
            return;
    }
    fail_msg("4 KiB do not suffice");
}

static void test_refuses_to_write_what_is_none(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    static const struct http__sf_value values[] = {
        { .type = HTTP__SF_INTEGER, .number = INT64_C(1000000000000000) },
        { .type = HTTP__SF_INTEGER, .number = INT64_MIN },
        { .type = HTTP__SF_DECIMAL, .number = INT64_MIN },
        { .type = HTTP__SF_DATE, .number = INT64_MAX },
        { .type = HTTP__SF_STRING, .text = SLICE_INIT("a\nb") },
        { .type = HTTP__SF_STRING, .text = SLICE_INIT("\xc3\xbc") },
        { .type = HTTP__SF_TOKEN, .text = SLICE_INIT("") },
        { .type = HTTP__SF_TOKEN, .text = SLICE_INIT("9a") },
        { .type = HTTP__SF_TOKEN, .text = SLICE_INIT("a b") },
        { .type = HTTP__SF_DISPLAY, .text = SLICE_INIT("\xff") },
        { .type = HTTP__SF_INNER },
    };
    struct buf out;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        buf_init(&out, arena, 64, 256);
        assert_int_equal(http__sf_put_value(&out, &values[i]), STATUS_INVALID);
    }
    struct http__sf_param param = { .key = SLICE("Upper"), .value = { .boolean = true } };
    const struct http__sf_params params = { .items = &param, .len = 1 };
    buf_init(&out, arena, 64, 256);
    assert_int_equal(http__sf_put_params(&out, &params), STATUS_INVALID);
    struct http__sf_member member = { .key = SLICE("") };
    const struct http__sf_list list = { .members = &member, .len = 1 };
    assert_int_equal(http__sf_put(&out, DICT, &list), STATUS_INVALID);
    assert_int_equal(http__sf_put(&out, ITEM, &(struct http__sf_list){ 0 }), STATUS_INVALID);
    struct buf small;
    buf_init(&small, arena, 0, 4);
    http__sf_put_bytes(&small, SLICE("hello"));
    assert_int_equal(buf_status(&small), STATUS_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_writes),
        cmocka_unit_test(test_zero_bytes_are_no_text),
        cmocka_unit_test(test_holds_its_bounds),
        cmocka_unit_test(test_a_small_budget_is_an_answer),
        cmocka_unit_test(test_refuses_to_write_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
