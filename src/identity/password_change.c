/* identity/password_change.c - A new password. */
#include "identity/password_change.h"

#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/feed.h"
#include "identity/notice.h"
#include "identity/password.h"
#include "identity/room.h"
#include "identity/session.h"

enum status identity_password_change_prepare(struct task *task, struct identity *identity,
                                             struct slice pointer, struct slice password,
                                             struct slice own, struct identity_password_change *ret)
{
    ret->now_us = clock_wall_us();
    enum status st = identity_password_check(task, pointer, password, &own, own.len > 0);
    return st == STATUS_OK ? identity_password_hash(task, identity->passwords, password, &ret->hash)
                           : st;
}

static const char set_sql[] = "UPDATE purlin_accounts SET password = $1, password_at = $2"
                              " WHERE user_id = $3";
static const char forget_links_sql[] = "DELETE FROM purlin_one_time"
                                       " WHERE owner = $1"
                                       "   AND purpose IN ('recover', 'magic', 'mfa')";

enum status identity_password_change_put(struct store_tx *tx,
                                         const struct identity_password_change *change)
{
    const struct store_value values[] = { store_text(change->hash), store_i64(change->now_us),
                                          identity__id(&change->user) };
    const struct store_value user = identity__id(&change->user);
    int64_t ended;
    enum status st = store_tx_exec(tx, IDENTITY__SQL(set_sql), values, ARRAY_LEN(values), NULL);
    if (st == STATUS_OK)
        st = store_tx_exec(tx, IDENTITY__SQL(forget_links_sql), &user, 1, NULL);
    if (st == STATUS_OK)
        st = identity_sessions_end(tx, &change->user, change->has_kept ? &change->kept : NULL,
                                   "password", change->now_us, &ended);
    return st == STATUS_OK ? identity_note_put(tx, &change->note) : st;
}

void identity_password_changed(struct task *task, struct identity *identity,
                               struct http_request *req, const struct identity_account *account)
{
    identity_feed_user_ended(identity, &account->user);
    identity_notice_send(task, identity, req,
                         &(struct identity_notice){ .kind = IDENTITY_MAIL_PASSWORD_CHANGED,
                                                    .user = &account->user,
                                                    .to = account->email,
                                                    .path = "recover" });
}
