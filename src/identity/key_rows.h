/*
 * identity/key_rows.h - Private to the room: the table of signing keys, and the seal on what is
 * private in it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/jose.h"
#include "identity/keys.h"
#include "identity/seal.h"
#include "identity/secret.h"

struct arena;
struct store;
struct task;

extern const struct slice identity__key_rows_schema;

enum identity__key_state {
    IDENTITY__KEY_NEXT,
    IDENTITY__KEY_ACTIVE,
    IDENTITY__KEY_RETIRED,
    IDENTITY__KEY_STATES
};
const char *identity__key_state_name(enum identity__key_state state);

struct identity__key_row {
    struct slice kid;
    enum identity_jose_alg alg;
    enum identity__key_state state;
    int64_t created_us, active_us, retired_us; /* the latter two 0 while it was not */
    bool is_sealed_with_previous;
    char *private; /* the JWK, opened */
    size_t private_len;
};

struct identity__key_rows {
    struct identity__key_row items[IDENTITY_KEYS_MAX];
    unsigned len;
};
/* Wipe what was opened. */
void identity__key_rows_clear(struct identity__key_rows *rows);
static inline void identity__key_rows_clearp(struct identity__key_rows *rows)
{
    identity__key_rows_clear(rows);
}

/*
 * Read and open all keys, oldest first.
 *
 * Errors   UNAUTHENTICATED: no secret opens one (`replace_lost`: it is deleted instead); INTERNAL:
 *          a row is no key of ours; else what the store reports. The problem is set.
 * Memory   all in the task's arena (or `arena`); to be cleared on every path.
 */
enum status identity__key_rows_read(struct task *task, struct store *store,
                                    const struct identity_seal *seal,
                                    struct identity__key_rows *ret);
enum status identity__key_rows_read_blocking(struct store *store, const struct identity_seal *seal,
                                             bool replace_lost, struct arena *arena,
                                             struct problem *problem,
                                             struct identity__key_rows *ret);
/* The key of a row; INTERNAL when it is another than the row says. */
enum status identity__key_row_open(const struct identity__key_row *row,
                                   struct identity_jose_key **ret_key);

/* Steps, each a transaction; *ret_changes is 0 when another process was faster. */
enum status identity__key_row_activate(struct task *task, struct store *store,
                                       const struct identity__key_row *next, int64_t now_us,
                                       int64_t *ret_changes);
enum status identity__key_row_remove(struct task *task, struct store *store,
                                     const struct identity__key_row *row, int64_t *ret_changes);
enum status identity__key_row_reseal(struct task *task, struct store *store,
                                     const struct identity_seal *seal,
                                     const struct identity__key_row *row);

/* RSA of 2048 bits has some 1700 bytes. */
#define IDENTITY__SEALED_MAX ((size_t)2048)

/* A key on its way into the table. */
struct identity__new_key {
    enum identity_jose_alg alg;
    enum identity__key_state state;
    bool alone; /* and all others go */
    int64_t now_us;
    int64_t changes; /* of the insert */
    char kid[IDENTITY_JOSE_THUMBPRINT_LEN];
    size_t sealed_len;
    uint8_t sealed[IDENTITY__SEALED_MAX];
};
/* Any thread; RSA takes tenths of a second. */
enum status identity__new_key_make(const struct identity_seal *seal, enum identity_jose_alg alg,
                                   struct identity__new_key *ret_key);
enum status identity__new_key_insert(struct task *task, struct store *store,
                                     struct identity__new_key *key, int64_t *ret_changes);
enum status identity__new_key_insert_blocking(struct store *store,
                                              const struct identity__new_key *key,
                                              struct arena *arena, struct problem *problem);
