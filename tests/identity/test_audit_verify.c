/*
 * tests/identity/test_audit_verify.c - Everything somebody can do to the log who can write the
 * file, and has not the secret.
 */
#include "audit_log.h"

/* Row 1 says that the log began, 2 to 11 are ours. */
#define WRITTEN 10

static void test_an_empty_log_is_whole(void **state)
{
    struct identity_audit_report report = chain_verify(*state, NULL);
    assert_int_equal(report.fault, IDENTITY_AUDIT_WHOLE);
    assert_int_equal(report.rows, 0);
    assert_int_equal(report.first_seq, 0);
    assert_int_equal(report.last.seq, 0);
}

static void test_rows_are_whole_and_in_order(void **state)
{
    struct chain_fixture *f = *state;
    chain_write(f, WRITTEN);
    struct identity_audit_report report = chain_verify(f, NULL);
    assert_int_equal(report.fault, IDENTITY_AUDIT_WHOLE);
    assert_int_equal(report.rows, WRITTEN + 1);
    assert_int_equal(report.first_seq, 1);
    assert_int_equal(report.last.seq, WRITTEN + 1);
    assert_int_equal(database_number(&f->d, "SELECT act = 'audit.began' FROM purlin_audit"
                                            " WHERE seq = 1"),
                     1);
}

/* More than one read of the walk. */
static void test_long_logs_are_walked_to_the_end(void **state)
{
    struct chain_fixture *f = *state;
    chain_write(f, 1999);
    chain_assert_whole(f, 2000);
    chain_write(f, 1);
    chain_assert_whole(f, 2001);
    database_sqlite(&f->d, NO_TRIGGERS "UPDATE purlin_audit SET actor_id = 'eve' WHERE seq = 2001");
    chain_assert_fault(f, IDENTITY_AUDIT_FAULT_ROW, 2001);
}

