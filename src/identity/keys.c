/*
 * identity/keys.c - Signing keys: the snapshot that loops use, and the steps of a rotation.
 *
 * A process knows of another's step only at its next upkeep, at most publish_us later. So a key
 * must have been published for that long before it signs (everybody can verify by it then), and is
 * verified by for that long beyond the life of a token after it was retired (somebody may have
 * signed with it until then).
 *
 * Publishing swaps one pointer. A loop may be in the middle of a verification by the snapshot
 * before, but never across a turn: so a post goes to each loop, and the last one that takes it up
 * frees the snapshot.
 */
#include "identity/keys.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "identity/key_rows.h"
#include "store/store.h"

#define STEPS_MAX                                                                                  \
    (2 * IDENTITY_KEYS_MAX + 8) /* of one upkeep: each key sealed anew and removed                 \
                                 */
#define JWKS_BYTES_MAX ((size_t)64 * 1024)

struct held;

/* To one loop: let go of it. */
struct farewell {
    struct loop_post post;
    struct held *held;
};

/* A snapshot with what lets go of it. */
struct held {
    struct identity_keys_snapshot snapshot;
    struct buf jwks;
    unsigned loops_left;         /* atomic, once it is replaced */
    struct farewell farewells[]; /* one a loop */
};

struct identity_keys {
    struct identity_keys_options options; /* without secrets */
    struct identity_seal seal;
    struct held *current; /* atomic */
    uint64_t reads;       /* atomic: readings of the table that were begun */
    pthread_mutex_t lock; /* of what follows; held for a few instructions */
    uint64_t published;   /* the reading that `current` is of */
};

/* -- snapshots
 * ----------------------------------------------------------------------------------------- */

static void held_free(struct held *held)
{
    if (!held)
        return;
    identity_jose_set_clear(&held->snapshot.keys);
    buf_fini(&held->jwks);
    free(held);
}
DEFINE_CLEANUP(struct held *, held_free)

static enum status add_row(struct held *held, const struct identity__key_row *row)
{
    struct identity_keys_snapshot *snapshot = &held->snapshot;
    struct identity_jose_key *key;
    enum status st = identity__key_row_open(row, &key);
    if (st != STATUS_OK)
        return st;
    snapshot->keys.keys[snapshot->keys.len++] = key;
    if (row->state == IDENTITY__KEY_ACTIVE) {
        snapshot->active = key;
        snapshot->alg = row->alg;
    }
    if (snapshot->keys.len > 1)
        buf_putc(&held->jwks, ',');
    return identity_jose_key_put_public(key, row->alg, &held->jwks);
}

static enum status held_new(const struct identity_keys *keys, const struct identity__key_rows *rows,
                            struct held **ret_held)
{
    unsigned loops_len = keys->options.loops_len;
    CLEANUP(held_free)
    struct held *held = calloc(1, sizeof(*held) + loops_len * sizeof(held->farewells[0]));
    if (!held)
        return STATUS_EXHAUSTED;
    buf_init(&held->jwks, NULL, 1024, JWKS_BYTES_MAX);
    buf_put_lit(&held->jwks, "{\"keys\":[");
    for (unsigned i = 0; i < rows->len; i++) {
        enum status st = add_row(held, &rows->items[i]);
        if (st != STATUS_OK)
            return st;
    }
    buf_put_lit(&held->jwks, "]}");
    if (buf_status(&held->jwks) != STATUS_OK)
        return buf_status(&held->jwks);
    held->snapshot.jwks = buf_slice(&held->jwks);
    *ret_held = held;
    held = NULL;
    return STATUS_OK;
}

static void let_go(struct loop_post *post)
{
    struct held *held = CONTAINER_OF(post, struct farewell, post)->held;
    if (__atomic_sub_fetch(&held->loops_left, 1, __ATOMIC_ACQ_REL) == 0)
        held_free(held);
}

