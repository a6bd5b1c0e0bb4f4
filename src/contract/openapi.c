/*
 * The OpenAPI 3.1 document of one version. Everything is written from the model and the table of
 * routes; what is the same for all resources is in openapi_parts.c.
 */
#include "contract/openapi.h"

#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "contract/example.h"
#include "contract/expr.h"
#include "contract/openapi_private.h"

struct document {
    struct json_out o;
    struct arena *arena;
    const struct contract_set *set;
    const struct openapi_options *options;
    struct slice prefix;          /* with slashes around the version */
    struct openapi_policy policy; /* of the path being written */
    struct contract__used used;
};

/* -- a resource
 * ------------------------------------------------------------------------------------------------
 */

/* "posts" -> "PostsCreate" and so on. */
static struct slice schema_name(struct document *d, const struct contract *c, const char *suffix)
{
    struct buf name;
    buf_init(&name, d->arena, c->name.len + 16, 256);
    bool upper = true;
    for (size_t i = 0; i < c->name.len; i++) {
        char ch = c->name.data[i];
        if (ch == '_') {
            upper = true;
            continue;
        }
        buf_putc(&name, upper && ch >= 'a' && ch <= 'z' ? (char)(ch - 'a' + 'A') : ch);
        upper = false;
    }
    buf_put_cstr(&name, suffix);
    return buf_slice(&name);
}

static void put_resource_schemas(struct document *d, const struct contract *c)
{
    static const struct {
        char kind;
        const char *suffix;
    } kinds[] = { { 'r', "" }, { 'c', "Create" }, { 'u', "Replace" }, { 'p', "Patch" } };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        json_out_key(&d->o, schema_name(d, c, kinds[i].suffix));
        struct buf schema;
        buf_init(&schema, d->arena, 4096, (size_t)1 << 20);
        contract_json_schema(c, kinds[i].kind, &schema);
        json_out_raw(&d->o, buf_slice(&schema));
    }
    json_out_key(&d->o, schema_name(d, c, "List"));
    json_out_object(&d->o);
    json_out_kv(&d->o, "type", "object");
    json_out_key(&d->o, SLICE("required"));
    json_out_raw(&d->o, SLICE("[\"data\",\"page\"]"));
    json_out_key(&d->o, SLICE("properties"));
    json_out_object(&d->o);
    json_out_key(&d->o, SLICE("data"));
    json_out_object(&d->o);
    json_out_kv(&d->o, "type", "array");
    contract__put_ref_member(&d->o, "items", "schemas", schema_name(d, c, ""));
    json_out_end(&d->o);
    contract__put_ref_member(&d->o, "page", "schemas", SLICE("Page"));
    json_out_end(&d->o);
    json_out_end(&d->o);
}

struct operation {
    const char *method;
    const char *id_prefix;         /* "list" -> "listPosts" */
    const char *summary;           /* the resource's name follows */
    const char *const *parameters; /* component names, NULL-terminated */
    const int *errors;             /* zero-terminated */
    const char *body;              /* suffix of the body's schema, or NULL */
    const char *body_type;
    int success;
    const char *answer; /* suffix of the answer's schema, NULL: no body */
    const char *headers[3];
    enum contract_action action;
};

/* What goes with a signature beside its own header, which the security schemes name. */
static void put_signature_parameters(struct document *d, bool has_body)
{
    if (!d->policy.signs_messages)
        return;
    contract__put_ref(&d->o, "parameters", SLICE("SignatureInput"));
    if (has_body)
        contract__put_ref(&d->o, "parameters", SLICE("ContentDigest"));
}

/* The array stays open. */
static void put_parameters(struct document *d, const char *const *names, bool has_body)
{
    json_out_key(&d->o, SLICE("parameters"));
    json_out_array(&d->o);
    for (; names && *names; names++)
        contract__put_ref(&d->o, "parameters", slice_cstr(*names));
    put_signature_parameters(d, has_body);
}

