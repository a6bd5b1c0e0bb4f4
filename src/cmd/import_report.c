/*
 * The error file holds everything that is needed to mend a row and try again: where it stood, why
 * it was refused, and the row itself. It is one JSON object a line, so that it can be worked on
 * with the tools of the trade.
 */
#include "cmd/import.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"

#define TEXT_SHOWN_MAX ((size_t)4096) /* of a line that could not be read */

/* Text of a line that is not JSON, perhaps not even text: what is malformed becomes U+FFFD. */
static void put_broken_text(struct buf *out, struct slice text)
{
    struct buf clean;
    text = slice_head(text, TEXT_SHOWN_MAX);
    buf_init(&clean, NULL, 0, TEXT_SHOWN_MAX * 3);
    while (text.len) {
        size_t n = utf8_sequence(text);
        if (n)
            buf_put(&clean, text.data, n);
        else
            buf_put_lit(&clean, "\xef\xbf\xbd");
        text = slice_from(text, n ? n : 1);
    }
    json_put_string(out, buf_slice(&clean));
    buf_fini(&clean);
}

static void put_reasons(struct json_out *o, const struct problem *problem)
{
    json_out_key(o, SLICE("reasons"));
    json_out_array(o);
    for (size_t i = 0; i < problem->fields_len; i++) {
        json_out_object(o);
        json_out_key(o, SLICE("field"));
        json_out_string(o, problem->fields[i].pointer);
        json_out_kv(o, "code", problem->fields[i].code);
        json_out_key(o, SLICE("detail"));
        json_out_string(o, problem->fields[i].detail);
        json_out_end(o);
    }
    json_out_end(o);
}

static void put_row(struct json_out *o, const struct import_row *row)
{
    if (row->source && row->text.len) {
        json_out_key(o, SLICE("row"));
        json_out_raw(o, slice_trim(row->text));
    } else if (row->source) {
        json_out_key(o, SLICE("row"));
        json_out_value(o, row->source);
    } else {
        json_out_key(o, SLICE("text"));
        struct buf text;
        buf_init(&text, NULL, 0, TEXT_SHOWN_MAX * 8);
        put_broken_text(&text, row->text);
        json_out_raw(o, buf_slice(&text));
        buf_fini(&text);
    }
}

bool import_report_refuse(struct import_report *report, const struct import_entry *entry,
                          const struct import_row *row)
{
    if (!report->errors && !report->errors_failed) {
        report->errors = fopen(report->errors_path.data, "we");
        report->errors_failed = !report->errors;
    }
    if (report->errors_failed)
        return false;
    struct buf out;
    buf_init(&out, NULL, 1024, IMPORT_LINE_BYTES_MAX * 16);
    struct json_out o = json_out(&out);
    json_out_object(&o);
    json_out_key(&o, SLICE("file"));
    json_out_string(&o, entry->file);
    json_out_ki(&o, "line", row->line);
    json_out_key(&o, SLICE("resource"));
    json_out_string(&o, entry->contract->name);
    if (row->key.len) {
        json_out_key(&o, SLICE("key"));
        json_out_string(&o, row->key);
    }
    put_reasons(&o, &row->problem);
    put_row(&o, row);
    json_out_end(&o);
    buf_putc(&out, '\n');
    report->errors_failed =
        buf_status(&out) != STATUS_OK || fwrite(out.data, 1, out.len, report->errors) != out.len;
    buf_fini(&out);
    return !report->errors_failed;
}

bool import_report_finish(struct import_report *report)
{
    if (!report->errors) {
        /* What an earlier run complained of is no longer so. */
        return report->errors_failed ? false
                                     : unlink(report->errors_path.data) == 0 || errno == ENOENT;
    }
    bool good =
        !report->errors_failed && fflush(report->errors) == 0 && fsync(fileno(report->errors)) == 0;
    good &= fclose(report->errors) == 0;
    report->errors = NULL;
    report->errors_failed |= !good;
    return good;
}

uint64_t import_report_refused(const struct import_report *report, unsigned entries_len)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < entries_len; i++)
        n += report->counts[i].outcomes[IMPORT_REFUSED];
    return n;
}

