/* tests/http/test_signature.c - Bases, keys, nonces and profiles of signed requests, by the
 * examples of RFC 9421 appendix B where it has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "http/signature.h"
#include "signature_keys.h"

static struct http_signature_key *key_of(const char *alg, const char *material)
{
    struct http_signature_key *key = NULL;
    const char *reason = "";
    if (http_signature_key_new(SLICE("key"), slice_cstr(alg), slice_cstr(material), &key,
                               &reason) != STATUS_OK)
        fail_msg("%s: %s", alg, reason);
    return key;
}

static struct slice from_base64(struct arena *arena, const char *text)
{
    size_t len = strlen(text), got;
    unsigned char *bytes = arena_alloc(arena, len);
    assert_int_equal(
        sodium_base642bin(bytes, len, text, len, NULL, &got, NULL, sodium_base64_VARIANT_ORIGINAL),
        0);
    return slice_of((const char *)bytes, got);
}

static struct http_signature_key *shared_secret(struct arena *arena)
{
    struct http_signature_key *key = NULL;
    const char *reason;
    assert_int_equal(http_signature_key_new(SLICE("key"), SLICE("hmac-sha256"),
                                            from_base64(arena, SECRET_BASE64), &key, &reason),
                     STATUS_OK);
    return key;
}

/* -- the examples of the RFC
 * ---------------------------------------------------------------------------------- */

#define DIGEST_512                                                                                 \
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJ" \
    "wew==:"

static const struct net_header request_headers[] = {
    { .name = SLICE_INIT("host"), .value = SLICE_INIT("example.com") },
    { .name = SLICE_INIT("date"), .value = SLICE_INIT("Tue, 20 Apr 2021 02:07:55 GMT") },
    { .name = SLICE_INIT("content-type"), .value = SLICE_INIT("application/json") },
    { .name = SLICE_INIT("content-digest"), .value = SLICE_INIT(DIGEST_512) },
    { .name = SLICE_INIT("content-length"), .value = SLICE_INIT("18") },
};

static const struct http__signed request = {
    .method = SLICE_INIT("POST"),
    .scheme = SLICE_INIT("https"),
    .authority = SLICE_INIT("example.com"),
    .path = SLICE_INIT("/foo"),
    .query = SLICE_INIT("param=Value&Pet=dog"),
    .target = SLICE_INIT("/foo?param=Value&Pet=dog"),
    .headers = request_headers,
    .headers_len = ARRAY_LEN(request_headers),
};

static const struct net_header answer_headers[] = {
    { .name = SLICE_INIT("Content-Type"), .value = SLICE_INIT("application/json") },
    { .name = SLICE_INIT("Content-Digest"),
      .value = SLICE_INIT("sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41Q"
                          "JgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:") },
    { .name = SLICE_INIT("Content-Length"), .value = SLICE_INIT("23") },
};

static const struct http__signed answer = {
    .status = 200,
    .headers = answer_headers,
    .headers_len = ARRAY_LEN(answer_headers),
};

static const struct net_header forwarded_headers[] = {
    { .name = SLICE_INIT("forwarded"), .value = SLICE_INIT("for=192.0.2.123") },
    { .name = SLICE_INIT("signature"),
      .value = SLICE_INIT("sig1=:LAH8BjcfcOcLojiuOBFWn0P5keD3xAOuJRGziCLuD8r5MW9S0RoXXLzLSRfGY/"
                          "3SF8kVIkHjE13SEFdTo4Af/fJ/"
                          "Pu9wheqoLVdwXyY/UkBIS1M8Brc8IODsn5DFIrG0IrburbLi0uCc+E2ZIIb6HbUJ+o+"
                          "jP58JelMTe0QE3IpWINTEzpxjqDf5/Df+InHCAkQCTuKsamjWXUpyOT1Wkxi7YPVNOj"
                          "W4MfNuTZ9HdbD2Tr65+BXeTG9ZS/9SWuXAc+BZ8WyPz0QRz//"
                          "ec3uWXd7bYYODSjRAxHqX+S1ag3LZElYyUKaAIjZ8MGOt4gXEwCSLDv/"
                          "zqxZeWLj/PDkn6w==:") },
};

static const struct http__signed forwarded = {
    .method = SLICE_INIT("POST"),
    .headers = forwarded_headers,
    .headers_len = ARRAY_LEN(forwarded_headers),
};

