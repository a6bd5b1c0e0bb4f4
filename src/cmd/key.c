/*
 * purlin key. API keys at the machine: made, listed, given a new secret, ended. Each change stands
 * in the audit log under the name of the system's user, and reaches a running server within
 * seconds.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/operator.h"
#include "cmd/rights.h"
#include "cmd/security.h"
#include "fiber/task.h"
#include "identity/api_keys.h"
#include "identity/audit.h"
#include "identity/identity.h"

#define GRACE_DEFAULT_US CLOCK_DAY
#define OUT_BYTES_MAX ((size_t)1 << 20)

struct key_call {
    const struct cmd_verb *verb;
    struct app_common common;
    bool json, all;
    struct slice name, user_text, expires, grace, id_text;
    struct slice roles[CMD_WORDS_MAX], scopes[CMD_WORDS_MAX], addresses[CMD_WORDS_MAX];
    unsigned roles_len, scopes_len, addresses_len;

    int64_t now_us, grace_us;
    struct uuid id, user;
    struct identity_api_key_order order;
    struct identity_audit_event by;
};

/* -- what is printed
 * ------------------------------------------------------------------------------------------ */

/* The one time that the secret is shown. */
static int print_secret(const struct key_call *call, const struct uuid *id,
                        const struct identity_secret *secret)
{
    char id_text[UUID_TEXT_LEN], bytes[512];
    struct buf out = { .data = bytes, .cap = sizeof(bytes), .max = sizeof(bytes) };
    uuid_format(id, id_text);
    if (call->json) {
        struct json_out o = json_out(&out);
        json_out_object(&o);
        json_out_key(&o, SLICE("id"));
        json_out_string(&o, slice_of(id_text, sizeof(id_text)));
        json_out_key(&o, SLICE("secret"));
        json_out_string(&o, identity_secret_text(secret));
        json_out_end(&o);
        buf_putc(&out, '\n');
    } else {
        buf_printf(&out, "id      %.*s\nsecret  %.*s\n", (int)sizeof(id_text), id_text,
                   SLICE_ARG(identity_secret_text(secret)));
        (void)fprintf(stderr, "Keep the secret now: it is not shown again.\n");
    }
    int code = cmd_print_out(slice_of(out.data, out.len));
    explicit_bzero(bytes, sizeof(bytes));
    return code;
}

static void put_time(struct buf *out, const char *what, int64_t time_us)
{
    char text[CLOCK_RFC3339_LEN];
    if (!time_us)
        return;
    clock_format_rfc3339(time_us, text);
    buf_printf(out, "  %s %.16s", what, text);
}

static void put_info(const struct key_call *call, const struct identity_api_key_info *info,
                     struct buf *out)
{
    char id[UUID_TEXT_LEN], user[UUID_TEXT_LEN];
    if (call->json) {
        identity_api_key_info_write(info, call->now_us, out);
        buf_putc(out, '\n');
        return;
    }
    uuid_format(&info->id, id);
    buf_printf(out, "%.*s  %-7s  %.*s...  %.*s", (int)sizeof(id), id,
               identity_api_key_state(info, call->now_us), SLICE_ARG(info->shown),
               SLICE_ARG(info->name));
    if (info->has_user) {
        uuid_format(&info->user, user);
        buf_printf(out, "  user %.*s", (int)sizeof(user), user);
    } else {
        buf_printf(out, "  roles %.*s", SLICE_ARG(info->roles));
    }
    if (info->scopes.len)
        buf_printf(out, "  scopes %.*s", SLICE_ARG(info->scopes));
    if (info->addresses.len)
        buf_printf(out, "  from %.*s", SLICE_ARG(info->addresses));
    put_time(out, "expires", info->expires_us);
    put_time(out, "last used", info->last_used_us);
    buf_putc(out, '\n');
}

/* -- create
 * ------------------------------------------------------------------------------------------------
 */

static int create_task(struct task *task, struct app *app, void *arg)
{
    struct key_call *call = arg;
    struct uuid id;
    CLEANUP(identity_secret_wipe) struct identity_secret secret = { .len = 0 };
    operator_event(task_arena(task), &call->by);
    if (call->user_text.len &&
        identity_account_named(task, app->store, call->user_text, &call->user) != STATUS_OK)
        return cmd_print_problem("key", task_problem(task));
    if (rights_check_scopes(task, app, call->scopes, call->scopes_len) != STATUS_OK ||
        rights_check_roles(task, app, call->roles, call->roles_len) != STATUS_OK)
        return cmd_print_problem("key", task_problem(task));
    if (identity_api_key_create(task, app->api_keys, &call->order, &call->by, call->now_us, &id,
                                &secret) != STATUS_OK)
        return cmd_print_problem("key", task_problem(task));
    return print_secret(call, &id, &secret);
}

