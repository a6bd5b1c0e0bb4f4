/* identity/passkey_rows.c - Passkeys in the store. */
#include "identity/passkey_rows.h"

#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/room.h"
#include "store/store.h"

const struct slice identity__passkey_schema =
    SLICE_INIT("CREATE TABLE IF NOT EXISTS purlin_passkeys (\n"
               "  id BLOB PRIMARY KEY CHECK (length(id) = 16),\n"
               "  user_id BLOB NOT NULL,\n"
               "  credential_id BLOB NOT NULL UNIQUE,\n"
               "  algorithm INTEGER NOT NULL,\n"
               "  public_key BLOB NOT NULL,\n"
               "  sign_count INTEGER NOT NULL,\n"
               "  transports TEXT NOT NULL,\n"
               "  aaguid BLOB NOT NULL,\n"
               "  name TEXT NOT NULL,\n"
               "  backup_eligible INTEGER NOT NULL,\n"
               "  backed_up INTEGER NOT NULL,\n"
               "  created_at INTEGER NOT NULL,\n"
               "  used_at INTEGER\n"
               ") STRICT;\n"
               "CREATE INDEX IF NOT EXISTS purlin_passkeys__by_user\n"
               "  ON purlin_passkeys (user_id, created_at);\n"

               /* Challenges that were answered, until they would have expired. */
               "CREATE TABLE IF NOT EXISTS purlin_passkey_challenges (\n"
               "  digest BLOB PRIMARY KEY,\n"
               "  expires_at INTEGER NOT NULL\n"
               ") STRICT, WITHOUT ROWID;\n"
               "CREATE INDEX IF NOT EXISTS purlin_passkey_challenges__by_expires_at\n"
               "  ON purlin_passkey_challenges (expires_at);\n");

/* -- reading
 * ---------------------------------------------------------------------------------------- */

#define COLUMNS                                                                                    \
    "SELECT id, user_id, credential_id, algorithm, public_key, sign_count, transports, aaguid,"    \
    " name, backup_eligible, backed_up, created_at, used_at FROM purlin_passkeys "
static const char by_credential_sql[] = COLUMNS "WHERE credential_id = $1";
static const char by_user_sql[] = COLUMNS "WHERE user_id = $1 ORDER BY created_at, id LIMIT 20";
_Static_assert(IDENTITY_PASSKEYS_MAX == 20, "as by_user_sql and insert_sql have it");

static bool take_bytes(const struct store_rows *rows, unsigned column, uint8_t *out, size_t len)
{
    struct slice bytes = store_rows_bytes(rows, column);
    if (bytes.len != len)
        return false;
    memcpy(out, bytes.data, len);
    return true;
}

static enum status take(struct arena *arena, const struct store_rows *rows,
                        struct identity_passkey *ret)
{
    *ret = (struct identity_passkey){
        .key = { .alg = (int)store_rows_i64(rows, 3) },
        .sign_count = (uint32_t)store_rows_i64(rows, 5),
        .backup_eligible = store_rows_i64(rows, 9) != 0,
        .backed_up = store_rows_i64(rows, 10) != 0,
        .created_us = store_rows_i64(rows, 11),
        .used_us = store_rows_i64(rows, 12),
    };
    ret->key.len = identity_public_key_len(ret->key.alg);
    if (!ret->key.len || !take_bytes(rows, 0, ret->id.bytes, sizeof(ret->id.bytes)) ||
        !take_bytes(rows, 1, ret->user.bytes, sizeof(ret->user.bytes)) ||
        !take_bytes(rows, 4, ret->key.bytes, ret->key.len) ||
        !take_bytes(rows, 7, ret->aaguid, sizeof(ret->aaguid)))
        return STATUS_INTERNAL;
    enum status st = arena_copy(arena, store_rows_bytes(rows, 2), &ret->credential_id);
    if (st == STATUS_OK)
        st = arena_copy(arena, store_rows_bytes(rows, 6), &ret->transports);
    return st == STATUS_OK ? arena_copy(arena, store_rows_bytes(rows, 8), &ret->name) : st;
}

enum status identity_passkey_find(struct task *task, struct identity *identity,
                                  struct slice credential_id, struct identity_passkey *ret)
{
    const struct store_value value = store_blob(credential_id);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st =
        store_one(task, identity->store, IDENTITY__SQL(by_credential_sql), &value, 1, &rows);
    return st == STATUS_OK ? take(task_arena(task), rows, ret) : st;
}

