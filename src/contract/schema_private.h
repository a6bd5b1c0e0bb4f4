/*
 * contract/schema_private.h - A compiled JSON Schema: a graph of nodes, one per subschema, whose
 * references are resolved.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;
struct contract_pattern;
struct json_schema_error;

#define SCHEMA_META_URI "https://json-schema.org/draft/2020-12/schema"

#define SCHEMA_NODES_MAX 10000u
#define SCHEMA_DEPTH_MAX 64u      /* of subschemas, and of values, within each other */
#define SCHEMA_STEPS_MAX 1000000u /* nodes evaluated and values compared */
#define SCHEMA_CALLS_MAX 200u     /* nodes being evaluated at once; references may loop */
/*
 * Of stack that a walk may take, less than half of a task's; sanitizers have larger frames and
 * stacks. PCRE2's compiler, for the format "regex" at its end, takes up to 40 KiB more.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SCHEMA_STACK_BYTES ((size_t)160 * 1024)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SCHEMA_STACK_BYTES ((size_t)160 * 1024)
#endif
#endif
#ifndef SCHEMA_STACK_BYTES
#define SCHEMA_STACK_BYTES ((size_t)56 * 1024)
#endif

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

struct schema_member {
    struct slice name;
    struct schema_node *node;
    struct contract_pattern *pattern; /* patternProperties only */
};
/* properties, dependentSchemas, patternProperties: sorted by schema__name_cmp. */
struct schema_members {
    struct schema_member *items;
    unsigned len;
};

struct schema_anchor {
    struct schema_anchor *next;
    struct slice name;
    bool dynamic;
    struct schema_node *node;
};

/* A schema resource: the root, a subschema with an $id of its own, or the meta-schema. */
struct schema_resource {
    struct schema_resource *next;
    struct slice uri; /* absolute or as given, without fragment */
    struct schema_node *node;
    struct schema_anchor *anchors;
};

/* A decimal number, digits * 10^exponent, without its sign. */
struct schema_decimal {
    uint64_t digits;
    int exponent;
};

enum schema_kind { SCHEMA_KEYWORDS, SCHEMA_TRUE, SCHEMA_FALSE };

struct schema_node {
    enum schema_kind kind;
    unsigned types; /* of enum schema_type; 0: any */
    const json_t *json;
    struct schema_resource *resource;
    struct schema_node *next;     /* in its slot of the compiler's table; then of all nodes */
    struct schema_node *next_due; /* whose keywords are still to be read */

    const json_t *constant;
    const json_t *enumeration;
    const json_t *multiple_of, *minimum, *maximum, *exclusive_minimum, *exclusive_maximum;
    struct schema_decimal multiple_decimal;
    int64_t min_length, max_length, min_items, max_items, min_properties,
        max_properties; /* -1: none */
    int64_t min_contains, max_contains;
    struct contract_pattern *pattern;
    struct slice pattern_text;
    schema_format_fn format;
    struct slice format_name;
    bool unique_items;
    bool is_plain;                    /* nothing but keywords on the value itself: no subschemas */
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
    struct schema_node *nodes;
    unsigned nodes_len;
};

/* -- compiling: schema_compile.c reads keywords, schema_refs.c knows where things are
 * ------------------------------ */

#define SCHEMA_TABLE_LEN 256u

struct schema_compiler {
    struct arena *arena;
    struct json_schema *schema;
    struct json_schema_error *error; /* may be NULL */
    enum status status;              /* the first failure */
    const json_t *root;
    struct schema_resource *resources;
    struct schema_node *due;
    struct schema_node *table[SCHEMA_TABLE_LEN]; /* by address of the JSON */
};

/* Remember the first failure: member `key` (or NULL) of the schema `at` (or NULL) is wrong because
 * of `what`. */
void schema__fail(struct schema_compiler *c, enum status st, const json_t *at, const char *key,
                  const char *what);
/* Zeroed memory, or NULL and the failure remembered. */
void *schema__take(struct schema_compiler *c, size_t count, size_t size);
/* The node of the subschema `json`, made and noted as due when there is none; NULL after a failure.
 */
