/*
 * The run. Two batches take turns: while one is written and synced on the store's writer thread,
 * the next is read, mapped and validated here. Within a batch nothing needs a savepoint of its own:
 * a row is one INSERT, and a statement that a constraint refuses undoes itself alone.
 *
 * A row that refers to a row which has not come yet is put aside in a temporary file, together with
 * its line number, and tried again when the file is through, as long as that gets any of them in.
 * (A chain of references that runs against the order of the file takes a pass a link; only
 * references declared `missing: error` are put aside, the others are written empty and filled at
 * the end.)
 */
#include "cmd/import.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "cmd/cmd.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "resource/resource.h"
#include "store/store.h"

#define BROKEN_TEXT_MAX ((size_t)4096)
#define ASIDE_LINE_MAX (IMPORT_LINE_BYTES_MAX * 16) /* CSV grows when it is written as JSON */

enum phase {
    PHASE_FILES,
    PHASE_AGAIN, /* rows that were put aside */
    PHASE_LAST   /* those for which nothing came any more: by their `missing` */
};

struct run;

struct batch {
    struct run *run;
    const struct import_entry *entry;
    unsigned entry_index;
    enum phase phase;
    struct arena *arena;
    struct arena_mark empty;
    struct import_row *rows; /* [IMPORT_BATCH_ROWS] */
    unsigned len;
    size_t bytes;
    bool is_writing;
    enum status st;
};

struct run {
    struct task *task;
    const struct import_run_options *options;
    const struct import_mapping *mapping;
    struct import_keys *keys;
    struct arena *arena; /* of the run */
    struct batch batches[2];
    struct batch *batch; /* the one being filled; the other may be writing */
    int64_t now_us, number;
    enum phase phase;
    FILE *aside; /* rows to try again; NULL: none */
    uint64_t aside_len;
    uint64_t aside_of[IMPORT_ENTRIES_MAX]; /* by entry; changes only while nothing is written */
    uint64_t bytes_done, bytes_total;
    char *piece;
};

/* -- writing a batch: on the writer thread
 * ------------------------------------------------------------------ */

static bool may_still_come(const struct batch *b, const struct contract *contract)
{
    const struct run *run = b->run;
    if (b->phase != PHASE_FILES)
        return b->phase == PHASE_AGAIN;
    for (unsigned i = 0; i < run->mapping->len; i++)
        if (run->mapping->entries[i].contract == contract &&
            (i >= b->entry_index || run->aside_of[i]))
            return true;
    return false;
}

/* The key is known already. */
static void judge_known(const struct batch *b, struct import_row *row,
                        const struct import_known *known)
{
    if (known->digest == row->digest) {
        row->outcome = IMPORT_UNCHANGED;
    } else if (known->run != b->run->number) {
        row->outcome = IMPORT_CHANGED;
    } else {
        problem_field_add(&row->problem, b->arena, SLICE(""), "duplicate_key",
                          "Another row with this key stands earlier in the source.");
        row->outcome = IMPORT_REFUSED;
    }
}

/* Put ids in the place of keys. NOT_FOUND: the row cannot be written now, its outcome says what
 * becomes of it. */
static enum status resolve_refs(const struct batch *b, struct store_tx *tx, struct import_row *row)
{
    bool deferred = false, refused = false;
    for (unsigned i = 0; i < b->entry->fields_len; i++) {
        const struct import_field *field = &b->entry->fields[i];
        if (!field->ref || !row->refs[field->ref_index].data)
            continue;
        struct slice key = row->refs[field->ref_index];
        struct store_value *value = &row->row.values[field->field->column];
        struct uuid *id = arena_new_of(b->arena, struct uuid);
        if (!id)
            return STATUS_EXHAUSTED;
        enum status st = import_keys_resolve(b->run->keys, tx, field->ref, key, id);
        if (st == STATUS_OK) {
            *value = store_blob(slice_of((const char *)id->bytes, sizeof(id->bytes)));
        } else if (st != STATUS_NOT_FOUND) {
            return st;
        } else if (field->missing_null) {
            *value = store_null();
        } else if (may_still_come(b, field->ref)) {
            deferred = true;
        } else {
            refused = true;
            problem_field_add(&row->problem, b->arena,
                              arena_printf(b->arena, "/%.*s", SLICE_ARG(field->field->name)),
                              "missing_reference", "No row of %.*s has the key `%.*s`.",
                              SLICE_ARG(field->ref->name), SLICE_ARG(key));
        }
    }
    row->outcome = refused ? IMPORT_REFUSED : deferred ? IMPORT_DEFERRED : IMPORT_INSERTED;
    return refused || deferred ? STATUS_NOT_FOUND : STATUS_OK;
}

