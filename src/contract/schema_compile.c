/*
 * First the document is copied and walked for $id and anchors; then subschemas become nodes, each once, wherever they are met or
 * referred to. References are resolved as nodes are made, so a loop of references ends at the node that is already in the table.
 */
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/pattern.h"
#include "contract/schema.h"
#include "contract/schema_private.h"

#define META_URI "https://json-schema.org/draft/2020-12/schema"
#define TABLE_LEN 1024u

struct compiler {
    struct arena *arena;
    struct json_schema *schema;
    struct json_schema_error *error;
    enum status status;
    struct schema_node *table[TABLE_LEN]; /* by address of the JSON */
};

static struct schema_node *node_of(struct compiler *c, const json_t *json,
                                   struct schema_resource *resource, unsigned depth);

static void fail(struct compiler *c, enum status st, struct slice where, const char *what)
{
    if (c->status != STATUS_OK)
        return;
    c->status = st;
    if (c->error)
        *c->error = (struct json_schema_error){ .pointer = where, .reason = slice_cstr(what) };
}

static void *take(struct compiler *c, size_t count, size_t size)
{
    void *p = arena_calloc(c->arena, count ? count : 1, size);
    if (!p)
        fail(c, STATUS_EXHAUSTED, SLICE_NULL, "the schema does not fit into memory");
    return p;
}

/* -- $id, $anchor, $dynamicAnchor ----------------------------------------------------------------------------- */

static struct slice member_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? json_slice(value) : SLICE_NULL;
}

static struct slice without_fragment(struct slice uri)
{
    size_t hash = slice_find(uri, '#');
    return hash == SIZE_MAX ? uri : slice_head(uri, hash);
}

static void add_anchor(struct compiler *c, struct schema_resource *resource, const json_t *json,
                       struct slice name, bool dynamic)
{
    struct schema_anchor *anchor = take(c, 1, sizeof(*anchor));
    if (!anchor || !name.len)
        return;
    *anchor = (struct schema_anchor){ .next = c->schema->anchors, .resource = resource, .name = name,
                                      .dynamic = dynamic, .json = json };
    c->schema->anchors = anchor;
}

static struct schema_resource *add_resource(struct compiler *c, const json_t *json, struct slice uri)
{
    struct schema_resource *resource = take(c, 1, sizeof(*resource));
    if (!resource)
        return NULL;
    *resource = (struct schema_resource){ .next = c->schema->resources, .uri = uri, .json = json };
    c->schema->resources = resource;
    return resource;
}

/* Places that hold no subschemas: what looks like an $id there is data. */
static bool is_data(const char *key)
{
    static const char *const keys[] = { "enum", "const", "default", "examples", "required",
                                        "dependentRequired" };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static bool holds_named_schemas(const char *key)
{
    static const char *const keys[] = { "properties", "patternProperties", "$defs", "definitions",
                                        "dependentSchemas" };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static void scan(struct compiler *c, const json_t *json, struct schema_resource *resource, unsigned depth);

static void scan_members(struct compiler *c, const json_t *object, struct schema_resource *resource,
                         unsigned depth, bool named)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!named && is_data(key))
            continue;
        if (!named && holds_named_schemas(key) && json_is_object(value))
            scan_members(c, value, resource, depth + 1, true);
        else
            scan(c, value, resource, depth + 1);
    }
}

static void scan(struct compiler *c, const json_t *json, struct schema_resource *resource, unsigned depth)
{
    if (c->status != STATUS_OK)
        return;
    if (depth > SCHEMA_DEPTH_MAX) {
        fail(c, STATUS_TOO_LARGE, SLICE_NULL, "the schema is nested too deeply");
        return;
    }
    if (json_is_array(json)) {
        for (size_t i = 0; i < json_array_size(json); i++)
            scan(c, json_array_get(json, i), resource, depth + 1);
        return;
    }
    if (!json_is_object(json))
        return;
    struct slice id = member_text(json, "$id");
    if (id.len && depth > 0) {
        struct slice uri = schema__uri_resolve(c->arena, resource->uri, id);
        resource = add_resource(c, json, without_fragment(uri));
        if (!resource)
            return;
    }
    add_anchor(c, resource, json, member_text(json, "$anchor"), false);
    add_anchor(c, resource, json, member_text(json, "$dynamicAnchor"), true);
    scan_members(c, json, resource, depth, false);
}

