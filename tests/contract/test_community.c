/*
 * The contracts that come with the program: their schema is SQL, nothing differs from it once made,
 * and every rule becomes a statement that SQLite prepares, for every kind of caller.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "contract/expr.h"
#include "contract/sql.h"
#include "fiber/task.h"
#include "store/store.h"

static struct contract_set *load(struct arena *arena)
{
    struct contract_set *set = NULL;
    struct diag diag;
    struct buf text;
    diag_init(&diag, arena);
    buf_init(&text, arena, 0, 1 << 20);
    if (contract_set_load(slice_cstr(getenv("PURLIN_CONTRACTS")), &diag, &set) != STATUS_OK) {
        diag_print(&diag, &text);
        fail_msg("%.*s", SLICE_ARG(buf_slice(&text)));
    }
    return set;
}

static void prepare(sqlite3 *db, const struct store_sql *sql)
{
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(store_sql_status(sql), STATUS_OK);
    if (sqlite3_prepare_v2(db, sql->text.data, (int)sql->text.len, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s\n%.*s", sqlite3_errmsg(db), SLICE_ARG(buf_slice(&sql->text)));
    assert_int_equal(sqlite3_bind_parameter_count(stmt), sql->values_len);
    sqlite3_finalize(stmt);
}

static void try_rules(sqlite3 *db, const struct contract *c, const struct task_caller *caller,
                      struct arena *arena)
{
    const struct expr_context context = { .caller = caller, .now_us = 1 };
    for (unsigned a = 0; a < CONTRACT_ACTIONS; a++) {
        struct store_sql sql;
        store_sql_init(&sql, arena);
        store_sql_lit(&sql, "SELECT t.\"id\" FROM ");
        store_sql_name(&sql, c->name);
        store_sql_lit(&sql, " AS t WHERE ");
        expr_emit(c->rules[a], &context, SLICE("t"), &sql);
        prepare(db, &sql);
    }
}

static void test_community_rules_are_statements(void **state)
{
    (void)state;
    static const struct slice roles[] = { SLICE_INIT("moderator") };
    const struct task_caller user = { .has_user = true },
                             moderator = { .has_user = true, .roles = roles, .roles_len = 1 };
    struct arena *arena = arena_new(NULL, 0);
    struct contract_set *set = load(arena);
    struct buf schema;
    buf_init(&schema, arena, 0, (size_t)1 << 24);
    contract_sql_schema(set, &schema);
    buf_putc(&schema, '\0');
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    if (sqlite3_exec(db, schema.data, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s\n%s", sqlite3_errmsg(db), schema.data);
    for (unsigned i = 0; i < set->len; i++) {
        try_rules(db, set->contracts[i], NULL, arena);
        try_rules(db, set->contracts[i], &user, arena);
        try_rules(db, set->contracts[i], &moderator, arena);
    }
    sqlite3_close(db);
    contract_set_free(set);
    arena_free(arena);
}

static void test_community_schema_stays(void **state)
{
    (void)state;
    struct arena *arena = arena_new(NULL, 0);
    struct contract_set *set = load(arena);
    char folder[] = "/tmp/test_community_XXXXXX";
    assert_non_null(mkdtemp(folder));
    const struct store_options options = { .url = arena_printf(arena, "sqlite:%s/a.db", folder),
                                           .create = true };
    struct problem problem = { .status = STATUS_OK };
    struct store *store = NULL;
    struct contract_diff first, second;
    assert_int_equal(store_open(&options, arena, &problem, &store), STATUS_OK);
    assert_int_equal(contract_sql_diff(set, store, NULL, 0, arena, &problem, &first), STATUS_OK);
    assert_int_equal(store_script(store, buf_slice(&first.up), arena, &problem), STATUS_OK);
    assert_int_equal(contract_sql_diff(set, store, NULL, 0, arena, &problem, &second), STATUS_OK);
    assert_int_equal(second.changes_len, 0);
    store_close(store);
    static const char *const files[] = { "a.db", "a.db-wal", "a.db-shm", "a.db.lock" };
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        (void)remove(arena_cstr(arena, arena_printf(arena, "%s/%s", folder, files[i])));
    (void)remove(folder);
    contract_set_free(set);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_community_rules_are_statements),
        cmocka_unit_test(test_community_schema_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
