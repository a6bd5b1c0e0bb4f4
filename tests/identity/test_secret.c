/* tests/identity/test_secret.c - Opaque secrets: form, checksum, digest; short codes. */
#include "identity/secret.h"

#include <ctype.h>
#include <string.h>

#include "base/macros.h"
#include "fixture.h"

/* Computed by another program: the CRC-32 of what stands before it, in base62. */
#define GOOD "purlin_key_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg_2RkhEB"

static void test_secret_has_its_form(void **state)
{
    (void)state;
    static const char *const prefixes[] = { "k", "purlin_key", "a2345678901234567890123456789012" };
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        struct slice prefix = slice_cstr(prefixes[i]), found;
        struct identity_secret secret;
        assert_status(identity_secret_make(prefix, &secret), STATUS_OK);
        struct slice text = identity_secret_text(&secret);
        assert_int_equal(text.len, prefix.len + 51);
        assert_true(slice_starts(text, prefix));
        assert_int_equal(text.data[prefix.len], '_');
        assert_int_equal(text.data[prefix.len + 44], '_');
        for (size_t at = prefix.len + 1; at < text.len; at++)
            assert_true(isalnum((unsigned char)text.data[at]) || at == prefix.len + 44);
        assert_status(identity_secret_parse(text, &found), STATUS_OK);
        assert_slice(found, prefix);
        identity_secret_wipe(&secret);
        for (size_t at = 0; at < sizeof(secret); at++)
            assert_int_equal(((const char *)&secret)[at], 0);
    }
    static const char *const refused[] = { "",  "_k",  "k_", "_",
                                           "K", "a-b", "é",  "a23456789012345678901234567890123" };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct identity_secret secret;
        assert_status(identity_secret_make(slice_cstr(refused[i]), &secret), STATUS_INVALID);
    }
}

/* All 62 characters come at every place: 62 x 400 draws leave no expected count under 300. */
static void test_secret_draws_evenly(void **state)
{
    (void)state;
    static unsigned counts[IDENTITY_SECRET_BODY_LEN][128];
    for (unsigned round = 0; round < 62 * 400; round++) {
        struct identity_secret secret;
        assert_status(identity_secret_make(SLICE("k"), &secret), STATUS_OK);
        for (unsigned i = 0; i < IDENTITY_SECRET_BODY_LEN; i++)
            counts[i][(unsigned char)secret.text[2 + i]]++;
    }
    for (unsigned i = 0; i < IDENTITY_SECRET_BODY_LEN; i++) {
        unsigned seen = 0;
        for (unsigned c = 0; c < 128; c++) {
            if (counts[i][c] == 0)
                continue;
            seen++;
            assert_in_range(counts[i][c], 280, 520); /* six standard deviations of 20 */
        }
        assert_int_equal(seen, 62);
    }
}