static int read_create(struct key_call *call)
{
    if (!call->name.len)
        return cmd_usage_error(call->verb, "--name is missing: what the key is for");
    if (call->user_text.len && call->roles_len)
        return cmd_usage_error(call->verb, "a user's key has the user's roles: either --user or "
                                           "--role");
    if (!call->user_text.len && !call->roles_len)
        return cmd_usage_error(call->verb, "whose it is, is missing: --user, or --role for a "
                                           "service");
    if (call->expires.len &&
        (!operator_time(call->expires, call->now_us, 1, &call->order.expires_us) ||
         call->order.expires_us <= call->now_us))
        return cmd_usage_error(call->verb, "--expires must be a time to come (2027-01-31) or how "
                                           "long (90d)");
    call->order.name = call->name;
    call->order.user = call->user_text.len ? &call->user : NULL;
    call->order.roles = call->roles;
    call->order.roles_len = call->roles_len;
    call->order.scopes = call->scopes;
    call->order.scopes_len = call->scopes_len;
    call->order.addresses = call->addresses;
    call->order.addresses_len = call->addresses_len;
    return CMD_OK;
}

/* -- list, rotate, revoke
 * ----------------------------------------------------------------------------------- */

static int list_task(struct task *task, struct app *app, void *arg)
{
    struct key_call *call = arg;
    /* Of somebody who is gone by id, too: their keys may be what one looks for. */
    if (call->user_text.len && !uuid_parse(call->user_text, &call->user) &&
        identity_account_named(task, app->store, call->user_text, &call->user) != STATUS_OK)
        return cmd_print_problem("key", task_problem(task));
    struct uuid after;
    struct identity_api_keys_filter filter = { .user = call->user_text.len ? &call->user : NULL,
                                               .with_ended = call->all,
                                               .limit = IDENTITY_API_KEYS_LIST_MAX };
    struct identity_api_keys_page page = { .has_more = true };
    while (page.has_more) {
        struct arena_mark mark = arena_mark(task_arena(task));
        struct buf out;
        if (identity_api_keys_list(task, app->api_keys, &filter, call->now_us, &page) != STATUS_OK)
            return cmd_print_problem("key", task_problem(task));
        buf_init(&out, task_arena(task), 4096, OUT_BYTES_MAX);
        for (unsigned i = 0; i < page.len; i++)
            put_info(call, &page.items[i], &out);
        if (buf_status(&out) != STATUS_OK || cmd_print_out(buf_slice(&out)) != CMD_OK)
            return CMD_FAILED;
        if (page.len)
            after = page.items[page.len - 1].id;
        filter.after = page.len ? &after : NULL;
        arena_rewind(task_arena(task), mark);
    }
    return CMD_OK;
}

static int rotate_task(struct task *task, struct app *app, void *arg)
{
    struct key_call *call = arg;
    CLEANUP(identity_secret_wipe) struct identity_secret secret = { .len = 0 };
    operator_event(task_arena(task), &call->by);
    if (identity_api_key_rotate(task, app->api_keys, &call->id, call->grace_us, &call->by,
                                call->now_us, &secret) != STATUS_OK)
        return cmd_print_problem("key", task_problem(task));
    return print_secret(call, &call->id, &secret);
}

static int revoke_task(struct task *task, struct app *app, void *arg)
{
    struct key_call *call = arg;
    operator_event(task_arena(task), &call->by);
    if (identity_api_key_revoke(task, app->api_keys, &call->id, &call->by, call->now_us) !=
        STATUS_OK)
        return cmd_print_problem("key", task_problem(task));
    return CMD_OK;
}

static int read_nothing(struct key_call *call)
{
    (void)call;
    return CMD_OK;
}

static int read_rotate(struct key_call *call)
{
    call->grace_us = GRACE_DEFAULT_US;
    if (call->grace.len && (!clock_parse_duration(call->grace, &call->grace_us) ||
                            call->grace_us > IDENTITY_API_KEY_GRACE_MAX_US))
        return cmd_usage_error(call->verb, "--grace must be a duration up to 30d, such as 24h");
    return CMD_OK;
}

