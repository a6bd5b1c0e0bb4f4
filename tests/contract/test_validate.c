/* Whole bodies: what each mode asks for, fills in, keeps and refuses. */
#include "check.h"

static const char contract_text[] =
    "resource: posts\n"
    "fields:\n"
    "  author:  { ref: posts, default: \"@user\", immutable: true, on_delete: set_null }\n"
    "  owner:   { ref: posts, default: \"@user\" }\n"
    "  title:   { type: string, required: true, max: 10 }\n"
    "  slug:    { type: string, required: true, immutable: true }\n"
    "  status:  { enum: [draft, live], default: draft }\n"
    "  note:    { type: string, default: none, optional: true }\n"
    "  free:    { type: string }\n"
    "  score:   { type: integer, default: 0, readonly: true }\n"
    "  hint:    { type: string, readonly: true }\n"
    "  secret:  { type: string, required: true, writeonly: true }\n"
    "  price:   { type: money, default: { amount_minor: 5, currency: EUR } }\n"
    "  at:      { type: time, default: \"@now\" }\n"
    "  day:     { type: date, default: \"@now\" }\n"
    "  answers: { count: posts.author }\n";

#define USER "11111111-2222-7333-8444-555555555555"
#define OTHER "99999999-2222-7333-8444-555555555555"

