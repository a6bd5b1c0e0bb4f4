/*
 * identity/route_passkeys.c - /auth/passkeys: the passkeys of who is signed in, added, listed,
 * named and removed.
 */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/answer.h"
#include "identity/caller.h"
#include "identity/feed.h"
#include "identity/input.h"
#include "identity/passkey.h"
#include "identity/passkey_options.h"
#include "identity/room.h"
#include "identity/route_factors.h"
#include "identity/routes.h"

#define ANSWER_BYTES_MAX ((size_t)16 * 1024)
#define PASSKEY_NAME "A passkey" /* as mails begin a sentence */

static struct slice id_text(const struct uuid *id)
{
    return slice_of((const char *)id->bytes, sizeof(id->bytes));
}

static enum status no_such(struct task *task)
{
    return problem_set(task, STATUS_NOT_FOUND, "identity/no-such-passkey",
                       "There is no such passkey.");
}

static void put_passkey(struct json_out *o, const struct identity_passkey *passkey)
{
    struct uuid aaguid;
    memcpy(aaguid.bytes, passkey->aaguid, sizeof(aaguid.bytes));
    identity_put_id(o, "id", &passkey->id);
    identity_put_text(o, "name", passkey->name);
    identity_put_time(o, "created_at", passkey->created_us);
    identity_put_time(o, "used_at", passkey->used_us);
    identity_put_flag(o, "synced", passkey->backed_up);
    identity_put_id(o, "aaguid", &aaguid);
    json_out_key(o, SLICE("transports"));
    json_out_raw(o, passkey->transports);
}

/* -- adding
 * ---------------------------------------------------------------------------------------- */

enum status identity__passkey_options(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    struct identity_account account;
    enum status st = identity_factor_owner(task, identity, req, &who, &account);
    if (st != STATUS_OK)
        return st;
    return identity_passkey_answer_creation(task, identity, req, &account, id_text(&who.session));
}

struct addition {
    struct identity_passkey passkey;
    struct identity_challenge challenge;
    struct identity_factor_added added;
};

static enum status put_addition(struct store_tx *tx, struct addition *a)
{
    enum status st = identity_challenge_use(tx, &a->challenge);
    if (st == STATUS_CONFLICT)
        return store_tx_problem_set(tx, STATUS_UNAUTHENTICATED, "identity/passkey-refused",
                                    "The passkey was refused: its challenge was used.");
    if (st == STATUS_OK)
        st = identity_passkey_put(tx, &a->passkey);
    if (st == STATUS_CONFLICT)
        return store_tx_problem_set(tx, st, "identity/passkey-known",
                                    "This passkey is known already.");
    if (st == STATUS_TOO_LARGE)
        return store_tx_problem_set(tx, STATUS_CONFLICT, "identity/too-many-passkeys",
                                    "An account has at most %u passkeys: remove one first.",
                                    IDENTITY_PASSKEYS_MAX);
    return st;
}

static enum status write_addition(struct store_tx *tx, void *arg)
{
    struct addition *a = arg;
    bool has_factor = false;
    enum status st = identity_factors_any(tx, &a->passkey.user, &has_factor);
    if (st == STATUS_OK)
        st = put_addition(tx, a);
    return st == STATUS_OK
               ? identity_factor_put(tx, &a->added, IDENTITY_METHOD_PASSKEY, !has_factor)
               : st;
}

static enum status read_addition(struct task *task, struct http_request *req,
                                 struct identity *identity, const struct identity_who *who,
                                 struct addition *a)
{
    struct identity_input in;
    enum status st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    const json_t *credential = identity_input_object(&in, "credential");
    struct slice name =
        slice_trim(identity_input_text(&in, "name", IDENTITY_PASSKEY_NAME_MAX, false));
    if (!credential && identity_input_status(&in) == STATUS_OK)
        problem_field_add(task_problem(task), task_arena(task), SLICE("/credential"), "required",
                          "Is required.");
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    st = identity_passkey_register(task, identity, credential, id_text(&who->session), &a->passkey,
                                   &a->challenge);
    a->passkey.user = who->user;
    a->passkey.name = name.len ? name : SLICE("Passkey");
    return st;
}

