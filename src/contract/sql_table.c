/*
 * One table's way from the old definition to the new. Columns that can be appended are; all else
 * rebuilds the table as SQLite's documentation describes under "Making Other Kinds Of Table Schema
 * Changes": make the new one beside it, copy, drop the old one, rename. Row keys are copied, so
 * side tables and full text stay right.
 */
#include "base/arena.h"
#include "base/macros.h"
#include "contract/sql_private.h"

/* What turns a value of one SQL type into another; %s is the column. Lossy ones give null where the
 * value has no other form. */
static const struct conversion {
    const char *from, *to;
    const char *sql;
    bool lossy;
} conversions[] = {
    { "INTEGER", "REAL", "CAST(%s AS REAL)", false },
    { "INTEGER", "TEXT", "CAST(%s AS TEXT)", false },
    { "REAL", "TEXT", "CAST(%s AS TEXT)", false },
    { "REAL", "INTEGER", "CASE WHEN CAST(%s AS INTEGER) = %s THEN CAST(%s AS INTEGER) END", true },
    { "TEXT", "INTEGER",
      "CASE WHEN CAST(CAST(%s AS INTEGER) AS TEXT) = %s THEN CAST(%s AS INTEGER) END", true },
    { "TEXT", "REAL",
      "CASE WHEN json_valid(%s) AND json_type(%s) IN ('integer', 'real') THEN CAST(%s AS REAL) END",
      true },
    { "BLOB", "TEXT", "lower(hex(%s))", true },
};

static const struct conversion *conversion_find(struct slice from, struct slice to)
{
    for (size_t i = 0; i < ARRAY_LEN(conversions); i++)
        if (slice_eq(from, slice_cstr(conversions[i].from)) &&
            slice_eq(to, slice_cstr(conversions[i].to)))
            return &conversions[i];
    return NULL;
}

static bool same_type(const struct sql_column *a, const struct sql_column *b)
{
    return slice_eq(sql__type_of(a), sql__type_of(b));
}

static bool is_lossy(const struct sql_column *from, const struct sql_column *to)
{
    if (same_type(from, to))
        return false;
    const struct conversion *conversion = conversion_find(sql__type_of(from), sql__type_of(to));
    return conversion == NULL || conversion->lossy;
}

static void put_conversion(struct buf *out, const struct conversion *conversion,
                           struct slice column)
{
    for (const char *p = conversion->sql; *p; p++) {
        if (p[0] == '%' && p[1] == 's') {
            sql__name(out, column);
            p++;
        } else {
            buf_putc(out, *p);
        }
    }
}

/* -- names ------------------------------------------------------------------------------------- */

struct slice sql__renamed_from(const struct sql_differ *d, struct slice name)
{
    for (unsigned i = 0; i < d->renames_len; i++) {
        size_t equals = slice_find(d->renames[i], '=');
        if (equals == SIZE_MAX)
            continue;
        struct slice left = slice_head(d->renames[i], equals);
        struct slice right = slice_from(d->renames[i], equals + 1);
        if (slice_eq(d->down ? left : right, name))
            return d->down ? right : left;
    }
    return SLICE_NULL;
}

/* The column that a rename of table.field, or of a money field of which it is a part, names. */
static struct slice column_renamed_from(const struct sql_differ *d, const struct sql_object *table,
                                        struct slice column)
{
    static const struct slice parts[] = { SLICE_INIT(""), SLICE_INIT("_amount"),
                                          SLICE_INIT("_currency") };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!slice_ends(column, parts[i]))
            continue;
        struct slice field = slice_head(column, column.len - parts[i].len);
        struct slice whole =
            arena_printf(d->arena, "%.*s.%.*s", SLICE_ARG(table->name), SLICE_ARG(field));
        struct slice old = sql__renamed_from(d, whole);
        size_t point = slice_find(old, '.');
        if (point == SIZE_MAX || !slice_eq(slice_head(old, point), table->from->name))
            continue;
        return arena_printf(d->arena, "%.*s%.*s", SLICE_ARG(slice_from(old, point + 1)),
                            SLICE_ARG(parts[i]));
    }
    return SLICE_NULL;
}

