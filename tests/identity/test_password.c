/* tests/identity/test_password.c - Hashing and verifying: published vectors, the normal form,
 * accounts that are not there, a queue that is full, tasks that give up, and a loop that goes on.
 */
#include "identity/password.h"

#include <sodium.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "loop.h"

#define KIB 8192u /* the least: most tests are not about cost */

static struct identity_passwords *passwords_of(uint32_t kib, uint32_t passes, unsigned threads,
                                               unsigned queue_max)
{
    struct identity_passwords *passwords = NULL;
    const struct identity_password_options options = {
        .memory_kib = kib, .passes = passes, .threads = threads, .queue_max = queue_max
    };
    assert_status(identity_passwords_new(&options, &passwords), STATUS_OK);
    return passwords;
}

struct fixture {
    struct loop *loop;
    struct identity_passwords *passwords;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->loop = loop_of_test();
    f->passwords = passwords_of(KIB, 1, 2, 64);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    loop_free(f->loop);
    identity_passwords_free(f->passwords);
    free(f);
    return 0;
}

/* One hashing or verifying in a task of its own. */
struct job {
    struct identity_passwords *passwords;
    struct slice password, stored;
    enum status status;
    struct identity_password_verdict verdict;
    char hash[IDENTITY_PASSWORD_HASH_MAX + 1];
    struct task *task;
    const char *problem_type;
    int64_t retry_after_us, ended_us;
    bool ended;
};

static void end_job(struct task *task, struct job *job)
{
    job->problem_type = task_problem(task)->type;
    job->retry_after_us = task_problem(task)->retry_after_us;
    job->ended_us = clock_mono_us();
    job->ended = true;
}

static void hash_in_task(struct task *task, void *arg)
{
    struct job *job = arg;
    struct slice stored = SLICE("");
    job->task = task;
    job->status = identity_password_hash(task, job->passwords, job->password, &stored);
    memcpy(job->hash, stored.data, stored.len);
    end_job(task, job);
}

static void verify_in_task(struct task *task, void *arg)
{
    struct job *job = arg;
    job->task = task;
    job->status =
        identity_password_verify(task, job->passwords, job->password, job->stored, &job->verdict);
    end_job(task, job);
}

static void hash(struct fixture *f, struct slice password, struct job *ret)
{
    *ret = (struct job){ .passwords = f->passwords, .password = password };
    spawn(f->loop, hash_in_task, ret);
    run_to_end(f->loop);
}

static struct identity_password_verdict verify(struct fixture *f, struct slice password,
                                               struct slice stored)
{
    struct job job = { .passwords = f->passwords, .password = password, .stored = stored };
    spawn(f->loop, verify_in_task, &job);
    run_to_end(f->loop);
    assert_status(job.status, STATUS_OK);
    return job.verdict;
}

static void assert_verdict(struct identity_password_verdict got, bool matched, bool rehash_due)
{
    assert_int_equal(got.matched, matched);
    assert_int_equal(got.rehash_due, rehash_due);
    assert_false(got.unreadable);
}

static void test_password_hash_is_verified(void **state)
{
    struct fixture *f = *state;
    struct job a, b;
    hash(f, SLICE("correct horse battery"), &a);
    hash(f, SLICE("correct horse battery"), &b);
    assert_status(a.status, STATUS_OK);
    assert_true(slice_starts(slice_cstr(a.hash), SLICE("$argon2id$v=19$m=8192,t=1,p=1$")));
    assert_string_not_equal(a.hash, b.hash);
    struct slice stored = slice_cstr(a.hash);
    assert_verdict(verify(f, SLICE("correct horse battery"), stored), true, false);
    assert_verdict(verify(f, SLICE("correct horse batterz"), stored), false, false);
    assert_verdict(verify(f, SLICE("correct horse battery "), stored), false, false);
    assert_verdict(verify(f, SLICE(""), stored), false, false);
    assert_verdict(verify(f, SLICE_NULL, stored), false, false);
}

/* The test vectors of the reference implementation of Argon2. */
static void test_password_verifies_argon2id_of_others(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *password, *stored;
    } cases[] = {
        { "password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$"
                      "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4" },
        { "password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$"
                      "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc" },
        { "password", "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$"
                      "9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg" },
        { "differentpassword", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$"
                               "C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice stored = slice_cstr(cases[i].stored);
        /* A salt of eight bytes is less than we take. */
        assert_verdict(verify(f, slice_cstr(cases[i].password), stored), true, true);
        assert_verdict(verify(f, SLICE("Password"), stored), false, false);
    }
}

