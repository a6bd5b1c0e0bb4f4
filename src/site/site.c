#include "site/site.h"

#include <dirent.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "contract/openapi.h"
#include "fiber/task.h"
#include "http/http.h"
#include "resource/resource.h"

#define SITE_FILES_MAX 64u
#define OPENAPI_BYTES_MAX ((size_t)8 << 20)

struct site {
    struct site_options options;
    struct http_app *app;
    struct arena *arena;
    struct http_files *web_files, *swagger_files; /* NULL: the folder is missing */
    struct slice web[SITE_FILES_MAX];             /* names */
    unsigned web_len;
    struct slice swagger[SITE_FILES_MAX];
    unsigned swagger_len;
};

/* What pages are made of; packages have other files too. */
static bool is_served(struct slice name)
{
    static const char *const suffixes[] = { ".html", ".css", ".js",   ".svg",
                                            ".png",  ".ico", ".json", ".txt" };
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (slice_ends(name, slice_cstr(suffixes[i])))
            return true;
    return false;
}

/* The plain files of a folder whose types are served and whose names begin so; a missing folder has
 * none. */
static unsigned list_files(struct arena *arena, struct slice folder, struct slice prefix,
                           struct slice *names)
{
    char *path = arena_cstr(arena, folder);
    DIR *dir = path ? opendir(path) : NULL;
    unsigned len = 0;
    if (!dir)
        return 0;
    for (struct dirent *entry; len < SITE_FILES_MAX && (entry = readdir(dir));) {
        struct slice name = slice_cstr(entry->d_name);
        if (!is_served(name) || name.data[0] == '.' || !slice_starts(name, prefix))
            continue;
        if (arena_copy(arena, name, &names[len]) != STATUS_OK)
            break;
        len++;
    }
    (void)closedir(dir);
    return len;
}

static bool has_file(const struct slice *names, unsigned len, struct slice name)
{
    for (unsigned i = 0; i < len; i++)
        if (slice_eq(names[i], name))
            return true;
    return false;
}

/* -- routes
 * -----------------------------------------------------------------------------------------------
 */

static bool wants_html(struct http_request *req)
{
    const struct net_header *accept = net_header_get(http_net(req), NET_HEADER_ACCEPT);
    return accept && slice_find_slice(accept->value, SLICE("text/html")) != SIZE_MAX;
}

static void put_older(struct json_out *o, const struct contract_set *set, struct arena *arena)
{
    json_out_key(o, SLICE("older"));
    json_out_array(o);
    for (; set; set = set->older)
        json_out_string(o, arena_printf(arena, "/api/%.*s", SLICE_ARG(set->version)));
    json_out_end(o);
}

/* What is here, for programs: no version (it helps only those who look for a known hole). */
static enum status root_json(struct task *task, struct http_request *req, struct site *site)
{
    struct buf body;
    buf_init(&body, task_arena(task), 1024, 65536);
    struct json_out o = json_out(&body);
    json_out_object(&o);
    json_out_kv(&o, "name", "Purlin");
    struct contract_set *set = resource_set_hold(site->options.engine);
    json_out_key(&o, SLICE("api"));
    json_out_string(&o, arena_printf(task_arena(task), "/api/%.*s", SLICE_ARG(set->version)));
    if (set->older)
        put_older(&o, set->older, task_arena(task));
    if (site->options.docs) {
        json_out_kv(&o, "docs", "/docs");
        json_out_kv(&o, "openapi", "/openapi.json");
    }
    json_out_kv(&o, "health", "/health/ready");
    json_out_key(&o, SLICE("resources"));
    json_out_array(&o);
    for (unsigned i = 0; i < set->len; i++) {
        const struct contract *c = set->contracts[i];
        json_out_object(&o);
        json_out_key(&o, SLICE("name"));
        json_out_string(&o, c->name);
        json_out_key(&o, SLICE("path"));
        json_out_string(&o, arena_printf(task_arena(task), "/api/%.*s/%.*s",
                                         SLICE_ARG(set->version), SLICE_ARG(c->name)));
        json_out_key(&o, SLICE("description"));
        json_out_string(&o, c->description);
        json_out_end(&o);
    }
    json_out_end(&o);
    json_out_end(&o);
    resource_set_release(site->options.engine, set);
    if (buf_status(&body) != STATUS_OK)
        return problem_set(task, buf_status(&body), "site/too-large", "The answer grew too large.");
    http_header_add(req, SLICE("Vary"), SLICE("Accept"));
    http_send_json(req, 200, buf_slice(&body));
    return STATUS_OK;
}

