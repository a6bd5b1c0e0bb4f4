/*
 * contract/sql.h - The database schema that contracts ask for, and what must change to get there.
 *
 * A resource is a rowid table (key "_row" in order of creation; `id` BLOB unique), STRICT, each
 * constraint of the contract a CHECK, NOT NULL, UNIQUE or REFERENCES with a name; indexes
 * NAME__by_... and NAME__unique_...; `contains` lists keep a side table NAME__list_FIELD(value,
 * row) by triggers; full text an FTS5 table NAME__search with external content by triggers; counts
 * are columns kept by triggers on the referring table. All names made by us hold two underscores in
 * a row, which names of resources never do.
 *
 * What the engine's statements count on: each ref column has an index of its own or leads one; an
 * order index ends with `id` in the direction of its last field, so that a list with a cursor walks
 * it ([author, -created_at] is author, created_at DESC, id DESC); unique constraints of a
 * soft_delete resource hold among the rows whose deleted_at is null; count columns have DEFAULT 0
 * and deleted_at none, so that an INSERT may leave them out.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;
struct contract;
struct contract_field;
struct contract_set;
struct store;

/* Every table's own key, INTEGER PRIMARY KEY: full text and side tables refer to it, and VACUUM
 * must not change it. No field can have its name. */
#define CONTRACT_SQL_ROW "_row"

/* The whole schema as statements, canonical: one column a line, the same text each time. */
void contract_sql_schema(const struct contract_set *set, struct buf *out);
/* Names that the engine needs: the side table of a `contains` list, or empty; the full text table.
 */
struct slice contract_sql_list_table(const struct contract *c, const struct contract_field *list,
                                     struct arena *arena);
struct slice contract_sql_search_table(const struct contract *c, struct arena *arena);

/* The field that a CHECK of this name is about, or NULL. For 422 answers when only the database
 * noticed. */
struct contract_field *contract_sql_check_field(const struct contract *c, struct slice constraint);

struct contract_change {
    struct slice what; /* "posts: add column subtitle" */
    bool destructive;  /* loses data */
};
struct contract_diff {
    struct buf up, down; /* statements with comments; empty when nothing differs */
    struct contract_change *changes;
    unsigned changes_len;
    bool destructive;
    struct slice name; /* a proposal for the migration's name: "add_posts_subtitle" */
};
/*
 * Compare the database (its sqlite_schema, definition by definition) with the contracts. Adding a
 * nullable or defaulted column is ALTER TABLE ADD COLUMN; anything else about a table rebuilds it
 * (new table, copy, drop, rename; indexes and triggers made anew; foreign keys kept). `renames`
 * ("posts.titel=posts.title") turn drop + add into a rename. Tables that no contract made
 * (purlin_*, identity_*) are left alone.
 */
enum status contract_sql_diff(const struct contract_set *set, struct store *store,
                              const struct slice *renames, unsigned renames_len,
                              struct arena *arena, struct problem *problem,
                              struct contract_diff *ret);