static const struct {
    const char *name;
    const struct http__signed *message;
    const char *input, *alg, *public_key, *private_key, *signature;
} examples[] = {
    { "B.2.1", &request,
      "();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"",
      "rsa-pss-sha512", KEY_PSS_PUBLIC, KEY_PSS_PRIVATE,
      "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/"
      "lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+"
      "oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+"
      "O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/"
      "SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==" },
    { "B.2.2", &request,
      "(\"@authority\" \"content-digest\" \"@query-param\";name=\"Pet\");created=1618884473"
      ";keyid=\"test-key-rsa-pss\";tag=\"header-example\"",
      "rsa-pss-sha512", KEY_PSS_PUBLIC, KEY_PSS_PRIVATE,
      "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH"
      "7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhp"
      "TlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2"
      "DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==" },
    { "B.2.3", &request,
      "(\"date\" \"@method\" \"@path\" \"@query\" \"@authority\" \"content-type\" "
      "\"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-rsa-pss\"",
      "rsa-pss-sha512", KEY_PSS_PUBLIC, KEY_PSS_PRIVATE,
      "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5"
      "p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/"
      "aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH8"
      "96+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==" },
    { "B.2.4", &answer,
      "(\"@status\" \"content-type\" \"content-digest\" \"content-length\");created=1618884473"
      ";keyid=\"test-key-ecc-p256\"",
      "ecdsa-p256-sha256", KEY_P256_PUBLIC, KEY_P256_PRIVATE,
      "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==" },
    { "B.2.6", &request,
      "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")"
      ";created=1618884473;keyid=\"test-key-ed25519\"",
      "ed25519", KEY_ED25519_PUBLIC, KEY_ED25519_PRIVATE,
      "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==" },
    { "4.3 of a draft", &forwarded,
      "(\"signature\";key=\"sig1\" \"forwarded\");created=1618884480;expires=1618884540"
      ";keyid=\"test-key-rsa\";alg=\"rsa-v1_5-sha256\"",
      "rsa-v1_5-sha256", KEY_RSA_PUBLIC, KEY_RSA_PRIVATE,
      "G1WLTL4/9PGSKEQbSAMypZNk+I2dpLJ6qvl2JISahlP31OO/QEUd8/HdO2O7vYLi5k3JIiAK3UPK4U+kvJZyIUidsiXl"
      "zRI+Y2se3SGo0D8dLfhG95bKr6ukYXl60QHpsGRTfSiwdtvYKXGpKNrMlISJYd+oGrGRyI9gbCy0aFhc6I/okIMLeK"
      "4g9PgzpC3YTwhUQ98KIBNLWHgREfBgJxjPbxFlsgJ9ykPviLj8GKJ81HwsK3XM9P7WaS7fMGOt8h1kSqgkZQB9YqiI"
      "o+WhHvJa7iPy8QrYFKzx9BBEY6AwfStZAsXXz3LobZseyxsYcLJLs8rY0wVA9NPsxKrHGA==" },
};

static struct http__sf_member input_of(struct arena *arena, const char *text)
{
    struct http__sf_list list;
    enum status st = http__sf_parse(arena, slice_cstr(text), HTTP__SF_KIND_LIST, 1, &list);
    if (st != STATUS_OK || list.len != 1)
        fail_msg("%s", text);
    return list.members[0];
}

static struct slice base_of(struct arena *arena, const struct http__signed *message,
                            const char *input)
{
    struct http__sf_member member = input_of(arena, input);
    struct buf out;
    buf_init(&out, arena, 256, HTTP__BASE_BYTES_MAX);
    if (http__signature_base(arena, message, &member, &out) != STATUS_OK)
        fail_msg("no base: %s", input);
    return buf_slice(&out);
}

static void test_examples_verify(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        struct slice base = base_of(arena, examples[i].message, examples[i].input);
        struct slice signature = from_base64(arena, examples[i].signature);
        struct http_signature_key *key = key_of(examples[i].alg, examples[i].public_key);
        if (!http__key_verify(key, base, signature))
            fail_msg("%s over:\n%.*s", examples[i].name, SLICE_ARG(base));
        /* One bit of either makes it another. */
        char *changed = arena_alloc(arena, base.len);
        memcpy(changed, base.data, base.len);
        changed[base.len / 2] ^= 1;
        assert_false(http__key_verify(key, slice_of(changed, base.len), signature));
        char *other = arena_alloc(arena, signature.len);
        memcpy(other, signature.data, signature.len);
        other[signature.len / 2] ^= 1;
        assert_false(http__key_verify(key, base, slice_of(other, signature.len)));
        assert_false(http__key_verify(key, base, slice_head(signature, signature.len - 1)));
        assert_false(http__key_verify(key, base, SLICE("")));
        uint8_t made[HTTP__SIGNATURE_BYTES_MAX];
        size_t len;
        assert_int_equal(http__key_sign(key, base, made, &len), STATUS_INVALID);
        http_signature_key_free(key);
    }
}