static enum status get_root(struct task *task, struct http_request *req, void *arg)
{
    struct site *site = arg;
    if (!has_file(site->web, site->web_len, SLICE("index.html")) || !wants_html(req))
        return root_json(task, req, site);
    http_header_add(req, SLICE("Vary"), SLICE("Accept"));
    return http_files_send(task, req, site->web_files, SLICE("index.html"));
}

static enum status get_web(struct task *task, struct http_request *req, void *arg)
{
    struct site *site = arg;
    struct slice name = http_path_param(req, SLICE("file"));
    if (!has_file(site->web, site->web_len, name))
        return problem_set(task, STATUS_NOT_FOUND, "site/no-file", "There is no such page.");
    return http_files_send(task, req, site->web_files, name);
}

static enum status get_docs(struct task *task, struct http_request *req, void *arg)
{
    struct site *site = arg;
    if (!has_file(site->web, site->web_len, SLICE("docs.html")) ||
        !has_file(site->swagger, site->swagger_len, SLICE("swagger-ui-bundle.js")))
        return problem_set(
            task, STATUS_UNAVAILABLE, "site/no-swagger-ui",
            "Swagger UI is not installed: run script/setup, or set PURLIN_SWAGGER_UI to the "
            "folder of swagger-ui-dist. The document itself is at /openapi.json.");
    return http_files_send(task, req, site->web_files, SLICE("docs.html"));
}

static enum status get_swagger(struct task *task, struct http_request *req, void *arg)
{
    struct site *site = arg;
    struct slice name = http_path_param(req, SLICE("file"));
    if (!has_file(site->swagger, site->swagger_len, name))
        return problem_set(task, STATUS_NOT_FOUND, "site/no-file", "There is no such file.");
    return http_files_send(task, req, site->swagger_files, name);
}

static const char *method_name(enum net_method method)
{
    static const char *const names[NET_METHOD_COUNT] = {
        [NET_METHOD_GET] = "get",         [NET_METHOD_HEAD] = "head",
        [NET_METHOD_POST] = "post",       [NET_METHOD_PUT] = "put",
        [NET_METHOD_PATCH] = "patch",     [NET_METHOD_DELETE] = "delete",
        [NET_METHOD_OPTIONS] = "options",
    };
    return names[method];
}

/* Whose document is made: the app's, as a request sees it. */
struct asked {
    struct http_app *app;
    const struct http_request *req; /* NULL: no loop runs */
};

static struct openapi_policy policy_of(void *arg, struct slice path)
{
    const struct asked *asked = arg;
    const struct http_policy *policy =
        asked->req ? http_policy_at(asked->req, path) : http_policy_of(asked->app, path);
    const struct http_signature_policy *signature = &policy->signature;
    bool looks = signature->mode != HTTP_SIGNATURE_OFF;
    return (struct openapi_policy){
        .deprecated = policy->deprecation.deprecated_us != 0,
        .signs_messages = looks && signature->takes_messages,
        .signs_plain = looks && signature->takes_plain,
        .signs_always = signature->mode == HTTP_SIGNATURE_REQUIRED,
    };
}