struct fixture {
    struct arena *arena;
    struct contract_set *set;
    const struct contract *posts;
    struct task_caller caller;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_new(NULL, 0);
    f->set = set_of(f->arena, contract_text);
    f->posts = contract_find(f->set, SLICE("posts"));
    f->caller.has_user = uuid_parse(SLICE(USER), &f->caller.user);
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

struct way {
    enum contract_mode mode;
    bool anonymous, trusted;
    const char *pointer;
};

static struct slice validate(struct fixture *f, struct way way, const char *body)
{
    const struct contract_input input = {
        .mode = way.mode,
        .caller = way.anonymous ? NULL : &f->caller,
        .now_us = INT64_C(1767322800123456),
        .trusted = way.trusted,
        .pointer = slice_cstr(way.pointer),
    };
    struct problem problem = { .status = STATUS_OK };
    struct contract_row row;
    enum status st = contract_validate(f->posts, json_of(f->arena, body), &input, f->arena,
                                       &problem, &row, NULL);
    if (st == STATUS_OK)
        return row_of(f->arena, &row);
    assert_int_equal(problem.status, STATUS_INVALID);
    assert_int_equal(problem.http_status, 422);
    return problems_of(f->arena, &problem);
}

static void test_validate_create(void **state)
{
    const struct way way = { .mode = CONTRACT_MODE_CREATE };
    check_text("least", validate(*state, way, "{\"title\":\"t\",\"slug\":\"s\",\"secret\":\"x\"}"),
               SLICE("{\"author\":\"" USER "\",\"owner\":\"" USER
                     "\",\"title\":\"t\",\"slug\":\"s\",\"status\":\"draft\","
                     "\"note\":\"none\",\"score\":0,\"secret\":\"x\",\"price\":{\"amount_minor\":5,"
                     "\"currency\":\"EUR\"},"
                     "\"at\":\"2026-01-02T03:00:00.123Z\",\"day\":\"2026-01-02\"}"));
    check_text("nothing", validate(*state, way, "{}"),
               SLICE("/title required; /slug required; /secret required"));
    check_text("null where it may and may not be",
               validate(*state, way,
                        "{\"title\":null,\"slug\":\"s\",\"secret\":\"x\",\"note\":null,\"status\":"
                        "null,\"author\":null,\"owner\":null}"),
               SLICE("/title not_null; /status not_null; /owner not_null"));
    check_text("what is not the client's",
               validate(*state, way,
                        "{\"title\":\"t\",\"slug\":\"s\",\"secret\":\"x\",\"score\":5,\"answers\":"
                        "1,\"hint\":\"x\","
                        "\"id\":\"" USER
                        "\",\"created_at\":\"2026-01-02T03:04:05Z\",\"version\":1}"),
               SLICE("/score read_only; /answers read_only; /hint read_only; /id read_only; "
                     "/created_at read_only; /version read_only"));
}

static void test_validate_create_without_caller(void **state)
{
    const struct way way = { .mode = CONTRACT_MODE_CREATE, .anonymous = true };
    check_text("@user is null",
               validate(*state, way, "{\"title\":\"t\",\"slug\":\"s\",\"secret\":\"x\"}"),
               SLICE("/owner required"));
    check_text(
        "given",
        validate(*state, way,
                 "{\"title\":\"t\",\"slug\":\"s\",\"secret\":\"x\",\"owner\":\"" OTHER
                 "\",\"day\":\"2026-05-05\",\"at\":\"2026-05-05T00:00:00Z\"}"),
        SLICE("{\"author\":null,\"owner\":\"" OTHER
              "\",\"title\":\"t\",\"slug\":\"s\",\"status\":\"draft\",\"note\":\"none\","
              "\"score\":0,\"secret\":\"x\",\"price\":{\"amount_minor\":5,\"currency\":\"EUR\"},"
              "\"at\":\"2026-05-05T00:00:00.000Z\",\"day\":\"2026-05-05\"}"));
}

static void test_validate_replace(void **state)
{
    const struct way way = { .mode = CONTRACT_MODE_REPLACE };
    /* author, owner, slug, score, secret, at and day stay as they are; free becomes null, status
     * its default. */
    check_text("least", validate(*state, way, "{\"title\":\"t\"}"),
               SLICE("{\"title\":\"t\",\"status\":\"draft\",\"note\":\"none\",\"free\":null,"
                     "\"price\":{\"amount_minor\":5,\"currency\":\"EUR\"}}"));
    check_text("guarded",
               validate(*state, way,
                        "{\"title\":\"t\",\"slug\":\"s\",\"score\":7,\"answers\":3,\"version\":2,"
                        "\"id\":\"" OTHER "\",\"author\":null}"),
               SLICE("{\"id!\":\"" OTHER "\",\"author!\":null,\"title\":\"t\",\"slug!\":\"s\","
                     "\"status\":\"draft\",\"note\":\"none\","
                     "\"free\":null,\"score!\":7,\"price\":{\"amount_minor\":5,\"currency\":"
                     "\"EUR\"},\"answers!\":3,\"version!\":2}"));
    check_text("nothing", validate(*state, way, "{}"), SLICE("/title required"));
    check_text("guarded and wrong",
               validate(*state, way, "{\"title\":\"t\",\"score\":\"7\",\"version\":0}"),
               SLICE("/score type; /version too_small"));
}

static void test_validate_patch(void **state)
{
    const struct way way = { .mode = CONTRACT_MODE_PATCH };
    check_text("nothing", validate(*state, way, "{}"), SLICE("{}"));
    check_text(
        "some",
        validate(
            *state, way,
            "{\"free\":\"x\",\"note\":null,\"price\":{\"amount_minor\":1,\"currency\":\"USD\"}}"),
        SLICE(
            "{\"note\":null,\"free\":\"x\",\"price\":{\"amount_minor\":1,\"currency\":\"USD\"}}"));
    check_text("guarded",
               validate(*state, way,
                        "{\"author\":\"" OTHER
                        "\",\"slug\":\"s\",\"created_at\":\"2026-01-02T03:04:05Z\"}"),
               SLICE("{\"author!\":\"" OTHER
                     "\",\"slug!\":\"s\",\"created_at!\":\"2026-01-02T03:04:05.000Z\"}"));
    check_text(
        "all at once",
        validate(*state, way,
                 "{\"title\":\"far too "
                 "long\",\"status\":\"dead\",\"titel\":1,\"price\":null,\"day\":5}"),
        SLICE("/title too_long; /status enum; /titel unknown_field; /price not_null; /day type"));
}

static void test_validate_trusted(void **state)
{
    struct way way = { .mode = CONTRACT_MODE_CREATE, .anonymous = true, .trusted = true };
    check_text("create",
               validate(*state, way,
                        "{\"title\":\"t\",\"slug\":\"s\",\"secret\":\"x\",\"owner\":\"" OTHER
                        "\",\"score\":9,\"hint\":\"h\","
                        "\"created_at\":\"2018-03-12T17:14:46.030Z\",\"id\":\"" USER
                        "\",\"at\":\"2018-03-12T17:14:46Z\",\"day\":\"2018-03-12\"}"),
               SLICE("{\"id\":\"" USER "\",\"author\":null,\"owner\":\"" OTHER
                     "\",\"title\":\"t\",\"slug\":\"s\",\"status\":\"draft\",\"note\":\"none\","
                     "\"score\":9,\"hint\":\"h\",\"secret\":\"x\",\"price\":{\"amount_minor\":5,"
                     "\"currency\":\"EUR\"},"
                     "\"at\":\"2018-03-12T17:14:46.000Z\",\"day\":\"2018-03-12\",\"created_at\":"
                     "\"2018-03-12T17:14:46.030Z\"}"));
    way.mode = CONTRACT_MODE_PATCH;
    check_text("patch",
               validate(*state, way,
                        "{\"score\":1,\"slug\":\"n\",\"updated_at\":\"2018-03-12T17:14:46Z\"}"),
               SLICE("{\"slug\":\"n\",\"score\":1,\"updated_at\":\"2018-03-12T17:14:46.000Z\"}"));
    check_text("counts are nobody's", validate(*state, way, "{\"answers\":1}"),
               SLICE("/answers read_only"));
}

static void test_validate_pointers(void **state)
{
    const struct way way = { .mode = CONTRACT_MODE_PATCH, .pointer = "/operations/3/body" };
    check_text("prefix", validate(*state, way, "{\"title\":1,\"a~b/c\":2,\"\":3}"),
               SLICE("/operations/3/body/title type; /operations/3/body/a~0b~1c unknown_field; "
                     "/operations/3/body/ unknown_field"));
    check_text("no object", validate(*state, way, "[1]"), SLICE("/operations/3/body type"));
    check_text("no object", validate(*state, way, "null"), SLICE("/operations/3/body type"));
    struct buf body;
    struct fixture *f = *state;
    buf_init(&body, f->arena, 2048, 4096);
    buf_put_lit(&body, "{\"");
    for (int i = 0; i < 150; i++)
        buf_put_lit(&body, "\xc3\xa9x");
    buf_put_lit(&body, "\":1}");
    buf_putc(&body, '\0');
    struct slice said = validate(f, way, body.data);
    assert_true(said.len < 260 && utf8_is_valid(said));
}

static struct slice first_detail(struct fixture *f, const char *body)
{
    const struct contract_input input = { .mode = CONTRACT_MODE_PATCH };
    struct problem problem = { .status = STATUS_OK };
    struct contract_row row;
    assert_int_equal(contract_validate(f->posts, json_of(f->arena, body), &input, f->arena,
                                       &problem, &row, NULL),
                     STATUS_INVALID);
    return problem.fields[0].detail;
}

static void test_validate_says_what_is_right(void **state)
{
    struct fixture *f = *state;
    check_text("unknown", first_detail(f, "{\"titel\":1}"),
               SLICE("There is no such field. Did you mean `title`?"));
    check_text("far", first_detail(f, "{\"zzzzzzzz\":1}"), SLICE("There is no such field."));
    check_text("length", first_detail(f, "{\"title\":\"abcdefghijk\"}"),
               SLICE("Must have at most 10 characters; it has 11."));
    check_text("type", first_detail(f, "{\"title\":[]}"), SLICE("Must be text, not a list."));
    check_text("type", first_detail(f, "{\"title\":{}}"), SLICE("Must be text, not an object."));
    check_text("type", first_detail(f, "{\"title\":1.5}"), SLICE("Must be text, not a number."));
    check_text("type", first_detail(f, "{\"title\":true}"),
               SLICE("Must be text, not true or false."));
    check_text("enum", first_detail(f, "{\"status\":\"x\"}"),
               SLICE("Must be one of: draft, live."));
}

static void test_validate_children(void **state)
{
    struct fixture *f = *state;
    const struct contract_input input = { .mode = CONTRACT_MODE_PATCH };
    struct problem problem = { .status = STATUS_OK };
    struct contract_children children;
    struct contract_row row;
    const json_t *body =
        json_of(f->arena, "{\"free\":\"x\",\"posts_author\":[{\"title\":\"child\"}]}");
    assert_int_equal(contract_validate(f->posts, body, &input, f->arena, &problem, &row, &children),
                     STATUS_OK);
    assert_int_equal(children.len, 1);
    check_text("name", children.items[0].referrer->name, SLICE("posts_author"));
    check_text("field", children.items[0].referrer->field->name, SLICE("author"));
    assert_int_equal(json_array_size(children.items[0].items), 1);

    assert_int_equal(contract_validate(f->posts, body, &input, f->arena, &problem, &row, NULL),
                     STATUS_INVALID);
    check_text("not asked for", problems_of(f->arena, &problem),
               SLICE("/posts_author unknown_field"));
    problem_clear(&problem);
    body = json_of(f->arena, "{\"posts_owner\":{}}");
    assert_int_equal(contract_validate(f->posts, body, &input, f->arena, &problem, &row, &children),
                     STATUS_INVALID);
    check_text("no list", problems_of(f->arena, &problem), SLICE("/posts_owner type"));
}

static void test_validate_too_many_kinds_of_children(void **state)
{
    struct fixture *f = *state;
    struct buf text, body;
    buf_init(&text, f->arena, 4096, 65536);
    buf_init(&body, f->arena, 4096, 65536);
    buf_put_lit(&text, "resource: a\nfields:\n");
    buf_putc(&body, '{');
    for (int i = 0; i < 9; i++) {
        buf_printf(&text, "  r%d: { ref: a }\n", i);
        buf_printf(&body, "%s\"a_r%d\":[]", i ? "," : "", i);
    }
    buf_putc(&body, '}');
    buf_putc(&body, '\0');
    buf_putc(&text, '\0');
    struct contract_set *set = set_of(f->arena, text.data);
    const struct contract_input input = { .mode = CONTRACT_MODE_PATCH };
    struct problem problem = { .status = STATUS_OK };
    struct contract_children children;
    struct contract_row row;
    assert_int_equal(contract_validate(contract_find(set, SLICE("a")), json_of(f->arena, body.data),
                                       &input, f->arena, &problem, &row, &children),
                     STATUS_INVALID);
    check_text("ninth", problems_of(f->arena, &problem), SLICE("/a_r8 items_too_many"));
    contract_set_free(set);
}

/* A resource of as many fields as there may be: each is found, names that are near are not. */
static void test_validate_many_fields(void **state)
{
    struct fixture *f = *state;
    struct buf text;
    char name[16];
    buf_init(&text, f->arena, 4096, 65536);
    buf_put_lit(&text, "resource: a\nfields:\n");
    for (int i = 0; i < 116; i++)
        buf_printf(&text, "  f%d: { type: integer, required: true }\n", i);
    buf_putc(&text, '\0');
    struct contract_set *set = set_of(f->arena, text.data);
    const struct contract *a = contract_find(set, SLICE("a"));
    assert_int_equal(a->fields_len, CONTRACT_FIELDS_MAX);
    for (int i = 0; i < 200; i++) {
        int len = snprintf(name, sizeof(name), "f%d", i);
        const struct contract_field *field = contract_field_find(a, slice_of(name, (size_t)len));
        assert_true(i < 116 ? field && slice_eq(field->name, slice_of(name, (size_t)len)) : !field);
    }
    struct buf body;
    buf_init(&body, f->arena, 4096, 65536);
    buf_putc(&body, '{');
    for (int i = 0; i < 116; i++)
        buf_printf(&body, "%s\"f%d\":%d", i ? "," : "", i, i);
    buf_putc(&body, '}');
    buf_putc(&body, '\0');
    const struct contract_input input = { .mode = CONTRACT_MODE_CREATE };
    struct problem problem = { .status = STATUS_OK };
    struct contract_row row;
    assert_int_equal(
        contract_validate(a, json_of(f->arena, body.data), &input, f->arena, &problem, &row, NULL),
        STATUS_OK);
    assert_int_equal(
        contract_validate(a, json_of(f->arena, "{}"), &input, f->arena, &problem, &row, NULL),
        STATUS_INVALID);
    assert_int_equal(problem.fields_len, PROBLEM_FIELDS_MAX);
    assert_true(problem.fields_dropped);
    contract_set_free(set);
}

/* Names that nobody asked for: what is said about them is bounded, and so is the work. */
static void test_validate_of_many_unknown_names_costs_little(void **state)
{
    struct fixture *f = *state;
    struct buf body;
    buf_init(&body, f->arena, 4096, 1 << 20);
    for (int i = 0; i < 20000; i++)
        buf_printf(&body, "%c\"titel%d\":1", i ? ',' : '{', i);
    buf_put(&body, "}", 2);
    const struct contract_input input = { .mode = CONTRACT_MODE_CREATE };
    struct problem problem = { .status = STATUS_OK };
    struct contract_row row;
    json_t *object = json_of(f->arena, body.data);
    size_t before = arena_used(f->arena);
    assert_int_equal(contract_validate(f->posts, object, &input, f->arena, &problem, &row, NULL),
                     STATUS_INVALID);
    assert_int_equal(problem.fields_len, PROBLEM_FIELDS_MAX);
    assert_true(problem.fields_dropped);
    size_t used = arena_used(f->arena) - before;
    if (used > (size_t)64 * 1024)
        fail_msg("%zu bytes for 64 complaints", used);
}

static void test_validate_find(void **state)
{
    struct fixture *f = *state;
    assert_null(contract_find(f->set, SLICE("post")));
    assert_null(contract_find(f->set, SLICE("zosts")));
    assert_null(contract_field_find(f->posts, SLICE("")));
    check_text("id", contract_id_field(f->posts)->name, SLICE("id"));
    assert_ptr_equal(contract_field_find(f->posts, SLICE("id")), f->posts->fields[0]);
    assert_string_equal(contract_type_name(CONTRACT_MONEY), "money");
    assert_string_equal(contract_type_name(CONTRACT_TYPES), "unknown");
    struct contract_row row;
    CLEANUP(arena_free) struct arena *tiny = arena_new(NULL, 16);
    assert_int_equal(contract_row_init(f->posts, tiny, &row), STATUS_EXHAUSTED);
    assert_int_equal(contract_row_init(f->posts, f->arena, &row), STATUS_OK);
    check_text("empty", row_of(f->arena, &row), SLICE("{}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validate_create),
        cmocka_unit_test(test_validate_create_without_caller),
        cmocka_unit_test(test_validate_replace),
        cmocka_unit_test(test_validate_patch),
        cmocka_unit_test(test_validate_trusted),
        cmocka_unit_test(test_validate_pointers),
        cmocka_unit_test(test_validate_says_what_is_right),
        cmocka_unit_test(test_validate_children),
        cmocka_unit_test(test_validate_too_many_kinds_of_children),
        cmocka_unit_test(test_validate_many_fields),
        cmocka_unit_test(test_validate_of_many_unknown_names_costs_little),
        cmocka_unit_test(test_validate_find),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
