/* Records and lines, whole and in pieces of every size: what arrives together must not matter. */
#include "check.h"

/* Cells as [a|b], "quoted empty" as `~`, no value as nothing; complaints as !code; the line before
 * each. */
static void put_record(struct buf *out, const struct import_record *record)
{
    buf_printf(out, "%lld", (long long)record->line);
    if (record->code) {
        buf_printf(out, "!%s ", record->code);
        return;
    }
    buf_putc(out, '[');
    for (unsigned i = 0; i < record->cells_len; i++) {
        if (i)
            buf_putc(out, '|');
        if (!record->cells[i].len && record->quoted[i])
            buf_putc(out, '~');
        buf_put_slice(out, record->cells[i]);
    }
    buf_put_lit(out, "] ");
}

static struct slice read_csv(struct arena *arena, struct slice text, char delimiter, size_t step)
{
    struct pieces pieces = { text, step };
    struct import_input in = {
        .read = read_pieces, .arg = &pieces, .piece_bytes = 64, .piece = arena_alloc(arena, 64)
    };
    struct import_csv *csv = arena_new_of(arena, struct import_csv);
    struct import_record record;
    struct buf out;
    buf_init(&out, arena, 256, 65536);
    import_csv_init(csv, &in, delimiter);
    while (import_csv_next(csv, &record))
        put_record(&out, &record);
    import_csv_fini(csv);
    check_int("bytes taken", (int64_t)in.taken, (int64_t)text.len);
    return buf_slice(&out);
}

static void test_csv_records(void **state)
{
    static const struct {
        const char *name, *in, *want;
        char delimiter;
    } cases[] = {
        { "nothing", "", "", ',' },
        { "one", "a", "1[a] ", ',' },
        { "two lines", "a,b\nc,d\n", "1[a|b] 2[c|d] ", ',' },
        { "CRLF", "a,b\r\nc,d\r\n", "1[a|b] 2[c|d] ", ',' },
        { "CR at the end of the file", "a,b\r", "1[a|b] ", ',' },
        { "CR inside is text", "a\rb,c\n", "1[a\rb|c] ", ',' },
        { "no line end", "a,b\nc,d", "1[a|b] 2[c|d] ", ',' },
        { "empty cells", ",\n,,\n", "1[|] 2[||] ", ',' },
        { "quoted empty", "\"\",\n", "1[~|] ", ',' },
        { "quotes", "\"a,b\",\"c\"\n", "1[a,b|c] ", ',' },
        { "doubled quotes", "\"say \"\"hi\"\"\",x\n", "1[say \"hi\"|x] ", ',' },
        { "only quotes", "\"\"\"\"\n", "1[\"] ", ',' },
        { "newlines inside", "\"a\nb\r\nc\",d\ne,f\n", "1[a\nb\r\nc|d] 4[e|f] ", ',' },
        { "blank lines are passed over", "\n\na,b\n\r\n\nc,d\n\n", "3[a|b] 6[c|d] ", ',' },
        { "spaces are kept", " a , b \n", "1[ a | b ] ", ',' },
        { "byte order mark",
          "\xef\xbb\xbf"
          "a,b\n",
          "1[a|b] ", ',' },
        { "half a mark", "\xef\xbb", "1!utf8 ", ',' },
        { "semicolons", "a;b,c\n", "1[a|b,c] ", ';' },
        { "tabs", "a\tb\n\t\n", "1[a|b] 2[|] ", '\t' },
        { "quote closed at the end", "a,\"b\"", "1[a|b] ", ',' },
        { "quoted with CRLF", "\"a\"\r\n\"b\"\r\n", "1[a] 2[b] ", ',' },
        { "quoted then CR", "\"a\"\rb\nc\n", "1!quote 2[c] ", ',' },
        { "after the quote", "\"a\"b,c\nd,e\n", "1!quote 2[d|e] ", ',' },
        { "space after the quote", "\"a\" ,c\nd,e\n", "1!quote 2[d|e] ", ',' },
        { "quote inside", "a\"b,c\nd,e\n", "1!quote 2[d|e] ", ',' },
        { "never closed", "a,b\n\"c,d\ne,f\n", "1[a|b] 2!quote ", ',' },
        { "not UTF-8", "a,\xff\nb,c\n", "1!utf8 2[b|c] ", ',' },
        { "halves of a character", "\xc3,\xa9\n", "1!utf8 ", ',' },
        { "letters of other scripts", "\xc3\xa9,\xe2\x82\xac\n", "1[\xc3\xa9|\xe2\x82\xac] ", ',' },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 1; step <= 70; step += step < 9 ? 1 : 61) {
            CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
            struct slice got = read_csv(arena, slice_cstr(cases[i].in), cases[i].delimiter, step);
            check_text(cases[i].name, got, slice_cstr(cases[i].want));
        }
}

static void test_csv_zero_bytes_are_text(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    check_text("zero", read_csv(arena, SLICE("a\0b,c\n"), ',', 2), SLICE("1[a\0b|c] "));
}

static void test_csv_is_bounded(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct buf text;
    buf_init(&text, arena, 0, IMPORT_LINE_BYTES_MAX * 4);
    for (size_t i = 0; i <= IMPORT_LINE_BYTES_MAX; i++)
        buf_putc(&text, 'x');
    buf_put_lit(&text, "\nok\n\"");
    for (size_t i = 0; i <= IMPORT_LINE_BYTES_MAX; i++)
        buf_putc(&text, 'y');
    buf_put_lit(&text, "\nfine\n");
    for (unsigned i = 0; i < IMPORT_CELLS_MAX; i++)
        buf_putc(&text, ',');
    buf_put_lit(&text, "\nlast\n");
    check_text("bounds", read_csv(arena, buf_slice(&text), ',', 64),
               SLICE("1!too_large 2[ok] 3!too_large 4[fine] 5!too_large 6[last] "));
}

