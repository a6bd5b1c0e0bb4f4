/* identity/account.c - Accounts in the store. */
#include "identity/account.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "fiber/task.h"
#include "identity/room.h"
#include "store/store.h"

#define ROLES_BYTES_MAX ((size_t)IDENTITY_ROLES_MAX * (IDENTITY_ROLE_BYTES_MAX + 3) + 2)

/* -- addresses
 * ----------------------------------------------------------------------------------------- */

/* What no address has outside of quotes, and quoted ones are refused: they are somebody trying. */
static bool is_plain(unsigned char c)
{
    return c > ' ' && c != 127 && !strchr("()<>[]:;,\\\"", c);
}

static bool is_address(struct slice email)
{
    size_t at = slice_find(email, '@');
    if (at == SIZE_MAX || at == 0 || at > 64 || email.len > IDENTITY_EMAIL_MAX)
        return false;
    struct slice domain = slice_from(email, at + 1);
    for (size_t i = 0; i < email.len; i++) {
        if (!is_plain((unsigned char)email.data[i]))
            return false;
    }
    if (slice_find(domain, '@') != SIZE_MAX || domain.len == 0)
        return false;
    struct slice label;
    while (slice_split(&domain, '.', &label)) {
        if (label.len == 0 || label.len > 63 || label.data[0] == '-')
            return false;
    }
    return utf8_is_valid(email);
}

enum status identity_email_key(struct arena *arena, struct slice email, struct slice *ret_key)
{
    email = slice_trim(email);
    if (!is_address(email))
        return STATUS_INVALID;
    char *key = arena_alloc(arena, email.len);
    if (!key)
        return STATUS_EXHAUSTED;
    for (size_t i = 0; i < email.len; i++) {
        char c = email.data[i];
        key[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    *ret_key = slice_of(key, email.len);
    return STATUS_OK;
}

/* -- roles
 * --------------------------------------------------------------------------------------------- */

bool identity_role_is_name(struct slice role)
{
    if (role.len == 0 || role.len > IDENTITY_ROLE_BYTES_MAX || role.data[0] < 'a' ||
        role.data[0] > 'z')
        return false;
    for (size_t i = 1; i < role.len; i++) {
        char c = role.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("-_.:", c)))
            return false;
    }
    return true;
}

enum status identity_roles_read(struct arena *arena, struct slice json, const struct slice **ret,
                                unsigned *ret_len)
{
    json_t *array, *item;
    size_t i;
    *ret = NULL;
    *ret_len = 0;
    if (slice_eq(json, SLICE("[]")) || json.len == 0)
        return STATUS_OK;
    enum status st = json_read(arena, json, JSON_LIMITS_DEFAULT, &array, NULL);
    if (st != STATUS_OK)
        return st == STATUS_EXHAUSTED ? st : STATUS_INVALID;
    if (!json_is_array(array) || json_array_size(array) > IDENTITY_ROLES_MAX)
        return STATUS_INVALID;
    struct slice *roles = arena_array_of(arena, struct slice, json_array_size(array));
    if (!roles)
        return STATUS_EXHAUSTED;
    json_array_foreach(array, i, item)
    {
        roles[i] = json_slice(item);
        if (!json_is_string(item) || !identity_role_is_name(roles[i]))
            return STATUS_INVALID;
    }
    *ret = roles;
    *ret_len = (unsigned)json_array_size(array);
    return STATUS_OK;
}

enum status identity_roles_write(struct arena *arena, const struct slice *roles, unsigned len,
                                 struct slice *ret_json)
{
    struct buf b;
    buf_init(&b, arena, 64, ROLES_BYTES_MAX);
    struct json_out o = json_out(&b);
    if (len > IDENTITY_ROLES_MAX)
        return STATUS_INVALID;
    json_out_array(&o);
    for (unsigned i = 0; i < len; i++) {
        if (!identity_role_is_name(roles[i]))
            return STATUS_INVALID;
        json_out_string(&o, roles[i]);
    }
    json_out_end(&o);
    *ret_json = buf_slice(&b);
    return buf_status(&b);
}

/* -- reading
 * ------------------------------------------------------------------------------------------- */

/* The person's row is looked for by what identity->person says: a condition on "u". */
#define COLUMNS                                                                                    \
    "SELECT a.user_id, a.email, a.verified_at, a.password, a.password_at, a.roles, a.disabled_at," \
    " a.delete_at, a.totp, a.totp_step,"                                                           \
    " EXISTS (SELECT 1 FROM users u WHERE u.id = a.user_id%.*s),"                                  \
    " EXISTS (SELECT 1 FROM purlin_passkeys p WHERE p.user_id = a.user_id)"                        \
    " FROM purlin_accounts a "

