/*
 * One row: from the source's object to the contract's. References become a placeholder that passes
 * the validator; the id they stand for is looked up, and put in its place, where the row is
 * written.
 */
#include "cmd/import.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"

#define KEY_SEPARATOR                                                                              \
    '\x1f' /* between the parts of a composed key: no text of a key holds it by accident */
#define LIST_ITEMS_MAX 10000u

struct making {
    const struct import_entry *entry;
    struct import_row *row;
    struct arena *arena;
    const json_t *item;
    bool exhausted;
};

static void complain(struct making *m, const struct import_field *field, const char *code,
                     const char *detail)
{
    struct slice pointer = arena_printf(m->arena, "/%.*s", SLICE_ARG(field->field->name));
    problem_field_add(&m->row->problem, m->arena, pointer, code, "%s", detail);
}

/* -- building values
 * ---------------------------------------------------------------------------------------- */

static json_t *built(struct making *m, json_t *value)
{
    m->exhausted |= !value;
    return value ? value : json_null();
}

static json_t *text_value(struct making *m, struct slice text)
{
    return built(m, json_stringn_nocheck(text.data ? text.data : "", text.len));
}

/* A value of the source or the mapping takes a second place in a tree: all of them live in arenas,
 * so counts do not matter. */
static json_t *shared(const json_t *value)
{
    return (json_t *)(uintptr_t)value;
}

/* -- source fields
 * -------------------------------------------------------------------------------------------- */

static const json_t *find(struct making *m, const struct import_path *path)
{
    if (path->is_item)
        return m->item;
    if (path->is_line)
        return built(m, json_integer(m->row->line));
    const json_t *value = json_object_getn(m->row->source, path->name.data, path->name.len);
    if (value || path->len < 2)
        return value;
    value = m->row->source;
    for (unsigned i = 0; i < path->len && value; i++)
        value = json_object_getn(value, path->parts[i].data, path->parts[i].len);
    return value;
}

/* The text of a scalar: of keys, templates and maps. False for null, lists and objects. */
static bool text_of(struct making *m, const json_t *value, struct slice *ret)
{
    *ret = SLICE_NULL;
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        *ret = json_slice(value);
        return true;
    case JSON_INTEGER:
        *ret = arena_printf(m->arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL: {
        struct buf out;
        buf_init(&out, m->arena, 32, 64);
        buf_put_double(&out, json_real_value(value));
        *ret = buf_slice(&out);
        break;
    }
    case JSON_TRUE:
        *ret = SLICE("true");
        return true;
    case JSON_FALSE:
        *ret = SLICE("false");
        return true;
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        return false;
    }
    m->exhausted |= !ret->data;
    return true;
}

/* The key that the fields make together; empty when one of them has nothing. */
static struct slice key_of(struct making *m, const struct import_path *paths, unsigned len,
                           const char **ret_reason)
{
    struct slice parts[IMPORT_PATHS_MAX] = { 0 };
    size_t bytes = len - 1;
    for (unsigned i = 0; i < len; i++) {
        if (!text_of(m, find(m, &paths[i]), &parts[i]) || !parts[i].len) {
            *ret_reason = "The key is missing or empty.";
            return SLICE_NULL;
        }
        bytes += parts[i].len;
    }
    if (bytes > IMPORT_KEY_BYTES_MAX) {
        *ret_reason = "The key is longer than 512 bytes.";
        return SLICE_NULL;
    }
    if (len == 1)
        return parts[0];
    struct buf key;
    buf_init(&key, m->arena, bytes, IMPORT_KEY_BYTES_MAX);
    for (unsigned i = 0; i < len; i++) {
        if (i)
            buf_putc(&key, KEY_SEPARATOR);
        buf_put_slice(&key, parts[i]);
    }
    m->exhausted |= buf_status(&key) != STATUS_OK;
    return buf_slice(&key);
}

/* -- conversions
 * ------------------------------------------------------------------------------------------------
 */

/* A cell of CSV that holds JSON; as it is when it does not, for the validator to complain of. */
static json_t *read_cell(struct making *m, json_t *value)
{
    json_t *read = NULL;
    enum status st = json_read(m->arena, json_slice(value), JSON_LIMITS_DEFAULT, &read, NULL);
    m->exhausted |= st == STATUS_EXHAUSTED;
    return st == STATUS_OK ? read : value;
}