static void take_reasons(const struct batch *b, struct store_tx *tx, struct import_row *row)
{
    struct problem *said = store_tx_problem(tx);
    for (size_t i = 0; i < said->fields_len; i++)
        problem_field_add(&row->problem, b->arena, said->fields[i].pointer, said->fields[i].code,
                          "%.*s", SLICE_ARG(said->fields[i].detail));
    if (!said->fields_len)
        problem_field_add(
            &row->problem, b->arena, SLICE(""), "conflict", "%.*s",
            SLICE_ARG(said->detail.len ? said->detail : SLICE("The database refused the row.")));
    problem_clear(said);
    row->outcome = IMPORT_REFUSED;
}

static struct uuid id_of(const struct contract_row *row)
{
    const struct contract_field *id = contract_id_field(row->contract);
    const struct contract_field *created = contract_field_find(row->contract, SLICE("created_at"));
    const struct store_value *value = &row->values[id->column];
    struct uuid given;
    if (row->present[id->index] && value->kind == STORE_BLOB &&
        value->as.bytes.len == sizeof(given.bytes)) {
        memcpy(given.bytes, value->as.bytes.data, sizeof(given.bytes));
        return given;
    }
    /* Ids in the order in which rows were made keep lists and indexes in order. */
    if (created && row->present[created->index])
        return uuid_v7_at(row->values[created->column].as.i64);
    return uuid_v7();
}

static enum status insert_row(const struct batch *b, struct store_tx *tx, struct import_row *row)
{
    struct import_known known = { .id = id_of(&row->row),
                                  .digest = row->digest,
                                  .run = b->run->number };
    enum status st = resource_tx_insert(tx, &row->row, &known.id, NULL);
    if (st == STATUS_CONFLICT || st == STATUS_INVALID) {
        take_reasons(b, tx, row);
        return STATUS_OK;
    }
    if (st == STATUS_OK)
        st = import_keys_add(b->run->keys, tx, b->entry->contract, row->key, &known);
    for (unsigned i = 0; i < b->entry->fields_len && st == STATUS_OK; i++) {
        const struct import_field *field = &b->entry->fields[i];
        bool waits = field->ref && row->refs[field->ref_index].data &&
                     row->row.values[field->field->column].kind == STORE_NULL;
        if (waits)
            st = import_keys_wait(b->run->keys, tx, b->entry->contract, &known.id, field,
                                  row->refs[field->ref_index]);
    }
    return st;
}

static enum status write_row(const struct batch *b, struct store_tx *tx, struct import_row *row)
{
    if (row->outcome == IMPORT_SKIPPED || !row->key.len)
        return STATUS_OK;
    struct import_known known;
    enum status st = import_keys_find(b->run->keys, tx, b->entry->contract, row->key, &known);
    if (st == STATUS_OK) {
        judge_known(b, row, &known);
        return STATUS_OK;
    }
    if (st != STATUS_NOT_FOUND || !row->is_valid)
        return st == STATUS_NOT_FOUND ? STATUS_OK : st;
    problem_clear(&row->problem);
    st = resolve_refs(b, tx, row);
    if (st == STATUS_OK)
        return insert_row(b, tx, row);
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status write_batch(struct store_tx *tx, void *arg)
{
    struct batch *b = arg;
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < b->len && st == STATUS_OK; i++)
        st = write_row(b, tx, &b->rows[i]);
    return st;
}

/* -- batches
 * ---------------------------------------------------------------------------------------------------
 */

static void keep_problem(struct task *from, struct task *to, enum status st)
{
    const struct problem *said = task_problem(from);
    (void)problem_put(task_problem(to), task_arena(to), said->file, said->line, st,
                      said->type ? said->type : "import/write", "%.*s",
                      SLICE_ARG(said->detail.len ? said->detail : slice_cstr(status_name(st))));
    if (said->cause.len)
        problem_cause(task_problem(to), task_arena(to), said->cause);
}

static void write_task(struct task *task, void *arg)
{
    struct batch *b = arg;
    b->st = store_write(task, b->run->options->store, write_batch, b);
    if (b->st != STATUS_OK)
        keep_problem(task, b->run->task, b->st);
    b->is_writing = false;
    task_wake(b->run->task);
}