/* The test vectors of crypt_blowfish. */
static void test_password_verifies_bcrypt(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct slice password;
        const char *stored;
    } cases[] = {
        { SLICE_INIT("U*U"), "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" },
        { SLICE_INIT("U*U*"), "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK" },
        { SLICE_INIT("U*U*U"), "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a" },
        { SLICE_INIT(""), "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy" },
        { SLICE_INIT("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789chars after 72 are ignored"),
          "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui" },
        { SLICE_INIT("\xa3"), "$2y$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq" },
        { SLICE_INIT("\xa3"), "$2b$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq" },
        /* A salt that somebody's generator did not write in its canonical form. */
        { SLICE_INIT("U*U"), "$2a$05$CCCCCCCCCCCCCCCCCCCCC/E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice stored = slice_cstr(cases[i].stored);
        assert_verdict(verify(f, cases[i].password, stored), true, true);
        assert_verdict(verify(f, SLICE("U*u"), stored), false, false);
    }
    /* To libcrypt this is "U*U". */
    assert_verdict(verify(f, SLICE("U*U\0x"), slice_cstr(cases[0].stored)), false, false);
}

static void test_password_rehash_is_due_when_weaker(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint32_t kib, passes;
        bool due;
    } cases[] = { { 16384, 2, false }, { 8192, 2, true }, { 16384, 1, true }, { 20480, 3, false } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct job job;
        identity_passwords_free(f->passwords);
        f->passwords = passwords_of(cases[i].kib, cases[i].passes, 1, 4);
        hash(f, SLICE("some words of mine"), &job);
        identity_passwords_free(f->passwords);
        f->passwords = passwords_of(16384, 2, 1, 4);
        struct slice stored = slice_cstr(job.hash);
        assert_verdict(verify(f, SLICE("some words of mine"), stored), true, cases[i].due);
        assert_verdict(verify(f, SLICE("other words of mine"), stored), false, false);
    }
}

#define COMPOSED                                                                                   \
    "gr\xc3\xb6\xc3\x9f"                                                                           \
    "er als du" /* o with diaeresis as one */
#define APART                                                                                      \
    "gro\xcc\x88\xc3\x9f"                                                                          \
    "er als du" /* o, and a diaeresis */
#define WIDE                                                                                       \
    "\xef\xbc\x87r\xc3\xb6\xc3\x9f"                                                                \
    "er als du" /* not a g, to be sure */
#define FULLWIDTH                                                                                  \
    "\xef\xbd\x87r\xc3\xb6\xc3\x9f"                                                                \
    "er als du" /* a fullwidth g */

static void test_password_has_one_normal_form(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = { COMPOSED, APART, FULLWIDTH };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct job job;
        hash(f, slice_cstr(texts[i]), &job);
        for (size_t j = 0; j < ARRAY_LEN(texts); j++)
            assert_verdict(verify(f, slice_cstr(texts[j]), slice_cstr(job.hash)), true, false);
        assert_verdict(verify(f, SLICE(WIDE), slice_cstr(job.hash)), false, false);
    }
    /* Case is kept, and so is a space at the end. */
    struct job job;
    hash(f, SLICE(COMPOSED), &job);
    assert_verdict(verify(f, SLICE("G" APART), slice_cstr(job.hash)), false, false);
    assert_verdict(verify(f, SLICE(COMPOSED " "), slice_cstr(job.hash)), false, false);
}

/* Another system hashed the bytes as they came. */
static void test_password_verifies_what_was_hashed_raw(void **state)
{
    struct fixture *f = *state;
    static const struct slice texts[] = { SLICE_INIT(APART), SLICE_INIT("gr\xf6\xdf"
                                                                        "er") };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char stored[crypto_pwhash_STRBYTES];
        assert_int_equal(
            crypto_pwhash_argon2id_str(stored, texts[i].data, texts[i].len, 1, KIB * 1024), 0);
        assert_verdict(verify(f, texts[i], slice_cstr(stored)), true, true);
    }
}

