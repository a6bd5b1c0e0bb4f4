/* One row: what each type makes of what sources hold, and what is said of rows that cannot be. */
#include "community.h"

struct fixture {
    struct arena *arena;
    struct contract_set *set;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_new(NULL, 0);
    f->set = community(f->arena);
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

static const struct import_entry *entry_of(struct fixture *f, const char *resource, bool csv,
                                           const char *rest)
{
    struct diag diag;
    struct import_mapping m;
    diag_init(&diag, f->arena);
    struct slice text = arena_printf(
        f->arena, "source: s\nimports:\n  - { resource: %s, file: f.%s, key: id, %s }\n", resource,
        csv ? "csv" : "jsonl", rest);
    if (import_mapping_parse(text, SLICE("m.yaml"), f->set, f->arena, &diag, &m) != STATUS_OK)
        fail_msg("%s: %.*s", rest, SLICE_ARG(complaints_of(f->arena, &diag)));
    return &m.entries[0];
}

static struct import_row make(struct fixture *f, const struct import_entry *entry,
                              const char *source, int64_t item)
{
    struct import_row row = { .line = 7, .item = item };
    struct json_error_at at;
    json_t *value;
    if (json_read(f->arena, slice_cstr(source), JSON_LIMITS_DEFAULT, &value, &at) != STATUS_OK)
        fail_msg("%s: %s", source, at.reason);
    row.source = value;
    check_int(source, import_row_make(entry, &row, 1000000, f->arena), STATUS_OK);
    return row;
}

/* The row's field as JSON; its complaints as "pointer code"; "absent" when nothing was given. */
static struct slice field_of(struct fixture *f, const struct import_row *row, const char *name)
{
    struct buf out;
    buf_init(&out, f->arena, 256, 65536);
    if (!row->is_valid) {
        for (size_t i = 0; i < row->problem.fields_len; i++)
            buf_printf(&out, "%s%.*s %s", i ? ", " : "", SLICE_ARG(row->problem.fields[i].pointer),
                       row->problem.fields[i].code);
        return buf_slice(&out);
    }
    const struct contract_field *field = contract_field_find(row->row.contract, slice_cstr(name));
    if (row->row.present[field->index])
        contract_value_write(field, &row->row.values[field->column], &out);
    else
        buf_put_lit(&out, "absent");
    return buf_slice(&out);
}

static void test_values(void **state)
{
    static const struct {
        const char *name, *field, *how, *source, *want;
        bool csv;
    } cases[] = {
        { "renamed", "bio", "about", "{\"id\":1,\"n\":\"a\",\"about\":\"x\"}", "\"x\"", false },
        { "absent", "bio", "about", "{\"id\":1,\"n\":\"a\"}", "absent", false },
        { "null where it may be", "bio", "about", "{\"id\":1,\"n\":\"a\",\"about\":null}", "null",
          false },
        { "null where a default is", "active", "on", "{\"id\":1,\"n\":\"a\",\"on\":null}", "true",
          false },
        { "default of the mapping", "bio", "{ from: about, default: none }",
          "{\"id\":1,\"n\":\"a\",\"about\":null}", "\"none\"", false },
        { "constant", "level", "{ value: high }", "{\"id\":1,\"n\":\"a\"}", "\"high\"", false },
        { "constant null", "bio", "{ value: null }", "{\"id\":1,\"n\":\"a\"}", "null", false },
        { "path", "bio", "a.b.c", "{\"id\":1,\"n\":\"a\",\"a\":{\"b\":{\"c\":\"x\"}}}", "\"x\"",
          false },
        { "a name with a dot wins", "bio", "a.b", "{\"id\":1,\"n\":\"a\",\"a.b\":\"x\"}", "\"x\"",
          false },
        { "path to nothing", "bio", "a.b", "{\"id\":1,\"n\":\"a\",\"a\":{}}", "absent", false },
        { "path through a text", "bio", "a.b", "{\"id\":1,\"n\":\"a\",\"a\":\"x\"}", "/a unmapped",
          false },
        { "template", "bio", "{ template: 'Nr. {id}, {n}' }", "{\"id\":1,\"n\":\"a\"}",
          "\"Nr. 1, a\"", false },
        { "template with a hole", "bio", "{ template: '{x}!' }", "{\"id\":1,\"n\":\"a\"}", "absent",
          false },
        { "template with a default", "bio", "{ template: '{x}!', default: d }",
          "{\"id\":1,\"n\":\"a\"}", "\"d\"", false },
        { "template of many kinds", "bio", "{ template: '{id} {t} {r}' }",
          "{\"id\":1,\"n\":\"a\",\"t\":true,\"r\":1.5}", "\"1 true 1.5\"", false },
        { "line", "age", "'@line'", "{\"id\":1,\"n\":\"a\"}", "7", false },
        { "trim", "bio", "{ from: b, trim: true }", "{\"id\":1,\"n\":\"a\",\"b\":\" \\n x y\\t\"}",
          "\"x y\"", false },
        { "trimmed to nothing", "bio", "{ from: b, trim: true, default: d }",
          "{\"id\":1,\"n\":\"a\",\"b\":\"  \"}", "\"d\"", false },
        { "number as text", "bio", "b", "{\"id\":1,\"n\":\"a\",\"b\":42}", "\"42\"", false },
        { "truth is no text", "bio", "b", "{\"id\":1,\"n\":\"a\",\"b\":true}", "/bio type", false },
        { "text as integer", "age", "b", "{\"id\":1,\"n\":\"a\",\"b\":\" 42 \"}", "42", false },
        { "words are no integer", "age", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"many\"}", "/age type",
          false },
        { "a bound of the contract", "age", "b", "{\"id\":1,\"n\":\"a\",\"b\":-1}",
          "/age too_small", false },
        { "text as number", "height", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"1.75\"}", "1.75", false },
        { "whole number", "height", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"2\"}", "2", false },
        { "true", "active", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"TRUE\"}", "true", false },
        { "false", "active", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"false\"}", "false", false },
        { "neither", "active", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"yes\"}", "/active type", false },
        { "mapped truth", "active", "{ from: b, map: { yes: true, 'no': false } }",
          "{\"id\":1,\"n\":\"a\",\"b\":\"no\"}", "false", false },
        { "time", "seen", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"2018-03-12T10:11:12.345Z\"}",
          "\"2018-03-12T10:11:12.345Z\"", false },
        { "date as time", "seen", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"2018-03-12\"}",
          "\"2018-03-12T00:00:00.000Z\"", false },
        { "SQL time", "seen", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"2018-03-12 10:11:12\"}",
          "\"2018-03-12T10:11:12.000Z\"", false },
        { "SQL time with fraction", "seen", "b",
          "{\"id\":1,\"n\":\"a\",\"b\":\"2018-03-12 10:11:12.5\"}", "\"2018-03-12T10:11:12.500Z\"",
          false },
        { "SQL time with zone", "seen", "b",
          "{\"id\":1,\"n\":\"a\",\"b\":\"2018-03-12 10:11:12+02\"}", "\"2018-03-12T08:11:12.000Z\"",
          false },
        { "SQL time in words", "seen", "b",
          "{\"id\":1,\"n\":\"a\",\"b\":\"2018-03-12 10:11:12 UTC\"}",
          "\"2018-03-12T10:11:12.000Z\"", false },
        { "ISO time without zone", "seen", "b",
          "{\"id\":1,\"n\":\"a\",\"b\":\"2018-03-12T10:11:12\"}", "\"2018-03-12T10:11:12.000Z\"",
          false },
        { "no time", "seen", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"yesterday\"}", "/seen format",
          false },
        { "half a time", "seen", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"2018-03-12 10:11\"}",
          "/seen format", false },
        { "no day of the calendar", "seen", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"2018-02-30\"}",
          "/seen format", false },
        { "seconds", "seen", "{ from: b, unit: seconds }",
          "{\"id\":1,\"n\":\"a\",\"b\":1520849472}", "\"2018-03-12T10:11:12.000Z\"", false },
        { "seconds as text", "seen", "{ from: b, unit: seconds }",
          "{\"id\":1,\"n\":\"a\",\"b\":\"1520849472\"}", "\"2018-03-12T10:11:12.000Z\"", false },
        { "seconds with fraction", "seen", "{ from: b, unit: seconds }",
          "{\"id\":1,\"n\":\"a\",\"b\":1520849472.5}", "\"2018-03-12T10:11:12.500Z\"", false },
        { "milliseconds", "seen", "{ from: b, unit: milliseconds }",
          "{\"id\":1,\"n\":\"a\",\"b\":1520849472345}", "\"2018-03-12T10:11:12.345Z\"", false },
        { "microseconds", "seen", "{ from: b, unit: microseconds }",
          "{\"id\":1,\"n\":\"a\",\"b\":1520849472345678}", "\"2018-03-12T10:11:12.345Z\"", false },
        { "beyond time", "seen", "{ from: b, unit: seconds }",
          "{\"id\":1,\"n\":\"a\",\"b\":9223372036854775807}", "/seen type", false },
        { "number without unit", "seen", "b", "{\"id\":1,\"n\":\"a\",\"b\":1520849472}",
          "/seen type", false },
        { "date", "born", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"2000-02-29\"}", "\"2000-02-29\"",
          false },
        { "time as date", "born", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"2000-02-29T23:00:00-02:00\"}",
          "\"2000-03-01\"", false },
        { "no date", "born", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"2000-2-9\"}", "/born format",
          false },
        { "map", "level", "{ from: b, map: { 1: low, admin: high } }",
          "{\"id\":1,\"n\":\"a\",\"b\":1}", "\"low\"", false },
        { "map without a match", "level", "{ from: b, map: { 1: low } }",
          "{\"id\":1,\"n\":\"a\",\"b\":2}", "/level map", false },
        { "map otherwise", "level", "{ from: b, map: { 1: low }, otherwise: high }",
          "{\"id\":1,\"n\":\"a\",\"b\":2}", "\"high\"", false },
        { "map to null", "bio", "{ from: b, map: { x: null } }",
          "{\"id\":1,\"n\":\"a\",\"b\":\"x\"}", "null", false },
        { "list", "marks", "b", "{\"id\":1,\"n\":\"a\",\"b\":[\"x\",5]}", "[\"x\",\"5\"]", false },
        { "split", "marks", "{ from: b, split: ',' }", "{\"id\":1,\"n\":\"a\",\"b\":\"x, y,,z\"}",
          "[\"x\",\"y\",\"z\"]", false },
        { "split by more", "marks", "{ from: b, split: '><' }",
          "{\"id\":1,\"n\":\"a\",\"b\":\"x><y\"}", "[\"x\",\"y\"]", false },
        { "split nothing", "marks", "{ from: b, split: ',' }", "{\"id\":1,\"n\":\"a\",\"b\":\"\"}",
          "[]", false },
        { "split numbers", "points", "{ from: b, split: ' ' }",
          "{\"id\":1,\"n\":\"a\",\"b\":\"1 2\"}", "[1,2]", false },
        { "text is no list", "marks", "b", "{\"id\":1,\"n\":\"a\",\"b\":\"x\"}", "/marks type",
          false },
        { "mapped items", "marks", "{ from: b, map: { a: A }, otherwise: Z }",
          "{\"id\":1,\"n\":\"a\",\"b\":[\"a\",\"b\"]}", "[\"A\",\"Z\"]", false },
        { "money", "fee", "b",
          "{\"id\":1,\"n\":\"a\",\"b\":{\"amount_minor\":5,\"currency\":\"EUR\"}}",
          "{\"amount_minor\":5,\"currency\":\"EUR\"}", false },
        { "minor units", "fee", "{ from: b, currency: EUR }",
          "{\"id\":1,\"n\":\"a\",\"b\":\"500\"}", "{\"amount_minor\":500,\"currency\":\"EUR\"}",
          false },
        { "fractions are refused", "fee", "{ from: b, currency: EUR }",
          "{\"id\":1,\"n\":\"a\",\"b\":\"5.00\"}", "/fee type", false },
        { "json", "extra", "b", "{\"id\":1,\"n\":\"a\",\"b\":{\"x\":[1]}}", "{\"x\":[1]}", false },
        { "unknown", "bio", "b", "{\"id\":1,\"n\":\"a\",\"zz\":1,\"yy\":2}",
          "/zz unmapped, /yy unmapped", false },
        { "unknown inside", "bio", "a.b", "{\"id\":1,\"n\":\"a\",\"a\":{\"b\":\"x\",\"c\":1}}",
          "/a.c unmapped", false },
        { "no key", "bio", "b", "{\"n\":\"a\"}", " key", false },
        { "null key", "bio", "b", "{\"id\":null,\"n\":\"a\"}", " key", false },
        { "key a list", "bio", "b", "{\"id\":[1],\"n\":\"a\"}", " key", false },
        { "several reasons", "age", "b", "{\"n\":\"much much much too long\",\"b\":\"x\"}",
          " key, /name too_long, /age type", false },
        /* CSV */
        { "cell", "bio", "b", "{\"id\":\"1\",\"n\":\"a\",\"b\":\"x\"}", "\"x\"", true },
        { "no value", "bio", "b", "{\"id\":\"1\",\"n\":\"a\",\"b\":null}", "null", true },
        { "empty text", "bio", "b", "{\"id\":\"1\",\"n\":\"a\",\"b\":\"\"}", "\"\"", true },
        { "JSON in a cell", "extra", "b", "{\"id\":\"1\",\"n\":\"a\",\"b\":\"{\\\"x\\\":1}\"}",
          "{\"x\":1}", true },
        { "list in a cell", "marks", "b", "{\"id\":\"1\",\"n\":\"a\",\"b\":\"[\\\"x\\\"]\"}",
          "[\"x\"]", true },
        { "money in a cell", "fee", "b",
          "{\"id\":\"1\",\"n\":\"a\",\"b\":\"{\\\"amount_minor\\\":5,\\\"currency\\\":\\\"EUR\\\"}"
          "\"}",
          "{\"amount_minor\":5,\"currency\":\"EUR\"}", true },
        { "no list in a cell", "marks", "b", "{\"id\":\"1\",\"n\":\"a\",\"b\":\"x\"}",
          "/marks type", true },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice rest = arena_printf(f->arena, "fields: { name: n, %s: %s }%c", cases[i].field,
                                         cases[i].how, 0);
        struct import_row row =
            make(f, entry_of(f, "users", cases[i].csv, rest.data), cases[i].source, -1);
        check_text(cases[i].name, field_of(f, &row, cases[i].field), slice_cstr(cases[i].want));
    }
}

static void test_keys(void **state)
{
    static const struct {
        const char *name, *source, *want;
    } cases[] = {
        { "integer", "{\"id\":-1,\"t\":\"x\"}", "-1" },
        { "text", "{\"id\":\"a b\",\"t\":\"x\"}", "a b" },
        { "large", "{\"id\":9007199254740993,\"t\":\"x\"}", "9007199254740993" },
        { "fraction", "{\"id\":1.5,\"t\":\"x\"}", "1.5" },
    };
    struct fixture *f = *state;
    const struct import_entry *entry = entry_of(f, "posts", false, "fields: { body: t }");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_text(cases[i].name, make(f, entry, cases[i].source, -1).key,
                   slice_cstr(cases[i].want));
    char text[800];
    (void)snprintf(text, sizeof(text), "{\"t\":\"x\",\"id\":\"%0513d\"}", 1);
    struct import_row row = make(f, entry, text, -1);
    assert_false(row.is_valid);
    check_int("no key", (int64_t)row.key.len, 0);
}

static void test_references(void **state)
{
    struct fixture *f = *state;
    const struct import_entry *entry =
        entry_of(f, "likes", false,
                 "ignore: [id], fields: { user: { from: u, ref: users }, post: { from: [p, q], "
                 "ref: posts, default: first } }");
    struct import_row row = make(f, entry, "{\"id\":1,\"u\":5,\"p\":\"a\",\"q\":2}", -1);
    assert_true(row.is_valid);
    check_text("one", row.refs[0], SLICE("5"));
    check_text("composed", row.refs[1],
               SLICE("a\x1f"
                     "2"));
    row = make(f, entry, "{\"id\":1,\"u\":5}", -1);
    check_text("default", row.refs[1], SLICE("first"));
    row = make(f, entry, "{\"id\":1,\"u\":5,\"p\":\"a\"}", -1);
    check_text("half a key", field_of(f, &row, "post"), SLICE("/post reference, /post required"));
    row = make(f, entry, "{\"id\":1,\"u\":null,\"p\":1,\"q\":1}", -1);
    check_text("required", field_of(f, &row, "user"), SLICE("/user required"));
    /* Without `ref` the value is an id of this database. */
    entry = entry_of(f, "posts", false, "fields: { body: b, author: a }");
    row =
        make(f, entry, "{\"id\":1,\"b\":\"x\",\"a\":\"0190a1b2-0000-7000-8000-000000000000\"}", -1);
    check_text("id", field_of(f, &row, "author"),
               SLICE("\"0190a1b2-0000-7000-8000-000000000000\""));
}

static void test_times_and_id(void **state)
{
    struct fixture *f = *state;
    const struct import_entry *entry =
        entry_of(f, "posts", false, "fields: { body: b, created_at: c, updated_at: u, id: i }");
    struct import_row row = make(f, entry, "{\"id\":1,\"b\":\"x\",\"c\":\"2018-03-12\"}", -1);
    check_text("created", field_of(f, &row, "created_at"), SLICE("\"2018-03-12T00:00:00.000Z\""));
    check_text("updated with it", field_of(f, &row, "updated_at"),
               SLICE("\"2018-03-12T00:00:00.000Z\""));
    row = make(f, entry, "{\"id\":1,\"b\":\"x\",\"c\":\"2018-03-12\",\"u\":\"2019-01-01\"}", -1);
    check_text("updated", field_of(f, &row, "updated_at"), SLICE("\"2019-01-01T00:00:00.000Z\""));
    row =
        make(f, entry, "{\"id\":1,\"b\":\"x\",\"i\":\"0190a1b2-0000-7000-8000-000000000000\"}", -1);
    check_text("id", field_of(f, &row, "id"), SLICE("\"0190a1b2-0000-7000-8000-000000000000\""));
}

static void test_only(void **state)
{
    static const struct {
        const char *source;
        enum import_outcome want;
    } cases[] = {
        { "{\"id\":1,\"b\":\"x\",\"k\":\"a\",\"s\":1}", IMPORT_REFUSED },
        { "{\"id\":1,\"b\":\"x\",\"k\":\"b\",\"s\":1}", IMPORT_REFUSED },
        { "{\"id\":1,\"b\":\"x\",\"k\":\"c\",\"s\":1}", IMPORT_SKIPPED },
        { "{\"id\":1,\"b\":\"x\",\"k\":\"a\",\"s\":2}", IMPORT_SKIPPED },
        { "{\"id\":1,\"b\":\"x\",\"k\":\"a\"}", IMPORT_SKIPPED },
    };
    struct fixture *f = *state;
    const struct import_entry *entry =
        entry_of(f, "posts", false, "only: { k: [a, b], s: 1 }, fields: { body: b }");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_int(cases[i].source, make(f, entry, cases[i].source, -1).outcome, cases[i].want);
}

static void test_items(void **state)
{
    struct fixture *f = *state;
    const struct import_entry *entry =
        entry_of(f, "users", false,
                 "each: tags, fields: { name: '@item', bio: { template: 'Tag {@item} of {id}' } }");
    const char source[] = "{\"id\":1,\"tags\":[\"x\",\"y\"],\"other\":1}";
    struct import_row row = make(f, entry, source, 1);
    check_text("item", field_of(f, &row, "name"), SLICE("\"y\""));
    check_text("template", field_of(f, &row, "bio"), SLICE("\"Tag y of 1\""));
    row = make(f, entry, "{\"id\":1,\"tags\":\"x\"}", -1);
    check_text("no list", field_of(f, &row, "name"), SLICE(" type"));
    row = make(f, entry, "[1]", -1);
    check_text("no object", field_of(f, &row, "name"), SLICE(" type"));
}

static void test_cells(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct slice names[] = { SLICE_INIT("a"), SLICE_INIT("b"), SLICE_INIT("c"), SLICE_INIT("d") };
    struct slice cells[] = { SLICE_INIT("x"), SLICE_INIT(""), SLICE_INIT("") };
    bool quoted[] = { false, false, true };
    struct import_record record = { .cells = cells, .quoted = quoted, .cells_len = 3 };
    struct buf out;
    buf_init(&out, arena, 256, 1024);
    json_put_value(&out, import_row_from_cells(names, 4, &record, arena));
    check_text("object", buf_slice(&out), SLICE("{\"a\":\"x\",\"b\":null,\"c\":\"\",\"d\":null}"));
}

/* Every budget from nothing until the row fits: refused, never wrong, never a crash. */
static void test_memory_runs_out(void **state)
{
    struct fixture *f = *state;
    const struct import_entry *entry =
        entry_of(f, "users", false,
                 "fields: { name: n, marks: { from: t, split: ',' }, bio: { template: '{n}{n}' }, "
                 "seen: s, fee: { from: c, currency: EUR } }");
    json_t *source;
    assert_int_equal(
        json_read(f->arena,
                  SLICE("{\"id\":1,\"n\":\"a\",\"t\":\"a,b,c\",\"s\":\"2018-03-12\",\"c\":5}"),
                  JSON_LIMITS_DEFAULT, &source, NULL),
        STATUS_OK);
    bool fitted = false;
    for (size_t budget = 64; budget < 65536 && !fitted; budget += 64) {
        CLEANUP(arena_free) struct arena *arena = arena_new(NULL, budget);
        struct import_row row = { .line = 1, .item = -1, .source = source };
        if (!arena)
            continue;
        enum status st = import_row_make(entry, &row, 0, arena);
        fitted = st == STATUS_OK && row.is_valid;
        if (st != STATUS_OK)
            check_int("status", st, STATUS_EXHAUSTED);
    }
    assert_true(fitted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_references, setup, teardown),
        cmocka_unit_test_setup_teardown(test_times_and_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_items, setup, teardown),
        cmocka_unit_test(test_cells),
        cmocka_unit_test_setup_teardown(test_memory_runs_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
