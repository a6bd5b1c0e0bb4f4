#include "fixture.h"

static const struct {
    const char *name, *resource, *query;
    unsigned uses;
    const char *pointer, *code; /* NULL: it is good */
} cases[] = {
    { "nothing", "posts", "", RESOURCE_PLAN_LIST, NULL, NULL },
    { "limit", "posts", "limit=1", RESOURCE_PLAN_LIST, NULL, NULL },
    { "largest limit", "posts", "limit=100", RESOURCE_PLAN_LIST, NULL, NULL },
    { "limit 0", "posts", "limit=0", RESOURCE_PLAN_LIST, "?limit", "range" },
    { "limit too large", "posts", "limit=101", RESOURCE_PLAN_LIST, "?limit", "range" },
    { "limit no number", "posts", "limit=ten", RESOURCE_PLAN_LIST, "?limit", "range" },
    { "limit twice", "posts", "limit=1&limit=2", RESOURCE_PLAN_LIST, "?limit", "repeated" },
    { "limit of an item", "posts", "limit=1", RESOURCE_PLAN_ITEM, "?limit", "unknown_parameter" },
    { "large limit of an export", "posts", "limit=100000", RESOURCE_PLAN_EXPORT, NULL, NULL },
    { "limit 0 of an export", "posts", "limit=0", RESOURCE_PLAN_EXPORT, "?limit", "range" },
    { "offset", "posts", "offset=40", RESOURCE_PLAN_LIST, NULL, NULL },
    { "offset too far", "posts", "offset=10001", RESOURCE_PLAN_LIST, "?offset", "range" },
    { "offset and cursor", "posts", "offset=1&cursor=x", RESOURCE_PLAN_LIST, "?offset",
      "conflict" },
    { "sort", "posts", "sort=-created_at,title", RESOURCE_PLAN_LIST, NULL, NULL },
    { "sort by money", "posts", "sort=price", RESOURCE_PLAN_LIST, NULL, NULL },
    { "sort by an unknown field", "posts", "sort=titel", RESOURCE_PLAN_LIST, "?sort",
      "unknown_field" },
    { "sort by long text", "posts", "sort=body", RESOURCE_PLAN_LIST, "?sort", "not_sortable" },
    { "sort by a list", "posts", "sort=tags", RESOURCE_PLAN_LIST, "?sort", "not_sortable" },
    { "sort twice by one", "posts", "sort=title,-title", RESOURCE_PLAN_LIST, "?sort", "repeated" },
    { "sort by too many", "posts", "sort=title,kind,rating,day,score,pinned", RESOURCE_PLAN_LIST,
      "?sort", "too_many" },
    { "sort by what is hidden", "users", "sort=password", RESOURCE_PLAN_LIST, "?sort",
      "unknown_field" },
    { "sort by nothing", "posts", "sort=", RESOURCE_PLAN_LIST, "?sort", "unknown_field" },
    { "filter", "posts", "filter=score > 3", RESOURCE_PLAN_LIST, NULL, NULL },
    { "filter cut short", "posts", "filter=score >", RESOURCE_PLAN_LIST, "?filter", "filter" },
    { "filter of the wrong type", "posts", "filter=score > \"a\"", RESOURCE_PLAN_LIST, "?filter",
      "filter" },
    { "search", "posts", "q=hello world", RESOURCE_PLAN_LIST, NULL, NULL },
    { "search without a word", "posts", "q=...", RESOURCE_PLAN_LIST, "?q", "empty" },
    { "search where there is none", "users", "q=a", RESOURCE_PLAN_LIST, "?q", "not_searchable" },
    { "fields", "posts", "fields=id,title", RESOURCE_PLAN_ITEM, NULL, NULL },
    { "unknown field", "posts", "fields=id,titel", RESOURCE_PLAN_LIST, "?fields", "unknown_field" },
    { "hidden field", "users", "fields=password", RESOURCE_PLAN_LIST, "?fields", "unknown_field" },
    { "expand", "posts", "expand=author,comments.author", RESOURCE_PLAN_LIST, NULL, NULL },
    { "expand in an item", "posts", "expand=author", RESOURCE_PLAN_ITEM, NULL, NULL },
    { "expand in an export", "posts", "expand=author", RESOURCE_PLAN_EXPORT, "?expand",
      "unknown_parameter" },
    { "expand something else", "posts", "expand=title", RESOURCE_PLAN_LIST, "?expand",
      "unknown_field" },
    { "expand too deep", "posts", "expand=comments.post.comments.post", RESOURCE_PLAN_LIST,
      "?expand", "too_deep" },
    { "count", "posts", "count=exact", RESOURCE_PLAN_LIST, NULL, NULL },
    { "count estimated", "posts", "count=estimated", RESOURCE_PLAN_LIST, NULL, NULL },
    { "no count", "posts", "count=none", RESOURCE_PLAN_LIST, NULL, NULL },
    { "count otherwise", "posts", "count=yes", RESOURCE_PLAN_LIST, "?count", "enum" },
    { "deleted", "posts", "deleted=true", RESOURCE_PLAN_LIST, NULL, NULL },
    { "not deleted", "posts", "deleted=false", RESOURCE_PLAN_LIST, NULL, NULL },
    { "deleted otherwise", "posts", "deleted=1", RESOURCE_PLAN_LIST, "?deleted", "enum" },
    { "deleted where nothing is kept", "users", "deleted=true", RESOURCE_PLAN_LIST, "?deleted",
      "not_kept" },
    { "format", "posts", "format=csv", RESOURCE_PLAN_EXPORT, NULL, NULL },
    { "format of a list", "posts", "format=csv", RESOURCE_PLAN_LIST, "?format",
      "unknown_parameter" },
    { "format otherwise", "posts", "format=xml", RESOURCE_PLAN_EXPORT, "?format", "enum" },
    { "equality", "posts", "kind=answer", RESOURCE_PLAN_LIST, NULL, NULL },
    { "equality of an id", "posts", "id=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f", RESOURCE_PLAN_LIST,
      NULL, NULL },
    { "equality of a bad id", "posts", "author=12", RESOURCE_PLAN_LIST, "?author", "type" },
    { "equality with null", "posts", "author=null", RESOURCE_PLAN_LIST, NULL, NULL },
    { "equality of a number", "posts", "score=x", RESOURCE_PLAN_LIST, "?score", "type" },
    { "equality of money", "posts", "price=5", RESOURCE_PLAN_LIST, "?price", "type" },
    { "equality of json", "posts", "meta={}", RESOURCE_PLAN_LIST, "?meta", "type" },
    { "equality in an item", "posts", "kind=answer", RESOURCE_PLAN_ITEM, "?kind",
      "unknown_parameter" },
    { "equality of what is hidden", "users", "password=x", RESOURCE_PLAN_LIST, "?password",
      "unknown_parameter" },
    { "in a list", "posts", "tags=c", RESOURCE_PLAN_LIST, NULL, NULL },
    { "misspelt", "posts", "lmit=5", RESOURCE_PLAN_LIST, "?lmit", "unknown_parameter" },
};

