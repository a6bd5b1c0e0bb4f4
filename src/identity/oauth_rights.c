/*
 * identity/oauth_rights.c - What a token that a client has may do.
 *
 * A person lends a part of what they may do, never more: the permissions that granted scopes name,
 * and of their roles those. A client by itself has what its scopes name, and is no person.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/rights.h"
#include "fiber/task.h"
#include "identity/account.h"
#include "identity/feed.h"
#include "identity/oauth.h"
#include "identity/room.h"
#include "store/store.h"

/* As much as the lists of 32 scopes can hold. */
#define PERMISSIONS_BYTES_MAX ((size_t)6 * 1024)

static const struct identity_scope *find_scope(const struct identity *identity, struct slice name)
{
    const struct identity_options *o = &identity->options;
    for (unsigned i = 0; i < o->scopes_len; i++)
        if (slice_eq(o->scopes[i].name, name))
            return &o->scopes[i];
    return NULL;
}

/* Does one of the granted scopes name this role? */
static bool is_let_through(const struct identity *identity, struct slice granted, struct slice role)
{
    const struct identity_options *o = &identity->options;
    for (unsigned i = 0; i < o->scopes_len; i++)
        if (identity_scope_has(granted, o->scopes[i].name) &&
            identity_scope_has(o->scopes[i].roles, role))
            return true;
    return false;
}

static void put_words(struct buf *b, struct slice list)
{
    struct slice word;
    while (identity_scope_next(&list, &word)) {
        if (identity_scope_has(buf_slice(b), word))
            continue;
        if (b->len)
            buf_putc(b, ' ');
        buf_put_slice(b, word);
    }
}

/* What the granted scopes let do: those of the application's say it, and a permission that is a
 * scope itself stands for itself. False in *ret_any: OpenID's alone. */
static enum status put_permissions(const struct identity *identity, struct arena *arena,
                                   struct identity_who *who, bool *ret_any)
{
    struct slice rest = who->scope, name;
    struct buf b;
    buf_init(&b, arena, 256, PERMISSIONS_BYTES_MAX);
    *ret_any = false;
    while (identity_scope_next(&rest, &name)) {
        const struct identity_scope *scope = find_scope(identity, name);
        bool is_own = scope || rights_is_pattern(name);
        *ret_any |= is_own;
        if (is_own)
            put_words(&b, scope ? scope->permissions : name);
    }
    who->is_scoped = true;
    who->permissions = buf_slice(&b);
    return buf_status(&b);
}

enum status identity_oauth_narrow(const struct identity *identity, struct arena *arena,
                                  const struct identity_client *client, struct identity_who *who)
{
    if (client->is_trusted)
        return STATUS_OK;
    struct slice *roles = arena_array_of(arena, struct slice, who->roles_len + 1);
    unsigned len = 0;
    bool has_own = false;
    if (!roles)
        return STATUS_EXHAUSTED;
    for (unsigned i = 0; i < who->roles_len; i++)
        if (is_let_through(identity, who->scope, who->roles[i]))
            roles[len++] = who->roles[i];
    who->lent_len = who->roles_len - len;
    for (unsigned i = 0, at = len; i < who->roles_len; i++)
        if (!is_let_through(identity, who->scope, who->roles[i]))
            roles[at++] = who->roles[i];
    who->roles = roles;
    who->roles_len = len;
    enum status st = put_permissions(identity, arena, who, &has_own);
    who->is_limited = !has_own;
    if (!has_own)
        who->lent_len = 0; /* to nobody */
    return st;
}

enum status identity_oauth_narrow_by_id(struct task *task, struct identity *identity,
                                        struct identity_who *who)
{
    struct identity_client client;
    enum status st = identity_client_find(task, identity, who->client_id, &client);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_UNAUTHENTICATED : st;
    return identity_oauth_narrow(identity, task_arena(task), &client, who);
}

/* -- clients by themselves
 * ------------------------------------------------------------------------------ */

static const char revoked_sql[] = "SELECT 1 FROM purlin_oauth_revoked WHERE id = $1";
static const char revoke_sql[] = "INSERT INTO purlin_oauth_revoked (id, expires_at) VALUES ($1, $2)"
                                 "  ON CONFLICT (id) DO NOTHING";