void site_openapi(struct http_app *app, const struct http_request *req,
                  const struct contract_set *set, struct arena *arena, struct buf *out)
{
    struct asked asked = { .app = app, .req = req };
    unsigned len = http_routes_len(app), n = 0;
    struct openapi_route *routes = arena_array_of(arena, struct openapi_route, len ? len : 1);
    for (unsigned i = 0; routes && i < len; i++) {
        const struct http_route *route = http_route_at(app, i);
        const char *method = method_name(route->method);
        /* The engine's generic routes have no summary: each contract documents its own paths. */
        if (!route->summary || !method)
            continue;
        routes[n++] = (struct openapi_route){ .method = method,
                                              .path = slice_cstr(route->pattern),
                                              .summary = route->summary,
                                              .tag = route->tag,
                                              .operation_id = route->operation_id,
                                              .permission = http_route_permission(route),
                                              .signed_in = route->audience == HTTP_SIGNED_IN,
                                              .deprecated = route->deprecated_us != 0,
                                              .response_type = route->answer_type,
                                              .response_schema = route->answer_schema,
                                              .parameters = route->parameters,
                                              .answers = route->answers,
                                              .body_type = route->body_type };
    }
    struct openapi_options options = { .title = SLICE("Purlin"),
                                       .version = SLICE(PURLIN_VERSION),
                                       .server_url = SLICE("/"),
                                       .routes = routes,
                                       .routes_len = n,
                                       .policy_of = policy_of,
                                       .arg = &asked };
    contract_openapi(set, &options, arena, out);
}

/* "/openapi.json" is of the newest version, "/api/v1/openapi.json" of that one. */
static const struct contract_set *asked_version(const struct contract_set *set, struct slice path)
{
    for (const struct contract_set *older = set; older; older = older->older) {
        if (slice_starts(path, SLICE("/api/")) &&
            slice_starts(slice_from(path, 5), older->version) &&
            slice_eq(slice_from(path, 5 + older->version.len), SLICE("/openapi.json")))
            return older;
    }
    return set;
}

static enum status get_openapi(struct task *task, struct http_request *req, void *arg)
{
    struct site *site = arg;
    struct buf body;
    buf_init(&body, task_arena(task), 65536, OPENAPI_BYTES_MAX);
    struct contract_set *set = resource_set_hold(site->options.engine);
    site_openapi(site->app, req, asked_version(set, http_path(req)), task_arena(task), &body);
    resource_set_release(site->options.engine, set);
    if (buf_status(&body) != STATUS_OK)
        return problem_set(task, buf_status(&body), "site/too-large",
                           "The document grew too large.");
    struct slice etag =
        arena_printf(task_arena(task), "\"%llx\"", (unsigned long long)hash64(buf_slice(&body), 0));
    const struct net_header *match = net_header_get(http_net(req), NET_HEADER_IF_NONE_MATCH);
    http_header_add(req, SLICE("ETag"), etag);
    http_header_add(req, SLICE("Cache-Control"), SLICE("no-cache"));
    if (match && http_etag_matches(match->value, etag, true))
        http_send_empty(req, 304);
    else
        http_send(req, 200, "application/json", buf_slice(&body));
    return STATUS_OK;
}

/* What the routes answer, for the document. */
static const char root_schema[] =
    "{\"type\":\"object\",\"required\":[\"name\",\"api\",\"health\",\"resources\"],\"properties\":{"
    "\"name\":{\"type\":\"string\"},"
    "\"api\":{\"type\":\"string\"},\"older\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
    "\"docs\":{\"type\":\"string\"},\"openapi\":{\"type\":\"string\"}"
    ",\"health\":{\"type\":\"string\"},"
    "\"resources\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"name\","
    "\"path\",\"description\"],\"properties\":{"
    "\"name\":{\"type\":\"string\"},\"path\":{\"type\":\"string\"},\"description\":{\"type\":"
    "\"string\"}}}}}}";
