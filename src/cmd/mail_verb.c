/*
 * purlin mail. `test` sends one mail at once and tells what the server said; `templates` writes the
 * texts of all mails into a folder, to be changed there.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/mail.h"
#include "fiber/task.h"
#include "identity/mail.h"
#include "store/store.h"

struct test {
    enum identity_mail_kind kind;
    struct slice to;
    bool queue;
};

/* Values that nothing opens. */
static struct identity_mail_letter letter_of(const struct test *test)
{
    return (struct identity_mail_letter){
        .kind = test->kind,
        .to = test->to,
        .name = SLICE("Robin Example"),
        .link = SLICE("https://example.org/a-test?token=0123456789abcdefghijklmnopqrstuvwxyzABCDE"),
        .code = SLICE("012345"),
        .device = SLICE("Firefox on Linux"),
        .ip = SLICE("192.0.2.1"),
        .new_address = SLICE("robin@example.net"),
        .factor = SLICE("An authenticator app"),
        .inviter = SLICE("Sam Example"),
        .expires_us = clock_wall_us() + CLOCK_DAY,
    };
}

static int send_test(struct task *task, struct app *app, void *arg)
{
    const struct test *test = arg;
    const struct identity_mail_letter letter = letter_of(test);
    struct buf answer;
    buf_init(&answer, task_arena(task), 256, 4096);
    if (identity_mail_send(task, app->mail, &letter, &answer) != STATUS_OK)
        return cmd_print_problem("mail", task_problem(task));
    (void)printf("Sent to %.*s. %s%.*s\n", SLICE_ARG(test->to),
                 app->config.mail_smtp_url.len ? "The server said: " : "",
                 SLICE_ARG(buf_slice(&answer)));
    return CMD_OK;
}

static enum status put(struct store_tx *tx, void *arg)
{
    return identity_mail_put(tx, arg);
}

static int queue_test(struct task *task, struct app *app, void *arg)
{
    const struct test *test = arg;
    const struct identity_mail_letter letter = letter_of(test);
    struct identity_mail_message message;
    enum status st =
        identity_mail_render(app->mail, &letter, task_arena(task), task_problem(task), &message);
    if (st == STATUS_OK)
        st = store_write(task, app->store, put, &message);
    if (st != STATUS_OK)
        return cmd_print_problem("mail", task_problem(task));
    (void)printf("Queued for %.*s: the server sends it, within five seconds if it runs.\n",
                 SLICE_ARG(test->to));
    return CMD_OK;
}

/* At once needs no database: a server may have it open, and nothing is kept. */
static int test(struct app *app, const struct test *what)
{
    struct test test = *what;
    if (test.queue) {
        int code = app_open_store(app, "mail", /* create= */ false, /* read_only= */ false);
        if (code != CMD_OK)
            return code;
        if (app_settle_secret(app) != STATUS_OK)
            return cmd_print_problem("mail", &app->problem);
    } else if (offload_new(1, 1, &app->offload) != STATUS_OK) {
        (void)fprintf(stderr, "purlin mail: a thread could not be made\n");
        return CMD_FAILED;
    }
    if (mail_open(app) != STATUS_OK)
        return cmd_print_problem("mail", &app->problem);
    return app_run_task(app, test.queue ? queue_test : send_test, &test);
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
    struct slice kind = SLICE("test");
    struct test what = { .kind = IDENTITY_MAIL_TEST };
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(common),
        { .name = "--kind",
          .value = "KIND",
          .help = "Which mail to send, with values made up: verify_email, magic_link, ...",
          .text = &kind },
        { .name = "--queue",
          .help = "Put it with the mail that waits, for a running server to send.",
          .is_set = &what.queue },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    bool is_test = args.words_len == 2 && slice_eq(args.words[0], SLICE("test"));
    if (!is_test && !(args.words_len == 2 && slice_eq(args.words[0], SLICE("templates"))))
        return cmd_usage_error(verb, "say `test ADDRESS` or `templates FOLDER`");
    if (!identity_mail_kind_find(kind, &what.kind))
        return cmd_usage_error(verb, "there is no mail of the kind %.*s", SLICE_ARG(kind));
    what.to = args.words[1];
    code = app_open_config(&app, &common);
    if (code == CMD_OK)
        code = is_test ? test(&app, &what) : templates(&app, args.words[1]);
    app_close(&app);
    return code;
}

const struct cmd_verb cmd_mail = {
    .name = "mail",
    .summary = "Send a mail to try it, or write the templates of all mails.",
    .synopsis =
        "test ADDRESS [--kind KIND] [--queue] | templates FOLDER [--config FILE] [--env-file FILE]",
    .details = "test sends one mail at once, by SMTP_URL or into the mailbox of development, and "
               "tells what the\nserver said. templates writes KIND.txt and KIND.html for each kind "
               "of mail; set mail.templates to\nthe folder once they say what you want.",
    .run = run,
};
