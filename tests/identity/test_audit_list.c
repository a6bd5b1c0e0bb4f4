/*
 * tests/identity/test_audit_list.c - Pages of the log: by time whatever the clock did, by act, by
 * who did something and to whom it was done, each row once, and never by looking at all rows.
 */
#include "audit_log.h"
#include "base/buf.h"
#include "base/json.h"

#define AT(minutes) ((1700000000 + (int64_t)(minutes)*60) * CLOCK_SECOND)

struct listing {
    struct chain_fixture *f;
    struct identity_audit_filter filter;
    int64_t seqs[IDENTITY_AUDIT_LIST_MAX];
    unsigned len;
    bool has_more;
    int64_t last_at_us;
    char json[4096];
};

static void list_task(struct task *task, void *arg)
{
    struct listing *l = arg;
    struct identity_audit_page page;
    assert_status(identity_audit_list(task, l->f->audit, &l->filter, &page), STATUS_OK);
    l->len = page.len;
    l->has_more = page.has_more;
    for (unsigned i = 0; i < page.len; i++) {
        l->seqs[i] = page.rows[i].seq;
        l->last_at_us = page.rows[i].at_us;
    }
    if (page.len > 0) {
        struct buf json = { .data = l->json,
                            .cap = sizeof(l->json) - 1,
                            .max = sizeof(l->json) - 1 };
        identity_audit_row_write(&page.rows[0], &json);
        assert_status(buf_status(&json), STATUS_OK);
        l->json[json.len] = 0;
    }
}

static struct listing list(struct chain_fixture *f, const struct identity_audit_filter *filter)
{
    struct listing l = { .f = f, .filter = *filter };
    if (!l.filter.limit)
        l.filter.limit = 10;
    database_run(&f->d, list_task, &l);
    return l;
}

static void assert_seqs(struct chain_fixture *f, const struct identity_audit_filter *filter,
                        const char *want)
{
    struct listing l = list(f, filter);
    char got[512] = "";
    size_t at = 0;
    for (unsigned i = 0; i < l.len; i++)
        at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%lld", i ? " " : "",
                               (long long)l.seqs[i]);
    assert_string_equal(got, want);
}

static void put(struct chain_fixture *f, int64_t at_us, enum identity_audit_act act,
                struct slice actor_id, struct slice subject_id)
{
    chain_put(f, &(struct identity_audit_event){ .act = act,
                                                 .actor = IDENTITY_AUDIT_USER,
                                                 .actor_id = actor_id,
                                                 .subject_kind = SLICE("user"),
                                                 .subject_id = subject_id,
                                                 .at_us = at_us });
}

/* Seven rows; the clock was set back once, and two came at the same moment. Row 1 is of the log's
 * own, from long after. */
static int setup(void **state)
{
    int code = chain_setup(state);
    struct chain_fixture *f = *state;
    clock_fake_set(AT(100), 1);
    put(f, AT(0), IDENTITY_AUDIT_LOGIN_SUCCEEDED, SLICE("ada"), SLICE("ada"));  /* 2 */
    put(f, AT(1), IDENTITY_AUDIT_ROLE_GRANTED, SLICE("ada"), SLICE("bob"));     /* 3 */
    put(f, AT(2), IDENTITY_AUDIT_LOGIN_FAILED, SLICE_NULL, SLICE("bob"));       /* 4 */
    put(f, AT(1), IDENTITY_AUDIT_PASSWORD_CHANGED, SLICE("bob"), SLICE("bob")); /* 5 */
    put(f, AT(3), IDENTITY_AUDIT_LOGIN_FAILED, SLICE_NULL, SLICE("ada"));       /* 6 */
    put(f, AT(3), IDENTITY_AUDIT_ACCOUNT_DELETED, SLICE("ada"), SLICE("bob"));  /* 7 */
    clock_fake_set(0, 0);
    return code;
}

static void test_newest_first_by_time(void **state)
{
    struct chain_fixture *f = *state;
    assert_seqs(f, &(struct identity_audit_filter){ 0 }, "1 7 6 4 5 3 2");
}

