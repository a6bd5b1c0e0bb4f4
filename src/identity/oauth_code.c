/* identity/oauth_code.c - Codes in the store, made and exchanged. */
#include "identity/oauth_code.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/feed.h"
#include "identity/oauth_text.h"
#include "identity/room.h"
#include "store/store.h"

static const char insert_sql[] =
    "INSERT INTO purlin_oauth_codes"
    "  (digest, client_id, redirect, challenge, scope, nonce, session_id, expires_at)"
    "  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
static const char find_sql[] = "SELECT client_id, redirect, challenge, scope, nonce, session_id, "
                               "expires_at, used_at, issued_id"
                               "  FROM purlin_oauth_codes WHERE digest = $1";
static const char use_sql[] =
    "UPDATE purlin_oauth_codes SET used_at = $1, issued_id = $2 WHERE digest = $3";
static const char replayed_sql[] = "SELECT user_id FROM purlin_sessions WHERE id = $1";
/* The browser's session, which must not be over. */
static const char session_sql[] =
    "SELECT user_id, methods, auth_at, expires_at FROM purlin_sessions"
    " WHERE id = $1 AND ended_at IS NULL AND expires_at > $2";

static struct store_value digest_value(const struct identity_digest *digest)
{
    return store_blob(slice_of((const char *)digest->bytes, sizeof(digest->bytes)));
}

enum status identity_oauth_code_put(struct store_tx *tx, const struct identity_oauth_code *code,
                                    const struct identity_secret *secret, int64_t now_us)
{
    struct identity_digest digest = identity_secret_digest(identity_secret_text(secret));
    const struct store_value values[] = {
        digest_value(&digest),        store_text(code->client_id),
        store_text(code->redirect),   store_text(code->challenge),
        store_text(code->scope),      store_text(code->nonce.len ? code->nonce : SLICE("")),
        identity__id(&code->session), store_i64(now_us + IDENTITY_CODE_LIFE_US),
    };
    return store_tx_exec(tx, IDENTITY__SQL(insert_sql), values, ARRAY_LEN(values), NULL);
}

/* -- exchanging
 * ---------------------------------------------------------------------------------------- */

struct exchange {
    struct identity *identity;
    const struct identity_code_claim *claim;
    struct identity_code_grant *grant;
    struct identity_session_new wanted;
    struct identity_digest digest;
    int64_t now_us;
    struct uuid replayed; /* the session that was issued before */
};

struct found {
    struct identity_oauth_code code;
    int64_t expires_us;
    bool is_used, has_issued;
    struct uuid issued;
};

static bool take_id(struct slice bytes, struct uuid *ret)
{
    if (bytes.len != sizeof(ret->bytes))
        return false;
    memcpy(ret->bytes, bytes.data, bytes.len);
    return true;
}

static enum status find_code(struct store_tx *tx, const struct exchange *x, struct found *ret)
{
    const struct store_value value = digest_value(&x->digest);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, IDENTITY__SQL(find_sql), &value, 1, &rows);
    if (st != STATUS_OK)
        return st;
    struct slice *const texts[] = { &ret->code.client_id, &ret->code.redirect, &ret->code.challenge,
                                    &ret->code.scope, &ret->code.nonce };
    for (unsigned i = 0; i < ARRAY_LEN(texts) && st == STATUS_OK; i++)
        st = arena_copy(store_tx_arena(tx), store_rows_bytes(rows, i), texts[i]);
    ret->expires_us = store_rows_i64(rows, 6);
    ret->is_used = !store_rows_is_null(rows, 7);
    ret->has_issued = take_id(store_rows_bytes(rows, 8), &ret->issued);
    if (st == STATUS_OK && !take_id(store_rows_bytes(rows, 5), &ret->code.session))
        return STATUS_INTERNAL;
    return st;
}

static enum status end_replayed(struct store_tx *tx, struct exchange *x, const struct found *found)
{
    bool ended;
    const struct store_value id = identity__id(&found->issued);
    struct store_rows *rows = NULL;
    if (!found->has_issued)
        return STATUS_OK;
    enum status st = store_tx_one(tx, IDENTITY__SQL(replayed_sql), &id, 1, &rows);
    if (st == STATUS_OK)
        x->grant->has_replayed_user = take_id(store_rows_bytes(rows, 0), &x->grant->replayed_user);
    store_rows_close(rows);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    x->grant->is_replay = true;
    x->replayed = found->issued;
    return identity_session_end(tx, &found->issued, "code-replay", x->now_us, &ended);
}

