/*
 * tests/identity/test_keys.c - Signing keys in a database: a rotation from its first day to its
 * last, several processes at it, secrets that change, and loops that never see half of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "identity/keys.h"
#include "store/store.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef UNDER_TSAN
/* SQLite and OpenSSL are not instrumented: that they are in order cannot be seen. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libsqlite3.so\nrace:libsqlite3.so\nmutex:libsqlite3.so\n"
           "called_from_lib:libcrypto.so\nrace:libcrypto.so\n";
}
#endif

#define DAY_ONE (1700000000 * CLOCK_SECOND)
#define SECRET SLICE("a secret of the tests that is long enough")
#define OTHER_SECRET SLICE("another secret of the tests, as long as that")
#define TOKEN_US (15 * CLOCK_MINUTE)
#define PUBLISH_US (10 * CLOCK_MINUTE)
#define ROTATE_US (30 * CLOCK_DAY)

#define assert_status(got, want) assert_string_equal(status_name(got), status_name(want))

struct fixture {
    char folder[64];
    struct arena *arena;
    struct problem problem;
    struct store *store;
    struct offload *offload;
    struct loop *loop;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char url[96];
    assert_non_null(f);
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/purlin-keys-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(url, sizeof(url), "sqlite:%s/test.db", f->folder);
    f->arena = arena_new(NULL, 0);
    const struct store_options options = { .url = slice_cstr(url), .create = true };
    assert_status(store_open(&options, f->arena, &f->problem, &f->store), STATUS_OK);
    assert_status(loop_new(NULL, &f->loop), STATUS_OK);
    assert_status(offload_new(2, 16, &f->offload), STATUS_OK);
    loop_offload_set(f->loop, f->offload);
    assert_status(store_attach(f->store, f->loop), STATUS_OK);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_detach(f->store, f->loop);
    store_close(f->store);
    loop_free(f->loop);
    offload_free(f->offload);
    arena_free(f->arena);
    assert_int_equal(nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
    return 0;
}

static struct identity_keys_options options_of(struct fixture *f)
{
    return (struct identity_keys_options){
        .store = f->store,
        .secret = SECRET,
        .loops = &f->loop,
        .loops_len = 1,
    };
}

static enum status open_as(struct fixture *f, const struct identity_keys_options *options,
                           struct identity_keys **ret)
{
    problem_clear(&f->problem);
    return identity_keys_open(options, DAY_ONE, f->arena, &f->problem, ret);
}

static struct identity_keys *open_keys(struct fixture *f)
{
    struct identity_keys *keys = NULL;
    const struct identity_keys_options options = options_of(f);
    assert_status(open_as(f, &options, &keys), STATUS_OK);
    return keys;
}

/* -- tasks
 * -------------------------------------------------------------------------------------------- */

struct work {
    struct loop *loop;
    struct identity_keys *keys;
    int64_t now_us;
    int rotation; /* -1: upkeep */
    enum status st;
    unsigned *left;
};

static void work_task(struct task *task, void *arg)
{
    struct work *w = arg;
    w->st = w->rotation < 0
                ? identity_keys_upkeep(task, w->keys, w->now_us)
                : identity_keys_rotate(task, w->keys, (enum identity_keys_rotation)w->rotation,
                                       w->now_us);
    if (--*w->left == 0)
        loop_stop(w->loop);
}

static void run(struct fixture *f, struct work *works, unsigned works_len)
{
    unsigned left = works_len;
    for (unsigned i = 0; i < works_len; i++) {
        works[i].loop = f->loop;
        works[i].left = &left;
        assert_status(task_spawn(f->loop, work_task, &works[i], NULL), STATUS_OK);
    }
    loop_run(f->loop);
}

static enum status upkeep(struct fixture *f, struct identity_keys *keys, int64_t now_us)
{
    struct work work = { .keys = keys, .now_us = now_us, .rotation = -1 };
    run(f, &work, 1);
    return work.st;
}

static enum status rotate(struct fixture *f, struct identity_keys *keys,
                          enum identity_keys_rotation rotation, int64_t now_us)
{
    struct work work = { .keys = keys, .now_us = now_us, .rotation = (int)rotation };
    run(f, &work, 1);
    return work.st;
}

static unsigned keys_len(const struct identity_keys *keys)
{
    return identity_keys_current(keys)->keys.len;
}

