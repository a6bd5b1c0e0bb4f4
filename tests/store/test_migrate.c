/*
 * Migrations: up, down and up again; what is refused; nodes that start at once; rebuilt tables.
 */
#include <pthread.h>
#include <sys/stat.h>

#include "fixture.h"

struct migrations {
    struct fixture f;
    char folder[96];
};

static int setup_migrations(void **state)
{
    struct migrations *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    fixture_folder(&m->f);
    fixture_open(&m->f, (struct store_options){ 0 });
    (void)snprintf(m->folder, sizeof(m->folder), "%s/migrations", m->f.folder);
    assert_int_equal(mkdir(m->folder, 0700), 0);
    *state = m;
    return 0;
}

static void put_file(struct migrations *m, const char *name, const char *text)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/%s", m->folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void remove_file(struct migrations *m, const char *name)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/%s", m->folder, name);
    assert_int_equal(unlink(path), 0);
}

static void put_three(struct migrations *m)
{
    put_file(m, "0001_users.up.sql",
             "-- Who is here.\n"
             "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;\n"
             "INSERT INTO users VALUES (1, 'ada'), (2, 'bob');\n");
    put_file(m, "0001_users.down.sql", "-- purlin: destructive\nDROP TABLE users;\n");
    put_file(m, "0002_posts.up.sql",
             "CREATE TABLE posts(id INTEGER PRIMARY KEY,"
             " author INTEGER REFERENCES users ON DELETE SET NULL) STRICT;\n"
             "CREATE INDEX posts_author ON posts(author);\n"
             "INSERT INTO posts VALUES (10, 1);\n");
    put_file(m, "0002_posts.down.sql", "-- purlin: destructive\nDROP TABLE posts;\n");
    put_file(m, "0003_email.up.sql", "ALTER TABLE users ADD COLUMN email TEXT;\n");
    put_file(m, "0003_email.down.sql", "ALTER TABLE users DROP COLUMN email;\n");
    put_file(m, "README.md", "not one of them");
}

static enum status up_with(struct migrations *m, struct store_migrate_options options,
                           unsigned *ret)
{
    problem_clear(&m->f.problem);
    options.folder = slice_cstr(m->folder);
    return store_migrate_up(m->f.store, &options, m->f.arena, &m->f.problem, ret);
}

static enum status down_with(struct migrations *m, struct store_migrate_options options,
                             unsigned *ret)
{
    problem_clear(&m->f.problem);
    options.folder = slice_cstr(m->folder);
    return store_migrate_down(m->f.store, &options, m->f.arena, &m->f.problem, ret);
}

static unsigned up(struct migrations *m)
{
    unsigned applied = 999;
    fixture_ok(&m->f, up_with(m, (struct store_migrate_options){ 0 }, &applied));
    return applied;
}

static void up_refused(struct migrations *m, enum status want, const char *type)
{
    unsigned applied = 0;
    assert_status(up_with(m, (struct store_migrate_options){ 0 }, &applied), want);
    if (type)
        assert_string_equal(m->f.problem.type, type);
    assert_true(m->f.problem.detail.len > 0);
}

static int64_t has_object(struct migrations *m, const char *name)
{
    char sql[200];
    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM sqlite_schema WHERE name = '%s'", name);
    return read_i64(&m->f, sql);
}

static int teardown_migrations(void **state)
{
    struct migrations *m = *state;
    void *f = calloc(1, sizeof(m->f)); /* which the fixture's teardown frees */
    assert_non_null(f);
    memcpy(f, &m->f, sizeof(m->f));
    free(m);
    return teardown(&f);
}

/* -- up and down
 * -------------------------------------------------------------------------------------- */

static void count_progress(void *arg, int64_t done, int64_t total)
{
    int64_t *seen = arg;
    assert_int_equal(done, ++*seen);
    assert_int_equal(total, 3);
}

