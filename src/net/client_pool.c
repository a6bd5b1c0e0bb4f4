/*
 * net/client_pool.c - Who gets which connection.
 *
 * A host is a peer with what must be the same to share a connection: scheme, name, port, TLS
 * settings, and whether the guard looked at the address. Connections are counted by host and in
 * all. Who finds no place stands in a queue: the host's when the host has all it may have, the
 * client's when the client has. A place that comes free is granted to the first who can use it
 * before anybody new may ask, so nobody is overtaken.
 */
#include "net/client_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/problem.h"

#define SWEEP_US CLOCK_SECOND
#define HOSTS_MAX 1024u
#define KEPT_LESS_US CLOCK_SECOND /* than the peer says it keeps them */

/* -- hosts
 * ----------------------------------------------------------------------------------------------------
 */

static void host_unlink_use(struct net_client *client, struct net__host *h)
{
    if (h->older)
        h->older->newer = h->newer;
    else
        client->host_oldest = h->newer;
    if (h->newer)
        h->newer->older = h->older;
    else
        client->host_newest = h->older;
}

static void host_link_newest(struct net_client *client, struct net__host *h)
{
    h->newer = NULL;
    h->older = client->host_newest;
    if (h->older)
        h->older->newer = h;
    else
        client->host_oldest = h;
    client->host_newest = h;
}

static void host_drop(struct net_client *client, struct net__host *h)
{
    struct net__host **at = &client->hosts[h->hash % NET__HOST_BUCKETS];
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    host_unlink_use(client, h);
    client->hosts_len--;
    SSL_SESSION_free(h->session);
    net_client_tls_free(h->tls);
    free(h);
}

static bool host_is_for(const struct net__host *h, const struct net__peer *peer)
{
    return h->port == peer->port && h->is_tls == peer->is_tls && h->guarded == peer->guarded &&
           h->tls == peer->tls && slice_eq(slice_of(h->host, h->host_len), peer->host);
}

/* Hosts without a connection are kept for their session only: the oldest give way. */
static void hosts_trim(struct net_client *client)
{
    struct net__host *h = client->host_oldest;
    while (h && client->hosts_len >= HOSTS_MAX) {
        struct net__host *newer = h->newer;
        if (h->users == 0 && h->connections == 0)
            host_drop(client, h);
        h = newer;
    }
}

static struct net__host *host_get(struct net_client *client, const struct net__peer *peer)
{
    uint64_t hash = hash64(peer->host, peer->port * 4 + peer->is_tls * 2u + peer->guarded);
    struct net__host **bucket = &client->hosts[hash % NET__HOST_BUCKETS];
    struct net__host *h = *bucket;
    while (h && (h->hash != hash || !host_is_for(h, peer)))
        h = h->next;
    if (h) {
        host_unlink_use(client, h);
        host_link_newest(client, h);
        return h;
    }
    hosts_trim(client);
    h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->hash = hash;
    h->port = peer->port;
    h->is_tls = peer->is_tls;
    h->guarded = peer->guarded;
    h->tls = net__client_tls_ref(peer->tls);
    h->host_len = (uint8_t)peer->host.len;
    memcpy(h->host, peer->host.data, peer->host.len);
    h->next = *bucket;
    *bucket = h;
    host_link_newest(client, h);
    client->hosts_len++;
    return h;
}

void net__pool_leave(struct net__host *host)
{
    if (host)
        host->users--;
}

/* -- idle connections
 * ------------------------------------------------------------------------------------------ */

static void idle_add(struct net__link *link)
{
    struct net_client *client = link->client;
    struct net__host *h = link->host;
    link->is_idle = true;
    link->prev = NULL;
    link->next = h->idle;
    if (h->idle)
        h->idle->prev = link;
    h->idle = link;
    link->idle_newer = NULL;
    link->idle_older = client->idle_newest;
    if (client->idle_newest)
        client->idle_newest->idle_newer = link;
    else
        client->idle_oldest = link;
    client->idle_newest = link;
    client->stats.idle++;
    net__count_connections(client, 1, -1);
}

