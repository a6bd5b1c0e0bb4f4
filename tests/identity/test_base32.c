/* tests/identity/test_base32.c - Base32 by the vectors of its RFC, and what is not base32. */
#include "identity/base32.h"

#include <string.h>

#include "base/macros.h"
#include "fixture.h"

static enum status read_text(const char *text, uint8_t *out, size_t max, size_t *ret_len)
{
    return identity_base32_read(slice_cstr(text), out, max, ret_len);
}

static void test_base32_has_the_vectors_of_its_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *padded, *bare;
    } cases[] = {
        { "", "", "" },
        { "f", "MY======", "MY" },
        { "fo", "MZXQ====", "MZXQ" },
        { "foo", "MZXW6===", "MZXW6" },
        { "foob", "MZXW6YQ=", "MZXW6YQ" },
        { "fooba", "MZXW6YTB", "MZXW6YTB" },
        { "foobar", "MZXW6YTBOI======", "MZXW6YTBOI" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b;
        buf_init(&b, NULL, 0, 64);
        identity_base32_put(&b, (const uint8_t *)cases[i].bytes, strlen(cases[i].bytes));
        assert_slice(buf_slice(&b), slice_cstr(cases[i].bare));
        buf_fini(&b);
        const char *const texts[] = { cases[i].padded, cases[i].bare };
        for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
            uint8_t out[8];
            size_t len = 99;
            assert_status(read_text(texts[j], out, sizeof(out), &len), STATUS_OK);
            assert_slice(slice_of((const char *)out, len), slice_cstr(cases[i].bytes));
        }
    }
}

static void test_base32_is_read_as_people_write_it(void **state)
{
    (void)state;
    static const char *const texts[] = { "mzxw 6ytb oi", "MZXW-6YTB-OI", " mZxW6yTb OI====== " };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        uint8_t out[6];
        size_t len = 0;
        assert_status(read_text(texts[i], out, sizeof(out), &len), STATUS_OK);
        assert_slice(slice_of((const char *)out, len), SLICE("foobar"));
    }
}

static void test_base32_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        enum status want;
    } cases[] = {
        { "a digit it has not", "MZXW1YTB", STATUS_INVALID },
        { "another digit it has not", "MZXW8YTB", STATUS_INVALID },
        { "a letter of elsewhere", "MZXW\xc3\xa9", STATUS_INVALID },
        { "one character", "M", STATUS_INVALID },
        { "three characters", "MZX", STATUS_INVALID },
        { "six characters", "MZXW6Y", STATUS_INVALID },
        { "too little padding", "MY=====", STATUS_INVALID },
        { "too much padding", "MY=======", STATUS_INVALID },
        { "padding where none is", "MZXW6YTB========", STATUS_INVALID },
        { "padding alone", "=", STATUS_INVALID },
        { "more behind the padding", "MY======MY", STATUS_INVALID },
        { "bits behind the last byte", "MZ", STATUS_INVALID },
        { "more than asked for", "MZXW6YTBOJQQ", STATUS_TOO_LARGE },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t out[6];
        size_t len = 99;
        print_message("%s\n", cases[i].name);
        assert_status(read_text(cases[i].text, out, sizeof(out), &len), cases[i].want);
        assert_int_equal(len, 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base32_has_the_vectors_of_its_rfc),
        cmocka_unit_test(test_base32_is_read_as_people_write_it),
        cmocka_unit_test(test_base32_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
