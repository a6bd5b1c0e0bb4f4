/*
 * purlin client. Programs that act for people, or by themselves, through OAuth.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/identity.h"
#include "cmd/rights.h"
#include "fiber/task.h"
#include "identity/clients.h"
#include "identity/identity.h"

#define LIST_BYTES_MAX ((size_t)4 << 20)

struct asked {
    struct app_common common;
    struct slice act;
    struct identity_client client;
    struct slice redirects[CMD_WORDS_MAX], grants[CMD_WORDS_MAX], scopes[CMD_WORDS_MAX];
    unsigned redirects_len, grants_len, scopes_len;
    bool is_public, json;
};

static struct slice join(struct arena *arena, const struct slice *words, unsigned len)
{
    struct buf b;
    buf_init(&b, arena, 128, 65536);
    for (unsigned i = 0; i < len; i++) {
        if (i)
            buf_putc(&b, ' ');
        buf_put_slice(&b, words[i]);
    }
    return len ? buf_slice(&b) : SLICE("");
}

static void tell_secret(const struct asked *a, const struct identity_secret *secret)
{
    if (a->json) {
        (void)printf("{\"client_id\":\"%.*s\"", SLICE_ARG(a->client.id));
        if (secret->len)
            (void)printf(",\"client_secret\":\"%.*s\"", (int)secret->len, secret->text);
        (void)printf("}\n");
        return;
    }
    (void)printf("%.*s\n", SLICE_ARG(a->client.id));
    if (secret->len)
        (void)printf("Secret, told only now: %.*s\n", (int)secret->len, secret->text);
}

static enum status create(struct task *task, struct identity *identity, struct asked *a)
{
    CLEANUP(identity_secret_wipe) struct identity_secret secret = { .len = 0 };
    struct identity_client *client = &a->client;
    struct arena *arena = task_arena(task);
    client->is_confidential = !a->is_public;
    client->redirects = join(arena, a->redirects, a->redirects_len);
    client->scopes = join(arena, a->scopes, a->scopes_len);
    for (unsigned i = 0; i < a->grants_len; i++) {
        uint32_t grant = identity_grant_of(a->grants[i]);
        if (!grant)
            return problem_set(task, STATUS_INVALID, "cmd/client",
                               "%.*s is no grant: authorization_code, refresh_token, "
                               "client_credentials.",
                               SLICE_ARG(a->grants[i]));
        client->grants |= grant;
    }
    if (!a->grants_len)
        client->grants =
            a->redirects_len ? IDENTITY_GRANT_CODE | IDENTITY_GRANT_REFRESH : IDENTITY_GRANT_CLIENT;
    if (!client->name.len)
        client->name = client->id;
    enum status st = identity_client_create(task, identity, client, &secret);
    if (st == STATUS_OK)
        tell_secret(a, &secret);
    return st;
}

static enum status renew(struct task *task, struct identity *identity, struct asked *a)
{
    CLEANUP(identity_secret_wipe) struct identity_secret secret = { .len = 0 };
    enum status st = identity_client_secret_renew(task, identity, a->client.id, &secret);
    if (st == STATUS_OK)
        tell_secret(a, &secret);
    return st;
}

/* -- list
 * ---------------------------------------------------------------------------------------------- */

static void put_text(struct json_out *o, const char *key, struct slice text)
{
    json_out_key(o, slice_cstr(key));
    json_out_string(o, text);
}

static void put_client(struct json_out *o, const struct identity_client *c, bool is_configured)
{
    json_out_object(o);
    put_text(o, "client_id", c->id);
    put_text(o, "name", c->name);
    json_out_kv(o, "from", is_configured ? "purlin.yaml" : "database");
    json_out_key(o, SLICE("confidential"));
    json_out_bool(o, c->is_confidential);
    json_out_key(o, SLICE("trusted"));
    json_out_bool(o, c->is_trusted);
    put_text(o, "redirect_uris", c->redirects);
    put_text(o, "scopes", c->scopes);
    json_out_end(o);
}

