#include "fixture.h"

static json_t *read_json(struct fixture *f, const char *text)
{
    json_t *value = NULL;
    assert_int_equal(resource__json_read(slice_cstr(text), f->arena, &f->problem, &value),
                     STATUS_OK);
    return value;
}

static void assert_json(struct fixture *f, const char *name, json_t *actual, const char *expected)
{
    struct buf b;
    buf_init(&b, f->arena, 0, 1 << 20);
    json_put_value(&b, actual);
    if (!json_equal(actual, read_json(f, expected)))
        fail_msg("%s: %.*s is not %s", name, SLICE_ARG(buf_slice(&b)), expected);
}

/* The examples of RFC 7396, appendix A. */
static const struct {
    const char *target, *patch, *want;
} merges[] = {
    { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
    { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
    { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
    { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
    { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
    { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
    { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
    { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
    { "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
    { "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
    { "{\"a\":\"foo\"}", "null", "null" },
    { "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
    { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
    { "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
    { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
};

static void test_merge(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < ARRAY_LEN(merges); i++)
        assert_json(f, merges[i].patch,
                    resource__merge(read_json(f, merges[i].target), read_json(f, merges[i].patch),
                                    f->arena),
                    merges[i].want);
    assert_json(f, "no target",
                resource__merge(NULL, read_json(f, "{\"a\":{\"b\":null}}"), f->arena),
                "{\"a\":{}}");
}

/* After the test suite of json-patch.org; `want` NULL: refused with `code`. */
static const struct {
    const char *document, *patch, *want, *code;
} patches[] = {
    { "{}", "[]", "{}", NULL },
    { "{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"/bar\",\"value\":2}]", "{\"foo\":1,\"bar\":2}",
      NULL },
    { "{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"/foo\",\"value\":null}]", "{\"foo\":null}",
      NULL },
    { "[\"a\",\"c\"]", "[{\"op\":\"add\",\"path\":\"/1\",\"value\":\"b\"}]", "[\"a\",\"b\",\"c\"]",
      NULL },
    { "[\"a\"]", "[{\"op\":\"add\",\"path\":\"/-\",\"value\":\"b\"}]", "[\"a\",\"b\"]", NULL },
    { "[\"a\"]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":\"b\"}]", NULL, "no_target" },
    { "[\"a\"]", "[{\"op\":\"add\",\"path\":\"/01\",\"value\":\"b\"}]", NULL, "no_target" },
    { "[\"a\"]", "[{\"op\":\"add\",\"path\":\"/-1\",\"value\":\"b\"}]", NULL, "no_target" },
    { "[\"a\"]", "[{\"op\":\"add\",\"path\":\"/x\",\"value\":\"b\"}]", NULL, "no_target" },
    { "{\"a\":{}}", "[{\"op\":\"add\",\"path\":\"/a/b/c\",\"value\":1}]", NULL, "no_target" },
    { "{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":{\"x\":1}}]", "{\"x\":1}", NULL },
    { "{\"a/b\":1,\"m~n\":2}",
      "[{\"op\":\"replace\",\"path\":\"/a~1b\",\"value\":3},{\"op\":\"replace\",\"path\":\"/"
      "m~0n\",\"value\":4}]",
      "{\"a/b\":3,\"m~n\":4}", NULL },
    { "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a~2\",\"value\":1}]", NULL, "pointer" },
    { "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"a\",\"value\":1}]", NULL, "pointer" },
    { "{\"\":1}", "[{\"op\":\"test\",\"path\":\"/\",\"value\":1}]", "{\"\":1}", NULL },
    { "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a\"}]", "{}", NULL },
    { "[1,2,3]", "[{\"op\":\"remove\",\"path\":\"/1\"}]", "[1,3]", NULL },
    { "[1]", "[{\"op\":\"remove\",\"path\":\"/-\"}]", NULL, "no_target" },
    { "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]", NULL, "no_target" },
    { "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL, "no_target" },
    { "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":{\"b\":2}}]",
      "{\"a\":{\"b\":2}}", NULL },
    { "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":2}]", NULL, "no_target" },
    { "[1]", "[{\"op\":\"replace\",\"path\":\"/0\",\"value\":2}]", "[2]", NULL },
    { "[1]", "[{\"op\":\"replace\",\"path\":\"/-\",\"value\":2}]", NULL, "no_target" },
    { "{\"a\":{\"b\":1},\"c\":{}}", "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/c/d\"}]",
      "{\"a\":{},\"c\":{\"d\":1}}", NULL },
    { "{\"a\":{\"b\":[1,{\"c\":2}]}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/x\"}]",
      "{\"x\":{\"b\":[1,{\"c\":2}]}}", NULL },
    { "[1,2,3]", "[{\"op\":\"move\",\"from\":\"/0\",\"path\":\"/2\"}]", "[2,3,1]", NULL },
    { "{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL,
      "into_itself" },
    { "{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/a\"}]", NULL, "no_target" },
    { "{\"a\":1}", "[{\"op\":\"move\",\"path\":\"/a\"}]", NULL, "pointer" },
    { "{\"a\":[1]}",
      "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"},{\"op\":\"add\",\"path\":\"/b/"
      "-\",\"value\":2}]",
      "{\"a\":[1],\"b\":[1,2]}", NULL },
    { "{\"a\":{\"b\":1}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/c\"}]",
      "{\"a\":{\"b\":1,\"c\":{\"b\":1}}}", NULL },
    { "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1.0}]", "{\"a\":1}", NULL },
    { "{\"a\":[{\"b\":1}]}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":[{\"b\":1.0}]}]",
      "{\"a\":[{\"b\":1}]}", NULL },
    { "{\"a\":null}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]", "{\"a\":null}", NULL },
    { "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", NULL, "test_failed" },
    { "{\"a\":{\"b\":1}}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":{\"c\":1}}]", NULL,
      "test_failed" },
    { "{\"a\":{\"b\":1}}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":{}}]", NULL,
      "test_failed" },
    { "{\"a\":[1]}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":[2]}]", NULL, "test_failed" },
    { "{\"a\":[1]}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":[]}]", NULL, "test_failed" },
    { "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/b\",\"value\":null}]", NULL, "test_failed" },
    { "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\"}]", NULL, "required" },
    { "{\"a\":1}", "[{\"op\":\"burn\",\"path\":\"/a\"}]", NULL, "enum" },
    { "{\"a\":1}", "[{\"path\":\"/a\",\"value\":1}]", NULL, "enum" },
    { "{\"a\":1}", "[{\"op\":\"add\",\"value\":1}]", NULL, "pointer" },
    { "{\"a\":1}", "[5]", NULL, "type" },
    { "{\"a\":1}", "{\"a\":2}", NULL, "type" },
};

static void test_patch(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < ARRAY_LEN(patches); i++) {
        problem_clear(&f->problem);
        json_t *document = read_json(f, patches[i].document);
        json_t *result = NULL;
        enum status st = resource__patch(document, read_json(f, patches[i].patch), SLICE("/p"),
                                         f->arena, &f->problem, &result);
        assert_json(f, "the document is left alone", document, patches[i].document);
        if (patches[i].want) {
            if (st != STATUS_OK)
                fail_msg("%s: %.*s", patches[i].patch, SLICE_ARG(f->problem.detail));
            assert_json(f, patches[i].patch, result, patches[i].want);
            continue;
        }
        assert_null(result);
        assert_int_not_equal(st, STATUS_OK);
        assert_int_equal(f->problem.fields_len, 1);
        assert_true(slice_starts(f->problem.fields[0].pointer, SLICE("/p")));
        if (strcmp(f->problem.fields[0].code, patches[i].code) != 0)
            fail_msg("%s: %s is not %s", patches[i].patch, f->problem.fields[0].code,
                     patches[i].code);
    }
}

/* A patch of a hundred copies could double the document a hundred times. */
static void test_growth_and_depth_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    buf_init(&b, f->arena, 0, 1 << 20);
    buf_putc(&b, '[');
    for (unsigned i = 0; i < 100; i++)
        buf_printf(&b, "%s{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/-\"}", i ? "," : "");
    buf_putc(&b, ']');
    buf_putc(&b, '\0');
    json_t *result = NULL;
    assert_int_equal(resource__patch(read_json(f, "{\"a\":[1,2,3,4]}"), read_json(f, b.data),
                                     SLICE_NULL, f->arena, &f->problem, &result),
                     STATUS_INVALID);
    assert_string_equal(f->problem.fields[0].code, "too_large");

    problem_clear(&f->problem);
    buf_clear(&b);
    buf_putc(&b, '[');
    for (unsigned i = 0; i < 101; i++)
        buf_printf(&b, "%s{\"op\":\"test\",\"path\":\"/a\",\"value\":1}", i ? "," : "");
    buf_put(&b, "]", 2);
    assert_int_equal(resource__patch(read_json(f, "{\"a\":1}"), read_json(f, b.data), SLICE_NULL,
                                     f->arena, &f->problem, &result),
                     STATUS_INVALID);
}

static void test_bodies_that_are_no_json(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        int want;
    } bodies[] = {
        { "", 400 }, { "  ", 400 }, { "{", 400 }, { "{\"a\":1,\"a\":2}", 400 }, { "[1] 2", 400 },
    };
    json_t *value;
    for (unsigned i = 0; i < ARRAY_LEN(bodies); i++) {
        problem_clear(&f->problem);
        assert_int_not_equal(
            resource__json_read(slice_cstr(bodies[i].text), f->arena, &f->problem, &value),
            STATUS_OK);
        assert_int_equal(f->problem.http_status, bodies[i].want);
    }
    char deep[128];
    memset(deep, '[', sizeof(deep));
    problem_clear(&f->problem);
    assert_int_equal(
        resource__json_read(slice_of(deep, sizeof(deep)), f->arena, &f->problem, &value),
        STATUS_TOO_LARGE);
    assert_int_equal(f->problem.http_status, 413);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_merge),
        TEST(test_patch),
        TEST(test_growth_and_depth_are_bounded),
        TEST(test_bodies_that_are_no_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