static bool is_two_digits(struct slice s, size_t at)
{
    return s.data[at] >= '0' && s.data[at] <= '9' && s.data[at + 1] >= '0' && s.data[at + 1] <= '9';
}

/* "2018-03-12", "2018-03-12 10:20:30[.123][zone]", "2018-03-12T10:20:30" -> RFC 3339; no zone means
 * UTC. */
static json_t *time_from_text(struct making *m, json_t *value)
{
    struct slice s = slice_trim(json_slice(value));
    int32_t days;
    int64_t us;
    if (s.len < CLOCK_DATE_LEN || clock_parse_rfc3339(s, &us) ||
        !clock_parse_date(slice_head(s, CLOCK_DATE_LEN), &days))
        return value;
    if (s.len == CLOCK_DATE_LEN)
        return text_value(m, arena_printf(m->arena, "%.*sT00:00:00.000Z", SLICE_ARG(s)));
    if (s.len < 19 || (s.data[10] != ' ' && s.data[10] != 'T') || !is_two_digits(s, 17))
        return value;
    size_t end = 19;
    while (end < s.len && (s.data[end] == '.' || (s.data[end] >= '0' && s.data[end] <= '9')))
        end++;
    struct slice zone = slice_trim(slice_from(s, end));
    if (!zone.len || slice_eq(zone, SLICE("UTC")) || slice_eq(zone, SLICE("GMT")))
        zone = SLICE("Z");
    bool hours_only = zone.len == 3 && (zone.data[0] == '+' || zone.data[0] == '-');
    return text_value(m, arena_printf(m->arena, "%.*sT%.*s%.*s%s", 10, s.data, (int)(end - 11),
                                      s.data + 11, SLICE_ARG(zone), hours_only ? ":00" : ""));
}

static json_t *time_from_number(struct making *m, const struct import_field *field, json_t *value)
{
    static const int64_t scales[] = { 0, CLOCK_SECOND, CLOCK_MS, 1 };
    /* 0000-01-01 and 9999-12-31: what RFC 3339 can say. */
    static const double first = -62167219200e6, last = 253402300799e6;
    double number = json_number_value(value) * (double)scales[field->unit];
    if (!(number >= first && number <= last))
        return value;
    int64_t us =
        json_is_integer(value) ? json_integer_value(value) * scales[field->unit] : (int64_t)number;
    char text[CLOCK_RFC3339_LEN];
    clock_format_rfc3339(us, text);
    return text_value(m, slice_of(text, sizeof(text)));
}

static json_t *to_time(struct making *m, const struct import_field *field, json_t *value)
{
    int64_t number;
    if (field->unit == IMPORT_UNIT_NONE)
        return json_is_string(value) ? time_from_text(m, value) : value;
    if (json_is_string(value) && slice_to_i64(slice_trim(json_slice(value)), &number))
        value = built(m, json_integer(number));
    return json_is_number(value) ? time_from_number(m, field, value) : value;
}

static json_t *to_date(struct making *m, json_t *value)
{
    int64_t us;
    if (!json_is_string(value) || json_string_length(value) == CLOCK_DATE_LEN)
        return value;
    json_t *time = time_from_text(m, value);
    if (!clock_parse_rfc3339(json_slice(time), &us))
        return value;
    char text[CLOCK_RFC3339_LEN];
    clock_format_rfc3339(us, text);
    return text_value(m, slice_of(text, CLOCK_DATE_LEN));
}

static json_t *to_number(struct making *m, json_t *value, bool integer)
{
    int64_t i64;
    double real;
    if (!json_is_string(value))
        return value;
    struct slice text = slice_trim(json_slice(value));
    if (slice_to_i64(text, &i64))
        return built(m, json_integer(i64));
    if (!integer && slice_to_double(text, &real))
        return built(m, json_real(real));
    return value;
}

