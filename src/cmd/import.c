/*
 * purlin import MAPPING.yaml. Everything that can be wrong with the mapping is said before the
 * database is opened.
 */
#include "cmd/import.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/security.h"
#include "fiber/task.h"
#include "identity/audit.h"
#include "store/store.h"

#define MAPPING_BYTES_MAX ((size_t)1 << 20)

struct import {
    const struct cmd_verb *verb;
    struct app_common common;
    struct slice mapping_path, from, errors;
    bool check_only, as_json;
    struct import_mapping mapping;
    struct import_report report;
};

/* -- files
 * -----------------------------------------------------------------------------------------------------
 */

static void check_header(const struct import_entry *entry, struct slice path, int fd,
                         struct arena *arena, struct diag *diag)
{
    struct import_input in = { .read = import_read_file,
                               .arg = &fd,
                               .piece_bytes = IMPORT_PIECE_BYTES,
                               .piece = arena_alloc(arena, IMPORT_PIECE_BYTES) };
    struct import_csv *csv = arena_new_of(arena, struct import_csv);
    struct import_record record;
    import_csv_init(csv, &in, entry->delimiter);
    if (!import_csv_next(csv, &record))
        diag_add(diag, path, 1, 0, SLICE_NULL, SLICE_NULL,
                 "the file has no header: the first record names the fields");
    else if (record.code)
        diag_add(diag, path, (int)record.line, 0, SLICE_NULL, SLICE_NULL,
                 "the header cannot be read: %s", record.reason);
    else
        (void)import_header_check(entry, path, record.cells, record.cells_len, diag);
    import_csv_fini(csv);
}

bool import_files_check(const struct import_mapping *mapping, struct slice from,
                        struct arena *arena, struct diag *diag)
{
    unsigned before = diag->len + diag->dropped;
    for (unsigned i = 0; i < mapping->len; i++) {
        const struct import_entry *entry = &mapping->entries[i];
        struct arena_mark mark = arena_mark(arena);
        char *path = import_file_path(arena, from, entry->file);
        struct stat info;
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
            diag_add(diag, mapping->file, entry->line, 0, SLICE("file"), SLICE_NULL,
                     "%s cannot be read as a file", path ? path : "the name");
        else if (entry->format == IMPORT_CSV)
            check_header(entry, slice_cstr(path), fd, arena, diag);
        if (fd >= 0)
            (void)close(fd);
        /* What diag keeps is its own arena's; when that is this one, nothing is given back. */
        if (diag->arena != arena)
            arena_rewind(arena, mark);
    }
    return diag->len + diag->dropped == before;
}

/* -- the verb
 * ----------------------------------------------------------------------------------------------------
 */

static struct slice folder_of(struct slice path)
{
    size_t end = path.len;
    while (end && path.data[end - 1] != '/')
        end--;
    return end > 1 ? slice_head(path, end - 1) : end == 1 ? SLICE("/") : SLICE(".");
}

static int read_mapping(struct import *im, struct app *app)
{
    struct slice text;
    enum status st = file_read(app->arena, im->mapping_path, MAPPING_BYTES_MAX, &text);
    if (st != STATUS_OK)
        return cmd_usage_error(im->verb, "%.*s cannot be read (%s)", SLICE_ARG(im->mapping_path),
                               status_name(st));
    st = import_mapping_parse(text, im->mapping_path, app->set, app->arena, &app->diag,
                              &im->mapping);
    if (st != STATUS_OK)
        return cmd_print_diag(&app->diag);
    if (!im->from.len)
        im->from = folder_of(im->mapping_path);
    if (!import_files_check(&im->mapping, im->from, app->arena, &app->diag))
        return cmd_print_diag(&app->diag);
    return CMD_OK;
}

static int import_task(struct task *task, struct app *app, void *arg)
{
    struct import *im = arg;
    struct cmd_progress progress;
    struct import_run_options options = {
        .mapping = &im->mapping,
        .from = im->from,
        .store = app->store,
        .report = &im->report,
        .progress = &progress,
    };
    cmd_progress_start(&progress, "import");
    enum status st = import_run(task, &options);
    cmd_progress_end(&progress);
    if (st == STATUS_OK)
        return CMD_OK;
    (void)cmd_print_problem("import", task_problem(task));
    (void)fprintf(stderr, "What was written stays written. Run the same command again to go on.\n");
    return CMD_FAILED;
}