static enum status fail(struct run *run, enum status st, const char *type, const char *detail)
{
    return problem_set(run->task, st, type, "%s", detail);
}

static enum status put_aside(struct run *run, const struct batch *b, const struct import_row *row)
{
    if (!run->aside && !(run->aside = tmpfile()))
        return fail(run, STATUS_UNAVAILABLE, "import/temporary",
                    "A temporary file could not be made.");
    struct buf line;
    buf_init(&line, NULL, 1024, ASIDE_LINE_MAX);
    buf_printf(&line, "%u %lld %lld %llx ", b->entry_index, (long long)row->line,
               (long long)row->item, (unsigned long long)row->digest);
    if (row->text.len)
        buf_put_slice(&line, row->text);
    else
        json_put_value(&line, row->source);
    buf_putc(&line, '\n');
    bool written =
        buf_status(&line) == STATUS_OK && fwrite(line.data, 1, line.len, run->aside) == line.len;
    buf_fini(&line);
    run->aside_len++;
    run->aside_of[b->entry_index]++;
    return written ? STATUS_OK
                   : fail(run, STATUS_UNAVAILABLE, "import/temporary",
                          "The temporary file could not be written.");
}

/* What came of a batch that is written. */
static enum status take_outcomes(struct run *run, struct batch *b)
{
    struct import_report *report = run->options->report;
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < b->len && st == STATUS_OK; i++) {
        const struct import_row *row = &b->rows[i];
        if (row->outcome == IMPORT_DEFERRED)
            st = put_aside(run, b, row);
        else
            report->counts[b->entry_index].outcomes[row->outcome]++;
        if (row->outcome == IMPORT_REFUSED && !import_report_refuse(report, b->entry, row))
            st = fail(run, STATUS_UNAVAILABLE, "import/errors",
                      "The error file could not be written.");
    }
    return st;
}

static void batch_clear(struct batch *b)
{
    arena_rewind(b->arena, b->empty);
    b->len = 0;
    b->bytes = 0;
}

/* Wait until the batch is written, and empty it. */
static enum status settle_batch(struct run *run, struct batch *b)
{
    while (b->is_writing)
        task_wait_always(run->task);
    enum status st = b->st;
    if (st == STATUS_OK)
        st = take_outcomes(run, b);
    batch_clear(b);
    return st;
}

/* Send the batch off and go on with the other. */
static enum status flush(struct run *run)
{
    struct batch *b = run->batch, *other = &run->batches[b == run->batches];
    enum status st = settle_batch(run, other);
    if (st != STATUS_OK || !b->len)
        return st;
    b->is_writing = true;
    b->phase = run->phase;
    st =
        task_spawn(task_loop(run->task), write_task, b, &(struct task_options){ .name = "import" });
    if (st != STATUS_OK) {
        b->is_writing = false;
        return fail(run, st, "import/write", "There is no room for another task.");
    }
    run->batch = other;
    if (run->options->progress)
        cmd_progress_update(run->options->progress, (int64_t)run->bytes_done,
                            (int64_t)run->bytes_total);
    /* The loop must turn for the write to be sent. */
    return task_yield(run->task);
}

static enum status flush_all(struct run *run)
{
    enum status st = flush(run);
    for (size_t i = 0; i < ARRAY_LEN(run->batches) && st == STATUS_OK; i++)
        st = settle_batch(run, &run->batches[i]);
    return st;
}

/* -- from records to rows
 * ---------------------------------------------------------------------------------------- */

/* Make room for one more row of this entry. */
static enum status row_begin(struct run *run, unsigned entry_index, struct import_row **ret)
{
    struct batch *b = run->batch;
    if (b->len == IMPORT_BATCH_ROWS || b->bytes > IMPORT_BATCH_BYTES ||
        (b->len && b->entry_index != entry_index)) {
        enum status st = flush(run);
        if (st != STATUS_OK)
            return st;
        b = run->batch;
    }
    b->entry_index = entry_index;
    b->entry = &run->mapping->entries[entry_index];
    *ret = &b->rows[b->len++];
    **ret = (struct import_row){ .item = -1, .outcome = IMPORT_REFUSED };
    return STATUS_OK;
}

static void refuse(struct batch *b, struct import_row *row, const char *code, const char *reason)
{
    row->outcome = IMPORT_REFUSED;
    row->is_valid = false;
    problem_field_add(&row->problem, b->arena, SLICE(""), code, "%s", reason);
}

