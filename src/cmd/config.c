#include "cmd/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/yaml.h"
#include "cmd/config_foreign.h"
#include "cmd/config_rights.h"
#include "cmd/edge.h"
#include "cmd/rate.h"
#include "net/net.h"

#define CONFIG_FILE_BYTES_MAX ((size_t)1 << 20)
#define SECRET_FILE_BYTES_MAX ((size_t)4096)
#define SECRET_LEN_MIN 16u

/* Where a value came from, for complaints. */
struct origin {
    struct slice file;
    int line, column;
};

struct loading {
    struct origin *origins; /* of each key, in the order of the table; file empty: the default */
    struct arena *arena;
    struct diag *diag;
    struct config config;
    const struct config_route *route; /* whose keys are being read; NULL: everybody's */
    const struct config_source *source;
    struct slice env_file_text;
};

enum status file_read(struct arena *arena, struct slice path, size_t bytes_max, struct slice *ret)
{
    char *name = arena_cstr(arena, path);
    if (!name)
        return STATUS_INVALID;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int error = errno;
        return error == ENOENT || error == ENOTDIR ? STATUS_NOT_FOUND
               : error == EACCES                   ? STATUS_DENIED
                                                   : STATUS_UNAVAILABLE;
    }
    /* One page more than allowed, so that a file of just the limit still has room for the last
     * read. */
    struct buf text;
    buf_init(&text, arena, 4096, bytes_max + 4096);
    enum status st = STATUS_OK;
    while (st == STATUS_OK) {
        char *room = buf_reserve(&text, 4096);
        ssize_t n = room ? read(fd, room, 4096) : 0;
        if (n > 0)
            text.len += (size_t)n;
        if (!room || text.len > bytes_max)
            st = STATUS_TOO_LARGE;
        else if (n < 0)
            st = STATUS_UNAVAILABLE;
        else if (n == 0)
            break;
    }
    (void)close(fd);
    if (st != STATUS_OK)
        return st;
    *ret = buf_slice(&text);
    return STATUS_OK;
}

static const struct config_key *key_of(struct slice name)
{
    for (unsigned i = 0; i < config_keys_len; i++)
        if (slice_eq(name, slice_cstr(config_keys[i].name)))
            return &config_keys[i];
    return NULL;
}

/* "1MiB", "64 KiB", "500" -> bytes. */
static bool parse_bytes(struct slice text, int64_t *ret)
{
    static const struct {
        const char *suffix;
        int64_t factor;
    } units[] = { { "KiB", 1024 }, { "MiB", 1024 * 1024 }, { "GiB", 1024 * 1024 * 1024 },
                  { "kB", 1000 },  { "MB", 1000000 },      { "GB", 1000000000 },
                  { "B", 1 } };
    int64_t factor = 1;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        struct slice suffix = slice_cstr(units[i].suffix);
        if (slice_ends(text, suffix)) {
            factor = units[i].factor;
            text = slice_trim(slice_head(text, text.len - suffix.len));
            break;
        }
    }
    int64_t n;
    if (!slice_to_i64(text, &n) || n < 0 || __builtin_mul_overflow(n, factor, &n))
        return false;
    *ret = n;
    return true;
}

static bool parse_boolean(struct slice text, bool *ret)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = { { "true", true },   { "on", true },   { "1", true },  { "yes", true },
                  { "false", false }, { "off", false }, { "0", false }, { "no", false } };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (slice_eq_nocase(text, slice_cstr(words[i].text))) {
            *ret = words[i].value;
            return true;
        }
    }
    return false;
}

static void complain(struct loading *l, const struct config_key *key, const struct origin *origin,
                     const char *what)
{
    diag_add(l->diag, origin->file, origin->line, origin->column, slice_cstr(key->name), SLICE_NULL,
             "%s", what);
}

/* The choices with commas, for people. */
static struct slice choices_text(struct arena *arena, const char *choices)
{
    struct buf out;
    buf_init(&out, arena, 64, 512);
    struct slice rest = slice_cstr(choices), part;
    while (slice_split(&rest, '|', &part)) {
        if (out.len)
            buf_put_lit(&out, ", ");
        buf_put_slice(&out, part);
    }
    return buf_slice(&out);
}

