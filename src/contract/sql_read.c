/*
 * Reading definitions: as sqlite_schema keeps them, or as contract_sql_schema writes them. SQLite
 * keeps the text of a CREATE statement as it was given, and ALTER TABLE ADD COLUMN only appends to
 * it, so that columns compare as texts.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/macros.h"
#include "contract/sql_private.h"

static const struct slice first_column = SLICE_INIT("\"" CONTRACT_SQL_ROW "\" INTEGER PRIMARY KEY");

/* Past the string or name that begins at `at`, or one byte on. A doubled quote is two of them, side
 * by side. */
static size_t skip_one(struct slice text, size_t at)
{
    char quote = text.data[at++];
    if (quote != '"' && quote != '\'')
        return at;
    while (at < text.len && text.data[at] != quote)
        at++;
    return at < text.len ? at + 1 : at;
}

static struct slice trim(struct slice s)
{
    static const char space[] = " \t\r\n;";
    while (s.len && strchr(space, s.data[0]))
        s = slice_from(s, 1);
    while (s.len && strchr(space, s.data[s.len - 1]))
        s.len--;
    return s;
}

/* "name" at the start of the text, without its quotes. Contracts' names hold no quotes. */
static struct slice quoted_name(struct slice text)
{
    size_t end = text.len && text.data[0] == '"' ? slice_find(slice_from(text, 1), '"') : SIZE_MAX;
    return end == SIZE_MAX ? SLICE_NULL : slice_of(text.data + 1, end);
}

static void column_add(struct sql_schema *schema, struct sql_object *o, struct slice definition)
{
    struct sql_column column = { .definition = trim(definition) };
    column.name = quoted_name(column.definition);
    if (column.name.len == 0)
        return;
    size_t size = sizeof(*o->columns);
    struct sql_column *grown = arena_realloc(schema->arena, o->columns, o->columns_len * size,
                                             (o->columns_len + 1) * size);
    if (grown == NULL) {
        schema->exhausted = true;
        return;
    }
    o->columns = grown;
    o->columns[o->columns_len++] = column;
}

/* CREATE TABLE "name" (definition, definition, ...) STRICT */
static void read_columns(struct sql_schema *schema, struct sql_object *o)
{
    size_t at = slice_find(o->text, '(');
    if (at == SIZE_MAX)
        return;
    size_t start = ++at;
    for (unsigned depth = 1; at < o->text.len && depth > 0;) {
        char ch = o->text.data[at];
        bool ends = (ch == ',' && depth == 1) || (ch == ')' && depth == 1);
        if (ends) {
            column_add(schema, o, slice_of(o->text.data + start, at - start));
            start = at + 1;
        }
        depth += ch == '(';
        depth -= ch == ')';
        at = skip_one(o->text, at);
    }
}

static bool is_reserved(struct slice name)
{
    return slice_starts(name, SLICE("purlin_")) || slice_starts(name, SLICE("identity_")) ||
           slice_starts(name, SLICE("sqlite_"));
}

/* The resource that a table NAME__... belongs to. */
static const struct sql_object *owner_of(const struct sql_schema *schema, struct slice name)
{
    size_t end = slice_find_slice(name, SLICE("__"));
    return end == SIZE_MAX ? NULL : sql__find(schema, SQL_TABLE, slice_head(name, end));
}

static bool kind_of(const struct sql_schema *schema, struct slice type, const struct sql_object *o,
                    enum sql_kind *ret)
{
    if (slice_eq(type, SLICE("table"))) {
        const struct sql_object *owner = owner_of(schema, o->name);
        size_t suffix = slice_find_slice(o->name, SLICE("__"));
        struct slice rest = suffix == SIZE_MAX ? SLICE_NULL : slice_from(o->name, suffix);
        *ret = SQL_TABLE;
        if (owner && slice_starts(rest, SLICE("__list_")))
            *ret = SQL_SIDE;
        else if (owner && slice_eq(rest, SLICE("__search")))
            *ret = SQL_SEARCH;
        else
            return suffix == SIZE_MAX && !is_reserved(o->name);
        return true;
    }
    *ret = slice_eq(type, SLICE("index")) ? SQL_INDEX : SQL_TRIGGER;
    return sql__find(schema, SQL_TABLE, o->table) || sql__find(schema, SQL_SIDE, o->table);
}

void sql__schema_add(struct sql_schema *schema, struct slice type, struct slice name,
                     struct slice table, struct slice text)
{
    struct sql_object o = { .name = name, .table = table, .text = trim(text) };
    if (o.text.len == 0 || !kind_of(schema, type, &o, &o.kind))
        return;
    if (o.kind == SQL_TABLE) {
        read_columns(schema, &o);
        if (o.columns_len == 0 || !slice_eq(o.columns[0].definition, first_column))
            return;
    }
    if (schema->len == schema->cap) {
        unsigned cap = schema->cap ? schema->cap * 2 : 64;
        struct sql_object *grown =
            arena_realloc(schema->arena, schema->objects, schema->cap * sizeof(o), cap * sizeof(o));
        if (grown == NULL) {
            schema->exhausted = true;
            return;
        }
        schema->objects = grown;
        schema->cap = cap;
    }
    schema->objects[schema->len++] = o;
}