/* -- references ------------------------------------------------------------------------------------------------- */

static struct schema_resource *resource_find(struct compiler *c, struct slice uri)
{
    for (struct schema_resource *r = c->schema->resources; r; r = r->next)
        if (slice_eq(r->uri, uri))
            return r;
    return NULL;
}

static const struct schema_anchor *anchor_find(const struct json_schema *schema,
                                               const struct schema_resource *resource, struct slice name)
{
    for (const struct schema_anchor *a = schema->anchors; a; a = a->next)
        if (a->resource == resource && slice_eq(a->name, name))
            return a;
    return NULL;
}

static int hex_of(char ch)
{
    return ch >= '0' && ch <= '9'   ? ch - '0'
           : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
           : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                    : -1;
}

/* Percent-decoding of a fragment, in the arena. */
static struct slice decode(struct compiler *c, struct slice text)
{
    char *out = take(c, text.len, 1);
    size_t n = 0;
    for (size_t i = 0; out && i < text.len; i++) {
        int high, low;
        if (text.data[i] == '%' && i + 2 < text.len && (high = hex_of(text.data[i + 1])) >= 0 &&
            (low = hex_of(text.data[i + 2])) >= 0) {
            out[n++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[n++] = text.data[i];
        }
    }
    return slice_of(out, out ? n : 0);
}

/* "~1" -> "/", "~0" -> "~", NUL-terminated for jansson. */
static char *pointer_token(struct compiler *c, struct slice token)
{
    char *out = take(c, token.len + 1, 1);
    size_t n = 0;
    for (size_t i = 0; out && i < token.len; i++) {
        if (token.data[i] == '~' && i + 1 < token.len && (token.data[i + 1] == '0' || token.data[i + 1] == '1'))
            out[n++] = token.data[++i] == '1' ? '/' : '~';
        else
            out[n++] = token.data[i];
    }
    return out;
}

/* Walk a JSON Pointer down; *resource follows every $id that is passed. */
static const json_t *walk_pointer(struct compiler *c, const json_t *json, struct slice pointer,
                                  struct schema_resource **resource)
{
    struct slice token;
    struct slice rest = slice_from(pointer, 1);
    while (json && slice_split(&rest, '/', &token)) {
        char *name = pointer_token(c, token);
        int64_t index;
        if (!name)
            return NULL;
        if (json_is_object(json))
            json = json_object_get(json, name);
        else if (json_is_array(json) && slice_to_i64(slice_cstr(name), &index) && index >= 0)
            json = json_array_get(json, (size_t)index);
        else
            json = NULL;
        for (struct schema_resource *r = c->schema->resources; json && r; r = r->next)
            if (r->json == json)
                *resource = r;
    }
    return json;
}

static struct schema_node *meta_node(struct compiler *c)
{
    struct schema_node *node = take(c, 1, sizeof(*node));
    if (node)
        node->kind = SCHEMA_META;
    return node;
}

/* The node that a $ref or $dynamicRef names; *ret_anchor is the anchor it went through, if any. */
static struct schema_node *resolve(struct compiler *c, struct schema_resource *from, struct slice reference,
                                   unsigned depth, const struct schema_anchor **ret_anchor)
{
    struct slice full = schema__uri_resolve(c->arena, from->uri, reference);
    struct slice uri = without_fragment(full);
    struct slice fragment = uri.len < full.len ? decode(c, slice_from(full, uri.len + 1)) : SLICE_NULL;
    *ret_anchor = NULL;
    struct schema_resource *resource = resource_find(c, uri);
    if (!resource && slice_eq(uri, SLICE(META_URI)))
        return meta_node(c);
    if (!resource) {
        fail(c, STATUS_INVALID, reference, "this reference leads outside of the schema; nothing is fetched");
        return NULL;
    }
    const json_t *json = resource->json;
    if (fragment.len && fragment.data[0] == '/') {
        json = walk_pointer(c, json, fragment, &resource);
    } else if (fragment.len) {
        const struct schema_anchor *anchor = anchor_find(c->schema, resource, fragment);
        *ret_anchor = anchor;
        json = anchor ? anchor->json : NULL;
    }
    if (!json) {
        fail(c, STATUS_INVALID, reference, "this reference leads to nothing");
        return NULL;
    }
    return node_of(c, json, resource, depth);
}

/* -- keywords ------------------------------------------------------------------------------------------------------ */

static int64_t bound_of(struct compiler *c, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return -1;
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return json_integer_value(value);
    double real = json_number_value(value);
    if (json_is_real(value) && real >= 0 && real < 9e15 && (double)(int64_t)real == real)
        return (int64_t)real;
    fail(c, STATUS_INVALID, slice_cstr(key), "must be a whole number from 0");
    return -1;
}

static const json_t *number_of(struct compiler *c, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (value && !json_is_number(value))
        fail(c, STATUS_INVALID, slice_cstr(key), "must be a number");
    return json_is_number(value) ? value : NULL;
}

static unsigned type_bit(struct slice name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = { { "null", SCHEMA_NULL },     { "boolean", SCHEMA_BOOLEAN }, { "integer", SCHEMA_INTEGER },
                  { "number", SCHEMA_NUMBER }, { "string", SCHEMA_STRING },   { "array", SCHEMA_ARRAY },
                  { "object", SCHEMA_OBJECT } };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_eq(name, slice_cstr(names[i].name)))
            return names[i].bit;
    return 0;
}

