/*
 * The schema runs, keeps what it promises, and its indexes carry the lists they are made for.
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
#include "base/macros.h"
#include "contract/sql.h"
#include "model.h"

struct fixture {
    struct model *m;
    sqlite3 *db;
    struct buf schema;
};

static int run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &message);
    sqlite3_free(message);
    return rc;
}

static void must_run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s\n%s", message, sql);
}

/* The first column of the first row as text; "" when there is none. Each row's, joined by "|", when
 * there are several. */
static const char *ask(sqlite3 *db, const char *sql)
{
    static char answer[4096];
    sqlite3_stmt *stmt = NULL;
    size_t len = 0;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s\n%s", sqlite3_errmsg(db), sql);
    answer[0] = '\0';
    int column = strncmp(sql, "EXPLAIN", 7) == 0 ? 3 : 0;
    while (sqlite3_step(stmt) == SQLITE_ROW && len < sizeof(answer)) {
        const char *text = (const char *)sqlite3_column_text(stmt, column);
        len += (size_t)snprintf(answer + len, sizeof(answer) - len, "%s%s", len ? "|" : "",
                                text ? text : "null");
    }
    sqlite3_finalize(stmt);
    return answer;
}

static void build(struct model *m)
{
    struct contract *users = model_contract(m, "users");
    struct contract_field *name = model_field(m, users, "name", CONTRACT_STRING);
    model_required(name);
    name->has_min = name->has_max = name->unique = true;
    name->min_i64 = 2;
    name->max_i64 = 5;
    struct contract *posts = model_contract(m, "posts");
    posts->soft_delete = true;
    model_ref(m, posts, "author", users, CONTRACT_SET_NULL);
    struct contract_field *slug = model_field(m, posts, "slug", CONTRACT_STRING);
    slug->unique = true;
    model_default(model_field(m, posts, "title", CONTRACT_STRING), json_string("it's"));
    model_field(m, posts, "body", CONTRACT_TEXT);
    struct contract_field *tags = model_list(m, posts, "tags", CONTRACT_STRING);
    tags->min_items = 1;
    tags->max_items = 3;
    model_enum(m, posts, "visibility", "public private");
    model_field(m, posts, "price", CONTRACT_MONEY);
    struct contract_field *score = model_field(m, posts, "score", CONTRACT_INTEGER);
    score->has_min = score->has_max = true;
    score->min_i64 = -5;
    score->max_i64 = 5;
    struct contract_field *rating = model_field(m, posts, "rating", CONTRACT_NUMBER);
    rating->has_min = rating->has_max = true;
    rating->min_double = 0;
    rating->max_double = 0.5;
    model_field(m, posts, "pinned", CONTRACT_BOOLEAN);
    struct contract_field *day = model_field(m, posts, "day", CONTRACT_DATE);
    day->has_min = day->has_max = true;
    day->min_i64 = 0;
    day->max_i64 = 20000;
    struct contract_field *extra = model_field(m, posts, "extra", CONTRACT_JSON);
    extra->bytes_max = 10;
    model_field(m, posts, "image", CONTRACT_MEDIA);
    model_index(m, posts, CONTRACT_INDEX_ORDER, false, "author -created_at");
    model_index(m, posts, CONTRACT_INDEX_ORDER, false, "score")->where_text = SLICE("pinned");
    model_index(m, posts, CONTRACT_INDEX_ORDER, false, "score");
    model_index(m, posts, CONTRACT_INDEX_CONTAINS, false, "tags");
    model_index(m, posts, CONTRACT_INDEX_ORDER, true, "author title")->where_text =
        SLICE("visibility == 'public'");
    model_search(m, posts, "title body tags");
    struct contract *comments = model_contract(m, "comments");
    comments->soft_delete = true;
    model_required(model_ref(m, comments, "post", posts, CONTRACT_CASCADE));
    model_ref(m, comments, "parent", comments, CONTRACT_CASCADE);
    model_ref(m, comments, "author", users, CONTRACT_RESTRICT);
    model_field(m, comments, "hidden", CONTRACT_BOOLEAN);
    model_index(m, comments, CONTRACT_INDEX_ORDER, true, "author post");
    model_count(m, posts, "comments", comments, "post", "!hidden");
    model_count(m, comments, "replies", comments, "parent", NULL);
    model_count(m, users, "posts", posts, "author", NULL);
    model_finish(m);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->m = model_new();
    build(f->m);
    buf_init(&f->schema, f->m->arena, 0, 1 << 20);
    contract_sql_schema(&f->m->set, &f->schema);
    buf_putc(&f->schema, '\0');
    assert_int_equal(sqlite3_open(":memory:", &f->db), SQLITE_OK);
    must_run(f->db, f->schema.data);
    must_run(f->db, "PRAGMA foreign_keys=ON");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(ask(f->db, "PRAGMA integrity_check"), "ok");
    assert_string_equal(ask(f->db, "PRAGMA foreign_key_check"), "");
    must_run(f->db,
             "INSERT INTO posts__search (posts__search, rank) VALUES ('integrity-check', 0)");
    sqlite3_close(f->db);
    model_free(f->m);
    free(f);
    return 0;
}

