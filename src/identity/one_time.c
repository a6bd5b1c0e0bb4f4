/* identity/one_time.c - Secrets that are used once, in the store. */
#include "identity/one_time.h"

#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/room.h"
#include "store/store.h"

static const char *const purpose_names[IDENTITY_PURPOSES] = {
    [IDENTITY_FOR_VERIFY] = "verify",   [IDENTITY_FOR_RECOVER] = "recover",
    [IDENTITY_FOR_MAGIC] = "magic",     [IDENTITY_FOR_EMAIL] = "email",
    [IDENTITY_FOR_MFA] = "mfa",         [IDENTITY_FOR_INVITE] = "invite",
    [IDENTITY_FOR_RESTORE] = "restore",
};

const char *identity_purpose_name(enum identity_purpose purpose)
{
    return purpose_names[purpose];
}

static struct store_value purpose_value(enum identity_purpose purpose)
{
    return store_text(slice_cstr(purpose_names[purpose]));
}

static struct store_value digest_value(const struct identity_digest *digest)
{
    return store_blob(slice_of((const char *)digest->bytes, sizeof(digest->bytes)));
}

/* -- making
 * -------------------------------------------------------------------------------------------- */

void identity_one_time_wipe(struct identity_one_time *once)
{
    identity_secret_wipe(&once->link);
    sodium_memzero(once->code, sizeof(once->code));
}

enum status identity_one_time_prepare(enum identity_purpose purpose, const struct uuid *owner,
                                      bool with_code, int64_t expires_us,
                                      struct identity_one_time *ret)
{
    *ret = (struct identity_one_time){ .id = uuid_v7(),
                                       .purpose = purpose,
                                       .owner = *owner,
                                       .has_code = with_code,
                                       .expires_us = expires_us };
    if (with_code)
        identity_code_make(ret->code);
    return identity_secret_make(SLICE(IDENTITY_ONE_TIME_PREFIX), &ret->link);
}

static struct slice owner_text(const struct uuid *owner)
{
    return slice_of((const char *)owner->bytes, sizeof(owner->bytes));
}

static struct identity_digest digest_code(const struct identity *identity, unsigned secret,
                                          enum identity_purpose purpose, const struct uuid *owner,
                                          struct slice code)
{
    return identity_digest_keyed(&identity->code_keys[secret], slice_cstr(purpose_names[purpose]),
                                 owner_text(owner), code);
}

static const char replace_sql[] = "DELETE FROM purlin_one_time"
                                  " WHERE owner = $1 AND purpose = $2";
static const char insert_sql[] =
    "INSERT INTO purlin_one_time"
    "  (id, purpose, owner, link_digest, code_digest, data, created_at, expires_at)"
    "  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

enum status identity_one_time_put(struct store_tx *tx, struct identity *identity,
                                  const struct identity_one_time *once, int64_t now_us)
{
    struct identity_digest link = identity_secret_digest(identity_secret_text(&once->link)), code;
    const struct store_value earlier[] = { identity__id(&once->owner),
                                           purpose_value(once->purpose) };
    /* Several sign-ins may be under way at once. */
    if (once->purpose != IDENTITY_FOR_MFA) {
        enum status st =
            store_tx_exec(tx, IDENTITY__SQL(replace_sql), earlier, ARRAY_LEN(earlier), NULL);
        if (st != STATUS_OK)
            return st;
    }
    if (once->has_code)
        code = digest_code(identity, 0, once->purpose, &once->owner,
                           slice_of(once->code, sizeof(once->code)));
    const struct store_value values[] = {
        identity__id(&once->id),
        purpose_value(once->purpose),
        identity__id(&once->owner),
        digest_value(&link),
        once->has_code ? digest_value(&code) : store_null(),
        once->data.len ? store_text(once->data) : store_null(),
        store_i64(now_us),
        store_i64(once->expires_us),
    };
    return store_tx_exec(tx, IDENTITY__SQL(insert_sql), values, ARRAY_LEN(values), NULL);
}

/* -- using
 * -------------------------------------------------------------------------------------------- */

#define COLUMNS "SELECT id, owner, data, expires_at, attempts, code_digest FROM purlin_one_time "
static const char by_link_sql[] =
    COLUMNS "WHERE link_digest = $1 AND purpose = $2 AND expires_at > $3";
static const char by_owner_sql[] =
    COLUMNS "WHERE owner = $1 AND purpose = $2 AND expires_at > $3 AND code_digest IS NOT NULL";
static const char delete_sql[] = "DELETE FROM purlin_one_time WHERE id = $1";
static const char failed_sql[] = "UPDATE purlin_one_time SET attempts = attempts + 1 WHERE id = $1";
static const char spent_sql[] = "DELETE FROM purlin_one_time WHERE id = $1 AND attempts >= 5";
_Static_assert(IDENTITY_ONE_TIME_TRIES == 5, "as spent_sql has it");
static const char purge_sql[] = "DELETE FROM purlin_one_time WHERE expires_at < $1";

/* What was stored of its code; all zero when it has none. */
struct found {
    struct identity_digest code;
};

