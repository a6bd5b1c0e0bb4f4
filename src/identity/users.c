/* identity/users.c - Accounts as operators make and change them. */
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/account.h"
#include "identity/feed.h"
#include "identity/note.h"
#include "identity/password.h"
#include "identity/password_change.h"
#include "identity/people.h"
#include "identity/room.h"
#include "identity/session.h"

/* -- making
 * -------------------------------------------------------------------------------------------- */

void identity_password_make(char ret_password[IDENTITY_PASSWORD_MADE_LEN])
{
    /* 31 letters and digits that are not taken for one another. */
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
    const unsigned len = sizeof(letters) - 1;
    for (unsigned i = 0; i < IDENTITY_PASSWORD_MADE_LEN; i++) {
        uint8_t byte = 0;
        if (i % 6 == 5) {
            ret_password[i] = '-';
            continue;
        }
        do
            random_bytes(&byte, 1);
        while (byte >= 256 / len * len);
        ret_password[i] = letters[byte % len];
    }
}

static enum status write_person(struct store_tx *tx, void *arg)
{
    struct identity_person *person = arg;
    enum status st = identity_person_put(tx, person);
    struct identity_note note;
    identity_note_operator(&note, person->identity, IDENTITY_AUDIT_ACCOUNT_CREATED,
                           &person->account.user);
    if (st == STATUS_OK)
        return identity_note_put(tx, &note);
    if (st == STATUS_CONFLICT && slice_eq(store_tx_conflict(tx)->table, SLICE("purlin_accounts")))
        return store_tx_problem_set(tx, st, "identity/taken",
                                    "There is an account with this address already.");
    return st;
}

static enum status fill_account(struct task *task, struct identity *identity,
                                const struct identity_user_new *user,
                                struct identity_account_new *account)
{
    struct arena *arena = task_arena(task);
    account->email = user->email;
    account->verified_us = user->is_verified ? account->now_us : 0;
    if (identity_roles_write(arena, user->roles, user->roles_len, &account->roles) ==
        STATUS_INVALID)
        return problem_set(task, STATUS_INVALID, "identity/role",
                           "A role is named by lower-case letters, digits, \"-\", \"_\", \".\" "
                           "and \":\".");
    if (!user->password.len)
        return STATUS_OK;
    enum status st =
        identity_password_check(task, SLICE("/password"), user->password, &user->email, 1);
    return st == STATUS_OK ? identity_password_hash(task, identity->passwords, user->password,
                                                    &account->password)
                           : st;
}

enum status identity_user_create(struct task *task, struct identity *identity,
                                 const struct identity_user_new *user, struct uuid *ret_id)
{
    CLEANUP(identity_person_release) struct identity_person person = { .identity = identity };
    struct slice key;
    if (identity_email_key(task_arena(task), user->email, &key) == STATUS_INVALID)
        return problem_set(task, STATUS_INVALID, "identity/email", "%.*s is no e-mail address.",
                           SLICE_ARG(user->email));
    enum status st = identity_person_prepare(task, identity, user->profile, SLICE("/profile"),
                                             user->email, &person);
    person.account.email_key = key;
    if (st == STATUS_OK)
        st = fill_account(task, identity, user, &person.account);
    if (st == STATUS_OK)
        st = store_write(task, identity->store, write_person, &person);
    *ret_id = person.account.user;
    return st;
}

/* -- asking
 * -------------------------------------------------------------------------------------------- */

static const char roles_sql[] = "SELECT roles FROM purlin_accounts"
                                " WHERE disabled_at IS NULL AND roles <> '[]'";

enum status identity_has_role(struct task *task, struct identity *identity, struct slice role,
                              bool *ret_has)
{
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    *ret_has = false;
    enum status st = store_query(task, identity->store, IDENTITY__SQL(roles_sql), NULL, 0, &rows);
    while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK) {
        const struct slice *roles;
        unsigned len;
        struct arena_mark mark = arena_mark(task_arena(task));
        if (identity_roles_read(task_arena(task), store_rows_bytes(rows, 0), &roles, &len) !=
            STATUS_OK)
            len = 0;
        for (unsigned i = 0; i < len; i++)
            *ret_has |= slice_eq(roles[i], role);
        arena_rewind(task_arena(task), mark);
    }
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* -- changing
 * ------------------------------------------------------------------------------------------ */

enum change_kind { CHANGE_ROLES, CHANGE_DISABLE, CHANGE_ENABLE, CHANGE_PASSWORD };

struct change {
    struct identity *identity;
    enum change_kind kind;
    struct slice email_key;
    const struct slice *added, *removed;
    unsigned added_len, removed_len;
    struct identity_password_change password;
    struct slice roles; /* what came of it */
    struct uuid user;
    int64_t now_us;
};

static const char set_roles_sql[] = "UPDATE purlin_accounts SET roles = $1 WHERE user_id = $2";
static const char set_disabled_sql[] =
    "UPDATE purlin_accounts SET disabled_at = $1 WHERE user_id = $2";

static bool has(const struct slice *roles, unsigned len, struct slice role)
{
    for (unsigned i = 0; i < len; i++)
        if (slice_eq(roles[i], role))
            return true;
    return false;
}

static enum status note_act(struct store_tx *tx, const struct change *c,
                            enum identity_audit_act act)
{
    struct identity_note note;
    identity_note_operator(&note, c->identity, act, &c->user);
    return identity_note_put(tx, &note);
}

static enum status note_role(struct store_tx *tx, const struct change *c,
                             enum identity_audit_act act, struct slice role)
{
    struct identity_note note;
    identity_note_operator(&note, c->identity, act, &c->user);
    note.event.details = arena_printf(store_tx_arena(tx), "{\"role\":\"%.*s\"}", SLICE_ARG(role));
    return identity_note_put(tx, &note);
}