/* A bound as people write it: 100ms, 30s, 64KiB. */
static void format_bound(enum config_type type, int64_t value, char *out, size_t size)
{
    static const struct {
        enum config_type type;
        int64_t factor;
        const char *unit;
    } units[] = { { CONFIG_DURATION, CLOCK_HOUR, "h" }, { CONFIG_DURATION, CLOCK_SECOND, "s" },
                  { CONFIG_DURATION, CLOCK_MS, "ms" },  { CONFIG_BYTES, 1024 * 1024 * 1024, "GiB" },
                  { CONFIG_BYTES, 1024 * 1024, "MiB" }, { CONFIG_BYTES, 1024, "KiB" } };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].type != type || value < units[i].factor || value % units[i].factor)
            continue;
        (void)snprintf(out, size, "%lld%s", (long long)(value / units[i].factor), units[i].unit);
        return;
    }
    (void)snprintf(out, size, "%lld", (long long)value);
}

static void put_number(struct loading *l, const struct config_key *key, const struct origin *origin,
                       bool parsed, int64_t value, const char *expected)
{
    char text[200], min[40], max[40];
    if (!parsed) {
        (void)snprintf(text, sizeof(text), "must be %s", expected);
        complain(l, key, origin, text);
    } else if (value < key->min || value > key->max) {
        format_bound(key->type, key->min, min, sizeof(min));
        format_bound(key->type, key->max, max, sizeof(max));
        (void)snprintf(text, sizeof(text), "must be from %s to %s", min, max);
        complain(l, key, origin, text);
    } else {
        *(int64_t *)(void *)((char *)&l->config + key->offset) = value;
    }
}

static void put_choice(struct loading *l, const struct config_key *key, const struct origin *origin,
                       struct slice value)
{
    struct slice rest = slice_cstr(key->choices), part;
    struct slice names[16];
    unsigned n = 0;
    while (slice_split(&rest, '|', &part)) {
        if (slice_eq(part, value)) {
            *(struct slice *)(void *)((char *)&l->config + key->offset) = part;
            return;
        }
        if (n < ARRAY_LEN(names))
            names[n++] = part;
    }
    diag_add(l->diag, origin->file, origin->line, origin->column, slice_cstr(key->name),
             diag_suggest(l->arena, value, names, n), "must be one of %.*s",
             SLICE_ARG(choices_text(l->arena, key->choices)));
}

static void put_value(struct loading *l, const struct config_key *key, const struct origin *origin,
                      struct slice value)
{
    int64_t number = 0;
    bool boolean = false, parsed;
    void *at = (char *)&l->config + key->offset;
    if (!l->route)
        l->origins[key - config_keys] = *origin;
    switch (key->type) {
    case CONFIG_TEXT:
        if ((int64_t)value.len < key->min || (int64_t)value.len > key->max) {
            complain(l, key, origin, value.len ? "is too long" : "must not be empty");
            return;
        }
        if (arena_copy(l->arena, value, (struct slice *)at) != STATUS_OK)
            complain(l, key, origin, "does not fit into memory");
        return;
    case CONFIG_INTEGER:
        parsed = slice_to_i64(value, &number);
        put_number(l, key, origin, parsed, number, "a whole number");
        return;
    case CONFIG_DURATION:
        parsed = clock_parse_duration(value, &number);
        put_number(l, key, origin, parsed, number, "a duration such as 500ms, 30s, 5m or 2h");
        return;
    case CONFIG_BYTES:
        parsed = parse_bytes(value, &number);
        put_number(l, key, origin, parsed, number, "a size such as 64KiB or 1MiB");
        return;
    case CONFIG_BOOLEAN:
        if (parse_boolean(value, &boolean))
            *(bool *)at = boolean;
        else
            complain(l, key, origin, "must be on or off");
        return;
    case CONFIG_CHOICE:
        put_choice(l, key, origin, value);
        return;
    }
}

/* -- the environment
 * --------------------------------------------------------------------------------- */

