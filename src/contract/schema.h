/*
 * contract/schema.h - JSON Schema draft 2020-12, for `json` fields and the conformance server:
 * compiled once, then validated without a look at the schema's JSON. Formats are asserted.
 * References lead within the document ($defs, $id, $anchor, $dynamicRef, JSON Pointers) or to the
 * 2020-12 meta-schema, which is built in; nothing is ever fetched.
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
    struct slice pointer; /* JSON Pointer into the schema; in the arena */
    struct slice reason;
};

/*
 * Errors   INVALID when it is not a schema or refers to what is not there, TOO_LARGE beyond 10,000
 * subschemas or 64 of them within each other, both with ret_error (may be NULL); EXHAUSTED. Memory
 * *ret lives in `arena` and keeps no reference to `schema`; compiled patterns stand outside
 * (json_schema_free).
 */
enum status json_schema_compile(const json_t *schema, struct arena *arena, struct json_schema **ret,
                                struct json_schema_error *ret_error);
/* Release what stands outside of the arena. Accepts NULL; before the arena goes. */
void json_schema_free(struct json_schema *schema);

/*
 * True when the instance is valid. Else, when `problem` is given, each failing place is added as a
 * problem field with code "schema" and pointer `prefix` + place (at most PROBLEM_FIELDS_MAX).
 *
 * Memory   from `arena`; what a valid instance took is given back.
 * Context  any thread; never suspends. Uses at most 96 KiB of stack.
 * Units    bounded in depth (SCHEMA_CALLS_MAX, SCHEMA_STACK_BYTES) and work (SCHEMA_STEPS_MAX);
 * beyond either, or the arena's budget, the instance is invalid with code "schema_too_complex".
 */
bool json_schema_validate(const struct json_schema *schema, const json_t *instance,
                          struct arena *arena, struct slice prefix, struct problem *problem);
