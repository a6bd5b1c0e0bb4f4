/*
 * identity/mail_rows.c - What waits to be sent. Statements on one row by its key, and the due ones
 * by an index that also answers how many there are and how old.
 */
#include "identity/mail_rows.h"

#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/mail_private.h"
#include "store/store.h"

const struct slice identity__mail_rows_schema =
    SLICE_INIT("CREATE TABLE IF NOT EXISTS purlin_mail (\n"
               "  id TEXT PRIMARY KEY,\n"
               "  kind TEXT NOT NULL,\n"
               "  sealed BLOB NOT NULL,\n"
               "  attempts INTEGER NOT NULL,\n"
               "  claim TEXT,\n"
               "  next_at INTEGER NOT NULL,\n"
               "  created_at INTEGER NOT NULL,\n"
               "  expires_at INTEGER NOT NULL\n"
               ") STRICT;\n"
               "CREATE INDEX IF NOT EXISTS purlin_mail__due\n"
               "  ON purlin_mail (next_at, created_at);\n");

static const char put_sql[] =
    "INSERT INTO purlin_mail (id, kind, sealed, attempts, next_at, created_at, expires_at)"
    "  SELECT $1, $2, $3, 0, $4, $5, $6"
    "   WHERE (SELECT COUNT(*) FROM purlin_mail) < $7";
static const char due_sql[] = "SELECT id, kind, sealed, attempts, next_at, created_at, expires_at"
                              "  FROM purlin_mail"
                              " WHERE next_at <= $1"
                              " ORDER BY next_at, created_at"
                              " LIMIT $2";
static const char claim_sql[] = "UPDATE purlin_mail"
                                "   SET claim = $1, next_at = $2, attempts = attempts + 1"
                                " WHERE id = $3 AND next_at = $4";
static const char remove_sql[] = "DELETE FROM purlin_mail"
                                 " WHERE id = $1 AND claim = $2";
static const char retry_sql[] = "UPDATE purlin_mail"
                                "   SET claim = NULL, next_at = $1"
                                " WHERE id = $2 AND claim = $3";
/* Ids are in the order of time. Each part is one seek, but for the count. */
static const char look_sql[] = "SELECT (SELECT COUNT(*) FROM purlin_mail),"
                               "       (SELECT created_at FROM purlin_mail ORDER BY id LIMIT 1),"
                               "       (SELECT MIN(next_at) FROM purlin_mail)";

#define SQL(text) slice_of((text), sizeof(text) - 1)

/* -- the seal
 * --------------------------------------------------------------------------------------------------
 */

#define SEAL_VERSION 1
#define SEAL_OVERHEAD ((size_t)1 + crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES)
/* In the box: the id, two bytes of the address's length, the address, the message. */
#define INNER_HEAD ((size_t)18)
_Static_assert(crypto_secretbox_KEYBYTES == sizeof(struct identity_pepper), "one key");

void identity__mail_seal_init(struct identity__mail_seal *seal, struct slice secret,
                              struct slice previous)
{
    const struct slice purpose = SLICE("mail");
    seal->key = identity_pepper_of(secret, purpose);
    seal->has_previous = previous.len > 0;
    if (seal->has_previous)
        seal->previous = identity_pepper_of(previous, purpose);
}

void identity__mail_seal_wipe(struct identity__mail_seal *seal)
{
    sodium_memzero(seal, sizeof(*seal));
}

enum status identity__mail_seal_close(const struct identity__mail_seal *seal, const struct uuid *id,
                                      struct slice to, struct slice mime, struct arena *arena,
                                      struct slice *ret_sealed)
{
    size_t inner_len = INNER_HEAD + to.len + mime.len;
    uint8_t *inner = arena_alloc(arena, inner_len);
    uint8_t *sealed = arena_alloc(arena, inner_len + SEAL_OVERHEAD);
    if (!inner || !sealed)
        return STATUS_EXHAUSTED;
    memcpy(inner, id->bytes, sizeof(id->bytes));
    inner[16] = (uint8_t)(to.len >> 8);
    inner[17] = (uint8_t)(to.len & 0xff);
    memcpy(inner + INNER_HEAD, to.data, to.len);
    memcpy(inner + INNER_HEAD + to.len, mime.data, mime.len);
    uint8_t *nonce = sealed + 1;
    sealed[0] = SEAL_VERSION;
    random_bytes(nonce, crypto_secretbox_NONCEBYTES);
    (void)crypto_secretbox_easy(nonce + crypto_secretbox_NONCEBYTES, inner, inner_len, nonce,
                                seal->key.bytes);
    sodium_memzero(inner, inner_len);
    *ret_sealed = slice_of((const char *)sealed, inner_len + SEAL_OVERHEAD);
    return STATUS_OK;
}

