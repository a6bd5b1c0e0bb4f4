/* identity/account_named.c - An account by what somebody at the machine calls it. */
#include <string.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/account.h"
#include "identity/room.h"
#include "store/store.h"

#define NEAR_MAX 200u

static const char by_id_sql[] =
    "SELECT user_id, disabled_at, delete_at FROM purlin_accounts WHERE user_id = $1";
static const char by_email_sql[] =
    "SELECT user_id, disabled_at, delete_at FROM purlin_accounts WHERE email_key = $1";
/* People mistype the end of an address more than its first letter. */
static const char near_sql[] = "SELECT email_key FROM purlin_accounts"
                               " WHERE email_key >= $1 AND email_key < $2"
                               " ORDER BY email_key LIMIT 200";
_Static_assert(NEAR_MAX == 200, "as near_sql has it");

enum status identity_accounts_make(struct store *store, struct arena *arena,
                                   struct problem *problem)
{
    return store_script(store, identity__schema, arena, problem);
}

/* Those that begin with the same letter; none when it cannot be said. */
static struct slice nearest(struct task *task, struct store *store, struct slice key)
{
    struct arena *arena = task_arena(task);
    struct slice *names = arena_array_of(arena, struct slice, NEAR_MAX);
    char first = key.len ? key.data[0] : '\0', after = (char)(first + 1);
    const struct store_value values[] = { store_text(slice_of(&first, 1)),
                                          store_text(slice_of(&after, 1)) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    unsigned len = 0;
    if (!names || first <= ' ' || first >= '~')
        return SLICE("");
    enum status st =
        store_query(task, store, IDENTITY__SQL(near_sql), values, ARRAY_LEN(values), &rows);
    while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK && len < NEAR_MAX)
        if (arena_copy(arena, store_rows_bytes(rows, 0), &names[len]) == STATUS_OK)
            len++;
    return diag_suggest(arena, key, names, len);
}

static enum status find(struct task *task, struct store *store, const struct uuid *id,
                        struct slice key, struct store_rows **ret_rows)
{
    const struct store_value value = id ? identity__id(id) : store_text(key);
    return store_one(task, store, id ? IDENTITY__SQL(by_id_sql) : IDENTITY__SQL(by_email_sql),
                     &value, 1, ret_rows);
}

enum status identity_account_named(struct task *task, struct store *store, struct slice name,
                                   struct uuid *ret_user)
{
    struct uuid id;
    struct slice key = SLICE("");
    bool is_id = uuid_parse(name, &id);
    if (!is_id && identity_email_key(task_arena(task), name, &key) != STATUS_OK)
        return problem_set(task, STATUS_INVALID, "identity/no-account",
                           "%.*s is neither an address nor the id of a person.", SLICE_ARG(name));
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = find(task, store, is_id ? &id : NULL, key, &rows);
    if (st == STATUS_NOT_FOUND) {
        struct slice near = is_id ? SLICE("") : nearest(task, store, key);
        return problem_set(task, st, "identity/no-account", "There is no account %.*s.%s%.*s",
                           SLICE_ARG(name), near.len ? " " : "", SLICE_ARG(near));
    }
    if (st != STATUS_OK)
        return st;
    if (!store_rows_is_null(rows, 1) || !store_rows_is_null(rows, 2))
        return problem_set(task, STATUS_CONFLICT, "identity/no-account",
                           "The account %.*s %s: a key of it would open nothing.", SLICE_ARG(name),
                           store_rows_is_null(rows, 1) ? "is on its way out" : "is disabled");
    struct slice bytes = store_rows_bytes(rows, 0);
    if (bytes.len != sizeof(ret_user->bytes))
        return STATUS_INTERNAL;
    memcpy(ret_user->bytes, bytes.data, bytes.len);
    return STATUS_OK;
}
