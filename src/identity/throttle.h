/*
 * identity/throttle.h - Guessing gets slower: who fails has to wait, longer with each failure. By
 * account, by address, and by device, in this process. Private to the room.
 *
 * An attempt counts as a failure from its beginning, so that a thousand at once are a thousand; a
 * success takes it back. An account that is being attacked makes strangers wait, not its owner: a
 * device that has signed in to it before is counted apart (the caller chooses the key).
 *
 * The table is of a fixed size; when a place is needed the one least recently used among a few
 * goes.
 */
#pragma once

#include <stdint.h>

#include "base/macros.h"
#include "base/slice.h"
#include "base/status.h"

struct identity_throttle;

enum identity_throttle_kind {
    IDENTITY_THROTTLE_ACCOUNT, /* of strangers: 5 failures are free */
    IDENTITY_THROTTLE_DEVICE,  /* of one known device and account: 10 */
    IDENTITY_THROTTLE_ADDRESS, /* of a client address: 50 */
    IDENTITY_THROTTLE_MAIL,    /* letters of one kind to one address: 3, each counts */
    IDENTITY_THROTTLE_KINDS
};

/* After so long without a failure all is forgotten; no wait is longer than the other. */
#define IDENTITY_THROTTLE_FORGET_US (60 * CLOCK_MINUTE)
#define IDENTITY_THROTTLE_WAIT_MAX_US (15 * CLOCK_MINUTE)
#define IDENTITY_THROTTLE_ENTRIES 32768u

/* EXHAUSTED. */
enum status identity_throttle_new(struct identity_throttle **ret);
void identity_throttle_free(struct identity_throttle *throttle);
DEFINE_CLEANUP(struct identity_throttle *, identity_throttle_free)

struct identity_throttle_key {
    enum identity_throttle_kind kind;
    uint64_t hash; /* of identity_throttle_hash */
};
/* By a key of this process: nobody can choose names that share a place. */
uint64_t identity_throttle_hash(const struct identity_throttle *throttle, struct slice name);

/*
 * An attempt begins. 0: go on, it is counted with each key. Else the time to wait, with none
 * counted. Any thread; a lock for some hundred nanoseconds.
 */
int64_t identity_throttle_begin(struct identity_throttle *throttle,
                                const struct identity_throttle_key *keys, unsigned len,
                                int64_t now_us);
/* It succeeded: accounts and devices are forgotten, an address gets one attempt back. */
void identity_throttle_succeeded(struct identity_throttle *throttle,
                                 const struct identity_throttle_key *keys, unsigned len,
                                 int64_t now_us);
/* It was neither: nobody answered. Each gets its attempt back. */
void identity_throttle_undo(struct identity_throttle *throttle,
                            const struct identity_throttle_key *keys, unsigned len, int64_t now_us);
