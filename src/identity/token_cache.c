/*
 * identity/token_cache.c - One loop's verified tokens.
 *
 * An entry stands in three tables, each an array of chains: by digest, to be found; by session and
 * by user, to be revoked without looking at the others. A list by last use says who goes first when
 * there is no room. Before each answer the cache takes up what was revoked since the last one,
 * usually nothing, which costs one load of memory that seldom changes.
 */
#include "identity/token_cache.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/metric.h"
#include "identity/revocations.h"

#define ENTRIES_DEFAULT 16384u
#define BYTES_DEFAULT ((size_t)16 << 20)

enum table { BY_DIGEST, BY_SESSION, BY_USER, TABLES };

struct entry {
    struct {
        uint64_t hash; /* 0 by session or user: has none, and stands in no chain */
        struct entry *next, **at;
    } links[TABLES];
    struct entry *newer, *older; /* by last use */
    int64_t expires_us;
    struct identity_token_digest digest;
    size_t value_len;
    char value[];
};

enum count { COUNT_HIT, COUNT_MISS, COUNT_EVICTION, COUNT_REVOKED, COUNT_FLUSH, COUNTS };

/* A token that was asked for of late, with its digest: a connection sends the same one again and
 * again, and hashing it costs more than comparing it. Knows nothing of whether it is good. */
#define MEMOS 32u /* a power of two */
#define MEMO_BYTES_MIN 8u
#define MEMO_BYTES_MAX 1024u
struct memo {
    size_t len; /* 0: free */
    struct identity_token_digest digest;
    char token[MEMO_BYTES_MAX];
};

struct identity_token_cache {
    struct identity_revocations *revocations;
    uint64_t seen; /* revocations that were taken up */
    int64_t lag_max_us;
    unsigned entries, entries_max;
    size_t bytes, bytes_max;
    unsigned chains_mask;
    struct entry **chains[TABLES];
    struct entry *newest, *oldest;
    uint8_t key[crypto_generichash_KEYBYTES];
    uint64_t counts[COUNTS];
    struct metrics *metrics;
    metric_series series[COUNTS], entries_series, bytes_series;
    struct memo memos[MEMOS];
};

static void count(struct identity_token_cache *cache, enum count which)
{
    cache->counts[which]++;
    if (cache->metrics)
        metric_add(cache->metrics, cache->series[which], 1);
}

static void count_size(struct identity_token_cache *cache, int entries, int64_t bytes)
{
    cache->entries += (unsigned)entries;
    cache->bytes += (size_t)bytes;
    if (!cache->metrics)
        return;
    metric_add(cache->metrics, cache->entries_series, entries);
    metric_add(cache->metrics, cache->bytes_series, bytes);
}

static size_t entry_bytes(size_t value_len)
{
    return sizeof(struct entry) + value_len;
}

/* -- lists
 * --------------------------------------------------------------------------------------------- */

static struct entry **chain_of(const struct identity_token_cache *cache, enum table table,
                               uint64_t hash)
{
    return &cache->chains[table][hash & cache->chains_mask];
}

static void link_in(struct identity_token_cache *cache, struct entry *entry)
{
    for (unsigned t = 0; t < TABLES; t++) {
        if (t != BY_DIGEST && !entry->links[t].hash)
            continue;
        struct entry **at = chain_of(cache, (enum table)t, entry->links[t].hash);
        entry->links[t].next = *at;
        entry->links[t].at = at;
        if (*at)
            (*at)->links[t].at = &entry->links[t].next;
        *at = entry;
    }
}