struct schema_node *schema__node_of(struct schema_compiler *c, const json_t *json,
                                    struct schema_resource *resource);
/* Find $id and anchors in a document and make a node of each subschema; returns the document's own.
 */
struct schema_node *schema__scan_document(struct schema_compiler *c, const json_t *json,
                                          struct slice uri);
/* The node that a $ref or $dynamicRef of `from` names; *ret_anchor is the anchor it went through,
 * if any. */
struct schema_node *schema__resolve(struct schema_compiler *c, const struct schema_node *from,
                                    const char *key, struct slice reference,
                                    const struct schema_anchor **ret_anchor);
/* The 2020-12 meta-schema, read into the arena; NULL when that is spent. */
const json_t *schema__meta(struct arena *arena);

/* By length, then bytes: quicker than the alphabet. */
static inline int schema__name_cmp(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return a.len ? memcmp(a.data, b.data, a.len) : 0;
}

/* jansson's loops and look-ups take what they do not change as changeable. */
static inline json_t *schema__mutable(const json_t *value)
{
    return (json_t *)(uintptr_t)value;
}

/* -- values (schema_value.c)
 * --------------------------------------------------------------------------------------- */

/* <0, 0, >0 by value, exact between int64 and double. */
int schema__number_compare(const json_t *a, const json_t *b);
/*
 * Equal as JSON Schema has it: numbers by value, objects without order. Each value looked at takes
 * one of *steps; when none is left the answer is false.
 */
bool schema__equal(const json_t *a, const json_t *b, unsigned *steps);
struct schema_decimal schema__decimal(const json_t *number);
/* By their shortest decimal texts: 0.0075 is a multiple of 0.0001. */
bool schema__is_multiple(struct schema_decimal value, struct schema_decimal of);
/*
 * Whether two items are equal; which, in *ret_a and *ret_b. Takes from *steps as schema__equal.
 *
 * Errors   EXHAUSTED when the arena or the steps are spent.
 */
enum status schema__find_twins(const json_t *array, struct arena *arena, unsigned *steps,
                               bool *ret_found, size_t *ret_a, size_t *ret_b);

/* -- texts (schema_format.c, schema_host.c, schema_idna.c, schema_uri.c)
 * ----------------------------------------------- */

/* The format's check, or NULL for one that is unknown (then it says nothing). */
schema_format_fn schema__format_find(struct slice name);

static inline bool schema__is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool schema__is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool schema__is_hex(char c)
{
    return schema__is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
static inline bool schema__is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}
/* The code point at *at of valid UTF-8, which then stands behind it. */
uint32_t schema__code_point(struct slice s, size_t *at);
/* How many digits stand at `at`. */
static inline size_t schema__digits_at(struct slice s, size_t at)
{
    size_t n = 0;
    while (at + n < s.len && schema__is_digit(s.data[at + n]))
        n++;
    return n;
}

bool schema__is_hostname(struct slice s);
bool schema__is_idn_hostname(struct slice s);
bool schema__is_ipv4(struct slice s);
bool schema__is_ipv6(struct slice s);
bool schema__is_email(struct slice s);
bool schema__is_idn_email(struct slice s);
/*
 * A label of a host name that is not ASCII, and one that says so in ASCII ("xn--..."), by RFC 5891
 * and 5892. *ret_len is its length in ASCII.
 */
bool schema__is_u_label(struct slice label, size_t *ret_len);
bool schema__is_a_label(struct slice label);

bool schema__is_uri(struct slice s);
bool schema__is_uri_reference(struct slice s);
bool schema__is_iri(struct slice s);
bool schema__is_iri_reference(struct slice s);
bool schema__is_uri_template(struct slice s);
/* RFC 3986 section 5.2: `reference` against `base`, fragment kept. SLICE_NULL when the arena is
 * spent. */
struct slice schema__uri_resolve(struct arena *arena, struct slice base, struct slice reference);
