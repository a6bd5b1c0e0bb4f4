/*
 * net/retire.c - Giving up a listening socket without losing a connection, and without making one
 * wait.
 *
 * Closing a listening socket resets the connections in its queue and those whose handshake is under
 * way. A filter on the socket can drop what would begin a handshake, until nothing is under way any
 * more; but whoever was dropped asks again only a second later. So new connections have to go
 * elsewhere first. Sockets that share a port (SO_REUSEPORT) form a group in the kernel, and a small
 * program on the group (classic BPF, no privilege) says which of them gets the next connection, by
 * its number. Numbers are given in the order of listen(2), and when one is closed the last one gets
 * its number (socket(7)). So of n sockets of ours that were there before those of a successor:
 *
 *     0 .. n-1   ours
 *     n ..       the successor's
 *
 * A number that nobody has makes the kernel choose as always. Who else is in the group cannot be
 * asked for, but it can be seen: while the program in force is right, nothing comes to us any more.
 * So each of these is tried in turn until nothing comes:
 *
 *     SPREAD     n + chance of n: a successor with as many sockets or more, as it mostly is
 *     NEXT       n: one with fewer
 *     FIRST      0: we are the newer ones, and the older ones stay
 *
 * and NOWHERE when all were wrong, as for a process that has no successor at all. What came in the
 * meantime has been served. Then the filter, for the few that may still be under way or astray;
 * about a round trip later the queue is taken, and the socket closed. From the first close on the
 * numbers move: the last of the others gets the one that became free. Where they are fewer than we
 * were, NEXT then may name nobody, and the kernel chooses among us too: some connections of those
 * last milliseconds are asked for a second time.
 */
#include <linux/filter.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/macros.h"
#include "net/conn.h"

/* How long handshakes that began before may take, on this machine and in the world. */
#define NEAR_US (20 * CLOCK_MS)
#define FAR_US (300 * CLOCK_MS)

/* -- the group
 * ------------------------------------------------------------------------------------------- */

static bool attach(int fd, int option, struct sock_filter *code, size_t len)
{
    const struct sock_fprog program = { .len = (unsigned short)len, .filter = code };
    return setsockopt(fd, SOL_SOCKET, option, &program, sizeof(program)) == 0;
}

/* A group keeps its program when the socket that brought it is gone. */
static void detach(int fd)
{
    int unused = 0;
    /* Fails where there is none, or no such thing: then there is nothing to undo. */
    (void)setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof(unused));
}

static bool steer(struct net__listener *l, enum net__steering where)
{
    unsigned n = l->group->sockets;
    struct sock_filter spread[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, n),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_filter constant[] = {
        BPF_STMT(BPF_RET | BPF_K, where == NET__STEER_NEXT ? n : 0),
    };
    bool is_done = where == NET__STEER_SPREAD
                       ? attach(l->fd, SO_ATTACH_REUSEPORT_CBPF, spread, ARRAY_LEN(spread))
                       : attach(l->fd, SO_ATTACH_REUSEPORT_CBPF, constant, ARRAY_LEN(constant));
    if (is_done)
        __atomic_store_n(&l->group->is_steered, true, __ATOMIC_RELEASE);
    return is_done;
}

void net__group_join(struct net_server *s)
{
    struct net__listener *l = &s->listener;
    int is_shared = 0;
    socklen_t len = sizeof(is_shared);
    if (!s->options.group || l->is_lent || l->port == 0 ||
        getsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &is_shared, &len) != 0 || !is_shared)
        return;
    l->group = s->options.group;
    l->group->sockets++;
    __atomic_fetch_add(&l->group->open, 1, __ATOMIC_RELAXED);
    detach(l->fd); /* what a process left that was killed while it retired */
}

void net__group_leave(struct net__listener *l)
{
    struct net_group *group = l->group;
    if (!group)
        return;
    l->group = NULL;
    /* Of those who stay the kernel shall choose as always. */
    if (__atomic_sub_fetch(&group->open, 1, __ATOMIC_ACQ_REL) == 0 &&
        __atomic_load_n(&group->is_steered, __ATOMIC_ACQUIRE))
        detach(l->fd);
}

/* -- the steps
 * ------------------------------------------------------------------------------------------- */

/* Drop every packet that would begin a handshake: SYN without ACK. */
static bool refuse_handshakes(int fd)
{
    enum { FLAGS_AT = 13, SYN_ACK = 0x12, SYN = 0x02 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    return attach(fd, SO_ATTACH_FILTER, code, ARRAY_LEN(code));
}

static int64_t round_trip_us(const struct net_server *s)
{
    struct sockaddr_storage bound = { 0 };
    socklen_t len = sizeof(bound);
    struct address a;
    bool is_near = getsockname(s->listener.fd, (struct sockaddr *)&bound, &len) != 0 ||
                   !address_from((const struct sockaddr *)&bound, &a) || address_is_loopback(&a);
    return is_near ? NEAR_US : FAR_US;
}

static void on_quiet(struct loop_timer *timer)
{
    struct net_server *s = CONTAINER_OF(timer, struct net_server, listener.timer);
    net__listener_take_all(s);
    net__listener_close(s);
}

static void keep_quiet(struct net_server *s)
{
    struct net__listener *l = &s->listener;
    bool is_unix = l->port == 0;
    bool is_quiet = is_unix || refuse_handshakes(l->fd);
    /* The number of SPREAD may not exist any more after the first close. */
    if (l->group && l->steering == NET__STEER_SPREAD)
        (void)steer(l, NET__STEER_NEXT); /* it worked a moment ago; else the filter has to do */
    /* Without the filter waiting is of no use: the queue only fills again. */
    loop_timer_start(s->loop, &l->timer, is_quiet ? round_trip_us(s) : 0, on_quiet);
}

static void try_steering(struct net_server *s, enum net__steering where);

static void on_watched(struct loop_timer *timer)
{
    struct net_server *s = CONTAINER_OF(timer, struct net_server, listener.timer);
    struct net__listener *l = &s->listener;
    net__listener_take_all(s);
    if (l->taken == l->taken_before)
        keep_quiet(s);
    else
        try_steering(s, l->steering + 1);
}

/* What was under way before the steering is in the queue: who comes from now on is astray. */
static void on_settled(struct loop_timer *timer)
{
    struct net_server *s = CONTAINER_OF(timer, struct net_server, listener.timer);
    net__listener_take_all(s); /* a loop that is late has many of them */
    s->listener.taken_before = s->listener.taken;
    loop_timer_start(s->loop, timer, round_trip_us(s) / 2, on_watched);
}

static void try_steering(struct net_server *s, enum net__steering where)
{
    struct net__listener *l = &s->listener;
    if (where == NET__STEERINGS || !steer(l, where)) {
        l->steering = NET__STEER_NOWHERE;
        detach(l->fd);
        keep_quiet(s);
        return;
    }
    l->steering = where;
    loop_timer_start(s->loop, &l->timer, round_trip_us(s), on_settled);
}

void net__listener_retire(struct net_server *s)
{
    struct net__listener *l = &s->listener;
    if (l->state != NET__LISTENING)
        return;
    if (l->is_lent) {
        net__listener_close(s);
        return;
    }
    l->state = NET__RETIRING;
    net__listener_unlink(l);
    net__listener_watch(s);
    if (l->group)
        try_steering(s, NET__STEER_SPREAD);
    else
        keep_quiet(s);
}