enum status identity__mail_seal_open(const struct identity__mail_seal *seal, const struct uuid *id,
                                     struct slice sealed, struct arena *arena, struct slice *ret_to,
                                     struct slice *ret_mime)
{
    const uint8_t *bytes = (const uint8_t *)sealed.data;
    if (sealed.len < SEAL_OVERHEAD + INNER_HEAD || bytes[0] != SEAL_VERSION)
        return STATUS_UNAUTHENTICATED;
    const uint8_t *nonce = bytes + 1, *box = nonce + crypto_secretbox_NONCEBYTES;
    size_t inner_len = sealed.len - SEAL_OVERHEAD, box_len = inner_len + crypto_secretbox_MACBYTES;
    uint8_t *inner = arena_alloc(arena, inner_len);
    if (!inner)
        return STATUS_EXHAUSTED;
    if (crypto_secretbox_open_easy(inner, box, box_len, nonce, seal->key.bytes) != 0 &&
        (!seal->has_previous ||
         crypto_secretbox_open_easy(inner, box, box_len, nonce, seal->previous.bytes) != 0))
        return STATUS_UNAUTHENTICATED;
    size_t to_len = (size_t)inner[16] << 8 | inner[17];
    if (memcmp(inner, id->bytes, sizeof(id->bytes)) != 0 || to_len > inner_len - INNER_HEAD)
        return STATUS_UNAUTHENTICATED;
    *ret_to = slice_of((const char *)inner + INNER_HEAD, to_len);
    *ret_mime =
        slice_of((const char *)inner + INNER_HEAD + to_len, inner_len - INNER_HEAD - to_len);
    return STATUS_OK;
}

/* -- into the table
 * -------------------------------------------------------------------------------------------- */

static struct store_value id_value(const struct uuid *id, char text[UUID_TEXT_LEN])
{
    uuid_format(id, text);
    return store_text(slice_of(text, UUID_TEXT_LEN));
}

enum status identity_mail_put(struct store_tx *tx, const struct identity_mail_message *message)
{
    char id[UUID_TEXT_LEN];
    int64_t changes = 0;
    const struct store_value values[] = {
        id_value(&message->id, id),
        store_text(slice_cstr(identity_mail_kind_name(message->kind))),
        store_blob(message->sealed),
        store_i64(message->created_us),
        store_i64(message->created_us),
        store_i64(message->expires_us),
        store_i64(message->mail->queue_max),
    };
    enum status st = store_tx_exec(tx, SQL(put_sql), values, ARRAY_LEN(values), &changes);
    if (st != STATUS_OK || changes > 0)
        return st;
    st = store_tx_problem_set(tx, STATUS_EXHAUSTED, "identity/mail-full",
                              "Too many mails wait to be sent; try again later.");
    store_tx_problem(tx)->retry_after_us = IDENTITY__MAIL_FULL_RETRY_US;
    return st;
}

/* -- claims
 * ----------------------------------------------------------------------------------------------------
 */

static enum status take_row(struct arena *arena, const struct store_rows *rows,
                            struct identity__mail_row *ret_row)
{
    /* One of a newer version's kinds is sent by it, or by us as what it is: a sealed message. */
    *ret_row = (struct identity__mail_row){ .kind = IDENTITY_MAIL_TEST,
                                            .attempts = (unsigned)store_rows_i64(rows, 3) + 1,
                                            .next_us = store_rows_i64(rows, 4),
                                            .created_us = store_rows_i64(rows, 5),
                                            .expires_us = store_rows_i64(rows, 6) };
    (void)identity_mail_kind_find(store_rows_bytes(rows, 1), &ret_row->kind);
    if (!uuid_parse(store_rows_bytes(rows, 0), &ret_row->id))
        return STATUS_INTERNAL;
    return arena_copy(arena, store_rows_bytes(rows, 2), &ret_row->sealed);
}

