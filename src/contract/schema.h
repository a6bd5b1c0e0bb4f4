/*
 * contract/schema.h - JSON Schema draft 2020-12 for `json` fields and the conformance server: compiled once, then validated without
 * touching the schema's JSON again. Formats are asserted. $ref within the document ($defs, $id, $anchor, $dynamicRef); nothing is
 * ever fetched.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;
struct problem;
struct json_schema;

struct json_schema_error {
    struct slice pointer; /* into the schema */
    struct slice reason;
};

/*
 * INVALID when it is not a schema (ret_error), TOO_LARGE beyond 10,000 subschemas, EXHAUSTED. Lives in `arena`; keeps no
 * reference to `schema`. A `$ref` to the 2020-12 meta-schema means "is a schema that compiles".
 */
enum status json_schema_compile(const json_t *schema, struct arena *arena, struct json_schema **ret,
                                struct json_schema_error *ret_error);
/* Release what stands outside of the arena (compiled patterns). Accepts NULL; before the arena goes. */
void json_schema_free(struct json_schema *schema);

/*
 * True when the instance is valid. Else, when `problem` is given, each failing place is added as a problem field with code
 * "schema" and pointer `prefix` + place (at most PROBLEM_FIELDS_MAX). Bounded: depth 64, and a step budget of 1,000,000 (then
 * invalid, code "schema_too_complex").
 */
bool json_schema_validate(const struct json_schema *schema, const json_t *instance,
                          struct arena *arena, struct slice prefix, struct problem *problem);
