/*
 * shared/local.c - Counts in this process's memory: a set-associative table, as a processor's cache
 * is one. A key's hash names a set of eight places, and it is in one of them or nowhere; so a
 * decision looks at three cache lines, nothing is ever moved or grown, and what a new key displaces
 * is decided among eight.
 *
 * Sets are spread over locks. A decision by several policies takes the locks of all its sets, in
 * ascending order, decides, charges, and lets go: about fifty nanoseconds of holding, which is why
 * waiting for a lock is not a suspension. Deciding under all of them is what makes "charge all, or
 * none" exact; charging one after the other and giving back would let a refused request use up, for
 * a moment, what an allowed one was entitled to.
 *
 * Who wants a key forgotten has to displace it. Its set is not known outside, so the attacker fills
 * the table at random with keys that stand higher in the order: ones that have spent a larger part
 * of their quota than it has. For a key at its limit that takes keys at theirs, each of which
 * costs a whole quota of requests, eight to every set.
 */
#include "shared/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/id.h"
#include "base/macros.h"
#include "base/metric.h"

#define WAYS 8u
#define LOCKS 64u
#define ENTRIES_MIN 1024u
#define ENTRIES_MAX (1u << 26)

struct set {
    uint64_t key[WAYS];
    int64_t
        until_ns[WAYS];   /* monotonic; the quota is spent up to here. Past: whole, a free place */
    float burst_ns[WAYS]; /* of the policy: to tell how large a part of it is spent */
} __attribute__((aligned(64)));

struct lock {
    pthread_mutex_t mutex;
    uint64_t takes, evicted_expired, evicted_active;
} __attribute__((aligned(64)));

struct local {
    struct shared_counts counts;
    uint32_t sets_mask;
    size_t bytes;
    struct set *sets;
    struct lock locks[LOCKS];
};

/* One take under way. */
struct place {
    struct set *set;
    unsigned lock;
    unsigned way; /* WAYS: the key is in no place */
    int64_t next_ns;
};

static unsigned way_of(const struct set *set, uint64_t key)
{
    unsigned way = 0;
    while (way < WAYS && set->key[way] != key)
        way++;
    return way;
}

/* The place that a new key gets. */
static unsigned victim_of(const struct set *set, int64_t now_ns, struct lock *lock)
{
    unsigned found = 0;
    float least = 0;
    for (unsigned way = 0; way < WAYS; way++) {
        if (set->until_ns[way] <= now_ns) {
            lock->evicted_expired += set->key[way] != 0;
            return way;
        }
        float spent = (float)(set->until_ns[way] - now_ns) / set->burst_ns[way];
        if (way == 0 || spent < least) {
            least = spent;
            found = way;
        }
    }
    lock->evicted_active++;
    return found;
}

static int64_t ceil_us(int64_t ns)
{
    return ns <= 0 ? 0 : (ns + 999) / 1000;
}

/* What the take would come to; nothing is changed yet. */
static void judge(struct shared_take *take, struct place *place, int64_t now_ns)
{
    const struct shared_rate *rate = &take->rate;
    place->way = way_of(place->set, take->key);
    int64_t until_ns = place->way < WAYS ? place->set->until_ns[place->way] : now_ns;
    until_ns = MAX(until_ns, now_ns);
    /* Beyond the burst only when the policy was changed since, or a thread's clock is ahead. */
    until_ns = MIN(until_ns, now_ns + rate->burst_ns);
    int64_t units_max = rate->burst_ns / rate->unit_ns;
    int64_t cost_ns = MIN((int64_t)MAX(take->cost, 1u), units_max) * rate->unit_ns;
    place->next_ns = until_ns + cost_ns;
    int64_t over_ns = place->next_ns - now_ns - rate->burst_ns;
    take->allowed = over_ns <= 0;
    take->wait_us = ceil_us(over_ns);
    if (!take->allowed || take->cost == 0)
        place->next_ns = until_ns;
    take->left = (rate->burst_ns - (place->next_ns - now_ns)) / rate->unit_ns;
    take->full_us = ceil_us(place->next_ns - now_ns);
}

static void charge(struct local *l, const struct shared_take *take, const struct place *place,
                   int64_t now_ns)
{
    struct set *set = place->set;
    unsigned way = place->way;
    /* Another key of this very decision may have taken its place. */
    if (way == WAYS || set->key[way] != take->key) {
        way = victim_of(set, now_ns, &l->locks[place->lock]);
        set->key[way] = take->key;
        set->burst_ns[way] = (float)take->rate.burst_ns;
    }
    set->until_ns[way] = place->next_ns;
}

/* Each lock once, in ascending order: two decisions cannot wait for each other. */
static unsigned lock_all(struct local *l, const struct place *places, unsigned len,
                         unsigned order[SHARED_TAKES_MAX])
{
    unsigned order_len = 0;
    for (unsigned i = 0; i < len; i++) {
        unsigned at = order_len;
        while (at > 0 && order[at - 1] > places[i].lock)
            at--;
        if (at > 0 && order[at - 1] == places[i].lock)
            continue;
        for (unsigned k = order_len; k > at; k--)
            order[k] = order[k - 1];
        order[at] = places[i].lock;
        order_len++;
    }
    for (unsigned i = 0; i < order_len; i++)
        (void)pthread_mutex_lock(&l->locks[order[i]].mutex);
    return order_len;
}

