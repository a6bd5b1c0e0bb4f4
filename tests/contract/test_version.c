/* Older versions of the API: the same contracts, other names. */
#include "check.h"

#include "contract/expr.h"
#include "contract/openapi.h"
#include "contract/sql.h"

static const struct contract_source sources[] = {
    { SLICE_INIT("posts.yaml"),
      SLICE_INIT("resource: posts\n"
                 "fields:\n"
                 "  title: { type: string, max: 50, required: true }\n"
                 "  price: { type: money, optional: true }\n"
                 "  slug:  { type: string, default: none }\n"
                 "  kind:  { enum: [a, b], optional: true }\n"
                 "  must:  { type: integer, required: true }\n"
                 "search: [title, slug]\n"
                 "unique: [[slug, title]]\n"
                 "rules: { read: 'title != \"x\"', create: true, update: true, delete: true }\n") },
    { SLICE_INIT("notes.yaml"),
      SLICE_INIT("resource: notes\n"
                 "fields:\n"
                 "  post: { ref: posts, required: true, on_delete: cascade }\n"
                 "  text: { type: text }\n"
                 "rules: { read: true, create: true }\n") },
};

struct fixture {
    struct arena *arena;
    struct contract_set *set;
    struct diag diag;
};

static void fixture_init(struct fixture *f)
{
    f->arena = arena_new(NULL, 0);
    diag_init(&f->diag, f->arena);
    assert_int_equal(contract_set_parse(sources, ARRAY_LEN(sources), &f->diag, &f->set), STATUS_OK);
}

static void fixture_fini(struct fixture *f)
{
    contract_set_free(f->set);
    arena_free(f->arena);
}

static enum status add(struct fixture *f, unsigned number, const char *overlay)
{
    const struct contract_source source = { SLICE("v/posts.yaml"), slice_cstr(overlay) };
    return contract_set_version_add(f->set, number, sources, ARRAY_LEN(sources), &source,
                                    overlay ? 1 : 0, &f->diag);
}

/* The complaints so far. */
static struct slice said(struct fixture *f)
{
    struct buf out;
    buf_init(&out, f->arena, 1024, (size_t)1 << 20);
    diag_print(&f->diag, &out);
    return buf_slice(&out);
}

static void test_numbers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    check_text("alone", f.set->version, SLICE("v1"));
    assert_null(f.set->older);
    uint64_t before = f.set->fingerprint;
    assert_int_equal(add(&f, 1, NULL), STATUS_OK);
    assert_int_equal(add(&f, 3, NULL), STATUS_OK);
    assert_int_equal(add(&f, 2, NULL), STATUS_OK);
    check_text("newest", f.set->version, SLICE("v4"));
    check_text("third", f.set->older->version, SLICE("v3"));
    check_text("second", f.set->older->older->version, SLICE("v2"));
    check_text("first", f.set->older->older->older->version, SLICE("v1"));
    assert_null(f.set->older->older->older->older);
    assert_true(f.set->fingerprint != before);
    assert_ptr_equal(contract_set_version(f.set, 4), f.set);
    assert_ptr_equal(contract_set_version(f.set, 2), f.set->older->older);
    assert_null(contract_set_version(f.set, 5));
    assert_true(contract_set_same_versions(f.set, f.set));
    assert_false(contract_set_same_versions(f.set, f.set->older));
    fixture_fini(&f);
}

static struct slice schema_of(struct fixture *f, const struct contract *c, char kind)
{
    struct buf out;
    buf_init(&out, f->arena, 1024, (size_t)1 << 20);
    contract_json_schema(c, kind, &out);
    return buf_slice(&out);
}

static bool has(struct slice text, const char *part)
{
    return slice_find_slice(text, slice_cstr(part)) != SIZE_MAX;
}

