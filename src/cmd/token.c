/*
 * purlin keys and purlin token. The keys that sign access tokens, rotated by hand; and what a token
 * says, for whoever looks for why it is refused.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/identity.h"
#include "fiber/task.h"
#include "identity/identity.h"

#define TOKEN_BYTES_MAX 16384u
#define REPORT_BYTES_MAX ((size_t)64 * 1024)

struct call {
    struct app_common common;
    const char *verb;
    bool at_once;
    struct slice token;
};

/* -- purlin keys rotate
 * -------------------------------------------------------------------------------- */

static int rotate(struct task *task, struct app *app, void *arg)
{
    const struct call *call = arg;
    if (identity_signing_rotate(task, app->identity, call->at_once) != STATUS_OK)
        return cmd_print_problem(call->verb, task_problem(task));
    (void)printf("%s\n", call->at_once
                             ? "A new key signs now. Every access token is void; sessions go on."
                             : "The next key is published, and signs when everybody knows it.");
    return CMD_OK;
}

static int run_keys(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app app = { 0 };
    struct call call = { .verb = verb->name };
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(call.common),
        { .name = "--now",
          .help = "A key has leaked: drop all of them at once.",
          .is_set = &call.at_once },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len != 1 || !slice_eq(args.words[0], SLICE("rotate")))
        return cmd_usage_error(verb, "say what to do: purlin keys rotate [--now]");
    code = identity_tool_run(&app, &call.common, verb->name, false, rotate, &call);
    app_close(&app);
    return code;
}

const struct cmd_verb cmd_keys = {
    .name = "keys",
    .summary = "Rotate the keys that sign access tokens.",
    .synopsis = "rotate [--now] [--config FILE] [--env-file FILE]",
    .details = "They rotate by themselves every 30 days. The server may be running: it takes the "
               "new keys up by itself,\n"
               "and with --now refuses every older access token within seconds; refresh tokens and "
               "cookies stay good.",
    .run = run_keys,
};

/* -- purlin token inspect
 * ------------------------------------------------------------------------------ */

static int inspect(struct task *task, struct app *app, void *arg)
{
    const struct call *call = arg;
    struct buf report;
    buf_init(&report, task_arena(task), 2048, REPORT_BYTES_MAX);
    if (identity_token_inspect(task, app->identity, call->token, &report) != STATUS_OK)
        return cmd_print_problem(call->verb, task_problem(task));
    return cmd_print_out(buf_slice(&report));
}

static int run_token(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app app = { 0 };
    struct call call = { .verb = verb->name };
    char text[TOKEN_BYTES_MAX];
    const struct cmd_option options[] = { APP_COMMON_OPTIONS(call.common) };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len < 1 || args.words_len > 2 || !slice_eq(args.words[0], SLICE("inspect")))
        return cmd_usage_error(verb, "say which token: purlin token inspect TOKEN");
    if (args.words_len == 2)
        call.token = args.words[1];
    else if (fgets(text, sizeof(text), stdin))
        call.token = slice_of(text, strcspn(text, "\r\n"));
    code = identity_tool_run(&app, &call.common, verb->name, false, inspect, &call);
    app_close(&app);
    return code;
}

const struct cmd_verb cmd_token = {
    .name = "token",
    .summary = "Say what an access token says, and why it is refused.",
    .synopsis = "inspect [TOKEN] [--config FILE] [--env-file FILE]",
    .details = "Without TOKEN it is read from standard input, where no list of processes shows it.",
    .run = run_token,
};