static json_t *to_money(struct making *m, const struct import_field *field, json_t *value)
{
    if (!field->currency.len)
        return json_is_string(value) && m->entry->format == IMPORT_CSV ? read_cell(m, value)
                                                                       : value;
    value = to_number(m, value, true);
    if (!json_is_integer(value))
        return value;
    json_t *money = built(m, json_object());
    m->exhausted |=
        json_object_set_new_nocheck(money, "amount_minor", value) != 0 ||
        json_object_set_new_nocheck(money, "currency", text_value(m, field->currency)) != 0;
    return money;
}

/* What the source says, in the form the contract wants; what cannot be converted stays, and the
 * validator says why it is wrong. */
static json_t *convert_scalar(struct making *m, const struct import_field *field,
                              const struct contract_field *as, json_t *value)
{
    bool is_csv = m->entry->format == IMPORT_CSV;
    struct slice text;
    switch (as->type) {
    case CONTRACT_STRING:
    case CONTRACT_TEXT:
    case CONTRACT_EMAIL:
    case CONTRACT_URL:
    case CONTRACT_ENUM:
    case CONTRACT_UUID:
    case CONTRACT_REF:
        return json_is_number(value) && text_of(m, value, &text) ? text_value(m, text) : value;
    case CONTRACT_INTEGER:
        return to_number(m, value, true);
    case CONTRACT_NUMBER:
        return to_number(m, value, false);
    case CONTRACT_BOOLEAN:
        if (!json_is_string(value))
            return value;
        text = slice_trim(json_slice(value));
        return slice_eq_nocase(text, SLICE("true"))    ? json_true()
               : slice_eq_nocase(text, SLICE("false")) ? json_false()
                                                       : value;
    case CONTRACT_TIME:
        return to_time(m, field, value);
    case CONTRACT_DATE:
        return to_date(m, value);
    case CONTRACT_MONEY:
        return to_money(m, field, value);
    case CONTRACT_JSON:
    case CONTRACT_MEDIA:
        return is_csv && json_is_string(value) ? read_cell(m, value) : value;
    case CONTRACT_LIST:
    case CONTRACT_COUNT:
    case CONTRACT_TYPES:
        break;
    }
    return value;
}

static json_t *map_value(struct making *m, const struct import_field *field, json_t *value)
{
    struct slice text;
    if (text_of(m, value, &text))
        for (unsigned i = 0; i < field->map_len; i++)
            if (slice_eq(field->map[i].from, text))
                return field->map[i].to;
    if (field->otherwise)
        return field->otherwise;
    complain(m, field, "map", "The value is none of those that the mapping's `map` names.");
    return json_null();
}

static json_t *split_text(struct making *m, const struct import_field *field, json_t *value)
{
    json_t *list = built(m, json_array());
    struct slice rest = json_slice(value);
    for (unsigned n = 0; rest.len && n < LIST_ITEMS_MAX; n++) {
        size_t at = slice_find_slice(rest, field->split);
        struct slice part = slice_trim(slice_head(rest, at));
        if (part.len && json_array_append_new(list, text_value(m, part)) != 0)
            m->exhausted = true;
        rest = at == SIZE_MAX ? SLICE_NULL : slice_from(rest, at + field->split.len);
    }
    return list;
}

static json_t *convert_list(struct making *m, const struct import_field *field, json_t *value)
{
    if (json_is_string(value) && field->split.len)
        value = split_text(m, field, value);
    else if (json_is_string(value) && m->entry->format == IMPORT_CSV)
        value = read_cell(m, value);
    if (!json_is_array(value))
        return value;
    json_t *list = built(m, json_array());
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item)
    {
        item = field->map_len ? map_value(m, field, item)
                              : convert_scalar(m, field, field->field->of, item);
        if (json_array_append_new(list, item) != 0)
            m->exhausted = true;
    }
    return list;
}

static json_t *convert(struct making *m, const struct import_field *field, json_t *value)
{
    if (field->field->type == CONTRACT_LIST)
        return convert_list(m, field, value);
    if (field->map_len)
        return map_value(m, field, value);
    return convert_scalar(m, field, field->field, value);
}

/* -- one field
 * ---------------------------------------------------------------------------------------------------
 */

