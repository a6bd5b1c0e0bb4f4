/*
 * net/h2_bounds.c - What a peer of HTTP/2 may ask of us that costs it less than us.
 *
 * Each kind of frame has a budget. Spending it all ends the connection with ENHANCE_YOUR_CALM: a
 * client that is merely clumsy opens another one, a flood pays for a handshake each time.
 */
#include "net/h2.h"

#include "base/clock.h"
#include "base/macros.h"

static const char *const kind_names[NET__H2_KINDS] = {
    [NET__H2_RESETS] = "rapid_reset",        [NET__H2_FAULTS] = "made_you_reset",
    [NET__H2_SETTINGS] = "settings",         [NET__H2_PINGS] = "ping",
    [NET__H2_PRIORITIES] = "priority",       [NET__H2_WINDOW_UPDATES] = "window_update",
    [NET__H2_EMPTY] = "empty_frames",        [NET__H2_UNKNOWN] = "unknown_frames",
    [NET__H2_CONTINUATION] = "continuation", [NET__H2_HEADER_BOMB] = "header_bomb",
    [NET__H2_UNREAD] = "unread_acks",        [NET__H2_ZOMBIES] = "zombie_streams",
    [NET__H2_STALLED] = "stalled_window",
};

static unsigned burst_of(const struct net__h2 *h2, enum net__h2_kind kind)
{
    const struct net_http2 *o = &h2->c->server->options.http2;
    switch (kind) {
    case NET__H2_RESETS:
    case NET__H2_FAULTS:
        return o->resets_max;
    case NET__H2_SETTINGS:
        return o->settings_max;
    case NET__H2_PINGS:
        return o->pings_max;
    case NET__H2_PRIORITIES:
        return o->priorities_max;
    case NET__H2_WINDOW_UPDATES:
        return o->window_updates_max;
    default:
        return o->empty_frames_max;
    }
}

void net__h2_budgets_init(struct net__h2 *h2)
{
    for (unsigned i = 0; i < NET__H2_BUDGETS; i++)
        h2->budgets.left[i] = burst_of(h2, (enum net__h2_kind)i);
    h2->budgets.filled_us = loop_now_us(h2->c->server->loop);
}

/* Whole seconds that passed give back a tenth of each budget. */
static void refill(struct net__h2 *h2)
{
    int64_t seconds = (h2->now_us - h2->budgets.filled_us) / CLOCK_SECOND;
    if (LIKELY(seconds <= 0))
        return;
    h2->budgets.filled_us += seconds * CLOCK_SECOND;
    for (unsigned i = 0; i < NET__H2_BUDGETS; i++) {
        unsigned burst = burst_of(h2, (enum net__h2_kind)i);
        unsigned step = MAX(burst / 10, 1u);
        net__h2_earn(h2, (enum net__h2_kind)i, (unsigned)MIN(seconds, (int64_t)10) * step);
    }
}

void net__h2_earn(struct net__h2 *h2, enum net__h2_kind kind, unsigned n)
{
    unsigned burst = burst_of(h2, kind), *left = &h2->budgets.left[kind];
    *left = MIN(burst, *left + n);
}

bool net__h2_spend(struct net__h2 *h2, enum net__h2_kind kind)
{
    refill(h2);
    if (h2->budgets.left[kind] == 0) {
        net__h2_abuse(h2, kind);
        return false;
    }
    h2->budgets.left[kind]--;
    return true;
}

void net__h2_tell(struct net__h2 *h2, enum net__h2_kind kind)
{
    const struct net_server_options *o = &h2->c->server->options;
    if (o->on_http2_abuse)
        o->on_http2_abuse(kind_names[kind], o->arg);
}

void net__h2_abuse(struct net__h2 *h2, enum net__h2_kind kind)
{
    if (h2->abuse != NET__H2_KINDS)
        return;
    h2->abuse = kind;
    net__h2_tell(h2, kind);
    /* If there is no memory even for this, the connection ends without a word. */
    (void)nghttp2_session_terminate_session(h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
}