const struct sql_column *sql__column_from(const struct sql_differ *d,
                                          const struct sql_object *table,
                                          const struct sql_column *column)
{
    const struct sql_column *same = sql__column_find(table->from, column->name);
    if (same)
        return same;
    struct slice old = column_renamed_from(d, table, column->name);
    /* Not when the old name is still in use: then it is another column's. */
    if (old.len == 0 || sql__column_find(table, old))
        return NULL;
    return sql__column_find(table->from, old);
}

/* Is the old column's content kept by a column of the new table? */
static bool is_kept(const struct sql_differ *d, const struct sql_object *table,
                    const struct sql_column *old)
{
    for (unsigned i = 0; i < table->columns_len; i++)
        if (sql__column_from(d, table, &table->columns[i]) == old)
            return true;
    return false;
}

/* Is a null of the old column given another value? */
static bool coalesces(const struct sql_differ *d, const struct sql_column *old,
                      const struct sql_column *column)
{
    bool fills = sql__is_not_null(column) && (sql__default_of(column).len || d->down);
    return fills && (!sql__is_not_null(old) || is_lossy(old, column));
}

/* -- the plan ---------------------------------------------------------------------------------- */

/* May ALTER TABLE ADD COLUMN append it? Rows that exist get its default, and a reference must then
 * be null. */
static bool can_append(const struct sql_column *column)
{
    struct slice literal = sql__default_of(column);
    bool has_default = literal.len > 0;
    if (has_default && literal.data[0] == '(')
        return false; /* an expression, which ALTER TABLE does not take */
    bool is_reference = slice_find_slice(column->definition, SLICE(" REFERENCES ")) != SIZE_MAX;
    bool is_unique = slice_find_slice(column->definition, SLICE(" UNIQUE")) != SIZE_MAX;
    if (is_unique || (is_reference && has_default))
        return false;
    return has_default || !sql__is_not_null(column);
}

static void require(struct sql_object *table, enum sql_plan plan)
{
    if (table->plan < plan)
        table->plan = plan;
}

static void plan_column(struct sql_differ *d, struct sql_object *table,
                        const struct sql_column *column)
{
    const struct sql_column *old = sql__column_from(d, table, column);
    if (old == NULL) {
        require(table, can_append(column) ? SQL_ADD : SQL_REBUILD);
        sql__changed(d, false, "%.*s: add column %.*s", SLICE_ARG(table->name),
                     SLICE_ARG(column->name));
        return;
    }
    if (slice_eq(old->definition, column->definition))
        return;
    require(table, SQL_REBUILD);
    bool lossy = is_lossy(old, column);
    table->alters |= !same_type(old, column) || coalesces(d, old, column);
    if (!slice_eq(old->name, column->name))
        sql__changed(d, lossy, "%.*s: rename column %.*s to %.*s", SLICE_ARG(table->name),
                     SLICE_ARG(old->name), SLICE_ARG(column->name));
    else
        sql__changed(d, lossy, "%.*s: change column %.*s", SLICE_ARG(table->name),
                     SLICE_ARG(column->name));
}

void sql__table_plan(struct sql_differ *d, struct sql_object *table)
{
    table->plan = SQL_KEEP;
    table->alters = false;
    if (!slice_eq(table->name, table->from->name)) {
        table->plan = SQL_REBUILD;
        sql__changed(d, false, "%.*s: rename from %.*s", SLICE_ARG(table->name),
                     SLICE_ARG(table->from->name));
    }
    for (unsigned i = 0; i < table->columns_len; i++)
        plan_column(d, table, &table->columns[i]);
    for (unsigned i = 0; i < table->from->columns_len; i++) {
        const struct sql_column *old = &table->from->columns[i];
        if (is_kept(d, table, old))
            continue;
        table->plan = SQL_REBUILD;
        sql__changed(d, true, "%.*s: drop column %.*s", SLICE_ARG(table->name),
                     SLICE_ARG(old->name));
    }
}