static void replace(const struct identity_keys *keys, struct held *before)
{
    unsigned loops_len = keys->options.loops_len;
    if (!before || !loops_len) {
        held_free(before);
        return;
    }
    before->loops_left = loops_len;
    for (unsigned i = 0; i < loops_len; i++)
        before->farewells[i] = (struct farewell){ .post.fn = let_go, .held = before };
    /* The last one may free it all while we are here: nothing of it is looked at after that. */
    struct farewell *farewells = before->farewells;
    for (unsigned i = 0; i < loops_len; i++)
        loop_post(keys->options.loops[i], &farewells[i].post);
}

static bool is_same(const struct held *a, const struct held *b)
{
    return a && slice_eq(a->snapshot.jwks, b->snapshot.jwks) &&
           slice_eq(identity_jose_key_thumbprint(a->snapshot.active),
                    identity_jose_key_thumbprint(b->snapshot.active));
}

/* `read` tells which of two readings was begun later: that one stays. */
static void publish(struct identity_keys *keys, struct held *next, uint64_t read)
{
    (void)pthread_mutex_lock(&keys->lock);
    struct held *before = keys->current, *gone = next;
    if (read > keys->published) {
        keys->published = read;
        if (!is_same(before, next)) {
            __atomic_store_n(&keys->current, next, __ATOMIC_RELEASE);
            gone = before;
        }
    }
    (void)pthread_mutex_unlock(&keys->lock);
    if (gone == next)
        held_free(next); /* nobody has seen it */
    else
        replace(keys, gone);
}

const struct identity_keys_snapshot *identity_keys_current(const struct identity_keys *keys)
{
    return &__atomic_load_n(&keys->current, __ATOMIC_ACQUIRE)->snapshot;
}

struct slice identity_keys_jwks(const struct identity_keys *keys)
{
    return identity_keys_current(keys)->jwks;
}

/* -- what is due
 * --------------------------------------------------------------------------------------- */

enum step {
    STEP_NONE,
    STEP_CREATE_ACTIVE,
    STEP_CREATE_NEXT,
    STEP_ACTIVATE,
    STEP_REMOVE,
    STEP_RESEAL
};

static enum step find_due(const struct identity_keys *keys, const struct identity__key_rows *rows,
                          int64_t now_us, const struct identity__key_row **ret_row)
{
    const struct identity_keys_options *o = &keys->options;
    const struct identity__key_row *active = NULL, *next = NULL;
    for (unsigned i = 0; i < rows->len; i++) {
        const struct identity__key_row *row = &rows->items[i];
        *ret_row = row;
        if (row->is_sealed_with_previous)
            return STEP_RESEAL;
        if (row->state == IDENTITY__KEY_RETIRED &&
            now_us > row->retired_us + o->token_us + o->publish_us +
                         2 * IDENTITY_JOSE_LEEWAY_S * CLOCK_SECOND)
            return STEP_REMOVE;
        if (row->state == IDENTITY__KEY_ACTIVE)
            active = row;
        if (row->state == IDENTITY__KEY_NEXT)
            next = row;
    }
    *ret_row = next;
    if (next && (!active || now_us >= next->created_us + o->publish_us))
        return STEP_ACTIVATE;
    if (!active)
        return STEP_CREATE_ACTIVE;
    bool is_old = active->alg != o->alg || now_us >= active->active_us + o->rotate_us;
    if (!next && is_old && rows->len < IDENTITY_KEYS_MAX)
        return STEP_CREATE_NEXT;
    return STEP_NONE;
}

struct generation {
    const struct identity_keys *keys;
    struct identity__new_key *key;
    enum status st;
};

static void generate(void *arg)
{
    struct generation *g = arg;
    g->st = identity__new_key_make(&g->keys->seal, g->keys->options.alg, g->key);
}