static void test_up_down_and_up_again(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    unsigned done = 0;
    int64_t seen = 0;
    fixture_ok(&m->f,
               up_with(m,
                       (struct store_migrate_options){ .progress = count_progress, .arg = &seen },
                       &done));
    assert_int_equal(done, 3);
    assert_int_equal(seen, 3);
    assert_int_equal(up(m), 0);
    assert_int_equal(read_i64(&m->f, "SELECT count(*) FROM purlin_migrations"), 3);
    assert_int_equal(
        read_i64(&m->f, "SELECT count(*) FROM purlin_migrations WHERE length(checksum) = 64"
                        "  AND applied_at > 1600000000000000 AND name = 'email' AND number = 3"),
        1);
    assert_int_equal(read_i64(&m->f, "SELECT count(email) FROM users"), 0);

    fixture_ok(&m->f, down_with(m, (struct store_migrate_options){ 0 }, &done));
    assert_int_equal(done, 1);
    assert_status(down_with(m, (struct store_migrate_options){ .steps = 5 }, &done), STATUS_DENIED);
    assert_int_equal(done, 0);
    fixture_ok(&m->f,
               down_with(m, (struct store_migrate_options){ .steps = 5, .allow_destructive = true },
                         &done));
    assert_int_equal(done, 2);
    assert_int_equal(has_object(m, "users") + has_object(m, "posts_author"), 0);
    fixture_ok(&m->f, down_with(m, (struct store_migrate_options){ 0 }, &done));
    assert_int_equal(done, 0);

    fixture_ok(&m->f, up_with(m, (struct store_migrate_options){ .steps = 2 }, &done));
    assert_int_equal(done, 2);
    assert_int_equal(up(m), 1);
    assert_int_equal(read_i64(&m->f, "SELECT author FROM posts"), 1);
}

static void test_status_tells_all(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    fixture_ok(&m->f, up_with(m, (struct store_migrate_options){ .steps = 2 }, &(unsigned){ 0 }));
    put_file(m, "0001_users.up.sql", "SELECT 'changed'");
    remove_file(m, "0002_posts.up.sql");
    remove_file(m, "0002_posts.down.sql");
    put_file(m, "0010_end.up.sql", "SELECT 1;\r\n  -- purlin: destructive \r\n");
    put_file(m, "0010_end.down.sql", "");
    struct store_migrations all;
    fixture_ok(&m->f, store_migrations_read(m->f.store, slice_cstr(m->folder), m->f.arena,
                                            &m->f.problem, &all));
    static const struct store_migration want[] = {
        { .number = 1,
          .name = SLICE_INIT("users"),
          .applied = true,
          .on_disk = true,
          .changed = true },
        { .number = 2, .name = SLICE_INIT("posts"), .applied = true },
        { .number = 3, .name = SLICE_INIT("email"), .on_disk = true },
        { .number = 10, .name = SLICE_INIT("end"), .on_disk = true, .destructive = true },
    };
    assert_int_equal(all.len, ARRAY_LEN(want));
    for (unsigned i = 0; i < all.len; i++) {
        const struct store_migration *got = &all.items[i];
        assert_int_equal(got->number, want[i].number);
        assert_true(slice_eq(got->name, want[i].name));
        assert_int_equal(got->applied, want[i].applied);
        assert_int_equal(got->on_disk, want[i].on_disk);
        assert_int_equal(got->changed, want[i].changed);
        assert_int_equal(got->destructive, want[i].destructive);
        assert_int_equal(got->applied_us > 0, want[i].applied);
    }
}

static void test_no_folder_is_no_migrations(void **state)
{
    struct migrations *m = *state;
    (void)snprintf(m->folder, sizeof(m->folder), "/nowhere/at/all");
    assert_int_equal(up(m), 0);
    struct store_migrations all;
    fixture_ok(&m->f, store_migrations_read(m->f.store, slice_cstr(m->folder), m->f.arena,
                                            &m->f.problem, &all));
    assert_int_equal(all.len, 0);
}

/* -- refusals
 * ---------------------------------------------------------------------------------------- */

static void test_a_failed_migration_leaves_nothing(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    put_file(m, "0003_email.up.sql",
             "CREATE TABLE half(x);\nINSERT INTO half VALUES (1);\nSELECT wrong;\n");
    unsigned done = 0;
    assert_status(up_with(m, (struct store_migrate_options){ 0 }, &done), STATUS_INVALID);
    assert_int_equal(done, 2); /* those before it stand */
    assert_true(slice_find_slice(m->f.problem.detail, SLICE("0003_email.up.sql, line 3")) !=
                SIZE_MAX);
    assert_int_equal(has_object(m, "half"), 0);
    assert_int_equal(read_i64(&m->f, "SELECT count(*) FROM purlin_migrations"), 2);
    put_file(m, "0003_email.up.sql", "ALTER TABLE users ADD COLUMN email TEXT;\n");
    assert_int_equal(up(m), 1);
}

