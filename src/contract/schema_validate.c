/*
 * Walks nodes and instance together. Which members and items a node has evaluated (for
 * unevaluatedProperties and unevaluatedItems) is collected only where such a keyword listens. Most
 * instances are valid, so a first walk finds only that out; a second one, with the problem, says
 * everything that is wrong. The walk is bounded in steps and in depth, as references may loop.
 */
#include "contract/schema.h"

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
#include "contract/schema_private.h"

/* A pattern's price in steps, and the text that costs one more. */
#define PATTERN_STEPS 4u
#define PATTERN_STEP_BYTES 64u
/* Members up to this many are looked for one after the other. */
#define MEMBERS_LINEAR_MAX 6u

/* A frame of its own: inlined, each call of evaluate would take the stack of all of them. */
#define APART __attribute__((noinline))

/* Where in the instance we are. */
struct place {
    const struct place *up;
    const char *key; /* of an object's member, else NULL */
    size_t index;
};

/* What has been evaluated of one object or array: a bit for each member, in the order of a walk
 * through it, or item. */
struct seen {
    bool all;
    uint64_t few;   /* of the first 64 */
    uint64_t *rest; /* of those after them, in the arena; NULL: there are none */
};

/* The schema resources entered so far, for $dynamicRef. */
struct scope {
    const struct scope *up;
    const struct schema_resource *resource;
};

/* One value and who listens. */
struct look {
    const json_t *value;
    const struct place *place;
    const struct scope *scope;
    struct problem *problem; /* NULL: it does not matter why not */
    struct seen *seen;       /* NULL: it does not matter what was evaluated */
};

struct walk {
    const struct json_schema *schema;
    struct arena *arena;
    struct slice prefix;
    unsigned steps; /* that are left */
    unsigned calls;
    uintptr_t stack; /* where the walk began */
    bool overrun;
};

static bool evaluate(struct walk *w, const struct schema_node *n, const struct look *look);

/* -- complaints
 * ---------------------------------------------------------------------------------------------------
 */

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
    const struct place *path[SCHEMA_DEPTH_MAX + 2];
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

/* Apart from complain, so that a walk nobody listens to needs no room for the text. */
__attribute__((noinline, format(printf, 4, 0))) static void
complain_to(struct walk *w, struct problem *problem, const struct place *place, const char *format,
            va_list args)
{
    char text[200];
    (void)vsnprintf(text, sizeof(text), format, args);
    problem_field_add(problem, w->arena, pointer_of(w, place), "schema", "%s", text);
}

/* Always false, so that `ok &= complain(...)` reads well. */
__attribute__((format(printf, 4, 5))) static bool complain(struct walk *w, const struct look *look,
                                                           const struct place *place,
                                                           const char *format, ...)
{
    va_list args;
    if (!look->problem)
        return false;
    va_start(args, format);
    complain_to(w, look->problem, place, format, args);
    va_end(args);
    return false;
}

static bool give_up(struct walk *w)
{
    w->overrun = true;
    return false;
}

static bool spend(struct walk *w, size_t steps)
{
    if (w->steps < steps)
        return give_up(w);
    w->steps -= (unsigned)steps;
    return true;
}

/* Whether to go on after a failure: to hear the other complaints, as long as there is room for
 * them. */
static bool goes_on(const struct walk *w, const struct look *look, bool ok)
{
    return (ok || (look->problem && !look->problem->fields_dropped)) && !w->overrun;
}

/* -- what has been evaluated
 * ---------------------------------------------------------------------------------------- */

static size_t parts_of(const json_t *v)
{
    return json_is_array(v) ? json_array_size(v) : json_object_size(v);
}

static void seen_init(struct walk *w, struct seen *seen, size_t parts)
{
    *seen = (struct seen){ 0 };
    if (parts <= 64)
        return;
    seen->rest = arena_array_of(w->arena, uint64_t, parts / 64);
    if (!seen->rest)
        (void)give_up(w);
}

static uint64_t *seen_word(struct seen *seen, size_t index)
{
    return index < 64 ? &seen->few : seen->rest ? &seen->rest[index / 64 - 1] : NULL;
}

