/* tests/http/test_files.c - Names of static files: their type, whether they are served, whether
 * they never change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "http/internal.h"

static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type;
    } cases[] = {
        { "index.html", "text/html; charset=utf-8" },
        { "a/b.c/app.JS", "text/javascript; charset=utf-8" },
        { "a.tar.gz", "application/gzip" },
        { "photo.jpeg", "image/jpeg" },
        { "module.wasm", "application/wasm" },
        { "README", "application/octet-stream" },
        { "html", "application/octet-stream" },
        { "a.html/b", "application/octet-stream" },
        { "a.", "application/octet-stream" },
        { "", "application/octet-stream" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(http__file_type(slice_cstr(cases[i].name)), cases[i].type);
}

static void test_hashed(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool hashed;
    } cases[] = {
        { "app.3f9a0c11.js", true },
        { "assets/app.3f9a0c11.js", true },
        { "app.min.0123456789abcdef.css", true },
        { "app.3f9a0c11.js.map", true },
        { "app.3f9a0c1.js", false },
        { "app.3F9A0C11.js", false },
        { "app.3f9a0c1g.js", false },
        { "3f9a0c11.js", false },
        { "app.3f9a0c11", false },
        { "app.3f9a0c11/app.js", false },
        { "app.js", false },
        { "", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (http__file_name_is_hashed(slice_cstr(cases[i].name)) != cases[i].hashed)
            fail_msg("%s", cases[i].name);
    }
}

static void test_served(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool served;
    } cases[] = {
        { "a.txt", true },
        { "a/b/c.txt", true },
        { "a/", true },
        { "", true },
        { "a b", true },
        { ".well-known/security.txt", true },
        { ".well-known/.env", false },
        { "a/.well-known/x", false },
        { ".env", false },
        { "a/.env", false },
        { ".git/config", false },
        { "..", false },
        { "../a", false },
        { "a/../b", false },
        { "a/./b", false },
        { "a//b", false },
        { "/a", false },
        { "a\\b", false },
        { "..\\a", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (http__file_name_is_served(slice_cstr(cases[i].name)) != cases[i].served)
            fail_msg("%s", cases[i].name);
    }
    assert_false(http__file_name_is_served(slice_of("a\0b", 3)));
    static char name[1025];
    memset(name, 'a', sizeof(name));
    assert_true(http__file_name_is_served(slice_of(name, 1024)));
    assert_false(http__file_name_is_served(slice_of(name, 1025)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_hashed),
        cmocka_unit_test(test_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
