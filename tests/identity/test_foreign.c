/* What providers say of people, where a sign-in may end, and names that are made up. */
#include "fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "identity/apple.h"
#include "identity/foreign.h"
#include "identity/foreign_claims.h"
#include "identity/foreign_profile.h"
#include "identity/room.h"

static void test_return_only_where_it_may(void **state)
{
    (void)state;
    const struct identity identity = {
        .issuer = SLICE("https://api.example.org/base"),
        .options = { .return_origins = SLICE("https://app.example.org, http://localhost:3000") },
    };
    static const struct {
        const char *to;
        bool is_good, is_path;
    } rows[] = {
        { "/", true, true },
        { "/app?a=1&b=%2F#c", true, true },
        { "https://api.example.org/x", true, false },
        { "https://app.example.org", true, false },
        { "https://app.example.org?x=1", true, false },
        { "http://localhost:3000/cb", true, false },
        { "http://localhost:3001/cb", false, false },
        { "https://app.example.org:8443/", false, false },
        { "http://app.example.org/", false, false },
        { "https://app.example.org.evil.example", false, false },
        { "https://app.example.org@evil.example", false, false },
        { "https://app.example.org#@evil.example", false, false },
        { "//evil.example", false, false },
        { "/\\evil.example", false, false },
        { "\\\\evil.example", false, false },
        { "/a b", false, false },
        { "/a\tb", false, false },
        { "/\"x", false, false },
        { "/\xc3\xa9", false, false },
        { "javascript:alert(1)", false, false },
        { "app", false, false },
        { "", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (identity_return_is_good(&identity, slice_cstr(rows[i].to)) != rows[i].is_good)
            fail_msg("%s: good is not %d", rows[i].to, rows[i].is_good);
        if (identity_return_is_path(slice_cstr(rows[i].to)) != rows[i].is_path)
            fail_msg("%s: path is not %d", rows[i].to, rows[i].is_path);
    }
    char longest[IDENTITY_RETURN_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    longest[0] = '/';
    assert_true(identity_return_is_path(slice_of(longest, IDENTITY_RETURN_MAX)));
    assert_false(identity_return_is_path(slice_of(longest, IDENTITY_RETURN_MAX + 1)));
}

static void test_claims_say_what_is_verified(void **state)
{
    (void)state;
    static const struct {
        enum identity_preset preset;
        const char *claims;
        bool is_verified, is_owner;
    } rows[] = {
        { IDENTITY_PRESET_OIDC, "{\"email\":\"a@gmail.com\",\"email_verified\":true}", true,
          false },
        { IDENTITY_PRESET_OIDC, "{\"email\":\"a@b.org\",\"email_verified\":\"true\"}", true,
          false },
        { IDENTITY_PRESET_OIDC, "{\"email\":\"a@b.org\",\"email_verified\":1}", false, false },
        { IDENTITY_PRESET_OIDC, "{\"email\":\"a@b.org\",\"email_verified\":\"false\"}", false,
          false },
        { IDENTITY_PRESET_OIDC, "{\"email\":\"a@b.org\"}", false, false },
        { IDENTITY_PRESET_OIDC, "{\"email_verified\":true}", false, false },
        { IDENTITY_PRESET_OIDC, "{\"email\":7,\"email_verified\":true}", false, false },
        { IDENTITY_PRESET_OIDC, "{\"email\":\"a\\nb@c.org\",\"email_verified\":true}", false,
          false },
        { IDENTITY_PRESET_GOOGLE, "{\"email\":\"a@gmail.com\",\"email_verified\":true}", true,
          true },
        { IDENTITY_PRESET_GOOGLE, "{\"email\":\"a@gmail.com\",\"email_verified\":false}", false,
          false },
        { IDENTITY_PRESET_GOOGLE, "{\"email\":\"a@b.org\",\"email_verified\":true}", true, false },
        { IDENTITY_PRESET_GOOGLE, "{\"email\":\"a@xgmail.com\",\"email_verified\":true}", true,
          false },
        { IDENTITY_PRESET_GOOGLE,
          "{\"email\":\"a@b.org\",\"email_verified\":true,\"hd\":\"b.org\"}", true, true },
        { IDENTITY_PRESET_MICROSOFT, "{\"email\":\"a@b.org\",\"email_verified\":true}", false,
          false },
        { IDENTITY_PRESET_MICROSOFT, "{\"email\":\"a@b.org\",\"xms_edov\":true}", true, false },
        { IDENTITY_PRESET_MICROSOFT, "{\"email\":\"a@b.org\",\"xms_edov\":false}", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *arena = arena_new(NULL, 0);
        const struct identity_provider provider = { .preset = rows[i].preset };
        struct identity_foreign_person person = { .email = SLICE_NULL };
        json_t *claims;
        assert_status(
            json_read(arena, slice_cstr(rows[i].claims), JSON_LIMITS_DEFAULT, &claims, NULL),
            STATUS_OK);
        identity_oidc_claims_read(&provider, claims, &person);
        if (person.is_verified != rows[i].is_verified || person.is_owner != rows[i].is_owner)
            fail_msg("row %zu %s: %d %d", i, rows[i].claims, person.is_verified, person.is_owner);
        arena_free(arena);
    }
}

static void test_github_people(void **state)
{
    (void)state;
    static const struct {
        const char *user;
        enum status want;
        const char *subject;
    } users[] = {
        { "{\"id\":583231,\"login\":\"octocat\",\"name\":null}", STATUS_OK, "583231" },
        { "{\"id\":9007199254740993,\"login\":\"o\"}", STATUS_OK, "9007199254740993" },
        { "{\"id\":\"583231\"}", STATUS_INVALID, NULL },
        { "{\"id\":1.5}", STATUS_INVALID, NULL },
        { "{\"id\":0}", STATUS_INVALID, NULL },
        { "{\"id\":-1}", STATUS_INVALID, NULL },
        { "{\"message\":\"Bad credentials\"}", STATUS_INVALID, NULL },
        { "[]", STATUS_INVALID, NULL },
        { "", STATUS_INVALID, NULL },
    };
    static const struct {
        const char *emails;
        enum status want;
        const char *email;
        bool is_verified;
    } lists[] = {
        { "[{\"email\":\"a@b.org\",\"primary\":false,\"verified\":true},"
          "{\"email\":\"c@b.org\",\"primary\":true,\"verified\":true}]",
          STATUS_OK, "c@b.org", true },
        { "[{\"email\":\"c@b.org\",\"primary\":true,\"verified\":false}]", STATUS_OK, "c@b.org",
          false },
        { "[{\"email\":\"c@b.org\",\"verified\":true}]", STATUS_OK, "", false },
        { "[{\"primary\":true,\"verified\":true}]", STATUS_OK, "", false },
        { "[7,null]", STATUS_OK, "", false },
        { "[]", STATUS_OK, "", false },
        { "{\"message\":\"Not Found\"}", STATUS_INVALID, "", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(users); i++) {
        struct arena *arena = arena_new(NULL, 0);
        struct identity_foreign_person person = { .subject = SLICE_NULL };
        assert_status(identity_github_user_read(arena, slice_cstr(users[i].user), &person),
                      users[i].want);
        if (users[i].subject)
            assert_slice(person.subject, slice_cstr(users[i].subject));
        arena_free(arena);
    }
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct arena *arena = arena_new(NULL, 0);
        struct identity_foreign_person person = { .email = SLICE_NULL };
        assert_status(identity_github_emails_read(arena, slice_cstr(lists[i].emails), &person),
                      lists[i].want);
        assert_slice(person.email, slice_cstr(lists[i].email));
        assert_int_equal(person.is_verified, lists[i].is_verified);
        arena_free(arena);
    }
}

static void test_handles_are_made_up(void **state)
{
    (void)state;
    static const struct {
        const char *handle, *name, *email, *want;
    } rows[] = {
        { "octocat", "The Octocat", "o@b.org", "octocat0007" },
        { "", "Grace Hopper", "g@b.org", "grace_hopper0007" },
        { "Ada.L@contoso.example", "", "", "ada_l0007" },
        { "", "", "x.y+z@b.org", "x_y_z0007" },
        { "", "\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd", "", "person0007" },
        { "7up", "", "", "up0007" },
        { "__", "", "", "person0007" },
        { "abcdefghijklmnopqrstuvwxyz", "", "", "abcdefghijklmnopqrst0007" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *arena = arena_new(NULL, 0);
        const struct identity_foreign_person person = { .handle = slice_cstr(rows[i].handle),
                                                        .name = slice_cstr(rows[i].name),
                                                        .email = slice_cstr(rows[i].email) };
        assert_slice(identity_foreign_handle(arena, &person, 10007), slice_cstr(rows[i].want));
        arena_free(arena);
    }
}

/* A new key, in PEM. */
static struct slice make_pem(struct arena *arena, EVP_PKEY *key, bool is_public)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    struct slice pem;
    int good = is_public ? PEM_write_bio_PUBKEY(bio, key)
                         : PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    assert_int_equal(good, 1);
    long len = BIO_get_mem_data(bio, &text);
    assert_status(arena_copy(arena, slice_of(text, (size_t)len), &pem), STATUS_OK);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return pem;
}

static void test_apple_takes_keys_of_p256_only(void **state)
{
    (void)state;
    struct arena *arena = arena_new(NULL, 0);
    const struct {
        struct slice pem;
        bool want;
    } rows[] = {
        { make_pem(arena, EVP_EC_gen("P-256"), false), true },
        { make_pem(arena, EVP_EC_gen("P-256"), true), false },
        { make_pem(arena, EVP_EC_gen("P-384"), false), false },
        { make_pem(arena, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), false), false },
        { SLICE("-----BEGIN PRIVATE KEY-----"), false },
        { SLICE(""), false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *reason = NULL;
        if (identity_apple_key_check(rows[i].pem, arena, &reason) != rows[i].want)
            fail_msg("row %zu", i);
        assert_non_null(reason);
    }
    arena_free(arena);
}

static void test_apple_secret_is_signed_for_apple(void **state)
{
    (void)state;
    struct arena *arena = arena_new(NULL, 0);
    const struct identity_provider provider = { .issuer = SLICE("https://appleid.apple.com"),
                                                .client_id = SLICE("org.example.web"),
                                                .team_id = SLICE("TEAM123456"),
                                                .key_id = SLICE("KEY1234567"),
                                                .private_key =
                                                    make_pem(arena, EVP_EC_gen("P-256"), false) };
    struct slice secret;
    assert_status(identity_apple_secret_make(&provider, arena, 1700000000 * CLOCK_SECOND, &secret),
                  STATUS_OK);
    assert_slice(identity_claimed_issuer(arena, secret), SLICE("TEAM123456"));
    const struct identity_provider broken = { .private_key = SLICE("x") };
    assert_status(identity_apple_secret_make(&broken, arena, 0, &secret), STATUS_INTERNAL);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_return_only_where_it_may),
        cmocka_unit_test(test_claims_say_what_is_verified),
        cmocka_unit_test(test_github_people),
        cmocka_unit_test(test_handles_are_made_up),
        cmocka_unit_test(test_apple_takes_keys_of_p256_only),
        cmocka_unit_test(test_apple_secret_is_signed_for_apple),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
