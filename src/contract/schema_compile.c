/*
 * The document is copied and walked for $id and anchors, which makes a node of each subschema; then
 * the keywords of one node after the other are read. Nothing here recurses: a chain of references
 * may be as long as there are nodes, and a loop of them ends at a node that is already there.
 */
#include "contract/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/pattern.h"
#include "contract/schema_private.h"

/* -- failures
 * -----------------------------------------------------------------------------------------------------
 */

static void put_token(struct buf *out, const char *key)
{
    buf_putc(out, '/');
    for (const char *at = key; *at; at++) {
        if (*at == '~')
            buf_put_lit(out, "~0");
        else if (*at == '/')
            buf_put_lit(out, "~1");
        else
            buf_putc(out, *at);
    }
}

/* Write the pointer from `json` down to `target`; false when it is not there. Only on the way out
 * of a failure. */
static bool find_path(const json_t *json, const json_t *target, struct buf *out, unsigned depth)
{
    const char *key;
    json_t *value;
    size_t index, before = out->len;
    if (json == target)
        return true;
    if (depth > 2 * SCHEMA_DEPTH_MAX)
        return false;
    json_array_foreach(schema__mutable(json), index, value)
    {
        buf_putc(out, '/');
        buf_put_u64(out, index);
        if (find_path(value, target, out, depth + 1))
            return true;
        out->len = before;
    }
    json_object_foreach(schema__mutable(json), key, value)
    {
        put_token(out, key);
        if (find_path(value, target, out, depth + 1))
            return true;
        out->len = before;
    }
    return false;
}

void schema__fail(struct schema_compiler *c, enum status st, const json_t *at, const char *key,
                  const char *what)
{
    struct buf out;
    if (c->status != STATUS_OK)
        return;
    c->status = st;
    if (!c->error)
        return;
    buf_init(&out, c->arena, 0, 8192);
    if (at)
        (void)find_path(c->root, at, &out, 0);
    if (key)
        put_token(&out, key);
    *c->error =
        (struct json_schema_error){ .pointer = buf_slice(&out), .reason = slice_cstr(what) };
}

static void invalid(struct schema_compiler *c, const struct schema_node *node, const char *key,
                    const char *what)
{
    schema__fail(c, STATUS_INVALID, node->json, key, what);
}

void *schema__take(struct schema_compiler *c, size_t count, size_t size)
{
    void *p = arena_calloc(c->arena, count ? count : 1, size);
    if (!p)
        schema__fail(c, STATUS_EXHAUSTED, NULL, NULL, "the schema does not fit into memory");
    return p;
}

/* -- keywords on the value itself
 * ---------------------------------------------------------------------------------- */

static int64_t bound_of(struct schema_compiler *c, const struct schema_node *node, const char *key)
{
    const json_t *value = json_object_get(node->json, key);
    if (!value)
        return -1;
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return json_integer_value(value);
    /* 2.0 is a whole number too. Beyond 2^53 every double is one, and nothing is as long. */
    double real = json_real_value(value);
    if (json_is_real(value) && real >= 9007199254740992.0)
        return INT64_MAX;
    int64_t whole = real >= 0 && real < 9007199254740992.0 ? (int64_t)real : 0;
    if (json_is_real(value) && real >= 0 && !((double)whole < real))
        return whole;
    invalid(c, node, key, "must be a whole number from 0");
    return -1;
}

static const json_t *number_of(struct schema_compiler *c, const struct schema_node *node,
                               const char *key)
{
    const json_t *value = json_object_get(node->json, key);
    if (value && !json_is_number(value))
        invalid(c, node, key, "must be a number");
    return json_is_number(value) ? value : NULL;
}

static struct slice string_of(struct schema_compiler *c, const struct schema_node *node,
                              const char *key)
{
    const json_t *value = json_object_get(node->json, key);
    if (value && !json_is_string(value))
        invalid(c, node, key, "must be a string");
    return json_is_string(value) ? json_slice(value) : SLICE_NULL;
}

