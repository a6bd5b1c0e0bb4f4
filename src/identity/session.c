/* identity/session.c - Sessions in the store: made, found, refreshed and ended. */
#include "identity/session.h"

#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/account.h"
#include "identity/feed.h"
#include "identity/room.h"
#include "store/store.h"

static const char *const kind_names[] = {
    [IDENTITY_SESSION_COOKIE] = "cookie",
    [IDENTITY_SESSION_TOKENS] = "tokens",
};

/* -- making
 * -------------------------------------------------------------------------------------------- */

void identity_session_wipe(struct identity_session *session)
{
    identity_secret_wipe(&session->cookie);
    sodium_memzero(&session->refresh, sizeof(session->refresh));
}

enum status identity_session_prepare(struct identity *identity,
                                     const struct identity_session_new *wanted,
                                     struct identity_session *ret)
{
    int64_t life_us = wanted->life_us ? wanted->life_us : identity->options.session_us;
    *ret = (struct identity_session){ .id = uuid_v7(), .expires_us = wanted->now_us + life_us };
    if (wanted->kind == IDENTITY_SESSION_COOKIE)
        return identity_secret_make(SLICE(IDENTITY_COOKIE_PREFIX), &ret->cookie);
    ret->refresh.session = ret->id;
    random_bytes(ret->refresh.salt, sizeof(ret->refresh.salt));
    identity_refresh_make(&identity->refresh_keys[0], &ret->refresh);
    return STATUS_OK;
}

static const char insert_sql[] =
    "INSERT INTO purlin_sessions"
    "  (id, user_id, kind, client_id, scope, methods, auth_at, created_at, seen_at, expires_at,"
    "   cookie_digest, refresh_salt, device, address, agent, impersonator)"
    "  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

static struct store_value text_or_null(struct slice text)
{
    return text.len ? store_text(text) : store_null();
}

/* Whole characters of it. */
static struct slice cut_agent(struct slice agent)
{
    size_t len = 0;
    while (len < agent.len) {
        size_t bytes = utf8_sequence(slice_from(agent, len));
        if (bytes == 0 || len + bytes > IDENTITY_AGENT_BYTES_MAX)
            break;
        len += bytes;
    }
    return slice_head(agent, len);
}

enum status identity_session_put(struct store_tx *tx, const struct identity_session_new *wanted,
                                 const struct identity_session *session)
{
    struct identity_digest cookie = { { 0 } };
    bool is_cookie = wanted->kind == IDENTITY_SESSION_COOKIE;
    if (is_cookie)
        cookie = identity_secret_digest(identity_secret_text(&session->cookie));
    const struct store_value values[] = {
        identity__id(&session->id),
        identity__id(&wanted->user),
        store_text(slice_cstr(kind_names[wanted->kind])),
        text_or_null(wanted->client_id),
        text_or_null(wanted->scope),
        store_i64(wanted->methods),
        store_i64(wanted->auth_us ? wanted->auth_us : wanted->now_us),
        store_i64(wanted->now_us),
        store_i64(wanted->now_us),
        store_i64(session->expires_us),
        is_cookie ? store_blob(slice_of((const char *)cookie.bytes, sizeof(cookie.bytes)))
                  : store_null(),
        is_cookie ? store_null()
                  : store_blob(slice_of((const char *)session->refresh.salt,
                                        sizeof(session->refresh.salt))),
        wanted->has_device
            ? store_blob(slice_of((const char *)wanted->device.bytes, sizeof(wanted->device.bytes)))
            : store_null(),
        text_or_null(wanted->address),
        text_or_null(cut_agent(wanted->agent)),
        wanted->has_impersonator ? identity__id(&wanted->impersonator) : store_null(),
    };
    return store_tx_exec(tx, IDENTITY__SQL(insert_sql), values, ARRAY_LEN(values), NULL);
}

/* -- finding
 * ------------------------------------------------------------------------------------------- */