static void test_own_signatures_verify(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        struct slice base = base_of(arena, examples[i].message, examples[i].input);
        struct http_signature_key *public_key = key_of(examples[i].alg, examples[i].public_key);
        struct http_signature_key *private_key = key_of(examples[i].alg, examples[i].private_key);
        uint8_t made[HTTP__SIGNATURE_BYTES_MAX];
        size_t len;
        assert_int_equal(http__key_sign(private_key, base, made, &len), STATUS_OK);
        assert_true(http__key_verify(public_key, base, slice_of((const char *)made, len)));
        assert_true(http__key_verify(private_key, base, slice_of((const char *)made, len)));
        http_signature_key_free(public_key);
        http_signature_key_free(private_key);
    }
}

static void test_example_of_a_shared_secret(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct http_signature_key *key = shared_secret(arena);
    struct slice base = base_of(arena, &request,
                                "(\"date\" \"@authority\" \"content-type\");created=1618884473"
                                ";keyid=\"test-shared-secret\"");
    static const char text[] = "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n"
                               "\"@authority\": example.com\n"
                               "\"content-type\": application/json\n"
                               "\"@signature-params\": (\"date\" \"@authority\" \"content-type\")"
                               ";created=1618884473;keyid=\"test-shared-secret\"";
    assert_true(slice_eq(base, SLICE(text)));
    struct slice signature = from_base64(arena, "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
    uint8_t made[HTTP__SIGNATURE_BYTES_MAX];
    size_t len;
    assert_int_equal(http__key_sign(key, base, made, &len), STATUS_OK);
    assert_true(slice_eq(slice_of((const char *)made, len), signature));
    assert_true(http__key_verify(key, base, signature));
    http_signature_key_free(key);
}

/* -- the base
 * -------------------------------------------------------------------------------------------- */

static const struct net_header odd_headers[] = {
    { .name = SLICE_INIT("x-empty"), .value = SLICE_INIT("") },
    { .name = SLICE_INIT("x-twice"), .value = SLICE_INIT("  value, with, lots") },
    { .name = SLICE_INIT("x-twice"), .value = SLICE_INIT("of, commas\t") },
    { .name = SLICE_INIT("priority"), .value = SLICE_INIT("u=1,   i;x=1;y=2") },
    { .name = SLICE_INIT("priority"), .value = SLICE_INIT("c=(a   b    c)") },
    { .name = SLICE_INIT("x-dict"),
      .value = SLICE_INIT(" a=1,    b=2;x=1;y=2,   c=(a   b   c),d") },
    { .name = SLICE_INIT("x-text"), .value = SLICE_INIT("no dictionary here") },
};

/* "component identifiers" -> its lines; NULL: there is no base. */
static void test_components(void **state)
{
    (void)state;
    const struct http__signed odd = {
        .method = SLICE("GET"),
        .scheme = SLICE("https"),
        .authority = SLICE("WWW.Example.com:443"),
        .path = SLICE("/path%2A"),
        .query = SLICE("var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace"
                       "&fa%C3%A7ade%22%3A%20=something&twice=1&twice=2&none&&x=%zz%"),
        .target = SLICE("/path%2A?..."),
        .headers = odd_headers,
        .headers_len = ARRAY_LEN(odd_headers),
    };
    static const struct {
        const char *components, *want;
    } cases[] = {
        { "", "" },
        { "\"@method\"", "\"@method\": GET\n" },
        { "\"@scheme\"", "\"@scheme\": https\n" },
        { "\"@authority\"", "\"@authority\": www.example.com\n" },
        { "\"@path\"", "\"@path\": /path%2A\n" },
        { "\"@request-target\"", "\"@request-target\": /path%2A?...\n" },
        { "\"x-empty\"", "\"x-empty\": \n" },
        { "\"x-twice\"", "\"x-twice\": value, with, lots, of, commas\n" },
        { "\"x-twice\";bs", "\"x-twice\";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:\n" },
        { "\"priority\";sf", "\"priority\";sf: u=1, i;x=1;y=2, c=(a b c)\n" },
        { "\"x-dict\";key=\"a\"", "\"x-dict\";key=\"a\": 1\n" },
        { "\"x-dict\";key=\"b\"", "\"x-dict\";key=\"b\": 2;x=1;y=2\n" },
        { "\"x-dict\";key=\"c\"", "\"x-dict\";key=\"c\": (a b c)\n" },
        { "\"x-dict\";key=\"d\"", "\"x-dict\";key=\"d\": ?1\n" },
        { "\"x-dict\";sf;key=\"a\"", "\"x-dict\";sf;key=\"a\": 1\n" },
        { "\"x-dict\" \"x-dict\";key=\"a\"",
          "\"x-dict\": a=1,    b=2;x=1;y=2,   c=(a   b   c),d\n\"x-dict\";key=\"a\": 1\n" },
        { "\"x-dict\";key=\"e\"", NULL },
        { "\"x-dict\";key=e", NULL },
        { "\"x-dict\";sf", NULL }, /* of what kind it is, nobody knows */
        { "\"x-text\";key=\"a\"", NULL },
        { "\"x-none\"", NULL },
        { "\"x-twice\" \"x-twice\"", NULL },
        { "\"x-dict\";sf;key=\"a\" \"x-dict\";key=\"a\";sf", NULL },
        { "\"x-twice\";bs;sf", NULL },
        { "\"x-dict\";bs;key=\"a\"", NULL },
        { "\"x-twice\";bs=?0", NULL },
        { "\"x-twice\";tr", NULL },
        { "\"x-twice\";req", NULL },
        { "\"x-twice\";name=\"a\"", NULL },
        { "\"x-twice\";unknown", NULL },
        { "\"X-Twice\"", NULL },
        { "x-twice", NULL },
        { "\"\"", NULL },
        { "\"@status\"", NULL },
        { "\"@unknown\"", NULL },
        { "\"@signature-params\"", NULL },
        { "\"@method\";req", NULL },
        { "\"@method\";sf", NULL },
        { "\"@query-param\";name=\"var\"",
          "\"@query-param\";name=\"var\": this%20is%20a%20big%0Amultiline%20value\n" },
        { "\"@query-param\";name=\"bar\"",
          "\"@query-param\";name=\"bar\": with%20plus%20whitespace\n" },
        { "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\"",
          "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\": something\n" },
        { "\"@query-param\"", NULL },
        { "\"@query-param\";name=\"twice\"", NULL },
        { "\"@query-param\";name=\"absent\"", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        struct http__signed message = odd;
        /* The value that cannot be decoded stands behind those that are looked for. */
        if (strstr(cases[i].components, "query-param"))
            message.query.len -= 8;
        struct slice text = arena_printf(arena, "(%s);created=1", cases[i].components);
        struct http__sf_member member = input_of(arena, arena_cstr(arena, text));
        struct buf out;
        buf_init(&out, arena, 256, HTTP__BASE_BYTES_MAX);
        enum status st = http__signature_base(arena, &message, &member, &out);
        if (st != (cases[i].want ? STATUS_OK : STATUS_INVALID))
            fail_msg("%s: %s", cases[i].components, status_name(st));
        if (!cases[i].want)
            continue;
        struct slice want =
            arena_printf(arena, "%s\"@signature-params\": %.*s", cases[i].want, SLICE_ARG(text));
        if (!slice_eq(buf_slice(&out), want))
            fail_msg("%.*s", SLICE_ARG(buf_slice(&out)));
    }
}

static void test_targets(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *authority, *path, *query, *want;
    } cases[] = {
        { "https", "www.example.com", "/path", "param=value",
          "\"@target-uri\": https://www.example.com/path?param=value\n\"@query\": ?param=value\n" },
        { "https", "www.example.com:8443", "", "",
          "\"@target-uri\": https://www.example.com:8443/?\n\"@query\": ?\n" },
        { "http", "EXAMPLE.com:80", "/", NULL,
          "\"@target-uri\": http://example.com/\n\"@query\": ?\n" },
        { "http", "example.com:443", "/", NULL,
          "\"@target-uri\": http://example.com:443/\n\"@query\": ?\n" },
        { "https", "[2001:DB8::1]:443", "/a", NULL,
          "\"@target-uri\": https://[2001:db8::1]/a\n\"@query\": ?\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        const struct http__signed message = {
            .method = SLICE("GET"),
            .scheme = slice_cstr(cases[i].scheme),
            .authority = slice_cstr(cases[i].authority),
            .path = slice_cstr(cases[i].path),
            .query = slice_cstr(cases[i].query),
        };
        struct slice base = base_of(arena, &message, "(\"@target-uri\" \"@query\")");
        struct slice want = arena_printf(
            arena, "%s\"@signature-params\": (\"@target-uri\" \"@query\")", cases[i].want);
        if (!slice_eq(base, want))
            fail_msg("%.*s", SLICE_ARG(base));
    }
}

static void test_a_base_is_bounded(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct buf text;
    buf_init(&text, arena, 0, 65536);
    buf_put_lit(&text, "(");
    for (unsigned i = 0; i <= HTTP__COMPONENTS_MAX; i++)
        buf_printf(&text, "%s\"x-%u\"", i ? " " : "", i);
    buf_put_lit(&text, ")");
    struct http__sf_member member = input_of(arena, arena_cstr(arena, buf_slice(&text)));
    struct buf out;
    buf_init(&out, arena, 0, HTTP__BASE_BYTES_MAX);
    assert_int_equal(http__signature_base(arena, &request, &member, &out), STATUS_TOO_LARGE);

    size_t big = HTTP__BASE_BYTES_MAX;
    char *long_value = arena_alloc(arena, big);
    memset(long_value, 'a', big);
    const struct net_header header = { .name = SLICE("x"), .value = slice_of(long_value, big) };
    const struct http__signed message = { .headers = &header, .headers_len = 1 };
    member = input_of(arena, "(\"x\")");
    buf_init(&out, arena, 0, HTTP__BASE_BYTES_MAX);
    assert_int_equal(http__signature_base(arena, &message, &member, &out), STATUS_TOO_LARGE);
    member = input_of(arena, "x");
    assert_int_equal(http__signature_base(arena, &message, &member, &out), STATUS_INVALID);
}

/* -- keys
 * ------------------------------------------------------------------------------------------------
 */

static void test_keys_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *name, *id, *alg, *material;
    } cases[] = {
        { "no such algorithm", "a", "none", "0123456789abcdef" },
        { "algorithm in capitals", "a", "ED25519", KEY_ED25519_PUBLIC },
        { "empty id", "", "hmac-sha256", "0123456789abcdef" },
        { "id with a quote", "a\"b", "hmac-sha256", "0123456789abcdef" },
        { "short secret", "a", "hmac-sha256", "0123456789abcde" },
        { "no PEM", "a", "ed25519", "hello" },
        { "empty PEM", "a", "ed25519", "" },
        { "key of another type", "a", "ed25519", KEY_P256_PUBLIC },
        { "another curve", "a", "ecdsa-p384-sha384", KEY_P256_PUBLIC },
        { "a key for PSS only", "a", "rsa-v1_5-sha256", KEY_PSS_PRIVATE },
        { "short RSA", "a", "rsa-pss-sha512",
          "-----BEGIN PUBLIC KEY-----\n"
          "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCFENGw33yGihy92pDjZQhl0C3\n"
          "6rPJj+CvfSC8+q28hxA161QFNUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6\n"
          "Z4UMR7EOcpfdUE9Hf3m/hs+FUR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJw\n"
          "oYi+1hqp1fIekaxsyQIDAQAB\n"
          "-----END PUBLIC KEY-----\n" },
        { "an encrypted key", "a", "ed25519",
          "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
          "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg=\n"
          "-----END ENCRYPTED PRIVATE KEY-----\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_signature_key *key = NULL;
        const char *reason = NULL;
        enum status st = http_signature_key_new(slice_cstr(cases[i].id), slice_cstr(cases[i].alg),
                                                slice_cstr(cases[i].material), &key, &reason);
        if (st != STATUS_INVALID || key || !reason)
            fail_msg("%s", cases[i].name);
    }
    http_signature_key_free(NULL);
}

