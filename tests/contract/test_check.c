/* Every type and every constraint: what is taken, in which form it is kept, and which code says
 * what is wrong. */
#include "check.h"

static const char contract_text[] =
    "resource: things\n"
    "fields:\n"
    "  string:   { type: string }\n"
    "  short:    { type: string, min: 2, max: 4 }\n"
    "  code:     { type: string, pattern: \"^[A-Z]{2}[0-9]+$\" }\n"
    "  words:    { type: text, min: 1, max: 20, pattern: \"^[^!]*$\" }\n"
    "  integer:  { type: integer }\n"
    "  small:    { type: integer, min: -2, max: 10 }\n"
    "  number:   { type: number, min: -1.5, max: 1e3 }\n"
    "  boolean:  { type: boolean }\n"
    "  time:     { type: time }\n"
    "  era:      { type: time, min: 2000-01-01T00:00:00Z, max: 2029-12-31T23:59:59Z }\n"
    "  date:     { type: date }\n"
    "  year:     { type: date, min: 2026-01-01, max: 2026-12-31 }\n"
    "  uuid:     { type: uuid }\n"
    "  email:    { type: email, max: 40, pattern: \"[.]org$\" }\n"
    "  url:      { type: url, pattern: \"^https?:\" }\n"
    "  link:     { type: url, schemes: [mailto, ftp] }\n"
    "  json:     { type: json, max_bytes: 30 }\n"
    "  point:    { type: json, schema: { type: object, required: [x], properties: { x: { type: "
    "number } } } }\n"
    "  tags:     { type: list, of: string, max_items: 3, pattern: \"^[a-z-]+$\", max: 8 }\n"
    "  numbers:  { type: list, of: integer, min_items: 1, min: 0, unique_items: true }\n"
    "  days:     { type: list, of: { type: date, max: 2026-12-31 }, unique_items: true }\n"
    "  sizes:    { type: list, of: { enum: [s, m, l] } }\n"
    "  people:   { type: list, of: email }\n"
    "  ids:      { type: list, of: uuid }\n"
    "  flags:    { type: list, of: boolean }\n"
    "  kind:     { enum: [a, b.c, D_1] }\n"
    "  parent:   { ref: things }\n"
    "  price:    { type: money, min: 1, max: 100000 }\n"
    "  fee:      { type: money, currencies: [EUR, USD] }\n"
    "  picture:  { type: media, accept: [image/*, video/mp4], max_bytes: 1000 }\n"
    "  file:     { type: media }\n";

struct row {
    const char *body;
    const char *want; /* the row, or the problems */
};

struct fixture {
    struct arena *arena;
    struct contract_set *set;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_new(NULL, 0);
    f->set = set_of(f->arena, contract_text);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    contract_set_free(f->set);
    arena_free(f->arena);
    free(f);
    return 0;
}

static struct slice validate(struct fixture *f, const char *body)
{
    const struct contract *c = contract_find(f->set, SLICE("things"));
    const struct contract_input input = { .mode = CONTRACT_MODE_PATCH };
    struct problem problem = { .status = STATUS_OK };
    struct contract_row row;
    enum status st =
        contract_validate(c, json_of(f->arena, body), &input, f->arena, &problem, &row, NULL);
    return st == STATUS_OK ? row_of(f->arena, &row) : problems_of(f->arena, &problem);
}

static void run(void **state, const struct row *rows, size_t len)
{
    for (size_t i = 0; i < len; i++)
        check_text(rows[i].body, validate(*state, rows[i].body), slice_cstr(rows[i].want));
}

