#include "check.h"

#include <math.h>

static void test_equality_and_order(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal_nocase;
        int order; /* sign */
    } cases[] = {
        { "", "", true, 0 },           { "a", "", false, 1 },
        { "", "a", false, -1 },        { "Content-Type", "content-TYPE", true, -1 },
        { "abc", "abd", false, -1 },   { "abc", "ab", false, 1 },
        { "[", "{", false, -1 },       { "@a", "`a", false, -1 },
        { "\xc3", "\xe3", false, -1 }, { "same", "same", true, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice a = slice_cstr(cases[i].a), b = slice_cstr(cases[i].b);
        check_int(cases[i].a, slice_eq_nocase(a, b), cases[i].equal_nocase);
        int order = slice_cmp(a, b);
        check_int(cases[i].a, (order > 0) - (order < 0), cases[i].order);
    }
    assert_true(slice_eq(SLICE_NULL, SLICE("")));
    assert_true(slice_starts(SLICE("abc"), SLICE("ab")));
    assert_false(slice_starts(SLICE("a"), SLICE("ab")));
    assert_true(slice_ends(SLICE("abc"), SLICE("bc")));
    assert_false(slice_ends(SLICE("abc"), SLICE("ab")));
    assert_int_equal(slice_from(SLICE("abc"), 5).len, 0);
    assert_int_equal(slice_cstr(NULL).len, 0);
}

static void test_find(void **state)
{
    (void)state;
    assert_int_equal(slice_find(SLICE("a=b=c"), '='), 1);
    assert_true(slice_find(SLICE("abc"), 'x') == SIZE_MAX);
    assert_true(slice_find(SLICE_NULL, 'x') == SIZE_MAX);
    assert_int_equal(slice_find(SLICE("a\0b"), 'b'), 2);
    assert_int_equal(slice_find_slice(SLICE("hello world"), SLICE("o w")), 4);
    assert_int_equal(slice_find_slice(SLICE("hello"), SLICE("")), 0);
    assert_true(slice_find_slice(SLICE_NULL, SLICE("a")) == SIZE_MAX);
    assert_true(slice_find_slice(SLICE("ab"), SLICE("abc")) == SIZE_MAX);
}

static void test_trim(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "", "" }, { " \t ", "" }, { "a", "a" }, { "\t a b  ", "a b" }, { "\na\n", "\na\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_text(cases[i].in, slice_trim(slice_cstr(cases[i].in)), slice_cstr(cases[i].want));
}

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *want[4];
    } cases[] = {
        { "a,,b", { "a", "", "b" } }, { "", { "" } },        { ",", { "", "" } },
        { "one", { "one" } },         { "a,", { "a", "" } },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice rest = slice_cstr(cases[i].in), part;
        size_t n = 0;
        while (slice_split(&rest, ',', &part)) {
            assert_non_null(cases[i].want[n]);
            check_text(cases[i].in, part, slice_cstr(cases[i].want[n]));
            n++;
        }
        assert_null(cases[i].want[n]);
    }
    struct slice none = SLICE_NULL, part;
    assert_false(slice_split(&none, ',', &part));
}

static void test_to_i64(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool ok;
        int64_t want;
    } cases[] = {
        { "0", true, 0 },
        { "-0", true, 0 },
        { "007", true, 7 },
        { "-42", true, -42 },
        { "9223372036854775807", true, INT64_MAX },
        { "9223372036854775808", false, 0 },
        { "-9223372036854775808", true, INT64_MIN },
        { "-9223372036854775809", false, 0 },
        { "99999999999999999999", false, 0 },
        { "", false, 0 },
        { "-", false, 0 },
        { "+1", false, 0 },
        { " 1", false, 0 },
        { "1 ", false, 0 },
        { "1.0", false, 0 },
        { "0x1", false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t value = 77;
        check_int(cases[i].in, slice_to_i64(slice_cstr(cases[i].in), &value), cases[i].ok);
        check_int(cases[i].in, value, cases[i].ok ? cases[i].want : 77);
    }
}

