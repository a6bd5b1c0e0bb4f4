/*
 * tests/contract/test_openapi.c - The OpenAPI document: that it is whole and its references lead
 * somewhere, and that its examples are what its schemas, and the validator, take. What it says
 * about a running server is tested in tests/api/openapi.test.mjs.
 */
#include "check.h"

#include "contract/example.h"
#include "contract/openapi.h"
#include "contract/schema.h"

static const char contract_text[] =
    "resource: things\n"
    "description: A \\\"thing\\\".\n"
    "fields:\n"
    "  name:    { type: string, min: 9, max: 12, required: true }\n"
    "  code:    { type: string, pattern: \"^[a-z]+-[0-9]{3}$\", optional: true }\n"
    "  must:    { type: integer, min: 50, max: 60, required: true }\n"
    "  number:  { type: number, min: 2.5 }\n"
    "  at:      { type: time, min: 2030-01-01T00:00:00Z }\n"
    "  day:     { type: date, max: 2020-01-01 }\n"
    "  url:     { type: url }\n"
    "  kind:    { enum: [a, b], default: b }\n"
    "  parent:  { ref: things }\n"
    "  owner:   { ref: things, required: true }\n"
    "  total:   { count: things.parent }\n"
    "  score:   { type: integer, readonly: true, default: 0 }\n"
    "  secret:  { type: string, writeonly: true }\n"
    "  fixed:   { type: string, immutable: true }\n"
    "  shaped:  { type: json, schema: { type: object, required: [x] } }\n"
    "  tags:    { type: list, of: string, min_items: 1, max_items: 2 }\n"
    "  price:   { type: money, min: 10, currencies: [JPY] }\n"
    "  picture: { type: media, accept: [image/png] }\n"
    "search: [name]\n"
    "soft_delete: true\n"
    "limits: { create: 5/minute/user }\n"
    "rules: { read: true, create: '@user != null', update: '\"admin\" in @roles' }\n";

static const struct openapi_route routes[] = {
    { .method = "get",
      .path = SLICE_INIT("/health"),
      .summary = "Well?",
      .tag = "health",
      .operation_id = "health",
      .response_type = "application/health+json",
      .response_schema = "{\"type\":\"object\"}" },
    { .method = "post",
      .path = SLICE_INIT("/other"),
      .summary = "Another.",
      .operation_id = "other",
      .permission = "purlin:audit" },
    { .method = "delete",
      .path = SLICE_INIT("/health"),
      .summary = "Be ill.",
      .operation_id = "ill" },
};

struct fixture {
    struct arena *arena;
    struct contract_set *set;
    struct slice text;
    json_t *document;
};

static void fixture_init(struct fixture *f)
{
    struct buf out;
    f->arena = arena_new(NULL, 0);
    f->set = set_of(f->arena, contract_text);
    const struct openapi_options options = {
        .title = SLICE("Title"),
        .version = SLICE("1.2.3"),
        .server_url = SLICE("/"),
        .routes = routes,
        .routes_len = ARRAY_LEN(routes),
    };
    buf_init(&out, f->arena, 65536, (size_t)4 << 20);
    contract_openapi(f->set, &options, f->arena, &out);
    assert_int_equal(buf_status(&out), STATUS_OK);
    f->text = buf_slice(&out);
    struct json_error_at error;
    const struct json_limits limits = { .bytes_max = (size_t)4 << 20, .depth_max = 64 };
    if (json_read(f->arena, f->text, limits, &f->document, &error) != STATUS_OK)
        fail_msg("not JSON at %zu: %s", error.offset, error.reason);
}

static void fixture_fini(struct fixture *f)
{
    contract_set_free(f->set);
    arena_free(f->arena);
}

static json_t *at(json_t *value, const char *pointer)
{
    char name[128];
    while (value && *pointer) {
        size_t n = 0;
        for (pointer++; *pointer && *pointer != '/'; pointer++) {
            bool escaped = pointer[0] == '~' && pointer[1];
            name[n++] = (char)(!escaped ? *pointer : pointer[1] == '1' ? '/' : '~');
            pointer += escaped;
        }
        name[n] = 0;
        value = json_is_array(value) ? json_array_get(value, (size_t)strtoul(name, NULL, 10))
                                     : json_object_get(value, name);
    }
    return value;
}

