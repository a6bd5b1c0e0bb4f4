/*
 * What SQL can say of a contract's constraints, as named CHECKs and DEFAULTs. A CHECK passes when
 * it is NULL, so few of them need to speak of null.
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/expr_private.h"
#include "contract/sql_private.h"

void sql__name(struct buf *out, struct slice name)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '"')
            buf_putc(out, '"');
        buf_putc(out, name.data[i]);
    }
    buf_putc(out, '"');
}

void sql__text(struct buf *out, struct slice text)
{
    expr__emit_literal(out, (struct expr_value){ .kind = EXPR_VALUE_TEXT, .as.bytes = text });
}

void sql__column(struct buf *out, const char *prefix, struct slice column)
{
    buf_put_cstr(out, prefix);
    sql__name(out, column);
}

struct checks {
    struct buf *out;
    const struct contract *contract;
    const struct contract_field *field;
    struct slice column;
};

/* CONSTRAINT "posts_title_min" CHECK ( */
static void check_open(const struct checks *k, const char *kind)
{
    buf_printf(k->out, " CONSTRAINT \"%.*s_%.*s_%s\" CHECK (", SLICE_ARG(k->contract->name),
               SLICE_ARG(k->field->name), kind);
}

static void put_column(const struct checks *k)
{
    sql__name(k->out, k->column);
}

/* head "column" tail */
static void check(const struct checks *k, const char *kind, const char *head, const char *tail)
{
    check_open(k, kind);
    buf_put_cstr(k->out, head);
    put_column(k);
    buf_put_cstr(k->out, tail);
    buf_putc(k->out, ')');
}

static void check_i64(const struct checks *k, const char *kind, const char *head, const char *tail,
                      int64_t bound)
{
    check_open(k, kind);
    buf_put_cstr(k->out, head);
    put_column(k);
    buf_put_cstr(k->out, tail);
    buf_put_i64(k->out, bound);
    buf_putc(k->out, ')');
}

static void check_double(const struct checks *k, const char *kind, const char *tail, double bound)
{
    check_open(k, kind);
    put_column(k);
    buf_put_cstr(k->out, tail);
    expr__emit_literal(k->out, (struct expr_value){ .kind = EXPR_VALUE_DOUBLE, .as.real = bound });
    buf_putc(k->out, ')');
}

static void check_day(const struct checks *k, const char *kind, const char *tail, int64_t days)
{
    char text[CLOCK_DATE_LEN];
    clock_format_date((int32_t)days, text);
    check_open(k, kind);
    put_column(k);
    buf_printf(k->out, "%s'%.*s')", tail, CLOCK_DATE_LEN, text);
}

/* Not "IN (...)": from three values on SQLite builds a table of them, for each statement anew,
 * which was a quarter of what a create costs the writer. Nor a chain of OR, whose depth is limited.
 */
static void check_values(const struct checks *k, const char *kind)
{
    check_open(k, kind);
    buf_put_lit(k->out, "CASE ");
    put_column(k);
    for (unsigned i = 0; i < k->field->values_len; i++) {
        buf_put_lit(k->out, " WHEN ");
        sql__text(k->out, k->field->values[i]);
        buf_put_lit(k->out, " THEN TRUE");
    }
    buf_put_lit(k->out, " ELSE ");
    put_column(k);
    buf_put_lit(k->out, " IS NULL END)");
}

static void check_range(const struct checks *k)
{
    if (k->field->has_min)
        check_i64(k, "min", "", " >= ", k->field->min_i64);
    if (k->field->has_max)
        check_i64(k, "max", "", " <= ", k->field->max_i64);
}

/* SQLite knows a text's bytes but counts its characters one by one: they are only asked for where
 * the bytes leave it open. */
static void check_length(const struct checks *k, const char *kind, const char *op, int64_t bytes,
                         int64_t characters)
{
    check_open(k, kind);
    buf_put_lit(k->out, "length(CAST(");
    put_column(k);
    buf_printf(k->out, " AS BLOB)) %s ", op);
    buf_put_i64(k->out, bytes);
    buf_put_lit(k->out, " OR length(");
    put_column(k);
    buf_printf(k->out, ") %s ", op);
    buf_put_i64(k->out, characters);
    buf_putc(k->out, ')');
}

