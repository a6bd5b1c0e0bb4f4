/* tests/identity/test_password_read.c - Stored hashes as others write them, and what is none. */
#include <string.h>

#include "base/macros.h"
#include "fixture.h"
#include "identity/password.h"

#define SALT "c29tZXNhbHQ"
#define HASH "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
#define SALT48 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define HASH64 SALT48 "AAAAAAAAAAAAAAAAAAAAAA"
#define BCRYPT_REST "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

static void test_password_read_tells_parameters(void **state)
{
    (void)state;
    struct identity_password_info info;
    assert_status(
        identity_password_read(SLICE("$argon2id$v=19$m=19456,t=2,p=3$" SALT "$" HASH), &info),
        STATUS_OK);
    assert_int_equal(info.scheme, IDENTITY_PASSWORD_ARGON2ID);
    assert_int_equal(info.memory_kib, 19456);
    assert_int_equal(info.passes, 2);
    assert_int_equal(info.lanes, 3);
    assert_int_equal(info.salt_bytes, 8);
    assert_int_equal(info.hash_bytes, 32);
    assert_status(identity_password_read(SLICE("$2y$12$" BCRYPT_REST), &info), STATUS_OK);
    assert_int_equal(info.scheme, IDENTITY_PASSWORD_BCRYPT);
    assert_int_equal(info.cost, 12);
}

static void test_password_read_judges(void **state)
{
    (void)state;
    static const struct {
        const char *name, *stored;
        enum status want;
    } cases[] = {
        { "the longest", "$argon2id$v=19$m=262144,t=4,p=16$" SALT48 "$" HASH64, STATUS_OK },
        { "the least", "$argon2id$v=19$m=8,t=1,p=1$" SALT "$AAAAAAAAAAAAAAAAAAAAAA", STATUS_OK },
        { "nothing", "", STATUS_INVALID },
        { "plain text", "secret", STATUS_INVALID },
        { "Argon2i", "$argon2i$v=19$m=256,t=2,p=1$" SALT "$" HASH, STATUS_INVALID },
        { "version 16", "$argon2id$v=16$m=256,t=2,p=1$" SALT "$" HASH, STATUS_INVALID },
        { "no version", "$argon2id$m=256,t=2,p=1$" SALT "$" HASH, STATUS_INVALID },
        { "no memory", "$argon2id$v=19$m=0,t=2,p=1$" SALT "$" HASH, STATUS_INVALID },
        { "a number missing", "$argon2id$v=19$m=,t=2,p=1$" SALT "$" HASH, STATUS_INVALID },
        { "a leading zero", "$argon2id$v=19$m=0256,t=2,p=1$" SALT "$" HASH, STATUS_INVALID },
        { "a sign", "$argon2id$v=19$m=+256,t=2,p=1$" SALT "$" HASH, STATUS_INVALID },
        { "more than 32 bits", "$argon2id$v=19$m=4294967552,t=2,p=1$" SALT "$" HASH,
          STATUS_INVALID },
        { "another order", "$argon2id$v=19$t=2,m=256,p=1$" SALT "$" HASH, STATUS_INVALID },
        { "more lanes than memory", "$argon2id$v=19$m=15,t=2,p=2$" SALT "$" HASH, STATUS_INVALID },
        { "more parameters", "$argon2id$v=19$m=256,t=2,p=1,k=1$" SALT "$" HASH, STATUS_INVALID },
        { "no hash", "$argon2id$v=19$m=256,t=2,p=1$" SALT, STATUS_INVALID },
        { "an empty hash", "$argon2id$v=19$m=256,t=2,p=1$" SALT "$", STATUS_INVALID },
        { "a part more", "$argon2id$v=19$m=256,t=2,p=1$" SALT "$" HASH "$AAAA", STATUS_INVALID },
        { "a salt too short", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbA$" HASH, STATUS_INVALID },
        { "a salt too long", "$argon2id$v=19$m=256,t=2,p=1$" SALT48 "AA$" HASH, STATUS_INVALID },
        { "a hash too short", "$argon2id$v=19$m=256,t=2,p=1$" SALT "$AAAAAAAAAAAAAAAAAAAA",
          STATUS_INVALID },
        { "a hash too long", "$argon2id$v=19$m=256,t=2,p=1$" SALT "$" HASH64 "AA", STATUS_INVALID },
        { "padding", "$argon2id$v=19$m=256,t=2,p=1$" SALT "$" HASH "=", STATUS_INVALID },
        { "bits left over", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHR$" HASH, STATUS_INVALID },
        { "no base64", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNh!HQ$" HASH, STATUS_INVALID },
        { "too much memory", "$argon2id$v=19$m=262145,t=1,p=1$" SALT "$" HASH, STATUS_TOO_LARGE },
        { "too much work", "$argon2id$v=19$m=262144,t=5,p=1$" SALT "$" HASH, STATUS_TOO_LARGE },
        { "passes for ever", "$argon2id$v=19$m=8,t=999999999,p=1$" SALT "$" HASH,
          STATUS_TOO_LARGE },
        { "too many lanes", "$argon2id$v=19$m=4096,t=1,p=17$" SALT "$" HASH, STATUS_TOO_LARGE },
        { "bcrypt at its most", "$2b$15$" BCRYPT_REST, STATUS_OK },
        { "bcrypt at its least", "$2a$04$" BCRYPT_REST, STATUS_OK },
        { "bcrypt above", "$2b$16$" BCRYPT_REST, STATUS_TOO_LARGE },
        { "bcrypt for ever", "$2b$99$" BCRYPT_REST, STATUS_TOO_LARGE },
        { "bcrypt below", "$2b$03$" BCRYPT_REST, STATUS_INVALID },
        { "bcrypt with a bug", "$2x$05$" BCRYPT_REST, STATUS_INVALID },
        { "bcrypt of old", "$2$05$" BCRYPT_REST "a", STATUS_INVALID },
        { "bcrypt, one digit", "$2b$5$" BCRYPT_REST "a", STATUS_INVALID },
        { "bcrypt, no digits", "$2b$xx$" BCRYPT_REST, STATUS_INVALID },
        { "bcrypt, short", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
          STATUS_INVALID },
        { "bcrypt, long", "$2b$05$" BCRYPT_REST "a", STATUS_INVALID },
        { "bcrypt, other text",
          "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe:", STATUS_INVALID },
        { "bcrypt, begun", "$2", STATUS_INVALID },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct identity_password_info info;
        print_message("%s\n", cases[i].name);
        assert_status(identity_password_read(slice_cstr(cases[i].stored), &info), cases[i].want);
    }
    char longest[IDENTITY_PASSWORD_HASH_MAX + 1];
    struct identity_password_info info;
    memset(longest, 'A', sizeof(longest));
    memcpy(longest, "$argon2id$v=19$m=256,t=2,p=1$", 29);
    assert_status(identity_password_read(slice_of(longest, sizeof(longest)), &info),
                  STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password_read_tells_parameters),
        cmocka_unit_test(test_password_read_judges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
