#include "check.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/yaml.h"

static const struct yaml_limits defaults = { 0 };

static struct slice as_json(struct arena *a, const struct yaml_node *node)
{
    json_t *value = yaml_to_json(node, a);
    assert_non_null(value);
    struct buf out;
    buf_init(&out, a, 0, 1 << 20);
    json_put_value(&out, value);
    return buf_slice(&out);
}

static struct slice complaints(struct arena *a, const struct diag *d)
{
    struct buf out;
    buf_init(&out, a, 0, 1 << 16);
    diag_print(d, &out);
    return buf_slice(&out);
}

static void test_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "a: 1\nb: [x, \"2\", 3.5]\nc:\n  d: ~\n  e: true\n",
          "{\"a\":1,\"b\":[\"x\",\"2\",3.5],\"c\":{\"d\":null,\"e\":true}}" },
        { "plain text", "\"plain text\"" },
        { "- |\n  two\n  lines\n- >\n  folded\n  line\n",
          "[\"two\\nlines\\n\",\"folded line\\n\"]" },
        { "{a: {}, b: []}", "{\"a\":{},\"b\":[]}" },
        { "a: no\nb: Yes\nc: on\nd: FALSE\ne: Null\nf:\n",
          "{\"a\":\"no\",\"b\":\"Yes\",\"c\":\"on\",\"d\":false,\"e\":null,\"f\":null}" },
        { "[0x1F, 0o17, +5, -3, 012, 1e3, .5, 5., -.25, +1.5, 00.50, 1_000]",
          "[31,15,5,-3,12,1000.0,0.5,5.0,-0.25,1.5,0.5,\"1_000\"]" },
        { "['1', \"true\", 'it''s', \"\\u00e9\"]", "[\"1\",\"true\",\"it's\",\"\xc3\xa9\"]" },
        { "[9223372036854775807, 9223372036854775808, 0xFFFFFFFFFFFFFFFF]",
          "[9223372036854775807,9.223372036854776e+18,\"0xFFFFFFFFFFFFFFFF\"]" },
        { "[., +, -, 1.2.3, 0x, 0o9, 0xg, 1e, '', +-1]",
          "[\".\",\"+\",\"-\",\"1.2.3\",\"0x\",\"0o9\",\"0xg\",\"1e\",\"\",\"+-1\"]" },
        { "# only a comment first\nkey: value # and one here\n", "{\"key\":\"value\"}" },
        { "'<<': 1\n", "{\"<<\":1}" },
        { "10000000000000000000000000000000000000000000000000000000000000000000: 1",
          "{\"10000000000000000000000000000000000000000000000000000000000000000000\":1}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
        struct diag d;
        diag_init(&d, a);
        struct yaml_node *root = NULL;
        enum status st = yaml_read(slice_cstr(cases[i].in), SLICE("f"), defaults, a, &d, &root);
        if (st != STATUS_OK)
            fail_msg("%s: %.*s", cases[i].in, SLICE_ARG(complaints(a, &d)));
        check_text(cases[i].in, as_json(a, root), slice_cstr(cases[i].want));
        assert_int_equal(d.len, 0);
    }
}

/* What is said is not repeated word for word where it is libyaml's; that the place is right is. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *want; /* a part of what is printed */
    } cases[] = {
        { "", "f: empty" },
        { "# nothing\n", "f: empty" },
        { "a: 1\nb: 2\na: 3\n", "f:3:1: a: the same key twice, first on line 1" },
        { "a: &x 1\n", "f:1:4: anchors (&x) are not supported" },
        { "a: *x\n", "f:1:4: aliases (*x) are not supported" },
        { "a: !!str 1\n", "f:1:4: tags (tag:yaml.org,2002:str) are not supported" },
        { "a: !!set {}\n", "tags (" },
        { "a: !mine [1]\n", "tags (!mine)" },
        { "base: {}\n<<: {a: 1}\n", "f:2:1: merge keys" },
        { "[a]: 1\n", "a list or map cannot be a key here" },
        { "a: 1\n---\nb: 2\n", "f:2:1: a second document" },
        { "%YAML 1.1\n---\na: 1\n", "directives" },
        { "a:\n\t- b\n", "f:2:1: not YAML" },
        { "a: @b\n", "must be quoted" },
        { "a: b: c\n", "f:1:5: not YAML" },
        { "a: 'x' y\n", "not YAML" },
        { "a: [1, 2\nb: 3\n", "that began on line 1" },
        { "a: \"open\n", "not YAML" },
        { "a: 1\nb: \xff\n", "f:2: not valid UTF-8" },
        { "a: \x01\n", "not YAML" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
        struct diag d;
        diag_init(&d, a);
        struct yaml_node *root = NULL;
        check_status(cases[i].in,
                     yaml_read(slice_cstr(cases[i].in), SLICE("f"), defaults, a, &d, &root),
                     STATUS_INVALID);
        assert_null(root);
        struct slice text = complaints(a, &d);
        if (slice_find_slice(text, slice_cstr(cases[i].want)) == SIZE_MAX)
            fail_msg("%s: got %.*s, want %s", cases[i].in, SLICE_ARG(text), cases[i].want);
    }
}