static enum status take(struct arena *arena, const struct store_rows *rows,
                        enum identity_purpose purpose, struct identity_one_time *ret,
                        struct found *ret_found)
{
    struct slice id = store_rows_bytes(rows, 0), owner = store_rows_bytes(rows, 1);
    struct slice code = store_rows_bytes(rows, 5);
    *ret = (struct identity_one_time){ .purpose = purpose,
                                       .expires_us = store_rows_i64(rows, 3),
                                       .has_code = code.len == sizeof(ret_found->code.bytes) };
    if (id.len != sizeof(ret->id.bytes) || owner.len != sizeof(ret->owner.bytes))
        return STATUS_INTERNAL;
    memcpy(ret->id.bytes, id.data, id.len);
    memcpy(ret->owner.bytes, owner.data, owner.len);
    if (ret->has_code)
        memcpy(ret_found->code.bytes, code.data, code.len);
    return arena_copy(arena, store_rows_bytes(rows, 2), &ret->data);
}

static enum status find(struct store_tx *tx, enum identity_purpose purpose, struct slice sql,
                        struct store_value key, int64_t now_us, struct identity_one_time *ret,
                        struct found *ret_found)
{
    const struct store_value values[] = { key, purpose_value(purpose), store_i64(now_us) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, sql, values, ARRAY_LEN(values), &rows);
    return st == STATUS_OK ? take(store_tx_arena(tx), rows, purpose, ret, ret_found) : st;
}

static enum status remove_one(struct store_tx *tx, const struct uuid *id)
{
    const struct store_value value = identity__id(id);
    return store_tx_exec(tx, IDENTITY__SQL(delete_sql), &value, 1, NULL);
}

enum status identity_one_time_see_link(struct store_tx *tx, enum identity_purpose purpose,
                                       struct slice link, int64_t now_us,
                                       struct identity_one_time *ret)
{
    struct identity_digest digest;
    struct found found;
    if (identity_secret_read(link, SLICE(IDENTITY_ONE_TIME_PREFIX), &digest) != STATUS_OK)
        return STATUS_NOT_FOUND;
    return find(tx, purpose, IDENTITY__SQL(by_link_sql), digest_value(&digest), now_us, ret,
                &found);
}

enum status identity_one_time_find_link(struct task *task, struct identity *identity,
                                        enum identity_purpose purpose, struct slice link,
                                        int64_t now_us, struct identity_one_time *ret)
{
    struct identity_digest digest;
    struct found found;
    if (identity_secret_read(link, SLICE(IDENTITY_ONE_TIME_PREFIX), &digest) != STATUS_OK)
        return STATUS_NOT_FOUND;
    const struct store_value values[] = { digest_value(&digest), purpose_value(purpose),
                                          store_i64(now_us) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(task, identity->store, IDENTITY__SQL(by_link_sql), values,
                               ARRAY_LEN(values), &rows);
    return st == STATUS_OK ? take(task_arena(task), rows, purpose, ret, &found) : st;
}

enum status identity_one_time_take_link(struct store_tx *tx, enum identity_purpose purpose,
                                        struct slice link, int64_t now_us,
                                        struct identity_one_time *ret)
{
    enum status st = identity_one_time_see_link(tx, purpose, link, now_us, ret);
    return st == STATUS_OK ? remove_one(tx, &ret->id) : st;
}

enum status identity_one_time_failed(struct store_tx *tx, const struct uuid *id)
{
    const struct store_value value = identity__id(id);
    enum status st = store_tx_exec(tx, IDENTITY__SQL(failed_sql), &value, 1, NULL);
    return st == STATUS_OK ? store_tx_exec(tx, IDENTITY__SQL(spent_sql), &value, 1, NULL) : st;
}

enum status identity_one_time_take_code(struct store_tx *tx, struct identity *identity,
                                        enum identity_purpose purpose, const struct uuid *owner,
                                        struct slice code, int64_t now_us,
                                        struct identity_one_time *ret)
{
    char digits[IDENTITY_CODE_LEN];
    struct found found;
    if (identity_code_read(code, digits) != STATUS_OK)
        return STATUS_NOT_FOUND;
    enum status st =
        find(tx, purpose, IDENTITY__SQL(by_owner_sql), identity__id(owner), now_us, ret, &found);
    if (st != STATUS_OK)
        return st;
    bool is_right = false;
    for (unsigned i = 0; i < identity->secrets_len; i++) {
        struct identity_digest digest =
            digest_code(identity, i, purpose, owner, slice_of(digits, sizeof(digits)));
        is_right |= identity_digest_eq(&digest, &found.code);
    }
    if (is_right)
        return remove_one(tx, &ret->id);
    st = identity_one_time_failed(tx, &ret->id);
    return st == STATUS_OK ? STATUS_NOT_FOUND : st;
}

enum status identity_one_time_purge(struct store_tx *tx, int64_t now_us)
{
    const struct store_value now = store_i64(now_us);
    return store_tx_exec(tx, IDENTITY__SQL(purge_sql), &now, 1, NULL);
}
