/*
 * identity/api_keys_write.c - Keys are made, given a new secret and ended: the row and its line in
 * the audit log in one transaction; then the caches are told.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "fiber/task.h"
#include "identity/api_keys_private.h"
#include "identity/token_cache.h"
#include "store/store.h"

/* Live ones: an account cannot fill the table. */
#define USER_KEYS_MAX 100
#define SERVICE_KEYS_MAX 1000

static const char count_user_sql[] =
    "SELECT COUNT(*) FROM purlin_api_keys"
    " WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
static const char count_service_sql[] =
    "SELECT COUNT(*) FROM purlin_api_keys"
    " WHERE user_id IS NULL AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)";
static const char insert_sql[] =
    "INSERT INTO purlin_api_keys"
    "  (id, name, user_id, roles, scopes, addresses, shown, digest, created_at, expires_at, change)"
    "  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
    "         (SELECT COALESCE(MAX(change), 0) + 1 FROM purlin_api_keys)";
static const char state_sql[] = "SELECT revoked_at, expires_at FROM purlin_api_keys WHERE id = $1";
static const char rotate_sql[] =
    "UPDATE purlin_api_keys"
    "   SET previous_digest = digest, previous_until = $1, digest = $2, shown = $3,"
    "       rotated_at = $4,"
    "       change = (SELECT COALESCE(MAX(change), 0) + 1 FROM purlin_api_keys)"
    " WHERE id = $5";
static const char revoke_sql[] =
    "UPDATE purlin_api_keys"
    "   SET revoked_at = $1, previous_digest = NULL, previous_until = NULL,"
    "       change = (SELECT COALESCE(MAX(change), 0) + 1 FROM purlin_api_keys)"
    " WHERE id = $2 AND revoked_at IS NULL";
static const char revoke_user_sql[] =
    "UPDATE purlin_api_keys"
    "   SET revoked_at = $1, previous_digest = NULL, previous_until = NULL,"
    "       change = (SELECT COALESCE(MAX(change), 0) + 1 FROM purlin_api_keys)"
    " WHERE user_id = $2 AND revoked_at IS NULL";

#define SQL(text) slice_of((text), sizeof(text) - 1)

struct id_text {
    char bytes[UUID_TEXT_LEN];
};

static struct slice text_of(const struct uuid *id, struct id_text *out)
{
    uuid_format(id, out->bytes);
    return slice_of(out->bytes, sizeof(out->bytes));
}

void identity__api_key_changed(struct identity_api_keys *keys, const struct uuid *id)
{
    struct id_text text;
    if (keys->revocations)
        identity_revoke_session(keys->revocations, text_of(id, &text));
}

/* -- what is asked for
 * ------------------------------------------------------------------------------------- */

/* What may stand in a list of OAuth scopes (RFC 6749 section 3.3); nor a comma. */
static bool is_word(struct slice word)
{
    for (size_t i = 0; i < word.len; i++) {
        char c = word.data[i];
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == ',')
            return false;
    }
    return word.len > 0 && word.len <= IDENTITY_API_KEY_WORD_MAX;
}

static void check_words(struct task *task, const char *pointer, const struct slice *words,
                        unsigned len, unsigned max)
{
    struct problem *problem = task_problem(task);
    if (len > max)
        problem_field_add(problem, task_arena(task), slice_cstr(pointer), "too_many",
                          "At most %u of them.", max);
    for (unsigned i = 0; i < len && i < max; i++)
        if (!is_word(words[i]))
            problem_field_add(problem, task_arena(task), slice_cstr(pointer), "format",
                              "Each is a word of 1 to %u printable characters without spaces, "
                              "commas, quotes and backslashes.",
                              IDENTITY_API_KEY_WORD_MAX);
}

