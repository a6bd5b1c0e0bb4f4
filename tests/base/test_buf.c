#include "check.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"

static void test_appends(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b;
    buf_init(&b, NULL, 0, 10000);
    assert_int_equal(buf_slice(&b).len, 0);
    buf_put(&b, NULL, 0);
    buf_put_lit(&b, "lit ");
    buf_put_cstr(&b, "cstr ");
    buf_put_slice(&b, SLICE("slice "));
    buf_putc(&b, 'c');
    buf_put_hex(&b, "\x00\xab\xff", 3);
    buf_printf(&b, " %d-%s", 7, "x");
    buf_put_percent(&b, SLICE("a-Z_0.~/ \xc3\xa9%"));
    check_text("all", buf_slice(&b), SLICE("lit cstr slice c00abff 7-xa-Z_0.~%2F%20%C3%A9%25"));
    assert_int_equal(buf_status(&b), STATUS_OK);

    char *memory = b.data;
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    buf_putc(&b, 'x');
    assert_ptr_equal(b.data, memory);
}

/* RFC 4648 section 10, and the two digits that base64url has of its own. */
static void test_base64url(void **state)
{
    static const struct {
        struct slice bytes, text;
    } rows[] = {
        { SLICE_INIT(""), SLICE_INIT("") },
        { SLICE_INIT("f"), SLICE_INIT("Zg") },
        { SLICE_INIT("fo"), SLICE_INIT("Zm8") },
        { SLICE_INIT("foo"), SLICE_INIT("Zm9v") },
        { SLICE_INIT("foob"), SLICE_INIT("Zm9vYg") },
        { SLICE_INIT("fooba"), SLICE_INIT("Zm9vYmE") },
        { SLICE_INIT("foobar"), SLICE_INIT("Zm9vYmFy") },
        { SLICE_INIT("\xfb\xff\xbf\0"), SLICE_INIT("-_-_AA") },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_fini) struct buf b;
        buf_init(&b, NULL, 0, rows[i].text.len);
        buf_put_base64url(&b, rows[i].bytes.data, rows[i].bytes.len);
        assert_int_equal(buf_status(&b), STATUS_OK);
        check_text("base64url", buf_slice(&b), rows[i].text);
    }
    CLEANUP(buf_fini) struct buf small;
    buf_init(&small, NULL, 0, 7);
    buf_put_base64url(&small, "foobar", 6);
    assert_int_equal(buf_status(&small), STATUS_TOO_LARGE);
    assert_int_equal(small.len, 0);
    buf_clear(&small);
    buf_put_base64url(&small, "x", SIZE_MAX);
    assert_int_equal(buf_status(&small), STATUS_TOO_LARGE);
}

static void test_long_printf(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b;
    buf_init(&b, NULL, 0, 10000);
    for (int width = 250; width < 260; width++) {
        buf_clear(&b);
        buf_printf(&b, "%*d", width, 1);
        assert_int_equal(b.len, width);
        assert_int_equal(b.data[width - 1], '1');
    }
}

static void test_integers(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b;
    buf_init(&b, NULL, 0, 1000);
    static const int64_t fixed[] = { 0, 1, -1, 9, 10, -10, 99, 100, INT64_MAX, INT64_MIN };
    char want[32];
    for (size_t i = 0; i < ARRAY_LEN(fixed) + 2000; i++) {
        int64_t value = i < ARRAY_LEN(fixed) ? fixed[i] : (int64_t)random_fast() >> (i % 64);
        buf_clear(&b);
        buf_put_i64(&b, value);
        (void)snprintf(want, sizeof(want), "%lld", (long long)value);
        check_text("i64", buf_slice(&b), slice_cstr(want));
        buf_clear(&b);
        buf_put_u64(&b, (uint64_t)value);
        (void)snprintf(want, sizeof(want), "%llu", (unsigned long long)value);
        check_text("u64", buf_slice(&b), slice_cstr(want));
    }
    for (uint64_t power = 1, n = 1; n < 20; n++, power *= 10) {
        buf_clear(&b);
        buf_put_u64(&b, power);
        assert_int_equal(b.len, n);
        buf_clear(&b);
        buf_put_u64(&b, power * 10 - 1);
        assert_int_equal(b.len, n);
    }
}

static void test_doubles(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b;
    buf_init(&b, NULL, 0, 1000);
    static const struct {
        double value;
        const char *want;
    } cases[] = {
        { 0, "0" },
        { -0.0, "-0" },
        { 1, "1" },
        { -3, "-3" },
        { 1e15, "1000000000000000" },
        { 9007199254740991.0, "9007199254740991" },
        { 1e22, "1e+22" },
        { 0.1, "0.1" },
        { -0.5, "-0.5" },
        { 0.001, "0.001" },
        { 0.0001, "0.0001" },
        { 19.99, "19.99" },
        { 1.05, "1.05" },
        { 100.000001, "100.000001" },
        { 0.1 + 0.2, "0.30000000000000004" },
        { 1.0 / 3, "0.3333333333333333" },
        { 123456789.125, "123456789.125" },
        { 5e-7, "5e-07" },
        { DBL_MAX, "1.7976931348623157e+308" },
        { DBL_MIN, "2.2250738585072014e-308" },
        { (double)NAN, "null" },
        { (double)INFINITY, "null" },
        { -(double)INFINITY, "null" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&b);
        buf_put_double(&b, cases[i].value);
        check_text(cases[i].want, buf_slice(&b), slice_cstr(cases[i].want));
    }
}