static void test_references_are_checked_before_the_commit(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    put_file(m, "0003_email.up.sql", "DELETE FROM users WHERE id = 1;\n");
    up_refused(m, STATUS_CONFLICT, "store/reference");
    assert_int_equal(read_i64(&m->f, "SELECT count(*) FROM users"), 2);
}

static void test_destruction_needs_to_be_meant(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    put_file(m, "0004_no_posts.up.sql", "-- purlin: destructive\nDROP TABLE posts;\n");
    put_file(m, "0004_no_posts.down.sql",
             "CREATE TABLE posts(id INTEGER PRIMARY KEY, author INTEGER) STRICT;\n");
    up_refused(m, STATUS_DENIED, "store/destructive");
    assert_int_equal(has_object(m, "users"), 0); /* said before the first step */
    unsigned done;
    fixture_ok(&m->f, up_with(m, (struct store_migrate_options){ .steps = 3 }, &done));
    assert_int_equal(done, 3);
    fixture_ok(&m->f,
               up_with(m, (struct store_migrate_options){ .allow_destructive = true }, &done));
    assert_int_equal(done, 1);
    assert_int_equal(has_object(m, "posts"), 0);
}

static void test_an_applied_file_must_not_change_or_go(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    assert_int_equal(up(m), 3);
    put_file(m, "0002_posts.up.sql", "SELECT 1;\n");
    up_refused(m, STATUS_CONFLICT, "store/migration-changed");
    remove_file(m, "0002_posts.up.sql");
    remove_file(m, "0002_posts.down.sql");
    up_refused(m, STATUS_CONFLICT, "store/migration-missing");
}

static void test_a_newer_database_is_refused_and_can_be_taken_back(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    assert_int_equal(up(m), 3);
    remove_file(m, "0003_email.up.sql");
    remove_file(m, "0003_email.down.sql");
    up_refused(m, STATUS_CONFLICT, "store/newer-database");
    /* The older program undoes what it does not know, by the text that the newer one left. */
    unsigned done;
    fixture_ok(&m->f, down_with(m, (struct store_migrate_options){ 0 }, &done));
    assert_int_equal(done, 1);
    assert_int_equal(up(m), 0);
}

static void test_a_corrected_down_file_is_taken_up(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    assert_int_equal(up(m), 3);
    put_file(m, "0003_email.down.sql", "ALTER TABLE users DROP COLUMN e_mail;\n");
    unsigned done;
    assert_status(down_with(m, (struct store_migrate_options){ 0 }, &done), STATUS_INVALID);
    put_file(m, "0003_email.down.sql", "ALTER TABLE users DROP COLUMN email; -- right\n");
    assert_int_equal(up(m), 0);
    assert_int_equal(
        read_i64(&m->f, "SELECT count(*) FROM purlin_migrations WHERE down LIKE '%-- right%'"), 1);
    fixture_ok(&m->f, down_with(m, (struct store_migrate_options){ 0 }, &done));
}

static void test_files_that_are_not_right(void **state)
{
    struct migrations *m = *state;
    static const char *const names[] = { "users.up.sql",      "0001-users.up.sql",
                                         "0001_users.sql",    "0001_.up.sql",
                                         "0000_users.up.sql", "9999999999_users.up.sql",
                                         "00x1_users.up.sql", "-001_users.up.sql" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        put_file(m, names[i], "");
        up_refused(m, STATUS_INVALID, "store/migration");
        remove_file(m, names[i]);
    }
    put_file(m, "0001_users.up.sql", "");
    up_refused(m, STATUS_INVALID, "store/migration"); /* no way down */
    put_file(m, "0001_users.down.sql", "");
    put_file(m, "1_posts.up.sql", "");
    up_refused(m, STATUS_INVALID, "store/migration"); /* two with one number */
    remove_file(m, "1_posts.up.sql");
    put_file(m, ".0002_editor.up.sql", "");
    assert_int_equal(up(m), 1);
    /* A folder that is a file. */
    (void)snprintf(m->folder, sizeof(m->folder), "%s", m->f.path);
    up_refused(m, STATUS_UNAVAILABLE, "store/migration");
}

