/*
 * A field: first what type it is, then that each key fits the type, then the values of the keys,
 * then what contradicts what. A field with mistakes is still made, as far as it can be, so that
 * what refers to it brings no complaints of its own.
 */
#include "contract/load.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/format.h"
#include "contract/pattern.h"
#include "contract/schema.h"

#define LENGTH_MAX 1048576
#define STRING_MAX_DEFAULT 255
#define TEXT_MAX_DEFAULT 65536
#define ITEMS_MAX 1000
#define ITEMS_MAX_DEFAULT 100
#define VALUES_MAX 256u
#define JSON_BYTES_DEFAULT 65536
#define JSON_BYTES_MAX 1048576
#define MEDIA_BYTES_MAX ((int64_t)1 << 40)

/* The field being read. */
struct reader {
    struct contract__loader *ld;
    struct contract__draft *draft;
    const struct yaml_node *map; /* of its keys */
    struct slice path;           /* "fields.title" */
    struct contract_field *field;
    struct contract_field
        *bounded; /* whose min, max, pattern ... these are: the field, or its item */
};

#define FAIL(r, node, key, hint, ...)                                                              \
    contract__fail((r)->ld, (r)->draft, (node), key_path((r), (key)), (hint), __VA_ARGS__)

static struct slice key_path(struct reader *r, const char *key)
{
    return key ? contract__path(r->ld, r->path, slice_cstr(key)) : r->path;
}

static const struct contract__field_key *find_key(struct slice name)
{
    for (unsigned i = 0; i < contract__field_keys_len; i++) {
        if (slice_eq(contract__field_keys[i].name, name))
            return &contract__field_keys[i];
    }
    return NULL;
}

static enum contract_type item_type(const struct reader *r)
{
    return r->bounded != r->field ? r->bounded->type : CONTRACT_TYPES;
}

/* The node of a key, if it is there and fits the type (else that is reported already). */
static const struct yaml_node *take(const struct reader *r, const char *name)
{
    struct slice key = slice_cstr(name);
    const struct contract__field_key *known = find_key(key);
    if (!known || !contract__key_fits(known, r->field->type, item_type(r)))
        return NULL;
    return yaml_get(r->map, key);
}

/* -- the type ---------------------------------------------------------------- */

static bool type_by_name(struct reader *r, const struct yaml_node *node, const char *key, bool item,
                         enum contract_type *ret)
{
    struct slice text;
    if (!contract__read_text(r->ld, r->draft, node, key_path(r, key), &text))
        return false;
    enum contract_type type;
    if (contract__type_find(text, &type) && (!item || contract__type_is_item(type))) {
        *ret = type;
        return true;
    }
    struct slice names[CONTRACT_TYPES];
    size_t len = 0;
    for (unsigned i = 0; i < CONTRACT_TYPES; i++) {
        if (!item || contract__type_is_item((enum contract_type)i))
            names[len++] = slice_cstr(contract_type_name((enum contract_type)i));
    }
    contract__fail_unknown(r->ld, r->draft, node, key_path(r, key), item ? "type of items" : "type",
                           text, names, len);
    return false;
}

/* `type`, or one of the keys that say it in passing; both together only when they agree. */
static bool find_type(struct reader *r, enum contract_type *ret)
{
    static const struct {
        const char *key;
        enum contract_type type;
    } shorthands[] = {
        { "enum", CONTRACT_ENUM },
        { "ref", CONTRACT_REF },
        { "count", CONTRACT_COUNT },
    };
    const struct yaml_node *type_node = yaml_get(r->map, SLICE("type"));
    const char *said_by = NULL;
    enum contract_type type = CONTRACT_STRING;
    if (type_node) {
        if (!type_by_name(r, type_node, "type", /* item= */ false, &type))
            return false;
        said_by = "type";
    }
    for (size_t i = 0; i < ARRAY_LEN(shorthands); i++) {
        const struct yaml_node *node = yaml_get(r->map, slice_cstr(shorthands[i].key));
        if (!node)
            continue;
        if (said_by && type != shorthands[i].type) {
            FAIL(r, node, shorthands[i].key, SLICE_NULL, "contradicts `%s`: a field has one type",
                 said_by);
            return false;
        }
        said_by = shorthands[i].key;
        type = shorthands[i].type;
    }
    if (!said_by) {
        FAIL(r, r->map, NULL, SLICE("As in { type: string }."),
             "has no type: say one of type, enum, ref, count");
        return false;
    }
    *ret = type;
    return true;
}

