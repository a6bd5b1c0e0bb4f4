#include "check.h"

#include "base/arena.h"
#include "base/problem.h"

static void test_first_reason_wins(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    struct problem p = { 0 };
    enum status st =
        problem_put(&p, a, "file.c", 12, STATUS_NOT_FOUND, "thing/none", "No thing %d.", 7);
    assert_int_equal(st, STATUS_NOT_FOUND);
    st = problem_put(&p, a, "other.c", 99, STATUS_INTERNAL, "other", "Later.");
    assert_int_equal(st, STATUS_INTERNAL);
    assert_int_equal(p.status, STATUS_NOT_FOUND);
    assert_string_equal(p.type, "thing/none");
    check_text("detail", p.detail, SLICE("No thing 7."));
    assert_string_equal(p.file, "file.c");
    assert_int_equal(p.line, 12);
    problem_clear(&p);
    assert_int_equal(p.status, STATUS_OK);
    assert_int_equal(problem_put(NULL, a, "", 0, STATUS_DENIED, "x", "y"), STATUS_DENIED);
}

static void test_fields(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    struct problem p = { 0 };
    char pointer[] = "/title";
    problem_field_add(&p, a, slice_cstr(pointer), "too_long", "At most %d characters.", 300);
    memset(pointer, 'x', sizeof(pointer) - 1); /* it was copied */
    assert_int_equal(p.status, STATUS_INVALID);
    assert_int_equal(p.http_status, 422);
    assert_string_equal(p.type, "validation");
    check_text("pointer", p.fields[0].pointer, SLICE("/title"));
    check_text("detail", p.fields[0].detail, SLICE("At most 300 characters."));
    assert_string_equal(p.fields[0].code, "too_long");
    for (int i = 1; i < 100; i++)
        problem_field_add(&p, a, SLICE("/x"), "bad", "No.");
    assert_int_equal(p.fields_len, PROBLEM_FIELDS_MAX);
    assert_true(p.fields_dropped);
}

static void test_fields_join_a_problem_set_before(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    struct problem p = { 0 };
    (void)problem_put(&p, a, __FILE__, __LINE__, STATUS_CONFLICT, "resource/exists", "Taken.");
    problem_field_add(&p, a, SLICE("/name"), "unique", "Taken.");
    assert_int_equal(p.status, STATUS_CONFLICT);
    assert_string_equal(p.type, "resource/exists");
    assert_int_equal(p.fields_len, 1);
}

static void test_causes_are_added(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    struct problem p = { 0 };
    problem_cause(&p, a, SLICE("disk I/O error"));
    problem_cause(&p, a, SLICE("while writing"));
    check_text("cause", p.cause, SLICE("disk I/O error; while writing"));
    assert_int_equal(p.status, STATUS_OK);
}

/* With any budget a problem keeps at least its status and type. */
static void test_small_budgets(void **state)
{
    (void)state;
    for (size_t budget = 16; budget < 1200; budget += 16) {
        struct arena *a = arena_new(NULL, budget);
        struct problem p = { 0 };
        for (int i = 0; i < 6; i++)
            problem_field_add(&p, a, SLICE("/a/pointer"), "bad", "Something of %d bytes.", 20);
        problem_cause(&p, a, SLICE("a cause"));
        problem_cause(&p, a, SLICE("another cause"));
        assert_int_equal(p.status, STATUS_INVALID);
        assert_true(p.fields_len == 6 || p.fields_dropped);
        for (size_t i = 0; i < p.fields_len; i++)
            check_text("pointer", p.fields[i].pointer, SLICE("/a/pointer"));
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_reason_wins),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_fields_join_a_problem_set_before),
        cmocka_unit_test(test_causes_are_added),
        cmocka_unit_test(test_small_budgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