/* Map and validate; a row that takes too much memory is refused alone. */
static void row_make(struct run *run, struct import_row *row)
{
    struct batch *b = run->batch;
    if (import_row_make(b->entry, row, run->now_us, b->arena) == STATUS_OK)
        return;
    *row = (struct import_row){
        .line = row->line, .item = row->item, .text = row->text, .source = row->source
    };
    refuse(b, row, "too_large", "The row takes too much memory.");
}

/* A line that could not be read, kept for the error file as far as it can be shown. */
static enum status take_broken(struct run *run, unsigned entry_index,
                               const struct import_record *record, const char *code,
                               const char *reason)
{
    struct import_row *row;
    enum status st = row_begin(run, entry_index, &row);
    if (st != STATUS_OK)
        return st;
    row->line = record->line;
    (void)arena_copy(run->batch->arena, slice_head(record->text, BROKEN_TEXT_MAX), &row->text);
    refuse(run->batch, row, code, reason);
    run->options->report->counts[entry_index].read++;
    return STATUS_OK;
}

/* One row of a JSON record: all of it, or an item. `model` has line, item, digest. */
static enum status take_json_row(struct run *run, unsigned entry_index,
                                 const struct import_row *model, struct slice text)
{
    struct import_row *row;
    enum status st = row_begin(run, entry_index, &row);
    if (st != STATUS_OK)
        return st;
    struct batch *b = run->batch;
    *row = *model;
    row->outcome = IMPORT_REFUSED;
    b->bytes += text.len;
    if (arena_copy(b->arena, text, &row->text) != STATUS_OK)
        return fail(run, STATUS_EXHAUSTED, "import/memory", "A batch takes too much memory.");
    json_t *source = NULL;
    struct json_error_at at;
    struct json_limits limits = { .bytes_max = ASIDE_LINE_MAX, .depth_max = 32 };
    if (json_read(b->arena, row->text, limits, &source, &at) != STATUS_OK) {
        row->text = slice_head(row->text, BROKEN_TEXT_MAX);
        refuse(b, row, "json", at.reason);
        return STATUS_OK;
    }
    row->source = source;
    row_make(run, row);
    return STATUS_OK;
}

static uint64_t digest_of_item(const json_t *item)
{
    struct buf text;
    buf_init(&text, NULL, 0, IMPORT_LINE_BYTES_MAX * 16);
    json_put_value(&text, item);
    uint64_t digest = hash64(buf_slice(&text), 1);
    buf_fini(&text);
    return digest;
}

/* How many rows a record makes: read here once to know, and again in each row's own batch. */
static enum status take_items(struct run *run, unsigned entry_index,
                              const struct import_record *record)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, IMPORT_ARENA_BYTES);
    const struct import_entry *entry = &run->mapping->entries[entry_index];
    struct import_row model = { .line = record->line, .item = -1, .digest = record->digest };
    json_t *source = NULL;
    struct json_limits limits = { .bytes_max = IMPORT_LINE_BYTES_MAX, .depth_max = 32 };
    enum status st = json_read(arena, record->text, limits, &source, NULL);
    const json_t *items =
        st == STATUS_OK && json_is_object(source) ? import_row_items(entry, source) : NULL;
    if (st == STATUS_OK && json_is_object(source) && !items)
        return STATUS_OK;
    if (!json_is_array(items)) {
        run->options->report->counts[entry_index].read++;
        return take_json_row(run, entry_index, &model, record->text);
    }
    st = STATUS_OK;
    for (size_t i = 0; i < json_array_size(items) && st == STATUS_OK; i++) {
        model.item = (int64_t)i;
        model.digest = digest_of_item(json_array_get(items, i));
        run->options->report->counts[entry_index].read++;
        st = take_json_row(run, entry_index, &model, record->text);
    }
    return st;
}

static enum status take_line(struct run *run, unsigned entry_index,
                             const struct import_record *record)
{
    if (record->code)
        return take_broken(run, entry_index, record, record->code, record->reason);
    if (run->mapping->entries[entry_index].each.name.len)
        return take_items(run, entry_index, record);
    struct import_row model = { .line = record->line, .item = -1, .digest = record->digest };
    run->options->report->counts[entry_index].read++;
    return take_json_row(run, entry_index, &model, record->text);
}

