/* The JSON Schema of contract files, for editors: written from the table of keys that the reader
 * obeys (keys.c). */
#include "base/json.h"
#include "base/macros.h"
#include "contract/load.h"

#define NAME_PATTERN "^[a-z][a-z0-9_]{0,62}$"
#define FIELD_NAMES "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\"}}"
#define RULE "{\"type\":[\"string\",\"boolean\"]}"
#define LIMIT                                                                                      \
    "{\"type\":\"string\",\"pattern\":\"^[0-9]+/(second|minute|hour|day)/(user|ip|key)$\"}"

/* Everything beside `fields`; the keys are contract__top_keys. */
static const struct {
    const char *key, *schema;
} top[] = {
    { "resource",
      "{\"type\":\"string\",\"pattern\":\"" NAME_PATTERN "\",\"description\":\"The name: of the "
      "path /api/v1/NAME and of the table.\"}" },
    { "description", "{\"type\":\"string\",\"description\":\"What one row is, for people.\"}" },
    { "fields",
      "{\"type\":\"object\",\"minProperties\":1,\"propertyNames\":{\"pattern\":\"" NAME_PATTERN
      "\"},\"additionalProperties\":{\"$ref\":\"#/$defs/field\"},\"description\":\"What a row "
      "holds, "
      "beside id, created_at, updated_at and version.\"}" },
    { "indexes",
      "{\"type\":\"array\",\"description\":\"Lists of fields (-field for descending), or maps with "
      "on, kind, where, "
      "unique.\",\"items\":{\"anyOf\":[" FIELD_NAMES ",{\"type\":\"object\",\"required\":[\"on\"],"
      "\"additionalProperties\":false,\"properties\":{\"on\":" FIELD_NAMES
      ",\"kind\":{\"enum\":[\"order\","
      "\"contains\"]},\"where\":{\"type\":\"string\"},\"unique\":{\"type\":\"boolean\"}}}]}}" },
    { "unique", "{\"type\":\"array\",\"items\":" FIELD_NAMES
                ",\"description\":\"Lists of fields that no two rows "
                "share the values of.\"}" },
    { "search",
      "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"description\":\"Fields that ?q= looks "
      "through.\"}" },
    { "rules", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"read\":" RULE
               ",\"create\":" RULE ",\"update\":" RULE ",\"delete\":" RULE
               "},\"description\":\"Who may; what is left out is denied.\"}" },
    { "cache", "{\"type\":\"object\",\"required\":[\"ttl\"],\"additionalProperties\":false,"
               "\"properties\":{\"ttl\":"
               "{\"type\":[\"string\",\"integer\"]},\"tags\":{\"type\":\"array\",\"items\":{"
               "\"type\":\"string\"}}}}" },
    { "limits",
      "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"list\":" LIMIT
      ",\"read\":" LIMIT ",\"create\":" LIMIT ",\"update\":" LIMIT ",\"delete\":" LIMIT "}}" },
    { "events", "{\"type\":\"array\",\"items\":{\"enum\":[\"created\",\"updated\",\"deleted\"]}}" },
    { "soft_delete", "{\"type\":\"boolean\",\"description\":\"Deleted rows stay, hidden, and can "
                     "be restored.\"}" },
};

static void put_type_names(struct json_out *o)
{
    json_out_key(o, SLICE("enum"));
    json_out_array(o);
    for (unsigned i = 0; i < CONTRACT_TYPES; i++)
        json_out_cstr(o, contract_type_name((enum contract_type)i));
    json_out_end(o);
}

static void put_keys(struct json_out *o)
{
    json_out_key(o, SLICE("properties"));
    json_out_object(o);
    for (unsigned i = 0; i < contract__field_keys_len; i++) {
        const struct contract__field_key *key = &contract__field_keys[i];
        json_out_key(o, key->name);
        json_out_object(o);
        if (slice_eq(key->name, SLICE("type")))
            put_type_names(o);
        json_out_kv(o, "description", key->description);
        if (key->schema) {
            buf_putc(o->buf, ',');
            buf_put_cstr(o->buf, key->schema);
        }
        json_out_end(o);
    }
    json_out_end(o);
}

/* Which keys a type takes. A list takes those of its items too, which depend on `of`: all of them
 * are let through. */
static void put_type_rule(struct json_out *o, enum contract_type type)
{
    static const struct {
        enum contract_type type;
        const char *key;
    } shorthands[] = { { CONTRACT_ENUM, "enum" },
                       { CONTRACT_REF, "ref" },
                       { CONTRACT_COUNT, "count" } };
    const char *shorthand = NULL;
    for (size_t i = 0; i < ARRAY_LEN(shorthands); i++)
        shorthand = shorthands[i].type == type ? shorthands[i].key : shorthand;
    buf_printf(o->buf,
               "{\"if\":{\"anyOf\":[{\"required\":[\"type\"],\"properties\":{\"type\":{\"const\":"
               "\"%s\"}}}",
               contract_type_name(type));
    if (shorthand)
        buf_printf(o->buf, ",{\"required\":[\"%s\"]}", shorthand);
    buf_put_lit(o->buf, "]},\"then\":{\"propertyNames\":{\"enum\":[");
    bool first = true;
    for (unsigned i = 0; i < contract__field_keys_len; i++) {
        const struct contract__field_key *key = &contract__field_keys[i];
        if (!contract__key_fits(key, type, CONTRACT_TYPES) &&
            !(type == CONTRACT_LIST && key->of_items))
            continue;
        buf_printf(o->buf, "%s\"%.*s\"", first ? "" : ",", SLICE_ARG(key->name));
        first = false;
    }
    buf_put_lit(o->buf, "]}}}");
}

static void put_field_schema(struct json_out *o)
{
    json_out_key(o, SLICE("field"));
    json_out_object(o);
    json_out_kv(o, "type", "object");
    json_out_key(o, SLICE("additionalProperties"));
    json_out_bool(o, false);
    json_out_key(o, SLICE("anyOf"));
    json_out_raw(
        o, SLICE("[{\"required\":[\"type\"]},{\"required\":[\"enum\"]},{\"required\":[\"ref\"]},"
                 "{\"required\":[\"count\"]}]"));
    put_keys(o);
    json_out_key(o, SLICE("allOf"));
    buf_putc(o->buf, '[');
    for (unsigned i = 0; i < CONTRACT_TYPES; i++) {
        if (i > 0)
            buf_putc(o->buf, ',');
        put_type_rule(o, (enum contract_type)i);
    }
    json_out_raw(o, SLICE("]"));
    json_out_end(o);
}

void contract_meta_schema(struct buf *out)
{
    struct json_out o = json_out(out);
    json_out_object(&o);
    json_out_kv(&o, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_out_kv(&o, "title", "Purlin contract");
    json_out_kv(&o, "type", "object");
    json_out_key(&o, SLICE("required"));
    json_out_raw(&o, SLICE("[\"resource\",\"fields\"]"));
    json_out_key(&o, SLICE("additionalProperties"));
    json_out_bool(&o, false);
    json_out_key(&o, SLICE("properties"));
    json_out_object(&o);
    for (size_t i = 0; i < ARRAY_LEN(top); i++) {
        json_out_key(&o, slice_cstr(top[i].key));
        json_out_raw(&o, slice_cstr(top[i].schema));
    }
    json_out_end(&o);
    json_out_key(&o, SLICE("$defs"));
    json_out_object(&o);
    put_field_schema(&o);
    json_out_end(&o);
    json_out_end(&o);
}
