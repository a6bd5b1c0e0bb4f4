/*
 * Values are proposed by type and constraint, then the whole body is put through the validator:
 * what is published is true, or it is not published.
 */
#include "contract/example.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "fiber/task.h"

#define EXAMPLE_BYTES_MAX ((size_t)65536)
#define EXAMPLE_TIME_US INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */

/* Text with the length asked for: a phrase, repeated or cut. */
static void put_text(const struct contract_field *f, struct json_out *o, struct arena *arena)
{
    static const struct slice phrase = SLICE_INIT("example");
    size_t len = phrase.len;
    if (f->has_min && (int64_t)len < f->min_i64)
        len = (size_t)f->min_i64;
    if (f->has_max && (int64_t)len > f->max_i64)
        len = (size_t)f->max_i64;
    char *text = arena_alloc(arena, len ? len : 1);
    for (size_t i = 0; text && i < len; i++)
        text[i] = phrase.data[i % phrase.len];
    json_out_string(o, slice_of(text, text ? len : 0));
}

static void put_money(const struct contract_field *f, struct json_out *o)
{
    json_out_object(o);
    json_out_ki(o, "amount_minor", f->has_min ? MAX(f->min_i64, 1200) : 1200);
    json_out_key(o, SLICE("currency"));
    json_out_string(o, f->values_len ? f->values[0] : SLICE("EUR"));
    json_out_end(o);
}

static void put_media(const struct contract_field *f, struct json_out *o)
{
    json_out_object(o);
    json_out_kv(o, "url", "https://example.com/picture.jpg");
    json_out_key(o, SLICE("type"));
    struct slice type = f->values_len ? f->values[0] : SLICE("image/jpeg");
    json_out_string(o, slice_find(type, '*') == SIZE_MAX ? type : SLICE("image/jpeg"));
    json_out_end(o);
}

static int64_t integer_of(const struct contract_field *f)
{
    int64_t value = 1;
    if (f->has_min && value < f->min_i64)
        value = f->min_i64;
    if (f->has_max && value > f->max_i64)
        value = f->max_i64;
    return value;
}

static void put_value(const struct contract_field *f, struct json_out *o, struct arena *arena,
                      bool in_list)
{
    char date[CLOCK_DATE_LEN];
    switch (f->type) {
    case CONTRACT_STRING:
    case CONTRACT_TEXT:
        put_text(f, o, arena);
        return;
    case CONTRACT_INTEGER:
        json_out_i64(o, integer_of(f));
        return;
    case CONTRACT_NUMBER:
        json_out_double(o, f->has_min ? f->min_double : f->has_max ? f->max_double : 1.5);
        return;
    case CONTRACT_BOOLEAN:
        json_out_bool(o, true);
        return;
    case CONTRACT_TIME:
        json_out_time(o, f->has_min ? f->min_i64 : f->has_max ? f->max_i64 : EXAMPLE_TIME_US);
        return;
    case CONTRACT_DATE:
        clock_format_date(f->has_min   ? (int32_t)f->min_i64
                          : f->has_max ? (int32_t)f->max_i64
                                       : 20454,
                          date);
        json_out_string(o, slice_of(date, sizeof(date)));
        return;
    case CONTRACT_UUID:
    case CONTRACT_REF:
        json_out_cstr(o, "0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f");
        return;
    case CONTRACT_EMAIL:
        json_out_cstr(o, "ann@example.com");
        return;
    case CONTRACT_URL:
        json_out_cstr(o, "https://example.com/");
        return;
    case CONTRACT_JSON:
        json_out_object(o);
        json_out_end(o);
        return;
    case CONTRACT_ENUM:
        json_out_string(o, f->values[0]);
        return;
    case CONTRACT_MONEY:
        put_money(f, o);
        return;
    case CONTRACT_MEDIA:
        put_media(f, o);
        return;
    case CONTRACT_LIST:
        json_out_array(o);
        /* A list of lists is not a thing; the flag keeps that visible. */
        if (!in_list && f->max_items > 0)
            put_value(f->of, o, arena, true);
        json_out_end(o);
        return;
    case CONTRACT_COUNT:
    case CONTRACT_TYPES:
        json_out_null(o);
        return;
    }
}

static bool is_given(const struct contract_field *f)
{
    if (f->system || f->readonly || f->type == CONTRACT_COUNT)
        return false;
    return f->required || f->type != CONTRACT_REF;
}

static bool is_valid(const struct contract *c, struct slice body, char kind, struct arena *arena)
{
    json_t *object = NULL;
    struct problem problem = { 0 };
    struct contract_row row;
    const struct task_caller somebody = { .has_user = true }; /* whose defaults it may have */
    struct contract_input input = { .mode =
                                        kind == 'c' ? CONTRACT_MODE_CREATE : CONTRACT_MODE_PATCH,
                                    .caller = &somebody,
                                    .now_us = EXAMPLE_TIME_US };
    return json_read(arena, body, JSON_LIMITS_DEFAULT, &object, NULL) == STATUS_OK &&
           contract_validate(c, object, &input, arena, &problem, &row, NULL) == STATUS_OK;
}

/* A body of the fields whose bit is set in `wanted`. */
static void put_body(const struct contract *c, const bool *wanted, struct arena *arena,
                     struct buf *body)
{
    buf_clear(body);
    struct json_out o = json_out(body);
    json_out_object(&o);
    for (unsigned i = 0; i < c->fields_len; i++) {
        if (!wanted[i])
            continue;
        json_out_key(&o, c->fields[i]->name);
        if (c->fields[i]->default_kind == CONTRACT_DEFAULT_VALUE)
            json_out_value(&o, c->fields[i]->default_json);
        else
            put_value(c->fields[i], &o, arena, false);
    }
    json_out_end(&o);
}

enum status contract__example(const struct contract *contract, char kind, struct arena *arena,
                              struct buf *out)
{
    bool wanted[CONTRACT_FIELDS_MAX] = { false };
    struct buf body;
    buf_init(&body, arena, 1024, EXAMPLE_BYTES_MAX);
    /* Field by field, keeping those that pass: one unsatisfiable pattern shall not cost the whole
     * example. */
    for (unsigned i = 0; i < contract->fields_len; i++) {
        const struct contract_field *f = contract->fields[i];
        if (!is_given(f) || (kind == 'p' && f->immutable))
            continue;
        bool one[CONTRACT_FIELDS_MAX] = { false };
        one[i] = true;
        put_body(contract, one, arena, &body);
        if (f->required || is_valid(contract, buf_slice(&body), 'p', arena))
            wanted[i] = true;
        if (kind == 'p' && wanted[i])
            break;
    }
    put_body(contract, wanted, arena, &body);
    if (buf_status(&body) != STATUS_OK || !is_valid(contract, buf_slice(&body), kind, arena))
        return STATUS_NOT_FOUND;
    buf_put_slice(out, buf_slice(&body));
    return STATUS_OK;
}
