/* tests/net/test_url.c - URLs that we fetch, and the ranges that those of users may not reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "net/client.h"

/* Each range at its first and last address, and its neighbours outside where those are public. */
static const struct {
    const char *text, *special; /* NULL: public */
} ranges[] = {
    { "0.0.0.0", "unspecified" },
    { "0.255.255.255", "unspecified" },
    { "1.0.0.0", NULL },
    { "9.255.255.255", NULL },
    { "10.0.0.0", "private" },
    { "10.255.255.255", "private" },
    { "11.0.0.0", NULL },
    { "100.63.255.255", NULL },
    { "100.64.0.0", "shared" },
    { "100.127.255.255", "shared" },
    { "100.128.0.0", NULL },
    { "126.255.255.255", NULL },
    { "127.0.0.0", "loopback" },
    { "127.0.0.1", "loopback" },
    { "127.255.255.255", "loopback" },
    { "128.0.0.0", NULL },
    { "169.253.255.255", NULL },
    { "169.254.0.0", "link-local" },
    { "169.254.169.254", "link-local" },
    { "169.254.255.255", "link-local" },
    { "169.255.0.0", NULL },
    { "172.15.255.255", NULL },
    { "172.16.0.0", "private" },
    { "172.31.255.255", "private" },
    { "172.32.0.0", NULL },
    { "192.0.0.0", "reserved" },
    { "192.0.0.255", "reserved" },
    { "192.0.1.0", NULL },
    { "192.0.2.0", "documentation" },
    { "192.0.2.255", "documentation" },
    { "192.0.3.0", NULL },
    { "192.31.196.1", "reserved" },
    { "192.52.193.1", "reserved" },
    { "192.88.99.1", "reserved" },
    { "192.167.255.255", NULL },
    { "192.168.0.0", "private" },
    { "192.168.255.255", "private" },
    { "192.169.0.0", NULL },
    { "192.175.48.1", "reserved" },
    { "198.17.255.255", NULL },
    { "198.18.0.0", "benchmarking" },
    { "198.19.255.255", "benchmarking" },
    { "198.20.0.0", NULL },
    { "198.51.100.7", "documentation" },
    { "203.0.113.7", "documentation" },
    { "223.255.255.255", NULL },
    { "224.0.0.0", "multicast" },
    { "239.255.255.255", "multicast" },
    { "240.0.0.0", "reserved" },
    { "255.255.255.254", "reserved" },
    { "255.255.255.255", "broadcast" },

    { "::", "unspecified" },
    { "::1", "loopback" },
    { "::2", "unspecified" }, /* compatible with 0.0.0.2 */
    { "::7f00:1", "loopback" },
    { "::8.8.8.8", "reserved" },
    { "::ffff:127.0.0.1", "loopback" },
    { "::ffff:10.0.0.1", "private" },
    { "::ffff:169.254.169.254", "link-local" },
    { "::ffff:8.8.8.8", NULL },
    { "::ffff:0:127.0.0.1", "loopback" },
    { "64:ff9b::10.0.0.1", "private" },
    { "64:ff9b::127.0.0.1", "loopback" },
    { "64:ff9b::8.8.8.8", NULL },
    { "64:ff9b:1::8.8.8.8", "private" },
    { "100::1", "reserved" },
    { "2001::1", "reserved" },                              /* Teredo */
    { "2001:0:4136:e378:8000:63bf:80ff:fffe", "loopback" }, /* Teredo around 127.0.0.1, inverted */
    { "2001:2::1", "benchmarking" },
    { "2001:10::1", "reserved" },
    { "2001:1ff:ffff::1", "reserved" },
    { "2001:200::1", NULL },
    { "2001:db8::1", "documentation" },
    { "2001:4860:4860::8888", NULL },
    { "2002:7f00:1::", "loopback" },
    { "2002:a00:1::1", "private" },
    { "2002:c0a8:101::1", "private" },
    { "2002:808:808::1", NULL },
    { "2606:4700:4700::1111", NULL },
    { "2620:4f:8000::1", "reserved" },
    { "3fff::1", "documentation" },
    { "3fff:1000::1", NULL },
    { "4000::1", "reserved" },
    { "5f00::1", "reserved" },
    { "fbff::1", "reserved" },
    { "fc00::", "private" },
    { "fd00:ec2::254", "private" },
    { "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private" },
    { "fe80::1", "link-local" },
    { "febf::1", "link-local" },
    { "fec0::1", "private" },
    { "ff02::1", "multicast" },
    { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast" },
};

static void test_address_special_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        struct address address;
        assert_true(address_parse(slice_cstr(ranges[i].text), &address));
        const char *special = net_address_special(&address);
        if (!special != !ranges[i].special || (special && strcmp(special, ranges[i].special) != 0))
            fail_msg("%s: is \"%s\", should be \"%s\"", ranges[i].text,
                     special ? special : "public",
                     ranges[i].special ? ranges[i].special : "public");
    }
}

