/*
 * From one set of contracts to another and back, on a database with rows: by examples, and by many
 * random changes.
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
#include "contract/sql_private.h"
#include "model.h"
#include "store/store.h"

/* -- a database ---------------------------------------------------------------------------------
 */

static void must_run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s\n%s", message, sql);
}

/* As a migration runs: foreign keys off, one transaction, checked at the end. */
static void migrate(sqlite3 *db, const struct buf *statements)
{
    char *sql = malloc(statements->len + 1);
    memcpy(sql, statements->data, statements->len);
    sql[statements->len] = '\0';
    must_run(db, "PRAGMA foreign_keys=OFF; BEGIN");
    must_run(db, sql);
    must_run(db, "COMMIT; PRAGMA foreign_keys=ON");
    free(sql);
}

/* All rows' first columns, joined by "|". */
static char *ask(sqlite3 *db, const char *sql)
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

static void assert_answer(sqlite3 *db, const char *sql, const char *want)
{
    char *got = ask(db, sql);
    if (strcmp(got, want) != 0)
        fail_msg("%s\n  got  %s\n  want %s", sql, got, want);
    free(got);
}

static void assert_sound(sqlite3 *db)
{
    assert_answer(db, "PRAGMA integrity_check", "|ok");
    assert_answer(db, "PRAGMA foreign_key_check", "");
}

static sqlite3 *database_new(void)
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

