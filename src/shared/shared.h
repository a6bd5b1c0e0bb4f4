/*
 * shared/shared.h - State that all loops share, and with Redis behind it all processes: the counts
 * of rate limits. The cache, locks and the bus come to stand here too.
 *
 * Data passes: http/ names what a request is charged to (shared_counts_key) and by which policies
 * -> shared_counts_take decides about all of them together -> what is left of each.
 *
 * The rate is counted by GCRA (the virtual scheduling of ITU-T I.371): a key is one time, its
 * "theoretical arrival time", up to which its quota is spent. A request moves it on by what one
 * unit costs; it may be at most `burst` units ahead of now. That is exact at any moment, has no
 * windows at whose edges twice the quota passes, and needs one number a key.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct metrics;
struct task;
struct shared_counts;

#define SHARED_TAKES_MAX 16u
#define SHARED_COUNT_MAX 1000000000u
#define SHARED_PERIOD_MAX_US ((int64_t)86400 * 1000 * 1000)

/* How much one key may have. */
struct shared_rate {
    int64_t unit_ns;  /* what one unit costs: the period over the count */
    int64_t burst_ns; /* units that may be taken at once, times unit_ns */
};
/* `count` in `period_us`, at most `burst` of them at once. 1 <= count, burst <= SHARED_COUNT_MAX
 * and burst at most 10 x count; the period 1 ms to SHARED_PERIOD_MAX_US. */
struct shared_rate shared_rate_of(uint32_t count, int64_t period_us, uint32_t burst);

/* One policy's part in a decision. */
struct shared_take {
    uint64_t key; /* shared_counts_key */
    struct shared_rate rate;
    uint32_t cost;   /* units; more than the burst counts as the burst, or it could never pass. 0
                        charges nothing: it asks whether one unit would pass */
    bool advisory;   /* looked at and charged, but its refusal does not refuse the others */
    bool allowed;    /* set: would this policy let it pass? */
    int64_t left;    /* set: units that can be taken at once after this */
    int64_t full_us; /* set: until all of the burst is there again */
    int64_t wait_us; /* set: refused: until this request would pass if nobody else came */
};

/* A way of keeping counts. Each function is required. */
struct shared_counts_kind {
    const char *name;
    /* May take() suspend? Then it is called with a task; otherwise `task` may be NULL and the
     * caller stand on the loop's stack. */
    bool suspends;
    /* As shared_counts_take. */
    enum status (*take)(struct task *task, struct shared_counts *counts, int64_t now_us,
                        struct shared_take *takes, unsigned len, bool *ret_allowed);
    void (*free)(struct shared_counts *counts);
};

struct shared_counts_stats {
    uint64_t entries_max;     /* the bound */
    uint64_t evicted_expired; /* places taken over whose quota was whole again: costs nothing */
    uint64_t evicted_active;  /* places taken over from keys that had spent some: those forget */
    uint64_t takes;
};

/*
 * Counts in the memory of this process, for at least `entries` keys (rounded up to a power of two;
 * 1024 to 2^26), 24 bytes each, allocated now and never grown. Exact for any number of threads.
 * When a new key finds no place, it takes that of a key whose quota is whole again, else of the one
 * that has spent the least part of its own: who is at a limit is forgotten last, and to push it out
 * takes several others at theirs in the same few places, which a secret hash hides.
 *
 * Errors   EXHAUSTED when there is no memory.
 * Context  start of the process.
 */
enum status shared_counts_local(struct metrics *metrics, unsigned entries,
                                struct shared_counts **ret_counts);
void shared_counts_free(struct shared_counts *counts);

/* Must shared_counts_take be given a task? */
bool shared_counts_suspends(const struct shared_counts *counts);

/* The key of `part` under `salt` (a policy's id): a keyed hash that nobody outside can aim. Any
 * thread. */
uint64_t shared_counts_key(const struct shared_counts *counts, uint64_t salt, struct slice part);

/*
 * Decide by all policies together and charge all of them, or none: whoever is refused by one spends
 * nothing of the others. An advisory policy that refuses does not count as one; it is not charged.
 * The keys differ from each other. `now_us` is monotonic; where it runs behind that of another
 * thread by a little, the decision is stricter by as much, never laxer.
 *
 * Errors   what the kind reports; the local one none.
 * Context  suspends if shared_counts_suspends; else any thread, and `task` may be NULL.
 * Bounds   at most SHARED_TAKES_MAX.
 */
enum status shared_counts_take(struct task *task, struct shared_counts *counts, int64_t now_us,
                               struct shared_take *takes, unsigned len, bool *ret_allowed);

/* Figures of the local table (zeros elsewhere). Any thread. */
void shared_counts_stats_read(struct shared_counts *counts, struct shared_counts_stats *ret);