enum status identity_passkeys_read(struct task *task, struct identity *identity,
                                   const struct uuid *user, struct identity_passkey **ret,
                                   unsigned *ret_len)
{
    const struct store_value value = identity__id(user);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    struct identity_passkey *passkeys =
        arena_array_of(task_arena(task), struct identity_passkey, IDENTITY_PASSKEYS_MAX);
    unsigned len = 0;
    if (!passkeys)
        return STATUS_EXHAUSTED;
    enum status st =
        store_query(task, identity->store, IDENTITY__SQL(by_user_sql), &value, 1, &rows);
    while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK &&
           len < IDENTITY_PASSKEYS_MAX)
        st = take(task_arena(task), rows, &passkeys[len++]);
    if (st != STATUS_NOT_FOUND)
        return st;
    *ret = passkeys;
    *ret_len = len;
    return STATUS_OK;
}

/* -- writing
 * ---------------------------------------------------------------------------------------- */

static const char insert_sql[] =
    "INSERT INTO purlin_passkeys"
    "  (id, user_id, credential_id, algorithm, public_key, sign_count, transports, aaguid, name,"
    "   backup_eligible, backed_up, created_at)"
    "  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12"
    "   WHERE (SELECT COUNT(*) FROM purlin_passkeys WHERE user_id = $13) < 20";
/* A copy of an authenticator counts on its own, so one of the two repeats a number. */
static const char used_sql[] = "UPDATE purlin_passkeys"
                               "   SET sign_count = $1, backed_up = $2, used_at = $3"
                               " WHERE id = $4"
                               "   AND (sign_count < $5 OR (sign_count = 0 AND $6 = 0))";
static const char is_there_sql[] = "SELECT 1 FROM purlin_passkeys WHERE id = $1";
static const char rename_sql[] = "UPDATE purlin_passkeys SET name = $1"
                                 " WHERE id = $2 AND user_id = $3";
static const char remove_sql[] = "DELETE FROM purlin_passkeys WHERE id = $1 AND user_id = $2";

static struct store_value bytes_value(const uint8_t *bytes, size_t len)
{
    return store_blob(slice_of((const char *)bytes, len));
}

/* NOT_FOUND when no row was changed. */
static enum status exec_one(struct store_tx *tx, struct slice sql, const struct store_value *values,
                            unsigned len)
{
    int64_t changes = 0;
    enum status st = store_tx_exec(tx, sql, values, len, &changes);
    return st == STATUS_OK && changes == 0 ? STATUS_NOT_FOUND : st;
}

enum status identity_passkey_put(struct store_tx *tx, const struct identity_passkey *passkey)
{
    const struct store_value values[] = {
        identity__id(&passkey->id),
        identity__id(&passkey->user),
        store_blob(passkey->credential_id),
        store_i64(passkey->key.alg),
        bytes_value(passkey->key.bytes, passkey->key.len),
        store_i64(passkey->sign_count),
        store_text(passkey->transports),
        bytes_value(passkey->aaguid, sizeof(passkey->aaguid)),
        store_text(passkey->name),
        store_i64(passkey->backup_eligible),
        store_i64(passkey->backed_up),
        store_i64(passkey->created_us),
        identity__id(&passkey->user),
    };
    enum status st = exec_one(tx, IDENTITY__SQL(insert_sql), values, ARRAY_LEN(values));
    return st == STATUS_NOT_FOUND ? STATUS_TOO_LARGE : st;
}

enum status identity_passkey_used(struct store_tx *tx, const struct uuid *id, uint32_t sign_count,
                                  bool backed_up, int64_t now_us)
{
    const struct store_value values[] = {
        store_i64(sign_count), store_i64(backed_up),  store_i64(now_us),
        identity__id(id),      store_i64(sign_count), store_i64(sign_count),
    };
    enum status st = exec_one(tx, IDENTITY__SQL(used_sql), values, ARRAY_LEN(values));
    if (st != STATUS_NOT_FOUND)
        return st;
    struct store_rows *rows = NULL;
    st = store_tx_one(tx, IDENTITY__SQL(is_there_sql), &values[3], 1, &rows);
    store_rows_close(rows);
    return st == STATUS_OK ? STATUS_UNAUTHENTICATED : st;
}

enum status identity_passkey_rename(struct store_tx *tx, const struct uuid *user,
                                    const struct uuid *id, struct slice name)
{
    const struct store_value values[] = { store_text(name), identity__id(id), identity__id(user) };
    return exec_one(tx, IDENTITY__SQL(rename_sql), values, ARRAY_LEN(values));
}

enum status identity_passkey_remove(struct store_tx *tx, const struct uuid *user,
                                    const struct uuid *id)
{
    const struct store_value values[] = { identity__id(id), identity__id(user) };
    return exec_one(tx, IDENTITY__SQL(remove_sql), values, ARRAY_LEN(values));
}