static void diff(sqlite3 *db, const struct contract_set *set, const char *renames,
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

static void assert_same(sqlite3 *db, const struct model *m, struct arena *arena)
{
    struct contract_diff none;
    diff(db, &m->set, "", arena, &none);
    if (none.up.len || none.down.len || none.changes_len)
        fail_msg("still different:\n%.*s", (int)none.up.len, none.up.data);
}

/* -- by examples --------------------------------------------------------------------------------
 */

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

#define ID(n) "x'0000000000000000000000000000000" #n "'"

static void test_sql_diff_goes_up_and_down(void **state)
{
    (void)state;
    struct model *first = first_model(), *second = second_model();
    struct arena *arena = arena_new(NULL, 0);
    sqlite3 *db = database_new();
    struct contract_diff make, change, again;
    diff(db, &first->set, "", arena, &make);
    assert_true(slice_eq(make.name, SLICE("create_posts_and_1_more")));
    assert_int_equal(make.changes_len, 2);
    assert_false(make.destructive);
    migrate(db, &make.up);
    assert_same(db, first, arena);
    must_run(db, "INSERT INTO users (_row, id, created_at, updated_at, name) VALUES (7, " ID(
                     1) ", 1, 1, 'ann');"
                        "INSERT INTO posts (_row, id, created_at, updated_at, author, titel, body, "
                        "cost_amount, cost_currency)"
                        " VALUES (5, " ID(1) ", 1, 1, " ID(
                            1) ", 'running', 'b', 5, 'EUR');"
                               "CREATE INDEX mine ON users (name);"
                               "CREATE TABLE purlin_keys (x); CREATE TABLE elsewhere (y)");
    const char *renames = "posts.titel=posts.title posts.cost=posts.price";
    diff(db, &second->set, renames, arena, &change);
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
        migrate(db, &change.up);
        assert_sound(db);
        assert_same(db, second, arena);
        assert_answer(db,
                      "SELECT _row || title || price_amount || price_currency || tags FROM posts",
                      "|5running5EUR[\"x\"]");
        assert_answer(db, "SELECT value || row FROM posts__list_tags", "|x5");
        assert_answer(db, "SELECT rowid FROM posts__search WHERE posts__search MATCH 'runs'", "|5");
        assert_answer(db, "SELECT posts || ':' || _row FROM users", "|1:7");
        assert_answer(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'mine'", "|1");
        migrate(db, &change.down);
        assert_sound(db);
        assert_same(db, first, arena);
        assert_answer(db, "SELECT _row || titel || cost_amount || coalesce(body, '-') FROM posts",
                      "|5running5-");
        assert_answer(db, "SELECT rowid FROM posts__search WHERE posts__search MATCH 'runs'", "|5");
        diff(db, &second->set, renames, arena, &again);
        assert_true(slice_eq(buf_slice(&again.up), buf_slice(&change.up)));
    }
    migrate(db, &make.down);
    assert_answer(db, "SELECT name FROM sqlite_schema ORDER BY name", "|elsewhere|purlin_keys");
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
        diff(db, &m[0]->set, "", arena, &make);
        migrate(db, &make.up);
        char insert[300];
        snprintf(insert, sizeof(insert),
                 "INSERT INTO things (id, created_at, updated_at, x) VALUES (" ID(1) ", 1, 1, %s)",
                 cases[i].value);
        must_run(db, insert);
        diff(db, &m[1]->set, "", arena, &change);
        migrate(db, &change.up);
        assert_answer(db, "SELECT quote(x) FROM things", cases[i].want);
        if (change.changes_len)
            assert_int_equal(change.destructive, cases[i].destructive);
        migrate(db, &change.down);
        assert_same(db, m[0], arena);
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
    diff(db, &full->set, "", arena, &make);
    migrate(db, &make.up);
    diff(db, &empty->set, "", arena, &change);
    migrate(db, &change.up);
    must_run(db, "INSERT INTO users (id, created_at, updated_at) VALUES (" ID(
                     1) ", 1, 1);"
                        "INSERT INTO things (id, created_at, updated_at) VALUES (" ID(
                            1) ", 1, 1), (" ID(2) ", 1, 1)");
    migrate(db, &change.down);
    assert_sound(db);
    assert_same(db, full, arena);
    assert_answer(db,
                  "SELECT json_array(code, day, late, kind, \"on\", level, debt, list) FROM things",
                  "|[\"0001\",\"1970-01-01\",\"2024-10-04\",\"it's\",0,3,-1.0,\"[0,0]\"]"
                  "|[\"0002\",\"1970-01-01\",\"2024-10-04\",\"it's\",0,3,-1.0,\"[0,0]\"]");
    /* The same on the way up is for people to decide: the file says where. */
    migrate(db, &change.up);
    diff(db, &full->set, "", arena, &fill);
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
    diff(db, &m[0]->set, "", arena, &make);
    migrate(db, &make.up);
    must_run(db, "INSERT INTO things (id, created_at, updated_at, name) VALUES (" ID(
                     1) ", 1, 1, 'a');"
                        "INSERT INTO notes (id, created_at, updated_at, thing) VALUES (" ID(
                            1) ", 1, 1, " ID(1) ")");
    diff(db, &m[1]->set, "things=items things.name=items.label nothing", arena, &change);
    assert_false(change.destructive);
    assert_true(slice_starts(change.name, SLICE("rename_items")));
    for (int round = 0; round < 2; round++) {
        migrate(db, &change.up);
        assert_sound(db);
        assert_same(db, m[1], arena);
        assert_answer(db, "SELECT label || notes FROM items", "|a1");
        migrate(db, &change.down);
        assert_sound(db);
        assert_same(db, m[0], arena);
        assert_answer(db, "SELECT name || notes FROM things", "|a1");
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
    diff(db, &m->set, "", arena, &make);
    migrate(db, &make.up);
    must_run(db, "DROP TRIGGER posts__count_users__posts_delete;"
                 "DROP TABLE posts__search;"
                 "CREATE VIRTUAL TABLE posts__search USING fts5 (title, content='posts')");
    diff(db, &m->set, "", arena, &change);
    assert_int_equal(change.changes_len, 1);
    migrate(db, &change.up);
    assert_same(db, m, arena);
    must_run(db, "DROP TRIGGER posts__count_users__posts_delete");
    diff(db, &m->set, "", arena, &change);
    assert_true(slice_eq(change.name, SLICE("change_schema_triggers")));
    migrate(db, &change.up);
    assert_same(db, m, arena);
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

/* -- by chance ----------------------------------------------------------------------------------
 */

#define FIELDS 7
#define TABLES 3

struct chance_field {
    bool there, required, has_default, breaks, wide, indexed, searched, listed;
    enum contract_type type;
};
struct chance_table {
    bool there, soft_delete, counts, counts_some;
    struct chance_field fields[FIELDS];
};
struct chance {
    struct chance_table tables[TABLES];
};

static uint64_t seed;
static unsigned pick(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % n);
}
static bool coin(void)
{
    return pick(2) == 0;
}

/* The values are digits, so that these turn into each other. */
static const enum contract_type plain_types[] = { CONTRACT_STRING, CONTRACT_INTEGER,
                                                  CONTRACT_NUMBER, CONTRACT_TEXT };

static void chance_field_pick(struct chance_field *f)
{
    *f = (struct chance_field){ .there = true,
                                .has_default = coin(),
                                .wide = coin(),
                                .indexed = coin(),
                                .searched = coin(),
                                .listed = coin() };
    f->required = f->has_default && coin();
    f->breaks = coin();
    f->type = pick(4) ? plain_types[pick(4)] : CONTRACT_LIST;
}

static void chance_init(struct chance *x)
{
    memset(x, 0, sizeof(*x));
    for (unsigned t = 0; t < TABLES; t++) {
        x->tables[t].there = t < 2 || coin();
        x->tables[t].soft_delete = coin();
        x->tables[t].counts = coin();
        for (unsigned f = 0; f < FIELDS; f++)
            if (coin())
                chance_field_pick(&x->tables[t].fields[f]);
    }
}

static void chance_change(struct chance *x)
{
    unsigned changes = 1 + pick(4);
    for (unsigned i = 0; i < changes; i++) {
        struct chance_table *t = &x->tables[pick(TABLES)];
        struct chance_field *f = &t->fields[pick(FIELDS)];
        switch (pick(9)) {
        case 0:
            x->tables[TABLES - 1].there = !x->tables[TABLES - 1].there;
            break;
        case 1:
            t->soft_delete = !t->soft_delete;
            break;
        case 2:
            t->counts = !t->counts;
            break;
        case 3:
            t->counts_some = !t->counts_some;
            break;
        case 4:
            f->wide = !f->wide;
            break;
        case 5:
            f->indexed = !f->indexed;
            f->searched = coin();
            break;
        case 6:
            if (f->there && f->type != CONTRACT_LIST)
                f->type = plain_types[pick(4)];
            break;
        case 7:
            if (f->there && f->has_default)
                f->required = !f->required;
            break;
        default:
            if (f->there)
                f->there = false;
            else
                chance_field_pick(f);
        }
    }
}

static void chance_field_build(struct model *m, struct contract *c, const struct chance_field *f,
                               const char *name)
{
    struct contract_field *field = f->type == CONTRACT_LIST
                                       ? model_list(m, c, name, CONTRACT_STRING)
                                       : model_field(m, c, name, f->type);
    bool is_text = f->type == CONTRACT_STRING || f->type == CONTRACT_TEXT;
    if (f->has_default)
        model_default(field, f->type == CONTRACT_LIST ? json_pack("[s]", "7")
                             : is_text ? json_string(f->breaks && !f->wide ? "7\n;--" : "7")
                                       : json_integer(7));
    field->nullable = !f->required;
    if (f->wide && f->type != CONTRACT_LIST) {
        field->has_min = field->has_max = true;
        field->min_i64 = is_text ? 1 : 0;
        field->max_i64 = 9;
        field->min_double = 0;
        field->max_double = 9;
    }
    if (f->indexed && f->type != CONTRACT_LIST)
        model_index(m, c, CONTRACT_INDEX_ORDER, false, name)->where_text =
            f->listed ? SLICE("version > 0") : SLICE("");
    if (f->listed && f->type == CONTRACT_LIST)
        model_index(m, c, CONTRACT_INDEX_CONTAINS, false, name);
}

static const char *const table_names[TABLES] = { "alpha", "beta", "gamma" };

static struct model *chance_build(const struct chance *x)
{
    struct model *m = model_new();
    struct contract *tables[TABLES] = { NULL };
    for (unsigned t = 0; t < TABLES; t++)
        if (x->tables[t].there)
            tables[t] = model_contract(m, table_names[t]);
    for (unsigned t = 0; t < TABLES; t++) {
        struct contract *c = tables[t];
        if (c == NULL)
            continue;
        char searched[64] = "";
        c->soft_delete = x->tables[t].soft_delete;
        model_ref(m, c, "up", tables[t ? t - 1 : 0], coin() ? CONTRACT_CASCADE : CONTRACT_CASCADE);
        for (unsigned f = 0; f < FIELDS; f++) {
            const struct chance_field *field = &x->tables[t].fields[f];
            char name[8];
            snprintf(name, sizeof(name), "f%u", f);
            if (!field->there)
                continue;
            chance_field_build(m, c, field, name);
            if (field->searched && (field->type == CONTRACT_STRING || field->type == CONTRACT_LIST))
                snprintf(searched + strlen(searched), sizeof(searched) - strlen(searched), "%s%s",
                         *searched ? " " : "", name);
        }
        if (*searched)
            model_search(m, c, searched);
    }
    for (unsigned t = 0; t + 1 < TABLES; t++)
        if (tables[t] && tables[t + 1] && x->tables[t].counts)
            model_count(m, tables[t], "below", tables[t + 1], "up",
                        x->tables[t].counts_some ? "version == 1" : NULL);
    model_finish(m);
    return m;
}

static void put_random_value(struct buf *sql, const struct contract_column *column)
{
    if (!column->not_null && pick(4) == 0)
        buf_put_lit(sql, "NULL");
    else if (column->field->type == CONTRACT_LIST)
        buf_printf(sql, "'[\"%u\",\"%u\"]'", pick(4), pick(4));
    else
        buf_printf(sql, strcmp(column->sql_type, "TEXT") == 0 ? "'%u'" : "%u", 1 + pick(9));
}

static void insert_rows(sqlite3 *db, const struct model *m)
{
    for (unsigned t = 0; t < m->set.len; t++) {
        const struct contract *c = m->contracts[t];
        for (unsigned row = 0; row < 6; row++) {
            struct buf sql;
            buf_init(&sql, NULL, 0, 1 << 16);
            buf_printf(&sql, "INSERT INTO \"%.*s\" (id, created_at, updated_at, version",
                       SLICE_ARG(c->name));
            for (unsigned i = 0; i < c->columns_len; i++)
                if (!c->columns[i].field->system && c->columns[i].field->type != CONTRACT_COUNT)
                    buf_printf(&sql, ", \"%.*s\"", SLICE_ARG(c->columns[i].name));
            buf_printf(&sql, ") VALUES (randomblob(16), 1, 1, %u", 1 + pick(2));
            for (unsigned i = 0; i < c->columns_len; i++) {
                const struct contract_field *f = c->columns[i].field;
                if (f->system || f->type == CONTRACT_COUNT)
                    continue;
                buf_put_lit(&sql, ", ");
                if (f->type == CONTRACT_REF)
                    buf_printf(&sql, "(SELECT id FROM \"%.*s\" ORDER BY random() LIMIT 1)",
                               SLICE_ARG(f->ref->name));
                else
                    put_random_value(&sql, &c->columns[i]);
            }
            buf_put_lit(&sql, ")");
            buf_putc(&sql, '\0');
            must_run(db, sql.data);
            buf_fini(&sql);
        }
        if (c->soft_delete) {
            char sql[100];
            snprintf(sql, sizeof(sql), "UPDATE %.*s SET deleted_at = 1 WHERE random() %% 3 = 0",
                     SLICE_ARG(c->name));
            must_run(db, sql);
        }
    }
}

/* What triggers keep is what a computation from the rows gives. */
static void assert_kept(sqlite3 *db, const struct model *m)
{
    char sql[1000];
    for (unsigned t = 0; t < m->set.len; t++) {
        const struct contract *c = m->contracts[t];
        struct slice search = contract_sql_search_table(c, m->arena);
        if (search.len) {
            snprintf(sql, sizeof(sql),
                     "SELECT (SELECT count(*) FROM %.*s_docsize) = count(*) FROM %.*s%s",
                     SLICE_ARG(search), SLICE_ARG(c->name),
                     c->soft_delete ? " WHERE deleted_at IS NULL" : "");
            assert_answer(db, sql, "|1");
            snprintf(sql, sizeof(sql),
                     "INSERT INTO %.*s (%.*s, rank) VALUES ('integrity-check', %d)",
                     SLICE_ARG(search), SLICE_ARG(search), c->soft_delete ? 0 : 1);
            must_run(db, sql);
        }
        for (unsigned i = 0; i < c->fields_len; i++) {
            const struct contract_field *f = c->fields[i];
            struct slice side = contract_sql_list_table(c, f, m->arena);
            if (side.len) {
                snprintf(sql, sizeof(sql),
                         "SELECT (SELECT count(*) || coalesce(sum(row * value), '') FROM %.*s) = "
                         "count(*) || coalesce(sum(r * v), '') FROM (SELECT DISTINCT _row AS r, "
                         "value AS v "
                         "FROM %.*s, json_each(%.*s))",
                         SLICE_ARG(side), SLICE_ARG(c->name), SLICE_ARG(f->name));
                assert_answer(db, sql, "|1");
            }
            if (f->type == CONTRACT_COUNT) {
                snprintf(
                    sql, sizeof(sql),
                    "SELECT count(*) FROM %.*s t WHERE below <> (SELECT count(*) FROM %.*s b WHERE "
                    "b.up = t.id%s%s)",
                    SLICE_ARG(c->name), SLICE_ARG(f->ref->name),
                    f->ref->soft_delete ? " AND b.deleted_at IS NULL" : "",
                    f->count_where ? " AND b.version = 1" : "");
                assert_answer(db, sql, "|0");
            }
        }
    }
}

/* Contents of all columns that both sets define alike. */
static char *contents(sqlite3 *db, const struct model *a, const struct model *b)
{
    struct buf out;
    buf_init(&out, NULL, 0, 1 << 24);
    for (unsigned t = 0; t < a->set.len; t++) {
        const struct contract *c = a->contracts[t], *other = NULL;
        for (unsigned i = 0; i < b->set.len; i++)
            if (slice_eq(b->contracts[i]->name, c->name))
                other = b->contracts[i];
        for (unsigned i = 0; other && i < c->columns_len; i++)
            for (unsigned k = 0; k < other->columns_len; k++) {
                const struct contract_column *x = &c->columns[i], *y = &other->columns[k];
                if (!slice_eq(x->name, y->name) || strcmp(x->sql_type, y->sql_type) != 0 ||
                    x->not_null != y->not_null || x->field->type == CONTRACT_COUNT)
                    continue;
                char sql[300];
                snprintf(sql, sizeof(sql), "SELECT quote(%.*s) FROM %.*s ORDER BY _row",
                         SLICE_ARG(x->name), SLICE_ARG(c->name));
                char *values = ask(db, sql);
                buf_printf(&out, "%.*s: %s\n", SLICE_ARG(x->name), values);
                free(values);
            }
    }
    buf_putc(&out, '\0');
    return out.data;
}

static void assert_contents(sqlite3 *db, const struct model *a, const struct model *b,
                            const char *want)
{
    char *got = contents(db, a, b);
    assert_string_equal(got, want);
    free(got);
}

static void one_change(uint64_t number)
{
    seed = number * 0x9E3779B97F4A7C15u + 1;
    struct chance x;
    chance_init(&x);
    struct model *before = chance_build(&x);
    chance_change(&x);
    struct model *after = chance_build(&x);
    struct arena *arena = arena_new(NULL, 0);
    sqlite3 *db = database_new();
    struct contract_diff make, change, again;
    diff(db, &before->set, "", arena, &make);
    migrate(db, &make.up);
    insert_rows(db, before);
    assert_kept(db, before);
    char *want = contents(db, before, after);
    diff(db, &after->set, "", arena, &change);
    for (int round = 0; round < 2; round++) {
        migrate(db, &change.up);
        assert_sound(db);
        assert_same(db, after, arena);
        assert_contents(db, before, after, want);
        assert_kept(db, after);
        migrate(db, &change.down);
        assert_sound(db);
        assert_same(db, before, arena);
        assert_contents(db, before, after, want);
        assert_kept(db, before);
        diff(db, &after->set, "", arena, &again);
        assert_true(slice_eq(buf_slice(&again.up), buf_slice(&change.up)));
    }
    migrate(db, &change.up);
    insert_rows(db, after);
    assert_kept(db, after);
    free(want);
    sqlite3_close(db);
    arena_free(arena);
    model_free(before);
    model_free(after);
}

static void test_sql_diff_survives_random_changes(void **state)
{
    (void)state;
    const char *only = getenv("TEST_SEED"), *rounds = getenv("TEST_ROUNDS");
    uint64_t from = only ? strtoull(only, NULL, 10) : 1;
    uint64_t to = only ? from : rounds ? strtoull(rounds, NULL, 10) : 100;
    for (uint64_t i = from; i <= to; i++) {
        if (only == NULL && i % 50 == 0)
            print_message("%u changes\n", (unsigned)i);
        one_change(i);
    }
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
        cmocka_unit_test(test_sql_diff_survives_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