static void check_keys(struct reader *r)
{
    struct slice fitting[64];
    size_t len = 0;
    for (unsigned i = 0; i < contract__field_keys_len; i++) {
        if (contract__key_fits(&contract__field_keys[i], r->field->type, item_type(r)))
            fitting[len++] = contract__field_keys[i].name;
    }
    for (const struct yaml_node *value = r->map->first; value; value = value->next) {
        struct slice name = value->key->text;
        const struct contract__field_key *key = find_key(name);
        struct slice path = contract__path(r->ld, r->path, name);
        if (!key)
            contract__fail_unknown(r->ld, r->draft, value->key, path, "key", name, fitting, len);
        else if (!contract__key_fits(key, r->field->type, item_type(r)))
            contract__fail(r->ld, r->draft, value->key, path,
                           contract__allowed(r->ld, SLICE(""), fitting, len),
                           "does not apply to the type %s%s%s", contract_type_name(r->field->type),
                           item_type(r) < CONTRACT_TYPES ? " of " : "",
                           item_type(r) < CONTRACT_TYPES ? contract_type_name(item_type(r)) : "");
    }
}

/* -- values of keys ---------------------------------------------------------- */

static void read_flag(struct reader *r, const char *key, bool *ret)
{
    const struct yaml_node *node = take(r, key);
    if (node)
        (void)contract__read_bool(r->ld, r->draft, node, key_path(r, key), ret);
}

static void read_count(struct reader *r, const char *key, int64_t min, int64_t max, unsigned *ret)
{
    const struct yaml_node *node = take(r, key);
    int64_t value;
    if (node && contract__read_integer(r->ld, r->draft, node, key_path(r, key), min, max, &value))
        *ret = (unsigned)value;
}

static bool value_fits(const char *key, struct slice value)
{
    if (strcmp(key, "currencies") == 0)
        return contract__currency_find(value, /* ret_exponent= */ NULL);
    if (strcmp(key, "schemes") == 0)
        return contract__scheme_is_valid(value) && !slice_eq_nocase(value, SLICE("javascript")) &&
               !slice_eq_nocase(value, SLICE("data")) && !slice_eq_nocase(value, SLICE("vbscript"));
    if (strcmp(key, "accept") == 0)
        return contract__media_range_is_valid(value);
    return contract__value_is_valid(value);
}

static const char *value_rule(const char *key)
{
    if (strcmp(key, "currencies") == 0)
        return "must be the ISO 4217 code of a currency, as EUR";
    if (strcmp(key, "schemes") == 0)
        return "must be a scheme such as https (never javascript, data or vbscript)";
    if (strcmp(key, "accept") == 0)
        return "must be a media type such as image/png or image/*";
    return "must have at most 64 letters, digits, points, dashes and underscores";
}

static void read_values(struct reader *r, const char *key, struct contract_field *into)
{
    const struct yaml_node *node = take(r, key);
    if (!node)
        return;
    if (node->kind != YAML_LIST || node->len == 0 || node->len > VALUES_MAX) {
        FAIL(r, node, key, SLICE("As in [a, b]."), "must be a list of 1 to %u values", VALUES_MAX);
        return;
    }
    struct slice *values = contract__calloc(r->ld, node->len, sizeof(*values));
    if (!values)
        return;
    unsigned len = 0;
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        if (item->kind != YAML_SCALAR || yaml_is_null(item) || !value_fits(key, item->text)) {
            FAIL(r, item, key, SLICE_NULL, "%s", value_rule(key));
            continue;
        }
        unsigned i = 0;
        while (i < len && !slice_eq(values[i], item->text))
            i++;
        if (i < len)
            FAIL(r, item, key, SLICE_NULL, "`%.*s` stands here twice", SLICE_ARG(item->text));
        else
            values[len++] = item->text;
    }
    into->values = values;
    into->values_len = len;
}

