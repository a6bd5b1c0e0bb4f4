/*
 * From one schema to another, and back. The order is what makes it safe: triggers that speak of a
 * changing table go first (SQLite checks all of them when it renames a table), tables change, then
 * indexes, what triggers keep is filled from the rows, and the triggers come last. Foreign keys are
 * off while a migration runs and checked at its end.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/macros.h"
#include "contract/sql_private.h"
#include "store/store.h"

#define DIFF_BYTES_MAX ((size_t)16 << 20)

void sql__changed(struct sql_differ *d, bool destructive, const char *format, ...)
{
    if (d->changes_len == d->changes_cap) {
        unsigned cap = d->changes_cap ? d->changes_cap * 2 : 16;
        struct contract_change *grown = arena_realloc(
            d->arena, d->changes, d->changes_cap * sizeof(*grown), cap * sizeof(*grown));
        if (grown == NULL) {
            d->exhausted = true;
            return;
        }
        d->changes = grown;
        d->changes_cap = cap;
    }
    va_list args;
    va_start(args, format);
    struct contract_change *change = &d->changes[d->changes_len++];
    change->what = arena_vprintf(d->arena, format, args);
    change->destructive = destructive;
    va_end(args);
    d->destructive |= destructive;
    buf_put_lit(&d->out, "-- ");
    buf_put_slice(&d->out, change->what);
    buf_put_cstr(&d->out, destructive ? " (its data is lost)\n" : "\n");
}

/* -- planning ---------------------------------------------------------------------------------- */

static void pair_tables(struct sql_differ *d)
{
    for (unsigned i = 0; i < d->old->len; i++)
        d->old->objects[i].plan = SQL_DROP;
    for (unsigned i = 0; i < d->new->len; i++) {
        struct sql_object *o = &d->new->objects[i];
        o->plan = SQL_CREATE;
        if (o->kind != SQL_TABLE)
            continue;
        struct sql_object *old = sql__find(d->old, SQL_TABLE, o->name);
        struct slice renamed = sql__renamed_from(d, o->name);
        if (old == NULL && renamed.len && sql__find(d->new, SQL_TABLE, renamed) == NULL)
            old = sql__find(d->old, SQL_TABLE, renamed);
        o->from = old;
        if (old)
            old->plan = SQL_KEEP;
    }
}

static void plan_tables(struct sql_differ *d)
{
    for (unsigned i = 0; i < d->new->len; i++) {
        struct sql_object *o = &d->new->objects[i];
        if (o->kind != SQL_TABLE)
            continue;
        if (o->from)
            sql__table_plan(d, o);
        else
            sql__changed(d, false, "%.*s: create", SLICE_ARG(o->name));
    }
    for (unsigned i = 0; i < d->old->len; i++) {
        const struct sql_object *o = &d->old->objects[i];
        if (o->kind == SQL_TABLE && o->plan == SQL_DROP)
            sql__changed(d, true, "%.*s: drop", SLICE_ARG(o->name));
    }
}

static void mark_replaced(struct sql_differ *d)
{
    for (unsigned i = 0; i < d->old->len; i++)
        d->old->objects[i].replaced = d->old->objects[i].plan == SQL_DROP;
    for (unsigned i = 0; i < d->new->len; i++) {
        const struct sql_object *o = &d->new->objects[i];
        struct sql_object *old =
            o->kind == SQL_TABLE && o->from ? sql__find(d->old, SQL_TABLE, o->from->name) : NULL;
        if (old && o->plan == SQL_REBUILD)
            old->replaced = true;
    }
}

static bool table_is_replaced(const struct sql_differ *d, struct slice name)
{
    const struct sql_object *old = sql__find(d->old, SQL_TABLE, name);
    if (old)
        return old->replaced;
    old = sql__find(d->old, SQL_SIDE, name);
    return old && old->plan == SQL_DROP;
}

static bool mentions_replaced(const struct sql_differ *d, const struct sql_object *o)
{
    for (unsigned i = 0; i < d->old->len; i++) {
        const struct sql_object *table = &d->old->objects[i];
        if (table->kind == SQL_TABLE && table->replaced && sql__mentions(o->text, table->name))
            return true;
    }
    return false;
}