static const char document_schema[] =
    "{\"type\":\"object\",\"required\":[\"openapi\",\"info\",\"paths\"],\"properties\":{"
    "\"openapi\":{\"type\":\"string\","
    "\"pattern\":\"^3[.]1[.]\"},\"info\":{\"type\":\"object\"},\"paths\":{\"type\":\"object\"}}}";

static enum status add_routes(struct site *site)
{
    const struct {
        const char *pattern;
        http_handler_fn fn;
        bool docs;
        const char *summary, *operation_id, *answer_schema;
    } routes[] = {
        { "/", get_root, false, "What is here.", "root", root_schema },
        { "/assets/{file}", get_web, false, NULL, NULL, NULL },
        { "/docs", get_docs, true, NULL, NULL, NULL },
        { "/docs/assets/{file}", get_swagger, true, NULL, NULL, NULL },
        { "/openapi.json", get_openapi, true, "This document.", "openapi", document_schema },
    };
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        const char *reason;
        bool is_root = routes[i].fn == get_root;
        if ((routes[i].docs && !site->options.docs) || (is_root && site->options.no_root))
            continue;
        enum status st =
            http_route_add(site->app,
                           &(struct http_route){ .method = NET_METHOD_GET,
                                                 .pattern = routes[i].pattern,
                                                 .handler = routes[i].fn,
                                                 .arg = site,
                                                 .body_bytes_max = -1,
                                                 .summary = routes[i].summary,
                                                 .tag = "documents",
                                                 .operation_id = routes[i].operation_id,
                                                 .answer_schema = routes[i].answer_schema },
                           &reason);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

/* A document for each version, beside its resources. */
static enum status add_version_documents(struct site *site)
{
    struct contract_set *set = resource_set_hold(site->options.engine);
    enum status st = STATUS_OK;
    for (const struct contract_set *v = set; v && st == STATUS_OK && site->options.docs;
         v = v->older) {
        const char *reason;
        const char *pattern =
            arena_cstr(site->arena,
                       arena_printf(site->arena, "/api/%.*s/openapi.json", SLICE_ARG(v->version)));
        const struct http_route route = { .method = NET_METHOD_GET,
                                          .pattern = pattern,
                                          .handler = get_openapi,
                                          .arg = site,
                                          .body_bytes_max = -1 };
        st = http_route_add(site->app, &route, &reason);
    }
    resource_set_release(site->options.engine, set);
    return st;
}

/* The names that are served of a folder, and the folder; a missing one has none. */
static enum status open_folder(struct site *site, struct slice folder, struct slice prefix,
                               struct slice *names, unsigned *names_len, struct http_files **files)
{
    const char *reason;
    *names_len = list_files(site->arena, folder, prefix, names);
    if (*names_len == 0)
        return STATUS_OK;
    return http_files_add(site->app, &(struct http_files_options){ .folder = folder }, files,
                          &reason);
}

enum status site_open(struct http_app *app, const struct site_options *options, struct site **ret)
{
    struct arena *arena = arena_new(NULL, (size_t)1 << 20);
    struct site *site = arena_new_of(arena, struct site);
    if (!site) {
        arena_free(arena);
        return STATUS_EXHAUSTED;
    }
    site->arena = arena;
    site->app = app;
    site->options = *options;
    enum status st =
        open_folder(site, options->web, SLICE(""), site->web, &site->web_len, &site->web_files);
    if (st == STATUS_OK)
        st = open_folder(site, options->swagger, SLICE("swagger-ui"), site->swagger,
                         &site->swagger_len, &site->swagger_files);
    if (st == STATUS_OK)
        st = add_routes(site);
    if (st == STATUS_OK)
        st = add_version_documents(site);
    if (st != STATUS_OK) {
        arena_free(arena);
        return st;
    }
    *ret = site;
    return STATUS_OK;
}

void site_close(struct site *site)
{
    if (site)
        arena_free(site->arena);
}