static void test_password_that_is_none_is_not_hashed(void **state)
{
    struct fixture *f = *state;
    struct job job;
    char *longest = malloc(IDENTITY_PASSWORD_POINTS_MAX + 1);
    assert_non_null(longest);
    memset(longest, 'x', IDENTITY_PASSWORD_POINTS_MAX + 1);
    hash(f, slice_of(longest, IDENTITY_PASSWORD_POINTS_MAX), &job);
    assert_status(job.status, STATUS_OK);
    assert_verdict(verify(f, slice_of(longest, IDENTITY_PASSWORD_POINTS_MAX), slice_cstr(job.hash)),
                   true, false);
    hash(f, slice_of(longest, IDENTITY_PASSWORD_POINTS_MAX + 1), &job);
    assert_status(job.status, STATUS_INVALID);
    assert_string_equal(job.problem_type, "identity/no-password");
    free(longest);
    hash(f, SLICE("\xff\xfe\xff\xfe\xff\xfe\xff\xfe"), &job);
    assert_status(job.status, STATUS_INVALID);
}

/* Of all threads: what a busy machine does not change. */
static int64_t cpu_us(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return t.tv_sec * CLOCK_SECOND + t.tv_nsec / 1000;
}

static int64_t time_of_verify(struct fixture *f, struct slice password, struct slice stored)
{
    int64_t least_us = INT64_MAX;
    for (unsigned i = 0; i < 7; i++) {
        int64_t start_us = cpu_us();
        assert_false(verify(f, password, stored).matched);
        least_us = MIN(least_us, cpu_us() - start_us);
    }
    return least_us;
}

static void test_password_of_nobody_takes_as_long(void **state)
{
    struct fixture *f = *state;
    struct job job;
    identity_passwords_free(f->passwords);
    f->passwords = passwords_of(0, 0, 1, 4);
    hash(f, SLICE("correct horse battery"), &job);
    assert_true(slice_starts(slice_cstr(job.hash), SLICE("$argon2id$v=19$m=19456,t=2,p=1$")));
    static const struct slice texts[] = { SLICE_INIT("wrong horse"), SLICE_INIT(APART) };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int64_t known_us = time_of_verify(f, texts[i], slice_cstr(job.hash));
        int64_t nobody_us = time_of_verify(f, texts[i], SLICE(""));
        print_message("known %lld us, nobody %lld us\n", (long long)known_us, (long long)nobody_us);
        assert_true(nobody_us > known_us * 2 / 3 && nobody_us < known_us * 3 / 2);
    }
    /* One that cannot be read is nobody's, and says so to the log. */
    struct identity_password_verdict verdict = verify(f, SLICE("x"), SLICE("{SSHA}abc"));
    assert_true(!verdict.matched && !verdict.rehash_due && verdict.unreadable);
    verdict = verify(f, SLICE("x"),
                     SLICE("$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJ"
                           "KvyOeW"));
    assert_true(!verdict.matched && verdict.unreadable);
}

/* Longer than any password: refused before the queue, for anybody. */
static void test_password_too_long_to_be_one_does_not_match(void **state)
{
    struct fixture *f = *state;
    size_t len = (size_t)4 * IDENTITY_PASSWORD_POINTS_MAX + 1;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, 'x', len);
    struct job job = { .passwords = f->passwords, .password = slice_of(text, len) };
    spawn(f->loop, verify_in_task, &job);
    assert_true(job.ended); /* without a wait */
    assert_status(job.status, STATUS_OK);
    assert_verdict(job.verdict, false, false);
    run_to_end(f->loop);
    free(text);
}

