/*
 * One function a type: is this JSON value what the field wants, and what does the store get. Every
 * complaint says what would be right, for somebody who sees the answer and not the contract.
 */
#include <stdarg.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/format.h"
#include "contract/pattern.h"
#include "contract/schema.h"
#include "contract/validate.h"

#define JSON_DEPTH_MAX 64u
#define ALT_CHARACTERS_MAX 2000u
#define PIXELS_MAX 100000

static void put_pointer_part(struct buf *out, struct slice part)
{
    /* A key that nobody asked for may be as long as the body. */
    struct slice s = slice_head(part, 200);
    while (s.len < part.len && s.len > 0 && ((unsigned char)part.data[s.len] & 0xc0) == 0x80)
        s.len--;
    buf_putc(out, '/');
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '~')
            buf_put_lit(out, "~0");
        else if (s.data[i] == '/')
            buf_put_lit(out, "~1");
        else
            buf_putc(out, s.data[i]);
    }
}

static struct slice pointer_of(struct contract__run *run)
{
    struct buf out;
    buf_init(&out, run->arena, run->prefix.len + run->name.len + 32, 4096);
    buf_put_slice(&out, run->prefix);
    if (run->name.data)
        put_pointer_part(&out, run->name);
    if (run->item >= 0)
        buf_printf(&out, "/%ld", run->item);
    if (run->member)
        put_pointer_part(&out, slice_cstr(run->member));
    return buf_slice(&out);
}

void contract__complain(struct contract__run *run, const char *code, const char *format, ...)
{
    run->failed = true;
    if (contract__is_enough(run)) {
        run->problem->fields_dropped = true;
        return;
    }
    va_list args;
    va_start(args, format);
    struct slice detail = arena_vprintf(run->arena, format, args);
    va_end(args);
    problem_field_add(run->problem, run->arena, pointer_of(run), code, "%.*s", SLICE_ARG(detail));
}

static bool out_of_memory(struct contract__run *run)
{
    run->exhausted = true;
    return false;
}

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    default:
        return "null";
    }
}

static bool wrong_type(struct contract__run *run, const json_t *value, const char *wanted)
{
    contract__complain(run, "type", "Must be %s, not %s.", wanted, kind_of(value));
    return false;
}

static bool is_text(struct contract__run *run, const json_t *value)
{
    if (LIKELY(json_is_string(value)))
        return true;
    return wrong_type(run, value, "text");
}

/* Length and characters of string and text. */
static bool check_characters(struct contract__run *run, const struct contract__step *step,
                             struct slice text, bool lines_allowed)
{
    struct contract__text_facts facts = contract__text_look(text);
    if (UNLIKELY(facts.zero)) {
        contract__complain(run, "null_byte", "Must not contain the character U+0000.");
        return false;
    }
    if (UNLIKELY(facts.control || (facts.lines && !lines_allowed))) {
        contract__complain(run, "control_character",
                           lines_allowed ? "Must not contain control characters."
                                         : "Must be one line without control characters.");
        return false;
    }
    int64_t length = (int64_t)facts.characters;
    if (UNLIKELY(length < step->min)) {
        contract__complain(run, "too_short", "Must have at least %lld characters; it has %lld.",
                           (long long)step->min, (long long)length);
        return false;
    }
    if (UNLIKELY(length > step->max)) {
        contract__complain(run, "too_long", "Must have at most %lld characters; it has %lld.",
                           (long long)step->max, (long long)length);
        return false;
    }
    return true;
}

static bool check_pattern(struct contract__run *run, const struct contract__step *step,
                          struct slice text)
{
    if (!step->pattern || contract_pattern_match(step->pattern, text))
        return true;
    contract__complain(run, "pattern", "Must match the pattern %.*s",
                       SLICE_ARG(step->field->pattern_text));
    return false;
}

