#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/macros.h"
#include "base/problem.h"
#include "cmd/cmd.h"

void cmd_verb_help(const struct cmd_verb *verb, const struct cmd_option *options,
                   unsigned options_len)
{
    (void)printf("purlin %s - %s\n\nUsage: purlin %s %s\n", verb->name, verb->summary, verb->name,
                 verb->synopsis);
    if (verb->details)
        (void)printf("\n%s\n", verb->details);
    (void)printf("\nOptions:\n");
    for (unsigned i = 0; i < options_len; i++) {
        char left[64];
        (void)snprintf(left, sizeof(left), "%s%s%s", options[i].name, options[i].value ? " " : "",
                       options[i].value ? options[i].value : "");
        (void)printf("  %-24s %s\n", left, options[i].help);
    }
    (void)printf("  %-24s %s\n", "--help", "Print this help.");
}

int cmd_usage_error(const struct cmd_verb *verb, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "purlin %s: ", verb->name);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\nUsage: purlin %s %s\nSee: purlin %s --help\n", verb->name,
                  verb->synopsis, verb->name);
    va_end(args);
    return CMD_USAGE;
}

static const struct cmd_option *option_of(const struct cmd_option *options, unsigned len,
                                          struct slice name)
{
    for (unsigned i = 0; i < len; i++)
        if (slice_eq(slice_cstr(options[i].name), name))
            return &options[i];
    return NULL;
}

static int unknown_option(const struct cmd_verb *verb, const struct cmd_option *options,
                          unsigned len, struct slice name)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct slice names[32] = { SLICE_INIT("--help") };
    unsigned n = 1;
    for (unsigned i = 0; i < len && n < ARRAY_LEN(names); i++)
        names[n++] = slice_cstr(options[i].name);
    struct slice hint = diag_suggest(arena, name, names, n);
    return cmd_usage_error(verb, "unknown option %.*s. %.*s", SLICE_ARG(name), SLICE_ARG(hint));
}

static bool take_value(const struct cmd_option *option, struct slice value)
{
    if (option->text)
        *option->text = value;
    if (option->is_set)
        *option->is_set = true;
    if (option->list) {
        if (*option->list_len >= CMD_WORDS_MAX)
            return false;
        option->list[(*option->list_len)++] = value;
    }
    return true;
}

/* One option at argv[*i]; moves *i past its value. 0, or the exit status plus one. */
static int take_option(const struct cmd_verb *verb, const struct cmd_option *options, unsigned len,
                       int argc, char **argv, int *i)
{
    struct slice word = slice_cstr(argv[*i]);
    size_t equals = slice_find(word, '=');
    struct slice name = equals == SIZE_MAX ? word : slice_head(word, equals);
    if (slice_eq(name, SLICE("--help")) || slice_eq(name, SLICE("-h"))) {
        cmd_verb_help(verb, options, len);
        return CMD_OK + 1;
    }
    const struct cmd_option *option = option_of(options, len, name);
    if (!option)
        return unknown_option(verb, options, len, name) + 1;
    struct slice value = SLICE_NULL;
    if (!option->value && equals != SIZE_MAX)
        return cmd_usage_error(verb, "%s takes no value", option->name) + 1;
    if (option->value && equals != SIZE_MAX) {
        value = slice_from(word, equals + 1);
    } else if (option->value) {
        if (*i + 1 >= argc)
            return cmd_usage_error(verb, "%s needs a value: %s %s", option->name, option->name,
                                   option->value) +
                   1;
        value = slice_cstr(argv[++*i]);
    }
    if (!take_value(option, value))
        return cmd_usage_error(verb, "%s is given too often", option->name) + 1;
    return 0;
}

bool cmd_args_parse(const struct cmd_verb *verb, const struct cmd_option *options,
                    unsigned options_len, int argc, char **argv, struct cmd_args *ret_args,
                    int *ret_exit)
{
    bool options_over = false;
    *ret_args = (struct cmd_args){ 0 };
    for (int i = 0; i < argc; i++) {
        struct slice word = slice_cstr(argv[i]);
        if (!options_over && slice_eq(word, SLICE("--"))) {
            options_over = true;
        } else if (!options_over && word.len > 1 && word.data[0] == '-') {
            int code = take_option(verb, options, options_len, argc, argv, &i);
            if (code) {
                *ret_exit = code - 1;
                return false;
            }
        } else if (ret_args->words_len >= CMD_WORDS_MAX) {
            *ret_exit = cmd_usage_error(verb, "too many arguments");
            return false;
        } else {
            ret_args->words[ret_args->words_len++] = word;
        }
    }
    return true;
}

int cmd_print_diag(const struct diag *diag)
{
    struct buf out;
    buf_init(&out, NULL, 4096, (size_t)1 << 22);
    diag_print(diag, &out);
    (void)fwrite(out.data, 1, out.len, stderr);
    unsigned n = diag->len + diag->dropped;
    (void)fprintf(stderr, "%u problem%s.\n", n, n == 1 ? "" : "s");
    buf_fini(&out);
    return CMD_USAGE;
}

int cmd_print_problem(const char *verb, const struct problem *problem)
{
    (void)fprintf(stderr, "purlin %s: %.*s\n", verb,
                  SLICE_ARG(problem->detail.len ? problem->detail
                                                : slice_cstr(status_name(problem->status))));
    for (size_t i = 0; i < problem->fields_len; i++)
        (void)fprintf(stderr, "  %.*s: %.*s\n", SLICE_ARG(problem->fields[i].pointer),
                      SLICE_ARG(problem->fields[i].detail));
    if (problem->cause.len)
        (void)fprintf(stderr, "  (%.*s)\n", SLICE_ARG(problem->cause));
    return CMD_FAILED;
}

int cmd_print_out(struct slice text)
{
    bool written = fwrite(text.data, 1, text.len, stdout) == text.len && fflush(stdout) == 0;
    if (!written)
        (void)fprintf(stderr, "purlin: the output could not be written\n");
    return written ? CMD_OK : CMD_FAILED;
}

/* -- progress
 * -------------------------------------------------------------------------------------------- */

#define PROGRESS_AFTER_US CLOCK_SECOND
#define PROGRESS_EVERY_US (100 * CLOCK_MS)
#define PROGRESS_BAR 30

void cmd_progress_start(struct cmd_progress *p, const char *what)
{
    *p = (struct cmd_progress){ .what = what, .started_us = clock_mono_us() };
}

void cmd_progress_update(void *progress, int64_t done, int64_t total)
{
    struct cmd_progress *p = progress;
    int64_t now = clock_mono_us();
    if (now - p->started_us < PROGRESS_AFTER_US || now - p->shown_us < PROGRESS_EVERY_US ||
        !isatty(STDERR_FILENO))
        return;
    p->shown_us = now;
    p->is_shown = true;
    if (total <= 0) {
        (void)fprintf(stderr, "\r\033[K%s  %lld", p->what, (long long)done);
        return;
    }
    int filled = (int)(done * PROGRESS_BAR / total);
    char bar[PROGRESS_BAR + 1];
    for (int i = 0; i < PROGRESS_BAR; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[PROGRESS_BAR] = 0;
    int64_t left_us = done > 0 ? (now - p->started_us) * (total - done) / done : 0;
    (void)fprintf(stderr, "\r\033[K%s  [%s] %3lld %%  %lld s left", p->what, bar,
                  (long long)(done * 100 / total), (long long)(left_us / CLOCK_SECOND));
}

void cmd_progress_end(struct cmd_progress *p)
{
    if (p->is_shown)
        (void)fprintf(stderr, "\r\033[K");
    p->is_shown = false;
}
