/*
 * What the database keeps by itself: side tables of lists, full text, counts. Triggers, not the
 * engine, so that imports, repairs by hand and cascades keep them too. A foreign key's action runs
 * the triggers of the rows it changes; no trigger here changes what could fire it again.
 *
 * Full text: FTS5 with external content. SQLite's documentation warns that such an index must be
 * told the old values when a row changes or goes, exactly as they were indexed; so each trigger
 * spells out the columns, and rows that are softly deleted are taken out of the index as if they
 * were gone. The tokenizer folds case and accents (unicode61, remove_diacritics 2) and stems
 * English words (porter): in a community, "running" should find "runs"; words of other languages
 * pass nearly untouched.
 */
#include "base/arena.h"
#include "base/macros.h"
#include "contract/expr.h"
#include "contract/sql_private.h"

#define TOKENIZER "porter unicode61 remove_diacritics 2"

struct writer {
    struct buf *out;
    const struct contract *contract; /* whose rows fire the triggers */
    struct arena *arena;
};

/* CREATE TRIGGER "posts__search_insert" AFTER INSERT ON "posts" */
static void trigger_open(struct writer *w, struct slice name, const char *when)
{
    buf_put_lit(w->out, "CREATE TRIGGER ");
    sql__name(w->out, name);
    buf_printf(w->out, " AFTER %s ON ", when);
    sql__name(w->out, w->contract->name);
    buf_putc(w->out, '\n');
}

static void trigger_close(struct writer *w)
{
    buf_put_lit(w->out, "END;\n");
}

static struct slice suffixed(struct writer *w, struct slice name, const char *suffix)
{
    return arena_printf(w->arena, "%.*s%s", SLICE_ARG(name), suffix);
}

/* -- side tables of lists
 * ---------------------------------------------------------------------------------- */

/* SELECT DISTINCT "value", "_row" of the row's list; null items are in no list. */
static void put_items(struct writer *w, const struct contract_field *list, const char *prefix,
                      const char *from)
{
    buf_printf(w->out, "SELECT DISTINCT j.\"value\", %s\"" CONTRACT_SQL_ROW "\" FROM %sjson_each(",
               prefix, from);
    sql__column(w->out, prefix, list->name);
    buf_put_lit(w->out, ") AS j WHERE j.\"value\" IS NOT NULL;");
}

static void put_remove(struct writer *w, struct slice table)
{
    buf_put_lit(w->out, "    DELETE FROM ");
    sql__name(w->out, table);
    buf_put_lit(w->out, " WHERE \"row\" = OLD.\"" CONTRACT_SQL_ROW "\";\n");
}

static void put_insert(struct writer *w, struct slice table)
{
    buf_put_lit(w->out, "INSERT INTO ");
    sql__name(w->out, table);
    buf_put_lit(w->out, " (\"value\", \"row\") ");
}

static void put_list(struct writer *w, const struct contract_field *list, struct slice table)
{
    struct buf *out = w->out;
    buf_put_lit(out, "CREATE TABLE ");
    sql__name(out, table);
    buf_put_lit(out, " (\n    \"value\" ANY NOT NULL,\n    \"row\" INTEGER NOT NULL,\n"
                     "    PRIMARY KEY (\"value\", \"row\")\n) STRICT, WITHOUT ROWID;\n");
    buf_put_lit(out, "CREATE INDEX ");
    sql__name(out, arena_printf(w->arena, "%.*s__listrow_%.*s", SLICE_ARG(w->contract->name),
                                SLICE_ARG(list->name)));
    buf_put_lit(out, " ON ");
    sql__name(out, table);
    buf_put_lit(out, " (\"row\");\n");

    trigger_open(w, suffixed(w, table, "_insert"), "INSERT");
    buf_put_lit(out, "BEGIN\n    " SQL_REFILL "DELETE FROM ");
    sql__name(out, table);
    buf_put_lit(out, "; ");
    put_insert(w, table);
    struct slice from = arena_printf(w->arena, "\"%.*s\" AS t, ", SLICE_ARG(w->contract->name));
    put_items(w, list, "t.", from.len ? from.data : "");
    buf_put_lit(out, "\n    ");
    put_insert(w, table);
    put_items(w, list, "NEW.", "");
    buf_putc(out, '\n');
    trigger_close(w);

    trigger_open(w, suffixed(w, table, "_update"), "UPDATE");
    buf_put_lit(out, "WHEN OLD.");
    sql__name(out, list->name);
    buf_put_lit(out, " IS NOT NEW.");
    sql__name(out, list->name);
    buf_put_lit(out, "\nBEGIN\n");
    put_remove(w, table);
    buf_put_lit(out, "    ");
    put_insert(w, table);
    put_items(w, list, "NEW.", "");
    buf_putc(out, '\n');
    trigger_close(w);

    trigger_open(w, suffixed(w, table, "_delete"), "DELETE");
    buf_put_lit(out, "BEGIN\n");
    put_remove(w, table);
    trigger_close(w);
}

