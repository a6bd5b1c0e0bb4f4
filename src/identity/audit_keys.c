/*
 * identity/audit_keys.c - The keys that the audit log is chained by.
 *
 * A key is random and stands in the database, sealed by a key that comes from the installation's
 * secret. When the secret changes, all of them are sealed anew, so the chain is verified from its
 * first row on however often that happens; and an hour later a new key begins, because whoever had
 * the old secret may have the old keys. What was written before is safe from them all the same: the
 * first row under the new key covers the hash of the last one under the old. The hour lets other
 * processes, which may still run with the old secret, end: they cannot open the new key.
 */
#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "fiber/task.h"
#include "identity/audit_private.h"

#define BEGIN_AFTER_US CLOCK_HOUR
#define SEALED_BYTES (crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + 32u)

_Static_assert(crypto_secretbox_KEYBYTES == sizeof(struct identity_pepper), "one key");

static const char read_sql[] = "SELECT generation, sealed, created_at, sealed_at"
                               "  FROM purlin_audit_keys"
                               " ORDER BY generation"
                               " LIMIT 33";
_Static_assert(IDENTITY__AUDIT_KEYS_MAX == 32, "as read_sql and insert_sql have it");

/* Nothing when another process was faster, or one more could not be read. */
static const char insert_sql[] = "INSERT INTO purlin_audit_keys"
                                 "  (generation, sealed, created_at, sealed_at)"
                                 "  SELECT $1, $2, $3, $3"
                                 "   WHERE (SELECT COUNT(*) FROM purlin_audit_keys) < 32"
                                 "  ON CONFLICT DO NOTHING";

#define SQL(text) slice_of((text), sizeof(text) - 1)

/* -- the seal
 * ---------------------------------------------------------------------------------------------- */

static void seal_close(const struct identity_audit *audit, const uint8_t key[32],
                       uint8_t out[SEALED_BYTES])
{
    random_bytes(out, crypto_secretbox_NONCEBYTES);
    (void)crypto_secretbox_easy(out + crypto_secretbox_NONCEBYTES, key, 32, out, audit->seal.bytes);
}

static void seal_open(const struct identity_audit *audit, struct slice sealed,
                      struct identity__audit_key *key)
{
    key->is_lost = true;
    if (sealed.len != SEALED_BYTES)
        return;
    const uint8_t *nonce = (const uint8_t *)sealed.data;
    const uint8_t *box = nonce + crypto_secretbox_NONCEBYTES;
    const size_t box_len = SEALED_BYTES - crypto_secretbox_NONCEBYTES;
    if (crypto_secretbox_open_easy(key->bytes, box, box_len, nonce, audit->seal.bytes) == 0) {
        key->is_lost = false;
    } else if (audit->has_previous && crypto_secretbox_open_easy(key->bytes, box, box_len, nonce,
                                                                 audit->seal_previous.bytes) == 0) {
        key->is_lost = false;
        key->is_sealed_with_previous = true;
    }
}

/* -- reading
 * -----------------------------------------------------------------------------------------------
 */

struct reader {
    struct identity_audit *audit;
    struct identity__audit_keys keys;
    bool is_malformed;
};

static enum status take_row(void *arg, struct store_rows *rows)
{
    struct reader *reader = arg;
    struct identity__audit_key key = { .generation = store_rows_i64(rows, 0),
                                       .created_us = store_rows_i64(rows, 2),
                                       .sealed_us = store_rows_i64(rows, 3) };
    if (reader->keys.len == IDENTITY__AUDIT_KEYS_MAX) {
        reader->is_malformed = true;
        return STATUS_OK;
    }
    seal_open(reader->audit, store_rows_bytes(rows, 1), &key);
    reader->keys.items[reader->keys.len++] = key;
    sodium_memzero(&key, sizeof(key));
    return STATUS_OK;
}

static enum status read_blocking(struct reader *reader, struct arena *arena,
                                 struct problem *problem)
{
    reader->keys.len = 0;
    enum status st = store_read_blocking(reader->audit->store, SQL(read_sql), NULL, 0, arena,
                                         problem, take_row, reader);
    if (st == STATUS_OK && reader->is_malformed)
        st = problem_put(problem, arena, __FILE__, __LINE__, STATUS_INTERNAL, "identity/audit-keys",
                         "There are more keys of the audit log than %u.", IDENTITY__AUDIT_KEYS_MAX);
    return st;
}

static void publish(struct identity_audit *audit, struct identity__audit_keys *keys)
{
    (void)pthread_mutex_lock(&audit->lock);
    audit->keys = *keys;
    (void)pthread_mutex_unlock(&audit->lock);
    sodium_memzero(keys, sizeof(*keys));
}