static enum status create(struct task *task, struct identity_keys *keys,
                          enum identity__key_state state, bool alone, int64_t now_us,
                          int64_t *ret_changes)
{
    struct identity__new_key key;
    struct generation g = { .keys = keys, .key = &key, .st = STATUS_INTERNAL };
    enum status st = task_offload(task, generate, &g);
    if (st != STATUS_OK)
        return problem_set(task, st, "identity/keys-pool", "A signing key could not be made: %s.",
                           status_name(st));
    if (g.st != STATUS_OK)
        return problem_set(task, g.st, "identity/keys-make", "A signing key could not be made: %s.",
                           status_name(g.st));
    key.state = state;
    key.alone = alone;
    key.now_us = now_us;
    st = identity__new_key_insert(task, keys->options.store, &key, ret_changes);
    if (st == STATUS_OK && *ret_changes)
        log_info("identity.key_created", LOG_TEXT("kid", slice_of(key.kid, sizeof(key.kid))),
                 LOG_TEXT("algorithm", identity_jose_alg_name(key.alg)),
                 LOG_CSTR("state", identity__key_state_name(state)));
    return st;
}

static enum status take_step(struct task *task, struct identity_keys *keys, enum step step,
                             const struct identity__key_row *row, int64_t now_us)
{
    struct store *store = keys->options.store;
    int64_t changes = 0;
    enum status st;
    switch (step) {
    case STEP_CREATE_ACTIVE:
        return create(task, keys, IDENTITY__KEY_ACTIVE, /* alone= */ false, now_us, &changes);
    case STEP_CREATE_NEXT:
        return create(task, keys, IDENTITY__KEY_NEXT, /* alone= */ false, now_us, &changes);
    case STEP_ACTIVATE:
        st = identity__key_row_activate(task, store, row, now_us, &changes);
        if (st == STATUS_OK && changes)
            log_info("identity.key_active", LOG_TEXT("kid", row->kid));
        return st;
    case STEP_REMOVE:
        st = identity__key_row_remove(task, store, row, &changes);
        if (st == STATUS_OK && changes)
            log_info("identity.key_removed", LOG_TEXT("kid", row->kid));
        return st;
    case STEP_RESEAL:
        st = identity__key_row_reseal(task, store, &keys->seal, row);
        if (st == STATUS_OK)
            log_info("identity.key_resealed", LOG_TEXT("kid", row->kid));
        return st;
    case STEP_NONE:
        break;
    }
    return STATUS_OK;
}

/* Read the table, do what is due, until nothing is; the last reading is published. */
enum status identity_keys_upkeep(struct task *task, struct identity_keys *keys, int64_t now_us)
{
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        uint64_t read = __atomic_add_fetch(&keys->reads, 1, __ATOMIC_RELAXED);
        CLEANUP(identity__key_rows_clear) struct identity__key_rows rows = { 0 };
        enum status st = identity__key_rows_read(task, keys->options.store, &keys->seal, &rows);
        if (st != STATUS_OK)
            return st;
        const struct identity__key_row *row;
        enum step step = find_due(keys, &rows, now_us, &row);
        if (step != STEP_NONE) {
            st = take_step(task, keys, step, row, now_us);
            if (st != STATUS_OK)
                return st;
            continue;
        }
        struct held *held;
        st = held_new(keys, &rows, &held);
        if (st != STATUS_OK)
            return problem_set(task, st, "identity/keys-read", "A signing key is malformed.");
        publish(keys, held, read);
        return STATUS_OK;
    }
    return problem_set(task, STATUS_INTERNAL, "identity/keys-steps",
                       "The signing keys did not settle.");
}

enum status identity_keys_rotate(struct task *task, struct identity_keys *keys,
                                 enum identity_keys_rotation rotation, int64_t now_us)
{
    bool at_once = rotation == IDENTITY_KEYS_AT_ONCE;
    int64_t changes = 0;
    enum status st = create(task, keys, at_once ? IDENTITY__KEY_ACTIVE : IDENTITY__KEY_NEXT,
                            /* alone= */ at_once, now_us, &changes);
    if (st == STATUS_OK && !changes)
        st = problem_set(task, STATUS_CONFLICT, "identity/keys-rotating",
                         "The next signing key is published already, or %u are still verified by.",
                         IDENTITY_KEYS_MAX);
    if (st != STATUS_OK)
        return st;
    return identity_keys_upkeep(task, keys, now_us);
}

/* -- opening
 * ------------------------------------------------------------------------------------------- */

