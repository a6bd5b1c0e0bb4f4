/* tests/identity/test_oauth_text.c - Parameters, scopes, redirect URIs, PKCE. */
#include "identity/oauth_text.h"

#include <string.h>

#include "base/buf.h"
#include "base/macros.h"
#include "fixture.h"

#define PARAM(name, value)                                                                         \
    {                                                                                              \
        SLICE_INIT(name), SLICE_INIT(value)                                                        \
    }

static void test_params_are_each_there_once(void **state)
{
    (void)state;
    static char long_value[IDENTITY_OAUTH_VALUE_BYTES_MAX + 1];
    memset(long_value, 'a', sizeof(long_value));
    const struct http_param good[] = { PARAM("scope", "openid"), PARAM("resource", "a"),
                                       PARAM("resource", "b"), PARAM("state", "") };
    const struct http_param twice[] = { PARAM("a", "1"), PARAM("b", "1"), PARAM("a", "1") };
    const struct http_param control[] = { PARAM("a", "x\ny") };
    struct http_param sized[] = { { SLICE("a"),
                                    slice_of(long_value, IDENTITY_OAUTH_VALUE_BYTES_MAX) } };
    struct identity_oauth_params params = { good, ARRAY_LEN(good) };
    assert_null(identity_oauth_params_check(&params));
    assert_slice(identity_oauth_param(&params, "scope"), SLICE("openid"));
    assert_null(identity_oauth_param(&params, "state").data);
    assert_null(identity_oauth_param(&params, "other").data);
    params = (struct identity_oauth_params){ twice, ARRAY_LEN(twice) };
    assert_non_null(strstr(identity_oauth_params_check(&params), "more than once"));
    params = (struct identity_oauth_params){ control, 1 };
    assert_non_null(strstr(identity_oauth_params_check(&params), "control"));
    params = (struct identity_oauth_params){ sized, 1 };
    assert_null(identity_oauth_params_check(&params));
    sized[0].value.len++;
    assert_non_null(strstr(identity_oauth_params_check(&params), "too long"));
}

static void test_scopes_are_lists_of_names(void **state)
{
    (void)state;
    static char many[4 * IDENTITY_SCOPES_MAX + 4];
    static char name[IDENTITY_SCOPE_NAME_MAX + 1];
    assert_true(identity_scope_is_list(SLICE("")));
    assert_true(identity_scope_is_list(SLICE("openid  notes.read ")));
    assert_false(identity_scope_is_list(SLICE("open\"id")));
    assert_false(identity_scope_is_list(SLICE("open\\id")));
    assert_false(identity_scope_is_list(SLICE("a\tb")));
    assert_false(identity_scope_is_list(SLICE("\xc3\xa9")));
    memset(name, 'n', sizeof(name));
    assert_true(identity_scope_is_name(slice_of(name, IDENTITY_SCOPE_NAME_MAX)));
    assert_false(identity_scope_is_name(slice_of(name, IDENTITY_SCOPE_NAME_MAX + 1)));
    for (size_t i = 0; i < sizeof(many); i++)
        many[i] = i % 2 ? ' ' : 'a';
    assert_true(identity_scope_is_list(slice_of(many, 2 * IDENTITY_SCOPES_MAX)));
    assert_false(identity_scope_is_list(slice_of(many, 2 * IDENTITY_SCOPES_MAX + 1)));

    assert_true(identity_scope_is_within(SLICE("b a"), SLICE("a b c")));
    assert_true(identity_scope_is_within(SLICE(""), SLICE("")));
    assert_false(identity_scope_is_within(SLICE("a d"), SLICE("a b c")));
    assert_false(identity_scope_is_within(SLICE("ab"), SLICE("a b abc")));
    struct buf b;
    buf_init(&b, NULL, 0, 64);
    identity_scope_put_common(&b, SLICE("c a a x b"), SLICE("a b c"));
    assert_slice(buf_slice(&b), SLICE("c a b"));
    buf_fini(&b);
}