/* -- full text
 * --------------------------------------------------------------------------------------------- */

static void put_columns(struct writer *w, const char *prefix)
{
    for (unsigned i = 0; i < w->contract->search_len; i++) {
        buf_put_lit(w->out, ", ");
        sql__column(w->out, prefix, w->contract->search[i]->name);
    }
}

/* INSERT INTO search (rowid, columns) SELECT from a row; softly deleted rows are not in the index.
 */
static void put_index_row(struct writer *w, struct slice table, const char *prefix,
                          const char *from)
{
    buf_put_lit(w->out, "INSERT INTO ");
    sql__name(w->out, table);
    buf_put_lit(w->out, " (rowid");
    put_columns(w, "");
    buf_printf(w->out, ") SELECT %s\"" CONTRACT_SQL_ROW "\"", prefix);
    put_columns(w, prefix);
    buf_put_cstr(w->out, from);
    if (w->contract->soft_delete)
        buf_printf(w->out, " WHERE %s\"deleted_at\" IS NULL", prefix);
    buf_putc(w->out, ';');
}

static void put_unindex_row(struct writer *w, struct slice table)
{
    buf_put_lit(w->out, "    INSERT INTO ");
    sql__name(w->out, table);
    buf_put_lit(w->out, " (");
    sql__name(w->out, table);
    buf_put_lit(w->out, ", rowid");
    put_columns(w, "");
    buf_put_lit(w->out, ") SELECT 'delete', OLD.\"" CONTRACT_SQL_ROW "\"");
    put_columns(w, "OLD.");
    if (w->contract->soft_delete)
        buf_put_lit(w->out, " WHERE OLD.\"deleted_at\" IS NULL");
    buf_put_lit(w->out, ";\n");
}

static void put_search_table(struct writer *w, struct slice table)
{
    buf_put_lit(w->out, "CREATE VIRTUAL TABLE ");
    sql__name(w->out, table);
    buf_put_lit(w->out, " USING fts5 (");
    for (unsigned i = 0; i < w->contract->search_len; i++) {
        sql__name(w->out, w->contract->search[i]->name);
        buf_put_lit(w->out, ", ");
    }
    buf_put_lit(w->out, "content=");
    sql__text(w->out, w->contract->name);
    buf_put_lit(w->out, ", content_rowid='" CONTRACT_SQL_ROW "', tokenize='" TOKENIZER "');\n");
}

static void put_search_changed(struct writer *w)
{
    buf_put_lit(w->out, "WHEN ");
    for (unsigned i = 0; i < w->contract->search_len; i++) {
        buf_put_cstr(w->out, i ? " OR " : "");
        sql__column(w->out, "OLD.", w->contract->search[i]->name);
        buf_put_lit(w->out, " IS NOT ");
        sql__column(w->out, "NEW.", w->contract->search[i]->name);
    }
    if (w->contract->soft_delete)
        buf_put_lit(w->out, " OR (OLD.\"deleted_at\" IS NULL) <> (NEW.\"deleted_at\" IS NULL)");
    buf_putc(w->out, '\n');
}

static void put_search(struct writer *w)
{
    struct slice table = contract_sql_search_table(w->contract, w->arena);
    struct slice from = arena_printf(w->arena, " FROM \"%.*s\" AS t", SLICE_ARG(w->contract->name));
    put_search_table(w, table);

    trigger_open(w, suffixed(w, table, "_insert"), "INSERT");
    buf_put_lit(w->out, "BEGIN\n    " SQL_REFILL "INSERT INTO ");
    sql__name(w->out, table);
    buf_put_lit(w->out, " (");
    sql__name(w->out, table);
    buf_put_lit(w->out, ") VALUES ('delete-all'); ");
    put_index_row(w, table, "t.", from.len ? from.data : "");
    buf_put_lit(w->out, "\n    ");
    put_index_row(w, table, "NEW.", "");
    buf_putc(w->out, '\n');
    trigger_close(w);

    trigger_open(w, suffixed(w, table, "_update"), "UPDATE");
    put_search_changed(w);
    buf_put_lit(w->out, "BEGIN\n");
    put_unindex_row(w, table);
    buf_put_lit(w->out, "    ");
    put_index_row(w, table, "NEW.", "");
    buf_putc(w->out, '\n');
    trigger_close(w);

    trigger_open(w, suffixed(w, table, "_delete"), "DELETE");
    buf_put_lit(w->out, "BEGIN\n");
    put_unindex_row(w, table);
    trigger_close(w);
}

/* -- counts
 * ------------------------------------------------------------------------------------------------
 */

struct count {
    const struct contract *target; /* whose field it is */
    const struct contract_field *field;
};

