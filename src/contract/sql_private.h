/*
 * contract/sql_private.h - The parts that write the schema (sql_schema.c, sql_check.c,
 * sql_trigger.c) and compare it (sql_read.c, sql_diff.c, sql_table.c).
 *
 * Comparing works on texts alone: the wanted schema is written, both are read as lists of
 * definitions, and the way down is the same comparison the other way round. So what a trigger keeps
 * must be able to be filled from its own text: its insert trigger carries a line "-- refill:
 * statements" that compute from the rows what the trigger would have kept.
 */
#pragma once

#include "base/buf.h"
#include "contract/contract.h"
#include "contract/sql.h"

#define SQL_REFILL "-- refill: "

/* -- writing --------------------------------------------------------------------------------- */

void sql__name(struct buf *out, struct slice name); /* "quoted" */
void sql__text(struct buf *out, struct slice text); /* 'quoted' */
/* prefix."column"; the prefix ("NEW.") may be empty */
void sql__column(struct buf *out, const char *prefix, struct slice column);
/* The CONSTRAINTs of one column; money's stand at its second. */
void sql__checks(struct buf *out, const struct contract *c, const struct contract_column *column);
/* The field's default as an SQL literal for this column; false: none can be written. */
bool sql__default(struct buf *out, const struct contract_column *column, unsigned sub);
void sql__triggers(struct buf *out, const struct contract_set *set, const struct contract *c);
void sql__indexes(struct buf *out, const struct contract *c);

/* -- comparing ------------------------------------------------------------------------------- */

enum sql_kind {
    SQL_TABLE,  /* of a resource */
    SQL_SIDE,   /* of a list: NAME__list_FIELD */
    SQL_SEARCH, /* NAME__search */
    SQL_INDEX,
    SQL_TRIGGER
};

enum sql_plan {
    SQL_KEEP,
    SQL_CREATE,
    SQL_ADD,     /* columns, by ALTER TABLE */
    SQL_REBUILD, /* new table, copy, drop, rename */
    SQL_DROP
};

struct sql_column {
    struct slice name;
    struct slice definition; /* from the name on */
};

struct sql_object {
    enum sql_kind kind;
    struct slice name;
    struct slice table;         /* what it stands on; its own name for tables */
    struct slice text;          /* without the last semicolon */
    struct sql_column *columns; /* SQL_TABLE */
    unsigned columns_len;
    /* while comparing */
    enum sql_plan plan;
    const struct sql_object *from; /* new table: the old one it comes from */
    bool replaced;                 /* old table: it goes, to be dropped or made anew */
    bool alters;                   /* new table: some values do not stay as they were */
};

struct sql_schema {
    struct arena *arena;
    struct sql_object *objects;
    unsigned len, cap;
    bool exhausted;
};

/* Add one definition as sqlite_schema has it; what no contract made is left out. Tables first, so
 * that what stands on them is known. */
void sql__schema_add(struct sql_schema *schema, struct slice type, struct slice name,
                     struct slice table, struct slice text);
/* Add all statements of what contract_sql_schema wrote. */
void sql__schema_read(struct sql_schema *schema, struct slice statements);
/* By kind and name, so that the same schemas give the same migration. */
void sql__schema_sort(struct sql_schema *schema);
struct sql_object *sql__find(const struct sql_schema *schema, enum sql_kind kind,
                             struct slice name);
const struct sql_column *sql__column_find(const struct sql_object *table, struct slice name);
/* Does the text speak of the table by its quoted name? */
bool sql__mentions(struct slice text, struct slice table);
/* What a definition says. */
struct slice sql__type_of(const struct sql_column *column);    /* "TEXT" */
struct slice sql__default_of(const struct sql_column *column); /* the literal, or empty */
bool sql__is_not_null(const struct sql_column *column);

struct sql_differ {
    struct arena *arena;
    struct sql_schema *old, *new;
    const struct slice *renames; /* old=new */
    unsigned renames_len;
    bool down; /* the way back: placeholders stand in for what is lost */
    struct buf out;
    struct contract_change *changes;
    unsigned changes_len, changes_cap;
    bool destructive, exhausted;
};

/* Write what turns old into new. The schemas' plans are overwritten. */
void sql__diff(struct sql_differ *d);
/* Both ways, as contract_sql_diff. `up` has arena, old, new and renames; its old schema is sorted
 * here. */
enum status sql__diff_both(struct sql_differ *up, struct contract_diff *ret);
void sql__changed(struct sql_differ *d, bool destructive, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The old name of what is now called `name` ("posts" or "posts.title"), or empty. */
struct slice sql__renamed_from(const struct sql_differ *d, struct slice name);
/* The old column that becomes `column`, or NULL. */
const struct sql_column *sql__column_from(const struct sql_differ *d,
                                          const struct sql_object *table,
                                          const struct sql_column *column);
/* Decide between KEEP, ADD and REBUILD, and say what changes. */
void sql__table_plan(struct sql_differ *d, struct sql_object *table);
void sql__table_write(struct sql_differ *d, const struct sql_object *table);
