/*
 * purlin user. People who can sign in, made and changed by whoever has the machine: the way to the
 * first administrator, and back in when all others are shut.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/identity.h"
#include "cmd/rights.h"
#include "fiber/task.h"
#include "identity/identity.h"

#define PASSWORD_BYTES_MAX 4096u

struct user {
    struct app_common common;
    struct slice act, email;
    struct slice profile; /* JSON */
    struct slice added[CMD_WORDS_MAX], removed[CMD_WORDS_MAX];
    unsigned added_len, removed_len;
    bool has_stdin, json, unverified;
    struct slice password;
    bool is_made; /* the password was made here, and is told */
};

static enum status settle_password(struct task *task, struct user *u)
{
    struct arena *arena = task_arena(task);
    char *text = arena_alloc(arena, PASSWORD_BYTES_MAX);
    if (!text)
        return STATUS_EXHAUSTED;
    if (!u->has_stdin) {
        identity_password_make(text);
        u->password = slice_of(text, IDENTITY_PASSWORD_MADE_LEN);
        u->is_made = true;
        return STATUS_OK;
    }
    if (!fgets(text, PASSWORD_BYTES_MAX, stdin))
        return problem_set(task, STATUS_INVALID, "cmd/user",
                           "There is no password on standard "
                           "input.");
    u->password = slice_of(text, strcspn(text, "\r\n"));
    return STATUS_OK;
}

static enum status read_profile(struct task *task, const struct user *u, const json_t **ret)
{
    struct json_error_at at;
    json_t *value;
    *ret = NULL;
    if (!u->profile.len)
        return STATUS_OK;
    enum status st = json_read(task_arena(task), u->profile, JSON_LIMITS_DEFAULT, &value, &at);
    if (st != STATUS_OK || !json_is_object(value))
        return problem_set(task, STATUS_INVALID, "cmd/user",
                           "--profile must be a JSON object of the fields of " IDENTITY_PEOPLE
                           ": %s.",
                           st == STATUS_OK ? "it is something else" : at.reason);
    *ret = value;
    return STATUS_OK;
}

static void tell(const struct user *u, const struct uuid *id)
{
    char text[UUID_TEXT_LEN];
    uuid_format(id, text);
    if (u->json) {
        (void)printf("{\"id\":\"%.*s\",\"email\":\"%.*s\"", (int)sizeof(text), text,
                     SLICE_ARG(u->email));
        if (u->is_made)
            (void)printf(",\"password\":\"%.*s\"", SLICE_ARG(u->password));
        (void)printf("}\n");
        return;
    }
    (void)printf("%.*s %.*s\n", (int)sizeof(text), text, SLICE_ARG(u->email));
    if (u->is_made)
        (void)printf("Password, told only now: %.*s\n", SLICE_ARG(u->password));
}

static enum status create(struct task *task, struct identity *identity, struct user *u)
{
    struct uuid id;
    struct identity_user_new new = { .email = u->email,
                                     .roles = u->added,
                                     .roles_len = u->added_len,
                                     .is_verified = !u->unverified };
    enum status st = read_profile(task, u, &new.profile);
    if (st == STATUS_OK)
        st = settle_password(task, u);
    new.password = u->password;
    if (st == STATUS_OK)
        st = identity_user_create(task, identity, &new, &id);
    if (st == STATUS_OK)
        tell(u, &id);
    return st;
}

static enum status change_password(struct task *task, struct identity *identity, struct user *u)
{
    enum status st = settle_password(task, u);
    if (st == STATUS_OK)
        st = identity_user_password_set(task, identity, u->email, u->password);
    if (st == STATUS_OK && u->is_made)
        (void)printf("Password, told only now: %.*s\n", SLICE_ARG(u->password));
    return st;
}

static enum status change_roles(struct task *task, struct identity *identity, struct user *u)
{
    struct slice roles;
    enum status st = identity_user_roles_change(task, identity, u->email, u->added, u->added_len,
                                                u->removed, u->removed_len, &roles);
    if (st == STATUS_OK)
        (void)printf("%.*s %.*s\n", SLICE_ARG(u->email), SLICE_ARG(roles));
    return st;
}

static int act(struct task *task, struct app *app, void *arg)
{
    struct user *u = arg;
    enum status st = rights_check_roles(task, app, u->added, u->added_len);
    if (st != STATUS_OK)
        return cmd_print_problem("user", task_problem(task));
    if (slice_eq(u->act, SLICE("create")))
        st = create(task, app->identity, u);
    else if (slice_eq(u->act, SLICE("role")))
        st = change_roles(task, app->identity, u);
    else if (slice_eq(u->act, SLICE("password")))
        st = change_password(task, app->identity, u);
    else if (slice_eq(u->act, SLICE("mfa-reset")))
        st = identity_user_factors_reset(task, app->identity, u->email);
    else
        st = identity_user_disable(task, app->identity, u->email,
                                   slice_eq(u->act, SLICE("disable")));
    return st == STATUS_OK ? CMD_OK : cmd_print_problem("user", task_problem(task));
}

static bool is_act(struct slice word)
{
    static const char *const acts[] = { "create", "role",     "disable",
                                        "enable", "password", "mfa-reset" };
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        if (slice_eq(word, slice_cstr(acts[i])))
            return true;
    return false;
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app app = { 0 };
    struct user u = { 0 };
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(u.common),
        { .name = "--role",
          .value = "ROLE",
          .help = "A role to have (create), or to add (role). May be repeated.",
          .list = u.added,
          .list_len = &u.added_len },
        { .name = "--remove",
          .value = "ROLE",
          .help = "A role to take away (role). May be repeated.",
          .list = u.removed,
          .list_len = &u.removed_len },
        { .name = "--profile",
          .value = "JSON",
          .help = "Fields of their row in the contract " IDENTITY_PEOPLE " (create).",
          .text = &u.profile },
        { .name = "--password-stdin",
          .help = "Read the password from standard input instead of making one.",
          .is_set = &u.has_stdin },
        { .name = "--unverified",
          .help = "The address is not known to be theirs (create).",
          .is_set = &u.unverified },
        { .name = "--json", .help = "Answer as JSON (create).", .is_set = &u.json },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len != 2 || !is_act(args.words[0]))
        return cmd_usage_error(verb, "say what to do and with whom: purlin user "
                                     "create|role|disable|enable|password|mfa-reset EMAIL");
    u.act = args.words[0];
    u.email = args.words[1];
    if (slice_eq(u.act, SLICE("role")) && !u.added_len && !u.removed_len)
        return cmd_usage_error(verb, "say which roles: --role ROLE, --remove ROLE");
    code = identity_tool_run(&app, &u.common, "user", true, act, &u);
    app_close(&app);
    return code;
}

const struct cmd_verb cmd_user = {
    .name = "user",
    .summary = "Make and change people who can sign in.",
    .synopsis = "create|role|disable|enable|password|mfa-reset EMAIL [--role ROLE] "
                "[--remove ROLE]\n                [--profile JSON] [--password-stdin] [--json] "
                "[--config FILE]",
    .details = "The server may be running: what is taken away is gone within seconds, in every "
               "process.\n"
               "Without --password-stdin a password is made and told once. mfa-reset takes away "
               "all second\n"
               "factors and passkeys, for somebody who has lost them and their recovery codes.",
    .run = run,
};
