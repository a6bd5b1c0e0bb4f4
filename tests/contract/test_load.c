/* Contracts that are refused, word for word, and what the model holds of those that are not.
 * argv[1] is the root of the sources. */
#include "check.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/yaml.h"
#include "contract/expr.h"
#include "contract/load.h"
#include "contract/schema.h"

static const char *root;

static struct slice read_source(struct arena *arena, const char *path)
{
    struct slice whole = arena_printf(arena, "%s/%s", root, path);
    FILE *file = fopen(arena_cstr(arena, whole), "rb");
    if (!file)
        fail_msg("%.*s cannot be read", SLICE_ARG(whole));
    char *data = arena_alloc(arena, 1 << 20);
    size_t len = fread(data, 1, 1 << 20, file);
    (void)fclose(file);
    return slice_of(data, len);
}

/* -- refused ---------------------------------------------------------------- */

/* The complaints without "test.yaml:" before each. */
static struct slice without_file(struct arena *arena, struct slice text)
{
    struct buf out;
    struct slice line;
    buf_init(&out, arena, text.len + 1, text.len + 1);
    while (text.len > 0 && slice_split(&text, '\n', &line)) {
        if (slice_starts(line, SLICE("t:")))
            line = slice_from(line, line.len > 2 && line.data[2] == ' ' ? 3 : 2);
        buf_put_slice(&out, line);
        if (line.len)
            buf_putc(&out, '\n');
    }
    return buf_slice(&out);
}

static void test_load_refuses(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct slice text = read_source(arena, "tests/contract/refused.txt");
    unsigned cases = 0;
    for (size_t at = slice_find_slice(text, SLICE("\n=== ")); at != SIZE_MAX;
         at = slice_find_slice(text, SLICE("\n=== "))) {
        text = slice_from(text, at + 5);
        struct slice one = slice_head(text, slice_find_slice(text, SLICE("\n=== ")));
        struct slice name = slice_head(one, slice_find(one, '\n'));
        struct slice body = slice_from(one, name.len + 1);
        size_t split =
            slice_starts(body, SLICE("---\n")) ? 0 : slice_find_slice(body, SLICE("\n---\n")) + 1;
        const struct contract_source source = { SLICE("t"), slice_head(body, split) };
        struct slice want = slice_from(body, split + 4);
        while (slice_ends(want, SLICE("\n")))
            want.len--;
        struct slice got = without_file(arena, complaints_of(arena, &source, 1));
        while (slice_ends(got, SLICE("\n")))
            got.len--;
        check_text(arena_cstr(arena, name), got, want);
        cases++;
    }
    assert_true(cases > 60);
}

static void test_load_several_files(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    const struct contract_source twice[] = {
        { SLICE("a.yaml"), SLICE("resource: things\nfields:\n  a: { type: string }\n") },
        { SLICE("b.yaml"),
          SLICE("# the same\nresource: things\nfields:\n  b: { type: string, max: x }\n") },
    };
    check_text("twice", complaints_of(arena, twice, 2),
               SLICE("b.yaml:2:11: resource: `things` is also the resource of a.yaml\n"
                     "b.yaml:4:27: fields.b.max: must be a whole number\n"));
    /* What is missing may stand in the file that cannot be read: that is said once. */
    const struct contract_source broken[] = {
        { SLICE("a.yaml"),
          SLICE("resource: things\nfields:\n  u: { ref: users }\n  n: { count: marks.thing }\n"
                "rules: { read: 'exists(users, id == @user)' }\n") },
        { SLICE("b.yaml"), SLICE("resource: users\nfields: {\n") },
    };
    check_text("broken", complaints_of(arena, broken, 2),
               SLICE("b.yaml:3:1: not YAML: did not find expected node content while parsing a "
                     "flow node\n"));
    const struct contract_source nameless[] = {
        { SLICE("a.yaml"), SLICE("resource: things\nfields:\n  u: { ref: users }\n") },
        { SLICE("b.yaml"), SLICE("fields:\n  a: { type: text }\n") },
    };
    check_text("nameless", complaints_of(arena, nameless, 2),
               SLICE("b.yaml:1:1: resource: missing: the name of the resource\n"));
    const struct contract_source circle[] = {
        { SLICE("b.yaml"), SLICE("resource: b\nfields:\n  a: { ref: a }\n  n: { count: a.b }\n") },
        { SLICE("a.yaml"), SLICE("resource: a\nfields:\n  b: { ref: b }\n  n: { count: b.a }\n"
                                 "rules: { read: 'exists(b, n > 3)' }\n") },
    };
    check_text("circle", complaints_of(arena, circle, 2), SLICE(""));
}

