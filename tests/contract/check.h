/*
 * tests/contract/check.h - What the tests of contracts start with: cmocka, checks that print both
 * sides, contracts and bodies from text.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "fiber/task.h"

static inline void check_text(const char *what, struct slice got, struct slice want)
{
    if (slice_eq(got, want))
        return;
    fail_msg("%s:\n got  %.*s\n want %.*s", what, SLICE_ARG(got), SLICE_ARG(want));
}

/* A set from one text; fails the test with the complaints when it is not good. */
static inline struct contract_set *set_of(struct arena *arena, const char *text)
{
    struct contract_source source = { SLICE("test.yaml"), slice_cstr(text) };
    struct contract_set *set = NULL;
    struct diag diag;
    struct buf out;
    diag_init(&diag, arena);
    buf_init(&out, arena, 1024, (size_t)1 << 20);
    if (contract_set_parse(&source, 1, &diag, &set) != STATUS_OK) {
        diag_print(&diag, &out);
        fail_msg("%.*s", SLICE_ARG(buf_slice(&out)));
    }
    return set;
}

/* The complaints about some files, one a line. */
static inline struct slice complaints_of(struct arena *arena, const struct contract_source *sources,
                                         unsigned len)
{
    struct contract_set *set = NULL;
    struct diag diag;
    struct buf out;
    diag_init(&diag, arena);
    buf_init(&out, arena, 1024, (size_t)1 << 20);
    enum status st = contract_set_parse(sources, len, &diag, &set);
    if (st == STATUS_OK)
        contract_set_free(set);
    diag_print(&diag, &out);
    return buf_slice(&out);
}

static inline json_t *json_of(struct arena *arena, const char *text)
{
    json_t *value = NULL;
    struct json_error_at error;
    struct json_limits limits = { .bytes_max = (size_t)1 << 24, .depth_max = 64 };
    if (json_read(arena, slice_cstr(text), limits, &value, &error) != STATUS_OK)
        fail_msg("not JSON: %s: %s", text, error.reason);
    return value;
}

/* "/title too_long; /body required" */
static inline struct slice problems_of(struct arena *arena, const struct problem *problem)
{
    struct buf out;
    buf_init(&out, arena, 256, (size_t)1 << 16);
    for (size_t i = 0; i < problem->fields_len; i++)
        buf_printf(&out, "%s%.*s %s", i ? "; " : "", SLICE_ARG(problem->fields[i].pointer),
                   problem->fields[i].code);
    return out.len ? buf_slice(&out) : SLICE("");
}

/* What is present of a row, as JSON; a guarded field has a "!" behind its name. */
static inline struct slice row_of(struct arena *arena, const struct contract_row *row)
{
    struct buf out;
    buf_init(&out, arena, 256, (size_t)1 << 22);
    buf_putc(&out, '{');
    for (unsigned i = 0; i < row->contract->fields_len; i++) {
        const struct contract_field *field = row->contract->fields[i];
        if (!row->present[i])
            continue;
        buf_printf(&out, "%s\"%.*s%s\":", out.len > 1 ? "," : "", SLICE_ARG(field->name),
                   row->guarded[i] ? "!" : "");
        contract_value_write(field, &row->values[field->column], &out);
    }
    buf_putc(&out, '}');
    return buf_slice(&out);
}
