/*
 * Walks nodes and instance together. Which members and items a node has evaluated (for unevaluatedProperties and
 * unevaluatedItems) is collected only when the schema has one of these keywords. Everything that grows lives in the arena; the walk is
 * bounded in steps and in depth, as references may loop.
 */
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "contract/pattern.h"
#include "contract/schema.h"
#include "contract/schema_private.h"

/* Where in the instance we are. */
struct place {
    const struct place *up;
    const char *key; /* of an object's member, else NULL */
    size_t index;
};

/* What has been evaluated of one object or array. Keys are compared by address: they are the instance's own. */
struct seen {
    const char **keys;
    unsigned keys_len, keys_cap;
    bool all_keys;
    size_t items_upto; /* all before this */
    bool all_items;
    bool *items; /* by contains; NULL: none */
};

/* The schema resources entered so far, for $dynamicRef. */
struct scope {
    const struct scope *up;
    const struct schema_resource *resource;
};

struct walk {
    const struct json_schema *schema;
    struct arena *arena;
    struct slice prefix;
    unsigned steps, calls;
    bool overrun;
};

static bool evaluate(struct walk *w, const struct schema_node *n, const json_t *v,
                     const struct place *place, const struct scope *scope, struct problem *problem,
                     struct seen *seen);

/* -- complaints ------------------------------------------------------------------------------------------------ */

static void put_token(struct buf *out, const struct place *place)
{
    buf_putc(out, '/');
    if (!place->key) {
        buf_put_u64(out, place->index);
        return;
    }
    for (const char *at = place->key; *at; at++) {
        if (*at == '~')
            buf_put_lit(out, "~0");
        else if (*at == '/')
            buf_put_lit(out, "~1");
        else
            buf_putc(out, *at);
    }
}

static struct slice pointer_of(struct walk *w, const struct place *place)
{
    const struct place *path[SCHEMA_CALLS_MAX + 1];
    unsigned len = 0;
    struct buf out;
    for (; place && len < ARRAY_LEN(path); place = place->up)
        path[len++] = place;
    buf_init(&out, w->arena, 64, 8192);
    buf_put_slice(&out, w->prefix);
    while (len)
        put_token(&out, path[--len]);
    return buf_slice(&out);
}

/* Always false, so that `ok &= complain(...)` reads well. */
__attribute__((format(printf, 4, 5))) static bool complain(struct walk *w, struct problem *problem,
                                                           const struct place *place,
                                                           const char *format, ...)
{
    char text[200];
    va_list args;
    if (!problem)
        return false;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    problem_field_add(problem, w->arena, pointer_of(w, place), "schema", "%s", text);
    return false;
}

/* -- what has been evaluated -------------------------------------------------------------------------------------- */

static bool has_key(const struct seen *seen, const char *key)
{
    if (seen->all_keys)
        return true;
    for (unsigned i = 0; i < seen->keys_len; i++)
        if (seen->keys[i] == key)
            return true;
    return false;
}

static void mark_key(struct walk *w, struct seen *seen, const char *key)
{
    if (!seen || has_key(seen, key))
        return;
    if (seen->keys_len == seen->keys_cap) {
        unsigned cap = seen->keys_cap ? seen->keys_cap * 2 : 8;
        const char **keys = arena_realloc(w->arena, (void *)seen->keys, seen->keys_cap * sizeof(*keys),
                                          cap * sizeof(*keys));
        if (!keys) {
            w->overrun = true;
            return;
        }
        seen->keys = keys;
        seen->keys_cap = cap;
    }
    seen->keys[seen->keys_len++] = key;
}

static void mark_item(struct walk *w, struct seen *seen, size_t index, size_t len)
{
    if (!seen)
        return;
    if (!seen->items)
        seen->items = arena_calloc(w->arena, len, sizeof(bool));
    if (seen->items)
        seen->items[index] = true;
    else
        w->overrun = true;
}

static void merge(struct walk *w, struct seen *into, const struct seen *from, size_t items_len)
{
    if (!into)
        return;
    into->all_keys |= from->all_keys;
    into->all_items |= from->all_items;
    into->items_upto = MAX(into->items_upto, from->items_upto);
    for (unsigned i = 0; i < from->keys_len && !into->all_keys; i++)
        mark_key(w, into, from->keys[i]);
    for (size_t i = 0; from->items && i < items_len; i++)
        if (from->items[i])
            mark_item(w, into, i, items_len);
}