static bool is_foreign(const struct sql_object *o)
{
    return (o->kind == SQL_INDEX || o->kind == SQL_TRIGGER) &&
           !(slice_starts(o->name, o->table) &&
             slice_starts(slice_from(o->name, o->table.len), SLICE("__"))) &&
           slice_find_slice(o->name, SLICE("__listrow_")) == SIZE_MAX;
}

/* What somebody else made on our tables stays, as long as its table does. */
static void keep_foreign(struct sql_differ *d)
{
    unsigned len = d->old->len;
    for (unsigned i = 0; i < len; i++) {
        const struct sql_object *o = &d->old->objects[i];
        if (is_foreign(o) && sql__find(d->new, o->kind, o->name) == NULL &&
            sql__find(d->new, SQL_TABLE, o->table))
            sql__schema_add(d->new, o->kind == SQL_INDEX ? SLICE("index") : SLICE("trigger"),
                            o->name, o->table, o->text);
    }
    sql__schema_sort(d->new);
}

/* Is it said already, with the table it stands on or the one it keeps? */
static bool goes_without_saying(const struct sql_schema *schema, const struct sql_object *o,
                                enum sql_plan plan)
{
    for (unsigned i = 0; i < schema->len; i++) {
        const struct sql_object *other = &schema->objects[i];
        bool is_table =
            other->kind == SQL_TABLE || other->kind == SQL_SIDE || other->kind == SQL_SEARCH;
        if (!is_table || other->plan != plan || other == o)
            continue;
        if (slice_eq(other->name, o->table) ||
            (other->kind != SQL_TABLE && slice_starts(o->name, other->name)) ||
            (o->kind != SQL_INDEX && slice_starts(o->name, other->name) &&
             slice_starts(slice_from(o->name, other->name.len), SLICE("__"))))
            return true;
    }
    return false;
}

static const char *const nouns[] = { [SQL_SIDE] = "list table",
                                     [SQL_SEARCH] = "full text table",
                                     [SQL_INDEX] = "index",
                                     [SQL_TRIGGER] = "trigger" };

/* What stands on tables: the same text on a table that stays is kept. */
static void plan_others(struct sql_differ *d)
{
    for (unsigned i = 0; i < d->new->len; i++) {
        struct sql_object *o = &d->new->objects[i];
        if (o->kind == SQL_TABLE)
            continue;
        struct sql_object *old = sql__find(d->old, o->kind, o->name);
        bool same = old && slice_eq(old->text, o->text);
        bool stays = same && (o->kind != SQL_INDEX || !table_is_replaced(d, o->table)) &&
                     (o->kind != SQL_TRIGGER || !mentions_replaced(d, old));
        if (stays)
            o->plan = old->plan = SQL_KEEP;
        o->from = same ? old : NULL;
    }
}

static void say(struct sql_differ *d, const char *verb, const struct sql_object *o)
{
    struct slice owner = slice_head(o->table, slice_find_slice(o->table, SLICE("__")));
    sql__changed(d, false, "%.*s: %s %s %.*s", SLICE_ARG(owner), verb, nouns[o->kind],
                 SLICE_ARG(o->name));
}

static void say_others(struct sql_differ *d)
{
    bool differs = false;
    for (unsigned i = 0; i < d->new->len; i++) {
        const struct sql_object *o = &d->new->objects[i];
        if (o->kind == SQL_TABLE || o->from)
            continue;
        differs = true;
        const char *verb = sql__find(d->old, o->kind, o->name) ? "change" : "create";
        if (o->kind != SQL_TRIGGER && !goes_without_saying(d->new, o, SQL_CREATE))
            say(d, verb, o);
    }
    for (unsigned i = 0; i < d->old->len; i++) {
        const struct sql_object *o = &d->old->objects[i];
        if (o->kind == SQL_TABLE || sql__find(d->new, o->kind, o->name))
            continue;
        differs = true;
        if (o->kind != SQL_TRIGGER && !goes_without_saying(d->old, o, SQL_DROP))
            say(d, "drop", o);
    }
    if (differs && d->changes_len == 0)
        sql__changed(d, false, "schema: change triggers");
}

/* -- writing ----------------------------------------------------------------------------------- */

