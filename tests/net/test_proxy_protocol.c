/* tests/net/test_proxy_protocol.c - PROXY headers, whole, cut at every byte, and wrong in every
 * way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "net/proxy_protocol.h"

/* "203.0.113.9", "2001:db8::1", "local", "nobody"; with "+tls". NULL: bad. */
static const char *told(const uint8_t *data, size_t len, size_t *ret_len)
{
    static char text[ADDRESS_TEXT_MAX + 8];
    struct net__proxy p;
    switch (net__proxy_parse(data, len, ret_len, &p)) {
    case NET__PROXY_MORE:
        return "more";
    case NET__PROXY_BAD:
        return "bad";
    case NET__PROXY_WHOLE:
        break;
    }
    char address[ADDRESS_TEXT_MAX];
    const char *who = p.is_local ? "local" : "nobody";
    if (p.has_source)
        who = address_format(&p.source, address).data;
    (void)snprintf(text, sizeof(text), "%s%s", who, p.is_secure ? "+tls" : "");
    return text;
}

static void check(const char *name, const uint8_t *data, size_t len, const char *want)
{
    size_t got_len = 0;
    const char *got = told(data, len, &got_len);
    if (strcmp(got, want) != 0)
        fail_msg("%s: got %s, want %s", name, got, want);
}

/* Whatever arrives in whichever pieces: it is incomplete until the last byte, and what follows is
 * not looked at. */
static void check_pieces(const char *name, const uint8_t *data, size_t len, const char *want)
{
    uint8_t more[NET__PROXY_MAX + 64];
    size_t got_len = 0;
    for (size_t cut = 0; cut < len; cut++)
        check(name, data, cut, "more");
    memcpy(more, data, len);
    memset(more + len, 'G', 32);
    const char *got = told(more, len + 32, &got_len);
    if (strcmp(got, want) != 0 || got_len != len)
        fail_msg("%s: got %s of %zu bytes, want %s of %zu", name, got, got_len, want, len);
}

