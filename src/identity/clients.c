/* identity/clients.c - Clients, configured or in the table. */
#include "identity/clients.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "base/rights.h"
#include "fiber/task.h"
#include "identity/feed.h"
#include "identity/note.h"
#include "identity/oauth_text.h"
#include "identity/room.h"
#include "store/store.h"

#define LIST_MAX 1000u

/* -- what a client may be
 * ------------------------------------------------------------------------------ */

uint32_t identity_grant_of(struct slice name)
{
    if (slice_eq(name, SLICE("authorization_code")))
        return IDENTITY_GRANT_CODE;
    if (slice_eq(name, SLICE("refresh_token")))
        return IDENTITY_GRANT_REFRESH;
    return slice_eq(name, SLICE("client_credentials")) ? IDENTITY_GRANT_CLIENT : 0;
}

static bool is_id(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.' || c == '~'))
            return false;
    }
    return id.len > 0 && id.len <= IDENTITY_CLIENT_ID_MAX;
}

static bool is_known_scope(struct slice name, const struct identity_scope *scopes, unsigned len)
{
    static const char *const ours[] = { "openid", "profile", "email", "offline_access" };
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (slice_eq(name, slice_cstr(ours[i])))
            return true;
    for (unsigned i = 0; i < len; i++)
        if (slice_eq(name, scopes[i].name))
            return true;
    return rights_is_pattern(name); /* a permission stands for itself */
}

static const char *check_redirects(const struct identity_client *client)
{
    struct slice rest = client->redirects, one;
    unsigned len = 0;
    while (identity_scope_next(&rest, &one)) {
        const char *reason = identity_redirect_check(one);
        if (reason)
            return reason;
        if (++len > IDENTITY_CLIENT_REDIRECTS_MAX)
            return "has more than 16 redirect URIs";
    }
    bool needs = (client->grants & IDENTITY_GRANT_CODE) != 0;
    return needs && len == 0 ? "needs a redirect URI for the grant authorization_code" : NULL;
}

const char *identity_client_check(const struct identity_client *client,
                                  const struct identity_scope *scopes, unsigned scopes_len)
{
    struct slice rest = client->scopes, name;
    if (!is_id(client->id))
        return "needs an id of at most 64 letters, digits and - _ . ~";
    if (slice_eq(client->id, SLICE("purlin")))
        return "cannot have the id of this server's own sign-in";
    if (client->name.len == 0 || client->name.len > IDENTITY_CLIENT_NAME_MAX ||
        !utf8_is_valid(client->name))
        return "needs a name of at most 100 bytes, which people are shown";
    if (client->grants == 0)
        return "needs a grant: authorization_code, refresh_token or client_credentials";
    if ((client->grants & IDENTITY_GRANT_CLIENT) && !client->is_confidential)
        return "needs a secret for the grant client_credentials";
    if (client->grants == IDENTITY_GRANT_REFRESH)
        return "needs the grant authorization_code to get refresh tokens";
    if (!identity_scope_is_list(client->scopes))
        return "has scopes that are none, or more than 32";
    while (identity_scope_next(&rest, &name))
        if (!is_known_scope(name, scopes, scopes_len))
            return "has a scope that is neither OpenID's, nor one of oauth.scopes, nor a "
                   "permission";
    return check_redirects(client);
}

/* -- finding
 * ------------------------------------------------------------------------------------------- */

#define COLUMNS                                                                                    \
    "SELECT id, name, secret, redirects, scopes, grants, trusted FROM purlin_oauth_clients"
static const char find_sql[] = COLUMNS " WHERE id = $1";
static const char list_sql[] = COLUMNS " ORDER BY id LIMIT 1000";
_Static_assert(LIST_MAX == 1000, "as list_sql has it");

static enum status take(struct arena *arena, const struct store_rows *rows,
                        struct identity_client *ret)
{
    struct slice secret = store_rows_bytes(rows, 2);
    *ret = (struct identity_client){
        .is_confidential = secret.len == sizeof(ret->secret.bytes),
        .grants = (uint32_t)store_rows_i64(rows, 5),
        .is_trusted = store_rows_i64(rows, 6) != 0,
    };
    if (ret->is_confidential)
        memcpy(ret->secret.bytes, secret.data, secret.len);
    enum status st = arena_copy(arena, store_rows_bytes(rows, 0), &ret->id);
    if (st == STATUS_OK)
        st = arena_copy(arena, store_rows_bytes(rows, 1), &ret->name);
    if (st == STATUS_OK)
        st = arena_copy(arena, store_rows_bytes(rows, 3), &ret->redirects);
    if (st == STATUS_OK)
        st = arena_copy(arena, store_rows_bytes(rows, 4), &ret->scopes);
    return st;
}