static void test_a_migration_may_not_end_its_transaction(void **state)
{
    struct migrations *m = *state;
    put_file(m, "0001_x.up.sql", "CREATE TABLE x(y);\nCOMMIT;\nSELECT wrong;\n");
    put_file(m, "0001_x.down.sql", "");
    up_refused(m, STATUS_INVALID, "store/script");
    assert_int_equal(has_object(m, "x"), 0);
}

/* -- dry runs
 * ---------------------------------------------------------------------------------------- */

static void test_a_dry_run_changes_nothing_and_tries_the_way_back(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    unsigned done = 0;
    fixture_ok(&m->f, up_with(m, (struct store_migrate_options){ .dry_run = true }, &done));
    assert_int_equal(done, 3);
    assert_int_equal(has_object(m, "users") + has_object(m, "purlin_migrations"), 0);

    put_file(m, "0002_posts.down.sql", "DROP TABLE posts; CREATE TABLE left_over(x);\n");
    assert_status(up_with(m, (struct store_migrate_options){ .dry_run = true }, &done),
                  STATUS_CONFLICT);
    assert_string_equal(m->f.problem.type, "store/migration-down");
    put_file(m, "0002_posts.down.sql", "DROP TABLE post;\n");
    assert_status(up_with(m, (struct store_migrate_options){ .dry_run = true }, &done),
                  STATUS_INVALID);
    put_file(m, "0002_posts.down.sql", "DROP TABLE posts;\n");

    assert_int_equal(up(m), 3);
    const struct store_migrate_options all = { .dry_run = true,
                                               .steps = 3,
                                               .allow_destructive = true };
    fixture_ok(&m->f, down_with(m, all, &done));
    assert_int_equal(done, 3);
    assert_int_equal(read_i64(&m->f, "SELECT count(*) FROM users"), 2);
}

/* -- a table rebuilt
 * -------------------------------------------------------------------------------- */

static void test_a_rebuilt_table_keeps_references_indexes_and_triggers(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    put_file(m, "0003_email.up.sql",
             "CREATE TRIGGER users_ad AFTER DELETE ON users BEGIN"
             "  INSERT INTO posts(author) VALUES (NULL); END;\n"
             "CREATE INDEX users_name ON users(name);\n");
    put_file(m, "0003_email.down.sql", "DROP TRIGGER users_ad; DROP INDEX users_name;\n");
    put_file(m, "0004_longer.up.sql",
             "CREATE TABLE users_new(id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK "
             "(length(name) < 9)) STRICT;\n"
             "INSERT INTO users_new SELECT id, name FROM users;\n"
             "DROP TABLE users;\n"
             "ALTER TABLE users_new RENAME TO users;\n"
             "CREATE INDEX users_name ON users(name);\n"
             "CREATE TRIGGER users_ad AFTER DELETE ON users BEGIN"
             "  INSERT INTO posts(author) VALUES (NULL); END;\n");
    put_file(m, "0004_longer.down.sql", "SELECT 1;\n");
    assert_int_equal(up(m), 4);
    assert_int_equal(read_i64(&m->f, "SELECT author FROM posts"),
                     1); /* not set to NULL by the DROP */
    assert_int_equal(read_i64(&m->f, "SELECT count(*) FROM pragma_foreign_key_list('posts')"
                                     " WHERE \"table\" = 'users'"),
                     1);
    assert_int_equal(has_object(m, "users_name") + has_object(m, "users_ad"), 2);
    assert_int_equal(
        read_i64(&m->f, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
        1);
}

/* -- nodes
 * ---------------------------------------------------------------------------------------------- */

struct node {
    const struct migrations *m;
    enum status st;
    unsigned applied;
};

/* Each with a store of its own on the one file, as processes have. */
static void *start_node(void *arg)
{
    struct node *n = arg;
    struct arena *arena = arena_new(NULL, 0);
    struct problem problem = { 0 };
    struct store *store = NULL;
    const struct store_options options = { .url = slice_cstr(n->m->f.url) };
    const struct store_migrate_options migrate = { .folder = slice_cstr(n->m->folder) };
    n->st = store_open(&options, arena, &problem, &store);
    if (n->st == STATUS_OK)
        n->st = store_migrate_up(store, &migrate, arena, &problem, &n->applied);
    store_close(store);
    arena_free(arena);
    return NULL;
}

static void test_nodes_that_start_at_once_apply_each_file_once(void **state)
{
    struct migrations *m = *state;
    for (int i = 1; i <= 20; i++) {
        char name[40], text[120];
        (void)snprintf(name, sizeof(name), "%04d_t.up.sql", i);
        (void)snprintf(text, sizeof(text), "CREATE TABLE t%d(x); INSERT INTO t%d VALUES (1);", i,
                       i);
        put_file(m, name, text);
        (void)snprintf(name, sizeof(name), "%04d_t.down.sql", i);
        put_file(m, name, "SELECT 1;");
    }
    struct node nodes[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        nodes[i] = (struct node){ .m = m };
        assert_int_equal(pthread_create(&threads[i], NULL, start_node, &nodes[i]), 0);
    }
    unsigned applied = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_status(nodes[i].st, STATUS_OK);
        applied += nodes[i].applied;
    }
    assert_int_equal(applied, 20);
    assert_int_equal(read_i64(&m->f, "SELECT count(*) FROM purlin_migrations"), 20);
}

