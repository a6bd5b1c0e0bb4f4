/*
 * The JSON Schema of a resource's bodies, said from the same fields that the validator was compiled
 * from. What a schema cannot say (bounds of times, defaults of the caller) is said in `x-` members
 * and in words.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/validate.h"

/* "type", with null beside it when the field may be null. */
static void put_type(struct json_out *o, const char *type, bool nullable)
{
    json_out_key(o, SLICE("type"));
    if (!nullable) {
        json_out_cstr(o, type);
        return;
    }
    json_out_array(o);
    json_out_cstr(o, type);
    json_out_cstr(o, "null");
    json_out_end(o);
}

static void put_names(struct json_out *o, const char *key, const struct slice *names, unsigned len,
                      bool nullable)
{
    json_out_key(o, slice_cstr(key));
    json_out_array(o);
    for (unsigned i = 0; i < len; i++)
        json_out_string(o, names[i]);
    if (nullable)
        json_out_null(o);
    json_out_end(o);
}

static void put_text(struct json_out *o, const struct contract_field *f, const char *format,
                     bool nullable)
{
    put_type(o, "string", nullable);
    if (format)
        json_out_kv(o, "format", format);
    if (f->has_min && f->min_i64 > 0)
        json_out_ki(o, "minLength", f->min_i64);
    if (f->has_max)
        json_out_ki(o, "maxLength", f->max_i64);
    if (f->pattern_text.len) {
        json_out_key(o, SLICE("pattern"));
        json_out_string(o, f->pattern_text);
    }
    if (f->type == CONTRACT_URL && f->values_len)
        put_names(o, "x-schemes", f->values, f->values_len, /* nullable= */ false);
}

static void put_integer_bounds(struct json_out *o, const struct contract_field *f)
{
    json_out_kv(o, "format", "int64");
    if (f->has_min)
        json_out_ki(o, "minimum", f->min_i64);
    if (f->has_max)
        json_out_ki(o, "maximum", f->max_i64);
}

static void put_number(struct json_out *o, const struct contract_field *f, bool nullable)
{
    put_type(o, "number", nullable);
    json_out_kv(o, "format", "double");
    if (f->has_min) {
        json_out_key(o, SLICE("minimum"));
        json_out_double(o, f->min_double);
    }
    if (f->has_max) {
        json_out_key(o, SLICE("maximum"));
        json_out_double(o, f->max_double);
    }
}

static void put_moment(struct json_out *o, const struct contract_field *f, bool nullable)
{
    char text[CLOCK_RFC3339_LEN];
    bool time = f->type == CONTRACT_TIME;
    put_type(o, "string", nullable);
    json_out_kv(o, "format", time ? "date-time" : "date");
    for (int i = 0; i < 2; i++) {
        int64_t bound = i ? f->max_i64 : f->min_i64;
        if (!(i ? f->has_max : f->has_min))
            continue;
        if (time)
            clock_format_rfc3339(bound, text);
        else
            clock_format_date((int32_t)bound, text);
        json_out_key(o, i ? SLICE("x-maximum") : SLICE("x-minimum"));
        json_out_string(o, slice_of(text, time ? CLOCK_RFC3339_LEN : CLOCK_DATE_LEN));
    }
}

static void put_closed_object(struct json_out *o, const char *required, bool nullable)
{
    put_type(o, "object", nullable);
    json_out_key(o, SLICE("additionalProperties"));
    json_out_bool(o, false);
    json_out_key(o, SLICE("required"));
    json_out_raw(o, slice_cstr(required));
    json_out_key(o, SLICE("properties"));
    json_out_object(o);
}

static void put_money(struct json_out *o, const struct contract_field *f, bool nullable)
{
    put_closed_object(o, "[\"amount_minor\",\"currency\"]", nullable);
    json_out_key(o, SLICE("amount_minor"));
    json_out_object(o);
    json_out_kv(o, "type", "integer");
    json_out_kv(o, "description", "In the currency's smallest unit: 1250 is 12.50 EUR.");
    put_integer_bounds(o, f);
    json_out_end(o);
    json_out_key(o, SLICE("currency"));
    json_out_object(o);
    json_out_kv(o, "type", "string");
    json_out_kv(o, "description", "ISO 4217.");
    if (f->values_len)
        put_names(o, "enum", f->values, f->values_len, /* nullable= */ false);
    else
        json_out_kv(o, "pattern", "^[A-Z]{3}$");
    json_out_end(o);
    json_out_end(o);
}