/* Rows by number: the id of user 1 is the blob of sixteen bytes ending in 1. */
static int put(sqlite3 *db, const char *table, int id, const char *columns, const char *values)
{
    char sql[1000];
    snprintf(sql, sizeof(sql),
             "INSERT INTO %s (id, created_at, updated_at%s) VALUES (x'%032x', %d, 0%s)", table,
             columns, (unsigned)id, id, values);
    return run(db, sql);
}

#define ID(n) "x'0000000000000000000000000000000" #n "'"

static void test_sql_schema_is_the_same_each_time(void **state)
{
    struct fixture *f = *state;
    struct buf again;
    buf_init(&again, f->m->arena, 0, 1 << 20);
    contract_sql_schema(&f->m->set, &again);
    buf_putc(&again, '\0');
    assert_string_equal(f->schema.data, again.data);
    assert_non_null(strstr(again.data, "    \"title\" TEXT NOT NULL DEFAULT 'it''s',\n"));
    assert_non_null(strstr(again.data,
                           "    \"name\" TEXT NOT NULL CONSTRAINT \"users_name_min\" CHECK "
                           "(length(CAST(\"name\" AS BLOB)) >= 8 OR length(\"name\") >= 2) "
                           "CONSTRAINT \"users_name_max\" CHECK "
                           "(length(CAST(\"name\" AS BLOB)) <= 5 OR length(\"name\") <= 5),\n"));
    assert_non_null(strstr(again.data,
                           "    \"post\" BLOB NOT NULL CONSTRAINT \"comments_post_uuid\" CHECK "
                           "(length(\"post\") = 16) REFERENCES \"posts\" (\"id\") ON DELETE "
                           "CASCADE,\n"));
}

