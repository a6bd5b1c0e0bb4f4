/* identity/consents.c - The applications that may act for somebody, listed and withdrawn. */
#include "identity/consents.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/clients.h"
#include "identity/feed.h"
#include "identity/room.h"
#include "store/store.h"

/* -- listing
 * ------------------------------------------------------------------------------------------- */

static const char list_sql[] =
    "SELECT c.client_id, c.scope, c.granted_at,"
    "       (SELECT COUNT(*) FROM purlin_sessions s"
    "         WHERE s.user_id = c.user_id AND s.client_id = c.client_id"
    "           AND s.ended_at IS NULL AND s.expires_at > $1),"
    "       (SELECT MAX(s.seen_at) FROM purlin_sessions s"
    "         WHERE s.user_id = c.user_id AND s.client_id = c.client_id"
    "           AND s.ended_at IS NULL AND s.expires_at > $2)"
    "  FROM purlin_oauth_consents c"
    " WHERE c.user_id = $3"
    " UNION ALL "
    "SELECT s.client_id, '', 0, COUNT(*), MAX(s.seen_at)"
    "  FROM purlin_sessions s"
    " WHERE s.user_id = $4 AND s.client_id IS NOT NULL"
    "   AND s.ended_at IS NULL AND s.expires_at > $5"
    "   AND NOT EXISTS (SELECT 1 FROM purlin_oauth_consents c"
    "                    WHERE c.user_id = s.user_id AND c.client_id = s.client_id)"
    " GROUP BY s.client_id"
    " LIMIT 200";
_Static_assert(IDENTITY_CONSENT_LIST_MAX == 200, "as list_sql has it");

static enum status take(struct arena *arena, const struct store_rows *rows,
                        struct identity_consent *ret)
{
    *ret = (struct identity_consent){
        .granted_us = store_rows_i64(rows, 2),
        .sessions = (unsigned)store_rows_i64(rows, 3),
        .seen_us = store_rows_is_null(rows, 4) ? 0 : store_rows_i64(rows, 4),
    };
    enum status st = arena_copy(arena, store_rows_bytes(rows, 0), &ret->client_id);
    ret->name = ret->client_id;
    return st == STATUS_OK ? arena_copy(arena, store_rows_bytes(rows, 1), &ret->scope) : st;
}

static enum status read_rows(struct task *task, struct identity *identity, const struct uuid *user,
                             struct identity_consent *all, unsigned *ret_len)
{
    struct store_value now = store_i64(clock_wall_us()), id = identity__id(user);
    const struct store_value values[] = { now, now, id, id, now };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    unsigned len = 0;
    enum status st = store_query(task, identity->store, IDENTITY__SQL(list_sql), values,
                                 ARRAY_LEN(values), &rows);
    while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK &&
           len < IDENTITY_CONSENT_LIST_MAX)
        st = take(task_arena(task), rows, &all[len++]);
    *ret_len = len;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static int by_name(const void *a, const void *b)
{
    const struct identity_consent *x = a, *y = b;
    int order = slice_cmp(x->name, y->name);
    return order ? order : slice_cmp(x->client_id, y->client_id);
}

enum status identity_consents_list(struct task *task, struct identity *identity,
                                   const struct uuid *user, struct identity_consent **ret,
                                   unsigned *ret_len)
{
    struct identity_consent *all =
        arena_array_of(task_arena(task), struct identity_consent, IDENTITY_CONSENT_LIST_MAX);
    unsigned len = 0;
    enum status st = all ? read_rows(task, identity, user, all, &len) : STATUS_EXHAUSTED;
    for (unsigned i = 0; i < len && st == STATUS_OK; i++) {
        struct identity_client client;
        st = identity_client_find(task, identity, all[i].client_id, &client);
        if (st == STATUS_OK)
            all[i].name = client.name;
        else if (st == STATUS_NOT_FOUND) /* taken out of purlin.yaml: its tokens are dead */
            st = STATUS_OK;
    }
    if (st != STATUS_OK)
        return st;
    qsort(all, len, sizeof(*all), by_name);
    *ret = all;
    *ret_len = len;
    return STATUS_OK;
}

/* -- withdrawing
 * --------------------------------------------------------------------------------------- */

static const char forget_sql[] =
    "DELETE FROM purlin_oauth_consents WHERE user_id = $1 AND client_id = $2";
/* One that was used stays: if it comes again, somebody has a copy. */
static const char codes_sql[] =
    "DELETE FROM purlin_oauth_codes"
    " WHERE client_id = $1 AND used_at IS NULL"
    "   AND session_id IN (SELECT id FROM purlin_sessions WHERE user_id = $2)";
static const char end_sql[] = "UPDATE purlin_sessions"
                              "   SET ended_at = $1, end_reason = 'consent'"
                              " WHERE user_id = $2 AND client_id = $3 AND ended_at IS NULL";

enum status identity_consent_withdraw(struct store_tx *tx, const struct uuid *user,
                                      struct slice client_id, int64_t now_us, int64_t *ret_ended)
{
    struct store_value id = identity__id(user), client = store_text(client_id);
    const struct store_value consent[] = { id, client }, code[] = { client, id };
    const struct store_value end[] = { store_i64(now_us), id, client };
    int64_t consents = 0, codes = 0;
    *ret_ended = 0;
    enum status st =
        store_tx_exec(tx, IDENTITY__SQL(forget_sql), consent, ARRAY_LEN(consent), &consents);
    if (st == STATUS_OK)
        st = store_tx_exec(tx, IDENTITY__SQL(codes_sql), code, ARRAY_LEN(code), &codes);
    if (st == STATUS_OK)
        st = store_tx_exec(tx, IDENTITY__SQL(end_sql), end, ARRAY_LEN(end), ret_ended);
    if (st == STATUS_OK && consents + codes + *ret_ended == 0)
        return STATUS_NOT_FOUND;
    return st == STATUS_OK && *ret_ended > 0
               ? identity_feed_put(tx, IDENTITY_FEED_USER, user, now_us)
               : st;
}