static const struct identity_client *find_configured(const struct identity *identity,
                                                     struct slice id)
{
    for (unsigned i = 0; i < identity->options.clients_len; i++)
        if (slice_eq(identity->options.clients[i].id, id))
            return &identity->options.clients[i];
    return NULL;
}

enum status identity_client_find(struct task *task, struct identity *identity, struct slice id,
                                 struct identity_client *ret)
{
    const struct identity_client *configured = find_configured(identity, id);
    if (configured) {
        *ret = *configured;
        return STATUS_OK;
    }
    if (!is_id(id))
        return STATUS_NOT_FOUND;
    const struct store_value value = store_text(id);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(task, identity->store, IDENTITY__SQL(find_sql), &value, 1, &rows);
    return st == STATUS_OK ? take(task_arena(task), rows, ret) : st;
}

enum status identity_clients_list(struct task *task, struct identity *identity,
                                  const struct identity_client **ret, unsigned *ret_len,
                                  unsigned *ret_configured)
{
    unsigned len = identity->options.clients_len;
    struct identity_client *all =
        arena_array_of(task_arena(task), struct identity_client, len + LIST_MAX);
    if (!all)
        return problem_set(task, STATUS_EXHAUSTED, "identity/too-large", "There are too many.");
    if (len)
        memcpy(all, identity->options.clients, len * sizeof(*all));
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_query(task, identity->store, IDENTITY__SQL(list_sql), NULL, 0, &rows);
    while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK)
        if (!find_configured(identity, store_rows_bytes(rows, 0)))
            st = take(task_arena(task), rows, &all[len++]);
    if (st != STATUS_NOT_FOUND)
        return st;
    *ret = all;
    *ret_len = len;
    *ret_configured = identity->options.clients_len;
    return STATUS_OK;
}

/* -- changing
 * ------------------------------------------------------------------------------------------ */

static const char insert_sql[] =
    "INSERT INTO purlin_oauth_clients (id, name, secret, redirects, scopes, grants, trusted,"
    "                                  created_at)"
    "  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
static const char secret_sql[] =
    "UPDATE purlin_oauth_clients SET secret = $1 WHERE id = $2 AND secret IS NOT NULL";
static const char *const remove_sql[] = {
    "DELETE FROM purlin_oauth_codes WHERE client_id = $1",
    "DELETE FROM purlin_oauth_consents WHERE client_id = $1",
    "DELETE FROM purlin_oauth_clients WHERE id = $1",
};
static const char end_sql[] = "UPDATE purlin_sessions SET ended_at = $1, end_reason = 'client'"
                              " WHERE client_id = $2 AND ended_at IS NULL";

static struct store_value digest_value(const struct identity_digest *digest)
{
    return store_blob(slice_of((const char *)digest->bytes, sizeof(digest->bytes)));
}

/* By whoever has the machine. */
static enum status put_note(struct store_tx *tx, struct identity *identity,
                            enum identity_audit_act act, struct slice id, struct slice details)
{
    struct identity_note note;
    identity_note_operator(&note, identity, act, NULL);
    note.event.subject_kind = SLICE("client");
    note.event.subject_id = id;
    note.event.details = details;
    return identity_note_put(tx, &note);
}

struct creation {
    struct identity *identity;
    const struct identity_client *client;
};

static enum status write_client(struct store_tx *tx, void *arg)
{
    const struct creation *c = arg;
    const struct identity_client *client = c->client;
    const struct store_value values[] = {
        store_text(client->id),
        store_text(client->name),
        client->is_confidential ? digest_value(&client->secret) : store_null(),
        store_text(client->redirects),
        store_text(client->scopes),
        store_i64(client->grants),
        store_i64(client->is_trusted),
        store_i64(clock_wall_us()),
    };
    enum status st = store_tx_exec(tx, IDENTITY__SQL(insert_sql), values, ARRAY_LEN(values), NULL);
    return st == STATUS_OK
               ? put_note(tx, c->identity, IDENTITY_AUDIT_CLIENT_CREATED, client->id, SLICE_NULL)
               : st;
}