/* Two to five characters, of one to four bytes each. */
static void test_sql_checks_count_characters(void **state)
{
    static const struct {
        const char *name, *constraint;
    } cases[] = {
        { "a", "users_name_min" },
        { "\u00e4", "users_name_min" },
        { "\U0001f600", "users_name_min" },
        { "ab", NULL },
        { "\u00e4\u00f6", NULL },
        { "\U0001f600\U0001f600", NULL },
        { "abcde", NULL },
        { "\u00e4\u00f6\u00fc\u00df\u00e9", NULL },
        { "\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600", NULL },
        { "abcdef", "users_name_max" },
        { "\u00e4\u00f6\u00fc\u00df\u00e9\u00e8", "users_name_max" },
        { "\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600", "users_name_max" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char value[100];
        snprintf(value, sizeof(value), ", '%s'", cases[i].name);
        int rc = put(f->db, "users", (int)i + 1, ", name", value);
        if ((rc == SQLITE_OK) != (cases[i].constraint == NULL))
            fail_msg("%s: %s", cases[i].name, sqlite3_errmsg(f->db));
        if (cases[i].constraint && !strstr(sqlite3_errmsg(f->db), cases[i].constraint))
            fail_msg("%s: %s", cases[i].name, sqlite3_errmsg(f->db));
    }
}

static void test_sql_checks_hold_the_constraints(void **state)
{
    static const struct {
        const char *column, *value, *constraint;
    } cases[] = {
        { "tags", "'[]'", "posts_tags_list" },
        { "tags", "'[1,2,3,4]'", "posts_tags_list" },
        { "tags", "'{}'", "posts_tags_list" },
        { "tags", "'[1'", "posts_tags_list" },
        { "tags", "'[1]'", NULL },
        { "visibility", "'x'", "posts_visibility_enum" },
        { "visibility", "'private'", NULL },
        { "price_amount", "5", "posts_price_both" },
        { "price_currency", "'EUR'", "posts_price_both" },
        { "price_amount, price_currency", "5, 'EU'", "posts_price_currency" },
        { "price_amount, price_currency", "5, 'EUR'", NULL },
        { "score", "-6", "posts_score_min" },
        { "score", "6", "posts_score_max" },
        { "score", "'x'", "" },
        { "rating", "-0.1", "posts_rating_min" },
        { "rating", "0.6", "posts_rating_max" },
        { "pinned", "2", "posts_pinned_boolean" },
        { "day", "'2026-02-30'", "posts_day_date" },
        { "day", "'1969-12-31'", "posts_day_min" },
        { "day", "'2026-01-01'", "posts_day_max" },
        { "day", "'2020-01-01'", NULL },
        { "extra", "'{'", "posts_extra_json" },
        { "extra", "'\"0123456789\"'", "posts_extra_bytes" },
        { "image", "'[]'", "posts_image_media" },
        { "author", "x'00'", "posts_author_uuid" },
        { "author", ID(9), "" },
    };
    struct fixture *f = *state;
    const struct contract *posts = model_find(f->m, "posts");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char columns[100], values[100];
        snprintf(columns, sizeof(columns), ", %s", cases[i].column);
        snprintf(values, sizeof(values), ", %s", cases[i].value);
        int rc = put(f->db, "posts", 100 + (int)i, columns, values);
        if ((rc == SQLITE_OK) != (cases[i].constraint == NULL))
            fail_msg("%s = %s: %s", cases[i].column, cases[i].value, sqlite3_errmsg(f->db));
        if (rc == SQLITE_OK || *cases[i].constraint == '\0')
            continue;
        if (strstr(sqlite3_errmsg(f->db), cases[i].constraint) == NULL)
            fail_msg("%s = %s: %s", cases[i].column, cases[i].value, sqlite3_errmsg(f->db));
        const struct contract_field *field =
            contract_sql_check_field(posts, slice_cstr(cases[i].constraint));
        assert_non_null(field);
        assert_memory_equal(field->name.data, cases[i].column, field->name.len);
    }
    assert_null(contract_sql_check_field(posts, SLICE("posts_nothing_min")));
    assert_null(contract_sql_check_field(posts, SLICE("users_name_min")));
    assert_null(contract_sql_check_field(posts, SLICE("x")));
}

static void test_sql_unique_values_are_free_again_after_soft_delete(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f->db, "users", 1, ", name", ", 'ann'"), SQLITE_OK);
    assert_int_equal(put(f->db, "users", 2, ", name", ", 'ann'"), SQLITE_CONSTRAINT);
    assert_string_equal(sqlite3_errmsg(f->db), "UNIQUE constraint failed: users.name");
    assert_int_equal(put(f->db, "posts", 1, ", slug", ", 'a'"), SQLITE_OK);
    assert_int_equal(put(f->db, "posts", 2, ", slug", ", 'a'"), SQLITE_CONSTRAINT);
    must_run(f->db, "UPDATE posts SET deleted_at = 1");
    assert_int_equal(put(f->db, "posts", 2, ", slug", ", 'a'"), SQLITE_OK);
    assert_int_equal(run(f->db, "UPDATE posts SET deleted_at = NULL"), SQLITE_CONSTRAINT);
}