/* -- nonces
 * ---------------------------------------------------------------------------------------------- */

#define K1 SLICE("k1")

static void test_a_nonce_is_taken_once(void **state)
{
    (void)state;
    struct http__nonces *n = http__nonces_new(16);
    assert_int_equal(http__nonce_use(n, K1, SLICE("a"), 100, 200), STATUS_OK);
    assert_int_equal(http__nonce_use(n, K1, SLICE("a"), 150, 250), STATUS_CONFLICT);
    assert_int_equal(http__nonce_use(n, SLICE("k2"), SLICE("a"), 150, 250), STATUS_OK);
    assert_int_equal(http__nonce_use(n, SLICE("k"), SLICE("1a"), 150, 250), STATUS_OK);
    assert_int_equal(http__nonce_use(n, K1, SLICE("a"), 200, 300), STATUS_CONFLICT);
    assert_int_equal(http__nonces_len(n), 3);
    assert_int_equal(http__nonce_use(n, K1, SLICE("a"), 201, 301), STATUS_OK);
    assert_int_equal(http__nonces_len(n), 3);
    http__nonces_free(n);
}

static void test_nonces_are_never_forgotten_early(void **state)
{
    (void)state;
    enum { MAX_NONCES = 100 };
    struct http__nonces *n = http__nonces_new(MAX_NONCES);
    char text[16];
    for (int round = 0; round < 5; round++) {
        int64_t now = round * 1000;
        for (int i = 0; i < MAX_NONCES; i++) {
            int len = snprintf(text, sizeof(text), "%d", i);
            assert_int_equal(
                http__nonce_use(n, K1, slice_of(text, (size_t)len), now + i, now + i + 500),
                STATUS_OK);
        }
        /* Full: a new one is refused, a used one is known. */
        assert_int_equal(http__nonce_use(n, K1, SLICE("new"), now + 100, now + 600),
                         STATUS_EXHAUSTED);
        assert_int_equal(http__nonce_use(n, K1, SLICE("7"), now + 100, now + 600), STATUS_CONFLICT);
        assert_int_equal(http__nonces_len(n), MAX_NONCES);
        /* The oldest makes room when its time has passed. */
        assert_int_equal(http__nonce_use(n, K1, SLICE("new"), now + 501, now + 900), STATUS_OK);
        assert_int_equal(http__nonce_use(n, K1, SLICE("1"), now + 501, now + 900), STATUS_CONFLICT);
    }
    http__nonces_free(n);
}