static unsigned type_bit(struct slice name)
{
    static const struct {
        struct slice name;
        unsigned bit;
    } names[] = {
        { SLICE_INIT("null"), SCHEMA_NULL },       { SLICE_INIT("boolean"), SCHEMA_BOOLEAN },
        { SLICE_INIT("integer"), SCHEMA_INTEGER }, { SLICE_INIT("number"), SCHEMA_NUMBER },
        { SLICE_INIT("string"), SCHEMA_STRING },   { SLICE_INIT("array"), SCHEMA_ARRAY },
        { SLICE_INIT("object"), SCHEMA_OBJECT },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_eq(name, names[i].name))
            return names[i].bit;
    return 0;
}

static unsigned types_of(struct schema_compiler *c, const struct schema_node *node)
{
    const json_t *value = json_object_get(node->json, "type");
    unsigned bits = 0;
    size_t len = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; value && i < len; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        unsigned bit = json_is_string(one) ? type_bit(json_slice(one)) : 0;
        if (!bit)
            invalid(c, node, "type",
                    "must be one of null, boolean, integer, number, string, array, object");
        else if (bits & bit)
            invalid(c, node, "type", "names a type twice");
        bits |= bit;
    }
    if (value && !len)
        invalid(c, node, "type", "must name at least one type");
    return bits;
}

static bool is_names(const json_t *array)
{
    if (!json_is_array(array))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!json_is_string(json_array_get(array, i)))
            return false;
    return true;
}

static struct contract_pattern *pattern_of(struct schema_compiler *c,
                                           const struct schema_node *node, const char *key,
                                           struct slice text)
{
    struct contract_pattern *pattern = NULL;
    struct contract_pattern_error error;
    enum status st = contract_pattern_compile(text, c->arena, &pattern, &error);
    if (st == STATUS_EXHAUSTED)
        schema__fail(c, st, NULL, NULL, "the schema does not fit into memory");
    else if (st != STATUS_OK)
        invalid(c, node, key, "is not a regular expression that can be used");
    return pattern;
}

static void take_numbers(struct schema_compiler *c, struct schema_node *n)
{
    n->multiple_of = number_of(c, n, "multipleOf");
    if (n->multiple_of) {
        if (json_number_value(n->multiple_of) <= 0)
            invalid(c, n, "multipleOf", "must be above 0");
        n->multiple_decimal = schema__decimal(n->multiple_of);
    }
    n->minimum = number_of(c, n, "minimum");
    n->maximum = number_of(c, n, "maximum");
    n->exclusive_minimum = number_of(c, n, "exclusiveMinimum");
    n->exclusive_maximum = number_of(c, n, "exclusiveMaximum");
    n->min_length = bound_of(c, n, "minLength");
    n->max_length = bound_of(c, n, "maxLength");
    n->min_items = bound_of(c, n, "minItems");
    n->max_items = bound_of(c, n, "maxItems");
    n->min_properties = bound_of(c, n, "minProperties");
    n->max_properties = bound_of(c, n, "maxProperties");
    n->min_contains = bound_of(c, n, "minContains");
    n->max_contains = bound_of(c, n, "maxContains");
}

static void take_names(struct schema_compiler *c, struct schema_node *n)
{
    const char *key;
    json_t *names;
    n->required = json_object_get(n->json, "required");
    if (n->required && !is_names(n->required))
        invalid(c, n, "required", "must be an array of names");
    n->dependent_required = json_object_get(n->json, "dependentRequired");
    if (n->dependent_required && !json_is_object(n->dependent_required))
        invalid(c, n, "dependentRequired", "must be an object of arrays of names");
    json_object_foreach(schema__mutable(n->dependent_required), key, names)
    {
        if (!is_names(names))
            invalid(c, n, "dependentRequired", "must be an object of arrays of names");
    }
}