static bool is_seen(struct seen *seen, size_t index)
{
    const uint64_t *word = seen_word(seen, index);
    return seen->all || (word && (*word >> (index % 64) & 1));
}

static void mark(struct seen *seen, size_t index)
{
    uint64_t *word = seen ? seen_word(seen, index) : NULL;
    if (word)
        *word |= (uint64_t)1 << (index % 64);
}

static void merge(struct seen *into, const struct seen *from, size_t parts)
{
    into->all |= from->all;
    into->few |= from->few;
    for (size_t i = 0; into->rest && from->rest && i < parts / 64; i++)
        into->rest[i] |= from->rest[i];
}

/* -- single values
 * -------------------------------------------------------------------------------------------------
 */

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

__attribute__((noinline)) static bool complain_of_type(struct walk *w, const struct schema_node *n,
                                                       const struct look *look)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        { SCHEMA_NULL, "null" },          { SCHEMA_BOOLEAN, "a boolean" },
        { SCHEMA_INTEGER, "an integer" }, { SCHEMA_NUMBER, "a number" },
        { SCHEMA_STRING, "a string" },    { SCHEMA_ARRAY, "an array" },
        { SCHEMA_OBJECT, "an object" },
    };
    char text[120] = "";
    for (size_t i = 0; look->problem && i < ARRAY_LEN(names); i++) {
        size_t len = strlen(text);
        if (n->types & names[i].bit)
            (void)snprintf(text + len, sizeof(text) - len, "%s%s", len ? " or " : "",
                           names[i].name);
    }
    return complain(w, look, look->place, "must be %s", text);
}

static bool check_number(struct walk *w, const struct schema_node *n, const struct look *look)
{
    const json_t *v = look->value;
    bool ok = true;
    if (n->minimum && schema__number_compare(v, n->minimum) < 0)
        ok =
            complain(w, look, look->place, "must be at least %.15g", json_number_value(n->minimum));
    if (n->maximum && schema__number_compare(v, n->maximum) > 0)
        ok = complain(w, look, look->place, "must be at most %.15g", json_number_value(n->maximum));
    if (n->exclusive_minimum && schema__number_compare(v, n->exclusive_minimum) <= 0)
        ok = complain(w, look, look->place, "must be above %.15g",
                      json_number_value(n->exclusive_minimum));
    if (n->exclusive_maximum && schema__number_compare(v, n->exclusive_maximum) >= 0)
        ok = complain(w, look, look->place, "must be below %.15g",
                      json_number_value(n->exclusive_maximum));
    if (n->multiple_of && !schema__is_multiple(schema__decimal(v), n->multiple_decimal))
        ok = complain(w, look, look->place, "must be a multiple of %.15g",
                      json_number_value(n->multiple_of));
    return ok;
}

static bool matches(struct walk *w, const struct contract_pattern *pattern, struct slice text)
{
    if (!spend(w, PATTERN_STEPS + text.len / PATTERN_STEP_BYTES))
        return false;
    enum contract_pattern_answer answer = contract_pattern_try(pattern, text);
    return answer == CONTRACT_PATTERN_SPENT ? give_up(w) : answer == CONTRACT_PATTERN_MATCHES;
}

static bool check_string(struct walk *w, const struct schema_node *n, const struct look *look)
{
    struct slice text = json_slice(look->value);
    bool ok = true;
    int64_t len = n->min_length >= 0 || n->max_length >= 0 ? (int64_t)utf8_count(text) : 0;
    if (n->min_length >= 0 && len < n->min_length)
        ok = complain(w, look, look->place, "must have at least %lld characters",
                      (long long)n->min_length);
    if (n->max_length >= 0 && len > n->max_length)
        ok = complain(w, look, look->place, "must have at most %lld characters",
                      (long long)n->max_length);
    if (n->pattern && !matches(w, n->pattern, text))
        ok = complain(w, look, look->place, "must match %.*s",
                      SLICE_ARG(slice_head(n->pattern_text, 120)));
    if (n->format && !(spend(w, PATTERN_STEPS) && n->format(text)))
        ok = complain(w, look, look->place, "must be a valid %.*s", SLICE_ARG(n->format_name));
    return ok;
}

