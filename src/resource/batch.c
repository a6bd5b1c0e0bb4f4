/*
 * POST /api/v1/batch: several writes in one transaction. Ids of new rows are made before anything
 * runs, so a reference
 * ("$ops.0.id", "$post.id") is put in when the batch is read; all operations are validated before
 * the writer is asked, and every mistake of the batch is reported at once. Atomic: the first that
 * fails undoes all. Independent (?mode=independent): each stands in a savepoint of its own, and the
 * answer is 207 when some failed.
 */
#include "resource/resource_private.h"

#define REF_BYTES_MAX 64u

struct item {
    struct resource_op op;
    struct slice ref, location;
    struct problem problem; /* independent: its own */
    enum status failure;    /* OK: none so far */
};

struct batch {
    struct resource_call *call;
    struct item *items;
    unsigned len;
    bool independent;
    struct resource_idempotency idempotency;
    int status;
    struct slice body;
};

/* -- references
 * ------------------------------------------------------------------------------------------------
 */

/* Which operation does "$ops.0." or "$name." mean, among those before `len`? NULL: it is no
 * reference, just text. */
static const struct item *find_referred(const struct batch *b, unsigned len, struct slice name,
                                        struct slice *rest)
{
    if (slice_eq(name, SLICE("ops"))) {
        struct slice number;
        int64_t n;
        if (!rest->data || !slice_split(rest, '.', &number) || !slice_to_i64(number, &n) || n < 0 ||
            n >= len)
            return NULL;
        return &b->items[n];
    }
    for (unsigned i = 0; i < len; i++)
        if (b->items[i].ref.len && slice_eq(b->items[i].ref, name))
            return &b->items[i];
    return NULL;
}

enum reference { REFERENCE_NONE, REFERENCE_ID, REFERENCE_BAD };

static enum reference resolve(const struct batch *b, unsigned len, struct slice text,
                              char ret_id[UUID_TEXT_LEN])
{
    if (!slice_starts(text, SLICE("$")))
        return REFERENCE_NONE;
    struct slice rest = slice_from(text, 1), name;
    if (slice_find(rest, '.') == SIZE_MAX || !slice_split(&rest, '.', &name))
        return REFERENCE_NONE;
    bool is_numbered = slice_eq(name, SLICE("ops"));
    const struct item *item = find_referred(b, len, name, &rest);
    if (!item)
        return is_numbered ? REFERENCE_BAD : REFERENCE_NONE;
    if (!slice_eq(rest, SLICE("id")))
        return REFERENCE_BAD;
    uuid_format(&item->op.id, ret_id);
    return REFERENCE_ID;
}

struct resolver {
    struct batch *batch;
    unsigned len;
    struct item *item;
    bool failed;
};

static void bad_operation(struct batch *b, struct item *item, const char *member, const char *code,
                          const char *detail)
{
    unsigned at = (unsigned)(item - b->items);
    struct slice pointer = arena_printf(b->call->arena, "/operations/%u%s", at, member);
    problem_field_add(item->op.problem, b->call->arena, pointer, code, "%s", detail);
    item->failure = STATUS_INVALID;
}

/* The value with its references put in; the same value where there is none. Depth is bounded by
 * what was read. */
static json_t *put_references(struct resolver *r, json_t *value)
{
    char id[UUID_TEXT_LEN];
    if (json_is_string(value)) {
        struct slice text = json_slice(value);
        switch (resolve(r->batch, r->len, text, id)) {
        case REFERENCE_NONE:
            break;
        case REFERENCE_ID:
            return json_stringn(id, UUID_TEXT_LEN);
        case REFERENCE_BAD:
            r->failed = true;
            return value;
        }
        /* "$$ops.0.id" is the text "$ops.0.id". */
        if (slice_starts(text, SLICE("$$")) &&
            resolve(r->batch, r->len, slice_from(text, 1), id) != REFERENCE_NONE)
            return json_stringn(text.data + 1, text.len - 1);
        return value;
    }
    const char *key;
    size_t key_len, i;
    json_t *item;
    if (json_is_object(value)) {
        json_t *copy = json_object();
        json_object_keylen_foreach(value, key, key_len, item)(void)
            json_object_setn(copy, key, key_len, put_references(r, item));
        return copy;
    }
    if (json_is_array(value)) {
        json_t *copy = json_array();
        json_array_foreach(value, i, item)(void) json_array_append(copy, put_references(r, item));
        return copy;
    }
    return value;
}

