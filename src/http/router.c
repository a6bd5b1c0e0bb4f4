/*
 * http/router.c - From a path to a route. Patterns form a tree by segments; paths without
 * parameters (most routes, and all of the hottest) are found in a table by their whole text first.
 *
 * At each segment a literal wins over a parameter, and that over "{rest*}"; when the better way
 * leads nowhere for this method, the next is tried. The tree has the depth of the longest pattern,
 * so walking it is bounded whatever is asked.
 */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#define SEGMENTS_MAX 24u
#define PATTERN_MAX 256u

struct node {
    struct slice segment; /* of a literal */
    struct node *literals;
    struct node *sibling;
    struct node *param;
    struct http__route *routes[NET_METHOD_COUNT];
    struct http__route *rests[NET_METHOD_COUNT]; /* "{name*}" below this node */
};

/* A path without parameters. */
struct fixed_path {
    struct slice path;
    struct node *node;
};

struct http__router {
    struct node root;
    struct http__route **routes;
    unsigned routes_len, routes_cap;
    struct fixed_path *table; /* open addressing, at most half full */
    unsigned table_slots, table_len;
};

/* -- the table
 * ------------------------------------------------------------------------------------------- */

static struct fixed_path *table_place(const struct http__router *r, struct slice path)
{
    for (size_t i = hash64(path, 0) & (r->table_slots - 1);; i = (i + 1) & (r->table_slots - 1)) {
        struct fixed_path *at = &r->table[i];
        if (!at->node || slice_eq(at->path, path))
            return at;
    }
}

static bool table_add(struct http__router *r, struct slice path, struct node *node)
{
    if (2 * (r->table_len + 1) > r->table_slots) {
        struct fixed_path *old = r->table;
        unsigned old_slots = r->table_slots;
        struct fixed_path *table = calloc(MAX(64u, 2 * old_slots), sizeof(*table));
        if (!table)
            return false;
        r->table = table;
        r->table_slots = MAX(64u, 2 * old_slots);
        for (unsigned i = 0; i < old_slots; i++) {
            if (old[i].node)
                *table_place(r, old[i].path) = old[i];
        }
        free(old);
    }
    struct fixed_path *place = table_place(r, path);
    if (!place->node)
        r->table_len++;
    *place = (struct fixed_path){ .path = path, .node = node };
    return true;
}

/* -- adding
 * ---------------------------------------------------------------------------------------------- */

struct http__router *http__router_new(void)
{
    return calloc(1, sizeof(struct http__router));
}

static void nodes_free(struct node *node)
{
    while (node) { /* depth is bounded by SEGMENTS_MAX, breadth is a loop */
        struct node *sibling = node->sibling;
        nodes_free(node->literals);
        nodes_free(node->param);
        free(node);
        node = sibling;
    }
}

void http__router_free(struct http__router *r)
{
    if (!r)
        return;
    nodes_free(r->root.literals);
    nodes_free(r->root.param);
    for (unsigned i = 0; i < r->routes_len; i++)
        free(r->routes[i]);
    free(r->routes);
    free(r->table);
    free(r);
}

static struct node *literal_find(const struct node *node, struct slice segment)
{
    for (struct node *n = node->literals; n; n = n->sibling) {
        if (slice_eq(n->segment, segment))
            return n;
    }
    return NULL;
}

static struct node *literal_get(struct node *node, struct slice segment)
{
    struct node *n = literal_find(node, segment);
    if (n)
        return n;
    n = calloc(1, sizeof(*n) + segment.len);
    if (!n)
        return NULL;
    char *text = (char *)(n + 1);
    memcpy(text, segment.data, segment.len);
    n->segment = slice_of(text, segment.len);
    n->sibling = node->literals;
    node->literals = n;
    return n;
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && c != '_')
            return false;
    }
    return name.len > 0;
}

/* A pattern walked into the tree. */
struct walk {
    struct node *node;
    bool takes_rest;
    bool has_params;
};

static const char *add_segment(struct walk *w, struct http__route *route, struct slice segment,
                               bool is_last)
{
    bool is_param =
        segment.len > 2 && segment.data[0] == '{' && segment.data[segment.len - 1] == '}';
    if (!is_param) {
        if (memchr(segment.data, '{', segment.len) || memchr(segment.data, '}', segment.len))
            return "a parameter must be a whole segment, {name}";
        if (segment.len == 0 && !is_last)
            return "the pattern has an empty segment";
        w->node = literal_get(w->node, segment);
        return w->node ? NULL : "out of memory";
    }
    struct slice name = slice_of(segment.data + 1, segment.len - 2);
    bool takes_rest = slice_ends(name, SLICE("*"));
    name.len -= takes_rest;
    if (!is_name(name))
        return "a parameter's name has letters, digits and _ only";
    if (takes_rest && !is_last)
        return "{name*} must come last";
    if (route->params_len == HTTP_PARAMS_MAX)
        return "the pattern has too many parameters";
    route->params[route->params_len++] = name;
    w->has_params = true;
    w->takes_rest = takes_rest;
    if (takes_rest)
        return NULL;
    if (!w->node->param)
        w->node->param = calloc(1, sizeof(struct node));
    w->node = w->node->param;
    return w->node ? NULL : "out of memory";
}

