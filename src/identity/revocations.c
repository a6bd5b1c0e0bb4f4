/*
 * identity/revocations.c - A ring of what was revoked, that many threads read without a lock.
 *
 * Each place holds a number and what was revoked under it. Who writes takes the number away first,
 * then changes what stands there, then gives the new number: who reads the number before and after
 * and finds the one it wants both times has read what belongs to it. Else the place was given to a
 * later one, and the reader is too far behind.
 *
 * Sessions and users are known by 64 bits of a hash with a secret seed: two that fall together
 * cost a signature check, never a wrong answer.
 */
#include "identity/revocations.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/id.h"
#include "identity/token_cache.h"

#define RING IDENTITY_REVOCATIONS_KEPT

struct place {
    uint64_t number; /* atomic; 0: nothing, or being written */
    uint64_t what;   /* atomic */
};

struct identity_revocations {
    uint64_t session_seed, user_seed;
    /* Read by every lookup, written seldom: on a line of its own. */
    _Alignas(64) uint64_t len;         /* atomic */
    int64_t confirmed_us;              /* atomic */
    _Alignas(64) pthread_mutex_t lock; /* among those who write */
    struct place ring[RING];
};

struct identity_revocations *identity_revocations_new(void)
{
    struct identity_revocations *r = aligned_alloc(64, sizeof(*r));
    if (!r)
        return NULL;
    *r = (struct identity_revocations){ .len = 0 };
    random_bytes(&r->session_seed, sizeof(r->session_seed));
    random_bytes(&r->user_seed, sizeof(r->user_seed));
    (void)pthread_mutex_init(&r->lock, NULL);
    return r;
}

void identity_revocations_free(struct identity_revocations *revocations)
{
    if (!revocations)
        return;
    (void)pthread_mutex_destroy(&revocations->lock);
    free(revocations);
}

static uint64_t known_by(struct slice id, uint64_t seed)
{
    if (!id.len)
        return IDENTITY__REVOKED_ALL;
    uint64_t hash = hash64(id, seed);
    return hash ? hash : 1;
}

uint64_t identity__revocation_session(const struct identity_revocations *revocations,
                                      struct slice session_id)
{
    return known_by(session_id, revocations->session_seed);
}

uint64_t identity__revocation_user(const struct identity_revocations *revocations,
                                   struct slice user_id)
{
    return known_by(user_id, revocations->user_seed);
}

static void add(struct identity_revocations *revocations, uint64_t what)
{
    (void)pthread_mutex_lock(&revocations->lock);
    uint64_t number = revocations->len + 1;
    struct place *place = &revocations->ring[number % RING];
    __atomic_store_n(&place->number, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&place->what, what, __ATOMIC_RELEASE);
    __atomic_store_n(&place->number, number, __ATOMIC_RELEASE);
    __atomic_store_n(&revocations->len, number, __ATOMIC_RELEASE);
    (void)pthread_mutex_unlock(&revocations->lock);
}

void identity_revoke_session(struct identity_revocations *revocations, struct slice session_id)
{
    if (session_id.len)
        add(revocations, identity__revocation_session(revocations, session_id));
}

void identity_revoke_user(struct identity_revocations *revocations, struct slice user_id)
{
    if (user_id.len)
        add(revocations, identity__revocation_user(revocations, user_id));
}

void identity_revoke_all(struct identity_revocations *revocations)
{
    add(revocations, IDENTITY__REVOKED_ALL);
}

void identity_revocations_confirm(struct identity_revocations *revocations, int64_t now_us)
{
    __atomic_store_n(&revocations->confirmed_us, now_us, __ATOMIC_RELEASE);
}

int64_t identity__revocations_confirmed_us(const struct identity_revocations *revocations)
{
    return __atomic_load_n(&revocations->confirmed_us, __ATOMIC_ACQUIRE);
}

uint64_t identity__revocations_len(const struct identity_revocations *revocations)
{
    return __atomic_load_n(&revocations->len, __ATOMIC_ACQUIRE);
}

bool identity__revocation_get(const struct identity_revocations *revocations, uint64_t n,
                              uint64_t *ret_what)
{
    const struct place *place = &revocations->ring[n % RING];
    if (__atomic_load_n(&place->number, __ATOMIC_ACQUIRE) != n)
        return false;
    /* Acquired as well: who sees a later `what` sees that the number is gone. */
    uint64_t what = __atomic_load_n(&place->what, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&place->number, __ATOMIC_RELAXED) != n)
        return false;
    *ret_what = what;
    return true;
}