/* The value of NAME in KEY=VALUE lines; comments, `export ` and surrounding quotes are allowed. */
static bool env_file_find(struct slice text, struct slice name, struct slice *ret, int *ret_line)
{
    struct slice line;
    bool found = false;
    for (int n = 1; slice_split(&text, '\n', &line); n++) {
        line = slice_trim(line);
        if (line.len && line.data[line.len - 1] == '\r')
            line.len--;
        if (slice_starts(line, SLICE("export ")))
            line = slice_trim(slice_from(line, 7));
        size_t equals = slice_find(line, '=');
        if (!line.len || line.data[0] == '#' || equals == SIZE_MAX)
            continue;
        if (!slice_eq(slice_trim(slice_head(line, equals)), name))
            continue;
        struct slice value = slice_trim(slice_from(line, equals + 1));
        if (value.len >= 2 && (value.data[0] == '"' || value.data[0] == '\'') &&
            value.data[value.len - 1] == value.data[0])
            value = slice_of(value.data + 1, value.len - 2);
        *ret = value;
        *ret_line = n;
        found = true;
    }
    return found;
}

static bool env_find(const struct loading *l, struct slice name, struct slice *ret,
                     struct origin *origin)
{
    for (char **entry = l->source->environ; entry && *entry; entry++) {
        struct slice pair = slice_cstr(*entry);
        if (slice_starts(pair, name) && pair.len > name.len && pair.data[name.len] == '=') {
            *ret = slice_from(pair, name.len + 1);
            *origin = (struct origin){ .file = SLICE("environment") };
            return true;
        }
    }
    int line;
    if (env_file_find(l->env_file_text, name, ret, &line)) {
        *origin = (struct origin){ .file = l->source->env_file, .line = line };
        return true;
    }
    return false;
}

/* A secret may stand in a file that NAME_FILE names; a newline at its end is not part of it. */
static bool secret_file_find(struct loading *l, const struct config_key *key, struct slice *ret,
                             struct origin *origin)
{
    struct slice path;
    struct slice name = arena_printf(l->arena, "%s_FILE", key->env);
    if (!env_find(l, name, &path, origin))
        return false;
    struct slice text;
    enum status st = file_read(l->arena, path, SECRET_FILE_BYTES_MAX + 4096, &text);
    if (st != STATUS_OK) {
        diag_add(l->diag, origin->file, origin->line, 0, name, SLICE_NULL,
                 "%.*s cannot be read: %s", SLICE_ARG(path), status_name(st));
        return false;
    }
    while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.len--;
    *ret = text;
    return true;
}

static void read_environment(struct loading *l)
{
    for (unsigned i = 0; i < config_keys_len; i++) {
        const struct config_key *key = &config_keys[i];
        struct origin origin = { 0 };
        struct slice value;
        bool direct = env_find(l, slice_cstr(key->env), &value, &origin);
        if (direct && key->secret) {
            struct slice other;
            struct origin other_origin;
            struct slice name = arena_printf(l->arena, "%s_FILE", key->env);
            if (env_find(l, name, &other, &other_origin))
                diag_add(l->diag, other_origin.file, other_origin.line, 0, name, SLICE_NULL,
                         "%s and %s_FILE are both set; keep one", key->env, key->env);
        }
        if (!direct && key->secret)
            direct = secret_file_find(l, key, &value, &origin);
        /* An empty variable is one that was not set: `PORT= purlin serve`. */
        if (!direct || (!value.len && !key->secret))
            continue;
        put_value(l, key, &origin, value);
    }
}

/* -- purlin.yaml
 * ------------------------------------------------------------------------------------- */

/* ${NAME} and ${NAME:-default} inside a value. */
static struct slice interpolate(struct loading *l, struct slice text, const struct origin *origin,
                                struct slice key)
{
    if (slice_find_slice(text, SLICE("${")) == SIZE_MAX)
        return text;
    struct buf out;
    buf_init(&out, l->arena, text.len + 64, 16384);
    while (text.len) {
        size_t start = slice_find_slice(text, SLICE("${"));
        size_t end = start == SIZE_MAX ? SIZE_MAX : slice_find(slice_from(text, start), '}');
        if (end == SIZE_MAX) {
            if (start != SIZE_MAX)
                diag_add(l->diag, origin->file, origin->line, origin->column, key, SLICE_NULL,
                         "`${` without `}`");
            buf_put_slice(&out, text);
            break;
        }
        buf_put_slice(&out, slice_head(text, start));
        struct slice inner = slice_of(text.data + start + 2, end - 2);
        text = slice_from(text, start + end + 1);
        size_t dash = slice_find_slice(inner, SLICE(":-"));
        struct slice name = dash == SIZE_MAX ? inner : slice_head(inner, dash);
        struct slice value;
        struct origin unused;
        if (env_find(l, name, &value, &unused) && (value.len || dash == SIZE_MAX))
            buf_put_slice(&out, value);
        else if (dash != SIZE_MAX)
            buf_put_slice(&out, slice_from(inner, dash + 2));
        else
            diag_add(l->diag, origin->file, origin->line, origin->column, key, SLICE_NULL,
                     "environment variable %.*s is not set", SLICE_ARG(name));
    }
    return buf_slice(&out);
}

