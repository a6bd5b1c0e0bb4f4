#include "fixture.h"

static const uint8_t key[32] = { 1, 2, 3 };

static struct slice write_cursor(struct arena *arena, const uint8_t with[32], struct slice context,
                                 const struct resource_cursor *cursor)
{
    struct buf b;
    buf_init(&b, arena, 0, 8192);
    resource__cursor_write(with, context, cursor, &b);
    assert_int_equal(buf_status(&b), STATUS_OK);
    return buf_slice(&b);
}

static const struct resource_cursor all_kinds = {
    .backward = true,
    .len = 5,
    .keys = { { .kind = STORE_NULL },
              { .kind = STORE_I64, .as.i64 = INT64_MIN },
              { .kind = STORE_DOUBLE, .as.real = -0.5 },
              { .kind = STORE_TEXT, .as.bytes = SLICE_INIT("h\xc3\xa9llo") },
              { .kind = STORE_BLOB, .as.bytes = SLICE_INIT("\0\1\2") } },
};

static void test_what_was_written_is_read(void **state)
{
    struct fixture *f = *state;
    struct slice text = write_cursor(f->arena, key, SLICE("posts"), &all_kinds);
    struct resource_cursor read;
    assert_int_equal(resource__cursor_read(key, SLICE("posts"), text, f->arena, &read), STATUS_OK);
    assert_true(read.backward);
    assert_int_equal(read.len, all_kinds.len);
    for (unsigned i = 0; i < read.len; i++)
        assert_true(resource__value_eq(&read.keys[i], &all_kinds.keys[i]));
}

static void test_every_changed_byte_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct slice text = write_cursor(f->arena, key, SLICE("posts"), &all_kinds);
    char *copy = arena_cstr(f->arena, text);
    struct resource_cursor read;
    for (size_t i = 0; i < text.len; i++) {
        char old = copy[i];
        copy[i] = old == 'A' ? 'B' : 'A';
        assert_int_equal(
            resource__cursor_read(key, SLICE("posts"), slice_of(copy, text.len), f->arena, &read),
            STATUS_INVALID);
        copy[i] = old;
    }
    for (size_t len = 0; len < text.len; len++)
        assert_int_equal(
            resource__cursor_read(key, SLICE("posts"), slice_of(copy, len), f->arena, &read),
            STATUS_INVALID);
}

static void test_it_is_bound_to_list_and_server(void **state)
{
    struct fixture *f = *state;
    static const uint8_t other[32] = { 9 };
    struct slice text = write_cursor(f->arena, key, SLICE("posts"), &all_kinds);
    struct resource_cursor read;
    assert_int_equal(resource__cursor_read(key, SLICE("postz"), text, f->arena, &read),
                     STATUS_INVALID);
    assert_int_equal(resource__cursor_read(other, SLICE("posts"), text, f->arena, &read),
                     STATUS_INVALID);
    assert_int_equal(resource__cursor_read(key, SLICE("posts"), SLICE("%%%"), f->arena, &read),
                     STATUS_INVALID);
    char *large = arena_calloc(f->arena, 1, 10000);
    memset(large, 'A', 10000);
    assert_int_equal(
        resource__cursor_read(key, SLICE("posts"), slice_of(large, 10000), f->arena, &read),
        STATUS_INVALID);
}

static void test_what_is_too_long_is_not_written(void **state)
{
    struct fixture *f = *state;
    char *text = arena_calloc(f->arena, 1, 6000);
    struct resource_cursor cursor = {
        .len = 1, .keys = { { .kind = STORE_TEXT, .as.bytes = slice_of(text, 6000) } }
    };
    struct buf b;
    buf_init(&b, f->arena, 0, 16384);
    resource__cursor_write(key, SLICE("posts"), &cursor, &b);
    assert_int_equal(buf_status(&b), STATUS_TOO_LARGE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_written_is_read),
        TEST(test_every_changed_byte_is_noticed),
        TEST(test_it_is_bound_to_list_and_server),
        TEST(test_what_is_too_long_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
