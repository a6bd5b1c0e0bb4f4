/*
 * identity/keys.h - The keys that sign our own tokens: made, kept in the database, published,
 * rotated and removed. Private to the room.
 *
 * Data passes: rows of purlin_signing_keys -> the secret opens them -> an immutable snapshot that
 * the loops sign and verify by. A key is published before it signs (`next`), signs (`active`), and
 * is still verified by while tokens of its may live (`retired`); then it goes. What is due is done
 * by identity_keys_upkeep, in whichever process comes first: each step is one transaction that does
 * nothing when another has taken it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/jose.h"

struct arena;
struct identity_keys;
struct loop;
struct store;
struct task;

#define IDENTITY_KEYS_MAX 16u /* rows: one next, one active, the others retired */

struct identity_keys_options {
    struct store *store;
    struct slice secret; /* seals private keys; not empty */
    struct slice
        secret_previous;        /* opens what was sealed before the secret was changed, or empty */
    enum identity_jose_alg alg; /* of new keys: ES256 or RS256 */
    int64_t rotate_us;          /* a key signs for so long; 0: 30 days */
    int64_t publish_us;         /* and is published so long before: the time that a JWKS may be
                                   cached, and the longest between upkeeps. 0: 10 minutes */
    int64_t token_us;           /* the longest life of a token; 0: 15 minutes */
    struct loop *const *loops;  /* that look at snapshots; none: only the caller's thread does */
    unsigned loops_len;
    bool replace_lost; /* delete keys that no secret opens; every token of theirs is void */
};

/* What holds now. Never changed; gone some time after a newer one is published. */
struct identity_keys_snapshot {
    struct identity_jose_set keys;          /* verify by these */
    const struct identity_jose_key *active; /* sign with this one ... */
    enum identity_jose_alg alg;             /* ... and this algorithm */
    struct slice jwks;                      /* the document of /.well-known/jwks.json */
};

/*
 * Make the table when it is missing, a first key when there is none, and read them.
 *
 * Errors   INVALID: an option; UNAUTHENTICATED: a key is sealed with another secret (unless
 *          replace_lost); else what the store reports. *problem says it in words for an operator.
 * Memory   texts of the options are not kept; the store and the loops must outlive the keys.
 * Context  start of the process or a tool; blocks.
 */
enum status identity_keys_open(const struct identity_keys_options *options, int64_t now_us,
                               struct arena *arena, struct problem *problem,
                               struct identity_keys **ret_keys);
/* No loop may look at a snapshot any more; those that are being let go free themselves when their
 * loops run, or are freed. */
void identity_keys_close(struct identity_keys *keys);

/*
 * The snapshot to sign and verify by.
 *
 * Memory   valid until the caller next suspends or returns to its loop: take it anew after that.
 * Context  a thread of options.loops; one load, nothing is locked or counted.
 */
const struct identity_keys_snapshot *identity_keys_current(const struct identity_keys *keys);
/* The public keys as a JWKS document; memory as identity_keys_current. */
struct slice identity_keys_jwks(const struct identity_keys *keys);

/*
 * Do what is due at `now_us` (wall clock) and take over what other processes have done. To be
 * called at least every options.publish_us, and when a token names a key that is not known.
 *
 * Errors   what the store and the offload pool report; UNAUTHENTICATED as identity_keys_open. The
 *          snapshot then stays as it was. The task's problem is set.
 * Context  suspends.
 */
enum status identity_keys_upkeep(struct task *task, struct identity_keys *keys, int64_t now_us);

enum identity_keys_rotation {
    IDENTITY_KEYS_PLANNED, /* publish the next key now; it signs when it has been published for
                              long enough. CONFLICT: one is on its way, or there are
                              IDENTITY_KEYS_MAX */
    IDENTITY_KEYS_AT_ONCE, /* a key has leaked: drop all of them and sign with a new one now. Every
                              token is void; the caller flushes caches of verified ones */
};
/* Begin a rotation. Errors and context as identity_keys_upkeep. */
enum status identity_keys_rotate(struct task *task, struct identity_keys *keys,
                                 enum identity_keys_rotation rotation, int64_t now_us);
