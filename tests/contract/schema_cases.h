/*
 * tests/contract/schema_cases.h - Tables of JSON Schemas with instances that are valid and others
 * that are not. For the eye, a double quote is written ' and a backslash of JSON stays one of C's
 * pairs.
 */
#pragma once

#include "../base/check.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/problem.h"
#include "contract/schema.h"

struct schema_case {
    const char *name;
    const char *schema;
    const char *valid;   /* a JSON array of instances; NULL: none */
    const char *invalid; /* the same */
};

static inline json_t *case_json(struct arena *arena, const char *name, const char *text)
{
    json_t *value;
    struct json_error_at error;
    struct json_limits limits = { .bytes_max = (size_t)1 << 20, .depth_max = 64 };
    size_t len = strlen(text);
    char *copy = arena_alloc(arena, len);
    for (size_t i = 0; i < len; i++)
        copy[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    if (json_read(arena, slice_of(copy, len), limits, &value, &error) != STATUS_OK)
        fail_msg("%s: %s is not JSON: %s", name, text, error.reason);
    return value;
}

static inline void check_instances(struct arena *arena, const struct schema_case *c,
                                   const struct json_schema *schema, const char *instances,
                                   bool want, unsigned *bad)
{
    const json_t *all = instances ? case_json(arena, c->name, instances) : NULL;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *instance = json_array_get(all, i);
        struct problem problem = { 0 };
        bool got = json_schema_validate(schema, instance, arena, SLICE(""), &problem);
        if (got == want && (got || problem.fields_len))
            continue;
        char *text = json_dumps(instance, JSON_ENCODE_ANY | JSON_COMPACT);
        print_error("%s: %s\n    %s is %s\n", c->name, c->schema, text,
                    got == want ? "invalid without a word"
                    : got       ? "valid"
                                : "invalid");
        for (size_t k = 0; k < problem.fields_len; k++)
            print_error("    %.*s: %.*s\n", SLICE_ARG(problem.fields[k].pointer),
                        SLICE_ARG(problem.fields[k].detail));
        free(text);
        ++*bad;
    }
}

static inline void check_cases(const struct schema_case *cases, size_t len)
{
    unsigned bad = 0;
    for (size_t i = 0; i < len; i++) {
        struct arena *arena = arena_new(NULL, (size_t)16 << 20);
        struct json_schema *schema = NULL;
        struct json_schema_error error = { 0 };
        const json_t *json = case_json(arena, cases[i].name, cases[i].schema);
        if (json_schema_compile(json, arena, &schema, &error) != STATUS_OK) {
            print_error("%s: %s\n    does not compile: %.*s %.*s\n", cases[i].name, cases[i].schema,
                        SLICE_ARG(error.pointer), SLICE_ARG(error.reason));
            bad++;
        } else {
            check_instances(arena, &cases[i], schema, cases[i].valid, true, &bad);
            check_instances(arena, &cases[i], schema, cases[i].invalid, false, &bad);
        }
        json_schema_free(schema);
        arena_free(arena);
    }
    if (bad)
        fail_msg("%u of the table are wrong", bad);
}
#define CHECK_CASES(cases) check_cases((cases), ARRAY_LEN(cases))
