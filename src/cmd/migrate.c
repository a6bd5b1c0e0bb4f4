/*
 * purlin migrate diff | up | down | redo | status | new.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "contract/contract.h"
#include "contract/sql.h"
#include "store/store.h"

struct migrate {
    const struct cmd_verb *verb;
    struct app app;
    struct app_common common;
    struct slice name, steps_text;
    struct slice renames[CMD_WORDS_MAX];
    unsigned renames_len;
    bool allow_destructive, dry_run;
    unsigned steps;
};

static int fail(struct migrate *m)
{
    return cmd_print_problem(m->verb->name, &m->app.problem);
}

/* -- writing files
 * -------------------------------------------------------------------------------------------- */

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return name.len > 0 && name.len <= 80;
}

static bool write_file(const char *path, struct slice text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    bool written = write(fd, text.data, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    (void)close(fd);
    if (!written)
        (void)unlink(path);
    return written;
}

static enum status read_migrations(struct migrate *m, struct store_migrations *ret)
{
    enum status st = store_migrations_read(m->app.store, m->app.config.migrations, m->app.arena,
                                           &m->app.problem, ret);
    if (st == STATUS_NOT_FOUND) {
        problem_clear(&m->app.problem);
        *ret = (struct store_migrations){ 0 };
        st = STATUS_OK;
    }
    return st;
}

/* Both files of the next number. */
static int write_migration(struct migrate *m, struct slice name, struct slice up, struct slice down)
{
    struct store_migrations list;
    if (read_migrations(m, &list) != STATUS_OK)
        return fail(m);
    unsigned number = list.len ? list.items[list.len - 1].number + 1 : 1;
    struct slice folder = m->app.config.migrations;
    char *folder_path = arena_cstr(m->app.arena, folder);
    if (!folder_path || (mkdir(folder_path, 0755) != 0 && errno != EEXIST)) {
        (void)fprintf(stderr, "purlin migrate: the folder %.*s cannot be made\n",
                      SLICE_ARG(folder));
        return CMD_FAILED;
    }
    const struct {
        const char *suffix;
        struct slice text;
    } files[] = { { "up", up }, { "down", down } };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct slice path = arena_printf(m->app.arena, "%s/%04u_%.*s.%s.sql%c", folder_path, number,
                                         SLICE_ARG(name), files[i].suffix, 0);
        if (!path.data || !write_file(path.data, files[i].text)) {
            (void)fprintf(stderr, "purlin migrate: %s cannot be written\n",
                          path.data ? path.data : "the file");
            return CMD_FAILED;
        }
        (void)printf("Wrote %s\n", path.data);
    }
    return CMD_OK;
}

/* -- the actions
 * ------------------------------------------------------------------------------------------------
 */

static int run_diff(struct migrate *m)
{
    int code = app_open_contracts(&m->app);
    if (code != CMD_OK)
        return code;
    struct contract_diff diff;
    if (contract_sql_diff(m->app.set, m->app.store, m->renames, m->renames_len, m->app.arena,
                          &m->app.problem, &diff) != STATUS_OK)
        return fail(m);
    if (!diff.changes_len) {
        (void)printf("The database is as the contracts say. Nothing to do.\n");
        return CMD_OK;
    }
    for (unsigned i = 0; i < diff.changes_len; i++)
        (void)printf("  %.*s%s\n", SLICE_ARG(diff.changes[i].what),
                     diff.changes[i].destructive ? "  (loses data)" : "");
    if (m->dry_run)
        return cmd_print_out(buf_slice(&diff.up));
    code = write_migration(m, m->name.len ? m->name : diff.name, buf_slice(&diff.up),
                           buf_slice(&diff.down));
    if (code == CMD_OK)
        (void)printf("Review them, then: purlin migrate up%s\n",
                     diff.destructive ? " --allow-destructive" : "");
    return code;
}

static struct store_migrate_options store_options_of(struct migrate *m,
                                                     struct cmd_progress *progress)
{
    return (struct store_migrate_options){ .folder = m->app.config.migrations,
                                           .steps = m->steps,
                                           .allow_destructive = m->allow_destructive,
                                           .dry_run = m->dry_run,
                                           .progress = cmd_progress_update,
                                           .arg = progress };
}

static int run_up(struct migrate *m)
{
    struct cmd_progress progress;
    cmd_progress_start(&progress, "migrate up");
    struct store_migrate_options options = store_options_of(m, &progress);
    unsigned n = 0;
    enum status st = store_migrate_up(m->app.store, &options, m->app.arena, &m->app.problem, &n);
    cmd_progress_end(&progress);
    if (st != STATUS_OK)
        return fail(m);
    (void)printf(m->dry_run ? "%u would be applied.\n" : "%u applied.\n", n);
    return CMD_OK;
}

