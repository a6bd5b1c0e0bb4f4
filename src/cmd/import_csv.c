/*
 * CSV by RFC 4180, strict about quotes: a file that means something else than it says should be
 * refused where it does, not taken in wrongly. Cells of a record are kept one behind the other in a
 * bounded buffer.
 */
#include "cmd/import.h"

void import_csv_init(struct import_csv *csv, struct import_input *in, char delimiter)
{
    csv->in = in;
    csv->delimiter = delimiter;
    buf_init(&csv->text, NULL, 0, IMPORT_LINE_BYTES_MAX);
}

void import_csv_fini(struct import_csv *csv)
{
    buf_fini(&csv->text);
}

static void complain(struct import_record *record, const char *code, const char *reason)
{
    if (!record->code) {
        record->code = code;
        record->reason = reason;
    }
}

static void take_line_end(struct import_csv *csv)
{
    if (import_input_peek(csv->in) == '\r')
        import_input_take(csv->in);
    if (import_input_peek(csv->in) == '\n')
        import_input_take(csv->in);
}

/* After a mistake: go on with the next line, the only place where a record may begin. */
static void skip_line(struct import_csv *csv)
{
    int c;
    while ((c = import_input_peek(csv->in)) >= 0) {
        import_input_take(csv->in);
        if (c == '\n')
            return;
    }
}

/* As much of the piece at hand as belongs to a cell without a second look. */
static void take_plain(struct import_csv *csv, bool quoted)
{
    struct slice rest = import_input_rest(csv->in);
    size_t n = 0, lines = 0;
    for (; n < rest.len; n++) {
        char c = rest.data[n];
        if (c == '"' || (!quoted && (c == csv->delimiter || c == '\r' || c == '\n')))
            break;
        lines += c == '\n';
    }
    buf_put(&csv->text, rest.data, n);
    if (lines && buf_status(&csv->text) != STATUS_OK) {
        /* Too long: the next record is looked for from the first line end on. */
        n = slice_find(rest, '\n');
        lines = 0;
    }
    csv->in->line += (int64_t)lines;
    csv->in->at += n;
    csv->in->taken += n;
}

static void take_quoted(struct import_csv *csv, struct import_record *record)
{
    import_input_take(csv->in);
    for (;;) {
        int c = import_input_peek(csv->in);
        if (c < 0) {
            complain(record, "quote", "A quote that is opened here is never closed.");
            return;
        }
        if (buf_status(&csv->text) != STATUS_OK)
            return;
        if (c != '"') {
            take_plain(csv, true);
            continue;
        }
        import_input_take(csv->in);
        if (import_input_peek(csv->in) != '"')
            return;
        buf_putc(&csv->text, '"');
        import_input_take(csv->in);
    }
}

static bool is_line_end(int c)
{
    return c < 0 || c == '\n';
}

/* One cell, up to its delimiter or line end. A CR belongs to the line end only before LF or the end
 * of the file. */
static void take_cell(struct import_csv *csv, struct import_record *record, bool *ret_quoted)
{
    *ret_quoted = import_input_peek(csv->in) == '"';
    if (*ret_quoted)
        take_quoted(csv, record);
    while (!record->code && buf_status(&csv->text) == STATUS_OK) {
        int c = import_input_peek(csv->in);
        if (is_line_end(c) || c == csv->delimiter)
            return;
        if (c == '\r') {
            import_input_take(csv->in);
            if (is_line_end(import_input_peek(csv->in)))
                return;
            if (!*ret_quoted) {
                buf_putc(&csv->text, '\r');
                continue;
            }
        }
        if (*ret_quoted)
            complain(record, "quote", "Something follows the closing quote of a field.");
        else if (c == '"')
            complain(record, "quote",
                     "A quote stands inside a field that does not begin with one.");
        else
            take_plain(csv, false);
    }
}

static void take_cells(struct import_csv *csv, struct import_record *record)
{
    for (;;) {
        bool quoted = false;
        take_cell(csv, record, &quoted);
        if (buf_status(&csv->text) != STATUS_OK)
            complain(record, "too_large", "The record is too long.");
        if (record->code)
            return;
        csv->quoted[record->cells_len] = quoted;
        csv->ends[record->cells_len++] = (uint32_t)csv->text.len;
        if (import_input_peek(csv->in) != csv->delimiter)
            return;
        import_input_take(csv->in);
        if (record->cells_len == IMPORT_CELLS_MAX) {
            complain(record, "too_large", "The record has too many fields.");
            return;
        }
    }
}

static void finish(struct import_csv *csv, struct import_record *record)
{
    struct slice text = buf_slice(&csv->text);
    uint32_t from = 0;
    for (unsigned i = 0; i < record->cells_len; i++) {
        csv->cells[i] = slice_of(text.data ? text.data + from : "", csv->ends[i] - from);
        from = csv->ends[i];
        /* The place of each end is part of it, so that a,bc differs from ab,c. */
        record->digest = hash64(csv->cells[i], record->digest + 2 * i + csv->quoted[i] + 1);
    }
    /* Each for itself: two halves of a character in neighbours would make a whole one together. */
    for (unsigned i = 0; i < record->cells_len && !record->code; i++)
        if (!utf8_is_valid(csv->cells[i]))
            complain(record, "utf8", "The record is not UTF-8.");
    record->text = text;
    record->cells = csv->cells;
    record->quoted = csv->quoted;
}

bool import_csv_next(struct import_csv *csv, struct import_record *ret)
{
    for (;;) {
        buf_clear(&csv->text);
        if (import_input_peek(csv->in) < 0)
            return false;
        *ret = (struct import_record){ .line = csv->in->line };
        take_cells(csv, ret);
        if (ret->code)
            skip_line(csv);
        else
            take_line_end(csv);
        if (!ret->code && ret->cells_len == 1 && !csv->ends[0] && !csv->quoted[0])
            continue;
        finish(csv, ret);
        return true;
    }
}

void import_csv_put(struct buf *out, struct slice text)
{
    bool plain = text.len > 0;
    for (size_t i = 0; i < text.len && plain; i++) {
        char c = text.data[i];
        plain = c != '"' && c != ',' && c != ';' && c != '\t' && c != '\r' && c != '\n';
    }
    if (plain) {
        buf_put_slice(out, text);
        return;
    }
    buf_putc(out, '"');
    for (size_t at = 0; at < text.len;) {
        size_t quote = slice_find(slice_from(text, at), '"');
        size_t end = quote == SIZE_MAX ? text.len : at + quote + 1;
        buf_put(out, text.data + at, end - at);
        if (quote != SIZE_MAX)
            buf_putc(out, '"');
        at = end;
    }
    buf_putc(out, '"');
}