static void idle_remove(struct net__link *link)
{
    struct net_client *client = link->client;
    if (link->prev)
        link->prev->next = link->next;
    else
        link->host->idle = link->next;
    if (link->next)
        link->next->prev = link->prev;
    if (link->idle_older)
        link->idle_older->idle_newer = link->idle_newer;
    else
        client->idle_oldest = link->idle_newer;
    if (link->idle_newer)
        link->idle_newer->idle_older = link->idle_older;
    else
        client->idle_newest = link->idle_older;
    link->is_idle = false;
    client->stats.idle--;
    net__count_connections(client, -1, 1);
}

static void idle_close(struct net__link *link)
{
    idle_remove(link);
    net__link_close(link);
}

/* The last used one that still lives. */
static struct net__link *idle_take(struct net__host *h)
{
    while (h->idle) {
        struct net__link *link = h->idle;
        idle_remove(link);
        bool is_old = loop_now_us(link->client->loop) >= link->idle_until_us;
        if (!is_old && !net__link_is_stale(link))
            return link;
        net__link_close(link);
    }
    return NULL;
}

void net__pool_idle_event(struct net__link *link)
{
    if (net__link_is_stale(link))
        idle_close(link);
}

static void on_sweep(struct loop_timer *timer)
{
    struct net_client *client = CONTAINER_OF(timer, struct net_client, sweep);
    int64_t now_us = loop_now_us(client->loop);
    for (struct net__link *link = client->idle_oldest, *newer; link; link = newer) {
        newer = link->idle_newer;
        if (now_us >= link->idle_until_us)
            idle_close(link);
    }
    if (client->idle_oldest)
        loop_timer_start(client->loop, &client->sweep, SWEEP_US, on_sweep);
}

/* -- turns
 * ----------------------------------------------------------------------------------------------------
 */

static void turn_append(struct net__turns *turns, struct net__turn *turn)
{
    turn->next = NULL;
    turn->prev = turns->last;
    if (turns->last)
        turns->last->next = turn;
    else
        turns->first = turn;
    turns->last = turn;
}

static void turn_remove(struct net__turns *turns, struct net__turn *turn)
{
    if (turn->prev)
        turn->prev->next = turn->next;
    else
        turns->first = turn->next;
    if (turn->next)
        turn->next->prev = turn->prev;
    else
        turns->last = turn->prev;
}

static struct net__turns *turns_of(struct net_client *client, struct net__turn *turn)
{
    return turn->waits_for_all ? &client->turns : &turn->host->turns;
}

static void grant(struct net_client *client, struct net__turn *turn, struct net__link *link)
{
    turn_remove(turns_of(client, turn), turn);
    turn->granted = true;
    turn->link = link;
    task_wake(turn->task);
}

static void count_opening(struct net_client *client, struct net__host *h)
{
    h->connections++;
    client->stats.connections++;
    net__count_connections(client, 0, 1);
}

static void count_ended(struct net_client *client, struct net__host *h)
{
    h->connections--;
    client->stats.connections--;
    net__count_connections(client, 0, -1);
}

/* Room for one more connection, if need be by closing the one that was idle longest. */
static bool has_room(struct net_client *client)
{
    if (client->stats.connections < client->options.connections_max)
        return true;
    if (!client->idle_oldest)
        return false;
    struct net__link *link = client->idle_oldest;
    idle_remove(link);
    link->counted = false; /* its place is taken at once, not offered to a queue */
    count_ended(client, link->host);
    net__link_close(link);
    return true;
}

/* A place came free: to whom does it go? */
static void pass_on(struct net_client *client, struct net__host *h)
{
    struct net__turn *turn = h->turns.first;
    if (turn && h->connections < client->options.host_connections_max && has_room(client)) {
        count_opening(client, h);
        grant(client, turn, NULL);
        return;
    }
    for (turn = client->turns.first; turn; turn = client->turns.first) {
        struct net__host *other = turn->host;
        if (other->connections >= client->options.host_connections_max) {
            turn_remove(&client->turns, turn); /* now it is its host that is full */
            turn->waits_for_all = false;
            turn_append(&other->turns, turn);
            continue;
        }
        if (!has_room(client))
            return;
        count_opening(client, other);
        grant(client, turn, NULL);
        return;
    }
}