/* Where the statement that begins at `from` ends: after its semicolon, a trigger's after END. */
static size_t statement_end(struct slice text, size_t from)
{
    static const struct slice end = SLICE_INIT("\nEND;");
    bool is_trigger = slice_starts(slice_from(text, from), SLICE("CREATE TRIGGER"));
    size_t at = from;
    while (at < text.len) {
        if (is_trigger && slice_starts(slice_from(text, at), end))
            return at + end.len;
        if (!is_trigger && text.data[at] == ';')
            return at + 1;
        at = skip_one(text, at);
    }
    return at;
}

/* CREATE [UNIQUE] TABLE|INDEX|TRIGGER|VIRTUAL TABLE "name" [... ON "table"] */
static void add_statement(struct sql_schema *schema, struct slice text)
{
    size_t quote = slice_find(text, '"');
    if (quote == SIZE_MAX)
        return;
    struct slice head = slice_head(text, quote), name = quoted_name(slice_from(text, quote));
    if (slice_find_slice(head, SLICE("TABLE")) != SIZE_MAX) {
        sql__schema_add(schema, SLICE("table"), name, name, text);
        return;
    }
    size_t on = slice_find_slice(text, SLICE(" ON \""));
    if (on == SIZE_MAX)
        return;
    bool is_index = slice_find_slice(head, SLICE("INDEX")) != SIZE_MAX;
    sql__schema_add(schema, is_index ? SLICE("index") : SLICE("trigger"), name,
                    quoted_name(slice_from(text, on + 4)), text);
}

void sql__schema_read(struct sql_schema *schema, struct slice statements)
{
    for (size_t at = 0; at < statements.len;) {
        size_t end = statement_end(statements, at);
        add_statement(schema, slice_of(statements.data + at, end - at));
        while (end < statements.len && statements.data[end] == '\n')
            end++;
        at = end;
    }
}

static int compare_objects(const void *x, const void *y)
{
    const struct sql_object *a = x, *b = y;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return slice_cmp(a->name, b->name);
}

void sql__schema_sort(struct sql_schema *schema)
{
    if (schema->len)
        qsort(schema->objects, schema->len, sizeof(*schema->objects), compare_objects);
}

struct sql_object *sql__find(const struct sql_schema *schema, enum sql_kind kind, struct slice name)
{
    for (unsigned i = 0; i < schema->len; i++)
        if (schema->objects[i].kind == kind && slice_eq(schema->objects[i].name, name))
            return &schema->objects[i];
    return NULL;
}

const struct sql_column *sql__column_find(const struct sql_object *table, struct slice name)
{
    for (unsigned i = 0; i < table->columns_len; i++)
        if (slice_eq(table->columns[i].name, name))
            return &table->columns[i];
    return NULL;
}

bool sql__mentions(struct slice text, struct slice table)
{
    for (size_t at = 0; at < text.len;) {
        size_t end = skip_one(text, at);
        if (text.data[at] == '"' && end - at == table.len + 2 &&
            memcmp(text.data + at + 1, table.data, table.len) == 0)
            return true;
        at = end;
    }
    return false;
}

/* -- what a definition says ------------------------------------------------------------------ */

/* Words of a definition, what is quoted or in parentheses whole; empty at the end. */
static struct slice next_word(struct slice *rest)
{
    *rest = trim(*rest);
    size_t at = 0;
    for (int depth = 0; at < rest->len && (rest->data[at] != ' ' || depth > 0);) {
        depth += (rest->data[at] == '(') - (rest->data[at] == ')');
        at = skip_one(*rest, at);
    }
    struct slice word = slice_head(*rest, at);
    *rest = slice_from(*rest, at);
    return word;
}

struct slice sql__type_of(const struct sql_column *column)
{
    struct slice rest = column->definition;
    (void)next_word(&rest);
    return next_word(&rest);
}

/* What follows a word before the first constraint. */
static bool word_find(const struct sql_column *column, struct slice wanted, struct slice *ret_next)
{
    struct slice rest = column->definition, word;
    (void)next_word(&rest);
    while ((word = next_word(&rest)).len && !slice_eq(word, SLICE("CONSTRAINT")))
        if (slice_eq(word, wanted)) {
            *ret_next = next_word(&rest);
            return true;
        }
    return false;
}

struct slice sql__default_of(const struct sql_column *column)
{
    struct slice literal = SLICE_NULL;
    (void)word_find(column, SLICE("DEFAULT"), &literal);
    return literal;
}

bool sql__is_not_null(const struct sql_column *column)
{
    struct slice next;
    return word_find(column, SLICE("NOT"), &next);
}