static void test_secret_is_refused_when_a_character_is_wrong(void **state)
{
    (void)state;
    struct slice prefix;
    assert_status(identity_secret_parse(SLICE(GOOD), &prefix), STATUS_OK);
    assert_slice(prefix, SLICE("purlin_key"));
    char text[] = GOOD;
    for (size_t at = 0; at < sizeof(text) - 1; at++) {
        for (unsigned c = 0; c < 256; c++) {
            text[at] = (char)c;
            bool same = (char)c == GOOD[at];
            assert_status(identity_secret_parse(slice_of(text, sizeof(text) - 1), &prefix),
                          same ? STATUS_OK : STATUS_INVALID);
        }
        text[at] = GOOD[at];
    }
    for (size_t len = 0; len < sizeof(text) - 1; len++)
        assert_status(identity_secret_parse(slice_of(text, len), &prefix), STATUS_INVALID);
    assert_status(identity_secret_parse(SLICE(GOOD "0"), &prefix), STATUS_INVALID);
    assert_status(identity_secret_parse(SLICE(" " GOOD), &prefix), STATUS_INVALID);
    assert_status(identity_secret_parse(SLICE(GOOD "\n"), &prefix), STATUS_INVALID);
    /* One longer than any: a prefix of 33. */
    char longest[IDENTITY_SECRET_TEXT_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    longest[33] = longest[77] = '_';
    assert_status(identity_secret_parse(slice_of(longest, sizeof(longest)), &prefix),
                  STATUS_INVALID);
}

static void test_secret_digest_is_sha256_of_the_text(void **state)
{
    (void)state;
    /* printf %s purlin_key_... | sha256sum */
    static const uint8_t want[] = { 0x55, 0x7d, 0xaf, 0xdf, 0xb1, 0xd5, 0x0a, 0x47,
                                    0x1c, 0xbf, 0x97, 0x4f, 0x83, 0xc5, 0x91, 0xc4,
                                    0xa8, 0xf1, 0xe0, 0x7d, 0xbc, 0x1f, 0x18, 0x9c,
                                    0xcc, 0x9b, 0x6c, 0xf6, 0xd4, 0x00, 0x47, 0x94 };
    struct identity_digest digest, again;
    assert_status(identity_secret_read(SLICE(GOOD), SLICE("purlin_key"), &digest), STATUS_OK);
    assert_memory_equal(digest.bytes, want, sizeof(want));
    again = digest;
    assert_true(identity_digest_eq(&digest, &again));
    for (unsigned i = 0; i < IDENTITY_DIGEST_BYTES; i++) {
        again.bytes[i] ^= 0x80;
        assert_false(identity_digest_eq(&digest, &again));
        again.bytes[i] ^= 0x80;
    }
    /* A key is no session, and half a prefix no prefix. */
    assert_status(identity_secret_read(SLICE(GOOD), SLICE("purlin_session"), &digest),
                  STATUS_INVALID);
    assert_status(identity_secret_read(SLICE(GOOD), SLICE("purlin"), &digest), STATUS_INVALID);
    assert_status(identity_secret_read(SLICE("x"), SLICE("purlin_key"), &digest), STATUS_INVALID);
}

static void test_keyed_digest_depends_on_each_part(void **state)
{
    (void)state;
    struct identity_pepper pepper = identity_pepper_of(SLICE("secret"), SLICE("codes"));
    struct identity_pepper other_secret = identity_pepper_of(SLICE("Secret"), SLICE("codes"));
    struct identity_pepper other_purpose = identity_pepper_of(SLICE("secret"), SLICE("code"));
    /* Where one part ends and the next begins counts as well. */
    const struct {
        const struct identity_pepper *pepper;
        const char *purpose, *owner, *text;
    } cases[] = {
        { &pepper, "login", "ann", "123456" },        { &other_secret, "login", "ann", "123456" },
        { &other_purpose, "login", "ann", "123456" }, { &pepper, "reset", "ann", "123456" },
        { &pepper, "login", "bob", "123456" },        { &pepper, "login", "ann", "123457" },
        { &pepper, "logina", "nn", "123456" },        { &pepper, "login", "ann1", "23456" },
        { &pepper, "", "loginann", "123456" },
    };
    struct identity_digest digests[ARRAY_LEN(cases)];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        digests[i] = identity_digest_keyed(cases[i].pepper, slice_cstr(cases[i].purpose),
                                           slice_cstr(cases[i].owner), slice_cstr(cases[i].text));
        struct identity_digest again =
            identity_digest_keyed(cases[i].pepper, slice_cstr(cases[i].purpose),
                                  slice_cstr(cases[i].owner), slice_cstr(cases[i].text));
        assert_true(identity_digest_eq(&digests[i], &again));
        for (size_t j = 0; j < i; j++)
            assert_false(identity_digest_eq(&digests[i], &digests[j]));
    }
}

static void test_code_is_six_digits(void **state)
{
    (void)state;
    unsigned counts[IDENTITY_CODE_LEN][10] = { 0 };
    char code[IDENTITY_CODE_LEN], read[IDENTITY_CODE_LEN];
    for (unsigned round = 0; round < 4000; round++) {
        identity_code_make(code);
        for (unsigned i = 0; i < IDENTITY_CODE_LEN; i++) {
            assert_in_range(code[i], '0', '9');
            counts[i][code[i] - '0']++;
        }
        assert_status(identity_code_read(slice_of(code, sizeof(code)), read), STATUS_OK);
        assert_memory_equal(read, code, sizeof(code));
    }
    for (unsigned i = 0; i < IDENTITY_CODE_LEN; i++) {
        for (unsigned d = 0; d < 10; d++)
            assert_in_range(counts[i][d], 280, 520);
    }
}

static void test_code_is_read_as_people_type_it(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct slice text;
        enum status want;
    } cases[] = {
        { "as sent", SLICE_INIT("012345"), STATUS_OK },
        { "in groups", SLICE_INIT(" 012 345 "), STATUS_OK },
        { "with a dash", SLICE_INIT("012-345"), STATUS_OK },
        { "five", SLICE_INIT("01234"), STATUS_INVALID },
        { "seven", SLICE_INIT("0123456"), STATUS_INVALID },
        { "none", SLICE_INIT(""), STATUS_INVALID },
        { "a letter", SLICE_INIT("01234a"), STATUS_INVALID },
        { "a zero byte", SLICE_INIT("01234\0"), STATUS_INVALID },
        { "other digits", SLICE_INIT("\xd9\xa1\xd9\xa2\xd9\xa3"), STATUS_INVALID },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char code[IDENTITY_CODE_LEN] = "......";
        print_message("%s\n", cases[i].name);
        assert_status(identity_code_read(cases[i].text, code), cases[i].want);
        assert_memory_equal(code, cases[i].want == STATUS_OK ? "012345" : "......", sizeof(code));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_has_its_form),
        cmocka_unit_test(test_secret_draws_evenly),
        cmocka_unit_test(test_secret_is_refused_when_a_character_is_wrong),
        cmocka_unit_test(test_secret_digest_is_sha256_of_the_text),
        cmocka_unit_test(test_keyed_digest_depends_on_each_part),
        cmocka_unit_test(test_code_is_six_digits),
        cmocka_unit_test(test_code_is_read_as_people_type_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
