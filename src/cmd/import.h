/*
 * cmd/import.h - Private to the command line: data of another system taken in through a mapping.
 *
 * Data passes: file -> pieces -> records (import_csv, import_ndjson: bounded lines) -> one JSON
 * object a row -> the mapping turns it into an object of the contract and contract_validate into
 * SQL values (import_row) -> batches of rows in one write each: keys looked up in
 * purlin_import_keys, rows and their keys inserted together (import_run, import_keys) -> error file
 * and summary (import_report).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/id.h"
#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"
#include "contract/contract.h"

struct arena;
struct store_tx;
struct task;

#define IMPORT_ENTRIES_MAX 64u
#define IMPORT_PATHS_MAX 8u  /* source fields that make one key */
#define IMPORT_PATH_DEPTH 8u /* "a.b.c" */
#define IMPORT_KEY_BYTES_MAX 512u
#define IMPORT_LINE_BYTES_MAX ((size_t)1 << 20) /* of a line, a CSV record, and so of a field */
#define IMPORT_CELLS_MAX 1024u
#define IMPORT_BATCH_ROWS 500u
#define IMPORT_BATCH_BYTES ((size_t)2 << 20) /* of source text */
#define IMPORT_ARENA_BYTES ((size_t)256 << 20)

/* -- the mapping (import_mapping.c)
 * ------------------------------------------------------------------------ */

enum import_format { IMPORT_NDJSON, IMPORT_CSV };
enum import_value { IMPORT_FROM, IMPORT_CONSTANT, IMPORT_TEMPLATE };
enum import_unit {
    IMPORT_UNIT_NONE,
    IMPORT_UNIT_SECONDS,
    IMPORT_UNIT_MILLISECONDS,
    IMPORT_UNIT_MICROSECONDS
};

/* A field of the source: "author", "author.id", "@item", "@line". */
struct import_path {
    struct slice name; /* as written */
    struct slice parts[IMPORT_PATH_DEPTH];
    unsigned len;
    bool is_item, is_line;
};

struct import_choice {
    struct slice from;
    json_t *to; /* may be null */
};

/* A piece of a template: text, or a source field. */
struct import_piece {
    struct slice text;
    struct import_path path;
    bool is_path;
};

struct import_field {
    const struct contract_field *field;
    enum import_value kind;
    struct import_path *from; /* one; of a reference to a composed key, several */
    unsigned from_len;
    json_t *constant;
    struct import_piece *pieces;
    unsigned pieces_len;
    json_t *fallback; /* `default`: when the source has nothing. NULL: none */
    struct import_choice *map;
    unsigned map_len;
    json_t *otherwise;  /* for values that `map` does not name; NULL: they are refused */
    struct slice split; /* empty: none */
    enum import_unit unit;
    struct slice currency;
    bool trim;
    const struct contract *ref; /* the value is a key of this resource's rows; NULL: no key */
    unsigned ref_index;         /* among the entry's references */
    bool missing_null; /* a key that nothing stands for becomes null, else the row is refused */
    int line;
};

struct import_filter {
    struct import_path path;
    struct slice *values;
    unsigned values_len;
};

struct import_entry {
    const struct contract *contract;
    struct slice file; /* as written */
    enum import_format format;
    char delimiter; /* CSV */
    struct import_path key[IMPORT_PATHS_MAX];
    unsigned key_len;
    struct import_path each; /* one row for each item of this list; len 0: one row a record */
    struct import_field *fields;
    unsigned fields_len;
    unsigned refs_len;
    struct import_path *ignore;
    unsigned ignore_len;
    struct import_filter *only;
    unsigned only_len;
    struct slice
        *known; /* every name that the entry uses or ignores, for the check of unknown fields */
    unsigned known_len;
    int line;
};

struct import_mapping {
    struct slice source; /* names the key space */
    struct slice file;   /* of the mapping itself, for complaints */
    struct import_entry
        *entries; /* in an order in which referred rows come first, where there is one */
    unsigned len;
};

/*
 * Read a mapping and check all of it against the contracts.
 *
 * Errors   INVALID with every problem in `diag`; EXHAUSTED.
 * Memory   lives in `arena`; points into `set` and `text`.
 */
enum status import_mapping_parse(struct slice text, struct slice file,
                                 const struct contract_set *set, struct arena *arena,
                                 struct diag *diag, struct import_mapping *ret);