static bool is_listed(struct walk *w, const json_t *list, const json_t *v)
{
    const json_t *item;
    size_t index;
    json_array_foreach(schema__mutable(list), index,
                       item) if (schema__equal(item, v, &w->steps)) return true;
    return false;
}

/* Keywords that look at the value as a whole. */
APART static bool check_value(struct walk *w, const struct schema_node *n, const struct look *look)
{
    const json_t *v = look->value;
    bool ok = true;
    if (n->types && !(n->types & type_of(v)))
        ok = complain_of_type(w, n, look);
    if (n->constant && !schema__equal(n->constant, v, &w->steps))
        ok = complain(w, look, look->place, "must be the one value that is allowed");
    if (n->enumeration && !is_listed(w, n->enumeration, v))
        ok = complain(w, look, look->place, "is not one of the values that are allowed");
    if (json_is_string(v))
        ok &= check_string(w, n, look);
    else if (json_is_number(v))
        ok &= check_number(w, n, look);
    if (!w->steps)
        return give_up(w);
    return ok;
}

/* -- arrays
 * --------------------------------------------------------------------------------------------------------
 */

static bool check_unique(struct walk *w, const struct look *look)
{
    bool found;
    size_t a = 0, b = 0;
    if (schema__find_twins(look->value, w->arena, &w->steps, &found, &a, &b) != STATUS_OK)
        return give_up(w);
    return found ? complain(w, look, look->place, "items %zu and %zu are the same", a, b) : true;
}

APART static bool check_contains(struct walk *w, const struct schema_node *n,
                                 const struct look *look)
{
    int64_t count = 0;
    size_t len = json_array_size(look->value);
    for (size_t i = 0; i < len && !w->overrun; i++) {
        const struct place place = { .up = look->place, .index = i };
        const struct look at = { json_array_get(look->value, i), &place, look->scope, NULL, NULL };
        if (!evaluate(w, n->contains, &at))
            continue;
        count++;
        mark(look->seen, i);
    }
    int64_t least = n->min_contains >= 0 ? n->min_contains : 1;
    if (count < least)
        return complain(w, look, look->place,
                        "has %lld of the items it must contain at least %lld of", (long long)count,
                        (long long)least);
    if (n->max_contains >= 0 && count > n->max_contains)
        return complain(w, look, look->place,
                        "has %lld of the items it must contain at most %lld of", (long long)count,
                        (long long)n->max_contains);
    return true;
}

APART static bool check_items(struct walk *w, const struct schema_node *n, const struct look *look,
                              bool ok)
{
    size_t len = json_array_size(look->value);
    for (size_t i = 0; i < len && goes_on(w, look, ok); i++) {
        const struct schema_node *item =
            i < n->prefix_items.len ? n->prefix_items.items[i] : n->items;
        const struct place place = { .up = look->place, .index = i };
        const struct look at = { json_array_get(look->value, i), &place, look->scope, look->problem,
                                 NULL };
        if (!item)
            break;
        mark(look->seen, i);
        ok &= evaluate(w, item, &at);
    }
    return ok;
}

APART static bool check_array(struct walk *w, const struct schema_node *n, const struct look *look)
{
    bool ok = true;
    int64_t len = (int64_t)json_array_size(look->value);
    if (n->min_items >= 0 && len < n->min_items)
        ok = complain(w, look, look->place, "must have at least %lld items",
                      (long long)n->min_items);
    if (n->max_items >= 0 && len > n->max_items)
        ok =
            complain(w, look, look->place, "must have at most %lld items", (long long)n->max_items);
    if (n->unique_items)
        ok &= check_unique(w, look);
    if (n->prefix_items.len || n->items)
        ok = check_items(w, n, look, ok);
    if (n->contains && goes_on(w, look, ok))
        ok &= check_contains(w, n, look);
    return ok;
}

/* -- objects
 * -------------------------------------------------------------------------------------------------------
 */

static const struct schema_node *find_named(const struct schema_members *members, struct slice name)
{
    unsigned low = 0, high = members->len;
    while (high - low > MEMBERS_LINEAR_MAX) {
        unsigned middle = low + (high - low) / 2;
        if (schema__name_cmp(members->items[middle].name, name) <= 0)
            low = middle;
        else
            high = middle;
    }
    for (; low < high; low++)
        if (slice_eq(members->items[low].name, name))
            return members->items[low].node;
    return NULL;
}

