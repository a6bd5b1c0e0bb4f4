/*
 * identity/key_rows.c - The table of signing keys. What is private is sealed: a stolen backup signs
 * nothing. The partial unique indexes let there be one active and one next key, whatever processes
 * do at the same time.
 */
#include "identity/key_rows.h"

#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/log.h"
#include "fiber/task.h"
#include "store/store.h"

const struct slice identity__key_rows_schema =
    SLICE_INIT("CREATE TABLE IF NOT EXISTS purlin_signing_keys (\n"
               "  kid TEXT PRIMARY KEY,\n"
               "  algorithm TEXT NOT NULL,\n"
               "  sealed BLOB NOT NULL,\n"
               "  state TEXT NOT NULL CHECK (state IN ('next', 'active', 'retired')),\n"
               "  created_at INTEGER NOT NULL,\n"
               "  active_at INTEGER,\n"
               "  retired_at INTEGER\n"
               ") STRICT;\n"
               "CREATE UNIQUE INDEX IF NOT EXISTS purlin_signing_keys__one_active\n"
               "  ON purlin_signing_keys (state) WHERE state = 'active';\n"
               "CREATE UNIQUE INDEX IF NOT EXISTS purlin_signing_keys__one_next\n"
               "  ON purlin_signing_keys (state) WHERE state = 'next';\n");

/* One more than there may be: to be seen, not to be passed over. */
static const char read_sql[] =
    "SELECT kid, algorithm, state, created_at, active_at, retired_at, sealed"
    "  FROM purlin_signing_keys"
    " ORDER BY created_at, kid"
    " LIMIT 17";
_Static_assert(IDENTITY_KEYS_MAX == 16, "as read_sql and insert_sql have it");

/* Nothing when there is such a key already, or one more could not be read. */
static const char insert_sql[] = "INSERT INTO purlin_signing_keys"
                                 "  (kid, algorithm, sealed, state, created_at, active_at)"
                                 "  SELECT $1, $2, $3, $4, $5, $6"
                                 "   WHERE (SELECT COUNT(*) FROM purlin_signing_keys) < 16"
                                 "  ON CONFLICT DO NOTHING";
static const char delete_all_sql[] = "DELETE FROM purlin_signing_keys";
static const char retire_sql[] =
    "UPDATE purlin_signing_keys"
    "   SET state = 'retired', retired_at = $1"
    " WHERE state = 'active'"
    "   AND EXISTS (SELECT 1 FROM purlin_signing_keys WHERE kid = $2 AND state = 'next')";
static const char activate_sql[] = "UPDATE purlin_signing_keys"
                                   "   SET state = 'active', active_at = $1"
                                   " WHERE kid = $2 AND state = 'next'";
static const char remove_sql[] = "DELETE FROM purlin_signing_keys"
                                 " WHERE kid = $1 AND state = 'retired'";
static const char reseal_sql[] = "UPDATE purlin_signing_keys"
                                 "   SET sealed = $1"
                                 " WHERE kid = $2";

#define SQL(text) slice_of((text), sizeof(text) - 1)

static const char *const state_names[IDENTITY__KEY_STATES] = {
    [IDENTITY__KEY_NEXT] = "next",
    [IDENTITY__KEY_ACTIVE] = "active",
    [IDENTITY__KEY_RETIRED] = "retired",
};

const char *identity__key_state_name(enum identity__key_state state)
{
    return state_names[state];
}

/* -- reading
 * ------------------------------------------------------------------------------------------- */

struct reader {
    struct store *store;
    const struct identity_seal *seal;
    struct arena *arena;
    struct problem *problem;
    struct identity__key_rows *rows;
    bool pass_over_lost;
    bool has_lost;
};

static bool find_state(struct slice name, enum identity__key_state *ret)
{
    for (unsigned s = 0; s < IDENTITY__KEY_STATES; s++) {
        if (slice_eq(name, slice_cstr(state_names[s]))) {
            *ret = (enum identity__key_state)s;
            return true;
        }
    }
    return false;
}

static enum status refuse_lost(struct reader *reader, struct slice kid)
{
    return problem_put(
        reader->problem, reader->arena, __FILE__, __LINE__, STATUS_UNAUTHENTICATED,
        "identity/keys-sealed",
        "The signing key %.*s in the database is sealed with another secret. Set the "
        "secret it was sealed with as the previous one, or have the keys replaced, "
        "which ends every token.",
        SLICE_ARG(kid));
}

static enum status refuse_row(struct reader *reader)
{
    return problem_put(reader->problem, reader->arena, __FILE__, __LINE__, STATUS_INTERNAL,
                       "identity/keys-read", "The table of signing keys is malformed.");
}