static const char *add_pattern(struct http__router *r, struct http__route *route,
                               struct slice pattern)
{
    if (pattern.len == 0 || pattern.len > PATTERN_MAX || pattern.data[0] != '/')
        return "a pattern begins with / and has at most 256 bytes";
    struct walk w = { .node = &r->root };
    struct slice rest = slice_from(pattern, 1), segment;
    unsigned segments = 0;
    while (slice_split(&rest, '/', &segment)) {
        if (++segments > SEGMENTS_MAX)
            return "the pattern has too many segments";
        const char *reason = add_segment(&w, route, segment, rest.data == NULL);
        if (reason)
            return reason;
    }
    struct http__route **place =
        w.takes_rest ? &w.node->rests[route->route.method] : &w.node->routes[route->route.method];
    if (*place)
        return "another route has this method and pattern";
    if (!w.has_params && !table_add(r, pattern, w.node))
        return "out of memory";
    *place = route;
    return NULL;
}

/* The route with its strings behind it. */
static struct http__route *route_copy(const struct http_route *route)
{
    const char *texts[] = { route->pattern, route->summary, route->tag, route->operation_id };
    size_t bytes = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        bytes += texts[i] ? strlen(texts[i]) + 1 : 0;
    struct http__route *copy = calloc(1, sizeof(*copy) + bytes);
    if (!copy)
        return NULL;
    copy->route = *route;
    const char **to[] = { &copy->route.pattern, &copy->route.summary, &copy->route.tag,
                          &copy->route.operation_id };
    char *at = (char *)(copy + 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!texts[i])
            continue;
        size_t len = strlen(texts[i]) + 1;
        memcpy(at, texts[i], len);
        *to[i] = at;
        at += len;
    }
    return copy;
}

static bool routes_grow(struct http__router *r)
{
    if (r->routes_len < r->routes_cap)
        return true;
    unsigned cap = MAX(32u, 2 * r->routes_cap);
    struct http__route **grown = realloc(r->routes, cap * sizeof(struct http__route *));
    if (!grown)
        return false;
    r->routes = grown;
    r->routes_cap = cap;
    return true;
}

enum status http__router_add(struct http__router *r, const struct http_route *route,
                             struct http__route **ret_route, const char **ret_reason)
{
    if (!route->pattern || route->method >= NET_METHOD_OTHER ||
        !route->handler == !route->handle_inline) {
        *ret_reason = "a route has a pattern, a method and exactly one handler";
        return STATUS_INVALID;
    }
    struct http__route *copy = route_copy(route);
    if (!copy || !routes_grow(r)) {
        free(copy);
        return STATUS_EXHAUSTED;
    }
    const char *reason = add_pattern(r, copy, slice_cstr(copy->route.pattern));
    if (reason) {
        free(copy); /* nodes made for it stay: they have no routes */
        *ret_reason = reason;
        return STATUS_INVALID;
    }
    r->routes[r->routes_len++] = copy;
    *ret_route = copy;
    return STATUS_OK;
}

unsigned http__router_len(const struct http__router *r)
{
    return r->routes_len;
}

const struct http__route *http__router_at(const struct http__router *r, unsigned i)
{
    return i < r->routes_len ? r->routes[i] : NULL;
}

/* -- finding
 * --------------------------------------------------------------------------------------------- */

/* Whether these routes of a node have one for the method; notes what they allow. */
static bool take(struct http__route *const *routes, enum net_method method, struct http__match *m)
{
    for (unsigned i = 0; i < NET_METHOD_OTHER; i++)
        m->allow |= routes[i] ? 1u << i : 0;
    const struct http__route *route = routes[method];
    if (!route && method == NET_METHOD_HEAD)
        route = routes[NET_METHOD_GET];
    m->route = route;
    return route != NULL;
}

/* `rest`: the segments from here on, joined by '/'. */
static bool find_below(const struct node *node, enum net_method method, struct slice rest,
                       struct http__match *m)
{
    const char *slash = memchr(rest.data, '/', rest.len);
    struct slice segment = slash ? slice_of(rest.data, (size_t)(slash - rest.data)) : rest;
    unsigned values_len = m->values_len;
    const struct node *literal = literal_find(node, segment);
    const struct node *ways[] = { literal, segment.len ? node->param : NULL };
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        const struct node *next = ways[i];
        if (!next)
            continue;
        if (i == 1)
            m->values[m->values_len++] = segment;
        if (slash ? find_below(next, method, slice_from(rest, segment.len + 1), m)
                  : take(next->routes, method, m))
            return true;
        m->values_len = values_len;
    }
    bool has_rest = false;
    for (unsigned i = 0; i < NET_METHOD_OTHER; i++)
        has_rest |= node->rests[i] != NULL;
    if (!has_rest)
        return false;
    m->values[m->values_len++] = rest;
    if (take(node->rests, method, m))
        return true;
    m->values_len = values_len;
    return false;
}

void http__router_find(const struct http__router *r, enum net_method method, struct slice path,
                       struct http__match *m)
{
    m->route = NULL;
    m->values_len = 0;
    m->allow = 0;
    if (path.len == 0 || path.data[0] != '/')
        return;
    if (r->table_slots) {
        const struct fixed_path *fixed = table_place(r, path);
        if (fixed->node && take(fixed->node->routes, method, m))
            return;
        m->allow = 0; /* the walk collects it again */
    }
    (void)find_below(&r->root, method, slice_from(path, 1), m); /* m says what was found */
}