static bool check_string(struct contract__run *run, const struct contract__step *step,
                         const json_t *value, struct store_value *ret)
{
    if (!is_text(run, value))
        return false;
    struct slice text = json_slice(value);
    if (!check_characters(run, step, text, /* lines_allowed= */ false) ||
        !check_pattern(run, step, text))
        return false;
    *ret = store_text(text);
    return true;
}

static bool check_text(struct contract__run *run, const struct contract__step *step,
                       const json_t *value, struct store_value *ret)
{
    if (!is_text(run, value))
        return false;
    struct slice text = json_slice(value);
    if (!check_characters(run, step, text, /* lines_allowed= */ true) ||
        !check_pattern(run, step, text))
        return false;
    *ret = store_text(text);
    return true;
}

static bool check_range(struct contract__run *run, const struct contract__step *step, int64_t v)
{
    if (UNLIKELY(v < step->min)) {
        contract__complain(run, "too_small", "Must be at least %lld.", (long long)step->min);
        return false;
    }
    if (UNLIKELY(v > step->max)) {
        contract__complain(run, "too_large", "Must be at most %lld.", (long long)step->max);
        return false;
    }
    return true;
}

static bool check_integer(struct contract__run *run, const struct contract__step *step,
                          const json_t *value, struct store_value *ret)
{
    if (json_is_real(value)) {
        contract__complain(run, "type", "Must be a whole number, written without a point.");
        return false;
    }
    if (!json_is_integer(value))
        return wrong_type(run, value, "a whole number");
    if (!check_range(run, step, json_integer_value(value)))
        return false;
    *ret = store_i64(json_integer_value(value));
    return true;
}

static bool check_number(struct contract__run *run, const struct contract__step *step,
                         const json_t *value, struct store_value *ret)
{
    const struct contract_field *field = step->field;
    if (!json_is_number(value))
        return wrong_type(run, value, "a number");
    double v = json_number_value(value);
    if (json_is_integer(value) && (json_integer_value(value) > ((int64_t)1 << 53) ||
                                   json_integer_value(value) < -((int64_t)1 << 53))) {
        contract__complain(run, json_integer_value(value) > 0 ? "too_large" : "too_small",
                           "A whole number of this size would lose digits.");
        return false;
    }
    if (field->has_min && v < field->min_double) {
        contract__complain(run, "too_small", "Must be at least %g.", field->min_double);
        return false;
    }
    if (field->has_max && v > field->max_double) {
        contract__complain(run, "too_large", "Must be at most %g.", field->max_double);
        return false;
    }
    /* SQLite keeps no sign of zero: what is answered is what will be read. */
    *ret = store_double(v + 0.0);
    return true;
}

static bool check_boolean(struct contract__run *run, const struct contract__step *step,
                          const json_t *value, struct store_value *ret)
{
    (void)step;
    if (!json_is_boolean(value))
        return wrong_type(run, value, "true or false");
    *ret = store_i64(json_is_true(value));
    return true;
}

static bool check_time(struct contract__run *run, const struct contract__step *step,
                       const json_t *value, struct store_value *ret)
{
    int64_t us;
    if (!is_text(run, value))
        return false;
    if (!clock_parse_rfc3339(json_slice(value), &us)) {
        contract__complain(run, "format", "Must be a time as in 2026-01-02T03:04:05Z (RFC 3339).");
        return false;
    }
    /* Whole milliseconds, downwards also before 1970. */
    int64_t rest = us % CLOCK_MS;
    us -= rest < 0 ? rest + CLOCK_MS : rest;
    char bound[CLOCK_RFC3339_LEN];
    if (us < step->min || us > step->max) {
        clock_format_rfc3339(us < step->min ? step->min : step->max, bound);
        contract__complain(run, us < step->min ? "too_small" : "too_large", "Must be %s %.*s.",
                           us < step->min ? "no earlier than" : "no later than", CLOCK_RFC3339_LEN,
                           bound);
        return false;
    }
    *ret = store_i64(us);
    return true;
}