static void test_sql_lists_are_kept_beside(void **state)
{
    struct fixture *f = *state;
    const char *all = "SELECT value || ':' || row FROM posts__list_tags ORDER BY 1";
    must_run(f->db, "INSERT INTO posts (_row, id, created_at, updated_at, tags) VALUES "
                    "(1, " ID(1) ", 0, 0, '[\"a\",\"b\",\"a\"]'), (2, " ID(2) ", 0, 0, NULL)");
    assert_string_equal(ask(f->db, all), "a:1|b:1");
    must_run(f->db, "UPDATE posts SET tags = '[\"c\"]'");
    assert_string_equal(ask(f->db, all), "c:1|c:2");
    must_run(f->db, "UPDATE posts SET tags = NULL WHERE _row = 2");
    assert_string_equal(ask(f->db, all), "c:1");
    must_run(f->db, "DELETE FROM posts");
    assert_string_equal(ask(f->db, all), "");
}

static void test_sql_full_text_follows_the_rows(void **state)
{
    struct fixture *f = *state;
    const char *runs = "SELECT rowid FROM posts__search WHERE posts__search MATCH 'run' ORDER BY 1";
    must_run(f->db,
             "INSERT INTO posts (_row, id, created_at, updated_at, title, body) VALUES "
             "(1, " ID(1) ", 0, 0, 'Running', 'caf\u00e9'), (2, " ID(2) ", 0, 0, 'x', 'runs')");
    assert_string_equal(ask(f->db, runs), "1|2");
    assert_string_equal(
        ask(f->db, "SELECT rowid FROM posts__search WHERE posts__search MATCH 'CAFE'"), "1");
    must_run(f->db, "UPDATE posts SET deleted_at = 1 WHERE _row = 1");
    assert_string_equal(ask(f->db, runs), "2");
    must_run(f->db, "UPDATE posts SET title = 'y' WHERE _row = 1");
    must_run(f->db, "UPDATE posts SET deleted_at = NULL, title = 'run' WHERE _row = 1");
    must_run(f->db, "UPDATE posts SET body = 'walk' WHERE _row = 2");
    assert_string_equal(ask(f->db, runs), "1");
    must_run(f->db, "DELETE FROM posts WHERE _row = 2");
    must_run(f->db, "UPDATE posts SET deleted_at = 1; DELETE FROM posts");
    assert_string_equal(ask(f->db, runs), "");
    assert_string_equal(ask(f->db, "SELECT count(*) FROM posts__search_docsize"), "0");
}

