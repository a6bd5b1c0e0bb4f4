/*
 * purlin openapi, routes and config: what the program can say about itself without a running
 * server.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/scratch.h"
#include "contract/contract.h"
#include "http/http.h"
#include "resource/resource.h"
#include "site/site.h"

#define DOCUMENT_BYTES_MAX ((size_t)16 << 20)

/* Open the whole edge over an empty database in a temporary folder, so that the documents come from
 * the same routes that serve would add and the real database is not touched. */
static int with_edge(const struct app_common *common, const char *verb, int (*fn)(struct app *app))
{
    struct app app;
    struct scratch scratch;
    int code = app_open_config(&app, common);
    if (code == CMD_OK)
        code = app_open_contracts(&app);
    if (code == CMD_OK)
        code = scratch_begin(&scratch, &app, verb);
    if (code != CMD_OK) {
        app_close(&app);
        return code;
    }
    code = app_open_store(&app, verb, true, false);
    if (code == CMD_OK)
        code = app_open_http(&app, verb, NULL, 0);
    if (code == CMD_OK)
        code = fn(&app);
    scratch_end(&scratch, &app);
    return code;
}

static int parse_plain(const struct cmd_verb *verb, int argc, char **argv,
                       struct app_common *common)
{
    const struct cmd_option options[] = { APP_COMMON_OPTIONS(*common) };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len)
        return cmd_usage_error(verb, "unexpected argument %.*s", SLICE_ARG(args.words[0]));
    return -1;
}

/* -- openapi
 * --------------------------------------------------------------------------------------------- */

static int print_openapi(struct app *app)
{
    struct buf out;
    buf_init(&out, app->arena, 65536, DOCUMENT_BYTES_MAX);
    struct contract_set *set = resource_set_hold(app->engine);
    site_openapi(app->http, /* req= */ NULL, set, app->arena, &out);
    resource_set_release(app->engine, set);
    buf_putc(&out, '\n');
    if (buf_status(&out) != STATUS_OK) {
        (void)fprintf(stderr, "purlin openapi: the document grew too large\n");
        return CMD_FAILED;
    }
    return cmd_print_out(buf_slice(&out));
}

static int run_openapi(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app_common common = { 0 };
    int code = parse_plain(verb, argc, argv, &common);
    return code >= 0 ? code : with_edge(&common, verb->name, print_openapi);
}

const struct cmd_verb cmd_openapi = {
    .name = "openapi",
    .summary = "Print the OpenAPI 3.1 document.",
    .synopsis = "[--config FILE] [--env-file FILE]",
    .details = "The same document that a running server has at /openapi.json.",
    .run = run_openapi,
};

/* -- routes
 * ------------------------------------------------------------------------------------------------
 */

/* The permission that a route needs, or in a word whom it answers. */
static const char *needs_of(const struct http_route *route)
{
    const char *permission = http_route_permission(route);
    if (permission)
        return permission;
    return route->audience == HTTP_SIGNED_IN ? "signed in" : "public";
}

static int print_routes(struct app *app)
{
    struct buf out;
    buf_init(&out, app->arena, 8192, DOCUMENT_BYTES_MAX);
    for (unsigned i = 0; i < http_routes_len(app->http); i++) {
        const struct http_route *route = http_route_at(app->http, i);
        struct slice method = net_method_text(route->method);
        buf_printf(&out, "%-8.*s %-44s %-18s %s\n", SLICE_ARG(method), route->pattern,
                   needs_of(route), route->summary ? route->summary : "");
    }
    struct contract_set *set = resource_set_hold(app->engine);
    for (unsigned i = 0; i < set->len; i++)
        buf_printf(&out, "%-8s /api/%.*s/%-36.*s %-18s %.*s\n", "resource", SLICE_ARG(set->version),
                   SLICE_ARG(set->contracts[i]->name), "rules",
                   SLICE_ARG(set->contracts[i]->description));
    resource_set_release(app->engine, set);
    return cmd_print_out(buf_slice(&out));
}

static int run_routes(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app_common common = { 0 };
    int code = parse_plain(verb, argc, argv, &common);
    return code >= 0 ? code : with_edge(&common, verb->name, print_routes);
}

const struct cmd_verb cmd_routes = {
    .name = "routes",
    .summary = "List every route and resource that is served.",
    .synopsis = "[--config FILE] [--env-file FILE]",
    .run = run_routes,
};

/* -- config
 * ------------------------------------------------------------------------------------------------
 */

static int run_config(const struct cmd_verb *verb, int argc, char **argv)
{
    static const struct {
        const char *word;
        void (*print)(struct buf *out);
    } documents[] = { { "reference", config_print_reference },
                      { "env", config_print_env_example },
                      { "schema", config_print_schema },
                      { "contract-schema", contract_meta_schema } };
    struct app app = { 0 };
    struct app_common common = { 0 };
    const struct cmd_option options[] = { APP_COMMON_OPTIONS(common) };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len > 1)
        return cmd_usage_error(verb, "one document at a time");
    struct slice word = args.words_len ? args.words[0] : SLICE("show");
    struct buf out;
    buf_init(&out, NULL, 8192, DOCUMENT_BYTES_MAX);
    code = -1;
    for (size_t i = 0; i < ARRAY_LEN(documents); i++)
        if (slice_eq(word, slice_cstr(documents[i].word))) {
            documents[i].print(&out);
            code = cmd_print_out(buf_slice(&out));
        }
    if (code < 0 && slice_eq(word, SLICE("show"))) {
        code = app_open_config(&app, &common);
        if (code == CMD_OK) {
            config_print(&app.config, &out);
            code = cmd_print_out(buf_slice(&out));
        }
        app_close(&app);
    } else if (code < 0) {
        code = cmd_usage_error(verb, "unknown document %.*s", SLICE_ARG(word));
    }
    buf_fini(&out);
    return code;
}

const struct cmd_verb cmd_config = {
    .name = "config",
    .summary = "Show the configuration in force, or its documents.",
    .synopsis =
        "[show | reference | env | schema | contract-schema] [--config FILE] [--env-file FILE]",
    .details = "show             every key with its value in force; secrets as ***\n"
               "reference        the reference, in Markdown (docs/configuration.md)\n"
               "env              .env.example\n"
               "schema           JSON Schema of purlin.yaml, for editors\n"
               "contract-schema  JSON Schema of contract files, for editors",
    .run = run_config,
};