static bool check_date(struct contract__run *run, const struct contract__step *step,
                       const json_t *value, struct store_value *ret)
{
    int32_t days;
    if (!is_text(run, value))
        return false;
    if (!clock_parse_date(json_slice(value), &days)) {
        contract__complain(run, "format", "Must be a date of the calendar, as in 2026-01-02.");
        return false;
    }
    char bound[CLOCK_DATE_LEN];
    if (days < step->min || days > step->max) {
        clock_format_date((int32_t)(days < step->min ? step->min : step->max), bound);
        contract__complain(run, days < step->min ? "too_small" : "too_large", "Must be %s %.*s.",
                           days < step->min ? "no earlier than" : "no later than", CLOCK_DATE_LEN,
                           bound);
        return false;
    }
    *ret = store_text(json_slice(value));
    return true;
}

static bool check_uuid(struct contract__run *run, const struct contract__step *step,
                       const json_t *value, struct store_value *ret)
{
    (void)step;
    if (!is_text(run, value))
        return false;
    struct uuid *id = arena_new_of(run->arena, struct uuid);
    if (!id)
        return out_of_memory(run);
    if (!uuid_parse(json_slice(value), id)) {
        contract__complain(run, "format",
                           "Must be an id as in 01890a5d-ac96-774b-bcce-b302099a8057.");
        return false;
    }
    *ret = store_blob(slice_of((const char *)id->bytes, sizeof(id->bytes)));
    return true;
}

static bool check_email(struct contract__run *run, const struct contract__step *step,
                        const json_t *value, struct store_value *ret)
{
    if (!is_text(run, value))
        return false;
    struct slice text = json_slice(value);
    size_t domain;
    if (!contract__email_is_valid(text, &domain)) {
        contract__complain(run, "format", "Must be an email address as in name@example.org.");
        return false;
    }
    if (!check_characters(run, step, text, /* lines_allowed= */ false))
        return false;
    size_t i = domain;
    while (i < text.len && !(text.data[i] >= 'A' && text.data[i] <= 'Z'))
        i++;
    if (i < text.len) {
        char *copy = arena_alloc(run->arena, text.len);
        if (!copy)
            return out_of_memory(run);
        memcpy(copy, text.data, text.len);
        for (; i < text.len; i++) {
            if (copy[i] >= 'A' && copy[i] <= 'Z')
                copy[i] = (char)(copy[i] + ('a' - 'A'));
        }
        text.data = copy;
    }
    if (!check_pattern(run, step, text))
        return false;
    *ret = store_text(text);
    return true;
}

static bool check_url(struct contract__run *run, const struct contract__step *step,
                      const json_t *value, struct store_value *ret)
{
    const struct contract_field *field = step->field;
    if (!is_text(run, value))
        return false;
    struct slice text = json_slice(value);
    if (text.len > CONTRACT__URL_BYTES_MAX) {
        contract__complain(run, "too_long", "Must have at most %u characters.",
                           CONTRACT__URL_BYTES_MAX);
        return false;
    }
    if (!contract__url_is_valid(text, field->values, field->values_len)) {
        contract__complain(run, "format", "Must be an address as in %.*s://example.org/path.",
                           SLICE_ARG(field->values_len ? field->values[0] : SLICE("https")));
        return false;
    }
    if (!check_characters(run, step, text, /* lines_allowed= */ false) ||
        !check_pattern(run, step, text))
        return false;
    *ret = store_text(text);
    return true;
}

static bool has_zero(const json_t *value, unsigned depth)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return memchr(json_string_value(value), 0, json_string_length(value)) != NULL;
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(value) && depth > 0; i++) {
            if (has_zero(json_array_get(value, i), depth - 1))
                return true;
        }
        return depth == 0;
    case JSON_OBJECT:
        break;
    default:
        return false;
    }
    json_t *object =
        (json_t *)(uintptr_t)value; /* jansson's iterators are not const; nothing is changed */
    for (void *at = json_object_iter(object); at && depth > 0;
         at = json_object_iter_next(object, at)) {
        if (has_zero(json_object_iter_value(at), depth - 1))
            return true;
    }
    return depth == 0;
}

