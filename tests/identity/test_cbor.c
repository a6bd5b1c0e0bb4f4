/* CBOR: what is canonical is read, everything else refused, whatever its length says. */
#include "fixture.h"

#include <string.h>

#include "identity/cbor.h"

static void test_cbor_reads_each_kind(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t len;
        enum identity_cbor_kind kind;
        uint64_t number;
        const char *bytes;
    } rows[] = {
        { "\x00", 1, IDENTITY_CBOR_UNSIGNED, 0, NULL },
        { "\x17", 1, IDENTITY_CBOR_UNSIGNED, 23, NULL },
        { "\x18\x18", 2, IDENTITY_CBOR_UNSIGNED, 24, NULL },
        { "\x19\x01\x00", 3, IDENTITY_CBOR_UNSIGNED, 256, NULL },
        { "\x1a\x00\x01\x00\x00", 5, IDENTITY_CBOR_UNSIGNED, 65536, NULL },
        { "\x1b\xff\xff\xff\xff\xff\xff\xff\xff", 9, IDENTITY_CBOR_UNSIGNED, UINT64_MAX, NULL },
        { "\x26", 1, IDENTITY_CBOR_NEGATIVE, 6, NULL },
        { "\x43xyz", 4, IDENTITY_CBOR_BYTES, 3, "xyz" },
        { "\x63xyz", 4, IDENTITY_CBOR_TEXT, 3, "xyz" },
        { "\x82\x01\x02", 3, IDENTITY_CBOR_ARRAY, 2, NULL },
        { "\xa1\x01\x02", 3, IDENTITY_CBOR_MAP, 1, NULL },
        { "\xf5", 1, IDENTITY_CBOR_SIMPLE, 21, NULL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice rest = slice_of(rows[i].in, rows[i].len), whole = rest;
        struct identity_cbor_item item;
        assert_status(identity_cbor_next(&rest, &item), STATUS_OK);
        assert_int_equal(item.kind, rows[i].kind);
        assert_true(item.number == rows[i].number);
        assert_slice(item.bytes, rows[i].bytes ? slice_cstr(rows[i].bytes) : SLICE_NULL);
        assert_status(identity_cbor_skip(&whole), STATUS_OK);
        assert_int_equal(whole.len, 0);
        /* Cut off anywhere it is refused, and nothing is taken. */
        for (size_t len = 0; len < rows[i].len; len++) {
            struct slice cut = slice_of(rows[i].in, len);
            assert_status(identity_cbor_skip(&cut), STATUS_INVALID);
            assert_int_equal(cut.len, len);
        }
    }
}

static void test_cbor_refuses_other_forms(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct slice in;
    } rows[] = {
        { "a longer number than needed", SLICE_INIT("\x18\x17") },
        { "... of two bytes", SLICE_INIT("\x19\x00\xff") },
        { "... of four", SLICE_INIT("\x1a\x00\x00\xff\xff") },
        { "... of eight", SLICE_INIT("\x1b\x00\x00\x00\x00\xff\xff\xff\xff") },
        { "reserved", SLICE_INIT("\x1c") },
        { "bytes of no definite length", SLICE_INIT("\x5f\x41x\xff") },
        { "a map of none", SLICE_INIT("\xbf\xff") },
        { "a tag", SLICE_INIT("\xc0\x01") },
        { "a floating number", SLICE_INIT("\xf9\x00\x00") },
        { "an unassigned simple value", SLICE_INIT("\xe0") },
        { "a break", SLICE_INIT("\xff") },
        { "text that is no UTF-8", SLICE_INIT("\x62\xc3\x28") },
        { "more bytes than there are", SLICE_INIT("\x5b\xff\xff\xff\xff\xff\xff\xff\xff") },
        { "more items than there are", SLICE_INIT("\x9b\xff\xff\xff\xff\xff\xff\xff\xff") },
        { "more pairs", SLICE_INIT("\xbb\x80\x00\x00\x00\x00\x00\x00\x00") },
        { "half a pair", SLICE_INIT("\xa1\x01") },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice rest = rows[i].in;
        if (identity_cbor_skip(&rest) != STATUS_INVALID)
            fail_msg("%s is taken", rows[i].name);
        assert_int_equal(rest.len, rows[i].in.len);
    }
}

static void test_cbor_depth_has_a_limit(void **state)
{
    (void)state;
    char deep[IDENTITY_CBOR_DEPTH_MAX + 2];
    memset(deep, '\x81', sizeof(deep));
    deep[IDENTITY_CBOR_DEPTH_MAX] = 1;
    struct slice rest = slice_of(deep, IDENTITY_CBOR_DEPTH_MAX + 1);
    assert_status(identity_cbor_skip(&rest), STATUS_OK);
    deep[IDENTITY_CBOR_DEPTH_MAX] = '\x81';
    deep[IDENTITY_CBOR_DEPTH_MAX + 1] = 1;
    rest = slice_of(deep, sizeof(deep));
    assert_status(identity_cbor_skip(&rest), STATUS_INVALID);
}

static void test_cbor_small_numbers(void **state)
{
    (void)state;
    static const struct {
        struct slice in;
        bool is_small;
        int64_t number;
    } rows[] = {
        { SLICE_INIT("\x03"), true, 3 },
        { SLICE_INIT("\x20"), true, -1 },
        { SLICE_INIT("\x39\x01\x00"), true, -257 },
        { SLICE_INIT("\x1a\x7f\xff\xff\xff"), true, INT32_MAX },
        { SLICE_INIT("\x1a\x80\x00\x00\x00"), false, 0 },
        { SLICE_INIT("\x3b\xff\xff\xff\xff\xff\xff\xff\xff"), false, 0 },
        { SLICE_INIT("\x41x"), false, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice rest = rows[i].in;
        struct identity_cbor_item item;
        int64_t number = 0;
        assert_status(identity_cbor_next(&rest, &item), STATUS_OK);
        assert_int_equal(identity_cbor_small(&item, &number), rows[i].is_small);
        assert_true(number == rows[i].number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cbor_reads_each_kind),
        cmocka_unit_test(test_cbor_refuses_other_forms),
        cmocka_unit_test(test_cbor_depth_has_a_limit),
        cmocka_unit_test(test_cbor_small_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