static void test_to_double(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool ok;
        double want;
    } cases[] = {
        { "0", true, 0 },
        { "-0", true, 0 },
        { "1.5", true, 1.5 },
        { "-1.25e2", true, -125 },
        { "1E+2", true, 100 },
        { "12e-1", true, 1.2 },
        { "0.1", true, 0.1 },
        { "123456789012345678901234567890", true, 123456789012345678901234567890.0 },
        { "0.000000000000000000000000012345678901234567890123", true,
          1.2345678901234567890123e-26 },
        { "1.7976931348623157e308", true, 1.7976931348623157e308 },
        { "4.9e-324", true, 4.9e-324 },
        { "9007199254740993", true, 9007199254740992.0 },
        { "9007199254740993.0000000000000000000000000001", true, 9007199254740994.0 },
        { "10000000000000000000000", true, 1e22 },
        { "1e400", false, 0 },
        { "1e99999999999", false, 0 },
        { "1e-99999999999", true, 0 },
        { "", false, 0 },
        { "-", false, 0 },
        { "01", false, 0 },
        { "1.", false, 0 },
        { ".5", false, 0 },
        { "1e", false, 0 },
        { "1e+", false, 0 },
        { "+1", false, 0 },
        { "nan", false, 0 },
        { "Infinity", false, 0 },
        { "0x10", false, 0 },
        { "1,5", false, 0 },
        { "1 ", false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double value = 77;
        check_int(cases[i].in, slice_to_double(slice_cstr(cases[i].in), &value), cases[i].ok);
        if (value != (cases[i].ok ? cases[i].want : 77))
            fail_msg("%s: got %.17g", cases[i].in, value);
    }
    /* Longer than any buffer on the stack. */
    char digits[400];
    memset(digits, '1', sizeof(digits));
    digits[1] = '.';
    double value;
    assert_true(slice_to_double(slice_of(digits, sizeof(digits)), &value));
    assert_true(fabs(value - 10.0 / 9) < 1e-15);
}

static void test_utf8_validity(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct slice in;
        bool ok;
        size_t count;
    } cases[] = {
        { "empty", SLICE_INIT(""), true, 0 },
        { "ascii", SLICE_INIT("hello"), true, 5 },
        { "ascii with zero", SLICE_INIT("a\0b"), true, 3 },
        { "long ascii", SLICE_INIT("0123456789abcdef0123456789abcdef!"), true, 33 },
        { "two bytes", SLICE_INIT("\xc2\x80\xdf\xbf"), true, 2 },
        { "three bytes", SLICE_INIT("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"), true, 4 },
        { "four bytes", SLICE_INIT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), true, 2 },
        { "after 16 ascii", SLICE_INIT("0123456789abcdef\xc3\xa9"), true, 17 },
        { "bad after 16 ascii", SLICE_INIT("0123456789abcdef\xc3"), false, 0 },
        { "lone continuation", SLICE_INIT("\x80"), false, 0 },
        { "overlong slash", SLICE_INIT("\xc0\xaf"), false, 0 },
        { "overlong c1", SLICE_INIT("\xc1\xbf"), false, 0 },
        { "overlong three", SLICE_INIT("\xe0\x9f\xbf"), false, 0 },
        { "overlong four", SLICE_INIT("\xf0\x8f\xbf\xbf"), false, 0 },
        { "surrogate low end", SLICE_INIT("\xed\xa0\x80"), false, 0 },
        { "surrogate high end", SLICE_INIT("\xed\xbf\xbf"), false, 0 },
        { "past the last", SLICE_INIT("\xf4\x90\x80\x80"), false, 0 },
        { "f5", SLICE_INIT("\xf5\x80\x80\x80"), false, 0 },
        { "ff", SLICE_INIT("\xff"), false, 0 },
        { "cut two", SLICE_INIT("\xc3"), false, 0 },
        { "cut three", SLICE_INIT("\xe2\x82"), false, 0 },
        { "cut four", SLICE_INIT("\xf0\x9f\x98"), false, 0 },
        { "bad second of two", SLICE_INIT("\xc3("), false, 0 },
        { "bad third of three", SLICE_INIT("\xe2\x82("), false, 0 },
        { "bad fourth of four", SLICE_INIT("\xf0\x9f\x98("), false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_int(cases[i].name, utf8_is_valid(cases[i].in), cases[i].ok);
        if (cases[i].ok)
            check_int(cases[i].name, (int64_t)utf8_count(cases[i].in), (int64_t)cases[i].count);
    }
    assert_true(utf8_is_valid(SLICE_NULL));
    assert_int_equal(utf8_sequence(SLICE("a\xc3\xa9")), 1);
    assert_int_equal(utf8_sequence(SLICE("\xc3\xa9z")), 2);
    assert_int_equal(utf8_sequence(SLICE("\xc3z")), 0);
    assert_int_equal(utf8_sequence(SLICE_NULL), 0);
}