/* NULL when a source field that it needs has nothing. */
static json_t *fill_template(struct making *m, const struct import_field *field)
{
    struct buf out;
    buf_init(&out, m->arena, 128, IMPORT_LINE_BYTES_MAX);
    for (unsigned i = 0; i < field->pieces_len; i++) {
        struct slice text = field->pieces[i].text;
        if (field->pieces[i].is_path && !text_of(m, find(m, &field->pieces[i].path), &text))
            return NULL;
        buf_put_slice(&out, text);
    }
    if (buf_status(&out) != STATUS_OK) {
        complain(m, field, "too_long", "The filled template is too long.");
        return NULL;
    }
    return text_value(m, buf_slice(&out));
}

static json_t *trimmed(struct making *m, json_t *value)
{
    if (!json_is_string(value))
        return value;
    struct slice s = json_slice(value);
    static const char blanks[] = " \t\r\n";
    while (s.len && memchr(blanks, s.data[0], sizeof(blanks) - 1))
        s = slice_from(s, 1);
    while (s.len && memchr(blanks, s.data[s.len - 1], sizeof(blanks) - 1))
        s.len--;
    if (!s.len)
        return json_null();
    return s.len == json_string_length(value) ? value : text_value(m, s);
}

/* A reference by key: remember the key, put a placeholder. */
static json_t *take_ref(struct making *m, const struct import_field *field)
{
    bool any = false;
    for (unsigned i = 0; i < field->from_len; i++) {
        const json_t *part = find(m, &field->from[i]);
        any |= part && !json_is_null(part) && !(json_is_string(part) && !json_string_length(part));
    }
    if (!any && !field->fallback)
        return NULL;
    const char *reason = NULL;
    struct slice key = SLICE_NULL;
    if (any)
        key = key_of(m, field->from, field->from_len, &reason);
    else if (!text_of(m, field->fallback, &key))
        return NULL;
    if (reason || !key.len) {
        complain(m, field, "reference", reason ? reason : "The key is empty.");
        return NULL;
    }
    m->row->refs[field->ref_index] = key;
    return text_value(m, SLICE("00000000-0000-7000-8000-000000000000"));
}

/* The value for the contract's field, JSON null, or NULL for nothing at all. */
static json_t *value_of(struct making *m, const struct import_field *field)
{
    if (field->kind == IMPORT_CONSTANT)
        return field->constant;
    if (field->ref)
        return take_ref(m, field);
    json_t *value =
        field->kind == IMPORT_TEMPLATE ? fill_template(m, field) : shared(find(m, &field->from[0]));
    if (value && field->trim)
        value = trimmed(m, value);
    if (!value || json_is_null(value))
        return field->fallback ? field->fallback : value;
    return convert(m, field, value);
}

static json_t *make_object(struct making *m)
{
    json_t *object = built(m, json_object());
    for (unsigned i = 0; i < m->entry->fields_len && !m->exhausted; i++) {
        const struct import_field *field = &m->entry->fields[i];
        json_t *value = value_of(m, field);
        /* No value where there must be one is the default's case, or the validator's. */
        if (!value || (json_is_null(value) && !field->field->nullable))
            continue;
        struct slice name = field->field->name;
        m->exhausted |= json_object_setn_new_nocheck(object, name.data, name.len, value) != 0;
    }
    return object;
}

/* -- nothing silently lost
 * ------------------------------------------------------------------------------------------ */

static void check_names(struct making *m, const json_t *object, struct slice prefix, unsigned depth)
{
    json_t *o = shared(object);
    for (void *at = json_object_iter(o); at; at = json_object_iter_next(o, at)) {
        struct slice name = slice_of(json_object_iter_key(at), json_object_iter_key_len(at));
        if (prefix.len)
            name = arena_printf(m->arena, "%.*s.%.*s", SLICE_ARG(prefix), SLICE_ARG(name));
        if (import_entry_knows(m->entry, name))
            continue;
        const json_t *value = json_object_iter_value(at);
        if (json_is_object(value) && depth < IMPORT_PATH_DEPTH &&
            import_entry_knows_inside(m->entry, name)) {
            check_names(m, value, name, depth + 1);
            continue;
        }
        problem_field_add(&m->row->problem, m->arena,
                          arena_printf(m->arena, "/%.*s", SLICE_ARG(name)), "unmapped",
                          "The mapping neither uses nor ignores this field of the source.");
    }
}

