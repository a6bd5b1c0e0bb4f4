/* tests/identity/test_recovery.c - Recovery codes: their alphabet, how they may be typed, and whose
 * they are. */
#include "identity/recovery.h"

#include <string.h>

#include "base/macros.h"
#include "fixture.h"

static struct identity_pepper pepper_of_test(void)
{
    return identity_pepper_of(SLICE("the secret of this installation"), SLICE("recovery"));
}

static void test_recovery_codes_are_ten_and_readable(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        struct identity_recovery codes;
        identity_recovery_make(&codes);
        for (unsigned i = 0; i < IDENTITY_RECOVERY_CODES; i++) {
            for (unsigned at = 0; at < IDENTITY_RECOVERY_TEXT_LEN; at++) {
                char c = codes.texts[i][at];
                if (at % 5 == 4)
                    assert_int_equal(c, '-');
                else
                    assert_non_null(memchr("0123456789ABCDEFGHJKMNPQRSTVWXYZ", c, 32));
            }
            for (unsigned j = 0; j < i; j++)
                assert_memory_not_equal(codes.texts[i], codes.texts[j], IDENTITY_RECOVERY_TEXT_LEN);
        }
        identity_recovery_wipe(&codes);
        assert_int_equal(codes.texts[9][18], 0);
    }
}

static void test_recovery_code_is_read_as_people_type_it(void **state)
{
    (void)state;
    struct identity_pepper pepper = pepper_of_test();
    struct identity_digest want, got;
    assert_status(
        identity_recovery_read(&pepper, SLICE("ann"), SLICE("7K01-M9XA-04TN-1VHB"), &want),
        STATUS_OK);
    static const char *const same[] = { "7k01-m9xa-04tn-1vhb", "7K01M9XA04TN1VHB",
                                        " 7KO1 M9XA O4TN lvhb ", "7koi--m9xa-o4tn-ivhb" };
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        assert_status(identity_recovery_read(&pepper, SLICE("ann"), slice_cstr(same[i]), &got),
                      STATUS_OK);
        assert_true(identity_digest_eq(&got, &want));
    }
    static const struct slice refused[] = {
        SLICE_INIT(""),
        SLICE_INIT("7K01-M9XA-04TN-1VH"),
        SLICE_INIT("7K01-M9XA-04TN-1VHBB"),
        SLICE_INIT("7K01-M9XA-04TN-1VHU"),
        SLICE_INIT("7K01-M9XA-04TN-1VH\0"),
        SLICE_INIT("7K01-M9XA-04TN-1VH\xc3\xa9"),
        SLICE_INIT("7K01_M9XA_04TN_1VHB"),
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        assert_status(identity_recovery_read(&pepper, SLICE("ann"), refused[i], &got),
                      STATUS_INVALID);
}

static void test_recovery_code_is_one_accounts_and_one_installations(void **state)
{
    (void)state;
    struct identity_pepper pepper = pepper_of_test(),
                           other = identity_pepper_of(SLICE("another"), SLICE("recovery"));
    struct identity_digest ann, bob, elsewhere;
    struct slice code = SLICE("7K01-M9XA-04TN-1VHB");
    assert_status(identity_recovery_read(&pepper, SLICE("ann"), code, &ann), STATUS_OK);
    assert_status(identity_recovery_read(&pepper, SLICE("bob"), code, &bob), STATUS_OK);
    assert_status(identity_recovery_read(&other, SLICE("ann"), code, &elsewhere), STATUS_OK);
    assert_false(identity_digest_eq(&ann, &bob));
    assert_false(identity_digest_eq(&ann, &elsewhere));
}

static void test_recovery_code_is_found_where_it_is(void **state)
{
    (void)state;
    struct identity_pepper pepper = pepper_of_test();
    struct identity_recovery codes;
    struct identity_digest digests[IDENTITY_RECOVERY_CODES];
    identity_recovery_make(&codes);
    for (unsigned i = 0; i < IDENTITY_RECOVERY_CODES; i++)
        assert_status(identity_recovery_read(&pepper, SLICE("ann"),
                                             slice_of(codes.texts[i], IDENTITY_RECOVERY_TEXT_LEN),
                                             &digests[i]),
                      STATUS_OK);
    for (unsigned i = 0; i < IDENTITY_RECOVERY_CODES; i++)
        assert_int_equal(identity_recovery_find(digests, IDENTITY_RECOVERY_CODES, &digests[i]), i);
    struct identity_digest other = digests[3];
    other.bytes[31] ^= 1;
    assert_int_equal(identity_recovery_find(digests, IDENTITY_RECOVERY_CODES, &other),
                     IDENTITY_RECOVERY_CODES);
    assert_int_equal(identity_recovery_find(digests, 0, &digests[0]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovery_codes_are_ten_and_readable),
        cmocka_unit_test(test_recovery_code_is_read_as_people_type_it),
        cmocka_unit_test(test_recovery_code_is_one_accounts_and_one_installations),
        cmocka_unit_test(test_recovery_code_is_found_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