static void read_pattern(struct reader *r)
{
    const struct yaml_node *node = take(r, "pattern");
    struct contract_field *f = r->bounded;
    if (!node ||
        !contract__read_text(r->ld, r->draft, node, key_path(r, "pattern"), &f->pattern_text))
        return;
    struct contract_pattern_error error;
    enum status st = contract_pattern_compile(f->pattern_text, r->ld->arena, &f->pattern, &error);
    if (st == STATUS_EXHAUSTED) {
        r->ld->exhausted = true;
        return;
    }
    if (st != STATUS_OK) {
        contract__fail_at(r->ld, r->draft, node, error.offset, key_path(r, "pattern"), SLICE_NULL,
                          "not a regular expression: %s", error.reason);
        return;
    }
    struct contract__pattern_link *link = contract__calloc(r->ld, 1, sizeof(*link));
    if (!link) {
        contract_pattern_free(f->pattern);
        return;
    }
    *link = (struct contract__pattern_link){ f->pattern, r->ld->owned->patterns };
    r->ld->owned->patterns = link;
}

static bool read_bound_i64(struct reader *r, const struct yaml_node *node, const char *key,
                           int64_t *ret)
{
    const struct contract_field *f = r->bounded;
    struct slice path = key_path(r, key);
    int32_t days;
    int64_t cap = LENGTH_MAX;
    switch (f->type) {
    case CONTRACT_INTEGER:
    case CONTRACT_MONEY:
        return contract__read_integer(r->ld, r->draft, node, path, INT64_MIN, INT64_MAX, ret);
    case CONTRACT_TIME:
        if (node->kind == YAML_SCALAR && clock_parse_rfc3339(node->text, ret)) {
            int64_t rest = *ret % CLOCK_MS;
            *ret -= rest < 0 ? rest + CLOCK_MS : rest;
            return true;
        }
        FAIL(r, node, key, SLICE_NULL, "must be a time as in 2026-01-02T03:04:05Z");
        return false;
    case CONTRACT_DATE:
        if (node->kind == YAML_SCALAR && clock_parse_date(node->text, &days)) {
            *ret = days;
            return true;
        }
        FAIL(r, node, key, SLICE_NULL, "must be a date as in 2026-01-02");
        return false;
    case CONTRACT_EMAIL:
        cap = CONTRACT__EMAIL_BYTES_MAX;
        break;
    case CONTRACT_URL:
        cap = CONTRACT__URL_BYTES_MAX;
        break;
    default:
        break;
    }
    return contract__read_integer(r->ld, r->draft, node, path, 0, cap, ret);
}

static void read_bound(struct reader *r, const char *key, bool *ret_has, int64_t *ret_i64,
                       double *ret_double)
{
    const struct yaml_node *node = take(r, key);
    if (!node)
        return;
    if (r->bounded->type != CONTRACT_NUMBER) {
        *ret_has = read_bound_i64(r, node, key, ret_i64);
        return;
    }
    *ret_has = yaml_to_double(node, ret_double);
    if (!*ret_has)
        FAIL(r, node, key, SLICE_NULL, "must be a number");
}

static void read_bounds(struct reader *r)
{
    struct contract_field *f = r->bounded;
    read_bound(r, "min", &f->has_min, &f->min_i64, &f->min_double);
    read_bound(r, "max", &f->has_max, &f->max_i64, &f->max_double);
    int64_t unless_said = f->type == CONTRACT_STRING  ? STRING_MAX_DEFAULT
                          : f->type == CONTRACT_TEXT  ? TEXT_MAX_DEFAULT
                          : f->type == CONTRACT_EMAIL ? CONTRACT__EMAIL_BYTES_MAX
                          : f->type == CONTRACT_URL   ? CONTRACT__URL_BYTES_MAX
                                                      : 0;
    bool said = f->has_max;
    if (!f->has_max && unless_said) {
        f->has_max = true;
        f->max_i64 = unless_said;
    }
    bool empty =
        f->type == CONTRACT_NUMBER ? f->min_double > f->max_double : f->min_i64 > f->max_i64;
    if (!f->has_min || !f->has_max || !empty)
        return;
    const struct yaml_node *min = take(r, "min");
    if (said)
        FAIL(r, min, "min", SLICE_NULL, "greater than max: nothing would fit");
    else
        FAIL(r, min, "min", SLICE_NULL, "greater than max, which is %lld unless said",
             (long long)f->max_i64);
}

