/*
 * Which row a key became. The table is read once a row and once a reference, so the ids met lately
 * are kept in memory as well, in a table of fixed size; 128 bits of seeded hash stand for the key
 * there.
 */
#include "cmd/import.h"

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "store/store.h"

#define CACHE_SLOTS 65536u
#define SETTLE_ROWS 500u

const char import_keys_schema[] = "CREATE TABLE IF NOT EXISTS purlin_import_keys (\n"
                                  "  source TEXT NOT NULL,\n"
                                  "  resource TEXT NOT NULL,\n"
                                  "  key TEXT NOT NULL,\n"
                                  "  id BLOB NOT NULL,\n"
                                  "  digest INTEGER NOT NULL,\n"
                                  "  run INTEGER NOT NULL,\n"
                                  "  PRIMARY KEY (source, resource, key)\n"
                                  ") STRICT, WITHOUT ROWID;\n"
                                  "CREATE TABLE IF NOT EXISTS purlin_import_pending (\n"
                                  "  source TEXT NOT NULL,\n"
                                  "  resource TEXT NOT NULL,\n"
                                  "  id BLOB NOT NULL,\n"
                                  "  field TEXT NOT NULL,\n"
                                  "  target TEXT NOT NULL,\n"
                                  "  key TEXT NOT NULL,\n"
                                  "  PRIMARY KEY (source, resource, id, field)\n"
                                  ") STRICT, WITHOUT ROWID;\n";

static const char find_sql[] = "SELECT id, digest, run"
                               "  FROM purlin_import_keys"
                               " WHERE source = $1 AND resource = $2 AND key = $3";

static const char add_sql[] =
    "INSERT INTO purlin_import_keys (source, resource, key, id, digest, run)"
    " VALUES ($1, $2, $3, $4, $5, $6)";

static const char wait_sql[] =
    "INSERT INTO purlin_import_pending (source, resource, id, field, target, key)"
    " VALUES ($1, $2, $3, $4, $5, $6)";

/* In the order of the primary key from a place on, those whose row has come. */
static const char ready_sql[] =
    "SELECT p.id, p.field, k.id"
    "  FROM purlin_import_pending p"
    "  JOIN purlin_import_keys k ON k.source = p.source AND k.resource = p.target AND k.key = p.key"
    " WHERE p.source = $1 AND p.resource = $2 AND (p.id, p.field) > ($3, $4)"
    " ORDER BY p.id, p.field"
    " LIMIT 500";

static const char settled_sql[] = "DELETE FROM purlin_import_pending"
                                  " WHERE source = $1 AND resource = $2 AND id = $3 AND field = $4";

static const char left_sql[] = "SELECT count(*)"
                               "  FROM purlin_import_pending"
                               " WHERE source = $1";

struct slot {
    uint64_t hash[2];
    struct uuid id;
};

struct import_keys {
    struct slice source;
    uint64_t seeds[2];
    struct slot *slots;
};

struct import_keys *import_keys_new(struct slice source, struct arena *arena)
{
    struct import_keys *keys = arena_new_of(arena, struct import_keys);
    if (!keys)
        return NULL;
    keys->source = source;
    random_bytes(keys->seeds, sizeof(keys->seeds));
    keys->slots = arena_array_of(arena, struct slot, CACHE_SLOTS);
    return keys->slots ? keys : NULL;
}

static struct slot *slot_of(struct import_keys *keys, const struct contract *contract,
                            struct slice key, uint64_t hash[2])
{
    for (unsigned i = 0; i < 2; i++)
        hash[i] = hash64(key, keys->seeds[i] + contract->index);
    return &keys->slots[hash[0] % CACHE_SLOTS];
}

static void remember(struct import_keys *keys, const struct contract *contract, struct slice key,
                     const struct uuid *id)
{
    uint64_t hash[2];
    struct slot *slot = slot_of(keys, contract, key, hash);
    *slot = (struct slot){ .hash = { hash[0], hash[1] }, .id = *id };
}

static struct slice id_slice(const struct uuid *id)
{
    return slice_of((const char *)id->bytes, sizeof(id->bytes));
}

static bool id_from(struct slice bytes, struct uuid *ret)
{
    if (bytes.len != sizeof(ret->bytes))
        return false;
    memcpy(ret->bytes, bytes.data, sizeof(ret->bytes));
    return true;
}