static void test_parameters(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct resource_plan plan;
        enum status st = fixture_plan(f, cases[i].resource, cases[i].query, cases[i].uses, &plan);
        if ((st == STATUS_OK) != (cases[i].code == NULL))
            fail_msg("%s: %s", cases[i].name,
                     f->problem.fields_len ? f->problem.fields[0].detail.data : status_name(st));
        if (!cases[i].code)
            continue;
        assert_int_equal(f->problem.http_status, 400);
        assert_int_equal(f->problem.fields_len, 1);
        assert_slice(f->problem.fields[0].pointer, cases[i].pointer);
        if (strcmp(f->problem.fields[0].code, cases[i].code) != 0)
            fail_msg("%s: %s is not %s", cases[i].name, f->problem.fields[0].code, cases[i].code);
    }
}

static void test_all_mistakes_are_reported_with_advice(void **state)
{
    struct fixture *f = *state;
    struct resource_plan plan;
    assert_int_equal(
        fixture_plan(f, "posts", "lmit=5&sort=titel&expand=auhtor", RESOURCE_PLAN_LIST, &plan),
        STATUS_INVALID);
    assert_int_equal(f->problem.fields_len, 3);
    static const char *const advice[] = { "`limit`", "`title`", "`author`" };
    for (unsigned i = 0; i < 3; i++)
        assert_true(slice_find_slice(f->problem.fields[i].detail, slice_cstr(advice[i])) !=
                    SIZE_MAX);
}

static void test_order_ends_with_id(void **state)
{
    struct fixture *f = *state;
    struct resource_plan plan;
    assert_int_equal(fixture_plan(f, "posts", "", RESOURCE_PLAN_LIST, &plan), STATUS_OK);
    assert_int_equal(plan.sort_len, 1);
    assert_true(plan.sort[0].descending);
    assert_int_equal(fixture_plan(f, "posts", "sort=title", RESOURCE_PLAN_LIST, &plan), STATUS_OK);
    assert_int_equal(plan.sort_len, 2);
    assert_false(plan.sort[1].descending);
    assert_true(plan.sort[0].nullable);
    assert_int_equal(fixture_plan(f, "posts", "sort=kind,-id,title", RESOURCE_PLAN_LIST, &plan),
                     STATUS_OK);
    assert_int_equal(plan.sort_len, 2);
    assert_false(plan.sort[0].nullable);
    assert_int_equal(fixture_plan(f, "posts", "q=a", RESOURCE_PLAN_LIST, &plan), STATUS_OK);
    assert_int_equal(plan.sort_len, 2);
    assert_null(plan.sort[0].field);
    /* Newest first as well, but by the index that has these rows in that order. */
    assert_int_equal(fixture_plan(f, "posts", "author=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f",
                                  RESOURCE_PLAN_LIST, &plan),
                     STATUS_OK);
    assert_int_equal(plan.sort_len, 2);
    assert_ptr_equal(plan.sort[0].field, plan.info->created_at);
    assert_true(plan.sort[0].descending && plan.sort[1].descending);
    assert_int_equal(fixture_plan(f, "posts", "kind=answer", RESOURCE_PLAN_LIST, &plan), STATUS_OK);
    assert_int_equal(plan.sort_len, 1);
}