static void check_references(json_t *document, json_t *value, unsigned *count)
{
    const char *key;
    json_t *item;
    size_t index;
    const char *ref = json_string_value(json_object_get(value, "$ref"));
    if (ref) {
        if (strncmp(ref, "#/", 2) != 0 || !at(document, ref + 1))
            fail_msg("%s leads to nothing", ref);
        ++*count;
    }
    json_array_foreach(value, index, item) check_references(document, item, count);
    json_object_foreach(value, key, item) check_references(document, item, count);
}

static void test_is_whole(void **state)
{
    struct fixture f;
    unsigned references = 0;
    (void)state;
    fixture_init(&f);
    check_text("openapi", json_slice(at(f.document, "/openapi")), SLICE("3.1.0"));
    check_text("title", json_slice(at(f.document, "/info/title")), SLICE("Title"));
    check_references(f.document, f.document, &references);
    assert_true(references > 50);
    static const char *const there[] = {
        "/paths/~1api~1v1~1things/get/responses/200",
        "/paths/~1api~1v1~1things/post/requestBody/content/application~1json/example/name",
        "/paths/~1api~1v1~1things~1{id}/patch/requestBody/content/application~1json-patch+json",
        "/paths/~1api~1v1~1things~1{id}/delete/responses/204",
        "/paths/~1api~1v1~1things~1{id}~1restore/post/responses/200",
        "/paths/~1api~1v1~1things~1export/get/responses/200/content/text~1csv",
        "/paths/~1api~1v1~1batch/post/responses/207",
        "/paths/~1health/get/responses/200/content/application~1health+json/schema/type",
        "/paths/~1health/delete/operationId",
        "/paths/~1other/post/responses/401",
        "/components/schemas/ThingsCreate/properties/secret",
    };
    for (size_t i = 0; i < ARRAY_LEN(there); i++)
        if (!at(f.document, there[i]))
            fail_msg("%s is not there", there[i]);
    static const char *const not_there[] = {
        "/components/schemas/Things/properties/secret",
        "/components/schemas/ThingsCreate/properties/score",
        "/paths/~1health/get/responses/401",
    };
    for (size_t i = 0; i < ARRAY_LEN(not_there); i++)
        if (at(f.document, not_there[i]))
            fail_msg("%s is there", not_there[i]);
    fixture_fini(&f);
}

static void test_operations_have_one_name(void **state)
{
    struct fixture f;
    const char *path, *method;
    json_t *item, *operation;
    (void)state;
    fixture_init(&f);
    json_t *seen = json_object();
    json_object_foreach(json_object_get(f.document, "paths"), path, item)
    {
        json_object_foreach(item, method, operation)
        {
            if (strcmp(method, "parameters") == 0)
                continue;
            const char *id = json_string_value(json_object_get(operation, "operationId"));
            if (!id || json_object_get(seen, id))
                fail_msg("%s %s: operationId %s", method, path, id ? id : "missing");
            json_object_set_new(seen, id, json_true());
            assert_true(json_object_size(json_object_get(operation, "responses")) > 1);
        }
    }
    assert_true(json_object_size(seen) >= 12);
    json_decref(seen);
    fixture_fini(&f);
}

static void test_rules_are_told(void **state)
{
    struct fixture f;
    (void)state;
    fixture_init(&f);
    json_t *path = at(f.document, "/paths/~1api~1v1~1things");
    json_t *one = at(f.document, "/paths/~1api~1v1~1things~1{id}");
    assert_int_equal(json_array_size(at(path, "/get/security")), 1);
    assert_int_equal(json_array_size(at(path, "/post/security")), 3);
    check_text("create", json_slice(at(path, "/post/x-purlin-rules")), SLICE("@user != null"));
    check_text("delete", json_slice(at(one, "/delete/x-purlin-rules")), SLICE("false"));
    assert_int_equal(json_integer_value(at(path, "/post/x-purlin-ratelimit/count")), 5);
    assert_int_equal(json_array_size(at(f.document, "/paths/~1other/post/security")), 3);
    check_text("needs", json_slice(at(f.document, "/paths/~1other/post/x-permissions/0")),
               SLICE("purlin:audit"));
    check_text("covers", json_slice(at(path, "/post/x-permissions/0")), SLICE("things:create"));
    fixture_fini(&f);
}