#define COLUMNS                                                                                    \
    "SELECT s.id, s.user_id, s.kind, s.methods, s.auth_at, s.expires_at, s.generation,"            \
    " s.confirmed, s.client_id, s.scope, s.impersonator, a.roles, s.seen_at, s.refresh_salt,"      \
    " s.rotated_at"                                                                                \
    " FROM purlin_sessions s JOIN purlin_accounts a ON a.user_id = s.user_id"                      \
    " WHERE %s AND s.ended_at IS NULL AND s.expires_at > $2 AND a.disabled_at IS NULL"             \
    "   AND (s.impersonator IS NULL OR EXISTS (SELECT 1 FROM purlin_accounts i"                    \
    "        WHERE i.user_id = s.impersonator AND i.disabled_at IS NULL))"                         \
    "   AND EXISTS (SELECT 1 FROM users u WHERE u.id = s.user_id%.*s)"
enum {
    COLUMN_ID,
    COLUMN_USER,
    COLUMN_KIND,
    COLUMN_METHODS,
    COLUMN_AUTH,
    COLUMN_EXPIRES,
    COLUMN_GENERATION,
    COLUMN_CONFIRMED,
    COLUMN_CLIENT,
    COLUMN_SCOPE,
    COLUMN_IMPERSONATOR,
    COLUMN_ROLES,
    COLUMN_SEEN,
    COLUMN_SALT,
    COLUMN_ROTATED
};

enum status identity__session_statements(struct identity *identity)
{
    struct identity__statements *sql = &identity->sql;
    sql->session_by_id =
        arena_printf(identity->arena, COLUMNS, "s.id = $1", SLICE_ARG(identity->person));
    sql->session_by_cookie =
        arena_printf(identity->arena, COLUMNS, "s.cookie_digest = $1", SLICE_ARG(identity->person));
    return sql->session_by_id.data && sql->session_by_cookie.data ? STATUS_OK : STATUS_EXHAUSTED;
}

static bool take_id(const struct store_rows *rows, unsigned column, struct uuid *ret)
{
    struct slice id = store_rows_bytes(rows, column);
    if (id.len != sizeof(ret->bytes))
        return false;
    memcpy(ret->bytes, id.data, id.len);
    return true;
}

static enum status take(struct arena *arena, const struct store_rows *rows,
                        struct identity_who *ret)
{
    struct slice roles;
    *ret = (struct identity_who){
        .has_user = true,
        .has_session = true,
        .is_cookie = slice_eq(store_rows_bytes(rows, COLUMN_KIND),
                              slice_cstr(kind_names[IDENTITY_SESSION_COOKIE])),
        .methods = (uint32_t)store_rows_i64(rows, COLUMN_METHODS),
        .auth_us = store_rows_i64(rows, COLUMN_AUTH),
        .expires_us = store_rows_i64(rows, COLUMN_EXPIRES),
        .generation = store_rows_i64(rows, COLUMN_GENERATION),
        .has_impersonator = !store_rows_is_null(rows, COLUMN_IMPERSONATOR),
    };
    if (!take_id(rows, COLUMN_ID, &ret->session) || !take_id(rows, COLUMN_USER, &ret->user) ||
        (ret->has_impersonator && !take_id(rows, COLUMN_IMPERSONATOR, &ret->impersonator)))
        return STATUS_INTERNAL;
    if (ret->is_cookie)
        ret->generation = -1;
    enum status st = arena_copy(arena, store_rows_bytes(rows, COLUMN_CLIENT), &ret->client_id);
    if (st == STATUS_OK)
        st = arena_copy(arena, store_rows_bytes(rows, COLUMN_SCOPE), &ret->scope);
    if (st == STATUS_OK)
        st = arena_copy(arena, store_rows_bytes(rows, COLUMN_ROLES), &roles);
    if (st == STATUS_OK)
        st = identity_roles_read(arena, roles, &ret->roles, &ret->roles_len);
    return st == STATUS_INVALID ? STATUS_INTERNAL : st;
}

/* What is written of a session in use, and seldom: that it is, and that its tokens arrived. */
#define SEEN_EVERY_US (5 * CLOCK_MINUTE)

