/*
 * fuzz/fuzz_mapping.c - A mapping, a zero byte, a row of its source. The mapping is taken or
 * complained of inside its lines; a row becomes one of its contract or has a reason why not; little
 * memory changes neither.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "cmd/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct contract_set *set; /* read once, never changed */

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct contract_source sources[] = {
        { SLICE_INIT("users.yaml"),
          SLICE_INIT("resource: users\n"
                     "fields:\n"
                     "  name:   { type: string, max: 20, required: true }\n"
                     "  mail:   { type: email }\n"
                     "  home:   { type: url }\n"
                     "  age:    { type: integer, min: 0 }\n"
                     "  height: { type: number }\n"
                     "  active: { type: boolean, default: true }\n"
                     "  seen:   { type: time, readonly: true }\n"
                     "  born:   { type: date }\n"
                     "  extra:  { type: json }\n"
                     "  marks:  { type: list, of: string, default: [] }\n"
                     "  level:  { enum: [low, high], default: low }\n"
                     "  fee:    { type: money, optional: true }\n"
                     "  face:   { type: media }\n"
                     "  post_count: { count: posts.author }\n") },
        { SLICE_INIT("posts.yaml"), SLICE_INIT("resource: posts\n"
                                               "fields:\n"
                                               "  author: { ref: users, on_delete: set_null }\n"
                                               "  parent: { ref: posts, on_delete: cascade }\n"
                                               "  owner:  { ref: users, required: true }\n"
                                               "  body:   { type: text }\n") },
    };
    (void)argc;
    (void)argv;
    struct arena *arena = arena_new(NULL, 0);
    struct diag diag;
    diag_init(&diag, arena);
    require(contract_set_parse(sources, ARRAY_LEN(sources), &diag, &set) == STATUS_OK);
    arena_free(arena);
    return 0;
}

static void check_complaints(const struct diag *diag, int lines)
{
    require(diag->len + diag->dropped > 0);
    for (unsigned i = 0; i < diag->len; i++)
        require(diag->items[i].line >= 0 && diag->items[i].line <= lines &&
                diag->items[i].message.len > 0);
}

static void make_row(const struct import_entry *entry, const json_t *source, int64_t item,
                     size_t budget)
{
    struct arena *arena = arena_new(NULL, budget);
    struct import_row row = { .line = 1, .item = item, .source = source };
    enum status st = import_row_make(entry, &row, 0, arena);
    require(st == STATUS_OK || (budget && st == STATUS_EXHAUSTED));
    if (st == STATUS_OK && row.outcome != IMPORT_SKIPPED) {
        require(row.is_valid == (row.problem.fields_len == 0));
        require(row.key.len <= IMPORT_KEY_BYTES_MAX && (row.key.len || !row.is_valid));
    }
    arena_free(arena);
}

static void make_rows(const struct import_mapping *m, const json_t *source)
{
    for (unsigned i = 0; i < m->len; i++) {
        const struct import_entry *entry = &m->entries[i];
        const json_t *items =
            entry->each.name.len && json_is_object(source) ? import_row_items(entry, source) : NULL;
        int64_t item = json_array_size(items) ? 0 : -1;
        make_row(entry, source, item, 0);
        make_row(entry, source, item, 4096);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!set)
        (void)LLVMFuzzerInitialize(NULL, NULL);
    struct slice text = slice_of((const char *)data, size);
    size_t zero = slice_find(text, 0);
    struct slice row = zero == SIZE_MAX ? SLICE_NULL : slice_from(text, zero + 1);
    struct arena *arena = arena_new(NULL, 0);
    struct diag diag;
    struct import_mapping m;
    diag_init(&diag, arena);
    enum status st =
        import_mapping_parse(slice_head(text, zero), SLICE("m.yaml"), set, arena, &diag, &m);
    if (st == STATUS_OK) {
        json_t *source;
        require(diag.len == 0 && m.len > 0 && m.source.len > 0);
        if (json_read(arena, row, JSON_LIMITS_DEFAULT, &source, NULL) == STATUS_OK)
            make_rows(&m, source);
    } else {
        require(st == STATUS_INVALID);
        check_complaints(&diag, (int)size + 2);
    }
    arena_free(arena);
    return 0;
}