static void read_list_bounds(struct reader *r)
{
    struct contract_field *f = r->field;
    f->max_items = ITEMS_MAX_DEFAULT;
    read_count(r, "min_items", 0, ITEMS_MAX, &f->min_items);
    read_count(r, "max_items", 1, ITEMS_MAX, &f->max_items);
    read_flag(r, "unique_items", &f->unique_items);
    if (f->type == CONTRACT_LIST && f->min_items > f->max_items)
        FAIL(r, take(r, "min_items"), "min_items", SLICE_NULL,
             "greater than max_items (%u): nothing would fit", f->max_items);
}

static void read_schema(struct reader *r)
{
    const struct yaml_node *node = take(r, "schema");
    if (!node)
        return;
    json_t *schema = yaml_to_json(node, r->ld->arena);
    if (!schema) {
        FAIL(r, node, "schema", SLICE_NULL, "too large or nested too deeply");
        return;
    }
    struct json_schema_error error = { 0 };
    struct contract__schema_link *link = contract__calloc(r->ld, 1, sizeof(*link));
    enum status st = link ? json_schema_compile(schema, r->ld->arena, &r->field->schema, &error)
                          : STATUS_EXHAUSTED;
    r->ld->exhausted |= st == STATUS_EXHAUSTED;
    if (st == STATUS_OK) {
        *link = (struct contract__schema_link){ r->field->schema, r->ld->owned->schemas };
        r->ld->owned->schemas = link;
        r->field->schema_json = schema;
    } else if (st != STATUS_EXHAUSTED) {
        FAIL(r, node, "schema", SLICE_NULL, "not a JSON Schema: at `%.*s`: %.*s",
             SLICE_ARG(error.pointer), SLICE_ARG(error.reason));
    }
}

static void read_on_delete(struct reader *r)
{
    static const struct slice names[] = { SLICE_INIT("restrict"), SLICE_INIT("cascade"),
                                          SLICE_INIT("set_null") };
    const struct yaml_node *node = take(r, "on_delete");
    struct slice text;
    if (!node || !contract__read_text(r->ld, r->draft, node, key_path(r, "on_delete"), &text))
        return;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(text, names[i])) {
            r->field->on_delete = (enum contract_on_delete)i;
            return;
        }
    }
    contract__fail_unknown(r->ld, r->draft, node, key_path(r, "on_delete"), "action", text, names,
                           ARRAY_LEN(names));
}

static void read_default(struct reader *r)
{
    const struct yaml_node *node = take(r, "default");
    struct contract_field *f = r->field;
    if (!node)
        return;
    bool scalar = node->kind == YAML_SCALAR;
    if (scalar && slice_eq(node->text, SLICE("@user"))) {
        f->default_kind = CONTRACT_DEFAULT_USER;
        if (f->type != CONTRACT_REF && f->type != CONTRACT_UUID)
            FAIL(r, node, "default", SLICE_NULL,
                 "`@user` is an id: only a ref or uuid can hold it");
    } else if (scalar && slice_eq(node->text, SLICE("@now"))) {
        f->default_kind = CONTRACT_DEFAULT_NOW;
        if (f->type != CONTRACT_TIME && f->type != CONTRACT_DATE)
            FAIL(r, node, "default", SLICE_NULL,
                 "`@now` is a time: only a time or date can hold it");
    } else if (yaml_is_null(node)) {
        FAIL(r, node, "default", SLICE("Leave it out."),
             "null is what a field without default gets");
    } else {
        f->default_kind = CONTRACT_DEFAULT_VALUE;
        f->default_json = yaml_to_json(node, r->ld->arena);
        if (!f->default_json)
            FAIL(r, node, "default", SLICE_NULL, "too large or nested too deeply");
    }
}