/* -- digests
 * ---------------------------------------------------------------------------------------------- */

static void test_digests(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want; /* -1: malformed; 0: another body; 1: this one; 2: says nothing */
    } cases[] = {
        { DIGEST_512, 1 },
        { "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", 1 },
        { "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:, " DIGEST_512, 1 },
        { "sha-256=:A48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:, " DIGEST_512, 0 },
        { "sha-256=:A48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", 0 },
        { "md5=:Sd/dVLAcvNLSq16eXua5uQ==:", 2 },
        { "sha-256=:Sd/dVLAcvNLSq16eXua5uQ==:", -1 },
        { "sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=", -1 },
        { "sha-256", -1 },
        { "sha-512=1", -1 },
        { "", 2 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        struct http__digest digest;
        enum status st = http__digest_parse(arena, slice_cstr(cases[i].text), &digest);
        int got = st != STATUS_OK                                                  ? -1
                  : !digest.has_sha256 && !digest.has_sha512                       ? 2
                  : http__digest_matches(&digest, SLICE("{\"hello\": \"world\"}")) ? 1
                                                                                   : 0;
        if (got != cases[i].want)
            fail_msg("%s: %d", cases[i].text, got);
    }
}

/* -- the plain profile
 * ------------------------------------------------------------------------------------ */

