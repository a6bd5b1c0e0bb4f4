/*
 * Any JSON body against a contract with every type. The first byte chooses the way of validation. A
 * row that comes out is written back as JSON, read again and validated again: it must be taken, and
 * give the same JSON.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "contract/contract.h"
#include "fiber/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char contract_text[] =
    "resource: things\n"
    "fields:\n"
    "  string:  { type: string, min: 1, max: 40, pattern: \"^[^<]*$\" }\n"
    "  text:    { type: text, max: 1000 }\n"
    "  integer: { type: integer, min: -5, default: 1 }\n"
    "  number:  { type: number, max: 1e9 }\n"
    "  boolean: { type: boolean, required: true }\n"
    "  time:    { type: time, default: \"@now\" }\n"
    "  date:    { type: date }\n"
    "  uuid:    { type: uuid, immutable: true }\n"
    "  email:   { type: email, writeonly: true }\n"
    "  url:     { type: url }\n"
    "  json:    { type: json, schema: { type: [object, array], properties: { x: { type: number } } "
    "} }\n"
    "  list:    { type: list, of: string, unique_items: true, max_items: 20 }\n"
    "  times:   { type: list, of: time }\n"
    "  kind:    { enum: [a, b], default: a }\n"
    "  owner:   { ref: things, default: \"@user\", on_delete: set_null }\n"
    "  price:   { type: money }\n"
    "  picture: { type: media, accept: [image/*] }\n"
    "  total:   { count: things.owner }\n"
    "  score:   { type: integer, readonly: true, default: 0 }\n";

static const struct contract *things;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const struct contract_source source = { SLICE("things.yaml"), SLICE_INIT(contract_text) };
    static struct contract_set *set; /* kept to the end of the process */
    struct arena *arena = arena_new(/* pool= */ NULL, /* budget_bytes= */ 0);
    struct diag diag;
    diag_init(&diag, arena);
    if (contract_set_parse(&source, 1, &diag, &set) != STATUS_OK)
        abort();
    things = contract_find(set, SLICE("things"));
    arena_free(arena);
    return 0;
}

static struct slice write_row(const struct contract_row *row, struct arena *arena)
{
    struct buf out;
    buf_init(&out, arena, 1024, (size_t)1 << 22);
    for (unsigned i = 0; i < things->fields_len; i++) {
        const struct contract_field *field = things->fields[i];
        if (!row->present[i])
            continue;
        buf_putc(&out, out.len ? ',' : '{');
        json_put_string(&out, field->name);
        buf_putc(&out, ':');
        contract_value_write(field, &row->values[field->column], &out);
    }
    buf_put_cstr(&out, out.len ? "}" : "{}");
    return buf_slice(&out);
}

static void check_again(struct slice text, struct arena *arena)
{
    const struct contract_input input = { .mode = CONTRACT_MODE_PATCH };
    struct problem problem = { .status = STATUS_OK };
    struct contract_row row;
    json_t *body = NULL;
    struct json_limits limits = { .bytes_max = (size_t)1 << 22, .depth_max = 64 };
    if (json_read(arena, text, limits, &body, NULL) != STATUS_OK ||
        contract_validate(things, body, &input, arena, &problem, &row, NULL) != STATUS_OK ||
        !slice_eq(write_row(&row, arena), text)) {
        fprintf(stderr, "%.*s\n", SLICE_ARG(text));
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct arena *arena = arena_new(/* pool= */ NULL, (size_t)16 << 20);
    struct slice text = slice_of((const char *)data + 1, size - 1);
    const struct task_caller caller = { .has_user = true };
    const struct contract_input input = {
        .mode = (enum contract_mode)(data[0] % 3),
        .caller = data[0] & 4 ? &caller : NULL,
        .now_us = INT64_C(1767322800123456),
        .trusted = data[0] & 8,
        .pointer = data[0] & 16 ? SLICE("/prefix") : SLICE(""),
    };
    struct problem problem = { .status = STATUS_OK };
    struct contract_children children;
    struct contract_row row;
    json_t *body = NULL;
    struct json_limits limits = { .bytes_max = (size_t)1 << 20, .depth_max = 60 };
    if (json_read(arena, text, limits, &body, NULL) == STATUS_OK) {
        enum status st = contract_validate(things, body, &input, arena, &problem, &row,
                                           data[0] & 32 ? &children : NULL);
        if (st == STATUS_OK)
            check_again(write_row(&row, arena), arena);
        else if (st == STATUS_INVALID && problem.fields_len == 0)
            abort();
    }
    arena_free(arena);
    return 0;
}