static bool check_json(struct contract__run *run, const struct contract__step *step,
                       const json_t *value, struct store_value *ret)
{
    if (has_zero(value, JSON_DEPTH_MAX)) {
        contract__complain(run, "null_byte", "Must not contain the character U+0000.");
        return false;
    }
    struct buf out;
    buf_init(&out, run->arena, 256, (size_t)step->max);
    json_put_value(&out, value);
    if (buf_status(&out) == STATUS_TOO_LARGE) {
        contract__complain(run, "too_long", "Must have at most %lld bytes when written compactly.",
                           (long long)step->max);
        return false;
    }
    if (buf_status(&out) != STATUS_OK)
        return out_of_memory(run);
    if (step->field->schema && !json_schema_validate(step->field->schema, value, run->arena,
                                                     pointer_of(run), run->problem)) {
        run->failed = true;
        return false;
    }
    *ret = store_text(buf_slice(&out));
    return true;
}

/* Whether the text of item `i` occurred before; `slots` holds indexes + 1 by hash. */
static bool is_double(const struct slice *items, size_t i, uint16_t *slots, size_t mask)
{
    size_t at = (size_t)hash64(items[i], 0) & mask;
    while (slots[at]) {
        if (slice_eq(items[slots[at] - 1], items[i]))
            return true;
        at = (at + 1) & mask;
    }
    slots[at] = (uint16_t)(i + 1);
    return false;
}

static bool check_doubles(struct contract__run *run, const struct slice *items, size_t len)
{
    size_t size = 16;
    while (size < len * 2)
        size *= 2;
    uint16_t *slots = arena_array_of(run->arena, uint16_t, size);
    if (!slots)
        return out_of_memory(run);
    bool good = true;
    for (size_t i = 0; i < len; i++) {
        if (!is_double(items, i, slots, size - 1))
            continue;
        run->item = (long)i;
        contract__complain(run, "not_unique", "Stands in the list more than once.");
        good = false;
    }
    run->item = -1;
    return good;
}

static bool check_items(struct contract__run *run, const struct contract__step *step,
                        const json_t *value, struct slice *texts, struct buf *out)
{
    bool good = true;
    size_t len = json_array_size(value);
    buf_putc(out, '[');
    for (size_t i = 0; i < len; i++) {
        const json_t *item = json_array_get(value, i);
        struct store_value v[2] = { 0 };
        run->item = (long)i;
        if (json_is_null(item)) {
            contract__complain(run, "not_null", "An item cannot be null.");
            good = false;
        } else if (step->item->check(run, step->item, item, v)) {
            if (i > 0)
                buf_putc(out, ',');
            size_t start = out->len;
            contract_value_write(step->item->field, v, out);
            texts[i] = slice_of(NULL, start); /* where it begins: the buffer may still move */
        } else {
            good = false;
        }
        run->item = -1;
        if (run->exhausted)
            return false;
    }
    buf_putc(out, ']');
    return good;
}

static bool check_list(struct contract__run *run, const struct contract__step *step,
                       const json_t *value, struct store_value *ret)
{
    const struct contract_field *field = step->field;
    if (!json_is_array(value))
        return wrong_type(run, value, "a list");
    size_t len = json_array_size(value);
    if (len < field->min_items) {
        contract__complain(run, "items_too_few", "Must have at least %u items; it has %zu.",
                           field->min_items, len);
        return false;
    }
    if (len > field->max_items) {
        contract__complain(run, "items_too_many", "Must have at most %u items; it has %zu.",
                           field->max_items, len);
        return false;
    }
    struct buf out;
    buf_init(&out, run->arena, 16 + len * 16, (size_t)1 << 22);
    struct slice *texts = arena_array_of(run->arena, struct slice, len + 1);
    if (!texts)
        return out_of_memory(run);
    if (!check_items(run, step, value, texts, &out))
        return false;
    if (buf_status(&out) != STATUS_OK)
        return out_of_memory(run);
    texts[len].len = out.len;
    for (size_t i = 0; i < len; i++) {
        size_t start = texts[i].len; /* up to the comma or bracket before the next */
        texts[i] = slice_of(out.data + start, texts[i + 1].len - start - 1);
    }
    if (field->unique_items && !check_doubles(run, texts, len))
        return false;
    *ret = store_text(buf_slice(&out));
    return true;
}

