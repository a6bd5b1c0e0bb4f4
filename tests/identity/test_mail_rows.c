/*
 * tests/identity/test_mail_rows.c - What waits: the seal, claims of several processes, leases, and
 * the limit.
 */
#include "mail_fixture.h"

#include "identity/mail_rows.h"

#define LEASE_US CLOCK_MINUTE

/* -- the seal
 * --------------------------------------------------------------------------------------------------
 */

static void test_seal(void **state)
{
    struct arena *arena = arena_new(NULL, 0);
    struct identity__mail_seal old, new, both;
    struct uuid id = uuid_v7(), other = uuid_v7();
    struct slice sealed, to, mime;
    (void)state;
    identity__mail_seal_init(&old, SECRET, SLICE(""));
    identity__mail_seal_init(&new, OTHER_SECRET, SLICE(""));
    identity__mail_seal_init(&both, OTHER_SECRET, SECRET);
    assert_status(
        identity__mail_seal_close(&old, &id, SLICE("a@b"), SLICE("message"), arena, &sealed),
        STATUS_OK);
    assert_true(slice_find_slice(sealed, SLICE("message")) == SIZE_MAX);
    assert_status(identity__mail_seal_open(&old, &id, sealed, arena, &to, &mime), STATUS_OK);
    assert_slice(to, SLICE("a@b"));
    assert_slice(mime, SLICE("message"));
    assert_status(identity__mail_seal_open(&both, &id, sealed, arena, &to, &mime), STATUS_OK);
    assert_status(identity__mail_seal_open(&new, &id, sealed, arena, &to, &mime),
                  STATUS_UNAUTHENTICATED);
    /* In another row's place. */
    assert_status(identity__mail_seal_open(&old, &other, sealed, arena, &to, &mime),
                  STATUS_UNAUTHENTICATED);
    char *bytes = arena_alloc(arena, sealed.len);
    for (size_t i = 0; i < sealed.len; i++) {
        memcpy(bytes, sealed.data, sealed.len);
        bytes[i] = (char)(bytes[i] ^ 1);
        assert_status(
            identity__mail_seal_open(&old, &id, slice_of(bytes, sealed.len), arena, &to, &mime),
            STATUS_UNAUTHENTICATED);
        assert_status(identity__mail_seal_open(&old, &id, slice_head(sealed, i), arena, &to, &mime),
                      STATUS_UNAUTHENTICATED);
    }
    arena_free(arena);
}

/* -- claims
 * ----------------------------------------------------------------------------------------------------
 */

struct claiming {
    struct fixture *f;
    struct uuid claim;
    int64_t now_us;
    unsigned max, len, ours;
    struct identity__mail_row rows[IDENTITY__MAIL_CLAIM_MAX];
    enum status st;
};

static void claim_task(struct task *task, void *arg)
{
    struct claiming *c = arg;
    c->st = identity__mail_rows_claim(task, c->f->store, &c->claim, c->now_us, c->now_us + LEASE_US,
                                      c->max, c->rows, &c->len);
    for (unsigned i = 0; i < c->len; i++) {
        c->ours += c->rows[i].is_ours;
        assert_status(arena_copy(c->f->arena, c->rows[i].sealed, &c->rows[i].sealed), STATUS_OK);
    }
}

static struct claiming claim_at(struct fixture *f, int64_t now_us, unsigned max)
{
    struct claiming c = { .f = f, .claim = uuid_v7(), .now_us = now_us, .max = max };
    spawn(f->loop, claim_task, &c);
    run_to_end(f->loop);
    assert_status(c.st, STATUS_OK);
    return c;
}

struct ending {
    struct fixture *f;
    const struct claiming *claiming;
    unsigned row;
    int64_t next_us; /* 0: remove */
    int64_t changes;
};

static void end_task(struct task *task, void *arg)
{
    struct ending *e = arg;
    const struct uuid *id = &e->claiming->rows[e->row].id, *claim = &e->claiming->claim;
    assert_status(
        e->next_us
            ? identity__mail_rows_retry(task, e->f->store, id, claim, e->next_us, &e->changes)
            : identity__mail_rows_remove(task, e->f->store, id, claim, &e->changes),
        STATUS_OK);
}

static int64_t end_of(struct fixture *f, const struct claiming *claiming, unsigned row,
                      int64_t next_us)
{
    struct ending ending = { .f = f, .claiming = claiming, .row = row, .next_us = next_us };
    spawn(f->loop, end_task, &ending);
    run_to_end(f->loop);
    return ending.changes;
}

static void look_task(struct task *task, void *arg)
{
    struct fixture *f = *(struct fixture **)arg;
    struct identity__mail_waiting waiting;
    assert_status(identity__mail_rows_look(task, f->store, &waiting), STATUS_OK);
    f->mail->waiting = waiting.len;
    f->mail->oldest_us = waiting.oldest_us;
}

static unsigned waiting(struct fixture *f)
{
    spawn(f->loop, look_task, &f);
    run_to_end(f->loop);
    return f->mail->waiting;
}

static void test_claim_send_remove(void **state)
{
    struct fixture *f = *state;
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    assert_int_equal(waiting(f), 0);
    assert_int_equal(f->mail->oldest_us, 0);
    int64_t before_us = clock_wall_us();
    assert_status(put_one(f, f->mail, &letter), STATUS_OK);
    assert_int_equal(waiting(f), 1);
    assert_true(f->mail->oldest_us >= before_us && f->mail->oldest_us <= clock_wall_us());

    struct claiming c = claim_at(f, clock_wall_us(), 4);
    assert_int_equal(c.ours, 1);
    assert_int_equal(c.rows[0].kind, IDENTITY_MAIL_MAGIC_LINK);
    assert_int_equal(c.rows[0].attempts, 1);
    assert_int_equal(c.rows[0].expires_us - c.rows[0].created_us, 3 * CLOCK_DAY);
    struct slice to, mime;
    assert_status(identity__mail_seal_open(&f->mail->seal, &c.rows[0].id, c.rows[0].sealed,
                                           f->arena, &to, &mime),
                  STATUS_OK);
    assert_slice(to, SLICE("bob@example.net"));
    assert_int_equal(end_of(f, &c, 0, 0), 1);
    assert_int_equal(waiting(f), 0);
    assert_int_equal(end_of(f, &c, 0, 0), 0);
}