static void test_which_orders_have_an_index(void **state)
{
    static const struct {
        const char *query;
        bool want;
    } orders[] = {
        { "", true },
        { "sort=-id", true },
        { "sort=score", true },
        { "sort=-score", true },
        { "sort=-created_at", false },
        { "author=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f&sort=-created_at", true },
        { "author=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f&sort=created_at", true },
        { "author=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f&author=null&sort=created_at", false },
        { "sort=author,-created_at", true },
        { "sort=-author,created_at", true },
        { "sort=author,created_at", false },
        { "sort=kind,score", true },
        { "sort=kind,-score", false },
        { "sort=title", false },
        { "sort=author", true },
    };
    struct fixture *f = *state;
    for (unsigned i = 0; i < ARRAY_LEN(orders); i++) {
        struct resource_plan plan;
        assert_int_equal(fixture_plan(f, "posts", orders[i].query, RESOURCE_PLAN_LIST, &plan),
                         STATUS_OK);
        if (resource__sort_is_indexed(&plan) != orders[i].want)
            fail_msg("%s", orders[i].query);
    }
}

/* Two plans are the same list exactly when their contexts are. */
static void test_context_tells_lists_apart(void **state)
{
    static const char *const queries[] = {
        "",
        "sort=id",
        "sort=title",
        "sort=-title",
        "q=a",
        "q=b",
        "filter=score > 1",
        "filter=score > 2",
        "kind=answer",
        "kind=question",
        "tags=c",
        "tags=d",
        "rating=1.5",
        "author=null",
        "author=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f",
        "deleted=true",
    };
    struct fixture *f = *state;
    struct slice contexts[ARRAY_LEN(queries) + 2];
    const struct task_caller user = { .has_user = true };
    const struct slice roles[] = { SLICE_INIT("admin") };
    const struct task_caller admin = { .roles = roles, .roles_len = 1 };
    struct resource_plan plan;
    for (unsigned i = 0; i < ARRAY_LEN(queries); i++) {
        assert_int_equal(fixture_plan(f, "posts", queries[i], RESOURCE_PLAN_LIST, &plan),
                         STATUS_OK);
        contexts[i] = resource__plan_context(&plan, NULL, f->arena);
    }
    assert_int_equal(fixture_plan(f, "posts", "", RESOURCE_PLAN_LIST, &plan), STATUS_OK);
    contexts[ARRAY_LEN(queries)] = resource__plan_context(&plan, &user, f->arena);
    contexts[ARRAY_LEN(queries) + 1] = resource__plan_context(&plan, &admin, f->arena);
    for (unsigned i = 0; i < ARRAY_LEN(contexts); i++)
        for (unsigned j = i + 1; j < ARRAY_LEN(contexts); j++)
            assert_false(slice_eq(contexts[i], contexts[j]));
    assert_int_equal(fixture_plan(f, "posts", "limit=7&fields=id", RESOURCE_PLAN_LIST, &plan),
                     STATUS_OK);
    assert_true(slice_eq(resource__plan_context(&plan, NULL, f->arena), contexts[0]));
}

/* However little memory there is, the answer is a status. */
static void test_small_arenas(void **state)
{
    struct fixture *f = *state;
    struct arena *whole = f->arena;
    bool succeeded = false;
    for (size_t budget = 64; !succeeded && budget < 1 << 20; budget += 64) {
        f->arena = arena_new(NULL, budget);
        struct resource_plan plan;
        enum status st = fixture_plan(f, "posts",
                                      "fields=id,title&expand=author,comments.author&q=a \"b c\"&"
                                      "filter=score > 1&tags=c&sort=-title",
                                      RESOURCE_PLAN_LIST, &plan);
        if (st == STATUS_OK) {
            struct store_sql sql;
            const struct resource_call call = { 0 };
            store_sql_init(&sql, f->arena);
            if (resource__put_from(&sql, &call, &plan))
                resource__put_order(&sql, &plan, false);
            succeeded = store_sql_status(&sql) == STATUS_OK;
        }
        problem_clear(&f->problem);
        arena_free(f->arena);
    }
    f->arena = whole;
    assert_true(succeeded);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_parameters),
        TEST(test_all_mistakes_are_reported_with_advice),
        TEST(test_order_ends_with_id),
        TEST(test_which_orders_have_an_index),
        TEST(test_context_tells_lists_apart),
        TEST(test_small_arenas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
