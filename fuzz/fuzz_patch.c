/*
 * A document, a zero byte, a patch: as JSON Patch when it is an array, else as merge patch. The
 * document is left as it was; what comes out is JSON that reads back the same, no deeper than what
 * JSON may be.
 */
#include <stdint.h>
#include <stdlib.h>

#include "resource/resource_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice write_json(const json_t *value, struct arena *arena)
{
    struct buf b;
    buf_init(&b, arena, 0, (size_t)64 << 20);
    json_put_value(&b, value);
    if (buf_status(&b) != STATUS_OK)
        abort();
    return buf_slice(&b);
}

static void run(struct slice document_text, struct slice patch_text, struct arena *arena)
{
    struct problem problem = { 0 };
    json_t *document, *patch, *result = NULL, *again;
    if (resource__json_read(document_text, arena, &problem, &document) != STATUS_OK ||
        resource__json_read(patch_text, arena, &problem, &patch) != STATUS_OK)
        return;
    struct slice before = write_json(document, arena);
    if (json_is_array(patch)) {
        enum status st = resource__patch(document, patch, SLICE("/p"), arena, &problem, &result);
        if ((st == STATUS_OK) != (result != NULL) || (st != STATUS_OK && problem.fields_len == 0))
            abort();
    } else {
        result = resource__merge(document, patch, arena);
        if (!result)
            abort();
    }
    if (!slice_eq(before, write_json(document, arena)))
        abort();
    if (!result)
        return;
    const struct json_limits limits = { .bytes_max = (size_t)64 << 20, .depth_max = 64 };
    struct slice text = write_json(result, arena);
    if (json_read(arena, text, limits, &again, NULL) != STATUS_OK ||
        !slice_eq(text, write_json(again, arena)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    size_t split = slice_find(input, '\0');
    if (split == SIZE_MAX)
        return 0;
    struct arena *arena = arena_new(NULL, 0);
    run(slice_head(input, split), slice_from(input, split + 1), arena);
    arena_free(arena);
    return 0;
}