static enum status take_row(void *arg, struct store_rows *rows)
{
    struct reader *reader = arg;
    struct identity__key_rows *out = reader->rows;
    struct identity__key_row row = { .created_us = store_rows_i64(rows, 3),
                                     .active_us = store_rows_i64(rows, 4),
                                     .retired_us = store_rows_i64(rows, 5) };
    if (out->len == IDENTITY_KEYS_MAX ||
        !identity_jose_alg_find(store_rows_bytes(rows, 1), &row.alg) ||
        !find_state(store_rows_bytes(rows, 2), &row.state))
        return refuse_row(reader);
    if (arena_copy(reader->arena, store_rows_bytes(rows, 0), &row.kid) != STATUS_OK)
        return STATUS_EXHAUSTED;
    struct slice sealed = store_rows_bytes(rows, 6);
    enum status st = sealed.len > IDENTITY__SEALED_MAX
                         ? STATUS_UNAUTHENTICATED
                         : identity_seal_open(reader->seal, sealed, reader->arena, &row.private,
                                              &row.private_len, &row.is_sealed_with_previous);
    if (st == STATUS_UNAUTHENTICATED && reader->pass_over_lost) {
        log_warn("identity.key_lost", LOG_TEXT("kid", row.kid));
        reader->has_lost = true;
        return STATUS_OK;
    }
    if (st != STATUS_OK)
        return st == STATUS_UNAUTHENTICATED ? refuse_lost(reader, row.kid) : st;
    out->items[out->len++] = row;
    return STATUS_OK;
}

void identity__key_rows_clear(struct identity__key_rows *rows)
{
    for (unsigned i = 0; i < rows->len; i++)
        sodium_memzero(rows->items[i].private, rows->items[i].private_len);
    rows->len = 0;
}

enum status identity__key_rows_read(struct task *task, struct store *store,
                                    const struct identity_seal *seal,
                                    struct identity__key_rows *ret)
{
    struct reader reader = { .store = store,
                             .seal = seal,
                             .arena = task_arena(task),
                             .problem = task_problem(task),
                             .rows = ret };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_query(task, store, SQL(read_sql), NULL, 0, &rows);
    while (st == STATUS_OK) {
        st = store_rows_next(rows);
        if (st == STATUS_NOT_FOUND)
            return STATUS_OK;
        if (st == STATUS_OK)
            st = take_row(&reader, rows);
    }
    return st;
}

enum status identity__key_rows_read_blocking(struct store *store, const struct identity_seal *seal,
                                             bool replace_lost, struct arena *arena,
                                             struct problem *problem,
                                             struct identity__key_rows *ret)
{
    struct reader reader = { .store = store,
                             .seal = seal,
                             .arena = arena,
                             .problem = problem,
                             .rows = ret,
                             .pass_over_lost = replace_lost };
    enum status st =
        store_read_blocking(store, SQL(read_sql), NULL, 0, arena, problem, take_row, &reader);
    if (st != STATUS_OK || !reader.has_lost)
        return st;
    /* One that is lost spoils all: nobody knows which of them others still have. */
    identity__key_rows_clear(ret);
    return store_script(store, SQL(delete_all_sql), arena, problem);
}

enum status identity__key_row_open(const struct identity__key_row *row,
                                   struct identity_jose_key **ret_key)
{
    const char *reason;
    CLEANUP(identity_jose_key_free) struct identity_jose_key *key = NULL;
    enum status st =
        identity_jose_key_parse(slice_of(row->private, row->private_len), &key, &reason);
    if (st == STATUS_EXHAUSTED)
        return st;
    /* The thumbprint ties what is sealed to its row: nobody can have swapped two of them. */
    if (st != STATUS_OK || !identity_jose_key_can_sign(key) ||
        !(identity_jose_key_algs(key) & IDENTITY_JOSE_BIT(row->alg)) ||
        !slice_eq(identity_jose_key_thumbprint(key), row->kid))
        return STATUS_INTERNAL;
    identity_jose_key_name(key);
    *ret_key = key;
    key = NULL;
    return STATUS_OK;
}

/* -- writing
 * ------------------------------------------------------------------------------------------- */

struct change {
    const struct identity__key_row *row;
    struct slice sealed;
    int64_t now_us, changes;
};

static enum status write_activate(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    const struct store_value values[] = { store_i64(c->now_us), store_text(c->row->kid) };
    enum status st = store_tx_exec(tx, SQL(retire_sql), values, ARRAY_LEN(values), NULL);
    if (st != STATUS_OK)
        return st;
    return store_tx_exec(tx, SQL(activate_sql), values, ARRAY_LEN(values), &c->changes);
}