/* -- URLs
 * ------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *text, *host, *authority, *target;
    unsigned port;
    bool is_tls, is_literal;
} urls[] = {
    { "http://example.test", "example.test", "example.test", "/", 80, false, false },
    { "HTTP://EXAMPLE.Test/", "example.test", "example.test", "/", 80, false, false },
    { "https://example.test.:443/a?b#c", "example.test", "example.test", "/a?b", 443, true, false },
    { "https://example.test:8443?b", "example.test", "example.test:8443", "/?b", 8443, true,
      false },
    { "http://example.test:/x", "example.test", "example.test", "/x", 80, false, false },
    { "http://example.test:0080/#", "example.test", "example.test", "/", 80, false, false },
    { "http://example.test#/@evil", "example.test", "example.test", "/", 80, false, false },
    { "http://a_b-c.1x.test/%2e%2E/;", "a_b-c.1x.test", "a_b-c.1x.test", "/%2e%2E/;", 80, false,
      false },
    { "http://xn--bcher-kva.test/", "xn--bcher-kva.test", "xn--bcher-kva.test", "/", 80, false,
      false },
    { "http://192.0.2.1:81/", "192.0.2.1", "192.0.2.1:81", "/", 81, false, true },
    { "http://192.0.2.1./", "192.0.2.1", "192.0.2.1", "/", 80, false, true },
    { "http://[2001:DB8::1]/", "2001:DB8::1", "[2001:DB8::1]", "/", 80, false, true },
    { "https://[::1]:80/", "::1", "[::1]:80", "/", 80, true, true },
};

static void test_url_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        struct net_url url;
        const char *reason = NULL;
        if (net_url_parse(arena, slice_cstr(urls[i].text), &url, &reason) != STATUS_OK)
            fail_msg("%s: %s", urls[i].text, reason);
        assert_true(slice_eq(url.host, slice_cstr(urls[i].host)));
        assert_true(slice_eq(url.authority, slice_cstr(urls[i].authority)));
        assert_true(slice_eq(url.target, slice_cstr(urls[i].target)));
        assert_int_equal(url.port, urls[i].port);
        assert_int_equal(url.is_tls, urls[i].is_tls);
        assert_int_equal(url.is_literal, urls[i].is_literal);
    }
}

static void test_url_refuses_what_can_be_read_twice(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "http",
        "http:",
        "http:/",
        "http://",
        "http:///",
        "http://?",
        "http://:80/",
        "ftp://example.test/",
        "javascript:alert(1)",
        " http://example.test/",
        "http://example.test/ ",
        "http://exa mple.test/",
        "http://example.test/\t",
        "http://example.test/\r\nX: y",
        "http://ex\xc3\xa4mple.test/",
        "http://example.test/\xc3\xa4",
        "http://user@example.test/",
        "http://user:pw@example.test/",
        "http://@example.test/",
        "http://example.test\\@evil.test/",
        "http:\\\\example.test/",
        "http://example.test:80:80/",
        "http://example.test:-1/",
        "http://example.test:+80/",
        "http://example.test:0/",
        "http://example.test:65536/",
        "http://example.test:99999999999999999999/",
        "http://example.test:8o/",
        "http://%65xample.test/",
        "http://example..test/",
        "http://.example.test/",
        "http://./",
        "http://../",
        "http://example.test../",
        "http://exa,mple.test/",
        "http://exa(mple).test/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0X7F000001/",
        "http://017700000001/",
        "http://127.1/",
        "http://127.0.0.1.1/",
        "http://127.0.0.0x1/",
        "http://0177.0.0.1/",
        "http://1.2.3.4.5/",
        "http://example.1/",
        "http://127.0.0.256/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[::1]80/",
        "http://[127.0.0.1]/",
        "http://[::1%25eth0]/",
        "http://[fe80::1%1]/",
        "http://[]/",
        "http://[v1.x]/",
        "http://::1/",
        "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test/",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        struct net_url url;
        const char *reason = NULL;
        if (net_url_parse(arena, slice_cstr(bad[i]), &url, &reason) != STATUS_INVALID)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(reason);
    }
}

static void test_url_bounds(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct net_url url;
    const char *reason = NULL;
    char text[8300] = "http://example.test/";
    memset(text + 20, 'a', sizeof(text) - 20);
    assert_int_equal(net_url_parse(arena, slice_of(text, 8192), &url, &reason), STATUS_OK);
    assert_int_equal(net_url_parse(arena, slice_of(text, 8193), &url, &reason), STATUS_INVALID);
    /* Four labels of 62 and their dots are 252; one byte more is one too many. */
    char name[300] = "http://";
    for (unsigned i = 0; i < 4; i++) {
        memset(name + 7 + (size_t)i * 63, 'a', 62);
        name[7 + i * 63 + 62] = '.';
    }
    memcpy(name + 7 + 252, "b", 1);
    assert_int_equal(net_url_parse(arena, slice_of(name, 7 + 253), &url, &reason), STATUS_OK);
    memcpy(name + 7 + 252, "bb", 2);
    assert_int_equal(net_url_parse(arena, slice_of(name, 7 + 254), &url, &reason), STATUS_INVALID);
}

static void test_url_without_memory(void **state)
{
    (void)state;
    enum status st = STATUS_EXHAUSTED;
    for (size_t budget = 1; st == STATUS_EXHAUSTED; budget += 16) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, budget);
        struct net_url url;
        const char *reason = NULL;
        st = net_url_parse(arena, SLICE("https://example.test:81?q"), &url, &reason);
        assert_true(budget < 4096);
    }
    assert_int_equal(st, STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_special_ranges),
        cmocka_unit_test(test_url_parts),
        cmocka_unit_test(test_url_refuses_what_can_be_read_twice),
        cmocka_unit_test(test_url_bounds),
        cmocka_unit_test(test_url_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