/* Of rows that are open already; what was read replaces what is known. */
static enum status read_rows(struct identity_audit *audit, struct store_rows *rows)
{
    struct reader reader = { .audit = audit };
    enum status st;
    while ((st = store_rows_next(rows)) == STATUS_OK)
        (void)take_row(&reader, rows);
    if (st == STATUS_NOT_FOUND)
        publish(audit, &reader.keys);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* -- finding
 * -----------------------------------------------------------------------------------------------
 */

static bool find_known(struct identity_audit *audit, int64_t generation,
                       struct identity__audit_key *ret_key)
{
    bool is_known = false;
    (void)pthread_mutex_lock(&audit->lock);
    for (unsigned i = 0; i < audit->keys.len; i++) {
        const struct identity__audit_key *key = &audit->keys.items[i];
        if (key->generation == generation && !key->is_lost) {
            *ret_key = *key;
            is_known = true;
        }
    }
    (void)pthread_mutex_unlock(&audit->lock);
    return is_known;
}

enum status identity__audit_key_find(struct store_tx *tx, struct identity_audit *audit,
                                     int64_t generation, struct identity__audit_key *ret_key)
{
    if (find_known(audit, generation, ret_key))
        return STATUS_OK;
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_query(tx, SQL(read_sql), NULL, 0, &rows);
    if (st == STATUS_OK)
        st = read_rows(audit, rows);
    if (st != STATUS_OK)
        return st;
    return find_known(audit, generation, ret_key) ? STATUS_OK : STATUS_NOT_FOUND;
}

enum status identity__audit_key_find_task(struct task *task, struct identity_audit *audit,
                                          int64_t generation, struct identity__audit_key *ret_key)
{
    if (find_known(audit, generation, ret_key))
        return STATUS_OK;
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_query(task, audit->store, SQL(read_sql), NULL, 0, &rows);
    if (st == STATUS_OK)
        st = read_rows(audit, rows);
    if (st != STATUS_OK)
        return st;
    return find_known(audit, generation, ret_key) ? STATUS_OK : STATUS_NOT_FOUND;
}

struct identity__audit_key identity__audit_key_current(struct identity_audit *audit)
{
    struct identity__audit_key key = { 0 };
    (void)pthread_mutex_lock(&audit->lock);
    for (unsigned i = 0; i < audit->keys.len; i++)
        if (!audit->keys.items[i].is_lost)
            key = audit->keys.items[i];
    (void)pthread_mutex_unlock(&audit->lock);
    return key;
}

/* -- opening
 * -----------------------------------------------------------------------------------------------
 */

static void put_sealed(const struct identity_audit *audit, const uint8_t key[32], struct buf *sql)
{
    uint8_t sealed[SEALED_BYTES];
    seal_close(audit, key, sealed);
    buf_put_lit(sql, "X'");
    buf_put_hex(sql, sealed, sizeof(sealed));
    buf_putc(sql, '\'');
}

/* Before there are tasks only scripts can write, and they take no values: these are all ours. */
static void put_insert(const struct identity_audit *audit, int64_t generation, int64_t now_us,
                       struct buf *sql)
{
    uint8_t fresh[32];
    random_bytes(fresh, sizeof(fresh));
    buf_printf(sql,
               "INSERT INTO purlin_audit_keys (generation, created_at, sealed_at, sealed)"
               " SELECT %lld, %lld, %lld, ",
               (long long)generation, (long long)now_us, (long long)now_us);
    put_sealed(audit, fresh, sql);
    buf_printf(sql,
               " WHERE (SELECT COUNT(*) FROM purlin_audit_keys) < %u ON CONFLICT DO NOTHING;\n",
               IDENTITY__AUDIT_KEYS_MAX);
    sodium_memzero(fresh, sizeof(fresh));
}

static void put_reseal(const struct identity_audit *audit, const struct identity__audit_key *key,
                       int64_t now_us, struct buf *sql)
{
    buf_printf(sql, "UPDATE purlin_audit_keys SET sealed_at = %lld, sealed = ", (long long)now_us);
    put_sealed(audit, key->bytes, sql);
    buf_printf(sql, " WHERE generation = %lld;\n", (long long)key->generation);
}

static const struct identity__audit_key *find_lost(const struct identity__audit_keys *keys)
{
    for (unsigned i = 0; i < keys->len; i++)
        if (keys->items[i].is_lost)
            return &keys->items[i];
    return NULL;
}

/* What has to be written before the log can be used: a first key, one that replaces what is lost,
 * keys sealed with the secret of now. */
static void put_changes(struct identity_audit *audit, const struct identity__audit_keys *keys,
                        int64_t now_us, struct buf *sql)
{
    int64_t newest = 0;
    bool newest_is_lost = true;
    for (unsigned i = 0; i < keys->len; i++) {
        newest = keys->items[i].generation;
        newest_is_lost = keys->items[i].is_lost;
        if (keys->items[i].is_sealed_with_previous)
            put_reseal(audit, &keys->items[i], now_us, sql);
    }
    if (newest_is_lost)
        put_insert(audit, newest + 1, now_us, sql);
}

static enum status refuse_lost(const struct identity__audit_key *lost, struct arena *arena,
                               struct problem *problem)
{
    return problem_put(problem, arena, __FILE__, __LINE__, STATUS_UNAUTHENTICATED,
                       "identity/audit-sealed",
                       "Key %lld of the audit log is sealed with another secret. Set the one it "
                       "was sealed with as secret_previous (before a secret was configured, the "
                       "database's own: value in purlin_settings where name is secret), or have "
                       "lost keys replaced (audit.lost_keys).",
                       (long long)lost->generation);
}

enum status identity__audit_keys_open(struct identity_audit *audit, bool replace_lost,
                                      struct arena *arena, struct problem *problem)
{
    struct reader reader = { .audit = audit };
    enum status st = read_blocking(&reader, arena, problem);
    if (st == STATUS_OK && audit->is_read_only) {
        /* What cannot be opened is told where a row of it is met. */
        publish(audit, &reader.keys);
        return STATUS_OK;
    }
    const struct identity__audit_key *lost = find_lost(&reader.keys);
    if (st == STATUS_OK && lost && !replace_lost)
        st = refuse_lost(lost, arena, problem);
    if (st == STATUS_OK && lost)
        log_warn("identity.audit_key_lost", LOG_I64("generation", lost->generation));
    if (st != STATUS_OK)
        return st;
    struct buf sql;
    buf_init(&sql, arena, 1024, (size_t)64 * 1024);
    put_changes(audit, &reader.keys, clock_wall_us(), &sql);
    st = buf_status(&sql);
    if (st == STATUS_OK && sql.len > 0) {
        st = store_script(audit->store, buf_slice(&sql), arena, problem);
        if (st == STATUS_OK)
            st = read_blocking(&reader, arena, problem);
    }
    if (st == STATUS_OK)
        publish(audit, &reader.keys);
    if (st == STATUS_OK && identity__audit_key_current(audit).generation == 0)
        st = problem_put(
            problem, arena, __FILE__, __LINE__, STATUS_EXHAUSTED, "identity/audit-keys",
            "The audit log has %u keys, and none can be opened.", IDENTITY__AUDIT_KEYS_MAX);
    return st;
}

/* -- a new key
 * --------------------------------------------------------------------------------------------- */

struct beginning {
    int64_t generation, now_us;
    uint8_t sealed[SEALED_BYTES];
    int64_t changes;
};

static enum status write_beginning(struct store_tx *tx, void *arg)
{
    struct beginning *b = arg;
    const struct store_value values[] = {
        store_i64(b->generation),
        store_blob(slice_of((const char *)b->sealed, sizeof(b->sealed))),
        store_i64(b->now_us),
    };
    return store_tx_exec(tx, SQL(insert_sql), values, ARRAY_LEN(values), &b->changes);
}

/* Nothing is chained by the new key before it is on disk: a row by a key that a failed commit took
 * away again would never be verified. */
enum status identity__audit_keys_upkeep(struct task *task, struct identity_audit *audit,
                                        int64_t now_us)
{
    struct identity__audit_key key = identity__audit_key_current(audit);
    struct beginning b = { .generation = key.generation + 1, .now_us = now_us };
    bool is_due = key.sealed_us > key.created_us && now_us >= key.sealed_us + BEGIN_AFTER_US;
    sodium_memzero(&key, sizeof(key));
    if (!is_due)
        return STATUS_OK;
    uint8_t fresh[32];
    random_bytes(fresh, sizeof(fresh));
    seal_close(audit, fresh, b.sealed);
    sodium_memzero(fresh, sizeof(fresh));
    enum status st = store_write(task, audit->store, write_beginning, &b);
    if (st != STATUS_OK)
        return st;
    st = identity__audit_key_find_task(task, audit, b.generation, &key);
    sodium_memzero(&key, sizeof(key));
    if (st == STATUS_NOT_FOUND) {
        /* There is no place for one more, or another process has begun one with another secret. */
        log_warn("identity.audit_key_refused", LOG_I64("generation", b.generation));
        return STATUS_OK;
    }
    if (st != STATUS_OK || b.changes == 0)
        return st;
    return identity_audit_write(task, audit,
                                &(struct identity_audit_event){ .act = IDENTITY_AUDIT_KEY_BEGAN,
                                                                .actor = IDENTITY_AUDIT_SYSTEM });
}
