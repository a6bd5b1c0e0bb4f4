/*
 * net/stall.c - Peers that ask, and do not take the answer.
 *
 * Whoever takes a byte now and then could hold an answer, and all that it needs, for ever. So there
 * is a least rate, as for bodies. The measure is what the peer has acknowledged, as the kernel
 * tells: our own queue moves only when the kernel's buffer has room again, which for an honest peer
 * on a slow line is once in many seconds. The kernel is asked by the sweep alone, about connections
 * whose answer waits.
 */
#include "net/conn.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "net/acknowledged.h"

void net__conn_reset(struct net_conn *c)
{
    /* Else the kernel would go on offering what it has, for minutes. */
    const struct linger hard = { .l_onoff = 1, .l_linger = 0 };
    uv_os_fd_t fd;
    if (c->state != NET__CLOSED && uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    net__conn_close(c);
}

bool net__answer_is_stuck(struct net_conn *c, int64_t now_us)
{
    const struct net_limits *l = &c->server->limits;
    struct net__taking *t = &c->taking;
    if (!c->out_first) {
        t->since_us = 0;
        return false;
    }
    /* The other end of a unix socket is on this machine: the queue tells enough. */
    uint64_t taken = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
    uv_os_fd_t fd;
    bool has_rate =
        uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0 && net__bytes_acknowledged(fd, &taken);
    if (taken != t->taken)
        c->write_us = now_us;
    t->taken = taken;
    if (now_us - c->write_us > l->write_timeout_us)
        return true;
    if (t->since_us == 0) {
        t->since_us = now_us;
        t->taken_before = taken;
        return false;
    }
    int64_t waited_us = now_us - t->since_us;
    if (waited_us <= l->write_timeout_us)
        return false;
    if (has_rate &&
        (int64_t)(taken - t->taken_before) < (int64_t)l->body_rate_min * waited_us / CLOCK_SECOND)
        return true;
    t->since_us = now_us;
    t->taken_before = taken;
    return false;
}