static const char seen_sql[] = "UPDATE purlin_sessions"
                               "   SET seen_at = $1,"
                               "       confirmed = CASE WHEN generation = $2 THEN 1"
                               "                        ELSE confirmed END"
                               " WHERE id = $3";

struct seen {
    struct uuid id;
    int64_t generation, now_us;
};

static enum status write_seen(struct store_tx *tx, void *arg)
{
    const struct seen *seen = arg;
    const struct store_value values[] = { store_i64(seen->now_us), store_i64(seen->generation),
                                          identity__id(&seen->id) };
    return store_tx_exec(tx, IDENTITY__SQL(seen_sql), values, ARRAY_LEN(values), NULL);
}

static enum status find(struct task *task, struct identity *identity, struct slice sql,
                        struct store_value key, int64_t generation, int64_t now_us,
                        struct identity_who *ret)
{
    const struct store_value values[] = { key, store_i64(now_us) };
    struct store_rows *rows = NULL;
    enum status st = store_one(task, identity->store, sql, values, ARRAY_LEN(values), &rows);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_UNAUTHENTICATED : st;
    st = take(task_arena(task), rows, ret);
    bool is_new = generation >= 0 && generation == ret->generation &&
                  store_rows_i64(rows, COLUMN_CONFIRMED) == 0;
    bool is_stale = store_rows_i64(rows, COLUMN_SEEN) < now_us - SEEN_EVERY_US;
    store_rows_close(rows);
    if (st != STATUS_OK || !(is_new || is_stale))
        return st;
    struct seen seen = { .id = ret->session, .generation = generation, .now_us = now_us };
    st = store_write(task, identity->store, write_seen, &seen);
    /* A full queue or disk loses a note, not a request. */
    if (st == STATUS_EXHAUSTED || st == STATUS_UNAVAILABLE) {
        problem_clear(task_problem(task));
        return STATUS_OK;
    }
    return st;
}

enum status identity_session_find(struct task *task, struct identity *identity,
                                  const struct uuid *id, int64_t generation, int64_t now_us,
                                  struct identity_who *ret)
{
    return find(task, identity, identity->sql.session_by_id, identity__id(id), generation, now_us,
                ret);
}

enum status identity_session_find_cookie(struct task *task, struct identity *identity,
                                         const struct identity_digest *cookie, int64_t now_us,
                                         struct identity_who *ret)
{
    struct store_value key =
        store_blob(slice_of((const char *)cookie->bytes, sizeof(cookie->bytes)));
    return find(task, identity, identity->sql.session_by_cookie, key, -1, now_us, ret);
}

static const char prove_sql[] = "UPDATE purlin_sessions"
                                "   SET auth_at = $1, methods = methods | $2"
                                " WHERE id = $3 AND ended_at IS NULL";

enum status identity_session_prove(struct store_tx *tx, const struct uuid *id, uint32_t methods,
                                   int64_t now_us)
{
    const struct store_value values[] = { store_i64(now_us), store_i64(methods), identity__id(id) };
    int64_t changes = 0;
    enum status st =
        store_tx_exec(tx, IDENTITY__SQL(prove_sql), values, ARRAY_LEN(values), &changes);
    if (st == STATUS_OK && changes == 0)
        return STATUS_NOT_FOUND;
    return st == STATUS_OK ? identity_feed_put(tx, IDENTITY_FEED_SESSION, id, now_us) : st;
}

/* -- refreshing
 * ---------------------------------------------------------------------------------------- */

struct refreshing {
    struct identity *identity;
    struct identity_refresh_claim claim;
    struct slice client_id;
    int64_t now_us;
    enum identity_refresh_outcome outcome;
    struct identity_who who; /* in the task's arena */
    struct identity_refresh refresh;
};

static const char rotate_sql[] = "UPDATE purlin_sessions"
                                 "   SET generation = $1, rotated_at = $2, seen_at = $3,"
                                 "       confirmed = 0"
                                 " WHERE id = $4";

static bool is_proved(const struct identity *identity, const struct refreshing *r)
{
    bool is_good = false;
    for (unsigned i = 0; i < identity->secrets_len; i++)
        is_good |=
            identity_refresh_is_proved(&identity->refresh_keys[i], r->refresh.salt, &r->claim);
    return is_good;
}

