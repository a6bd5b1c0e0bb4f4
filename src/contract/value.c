/* Values of fields as text: out of query parameters and CSV cells, into JSON. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/format.h"
#include "contract/validate.h"

static const char *const type_names[CONTRACT_TYPES] = {
    [CONTRACT_STRING] = "string", [CONTRACT_TEXT] = "text",       [CONTRACT_INTEGER] = "integer",
    [CONTRACT_NUMBER] = "number", [CONTRACT_BOOLEAN] = "boolean", [CONTRACT_TIME] = "time",
    [CONTRACT_DATE] = "date",     [CONTRACT_UUID] = "uuid",       [CONTRACT_EMAIL] = "email",
    [CONTRACT_URL] = "url",       [CONTRACT_JSON] = "json",       [CONTRACT_LIST] = "list",
    [CONTRACT_ENUM] = "enum",     [CONTRACT_REF] = "ref",         [CONTRACT_MONEY] = "money",
    [CONTRACT_MEDIA] = "media",   [CONTRACT_COUNT] = "count",
};

const char *contract_type_name(enum contract_type type)
{
    return type < CONTRACT_TYPES ? type_names[type] : "unknown";
}

static enum status refuse(const char *reason, const char **ret_reason)
{
    *ret_reason = reason;
    return STATUS_INVALID;
}

static enum status parse_id(struct slice text, struct arena *arena, struct store_value *ret_value,
                            const char **ret_reason)
{
    struct uuid id;
    struct slice copy;
    if (!uuid_parse(text, &id))
        return refuse("must be an id as in 01890a5d-ac96-774b-bcce-b302099a8057", ret_reason);
    if (arena_copy(arena, slice_of((const char *)id.bytes, sizeof(id.bytes)), &copy) != STATUS_OK)
        return STATUS_EXHAUSTED;
    *ret_value = store_blob(copy);
    return STATUS_OK;
}

static enum status parse_email(struct slice text, struct arena *arena,
                               struct store_value *ret_value, const char **ret_reason)
{
    size_t domain;
    if (!contract__email_is_valid(text, &domain))
        return refuse("must be an email address as in name@example.org", ret_reason);
    char *copy = arena_alloc(arena, text.len);
    if (!copy)
        return STATUS_EXHAUSTED;
    memcpy(copy, text.data, text.len);
    for (size_t i = domain; i < text.len; i++) {
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] + ('a' - 'A'));
    }
    *ret_value = store_text(slice_of(copy, text.len));
    return STATUS_OK;
}

static enum status parse_time(struct slice text, struct store_value *ret_value,
                              const char **ret_reason)
{
    int64_t us;
    if (!clock_parse_rfc3339(text, &us))
        return refuse("must be a time as in 2026-01-02T03:04:05Z (RFC 3339)", ret_reason);
    int64_t rest = us % CLOCK_MS;
    *ret_value = store_i64(us - (rest < 0 ? rest + CLOCK_MS : rest));
    return STATUS_OK;
}

static enum status parse_enum(const struct contract_field *field, struct slice text,
                              struct store_value *ret_value, const char **ret_reason)
{
    for (unsigned i = 0; i < field->values_len; i++) {
        if (slice_eq(field->values[i], text)) {
            *ret_value = store_text(field->values[i]);
            return STATUS_OK;
        }
    }
    return refuse("must be one of the values that the field lists", ret_reason);
}

enum status contract_value_parse(const struct contract_field *field, struct slice text,
                                 struct arena *arena, struct store_value *ret_value,
                                 const char **ret_reason)
{
    int64_t i64;
    int32_t days;
    double real;
    if (!utf8_is_valid(text) || slice_find(text, '\0') != SIZE_MAX)
        return refuse("must be text in UTF-8 without U+0000", ret_reason);
    switch (field->type) {
    case CONTRACT_STRING:
    case CONTRACT_TEXT:
        *ret_value = store_text(text);
        return STATUS_OK;
    case CONTRACT_INTEGER:
    case CONTRACT_COUNT:
        if (!slice_to_i64(text, &i64))
            return refuse("must be a whole number", ret_reason);
        *ret_value = store_i64(i64);
        return STATUS_OK;
    case CONTRACT_NUMBER:
        if (!slice_to_double(text, &real))
            return refuse("must be a number", ret_reason);
        *ret_value = store_double(real);
        return STATUS_OK;
    case CONTRACT_BOOLEAN:
        if (!slice_eq(text, SLICE("true")) && !slice_eq(text, SLICE("false")))
            return refuse("must be true or false", ret_reason);
        *ret_value = store_i64(text.len == 4);
        return STATUS_OK;
    case CONTRACT_TIME:
        return parse_time(text, ret_value, ret_reason);
    case CONTRACT_DATE:
        if (!clock_parse_date(text, &days))
            return refuse("must be a date of the calendar, as in 2026-01-02", ret_reason);
        *ret_value = store_text(text);
        return STATUS_OK;
    case CONTRACT_UUID:
    case CONTRACT_REF:
        return parse_id(text, arena, ret_value, ret_reason);
    case CONTRACT_EMAIL:
        return parse_email(text, arena, ret_value, ret_reason);
    case CONTRACT_URL:
        if (!contract__url_is_valid(text, field->values, field->values_len))
            return refuse("must be an address as in https://example.org/path", ret_reason);
        *ret_value = store_text(text);
        return STATUS_OK;
    case CONTRACT_ENUM:
        return parse_enum(field, text, ret_value, ret_reason);
    default:
        return refuse("has no form as one piece of text", ret_reason);
    }
}

static void write_id(const struct store_value *value, struct buf *out)
{
    char text[UUID_TEXT_LEN + 2];
    struct uuid id = { 0 };
    memcpy(id.bytes, value->as.bytes.data, MIN(value->as.bytes.len, sizeof(id.bytes)));
    text[0] = text[UUID_TEXT_LEN + 1] = '"';
    uuid_format(&id, text + 1);
    buf_put(out, text, sizeof(text));
}

static void write_time(int64_t us, struct buf *out)
{
    char text[CLOCK_RFC3339_LEN + 2];
    text[0] = text[CLOCK_RFC3339_LEN + 1] = '"';
    clock_format_rfc3339(us, text + 1);
    buf_put(out, text, sizeof(text));
}

static void write_money(const struct store_value *values, struct buf *out)
{
    buf_put_lit(out, "{\"amount_minor\":");
    buf_put_i64(out, values[0].as.i64);
    buf_put_lit(out, ",\"currency\":");
    json_put_string(out, values[1].kind == STORE_TEXT ? values[1].as.bytes : SLICE(""));
    buf_putc(out, '}');
}

void contract_value_write(const struct contract_field *field, const struct store_value *values,
                          struct buf *out)
{
    if (values[0].kind == STORE_NULL) {
        buf_put_lit(out, "null");
        return;
    }
    switch (field->type) {
    case CONTRACT_INTEGER:
    case CONTRACT_COUNT:
        buf_put_i64(out, values[0].as.i64);
        return;
    case CONTRACT_NUMBER:
        if (values[0].kind == STORE_I64)
            buf_put_i64(out, values[0].as.i64);
        else
            buf_put_double(out, values[0].as.real);
        return;
    case CONTRACT_BOOLEAN:
        if (values[0].as.i64)
            buf_put_lit(out, "true");
        else
            buf_put_lit(out, "false");
        return;
    case CONTRACT_TIME:
        write_time(values[0].as.i64, out);
        return;
    case CONTRACT_UUID:
    case CONTRACT_REF:
        write_id(&values[0], out);
        return;
    case CONTRACT_JSON:
    case CONTRACT_LIST:
    case CONTRACT_MEDIA:
        buf_put_slice(out, values[0].as.bytes);
        return;
    case CONTRACT_MONEY:
        write_money(values, out);
        return;
    default:
        json_put_string(out, values[0].as.bytes);
        return;
    }
}
