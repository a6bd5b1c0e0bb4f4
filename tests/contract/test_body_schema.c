/* The published schemas say what the validator does; rows of a database are written as they are
 * stored. */
#include "check.h"

#include <unistd.h>

#include "contract/schema.h"

static const char contract_text[] =
    "resource: things\n"
    "description: A thing.\n"
    "fields:\n"
    "  name:    { type: string, min: 1, max: 5, pattern: \"^[a-z]+$\", required: true, "
    "description: Its name. }\n"
    "  text:    { type: text }\n"
    "  small:   { type: integer, min: 0, max: 9, default: 3 }\n"
    "  number:  { type: number, min: 0.5, max: 1.5 }\n"
    "  flag:    { type: boolean, default: false }\n"
    "  at:      { type: time, min: 2020-01-01T00:00:00Z, default: \"@now\" }\n"
    "  day:     { type: date, max: 2030-01-01 }\n"
    "  code:    { type: uuid, immutable: true, required: true }\n"
    "  email:   { type: email, writeonly: true, required: true }\n"
    "  url:     { type: url, schemes: [https] }\n"
    "  kind:    { enum: [a, b], optional: true, default: a }\n"
    "  parent:  { ref: things }\n"
    "  owner:   { ref: things, default: \"@user\" }\n"
    "  total:   { count: things.parent }\n"
    "  score:   { type: integer, readonly: true, default: 0 }\n"
    "  any:     { type: json }\n"
    "  shaped:  { type: json, schema: { type: object, required: [x] } }\n"
    "  turned:  { type: json, schema: { $ref: '#/$defs/a', $defs: { a: { type: string } } } }\n"
    "  tags:    { type: list, of: string, min_items: 1, max_items: 2, unique_items: true, max: 3 "
    "}\n"
    "  price:   { type: money, min: 1, currencies: [EUR] }\n"
    "  fee:     { type: money }\n"
    "  picture: { type: media, accept: [image/*] }\n"
    "  film:    { type: media, accept: [video/mp4], max_bytes: 100 }\n";

static struct slice schema_text(struct arena *arena, const struct contract *c, char kind)
{
    struct buf out;
    buf_init(&out, arena, 4096, 1 << 20);
    contract_json_schema(c, kind, &out);
    buf_putc(&out, '\0');
    return slice_cstr(out.data);
}

static json_t *property(struct arena *arena, const struct contract *c, char kind, const char *name)
{
    return json_object_get(
        json_object_get(json_of(arena, schema_text(arena, c, kind).data), "properties"), name);
}

static void check_property(struct arena *arena, const struct contract *c, char kind,
                           const char *name, const char *want)
{
    struct buf out;
    buf_init(&out, arena, 512, 65536);
    json_put_value(&out, property(arena, c, kind, name));
    check_text(name, buf_slice(&out), slice_cstr(want));
}