/* One member's value, at index `i`. */
static bool check_member(struct walk *w, const struct schema_node *n, const struct look *at,
                         struct seen *seen, size_t i)
{
    struct slice name = slice_cstr(at->place->key);
    bool ok = true, known = false;
    const struct schema_node *property = find_named(&n->properties, name);
    if (property) {
        known = true;
        ok &= evaluate(w, property, at);
    }
    for (unsigned p = 0; p < n->pattern_properties.len && goes_on(w, at, ok); p++) {
        const struct schema_member *m = &n->pattern_properties.items[p];
        if (!matches(w, m->pattern, name))
            continue;
        known = true;
        ok &= evaluate(w, m->node, at);
    }
    if (!known && n->additional_properties) {
        known = true;
        if (n->additional_properties->kind == SCHEMA_FALSE)
            ok = complain(w, at, at->place, "is not a known member");
        else
            ok &= evaluate(w, n->additional_properties, at);
    }
    if (known)
        mark(seen, i);
    return ok;
}

static bool check_required(struct walk *w, const json_t *names, const struct look *look)
{
    bool ok = true;
    const json_t *name;
    size_t index;
    json_array_foreach(schema__mutable(names), index, name)
    {
        const struct place place = { .up = look->place, .key = json_string_value(name) };
        if (!json_object_getn(look->value, place.key, json_string_length(name)))
            ok = complain(w, look, &place, "is required");
    }
    return ok;
}

APART static bool check_name(struct walk *w, const struct schema_node *n, const struct look *member)
{
    struct arena_mark rest = arena_mark(w->arena);
    struct arena *before = json_arena_set(w->arena);
    const json_t *name = json_string_nocheck(member->place->key);
    (void)json_arena_set(before);
    if (!name)
        return give_up(w);
    const struct look at = { name, member->place, member->scope, NULL, NULL };
    bool ok = evaluate(w, n->property_names, &at);
    arena_rewind(w->arena, rest);
    return ok ? true : complain(w, member, member->place, "this name is not allowed");
}

APART static bool check_members(struct walk *w, const struct schema_node *n,
                                const struct look *look, bool ok)
{
    size_t i = 0;
    const char *key;
    json_t *value;
    json_object_foreach(schema__mutable(look->value), key, value)
    {
        const struct place place = { .up = look->place, .key = key };
        const struct look at = { value, &place, look->scope, look->problem, NULL };
        if (!goes_on(w, look, ok))
            break;
        if (n->property_names)
            ok &= check_name(w, n, &at);
        ok &= check_member(w, n, &at, look->seen, i++);
    }
    return ok;
}

APART static bool check_dependents(struct walk *w, const struct schema_node *n,
                                   const struct look *look)
{
    bool ok = true;
    const char *key;
    json_t *names;
    json_object_foreach(schema__mutable(n->dependent_required), key, names)
    {
        if (json_object_get(look->value, key))
            ok &= check_required(w, names, look);
    }
    for (unsigned i = 0; i < n->dependent_schemas.len && goes_on(w, look, ok); i++) {
        const struct schema_member *m = &n->dependent_schemas.items[i];
        if (json_object_getn(look->value, m->name.data, m->name.len))
            ok &= evaluate(w, m->node, look);
    }
    return ok;
}

APART static bool check_object(struct walk *w, const struct schema_node *n, const struct look *look)
{
    bool ok = true;
    int64_t size = (int64_t)json_object_size(look->value);
    if (n->min_properties >= 0 && size < n->min_properties)
        ok = complain(w, look, look->place, "must have at least %lld members",
                      (long long)n->min_properties);
    if (n->max_properties >= 0 && size > n->max_properties)
        ok = complain(w, look, look->place, "must have at most %lld members",
                      (long long)n->max_properties);
    if (n->required)
        ok &= check_required(w, n->required, look);
    if (n->properties.len || n->pattern_properties.len || n->additional_properties ||
        n->property_names)
        ok = check_members(w, n, look, ok);
    if ((n->dependent_required || n->dependent_schemas.len) && goes_on(w, look, ok))
        ok &= check_dependents(w, n, look);
    return ok;
}

