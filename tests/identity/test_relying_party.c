/* The relying party is the issuer's host, and the origin what browsers make of its URL. */
#include "fixture.h"

#include "base/arena.h"
#include "identity/relying_party.h"

static void test_relying_party_of_issuers(void **state)
{
    (void)state;
    static const struct {
        const char *issuer, *id, *origin; /* id NULL: has none */
    } rows[] = {
        { "https://example.org", "example.org", "https://example.org" },
        { "https://example.org/", "example.org", "https://example.org" },
        { "https://Example.ORG:443/base/path", "example.org", "https://example.org" },
        { "https://example.org:8443", "example.org", "https://example.org:8443" },
        { "http://example.org:80", "example.org", "http://example.org" },
        { "http://example.org:443", "example.org", "http://example.org:443" },
        { "http://localhost:8000", "localhost", "http://localhost:8000" },
        { "http://127.0.0.1:8000", "localhost", "http://localhost:8000" },
        { "http://127.1.2.3", "localhost", "http://localhost" },
        { "http://[::1]:8000/x", "localhost", "http://localhost:8000" },
        { "http://127.example.org", "127.example.org", "http://127.example.org" },
        { "http://192.0.2.1:8000", NULL, NULL },
        { "https://[2001:db8::1]", NULL, NULL },
        { "https://[::1", NULL, NULL },
        { "https://", NULL, NULL },
        { "https:///path", NULL, NULL },
        { "https://:8000", NULL, NULL },
        { "example.org", NULL, NULL },
        { "", NULL, NULL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct arena *arena = arena_new(NULL, 0);
        struct identity_relying_party party;
        enum status st = identity_relying_party_of(arena, slice_cstr(rows[i].issuer), &party);
        if ((st == STATUS_OK) != (rows[i].id != NULL))
            fail_msg("%s: %s", rows[i].issuer, status_name(st));
        if (rows[i].id) {
            assert_slice(party.id, slice_cstr(rows[i].id));
            assert_slice(party.origin, slice_cstr(rows[i].origin));
            assert_string_equal(party.id_cstr, rows[i].id);
        }
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_relying_party_of_issuers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