static void test_body_schema_says_each_constraint(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct contract_set *set = set_of(arena, contract_text);
    const struct contract *c = contract_find(set, SLICE("things"));
    check_property(arena, c, 'c', "name",
                   "{\"type\":\"string\",\"minLength\":1,\"maxLength\":5,\"pattern\":\"^[a-z]+$\","
                   "\"description\":\"Its name.\"}");
    check_property(arena, c, 'c', "text", "{\"type\":[\"string\",\"null\"],\"maxLength\":65536}");
    check_property(
        arena, c, 'c', "small",
        "{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":0,\"maximum\":9,\"default\":3}");
    check_property(arena, c, 'u', "small",
                   "{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":0,\"maximum\":9}");
    check_property(
        arena, c, 'c', "number",
        "{\"type\":[\"number\",\"null\"],\"format\":\"double\",\"minimum\":0.5,\"maximum\":1.5}");
    check_property(arena, c, 'c', "flag", "{\"type\":\"boolean\",\"default\":false}");
    check_property(arena, c, 'c', "at",
                   "{\"type\":\"string\",\"format\":\"date-time\",\"x-minimum\":\"2020-01-01T00:00:"
                   "00.000Z\",\"x-default\":\"@now\"}");
    check_property(
        arena, c, 'c', "day",
        "{\"type\":[\"string\",\"null\"],\"format\":\"date\",\"x-maximum\":\"2030-01-01\"}");
    check_property(arena, c, 'c', "code", "{\"type\":\"string\",\"format\":\"uuid\"}");
    check_property(
        arena, c, 'c', "email",
        "{\"type\":\"string\",\"format\":\"email\",\"maxLength\":254,\"writeOnly\":true}");
    check_property(arena, c, 'c', "url",
                   "{\"type\":[\"string\",\"null\"],\"format\":\"uri\",\"maxLength\":2048,\"x-"
                   "schemes\":[\"https\"]}");
    check_property(
        arena, c, 'c', "kind",
        "{\"type\":[\"string\",\"null\"],\"enum\":[\"a\",\"b\",null],\"default\":\"a\"}");
    check_property(arena, c, 'c', "parent",
                   "{\"type\":[\"string\",\"null\"],\"format\":\"uuid\",\"x-ref\":\"things\"}");
    check_property(
        arena, c, 'r', "parent",
        "{\"type\":[\"string\",\"object\",\"null\"],\"format\":\"uuid\",\"x-ref\":\"things\"}");
    check_property(
        arena, c, 'c', "owner",
        "{\"type\":\"string\",\"format\":\"uuid\",\"x-ref\":\"things\",\"x-default\":\"@user\"}");
    check_property(arena, c, 'r', "owner",
                   "{\"type\":[\"string\",\"object\"],\"format\":\"uuid\",\"x-ref\":\"things\"}");
    check_property(arena, c, 'r', "total",
                   "{\"type\":\"integer\",\"minimum\":0,\"readOnly\":true}");
    check_property(arena, c, 'c', "any", "{}");
    check_property(arena, c, 'c', "shaped",
                   "{\"anyOf\":[{\"type\":\"object\",\"required\":[\"x\"]},{\"type\":\"null\"}]}");
    check_property(arena, c, 'c', "turned", "{}");
    check_property(arena, c, 'c', "tags",
                   "{\"type\":[\"array\",\"null\"],\"minItems\":1,\"maxItems\":2,\"uniqueItems\":"
                   "true,\"items\":{\"type\":\"string\",\"maxLength\":3}}");
    check_property(
        arena, c, 'c', "price",
        "{\"type\":[\"object\",\"null\"],\"additionalProperties\":false,\"required\":[\"amount_"
        "minor\",\"currency\"],\"properties\":{"
        "\"amount_minor\":{\"type\":\"integer\",\"description\":\"In the currency's smallest unit: "
        "1250 is 12.50 EUR.\",\"format\":\"int64\",\"minimum\":1},"
        "\"currency\":{\"type\":\"string\",\"description\":\"ISO 4217.\",\"enum\":[\"EUR\"]}}}");
    assert_non_null(strstr(schema_text(arena, c, 'c').data, "\"x-accept\":[\"image/*\"]"));
    assert_non_null(strstr(schema_text(arena, c, 'c').data, "\"enum\":[\"video/mp4\"]"));
    contract_set_free(set);
}

static void test_body_schema_of_each_kind(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct contract_set *set = set_of(arena, contract_text);
    const struct contract *c = contract_find(set, SLICE("things"));
    assert_null(property(arena, c, 'c', "score"));
    assert_null(property(arena, c, 'c', "id"));
    assert_null(property(arena, c, 'c', "total"));
    assert_non_null(property(arena, c, 'c', "things_parent"));
    assert_null(property(arena, c, 'u', "things_parent"));
    assert_non_null(property(arena, c, 'u', "score"));
    assert_non_null(property(arena, c, 'p', "version"));
    assert_non_null(property(arena, c, 'u', "email"));
    assert_null(property(arena, c, 'r', "email"));
    assert_non_null(
        strstr(schema_text(arena, c, 'c').data,
               "\"required\":[\"name\",\"code\",\"email\"],\"additionalProperties\":false}"));
    assert_non_null(strstr(schema_text(arena, c, 'u').data,
                           "\"required\":[\"name\"],\"additionalProperties\":false}"));
    assert_non_null(strstr(schema_text(arena, c, 'r').data, ",\"required\":[\"id\"]}"));
    assert_null(strstr(schema_text(arena, c, 'p').data, "\"required\":[\"name\""));
    contract_set_free(set);
}

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"