static void put_equality_parameters(struct document *d, const struct contract *c)
{
    if (c->search_len)
        json_out_raw(&d->o, SLICE("{\"name\":\"q\",\"in\":\"query\",\"description\":\"Full text; "
                                  "the best match first.\","
                                  "\"schema\":{\"type\":\"string\",\"maxLength\":512}}"));
    if (c->soft_delete)
        json_out_raw(&d->o,
                     SLICE("{\"name\":\"deleted\",\"in\":\"query\",\"description\":\"The deleted "
                           "rows instead, for who may "
                           "update them.\",\"schema\":{\"type\":\"boolean\",\"default\":false}}"));
    for (unsigned i = 0; i < c->fields_len; i++) {
        const struct contract_field *f = c->fields[i];
        if (f->writeonly || f->type == CONTRACT_JSON || f->type == CONTRACT_MONEY ||
            f->type == CONTRACT_MEDIA)
            continue;
        json_out_object(&d->o);
        json_out_key(&d->o, SLICE("name"));
        json_out_string(&d->o, f->name);
        json_out_kv(&d->o, "in", "query");
        json_out_kv(&d->o, "description",
                    f->type == CONTRACT_LIST ? "Only rows whose list contains this."
                                             : "Only rows whose field equals this.");
        json_out_key(&d->o, SLICE("schema"));
        json_out_raw(&d->o, SLICE("{\"type\":\"string\"}"));
        json_out_end(&d->o);
    }
}

static const char json_patch_media[] =
    "{\"schema\":{\"type\":\"array\",\"maxItems\":100,\"description\":\"RFC "
    "6902.\",\"items\":{\"type\":\"object\","
    "\"required\":[\"op\",\"path\"],\"properties\":{\"op\":{\"type\":\"string\",\"enum\":[\"add\","
    "\"remove\",\"replace\","
    "\"move\",\"copy\",\"test\"]},\"path\":{\"type\":\"string\"},\"from\":{\"type\":\"string\"},"
    "\"value\":{}}}},"
    "\"example\":[{\"op\":\"test\",\"path\":\"/version\",\"value\":1}]}";

static void put_body(struct document *d, const struct contract *c, const struct operation *op)
{
    json_out_key(&d->o, SLICE("requestBody"));
    json_out_object(&d->o);
    json_out_key(&d->o, SLICE("required"));
    json_out_bool(&d->o, true);
    json_out_key(&d->o, SLICE("content"));
    json_out_object(&d->o);
    json_out_key(&d->o, slice_cstr(op->body_type));
    json_out_object(&d->o);
    contract__put_ref_member(&d->o, "schema", "schemas", schema_name(d, c, op->body));
    struct buf example;
    buf_init(&example, d->arena, 1024, 65536);
    if (contract__example(c, *op->body == 'P' ? 'p' : 'c', d->arena, &example) == STATUS_OK) {
        json_out_key(&d->o, SLICE("example"));
        json_out_raw(&d->o, buf_slice(&example));
    }
    json_out_end(&d->o);
    if (*op->body == 'P') {
        json_out_key(&d->o, SLICE("application/json-patch+json"));
        json_out_raw(&d->o, SLICE(json_patch_media));
    }
    json_out_end(&d->o);
    json_out_end(&d->o);
}

static void put_responses(struct document *d, const struct contract *c, const struct operation *op)
{
    struct json_out *o = &d->o;
    json_out_key(o, SLICE("responses"));
    json_out_object(o);
    json_out_key(o, arena_printf(d->arena, "%d", op->success));
    json_out_object(o);
    json_out_kv(o, "description",
                op->success == 201   ? "Created."
                : op->success == 204 ? "Done; there is nothing to say."
                                     : "Done.");
    if (op->headers[0] || d->policy.deprecated) {
        json_out_key(o, SLICE("headers"));
        json_out_object(o);
        for (size_t i = 0; i < ARRAY_LEN(op->headers) && op->headers[i]; i++)
            contract__put_ref_member(o, op->headers[i], "headers", slice_cstr(op->headers[i]));
        if (d->policy.deprecated) {
            contract__put_ref_member(o, "Deprecation", "headers", SLICE("Deprecation"));
            contract__put_ref_member(o, "Sunset", "headers", SLICE("Sunset"));
        }
        json_out_end(o);
    }
    if (op->answer) {
        json_out_key(o, SLICE("content"));
        json_out_object(o);
        json_out_key(o, SLICE("application/json"));
        json_out_object(o);
        contract__put_ref_member(o, "schema", "schemas", schema_name(d, c, op->answer));
        json_out_end(o);
        json_out_end(o);
    }
    json_out_end(o);
    if (op->success == 200 && op->headers[0] && op->headers[0][0] == 'E' && op->method[0] == 'g')
        json_out_key(o, SLICE("304")),
            json_out_raw(o, SLICE("{\"description\":\"Not modified.\"}"));
    if (d->policy.deprecated)
        contract__put_ref_member(o, "410", "responses", SLICE("Gone"));
    for (const int *status = op->errors; *status; status++)
        contract__put_ref_member(o, arena_printf(d->arena, "%d%c", *status, 0).data, "responses",
                                 slice_cstr(contract__error_name(*status)));
    json_out_end(o);
}