#define HEX_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_plain_headers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool want;
    } cases[] = {
        { "k=a,t=1,n=b,b=" HEX_64 ",v1=" HEX_64, true },
        { "t=1700000000, n=b-_9, v1=" HEX_64, true },
        { "v1=" HEX_64 ",n=b,t=1,v2=later", true },
        { "", false },
        { "t=1,n=b", false },
        { "t=1,v1=" HEX_64, false },
        { "n=b,v1=" HEX_64, false },
        { "t=1,n=,v1=" HEX_64, false },
        { "t=,n=b,v1=" HEX_64, false },
        { "t=01,n=b,v1=" HEX_64, false },
        { "t=-1,n=b,v1=" HEX_64, false },
        { "t=1.5,n=b,v1=" HEX_64, false },
        { "t=1000000000000,n=b,v1=" HEX_64, false },
        { "t=1,n=a.b,v1=" HEX_64, false },
        { "t=1,n=b,n=c,v1=" HEX_64, false },
        { "t=1,n=b,v1=" HEX_64 ",v1=" HEX_64, false },
        { "t=1,n=b,v1=ABCD" HEX_64, false },
        { "t=1,n=b,v1=" HEX_64 "00", false },
        { "t=1,n=b,b=00,v1=" HEX_64, false },
        { "t=1,n=b,junk,v1=" HEX_64, false },
        { "t=1,n=" HEX_64 HEX_64 "1,v1=" HEX_64, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http__plain plain;
        if (http__plain_parse(slice_cstr(cases[i].text), &plain) != cases[i].want)
            fail_msg("%s", cases[i].text);
    }
}

/* -- what is sent
 * ---------------------------------------------------------------------------------------- */