static void test_load_too_much(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    static struct contract_source many[CONTRACT_RESOURCES_MAX + 1];
    for (unsigned i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (struct contract_source){
            SLICE("a.yaml"), arena_printf(arena, "resource: r%u\nfields:\n  a: { type: text }\n", i)
        };
    check_text("files", complaints_of(arena, many, ARRAY_LEN(many)),
               SLICE("more than 200 contracts\n"));
    check_text("as many as there may be", complaints_of(arena, many, CONTRACT_RESOURCES_MAX),
               SLICE(""));

    struct buf text;
    buf_init(&text, arena, 65536, 1 << 20);
    buf_put_lit(&text, "resource: a\nfields:\n");
    for (int i = 0; i < 117; i++)
        buf_printf(&text, "  f%d: { type: text }\n", i);
    struct contract_source source = { SLICE("a.yaml"), buf_slice(&text) };
    check_text("fields", complaints_of(arena, &source, 1),
               SLICE("a.yaml:119:3: fields: more than 116 fields\n"));
    buf_put_lit(&text, "soft_delete: true\n");
    source.text = buf_slice(&text);
    check_text("fields", complaints_of(arena, &source, 1),
               SLICE("a.yaml:118:3: fields: more than 115 fields\n"));

    buf_clear(&text);
    buf_put_lit(&text, "resource: a\nfields:\n");
    for (int i = 0; i < 79; i++)
        buf_printf(&text, "  f%d: { type: money }\n", i);
    source.text = buf_slice(&text);
    struct slice said = complaints_of(arena, &source, 1);
    assert_true(slice_find_slice(said, SLICE("more than 160 columns (money has two)")) != SIZE_MAX);

    buf_clear(&text);
    buf_put_lit(&text, "resource: a\ndescription: \"");
    for (int i = 0; i < 4001; i++)
        buf_putc(&text, 'x');
    buf_put_lit(&text, "\"\nfields:\n  a: { type: integer }\n  b: { type: integer }\nindexes:\n");
    for (int i = 0; i < 65; i++)
        buf_put_lit(&text, "  - [a]\n");
    buf_put_lit(&text,
                "unique: [[a, b, a, b, a, b, a, b, a]]\nsearch: [a, a, a, a, a, a, a, a, a]\n");
    source.text = buf_slice(&text);
    check_text("lists", complaints_of(arena, &source, 1),
               SLICE("a.yaml:2:14: description: longer than 4000 bytes\n"
                     "a.yaml:7:3: indexes: more than 64 entries\n"
                     "a.yaml:72:10: unique[0]: more than 8 entries\n"
                     "a.yaml:73:9: search: more than 8 entries\n"));
}

/* -- the model ---------------------------------------------------------------- */

static void test_load_example(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    static const char text[] =
        "resource: posts\n"
        "description: Something a member says to others.\n"
        "fields:\n"
        "  author:     { ref: users, default: \"@user\", immutable: true, on_delete: set_null }\n"
        "  title:      { type: string, min: 1, max: 300 }\n"
        "  body:       { type: text, max: 40000, required: true }\n"
        "  tags:       { type: list, of: string, max_items: 5, pattern: \"^[a-z0-9-]+$\" }\n"
        "  visibility: { enum: [public, followers, subscribers, private], default: public }\n"
        "  price:      { type: money, optional: true }\n"
        "  score:      { type: integer, default: 0, readonly: true }\n"
        "indexes: [ [author, -created_at], { on: [tags], kind: contains } ]\n"
        "unique:  []\n"
        "search:  [title, body]\n"
        "rules:                       # who may; a row that may not be read does not exist for "
        "that caller (404)\n"
        "  read:   visibility == \"public\" || author == @user || (visibility == \"followers\" && "
        "exists(follows, follower == @user && followee == author))\n"
        "  create: \"@user != null\"\n"
        "  update: author == @user || \"moderator\" in @roles\n"
        "cache:  { ttl: 60s, tags: [posts, \"author:{author}\"] }\n"
        "limits: { create: 30/minute/user }\n"
        "events: [created, updated, deleted]\n";
    const struct contract_source sources[] = {
        { SLICE("posts.yaml"), slice_cstr(text) },
        { SLICE("users.yaml"), SLICE("resource: users\nfields:\n  name: { type: string }\n  posts: "
                                     "{ count: posts.author, where: score > 3 }\n") },
        { SLICE("follows.yaml"), SLICE("resource: follows\nfields:\n  follower: { ref: users }\n  "
                                       "followee: { ref: users, on_delete: cascade }\n") },
    };
    struct contract_set *set = NULL;
    struct diag diag;
    diag_init(&diag, arena);
    assert_int_equal(contract_set_parse(sources, 3, &diag, &set), STATUS_OK);
    assert_int_equal(set->len, 3);
    check_text("sorted", set->contracts[0]->name, SLICE("follows"));
    const struct contract *posts = contract_find(set, SLICE("posts")),
                          *users = contract_find(set, SLICE("users"));
    check_text("description", posts->description, SLICE("Something a member says to others."));
    assert_int_equal(posts->fields_len, 11);
    assert_int_equal(posts->columns_len, 12);

    const struct contract_field *author = contract_field_find(posts, SLICE("author"));
    assert_true(author->type == CONTRACT_REF && author->ref == users && author->nullable &&
                author->immutable);
    assert_true(author->default_kind == CONTRACT_DEFAULT_USER &&
                author->on_delete == CONTRACT_SET_NULL);
    assert_int_equal(author->line, 4);
    const struct contract_field *title = contract_field_find(posts, SLICE("title"));
    assert_true(title->nullable && title->has_min && title->min_i64 == 1 && title->max_i64 == 300);
    assert_true(contract_field_find(posts, SLICE("body"))->required);
    const struct contract_field *tags = contract_field_find(posts, SLICE("tags"));
    assert_true(tags->type == CONTRACT_LIST && tags->of->type == CONTRACT_STRING &&
                tags->of->pattern && tags->max_items == 5);
    const struct contract_field *visibility = contract_field_find(posts, SLICE("visibility"));
    assert_true(visibility->values_len == 4 && !visibility->nullable &&
                visibility->default_kind == CONTRACT_DEFAULT_VALUE);
    const struct contract_field *price = contract_field_find(posts, SLICE("price"));
    assert_true(price->columns_len == 2 && price->nullable);
    check_text("amount", posts->columns[price->column].name, SLICE("price_amount"));
    check_text("currency", posts->columns[price->column + 1].name, SLICE("price_currency"));
    assert_string_equal(posts->columns[price->column].sql_type, "INTEGER");
    assert_true(posts->columns[visibility->column].not_null);
    assert_true(contract_field_find(posts, SLICE("version"))->system);
    assert_null(contract_field_find(posts, SLICE("deleted_at")));

    assert_int_equal(posts->indexes_len, 2);
    assert_true(posts->indexes[0].fields[0] == author && posts->indexes[0].descending[1] &&
                posts->indexes[0].len == 2);
    assert_true(posts->indexes[1].kind == CONTRACT_INDEX_CONTAINS &&
                posts->indexes[1].fields[0] == tags);
    assert_int_equal(posts->search_len, 2);
    check_text("left out", posts->rules_text[CONTRACT_DELETE], SLICE("false"));
    for (unsigned i = 0; i < CONTRACT_ACTIONS; i++)
        assert_non_null(posts->rules[i]);
    const struct expr_context nobody = { .caller = NULL };
    assert_int_equal(expr_decide(posts->rules[CONTRACT_DELETE], &nobody), EXPR_NO);
    assert_int_equal(expr_decide(posts->rules[CONTRACT_CREATE], &nobody), EXPR_NO);
    assert_int_equal(posts->cache_ttl_us, 60 * CLOCK_SECOND);
    assert_int_equal(posts->cache_tags_len, 2);
    assert_true(posts->limits_len == 1 && posts->limits[0].count == 30 &&
                posts->limits[0].per_us == CLOCK_MINUTE);
    check_text("by", posts->limits[0].by, SLICE("user"));
    assert_int_equal(posts->events,
                     CONTRACT_EVENT_CREATED | CONTRACT_EVENT_UPDATED | CONTRACT_EVENT_DELETED);

    const struct contract_field *count = contract_field_find(users, SLICE("posts"));
    assert_true(count->type == CONTRACT_COUNT && count->ref == posts &&
                count->ref_field == author && count->count_where);
    assert_true(count->readonly && !count->nullable);
    /* `posts` is a field of users: their posts go by the longer name. */
    assert_int_equal(users->referrers_len, 3);
    check_text("ambiguous", users->referrers[0].name, SLICE("follows_follower"));
    check_text("taken", users->referrers[2].name, SLICE("posts_author"));
    contract_set_free(set);
    contract_set_free(NULL);
}

static void test_load_forms(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct contract_set *set = set_of(
        arena,
        "resource: things\n"
        "soft_delete: true\n"
        "fields:\n"
        "  s: { type: string, default: \"x\", optional: true, writeonly: false }\n"
        "  t: { type: time, min: 2020-01-01T00:00:00.0009Z, default: 2026-01-01T00:00:00Z }\n"
        "  e: { type: enum, values: [x, \"true\"] }\n"
        "  l: { type: list, of: enum, values: [a, b], default: [a] }\n"
        "  l2: { type: list, of: text }\n"
        "  u: { type: url, schemes: [https, mailto] }\n"
        "  j: { type: json, schema: { $defs: { a: { type: string } }, $ref: '#/$defs/a' }, "
        "default: x }\n"
        "  k: { type: json, schema: true, max_bytes: 100 }\n"
        "  m: { type: media, accept: [image/*], max_bytes: 5000 }\n"
        "  p: { ref: things, on_delete: cascade }\n"
        "  c: { count: things.p }\n"
        "indexes:\n"
        "  - { on: [s], where: s != null, unique: true }\n"
        "  - { on: [-t, deleted_at], kind: order }\n"
        "unique: [[e, p]]\n"
        "search: [s, l2]\n"
        "rules: { read: true, create: false, update: 's == \"x\"' }\n"
        "limits: { list: 5/second/ip, delete: 1/day/key, read: 7/hour/user }\n"
        "cache: { ttl: 1500ms }\n"
        "events: []\n");
    const struct contract *c = contract_find(set, SLICE("things"));
    assert_true(c->soft_delete);
    assert_true(contract_field_find(c, SLICE("deleted_at"))->nullable);
    assert_true(contract_field_find(c, SLICE("s"))->nullable);
    assert_int_equal(contract_field_find(c, SLICE("t"))->min_i64 % CLOCK_MS, 0);
    check_text("values", contract_field_find(c, SLICE("e"))->values[1], SLICE("true"));
    assert_int_equal(contract_field_find(c, SLICE("l"))->of->values_len, 2);
    assert_non_null(contract_field_find(c, SLICE("j"))->schema);
    assert_int_equal(contract_field_find(c, SLICE("k"))->bytes_max, 100);
    assert_int_equal(contract_field_find(c, SLICE("m"))->bytes_max, 5000);
    assert_int_equal(c->indexes_len, 3);
    assert_true(c->indexes[0].unique && c->indexes[0].where && c->indexes[2].unique);
    check_text("where", c->indexes[0].where_text, SLICE("s != null"));
    assert_int_equal(c->search_len, 2);
    assert_int_equal(c->limits_len, 3);
    assert_int_equal(c->cache_ttl_us, 1500 * CLOCK_MS);
    assert_int_equal(c->events, 0);
    check_text("boolean rule", c->rules_text[CONTRACT_READ], SLICE("true"));
    check_text("self", c->referrers[0].name, SLICE("things"));
    contract_set_free(set);
}

static void test_load_fingerprint(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    const struct contract_source sources[] = {
        { SLICE("x.yaml"), SLICE("resource: a\nfields:\n  a: { type: text }\n") },
        { SLICE("y.yaml"), SLICE("resource: b\nfields:\n  a: { type: text }\n") },
        { SLICE("x.yaml"), SLICE("resource: a\nfields:\n  a: { type: text }\n") },
        { SLICE("z.yaml"), SLICE("resource: b\nfields:\n  a: { type: text } #\n") },
    };
    struct contract_set *set[3];
    struct diag diag;
    diag_init(&diag, arena);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(contract_set_parse(sources + i, 2, &diag, &set[i]), STATUS_OK);
    assert_true(set[0]->fingerprint == set[1]->fingerprint);
    assert_true(set[0]->fingerprint != set[2]->fingerprint);
    for (unsigned i = 0; i < 3; i++)
        contract_set_free(set[i]);
}

/* -- folders -------------------------------------------------------------------- */

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    (void)fclose(file);
}

