/* identity/oauth_consent.c - What people have agreed to. */
#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/oauth.h"
#include "identity/room.h"
#include "store/store.h"

static const char find_sql[] =
    "SELECT scope FROM purlin_oauth_consents WHERE user_id = $1 AND client_id = $2";
static const char put_sql[] =
    "INSERT INTO purlin_oauth_consents (user_id, client_id, scope, granted_at)"
    "  VALUES ($1, $2, $3, $4)"
    "  ON CONFLICT (user_id, client_id)"
    "  DO UPDATE SET scope = excluded.scope, granted_at = excluded.granted_at";

enum status identity_consent_is_given(struct task *task, struct identity *identity,
                                      const struct uuid *user, struct slice client_id,
                                      struct slice scope, bool *ret_given)
{
    const struct store_value values[] = { identity__id(user), store_text(client_id) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st =
        store_one(task, identity->store, IDENTITY__SQL(find_sql), values, ARRAY_LEN(values), &rows);
    *ret_given = st == STATUS_OK && identity_scope_is_within(scope, store_rows_bytes(rows, 0));
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* One that would make the list too long replaces what was agreed to before. */
static enum status join(struct store_tx *tx, struct slice before, struct slice scope,
                        struct slice *ret)
{
    struct buf b;
    buf_init(&b, store_tx_arena(tx), 256, 2 * IDENTITY_SCOPE_BYTES_MAX + 1);
    buf_put_slice(&b, scope);
    struct slice one;
    while (identity_scope_next(&before, &one)) {
        if (identity_scope_has(scope, one))
            continue;
        buf_putc(&b, ' ');
        buf_put_slice(&b, one);
    }
    *ret = identity_scope_is_list(buf_slice(&b)) ? buf_slice(&b) : scope;
    return buf_status(&b);
}

enum status identity_consent_put(struct store_tx *tx, const struct uuid *user,
                                 struct slice client_id, struct slice scope, int64_t now_us)
{
    struct slice before = SLICE_NULL, all;
    const struct store_value key[] = { identity__id(user), store_text(client_id) };
    struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, IDENTITY__SQL(find_sql), key, ARRAY_LEN(key), &rows);
    if (st == STATUS_OK) {
        st = arena_copy(store_tx_arena(tx), store_rows_bytes(rows, 0), &before);
        store_rows_close(rows);
    } else if (st == STATUS_NOT_FOUND) {
        st = STATUS_OK;
    }
    if (st == STATUS_OK)
        st = join(tx, before, scope, &all);
    if (st != STATUS_OK)
        return st;
    const struct store_value values[] = { key[0], key[1], store_text(all), store_i64(now_us) };
    return store_tx_exec(tx, IDENTITY__SQL(put_sql), values, ARRAY_LEN(values), NULL);
}
