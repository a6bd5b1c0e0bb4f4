/*
 * net/special.c - The ranges of addresses where no stranger may send us.
 *
 * A server that fetches what users name stands inside the walls: loopback, the private network, the
 * cloud's metadata at 169.254.169.254. The table below is IANA's two registries of special-purpose
 * addresses; whatever is in it is refused, also where it hides inside an IPv6 address that a
 * translator would unwrap.
 */
#include "net/client.h"

#include <string.h>

static bool has_prefix(const uint8_t *bytes, const uint8_t *prefix, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(bytes, prefix, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return (bytes[whole] & mask) == (prefix[whole] & mask);
}

/* -- IPv4
 * -----------------------------------------------------------------------------------------------
 */

static const struct {
    uint8_t prefix[4];
    uint8_t bits;
    const char *name;
} special4[] = {
    { { 0, 0, 0, 0 }, 8, "unspecified" },      /* RFC 791: this network */
    { { 10, 0, 0, 0 }, 8, "private" },         /* RFC 1918 */
    { { 100, 64, 0, 0 }, 10, "shared" },       /* RFC 6598: carrier-grade NAT */
    { { 127, 0, 0, 0 }, 8, "loopback" },       /* RFC 1122 */
    { { 169, 254, 0, 0 }, 16, "link-local" },  /* RFC 3927; the metadata of clouds */
    { { 172, 16, 0, 0 }, 12, "private" },      /* RFC 1918 */
    { { 192, 0, 0, 0 }, 24, "reserved" },      /* RFC 6890: protocol assignments */
    { { 192, 0, 2, 0 }, 24, "documentation" }, /* RFC 5737 */
    { { 192, 31, 196, 0 }, 24, "reserved" },   /* RFC 7535: AS112 */
    { { 192, 52, 193, 0 }, 24, "reserved" },   /* RFC 7450: AMT */
    { { 192, 88, 99, 0 }, 24, "reserved" },    /* RFC 7526: 6to4 relays */
    { { 192, 168, 0, 0 }, 16, "private" },     /* RFC 1918 */
    { { 192, 175, 48, 0 }, 24, "reserved" },   /* RFC 7534: AS112 */
    { { 198, 18, 0, 0 }, 15, "benchmarking" }, /* RFC 2544 */
    { { 198, 51, 100, 0 }, 24, "documentation" },
    { { 203, 0, 113, 0 }, 24, "documentation" },
    { { 224, 0, 0, 0 }, 4, "multicast" }, /* RFC 5771 */
    { { 255, 255, 255, 255 }, 32, "broadcast" },
    { { 240, 0, 0, 0 }, 4, "reserved" }, /* RFC 1112 */
};

static const char *special_of_4(const uint8_t *bytes)
{
    for (size_t i = 0; i < ARRAY_LEN(special4); i++) {
        if (has_prefix(bytes, special4[i].prefix, special4[i].bits))
            return special4[i].name;
    }
    return NULL;
}

/* -- IPv6
 * -----------------------------------------------------------------------------------------------
 */

/* The first that matches counts; what matches none and is no global unicast (2000::/3) is reserved.
 */
static const struct {
    uint8_t prefix[16];
    uint8_t bits;
    uint8_t embedded; /* where an IPv4 address lies in it: that one decides too; 0: nowhere */
    bool inverted;    /* each bit of it */
    const char *name; /* NULL: only the embedded one decides */
} special6[] = {
    { { 0 }, 128, 0, false, "unspecified" },
    { { [15] = 1 }, 128, 0, false, "loopback" },
    { { [8] = 0xff, 0xff }, 96, 12, false, NULL },             /* IPv4-translated: RFC 2765 */
    { { 0 }, 96, 12, false, "reserved" },                      /* IPv4-compatible: RFC 4291, gone */
    { { 0x00, 0x64, 0xff, 0x9b, 0, 0 }, 96, 12, false, NULL }, /* NAT64: RFC 6052 */
    { { 0x00, 0x64, 0xff, 0x9b, 0, 1 }, 48, 0, false, "private" }, /* local NAT64: RFC 8215 */
    { { 0x01, 0x00 }, 64, 0, false, "reserved" },                  /* discard: RFC 6666 */
    { { 0x20, 0x01, 0, 0 }, 32, 12, true, "reserved" },            /* Teredo: RFC 4380 */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, 0, false, "documentation" },
    { { 0x20, 0x01, 0, 0x02, 0, 0 }, 48, 0, false, "benchmarking" },
    { { 0x20, 0x01 }, 23, 0, false, "reserved" }, /* RFC 2928: protocol assignments */
    { { 0x20, 0x02 }, 16, 2, false, NULL },       /* 6to4: RFC 3056 */
    { { 0x26, 0x20, 0, 0x4f, 0x80, 0 }, 48, 0, false, "reserved" }, /* AS112: RFC 7534 */
    { { 0x3f, 0xff }, 20, 0, false, "documentation" },              /* RFC 9637 */
    { { 0x5f, 0x00 }, 16, 0, false, "reserved" },                   /* segment routing: RFC 9602 */
    { { 0xfc }, 7, 0, false, "private" },                           /* unique local: RFC 4193 */
    { { 0xfe, 0x80 }, 10, 0, false, "link-local" },
    { { 0xfe, 0xc0 }, 10, 0, false, "private" }, /* site-local: RFC 3879, gone */
    { { 0xff }, 8, 0, false, "multicast" },
};

static const char *special_of_6(const uint8_t *bytes)
{
    for (size_t i = 0; i < ARRAY_LEN(special6); i++) {
        if (!has_prefix(bytes, special6[i].prefix, special6[i].bits))
            continue;
        const char *inner = NULL;
        if (special6[i].embedded) {
            uint8_t inside[4];
            for (unsigned k = 0; k < 4; k++)
                inside[k] =
                    (uint8_t)(bytes[special6[i].embedded + k] ^ (special6[i].inverted ? 0xff : 0));
            inner = special_of_4(inside);
        }
        return inner ? inner : special6[i].name;
    }
    return (bytes[0] & 0xe0) == 0x20 ? NULL : "reserved";
}

const char *net_address_special(const struct address *address)
{
    return address->is_v4 ? special_of_4(address->bytes + 12) : special_of_6(address->bytes);
}