/* -- combinations
 * --------------------------------------------------------------------------------------------------
 */

/* A branch is tried in silence, and what it evaluated counts only when it holds. */
static bool try_branch(struct walk *w, const struct schema_node *n, const struct look *look)
{
    struct look at = *look;
    at.problem = NULL;
    return evaluate(w, n, &at);
}

APART static bool check_any(struct walk *w, const struct schema_node *n, const struct look *look)
{
    bool holds = false;
    for (unsigned i = 0; i < n->any_of.len && !w->overrun && (!holds || look->seen); i++)
        holds |= try_branch(w, n->any_of.items[i], look);
    /* Of one alternative its own complaints say more. */
    if (!holds && n->any_of.len == 1 && look->problem)
        return evaluate(w, n->any_of.items[0], look);
    return holds ? true : complain(w, look, look->place, "fits none of the alternatives");
}

APART static bool check_one(struct walk *w, const struct schema_node *n, const struct look *look)
{
    unsigned hold = 0;
    for (unsigned i = 0; i < n->one_of.len && !w->overrun && hold < 2; i++)
        hold += try_branch(w, n->one_of.items[i], look);
    if (!hold && n->one_of.len == 1 && look->problem)
        return evaluate(w, n->one_of.items[0], look);
    if (hold == 1)
        return true;
    return complain(w, look, look->place,
                    hold ? "fits more than one of the alternatives"
                         : "fits none of the alternatives");
}

/* The outermost resource on the way here that has the dynamic anchor decides. */
static const struct schema_node *dynamic_target(const struct schema_node *n,
                                                const struct scope *scope)
{
    const struct schema_node *target = n->dynamic_ref;
    if (!n->dynamic_name.len)
        return target;
    for (; scope; scope = scope->up)
        for (const struct schema_anchor *a = scope->resource->anchors; a; a = a->next)
            if (a->dynamic && slice_eq(a->name, n->dynamic_name))
                target = a->node;
    return target;
}

APART static bool check_combinations(struct walk *w, const struct schema_node *n,
                                     const struct look *look)
{
    bool ok = true;
    if (n->ref)
        ok &= evaluate(w, n->ref, look);
    if (n->dynamic_ref)
        ok &= evaluate(w, dynamic_target(n, look->scope), look);
    for (unsigned i = 0; i < n->all_of.len && goes_on(w, look, ok); i++)
        ok &= evaluate(w, n->all_of.items[i], look);
    if (n->any_of.len && goes_on(w, look, ok))
        ok &= check_any(w, n, look);
    if (n->one_of.len && goes_on(w, look, ok))
        ok &= check_one(w, n, look);
    if (n->not_ && goes_on(w, look, ok)) {
        const struct look at = { look->value, look->place, look->scope, NULL, NULL };
        if (evaluate(w, n->not_, &at))
            ok = complain(w, look, look->place, "is what it must not be");
    }
    if (n->if_ && goes_on(w, look, ok)) {
        const struct schema_node *next = try_branch(w, n->if_, look) ? n->then_ : n->else_;
        if (next)
            ok &= evaluate(w, next, look);
    }
    return ok;
}

static bool check_rest(struct walk *w, const struct schema_node *rest, const struct look *at)
{
    if (rest->kind == SCHEMA_FALSE)
        return complain(w, at, at->place,
                        at->place->key ? "is not a known member" : "is one item too many");
    return evaluate(w, rest, at);
}

APART static bool check_unevaluated(struct walk *w, const struct schema_node *n,
                                    const struct look *look)
{
    bool ok = true;
    size_t i = 0;
    const char *key;
    json_t *value;
    if (n->unevaluated_properties && json_is_object(look->value)) {
        json_object_foreach(schema__mutable(look->value), key, value)
        {
            const struct place place = { .up = look->place, .key = key };
            const struct look at = { value, &place, look->scope, look->problem, NULL };
            if (!is_seen(look->seen, i++) && goes_on(w, look, ok))
                ok &= check_rest(w, n->unevaluated_properties, &at);
        }
        look->seen->all = true;
    }
    if (n->unevaluated_items && json_is_array(look->value)) {
        json_array_foreach(schema__mutable(look->value), i, value)
        {
            const struct place place = { .up = look->place, .index = i };
            const struct look at = { value, &place, look->scope, look->problem, NULL };
            if (!is_seen(look->seen, i) && goes_on(w, look, ok))
                ok &= check_rest(w, n->unevaluated_items, &at);
        }
        look->seen->all = true;
    }
    return ok;
}

