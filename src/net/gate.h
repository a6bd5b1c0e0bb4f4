/*
 * net/gate.h - What a server asks the gate for each connection. Private to the room; what others
 * may ask is in net/net.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "net/net.h"

enum net_verdict {
    NET_ADMITTED,
    NET_REFUSED_OVER,    /* counted all the same: it is told why, then closed */
    NET_REFUSED_SILENTLY /* not counted: close it without a word */
};

/* What a connection was counted under. */
struct net__ticket {
    struct address peer;
    bool is_open, is_named;
};

/* Are connections_max open? The next one is then over, unless somebody leaves. */
bool net__gate_is_full(const struct net_gate *gate);
/* A connection came: it counts towards all. */
enum net_verdict net__gate_enter(struct net_gate *gate, struct net__ticket *ticket);
/* Whose it is (NULL: a unix socket's peer): it counts towards that address, unless exempt. */
enum net_verdict net__gate_name(struct net_gate *gate, struct net__ticket *ticket,
                                const struct address *peer);
/* It is gone; harmless for an empty ticket. */
void net__gate_leave(struct net_gate *gate, struct net__ticket *ticket);
/* Something was refused elsewhere: only the count. */
void net__gate_refused(struct net_gate *gate, enum net_gate_reason reason);