/* Does the row with this prefix count? "1" when all do. */
static void put_counts(struct writer *w, const struct count *k, const char *prefix)
{
    sql__column(w->out, prefix, k->field->ref_field->name);
    buf_put_lit(w->out, " IS NOT NULL");
    if (w->contract->soft_delete)
        buf_printf(w->out, " AND %s\"deleted_at\" IS NULL", prefix);
    if (k->field->count_where) {
        buf_put_lit(w->out, " AND ");
        expr_emit_ddl(k->field->count_where, slice_cstr(prefix), w->out);
    }
}

/* UPDATE "posts" SET "comments" = "comments" + 1 WHERE "id" = NEW."post" */
static void put_step(struct writer *w, const struct count *k, const char *step, const char *prefix)
{
    buf_put_lit(w->out, "    UPDATE ");
    sql__name(w->out, k->target->name);
    buf_put_lit(w->out, " SET ");
    sql__name(w->out, k->field->name);
    buf_put_lit(w->out, " = ");
    sql__name(w->out, k->field->name);
    buf_printf(w->out, " %s 1 WHERE \"id\" = ", step);
    sql__column(w->out, prefix, k->field->ref_field->name);
}

static void put_refill_count(struct writer *w, const struct count *k)
{
    buf_put_lit(w->out, "    " SQL_REFILL "UPDATE ");
    sql__name(w->out, k->target->name);
    buf_put_lit(w->out, " SET ");
    sql__name(w->out, k->field->name);
    buf_put_lit(w->out, " = (SELECT count(*) FROM ");
    sql__name(w->out, w->contract->name);
    buf_put_lit(w->out, " AS t WHERE ");
    sql__column(w->out, "t.", k->field->ref_field->name);
    buf_put_lit(w->out, " = ");
    sql__name(w->out, k->target->name);
    buf_put_lit(w->out, ".\"id\" AND ");
    put_counts(w, k, "t.");
    buf_put_lit(w->out, ");\n");
}

static void put_count(struct writer *w, const struct count *k)
{
    struct slice name =
        arena_printf(w->arena, "%.*s__count_%.*s__%.*s", SLICE_ARG(w->contract->name),
                     SLICE_ARG(k->target->name), SLICE_ARG(k->field->name));
    trigger_open(w, suffixed(w, name, "_insert"), "INSERT");
    buf_put_lit(w->out, "WHEN ");
    put_counts(w, k, "NEW.");
    buf_put_lit(w->out, "\nBEGIN\n");
    put_refill_count(w, k);
    put_step(w, k, "+", "NEW.");
    buf_put_lit(w->out, ";\n");
    trigger_close(w);

    trigger_open(w, suffixed(w, name, "_update"), "UPDATE");
    buf_put_lit(w->out, "WHEN ");
    sql__column(w->out, "OLD.", k->field->ref_field->name);
    buf_put_lit(w->out, " IS NOT ");
    sql__column(w->out, "NEW.", k->field->ref_field->name);
    buf_put_lit(w->out, " OR (");
    put_counts(w, k, "OLD.");
    buf_put_lit(w->out, ") IS NOT (");
    put_counts(w, k, "NEW.");
    buf_put_lit(w->out, ")\nBEGIN\n");
    put_step(w, k, "-", "OLD.");
    buf_put_lit(w->out, " AND ");
    put_counts(w, k, "OLD.");
    buf_put_lit(w->out, ";\n");
    put_step(w, k, "+", "NEW.");
    buf_put_lit(w->out, " AND ");
    put_counts(w, k, "NEW.");
    buf_put_lit(w->out, ";\n");
    trigger_close(w);

    trigger_open(w, suffixed(w, name, "_delete"), "DELETE");
    buf_put_lit(w->out, "WHEN ");
    put_counts(w, k, "OLD.");
    buf_put_lit(w->out, "\nBEGIN\n");
    put_step(w, k, "-", "OLD.");
    buf_put_lit(w->out, ";\n");
    trigger_close(w);
}

void sql__triggers(struct buf *out, const struct contract_set *set, const struct contract *c)
{
    struct arena *arena = arena_new(/* pool= */ NULL, 0);
    struct writer w = { .out = out, .contract = c, .arena = arena };
    for (unsigned i = 0; i < c->indexes_len; i++)
        if (c->indexes[i].kind == CONTRACT_INDEX_CONTAINS)
            put_list(&w, c->indexes[i].fields[0],
                     contract_sql_list_table(c, c->indexes[i].fields[0], arena));
    if (c->search_len)
        put_search(&w);
    for (unsigned i = 0; i < set->len; i++)
        for (unsigned f = 0; f < set->contracts[i]->fields_len; f++) {
            const struct count k = { .target = set->contracts[i],
                                     .field = set->contracts[i]->fields[f] };
            if (k.field->type == CONTRACT_COUNT && k.field->ref == c)
                put_count(&w, &k);
        }
    arena_free(arena);
}