/* What is done to a log of 11 rows, and where it is found. */
static const struct {
    const char *name, *sql;
    enum identity_audit_fault fault;
    int64_t seq;
} tampering[] = {
    { "time", "UPDATE purlin_audit SET at = at + 1 WHERE seq = 5", IDENTITY_AUDIT_FAULT_ROW, 5 },
    { "act", "UPDATE purlin_audit SET act = 'login.failed' WHERE seq = 5", IDENTITY_AUDIT_FAULT_ROW,
      5 },
    { "outcome", "UPDATE purlin_audit SET outcome = 'refused' WHERE seq = 5",
      IDENTITY_AUDIT_FAULT_ROW, 5 },
    { "actor", "UPDATE purlin_audit SET actor = 'system' WHERE seq = 5", IDENTITY_AUDIT_FAULT_ROW,
      5 },
    { "actor id", "UPDATE purlin_audit SET actor_id = 'eve' WHERE seq = 5",
      IDENTITY_AUDIT_FAULT_ROW, 5 },
    { "subject kind", "UPDATE purlin_audit SET subject_kind = 'key' WHERE seq = 5",
      IDENTITY_AUDIT_FAULT_ROW, 5 },
    { "subject id", "UPDATE purlin_audit SET subject_id = 'eve' WHERE seq = 5",
      IDENTITY_AUDIT_FAULT_ROW, 5 },
    { "address", "UPDATE purlin_audit SET address = '192.0.2.2' WHERE seq = 5",
      IDENTITY_AUDIT_FAULT_ROW, 5 },
    { "agent", "UPDATE purlin_audit SET agent = 'curl' WHERE seq = 5", IDENTITY_AUDIT_FAULT_ROW,
      5 },
    { "request id", "UPDATE purlin_audit SET request_id = '' WHERE seq = 5",
      IDENTITY_AUDIT_FAULT_ROW, 5 },
    { "details", "UPDATE purlin_audit SET details = '{}' WHERE seq = 5", IDENTITY_AUDIT_FAULT_ROW,
      5 },
    { "text moved to the next field",
      "UPDATE purlin_audit SET actor_id = actor_id || subject_kind, subject_kind = '' WHERE seq = "
      "5",
      IDENTITY_AUDIT_FAULT_ROW, 5 },
    { "generation", "UPDATE purlin_audit SET generation = 7 WHERE seq = 5",
      IDENTITY_AUDIT_FAULT_KEY, 5 },
    { "hash", "UPDATE purlin_audit SET hash = zeroblob(32) WHERE seq = 5", IDENTITY_AUDIT_FAULT_ROW,
      5 },
    { "short hash", "UPDATE purlin_audit SET hash = zeroblob(31) WHERE seq = 5",
      IDENTITY_AUDIT_FAULT_ROW, 5 },
    { "the newest row changed", "UPDATE purlin_audit SET actor_id = 'eve' WHERE seq = 11",
      IDENTITY_AUDIT_FAULT_ROW, 11 },
    { "a row removed", "DELETE FROM purlin_audit WHERE seq = 5", IDENTITY_AUDIT_FAULT_GAP, 6 },
    { "rows removed", "DELETE FROM purlin_audit WHERE seq IN (5, 6, 7)", IDENTITY_AUDIT_FAULT_GAP,
      8 },
    { "the oldest row removed", "DELETE FROM purlin_audit WHERE seq = 1", IDENTITY_AUDIT_FAULT_GAP,
      2 },
    { "a row removed and the others closed up",
      "DELETE FROM purlin_audit WHERE seq = 5;"
      "UPDATE purlin_audit SET seq = -(seq - 1) WHERE seq > 5;"
      "UPDATE purlin_audit SET seq = -seq WHERE seq < 0",
      IDENTITY_AUDIT_FAULT_ROW, 5 },
    { "rows swapped",
      "UPDATE purlin_audit SET seq = -1 WHERE seq = 4;"
      "UPDATE purlin_audit SET seq = 4 WHERE seq = 5;"
      "UPDATE purlin_audit SET seq = 5 WHERE seq = -1",
      IDENTITY_AUDIT_FAULT_ROW, 4 },
    { "a row copied behind the newest",
      "INSERT INTO purlin_audit SELECT 12, at, generation, act, outcome, actor, actor_id,"
      " subject_kind, subject_id, address, agent, request_id, details, hash"
      " FROM purlin_audit WHERE seq = 11",
      IDENTITY_AUDIT_FAULT_ROW, 12 },
    { "the newest row removed", "DELETE FROM purlin_audit WHERE seq = 11", IDENTITY_AUDIT_FAULT_CUT,
      10 },
    { "the newest rows removed", "DELETE FROM purlin_audit WHERE seq > 4", IDENTITY_AUDIT_FAULT_CUT,
      4 },
    { "all rows removed", "DELETE FROM purlin_audit", IDENTITY_AUDIT_FAULT_CUT, 0 },
    { "the newest row removed, the head set to the one before",
      "DELETE FROM purlin_audit WHERE seq = 11;"
      "UPDATE purlin_audit_anchors SET seq = 10,"
      " hash = (SELECT hash FROM purlin_audit WHERE seq = 10) WHERE name = 'head'",
      IDENTITY_AUDIT_FAULT_HEAD, 10 },
    { "the newest row and the head removed",
      "DELETE FROM purlin_audit WHERE seq = 11; DELETE FROM purlin_audit_anchors",
      IDENTITY_AUDIT_FAULT_HEAD, 10 },
    { "the head's hash", "UPDATE purlin_audit_anchors SET hash = zeroblob(32)",
      IDENTITY_AUDIT_FAULT_HEAD, 11 },
    { "the head's code", "UPDATE purlin_audit_anchors SET mac = zeroblob(32)",
      IDENTITY_AUDIT_FAULT_HEAD, 11 },
    { "the head's key", "UPDATE purlin_audit_anchors SET generation = 2", IDENTITY_AUDIT_FAULT_KEY,
      11 },
    { "the head's code is no code", "UPDATE purlin_audit_anchors SET mac = x'00'",
      IDENTITY_AUDIT_FAULT_HEAD, 11 },
    { "the oldest rows removed as if they were pruned",
      "INSERT INTO purlin_audit_anchors SELECT 'tail', 3, 1,"
      " (SELECT hash FROM purlin_audit WHERE seq = 3), mac FROM purlin_audit_anchors;"
      "DELETE FROM purlin_audit WHERE seq <= 3",
      IDENTITY_AUDIT_FAULT_TAIL, 3 },
    { "the head used as a tail",
      "INSERT INTO purlin_audit_anchors SELECT 'tail', seq, generation, hash, mac"
      " FROM purlin_audit_anchors",
      IDENTITY_AUDIT_FAULT_TAIL, 11 },
    { "the key replaced", "UPDATE purlin_audit_keys SET sealed = randomblob(length(sealed))",
      IDENTITY_AUDIT_FAULT_KEY, 11 },
    { "the key removed", "DELETE FROM purlin_audit_keys", IDENTITY_AUDIT_FAULT_KEY, 11 },
};