enum status identity__key_row_activate(struct task *task, struct store *store,
                                       const struct identity__key_row *next, int64_t now_us,
                                       int64_t *ret_changes)
{
    struct change change = { .row = next, .now_us = now_us };
    enum status st = store_write(task, store, write_activate, &change);
    *ret_changes = change.changes;
    return st;
}

static enum status write_remove(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    const struct store_value kid = store_text(c->row->kid);
    return store_tx_exec(tx, SQL(remove_sql), &kid, 1, &c->changes);
}

enum status identity__key_row_remove(struct task *task, struct store *store,
                                     const struct identity__key_row *row, int64_t *ret_changes)
{
    struct change change = { .row = row };
    enum status st = store_write(task, store, write_remove, &change);
    *ret_changes = change.changes;
    return st;
}

static enum status write_reseal(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    const struct store_value values[] = { store_blob(c->sealed), store_text(c->row->kid) };
    return store_tx_exec(tx, SQL(reseal_sql), values, ARRAY_LEN(values), &c->changes);
}

enum status identity__key_row_reseal(struct task *task, struct store *store,
                                     const struct identity_seal *seal,
                                     const struct identity__key_row *row)
{
    uint8_t sealed[IDENTITY__SEALED_MAX];
    size_t len;
    if (!identity_seal_close(seal, slice_of(row->private, row->private_len), sealed, sizeof(sealed),
                             &len))
        return STATUS_INTERNAL;
    struct change change = { .row = row, .sealed = slice_of((const char *)sealed, len) };
    return store_write(task, store, write_reseal, &change);
}

/* -- new keys
 * ------------------------------------------------------------------------------------------ */

enum status identity__new_key_make(const struct identity_seal *seal, enum identity_jose_alg alg,
                                   struct identity__new_key *ret_key)
{
    struct buf private;
    CLEANUP(identity_jose_key_free) struct identity_jose_key *key = NULL;
    buf_init(&private, NULL, IDENTITY__SEALED_MAX, IDENTITY__SEALED_MAX);
    enum status st = identity_jose_key_generate(alg, &private, &key);
    if (st == STATUS_OK) {
        *ret_key = (struct identity__new_key){ .alg = alg };
        memcpy(ret_key->kid, identity_jose_key_thumbprint(key).data, sizeof(ret_key->kid));
        if (!identity_seal_close(seal, buf_slice(&private), ret_key->sealed,
                                 sizeof(ret_key->sealed), &ret_key->sealed_len))
            st = STATUS_INTERNAL;
    }
    if (private.data)
        sodium_memzero(private.data, private.cap);
    buf_fini(&private);
    return st;
}

static enum status write_insert(struct store_tx *tx, void *arg)
{
    struct identity__new_key *key = arg;
    bool is_active = key->state == IDENTITY__KEY_ACTIVE;
    const struct store_value values[] = {
        store_text(slice_of(key->kid, sizeof(key->kid))),
        store_text(identity_jose_alg_name(key->alg)),
        store_blob(slice_of((const char *)key->sealed, key->sealed_len)),
        store_text(slice_cstr(state_names[key->state])),
        store_i64(key->now_us),
        is_active ? store_i64(key->now_us) : store_null(),
    };
    if (key->alone) {
        enum status st = store_tx_exec(tx, SQL(delete_all_sql), NULL, 0, NULL);
        if (st != STATUS_OK)
            return st;
    }
    return store_tx_exec(tx, SQL(insert_sql), values, ARRAY_LEN(values), &key->changes);
}

enum status identity__new_key_insert(struct task *task, struct store *store,
                                     struct identity__new_key *key, int64_t *ret_changes)
{
    enum status st = store_write(task, store, write_insert, key);
    *ret_changes = key->changes;
    return st;
}

/* Before there are tasks only scripts can write, and they take no values: these are all ours. */
enum status identity__new_key_insert_blocking(struct store *store,
                                              const struct identity__new_key *key,
                                              struct arena *arena, struct problem *problem)
{
    struct buf sql;
    buf_init(&sql, arena, 1024, (size_t)4 * IDENTITY__SEALED_MAX);
    buf_printf(&sql,
               "INSERT INTO purlin_signing_keys"
               " (kid, algorithm, state, created_at, active_at, sealed)"
               " VALUES ('%.*s', '%.*s', '%s', %lld, %lld, X'",
               (int)sizeof(key->kid), key->kid, SLICE_ARG(identity_jose_alg_name(key->alg)),
               state_names[key->state], (long long)key->now_us, (long long)key->now_us);
    buf_put_hex(&sql, key->sealed, key->sealed_len);
    buf_put_lit(&sql, "') ON CONFLICT DO NOTHING;");
    if (buf_status(&sql) != STATUS_OK)
        return buf_status(&sql);
    return store_script(store, buf_slice(&sql), arena, problem);
}