static struct slice active_kid(struct fixture *f, const struct identity_keys *keys)
{
    struct slice kid;
    assert_status(
        arena_copy(f->arena, identity_jose_key_id(identity_keys_current(keys)->active), &kid),
        STATUS_OK);
    return kid;
}

static struct slice sign(const struct identity_keys *keys, struct arena *arena)
{
    const struct identity_keys_snapshot *now = identity_keys_current(keys);
    struct buf out;
    buf_init(&out, arena, 0, IDENTITY_JOSE_TOKEN_BYTES_MAX);
    assert_status(identity_jose_sign(now->active, now->alg, SLICE("at+jwt"),
                                     SLICE("{\"exp\":1700000900}"), &out),
                  STATUS_OK);
    return buf_slice(&out);
}

static bool verifies(const struct identity_keys *keys, struct arena *arena, struct slice token)
{
    const struct identity_jose_policy policy = {
        .keys = &identity_keys_current(keys)->keys,
        .algs = IDENTITY_JOSE_PUBLIC,
        .typ = SLICE("at+jwt"),
    };
    struct identity_jose_token got;
    enum identity_jose_refusal refusal;
    return identity_jose_verify(arena, token, &policy, DAY_ONE, &got, &refusal) == STATUS_OK;
}

static enum status take_i64(void *arg, struct store_rows *rows)
{
    *(int64_t *)arg = store_rows_i64(rows, 0);
    return STATUS_OK;
}

static int64_t count_rows(struct fixture *f, const char *where)
{
    int64_t n = -1;
    struct slice sql =
        arena_printf(f->arena, "SELECT COUNT(*) FROM purlin_signing_keys WHERE %s", where);
    assert_status(store_read_blocking(f->store, sql, NULL, 0, f->arena, &f->problem, take_i64, &n),
                  STATUS_OK);
    return n;
}

static void script(struct fixture *f, const char *sql)
{
    assert_status(store_script(f->store, slice_cstr(sql), f->arena, &f->problem), STATUS_OK);
}

/* -- tests
 * -------------------------------------------------------------------------------------------- */

static void test_first_key_is_kept(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    struct slice kid = active_kid(f, keys);
    assert_int_equal(keys_len(keys), 1);
    assert_int_equal(kid.len, IDENTITY_JOSE_THUMBPRINT_LEN);
    struct slice token = sign(keys, f->arena);
    assert_true(verifies(keys, f->arena, token));
    identity_keys_close(keys);
    keys = open_keys(f);
    assert_true(slice_eq(active_kid(f, keys), kid));
    assert_true(verifies(keys, f->arena, token));
    /* Nothing is due: the snapshot stays the very same. */
    const struct identity_keys_snapshot *before = identity_keys_current(keys);
    assert_status(upkeep(f, keys, DAY_ONE + ROTATE_US - 1), STATUS_OK);
    assert_ptr_equal(identity_keys_current(keys), before);
    identity_keys_close(keys);
}

static void test_document(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    assert_status(rotate(f, keys, IDENTITY_KEYS_PLANNED, DAY_ONE), STATUS_OK);
    struct identity_jose_set set;
    struct slice text = identity_keys_jwks(keys);
    assert_status(identity_jose_set_parse(text, &set), STATUS_OK);
    assert_int_equal(set.len, 2);
    assert_int_equal(set.skipped, 0);
    for (unsigned i = 0; i < set.len; i++) {
        assert_false(identity_jose_key_can_sign(set.keys[i]));
        assert_true(
            slice_eq(identity_jose_key_id(set.keys[i]), identity_jose_key_thumbprint(set.keys[i])));
    }
    assert_int_equal(slice_find_slice(text, SLICE("\"d\"")), SIZE_MAX);
    identity_jose_set_clear(&set);
    identity_keys_close(keys);
}

