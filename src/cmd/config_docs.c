/*
 * Documents printed from the table of keys, so that they cannot disagree with what is validated.
 */
#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "cmd/config.h"
#include "cmd/config_foreign.h"
#include "cmd/config_rights.h"

static const char *const type_names[] = {
    [CONFIG_TEXT] = "text",         [CONFIG_INTEGER] = "integer", [CONFIG_BOOLEAN] = "on / off",
    [CONFIG_DURATION] = "duration", [CONFIG_BYTES] = "size",      [CONFIG_CHOICE] = "choice",
};

static void put_choices(struct buf *out, const char *choices)
{
    struct slice rest = slice_cstr(choices), part;
    bool first = true;
    while (slice_split(&rest, '|', &part)) {
        if (!first)
            buf_put_lit(out, ", ");
        first = false;
        buf_printf(out, "`%.*s`", SLICE_ARG(part));
    }
}

void config_print_reference(struct buf *out)
{
    buf_put_lit(out,
                "# Configuration reference\n\n"
                "Made by `purlin config reference` from the table that validates; do not edit.\n\n"
                "Defaults run on a laptop. `purlin.yaml` (or `--config FILE`) overrides them, the "
                "environment overrides "
                "the file. Everything is checked before the first socket opens; all problems are "
                "listed at once and the exit "
                "status is 2. A secret can also come from a file: `NAME_FILE=/run/secrets/name`. "
                "Values in the file may use "
                "`${NAME}` and `${NAME:-default}`. Durations: `500ms`, `30s`, `5m`, `2h`, `7d`. "
                "Sizes: `64KiB`, `1MiB`. "
                "SIGHUP reloads the contracts and the keys marked *reloaded*; a bad file is "
                "refused and the old one stays in force.\n\n"
                "Keys marked *per route* can differ for some paths: items of the list `routes` "
                "start from the file's own values (the environment included) and change what they "
                "name, for `match` and every path under it; the longest match holds.\n\n"
                "```yaml\n"
                "limits: { body_bytes: 1MiB }\n"
                "routes:\n"
                "  - match: /api/v1/uploads\n"
                "    limits: { body_bytes: 50MiB }\n"
                "```\n\n"
                "| key | environment | type | default | what it does |\n|---|---|---|---|---|\n");
    for (unsigned i = 0; i < config_keys_len; i++) {
        const struct config_key *key = &config_keys[i];
        buf_printf(out, "| `%s` | `%s`%s | ", key->name, key->env,
                   key->secret ? " (or `_FILE`)" : "");
        if (key->type == CONFIG_CHOICE)
            put_choices(out, key->choices);
        else
            buf_put_cstr(out, type_names[key->type]);
        if (key->fallback[0])
            buf_printf(out, " | `%s` | ", key->fallback);
        else
            buf_put_lit(out, " | none | ");
        buf_printf(out, "%s%s%s |\n", key->help, key->reloadable ? " *reloaded*" : "",
                   key->per_route ? " *per route*" : "");
    }
}

void config_print_env_example(struct buf *out)
{
    buf_put_lit(
        out,
        "# Made by `purlin config env` from the table that validates; every line shows its "
        "default.\n"
        "# Copy to .env, change what you need, and start with: purlin serve --env-file .env\n");
    for (unsigned i = 0; i < config_keys_len; i++) {
        const struct config_key *key = &config_keys[i];
        buf_printf(out, "\n# %s\n", key->help);
        if (key->choices)
            buf_printf(out, "# one of: %s\n", key->choices);
        buf_printf(out, "#%s=%s\n", key->env, key->fallback);
    }
}

static void schema_key(struct json_out *o, const struct config_key *key, struct slice leaf)
{
    json_out_key(o, leaf);
    json_out_object(o);
    json_out_kv(o, "description", key->help);
    switch (key->type) {
    case CONFIG_INTEGER:
        json_out_kv(o, "type", "integer");
        json_out_ki(o, "minimum", key->min);
        json_out_ki(o, "maximum", key->max);
        break;
    case CONFIG_BOOLEAN:
        json_out_key(o, SLICE("enum"));
        json_out_array(o);
        json_out_bool(o, true);
        json_out_bool(o, false);
        json_out_cstr(o, "on");
        json_out_cstr(o, "off");
        json_out_end(o);
        break;
    case CONFIG_CHOICE: {
        struct slice rest = slice_cstr(key->choices), part;
        json_out_key(o, SLICE("enum"));
        json_out_array(o);
        while (slice_split(&rest, '|', &part))
            json_out_string(o, part);
        json_out_end(o);
        break;
    }
    case CONFIG_DURATION:
        json_out_kv(o, "type", "string");
        json_out_kv(o, "pattern", "^[0-9]+(ms|s|m|min|h|d)?$");
        break;
    case CONFIG_BYTES:
        json_out_key(o, SLICE("type"));
        json_out_array(o);
        json_out_cstr(o, "string");
        json_out_cstr(o, "integer");
        json_out_end(o);
        break;
    case CONFIG_TEXT:
        json_out_kv(o, "type", "string");
        break;
    }
    int64_t number;
    if (key->type == CONFIG_INTEGER && slice_to_i64(slice_cstr(key->fallback), &number))
        json_out_ki(o, "default", number);
    else if (key->fallback[0])
        json_out_kv(o, "default", key->fallback);
    json_out_end(o);
}

