/*
 * tests/conformance/conformance.c - purlin-conformance: the bare handlers that public protocol
 * suites need, on the same rooms as the product, which so carries none of them. PORT from the
 * environment (default 8080), one loop, no limits on rates. With TLS_PORT, TLS_CERT and TLS_KEY
 * (PEM files) it listens there too, and with TLS_CLIENT_CA it takes certificates of clients.
 *
 *   /echo    any method: 200 with the request's body and type, up to 1 MiB
 *   /echoed  GET: how many bodies /echo has read to their end: what it answered, whoever saw it
 *   /big     GET: 200 kB
 *   /json    POST, PUT: a JSON body, parsed and written back
 *   /error   GET: 500
 *   /tls     GET: what TLS knows of the connection; 404 in clear
 *   /static/ GET: the files under the folder STATIC_DIR, when it is set
 *   /csrf    GET: a CSRF token for the session cookie that was sent, and its cookie
 *   /validate
 *            POST: {"schema", "instance"} -> {"valid"}: JSON Schema 2020-12, formats asserted; 422
 *            when the schema is none
 *   /verify, /sign
 *            POST: signed tokens (jose.h)
 *   /proxy-client
 *            fetches a URL of this machine through the client (proxy_client.c)
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/problem.h"
#include "contract/schema.h"
#include "fiber/task.h"
#include "http/http.h"
#include "jose.h"
#include "net/net.h"
#include "proxy_client.h"

#define ECHO_BYTES_MAX ((int64_t)1 << 20)
#define SCHEMA_ARENA_BYTES ((size_t)32 << 20)
#define BIG_BYTES ((size_t)200 * 1000)

static enum status echo(struct task *task, struct http_request *req, void *arg)
{
    unsigned *echoed = arg;
    struct slice body, type = http_content_type(req);
    enum status st = http_body(task, req, NULL, &body);
    if (st != STATUS_OK)
        return st;
    *echoed += 1;
    const char *sent = type.len ? arena_cstr(http_arena(req), type) : NULL;
    http_send(req, 200, sent ? sent : "application/octet-stream", body);
    return STATUS_OK;
}

static void echo_count(struct http_request *req, void *arg)
{
    const unsigned *echoed = arg;
    http_send(req, 200, "text/plain", arena_printf(http_arena(req), "%u", *echoed));
}

static void big(struct http_request *req, void *arg)
{
    http_send(req, 200, "text/plain", slice_of(arg, BIG_BYTES));
}

static enum status read_json(struct task *task, struct http_request *req, json_t **ret_value)
{
    struct slice body;
    enum status st = http_body(task, req, HTTP_JSON, &body);
    if (st != STATUS_OK)
        return st;
    struct json_error_at error;
    const struct json_limits limits = { .bytes_max = (size_t)ECHO_BYTES_MAX, .depth_max = 64 };
    st = json_read(http_arena(req), body, limits, ret_value, &error);
    if (st == STATUS_OK)
        return st;
    return problem_set(task, st, "http/invalid-json", "Line %d, column %d: %s.", error.line,
                       error.column, error.reason);
}

static enum status json_back(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    json_t *value;
    enum status st = read_json(task, req, &value);
    if (st != STATUS_OK)
        return st;
    struct buf out;
    buf_init(&out, http_arena(req), 256, 8 * (size_t)ECHO_BYTES_MAX);
    json_put_value(&out, value);
    if (buf_status(&out) != STATUS_OK)
        return buf_status(&out);
    http_send_json(req, 200, buf_slice(&out));
    return STATUS_OK;
}

/* What a test sends as a schema may be anything; so a problem names the place in it. */
static enum status refuse_schema(struct task *task, struct http_request *req, enum status st,
                                 const struct json_schema_error *error)
{
    if (st == STATUS_EXHAUSTED)
        return problem_set(task, st, "conformance/too-large",
                           "The schema does not fit into memory.");
    struct slice pointer = arena_printf(http_arena(req), "/schema%.*s", SLICE_ARG(error->pointer));
    problem_field_add(task_problem(task), task_arena(task), pointer, "schema", "%.*s",
                      SLICE_ARG(error->reason));
    return STATUS_INVALID;
}