static void test_rotation(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    struct slice first = active_kid(f, keys), token = sign(keys, f->arena);

    /* The next one is published, and does not sign yet. */
    int64_t published = DAY_ONE + ROTATE_US;
    assert_status(upkeep(f, keys, published), STATUS_OK);
    assert_int_equal(keys_len(keys), 2);
    assert_status(upkeep(f, keys, published + PUBLISH_US - 1), STATUS_OK);
    assert_true(slice_eq(active_kid(f, keys), first));

    /* It signs; the first one is still verified by. */
    int64_t switched = published + PUBLISH_US;
    assert_status(upkeep(f, keys, switched), STATUS_OK);
    assert_int_equal(keys_len(keys), 2);
    struct slice second = active_kid(f, keys);
    assert_false(slice_eq(second, first));
    assert_true(verifies(keys, f->arena, token));
    struct slice later = sign(keys, f->arena);
    assert_true(verifies(keys, f->arena, later));
    assert_int_equal(count_rows(f, "state = 'retired' AND retired_at > 0"), 1);

    /* The first goes when nobody can have a token of it any more. */
    int64_t gone = switched + TOKEN_US + PUBLISH_US + 60 * CLOCK_SECOND;
    assert_status(upkeep(f, keys, gone), STATUS_OK);
    assert_true(verifies(keys, f->arena, token));
    assert_status(upkeep(f, keys, gone + 1), STATUS_OK);
    assert_int_equal(keys_len(keys), 1);
    assert_false(verifies(keys, f->arena, token));
    assert_true(verifies(keys, f->arena, later));

    /* And again, counted from when the second began to sign. */
    assert_status(upkeep(f, keys, switched + ROTATE_US - 1), STATUS_OK);
    assert_int_equal(keys_len(keys), 1);
    assert_status(upkeep(f, keys, switched + ROTATE_US), STATUS_OK);
    assert_int_equal(keys_len(keys), 2);
    identity_keys_close(keys);
}

/* A process that slept through it all does in one upkeep what is due. */
static void test_rotation_that_was_missed(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    struct slice first = active_kid(f, keys);
    assert_status(rotate(f, keys, IDENTITY_KEYS_PLANNED, DAY_ONE), STATUS_OK);
    assert_status(upkeep(f, keys, DAY_ONE + CLOCK_HOUR), STATUS_OK);
    assert_int_equal(keys_len(keys), 2);
    assert_false(slice_eq(active_kid(f, keys), first));
    assert_status(upkeep(f, keys, DAY_ONE + CLOCK_DAY), STATUS_OK);
    assert_int_equal(keys_len(keys), 1);
    identity_keys_close(keys);
}

static void test_one_rotation_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    assert_status(rotate(f, keys, IDENTITY_KEYS_PLANNED, DAY_ONE), STATUS_OK);
    assert_status(rotate(f, keys, IDENTITY_KEYS_PLANNED, DAY_ONE), STATUS_CONFLICT);
    assert_int_equal(keys_len(keys), 2);
    identity_keys_close(keys);
}

static void test_at_once(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    struct slice token = sign(keys, f->arena);
    assert_status(rotate(f, keys, IDENTITY_KEYS_PLANNED, DAY_ONE), STATUS_OK);
    assert_status(rotate(f, keys, IDENTITY_KEYS_AT_ONCE, DAY_ONE), STATUS_OK);
    assert_int_equal(keys_len(keys), 1);
    assert_int_equal(count_rows(f, "1"), 1);
    assert_false(verifies(keys, f->arena, token));
    assert_true(verifies(keys, f->arena, sign(keys, f->arena)));
    identity_keys_close(keys);
}

static void test_another_algorithm(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    struct slice token = sign(keys, f->arena);
    identity_keys_close(keys);
    struct identity_keys_options options = options_of(f);
    options.alg = IDENTITY_JOSE_RS256;
    assert_status(open_as(f, &options, &keys), STATUS_OK);
    assert_int_equal(identity_keys_current(keys)->alg, IDENTITY_JOSE_ES256);
    assert_status(upkeep(f, keys, DAY_ONE), STATUS_OK);
    assert_int_equal(keys_len(keys), 2);
    assert_status(upkeep(f, keys, DAY_ONE + PUBLISH_US), STATUS_OK);
    assert_int_equal(identity_keys_current(keys)->alg, IDENTITY_JOSE_RS256);
    assert_true(verifies(keys, f->arena, token));
    assert_true(verifies(keys, f->arena, sign(keys, f->arena)));
    assert_status(upkeep(f, keys, DAY_ONE + CLOCK_DAY), STATUS_OK);
    assert_int_equal(keys_len(keys), 1);
    identity_keys_close(keys);
}

