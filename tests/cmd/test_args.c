/* tests/cmd/test_args.c - Options and words of the command line, and what is said about wrong ones.
 */
#include "../base/check.h"

#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"

static int run_nothing(const struct cmd_verb *verb, int argc, char **argv)
{
    (void)verb;
    (void)argc;
    (void)argv;
    return CMD_OK;
}

static const struct cmd_verb verb = {
    .name = "mend",
    .summary = "Mend things.",
    .synopsis = "THING [--with TOOL]",
    .details = "Slowly.",
    .run = run_nothing,
};

/* What a call writes to standard output and standard error, in the order of writing. */
struct capture {
    FILE *file;
    int out, err;
    char text[2048];
};

static void capture_start(struct capture *c)
{
    (void)fflush(NULL);
    c->file = tmpfile();
    assert_non_null(c->file);
    c->out = dup(STDOUT_FILENO);
    c->err = dup(STDERR_FILENO);
    assert_true(dup2(fileno(c->file), STDOUT_FILENO) >= 0);
    assert_true(dup2(fileno(c->file), STDERR_FILENO) >= 0);
}

static void capture_end(struct capture *c)
{
    (void)fflush(NULL);
    (void)dup2(c->out, STDOUT_FILENO);
    (void)dup2(c->err, STDERR_FILENO);
    (void)close(c->out);
    (void)close(c->err);
    rewind(c->file);
    size_t n = fread(c->text, 1, sizeof(c->text) - 1, c->file);
    c->text[n] = 0;
    (void)fclose(c->file);
}

struct parsed {
    struct slice with, also[CMD_WORDS_MAX];
    unsigned also_len;
    bool quick, with_is_set;
    struct cmd_args args;
    struct capture said;
    int exit;
};

/* `line`: arguments with a space between. */
static bool parse(struct parsed *p, const char *line)
{
    static char words[1024];
    char *argv[64];
    int argc = 0;
    *p = (struct parsed){ .exit = -1 };
    const struct cmd_option options[] = {
        { .name = "--with",
          .value = "TOOL",
          .help = "A tool.",
          .text = &p->with,
          .is_set = &p->with_is_set },
        { .name = "--also",
          .value = "THING",
          .help = "More.",
          .list = p->also,
          .list_len = &p->also_len },
        { .name = "--quick", .help = "In haste.", .is_set = &p->quick },
    };
    assert_true(strlen(line) < sizeof(words));
    memcpy(words, line, strlen(line) + 1);
    for (char *at = words; *at && argc < 64;) {
        argv[argc++] = at;
        while (*at && *at != ' ')
            at++;
        if (*at)
            *at++ = 0;
    }
    capture_start(&p->said);
    bool ok = cmd_args_parse(&verb, options, ARRAY_LEN(options), argc, argv, &p->args, &p->exit);
    capture_end(&p->said);
    return ok;
}

static void test_options_and_words(void **state)
{
    (void)state;
    struct parsed p;
    assert_true(parse(&p, ""));
    assert_int_equal(p.args.words_len, 0);
    assert_true(parse(&p, "chair --with glue --quick table"));
    check_text("with", p.with, SLICE("glue"));
    assert_true(p.quick);
    assert_true(p.with_is_set);
    assert_int_equal(p.args.words_len, 2);
    check_text("first", p.args.words[0], SLICE("chair"));
    check_text("second", p.args.words[1], SLICE("table"));
    assert_true(parse(&p, "--with=a=b --also=x --also y"));
    check_text("with", p.with, SLICE("a=b"));
    assert_int_equal(p.also_len, 2);
    check_text("also", p.also[1], SLICE("y"));
    assert_true(parse(&p, "--with= -"));
    assert_true(p.with_is_set);
    assert_int_equal(p.with.len, 0);
    check_text("a dash alone is a word", p.args.words[0], SLICE("-"));
    assert_true(parse(&p, "--with --quick"));
    check_text("a value may look like an option", p.with, SLICE("--quick"));
    assert_false(p.quick);
    assert_true(parse(&p, "-- --quick --with"));
    assert_false(p.quick);
    assert_int_equal(p.args.words_len, 2);
    check_text("behind --", p.args.words[1], SLICE("--with"));
    assert_true(parse(&p, "--with a --with b"));
    check_text("the last one counts", p.with, SLICE("b"));
    assert_string_equal(p.said.text, "");
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *said;
    } rows[] = {
        { "--wiht glue", "purlin mend: unknown option --wiht. Did you mean `--with`?" },
        { "--nothing-like-it", "purlin mend: unknown option --nothing-like-it." },
        { "-q", "purlin mend: unknown option -q." },
        { "--with", "purlin mend: --with needs a value: --with TOOL" },
        { "--quick=yes", "purlin mend: --quick takes no value" },
        { "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 "
          "33",
          "purlin mend: too many arguments" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct parsed p;
        if (parse(&p, rows[i].line))
            fail_msg("%s is taken", rows[i].line);
        check_int(rows[i].line, p.exit, CMD_USAGE);
        if (strncmp(p.said.text, rows[i].said, strlen(rows[i].said)) != 0)
            fail_msg("%s: says \"%s\"", rows[i].line, p.said.text);
        assert_non_null(strstr(
            p.said.text, "\nUsage: purlin mend THING [--with TOOL]\nSee: purlin mend --help\n"));
    }
}

static void test_too_many_of_a_list(void **state)
{
    (void)state;
    struct parsed p;
    char line[512] = "";
    for (unsigned i = 0; i <= CMD_WORDS_MAX; i++)
        memcpy(line + strlen(line), " --also=x", sizeof(" --also=x"));
    assert_false(parse(&p, line + 1));
    assert_int_equal(p.exit, CMD_USAGE);
    assert_non_null(strstr(p.said.text, "--also is given too often"));
}

static void test_help(void **state)
{
    (void)state;
    static const char *const lines[] = { "--help", "-h", "chair --quick --help --nonsense" };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct parsed p;
        assert_false(parse(&p, lines[i]));
        assert_int_equal(p.exit, CMD_OK);
        assert_string_equal(p.said.text, "purlin mend - Mend things.\n\nUsage: purlin mend THING "
                                         "[--with TOOL]\n\nSlowly.\n\nOptions:\n"
                                         "  --with TOOL              A tool.\n"
                                         "  --also THING             More.\n"
                                         "  --quick                  In haste.\n"
                                         "  --help                   Print this help.\n");
    }
}

/* Not on a terminal: progress says nothing, whatever is told to it. */
static void test_progress_is_silent(void **state)
{
    (void)state;
    struct capture said;
    struct cmd_progress progress;
    capture_start(&said);
    cmd_progress_start(&progress, "work");
    progress.started_us -= INT64_C(10000000);
    for (int i = 0; i <= 10; i++)
        cmd_progress_update(&progress, i, i % 2 ? 0 : 10);
    cmd_progress_end(&progress);
    capture_end(&said);
    assert_string_equal(said.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_and_words),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many_of_a_list), cmocka_unit_test(test_help),
        cmocka_unit_test(test_progress_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
