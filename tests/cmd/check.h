/*
 * tests/cmd/check.h - What the tests of verbs start with: cmocka, checks that print both sides,
 * contracts from text, files that are read in pieces of any size.
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
#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/json.h"
#include "base/macros.h"
#include "cmd/import.h"
#include "contract/contract.h"

static inline void check_text(const char *what, struct slice got, struct slice want)
{
    if (slice_eq(got, want))
        return;
    fail_msg("%s:\n got  %.*s\n want %.*s", what, SLICE_ARG(got), SLICE_ARG(want));
}

static inline void check_int(const char *what, int64_t got, int64_t want)
{
    if (got != want)
        fail_msg("%s: got %lld, want %lld", what, (long long)got, (long long)want);
}

/* All complaints, one a line, in the arena. */
static inline struct slice complaints_of(struct arena *arena, const struct diag *diag)
{
    struct buf out;
    buf_init(&out, arena, 1024, (size_t)1 << 20);
    diag_print(diag, &out);
    return buf_slice(&out);
}

static inline struct contract_set *set_of(struct arena *arena,
                                          const struct contract_source *sources, unsigned len)
{
    struct contract_set *set = NULL;
    struct diag diag;
    diag_init(&diag, arena);
    if (contract_set_parse(sources, len, &diag, &set) != STATUS_OK)
        fail_msg("%.*s", SLICE_ARG(complaints_of(arena, &diag)));
    return set;
}

/* Text that arrives in pieces of `step` bytes. */
struct pieces {
    struct slice rest;
    size_t step;
};

static inline long read_pieces(void *arg, char *room, size_t room_bytes)
{
    struct pieces *p = arg;
    size_t n = MIN(MIN(p->rest.len, p->step), room_bytes);
    memcpy(room, p->rest.data, n);
    p->rest = slice_from(p->rest, n);
    return (long)n;
}