/* -- nodes
 * ---------------------------------------------------------------------------------------------------------
 */

static bool check_keywords(struct walk *w, const struct schema_node *n, const struct look *look)
{
    bool ok = check_value(w, n, look);
    if (!goes_on(w, look, ok))
        return false;
    if (json_is_array(look->value))
        ok &= check_array(w, n, look);
    else if (json_is_object(look->value))
        ok &= check_object(w, n, look);
    if (!n->is_plain && goes_on(w, look, ok))
        ok &= check_combinations(w, n, look);
    return ok;
}

/*
 * With annotations of its own, so that unevaluated* sees what stands beside it and below it only.
 * Apart from evaluate, as is what changes the scope, so that most calls take little stack.
 */
__attribute__((noinline)) static bool check_and_collect(struct walk *w, const struct schema_node *n,
                                                        const struct look *outer)
{
    struct look look = *outer;
    struct seen own;
    size_t parts = parts_of(look.value);
    struct arena_mark rest = arena_mark(w->arena);
    seen_init(w, &own, parts);
    look.seen = &own;
    bool ok = !w->overrun && check_keywords(w, n, &look);
    if (goes_on(w, &look, ok))
        ok &= check_unevaluated(w, n, &look);
    /* What failed is invalid whatever is merged; merging it keeps members that are known from being
     * called unknown too. */
    if (outer->seen && (ok || outer->problem))
        merge(outer->seen, &own, parts);
    if (!look.problem)
        arena_rewind(w->arena, rest);
    return ok;
}

static bool collects(const struct schema_node *n, const struct look *look)
{
    if (json_is_object(look->value))
        return n->unevaluated_properties || (look->seen && !n->is_plain);
    return json_is_array(look->value) && (n->unevaluated_items || (look->seen && !n->is_plain));
}

__attribute__((noinline)) static bool evaluate_in_scope(struct walk *w, const struct schema_node *n,
                                                        const struct look *look)
{
    const struct scope scope = { .up = look->scope, .resource = n->resource };
    struct look at = *look;
    at.scope = &scope;
    return evaluate(w, n, &at);
}

/* Frames differ from compiler to compiler, so the bytes count. Stacks grow down wherever this runs.
 */
static size_t stack_used(const struct walk *w)
{
    return w->stack - (uintptr_t)__builtin_frame_address(0);
}

static bool evaluate(struct walk *w, const struct schema_node *n, const struct look *look)
{
    if (n->kind == SCHEMA_KEYWORDS && (!look->scope || look->scope->resource != n->resource))
        return evaluate_in_scope(w, n, look);
    if (!spend(w, 1) || w->calls >= SCHEMA_CALLS_MAX || stack_used(w) > SCHEMA_STACK_BYTES)
        return give_up(w);
    if (n->kind != SCHEMA_KEYWORDS)
        return n->kind == SCHEMA_TRUE ? true
                                      : complain(w, look, look->place, "nothing is allowed here");
    w->calls++;
    bool ok = collects(n, look) ? check_and_collect(w, n, look) : check_keywords(w, n, look);
    w->calls--;
    return ok && !w->overrun;
}

bool json_schema_validate(const struct json_schema *schema, const json_t *instance,
                          struct arena *arena, struct slice prefix, struct problem *problem)
{
    struct walk w = {
        .schema = schema,
        .arena = arena,
        .prefix = prefix,
        .steps = SCHEMA_STEPS_MAX,
        .stack = (uintptr_t)__builtin_frame_address(0),
    };
    struct look look = { .value = instance };
    if (evaluate(&w, schema->root, &look))
        return true;
    if (!problem)
        return false;
    if (!w.overrun) {
        w.steps = SCHEMA_STEPS_MAX;
        look.problem = problem;
        (void)evaluate(&w, schema->root, &look);
    }
    if (w.overrun)
        problem_field_add(problem, arena, prefix, "schema_too_complex",
                          "takes too much work to check against its schema");
    return false;
}