static struct slice header_of(const struct net_header *headers, unsigned len, const char *name)
{
    for (unsigned i = 0; i < len; i++) {
        if (slice_eq_nocase(headers[i].name, slice_cstr(name)))
            return headers[i].value;
    }
    return SLICE_NULL;
}

static void test_signs_requests(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct http_signature_key *key = key_of("ed25519", KEY_ED25519_PRIVATE);
    struct http_signature_request r = {
        .key = key,
        .method = SLICE("POST"),
        .scheme = SLICE("https"),
        .authority = SLICE("API.example.com:443"),
        .path = SLICE("/v1/orders"),
        .query = SLICE("a=1"),
        .body = SLICE("{\"hello\": \"world\"}"),
        .nonce = SLICE("n1"),
        .tag = SLICE("orders"),
        .created_us = 1700000000 * CLOCK_SECOND,
        .lifetime_us = 60 * CLOCK_SECOND,
    };
    struct net_header made[HTTP_SIGNATURE_HEADERS_MAX];
    unsigned len;
    assert_int_equal(http_signature_sign(arena, &r, made, &len), STATUS_OK);
    assert_int_equal(len, 3);
    struct slice input = header_of(made, len, "signature-input");
    assert_true(slice_eq(
        input, SLICE("sig1=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\")"
                     ";created=1700000000;expires=1700000060;nonce=\"n1\";alg=\"ed25519\""
                     ";keyid=\"key\";tag=\"orders\"")));
    assert_true(slice_eq(header_of(made, len, "content-digest"),
                         SLICE("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:")));
    const struct http__signed message = {
        .method = r.method,
        .scheme = r.scheme,
        .authority = r.authority,
        .path = r.path,
        .query = r.query,
        .headers = made,
        .headers_len = len,
    };
    struct slice base =
        base_of(arena, &message, arena_cstr(arena, slice_from(input, strlen("sig1="))));
    struct http__sf_list list;
    assert_int_equal(http__sf_parse(arena, header_of(made, len, "signature"),
                                    HTTP__SF_KIND_DICTIONARY, 1, &list),
                     STATUS_OK);
    assert_true(http__key_verify(key, base, list.members[0].value.text));

    /* Without body and query there is nothing to say of them; a nonce is made. */
    r.body = r.nonce = r.tag = SLICE("");
    r.query = SLICE_NULL;
    r.lifetime_us = 0;
    assert_int_equal(http_signature_sign(arena, &r, made, &len), STATUS_OK);
    assert_int_equal(len, 2);
    assert_true(slice_starts(made[0].value, SLICE("sig1=(\"@method\" \"@authority\" \"@path\")"
                                                  ";created=1700000000;nonce=\"")));

    static const struct slice absent[] = { SLICE_INIT("x-absent") };
    r.components = absent;
    r.components_len = 1;
    assert_int_equal(http_signature_sign(arena, &r, made, &len), STATUS_INVALID);
    r.components_len = 0;
    r.label = SLICE("Bad");
    assert_int_equal(http_signature_sign(arena, &r, made, &len), STATUS_INVALID);
    http_signature_key_free(key);
}

static void test_signs_requests_plainly(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct http_signature_key *key = key_of("hmac-sha256", "0123456789abcdef");
    struct http_signature_request r = {
        .key = key,
        .method = SLICE("POST"),
        .path = SLICE("/v1/orders"),
        .query = SLICE("a=1"),
        .body = SLICE("{}"),
        .nonce = SLICE("n1"),
        .created_us = 1700000000 * CLOCK_SECOND,
    };
    struct net_header made;
    assert_int_equal(http_signature_sign_plain(arena, &r, &made), STATUS_OK);
    /* printf '1700000000.n1.POST./v1/orders?a=1.44136f...' | openssl dgst -sha256 -hmac ... */
    struct http__plain plain;
    assert_true(http__plain_parse(made.value, &plain));
    assert_int_equal(plain.created_s, 1700000000);
    struct buf base;
    buf_init(&base, arena, 256, 1024);
    http__plain_base(&plain, r.method, SLICE("/v1/orders?a=1"), &base);
    static const char text[] = "1700000000.n1.POST./v1/orders?a=1."
                               "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_true(slice_eq(buf_slice(&base), SLICE(text)));
    assert_true(http__key_verify(key, buf_slice(&base),
                                 slice_of((const char *)plain.mac, sizeof(plain.mac))));
    r.nonce = SLICE("not.a.nonce");
    assert_int_equal(http_signature_sign_plain(arena, &r, &made), STATUS_INVALID);
    http_signature_key_free(key);
    r.key = key_of("ed25519", KEY_ED25519_PRIVATE);
    assert_int_equal(http_signature_sign_plain(arena, &r, &made), STATUS_INVALID);
    http_signature_key_free((struct http_signature_key *)(uintptr_t)r.key);
}

