/* resource_tx_insert, for imports: rows past the validator, where only the database has a say; and
 * opening the engine. */
#include "fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "fiber/loop.h"

struct database {
    struct fixture *base;
    struct store *store;
    struct loop *loop;
    char folder[64];
    store_write_fn write;
    enum status status;
};

static int setup(void **state)
{
    struct database *d = calloc(1, sizeof(*d));
    void *base = NULL;
    fixture_setup(&base);
    d->base = base;
    (void)snprintf(d->folder, sizeof(d->folder), "/tmp/purlin-insert-XXXXXX");
    assert_non_null(mkdtemp(d->folder));
    const struct store_options options = {
        .url = arena_printf(d->base->arena, "sqlite:%s/test.db", d->folder),
        .create = true,
    };
    assert_int_equal(store_open(&options, d->base->arena, &d->base->problem, &d->store), STATUS_OK);
    struct buf schema;
    buf_init(&schema, d->base->arena, 0, 4 << 20);
    contract_sql_schema(d->base->catalog->set, &schema);
    assert_int_equal(store_script(d->store, buf_slice(&schema), d->base->arena, &d->base->problem),
                     STATUS_OK);
    assert_int_equal(loop_new(&(struct loop_options){ 0 }, &d->loop), STATUS_OK);
    assert_int_equal(store_attach(d->store, d->loop), STATUS_OK);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct database *d = *state;
    store_detach(d->store, d->loop);
    loop_free(d->loop);
    store_close(d->store);
    static const char *const files[] = { "test.db", "test.db-wal", "test.db-shm" };
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", d->folder, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(d->folder);
    void *base = d->base;
    fixture_teardown(&base);
    free(d);
    return 0;
}

static void task_main(struct task *task, void *arg)
{
    struct database *d = arg;
    d->status = store_write(task, d->store, d->write, d);
    loop_stop(d->loop);
}

static void run(struct database *d, store_write_fn write)
{
    d->write = write;
    assert_int_equal(task_spawn(d->loop, task_main, d, &(struct task_options){ .name = "test" }),
                     STATUS_OK);
    loop_run(d->loop);
}

static struct store_value *value_of(struct contract_row *row, const char *name)
{
    const struct contract_field *field = contract_field_find(row->contract, slice_cstr(name));
    assert_non_null(field);
    row->present[field->index] = true;
    return &row->values[field->column];
}

static struct contract_row new_row(struct database *d, const char *resource)
{
    struct contract_row row;
    assert_int_equal(
        contract_row_init(fixture_info(d->base, resource)->contract, d->base->arena, &row),
        STATUS_OK);
    return row;
}

static struct contract_row new_user(struct database *d, const char *name, const char *email)
{
    struct contract_row row = new_row(d, "users");
    *value_of(&row, "name") = name ? store_text(slice_cstr(name)) : store_null();
    *value_of(&row, "email") = email ? store_text(slice_cstr(email)) : store_null();
    return row;
}

static const char *first_code(struct store_tx *tx)
{
    const struct problem *problem = store_tx_problem(tx);
    return problem->fields_len ? problem->fields[0].code : "none";
}

/* Insert what must fail; says how. */
static void refused(struct store_tx *tx, const struct contract_row *row, const char *pointer,
                    const char *code)
{
    problem_clear(store_tx_problem(tx));
    assert_int_equal(resource_tx_insert(tx, row, NULL, NULL), STATUS_CONFLICT);
    assert_string_equal(first_code(tx), code);
    assert_slice(store_tx_problem(tx)->fields[0].pointer, pointer);
    problem_clear(store_tx_problem(tx));
}

static enum status write_users(struct store_tx *tx, void *arg)
{
    struct database *d = arg;
    struct contract_row ann = new_user(d, "ann", "ann@example.org");
    const struct uuid given = { { 1, 2, 3 } };
    struct uuid id = { { 0 } };
    assert_int_equal(resource_tx_insert(tx, &ann, &given, &id), STATUS_OK);
    assert_memory_equal(&id, &given, sizeof(id));
    assert_int_equal(ann.values[0].kind, STORE_NULL); /* the caller's row is left alone */

    refused(tx, &ann, "/email", "not_unique");
    struct contract_row nameless = new_user(d, NULL, NULL);
    refused(tx, &nameless, "/name", "required");
    struct contract_row empty = new_user(d, "", NULL);
    refused(tx, &empty, "/name", "check");

    struct contract_row old = new_user(d, "old", NULL);
    *value_of(&old, "created_at") = store_i64((int64_t)1500000000 * CLOCK_SECOND);
    assert_int_equal(resource_tx_insert(tx, &old, NULL, &id), STATUS_OK);
    const struct uuid fresh = uuid_v7();
    assert_true(memcmp(&id, &fresh, sizeof(id)) < 0); /* ids sort as the rows were made */
    return STATUS_OK;
}

