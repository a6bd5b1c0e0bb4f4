/*
 * identity/api_keys_private.h - Private to the API keys: their rows, and what is written late.
 */
#pragma once

#include <pthread.h>

#include "fiber/loop.h"
#include "identity/api_keys.h"
#include "identity/audit.h"

struct store_rows;

/* Slots of when keys were last seen used; two keys in one slot are only written more often. */
#define IDENTITY__API_KEY_SLOTS 4096u
/* Uses that wait to be written; beyond it they are not noted. */
#define IDENTITY__API_KEY_USES_MAX 1024u

struct identity__api_key_use {
    struct uuid id;
    int64_t at_us;
    char address[ADDRESS_TEXT_MAX];
};

struct identity_api_keys {
    struct store *store;
    struct identity_audit *audit;
    struct metrics *metrics;
    uint32_t series[IDENTITY_API_KEY_REFUSALS];
    struct identity_revocations *revocations;

    uint64_t slots[IDENTITY__API_KEY_SLOTS]; /* atomic: half of the key's number, and the minute */
    pthread_mutex_t lock;                    /* of what follows; held for a few instructions */
    struct identity__api_key_use uses[IDENTITY__API_KEY_USES_MAX];
    unsigned uses_len;
    bool is_busy; /* a task does the upkeep */

    /* The last change that the caches were told of; of the task that does the upkeep. */
    int64_t change;
    char change_id[UUID_TEXT_LEN];

    struct loop *loop;
    struct loop_timer timer;
    bool is_working; /* a task of the timer's */
    void (*ended)(void *arg);
    void *ended_arg;
};

void identity__api_key_changed(struct identity_api_keys *keys, const struct uuid *id);
uint64_t identity__api_key_number(const struct uuid *id);
/* The words of a list that spaces part. EXHAUSTED. Memory: they point into `text`. */
enum status identity__api_key_words(struct arena *arena, struct slice text,
                                    const struct slice **ret_words, unsigned *ret_len);
