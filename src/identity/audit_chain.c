/*
 * identity/audit_chain.c - What a row's hash covers, and the two anchors of the chain.
 *
 * Each part is hashed with its length before it, in one order, so that no two rows hash alike. A
 * row's hash is no secret and stands in the row, so it cannot tell that nothing follows it: cutting
 * off the newest rows leaves a chain that is whole. So the newest row is named by an anchor, with a
 * code of its own that nobody makes without the key. The other anchor names the last row that was
 * pruned: the chain is verified from there on.
 *
 * The triggers keep mistakes away (a script, a hand at the SQL prompt). Whoever can write the file
 * drops them; that is what the hashes are for. Rows go only when the tail says so.
 */
#include <sodium.h>
#include <string.h>

#include "base/macros.h"
#include "identity/audit_private.h"

_Static_assert(IDENTITY_AUDIT_HASH_BYTES == crypto_generichash_BYTES, "BLAKE2b of 256 bits");

const struct slice identity__audit_schema = SLICE_INIT(
    "CREATE TABLE IF NOT EXISTS purlin_audit_keys (\n"
    "  generation INTEGER PRIMARY KEY,\n"
    "  sealed BLOB NOT NULL,\n"
    "  created_at INTEGER NOT NULL,\n"
    "  sealed_at INTEGER NOT NULL\n"
    ") STRICT;\n"
    "CREATE TABLE IF NOT EXISTS purlin_audit_anchors (\n"
    "  name TEXT PRIMARY KEY,\n"
    "  seq INTEGER NOT NULL,\n"
    "  generation INTEGER NOT NULL,\n"
    "  hash BLOB NOT NULL,\n"
    "  mac BLOB NOT NULL\n"
    ") STRICT;\n"
    "CREATE TABLE IF NOT EXISTS purlin_audit (\n"
    "  seq INTEGER PRIMARY KEY,\n"
    "  at INTEGER NOT NULL,\n"
    "  generation INTEGER NOT NULL,\n"
    "  act TEXT NOT NULL,\n"
    "  outcome TEXT NOT NULL,\n"
    "  actor TEXT NOT NULL,\n"
    "  actor_id TEXT NOT NULL,\n"
    "  subject_kind TEXT NOT NULL,\n"
    "  subject_id TEXT NOT NULL,\n"
    "  address TEXT NOT NULL,\n"
    "  agent TEXT NOT NULL,\n"
    "  request_id TEXT NOT NULL,\n"
    "  details TEXT NOT NULL,\n"
    "  hash BLOB NOT NULL\n"
    ") STRICT;\n"
    "CREATE INDEX IF NOT EXISTS purlin_audit__by_at ON purlin_audit (at, seq);\n"
    "CREATE INDEX IF NOT EXISTS purlin_audit__by_act ON purlin_audit (act, at, seq);\n"
    "CREATE INDEX IF NOT EXISTS purlin_audit__by_actor\n"
    "  ON purlin_audit (actor_id, at, seq) WHERE actor_id <> '';\n"
    "CREATE INDEX IF NOT EXISTS purlin_audit__by_subject\n"
    "  ON purlin_audit (subject_id, at, seq) WHERE subject_id <> '';\n"
    "CREATE TRIGGER IF NOT EXISTS purlin_audit__no_update BEFORE UPDATE ON purlin_audit\n"
    "BEGIN\n"
    "  SELECT RAISE(ABORT, 'the audit log is append-only');\n"
    "END;\n"
    "CREATE TRIGGER IF NOT EXISTS purlin_audit__no_delete BEFORE DELETE ON purlin_audit\n"
    "WHEN NOT EXISTS (SELECT 1 FROM purlin_audit_anchors WHERE name = 'tail' AND seq >= OLD.seq)\n"
    "BEGIN\n"
    "  SELECT RAISE(ABORT, 'the audit log is append-only');\n"
    "END;\n"
    /* INSERT OR REPLACE deletes without asking the trigger above. */
    "CREATE TRIGGER IF NOT EXISTS purlin_audit__no_replace BEFORE INSERT ON purlin_audit\n"
    "WHEN EXISTS (SELECT 1 FROM purlin_audit WHERE seq = NEW.seq)\n"
    "BEGIN\n"
    "  SELECT RAISE(ABORT, 'the audit log is append-only');\n"
    "END;\n"
    "CREATE TRIGGER IF NOT EXISTS purlin_audit_anchors__no_delete\n"
    "BEFORE DELETE ON purlin_audit_anchors\n"
    "BEGIN\n"
    "  SELECT RAISE(ABORT, 'the audit log is append-only');\n"
    "END;\n");

static const char write_anchor_sql[] =
    "INSERT INTO purlin_audit_anchors (name, seq, generation, hash, mac)"
    "  VALUES ($1, $2, $3, $4, $5)"
    "  ON CONFLICT (name) DO UPDATE"
    "    SET seq = excluded.seq, generation = excluded.generation, hash = excluded.hash,"
    "        mac = excluded.mac";

/* -- hashes
 * ------------------------------------------------------------------------------------------------
 */

static void hash_i64(crypto_generichash_state *state, int64_t value)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)((uint64_t)value >> (8 * i));
    (void)crypto_generichash_update(state, bytes, sizeof(bytes));
}

static void hash_part(crypto_generichash_state *state, struct slice part)
{
    hash_i64(state, (int64_t)part.len);
    (void)crypto_generichash_update(state, (const uint8_t *)part.data, part.len);
}