/* -- webhooks
 * --------------------------------------------------------------------------------------------- */

static void test_webhooks(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    /* The example of the standard-webhooks libraries. */
    struct http_signature_key *key = NULL;
    const char *reason;
    assert_int_equal(http_signature_key_new(SLICE("hook"), SLICE("hmac-sha256"),
                                            from_base64(arena, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
                                            &key, &reason),
                     STATUS_OK);
    int64_t sent_us = 1614265330 * CLOCK_SECOND;
    struct slice body = SLICE("{\"test\": 2432232314}");
    struct slice id = SLICE("msg_p5jXN8AQM9LWM0D4loKWxJek");
    struct net_header made[HTTP_WEBHOOK_HEADERS];
    assert_int_equal(http_webhook_sign(arena, key, id, sent_us, body, made), STATUS_OK);
    assert_true(slice_eq(header_of(made, 3, "webhook-signature"),
                         SLICE("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")));
    assert_true(slice_eq(header_of(made, 3, "webhook-timestamp"), SLICE("1614265330")));

    struct http_webhook hook = {
        .id = id,
        .timestamp = made[1].value,
        .signature = arena_printf(arena, "v1,AAAA v9,what %.*s", SLICE_ARG(made[2].value)),
        .body = body,
    };
    int64_t tolerance = 300 * CLOCK_SECOND;
    clock_fake_set(sent_us + tolerance, 1);
    assert_int_equal(http_webhook_verify(arena, key, &hook, tolerance), STATUS_OK);
    clock_fake_set(sent_us - tolerance, 1);
    assert_int_equal(http_webhook_verify(arena, key, &hook, tolerance), STATUS_OK);
    clock_fake_set(sent_us + tolerance + 1, 1);
    assert_int_equal(http_webhook_verify(arena, key, &hook, tolerance), STATUS_TIMEOUT);
    clock_fake_set(sent_us - tolerance - 1, 1);
    assert_int_equal(http_webhook_verify(arena, key, &hook, tolerance), STATUS_TIMEOUT);
    clock_fake_set(sent_us, 1);
    hook.body = SLICE("{\"test\": 2432232315}");
    assert_int_equal(http_webhook_verify(arena, key, &hook, tolerance), STATUS_UNAUTHENTICATED);
    hook.body = body;
    hook.signature = SLICE("v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_int_equal(http_webhook_verify(arena, key, &hook, tolerance), STATUS_UNAUTHENTICATED);
    hook.timestamp = SLICE("1614265330.5");
    assert_int_equal(http_webhook_verify(arena, key, &hook, tolerance), STATUS_INVALID);
    hook.timestamp = SLICE("1614265330");
    hook.id = SLICE("a.b");
    assert_int_equal(http_webhook_verify(arena, key, &hook, tolerance), STATUS_INVALID);
    assert_int_equal(http_webhook_sign(arena, key, hook.id, sent_us, body, made), STATUS_INVALID);
    http_signature_key_free(key);

    key = key_of("ed25519", KEY_ED25519_PRIVATE);
    assert_int_equal(http_webhook_sign(arena, key, id, sent_us, body, made), STATUS_OK);
    assert_true(slice_starts(made[2].value, SLICE("v1a,")));
    hook = (struct http_webhook){ id, made[1].value, made[2].value, body };
    assert_int_equal(http_webhook_verify(arena, key, &hook, tolerance), STATUS_OK);
    http_signature_key_free(key);
    key = key_of("ecdsa-p256-sha256", KEY_P256_PRIVATE);
    assert_int_equal(http_webhook_sign(arena, key, id, sent_us, body, made), STATUS_INVALID);
    http_signature_key_free(key);
    clock_fake_set(0, 0);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_verify),
        cmocka_unit_test(test_own_signatures_verify),
        cmocka_unit_test(test_example_of_a_shared_secret),
        cmocka_unit_test(test_components),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_a_base_is_bounded),
        cmocka_unit_test(test_keys_that_are_none),
        cmocka_unit_test(test_a_nonce_is_taken_once),
        cmocka_unit_test(test_nonces_are_never_forgotten_early),
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_plain_headers),
        cmocka_unit_test(test_signs_requests),
        cmocka_unit_test(test_signs_requests_plainly),
        cmocka_unit_test(test_webhooks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