/* A body is valid by the schema exactly when the validator takes it. */
static void test_body_schema_agrees_with_the_validator(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "{\"name\":\"abc\"}",
        "{\"name\":\"abc\",\"code\":\"" ID "\",\"email\":\"a@b.org\",\"owner\":\"" ID "\"}",
        "{\"name\":\"abc\",\"small\":null}",
        "{\"name\":\"abc\",\"small\":10}",
        "{\"name\":\"abcdef\"}",
        "{\"name\":\"\"}",
        "{\"name\":\"ABC\"}",
        "{\"name\":null}",
        "{\"text\":null,\"number\":1,\"flag\":true,\"day\":\"2026-01-02\",\"kind\":null}",
        "{\"number\":0.4}",
        "{\"flag\":1}",
        "{\"day\":\"2026-02-30\"}",
        "{\"at\":\"2026-01-02T03:04:05Z\"}",
        "{\"at\":\"2026-01-02\"}",
        "{\"kind\":\"c\"}",
        "{\"email\":\"nobody\"}",
        "{\"shaped\":{\"x\":1},\"any\":[1,{\"a\":null}]}",
        "{\"shaped\":{}}",
        "{\"tags\":[\"a\",\"b\"]}",
        "{\"tags\":[\"a\",\"a\"]}",
        "{\"tags\":[]}",
        "{\"tags\":[\"a\",\"b\",\"c\"]}",
        "{\"price\":{\"amount_minor\":1,\"currency\":\"EUR\"}}",
        "{\"price\":{\"amount_minor\":0,\"currency\":\"EUR\"}}",
        "{\"price\":{\"amount_minor\":1,\"currency\":\"USD\"}}",
        "{\"price\":{\"amount_minor\":1}}",
        "{\"film\":{\"url\":\"https://a/\",\"type\":\"video/mp4\",\"bytes\":100}}",
        "{\"film\":{\"url\":\"https://a/\",\"type\":\"video/webm\"}}",
        "{\"film\":{\"url\":\"https://a/\",\"type\":\"video/mp4\",\"bytes\":101}}",
        "{\"unknown\":1}",
    };
    static const struct {
        char kind;
        enum contract_mode mode;
    } kinds[] = { { 'c', CONTRACT_MODE_CREATE },
                  { 'u', CONTRACT_MODE_REPLACE },
                  { 'p', CONTRACT_MODE_PATCH } };
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct contract_set *set = set_of(arena, contract_text);
    const struct contract *c = contract_find(set, SLICE("things"));
    const struct task_caller caller = { .has_user = true };
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct json_schema *schema = NULL;
        struct json_schema_error error;
        assert_int_equal(
            json_schema_compile(json_of(arena, schema_text(arena, c, kinds[k].kind).data), arena,
                                &schema, &error),
            STATUS_OK);
        for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
            const struct contract_input input = { .mode = kinds[k].mode, .caller = &caller };
            struct problem problem = { .status = STATUS_OK };
            struct contract_row row;
            const json_t *body = json_of(arena, bodies[i]);
            bool taken =
                contract_validate(c, body, &input, arena, &problem, &row, NULL) == STATUS_OK;
            if (json_schema_validate(schema, body, arena, SLICE(""), NULL) != taken)
                fail_msg("%c %s: the validator says %d: %.*s", kinds[k].kind, bodies[i], taken,
                         SLICE_ARG(problems_of(arena, &problem)));
        }
        json_schema_free(schema);
    }
    contract_set_free(set);
}

/* -- rows ------------------------------------------------------------------- */

struct rows_check {
    const struct contract *contract;
    struct buf out;
};

static enum status write_row(void *arg, struct store_rows *rows)
{
    struct rows_check *check = arg;
    for (unsigned i = 0; i < check->contract->fields_len; i++) {
        const struct contract_field *field = check->contract->fields[i];
        contract_value_write_rows(field, rows, field->column, &check->out);
        buf_putc(&check->out, ' ');
    }
    buf_putc(&check->out, '\n');
    return STATUS_OK;
}

static void test_value_write_rows(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct contract_set *set = set_of(arena, "resource: a\n"
                                             "fields:\n"
                                             "  s: { type: string }\n"
                                             "  t: { type: text }\n"
                                             "  n: { type: number }\n"
                                             "  b: { type: boolean }\n"
                                             "  p: { type: money }\n"
                                             "  l: { type: list, of: string }\n");
    char folder[] = "/tmp/purlin_rows_XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct store_options options = { .url = arena_printf(arena, "sqlite:%s/a.db", folder),
                                     .create = true };
    struct problem problem = { .status = STATUS_OK };
    struct store *store = NULL;
    assert_int_equal(store_open(&options, arena, &problem, &store), STATUS_OK);
    struct rows_check check = { .contract = contract_find(set, SLICE("a")) };
    buf_init(&check.out, arena, 1024, 65536);
    /* id, s, t, n, b, p_amount, p_currency, l, created_at, updated_at, version */
    const struct slice sql =
        SLICE("SELECT x'01890a5dac96774bbcceb302099a8057', 'a\"', 'b\n', 1.5, 1, 5, 'EUR', "
              "'[\"x\"]', 0, 1000, 1"
              " UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL");
    assert_int_equal(store_read_blocking(store, sql, NULL, 0, arena, &problem, write_row, &check),
                     STATUS_OK);
    check_text("rows", buf_slice(&check.out),
               SLICE("\"01890a5d-ac96-774b-bcce-b302099a8057\" \"a\\\"\" \"b\\n\" 1.5 true "
                     "{\"amount_minor\":5,\"currency\":\"EUR\"} [\"x\"] "
                     "\"1970-01-01T00:00:00.000Z\" \"1970-01-01T00:00:00.001Z\" 1 \n"
                     "null null null null null null null null null null \n"));
    store_close(store);
    contract_set_free(set);
    static const char *const names[] = { "a.db", "a.db-wal", "a.db-shm" };
    char path[600];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_schema_says_each_constraint),
        cmocka_unit_test(test_body_schema_of_each_kind),
        cmocka_unit_test(test_body_schema_agrees_with_the_validator),
        cmocka_unit_test(test_value_write_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