static bool is_claimed_well(const struct exchange *x, const struct found *found)
{
    const struct identity_code_claim *claim = x->claim;
    return x->now_us < found->expires_us && slice_eq(claim->redirect, found->code.redirect) &&
           identity_challenge_is_met(found->code.challenge, claim->verifier);
}

/* NOT_FOUND: the browser's session is over. */
static enum status take_session(struct store_tx *tx, struct exchange *x, const struct found *found)
{
    const struct store_value values[] = { identity__id(&found->code.session),
                                          store_i64(x->now_us) };
    struct identity_session_new *wanted = &x->wanted;
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, IDENTITY__SQL(session_sql), values, ARRAY_LEN(values), &rows);
    if (st != STATUS_OK)
        return st;
    if (!take_id(store_rows_bytes(rows, 0), &wanted->user))
        return STATUS_INTERNAL;
    wanted->methods = (uint32_t)store_rows_i64(rows, 1);
    wanted->auth_us = store_rows_i64(rows, 2);
    /* Without offline_access it is over when the browser's is. */
    if (!identity_scope_has(found->code.scope, SLICE("offline_access")))
        x->grant->session.expires_us = MIN(x->grant->session.expires_us, store_rows_i64(rows, 3));
    wanted->scope = found->code.scope;
    return STATUS_OK;
}

static enum status grant(struct store_tx *tx, struct exchange *x, const struct found *found)
{
    struct identity_account account;
    enum status st = take_session(tx, x, found);
    if (st == STATUS_OK)
        st = identity_account_by_user_in(tx, x->identity, &x->wanted.user, &account);
    if (st != STATUS_OK || account.disabled_us || !account.has_person)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    x->grant->is_granted = true;
    x->grant->nonce = found->code.nonce;
    x->grant->who = (struct identity_who){
        .has_user = true,
        .user = x->wanted.user,
        .has_session = true,
        .session = x->grant->session.id,
        .methods = x->wanted.methods,
        .auth_us = x->wanted.auth_us,
        .expires_us = x->grant->session.expires_us,
        .client_id = x->wanted.client_id,
        .scope = x->wanted.scope,
        .roles = account.roles,
        .roles_len = account.roles_len,
    };
    return identity_session_put(tx, &x->wanted, &x->grant->session);
}

static enum status write_exchange(struct store_tx *tx, void *arg)
{
    struct exchange *x = arg;
    struct found found = { .is_used = false };
    x->grant->is_granted = false;
    x->grant->is_replay = x->grant->has_replayed_user = false;
    enum status st = find_code(tx, x, &found);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    /* Another client may neither use nor spend it. */
    if (!slice_eq(found.code.client_id, x->claim->client->id))
        return STATUS_OK;
    if (found.is_used)
        return end_replayed(tx, x, &found);
    if (is_claimed_well(x, &found))
        st = grant(tx, x, &found);
    const struct store_value values[] = { store_i64(x->now_us),
                                          x->grant->is_granted ? identity__id(&x->grant->session.id)
                                                               : store_null(),
                                          digest_value(&x->digest) };
    return st == STATUS_OK
               ? store_tx_exec(tx, IDENTITY__SQL(use_sql), values, ARRAY_LEN(values), NULL)
               : st;
}

enum status identity_oauth_code_exchange(struct task *task, struct identity *identity,
                                         const struct identity_code_claim *claim, int64_t now_us,
                                         struct identity_code_grant *ret)
{
    struct exchange x = { .identity = identity, .claim = claim, .grant = ret, .now_us = now_us };
    *ret = (struct identity_code_grant){ .is_granted = false };
    if (identity_secret_read(claim->code, SLICE(IDENTITY_CODE_PREFIX), &x.digest) != STATUS_OK)
        return STATUS_OK;
    x.wanted = (struct identity_session_new){
        .kind = IDENTITY_SESSION_TOKENS,
        .client_id = claim->client->id,
        .address = claim->address,
        .agent = claim->agent,
        .now_us = now_us,
    };
    /* Without refresh tokens there is nothing that outlives the access token. */
    if (!(claim->client->grants & IDENTITY_GRANT_REFRESH))
        x.wanted.life_us = identity->options.access_us;
    enum status st = identity_session_prepare(identity, &x.wanted, &ret->session);
    if (st == STATUS_OK)
        st = store_write(task, identity->store, write_exchange, &x);
    if (st == STATUS_OK && ret->is_replay) {
        log_warn("identity.code_replayed", LOG_TEXT("client", claim->client->id));
        identity_feed_session_ended(identity, &x.replayed);
    }
    return st;
}
