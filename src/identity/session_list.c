/* identity/session_list.c - Where an account is signed in. */
#include "identity/session_list.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/room.h"
#include "identity/who.h"

static const char list_sql[] =
    "SELECT id, kind, client_id, created_at, seen_at, expires_at, address, agent, impersonator"
    "  FROM purlin_sessions"
    " WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2"
    " ORDER BY created_at DESC LIMIT 200";
_Static_assert(IDENTITY_SESSION_LIST_MAX == 200, "as list_sql has it");

static bool take_id(struct slice bytes, struct uuid *ret)
{
    if (bytes.len != sizeof(ret->bytes))
        return false;
    memcpy(ret->bytes, bytes.data, bytes.len);
    return true;
}

static enum status take(struct arena *arena, const struct store_rows *rows,
                        struct identity_session_row *ret)
{
    *ret = (struct identity_session_row){ .created_us = store_rows_i64(rows, 3),
                                          .seen_us = store_rows_i64(rows, 4),
                                          .expires_us = store_rows_i64(rows, 5) };
    if (!take_id(store_rows_bytes(rows, 0), &ret->id))
        return STATUS_INTERNAL;
    ret->has_impersonator = take_id(store_rows_bytes(rows, 8), &ret->impersonator);
    const struct {
        unsigned column;
        struct slice *out;
    } texts[] = {
        { 1, &ret->kind }, { 2, &ret->client_id }, { 6, &ret->address }, { 7, &ret->agent }
    };
    enum status st = STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(texts) && st == STATUS_OK; i++)
        st = arena_copy(arena, store_rows_bytes(rows, texts[i].column), texts[i].out);
    return st;
}

enum status identity_session_list(struct task *task, struct identity *identity,
                                  const struct identity_who *who, struct identity_session_row **ret,
                                  unsigned *ret_len)
{
    const struct store_value values[] = { identity__id(&who->user), store_i64(clock_wall_us()) };
    bool has_own = who->has_session && !who->is_key;
    unsigned len = 0;
    struct identity_session_row *all =
        arena_array_of(task_arena(task), struct identity_session_row, IDENTITY_SESSION_LIST_MAX);
    if (!all)
        return STATUS_EXHAUSTED;
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_query(task, identity->store, IDENTITY__SQL(list_sql), values,
                                 ARRAY_LEN(values), &rows);
    while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK &&
           len < IDENTITY_SESSION_LIST_MAX) {
        st = take(task_arena(task), rows, &all[len]);
        all[len].is_current =
            has_own && memcmp(&all[len].id, &who->session, sizeof(who->session)) == 0;
        len++;
    }
    if (st != STATUS_NOT_FOUND && st != STATUS_OK)
        return st;
    *ret = all;
    *ret_len = len;
    return STATUS_OK;
}