/* Every code point there is, and every two-byte text, against the definition. */
static void test_utf8_exhaustively(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char p[4];
        size_t n;
        if (c < 0x80) {
            p[0] = (char)c;
            n = 1;
        } else if (c < 0x800) {
            p[0] = (char)(0xc0 | c >> 6);
            p[1] = (char)(0x80 | (c & 63));
            n = 2;
        } else if (c < 0x10000) {
            p[0] = (char)(0xe0 | c >> 12);
            p[1] = (char)(0x80 | (c >> 6 & 63));
            p[2] = (char)(0x80 | (c & 63));
            n = 3;
        } else {
            p[0] = (char)(0xf0 | c >> 18);
            p[1] = (char)(0x80 | (c >> 12 & 63));
            p[2] = (char)(0x80 | (c >> 6 & 63));
            p[3] = (char)(0x80 | (c & 63));
            n = 4;
        }
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        if (utf8_is_valid(slice_of(p, n)) == surrogate)
            fail_msg("U+%04X", c);
        if (utf8_is_valid(slice_of(p, n - 1)) && n > 1)
            fail_msg("U+%04X cut", c);
    }
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            const char p[2] = { (char)a, (char)b };
            bool want = (a < 0x80 && b < 0x80) || (a >= 0xc2 && a < 0xe0 && b >= 0x80 && b < 0xc0);
            if (utf8_is_valid(slice_of(p, 2)) != want)
                fail_msg("%02x %02x", a, b);
        }
    }
}

static void test_distance(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned want;
    } cases[] = {
        { "", "", 0 },
        { "", "abc", 3 },
        { "required", "required", 0 },
        { "requird", "required", 1 },
        { "titel", "title", 1 },
        { "kitten", "sitting", 3 },
        { "max", "min", 2 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice a = slice_cstr(cases[i].a), b = slice_cstr(cases[i].b);
        check_int(cases[i].a, slice_distance(a, b), cases[i].want);
        check_int(cases[i].b, slice_distance(b, a), cases[i].want);
    }
    char name[80];
    memset(name, 'a', sizeof(name));
    assert_true(slice_distance(slice_of(name, 64), SLICE("a")) >= 1000);
    assert_true(slice_distance(SLICE("a"), slice_of(name, 64)) >= 1000);
    assert_int_equal(slice_distance(slice_of(name, 63), SLICE("")), 63);
}

/* The values are promised to be the same everywhere and for ever: they lie in databases as ETags.
 */
static void test_hash_is_stable_and_spreads(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        uint64_t seed;
        uint64_t want;
    } cases[] = {
        { "", 0, UINT64_C(0xcc9f9c1ce442586e) },
        { "a", 0, UINT64_C(0x319921f03088112f) },
        { "abcd", 0, UINT64_C(0xda3ddb0ae22b8c2a) },
        { "abcdefgh", 1, UINT64_C(0xbc843f202fdba295) },
        { "the quick brown fox jumps over the lazy dog", 42, UINT64_C(0xe89f7a45649c8c47) },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t got = hash64(slice_cstr(cases[i].in), cases[i].seed);
        if (got != cases[i].want)
            fail_msg("%s: got 0x%016llx", cases[i].in, (unsigned long long)got);
    }
    /* Flipping any bit of any length up to 40 changes about half of the hash. */
    char text[40] = { 0 };
    unsigned changed = 0, flips = 0;
    for (size_t len = 1; len <= sizeof(text); len++) {
        uint64_t before = hash64(slice_of(text, len), 7);
        for (size_t bit = 0; bit < len * 8; bit++) {
            text[bit / 8] ^= (char)(1 << bit % 8);
            uint64_t after = hash64(slice_of(text, len), 7);
            text[bit / 8] ^= (char)(1 << bit % 8);
            assert_true(after != before);
            changed += (unsigned)__builtin_popcountll(after ^ before);
            flips++;
        }
        assert_true(before != hash64(slice_of(text, len - 1), 7));
        assert_true(before != hash64(slice_of(text, len), 8));
    }
    double mean = (double)changed / flips;
    assert_true(mean > 31 && mean < 33);
    assert_true(hash64(SLICE_NULL, 0) == hash64(SLICE(""), 0));
}

static void test_status_names(void **state)
{
    (void)state;
    for (int st = 0; st < STATUS_COUNT; st++) {
        assert_non_null(status_name((enum status)st));
        for (int other = 0; other < st; other++)
            assert_string_not_equal(status_name((enum status)st), status_name((enum status)other));
    }
    assert_string_equal(status_name(STATUS_NOT_FOUND), "not_found");
    assert_string_equal(status_name(STATUS_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equality_and_order),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_to_i64),
        cmocka_unit_test(test_to_double),
        cmocka_unit_test(test_utf8_validity),
        cmocka_unit_test(test_utf8_exhaustively),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_hash_is_stable_and_spreads),
        cmocka_unit_test(test_status_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