static void test_a_put_that_is_undone_sends_nothing(void **state)
{
    struct fixture *f = *state;
    struct identity_mail_message message;
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    assert_status(identity_mail_render(f->mail, &letter, f->arena, &f->problem, &message),
                  STATUS_OK);
    struct putting putting = { .f = f, .message = &message, .fails_after = true };
    spawn(f->loop, put_task, &putting);
    run_to_end(f->loop);
    assert_status(putting.st, STATUS_CONFLICT);
    assert_int_equal(waiting(f), 0);
}

/* Eight at once, of which each row goes to one. */
static void test_claims_at_once(void **state)
{
    struct fixture *f = *state;
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    for (unsigned i = 0; i < 5; i++)
        assert_status(put_one(f, f->mail, &letter), STATUS_OK);
    struct claiming claims[8];
    unsigned ours = 0;
    for (unsigned i = 0; i < ARRAY_LEN(claims); i++) {
        claims[i] =
            (struct claiming){ .f = f, .claim = uuid_v7(), .now_us = clock_wall_us(), .max = 4 };
        spawn(f->loop, claim_task, &claims[i]);
    }
    run_to_end(f->loop);
    for (unsigned i = 0; i < ARRAY_LEN(claims); i++)
        ours += claims[i].ours;
    assert_true(ours >= 4 && ours <= 5);
    ours += claim_at(f, clock_wall_us(), 16).ours;
    assert_int_equal(ours, 5);
    assert_int_equal(claim_at(f, clock_wall_us(), 16).len, 0);
}

static void test_lease(void **state)
{
    struct fixture *f = *state;
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    assert_status(put_one(f, f->mail, &letter), STATUS_OK);
    int64_t now_us = clock_wall_us();
    struct claiming first = claim_at(f, now_us, 4);
    assert_int_equal(first.ours, 1);
    assert_int_equal(claim_at(f, now_us + LEASE_US - 1, 4).len, 0);
    struct claiming second = claim_at(f, now_us + LEASE_US, 4);
    assert_int_equal(second.ours, 1);
    assert_int_equal(second.rows[0].attempts, 2);
    /* Whoever comes too late changes nothing. */
    assert_int_equal(end_of(f, &first, 0, 0), 0);
    assert_int_equal(end_of(f, &first, 0, now_us), 0);
    assert_int_equal(end_of(f, &second, 0, 0), 1);
}

static void test_retry(void **state)
{
    struct fixture *f = *state;
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    assert_status(put_one(f, f->mail, &letter), STATUS_OK);
    int64_t now_us = clock_wall_us();
    struct claiming first = claim_at(f, now_us, 4);
    assert_int_equal(end_of(f, &first, 0, now_us + CLOCK_SECOND), 1);
    assert_int_equal(end_of(f, &first, 0, 0), 0);
    assert_int_equal(claim_at(f, now_us + CLOCK_SECOND - 1, 4).len, 0);
    struct claiming second = claim_at(f, now_us + CLOCK_SECOND, 4);
    assert_int_equal(second.ours, 1);
    assert_int_equal(second.rows[0].attempts, 2);
}

/* The oldest first, and no more than asked for. */
static void test_order_and_bound(void **state)
{
    struct fixture *f = *state;
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    for (unsigned i = 0; i < IDENTITY__MAIL_CLAIM_MAX + 2; i++)
        assert_status(put_one(f, f->mail, &letter), STATUS_OK);
    struct claiming some = claim_at(f, clock_wall_us(), 2);
    assert_int_equal(some.ours, 2);
    struct claiming rest = claim_at(f, clock_wall_us(), 100);
    assert_int_equal(rest.ours, IDENTITY__MAIL_CLAIM_MAX);
    assert_true(some.rows[1].created_us <= rest.rows[0].created_us);
    for (unsigned i = 1; i < rest.len; i++)
        assert_true(rest.rows[i - 1].created_us <= rest.rows[i].created_us);
}

static void test_limit(void **state)
{
    struct fixture *f = *state;
    CLEANUP(identity_mail_close) struct identity_mail *mail = NULL;
    struct identity_mail_options options = options_of(f);
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    options.metrics = NULL;
    options.queue_max = 3;
    assert_status(open_as(f, &options, &mail), STATUS_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_status(put_one(f, mail, &letter), STATUS_OK);
    struct identity_mail_message message;
    assert_status(identity_mail_render(mail, &letter, f->arena, &f->problem, &message), STATUS_OK);
    struct putting putting = { .f = f, .message = &message };
    spawn(f->loop, put_task, &putting);
    run_to_end(f->loop);
    assert_status(putting.st, STATUS_EXHAUSTED);
    assert_slice(putting.type, SLICE("identity/mail-full"));
    assert_int_equal(waiting(f), 3);
    struct claiming claiming = claim_at(f, clock_wall_us(), 1);
    assert_int_equal(end_of(f, &claiming, 0, 0), 1);
    assert_status(put_one(f, mail, &letter), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seal),
        cmocka_unit_test_setup_teardown(test_claim_send_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_put_that_is_undone_sends_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claims_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lease, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_and_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