static void test_tampering_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tampering); i++) {
        void *own = NULL;
        assert_int_equal(chain_setup(&own), 0);
        struct chain_fixture *f = own;
        chain_write(f, WRITTEN);
        database_sqlite(&f->d, NO_TRIGGERS);
        database_sqlite(&f->d, tampering[i].sql);
        /* As `purlin audit verify` has it: nothing is known from before. */
        chain_close(f);
        database_disconnect(&f->d);
        database_connect(&f->d);
        assert_status(chain_open_as(f, (struct identity_audit_options){ .secret = SECRET,
                                                                        .read_only = true }),
                      STATUS_OK);
        struct identity_audit_report report = chain_verify(f, NULL);
        if (report.fault != tampering[i].fault || report.fault_seq != tampering[i].seq)
            fail_msg("%s: found %s at %lld, not %s at %lld", tampering[i].name,
                     identity_audit_fault_name(report.fault), (long long)report.fault_seq,
                     identity_audit_fault_name(tampering[i].fault), (long long)tampering[i].seq);
        assert_int_equal(chain_teardown(&own), 0);
    }
}

/* A log that is right in itself, made by an installation of somebody else's. */
static void test_a_log_of_another_installation_is_no_replacement(void **state)
{
    struct chain_fixture *f = *state;
    void *other_state = NULL;
    assert_int_equal(chain_setup(&other_state), 0);
    struct chain_fixture *other = other_state;
    char sql[512];
    chain_write(f, WRITTEN);
    chain_write(other, WRITTEN);
    (void)snprintf(sql, sizeof(sql),
                   NO_TRIGGERS "ATTACH '%s' AS other;"
                               "DELETE FROM main.purlin_audit;"
                               "DELETE FROM main.purlin_audit_anchors;"
                               "INSERT INTO main.purlin_audit SELECT * FROM other.purlin_audit;"
                               "INSERT INTO main.purlin_audit_anchors SELECT * FROM"
                               " other.purlin_audit_anchors",
                   other->d.path);
    database_sqlite(&f->d, sql);
    chain_assert_fault(f, IDENTITY_AUDIT_FAULT_HEAD, 11);
    database_sqlite(&f->d, "DELETE FROM purlin_audit_anchors");
    chain_assert_fault(f, IDENTITY_AUDIT_FAULT_ROW, 1);
    assert_int_equal(chain_teardown(&other_state), 0);
}

/* A head that was ours once, put back. */
static void test_an_old_head_is_told_from_the_newest_row(void **state)
{
    struct chain_fixture *f = *state;
    chain_write(f, 3);
    database_sqlite(&f->d, "CREATE TABLE kept AS SELECT * FROM purlin_audit_anchors");
    chain_write(f, 3);
    database_sqlite(&f->d, NO_TRIGGERS "DELETE FROM purlin_audit_anchors;"
                                       "INSERT INTO purlin_audit_anchors SELECT * FROM kept");
    chain_assert_fault(f, IDENTITY_AUDIT_FAULT_HEAD, 7);
    /* Going on from it would write rows that are there: the log begins anew instead. */
    chain_write(f, 1);
    chain_assert_fault(f, IDENTITY_AUDIT_FAULT_RESTARTED, 8);
}

/* With the rows after it cut off too, the file is what it was: only who noted a head can tell. */
static void test_a_noted_head_finds_what_the_file_cannot(void **state)
{
    struct chain_fixture *f = *state;
    chain_write(f, 3);
    struct identity_audit_head old = chain_verify(f, NULL).last;
    database_sqlite(&f->d, "CREATE TABLE kept AS SELECT * FROM purlin_audit_anchors");
    chain_write(f, 3);
    struct identity_audit_head noted = chain_verify(f, NULL).last;
    const struct identity_audit_verify_options with_old = { .witness = &old },
                                               with_noted = { .witness = &noted };
    assert_int_equal(chain_verify(f, &with_old).fault, IDENTITY_AUDIT_WHOLE);
    assert_int_equal(chain_verify(f, &with_noted).fault, IDENTITY_AUDIT_WHOLE);

    database_sqlite(&f->d, NO_TRIGGERS "DELETE FROM purlin_audit WHERE seq > 4;"
                                       "DELETE FROM purlin_audit_anchors;"
                                       "INSERT INTO purlin_audit_anchors SELECT * FROM kept");
    chain_assert_whole(f, 4);
    struct identity_audit_report report = chain_verify(f, &with_noted);
    assert_int_equal(report.fault, IDENTITY_AUDIT_FAULT_CUT);
    assert_int_equal(report.fault_seq, 4);

    chain_write(f, 3);
    chain_assert_whole(f, 7);
    report = chain_verify(f, &with_noted);
    assert_int_equal(report.fault, IDENTITY_AUDIT_FAULT_WITNESS);
    assert_int_equal(report.fault_seq, 7);
}

