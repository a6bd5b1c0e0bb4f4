/* Text to values and values to JSON, there and back. */
#include "check.h"

static const char contract_text[] = "resource: things\n"
                                    "fields:\n"
                                    "  string:  { type: string, max: 3 }\n"
                                    "  text:    { type: text }\n"
                                    "  integer: { type: integer, max: 3 }\n"
                                    "  number:  { type: number }\n"
                                    "  boolean: { type: boolean }\n"
                                    "  time:    { type: time }\n"
                                    "  date:    { type: date }\n"
                                    "  uuid:    { type: uuid }\n"
                                    "  email:   { type: email }\n"
                                    "  url:     { type: url }\n"
                                    "  kind:    { enum: [a, b] }\n"
                                    "  parent:  { ref: things }\n"
                                    "  total:   { count: things.parent }\n"
                                    "  json:    { type: json }\n"
                                    "  list:    { type: list, of: string }\n"
                                    "  price:   { type: money }\n"
                                    "  picture: { type: media }\n";

struct fixture {
    struct arena *arena;
    struct contract_set *set;
    const struct contract *things;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_new(NULL, 0);
    f->set = set_of(f->arena, contract_text);
    f->things = contract_find(f->set, SLICE("things"));
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

/* The field's JSON for a text, or the reason. */
static struct slice parse(struct fixture *f, const char *field_name, struct slice text)
{
    const struct contract_field *field = contract_field_find(f->things, slice_cstr(field_name));
    struct store_value values[2] = { 0 };
    const char *reason = NULL;
    struct buf out;
    if (contract_value_parse(field, text, f->arena, &values[0], &reason) != STATUS_OK)
        return arena_printf(f->arena, "! %s", reason);
    buf_init(&out, f->arena, 128, 4096);
    contract_value_write(field, values, &out);
    return buf_slice(&out);
}

#define ID_TEXT "01890a5d-ac96-774b-bcce-b302099a8057"

static void test_value_parse(void **state)
{
    static const struct {
        const char *field, *text, *want;
    } rows[] = {
        { "string", "longer than it may be", "\"longer than it may be\"" },
        { "string", "", "\"\"" },
        { "text", "a\nb", "\"a\\nb\"" },
        { "integer", "-7", "-7" },
        { "integer", "99", "99" },
        { "integer", "1.0", "! must be a whole number" },
        { "integer", "99999999999999999999", "! must be a whole number" },
        { "total", "3", "3" },
        { "number", "2.5e3", "2500" },
        { "number", "x", "! must be a number" },
        { "boolean", "true", "true" },
        { "boolean", "false", "false" },
        { "boolean", "1", "! must be true or false" },
        { "time", "2026-01-02T03:04:05.6789Z", "\"2026-01-02T03:04:05.678Z\"" },
        { "time", "1969-12-31T23:59:59.9999Z", "\"1969-12-31T23:59:59.999Z\"" },
        { "time", "now", "! must be a time as in 2026-01-02T03:04:05Z (RFC 3339)" },
        { "date", "2026-01-02", "\"2026-01-02\"" },
        { "date", "2026-13-02", "! must be a date of the calendar, as in 2026-01-02" },
        { "uuid", ID_TEXT, "\"" ID_TEXT "\"" },
        { "uuid", "x", "! must be an id as in " ID_TEXT },
        { "parent", "01890A5D-AC96-774B-BCCE-B302099A8057", "\"" ID_TEXT "\"" },
        { "email", "A@EXAMPLE.ORG", "\"A@example.org\"" },
        { "email", "A", "! must be an email address as in name@example.org" },
        { "url", "https://a/", "\"https://a/\"" },
        { "url", "a", "! must be an address as in https://example.org/path" },
        { "kind", "b", "\"b\"" },
        { "kind", "c", "! must be one of the values that the field lists" },
        { "json", "{}", "! has no form as one piece of text" },
        { "list", "[]", "! has no form as one piece of text" },
        { "price", "1", "! has no form as one piece of text" },
        { "picture", "x", "! has no form as one piece of text" },
        { "string", "\xff", "! must be text in UTF-8 without U+0000" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_text(rows[i].text, parse(*state, rows[i].field, slice_cstr(rows[i].text)),
                   slice_cstr(rows[i].want));
    check_text("zero", parse(*state, "string", SLICE("a\0b")),
               SLICE("! must be text in UTF-8 without U+0000"));
}

static void test_value_parse_memory_runs_out(void **state)
{
    struct fixture *f = *state;
    struct store_value value;
    const char *reason = NULL;
    CLEANUP(arena_free) struct arena *tiny = arena_new(NULL, 1);
    assert_int_equal(contract_value_parse(contract_field_find(f->things, SLICE("uuid")),
                                          SLICE(ID_TEXT), tiny, &value, &reason),
                     STATUS_EXHAUSTED);
    assert_int_equal(contract_value_parse(contract_field_find(f->things, SLICE("email")),
                                          SLICE("a@example.org"), tiny, &value, &reason),
                     STATUS_EXHAUSTED);
    assert_null(reason);
}

/* What is written of a row is taken back and gives the same row. */
static void test_value_round_trip(void **state)
{
    struct fixture *f = *state;
    static const char body[] =
        "{\"string\":\"\xc3\xa9\\\"\",\"text\":\"a\\nb\",\"integer\":-3,\"number\":0.1,\"boolean\":"
        "true,"
        "\"time\":\"2026-01-02T03:04:05.678Z\",\"date\":\"2026-01-02\",\"uuid\":\"" ID_TEXT
        "\",\"email\":\"a@b.org\","
        "\"url\":\"https://a/\",\"kind\":\"a\",\"parent\":\"" ID_TEXT
        "\",\"json\":{\"a\":[1,null]},\"list\":[\"x\",\"y\"],"
        "\"price\":{\"amount_minor\":-1,\"currency\":\"EUR\"},\"picture\":{\"url\":\"https://a/"
        "\",\"type\":\"a/b\"}}";
    const struct contract_input input = { .mode = CONTRACT_MODE_PATCH };
    struct problem problem = { .status = STATUS_OK };
    struct contract_row row;
    assert_int_equal(contract_validate(f->things, json_of(f->arena, body), &input, f->arena,
                                       &problem, &row, NULL),
                     STATUS_OK);
    check_text("there and back", row_of(f->arena, &row), slice_cstr(body));
}

static void test_value_write_nulls_and_odd_kinds(void **state)
{
    struct fixture *f = *state;
    struct buf out;
    buf_init(&out, f->arena, 256, 4096);
    for (unsigned i = 0; i < f->things->fields_len; i++) {
        const struct store_value none[2] = { 0 };
        buf_clear(&out);
        contract_value_write(f->things->fields[i], none, &out);
        check_text("null", buf_slice(&out), SLICE("null"));
    }
    /* A database that was written by others: nothing is read past what is there. */
    const struct store_value half_money[2] = { store_i64(5) };
    const struct store_value short_id = store_blob(SLICE("ab"));
    const struct store_value whole = store_i64(7);
    buf_clear(&out);
    contract_value_write(contract_field_find(f->things, SLICE("price")), half_money, &out);
    contract_value_write(contract_field_find(f->things, SLICE("uuid")), &short_id, &out);
    contract_value_write(contract_field_find(f->things, SLICE("number")), &whole, &out);
    check_text(
        "odd", buf_slice(&out),
        SLICE("{\"amount_minor\":5,\"currency\":\"\"}\"61620000-0000-0000-0000-000000000000\"7"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_parse),
        cmocka_unit_test(test_value_parse_memory_runs_out),
        cmocka_unit_test(test_value_round_trip),
        cmocka_unit_test(test_value_write_nulls_and_odd_kinds),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
