/* Cells, search words, highlights, entity tags, keyset conditions: text in, text out. */
#include "fixture.h"

static void test_csv_cells(void **state)
{
    static const struct {
        const char *text, *want;
    } cells[] = {
        { "plain", "plain" },
        { "", "\"\"" },
        { "a,b", "\"a,b\"" },
        { "say \"hi\"", "\"say \"\"hi\"\"\"" },
        { "two\nlines", "\"two\nlines\"" },
        { "cr\r", "\"cr\r\"" },
        { "=1+1", "\"'=1+1\"" },
        { "+1", "\"'+1\"" },
        { "-1", "\"'-1\"" },
        { "@SUM(A1)", "\"'@SUM(A1)\"" },
        { "\tx", "\"'\tx\"" },
        { "a=b", "a=b" },
    };
    struct fixture *f = *state;
    for (unsigned i = 0; i < ARRAY_LEN(cells); i++) {
        struct buf b;
        buf_init(&b, f->arena, 0, 1024);
        resource__csv_text(slice_cstr(cells[i].text), &b);
        assert_slice(buf_slice(&b), cells[i].want);
    }
    struct buf header;
    buf_init(&header, f->arena, 0, 1024);
    resource__csv_header(&fixture_info(f, "users")->shown, &header);
    assert_slice(buf_slice(&header), "id,name,email,created_at,updated_at,version\r\n");
    buf_clear(&header);
    resource__csv_header(&fixture_info(f, "posts")->shown, &header);
    assert_true(slice_find_slice(buf_slice(&header), SLICE("price.amount_minor,price.currency")) !=
                SIZE_MAX);
}

static void test_search_words(void **state)
{
    static const struct {
        const char *q, *want;
    } words[] = {
        { "hello", "\"hello\" *" },
        { "hello world", "\"hello\" \"world\" *" },
        { "hello ", "\"hello\"" },
        { "\"exact phrase\" more", "\"exact phrase\" \"more\" *" },
        { "\"not closed", "\"not closed\"" },
        { "pre* fix", "\"pre*\" * \"fix\" *" },
        { "a OR b", "\"a\" \"OR\" \"b\" *" },
        { "title:x", "\"title:x\" *" },
        { "NEAR(a b)", "\"NEAR(a\" \"b)\" *" },
        { "it\"s", "\"it\"\"s\" *" },
        { "caf\xc3\xa9", "\"caf\xc3\xa9\" *" },
        { "- + ...", NULL },
        { "", NULL },
        { "\"\"", NULL },
    };
    struct fixture *f = *state;
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        struct slice match;
        enum status st = resource__search_match(slice_cstr(words[i].q), f->arena, &match);
        assert_int_equal(st, words[i].want ? STATUS_OK : STATUS_INVALID);
        if (words[i].want)
            assert_slice(match, words[i].want);
    }
}

static void test_highlights_are_safe_html(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    buf_init(&b, f->arena, 0, 1024);
    resource__search_highlight(SLICE("<b> \2hit\3 & \"x\""), &b);
    assert_slice(buf_slice(&b), "\"&lt;b&gt; <mark>hit</mark> &amp; &quot;x&quot;\"");
}

static void test_entity_tags(void **state)
{
    static const struct {
        const char *header;
        bool want;
    } headers[] = {
        { "*", true },
        { "\"7-0123456789abcdef\"", true },
        { "\"7\"", true },
        { "\"8-0123456789abcdef\"", false },
        { "\"6-a\", \"7-b\"", true },
        { "\"6-a\",, \"8-b\"", false },
        { "W/\"7-a\"", false },
        { "W/\"7-a\", \"7-a\"", true },
        { "7", false },
        { "junk, \"7-a\"", true },
        { "\"7", false },
        { "", false },
        { "\"-7\"", false },
    };
    struct fixture *f = *state;
    for (unsigned i = 0; i < ARRAY_LEN(headers); i++)
        if (resource__if_match_allows(slice_cstr(headers[i].header), 7) != headers[i].want)
            fail_msg("%s", headers[i].header);
    struct slice a = resource__etag(7, SLICE("{}"), f->arena);
    struct slice b = resource__etag(7, SLICE("{\"a\":1}"), f->arena);
    assert_true(slice_starts(a, SLICE("\"7-")) && a.len == 20);
    assert_false(slice_eq(a, b));
    assert_true(resource__if_match_allows(a, 7));
}

struct keyset_case {
    const char *query;
    bool backward;
    struct store_value first;
    const char *want_where, *want_order;
};

