/*
 * net/dns.c - Names to addresses on threads of their own.
 *
 * getaddrinfo blocks, for half a minute when a name's servers are silent, and cannot be stopped. A
 * loop may not wait for it, and neither may the threads that hash passwords; so it has its own. Two
 * queues share them: names that users brought may hold half of the threads and no more, so that a
 * page full of links to a dead name server does not keep the server from finding its own database.
 *
 * A lookup belongs to the queue, then to the thread, then (posted) to the loop that asked. A loop
 * that closes abandons its lookups: the thread then frees what it found.
 */
#include "net/client_private.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_DEFAULT 8u
#define THREADS_MAX 64u
#define QUEUE_MAX 256u
#define STACK_BYTES ((size_t)512 * 1024)

struct queue {
    struct net__lookup *first, *last;
    unsigned len;
    unsigned running;
};

struct net_dns {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct net_dns_options options;
    struct queue queues[2]; /* ours, users' */
    unsigned threads, idle;
    unsigned refs; /* the owner and each thread; under the lock */
    bool stopping;
};

/* -- getaddrinfo
 * --------------------------------------------------------------------------------------------- */

/* An address with a scope is of one link only: no server of ours is there. */
static bool has_scope(const struct sockaddr *sockaddr)
{
    struct sockaddr_in6 in6;
    if (sockaddr->sa_family != AF_INET6)
        return false;
    memcpy(&in6, sockaddr, sizeof(in6));
    return in6.sin6_scope_id != 0;
}

static enum status look_up(const char *host, struct net__addresses *found)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &list);
    if (rc == EAI_NONAME || rc == EAI_NODATA || rc == EAI_ADDRFAMILY)
        return STATUS_NOT_FOUND;
    if (rc != 0)
        return STATUS_UNAVAILABLE;
    for (const struct addrinfo *i = list; i && found->len < NET_DNS_ADDRESSES_MAX; i = i->ai_next)
        found->len += !has_scope(i->ai_addr) && address_from(i->ai_addr, &found->list[found->len]);
    freeaddrinfo(list);
    return found->len ? STATUS_OK : STATUS_NOT_FOUND;
}

/* -- threads
 * ---------------------------------------------------------------------------------------------- */

static void queue_push(struct queue *q, struct net__lookup *lookup)
{
    lookup->next = NULL;
    if (q->last)
        q->last->next = lookup;
    else
        q->first = lookup;
    q->last = lookup;
    q->len++;
}

static struct net__lookup *queue_pop(struct queue *q)
{
    struct net__lookup *lookup = q->first;
    q->first = lookup->next;
    if (!q->first)
        q->last = NULL;
    q->len--;
    return lookup;
}

/* Users' names leave half of the threads to ours. */
static bool user_may_run(const struct net_dns *dns)
{
    return dns->queues[1].running < MAX(dns->options.threads_max / 2, 1u);
}

static struct net__lookup *next_lookup(struct net_dns *dns)
{
    if (dns->queues[0].first)
        return queue_pop(&dns->queues[0]);
    if (dns->queues[1].first && user_may_run(dns))
        return queue_pop(&dns->queues[1]);
    return NULL;
}

static void on_found(struct loop_post *post)
{
    struct net__lookup *lookup = CONTAINER_OF(post, struct net__lookup, post);
    if (lookup->fn)
        lookup->fn(lookup, lookup->arg);
    free(lookup);
}

/* Under the lock: hand the answer to its loop, unless nobody waits any more. */
static void deliver(struct net__lookup *lookup)
{
    if (!lookup->loop) {
        free(lookup);
        return;
    }
    lookup->post.fn = on_found;
    loop_post(lookup->loop, &lookup->post);
}

/* The lock is held, and released. */
static void unref_unlock(struct net_dns *dns)
{
    bool is_last = --dns->refs == 0;
    (void)pthread_mutex_unlock(&dns->lock);
    if (!is_last)
        return;
    (void)pthread_cond_destroy(&dns->filled);
    (void)pthread_mutex_destroy(&dns->lock);
    free(dns);
}

