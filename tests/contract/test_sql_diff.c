/*
 * From one set of contracts to another and back, on a database with rows, by examples.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/macros.h"
#include "database.h"
#include "model.h"
#include "store/store.h"

static struct model *first_model(void)
{
    struct model *m = model_new();
    struct contract *users = model_contract(m, "users");
    model_required(model_field(m, users, "name", CONTRACT_STRING));
    struct contract *posts = model_contract(m, "posts");
    model_required(model_ref(m, posts, "author", users, CONTRACT_CASCADE));
    model_required(model_field(m, posts, "titel", CONTRACT_STRING));
    model_field(m, posts, "body", CONTRACT_TEXT);
    model_field(m, posts, "cost", CONTRACT_MONEY);
    model_search(m, posts, "titel body");
    model_finish(m);
    return m;
}

static struct model *second_model(void)
{
    struct model *m = model_new();
    struct contract *users = model_contract(m, "users");
    struct contract_field *name = model_field(m, users, "name", CONTRACT_STRING);
    model_required(name);
    name->has_min = true;
    name->min_i64 = 1;
    struct contract *posts = model_contract(m, "posts");
    posts->soft_delete = true;
    model_required(model_ref(m, posts, "author", users, CONTRACT_CASCADE));
    model_required(model_field(m, posts, "title", CONTRACT_STRING));
    model_field(m, posts, "price", CONTRACT_MONEY);
    model_default(model_list(m, posts, "tags", CONTRACT_STRING), json_pack("[s]", "x"));
    model_search(m, posts, "title");
    model_index(m, posts, CONTRACT_INDEX_CONTAINS, false, "tags");
    model_index(m, posts, CONTRACT_INDEX_ORDER, false, "author -created_at");
    model_count(m, users, "posts", posts, "author", NULL);
    model_finish(m);
    return m;
}

static void test_sql_diff_goes_up_and_down(void **state)
{
    (void)state;
    struct model *first = first_model(), *second = second_model();
    struct arena *arena = arena_new(NULL, 0);
    sqlite3 *db = database_new();
    struct contract_diff make, change, again;
    database_diff(db, &first->set, "", arena, &make);
    assert_true(slice_eq(make.name, SLICE("create_posts_and_1_more")));
    assert_int_equal(make.changes_len, 2);
    assert_false(make.destructive);
    database_migrate(db, &make.up);
    database_assert_same(db, first, arena);
    database_run(db,
                 "INSERT INTO users (_row, id, created_at, updated_at, name) VALUES (7, " ID(
                     1) ", 1, 1, 'ann');"
                        "INSERT INTO posts (_row, id, created_at, updated_at, author, titel, body, "
                        "cost_amount, cost_currency)"
                        " VALUES (5, " ID(1) ", 1, 1, " ID(
                            1) ", 'running', 'b', 5, 'EUR');"
                               "CREATE INDEX mine ON users (name);"
                               "CREATE TABLE purlin_keys (x); CREATE TABLE elsewhere (y)");
    const char *renames = "posts.titel=posts.title posts.cost=posts.price";
    database_diff(db, &second->set, renames, arena, &change);
    assert_true(change.destructive);
    assert_true(slice_starts(buf_slice(&change.up), SLICE("-- purlin: destructive\n")));
    struct slice expected[] = { SLICE_INIT("posts: rename column titel to title"),
                                SLICE_INIT("posts: rename column cost_amount to price_amount"),
                                SLICE_INIT("posts: rename column cost_currency to price_currency"),
                                SLICE_INIT("posts: add column tags"),
                                SLICE_INIT("posts: add column deleted_at"),
                                SLICE_INIT("posts: drop column body"),
                                SLICE_INIT("users: change column name"),
                                SLICE_INIT("users: add column posts"),
                                SLICE_INIT("posts: create list table posts__list_tags"),
                                SLICE_INIT("posts: change full text table posts__search"),
                                SLICE_INIT("posts: create index posts__by_author_created_at"),
                                SLICE_INIT("posts: drop index posts__by_author") };
    for (unsigned i = 0; i < change.changes_len; i++)
        if (i >= ARRAY_LEN(expected) || !slice_eq(change.changes[i].what, expected[i]))
            fail_msg("%u: %.*s", i, SLICE_ARG(change.changes[i].what));
    assert_int_equal(change.changes_len, ARRAY_LEN(expected));
    for (int round = 0; round < 2; round++) {
        database_migrate(db, &change.up);
        database_assert_sound(db);
        database_assert_same(db, second, arena);
        database_assert_answer(
            db, "SELECT _row || title || price_amount || price_currency || tags FROM posts",
            "|5running5EUR[\"x\"]");
        database_assert_answer(db, "SELECT value || row FROM posts__list_tags", "|x5");
        database_assert_answer(
            db, "SELECT rowid FROM posts__search WHERE posts__search MATCH 'runs'", "|5");
        database_assert_answer(db, "SELECT posts || ':' || _row FROM users", "|1:7");
        database_assert_answer(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'mine'", "|1");
        database_migrate(db, &change.down);
        database_assert_sound(db);
        database_assert_same(db, first, arena);
        database_assert_answer(
            db, "SELECT _row || titel || cost_amount || coalesce(body, '-') FROM posts",
            "|5running5-");
        database_assert_answer(
            db, "SELECT rowid FROM posts__search WHERE posts__search MATCH 'runs'", "|5");
        database_diff(db, &second->set, renames, arena, &again);
        assert_true(slice_eq(buf_slice(&again.up), buf_slice(&change.up)));
    }
    database_migrate(db, &make.down);
    database_assert_answer(db, "SELECT name FROM sqlite_schema ORDER BY name",
                           "|elsewhere|purlin_keys");
    sqlite3_close(db);
    arena_free(arena);
    model_free(first);
    model_free(second);
}

/* One field, before and after, with the value it had and the value it gets. */
static void test_sql_diff_converts(void **state)
{
    static const struct {
        enum contract_type before, after;
        const char *value, *want;
        bool destructive;
    } cases[] = {
        { CONTRACT_INTEGER, CONTRACT_STRING, "42", "|'42'", false },
        { CONTRACT_INTEGER, CONTRACT_NUMBER, "42", "|42.0", false },
        { CONTRACT_NUMBER, CONTRACT_INTEGER, "2.0", "|2", true },
        { CONTRACT_NUMBER, CONTRACT_INTEGER, "2.5", "|NULL", true },
        { CONTRACT_NUMBER, CONTRACT_STRING, "2.5", "|'2.5'", false },
        { CONTRACT_STRING, CONTRACT_INTEGER, "'42'", "|42", true },
        { CONTRACT_STRING, CONTRACT_INTEGER, "'4x'", "|NULL", true },
        { CONTRACT_STRING, CONTRACT_NUMBER, "'2.5'", "|2.5", true },
        { CONTRACT_STRING, CONTRACT_NUMBER, "'x'", "|NULL", true },
        { CONTRACT_STRING, CONTRACT_UUID, "'x'", "|NULL", true },
        { CONTRACT_UUID, CONTRACT_STRING, ID(1), "|'00000000000000000000000000000001'", true },
        { CONTRACT_STRING, CONTRACT_TEXT, "'x'", "|'x'", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model *m[2];
        for (int k = 0; k < 2; k++) {
            m[k] = model_new();
            model_field(m[k], model_contract(m[k], "things"), "x",
                        k ? cases[i].after : cases[i].before);
            model_finish(m[k]);
        }
        struct arena *arena = arena_new(NULL, 0);
        sqlite3 *db = database_new();
        struct contract_diff make, change;
        database_diff(db, &m[0]->set, "", arena, &make);
        database_migrate(db, &make.up);
        char insert[300];
        snprintf(insert, sizeof(insert),
                 "INSERT INTO things (id, created_at, updated_at, x) VALUES (" ID(1) ", 1, 1, %s)",
                 cases[i].value);
        database_run(db, insert);
        database_diff(db, &m[1]->set, "", arena, &change);
        database_migrate(db, &change.up);
        database_assert_answer(db, "SELECT quote(x) FROM things", cases[i].want);
        if (change.changes_len)
            assert_int_equal(change.destructive, cases[i].destructive);
        database_migrate(db, &change.down);
        database_assert_same(db, m[0], arena);
        sqlite3_close(db);
        arena_free(arena);
        model_free(m[0]);
        model_free(m[1]);
    }
}

/* What is required comes back on the way down with something that its constraints accept. */
static void test_sql_diff_restores_required_columns(void **state)
{
    (void)state;
    struct model *full = model_new(), *empty = model_new();
    struct contract *users = model_contract(full, "users");
    struct contract *c = model_contract(full, "things");
    model_required(model_ref(full, c, "owner", users, CONTRACT_CASCADE));
    struct contract_field *code = model_field(full, c, "code", CONTRACT_STRING);
    model_required(code);
    code->unique = code->has_min = true;
    code->min_i64 = 4;
    model_required(model_field(full, c, "plain", CONTRACT_TEXT));
    model_required(model_field(full, c, "day", CONTRACT_DATE));
    struct contract_field *late = model_field(full, c, "late", CONTRACT_DATE);
    model_required(late);
    late->has_min = true;
    late->min_i64 = 20000;
    model_required(model_enum(full, c, "kind", "it's b"));
    model_required(model_field(full, c, "on", CONTRACT_BOOLEAN));
    struct contract_field *level = model_field(full, c, "level", CONTRACT_INTEGER);
    model_required(level);
    level->has_min = true;
    level->min_i64 = 3;
    struct contract_field *debt = model_field(full, c, "debt", CONTRACT_NUMBER);
    model_required(debt);
    debt->has_max = true;
    debt->max_double = -1;
    struct contract_field *list = model_list(full, c, "list", CONTRACT_INTEGER);
    model_required(list);
    list->min_items = 2;
    model_required(model_field(full, c, "extra", CONTRACT_JSON));
    model_required(model_field(full, c, "image", CONTRACT_MEDIA));
    model_required(model_field(full, c, "key", CONTRACT_UUID));
    model_required(model_field(full, c, "price", CONTRACT_MONEY));
    model_finish(full);
    model_contract(empty, "users");
    model_contract(empty, "things");
    model_finish(empty);
    struct arena *arena = arena_new(NULL, 0);
    sqlite3 *db = database_new();
    struct contract_diff make, change, fill;
    database_diff(db, &full->set, "", arena, &make);
    database_migrate(db, &make.up);
    database_diff(db, &empty->set, "", arena, &change);
    database_migrate(db, &change.up);
    database_run(db, "INSERT INTO users (id, created_at, updated_at) VALUES (" ID(
                         1) ", 1, 1);"
                            "INSERT INTO things (id, created_at, updated_at) VALUES (" ID(
                                1) ", 1, 1), (" ID(2) ", 1, 1)");
    database_migrate(db, &change.down);
    database_assert_sound(db);
    database_assert_same(db, full, arena);
    database_assert_answer(
        db, "SELECT json_array(code, day, late, kind, \"on\", level, debt, list) FROM things",
        "|[\"0001\",\"1970-01-01\",\"2024-10-04\",\"it's\",0,3,-1.0,\"[0,0]\"]"
        "|[\"0002\",\"1970-01-01\",\"2024-10-04\",\"it's\",0,3,-1.0,\"[0,0]\"]");
    /* The same on the way up is for people to decide: the file says where. */
    database_migrate(db, &change.up);
    database_diff(db, &full->set, "", arena, &fill);
    buf_putc(&fill.up, '\0');
    assert_non_null(strstr(fill.up.data, "/* existing rows need a value for code */ NULL"));
    sqlite3_close(db);
    arena_free(arena);
    model_free(full);
    model_free(empty);
}

static void test_sql_diff_renames_tables(void **state)
{
    (void)state;
    struct model *m[2];
    for (int k = 0; k < 2; k++) {
        m[k] = model_new();
        struct contract *things = model_contract(m[k], k ? "items" : "things");
        model_field(m[k], things, k ? "label" : "name", CONTRACT_STRING);
        model_ref(m[k], things, "parent", things, CONTRACT_CASCADE);
        struct contract *notes = model_contract(m[k], "notes");
        model_ref(m[k], notes, "thing", things, CONTRACT_CASCADE);
        model_count(m[k], things, "notes", notes, "thing", NULL);
        model_finish(m[k]);
    }
    struct arena *arena = arena_new(NULL, 0);
    sqlite3 *db = database_new();
    struct contract_diff make, change;
    database_diff(db, &m[0]->set, "", arena, &make);
    database_migrate(db, &make.up);
    database_run(db, "INSERT INTO things (id, created_at, updated_at, name) VALUES (" ID(
                         1) ", 1, 1, 'a');"
                            "INSERT INTO notes (id, created_at, updated_at, thing) VALUES (" ID(
                                1) ", 1, 1, " ID(1) ")");
    database_diff(db, &m[1]->set, "things=items things.name=items.label nothing", arena, &change);
    assert_false(change.destructive);
    assert_true(slice_starts(change.name, SLICE("rename_items")));
    for (int round = 0; round < 2; round++) {
        database_migrate(db, &change.up);
        database_assert_sound(db);
        database_assert_same(db, m[1], arena);
        database_assert_answer(db, "SELECT label || notes FROM items", "|a1");
        database_migrate(db, &change.down);
        database_assert_sound(db);
        database_assert_same(db, m[0], arena);
        database_assert_answer(db, "SELECT name || notes FROM things", "|a1");
    }
    sqlite3_close(db);
    arena_free(arena);
    model_free(m[0]);
    model_free(m[1]);
}

static void test_sql_diff_notices_triggers_alone(void **state)
{
    (void)state;
    struct model *m = second_model();
    struct arena *arena = arena_new(NULL, 0);
    sqlite3 *db = database_new();
    struct contract_diff make, change;
    database_diff(db, &m->set, "", arena, &make);
    database_migrate(db, &make.up);
    database_run(db, "DROP TRIGGER posts__count_users__posts_delete;"
                     "DROP TABLE posts__search;"
                     "CREATE VIRTUAL TABLE posts__search USING fts5 (title, content='posts')");
    database_diff(db, &m->set, "", arena, &change);
    assert_int_equal(change.changes_len, 1);
    database_migrate(db, &change.up);
    database_assert_same(db, m, arena);
    database_run(db, "DROP TRIGGER posts__count_users__posts_delete");
    database_diff(db, &m->set, "", arena, &change);
    assert_true(slice_eq(change.name, SLICE("change_schema_triggers")));
    database_migrate(db, &change.up);
    database_assert_same(db, m, arena);
    sqlite3_close(db);
    arena_free(arena);
    model_free(m);
}

/* The same through a store, as `purlin migrate diff` asks. */
static void test_sql_diff_reads_a_store(void **state)
{
    (void)state;
    struct model *m = second_model();
    struct arena *arena = arena_new(NULL, 0);
    char folder[] = "/tmp/test_sql_diff_XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct store_options options = { .url = arena_printf(arena, "sqlite:%s/a.db", folder),
                                     .create = true };
    struct problem problem = { .status = STATUS_OK };
    struct store *store = NULL;
    struct contract_diff change, none;
    assert_int_equal(store_open(&options, arena, &problem, &store), STATUS_OK);
    assert_int_equal(contract_sql_diff(&m->set, store, NULL, 0, arena, &problem, &change),
                     STATUS_OK);
    assert_int_equal(change.changes_len, 2);
    assert_int_equal(store_script(store, buf_slice(&change.up), arena, &problem), STATUS_OK);
    assert_int_equal(contract_sql_diff(&m->set, store, NULL, 0, arena, &problem, &none), STATUS_OK);
    assert_int_equal(none.changes_len, 0);
    assert_int_equal(store_script(store, buf_slice(&change.down), arena, &problem), STATUS_OK);
    struct arena *small = arena_new(NULL, 2000);
    assert_int_equal(contract_sql_diff(&m->set, store, NULL, 0, small, &problem, &none),
                     STATUS_EXHAUSTED);
    arena_free(small);
    store_close(store);
    const char *files[] = { "a.db", "a.db-wal", "a.db-shm", "a.db.lock" };
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        (void)unlink(arena_cstr(arena, arena_printf(arena, "%s/%s", folder, files[i])));
    (void)rmdir(folder);
    arena_free(arena);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sql_diff_goes_up_and_down),
        cmocka_unit_test(test_sql_diff_converts),
        cmocka_unit_test(test_sql_diff_restores_required_columns),
        cmocka_unit_test(test_sql_diff_renames_tables),
        cmocka_unit_test(test_sql_diff_notices_triggers_alone),
        cmocka_unit_test(test_sql_diff_reads_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