/* Two processes (two of everything on one database) find the same thing due at the same time. */
static void test_two_processes(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *a = open_keys(f), *b = open_keys(f);
    static const int64_t steps[] = { ROTATE_US, ROTATE_US + PUBLISH_US, ROTATE_US + CLOCK_HOUR };
    static const unsigned lens[] = { 2, 2, 1 };
    assert_true(slice_eq(identity_keys_jwks(a), identity_keys_jwks(b)));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct work works[4];
        for (unsigned k = 0; k < ARRAY_LEN(works); k++)
            works[k] = (struct work){ .keys = k % 2 ? b : a,
                                      .now_us = DAY_ONE + steps[i],
                                      .rotation = -1 };
        run(f, works, ARRAY_LEN(works));
        for (unsigned k = 0; k < ARRAY_LEN(works); k++)
            assert_status(works[k].st, STATUS_OK);
        assert_int_equal(keys_len(a), lens[i]);
        assert_true(slice_eq(identity_keys_jwks(a), identity_keys_jwks(b)));
        assert_true(slice_eq(active_kid(f, a), active_kid(f, b)));
        assert_int_equal(count_rows(f, "state = 'active'"), 1);
    }
    identity_keys_close(a);
    identity_keys_close(b);
}

/* Who knows of the next key by its last upkeep verifies what another signs with it first. */
static void test_the_other_process_verifies(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *a = open_keys(f), *b = open_keys(f);
    assert_status(upkeep(f, a, DAY_ONE + ROTATE_US), STATUS_OK);
    assert_status(upkeep(f, b, DAY_ONE + ROTATE_US + PUBLISH_US - 1), STATUS_OK);
    assert_status(upkeep(f, a, DAY_ONE + ROTATE_US + PUBLISH_US), STATUS_OK);
    assert_false(slice_eq(active_kid(f, a), active_kid(f, b)));
    assert_true(verifies(b, f->arena, sign(a, f->arena)));
    assert_true(verifies(a, f->arena, sign(b, f->arena)));
    identity_keys_close(a);
    identity_keys_close(b);
}

static void test_limit_of_rows(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    /* All within the life of a token, so that none is removed. */
    script(f, "CREATE TABLE more AS SELECT * FROM purlin_signing_keys;");
    int64_t now = DAY_ONE;
    for (unsigned n = 2; n <= IDENTITY_KEYS_MAX; n++) {
        assert_status(rotate(f, keys, IDENTITY_KEYS_PLANNED, now), STATUS_OK);
        assert_int_equal(keys_len(keys), n);
        script(f, "UPDATE purlin_signing_keys SET created_at = 0 WHERE state = 'next';");
        assert_status(upkeep(f, keys, now), STATUS_OK);
        assert_int_equal(keys_len(keys), n);
    }
    assert_status(rotate(f, keys, IDENTITY_KEYS_PLANNED, now), STATUS_CONFLICT);
    /* Upkeep goes on, also when the next one would be due. */
    script(f, "UPDATE purlin_signing_keys SET active_at = 0 WHERE state = 'active';");
    assert_status(upkeep(f, keys, now), STATUS_OK);
    assert_int_equal(keys_len(keys), IDENTITY_KEYS_MAX);
    /* They go all at once when their time is over, and the next one comes. */
    assert_status(upkeep(f, keys, now + CLOCK_DAY), STATUS_OK);
    assert_int_equal(keys_len(keys), 2);
    /* A table that somebody else has filled is not read in part. */
    for (unsigned n = 0; n < IDENTITY_KEYS_MAX; n++) {
        struct slice sql = arena_printf(f->arena,
                                        "INSERT INTO purlin_signing_keys SELECT 'x%u', algorithm, "
                                        "sealed, 'retired', 0, 0, %lld FROM more;",
                                        n, (long long)now + CLOCK_DAY);
        script(f, arena_cstr(f->arena, sql));
    }
    assert_status(upkeep(f, keys, now + CLOCK_DAY), STATUS_INTERNAL);
    assert_int_equal(keys_len(keys), 2);
    identity_keys_close(keys);
}

/* -- secrets
 * ------------------------------------------------------------------------------------------ */

static void test_sealed_at_rest(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    assert_int_equal(count_rows(f, "instr(sealed, CAST('kty' AS BLOB)) > 0"), 0);
    assert_int_equal(count_rows(f, "length(sealed) BETWEEN 150 AND 400"), 1);
    identity_keys_close(keys);
}