static void use(struct identity_token_cache *cache, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void unuse(struct identity_token_cache *cache, struct entry *entry)
{
    *(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void drop(struct identity_token_cache *cache, struct entry *entry)
{
    for (unsigned t = 0; t < TABLES; t++) {
        struct entry *next = entry->links[t].next;
        if (!entry->links[t].at)
            continue;
        *entry->links[t].at = next;
        if (next)
            next->links[t].at = entry->links[t].at;
    }
    unuse(cache, entry);
    count_size(cache, -1, -(int64_t)entry_bytes(entry->value_len));
    free(entry);
}

static void drop_all(struct identity_token_cache *cache)
{
    struct entry *entry = cache->oldest;
    while (entry) {
        struct entry *newer = entry->newer;
        drop(cache, entry);
        entry = newer;
    }
}

/* -- what was revoked
 * ---------------------------------------------------------------------------------------- */

static void drop_of(struct identity_token_cache *cache, enum table table, uint64_t hash)
{
    struct entry *entry = *chain_of(cache, table, hash);
    while (entry) {
        struct entry *next = entry->links[table].next;
        if (entry->links[table].hash == hash) {
            drop(cache, entry);
            count(cache, COUNT_REVOKED);
        }
        entry = next;
    }
}

static void flush(struct identity_token_cache *cache)
{
    drop_all(cache);
    count(cache, COUNT_FLUSH);
}

static void catch_up(struct identity_token_cache *cache)
{
    uint64_t len = identity__revocations_len(cache->revocations);
    while (cache->seen < len) {
        uint64_t what;
        cache->seen++;
        if (!identity__revocation_get(cache->revocations, cache->seen, &what)) {
            /* Too far behind: what was missed may have been anything. */
            cache->seen = len;
            flush(cache);
        } else if (what == IDENTITY__REVOKED_ALL) {
            flush(cache);
        } else {
            drop_of(cache, BY_SESSION, what);
            drop_of(cache, BY_USER, what);
        }
    }
}

/* -- looking
 * ------------------------------------------------------------------------------------------- */

/* By the end of the token, where a signature is. NULL: too short or too long to be kept. */
static struct memo *memo_of(struct identity_token_cache *cache, struct slice token)
{
    uint64_t end;
    if (token.len < MEMO_BYTES_MIN || token.len > MEMO_BYTES_MAX)
        return NULL;
    memcpy(&end, token.data + token.len - sizeof(end), sizeof(end));
    return &cache->memos[(end * UINT64_C(0x9e3779b97f4a7c15)) >> 59];
}
_Static_assert(MEMOS == 1u << (64 - 59), "as memo_of shifts");

/* In a time that tells nothing of where two tokens of one length differ; eight bytes at a time. */
static bool is_same(const char *a, const char *b, size_t len)
{
    uint64_t differs = 0, x, y;
    for (size_t i = 0; i + sizeof(x) <= len; i += sizeof(x)) {
        memcpy(&x, a + i, sizeof(x));
        memcpy(&y, b + i, sizeof(y));
        differs |= x ^ y;
    }
    memcpy(&x, a + len - sizeof(x), sizeof(x)); /* the rest, with some of the last ones again */
    memcpy(&y, b + len - sizeof(y), sizeof(y));
    return (differs | (x ^ y)) == 0;
}

void identity_token_digest_make(struct identity_token_cache *cache, struct slice token,
                                struct identity_token_digest *ret)
{
    struct memo *memo = memo_of(cache, token);
    if (memo && memo->len == token.len && is_same(memo->token, token.data, token.len)) {
        *ret = memo->digest;
        return;
    }
    (void)crypto_generichash(ret->bytes, sizeof(ret->bytes), (const unsigned char *)token.data,
                             token.len, cache->key, sizeof(cache->key)); /* cannot fail */
    if (!memo)
        return;
    memo->len = token.len;
    memo->digest = *ret;
    memcpy(memo->token, token.data, token.len);
}

static uint64_t digest_hash(const struct identity_token_digest *digest)
{
    uint64_t hash;
    memcpy(&hash, digest->bytes, sizeof(hash));
    return hash;
}

static struct entry *find(const struct identity_token_cache *cache,
                          const struct identity_token_digest *digest)
{
    struct entry *entry = *chain_of(cache, BY_DIGEST, digest_hash(digest));
    while (entry && memcmp(entry->digest.bytes, digest->bytes, sizeof(digest->bytes)) != 0)
        entry = entry->links[BY_DIGEST].next;
    return entry;
}

/* Does it know enough of what others revoke to answer at all? */
static bool is_current(const struct identity_token_cache *cache, int64_t now_us)
{
    return !cache->lag_max_us ||
           now_us - identity__revocations_confirmed_us(cache->revocations) <= cache->lag_max_us;
}

bool identity_token_cache_find(struct identity_token_cache *cache,
                               const struct identity_token_digest *digest, int64_t now_us,
                               struct slice *ret_value)
{
    catch_up(cache);
    struct entry *entry = find(cache, digest);
    if (entry && now_us >= entry->expires_us) {
        drop(cache, entry);
        entry = NULL;
    }
    if (!entry || !is_current(cache, now_us)) {
        count(cache, COUNT_MISS);
        return false;
    }
    if (entry != cache->newest) {
        unuse(cache, entry);
        use(cache, entry);
    }
    count(cache, COUNT_HIT);
    *ret_value = slice_of(entry->value, entry->value_len);
    return true;
}

/* -- keeping
 * ------------------------------------------------------------------------------------------- */

uint64_t identity_token_cache_ticket(const struct identity_token_cache *cache)
{
    return identity__revocations_len(cache->revocations);
}

/* What of the entry was revoked after `ticket`, up to what the cache has seen. */
static enum identity_token_put revoked_since(const struct identity_token_cache *cache,
                                             uint64_t ticket, uint64_t session, uint64_t user)
{
    for (uint64_t n = ticket + 1; n <= cache->seen; n++) {
        uint64_t what;
        if (!identity__revocation_get(cache->revocations, n, &what))
            return IDENTITY_TOKEN_UNCACHED;
        if (what == IDENTITY__REVOKED_ALL || what == session || what == user)
            return IDENTITY_TOKEN_REVOKED;
    }
    return IDENTITY_TOKEN_CACHED;
}

static void make_room(struct identity_token_cache *cache, size_t bytes)
{
    while (cache->entries == cache->entries_max || cache->bytes + bytes > cache->bytes_max) {
        drop(cache, cache->oldest);
        count(cache, COUNT_EVICTION);
    }
}

enum identity_token_put identity_token_cache_put(struct identity_token_cache *cache,
                                                 const struct identity_token_entry *entry,
                                                 uint64_t ticket, int64_t now_us)
{
    catch_up(cache);
    uint64_t session = identity__revocation_session(cache->revocations, entry->session_id);
    uint64_t user = identity__revocation_user(cache->revocations, entry->user_id);
    enum identity_token_put put = revoked_since(cache, ticket, session, user);
    if (put != IDENTITY_TOKEN_CACHED)
        return put;
    size_t bytes = entry_bytes(entry->value.len);
    if (entry->value.len > IDENTITY_TOKEN_VALUE_MAX || bytes > cache->bytes_max ||
        now_us >= entry->expires_us)
        return IDENTITY_TOKEN_UNCACHED;
    struct entry *made = calloc(1, bytes);
    if (!made)
        return IDENTITY_TOKEN_UNCACHED;
    struct entry *before = find(cache, &entry->digest);
    if (before)
        drop(cache, before);
    make_room(cache, bytes);
    made->links[BY_DIGEST].hash = digest_hash(&entry->digest);
    made->links[BY_SESSION].hash = session;
    made->links[BY_USER].hash = user;
    made->expires_us = entry->expires_us;
    made->digest = entry->digest;
    made->value_len = entry->value.len;
    if (entry->value.len)
        memcpy(made->value, entry->value.data, entry->value.len);
    link_in(cache, made);
    use(cache, made);
    count_size(cache, 1, (int64_t)bytes);
    return IDENTITY_TOKEN_CACHED;
}

/* -- the cache itself
 * ---------------------------------------------------------------------------------------- */

static void declare_metrics(struct identity_token_cache *cache)
{
    static const char *const outcomes[COUNTS] = { [COUNT_HIT] = "hit",
                                                  [COUNT_MISS] = "miss",
                                                  [COUNT_EVICTION] = "full",
                                                  [COUNT_REVOKED] = "revoked" };
    struct metrics *m = cache->metrics;
    unsigned lookups = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_token_cache_lookups",
                                  .help = "Access tokens looked for among those verified before.",
                                  .kind = METRIC_COUNTER,
                                  .labels = { "outcome" } });
    unsigned removals = metric_declare(
        m,
        &(struct metric_desc){ .name = "purlin_token_cache_removals",
                               .help = "Verified tokens forgotten before they expired: the cache "
                                       "was full, or their session or user was revoked.",
                               .kind = METRIC_COUNTER,
                               .labels = { "reason" } });
    unsigned flushes = metric_declare(
        m,
        &(struct metric_desc){ .name = "purlin_token_cache_flushes",
                               .help = "Times that all verified tokens of a loop were forgotten.",
                               .kind = METRIC_COUNTER });
    unsigned entries = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_token_cache_entries",
                                  .help = "Verified tokens that are remembered, over all loops.",
                                  .kind = METRIC_GAUGE });
    unsigned bytes = metric_declare(m, &(struct metric_desc){ .name = "purlin_token_cache_bytes",
                                                              .help = "Memory of them.",
                                                              .kind = METRIC_GAUGE });
    for (unsigned c = 0; c < COUNT_FLUSH; c++) {
        struct slice value = slice_cstr(outcomes[c]);
        cache->series[c] = metric_series_get(m, c <= COUNT_MISS ? lookups : removals, &value);
    }
    cache->series[COUNT_FLUSH] = metric_series_get(m, flushes, NULL);
    cache->entries_series = metric_series_get(m, entries, NULL);
    cache->bytes_series = metric_series_get(m, bytes, NULL);
}