static bool is_group(struct slice name)
{
    for (unsigned i = 0; i < config_keys_len; i++) {
        struct slice full = slice_cstr(config_keys[i].name);
        if (full.len > name.len && slice_starts(full, name) && full.data[name.len] == '.')
            return true;
    }
    return false;
}

static void unknown_key(struct loading *l, struct slice name, const struct origin *origin)
{
    struct slice names[128];
    unsigned n = 0;
    for (unsigned i = 0; i < config_keys_len && n < ARRAY_LEN(names); i++)
        names[n++] = slice_cstr(config_keys[i].name);
    diag_add(l->diag, origin->file, origin->line, origin->column, name,
             diag_suggest(l->arena, name, names, n), "unknown key");
}

/* A list is taken as comma-separated text. */
static struct slice joined(struct loading *l, const struct yaml_node *list)
{
    struct buf out;
    buf_init(&out, l->arena, 64, 16384);
    for (const struct yaml_node *item = list->first; item; item = item->next) {
        if (out.len)
            buf_putc(&out, ',');
        buf_put_slice(&out, item->text);
    }
    return buf_slice(&out);
}

static void read_map(struct loading *l, const struct yaml_node *map, struct slice prefix,
                     struct slice file, unsigned depth)
{
    for (const struct yaml_node *value = map->first; value; value = value->next) {
        struct origin origin = { file, value->key->line, value->key->column };
        struct slice name = prefix.len ? arena_printf(l->arena, "%.*s.%.*s", SLICE_ARG(prefix),
                                                      SLICE_ARG(value->key->text))
                                       : value->key->text;
        const struct config_key *key = key_of(name);
        if (depth == 0 && slice_eq(name, l->route ? SLICE("match") : SLICE("routes"))) {
            continue; /* read_routes does */
        } else if (!l->route && config_is_oauth_list(name)) {
            continue; /* config_read_oauth does */
        } else if (!l->route && config_is_foreign_list(name)) {
            continue; /* config_read_foreign does */
        } else if (!l->route && slice_eq(name, SLICE("auth.certificates"))) {
            continue; /* config_read_certificates does */
        } else if (!l->route && config_is_rights_map(name)) {
            continue; /* config_read_rights does */
        } else if (l->route && key && !key->per_route) {
            complain(l, key, &origin, "holds for all routes; it cannot be set for some");
        } else if (value->kind == YAML_MAP) {
            if (is_group(name) && depth < 4)
                read_map(l, value, name, file, depth + 1);
            else if (key)
                complain(l, key, &origin, "must be a single value");
            else
                unknown_key(l, name, &origin);
        } else if (!key) {
            if (is_group(name))
                diag_add(l->diag, file, origin.line, origin.column, name, SLICE_NULL,
                         "must hold keys of its own");
            else
                unknown_key(l, name, &origin);
        } else {
            struct slice text = value->kind == YAML_LIST ? joined(l, value) : value->text;
            put_value(l, key, &origin, interpolate(l, text, &origin, name));
        }
    }
}

/* "/api/v1/uploads": whole segments, no query, nothing to be decoded. */
static bool is_path_prefix(struct slice path)
{
    bool is_good = path.len > 1 && path.len <= 512 && path.data[0] == '/';
    for (size_t i = 0; i < path.len && is_good; i++) {
        char c = path.data[i];
        is_good = c > ' ' && c < 0x7f && c != '%' && c != '?' && c != '#' && c != '*' &&
                  !(c == '/' && i + 1 < path.len && path.data[i + 1] == '/');
    }
    return is_good;
}

