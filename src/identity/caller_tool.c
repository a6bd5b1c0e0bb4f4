/* identity/caller_tool.c - Who somebody is to rules, by name: for commands that explain them. */
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/account.h"
#include "identity/room.h"
#include "store/store.h"

static const char by_id_sql[] = "SELECT user_id, roles FROM purlin_accounts WHERE user_id = $1";
static const char by_email_sql[] = "SELECT user_id, roles FROM purlin_accounts"
                                   " WHERE email_key = $1";

static enum status take(struct arena *arena, const struct store_rows *rows, struct task_caller *ret)
{
    struct slice id = store_rows_bytes(rows, 0), roles;
    if (id.len != sizeof(ret->user.bytes))
        return STATUS_INTERNAL;
    *ret = (struct task_caller){ .has_user = true };
    memcpy(ret->user.bytes, id.data, id.len);
    enum status st = arena_copy(arena, store_rows_bytes(rows, 1), &roles);
    return st == STATUS_OK ? identity_roles_read(arena, roles, &ret->roles, &ret->roles_len) : st;
}

enum status identity_caller_of(struct task *task, struct store *store, struct slice name,
                               struct task_caller *ret)
{
    struct uuid id;
    struct slice key = SLICE_NULL;
    bool is_id = uuid_parse(name, &id);
    if (!is_id && identity_email_key(task_arena(task), name, &key) != STATUS_OK)
        return problem_set(task, STATUS_INVALID, "identity/no-account",
                           "%.*s is neither an id nor an address.",
                           SLICE_ARG(slice_head(name, 100)));
    const struct store_value value = is_id ? identity__id(&id) : store_text(key);
    struct slice sql = is_id ? IDENTITY__SQL(by_id_sql) : IDENTITY__SQL(by_email_sql);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(task, store, sql, &value, 1, &rows);
    if (st == STATUS_NOT_FOUND && is_id) { /* a person without an account may be asked about too */
        *ret = (struct task_caller){ .has_user = true, .user = id };
        return STATUS_OK;
    }
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, st, "identity/no-account", "There is no account with %.*s.",
                           SLICE_ARG(name));
    return st == STATUS_OK ? take(task_arena(task), rows, ret) : st;
}