static void drop(struct sql_differ *d, enum sql_kind kind, const char *what)
{
    for (unsigned i = 0; i < d->old->len; i++) {
        const struct sql_object *o = &d->old->objects[i];
        if (o->kind != kind || o->plan != SQL_DROP)
            continue;
        if (kind == SQL_INDEX && table_is_replaced(d, o->table))
            continue; /* goes with its table */
        buf_printf(&d->out, "DROP %s ", what);
        sql__name(&d->out, o->name);
        buf_put_lit(&d->out, ";\n");
    }
}

static void create(struct sql_differ *d, enum sql_kind kind)
{
    for (unsigned i = 0; i < d->new->len; i++) {
        const struct sql_object *o = &d->new->objects[i];
        if (o->kind != kind || o->plan != SQL_CREATE)
            continue;
        buf_put_slice(&d->out, o->text);
        buf_put_lit(&d->out, ";\n");
    }
}

/* Although the trigger itself is an old one: does the table that it fills begin empty, or did the
 * rows that it looks at change on the way? */
static bool must_refill(const struct sql_differ *d, const struct sql_object *trigger)
{
    for (unsigned i = 0; i < d->new->len; i++) {
        const struct sql_object *o = &d->new->objects[i];
        bool is_empty = (o->kind == SQL_SIDE || o->kind == SQL_SEARCH) && o->plan == SQL_CREATE;
        bool changed = o->kind == SQL_TABLE && o->alters;
        if ((is_empty || changed) && sql__mentions(trigger->text, o->name))
            return true;
    }
    return false;
}

/* Run the "-- refill:" line of triggers that are new: what they keep is computed from the rows that
 * are there. */
static void refill(struct sql_differ *d)
{
    for (unsigned i = 0; i < d->new->len; i++) {
        const struct sql_object *o = &d->new->objects[i];
        size_t at =
            o->kind == SQL_TRIGGER ? slice_find_slice(o->text, SLICE(SQL_REFILL)) : SIZE_MAX;
        if (at == SIZE_MAX || (o->from && !must_refill(d, o)))
            continue;
        struct slice line = slice_from(o->text, at + sizeof(SQL_REFILL) - 1);
        buf_put_slice(&d->out, slice_head(line, slice_find(line, '\n')));
        buf_putc(&d->out, '\n');
    }
}

static void write_tables(struct sql_differ *d)
{
    for (unsigned i = 0; i < d->new->len; i++)
        if (d->new->objects[i].kind == SQL_TABLE)
            sql__table_write(d, &d->new->objects[i]);
}

void sql__diff(struct sql_differ *d)
{
    keep_foreign(d);
    pair_tables(d);
    plan_tables(d);
    mark_replaced(d);
    plan_others(d);
    say_others(d);
    if (d->changes_len == 0)
        return;
    drop(d, SQL_TRIGGER, "TRIGGER");
    drop(d, SQL_SEARCH, "TABLE");
    drop(d, SQL_SIDE, "TABLE");
    drop(d, SQL_INDEX, "INDEX");
    write_tables(d);
    drop(d, SQL_TABLE, "TABLE");
    create(d, SQL_SIDE);
    create(d, SQL_SEARCH);
    create(d, SQL_INDEX);
    refill(d);
    create(d, SQL_TRIGGER);
}

/* -- the whole --------------------------------------------------------------------------------- */

/* "posts: add column subtitle" becomes add_posts_subtitle. */
static struct slice propose_name(struct arena *arena, const struct contract_change *changes,
                                 unsigned len)
{
    struct slice what = changes[0].what, table, verb;
    (void)slice_split(&what, ':', &table);
    what = slice_from(what, 1);
    (void)slice_split(&what, ' ', &verb);
    static const struct slice prefixes[] = { SLICE_INIT("column "), SLICE_INIT("index "),
                                             SLICE_INIT("trigger "), SLICE_INIT("list table "),
                                             SLICE_INIT("full text table ") };
    struct slice rest = what;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (slice_starts(what, prefixes[i]))
            rest = slice_from(what, prefixes[i].len);
    struct slice object;
    if (!slice_split(&rest, ' ', &object))
        object = SLICE_NULL;
    bool repeats = slice_starts(object, table);
    struct slice name =
        arena_printf(arena, "%.*s_%.*s%s%.*s", SLICE_ARG(verb), SLICE_ARG(repeats ? object : table),
                     object.len && !repeats ? "_" : "", SLICE_ARG(repeats ? SLICE_NULL : object));
    return len > 1 ? arena_printf(arena, "%.*s_and_%u_more", SLICE_ARG(name), len - 1) : name;
}