static bool check_enum(struct contract__run *run, const struct contract__step *step,
                       const json_t *value, struct store_value *ret)
{
    const struct contract_field *field = step->field;
    if (!is_text(run, value))
        return false;
    struct slice text = json_slice(value);
    for (unsigned i = 0; i < field->values_len; i++) {
        if (slice_eq(text, field->values[i])) {
            *ret = store_text(field->values[i]);
            return true;
        }
    }
    struct buf list;
    buf_init(&list, run->arena, 128, 400);
    for (unsigned i = 0; i < field->values_len; i++) {
        if (list.len > 300) {
            buf_put_lit(&list, ", ...");
            break;
        }
        buf_put_cstr(&list, i ? ", " : "");
        buf_put_slice(&list, field->values[i]);
    }
    contract__complain(run, "enum", "Must be one of: %.*s.", SLICE_ARG(buf_slice(&list)));
    return false;
}

/* The named members of a money or media object: nothing else may be there. */
static bool check_members(struct contract__run *run, const json_t *value, const char *const *names,
                          size_t names_len)
{
    bool good = true;
    json_t *object = (json_t *)(uintptr_t)value;
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        size_t i = 0;
        while (i < names_len && strcmp(key, names[i]) != 0)
            i++;
        if (i < names_len)
            continue;
        run->member = key;
        contract__complain(run, "unknown_field", "There is no such member.");
        good = false;
    }
    run->member = NULL;
    return good;
}

/* A member of the object being checked, reported when it is required and missing. */
static const json_t *get_member(struct contract__run *run, const json_t *object, const char *name,
                                bool required)
{
    run->member = name;
    const json_t *value = json_object_get(object, name);
    if (required && (!value || json_is_null(value))) {
        contract__complain(run, "required", "Must be given.");
        return NULL;
    }
    return json_is_null(value) ? NULL : value;
}

static bool check_currency(struct contract__run *run, const struct contract_field *field,
                           const json_t *value, struct store_value *ret)
{
    if (!is_text(run, value))
        return false;
    struct slice code = json_slice(value);
    bool known = contract__currency_find(code, /* ret_exponent= */ NULL);
    unsigned i = 0;
    while (i < field->values_len && !slice_eq(field->values[i], code))
        i++;
    if (!known || (field->values_len && i == field->values_len)) {
        contract__complain(run, "currency",
                           known ? "This currency is not taken here."
                                 : "Must be the ISO 4217 code of a currency, as in EUR.");
        return false;
    }
    *ret = store_text(code);
    return true;
}

static bool check_money(struct contract__run *run, const struct contract__step *step,
                        const json_t *value, struct store_value *ret)
{
    static const char *const names[] = { "amount_minor", "currency" };
    if (!json_is_object(value))
        return wrong_type(run, value, "an object of amount_minor and currency");
    bool good = check_members(run, value, names, ARRAY_LEN(names));
    struct store_value both[2];
    const json_t *amount = get_member(run, value, names[0], /* required= */ true);
    good &= amount && check_integer(run, step, amount, &both[0]);
    const json_t *currency = get_member(run, value, names[1], /* required= */ true);
    good &= currency && check_currency(run, step->field, currency, &both[1]);
    run->member = NULL;
    if (!good)
        return false;
    memcpy(ret, both, sizeof(both));
    return true;
}

static bool check_media_type(struct contract__run *run, const struct contract_field *field,
                             const json_t *value)
{
    if (!is_text(run, value))
        return false;
    struct slice type = json_slice(value);
    unsigned i = 0;
    while (i < field->values_len && !contract__media_type_matches(type, field->values[i]))
        i++;
    if (!contract__media_type_is_valid(type)) {
        contract__complain(run, "format", "Must be a media type as in image/png.");
        return false;
    }
    if (field->values_len && i == field->values_len) {
        contract__complain(run, "enum", "This type of media is not taken here.");
        return false;
    }
    return true;
}

