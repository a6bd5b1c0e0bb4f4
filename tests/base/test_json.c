#include "check.h"

#include <math.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/json.h"

static struct slice written(struct arena *a, const json_t *value)
{
    struct buf b;
    buf_init(&b, a, 0, 1 << 20);
    json_put_value(&b, value);
    assert_int_equal(buf_status(&b), STATUS_OK);
    return buf_slice(&b);
}

static void test_accepted(void **state)
{
    (void)state;
    static const struct {
        struct slice in, want;
    } cases[] = {
        { SLICE_INIT("null"), SLICE_INIT("null") },
        { SLICE_INIT(" true\n"), SLICE_INIT("true") },
        { SLICE_INIT("false"), SLICE_INIT("false") },
        { SLICE_INIT("0"), SLICE_INIT("0") },
        { SLICE_INIT("-0"), SLICE_INIT("0") },
        { SLICE_INIT("-0.0"), SLICE_INIT("-0.0") },
        { SLICE_INIT("1.0"), SLICE_INIT("1.0") },
        { SLICE_INIT("1e2"), SLICE_INIT("100.0") },
        { SLICE_INIT("1e300"), SLICE_INIT("1e+300") },
        { SLICE_INIT("0.1"), SLICE_INIT("0.1") },
        { SLICE_INIT("9223372036854775807"), SLICE_INIT("9223372036854775807") },
        { SLICE_INIT("-9223372036854775808"), SLICE_INIT("-9223372036854775808") },
        { SLICE_INIT("\"\""), SLICE_INIT("\"\"") },
        { SLICE_INIT("\"\\u0000\""), SLICE_INIT("\"\\u0000\"") },
        { SLICE_INIT("\"\\ud83d\\ude00 \xf0\x9f\x98\x80\""),
          SLICE_INIT("\"\xf0\x9f\x98\x80 \xf0\x9f\x98\x80\"") },
        { SLICE_INIT("\"\\/\\b\\f\\n\\r\\t\\\"\\\\\""),
          SLICE_INIT("\"/\\b\\f\\n\\r\\t\\\"\\\\\"") },
        { SLICE_INIT("[]"), SLICE_INIT("[]") },
        { SLICE_INIT("\"\\u00e9\\u20ac\\uD83D\\uDE00\\u007f\""),
          SLICE_INIT("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"") },
        { SLICE_INIT("[ 1 , [ 2 , { } ] ]"), SLICE_INIT("[1,[2,{}]]") },
        { SLICE_INIT("{\"z\":1,\"a\":{\"\":[null]}}"),
          SLICE_INIT("{\"z\":1,\"a\":{\"\":[null]}}") },
        { SLICE_INIT("[\"]]]]{{{{[[[[\\\"[[[[\"]"), SLICE_INIT("[\"]]]]{{{{[[[[\\\"[[[[\"]") },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
        json_t *value = NULL;
        struct json_error_at at;
        enum status st = json_read(a, cases[i].in, JSON_LIMITS_DEFAULT, &value, &at);
        check_status(cases[i].in.data, st, STATUS_OK);
        check_text(cases[i].in.data, written(a, value), cases[i].want);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        struct slice in;
        enum status want;
        size_t offset;
        int line, column;
        const char *reason;
    } cases[] = {
        { SLICE_INIT(""), STATUS_INVALID, 0, 1, 1, "the text is empty" },
        { SLICE_INIT("  "), STATUS_INVALID, 2, 1, 3, "the text ends before the value is complete" },
        { SLICE_INIT("[1"), STATUS_INVALID, 2, 1, 3, "the text ends before the value is complete" },
        { SLICE_INIT("[1,"), STATUS_INVALID, 3, 1, 4,
          "the text ends before the value is complete" },
        { SLICE_INIT("{"), STATUS_INVALID, 1, 1, 2, "the text ends before the value is complete" },
        { SLICE_INIT("{\"a\""), STATUS_INVALID, 4, 1, 5,
          "the text ends before the value is complete" },
        { SLICE_INIT("{\"a\":1"), STATUS_INVALID, 6, 1, 7,
          "the text ends before the value is complete" },
        { SLICE_INIT("\"abc"), STATUS_INVALID, 4, 1, 5,
          "the text ends before the value is complete" },
        { SLICE_INIT("\"abc\\"), STATUS_INVALID, 5, 1, 6,
          "the text ends before the value is complete" },
        { SLICE_INIT("\"\\n\\"), STATUS_INVALID, 4, 1, 5,
          "the text ends before the value is complete" },
        { SLICE_INIT("[1] x"), STATUS_INVALID, 4, 1, 5, "something follows the end of the value" },
        { SLICE_INIT("6\0"), STATUS_INVALID, 1, 1, 2, "something follows the end of the value" },
        { SLICE_INIT("{}{}"), STATUS_INVALID, 2, 1, 3, "something follows the end of the value" },
        { SLICE_INIT("{\"a\":1,\"a\":2}"), STATUS_INVALID, 7, 1, 8,
          "an object has the same key twice" },
        { SLICE_INIT("{\"\\u0061\":1,\"a\":2}"), STATUS_INVALID, 12, 1, 13,
          "an object has the same key twice" },
        { SLICE_INIT("9223372036854775808"), STATUS_INVALID, 0, 1, 1, "a number is out of range" },
        { SLICE_INIT(" -9223372036854775809"), STATUS_INVALID, 1, 1, 2,
          "a number is out of range" },
        { SLICE_INIT("1e999"), STATUS_INVALID, 0, 1, 1, "a number is out of range" },
        { SLICE_INIT("01"), STATUS_INVALID, 0, 1, 1, "not a number as JSON writes them" },
        { SLICE_INIT("-"), STATUS_INVALID, 0, 1, 1, "not a number as JSON writes them" },
        { SLICE_INIT("[1.]"), STATUS_INVALID, 1, 1, 2, "not a number as JSON writes them" },
        { SLICE_INIT("1.5.2"), STATUS_INVALID, 0, 1, 1, "not a number as JSON writes them" },
        { SLICE_INIT("1x"), STATUS_INVALID, 0, 1, 1, "not a number as JSON writes them" },
        { SLICE_INIT("0x10"), STATUS_INVALID, 0, 1, 1, "not a number as JSON writes them" },
        { SLICE_INIT("\"\xff\""), STATUS_INVALID, 1, 1, 2, "the text is not valid UTF-8" },
        { SLICE_INIT("\"\xed\xa0\x80\""), STATUS_INVALID, 1, 1, 2, "the text is not valid UTF-8" },
        { SLICE_INIT("{\"a\\u0000\":1}"), STATUS_INVALID, 1, 1, 2,
          "a key contains a zero character" },
        { SLICE_INIT("[1,]"), STATUS_INVALID, 3, 1, 4, "a value is expected here" },
        { SLICE_INIT("[,1]"), STATUS_INVALID, 1, 1, 2, "a value is expected here" },
        { SLICE_INIT("\n\n\xc3\xa9 "), STATUS_INVALID, 2, 3, 1, "a value is expected here" },
        { SLICE_INIT("[\"\xc3\xa9\",x]"), STATUS_INVALID, 6, 1, 6, "a value is expected here" },
        { SLICE_INIT("NaN"), STATUS_INVALID, 0, 1, 1, "a value is expected here" },
        { SLICE_INIT("nul"), STATUS_INVALID, 0, 1, 1, "a value is expected here" },
        { SLICE_INIT("truer"), STATUS_INVALID, 0, 1, 1, "a value is expected here" },
        { SLICE_INIT("'a'"), STATUS_INVALID, 0, 1, 1, "a value is expected here" },
        { SLICE_INIT("\xef\xbb\xbf{}"), STATUS_INVALID, 0, 1, 1, "a value is expected here" },
        { SLICE_INIT("[1 2]"), STATUS_INVALID, 3, 1, 4,
          "a comma or the end of the array is expected here" },
        { SLICE_INIT("[1}"), STATUS_INVALID, 2, 1, 3,
          "a comma or the end of the array is expected here" },
        { SLICE_INIT("{\"a\":1 \"b\":2}"), STATUS_INVALID, 7, 1, 8,
          "a comma or the end of the object is expected here" },
        { SLICE_INIT("{\"a\" 1}"), STATUS_INVALID, 5, 1, 6, "a colon is expected here" },
        { SLICE_INIT("{a:1}"), STATUS_INVALID, 1, 1, 2, "a key in double quotes is expected here" },
        { SLICE_INIT("{\"a\":1,}"), STATUS_INVALID, 7, 1, 8,
          "a key in double quotes is expected here" },
        { SLICE_INIT("\"\x01\""), STATUS_INVALID, 1, 1, 2,
          "control characters in strings must be escaped" },
        { SLICE_INIT("\"\\n\n\""), STATUS_INVALID, 3, 1, 4,
          "control characters in strings must be escaped" },
        { SLICE_INIT("\"ab\\x\""), STATUS_INVALID, 3, 1, 4, "an escape that JSON does not have" },
        { SLICE_INIT("\"\\u12g4\""), STATUS_INVALID, 1, 1, 2, "\\u takes four hexadecimal digits" },
        { SLICE_INIT("\"\\u12"), STATUS_INVALID, 1, 1, 2, "\\u takes four hexadecimal digits" },
        { SLICE_INIT("\"\\ud800\""), STATUS_INVALID, 1, 1, 2,
          "an escaped surrogate without its other half" },
        { SLICE_INIT("\"\\udc00\\ud800\""), STATUS_INVALID, 1, 1, 2,
          "an escaped surrogate without its other half" },
        { SLICE_INIT("\"\\ud800\\u0041\""), STATUS_INVALID, 1, 1, 2,
          "an escaped surrogate without its other half" },
        { SLICE_INIT("[[[[[[[[["), STATUS_TOO_LARGE, 8, 1, 9, "nested too deeply" },
        { SLICE_INIT("[\n{\"a\":[[[[[[{}]]]]]]}]"), STATUS_TOO_LARGE, 13, 2, 12,
          "nested too deeply" },
        { SLICE_INIT("[\"012345678901234567890123456789\"]"), STATUS_TOO_LARGE, 0, 1, 1,
          "the text is too long" },
    };
    const struct json_limits limits = { .bytes_max = 30, .depth_max = 8 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
        json_t *value = NULL;
        struct json_error_at at;
        const char *name = cases[i].in.data;
        check_status(name, json_read(a, cases[i].in, limits, &value, &at), cases[i].want);
        assert_null(value);
        check_text(name, slice_cstr(at.reason), slice_cstr(cases[i].reason));
        check_int(name, (int64_t)at.offset, (int64_t)cases[i].offset);
        check_int(name, at.line, cases[i].line);
        check_int(name, at.column, cases[i].column);
        /* What a failed attempt took is given back. */
        assert_int_equal(arena_used(a), 0);
        check_status(name, json_read(a, cases[i].in, limits, &value, /* ret_error= */ NULL),
                     cases[i].want);
    }
}

static void test_depth_is_bounded_whatever_is_asked(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    char text[130];
    json_t *value;
    const struct json_limits deep = { .bytes_max = 1000, .depth_max = 5000 };
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    check_status("64", json_read(a, slice_of(text, 128), deep, &value, NULL), STATUS_OK);
    check_text("64", written(a, value), slice_of(text, 128));
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    check_status("65", json_read(a, slice_of(text, 130), deep, &value, NULL), STATUS_TOO_LARGE);
}

/* However little the arena may hold: refused as exhausted, or read whole; never anything between.
 */
static void test_small_budgets(void **state)
{
    (void)state;
    static const struct slice text =
        SLICE_INIT("{\"a\":[1,2.5,\"text of some length, more than a little\",{\"b\":null}],"
                   "\"c\":{\"d\":{\"e\":{}}},\"f\":\"\\u00e9\",\"g\":1,\"h\":2,\"i\":3,\"j\":4,"
                   "\"k\":5,\"l\":[[],[],[]]}");
    bool succeeded = false;
    for (size_t budget = 16; budget < 8000; budget += 16) {
        CLEANUP(arena_free) struct arena *a = arena_new(NULL, budget);
        json_t *value = NULL;
        struct json_error_at at;
        enum status st = json_read(a, text, JSON_LIMITS_DEFAULT, &value, &at);
        if (st == STATUS_OK) {
            succeeded = true;
            assert_int_equal(json_object_size(value), 9);
        } else {
            assert_false(succeeded);
            check_status("budget", st, STATUS_EXHAUSTED);
            assert_string_equal(at.reason, "the text takes too much memory");
            assert_int_equal(arena_used(a), 0);
        }
    }
    assert_true(succeeded);
}

static void test_heap_and_arena_values_keep_apart(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    json_t *on_heap = json_pack("{s:[i,i]}", "numbers", 1, 2);
    json_t *in_arena;
    assert_int_equal(json_read(a, SLICE("[1,{\"x\":[]}]"), JSON_LIMITS_DEFAULT, &in_arena, NULL),
                     STATUS_OK);
    size_t used = arena_used(a);
    (void)json_object_set_new(on_heap, "more", json_string("on the heap"));
    json_decref(on_heap);
    assert_int_equal(arena_used(a), used);

    /* Trees may be built in an arena too, and reading meanwhile leaves that as it was. */
    CLEANUP(arena_free) struct arena *other = arena_new(NULL, 0);
    assert_null(json_arena_set(a));
    json_t *built = json_object();
    json_t *read;
    assert_int_equal(json_read(other, SLICE("7"), JSON_LIMITS_DEFAULT, &read, NULL), STATUS_OK);
    (void)json_object_set_new(built, "k", json_copy(read));
    assert_ptr_equal(json_arena_set(NULL), a);
    assert_true(arena_used(a) > used);
    check_text("built", written(a, built), SLICE("{\"k\":7}"));
}

static void test_put_string(void **state)
{
    (void)state;
    static const struct {
        struct slice in, want;
    } cases[] = {
        { SLICE_INIT(""), SLICE_INIT("\"\"") },
        { SLICE_INIT("plain"), SLICE_INIT("\"plain\"") },
        { SLICE_INIT("\"\\/"), SLICE_INIT("\"\\\"\\\\/\"") },
        { SLICE_INIT("\b\t\n\f\r"), SLICE_INIT("\"\\b\\t\\n\\f\\r\"") },
        { SLICE_INIT("\0\x01\x1f\x7f"), SLICE_INIT("\"\\u0000\\u0001\\u001f\x7f\"") },
        { SLICE_INIT("caf\xc3\xa9 \xe2\x80\xa8 <b>"),
          SLICE_INIT("\"caf\xc3\xa9 \xe2\x80\xa8 <b>\"") },
        { SLICE_INIT("0123456789abcdef0123456789abcdef\n0123456789abcdef"),
          SLICE_INIT("\"0123456789abcdef0123456789abcdef\\n0123456789abcdef\"") },
    };
    CLEANUP(buf_fini) struct buf b;
    buf_init(&b, NULL, 0, 1000);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&b);
        json_put_string(&b, cases[i].in);
        check_text(cases[i].want.data, buf_slice(&b), cases[i].want);
    }
    buf_clear(&b);
    json_put_string(&b, SLICE_NULL);
    check_text("null slice", buf_slice(&b), SLICE("\"\""));
}

