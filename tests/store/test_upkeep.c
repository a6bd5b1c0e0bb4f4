/*
 * Upkeep: checks, backups taken while others write, restores, checkpoints.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "fixture.h"

struct upkeep {
    struct fixture f;
    struct offload *offload;
    char copy[96];
    bool stop;
    unsigned writers;
    int64_t written;
};

static int setup_upkeep_with(void **state, struct store_options options)
{
    struct upkeep *u = calloc(1, sizeof(*u));
    assert_non_null(u);
    fixture_folder(&u->f);
    assert_status(loop_new(NULL, &u->f.loop), STATUS_OK);
    assert_status(offload_new(2, 8, &u->offload), STATUS_OK);
    loop_offload_set(u->f.loop, u->offload);
    fixture_open(&u->f, options);
    (void)snprintf(u->copy, sizeof(u->copy), "%s/copy.db", u->f.folder);
    script(&u->f,
           "CREATE TABLE t(id INTEGER PRIMARY KEY, a BLOB, b INTEGER) STRICT;"
           "CREATE TABLE log(id INTEGER PRIMARY KEY, t INTEGER NOT NULL REFERENCES t) STRICT;"
           "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
           " INSERT INTO t SELECT i, randomblob(600), 0 FROM n");
    *state = u;
    return 0;
}

static int setup_upkeep(void **state)
{
    return setup_upkeep_with(state, (struct store_options){ 0 });
}

static int teardown_upkeep(void **state)
{
    struct upkeep *u = *state;
    void *f = calloc(1, sizeof(u->f)); /* which the fixture's teardown frees */
    assert_non_null(f);
    memcpy(f, &u->f, sizeof(u->f));
    offload_free(u->offload);
    free(u);
    return teardown(&f);
}

/* -- what a file holds
 * -------------------------------------------------------------------------------- */

struct digest {
    unsigned char bytes[crypto_hash_sha256_BYTES];
};

/* Of every row of every table, in order. */
static struct digest hash_tables(const char *path)
{
    struct digest d;
    crypto_hash_sha256_state hash;
    sqlite3 *db;
    sqlite3_stmt *stmt;
    (void)crypto_hash_sha256_init(&hash);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    static const char *const sqls[] = { "SELECT * FROM t ORDER BY id",
                                        "SELECT * FROM log ORDER BY id",
                                        "SELECT type, name, sql FROM sqlite_schema ORDER BY name" };
    for (size_t i = 0; i < ARRAY_LEN(sqls); i++) {
        assert_int_equal(sqlite3_prepare_v2(db, sqls[i], -1, &stmt, NULL), SQLITE_OK);
        while (sqlite3_step(stmt) == SQLITE_ROW) {
            for (int c = 0; c < sqlite3_column_count(stmt); c++) {
                const void *bytes = sqlite3_column_blob(stmt, c);
                int len = sqlite3_column_bytes(stmt, c);
                (void)crypto_hash_sha256_update(&hash, (const unsigned char *)&len, sizeof(len));
                (void)crypto_hash_sha256_update(&hash, bytes, (unsigned long long)len);
            }
        }
        assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    (void)crypto_hash_sha256_final(&hash, d.bytes);
    return d;
}

static struct digest hash_file(const char *path)
{
    struct digest d;
    crypto_hash_sha256_state hash;
    unsigned char block[2048];
    (void)crypto_hash_sha256_init(&hash);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t n; (n = fread(block, 1, sizeof(block), file)) > 0;)
        (void)crypto_hash_sha256_update(&hash, block, n);
    assert_int_equal(fclose(file), 0);
    (void)crypto_hash_sha256_final(&hash, d.bytes);
    return d;
}

