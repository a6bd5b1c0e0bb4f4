/*
 * identity/token_cache.h - Tokens that were verified, so that a warm request costs no signature;
 * and what was revoked since, told to all loops. Private to the room.
 *
 * Data passes: a token -> its digest -> a hit, with what the caller kept of it; or a miss: take a
 * ticket, verify the token and look into the database, then put it in with the ticket. Whoever
 * revokes writes the database first and tells identity_revocations after: what was looked up
 * before that is refused by the ticket, what was cached before that is gone at the next look.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/slice.h"
#include "base/status.h"

struct metrics;

/* -- what was revoked: one for all loops
 * --------------------------------------------------------------------------- */

/* A cache that is further behind than this forgets everything. */
#define IDENTITY_REVOCATIONS_KEPT 4096u

struct identity_revocations;

/* NULL without memory. Freed after the caches that look at it. */
struct identity_revocations *identity_revocations_new(void);
void identity_revocations_free(struct identity_revocations *revocations);
DEFINE_CLEANUP(struct identity_revocations *, identity_revocations_free)

/*
 * From now on no cache answers for a token of this session, of this user, or for any. Tokens that
 * are put in with a later ticket are cached again.
 *
 * Context  any thread; a lock among those who revoke, none that a lookup takes.
 */
void identity_revoke_session(struct identity_revocations *revocations, struct slice session_id);
void identity_revoke_user(struct identity_revocations *revocations, struct slice user_id);
void identity_revoke_all(struct identity_revocations *revocations);
/*
 * Whoever carries revocations over from other processes has seen all of them up to `now_us`. Caches
 * with a lag_max_us answer nothing when this is longer ago. Any thread.
 */
void identity_revocations_confirm(struct identity_revocations *revocations, int64_t now_us);

/* -- a loop's cache
 * ------------------------------------------------------------------------------------------- */

#define IDENTITY_TOKEN_VALUE_MAX ((size_t)16 * 1024)

struct identity_token_cache;

struct identity_token_cache_options {
    struct identity_revocations *revocations;
    struct metrics *metrics; /* may be NULL */
    unsigned entries_max;    /* 0: 16384 */
    size_t bytes_max;        /* of entries with their values; 0: 16 MiB */
    int64_t lag_max_us;      /* 0: this process is the only one that revokes */
};

/*
 * Errors   EXHAUSTED. Context: of one thread at a time, as all below. Nothing suspends.
 */
enum status identity_token_cache_new(const struct identity_token_cache_options *options,
                                     struct identity_token_cache **ret_cache);
void identity_token_cache_free(struct identity_token_cache *cache);
DEFINE_CLEANUP(struct identity_token_cache *, identity_token_cache_free)

/* BLAKE2b of the whole token, by a key that only this cache has. The last few dozen tokens are kept
 * beside theirs, which then costs a comparison. */
struct identity_token_digest {
    uint8_t bytes[32];
};
void identity_token_digest_make(struct identity_token_cache *cache, struct slice token,
                                struct identity_token_digest *ret);

/*
 * What was kept of the token, if it was put in, is not expired at `now_us` (wall clock), and was
 * not revoked before this call.
 *
 * Memory   *ret_value is valid until the cache is next used.
 */
bool identity_token_cache_find(struct identity_token_cache *cache,
                               const struct identity_token_digest *digest, int64_t now_us,
                               struct slice *ret_value);

struct identity_token_entry {
    struct identity_token_digest digest;
    struct slice session_id, user_id; /* empty: has none */
    int64_t expires_us;               /* wall clock */
    struct slice value;               /* copied */
};

/* To be taken before what can be revoked is read. */
uint64_t identity_token_cache_ticket(const struct identity_token_cache *cache);

enum identity_token_put {
    IDENTITY_TOKEN_CACHED,
    IDENTITY_TOKEN_UNCACHED, /* expired, too large, or too much was revoked meanwhile to tell */
    IDENTITY_TOKEN_REVOKED   /* after the ticket was taken: the request is to be refused */
};
/* Keep a token that was verified. The least recently used ones make room. */
enum identity_token_put identity_token_cache_put(struct identity_token_cache *cache,
                                                 const struct identity_token_entry *entry,
                                                 uint64_t ticket, int64_t now_us);

struct identity_token_cache_stats {
    unsigned entries;
    size_t bytes;
    uint64_t hits, misses, evictions, revoked, flushes;
};
void identity_token_cache_stats_read(const struct identity_token_cache *cache,
                                     struct identity_token_cache_stats *ret);
