/* What a mapping may say, and everything that it is told when it says something else. */
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

static void test_mapping_whole(void **state)
{
    struct fixture *f = *state;
    struct diag diag;
    struct import_mapping m;
    diag_init(&diag, f->arena);
    const char text[] =
        "source: old-forum\n"
        "imports:\n"
        "  - resource: likes\n"
        "    file: likes.tsv\n"
        "    key: [who, what]\n"
        "    fields:\n"
        "      user: { from: who, ref: users }\n"
        "      post: { from: [what, part], ref: posts, missing: error }\n"
        "  - resource: users\n"
        "    file: people.data\n"
        "    format: csv\n"
        "    delimiter: ';'\n"
        "    key: '@line'\n"
        "    only: { kind: [a, b], state: x }\n"
        "    fields:\n"
        "      name: { template: 'Mr {last}, {first}.', trim: true }\n"
        "      level: { from: role, map: { 1: low, admin: high, gone: null }, otherwise: low }\n"
        "      active: { value: false }\n"
        "      seen: { from: ts, unit: seconds, default: 2020-01-01T00:00:00Z }\n"
        "      fee: { from: cents, currency: EUR }\n"
        "      marks: { from: tags, split: '|' }\n"
        "    ignore: [junk]\n"
        "  - { resource: posts, file: posts.jsonl, key: id.value,\n"
        "      fields: { body: text, author: { from: by, ref: users, missing: null } } }\n";
    enum status st =
        import_mapping_parse(SLICE(text), SLICE("m.yaml"), f->set, f->arena, &diag, &m);
    check_text("complaints", complaints_of(f->arena, &diag), SLICE(""));
    check_int("status", st, STATUS_OK);
    check_text("source", m.source, SLICE("old-forum"));
    check_int("entries", m.len, 3);
    /* Users first: both others refer to them; posts before the likes that refer to them. */
    check_text("first", m.entries[0].contract->name, SLICE("users"));
    check_text("second", m.entries[1].contract->name, SLICE("posts"));
    check_text("third", m.entries[2].contract->name, SLICE("likes"));
    const struct import_entry *users = &m.entries[0], *posts = &m.entries[1],
                              *likes = &m.entries[2];
    check_int("csv", users->format, IMPORT_CSV);
    check_int("delimiter", users->delimiter, ';');
    assert_true(users->key[0].is_line);
    check_int("filters", users->only_len, 2);
    check_text("value", users->only[0].values[1], SLICE("b"));
    check_int("pieces", users->fields[0].pieces_len, 5);
    assert_true(users->fields[0].trim);
    check_int("choices", users->fields[1].map_len, 3);
    assert_true(json_is_null(users->fields[1].map[2].to));
    assert_true(json_is_false(users->fields[2].constant));
    check_int("unit", users->fields[3].unit, IMPORT_UNIT_SECONDS);
    check_text("currency", users->fields[4].currency, SLICE("EUR"));
    assert_true(
        import_entry_knows(users, SLICE("first")) && import_entry_knows(users, SLICE("junk")) &&
        import_entry_knows(users, SLICE("kind")) && !import_entry_knows(users, SLICE("other")));
    check_int("path", posts->key[0].len, 2);
    assert_true(import_entry_knows_inside(posts, SLICE("id")) &&
                !import_entry_knows_inside(posts, SLICE("i")));
    assert_true(posts->fields[1].missing_null && posts->fields[1].ref);
    check_int("tab", likes->delimiter, '\t');
    check_int("refs", likes->refs_len, 2);
    check_int("key of two", likes->fields[1].from_len, 2);
    check_int("index", likes->fields[1].ref_index, 1);
}

/* Entries that refer to each other stay in the order in which they are written. */
static void test_mapping_cycle(void **state)
{
    struct fixture *f = *state;
    struct diag diag;
    struct import_mapping m;
    diag_init(&diag, f->arena);
    const char text[] = "source: s\n"
                        "imports:\n"
                        "  - { resource: users, file: u.jsonl, key: id, fields: { name: n, best: { "
                        "from: b, ref: posts, missing: null } } }\n"
                        "  - { resource: posts, file: p.jsonl, key: id, fields: { body: b, author: "
                        "{ from: a, ref: users } } }\n";
    check_int("status",
              import_mapping_parse(SLICE(text), SLICE("m.yaml"), f->set, f->arena, &diag, &m),
              STATUS_OK);
    check_text("first", m.entries[0].contract->name, SLICE("users"));
}

#define ENTRY(rest)                                                                                \
    "source: s\nimports:\n  - { resource: posts, file: p.jsonl, key: id, " rest " }\n"
#define USER(rest)                                                                                 \
    "source: s\nimports:\n  - { resource: users, file: u.jsonl, key: id, fields: { name: n, " rest \
    " } }\n"
#define POST(rest)                                                                                 \
    "source: s\nimports:\n  - { resource: posts, file: p.jsonl, key: id, fields: { body: b, " rest \
    " } }\n"

