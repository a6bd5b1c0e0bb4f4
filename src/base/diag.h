/*
 * base/diag.h - What is wrong with files that people write (contracts, configuration, mappings):
 * every problem at once, each with file, line, what is wrong and what would be right.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"

struct arena;

#define DIAG_MAX 200u

struct diag_item {
    struct slice file;
    int line, column;     /* from 1; 0: the whole file */
    struct slice key;     /* "fields.title.max", may be empty */
    struct slice message; /* a sentence */
    struct slice hint;    /* "Did you mean `required`?", may be empty */
};

struct diag {
    struct arena *arena;
    struct diag_item *items;
    unsigned len, cap;
    unsigned dropped; /* found beyond DIAG_MAX */
};

void diag_init(struct diag *d, struct arena *arena);
void diag_add(struct diag *d, struct slice file, int line, int column, struct slice key,
              struct slice hint, const char *format, ...) __attribute__((format(printf, 7, 8)));
/* One a line: "contracts/posts.yaml:12:5: fields.title.maxx: unknown key. Did you mean `max`?",
 * sorted by file, line. */
void diag_print(const struct diag *d, struct buf *out);

/* "Did you mean `x`?" from the nearest of `names` (edit distance at most 1 + len/4), or an empty
 * slice. */
struct slice diag_suggest(struct arena *arena, struct slice wrong, const struct slice *names,
                          size_t names_len);
