/*
 * cmd/cmd.h - The command line: one file a verb, composed by main.c. A verb parses its options,
 * opens the parts of the application it needs (cmd/app.h) and returns the exit status.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct diag;
struct problem;

enum cmd_exit {
    CMD_OK = 0,
    CMD_FAILED = 1, /* the work failed */
    CMD_USAGE = 2   /* called wrongly, or the configuration is invalid */
};

/* -- options (cmd/args.c)
 * ------------------------------------------------------------------------------ */

#define CMD_WORDS_MAX 32u

struct cmd_option {
    const char *name;  /* "--config" */
    const char *value; /* placeholder in the help ("FILE"); NULL: a switch */
    const char *help;
    struct slice *text; /* where the value goes (one of the two) */
    bool *is_set;       /* where a switch goes; may accompany text */
    struct slice *list; /* several values: an array of CMD_WORDS_MAX ... */
    unsigned *list_len; /* ... and its length */
};

struct cmd_verb {
    const char *name;
    const char *summary;  /* a sentence, for the overview */
    const char *synopsis; /* after "purlin NAME " */
    const char *details;  /* paragraphs of the help, or NULL */
    int (*run)(const struct cmd_verb *verb, int argc, char **argv);
};

struct cmd_args {
    struct slice words[CMD_WORDS_MAX]; /* what is not an option */
    unsigned words_len;
};

/*
 * Parse `argv` (after the verb). --help prints the verb's help. Both "--name value" and
 * "--name=value"; "--" ends the options.
 *
 * Errors   false when the caller is to return *ret_exit at once (help was asked for, or something
 * is wrong and said so).
 */
bool cmd_args_parse(const struct cmd_verb *verb, const struct cmd_option *options,
                    unsigned options_len, int argc, char **argv, struct cmd_args *ret_args,
                    int *ret_exit);
void cmd_verb_help(const struct cmd_verb *verb, const struct cmd_option *options,
                   unsigned options_len);
/* Complain in one line on standard error; returns CMD_USAGE. */
int cmd_usage_error(const struct cmd_verb *verb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* -- telling people
 * ------------------------------------------------------------------------------------ */

/* Print every problem on standard error and say how many; returns CMD_USAGE. */
int cmd_print_diag(const struct diag *diag);
/* "purlin migrate: the database is newer ..." with wrong fields; returns CMD_FAILED. */
int cmd_print_problem(const char *verb, const struct problem *problem);
/* Write all of it to standard output; CMD_FAILED when that fails (a closed pipe, a full disk). */
int cmd_print_out(struct slice text);

/* A progress line on standard error: only on a terminal, only once a second has passed.
 * Zero-initialise. */
struct cmd_progress {
    const char *what;
    int64_t started_us, shown_us;
    bool is_shown;
};
void cmd_progress_start(struct cmd_progress *p, const char *what);
void cmd_progress_update(void *progress, int64_t done, int64_t total); /* a store_progress_fn */
void cmd_progress_end(struct cmd_progress *p);

extern const struct cmd_verb cmd_serve, cmd_check, cmd_migrate, cmd_import, cmd_export, cmd_seed,
    cmd_openapi, cmd_routes, cmd_backup, cmd_restore, cmd_config, cmd_cert, cmd_user, cmd_keys,
    cmd_token, cmd_mail, cmd_key, cmd_audit, cmd_client, cmd_rules;
