/*
 * tests/resource/fixture.h - Contracts, the catalog made of them, an arena and a problem: what the
 * pure parts of the engine need.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "resource/resource_private.h"

#include "base/diag.h"

static const struct contract_source fixture_sources[] = {
    { SLICE_INIT("users.yaml"),
      SLICE_INIT(
          "resource: users\n"
          "fields:\n"
          "  name: { type: string, min: 1, max: 40, required: true }\n"
          "  email: { type: email, unique: true }\n"
          "  password: { type: string, writeonly: true, optional: true }\n"
          "rules: { read: true, create: true, update: id == @user, delete: id == @user }\n") },
    { SLICE_INIT("posts.yaml"),
      SLICE_INIT(
          "resource: posts\n"
          "fields:\n"
          "  author: { ref: users, default: \"@user\", immutable: true, on_delete: set_null }\n"
          "  title: { type: string, max: 300 }\n"
          "  body: { type: text, max: 40000, required: true }\n"
          "  tags: { type: list, of: string, max_items: 5 }\n"
          "  kind: { enum: [question, answer], default: question }\n"
          "  price: { type: money, optional: true }\n"
          "  meta: { type: json, optional: true }\n"
          "  rating: { type: number, optional: true }\n"
          "  pinned: { type: boolean, default: false }\n"
          "  day: { type: date, optional: true }\n"
          "  score: { type: integer, default: 0, readonly: true }\n"
          "  replies: { count: comments.post }\n"
          "indexes: [ [author, -created_at], [kind, score], [-score] ]\n"
          "search: [title, body]\n"
          "soft_delete: true\n"
          "rules: { read: true, create: \"@user != null\", update: author == @user, delete: author "
          "== @user }\n") },
    { SLICE_INIT("comments.yaml"),
      SLICE_INIT("resource: comments\n"
                 "fields:\n"
                 "  post: { ref: posts, required: true, on_delete: cascade }\n"
                 "  author: { ref: users, default: \"@user\" }\n"
                 "  text: { type: text, max: 2000, required: true }\n"
                 "rules: { read: true, create: true, update: true, delete: true }\n") },
};

struct fixture {
    struct arena *arena;
    struct resource_catalog *catalog;
    struct problem problem;
};

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_new(NULL, 0);
    struct diag diag;
    diag_init(&diag, f->arena);
    struct contract_set *set = NULL;
    enum status st = contract_set_parse(fixture_sources, ARRAY_LEN(fixture_sources), &diag, &set);
    if (st != STATUS_OK) {
        struct buf text;
        buf_init(&text, f->arena, 0, 1 << 20);
        diag_print(&diag, &text);
        fail_msg("%.*s", SLICE_ARG(buf_slice(&text)));
    }
    assert_int_equal(resource__catalog_new(set, /* app= */ NULL, &f->catalog), STATUS_OK);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    resource__catalog_free(f->catalog);
    arena_free(f->arena);
    free(f);
    return 0;
}

static inline const struct resource_info *fixture_info(struct fixture *f, const char *name)
{
    const struct resource_info *info = resource__info_find(f->catalog, slice_cstr(name));
    assert_non_null(info);
    return info;
}

/* "limit=5&sort=-title", without any decoding. */
static inline unsigned fixture_params(const char *query, struct http_param *params, unsigned max)
{
    struct slice rest = slice_cstr(query), part;
    unsigned len = 0;
    while (rest.len && len < max && slice_split(&rest, '&', &part)) {
        struct slice name;
        slice_split(&part, '=', &name);
        params[len++] = (struct http_param){ .name = name, .value = part.data ? part : SLICE("") };
    }
    return len;
}

static inline enum status fixture_plan(struct fixture *f, const char *resource, const char *query,
                                       unsigned uses, struct resource_plan *plan)
{
    struct http_param params[32];
    unsigned len = fixture_params(query, params, ARRAY_LEN(params));
    problem_clear(&f->problem);
    const struct resource_plan_input input = {
        .catalog = f->catalog,
        .info = fixture_info(f, resource),
        .uses = uses,
        .limit_default = 20,
        .limit_max = 100,
        .expand_depth_max = 3,
        .arena = f->arena,
        .problem = &f->problem,
    };
    return resource__plan_parse(&input, params, len, plan);
}

#define assert_slice(actual, expected)                                                             \
    do {                                                                                           \
        struct slice actual_ = (actual), expected_ = slice_cstr(expected);                         \
        if (!slice_eq(actual_, expected_))                                                         \
            fail_msg("%.*s\n is not\n%.*s", SLICE_ARG(actual_), SLICE_ARG(expected_));             \
    } while (0)
