/*
 * base/address.h - IP addresses as values, and sets of them by prefix. An IPv4 address is kept in
 * its IPv6 form (::ffff:192.0.2.1), so that one peer has one form whichever socket it came through.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct address {
    uint8_t bytes[16];
    bool is_v4; /* bytes are ::ffff:a.b.c.d */
};

#define ADDRESS_TEXT_MAX 46u /* the longest text and a NUL */

/* "192.0.2.1", "2001:db8::1". No port, brackets, zone or leading zeros; an IPv6 form of an IPv4
 * address is that address. False: *ret is untouched. */
bool address_parse(struct slice text, struct address *ret);
/* The same with what proxies write around it: "[2001:db8::1]", "192.0.2.1:80", "[2001:db8::1]:80".
 */
bool address_parse_node(struct slice text, struct address *ret);
/* From a sockaddr of AF_INET or AF_INET6; false for other families. */
struct sockaddr;
bool address_from(const struct sockaddr *sockaddr, struct address *ret);
/* Canonical text (RFC 5952). Memory: in `out`, NUL-terminated. */
struct slice address_format(const struct address *a, char out[ADDRESS_TEXT_MAX]);

static inline bool address_eq(const struct address *a, const struct address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
/* 127.0.0.0/8 and ::1. */
bool address_is_loopback(const struct address *a);
/* What one subscriber has to itself: an IPv4 address as it is, an IPv6 one with all but its first
 * 64 bits cleared (RFC 6177). Counting by more than that counts nothing. */
struct address address_subscriber(const struct address *a);

/* -- sets
 * ------------------------------------------------------------------------------------------------
 */

#define ADDRESS_PREFIXES_MAX 64u

struct address_prefix {
    struct address base;
    uint8_t bits; /* of the 128-bit form: 96 more than written for IPv4 */
};

struct address_set {
    struct address_prefix prefixes[ADDRESS_PREFIXES_MAX];
    unsigned len;
    bool has_unix; /* "unix": peers of unix sockets, which have no address */
};

/* Add "10.0.0.0/8", "192.0.2.1", "2001:db8::/32" or "unix". False when it is none of these, has
 * bits set behind the prefix, or the set is full; *ret_reason says which (constant text). */
bool address_set_add(struct address_set *set, struct slice text, const char **ret_reason);
bool address_set_has(const struct address_set *set, const struct address *a);