static json_t *with_references(struct batch *b, struct item *item, json_t *body)
{
    struct resolver r = { .batch = b, .len = (unsigned)(item - b->items), .item = item };
    struct arena *before = json_arena_set(b->call->arena);
    json_t *result = put_references(&r, body);
    (void)json_arena_set(before);
    if (r.failed)
        bad_operation(b, item, "/body", "reference",
                      "A reference names an earlier operation: $ops.0.id, or $name.id.");
    return result;
}

/* -- reading an operation
 * ------------------------------------------------------------------------------------------- */

static bool parse_method(struct slice method, const json_t *body, enum resource_verb *ret_verb)
{
    if (slice_eq(method, SLICE("POST")))
        *ret_verb = RESOURCE_CREATE;
    else if (slice_eq(method, SLICE("PUT")))
        *ret_verb = RESOURCE_REPLACE;
    else if (slice_eq(method, SLICE("PATCH")))
        *ret_verb = json_is_array(body) ? RESOURCE_PATCH : RESOURCE_MERGE;
    else if (slice_eq(method, SLICE("DELETE")))
        *ret_verb = RESOURCE_DELETE;
    else
        return false;
    return true;
}

/* "/api/v1/posts", "/posts/ID", "posts/$ops.0.id/restore" */
static bool parse_path(struct batch *b, struct item *item, struct slice path)
{
    struct resource_op *op = &item->op;
    struct slice prefix = b->call->catalog->prefix;
    if (slice_starts(path, prefix))
        path = slice_from(path, prefix.len);
    else if (slice_starts(path, SLICE("/")))
        path = slice_from(path, 1);
    struct slice rest = path, name, id;
    if (!slice_split(&rest, '/', &name))
        return false;
    op->info = resource__info_find(b->call->catalog, name);
    if (!op->info)
        return false;
    bool has_id = rest.data && slice_split(&rest, '/', &id);
    if (!has_id) {
        op->id = uuid_v7();
        return op->verb == RESOURCE_CREATE;
    }
    char text[UUID_TEXT_LEN];
    if (resolve(b, (unsigned)(item - b->items), id, text) == REFERENCE_ID)
        id = slice_of(text, UUID_TEXT_LEN);
    if (!uuid_parse(id, &op->id))
        return false;
    if (op->verb == RESOURCE_CREATE) {
        op->verb = RESOURCE_RESTORE;
        return slice_eq(rest, SLICE("restore")) && op->info->deleted_at;
    }
    return rest.len == 0;
}

static bool parse_ref(struct batch *b, struct item *item, const json_t *json)
{
    if (!json)
        return true;
    struct slice ref = json_slice(json);
    if (!json_is_string(json) || ref.len == 0 || ref.len > REF_BYTES_MAX ||
        slice_eq(ref, SLICE("ops")) || slice_find(ref, '.') != SIZE_MAX)
        return false;
    for (const struct item *other = b->items; other < item; other++)
        if (slice_eq(other->ref, ref))
            return false;
    item->ref = ref;
    return true;
}

static const char *unknown_member(const json_t *operation)
{
    static const char *const known[] = { "method", "path", "body", "ref", "if_match" };
    const char *key;
    json_t *value, *walked = (json_t *)(uintptr_t)operation;
    json_object_foreach(walked, key, value)
    {
        unsigned i = 0;
        while (i < ARRAY_LEN(known) && strcmp(known[i], key) != 0)
            i++;
        if (i == ARRAY_LEN(known))
            return key;
    }
    return NULL;
}

static void read_body_and_match(struct batch *b, struct item *item, json_t *body,
                                const json_t *if_match)
{
    struct resource_op *op = &item->op;
    bool wants_body = op->verb != RESOURCE_DELETE && op->verb != RESOURCE_RESTORE;
    bool is_change = op->verb != RESOURCE_CREATE && op->verb != RESOURCE_RESTORE;
    if (wants_body && !body)
        bad_operation(b, item, "/body", "required", "This operation needs a body.");
    else if (!wants_body && body)
        bad_operation(b, item, "/body", "unknown_field", "This operation takes no body.");
    else if (wants_body)
        op->body = with_references(b, item, body);
    if (if_match && !json_is_string(if_match))
        bad_operation(b, item, "/if_match", "type", "An ETag is text.");
    else if (if_match)
        op->if_match = json_slice(if_match);
    else if (is_change && b->call->engine->require_if_match)
        bad_operation(b, item, "/if_match", "required",
                      "This server asks for the row's ETag here.");
}