static void test_redirects_that_can_be_registered(void **state)
{
    (void)state;
    static const struct {
        const char *uri;
        bool is_good;
    } cases[] = {
        { "https://app.example.org/cb", true },
        { "https://app.example.org", true },
        { "https://app.example.org:8443/cb?a=1&b=%20", true },
        { "https://[2001:db8::1]/cb", true },
        { "http://127.0.0.1/cb", true },
        { "http://[::1]:8000/cb", true },
        { "http://localhost:8000/cb", true },
        { "com.example.app:/cb", true },
        { "", false },
        { "app.example.org/cb", false },
        { "https:///cb", false },
        { "https://:80/cb", false },
        { "https://app.example.org:/cb", true },
        { "https://user@app.example.org/cb", false },
        { "https://*.example.org/cb", false },
        { "https://app.example.org/cb#x", false },
        { "https://app.example.org/c b", false },
        { "https://app.example.org/\"", false },
        { "https://app.example.org/;a", true },
        { "http://app.example.org/cb", false },
        { "http://127.0.0.1.example.org/cb", false },
        { "javascript:alert(1)", false },
        { "data:text/html,x", false },
        { "myapp:/cb", false },
        { "HTTPS://app.example.org/cb", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s\n", cases[i].uri);
        assert_int_equal(identity_redirect_check(slice_cstr(cases[i].uri)) == NULL,
                         cases[i].is_good);
    }
    char uri[IDENTITY_REDIRECT_BYTES_MAX + 2] = "https://a.org/";
    memset(uri + strlen("https://a.org/"), 'x', sizeof(uri) - strlen("https://a.org/"));
    assert_null(identity_redirect_check(slice_of(uri, IDENTITY_REDIRECT_BYTES_MAX)));
    assert_non_null(identity_redirect_check(slice_of(uri, IDENTITY_REDIRECT_BYTES_MAX + 1)));
}

static void test_redirects_match_exactly_but_for_loopback_ports(void **state)
{
    (void)state;
    static const struct {
        const char *registered, *asked;
        bool matches;
    } cases[] = {
        { "https://a.org/cb", "https://a.org/cb", true },
        { "https://a.org/cb", "https://a.org:443/cb", false },
        { "https://a.org/cb", "https://a.org/cb/", false },
        { "https://a.org/cb", "https://a.org/cb?x", false },
        { "https://a.org", "https://a.org.evil.org", false },
        { "http://127.0.0.1/cb", "http://127.0.0.1:1/cb", true },
        { "http://127.0.0.1:9/cb", "http://127.0.0.1/cb", true },
        { "http://[::1]/cb?a", "http://[::1]:65535/cb?a", true },
        { "http://127.0.0.1/cb", "http://127.0.0.1:/cb", false },
        { "http://127.0.0.1/cb", "http://127.0.0.1:1/", false },
        { "http://127.0.0.1/cb", "http://127.0.0.1:1@evil.org/cb", false },
        { "http://127.0.0.1/cb", "https://127.0.0.1:1/cb", false },
        { "http://127.0.0.1/cb", "http://[::1]/cb", false },
        { "http://localhost/cb", "http://localhost:1/cb", false },
        { "com.example.app:/cb", "com.example.app:/cb", true },
        { "com.example.app:/cb", "com.example.app:/", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s %s\n", cases[i].registered, cases[i].asked);
        assert_int_equal(
            identity_redirect_matches(slice_cstr(cases[i].registered), slice_cstr(cases[i].asked)),
            cases[i].matches);
    }
    assert_true(identity_redirect_is_listed(SLICE("https://a.org/ https://b.org/"),
                                            SLICE("https://b.org/")));
    assert_false(identity_redirect_is_listed(SLICE("https://a.org/ https://b.org/"), SLICE("")));
    assert_slice(identity_redirect_origin(SLICE("https://a.org:8/cb?x")), SLICE("https://a.org:8"));
    assert_slice(identity_redirect_origin(SLICE("https://a.org?x")), SLICE("https://a.org"));
    assert_slice(identity_redirect_origin(SLICE("com.example.app:/cb")), SLICE("com.example.app:"));
}

/* RFC 7636 appendix B. */
static void test_challenges_are_met_by_their_verifier(void **state)
{
    (void)state;
    const struct slice challenge = SLICE("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    assert_true(identity_challenge_is_good(challenge));
    assert_false(identity_challenge_is_good(slice_head(challenge, 42)));
    assert_false(identity_challenge_is_good(SLICE("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM")));
    assert_true(
        identity_challenge_is_met(challenge, SLICE("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")));
    assert_false(
        identity_challenge_is_met(challenge, SLICE("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXj")));
    assert_false(identity_challenge_is_met(challenge, challenge)); /* as "plain" would have it */
    assert_false(identity_challenge_is_met(challenge, SLICE("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params_are_each_there_once),
        cmocka_unit_test(test_scopes_are_lists_of_names),
        cmocka_unit_test(test_redirects_that_can_be_registered),
        cmocka_unit_test(test_redirects_match_exactly_but_for_loopback_ports),
        cmocka_unit_test(test_challenges_are_met_by_their_verifier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
