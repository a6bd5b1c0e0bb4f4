/* What another issuer may say of itself, and what its claims give. */
#include "fixture.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "identity/account.h"
#include "identity/foreign_claims.h"
#include "identity/issuer.h"
#include "identity/providers.h"

#define KEYS "\"jwks_uri\":\"https://id.example.org/k\""

static void test_issuer_documents(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool allow_http;
        enum status want;
    } rows[] = {
        { "{\"issuer\":\"https://id.example.org\"," KEYS "}", false, STATUS_OK },
        { "{\"issuer\":\"https://id.example.org\"}", false, STATUS_INVALID },
        { "{" KEYS "}", false, STATUS_INVALID },
        { "{\"issuer\":7," KEYS "}", false, STATUS_INVALID },
        { "{\"issuer\":\"\"," KEYS "}", false, STATUS_INVALID },
        { "[]", false, STATUS_INVALID },
        { "", false, STATUS_INVALID },
        { "{\"issuer\":\"i\",\"jwks_uri\":\"http://127.0.0.1:1/k\"}", true, STATUS_OK },
        { "{\"issuer\":\"i\",\"jwks_uri\":\"http://127.0.0.1:1/k\"}", false, STATUS_INVALID },
        { "{\"issuer\":\"i\",\"jwks_uri\":\"http://192.0.2.1/k\"}", true, STATUS_INVALID },
        { "{\"issuer\":\"i\",\"jwks_uri\":\"ftp://id.example.org/k\"}", true, STATUS_INVALID },
        { "{\"issuer\":\"i\",\"token_endpoint\":7," KEYS "}", false, STATUS_INVALID },
        { "{\"issuer\":\"i\",\"response_types_supported\":[\"token\"]," KEYS "}", false,
          STATUS_INVALID },
        { "{\"issuer\":\"i\",\"response_types_supported\":[\"token\",\"code\"]," KEYS "}", false,
          STATUS_OK },
        { "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}", false,
          STATUS_TOO_LARGE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *arena = arena_new(NULL, 0);
        struct identity_issuer_doc doc;
        const char *reason = NULL;
        enum status st = identity_issuer_doc_read(arena, slice_cstr(rows[i].text),
                                                  rows[i].allow_http, &doc, &reason);
        if (st != rows[i].want)
            fail_msg("%s: %s", rows[i].text, status_name(st));
        assert_true(st == STATUS_OK || reason != NULL);
        arena_free(arena);
    }
}

static void test_issuer_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool is_good, is_http;
    } rows[] = {
        { "https://id.example.org", true, false },
        { "https://id.example.org:8443/realms/a", true, false },
        { "http://127.0.0.1:4000", true, true },
        { "http://localhost:4000/x", true, true },
        { "http://[::1]/", true, true },
        { "http://id.example.org", false, false },
        { "http://10.0.0.1", false, false },
        { "http://localhost.example.org", false, false },
        { "https://user@id.example.org", false, false },
        { "https://id.example.org/#x", false, false },
        { "urn:example", false, false },
        { "", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *arena = arena_new(NULL, 0);
        bool is_http = false;
        bool is_good = identity_issuer_url_is_good(arena, slice_cstr(rows[i].url), &is_http);
        if (is_good != rows[i].is_good || (is_good && is_http != rows[i].is_http))
            fail_msg("%s: %d %d", rows[i].url, is_good, is_http);
        arena_free(arena);
    }
}

/* The roles that a claim gives, with commas between them. */
static void check_roles(const char *path, const char *claims, const char *want)
{
    static const struct identity_token_role map[] = {
        { SLICE_INIT("Editors"), SLICE_INIT("editor") },
        { SLICE_INIT("Staff"), SLICE_INIT("staff") },
        { SLICE_INIT("Chiefs"), SLICE_INIT("editor") },
    };
    const struct identity_token_issuer issuer = { .roles_claim = slice_cstr(path),
                                                  .roles = map,
                                                  .roles_len = ARRAY_LEN(map) };
    struct arena *arena = arena_new(NULL, 0);
    const struct slice *roles;
    unsigned len;
    json_t *json;
    struct buf b;
    buf_init(&b, arena, 64, 256);
    assert_status(json_read(arena, slice_cstr(claims), JSON_LIMITS_DEFAULT, &json, NULL),
                  STATUS_OK);
    assert_status(identity_claim_roles(arena, json, &issuer, &roles, &len), STATUS_OK);
    for (unsigned i = 0; i < len; i++) {
        if (i)
            buf_putc(&b, ',');
        buf_put_slice(&b, roles[i]);
    }
    assert_slice(buf_slice(&b), slice_cstr(want));
    arena_free(arena);
}

