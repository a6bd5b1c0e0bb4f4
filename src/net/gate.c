/*
 * net/gate.c - How many connections are open, in all and by address, over all servers of the
 * process.
 *
 * The table by address holds only addresses with an open connection, so the bound on connections is
 * its bound too: it is made once and never grows, whoever knocks. It is divided into stripes with a
 * lock each, held for a few dozen nanoseconds; an address's stripe follows from a hash with a
 * secret seed, so nobody can choose to fill one. Pages of it that were never needed are never
 * touched.
 */
#include "net/gate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/macros.h"

#define STRIPES 16u
/* Twice what falls to a stripe on average, and room for the luck of small numbers. */
#define STRIPE_SLACK 64u
#define NOTHING UINT32_MAX
/* Beyond a maximum so many more (and an eighth) are told why; past these they are closed without a
 * word. */
#define OVER_EXTRA 16u
#define OVER_EXTRA_ADDRESS 4u

struct entry {
    uint8_t bytes[16];
    uint32_t open; /* connections; 0: free */
    uint32_t next; /* in its chain, or among the free */
};

struct stripe {
    pthread_mutex_t lock;
    struct entry *entries;
    uint32_t *heads; /* index + 1 into entries; 0: none, so that fresh pages need no filling */
    uint32_t used;   /* entries that were ever taken */
    uint32_t free;   /* first of those given back, or NOTHING */
    uint32_t live;
};

struct net_gate {
    struct net_gate_options options;
    uint64_t seed;
    uint32_t heads_mask;
    uint32_t entries_max; /* of a stripe */
    struct stripe stripes[STRIPES];
    uint32_t open;                      /* atomic */
    uint64_t refused[NET_GATE_REASONS]; /* atomic */
    uint64_t accepted;                  /* atomic */
};

static uint32_t over_max(uint32_t max, uint32_t extra)
{
    return max + max / 8 + extra;
}

static bool stripes_init(struct net_gate *gate)
{
    uint32_t open_max = over_max(gate->options.connections_max, OVER_EXTRA);
    uint32_t heads = 16;
    gate->entries_max = open_max / STRIPES * 2 + STRIPE_SLACK;
    while (heads < gate->entries_max)
        heads *= 2;
    gate->heads_mask = heads - 1;
    for (unsigned i = 0; i < STRIPES; i++) {
        struct stripe *s = &gate->stripes[i];
        (void)pthread_mutex_init(&s->lock, NULL); /* never fails on Linux */
        s->free = NOTHING;
        s->entries = calloc(gate->entries_max, sizeof(*s->entries));
        s->heads = calloc(heads, sizeof(*s->heads));
        if (!s->entries || !s->heads)
            return false;
    }
    return true;
}

enum status net_gate_new(const struct net_gate_options *options, struct net_gate **ret_gate)
{
    struct net_gate *gate = calloc(1, sizeof(*gate));
    if (!gate)
        return STATUS_EXHAUSTED;
    gate->options = *options;
    if (!gate->options.connections_max)
        gate->options.connections_max = NET_CONNECTIONS_DEFAULT;
    random_bytes(&gate->seed, sizeof(gate->seed));
    if (options->per_address_max && !stripes_init(gate)) {
        net_gate_free(gate);
        return STATUS_EXHAUSTED;
    }
    *ret_gate = gate;
    return STATUS_OK;
}

void net_gate_free(struct net_gate *gate)
{
    if (!gate)
        return;
    for (unsigned i = 0; i < STRIPES; i++) {
        free(gate->stripes[i].entries);
        free(gate->stripes[i].heads);
    }
    free(gate);
}

/* -- one address
 * ----------------------------------------------------------------------------------------- */

static bool is_counted(const struct net_gate *gate, const struct address *a)
{
    if (!a || !gate->options.per_address_max)
        return false;
    const struct address_set *exempt = __atomic_load_n(&gate->options.exempt, __ATOMIC_ACQUIRE);
    return !exempt || !address_set_has(exempt, a);
}

void net_gate_exempt_set(struct net_gate *gate, const struct address_set *exempt)
{
    __atomic_store_n(&gate->options.exempt, exempt, __ATOMIC_RELEASE);
}

/* The stripe, locked, and the place in it where the chain of this subscriber begins. */
static struct stripe *stripe_of(struct net_gate *gate, const struct address *key, uint32_t **head)
{
    uint64_t h = hash64(slice_of((const char *)key->bytes, sizeof(key->bytes)), gate->seed);
    struct stripe *s = &gate->stripes[h % STRIPES];
    *head = &s->heads[(uint32_t)(h >> 32) & gate->heads_mask];
    (void)pthread_mutex_lock(&s->lock); /* not recursive, never destroyed while used */
    return s;
}

/* The link that leads to the key's entry, or the last link of the chain (which holds 0). */
static uint32_t *find(struct stripe *s, uint32_t *link, const struct address *key)
{
    while (*link) {
        struct entry *e = &s->entries[*link - 1];
        if (memcmp(e->bytes, key->bytes, sizeof(e->bytes)) == 0)
            break;
        link = &e->next;
    }
    return link;
}

