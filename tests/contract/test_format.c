/* The shapes of text, and regular expressions. */
#include "check.h"

#include "contract/format.h"
#include "contract/pattern.h"

static void test_format_email(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } rows[] = {
        { "a@b.co", true },
        { "first.last+tag@sub.example.org", true },
        { "!#$%&'*+/=?^_`{|}~-@example.org", true },
        { "x@xn--bcher-kva.example", true },
        { "", false },
        { "a", false },
        { "@b.co", false },
        { "a@", false },
        { "a@b", false },
        { "a@b.1", false },
        { ".a@b.co", false },
        { "a.@b.co", false },
        { "a..b@c.co", false },
        { "a@b..co", false },
        { "a@-b.co", false },
        { "a@b-.co", false },
        { "a@b_c.co", false },
        { "a@b.co.", false },
        { "a@@b.co", false },
        { "\"a b\"@c.co", false },
        { "a@[127.0.0.1]", false },
        { "a(comment)@b.co", false },
        { "\xc3\xa9@b.co", false },
        { "a@b\xc3\xa9.co", false },
        { "a@b.co\n", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t domain = 0;
        if (contract__email_is_valid(slice_cstr(rows[i].text), &domain) != rows[i].want)
            fail_msg("%s: not %d", rows[i].text, rows[i].want);
        if (rows[i].want)
            assert_int_equal(rows[i].text[domain - 1], '@');
    }
    char text[300];
    memset(text, 'a', sizeof(text));
    memcpy(text + 64, "@b.co", 5);
    size_t domain;
    assert_true(contract__email_is_valid(slice_of(text, 69), &domain));
    memset(text, 'a', sizeof(text));
    memcpy(text + 65, "@b.co", 5);
    assert_false(contract__email_is_valid(slice_of(text, 70), &domain));
}

static void test_format_url(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } rows[] = {
        { "http://a", true },
        { "https://example.org", true },
        { "HTTPS://EXAMPLE.org:8443/a/b;c=1?d=e&f#g/h?i", true },
        { "http://localhost:8000/", true },
        { "http://127.0.0.1/", true },
        { "http://[::1]:80/x", true },
        { "http://[2001:db8::1]", true },
        { "http://[1:2:3:4:5:6:7:8]", true },
        { "http://[::ffff:1.2.3.4]", true },
        { "http://[1:2:3:4:5:6:1.2.3.4]", true },
        { "http://example.org./", true },
        { "http://a/%20%c3%a9", true },
        { "http://a?", true },
        { "http://a:", true },
        { "", false },
        { "http", false },
        { "http:", false },
        { "http://", false },
        { "http:///path", false },
        { "http:/a", false },
        { "ftp://a", false },
        { "javascript://a/%0aalert(1)", false },
        { "http://user@a/", false },
        { "http://user:secret@a/", false },
        { "http://a b/", false },
        { "http://a/ b", false },
        { "http://a/\"", false },
        { "http://a/<script>", false },
        { "http://a/%", false },
        { "http://a/%2", false },
        { "http://a/%zz", false },
        { "http://a#b#c", false },
        { "http://a:99999/", false },
        { "http://a:8x/", false },
        { "http://a..b/", false },
        { "http://-a/", false },
        { "http://1.2.3/", false },
        { "http://1.2.3.400/", false },
        { "http://1.2.3.04/", false },
        { "http://[::1", false },
        { "http://[]", false },
        { "http://[:1]", false },
        { "http://[1::2::3]", false },
        { "http://[1:2:3]", false },
        { "http://[12345::]", false },
        { "http://[1:2:3:4:5:6:7:8:9]", false },
        { "http://[::1]x", false },
        { "http://[g::]", false },
        { "http://[1:2:3:4:5:6:7:1.2.3.4]", false },
        { "http://[::1.2.3]", false },
        { "http://a/\xc3\xa9", false },
        { "http://\xc3\xa9/", false },
        { "http://a/\\", false },
    };
    static const struct slice other[] = { SLICE_INIT("mailto"), SLICE_INIT("ws") };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (contract__url_is_valid(slice_cstr(rows[i].text), NULL, 0) != rows[i].want)
            fail_msg("%s: not %d", rows[i].text, rows[i].want);
    }
    assert_true(contract__url_is_valid(SLICE("mailto:a@b.co?subject=x"), other, 2));
    assert_true(contract__url_is_valid(SLICE("WS://a/b"), other, 2));
    assert_false(contract__url_is_valid(SLICE("ws:a/b"), other, 2));
    assert_false(contract__url_is_valid(SLICE("mailto:"), other, 2));
    assert_false(contract__url_is_valid(SLICE("https://a"), other, 2));
    assert_true(contract__scheme_is_valid(SLICE("coap+tcp")));
    assert_false(contract__scheme_is_valid(SLICE("1a")));
    assert_false(contract__scheme_is_valid(SLICE("a b")));
    assert_false(contract__scheme_is_valid(SLICE("")));
}

