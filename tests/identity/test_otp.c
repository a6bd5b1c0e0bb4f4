/* tests/identity/test_otp.c - Codes of authenticator apps by the vectors of their RFCs, at the
 * edges of their window, used twice, and their URI. */
#include "identity/otp.h"

#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "fixture.h"

/* RFC 6238 appendix B: the secret is as long as the digest. */
static struct identity_otp otp_of_rfc(enum identity_otp_alg alg)
{
    static const char digits[] = "1234567890123456789012345678901234567890123456789012345678901234";
    static const size_t lens[] = { 20, 32, 64 };
    struct identity_otp otp = { .alg = alg, .digits = 8, .secret_len = lens[alg] };
    memcpy(otp.secret, digits, otp.secret_len);
    return otp;
}

static void test_otp_has_the_vectors_of_rfc_6238(void **state)
{
    (void)state;
    static const struct {
        int64_t time_s;
        const char *codes[3]; /* by algorithm */
    } cases[] = {
        { 59, { "94287082", "46119246", "90693936" } },
        { 1111111109, { "07081804", "68084774", "25091201" } },
        { 1111111111, { "14050471", "67062674", "99943326" } },
        { 1234567890, { "89005924", "91819424", "93441116" } },
        { 2000000000, { "69279037", "90698825", "38618901" } },
        { 20000000000, { "65353130", "77737706", "47863826" } },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (unsigned alg = 0; alg < 3; alg++) {
            struct identity_otp otp = otp_of_rfc((enum identity_otp_alg)alg);
            struct slice want = slice_cstr(cases[i].codes[alg]);
            char code[IDENTITY_OTP_DIGITS_MAX];
            int64_t step = 0;
            identity_otp_code(&otp, cases[i].time_s / 30, code);
            assert_slice(slice_of(code, 8), want);
            assert_status(identity_otp_check(&otp, want, cases[i].time_s * CLOCK_SECOND,
                                             IDENTITY_OTP_STEP_NONE, &step),
                          STATUS_OK);
            assert_int_equal(step, cases[i].time_s / 30);
        }
    }
}

static void test_otp_has_the_vectors_of_rfc_4226(void **state)
{
    (void)state;
    static const char *const codes[] = { "755224", "287082", "359152", "969429", "338314",
                                         "254676", "287922", "162583", "399871", "520489" };
    struct identity_otp otp = otp_of_rfc(IDENTITY_OTP_SHA1);
    otp.digits = 0; /* six */
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        char code[IDENTITY_OTP_DIGITS_MAX];
        identity_otp_code(&otp, (int64_t)i, code);
        assert_slice(slice_of(code, 6), slice_cstr(codes[i]));
    }
}

/* A factor whose codes of neighbouring steps differ, at a time in the middle of step 100. */
struct window {
    struct identity_otp otp;
    int64_t now_us;
    char codes[5][IDENTITY_OTP_DIGITS_MAX]; /* of the steps 98 to 102 */
};

