/* tests/identity/test_related_origins.c - Whose pages may use passkeys: what may be in the list,
 * and what is of it. */
#include "identity/related_origins.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "fixture.h"
#include "identity/identity.h"

#define APP "android:apk-key-hash:NLeaVWP1J4yMjoe0e0rtSEeYnhKtGvzxB4tIPT4cNtQ"

static void test_a_list_has_origins_as_browsers_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool is_good;
    } cases[] = {
        { "", true },
        { "https://app.example.org", true },
        { " https://a.example , http://localhost:3000,https://b.example:8443," APP, true },
        { "http://localhost", true },
        { "http://app.example.org", false },
        { "http://localhost.example.org", false },
        { "https://App.example.org", false },
        { "https://app.example.org/", false },
        { "https://*.example.org", false },
        { "https://user@example.org", false },
        { "https://example.org:443", false },
        { "https://example.org:0", false },
        { "https://example.org:08", false },
        { "https://example.org:65536", false },
        { "https://example.org:", false },
        { "https://", false },
        { "null", false },
        { "*", false },
        { APP "x", false },
        { "android:apk-key-hash:NLeaVWP1J4yMjoe0e0rtSEeYnhKtGvzxB4tIPT4cNt=", false },
        { "https://a.example,nonsense", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool is_good = !identity_passkey_origins_check(slice_cstr(cases[i].list));
        if (is_good != cases[i].is_good)
            fail_msg("\"%s\" is %s", cases[i].list, is_good ? "taken" : "refused");
    }
}

static void test_a_list_is_bounded(void **state)
{
    (void)state;
    struct buf list;
    buf_init(&list, NULL, 0, 4096);
    for (unsigned i = 0; i < IDENTITY_PASSKEY_ORIGINS_MAX; i++)
        buf_printf(&list, "https://a%u.example,", i);
    assert_null(identity_passkey_origins_check(buf_slice(&list)));
    buf_put_lit(&list, "https://more.example");
    assert_non_null(identity_passkey_origins_check(buf_slice(&list)));
    buf_fini(&list);
}

static void test_an_origin_is_related_byte_for_byte(void **state)
{
    (void)state;
    const struct slice list = SLICE("https://a.example, http://localhost:3000 ," APP);
    static const struct {
        const char *origin;
        bool is_related;
    } cases[] = {
        { "https://a.example", true },
        { "http://localhost:3000", true },
        { APP, true },
        { "https://a.example:443", false },
        { "https://A.example", false },
        { "https://a.example.evil.example", false },
        { "http://a.example", false },
        { "https://a.exampl", false },
        { "http://localhost:3000/", false },
        { "", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(identity_origin_is_related(list, slice_cstr(cases[i].origin)),
                         cases[i].is_related);
    assert_false(identity_origin_is_related(SLICE(""), SLICE("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_list_has_origins_as_browsers_write_them),
        cmocka_unit_test(test_a_list_is_bounded),
        cmocka_unit_test(test_an_origin_is_related_byte_for_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