static void test_sql_counts_are_kept(void **state)
{
    struct fixture *f = *state;
    const char *counts = "SELECT comments FROM posts ORDER BY _row";
    const char *replies = "SELECT replies FROM comments ORDER BY _row";
    put(f->db, "users", 1, ", name", ", 'ann'");
    put(f->db, "posts", 1, ", author", ", " ID(1));
    put(f->db, "posts", 2, "", "");
    assert_string_equal(ask(f->db, "SELECT posts FROM users"), "1");
    assert_int_equal(put(f->db, "comments", 1, ", post", ", " ID(1)), SQLITE_OK);
    put(f->db, "comments", 2, ", post, parent", ", " ID(1) ", " ID(1));
    put(f->db, "comments", 3, ", post, parent, hidden", ", " ID(1) ", " ID(2) ", 1");
    put(f->db, "comments", 4, ", post, deleted_at", ", " ID(1) ", 5");
    assert_string_equal(ask(f->db, counts), "2|0");
    assert_string_equal(ask(f->db, replies), "1|1|0|0");
    must_run(f->db, "UPDATE comments SET hidden = 0 WHERE _row = 3");
    assert_string_equal(ask(f->db, counts), "3|0");
    must_run(f->db, "UPDATE comments SET post = " ID(2) " WHERE _row = 2");
    assert_string_equal(ask(f->db, counts), "2|1");
    must_run(f->db, "UPDATE comments SET deleted_at = 1 WHERE _row = 3");
    assert_string_equal(ask(f->db, counts), "1|1");
    assert_string_equal(ask(f->db, replies), "1|0|0|0");
    must_run(f->db, "UPDATE comments SET deleted_at = NULL");
    assert_string_equal(ask(f->db, counts), "3|1");
    /* 1 takes 2 with it, which takes 3: only 4 is left. */
    must_run(f->db, "DELETE FROM comments WHERE _row = 1");
    assert_string_equal(ask(f->db, counts), "1|0");
    must_run(f->db, "DELETE FROM users");
    assert_string_equal(ask(f->db, "SELECT author FROM posts WHERE _row = 1"), "null");
    must_run(f->db, "DELETE FROM posts WHERE _row = 1");
    assert_string_equal(ask(f->db, "SELECT count(*) FROM comments"), "0");
}

static void test_sql_references_are_kept(void **state)
{
    struct fixture *f = *state;
    put(f->db, "users", 1, ", name", ", 'ann'");
    put(f->db, "posts", 1, "", "");
    put(f->db, "comments", 1, ", post, author", ", " ID(1) ", " ID(1));
    assert_int_equal(run(f->db, "DELETE FROM users"), SQLITE_CONSTRAINT);
    must_run(f->db, "DELETE FROM posts; DELETE FROM users");
}

static void assert_plan(sqlite3 *db, const char *sql, const char *want, const char *not_want)
{
    char explain[1000];
    snprintf(explain, sizeof(explain), "EXPLAIN QUERY PLAN %s", sql);
    const char *plan = ask(db, explain);
    if (strstr(plan, want) == NULL || (not_want && strstr(plan, not_want)))
        fail_msg("%s\n  plan: %s\n  want: %s", sql, plan, want);
}

static void test_sql_lists_walk_indexes(void **state)
{
    struct fixture *f = *state;
    assert_plan(f->db,
                "SELECT t.id FROM posts t WHERE t.author = ?1 AND t.deleted_at IS NULL "
                "ORDER BY t.created_at DESC, t.id DESC LIMIT 21",
                "USING INDEX posts__by_author_created_at (author=?)", "B-TREE");
    assert_plan(f->db,
                "SELECT t.id FROM posts t WHERE t.author = ?1 AND (t.created_at, t.id) < (?2, ?3) "
                "ORDER BY t.created_at DESC, t.id DESC LIMIT 21",
                "posts__by_author_created_at (author=? AND (created_at,id)<(?,?))", "B-TREE");
    assert_plan(f->db,
                "SELECT t.id FROM posts t WHERE t.author = ?1 "
                "ORDER BY t.created_at, t.id LIMIT 21",
                "posts__by_author_created_at (author=?)", "B-TREE");
    assert_plan(f->db, "SELECT t.id FROM posts t ORDER BY t.score, t.id LIMIT 5",
                "posts__by_score_2", "B-TREE");
    assert_plan(
        f->db,
        "SELECT t.id FROM posts t WHERE t.\"_row\" IN (SELECT \"row\" FROM posts__list_tags "
        "WHERE value = 'x')",
        "SEARCH t USING INTEGER PRIMARY KEY", "SCAN");
    assert_plan(f->db, "DELETE FROM comments WHERE parent = ?1", "comments__by_parent (parent=?)",
                NULL);
    assert_plan(f->db, "SELECT 1 FROM comments WHERE author = ?1", "comments__by_author (author=?)",
                NULL);
}

