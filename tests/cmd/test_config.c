/* What the program is told: defaults, file, environment; every type, every complaint; and the
 * documents printed from the table. */
#include <unistd.h>

#include "check.h"
#include "cmd/config.h"
#include "cmd/edge.h"

struct fixture {
    struct arena *arena;
    struct diag diag;
    struct config config;
    char folder[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_new(NULL, 0);
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/purlin-config-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = { "purlin.yaml", "env", "key" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct slice path = arena_printf(f->arena, "%s/%s%c", f->folder, names[i], 0);
        (void)unlink(path.data);
    }
    (void)rmdir(f->folder);
    arena_free(f->arena);
    free(f);
    return 0;
}

/* "FOLDER/NAME", which holds `text` unless that is NULL. */
static struct slice file_of(struct fixture *f, const char *name, const char *text)
{
    struct slice path = arena_printf(f->arena, "%s/%s%c", f->folder, name, 0);
    path.len--;
    if (!text)
        return path;
    FILE *file = fopen(path.data, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    return path;
}

/* The complaints, the folder's name taken out; empty when it was good. `environment` is
 * NULL-terminated. */
static struct slice load(struct fixture *f, const char *yaml, const char *env_file,
                         const char *const *environment)
{
    static const char *const nothing[] = { NULL };
    const char *const *from = environment ? environment : nothing;
    char *environ_copy[16];
    size_t n = 0;
    for (; from[n]; n++) {
        struct slice entry = arena_printf(f->arena, "%s%c", from[n], 0);
        environ_copy[n] = arena_cstr(f->arena, slice_head(entry, entry.len - 1));
    }
    environ_copy[n] = NULL;
    struct config_source source = {
        .file = yaml ? file_of(f, "purlin.yaml", yaml) : SLICE("/dev/null"),
        .env_file = env_file ? file_of(f, "env", env_file) : SLICE_NULL,
        .environ = environ_copy,
    };
    diag_init(&f->diag, f->arena);
    f->config = (struct config){ .port = -7 };
    enum status st = config_load(&source, f->arena, &f->diag, &f->config);
    struct slice text = complaints_of(f->arena, &f->diag), folder = slice_cstr(f->folder),
                 out = text;
    if (st == STATUS_OK)
        check_text("complaints of a good one", text, SLICE(""));
    else
        check_int("untouched", f->config.port, -7);
    struct buf clean;
    buf_init(&clean, f->arena, text.len + 1, (size_t)1 << 20);
    while (out.len) {
        size_t at = slice_find_slice(out, folder);
        buf_put_slice(&clean, slice_head(out, at));
        out = at == SIZE_MAX ? SLICE_NULL : slice_from(out, at + folder.len + 1);
    }
    if (st != STATUS_OK && !clean.len)
        fail_msg("refused without a word");
    return buf_slice(&clean);
}

static void test_defaults(void **state)
{
    struct fixture *f = *state;
    check_text("complaints", load(f, NULL, NULL, NULL), SLICE(""));
    const struct config *c = &f->config;
    check_text("env", c->env, SLICE("development"));
    check_text("host", c->host, SLICE("127.0.0.1"));
    check_int("port", c->port, 8000);
    check_int("grace", c->grace_us, 25 * CLOCK_SECOND);
    check_int("body", c->body_bytes, 1 << 20);
    check_int("limits", c->limits_enabled, true);
    check_text("database", c->database_url, SLICE("sqlite:data/purlin.db"));
    check_int("ttl", c->idempotency_ttl_us, 24 * CLOCK_HOUR);
    check_int("if-match", c->require_if_match, false);
    check_int("secret", (int64_t)c->secret.len, 0);
    assert_false(config_is_production(c));
}

static void test_file_of_every_type(void **state)
{
    struct fixture *f = *state;
    struct slice got = load(
        f,
        "env: production\n"
        "server: { host: localhost, port: 9000, grace: 500ms, hosts: [a.example], trusted_proxies: "
        "[10.0.0.0/8, '::1'] }\n"
        "limits:\n"
        "  body_bytes: 2MiB\n"
        "  idle_timeout: 2m\n"
        "  header_bytes: 4096\n"
        "database: { url: \"sqlite:/tmp/x.db\", wal_bytes: 1 GiB }\n"
        "admin_key: \"0123456789abcdef\"\n"
        "api: { require_if_match: yes }\n"
        "log: { level: warn, access: off }\n",
        NULL, NULL);
    check_text("complaints", got, SLICE(""));
    const struct config *c = &f->config;
    assert_true(config_is_production(c));
    check_text("host", c->host, SLICE("127.0.0.1"));
    check_int("port", c->port, 9000);
    check_int("grace", c->grace_us, 500 * CLOCK_MS);
    check_text("proxies", c->trusted_proxies, SLICE("10.0.0.0/8,::1"));
    check_int("body", c->body_bytes, 2 << 20);
    check_int("idle", c->idle_timeout_us, 2 * CLOCK_MINUTE);
    check_int("header", c->header_bytes, 4096);
    check_int("wal", c->wal_bytes, (int64_t)1 << 30);
    check_text("key", c->admin_key, SLICE("0123456789abcdef"));
    check_int("if-match", c->require_if_match, true);
    check_text("level", c->log_level, SLICE("warn"));
    check_int("access", c->access_log, false);
}

static void test_environment_wins(void **state)
{
    struct fixture *f = *state;
    const char *const environment[] = { "PORT=9002", "LOG_LEVEL=debug", "PURLIN_THREADS=",
                                        "PORTS=1",   "UNRELATED=x",     NULL };
    struct slice got =
        load(f, "server: { port: 9000, threads: 3 }\nlog: { level: warn, format: json }\n",
             "# a comment\nPORT=9001\n\nexport "
             "HOST='127.0.0.2'\nLOG_FORMAT=\"pretty\"\r\nnonsense\nPURLIN_API_LIMIT_MAX = 50\n",
             environment);
    check_text("complaints", got, SLICE(""));
    check_int("environment over file", f->config.port, 9002);
    check_text("environment over file, text", f->config.log_level, SLICE("debug"));
    check_text("env-file over file", f->config.log_format, SLICE("pretty"));
    check_text("env-file, quotes and export", f->config.host, SLICE("127.0.0.2"));
    check_int("env-file with spaces", f->config.limit_max, 50);
    check_int("empty is not set", f->config.threads, 3);
}

static void test_interpolation(void **state)
{
    struct fixture *f = *state;
    const char *const environment[] = { "NAME=here", "EMPTY=", "MY_PORT=7001", NULL };
    struct slice got = load(f,
                            "server: { port: '${MY_PORT}' }\n"
                            "contracts: '${NAME}/and/${NAME}'\n"
                            "web: { folder: '${NOT_SET:-fallback}', swagger: '${EMPTY:-full}' }\n"
                            "database: { migrations: 'a$b{c}' }\n",
                            NULL, environment);
    check_text("complaints", got, SLICE(""));
    check_int("number", f->config.port, 7001);
    check_text("twice", f->config.contracts, SLICE("here/and/here"));
    check_text("not set", f->config.web, SLICE("fallback"));
    check_text("set but empty", f->config.swagger, SLICE("full"));
    check_text("no variable", f->config.migrations, SLICE("a$b{c}"));
    check_text("wrong",
               load(f, "contracts: '${NOPE}'\nweb: { folder: '${OPEN' }\n", NULL, environment),
               SLICE("purlin.yaml:1:1: contracts: environment variable NOPE is not set\n"
                     "purlin.yaml:1:1: contracts: must not be empty\n"
                     "purlin.yaml:2:8: web.folder: `${` without `}`\n"));
}

static void test_secrets_from_files(void **state)
{
    struct fixture *f = *state;
    struct slice key = file_of(f, "key", "a-key-from-a-file\r\n");
    struct slice named = arena_printf(f->arena, "PURLIN_ADMIN_KEY_FILE=%.*s%c", SLICE_ARG(key), 0);
    const char *const environment[] = { named.data, NULL };
    check_text("complaints", load(f, NULL, NULL, environment), SLICE(""));
    check_text("key", f->config.admin_key, SLICE("a-key-from-a-file"));

    const char *const both[] = { named.data, "PURLIN_ADMIN_KEY=another-key-in-the-open", NULL };
    check_text("both", load(f, NULL, NULL, both),
               SLICE("environment: PURLIN_ADMIN_KEY_FILE: PURLIN_ADMIN_KEY and "
                     "PURLIN_ADMIN_KEY_FILE are both set; keep one\n"));

    const char *const missing[] = { "PURLIN_SECRET_FILE=/nowhere/at/all", NULL };
    check_text(
        "missing", load(f, NULL, NULL, missing),
        SLICE("environment: PURLIN_SECRET_FILE: /nowhere/at/all cannot be read: not_found\n"));

    (void)file_of(f, "key", "short\n");
    check_text("too short", load(f, NULL, NULL, environment),
               SLICE("environment: admin_key: must have at least 16 characters\n"));

    /* What is no secret has no file. */
    const char *const port[] = { "PORT_FILE=/nowhere/at/all", NULL };
    check_text("no secret", load(f, NULL, NULL, port), SLICE(""));
}

static void test_problems(void **state)
{
    static const struct {
        const char *name, *yaml, *want;
    } cases[] = {
        { "not YAML", "a: [", "purlin.yaml:" },
        { "a list", "[1]", "purlin.yaml:1:1: the file must hold keys and values" },
        { "unknown", "sevrer: 1\n", "purlin.yaml:1:1: sevrer: unknown key" },
        { "unknown with a hint", "server: { prot: 1 }\n",
          "server.prot: unknown key. Did you mean `server.port`?" },
        { "unknown group", "nothing: { at: all }\n", "purlin.yaml:1:1: nothing: unknown key" },
        { "group as value", "server: 5\n", "purlin.yaml:1:1: server: must hold keys of its own" },
        { "value as group", "docs: { a: b }\n", "docs: must be a single value" },
        { "integer", "server: { port: many }\n",
          "purlin.yaml:1:11: server.port: must be a whole number" },
        { "integer too small", "server: { port: -1 }\n", "server.port: must be from 0 to 65535" },
        { "integer too large", "server: { port: 65536 }\n",
          "server.port: must be from 0 to 65535" },
        { "duration", "server: { grace: soon }\n",
          "server.grace: must be a duration such as 500ms, 30s, 5m or 2h" },
        { "duration out of bounds", "server: { request_timeout: 1ms }\n",
          "server.request_timeout: must be from 100ms to 1h" },
        { "bytes", "limits: { body_bytes: big }\n",
          "limits.body_bytes: must be a size such as 64KiB or 1MiB" },
        { "bytes out of bounds", "limits: { body_bytes: 1GiB }\n",
          "limits.body_bytes: must be from 1KiB to 64MiB" },
        { "bytes beyond numbers", "limits: { body_bytes: 99999999999999GiB }\n",
          "limits.body_bytes: must be a size" },
        { "boolean", "log: { access: maybe }\n", "log.access: must be on or off" },
        { "choice", "log: { level: inof }\n",
          "log.level: must be one of debug, info, warn, error, off. Did you mean `info`?" },
        { "text empty", "contracts: ''\n", "contracts: must not be empty" },
        { "host", "server: { host: example.org }\n",
          "server.host: must be an IPv4 or IPv6 address" },
        { "proxy", "server: { trusted_proxies: 10.0.0.0/33 }\n",
          "server.trusted_proxies: 10.0.0.0/33 has a prefix length" },
        { "allowed address", "client: { allow: '10.0.0.0/8, x' }\n",
          "client.allow: x is not an address" },
        { "proxy of v6", "server: { trusted_proxies: '::1/129' }\n",
          "server.trusted_proxies: ::1/129 has a prefix length" },
        { "proxy of no prefix", "server: { trusted_proxies: '10.0.0.1/8' }\n",
          "server.trusted_proxies: 10.0.0.1/8 has bits set behind its prefix" },
        { "a name that is none", "server: { hosts: 'example.org, http://x' }\n",
          "server.hosts: `http://x` is no name" },
        { "a star inside", "server: { hosts: 'a.*.org' }\n", "server.hosts: `a.*.org` is no name" },
        { "an empty name", "server: { hosts: 'example.org,' }\n", "server.hosts: `` is no name" },
        { "headers from nobody", "server: { proxy_protocol: on }\n",
          "server.proxy_protocol: is on, but nobody is trusted" },
        { "unix mode", "server: { unix_mode: 0888 }\n", "server.unix_mode: must be octal" },
        { "unix mode too much", "server: { unix_mode: 1777 }\n",
          "server.unix_mode: must be octal" },
        { "nothing to listen on", "server: { clear: off }\n",
          "server.clear: is off, and nothing else is listened on" },
        { "limits", "api: { limit_default: 200 }\n",
          "api.limit_default: must not be above api.limit_max" },
        { "database", "database: { url: 'postgresql://x' }\n",
          "database.url: must start with sqlite:" },
        { "short secret", "secret: short\n", "secret: must have at least 16 characters" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice got = load(f, cases[i].yaml, NULL, NULL);
        if (slice_find_slice(got, slice_cstr(cases[i].want)) == SIZE_MAX)
            fail_msg("%s:\n got  %.*s\n want %s", cases[i].name, SLICE_ARG(got), cases[i].want);
    }
}

static void test_text_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct slice yaml = arena_printf(f->arena, "contracts: '%04500d'\n%c", 1, 0);
    check_text("too long", load(f, yaml.data, NULL, NULL),
               SLICE("purlin.yaml:1:1: contracts: is too long\n"));
}

static void test_all_problems_at_once(void **state)
{
    struct fixture *f = *state;
    const char *const environment[] = { "PORT=http", "PURLIN_ENV=staging", NULL };
    check_text(
        "all",
        load(f, "server:\n  prot: 1\n  grace: soon\nlog: { level: loud }\n", "PURLIN_THREADS=-1\n",
             environment),
        SLICE("env:1: server.threads: must be from 0 to 256\n"
              "purlin.yaml:2:3: server.prot: unknown key. Did you mean `server.port`?\n"
              "purlin.yaml:3:3: server.grace: must be a duration such as 500ms, 30s, 5m or 2h\n"
              "purlin.yaml:4:8: log.level: must be one of debug, info, warn, error, off\n"
              "environment: env: must be one of development, production\n"
              "environment: server.port: must be a whole number\n"));
}

static void test_files_that_cannot_be_read(void **state)
{
    struct fixture *f = *state;
    struct config_source source = { .file = SLICE("/nowhere/purlin.yaml"),
                                    .env_file = SLICE("/nowhere/env") };
    diag_init(&f->diag, f->arena);
    check_int("status", config_load(&source, f->arena, &f->diag, &f->config), STATUS_INVALID);
    check_text("both", complaints_of(f->arena, &f->diag),
               SLICE("/nowhere/env: the file cannot be read: not_found\n"
                     "/nowhere/purlin.yaml: the configuration file cannot be read: not_found\n"));
    /* Only a file that was asked for must exist. */
    char *environment[] = { NULL };
    char *before = getcwd(NULL, 0);
    assert_non_null(before);
    assert_int_equal(chdir(f->folder), 0);
    source = (struct config_source){ .environ = environment };
    diag_init(&f->diag, f->arena);
    check_int("none", config_load(&source, f->arena, &f->diag, &f->config), STATUS_OK);
    (void)file_of(f, "purlin.yaml", "server: { port: 8123 }\n");
    check_int("found", config_load(&source, f->arena, &f->diag, &f->config), STATUS_OK);
    check_int("port", f->config.port, 8123);
    (void)file_of(f, "purlin.yaml", "# All of it is to come.\n\n  # server: { port: 1 }\r\n");
    check_int("only comments", config_load(&source, f->arena, &f->diag, &f->config), STATUS_OK);
    assert_int_equal(chdir(before), 0);
    free(before);
}

static void test_production_refuses(void **state)
{
    static const struct {
        const char *name, *yaml, *want;
    } cases[] = {
        { "safe", "env: production\n", "" },
        { "a proxy in front",
          "env: production\nserver: { host: 0.0.0.0, trusted_proxies: 10.0.0.1, hosts: example.org "
          "}\n",
          "" },
        { "names are not asked of loopback", "env: production\nserver: { hosts: '' }\n", "" },
        { "any name, by intent",
          "env: production\nserver: { host: 0.0.0.0, trusted_proxies: 10.0.0.1, hosts: '*' }\n",
          "" },
        { "no names", "env: production\nserver: { host: 0.0.0.0, trusted_proxies: 10.0.0.1 }\n",
          "configuration: server.hosts: production asks for the names it answers to, such as "
          "api.example.org; `*` is any\n" },
        { "loopback of v6", "env: production\nserver: { host: '::1' }\n", "" },
        { "public without TLS", "env: production\nserver: { host: 0.0.0.0, hosts: example.org }\n",
          "configuration: server.trusted_proxies: production refuses a public address without TLS: "
          "set tls.cert and tls.key, name the proxy that terminates TLS, or listen "
          "on 127.0.0.1\n" },
        { "TLS with a redirect",
          "env: production\nserver: { host: 0.0.0.0, hosts: example.org }\n"
          "tls: { cert: a.pem, key: a.key }\n",
          "" },
        { "TLS and clear",
          "env: production\nserver: { host: 0.0.0.0, hosts: example.org }\n"
          "tls: { cert: a.pem, key: a.key, redirect: off }\n",
          "purlin.yaml:3:33: tls.redirect: production refuses to serve in clear on a public "
          "address: "
          "leave the redirect on, or set server.clear to off\n" },
        { "TLS alone",
          "env: production\nserver: { host: 0.0.0.0, hosts: example.org, clear: off }\n"
          "tls: { cert: a.pem, key: a.key, redirect: off }\n",
          "" },
        { "limits off", "env: production\nlimits: { enabled: off }\n",
          "purlin.yaml:2:11: limits.enabled: production refuses to run with limits off\n" },
        { "example key", "env: production\nadmin_key: changeme-changeme\n",
          "purlin.yaml:2:1: admin_key: is an example secret; production refuses it. `openssl rand "
          "-base64 32` makes one\n" },
        { "example secret", "env: production\nsecret: my-secret-my-secret\n",
          "purlin.yaml:2:1: secret: is an example secret; production refuses it. `openssl rand "
          "-base64 32` makes one\n" },
        { "development may",
          "limits: { enabled: off }\nadmin_key: changeme-changeme\nserver: { host: 0.0.0.0 }\n",
          "" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_text(cases[i].name, load(f, cases[i].yaml, NULL, NULL), slice_cstr(cases[i].want));
}

/* -- routes
 * -----------------------------------------------------------------------------------------------
 */

static const struct config *route_of(struct fixture *f, const char *match)
{
    for (unsigned i = 0; i < f->config.routes_len; i++)
        if (slice_eq(f->config.routes[i].match, slice_cstr(match)))
            return f->config.routes[i].config;
    fail_msg("no route %s", match);
    return NULL;
}

static void test_routes_inherit(void **state)
{
    struct fixture *f = *state;
    const char *const environment[] = { "PURLIN_REQUEST_TIMEOUT=7s", NULL };
    struct slice got =
        load(f,
             "routes:\n"
             "  - match: /api/v1/uploads/\n"
             "    limits: { body_bytes: 50MiB }\n"
             "  - match: /slow\n"
             "    server: { request_timeout: 2m }\n"
             "    cors: { origins: [https://a.example.org, https://b.example.org] }\n"
             "server: { request_timeout: 5s }\n"
             "limits: { body_bytes: 2MiB }\n",
             NULL, environment);
    check_text("complaints", got, SLICE(""));
    check_int("items", f->config.routes_len, 2);
    check_int("for all", f->config.body_bytes, 2 << 20);
    check_int("changed", route_of(f, "/api/v1/uploads")->body_bytes, 50 << 20);
    check_int("inherited", route_of(f, "/slow")->body_bytes, 2 << 20);
    /* The environment is for all; an item that names a key says more about its paths. */
    check_int("environment", f->config.request_timeout_us, 7 * CLOCK_SECOND);
    check_int("environment, inherited", route_of(f, "/api/v1/uploads")->request_timeout_us,
              7 * CLOCK_SECOND);
    check_int("item over environment", route_of(f, "/slow")->request_timeout_us, 2 * CLOCK_MINUTE);
    check_text("a list", route_of(f, "/slow")->cors_origins,
               SLICE("https://a.example.org,https://b.example.org"));
    check_text("not for all", f->config.cors_origins, SLICE(""));
}

static void test_routes_complain(void **state)
{
    static const struct {
        const char *name, *yaml, *want;
    } cases[] = {
        { "no list", "routes: { match: /x }\n",
          "purlin.yaml:1:9: routes: must be a list of items with `match` and the keys that differ "
          "there\n" },
        { "no match", "routes: [ { limits: { body_bytes: 1MiB } } ]\n",
          "purlin.yaml:1:11: routes.match: must be a path such as /api/v1/uploads\n" },
        { "an item that is a word", "routes: [ word ]\n",
          "purlin.yaml:1:11: routes.match: must be a path such as /api/v1/uploads\n" },
        { "the root", "routes: [ { match: / } ]\n",
          "purlin.yaml:1:20: routes.match: must be a path such as /api/v1/uploads\n" },
        { "relative", "routes: [ { match: api } ]\n", "routes.match: must be a path" },
        { "a query", "routes: [ { match: '/a?b' } ]\n", "routes.match: must be a path" },
        { "an escape", "routes: [ { match: /a%20b } ]\n", "routes.match: must be a path" },
        { "a star", "routes: [ { match: /a/* } ]\n", "routes.match: must be a path" },
        { "two slashes", "routes: [ { match: /a//b } ]\n", "routes.match: must be a path" },
        { "twice", "routes: [ { match: /a }, { match: /a/ } ]\n",
          "purlin.yaml:1:35: routes.match: is named twice\n" },
        { "unknown key", "routes: [ { match: /a, limits: { body_byte: 1 } } ]\n",
          "limits.body_byte: unknown key. Did you mean `limits.body_bytes`?" },
        { "for all only", "routes: [ { match: /a, server: { port: 1 } } ]\n",
          "server.port: holds for all routes; it cannot be set for some" },
        { "routes in routes", "routes: [ { match: /a, routes: [] } ]\n", "routes: unknown key" },
        { "a value", "routes: [ { match: /a, limits: { body_bytes: big } } ]\n",
          "limits.body_bytes: must be a size" },
        { "what does not fit together",
          "routes:\n  - match: /a\n    cors: { origins: '*', "
          "credentials: on }\n",
          "purlin.yaml:2: cors.origins: go with credentials only as a list: `*` would let every "
          "site act for the people who are signed in\n" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice got = load(f, cases[i].yaml, NULL, NULL);
        if (slice_find_slice(got, slice_cstr(cases[i].want)) == SIZE_MAX)
            fail_msg("%s:\n got  %.*s\n want %s", cases[i].name, SLICE_ARG(got), cases[i].want);
    }
}

static void test_routes_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct buf yaml;
    buf_init(&yaml, f->arena, 0, 65536);
    buf_put_lit(&yaml, "routes:\n");
    for (unsigned i = 0; i < CONFIG_ROUTES_MAX; i++)
        buf_printf(&yaml, "  - match: /r%u\n", i);
    size_t len = yaml.len;
    buf_putc(&yaml, 0);
    check_text("as many as there may be", load(f, yaml.data, NULL, NULL), SLICE(""));
    check_int("all of them", f->config.routes_len, CONFIG_ROUTES_MAX);
    yaml.len = len;
    buf_put_lit(&yaml, "  - match: /one-more\n");
    buf_putc(&yaml, 0);
    check_text("one more", load(f, yaml.data, NULL, NULL),
               SLICE("purlin.yaml:66:5: routes: has more than 64 items\n"));
}

/* Each key that may differ says so in the schema of an item, and the others are not there. */
static void test_routes_in_the_schema(void **state)
{
    struct fixture *f = *state;
    struct buf schema;
    json_t *root;
    buf_init(&schema, f->arena, 0, (size_t)1 << 20);
    config_print_schema(&schema);
    check_int("schema", json_read(f->arena, buf_slice(&schema), JSON_LIMITS_DEFAULT, &root, NULL),
              STATUS_OK);
    const json_t *items =
        json_object_get(json_object_get(json_object_get(root, "properties"), "routes"), "items");
    for (unsigned i = 0; i < config_keys_len; i++) {
        struct slice rest = slice_cstr(config_keys[i].name), part;
        const json_t *at = items;
        while (slice_split(&rest, '.', &part))
            at = json_object_getn(json_object_get(at, "properties"), part.data, part.len);
        if (!at != !config_keys[i].per_route)
            fail_msg("%s", config_keys[i].name);
    }
}

/* -- the protective standards
 * ----------------------------------------------------------------------------- */

static void test_standards(void **state)
{
    static const struct {
        const char *name, *yaml, *want;
    } cases[] = {
        { "defaults", "", "" },
        { "all of it",
          "headers: { profile: html, hsts: 365d, hsts_preload: on, referrer: same-origin,\n"
          "  csp: \"default-src 'self'\", permissions: usb=(), resource_policy: cross-origin }\n"
          "cors: { origins: [https://a.example.org, 'https://*.example.net'], credentials: on,\n"
          "  headers: [X-One, X-Two], expose: ETag, max_age: 10m, private_network: on }\n"
          "csrf: { token: fallback, same_site: on, origins: https://b.example.org,\n"
          "  sessions: [sid, other], cookie: tok, ttl: 1h }\n"
          "api: { deprecated: 2026-01-01, sunset: '2027-01-01T12:00:00Z',\n"
          "  deprecation_link: https://example.org/changes, gone_after_sunset: on }\n"
          "secret_previous: the-secret-before-this\n",
          "" },
        { "any origin", "cors: { origins: '*' }\n", "" },
        { "any origin with credentials", "cors: { origins: '*', credentials: on }\n",
          "purlin.yaml:1:9: cors.origins: go with credentials only as a list" },
        { "null with credentials", "cors: { origins: 'null', credentials: on }\n",
          "cors.origins: may not have `null` with credentials" },
        { "an origin with a path", "cors: { origins: https://a.example.org/ }\n",
          "cors.origins: must be origins such as https://app.example.org" },
        { "a star for everybody", "cors: { origins: 'https://*.org' }\n",
          "cors.origins: may have a star for the first label only" },
        { "headers that are none", "cors: { headers: 'X One' }\n",
          "cors.headers: must be names of headers" },
        { "a line break", "cors: { expose: \"ETag\\r\\nX-Evil: 1\" }\n",
          "cors.expose: must be names of headers" },
        { "max_age", "cors: { max_age: 2d }\n", "cors.max_age: must be from 1s to 24h" },
        { "csrf any", "csrf: { origins: '*' }\n", "csrf.origins: must be origins" },
        { "csrf null", "csrf: { origins: 'null' }\n", "csrf.origins: must be origins" },
        { "csrf cookie", "csrf: { cookie: 'a=b' }\n", "csrf.cookie: must be the name" },
        { "csrf sessions", "csrf: { sessions: 'a;b' }\n", "csrf.sessions: must be names" },
        { "csp", "headers: { csp: \"a\\nb\" }\n", "headers.csp: must be printable ASCII" },
        { "permissions", "headers: { permissions: \"\u00e4\" }\n",
          "headers.permissions: must be printable ASCII" },
        { "preload too short", "headers: { hsts: 30d, hsts_preload: on }\n",
          "headers.hsts_preload: asks for headers.hsts of a year" },
        { "preload without subdomains", "headers: { hsts_subdomains: off, hsts_preload: on }\n",
          "headers.hsts_preload: asks for headers.hsts of a year" },
        { "a date", "api: { deprecated: soon }\n", "api.deprecated: must be a date" },
        { "a day that is none", "api: { sunset: 2026-02-30 }\n", "api.sunset: must be a date" },
        { "sunset first", "api: { deprecated: 2026-02-01, sunset: 2026-01-01 }\n",
          "api.sunset: must not be before api.deprecated" },
        { "gone, but when", "api: { gone_after_sunset: on }\n",
          "api.gone_after_sunset: needs api.sunset" },
        { "a link that breaks out", "api: { deprecation_link: 'https://x>; rel=a' }\n",
          "api.deprecation_link: must be a URL" },
        { "short secret", "secret_previous: short\n",
          "secret_previous: must have at least 16 characters" },
        { "production, unsafe CSP",
          "env: production\nheaders: { csp: \"script-src "
          "'unsafe-inline'\" }\n",
          "headers.csp: production refuses 'unsafe-inline'" },
        { "production, clear origin",
          "env: production\ncors: { origins: http://a.example.org, credentials: on }\n",
          "cors.origins: production refuses http:// origins with credentials" },
        { "production, a local one",
          "env: production\ncors: { origins: 'http://localhost:3000', credentials: on }\n", "" },
        { "production, without credentials",
          "env: production\ncors: { origins: http://a.example.org }\n", "" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice got = load(f, cases[i].yaml, NULL, NULL);
        bool is_good = !cases[i].want[0];
        if (is_good ? got.len > 0 : slice_find_slice(got, slice_cstr(cases[i].want)) == SIZE_MAX)
            fail_msg("%s:\n got  %.*s\n want %s", cases[i].name, SLICE_ARG(got), cases[i].want);
    }
}

/* What the keys become for http/. */
static void test_standards_become_policies(void **state)
{
    struct fixture *f = *state;
    struct slice got = load(f,
                            "headers: { hsts: 0s, profile: download }\n"
                            "api: { deprecated: 2026-01-01, sunset: '2026-01-01T00:00:01Z' }\n"
                            "csrf: { enabled: off, token: fallback }\n"
                            "routes:\n  - match: /a\n    headers: { hsts: 1h, profile: off }\n"
                            "    csrf: { enabled: on }\n",
                            NULL, NULL);
    check_text("complaints", got, SLICE(""));
    struct http_options options = { .access_log = false };
    check_int("policies", edge_policies(&f->config, f->arena, &options), STATUS_OK);
    check_int("how many", options.policies_len, 2);
    const struct http_policy *all = &options.policies[0], *a = &options.policies[1];
    check_text("match", a->match, SLICE("/a"));
    check_int("hsts off", all->headers.hsts_us, -1);
    check_int("hsts", a->headers.hsts_us, CLOCK_HOUR);
    check_int("profile", all->headers.profile, HTTP_PROFILE_DOWNLOAD);
    check_int("profile off", a->headers.profile, HTTP_PROFILE_OFF);
    check_int("deprecated", all->deprecation.deprecated_us, INT64_C(1767225600000000));
    check_int("sunset", a->deprecation.sunset_us, INT64_C(1767225601000000));
    check_int("csrf", all->csrf.off, true);
    check_int("csrf", a->csrf.off, false);
    check_int("fallback", a->csrf.token_is_fallback, true);
}

/* -- documents
 * -------------------------------------------------------------------------------------------------
 */

static void test_documents_name_every_key(void **state)
{
    struct fixture *f = *state;
    struct buf reference, example, schema;
    buf_init(&reference, f->arena, 0, (size_t)1 << 20);
    buf_init(&example, f->arena, 0, (size_t)1 << 20);
    buf_init(&schema, f->arena, 0, (size_t)1 << 20);
    config_print_reference(&reference);
    config_print_env_example(&example);
    config_print_schema(&schema);
    json_t *root;
    check_int("schema", json_read(f->arena, buf_slice(&schema), JSON_LIMITS_DEFAULT, &root, NULL),
              STATUS_OK);
    for (unsigned i = 0; i < config_keys_len; i++) {
        const struct config_key *key = &config_keys[i];
        struct slice cell = arena_printf(f->arena, "| `%s` | `%s`", key->name, key->env);
        struct slice line = arena_printf(f->arena, "\n#%s=%s\n", key->env, key->fallback);
        if (slice_find_slice(buf_slice(&reference), cell) == SIZE_MAX)
            fail_msg("%s is not in the reference", key->name);
        if (slice_find_slice(buf_slice(&example), line) == SIZE_MAX)
            fail_msg("%s is not in the example", key->env);
        struct slice rest = slice_cstr(key->name), part;
        const json_t *at = root;
        while (slice_split(&rest, '.', &part))
            at = json_object_getn(json_object_get(at, "properties"), part.data, part.len);
        if (!at || !json_object_get(at, "description"))
            fail_msg("%s is not in the schema", key->name);
    }
}

/* No two keys share a name or a variable, and every fallback passes its own check. */
static void test_table_is_sound(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < config_keys_len; i++)
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(config_keys[i].name, config_keys[k].name);
            assert_string_not_equal(config_keys[i].env, config_keys[k].env);
            assert_int_not_equal(config_keys[i].offset, config_keys[k].offset);
        }
    /* The example, uncommented, is the defaults. */
    struct buf example, lines;
    buf_init(&example, f->arena, 0, (size_t)1 << 20);
    buf_init(&lines, f->arena, 0, (size_t)1 << 20);
    config_print_env_example(&example);
    struct slice rest = buf_slice(&example), line;
    while (slice_split(&rest, '\n', &line))
        if (slice_starts(line, SLICE("#")) && !slice_starts(line, SLICE("# "))) {
            buf_put_slice(&lines, slice_from(line, 1));
            buf_putc(&lines, '\n');
        }
    buf_putc(&lines, 0);
    check_text("complaints", load(f, NULL, lines.data, NULL), SLICE(""));
    check_int("port", f->config.port, 8000);
}

static void test_print_hides_secrets(void **state)
{
    struct fixture *f = *state;
    const char *const environment[] = { "PURLIN_ADMIN_KEY=not-to-be-shown-ever",
                                        "DATABASE_URL=sqlite:/tmp/hidden.db", NULL };
    check_text("complaints", load(f, NULL, NULL, environment), SLICE(""));
    struct buf out;
    buf_init(&out, f->arena, 0, (size_t)1 << 16);
    config_print(&f->config, &out);
    struct slice text = buf_slice(&out);
    assert_true(slice_find_slice(text, SLICE("not-to-be-shown")) == SIZE_MAX);
    assert_true(slice_find_slice(text, SLICE("hidden.db")) == SIZE_MAX);
    assert_true(slice_find_slice(text, SLICE("***")) != SIZE_MAX);
    assert_true(slice_find_slice(text, SLICE("8000\n")) != SIZE_MAX);
    assert_true(slice_find_slice(text, SLICE("25000ms\n")) != SIZE_MAX);
}

static void test_file_read(void **state)
{
    struct fixture *f = *state;
    struct slice text;
    struct slice path = file_of(f, "key", "0123456789");
    check_int("fits", file_read(f->arena, path, 10, &text), STATUS_OK);
    check_text("text", text, SLICE("0123456789"));
    check_int("too large", file_read(f->arena, path, 9, &text), STATUS_TOO_LARGE);
    check_int("missing", file_read(f->arena, SLICE("/nowhere"), 9, &text), STATUS_NOT_FOUND);
    check_int("a folder", file_read(f->arena, slice_cstr(f->folder), 9, &text), STATUS_UNAVAILABLE);
    check_int("zero byte", file_read(f->arena, SLICE("a\0b"), 9, &text), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_of_every_type, setup, teardown),
        cmocka_unit_test_setup_teardown(test_environment_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interpolation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secrets_from_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_problems, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_problems_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_that_cannot_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_production_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_routes_inherit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_routes_complain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_routes_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_routes_in_the_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(test_standards, setup, teardown),
        cmocka_unit_test_setup_teardown(test_standards_become_policies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_documents_name_every_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_table_is_sound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_print_hides_secrets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