/* Each example is valid by the schema that stands beside it. */
static void test_examples_are_valid(void **state)
{
    static const struct {
        const char *media, *schema;
    } rows[] = {
        { "/paths/~1api~1v1~1things/post/requestBody/content/application~1json", "ThingsCreate" },
        { "/paths/~1api~1v1~1things~1{id}/put/requestBody/content/application~1json",
          "ThingsReplace" },
        { "/paths/~1api~1v1~1things~1{id}/patch/requestBody/content/application~1merge-patch+json",
          "ThingsPatch" },
    };
    struct fixture f;
    (void)state;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *example = json_object_get(at(f.document, rows[i].media), "example");
        assert_true(json_object_size(example) > 0);
        struct buf wrapped;
        buf_init(&wrapped, f.arena, 0, (size_t)4 << 20);
        buf_printf(&wrapped,
                   "{\"$ref\":\"#/components/schemas/%s\",\"components\":", rows[i].schema);
        json_put_value(&wrapped, json_object_get(f.document, "components"));
        buf_putc(&wrapped, '}');
        json_t *json;
        struct json_schema *schema = NULL;
        struct json_schema_error error;
        struct problem problem = { 0 };
        const struct json_limits limits = { .bytes_max = (size_t)4 << 20, .depth_max = 64 };
        assert_int_equal(json_read(f.arena, buf_slice(&wrapped), limits, &json, NULL), STATUS_OK);
        if (json_schema_compile(json, f.arena, &schema, &error) != STATUS_OK)
            fail_msg("%s: %.*s %.*s", rows[i].schema, SLICE_ARG(error.pointer),
                     SLICE_ARG(error.reason));
        if (!json_schema_validate(schema, example, f.arena, SLICE_NULL, &problem))
            fail_msg("%s: %.*s %.*s", rows[i].schema, SLICE_ARG(problem.fields[0].pointer),
                     SLICE_ARG(problem.fields[0].detail));
        json_schema_free(schema);
    }
    json_t *example = at(
        f.document, "/paths/~1api~1v1~1things/post/requestBody/content/application~1json/example");
    assert_int_equal(json_integer_value(json_object_get(example, "must")), 50);
    check_text("currency", json_slice(at(example, "/price/currency")), SLICE("JPY"));
    check_text("default", json_slice(at(example, "/kind")), SLICE("b"));
    /* What no valid text could be made of is left out, as are references nobody asks for. */
    static const char *const left_out[] = { "code", "parent", "score", "total", "shaped" };
    for (size_t i = 0; i < ARRAY_LEN(left_out); i++)
        if (json_object_get(example, left_out[i]))
            fail_msg("the example has %s", left_out[i]);
    fixture_fini(&f);
}

/* A required field that no example can be made of leaves the document without one, and whole. */
static void test_without_an_example(void **state)
{
    struct fixture f = { .arena = arena_new(NULL, 0) };
    struct buf out;
    (void)state;
    f.set = set_of(f.arena, "resource: odd\n"
                            "fields:\n"
                            "  code: { type: string, pattern: \"^[0-9]{3}-x$\", required: true }\n"
                            "rules: { read: true }\n");
    buf_init(&out, f.arena, 0, 4096);
    assert_int_equal(contract__example(f.set->contracts[0], 'c', f.arena, &out), STATUS_NOT_FOUND);
    assert_int_equal(out.len, 0);
    const struct openapi_options options = { .title = SLICE("T"),
                                             .version = SLICE("1"),
                                             .server_url = SLICE("/") };
    buf_init(&out, f.arena, 65536, (size_t)4 << 20);
    contract_openapi(f.set, &options, f.arena, &out);
    json_t *document = json_of(f.arena, arena_cstr(f.arena, buf_slice(&out)));
    assert_null(
        at(document, "/paths/~1api~1v1~1odd/post/requestBody/content/application~1json/example"));
    assert_non_null(
        at(document, "/paths/~1api~1v1~1odd/post/requestBody/content/application~1json/schema"));
    fixture_fini(&f);
}

static struct openapi_policy policy_of(void *arg, struct slice path)
{
    (void)arg;
    if (slice_starts(path, SLICE("/api/v1/odd/{id}")))
        return (struct openapi_policy){ .signs_messages = true, .signs_always = true };
    if (slice_starts(path, SLICE("/api/v1/odd")))
        return (struct openapi_policy){ .signs_plain = true };
    if (slice_eq(path, SLICE("/api/v1/batch")))
        return (struct openapi_policy){ .signs_messages = true,
                                        .signs_plain = true,
                                        .signs_always = true };
    return (struct openapi_policy){ .deprecated = false };
}