/* What the rule of an action says, for readers; and whether anybody may. */
static void put_security(struct document *d, const struct contract *c, enum contract_action action)
{
    struct slice rule = c->rules_text[action];
    const struct expr_context nobody = { .now_us = 0 };
    static const enum contract__callers callers[] = { [EXPR_NO] = CONTRACT__KEY,
                                                      [EXPR_YES] = CONTRACT__ANYBODY,
                                                      [EXPR_ASK] = CONTRACT__ANYBODY_OR_KEY };
    contract__put_callers(&d->o, callers[expr_decide(c->rules[action], &nobody)],
                          arena_printf(d->arena, "%.*s:%.*s", SLICE_ARG(c->name),
                                       SLICE_ARG(contract_action_name(action))),
                          &d->policy);
    json_out_key(&d->o, SLICE("x-purlin-rules"));
    json_out_string(&d->o, rule.len ? rule : SLICE("false"));
}

/* What the contract calls the limit that an operation counts against. */
static const char *limited_action(const struct operation *op)
{
    switch (op->action) {
    case CONTRACT_CREATE:
        return "create";
    case CONTRACT_UPDATE:
        return "update";
    case CONTRACT_DELETE:
        return "delete";
    default:
        return op->id_prefix[0] == 'r' ? "read" : "list"; /* an export is a long list */
    }
}

static void put_limits(struct document *d, const struct contract *c, const struct operation *op)
{
    for (unsigned i = 0; i < c->limits_len; i++) {
        const struct contract_limit *limit = &c->limits[i];
        if (!slice_eq(limit->action, slice_cstr(limited_action(op))))
            continue;
        json_out_key(&d->o, SLICE("x-purlin-ratelimit"));
        json_out_object(&d->o);
        json_out_key(&d->o, SLICE("policy"));
        json_out_string(&d->o, arena_printf(d->arena, "%.*s.%.*s", SLICE_ARG(c->name),
                                            SLICE_ARG(limit->action)));
        json_out_ki(&d->o, "count", limit->count);
        json_out_ki(&d->o, "window_seconds", limit->per_us / 1000000);
        json_out_key(&d->o, SLICE("by"));
        json_out_string(&d->o, limit->by);
        json_out_end(&d->o);
        return;
    }
}

static void put_deprecated(struct document *d)
{
    if (!d->policy.deprecated)
        return;
    json_out_key(&d->o, SLICE("deprecated"));
    json_out_bool(&d->o, true);
}

static void put_operation(struct document *d, const struct contract *c, const struct operation *op)
{
    struct json_out *o = &d->o;
    json_out_key(o, slice_cstr(op->method));
    json_out_object(o);
    json_out_key(o, SLICE("operationId"));
    json_out_string(
        o, arena_printf(d->arena, "%s%.*s", op->id_prefix, SLICE_ARG(schema_name(d, c, ""))));
    json_out_key(o, SLICE("summary"));
    json_out_string(o, arena_printf(d->arena, "%s %.*s.", op->summary, SLICE_ARG(c->name)));
    json_out_key(o, SLICE("description"));
    json_out_string(o, c->description.len ? c->description : c->name);
    json_out_key(o, SLICE("tags"));
    json_out_array(o);
    json_out_string(o, c->name);
    json_out_end(o);
    put_deprecated(d);
    put_security(d, c, op->action);
    put_limits(d, c, op);
    put_parameters(d, op->parameters, op->body);
    if (op->id_prefix[0] == 'l' || op->id_prefix[0] == 'e') /* list, export */
        put_equality_parameters(d, c);
    json_out_end(o);
    if (op->body)
        put_body(d, c, op);
    put_responses(d, c, op);
    json_out_end(o);
}