/* Check the header of a CSV file against its entry: columns that are missing, twice there, or
 * neither used nor ignored. False when there is a problem (in diag, at a line of the CSV file). */
bool import_header_check(const struct import_entry *entry, struct slice file,
                         const struct slice *cells, unsigned cells_len, struct diag *diag);
/* Whether the entry uses or ignores this source field. */
bool import_entry_knows(const struct import_entry *entry, struct slice name);
/* Whether it uses or ignores something inside the field ("a." of "a.b"). */
bool import_entry_knows_inside(const struct import_entry *entry, struct slice name);

/* -- reading files
 * ------------------------------------------------------------------------------------------- */

/* Where bytes come from: >0 bytes, 0 at the end, -1 when reading failed. */
typedef long (*import_read_fn)(void *arg, char *room, size_t room_bytes);

struct import_input {
    import_read_fn read;
    void *arg;
    char *piece; /* IMPORT_PIECE_BYTES, the caller's */
    size_t piece_bytes;
    size_t len, at;
    uint64_t taken; /* bytes handed on so far */
    int64_t line;   /* of the next byte, from 1 */
    bool started, ended, failed;
};
#define IMPORT_PIECE_BYTES ((size_t)65536)
/* The next byte without taking it, or -1 at the end. A byte order mark at the start is passed over.
 */
int import_input_peek(struct import_input *in);
static inline void import_input_take(struct import_input *in)
{
    in->line += in->piece[in->at] == '\n';
    in->at++;
    in->taken++;
}
/* The rest of the piece at hand (after a peek that found something), and taking n of it. */
static inline struct slice import_input_rest(const struct import_input *in)
{
    return slice_of(in->piece + in->at, in->len - in->at);
}

/* One line of JSON Lines or record of CSV. Lives until the next one is read. */
struct import_record {
    int64_t line;       /* where it begins */
    const char *code;   /* NULL: good. Else why it cannot be read, for programs ... */
    const char *reason; /* ... and for people */
    struct slice
        text; /* NDJSON: the line; also of a record that cannot be read, as far as it is known */
    struct slice *cells; /* CSV */
    bool *quoted;        /* CSV: "" is empty text, nothing at all is no value */
    unsigned cells_len;
    uint64_t digest;
};

/* Lines: blank ones are passed over. False at the end. `buf` is the caller's, its max the bound of
 * a line. */
bool import_ndjson_next(struct import_input *in, struct buf *buf, struct import_record *ret);

/* Records of RFC 4180: quotes, doubled quotes, CRLF or LF, newlines inside quotes, blank lines
 * passed over. */
struct import_csv {
    struct import_input *in;
    char delimiter;
    struct buf text; /* of all cells */
    uint32_t ends[IMPORT_CELLS_MAX];
    struct slice cells[IMPORT_CELLS_MAX];
    bool quoted[IMPORT_CELLS_MAX];
};
void import_csv_init(struct import_csv *csv, struct import_input *in, char delimiter);
void import_csv_fini(struct import_csv *csv);
bool import_csv_next(struct import_csv *csv, struct import_record *ret);

/* Append a cell by the rules of RFC 4180; text that is empty is quoted, so that it differs from
 * none at all. */
void import_csv_put(struct buf *out, struct slice text);

/* -- one row (import_row.c)
 * ----------------------------------------------------------------------------------- */

enum import_outcome {
    IMPORT_INSERTED,
    IMPORT_UNCHANGED, /* its key is known, and it is the row that was imported */
    IMPORT_CHANGED,   /* its key is known, but the source has changed since; left as it is */
    IMPORT_SKIPPED,   /* `only` does not want it */
    IMPORT_REFUSED,
    IMPORT_DEFERRED, /* refers to a row that may still come */
    IMPORT_OUTCOMES
};

struct import_row {
    int64_t line;
    int64_t item;         /* of `each`, from 0; else -1 */
    struct slice text;    /* the record as JSON; empty for CSV (see `source`) */
    const json_t *source; /* NULL: could not be read */
    uint64_t digest;
    struct slice key; /* empty: none could be made */
    bool is_valid;
    struct contract_row row; /* when valid; references are patched in */
    struct slice *refs;      /* by ref_index: the key referred to; data NULL: none */
    struct problem problem;  /* why it is not */
    enum import_outcome outcome;
};