enum status identity_client_create(struct task *task, struct identity *identity,
                                   struct identity_client *client,
                                   struct identity_secret *ret_secret)
{
    const struct identity_options *o = &identity->options;
    const char *reason = identity_client_check(client, o->scopes, o->scopes_len);
    if (reason)
        return problem_set(task, STATUS_INVALID, "identity/client", "The client %s.", reason);
    if (find_configured(identity, client->id))
        return problem_set(task, STATUS_CONFLICT, "identity/client",
                           "A client of this id is in purlin.yaml.");
    enum status st = STATUS_OK;
    if (client->is_confidential) {
        st = identity_secret_make(SLICE(IDENTITY_CLIENT_PREFIX), ret_secret);
        client->secret = identity_secret_digest(identity_secret_text(ret_secret));
    }
    struct creation creation = { identity, client };
    if (st == STATUS_OK)
        st = store_write(task, identity->store, write_client, &creation);
    if (st == STATUS_CONFLICT)
        return problem_set(task, st, "identity/client", "There is a client of this id.");
    return st;
}

struct renewal {
    struct identity *identity;
    struct slice id;
    struct identity_digest secret;
};

static enum status write_secret(struct store_tx *tx, void *arg)
{
    const struct renewal *r = arg;
    const struct store_value values[] = { digest_value(&r->secret), store_text(r->id) };
    int64_t changes = 0;
    enum status st =
        store_tx_exec(tx, IDENTITY__SQL(secret_sql), values, ARRAY_LEN(values), &changes);
    if (st == STATUS_OK && changes == 0)
        return STATUS_NOT_FOUND;
    return st == STATUS_OK ? put_note(tx, r->identity, IDENTITY_AUDIT_CLIENT_CHANGED, r->id,
                                      SLICE("{\"secret\":\"rotated\"}"))
                           : st;
}

enum status identity_client_secret_renew(struct task *task, struct identity *identity,
                                         struct slice id, struct identity_secret *ret_secret)
{
    struct renewal r = { .identity = identity, .id = id };
    if (find_configured(identity, id))
        return problem_set(task, STATUS_INVALID, "identity/client",
                           "This client's secret is in purlin.yaml.");
    enum status st = identity_secret_make(SLICE(IDENTITY_CLIENT_PREFIX), ret_secret);
    if (st != STATUS_OK)
        return st;
    r.secret = identity_secret_digest(identity_secret_text(ret_secret));
    st = store_write(task, identity->store, write_secret, &r);
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, st, "identity/client",
                           "There is no client of this id that has a secret.");
    return st;
}

struct removal {
    struct identity *identity;
    struct slice id;
};

static enum status write_removal(struct store_tx *tx, void *arg)
{
    static const struct uuid everybody = { { 0 } };
    const struct removal *r = arg;
    int64_t now_us = clock_wall_us(), changes = 0;
    const struct store_value value = store_text(r->id);
    const struct store_value ending[] = { store_i64(now_us), value };
    enum status st = store_tx_exec(tx, IDENTITY__SQL(end_sql), ending, ARRAY_LEN(ending), NULL);
    for (size_t i = 0; i < ARRAY_LEN(remove_sql) && st == STATUS_OK; i++)
        st = store_tx_exec(tx, slice_cstr(remove_sql[i]), &value, 1, &changes);
    if (st == STATUS_OK && changes == 0)
        return STATUS_NOT_FOUND;
    /* Tokens of many people may be cached: all are looked up again. */
    if (st == STATUS_OK)
        st = identity_feed_put(tx, IDENTITY_FEED_ALL, &everybody, now_us);
    return st == STATUS_OK
               ? put_note(tx, r->identity, IDENTITY_AUDIT_CLIENT_DELETED, r->id, SLICE_NULL)
               : st;
}

enum status identity_client_remove(struct task *task, struct identity *identity, struct slice id)
{
    if (find_configured(identity, id))
        return problem_set(task, STATUS_INVALID, "identity/client",
                           "This client is in purlin.yaml: remove it there.");
    struct removal removal = { identity, id };
    enum status st = store_write(task, identity->store, write_removal, &removal);
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, st, "identity/client", "There is no client of this id.");
    return st;
}
