/* tests/http/test_encoding.c - Accept-Encoding; the machines; tags of entities in a coding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "http/internal.h"

static void test_choose(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        enum http__coding want;
        bool identity_refused;
    } cases[] = {
        { NULL, HTTP__IDENTITY, false },
        { "", HTTP__IDENTITY, false },
        { "gzip", HTTP__GZIP, false },
        { "x-gzip", HTTP__GZIP, false },
        { "GZip", HTTP__GZIP, false },
        { "gzip, deflate, br, zstd", HTTP__ZSTD, false },
        { "gzip, deflate, br", HTTP__BR, false },
        { "deflate", HTTP__IDENTITY, false },
        { "gzip;q=1.0, br;q=0.5", HTTP__GZIP, false },
        { "gzip;q=0.5, br;q=0.501", HTTP__BR, false },
        { " gzip ;q=0.5 ,\tbr; q=0.4", HTTP__GZIP, false },
        { "gzip;Q=0.5", HTTP__GZIP, false },
        { "*", HTTP__ZSTD, false },
        { "*;q=0", HTTP__IDENTITY, true },
        { "*;q=0, identity", HTTP__IDENTITY, false },
        { "zstd;q=0, *", HTTP__BR, false },
        { "br;q=0, zstd;q=0, *", HTTP__GZIP, false },
        { "identity", HTTP__IDENTITY, false },
        { "identity;q=0", HTTP__IDENTITY, true },
        { "identity;q=0, gzip;q=0.1", HTTP__GZIP, true },
        { "identity, gzip", HTTP__GZIP, false },
        { "identity;q=1, gzip;q=0.5", HTTP__IDENTITY, false },
        { "identity;q=0.5, gzip;q=1", HTTP__GZIP, false },
        { "gzip;q=0", HTTP__IDENTITY, false },
        { "gzip;q=0.000, br;q=0.001", HTTP__BR, false },
        { "gzip;q=2", HTTP__IDENTITY, false },
        { "gzip;q=1.001", HTTP__IDENTITY, false },
        { "gzip;q=-1", HTTP__IDENTITY, false },
        { "gzip;q=", HTTP__IDENTITY, false },
        { "gzip;q=0.1234", HTTP__IDENTITY, false },
        { "gzip;level=9", HTTP__IDENTITY, false },
        { ";q=1, br", HTTP__BR, false },
        { ",,, gzip ,,", HTTP__GZIP, false },
        { "compress, sdch", HTTP__IDENTITY, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool refused;
        struct slice in = cases[i].in ? slice_cstr(cases[i].in) : SLICE_NULL;
        enum http__coding got = http__coding_choose(in, HTTP__CODINGS_SENT, &refused);
        if (got != cases[i].want || refused != cases[i].identity_refused)
            fail_msg("%s: %d %d", cases[i].in, got, refused);
    }
    bool refused;
    assert_int_equal(http__coding_choose(SLICE("br, gzip"), 1u << HTTP__GZIP, &refused),
                     HTTP__GZIP);
}

static void test_choose_long_list(void **state)
{
    (void)state;
    char list[8192];
    memset(list, ',', sizeof(list));
    memcpy(list + sizeof(list) - 4, "gzip", 4);
    bool refused;
    assert_int_equal(
        http__coding_choose(slice_of(list, sizeof(list)), HTTP__CODINGS_SENT, &refused),
        HTTP__IDENTITY);
}

static void test_etag_variants(void **state)
{
    (void)state;
    static const struct {
        const char *list, *etag, *variant;
        bool strong;
    } cases[] = {
        { "\"3-abc-br\"", "\"3-abc\"", "\"3-abc-br\"", true },
        { "\"x\", \"3-abc-gzip\"", "\"3-abc\"", "\"3-abc-gzip\"", true },
        { "W/\"3-abc-zstd\"", "\"3-abc\"", "\"3-abc-zstd\"", false },
        { "\"3-abc\"", "\"3-abc\"", "\"3-abc\"", true },
        { "\"3-abcd-br\"", "\"3-abc\"", NULL, false },
        { "\"3-abc-brotli\"", "\"3-abc\"", NULL, false },
        { "\"3-abc-br-br\"", "\"3-abc\"", NULL, false },
        { "\"-br\"", "\"\"", "\"-br\"", true },
        { "\"3-abc\"", "\"3-abc-br\"", NULL, false },
        { "", "\"3-abc\"", NULL, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice list = slice_cstr(cases[i].list), etag = slice_cstr(cases[i].etag);
        struct slice variant = http__etag_variant(list, etag);
        bool strong = http_etag_matches(list, etag, false);
        if (!slice_eq(variant, slice_cstr(cases[i].variant)) || strong != cases[i].strong)
            fail_msg("%s against %s", cases[i].list, cases[i].etag);
    }
}

static const struct http__coder_limits limits = {
    .levels = { [HTTP__ZSTD] = 3, [HTTP__BR] = 4, [HTTP__GZIP] = 5 },
    .encoders_max = 3,
    .decoders_max = 3,
    .bytes_per_second_max = 1000,
};

static size_t encode_all(struct http__encoder *e, struct slice in, enum http__flow flow, char *out,
                         size_t cap, size_t step)
{
    size_t len = 0;
    for (bool done = false; !done;) {
        size_t n;
        assert_true(len < cap);
        assert_int_equal(
            http__encoder_run(e, &in, flow, out + len, MIN(step, cap - len), &n, &done), STATUS_OK);
        len += n;
    }
    assert_int_equal(in.len, 0);
    return len;
}

/* Through and back, in any steps, twice with the same machines. */
static void test_round_trips(void **state)
{
    (void)state;
    static const enum http__coding codings[] = { HTTP__GZIP, HTTP__BR, HTTP__ZSTD };
    static const size_t steps[] = { 1, 7, 4096, 1 << 20 };
    static char text[200000], packed[300000], back[200000];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)("{\"id\":12,\"title\":\"a thing\"},"[i % 28] + (i % 997 == 0));
    struct http__coders *coders = http__coders_new(&limits);
    for (size_t c = 0; c < ARRAY_LEN(codings) * ARRAY_LEN(steps); c++) {
        size_t step = steps[c / ARRAY_LEN(codings)];
        enum http__coding coding = codings[c % ARRAY_LEN(codings)];
        struct http__encoder *e = http__encoder_take(coders, coding, sizeof(text));
        assert_non_null(e);
        size_t packed_len =
            encode_all(e, slice_of(text, sizeof(text)), HTTP__END, packed, sizeof(packed), step);
        assert_true(packed_len < sizeof(text) / 10);
        http__encoder_give(e);

        struct http__decoder *d;
        assert_int_equal(http__decoder_take(coders, coding, &d), STATUS_OK);
        struct slice in = slice_of(packed, packed_len);
        size_t len = 0, n;
        for (bool end = false; !end;) {
            struct slice part = slice_head(in, step);
            size_t part_len = part.len;
            size_t cap = MIN(step, sizeof(back) - len);
            char none;
            assert_int_equal(http__decoder_run(d, &part, cap ? back + len : &none, cap, &n, &end),
                             STATUS_OK);
            in = slice_from(in, part_len - part.len);
            len += n;
        }
        assert_int_equal(in.len, 0);
        assert_int_equal(len, sizeof(text));
        assert_memory_equal(back, text, len);
        http__decoder_give(d);
    }
    assert_int_equal(http__coders_at_work(coders), 0);
    http__coders_free(coders);
}