static void schema_object(struct json_out *o)
{
    json_out_object(o);
    json_out_kv(o, "type", "object");
    json_out_key(o, SLICE("additionalProperties"));
    json_out_bool(o, false);
    json_out_key(o, SLICE("properties"));
    json_out_object(o);
}

/* The keys as properties, those of one group as an object of their own. */
static void schema_keys(struct json_out *o, bool per_route)
{
    struct slice group = SLICE_NULL;
    for (unsigned i = 0; i < config_keys_len; i++) {
        struct slice name = slice_cstr(config_keys[i].name);
        size_t dot = slice_find(name, '.');
        struct slice own = dot == SIZE_MAX ? SLICE_NULL : slice_head(name, dot);
        if (per_route && !config_keys[i].per_route)
            continue;
        if (group.len && !slice_eq(group, own)) {
            if (slice_eq(group, SLICE("oauth")))
                config_oauth_schema(o);
            if (slice_eq(group, SLICE("auth")) && !per_route) {
                config_foreign_schema(o);
                config_certificates_schema(o);
            }
            json_out_end(o);
            json_out_end(o);
            group = SLICE_NULL;
        }
        if (own.len && !group.len) {
            json_out_key(o, own);
            schema_object(o);
            group = own;
        }
        schema_key(o, &config_keys[i], dot == SIZE_MAX ? name : slice_from(name, dot + 1));
    }
    if (group.len) {
        json_out_end(o);
        json_out_end(o);
    }
}

static void schema_routes(struct json_out *o)
{
    json_out_key(o, SLICE("routes"));
    json_out_object(o);
    json_out_kv(o, "description", "What differs for some paths; the longest match holds.");
    json_out_kv(o, "type", "array");
    json_out_ki(o, "maxItems", CONFIG_ROUTES_MAX);
    json_out_key(o, SLICE("items"));
    schema_object(o);
    json_out_key(o, SLICE("match"));
    json_out_object(o);
    json_out_kv(o, "description", "The path, and all that lie under it.");
    json_out_kv(o, "type", "string");
    json_out_kv(o, "pattern", "^/[^?#%*]+$");
    json_out_end(o);
    schema_keys(o, true);
    json_out_end(o); /* properties */
    json_out_key(o, SLICE("required"));
    json_out_array(o);
    json_out_cstr(o, "match");
    json_out_end(o);
    json_out_end(o); /* items */
    json_out_end(o);
}

void config_print_schema(struct buf *out)
{
    struct json_out o = json_out(out);
    json_out_object(&o);
    json_out_kv(&o, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_out_kv(&o, "title", "purlin.yaml");
    json_out_kv(&o, "type", "object");
    json_out_key(&o, SLICE("additionalProperties"));
    json_out_bool(&o, false);
    json_out_key(&o, SLICE("properties"));
    json_out_object(&o);
    schema_keys(&o, false);
    schema_routes(&o);
    config_rights_schema(&o);
    json_out_end(&o);
    json_out_end(&o);
    buf_putc(out, '\n');
}

void config_print(const struct config *config, struct buf *out)
{
    for (unsigned i = 0; i < config_keys_len; i++) {
        const struct config_key *key = &config_keys[i];
        const void *at = (const char *)config + key->offset;
        buf_printf(out, "%-24s ", key->name);
        switch (key->type) {
        case CONFIG_TEXT:
        case CONFIG_CHOICE: {
            struct slice text = *(const struct slice *)at;
            if (key->secret && text.len)
                buf_put_lit(out, "***");
            else
                buf_put_slice(out, text);
            break;
        }
        case CONFIG_BOOLEAN:
            buf_put_cstr(out, *(const bool *)at ? "on" : "off");
            break;
        case CONFIG_DURATION:
            buf_printf(out, "%lldms", (long long)(*(const int64_t *)at / 1000));
            break;
        case CONFIG_INTEGER:
        case CONFIG_BYTES:
            buf_put_i64(out, *(const int64_t *)at);
            break;
        }
        buf_putc(out, '\n');
    }
}