static void test_places_and_orders(void **state)
{
    const struct store_value null = { .kind = STORE_NULL }, one = store_i64(1);
    const struct keyset_case cases[] = {
        { "", false, one, " AND t.\"id\" < $1", " ORDER BY t.\"id\" DESC" },
        { "", true, one, " AND t.\"id\" > $1", " ORDER BY t.\"id\"" },
        { "sort=-score", false, one, " AND (t.\"score\", t.\"id\") < ($1, $2)",
          " ORDER BY t.\"score\" DESC, t.\"id\" DESC" },
        { "sort=score", true, one, " AND (t.\"score\", t.\"id\") < ($1, $2)",
          " ORDER BY t.\"score\" DESC, t.\"id\" DESC" },
        { "sort=score,-id", false, one,
          " AND t.\"score\" >= $1 AND (t.\"score\" > $2 OR (t.\"score\" = $3 AND t.\"id\" < $4))",
          " ORDER BY t.\"score\", t.\"id\" DESC" },
        { "sort=title", false, one,
          " AND ((t.\"title\" > $1 OR t.\"title\" IS NULL) OR (t.\"title\" = $2 AND t.\"id\" > "
          "$3))",
          " ORDER BY t.\"title\" NULLS LAST, t.\"id\"" },
        { "sort=title", false, null, " AND (0 OR (t.\"title\" IS NULL AND t.\"id\" > $1))",
          " ORDER BY t.\"title\" NULLS LAST, t.\"id\"" },
        { "sort=-title", false, one,
          " AND t.\"title\" <= $1 AND (t.\"title\" < $2 OR (t.\"title\" = $3 AND t.\"id\" < $4))",
          " ORDER BY t.\"title\" DESC NULLS FIRST, t.\"id\" DESC" },
        { "sort=-title", false, null,
          " AND (t.\"title\" IS NOT NULL OR (t.\"title\" IS NULL AND t.\"id\" < $1))",
          " ORDER BY t.\"title\" DESC NULLS FIRST, t.\"id\" DESC" },
        { "sort=-title", true, one,
          " AND ((t.\"title\" > $1 OR t.\"title\" IS NULL) OR (t.\"title\" = $2 AND t.\"id\" > "
          "$3))",
          " ORDER BY t.\"title\" NULLS LAST, t.\"id\"" },
        { "q=a", false, one, " AND (\"posts__search\".\"rank\", t.\"id\") > ($1, $2)",
          " ORDER BY \"posts__search\".\"rank\", t.\"id\"" },
    };
    struct fixture *f = *state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct resource_plan plan;
        assert_int_equal(fixture_plan(f, "posts", cases[i].query, RESOURCE_PLAN_LIST, &plan),
                         STATUS_OK);
        const struct resource_cursor cursor = { .backward = cases[i].backward,
                                                .len = plan.sort_len,
                                                .keys = { cases[i].first, store_i64(2) } };
        struct store_sql sql;
        store_sql_init(&sql, f->arena);
        resource__put_keyset(&sql, &plan, &cursor);
        assert_slice(buf_slice(&sql.text), cases[i].want_where);
        store_sql_init(&sql, f->arena);
        resource__put_order(&sql, &plan, cases[i].backward);
        assert_slice(buf_slice(&sql.text), cases[i].want_order);
    }
}

static void test_prepared_texts(void **state)
{
    struct fixture *f = *state;
    const struct resource_info *users = fixture_info(f, "users");
    assert_slice(users->select_by_id,
                 "SELECT t.\"id\", t.\"name\", t.\"email\", t.\"created_at\", t.\"updated_at\", "
                 "t.\"version\" FROM \"users\" AS t WHERE t.\"id\" = $1");
    assert_slice(
        users->insert,
        "INSERT INTO \"users\" (\"id\", \"name\", \"email\", \"password\", \"created_at\", "
        "\"updated_at\", \"version\") VALUES ($1, $2, $3, $4, $5, $6, $7)");
    const struct resource_info *posts = fixture_info(f, "posts");
    assert_true(slice_find_slice(posts->insert, SLICE("replies")) == SIZE_MAX);
    assert_true(slice_ends(posts->select_by_id, SLICE(" AND t.\"deleted_at\" IS NULL")));
    assert_null(resource__info_find(f->catalog, SLICE("nope")));
    struct buf b;
    buf_init(&b, f->arena, 0, 64);
    resource__put_name(&b, SLICE("a\"b"));
    assert_slice(buf_slice(&b), "\"a\"\"b\"");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_csv_cells),   TEST(test_search_words),      TEST(test_highlights_are_safe_html),
        TEST(test_entity_tags), TEST(test_places_and_orders), TEST(test_prepared_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