static void test_rows_of_an_import(void **state)
{
    struct database *d = *state;
    run(d, write_users);
    assert_int_equal(d->status, STATUS_OK);
}

static enum status write_references(struct store_tx *tx, void *arg)
{
    struct database *d = arg;
    struct contract_row user = new_user(d, "ann", NULL);
    struct uuid id;
    assert_int_equal(resource_tx_insert(tx, &user, NULL, &id), STATUS_OK);
    struct store_value author = store_blob(slice_of((const char *)id.bytes, sizeof(id.bytes)));

    struct contract_row post = new_row(d, "posts");
    *value_of(&post, "author") = author;
    *value_of(&post, "body") = store_text(SLICE("hello"));
    *value_of(&post, "kind") = store_text(SLICE("question"));
    *value_of(&post, "pinned") = store_i64(0);
    *value_of(&post, "score") = store_i64(0);
    *value_of(&post, "deleted_at") = store_i64((int64_t)1600000000 * CLOCK_SECOND);
    struct uuid post_id;
    enum status st = resource_tx_insert(tx, &post, NULL, &post_id);
    if (st != STATUS_OK)
        fail_msg("%s %s", status_name(st), first_code(tx));

    *value_of(&post, "author") = store_blob(SLICE("no such user 16b"));
    refused(tx, &post, "/author", "missing_reference");
    *value_of(&post, "author") = author;
    *value_of(&post, "kind") = store_text(SLICE("riddle"));
    refused(tx, &post, "/kind", "check");

    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    st = store_tx_one(tx, SLICE("SELECT deleted_at, version, replies FROM posts"), NULL, 0, &rows);
    assert_int_equal(st, STATUS_OK);
    assert_int_equal(store_rows_i64(rows, 0), (int64_t)1600000000 * CLOCK_SECOND);
    assert_int_equal(store_rows_i64(rows, 1), 1);
    assert_int_equal(store_rows_i64(rows, 2), 0);
    return STATUS_OK;
}

static void test_references_of_an_import(void **state)
{
    struct database *d = *state;
    run(d, write_references);
    assert_int_equal(d->status, STATUS_OK);
}

/* An import of many rows in one transaction takes no more memory than one of few. */
static enum status write_many(struct store_tx *tx, void *arg)
{
    struct database *d = arg;
    struct contract_row user = new_user(d, "one of many", NULL);
    assert_int_equal(resource_tx_insert(tx, &user, NULL, NULL), STATUS_OK);
    size_t before = arena_used(store_tx_arena(tx));
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(resource_tx_insert(tx, &user, NULL, NULL), STATUS_OK);
    assert_int_equal(arena_used(store_tx_arena(tx)), before);
    return STATUS_OK;
}

static void test_many_rows_take_no_memory(void **state)
{
    struct database *d = *state;
    run(d, write_many);
    assert_int_equal(d->status, STATUS_OK);
}

static void test_opening(void **state)
{
    struct database *d = *state;
    struct http_app *app = NULL;
    assert_int_equal(http_app_new(&(struct http_options){ 0 }, &app), STATUS_OK);
    struct contract_set *set = d->base->catalog->set;
    struct resource_options options = { .store = d->store, .secret = SLICE("short") };
    struct resource_engine *engine = NULL;
    struct problem problem = { 0 };
    assert_int_equal(resource_open(app, set, &options, d->base->arena, &problem, &engine),
                     STATUS_INVALID);
    assert_null(engine);

    options.secret = SLICE("sixteen bytes at least");
    struct contract_set *other = NULL, *third = NULL;
    struct diag diag;
    diag_init(&diag, d->base->arena);
    for (struct contract_set **at = &other; at; at = at == &other ? &third : NULL)
        assert_int_equal(contract_set_parse(fixture_sources, ARRAY_LEN(fixture_sources), &diag, at),
                         STATUS_OK);
    problem_clear(&problem);
    assert_int_equal(resource_open(app, other, &options, d->base->arena, &problem, &engine),
                     STATUS_OK);
    struct contract_set *held = resource_set_hold(engine);
    assert_ptr_equal(held, other);
    resource_reload(engine, third);
    struct contract_set *now = resource_set_hold(engine);
    assert_ptr_equal(now, third);
    assert_non_null(contract_find(held, SLICE("posts"))); /* replaced, but still whole */
    resource_set_release(engine, held);
    resource_set_release(engine, now);

    struct resource_engine *again = NULL; /* its routes are taken */
    assert_int_not_equal(resource_open(app, set, &options, d->base->arena, &problem, &again),
                         STATUS_OK);
    assert_null(again);
    resource_close(engine);
    resource_close(NULL);
    http_app_free(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows_of_an_import, setup, teardown),
        cmocka_unit_test_setup_teardown(test_references_of_an_import, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_rows_take_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_opening, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