/* -- single values -------------------------------------------------------------------------------------------------- */

static unsigned type_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_NULL:
        return SCHEMA_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return SCHEMA_BOOLEAN;
    case JSON_INTEGER:
        return SCHEMA_INTEGER | SCHEMA_NUMBER;
    case JSON_REAL: {
        double real = json_real_value(v);
        return floor(real) < real ? SCHEMA_NUMBER : SCHEMA_INTEGER | SCHEMA_NUMBER;
    }
    case JSON_STRING:
        return SCHEMA_STRING;
    case JSON_ARRAY:
        return SCHEMA_ARRAY;
    case JSON_OBJECT:
        return SCHEMA_OBJECT;
    }
    return 0;
}

int schema__number_compare(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    /* 64 bits of mantissa hold every int64 and every double. */
    long double x = json_is_integer(a) ? (long double)json_integer_value(a) : json_real_value(a);
    long double y = json_is_integer(b) ? (long double)json_integer_value(b) : json_real_value(b);
    return (x > y) - (x < y);
}

static bool equal_at(const json_t *a, const json_t *b, unsigned depth)
{
    if (depth > SCHEMA_DEPTH_MAX)
        return false;
    if (json_is_number(a) && json_is_number(b))
        return schema__number_compare(a, b) == 0;
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_string(a))
        return json_string_length(a) == json_string_length(b) &&
               memcmp(json_string_value(a), json_string_value(b), json_string_length(a)) == 0;
    if (json_is_array(a)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!equal_at(json_array_get(a, i), json_array_get(b, i), depth + 1))
                return false;
        return true;
    }
    if (json_is_object(a)) {
        const char *key;
        json_t *value;
        if (json_object_size(a) != json_object_size(b))
            return false;
        json_object_foreach((json_t *)(uintptr_t)a, key, value)
        {
            const json_t *other = json_object_get(b, key);
            if (!other || !equal_at(value, other, depth + 1))
                return false;
        }
    }
    return true;
}

bool schema__equal(const json_t *a, const json_t *b)
{
    return equal_at(a, b, 0);
}

static bool is_multiple(const json_t *v, const json_t *of)
{
    if (json_is_integer(v) && json_is_integer(of))
        return json_integer_value(v) % json_integer_value(of) == 0;
    double x = json_number_value(v), y = json_number_value(of);
    double quotient = x / y;
    if (isinf(quotient))
        return !(fabs(fmod(x, y)) > 0);
    /* Decimal fractions are not exact in binary: 0.0075 is a multiple of 0.0001. */
    return fabs(quotient - nearbyint(quotient)) <= 1e-9 * fmax(1.0, fabs(quotient) * DBL_EPSILON * 1e6);
}

static bool check_types(struct walk *w, const struct schema_node *n, const json_t *v,
                        const struct place *place, struct problem *problem)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = { { SCHEMA_NULL, "null" },     { SCHEMA_BOOLEAN, "a boolean" }, { SCHEMA_INTEGER, "an integer" },
                  { SCHEMA_NUMBER, "a number" }, { SCHEMA_STRING, "a string" }, { SCHEMA_ARRAY, "an array" },
                  { SCHEMA_OBJECT, "an object" } };
    char text[120] = "";
    if (!n->types || (n->types & type_of(v)))
        return true;
    for (size_t i = 0; problem && i < ARRAY_LEN(names); i++) {
        size_t len = strlen(text);
        if (n->types & names[i].bit)
            (void)snprintf(text + len, sizeof(text) - len, "%s%s", len ? " or " : "", names[i].name);
    }
    return complain(w, problem, place, "must be %s", text);
}