static void test_check_strings(void **state)
{
    static const struct row rows[] = {
        { "{\"string\":\"\"}", "{\"string\":\"\"}" },
        { "{\"string\":\"a \\\"b\\\" \\\\ \xc3\xa9\"}",
          "{\"string\":\"a \\\"b\\\" \\\\ \xc3\xa9\"}" },
        { "{\"string\":null}", "{\"string\":null}" },
        { "{\"string\":1}", "/string type" },
        { "{\"string\":true}", "/string type" },
        { "{\"string\":[]}", "/string type" },
        { "{\"string\":{}}", "/string type" },
        { "{\"string\":\"a\\nb\"}", "/string control_character" },
        { "{\"string\":\"a\\tb\"}", "/string control_character" },
        { "{\"string\":\"sixteen or more characters\\r\"}", "/string control_character" },
        { "{\"string\":\"\\u0001\"}", "/string control_character" },
        { "{\"string\":\"\\u007f\"}", "/string control_character" },
        { "{\"string\":\"\\u0085\"}", "/string control_character" },
        { "{\"string\":\"\\u2028\"}", "/string control_character" },
        { "{\"string\":\"long enough to be looked at sixteen at once \\u2029\"}",
          "/string control_character" },
        { "{\"string\":\"a\\u0000\"}", "/string null_byte" },
        { "{\"string\":\"\\u00a0\\u2030\\u2027\"}",
          "{\"string\":\"\xc2\xa0\xe2\x80\xb0\xe2\x80\xa7\"}" },
        { "{\"short\":\"ab\"}", "{\"short\":\"ab\"}" },
        { "{\"short\":\"a\"}", "/short too_short" },
        { "{\"short\":\"abcde\"}", "/short too_long" },
        /* Characters are code points: four of four bytes each fit, five do not. */
        { "{\"short\":\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\"}",
          "{\"short\":\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\"}" },
        { "{\"short\":"
          "\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xc3\xa9\"}",
          "/short too_long" },
        { "{\"code\":\"AB12\"}", "{\"code\":\"AB12\"}" },
        { "{\"code\":\"AB\"}", "/code pattern" },
        { "{\"code\":\"xAB12\"}", "/code pattern" },
        { "{\"words\":\"one\\n\\ttwo\\r\\n\"}", "{\"words\":\"one\\n\\ttwo\\r\\n\"}" },
        { "{\"words\":\"\\u2028\\u0085\"}", "{\"words\":\"\xe2\x80\xa8\xc2\x85\"}" },
        { "{\"words\":\"\\u0007\"}", "/words control_character" },
        { "{\"words\":\"\\u0000\"}", "/words null_byte" },
        { "{\"words\":\"\"}", "/words too_short" },
        { "{\"words\":\"123456789012345678901\"}", "/words too_long" },
        { "{\"words\":\"no!\"}", "/words pattern" },
        { "{\"words\":7}", "/words type" },
    };
    run(state, rows, ARRAY_LEN(rows));
}

static void test_check_numbers(void **state)
{
    static const struct row rows[] = {
        { "{\"integer\":0}", "{\"integer\":0}" },
        { "{\"integer\":-9223372036854775808}", "{\"integer\":-9223372036854775808}" },
        { "{\"integer\":9223372036854775807}", "{\"integer\":9223372036854775807}" },
        { "{\"integer\":1.0}", "/integer type" },
        { "{\"integer\":1e3}", "/integer type" },
        { "{\"integer\":\"1\"}", "/integer type" },
        { "{\"small\":-2,\"integer\":5}", "{\"integer\":5,\"small\":-2}" },
        { "{\"small\":-3}", "/small too_small" },
        { "{\"small\":11}", "/small too_large" },
        { "{\"number\":0.25}", "{\"number\":0.25}" },
        { "{\"number\":1000}", "{\"number\":1000}" },
        { "{\"number\":-1.5}", "{\"number\":-1.5}" },
        { "{\"number\":-1.6}", "/number too_small" },
        { "{\"number\":1000.5}", "/number too_large" },
        { "{\"number\":9007199254740993}", "/number too_large" },
        { "{\"number\":-9007199254740993}", "/number too_small" },
        { "{\"number\":\"1\"}", "/number type" },
        { "{\"boolean\":true}", "{\"boolean\":true}" },
        { "{\"boolean\":false}", "{\"boolean\":false}" },
        { "{\"boolean\":0}", "/boolean type" },
        { "{\"boolean\":\"true\"}", "/boolean type" },
    };
    run(state, rows, ARRAY_LEN(rows));
}