static bool check_media_size(struct contract__run *run, const json_t *object, const char *name,
                             int64_t max, struct json_out *out)
{
    const json_t *value = get_member(run, object, name, /* required= */ false);
    if (!value)
        return true;
    struct contract__step whole = { .min = 0, .max = max };
    struct store_value v;
    if (!check_integer(run, &whole, value, &v))
        return false;
    json_out_ki(out, name, v.as.i64);
    return true;
}

static bool check_media_alt(struct contract__run *run, const json_t *object, struct json_out *out)
{
    const json_t *value = get_member(run, object, "alt", /* required= */ false);
    if (!value)
        return true;
    struct contract__step text = { .min = 0, .max = ALT_CHARACTERS_MAX };
    if (!is_text(run, value) || !check_characters(run, &text, json_slice(value), true))
        return false;
    json_out_key(out, SLICE("alt"));
    json_out_string(out, json_slice(value));
    return true;
}

static bool check_media(struct contract__run *run, const struct contract__step *step,
                        const json_t *value, struct store_value *ret)
{
    static const char *const names[] = { "url", "type", "bytes", "width", "height", "alt" };
    const struct contract_field *field = step->field;
    if (!json_is_object(value))
        return wrong_type(run, value, "an object of url and type");
    struct buf text;
    buf_init(&text, run->arena, 256, (size_t)1 << 16);
    struct json_out out = json_out(&text);
    json_out_object(&out);
    bool good = check_members(run, value, names, ARRAY_LEN(names));

    const json_t *url = get_member(run, value, "url", /* required= */ true);
    const struct contract_field any_web = { .type = CONTRACT_URL };
    const struct contract__step address = { .field = &any_web, .min = 0, .max = INT64_MAX };
    struct store_value v;
    if (url && check_url(run, &address, url, &v)) {
        json_out_key(&out, SLICE("url"));
        json_out_string(&out, v.as.bytes);
    } else {
        good = false;
    }
    const json_t *type = get_member(run, value, "type", /* required= */ true);
    if (type && check_media_type(run, field, type)) {
        json_out_key(&out, SLICE("type"));
        json_out_string(&out, json_slice(type));
    } else {
        good = false;
    }
    good &= check_media_size(run, value, "bytes", step->max, &out);
    good &= check_media_size(run, value, "width", PIXELS_MAX, &out);
    good &= check_media_size(run, value, "height", PIXELS_MAX, &out);
    good &= check_media_alt(run, value, &out);
    run->member = NULL;
    json_out_end(&out);
    if (buf_status(&text) != STATUS_OK)
        return out_of_memory(run);
    if (good)
        *ret = store_text(buf_slice(&text));
    return good;
}

static const contract__check_fn checks[CONTRACT_TYPES] = {
    [CONTRACT_STRING] = check_string,   [CONTRACT_TEXT] = check_text,
    [CONTRACT_INTEGER] = check_integer, [CONTRACT_NUMBER] = check_number,
    [CONTRACT_BOOLEAN] = check_boolean, [CONTRACT_TIME] = check_time,
    [CONTRACT_DATE] = check_date,       [CONTRACT_UUID] = check_uuid,
    [CONTRACT_EMAIL] = check_email,     [CONTRACT_URL] = check_url,
    [CONTRACT_JSON] = check_json,       [CONTRACT_LIST] = check_list,
    [CONTRACT_ENUM] = check_enum,       [CONTRACT_REF] = check_uuid,
    [CONTRACT_MONEY] = check_money,     [CONTRACT_MEDIA] = check_media,
    [CONTRACT_COUNT] = check_integer,
};

contract__check_fn contract__check_of(enum contract_type type)
{
    return checks[type];
}