static bool same(struct digest a, struct digest b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static int64_t read_file_i64(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

static unsigned files_in(const char *folder)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    assert_int_equal(closedir(dir), 0);
    return n;
}

/* The bytes of a file, kept while the file itself is gone. */
struct bytes {
    char *data;
    size_t len;
};

static struct bytes read_bytes(const char *path, const char *suffix)
{
    char name[200];
    (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    struct bytes b = { malloc(1 << 23), 0 };
    assert_non_null(b.data);
    b.len = fread(b.data, 1, 1 << 23, file);
    assert_true(b.len < 1 << 23);
    assert_int_equal(fclose(file), 0);
    return b;
}

static void write_bytes(const char *path, const char *suffix, struct bytes b)
{
    char name[200];
    (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(b.data, 1, b.len, file), b.len);
    assert_int_equal(fclose(file), 0);
    free(b.data);
}

static void damage(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(fputc(0xa5, file), 0xa5);
    assert_int_equal(fclose(file), 0);
}

/* -- check
 * --------------------------------------------------------------------------------------------- */

static void check_sound(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    struct buf report;
    buf_init(&report, task_arena(task), 0, 1 << 20);
    assert_status(store_check(task, u->f.store, &report), STATUS_NOT_FOUND);
    assert_int_equal(report.len, 0);
}

static void check_dangling(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    struct buf report;
    buf_init(&report, task_arena(task), 0, 1 << 20);
    assert_status(store_check(task, u->f.store, &report), STATUS_OK);
    assert_true(
        slice_eq(buf_slice(&report),
                 SLICE("reference: row 1 of log refers to a row of t that does not exist\n")));
}

static void check_damaged(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    struct buf report;
    buf_init(&report, task_arena(task), 0, 1 << 20);
    assert_status(store_check(task, u->f.store, &report), STATUS_OK);
    assert_true(slice_starts(buf_slice(&report), SLICE("integrity: ")));
}

static void test_check_finds_what_is_wrong(void **state)
{
    struct upkeep *u = *state;
    run_task(&u->f, check_sound, u);
    /* As an older program without references might have left it. */
    sqlite3 *db;
    assert_int_equal(sqlite3_open(u->f.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "INSERT INTO log VALUES (1, 99999)", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    run_task(&u->f, check_dangling, u);
    fixture_close(&u->f); /* the WAL goes into the file */
    damage(u->f.path, 4096L * 20);
    fixture_open(&u->f, (struct store_options){ 0 });
    run_task(&u->f, check_damaged, u);
}

/* A backup of a damaged database is none. */
static void back_up_damaged(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    assert_status(store_backup(task, u->f.store, slice_cstr(u->copy), NULL, NULL), STATUS_INVALID);
    assert_string_equal(task_problem(task)->type, "store/corrupt");
}

static void test_a_damaged_database_is_not_backed_up(void **state)
{
    struct upkeep *u = *state;
    fixture_close(&u->f);
    damage(u->f.path, 4096L * 20);
    fixture_open(&u->f, (struct store_options){ 0 });
    run_task(&u->f, back_up_damaged, u);
    assert_int_equal(access(u->copy, F_OK), -1);
    unsigned others = access(u->f.path, F_OK) == 0 ? 3 : 0; /* with WAL and its index */
    assert_int_equal(files_in(u->f.folder), others);
}

/* -- backup
 * ---------------------------------------------------------------------------------------------- */

/* Both tables in one write: a copy with one and not the other would be no snapshot. */
static enum status write_both(struct store_tx *tx, void *arg)
{
    (void)arg;
    enum status st =
        store_tx_exec(tx, SLICE("INSERT INTO t(a, b) VALUES (randomblob(900), 1)"), NULL, 0, NULL);
    if (st == STATUS_OK)
        st = store_tx_exec(tx, SLICE("INSERT INTO log(t) SELECT max(id) FROM t"), NULL, 0, NULL);
    if (st == STATUS_OK)
        st = store_tx_exec(
            tx, SLICE("UPDATE t SET a = randomblob(600) WHERE id = 1 + abs(random()) % 2000"), NULL,
            0, NULL);
    return st;
}

static void write_on(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    while (!u->stop) {
        task_ok(task, store_write(task, u->f.store, write_both, NULL));
        u->written++;
    }
    u->writers--;
}

static void count_pages(void *arg, int64_t done, int64_t total)
{
    int64_t *last = arg;
    assert_true(done >= last[0] && done <= total);
    last[0] = done;
    last[1] = total;
}

static void back_up(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    for (int i = 0; i < 3; i++) {
        int64_t pages[2] = { 0 };
        int64_t before = u->written;
        task_ok(task, store_backup(task, u->f.store, slice_cstr(u->copy), count_pages, pages));
        assert_true(pages[1] > 0 && pages[0] == pages[1]);
        int64_t copied = read_file_i64(u->copy, "SELECT count(*) FROM log");
        assert_true(copied >= before);
        assert_int_equal(read_file_i64(u->copy, "SELECT count(*) FROM t"), 2000 + copied);
        assert_int_equal(read_file_i64(u->copy, "SELECT count(*) FROM pragma_integrity_check"
                                                " WHERE integrity_check = 'ok'"),
                         1);
        /* Time goes by, and more is written. */
        int64_t until = u->written + 20;
        while (u->written < until)
            assert_status(task_sleep(task, CLOCK_MS), STATUS_OK);
    }
    /* Nobody writes now: the copy and the database are the same, row for row. */
    u->stop = true;
    while (u->writers > 0)
        assert_status(task_sleep(task, CLOCK_MS), STATUS_OK);
    task_ok(task, store_backup(task, u->f.store, slice_cstr(u->copy), NULL, NULL));
}

static void test_a_backup_is_a_snapshot_while_others_write(void **state)
{
    struct upkeep *u = *state;
    u->writers = 4;
    for (int i = 0; i < 4; i++)
        spawn(&u->f, write_on, u);
    run_task(&u->f, back_up, u);
    assert_true(same(hash_tables(u->copy), hash_tables(u->f.path)));
    struct stat info;
    assert_int_equal(stat(u->copy, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void back_up_wrongly(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    assert_status(store_backup(task, u->f.store, SLICE(""), NULL, NULL), STATUS_INVALID);
    problem_clear(task_problem(task));
    assert_status(store_backup(task, u->f.store, slice_cstr(u->f.path), NULL, NULL),
                  STATUS_INVALID);
    problem_clear(task_problem(task));
    assert_status(store_backup(task, u->f.store, SLICE("/nowhere/at/all/x.db"), NULL, NULL),
                  STATUS_UNAVAILABLE);
    assert_string_equal(task_problem(task)->type, "store/io");
}

static void test_a_backup_needs_a_place(void **state)
{
    struct upkeep *u = *state;
    run_task(&u->f, back_up_wrongly, u);
    assert_int_equal(read_i64(&u->f, "SELECT count(*) FROM t"), 2000);
}

/* -- restore
 * ---------------------------------------------------------------------------------------------- */

static void back_up_once(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    task_ok(task, store_backup(task, u->f.store, slice_cstr(u->copy), NULL, NULL));
    task_ok(task, store_write(task, u->f.store, write_both, NULL));
}

static enum status restore(struct upkeep *u, const char *from)
{
    int64_t bytes[2] = { 0 };
    problem_clear(&u->f.problem);
    enum status st = store_restore(slice_cstr(u->f.url), slice_cstr(from), u->f.arena,
                                   &u->f.problem, count_pages, bytes);
    if (st == STATUS_OK)
        assert_true(bytes[0] > 0 && bytes[0] == bytes[1]);
    else
        assert_true(u->f.problem.detail.len > 0);
    return st;
}

static void test_a_restore_gives_the_backups_bytes(void **state)
{
    struct upkeep *u = *state;
    run_task(&u->f, back_up_once, u);
    struct digest copy = hash_file(u->copy), now = hash_tables(u->f.path);

    assert_status(restore(u, u->copy), STATUS_UNAVAILABLE); /* it is open */
    assert_string_equal(u->f.problem.type, "store/busy");
    assert_true(same(hash_tables(u->f.path), now));
    fixture_close(&u->f);

    sqlite3 *other; /* any program that reads it is in the way */
    assert_int_equal(sqlite3_open(u->f.path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "SELECT count(*) FROM t", NULL, NULL, NULL), SQLITE_OK);
    assert_status(restore(u, u->copy), STATUS_UNAVAILABLE);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);

    fixture_ok(&u->f, restore(u, u->copy));
    assert_true(same(hash_file(u->f.path), copy));
    assert_int_equal(files_in(u->f.folder), 2); /* no WAL of the old one, no part */
    fixture_open(&u->f, (struct store_options){ 0 });
    assert_int_equal(read_i64(&u->f, "SELECT count(*) FROM log"), 0);
}

static void test_a_wal_left_by_a_crash_is_not_replayed_into_the_restored(void **state)
{
    struct upkeep *u = *state;
    run_task(&u->f, back_up_once, u);
    /* What a kill leaves: the file, and a WAL with frames in it. (Closing these files gives up this
     * process's locks on them, which nobody contests here.) */
    struct bytes file = read_bytes(u->f.path, ""), wal = read_bytes(u->f.path, "-wal");
    assert_true(wal.len > 0);
    struct digest copy = hash_file(u->copy);
    fixture_close(&u->f);
    write_bytes(u->f.path, "", file);
    write_bytes(u->f.path, "-wal", wal);
    fixture_ok(&u->f, restore(u, u->copy));
    assert_true(same(hash_file(u->f.path), copy));
    assert_int_equal(files_in(u->f.folder), 2);
}

static void test_a_restore_over_nothing_and_over_ruins(void **state)
{
    struct upkeep *u = *state;
    run_task(&u->f, back_up_once, u);
    struct digest copy = hash_file(u->copy);
    fixture_close(&u->f);
    assert_int_equal(unlink(u->f.path), 0);
    fixture_ok(&u->f, restore(u, u->copy));
    assert_true(same(hash_file(u->f.path), copy));
    damage(u->f.path, 0);
    fixture_ok(&u->f, restore(u, u->copy));
    assert_true(same(hash_file(u->f.path), copy));
}

static void test_what_is_no_backup_is_not_restored(void **state)
{
    struct upkeep *u = *state;
    run_task(&u->f, back_up_once, u);
    fixture_close(&u->f);
    struct digest now = hash_file(u->f.path);
    assert_status(restore(u, ""), STATUS_INVALID);
    assert_status(restore(u, u->f.path), STATUS_INVALID);
    assert_status(restore(u, "/nowhere/at/all"), STATUS_UNAVAILABLE);
    damage(u->copy, 4096L * 20);
    assert_status(restore(u, u->copy), STATUS_INVALID);
    damage(u->copy, 0);
    assert_status(restore(u, u->copy), STATUS_INVALID);
    problem_clear(&u->f.problem);
    assert_status(
        store_restore(SLICE("sqlite:"), slice_cstr(u->copy), u->f.arena, &u->f.problem, NULL, NULL),
        STATUS_INVALID);
    assert_true(same(hash_file(u->f.path), now));
    assert_int_equal(files_in(u->f.folder), 2);
}

/* -- checkpoints
 * --------------------------------------------------------------------------------------------- */

#define SMALL_WAL 200000

static int setup_small_wal(void **state)
{
    return setup_upkeep_with(state, (struct store_options){ .wal_bytes_max = SMALL_WAL });
}

static void write_much(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    for (int i = 0; i < 400; i++)
        task_ok(task, store_write(task, u->f.store, write_both, NULL));
    u->writers--;
}

static int64_t wal_size(const struct upkeep *u)
{
    char path[120];
    (void)snprintf(path, sizeof(path), "%s-wal", u->f.path);
    struct stat info;
    return stat(path, &info) == 0 ? info.st_size : 0;
}

static void test_the_wal_is_begun_anew_under_writes(void **state)
{
    struct upkeep *u = *state;
    u->writers = 4;
    for (int i = 0; i < 4; i++)
        spawn(&u->f, write_much, u);
    run_to_end(&u->f);
    /* 1600 writes of some pages each are tens of megabytes; the file stays within a few times its
     * limit. */
    print_message("WAL of %lld bytes\n", (long long)wal_size(u));
    assert_true(wal_size(u) < 20 * SMALL_WAL);
    assert_int_equal(read_i64(&u->f, "SELECT count(*) FROM log"), 1600);
}

/* Reads whose rows are open when the loop's turn ends, and that follow each other at once: there is
 * always a snapshot, though never an old one. */
static void read_on(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    struct store_rows *rows;
    while (u->writers > 0) {
        task_ok(task, store_one(task, u->f.store, SLICE("SELECT count(*) FROM t"), NULL, 0, &rows));
        assert_status(task_yield(task), STATUS_OK);
        store_rows_close(rows);
    }
}

static void test_the_wal_is_begun_anew_under_writes_and_reads(void **state)
{
    struct upkeep *u = *state;
    u->writers = 4;
    for (int i = 0; i < 4; i++)
        spawn(&u->f, write_much, u);
    for (int i = 0; i < 3; i++)
        spawn(&u->f, read_on, u);
    run_to_end(&u->f);
    print_message("WAL of %lld bytes\n", (long long)wal_size(u));
    assert_true(wal_size(u) < 20 * SMALL_WAL);
}

/* More than what the fixture's rows have put there. */
#define CALM_WAL 3000000

static int setup_calm_wal(void **state)
{
    return setup_upkeep_with(state, (struct store_options){ .wal_bytes_max = CALM_WAL });
}

/* From the limit on, the pause after each write is long enough to copy what came before. */
static void write_with_pauses(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    struct store_stats stats = { 0 };
    int64_t before;
    do {
        before = stats.wal_bytes;
        task_ok(task, store_write(task, u->f.store, write_both, NULL));
        store_stats_read(u->f.store, &stats);
        if (stats.wal_bytes > CALM_WAL)
            assert_status(task_sleep(task, 20 * CLOCK_MS), STATUS_OK);
    } while (stats.wal_bytes >= before);
    /* Writes are held up for it only from four times the limit on. */
    assert_in_range(before, CALM_WAL, 4 * CALM_WAL);
}

static void test_the_wal_is_begun_anew_without_holding_up_writes(void **state)
{
    struct upkeep *u = *state;
    run_task(&u->f, write_with_pauses, u);
}

static void read_slowly(struct task *task, void *arg)
{
    struct upkeep *u = arg;
    struct store_rows *rows;
    task_ok(task,
            store_query(task, u->f.store, SLICE("SELECT id FROM t ORDER BY id"), NULL, 0, &rows));
    int64_t seen = 0;
    while (store_rows_next(rows) == STATUS_OK) {
        seen++;
        if (u->writers > 0)
            assert_status(task_sleep(task, CLOCK_MS), STATUS_OK);
    }
    store_rows_close(rows);
    assert_int_equal(seen, 2000); /* as when it began */
}

static void test_a_scan_keeps_its_snapshot_over_checkpoints(void **state)
{
    struct upkeep *u = *state;
    spawn(&u->f, read_slowly, u);
    u->writers = 2;
    for (int i = 0; i < 2; i++)
        spawn(&u->f, write_much, u);
    spawn(&u->f, read_slowly, u);
    run_to_end(&u->f);
    assert_int_equal(read_i64(&u->f, "SELECT count(*) FROM log"), 800);
    /* Once the scan is over the WAL can be begun anew; the next writes ask for it. */
    u->writers = 1;
    run_task(&u->f, write_much, u);
    struct store_stats stats;
    store_stats_read(u->f.store, &stats);
    assert_true(stats.wal_bytes < 200000 * 20);
}

#define UPKEEP_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_upkeep, teardown_upkeep)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UPKEEP_TEST(test_check_finds_what_is_wrong),
        UPKEEP_TEST(test_a_damaged_database_is_not_backed_up),
        UPKEEP_TEST(test_a_backup_is_a_snapshot_while_others_write),
        UPKEEP_TEST(test_a_backup_needs_a_place),
        UPKEEP_TEST(test_a_restore_gives_the_backups_bytes),
        UPKEEP_TEST(test_a_wal_left_by_a_crash_is_not_replayed_into_the_restored),
        UPKEEP_TEST(test_a_restore_over_nothing_and_over_ruins),
        UPKEEP_TEST(test_what_is_no_backup_is_not_restored),
        cmocka_unit_test_setup_teardown(test_the_wal_is_begun_anew_under_writes, setup_small_wal,
                                        teardown_upkeep),
        cmocka_unit_test_setup_teardown(test_the_wal_is_begun_anew_under_writes_and_reads,
                                        setup_small_wal, teardown_upkeep),
        cmocka_unit_test_setup_teardown(test_the_wal_is_begun_anew_without_holding_up_writes,
                                        setup_calm_wal, teardown_upkeep),
        cmocka_unit_test_setup_teardown(test_a_scan_keeps_its_snapshot_over_checkpoints,
                                        setup_small_wal, teardown_upkeep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