static const char *const list_params[] = { "Limit",  "Cursor", "Offset", "Sort", "Filter",
                                           "Fields", "Expand", "Count",  NULL };
static const char *const create_params[] = { "IdempotencyKey", "Prefer", "CsrfToken", NULL };
static const char *const read_params[] = { "IfNoneMatch", "Fields", "Expand", NULL };
static const char *const write_params[] = { "IfMatch", "Prefer", "CsrfToken", NULL };
static const char *const delete_params[] = { "IfMatch", "CsrfToken", NULL };
static const char *const restore_params[] = { "IdempotencyKey", "IfMatch", "Prefer", "CsrfToken",
                                              NULL };
static const int restore_errors[] = { 400, 401, 403, 404, 409, 412, 422, 429, 500, 503, 0 };
static const int list_errors[] = { 400, 401, 403, 422, 429, 500, 503, 0 };
static const int create_errors[] = { 400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503, 0 };
static const int read_errors[] = { 400, 401, 403, 404, 429, 500, 503, 0 };
static const int write_errors[] = { 400, 401, 403, 404, 409, 412, 413,
                                    415, 422, 428, 429, 500, 503, 0 };
static const int delete_errors[] = { 400, 401, 403, 404, 409, 412, 428, 429, 500, 503, 0 };

static const struct operation collection_operations[] = {
    { .method = "get",
      .id_prefix = "list",
      .summary = "List",
      .parameters = list_params,
      .errors = list_errors,
      .success = 200,
      .answer = "List",
      .headers = { "Link" },
      .action = CONTRACT_READ },
    { .method = "post",
      .id_prefix = "create",
      .summary = "Create one of",
      .parameters = create_params,
      .errors = create_errors,
      .body = "Create",
      .body_type = "application/json",
      .success = 201,
      .answer = "",
      .headers = { "Location", "ETag" },
      .action = CONTRACT_CREATE },
};
static const struct operation item_operations[] = {
    { .method = "get",
      .id_prefix = "read",
      .summary = "Read one of",
      .parameters = read_params,
      .errors = read_errors,
      .success = 200,
      .answer = "",
      .headers = { "ETag" },
      .action = CONTRACT_READ },
    { .method = "put",
      .id_prefix = "replace",
      .summary = "Replace one of",
      .parameters = write_params,
      .errors = write_errors,
      .body = "Replace",
      .body_type = "application/json",
      .success = 200,
      .answer = "",
      .headers = { "ETag" },
      .action = CONTRACT_UPDATE },
    { .method = "patch",
      .id_prefix = "patch",
      .summary = "Change fields of one of",
      .parameters = write_params,
      .errors = write_errors,
      .body = "Patch",
      .body_type = "application/merge-patch+json",
      .success = 200,
      .answer = "",
      .headers = { "ETag" },
      .action = CONTRACT_UPDATE },
    { .method = "delete",
      .id_prefix = "delete",
      .summary = "Delete one of",
      .parameters = delete_params,
      .errors = delete_errors,
      .success = 204,
      .action = CONTRACT_DELETE },
};
static const struct operation restore_operation = { .method = "post",
                                                    .id_prefix = "restore",
                                                    .summary = "Take back the deletion of one of",
                                                    .parameters = restore_params,
                                                    .errors = restore_errors,
                                                    .success = 200,
                                                    .answer = "",
                                                    .headers = { "ETag" },
                                                    .action = CONTRACT_UPDATE };

/* Go by the policy of this path, and keep in mind what that refers to. */
static void take_policy(struct document *d, struct slice path)
{
    d->policy = (struct openapi_policy){ .deprecated = false };
    if (d->options->policy_of)
        d->policy = d->options->policy_of(d->options->arg, path);
    d->used.ages |= d->policy.deprecated;
    d->used.signs_messages |= d->policy.signs_messages;
    d->used.signs_plain |= d->policy.signs_plain;
}