static enum status answer_addition(struct task *task, struct http_request *req,
                                   const struct addition *a)
{
    struct buf b;
    buf_init(&b, task_arena(task), 1024, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    put_passkey(&o, &a->passkey);
    if (a->added.has_codes) {
        identity_put_codes(&o, &a->added.codes);
        json_out_ki(&o, "sessions_ended", a->added.sessions_ended);
    }
    json_out_end(&o);
    return identity_answer_json(task, req, 201, &b);
}

enum status identity__passkey_add(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    enum status st =
        identity_caller_require_self_fresh(task, identity, req, IDENTITY_FACTOR_FRESH_US, &who);
    struct addition *a = arena_new_of(task_arena(task), struct addition);
    if (st == STATUS_OK && !a)
        st = STATUS_EXHAUSTED;
    if (st == STATUS_OK)
        st = read_addition(task, req, identity, &who, a);
    if (st != STATUS_OK)
        return st;
    identity_factor_begin(identity, req, &who, "{\"factor\":\"passkey\"}", &a->added);
    a->passkey.created_us = a->added.now_us;
    st = store_write(task, identity->store, write_addition, a);
    if (st == STATUS_OK) {
        identity_feed_user_ended(identity, &who.user);
        identity_factor_tell(task, identity, req, &who.user, IDENTITY_MAIL_FACTOR_ADDED,
                             PASSKEY_NAME);
        st = answer_addition(task, req, a);
    }
    identity_recovery_wipe(&a->added.codes);
    return st;
}

/* -- listing
 * ---------------------------------------------------------------------------------------- */

enum status identity__passkeys_list(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    struct identity_passkey *passkeys;
    unsigned len;
    enum status st = identity_caller_require_self(task, identity, req, &who);
    if (st == STATUS_OK)
        st = identity_passkeys_read(task, identity, &who.user, &passkeys, &len);
    if (st != STATUS_OK)
        return st;
    struct buf b;
    buf_init(&b, task_arena(task), 1024, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("data"));
    json_out_array(&o);
    for (unsigned i = 0; i < len; i++) {
        json_out_object(&o);
        put_passkey(&o, &passkeys[i]);
        json_out_end(&o);
    }
    json_out_end(&o);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

/* -- changing one
 * ---------------------------------------------------------------------------------------- */

struct change {
    struct uuid id, user;
    struct slice name;
    struct identity_note note;
};

static enum status write_name(struct store_tx *tx, void *arg)
{
    const struct change *c = arg;
    return identity_passkey_rename(tx, &c->user, &c->id, c->name);
}

enum status identity__passkey_rename(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    struct identity_input in;
    struct change c = { .name = SLICE_NULL };
    enum status st = identity_caller_require_self(task, identity, req, &who);
    if (st == STATUS_OK)
        st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    c.user = who.user;
    c.name = slice_trim(identity_input_text(&in, "name", IDENTITY_PASSKEY_NAME_MAX, true));
    if (identity_input_status(&in) == STATUS_OK && !c.name.len)
        problem_field_add(task_problem(task), task_arena(task), SLICE("/name"), "required",
                          "Is required.");
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    if (!uuid_parse(http_path_param(req, SLICE("id")), &c.id))
        return no_such(task);
    st = store_write(task, identity->store, write_name, &c);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? no_such(task) : st;
    return identity_answer_empty(task, req);
}

/* Somebody without a password would be left outside. */
static const char last_way_sql[] =
    "SELECT 1 FROM purlin_accounts a"
    " WHERE a.user_id = $1 AND a.password IS NULL"
    "   AND NOT EXISTS (SELECT 1 FROM purlin_passkeys p WHERE p.user_id = a.user_id)";

static enum status write_removal(struct store_tx *tx, void *arg)
{
    const struct change *c = arg;
    const struct store_value user = identity__id(&c->user);
    struct store_rows *rows = NULL;
    enum status st = identity_passkey_remove(tx, &c->user, &c->id);
    if (st != STATUS_OK)
        return st;
    st = store_tx_one(tx, IDENTITY__SQL(last_way_sql), &user, 1, &rows);
    store_rows_close(rows);
    if (st == STATUS_OK)
        return store_tx_problem_set(tx, STATUS_CONFLICT, "identity/last-way-in",
                                    "This is the last passkey of an account without a password: "
                                    "set a password, or add another one first.");
    if (st == STATUS_NOT_FOUND)
        st = identity_recovery_drop_unneeded(tx, &c->user);
    return st == STATUS_OK ? identity_note_put(tx, &c->note) : st;
}

enum status identity__passkey_remove(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    struct change c = { .name = SLICE_NULL };
    enum status st =
        identity_caller_require_self_fresh(task, identity, req, IDENTITY_FACTOR_FRESH_US, &who);
    if (st != STATUS_OK)
        return st;
    if (!uuid_parse(http_path_param(req, SLICE("id")), &c.id))
        return no_such(task);
    c.user = who.user;
    identity_note_init(&c.note, identity, req, IDENTITY_AUDIT_FACTOR_REMOVED, &who.user);
    c.note.event.details = SLICE("{\"factor\":\"passkey\"}");
    st = store_write(task, identity->store, write_removal, &c);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? no_such(task) : st;
    identity_factor_tell(task, identity, req, &who.user, IDENTITY_MAIL_FACTOR_REMOVED,
                         PASSKEY_NAME);
    return identity_answer_empty(task, req);
}