static bool check_number(struct walk *w, const struct schema_node *n, const json_t *v,
                         const struct place *place, struct problem *problem)
{
    bool ok = true;
    if (n->minimum && schema__number_compare(v, n->minimum) < 0)
        ok = complain(w, problem, place, "must be at least %g", json_number_value(n->minimum));
    if (n->maximum && schema__number_compare(v, n->maximum) > 0)
        ok = complain(w, problem, place, "must be at most %g", json_number_value(n->maximum));
    if (n->exclusive_minimum && schema__number_compare(v, n->exclusive_minimum) <= 0)
        ok = complain(w, problem, place, "must be above %g", json_number_value(n->exclusive_minimum));
    if (n->exclusive_maximum && schema__number_compare(v, n->exclusive_maximum) >= 0)
        ok = complain(w, problem, place, "must be below %g", json_number_value(n->exclusive_maximum));
    if (n->multiple_of && !is_multiple(v, n->multiple_of))
        ok = complain(w, problem, place, "must be a multiple of %g", json_number_value(n->multiple_of));
    return ok;
}

static bool check_string(struct walk *w, const struct schema_node *n, struct slice text,
                         const struct place *place, struct problem *problem)
{
    bool ok = true;
    int64_t len = n->min_length >= 0 || n->max_length >= 0 ? (int64_t)utf8_count(text) : 0;
    if (n->min_length >= 0 && len < n->min_length)
        ok = complain(w, problem, place, "must have at least %lld characters", (long long)n->min_length);
    if (n->max_length >= 0 && len > n->max_length)
        ok = complain(w, problem, place, "must have at most %lld characters", (long long)n->max_length);
    if (n->pattern && !contract_pattern_match(n->pattern, text))
        ok = complain(w, problem, place, "must match %.*s", SLICE_ARG(slice_head(n->pattern_text, 120)));
    if (n->format && !n->format(text))
        ok = complain(w, problem, place, "must be a valid %.*s", SLICE_ARG(n->format_name));
    return ok;
}

static bool check_value(struct walk *w, const struct schema_node *n, const json_t *v,
                        const struct place *place, struct problem *problem)
{
    bool ok = check_types(w, n, v, place, problem);
    if (n->constant && !schema__equal(v, n->constant))
        ok = complain(w, problem, place, "must be the one value that is allowed");
    if (n->enumeration) {
        bool found = false;
        for (size_t i = 0; i < json_array_size(n->enumeration) && !found; i++)
            found = schema__equal(v, json_array_get(n->enumeration, i));
        if (!found)
            ok = complain(w, problem, place, "must be one of the values that are allowed");
    }
    if (json_is_number(v))
        ok &= check_number(w, n, v, place, problem);
    if (json_is_string(v))
        ok &= check_string(w, n, slice_of(json_string_value(v), json_string_length(v)), place, problem);
    return ok;
}

/* -- arrays ------------------------------------------------------------------------------------------------------------ */

static bool check_unique(struct walk *w, const json_t *v, const struct place *place, struct problem *problem)
{
    size_t len = json_array_size(v);
    for (size_t i = 0; i < len; i++)
        for (size_t j = i + 1; j < len; j++) {
            if (++w->steps > SCHEMA_STEPS_MAX) {
                w->overrun = true;
                return false;
            }
            if (schema__equal(json_array_get(v, i), json_array_get(v, j)))
                return complain(w, problem, place, "items %zu and %zu are the same", i, j);
        }
    return true;
}

static bool check_contains(struct walk *w, const struct schema_node *n, const json_t *v,
                           const struct place *place, const struct scope *scope, struct problem *problem,
                           struct seen *seen)
{
    int64_t matches = 0;
    size_t len = json_array_size(v);
    for (size_t i = 0; i < len; i++) {
        struct place at = { .up = place, .index = i };
        if (!evaluate(w, n->contains, json_array_get(v, i), &at, scope, NULL, NULL))
            continue;
        matches++;
        mark_item(w, seen, i, len);
    }
    int64_t least = n->min_contains >= 0 ? n->min_contains : 1;
    if (matches < least)
        return complain(w, problem, place, "must contain at least %lld items of a kind", (long long)least);
    if (n->max_contains >= 0 && matches > n->max_contains)
        return complain(w, problem, place, "must contain at most %lld items of a kind",
                        (long long)n->max_contains);
    return true;
}