static void test_v1(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n", "203.0.113.9" },
        { "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255" },
        { "PROXY TCP4 203.0.113.9 198.51.100.1 0 0\r\n", "203.0.113.9" },
        { "PROXY TCP6 2001:db8::1 2001:db8::2 4124 443\r\n", "2001:db8::1" },
        { "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
        { "PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n", "203.0.113.9" },
        { "PROXY UNKNOWN\r\n", "local" },
        { "PROXY UNKNOWN ffff:f...f:ffff whatever 1 2 3\r\n", "local" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_pieces(cases[i].in, (const uint8_t *)cases[i].in, strlen(cases[i].in), cases[i].want);
}

static void test_v1_bad(void **state)
{
    (void)state;
    char too_long[112]; /* 107 bytes are the most that a line may have */
    (void)snprintf(too_long, sizeof(too_long), "%-109s\r\n", "PROXY UNKNOWN");
    const char *const cases[] = {
        "GET / HTTP/1.1\r\n",
        "PROXY\r\n",
        "proxy TCP4 203.0.113.9 198.51.100.1 1 2\r\n",
        "PROXY  TCP4 203.0.113.9 198.51.100.1 1 2\r\n",
        "PROXY TCP4 203.0.113.9 198.51.100.1 1 2\n",
        "PROXY TCP4 203.0.113.9 198.51.100.1 1\r\n",
        "PROXY TCP4 203.0.113.9 198.51.100.1 1 2 \r\n",
        "PROXY TCP4 203.0.113.9 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4 203.0.113.9  198.51.100.1 1 2\r\n",
        "PROXY TCP4 203.0.113.9 198.51.100.1 65536 2\r\n",
        "PROXY TCP4 203.0.113.9 198.51.100.1 01 2\r\n",
        "PROXY TCP4 203.0.113.9 198.51.100.1 -1 2\r\n",
        "PROXY TCP4 203.0.113.9 198.51.100.1 1 x\r\n",
        "PROXY TCP4 203.0.113.999 198.51.100.1 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 203.0.113.9 198.51.100.1 1 2\r\n",
        "PROXY TCP6 2001:db8::1 198.51.100.1 1 2\r\n",
        "PROXY UDP4 203.0.113.9 198.51.100.1 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        too_long,
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(cases[i], (const uint8_t *)cases[i], strlen(cases[i]), "bad");
    /* A line that does not end is refused at its bound. */
    char line[107];
    memset(line, ' ', sizeof(line));
    memcpy(line, "PROXY UNKNOWN", 13);
    check("endless", (const uint8_t *)line, 106, "more");
    check("endless", (const uint8_t *)line, 107, "bad");
}

/* -- version 2
 * -------------------------------------------------------------------------------------------- */

static const uint8_t signature[] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                     0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

struct v2 {
    uint8_t data[NET__PROXY_MAX + 64];
    size_t len;
};

static void put(struct v2 *h, const void *bytes, size_t len)
{
    memcpy(h->data + h->len, bytes, len);
    h->len += len;
}

static void put_u8(struct v2 *h, unsigned value)
{
    uint8_t byte = (uint8_t)value;
    put(h, &byte, 1);
}

static void begin(struct v2 *h, unsigned version_command, unsigned family)
{
    *h = (struct v2){ 0 };
    put(h, signature, sizeof(signature));
    put_u8(h, version_command);
    put_u8(h, family);
    put(h, "\0\0", 2);
}

static void put_tlv(struct v2 *h, unsigned type, const void *value, size_t len)
{
    put_u8(h, type);
    put_u8(h, (unsigned)(len >> 8));
    put_u8(h, (unsigned)len & 0xff);
    put(h, value, len);
}

static void end(struct v2 *h)
{
    h->data[14] = (uint8_t)((h->len - 16) >> 8);
    h->data[15] = (uint8_t)(h->len - 16);
}

#define V4_BLOCK "\xcb\x00\x71\x09\xc6\x33\x64\x01\xdc\x04\x01\xbb" /* 203.0.113.9 */
#define V6_BLOCK                                                                                   \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"                                                   \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xdc\x04\x01\xbb"

static void test_v2(void **state)
{
    (void)state;
    static const uint8_t unix_block[216] = "/run/a.sock";
    static const struct {
        const char *name;
        unsigned version_command, family;
        const void *block;
        size_t block_len;
        const char *want;
    } cases[] = {
        { "v4", 0x21, 0x11, V4_BLOCK, 12, "203.0.113.9" },
        { "v6", 0x21, 0x21, V6_BLOCK, 36, "2001:db8::1" },
        { "unix", 0x21, 0x31, unix_block, 216, "nobody" },
        { "unspec", 0x21, 0x00, "", 0, "local" },
        { "unspec with a block", 0x21, 0x00, V4_BLOCK, 12, "local" },
        { "local", 0x20, 0x00, "", 0, "local" },
        { "local with a block", 0x20, 0x11, V4_BLOCK, 12, "local" },
        { "local with nonsense", 0x20, 0xff, "xyz", 3, "local" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct v2 h;
        begin(&h, cases[i].version_command, cases[i].family);
        put(&h, cases[i].block, cases[i].block_len);
        end(&h);
        check_pieces(cases[i].name, h.data, h.len, cases[i].want);
    }
}

static void test_v2_bad(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned version_command, family;
        size_t block_len;
    } cases[] = {
        { "version 1", 0x11, 0x11, 12 },
        { "version 3", 0x31, 0x11, 12 },
        { "command", 0x22, 0x11, 12 },
        { "datagrams", 0x21, 0x12, 12 },
        { "no transport", 0x21, 0x10, 12 },
        { "family", 0x21, 0x41, 12 },
        { "family of all bits", 0x21, 0xf1, 12 },
        { "short block of v4", 0x21, 0x11, 11 },
        { "short block of v6", 0x21, 0x21, 35 },
        { "short block of unix", 0x21, 0x31, 215 },
        { "no family", 0x21, 0x01, 12 },
        { "half a TLV", 0x21, 0x11, 14 },
    };
    static const uint8_t zeros[256];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct v2 h;
        begin(&h, cases[i].version_command, cases[i].family);
        put(&h, zeros, cases[i].block_len);
        end(&h);
        check(cases[i].name, h.data, h.len, "bad");
    }
}

static void test_v2_tlvs(void **state)
{
    (void)state;
    static const uint8_t filler[NET__PROXY_MAX];
    struct v2 h;
    begin(&h, 0x21, 0x11);
    put(&h, V4_BLOCK, 12);
    put_tlv(&h, 0x02, "example.org", 11); /* authority */
    put_tlv(&h, 0x04, "", 0);             /* noop */
    put_tlv(&h, 0x20, "\x01\0\0\0\0\x21\0\x03TLS", 11);
    put_tlv(&h, 0xea, "\x01vpce-1", 7);
    end(&h);
    check_pieces("over TLS", h.data, h.len, "203.0.113.9+tls");

    begin(&h, 0x21, 0x11);
    put(&h, V4_BLOCK, 12);
    put_tlv(&h, 0x20, "\0\0\0\0\0", 5);
    end(&h);
    check("not over TLS", h.data, h.len, "203.0.113.9");

    begin(&h, 0x21, 0x11);
    put(&h, V4_BLOCK, 12);
    put_tlv(&h, 0x20, "\x01\0\0\0", 4);
    end(&h);
    check("short TLS", h.data, h.len, "bad");

    begin(&h, 0x21, 0x11);
    put(&h, V4_BLOCK, 12);
    put(&h,
        "\x02\0\x05"
        "abcd",
        7); /* one byte less than it says */
    end(&h);
    check("longer than the header", h.data, h.len, "bad");

    begin(&h, 0x21, 0x11);
    put(&h, V4_BLOCK, 12);
    put_tlv(&h, 0x04, filler, NET__PROXY_MAX - 16 - 12 - 3);
    end(&h);
    assert_int_equal(h.len, NET__PROXY_MAX);
    check("as long as may be", h.data, h.len, "203.0.113.9");
    begin(&h, 0x21, 0x11);
    put(&h, V4_BLOCK, 12);
    put_tlv(&h, 0x04, filler, NET__PROXY_MAX - 16 - 12 - 3 + 1);
    end(&h);
    check("a byte longer", h.data, 16, "bad"); /* known before it has come */
}

/* Bit by bit, as the parser has it bitwise too: the known answer below ties both to the standard.
 */
static uint32_t crc32c(const uint8_t *data, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len * 8; i++) {
        uint32_t bit = (uint32_t)(data[i / 8] >> (i % 8)) & 1;
        crc = (crc & 1) ^ bit ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
    }
    return ~crc;
}

static void test_v2_checksum(void **state)
{
    (void)state;
    assert_int_equal(crc32c((const uint8_t *)"123456789", 9), 0xe3069283); /* RFC 3720 B.4 */
    struct v2 h;
    begin(&h, 0x21, 0x21);
    put(&h, V6_BLOCK, 36);
    put_tlv(&h, 0x03, "\0\0\0\0", 4);
    put_tlv(&h, 0x02, "example.org", 11);
    end(&h);
    size_t at = 16 + 36 + 3;
    uint32_t crc = crc32c(h.data, h.len);
    for (unsigned i = 0; i < 4; i++)
        h.data[at + i] = (uint8_t)(crc >> (24 - 8 * i));
    check_pieces("right", h.data, h.len, "2001:db8::1");
    for (size_t i = 16; i < h.len; i++) {
        if (i >= at - 3 && i < at)
            continue; /* what says that there is a checksum */
        h.data[i] ^= 0x10;
        check("a bit wrong", h.data, h.len, "bad");
        h.data[i] ^= 0x10;
    }
    begin(&h, 0x21, 0x11);
    put(&h, V4_BLOCK, 12);
    put_tlv(&h, 0x03, "\0\0\0", 3);
    end(&h);
    check("of three bytes", h.data, h.len, "bad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1),      cmocka_unit_test(test_v1_bad),
        cmocka_unit_test(test_v2),      cmocka_unit_test(test_v2_bad),
        cmocka_unit_test(test_v2_tlvs), cmocka_unit_test(test_v2_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