#define CHARACTER_BYTES_MAX 4

static void check_text(const struct checks *k)
{
    const struct contract_field *f = k->field;
    if (f->has_min && f->min_i64 == 1)
        check(k, "min", "", " <> ''");
    else if (f->has_min)
        check_length(k, "min", ">=", f->min_i64 * CHARACTER_BYTES_MAX, f->min_i64);
    if (f->has_max)
        check_length(k, "max", "<=", f->max_i64, f->max_i64);
}

/* json_valid of null is false in some versions of SQLite, so here null is spoken of. */
static void valid_open(const struct checks *k, const char *kind)
{
    check_open(k, kind);
    put_column(k);
    buf_put_lit(k->out, " IS NULL OR (json_valid(");
    put_column(k);
    buf_putc(k->out, ')');
}

static void check_json(const struct checks *k, const char *kind, const char *json_type)
{
    valid_open(k, kind);
    if (json_type) {
        buf_put_lit(k->out, " AND json_type(");
        put_column(k);
        buf_printf(k->out, ") = '%s'", json_type);
    }
    buf_put_lit(k->out, "))");
    if (k->field->bytes_max > 0)
        check_i64(k, "bytes", "length(CAST(", " AS BLOB)) <= ", k->field->bytes_max);
}

/* One CHECK, so that json_array_length never sees what is not JSON. */
static void check_list(const struct checks *k)
{
    valid_open(k, "list");
    buf_put_lit(k->out, " AND json_type(");
    put_column(k);
    buf_put_lit(k->out, ") = 'array' AND json_array_length(");
    put_column(k);
    buf_printf(k->out, ") BETWEEN %u AND %u))", k->field->min_items, k->field->max_items);
}

/* Stands at the currency: the amount comes before it. */
static void check_money(const struct checks *k)
{
    const struct contract_column *amount = &k->contract->columns[k->field->column];
    if (k->field->values_len)
        check_values(k, "currency");
    else
        check(k, "currency", "length(", ") = 3");
    check_open(k, "both");
    buf_put_lit(k->out, "(");
    sql__name(k->out, amount->name);
    buf_put_lit(k->out, " IS NULL) = (");
    put_column(k);
    buf_put_lit(k->out, " IS NULL))");
}

static void check_number(const struct checks *k)
{
    if (k->field->has_min)
        check_double(k, "min", " >= ", k->field->min_double);
    if (k->field->has_max)
        check_double(k, "max", " <= ", k->field->max_double);
}

/* Only with a modifier does date() notice that a month has no 31st. */
static void check_date(const struct checks *k)
{
    check_open(k, "date");
    put_column(k);
    buf_put_lit(k->out, " = date(");
    put_column(k);
    buf_put_lit(k->out, ", '+0 days'))");
    if (k->field->has_min)
        check_day(k, "min", " >= ", k->field->min_i64);
    if (k->field->has_max)
        check_day(k, "max", " <= ", k->field->max_i64);
}

void sql__checks(struct buf *out, const struct contract *c, const struct contract_column *col)
{
    const struct contract_field *f = col->field;
    const struct checks k = { .out = out, .contract = c, .field = f, .column = col->name };
    switch (f->type) {
    case CONTRACT_INTEGER:
    case CONTRACT_TIME:
        check_range(&k);
        return;
    case CONTRACT_NUMBER:
        check_number(&k);
        return;
    case CONTRACT_BOOLEAN:
        check(&k, "boolean", "", " IN (0, 1)");
        return;
    case CONTRACT_DATE:
        check_date(&k);
        return;
    case CONTRACT_UUID:
    case CONTRACT_REF:
        check(&k, "uuid", "length(", ") = 16");
        return;
    case CONTRACT_JSON:
        check_json(&k, "json", NULL);
        return;
    case CONTRACT_MEDIA:
        check_json(&k, "media", "object");
        return;
    case CONTRACT_LIST:
        check_list(&k);
        return;
    case CONTRACT_ENUM:
        check_values(&k, "enum");
        return;
    case CONTRACT_MONEY:
        if (col == &c->columns[f->column])
            check_range(&k);
        else
            check_money(&k);
        return;
    case CONTRACT_COUNT:
        return;
    default:
        check_text(&k);
    }
}