static bool check_array(struct walk *w, const struct schema_node *n, const json_t *v,
                        const struct place *place, const struct scope *scope, struct problem *problem,
                        struct seen *seen)
{
    bool ok = true;
    size_t len = json_array_size(v);
    if (n->min_items >= 0 && (int64_t)len < n->min_items)
        ok = complain(w, problem, place, "must have at least %lld items", (long long)n->min_items);
    if (n->max_items >= 0 && (int64_t)len > n->max_items)
        ok = complain(w, problem, place, "must have at most %lld items", (long long)n->max_items);
    if (n->unique_items)
        ok &= check_unique(w, v, place, problem);
    for (size_t i = 0; i < len && (ok || problem) && !w->overrun; i++) {
        const struct schema_node *item = i < n->prefix_items.len ? n->prefix_items.items[i] : n->items;
        struct place at = { .up = place, .index = i };
        if (item)
            ok &= evaluate(w, item, json_array_get(v, i), &at, scope, problem, NULL);
    }
    if (seen) {
        seen->items_upto = MAX(seen->items_upto, MIN((size_t)n->prefix_items.len, len));
        seen->all_items |= n->items != NULL;
    }
    if (n->contains)
        ok &= check_contains(w, n, v, place, scope, problem, seen);
    return ok;
}

/* -- objects ------------------------------------------------------------------------------------------------------------- */

static const struct schema_node *named(const struct schema_members *members, const char *key)
{
    struct slice name = slice_cstr(key);
    for (unsigned i = 0; i < members->len; i++)
        if (slice_eq(members->items[i].name, name))
            return members->items[i].node;
    return NULL;
}

static bool check_member(struct walk *w, const struct schema_node *n, const char *key, const json_t *value,
                         const struct place *place, const struct scope *scope, struct problem *problem,
                         struct seen *seen)
{
    bool ok = true, known = false;
    struct place at = { .up = place, .key = key };
    const struct schema_node *property = named(&n->properties, key);
    if (property) {
        known = true;
        ok &= evaluate(w, property, value, &at, scope, problem, NULL);
    }
    for (unsigned i = 0; i < n->pattern_properties.len; i++) {
        const struct schema_member *m = &n->pattern_properties.items[i];
        if (!contract_pattern_match(m->pattern, slice_cstr(key)))
            continue;
        known = true;
        ok &= evaluate(w, m->node, value, &at, scope, problem, NULL);
    }
    if (!known && n->additional_properties) {
        known = true;
        if (n->additional_properties->kind == SCHEMA_FALSE)
            ok = complain(w, problem, &at, "is not a known member");
        else
            ok &= evaluate(w, n->additional_properties, value, &at, scope, problem, NULL);
    }
    if (known)
        mark_key(w, seen, key);
    return ok;
}

static bool check_required(struct walk *w, const json_t *names, const json_t *v, const struct place *place,
                           struct problem *problem)
{
    bool ok = true;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        struct place at = { .up = place, .key = name };
        if (!json_object_get(v, name))
            ok = complain(w, problem, &at, "is required");
    }
    return ok;
}

static bool check_name(struct walk *w, const struct schema_node *n, const char *key,
                       const struct place *place, const struct scope *scope, struct problem *problem)
{
    struct place at = { .up = place, .key = key };
    struct arena *before = json_arena_set(w->arena);
    json_t *name = json_string(key);
    (void)json_arena_set(before);
    if (!name) {
        w->overrun = true;
        return false;
    }
    if (evaluate(w, n->property_names, name, &at, scope, NULL, NULL))
        return true;
    return complain(w, problem, &at, "this name is not allowed");
}

