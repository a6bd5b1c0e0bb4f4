/*
 * fuzz/fuzz_query.c - Query strings and entity-tag lists. What a query is read as, written again,
 * reads the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "http/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_query(struct arena *arena, struct slice text)
{
    struct http_param *params, *again;
    unsigned len, again_len;
    if (http__query_parse(arena, text, &params, &len) != STATUS_OK)
        return;
    require(len <= HTTP_QUERY_MAX);
    struct buf b;
    buf_init(&b, arena, 64, 1 << 20);
    for (unsigned i = 0; i < len; i++) {
        require(utf8_is_valid(params[i].name) && utf8_is_valid(params[i].value));
        require(slice_find(params[i].name, '\0') == SIZE_MAX);
        if (i)
            buf_putc(&b, '&');
        buf_put_percent(&b, params[i].name);
        buf_putc(&b, '=');
        buf_put_percent(&b, params[i].value);
    }
    require(http__query_parse(arena, buf_slice(&b), &again, &again_len) == STATUS_OK);
    require(len == again_len);
    for (unsigned i = 0; i < len; i++)
        require(slice_eq(params[i].name, again[i].name) &&
                slice_eq(params[i].value, again[i].value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct arena *arena = arena_new(NULL, (size_t)4 << 20);
    check_query(arena, text);
    /* A strong match is a weak match. */
    static const char *const tags[] = { "\"a\"", "W/\"a\"", "\"\"" };
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        struct slice tag = slice_cstr(tags[i]);
        require(!http_etag_matches(text, tag, false) || http_etag_matches(text, tag, true));
    }
    arena_free(arena);
    return 0;
}
