#include "check.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/diag.h"

static void test_printed_in_order(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    struct diag d;
    diag_init(&d, a);
    diag_add(&d, SLICE("b.yaml"), 2, 1, SLICE("x"), SLICE_NULL, "last %d", 1);
    diag_add(&d, SLICE("a.yaml"), 12, 5, SLICE("fields.maxx"), SLICE("Did you mean `max`?"),
             "unknown key");
    diag_add(&d, SLICE("a.yaml"), 12, 5, SLICE_NULL, SLICE_NULL, "found later");
    diag_add(&d, SLICE("a.yaml"), 3, 9, SLICE_NULL, SLICE("Or not."), "A sentence.");
    diag_add(&d, SLICE("a.yaml"), 3, 2, SLICE_NULL, SLICE_NULL, "before it");
    diag_add(&d, SLICE("a.yaml"), 0, 0, SLICE_NULL, SLICE_NULL, "the whole file");
    diag_add(&d, SLICE_NULL, 0, 0, SLICE("PORT"), SLICE_NULL, "not a number");
    struct buf out;
    buf_init(&out, a, 0, 1 << 16);
    diag_print(&d, &out);
    check_text("printed", buf_slice(&out),
               SLICE("PORT: not a number\n"
                     "a.yaml: the whole file\n"
                     "a.yaml:3:2: before it\n"
                     "a.yaml:3:9: A sentence. Or not.\n"
                     "a.yaml:12:5: fields.maxx: unknown key. Did you mean `max`?\n"
                     "a.yaml:12:5: found later\n"
                     "b.yaml:2:1: x: last 1\n"));
}

static void test_many_are_counted(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    struct diag d;
    diag_init(&d, a);
    for (int i = 0; i < (int)DIAG_MAX + 7; i++)
        diag_add(&d, SLICE("f"), i + 1, 0, SLICE_NULL, SLICE_NULL, "wrong");
    assert_int_equal(d.len, DIAG_MAX);
    assert_int_equal(d.dropped, 7);
    struct buf out;
    buf_init(&out, a, 0, 1 << 16);
    diag_print(&d, &out);
    assert_true(slice_ends(buf_slice(&out), SLICE("f:200: wrong\nand 7 more\n")));
}

static void test_small_budgets(void **state)
{
    (void)state;
    for (size_t budget = 16; budget < 3000; budget += 16) {
        CLEANUP(arena_free) struct arena *a = arena_new(NULL, budget);
        struct diag d;
        diag_init(&d, a);
        for (int i = 0; i < 12; i++)
            diag_add(&d, SLICE("file"), 1, 1, SLICE("key"), SLICE("hint"), "message %d", i);
        assert_int_equal(d.len + d.dropped, 12);
        for (unsigned i = 0; i < d.len; i++)
            check_text("hint", d.items[i].hint, SLICE("hint"));
    }
}

static void test_suggestions(void **state)
{
    (void)state;
    static const struct slice names[] = { SLICE_INIT("required"), SLICE_INIT("max"),
                                          SLICE_INIT("min"), SLICE_INIT("of"),
                                          SLICE_INIT("immutable") };
    static const struct {
        const char *wrong, *want; /* NULL: nothing is near */
    } cases[] = {
        { "requird", "Did you mean `required`?" },
        { "maxx", "Did you mean `max`?" },
        { "mni", "Did you mean `min`?" },
        { "imutabel", "Did you mean `immutable`?" },
        { "unrelated_thing", NULL },
        { "x", NULL },
        { "", NULL },
    };
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice got = diag_suggest(a, slice_cstr(cases[i].wrong), names, ARRAY_LEN(names));
        check_text(cases[i].wrong, got, slice_cstr(cases[i].want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printed_in_order),
        cmocka_unit_test(test_many_are_counted),
        cmocka_unit_test(test_small_budgets),
        cmocka_unit_test(test_suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
