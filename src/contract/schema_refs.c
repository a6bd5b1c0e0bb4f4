/*
 * Where things are in a schema: which subschema belongs to which resource, the anchors, and what a
 * reference leads to. Only places that hold subschemas are searched: what looks like an $id in an
 * enum or below an unknown keyword is data.
 */
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "contract/schema_private.h"

enum holds { ONE, LIST, MAP };

static const struct {
    const char *key;
    enum holds holds;
} applicators[] = {
    { "$defs", MAP },
    { "additionalProperties", ONE },
    { "allOf", LIST },
    { "anyOf", LIST },
    { "contains", ONE },
    { "contentSchema", ONE },
    { "definitions", MAP }, /* until draft 7, and still in the meta-schema */
    { "dependentSchemas", MAP },
    { "else", ONE },
    { "if", ONE },
    { "items", ONE },
    { "not", ONE },
    { "oneOf", LIST },
    { "patternProperties", MAP },
    { "prefixItems", LIST },
    { "properties", MAP },
    { "propertyNames", ONE },
    { "then", ONE },
    { "unevaluatedItems", ONE },
    { "unevaluatedProperties", ONE },
};

static struct slice text_of(const json_t *value)
{
    return slice_of(json_string_value(value), json_string_length(value));
}

static struct slice without_fragment(struct slice uri)
{
    return slice_head(uri, slice_find(uri, '#'));
}

/* -- what is where
 * ------------------------------------------------------------------------------------------------
 */

static struct schema_resource *add_resource(struct schema_compiler *c, struct slice uri)
{
    struct schema_resource *resource = schema__take(c, 1, sizeof(*resource));
    if (!resource)
        return NULL;
    *resource = (struct schema_resource){ .next = c->resources, .uri = uri };
    c->resources = resource;
    return resource;
}

/* XML's NCName, as far as ASCII goes. */
static bool is_anchor_name(struct slice name)
{
    if (!name.len || (!schema__is_alpha(name.data[0]) && name.data[0] != '_'))
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!schema__is_alpha(name.data[i]) && !schema__is_digit(name.data[i]) &&
            !schema__is_one_of(name.data[i], "-._"))
            return false;
    return true;
}

static void add_anchor(struct schema_compiler *c, struct schema_node *node, const char *key,
                       bool dynamic)
{
    const json_t *value = json_object_get(node->json, key);
    if (!value)
        return;
    if (!json_is_string(value) || !is_anchor_name(text_of(value))) {
        schema__fail(c, STATUS_INVALID, node->json, key,
                     "must be a name: a letter or _, then letters, digits, - . _");
        return;
    }
    struct schema_anchor *anchor = schema__take(c, 1, sizeof(*anchor));
    if (!anchor)
        return;
    *anchor = (struct schema_anchor){
        .next = node->resource->anchors,
        .name = text_of(value),
        .dynamic = dynamic,
        .node = node,
    };
    node->resource->anchors = anchor;
}

static struct slice resolved(struct schema_compiler *c, struct slice base, struct slice reference)
{
    struct slice uri = schema__uri_resolve(c->arena, base, reference);
    if (!uri.data)
        schema__fail(c, STATUS_EXHAUSTED, NULL, NULL, "the schema does not fit into memory");
    return uri;
}

/* The resource that a schema starts with its $id, or `outer`. */
static struct schema_resource *resource_at(struct schema_compiler *c, const json_t *json,
                                           struct schema_resource *outer)
{
    const json_t *id = json_object_get(json, "$id");
    if (!id)
        return outer;
    struct slice text = text_of(id);
    size_t hash = slice_find(text, '#');
    if (!json_is_string(id) || (hash != SIZE_MAX && hash + 1 < text.len)) {
        schema__fail(c, STATUS_INVALID, json, "$id", "must be a URI reference without fragment");
        return NULL;
    }
    return add_resource(c, without_fragment(resolved(c, outer->uri, without_fragment(text))));
}

static void scan(struct schema_compiler *c, const json_t *json, struct schema_resource *resource,
                 unsigned depth)
{
    if (depth > SCHEMA_DEPTH_MAX)
        schema__fail(c, STATUS_TOO_LARGE, NULL, NULL, "the schema is nested too deeply");
    /* What is no schema is found when its keyword is read. */
    if (c->status != STATUS_OK || !json_is_object(json))
        return;
    struct schema_resource *inner = depth ? resource_at(c, json, resource) : resource;
    struct schema_node *node = inner ? schema__node_of(c, json, inner) : NULL;
    if (!node)
        return;
    if (!inner->node)
        inner->node = node;
    add_anchor(c, node, "$anchor", false);
    add_anchor(c, node, "$dynamicAnchor", true);
    for (size_t i = 0; i < ARRAY_LEN(applicators); i++) {
        json_t *value = json_object_get(json, applicators[i].key);
        const char *key;
        json_t *item;
        size_t index;
        if (!value)
            continue;
        switch (applicators[i].holds) {
        case ONE:
            scan(c, value, inner, depth + 1);
            break;
        case LIST:
            json_array_foreach(value, index, item) scan(c, item, inner, depth + 1);
            break;
        case MAP:
            json_object_foreach(value, key, item) scan(c, item, inner, depth + 1);
            break;
        }
    }
}