static void test_secret_changes(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    struct slice kid = active_kid(f, keys);
    identity_keys_close(keys);

    struct identity_keys_options options = options_of(f);
    options.secret = OTHER_SECRET;
    assert_status(open_as(f, &options, &keys), STATUS_UNAUTHENTICATED);
    assert_string_equal(f->problem.type, "identity/keys-sealed");
    assert_int_equal(count_rows(f, "1"), 1); /* it is not lost by that */

    options.secret_previous = SECRET;
    assert_status(open_as(f, &options, &keys), STATUS_OK);
    assert_true(slice_eq(active_kid(f, keys), kid));
    assert_status(upkeep(f, keys, DAY_ONE), STATUS_OK); /* seals anew */
    identity_keys_close(keys);

    options.secret_previous = SLICE_NULL;
    assert_status(open_as(f, &options, &keys), STATUS_OK);
    assert_true(slice_eq(active_kid(f, keys), kid));
    identity_keys_close(keys);
}

static void test_lost_keys_are_replaced_when_asked(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    struct slice token = sign(keys, f->arena);
    assert_status(rotate(f, keys, IDENTITY_KEYS_PLANNED, DAY_ONE), STATUS_OK);
    identity_keys_close(keys);
    struct identity_keys_options options = options_of(f);
    options.secret = OTHER_SECRET;
    options.replace_lost = true;
    assert_status(open_as(f, &options, &keys), STATUS_OK);
    assert_int_equal(keys_len(keys), 1);
    assert_false(verifies(keys, f->arena, token));
    identity_keys_close(keys);
    /* Asked for without need it does nothing. */
    options.secret = OTHER_SECRET;
    assert_status(open_as(f, &options, &keys), STATUS_OK);
    struct slice kid = active_kid(f, keys);
    identity_keys_close(keys);
    assert_status(open_as(f, &options, &keys), STATUS_OK);
    assert_true(slice_eq(active_kid(f, keys), kid));
    identity_keys_close(keys);
}

/* While running: the snapshot that was stays, and the problem says what is wrong. */
static void test_damaged_rows(void **state)
{
    static const struct {
        const char *name, *sql;
        enum status want;
    } cases[] = {
        { "flipped bit",
          "UPDATE purlin_signing_keys SET sealed = CAST(substr(sealed, 1, 60) || "
          "CASE substr(sealed, 61, 1) WHEN X'00' THEN X'01' ELSE X'00' END || "
          "substr(sealed, 62) AS BLOB);",
          STATUS_UNAUTHENTICATED },
        { "other version",
          "UPDATE purlin_signing_keys SET sealed = CAST(X'02' || substr(sealed, 2) AS BLOB);",
          STATUS_UNAUTHENTICATED },
        { "cut off", "UPDATE purlin_signing_keys SET sealed = substr(sealed, 1, 41);",
          STATUS_UNAUTHENTICATED },
        { "empty", "UPDATE purlin_signing_keys SET sealed = X'';", STATUS_UNAUTHENTICATED },
        { "another's id",
          "UPDATE purlin_signing_keys SET kid = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';",
          STATUS_INTERNAL },
        { "another algorithm", "UPDATE purlin_signing_keys SET algorithm = 'RS256';",
          STATUS_INTERNAL },
        { "unknown algorithm", "UPDATE purlin_signing_keys SET algorithm = 'none';",
          STATUS_INTERNAL },
    };
    struct fixture *f = *state;
    struct identity_keys *keys = open_keys(f);
    const struct identity_keys_snapshot *before = identity_keys_current(keys);
    script(f, "CREATE TABLE kept AS SELECT * FROM purlin_signing_keys;");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        script(f, cases[i].sql);
        enum status st = upkeep(f, keys, DAY_ONE);
        if (st != cases[i].want)
            fail_msg("%s: %s", cases[i].name, status_name(st));
        assert_ptr_equal(identity_keys_current(keys), before);
        script(f, "DELETE FROM purlin_signing_keys;"
                  "INSERT INTO purlin_signing_keys SELECT * FROM kept;");
        assert_status(upkeep(f, keys, DAY_ONE), STATUS_OK);
    }
    /* An empty table gets a key again. */
    script(f, "DELETE FROM purlin_signing_keys;");
    assert_status(upkeep(f, keys, DAY_ONE), STATUS_OK);
    assert_int_equal(keys_len(keys), 1);
    identity_keys_close(keys);
}