static void test_format_names(void **state)
{
    (void)state;
    assert_true(contract__name_is_valid(SLICE("a")));
    assert_true(contract__name_is_valid(SLICE("reply_to_2")));
    assert_true(contract__name_is_valid(
        SLICE("a23456789012345678901234567890123456789012345678901234567890123")));
    assert_false(contract__name_is_valid(
        SLICE("a234567890123456789012345678901234567890123456789012345678901234")));
    assert_false(contract__name_is_valid(SLICE("")));
    assert_false(contract__name_is_valid(SLICE("A")));
    assert_false(contract__name_is_valid(SLICE("_a")));
    assert_false(contract__name_is_valid(SLICE("1a")));
    assert_false(contract__name_is_valid(SLICE("a-b")));
    assert_true(contract__value_is_valid(SLICE("A-b_c.1")));
    assert_false(contract__value_is_valid(SLICE("a b")));
    assert_false(contract__value_is_valid(SLICE("")));
    assert_true(contract__media_type_is_valid(SLICE("application/vnd.api+json")));
    assert_false(contract__media_type_is_valid(SLICE("image")));
    assert_false(contract__media_type_is_valid(SLICE("Image/png")));
    assert_false(contract__media_type_is_valid(SLICE("image/")));
    assert_false(contract__media_type_is_valid(SLICE("image/*")));
    assert_true(contract__media_range_is_valid(SLICE("image/*")));
    assert_true(contract__media_range_is_valid(SLICE("image/png")));
    assert_false(contract__media_range_is_valid(SLICE("*/*")));
    assert_false(contract__media_range_is_valid(SLICE("/*")));
    assert_true(contract__media_type_matches(SLICE("image/png"), SLICE("image/*")));
    assert_true(contract__media_type_matches(SLICE("image/png"), SLICE("image/png")));
    assert_false(contract__media_type_matches(SLICE("imagex/png"), SLICE("image/*")));
    assert_false(contract__media_type_matches(SLICE("image/gif"), SLICE("image/png")));
}

static void test_format_currencies_are_sorted_and_found(void **state)
{
    (void)state;
    unsigned i = 0, exponent = 9;
    for (; contract__currency_at(i); i++) {
        const char *code = contract__currency_at(i);
        if (i > 0 && memcmp(contract__currency_at(i - 1), code, 3) >= 0)
            fail_msg("%s stands after %s", code, contract__currency_at(i - 1));
        assert_true(contract__currency_find(slice_of(code, 3), &exponent));
        assert_int_equal(exponent, code[3] - '0');
    }
    assert_true(i > 150);
    assert_true(contract__currency_find(SLICE("JPY"), &exponent) && exponent == 0);
    assert_true(contract__currency_find(SLICE("KWD"), &exponent) && exponent == 3);
    assert_false(contract__currency_find(SLICE("DEM"), NULL));
    assert_false(contract__currency_find(SLICE("AAA"), NULL));
    assert_false(contract__currency_find(SLICE("ZZZ"), NULL));
    assert_false(contract__currency_find(SLICE("EU"), NULL));
}