static void test_check_moments(void **state)
{
    static const struct row rows[] = {
        { "{\"time\":\"2026-01-02T03:04:05Z\"}", "{\"time\":\"2026-01-02T03:04:05.000Z\"}" },
        { "{\"time\":\"2026-01-02T03:04:05.6789+01:30\"}",
          "{\"time\":\"2026-01-02T01:34:05.678Z\"}" },
        /* Downwards to the millisecond, before 1970 as after. */
        { "{\"time\":\"1969-12-31T23:59:59.9999Z\"}", "{\"time\":\"1969-12-31T23:59:59.999Z\"}" },
        { "{\"time\":\"2026-02-30T00:00:00Z\"}", "/time format" },
        { "{\"time\":\"2026-01-02\"}", "/time format" },
        { "{\"time\":1767322800}", "/time type" },
        { "{\"era\":\"2000-01-01T00:00:00Z\"}", "{\"era\":\"2000-01-01T00:00:00.000Z\"}" },
        { "{\"era\":\"1999-12-31T23:59:59.999Z\"}", "/era too_small" },
        { "{\"era\":\"2030-01-01T00:00:00Z\"}", "/era too_large" },
        { "{\"date\":\"2024-02-29\"}", "{\"date\":\"2024-02-29\"}" },
        { "{\"date\":\"2026-02-29\"}", "/date format" },
        { "{\"date\":\"2026-1-2\"}", "/date format" },
        { "{\"date\":20260102}", "/date type" },
        { "{\"year\":\"2026-12-31\"}", "{\"year\":\"2026-12-31\"}" },
        { "{\"year\":\"2025-12-31\"}", "/year too_small" },
        { "{\"year\":\"2027-01-01\"}", "/year too_large" },
    };
    run(state, rows, ARRAY_LEN(rows));
}

static void test_check_formats(void **state)
{
    static const struct row rows[] = {
        { "{\"uuid\":\"01890A5D-AC96-774B-BCCE-B302099A8057\"}",
          "{\"uuid\":\"01890a5d-ac96-774b-bcce-b302099a8057\"}" },
        { "{\"uuid\":\"01890a5dac96774bbcceb302099a8057\"}", "/uuid format" },
        { "{\"uuid\":5}", "/uuid type" },
        { "{\"parent\":\"01890a5d-ac96-774b-bcce-b302099a8057\"}",
          "{\"parent\":\"01890a5d-ac96-774b-bcce-b302099a8057\"}" },
        { "{\"parent\":\"1\"}", "/parent format" },
        { "{\"email\":\"Ada.L@Example.ORG\"}", "{\"email\":\"Ada.L@example.org\"}" },
        { "{\"email\":\"a@b.org\"}", "{\"email\":\"a@b.org\"}" },
        { "{\"email\":\"a@b.com\"}", "/email pattern" },
        { "{\"email\":\"a@b\"}", "/email format" },
        { "{\"email\":\"a b@example.org\"}", "/email format" },
        { "{\"email\":\"abcdefghijklmnopqrstuvwxyz.abcdef@example.org\"}", "/email too_long" },
        { "{\"email\":1}", "/email type" },
        { "{\"url\":\"https://example.org/a?b=c#d\"}",
          "{\"url\":\"https://example.org/a?b=c#d\"}" },
        { "{\"url\":\"HTTPS://example.org/\"}", "/url pattern" },
        { "{\"url\":\"javascript:alert(1)\"}", "/url format" },
        { "{\"url\":\"//example.org\"}", "/url format" },
        { "{\"url\":null,\"link\":\"mailto:a@b.org\"}",
          "{\"url\":null,\"link\":\"mailto:a@b.org\"}" },
        { "{\"link\":\"https://example.org\"}", "/link format" },
        { "{\"url\":true}", "/url type" },
        { "{\"kind\":\"b.c\"}", "{\"kind\":\"b.c\"}" },
        { "{\"kind\":\"A\"}", "/kind enum" },
        { "{\"kind\":1}", "/kind type" },
    };
    run(state, rows, ARRAY_LEN(rows));
}

static void test_check_json(void **state)
{
    static const struct row rows[] = {
        { "{\"json\": { \"b\" : [ 1, 2.5, null ], \"a\": \"x\" } }",
          "{\"json\":{\"b\":[1,2.5,null],\"a\":\"x\"}}" },
        { "{\"json\":\"text\"}", "{\"json\":\"text\"}" },
        { "{\"json\":false}", "{\"json\":false}" },
        { "{\"json\":\"012345678901234567890123456789\"}", "/json too_long" },
        { "{\"json\":{\"a\":[\"\\u0000\"]}}", "/json null_byte" },
        { "{\"json\":{\"a\":[\"\\u0001\"]}}", "{\"json\":{\"a\":[\"\\u0001\"]}}" },
        { "{\"point\":{\"x\":1.5,\"y\":2}}", "{\"point\":{\"x\":1.5,\"y\":2}}" },
        { "{\"point\":{\"x\":\"1\"}}", "/point/x schema" },
        { "{\"point\":{}}", "/point/x schema" },
        { "{\"point\":[]}", "/point schema" },
    };
    run(state, rows, ARRAY_LEN(rows));
}