static enum status take_cells(struct run *run, unsigned entry_index,
                              const struct import_record *record, const struct slice *names,
                              unsigned names_len)
{
    if (record->code)
        return take_broken(run, entry_index, record, record->code, record->reason);
    struct import_row *row;
    enum status st = row_begin(run, entry_index, &row);
    if (st != STATUS_OK)
        return st;
    struct batch *b = run->batch;
    run->options->report->counts[entry_index].read++;
    b->bytes += record->text.len;
    row->line = record->line;
    row->digest = record->digest;
    row->source = import_row_from_cells(names, names_len, record, b->arena);
    if (!row->source)
        return fail(run, STATUS_EXHAUSTED, "import/memory", "A batch takes too much memory.");
    if (record->cells_len == names_len) {
        row_make(run, row);
        return STATUS_OK;
    }
    refuse(b, row, "cells",
           record->cells_len < names_len ? "The record has fewer fields than the header."
                                         : "The record has more fields than the header.");
    return STATUS_OK;
}

/* -- files
 * -------------------------------------------------------------------------------------------------------
 */

char *import_file_path(struct arena *arena, struct slice folder, struct slice file)
{
    bool whole = file.len && file.data[0] == '/';
    struct slice path = whole || !folder.len
                            ? arena_printf(arena, "%.*s", SLICE_ARG(file))
                            : arena_printf(arena, "%.*s/%.*s", SLICE_ARG(folder), SLICE_ARG(file));
    return path.data ? arena_cstr(arena, path) : NULL;
}

static enum status import_lines(struct run *run, unsigned entry_index, struct import_input *in)
{
    struct buf line;
    struct import_record record;
    uint64_t before = run->bytes_done;
    enum status st = STATUS_OK;
    buf_init(&line, NULL, 0, IMPORT_LINE_BYTES_MAX);
    while (st == STATUS_OK && import_ndjson_next(in, &line, &record)) {
        run->bytes_done = before + in->taken;
        st = take_line(run, entry_index, &record);
    }
    buf_fini(&line);
    return st;
}

static enum status import_cells(struct run *run, unsigned entry_index, struct import_input *in)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct import_csv *csv = arena_new_of(arena, struct import_csv);
    struct slice *names = arena_array_of(arena, struct slice, IMPORT_CELLS_MAX);
    struct import_record record;
    uint64_t before = run->bytes_done;
    enum status st = STATUS_OK;
    import_csv_init(csv, in, run->mapping->entries[entry_index].delimiter);
    unsigned names_len = 0;
    if (import_csv_next(csv, &record) && !record.code)
        for (; names_len < record.cells_len && st == STATUS_OK; names_len++)
            st = arena_copy(arena, record.cells[names_len], &names[names_len]);
    if (!names_len && !in->failed)
        st = fail(run, STATUS_INVALID, "import/header",
                  "A CSV file has no header that can be read.");
    while (st == STATUS_OK && import_csv_next(csv, &record)) {
        run->bytes_done = before + in->taken;
        st = take_cells(run, entry_index, &record, names, names_len);
    }
    import_csv_fini(csv);
    return st;
}

static enum status import_entry(struct run *run, unsigned entry_index)
{
    const struct import_entry *entry = &run->mapping->entries[entry_index];
    char *path = import_file_path(run->arena, run->options->from, entry->file);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return problem_set(run->task, STATUS_UNAVAILABLE, "import/file", "%.*s cannot be opened.",
                           SLICE_ARG(entry->file));
    struct import_input in = {
        .read = import_read_file, .arg = &fd, .piece = run->piece, .piece_bytes = IMPORT_PIECE_BYTES
    };
    enum status st = entry->format == IMPORT_CSV ? import_cells(run, entry_index, &in)
                                                 : import_lines(run, entry_index, &in);
    (void)close(fd);
    if (st == STATUS_OK && in.failed)
        st = problem_set(run->task, STATUS_UNAVAILABLE, "import/file",
                         "Reading %.*s failed on the way.", SLICE_ARG(entry->file));
    /* Its rows must be there before the next entry refers to them. */
    return st == STATUS_OK ? flush_all(run) : st;
}

/* -- rows put aside
 * --------------------------------------------------------------------------------------------------
 */

static bool take_number(struct slice *rest, int base, int64_t *ret)
{
    struct slice part;
    char text[24], *end;
    if (!slice_split(rest, ' ', &part) || !part.len || part.len >= sizeof(text))
        return false;
    memcpy(text, part.data, part.len);
    text[part.len] = 0;
    *ret = base == 16 ? (int64_t)strtoull(text, &end, 16) : (int64_t)strtoll(text, &end, 10);
    return *end == 0;
}