static void test_mapping_refuses(void **state)
{
    static const struct {
        const char *name, *text, *want; /* part of the complaints */
    } cases[] = {
        { "nothing", "", "m.yaml: empty" },
        { "a list", "[]", "must be keys with values" },
        { "not YAML", "a: [", "m.yaml:" },
        { "no source", "imports: []\n", "`source` is missing" },
        { "no imports", "source: s\n", "`imports` is missing" },
        { "source", "source: 'A b'\nimports: []\n", "m.yaml:1:9: must be at most 64 of a-z" },
        { "empty source", "source: ''\nimports: []\n", "must not be empty" },
        { "no entry", "source: s\nimports: []\n", "must have 1 to 64 entries" },
        { "imports no list", "source: s\nimports: x\n", "must be a list" },
        { "an entry that is none", "source: s\nimports: [x]\n", "must be keys with values" },
        { "unknown top key", "source: s\nimport: []\n",
          "unknown key `import`. Did you mean `imports`?" },
        { "unknown entry key", ENTRY("field: {}"), "unknown key `field`. Did you mean `fields`?" },
        { "missing keys", "source: s\nimports: [{ resource: posts }]\n", "`file` is missing" },
        { "missing key", "source: s\nimports: [{ resource: posts }]\n", "`key` is missing" },
        { "resource",
          "source: s\nimports: [{ resource: post, file: a.csv, key: id, fields: {} }]\n",
          "there is no resource `post`. Did you mean `posts`?" },
        { "format unknown",
          "source: s\nimports: [{ resource: posts, file: a.dat, key: id, fields: { body: b } }]\n",
          "the file's name does not say which" },
        { "format wrong",
          "source: s\nimports: [{ resource: posts, file: a.dat, format: xml, key: id, fields: { "
          "body: b } }]\n",
          "the format must be ndjson or csv" },
        { "delimiter",
          "source: s\nimports: [{ resource: posts, file: a.csv, delimiter: '::', key: id, fields: "
          "{ body: b } }]\n",
          "must be one character" },
        { "delimiter of JSON", ENTRY("delimiter: ';', fields: { body: b }"),
          "`delimiter` is for CSV" },
        { "fields", ENTRY("fields: x"), "must be keys with values" },
        { "required", ENTRY("fields: { author: { from: a, ref: users } }"),
          "posts needs `body`, which nothing feeds" },
        { "field", POST("autor: x"),
          "imports.0.fields.autor: posts has no such field. Did you mean `author`?" },
        { "count", USER("post_count: x"), "is counted by the database" },
        { "field key", USER("bio: { form: x }"), "unknown key `form`. Did you mean `from`?" },
        { "no origin", USER("bio: { trim: true }"), "needs one of `from`, `value` and `template`" },
        { "two origins", USER("bio: { from: a, template: b }"),
          "needs one of `from`, `value` and `template`" },
        { "value with more", USER("bio: { value: x, trim: true }"), "`value` stands alone" },
        { "field a list", USER("bio: [a, b]"), "must be keys with values" },
        { "several without ref", USER("bio: { from: [a, b] }"), "only in a reference" },
        { "from nothing", USER("bio: { from: [] }"), "must name 1 to 8 source fields" },
        { "from empty", USER("bio: { from: '' }"), "must not be empty" },
        { "at sign", USER("bio: '@row'"), "neither @item nor @line" },
        { "item without each", USER("bio: '@item'"), "@item needs `each`" },
        { "each without item", ENTRY("each: tags, fields: { body: b }"), "no field uses @item" },
        { "each of CSV",
          "source: s\nimports: [{ resource: posts, file: a.csv, key: '@item', each: x, fields: { "
          "body: '@item' } }]\n",
          "CSV has no lists" },
        { "open template", USER("bio: { template: 'a {b' }"), "a { is never closed" },
        { "empty slot", USER("bio: { template: 'a {}' }"), "a name of 1 to 200 bytes" },
        { "map", USER("level: { from: a, map: x }"), "must be keys with values" },
        { "empty map", USER("level: { from: a, map: {} }"), "must name 1 to 1000 values" },
        { "otherwise", USER("level: { from: a, otherwise: low }"), "`otherwise` needs `map`" },
        { "unit", USER("seen: { from: a, unit: second }"),
          "must be seconds, milliseconds or microseconds. Did you mean `seconds`?" },
        { "unit of text", USER("bio: { from: a, unit: seconds }"),
          "`unit` is for fields of type time" },
        { "split of text", USER("bio: { from: a, split: ',' }"),
          "`split` is for fields of type list" },
        { "currency of text", USER("bio: { from: a, currency: EUR }"),
          "`currency` is for fields of type money" },
        { "trim", USER("bio: { from: a, trim: maybe }"), "must be true or false" },
        { "ref of text", USER("bio: { from: a, ref: posts }"),
          "`bio` is of type text, not a reference" },
        { "ref to another", POST("author: { from: a, ref: posts }"), "`author` refers to users" },
        { "ref with map", POST("author: { from: a, ref: users, map: { a: b } }"),
          "`ref` goes with `from`" },
        { "missing without ref", USER("bio: { from: a, missing: null }"), "`missing` needs `ref`" },
        { "missing", POST("author: { from: a, ref: users, missing: skip }"), "must be `null`" },
        { "missing of required",
          "source: s\nimports: [{ resource: likes, file: a.csv, key: id, fields: { user: { from: "
          "a, ref: users, missing: null }, post: { from: b, ref: posts } } }]\n",
          "`user` must have a value" },
        { "ignore", ENTRY("ignore: x, fields: { body: b }"), "must be a list" },
        { "only", ENTRY("only: { kind: { a: b } }, fields: { body: b }"),
          "must be a value or a list of values" },
        { "key list too long",
          "source: s\nimports: [{ resource: posts, file: a.csv, key: [a,b,c,d,e,f,g,h,i], fields: "
          "{ body: b } }]\n",
          "must name 1 to 8 source fields" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct diag diag;
        struct import_mapping m = { .len = 77 };
        diag_init(&diag, f->arena);
        enum status st = import_mapping_parse(slice_cstr(cases[i].text), SLICE("m.yaml"), f->set,
                                              f->arena, &diag, &m);
        struct slice got = complaints_of(f->arena, &diag);
        if (st != STATUS_INVALID || slice_find_slice(got, slice_cstr(cases[i].want)) == SIZE_MAX)
            fail_msg("%s:\n got  %.*s\n want %s", cases[i].name, SLICE_ARG(got), cases[i].want);
        check_int(cases[i].name, m.len, 77);
    }
}

/* Everything at once, not the first only. */
static void test_mapping_lists_all(void **state)
{
    struct fixture *f = *state;
    struct diag diag;
    struct import_mapping m;
    diag_init(&diag, f->arena);
    const char text[] = "source: S\n"
                        "imports:\n"
                        "  - resource: posts\n"
                        "    file: p.jsonl\n"
                        "    fields:\n"
                        "      autor: x\n"
                        "      parent: { from: p, ref: users }\n"
                        "  - resource: user\n"
                        "    file: u.jsonl\n"
                        "    key: id\n"
                        "    fields: {}\n";
    check_int("status",
              import_mapping_parse(SLICE(text), SLICE("m.yaml"), f->set, f->arena, &diag, &m),
              STATUS_INVALID);
    check_text(
        "all", complaints_of(f->arena, &diag),
        SLICE(
            "m.yaml:1:9: must be at most 64 of a-z, 0-9, _ - and .\n"
            "m.yaml:3:5: imports.0: `key` is missing\n"
            "m.yaml:6:7: imports.0.fields.autor: posts has no such field. Did you mean `author`?\n"
            "m.yaml:6:7: imports.0: posts needs `body`, which nothing feeds\n"
            "m.yaml:7:31: imports.0.fields.parent: `parent` refers to posts\n"
            "m.yaml:8:15: imports.1: there is no resource `user`. Did you mean `users`?\n"));
}

static void test_header(void **state)
{
    static const struct {
        const char *name;
        struct slice cells[4];
        unsigned len;
        const char *want;
    } cases[] = {
        { "all there", { SLICE_INIT("id"), SLICE_INIT("b"), SLICE_INIT("x") }, 3, "" },
        { "order does not matter", { SLICE_INIT("x"), SLICE_INIT("id"), SLICE_INIT("b") }, 3, "" },
        { "missing",
          { SLICE_INIT("id"), SLICE_INIT("x") },
          2,
          "p.csv:1: b: there is no such column" },
        { "twice",
          { SLICE_INIT("id"), SLICE_INIT("b"), SLICE_INIT("x"), SLICE_INIT("b") },
          4,
          "the column stands there twice" },
        { "unmapped",
          { SLICE_INIT("id"), SLICE_INIT("b"), SLICE_INIT("x"), SLICE_INIT("y") },
          4,
          "neither uses nor ignores this column" },
    };
    struct fixture *f = *state;
    struct diag diag;
    struct import_mapping m;
    diag_init(&diag, f->arena);
    const char text[] = "source: s\nimports: [{ resource: posts, file: p.csv, key: [id, '@line'], "
                        "fields: { body: b }, ignore: [x] }]\n";
    check_int("status",
              import_mapping_parse(SLICE(text), SLICE("m.yaml"), f->set, f->arena, &diag, &m),
              STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        diag_init(&diag, f->arena);
        bool good =
            import_header_check(&m.entries[0], SLICE("p.csv"), cases[i].cells, cases[i].len, &diag);
        struct slice got = complaints_of(f->arena, &diag);
        if (good != !*cases[i].want || slice_find_slice(got, slice_cstr(cases[i].want)) == SIZE_MAX)
            fail_msg("%s:\n got  %.*s\n want %s", cases[i].name, SLICE_ARG(got), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mapping_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mapping_cycle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mapping_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mapping_lists_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
