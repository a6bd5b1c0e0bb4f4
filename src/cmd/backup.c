/*
 * purlin backup and restore.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "fiber/task.h"
#include "store/store.h"

static int take_problem(struct task *task, struct app *app)
{
    /* The task's arena ends with the task: say it now. */
    app->problem = (struct problem){ 0 };
    return cmd_print_problem("backup", task_problem(task));
}

static int backup_task(struct task *task, struct app *app, void *arg)
{
    struct slice path = *(const struct slice *)arg;
    struct cmd_progress progress;
    cmd_progress_start(&progress, "backup");
    enum status st = store_backup(task, app->store, path, cmd_progress_update, &progress);
    cmd_progress_end(&progress);
    if (st != STATUS_OK)
        return take_problem(task, app);
    (void)printf("Backed up to %.*s, checked.\n", SLICE_ARG(path));
    return CMD_OK;
}

static int run_backup(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app app = { 0 };
    struct app_common common = { 0 };
    const struct cmd_option options[] = { APP_COMMON_OPTIONS(common) };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len != 1)
        return cmd_usage_error(verb, "say which file to write");
    code = app_open_config(&app, &common);
    if (code == CMD_OK)
        code = app_open_store(&app, verb->name, false, false);
    if (code == CMD_OK)
        code = app_run_task(&app, backup_task, &args.words[0]);
    app_close(&app);
    return code;
}

const struct cmd_verb cmd_backup = {
    .name = "backup",
    .summary = "Copy the live database to a file, and check the copy.",
    .synopsis = "FILE [--config FILE] [--env-file FILE]",
    .details = "Runs while the server serves. The copy is complete as of one moment, checked for "
               "integrity, and appears under its\n"
               "name only when it is whole.",
    .run = run_backup,
};

static int run_restore(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app app = { 0 };
    struct app_common common = { 0 };
    bool yes = false;
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(common),
        { .name = "--yes", .help = "Replace the database that is there.", .is_set = &yes },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len != 1)
        return cmd_usage_error(verb, "say which backup to restore");
    if (!yes)
        return cmd_usage_error(verb, "this replaces the database; add --yes to do it");
    code = app_open_config(&app, &common);
    if (code == CMD_OK) {
        struct cmd_progress progress;
        cmd_progress_start(&progress, "restore");
        enum status st = store_restore(app.config.database_url, args.words[0], app.arena,
                                       &app.problem, cmd_progress_update, &progress);
        cmd_progress_end(&progress);
        if (st != STATUS_OK)
            code = cmd_print_problem(verb->name, &app.problem);
        else
            (void)printf("Restored from %.*s.\n", SLICE_ARG(args.words[0]));
    }
    app_close(&app);
    return code;
}

const struct cmd_verb cmd_restore = {
    .name = "restore",
    .summary = "Replace the database by a backup.",
    .synopsis = "FILE --yes [--config FILE] [--env-file FILE]",
    .details = "The server must not be running. The backup is checked first; a damaged one changes "
               "nothing.",
    .run = run_restore,
};
