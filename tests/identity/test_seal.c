/* Sealing: what is closed opens by its own secret, or as the previous one, and by nothing else. */
#include "fixture.h"

#include <string.h>

#include "base/arena.h"
#include "identity/seal.h"

#define PURPOSE SLICE("a purpose")

static struct identity_seal seal_of(struct slice purpose, struct slice secret,
                                    struct slice previous)
{
    struct identity_seal seal;
    identity_seal_init(&seal, purpose, secret, previous);
    return seal;
}

static enum status open_with(const struct identity_seal *seal, const uint8_t *sealed, size_t len,
                             struct slice want, bool want_previous)
{
    struct arena *arena = arena_new(NULL, 0);
    char *text = NULL;
    size_t text_len = 0;
    bool is_previous = false;
    enum status st = identity_seal_open(seal, slice_of((const char *)sealed, len), arena, &text,
                                        &text_len, &is_previous);
    if (st == STATUS_OK) {
        assert_slice(slice_of(text, text_len), want);
        assert_int_equal(is_previous, want_previous);
    }
    arena_free(arena);
    return st;
}

static void test_seal_opens_by_its_secrets(void **state)
{
    (void)state;
    const struct slice text = SLICE("what nobody is to read"), none = SLICE_NULL;
    struct identity_seal old = seal_of(PURPOSE, SLICE("old secret"), none);
    struct identity_seal both = seal_of(PURPOSE, SLICE("new secret"), SLICE("old secret"));
    struct identity_seal new = seal_of(PURPOSE, SLICE("new secret"), none);
    struct identity_seal other = seal_of(SLICE("another purpose"), SLICE("old secret"), none);
    uint8_t sealed[128], again[128];
    size_t len = 0, again_len = 0;
    assert_true(identity_seal_close(&old, text, sealed, sizeof(sealed), &len));
    assert_int_equal(len, text.len + IDENTITY_SEAL_OVERHEAD);
    assert_true(identity_seal_close(&old, text, again, sizeof(again), &again_len));
    assert_memory_not_equal(sealed, again, len);
    assert_status(open_with(&old, sealed, len, text, false), STATUS_OK);
    assert_status(open_with(&both, sealed, len, text, true), STATUS_OK);
    assert_status(open_with(&new, sealed, len, text, false), STATUS_UNAUTHENTICATED);
    assert_status(open_with(&other, sealed, len, text, false), STATUS_UNAUTHENTICATED);
}

static void test_seal_refuses_what_was_changed(void **state)
{
    (void)state;
    const struct slice text = SLICE("x");
    struct identity_seal seal = seal_of(PURPOSE, SLICE("a secret"), SLICE("another"));
    uint8_t sealed[64];
    size_t len = 0;
    assert_true(identity_seal_close(&seal, text, sealed, sizeof(sealed), &len));
    for (size_t i = 0; i < len; i++) {
        sealed[i] ^= 1;
        assert_status(open_with(&seal, sealed, len, text, false), STATUS_UNAUTHENTICATED);
        sealed[i] ^= 1;
        assert_status(open_with(&seal, sealed, i, text, false), STATUS_UNAUTHENTICATED);
    }
    assert_status(open_with(&seal, sealed, len, text, false), STATUS_OK);
}

static void test_seal_needs_room(void **state)
{
    (void)state;
    const struct slice text = SLICE("12345678");
    struct identity_seal seal = seal_of(PURPOSE, SLICE("a secret"), SLICE_NULL);
    uint8_t sealed[8 + IDENTITY_SEAL_OVERHEAD];
    size_t len = 7;
    for (size_t room = 0; room < sizeof(sealed); room++)
        assert_false(identity_seal_close(&seal, text, sealed, room, &len));
    assert_int_equal(len, 7);
    assert_true(identity_seal_close(&seal, text, sealed, sizeof(sealed), &len));
    assert_int_equal(len, sizeof(sealed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seal_opens_by_its_secrets),
        cmocka_unit_test(test_seal_refuses_what_was_changed),
        cmocka_unit_test(test_seal_needs_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
