/*
 * contract/schema_private.h - A compiled JSON Schema: a graph of nodes, one per subschema, whose references are resolved.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;
struct contract_pattern;

#define SCHEMA_NODES_MAX 10000u
#define SCHEMA_DEPTH_MAX 64u     /* of subschemas within each other when compiled */
#define SCHEMA_STEPS_MAX 1000000u
#define SCHEMA_CALLS_MAX 160u    /* nodes being evaluated at once; references may loop */

enum schema_type {
    SCHEMA_NULL = 1,
    SCHEMA_BOOLEAN = 2,
    SCHEMA_INTEGER = 4,
    SCHEMA_NUMBER = 8,
    SCHEMA_STRING = 16,
    SCHEMA_ARRAY = 32,
    SCHEMA_OBJECT = 64
};

typedef bool (*schema_format_fn)(struct slice text);

struct schema_list {
    struct schema_node **items;
    unsigned len;
};

/* properties, dependentSchemas: sorted by nothing, looked up through the JSON object they came from. */
struct schema_member {
    struct slice name;
    struct schema_node *node;
    struct contract_pattern *pattern; /* patternProperties only */
};
struct schema_members {
    struct schema_member *items;
    unsigned len;
};

/* A schema resource: the root, or a subschema with an $id of its own. */
struct schema_resource {
    struct schema_resource *next;
    struct slice uri; /* absolute or as given, without fragment */
    const json_t *json;
    struct schema_node *node;
};

struct schema_anchor {
    struct schema_anchor *next;
    struct schema_resource *resource;
    struct slice name;
    bool dynamic;
    const json_t *json;
};

enum schema_kind { SCHEMA_KEYWORDS, SCHEMA_TRUE, SCHEMA_FALSE, SCHEMA_META };

struct schema_node {
    enum schema_kind kind;
    const json_t *json;
    struct schema_resource *resource;
    struct schema_node *next; /* all nodes, for the table */

    unsigned types; /* of enum schema_type; 0: any */
    const json_t *constant;
    const json_t *enumeration;
    const json_t *multiple_of, *minimum, *maximum, *exclusive_minimum, *exclusive_maximum;
    int64_t min_length, max_length, min_items, max_items, min_properties, max_properties; /* -1: none */
    int64_t min_contains, max_contains;
    struct contract_pattern *pattern;
    struct slice pattern_text;
    schema_format_fn format;
    struct slice format_name;
    bool unique_items;
    const json_t *required;           /* array of names, or NULL */
    const json_t *dependent_required; /* object of arrays, or NULL */

    struct schema_node *ref, *dynamic_ref;
    struct slice dynamic_name; /* of dynamic_ref when its target is a dynamic anchor, else empty */
    struct schema_list all_of, any_of, one_of, prefix_items;
    struct schema_node *not_, *if_, *then_, *else_;
    struct schema_node *items, *contains, *property_names, *additional_properties;
    struct schema_node *unevaluated_items, *unevaluated_properties;
    struct schema_members properties, pattern_properties, dependent_schemas;
};

struct json_schema {
    struct schema_node *root;
    struct schema_resource *resources;
    struct schema_anchor *anchors;
    struct schema_node *nodes;
    unsigned nodes_len;
    bool has_unevaluated; /* annotations are collected only then */
};

/* The format's check, or NULL for one that is unknown (then it says nothing). */
schema_format_fn schema__format_find(struct slice name);

/* Equal as JSON Schema has it: numbers by value, objects without order. Depth is bounded by the reader. */
bool schema__equal(const json_t *a, const json_t *b);
/* <0, 0, >0 by value, exact between int64 and double. */
int schema__number_compare(const json_t *a, const json_t *b);

/* RFC 3986 section 5.2: `reference` against `base`, fragment kept. SLICE_NULL when the arena is spent. */
struct slice schema__uri_resolve(struct arena *arena, struct slice base, struct slice reference);
