#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/address.h"

static void check_address(const char *in, bool parsed, const struct address *a, const char *want)
{
    char text[ADDRESS_TEXT_MAX];
    check_int(in, parsed, want != NULL);
    if (parsed)
        check_text(in, address_format(a, text), slice_cstr(want));
}

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *in, *bare, *node; /* NULL: refused */
    } cases[] = {
        { "192.0.2.1", "192.0.2.1", "192.0.2.1" },
        { "2001:DB8:0:0:0:0:0:1", "2001:db8::1", "2001:db8::1" },
        { "::", "::", "::" },
        { "::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7" },
        { "[2001:db8::1]", NULL, "2001:db8::1" },
        { "[2001:db8::1]:443", NULL, "2001:db8::1" },
        { "192.0.2.1:80", NULL, "192.0.2.1" },
        { "192.0.2.1:", NULL, NULL },
        { "192.0.2.1:8o", NULL, NULL },
        { "192.0.2.1:123456", NULL, NULL },
        { "[192.0.2.1]", NULL, NULL },
        { "[2001:db8::1", NULL, NULL },
        { "[2001:db8::1]x", NULL, NULL },
        { "[2001:db8::1]:", NULL, NULL },
        { "[]", NULL, NULL },
        { "[", NULL, NULL },
        { "192.0.2.01", NULL, NULL },
        { "192.0.2", NULL, NULL },
        { "192.0.2.256", NULL, NULL },
        { " 192.0.2.1", NULL, NULL },
        { "fe80::1%eth0", NULL, NULL },
        { "localhost", NULL, NULL },
        { "", NULL, NULL },
        { ":", NULL, NULL },
        { "1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL, NULL },
        { "0000000000000000000000000000000000000000000000001", NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address a;
        struct slice in = slice_cstr(cases[i].in);
        bool parsed = address_parse(in, &a);
        check_address(cases[i].in, parsed, &a, cases[i].bare);
        parsed = address_parse_node(in, &a);
        check_address(cases[i].in, parsed, &a, cases[i].node);
    }
    struct address a;
    assert_false(address_parse(SLICE("192.0.2.1\0"), &a));
    assert_false(address_parse(SLICE_NULL, &a));
}

static void test_from_sockaddr(void **state)
{
    (void)state;
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr = { htonl(0xc0000201) } };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct address a, b;
    assert_true(address_from((struct sockaddr *)&v4, &a));
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &v6.sin6_addr), 1);
    assert_true(address_from((struct sockaddr *)&v6, &b));
    assert_true(address_eq(&a, &b));
    assert_true(a.is_v4 && b.is_v4);
    assert_false(address_from((struct sockaddr *)&un, &a));
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool is_loopback;
        const char *subscriber;
    } cases[] = {
        { "127.0.0.1", true, "127.0.0.1" },
        { "127.9.9.9", true, "127.9.9.9" },
        { "::1", true, "::" },
        { "::2", false, "::" },
        { "128.0.0.1", false, "128.0.0.1" },
        { "2001:db8:1:2:3:4:5:6", false, "2001:db8:1:2::" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address a, s;
        char text[ADDRESS_TEXT_MAX];
        assert_true(address_parse(slice_cstr(cases[i].in), &a));
        check_int(cases[i].in, address_is_loopback(&a), cases[i].is_loopback);
        s = address_subscriber(&a);
        check_text(cases[i].in, address_format(&s, text), slice_cstr(cases[i].subscriber));
    }
}

static void test_sets(void **state)
{
    (void)state;
    struct address_set set = { 0 };
    const char *reason = NULL;
    static const char *const good[] = { "10.0.0.0/8", "192.0.2.128/25", "203.0.113.7",
                                        "2001:db8::/33", "::1/128" };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(address_set_add(&set, slice_cstr(good[i]), &reason));
    static const char *const bad[] = {
        "",       "10.0.0.1/8",     "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/",
        "::/129", "2001:db8::1/64", "example.org", "/8",          "10.0.0.0/8/8",
        "Unix"
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        reason = NULL;
        check_int(bad[i], address_set_add(&set, slice_cstr(bad[i]), &reason), false);
        assert_non_null(reason);
    }
    static const struct {
        const char *in;
        bool want;
    } cases[] = {
        { "10.255.255.255", true },  { "11.0.0.0", false },        { "192.0.2.127", false },
        { "192.0.2.128", true },     { "203.0.113.7", true },      { "203.0.113.6", false },
        { "2001:db8:7fff::", true }, { "2001:db8:8000::", false }, { "::1", true },
        { "::ffff:10.1.1.1", true }, { "::a01:101", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address a;
        assert_true(address_parse(slice_cstr(cases[i].in), &a));
        check_int(cases[i].in, address_set_has(&set, &a), cases[i].want);
    }
    assert_false(set.has_unix);
    assert_true(address_set_add(&set, SLICE("unix"), &reason));
    assert_true(set.has_unix);
    /* Everything is in /0, of its own kind only. */
    struct address_set all = { 0 };
    struct address v4, v6;
    assert_true(address_parse(SLICE("8.8.8.8"), &v4) && address_parse(SLICE("2001::1"), &v6));
    assert_true(address_set_add(&all, SLICE("0.0.0.0/0"), &reason));
    assert_true(address_set_has(&all, &v4));
    assert_false(address_set_has(&all, &v6));
    assert_true(address_set_add(&all, SLICE("::/0"), &reason));
    assert_true(address_set_has(&all, &v6));
}

static void test_set_is_bounded(void **state)
{
    (void)state;
    struct address_set set = { 0 };
    const char *reason = NULL;
    for (unsigned i = 0; i < ADDRESS_PREFIXES_MAX; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "10.0.%u.0/24", i);
        assert_true(address_set_add(&set, slice_cstr(text), &reason));
    }
    assert_false(address_set_add(&set, SLICE("192.0.2.1"), &reason));
    assert_non_null(reason);
    assert_int_equal(set.len, ADDRESS_PREFIXES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),          cmocka_unit_test(test_from_sockaddr),
        cmocka_unit_test(test_kinds),          cmocka_unit_test(test_sets),
        cmocka_unit_test(test_set_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