static enum status validate(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    json_t *value;
    enum status st = read_json(task, req, &value);
    if (st != STATUS_OK)
        return st;
    const json_t *json = json_object_get(value, "schema");
    const json_t *instance = json_object_get(value, "instance");
    if (!json || !instance) {
        problem_field_add(task_problem(task), task_arena(task),
                          json ? SLICE("/instance") : SLICE("/schema"), "required", "is required");
        return STATUS_INVALID;
    }
    /* 10,000 subschemas take more than a request's arena has. */
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, SCHEMA_ARENA_BYTES);
    struct json_schema *schema;
    struct json_schema_error error = { 0 };
    st = json_schema_compile(json, arena, &schema, &error);
    if (st != STATUS_OK)
        return refuse_schema(task, req, st, &error);
    bool valid = json_schema_validate(schema, instance, arena, SLICE_NULL, NULL);
    json_schema_free(schema);
    http_send_json(req, 200, valid ? SLICE("{\"valid\":true}") : SLICE("{\"valid\":false}"));
    return STATUS_OK;
}

static enum status fail(struct task *task, struct http_request *req, void *arg)
{
    (void)req;
    (void)arg;
    return problem_set(task, STATUS_INTERNAL, "conformance/error", "An error was asked for.");
}

static enum status csrf(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    struct slice token, session = http_cookie(req, SLICE(HTTP_SESSION_COOKIE));
    enum status st = http_csrf_token_issue(req, session, &token);
    if (st != STATUS_OK)
        return problem_set(task, st, "conformance/no-session", "Send a session cookie.");
    http_send(req, 200, "text/plain", token);
    return STATUS_OK;
}

static void live(struct http_request *req, void *arg)
{
    (void)arg;
    http_send_json(req, 200, SLICE("{\"status\":\"pass\"}"));
}

/* {"version", "cipher", "sni", "resumed", "subject", "names", "fingerprint"}; null where there is
 * none. */
static void tls_info(struct http_request *req, void *arg)
{
    (void)arg;
    struct net_tls_info info;
    if (!net_is_secure(http_exchange(req)) || !net_tls_info(http_exchange(req), &info)) {
        http_send(req, 404, "text/plain", SLICE("in clear"));
        return;
    }
    const struct {
        const char *name;
        struct slice value;
    } texts[] = {
        { "version", info.version },
        { "cipher", info.cipher },
        { "sni", info.sni },
        { "subject", info.client_subject },
        { "names", info.client_names },
        { "fingerprint", info.client_fingerprint },
    };
    struct buf out;
    buf_init(&out, http_arena(req), 512, 65536);
    buf_printf(&out, "{\"resumed\":%s", info.resumed ? "true" : "false");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        buf_printf(&out, ",\"%s\":", texts[i].name);
        if (texts[i].value.data)
            json_put_string(&out, texts[i].value);
        else
            buf_put_lit(&out, "null");
    }
    buf_putc(&out, '}');
    http_send_json(req, 200, buf_slice(&out));
}

static bool add_routes(struct http_app *app, char *big_text, unsigned *echoed)
{
    const struct http_route routes[] = {
        { .method = NET_METHOD_GET,
          .pattern = "/health/live",
          .handle_inline = live,
          .quiet = true },
        { .method = NET_METHOD_GET, .pattern = "/big", .handle_inline = big, .arg = big_text },
        { .method = NET_METHOD_GET,
          .pattern = "/echoed",
          .handle_inline = echo_count,
          .arg = echoed },
        { .method = NET_METHOD_POST, .pattern = "/json", .handler = json_back },
        { .method = NET_METHOD_PUT, .pattern = "/json", .handler = json_back },
        { .method = NET_METHOD_POST, .pattern = "/validate", .handler = validate },
        { .method = NET_METHOD_GET, .pattern = "/error", .handler = fail },
        { .method = NET_METHOD_GET, .pattern = "/tls", .handle_inline = tls_info },
        { .method = NET_METHOD_GET, .pattern = "/csrf", .handler = csrf },
    };
    const char *reason;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (http_route_add(app, &routes[i], &reason) != STATUS_OK)
            return false;
    }
    for (unsigned m = 0; m < NET_METHOD_OTHER; m++) {
        const struct http_route route = {
            .method = (enum net_method)m,
            .pattern = "/echo",
            .handler = echo,
            .arg = echoed,
            .body_bytes_max = ECHO_BYTES_MAX,
        };
        if (http_route_add(app, &route, &reason) != STATUS_OK)
            return false;
    }
    return true;
}

static bool add_static(struct http_app *app)
{
    const char *folder = getenv("STATIC_DIR");
    const char *reason;
    const struct http_files_options options = { .folder = slice_cstr(folder), .path = "/static" };
    if (!folder || http_files_add(app, &options, NULL, &reason) == STATUS_OK)
        return true;
    (void)fprintf(stderr, "purlin-conformance: STATIC_DIR: %s\n", reason);
    return false;
}

