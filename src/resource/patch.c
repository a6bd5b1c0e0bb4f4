/*
 * JSON Merge Patch (RFC 7396), JSON Patch (RFC 6902) and JSON Pointer (RFC 6901). Trees are built
 * by jansson in the arena: nothing of the document or the patch is changed, nothing is freed. A
 * patch can ask for copies of copies; what it may add in all is bounded by a budget of nodes, and
 * how deep it may reach by the depth of what JSON was read with.
 */
#include "resource/resource_private.h"

#define NODES_MAX 20000u
/* Reading this much takes a fraction of a millisecond; a body may be sixteen times as long. */
#define TURN_BYTES ((size_t)64 * 1024)

static enum status read_json(struct slice text, unsigned depth_max, struct arena *arena,
                             struct problem *problem, json_t **ret_value)
{
    struct json_error_at error = { 0 };
    /* How long it may be, the route has said. */
    const struct json_limits limits = { .bytes_max = text.len, .depth_max = depth_max };
    if (slice_trim(text).len == 0)
        return resource__fail(problem, arena, STATUS_INVALID, 400, "body/empty",
                              "A JSON body is needed.");
    enum status st = json_read(arena, text, limits, ret_value, &error);
    if (st == STATUS_INVALID)
        return resource__fail(problem, arena, st, 400, "body/malformed",
                              "The body is not JSON: line %d, column %d: %s.", error.line,
                              error.column, error.reason);
    if (st == STATUS_TOO_LARGE)
        return resource__fail(problem, arena, st, 413, "body/too-large",
                              "The body is too large or nested too deep: %s.", error.reason);
    /* It will not fit the next time either: no reason to come again. */
    if (st == STATUS_EXHAUSTED)
        return resource__fail(problem, arena, STATUS_TOO_LARGE, 413, "body/too-large",
                              "The body holds more values than a request may.");
    return st;
}

enum status resource__json_read(struct slice text, struct arena *arena, struct problem *problem,
                                json_t **ret_value)
{
    return read_json(text, RESOURCE_JSON_DEPTH_MAX, arena, problem, ret_value);
}

enum status resource__body_read(const struct resource_call *call, struct slice text,
                                json_t **ret_value)
{
    unsigned depth_max = http_policy(call->req)->json_depth_max;
    if (depth_max == 0 || depth_max > RESOURCE_JSON_DEPTH_MAX)
        depth_max = RESOURCE_JSON_DEPTH_MAX;
    if (text.len <= TURN_BYTES)
        return read_json(text, depth_max, call->arena, call->problem, ret_value);
    /* A large body takes milliseconds to read, for which the loop does nothing else. One of them is
     * read in a turn of the loop: who asks for little waits for one of them, and not for all. */
    enum status st = task_latch_lock(call->task, call->reading);
    if (st != STATUS_OK)
        return st;
    st = task_yield(call->task);
    if (st == STATUS_OK)
        st = read_json(text, depth_max, call->arena, call->problem, ret_value);
    task_latch_unlock(call->task, call->reading);
    return st;
}

/* -- merge patch
 * -------------------------------------------------------------------------------------------- */

/* Within json_arena_set; depth is bounded by what was read. */
static json_t *merge(json_t *target, const json_t *patch)
{
    if (!json_is_object(patch))
        return json_deep_copy(patch);
    json_t *result = json_object();
    const char *key;
    size_t key_len;
    json_t *value;
    if (json_is_object(target)) {
        json_object_keylen_foreach(target, key, key_len,
                                   value) if (!json_object_getn(patch, key, key_len))
            json_object_setn(result, key, key_len, value);
    }
    json_t *changes = (json_t *)(uintptr_t)patch;
    json_object_keylen_foreach(changes, key, key_len, value)
    {
        if (json_is_null(value))
            continue;
        json_t *old = json_is_object(target) ? json_object_getn(target, key, key_len) : NULL;
        json_t *merged = merge(old, value);
        if (!merged || json_object_setn_new(result, key, key_len, merged) != 0)
            return NULL;
    }
    return result;
}

json_t *resource__merge(json_t *target, const json_t *patch, struct arena *arena)
{
    struct arena *before = json_arena_set(arena);
    json_t *result = merge(target, patch);
    (void)json_arena_set(before);
    return result;
}

/* -- JSON Pointer
 * --------------------------------------------------------------------------------------------- */

struct tokens {
    struct slice items[RESOURCE_JSON_DEPTH_MAX];
    unsigned len;
};

/* "~1" and "~0" undone. False when it is no pointer. */
static bool unescape(struct slice token, struct arena *arena, struct slice *ret_text)
{
    if (slice_find(token, '~') == SIZE_MAX) {
        *ret_text = token;
        return true;
    }
    char *out = arena_alloc(arena, token.len);
    size_t len = 0;
    for (size_t i = 0; out && i < token.len; i++) {
        if (token.data[i] != '~') {
            out[len++] = token.data[i];
            continue;
        }
        if (++i == token.len || (token.data[i] != '0' && token.data[i] != '1'))
            return false;
        out[len++] = token.data[i] == '0' ? '~' : '/';
    }
    *ret_text = slice_of(out, len);
    return out != NULL;
}