/* Every byte at every place of texts of every length up to three vectors, against a byte at a time.
 */
static void test_put_string_at_every_place(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b, want;
    buf_init(&b, NULL, 0, 1000);
    buf_init(&want, NULL, 0, 1000);
    static const unsigned char bytes[] = { 0,   1,    0x1f, 0x20, '!',  '"', '#',
                                           '[', '\\', ']',  0x7f, 0x80, 0xff };
    for (size_t len = 1; len <= 49; len++) {
        for (size_t at = 0; at < len; at++) {
            for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
                char text[49];
                memset(text, 'x', sizeof(text));
                text[at] = (char)bytes[i];
                buf_clear(&want);
                buf_putc(&want, '"');
                for (size_t k = 0; k < len; k++) {
                    if (text[k] == '"' || text[k] == '\\')
                        buf_printf(&want, "\\%c", text[k]);
                    else if ((unsigned char)text[k] < 0x20)
                        buf_printf(&want, "\\u%04x", (unsigned)text[k]);
                    else
                        buf_putc(&want, text[k]);
                }
                buf_putc(&want, '"');
                buf_clear(&b);
                json_put_string(&b, slice_of(text, len));
                check_text("put", buf_slice(&b), buf_slice(&want));
            }
        }
    }
}

static void test_put_stops_at_the_maximum(void **state)
{
    (void)state;
    for (size_t max = 0; max < 60; max++) {
        CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
        struct buf b;
        buf_init(&b, a, 0, max);
        struct json_out o = json_out(&b);
        json_out_array(&o);
        json_out_string(&o, SLICE("a\"b\x01 text\n"));
        json_out_time(&o, 0);
        json_out_double(&o, 1.5);
        json_out_end(&o);
        struct slice want = SLICE("[\"a\\\"b\\u0001 text\\n\",\"1970-01-01T00:00:00.000Z\",1.5]");
        assert_true(b.len <= max);
        assert_int_equal(buf_status(&b), max < want.len ? STATUS_TOO_LARGE : STATUS_OK);
        if (max >= want.len)
            check_text("whole", buf_slice(&b), want);
        buf_init(&b, a, 0, max);
        json_t *real;
        assert_int_equal(json_read(a, SLICE("1.0"), JSON_LIMITS_DEFAULT, &real, NULL), STATUS_OK);
        json_put_value(&b, real);
        assert_int_equal(buf_status(&b), max < 3 ? STATUS_TOO_LARGE : STATUS_OK);
    }
}

