/* tests/net/test_chunk.c - The chunked coding: what is cut from it, in whatever pieces it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "net/codec.h"

struct decoded {
    enum net__piece end;
    char text[512];
    size_t len;
    size_t used;
};

/* Decode in steps of `step` bytes. */
static struct decoded decode(struct slice in, size_t step)
{
    struct decoded d = { .end = NET__PIECE_MORE };
    struct net__chunk chunk = { 0 };
    size_t seen = 0;
    while (d.end == NET__PIECE_MORE && d.used < in.len) {
        seen = MIN(in.len, MAX(seen, d.used) + step);
        enum net__piece what = NET__PIECE_DATA;
        while (what == NET__PIECE_DATA) {
            struct slice piece = SLICE_NULL;
            size_t used;
            what = net__chunk_next(&chunk, in.data + d.used, seen - d.used, &used, &piece);
            d.used += used;
            if (what != NET__PIECE_DATA)
                break;
            assert_true(d.len + piece.len <= sizeof(d.text));
            memcpy(d.text + d.len, piece.data, piece.len);
            d.len += piece.len;
        }
        d.end = what;
    }
    return d;
}

static const struct {
    const char *in;
    enum net__piece end;
    const char *text;
    size_t left; /* bytes behind the body */
} cases[] = {
    { "0\r\n\r\n", NET__PIECE_END, "", 0 },
    { "5\r\nhello\r\n0\r\n\r\n", NET__PIECE_END, "hello", 0 },
    { "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET", NET__PIECE_END, "hello world", 3 },
    { "00000a\r\n0123456789\r\n000\r\n\r\n", NET__PIECE_END, "0123456789", 0 },
    { "A\r\n0123456789\r\n0\r\n\r\n", NET__PIECE_END, "0123456789", 0 },
    { "1;a\r\nx\r\n0\r\n\r\n", NET__PIECE_END, "x", 0 },
    { "1;a=b;c=\"d\\\" e\"\r\nx\r\n0;z\r\n\r\n", NET__PIECE_END, "x", 0 },
    { "0\r\nA: b\r\nC:\td\r\n\r\n", NET__PIECE_END, "", 0 },
    { "5\r\nhel", NET__PIECE_MORE, "hel", 0 },
    { "5", NET__PIECE_MORE, "", 0 },
    { "0\r\nA: b\r\n", NET__PIECE_MORE, "", 0 },
    { "\r\n", NET__PIECE_BAD, "", 0 },
    { "g\r\n", NET__PIECE_BAD, "", 0 },
    { "-1\r\n", NET__PIECE_BAD, "", 0 },
    { "+1\r\n", NET__PIECE_BAD, "", 0 },
    { "0x1\r\n", NET__PIECE_BAD, "", 0 },
    { " 1\r\n", NET__PIECE_BAD, "", 0 },
    { "1 \r\nx", NET__PIECE_BAD, "", 0 },
    { "1\nx\n0\n\n", NET__PIECE_BAD, "", 0 },
    { "1\r\rx", NET__PIECE_BAD, "", 0 },
    { "1\rx", NET__PIECE_BAD, "", 0 },
    { "1\r\nxy\r\n", NET__PIECE_BAD, "x", 0 },
    { "1\r\nx\n0\r\n\r\n", NET__PIECE_BAD, "x", 0 },
    { "1\r\nx\r0\r\n\r\n", NET__PIECE_BAD, "x", 0 },
    { "1;\r\nx", NET__PIECE_BAD, "", 0 },
    { "1 ; a = b\t;c\t=\t\"d\" ;e\r\nx\r\n0 ;z\r\n\r\n", NET__PIECE_END, "x", 0 },
    { "1\t\r\nx", NET__PIECE_BAD, "", 0 },
    { "1 a\r\nx", NET__PIECE_BAD, "", 0 },
    { "1 =a\r\nx", NET__PIECE_BAD, "", 0 },
    { "1;a \r\nx", NET__PIECE_BAD, "", 0 },
    { "1;a b\r\nx", NET__PIECE_BAD, "", 0 },
    { "1;a=b \r\nx", NET__PIECE_BAD, "", 0 },
    { "1;a=b c\r\nx", NET__PIECE_BAD, "", 0 },
    { "1;a=\"b\" \r\nx", NET__PIECE_BAD, "", 0 },
    { "1; \r\nx", NET__PIECE_BAD, "", 0 },
    { "1;a= \r\nx", NET__PIECE_BAD, "", 0 },
    { "1 \n;a\r\nx", NET__PIECE_BAD, "", 0 },
    { "1;a=\r\nx", NET__PIECE_BAD, "", 0 },
    { "1;a=\"b\r\nx", NET__PIECE_BAD, "", 0 },
    { "1;a=\"b\"c\r\nx", NET__PIECE_BAD, "", 0 },
    { "1;a\nx", NET__PIECE_BAD, "", 0 },
    { "1;a=b\x01\r\nx", NET__PIECE_BAD, "", 0 },
    { "fffffffffffffffff\r\n", NET__PIECE_BAD, "", 0 },
    { "ffffffffffffffff\r\n", NET__PIECE_BAD, "", 0 },
    { "00000000000000001\r\n", NET__PIECE_BAD, "", 0 },
    { "0\r\nA : b\r\n\r\n", NET__PIECE_BAD, "", 0 },
    { "0\r\n A: b\r\n\r\n", NET__PIECE_BAD, "", 0 },
    { "0\r\nA: b\n\r\n", NET__PIECE_BAD, "", 0 },
    { "0\r\nA: \x01\r\n\r\n", NET__PIECE_BAD, "", 0 },
    { "0\r\nA\r\n\r\n", NET__PIECE_BAD, "", 0 },
    { "0\r\n: b\r\n\r\n", NET__PIECE_BAD, "", 0 },
    { "0\r\n\rx", NET__PIECE_BAD, "", 0 },
};