static struct contract_pattern *pattern(struct arena *arena, const char *text)
{
    struct contract_pattern *p = NULL;
    struct contract_pattern_error error;
    if (contract_pattern_compile(slice_cstr(text), arena, &p, &error) != STATUS_OK)
        fail_msg("%s: %s at %zu", text, error.reason, error.offset);
    return p;
}

static void test_pattern_matches(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool want;
    } rows[] = {
        { "", "anything", true },
        { "b", "abc", true },
        { "^b", "abc", false },
        { "^abc$", "abc", true },
        { "^abc$", "abc\n", false },
        { "^\\d+$", "123", true },
        { "^\\d+$", "\xd9\xa1\xd9\xa2", false },
        { "^.$", "\xf0\x9f\x98\x80", true },
        { "^\\p{L}+$", "\xc3\xa9t\xc3\xa9", true },
        { "^\\u00e9$", "\xc3\xa9", true },
        { "^(a)?b\\1$", "b", true },
        { "(x)(y)(z)", "xyz", true },
    };
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct contract_pattern *p = pattern(arena, rows[i].pattern);
        if (contract_pattern_match(p, slice_cstr(rows[i].text)) != rows[i].want)
            fail_msg("%s on %s: not %d", rows[i].pattern, rows[i].text, rows[i].want);
        contract_pattern_free(p);
    }
    contract_pattern_free(NULL);
}

static void test_pattern_refused(void **state)
{
    struct contract_pattern *p = NULL;
    struct contract_pattern_error error = { .offset = 99 };
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    assert_int_equal(contract_pattern_compile(SLICE("a(b"), arena, &p, &error), STATUS_INVALID);
    assert_int_equal(error.offset, 3);
    assert_string_equal(error.reason, "missing closing parenthesis");
    assert_int_equal(contract_pattern_compile(SLICE("\\C"), arena, &p, &error), STATUS_INVALID);
    assert_int_equal(contract_pattern_compile(SLICE("(?R)"), arena, &p, &error), STATUS_INVALID);
    char text[CONTRACT_PATTERN_BYTES_MAX + 1];
    memset(text, 'a', sizeof(text));
    assert_int_equal(contract_pattern_compile(slice_of(text, sizeof(text)), arena, &p, &error),
                     STATUS_TOO_LARGE);
    memset(text, '(', 100);
    assert_int_equal(contract_pattern_compile(slice_of(text, 100), arena, &p, &error),
                     STATUS_INVALID);
    CLEANUP(arena_free) struct arena *tiny = arena_new(NULL, 1);
    assert_int_equal(contract_pattern_compile(SLICE("a"), tiny, &p, &error), STATUS_EXHAUSTED);
    assert_null(p);
}

/* What takes other engines the age of the universe ends at the limits, as no match. */
static void test_pattern_cannot_run_away(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct contract_pattern *p = pattern(arena, "^(a+)+$");
    char text[2000];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '!';
    int64_t before = clock_mono_us();
    assert_false(contract_pattern_match(p, slice_of(text, sizeof(text))));
    assert_true(clock_mono_us() - before < 2 * CLOCK_SECOND);
    contract_pattern_free(p);
    p = pattern(arena, "^(?:(?:.|[a-z])+x?)*\\d$");
    assert_false(contract_pattern_match(p, slice_of(text, sizeof(text))));
    contract_pattern_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_email),
        cmocka_unit_test(test_format_url),
        cmocka_unit_test(test_format_names),
        cmocka_unit_test(test_format_currencies_are_sorted_and_found),
        cmocka_unit_test(test_pattern_matches),
        cmocka_unit_test(test_pattern_refused),
        cmocka_unit_test(test_pattern_cannot_run_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