static void read_operation(struct batch *b, struct item *item, const json_t *operation)
{
    struct resource_op *op = &item->op;
    unsigned at = (unsigned)(item - b->items);
    struct problem *problem = b->independent ? &item->problem : b->call->problem;
    *op = (struct resource_op){ .call = b->call,
                                .arena = b->call->arena,
                                .problem = problem,
                                .pointer = arena_printf(b->call->arena, "/operations/%u/body", at),
                                .minimal = resource__prefers_minimal(b->call) };
    if (!json_is_object(operation)) {
        bad_operation(b, item, "", "type", "An operation is an object.");
        return;
    }
    if (unknown_member(operation))
        bad_operation(b, item, "", "unknown_field",
                      "An operation has method, path, body, ref and if_match.");
    json_t *body = json_object_get(operation, "body");
    if (!parse_method(json_slice(json_object_get(operation, "method")), body, &op->verb)) {
        bad_operation(b, item, "/method", "enum", "`method` is POST, PUT, PATCH or DELETE.");
        return;
    }
    if (!parse_path(b, item, json_slice(json_object_get(operation, "path")))) {
        bad_operation(b, item, "/path", "path",
                      "`path` names a resource to POST to, or one of its rows: /posts, /posts/ID.");
        return;
    }
    if (!parse_ref(b, item, json_object_get(operation, "ref")))
        bad_operation(b, item, "/ref", "format",
                      "`ref` is a name of its own, without dots, and not `ops`.");
    read_body_and_match(b, item, body, json_object_get(operation, "if_match"));
}

static void prepare(struct batch *b, struct item *item)
{
    enum status st = resource__op_prepare(&item->op);
    if (st != STATUS_OK)
        item->failure = st;
    if (item->op.verb != RESOURCE_CREATE)
        return;
    item->location = resource__location(item->op.info, &item->op.id, b->call->arena);
}

static enum status read_operations(struct batch *b, const json_t *body)
{
    struct resource_call *call = b->call;
    const json_t *operations = json_object_get(body, "operations");
    size_t len = json_array_size(operations);
    if (!json_is_array(operations) || len == 0 || len > call->engine->batch_max ||
        json_object_size(body) != 1) {
        problem_field_add(call->problem, call->arena, SLICE("/operations"),
                          len > call->engine->batch_max ? "items_too_many" : "required",
                          "A batch is {\"operations\": [...]}, 1 to %u of them.",
                          call->engine->batch_max);
        return STATUS_INVALID;
    }
    b->items = arena_array_of(call->arena, struct item, len);
    if (!b->items)
        return STATUS_EXHAUSTED;
    b->len = (unsigned)len;
    enum status result = STATUS_OK;
    for (unsigned i = 0; i < b->len; i++) {
        struct item *item = &b->items[i];
        read_operation(b, item, json_array_get(operations, i));
        if (item->failure == STATUS_OK)
            prepare(b, item);
        if (item->failure != STATUS_OK && result == STATUS_OK)
            result = item->failure;
    }
    return b->independent ? STATUS_OK : result;
}

/* -- running
 * -------------------------------------------------------------------------------------------------------
 */

/* Atomic: the problem is the operation's own; say which one it was. */
static enum status blame(struct batch *b, const struct item *item, struct store_tx *tx,
                         enum status st)
{
    struct problem *problem = store_tx_problem(tx);
    if (problem->status != STATUS_OK)
        problem_field_add(
            problem, store_tx_arena(tx),
            arena_printf(store_tx_arena(tx), "/operations/%u", (unsigned)(item - b->items)),
            "failed", "This operation failed; the whole batch was undone.");
    return st;
}

static enum status run_independent(struct item *item, struct store_tx *tx)
{
    if (item->failure != STATUS_OK)
        return STATUS_OK;
    enum status st = store_tx_savepoint(tx);
    if (st != STATUS_OK)
        return st;
    item->failure = resource__op_execute(&item->op, tx);
    if (item->failure == STATUS_OK)
        return store_tx_release(tx);
    item->problem = *store_tx_problem(tx);
    problem_clear(store_tx_problem(tx));
    st = store_tx_rollback(tx);
    /* What no operation is to blame for ends the whole batch. */
    if (item->failure == STATUS_EXHAUSTED || item->failure == STATUS_UNAVAILABLE)
        return item->failure;
    return st;
}