static int run_import(struct import *im, struct app *app)
{
    int code = app_open_store(app, im->verb->name, true, false);
    if (code == CMD_OK)
        code = app_migrate(app, im->verb->name);
    if (code != CMD_OK)
        return code;
    if (store_script(app->store, slice_cstr(import_keys_schema), app->arena, &app->problem) !=
        STATUS_OK)
        return cmd_print_problem(im->verb->name, &app->problem);
    im->report.errors_path = slice_cstr(
        arena_cstr(app->arena, im->errors.len ? im->errors : SLICE("import-errors.ndjson")));
    im->report.counts = arena_array_of(app->arena, struct import_counts, IMPORT_ENTRIES_MAX);
    im->report.started_us = clock_mono_us();
    code = app_run_task(app, import_task, im);
    if (!import_report_finish(&im->report)) {
        (void)fprintf(stderr, "purlin import: the error file %s cannot be written\n",
                      im->report.errors_path.data);
        code = CMD_FAILED;
    }
    struct buf out;
    buf_init(&out, app->arena, 1024, (size_t)1 << 20);
    import_report_print(&im->report, &im->mapping, im->as_json, &out);
    int printed = cmd_print_out(buf_slice(&out));
    if (code == CMD_OK && import_report_refused(&im->report, im->mapping.len))
        code = CMD_FAILED;
    return code == CMD_OK ? printed : code;
}

/* What was written stays written, so a run that failed is a line of the audit log too. */
static void record(const struct import *im, int code)
{
    char details[IDENTITY_AUDIT_DETAILS_MAX];
    struct buf text = { .data = details, .cap = sizeof(details), .max = sizeof(details) };
    struct json_out o = json_out(&text);
    json_out_object(&o);
    json_out_key(&o, SLICE("mapping"));
    json_out_string(&o, utf8_is_valid(im->mapping_path) ? im->mapping_path : SLICE("?"));
    json_out_end(&o);
    security_record(&im->common, im->verb->name,
                    &(struct identity_audit_event){
                        .act = IDENTITY_AUDIT_DATA_IMPORTED,
                        .outcome = code == CMD_OK ? IDENTITY_AUDIT_OK : IDENTITY_AUDIT_FAILED,
                        .details = buf_status(&text) == STATUS_OK ? buf_slice(&text) : SLICE_NULL,
                    });
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app app = { 0 };
    struct import im = { .verb = verb };
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(im.common),
        { .name = "--from",
          .value = "DIR",
          .help = "Folder of the source files (default: the mapping's own).",
          .text = &im.from },
        { .name = "--errors",
          .value = "FILE",
          .help = "Where refused rows go (default: import-errors.ndjson).",
          .text = &im.errors },
        { .name = "--check",
          .help = "Check the mapping and the files' headers; import nothing.",
          .is_set = &im.check_only },
        { .name = "--json", .help = "Print the summary as JSON.", .is_set = &im.as_json },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len != 1)
        return cmd_usage_error(verb, args.words_len ? "one mapping at a time"
                                                    : "say which mapping to follow");
    im.mapping_path = args.words[0];
    code = app_open_config(&app, &im.common);
    if (code == CMD_OK)
        code = app_open_contracts(&app);
    if (code == CMD_OK)
        code = read_mapping(&im, &app);
    if (code == CMD_OK && im.check_only)
        (void)printf("The mapping is valid and its %u file%s can be read.\n", im.mapping.len,
                     im.mapping.len == 1 ? "" : "s");
    else if (code == CMD_OK)
        code = run_import(&im, &app);
    bool has_imported = im.report.started_us > 0;
    app_close(&app);
    if (has_imported)
        record(&im, code);
    return code;
}

const struct cmd_verb cmd_import = {
    .name = "import",
    .summary = "Take in data of another system, by a mapping.",
    .synopsis = "MAPPING.yaml [--from DIR] [--errors FILE] [--check] [--json]",
    .details = "The mapping says which file (JSON Lines or CSV) feeds which resource, which source "
               "field is the key, how\n"
               "fields map, and which refer to other rows' keys: see docs/import.md. Rows pass the "
               "same validation as\n"
               "through the API. Running it again changes nothing, and after a crash it goes on "
               "where it stood.\n"
               "\n"
               "Exit status 1 when a row was refused: it stands in the error file with its line "
               "and the reasons.",
    .run = run,
};
