/*
 * The schema as statements: tables first, a column a line, then indexes, then what triggers keep.
 * Constraints stand at their columns, so that a definition is one line and comparing two schemas is
 * comparing lines.
 */
#include "base/arena.h"
#include "contract/expr.h"
#include "contract/sql_private.h"

#define SCHEMA_BYTES_MAX ((size_t)16 << 20)

/*
 * NO ACTION rather than RESTRICT, which looks before cascades have run their course: a user may go
 * together with posts and the comments under them. Nothing is deferred to the end of a transaction,
 * so the statement that breaks a reference is the one told.
 */
static void put_reference(struct buf *out, const struct contract_field *f)
{
    static const char *const actions[] = { [CONTRACT_RESTRICT] = "NO ACTION",
                                           [CONTRACT_CASCADE] = "CASCADE",
                                           [CONTRACT_SET_NULL] = "SET NULL" };
    buf_put_lit(out, " REFERENCES ");
    sql__name(out, f->ref->name);
    buf_printf(out, " (\"id\") ON DELETE %s", actions[f->on_delete]);
}

static void put_column(struct buf *out, const struct contract *c, const struct contract_column *col)
{
    const struct contract_field *f = col->field;
    buf_put_lit(out, ",\n    ");
    sql__name(out, col->name);
    buf_printf(out, " %s", col->sql_type);
    if (col->not_null)
        buf_put_lit(out, " NOT NULL");
    if (f->system && slice_eq(f->name, SLICE("id")))
        buf_put_lit(out, " UNIQUE");
    if (f->system && slice_eq(f->name, SLICE("version"))) {
        buf_put_lit(out, " DEFAULT 1");
    } else {
        struct buf literal;
        buf_init(&literal, /* arena= */ NULL, 0, SCHEMA_BYTES_MAX);
        if (sql__default(&literal, col, (unsigned)(col - &c->columns[f->column]))) {
            buf_put_lit(out, " DEFAULT ");
            buf_put_slice(out, buf_slice(&literal));
        }
        buf_fini(&literal);
    }
    sql__checks(out, c, col);
    if (f->type == CONTRACT_REF && f->ref)
        put_reference(out, f);
}

static void put_table(struct buf *out, const struct contract *c)
{
    buf_put_lit(out, "CREATE TABLE ");
    sql__name(out, c->name);
    buf_put_lit(out, " (\n    \"" CONTRACT_SQL_ROW "\" INTEGER PRIMARY KEY");
    for (unsigned i = 0; i < c->columns_len; i++)
        put_column(out, c, &c->columns[i]);
    buf_put_lit(out, "\n) STRICT;\n");
}

/* -- indexes
 * --------------------------------------------------------------------------------------------- */

static bool is_id(const struct contract_field *f)
{
    return f->system && slice_eq(f->name, SLICE("id"));
}

/* NAME__by_author_created_at; a number tells apart those that would be called the same. */
static void put_index_name(struct buf *out, const struct contract *c,
                           const struct contract_index *index, unsigned number)
{
    buf_printf(out, "\"%.*s__%s", SLICE_ARG(c->name), index->unique ? "unique" : "by");
    for (unsigned i = 0; i < index->len; i++)
        buf_printf(out, "_%.*s", SLICE_ARG(index->fields[i]->name));
    if (number > 1)
        buf_printf(out, "_%u", number);
    buf_putc(out, '"');
}

static void put_index_columns(struct buf *out, const struct contract *c,
                              const struct contract_index *index)
{
    bool has_id = index->unique;
    for (unsigned i = 0; i < index->len; i++) {
        const struct contract_field *f = index->fields[i];
        for (unsigned sub = 0; sub < f->columns_len; sub++) {
            buf_put_cstr(out, i + sub ? ", " : "");
            sql__name(out, c->columns[f->column + sub].name);
            buf_put_cstr(out, index->descending[i] ? " DESC" : "");
        }
        has_id |= is_id(f);
    }
    /* The tie-breaker of lists: walking the index is the whole ORDER BY, in both directions. */
    if (!has_id)
        buf_put_cstr(out, index->descending[index->len - 1] ? ", \"id\" DESC" : ", \"id\"");
}

