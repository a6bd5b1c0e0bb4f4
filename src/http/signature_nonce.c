/*
 * http/signature_nonce.c - Nonces that were used. They are kept in the order in which they came,
 * which is the order in which they may be forgotten: a ring of entries, found through a table of
 * chains. Only what a valid signature brought gets in, so strangers cannot fill it; when it is full
 * all the same, it refuses new ones rather than forget one that could be replayed.
 *
 * What is kept of a nonce is a keyed hash: nobody can choose nonces that fall into one chain.
 */
#include "http/signature.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define DIGEST_BYTES 16u

struct entry {
    uint8_t digest[DIGEST_BYTES];
    int64_t until_us;
    uint32_t next; /* in its chain */
};

struct http__nonces {
    pthread_mutex_t mutex;
    uint8_t key[crypto_generichash_KEYBYTES];
    struct entry *entries;
    uint32_t *chains; /* a power of two of them */
    uint32_t chains_mask;
    uint32_t max;
    uint32_t first; /* the oldest */
    uint32_t len;
};

struct http__nonces *http__nonces_new(unsigned nonces_max)
{
    struct http__nonces *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    uint32_t chains = 16;
    while (chains < nonces_max && chains < UINT32_C(1) << 30)
        chains *= 2;
    n->max = nonces_max;
    n->chains_mask = chains - 1;
    n->entries = calloc(nonces_max, sizeof(*n->entries));
    n->chains = calloc(chains, sizeof(*n->chains));
    if (!n->entries || !n->chains || pthread_mutex_init(&n->mutex, NULL) != 0) {
        free(n->entries);
        free(n->chains);
        free(n);
        return NULL;
    }
    memset(n->chains, 0xff, chains * sizeof(*n->chains));
    randombytes_buf(n->key, sizeof(n->key));
    return n;
}

void http__nonces_free(struct http__nonces *n)
{
    if (!n)
        return;
    (void)pthread_mutex_destroy(&n->mutex);
    free(n->entries);
    free(n->chains);
    free(n);
}

static void hash_of(const struct http__nonces *n, struct slice key_id, struct slice nonce,
                    uint8_t out[DIGEST_BYTES])
{
    crypto_generichash_state state;
    uint8_t id_len = (uint8_t)key_id.len; /* at most HTTP__KEY_ID_MAX: no two pairs read the same */
    (void)crypto_generichash_init(&state, n->key, sizeof(n->key), DIGEST_BYTES);
    (void)crypto_generichash_update(&state, &id_len, 1);
    (void)crypto_generichash_update(&state, (const unsigned char *)key_id.data, key_id.len);
    (void)crypto_generichash_update(&state, (const unsigned char *)nonce.data, nonce.len);
    (void)crypto_generichash_final(&state, out, DIGEST_BYTES);
}

static uint32_t *chain_of(struct http__nonces *n, const uint8_t digest[DIGEST_BYTES])
{
    uint32_t h;
    memcpy(&h, digest, sizeof(h));
    return &n->chains[h & n->chains_mask];
}

static void drop_oldest(struct http__nonces *n)
{
    struct entry *oldest = &n->entries[n->first];
    uint32_t *at = chain_of(n, oldest->digest);
    while (*at != n->first)
        at = &n->entries[*at].next;
    *at = oldest->next;
    n->first = n->first + 1 == n->max ? 0 : n->first + 1;
    n->len--;
}

static enum status use(struct http__nonces *n, const uint8_t digest[DIGEST_BYTES], int64_t now_us,
                       int64_t until_us)
{
    while (n->len > 0 && n->entries[n->first].until_us < now_us)
        drop_oldest(n);
    uint32_t *chain = chain_of(n, digest);
    for (uint32_t i = *chain; i != NONE; i = n->entries[i].next) {
        if (memcmp(n->entries[i].digest, digest, DIGEST_BYTES) == 0)
            return STATUS_CONFLICT;
    }
    if (n->len == n->max)
        return STATUS_EXHAUSTED;
    uint32_t at = (uint32_t)(((uint64_t)n->first + n->len) % n->max);
    struct entry *entry = &n->entries[at];
    memcpy(entry->digest, digest, DIGEST_BYTES);
    entry->until_us = until_us;
    entry->next = *chain;
    *chain = at;
    n->len++;
    return STATUS_OK;
}

enum status http__nonce_use(struct http__nonces *n, struct slice key_id, struct slice nonce,
                            int64_t now_us, int64_t until_us)
{
    uint8_t digest[DIGEST_BYTES];
    hash_of(n, key_id, nonce, digest);
    (void)pthread_mutex_lock(&n->mutex); /* held for a few hundred nanoseconds */
    enum status st = use(n, digest, now_us, until_us);
    (void)pthread_mutex_unlock(&n->mutex);
    return st;
}

unsigned http__nonces_len(struct http__nonces *n)
{
    (void)pthread_mutex_lock(&n->mutex);
    unsigned len = n->len;
    (void)pthread_mutex_unlock(&n->mutex);
    return len;
}