static enum status read_due(struct task *task, struct store *store, int64_t now_us, unsigned max,
                            struct identity__mail_row *rows_out, unsigned *ret_len)
{
    const struct store_value values[] = { store_i64(now_us), store_i64(max) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    unsigned len = 0;
    enum status st = store_query(task, store, SQL(due_sql), values, ARRAY_LEN(values), &rows);
    while (st == STATUS_OK) {
        st = store_rows_next(rows);
        if (st == STATUS_NOT_FOUND) {
            *ret_len = len;
            return STATUS_OK;
        }
        if (st == STATUS_OK && len < max)
            st = take_row(task_arena(task), rows, &rows_out[len++]);
    }
    return st;
}

struct claiming {
    const struct uuid *claim;
    int64_t lease_us;
    struct identity__mail_row *rows;
    unsigned len;
};

static enum status write_claims(struct store_tx *tx, void *arg)
{
    struct claiming *c = arg;
    for (unsigned i = 0; i < c->len; i++) {
        char claim[UUID_TEXT_LEN], id[UUID_TEXT_LEN];
        int64_t changes = 0;
        const struct store_value values[] = { id_value(c->claim, claim), store_i64(c->lease_us),
                                              id_value(&c->rows[i].id, id),
                                              store_i64(c->rows[i].next_us) };
        enum status st = store_tx_exec(tx, SQL(claim_sql), values, ARRAY_LEN(values), &changes);
        if (st != STATUS_OK)
            return st;
        c->rows[i].is_ours = changes > 0;
    }
    return STATUS_OK;
}

enum status identity__mail_rows_claim(struct task *task, struct store *store,
                                      const struct uuid *claim, int64_t now_us, int64_t lease_us,
                                      unsigned max, struct identity__mail_row *ret_rows,
                                      unsigned *ret_len)
{
    struct claiming claiming = { .claim = claim, .lease_us = lease_us, .rows = ret_rows };
    enum status st =
        read_due(task, store, now_us, MIN(max, IDENTITY__MAIL_CLAIM_MAX), ret_rows, &claiming.len);
    if (st == STATUS_OK && claiming.len > 0)
        st = store_write(task, store, write_claims, &claiming);
    if (st == STATUS_OK)
        *ret_len = claiming.len;
    return st;
}

/* -- what became of it
 * ----------------------------------------------------------------------------------------- */

struct ending {
    const struct uuid *id, *claim;
    int64_t next_us, changes;
};

static enum status write_remove(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    char id[UUID_TEXT_LEN], claim[UUID_TEXT_LEN];
    const struct store_value values[] = { id_value(e->id, id), id_value(e->claim, claim) };
    return store_tx_exec(tx, SQL(remove_sql), values, ARRAY_LEN(values), &e->changes);
}

enum status identity__mail_rows_remove(struct task *task, struct store *store,
                                       const struct uuid *id, const struct uuid *claim,
                                       int64_t *ret_changes)
{
    struct ending ending = { .id = id, .claim = claim };
    enum status st = store_write(task, store, write_remove, &ending);
    *ret_changes = ending.changes;
    return st;
}

static enum status write_retry(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    char id[UUID_TEXT_LEN], claim[UUID_TEXT_LEN];
    const struct store_value values[] = { store_i64(e->next_us), id_value(e->id, id),
                                          id_value(e->claim, claim) };
    return store_tx_exec(tx, SQL(retry_sql), values, ARRAY_LEN(values), &e->changes);
}

enum status identity__mail_rows_retry(struct task *task, struct store *store, const struct uuid *id,
                                      const struct uuid *claim, int64_t next_us,
                                      int64_t *ret_changes)
{
    struct ending ending = { .id = id, .claim = claim, .next_us = next_us };
    enum status st = store_write(task, store, write_retry, &ending);
    *ret_changes = ending.changes;
    return st;
}

enum status identity__mail_rows_look(struct task *task, struct store *store,
                                     struct identity__mail_waiting *ret_waiting)
{
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(task, store, SQL(look_sql), NULL, 0, &rows);
    if (st != STATUS_OK)
        return st;
    *ret_waiting = (struct identity__mail_waiting){ .len = (unsigned)store_rows_i64(rows, 0),
                                                    .oldest_us = store_rows_i64(rows, 1),
                                                    .next_us = store_rows_i64(rows, 2) };
    return STATUS_OK;
}