/* -- the summary
 * ------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    enum import_outcome outcome;
} columns[] = {
    { "inserted", IMPORT_INSERTED }, { "unchanged", IMPORT_UNCHANGED },
    { "changed", IMPORT_CHANGED },   { "skipped", IMPORT_SKIPPED },
    { "refused", IMPORT_REFUSED },
};

static void print_json(const struct import_report *report, const struct import_mapping *mapping,
                       int64_t took_us, struct buf *out)
{
    struct json_out o = json_out(out);
    json_out_object(&o);
    json_out_key(&o, SLICE("imports"));
    json_out_array(&o);
    for (unsigned i = 0; i < mapping->len; i++) {
        json_out_object(&o);
        json_out_key(&o, SLICE("resource"));
        json_out_string(&o, mapping->entries[i].contract->name);
        json_out_key(&o, SLICE("file"));
        json_out_string(&o, mapping->entries[i].file);
        json_out_ki(&o, "read", (int64_t)report->counts[i].read);
        for (size_t k = 0; k < ARRAY_LEN(columns); k++)
            json_out_ki(&o, columns[k].name,
                        (int64_t)report->counts[i].outcomes[columns[k].outcome]);
        json_out_end(&o);
    }
    json_out_end(&o);
    json_out_ki(&o, "references_filled", (int64_t)report->filled);
    json_out_ki(&o, "references_left_empty", (int64_t)report->left);
    json_out_ki(&o, "milliseconds", took_us / CLOCK_MS);
    json_out_end(&o);
    buf_putc(out, '\n');
}

static void print_line(struct buf *out, struct slice name, const struct import_counts *counts)
{
    buf_printf(out, "%-20.*s %10llu", SLICE_ARG(name), (unsigned long long)counts->read);
    for (size_t k = 0; k < ARRAY_LEN(columns); k++)
        buf_printf(out, " %10llu", (unsigned long long)counts->outcomes[columns[k].outcome]);
    buf_putc(out, '\n');
}

static void print_text(const struct import_report *report, const struct import_mapping *mapping,
                       int64_t took_us, struct buf *out)
{
    struct import_counts total = { 0 };
    buf_printf(out, "%-20s %10s", "", "read");
    for (size_t k = 0; k < ARRAY_LEN(columns); k++)
        buf_printf(out, " %10s", columns[k].name);
    buf_putc(out, '\n');
    for (unsigned i = 0; i < mapping->len; i++) {
        const struct import_counts *counts = &report->counts[i];
        print_line(out, mapping->entries[i].contract->name, counts);
        total.read += counts->read;
        for (size_t k = 0; k < IMPORT_OUTCOMES; k++)
            total.outcomes[k] += counts->outcomes[k];
    }
    if (mapping->len > 1)
        print_line(out, SLICE("total"), &total);
    double seconds = (double)MAX(took_us, 1) / (double)CLOCK_SECOND;
    buf_printf(out, "%llu rows in %.2f s (%.0f a second).\n", (unsigned long long)total.read,
               seconds, (double)total.read / seconds);
    if (total.outcomes[IMPORT_CHANGED])
        buf_printf(out,
                   "%llu rows have changed in the source since they were imported; they were left "
                   "as they are.\n",
                   (unsigned long long)total.outcomes[IMPORT_CHANGED]);
    if (report->left == 1)
        buf_put_lit(out, "1 reference points at a row that has not come and is empty.\n");
    else if (report->left)
        buf_printf(out, "%llu references point at rows that have not come and are empty.\n",
                   (unsigned long long)report->left);
    if (total.outcomes[IMPORT_REFUSED])
        buf_printf(out, "Refused rows and why: %.*s\n", SLICE_ARG(report->errors_path));
}

void import_report_print(const struct import_report *report, const struct import_mapping *mapping,
                         bool as_json, struct buf *out)
{
    int64_t took_us = clock_mono_us() - report->started_us;
    if (as_json)
        print_json(report, mapping, took_us, out);
    else
        print_text(report, mapping, took_us, out);
}