static void test_options(void **state)
{
    struct fixture *f = *state;
    struct identity_keys *keys;
    struct identity_keys_options options = options_of(f);
    options.secret = SLICE_NULL;
    assert_status(open_as(f, &options, &keys), STATUS_INVALID);
    options = options_of(f);
    options.alg = IDENTITY_JOSE_HS256;
    assert_status(open_as(f, &options, &keys), STATUS_INVALID);
    options = options_of(f);
    options.publish_us = -1;
    assert_status(open_as(f, &options, &keys), STATUS_INVALID);
}

/* -- loops
 * -------------------------------------------------------------------------------------------- */

#define LOOPS 2u

/* A loop that signs and verifies by whatever snapshot there is, turn for turn. */
struct busy {
    struct loop_post turn;
    struct loop *loop;
    pthread_t thread;
    struct identity_keys **keys;
    bool *done; /* atomic */
    unsigned turns, bad;
};

static void busy_turn(struct loop_post *post)
{
    struct busy *busy = CONTAINER_OF(post, struct busy, turn);
    if (__atomic_load_n(busy->done, __ATOMIC_ACQUIRE)) {
        loop_stop(busy->loop);
        return;
    }
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct slice jwks = identity_keys_jwks(*busy->keys);
    busy->bad += jwks.len < 100 || jwks.data[jwks.len - 1] != '}';
    busy->turns++;
    loop_post(busy->loop, &busy->turn);
    if (busy->turns % 4 != 0)
        return;
    const struct identity_keys_snapshot *now = identity_keys_current(*busy->keys);
    struct buf out;
    buf_init(&out, arena, 0, IDENTITY_JOSE_TOKEN_BYTES_MAX);
    enum status st = identity_jose_sign(now->active, now->alg, SLICE("at+jwt"),
                                        SLICE("{\"exp\":1700000900}"), &out);
    const struct identity_jose_policy policy = { .keys = &now->keys, .algs = IDENTITY_JOSE_PUBLIC };
    struct identity_jose_token token;
    enum identity_jose_refusal refusal;
    if (st == STATUS_OK)
        st = identity_jose_verify(arena, buf_slice(&out), &policy, DAY_ONE, &token, &refusal);
    busy->bad += st != STATUS_OK;
}

static void *busy_run(void *arg)
{
    struct busy *busy = arg;
    loop_run(busy->loop);
    return NULL;
}

static void test_snapshots_under_load(void **state)
{
    struct fixture *f = *state;
    struct busy busy[LOOPS] = { 0 };
    struct loop *loops[LOOPS + 1] = { f->loop };
    bool done = false;
    struct identity_keys *keys;
    for (unsigned i = 0; i < LOOPS; i++) {
        assert_status(loop_new(&(struct loop_options){ .index = i + 1 }, &busy[i].loop), STATUS_OK);
        loops[i + 1] = busy[i].loop;
    }
    struct identity_keys_options options = options_of(f);
    options.loops = loops;
    options.loops_len = LOOPS + 1;
    assert_status(open_as(f, &options, &keys), STATUS_OK);
    for (unsigned i = 0; i < LOOPS; i++) {
        busy[i].turn.fn = busy_turn;
        busy[i].keys = &keys;
        busy[i].done = &done;
        loop_post(busy[i].loop, &busy[i].turn);
        assert_int_equal(pthread_create(&busy[i].thread, NULL, busy_run, &busy[i]), 0);
    }
    for (unsigned i = 0; i < 30; i++)
        assert_status(rotate(f, keys, IDENTITY_KEYS_AT_ONCE, DAY_ONE), STATUS_OK);
    __atomic_store_n(&done, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < LOOPS; i++) {
        assert_int_equal(pthread_join(busy[i].thread, NULL), 0);
        assert_int_equal(busy[i].bad, 0);
        assert_true(busy[i].turns > 0);
    }
    /* In this order: what the loops have not let go of yet, they do when they are freed. */
    identity_keys_close(keys);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_free(busy[i].loop);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_key_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_document, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation_that_was_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_rotation_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_algorithm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_other_process_verifies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_of_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sealed_at_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secret_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_keys_are_replaced_when_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_snapshots_under_load, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