static enum status rotate(struct store_tx *tx, struct refreshing *r)
{
    const struct store_value values[] = { store_i64(r->who.generation + 1), store_i64(r->now_us),
                                          store_i64(r->now_us), identity__id(&r->who.session) };
    r->who.generation++;
    return store_tx_exec(tx, IDENTITY__SQL(rotate_sql), values, ARRAY_LEN(values), NULL);
}

static enum status end_for_reuse(struct store_tx *tx, struct refreshing *r)
{
    bool ended;
    r->outcome = IDENTITY_REFRESH_REUSED;
    return identity_session_end(tx, &r->who.session, "reuse", r->now_us, &ended);
}

static enum status write_refresh(struct store_tx *tx, void *arg)
{
    struct refreshing *r = arg;
    struct identity *identity = r->identity;
    const struct store_value values[] = { identity__id(&r->claim.session), store_i64(r->now_us) };
    struct store_rows *rows = NULL;
    r->outcome = IDENTITY_REFRESH_UNKNOWN;
    enum status st =
        store_tx_one(tx, identity->sql.session_by_id, values, ARRAY_LEN(values), &rows);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    st = take(store_tx_arena(tx), rows, &r->who);
    struct slice salt = store_rows_bytes(rows, COLUMN_SALT);
    bool has_salt = salt.len == sizeof(r->refresh.salt);
    if (has_salt)
        memcpy(r->refresh.salt, salt.data, salt.len);
    bool is_confirmed = store_rows_i64(rows, COLUMN_CONFIRMED) != 0;
    int64_t rotated_us = store_rows_i64(rows, COLUMN_ROTATED);
    store_rows_close(rows);
    if (st != STATUS_OK || !has_salt || !slice_eq(r->client_id, r->who.client_id) ||
        !is_proved(identity, r))
        return st;

    int64_t behind = r->who.generation - (int64_t)r->claim.generation;
    bool is_early = r->now_us - rotated_us <= identity->options.refresh_grace_us;
    if (behind < 0)
        return STATUS_OK; /* of a backup that was put back: nobody can have it yet */
    if (behind > 1 || (behind == 1 && is_confirmed && !is_early))
        return end_for_reuse(tx, r);
    r->outcome = IDENTITY_REFRESHED;
    return behind == 0 ? rotate(tx, r) : STATUS_OK;
}

enum status identity_session_refresh(struct task *task, struct identity *identity,
                                     struct slice token, struct slice client_id, int64_t now_us,
                                     enum identity_refresh_outcome *ret_outcome,
                                     struct identity_who *ret_who,
                                     struct identity_refresh *ret_refresh)
{
    struct refreshing r = { .identity = identity, .client_id = client_id, .now_us = now_us };
    *ret_outcome = IDENTITY_REFRESH_UNKNOWN;
    if (identity_refresh_parse(token, &r.claim) != STATUS_OK)
        return STATUS_OK;
    enum status st = store_write(task, identity->store, write_refresh, &r);
    if (st != STATUS_OK)
        return st;
    *ret_outcome = r.outcome;
    *ret_who = r.who;
    if (r.outcome == IDENTITY_REFRESH_REUSED)
        identity_feed_session_ended(identity, &r.who.session);
    if (r.outcome != IDENTITY_REFRESHED)
        return STATUS_OK;
    r.refresh.session = r.who.session;
    r.refresh.generation = (uint32_t)r.who.generation;
    identity_refresh_make(&identity->refresh_keys[0], &r.refresh);
    *ret_refresh = r.refresh;
    sodium_memzero(&r.refresh, sizeof(r.refresh));
    return STATUS_OK;
}