/* What comes after the damage neither hides it nor is hindered by it. */
static void test_rows_that_were_cut_off_stay_missed(void **state)
{
    struct chain_fixture *f = *state;
    chain_write(f, WRITTEN);
    database_sqlite(&f->d, NO_TRIGGERS "DELETE FROM purlin_audit WHERE seq > 8");
    chain_write(f, 2);
    chain_assert_fault(f, IDENTITY_AUDIT_FAULT_GAP, 12);
}

static void test_a_lost_head_begins_anew_and_says_so(void **state)
{
    struct chain_fixture *f = *state;
    chain_write(f, 4);
    database_sqlite(&f->d, NO_TRIGGERS "DELETE FROM purlin_audit_anchors;"
                                       "DELETE FROM purlin_audit WHERE seq = 5");
    chain_write(f, 2);
    chain_assert_fault(f, IDENTITY_AUDIT_FAULT_RESTARTED, 5);
    /* Whoever has looked into it goes on from there. */
    const struct identity_audit_verify_options from = { .from_seq = 5 };
    struct identity_audit_report report = chain_verify(f, &from);
    assert_int_equal(report.fault, IDENTITY_AUDIT_WHOLE);
    assert_int_equal(report.rows, 3);
    assert_int_equal(report.first_seq, 5);
}

static void test_going_on_from_a_row_takes_the_one_before_as_given(void **state)
{
    struct chain_fixture *f = *state;
    chain_write(f, WRITTEN);
    database_sqlite(&f->d, NO_TRIGGERS "UPDATE purlin_audit SET actor_id = 'eve' WHERE seq = 5");
    const struct identity_audit_verify_options from = { .from_seq = 6 },
                                               too_early = { .from_seq = 5 },
                                               nowhere = { .from_seq = 13 };
    assert_int_equal(chain_verify(f, &from).fault, IDENTITY_AUDIT_WHOLE);
    assert_int_equal(chain_verify(f, &from).rows, 6);
    assert_int_equal(chain_verify(f, &too_early).fault_seq, 5);
    struct chain_verifying v = { .f = f, .options = nowhere };
    database_run(&f->d, chain_verify_task, &v);
    assert_status(v.st, STATUS_INVALID);
}

static void test_heads_are_read_as_they_are_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_one;
    } cases[] = {
        { "12:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", true },
        { "12:00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff", true },
        { "12:00112233445566778899aabbccddeeff00112233445566778899aabbccddeef", false },
        { "12:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0", false },
        { "12:0011223344556677 899aabbccddeeff00112233445566778899aabbccddeeff", false },
        { "0:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", false },
        { "-1:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", false },
        { "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", false },
        { "12", false },
        { "12:", false },
        { "", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct identity_audit_head head = { .seq = -7 };
        assert_int_equal(identity_audit_head_parse(slice_cstr(cases[i].text), &head),
                         cases[i].is_one);
        assert_int_equal(head.seq, cases[i].is_one ? 12 : -7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_empty_log_is_whole, chain_setup, chain_teardown),
        cmocka_unit_test_setup_teardown(test_rows_are_whole_and_in_order, chain_setup,
                                        chain_teardown),
        cmocka_unit_test_setup_teardown(test_long_logs_are_walked_to_the_end, chain_setup,
                                        chain_teardown),
        cmocka_unit_test(test_tampering_is_found),
        cmocka_unit_test_setup_teardown(test_a_log_of_another_installation_is_no_replacement,
                                        chain_setup, chain_teardown),
        cmocka_unit_test_setup_teardown(test_an_old_head_is_told_from_the_newest_row, chain_setup,
                                        chain_teardown),
        cmocka_unit_test_setup_teardown(test_a_noted_head_finds_what_the_file_cannot, chain_setup,
                                        chain_teardown),
        cmocka_unit_test_setup_teardown(test_rows_that_were_cut_off_stay_missed, chain_setup,
                                        chain_teardown),
        cmocka_unit_test_setup_teardown(test_a_lost_head_begins_anew_and_says_so, chain_setup,
                                        chain_teardown),
        cmocka_unit_test_setup_teardown(test_going_on_from_a_row_takes_the_one_before_as_given,
                                        chain_setup, chain_teardown),
        cmocka_unit_test(test_heads_are_read_as_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
