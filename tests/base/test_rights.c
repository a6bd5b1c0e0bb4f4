/* Permissions, patterns and roles: what covers what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/macros.h"
#include "base/rights.h"

static void test_rights_patterns(void **state)
{
    static const struct {
        const char *text;
        bool is_pattern, is_permission;
    } cases[] = {
        { "posts:delete", true, true },
        { "posts:*", true, false },
        { "*:read", true, false },
        { "*:*", true, false },
        { "*", true, false },
        { "purlin:audit", true, true },
        { "my-app.v2:re_open", true, true },
        { "", false, false },
        { "posts", false, false },
        { ":", false, false },
        { "posts:", false, false },
        { ":read", false, false },
        { "posts:read:all", false, false },
        { "posts:re*", false, false },
        { "**", false, false },
        { "Posts:read", false, false },
        { "posts: read", false, false },
        { "posts:\xc3\xa9", false, false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice text = slice_cstr(cases[i].text);
        if (rights_is_pattern(text) != cases[i].is_pattern ||
            rights_is_permission(text) != cases[i].is_permission)
            fail_msg("%s", cases[i].text);
    }
    assert_false(rights_is_pattern(slice_of("posts:re\0d", 10)));
}

static void test_rights_length(void **state)
{
    char text[RIGHTS_NAME_MAX + 1];
    (void)state;
    memset(text, 'a', sizeof(text));
    text[1] = ':';
    assert_true(rights_is_permission(slice_of(text, RIGHTS_NAME_MAX)));
    assert_false(rights_is_permission(slice_of(text, RIGHTS_NAME_MAX + 1)));
}

static void test_rights_matches(void **state)
{
    static const struct {
        const char *pattern, *permission;
        bool want;
    } cases[] = {
        { "posts:delete", "posts:delete", true },
        { "posts:delete", "posts:read", false },
        { "posts:delete", "post:delete", false },
        { "posts:*", "posts:read", true },
        { "posts:*", "comments:read", false },
        { "*:read", "comments:read", true },
        { "*:read", "purlin:audit", false },
        { "*", "purlin:audit", true },
        { "*:*", "purlin:audit", true },
        { "", "posts:read", false },
        { "openid", "posts:read", false },
        { "posts", "posts:read", false },
        /* Of patterns: is all of the second among the first? */
        { "posts:*", "posts:*", true },
        { "posts:read", "posts:*", false },
        { "*", "*", true },
        { "*:read", "*", false },
        { "posts:*", "*", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (rights_matches(slice_cstr(cases[i].pattern), slice_cstr(cases[i].permission)) !=
            cases[i].want)
            fail_msg("%s of %s", cases[i].permission, cases[i].pattern);
}

static void test_rights_roles(void **state)
{
    static const struct slice patterns[] = { SLICE_INIT("posts:*"), SLICE_INIT("comments:read") };
    static const struct rights_role roles[] = {
        { .name = SLICE_INIT("editor"), .patterns = patterns, .patterns_len = 2 },
        { .name = SLICE_INIT("guest") },
    };
    const struct rights rights = { .roles = roles, .roles_len = 2 };
    (void)state;
    assert_true(rights_role_gives(&rights, SLICE("editor"), SLICE("posts:delete")));
    assert_true(rights_role_gives(&rights, SLICE("editor"), SLICE("comments:read")));
    assert_false(rights_role_gives(&rights, SLICE("editor"), SLICE("comments:delete")));
    assert_false(rights_role_gives(&rights, SLICE("guest"), SLICE("posts:read")));
    assert_false(rights_role_gives(&rights, SLICE("edito"), SLICE("posts:read")));
    assert_false(rights_role_gives(NULL, SLICE("editor"), SLICE("posts:read")));
    /* Whoever administers may all, declared or not. */
    assert_true(rights_role_gives(&rights, SLICE("admin"), SLICE("posts:read")));
    assert_true(rights_role_gives(NULL, SLICE("admin"), SLICE("purlin:impersonate")));
    assert_true(rights_has_role(&rights, SLICE("guest")));
    assert_true(rights_has_role(NULL, SLICE("admin")));
    assert_false(rights_has_role(&rights, SLICE("moderator")));
}

/* The program's own names are permissions, of its area, in order. */
static void test_rights_own(void **state)
{
    (void)state;
    for (unsigned i = 0; i < rights_own_len; i++) {
        assert_true(rights_is_permission(rights_own[i].name));
        assert_true(slice_starts(rights_own[i].name, SLICE(RIGHTS_AREA ":")));
        assert_true(rights_own[i].text.len > 0);
        if (i)
            assert_true(slice_cmp(rights_own[i - 1].name, rights_own[i].name) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights_patterns), cmocka_unit_test(test_rights_length),
        cmocka_unit_test(test_rights_matches),  cmocka_unit_test(test_rights_roles),
        cmocka_unit_test(test_rights_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