static void test_filters(void **state)
{
    struct chain_fixture *f = *state;
    static const struct {
        struct identity_audit_filter filter;
        const char *want;
    } cases[] = {
        { { .act = SLICE_INIT("login.failed") }, "6 4" },
        { { .act = SLICE_INIT("logout") }, "" },
        { { .user = SLICE_INIT("ada") }, "7 6 3 2" }, /* each once, also who is both */
        { { .user = SLICE_INIT("bob") }, "7 4 5 3" },
        { { .user = SLICE_INIT("eve") }, "" },
        { { .user = SLICE_INIT("bob"), .act = SLICE_INIT("login.failed") }, "4" },
        { { .since_us = AT(2) }, "1 7 6 4" },
        { { .since_us = AT(2) + 1 }, "1 7 6" },
        { { .until_us = AT(2) }, "5 3 2" },
        { { .since_us = AT(1), .until_us = AT(3) }, "4 5 3" },
        { { .user = SLICE_INIT("ada"), .since_us = AT(1), .until_us = AT(4) }, "7 6 3" },
        { { .since_us = AT(3), .until_us = AT(3) }, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_seqs(f, &cases[i].filter, cases[i].want);
}

/* Page by page of one row, as of all at once: also between rows of one moment. */
static void assert_walk(struct chain_fixture *f, struct identity_audit_filter filter,
                        const char *want)
{
    char got[512] = "";
    size_t at = 0;
    bool has_more = true;
    filter.limit = 1;
    while (has_more) {
        struct listing l = list(f, &filter);
        assert_int_equal(l.len, 1);
        at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%lld", at ? " " : "",
                               (long long)l.seqs[0]);
        filter.before_us = l.last_at_us;
        filter.before_seq = l.seqs[0];
        has_more = l.has_more;
    }
    assert_string_equal(got, want);
}

static void test_pages_follow_each_other(void **state)
{
    struct chain_fixture *f = *state;
    assert_walk(f, (struct identity_audit_filter){ 0 }, "1 7 6 4 5 3 2");
    assert_walk(f, (struct identity_audit_filter){ .user = SLICE("ada") }, "7 6 3 2");
    assert_walk(f, (struct identity_audit_filter){ .act = SLICE("login.failed") }, "6 4");
    assert_walk(f, (struct identity_audit_filter){ .until_us = AT(3) }, "4 5 3 2");
}

static void test_pages_are_bounded(void **state)
{
    struct chain_fixture *f = *state;
    chain_write(f, IDENTITY_AUDIT_LIST_MAX);
    struct listing l =
        list(f, &(struct identity_audit_filter){ .limit = IDENTITY_AUDIT_LIST_MAX + 1 });
    assert_int_equal(l.len, IDENTITY_AUDIT_LIST_MAX);
    assert_true(l.has_more);
    l = list(f, &(struct identity_audit_filter){ .limit = IDENTITY_AUDIT_LIST_MAX,
                                                 .act = SLICE("login.succeeded"),
                                                 .since_us = AT(1) });
    assert_int_equal(l.len, IDENTITY_AUDIT_LIST_MAX);
    assert_false(l.has_more);
}

static void test_rows_as_json(void **state)
{
    struct chain_fixture *f = *state;
    chain_put(f, &(struct identity_audit_event){ .act = IDENTITY_AUDIT_KEY_CREATED,
                                                 .actor = IDENTITY_AUDIT_OPERATOR,
                                                 .actor_id = SLICE("a\"b"),
                                                 .agent = SLICE("x\ny"),
                                                 .details = SLICE("{\"n\":[1]}"),
                                                 .at_us = AT(1000) });
    struct listing l = list(f, &(struct identity_audit_filter){ .limit = 1 });
    json_t *row = NULL;
    assert_status(json_read(f->d.arena, slice_cstr(l.json), JSON_LIMITS_DEFAULT, &row, NULL),
                  STATUS_OK);
    const char *actor = NULL, *actor_id = NULL, *agent = NULL, *at = NULL, *hash = NULL;
    json_int_t n = 0, seq = 0;
    assert_int_equal(json_unpack(row, "{s:I, s:s, s:{s:s, s:s}, s:n, s:s, s:n, s:{s:[I]}, s:s}",
                                 "seq", &seq, "at", &at, "actor", "kind", &actor, "id", &actor_id,
                                 "subject", "user_agent", &agent, "address", "details", "n", &n,
                                 "hash", &hash),
                     0);
    assert_int_equal(seq, 8);
    assert_string_equal(at, "2023-11-15T14:53:20.000Z");
    assert_string_equal(actor, "operator");
    assert_string_equal(actor_id, "a\"b");
    assert_string_equal(agent, "x?y");
    assert_int_equal(n, 1);
    assert_int_equal(strlen(hash), 64);
}

/* What a page costs does not grow with the log: every statement walks an index in its order. */
static void test_every_filter_has_an_index(void **state)
{
    struct chain_fixture *f = *state;
    static const struct {
        const char *where, *index;
    } cases[] = {
        { "1 = 1", "purlin_audit__by_at" },
        { "at >= 1 AND at < 2", "purlin_audit__by_at" },
        { "(at, seq) < (1, 2)", "purlin_audit__by_at" },
        { "act = ?", "purlin_audit__by_act" },
        { "act = ? AND at >= 1 AND (at, seq) < (3, 2)", "purlin_audit__by_act" },
        { "actor_id <> '' AND actor_id = ? AND at < 3", "purlin_audit__by_actor" },
        { "subject_id <> '' AND subject_id = ?", "purlin_audit__by_subject" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char sql[512], plan[1024] = "";
        sqlite3 *db = NULL;
        sqlite3_stmt *statement = NULL;
        (void)snprintf(sql, sizeof(sql),
                       "EXPLAIN QUERY PLAN SELECT * FROM purlin_audit WHERE %s"
                       " ORDER BY at DESC, seq DESC LIMIT 20",
                       cases[i].where);
        assert_int_equal(sqlite3_open(f->d.path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
        for (size_t at = 0; sqlite3_step(statement) == SQLITE_ROW;)
            at += (size_t)snprintf(plan + at, sizeof(plan) - at, "%s\n",
                                   (const char *)sqlite3_column_text(statement, 3));
        (void)sqlite3_finalize(statement);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        if (!strstr(plan, cases[i].index) || strstr(plan, "TEMP B-TREE"))
            fail_msg("%s: %s", cases[i].where, plan);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, chain_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_newest_first_by_time),
        TEST(test_filters),
        TEST(test_pages_follow_each_other),
        TEST(test_pages_are_bounded),
        TEST(test_rows_as_json),
        TEST(test_every_filter_has_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