/* -- the item of a list ------------------------------------------------------ */

static void read_constraints(struct reader *r);

/* `of: string`, or `of: { type: string, max: 40 }`. */
static void read_item(struct reader *r)
{
    const struct yaml_node *node = yaml_get(r->map, SLICE("of"));
    struct contract_field *item = contract__calloc(r->ld, 1, sizeof(*item));
    if (!item)
        return;
    item->name = SLICE("");
    item->description = SLICE("");
    item->columns_len = 1;
    item->line = node ? node->line : r->field->line;
    r->field->of = item;
    if (!node) {
        FAIL(r, r->map, NULL, SLICE("As in { type: list, of: string }."),
             "a list says what it is a list `of`");
        r->draft->broken = true;
        return;
    }
    if (node->kind != YAML_MAP) {
        r->draft->broken |= !type_by_name(r, node, "of", /* item= */ true, &item->type);
        r->bounded = item;
        return;
    }
    struct reader inner = *r;
    inner.map = node;
    inner.path = key_path(r, "of");
    inner.field = inner.bounded = item;
    enum contract_type type;
    if (!find_type(&inner, &type)) {
        r->draft->broken = true;
        return;
    }
    if (!contract__type_is_item(type)) {
        FAIL(r, node, "of", SLICE_NULL, "a list cannot hold the type %s", contract_type_name(type));
        r->draft->broken = true;
        return;
    }
    item->type = type;
    check_keys(&inner);
    static const char *const of_the_row[] = { "required", "optional",  "unique", "immutable",
                                              "readonly", "writeonly", "default" };
    for (size_t i = 0; i < ARRAY_LEN(of_the_row); i++) {
        const struct yaml_node *key = yaml_get(node, slice_cstr(of_the_row[i]));
        if (key)
            FAIL(&inner, key, of_the_row[i], SLICE_NULL,
                 "says something of a field, not of an item");
    }
    read_constraints(&inner);
}

static void read_constraints(struct reader *r)
{
    struct contract_field *f = r->bounded;
    read_bounds(r);
    read_pattern(r);
    if (f->type == CONTRACT_ENUM) {
        const char *key = r->field == f && yaml_get(r->map, SLICE("enum")) ? "enum" : "values";
        read_values(r, key, f);
        if (r->field == f && strcmp(key, "enum") == 0 && yaml_get(r->map, SLICE("values")))
            FAIL(r, yaml_get(r->map, SLICE("values")), "values", SLICE_NULL,
                 "`enum` lists the values already");
        if (!yaml_get(r->map, slice_cstr(key)))
            FAIL(r, r->map, NULL, SLICE("As in { enum: [a, b] }."), "an enum lists its values");
    }
    if (f->type == CONTRACT_URL)
        read_values(r, "schemes", f);
}

/* -- contradictions ---------------------------------------------------------- */

static void check_pair(struct reader *r, bool both, const char *key, const char *other,
                       const char *reason)
{
    if (both)
        FAIL(r, yaml_get(r->map, slice_cstr(key)), key, SLICE_NULL, "contradicts `%s`: %s", other,
             reason);
}

static void check_contradictions(struct reader *r, bool optional)
{
    const struct contract_field *f = r->field;
    bool has_default = f->default_kind != CONTRACT_DEFAULT_NONE;
    check_pair(r, f->required && optional, "optional", "required", "it cannot be both");
    check_pair(r, f->required && f->readonly, "readonly", "required",
               "no client could give what must be given");
    check_pair(r, f->required && has_default, "default", "required",
               "what has a default need not be given");
    check_pair(r, f->readonly && f->immutable, "immutable", "readonly",
               "what clients never set needs no protection from change");
    check_pair(r, f->required && f->on_delete == CONTRACT_SET_NULL, "on_delete", "required",
               "a required field is never null");
    check_pair(r, f->unique && f->default_kind == CONTRACT_DEFAULT_VALUE, "default", "unique",
               "the second row that takes the default would be refused");
}