enum status identity_token_cache_new(const struct identity_token_cache_options *options,
                                     struct identity_token_cache **ret_cache)
{
    CLEANUP(identity_token_cache_free)
    struct identity_token_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return STATUS_EXHAUSTED;
    cache->revocations = options->revocations;
    cache->seen = identity__revocations_len(options->revocations);
    cache->metrics = options->metrics;
    cache->entries_max = options->entries_max ? options->entries_max : ENTRIES_DEFAULT;
    cache->bytes_max = options->bytes_max ? options->bytes_max : BYTES_DEFAULT;
    cache->lag_max_us = options->lag_max_us;
    random_bytes(cache->key, sizeof(cache->key));
    unsigned chains = 16;
    while (chains < cache->entries_max && chains < 1u << 20)
        chains *= 2;
    cache->chains_mask = chains - 1;
    for (unsigned t = 0; t < TABLES; t++) {
        cache->chains[t] = calloc(chains, sizeof(struct entry *));
        if (!cache->chains[t])
            return STATUS_EXHAUSTED;
    }
    if (cache->metrics)
        declare_metrics(cache);
    *ret_cache = cache;
    cache = NULL;
    return STATUS_OK;
}

void identity_token_cache_free(struct identity_token_cache *cache)
{
    if (!cache)
        return;
    drop_all(cache);
    for (unsigned t = 0; t < TABLES; t++)
        free(cache->chains[t]);
    sodium_memzero(cache->memos, sizeof(cache->memos));
    free(cache);
}

void identity_token_cache_stats_read(const struct identity_token_cache *cache,
                                     struct identity_token_cache_stats *ret)
{
    *ret = (struct identity_token_cache_stats){
        .entries = cache->entries,
        .bytes = cache->bytes,
        .hits = cache->counts[COUNT_HIT],
        .misses = cache->counts[COUNT_MISS],
        .evictions = cache->counts[COUNT_EVICTION],
        .revoked = cache->counts[COUNT_REVOKED],
        .flushes = cache->counts[COUNT_FLUSH],
    };
}
