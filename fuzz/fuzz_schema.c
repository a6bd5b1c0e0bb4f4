/*
 * fuzz/fuzz_schema.c - Two JSON texts, a schema and an instance, with a zero byte between. The
 * answer does not depend on whether somebody listens; a valid instance gives its memory back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/problem.h"
#include "contract/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void validate(const struct json_schema *schema, const json_t *instance, struct arena *arena)
{
    struct problem problem = { 0 };
    size_t before = arena_used(arena);
    bool valid = json_schema_validate(schema, instance, arena, SLICE_NULL, NULL);
    require(arena_used(arena) == before);
    require(json_schema_validate(schema, instance, arena, SLICE("/x"), &problem) == valid);
    require(valid == (problem.fields_len == 0));
}

static void compile_with_little(const json_t *json, size_t budget, enum status want)
{
    struct arena *arena = arena_new(NULL, budget);
    struct json_schema *schema = NULL;
    enum status st = json_schema_compile(json, arena, &schema, NULL);
    require(st == want || st == STATUS_EXHAUSTED);
    json_schema_free(schema);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = slice_of((const char *)data, size);
    size_t zero = slice_find(text, 0);
    struct arena *arena = arena_new(NULL, (size_t)8 << 20);
    json_t *json, *instance;
    struct json_schema *schema = NULL;
    struct json_schema_error error = { 0 };
    if (zero == SIZE_MAX ||
        json_read(arena, slice_head(text, zero), JSON_LIMITS_DEFAULT, &json, NULL) != STATUS_OK)
        goto out;
    enum status st = json_schema_compile(json, arena, &schema, &error);
    require(st == STATUS_OK || error.reason.len > 0);
    compile_with_little(json, size * 4, st);
    if (st == STATUS_OK && json_read(arena, slice_from(text, zero + 1), JSON_LIMITS_DEFAULT,
                                     &instance, NULL) == STATUS_OK)
        validate(schema, instance, arena);
    json_schema_free(schema);
out:
    arena_free(arena);
    return 0;
}