enum status identity__account_statements(struct identity *identity)
{
    struct identity__statements *sql = &identity->sql;
    sql->account_by_email = arena_printf(identity->arena, COLUMNS "WHERE a.email_key = $1",
                                         SLICE_ARG(identity->person));
    sql->account_by_user =
        arena_printf(identity->arena, COLUMNS "WHERE a.user_id = $1", SLICE_ARG(identity->person));
    return sql->account_by_email.data && sql->account_by_user.data ? STATUS_OK : STATUS_EXHAUSTED;
}

static enum status take(struct arena *arena, const struct store_rows *rows,
                        struct identity_account *ret)
{
    *ret = (struct identity_account){
        .verified_us = store_rows_i64(rows, 2),
        .password_us = store_rows_i64(rows, 4),
        .disabled_us = store_rows_i64(rows, 6),
        .delete_us = store_rows_i64(rows, 7),
        .totp_step = store_rows_i64(rows, 9),
        .has_person = store_rows_i64(rows, 10) != 0,
        .has_passkey = store_rows_i64(rows, 11) != 0,
    };
    struct slice id = store_rows_bytes(rows, 0), roles;
    if (id.len != sizeof(ret->user.bytes))
        return STATUS_INTERNAL;
    memcpy(ret->user.bytes, id.data, id.len);
    enum status st = arena_copy(arena, store_rows_bytes(rows, 1), &ret->email);
    if (st == STATUS_OK)
        st = arena_copy(arena, store_rows_bytes(rows, 3), &ret->password);
    if (st == STATUS_OK)
        st = arena_copy(arena, store_rows_bytes(rows, 8), &ret->totp);
    if (st == STATUS_OK)
        st = arena_copy(arena, store_rows_bytes(rows, 5), &roles);
    if (st == STATUS_OK)
        st = identity_roles_read(arena, roles, &ret->roles, &ret->roles_len);
    return st == STATUS_INVALID ? STATUS_INTERNAL : st;
}

static enum status read_one(struct task *task, struct identity *identity, struct slice sql,
                            struct store_value value, struct identity_account *ret)
{
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(task, identity->store, sql, &value, 1, &rows);
    return st == STATUS_OK ? take(task_arena(task), rows, ret) : st;
}

enum status identity_account_by_email(struct task *task, struct identity *identity,
                                      struct slice email_key, struct identity_account *ret)
{
    return read_one(task, identity, identity->sql.account_by_email, store_text(email_key), ret);
}

enum status identity_account_by_user(struct task *task, struct identity *identity,
                                     const struct uuid *user, struct identity_account *ret)
{
    return read_one(task, identity, identity->sql.account_by_user, identity__id(user), ret);
}

static enum status read_one_in(struct store_tx *tx, struct slice sql, struct store_value value,
                               struct identity_account *ret)
{
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, sql, &value, 1, &rows);
    return st == STATUS_OK ? take(store_tx_arena(tx), rows, ret) : st;
}

enum status identity_account_by_email_in(struct store_tx *tx, struct identity *identity,
                                         struct slice email_key, struct identity_account *ret)
{
    return read_one_in(tx, identity->sql.account_by_email, store_text(email_key), ret);
}

enum status identity_account_by_user_in(struct store_tx *tx, struct identity *identity,
                                        const struct uuid *user, struct identity_account *ret)
{
    return read_one_in(tx, identity->sql.account_by_user, identity__id(user), ret);
}

/* -- writing
 * ------------------------------------------------------------------------------------------- */

static const char insert_sql[] =
    "INSERT INTO purlin_accounts"
    "  (user_id, email, email_key, password, password_at, roles, verified_at, created_at)"
    "  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

enum status identity_account_put(struct store_tx *tx, const struct identity_account_new *account)
{
    bool has_password = account->password.len > 0;
    const struct store_value values[] = {
        identity__id(&account->user),
        store_text(account->email),
        store_text(account->email_key),
        has_password ? store_text(account->password) : store_null(),
        has_password ? store_i64(account->now_us) : store_null(),
        store_text(account->roles.len ? account->roles : SLICE("[]")),
        account->verified_us ? store_i64(account->verified_us) : store_null(),
        store_i64(account->now_us),
    };
    return store_tx_exec(tx, IDENTITY__SQL(insert_sql), values, ARRAY_LEN(values), NULL);
}