/* What was flushed can be read, though the stream goes on. */
static void test_flush(void **state)
{
    (void)state;
    static const enum http__coding codings[] = { HTTP__GZIP, HTTP__BR, HTTP__ZSTD };
    struct http__coders *coders = http__coders_new(&limits);
    for (size_t c = 0; c < ARRAY_LEN(codings); c++) {
        struct http__encoder *e = http__encoder_take(coders, codings[c], -1);
        struct http__decoder *d;
        assert_int_equal(http__decoder_take(coders, codings[c], &d), STATUS_OK);
        for (int i = 0; i < 5; i++) {
            char packed[200], back[100];
            size_t len = encode_all(e, SLICE("a line\n"), HTTP__FLUSH, packed, sizeof(packed), 200);
            struct slice in = slice_of(packed, len);
            size_t n;
            bool end;
            assert_int_equal(http__decoder_run(d, &in, back, sizeof(back), &n, &end), STATUS_OK);
            assert_int_equal(n, 7);
            assert_memory_equal(back, "a line\n", 7);
        }
        char tail[100];
        assert_true(encode_all(e, SLICE(""), HTTP__END, tail, sizeof(tail), 100) < 40);
        http__encoder_give(e);
        http__decoder_give(d);
    }
    http__coders_free(coders);
}

static void test_bounds(void **state)
{
    (void)state;
    struct http__coders *coders = http__coders_new(&limits);
    struct http__encoder *e[3];
    struct http__decoder *d[3], *one_more;
    static const enum http__coding codings[] = { HTTP__GZIP, HTTP__BR, HTTP__ZSTD };
    for (unsigned i = 0; i < 3; i++) {
        e[i] = http__encoder_take(coders, codings[i], 10);
        assert_non_null(e[i]);
        assert_int_equal(http__decoder_take(coders, codings[i], &d[i]), STATUS_OK);
    }
    assert_null(http__encoder_take(coders, HTTP__GZIP, 10));
    assert_int_equal(http__decoder_take(coders, HTTP__GZIP, &one_more), STATUS_EXHAUSTED);
    for (unsigned i = 0; i < 3; i++) {
        http__encoder_give(e[i]);
        http__decoder_give(d[i]);
    }
    e[0] = http__encoder_take(coders, HTTP__GZIP, 10);
    assert_non_null(e[0]);
    http__encoder_give(e[0]);

    assert_true(http__coders_afford(coders, 600, CLOCK_SECOND));
    assert_false(http__coders_afford(coders, 600, CLOCK_SECOND + 1));
    assert_true(http__coders_afford(coders, 400, CLOCK_SECOND + 2));
    assert_false(http__coders_afford(coders, 1, 2 * CLOCK_SECOND - 1));
    assert_true(http__coders_afford(coders, 1000, 2 * CLOCK_SECOND));
    http__coders_free(coders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choose),        cmocka_unit_test(test_choose_long_list),
        cmocka_unit_test(test_etag_variants), cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_flush),         cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
