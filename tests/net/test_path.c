/* tests/net/test_path.c - Targets and the normal form of their paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/macros.h"
#include "net/codec.h"

static const struct {
    const char *in, *want; /* NULL: INVALID */
} paths[] = {
    { "/", "/" },
    { "/a", "/a" },
    { "/a/", "/a/" },
    { "/a/b.c/d-e_f~g", "/a/b.c/d-e_f~g" },
    { "/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,=" },
    { "/%61%2D%5f%7E", "/a-_~" },
    { "/a%20b", "/a%20b" },
    { "/a%c3%a9", "/a%C3%A9" },
    { "/%e2%82%ac/%F0%9F%98%80", "/%E2%82%AC/%F0%9F%98%80" },
    { "/%252e", "/%252e" },
    { "/./a", "/a" },
    { "/a/./b", "/a/b" },
    { "/a/../b", "/b" },
    { "/a/b/../../c", "/c" },
    { "/a/.", "/a/" },
    { "/a/..", "/" },
    { "/a/b/..", "/a/" },
    { "/.a/..b/c..", "/.a/..b/c.." },
    { "/...", "/..." },
    { "/.", "/" },
    { "", NULL },
    { "a", NULL },
    { "//", NULL },
    { "//a", NULL },
    { "/a//b", NULL },
    { "/..", NULL },
    { "/../a", NULL },
    { "/a/../..", NULL },
    { "/%2e", NULL },
    { "/%2E%2e/a", NULL },
    { "/a%2fb", NULL },
    { "/a%5Cb", NULL },
    { "/a\\b", NULL },
    { "/a;b", NULL },
    { "/a%3bb", NULL },
    { "/%00", NULL },
    { "/%0a", NULL },
    { "/%7f", NULL },
    { "/%", NULL },
    { "/%4", NULL },
    { "/%zz", NULL },
    { "/%c0%ae", NULL },
    { "/%c3", NULL },
    { "/%c3a", NULL },
    { "/%c3%61", NULL },
    { "/%e0%80%af", NULL },
    { "/%ed%a0%80", NULL },
    { "/%f4%90%80%80", NULL },
    { "/%80", NULL },
    { "/caf\xc3\xa9", NULL },
    { "/a b", NULL },
    { "/a\tb", NULL },
    { "/a\"b", NULL },
    { "/a<b>", NULL },
    { "/a|b", NULL },
    { "/a{b}", NULL },
    { "/a#b", NULL },
};

static void test_path_normalise(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct arena *arena = arena_new(NULL, 0);
        struct slice got = SLICE_NULL;
        enum status st = net__path_normalise(arena, slice_cstr(paths[i].in), &got);
        if (!paths[i].want) {
            if (st != STATUS_INVALID)
                fail_msg("%s: %s", paths[i].in, status_name(st));
        } else if (st != STATUS_OK || !slice_eq(got, slice_cstr(paths[i].want))) {
            fail_msg("%s: %s \"%.*s\"", paths[i].in, status_name(st), SLICE_ARG(got));
        }
        arena_free(arena);
    }
}

/* What is normal stays as it is: nothing can be spelled in two layers. */
static void test_path_normalise_is_idempotent_but_for_percent(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct arena *arena = arena_new(NULL, 0);
        struct slice once, twice;
        if (net__path_normalise(arena, slice_cstr(paths[i].in), &once) == STATUS_OK &&
            !slice_starts(once, SLICE("/%25"))) {
            assert_int_equal(net__path_normalise(arena, once, &twice), STATUS_OK);
            assert_true(slice_eq(once, twice));
        }
        arena_free(arena);
    }
}

static void test_path_normalise_keeps_to_the_budget(void **state)
{
    (void)state;
    char text[2048];
    memset(text, 'a', sizeof(text));
    memcpy(text, "/a/../", 6);
    struct arena *arena = arena_new(NULL, 1024);
    struct slice got;
    assert_int_equal(net__path_normalise(arena, slice_of(text, sizeof(text)), &got),
                     STATUS_EXHAUSTED);
    arena_free(arena);
}

static void test_authority(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool want;
    } cases[] = {
        { "example.com", true }, { "example.com:80", true },
        { "localhost:", true },  { "127.0.0.1:8000", true },
        { "[::1]", true },       { "[::1]:8000", true },
        { "[v::1", false },      { "[]", false },
        { "", false },           { ":80", false },
        { "a:b", false },        { "a:70000", false },
        { "a b", false },        { "user@host", false },
        { "a/b", false },        { "a,b", false },
        { "a?b", false },        { "a#b", false },
        { "[::1]x", false },     { "caf\xc3\xa9", false },
        { "a%2eb", false },      { "a;b", false },
        { "[:::::]", false },    { "[127.0.0.1]", false },
        { "[abcd]", false },     { "[::ffff:1.2.3.4]", true },
        { "[::1%25lo]", false }, { "a!$&'()*+=~_-.b", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (net__authority_is_valid(slice_cstr(cases[i].in)) != cases[i].want)
            fail_msg("%s", cases[i].in);
    }
}

static void test_target(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool is_options;
        const char *path, *query, *host; /* path NULL: INVALID; query, host NULL: none */
    } cases[] = {
        { "/a?b=c", false, "/a", "b=c", NULL },
        { "/a?", false, "/a", "", NULL },
        { "/a?b?c", false, "/a", "b?c", NULL },
        { "/?//..%2e", false, "/", "//..%2e", NULL },
        { "http://h/a?b", false, "/a", "b", "h" },
        { "HTTPS://h:1/", false, "/", NULL, "h:1" },
        { "http://h", false, "/", NULL, "h" },
        { "http://h?q", false, "/", "q", "h" },
        { "*", true, "*", NULL, NULL },
        { "*", false, NULL, NULL, NULL },
        { "http://u@h/", false, NULL, NULL, NULL },
        { "http:///a", false, NULL, NULL, NULL },
        { "ftp://h/", false, NULL, NULL, NULL },
        { "h:80", false, NULL, NULL, NULL },
        { "a", false, NULL, NULL, NULL },
        { "", false, NULL, NULL, NULL },
        { "/a#b", false, NULL, NULL, NULL },
        { "/a?b#c", false, NULL, NULL, NULL },
        { "/a?\xc3\xa9", false, NULL, NULL, NULL },
        { "/a?b[c]|d", false, "/a", "b[c]|d", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new(NULL, 0);
        struct net_request r = { .method = NET_METHOD_GET };
        enum status st = net__target_parse(arena, slice_cstr(cases[i].in), cases[i].is_options, &r);
        bool is_right = cases[i].path
                            ? st == STATUS_OK && slice_eq(r.path, slice_cstr(cases[i].path)) &&
                                  slice_eq(r.query, slice_cstr(cases[i].query)) &&
                                  !r.query.data == !cases[i].query &&
                                  slice_eq(r.host, slice_cstr(cases[i].host))
                            : st == STATUS_INVALID;
        if (!is_right)
            fail_msg("%s: %s %.*s ? %.*s", cases[i].in, status_name(st), SLICE_ARG(r.path),
                     SLICE_ARG(r.query));
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_normalise),
        cmocka_unit_test(test_path_normalise_is_idempotent_but_for_percent),
        cmocka_unit_test(test_path_normalise_keeps_to_the_budget),
        cmocka_unit_test(test_authority),
        cmocka_unit_test(test_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
