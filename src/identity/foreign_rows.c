/* identity/foreign_rows.c - The table of links. */
#include "identity/foreign_rows.h"

#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/account.h"
#include "identity/room.h"

const struct slice identity__foreign_schema =
    SLICE_INIT("CREATE TABLE IF NOT EXISTS purlin_foreign_identities (\n"
               "  provider TEXT NOT NULL,\n"
               "  subject TEXT NOT NULL,\n"
               "  user_id BLOB NOT NULL CHECK (length(user_id) = 16),\n"
               "  email TEXT NOT NULL,\n"
               "  created_at INTEGER NOT NULL,\n"
               "  used_at INTEGER NOT NULL,\n"
               "  PRIMARY KEY (provider, subject),\n"
               "  UNIQUE (user_id, provider)\n"
               ") STRICT;\n");

static const char find_sql[] = "SELECT user_id FROM purlin_foreign_identities"
                               " WHERE provider = $1 AND subject = $2";
static const char list_sql[] = "SELECT provider, subject, email, created_at, used_at"
                               "  FROM purlin_foreign_identities"
                               " WHERE user_id = $1 ORDER BY created_at, provider LIMIT 32";
static const char put_sql[] =
    "INSERT INTO purlin_foreign_identities"
    " (provider, subject, user_id, email, created_at, used_at) VALUES ($1, $2, $3, $4, $5, $6)";
static const char used_sql[] = "UPDATE purlin_foreign_identities SET used_at = $1, email = $2"
                               " WHERE provider = $3 AND subject = $4";
static const char remove_sql[] =
    "DELETE FROM purlin_foreign_identities WHERE user_id = $1 AND provider = $2";
static const char forget_sql[] = "DELETE FROM purlin_foreign_identities WHERE user_id = $1";
static const char any_sql[] = "SELECT 1 FROM purlin_foreign_identities WHERE user_id = $1 LIMIT 1";

static struct uuid uuid_of(struct slice bytes)
{
    struct uuid id = { { 0 } };
    if (bytes.len == sizeof(id.bytes))
        memcpy(id.bytes, bytes.data, sizeof(id.bytes));
    return id;
}

enum status identity_foreign_find(struct task *task, struct identity *identity,
                                  struct slice provider, struct slice subject,
                                  struct uuid *ret_user)
{
    const struct store_value values[] = { store_text(provider), store_text(subject) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st =
        store_one(task, identity->store, IDENTITY__SQL(find_sql), values, ARRAY_LEN(values), &rows);
    if (st == STATUS_OK)
        *ret_user = uuid_of(store_rows_bytes(rows, 0));
    return st;
}

static enum status read_link(struct arena *arena, struct store_rows *rows,
                             struct identity_foreign_link *ret)
{
    enum status st = arena_copy(arena, store_rows_bytes(rows, 0), &ret->provider);
    if (st == STATUS_OK)
        st = arena_copy(arena, store_rows_bytes(rows, 1), &ret->subject);
    if (st == STATUS_OK)
        st = arena_copy(arena, store_rows_bytes(rows, 2), &ret->email);
    ret->created_us = store_rows_i64(rows, 3);
    ret->used_us = store_rows_i64(rows, 4);
    return st;
}

enum status identity_foreign_list(struct task *task, struct identity *identity,
                                  const struct uuid *user, struct identity_foreign_link **ret,
                                  unsigned *ret_len)
{
    const struct store_value value = identity__id(user);
    struct identity_foreign_link *links =
        arena_array_of(task_arena(task), struct identity_foreign_link, IDENTITY_FOREIGN_LINKS_MAX);
    unsigned len = 0;
    if (!links)
        return STATUS_EXHAUSTED;
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_query(task, identity->store, IDENTITY__SQL(list_sql), &value, 1, &rows);
    while (st == STATUS_OK && len < IDENTITY_FOREIGN_LINKS_MAX &&
           (st = store_rows_next(rows)) == STATUS_OK)
        st = read_link(task_arena(task), rows, &links[len++]);
    *ret = links;
    *ret_len = len;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

enum status identity_foreign_put(struct store_tx *tx, const struct uuid *user,
                                 const struct identity_foreign_link *link)
{
    const struct store_value values[] = {
        store_text(link->provider), store_text(link->subject),   identity__id(user),
        store_text(link->email),    store_i64(link->created_us), store_i64(link->created_us),
    };
    return store_tx_exec(tx, IDENTITY__SQL(put_sql), values, ARRAY_LEN(values), NULL);
}

enum status identity_foreign_used(struct store_tx *tx, const struct identity_foreign_link *link,
                                  int64_t now_us)
{
    const struct store_value values[] = { store_i64(now_us), store_text(link->email),
                                          store_text(link->provider), store_text(link->subject) };
    return store_tx_exec(tx, IDENTITY__SQL(used_sql), values, ARRAY_LEN(values), NULL);
}

static enum status has_other(struct store_tx *tx, const struct uuid *user, bool *ret)
{
    const struct store_value value = identity__id(user);
    struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, IDENTITY__SQL(any_sql), &value, 1, &rows);
    store_rows_close(rows);
    *ret = st == STATUS_OK;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

enum status identity_foreign_remove(struct store_tx *tx, struct identity *identity,
                                    const struct uuid *user, struct slice provider)
{
    const struct store_value values[] = { identity__id(user), store_text(provider) };
    struct identity_account account;
    int64_t changes = 0;
    bool is_left = false;
    enum status st =
        store_tx_exec(tx, IDENTITY__SQL(remove_sql), values, ARRAY_LEN(values), &changes);
    if (st == STATUS_OK && !changes)
        return STATUS_NOT_FOUND;
    if (st == STATUS_OK)
        st = identity_account_by_user_in(tx, identity, user, &account);
    if (st == STATUS_OK && !account.password.len && !account.has_passkey)
        st = has_other(tx, user, &is_left);
    else
        is_left = true;
    if (st != STATUS_OK)
        return st;
    return is_left ? STATUS_OK : STATUS_CONFLICT;
}

enum status identity_foreign_forget(struct store_tx *tx, const struct uuid *user)
{
    const struct store_value value = identity__id(user);
    return store_tx_exec(tx, IDENTITY__SQL(forget_sql), &value, 1, NULL);
}
