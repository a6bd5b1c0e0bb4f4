/* What SQLite does with the statements of lists: each walks the index that was made for it, and
 * starts at the cursor's place. */
#include "fixture.h"

#include <stdlib.h>
#include <unistd.h>

struct explained {
    struct fixture *base;
    struct store *store;
    char folder[64];
    struct buf plan;
};

static int setup(void **state)
{
    struct explained *e = calloc(1, sizeof(*e));
    void *base = NULL;
    fixture_setup(&base);
    e->base = base;
    (void)snprintf(e->folder, sizeof(e->folder), "/tmp/purlin-explain-XXXXXX");
    assert_non_null(mkdtemp(e->folder));
    const struct store_options options = {
        .url = arena_printf(e->base->arena, "sqlite:%s/test.db", e->folder),
        .create = true,
    };
    assert_int_equal(store_open(&options, e->base->arena, &e->base->problem, &e->store), STATUS_OK);
    struct buf schema;
    buf_init(&schema, e->base->arena, 0, 4 << 20);
    contract_sql_schema(e->base->catalog->set, &schema);
    enum status st = store_script(e->store, buf_slice(&schema), e->base->arena, &e->base->problem);
    if (st != STATUS_OK)
        fail_msg("%.*s %.*s", SLICE_ARG(e->base->problem.detail),
                 SLICE_ARG(e->base->problem.cause));
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    struct explained *e = *state;
    store_close(e->store);
    static const char *const files[] = { "test.db", "test.db-wal", "test.db-shm" };
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", e->folder, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(e->folder);
    void *base = e->base;
    fixture_teardown(&base);
    free(e);
    return 0;
}

static enum status take_line(void *arg, struct store_rows *rows)
{
    struct explained *e = arg;
    buf_put_slice(&e->plan, store_rows_bytes(rows, 3));
    buf_putc(&e->plan, '\n');
    return STATUS_OK;
}

static void explain(struct explained *e, const struct store_sql *sql)
{
    buf_init(&e->plan, e->base->arena, 0, 1 << 20);
    struct slice text =
        arena_printf(e->base->arena, "EXPLAIN QUERY PLAN %.*s", SLICE_ARG(buf_slice(&sql->text)));
    enum status st = store_read_blocking(e->store, text, sql->values, sql->values_len,
                                         e->base->arena, &e->base->problem, take_line, e);
    if (st != STATUS_OK)
        fail_msg("%.*s: %.*s", SLICE_ARG(text), SLICE_ARG(e->base->problem.cause));
}

static const struct uuid user = { { 1 } };

static const struct {
    const char *query;
    bool has_cursor, backward;
    const char *want, *unwanted;
} lists[] = {
    { "", false, false, "SCAN t USING INDEX", "TEMP B-TREE" },
    { "", true, false, "SEARCH t USING INDEX", "TEMP B-TREE" },
    { "author=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f&sort=-created_at", false, false,
      "SEARCH t USING INDEX posts__by_author_created_at (author=?)", "TEMP B-TREE" },
    { "author=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f&sort=-created_at", true, false,
      "SEARCH t USING INDEX posts__by_author_created_at (author=? AND", "TEMP B-TREE" },
    { "author=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f&sort=-created_at", true, true,
      "SEARCH t USING INDEX posts__by_author_created_at (author=? AND", "TEMP B-TREE" },
    { "author=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f&sort=created_at", true, false,
      "SEARCH t USING INDEX posts__by_author_created_at (author=? AND", "TEMP B-TREE" },
    { "author=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f", false, false,
      "SEARCH t USING INDEX posts__by_author_created_at (author=?)", "TEMP B-TREE" },
    { "sort=-score", false, false, "SCAN t USING INDEX posts__by_score", "TEMP B-TREE" },
    { "sort=-score", true, false, "SEARCH t USING INDEX posts__by_score", "TEMP B-TREE" },
    { "sort=score", true, true, "SEARCH t USING INDEX posts__by_score", "TEMP B-TREE" },
    { "sort=kind,score", true, false, "SEARCH t USING INDEX posts__by_kind_score", "TEMP B-TREE" },
    { "kind=answer&sort=-score", true, false, "SEARCH t USING INDEX posts__by_kind_score (kind=?",
      "TEMP B-TREE" },
    { "id=0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f", false, false, "(id=?)", "SCAN" },
    { "q=hello", false, false, "VIRTUAL TABLE", "SCAN t" },
};

static void test_lists_walk_their_index(void **state)
{
    struct explained *e = *state;
    const struct task_caller caller = { .has_user = true, .user = user };
    const struct resource_call call = { .context = { .caller = &caller } };
    for (unsigned i = 0; i < ARRAY_LEN(lists); i++) {
        struct resource_plan plan;
        assert_int_equal(fixture_plan(e->base, "posts", lists[i].query, RESOURCE_PLAN_LIST, &plan),
                         STATUS_OK);
        const struct resource_cursor cursor = { .backward = lists[i].backward,
                                                .len = plan.sort_len,
                                                .keys = { store_i64(1), store_i64(2),
                                                          store_i64(3) } };
        struct store_sql sql;
        store_sql_init(&sql, e->base->arena);
        store_sql_lit(&sql, "SELECT ");
        store_sql_put(&sql, plan.info->shown.select);
        assert_true(resource__put_from(&sql, &call, &plan));
        if (lists[i].has_cursor)
            resource__put_keyset(&sql, &plan, &cursor);
        resource__put_order(&sql, &plan, lists[i].backward);
        store_sql_lit(&sql, " LIMIT 21");
        explain(e, &sql);
        struct slice got = buf_slice(&e->plan);
        if (slice_find_slice(got, slice_cstr(lists[i].want)) == SIZE_MAX ||
            slice_find_slice(got, slice_cstr(lists[i].unwanted)) != SIZE_MAX)
            fail_msg("%s (cursor %d, backward %d):\n%.*s", lists[i].query, lists[i].has_cursor,
                     lists[i].backward, SLICE_ARG(got));
    }
}

static void test_child_lists_seek_for_each_parent(void **state)
{
    struct explained *e = *state;
    const struct task_caller caller = { .has_user = true, .user = user };
    const struct resource_call call = { .context = { .caller = &caller } };
    struct resource_plan plan;
    assert_int_equal(fixture_plan(e->base, "posts", "expand=comments", RESOURCE_PLAN_LIST, &plan),
                     STATUS_OK);
    const struct slice ids[] = { SLICE("0123456789abcdef"), SLICE("0123456789abcdeg") };
    struct store_sql sql;
    store_sql_init(&sql, e->base->arena);
    assert_true(resource__put_children(&sql, &call, plan.info, plan.expand, ids, ARRAY_LEN(ids)));
    explain(e, &sql);
    struct slice got = buf_slice(&e->plan);
    static const char *const wanted[] = { "SEARCH p USING", "SEARCH t USING INTEGER PRIMARY KEY",
                                          "SEARCH c USING", "(post=?" };
    for (unsigned i = 0; i < ARRAY_LEN(wanted); i++)
        if (slice_find_slice(got, slice_cstr(wanted[i])) == SIZE_MAX)
            fail_msg("%s is not in:\n%.*s", wanted[i], SLICE_ARG(got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lists_walk_their_index, setup, teardown),
        cmocka_unit_test_setup_teardown(test_child_lists_seek_for_each_parent, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