static void test_all_problems_at_once(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    struct diag d;
    diag_init(&d, a);
    struct yaml_node *root;
    assert_int_equal(
        yaml_read(SLICE("a: &x 1\nb: !t 2\na: 3\n"), SLICE("f"), defaults, a, &d, &root),
        STATUS_INVALID);
    assert_int_equal(d.len, 3);
}

static void test_many_keys(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    struct diag d;
    diag_init(&d, a);
    struct buf text;
    buf_init(&text, a, 0, 1 << 20);
    for (int i = 0; i < 1000; i++)
        buf_printf(&text, "key%d: %d\n", i, i);
    struct yaml_node *root;
    assert_int_equal(yaml_read(buf_slice(&text), SLICE("f"), defaults, a, &d, &root), STATUS_OK);
    assert_int_equal(root->len, 1000);
    check_text("get", yaml_get(root, SLICE("key777"))->text, SLICE("777"));
    assert_int_equal(yaml_get(root, SLICE("key777"))->line, 778);
    assert_null(yaml_get(root, SLICE("none")));
    assert_null(yaml_get(yaml_get(root, SLICE("key1")), SLICE("x")));
    assert_null(yaml_get(NULL, SLICE("x")));

    buf_put_lit(&text, "key500: again\nkey3: again\n");
    assert_int_equal(yaml_read(buf_slice(&text), SLICE("f"), defaults, a, &d, &root),
                     STATUS_INVALID);
    assert_int_equal(d.len, 2);
    assert_int_equal(d.items[0].line + d.items[1].line, 1001 + 1002);
}

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        struct yaml_limits limits;
        const char *want; /* NULL: fits */
    } cases[] = {
        { "abcd", { .bytes_max = 4 }, NULL },
        { "abcde", { .bytes_max = 4 }, "f: larger than 4 bytes" },
        { "[[a]]", { .depth_max = 2 }, NULL },
        { "[[[a]]]", { .depth_max = 2 }, "f:1:3: nested deeper than 2 levels" },
        { "{a: {b: {c: 1}}}", { .depth_max = 2 }, "nested deeper than 2 levels" },
        { "[1, 2]", { .nodes_max = 4 }, NULL },
        { "[1, 2, 3, 4]", { .nodes_max = 4 }, "more than 4 values" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
        struct diag d;
        diag_init(&d, a);
        struct yaml_node *root;
        enum status st =
            yaml_read(slice_cstr(cases[i].in), SLICE("f"), cases[i].limits, a, &d, &root);
        check_status(cases[i].in, st, cases[i].want ? STATUS_INVALID : STATUS_OK);
        struct slice text = complaints(a, &d);
        if (cases[i].want && slice_find_slice(text, slice_cstr(cases[i].want)) == SIZE_MAX)
            fail_msg("%s: got %.*s", cases[i].in, SLICE_ARG(text));
    }
}

static void test_small_budgets(void **state)
{
    (void)state;
    static const struct slice text = SLICE_INIT("a: [1, two, {b: ~}]\nc: 'text'\n"
                                                "k1: 1\nk2: 2\nk3: 3\nk4: 4\nk5: 5\nk6: 6\nk7: 7\n"
                                                "k8: 8\nk9: 9\nk10: 1\nk11: 1\nk12: 2\nk13: 3\n"
                                                "k14: 4\nk15: 5\n");
    unsigned read = 0;
    for (size_t budget = 16; budget < 12000; budget += 48) {
        CLEANUP(arena_free) struct arena *a = arena_new(NULL, budget);
        struct diag d;
        diag_init(&d, a);
        struct yaml_node *root = NULL;
        enum status st = yaml_read(text, SLICE("f"), defaults, a, &d, &root);
        assert_true(st == STATUS_OK || st == STATUS_EXHAUSTED);
        assert_true(st == STATUS_OK || read == 0);
        read += st == STATUS_OK;
        if (st == STATUS_OK)
            (void)yaml_to_json(root, a); /* may be NULL, may not crash */
    }
    assert_true(read > 0);
}

static void test_scalars_are_typed_only_when_plain(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    struct diag d;
    diag_init(&d, a);
    struct yaml_node *root;
    assert_int_equal(
        yaml_read(SLICE("['1', 'true', '', '1.5', [], "
                        "11111111111111111111111111111111111111111111111111111111111111111.5]"),
                  SLICE("f"), defaults, a, &d, &root),
        STATUS_OK);
    for (const struct yaml_node *n = root->first; n; n = n->next) {
        bool boolean;
        int64_t integer;
        double real;
        assert_false(yaml_is_null(n));
        assert_false(yaml_to_bool(n, &boolean));
        assert_false(yaml_to_i64(n, &integer));
        assert_false(yaml_to_double(n, &real));
    }
    assert_false(yaml_is_null(NULL));
    assert_false(yaml_to_i64(NULL, &(int64_t){ 0 }));
    assert_false(yaml_to_double(NULL, &(double){ 0 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_all_problems_at_once),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_small_budgets),
        cmocka_unit_test(test_scalars_are_typed_only_when_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