static bool parse_pointer(struct slice text, struct arena *arena, struct tokens *ret_tokens)
{
    ret_tokens->len = 0;
    if (text.len == 0)
        return true;
    if (text.data[0] != '/')
        return false;
    struct slice rest = slice_from(text, 1), token;
    while (slice_split(&rest, '/', &token)) {
        if (ret_tokens->len == RESOURCE_JSON_DEPTH_MAX ||
            !unescape(token, arena, &ret_tokens->items[ret_tokens->len]))
            return false;
        ret_tokens->len++;
    }
    return true;
}

/* An array index: digits without a leading zero; "-" is one past the end. */
static bool parse_index(struct slice token, size_t size, size_t *ret_index)
{
    int64_t n;
    if (slice_eq(token, SLICE("-"))) {
        *ret_index = size;
        return true;
    }
    if (token.len == 0 || token.data[0] == '-' || (token.len > 1 && token.data[0] == '0') ||
        !slice_to_i64(token, &n) || (uint64_t)n > size)
        return false;
    *ret_index = (size_t)n;
    return true;
}

static json_t *step(json_t *at, struct slice token)
{
    size_t i;
    if (json_is_object(at))
        return json_object_getn(at, token.data ? token.data : "", token.len);
    if (json_is_array(at) && parse_index(token, json_array_size(at), &i))
        return json_array_get(at, i);
    return NULL;
}

static json_t *find(json_t *root, const struct tokens *tokens, unsigned len)
{
    json_t *at = root;
    for (unsigned i = 0; at && i < len; i++)
        at = step(at, tokens->items[i]);
    return at;
}

/* -- JSON Patch
 * ------------------------------------------------------------------------------------------------
 */

struct patch {
    json_t *root;
    unsigned nodes; /* added so far */
    struct arena *arena;
    struct problem *problem;
    struct slice pointer; /* of the operation at hand */
};

static enum status wrong(struct patch *p, const char *member, const char *code, const char *detail)
{
    char pointer[128];
    int len = snprintf(pointer, sizeof(pointer), "%.*s%s", (int)MIN(p->pointer.len, 100),
                       p->pointer.data ? p->pointer.data : "", member);
    problem_field_add(p->problem, p->arena, slice_of(pointer, (size_t)len), code, "%s", detail);
    return STATUS_INVALID;
}

/* Nodes and depth of a value; more than NODES_MAX is as bad as any more. */
static unsigned measure(const json_t *value, unsigned depth, unsigned *nodes)
{
    unsigned deepest = depth;
    ++*nodes;
    if (depth > 2 * RESOURCE_JSON_DEPTH_MAX || *nodes > NODES_MAX)
        return depth;
    const char *key;
    json_t *item, *walked = (json_t *)(uintptr_t)value;
    size_t i;
    if (json_is_object(value)) {
        json_object_foreach(walked, key, item) deepest =
            MAX(deepest, measure(item, depth + 1, nodes));
    } else if (json_is_array(value)) {
        json_array_foreach(walked, i, item) deepest = MAX(deepest, measure(item, depth + 1, nodes));
    }
    return deepest;
}

static enum status put(struct patch *p, const struct tokens *to, const json_t *value, bool replace)
{
    unsigned nodes = 0;
    unsigned depth = measure(value, to->len, &nodes);
    p->nodes += nodes;
    if (p->nodes > NODES_MAX || depth > RESOURCE_JSON_DEPTH_MAX)
        return wrong(p, "", "too_large", "The patch builds too much.");
    json_t *copy = json_deep_copy(value);
    if (!copy)
        return STATUS_EXHAUSTED;
    if (to->len == 0) {
        p->root = copy;
        return STATUS_OK;
    }
    json_t *parent = find(p->root, to, to->len - 1);
    struct slice last = to->items[to->len - 1];
    size_t i;
    int failed;
    if (json_is_object(parent)) {
        if (replace && !step(parent, last))
            return wrong(p, "/path", "no_target", "There is nothing at this path.");
        failed = json_object_setn_new(parent, last.data ? last.data : "", last.len, copy);
    } else if (json_is_array(parent) && parse_index(last, json_array_size(parent), &i)) {
        if (replace && i == json_array_size(parent))
            return wrong(p, "/path", "no_target", "There is nothing at this path.");
        failed =
            replace ? json_array_set_new(parent, i, copy) : json_array_insert_new(parent, i, copy);
    } else {
        return wrong(p, "/path", "no_target", "There is nothing that holds this path.");
    }
    return failed ? STATUS_EXHAUSTED : STATUS_OK;
}

static enum status take_away(struct patch *p, const struct tokens *from, const char *member)
{
    json_t *parent = from->len ? find(p->root, from, from->len - 1) : NULL;
    struct slice last = from->len ? from->items[from->len - 1] : SLICE_NULL;
    size_t i;
    if (json_is_object(parent) && step(parent, last)) {
        json_object_deln(parent, last.data ? last.data : "", last.len);
        return STATUS_OK;
    }
    if (json_is_array(parent) && parse_index(last, json_array_size(parent), &i) &&
        i < json_array_size(parent)) {
        json_array_remove(parent, i);
        return STATUS_OK;
    }
    return wrong(p, member, "no_target", "There is nothing at this path.");
}