static bool is_wanted(struct making *m)
{
    for (unsigned i = 0; i < m->entry->only_len; i++) {
        const struct import_filter *filter = &m->entry->only[i];
        struct slice text;
        bool found = false;
        if (text_of(m, find(m, &filter->path), &text))
            for (unsigned k = 0; k < filter->values_len && !found; k++)
                found = slice_eq(filter->values[k], text);
        if (!found)
            return false;
    }
    return true;
}

/* -- the row
 * --------------------------------------------------------------------------------------------------------
 */

/* An import knows when a row was made; unless told otherwise, nothing happened to it since. */
static void settle_times(struct contract_row *row)
{
    const struct contract_field *created = contract_field_find(row->contract, SLICE("created_at"));
    const struct contract_field *updated = contract_field_find(row->contract, SLICE("updated_at"));
    if (!created || !updated || !row->present[created->index] || row->present[updated->index])
        return;
    row->values[updated->column] = row->values[created->column];
    row->present[updated->index] = true;
}

static void make(struct making *m, int64_t now_us)
{
    struct import_row *row = m->row;
    if (!is_wanted(m)) {
        row->outcome = IMPORT_SKIPPED;
        return;
    }
    const char *reason = NULL;
    row->key = key_of(m, m->entry->key, m->entry->key_len, &reason);
    if (reason)
        problem_field_add(&row->problem, m->arena, SLICE(""), "key", "%s", reason);
    if (!m->entry->each.name.len && m->entry->format == IMPORT_NDJSON)
        check_names(m, row->source, SLICE_NULL, 1);
    const json_t *object = make_object(m);
    struct contract_input input = { .mode = CONTRACT_MODE_CREATE,
                                    .now_us = now_us,
                                    .trusted = true };
    if (m->exhausted)
        return;
    enum status st = contract_validate(m->entry->contract, object, &input, m->arena, &row->problem,
                                       &row->row, NULL);
    m->exhausted |= st == STATUS_EXHAUSTED;
    row->is_valid = st == STATUS_OK && row->problem.status == STATUS_OK;
    if (row->is_valid)
        settle_times(&row->row);
}

enum status import_row_make(const struct import_entry *entry, struct import_row *row,
                            int64_t now_us, struct arena *arena)
{
    struct making m = { .entry = entry, .row = row, .arena = arena };
    row->outcome = IMPORT_REFUSED;
    row->refs = arena_array_of(arena, struct slice, entry->refs_len + 1);
    if (!row->refs)
        return STATUS_EXHAUSTED;
    if (!json_is_object(row->source)) {
        problem_field_add(&row->problem, arena, SLICE(""), "type",
                          "The line is not a JSON object.");
        return STATUS_OK;
    }
    if (row->item >= 0)
        m.item = json_array_get(import_row_items(entry, row->source), (size_t)row->item);
    else if (entry->each.name.len) {
        problem_field_add(&row->problem, arena, SLICE(""), "type", "`%.*s` is not a list.",
                          SLICE_ARG(entry->each.name));
        return STATUS_OK;
    }
    struct arena *before = json_arena_set(arena);
    make(&m, now_us);
    (void)json_arena_set(before);
    return m.exhausted ? STATUS_EXHAUSTED : STATUS_OK;
}

const json_t *import_row_items(const struct import_entry *entry, const json_t *source)
{
    struct import_row row = { .source = source };
    struct making m = { .entry = entry, .row = &row };
    const json_t *items = find(&m, &entry->each);
    return json_is_null(items) ? NULL : items;
}

json_t *import_row_from_cells(const struct slice *names, unsigned names_len,
                              const struct import_record *record, struct arena *arena)
{
    struct arena *before = json_arena_set(arena);
    json_t *object = json_object();
    for (unsigned i = 0; i < names_len && object; i++) {
        bool none = i >= record->cells_len || (!record->cells[i].len && !record->quoted[i]);
        json_t *value =
            none ? json_null()
                 : json_stringn_nocheck(record->cells[i].len ? record->cells[i].data : "",
                                        record->cells[i].len);
        if (!value || json_object_setn_new_nocheck(object, names[i].data, names[i].len, value) != 0)
            object = NULL;
    }
    (void)json_arena_set(before);
    return object;
}