static enum status local_take(struct task *task, struct shared_counts *counts, int64_t now_us,
                              struct shared_take *takes, unsigned len, bool *ret_allowed)
{
    struct local *l = CONTAINER_OF(counts, struct local, counts);
    struct place places[SHARED_TAKES_MAX];
    unsigned order[SHARED_TAKES_MAX];
    int64_t now_ns = now_us * 1000;
    bool allowed = true;
    (void)task;
    for (unsigned i = 0; i < len; i++) {
        uint32_t set = (uint32_t)takes[i].key & l->sets_mask;
        places[i].set = &l->sets[set];
        places[i].lock = set % LOCKS;
    }
    unsigned order_len = lock_all(l, places, len, order);
    for (unsigned i = 0; i < len; i++) {
        judge(&takes[i], &places[i], now_ns);
        allowed &= takes[i].allowed || takes[i].advisory;
        l->locks[places[i].lock].takes++;
    }
    for (unsigned i = 0; i < len && allowed; i++) {
        if (takes[i].allowed && takes[i].cost > 0)
            charge(l, &takes[i], &places[i], now_ns);
    }
    for (unsigned i = order_len; i > 0; i--)
        (void)pthread_mutex_unlock(&l->locks[order[i - 1]].mutex);
    *ret_allowed = allowed;
    return STATUS_OK;
}

static void local_free(struct shared_counts *counts)
{
    struct local *l = CONTAINER_OF(counts, struct local, counts);
    for (unsigned i = 0; i < LOCKS; i++)
        (void)pthread_mutex_destroy(&l->locks[i].mutex);
    if (l->sets)
        (void)munmap(l->sets, l->bytes);
    free(l);
}

static const struct shared_counts_kind local_kind = {
    .name = "local",
    .suspends = false,
    .take = local_take,
    .free = local_free,
};

void shared_counts_stats_read(struct shared_counts *counts, struct shared_counts_stats *ret)
{
    *ret = (struct shared_counts_stats){ 0 };
    if (counts->kind != &local_kind)
        return;
    struct local *l = CONTAINER_OF(counts, struct local, counts);
    ret->entries_max = ((uint64_t)l->sets_mask + 1) * WAYS;
    for (unsigned i = 0; i < LOCKS; i++) {
        struct lock *lock = &l->locks[i];
        (void)pthread_mutex_lock(&lock->mutex);
        ret->takes += lock->takes;
        ret->evicted_expired += lock->evicted_expired;
        ret->evicted_active += lock->evicted_active;
        (void)pthread_mutex_unlock(&lock->mutex);
    }
}

static double read_evicted_active(void *arg)
{
    struct shared_counts_stats stats;
    shared_counts_stats_read(arg, &stats);
    return (double)stats.evicted_active;
}

static double read_evicted_expired(void *arg)
{
    struct shared_counts_stats stats;
    shared_counts_stats_read(arg, &stats);
    return (double)stats.evicted_expired;
}

static void declare(struct metrics *metrics, struct shared_counts *counts)
{
    static const struct slice active = SLICE_INIT("active"), expired = SLICE_INIT("expired");
    unsigned evictions = metric_declare(
        metrics, &(struct metric_desc){
                     .name = "purlin_ratelimit_evictions",
                     .help = "Keys of rate limits that gave their place in the table to another; "
                             "active ones had spent some of their quota, and it was forgotten.",
                     .kind = METRIC_COUNTER,
                     .labels = { "state" } });
    metric_callback(metrics, evictions, &active, read_evicted_active, counts);
    metric_callback(metrics, evictions, &expired, read_evicted_expired, counts);
}

enum status shared_counts_local(struct metrics *metrics, unsigned entries,
                                struct shared_counts **ret_counts)
{
    uint32_t places = ENTRIES_MIN;
    while (places < entries && places < ENTRIES_MAX)
        places *= 2;
    struct local *l = aligned_alloc(64, sizeof(*l));
    if (!l)
        return STATUS_EXHAUSTED;
    *l = (struct local){ .counts = { .kind = &local_kind }, .sets_mask = places / WAYS - 1 };
    random_bytes(l->counts.hash_key, sizeof(l->counts.hash_key));
    for (unsigned i = 0; i < LOCKS; i++)
        (void)pthread_mutex_init(&l->locks[i].mutex, NULL); /* never fails with these attributes */
    /* Zeros that cost memory only where keys come to lie. */
    l->bytes = (size_t)places / WAYS * sizeof(struct set);
    void *sets = mmap(NULL, l->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (sets == MAP_FAILED) {
        local_free(&l->counts);
        return STATUS_EXHAUSTED;
    }
    l->sets = sets;
    if (metrics)
        declare(metrics, &l->counts);
    *ret_counts = &l->counts;
    return STATUS_OK;
}
