/*
 * fuzz/fuzz_csv.c - Records and lines come out the same however the bytes arrive; every byte is
 * taken; what is good is UTF-8 within its bounds; and cells that are written again are read again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "cmd/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct pieces {
    struct slice rest;
    size_t step;
};

static long read_pieces(void *arg, char *room, size_t room_bytes)
{
    struct pieces *p = arg;
    size_t n = MIN(MIN(p->rest.len, p->step), room_bytes);
    if (n)
        memcpy(room, p->rest.data, n);
    p->rest = slice_from(p->rest, n);
    return (long)n;
}

static void check_record(const struct import_record *record, int64_t *last_line)
{
    require(record->line > *last_line);
    *last_line = record->line;
    require(!record->code == !record->reason);
    for (unsigned i = 0; i < record->cells_len && !record->code; i++)
        require(utf8_is_valid(record->cells[i]));
}

/* Everything as text; `again` gets the good records as CSV. */
static void read_csv(struct arena *arena, struct slice text, char delimiter, size_t step,
                     struct buf *out, struct buf *again)
{
    struct pieces pieces = { text, step };
    struct import_input in = {
        .read = read_pieces, .arg = &pieces, .piece = arena_alloc(arena, 64), .piece_bytes = 64
    };
    struct import_csv *csv = arena_new_of(arena, struct import_csv);
    struct import_record record;
    int64_t line = 0;
    import_csv_init(csv, &in, delimiter);
    while (import_csv_next(csv, &record)) {
        check_record(&record, &line);
        buf_printf(out, "%s %u %llx\n", record.code ? record.code : "", record.cells_len,
                   (unsigned long long)record.digest);
        for (unsigned i = 0; i < record.cells_len && !record.code; i++) {
            buf_putc(again, i ? ',' : '\n');
            if (record.cells[i].len || record.quoted[i] || record.cells_len == 1)
                import_csv_put(again, record.cells[i]);
            buf_put_slice(out, record.cells[i]);
            buf_putc(out, record.quoted[i] && !record.cells[i].len ? '\1' : '\2');
        }
    }
    import_csv_fini(csv);
    require(in.taken == text.len && !in.failed);
}

/* The cells alone, without what a second writing may change (which quotes were needed). */
static void put_cells(struct arena *arena, struct slice text, char delimiter, struct buf *out)
{
    struct pieces pieces = { text, 64 };
    struct import_input in = {
        .read = read_pieces, .arg = &pieces, .piece = arena_alloc(arena, 64), .piece_bytes = 64
    };
    struct import_csv *csv = arena_new_of(arena, struct import_csv);
    struct import_record record;
    import_csv_init(csv, &in, delimiter);
    while (import_csv_next(csv, &record))
        for (unsigned i = 0; i < record.cells_len && !record.code; i++) {
            buf_put_slice(out, record.cells[i]);
            buf_putc(out, i + 1 == record.cells_len ? '\1' : '\2');
        }
    import_csv_fini(csv);
}

static void read_lines(struct arena *arena, struct slice text, size_t step, struct buf *out)
{
    struct pieces pieces = { text, step };
    struct import_input in = {
        .read = read_pieces, .arg = &pieces, .piece = arena_alloc(arena, 64), .piece_bytes = 64
    };
    struct import_record record;
    struct buf line;
    int64_t last = 0;
    buf_init(&line, arena, 0, 256);
    while (import_ndjson_next(&in, &line, &record)) {
        check_record(&record, &last);
        require(record.code ||
                (record.text.len && record.text.len <= 256 && utf8_is_valid(record.text)));
        buf_printf(out, "%lld %s %llx\n", (long long)record.line, record.code ? record.code : "",
                   (unsigned long long)record.digest);
    }
    require(in.taken == text.len && !in.failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char delimiters[] = { ',', ';', '\t' };
    if (size < 2)
        return 0;
    char delimiter = delimiters[data[0] % sizeof(delimiters)];
    size_t step = data[1] % 63u + 1;
    struct slice text = slice_of((const char *)data + 2, size - 2);
    struct arena *arena = arena_new(NULL, 0);
    struct buf out[4], again[2];
    for (size_t i = 0; i < ARRAY_LEN(out); i++)
        buf_init(&out[i], arena, 0, SIZE_MAX / 2);
    for (size_t i = 0; i < ARRAY_LEN(again); i++)
        buf_init(&again[i], arena, 0, SIZE_MAX / 2);
    read_csv(arena, text, delimiter, step, &out[0], &again[0]);
    read_csv(arena, text, delimiter, 64, &out[1], &again[1]);
    require(slice_eq(buf_slice(&out[0]), buf_slice(&out[1])));
    put_cells(arena, text, delimiter, &out[2]);
    put_cells(arena, buf_slice(&again[0]), ',', &out[3]);
    require(slice_eq(buf_slice(&out[2]), buf_slice(&out[3])));
    for (size_t i = 0; i < ARRAY_LEN(out); i++)
        buf_clear(&out[i]);
    read_lines(arena, text, step, &out[0]);
    read_lines(arena, text, 64, &out[1]);
    require(slice_eq(buf_slice(&out[0]), buf_slice(&out[1])));
    arena_free(arena);
    return 0;
}