static void hash_begin(crypto_generichash_state *state, const struct identity__audit_key *key,
                       struct slice purpose)
{
    (void)crypto_generichash_init(state, key->bytes, sizeof(key->bytes), IDENTITY_AUDIT_HASH_BYTES);
    hash_part(state, purpose);
}

static void hash_end(crypto_generichash_state *state, uint8_t ret[IDENTITY_AUDIT_HASH_BYTES])
{
    (void)crypto_generichash_final(state, ret, IDENTITY_AUDIT_HASH_BYTES);
    sodium_memzero(state, sizeof(*state));
}

static struct slice hash_slice(const uint8_t hash[IDENTITY_AUDIT_HASH_BYTES])
{
    return slice_of((const char *)hash, IDENTITY_AUDIT_HASH_BYTES);
}

void identity__audit_row_hash(const struct identity__audit_key *key,
                              const uint8_t previous[IDENTITY_AUDIT_HASH_BYTES],
                              const struct identity_audit_row *row,
                              uint8_t ret_hash[IDENTITY_AUDIT_HASH_BYTES])
{
    const struct slice texts[] = {
        row->act,        row->outcome, row->actor, row->actor_id,   row->subject_kind,
        row->subject_id, row->address, row->agent, row->request_id, row->details,
    };
    crypto_generichash_state state;
    hash_begin(&state, key, SLICE("purlin audit row 1"));
    hash_part(&state, hash_slice(previous));
    hash_i64(&state, row->seq);
    hash_i64(&state, row->at_us);
    hash_i64(&state, row->generation);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        hash_part(&state, texts[i]);
    hash_end(&state, ret_hash);
}

void identity__audit_anchor_mac(const struct identity__audit_key *key, struct slice name,
                                const struct identity__audit_anchor *anchor,
                                uint8_t ret_mac[IDENTITY_AUDIT_HASH_BYTES])
{
    crypto_generichash_state state;
    hash_begin(&state, key, SLICE("purlin audit anchor 1"));
    hash_part(&state, name);
    hash_i64(&state, anchor->seq);
    hash_i64(&state, anchor->generation);
    hash_part(&state, hash_slice(anchor->hash));
    hash_end(&state, ret_mac);
}

/* -- anchors
 * -----------------------------------------------------------------------------------------------
 */

bool identity__audit_anchor_is_ours(const struct identity__audit_key *key, struct slice name,
                                    const struct identity__audit_anchor *anchor)
{
    uint8_t mac[IDENTITY_AUDIT_HASH_BYTES];
    identity__audit_anchor_mac(key, name, anchor, mac);
    return sodium_memcmp(mac, anchor->mac, sizeof(mac)) == 0;
}

static bool take_hash(const struct store_rows *rows, unsigned column,
                      uint8_t ret[IDENTITY_AUDIT_HASH_BYTES])
{
    struct slice bytes = store_rows_bytes(rows, column);
    if (bytes.len != IDENTITY_AUDIT_HASH_BYTES)
        return false;
    memcpy(ret, bytes.data, bytes.len);
    return true;
}

bool identity__audit_anchor_take(const struct store_rows *rows, unsigned column,
                                 struct identity__audit_anchor *ret_anchor)
{
    struct identity__audit_anchor anchor = { .seq = store_rows_i64(rows, column),
                                             .generation = store_rows_i64(rows, column + 1) };
    if (anchor.seq < 1 || !take_hash(rows, column + 2, anchor.hash) ||
        !take_hash(rows, column + 3, anchor.mac))
        return false;
    *ret_anchor = anchor;
    return true;
}

enum status identity__audit_anchor_write(struct store_tx *tx, struct identity_audit *audit,
                                         struct slice name, int64_t seq,
                                         const uint8_t hash[IDENTITY_AUDIT_HASH_BYTES])
{
    struct identity__audit_key key = identity__audit_key_current(audit);
    struct identity__audit_anchor anchor = { .seq = seq, .generation = key.generation };
    memcpy(anchor.hash, hash, sizeof(anchor.hash));
    identity__audit_anchor_mac(&key, name, &anchor, anchor.mac);
    sodium_memzero(&key, sizeof(key));
    const struct store_value values[] = {
        store_text(name),
        store_i64(anchor.seq),
        store_i64(anchor.generation),
        store_blob(hash_slice(anchor.hash)),
        store_blob(hash_slice(anchor.mac)),
    };
    return store_tx_exec(tx, slice_of(write_anchor_sql, sizeof(write_anchor_sql) - 1), values,
                         ARRAY_LEN(values), NULL);
}

/* -- rows
 * --------------------------------------------------------------------------------------------------
 */

bool identity__audit_row_take(const struct store_rows *rows, struct identity_audit_row *ret_row)
{
    struct identity_audit_row row = {
        .seq = store_rows_i64(rows, 0),
        .at_us = store_rows_i64(rows, 1),
        .generation = store_rows_i64(rows, 2),
        .act = store_rows_bytes(rows, 3),
        .outcome = store_rows_bytes(rows, 4),
        .actor = store_rows_bytes(rows, 5),
        .actor_id = store_rows_bytes(rows, 6),
        .subject_kind = store_rows_bytes(rows, 7),
        .subject_id = store_rows_bytes(rows, 8),
        .address = store_rows_bytes(rows, 9),
        .agent = store_rows_bytes(rows, 10),
        .request_id = store_rows_bytes(rows, 11),
        .details = store_rows_bytes(rows, 12),
    };
    bool has_hash = take_hash(rows, 13, row.hash);
    *ret_row = row;
    return has_hash;
}