static struct slice load(struct arena *arena, struct slice folder, unsigned *ret_len)
{
    struct contract_set *set = NULL;
    struct diag diag;
    struct buf out;
    diag_init(&diag, arena);
    buf_init(&out, arena, 1024, 65536);
    if (contract_set_load(folder, &diag, &set) == STATUS_OK) {
        *ret_len = set->len;
        contract_set_free(set);
    }
    diag_print(&diag, &out);
    return out.len ? buf_slice(&out) : SLICE("");
}

static void test_load_folder(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    char folder[] = "/tmp/purlin_contracts_XXXXXX", path[600];
    unsigned len = 0;
    assert_non_null(mkdtemp(folder));
    check_text("empty", load(arena, slice_cstr(folder), &len),
               arena_printf(arena, "%s: no contracts (*.yaml) here\n", folder));
    write_file(folder, "b.yaml", "resource: b\nfields:\n  a: { ref: a }\n");
    write_file(folder, "a.yaml", "resource: a\nfields:\n  t: { type: text }\n");
    write_file(folder, ".hidden.yaml", "nonsense");
    write_file(folder, "notes.txt", "nonsense");
    (void)snprintf(path, sizeof(path), "%s/", folder);
    check_text("two", load(arena, slice_cstr(path), &len), SLICE(""));
    assert_int_equal(len, 2);
    write_file(folder, "c.yml", "resource: c\nfields:\n  t: { type: text }\n");
    check_text("yml", load(arena, slice_cstr(folder), &len),
               arena_printf(arena, "%s/c.yml: contracts are named *.yaml; rename it\n", folder));
    write_file(folder, "a.yaml", "resource: A\nfields:\n  t: { type: text }\n");
    struct slice said = load(arena, slice_cstr(folder), &len);
    assert_true(
        slice_starts(said, arena_printf(arena, "%s/a.yaml:1:11: resource: must begin", folder)));
    static const char *const names[] = { "a.yaml", "b.yaml", "c.yml", ".hidden.yaml", "notes.txt" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof(path), "%s/d.yaml", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    check_text(
        "a folder for a file", load(arena, slice_cstr(folder), &len),
        arena_printf(arena, "%s/d.yaml: cannot be read\n%s/d.yaml: empty\n", folder, folder));
    (void)rmdir(path);
    (void)rmdir(folder);
    check_text("gone", load(arena, slice_cstr(folder), &len),
               arena_printf(arena, "%s: this folder of contracts cannot be read\n", folder));
    check_text("no path", load(arena, SLICE("a\0b"), &len),
               SLICE("a\0b: this folder of contracts cannot be read\n"));
}

/* -- our own -------------------------------------------------------------------- */

/* The community's contracts load, and the published schema takes them as the reader does. */
static void test_load_community(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct slice folder = arena_printf(arena, "%s/contracts", root);
    unsigned len = 0;
    check_text("contracts/", load(arena, folder, &len), SLICE(""));
    assert_true(len >= 6);

    struct buf text;
    buf_init(&text, arena, 65536, 1 << 20);
    contract_meta_schema(&text);
    buf_putc(&text, '\0');
    const json_t *schema_json = json_of(arena, text.data);
    struct slice published = read_source(arena, "docs/contract.schema.json");
    json_t *published_json = NULL;
    assert_int_equal(json_read(arena, published, JSON_LIMITS_DEFAULT, &published_json, NULL),
                     STATUS_OK);
    if (!json_equal(schema_json, published_json))
        fail_msg("docs/contract.schema.json is not what `purlin config contract-schema` prints");
    struct json_schema *schema = NULL;
    struct json_schema_error error;
    if (json_schema_compile(schema_json, arena, &schema, &error) != STATUS_OK)
        fail_msg("%.*s: %.*s", SLICE_ARG(error.pointer), SLICE_ARG(error.reason));

    static const char *const names[] = { "users",     "posts",   "comments",
                                         "reactions", "follows", "tags" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct slice path = arena_printf(arena, "contracts/%s.yaml", names[i]);
        struct diag diag;
        struct yaml_node *node = NULL;
        diag_init(&diag, arena);
        assert_int_equal(yaml_read(read_source(arena, arena_cstr(arena, path)), path,
                                   (struct yaml_limits){ 0 }, arena, &diag, &node),
                         STATUS_OK);
        struct problem problem = { .status = STATUS_OK };
        if (!json_schema_validate(schema, yaml_to_json(node, arena), arena, SLICE(""), &problem))
            fail_msg("%s: %.*s", names[i], SLICE_ARG(problems_of(arena, &problem)));
    }
    struct problem problem = { .status = STATUS_OK };
    assert_false(json_schema_validate(
        schema,
        json_of(arena,
                "{\"resource\":\"a\",\"fields\":{\"a\":{\"type\":\"integer\",\"pattern\":\"x\"}}}"),
        arena, SLICE(""), &problem));
    json_schema_free(schema);
}

/* The reference's example loads, and each key has a place in it. */
static void test_load_reference(void **state)
{
    (void)state;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct slice text = read_source(arena, "docs/contracts.md");
    size_t at = slice_find_slice(text, SLICE("```yaml\nresource:"));
    assert_true(at != SIZE_MAX);
    struct slice example = slice_from(text, at + 8);
    example = slice_head(example, slice_find_slice(example, SLICE("```")));
    const struct contract_source sources[] = {
        { SLICE("docs/contracts.md"), example },
        { SLICE("users"), SLICE("resource: users\nfields:\n  name: { type: string }\n") },
        { SLICE("comments"), SLICE("resource: comments\nfields:\n  post: { ref: posts }\n") },
        { SLICE("follows"), SLICE("resource: follows\nfields:\n  follower: { ref: users }\n"
                                  "  followee: { ref: users }\n") },
    };
    check_text("example", complaints_of(arena, sources, ARRAY_LEN(sources)), SLICE(""));
    for (unsigned i = 0; i < contract__field_keys_len; i++) {
        struct slice name = contract__field_keys[i].name;
        if (slice_find_slice(text, arena_printf(arena, "`%.*s", SLICE_ARG(name))) == SIZE_MAX)
            fail_msg("docs/contracts.md does not explain `%.*s`", SLICE_ARG(name));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_refuses),   cmocka_unit_test(test_load_several_files),
        cmocka_unit_test(test_load_too_much),  cmocka_unit_test(test_load_example),
        cmocka_unit_test(test_load_forms),     cmocka_unit_test(test_load_fingerprint),
        cmocka_unit_test(test_load_folder),    cmocka_unit_test(test_load_community),
        cmocka_unit_test(test_load_reference),
    };
    root = argc > 1 ? argv[1] : ".";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
