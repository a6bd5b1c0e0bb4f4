/*
 * purlin export. Whole resources to files that `purlin import` takes again: every field, also those
 * that the API only shows, each file under a temporary name until it is complete and on disk.
 * Beside them a mapping is written that reads them back with their ids.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/import.h"
#include "cmd/security.h"
#include "contract/contract.h"
#include "contract/sql.h"
#include "fiber/task.h"
#include "identity/audit.h"
#include "store/store.h"

#define ROW_BYTES_MAX ((size_t)64 << 20)
#define FLUSH_BYTES ((size_t)256 << 10)

struct export
{
    const struct cmd_verb *verb;
    struct app_common common;
    struct slice to, format;
    bool all, is_csv;
    const struct contract **resources;
    unsigned resources_len;
    struct cmd_progress progress;
    int64_t rows_done, rows_total;
};

/* A file being written: to a temporary name beside its own, or standard output. */
struct sink {
    char *path, *temporary;
    int fd;
    struct buf buf;
    bool failed;
};

static bool sink_open(struct sink *sink, struct arena *arena, struct slice folder,
                      struct slice name, const char *ending)
{
    *sink = (struct sink){ .fd = STDOUT_FILENO };
    buf_init(&sink->buf, NULL, FLUSH_BYTES + 4096, ROW_BYTES_MAX + FLUSH_BYTES);
    if (!folder.len)
        return true;
    struct slice path =
        arena_printf(arena, "%.*s/%.*s%s", SLICE_ARG(folder), SLICE_ARG(name), ending);
    struct slice temporary = arena_printf(arena, "%.*s.%d.part", SLICE_ARG(path), (int)getpid());
    sink->path = arena_cstr(arena, path);
    sink->temporary = arena_cstr(arena, temporary);
    sink->fd = sink->temporary
                   ? open(sink->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
                   : -1;
    return sink->fd >= 0;
}

static void sink_flush(struct sink *sink)
{
    sink->failed |= buf_status(&sink->buf) != STATUS_OK;
    for (size_t at = 0; at < sink->buf.len && !sink->failed;) {
        ssize_t n = write(sink->fd, sink->buf.data + at, sink->buf.len - at);
        if (n < 0 && errno == EINTR)
            continue;
        sink->failed = n <= 0;
        at += n > 0 ? (size_t)n : 0;
    }
    buf_clear(&sink->buf);
}

/* Give the file its name, once all of it is on disk; or take it away again. */
static bool sink_close(struct sink *sink, bool keep)
{
    sink_flush(sink);
    if (sink->temporary && sink->fd >= 0) {
        sink->failed |= keep && fsync(sink->fd) != 0;
        sink->failed |= close(sink->fd) != 0;
        if (!keep || sink->failed || rename(sink->temporary, sink->path) != 0) {
            sink->failed = true;
            (void)unlink(sink->temporary);
        }
    }
    buf_fini(&sink->buf);
    return !sink->failed;
}

/* -- rows
 * -----------------------------------------------------------------------------------------------------------
 */

static bool is_shown(const struct export *ex, const struct contract_field *field)
{
    return ex->all || !field->writeonly;
}

static struct store_sql select_rows(const struct export *ex, const struct contract *contract,
                                    struct arena *arena)
{
    struct store_sql sql;
    bool first = true;
    store_sql_init(&sql, arena);
    store_sql_lit(&sql, "SELECT ");
    for (unsigned i = 0; i < contract->columns_len; i++) {
        if (!is_shown(ex, contract->columns[i].field))
            continue;
        if (!first)
            store_sql_lit(&sql, ", ");
        store_sql_name(&sql, contract->columns[i].name);
        first = false;
    }
    store_sql_lit(&sql, " FROM ");
    store_sql_name(&sql, contract->name);
    store_sql_lit(&sql, " ORDER BY id");
    return sql;
}

static void put_json_row(const struct export *ex, const struct contract *contract,
                         const struct store_rows *rows, struct buf *out)
{
    unsigned column = 0;
    buf_putc(out, '{');
    for (unsigned i = 0; i < contract->fields_len; i++) {
        const struct contract_field *field = contract->fields[i];
        if (!is_shown(ex, field))
            continue;
        if (column)
            buf_putc(out, ',');
        json_put_string(out, field->name);
        buf_putc(out, ':');
        contract_value_write_rows(field, rows, column, out);
        column += field->columns_len;
    }
    buf_put_lit(out, "}\n");
}

/* Text as it is; numbers and structures as their JSON; what JSON quotes without need of escapes,
 * unquoted. */
static void put_cell(const struct contract_field *field, const struct store_rows *rows,
                     unsigned column, struct buf *scratch, struct buf *out)
{
    if (store_rows_is_null(rows, column))
        return;
    if (store_rows_kind(rows, column) == STORE_TEXT && field->type != CONTRACT_LIST) {
        import_csv_put(out, store_rows_bytes(rows, column));
        return;
    }
    buf_clear(scratch);
    contract_value_write_rows(field, rows, column, scratch);
    struct slice text = buf_slice(scratch);
    if (text.len >= 2 && text.data[0] == '"')
        text = slice_of(text.data + 1, text.len - 2);
    if (buf_status(scratch) != STATUS_OK)
        out->status = buf_status(scratch);
    else
        import_csv_put(out, text);
}

static void put_csv_row(const struct export *ex, const struct contract *contract,
                        const struct store_rows *rows, struct buf *scratch, struct buf *out)
{
    unsigned column = 0;
    for (unsigned i = 0; i < contract->fields_len; i++) {
        const struct contract_field *field = contract->fields[i];
        if (!is_shown(ex, field))
            continue;
        if (column)
            buf_putc(out, ',');
        put_cell(field, rows, column, scratch, out);
        column += field->columns_len;
    }
    buf_put_lit(out, "\r\n");
}

static void put_header(const struct export *ex, const struct contract *contract, struct buf *out)
{
    bool first = true;
    for (unsigned i = 0; i < contract->fields_len; i++) {
        if (!is_shown(ex, contract->fields[i]))
            continue;
        if (!first)
            buf_putc(out, ',');
        import_csv_put(out, contract->fields[i]->name);
        first = false;
    }
    buf_put_lit(out, "\r\n");
}

static enum status write_rows(struct task *task, struct app *app, struct export *ex,
                              const struct contract *contract, struct sink *sink)
{
    struct store_sql sql = select_rows(ex, contract, task_arena(task));
    enum status st = store_sql_status(&sql);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    CLEANUP(buf_fini) struct buf scratch;
    buf_init(&scratch, NULL, 0, ROW_BYTES_MAX);
    if (st == STATUS_OK)
        st = store_query_sql(task, app->store, &sql, &rows);
    if (ex->is_csv)
        put_header(ex, contract, &sink->buf);
    while (st == STATUS_OK && !sink->failed && (st = store_rows_next(rows)) == STATUS_OK) {
        if (ex->is_csv)
            put_csv_row(ex, contract, rows, &scratch, &sink->buf);
        else
            put_json_row(ex, contract, rows, &sink->buf);
        if (sink->buf.len >= FLUSH_BYTES || buf_status(&sink->buf) != STATUS_OK)
            sink_flush(sink);
        cmd_progress_update(&ex->progress, ++ex->rows_done, ex->rows_total);
    }
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* -- the mapping that reads it back
 * ------------------------------------------------------------------------------------ */

static void put_mapping_fields(const struct export *ex, const struct contract *contract,
                               struct buf *out)
{
    buf_put_lit(out, "    fields:\n");
    for (unsigned i = 0; i < contract->fields_len; i++) {
        const struct contract_field *field = contract->fields[i];
        if (!is_shown(ex, field) || field->type == CONTRACT_COUNT)
            continue;
        bool has_target = false;
        for (unsigned k = 0; k < ex->resources_len && field->type == CONTRACT_REF; k++)
            has_target |= ex->resources[k] == field->ref;
        if (has_target)
            buf_printf(out, "      %.*s: { from: %.*s, ref: %.*s, missing: %s }\n",
                       SLICE_ARG(field->name), SLICE_ARG(field->name), SLICE_ARG(field->ref->name),
                       field->nullable ? "null" : "error");
        else
            buf_printf(out, "      %.*s: %.*s\n", SLICE_ARG(field->name), SLICE_ARG(field->name));
    }
    bool any = false;
    for (unsigned i = 0; i < contract->fields_len; i++) {
        if (contract->fields[i]->type != CONTRACT_COUNT)
            continue;
        buf_printf(out, "%s%.*s", any ? ", " : "    ignore: [",
                   SLICE_ARG(contract->fields[i]->name));
        any = true;
    }
    if (any)
        buf_put_lit(out, "]\n");
}

static void put_mapping(const struct export *ex, struct buf *out)
{
    buf_put_lit(out, "# Reads these files back, ids and all: purlin import import.yaml\n"
                     "source: export\nimports:\n");
    for (unsigned i = 0; i < ex->resources_len; i++) {
        const struct contract *contract = ex->resources[i];
        buf_printf(out, "  - resource: %.*s\n    file: %.*s.%s\n    key: id\n",
                   SLICE_ARG(contract->name), SLICE_ARG(contract->name),
                   ex->is_csv ? "csv" : "ndjson");
        put_mapping_fields(ex, contract, out);
    }
}

/* -- the verb
 * ------------------------------------------------------------------------------------------------------------
 */

static int say_failed(struct slice name)
{
    (void)fprintf(stderr, "purlin export: %.*s could not be written\n", SLICE_ARG(name));
    return CMD_FAILED;
}

static void count_rows(struct task *task, struct app *app, struct export *ex)
{
    for (unsigned i = 0; i < ex->resources_len; i++) {
        struct store_sql sql;
        CLEANUP(store_rows_close) struct store_rows *rows = NULL;
        store_sql_init(&sql, task_arena(task));
        store_sql_lit(&sql, "SELECT count(*) FROM ");
        store_sql_name(&sql, ex->resources[i]->name);
        if (store_one(task, app->store, buf_slice(&sql.text), NULL, 0, &rows) == STATUS_OK)
            ex->rows_total += store_rows_i64(rows, 0);
    }
    problem_clear(task_problem(task));
}

static int export_one(struct task *task, struct app *app, struct export *ex,
                      const struct contract *contract)
{
    struct sink sink;
    int64_t before = ex->rows_done;
    if (!sink_open(&sink, task_arena(task), ex->to, contract->name,
                   ex->is_csv ? ".csv" : ".ndjson")) {
        (void)sink_close(&sink, false);
        return say_failed(contract->name);
    }
    enum status st = write_rows(task, app, ex, contract, &sink);
    bool written = sink_close(&sink, st == STATUS_OK);
    if (st != STATUS_OK)
        return cmd_print_problem(ex->verb->name, task_problem(task));
    if (!written)
        return say_failed(contract->name);
    if (ex->to.len)
        (void)printf("%-20.*s %10lld rows  %s\n", SLICE_ARG(contract->name),
                     (long long)(ex->rows_done - before), sink.path);
    return CMD_OK;
}

static int export_mapping(struct task *task, struct export *ex)
{
    struct sink sink;
    bool opened = sink_open(&sink, task_arena(task), ex->to, SLICE("import"), ".yaml");
    if (opened)
        put_mapping(ex, &sink.buf);
    return sink_close(&sink, opened) && opened ? CMD_OK : say_failed(SLICE("import.yaml"));
}

static int export_task(struct task *task, struct app *app, void *arg)
{
    struct export *ex = arg;
    int code = CMD_OK;
    count_rows(task, app, ex);
    cmd_progress_start(&ex->progress, "export");
    for (unsigned i = 0; i < ex->resources_len && code == CMD_OK; i++)
        code = export_one(task, app, ex, ex->resources[i]);
    if (code == CMD_OK && ex->to.len)
        code = export_mapping(task, ex);
    cmd_progress_end(&ex->progress);
    return code;
}

static int unknown_resource(struct export *ex, struct app *app, struct slice name)
{
    struct slice *names = arena_array_of(app->arena, struct slice, app->set->len + 1);
    for (unsigned i = 0; names && i < app->set->len; i++)
        names[i] = app->set->contracts[i]->name;
    struct slice hint = diag_suggest(app->arena, name, names, names ? app->set->len : 0);
    return cmd_usage_error(ex->verb, "there is no resource %.*s. %.*s", SLICE_ARG(name),
                           SLICE_ARG(hint));
}

static int choose_resources(struct export *ex, struct app *app, const struct cmd_args *args)
{
    ex->resources =
        arena_array_of(app->arena, const struct contract *, args->words_len + app->set->len + 1);
    for (unsigned i = 0; i < args->words_len; i++) {
        const struct contract *contract = contract_find(app->set, args->words[i]);
        if (!contract)
            return unknown_resource(ex, app, args->words[i]);
        ex->resources[ex->resources_len++] = contract;
    }
    for (unsigned i = 0; !args->words_len && i < app->set->len; i++)
        ex->resources[ex->resources_len++] = app->set->contracts[i];
    if (!ex->to.len && ex->resources_len != 1)
        ex->to = SLICE("export");
    return CMD_OK;
}

/* A database that is not as the contracts say has columns that cannot be asked for. */
static int check_schema(struct export *ex, struct app *app)
{
    struct contract_diff diff;
    if (contract_sql_diff(app->set, app->store, NULL, 0, app->arena, &app->problem, &diff) !=
        STATUS_OK)
        return cmd_print_problem(ex->verb->name, &app->problem);
    if (!diff.changes_len)
        return CMD_OK;
    (void)fprintf(stderr,
                  "purlin export: the database differs from the contracts (%.*s ...). "
                  "See: purlin migrate diff --dry-run\n",
                  SLICE_ARG(diff.changes[0].what));
    return CMD_FAILED;
}

static int make_folder(struct export *ex, struct app *app)
{
    char *folder = ex->to.len ? arena_cstr(app->arena, ex->to) : NULL;
    if (!folder || mkdir(folder, 0755) == 0 || errno == EEXIST)
        return CMD_OK;
    (void)fprintf(stderr, "purlin export: the folder %s cannot be made\n", folder);
    return CMD_FAILED;
}

/* For the audit log: what left, and how much of it. */
static void put_details(const struct export *ex, struct buf *text)
{
    struct json_out o = json_out(text);
    json_out_object(&o);
    json_out_ki(&o, "rows", ex->rows_done);
    json_out_key(&o, SLICE("all_fields"));
    json_out_bool(&o, ex->all);
    json_out_key(&o, SLICE("resources"));
    json_out_array(&o);
    for (unsigned i = 0; i < ex->resources_len; i++)
        json_out_string(&o, ex->resources[i]->name);
    json_out_end(&o);
    json_out_end(&o);
    if (buf_status(text) == STATUS_OK)
        return;
    buf_clear(text);
    buf_printf(text, "{\"rows\":%lld,\"resources\":%u}", (long long)ex->rows_done,
               ex->resources_len);
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app app = { 0 };
    struct export ex = { .verb = verb };
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(ex.common),
        { .name = "--to",
          .value = "DIR",
          .help = "Folder for the files (default: ./export; one resource alone goes to standard "
                  "output).",
          .text = &ex.to },
        { .name = "--format",
          .value = "NAME",
          .help = "ndjson (the default) or csv.",
          .text = &ex.format },
        { .name = "--all",
          .help = "Also the fields that are never shown (writeonly).",
          .is_set = &ex.all },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    ex.is_csv = slice_eq(ex.format, SLICE("csv"));
    if (ex.format.len && !ex.is_csv && !slice_eq(ex.format, SLICE("ndjson")))
        return cmd_usage_error(verb, "--format must be ndjson or csv");
    code = app_open_config(&app, &ex.common);
    if (code == CMD_OK)
        code = app_open_contracts(&app);
    if (code == CMD_OK)
        code = choose_resources(&ex, &app, &args);
    if (code == CMD_OK)
        code = make_folder(&ex, &app);
    if (code == CMD_OK)
        code = app_open_store(&app, verb->name, false, true);
    if (code == CMD_OK)
        code = check_schema(&ex, &app);
    if (code == CMD_OK)
        code = app_run_task(&app, export_task, &ex);
    char details[IDENTITY_AUDIT_DETAILS_MAX];
    struct buf text = { .data = details, .cap = sizeof(details), .max = sizeof(details) };
    if (code == CMD_OK)
        put_details(&ex, &text);
    app_close(&app);
    if (code == CMD_OK)
        security_record(&ex.common, verb->name,
                        &(struct identity_audit_event){ .act = IDENTITY_AUDIT_DATA_EXPORTED,
                                                        .details = buf_slice(&text) });
    return code;
}

const struct cmd_verb cmd_export = {
    .name = "export",
    .summary = "Write whole resources to files.",
    .synopsis = "[RESOURCE...] [--to DIR] [--format ndjson|csv] [--all]",
    .details =
        "All rows with every field, also rows that are softly deleted; one file a resource, and "
        "import.yaml, a\n"
        "mapping with which `purlin import` reads them back, ids and all. A running server is not "
        "disturbed; each\n"
        "resource is a picture of one moment (for one moment of all of them, export a backup).",
    .run = run,
};
