/*
 * net/client_name.c - The loop's names: what was looked up lately, what is being looked up (once,
 * however many wait for it), and the guard.
 *
 * getaddrinfo tells no time to live, so answers are kept for a fixed short time, failures for a
 * shorter one. The guard looks at addresses each time they are used, not when they are found: what
 * it lets through is what the connection is made to, so a name that changes its mind between the
 * two (DNS rebinding) gains nothing.
 */
#include "net/client_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/problem.h"

/* -- the guard
 * ------------------------------------------------------------------------------------------------
 */

bool net__is_allowed(const struct net_client *client, const struct address *address)
{
    if (!net_address_special(address))
        return true;
    return address_set_has(&client->allow, address);
}

enum status net__guard(struct task *task, struct net_client *client, const struct address *address)
{
    if (net__is_allowed(client, address))
        return STATUS_OK;
    net__count(client, NET__COUNT_REFUSED_ADDRESS);
    enum status st = problem_set(task, STATUS_DENIED, "client/refused-address",
                                 "This URL leads to a %s address, where URLs from outside may not "
                                 "go.",
                                 net_address_special(address));
    return net__said(task, st, 422);
}

/* One bad address spoils the name: nobody mixes public and inner ones with good intent. */
static enum status guard_all(struct task *task, struct net_client *client,
                             const struct net__addresses *found)
{
    for (unsigned i = 0; i < found->len; i++) {
        enum status st = net__guard(task, client, &found->list[i]);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

/* -- the table
 * ------------------------------------------------------------------------------------------------
 */

static void unlink_use(struct net__name *n)
{
    struct net_client *client = n->client;
    if (n->older)
        n->older->newer = n->newer;
    else
        client->name_oldest = n->newer;
    if (n->newer)
        n->newer->older = n->older;
    else
        client->name_newest = n->older;
}

static void link_newest(struct net__name *n)
{
    struct net_client *client = n->client;
    n->newer = NULL;
    n->older = client->name_newest;
    if (n->older)
        n->older->newer = n;
    else
        client->name_oldest = n;
    client->name_newest = n;
}

static void name_drop(struct net__name *n)
{
    struct net_client *client = n->client;
    struct net__name **at = &client->names[n->hash % NET__NAME_BUCKETS];
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    unlink_use(n);
    client->stats.names--;
    if (n->lookup)
        net__dns_abandon(n->lookup);
    free(n);
}

/* Make room for one; false when every name is being waited for. */
static bool make_room(struct net_client *client)
{
    struct net__name *n = client->name_oldest;
    if (client->stats.names < client->options.names_max)
        return true;
    while (n && (n->waiters || n->lookup))
        n = n->newer;
    if (!n)
        return false;
    name_drop(n);
    return true;
}

/* Users' names and ours are apart, as their lookups are. */
static struct net__name *name_get(struct net_client *client, struct slice host, bool from_user)
{
    uint64_t hash = hash64(host, from_user);
    struct net__name **bucket = &client->names[hash % NET__NAME_BUCKETS];
    for (struct net__name *n = *bucket; n; n = n->next) {
        if (n->hash == hash && n->from_user == from_user &&
            slice_eq(slice_of(n->host, n->host_len), host)) {
            unlink_use(n);
            link_newest(n);
            return n;
        }
    }
    if (!make_room(client))
        return NULL;
    struct net__name *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    n->client = client;
    n->hash = hash;
    n->from_user = from_user;
    n->host_len = (uint8_t)host.len;
    memcpy(n->host, host.data, host.len);
    n->next = *bucket;
    *bucket = n;
    link_newest(n);
    client->stats.names++;
    return n;
}

void net__names_close(struct net_client *client)
{
    while (client->name_oldest)
        name_drop(client->name_oldest);
}

/* -- looking up
 * -----------------------------------------------------------------------------------------------
 */

static void on_lookup(struct net__lookup *lookup, void *arg)
{
    struct net__name *n = arg;
    struct net_client *client = n->client;
    const struct net_client_options *o = &client->options;
    bool is_found = lookup->status == STATUS_OK && lookup->found.len > 0;
    n->lookup = NULL;
    n->status = is_found || lookup->status != STATUS_OK ? lookup->status : STATUS_NOT_FOUND;
    n->found = lookup->found;
    n->expires_us =
        loop_now_us(client->loop) + (is_found ? o->name_ttl_us : o->name_missing_ttl_us);
    if (is_found)
        net__count(client, NET__COUNT_NAME_FOUND);
    else
        net__count(client, n->status == STATUS_NOT_FOUND ? NET__COUNT_NAME_MISSING
                                                         : NET__COUNT_NAME_FAILED);
    for (struct net__name_waiter *w = n->waiters; w; w = w->next)
        task_wake(w->task);
}

static enum status wait_for(struct task *task, struct net__name *n, int64_t until_us)
{
    struct net__name_waiter waiter = { .task = task, .next = n->waiters };
    if (n->waiters)
        n->waiters->prev = &waiter;
    n->waiters = &waiter;
    enum status st = STATUS_OK;
    while (n->lookup && st == STATUS_OK)
        st = task_wait_until(task, until_us);
    if (waiter.prev)
        waiter.prev->next = waiter.next;
    else
        n->waiters = waiter.next;
    if (waiter.next)
        waiter.next->prev = waiter.prev;
    return n->lookup ? st : STATUS_OK;
}

static enum status say_busy(struct task *task)
{
    return net__said(task,
                     problem_set(task, STATUS_EXHAUSTED, "client/busy",
                                 "Too many host names are being looked up already."),
                     503);
}

static enum status name_resolve(struct task *task, struct net_client *client, struct slice host,
                                bool guarded, int64_t until_us, struct net__addresses *ret_found)
{
    struct net__name *n = name_get(client, host, guarded);
    if (!n)
        return say_busy(task);
    if (!n->lookup && n->expires_us <= loop_now_us(client->loop)) {
        enum status st = net__dns_start(client->options.dns, client->loop, host, guarded, on_lookup,
                                        n, &n->lookup);
        if (st != STATUS_OK)
            return say_busy(task);
        client->stats.lookups++;
    }
    enum status st = n->lookup ? wait_for(task, n, until_us) : STATUS_OK;
    if (st != STATUS_OK)
        return st;
    if (n->status == STATUS_OK) {
        *ret_found = n->found;
        return STATUS_OK;
    }
    st = n->status == STATUS_NOT_FOUND
             ? problem_set(task, STATUS_UNAVAILABLE, "client/dns", "There is no host \"%.*s\".",
                           SLICE_ARG(host))
             : problem_set(task, STATUS_UNAVAILABLE, "client/dns",
                           "The host \"%.*s\" cannot be looked up now.", SLICE_ARG(host));
    return net__said(task, st, 502);
}

static bool is_localhost(struct slice host)
{
    return slice_eq(host, SLICE("localhost")) || slice_ends(host, SLICE(".localhost"));
}

enum status net__resolve(struct task *task, struct net_client *client, const struct net_url *url,
                         bool guarded, int64_t until_us, struct net__addresses *ret_found)
{
    static const struct net__addresses localhost = {
        .list = { { .bytes = { [10] = 0xff, 0xff, 127, 0, 0, 1 }, .is_v4 = true },
                  { .bytes = { [15] = 1 } } },
        .len = 2,
    };
    enum status st = STATUS_OK;
    if (url->is_literal)
        *ret_found = (struct net__addresses){ .list = { url->address }, .len = 1 };
    else if (is_localhost(url->host)) /* RFC 6761 6.3: never asked of a server */
        *ret_found = localhost;
    else
        st = name_resolve(task, client, url->host, guarded, until_us, ret_found);
    if (st == STATUS_OK && guarded)
        st = guard_all(task, client, ret_found);
    return st;
}