static void test_put_value_refuses_bottomless_trees(void **state)
{
    (void)state;
    json_t *deep = json_array();
    for (int i = 0; i < 100; i++) {
        json_t *outer = json_array();
        (void)json_array_append_new(outer, deep);
        deep = outer;
    }
    CLEANUP(buf_fini) struct buf b;
    buf_init(&b, NULL, 0, 1000);
    json_put_value(&b, deep);
    assert_int_equal(buf_status(&b), STATUS_INVALID);
    json_decref(deep);
}

static void test_writer(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *a = arena_new(NULL, 0);
    json_t *tree;
    assert_int_equal(json_read(a, SLICE("{\"x\":[1]}"), JSON_LIMITS_DEFAULT, &tree, NULL),
                     STATUS_OK);
    struct buf b;
    buf_init(&b, a, 0, 1 << 16);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_kv(&o, "text", "a\"b");
    json_out_kv(&o, "none", NULL);
    json_out_ki(&o, "number", -5);
    json_out_key(&o, SLICE("list"));
    json_out_array(&o);
    json_out_end(&o);
    json_out_key(&o, SLICE("mixed"));
    json_out_array(&o);
    json_out_object(&o);
    json_out_end(&o);
    json_out_bool(&o, true);
    json_out_bool(&o, false);
    json_out_null(&o);
    json_out_double(&o, (double)NAN);
    json_out_double(&o, 0.25);
    json_out_value(&o, tree);
    json_out_raw(&o, SLICE("{\"raw\":1}"));
    json_out_array(&o);
    json_out_i64(&o, 1);
    json_out_i64(&o, 2);
    json_out_end(&o);
    json_out_cstr(&o, "last");
    json_out_end(&o);
    json_out_key(&o, SLICE("at"));
    json_out_time(&o, 1767323045678901);
    json_out_end(&o);
    check_text(
        "document", buf_slice(&b),
        SLICE("{\"text\":\"a\\\"b\",\"none\":null,\"number\":-5,\"list\":[],"
              "\"mixed\":[{},true,false,null,null,0.25,{\"x\":[1]},{\"raw\":1},[1,2],\"last\"],"
              "\"at\":\"2026-01-02T03:04:05.678Z\"}"));
    assert_int_equal(o.depth, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth_is_bounded_whatever_is_asked),
        cmocka_unit_test(test_small_budgets),
        cmocka_unit_test(test_heap_and_arena_values_keep_apart),
        cmocka_unit_test(test_put_string),
        cmocka_unit_test(test_put_string_at_every_place),
        cmocka_unit_test(test_put_stops_at_the_maximum),
        cmocka_unit_test(test_put_value_refuses_bottomless_trees),
        cmocka_unit_test(test_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