static void put_index_where(struct buf *out, const struct contract *c,
                            const struct contract_index *index)
{
    /* A deleted row gives its unique values free. */
    bool live = index->unique && c->soft_delete;
    if (!live && index->where == NULL)
        return;
    buf_put_lit(out, " WHERE ");
    if (live)
        buf_put_lit(out, "\"deleted_at\" IS NULL");
    if (index->where) {
        buf_put_cstr(out, live ? " AND " : "");
        expr_emit_ddl(index->where, SLICE_NULL, out);
    }
}

static void put_index(struct buf *out, const struct contract *c, const struct contract_index *index,
                      unsigned number)
{
    buf_put_cstr(out, index->unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    put_index_name(out, c, index, number);
    buf_put_lit(out, " ON ");
    sql__name(out, c->name);
    buf_put_lit(out, " (");
    put_index_columns(out, c, index);
    buf_putc(out, ')');
    put_index_where(out, c, index);
    buf_put_lit(out, ";\n");
}

static bool same_name(const struct contract_index *a, const struct contract_index *b)
{
    if (a->kind != b->kind || a->unique != b->unique || a->len != b->len)
        return false;
    for (unsigned i = 0; i < a->len; i++)
        if (a->fields[i] != b->fields[i])
            return false;
    return true;
}

/* Does an index over all rows start with the field? The foreign key looks there when a row it
 * refers to is deleted. */
static bool has_index(const struct contract *c, const struct contract_field *f)
{
    for (unsigned i = 0; i < c->indexes_len; i++) {
        const struct contract_index *index = &c->indexes[i];
        bool is_partial = index->where || (index->unique && c->soft_delete);
        if (index->kind == CONTRACT_INDEX_ORDER && !is_partial && index->fields[0] == f)
            return true;
    }
    return f->unique && !c->soft_delete;
}

static bool is_declared_unique(const struct contract *c, const struct contract_field *f)
{
    for (unsigned i = 0; i < c->indexes_len; i++)
        if (c->indexes[i].unique && c->indexes[i].len == 1 && c->indexes[i].fields[0] == f &&
            c->indexes[i].where == NULL)
            return true;
    return false;
}

/* The how manieth of its name it is, counting the first `before` of the contract's. */
static unsigned number_of(const struct contract *c, const struct contract_index *index,
                          unsigned before)
{
    unsigned number = 1;
    for (unsigned i = 0; i < before; i++)
        number += same_name(index, &c->indexes[i]);
    return number;
}

void sql__indexes(struct buf *out, const struct contract *c)
{
    for (unsigned i = 0; i < c->indexes_len; i++)
        if (c->indexes[i].kind == CONTRACT_INDEX_ORDER)
            put_index(out, c, &c->indexes[i], number_of(c, &c->indexes[i], i));
    bool ascending = false;
    for (unsigned i = 0; i < c->fields_len; i++) {
        struct contract_field *f = c->fields[i];
        const struct contract_index of_field = { .kind = CONTRACT_INDEX_ORDER,
                                                 .fields = &f,
                                                 .descending = &ascending,
                                                 .len = 1,
                                                 .unique = f->unique };
        if (f->unique && !is_declared_unique(c, f))
            put_index(out, c, &of_field, number_of(c, &of_field, c->indexes_len));
        struct contract_index of_ref = of_field;
        of_ref.unique = false;
        if (f->type == CONTRACT_REF && !has_index(c, f))
            put_index(out, c, &of_ref, number_of(c, &of_ref, c->indexes_len));
    }
}

void contract_sql_schema(const struct contract_set *set, struct buf *out)
{
    for (unsigned i = 0; i < set->len; i++)
        put_table(out, set->contracts[i]);
    for (unsigned i = 0; i < set->len; i++)
        sql__indexes(out, set->contracts[i]);
    for (unsigned i = 0; i < set->len; i++)
        sql__triggers(out, set, set->contracts[i]);
}