static void *work(void *arg)
{
    struct net_dns *dns = arg;
    (void)pthread_mutex_lock(&dns->lock);
    while (!dns->stopping) {
        struct net__lookup *lookup = next_lookup(dns);
        if (!lookup) {
            dns->idle++;
            (void)pthread_cond_wait(&dns->filled, &dns->lock);
            dns->idle--;
            continue;
        }
        struct queue *q = &dns->queues[lookup->from_user];
        q->running++;
        (void)pthread_mutex_unlock(&dns->lock);
        lookup->status = dns->options.lookup
                             ? dns->options.lookup(lookup->host, lookup->found.list,
                                                   &lookup->found.len, dns->options.lookup_arg)
                             : look_up(lookup->host, &lookup->found);
        (void)pthread_mutex_lock(&dns->lock);
        q->running--;
        deliver(lookup);
    }
    unref_unlock(dns);
    return NULL;
}

/* Under the lock. Signals are the main thread's business. */
static bool start_thread(struct net_dns *dns)
{
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t thread;
    if (pthread_attr_init(&attr) != 0)
        return false;
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES); /* the default would do as well */
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    bool started = pthread_create(&thread, &attr, work, dns) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    dns->threads += started;
    dns->refs += started;
    return started;
}

/* -- for the loops
 * ------------------------------------------------------------------------------------------ */

enum status net__dns_start(struct net_dns *dns, struct loop *loop, struct slice host,
                           bool from_user, void (*fn)(struct net__lookup *lookup, void *arg),
                           void *arg, struct net__lookup **ret_lookup)
{
    struct net__lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return STATUS_EXHAUSTED;
    lookup->dns = dns;
    lookup->loop = loop;
    lookup->fn = fn;
    lookup->arg = arg;
    lookup->from_user = from_user;
    lookup->status = STATUS_UNAVAILABLE;
    memcpy(lookup->host, host.data, MIN(host.len, sizeof(lookup->host) - 1));
    (void)pthread_mutex_lock(&dns->lock);
    struct queue *q = &dns->queues[from_user];
    unsigned waiting = dns->queues[0].len + dns->queues[1].len;
    bool wants_thread = waiting >= dns->idle && dns->threads < dns->options.threads_max;
    bool fits = q->len < QUEUE_MAX;
    if (fits && wants_thread && !start_thread(dns))
        fits = dns->threads > 0;
    if (fits)
        queue_push(q, lookup);
    (void)pthread_cond_signal(&dns->filled);
    (void)pthread_mutex_unlock(&dns->lock);
    if (!fits) {
        free(lookup);
        return STATUS_EXHAUSTED;
    }
    *ret_lookup = lookup;
    return STATUS_OK;
}

void net__dns_abandon(struct net__lookup *lookup)
{
    struct net_dns *dns = lookup->dns;
    (void)pthread_mutex_lock(&dns->lock);
    lookup->loop = NULL;
    lookup->fn = NULL; /* posted already: on_found frees it */
    (void)pthread_mutex_unlock(&dns->lock);
}

enum status net_dns_new(const struct net_dns_options *options, struct net_dns **ret_dns)
{
    struct net_dns *dns = calloc(1, sizeof(*dns));
    if (!dns)
        return STATUS_EXHAUSTED;
    if (options)
        dns->options = *options;
    if (dns->options.threads_max == 0)
        dns->options.threads_max = THREADS_DEFAULT;
    dns->options.threads_max = MIN(dns->options.threads_max, THREADS_MAX);
    (void)pthread_mutex_init(&dns->lock, NULL); /* never fail with these attributes */
    (void)pthread_cond_init(&dns->filled, NULL);
    dns->refs = 1;
    *ret_dns = dns;
    return STATUS_OK;
}

void net_dns_free(struct net_dns *dns)
{
    if (!dns)
        return;
    (void)pthread_mutex_lock(&dns->lock);
    dns->stopping = true;
    for (unsigned i = 0; i < 2; i++) {
        while (dns->queues[i].first)
            deliver(queue_pop(&dns->queues[i])); /* abandoned, all of them */
    }
    (void)pthread_cond_broadcast(&dns->filled);
    unref_unlock(dns);
}
