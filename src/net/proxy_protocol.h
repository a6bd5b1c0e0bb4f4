/*
 * net/proxy_protocol.h - The PROXY protocol, versions 1 and 2: one header before the first byte of
 * a connection, in which a balancer that passes bytes on tells whose they are. Private to the room.
 *
 * Source   https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* The longest header that is taken; version 1 has at most 107 bytes. */
#define NET__PROXY_MAX 2048u

enum net__proxy_found {
    NET__PROXY_MORE,  /* all of it belongs to the header, and there is more to come */
    NET__PROXY_WHOLE, /* it ends within */
    NET__PROXY_BAD
};

struct net__proxy {
    bool is_local;   /* the proxy speaks for itself: a health check */
    bool has_source; /* false: it came to the proxy through a unix socket, or so */
    bool is_secure;  /* it came to the proxy over TLS */
    struct address source;
};

/* Look at what has come so far. *ret and *ret_len (of the header) only when it is whole. */
enum net__proxy_found net__proxy_parse(const uint8_t *data, size_t len, size_t *ret_len,
                                       struct net__proxy *ret);
