/* Challenges hold for one ceremony and occasion, for five minutes, over a change of the secret. */
#include "fixture.h"

#include "identity/challenge.h"
#include "identity/room.h"

#define NOW_US (1000 * CLOCK_HOUR)

static struct identity with_secrets(const char *secret, const char *previous)
{
    struct identity identity = { .secrets_len = previous ? 2 : 1 };
    identity.code_keys[0] = identity_pepper_of(slice_cstr(secret), SLICE("codes"));
    if (previous)
        identity.code_keys[1] = identity_pepper_of(slice_cstr(previous), SLICE("codes"));
    return identity;
}

static enum status check(const struct identity *identity, enum identity_ceremony ceremony,
                         struct slice occasion, const struct identity_challenge *challenge,
                         int64_t now_us)
{
    struct identity_challenge ret;
    return identity_challenge_check(
        identity, ceremony, occasion,
        slice_of((const char *)challenge->bytes, sizeof(challenge->bytes)), now_us, &ret);
}

static void test_challenge_holds_for_what_it_was_made(void **state)
{
    (void)state;
    struct identity identity = with_secrets("one", NULL);
    struct slice session = SLICE("a session's id..");
    struct identity_challenge challenge =
        identity_challenge_make(&identity, IDENTITY_CEREMONY_ADD, session, NOW_US);
    assert_status(check(&identity, IDENTITY_CEREMONY_ADD, session, &challenge, NOW_US), STATUS_OK);
    assert_status(check(&identity, IDENTITY_CEREMONY_PROVE, session, &challenge, NOW_US),
                  STATUS_UNAUTHENTICATED);
    assert_status(check(&identity, IDENTITY_CEREMONY_LOGIN, session, &challenge, NOW_US),
                  STATUS_UNAUTHENTICATED);
    assert_status(
        check(&identity, IDENTITY_CEREMONY_ADD, SLICE("another session"), &challenge, NOW_US),
        STATUS_UNAUTHENTICATED);
    for (size_t i = 0; i < sizeof(challenge.bytes); i++) {
        challenge.bytes[i] ^= 0x80;
        assert_status(check(&identity, IDENTITY_CEREMONY_ADD, session, &challenge, NOW_US),
                      STATUS_UNAUTHENTICATED);
        challenge.bytes[i] ^= 0x80;
    }
}

static void test_challenge_is_over_after_five_minutes(void **state)
{
    (void)state;
    struct identity identity = with_secrets("one", NULL);
    struct identity_challenge challenge =
        identity_challenge_make(&identity, IDENTITY_CEREMONY_LOGIN, SLICE_NULL, NOW_US);
    const int64_t end_us = NOW_US + 5 * CLOCK_MINUTE;
    assert_status(check(&identity, IDENTITY_CEREMONY_LOGIN, SLICE_NULL, &challenge, end_us - 1),
                  STATUS_OK);
    assert_status(check(&identity, IDENTITY_CEREMONY_LOGIN, SLICE_NULL, &challenge, end_us),
                  STATUS_UNAUTHENTICATED);
}

static void test_challenge_survives_a_change_of_secret(void **state)
{
    (void)state;
    struct identity one = with_secrets("one", NULL), both = with_secrets("two", "one");
    struct identity two = with_secrets("two", NULL);
    struct identity_challenge challenge =
        identity_challenge_make(&one, IDENTITY_CEREMONY_LOGIN, SLICE_NULL, NOW_US);
    assert_status(check(&both, IDENTITY_CEREMONY_LOGIN, SLICE_NULL, &challenge, NOW_US), STATUS_OK);
    assert_status(check(&two, IDENTITY_CEREMONY_LOGIN, SLICE_NULL, &challenge, NOW_US),
                  STATUS_UNAUTHENTICATED);
}

static void test_challenge_of_another_length(void **state)
{
    (void)state;
    struct identity identity = with_secrets("one", NULL);
    char bytes[IDENTITY_CHALLENGE_BYTES + 1] = { 0 };
    struct identity_challenge ret;
    for (size_t len = 0; len <= sizeof(bytes); len++)
        assert_status(identity_challenge_check(&identity, IDENTITY_CEREMONY_LOGIN, SLICE_NULL,
                                               slice_of(bytes, len), 0, &ret),
                      STATUS_UNAUTHENTICATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_challenge_holds_for_what_it_was_made),
        cmocka_unit_test(test_challenge_is_over_after_five_minutes),
        cmocka_unit_test(test_challenge_survives_a_change_of_secret),
        cmocka_unit_test(test_challenge_of_another_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