/* -- placeholders ------------------------------------------------------------------------------ */

/* The text between `before` and `after` in a definition; empty when it is not there. */
static struct slice between(struct slice text, const char *before, char after)
{
    size_t at = slice_find_slice(text, slice_cstr(before));
    if (at == SIZE_MAX)
        return SLICE_NULL;
    struct slice rest = slice_from(text, at + strlen(before));
    size_t end = slice_find(rest, after);
    return end == SIZE_MAX ? SLICE_NULL : slice_head(rest, end);
}

static bool says(const struct sql_column *column, const char *text)
{
    return slice_find_slice(column->definition, slice_cstr(text)) != SIZE_MAX;
}

static void placeholder_list(struct buf *out, const struct sql_column *column)
{
    struct slice least = between(column->definition, " BETWEEN ", ' ');
    int64_t items = 0;
    (void)slice_to_i64(least, &items);
    buf_put_lit(out, "'[");
    for (int64_t i = 0; i < items; i++)
        buf_put_cstr(out, i ? ",0" : "0");
    buf_put_lit(out, "]'");
}

/* The first of the values: a literal, which may hold any character. */
static void placeholder_value(struct buf *out, const struct sql_column *column)
{
    size_t at = slice_find_slice(column->definition, SLICE(" WHEN '")) + 6;
    struct slice rest = slice_from(column->definition, at);
    size_t end = 1;
    while (end < rest.len &&
           (rest.data[end] != '\'' || (end + 1 < rest.len && rest.data[end + 1] == '\'')))
        end += rest.data[end] == '\'' ? 2 : 1;
    buf_put_slice(out, slice_head(rest, end + 1));
}

/* Zeros before the row's key: as long as it must be, and each row's its own. */
static void placeholder_text(struct buf *out, const struct sql_column *column)
{
    if (says(column, "= 'array'")) {
        placeholder_list(out, column);
    } else if (says(column, "= 'object'")) {
        buf_put_lit(out, "'{}'");
    } else if (says(column, "json_valid(")) {
        buf_put_lit(out, "'null'");
    } else if (says(column, " WHEN '")) {
        placeholder_value(out, column);
    } else if (says(column, "= date(")) {
        struct slice least = between(column->definition, " >= '", '\'');
        sql__text(out, least.len ? least : SLICE("1970-01-01"));
    } else {
        struct slice least = between(column->definition, "\") >= ", ')');
        struct slice exact = between(column->definition, "\") = ", ')');
        least = least.len ? least : exact;
        buf_printf(out, "printf('%%0%.*sd', \"" CONTRACT_SQL_ROW "\")",
                   (int)(least.len ? least.len : 1), least.len ? least.data : "1");
    }
}

/* On the way down, what was dropped comes back empty; where null is not allowed, with something
 * that fits. */
static void put_placeholder(struct buf *out, const struct sql_column *column)
{
    struct slice type = sql__type_of(column);
    struct slice target = between(column->definition, " REFERENCES \"", '"');
    struct slice least = between(column->definition, " >= ", ')');
    if (target.len) {
        buf_put_lit(out, "(SELECT \"id\" FROM ");
        sql__name(out, target);
        buf_put_lit(out, " ORDER BY \"" CONTRACT_SQL_ROW "\" LIMIT 1)");
    } else if (slice_eq(type, SLICE("BLOB"))) {
        buf_put_lit(out, "randomblob(16)");
    } else if (slice_eq(type, SLICE("TEXT"))) {
        placeholder_text(out, column);
    } else if (least.len) {
        buf_put_slice(out, least);
    } else {
        struct slice most = between(column->definition, " <= ", ')');
        buf_put_slice(out, most.len && most.data[0] == '-' ? most : SLICE("0"));
    }
}

/* -- writing ----------------------------------------------------------------------------------- */