/* The path of a resource, and its policy. */
static void path_begin(struct document *d, const struct contract *c, const char *rest)
{
    struct slice path =
        arena_printf(d->arena, "%.*s%.*s%s", SLICE_ARG(d->prefix), SLICE_ARG(c->name), rest);
    take_policy(d, path);
    json_out_key(&d->o, path);
    json_out_object(&d->o);
}

static void put_id_parameter(struct json_out *o)
{
    json_out_key(o, SLICE("parameters"));
    json_out_array(o);
    contract__put_ref(o, "parameters", SLICE("Id"));
    json_out_end(o);
}

static void put_export(struct document *d, const struct contract *c)
{
    struct json_out *o = &d->o;
    path_begin(d, c, "/export");
    json_out_key(o, SLICE("get"));
    json_out_object(o);
    json_out_key(o, SLICE("operationId"));
    json_out_string(o, arena_printf(d->arena, "export%.*s", SLICE_ARG(schema_name(d, c, ""))));
    json_out_key(o, SLICE("summary"));
    json_out_string(
        o, arena_printf(d->arena, "Stream all %.*s that the caller may read.", SLICE_ARG(c->name)));
    json_out_key(o, SLICE("description"));
    json_out_string(o, c->description.len ? c->description : c->name);
    json_out_key(o, SLICE("tags"));
    json_out_array(o);
    json_out_string(o, c->name);
    json_out_end(o);
    put_deprecated(d);
    put_security(d, c, CONTRACT_READ);
    static const char *const params[] = { "Sort", "Filter", "Fields", NULL };
    put_parameters(d, params, false);
    json_out_raw(o, SLICE("{\"name\":\"format\",\"in\":\"query\",\"schema\":{\"type\":\"string\","
                          "\"enum\":[\"ndjson\",\"csv\"],"
                          "\"default\":\"ndjson\"}}"));
    put_equality_parameters(d, c);
    json_out_end(o);
    json_out_key(o, SLICE("responses"));
    json_out_object(o);
    json_out_key(o, SLICE("200"));
    json_out_raw(o, SLICE("{\"description\":\"Rows, one a "
                          "line.\",\"content\":{\"application/x-ndjson\":{\"schema\":{\"type\":"
                          "\"string\"}},\"text/csv\":{\"schema\":{\"type\":\"string\"}}}}"));
    for (const int *status = list_errors; *status; status++)
        contract__put_ref_member(o, arena_printf(d->arena, "%d%c", *status, 0).data, "responses",
                                 slice_cstr(contract__error_name(*status)));
    json_out_end(o);
    json_out_end(o);
    json_out_end(o);
}

static void put_resource_paths(struct document *d, const struct contract *c)
{
    struct json_out *o = &d->o;
    path_begin(d, c, "");
    for (size_t i = 0; i < ARRAY_LEN(collection_operations); i++)
        put_operation(d, c, &collection_operations[i]);
    json_out_end(o);
    path_begin(d, c, "/{id}");
    put_id_parameter(o);
    for (size_t i = 0; i < ARRAY_LEN(item_operations); i++)
        put_operation(d, c, &item_operations[i]);
    json_out_end(o);
    if (c->soft_delete) {
        path_begin(d, c, "/{id}/restore");
        put_id_parameter(o);
        put_operation(d, c, &restore_operation);
        json_out_end(o);
    }
    put_export(d, c);
}

/* -- the batch and the other routes
 * -------------------------------------------------------------------------------- */

static const char batch_results_schema[] =
    "{\"type\":\"object\",\"required\":[\"results\"],\"properties\":{\"results\":{\"type\":"
    "\"array\",\"items\":{\"type\":\"object\","
    "\"required\":[\"status\"],\"properties\":{\"status\":{\"type\":\"integer\",\"minimum\":200,"
    "\"maximum\":599},\"ref\":{\"type\":\"string\"},"
    "\"location\":{\"type\":\"string\"},\"etag\":{\"type\":\"string\"},\"body\":{\"type\":"
    "\"object\",\"description\":"
    "\"The row, or the problem.\"}}}}}}";