static void write_result(struct batch *b, const struct item *item, struct buf *out)
{
    const struct resource_op *op = &item->op;
    if (item->failure != STATUS_OK) {
        struct buf document;
        buf_init(&document, out->arena, 512, 64 << 10);
        int status = 500;
        http_problem_write(b->call->req, item->failure, &item->problem, &document, &status);
        buf_printf(out, "{\"status\":%d,\"body\":", status);
        buf_put_slice(out, buf_slice(&document));
        buf_putc(out, '}');
        return;
    }
    int status = op->status == 200 && op->answer.len == 0 ? 204 : op->status;
    buf_printf(out, "{\"status\":%d", status);
    if (item->ref.len) {
        buf_put_lit(out, ",\"ref\":");
        json_put_string(out, item->ref);
    }
    if (item->location.len) {
        buf_put_lit(out, ",\"location\":");
        json_put_string(out, item->location);
    }
    if (op->verb != RESOURCE_DELETE) {
        buf_put_lit(out, ",\"etag\":");
        json_put_string(out, resource__etag(op->version, op->answer, out->arena));
    }
    if (op->answer.len) {
        buf_put_lit(out, ",\"body\":");
        buf_put_slice(out, op->answer);
    }
    buf_putc(out, '}');
}

static enum status write_results(struct batch *b, struct store_tx *tx)
{
    struct buf body;
    buf_init(&body, store_tx_arena(tx), 4096, RESOURCE_ANSWER_MAX);
    buf_put_lit(&body, "{\"results\":[");
    b->status = 200;
    for (unsigned i = 0; i < b->len; i++) {
        if (i)
            buf_putc(&body, ',');
        write_result(b, &b->items[i], &body);
        if (b->items[i].failure != STATUS_OK)
            b->status = 207;
    }
    buf_put_lit(&body, "]}");
    b->body = buf_slice(&body);
    return buf_status(&body);
}

static enum status run_batch(struct store_tx *tx, void *arg)
{
    struct batch *b = arg;
    for (unsigned i = 0; i < b->len; i++) {
        struct item *item = &b->items[i];
        enum status st =
            b->independent ? run_independent(item, tx) : resource__op_execute(&item->op, tx);
        if (st != STATUS_OK)
            return b->independent ? st : blame(b, item, tx, st);
    }
    enum status st = write_results(b, tx);
    if (st != STATUS_OK)
        return st;
    return resource__idempotency_keep(&b->idempotency, tx, b->status, SLICE_NULL, SLICE_NULL,
                                      b->body);
}

static enum status read_mode(struct batch *b)
{
    static const char *const allowed[] = { "mode", NULL };
    struct resource_call *call = b->call;
    const struct http_param *params = NULL;
    unsigned params_len = 0;
    enum status st = resource__params_refuse(call, allowed, &params, &params_len);
    for (unsigned i = 0; st == STATUS_OK && i < params_len; i++) {
        if (slice_eq(params[i].value, SLICE("independent"))) {
            b->independent = true;
        } else if (!slice_eq(params[i].value, SLICE("atomic"))) {
            st = resource__fail(call->problem, call->arena, STATUS_INVALID, 400, "query/invalid",
                                "One or more query parameters are not valid.");
            problem_field_add(call->problem, call->arena, SLICE("?mode"), "enum",
                              "`mode` is `atomic` or `independent`.");
        }
    }
    return st;
}

/* All of the batch together: operations that have failed already cost nothing. */
static enum status take_limits(struct batch *b)
{
    struct resource_tally tally = { .len = 0 };
    for (unsigned i = 0; i < b->len; i++) {
        if (b->items[i].failure == STATUS_OK)
            resource__tally_op(&tally, &b->items[i].op);
    }
    return tally.len ? resource__tally_take(b->call, &tally) : STATUS_OK;
}

static enum status run(struct batch *b, struct slice text)
{
    struct resource_call *call = b->call;
    json_t *body;
    enum status st = resource__body_read(call, text, &body);
    if (st == STATUS_OK)
        st = read_operations(b, body);
    if (st == STATUS_OK)
        st = take_limits(b);
    if (st == STATUS_OK)
        st = store_write(call->task, call->engine->store, run_batch, b);
    resource__idempotency_end(&b->idempotency);
    if (st == STATUS_OK)
        http_send_json(call->req, b->status, b->body);
    return st;
}

enum status resource__batch(struct resource_call *call)
{
    struct batch b = { .call = call };
    struct slice text;
    enum status st = read_mode(&b);
    if (st == STATUS_OK)
        st = http_body(call->task, call->req, HTTP_JSON, &text);
    if (st != STATUS_OK)
        return st;
    bool replayed;
    st = resource__idempotency_begin(call, text, &b.idempotency, &replayed);
    if (st == STATUS_OK && !replayed)
        st = run(&b, text);
    resource__idempotency_end(&b.idempotency);
    return st;
}