static void test_chunk_in_any_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice in = slice_cstr(cases[i].in);
        for (size_t step = 1; step <= in.len; step++) {
            struct decoded d = decode(in, step);
            bool is_right = d.end == cases[i].end &&
                            slice_eq(slice_of(d.text, d.len), slice_cstr(cases[i].text)) &&
                            (d.end != NET__PIECE_END || in.len - d.used == cases[i].left);
            if (!is_right)
                fail_msg("case %zu in steps of %zu: %d \"%.*s\" used %zu", i, step, (int)d.end,
                         (int)d.len, d.text, d.used);
        }
    }
}

static enum net__piece feed(struct net__chunk *chunk, const char *text, size_t times)
{
    enum net__piece what = NET__PIECE_MORE;
    for (size_t i = 0; i < times && what == NET__PIECE_MORE; i++) {
        size_t used;
        struct slice piece;
        what = net__chunk_next(chunk, text, strlen(text), &used, &piece);
    }
    return what;
}

static void test_chunk_bounds_what_is_not_data(void **state)
{
    (void)state;
    struct net__chunk chunk = { 0 };
    assert_int_equal(feed(&chunk, "1;a", 1), NET__PIECE_MORE);
    assert_int_equal(feed(&chunk, "aaaaaaaaaa", 1000), NET__PIECE_BAD);
    struct net__chunk spaces = { 0 };
    assert_int_equal(feed(&spaces, "1", 1), NET__PIECE_MORE);
    assert_int_equal(feed(&spaces, "  \t", 80), NET__PIECE_MORE);
    assert_int_equal(feed(&spaces, "  \t", 10), NET__PIECE_BAD);
    struct net__chunk trailers = { 0 };
    assert_int_equal(feed(&trailers, "0\r\n", 1), NET__PIECE_MORE);
    assert_int_equal(feed(&trailers, "A: b\r\n", 100), NET__PIECE_MORE);
    assert_int_equal(feed(&trailers, "A: b\r\n", 10000), NET__PIECE_BAD);
}

static void test_body_of_known_length(void **state)
{
    (void)state;
    struct net__body body;
    net__body_init(&body, &(struct net__framing){ .length = 5 });
    size_t used;
    struct slice piece;
    assert_int_equal(net__body_next(&body, "", 0, &used, &piece), NET__PIECE_MORE);
    assert_int_equal(net__body_next(&body, "abc", 3, &used, &piece), NET__PIECE_DATA);
    assert_int_equal(used, 3);
    assert_int_equal(net__body_next(&body, "defg", 4, &used, &piece), NET__PIECE_DATA);
    assert_int_equal(used, 2);
    assert_true(body.done);
    assert_int_equal(net__body_next(&body, "fg", 2, &used, &piece), NET__PIECE_END);
    assert_int_equal(used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunk_in_any_split),
        cmocka_unit_test(test_chunk_bounds_what_is_not_data),
        cmocka_unit_test(test_body_of_known_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