static void test_csv_digest_sees_cells(void **state)
{
    static const char *const differing[] = { "a,bc\n",     "ab,c\n", "abc\n", "\"abc\",\n",
                                             "abc,\"\"\n", "abc,\n", ",abc\n" };
    (void)state;
    uint64_t digests[ARRAY_LEN(differing)];
    for (size_t i = 0; i < ARRAY_LEN(differing); i++) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
        struct pieces pieces = { slice_cstr(differing[i]), 3 };
        struct import_input in = {
            .read = read_pieces, .arg = &pieces, .piece_bytes = 64, .piece = arena_alloc(arena, 64)
        };
        struct import_csv *csv = arena_new_of(arena, struct import_csv);
        struct import_record record;
        import_csv_init(csv, &in, ',');
        assert_true(import_csv_next(csv, &record));
        digests[i] = record.digest;
        import_csv_fini(csv);
    }
    for (size_t i = 0; i < ARRAY_LEN(differing); i++)
        for (size_t k = 0; k < i; k++)
            if (digests[i] == digests[k] && i != 3)
                fail_msg("%s and %s have the same digest", differing[i], differing[k]);
}

static void test_csv_put_reads_back(void **state)
{
    static const char *const texts[] = { "",           "plain", "a,b",     "say \"hi\"", "\"",
                                         "line\nline", "cr\r",  " space ", "\xc3\xa9;x", "\t" };
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct buf out, want;
    buf_init(&out, arena, 256, 65536);
    buf_init(&want, arena, 256, 65536);
    buf_put_lit(&want, "1[");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (i) {
            buf_putc(&out, ',');
            buf_putc(&want, '|');
        }
        import_csv_put(&out, slice_cstr(texts[i]));
        buf_put_cstr(&want, *texts[i] ? texts[i] : "~");
    }
    buf_put_lit(&out, "\r\n");
    buf_put_lit(&want, "] ");
    check_text("round trip", read_csv(arena, buf_slice(&out), ',', 7), buf_slice(&want));
}

/* -- JSON Lines
 * -------------------------------------------------------------------------------------------- */

static struct slice read_lines(struct arena *arena, struct slice text, size_t step, size_t line_max)
{
    struct pieces pieces = { text, step };
    struct import_input in = {
        .read = read_pieces, .arg = &pieces, .piece_bytes = 64, .piece = arena_alloc(arena, 64)
    };
    struct import_record record;
    struct buf line, out;
    buf_init(&line, NULL, 0, line_max);
    buf_init(&out, arena, 256, 65536);
    while (import_ndjson_next(&in, &line, &record)) {
        buf_printf(&out, "%lld", (long long)record.line);
        if (record.code)
            buf_printf(&out, "!%s ", record.code);
        else
            buf_printf(&out, "[%.*s] ", SLICE_ARG(record.text));
    }
    buf_fini(&line);
    return buf_slice(&out);
}

static void test_lines(void **state)
{
    static const struct {
        const char *name, *in, *want;
    } cases[] = {
        { "nothing", "", "" },
        { "one", "{}", "1[{}] " },
        { "two", "{}\n[]\n", "1[{}] 2[[]] " },
        { "CRLF", "{}\r\n[]\r\n", "1[{}] 2[[]] " },
        { "blank lines", "\n  \n{}\n\r\n\t\n[]", "3[{}] 6[[]] " },
        { "byte order mark", "\xef\xbb\xbf{}\n", "1[{}] " },
        { "a mark later is text", "{}\n\xef\xbb\xbf{}\n", "1[{}] 2[\xef\xbb\xbf{}] " },
        { "not UTF-8", "{}\n\"\xc3\n{}\n", "1[{}] 2!utf8 3[{}] " },
        { "too long", "0123456789abcdefg\n{}\n", "1!too_large 2[{}] " },
        { "just fits", "0123456789abcdef\n{}\n", "1[0123456789abcdef] 2[{}] " },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 1; step <= 70; step += step < 9 ? 1 : 61) {
            CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
            struct slice got = read_lines(arena, slice_cstr(cases[i].in), step, 16);
            check_text(cases[i].name, got, slice_cstr(cases[i].want));
        }
}

static long read_nothing(void *arg, char *room, size_t room_bytes)
{
    (void)arg;
    (void)room;
    (void)room_bytes;
    return -1;
}

static void test_reading_that_fails_is_told(void **state)
{
    (void)state;
    char piece[64];
    struct import_input in = { .read = read_nothing, .piece = piece, .piece_bytes = sizeof(piece) };
    struct import_record record;
    struct buf line;
    buf_init(&line, NULL, 0, 100);
    assert_false(import_ndjson_next(&in, &line, &record));
    assert_true(in.failed);
    buf_fini(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_records),
        cmocka_unit_test(test_csv_zero_bytes_are_text),
        cmocka_unit_test(test_csv_is_bounded),
        cmocka_unit_test(test_csv_digest_sees_cells),
        cmocka_unit_test(test_csv_put_reads_back),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_reading_that_fails_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
