/*
 * http/offender.c - Who runs into limits most: a table of fixed size (Space-Saving: Metwally,
 * Agrawal, El Abbadi 2005). A newcomer takes the place of whoever has the fewest refusals, and
 * their number with it, as what it may be overcounted by. Whoever is refused more often than one in
 * 64 of all times is surely in it, whatever the others do.
 *
 * Only refused requests come here. The first refusal of somebody is logged, at most one such line a
 * second in all.
 */
#include "http/rate.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"

#define LOG_EVERY_US CLOCK_SECOND

void http__offenders_init(struct http__offenders *o)
{
    (void)pthread_mutex_init(&o->lock, NULL); /* never fails with these attributes */
}

void http__offenders_fini(struct http__offenders *o)
{
    (void)pthread_mutex_destroy(&o->lock);
}

static struct http__offender *find(struct http__offenders *o, uint64_t key)
{
    for (unsigned i = 0; i < o->len; i++) {
        if (o->all[i].key == key)
            return &o->all[i];
    }
    return NULL;
}

static struct http__offender *place(struct http__offenders *o)
{
    if (o->len < HTTP__OFFENDERS_MAX) {
        o->all[o->len] = (struct http__offender){ .key = 0 };
        return &o->all[o->len++];
    }
    struct http__offender *least = &o->all[0];
    for (unsigned i = 1; i < o->len; i++) {
        if (o->all[i].refused < least->refused)
            least = &o->all[i];
    }
    *least = (struct http__offender){ .refused = least->refused, .unsure = least->refused };
    return least;
}

/* True: nobody was named for a while, so this one is. */
static bool may_log(struct http__offenders *o)
{
    int64_t now_us = clock_mono_us();
    if (o->logged_us && now_us - o->logged_us < LOG_EVERY_US)
        return false;
    o->logged_us = now_us;
    return true;
}

void http__offenders_add(struct http__offenders *o, uint64_t key, struct slice who,
                         struct slice policy)
{
    int64_t now_us = clock_wall_us();
    who = slice_head(who, HTTP__OFFENDER_NAME_MAX);
    policy = slice_head(policy, HTTP_RATE_NAME_MAX);
    (void)pthread_mutex_lock(&o->lock);
    struct http__offender *offender = find(o, key);
    bool is_new = !offender;
    if (is_new) {
        offender = place(o);
        offender->key = key;
        offender->first_us = now_us;
        offender->who_len = (uint8_t)who.len;
        offender->policy_len = (uint8_t)policy.len;
        if (who.len)
            memcpy(offender->who, who.data, who.len);
        if (policy.len)
            memcpy(offender->policy, policy.data, policy.len);
    }
    offender->refused++;
    offender->last_us = now_us;
    bool log_it = is_new && may_log(o);
    (void)pthread_mutex_unlock(&o->lock);
    if (log_it)
        log_warn("http.rate_limited", LOG_TEXT("who", who), LOG_TEXT("policy", policy));
}

static int by_refused(const void *a, const void *b)
{
    const struct http__offender *x = a, *y = b;
    return x->refused < y->refused ? 1 : -(x->refused > y->refused);
}

unsigned http__offenders_read(struct http__offenders *o, struct http__offender *ret)
{
    (void)pthread_mutex_lock(&o->lock);
    unsigned len = o->len;
    memcpy(ret, o->all, len * sizeof(*ret));
    (void)pthread_mutex_unlock(&o->lock);
    qsort(ret, len, sizeof(*ret), by_refused);
    return len;
}