static bool check_object(struct walk *w, const struct schema_node *n, const json_t *v,
                         const struct place *place, const struct scope *scope, struct problem *problem,
                         struct seen *seen)
{
    bool ok = true;
    int64_t size = (int64_t)json_object_size(v);
    const char *key;
    json_t *value, *object = (json_t *)(uintptr_t)v;
    if (n->min_properties >= 0 && size < n->min_properties)
        ok = complain(w, problem, place, "must have at least %lld members", (long long)n->min_properties);
    if (n->max_properties >= 0 && size > n->max_properties)
        ok = complain(w, problem, place, "must have at most %lld members", (long long)n->max_properties);
    if (n->required)
        ok &= check_required(w, n->required, v, place, problem);
    json_object_foreach(object, key, value)
    {
        if ((!ok && !problem) || w->overrun)
            break;
        if (n->property_names)
            ok &= check_name(w, n, key, place, scope, problem);
        ok &= check_member(w, n, key, value, place, scope, problem, seen);
    }
    json_object_foreach((json_t *)(uintptr_t)n->dependent_required, key, value)
    {
        if (json_object_get(v, key))
            ok &= check_required(w, value, v, place, problem);
    }
    for (unsigned i = 0; i < n->dependent_schemas.len; i++) {
        const struct schema_member *m = &n->dependent_schemas.items[i];
        char name[256];
        if (m->name.len >= sizeof(name))
            continue;
        memcpy(name, m->name.data, m->name.len);
        name[m->name.len] = 0;
        if (json_object_get(v, name))
            ok &= evaluate(w, m->node, v, place, scope, problem, seen);
    }
    return ok;
}

/* -- combinations ---------------------------------------------------------------------------------------------------------- */

/* Evaluate a branch whose annotations count only when it holds. */
static bool branch(struct walk *w, const struct schema_node *n, const json_t *v, const struct place *place,
                   const struct scope *scope, struct seen *seen)
{
    struct seen own = { 0 };
    bool ok = evaluate(w, n, v, place, scope, NULL, seen ? &own : NULL);
    if (ok)
        merge(w, seen, &own, json_array_size(v));
    return ok;
}

static bool check_any(struct walk *w, const struct schema_node *n, const json_t *v,
                      const struct place *place, const struct scope *scope, struct problem *problem,
                      struct seen *seen)
{
    unsigned matches = 0;
    bool ok = true;
    for (unsigned i = 0; i < n->any_of.len; i++) {
        matches += branch(w, n->any_of.items[i], v, place, scope, seen);
        if (matches && !seen)
            break;
    }
    if (n->any_of.len && !matches)
        ok = complain(w, problem, place, "fits none of the alternatives");
    matches = 0;
    for (unsigned i = 0; i < n->one_of.len; i++)
        matches += branch(w, n->one_of.items[i], v, place, scope, seen);
    if (n->one_of.len && matches != 1)
        ok = complain(w, problem, place, matches ? "fits more than one of the alternatives"
                                                 : "fits none of the alternatives");
    return ok;
}

static const struct schema_node *dynamic_target(const struct walk *w, const struct schema_node *n,
                                                const struct scope *scope)
{
    const struct schema_node *target = n->dynamic_ref;
    if (!n->dynamic_name.len)
        return target;
    for (; scope; scope = scope->up)
        for (const struct schema_anchor *a = w->schema->anchors; a; a = a->next)
            if (a->dynamic && a->resource == scope->resource && slice_eq(a->name, n->dynamic_name))
                for (const struct schema_node *node = w->schema->nodes; node; node = node->next)
                    if (node->json == a->json)
                        target = node; /* the outermost one wins: keep going */
    return target;
}

static bool check_combinations(struct walk *w, const struct schema_node *n, const json_t *v,
                               const struct place *place, const struct scope *scope,
                               struct problem *problem, struct seen *seen)
{
    bool ok = true;
    if (n->ref)
        ok &= evaluate(w, n->ref, v, place, scope, problem, seen);
    if (n->dynamic_ref)
        ok &= evaluate(w, dynamic_target(w, n, scope), v, place, scope, problem, seen);
    for (unsigned i = 0; i < n->all_of.len && (ok || problem); i++)
        ok &= evaluate(w, n->all_of.items[i], v, place, scope, problem, seen);
    ok &= check_any(w, n, v, place, scope, problem, seen);
    if (n->not_ && evaluate(w, n->not_, v, place, scope, NULL, NULL))
        ok = complain(w, problem, place, "is what it must not be");
    if (n->if_) {
        const struct schema_node *next = branch(w, n->if_, v, place, scope, seen) ? n->then_ : n->else_;
        if (next)
            ok &= evaluate(w, next, v, place, scope, problem, seen);
    }
    return ok;
}

