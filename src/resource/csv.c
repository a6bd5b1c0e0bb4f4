/*
 * CSV (RFC 4180): CRLF, a header line, quotes where needed. An empty cell is null, "" is the empty
 * text. Money has a column for the amount and one for the currency; lists, json and media are cells
 * of JSON.
 */
#include "resource/resource_private.h"

/* OWASP: these make a spreadsheet take a cell for a formula. */
static bool is_formula(struct slice text)
{
    return text.len > 0 && memchr("=+-@\t\r", text.data[0], 6) != NULL;
}

void resource__csv_text(struct slice text, struct buf *out)
{
    bool formula = is_formula(text);
    bool quote = text.len == 0 || formula;
    for (size_t i = 0; i < text.len && !quote; i++)
        quote = text.data[i] == '"' || text.data[i] == ',' || text.data[i] == '\n' ||
                text.data[i] == '\r';
    if (!quote) {
        buf_put_slice(out, text);
        return;
    }
    buf_putc(out, '"');
    if (formula)
        buf_putc(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"')
            buf_putc(out, '"');
        buf_putc(out, text.data[i]);
    }
    buf_putc(out, '"');
}

void resource__csv_header(const struct resource_shape *shape, struct buf *out)
{
    for (unsigned i = 0; i < shape->len; i++) {
        const struct contract_field *field = shape->fields[i];
        if (i)
            buf_putc(out, ',');
        resource__csv_text(field->name, out);
        if (field->type == CONTRACT_MONEY) {
            buf_put_lit(out, ".amount_minor,");
            buf_put_slice(out, field->name);
            buf_put_lit(out, ".currency");
        }
    }
    buf_put_lit(out, "\r\n");
}

/* Whether the text of a value is chosen by people: ids, times and numbers are not. */
static bool is_free_text(enum contract_type type)
{
    switch (type) {
    case CONTRACT_STRING:
    case CONTRACT_TEXT:
    case CONTRACT_EMAIL:
    case CONTRACT_URL:
    case CONTRACT_ENUM:
    case CONTRACT_JSON:
    case CONTRACT_LIST:
    case CONTRACT_MEDIA:
        return true;
    default:
        return false;
    }
}

static void put_cell(const struct contract_field *field, const struct store_rows *rows,
                     unsigned column, struct buf *out)
{
    if (field->type == CONTRACT_MONEY) {
        buf_put_i64(out, store_rows_i64(rows, column));
        buf_putc(out, ',');
        buf_put_slice(out, store_rows_bytes(rows, column + 1));
        return;
    }
    if (is_free_text(field->type)) {
        resource__csv_text(store_rows_bytes(rows, column), out);
        return;
    }
    /* As JSON has it, without the quotes. */
    size_t start = out->len;
    contract_value_write_rows(field, rows, column, out);
    if (buf_status(out) == STATUS_OK && out->len - start >= 2 && out->data[start] == '"') {
        memmove(out->data + start, out->data + start + 1, out->len - start - 2);
        out->len -= 2;
    }
}

void resource__csv_row(const struct resource_shape *shape, const struct store_rows *rows,
                       struct buf *out)
{
    for (unsigned i = 0; i < shape->len; i++) {
        if (i)
            buf_putc(out, ',');
        if (!store_rows_is_null(rows, shape->columns[i]))
            put_cell(shape->fields[i], rows, shape->columns[i], out);
        else if (shape->fields[i]->type == CONTRACT_MONEY)
            buf_putc(out, ',');
    }
    buf_put_lit(out, "\r\n");
}