static unsigned types_of(struct compiler *c, const json_t *value)
{
    unsigned bits = 0;
    size_t len = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; value && i < len; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        unsigned bit = json_is_string(one) ? type_bit(json_slice(one)) : 0;
        if (!bit)
            fail(c, STATUS_INVALID, SLICE("type"),
                 "must be one of null, boolean, integer, number, string, array, object");
        bits |= bit;
    }
    if (value && !len)
        fail(c, STATUS_INVALID, SLICE("type"), "must name at least one type");
    return bits;
}

static struct contract_pattern *pattern_of(struct compiler *c, struct slice text)
{
    struct contract_pattern *pattern = NULL;
    struct contract_pattern_error error;
    if (contract_pattern_compile(text, c->arena, &pattern, &error) != STATUS_OK)
        fail(c, STATUS_INVALID, SLICE("pattern"), "is not a regular expression that can be used");
    return pattern;
}

static struct schema_node *child(struct compiler *c, struct schema_node *node, const char *key,
                                 unsigned depth)
{
    const json_t *value = json_object_get(node->json, key);
    return value ? node_of(c, value, node->resource, depth) : NULL;
}

static struct schema_list children(struct compiler *c, struct schema_node *node, const char *key,
                                   unsigned depth)
{
    struct schema_list list = { 0 };
    const json_t *array = json_object_get(node->json, key);
    if (!array)
        return list;
    if (!json_is_array(array) || !json_array_size(array)) {
        fail(c, STATUS_INVALID, slice_cstr(key), "must be an array of schemas, not empty");
        return list;
    }
    list.items = take(c, json_array_size(array), sizeof(*list.items));
    for (size_t i = 0; list.items && i < json_array_size(array); i++)
        list.items[list.len++] = node_of(c, json_array_get(array, i), node->resource, depth);
    return list;
}