static void test_password_options_have_bounds(void **state)
{
    (void)state;
    static const struct identity_password_options cases[] = {
        { .memory_kib = 8191 },
        { .memory_kib = 262145 },
        { .memory_kib = 8192, .passes = 11 },
        { .memory_kib = 262144, .passes = 5 },
        { .threads = 100000 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct identity_passwords *passwords = NULL;
        assert_status(identity_passwords_new(&cases[i], &passwords), STATUS_INVALID);
        assert_null(passwords);
    }
    struct identity_passwords *passwords = NULL;
    assert_status(identity_passwords_new(NULL, &passwords), STATUS_OK);
    identity_passwords_free(passwords);
    identity_passwords_free(NULL);
}

static void test_password_queue_is_bounded(void **state)
{
    struct fixture *f = *state;
    enum { JOBS = 12, QUEUE = 3 };
    static struct job jobs[JOBS];
    identity_passwords_free(f->passwords);
    f->passwords = passwords_of(65536, 8, 1, QUEUE);
    unsigned refused = 0, done = 0;
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){ .passwords = f->passwords, .password = SLICE("some words") };
        spawn(f->loop, i % 2 ? verify_in_task : hash_in_task, &jobs[i]);
        if (!jobs[i].ended)
            continue;
        refused++; /* at once */
        assert_status(jobs[i].status, STATUS_EXHAUSTED);
        assert_string_equal(jobs[i].problem_type, "identity/busy");
        assert_in_range(jobs[i].retry_after_us, CLOCK_SECOND, 3 * CLOCK_SECOND);
    }
    run_to_end(f->loop);
    for (unsigned i = 0; i < JOBS; i++)
        done += jobs[i].status == STATUS_OK;
    /* Those that wait, and the one that the thread may have taken meanwhile. */
    assert_in_range(done, QUEUE, QUEUE + 1);
    assert_int_equal(done + refused, JOBS);
}

static void test_password_task_that_waits_can_give_up(void **state)
{
    struct fixture *f = *state;
    identity_passwords_free(f->passwords);
    f->passwords = passwords_of(65536, 8, 1, 8);
    struct job jobs[4];
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] = (struct job){ .passwords = f->passwords, .password = SLICE("some words") };
        spawn(f->loop, hash_in_task, &jobs[i]);
    }
    task_deadline_set(jobs[2].task, 1);
    task_cancel(jobs[3].task);
    run_to_end(f->loop);
    assert_status(jobs[0].status, STATUS_OK);
    assert_status(jobs[1].status, STATUS_OK);
    assert_status(jobs[2].status, STATUS_TIMEOUT);
    assert_status(jobs[3].status, STATUS_CANCELLED);
    assert_true(jobs[2].ended_us < jobs[0].ended_us && jobs[3].ended_us < jobs[0].ended_us);
}

struct ticker {
    unsigned ticks, left;
    int64_t gap_max_us;
};

static struct ticker ticker;

static void tick(struct task *task, void *arg)
{
    (void)arg;
    int64_t last_us = clock_mono_us();
    while (ticker.left > 0 && task_sleep(task, CLOCK_MS) == STATUS_OK) {
        int64_t now_us = clock_mono_us();
        ticker.gap_max_us = MAX(ticker.gap_max_us, now_us - last_us);
        ticker.ticks++;
        last_us = now_us;
    }
}

static void hash_and_count(struct task *task, void *arg)
{
    hash_in_task(task, arg);
    ticker.left--;
}

static void test_password_hashing_leaves_the_loop_alone(void **state)
{
    struct fixture *f = *state;
    enum { JOBS = 50 };
    static struct job jobs[JOBS];
    identity_passwords_free(f->passwords);
    f->passwords = passwords_of(0, 0, 1, JOBS);
    ticker = (struct ticker){ .left = JOBS };
    int64_t start_us = clock_mono_us();
    spawn(f->loop, tick, NULL);
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){ .passwords = f->passwords, .password = SLICE("some words") };
        spawn(f->loop, hash_and_count, &jobs[i]);
    }
    run_to_end(f->loop);
    int64_t took_us = clock_mono_us() - start_us;
    print_message("50 hashes at the default parameters: %.1f ms each, longest gap %.1f ms\n",
                  (double)took_us / JOBS / 1e3, (double)ticker.gap_max_us / 1e3);
    for (unsigned i = 0; i < JOBS; i++)
        assert_status(jobs[i].status, STATUS_OK);
    assert_true(ticker.ticks >= 10);
    assert_true(ticker.gap_max_us < took_us / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_password_hash_is_verified, setup, teardown),
        cmocka_unit_test_setup_teardown(test_password_verifies_argon2id_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_password_verifies_bcrypt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_password_rehash_is_due_when_weaker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_password_has_one_normal_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_password_verifies_what_was_hashed_raw, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_password_that_is_none_is_not_hashed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_password_of_nobody_takes_as_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_password_too_long_to_be_one_does_not_match, setup,
                                        teardown),
        cmocka_unit_test(test_password_options_have_bounds),
        cmocka_unit_test_setup_teardown(test_password_queue_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_password_task_that_waits_can_give_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_password_hashing_leaves_the_loop_alone, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