/* "/" alone is refused: what holds everywhere stands outside of `routes`. */
static bool read_match(struct loading *l, const struct yaml_node *item, struct config_route *route)
{
    const struct yaml_node *match = item->kind == YAML_MAP ? yaml_get(item, SLICE("match")) : NULL;
    const struct yaml_node *at = match ? match : item;
    struct slice text = match && match->kind == YAML_SCALAR ? match->text : SLICE_NULL;
    while (text.len > 1 && text.data[text.len - 1] == '/')
        text.len--;
    const char *wrong = is_path_prefix(text) ? NULL : "must be a path such as /api/v1/uploads";
    for (unsigned i = 0; i < l->config.routes_len; i++) {
        if (slice_eq(l->config.routes[i].match, text))
            wrong = "is named twice";
    }
    if (wrong) {
        diag_add(l->diag, route->file, at->line, at->column, SLICE("routes.match"), SLICE_NULL,
                 "%s", wrong);
        return false;
    }
    route->line = at->line;
    return arena_copy(l->arena, text, &route->match) == STATUS_OK;
}

/* Each item starts from what holds for all, the environment included, and changes some of it. */
static void read_routes(struct loading *l, const struct yaml_node *list, struct slice file)
{
    if (list->kind != YAML_LIST) {
        diag_add(l->diag, file, list->line, list->column, SLICE("routes"), SLICE_NULL,
                 "must be a list of items with `match` and the keys that differ there");
        return;
    }
    struct config_route *routes = arena_array_of(l->arena, struct config_route, CONFIG_ROUTES_MAX);
    if (!routes)
        return;
    l->config.routes = routes;
    for (const struct yaml_node *item = list->first; item; item = item->next) {
        if (l->config.routes_len == CONFIG_ROUTES_MAX) {
            diag_add(l->diag, file, item->line, item->column, SLICE("routes"), SLICE_NULL,
                     "has more than %u items", CONFIG_ROUTES_MAX);
            return;
        }
        struct config_route *route = &routes[l->config.routes_len];
        route->file = file;
        if (!read_match(l, item, route))
            continue;
        struct loading own = *l;
        own.route = route;
        own.config.routes = NULL;
        own.config.routes_len = 0;
        read_map(&own, item, SLICE_NULL, file, 0);
        route->config = arena_new_of(l->arena, struct config);
        if (!route->config)
            return;
        *route->config = own.config;
        l->config.routes_len++;
    }
}

/* Nothing but blank lines and comments: a file that somebody will fill in later. */
static bool is_bare(struct slice text)
{
    struct slice line;
    while (slice_split(&text, '\n', &line)) {
        line = slice_trim(line);
        if (line.len && line.data[0] != '#' && line.data[0] != '\r')
            return false;
    }
    return true;
}

struct expanding {
    struct loading *l;
    struct slice file;
};

static struct slice expand(void *arg, const struct yaml_node *value)
{
    struct expanding *e = arg;
    const struct origin origin = { e->file, value->line, value->column };
    return interpolate(e->l, value->text, &origin, SLICE("oauth"));
}

/* The list of `routes` is left for later: *ret_routes, NULL when there is none. */
static void read_file(struct loading *l, const struct yaml_node **ret_routes)
{
    struct slice path = l->source->file;
    bool asked = path.len > 0;
    if (!asked)
        path = SLICE("purlin.yaml");
    struct slice text;
    enum status st = file_read(l->arena, path, CONFIG_FILE_BYTES_MAX, &text);
    if (st == STATUS_NOT_FOUND && !asked)
        return;
    if (st != STATUS_OK) {
        diag_add(l->diag, path, 0, 0, SLICE_NULL, SLICE_NULL,
                 "the configuration file cannot be read: %s", status_name(st));
        return;
    }
    struct yaml_node *root = NULL;
    if (is_bare(text) ||
        yaml_read(text, path, (struct yaml_limits){ 0 }, l->arena, l->diag, &root) != STATUS_OK)
        return;
    if (!root || (root->kind == YAML_SCALAR && yaml_is_null(root)))
        return;
    if (root->kind != YAML_MAP) {
        diag_add(l->diag, path, root->line, root->column, SLICE_NULL, SLICE_NULL,
                 "the file must hold keys and values");
        return;
    }
    read_map(l, root, SLICE_NULL, path, 0);
    *ret_routes = yaml_get(root, SLICE("routes"));
    struct expanding expanding = { l, path };
    const struct config_reading reading = {
        .arena = l->arena, .diag = l->diag, .file = path, .expand = expand, .arg = &expanding
    };
    config_read_rights(&reading, root, &l->config);
    config_read_oauth(&reading, yaml_get(root, SLICE("oauth")), &l->config);
    config_read_foreign(&reading, yaml_get(root, SLICE("auth")), &l->config);
    config_read_certificates(&reading, yaml_get(root, SLICE("auth")), &l->config);
}