/* -- a field ----------------------------------------------------------------- */

static void read_keys(struct reader *r)
{
    struct contract_field *f = r->field;
    struct slice text;
    bool optional = false;
    const struct yaml_node *description = take(r, "description");
    if (description &&
        contract__read_text(r->ld, r->draft, description, key_path(r, "description"), &text))
        f->description = text;
    read_flag(r, "required", &f->required);
    read_flag(r, "optional", &optional);
    read_flag(r, "unique", &f->unique);
    read_flag(r, "immutable", &f->immutable);
    read_flag(r, "readonly", &f->readonly);
    read_flag(r, "writeonly", &f->writeonly);
    if (f->type != CONTRACT_LIST || r->bounded != f)
        read_constraints(r);
    read_list_bounds(r);
    if (f->type == CONTRACT_MONEY)
        read_values(r, "currencies", f);
    if (f->type == CONTRACT_MEDIA)
        read_values(r, "accept", f);
    f->bytes_max = f->type == CONTRACT_MEDIA ? MEDIA_BYTES_MAX : JSON_BYTES_DEFAULT;
    const struct yaml_node *bytes = take(r, "max_bytes");
    if (bytes)
        (void)contract__read_integer(r->ld, r->draft, bytes, key_path(r, "max_bytes"), 1,
                                     f->type == CONTRACT_MEDIA ? MEDIA_BYTES_MAX : JSON_BYTES_MAX,
                                     &f->bytes_max);
    read_schema(r);
    read_on_delete(r);
    read_default(r);
    check_contradictions(r, optional);
    bool has_default = f->default_kind != CONTRACT_DEFAULT_NONE;
    f->nullable = f->type != CONTRACT_COUNT && !f->required &&
                  (!has_default || optional || f->on_delete == CONTRACT_SET_NULL);
    if (f->type == CONTRACT_COUNT)
        f->readonly = true;
}

bool contract__field_name_check(struct contract__loader *ld, const struct contract__draft *d,
                                const struct yaml_node *node, struct slice path, struct slice name)
{
    /* The engine's columns; SQLite's own; words of the rule language; query parameters that would
     * hide ?field=value. */
    static const struct slice reserved[] = {
        SLICE_INIT("id"),      SLICE_INIT("created_at"), SLICE_INIT("updated_at"),
        SLICE_INIT("version"), SLICE_INIT("deleted_at"), SLICE_INIT("rowid"),
        SLICE_INIT("oid"),     SLICE_INIT("true"),       SLICE_INIT("false"),
        SLICE_INIT("null"),    SLICE_INIT("in"),         SLICE_INIT("exists"),
        SLICE_INIT("limit"),   SLICE_INIT("cursor"),     SLICE_INIT("offset"),
        SLICE_INIT("sort"),    SLICE_INIT("filter"),     SLICE_INIT("q"),
        SLICE_INIT("fields"),  SLICE_INIT("expand"),     SLICE_INIT("count"),
        SLICE_INIT("deleted"), SLICE_INIT("format"),
    };
    if (!contract__name_is_valid(name)) {
        contract__fail(ld, d, node, path, SLICE("As in `reply_to`."),
                       "a field's name must begin with a lower-case letter and have at most 63 "
                       "lower-case letters, digits and underscores");
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        if (!slice_eq(name, reserved[i]))
            continue;
        contract__fail(ld, d, node, path,
                       i < 5 ? SLICE("Every row has it without being declared.") : SLICE_NULL,
                       "this name is reserved");
        return false;
    }
    return true;
}

static struct slice read_field_name(struct contract__loader *ld, struct contract__draft *d,
                                    const struct yaml_node *node)
{
    struct slice name = node->key->text;
    struct slice path = contract__path(ld, SLICE("fields"), name);
    return contract__field_name_check(ld, d, node->key, path, name) ? name : SLICE_NULL;
}