static struct schema_members members(struct compiler *c, struct schema_node *node, const char *key,
                                     bool patterns, unsigned depth)
{
    struct schema_members list = { 0 };
    json_t *object = json_object_get(node->json, key);
    const char *name;
    json_t *value;
    if (!object)
        return list;
    if (!json_is_object(object)) {
        fail(c, STATUS_INVALID, slice_cstr(key), "must be an object of schemas");
        return list;
    }
    list.items = take(c, json_object_size(object), sizeof(*list.items));
    if (!list.items)
        return list;
    json_object_foreach(object, name, value)
    {
        struct schema_member *m = &list.items[list.len++];
        m->name = slice_cstr(name);
        m->node = node_of(c, value, node->resource, depth);
        if (patterns)
            m->pattern = pattern_of(c, m->name);
    }
    return list;
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

static void take_plain_keywords(struct compiler *c, struct schema_node *n)
{
    const json_t *o = n->json;
    n->types = types_of(c, json_object_get(o, "type"));
    n->constant = json_object_get(o, "const");
    n->enumeration = json_object_get(o, "enum");
    if (n->enumeration && !json_is_array(n->enumeration))
        fail(c, STATUS_INVALID, SLICE("enum"), "must be an array");
    n->multiple_of = number_of(c, o, "multipleOf");
    if (n->multiple_of && json_number_value(n->multiple_of) <= 0)
        fail(c, STATUS_INVALID, SLICE("multipleOf"), "must be above 0");
    n->minimum = number_of(c, o, "minimum");
    n->maximum = number_of(c, o, "maximum");
    n->exclusive_minimum = number_of(c, o, "exclusiveMinimum");
    n->exclusive_maximum = number_of(c, o, "exclusiveMaximum");
    n->min_length = bound_of(c, o, "minLength");
    n->max_length = bound_of(c, o, "maxLength");
    n->min_items = bound_of(c, o, "minItems");
    n->max_items = bound_of(c, o, "maxItems");
    n->min_properties = bound_of(c, o, "minProperties");
    n->max_properties = bound_of(c, o, "maxProperties");
    n->min_contains = bound_of(c, o, "minContains");
    n->max_contains = bound_of(c, o, "maxContains");
    const json_t *unique = json_object_get(o, "uniqueItems");
    n->unique_items = json_is_true(unique);
    if (unique && !json_is_boolean(unique))
        fail(c, STATUS_INVALID, SLICE("uniqueItems"), "must be true or false");
    n->required = json_object_get(o, "required");
    if (n->required && !is_names(n->required))
        fail(c, STATUS_INVALID, SLICE("required"), "must be an array of names");
    n->dependent_required = json_object_get(o, "dependentRequired");
    const char *key;
    json_t *names;
    if (n->dependent_required && !json_is_object(n->dependent_required))
        fail(c, STATUS_INVALID, SLICE("dependentRequired"), "must be an object of arrays of names");
    json_object_foreach((json_t *)(uintptr_t)n->dependent_required, key, names)
    {
        if (!is_names(names))
            fail(c, STATUS_INVALID, SLICE("dependentRequired"), "must be an object of arrays of names");
    }
    const json_t *pattern = json_object_get(o, "pattern");
    if (pattern && !json_is_string(pattern))
        fail(c, STATUS_INVALID, SLICE("pattern"), "must be a string");
    if (json_is_string(pattern)) {
        n->pattern_text = json_slice(pattern);
        n->pattern = pattern_of(c, n->pattern_text);
    }
    n->format_name = member_text(o, "format");
    n->format = schema__format_find(n->format_name);
}

static void take_references(struct compiler *c, struct schema_node *n, unsigned depth)
{
    const struct schema_anchor *anchor;
    struct slice ref = member_text(n->json, "$ref");
    if (json_object_get(n->json, "$ref"))
        n->ref = resolve(c, n->resource, ref, depth, &anchor);
    struct slice dynamic = member_text(n->json, "$dynamicRef");
    if (dynamic.len) {
        n->dynamic_ref = resolve(c, n->resource, dynamic, depth, &anchor);
        if (anchor && anchor->dynamic)
            n->dynamic_name = anchor->name;
    }
}

static void take_applicators(struct compiler *c, struct schema_node *n, unsigned depth)
{
    n->all_of = children(c, n, "allOf", depth);
    n->any_of = children(c, n, "anyOf", depth);
    n->one_of = children(c, n, "oneOf", depth);
    n->prefix_items = children(c, n, "prefixItems", depth);
    n->not_ = child(c, n, "not", depth);
    n->if_ = child(c, n, "if", depth);
    n->then_ = child(c, n, "then", depth);
    n->else_ = child(c, n, "else", depth);
    n->items = child(c, n, "items", depth);
    n->contains = child(c, n, "contains", depth);
    n->property_names = child(c, n, "propertyNames", depth);
    n->additional_properties = child(c, n, "additionalProperties", depth);
    n->unevaluated_items = child(c, n, "unevaluatedItems", depth);
    n->unevaluated_properties = child(c, n, "unevaluatedProperties", depth);
    n->properties = members(c, n, "properties", false, depth);
    n->pattern_properties = members(c, n, "patternProperties", true, depth);
    n->dependent_schemas = members(c, n, "dependentSchemas", false, depth);
    /* Not applied, but compiled, so that mistakes in them are found at once. */
    (void)members(c, n, "$defs", false, depth);
    c->schema->has_unevaluated |= n->unevaluated_items || n->unevaluated_properties;
}

static struct schema_node *node_of(struct compiler *c, const json_t *json,
                                   struct schema_resource *resource, unsigned depth)
{
    if (c->status != STATUS_OK)
        return NULL;
    size_t slot = ((uintptr_t)json >> 4) % TABLE_LEN;
    /* `true` and `false` are one value each in jansson; they need no resource of their own. */
    for (struct schema_node *known = c->table[slot]; known; known = known->next)
        if (known->json == json)
            return known;
    if (!json_is_object(json) && !json_is_boolean(json)) {
        fail(c, STATUS_INVALID, SLICE_NULL, "a schema must be an object, true or false");
        return NULL;
    }
    if (++c->schema->nodes_len > SCHEMA_NODES_MAX || depth > SCHEMA_DEPTH_MAX) {
        fail(c, STATUS_TOO_LARGE, SLICE_NULL, "the schema has too many parts");
        return NULL;
    }
    struct schema_node *node = take(c, 1, sizeof(*node));
    if (!node)
        return NULL;
    for (struct schema_resource *r = c->schema->resources; r; r = r->next)
        if (r->json == json)
            resource = r;
    node->json = json;
    node->resource = resource;
    node->next = c->table[slot];
    c->table[slot] = node; /* before its parts: they may refer to it */
    if (json_is_boolean(json)) {
        node->kind = json_is_true(json) ? SCHEMA_TRUE : SCHEMA_FALSE;
        return node;
    }
    take_plain_keywords(c, node);
    take_references(c, node, depth + 1);
    take_applicators(c, node, depth + 1);
    return node;
}

static void free_patterns(struct schema_node *node)
{
    contract_pattern_free(node->pattern);
    for (unsigned i = 0; i < node->pattern_properties.len; i++)
        contract_pattern_free(node->pattern_properties.items[i].pattern);
}

void json_schema_free(struct json_schema *schema)
{
    for (struct schema_node *node = schema ? schema->nodes : NULL; node; node = node->next)
        free_patterns(node);
}

/* One list of all nodes, once the table is not needed any more. */
static void chain_nodes(struct compiler *c)
{
    for (size_t i = 0; i < TABLE_LEN; i++) {
        for (struct schema_node *node = c->table[i], *next; node; node = next) {
            next = node->next;
            node->next = c->schema->nodes;
            c->schema->nodes = node;
        }
    }
}

enum status json_schema_compile(const json_t *schema, struct arena *arena, struct json_schema **ret,
                                struct json_schema_error *ret_error)
{
    struct compiler *c = arena_calloc(arena, 1, sizeof(*c));
    if (!c)
        return STATUS_EXHAUSTED;
    c->arena = arena;
    c->error = ret_error;
    c->schema = take(c, 1, sizeof(*c->schema));
    struct arena *before = json_arena_set(arena);
    json_t *copy = json_deep_copy(schema);
    (void)json_arena_set(before);
    if (!c->schema || !copy)
        return STATUS_EXHAUSTED;
    struct slice id = json_is_object(copy) ? member_text(copy, "$id") : SLICE_NULL;
    struct schema_resource *root = add_resource(c, copy, without_fragment(id));
    if (!root)
        return STATUS_EXHAUSTED;
    scan(c, copy, root, 0);
    c->schema->root = node_of(c, copy, root, 0);
    for (struct schema_resource *r = c->schema->resources; r && c->status == STATUS_OK; r = r->next)
        r->node = node_of(c, r->json, r, 0);
    for (struct schema_anchor *a = c->schema->anchors; a && c->status == STATUS_OK; a = a->next)
        (void)node_of(c, a->json, a->resource, 0);
    chain_nodes(c);
    if (c->status != STATUS_OK) {
        json_schema_free(c->schema);
        return c->status;
    }
    *ret = c->schema;
    return STATUS_OK;
}
