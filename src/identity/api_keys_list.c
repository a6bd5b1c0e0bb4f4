/*
 * identity/api_keys_list.c - Keys as people see them: everything but what opens anything.
 */
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "fiber/task.h"
#include "identity/api_keys_private.h"
#include "store/store.h"

#define COLUMNS                                                                                    \
    "id, name, shown, user_id, roles, scopes, addresses, created_at, expires_at, rotated_at,"      \
    " previous_until, revoked_at, last_used_at, last_used_address"

static const char get_sql[] = "SELECT " COLUMNS "  FROM purlin_api_keys WHERE id = $1";

static enum status take_info(struct task *task, const struct store_rows *rows,
                             struct identity_api_key_info *ret_info)
{
    struct identity_api_key_info info = {
        .has_user = !store_rows_is_null(rows, 3),
        .created_us = store_rows_i64(rows, 7),
        .expires_us = store_rows_i64(rows, 8),
        .rotated_us = store_rows_i64(rows, 9),
        .previous_until_us = store_rows_i64(rows, 10),
        .revoked_us = store_rows_i64(rows, 11),
        .last_used_us = store_rows_i64(rows, 12),
    };
    if (!uuid_parse(store_rows_bytes(rows, 0), &info.id) ||
        (info.has_user && !uuid_parse(store_rows_bytes(rows, 3), &info.user)))
        return problem_set(task, STATUS_INTERNAL, "identity/api-keys",
                           "The table of API keys is malformed.");
    const struct {
        unsigned column;
        struct slice *text;
    } texts[] = {
        { 1, &info.name },   { 2, &info.shown },     { 4, &info.roles },
        { 5, &info.scopes }, { 6, &info.addresses }, { 13, &info.last_used_address },
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        enum status st =
            arena_copy(task_arena(task), store_rows_bytes(rows, texts[i].column), texts[i].text);
        if (st != STATUS_OK)
            return st;
    }
    *ret_info = info;
    return STATUS_OK;
}

static struct slice id_text(const struct uuid *id, struct arena *arena)
{
    char *text = arena_alloc(arena, UUID_TEXT_LEN);
    if (text)
        uuid_format(id, text);
    return slice_of(text, text ? UUID_TEXT_LEN : 0);
}

static void put_conditions(struct store_sql *sql, const struct identity_api_keys_filter *filter,
                           int64_t now_us)
{
    store_sql_lit(sql, " WHERE 1 = 1");
    if (filter->user) {
        store_sql_lit(sql, " AND user_id = ");
        store_sql_value(sql, store_text(id_text(filter->user, sql->arena)));
    }
    if (!filter->with_ended) {
        store_sql_lit(sql, " AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ");
        store_sql_value(sql, store_i64(now_us));
        store_sql_lit(sql, ")");
    }
    if (filter->after) {
        store_sql_lit(sql, " AND id < ");
        store_sql_value(sql, store_text(id_text(filter->after, sql->arena)));
    }
}

enum status identity_api_keys_list(struct task *task, struct identity_api_keys *keys,
                                   const struct identity_api_keys_filter *filter, int64_t now_us,
                                   struct identity_api_keys_page *ret_page)
{
    struct arena *arena = task_arena(task);
    unsigned limit = MIN(MAX(filter->limit, 1), IDENTITY_API_KEYS_LIST_MAX);
    struct identity_api_keys_page page = { .items = arena_array_of(
                                               arena, struct identity_api_key_info, limit) };
    struct store_sql sql;
    store_sql_init(&sql, arena);
    store_sql_lit(&sql, "SELECT " COLUMNS " FROM purlin_api_keys");
    put_conditions(&sql, filter, now_us);
    store_sql_lit(&sql, " ORDER BY id DESC LIMIT ");
    store_sql_value(&sql, store_i64(limit + 1));
    enum status st = page.items ? store_sql_status(&sql) : STATUS_EXHAUSTED;
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    if (st == STATUS_OK)
        st = store_query_sql(task, keys->store, &sql, &rows);
    while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK) {
        if (page.len == limit) {
            page.has_more = true;
            break;
        }
        st = take_info(task, rows, &page.items[page.len]);
        page.len++;
    }
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    *ret_page = page;
    return STATUS_OK;
}

enum status identity_api_key_get(struct task *task, struct identity_api_keys *keys,
                                 const struct uuid *id, struct identity_api_key_info *ret_info)
{
    const struct store_value value = store_text(id_text(id, task_arena(task)));
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st =
        store_one(task, keys->store, slice_of(get_sql, sizeof(get_sql) - 1), &value, 1, &rows);
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, STATUS_NOT_FOUND, "identity/api-key-none",
                           "There is no API key with this id.");
    return st == STATUS_OK ? take_info(task, rows, ret_info) : st;
}

const char *identity_api_key_state(const struct identity_api_key_info *info, int64_t now_us)
{
    if (info->revoked_us)
        return "revoked";
    return info->expires_us && info->expires_us <= now_us ? "expired" : "active";
}

static void put_words(struct json_out *o, const char *key, struct slice words, char by)
{
    struct slice word;
    json_out_key(o, slice_cstr(key));
    json_out_array(o);
    while (words.len > 0 && slice_split(&words, by, &word))
        json_out_string(o, word);
    json_out_end(o);
}

static void put_time(struct json_out *o, const char *key, int64_t time_us)
{
    json_out_key(o, slice_cstr(key));
    if (time_us)
        json_out_time(o, time_us);
    else
        json_out_null(o);
}

static void put_id(struct json_out *o, const char *key, const struct uuid *id)
{
    char text[UUID_TEXT_LEN];
    json_out_key(o, slice_cstr(key));
    if (!id) {
        json_out_null(o);
        return;
    }
    uuid_format(id, text);
    json_out_string(o, slice_of(text, sizeof(text)));
}

void identity_api_key_info_write(const struct identity_api_key_info *info, int64_t now_us,
                                 struct buf *out)
{
    struct json_out o = json_out(out);
    json_out_object(&o);
    put_id(&o, "id", &info->id);
    json_out_key(&o, SLICE("name"));
    json_out_string(&o, info->name);
    json_out_key(&o, SLICE("prefix"));
    json_out_string(&o, info->shown);
    json_out_kv(&o, "state", identity_api_key_state(info, now_us));
    put_id(&o, "user", info->has_user ? &info->user : NULL);
    put_words(&o, "roles", info->roles, ' ');
    put_words(&o, "scopes", info->scopes, ' ');
    put_words(&o, "addresses", info->addresses, ',');
    put_time(&o, "created_at", info->created_us);
    put_time(&o, "expires_at", info->expires_us);
    put_time(&o, "rotated_at", info->rotated_us);
    put_time(&o, "old_secret_until",
             info->previous_until_us > now_us ? info->previous_until_us : 0);
    put_time(&o, "revoked_at", info->revoked_us);
    put_time(&o, "last_used_at", info->last_used_us);
    json_out_key(&o, SLICE("last_used_address"));
    if (info->last_used_address.len)
        json_out_string(&o, info->last_used_address);
    else
        json_out_null(&o);
    json_out_end(&o);
}