static void test_check_lists(void **state)
{
    static const struct row rows[] = {
        { "{\"tags\":[]}", "{\"tags\":[]}" },
        { "{\"tags\":[ \"a\" , \"b-c\" ]}", "{\"tags\":[\"a\",\"b-c\"]}" },
        { "{\"tags\":[\"a\",\"a\"]}", "{\"tags\":[\"a\",\"a\"]}" },
        { "{\"tags\":[\"a\",\"B\",\"muchtoolong\"]}", "/tags/1 pattern; /tags/2 too_long" },
        { "{\"tags\":[\"a\",null,3]}", "/tags/1 not_null; /tags/2 type" },
        { "{\"tags\":[\"a\",\"b\",\"c\",\"d\"]}", "/tags items_too_many" },
        { "{\"tags\":\"a\"}", "/tags type" },
        { "{\"numbers\":[3,1,2]}", "{\"numbers\":[3,1,2]}" },
        { "{\"numbers\":[]}", "/numbers items_too_few" },
        { "{\"numbers\":[-1]}", "/numbers/0 too_small" },
        { "{\"numbers\":[1,2,1,2]}", "/numbers/2 not_unique; /numbers/3 not_unique" },
        { "{\"days\":[\"2026-01-01\",\"2026-01-02\"]}",
          "{\"days\":[\"2026-01-01\",\"2026-01-02\"]}" },
        { "{\"days\":[\"2026-01-01\",\"2026-01-01\"]}", "/days/1 not_unique" },
        { "{\"days\":[\"2027-01-01\"]}", "/days/0 too_large" },
        { "{\"sizes\":[\"s\",\"l\"]}", "{\"sizes\":[\"s\",\"l\"]}" },
        { "{\"sizes\":[\"xl\"]}", "/sizes/0 enum" },
        { "{\"people\":[\"A@B.ORG\"]}", "{\"people\":[\"A@b.org\"]}" },
        { "{\"ids\":[\"01890A5D-AC96-774B-BCCE-B302099A8057\"]}",
          "{\"ids\":[\"01890a5d-ac96-774b-bcce-b302099a8057\"]}" },
        { "{\"flags\":[true,false]}", "{\"flags\":[true,false]}" },
    };
    run(state, rows, ARRAY_LEN(rows));
}

static void test_check_money(void **state)
{
    static const struct row rows[] = {
        { "{\"price\":{\"currency\":\"EUR\",\"amount_minor\":1250}}",
          "{\"price\":{\"amount_minor\":1250,\"currency\":\"EUR\"}}" },
        { "{\"price\":{\"amount_minor\":0,\"currency\":\"QQQ\"}}",
          "/price/amount_minor too_small; /price/currency currency" },
        { "{\"price\":{\"amount_minor\":100001,\"currency\":\"eur\"}}",
          "/price/amount_minor too_large; /price/currency currency" },
        { "{\"price\":{\"amount_minor\":1.5,\"currency\":7}}",
          "/price/amount_minor type; /price/currency type" },
        { "{\"price\":{}}", "/price/amount_minor required; /price/currency required" },
        { "{\"price\":{\"amount_minor\":null,\"currency\":\"EUR\",\"extra\":1}}",
          "/price/extra unknown_field; /price/amount_minor required" },
        { "{\"price\":1250}", "/price type" },
        { "{\"price\":null}", "{\"price\":null}" },
        { "{\"fee\":{\"amount_minor\":-5,\"currency\":\"USD\"}}",
          "{\"fee\":{\"amount_minor\":-5,\"currency\":\"USD\"}}" },
        { "{\"fee\":{\"amount_minor\":5,\"currency\":\"JPY\"}}", "/fee/currency currency" },
    };
    run(state, rows, ARRAY_LEN(rows));
}