static enum status list(struct task *task, struct identity *identity, const struct asked *a)
{
    const struct identity_client *clients;
    unsigned len, configured;
    enum status st = identity_clients_list(task, identity, &clients, &len, &configured);
    struct buf b;
    buf_init(&b, task_arena(task), 4096, LIST_BYTES_MAX);
    struct json_out o = json_out(&b);
    if (st != STATUS_OK)
        return st;
    json_out_array(&o);
    for (unsigned i = 0; i < len; i++) {
        const struct identity_client *c = &clients[i];
        if (a->json)
            put_client(&o, c, i < configured);
        else
            (void)printf("%-24.*s %-12s %-8s %.*s\n", SLICE_ARG(c->id),
                         i < configured ? "purlin.yaml" : "database",
                         c->is_confidential ? "secret" : "public", SLICE_ARG(c->name));
    }
    json_out_end(&o);
    if (a->json)
        (void)printf("%.*s\n", SLICE_ARG(buf_slice(&b)));
    return STATUS_OK;
}

/* -- the verb
 * ------------------------------------------------------------------------------------------ */

/* Those that are called as permissions are, unless oauth.scopes says what they are. */
static enum status check_scopes(struct task *task, const struct app *app, const struct asked *a)
{
    for (unsigned i = 0; i < a->scopes_len; i++) {
        bool is_declared = !rights_is_pattern(a->scopes[i]);
        for (unsigned k = 0; k < app->config.oauth_scopes_len; k++)
            is_declared |= slice_eq(app->config.oauth_scopes[k].name, a->scopes[i]);
        if (!is_declared && rights_check_scopes(task, app, &a->scopes[i], 1) != STATUS_OK)
            return STATUS_INVALID;
    }
    return STATUS_OK;
}

static int act(struct task *task, struct app *app, void *arg)
{
    struct asked *a = arg;
    enum status st = check_scopes(task, app, a);
    if (st != STATUS_OK)
        return cmd_print_problem("client", task_problem(task));
    if (slice_eq(a->act, SLICE("create")))
        st = create(task, app->identity, a);
    else if (slice_eq(a->act, SLICE("secret")))
        st = renew(task, app->identity, a);
    else if (slice_eq(a->act, SLICE("remove")))
        st = identity_client_remove(task, app->identity, a->client.id);
    else
        st = list(task, app->identity, a);
    return st == STATUS_OK ? CMD_OK : cmd_print_problem("client", task_problem(task));
}

static bool is_asked_well(const struct cmd_args *args)
{
    static const char *const acts[] = { "create", "secret", "remove" };
    if (args->words_len == 1)
        return slice_eq(args->words[0], SLICE("list"));
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        if (args->words_len == 2 && slice_eq(args->words[0], slice_cstr(acts[i])))
            return true;
    return false;
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app app = { 0 };
    struct asked a = { 0 };
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(a.common),
        { .name = "--name",
          .value = "NAME",
          .help = "What people are told it is called (create).",
          .text = &a.client.name },
        { .name = "--redirect",
          .value = "URI",
          .help = "Where people go back to, exactly (create). May be repeated.",
          .list = a.redirects,
          .list_len = &a.redirects_len },
        { .name = "--grant",
          .value = "GRANT",
          .help =
              "authorization_code, refresh_token, client_credentials (create). May be repeated.",
          .list = a.grants,
          .list_len = &a.grants_len },
        { .name = "--scope",
          .value = "SCOPE",
          .help = "What it may ask for (create). May be repeated.",
          .list = a.scopes,
          .list_len = &a.scopes_len },
        { .name = "--public",
          .help = "It cannot keep a secret: an app, a page (create).",
          .is_set = &a.is_public },
        { .name = "--trusted",
          .help = "It is yours: people are not asked (create).",
          .is_set = &a.client.is_trusted },
        { .name = "--json", .help = "Answer as JSON.", .is_set = &a.json },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (!is_asked_well(&args))
        return cmd_usage_error(verb, "say what to do and with which: purlin client list, or purlin "
                                     "client create|secret|remove ID");
    a.act = args.words[0];
    a.client.id = args.words_len > 1 ? args.words[1] : SLICE_NULL;
    code = identity_tool_run(&app, &a.common, "client", true, act, &a);
    app_close(&app);
    return code;
}

const struct cmd_verb cmd_client = {
    .name = "client",
    .summary = "Make and list programs that use OAuth.",
    .synopsis = "list [--json]\n"
                "       purlin client create ID [--name NAME] [--redirect URI] [--grant GRANT]\n"
                "                [--scope SCOPE] [--public] [--trusted] [--json] [--config FILE]\n"
                "       purlin client secret|remove ID",
    .details = "The server may be running: a client that is removed is out within seconds, and so "
               "are its tokens.\n"
               "Without --grant a client with redirect URIs signs people in, one without is a "
               "service.",
    .run = run,
};
