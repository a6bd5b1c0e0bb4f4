/*
 * identity/throttle.c - A table of sets of eight places. The wait after a failure is a second
 * (after a letter a minute), doubled for each further one past those that are free.
 */
#include "identity/throttle.h"

#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"

#define WAYS 8u
#define SETS (IDENTITY_THROTTLE_ENTRIES / WAYS)
_Static_assert((SETS & (SETS - 1)) == 0, "a mask finds the set");

struct entry {
    uint64_t hash; /* 0: free */
    int64_t last_us;
    uint32_t failures;
    uint32_t kind;
};

struct identity_throttle {
    pthread_mutex_t lock;
    uint8_t key[crypto_shorthash_KEYBYTES];
    struct entry sets[SETS][WAYS];
};

static const uint32_t free_failures[IDENTITY_THROTTLE_KINDS] = {
    [IDENTITY_THROTTLE_ACCOUNT] = 5,
    [IDENTITY_THROTTLE_DEVICE] = 10,
    [IDENTITY_THROTTLE_ADDRESS] = 50,
    [IDENTITY_THROTTLE_MAIL] = 3,
};

enum status identity_throttle_new(struct identity_throttle **ret)
{
    struct identity_throttle *throttle = calloc(1, sizeof(*throttle));
    *ret = NULL;
    if (!throttle)
        return STATUS_EXHAUSTED;
    (void)pthread_mutex_init(&throttle->lock, NULL);
    random_bytes(throttle->key, sizeof(throttle->key));
    *ret = throttle;
    return STATUS_OK;
}

void identity_throttle_free(struct identity_throttle *throttle)
{
    if (!throttle)
        return;
    (void)pthread_mutex_destroy(&throttle->lock);
    free(throttle);
}

uint64_t identity_throttle_hash(const struct identity_throttle *throttle, struct slice name)
{
    uint64_t hash;
    (void)crypto_shorthash((uint8_t *)&hash, (const uint8_t *)(name.len ? name.data : ""), name.len,
                           throttle->key);
    return hash ? hash : 1;
}

static bool is_it(const struct entry *e, const struct identity_throttle_key *key)
{
    return e->hash == key->hash && e->kind == (uint32_t)key->kind;
}

/* NULL: has not failed of late. */
static struct entry *find(struct identity_throttle *throttle,
                          const struct identity_throttle_key *key, int64_t now_us)
{
    struct entry *set = throttle->sets[key->hash & (SETS - 1)];
    for (unsigned i = 0; i < WAYS; i++) {
        if (!is_it(&set[i], key))
            continue;
        if (now_us - set[i].last_us <= IDENTITY_THROTTLE_FORGET_US)
            return &set[i];
        set[i] = (struct entry){ 0 };
    }
    return NULL;
}

static struct entry *make(struct identity_throttle *throttle,
                          const struct identity_throttle_key *key)
{
    struct entry *set = throttle->sets[key->hash & (SETS - 1)], *oldest = &set[0];
    for (unsigned i = 1; i < WAYS && oldest->hash != 0; i++) {
        if (set[i].hash == 0 || set[i].last_us < oldest->last_us)
            oldest = &set[i];
    }
    *oldest = (struct entry){ .hash = key->hash, .kind = (uint32_t)key->kind };
    return oldest;
}

static int64_t wait_of(const struct entry *e, int64_t now_us)
{
    uint32_t allowed = free_failures[e->kind];
    if (e->failures < allowed)
        return 0;
    uint32_t over = e->failures - allowed;
    int64_t first_us = e->kind == IDENTITY_THROTTLE_MAIL ? CLOCK_MINUTE : CLOCK_SECOND;
    int64_t wait_us = over >= 20 ? IDENTITY_THROTTLE_WAIT_MAX_US : first_us << over;
    wait_us = MIN(wait_us, IDENTITY_THROTTLE_WAIT_MAX_US);
    return MAX(e->last_us + wait_us - now_us, (int64_t)0);
}

int64_t identity_throttle_begin(struct identity_throttle *throttle,
                                const struct identity_throttle_key *keys, unsigned len,
                                int64_t now_us)
{
    int64_t wait_us = 0;
    (void)pthread_mutex_lock(&throttle->lock);
    for (unsigned i = 0; i < len; i++) {
        const struct entry *e = find(throttle, &keys[i], now_us);
        if (e)
            wait_us = MAX(wait_us, wait_of(e, now_us));
    }
    for (unsigned i = 0; i < len && wait_us == 0; i++) {
        struct entry *e = find(throttle, &keys[i], now_us);
        if (!e)
            e = make(throttle, &keys[i]);
        e->failures += e->failures < UINT32_MAX;
        e->last_us = now_us;
    }
    (void)pthread_mutex_unlock(&throttle->lock);
    return wait_us;
}

static void take_back(struct identity_throttle *throttle, const struct identity_throttle_key *keys,
                      unsigned len, bool forget, int64_t now_us)
{
    (void)pthread_mutex_lock(&throttle->lock);
    for (unsigned i = 0; i < len; i++) {
        struct entry *e = find(throttle, &keys[i], now_us);
        if (!e)
            continue;
        e->failures -= e->failures > 0;
        if (e->failures == 0 || (forget && keys[i].kind != IDENTITY_THROTTLE_ADDRESS))
            *e = (struct entry){ 0 };
    }
    (void)pthread_mutex_unlock(&throttle->lock);
}

void identity_throttle_succeeded(struct identity_throttle *throttle,
                                 const struct identity_throttle_key *keys, unsigned len,
                                 int64_t now_us)
{
    take_back(throttle, keys, len, true, now_us);
}

void identity_throttle_undo(struct identity_throttle *throttle,
                            const struct identity_throttle_key *keys, unsigned len, int64_t now_us)
{
    take_back(throttle, keys, len, false, now_us);
}