static const char batch_body[] =
    "{\"required\":true,\"content\":{\"application/"
    "json\":{\"schema\":{\"type\":\"object\",\"required\":["
    "\"operations\"],\"properties\":{\"operations\":{\"type\":\"array\",\"minItems\":1,\"items\":{"
    "\"type\":\"object\",\"required\":["
    "\"method\",\"path\"],\"properties\":{\"method\":{\"type\":\"string\",\"enum\":[\"POST\","
    "\"PUT\",\"PATCH\",\"DELETE\"]},"
    "\"path\":{\"type\":\"string\"},\"ref\":{\"type\":\"string\"},\"if_match\":{\"type\":"
    "\"string\"},\"body\":{\"type\":[\"object\",\"array\"]}}}}}}}}}";

static const char batch_mode[] =
    "{\"name\":\"mode\",\"in\":\"query\",\"schema\":{\"type\":\"string\",\"enum\":[\"atomic\","
    "\"independent\"],\"default\":\"atomic\"}}";

static void put_batch_answer(struct json_out *o, const char *status, const char *description)
{
    json_out_key(o, slice_cstr(status));
    json_out_object(o);
    json_out_kv(o, "description", description);
    json_out_key(o, SLICE("content"));
    json_out_raw(o, SLICE("{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/"
                          "BatchResults\"}}}"));
    json_out_end(o);
}

static void put_batch(struct document *d)
{
    static const char *const params[] = { "IdempotencyKey", "CsrfToken", NULL };
    struct json_out *o = &d->o;
    struct slice path = arena_printf(d->arena, "%.*sbatch", SLICE_ARG(d->prefix));
    take_policy(d, path);
    json_out_key(o, path);
    json_out_object(o);
    json_out_key(o, SLICE("post"));
    json_out_object(o);
    put_deprecated(d);
    json_out_kv(o, "operationId", "batch");
    json_out_kv(o, "summary", "Run several operations in one transaction.");
    json_out_kv(o, "description",
                "Operations run in order; one that fails undoes all (mode atomic). A path or body "
                "may refer to the id of an earlier operation: $ops.0.id, or $name.id when that "
                "operation has a ref.");
    json_out_key(o, SLICE("tags"));
    json_out_raw(o, SLICE("[\"batch\"]"));
    contract__put_callers(o, CONTRACT__ANYBODY_OR_KEY, SLICE_NULL, &d->policy);
    put_parameters(d, params, true);
    json_out_raw(o, SLICE(batch_mode));
    json_out_end(o);
    json_out_key(o, SLICE("requestBody"));
    json_out_raw(o, SLICE(batch_body));
    json_out_key(o, SLICE("responses"));
    json_out_object(o);
    put_batch_answer(o, "200", "The answer of each operation, in order.");
    put_batch_answer(o, "207", "Mode independent: some failed.");
    for (const int *status = create_errors; *status; status++)
        contract__put_ref_member(o, arena_printf(d->arena, "%d%c", *status, 0).data, "responses",
                                 slice_cstr(contract__error_name(*status)));
    json_out_end(o);
    json_out_end(o);
    json_out_end(o);
}

/* What stands between the brackets of an array that is JSON already; NULL: nothing. */
static void put_items(struct json_out *o, const char *array)
{
    struct slice text = slice_cstr(array);
    if (text.len > 2)
        json_out_raw(o, slice_of(text.data + 1, text.len - 2));
}

/* The {names} of a path, each a text. */
static void put_path_parameters(struct json_out *o, struct slice path)
{
    for (;;) {
        size_t from = slice_find(path, '{');
        if (from == SIZE_MAX)
            return;
        path = slice_from(path, from + 1);
        struct slice name = slice_head(path, slice_find(path, '}'));
        json_out_object(o);
        json_out_key(o, SLICE("name"));
        json_out_string(o, name);
        json_out_kv(o, "in", "path");
        json_out_key(o, SLICE("required"));
        json_out_bool(o, true);
        json_out_key(o, SLICE("schema"));
        json_out_raw(o, SLICE("{\"type\":\"string\"}"));
        json_out_end(o);
    }
}

static void put_request_body(struct json_out *o, const char *type)
{
    json_out_key(o, SLICE("requestBody"));
    json_out_object(o);
    json_out_key(o, SLICE("content"));
    json_out_object(o);
    json_out_key(o, slice_cstr(type));
    json_out_raw(o, SLICE("{\"schema\":{\"type\":\"object\"}}"));
    json_out_end(o);
    json_out_end(o);
}

