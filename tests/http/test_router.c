/* tests/http/test_router.c - Patterns and the paths they take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "http/internal.h"

static void handle(struct http_request *req, void *arg)
{
    (void)req;
    (void)arg;
}

static const struct {
    enum net_method method;
    const char *pattern;
} routes[] = {
    { NET_METHOD_GET, "/" },
    { NET_METHOD_GET, "/a" },
    { NET_METHOD_POST, "/a" },
    { NET_METHOD_GET, "/a/b" },
    { NET_METHOD_GET, "/a/{x}" },
    { NET_METHOD_DELETE, "/a/{x}" },
    { NET_METHOD_GET, "/a/{x}/c" },
    { NET_METHOD_GET, "/a/b/d" },
    { NET_METHOD_PUT, "/a/b" },
    { NET_METHOD_GET, "/{r}/{id}/of/{q}" },
    { NET_METHOD_GET, "/files/{rest*}" },
    { NET_METHOD_GET, "/files/one" },
    { NET_METHOD_GET, "/slash/" },
    { NET_METHOD_OPTIONS, "/own-options" },
};

#define BIT(m) (1u << NET_METHOD_##m)

static const struct {
    enum net_method method;
    const char *path;
    int want;       /* index in routes, or -1 */
    unsigned allow; /* looked at when want is -1 */
    const char *values[3];
} cases[] = {
    { NET_METHOD_GET, "/", 0, 0, { NULL } },
    { NET_METHOD_GET, "/a", 1, 0, { NULL } },
    { NET_METHOD_HEAD, "/a", 1, 0, { NULL } },
    { NET_METHOD_POST, "/a", 2, 0, { NULL } },
    { NET_METHOD_PUT, "/a", -1, BIT(GET) | BIT(POST), { NULL } },
    { NET_METHOD_GET, "/a/b", 3, 0, { NULL } },
    { NET_METHOD_GET, "/a/z", 4, 0, { "z" } },
    { NET_METHOD_DELETE, "/a/b", 5, 0, { "b" } },
    { NET_METHOD_PATCH, "/a/b", -1, BIT(GET) | BIT(PUT) | BIT(DELETE), { NULL } },
    { NET_METHOD_GET, "/a/b/c", 6, 0, { "b" } },
    { NET_METHOD_GET, "/a/b/d", 7, 0, { NULL } },
    { NET_METHOD_GET, "/x/1/of/2", 9, 0, { "x", "1", "2" } },
    { NET_METHOD_GET, "/a/b/of/2", 9, 0, { "a", "b", "2" } },
    { NET_METHOD_GET, "/files/", 10, 0, { "" } },
    { NET_METHOD_GET, "/files/a/b/c", 10, 0, { "a/b/c" } },
    { NET_METHOD_GET, "/files/one", 11, 0, { NULL } },
    { NET_METHOD_GET, "/files/one/two", 10, 0, { "one/two" } },
    { NET_METHOD_POST, "/files/a", -1, BIT(GET), { NULL } },
    { NET_METHOD_GET, "/files", -1, 0, { NULL } },
    { NET_METHOD_GET, "/slash/", 12, 0, { NULL } },
    { NET_METHOD_GET, "/slash", -1, 0, { NULL } },
    { NET_METHOD_GET, "/a/", -1, 0, { NULL } },
    { NET_METHOD_GET, "/a/b/", -1, 0, { NULL } },
    { NET_METHOD_GET, "/nope", -1, 0, { NULL } },
    { NET_METHOD_GET, "/A", -1, 0, { NULL } },
    { NET_METHOD_OPTIONS, "/own-options", 13, 0, { NULL } },
    { NET_METHOD_OPTIONS, "*", -1, 0, { NULL } },
    { NET_METHOD_GET, "", -1, 0, { NULL } },
};

static void test_router_table(void **state)
{
    (void)state;
    struct http__router *r = http__router_new();
    const struct http__route *added[ARRAY_LEN(routes)];
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        const struct http_route route = { .method = routes[i].method,
                                          .pattern = routes[i].pattern,
                                          .handle_inline = handle };
        struct http__route *one;
        const char *reason = "";
        if (http__router_add(r, &route, &one, &reason) != STATUS_OK)
            fail_msg("%s: %s", routes[i].pattern, reason);
        added[i] = one;
        assert_ptr_equal(http__router_at(r, (unsigned)i), one);
    }
    assert_int_equal(http__router_len(r), ARRAY_LEN(routes));
    assert_null(http__router_at(r, ARRAY_LEN(routes)));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http__match m;
        http__router_find(r, cases[i].method, slice_cstr(cases[i].path), &m);
        const struct http__route *want = cases[i].want < 0 ? NULL : added[cases[i].want];
        if (m.route != want || (!want && m.allow != cases[i].allow))
            fail_msg("case %zu, %s: %s, allow %x", i, cases[i].path,
                     m.route ? m.route->route.pattern : "none", m.allow);
        for (unsigned v = 0; want && v < ARRAY_LEN(cases[i].values); v++) {
            const char *value = cases[i].values[v];
            assert_int_equal(v < m.values_len, value != NULL);
            if (value && !slice_eq(m.values[v], slice_cstr(value)))
                fail_msg("case %zu: value %u", i, v);
        }
    }
    http__router_free(r);
}

static void test_router_refuses_patterns(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "a",
        "/a//b",
        "/a{x}",
        "/{x}y",
        "/{}",
        "/{a-b}",
        "/{rest*}/x",
        "/{*}",
        "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}",
        "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25",
        "/taken",
        "/by/{other}",
    };
    struct http__router *r = http__router_new();
    struct http__route *one;
    const char *reason = NULL;
    struct http_route route = { .method = NET_METHOD_GET,
                                .pattern = "/taken",
                                .handle_inline = handle };
    assert_int_equal(http__router_add(r, &route, &one, &reason), STATUS_OK);
    route.pattern = "/by/{name}";
    assert_int_equal(http__router_add(r, &route, &one, &reason), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        route.pattern = bad[i];
        reason = NULL;
        if (http__router_add(r, &route, &one, &reason) != STATUS_INVALID || !reason)
            fail_msg("%s is taken", bad[i]);
    }
    route.pattern = "/no-handler";
    route.handle_inline = NULL;
    assert_int_equal(http__router_add(r, &route, &one, &reason), STATUS_INVALID);
    assert_int_equal(http__router_len(r), 2);
    http__router_free(r);
}

static void test_router_holds_many(void **state)
{
    (void)state;
    struct http__router *r = http__router_new();
    struct http__match m;
    char pattern[64];
    for (int i = 0; i < 2000; i++) {
        struct http__route *one;
        const char *reason;
        (void)snprintf(pattern, sizeof(pattern), "/r%d/x", i);
        const struct http_route route = { .method = NET_METHOD_GET,
                                          .pattern = pattern,
                                          .handle_inline = handle };
        assert_int_equal(http__router_add(r, &route, &one, &reason), STATUS_OK);
    }
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(pattern, sizeof(pattern), "/r%d/x", i);
        http__router_find(r, NET_METHOD_GET, slice_cstr(pattern), &m);
        assert_non_null(m.route);
        assert_string_equal(m.route->route.pattern, pattern);
    }
    http__router_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router_table),
        cmocka_unit_test(test_router_refuses_patterns),
        cmocka_unit_test(test_router_holds_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
