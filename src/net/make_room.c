/*
 * net/make_room.c - When all places are taken, who has said nothing makes room.
 *
 * A flood of connections that ask for nothing would else keep everybody out until the idle timer
 * ends them, and it is a flood: others are there at once. The open connections are looked at from
 * the old end of their list. One that is of use goes to the young end, so that the next look is at
 * another (the clock algorithm): a newcomer costs a bounded number of looks, however many are open.
 */
#include "net/conn.h"

#include "base/clock.h"

#define LOOKS 16u
/* The oldest are looked at first, so this matters only where few places are fought for. */
#define SILENT_US (100 * CLOCK_MS)

/* Since it opened, or since its first request began, which has not become whole. */
static bool is_silent(const struct net_conn *c, int64_t now_us)
{
    bool may_be = c->state == NET__HEAD || c->state == NET__HANDSHAKE;
    return may_be && !c->served && !c->x && !c->out_first && !c->running &&
           now_us - c->since_us > SILENT_US;
}

void net__make_room(struct net_server *s)
{
    int64_t now_us = loop_now_us(s->loop);
    for (unsigned i = 0; i < LOOKS && s->conns_last; i++) {
        struct net_conn *c = s->conns_last;
        if (is_silent(c, now_us)) {
            net__gate_refused(s->gate, NET_GATE_SILENT);
            net__conn_reset(c);
            return;
        }
        net__conn_unlink(c);
        net__conn_link(c);
    }
}
