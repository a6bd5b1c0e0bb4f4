/* tests/identity/test_refresh.c - Refresh tokens, and who asks as the cache keeps it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "identity/refresh.h"
#include "identity/who.h"

static struct identity_refresh make(const struct identity_pepper *key, uint32_t generation)
{
    struct identity_refresh refresh = { .generation = generation };
    for (unsigned i = 0; i < sizeof(refresh.session.bytes); i++)
        refresh.session.bytes[i] = (uint8_t)(i + 1);
    memset(refresh.salt, 7, sizeof(refresh.salt));
    identity_refresh_make(key, &refresh);
    return refresh;
}

static struct slice text_of(const struct identity_refresh *refresh)
{
    return slice_of(refresh->text, sizeof(refresh->text));
}

static void test_a_token_names_and_proves_its_session_and_generation(void **state)
{
    const struct identity_pepper key = identity_pepper_of(SLICE("secret"), SLICE("refresh tokens"));
    static const uint32_t generations[] = { 0, 1, 255, 256, UINT32_MAX };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(generations); i++) {
        struct identity_refresh refresh = make(&key, generations[i]),
                                again = make(&key, generations[i]);
        struct identity_refresh_claim claim;
        assert_memory_equal(refresh.text, again.text, sizeof(refresh.text));
        assert_int_equal(identity_refresh_parse(text_of(&refresh), &claim), STATUS_OK);
        assert_memory_equal(claim.session.bytes, refresh.session.bytes, 16);
        assert_int_equal(claim.generation, generations[i]);
        assert_true(identity_refresh_is_proved(&key, refresh.salt, &claim));
    }
}

static void test_nothing_of_it_can_be_another(void **state)
{
    const struct identity_pepper key = identity_pepper_of(SLICE("secret"), SLICE("refresh tokens"));
    const struct identity_pepper other =
        identity_pepper_of(SLICE("other"), SLICE("refresh tokens"));
    struct identity_refresh refresh = make(&key, 3);
    struct identity_refresh_claim claim;
    uint8_t salt[IDENTITY_REFRESH_SALT_BYTES];
    (void)state;
    assert_int_equal(identity_refresh_parse(text_of(&refresh), &claim), STATUS_OK);
    assert_false(identity_refresh_is_proved(&other, refresh.salt, &claim));
    memcpy(salt, refresh.salt, sizeof(salt));
    salt[31] ^= 1;
    assert_false(identity_refresh_is_proved(&key, salt, &claim));
    claim.generation++;
    assert_false(identity_refresh_is_proved(&key, refresh.salt, &claim));
    claim.generation--;
    claim.session.bytes[0] ^= 1;
    assert_false(identity_refresh_is_proved(&key, refresh.salt, &claim));

    /* Each character of the text counts. */
    for (size_t i = 0; i < sizeof(refresh.text); i++) {
        struct identity_refresh changed = refresh;
        changed.text[i] = changed.text[i] == 'A' ? 'B' : 'A';
        if (identity_refresh_parse(text_of(&changed), &claim) == STATUS_OK)
            assert_false(identity_refresh_is_proved(&key, refresh.salt, &claim));
    }
}

static void test_what_has_not_the_form_is_refused(void **state)
{
    const struct identity_pepper key = identity_pepper_of(SLICE("secret"), SLICE("refresh tokens"));
    struct identity_refresh refresh = make(&key, 0);
    struct identity_refresh_claim claim;
    char text[IDENTITY_REFRESH_LEN + 1];
    (void)state;
    memcpy(text, refresh.text, sizeof(refresh.text));
    text[IDENTITY_REFRESH_LEN] = 'A';
    for (size_t len = 0; len <= sizeof(text); len++) {
        enum status want = len == IDENTITY_REFRESH_LEN ? STATUS_OK : STATUS_INVALID;
        assert_int_equal(identity_refresh_parse(slice_of(text, len), &claim), want);
    }
    text[IDENTITY_REFRESH_LEN - 1] = '=';
    assert_int_equal(identity_refresh_parse(slice_of(text, IDENTITY_REFRESH_LEN), &claim),
                     STATUS_INVALID);
    assert_int_equal(identity_refresh_parse(SLICE_NULL, &claim), STATUS_INVALID);
}

static void test_who_asks_comes_back_as_it_was(void **state)
{
    static const struct slice roles[] = { SLICE_INIT("admin"), SLICE_INIT(""), SLICE_INIT("a:b") };
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct identity_who who = { .has_user = true,
                                .has_session = true,
                                .methods = IDENTITY_METHOD_PASSWORD | IDENTITY_METHOD_TOTP,
                                .auth_us = 5,
                                .expires_us = INT64_MAX,
                                .generation = -1,
                                .client_id = SLICE("web"),
                                .scope = SLICE("openid posts:read"),
                                .roles = roles,
                                .roles_len = ARRAY_LEN(roles) };
    struct slice packed;
    struct identity_who back;
    (void)state;
    memset(who.user.bytes, 9, sizeof(who.user.bytes));
    assert_int_equal(identity_who_pack(arena, &who, &packed), STATUS_OK);
    assert_int_equal(identity_who_unpack(arena, packed, &back), STATUS_OK);
    assert_memory_equal(back.user.bytes, who.user.bytes, sizeof(who.user.bytes));
    assert_true(back.has_user && back.has_session && !back.is_cookie);
    assert_int_equal(back.methods, who.methods);
    assert_int_equal(back.generation, -1);
    assert_true(slice_eq(back.client_id, who.client_id));
    assert_true(slice_eq(back.scope, who.scope));
    assert_int_equal(back.roles_len, ARRAY_LEN(roles));
    for (unsigned i = 0; i < ARRAY_LEN(roles); i++)
        assert_true(slice_eq(back.roles[i], roles[i]));

    /* Nothing is kept of what is too long to be kept. */
    char long_scope[IDENTITY_WHO_BYTES_MAX];
    memset(long_scope, 'a', sizeof(long_scope));
    who.scope = slice_of(long_scope, sizeof(long_scope));
    assert_int_equal(identity_who_pack(arena, &who, &packed), STATUS_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_names_and_proves_its_session_and_generation),
        cmocka_unit_test(test_nothing_of_it_can_be_another),
        cmocka_unit_test(test_what_has_not_the_form_is_refused),
        cmocka_unit_test(test_who_asks_comes_back_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
