/*
 * purlin mail. `test` sends one mail at once and tells what the server said; `templates` writes the
 * texts of all mails into a folder, to be changed there.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/mail.h"
#include "fiber/task.h"
#include "identity/mail.h"

static int send_test(struct task *task, struct app *app, void *arg)
{
    const struct slice *to = arg;
    const struct identity_mail_letter letter = { .kind = IDENTITY_MAIL_TEST, .to = *to };
    struct buf answer;
    buf_init(&answer, task_arena(task), 256, 4096);
    if (identity_mail_send(task, app->mail, &letter, &answer) != STATUS_OK)
        return cmd_print_problem("mail", task_problem(task));
    (void)printf("Sent to %.*s. %s%.*s\n", SLICE_ARG(*to),
                 app->config.mail_smtp_url.len ? "The server said: " : "",
                 SLICE_ARG(buf_slice(&answer)));
    return CMD_OK;
}

static int test(struct app *app, struct slice to)
{
    /* Without the database, which a server may have open: nothing is kept. */
    if (mail_open(app) != STATUS_OK)
        return cmd_print_problem("mail", &app->problem);
    if (offload_new(1, 1, &app->offload) != STATUS_OK) {
        (void)fprintf(stderr, "purlin mail: a thread could not be made\n");
        return CMD_FAILED;
    }
    return app_run_task(app, send_test, &to);
}

static int templates(struct app *app, struct slice folder)
{
    unsigned written = 0;
    if (identity_mail_templates_write(folder, app->arena, &app->problem, &written) != STATUS_OK)
        return cmd_print_problem("mail", &app->problem);
    (void)printf("%u templates written into %.*s; those that were there are as they were. Set "
                 "mail.templates to use them.\n",
                 written, SLICE_ARG(folder));
    return CMD_OK;
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app app = { 0 };
    struct app_common common = { 0 };
    const struct cmd_option options[] = { APP_COMMON_OPTIONS(common) };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    bool is_test = args.words_len == 2 && slice_eq(args.words[0], SLICE("test"));
    if (!is_test && !(args.words_len == 2 && slice_eq(args.words[0], SLICE("templates"))))
        return cmd_usage_error(verb, "say `test ADDRESS` or `templates FOLDER`");
    code = app_open_config(&app, &common);
    if (code == CMD_OK)
        code = is_test ? test(&app, args.words[1]) : templates(&app, args.words[1]);
    app_close(&app);
    return code;
}

const struct cmd_verb cmd_mail = {
    .name = "mail",
    .summary = "Send a mail to try it, or write the templates of all mails.",
    .synopsis = "test ADDRESS | templates FOLDER [--config FILE] [--env-file FILE]",
    .details = "test sends one mail at once, by SMTP_URL or into the mailbox of development, and "
               "tells what the\nserver said. templates writes KIND.txt and KIND.html for each kind "
               "of mail; set mail.templates to\nthe folder once they say what you want.",
    .run = run,
};