static void check_value(struct arena *arena, json_t *document, const char *pointer,
                        const char *want)
{
    struct buf text;
    json_t *value = at(document, pointer);
    if (!value)
        fail_msg("%s is missing", pointer);
    buf_init(&text, arena, 256, 4096);
    json_put_value(&text, value);
    check_text(pointer, buf_slice(&text), slice_cstr(want));
}

/* What the policy of each path asks for, and nothing where it asks for nothing. */
static void test_signatures_are_told(void **state)
{
    static const struct {
        const char *pointer, *want;
    } cases[] = {
        { "/paths/~1api~1v1~1odd/get/security", "[{},{\"plainSignature\":[]}]" },
        { "/paths/~1api~1v1~1odd/post/security",
          "[{\"apiKey\":[]},{\"bearer\":[]},{\"session\":[]},"
          "{\"apiKey\":[],\"plainSignature\":[]},{\"bearer\":[],\"plainSignature\":[]},"
          "{\"session\":[],\"plainSignature\":[]}]" },
        { "/paths/~1api~1v1~1odd~1{id}/get/security", "[{\"messageSignature\":[]}]" },
        { "/paths/~1api~1v1~1batch/post/security",
          "[{\"messageSignature\":[]},{\"apiKey\":[],\"messageSignature\":[]},"
          "{\"bearer\":[],\"messageSignature\":[]},{\"session\":[],\"messageSignature\":[]},"
          "{\"plainSignature\":[]},"
          "{\"apiKey\":[],\"plainSignature\":[]},{\"bearer\":[],\"plainSignature\":[]},"
          "{\"session\":[],\"plainSignature\":[]}]" },
        { "/components/securitySchemes/messageSignature/name", "\"Signature\"" },
        { "/components/securitySchemes/plainSignature/name", "\"X-Signature\"" },
        { "/components/parameters/SignatureInput/name", "\"Signature-Input\"" },
        { "/components/parameters/ContentDigest/name", "\"Content-Digest\"" },
    };
    (void)state;
    struct fixture f = { .arena = arena_new(NULL, 0) };
    struct buf out;
    f.set = set_of(f.arena, "resource: odd\n"
                            "fields:\n"
                            "  code: { type: string }\n"
                            "rules: { read: true, create: '@user != null', update: true }\n");
    const struct openapi_options options = {
        .title = SLICE("T"), .version = SLICE("1"), .server_url = SLICE("/"), .policy_of = policy_of
    };
    buf_init(&out, f.arena, 65536, (size_t)4 << 20);
    contract_openapi(f.set, &options, f.arena, &out);
    json_t *document = json_of(f.arena, arena_cstr(f.arena, buf_slice(&out)));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_value(f.arena, document, cases[i].pointer, cases[i].want);
    struct slice put =
        json_slice(at(document, "/paths/~1api~1v1~1odd~1{id}/put/parameters/4/$ref"));
    check_text("of a body", put, SLICE("#/components/parameters/ContentDigest"));
    assert_null(at(document, "/paths/~1api~1v1~1odd~1{id}/delete/parameters/3"));
    fixture_fini(&f);
    fixture_init(&f);
    assert_null(at(f.document, "/components/securitySchemes/messageSignature"));
    assert_null(at(f.document, "/components/parameters/SignatureInput"));
    fixture_fini(&f);
}

/* Too little room is said, not written over. */
static void test_too_little_room(void **state)
{
    struct fixture f;
    struct buf out;
    (void)state;
    fixture_init(&f);
    const struct openapi_options options = { .title = SLICE("T"),
                                             .version = SLICE("1"),
                                             .server_url = SLICE("/") };
    buf_init(&out, f.arena, 0, 20000);
    contract_openapi(f.set, &options, f.arena, &out);
    assert_int_equal(buf_status(&out), STATUS_TOO_LARGE);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_whole),
        cmocka_unit_test(test_operations_have_one_name),
        cmocka_unit_test(test_rules_are_told),
        cmocka_unit_test(test_examples_are_valid),
        cmocka_unit_test(test_without_an_example),
        cmocka_unit_test(test_too_little_room),
        cmocka_unit_test(test_signatures_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
