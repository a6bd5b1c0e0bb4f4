/*
 * store/sql.c - A statement put together from constant text, quoted names and numbered values.
 */
#include "base/arena.h"
#include "base/macros.h"
#include "store/store.h"

#define TEXT_RESERVE 512u
#define TEXT_MAX ((size_t)256 << 10)
#define VALUES_RESERVE 16u

void store_sql_init(struct store_sql *sql, struct arena *arena)
{
    *sql = (struct store_sql){ .arena = arena };
    buf_init(&sql->text, arena, TEXT_RESERVE, TEXT_MAX);
}

static void fail(struct store_sql *sql)
{
    if (sql->text.status == STATUS_OK)
        sql->text.status = STATUS_EXHAUSTED;
}

void store_sql_value(struct store_sql *sql, struct store_value value)
{
    if (sql->values_len == sql->values_cap) {
        unsigned cap =
            sql->values_cap ? MIN(sql->values_cap * 2, STORE_VALUES_MAX) : VALUES_RESERVE;
        struct store_value *values = NULL;
        if (cap > sql->values_cap)
            values = arena_realloc(sql->arena, sql->values, sql->values_cap * sizeof(*values),
                                   cap * sizeof(*values));
        if (!values) {
            fail(sql);
            return;
        }
        sql->values = values;
        sql->values_cap = cap;
    }
    sql->values[sql->values_len++] = value;
    buf_putc(&sql->text, '$');
    buf_put_u64(&sql->text, sql->values_len);
}

void store_sql_name(struct store_sql *sql, struct slice identifier)
{
    buf_putc(&sql->text, '"');
    size_t from = 0;
    for (size_t i = 0; i < identifier.len; i++) {
        if (identifier.data[i] != '"')
            continue;
        buf_put(&sql->text, identifier.data + from, i + 1 - from);
        from = i; /* the quote is put twice: now, and with what follows */
    }
    buf_put(&sql->text, identifier.data + from, identifier.len - from);
    buf_putc(&sql->text, '"');
}

enum status store_sql_status(const struct store_sql *sql)
{
    /* Whether bytes, values or the arena ran out makes no difference to the caller. */
    return buf_status(&sql->text) == STATUS_OK ? STATUS_OK : STATUS_EXHAUSTED;
}
