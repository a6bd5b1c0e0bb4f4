#include "database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "contract/sql_private.h"
#include "model.h"

void database_run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s\n%s", message, sql);
}

/* As a migration runs: foreign keys off, one transaction, checked at the end. */
void database_migrate(sqlite3 *db, const struct buf *statements)
{
    char *sql = malloc(statements->len + 1);
    memcpy(sql, statements->data, statements->len);
    sql[statements->len] = '\0';
    database_run(db, "PRAGMA foreign_keys=OFF; BEGIN");
    database_run(db, sql);
    database_run(db, "COMMIT; PRAGMA foreign_keys=ON");
    free(sql);
}

/* All rows' first columns, joined by "|". */
char *database_ask(sqlite3 *db, const char *sql)
{
    struct buf out;
    buf_init(&out, NULL, 0, 1 << 24);
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s\n%s", sqlite3_errmsg(db), sql);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        buf_putc(&out, '|');
        buf_put_cstr(&out, text ? text : "null");
    }
    sqlite3_finalize(stmt);
    buf_putc(&out, '\0');
    return out.data;
}

void database_assert_answer(sqlite3 *db, const char *sql, const char *want)
{
    char *got = database_ask(db, sql);
    if (strcmp(got, want) != 0)
        fail_msg("%s\n  got  %s\n  want %s", sql, got, want);
    free(got);
}

void database_assert_sound(sqlite3 *db)
{
    database_assert_answer(db, "PRAGMA integrity_check", "|ok");
    database_assert_answer(db, "PRAGMA foreign_key_check", "");
}

sqlite3 *database_new(void)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    return db;
}

static void read_database(sqlite3 *db, struct sql_schema *schema)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3_prepare_v2(db,
                       "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL "
                       "ORDER BY type <> 'table', instr(name, '__') > 0, name",
                       -1, &stmt, NULL);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        struct slice columns[4];
        for (int i = 0; i < 4; i++) {
            struct slice text = slice_cstr((const char *)sqlite3_column_text(stmt, i));
            assert_int_equal(arena_copy(schema->arena, text, &columns[i]), STATUS_OK);
        }
        sql__schema_add(schema, columns[0], columns[1], columns[2], columns[3]);
    }
    sqlite3_finalize(stmt);
}

void database_diff(sqlite3 *db, const struct contract_set *set, const char *renames,
                   struct arena *arena, struct contract_diff *ret)
{
    struct sql_schema have = { .arena = arena }, want = { .arena = arena };
    struct buf statements;
    struct slice list[8], rest = slice_cstr(renames), word;
    unsigned len = 0;
    while (*renames && slice_split(&rest, ' ', &word))
        list[len++] = word;
    buf_init(&statements, arena, 0, 1 << 24);
    contract_sql_schema(set, &statements);
    read_database(db, &have);
    sql__schema_read(&want, buf_slice(&statements));
    struct sql_differ up = {
        .arena = arena, .old = &have, .new = &want, .renames = list, .renames_len = len
    };
    assert_int_equal(sql__diff_both(&up, ret), STATUS_OK);
}

void database_assert_same(sqlite3 *db, const struct model *m, struct arena *arena)
{
    struct contract_diff none;
    database_diff(db, &m->set, "", arena, &none);
    if (none.up.len || none.down.len || none.changes_len)
        fail_msg("still different:\n%.*s", (int)none.up.len, none.up.data);
}