static void test_names(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    /* A hidden field's name may be another's: what was `slug` then is `title` now. */
    assert_int_equal(add(&f, 1,
                         "resource: posts\n"
                         "rename: { title: slug, price: cost }\n"
                         "hide: [slug, kind]\n"),
                     STATUS_OK);
    const struct contract *now = contract_find(f.set, SLICE("posts"));
    const struct contract *then = contract_find(f.set->older, SLICE("posts"));
    assert_non_null(contract_field_find(now, SLICE("title")));
    assert_null(contract_field_find(now, SLICE("cost")));
    const struct contract_field *slug = contract_field_find(then, SLICE("slug"));
    assert_non_null(slug);
    assert_null(contract_field_find(then, SLICE("title")));
    assert_null(contract_field_find(then, SLICE("price")));
    assert_null(contract_field_find(then, SLICE("kind")));
    assert_int_equal(contract_field_find(then, SLICE("cost"))->type, CONTRACT_MONEY);
    assert_non_null(contract_field_find(then, SLICE("id")));
    /* Columns are those of today. */
    check_text("column", then->columns[slug->column].name, SLICE("title"));
    for (unsigned i = 0; i < now->columns_len; i++)
        check_text("columns", then->columns[i].name, now->columns[i].name);

    for (const char *kind = "rcup"; *kind; kind++) {
        struct slice schema = schema_of(&f, then, *kind);
        assert_true(has(schema, "\"slug\":") && has(schema, "\"cost\":"));
        assert_false(has(schema, "\"kind\":") || has(schema, "\"price\":") ||
                     has(schema, "\"title\":"));
    }
    fixture_fini(&f);
}

static struct slice validated(struct fixture *f, const struct contract *c, enum contract_mode mode,
                              const char *body)
{
    struct problem problem = { 0 };
    struct contract_row row;
    const struct contract_input input = { .mode = mode };
    enum status st =
        contract_validate(c, json_of(f->arena, body), &input, f->arena, &problem, &row, NULL);
    return st == STATUS_OK ? row_of(f->arena, &row) : problems_of(f->arena, &problem);
}

static void test_bodies(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(
        add(&f, 1, "resource: posts\nrename: { title: headline }\nhide: [slug, kind]\n"),
        STATUS_OK);
    const struct contract *c = contract_find(f.set->older, SLICE("posts"));
    check_text("create, and what is hidden has its default",
               validated(&f, c, CONTRACT_MODE_CREATE, "{\"headline\":\"a\",\"must\":1}"),
               SLICE("{\"headline\":\"a\",\"slug\":\"none\",\"must\":1}"));
    check_text("names of today are unknown",
               validated(&f, c, CONTRACT_MODE_CREATE, "{\"title\":\"a\",\"must\":1}"),
               SLICE("/title unknown_field; /headline required"));
    check_text("hidden ones too",
               validated(&f, c, CONTRACT_MODE_PATCH, "{\"kind\":\"a\",\"slug\":\"b\"}"),
               SLICE("/kind unknown_field; /slug unknown_field"));
    check_text("a bad value is named as then",
               validated(&f, c, CONTRACT_MODE_PATCH, "{\"headline\":1}"), SLICE("/headline type"));
    /* PUT leaves alone what its author cannot know. */
    check_text("replace",
               validated(&f, c, CONTRACT_MODE_REPLACE, "{\"headline\":\"a\",\"must\":1}"),
               SLICE("{\"headline\":\"a\",\"price\":null,\"must\":1}"));
    fixture_fini(&f);
}

