/*
 * Complaints are kept in the order they are found and sorted when printed: a loader looks at a file
 * more than once, its reader once.
 */
#include "base/diag.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/macros.h"

void diag_init(struct diag *d, struct arena *arena)
{
    *d = (struct diag){ .arena = arena };
}

static bool items_grow(struct diag *d)
{
    if (d->len < d->cap)
        return true;
    if (d->cap == DIAG_MAX)
        return false;
    unsigned cap = d->cap ? MIN(d->cap * 2, DIAG_MAX) : 8;
    struct diag_item *items =
        arena_realloc(d->arena, d->items, d->cap * sizeof(*items), cap * sizeof(*items));
    if (!items)
        return false;
    d->items = items;
    d->cap = cap;
    return true;
}

void diag_add(struct diag *d, struct slice file, int line, int column, struct slice key,
              struct slice hint, const char *format, ...)
{
    struct diag_item item = { .line = line, .column = column };
    va_list args;
    va_start(args, format);
    item.message = arena_vprintf(d->arena, format, args);
    va_end(args);
    if (!item.message.data || arena_copy(d->arena, file, &item.file) != STATUS_OK ||
        arena_copy(d->arena, key, &item.key) != STATUS_OK ||
        arena_copy(d->arena, hint, &item.hint) != STATUS_OK || !items_grow(d)) {
        d->dropped++;
        return;
    }
    d->items[d->len++] = item;
}

static int compare_items(const void *a, const void *b)
{
    const struct diag_item *x = *(const struct diag_item *const *)a;
    const struct diag_item *y = *(const struct diag_item *const *)b;
    int by_file = slice_cmp(x->file, y->file);
    if (by_file != 0)
        return by_file;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    /* Of one place, in the order found: qsort alone does not keep it. */
    return x < y ? -1 : x > y;
}

static void print_item(const struct diag_item *item, struct buf *out)
{
    if (item->file.len) {
        buf_put_slice(out, item->file);
        buf_putc(out, ':');
        if (item->line > 0) {
            buf_put_i64(out, item->line);
            buf_putc(out, ':');
        }
        if (item->line > 0 && item->column > 0) {
            buf_put_i64(out, item->column);
            buf_putc(out, ':');
        }
        buf_putc(out, ' ');
    }
    if (item->key.len) {
        buf_put_slice(out, item->key);
        buf_put_lit(out, ": ");
    }
    buf_put_slice(out, item->message);
    if (item->hint.len) {
        if (item->message.len && !strchr(".?!", item->message.data[item->message.len - 1]))
            buf_putc(out, '.');
        buf_putc(out, ' ');
        buf_put_slice(out, item->hint);
    }
    buf_putc(out, '\n');
}

void diag_print(const struct diag *d, struct buf *out)
{
    const struct diag_item *sorted[DIAG_MAX];
    for (unsigned i = 0; i < d->len; i++)
        sorted[i] = &d->items[i];
    qsort(sorted, d->len, sizeof(sorted[0]), compare_items);
    for (unsigned i = 0; i < d->len; i++)
        print_item(sorted[i], out);
    if (d->dropped)
        buf_printf(out, "and %u more\n", d->dropped);
}

struct slice diag_suggest(struct arena *arena, struct slice wrong, const struct slice *names,
                          size_t names_len)
{
    unsigned best = 1 + (unsigned)(MIN(wrong.len, 64) / 4) + 1;
    const struct slice *nearest = NULL;
    for (size_t i = 0; i < names_len; i++) {
        unsigned distance = slice_distance(wrong, names[i]);
        /* A name that would be typed anew whole is no slip of the fingers. */
        if (distance < best && distance < names[i].len) {
            best = distance;
            nearest = &names[i];
        }
    }
    if (!nearest)
        return SLICE_NULL;
    return arena_printf(arena, "Did you mean `%.*s`?", SLICE_ARG(*nearest));
}