static enum status take_aside_line(struct run *run, struct slice line)
{
    int64_t entry_index = 0, digest = 0;
    struct import_row model = { .item = -1 };
    bool whole = take_number(&line, 10, &entry_index) && take_number(&line, 10, &model.line) &&
                 take_number(&line, 10, &model.item) && take_number(&line, 16, &digest) &&
                 entry_index >= 0 && entry_index < run->mapping->len;
    if (!whole)
        return fail(run, STATUS_INTERNAL, "import/temporary",
                    "The temporary file does not hold what was written.");
    model.digest = (uint64_t)digest;
    return take_json_row(run, (unsigned)entry_index, &model, line);
}

static enum status pass_aside(struct run *run)
{
    FILE *file = run->aside;
    run->aside = NULL;
    run->aside_len = 0;
    memset(run->aside_of, 0, sizeof(run->aside_of));
    int fd = fileno(file);
    if (fflush(file) != 0 || lseek(fd, 0, SEEK_SET) != 0) {
        (void)fclose(file);
        return fail(run, STATUS_UNAVAILABLE, "import/temporary",
                    "The temporary file could not be read.");
    }
    struct import_input in = {
        .read = import_read_file, .arg = &fd, .piece = run->piece, .piece_bytes = IMPORT_PIECE_BYTES
    };
    struct buf line;
    struct import_record record;
    enum status st = STATUS_OK;
    buf_init(&line, NULL, 0, ASIDE_LINE_MAX);
    while (st == STATUS_OK && import_ndjson_next(&in, &line, &record))
        st = take_aside_line(run, record.text);
    buf_fini(&line);
    (void)fclose(file);
    return st == STATUS_OK ? flush_all(run) : st;
}

/* Try again as long as that gets rows in. At the end, what still waits is judged by its `missing`.
 */
static enum status import_aside(struct run *run, bool is_last)
{
    enum status st = STATUS_OK;
    bool helps = true;
    for (run->phase = PHASE_AGAIN; run->aside && helps && st == STATUS_OK;) {
        uint64_t before = run->aside_len;
        st = pass_aside(run);
        helps = run->aside_len < before;
    }
    run->phase = PHASE_LAST;
    if (run->aside && is_last && st == STATUS_OK)
        st = pass_aside(run);
    run->phase = PHASE_FILES;
    return st;
}

/* -- the whole
 * ---------------------------------------------------------------------------------------------------------
 */

static void run_open(struct run *run)
{
    run->arena = arena_new(NULL, 0);
    run->keys = import_keys_new(run->mapping->source, run->arena);
    run->piece = arena_alloc(run->arena, IMPORT_PIECE_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(run->batches); i++) {
        struct batch *b = &run->batches[i];
        *b = (struct batch){ .run = run, .arena = arena_new(NULL, IMPORT_ARENA_BYTES) };
        b->rows = arena_array_of(b->arena, struct import_row, IMPORT_BATCH_ROWS);
        b->empty = arena_mark(b->arena);
    }
    run->batch = &run->batches[0];
    run->now_us = clock_wall_us();
    run->number = run->now_us;
    for (unsigned i = 0; i < run->mapping->len; i++) {
        struct stat info;
        char *path =
            import_file_path(run->arena, run->options->from, run->mapping->entries[i].file);
        if (path && stat(path, &info) == 0)
            run->bytes_total += (uint64_t)info.st_size;
    }
}

static void run_close(struct run *run)
{
    for (size_t i = 0; i < ARRAY_LEN(run->batches); i++) {
        while (run->batches[i].is_writing)
            task_wait_always(run->task);
        arena_free(run->batches[i].arena);
    }
    if (run->aside)
        (void)fclose(run->aside);
    arena_free(run->arena);
}

enum status import_run(struct task *task, const struct import_run_options *options)
{
    struct run run = { .task = task, .options = options, .mapping = options->mapping };
    enum status st = STATUS_OK;
    run_open(&run);
    for (unsigned i = 0; i < run.mapping->len && st == STATUS_OK; i++) {
        st = import_entry(&run, i);
        if (st == STATUS_OK)
            st = import_aside(&run, i + 1 == run.mapping->len);
    }
    if (st == STATUS_OK)
        st = import_keys_settle(task, options->store, run.keys, run.mapping,
                                &options->report->filled, &options->report->left);
    run_close(&run);
    return st;
}
