/*
 * identity/oauth_userinfo.c - GET and POST /oauth/userinfo: what the granted scopes tell of the
 * person (OpenID Connect Core section 5.3). What their profile is, the contract says: its fields of
 * OpenID's names, and display_name.
 */
#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/answer.h"
#include "identity/caller.h"
#include "identity/oauth.h"
#include "identity/room.h"
#include "store/store.h"

#define ANSWER_BYTES_MAX ((size_t)32 * 1024)

/* Claims of the scope "profile", and the fields they may be in, the first that is there. */
static const struct {
    const char *claim, *fields[3];
} profile[] = {
    { "name", { "name", "display_name", "full_name" } },
    { "given_name", { "given_name", "first_name" } },
    { "family_name", { "family_name", "last_name" } },
    { "nickname", { "nickname" } },
    { "preferred_username", { "preferred_username", "username", "handle" } },
    { "picture", { "picture", "avatar_url" } },
    { "website", { "website", "website_url" } },
    { "locale", { "locale" } },
    { "zoneinfo", { "zoneinfo", "time_zone" } },
};

/* The text field of the contract that a claim is taken from; NULL: there is none. What clients may
 * not read is told to none. */
static const struct contract_field *field_of(const struct contract *contract, size_t claim)
{
    for (size_t i = 0; i < ARRAY_LEN(profile[claim].fields) && profile[claim].fields[i]; i++) {
        const struct contract_field *field =
            contract_field_find(contract, slice_cstr(profile[claim].fields[i]));
        bool is_text = field && (field->type == CONTRACT_STRING || field->type == CONTRACT_URL);
        if (is_text && !field->writeonly && !field->hidden)
            return field;
    }
    return NULL;
}

static void ask(struct store_sql *sql, const struct contract *contract, const struct uuid *user)
{
    store_sql_lit(sql, "SELECT 1");
    for (size_t i = 0; i < ARRAY_LEN(profile); i++) {
        const struct contract_field *field = field_of(contract, i);
        store_sql_lit(sql, ", ");
        if (field)
            store_sql_name(sql, contract->columns[field->column].name);
        else
            store_sql_lit(sql, "NULL");
    }
    store_sql_lit(sql, " FROM users WHERE id = ");
    store_sql_value(sql, identity__id(user));
}

static enum status put_profile(struct task *task, struct identity *identity, struct json_out *o,
                               const struct uuid *user)
{
    const struct identity_people *people = &identity->options.people;
    struct contract_set *set = people->hold(people->arg);
    const struct contract *contract = contract_find(set, SLICE(IDENTITY_PEOPLE));
    struct store_sql sql;
    store_sql_init(&sql, task_arena(task));
    if (contract)
        ask(&sql, contract, user);
    people->release(people->arg, set);
    if (!contract || store_sql_status(&sql) != STATUS_OK)
        return contract ? store_sql_status(&sql) : STATUS_OK;
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st =
        store_one(task, identity->store, buf_slice(&sql.text), sql.values, sql.values_len, &rows);
    for (size_t i = 0; i < ARRAY_LEN(profile) && st == STATUS_OK; i++)
        if (store_rows_kind(rows, (unsigned)i + 1) == STORE_TEXT)
            identity_put_text(o, profile[i].claim, store_rows_bytes(rows, (unsigned)i + 1));
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status put_email(struct task *task, struct identity *identity, struct json_out *o,
                             const struct uuid *user)
{
    struct identity_account account;
    enum status st = identity_account_by_user(task, identity, user, &account);
    if (st == STATUS_OK) {
        identity_put_text(o, "email", account.email);
        identity_put_flag(o, "email_verified", account.verified_us != 0);
    }
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status refuse(struct task *task, struct http_request *req,
                          enum identity_oauth_error error, const char *challenge, const char *text)
{
    http_header_add(req, SLICE("WWW-Authenticate"), slice_cstr(challenge));
    return identity_oauth_refuse(task, req, error, text);
}

enum status identity__oauth_userinfo(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who = { .is_cookie = false };
    enum status st = identity_caller_find(task, identity, req, &who);
    if (st == STATUS_NOT_FOUND || st == STATUS_UNAUTHENTICATED ||
        (st == STATUS_OK && (who.is_cookie || who.is_key)))
        return refuse(task, req, IDENTITY_OAUTH_INVALID_TOKEN,
                      "Bearer realm=\"purlin\", error=\"invalid_token\"",
                      "This needs an access token.");
    if (st != STATUS_OK)
        return st;
    bool is_own = who.client_id.len == 0; /* our own sign-in may know all of it */
    if (!who.has_user || !(is_own || identity_scope_has(who.scope, SLICE("openid"))))
        return refuse(task, req, IDENTITY_OAUTH_INSUFFICIENT_SCOPE,
                      "Bearer realm=\"purlin\", error=\"insufficient_scope\", scope=\"openid\"",
                      "This needs a token with the scope openid.");
    struct buf b;
    buf_init(&b, task_arena(task), 512, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    identity_put_id(&o, "sub", &who.user);
    if (is_own || identity_scope_has(who.scope, SLICE("email")))
        st = put_email(task, identity, &o, &who.user);
    if (st == STATUS_OK && (is_own || identity_scope_has(who.scope, SLICE("profile"))))
        st = put_profile(task, identity, &o, &who.user);
    json_out_end(&o);
    return st == STATUS_OK ? identity_answer_json(task, req, 200, &b) : st;
}