static uint32_t take_entry(struct stripe *s, uint32_t entries_max)
{
    uint32_t index = s->free;
    if (index != NOTHING)
        s->free = s->entries[index].next;
    else if (s->used < entries_max)
        index = s->used++;
    return index;
}

static enum net_verdict enter_address(struct net_gate *gate, const struct address *a)
{
    uint32_t max = gate->options.per_address_max, *link;
    struct address key = address_subscriber(a);
    struct stripe *s = stripe_of(gate, &key, &link);
    enum net_verdict verdict = NET_ADMITTED;
    link = find(s, link, &key);
    if (!*link) {
        uint32_t index = take_entry(s, gate->entries_max);
        if (index == NOTHING) {
            verdict = NET_REFUSED_SILENTLY;
        } else {
            struct entry *e = &s->entries[index];
            memcpy(e->bytes, key.bytes, sizeof(e->bytes));
            e->open = 1;
            e->next = 0;
            *link = index + 1;
            s->live++;
        }
    } else {
        struct entry *e = &s->entries[*link - 1];
        if (e->open >= over_max(max, OVER_EXTRA_ADDRESS))
            verdict = NET_REFUSED_SILENTLY;
        else if (e->open++ >= max)
            verdict = NET_REFUSED_OVER;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return verdict;
}

static void leave_address(struct net_gate *gate, const struct address *a)
{
    uint32_t *link;
    struct address key = address_subscriber(a);
    struct stripe *s = stripe_of(gate, &key, &link);
    link = find(s, link, &key);
    if (*link) {
        uint32_t index = *link - 1;
        struct entry *e = &s->entries[index];
        if (--e->open == 0) {
            *link = e->next;
            e->next = s->free;
            s->free = index;
            s->live--;
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* -- entering and leaving
 * --------------------------------------------------------------------------------- */

void net__gate_refused(struct net_gate *gate, enum net_gate_reason reason)
{
    __atomic_fetch_add(&gate->refused[reason], 1, __ATOMIC_RELAXED);
}

static enum net_verdict refused(struct net_gate *gate, enum net_gate_reason reason,
                                enum net_verdict verdict)
{
    net__gate_refused(gate, reason);
    return verdict;
}

bool net__gate_is_full(const struct net_gate *gate)
{
    return __atomic_load_n(&gate->open, __ATOMIC_RELAXED) >= gate->options.connections_max;
}

enum net_verdict net__gate_enter(struct net_gate *gate, struct net__ticket *ticket)
{
    uint32_t max = gate->options.connections_max;
    *ticket = (struct net__ticket){ 0 };
    uint32_t before = __atomic_fetch_add(&gate->open, 1, __ATOMIC_RELAXED);
    if (before >= over_max(max, OVER_EXTRA)) {
        __atomic_fetch_sub(&gate->open, 1, __ATOMIC_RELAXED);
        return refused(gate, NET_GATE_TOTAL, NET_REFUSED_SILENTLY);
    }
    ticket->is_open = true;
    if (before >= max)
        return refused(gate, NET_GATE_TOTAL, NET_REFUSED_OVER);
    __atomic_fetch_add(&gate->accepted, 1, __ATOMIC_RELAXED);
    return NET_ADMITTED;
}

enum net_verdict net__gate_name(struct net_gate *gate, struct net__ticket *ticket,
                                const struct address *peer)
{
    if (!is_counted(gate, peer))
        return NET_ADMITTED;
    enum net_verdict verdict = enter_address(gate, peer);
    if (verdict != NET_REFUSED_SILENTLY) {
        ticket->is_named = true;
        ticket->peer = *peer;
    }
    return verdict == NET_ADMITTED ? verdict : refused(gate, NET_GATE_ADDRESS, verdict);
}

void net__gate_leave(struct net_gate *gate, struct net__ticket *ticket)
{
    if (ticket->is_named)
        leave_address(gate, &ticket->peer);
    if (ticket->is_open)
        __atomic_fetch_sub(&gate->open, 1, __ATOMIC_RELAXED);
    *ticket = (struct net__ticket){ 0 };
}

void net_gate_stats_read(struct net_gate *gate, struct net_gate_stats *ret)
{
    *ret = (struct net_gate_stats){
        .open = __atomic_load_n(&gate->open, __ATOMIC_RELAXED),
        .open_max = gate->options.connections_max,
        .accepted = __atomic_load_n(&gate->accepted, __ATOMIC_RELAXED),
    };
    for (unsigned i = 0; i < NET_GATE_REASONS; i++)
        ret->refused[i] = __atomic_load_n(&gate->refused[i], __ATOMIC_RELAXED);
    for (unsigned i = 0; i < STRIPES && gate->options.per_address_max; i++) {
        struct stripe *s = &gate->stripes[i];
        (void)pthread_mutex_lock(&s->lock);
        ret->addresses += s->live;
        ret->addresses_held += s->used;
        (void)pthread_mutex_unlock(&s->lock);
    }
}