static void put_media(struct json_out *o, const struct contract_field *f, bool nullable)
{
    put_closed_object(o, "[\"url\",\"type\"]", nullable);
    json_out_key(o, SLICE("url"));
    json_out_raw(o, SLICE("{\"type\":\"string\",\"format\":\"uri\",\"maxLength\":2048}"));
    json_out_key(o, SLICE("type"));
    json_out_object(o);
    json_out_kv(o, "type", "string");
    bool ranges = false;
    for (unsigned i = 0; i < f->values_len; i++)
        ranges |= slice_ends(f->values[i], SLICE("/*"));
    if (f->values_len)
        put_names(o, ranges ? "x-accept" : "enum", f->values, f->values_len, /* nullable= */ false);
    json_out_end(o);
    json_out_key(o, SLICE("bytes"));
    json_out_object(o);
    json_out_kv(o, "type", "integer");
    json_out_ki(o, "minimum", 0);
    json_out_ki(o, "maximum", f->bytes_max);
    json_out_end(o);
    static const struct slice sides[] = { SLICE_INIT("width"), SLICE_INIT("height") };
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        json_out_key(o, sides[i]);
        json_out_raw(o, SLICE("{\"type\":\"integer\",\"minimum\":0,\"maximum\":100000}"));
    }
    json_out_key(o, SLICE("alt"));
    json_out_raw(o, SLICE("{\"type\":\"string\",\"maxLength\":2000}"));
    json_out_end(o);
}

/* A schema of the team's own, unless it refers into itself: its references would point elsewhere
 * from inside this one. */
static void put_json(struct json_out *o, const struct contract_field *f, bool nullable)
{
    if (!f->schema_json)
        return;
    CLEANUP(buf_fini) struct buf text;
    buf_init(&text, /* arena= */ NULL, 1024, (size_t)1 << 20);
    json_put_value(&text, f->schema_json);
    if (buf_status(&text) != STATUS_OK ||
        slice_find_slice(buf_slice(&text), SLICE("Ref\":")) != SIZE_MAX ||
        slice_find_slice(buf_slice(&text), SLICE("\"$ref\":")) != SIZE_MAX)
        return;
    json_out_key(o, SLICE("anyOf"));
    json_out_array(o);
    json_out_raw(o, buf_slice(&text));
    if (nullable)
        json_out_raw(o, SLICE("{\"type\":\"null\"}"));
    json_out_end(o);
}

static void put_value_schema(struct json_out *o, const struct contract_field *f, char kind,
                             bool nullable);

static void put_list(struct json_out *o, const struct contract_field *f, char kind, bool nullable)
{
    put_type(o, "array", nullable);
    if (f->min_items)
        json_out_ki(o, "minItems", f->min_items);
    json_out_ki(o, "maxItems", f->max_items);
    if (f->unique_items) {
        json_out_key(o, SLICE("uniqueItems"));
        json_out_bool(o, true);
    }
    json_out_key(o, SLICE("items"));
    json_out_object(o);
    put_value_schema(o, f->of, kind, /* nullable= */ false);
    json_out_end(o);
}

static void put_ref(struct json_out *o, const struct contract_field *f, char kind, bool nullable)
{
    if (kind == 'r') {
        /* `?expand=` puts the row where its id stands. */
        json_out_key(o, SLICE("type"));
        json_out_raw(o, nullable ? SLICE("[\"string\",\"object\",\"null\"]")
                                 : SLICE("[\"string\",\"object\"]"));
    } else {
        put_type(o, "string", nullable);
    }
    json_out_kv(o, "format", "uuid");
    json_out_key(o, SLICE("x-ref"));
    json_out_string(o, f->ref->name);
}

static void put_value_schema(struct json_out *o, const struct contract_field *f, char kind,
                             bool nullable)
{
    switch (f->type) {
    case CONTRACT_STRING:
    case CONTRACT_TEXT:
        put_text(o, f, NULL, nullable);
        return;
    case CONTRACT_EMAIL:
        put_text(o, f, "email", nullable);
        return;
    case CONTRACT_URL:
        put_text(o, f, "uri", nullable);
        return;
    case CONTRACT_INTEGER:
        put_type(o, "integer", nullable);
        put_integer_bounds(o, f);
        return;
    case CONTRACT_COUNT:
        put_type(o, "integer", nullable);
        json_out_ki(o, "minimum", 0);
        return;
    case CONTRACT_NUMBER:
        put_number(o, f, nullable);
        return;
    case CONTRACT_BOOLEAN:
        put_type(o, "boolean", nullable);
        return;
    case CONTRACT_TIME:
    case CONTRACT_DATE:
        put_moment(o, f, nullable);
        return;
    case CONTRACT_UUID:
        put_type(o, "string", nullable);
        json_out_kv(o, "format", "uuid");
        return;
    case CONTRACT_REF:
        put_ref(o, f, kind, nullable);
        return;
    case CONTRACT_ENUM:
        put_type(o, "string", nullable);
        put_names(o, "enum", f->values, f->values_len, nullable);
        return;
    case CONTRACT_MONEY:
        put_money(o, f, nullable);
        return;
    case CONTRACT_MEDIA:
        put_media(o, f, nullable);
        return;
    case CONTRACT_LIST:
        put_list(o, f, kind, nullable);
        return;
    default:
        put_json(o, f, nullable);
        return;
    }
}