static bool is_inside(const struct tokens *path, const struct tokens *of)
{
    if (path->len <= of->len)
        return false;
    for (unsigned i = 0; i < of->len; i++)
        if (!slice_eq(path->items[i], of->items[i]))
            return false;
    return true;
}

static enum status move_or_copy(struct patch *p, const struct tokens *from, const struct tokens *to,
                                bool move)
{
    json_t *value = find(p->root, from, from->len);
    if (!value)
        return wrong(p, "/from", "no_target", "There is nothing at this path.");
    if (!move)
        return put(p, to, value, /* replace= */ false);
    if (is_inside(to, from))
        return wrong(p, "/path", "into_itself", "A value cannot be moved into itself.");
    json_incref(value); /* taken out, it must not be emptied */
    enum status st = take_away(p, from, "/from");
    return st == STATUS_OK ? put(p, to, value, /* replace= */ false) : st;
}

/* JSON's equality: numbers by value (RFC 6902 4.6). Depth is bounded by what was read and built. */
static bool is_equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b) && json_typeof(a) != json_typeof(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        return x <= y && x >= y;
    }
    if (json_is_object(a) && json_is_object(b)) {
        if (json_object_size(a) != json_object_size(b))
            return false;
        const char *key;
        size_t key_len;
        json_t *value, *walked = (json_t *)(uintptr_t)a;
        json_object_keylen_foreach(walked, key, key_len, value)
        {
            const json_t *other = json_object_getn(b, key, key_len);
            if (!other || !is_equal(value, other))
                return false;
        }
        return true;
    }
    if (json_is_array(a) && json_is_array(b)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!is_equal(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return true;
    }
    return json_equal(a, b) != 0;
}

static enum status test(struct patch *p, const struct tokens *path, const json_t *value)
{
    const json_t *found = find(p->root, path, path->len);
    if (found && is_equal(found, value))
        return STATUS_OK;
    enum status st = resource__fail(p->problem, p->arena, STATUS_CONFLICT, 409, "patch/test-failed",
                                    "A test of the patch failed; nothing was changed.");
    (void)wrong(p, "", "test_failed", "The value at this path is another.");
    return st;
}

static enum status apply(struct patch *p, const json_t *operation)
{
    if (!json_is_object(operation))
        return wrong(p, "", "type", "An operation is an object.");
    struct slice op = json_slice(json_object_get(operation, "op"));
    const json_t *path_json = json_object_get(operation, "path");
    const json_t *from_json = json_object_get(operation, "from");
    const json_t *value = json_object_get(operation, "value");
    struct tokens path, from;
    if (!json_is_string(path_json) || !parse_pointer(json_slice(path_json), p->arena, &path))
        return wrong(p, "/path", "pointer", "`path` is a JSON Pointer of at most 32 parts.");

    bool is_move = slice_eq(op, SLICE("move"));
    if (is_move || slice_eq(op, SLICE("copy"))) {
        if (!json_is_string(from_json) || !parse_pointer(json_slice(from_json), p->arena, &from))
            return wrong(p, "/from", "pointer", "`from` is a JSON Pointer of at most 32 parts.");
        return move_or_copy(p, &from, &path, is_move);
    }
    if (slice_eq(op, SLICE("remove")))
        return take_away(p, &path, "/path");
    bool is_replace = slice_eq(op, SLICE("replace"));
    bool is_test = slice_eq(op, SLICE("test"));
    if (!is_replace && !is_test && !slice_eq(op, SLICE("add")))
        return wrong(p, "/op", "enum", "`op` is add, remove, replace, move, copy or test.");
    if (!value)
        return wrong(p, "/value", "required", "This operation needs a `value`.");
    return is_test ? test(p, &path, value) : put(p, &path, value, is_replace);
}

static enum status apply_all(struct patch *p, const json_t *operations, struct slice prefix)
{
    for (size_t i = 0; i < json_array_size(operations); i++) {
        p->pointer = arena_printf(p->arena, "%.*s/%zu", SLICE_ARG(prefix), i);
        enum status st = apply(p, json_array_get(operations, i));
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

enum status resource__patch(const json_t *document, const json_t *patch, struct slice pointer,
                            struct arena *arena, struct problem *problem, json_t **ret_document)
{
    if (!json_is_array(patch) || json_array_size(patch) > RESOURCE_PATCH_OPS_MAX) {
        problem_field_add(problem, arena, pointer, "type",
                          "A JSON Patch is an array of at most %u operations.",
                          RESOURCE_PATCH_OPS_MAX);
        return STATUS_INVALID;
    }
    struct patch p = { .arena = arena, .problem = problem };
    struct arena *before = json_arena_set(arena);
    p.root = json_deep_copy(document);
    enum status st = p.root ? apply_all(&p, patch, pointer) : STATUS_EXHAUSTED;
    (void)json_arena_set(before);
    if (st == STATUS_OK)
        *ret_document = p.root;
    return st;
}