static void put_fallback(struct sql_differ *d, const struct sql_column *column)
{
    struct slice literal = sql__default_of(column);
    if (literal.len)
        buf_put_slice(&d->out, literal);
    else if (d->down)
        put_placeholder(&d->out, column);
    else
        buf_put_lit(&d->out, "NULL");
}

/* The old row's value for a column of the new table. */
static void put_value(struct sql_differ *d, const struct sql_object *table,
                      const struct sql_column *column)
{
    const struct sql_column *old = sql__column_from(d, table, column);
    if (old == NULL) {
        if (sql__is_not_null(column) && sql__default_of(column).len == 0 && !d->down)
            buf_printf(&d->out, "/* existing rows need a value for %.*s */ ",
                       SLICE_ARG(column->name));
        if (sql__is_not_null(column) || sql__default_of(column).len)
            put_fallback(d, column);
        else
            buf_put_lit(&d->out, "NULL");
        return;
    }
    const struct conversion *conversion = conversion_find(sql__type_of(old), sql__type_of(column));
    bool fills = coalesces(d, old, column);
    if (fills)
        buf_put_lit(&d->out, "coalesce(");
    if (conversion)
        put_conversion(&d->out, conversion, old->name);
    else if (same_type(old, column))
        sql__name(&d->out, old->name);
    else
        buf_put_lit(&d->out, "NULL");
    if (fills) {
        buf_put_lit(&d->out, ", ");
        put_fallback(d, column);
        buf_putc(&d->out, ')');
    }
}

static void put_create(struct sql_differ *d, const struct sql_object *table, struct slice name)
{
    struct buf *out = &d->out;
    buf_put_lit(out, "CREATE TABLE ");
    sql__name(out, name);
    buf_put_lit(out, " (");
    for (unsigned i = 0; i < table->columns_len; i++) {
        buf_put_cstr(out, i ? ",\n    " : "\n    ");
        buf_put_slice(out, table->columns[i].definition);
    }
    buf_put_lit(out, "\n) STRICT;\n");
}

static void rebuild(struct sql_differ *d, const struct sql_object *table)
{
    struct buf *out = &d->out;
    struct slice beside = arena_printf(d->arena, "%.*s__new", SLICE_ARG(table->name));
    put_create(d, table, beside);
    buf_put_lit(out, "INSERT INTO ");
    sql__name(out, beside);
    buf_put_lit(out, " (");
    for (unsigned i = 0; i < table->columns_len; i++) {
        buf_put_cstr(out, i ? ", " : "");
        sql__name(out, table->columns[i].name);
    }
    buf_put_lit(out, ")\nSELECT ");
    for (unsigned i = 0; i < table->columns_len; i++) {
        buf_put_cstr(out, i ? ",\n       " : "");
        put_value(d, table, &table->columns[i]);
    }
    buf_put_lit(out, "\n  FROM ");
    sql__name(out, table->from->name);
    buf_put_lit(out, "\n ORDER BY \"" CONTRACT_SQL_ROW "\";\nDROP TABLE ");
    sql__name(out, table->from->name);
    buf_put_lit(out, ";\nALTER TABLE ");
    sql__name(out, beside);
    buf_put_lit(out, " RENAME TO ");
    sql__name(out, table->name);
    buf_put_lit(out, ";\n");
}

static void append_columns(struct sql_differ *d, const struct sql_object *table)
{
    for (unsigned i = 0; i < table->columns_len; i++) {
        if (sql__column_from(d, table, &table->columns[i]))
            continue;
        buf_put_lit(&d->out, "ALTER TABLE ");
        sql__name(&d->out, table->name);
        buf_put_lit(&d->out, " ADD COLUMN ");
        buf_put_slice(&d->out, table->columns[i].definition);
        buf_put_lit(&d->out, ";\n");
    }
}

void sql__table_write(struct sql_differ *d, const struct sql_object *table)
{
    if (table->plan == SQL_CREATE)
        put_create(d, table, table->name);
    else if (table->plan == SQL_REBUILD)
        rebuild(d, table);
    else if (table->plan == SQL_ADD)
        append_columns(d, table);
}