static void take_plain(struct schema_compiler *c, struct schema_node *n)
{
    n->types = types_of(c, n);
    n->constant = json_object_get(n->json, "const");
    n->enumeration = json_object_get(n->json, "enum");
    if (n->enumeration && !json_is_array(n->enumeration))
        invalid(c, n, "enum", "must be an array");
    take_numbers(c, n);
    take_names(c, n);
    const json_t *unique = json_object_get(n->json, "uniqueItems");
    if (unique && !json_is_boolean(unique))
        invalid(c, n, "uniqueItems", "must be true or false");
    n->unique_items = json_is_true(unique);
    n->pattern_text = string_of(c, n, "pattern");
    if (n->pattern_text.data)
        n->pattern = pattern_of(c, n, "pattern", n->pattern_text);
    n->format_name = string_of(c, n, "format");
    n->format = schema__format_find(n->format_name);
}

/* -- keywords that hold schemas, or lead to them
 * --------------------------------------------------------------------- */

static struct schema_node *child(struct schema_compiler *c, struct schema_node *node,
                                 const char *key)
{
    const json_t *value = json_object_get(node->json, key);
    if (!value)
        return NULL;
    node->is_plain = false;
    return schema__node_of(c, value, node->resource);
}

static struct schema_list children(struct schema_compiler *c, struct schema_node *node,
                                   const char *key)
{
    struct schema_list list = { 0 };
    const json_t *array = json_object_get(node->json, key);
    if (!array)
        return list;
    node->is_plain = false;
    if (!json_is_array(array) || !json_array_size(array)) {
        invalid(c, node, key, "must be an array of schemas, not empty");
        return list;
    }
    list.items = schema__take(c, json_array_size(array), sizeof(*list.items));
    for (size_t i = 0; list.items && i < json_array_size(array); i++)
        list.items[list.len++] = schema__node_of(c, json_array_get(array, i), node->resource);
    return list;
}

static int member_cmp(const void *a, const void *b)
{
    return schema__name_cmp(((const struct schema_member *)a)->name,
                            ((const struct schema_member *)b)->name);
}

static struct schema_members members(struct schema_compiler *c, struct schema_node *node,
                                     const char *key)
{
    struct schema_members list = { 0 };
    json_t *object = json_object_get(node->json, key), *value;
    const char *name;
    size_t name_len;
    if (!object)
        return list;
    node->is_plain = false;
    if (!json_is_object(object)) {
        invalid(c, node, key, "must be an object of schemas");
        return list;
    }
    list.items = schema__take(c, json_object_size(object), sizeof(*list.items));
    if (!list.items)
        return list;
    json_object_keylen_foreach(object, name, name_len, value)
    {
        list.items[list.len++] = (struct schema_member){
            .name = slice_of(name, name_len),
            .node = schema__node_of(c, value, node->resource),
        };
    }
    qsort(list.items, list.len, sizeof(*list.items), member_cmp);
    return list;
}

static void take_references(struct schema_compiler *c, struct schema_node *n)
{
    const struct schema_anchor *anchor;
    struct slice ref = string_of(c, n, "$ref"), dynamic = string_of(c, n, "$dynamicRef");
    if (ref.data) {
        n->is_plain = false;
        n->ref = schema__resolve(c, n, "$ref", ref, &anchor);
    }
    if (dynamic.data) {
        n->is_plain = false;
        n->dynamic_ref = schema__resolve(c, n, "$dynamicRef", dynamic, &anchor);
        if (anchor && anchor->dynamic)
            n->dynamic_name = anchor->name;
    }
}