/* -- what belongs together
 * ---------------------------------------------------------------------------- */

static bool is_loopback(struct slice host)
{
    return slice_starts(host, SLICE("127.")) || slice_eq(host, SLICE("::1")) ||
           slice_eq(host, SLICE("localhost"));
}

static bool is_address(struct slice text)
{
    struct address unused;
    return address_parse(text, &unused);
}

static void refuse(struct loading *l, const char *key, const char *why)
{
    diag_add(l->diag, SLICE("configuration"), 0, 0, slice_cstr(key), SLICE_NULL, "%s", why);
}

static void check_secret(struct loading *l, const char *key, struct slice value)
{
    static const char *const poor[] = { "changeme", "secret", "password",
                                        "default",  "admin",  "example" };
    if (!value.len)
        return;
    if (value.len < SECRET_LEN_MIN)
        refuse(l, key, "must have at least 16 characters");
    if (!config_is_production(&l->config))
        return;
    for (size_t i = 0; i < ARRAY_LEN(poor); i++)
        if (slice_find_slice(value, slice_cstr(poor[i])) != SIZE_MAX) {
            refuse(
                l, key,
                "is an example secret; production refuses it. `openssl rand -base64 32` makes one");
            return;
        }
}

static void read_addresses(struct loading *l, struct slice key, struct slice list,
                           struct address_set *ret)
{
    struct slice rest = list, part;
    while (list.len && slice_split(&rest, ',', &part)) {
        const char *reason = "";
        struct slice text = slice_trim(part);
        if (!address_set_add(ret, text, &reason))
            diag_add(l->diag, SLICE("configuration"), 0, 0, key, SLICE_NULL, "%.*s %s",
                     SLICE_ARG(text), reason);
    }
}

static bool parse_mode(struct slice text, int64_t *ret)
{
    int64_t mode = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '7')
            return false;
        mode = mode * 8 + (text.data[i] - '0');
    }
    *ret = mode;
    return mode <= 0777;
}

static bool is_host_pattern(struct slice text)
{
    if (slice_eq(text, SLICE("*")))
        return true;
    if (slice_starts(text, SLICE("*.")))
        text = slice_from(text, 2);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_alnum && c != '-' && c != '.' && c != '_' && c != ':')
            return false;
    }
    return text.len > 0;
}

static void check_hosts(struct loading *l)
{
    struct slice rest = l->config.hosts, part;
    while (l->config.hosts.len && slice_split(&rest, ',', &part)) {
        struct slice text = slice_trim(part);
        if (!is_host_pattern(text))
            diag_add(l->diag, SLICE("configuration"), 0, 0, SLICE("server.hosts"), SLICE_NULL,
                     "`%.*s` is no name such as example.org or *.example.org", SLICE_ARG(text));
    }
}

static void check_listeners(struct loading *l)
{
    struct config *c = &l->config;
    read_addresses(l, SLICE("server.trusted_proxies"), c->trusted_proxies, &c->proxies);
    if (!parse_mode(c->unix_mode_text, &c->unix_mode))
        refuse(l, "server.unix_mode", "must be octal permissions such as 0660");
    check_hosts(l);
    if (c->proxy_protocol && !c->proxies.len && !c->proxies.has_unix)
        refuse(l, "server.proxy_protocol",
               "is on, but nobody is trusted to send the header: name the proxies in "
               "server.trusted_proxies");
    if (!c->clear && !c->unix_path.len && !config_has_tls(c))
        refuse(l, "server.clear", "is off, and nothing else is listened on");
}