struct schema_node *schema__scan_document(struct schema_compiler *c, const json_t *json,
                                          struct slice uri)
{
    struct schema_resource *outer = add_resource(c, without_fragment(uri));
    struct schema_resource *resource =
        outer && json_is_object(json) ? resource_at(c, json, outer) : outer;
    if (!resource)
        return NULL;
    scan(c, json, resource, 0);
    /* Not an object: true, false, or a mistake that node_of names. */
    resource->node = schema__node_of(c, json, resource);
    outer->node = resource->node;
    return resource->node;
}

/* -- references
 * ---------------------------------------------------------------------------------------------------
 */

static struct schema_resource *resource_find(struct schema_compiler *c, struct slice uri)
{
    for (struct schema_resource *r = c->resources; r; r = r->next)
        if (slice_eq(r->uri, uri))
            return r;
    return NULL;
}

static const struct schema_anchor *anchor_find(const struct schema_resource *resource,
                                               struct slice name)
{
    for (const struct schema_anchor *a = resource->anchors; a; a = a->next)
        if (slice_eq(a->name, name))
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
static struct slice decode(struct schema_compiler *c, struct slice text)
{
    char *out = schema__take(c, text.len, 1);
    size_t n = 0;
    for (size_t i = 0; out && text.data && i < text.len; i++) {
        int high = -1, low = -1;
        if (text.data[i] == '%' && i + 2 < text.len) {
            high = hex_of(text.data[i + 1]);
            low = hex_of(text.data[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            out[n++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[n++] = text.data[i];
        }
    }
    return slice_of(out, out ? n : 0);
}

/* "~1" is "/", "~0" is "~". */
static struct slice pointer_token(struct schema_compiler *c, struct slice token)
{
    char *out = schema__take(c, token.len, 1);
    size_t n = 0;
    for (size_t i = 0; out && i < token.len; i++) {
        if (token.data[i] == '~' && i + 1 < token.len && schema__is_one_of(token.data[i + 1], "01"))
            out[n++] = token.data[++i] == '1' ? '/' : '~';
        else
            out[n++] = token.data[i];
    }
    return slice_of(out, out ? n : 0);
}

static const json_t *step_down(const json_t *json, struct slice name)
{
    int64_t index;
    if (json_is_object(json))
        return json_object_getn(json, name.len ? name.data : "", name.len);
    bool is_index = json_is_array(json) && schema__digits_at(name, 0) == name.len &&
                    (name.len == 1 || (name.len && name.data[0] != '0')) &&
                    slice_to_i64(name, &index);
    return is_index ? json_array_get(json, (size_t)index) : NULL;
}

static struct schema_node *known_node(struct schema_compiler *c, const json_t *json)
{
    for (struct schema_node *n = c->table[((uintptr_t)json >> 4) % SCHEMA_TABLE_LEN]; n;
         n = n->next)
        if (n->json == json)
            return n;
    return NULL;
}

/* Walk a JSON Pointer down from a resource; what stands there becomes a node if it was none (an
 * unknown keyword's value). */
static struct schema_node *walk_pointer(struct schema_compiler *c, struct schema_resource *resource,
                                        struct slice pointer)
{
    const json_t *json = resource->node->json;
    struct slice token, rest = slice_from(pointer, 1);
    while (json && slice_split(&rest, '/', &token)) {
        json = step_down(json, pointer_token(c, token));
        const struct schema_node *node = json ? known_node(c, json) : NULL;
        if (node && json_is_object(json))
            resource = node->resource;
    }
    return json ? schema__node_of(c, json, resource) : NULL;
}

static struct schema_resource *load_meta(struct schema_compiler *c)
{
    const json_t *meta = schema__meta(c->arena);
    if (!meta)
        schema__fail(c, STATUS_EXHAUSTED, NULL, NULL, "the schema does not fit into memory");
    else
        (void)schema__scan_document(c, meta, SLICE(SCHEMA_META_URI));
    return resource_find(c, SLICE(SCHEMA_META_URI));
}

struct schema_node *schema__resolve(struct schema_compiler *c, const struct schema_node *from,
                                    const char *key, struct slice reference,
                                    const struct schema_anchor **ret_anchor)
{
    struct slice full = resolved(c, from->resource->uri, reference);
    struct slice uri = without_fragment(full);
    struct slice fragment =
        uri.len < full.len ? decode(c, slice_from(full, uri.len + 1)) : SLICE_NULL;
    struct schema_resource *resource = resource_find(c, uri);
    struct schema_node *node = NULL;
    *ret_anchor = NULL;
    if (!resource && slice_eq(uri, SLICE(SCHEMA_META_URI)))
        resource = load_meta(c);
    if (!resource || !resource->node) {
        schema__fail(c, STATUS_INVALID, from->json, key,
                     "leads outside of the schema; nothing is fetched");
        return NULL;
    }
    if (!fragment.len) {
        node = resource->node;
    } else if (fragment.data[0] == '/') {
        node = walk_pointer(c, resource, fragment);
    } else {
        *ret_anchor = anchor_find(resource, fragment);
        node = *ret_anchor ? (*ret_anchor)->node : NULL;
    }
    if (!node)
        schema__fail(c, STATUS_INVALID, from->json, key, "leads to nothing");
    return node;
}