static void test_filters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { "headline == \"a\"", true },
        { "title == \"a\"", false },
        { "kind == \"a\"", false },
        { "must > 1 && headline != \"b\"", true },
        { "exists(notes, post == id)", false }, /* absent then */
    };
    struct fixture f;
    fixture_init(&f);
    const struct contract_source overlays[] = {
        { SLICE("v1/posts.yaml"),
          SLICE("resource: posts\nrename: { title: headline }\nhide: [kind]\n") },
        { SLICE("v1/notes.yaml"), SLICE("resource: notes\nabsent: true\n") },
    };
    assert_int_equal(contract_set_version_add(f.set, 1, sources, ARRAY_LEN(sources), overlays,
                                              ARRAY_LEN(overlays), &f.diag),
                     STATUS_OK);
    const struct contract *c = contract_find(f.set->older, SLICE("posts"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct expr *expr;
        struct expr_error error;
        bool good = expr_compile(f.set->older, c, slice_cstr(cases[i].text), EXPR_FILTER, f.arena,
                                 &expr, &error) == STATUS_OK;
        if (good != cases[i].good)
            fail_msg("%s", cases[i].text);
    }
    assert_true(contract_find(f.set->older, SLICE("notes"))->absent);
    assert_false(contract_find(f.set, SLICE("notes"))->absent);

    struct buf out;
    buf_init(&out, f.arena, 65536, (size_t)4 << 20);
    const struct openapi_options options = { .title = SLICE("T"),
                                             .version = SLICE("1"),
                                             .server_url = SLICE("/") };
    contract_openapi(f.set->older, &options, f.arena, &out);
    assert_true(has(buf_slice(&out), "\"/api/v1/posts/{id}\""));
    assert_true(has(buf_slice(&out), "\"/api/v1/batch\""));
    assert_false(has(buf_slice(&out), "notes") || has(buf_slice(&out), "/api/v2"));
    buf_clear(&out);
    contract_openapi(f.set, &options, f.arena, &out);
    assert_true(has(buf_slice(&out), "\"/api/v2/notes/{id}\""));
    assert_false(has(buf_slice(&out), "/api/v1"));
    fixture_fini(&f);
}

static void test_complaints(void **state)
{
    (void)state;
    static const struct {
        const char *overlay, *want;
    } cases[] = {
        { "a: [", "v/posts.yaml:" },
        { "[1]\n", "missing: the resource that was different in this version" },
        { "hide: [slug]\n", "missing: the resource" },
        { "resource: postings\n", "there is no contract of `postings`" },
        { "resource: posts\nrenames: {}\n", "Did you mean `rename`?" },
        { "resource: posts\nhide: slug\n", "hide: must be a list of fields" },
        { "resource: posts\nrename: [slug]\n", "rename: must be a map" },
        { "resource: posts\nabsent: maybe\n", "absent" },
        { "resource: posts\nhide: [slugs]\n", "Did you mean `slug`?" },
        { "resource: posts\nhide: [id]\n", "hide" },
        { "resource: posts\nhide: [must]\n",
          "`must` is required: nobody could create a row in this version" },
        { "resource: posts\nrename: { titel: x }\n", "Did you mean `title`?" },
        { "resource: posts\nrename: { title: Title }\n", "must begin with a lower-case letter" },
        { "resource: posts\nrename: { title: limit }\n", "rename.title: this name is reserved" },
        { "resource: posts\nrename: { title: slug }\n", "another field has this name" },
        { "resource: posts\nrename: { title: id }\n", "this name is reserved" },
        { "resource: posts\nrename: { title: notes }\n",
          "rows that refer to this one have this name" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        fixture_init(&f);
        assert_int_equal(add(&f, 1, cases[i].overlay), STATUS_INVALID);
        if (!has(said(&f), cases[i].want))
            fail_msg("%s:\n got  %.*s\n want %s", cases[i].overlay, SLICE_ARG(said(&f)),
                     cases[i].want);
        assert_null(f.set->older);
        check_text("as before", f.set->version, SLICE("v1"));
        fixture_fini(&f);
    }
}

static void test_two_overlays_of_one_resource(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    const struct contract_source overlays[] = {
        { SLICE("v1/a.yaml"), SLICE("resource: posts\nhide: [slug]\n") },
        { SLICE("v1/b.yaml"), SLICE("resource: posts\nhide: [kind]\n") },
    };
    assert_int_equal(
        contract_set_version_add(f.set, 1, sources, ARRAY_LEN(sources), overlays, 2, &f.diag),
        STATUS_INVALID);
    assert_true(has(said(&f), "v1/a.yaml is about the same resource"));
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_bodies),     cmocka_unit_test(test_filters),
        cmocka_unit_test(test_complaints), cmocka_unit_test(test_two_overlays_of_one_resource),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