/* Keys that can be made, and policies that name those there are. */
static void check_signatures(struct loading *l)
{
    struct http_options made = { .signature_keys_len = 0 };
    if (edge_signature_keys(&l->config, l->arena, l->diag, &made) != STATUS_OK)
        return;
    for (unsigned i = 0; i < made.signature_keys_len; i++)
        http_signature_key_free(made.signature_keys[i]);
}

static unsigned parts_of(struct slice list)
{
    struct slice part;
    unsigned n = 0;
    while (list.len && slice_split(&list, ',', &part))
        n++;
    return n;
}

static void check_tls(struct loading *l)
{
    struct config *c = &l->config;
    if (c->certificates_len && (!config_has_tls(c) || slice_eq(c->tls_client_auth, SLICE("off"))))
        refuse(l, "auth.certificates",
               "is about certificates that no client is asked for: say tls.client_auth: optional");
    if (!config_has_tls(c))
        return;
    unsigned certs = parts_of(c->tls_cert), staples = parts_of(c->tls_ocsp);
    bool asks = !slice_eq(c->tls_client_auth, SLICE("off"));
    if (!certs)
        refuse(l, "tls.cert", "is needed for https; `purlin cert dev` makes one for development");
    else if (certs > NET_TLS_CERTIFICATES_MAX)
        refuse(l, "tls.cert", "names more than 64 files");
    else if (parts_of(c->tls_key) != certs)
        refuse(l, "tls.key", "must name one file for each of tls.cert");
    if (staples > certs)
        refuse(l, "tls.ocsp", "names more files than tls.cert");
    if (asks && !c->tls_client_ca.len)
        refuse(l, "tls.client_ca", "is needed to check the certificates of clients");
    if (c->clear && c->tls_port && c->tls_port == c->port)
        refuse(l, "tls.port", "is the port of server.port");
}

static bool is_plain_name(struct slice name)
{
    struct slice segment;
    bool is_good = true;
    while (slice_split(&name, '/', &segment))
        is_good &= segment.len > 0 && segment.data[0] != '.';
    return is_good;
}

static void check_static(struct loading *l)
{
    const struct config *c = &l->config;
    struct stat st;
    if (!c->static_folder.len)
        return;
    const char *folder = arena_cstr(l->arena, c->static_folder);
    if (!folder || stat(folder, &st) != 0 || !S_ISDIR(st.st_mode))
        refuse(l, "static.folder", "must be a folder");
    struct slice path = c->static_path;
    if (!slice_eq(path, SLICE("/")) && (!is_path_prefix(path) || slice_ends(path, SLICE("/")) ||
                                        slice_find(path, '{') != SIZE_MAX))
        refuse(l, "static.path", "must be / or a path such as /static");
    if (slice_eq(path, SLICE("/api")) || slice_starts(path, SLICE("/api/")))
        refuse(l, "static.path", "must not be a path of the API");
    if (c->static_fallback.len && !is_plain_name(c->static_fallback))
        refuse(l, "static.fallback", "must be the name of a file in the folder");
}

static void check_whole(struct loading *l)
{
    struct config *c = &l->config;
    if (!is_address(c->host) && !slice_eq(c->host, SLICE("localhost")))
        refuse(l, "server.host", "must be an IPv4 or IPv6 address");
    check_listeners(l);
    read_addresses(l, SLICE("client.allow"), c->client_allow, &c->client_allowed);
    check_tls(l);
    if (c->limit_default > c->limit_max)
        refuse(l, "api.limit_default", "must not be above api.limit_max");
    if (!slice_starts(c->database_url, SLICE("sqlite:")))
        refuse(l, "database.url",
               "must start with sqlite: (PostgreSQL is not part of this version)");
    if (c->audit_keep_us > 0 && c->audit_keep_us < CLOCK_DAY)
        refuse(l, "audit.keep", "must be a day at least, or 0 for ever");
    rate_config_check(c, l->arena, l->diag);
    check_static(l);
    check_secret(l, "admin_key", c->admin_key);
    check_secret(l, "secret", c->secret);
    check_signatures(l);
    check_secret(l, "secret_previous", c->secret_previous);
    config_check_edge(c, SLICE("configuration"), 0, l->diag);
    config_check_auth(c, l->diag);
    config_check_mail(c, l->arena, l->diag);
    for (unsigned i = 0; i < c->routes_len; i++)
        config_check_edge(c->routes[i].config, c->routes[i].file, c->routes[i].line, l->diag);
    if (!config_is_production(c))
        return;
    if (!c->limits_enabled)
        refuse(l, "limits.enabled", "production refuses to run with limits off");
    if ((c->clear || config_has_tls(c)) && !is_loopback(c->host) && !c->hosts.len)
        refuse(l, "server.hosts",
               "production asks for the names it answers to, such as api.example.org; `*` is any");
    if (!c->clear || is_loopback(c->host) || c->trusted_proxies.len)
        return;
    if (!config_has_tls(c))
        refuse(l, "server.trusted_proxies",
               "production refuses a public address without TLS: set tls.cert and tls.key, name "
               "the proxy that terminates TLS, or listen on 127.0.0.1");
    else if (!c->tls_redirect)
        refuse(l, "tls.redirect",
               "production refuses to serve in clear on a public address: leave the redirect on, "
               "or set server.clear to off");
}