static int setup(void **state)
{
    struct window *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->otp = otp_of_rfc(IDENTITY_OTP_SHA1);
    w->otp.digits = 6;
    w->now_us = 100 * 30 * CLOCK_SECOND + 15 * CLOCK_SECOND;
    for (unsigned i = 0; i < ARRAY_LEN(w->codes); i++)
        identity_otp_code(&w->otp, 98 + i, w->codes[i]);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static enum status check(const struct window *w, int64_t step, int64_t last, int64_t *ret_step)
{
    return identity_otp_check(&w->otp, slice_of(w->codes[step - 98], 6), w->now_us, last, ret_step);
}

static void test_otp_holds_a_step_to_either_side(void **state)
{
    struct window *w = *state;
    for (int64_t step = 98; step <= 102; step++) {
        int64_t got = -1;
        bool near = step >= 99 && step <= 101;
        assert_status(check(w, step, IDENTITY_OTP_STEP_NONE, &got),
                      near ? STATUS_OK : STATUS_UNAUTHENTICATED);
        assert_int_equal(got, near ? step : -1);
    }
    /* The last microsecond of its window and the first behind it. */
    int64_t got = -1;
    w->now_us = 102 * 30 * CLOCK_SECOND - 1;
    assert_status(check(w, 100, IDENTITY_OTP_STEP_NONE, &got), STATUS_OK);
    w->now_us++;
    assert_status(check(w, 100, IDENTITY_OTP_STEP_NONE, &got), STATUS_UNAUTHENTICATED);
}

static void test_otp_holds_once(void **state)
{
    struct window *w = *state;
    int64_t last = IDENTITY_OTP_STEP_NONE;
    assert_status(check(w, 100, last, &last), STATUS_OK);
    assert_status(check(w, 100, last, &last), STATUS_CONFLICT);
    /* An older one, seen over a shoulder, is used up with it. */
    assert_status(check(w, 99, last, &last), STATUS_CONFLICT);
    assert_int_equal(last, 100);
    assert_status(check(w, 101, last, &last), STATUS_OK);
    assert_int_equal(last, 101);
    assert_status(check(w, 101, last, &last), STATUS_CONFLICT);
    /* What is wrong is wrong, whatever was used. */
    assert_status(identity_otp_check(&w->otp, SLICE("000000"), w->now_us, last, &last),
                  STATUS_UNAUTHENTICATED);
}

static void test_otp_is_read_as_people_type_it(void **state)
{
    struct window *w = *state;
    char typed[8];
    const char *c = w->codes[2];
    memcpy(typed, (char[]){ c[0], c[1], c[2], ' ', c[3], c[4], c[5], '-' }, sizeof(typed));
    const struct {
        const char *name;
        struct slice code;
        enum status want;
    } cases[] = {
        { "in two groups", slice_of(typed, 8), STATUS_OK },
        { "five digits", slice_of(c, 5), STATUS_UNAUTHENTICATED },
        { "none", SLICE(""), STATUS_UNAUTHENTICATED },
        { "spaces", SLICE("      "), STATUS_UNAUTHENTICATED },
        { "letters", SLICE("abcdef"), STATUS_UNAUTHENTICATED },
        { "a zero byte", SLICE("12345\0"), STATUS_UNAUTHENTICATED },
        { "seven digits", SLICE("1234567"), STATUS_UNAUTHENTICATED },
        { "a hundred",
          SLICE("11111111111111111111111111111111111111111111111111"
                "11111111111111111111111111111111111111111111111111"),
          STATUS_UNAUTHENTICATED },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t step;
        print_message("%s\n", cases[i].name);
        assert_status(
            identity_otp_check(&w->otp, cases[i].code, w->now_us, IDENTITY_OTP_STEP_NONE, &step),
            cases[i].want);
    }
}

static void test_otp_has_its_own_period(void **state)
{
    struct window *w = *state;
    int64_t step = 0;
    w->otp.period_s = 60;
    w->now_us = 100 * 60 * CLOCK_SECOND;
    assert_status(check(w, 101, IDENTITY_OTP_STEP_NONE, &step), STATUS_OK);
    assert_int_equal(step, 101);
}

static void test_otp_makes_secrets_and_reads_them(void **state)
{
    (void)state;
    struct identity_otp a, b;
    identity_otp_make(&a);
    identity_otp_make(&b);
    assert_int_equal(a.secret_len, 20);
    assert_memory_not_equal(a.secret, b.secret, 20);
    static const struct {
        const char *text;
        enum status want;
        size_t len;
    } cases[] = {
        { "JBSW Y3DP EHPK 3PXP", STATUS_OK, 10 },
        { "JBSWY3DPEHPK3PQ", STATUS_INVALID, 0 }, /* nine bytes */
        { "JBSWY3DPEHPK3PX0", STATUS_INVALID, 0 },
        { "", STATUS_INVALID, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memset(&a, 0, sizeof(a));
        assert_status(identity_otp_read(slice_cstr(cases[i].text), &a), cases[i].want);
        assert_int_equal(a.secret_len, cases[i].len);
    }
    char longest[104]; /* 64 bytes come to 103 characters */
    memset(longest, 'A', sizeof(longest));
    assert_status(identity_otp_read(slice_of(longest, 103), &a), STATUS_OK);
    assert_int_equal(a.secret_len, IDENTITY_OTP_SECRET_BYTES_MAX);
    assert_status(identity_otp_read(slice_of(longest, 104), &a), STATUS_TOO_LARGE);
}

static void test_otp_uri_is_escaped(void **state)
{
    (void)state;
    struct identity_otp otp;
    assert_status(identity_otp_read(SLICE("JBSWY3DPEHPK3PXP"), &otp), STATUS_OK);
    static const struct {
        struct slice issuer, account;
        const char *want;
    } cases[] = {
        { SLICE_INIT("Purlin"), SLICE_INIT("ann@example.org"),
          "otpauth://totp/Purlin:ann%40example.org?secret=JBSWY3DPEHPK3PXP&issuer=Purlin"
          "&algorithm=SHA1&digits=6&period=30" },
        { SLICE_INIT("A&B: C?"), SLICE_INIT("a:b#/\xc3\xa9"),
          "otpauth://totp/A%26B%20%20C%3F:a%20b%23%2F%C3%A9?secret=JBSWY3DPEHPK3PXP"
          "&issuer=A%26B%20%20C%3F&algorithm=SHA1&digits=6&period=30" },
        { SLICE_INIT(""), SLICE_INIT("ann"),
          "otpauth://totp/ann?secret=JBSWY3DPEHPK3PXP&algorithm=SHA1&digits=6&period=30" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b;
        buf_init(&b, NULL, 0, 512);
        identity_otp_put_uri(&b, &otp, cases[i].issuer, cases[i].account);
        assert_slice(buf_slice(&b), slice_cstr(cases[i].want));
        buf_fini(&b);
    }
    otp.alg = IDENTITY_OTP_SHA256;
    otp.digits = 8;
    otp.period_s = 60;
    struct buf b;
    buf_init(&b, NULL, 0, 512);
    identity_otp_put_uri(&b, &otp, SLICE("P"), SLICE("a"));
    assert_slice(buf_slice(&b), SLICE("otpauth://totp/P:a?secret=JBSWY3DPEHPK3PXP&issuer=P"
                                      "&algorithm=SHA256&digits=8&period=60"));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_otp_has_the_vectors_of_rfc_6238),
        cmocka_unit_test(test_otp_has_the_vectors_of_rfc_4226),
        cmocka_unit_test_setup_teardown(test_otp_holds_a_step_to_either_side, setup, teardown),
        cmocka_unit_test_setup_teardown(test_otp_holds_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_otp_is_read_as_people_type_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_otp_has_its_own_period, setup, teardown),
        cmocka_unit_test(test_otp_makes_secrets_and_reads_them),
        cmocka_unit_test(test_otp_uri_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