/*
 * Turn row->source into row->key, refs and row by the entry, or into row->problem. SKIPPED rows get
 * that outcome.
 *
 * Errors   EXHAUSTED when the arena's budget is spent.
 * Context  never suspends.
 */
enum status import_row_make(const struct import_entry *entry, struct import_row *row,
                            int64_t now_us, struct arena *arena);
/* What `each` names in a record that is an object; NULL when it is absent or null. A row with item
 * -1 complains when it is no list. */
const json_t *import_row_items(const struct import_entry *entry, const json_t *source);
/* A record of CSV as a JSON object; NULL with *ret_code and *ret_reason. */
json_t *import_row_from_cells(const struct slice *names, unsigned names_len,
                              const struct import_record *record, struct arena *arena);

/* -- keys (import_keys.c)
 * ------------------------------------------------------------------------------------- */

/*
 * purlin_import_keys says which row a key of the source became, for all time: that is what makes an
 * import repeatable. purlin_import_pending holds references whose row had not come when they were
 * written as null.
 */
struct import_keys;
extern const char import_keys_schema[];
struct import_keys *import_keys_new(struct slice source, struct arena *arena);

struct import_known {
    struct uuid id;
    uint64_t digest;
    int64_t run;
};
/* NOT_FOUND when the key is new. */
enum status import_keys_find(struct import_keys *keys, struct store_tx *tx,
                             const struct contract *contract, struct slice key,
                             struct import_known *ret);
/* The id alone, from memory when it was met lately. */
enum status import_keys_resolve(struct import_keys *keys, struct store_tx *tx,
                                const struct contract *contract, struct slice key,
                                struct uuid *ret);
enum status import_keys_add(struct import_keys *keys, struct store_tx *tx,
                            const struct contract *contract, struct slice key,
                            const struct import_known *known);
enum status import_keys_wait(struct import_keys *keys, struct store_tx *tx,
                             const struct contract *contract, const struct uuid *id,
                             const struct import_field *field, struct slice key);
/* Fill references that waited and whose rows have come. *ret_left: those that still point at
 * nothing. */
enum status import_keys_settle(struct task *task, struct store *store, struct import_keys *keys,
                               const struct import_mapping *mapping, uint64_t *ret_filled,
                               uint64_t *ret_left);

/* -- what happened (import_report.c)
 * ---------------------------------------------------------------------------- */

struct import_counts {
    uint64_t read;
    uint64_t outcomes[IMPORT_OUTCOMES];
};

struct import_report {
    struct slice errors_path;
    FILE *errors; /* opened at the first refusal */
    bool errors_failed;
    struct import_counts *counts; /* by entry: [IMPORT_ENTRIES_MAX], the caller's */
    uint64_t filled, left;
    int64_t started_us;
};
/* Write a refused row to the error file: file, line, resource, key, reasons, row. False when it
 * cannot be written. */
bool import_report_refuse(struct import_report *report, const struct import_entry *entry,
                          const struct import_row *row);
/* Close the error file (sync), or remove one of an earlier run when nothing was refused. */
bool import_report_finish(struct import_report *report);
void import_report_print(const struct import_report *report, const struct import_mapping *mapping,
                         bool as_json, struct buf *out);
uint64_t import_report_refused(const struct import_report *report, unsigned entries_len);

/* -- the whole (import_run.c)
 * ------------------------------------------------------------------------------------ */

struct cmd_progress;
struct import_run_options {
    const struct import_mapping *mapping;
    struct slice from; /* folder of the files */
    struct store *store;
    struct import_report *report;
    struct cmd_progress *progress; /* may be NULL */
};
/*
 * Import every file. Bad rows go to the report; what fails is what cannot go on (a disk that is
 * full, a file that cannot be read).
 *
 * Errors   UNAVAILABLE and others of the store, with the task's problem; all rows of finished
 * batches stay, and running again goes on. Context  suspends.
 */
enum status import_run(struct task *task, const struct import_run_options *options);
/* Open every file, and check the header of those that are CSV; problems in diag, at the mapping's
 * lines or the file's. */
bool import_files_check(const struct import_mapping *mapping, struct slice from,
                        struct arena *arena, struct diag *diag);
/* "DIR/FILE" in the arena, NUL after it; NULL when the budget is spent. */
char *import_file_path(struct arena *arena, struct slice folder, struct slice file);
long import_read_file(void *fd, char *room, size_t room_bytes); /* an import_read_fn over int *fd */