/* All roles of the granted scopes, each once, at most as many as somebody can have. */
static enum status put_roles(const struct identity *identity, struct arena *arena,
                             struct identity_who *who)
{
    const struct identity_options *o = &identity->options;
    struct slice *roles = arena_array_of(arena, struct slice, IDENTITY_ROLES_MAX);
    if (!roles)
        return STATUS_EXHAUSTED;
    who->roles = roles;
    for (unsigned i = 0; i < o->scopes_len; i++) {
        struct slice rest = o->scopes[i].roles, role;
        if (!identity_scope_has(who->scope, o->scopes[i].name))
            continue;
        while (identity_scope_next(&rest, &role) && who->roles_len < IDENTITY_ROLES_MAX) {
            unsigned k = 0;
            while (k < who->roles_len && !slice_eq(roles[k], role))
                k++;
            roles[k] = role;
            who->roles_len = MAX(who->roles_len, k + 1);
        }
    }
    return STATUS_OK;
}

enum status identity_oauth_client_who(struct task *task, struct identity *identity,
                                      struct slice client_id, struct slice scope,
                                      const struct uuid *token, struct identity_who *ret)
{
    struct identity_client client;
    const struct store_value value = identity__id(token);
    enum status st = identity_client_find(task, identity, client_id, &client);
    if (st == STATUS_NOT_FOUND ||
        (st == STATUS_OK && (!(client.grants & IDENTITY_GRANT_CLIENT) ||
                             !identity_scope_is_within(scope, client.scopes))))
        return STATUS_UNAUTHENTICATED;
    if (st != STATUS_OK)
        return st;
    struct store_rows *rows = NULL;
    st = store_one(task, identity->store, IDENTITY__SQL(revoked_sql), &value, 1, &rows);
    store_rows_close(rows);
    if (st != STATUS_NOT_FOUND)
        return st == STATUS_OK ? STATUS_UNAUTHENTICATED : st;
    *ret = (struct identity_who){
        .is_client = true,
        .session = *token,
        .generation = -1,
        .client_id = client.id,
        .scope = scope,
    };
    bool has_own;
    st = put_permissions(identity, task_arena(task), ret, &has_own);
    return st == STATUS_OK ? put_roles(identity, task_arena(task), ret) : st;
}

struct revoking {
    const struct uuid *id;
    int64_t expires_us;
};

static enum status write_revoked(struct store_tx *tx, void *arg)
{
    const struct revoking *r = arg;
    const struct store_value values[] = { identity__id(r->id), store_i64(r->expires_us) };
    enum status st = store_tx_exec(tx, IDENTITY__SQL(revoke_sql), values, ARRAY_LEN(values), NULL);
    return st == STATUS_OK ? identity_feed_put(tx, IDENTITY_FEED_SESSION, r->id, clock_wall_us())
                           : st;
}

enum status identity_oauth_token_revoke(struct task *task, struct identity *identity,
                                        const struct uuid *token, int64_t expires_us)
{
    struct revoking r = { token, expires_us };
    enum status st = store_write(task, identity->store, write_revoked, &r);
    if (st == STATUS_OK)
        identity_feed_session_ended(identity, token);
    return st;
}

/* -- what has expired
 * ----------------------------------------------------------------------------------- */

/* A code that comes again is known for what it is so long (identity/oauth_code.h). */
#define CODES_KEPT_US (24 * CLOCK_HOUR)

static const char codes_sql[] = "DELETE FROM purlin_oauth_codes WHERE expires_at < $1";
static const char tokens_sql[] = "DELETE FROM purlin_oauth_revoked WHERE expires_at < $1";

enum status identity_oauth_purge(struct store_tx *tx, int64_t now_us)
{
    const struct store_value codes = store_i64(now_us - CODES_KEPT_US);
    const struct store_value tokens = store_i64(now_us - CLOCK_HOUR);
    enum status st = store_tx_exec(tx, IDENTITY__SQL(codes_sql), &codes, 1, NULL);
    return st == STATUS_OK ? store_tx_exec(tx, IDENTITY__SQL(tokens_sql), &tokens, 1, NULL) : st;
}