enum status import_keys_find(struct import_keys *keys, struct store_tx *tx,
                             const struct contract *contract, struct slice key,
                             struct import_known *ret)
{
    const struct store_value values[] = { store_text(keys->source), store_text(contract->name),
                                          store_text(key) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, SLICE(find_sql), values, ARRAY_LEN(values), &rows);
    if (st != STATUS_OK)
        return st;
    struct import_known known = { .digest = (uint64_t)store_rows_i64(rows, 1),
                                  .run = store_rows_i64(rows, 2) };
    if (!id_from(store_rows_bytes(rows, 0), &known.id))
        return store_tx_problem_set(tx, STATUS_INTERNAL, "import/keys",
                                    "The key table holds an id that is none.");
    *ret = known;
    return STATUS_OK;
}

enum status import_keys_resolve(struct import_keys *keys, struct store_tx *tx,
                                const struct contract *contract, struct slice key, struct uuid *ret)
{
    uint64_t hash[2];
    const struct slot *slot = slot_of(keys, contract, key, hash);
    if (slot->hash[0] == hash[0] && slot->hash[1] == hash[1]) {
        *ret = slot->id;
        return STATUS_OK;
    }
    struct import_known known;
    enum status st = import_keys_find(keys, tx, contract, key, &known);
    if (st != STATUS_OK)
        return st;
    remember(keys, contract, key, &known.id);
    *ret = known.id;
    return STATUS_OK;
}

/* A batch that fails ends the run, so what was remembered of it is never asked for. */
enum status import_keys_add(struct import_keys *keys, struct store_tx *tx,
                            const struct contract *contract, struct slice key,
                            const struct import_known *known)
{
    const struct store_value values[] = {
        store_text(keys->source),         store_text(contract->name),        store_text(key),
        store_blob(id_slice(&known->id)), store_i64((int64_t)known->digest), store_i64(known->run),
    };
    enum status st = store_tx_exec(tx, SLICE(add_sql), values, ARRAY_LEN(values), NULL);
    if (st == STATUS_OK)
        remember(keys, contract, key, &known->id);
    return st;
}

enum status import_keys_wait(struct import_keys *keys, struct store_tx *tx,
                             const struct contract *contract, const struct uuid *id,
                             const struct import_field *field, struct slice key)
{
    const struct store_value values[] = {
        store_text(keys->source),       store_text(contract->name),   store_blob(id_slice(id)),
        store_text(field->field->name), store_text(field->ref->name), store_text(key),
    };
    return store_tx_exec(tx, SLICE(wait_sql), values, ARRAY_LEN(values), NULL);
}

/* -- references whose rows came later
 * ------------------------------------------------------------------------ */

struct ready {
    struct uuid id, target;
    struct slice field;
};

struct settling {
    struct import_keys *keys;
    const struct contract *contract;
    struct ready *ready; /* [SETTLE_ROWS] */
    unsigned len;
    struct uuid after;
    char after_field[128];
    unsigned after_field_len;
    uint64_t filled;
};