/* An answer that is JSON of its own; a failure may be a problem as well. */
static void put_json_answer(struct json_out *o, struct slice status, const char *schema)
{
    json_out_key(o, status);
    json_out_object(o);
    json_out_kv(o, "description", status.data[0] == '2' ? "Done." : "Refused.");
    json_out_key(o, SLICE("content"));
    json_out_object(o);
    json_out_key(o, SLICE("application/json"));
    json_out_object(o);
    if (schema && status.data[0] == '2') {
        json_out_key(o, SLICE("schema"));
        json_out_raw(o, slice_cstr(schema));
    }
    json_out_end(o);
    if (status.data[0] != '2') {
        json_out_key(o, SLICE("application/problem+json"));
        json_out_object(o);
        contract__put_ref_member(o, "schema", "schemas", SLICE("Problem"));
        json_out_end(o);
    }
    json_out_end(o);
    json_out_end(o);
}

static void put_further_answers(struct document *d, const struct openapi_route *route)
{
    struct slice rest = slice_cstr(route->answers), word;
    while (route->answers && slice_split(&rest, ' ', &word)) {
        struct slice status = slice_head(word, 3);
        int64_t number = 0;
        (void)slice_to_i64(status, &number); /* constants of ours */
        if (word.len > 3) {
            put_json_answer(&d->o, status, route->response_schema);
        } else if (number < 300) {
            json_out_key(&d->o, status);
            json_out_raw(&d->o, SLICE("{\"description\":\"Done.\"}"));
        } else {
            contract__put_ref_member(&d->o, arena_cstr(d->arena, status), "responses",
                                     slice_cstr(contract__error_name((int)number)));
        }
    }
}

/* Does the list of further answers say it already? */
static bool says(const struct openapi_route *route, const char *status)
{
    return route->answers && strstr(route->answers, status);
}

static void put_route(struct document *d, const struct openapi_route *route)
{
    struct json_out *o = &d->o;
    json_out_key(o, slice_cstr(route->method));
    json_out_object(o);
    if (route->operation_id)
        json_out_kv(o, "operationId", route->operation_id);
    json_out_kv(o, "summary", route->summary);
    json_out_kv(o, "description", route->summary);
    json_out_key(o, SLICE("tags"));
    json_out_array(o);
    json_out_cstr(o, route->tag ? route->tag : "other");
    json_out_end(o);
    take_policy(d, route->path);
    d->policy.deprecated |= route->deprecated;
    put_deprecated(d);
    bool is_closed = route->permission || route->signed_in;
    contract__put_callers(o, is_closed ? CONTRACT__KEY : CONTRACT__ANYBODY,
                          slice_cstr(route->permission), &d->policy);
    bool is_pattern = slice_find(route->path, '{') != SIZE_MAX;
    if (route->parameters || is_pattern || d->policy.signs_messages) {
        put_parameters(d, NULL, false);
        put_path_parameters(o, route->path);
        put_items(o, route->parameters);
        json_out_end(o);
    }
    if (route->body_type)
        put_request_body(o, route->body_type);
    json_out_key(o, SLICE("responses"));
    json_out_object(o);
    json_out_key(o, SLICE("200"));
    json_out_object(o);
    json_out_kv(o, "description", "Done.");
    json_out_key(o, SLICE("content"));
    json_out_object(o);
    json_out_key(o, slice_cstr(route->response_type ? route->response_type : "application/json"));
    json_out_object(o);
    if (route->response_schema) {
        json_out_key(o, SLICE("schema"));
        json_out_raw(o, slice_cstr(route->response_schema));
    }
    json_out_end(o);
    json_out_end(o);
    json_out_end(o);
    bool asks_who = is_closed || d->policy.signs_messages || d->policy.signs_plain;
    if (asks_who && !says(route, "401"))
        contract__put_ref_member(o, "401", "responses", SLICE("Unauthenticated"));
    if (is_closed && !says(route, "403"))
        contract__put_ref_member(o, "403", "responses", SLICE("Denied"));
    if (!says(route, "400"))
        contract__put_ref_member(o, "400", "responses", SLICE("BadRequest"));
    put_further_answers(d, route);
    contract__put_ref_member(o, "429", "responses", SLICE("TooManyRequests"));
    contract__put_ref_member(o, "503", "responses", SLICE("Unavailable"));
    json_out_end(o);
    json_out_end(o);
}