/* -- the verb
 * ---------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool has_id;
    int (*read)(struct key_call *call);
    int (*run)(struct task *task, struct app *app, void *arg);
} actions[] = {
    { "create", false, read_create, create_task },
    { "list", false, read_nothing, list_task },
    { "rotate", true, read_rotate, rotate_task },
    { "revoke", true, read_nothing, revoke_task },
};

static int read_ids(struct key_call *call, bool has_id)
{
    if (has_id && !uuid_parse(call->id_text, &call->id))
        return cmd_usage_error(call->verb,
                               call->id_text.len ? "%.*s is not the id of a key"
                                                 : "the id of the key is missing%.*s",
                               SLICE_ARG(call->id_text));
    if (!has_id && call->id_text.len)
        return cmd_usage_error(call->verb, "unexpected argument %.*s", SLICE_ARG(call->id_text));
    return CMD_OK;
}

static int run_call(struct key_call *call, struct slice what)
{
    struct app app = { 0 };
    size_t i = 0;
    while (i < ARRAY_LEN(actions) && !slice_eq(slice_cstr(actions[i].name), what))
        i++;
    if (i == ARRAY_LEN(actions))
        return cmd_usage_error(call->verb,
                               what.len ? "there is no purlin key %.*s"
                                        : "what to do is missing%.*s: create, list, rotate, revoke",
                               SLICE_ARG(what));
    int code = read_ids(call, actions[i].has_id);
    if (code == CMD_OK)
        code = actions[i].read(call);
    if (code != CMD_OK)
        return code;
    code = app_open_config(&app, &call->common);
    if (code == CMD_OK && call->scopes_len)
        code = app_open_contracts(&app);
    if (code == CMD_OK)
        code = security_open_tool(&app, call->verb->name, false);
    if (code == CMD_OK && call->user_text.len &&
        identity_accounts_make(app.store, app.arena, &app.problem) != STATUS_OK)
        code = cmd_print_problem(call->verb->name, &app.problem);
    if (code == CMD_OK)
        code = app_run_task(&app, actions[i].run, call);
    app_close(&app);
    return code;
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    struct key_call call = { .verb = verb, .now_us = clock_wall_us() };
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(call.common),
        { .name = "--name",
          .value = "TEXT",
          .text = &call.name,
          .help = "create: what the key is for." },
        { .name = "--user",
          .value = "WHO",
          .text = &call.user_text,
          .help = "create: a key of this user, by address or id; list: only this user's." },
        { .name = "--role",
          .value = "ROLE",
          .list = call.roles,
          .list_len = &call.roles_len,
          .help = "create: a key of a service, with this role; may be given several times." },
        { .name = "--scope",
          .value = "SCOPE",
          .list = call.scopes,
          .list_len = &call.scopes_len,
          .help = "create: only for this; several times. None: for all that its owner may do." },
        { .name = "--address",
          .value = "PREFIX",
          .list = call.addresses,
          .list_len = &call.addresses_len,
          .help = "create: only from here (192.0.2.0/24, unix); several times." },
        { .name = "--expires",
          .value = "TIME",
          .text = &call.expires,
          .help = "create: when it ends: 2027-01-31, RFC 3339, or 90d. Without: never." },
        { .name = "--grace",
          .value = "DURATION",
          .text = &call.grace,
          .help = "rotate: how long the old secret still holds (24h; at most 30d)." },
        { .name = "--all", .is_set = &call.all, .help = "list: also those that have ended." },
        { .name = "--json", .is_set = &call.json, .help = "One JSON object; of list, one a line." },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len > 2)
        return cmd_usage_error(verb, "unexpected argument %.*s", SLICE_ARG(args.words[2]));
    call.id_text = args.words_len > 1 ? args.words[1] : SLICE_NULL;
    return run_call(&call, args.words_len ? args.words[0] : SLICE_NULL);
}

const struct cmd_verb cmd_key = {
    .name = "key",
    .summary = "Make, list, rotate and revoke API keys.",
    .synopsis = "create --name TEXT (--user WHO | --role ROLE...) [--scope SCOPE]... "
                "[--address PREFIX]... [--expires TIME]\n"
                "       purlin key list [--user WHO] [--all]\n"
                "       purlin key rotate ID [--grace DURATION]\n"
                "       purlin key revoke ID",
    .details = "The secret is printed once, by create and rotate; only its digest is kept. A "
               "running server learns of a\n"
               "change within five seconds. Each change is in the audit log (purlin audit list).",
    .run = run,
};