static enum status read_ready(struct settling *s, struct store_tx *tx)
{
    const struct store_value values[] = {
        store_text(s->keys->source),
        store_text(s->contract->name),
        store_blob(id_slice(&s->after)),
        store_text(slice_of(s->after_field, s->after_field_len)),
    };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_query(tx, SLICE(ready_sql), values, ARRAY_LEN(values), &rows);
    for (s->len = 0; st == STATUS_OK && s->len < SETTLE_ROWS; s->len++) {
        st = store_rows_next(rows);
        if (st != STATUS_OK)
            break;
        struct ready *ready = &s->ready[s->len];
        if (!id_from(store_rows_bytes(rows, 0), &ready->id) ||
            !id_from(store_rows_bytes(rows, 2), &ready->target))
            return store_tx_problem_set(tx, STATUS_INTERNAL, "import/keys",
                                        "The key table holds an id that is none.");
        st = arena_copy(store_tx_arena(tx), store_rows_bytes(rows, 1), &ready->field);
    }
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* Only what is still empty is filled: since then somebody may have chosen another. */
static enum status fill(struct settling *s, struct store_tx *tx, const struct ready *ready)
{
    const struct contract_field *field = contract_field_find(s->contract, ready->field);
    if (!field || field->type != CONTRACT_REF)
        return STATUS_OK; /* the contract has changed: nothing waits any more */
    struct store_sql sql;
    int64_t changes = 0;
    store_sql_init(&sql, store_tx_arena(tx));
    store_sql_lit(&sql, "UPDATE ");
    store_sql_name(&sql, s->contract->name);
    store_sql_lit(&sql, " SET ");
    store_sql_name(&sql, field->name);
    store_sql_lit(&sql, " = ");
    store_sql_value(&sql, store_blob(id_slice(&ready->target)));
    store_sql_lit(&sql, " WHERE id = ");
    store_sql_value(&sql, store_blob(id_slice(&ready->id)));
    store_sql_lit(&sql, " AND ");
    store_sql_name(&sql, field->name);
    store_sql_lit(&sql, " IS NULL");
    enum status st = store_sql_status(&sql);
    if (st == STATUS_OK)
        st = store_tx_exec_sql(tx, &sql, &changes);
    /* A reference that the database now refuses (its row is gone, or it would not be unique) stays
     * empty. */
    if (st == STATUS_OK)
        s->filled += (uint64_t)changes;
    return st == STATUS_CONFLICT ? STATUS_OK : st;
}

static enum status settle_some(struct store_tx *tx, void *arg)
{
    struct settling *s = arg;
    enum status st = read_ready(s, tx);
    for (unsigned i = 0; i < s->len && st == STATUS_OK; i++) {
        const struct ready *ready = &s->ready[i];
        const struct store_value values[] = { store_text(s->keys->source),
                                              store_text(s->contract->name),
                                              store_blob(id_slice(&ready->id)),
                                              store_text(ready->field) };
        st = fill(s, tx, ready);
        if (st == STATUS_OK)
            st = store_tx_exec(tx, SLICE(settled_sql), values, ARRAY_LEN(values), NULL);
    }
    if (st != STATUS_OK || !s->len)
        return st;
    const struct ready *last = &s->ready[s->len - 1];
    s->after = last->id;
    s->after_field_len = (unsigned)MIN(last->field.len, sizeof(s->after_field));
    memcpy(s->after_field, last->field.data, s->after_field_len);
    return STATUS_OK;
}

static enum status count_left(struct store_tx *tx, void *arg)
{
    struct settling *s = arg;
    const struct store_value values[] = { store_text(s->keys->source) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, SLICE(left_sql), values, ARRAY_LEN(values), &rows);
    if (st == STATUS_OK)
        s->filled = (uint64_t)store_rows_i64(rows, 0);
    return st;
}

static bool has_waiting_refs(const struct import_entry *entry)
{
    for (unsigned f = 0; f < entry->fields_len; f++)
        if (entry->fields[f].ref && entry->fields[f].missing_null)
            return true;
    return false;
}

/* Everything that one resource waits for. */
static enum status settle_contract(struct task *task, struct store *store, struct settling *s)
{
    struct arena_mark mark = arena_mark(task_arena(task));
    enum status st;
    do {
        st = store_write(task, store, settle_some, s);
        if (st == STATUS_OK)
            arena_rewind(task_arena(task), mark);
    } while (st == STATUS_OK && s->len == SETTLE_ROWS);
    return st;
}

enum status import_keys_settle(struct task *task, struct store *store, struct import_keys *keys,
                               const struct import_mapping *mapping, uint64_t *ret_filled,
                               uint64_t *ret_left)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct ready *ready = arena_array_of(arena, struct ready, SETTLE_ROWS);
    uint64_t filled = 0;
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < mapping->len && st == STATUS_OK; i++) {
        struct settling s = { .keys = keys,
                              .contract = mapping->entries[i].contract,
                              .ready = ready };
        if (has_waiting_refs(&mapping->entries[i]))
            st = settle_contract(task, store, &s);
        filled += s.filled;
    }
    struct settling left = { .keys = keys };
    if (st == STATUS_OK)
        st = store_write(task, store, count_left, &left);
    if (st != STATUS_OK)
        return st;
    *ret_filled = filled;
    *ret_left = left.filled;
    return STATUS_OK;
}