/* Routes of one path stand under one key, wherever they were added. */
static void put_other_paths(struct document *d, const struct openapi_options *options)
{
    for (unsigned i = 0; i < options->routes_len; i++) {
        bool seen = false;
        for (unsigned j = 0; j < i && !seen; j++)
            seen = slice_eq(options->routes[j].path, options->routes[i].path);
        if (seen)
            continue;
        json_out_key(&d->o, options->routes[i].path);
        json_out_object(&d->o);
        for (unsigned j = i; j < options->routes_len; j++)
            if (slice_eq(options->routes[j].path, options->routes[i].path))
                put_route(d, &options->routes[j]);
        json_out_end(&d->o);
    }
}

static void put_info(struct document *d, const struct openapi_options *options)
{
    struct json_out *o = &d->o;
    json_out_kv(o, "openapi", "3.1.0");
    json_out_key(o, SLICE("info"));
    json_out_object(o);
    json_out_key(o, SLICE("title"));
    json_out_string(o, options->title);
    json_out_key(o, SLICE("version"));
    json_out_string(o, options->version);
    json_out_kv(o, "description", "Made from the contracts and routes that are served.");
    json_out_key(o, SLICE("license"));
    json_out_raw(o, SLICE("{\"name\":\"MIT\",\"identifier\":\"MIT\"}"));
    json_out_end(o);
    json_out_key(o, SLICE("servers"));
    json_out_array(o);
    json_out_object(o);
    json_out_key(o, SLICE("url"));
    json_out_string(o, options->server_url);
    json_out_end(o);
    json_out_end(o);
}

static void put_tags(struct document *d)
{
    struct json_out *o = &d->o;
    json_out_key(o, SLICE("tags"));
    json_out_array(o);
    for (unsigned i = 0; i < d->set->len; i++) {
        if (d->set->contracts[i]->absent)
            continue;
        json_out_object(o);
        json_out_key(o, SLICE("name"));
        json_out_string(o, d->set->contracts[i]->name);
        json_out_key(o, SLICE("description"));
        json_out_string(o, d->set->contracts[i]->description);
        json_out_end(o);
    }
    json_out_raw(o, SLICE("{\"name\":\"batch\",\"description\":\"Several operations at once.\"}"));
    json_out_raw(o, SLICE("{\"name\":\"health\",\"description\":\"How the server is doing.\"}"));
    json_out_raw(o, SLICE("{\"name\":\"documents\",\"description\":\"What is here.\"}"));
    json_out_end(o);
}

void contract_openapi(const struct contract_set *set, const struct openapi_options *options,
                      struct arena *arena, struct buf *out)
{
    struct document d = { .o = json_out(out),
                          .arena = arena,
                          .set = set,
                          .options = options,
                          .prefix = arena_printf(arena, "/api/%.*s/", SLICE_ARG(set->version)) };
    json_out_object(&d.o);
    put_info(&d, options);
    put_tags(&d);
    json_out_key(&d.o, SLICE("paths"));
    json_out_object(&d.o);
    for (unsigned i = 0; i < set->len; i++)
        if (!set->contracts[i]->absent)
            put_resource_paths(&d, set->contracts[i]);
    put_batch(&d);
    put_other_paths(&d, options);
    json_out_end(&d.o);
    json_out_key(&d.o, SLICE("components"));
    json_out_object(&d.o);
    json_out_key(&d.o, SLICE("schemas"));
    json_out_object(&d.o);
    contract__put_shared_schemas(&d.o);
    json_out_key(&d.o, SLICE("BatchResults"));
    json_out_raw(&d.o, SLICE(batch_results_schema));
    for (unsigned i = 0; i < set->len; i++)
        if (!set->contracts[i]->absent)
            put_resource_schemas(&d, set->contracts[i]);
    json_out_end(&d.o);
    contract__put_shared_components(&d.o, &d.used);
    json_out_end(&d.o);
    json_out_end(&d.o);
}