static enum status change_roles(struct store_tx *tx, struct change *c,
                                const struct identity_account *account)
{
    struct slice all[2 * IDENTITY_ROLES_MAX];
    unsigned len = 0;
    for (unsigned i = 0; i < account->roles_len; i++)
        if (!has(c->removed, c->removed_len, account->roles[i]))
            all[len++] = account->roles[i];
    for (unsigned i = 0; i < c->added_len && len < ARRAY_LEN(all); i++)
        if (!has(all, len, c->added[i]))
            all[len++] = c->added[i];
    enum status st = identity_roles_write(store_tx_arena(tx), all, len, &c->roles);
    if (st == STATUS_INVALID)
        return store_tx_problem_set(tx, st, "identity/role",
                                    "An account has at most %u roles, named by lower-case letters, "
                                    "digits, \"-\", \"_\", \".\" and \":\".",
                                    IDENTITY_ROLES_MAX);
    const struct store_value values[] = { store_text(c->roles), identity__id(&c->user) };
    if (st == STATUS_OK)
        st = store_tx_exec(tx, IDENTITY__SQL(set_roles_sql), values, ARRAY_LEN(values), NULL);
    for (unsigned i = 0; i < c->added_len && st == STATUS_OK; i++)
        st = note_role(tx, c, IDENTITY_AUDIT_ROLE_GRANTED, c->added[i]);
    for (unsigned i = 0; i < c->removed_len && st == STATUS_OK; i++)
        st = note_role(tx, c, IDENTITY_AUDIT_ROLE_REVOKED, c->removed[i]);
    if (st == STATUS_OK && c->removed_len)
        st = identity_sessions_end_acting(tx, &c->user, "rights", c->now_us);
    return st == STATUS_OK ? identity_feed_put(tx, IDENTITY_FEED_USER, &c->user, c->now_us) : st;
}

static enum status end_all(struct store_tx *tx, struct change *c, const char *reason)
{
    int64_t ended;
    return identity_sessions_end(tx, &c->user, NULL, reason, c->now_us, &ended);
}

static enum status set_disabled(struct store_tx *tx, struct change *c)
{
    bool disable = c->kind == CHANGE_DISABLE;
    const struct store_value values[] = { disable ? store_i64(c->now_us) : store_null(),
                                          identity__id(&c->user) };
    enum status st =
        store_tx_exec(tx, IDENTITY__SQL(set_disabled_sql), values, ARRAY_LEN(values), NULL);
    if (st == STATUS_OK && disable)
        st = end_all(tx, c, "disabled");
    return st == STATUS_OK ? note_act(tx, c,
                                      disable ? IDENTITY_AUDIT_ACCOUNT_DISABLED
                                              : IDENTITY_AUDIT_ACCOUNT_ENABLED)
                           : st;
}

static enum status set_password(struct store_tx *tx, struct change *c)
{
    c->password.user = c->user;
    c->password.now_us = c->now_us;
    identity_note_operator(&c->password.note, c->identity, IDENTITY_AUDIT_PASSWORD_CHANGED,
                           &c->user);
    return identity_password_change_put(tx, &c->password);
}

static enum status write_change(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    struct identity_account account;
    enum status st = identity_account_by_email_in(tx, c->identity, c->email_key, &account);
    if (st == STATUS_NOT_FOUND)
        return store_tx_problem_set(tx, st, "identity/no-account",
                                    "There is no account with the address %.*s.",
                                    SLICE_ARG(c->email_key));
    if (st != STATUS_OK)
        return st;
    c->user = account.user;
    switch (c->kind) {
    case CHANGE_ROLES:
        return change_roles(tx, c, &account);
    case CHANGE_DISABLE:
    case CHANGE_ENABLE:
        return set_disabled(tx, c);
    case CHANGE_PASSWORD:
        return set_password(tx, c);
    }
    return STATUS_INTERNAL;
}

static enum status run_change(struct task *task, struct change *c, struct slice email)
{
    if (identity_email_key(task_arena(task), email, &c->email_key) == STATUS_INVALID)
        return problem_set(task, STATUS_INVALID, "identity/email", "%.*s is no e-mail address.",
                           SLICE_ARG(email));
    c->now_us = clock_wall_us();
    enum status st = store_write(task, c->identity->store, write_change, c);
    if (st == STATUS_OK)
        identity_feed_user_ended(c->identity, &c->user);
    return st;
}

enum status identity_user_roles_change(struct task *task, struct identity *identity,
                                       struct slice email, const struct slice *added,
                                       unsigned added_len, const struct slice *removed,
                                       unsigned removed_len, struct slice *ret_json)
{
    struct change c = { .identity = identity,
                        .kind = CHANGE_ROLES,
                        .added = added,
                        .added_len = added_len,
                        .removed = removed,
                        .removed_len = removed_len };
    enum status st = run_change(task, &c, email);
    *ret_json = c.roles;
    return st;
}

enum status identity_user_disable(struct task *task, struct identity *identity, struct slice email,
                                  bool disable)
{
    struct change c = { .identity = identity, .kind = disable ? CHANGE_DISABLE : CHANGE_ENABLE };
    return run_change(task, &c, email);
}

enum status identity_user_password_set(struct task *task, struct identity *identity,
                                       struct slice email, struct slice password)
{
    struct change c = { .identity = identity, .kind = CHANGE_PASSWORD };
    enum status st = identity_password_change_prepare(task, identity, SLICE("/password"), password,
                                                      email, &c.password);
    return st == STATUS_OK ? run_change(task, &c, email) : st;
}
