/*
 * fuzz/fuzz_structured.c - Structured fields: what is read is written, and what is written reads
 * back as the same. The first byte says what kind of field it is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "http/structured.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum http__sf_kind kind = (enum http__sf_kind)(data[0] % 3);
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, (size_t)8 << 20);
    struct slice text;
    if (arena_copy(arena, slice_of((const char *)data + 1, size - 1), &text) != STATUS_OK)
        return 0;
    struct http__sf_list list, again;
    if (http__sf_parse(arena, text, kind, 64, &list) != STATUS_OK)
        return 0;
    struct buf first, second;
    buf_init(&first, arena, 0, (size_t)4 << 20);
    buf_init(&second, arena, 0, (size_t)4 << 20);
    if (http__sf_put(&first, kind, &list) != STATUS_OK) {
        require(buf_status(&first) != STATUS_OK); /* only for want of room */
        return 0;
    }
    require(http__sf_parse(arena, buf_slice(&first), kind, 64, &again) == STATUS_OK);
    require(http__sf_put(&second, kind, &again) == STATUS_OK);
    require(slice_eq(buf_slice(&first), buf_slice(&second)));
    for (unsigned i = 0; i < list.len; i++)
        require(!list.members[i].key.len ||
                http__sf_get(&again, list.members[i].key) == &again.members[i]);
    return 0;
}