/* -- the program
 * ----------------------------------------------------------------------------------------- */

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    loop_stop(signal->data);
}

static struct net_server *listen_on(struct loop *loop, struct http_app *app, unsigned port,
                                    struct net_tls *tls)
{
    struct net_server_options options = {
        .host = SLICE_INIT("127.0.0.1"),
        .port = port,
        .tls = tls,
        .limits = { .body_bytes_max = ECHO_BYTES_MAX },
    };
    http_app_serve(app, &options);
    struct net_server *server;
    const char *reason = "";
    if (net_server_open(loop, &options, &server, &reason) != STATUS_OK) {
        (void)fprintf(stderr, "purlin-conformance: cannot listen on port %u: %s\n", port, reason);
        return NULL;
    }
    (void)printf("purlin-conformance: http%s://127.0.0.1:%u\n", tls ? "s" : "",
                 net_server_port(server));
    return server;
}

static int serve(struct loop *loop, struct http_app *app, unsigned port, unsigned tls_port,
                 struct net_tls *tls)
{
    struct net_server *server = listen_on(loop, app, port, NULL), *secure = NULL;
    if (tls)
        secure = listen_on(loop, app, tls_port, tls);
    if (!server || (tls && !secure))
        return 1;
    uv_signal_t signals[2];
    const int numbers[] = { SIGTERM, SIGINT };
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        (void)uv_signal_init(loop_uv(loop), &signals[i]);
        signals[i].data = loop;
        (void)uv_signal_start(&signals[i], on_signal, numbers[i]);
    }
    (void)fflush(stdout);
    loop_run(loop);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        uv_close((uv_handle_t *)&signals[i], NULL);
    net_server_close(server, NULL, NULL);
    if (secure)
        net_server_close(secure, NULL, NULL);
    loop_stop(loop);
    loop_run(loop); /* until everything is closed */
    return 0;
}

/* A port from the environment; false when it is no number up to 65535. */
static bool read_port(const char *name, int64_t fallback, int64_t *ret)
{
    const char *text = getenv(name);
    *ret = fallback;
    if (!text || (slice_to_i64(slice_cstr(text), ret) && *ret >= 0 && *ret <= 65535))
        return true;
    (void)fprintf(stderr, "purlin-conformance: %s must be a number up to 65535\n", name);
    return false;
}

/* NULL without TLS_PORT, or (then false) when the certificate is no good. */
static bool open_tls(struct net_tls **ret)
{
    const struct net_tls_certificate certificate = {
        .cert_file = slice_cstr(getenv("TLS_CERT")),
        .key_file = slice_cstr(getenv("TLS_KEY")),
    };
    const struct net_tls_options options = {
        .certificates = &certificate,
        .certificates_len = 1,
        .h2 = true,
        .client_ca_file = slice_cstr(getenv("TLS_CLIENT_CA")),
        .client_auth = getenv("TLS_CLIENT_CA") ? NET_TLS_CLIENT_OPTIONAL : NET_TLS_CLIENT_OFF,
    };
    struct net_tls_error error;
    *ret = NULL;
    if (!getenv("TLS_PORT") || net_tls_new(&options, NULL, ret, &error) == STATUS_OK)
        return true;
    (void)fprintf(stderr, "purlin-conformance: %s\n", error.text);
    return false;
}

int main(void)
{
    int64_t port, tls_port;
    struct net_tls *tls;
    if (!read_port("PORT", 8080, &port) || !read_port("TLS_PORT", 0, &tls_port) || !open_tls(&tls))
        return 2;
    struct loop *loop;
    struct http_app *app;
    static char big_text[BIG_BYTES];
    unsigned echoed = 0; /* by the one loop there is */
    struct offload *offload;
    if (loop_new(NULL, &loop) != STATUS_OK || offload_new(2, 64, &offload) != STATUS_OK)
        return 1;
    loop_offload_set(loop, offload);
    memset(big_text, 'b', BIG_BYTES);
    if (http_app_new(&(struct http_options){ .access_log = false }, &app) != STATUS_OK ||
        !add_routes(app, big_text, &echoed) || !jose_routes_add(app) || !add_static(app))
        return 1;
    struct proxy_client *proxy = proxy_client_open(app, loop);
    if (!proxy)
        return 1;
    int rc = serve(loop, app, (unsigned)port, (unsigned)tls_port, tls);
    proxy_client_close(proxy);
    http_app_free(app);
    loop_free(loop);
    offload_free(offload);
    net_tls_free(tls);
    return rc;
}