static bool is_readonly(const struct contract_field *f)
{
    return f->system || f->readonly || f->type == CONTRACT_COUNT;
}

/* What a create takes, what may be sent back as it was read, and what is shown. */
static bool belongs(const struct contract_field *f, char kind)
{
    if (f->hidden)
        return false;
    return kind == 'r' ? !f->writeonly : kind == 'c' ? !is_readonly(f) : true;
}

static void put_field(struct json_out *o, const struct contract_field *f, char kind)
{
    json_out_key(o, f->name);
    json_out_object(o);
    put_value_schema(o, f, kind, f->nullable);
    if (f->description.len) {
        json_out_key(o, SLICE("description"));
        json_out_string(o, f->description);
    }
    if (is_readonly(f)) {
        json_out_key(o, SLICE("readOnly"));
        json_out_bool(o, true);
    }
    if (f->writeonly) {
        json_out_key(o, SLICE("writeOnly"));
        json_out_bool(o, true);
    }
    if (kind == 'c' && f->default_kind == CONTRACT_DEFAULT_VALUE) {
        json_out_key(o, SLICE("default"));
        json_out_value(o, f->default_json);
    } else if (kind == 'c' && f->default_kind != CONTRACT_DEFAULT_NONE) {
        json_out_kv(o, "x-default", f->default_kind == CONTRACT_DEFAULT_USER ? "@user" : "@now");
    }
    json_out_end(o);
}

static void put_children(struct json_out *o, const struct contract *contract)
{
    for (unsigned i = 0; i < contract->referrers_len; i++) {
        const struct contract_referrer *r = &contract->referrers[i];
        if (r->contract->absent || r->field->hidden)
            continue;
        json_out_key(o, r->name);
        json_out_object(o);
        json_out_kv(o, "type", "array");
        json_out_key(o, SLICE("items"));
        json_out_raw(o, SLICE("{\"type\":\"object\"}"));
        json_out_key(o, SLICE("description"));
        char text[160];
        int len = snprintf(text, sizeof(text), "Rows of %.*s to create with this one.",
                           SLICE_ARG(r->contract->name));
        json_out_string(o, slice_of(text, (size_t)MIN(MAX(len, 0), (int)sizeof(text) - 1)));
        json_out_end(o);
    }
}

static bool is_required(const struct contract *contract, const struct contract_field *f, char kind)
{
    const struct contract__program *program = contract->program;
    bool required = program->required[f->index / 64] >> (f->index % 64) & 1;
    bool kept = program->kept[f->index / 64] >> (f->index % 64) & 1;
    if (kind == 'r')
        return f->index == 0;
    return kind == 'c' ? required : kind == 'u' && required && !kept;
}

static void put_required(struct json_out *o, const struct contract *contract, char kind)
{
    bool any = false;
    for (unsigned i = 0; i < contract->fields_len; i++) {
        if (!is_required(contract, contract->fields[i], kind))
            continue;
        if (!any) {
            json_out_key(o, SLICE("required"));
            json_out_array(o);
        }
        any = true;
        json_out_string(o, contract->fields[i]->name);
    }
    if (any)
        json_out_end(o);
}

void contract_json_schema(const struct contract *contract, char kind, struct buf *out)
{
    struct json_out o = json_out(out);
    json_out_object(&o);
    json_out_kv(&o, "type", "object");
    if (contract->description.len) {
        json_out_key(&o, SLICE("description"));
        json_out_string(&o, contract->description);
    }
    json_out_key(&o, SLICE("properties"));
    json_out_object(&o);
    for (unsigned i = 0; i < contract->fields_len; i++) {
        if (belongs(contract->fields[i], kind))
            put_field(&o, contract->fields[i], kind);
    }
    if (kind == 'c')
        put_children(&o, contract);
    json_out_end(&o);
    put_required(&o, contract, kind);
    if (kind != 'r') {
        /* An answer may also hold expanded rows and what a search found. */
        json_out_key(&o, SLICE("additionalProperties"));
        json_out_bool(&o, false);
    }
    json_out_end(&o);
}