static void test_sql_names_tables(void **state)
{
    struct fixture *f = *state;
    const struct contract *posts = model_find(f->m, "posts"), *users = model_find(f->m, "users");
    assert_true(slice_eq(contract_sql_search_table(posts, f->m->arena), SLICE("posts__search")));
    assert_int_equal(contract_sql_search_table(users, f->m->arena).len, 0);
    assert_true(
        slice_eq(contract_sql_list_table(posts, model_field_find(posts, "tags"), f->m->arena),
                 SLICE("posts__list_tags")));
    assert_int_equal(
        contract_sql_list_table(posts, model_field_find(posts, "title"), f->m->arena).len, 0);
}

/* Each type has a default that the database gives by itself. */
static void test_sql_defaults(void **state)
{
    (void)state;
    struct model *m = model_new();
    struct contract *c = model_contract(m, "things");
    model_default(model_field(m, c, "a", CONTRACT_INTEGER), json_integer(-7));
    model_default(model_field(m, c, "b", CONTRACT_NUMBER), json_integer(2));
    model_default(model_field(m, c, "c", CONTRACT_BOOLEAN), json_true());
    model_default(model_field(m, c, "d", CONTRACT_TIME), json_string("1970-01-01T00:00:01Z"));
    model_default(model_field(m, c, "e", CONTRACT_UUID),
                  json_string("01890a5d-ac96-774b-bcce-b302099a8057"));
    model_default(model_list(m, c, "f", CONTRACT_STRING), json_pack("[s]", "x"));
    model_default(model_field(m, c, "g", CONTRACT_MONEY),
                  json_pack("{s:i,s:s}", "amount_minor", 5, "currency", "EUR"));
    struct contract_field *currency = model_field(m, c, "h", CONTRACT_MONEY);
    struct slice values[] = { SLICE_INIT("EUR") };
    currency->values = values;
    currency->values_len = 1;
    model_field(m, c, "i", CONTRACT_TIME)->default_kind = CONTRACT_DEFAULT_NOW;
    model_field(m, c, "j", CONTRACT_STRING)->default_kind = CONTRACT_DEFAULT_VALUE;
    model_default(model_field(m, c, "l", CONTRACT_TEXT), json_string("it's\r\n;"));
    model_field(m, c, "k", CONTRACT_UUID)->unique = true;
    model_index(m, c, CONTRACT_INDEX_ORDER, true, "k");
    model_index(m, c, CONTRACT_INDEX_ORDER, false, "id");
    model_finish(m);
    struct buf schema;
    buf_init(&schema, m->arena, 0, 1 << 20);
    contract_sql_schema(&m->set, &schema);
    buf_putc(&schema, '\0');
    sqlite3 *db = NULL;
    sqlite3_open(":memory:", &db);
    must_run(db, schema.data);
    assert_int_equal(put(db, "things", 1, "", ""), SQLITE_OK);
    assert_string_equal(ask(db,
                            "SELECT json_array(a, b, c, d, hex(e), json(f), g_amount, g_currency,"
                            " h_amount, i, j, version, hex(l)) FROM things"),
                        "[-7,2.0,1,1000000,\"01890A5DAC96774BBCCEB302099A8057\",[\"x\"],5,\"EUR\","
                        "null,null,null,1,\"697427730D0A3B\"]");
    assert_int_equal(put(db, "things", 2, ", h_amount, h_currency", ", 1, 'USD'"),
                     SQLITE_CONSTRAINT);
    sqlite3_close(db);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sql_schema_is_the_same_each_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sql_checks_count_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sql_checks_hold_the_constraints, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sql_unique_values_are_free_again_after_soft_delete,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_sql_lists_are_kept_beside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sql_full_text_follows_the_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sql_counts_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sql_references_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sql_lists_walk_indexes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sql_names_tables, setup, teardown),
        cmocka_unit_test(test_sql_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