static void check_addresses(struct task *task, const struct identity_api_key_order *order)
{
    struct problem *problem = task_problem(task);
    struct address_set set = { .len = 0 };
    const char *reason = "";
    if (order->addresses_len > IDENTITY_API_KEY_ADDRESSES_MAX)
        problem_field_add(problem, task_arena(task), SLICE("/addresses"), "too_many",
                          "At most %u of them.", IDENTITY_API_KEY_ADDRESSES_MAX);
    for (unsigned i = 0; i < order->addresses_len && i < IDENTITY_API_KEY_ADDRESSES_MAX; i++)
        if (!address_set_add(&set, order->addresses[i], &reason))
            problem_field_add(problem, task_arena(task), SLICE("/addresses"), "format", "%.*s: %s.",
                              (int)MIN(order->addresses[i].len, 64u), order->addresses[i].data,
                              reason);
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((uint8_t)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return true;
    return false;
}

static enum status check_order(struct task *task, const struct identity_api_key_order *order,
                               int64_t now_us)
{
    struct problem *problem = task_problem(task);
    struct arena *arena = task_arena(task);
    size_t before = problem->fields_len;
    if (order->name.len == 0 || order->name.len > IDENTITY_API_KEY_NAME_MAX ||
        !utf8_is_valid(order->name) || has_control(order->name))
        problem_field_add(problem, arena, SLICE("/name"), "format",
                          "A name of 1 to %u bytes, without control characters.",
                          IDENTITY_API_KEY_NAME_MAX);
    check_words(task, "/roles", order->roles, order->roles_len, IDENTITY_API_KEY_ROLES_MAX);
    check_words(task, "/scopes", order->scopes, order->scopes_len, IDENTITY_API_KEY_SCOPES_MAX);
    if (order->user && order->roles_len > 0)
        problem_field_add(problem, arena, SLICE("/roles"), "not_allowed",
                          "A user's key has the user's roles; narrow it by scopes.");
    if (!order->user && order->roles_len == 0)
        problem_field_add(problem, arena, SLICE("/roles"), "required",
                          "A key that is no user's needs a role.");
    check_addresses(task, order);
    if (order->expires_us && order->expires_us <= now_us)
        problem_field_add(problem, arena, SLICE("/expires_at"), "past", "It lies in the past.");
    return problem->fields_len > before ? STATUS_INVALID : STATUS_OK;
}

static struct slice join(struct arena *arena, const struct slice *words, unsigned len, char by)
{
    struct buf text;
    buf_init(&text, arena, 64, (size_t)64 * (IDENTITY_API_KEY_WORD_MAX + 1));
    for (unsigned i = 0; i < len; i++) {
        if (i > 0)
            buf_putc(&text, by);
        buf_put_slice(&text, words[i]);
    }
    return slice_of(text.len ? text.data : "", text.len);
}

/* -- writing
 * -----------------------------------------------------------------------------------------------
 */

/* A change on its way. */
struct change {
    struct identity_api_keys *keys;
    const struct identity_api_key_order *order;
    const struct identity_audit_event *by;
    const struct uuid *id;
    struct slice id_text, user_text, roles, scopes, addresses, shown;
    struct identity_digest digest;
    int64_t now_us, until_us, changes;
    struct slice details;
};

static struct store_value digest_value(const struct identity_digest *digest)
{
    return store_blob(slice_of((const char *)digest->bytes, sizeof(digest->bytes)));
}

static enum status put_event(struct store_tx *tx, const struct change *c,
                             enum identity_audit_act act, struct slice kind, struct slice id,
                             struct slice details)
{
    struct identity_audit_event event = *c->by;
    event.act = act;
    event.outcome = IDENTITY_AUDIT_OK;
    event.subject_kind = kind;
    event.subject_id = id;
    event.details = details;
    return identity_audit_put(tx, c->keys->audit, &event);
}

static enum status check_count(struct store_tx *tx, const struct change *c)
{
    bool has_user = c->order->user;
    const struct store_value values[] = { store_text(c->user_text), store_i64(c->now_us) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, has_user ? SQL(count_user_sql) : SQL(count_service_sql),
                                  has_user ? values : values + 1, has_user ? 2 : 1, &rows);
    int max = has_user ? USER_KEYS_MAX : SERVICE_KEYS_MAX;
    if (st == STATUS_OK && store_rows_i64(rows, 0) >= max)
        st = store_tx_problem_set(tx, STATUS_CONFLICT, "identity/api-keys-many",
                                  "There are %d live API keys already; revoke one that is not "
                                  "needed.",
                                  max);
    return st;
}

static enum status write_create(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    const struct identity_api_key_order *order = c->order;
    const struct store_value values[] = {
        store_text(c->id_text),
        store_text(order->name),
        order->user ? store_text(c->user_text) : store_null(),
        store_text(c->roles),
        store_text(c->scopes),
        store_text(c->addresses),
        store_text(c->shown),
        digest_value(&c->digest),
        store_i64(c->now_us),
        order->expires_us ? store_i64(order->expires_us) : store_null(),
    };
    enum status st = check_count(tx, c);
    if (st == STATUS_OK)
        st = store_tx_exec(tx, SQL(insert_sql), values, ARRAY_LEN(values), NULL);
    if (st == STATUS_OK)
        st = put_event(tx, c, IDENTITY_AUDIT_KEY_CREATED, SLICE("key"), c->id_text, c->details);
    return st;
}

static struct slice describe(const struct change *c, struct arena *arena)
{
    const struct identity_api_key_order *order = c->order;
    struct buf text;
    buf_init(&text, arena, 256, IDENTITY_AUDIT_DETAILS_MAX);
    struct json_out o = json_out(&text);
    json_out_object(&o);
    json_out_key(&o, SLICE("name"));
    json_out_string(&o, order->name);
    json_out_key(&o, SLICE("user"));
    if (order->user)
        json_out_string(&o, c->user_text);
    else
        json_out_null(&o);
    json_out_key(&o, SLICE("roles"));
    json_out_string(&o, c->roles);
    json_out_key(&o, SLICE("scopes"));
    json_out_string(&o, c->scopes);
    json_out_key(&o, SLICE("addresses"));
    json_out_string(&o, c->addresses);
    json_out_end(&o);
    /* Many long scopes: the row of the key has them. */
    return buf_status(&text) == STATUS_OK ? buf_slice(&text) : SLICE("{\"too_long\":true}");
}

static enum status make_secret(struct task *task, struct change *c, struct identity_secret *secret)
{
    enum status st = identity_secret_make(SLICE(IDENTITY_API_KEY_PREFIX), secret);
    if (st != STATUS_OK)
        return st;
    c->digest = identity_secret_digest(identity_secret_text(secret));
    return arena_copy(task_arena(task),
                      slice_head(identity_secret_text(secret), IDENTITY_API_KEY_SHOWN_LEN),
                      &c->shown);
}

enum status identity_api_key_create(struct task *task, struct identity_api_keys *keys,
                                    const struct identity_api_key_order *order,
                                    const struct identity_audit_event *by, int64_t now_us,
                                    struct uuid *ret_id, struct identity_secret *ret_secret)
{
    struct arena *arena = task_arena(task);
    struct uuid id = uuid_v7();
    struct id_text id_bytes, user_bytes;
    CLEANUP(identity_secret_wipe) struct identity_secret secret = { .len = 0 };
    struct change c = { .keys = keys, .order = order, .by = by, .now_us = now_us };
    enum status st = check_order(task, order, now_us);
    if (st == STATUS_OK)
        st = make_secret(task, &c, &secret);
    if (st != STATUS_OK)
        return st;
    c.id_text = text_of(&id, &id_bytes);
    c.user_text = order->user ? text_of(order->user, &user_bytes) : SLICE_NULL;
    c.roles = join(arena, order->roles, order->roles_len, ' ');
    c.scopes = join(arena, order->scopes, order->scopes_len, ' ');
    c.addresses = join(arena, order->addresses, order->addresses_len, ',');
    c.details = describe(&c, arena);
    st = store_write(task, keys->store, write_create, &c);
    if (st != STATUS_OK)
        return st;
    *ret_id = id;
    *ret_secret = secret;
    return STATUS_OK;
}

static enum status refuse_unknown(struct store_tx *tx)
{
    return store_tx_problem_set(tx, STATUS_NOT_FOUND, "identity/api-key-none",
                                "There is no API key with this id.");
}

static enum status write_rotate(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    const struct store_value id = store_text(c->id_text);
    bool has_ended = false;
    {
        CLEANUP(store_rows_close) struct store_rows *rows = NULL;
        enum status st = store_tx_one(tx, SQL(state_sql), &id, 1, &rows);
        if (st != STATUS_OK)
            return st == STATUS_NOT_FOUND ? refuse_unknown(tx) : st;
        int64_t expires_us = store_rows_i64(rows, 1);
        has_ended = !store_rows_is_null(rows, 0) || (expires_us && expires_us <= c->now_us);
    }
    if (has_ended)
        return store_tx_problem_set(tx, STATUS_CONFLICT, "identity/api-key-ended",
                                    "This API key has ended; make a new one.");
    const struct store_value values[] = {
        store_i64(c->until_us), digest_value(&c->digest), store_text(c->shown),
        store_i64(c->now_us),   store_text(c->id_text),
    };
    enum status st = store_tx_exec(tx, SQL(rotate_sql), values, ARRAY_LEN(values), NULL);
    if (st != STATUS_OK)
        return st;
    struct slice details = arena_printf(store_tx_arena(tx), "{\"grace_s\":%lld}",
                                        (long long)((c->until_us - c->now_us) / 1000000));
    return put_event(tx, c, IDENTITY_AUDIT_KEY_ROTATED, SLICE("key"), c->id_text, details);
}

enum status identity_api_key_rotate(struct task *task, struct identity_api_keys *keys,
                                    const struct uuid *id, int64_t grace_us,
                                    const struct identity_audit_event *by, int64_t now_us,
                                    struct identity_secret *ret_secret)
{
    struct id_text id_bytes;
    CLEANUP(identity_secret_wipe) struct identity_secret secret = { .len = 0 };
    struct change c = { .keys = keys, .by = by, .now_us = now_us, .until_us = now_us + grace_us };
    if (grace_us < 0 || grace_us > IDENTITY_API_KEY_GRACE_MAX_US)
        return problem_set(task, STATUS_INVALID, "identity/api-key-grace",
                           "The time for which the old secret still holds is 0 to 30 days.");
    c.id_text = text_of(id, &id_bytes);
    enum status st = make_secret(task, &c, &secret);
    if (st == STATUS_OK)
        st = store_write(task, keys->store, write_rotate, &c);
    if (st != STATUS_OK)
        return st;
    identity__api_key_changed(keys, id);
    *ret_secret = secret;
    return STATUS_OK;
}

static enum status write_revoke(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    const struct store_value values[] = { store_i64(c->now_us), store_text(c->id_text) };
    enum status st = store_tx_exec(tx, SQL(revoke_sql), values, ARRAY_LEN(values), &c->changes);
    if (st != STATUS_OK)
        return st;
    if (c->changes)
        return put_event(tx, c, IDENTITY_AUDIT_KEY_REVOKED, SLICE("key"), c->id_text, SLICE_NULL);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    st = store_tx_one(tx, SQL(state_sql), &values[1], 1, &rows);
    return st == STATUS_NOT_FOUND ? refuse_unknown(tx) : st;
}

enum status identity_api_key_revoke(struct task *task, struct identity_api_keys *keys,
                                    const struct uuid *id, const struct identity_audit_event *by,
                                    int64_t now_us)
{
    struct id_text id_bytes;
    struct change c = { .keys = keys, .by = by, .now_us = now_us };
    c.id_text = text_of(id, &id_bytes);
    enum status st = store_write(task, keys->store, write_revoke, &c);
    if (st == STATUS_OK)
        identity__api_key_changed(keys, id);
    return st;
}

enum status identity_api_keys_revoke_user_put(struct store_tx *tx, struct identity_api_keys *keys,
                                              const struct uuid *user,
                                              const struct identity_audit_event *by, int64_t now_us,
                                              int64_t *ret_len)
{
    struct id_text user_bytes;
    const struct change c = { .keys = keys, .by = by };
    const struct store_value values[] = { store_i64(now_us),
                                          store_text(text_of(user, &user_bytes)) };
    int64_t len = 0;
    enum status st = store_tx_exec(tx, SQL(revoke_user_sql), values, ARRAY_LEN(values), &len);
    if (st == STATUS_OK && len > 0)
        st =
            put_event(tx, &c, IDENTITY_AUDIT_KEY_REVOKED, SLICE("user"), text_of(user, &user_bytes),
                      arena_printf(store_tx_arena(tx), "{\"keys\":%lld}", (long long)len));
    if (st == STATUS_OK)
        *ret_len = len;
    return st;
}
