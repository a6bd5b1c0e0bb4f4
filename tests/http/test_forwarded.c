/* tests/http/test_forwarded.c - The grammars of forwarding headers, and names that are answered to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "http/internal.h"

/* "node|proto|host node|proto|host", "-" for what was not said. */
static void check_hops(const char *name, const struct http__hops *hops, const char *want)
{
    char got[512] = "";
    size_t n = 0;
    for (unsigned i = 0; i < hops->len; i++) {
        const struct http__hop *h = &hops->items[i];
        const struct slice parts[] = { h->node, h->proto, h->host };
        for (size_t p = 0; p < ARRAY_LEN(parts); p++)
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s",
                                  p   ? "|"
                                  : i ? " "
                                      : "",
                                  SLICE_ARG(parts[p].data ? parts[p] : SLICE("-")));
    }
    if (strcmp(got, want) != 0)
        fail_msg("%s:\n got  %s\n want %s", name, got, want);
}

static void test_forwarded(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want; /* NULL: malformed */
    } cases[] = {
        { "for=192.0.2.1", "192.0.2.1|-|-" },
        { "For=\"[2001:db8:cafe::17]:4711\"", "[2001:db8:cafe::17]:4711|-|-" },
        { "for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60|http|-" },
        { "for=192.0.2.43, for=198.51.100.17", "192.0.2.43|-|- 198.51.100.17|-|-" },
        { "for=a;host=\"example.org:80\";proto=https", "a|https|example.org:80" },
        { "for=_hidden, for=unknown", "_hidden|-|- unknown|-|-" },
        { " for=a ; proto=http , for=b ", "a|http|- b|-|-" },
        { "for=a,,for=b", "a|-|- b|-|-" },
        { "for=a;;proto=http;", "a|http|-" },
        { ",", "" },
        { "", "" },
        { "for=\"a,b;c=d\"", "a,b;c=d|-|-" },
        { "for=\"a\\\"b\"", "|-|-" },
        { "secret=x;for=a", "a|-|-" },
        { "by=x", "-|-|-" },
        { "for", NULL },
        { "for=", NULL },
        { "=a", NULL },
        { "for =a", NULL },
        { "for= a", NULL },
        { "for=a b", NULL },
        { "for=\"a", NULL },
        { "for=\"a\\\"", NULL },
        { "for=\"a\"b", NULL },
        { "for=a;for=b", NULL },
        { "for=[2001:db8::1]", NULL }, /* brackets are no token: has to be quoted */
        { "for=192.0.2.1:80", NULL },
        { "\x01", NULL },
        { "for=a@b", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http__hops hops = { .len = 0 };
        bool ok = http__forwarded_parse(slice_cstr(cases[i].in), &hops);
        if (ok != (cases[i].want != NULL))
            fail_msg("%s: %s", cases[i].in, ok ? "taken" : "refused");
        if (ok)
            check_hops(cases[i].in, &hops, cases[i].want);
    }
}

static void test_x_forwarded(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "192.0.2.1", "192.0.2.1|-|-" },
        { " a , b,c", "a|-|- b|-|- c|-|-" },
        { "", "" },
        { ",, ,", "" },
        { "2001:db8::1", "2001:db8::1|-|-" },
        { "\"a", "\"a|-|-" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http__hops hops = { .len = 0 };
        http__x_forwarded_parse(slice_cstr(cases[i].in), &hops);
        check_hops(cases[i].in, &hops, cases[i].want);
    }
}

/* However many there are, the last ones are kept. */
static void test_hops_are_bounded(void **state)
{
    (void)state;
    char text[8192];
    size_t n = 0;
    for (unsigned i = 0; i < 1000; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%sa%u", i ? "," : "", i);
    struct http__hops hops = { .len = 0 };
    http__x_forwarded_parse(slice_of(text, n), &hops);
    assert_int_equal(hops.len, HTTP__HOPS_MAX);
    assert_true(slice_eq(hops.items[HTTP__HOPS_MAX - 1].node, SLICE("a999")));
    assert_true(slice_eq(hops.items[0].node, SLICE("a976")));
    hops.len = 0;
    for (unsigned i = 0; i < 100; i++)
        assert_true(http__forwarded_parse(SLICE("for=x, for=y"), &hops));
    assert_int_equal(hops.len, HTTP__HOPS_MAX);
}

static void test_host_matches(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *name;
        bool want;
    } cases[] = {
        { "example.org", "example.org", true },
        { "example.org", "EXAMPLE.org", true },
        { "example.org", "www.example.org", false },
        { "example.org", "example.org.evil", false },
        { "*.example.org", "www.example.org", true },
        { "*.example.org", "a.b.Example.Org", true },
        { "*.example.org", "example.org", false },
        { "*.example.org", ".example.org", false },
        { "*.example.org", "evilexample.org", false },
        { "*", "anything", true },
        { "*", "", true },
        { "example.org", "", false },
        { "::1", "::1", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (http__host_matches(slice_cstr(cases[i].pattern), slice_cstr(cases[i].name)) !=
            cases[i].want)
            fail_msg("%s %s", cases[i].pattern, cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_x_forwarded),
        cmocka_unit_test(test_hops_are_bounded),
        cmocka_unit_test(test_host_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