enum status identity_session_find_refresh(struct task *task, struct identity *identity,
                                          struct slice token, int64_t now_us,
                                          struct identity_who *ret)
{
    struct refreshing r = { .identity = identity };
    if (identity_refresh_parse(token, &r.claim) != STATUS_OK)
        return STATUS_UNAUTHENTICATED;
    const struct store_value values[] = { identity__id(&r.claim.session), store_i64(now_us) };
    struct store_rows *rows = NULL;
    enum status st = store_one(task, identity->store, identity->sql.session_by_id, values,
                               ARRAY_LEN(values), &rows);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_UNAUTHENTICATED : st;
    st = take(task_arena(task), rows, ret);
    struct slice salt = store_rows_bytes(rows, COLUMN_SALT);
    bool has_salt = salt.len == sizeof(r.refresh.salt);
    if (has_salt)
        memcpy(r.refresh.salt, salt.data, salt.len);
    store_rows_close(rows);
    bool is_good = has_salt && is_proved(identity, &r);
    sodium_memzero(&r.refresh, sizeof(r.refresh));
    if (st != STATUS_OK)
        return st;
    int64_t behind = ret->generation - (int64_t)r.claim.generation;
    return is_good && (behind == 0 || behind == 1) ? STATUS_OK : STATUS_UNAUTHENTICATED;
}

/* -- ending
 * -------------------------------------------------------------------------------------------- */

static const char end_sql[] = "UPDATE purlin_sessions"
                              "   SET ended_at = $1, end_reason = $2"
                              " WHERE id = $3 AND ended_at IS NULL";
static const char end_others_sql[] = "UPDATE purlin_sessions"
                                     "   SET ended_at = $1, end_reason = $2"
                                     " WHERE user_id = $3 AND id <> $4 AND ended_at IS NULL";

enum status identity_session_end(struct store_tx *tx, const struct uuid *id, const char *reason,
                                 int64_t now_us, bool *ret_ended)
{
    const struct store_value values[] = { store_i64(now_us), store_text(slice_cstr(reason)),
                                          identity__id(id) };
    int64_t changes = 0;
    enum status st = store_tx_exec(tx, IDENTITY__SQL(end_sql), values, ARRAY_LEN(values), &changes);
    *ret_ended = changes > 0;
    if (st == STATUS_OK && changes > 0)
        st = identity_feed_put(tx, IDENTITY_FEED_SESSION, id, now_us);
    return st;
}

/* Whoever loses their sessions does not go on as somebody else. */
#define ACTING_MAX 100

static const char acting_sql[] = "SELECT id FROM purlin_sessions"
                                 " WHERE impersonator = $1 AND ended_at IS NULL LIMIT 100";

enum status identity_sessions_end_acting(struct store_tx *tx, const struct uuid *user,
                                         const char *reason, int64_t now_us)
{
    const struct store_value value = identity__id(user);
    struct uuid ids[ACTING_MAX];
    unsigned len = 0;
    {
        CLEANUP(store_rows_close) struct store_rows *rows = NULL;
        enum status st = store_tx_one(tx, IDENTITY__SQL(acting_sql), &value, 1, &rows);
        while (st == STATUS_OK && len < ACTING_MAX) {
            if (take_id(rows, 0, &ids[len]))
                len++;
            st = store_rows_next(rows);
        }
        if (st != STATUS_OK && st != STATUS_NOT_FOUND)
            return st;
    }
    for (unsigned i = 0; i < len; i++) {
        bool ended;
        enum status st = identity_session_end(tx, &ids[i], reason, now_us, &ended);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

enum status identity_sessions_end(struct store_tx *tx, const struct uuid *user,
                                  const struct uuid *kept, const char *reason, int64_t now_us,
                                  int64_t *ret_ended)
{
    static const struct uuid nobody = { { 0 } };
    const struct store_value values[] = { store_i64(now_us), store_text(slice_cstr(reason)),
                                          identity__id(user), identity__id(kept ? kept : &nobody) };
    enum status st =
        store_tx_exec(tx, IDENTITY__SQL(end_others_sql), values, ARRAY_LEN(values), ret_ended);
    /* By the user's name: what is cached of the session that is kept is only looked up again. */
    if (st == STATUS_OK && *ret_ended > 0)
        st = identity_feed_put(tx, IDENTITY_FEED_USER, user, now_us);
    return st == STATUS_OK ? identity_sessions_end_acting(tx, user, reason, now_us) : st;
}