struct contract_field *contract_sql_check_field(const struct contract *c, struct slice constraint)
{
    for (unsigned i = 0; i < c->fields_len; i++) {
        struct contract_field *f = c->fields[i];
        struct slice rest = constraint;
        if (!slice_starts(rest, c->name))
            return NULL;
        rest = slice_from(rest, c->name.len + 1);
        if (slice_starts(rest, f->name) &&
            slice_find(slice_from(rest, f->name.len + 1), '_') == SIZE_MAX &&
            rest.len > f->name.len + 1 && rest.data[f->name.len] == '_')
            return f;
    }
    return NULL;
}

/* -- defaults
 * -------------------------------------------------------------------------------------------- */

static bool default_money(struct buf *out, const json_t *value, unsigned sub)
{
    const json_t *part = json_object_get(value, sub ? "currency" : "amount_minor");
    if (sub && json_is_string(part))
        sql__text(out, json_slice(part));
    else if (!sub && json_is_integer(part))
        buf_put_i64(out, json_integer_value(part));
    else
        return false;
    return true;
}

static bool default_scalar(struct buf *out, const struct contract_field *f, const json_t *value)
{
    struct uuid id;
    int64_t us;
    switch (f->type) {
    case CONTRACT_INTEGER:
        buf_put_i64(out, json_integer_value(value));
        return json_is_integer(value);
    case CONTRACT_NUMBER:
        expr__emit_literal(out, (struct expr_value){ .kind = EXPR_VALUE_DOUBLE,
                                                     .as.real = json_number_value(value) });
        return json_is_number(value);
    case CONTRACT_BOOLEAN:
        buf_putc(out, json_is_true(value) ? '1' : '0');
        return json_is_boolean(value);
    case CONTRACT_TIME:
        if (!json_is_string(value) || !clock_parse_rfc3339(json_slice(value), &us))
            return false;
        buf_put_i64(out, us / CLOCK_MS * CLOCK_MS);
        return true;
    case CONTRACT_UUID:
    case CONTRACT_REF:
        if (!json_is_string(value) || !uuid_parse(json_slice(value), &id))
            return false;
        buf_put_lit(out, "x'");
        buf_put_hex(out, id.bytes, sizeof(id.bytes));
        buf_putc(out, '\'');
        return true;
    default:
        if (!json_is_string(value))
            return false;
        sql__text(out, json_slice(value));
        return true;
    }
}

static bool default_json(struct buf *out, const json_t *value)
{
    struct buf text;
    buf_init(&text, /* arena= */ NULL, 0, (size_t)1 << 20);
    json_put_value(&text, value);
    bool ok = buf_status(&text) == STATUS_OK;
    if (ok)
        sql__text(out, buf_slice(&text));
    buf_fini(&text);
    return ok;
}

bool sql__default(struct buf *out, const struct contract_column *col, unsigned sub)
{
    const struct contract_field *f = col->field;
    if (f->type == CONTRACT_COUNT) {
        buf_putc(out, '0');
        return true;
    }
    if (f->default_kind != CONTRACT_DEFAULT_VALUE || f->default_json == NULL ||
        json_is_null(f->default_json))
        return false;
    switch (f->type) {
    case CONTRACT_MONEY:
        return default_money(out, f->default_json, sub);
    case CONTRACT_JSON:
    case CONTRACT_LIST:
    case CONTRACT_MEDIA:
        return default_json(out, f->default_json);
    default:
        return default_scalar(out, f, f->default_json);
    }
}