void net__pool_lost(struct net__link *link)
{
    struct net_client *client = link->client;
    link->counted = false;
    count_ended(client, link->host);
    if (!client->closed)
        pass_on(client, link->host);
}

void net__pool_give_up(struct net_client *client, struct net__host *host)
{
    count_ended(client, host);
    pass_on(client, host);
}

/* -- taking and giving
 * ----------------------------------------------------------------------------------------- */

void net__pool_adopt(struct net__host *host, struct net__link *link)
{
    link->host = host;
    link->counted = true;
    link->client->stats.opened++;
}

void net__pool_keep(struct net__link *link)
{
    struct net_client *client = link->client;
    struct net__host *h = link->host;
    const struct net_client_options *o = &client->options;
    int64_t now_us = loop_now_us(client->loop);
    int64_t idle_us = o->idle_timeout_us;
    if (link->idle_max_us)
        idle_us = MIN(idle_us, link->idle_max_us - KEPT_LESS_US);
    link->idle_until_us = MIN(now_us + idle_us, link->opened_us + o->lifetime_us);
    link->served++;
    if (link->idle_until_us <= now_us || client->closed) {
        net__link_close(link);
        return;
    }
    if (h->turns.first) {
        grant(client, h->turns.first, link);
        return;
    }
    idle_add(link);
    if (client->turns.first)
        pass_on(client, h); /* closes an idle one for it */
    if (client->idle_oldest && !loop_timer_is_armed(&client->sweep))
        loop_timer_start(client->loop, &client->sweep, SWEEP_US, on_sweep);
}

/* What was granted to a task that does not want it any more. */
static void give_back(struct net_client *client, struct net__turn *turn)
{
    if (!turn->link) {
        net__pool_give_up(client, turn->host);
        return;
    }
    turn->link->served--; /* it did not serve again */
    net__pool_keep(turn->link);
}

static enum status wait_turn(struct task *task, struct net_client *client, struct net__turn *turn,
                             int64_t until_us)
{
    if (client->waiting >= client->options.waiting_max)
        return net__said(task,
                         problem_set(task, STATUS_EXHAUSTED, "client/busy",
                                     "Too many requests to other servers are waiting for a "
                                     "connection."),
                         503);
    turn->task = task;
    turn_append(turns_of(client, turn), turn);
    client->waiting++;
    enum status st = STATUS_OK;
    while (!turn->granted && st == STATUS_OK)
        st = task_wait_until(task, until_us);
    client->waiting--;
    if (!turn->granted)
        turn_remove(turns_of(client, turn), turn);
    else if (st != STATUS_OK)
        give_back(client, turn);
    return st;
}

enum status net__pool_take(struct task *task, struct net_client *client,
                           const struct net__peer *peer, bool fresh, int64_t until_us,
                           struct net__host **ret_host, struct net__link **ret_link)
{
    struct net__host *h = host_get(client, peer);
    if (!h)
        return STATUS_EXHAUSTED;
    h->users++;
    *ret_host = h;
    if (fresh) { /* the others of this host will not have fared better than the one that died */
        while (h->idle)
            idle_close(h->idle);
    }
    struct net__link *link = h->turns.first ? NULL : idle_take(h);
    if (link) {
        *ret_link = link;
        return STATUS_OK;
    }
    struct net__turn turn = { .host = h };
    bool host_is_full = h->turns.first || h->connections >= client->options.host_connections_max;
    if (!host_is_full && !client->turns.first && has_room(client)) {
        count_opening(client, h);
        *ret_link = NULL;
        return STATUS_OK;
    }
    turn.waits_for_all = !host_is_full;
    enum status st = wait_turn(task, client, &turn, until_us);
    if (st != STATUS_OK) {
        h->users--;
        *ret_host = NULL;
        return st;
    }
    *ret_link = turn.link;
    return STATUS_OK;
}

void net__pool_close(struct net_client *client)
{
    while (client->idle_oldest)
        idle_close(client->idle_oldest);
    loop_timer_stop(client->loop, &client->sweep);
    /* Each drop unlinks the host before it is freed, which the analyser loses sight of. */
    while (client->host_oldest)
        host_drop(client, client->host_oldest); /* NOLINT(clang-analyzer-unix.Malloc) */
}