static void test_claims_give_mapped_roles(void **state)
{
    (void)state;
    check_roles("roles", "{\"roles\":[\"Editors\",\"Staff\"]}", "editor,staff");
    check_roles("roles", "{\"roles\":\"Staff Editors\"}", "staff,editor");
    check_roles("roles", "{\"roles\":[\"Editors\",\"Chiefs\",\"Editors\"]}", "editor");
    check_roles("roles", "{\"roles\":[\"editor\",\"admin\",\"EDITORS\"]}", "");
    check_roles("roles", "{\"roles\":[7,null,{},[\"Editors\"]]}", "");
    check_roles("roles", "{\"roles\":{\"Editors\":true}}", "");
    check_roles("roles", "{}", "");
    check_roles("", "{\"\":\"Editors\"}", "");
    check_roles("realm.roles", "{\"realm\":{\"roles\":[\"Staff\"]}}", "staff");
    check_roles("realm.roles", "{\"realm\":\"Staff\"}", "");
    check_roles("https://x.org/r", "{\"https://x.org/r\":[\"Staff\"]}", "staff");
}

static void test_claims_are_looked_at_to_a_bound(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, NULL, 4096, 65536);
    buf_put_lit(&b, "{\"roles\":[");
    for (unsigned i = 0; i < IDENTITY_CLAIM_VALUES_MAX; i++)
        buf_put_lit(&b, "\"x\",");
    buf_put_lit(&b, "\"Staff\"]}");
    buf_putc(&b, '\0');
    check_roles("roles", b.data, "");
    buf_fini(&b);
}

static void test_issuer_claimed_by_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *token, *want;
    } rows[] = {
        { "e30.eyJpc3MiOiJodHRwczovL2EuZXhhbXBsZSJ9.c2ln", "https://a.example" },
        { "e30.eyJpc3MiOiJodHRwczovL2EuZXhhbXBsZSJ9", "" },
        { "e30.eyJpc3MiOjd9.x", "" },
        { "e30.!!.x", "" },
        { "..", "" },
        { "purlin_key_x", "" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *arena = arena_new(NULL, 0);
        assert_slice(identity_claimed_issuer(arena, slice_cstr(rows[i].token)),
                     slice_cstr(rows[i].want));
        arena_free(arena);
    }
}

/* Of Microsoft's common endpoints each directory is an issuer of its own, and no path. */
static void test_issuer_of_microsoft(void **state)
{
    (void)state;
#define DIRECTORY "11111111-2222-3333-4444-555555555555"
#define OTHER "99999999-2222-3333-4444-555555555555"
    static const struct {
        const char *tenant, *iss, *tid;
        bool want;
    } rows[] = {
        { "common", "https://login.microsoftonline.com/" DIRECTORY "/v2.0", DIRECTORY, true },
        { "common", "https://login.microsoftonline.com/" DIRECTORY "/v2.0", OTHER, false },
        { "common", "https://login.microsoftonline.com/" DIRECTORY "/v2.0", "", false },
        { "common", "https://login.microsoftonline.com/{tenantid}/v2.0", "{tenantid}", false },
        { "common", "https://login.microsoftonline.com/common/v2.0", "common", false },
        { "common", "https://login.example.org/" DIRECTORY "/v2.0", DIRECTORY, false },
        { DIRECTORY, "https://login.microsoftonline.com/" DIRECTORY "/v2.0", DIRECTORY, true },
        { DIRECTORY, "https://login.microsoftonline.com/" OTHER "/v2.0", OTHER, false },
        { "consumers",
          "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
          "9188040d-6c67-4c5b-b112-36a304b66dad", true },
        { "consumers", "https://login.microsoftonline.com/" DIRECTORY "/v2.0", DIRECTORY, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *arena = arena_new(NULL, 0);
        struct identity_provider provider = { .name = SLICE("microsoft"),
                                              .preset = IDENTITY_PRESET_MICROSOFT,
                                              .tenant = slice_cstr(rows[i].tenant),
                                              .client_id = SLICE("c"),
                                              .client_secret = SLICE("s") };
        assert_status(identity_provider_settle(&provider, arena), STATUS_OK);
        assert_null(identity_provider_check(&provider, arena));
        if (identity_provider_issued(&provider, slice_cstr(rows[i].iss), slice_cstr(rows[i].tid)) !=
            rows[i].want)
            fail_msg("row %zu: %s", i, rows[i].iss);
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_issuer_documents),
        cmocka_unit_test(test_issuer_urls),
        cmocka_unit_test(test_claims_give_mapped_roles),
        cmocka_unit_test(test_claims_are_looked_at_to_a_bound),
        cmocka_unit_test(test_issuer_claimed_by_tokens),
        cmocka_unit_test(test_issuer_of_microsoft),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
