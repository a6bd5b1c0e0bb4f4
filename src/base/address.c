#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/macros.h"

#define V4_AT 12u   /* where an IPv4 address stands in its IPv6 form */
#define V4_BITS 96u /* of the prefix before it */
#define BITS_MAX 128u
#define SUBSCRIBER_BYTES 8u

static const uint8_t mapped_prefix[V4_AT] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void set_v4(struct address *a, const void *four)
{
    memcpy(a->bytes, mapped_prefix, V4_AT);
    memcpy(a->bytes + V4_AT, four, 4);
    a->is_v4 = true;
}

static void set_v6(struct address *a, const void *sixteen)
{
    memcpy(a->bytes, sixteen, sizeof(a->bytes));
    a->is_v4 = memcmp(a->bytes, mapped_prefix, V4_AT) == 0;
}

bool address_parse(struct slice text, struct address *ret)
{
    char cstr[ADDRESS_TEXT_MAX];
    unsigned char bytes[16];
    if (text.len == 0 || text.len >= sizeof(cstr) || memchr(text.data, '\0', text.len))
        return false;
    memcpy(cstr, text.data, text.len);
    cstr[text.len] = '\0';
    if (inet_pton(AF_INET, cstr, bytes) == 1)
        set_v4(ret, bytes);
    else if (inet_pton(AF_INET6, cstr, bytes) == 1)
        set_v6(ret, bytes);
    else
        return false;
    return true;
}

static bool is_port(struct slice text)
{
    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    }
    return true;
}

bool address_parse_node(struct slice text, struct address *ret)
{
    if (text.len && text.data[0] == '[') {
        size_t end = slice_find(text, ']');
        if (end == SIZE_MAX)
            return false;
        struct slice rest = slice_from(text, end + 1);
        if (rest.len && (rest.data[0] != ':' || !is_port(slice_from(rest, 1))))
            return false;
        struct slice inner = slice_of(text.data + 1, end - 1);
        return slice_find(inner, ':') != SIZE_MAX && address_parse(inner, ret);
    }
    size_t colon = slice_find(text, ':');
    bool is_v4_with_port =
        colon != SIZE_MAX && slice_find(slice_from(text, colon + 1), ':') == SIZE_MAX;
    if (!is_v4_with_port)
        return address_parse(text, ret);
    return is_port(slice_from(text, colon + 1)) && address_parse(slice_head(text, colon), ret);
}

bool address_from(const struct sockaddr *sockaddr, struct address *ret)
{
    if (sockaddr->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, sockaddr, sizeof(v4));
        set_v4(ret, &v4.sin_addr);
        return true;
    }
    if (sockaddr->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, sockaddr, sizeof(v6));
        set_v6(ret, &v6.sin6_addr);
        return true;
    }
    return false;
}

struct slice address_format(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
    const char *text = a->is_v4 ? inet_ntop(AF_INET, a->bytes + V4_AT, out, ADDRESS_TEXT_MAX)
                                : inet_ntop(AF_INET6, a->bytes, out, ADDRESS_TEXT_MAX);
    return slice_cstr(text); /* there is room for every address */
}

bool address_is_loopback(const struct address *a)
{
    static const uint8_t one[16] = { [15] = 1 };
    return a->is_v4 ? a->bytes[V4_AT] == 127 : memcmp(a->bytes, one, sizeof(one)) == 0;
}

struct address address_subscriber(const struct address *a)
{
    struct address s = *a;
    if (!s.is_v4)
        memset(s.bytes + SUBSCRIBER_BYTES, 0, sizeof(s.bytes) - SUBSCRIBER_BYTES);
    return s;
}

/* -- sets
 * ------------------------------------------------------------------------------------------------
 */

static bool has_prefix(const struct address *a, const struct address_prefix *p)
{
    unsigned whole = p->bits / 8, rest = p->bits % 8;
    if (memcmp(a->bytes, p->base.bytes, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return ((a->bytes[whole] ^ p->base.bytes[whole]) & mask) == 0;
}

static bool is_zero_behind(const struct address *a, unsigned bits)
{
    for (unsigned i = bits; i < BITS_MAX; i++) {
        if (a->bytes[i / 8] & (0x80u >> (i % 8)))
            return false;
    }
    return true;
}

bool address_set_add(struct address_set *set, struct slice text, const char **ret_reason)
{
    if (slice_eq(text, SLICE("unix"))) {
        set->has_unix = true;
        return true;
    }
    struct address_prefix p;
    size_t slash = slice_find(text, '/');
    if (!address_parse(slice_head(text, MIN(slash, text.len)), &p.base)) {
        *ret_reason = "is not an address such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32";
        return false;
    }
    int64_t bits = p.base.is_v4 ? 32 : 128;
    int64_t most = bits;
    if (slash != SIZE_MAX &&
        (!slice_to_i64(slice_from(text, slash + 1), &bits) || bits < 0 || bits > most)) {
        *ret_reason = "has a prefix length that its address cannot have";
        return false;
    }
    p.bits = (uint8_t)(bits + (p.base.is_v4 ? (int64_t)V4_BITS : 0));
    if (!is_zero_behind(&p.base, p.bits)) {
        *ret_reason = "has bits set behind its prefix; write the first address of the range";
        return false;
    }
    if (set->len == ADDRESS_PREFIXES_MAX) {
        *ret_reason = "is one more than the 64 that fit";
        return false;
    }
    set->prefixes[set->len++] = p;
    return true;
}

bool address_set_has(const struct address_set *set, const struct address *a)
{
    for (unsigned i = 0; i < set->len; i++) {
        if (has_prefix(a, &set->prefixes[i]))
            return true;
    }
    return false;
}