/* Checks of several keys know the names of those, not where they were set: say it. */
static void tell_origins(struct loading *l, unsigned from)
{
    for (unsigned i = from; i < l->diag->len; i++) {
        struct diag_item *item = &l->diag->items[i];
        const struct config_key *key = item->line ? NULL : key_of(item->key);
        if (!key || !slice_eq(item->file, SLICE("configuration")))
            continue;
        const struct origin *origin = &l->origins[key - config_keys];
        if (!slice_eq(origin->file, SLICE("defaults"))) {
            item->file = origin->file;
            item->line = origin->line;
            item->column = origin->column;
        }
    }
}

static bool differs(const struct config_key *key, const struct config *a, const struct config *b)
{
    const char *of_a = (const char *)a + key->offset, *of_b = (const char *)b + key->offset;
    switch (key->type) {
    case CONFIG_TEXT:
    case CONFIG_CHOICE:
        return !slice_eq(*(const struct slice *)(const void *)of_a,
                         *(const struct slice *)(const void *)of_b);
    case CONFIG_BOOLEAN:
        return *(const bool *)of_a != *(const bool *)of_b;
    case CONFIG_INTEGER:
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        return *(const int64_t *)(const void *)of_a != *(const int64_t *)(const void *)of_b;
    }
    return false;
}

void config_needs_restart(const struct config *in_force, const struct config *next,
                          void (*fn)(void *arg, const struct config_key *key), void *arg)
{
    for (unsigned i = 0; i < config_keys_len; i++) {
        if (!config_keys[i].reloadable && differs(&config_keys[i], in_force, next))
            fn(arg, &config_keys[i]);
    }
}

static void put_defaults(struct loading *l)
{
    const struct origin origin = { .file = SLICE("defaults") };
    for (unsigned i = 0; i < config_keys_len; i++)
        put_value(l, &config_keys[i], &origin, slice_cstr(config_keys[i].fallback));
}

enum status config_load(const struct config_source *source, struct arena *arena, struct diag *diag,
                        struct config *ret)
{
    struct loading l = { .arena = arena, .diag = diag, .source = source };
    unsigned before = diag->len;
    l.origins = arena_array_of(arena, struct origin, config_keys_len);
    if (!l.origins)
        return STATUS_EXHAUSTED;
    put_defaults(&l);
    if (source->env_file.len) {
        enum status st =
            file_read(arena, source->env_file, CONFIG_FILE_BYTES_MAX, &l.env_file_text);
        if (st != STATUS_OK)
            diag_add(diag, source->env_file, 0, 0, SLICE_NULL, SLICE_NULL,
                     "the file cannot be read: %s", status_name(st));
    }
    const struct yaml_node *routes = NULL;
    read_file(&l, &routes);
    read_environment(&l);
    if (routes)
        read_routes(&l, routes, source->file.len ? source->file : SLICE("purlin.yaml"));
    unsigned read = diag->len;
    check_whole(&l);
    tell_origins(&l, read);
    if (diag->len > before)
        return STATUS_INVALID;
    if (slice_eq(l.config.host, SLICE("localhost")))
        l.config.host = SLICE("127.0.0.1");
    *ret = l.config;
    return STATUS_OK;
}