static void check_reads_back(struct buf *b, double value)
{
    buf_clear(b);
    buf_put_double(b, value);
    double back;
    if (!slice_to_double(buf_slice(b), &back) || back != value || signbit(back) != signbit(value))
        fail_msg("%.17g became %.*s", value, SLICE_ARG(buf_slice(b)));
}

static void test_any_double_reads_back(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b;
    buf_init(&b, NULL, 0, 1000);
    for (unsigned i = 0; i < 40000; i++) {
        uint64_t bits = random_fast();
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (isfinite(value))
            check_reads_back(&b, value);
        /* And what people write: few decimals. */
        check_reads_back(&b,
                         (double)((int64_t)bits >> 40) / (double[]){ 10, 100, 1e3, 1e6 }[i % 4]);
        check_reads_back(&b, (double)(bits >> 11) * 0x1p-53);
    }
}

static void test_doubles_in_a_locale_with_commas(void **state)
{
    (void)state;
    static const char *const names[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8" };
    CLEANUP(buf_fini) struct buf b;
    buf_init(&b, NULL, 0, 1000);
    bool found = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!setlocale(LC_ALL, names[i]))
            continue;
        found = true;
        check_reads_back(&b, 1.0 / 3);
        check_reads_back(&b, 1e-300);
        buf_clear(&b);
        buf_put_double(&b, 1.0 / 3);
        check_text(names[i], buf_slice(&b), SLICE("0.3333333333333333"));
    }
    (void)setlocale(LC_ALL, "C");
    if (!found)
        skip();
}

static void test_maximum_is_remembered(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b;
    buf_init(&b, NULL, 4, 10);
    buf_put_lit(&b, "12345678");
    buf_put_lit(&b, "9ab"); /* too much: nothing of it goes in */
    assert_int_equal(buf_status(&b), STATUS_TOO_LARGE);
    buf_putc(&b, 'x'); /* would fit, but comes after a failure */
    buf_printf(&b, "%d", 1);
    buf_put_i64(&b, 1);
    buf_put_hex(&b, "x", SIZE_MAX);
    check_text("kept", buf_slice(&b), SLICE("12345678"));
    buf_clear(&b);
    buf_put_lit(&b, "1234567890");
    assert_int_equal(buf_status(&b), STATUS_OK);
    buf_put_u64(&b, 1);
    assert_int_equal(buf_status(&b), STATUS_TOO_LARGE);
    buf_clear(&b);
    buf_put_hex(&b, "x", SIZE_MAX);
    assert_int_equal(buf_status(&b), STATUS_TOO_LARGE);
    buf_clear(&b);
    buf_put_double(&b, 123456.1234567);
    buf_put_double(&b, 1.5);
    assert_int_equal(buf_status(&b), STATUS_TOO_LARGE);
    buf_clear(&b);
    char *p = buf_reserve(&b, SIZE_MAX);
    assert_null(p);
}

static void test_long_printf_past_the_maximum(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b;
    buf_init(&b, NULL, 0, 300);
    buf_printf(&b, "%*d", 400, 1);
    assert_int_equal(buf_status(&b), STATUS_TOO_LARGE);
    assert_int_equal(b.len, 0);
}

static void test_in_an_arena(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 4096);
    struct buf b;
    buf_init(&b, arena, 64, 1 << 20);
    assert_int_equal(b.cap, 64);
    for (int i = 0; i < 1000; i++)
        buf_put_lit(&b, "0123456789");
    assert_int_equal(buf_status(&b), STATUS_EXHAUSTED);
    /* It grew in place, and to the last bytes of the budget. */
    assert_true(b.len > 4096 - 20 && b.len % 10 == 0);
    buf_fini(&b);
    buf_fini(&b);

    struct arena *tiny = arena_new(NULL, 16);
    buf_init(&b, tiny, 100, 1000);
    assert_int_equal(buf_status(&b), STATUS_EXHAUSTED);
    arena_free(tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_base64url),
        cmocka_unit_test(test_long_printf),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_any_double_reads_back),
        cmocka_unit_test(test_doubles_in_a_locale_with_commas),
        cmocka_unit_test(test_maximum_is_remembered),
        cmocka_unit_test(test_long_printf_past_the_maximum),
        cmocka_unit_test(test_in_an_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