static int run_down(struct migrate *m)
{
    struct cmd_progress progress;
    cmd_progress_start(&progress, "migrate down");
    struct store_migrate_options options = store_options_of(m, &progress);
    unsigned n = 0;
    enum status st = store_migrate_down(m->app.store, &options, m->app.arena, &m->app.problem, &n);
    cmd_progress_end(&progress);
    if (st != STATUS_OK)
        return fail(m);
    (void)printf(m->dry_run ? "%u would be undone.\n" : "%u undone.\n", n);
    return CMD_OK;
}

static int run_redo(struct migrate *m)
{
    if (!m->steps)
        m->steps = 1;
    int code = run_down(m);
    return code == CMD_OK ? run_up(m) : code;
}

static int run_status(struct migrate *m)
{
    struct store_migrations list;
    if (read_migrations(m, &list) != STATUS_OK)
        return fail(m);
    if (!list.len)
        (void)printf("No migrations.\n");
    bool amiss = false;
    for (unsigned i = 0; i < list.len; i++) {
        const struct store_migration *item = &list.items[i];
        char when[CLOCK_RFC3339_LEN + 1] = "";
        if (item->applied)
            clock_format_rfc3339(item->applied_us, when);
        const char *state = !item->on_disk  ? "applied, FILE MISSING"
                            : item->changed ? "applied, FILE CHANGED"
                            : item->applied ? "applied"
                                            : "pending";
        amiss |= item->changed || !item->on_disk;
        (void)printf("%04u  %-40.*s  %s%s%s%s\n", item->number, SLICE_ARG(item->name), state,
                     item->applied ? "  " : "", when, item->destructive ? "  (destructive)" : "");
    }
    return amiss ? CMD_FAILED : CMD_OK;
}

static int run_new(struct migrate *m)
{
    if (!is_name(m->name))
        return cmd_usage_error(m->verb,
                               "say a name of a-z, 0-9 and _: purlin migrate new add_something");
    return write_migration(m, m->name, SLICE("-- What changes.\n"), SLICE("-- How to undo it.\n"));
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    static const struct {
        const char *word;
        int (*fn)(struct migrate *m);
        bool takes_name;
        bool creates;
    } actions[] = { { "diff", run_diff, false, true },     { "up", run_up, false, true },
                    { "down", run_down, false, false },    { "redo", run_redo, false, false },
                    { "status", run_status, false, true }, { "new", run_new, true, true } };
    struct migrate m = { .verb = verb };
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(m.common),
        { .name = "--steps",
          .value = "N",
          .help = "How many (up: all, down: 1).",
          .text = &m.steps_text },
        { .name = "--name", .value = "NAME", .help = "diff: name of the files.", .text = &m.name },
        { .name = "--rename",
          .value = "A.OLD=A.NEW",
          .help = "diff: a renamed field, its data kept; repeatable.",
          .list = m.renames,
          .list_len = &m.renames_len },
        { .name = "--allow-destructive",
          .help = "up, down: allow steps that lose data.",
          .is_set = &m.allow_destructive },
        { .name = "--dry-run", .help = "Say what would be done.", .is_set = &m.dry_run },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    int64_t steps = 0;
    if (m.steps_text.len && (!slice_to_i64(m.steps_text, &steps) || steps < 1 || steps > 100000))
        return cmd_usage_error(verb, "--steps must be a number from 1");
    m.steps = (unsigned)steps;
    struct slice word = args.words_len ? args.words[0] : SLICE_NULL;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (!slice_eq(word, slice_cstr(actions[i].word)))
            continue;
        if (args.words_len > (actions[i].takes_name ? 2u : 1u))
            return cmd_usage_error(verb, "unexpected argument %.*s",
                                   SLICE_ARG(args.words[args.words_len - 1]));
        if (actions[i].takes_name && args.words_len == 2)
            m.name = args.words[1];
        if (m.name.len && !is_name(m.name))
            return cmd_usage_error(verb, "a name is made of a-z, 0-9 and _");
        code = app_open_config(&m.app, &m.common);
        if (code == CMD_OK)
            code = app_open_store(&m.app, verb->name, actions[i].creates, false);
        if (code == CMD_OK)
            code = actions[i].fn(&m);
        app_close(&m.app);
        return code;
    }
    if (word.len)
        return cmd_usage_error(verb,
                               "there is no %.*s; it is one of diff, up, down, redo, status, new",
                               SLICE_ARG(word));
    return cmd_usage_error(verb, "say what to do: diff, up, down, redo, status or new");
}

const struct cmd_verb cmd_migrate = {
    .name = "migrate",
    .summary = "Bring the database from one version of the contracts to the next.",
    .synopsis = "diff | up | down | redo | status | new NAME  [OPTIONS]",
    .details = "diff    compare the contracts with the database and write a numbered migration, up "
               "and down\n"
               "up      apply what is pending, each in a transaction\n"
               "down    undo the last one\n"
               "redo    down and up again\n"
               "status  list them\n"
               "new     write an empty pair of files",
    .run = run,
};