static struct contract_field *field_add(struct contract__loader *ld, struct contract__draft *d,
                                        struct slice name, const struct yaml_node *node)
{
    struct contract *c = d->contract;
    struct contract_field *f = contract__calloc(ld, 1, sizeof(*f));
    if (!f)
        return NULL;
    f->name = name;
    f->description = SLICE("");
    f->index = c->fields_len;
    f->columns_len = 1;
    f->line = node ? node->key->line : 0;
    d->field_nodes[c->fields_len] = node;
    c->fields[c->fields_len++] = f;
    return f;
}

static void add_system_field(struct contract__loader *ld, struct contract__draft *d,
                             struct slice name, enum contract_type type, struct slice description)
{
    struct contract_field *f = field_add(ld, d, name, /* node= */ NULL);
    if (!f)
        return;
    f->type = type;
    f->description = description;
    f->system = f->readonly = true;
    f->immutable = type == CONTRACT_UUID || slice_eq(name, SLICE("created_at"));
    f->nullable = slice_eq(name, SLICE("deleted_at"));
    if (type == CONTRACT_INTEGER) {
        f->has_min = true;
        f->min_i64 = 1;
    }
}

static void read_field(struct contract__loader *ld, struct contract__draft *d,
                       const struct yaml_node *node)
{
    struct slice name = read_field_name(ld, d, node);
    struct contract_field *f = name.data ? field_add(ld, d, name, node) : NULL;
    if (!f)
        return;
    struct reader r = { .ld = ld,
                        .draft = d,
                        .map = node,
                        .path = contract__path(ld, SLICE("fields"), name),
                        .field = f,
                        .bounded = f };
    if (node->kind != YAML_MAP) {
        enum contract_type type;
        bool names_type = node->kind == YAML_SCALAR && contract__type_find(node->text, &type);
        FAIL(&r, node, NULL,
             names_type ? arena_printf(ld->arena, "Write { type: %.*s }.", SLICE_ARG(node->text))
                        : SLICE("As in { type: string }."),
             "a field is a map of its type and constraints");
        d->broken = true;
        return;
    }
    if (!find_type(&r, &f->type)) {
        d->broken = true;
        return;
    }
    if (f->type == CONTRACT_LIST)
        read_item(&r);
    if (f->type == CONTRACT_MONEY)
        f->columns_len = 2;
    check_keys(&r);
    read_keys(&r);
}

void contract__read_fields(struct contract__loader *ld, struct contract__draft *d)
{
    struct contract *c = d->contract;
    const struct yaml_node *fields = yaml_get(d->root, SLICE("fields"));
    c->fields = contract__calloc(ld, CONTRACT_FIELDS_MAX, sizeof(*c->fields));
    if (!c->fields)
        return;
    add_system_field(ld, d, SLICE("id"), CONTRACT_UUID, SLICE("The row's id (UUIDv7)."));
    if (!fields || fields->kind != YAML_MAP || fields->len == 0)
        contract__fail(ld, d, fields ? fields : d->root, SLICE("fields"), SLICE_NULL,
                       fields ? "must be a map of at least one field"
                              : "missing: the fields of the resource");
    const unsigned system_after = c->soft_delete ? 4 : 3;
    const struct yaml_node *node = fields && fields->kind == YAML_MAP ? fields->first : NULL;
    for (; node; node = node->next) {
        if (c->fields_len + system_after >= CONTRACT_FIELDS_MAX) {
            contract__fail(ld, d, node->key, SLICE("fields"), SLICE_NULL, "more than %u fields",
                           CONTRACT_FIELDS_MAX - system_after - 1);
            break;
        }
        read_field(ld, d, node);
    }
    add_system_field(ld, d, SLICE("created_at"), CONTRACT_TIME, SLICE("When the row was made."));
    add_system_field(ld, d, SLICE("updated_at"), CONTRACT_TIME,
                     SLICE("When the row was last changed."));
    add_system_field(ld, d, SLICE("version"), CONTRACT_INTEGER,
                     SLICE("How many times the row was written, from 1."));
    if (c->soft_delete)
        add_system_field(ld, d, SLICE("deleted_at"), CONTRACT_TIME,
                         SLICE("When the row was deleted, or null."));
}