static bool check_unevaluated(struct walk *w, const struct schema_node *n, const json_t *v,
                              const struct place *place, const struct scope *scope,
                              struct problem *problem, struct seen *seen)
{
    bool ok = true;
    const char *key;
    json_t *value;
    if (n->unevaluated_properties && json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, value)
        {
            struct place at = { .up = place, .key = key };
            if (has_key(seen, key))
                continue;
            if (n->unevaluated_properties->kind == SCHEMA_FALSE)
                ok = complain(w, problem, &at, "is not a known member");
            else
                ok &= evaluate(w, n->unevaluated_properties, value, &at, scope, problem, NULL);
        }
        seen->all_keys = true;
    }
    if (n->unevaluated_items && json_is_array(v)) {
        for (size_t i = seen->items_upto; !seen->all_items && i < json_array_size(v); i++) {
            struct place at = { .up = place, .index = i };
            if (!(seen->items && seen->items[i]))
                ok &= evaluate(w, n->unevaluated_items, json_array_get(v, i), &at, scope, problem, NULL);
        }
        seen->all_items = true;
    }
    return ok;
}

/* Is the instance itself a schema? By compiling it. */
static bool check_meta(struct walk *w, const json_t *v, const struct place *place, struct problem *problem)
{
    struct json_schema *schema = NULL;
    if (json_schema_compile(v, w->arena, &schema, NULL) != STATUS_OK)
        return complain(w, problem, place, "is not a JSON Schema");
    json_schema_free(schema);
    return true;
}

static bool evaluate_keywords(struct walk *w, const struct schema_node *n, const json_t *v,
                              const struct place *place, const struct scope *scope,
                              struct problem *problem, struct seen *seen)
{
    struct scope inner = { .up = scope, .resource = n->resource };
    const struct scope *here = scope && scope->resource == n->resource ? scope : &inner;
    /* Annotations of this node's own, so that unevaluated* sees what stands beside it and below it only. */
    struct seen own = { 0 };
    struct seen *collect = w->schema->has_unevaluated ? &own : NULL;
    bool ok = check_value(w, n, v, place, problem);
    if (json_is_array(v))
        ok &= check_array(w, n, v, place, here, problem, collect);
    else if (json_is_object(v))
        ok &= check_object(w, n, v, place, here, problem, collect);
    if (ok || problem)
        ok &= check_combinations(w, n, v, place, here, problem, collect);
    if (collect && (ok || problem)) {
        ok &= check_unevaluated(w, n, v, place, here, problem, collect);
        if (ok)
            merge(w, seen, collect, json_array_size(v));
    }
    return ok;
}

static bool evaluate(struct walk *w, const struct schema_node *n, const json_t *v,
                     const struct place *place, const struct scope *scope, struct problem *problem,
                     struct seen *seen)
{
    if (w->overrun || ++w->steps > SCHEMA_STEPS_MAX || w->calls >= SCHEMA_CALLS_MAX) {
        w->overrun = true;
        return false;
    }
    switch (n->kind) {
    case SCHEMA_TRUE:
        return true;
    case SCHEMA_FALSE:
        return complain(w, problem, place, "nothing is allowed here");
    case SCHEMA_META:
        return check_meta(w, v, place, problem);
    case SCHEMA_KEYWORDS:
        break;
    }
    w->calls++;
    bool ok = evaluate_keywords(w, n, v, place, scope, problem, seen);
    w->calls--;
    return ok;
}

bool json_schema_validate(const struct json_schema *schema, const json_t *instance,
                          struct arena *arena, struct slice prefix, struct problem *problem)
{
    struct walk w = { .schema = schema, .arena = arena, .prefix = prefix };
    /* Most instances are valid: find that out first, without collecting complaints. */
    bool ok = evaluate(&w, schema->root, instance, NULL, NULL, NULL, NULL);
    if (ok && !w.overrun)
        return true;
    if (!w.overrun && problem) {
        w.steps = 0;
        (void)evaluate(&w, schema->root, instance, NULL, NULL, problem, NULL);
    }
    if (w.overrun && problem)
        problem_field_add(problem, arena, prefix, "schema_too_complex",
                          "takes too much work to check against its schema");
    return false;
}