static void test_a_read_only_store_does_not_migrate(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    assert_int_equal(up(m), 3);
    fixture_close(&m->f);
    fixture_open(&m->f, (struct store_options){ .read_only = true });
    up_refused(m, STATUS_UNAVAILABLE, "store/read-only");
    struct store_migrations all;
    fixture_ok(&m->f, (problem_clear(&m->f.problem),
                       store_migrations_read(m->f.store, slice_cstr(m->folder), m->f.arena,
                                             &m->f.problem, &all)));
    assert_int_equal(all.len, 3);
}

/* Whatever the arena allows, a run ends well or leaves everything as it was. */
static void test_migrating_out_of_memory(void **state)
{
    struct migrations *m = *state;
    put_three(m);
    const struct store_migrate_options options = { .folder = slice_cstr(m->folder) };
    enum status st = STATUS_EXHAUSTED;
    int tries = 0;
    for (size_t budget = 16; st != STATUS_OK; budget += 61, tries++) {
        struct arena *arena = arena_new(NULL, budget);
        struct problem problem = { 0 };
        unsigned done = 0;
        st = store_migrate_up(m->f.store, &options, arena, &problem, &done);
        arena_free(arena);
        if (st != STATUS_OK)
            assert_true(st == STATUS_EXHAUSTED || st == STATUS_TOO_LARGE);
        int64_t lines = has_object(m, "purlin_migrations")
                            ? read_i64(&m->f, "SELECT count(*) FROM purlin_migrations")
                            : 0;
        assert_int_equal(has_object(m, "users"), lines >= 1);
        assert_int_equal(has_object(m, "posts"), lines >= 2);
    }
    assert_true(tries > 5);
    assert_int_equal(read_i64(&m->f, "SELECT count(*) FROM purlin_migrations"), 3);
}

#define MIGRATION_TEST(fn)                                                                         \
    cmocka_unit_test_setup_teardown(fn, setup_migrations, teardown_migrations)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MIGRATION_TEST(test_up_down_and_up_again),
        MIGRATION_TEST(test_status_tells_all),
        MIGRATION_TEST(test_no_folder_is_no_migrations),
        MIGRATION_TEST(test_a_failed_migration_leaves_nothing),
        MIGRATION_TEST(test_references_are_checked_before_the_commit),
        MIGRATION_TEST(test_destruction_needs_to_be_meant),
        MIGRATION_TEST(test_an_applied_file_must_not_change_or_go),
        MIGRATION_TEST(test_a_newer_database_is_refused_and_can_be_taken_back),
        MIGRATION_TEST(test_a_corrected_down_file_is_taken_up),
        MIGRATION_TEST(test_files_that_are_not_right),
        MIGRATION_TEST(test_a_migration_may_not_end_its_transaction),
        MIGRATION_TEST(test_a_dry_run_changes_nothing_and_tries_the_way_back),
        MIGRATION_TEST(test_a_rebuilt_table_keeps_references_indexes_and_triggers),
        MIGRATION_TEST(test_nodes_that_start_at_once_apply_each_file_once),
        MIGRATION_TEST(test_a_read_only_store_does_not_migrate),
        MIGRATION_TEST(test_migrating_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