static void take_applicators(struct schema_compiler *c, struct schema_node *n)
{
    n->all_of = children(c, n, "allOf");
    n->any_of = children(c, n, "anyOf");
    n->one_of = children(c, n, "oneOf");
    n->prefix_items = children(c, n, "prefixItems");
    n->not_ = child(c, n, "not");
    n->if_ = child(c, n, "if");
    n->then_ = child(c, n, "then");
    n->else_ = child(c, n, "else");
    n->items = child(c, n, "items");
    n->contains = child(c, n, "contains");
    n->property_names = child(c, n, "propertyNames");
    n->additional_properties = child(c, n, "additionalProperties");
    n->unevaluated_items = child(c, n, "unevaluatedItems");
    n->unevaluated_properties = child(c, n, "unevaluatedProperties");
    n->properties = members(c, n, "properties");
    n->dependent_schemas = members(c, n, "dependentSchemas");
    n->pattern_properties = members(c, n, "patternProperties");
    for (unsigned i = 0; i < n->pattern_properties.len && c->status == STATUS_OK; i++) {
        struct schema_member *m = &n->pattern_properties.items[i];
        m->pattern = pattern_of(c, n, "patternProperties", m->name);
    }
    /* Not applied, but read, so that mistakes in them are found at once. */
    (void)members(c, n, "$defs");
    (void)child(c, n, "contentSchema");
}

/* -- nodes
 * --------------------------------------------------------------------------------------------------------
 */

struct schema_node *schema__node_of(struct schema_compiler *c, const json_t *json,
                                    struct schema_resource *resource)
{
    size_t slot = ((uintptr_t)json >> 4) % SCHEMA_TABLE_LEN;
    if (c->status != STATUS_OK)
        return NULL;
    /* true and false are one value each in jansson, and one node each here. */
    for (struct schema_node *known = c->table[slot]; known; known = known->next)
        if (known->json == json)
            return known;
    if (!json_is_object(json) && !json_is_boolean(json)) {
        schema__fail(c, STATUS_INVALID, json, NULL, "a schema must be an object, true or false");
        return NULL;
    }
    if (c->schema->nodes_len >= SCHEMA_NODES_MAX) {
        schema__fail(c, STATUS_TOO_LARGE, NULL, NULL, "the schema has too many parts");
        return NULL;
    }
    struct schema_node *node = schema__take(c, 1, sizeof(*node));
    if (!node)
        return NULL;
    c->schema->nodes_len++;
    node->json = json;
    node->resource = resource;
    node->is_plain = true;
    node->next = c->table[slot];
    c->table[slot] = node;
    if (json_is_boolean(json)) {
        node->kind = json_is_true(json) ? SCHEMA_TRUE : SCHEMA_FALSE;
        return node;
    }
    node->next_due = c->due;
    c->due = node;
    return node;
}

static void read_due_nodes(struct schema_compiler *c)
{
    while (c->due && c->status == STATUS_OK) {
        struct schema_node *node = c->due;
        c->due = node->next_due;
        take_plain(c, node);
        take_references(c, node);
        take_applicators(c, node);
    }
}

/* One list of all nodes, once the table is not needed any more. */
static void chain_nodes(struct schema_compiler *c)
{
    for (size_t i = 0; i < SCHEMA_TABLE_LEN; i++) {
        for (struct schema_node *node = c->table[i], *next; node; node = next) {
            next = node->next;
            node->next = c->schema->nodes;
            c->schema->nodes = node;
        }
    }
}

void json_schema_free(struct json_schema *schema)
{
    for (struct schema_node *node = schema ? schema->nodes : NULL; node; node = node->next) {
        contract_pattern_free(node->pattern);
        for (unsigned i = 0; i < node->pattern_properties.len; i++)
            contract_pattern_free(node->pattern_properties.items[i].pattern);
    }
}

enum status json_schema_compile(const json_t *schema, struct arena *arena, struct json_schema **ret,
                                struct json_schema_error *ret_error)
{
    struct schema_compiler c = { .arena = arena, .error = ret_error };
    struct arena *before = json_arena_set(arena);
    c.root = json_deep_copy(schema);
    (void)json_arena_set(before);
    c.schema = arena_new_of(arena, struct json_schema);
    if (!c.schema || !c.root)
        return STATUS_EXHAUSTED;
    c.schema->root = schema__scan_document(&c, c.root, SLICE(""));
    read_due_nodes(&c);
    chain_nodes(&c);
    if (c.status != STATUS_OK) {
        json_schema_free(c.schema);
        return c.status;
    }
    *ret = c.schema;
    return STATUS_OK;
}