static enum status add_row(void *arg, struct store_rows *rows)
{
    struct sql_schema *schema = arg;
    struct slice columns[4];
    for (unsigned i = 0; i < ARRAY_LEN(columns); i++)
        if (arena_copy(schema->arena, store_rows_bytes(rows, i), &columns[i]) != STATUS_OK)
            return STATUS_EXHAUSTED;
    sql__schema_add(schema, columns[0], columns[1], columns[2], columns[3]);
    return STATUS_OK;
}

/* Resources' tables first, then what belongs to them: their names are longer and hold two
 * underscores. */
static const char read_schema_sql[] = "SELECT type, name, tbl_name, sql"
                                      "  FROM sqlite_schema"
                                      " WHERE sql IS NOT NULL"
                                      " ORDER BY type <> 'table', instr(name, '__') > 0, name";

static void headed(struct sql_differ *d, struct slice head, struct buf *out)
{
    struct slice rest = buf_slice(&d->out);
    buf_init(out, d->arena, rest.len + 400, DIFF_BYTES_MAX);
    if (rest.len)
        buf_put_slice(out, head);
    buf_put_slice(out, rest);
    if (buf_status(&d->out) != STATUS_OK)
        out->status = buf_status(&d->out);
}

enum status sql__diff_both(struct sql_differ *up, struct contract_diff *ret)
{
    struct sql_differ down = *up;
    struct buf head;
    down.old = up->new;
    down.new = up->old;
    down.down = true;
    sql__schema_sort(up->old);
    buf_init(&up->out, up->arena, 0, DIFF_BYTES_MAX);
    buf_init(&down.out, up->arena, 0, DIFF_BYTES_MAX);
    sql__diff(up);
    sql__diff(&down);
    *ret = (struct contract_diff){ .changes = up->changes,
                                   .changes_len = up->changes_len,
                                   .destructive = up->destructive };
    headed(up, up->destructive ? SLICE("-- purlin: destructive\n") : SLICE(""), &ret->up);
    /* Undoing a table or column that was added loses what was put there since. */
    buf_init(&head, up->arena, 0, 400);
    if (down.destructive)
        buf_put_lit(&head, "-- purlin: destructive\n");
    if (up->destructive)
        buf_put_lit(&head,
                    "-- What the way up dropped does not come back: it is restored empty, or "
                    "with placeholders\n-- where null is not allowed.\n");
    headed(&down, buf_slice(&head), &ret->down);
    if (up->changes_len)
        ret->name = propose_name(up->arena, up->changes, up->changes_len);
    bool exhausted = up->exhausted || down.exhausted || up->old->exhausted || up->new->exhausted;
    if (exhausted || buf_status(&ret->up) != STATUS_OK)
        return exhausted ? STATUS_EXHAUSTED : buf_status(&ret->up);
    return buf_status(&ret->down);
}

enum status contract_sql_diff(const struct contract_set *set, struct store *store,
                              const struct slice *renames, unsigned renames_len,
                              struct arena *arena, struct problem *problem,
                              struct contract_diff *ret)
{
    struct sql_schema have = { .arena = arena }, want = { .arena = arena };
    struct buf statements;
    buf_init(&statements, arena, 0, DIFF_BYTES_MAX);
    contract_sql_schema(set, &statements);
    enum status st =
        store_read_blocking(store, SLICE(read_schema_sql), NULL, 0, arena, problem, add_row, &have);
    if (st != STATUS_OK)
        return st;
    sql__schema_read(&want, buf_slice(&statements));
    struct sql_differ up = {
        .arena = arena, .old = &have, .new = &want, .renames = renames, .renames_len = renames_len
    };
    st = sql__diff_both(&up, ret);
    if (st == STATUS_OK && buf_status(&statements) != STATUS_OK)
        st = buf_status(&statements);
    if (st != STATUS_OK)
        return problem_put(problem, arena, __FILE__, __LINE__, st, "contract/schema-too-large",
                           "The schema is too large to compare.");
    return STATUS_OK;
}