static void test_check_media(void **state)
{
    static const struct row rows[] = {
        { "{\"picture\":{\"type\":\"image/png\",\"url\":\"https://x.org/a.png\",\"alt\":\"A "
          "\\\"cat\\\"\",\"height\":2,\"width\":1,\"bytes\":1000}}",
          "{\"picture\":{\"url\":\"https://x.org/a.png\",\"type\":\"image/"
          "png\",\"bytes\":1000,\"width\":1,\"height\":2,\"alt\":\"A \\\"cat\\\"\"}}" },
        { "{\"picture\":{\"type\":\"video/mp4\",\"url\":\"https://x.org/a\",\"alt\":null}}",
          "{\"picture\":{\"url\":\"https://x.org/a\",\"type\":\"video/mp4\"}}" },
        { "{\"picture\":{\"type\":\"video/webm\",\"url\":\"ftp://x.org\"}}",
          "/picture/url format; /picture/type enum" },
        { "{\"picture\":{\"type\":\"png\",\"url\":5,\"bytes\":1001}}",
          "/picture/url type; /picture/type format; /picture/bytes too_large" },
        { "{\"picture\":{\"width\":-1,\"height\":1.5,\"alt\":7,\"size\":1}}",
          "/picture/size unknown_field; /picture/url required; /picture/type required; "
          "/picture/width too_small; /picture/height type; /picture/alt type" },
        { "{\"picture\":\"https://x.org\"}", "/picture type" },
        { "{\"file\":{\"type\":\"application/pdf\",\"url\":\"http://x.org\",\"bytes\":123456789}}",
          "{\"file\":{\"url\":\"http://x.org\",\"type\":\"application/"
          "pdf\",\"bytes\":123456789}}" },
        { "{\"file\":{\"type\":7,\"url\":\"http://x.org\",\"alt\":\"\\u0000\"}}",
          "/file/type type; /file/alt null_byte" },
    };
    run(state, rows, ARRAY_LEN(rows));
}

/* A text of `len` times `c`, as a body. */
static const char *repeated(struct fixture *f, const char *field, char c, size_t len)
{
    struct buf out;
    buf_init(&out, f->arena, len + 64, len + 256);
    buf_printf(&out, "{\"%s\":\"", field);
    for (size_t i = 0; i < len; i++)
        buf_putc(&out, c);
    buf_put_lit(&out, "\"}");
    buf_putc(&out, '\0');
    return out.data;
}

static void test_check_limits_unless_said(void **state)
{
    struct fixture *f = *state;
    assert_true(slice_starts(validate(f, repeated(f, "string", 'x', 255)), SLICE("{")));
    check_text("256", validate(f, repeated(f, "string", 'x', 256)), SLICE("/string too_long"));
    check_text("url", validate(f, repeated(f, "url", 'x', 2049)), SLICE("/url too_long"));
}

/* However small the arena: either the answer is right, or it is EXHAUSTED. */
static void test_check_memory_runs_out(void **state)
{
    static const char body[] = "{\"tags\":[\"a\",\"b\"],\"numbers\":[1,2,3],\"email\":\"A@B.ORG\","
                               "\"uuid\":\"01890a5d-ac96-774b-bcce-b302099a8057\","
                               "\"json\":{\"a\":[1,2,3]},\"picture\":{\"type\":\"image/"
                               "png\",\"url\":\"https://x.org/a\"},\"integer\":1}";
    struct fixture *f = *state;
    const struct contract *c = contract_find(f->set, SLICE("things"));
    const json_t *object = json_of(f->arena, body);
    bool done = false;
    for (size_t budget = 64; !done; budget += 64) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, budget);
        const struct contract_input input = { .mode = CONTRACT_MODE_PATCH };
        struct problem problem = { .status = STATUS_OK };
        struct contract_row row;
        enum status st = contract_validate(c, object, &input, arena, &problem, &row, NULL);
        assert_true(st == STATUS_OK || st == STATUS_EXHAUSTED);
        done = st == STATUS_OK;
        assert_true(budget < 100000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_strings),
        cmocka_unit_test(test_check_numbers),
        cmocka_unit_test(test_check_moments),
        cmocka_unit_test(test_check_formats),
        cmocka_unit_test(test_check_json),
        cmocka_unit_test(test_check_lists),
        cmocka_unit_test(test_check_money),
        cmocka_unit_test(test_check_media),
        cmocka_unit_test(test_check_limits_unless_said),
        cmocka_unit_test(test_check_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
