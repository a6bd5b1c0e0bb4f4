/*
 * Any query of a list: it is refused with words, or becomes a statement whose values are all bound.
 * The first byte says what the query is for.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/diag.h"
#include "resource/resource_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const struct contract_source sources[] = {
    { SLICE_INIT("users.yaml"),
      SLICE_INIT("resource: users\n"
                 "fields:\n"
                 "  name: { type: string, max: 40, required: true }\n"
                 "  password: { type: string, writeonly: true, optional: true }\n"
                 "rules: { read: true }\n") },
    { SLICE_INIT("posts.yaml"),
      SLICE_INIT(
          "resource: posts\n"
          "fields:\n"
          "  author: { ref: users, default: \"@user\", on_delete: set_null }\n"
          "  title: { type: string, max: 300 }\n"
          "  body: { type: text, required: true }\n"
          "  tags: { type: list, of: string }\n"
          "  sizes: { type: list, of: integer }\n"
          "  kind: { enum: [question, answer], default: question }\n"
          "  price: { type: money }\n"
          "  meta: { type: json }\n"
          "  rating: { type: number }\n"
          "  pinned: { type: boolean, default: false }\n"
          "  day: { type: date }\n"
          "  parent: { ref: posts }\n"
          "indexes: [ [author, -created_at], [kind, rating] ]\n"
          "search: [title, body]\n"
          "soft_delete: true\n"
          "rules: { read: author == @user || kind == \"answer\", update: author == @user }\n") },
};

static struct resource_catalog *catalog; /* kept to the end of the process */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    struct arena *arena = arena_new(NULL, 0);
    struct diag diag;
    diag_init(&diag, arena);
    struct contract_set *set;
    if (contract_set_parse(sources, ARRAY_LEN(sources), &diag, &set) != STATUS_OK ||
        resource__catalog_new(set, /* app= */ NULL, &catalog) != STATUS_OK)
        abort();
    arena_free(arena);
    return 0;
}

/* Every value is one that the text names. */
static void check_statement(const struct store_sql *sql)
{
    if (store_sql_status(sql) != STATUS_OK)
        return;
    unsigned highest = 0;
    struct slice text = buf_slice(&sql->text);
    for (size_t i = 0; i + 1 < text.len; i++) {
        unsigned n = 0;
        if (text.data[i] != '$')
            continue;
        for (size_t j = i + 1; j < text.len && text.data[j] >= '0' && text.data[j] <= '9'; j++)
            n = n * 10 + (unsigned)(text.data[j] - '0');
        highest = n > highest ? n : highest;
    }
    if (highest != sql->values_len)
        abort();
}

static void emit(const struct resource_plan *plan, struct arena *arena)
{
    const struct task_caller caller = { .has_user = true };
    const struct resource_call call = { .catalog = catalog,
                                        .info = plan->info,
                                        .context = { .caller = &caller, .now_us = 1 } };
    struct resource_cursor cursor = { .len = plan->sort_len };
    for (unsigned i = 0; i < cursor.len; i++)
        cursor.keys[i] = i % 2 ? store_null() : store_i64(i);
    struct store_sql sql;
    store_sql_init(&sql, arena);
    if (resource__put_from(&sql, &call, plan)) {
        resource__put_keyset(&sql, plan, &cursor);
        resource__put_order(&sql, plan, plan->deleted);
        check_statement(&sql);
    }
    (void)resource__sort_is_indexed(plan);
    (void)resource__plan_context(plan, &caller, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    if (size == 0 || !utf8_is_valid(input))
        return 0; /* the edge refuses it before */
    static const unsigned uses[] = { RESOURCE_PLAN_LIST, RESOURCE_PLAN_EXPORT, RESOURCE_PLAN_ITEM };
    struct arena *arena = arena_new(NULL, (size_t)8 << 20);
    struct problem problem = { 0 };
    struct http_param params[32];
    unsigned len = 0;
    struct slice rest = slice_from(input, 1), part;
    while (rest.data && len < ARRAY_LEN(params) && slice_split(&rest, '&', &part)) {
        struct slice name;
        (void)slice_split(&part, '=', &name);
        params[len++] = (struct http_param){ .name = name, .value = part.data ? part : SLICE("") };
    }
    const struct resource_plan_input in = {
        .catalog = catalog,
        .info = resource__info_find(catalog, data[0] & 1 ? SLICE("users") : SLICE("posts")),
        .uses = uses[(data[0] >> 1) % 3],
        .limit_default = 20,
        .limit_max = 100,
        .expand_depth_max = 3,
        .arena = arena,
        .problem = &problem,
    };
    struct resource_plan plan;
    if (resource__plan_parse(&in, params, len, &plan) == STATUS_OK)
        emit(&plan, arena);
    else if (problem.fields_len == 0)
        abort();
    arena_free(arena);
    return 0;
}
