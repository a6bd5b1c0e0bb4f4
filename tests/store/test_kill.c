/*
 * SIGKILL at random moments: what was acknowledged is there, nothing is there by half, the file is
 * sound. The program runs itself as the child that writes ("child URL").
 */
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <time.h>

#include "base/id.h"
#include "fixture.h"

enum { ROUNDS = 25, WRITERS = 16, SEEN_MAX = 1 << 20 };

/* -- the child
 * ------------------------------------------------------------------------------------- */

struct child {
    struct store *store;
    int64_t next;
};

struct pair {
    int64_t id;
};

/* Both rows or none; every seventh write changes its mind and must leave nothing. */
static enum status write_pair(struct store_tx *tx, void *arg)
{
    const struct pair *p = arg;
    const struct store_value values[] = { store_i64(p->id), store_i64(0) };
    enum status st =
        store_tx_exec(tx, SLICE("INSERT INTO t(pair, half) VALUES ($1, $2)"), values, 2, NULL);
    const struct store_value other[] = { store_i64(p->id), store_i64(1) };
    if (st == STATUS_OK)
        st = store_tx_exec(tx, SLICE("INSERT INTO t(pair, half) VALUES ($1, $2)"), other, 2, NULL);
    return st == STATUS_OK && p->id % 7 == 0 ? STATUS_DENIED : st;
}

static void child_write(struct task *task, void *arg)
{
    struct child *c = arg;
    for (;;) {
        struct pair p = { c->next++ };
        enum status st = store_write(task, c->store, write_pair, &p);
        /* Only now is it said to the world. */
        if (st == STATUS_OK && write(STDOUT_FILENO, &p.id, sizeof(p.id)) != sizeof(p.id))
            _exit(1);
        if (st != STATUS_OK && st != STATUS_DENIED)
            _exit(2);
    }
}

static enum status child_next(void *arg, struct store_rows *rows)
{
    *(int64_t *)arg = store_rows_i64(rows, 0) + 1;
    return STATUS_OK;
}

static int child_main(const char *url)
{
    struct child c = { .next = 1 };
    struct loop *loop;
    struct arena *arena = arena_new(NULL, 0);
    struct problem problem = { 0 };
    /* A small WAL, so that many checkpoints are interrupted as well. */
    const struct store_options options = { .url = slice_cstr(url),
                                           .create = true,
                                           .wal_bytes_max = 200000 };
    if (loop_new(NULL, &loop) != STATUS_OK ||
        store_open(&options, arena, &problem, &c.store) != STATUS_OK ||
        store_script(
            c.store,
            SLICE("CREATE TABLE IF NOT EXISTS t("
                  "  pair INTEGER NOT NULL, half INTEGER NOT NULL, PRIMARY KEY (pair, half)"
                  ") STRICT"),
            arena, &problem) != STATUS_OK ||
        store_attach(c.store, loop) != STATUS_OK ||
        store_read_blocking(c.store, SLICE("SELECT coalesce(max(pair), 0) FROM t"), NULL, 0, arena,
                            &problem, child_next, &c.next) != STATUS_OK)
        return 3;
    for (int i = 0; i < WRITERS; i++) {
        if (task_spawn(loop, child_write, &c, NULL) != STATUS_OK)
            return 4;
    }
    loop_run(loop);
    return 5;
}

/* -- the parent
 * --------------------------------------------------------------------------------------- */

static const char *self;
static int64_t acknowledged[SEEN_MAX];
static size_t acknowledged_len;

static pid_t start_child(const char *url, int *ret_fd)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (dup2(ends[1], STDOUT_FILENO) < 0)
            _exit(6);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execl(self, self, "child", url, (char *)NULL);
        _exit(7);
    }
    (void)close(ends[1]);
    *ret_fd = ends[0];
    return pid;
}

/* Read acknowledgements until `until_us` (0: to the end). */
static void listen_to(int fd)
{
    int64_t id;
    size_t have = 0;
    for (;;) {
        ssize_t n = read(fd, (char *)&id + have, sizeof(id) - have);
        if (n <= 0)
            break;
        have += (size_t)n;
        if (have == sizeof(id)) {
            assert_true(acknowledged_len < SEEN_MAX);
            acknowledged[acknowledged_len++] = id;
            have = 0;
        }
    }
    (void)close(fd);
}

static void one_round(const char *url)
{
    int fd;
    pid_t pid = start_child(url, &fd);
    int64_t first;
    assert_int_equal(read(fd, &first, sizeof(first)), sizeof(first)); /* it is at work */
    acknowledged[acknowledged_len++] = first;
    const struct timespec pause = { .tv_nsec = (long)(random_fast() % 40000000) };
    (void)nanosleep(&pause, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    listen_to(fd);
    int outcome;
    assert_int_equal(waitpid(pid, &outcome, 0), pid);
    assert_true(WIFSIGNALED(outcome) && WTERMSIG(outcome) == SIGKILL);
}

static void check_acknowledged(const char *path)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT count(*) FROM t WHERE pair = ?1", -1, &stmt, NULL),
        SQLITE_OK);
    for (size_t i = 0; i < acknowledged_len; i++) {
        assert_int_equal(sqlite3_bind_int64(stmt, 1, acknowledged[i]), SQLITE_OK);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(stmt, 0), 2);
        assert_int_equal(sqlite3_reset(stmt), SQLITE_OK);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static void test_a_kill_loses_nothing_acknowledged(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < ROUNDS; i++) {
        one_round(f->url);
        fixture_open(f, (struct store_options){ 0 });
        assert_int_equal(
            read_i64(f, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
            1);
        assert_int_equal(
            read_i64(f,
                     "SELECT count(*) FROM (SELECT 1 FROM t GROUP BY pair HAVING count(*) <> 2)"),
            0);
        assert_int_equal(read_i64(f, "SELECT count(*) FROM t WHERE pair % 7 = 0"), 0);
        check_acknowledged(f->path);
        fixture_close(f);
    }
    print_message("%d kills, %zu acknowledged writes\n", ROUNDS, acknowledged_len);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "child") == 0)
        return child_main(argv[2]);
    self = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_kill_loses_nothing_acknowledged, setup_closed,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