static const char *check_options(const struct identity_keys_options *o)
{
    if (!o->secret.len)
        return "a secret is needed";
    if (o->alg != IDENTITY_JOSE_ES256 && o->alg != IDENTITY_JOSE_RS256)
        return "the algorithm must be ES256 or RS256";
    if (o->rotate_us < 0 || o->publish_us < 0 || o->token_us < 0)
        return "times cannot be negative";
    return NULL;
}

static enum status create_first(struct identity_keys *keys, int64_t now_us, struct arena *arena,
                                struct problem *problem)
{
    struct identity__new_key key;
    enum status st = identity__new_key_make(&keys->seal, keys->options.alg, &key);
    if (st != STATUS_OK)
        return problem_put(problem, arena, __FILE__, __LINE__, st, "identity/keys-make",
                           "A signing key could not be made: %s.", status_name(st));
    key.state = IDENTITY__KEY_ACTIVE;
    key.now_us = now_us;
    return identity__new_key_insert_blocking(keys->options.store, &key, arena, problem);
}

static bool has_active(const struct identity__key_rows *rows)
{
    for (unsigned i = 0; i < rows->len; i++) {
        if (rows->items[i].state == IDENTITY__KEY_ACTIVE)
            return true;
    }
    return false;
}

static enum status open_rows(struct identity_keys *keys, int64_t now_us, struct arena *arena,
                             struct problem *problem)
{
    struct store *store = keys->options.store;
    CLEANUP(identity__key_rows_clear) struct identity__key_rows rows = { 0 };
    enum status st = store_script(store, identity__key_rows_schema, arena, problem);
    if (st == STATUS_OK)
        st = identity__key_rows_read_blocking(store, &keys->seal, keys->options.replace_lost, arena,
                                              problem, &rows);
    if (st == STATUS_OK && !has_active(&rows)) {
        st = create_first(keys, now_us, arena, problem);
        identity__key_rows_clear(&rows);
        /* Another process may have been faster; then it is its key. */
        if (st == STATUS_OK)
            st = identity__key_rows_read_blocking(store, &keys->seal, /* replace_lost= */ false,
                                                  arena, problem, &rows);
    }
    if (st != STATUS_OK)
        return st;
    st = has_active(&rows) ? held_new(keys, &rows, &keys->current) : STATUS_INTERNAL;
    if (st != STATUS_OK)
        return problem_put(problem, arena, __FILE__, __LINE__, st, "identity/keys-read",
                           "A signing key is malformed.");
    return STATUS_OK;
}

enum status identity_keys_open(const struct identity_keys_options *options, int64_t now_us,
                               struct arena *arena, struct problem *problem,
                               struct identity_keys **ret_keys)
{
    const char *reason = check_options(options);
    if (reason)
        return problem_put(problem, arena, __FILE__, __LINE__, STATUS_INVALID,
                           "identity/keys-options", "Signing keys: %s.", reason);
    struct identity_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return STATUS_EXHAUSTED;
    keys->options = *options;
    keys->options.secret = keys->options.secret_previous = SLICE_NULL;
    struct identity_keys_options *o = &keys->options;
    o->rotate_us = o->rotate_us ? o->rotate_us : 30 * CLOCK_DAY;
    o->publish_us = o->publish_us ? o->publish_us : 10 * CLOCK_MINUTE;
    o->token_us = o->token_us ? o->token_us : 15 * CLOCK_MINUTE;
    (void)pthread_mutex_init(&keys->lock, NULL);
    identity_seal_init(&keys->seal, SLICE("signing keys"), options->secret,
                       options->secret_previous);
    enum status st = open_rows(keys, now_us, arena, problem);
    if (st != STATUS_OK) {
        identity_keys_close(keys);
        return st;
    }
    *ret_keys = keys;
    return STATUS_OK;
}

void identity_keys_close(struct identity_keys *keys)
{
    if (!keys)
        return;
    held_free(keys->current);
    (void)pthread_mutex_destroy(&keys->lock);
    sodium_memzero(&keys->seal, sizeof(keys->seal));
    free(keys);
}
